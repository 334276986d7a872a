//! Nodes that stop: a kubelet is heard of no more, and what becomes of its Pods.

use std::time::Duration;

use serde_json::{Value, json};

use crate::answer::Look;
use crate::manifests::pod;
use crate::world::World;

cases! { Workloads:
    a_node_whose_kubelet_stops_is_lost_and_its_pods_are_evicted,
}

/// The real controller gives a node up after 40 to 50 s; a watch is silent for 30 s at most.
const SILENCES_MAX: usize = 4;
/// Real kubelets take ten seconds.
const RENEWAL: Duration = Duration::from_secs(1);
const THEN: &str = "2026-01-01T00:00:00Z";
const LATER: &str = "2026-01-01T00:01:00Z";

/// A node of one case alone, and the path of it. No kubelet is there, so the case says what one would.
/// Its name comes after the others', which cases take the first of.
async fn registered(world: &World, prefix: &str) -> (String, String) {
    let name = format!("{prefix}-{}", world.namespace);
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
async fn running_on(world: &World, node: &str, name: &str, seconds: Value) {
    let mut body = pod(name);
    body["spec"]["nodeName"] = json!(node);
    body["spec"]["tolerations"] = json!([{
        "key": "node.kubernetes.io/unreachable", "operator": "Exists", "effect": "NoExecute",
        "tolerationSeconds": seconds,
    }]);
    world.post("pods", &body).await.is(201);
    let ready = json!({"status": {"phase": "Running", "conditions": [
        {"type": "Ready", "status": "True", "lastTransitionTime": THEN}]}});
    let status = format!("pods/{name}/status");
    world.strategic_patch(&status, &ready).await.is(200);
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

/// Renews the Lease of a node, and does nothing else.
async fn renew(world: &World, node: &str) {
    let leases = "/apis/coordination.k8s.io/v1/namespaces/kube-node-lease/leases";
    let lease = json!({
        "apiVersion": "coordination.k8s.io/v1", "kind": "Lease", "metadata": {"name": node},
        "spec": {"holderIdentity": node, "leaseDurationSeconds": 40},
    });
    world.post(leases, &lease).await.is(201);
    let path = format!("{leases}/{node}");
    for count in 0_u32.. {
        let renewed = format!("2026-01-01T00:00:00.{count:06}Z");
        let renewed = json!({"spec": {"renewTime": renewed}});
        world.merge_patch(&path, &renewed).await.is(200);
        tokio::time::sleep(RENEWAL).await;
    }
}

// One case, since the real controller evicts nobody while more than half of the nodes are lost.
async fn a_node_whose_kubelet_stops_is_lost_and_its_pods_are_evicted(world: World) {
    world.takes_pods().await;
    let (name, path) = registered(&world, "z").await;
    running_on(&world, &name, "a", json!(1)).await;
    running_on(&world, &name, "b", Value::Null).await;
    let (other, other_path) = registered(&world, "zz").await;
    let node = tokio::select! {
        node = lost(&world, &path) => node,
        () = renew(&world, &other) => unreachable!("it renews for ever"),
    };
    node.condition("Ready").has(json!({
        "status": "Unknown", "reason": "NodeStatusUnknown",
        "message": "Kubelet stopped posting node status.", "lastHeartbeatTime": THEN,
    }));
    let renewing = world.get(&other_path).await.is(200);
    assert_eq!(renewing.condition("Ready")["status"], "True");
    let leaving = |pod: &Value| pod["metadata"]["deletionTimestamp"].is_string();
    let evicted = world.until("pods/a", leaving).await;
    evicted.condition("DisruptionTarget").has(json!({
        "status": "True", "reason": "DeletionByTaintManager",
        "message": "Taint manager: deleting due to NoExecute taint",
    }));
    // Its toleration has no end; but nobody is sent to it.
    let unready = |pod: &Value| pod.condition("Ready")["status"] == "False";
    let tolerant = world.until("pods/b", unready).await;
    assert!(!leaving(&tolerant));
    beat(&world, &path, LATER).await;
    let back = |node: &Value| taints(node) == ["case:NoSchedule"];
    world.until(&path, back).await;
    for path in [path, other_path] {
        world.delete(&path).await.is(200);
    }
}
