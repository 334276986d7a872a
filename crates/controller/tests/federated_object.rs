//! The federated road against members inside of this process: what reaches them, what is repaired,
//! what is left alone, and what it costs.

mod between;
mod braked;
mod chaos;
mod emptied;
mod gates;
mod kinds;
mod lanes;
mod owed;
mod planned;
mod rival;
mod secret_values;
mod world;

use federation::ANNOTATION_CONFIRMED;
use kube::api::{Patch, PatchParams};
use pocketkube::{ApiState, Effect, FaultRule};
use serde_json::{Value, json};
use std::time::Duration;
use world::{SYSTEM, TYPES, World, with_type};

const THREE: &[&str] = &["a", "b", "c"];
const TWO: &[&str] = &["a", "b"];

fn config_map(name: &str) -> (&'static str, &'static str, &'static str, &str) {
    ("v1", "ConfigMap", "shop", name)
}

fn federated(name: &str) -> (&'static str, &'static str, &'static str, &str) {
    (TYPES, "FederatedConfigMap", "shop", name)
}

/// Waits until every member holds the data, and the host says so.
async fn everywhere(world: &World, name: &str, data: Value) -> Duration {
    world
        .until(&format!("{name} is everywhere"), async |world| {
            let mut all = world.is_propagated(name).await;
            for member in world.members.keys() {
                all &= world.data(member, name).await == data;
            }
            all
        })
        .await
}

#[tokio::test(start_paused = true)]
async fn a_config_map_reaches_every_member_with_each_ones_override() {
    let world = World::start(THREE, json!({})).await;
    let spec = json!({
        "template": {"data": {"currency": "EUR"}},
        "placement": {"clusterSelector": {}},
        "overrides": [{"clusterName": "b", "clusterOverrides": [
            {"path": "/data/currency", "value": "CNY"}]}]});
    world.federate("FederatedConfigMap", "prices", spec).await;
    world
        .until("it is propagated", async |world| {
            world.is_propagated("prices").await
        })
        .await;
    assert_eq!(world.data("a", "prices").await["currency"], "EUR");
    assert_eq!(world.data("b", "prices").await["currency"], "CNY");
    let found = world.config_map("c", "prices").await.expect("it is there");
    assert_eq!(found["metadata"]["labels"]["kubefed.io/managed"], "true");
    assert!(found["metadata"]["annotations"]["meridian.dev/origin"].is_string());
    let status = world.status("prices").await;
    assert_eq!(
        status["clusters"].as_array().map(Vec::len),
        Some(3),
        "{status}"
    );
    assert_eq!(status["observedGeneration"], 1);
}

#[tokio::test(start_paused = true)]
async fn a_propagated_object_costs_the_host_two_writes_and_each_member_one() {
    let world = World::start(THREE, json!({})).await;
    world.pass(5).await;
    world.forget_requests();
    world
        .federate_config_map("prices", json!({"currency": "EUR"}))
        .await;
    everywhere(&world, "prices", json!({"currency": "EUR"})).await;
    world.pass(30).await;
    let expected = [
        "1 patch federatedconfigmaps/ 200",
        "1 patch federatedconfigmaps/status 200",
    ];
    assert_eq!(world.writes("host"), expected, "finalizer and status");
    for member in THREE {
        assert_eq!(world.writes(member), ["1 patch configmaps/ 201"]);
    }
}

