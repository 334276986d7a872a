//! Nodes that stop: a kubelet is heard of no more, and what becomes of its Pods.

use serde_json::{Value, json};

use crate::answer::Look;
use crate::manifests::pod;
use crate::world::World;

cases! { Workloads:
    a_node_whose_kubelet_stops_is_lost_and_its_pods_are_evicted,
    a_pod_that_tolerates_a_lost_node_stays,
    a_kubelet_that_renews_its_lease_is_not_lost,
}

/// The real controller gives a node up after 40 to 50 s; a watch is silent for 30 s at most.
const SILENCES_MAX: usize = 4;
const THEN: &str = "2026-01-01T00:00:00Z";
const LATER: &str = "2026-01-01T00:01:00Z";

/// A node of one case alone, and the path of it. No kubelet is there, so the case says what one would.
/// Its name comes after the others', which cases take the first of.
async fn registered(world: &World) -> (String, String) {
    let name = format!("z-{}", world.namespace);
    let body = json!({
        "apiVersion": "v1", "kind": "Node", "metadata": {"name": name},
        "spec": {"taints": [{"key": "case", "effect": "NoSchedule"}]},
    });
    world.post("/api/v1/nodes", &body).await.is(201);
    let path = format!("/api/v1/nodes/{name}");
    beat(world, &path, THEN).await;
    world
        .until(&path, |node| taints(node) == ["case:NoSchedule"])
        .await;
    (name, path)
}

async fn beat(world: &World, path: &str, time: &str) {
    let ready = json!({"status": {
        "capacity": {"cpu": "4", "memory": "8Gi", "pods": "10"},
        "conditions": [{
            "type": "Ready", "status": "True", "reason": "KubeletReady", "message": "well",
            "lastHeartbeatTime": time, "lastTransitionTime": time,
        }],
    }});
    let status = format!("{path}/status");
    world.strategic_patch(&status, &ready).await.is(200);
}

fn taints(node: &Value) -> Vec<String> {
    let shown = |taint: &Value| format!("{}:{}", taint.text("/key"), taint.text("/effect"));
    let taints = node["spec"]["taints"].as_array();
    let mut shown: Vec<String> = taints.into_iter().flatten().map(shown).collect();
    shown.sort_unstable();
    shown
}

/// A Pod on the node that runs and is ready, and tolerates its loss for so long.
async fn running_on(world: &World, node: &str, seconds: Value) {
    world.takes_pods().await;
    let mut body = pod("a");
    body["spec"]["nodeName"] = json!(node);
    body["spec"]["tolerations"] = json!([{
        "key": "node.kubernetes.io/unreachable", "operator": "Exists", "effect": "NoExecute",
        "tolerationSeconds": seconds,
    }]);
    world.post("pods", &body).await.is(201);
    let ready = json!({"status": {"phase": "Running", "conditions": [
        {"type": "Ready", "status": "True", "lastTransitionTime": THEN}]}});
    world.strategic_patch("pods/a/status", &ready).await.is(200);
}

/// Waits until the node at `path` is lost, and returns it.
async fn lost(world: &World, path: &str) -> Value {
    let is_lost = |node: &Value| {
        taints(node)
            == [
                "case:NoSchedule",
                "node.kubernetes.io/unreachable:NoExecute",
                "node.kubernetes.io/unreachable:NoSchedule",
            ]
    };
    let (collection, name) = path.rsplit_once('/').unwrap();
    let field = format!("{collection}?fieldSelector=metadata.name%3D{name}");
    let mut watch = world.watch(&field).await;
    let mut silences = 0;
    while silences < SILENCES_MAX {
        match watch.poll().await {
            Some(event) if is_lost(&event.object) => return event.object,
            Some(_) => {}
            None => silences += 1,
        }
    }
    panic!("{path} is not lost: {:#}", world.get(path).await.is(200));
}

async fn leave(world: &World, path: &str) {
    let now = json!({"gracePeriodSeconds": 0});
    world.delete_with("pods/a", &now).await;
    world.delete(path).await.is(200);
}

async fn a_node_whose_kubelet_stops_is_lost_and_its_pods_are_evicted(world: World) {
    let (name, path) = registered(&world).await;
    running_on(&world, &name, json!(1)).await;
    let node = lost(&world, &path).await;
    node.condition("Ready").has(json!({
        "status": "Unknown", "reason": "NodeStatusUnknown",
        "message": "Kubelet stopped posting node status.", "lastHeartbeatTime": THEN,
    }));
    let leaving = |pod: &Value| pod["metadata"]["deletionTimestamp"].is_string();
    let pod = world.until("pods/a", leaving).await;
    assert_eq!(pod.condition("Ready")["status"], "False");
    pod.condition("DisruptionTarget").has(json!({
        "status": "True", "reason": "DeletionByTaintManager",
        "message": "Taint manager: deleting due to NoExecute taint",
    }));
    // Nobody is there to end it, so it stays; until the kubelet is back, which could.
    beat(&world, &path, LATER).await;
    let back = |node: &Value| taints(node) == ["case:NoSchedule"];
    world.until(&path, back).await;
    leave(&world, &path).await;
}

async fn a_pod_that_tolerates_a_lost_node_stays(world: World) {
    let (name, path) = registered(&world).await;
    running_on(&world, &name, Value::Null).await;
    lost(&world, &path).await;
    let unready = |pod: &Value| pod.condition("Ready")["status"] == "False";
    let pod = world.until("pods/a", unready).await;
    assert!(pod["metadata"]["deletionTimestamp"].is_null());
    leave(&world, &path).await;
}

async fn a_kubelet_that_renews_its_lease_is_not_lost(world: World) {
    let (name, path) = registered(&world).await;
    // Another node stops at the same time: when it is lost, this one is not.
    let other = format!("{name}-other");
    let body = json!({
        "apiVersion": "v1", "kind": "Node", "metadata": {"name": other},
        "spec": {"taints": [{"key": "case", "effect": "NoSchedule"}]},
    });
    world.post("/api/v1/nodes", &body).await.is(201);
    let other = format!("/api/v1/nodes/{other}");
    beat(&world, &other, THEN).await;
    let leases = "/apis/coordination.k8s.io/v1/namespaces/kube-node-lease/leases";
    let lease = json!({
        "apiVersion": "coordination.k8s.io/v1", "kind": "Lease", "metadata": {"name": name},
        "spec": {"holderIdentity": name, "leaseDurationSeconds": 40},
    });
    world.post(leases, &lease).await.is(201);
    let renewals = async {
        let mut count = 0;
        loop {
            tokio::time::sleep(std::time::Duration::from_secs(1)).await;
            count += 1;
            let renewed =
                json!({"spec": {"renewTime": format!("2026-01-01T00:00:00.{count:06}Z")}});
            let path = format!("{leases}/{name}");
            world.merge_patch(&path, &renewed).await.is(200);
        }
    };
    tokio::select! {
        () = renewals => {}
        _ = lost(&world, &other) => {}
    }
    let node = world.get(&path).await.is(200);
    assert_eq!(node.condition("Ready")["status"], "True");
    world.delete(&format!("{leases}/{name}")).await.is(200);
    world.delete(&other).await.is(200);
    leave(&world, &path).await;
}
