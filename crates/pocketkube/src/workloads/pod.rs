//! Reading Pods: what every controller asks of them.

use super::status::begun;
use super::step::{after_secs, time};
use crate::object::{generation, is_deleting, list};
use jiff::Timestamp;
use serde_json::{Value, json};

/// Table of Pods.
pub(crate) const TABLE: &str = "pods";

/// `status.phase`; a Pod starts as Pending.
pub(crate) fn phase(pod: &Value) -> &str {
    pod["status"]["phase"].as_str().unwrap_or("Pending")
}

/// Whether it ended, well or not.
pub(crate) fn is_terminal(pod: &Value) -> bool {
    matches!(phase(pod), "Succeeded" | "Failed")
}

/// Whether it counts for its controller: neither ended nor going.
pub(crate) fn is_active(pod: &Value) -> bool {
    !is_terminal(pod) && !is_deleting(pod)
}

/// The node that it is bound to, or empty.
pub(crate) fn node(pod: &Value) -> &str {
    pod["spec"]["nodeName"].as_str().unwrap_or_default()
}

/// A condition of its status.
pub(crate) fn condition<'a>(pod: &'a Value, kind: &str) -> Option<&'a Value> {
    list(&pod["status"]["conditions"])
        .iter()
        .find(|condition| condition["type"] == *kind)
}

/// Whether its Ready condition is true.
pub(crate) fn is_ready(pod: &Value) -> bool {
    condition(pod, "Ready").is_some_and(|ready| ready["status"] == "True")
}

/// Since when its Ready condition is as it is.
pub(crate) fn ready_since(pod: &Value) -> Option<Timestamp> {
    time(&condition(pod, "Ready")?["lastTransitionTime"])
}

/// When it counts as available; absent while it is not ready.
pub(crate) fn available_at(pod: &Value, min_ready_secs: i64) -> Option<Timestamp> {
    if !is_ready(pod) {
        return None;
    }
    match min_ready_secs {
        0 => Some(Timestamp::MIN),
        secs => ready_since(pod).map(|since| after_secs(since, secs)),
    }
}

/// A Pod that says why it is about to go (KEP-3329).
pub(crate) fn disrupted(pod: &Value, (reason, message): (&str, &str), now: Timestamp) -> Value {
    const KIND: &str = "DisruptionTarget";
    let mut condition = begun(KIND, "True", (reason, message), now);
    condition["lastProbeTime"] = Value::Null;
    if generation(pod) > 0 {
        condition["observedGeneration"] = json!(generation(pod));
    }
    let others = list(&pod["status"]["conditions"]).iter();
    let others = others.filter(|other| other["type"] != KIND);
    let mut conditions: Vec<Value> = others.cloned().collect();
    conditions.push(condition);
    let mut object = pod.clone();
    object["status"]["conditions"] = Value::Array(conditions);
    object
}

/// Largest restart count of its containers.
pub(crate) fn restarts(pod: &Value) -> i64 {
    let statuses = list(&pod["status"]["containerStatuses"]);
    statuses
        .iter()
        .filter_map(|status| status["restartCount"].as_i64())
        .max()
        .unwrap_or(0)
}
