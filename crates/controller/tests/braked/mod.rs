//! The deletion brake, over a whole world: a mistake empties no member, however much is reconciled at
//! once.

use crate::world::{TYPES, World};
use federation::ANNOTATION_CONFIRMED;
use futures::future::join_all;
use serde_json::{Value, json};

/// Objects in the member; twenty of them may go.
const OBJECTS: usize = 100;

async fn held(world: &World, member: &str) -> usize {
    let config_maps = world.api(member, "v1", "ConfigMap", "shop");
    let listed = config_maps.list(&Default::default()).await.expect("a list");
    let ours = listed.items.iter().filter(|object| {
        let labels = object.metadata.labels.as_ref();
        labels.is_some_and(|labels| labels.contains_key("kubefed.io/managed"))
    });
    ours.count()
}

fn name(number: usize) -> String {
    format!("kept-{number}")
}

async fn filled(world: &World) {
    let spec = json!({"template": {"data": {"currency": "EUR"}},
        "placement": {"clusterSelector": {"matchLabels": {"name": "a"}}}});
    for number in 0..OBJECTS {
        world
            .federate("FederatedConfigMap", &name(number), spec.clone())
            .await;
    }
    world
        .until("all is propagated", async |world| {
            held(world, "a").await == OBJECTS
        })
        .await;
    world.pass(10).await;
}

/// How many say that they are braked.
async fn braked(world: &World) -> usize {
    let mut braked = 0;
    for number in 0..OBJECTS {
        let status = world.status(&name(number)).await;
        let told = status["conditions"].to_string();
        braked += usize::from(told.contains("DeletionBraked"));
    }
    braked
}

#[tokio::test(start_paused = true)]
async fn a_label_that_changes_takes_twenty_of_a_hundred_objects_and_no_more_until_somebody_confirms()
 {
    let world = World::start(&["a"], json!({})).await;
    filled(&world).await;
    let member = (
        "core.kubefed.io/v1beta1",
        "KubeFedCluster",
        crate::SYSTEM,
        "a",
    );
    let label = json!({"metadata": {"labels": {"name": "other"}}});
    world.patch("host", member, label).await;
    world.pass(60).await;
    assert_eq!(held(&world, "a").await, OBJECTS - 20);
    assert_eq!(braked(&world).await, OBJECTS - 20);

    // Of those that stay, one is confirmed.
    let mut stays = None;
    for number in 0..OBJECTS {
        if world.config_map("a", &name(number)).await.is_some() {
            stays = Some(name(number));
        }
    }
    let stays = stays.expect("most of them stay");
    let confirm = json!({"metadata": {"annotations": {ANNOTATION_CONFIRMED: "1:*"}}});
    let at = (TYPES, "FederatedConfigMap", "shop", stays.as_str());
    world.patch("host", at, confirm).await;
    world.pass(10).await;
    assert_eq!(held(&world, "a").await, OBJECTS - 21);
    assert_eq!(world.config_map("a", &stays).await, None);
}

#[tokio::test(start_paused = true)]
async fn federated_objects_that_are_deleted_together_are_braked_too() {
    let world = World::start(&["a"], json!({})).await;
    filled(&world).await;
    let names: Vec<String> = (0..OBJECTS).map(name).collect();
    let federated = |name| (TYPES, "FederatedConfigMap", "shop", name);
    let deletions = names
        .iter()
        .map(|name| world.delete("host", federated(name.as_str())));
    join_all(deletions).await;
    world.pass(60).await;
    assert_eq!(held(&world, "a").await, OBJECTS - 20);
}

/// How many deletions in `a` the Lease says to the next leader.
async fn left(world: &World) -> u64 {
    let leases = world.api("host", "coordination.k8s.io/v1", "Lease", crate::SYSTEM);
    let leases = leases.list(&Default::default()).await.expect("a list");
    let said = leases.iter().find_map(|lease| {
        let annotations = lease.metadata.annotations.as_ref()?;
        let text = annotations.get("meridian.dev/deletions")?;
        serde_json::from_str::<Value>(text).ok()?["a"].as_u64()
    });
    said.unwrap_or(0)
}

#[tokio::test(start_paused = true)]
async fn a_change_of_leaders_lets_no_more_deletions_pass() {
    let mut world = World::furnished(&["a"], json!({})).await;
    let first = world.start_controller().await;
    filled(&world).await;
    let version = "core.kubefed.io/v1beta1";
    let member = (version, "KubeFedCluster", crate::SYSTEM, "a");
    let label = json!({"metadata": {"labels": {"name": "other"}}});
    world.patch("host", member, label).await;
    world
        .until("as many are gone as may go", async |world| {
            let gone = OBJECTS - held(world, "a").await;
            assert!(
                left(world).await >= gone as u64,
                "it is said before it is done"
            );
            gone == 20
        })
        .await;
    first.cancel();
    world.pass(1).await;
    assert_eq!(left(&world).await, 20);

    world.start_controller().await;
    world.pass(280).await;
    assert_eq!(held(&world, "a").await, OBJECTS - 20);
    assert_eq!(braked(&world).await, OBJECTS - 20);
    // When nothing is deleted any more the Lease forgets.
    world.pass(120).await;
    assert_eq!(held(&world, "a").await, OBJECTS - 20, "nobody confirmed");
    assert_eq!(left(&world).await, 0);
}
