//! Nodes: what their kubelets report, and what the node lifecycle controller makes of silence.

use super::step::{Deletion, Note, Severity, Step, Write, after_secs, time};
use super::{pod, scheduler};
use crate::clock::seconds;
use crate::object::{generation, list, name};
use jiff::Timestamp;
use serde_json::{Map, Value, json};
use std::collections::BTreeMap;
use std::net::Ipv4Addr;

/// Namespace of the Leases that kubelets renew.
pub(crate) const LEASE_NAMESPACE: &str = "kube-node-lease";
/// Table of Leases.
pub(crate) const LEASES: &str = "leases.coordination.k8s.io";
/// How long a Lease says it is good for. Real kubelets say 40 s and renew every 10 s; with this,
/// an idle cluster writes three times an hour and whoever checks the Lease is told the truth.
pub(crate) const LEASE_SECS: i64 = 3_600;
/// How often a Lease and the heartbeat in a node's conditions are renewed.
pub(crate) const HEARTBEAT_SECS: i64 = 1_200;
const UNSCHEDULABLE: &str = "node.kubernetes.io/unschedulable";
const UNREACHABLE: &str = "node.kubernetes.io/unreachable";
const NOT_READY: &str = "node.kubernetes.io/not-ready";

/// A node of a cluster.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NodeOptions {
    /// Its name.
    pub name: String,
    /// Label `topology.kubernetes.io/region`; empty for none.
    pub region: String,
    /// Label `topology.kubernetes.io/zone`; empty for none.
    pub zone: String,
    /// Further labels.
    pub labels: BTreeMap<String, String>,
    /// Quantity of cpu, for instance `8`.
    pub cpu: String,
    /// Quantity of memory, for instance `32Gi`.
    pub memory: String,
    /// How many Pods it takes.
    pub pods: u32,
}

impl NodeOptions {
    /// A node of 8 cores and 32 GiB that takes 110 Pods, a kubelet's default.
    pub fn named(name: impl Into<String>) -> Self {
        Self {
            name: name.into(),
            region: String::new(),
            zone: String::new(),
            labels: BTreeMap::new(),
            cpu: "8".to_owned(),
            memory: "32Gi".to_owned(),
            pods: 110,
        }
    }

    /// The same in a region and zone.
    #[must_use]
    pub fn in_zone(mut self, region: impl Into<String>, zone: impl Into<String>) -> Self {
        (self.region, self.zone) = (region.into(), zone.into());
        self
    }
}

/// A Node as its kubelet registers it, without status.
pub(crate) fn registered(options: &NodeOptions) -> Value {
    let mut labels = Map::new();
    let mut label = |key: &str, value: &str| {
        if !value.is_empty() {
            labels.insert(key.to_owned(), json!(value));
        }
    };
    label("beta.kubernetes.io/arch", ARCHITECTURE);
    label("beta.kubernetes.io/os", "linux");
    label("kubernetes.io/arch", ARCHITECTURE);
    label("kubernetes.io/hostname", &options.name);
    label("kubernetes.io/os", "linux");
    label("topology.kubernetes.io/region", &options.region);
    label("topology.kubernetes.io/zone", &options.zone);
    options
        .labels
        .iter()
        .for_each(|(key, value)| label(key, value));
    json!({
        "apiVersion": "v1",
        "kind": "Node",
        "metadata": {"name": options.name, "labels": labels},
        "spec": {},
    })
}

const ARCHITECTURE: &str = match cfg!(target_arch = "aarch64") {
    true => "arm64",
    false => "amd64",
};

/// What a kubelet that is well reports.
pub(crate) fn reported(
    options: &NodeOptions,
    node: &Value,
    host: Ipv4Addr,
    now: Timestamp,
) -> Value {
    let resources = json!({
        "cpu": options.cpu,
        "ephemeral-storage": "100Gi",
        "memory": options.memory,
        "pods": options.pods.to_string(),
    });
    let pressure = [
        (
            "MemoryPressure",
            "False",
            "KubeletHasSufficientMemory",
            "kubelet has sufficient memory available",
        ),
        (
            "DiskPressure",
            "False",
            "KubeletHasNoDiskPressure",
            "kubelet has no disk pressure",
        ),
        (
            "PIDPressure",
            "False",
            "KubeletHasSufficientPID",
            "kubelet has sufficient PID available",
        ),
        (
            "Ready",
            "True",
            "KubeletReady",
            "kubelet is posting ready status",
        ),
    ];
    let conditions = pressure.iter().map(|(kind, status, reason, message)| {
        let before = condition(node, kind).filter(|before| before["status"] == **status);
        let since = before.map(|before| before["lastTransitionTime"].clone());
        json!({
            "type": kind,
            "status": status,
            "lastHeartbeatTime": seconds(now),
            "lastTransitionTime": since.unwrap_or_else(|| json!(seconds(now))),
            "reason": reason,
            "message": message,
        })
    });
    let mut status = node["status"].as_object().cloned().unwrap_or_default();
    let mut set = |field: &str, value: Value| drop(status.insert(field.to_owned(), value));
    set("capacity", resources.clone());
    set("allocatable", resources);
    set("conditions", conditions.collect());
    set(
        "addresses",
        json!([
            {"type": "InternalIP", "address": host},
            {"type": "Hostname", "address": options.name},
        ]),
    );
    set(
        "daemonEndpoints",
        json!({"kubeletEndpoint": {"Port": 10250}}),
    );
    set("nodeInfo", node_info(options));
    Value::Object(status)
}

