//! Members are lanes: what goes wrong in one stays in one, and many at once are no storm.

use crate::world::{SYSTEM, World, with_type};
use pocketkube::requests::RequestKind;
use pocketkube::{Effect, FaultRule};
use serde_json::json;
use std::time::Duration;

const THREE: &[&str] = &["a", "b", "c"];
/// Enough that whoever waits for the broken member once an object is late by seconds.
const OBJECTS: usize = 150;
/// What the silence of one member may cost the others: that it is noticed, once.
const NOTICED: Duration = Duration::from_secs(2);

/// Strikes every request to a member.
fn strike(world: &World, member: &str, effect: Option<Effect>) {
    let rules = effect.map(|effect| FaultRule {
        verbs: Vec::new(),
        resources: Vec::new(),
        probability: 1.0,
        effect,
    });
    let faults = world.members[member].faults();
    faults.set_rules(rules.into_iter().collect(), 1);
}

async fn federate_all(world: &World, group: &str) {
    for number in 0..OBJECTS {
        let name = format!("{group}-{number}");
        world
            .federate_config_map(&name, json!({"n": number.to_string()}))
            .await;
    }
}

async fn until_held(world: &World, members: &[&str], group: &str) -> Duration {
    let what = format!("{members:?} have {group}");
    world
        .until(&what, async |world| {
            for member in members {
                for number in (0..OBJECTS).rev() {
                    let name = format!("{group}-{number}");
                    if world.config_map(member, &name).await.is_none() {
                        return false;
                    }
                }
            }
            true
        })
        .await
}

/// Breaks a member, gives all three many objects, and mends it.
async fn check(effect: Effect) {
    let world = World::start(THREE, json!({})).await;
    strike(&world, "b", Some(effect));
    let began = tokio::time::Instant::now();
    federate_all(&world, "during").await;
    until_held(&world, &["a", "c"], "during").await;
    let took = began.elapsed();
    assert!(took < NOTICED, "{effect:?} held the others up for {took:?}");
    strike(&world, "b", None);
    until_held(&world, &["b"], "during").await;
}

#[tokio::test(start_paused = true)]
async fn a_member_that_hangs_holds_nobody_up() {
    check(Effect::Hung).await;
}

#[tokio::test(start_paused = true)]
async fn a_member_that_answers_garbage_holds_nobody_up() {
    check(Effect::Garbage).await;
}

#[tokio::test(start_paused = true)]
async fn a_member_whose_answers_break_off_holds_nobody_up() {
    check(Effect::Cut).await;
}

#[tokio::test(start_paused = true)]
async fn a_member_that_resets_connections_holds_nobody_up() {
    check(Effect::Reset).await;
}

#[tokio::test(start_paused = true)]
async fn a_member_that_asks_to_be_left_alone_is_and_holds_nobody_up() {
    let retry_after_secs = 5;
    check(Effect::TooManyRequests { retry_after_secs }).await;
    let world = World::start(THREE, json!({})).await;
    world.forget_requests();
    // Health is asked on: only what writes is refused, as under a limit of its flows.
    world.members["b"].faults().set_rules(
        vec![FaultRule {
            verbs: vec!["patch".to_owned()],
            resources: Vec::new(),
            probability: 1.0,
            effect: Effect::TooManyRequests { retry_after_secs },
        }],
        1,
    );
    federate_all(&world, "during").await;
    world.pass(60).await;
    let refused = |kind: &RequestKind| kind.code == 429;
    let asked = world.members["b"].requests().count(refused);
    // As many as are under way at once, once in five seconds.
    assert!(
        (12..=13 * 32).contains(&asked),
        "{asked} requests in a minute"
    );
    strike(&world, "b", None);
    until_held(&world, &["b"], "during").await;
}

