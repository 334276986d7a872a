//! Where endpoints come from besides Services of type LoadBalancer: an Ingress in a member, and a
//! Service of type NodePort at its nodes.

use crate::front::{FRONT, offer_front};
use k8s_openapi::api::core::v1::Node;
use kube::Api;
use kube::api::{Patch, PatchParams};
use meridian_tests::world::{GSLB, ObjectRef, World};
use serde_json::{Value, json};

scenarios! {
    shared:
        an_ingress_in_a_member_is_an_endpoint_with_its_load_balancers_address,
        a_node_port_is_an_endpoint_at_the_nodes_that_are_ready;
}

async fn an_ingress_in_a_member_is_an_endpoint_with_its_load_balancers_address(
    world: &World,
    namespace: &str,
) {
    world.federate_namespace(namespace).await;
    global(world, namespace, json!({"ingress": {"name": FRONT}})).await;
    // One that no member has, and whose kind no member serves, is no fault.
    let service = json!({"gateway": {"name": FRONT}});
    world
        .host()
        .apply(manifest(namespace, "gateway", service))
        .await;
    let reached_at = json!([{"ip": "192.0.2.80"}, {"hostname": "lb.osaka.example"}]);
    offer_front(world.member("osaka"), namespace, reached_at).await;
    until_offered(world, namespace, |osaka| {
        osaka["addresses"] == json!(["192.0.2.80"])
            && osaka["hostnames"] == json!(["lb.osaka.example"])
            && osaka["readyReplicas"] == 0
    })
    .await;
}

async fn a_node_port_is_an_endpoint_at_the_nodes_that_are_ready(world: &World, namespace: &str) {
    world.federate_namespace(namespace).await;
    global(world, namespace, json!({"service": {"name": "shop"}})).await;
    let member = world.member("osaka");
    let name = format!("node-of-{namespace}");
    let nodes = Api::<Node>::all(member.client().clone());
    let node = json!({"apiVersion": "v1", "kind": "Node", "metadata": {"name": name}});
    member.apply(node).await;
    let ready = |status: &str| {
        json!({"status": {
            "addresses": [{"type": "ExternalIP", "address": "198.51.100.9"}],
            "conditions": [{"type": "Ready", "status": status, "reason": "Told",
                "message": "", "lastHeartbeatTime": null, "lastTransitionTime": null}]}})
    };
    let parameters = PatchParams::default();
    let told = nodes
        .patch_status(&name, &parameters, &Patch::Merge(ready("True")))
        .await;
    told.expect("its kubelet writes its status");
    let service = json!({
        "apiVersion": "v1", "kind": "Service",
        "metadata": {"namespace": namespace, "name": "shop"},
        "spec": {"type": "NodePort", "selector": {"app": "shop"}, "ports": [{"port": 80}]},
    });
    member.apply(service).await;
    let named = |osaka: &Value| {
        let listed = osaka["addresses"].as_array().into_iter().flatten();
        listed.into_iter().any(|it| it == "198.51.100.9")
    };
    until_offered(world, namespace, named).await;
    let gone = ObjectRef::new("v1", "Node", "", &name);
    member.delete(&gone).await;
    let at = ObjectRef::new(GSLB, "GlobalService", namespace, "shop");
    let host = world.host();
    let left = |service: &Value| {
        !service["status"]["endpoints"]
            .to_string()
            .contains("198.51.100.9")
    };
    host.until(&at, "its node is gone", left).await;
}

fn manifest(namespace: &str, name: &str, endpoints: Value) -> Value {
    json!({
        "apiVersion": GSLB, "kind": "GlobalService",
        "metadata": {"namespace": namespace, "name": name},
        "spec": {"hosts": [format!("{name}.{namespace}.example.com")], "endpoints": endpoints},
    })
}

async fn global(world: &World, namespace: &str, endpoints: Value) {
    world
        .host()
        .apply(manifest(namespace, "shop", endpoints))
        .await;
}

async fn until_offered(world: &World, namespace: &str, wanted: impl Fn(&Value) -> bool) {
    let at = ObjectRef::new(GSLB, "GlobalService", namespace, "shop");
    let of_osaka = |service: &Value| {
        let listed = service["status"]["endpoints"].as_array().cloned();
        let found = listed
            .into_iter()
            .flatten()
            .find(|it| it["cluster"] == "osaka");
        found.is_some_and(|osaka| wanted(&osaka))
    };
    world
        .host()
        .until(&at, "the member's source is an endpoint", of_osaka)
        .await;
}
