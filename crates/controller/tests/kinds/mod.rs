//! Kinds that nobody shipped: with replicas that are divided, and with versions that members do not
//! share.

use crate::world::{SYSTEM, TYPES, World, with_type};
use api::Replicas;
use serde_json::{Value, json};

const GROUP: &str = "example.org";

/// The definition of widgets, served in one version.
fn definition(version: &str) -> Value {
    let schema = json!({"type": "object", "x-kubernetes-preserve-unknown-fields": true});
    let version = json!({"name": version, "served": true, "storage": true,
        "schema": {"openAPIV3Schema": schema}});
    let crd = json!({"metadata": {"name": format!("widgets.{GROUP}")},
        "spec": {"group": GROUP, "scope": "Namespaced", "versions": [version],
            "names": {"kind": "Widget", "listKind": "WidgetList", "plural": "widgets",
                "singular": "widget"}}});
    with_type("apiextensions.k8s.io/v1", "CustomResourceDefinition", crd)
}

/// Federates widgets of v1.
async fn federate_widgets(world: &World) {
    let config = json!({"metadata": {"name": format!("widgets.{GROUP}"), "namespace": SYSTEM},
        "spec": {"propagation": "Enabled",
            "targetType": {"group": GROUP, "version": "v1", "kind": "Widget",
                "pluralName": "widgets", "scope": "Namespaced"},
            "federatedType": {"group": "types.kubefed.io", "version": "v1beta1",
                "kind": "FederatedWidget", "pluralName": "federatedwidgets",
                "scope": "Namespaced"}}});
    let config = with_type("core.kubefed.io/v1beta1", "FederatedTypeConfig", config);
    let read: api::FederatedTypeConfig = serde_json::from_value(config.clone()).expect("a config");
    let federated = read.read().expect("a type");
    let crd = json!(api::federated_crd(&federated, None, Replicas::Counted));
    let crd = with_type("apiextensions.k8s.io/v1", "CustomResourceDefinition", crd);
    world.apply("host", crd).await;
    world.apply("host", config).await;
}

#[tokio::test(start_paused = true)]
async fn a_member_that_serves_another_version_is_told_of_with_type_and_version() {
    let mut world = World::furnished(&["a", "b"], json!({})).await;
    world.apply("a", definition("v1")).await;
    world.apply("b", definition("v1beta1")).await;
    federate_widgets(&world).await;
    world.start_controller().await;
    let spec =
        json!({"template": {"spec": {"colour": "red"}}, "placement": {"clusterSelector": {}}});
    world.federate("FederatedWidget", "wheel", spec).await;
    let told = async |world: &World, member: &str| {
        let found = world.find("host", TYPES, "FederatedWidget", "shop", "wheel");
        let status = found.await.unwrap_or_default()["status"].clone();
        let clusters = status["clusters"].as_array().cloned().unwrap_or_default();
        clusters.into_iter().find(|it| it["name"] == member)
    };
    world
        .until("a has it, and b says why it has not", async |world| {
            let there = world
                .find("a", "example.org/v1", "Widget", "shop", "wheel")
                .await;
            let why = told(world, "b").await.unwrap_or_default();
            there.is_some() && why["status"] == "RetrievalFailed"
        })
        .await;
    let why = told(&world, "b").await.expect("it is told");
    let message = why["message"].as_str().unwrap_or_default();
    assert!(
        message.starts_with("the member does not serve example.org/v1 Widget"),
        "{why}"
    );
    let other = world.find("b", "example.org/v1beta1", "Widget", "shop", "wheel");
    assert_eq!(other.await, None, "nothing is written in another version");

    // The version comes, and nobody starts anything again.
    world.apply("b", definition("v1")).await;
    world
        .until("b has it too", async |world| {
            let there = world
                .find("b", "example.org/v1", "Widget", "shop", "wheel")
                .await;
            there.is_some()
        })
        .await;
}

fn preference(kind: &str, total: i64) -> Value {
    let clusters = json!({"a": {"weight": 3}, "b": {"weight": 1}});
    let preference = json!({"metadata": {"namespace": "shop", "name": "web"},
        "spec": {"targetKind": kind, "totalReplicas": total, "clusters": clusters}});
    let version = "scheduling.kubefed.io/v1alpha1";
    with_type(version, "ReplicaSchedulingPreference", preference)
}

async fn replicas(world: &World, version: &str, kind: &str) -> [Value; 2] {
    let mut replicas = [Value::Null, Value::Null];
    for (member, replicas) in ["a", "b"].into_iter().zip(&mut replicas) {
        let found = world.find(member, version, kind, "shop", "web").await;
        *replicas = found.unwrap_or_default()["spec"]["replicas"].clone();
    }
    replicas
}

/// Asks for two totals, one after the other, and waits for each one's shares.
async fn until_divided(world: &World, version: &str, kind: &str) {
    for (total, shares) in [(8, [6, 2]), (4, [3, 1])] {
        let preference = preference(&format!("Federated{kind}"), total);
        world.apply("host", preference).await;
        let shares = shares.map(|it| json!(it));
        world
            .until("it is divided", async |world| {
                replicas(world, version, kind).await == shares
            })
            .await;
    }
}

#[tokio::test(start_paused = true)]
async fn a_preference_divides_the_replicas_of_stateful_sets() {
    let world = World::start(&["a", "b"], json!({})).await;
    let labels = json!({"app": "web"});
    let spec = json!({"placement": {"clusterSelector": {}}, "template": {"spec": {
        "replicas": 1, "serviceName": "web", "selector": {"matchLabels": labels},
        "template": {"metadata": {"labels": labels},
            "spec": {"containers": [{"name": "web", "image": "web:1"}]}}}}});
    world.federate("FederatedStatefulSet", "web", spec).await;
    until_divided(&world, "apps/v1", "StatefulSet").await;
}

#[tokio::test(start_paused = true)]
async fn a_preference_divides_the_replicas_of_a_kind_that_somebody_defined() {
    let mut world = World::furnished(&["a", "b"], json!({})).await;
    for member in ["a", "b"] {
        world.apply(member, definition("v1")).await;
    }
    federate_widgets(&world).await;
    world.start_controller().await;
    let spec = json!({"template": {"spec": {"replicas": 1, "colour": "red"}},
        "placement": {"clusterSelector": {}}});
    world.federate("FederatedWidget", "web", spec).await;
    until_divided(&world, "example.org/v1", "Widget").await;
}
