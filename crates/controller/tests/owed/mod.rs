//! More deletions owed to a member that is away than fall together in one MemberTombstone.

use crate::world::{SYSTEM, TYPES, World};
use federation::ANNOTATION_CONFIRMED;
use futures::future::join_all;
use pocketkube::ApiState;
use serde_json::{Value, json};

/// More than are reconciled at once.
const OBJECTS: usize = 140;

fn name(number: usize) -> String {
    format!("sale-{number}")
}

/// Objects of a kind.
async fn count(world: &World, cluster: &str, (api_version, kind): (&str, &str)) -> usize {
    let objects = world.api(cluster, api_version, kind, "shop");
    let listed = objects.list(&Default::default()).await.expect("a list");
    let ours = |name: &str| name.starts_with("sale-");
    let found = listed.items.iter();
    let found = found.filter(|object| object.metadata.name.as_deref().is_some_and(ours));
    found.count()
}

/// Entries of each tombstone.
fn owed(world: &World) -> Vec<usize> {
    let kind = world
        .host
        .resource("federation.meridian.dev/v1alpha1", "MemberTombstone");
    let found = world.host.list(&kind.expect("served"), Some(SYSTEM));
    let entries = |object: &Value| object["spec"]["entries"].as_array().map_or(0, Vec::len);
    found.iter().map(|object| entries(object)).collect()
}

#[tokio::test(start_paused = true)]
async fn what_is_owed_in_several_tombstones_is_made_good_to_the_last() {
    let world = World::start(&["a", "b"], json!({"deletionGrace": "5s"})).await;
    let spec = json!({"template": {"data": {"x": "y"}}, "placement": {"clusterSelector": {}}});
    for number in 0..OBJECTS {
        let name = name(number);
        world
            .federate("FederatedConfigMap", &name, spec.clone())
            .await;
    }
    world
        .until("all is propagated", async |world| {
            count(world, "b", ("v1", "ConfigMap")).await == OBJECTS
        })
        .await;
    world.pass(20).await;
    world.members["b"].faults().set_api(ApiState::Down);
    world.pass(20).await;
    let deleted = (0..OBJECTS).map(async |number| {
        let name = name(number);
        world
            .delete("host", (TYPES, "FederatedConfigMap", "shop", &name))
            .await;
    });
    join_all(deleted).await;
    // So many at once are braked.
    for number in 0..OBJECTS {
        let name = name(number);
        let found = world.find("host", TYPES, "FederatedConfigMap", "shop", &name);
        let Some(found) = found.await else { continue };
        let confirmed = format!("{}:*", found["metadata"]["generation"]);
        let confirmed = json!({"metadata": {"annotations": {ANNOTATION_CONFIRMED: confirmed}}});
        let at = (TYPES, "FederatedConfigMap", "shop", name.as_str());
        world.patch("host", at, confirmed).await;
    }
    world
        .until("every deletion ends", async |world| {
            count(world, "host", (TYPES, "FederatedConfigMap")).await == 0
        })
        .await;
    let entries = owed(&world);
    assert_eq!(entries.iter().sum::<usize>(), OBJECTS, "{entries:?}");
    assert!(entries.len() > 1, "{entries:?}");
    assert_eq!(count(&world, "a", ("v1", "ConfigMap")).await, 0);
    world.members["b"].faults().set_api(ApiState::Up);
    world
        .until("nothing is owed", async |world| owed(world).is_empty())
        .await;
    assert_eq!(count(&world, "b", ("v1", "ConfigMap")).await, 0);
}
