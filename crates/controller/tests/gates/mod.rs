//! KubeFed's feature gates: what they switch off rests, and goes on when they are switched on.

use crate::world::{SYSTEM, World, with_type};
use serde_json::{Value, json};

const CONFIG: (&str, &str, &str, &str) = (
    "core.kubefed.io/v1beta1",
    "KubeFedConfig",
    SYSTEM,
    "kubefed",
);

fn gate(name: &str, configuration: &str) -> Value {
    json!({"featureGates": [{"name": name, "configuration": configuration}]})
}

async fn switch_on(world: &World, name: &str) {
    let spec = json!({"spec": gate(name, "Enabled")});
    world.patch("host", CONFIG, spec).await;
}

#[tokio::test(start_paused = true)]
async fn without_the_push_reconciler_nothing_is_propagated() {
    let world = World::furnished(&["a"], gate("PushReconciler", "Disabled")).await;
    let mut world = world;
    world.start_controller().await;
    world
        .federate_config_map("prices", json!({"currency": "EUR"}))
        .await;
    world.pass(60).await;
    assert_eq!(world.config_map("a", "prices").await, None);
    switch_on(&world, "PushReconciler").await;
    world
        .until("it is propagated", async |world| {
            world.is_propagated("prices").await
        })
        .await;
}

#[tokio::test(start_paused = true)]
async fn without_scheduler_preferences_the_templates_replicas_are_everywhere() {
    let world = World::start(&["a", "b"], gate("SchedulerPreferences", "Disabled")).await;
    let preference = json!({"metadata": {"namespace": "shop", "name": "web"},
        "spec": {"targetKind": "FederatedDeployment", "totalReplicas": 8}});
    let version = "scheduling.kubefed.io/v1alpha1";
    let preference = with_type(version, "ReplicaSchedulingPreference", preference);
    world.apply("host", preference).await;
    let spec = json!({"template": {"spec": {"replicas": 1,
            "selector": {"matchLabels": {"app": "web"}},
            "template": {"metadata": {"labels": {"app": "web"}}, "spec": {"containers": [
                {"name": "web", "image": "web:1"}]}}}},
        "placement": {"clusterSelector": {}}});
    world.federate("FederatedDeployment", "web", spec).await;
    let replicas = async |world: &World| {
        let mut replicas = Vec::new();
        for member in ["a", "b"] {
            let web = world.find(member, "apps/v1", "Deployment", "shop", "web");
            replicas.push(web.await.map(|web| web["spec"]["replicas"].clone()));
        }
        replicas
    };
    world.pass(60).await;
    assert_eq!(replicas(&world).await, [Some(json!(1)), Some(json!(1))]);
    switch_on(&world, "SchedulerPreferences").await;
    world
        .until("it is divided", async |world| {
            replicas(world).await == [Some(json!(4)), Some(json!(4))]
        })
        .await;
}
