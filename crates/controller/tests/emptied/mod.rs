//! A host that lost its federated objects: nothing is deleted in members, and somebody is told.

use crate::world::{SYSTEM, TYPES, World};
use serde_json::{Value, json};

const NAMES: [&str; 3] = ["one", "two", "three"];

async fn told(world: &World) -> Value {
    let version = "core.kubefed.io/v1beta1";
    let config = world.find("host", version, "KubeFedConfig", SYSTEM, "kubefed");
    let config = config.await.expect("the settings");
    let conditions = config["status"]["conditions"].as_array().cloned();
    let mut conditions = conditions.unwrap_or_default();
    conditions.retain(|condition| condition["type"] == "OrphansInMembers");
    conditions.pop().unwrap_or_default()
}

#[tokio::test(start_paused = true)]
async fn a_host_that_was_emptied_deletes_nothing_in_members_and_says_so() {
    let mut world = World::furnished(&["a", "b"], json!({})).await;
    let first = world.start_controller().await;
    for name in NAMES {
        world
            .federate_config_map(name, json!({"currency": "EUR"}))
            .await;
    }
    world
        .until("all is propagated", async |world| {
            let mut all = true;
            for name in NAMES {
                all &= world.is_propagated(name).await;
            }
            all
        })
        .await;
    world.pass(200).await;
    assert_eq!(told(&world).await, Value::Null);
    first.cancel();
    world.pass(1).await;

    // As after a backup from before they were made.
    for name in NAMES {
        let at = (TYPES, "FederatedConfigMap", "shop", name);
        let held = json!({"metadata": {"finalizers": null}});
        world.patch("host", at, held).await;
        world.delete("host", at).await;
    }
    world.forget_requests();
    world.start_controller().await;
    world.pass(200).await;
    for member in ["a", "b"] {
        let none: [String; 0] = [];
        assert_eq!(world.writes(member), none, "{member}");
        for name in NAMES {
            assert!(world.config_map(member, name).await.is_some(), "{name}");
        }
    }
    let condition = told(&world).await;
    let message = condition["message"].as_str().expect("it is told");
    assert!(message.starts_with("3 in a, 3 in b: "), "{message}");
    let events = world.api("host", "events.k8s.io/v1", "Event", SYSTEM);
    let events = events.list(&Default::default()).await.expect("a list");
    let reasons = events.iter().map(|event| event.data["reason"].clone());
    let reasons: Vec<Value> = reasons
        .filter(|reason| *reason == "OrphansInMembers")
        .collect();
    assert_eq!(reasons.len(), 1, "told once");

    // Somebody sees to them, and it is over.
    for name in NAMES {
        for member in ["a", "b"] {
            world
                .delete(member, ("v1", "ConfigMap", "shop", name))
                .await;
        }
    }
    world.pass(200).await;
    assert_eq!(told(&world).await, Value::Null);
}