fn node_info(options: &NodeOptions) -> Value {
    json!({
        "architecture": ARCHITECTURE,
        "bootID": "",
        "containerRuntimeVersion": "pocketkube://1",
        "kernelVersion": "",
        "kubeProxyVersion": "",
        "kubeletVersion": crate::KUBERNETES_VERSION,
        "machineID": options.name,
        "operatingSystem": "linux",
        "osImage": "pocketkube",
        "systemUUID": "",
    })
}

/// A node's Lease at its renewal.
pub(crate) fn lease(node: &Value, before: Option<&Value>, renewed: &str) -> Value {
    let mut lease = before.cloned().unwrap_or_else(|| {
        json!({
            "apiVersion": "coordination.k8s.io/v1",
            "kind": "Lease",
            "metadata": {
                "name": name(node),
                "namespace": LEASE_NAMESPACE,
                "ownerReferences": [{
                    "apiVersion": "v1",
                    "kind": "Node",
                    "name": name(node),
                    "uid": crate::object::uid(node),
                }],
            },
            "spec": {},
        })
    });
    lease["spec"]["holderIdentity"] = json!(name(node));
    lease["spec"]["leaseDurationSeconds"] = json!(LEASE_SECS);
    lease["spec"]["renewTime"] = json!(renewed);
    lease
}

/// What the node lifecycle controller sees of one node.
#[derive(Debug, Clone, Copy)]
pub(crate) struct View<'a> {
    /// The Node.
    pub(crate) node: &'a Value,
    /// Pods bound to it.
    pub(crate) pods: &'a [&'a Value],
    /// Since when its kubelet says nothing; absent while it does.
    pub(crate) silent_since: Option<Timestamp>,
    /// Whether any node of the cluster is ready: if none is, nothing is evicted, because then it
    /// is more likely that the controller cannot see.
    pub(crate) others: Others,
    /// Silence until a node counts as lost.
    pub(crate) grace_secs: i64,
    /// The present.
    pub(crate) now: Timestamp,
}

/// How the other nodes are.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Others {
    /// At least one is ready.
    SomeReady,
    /// None is ready.
    NoneReady,
}

/// One look of the node lifecycle controller.
pub(crate) fn step(view: View<'_>) -> Step {
    let mut step = Step::default();
    let lost_at = view
        .silent_since
        .map(|since| after_secs(since, view.grace_secs));
    let lost = lost_at.is_some_and(|at| at <= view.now);
    if let Some(at) = lost_at.filter(|_| !lost) {
        step.wake(at);
    }
    if lost {
        mark_lost(view, &mut step);
        mark_pods(view, &mut step);
    }
    taint(view, &mut step);
    evict(view, &mut step);
    step
}

/// Whether a node's Ready condition is true.
pub(crate) fn is_ready(node: &Value) -> bool {
    condition(node, "Ready").is_some_and(|ready| ready["status"] == "True")
}

/// A condition of a node.
pub(crate) fn condition<'a>(node: &'a Value, kind: &str) -> Option<&'a Value> {
    list(&node["status"]["conditions"])
        .iter()
        .find(|condition| condition["type"] == *kind)
}

fn mark_lost(view: View<'_>, step: &mut Step) {
    if condition(view.node, "Ready").is_none_or(|ready| ready["status"] == "Unknown") {
        return;
    }
    let mut node = view.node.clone();
    for condition in node["status"]["conditions"]
        .as_array_mut()
        .into_iter()
        .flatten()
    {
        condition["status"] = json!("Unknown");
        condition["reason"] = json!("NodeStatusUnknown");
        condition["message"] = json!("Kubelet stopped posting node status.");
        condition["lastTransitionTime"] = json!(seconds(view.now));
    }
    step.push(Write::UpdateStatus(scheduler::NODES, node));
    let message = format!("Node {} status is now: NodeNotReady", name(view.node));
    step.push(Write::Event(Note::new(
        "node-controller",
        view.node,
        Severity::Normal,
        "NodeNotReady",
        message,
    )));
}

