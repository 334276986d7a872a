//! KubeFed that comes back after the move: the leader sees its lock being renewed and says so.

use crate::world::{SYSTEM, World, with_type};
use serde_json::{Value, json};

const CONFIG: &str = "core.kubefed.io/v1beta1";
const LOCK: &str = "kubefed-controller-manager";

/// The condition that says so.
async fn told(world: &World) -> Option<String> {
    let config = world
        .find("host", CONFIG, "KubeFedConfig", SYSTEM, "kubefed")
        .await;
    let config = config.expect("the settings");
    let conditions = config["status"]["conditions"].as_array()?;
    let found = conditions.iter().find(|it| it["type"] == "KubeFedRuns")?;
    assert_eq!(found["status"], "True");
    found["message"].as_str().map(str::to_owned)
}

/// A lock as KubeFed's controller writes it, for the nth time.
fn lock(kind: &str, holder: &str, renewals: usize) -> Value {
    let metadata = json!({"name": LOCK, "namespace": SYSTEM});
    if kind == "Lease" {
        let spec = json!({"holderIdentity": holder, "leaseDurationSeconds": 15,
            "renewTime": format!("2026-01-01T00:{:02}:{:02}.000000Z", renewals / 60, renewals % 60)});
        let lease = json!({"metadata": metadata, "spec": spec});
        return with_type("coordination.k8s.io/v1", "Lease", lease);
    }
    let record = json!({"holderIdentity": holder, "leaseDurationSeconds": 15,
        "renewTime": renewals.to_string()});
    let mut object = json!({"metadata": metadata});
    object["metadata"]["annotations"] =
        json!({"control-plane.alpha.kubernetes.io/leader": record.to_string()});
    with_type("v1", "ConfigMap", object)
}

async fn renew(world: &World, kind: &str, holder: &str, times: usize) {
    for renewal in 0..times {
        world.apply("host", lock(kind, holder, renewal)).await;
        world.pass(5).await;
    }
}

async fn comes_back_and_rests(kind: &str) {
    let world = World::start(&["a"], json!({})).await;
    // What KubeFed left behind says nothing.
    renew(&world, kind, "kubefed-0", 1).await;
    world.pass(180).await;
    assert_eq!(told(&world).await, None, "a lock that nobody renews");

    renew(&world, kind, "kubefed-1", 12).await;
    let message = told(&world).await.expect("it is told within a minute");
    let lock = format!("kubefed-1 renews its lock, {kind} {SYSTEM}/{LOCK}.");
    assert!(message.contains(&lock), "{message}");
    let events = world.api("host", "events.k8s.io/v1", "Event", SYSTEM);
    let events = events.list(&Default::default()).await.expect("a list");
    let told_events = events
        .iter()
        .filter(|event| event.data["reason"] == "KubeFedRuns")
        .count();
    assert_eq!(told_events, 1);

    world.pass(120).await;
    assert_eq!(told(&world).await, None, "it rests");

    // It comes once more, and gives its lock back as it ends.
    renew(&world, kind, "kubefed-2", 12).await;
    assert!(told(&world).await.is_some());
    world.apply("host", self::lock(kind, "", 99)).await;
    world.pass(40).await;
    assert_eq!(told(&world).await, None, "it is nobody's");
}

#[tokio::test(start_paused = true)]
async fn kubefed_that_renews_its_config_map_is_told_of_until_it_rests() {
    comes_back_and_rests("ConfigMap").await;
}

#[tokio::test(start_paused = true)]
async fn kubefed_that_renews_its_lease_is_told_of_until_it_rests() {
    comes_back_and_rests("Lease").await;
}