#[tokio::test(start_paused = true)]
async fn a_member_that_is_busy_and_answers_costs_the_host_no_status_for_each_that_is_late() {
    let world = World::start(THREE, json!({})).await;
    world.pass(5).await;
    // Whoever waits for a turn waits for longer than is waited for; somebody is answered meanwhile.
    let rule = FaultRule {
        verbs: vec!["patch".to_owned()],
        resources: Vec::new(),
        probability: 1.0,
        effect: Effect::Slow { delay_millis: 700 },
    };
    world.members["b"].faults().set_rules(vec![rule], 1);
    world.forget_requests();
    federate_all(&world, "during").await;
    until_held(&world, THREE, "during").await;
    world.pass(30).await;
    let each = |write: &str| format!("{OBJECTS} patch federatedconfigmaps/{write} 200");
    assert_eq!(world.writes("host"), [each(""), each("status")]);
}

const TEN: [&str; 10] = ["m0", "m1", "m2", "m3", "m4", "m5", "m6", "m7", "m8", "m9"];
const TWELVE: &[&str] = &[
    "a", "b", "m0", "m1", "m2", "m3", "m4", "m5", "m6", "m7", "m8", "m9",
];
/// Objects that are there when members come and go.
const HELD: usize = 50;

async fn join_ten(world: &World) {
    for name in TEN {
        let member = json!({"metadata": {"name": name, "namespace": SYSTEM},
            "spec": {"apiEndpoint": format!("https://{name}.invalid"),
                "secretRef": {"name": name}}});
        let member = with_type("core.kubefed.io/v1beta1", "KubeFedCluster", member);
        world.apply("host", member).await;
    }
}

async fn remove_ten(world: &World) {
    for name in TEN {
        let member = ("core.kubefed.io/v1beta1", "KubeFedCluster", SYSTEM, name);
        world.delete("host", member).await;
    }
}

#[tokio::test(start_paused = true)]
async fn ten_members_that_come_or_go_at_once_are_no_storm() {
    let mut world = World::furnished(TWELVE, json!({})).await;
    remove_ten(&world).await;
    world.start_controller().await;
    let name = |number: usize| format!("held-{number}");
    for number in 0..HELD {
        world.federate_config_map(&name(number), json!({})).await;
    }
    let everywhere = async |world: &World, members: &[&str]| {
        for member in members {
            for number in 0..HELD {
                if world.config_map(member, &name(number)).await.is_none() {
                    return false;
                }
            }
        }
        true
    };
    world
        .until("two hold all", async |world| {
            everywhere(world, &["a", "b"]).await
        })
        .await;
    world.pass(30).await;

    world.forget_requests();
    join_ten(&world).await;
    world
        .until("ten hold all", async |world| everywhere(world, &TEN).await)
        .await;
    world.pass(60).await;
    for name in TEN {
        let requests = world.members[name].requests();
        let held = 1 + HELD as u64;
        let done = requests.count(|kind| kind.is_write() && kind.code < 300);
        assert_eq!(done, held, "{name}: the Namespace, and each object once");
        let refused = requests.count(|kind| kind.is_write() && kind.code >= 300);
        assert_eq!(
            refused,
            0,
            "{name}: the Namespace goes first: {:#?}",
            requests.counts()
        );
        let reads = requests.count(|kind| !kind.is_write());
        // A list and a watch of each type, and a probe every five seconds.
        assert!(
            reads < 150,
            "{name}: {reads} reads: {:#?}",
            requests.counts()
        );
    }
    check_calm(&world, &["a", "b"], 3);

    world.forget_requests();
    remove_ten(&world).await;
    world.pass(60).await;
    // What they hold stays, and nobody asks them any more.
    check_calm(&world, TWELVE, 2);
    for name in TEN {
        assert!(world.config_map(name, "held-0").await.is_some());
    }
}

/// Members are not written, and the host as often an object as is allowed at most.
fn check_calm(world: &World, members: &[&str], per_object_max: u64) {
    for name in members {
        let writes = world.members[name].requests().count(RequestKind::is_write);
        assert_eq!(writes, 0, "{name}");
    }
    let apart = ["leases", "events", "kubefedclusters"];
    let writes = world.host.requests().count(|kind| {
        kind.is_write()
            && kind.field_manager != "somebody"
            && !apart.contains(&kind.resource.as_str())
    });
    let objects = 1 + HELD as u64;
    let bound = per_object_max * objects;
    assert!(
        writes <= bound,
        "{writes} > {bound}: {:#?}",
        world.writes("host")
    );
}

