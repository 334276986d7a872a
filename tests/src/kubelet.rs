//! The part of a kubelet that a control plane can see: nodes that are Ready, and pods bound to them
//! that become Running and Ready, may complete, and go when they are deleted. There are no
//! containers. It obeys the annotations of pocketkube's kubelet, so that a case means the same to
//! both.

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

/// How long a pod runs that is not always restarted and does not say.
const COMPLETE: Duration = Duration::from_secs(1);
/// Exit code of a container that was killed.
const KILLED: i32 = 137;
const READY_AFTER: &str = "pocketkube.dev/ready-after";
const COMPLETE_AFTER: &str = "pocketkube.dev/complete-after";
const EXIT_CODE: &str = "pocketkube.dev/exit-code";
/// Finalizer of a Job's pods: the Job wants to know how they ended.
const JOB_TRACKING: &str = "batch.kubernetes.io/job-tracking";

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
    let mut ends = JoinSet::new();
    while let Some(change) = changes.next().await {
        // Those that are done take no place.
        while ends.try_join_next().is_some() {}
        let Ok(pod) = change else { continue };
        let ours = node_of(&pod).is_some_and(|node| names.contains(node));
        if !ours {
            continue;
        }
        let namespace = pod.namespace().unwrap_or_default();
        let api: Api<Pod> = Api::namespaced(client.clone(), &namespace);
        // A pod that is gone or changed in between comes round again, or need not.
        if pod.metadata.deletion_timestamp.is_some() {
            if pod.finalizers().iter().any(|name| name == JOB_TRACKING) && !is_terminal(&pod) {
                report(&api, &pod, ended(&pod, KILLED)).await;
            }
            let now = DeleteParams::default().grace_period(0);
            let _ = api.delete(&pod.name_any(), &now).await;
        } else if phase(&pod) == Some("Pending") && annotation(&pod, READY_AFTER) != Some("never") {
            addresses += 1;
            report(&api, &pod, running(&pod, addresses, 0)).await;
            if let Some(after) = complete_after(&pod) {
                ends.spawn(complete(api, pod, addresses, after));
            }
        }
    }
}

/// Ends a pod's containers after a while, again and again where they are restarted.
async fn complete(api: Api<Pod>, pod: Pod, address: u32, after: Duration) {
    let code: i32 = annotation(&pod, EXIT_CODE)
        .and_then(|code| code.parse().ok())
        .unwrap_or(0);
    let policy = pod
        .spec
        .as_ref()
        .and_then(|spec| spec.restart_policy.as_deref());
    for restarts in 1.. {
        tokio::time::sleep(after).await;
        let restarted = match policy {
            Some("Never") => false,
            Some("OnFailure") => code != 0,
            _ => true,
        };
        if !restarted {
            return report(&api, &pod, ended(&pod, code)).await;
        }
        if api.get(&pod.name_any()).await.is_err() {
            return;
        }
        report(&api, &pod, running(&pod, address, restarts)).await;
    }
}

/// Writes a pod's status; its uid guards against another of its name.
async fn report(api: &Api<Pod>, pod: &Pod, status: Value) {
    let patch = Patch::Strategic(status);
    // A pod that is gone or changed in between comes round again, or need not.
    let _ = api
        .patch_status(&pod.name_any(), &PatchParams::default(), &patch)
        .await;
}

fn annotation<'a>(pod: &'a Pod, key: &str) -> Option<&'a str> {
    pod.annotations().get(key).map(String::as_str)
}

fn is_terminal(pod: &Pod) -> bool {
    matches!(phase(pod), Some("Succeeded" | "Failed"))
}

/// How long a pod's containers run, if they end.
fn complete_after(pod: &Pod) -> Option<Duration> {
    let policy = pod.spec.as_ref()?.restart_policy.as_deref();
    match annotation(pod, COMPLETE_AFTER) {
        Some("never") => None,
        Some(text) => {
            let millis = text
                .strip_suffix("ms")
                .and_then(|millis| millis.parse().ok());
            let secs = || {
                text.strip_suffix('s')?
                    .parse()
                    .ok()
                    .map(Duration::from_secs)
            };
            millis.map(Duration::from_millis).or_else(secs)
        }
        None => matches!(policy, Some("Never" | "OnFailure")).then_some(COMPLETE),
    }
}

fn node_of(pod: &Pod) -> Option<&str> {
    pod.spec.as_ref()?.node_name.as_deref()
}

fn phase(pod: &Pod) -> Option<&str> {
    pod.status.as_ref()?.phase.as_deref()
}

/// The status of `pod` once all its containers ended.
fn ended(pod: &Pod, code: i32) -> Value {
    let now = Timestamp::now().to_string();
    let (phase, reason) = match code {
        0 => ("Succeeded", "Completed"),
        _ => ("Failed", "Error"),
    };
    let unready = |kind: &str| {
        json!({"type": kind, "status": "False", "reason": format!("Pod{phase}"),
            "lastTransitionTime": now})
    };
    let containers = pod.spec.iter().flat_map(|spec| &spec.containers);
    let statuses: Vec<Value> = containers
        .map(|container| {
            json!({
                "name": container.name,
                "image": container.image,
                "imageID": "none",
                "ready": false,
                "started": false,
                "restartCount": 0,
                "state": {"running": null, "terminated": {
                    "exitCode": code, "reason": reason, "startedAt": now, "finishedAt": now,
                }},
            })
        })
        .collect();
    json!({"metadata": {"uid": pod.metadata.uid}, "status": {
        "phase": phase,
        "conditions": [unready("Ready"), unready("ContainersReady")],
        "containerStatuses": statuses,
    }})
}

/// The status of `pod` once all its containers run, under the address number `address`.
fn running(pod: &Pod, address: u32, restarts: i32) -> Value {
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
                "restartCount": restarts,
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
