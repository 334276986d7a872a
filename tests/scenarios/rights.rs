//! What meridian may do on the host is what `deploy/cluster` says, and no more is needed.
//!
//! Whoever runs it in the host cluster gives its service account these roles: a control plane with
//! all roles propagates, divides, answers names and tells what became of everything, and nothing in
//! its log says that something was forbidden.

use meridian_tests::control_plane::free_ports;
use meridian_tests::world::{
    GSLB, ObjectRef, Run, SCHEDULING, SYSTEM, TYPES, World, condition, manifests,
};
use serde_json::{Value, json};
use std::path::Path;

scenarios! {
    alone: the_roles_that_are_shipped_are_enough_for_a_host;
}

async fn the_roles_that_are_shipped_are_enough_for_a_host(world: &mut World, namespace: &str) {
    // Whatever was told already is counted, which takes more than to tell it.
    let everywhere = json!({"clusterSelector": {}});
    let missing = json!([{"path": "/data/missing", "op": "remove"}]);
    let wrong = json!({"template": {"data": {"x": "1"}}, "placement": everywhere,
        "overrides": [{"clusterName": "osaka", "clusterOverrides": missing}]});
    world
        .federate("FederatedConfigMap", namespace, "wrong", wrong)
        .await;
    let wrong = ObjectRef::new(TYPES, "FederatedConfigMap", namespace, "wrong");
    let failed = |object: &Value| condition(object, "Propagation")["status"] == "False";
    world
        .host()
        .until(&wrong, "its override fails", failed)
        .await;
    world.take_controller().stop();
    let folder = tempfile::tempdir().expect("a temporary folder");
    let kubeconfig = folder.path().join("meridian.kubeconfig");
    let shipped = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../deploy/cluster");
    for object in manifests(&shipped) {
        world.host().apply(object).await;
    }
    world
        .write_kubeconfig_of(SYSTEM, "meridian", &kubeconfig)
        .await;
    let [dns] = free_ports();
    let run = Run::all_roles("entitled", ([127, 0, 0, 1], dns).into());
    let meridian = world.run(&run.coming_with(&kubeconfig, &["--v=4"])).await;
    world.until_leads("entitled").await;

    let notes = json!({"template": {"data": {"x": "1"}}, "placement": everywhere});
    world
        .federate("FederatedConfigMap", namespace, "notes", notes)
        .await;
    world
        .until_propagated("FederatedConfigMap", namespace, "notes")
        .await;
    divide(world, namespace).await;
    name(world, namespace).await;
    name_as_kubefed(world, namespace).await;

    // A member that is away is owed a deletion, which is made good when it is back.
    let settings = json!({"deletionGrace": "1s"});
    world.change_settings(settings).await;
    world.break_api("osaka", meridian_tests::world::ApiFault::Down);
    world.until_condition("osaka", "Offline", "True").await;
    let notes = ObjectRef::new(TYPES, "FederatedConfigMap", namespace, "notes");
    world.host().delete(&notes).await;
    world.host().until_gone(&notes).await;
    world.mend_api("osaka").await;
    let there = ObjectRef::new("v1", "ConfigMap", namespace, "notes");
    world.member("osaka").until_gone(&there).await;

    let log = std::fs::read_to_string(meridian.log()).expect("it has a log");
    // Of the host's account: a member that starts may say so of its own for a moment.
    let of_host = |line: &&str| line.contains(":meridian\"") || line.contains(":meridian\\");
    let mut told = log.lines().filter(of_host);
    // A namespace on its way out takes nothing new, from nobody.
    let is_for_want_of_a_right =
        |line: &&str| line.contains("orbidden") && !line.contains("being terminated");
    let refused = told.find(is_for_want_of_a_right);
    assert_eq!(refused, None);
    meridian.stop();
}

async fn divide(world: &World, namespace: &str) {
    world.federate_deployment(namespace, "web").await;
    let preference = json!({
        "apiVersion": SCHEDULING, "kind": "ReplicaSchedulingPreference",
        "metadata": {"namespace": namespace, "name": "web"},
        "spec": {"targetKind": "FederatedDeployment", "totalReplicas": 6},
    });
    let preference = ObjectRef::of(&world.host().apply(preference).await);
    let six = |object: &Value| object["status"]["replicas"] == 6;
    world.host().until(&preference, "six run", six).await;
}

/// A name is steered, and its objects say so.
async fn name(world: &World, namespace: &str) {
    let zone = json!({"apiVersion": GSLB, "kind": "Zone",
        "metadata": {"namespace": SYSTEM, "name": "entitled"},
        "spec": {"domain": "entitled.example.org", "allowedNamespaces": [namespace],
            "nameServers": [{"name": "ns1.entitled.example.org", "addresses": ["192.0.2.53"]}]}});
    let zone = ObjectRef::of(&world.host().apply(zone).await);
    let service = json!({"apiVersion": GSLB, "kind": "GlobalService",
        "metadata": {"namespace": namespace, "name": "web"},
        "spec": {"hosts": ["web.entitled.example.org"], "endpoints": {"static": [
            {"cluster": "berlin", "addresses": ["192.0.2.1"]}]},
            "policy": {"nearest": {}}}});
    let service = ObjectRef::of(&world.host().apply(service).await);
    for at in [&zone, &service] {
        world
            .host()
            .until(at, "it is told what became of it", |object| {
                condition(object, "Served")["status"] == "True"
            })
            .await;
    }
    world.host().delete(&zone).await;
}

/// KubeFed's names are published, and taken back.
async fn name_as_kubefed(world: &World, namespace: &str) {
    const API: &str = "multiclusterdns.kubefed.io/v1alpha1";
    let domain = json!({"apiVersion": API, "kind": "Domain", "domain": "entitled.example.org",
        "metadata": {"namespace": SYSTEM, "name": "entitled"}});
    let of = |kind: &str, spec: Value| json!({"apiVersion": API, "kind": kind, "metadata": {"namespace": namespace, "name": "web"}, "spec": spec});
    let service = of("ServiceDNSRecord", json!({"domainRef": "entitled"}));
    let ingress = of(
        "IngressDNSRecord",
        json!({"hosts": ["web.entitled.example.org"]}),
    );
    world.host().apply(domain).await;
    for (record, endpoint) in [(service, "service-web"), (ingress, "ingress-web")] {
        let at = ObjectRef::of(&world.host().apply(record).await);
        let told = |it: &Value| condition(it, "Published")["reason"] == "NothingOffered";
        world.host().until(&at, "its status is told", told).await;
        let endpoint = ObjectRef::new(API, "DNSEndpoint", namespace, endpoint);
        world
            .host()
            .until(&endpoint, "it is published", |_| true)
            .await;
        world.host().delete(&at).await;
        world.host().until_gone(&endpoint).await;
    }
}