/// Pods of a lost node are not ready, so that Services send elsewhere.
fn mark_pods(view: View<'_>, step: &mut Step) {
    for pod in view.pods.iter().filter(|pod| pod::is_ready(pod)) {
        let mut marked = (*pod).clone();
        let conditions = marked["status"]["conditions"].as_array_mut();
        for condition in conditions
            .into_iter()
            .flatten()
            .filter(|c| c["type"] == "Ready")
        {
            condition["status"] = json!("False");
            condition["lastTransitionTime"] = json!(seconds(view.now));
            if generation(pod) > 0 {
                condition["observedGeneration"] = json!(generation(pod));
            }
        }
        step.push(Write::UpdateStatus(pod::TABLE, marked));
        step.push(Write::Event(Note::new(
            "node-controller",
            pod,
            Severity::Warning,
            "NodeNotReady",
            "Node is not ready".to_owned(),
        )));
    }
}

/// Keeps the taints that follow from cordoning and from the Ready condition.
fn taint(view: View<'_>, step: &mut Step) {
    let before = list(&view.node["spec"]["taints"]);
    let wanted = wanted_taints(view);
    let is_own = |taint: &Value| {
        [UNSCHEDULABLE, UNREACHABLE, NOT_READY]
            .iter()
            .any(|key| taint["key"] == **key)
    };
    let same = |left: &Value, right: &Value| {
        left["key"] == right["key"] && left["effect"] == right["effect"]
    };
    let mut taints: Vec<Value> = before
        .iter()
        .filter(|taint| !is_own(taint) || wanted.iter().any(|one| same(one, taint)))
        .cloned()
        .collect();
    for taint in wanted {
        if !taints.iter().any(|other| same(other, &taint)) {
            taints.push(taint);
        }
    }
    if taints == before {
        return;
    }
    let mut node = view.node.clone();
    match (taints.is_empty(), node["spec"].as_object_mut()) {
        (true, Some(spec)) => drop(spec.shift_remove("taints")),
        _ => node["spec"]["taints"] = Value::Array(taints),
    }
    step.push(Write::Update(scheduler::NODES, node));
}

fn wanted_taints(view: View<'_>) -> Vec<Value> {
    let taint = |key: &str, effect: &str| json!({"key": key, "effect": effect, "timeAdded": seconds(view.now)});
    let mut taints = Vec::new();
    if view.node["spec"]["unschedulable"] == true {
        taints.push(taint(UNSCHEDULABLE, "NoSchedule"));
    }
    let key = match condition(view.node, "Ready").and_then(|ready| ready["status"].as_str()) {
        Some("Unknown") => UNREACHABLE,
        Some("False") => NOT_READY,
        _ => return taints,
    };
    taints.push(taint(key, "NoSchedule"));
    if view.others == Others::SomeReady {
        taints.push(taint(key, "NoExecute"));
    }
    taints
}

/// Pods that do not tolerate a NoExecute taint (any longer) are deleted.
fn evict(view: View<'_>, step: &mut Step) {
    let taints: Vec<&Value> = list(&view.node["spec"]["taints"])
        .iter()
        .filter(|t| t["effect"] == "NoExecute")
        .collect();
    for pod in view.pods.iter().filter(|pod| pod::is_active(pod)) {
        let Some(at) = taints
            .iter()
            .filter_map(|taint| evicted_at(pod, taint, view.now))
            .min()
        else {
            continue;
        };
        if at > view.now {
            step.wake(at);
            continue;
        }
        step.push(Write::Event(Note::new(
            "taint-eviction-controller",
            pod,
            Severity::Normal,
            "TaintManagerEviction",
            format!(
                "Marking for deletion Pod {}/{}",
                crate::object::namespace(pod),
                name(pod)
            ),
        )));
        let why = (
            "DeletionByTaintManager",
            "Taint manager: deleting due to NoExecute taint",
        );
        let marked = pod::disrupted(pod, why, view.now);
        step.push(Write::UpdateStatus(pod::TABLE, marked));
        step.push(Write::Delete(Deletion::of(pod::TABLE, pod)));
    }
}