#[tokio::test(start_paused = true)]
async fn a_restart_writes_nothing_to_members_that_hold_what_they_should() {
    let mut world = World::furnished(TWO, json!({})).await;
    let first = world.start_controller().await;
    world
        .federate_config_map("prices", json!({"currency": "EUR"}))
        .await;
    let deployment = json!({"template": {"spec": {
            "selector": {"matchLabels": {"app": "web"}},
            "template": {"metadata": {"labels": {"app": "web"}}, "spec": {"containers": [
                {"name": "web", "image": "web:1", "ports": [{"containerPort": 80}]}]}}}},
        "placement": {"clusterSelector": {}}});
    world
        .federate("FederatedDeployment", "web", deployment)
        .await;
    everywhere(&world, "prices", json!({"currency": "EUR"})).await;
    world.pass(30).await;
    first.cancel();
    world.pass(1).await;
    world.forget_requests();
    world.start_controller().await;
    world.pass(60).await;
    for cluster in ["host", "a", "b"] {
        let none: [String; 0] = [];
        assert_eq!(world.writes(cluster), none, "{cluster}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_status_that_keeps_changing_is_written_once_a_second() {
    let world = World::start(TWO, json!({})).await;
    let spec = |replicas: u64| {
        json!({"template": {"spec": {"replicas": replicas,
                "selector": {"matchLabels": {"app": "web"}},
                "template": {"metadata": {"labels": {"app": "web"}}, "spec": {"containers": [
                    {"name": "web", "image": "web:1"}]}}}},
            "placement": {"clusterSelector": {}}})
    };
    world.federate("FederatedDeployment", "web", spec(1)).await;
    world.pass(5).await;
    world.forget_requests();
    let seconds = 4;
    for tenth in 0..10 * seconds {
        let spec = spec(1 + tenth % 5);
        world.federate("FederatedDeployment", "web", spec).await;
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    let written: u64 = world
        .writes("host")
        .iter()
        .filter(|write| write.contains("federateddeployments/status"))
        .filter_map(|write| write.split(' ').next()?.parse::<u64>().ok())
        .sum();
    assert!((2..=seconds + 1).contains(&written), "{written} writes");
    world
        .until("the last is told", async |world| {
            let found = world
                .find("host", TYPES, "FederatedDeployment", "shop", "web")
                .await;
            found.expect("it is there")["status"]["summary"]["ready"] == "10/10"
        })
        .await;
}

#[tokio::test(start_paused = true)]
async fn drift_is_repaired_and_what_others_add_stays() {
    let world = World::start(TWO, json!({})).await;
    world
        .federate_config_map("prices", json!({"currency": "EUR"}))
        .await;
    everywhere(&world, "prices", json!({"currency": "EUR"})).await;
    let drift = json!({"data": {"currency": "USD", "note": "mine"}});
    world.patch("a", config_map("prices"), drift).await;
    let took = world
        .until("it is repaired", async |world| {
            world.data("a", "prices").await == json!({"currency": "EUR", "note": "mine"})
        })
        .await;
    assert!(took < Duration::from_secs(1), "{took:?}");
    world.delete("b", config_map("prices")).await;
    world
        .until("it is made anew", async |world| {
            world.config_map("b", "prices").await.is_some()
        })
        .await;
}

#[tokio::test(start_paused = true)]
async fn a_field_that_leaves_the_template_leaves_the_members() {
    let world = World::start(TWO, json!({})).await;
    world
        .federate_config_map("prices", json!({"currency": "EUR", "old": "x"}))
        .await;
    everywhere(&world, "prices", json!({"currency": "EUR", "old": "x"})).await;
    world
        .federate_config_map("prices", json!({"currency": "EUR"}))
        .await;
    everywhere(&world, "prices", json!({"currency": "EUR"})).await;
}

#[tokio::test(start_paused = true)]
async fn a_member_that_hangs_delays_no_other() {
    let world = World::start(THREE, json!({})).await;
    world.members["b"].faults().set_api(ApiState::Hung);
    for name in ["one", "two", "three"] {
        world.federate_config_map(name, json!({"x": "y"})).await;
    }
    let took = world
        .until("the others have all", async |world| {
            let mut all = true;
            for name in ["one", "two", "three"] {
                all &= world.config_map("a", name).await.is_some()
                    && world.config_map("c", name).await.is_some()
                    && world.cluster_status(name, "a").await.as_deref() == Some("");
            }
            all
        })
        .await;
    assert!(took < Duration::from_secs(3), "{took:?}");
    world
        .until("the status says that b is not ready", async |world| {
            world.cluster_status("one", "b").await.as_deref() == Some("ClusterNotReady")
        })
        .await;
    world.members["b"].faults().set_api(ApiState::Up);
    everywhere(&world, "one", json!({"x": "y"})).await;
}

#[tokio::test(start_paused = true)]
async fn a_deletion_does_not_wait_for_a_member_that_is_away_and_is_made_good() {
    let world = World::start(TWO, json!({"deletionGrace": "20s"})).await;
    world.federate_config_map("sale", json!({"x": "y"})).await;
    everywhere(&world, "sale", json!({"x": "y"})).await;
    world.members["b"].faults().set_api(ApiState::Down);
    world.pass(20).await;
    world.delete("host", federated("sale")).await;
    world
        .until("it is gone from a", async |world| {
            world.config_map("a", "sale").await.is_none()
        })
        .await;
    let took = world
        .until("the deletion ends", async |world| {
            world
                .find("host", TYPES, "FederatedConfigMap", "shop", "sale")
                .await
                .is_none()
        })
        .await;
    assert!(took < Duration::from_secs(25), "{took:?}");
    assert!(
        world.config_map("b", "sale").await.is_some(),
        "it is still there"
    );
    assert_eq!(tombstones(&world), 1);
    world.members["b"].faults().set_api(ApiState::Up);
    world
        .until("it is made good", async |world| {
            world.config_map("b", "sale").await.is_none()
        })
        .await;
    world
        .until("nothing is owed", async |world| tombstones(world) == 0)
        .await;
}

fn tombstones(world: &World) -> usize {
    let kind = world
        .host
        .resource("federation.meridian.dev/v1alpha1", "MemberTombstone");
    world.host.list(&kind.expect("served"), Some(SYSTEM)).len()
}

#[tokio::test(start_paused = true)]
async fn an_owed_deletion_spares_what_somebody_made_meanwhile() {
    let world = World::start(TWO, json!({"deletionGrace": "5s"})).await;
    world.federate_config_map("sale", json!({"x": "y"})).await;
    everywhere(&world, "sale", json!({"x": "y"})).await;
    let before = uid(&world, "sale").await;
    world.members["b"].faults().set_api(ApiState::Down);
    world.pass(20).await;
    world.delete("host", federated("sale")).await;
    world
        .until("it is owed", async |world| tombstones(world) == 1)
        .await;
    world.federate_config_map("sale", json!({"x": "new"})).await;
    world.members["b"].faults().set_api(ApiState::Up);
    world
        .until("nothing is owed", async |world| tombstones(world) == 0)
        .await;
    everywhere(&world, "sale", json!({"x": "new"})).await;
    world.pass(30).await;
    assert_eq!(world.data("b", "sale").await, json!({"x": "new"}));
    assert_eq!(uid(&world, "sale").await, before, "it was taken over");
}

/// Who the copy in `b` is.
async fn uid(world: &World, name: &str) -> Value {
    let copy = world.config_map("b", name).await;
    copy.expect("it is there")["metadata"]["uid"].clone()
}

#[tokio::test(start_paused = true)]
async fn what_an_heir_cannot_take_over_yet_stays_and_holds_up_no_other_deletion() {
    let world = World::start(TWO, json!({"deletionGrace": "5s"})).await;
    let others: Vec<String> = (0..8).map(|number| format!("sale-{number}")).collect();
    let all = || others.iter().map(String::as_str).chain(["heir"]);
    for name in all() {
        world.federate_config_map(name, json!({"x": "y"})).await;
    }
    for name in all() {
        everywhere(&world, name, json!({"x": "y"})).await;
    }
    let before = uid(&world, "heir").await;
    world.members["b"].faults().set_api(ApiState::Down);
    world.pass(20).await;
    for name in all() {
        world.delete("host", federated(name)).await;
    }
    for name in all() {
        let gone = async |world: &World| {
            let found = world.find("host", TYPES, "FederatedConfigMap", "shop", name);
            found.await.is_none()
        };
        world.until("the deletion ends", gone).await;
    }
    let wrong = json!({"op": "remove", "path": "/data/none"});
    let spec = json!({"template": {"data": {"x": "new"}}, "placement": {"clusterSelector": {}},
        "overrides": [{"clusterName": "b", "clusterOverrides": [wrong]}]});
    world.federate("FederatedConfigMap", "heir", spec).await;
    world.members["b"].faults().set_api(ApiState::Up);
    for name in &others {
        let gone = async |world: &World| world.config_map("b", name).await.is_none();
        world.until("it is made good", gone).await;
    }
    world.pass(60).await;
    assert_eq!(uid(&world, "heir").await, before);
    assert!(tombstones(&world) > 0, "it is owed until somebody has it");
    let right = json!({"template": {"data": {"x": "new"}}, "placement": {"clusterSelector": {}}});
    world.federate("FederatedConfigMap", "heir", right).await;
    everywhere(&world, "heir", json!({"x": "new"})).await;
    world
        .until("nothing is owed", async |world| tombstones(world) == 0)
        .await;
    assert_eq!(uid(&world, "heir").await, before, "it was taken over");
}

#[tokio::test(start_paused = true)]
async fn an_object_of_somebody_else_is_left_alone_until_it_goes() {
    let world = World::start(TWO, json!({})).await;
    let theirs =
        json!({"metadata": {"name": "prices", "namespace": "shop"}, "data": {"x": "theirs"}});
    world
        .create("b", with_type("v1", "ConfigMap", theirs))
        .await;
    world
        .federate_config_map("prices", json!({"x": "ours"}))
        .await;
    world
        .until("the status says so", async |world| {
            world.cluster_status("prices", "b").await.as_deref() == Some("AlreadyExists")
        })
        .await;
    assert_eq!(world.data("a", "prices").await, json!({"x": "ours"}));
    world.pass(60).await;
    let found = world.config_map("b", "prices").await.expect("it is there");
    assert_eq!(found["data"], json!({"x": "theirs"}));
    assert!(found["metadata"]["annotations"].is_null(), "{found}");
    world.delete("b", config_map("prices")).await;
    everywhere(&world, "prices", json!({"x": "ours"})).await;
}

#[tokio::test(start_paused = true)]
async fn what_was_adopted_is_released_and_never_deleted() {
    let settings = json!({"syncController": {"adoptResources": "Enabled"}});
    let world = World::start(TWO, settings).await;
    let theirs = json!({"metadata": {"name": "prices", "namespace": "shop"},
        "data": {"x": "theirs", "y": "theirs"}});
    world
        .create("b", with_type("v1", "ConfigMap", theirs))
        .await;
    world
        .federate_config_map("prices", json!({"x": "ours"}))
        .await;
    world
        .until("it is taken over", async |world| {
            world.data("b", "prices").await["x"] == "ours" && world.is_propagated("prices").await
        })
        .await;
    assert_eq!(world.data("b", "prices").await["y"], "theirs");
    let only_a = json!({"template": {"data": {"x": "ours"}},
        "placement": {"clusters": [{"name": "a"}]}});
    world.federate("FederatedConfigMap", "prices", only_a).await;
    world
        .until("it is released", async |world| {
            let found = world.config_map("b", "prices").await.expect("it stays");
            found["metadata"]["labels"]["kubefed.io/managed"].is_null()
        })
        .await;
    world.pass(30).await;
    assert!(world.config_map("b", "prices").await.is_some());
}

#[tokio::test(start_paused = true)]
async fn leaving_a_placement_deletes_what_was_made() {
    let world = World::start(TWO, json!({})).await;
    world.federate_config_map("prices", json!({"x": "y"})).await;
    everywhere(&world, "prices", json!({"x": "y"})).await;
    let only_a = json!({"template": {"data": {"x": "y"}},
        "placement": {"clusterSelector": {"matchLabels": {"name": "a"}}}});
    world.federate("FederatedConfigMap", "prices", only_a).await;
    world
        .until("it is gone from b", async |world| {
            world.config_map("b", "prices").await.is_none()
        })
        .await;
    world
        .until("the status forgets b", async |world| {
            world.cluster_status("prices", "b").await.is_none()
        })
        .await;
    assert!(world.config_map("a", "prices").await.is_some());
}

#[tokio::test(start_paused = true)]
async fn an_orphaned_object_leaves_its_copies_without_marks() {
    let world = World::start(TWO, json!({})).await;
    world.federate_config_map("prices", json!({"x": "y"})).await;
    everywhere(&world, "prices", json!({"x": "y"})).await;
    let orphan = json!({"metadata": {"annotations": {"kubefed.io/orphan": "true"}}});
    world.patch("host", federated("prices"), orphan).await;
    world.delete("host", federated("prices")).await;
    world
        .until("the deletion ends", async |world| {
            world
                .find("host", TYPES, "FederatedConfigMap", "shop", "prices")
                .await
                .is_none()
        })
        .await;
    for member in TWO {
        let found = world.config_map(member, "prices").await.expect("it stays");
        assert!(
            found["metadata"]["labels"]["kubefed.io/managed"].is_null(),
            "{found}"
        );
        assert_eq!(found["data"], json!({"x": "y"}));
    }
}

#[tokio::test(start_paused = true)]
async fn an_override_that_does_not_fit_fails_in_its_own_cluster_only() {
    let world = World::start(TWO, json!({})).await;
    let spec = json!({"template": {"data": {"x": "y"}}, "placement": {"clusterSelector": {}},
        "overrides": [{"clusterName": "b", "clusterOverrides": [
            {"op": "remove", "path": "/data/none"}]}]});
    world.federate("FederatedConfigMap", "prices", spec).await;
    world
        .until("the status says so", async |world| {
            world.cluster_status("prices", "b").await.as_deref() == Some("ApplyOverridesFailed")
                && world.cluster_status("prices", "a").await.as_deref() == Some("")
        })
        .await;
    assert!(world.config_map("b", "prices").await.is_none());
}

#[tokio::test(start_paused = true)]
async fn a_template_that_a_member_refuses_is_told_in_the_members_words() {
    let world = World::start(TWO, json!({})).await;
    let spec = json!({"template": {"data": {"not a key": "y"}},
        "placement": {"clusterSelector": {}}});
    world.federate("FederatedConfigMap", "prices", spec).await;
    world
        .until("the status says so", async |world| {
            world.cluster_status("prices", "a").await.as_deref() == Some("CreationFailed")
        })
        .await;
    let status = world.status("prices").await;
    let message = status["clusters"][0]["message"]
        .as_str()
        .unwrap_or_default();
    assert!(message.contains("not a key"), "{status}");
}

#[tokio::test(start_paused = true)]
async fn a_type_that_is_disabled_changes_nothing_any_more() {
    let world = World::start(TWO, json!({})).await;
    world.federate_config_map("prices", json!({"x": "y"})).await;
    everywhere(&world, "prices", json!({"x": "y"})).await;
    let config = (
        "core.kubefed.io/v1beta1",
        "FederatedTypeConfig",
        SYSTEM,
        "configmaps",
    );
    world
        .patch("host", config, json!({"spec": {"propagation": "Disabled"}}))
        .await;
    world
        .until("the status says so", async |world| {
            let (version, kind, namespace, name) = config;
            let found = world.find("host", version, kind, namespace, name).await;
            found.is_some_and(|found| found["status"]["propagationController"] == "NotRunning")
        })
        .await;
    world.federate_config_map("prices", json!({"x": "z"})).await;
    world.pass(30).await;
    for member in TWO {
        assert_eq!(world.data(member, "prices").await, json!({"x": "y"}));
    }
    world
        .patch("host", config, json!({"spec": {"propagation": "Enabled"}}))
        .await;
    everywhere(&world, "prices", json!({"x": "z"})).await;
}

#[tokio::test(start_paused = true)]
async fn a_standby_takes_over_and_two_never_write() {
    let mut world = World::furnished(TWO, json!({})).await;
    let leader = world.start_controller().await;
    world.pass(1).await;
    world.start_controller().await;
    world.federate_config_map("one", json!({"x": "y"})).await;
    everywhere(&world, "one", json!({"x": "y"})).await;
    world.forget_requests();
    leader.cancel();
    world.federate_config_map("two", json!({"x": "y"})).await;
    let took = everywhere(&world, "two", json!({"x": "y"})).await;
    assert!(took < Duration::from_secs(20), "{took:?}");
    for member in TWO {
        assert_eq!(world.writes(member), ["1 patch configmaps/ 201"]);
    }
}

#[tokio::test(start_paused = true)]
async fn a_fight_is_held_back_and_told() {
    let world = World::start(&["a"], json!({})).await;
    world
        .federate_config_map("prices", json!({"x": "ours"}))
        .await;
    everywhere(&world, "prices", json!({"x": "ours"})).await;
    world.forget_requests();
    for _ in 0..200 {
        if world.data("a", "prices").await["x"] == "ours" {
            let theirs = json!({"data": {"x": "theirs"}});
            world.patch("a", config_map("prices"), theirs).await;
        }
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    let applied: u64 = world.members["a"]
        .requests()
        .count(|kind| kind.field_manager == "meridian");
    assert!(applied <= 6, "applied {applied} times");
    let status = world.status("prices").await;
    let message = status["clusters"][0]["message"]
        .as_str()
        .unwrap_or_default();
    assert!(message.contains("it is changed back"), "{status}");
}

#[tokio::test(start_paused = true)]
async fn what_lasts_is_one_event_that_is_counted_by_whoever_leads() {
    let mut world = World::furnished(TWO, json!({})).await;
    let first = world.start_controller().await;
    world
        .federate_config_map("prices", json!({"not a key": "x"}))
        .await;
    world.pass(30).await;
    let told = world.events("prices", "Rejected").await;
    assert_eq!(told.len(), 2, "one per member: {told:#?}");
    first.cancel();
    world.pass(1).await;
    world.start_controller().await;
    world.pass(120).await;
    assert_eq!(
        world.events("prices", "Rejected").await,
        told,
        "nobody tells it again"
    );
    world.pass(600).await;
    let counted = world.events("prices", "Rejected").await;
    assert_eq!(counted.len(), 2, "{counted:#?}");
    for event in counted {
        assert_eq!(event["series"]["count"], 2, "{event:#}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_host_whose_watches_are_far_behind_has_nothing_deleted_that_is_wanted_again() {
    let world = World::start(TWO, json!({})).await;
    let placed = |members: &[&str]| {
        let members: Vec<Value> = members.iter().map(|name| json!({"name": name})).collect();
        json!({"template": {"data": {"k": "v"}}, "placement": {"clusters": members}})
    };
    world
        .federate("FederatedConfigMap", "late", placed(&["a", "b"]))
        .await;
    everywhere(&world, "late", json!({"k": "v"})).await;
    let uid = async || {
        let held = world.config_map("a", "late").await;
        held.map(|held| held["metadata"]["uid"].clone())
    };
    let before = uid().await;
    assert!(before.is_some());

    let rule = FaultRule {
        verbs: Vec::new(),
        resources: vec!["federatedconfigmaps.types.kubefed.io".to_owned()],
        probability: 1.0,
        effect: Effect::StaleEvents {
            delay_millis: 10_000,
        },
    };
    world.host.faults().set_rules(vec![rule], 1);
    for members in [&["b"][..], &["a", "b"]] {
        world
            .federate("FederatedConfigMap", "late", placed(members))
            .await;
    }
    world.forget_requests();
    world.pass(60).await;
    assert_eq!(uid().await, before);
    let deletions = world.writes("a");
    assert!(
        !deletions.iter().any(|write| write.contains("delete")),
        "{deletions:?}"
    );
    let asked = world.host.requests().counts();
    assert!(
        asked
            .iter()
            .any(|count| count.kind.verb == "get"
                && count.kind.resource.contains("federatedconfigmaps")),
        "the host was not asked, so the cache was never behind"
    );
}

#[tokio::test(start_paused = true)]
async fn nor_where_a_label_or_the_namespaces_placement_chose_it() {
    let world = World::start(TWO, json!({})).await;
    let chosen = json!({"template": {"data": {"k": "v"}},
        "placement": {"clusterSelector": {"matchLabels": {"name": "a"}}}});
    world.federate("FederatedConfigMap", "late", chosen).await;
    world
        .until("it is there", async |world| {
            world.config_map("a", "late").await.is_some()
        })
        .await;
    let late = |resource: &str| FaultRule {
        verbs: Vec::new(),
        resources: vec![resource.to_owned()],
        probability: 1.0,
        effect: Effect::StaleEvents {
            delay_millis: 10_000,
        },
    };
    let member = ("core.kubefed.io/v1beta1", "KubeFedCluster", SYSTEM, "a");
    let namespace = (TYPES, "FederatedNamespace", "shop", "shop");
    let before = world
        .find("host", TYPES, "FederatedNamespace", "shop", "shop")
        .await;
    let generation = before.and_then(|it| it["metadata"]["generation"].as_i64());
    let left = generation.expect("it has one") + 1;
    let confirmed = json!({"annotations": {ANNOTATION_CONFIRMED: format!("{left}:*")}});
    let elsewhere = json!({"matchLabels": {"name": "b"}});
    for (resource, at, away, back) in [
        (
            "kubefedclusters.core.kubefed.io",
            member,
            json!({"metadata": {"labels": {"name": "z"}}}),
            json!({"metadata": {"labels": {"name": "a"}}}),
        ),
        (
            "federatednamespaces.types.kubefed.io",
            namespace,
            json!({"metadata": confirmed, "spec": {"placement": {"clusterSelector": elsewhere}}}),
            json!({"spec": {"placement": {"clusterSelector": {"matchLabels": null}}}}),
        ),
    ] {
        world.host.faults().set_rules(vec![late(resource)], 1);
        world.forget_requests();
        world.patch("host", at, away).await;
        world.patch("host", at, back).await;
        world.pass(60).await;
        let writes = world.writes("a");
        assert!(writes.is_empty(), "{resource}: {writes:?}");
        let asked = world.host.requests().counts();
        let verb = if at == member { "list" } else { "get" };
        let mut kinds = asked.iter().map(|count| &count.kind);
        assert!(
            kinds.any(|kind| kind.verb == verb && resource.starts_with(&kind.resource)),
            "the host was not asked for {resource}: {asked:?}"
        );
        world.host.faults().set_rules(Vec::new(), 1);
    }
}

#[tokio::test(start_paused = true)]
async fn a_status_that_somebody_wrote_is_put_right_at_one_look_and_that_is_no_news() {
    let world = World::start(TWO, json!({})).await;
    let spec = json!({"template": {"data": {"k": "v"}}, "placement": {"clusterSelector": {}}});
    world.federate("FederatedConfigMap", "told", spec).await;
    everywhere(&world, "told", json!({"k": "v"})).await;
    world.pass(30).await;
    let before = world.reconciliations();
    assert!(before > 0, "it was looked at");
    world.pass(30).await;
    assert_eq!(world.reconciliations(), before, "nothing happens");
    let status = Patch::Merge(json!({"status": {"clusters": []}}));
    let api = world.api("host", TYPES, "FederatedConfigMap", "shop");
    let somebody = PatchParams::default();
    let patched = api.patch_status("told", &somebody, &status).await;
    patched.expect("somebody may");
    world.pass(30).await;
    let clusters = world.status("told").await["clusters"].clone();
    assert_eq!(clusters.as_array().map(Vec::len), Some(2), "{clusters}");
    assert_eq!(world.reconciliations(), before + 1);
}