/// When a member was probed last, as its status says.
async fn probed(world: &World, member: &str) -> String {
    let found = world
        .find(
            "host",
            "core.kubefed.io/v1beta1",
            "KubeFedCluster",
            SYSTEM,
            member,
        )
        .await
        .unwrap_or_default();
    let conditions = found["status"]["conditions"].as_array();
    let mut conditions = conditions.into_iter().flatten();
    let ready = conditions.find(|condition| condition["type"] == "Ready");
    let at = ready.and_then(|ready| ready["lastProbeTime"].as_str().map(str::to_owned));
    at.expect("it is Ready")
}

#[tokio::test(start_paused = true)]
async fn a_status_that_says_nothing_new_is_written_every_five_minutes_and_never_between() {
    let world = World::start(THREE, json!({})).await;
    let told = || {
        world.host.requests().count(|kind| {
            kind.is_write()
                && kind.resource == "kubefedclusters"
                && kind.field_manager != "somebody"
        })
    };
    // The last heartbeat of any of them is behind us.
    world.pass(30).await;
    let before = probed(&world, "a").await;
    let mut beats = Vec::new();
    for _ in 0..4 {
        world.forget_requests();
        let probes = |member: &str| {
            let requests = world.members[member].requests();
            requests.count(|kind| kind.resource == "/readyz")
        };
        world.pass(150).await;
        assert!(probes("a") >= 29, "it is probed all the same");
        beats.push(told());
    }
    // Ten minutes: twice for each of three, at whatever moment within them.
    assert_eq!(beats.iter().sum::<u64>(), 6, "{beats:?}");
    assert_ne!(probed(&world, "a").await, before);
}

#[tokio::test(start_paused = true)]
async fn what_is_in_a_namespace_that_somebody_else_made_is_propagated() {
    let mut world = World::furnished(&["a"], json!({})).await;
    let shop = json!({"metadata": {"name": "shop"}});
    world.create("a", with_type("v1", "Namespace", shop)).await;
    world.start_controller().await;
    world.federate_config_map("note", json!({"n": "1"})).await;
    world
        .until("it is there", async |world| {
            world.config_map("a", "note").await.is_some()
        })
        .await;
}

#[tokio::test(start_paused = true)]
async fn what_is_in_a_namespace_that_cannot_be_rendered_does_not_wait_for_it() {
    let mut world = World::furnished(&["a"], json!({})).await;
    let shop = json!({"metadata": {"name": "shop"}});
    world.create("a", with_type("v1", "Namespace", shop)).await;
    let overrides = json!([{"clusterName": "a",
        "clusterOverrides": [{"path": "/spec/finalizers/7", "value": "x"}]}]);
    let spec = json!({"placement": {"clusterSelector": {}}, "overrides": overrides});
    world.federate("FederatedNamespace", "shop", spec).await;
    world.start_controller().await;
    world.federate_config_map("note", json!({"n": "1"})).await;
    world
        .until("it is there", async |world| {
            world.config_map("a", "note").await.is_some()
        })
        .await;
}

#[tokio::test(start_paused = true)]
async fn what_is_in_a_namespace_that_goes_returns_with_it() {
    let world = World::start(&["a"], json!({})).await;
    world.federate_config_map("note", json!({"n": "1"})).await;
    let uid = async |world: &World| {
        let note = world.config_map("a", "note").await;
        note.map(|note| note["metadata"]["uid"].clone())
    };
    world
        .until("it is there", async |world| uid(world).await.is_some())
        .await;
    let before = uid(&world).await;
    world.forget_requests();
    world.delete("a", ("v1", "Namespace", "", "shop")).await;
    world
        .until("another is there", async |world| {
            let now = uid(world).await;
            now.is_some() && now != before
        })
        .await;
    let refused = |kind: &RequestKind| kind.is_write() && kind.code >= 400;
    let requests = world.members["a"].requests();
    assert_eq!(requests.count(refused), 0, "{:#?}", requests.counts());
}
