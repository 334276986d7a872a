//! The part of a kubelet that a control plane can see: nodes that are Ready, and pods bound to them
//! that become Running and Ready, and go when they are deleted. There are no containers.

use std::collections::BTreeSet;
use std::time::Duration;

use futures::StreamExt;
use k8s_openapi::api::core::v1::{Node, Pod};
use k8s_openapi::jiff::Timestamp;
use kube::api::{DeleteParams, Patch, PatchParams, PostParams};
use kube::runtime::{WatchStreamExt, watcher};
use kube::{Api, Client, ResourceExt};
use serde_json::{Value, json};
use tokio::task::JoinSet;

/// As often as a real kubelet; the controller manager gives up on a node after 40 s.
const HEARTBEAT: Duration = Duration::from_secs(10);

/// Nodes `node-1`, `node-2`, … that run until this is dropped.
#[derive(Debug)]
pub struct Kubelet {
    _tasks: JoinSet<()>,
}

impl Kubelet {
    /// Registers `nodes` nodes and tends them and their pods on the current runtime.
    ///
    /// # Panics
    /// When the API server does not take the nodes.
    pub async fn start(client: Client, nodes: u16) -> Self {
        let api: Api<Node> = Api::all(client.clone());
        let names: BTreeSet<String> = (1..=nodes).map(|node| format!("node-{node}")).collect();
        for name in &names {
            let node: Node = serde_json::from_value(json!({
                "metadata": {"name": name, "labels": {
                    "kubernetes.io/hostname": name,
                    "kubernetes.io/os": "linux",
                }},
            }))
            .expect("a node has these fields");
            api.create(&PostParams::default(), &node)
                .await
                .expect("the server takes a node");
            beat(&api, name)
                .await
                .expect("the server takes a node's status");
        }
        let mut tasks = JoinSet::new();
        tasks.spawn(heartbeats(api, names.clone()));
        tasks.spawn(pods(client, names));
        Self { _tasks: tasks }
    }
}

async fn heartbeats(api: Api<Node>, names: BTreeSet<String>) {
    loop {
        tokio::time::sleep(HEARTBEAT).await;
        for name in &names {
            // The next beat makes good for one that is lost.
            let _ = beat(&api, name).await;
        }
    }
}

async fn beat(api: &Api<Node>, name: &str) -> kube::Result<Node> {
    let size = json!({"cpu": "64", "memory": "256Gi", "pods": "1000"});
    let status = json!({"status": {
        "capacity": size,
        "allocatable": size,
        "conditions": [{
            "type": "Ready",
            "status": "True",
            "reason": "KubeletReady",
            "message": "a node without containers",
            "lastHeartbeatTime": Timestamp::now().to_string(),
        }],
    }});
    api.patch_status(name, &PatchParams::default(), &Patch::Strategic(status))
        .await
}

async fn pods(client: Client, names: BTreeSet<String>) {
    let all: Api<Pod> = Api::all(client.clone());
    let changes = watcher(all, watcher::Config::default())
        .default_backoff()
        .applied_objects();
    let mut changes = std::pin::pin!(changes);
    let mut addresses: u32 = 0;
    while let Some(change) = changes.next().await {
        let Ok(pod) = change else { continue };
        let ours = node_of(&pod).is_some_and(|node| names.contains(node));
        if !ours {
            continue;
        }
        let namespace = pod.namespace().unwrap_or_default();
        let api: Api<Pod> = Api::namespaced(client.clone(), &namespace);
        // A pod that is gone or changed in between comes round again, or need not.
        if pod.metadata.deletion_timestamp.is_some() {
            let now = DeleteParams::default().grace_period(0);
            let _ = api.delete(&pod.name_any(), &now).await;
        } else if phase(&pod) == Some("Pending") {
            addresses += 1;
            let running = Patch::Strategic(running(&pod, addresses));
            let _ = api
                .patch_status(&pod.name_any(), &PatchParams::default(), &running)
                .await;
        }
    }
}

fn node_of(pod: &Pod) -> Option<&str> {
    pod.spec.as_ref()?.node_name.as_deref()
}

fn phase(pod: &Pod) -> Option<&str> {
    pod.status.as_ref()?.phase.as_deref()
}

/// The status of `pod` once all its containers run, under the address number `address`.
fn running(pod: &Pod, address: u32) -> Value {
    let now = Timestamp::now().to_string();
    let address = format!("10.200.{}.{}", address / 250 % 250, address % 250 + 1);
    let true_ones = ["Initialized", "Ready", "ContainersReady", "PodScheduled"];
    let conditions: Vec<Value> = true_ones
        .iter()
        .map(|kind| json!({"type": kind, "status": "True", "lastTransitionTime": now}))
        .collect();
    let containers = pod.spec.iter().flat_map(|spec| &spec.containers);
    let statuses: Vec<Value> = containers
        .map(|container| {
            json!({
                "name": container.name,
                "image": container.image,
                "imageID": "none",
                "ready": true,
                "started": true,
                "restartCount": 0,
                "state": {"running": {"startedAt": now}},
            })
        })
        .collect();
    json!({"metadata": {"uid": pod.metadata.uid}, "status": {
        "phase": "Running",
        "conditions": conditions,
        "startTime": now,
        "hostIP": "127.0.0.1",
        "podIP": address,
        "podIPs": [{"ip": address}],
        "containerStatuses": statuses,
    }})
}
