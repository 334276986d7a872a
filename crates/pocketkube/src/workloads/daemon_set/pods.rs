//! Pods of a DaemonSet: what they tolerate, the node they are meant for, and which nodes they fit.

use super::{GENERATION, GENERATION_LABEL};
use crate::object::{annotation, list, name};
use crate::workloads::replica_set::pod_from_template;
use crate::workloads::{pod, revision, scheduler};
use serde_json::{Value, json};

/// What a Pod of the set makes of a node.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Fit {
    /// One should run there.
    Runs,
    /// None should start there, and one that is there may stay.
    Stays,
    /// None should be there.
    Never,
}

/// What every Pod of a DaemonSet tolerates: key and effect.
const TOLERATED: [(&str, &str); 6] = [
    ("node.kubernetes.io/not-ready", "NoExecute"),
    ("node.kubernetes.io/unreachable", "NoExecute"),
    ("node.kubernetes.io/disk-pressure", "NoSchedule"),
    ("node.kubernetes.io/memory-pressure", "NoSchedule"),
    ("node.kubernetes.io/pid-pressure", "NoSchedule"),
    ("node.kubernetes.io/unschedulable", "NoSchedule"),
];
/// What those with the network of their host tolerate too.
const NETWORK_UNAVAILABLE: (&str, &str) = ("node.kubernetes.io/network-unavailable", "NoSchedule");

/// The Pod for a node.
pub(super) fn for_node(set: &Value, hash: &str, node: &str) -> Value {
    let mut pod = pod_from_template(set);
    let labels = &mut pod["metadata"]["labels"];
    labels[revision::HASH] = json!(hash);
    if let Some(generation) = annotation(set, GENERATION) {
        labels[GENERATION_LABEL] = json!(generation);
    }
    let spec = &mut pod["spec"];
    tolerate(spec);
    // The scheduler binds it, and to no other node.
    let terms = json!([{"matchFields": [
        {"key": "metadata.name", "operator": "In", "values": [node]},
    ]}]);
    let affinity = &mut spec["affinity"]["nodeAffinity"];
    affinity["requiredDuringSchedulingIgnoredDuringExecution"] =
        json!({"nodeSelectorTerms": terms});
    pod
}

/// The node that a Pod is on, or meant for.
pub(super) fn target(pod: &Value) -> Option<&str> {
    if !pod::node(pod).is_empty() {
        return Some(pod::node(pod));
    }
    let required =
        &pod["spec"]["affinity"]["nodeAffinity"]["requiredDuringSchedulingIgnoredDuringExecution"];
    let terms = list(&required["nodeSelectorTerms"]).iter();
    let fields = terms.flat_map(|term| list(&term["matchFields"]));
    let mut names = fields.filter(|field| field["key"] == "metadata.name");
    names.find_map(|field| list(&field["values"]).first()?.as_str())
}

/// Whether the set's Pods fit a node.
pub(super) fn fit(set: &Value, node: &Value) -> Fit {
    let mut pod = json!({"spec": set["spec"]["template"]["spec"]});
    tolerate(&mut pod["spec"]);
    let named = pod["spec"]["nodeName"].as_str().unwrap_or_default();
    if !(named.is_empty() || named == name(node)) || !scheduler::matches_affinity(&pod, node) {
        return Fit::Never;
    }
    let repels = |effects: &[&str]| {
        let taints = list(&node["spec"]["taints"]).iter();
        let mut hard = taints.filter(|taint| {
            taint["effect"]
                .as_str()
                .is_some_and(|e| effects.contains(&e))
        });
        hard.any(|taint| !scheduler::is_tolerated(&pod, taint))
    };
    if repels(&["NoExecute"]) {
        Fit::Never
    } else if repels(&["NoSchedule"]) {
        Fit::Stays
    } else {
        Fit::Runs
    }
}

fn tolerate(spec: &mut Value) {
    let mut tolerations = list(&spec["tolerations"]).to_vec();
    let network = (spec["hostNetwork"] == true).then_some(NETWORK_UNAVAILABLE);
    for (key, effect) in TOLERATED.into_iter().chain(network) {
        let own = json!({"key": key, "operator": "Exists", "effect": effect});
        let same = |other: &Value| {
            other["key"] == key && other["effect"] == effect && other["operator"] == "Exists"
        };
        match tolerations.iter_mut().find(|other| same(other)) {
            Some(other) => *other = own,
            None => tolerations.push(own),
        }
    }
    spec["tolerations"] = Value::Array(tolerations);
}
