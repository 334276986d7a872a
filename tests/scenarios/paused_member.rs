//! A member that is paused is left as it is.
//!
//! Somebody works in it, and nothing may move under his hands: `spec.paused` of its KubeFedCluster.
//! What is made, changed and deleted meanwhile reaches the other members, the statuses say why this
//! one lacks it, and it is made good when the pause ends.

use meridian_tests::world::{CORE, ObjectRef, SYSTEM, World, in_cluster};
use serde_json::{Value, json};

scenarios! {
    alone: a_paused_member_is_neither_written_nor_emptied_until_the_pause_ends;
}

async fn a_paused_member_is_neither_written_nor_emptied_until_the_pause_ends(
    world: &mut World,
    namespace: &str,
) {
    let news = set(world, namespace, "news", "1").await;
    let sale = set(world, namespace, "sale", "1").await;
    for member in world.members() {
        for name in ["news", "sale"] {
            let copy = copy(namespace, name);
            member.until(&copy, "it is there", |_| true).await;
        }
    }

    pause(world, true).await;
    let told = |object: &Value| in_cluster(object, "lisbon")["status"] == "ClusterNotReady";
    world
        .host()
        .until(&news, "the status tells of the pause", told)
        .await;
    set(world, namespace, "news", "2").await;
    world.host().delete(&sale).await;
    for name in ["berlin", "osaka"] {
        let member = world.member(name);
        member
            .until(&copy(namespace, "news"), "it is changed", |held| {
                held["data"]["x"] == "2"
            })
            .await;
        member.until_gone(&copy(namespace, "sale")).await;
    }
    let lisbon = world.member("lisbon");
    let held = lisbon.get(&copy(namespace, "news")).await;
    assert_eq!(held["data"]["x"], "1", "{held:#}");
    let kept = lisbon.find(&copy(namespace, "sale")).await;
    assert!(kept.is_some_and(|kept| kept["metadata"]["deletionTimestamp"].is_null()));
    let owed = world.host().get(&sale).await;
    assert!(
        owed["metadata"]["deletionTimestamp"].is_string(),
        "{owed:#}"
    );

    pause(world, false).await;
    lisbon
        .until(&copy(namespace, "news"), "it gets what it missed", |held| {
            held["data"]["x"] == "2"
        })
        .await;
    lisbon.until_gone(&copy(namespace, "sale")).await;
    world.host().until_gone(&sale).await;
}

async fn pause(world: &World, paused: bool) {
    let lisbon = ObjectRef::new(CORE, "KubeFedCluster", SYSTEM, "lisbon");
    let patch = json!({"spec": {"paused": paused}});
    world.host().patch(&lisbon, patch).await;
}

async fn set(world: &World, namespace: &str, name: &str, value: &str) -> ObjectRef {
    let spec = json!({"template": {"data": {"x": value}}, "placement": {"clusterSelector": {}}});
    let made = world
        .federate("FederatedConfigMap", namespace, name, spec)
        .await;
    ObjectRef::of(&made)
}

fn copy(namespace: &str, name: &str) -> ObjectRef {
    ObjectRef::new("v1", "ConfigMap", namespace, name)
}