/// When a taint drives a Pod away; absent when it tolerates it for ever.
fn evicted_at(pod: &Value, taint: &Value, now: Timestamp) -> Option<Timestamp> {
    let added = time(&taint["timeAdded"]).unwrap_or(now);
    let tolerations = list(&pod["spec"]["tolerations"]).iter();
    let mut matching = tolerations
        .filter(|one| scheduler::tolerates(one, taint))
        .peekable();
    if matching.peek().is_none() {
        return Some(added);
    }
    let limits: Vec<i64> = matching
        .filter_map(|toleration| toleration["tolerationSeconds"].as_i64())
        .collect();
    limits
        .into_iter()
        .min()
        .map(|secs| after_secs(added, secs.max(0)))
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOW: &str = "2026-01-01T00:01:00Z";

    fn node() -> Value {
        let options = NodeOptions::named("a").in_zone("cn-north", "cn-north-1");
        let mut node = registered(&options);
        let then = "2026-01-01T00:00:00Z".parse().unwrap();
        node["status"] = reported(&options, &node, Ipv4Addr::new(192, 168, 0, 1), then);
        node
    }

    fn pod() -> Value {
        json!({"metadata": {"name": "p", "namespace": "n", "uid": "p"},
            "spec": {"tolerations": [{"key": UNREACHABLE, "operator": "Exists",
                "effect": "NoExecute", "tolerationSeconds": 300}]},
            "status": {"phase": "Running", "conditions": [{"type": "Ready", "status": "True"}]}})
    }

    fn look(node: &Value, pods: &[&Value], silent_since: Option<&str>, others: Others) -> Step {
        step(View {
            node,
            pods,
            silent_since: silent_since.map(|since| since.parse().unwrap()),
            others,
            grace_secs: 40,
            now: NOW.parse().unwrap(),
        })
    }

    #[test]
    fn a_silent_node_is_lost_after_its_grace() {
        let early = look(
            &node(),
            &[],
            Some("2026-01-01T00:00:30Z"),
            Others::SomeReady,
        );
        assert_eq!(early.writes, []);
        assert_eq!(early.wake_at, Some("2026-01-01T00:01:10Z".parse().unwrap()));

        let pod = pod();
        let late = look(
            &node(),
            &[&pod],
            Some("2026-01-01T00:00:20Z"),
            Others::SomeReady,
        );
        let statuses: Vec<&Value> = late
            .writes
            .iter()
            .filter_map(|write| match write {
                Write::UpdateStatus(_, object) => Some(&object["status"]["conditions"]),
                _ => None,
            })
            .collect();
        assert_eq!(statuses[0][3]["reason"], "NodeStatusUnknown");
        assert_eq!(statuses[1][0]["status"], "False");
    }

    #[test]
    fn taints_follow_cordoning_and_readiness() {
        let mut cordoned = node();
        cordoned["spec"]["unschedulable"] = json!(true);
        cordoned["spec"]["taints"] = json!([{"key": "mine", "effect": "NoSchedule"}]);
        let step = look(&cordoned, &[], None, Others::SomeReady);
        let [Write::Update(_, tainted)] = &step.writes[..] else {
            panic!("{step:?}")
        };
        assert_eq!(tainted["spec"]["taints"][1]["key"], UNSCHEDULABLE);
        assert_eq!(look(tainted, &[], None, Others::SomeReady), Step::default());

        let mut free = tainted.clone();
        free["spec"]["unschedulable"] = Value::Null;
        let step = look(&free, &[], None, Others::SomeReady);
        let [Write::Update(_, freed)] = &step.writes[..] else {
            panic!("{step:?}")
        };
        assert_eq!(
            freed["spec"]["taints"],
            json!([{"key": "mine", "effect": "NoSchedule"}])
        );
    }

    #[test]
    fn pods_leave_a_lost_node_when_their_toleration_ends() {
        let mut lost = node();
        lost["status"]["conditions"][3]["status"] = json!("Unknown");
        let pod = pod();
        let step = look(
            &lost,
            &[&pod],
            Some("2026-01-01T00:00:00Z"),
            Others::SomeReady,
        );
        let tainted = step.writes.iter().find_map(|write| match write {
            Write::Update(_, node) => Some(node.clone()),
            _ => None,
        });
        let mut tainted = tainted.expect("taints");
        assert_eq!(list(&tainted["spec"]["taints"]).len(), 2);
        let waits = look(&tainted, &[&pod], None, Others::SomeReady);
        assert_eq!(waits.wake_at, Some("2026-01-01T00:06:00Z".parse().unwrap()));
        tainted["spec"]["taints"][1]["timeAdded"] = json!("2025-12-31T23:00:00Z");
        let goes = look(&tainted, &[&pod], None, Others::SomeReady);
        assert!(
            goes.writes
                .iter()
                .any(|write| matches!(write, Write::Delete(_)))
        );
    }

    #[test]
    fn nothing_is_evicted_while_no_node_is_ready() {
        let mut lost = node();
        lost["status"]["conditions"][3]["status"] = json!("Unknown");
        let step = look(&lost, &[], None, Others::NoneReady);
        let [Write::Update(_, tainted)] = &step.writes[..] else {
            panic!("{step:?}")
        };
        assert_eq!(list(&tainted["spec"]["taints"]).len(), 1);
        assert_eq!(tainted["spec"]["taints"][0]["effect"], "NoSchedule");
    }
}
