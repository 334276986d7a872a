//! Tables of Pods.

use super::{age_cell, at, count, list, number, or_none, text, wide};
use crate::resource::Column;
use serde_json::{Value, json};

pub(super) fn columns(kind: &str) -> Option<Vec<Column>> {
    match kind {
        "Pod" => Some(vec![
            text("Ready", ready),
            text("Status", |pod, _| json!(status(pod))),
            text("Restarts", restarts),
            text("Age", age_cell),
            wide("IP", |pod, _| or_none(at(pod, &["status", "podIP"]))),
            wide("Node", |pod, _| or_none(at(pod, &["spec", "nodeName"]))),
            wide("Nominated Node", |pod, _| {
                or_none(at(pod, &["status", "nominatedNodeName"]))
            }),
            wide("Readiness Gates", gates),
        ]),
        "PodTemplate" => Some(vec![
            text("Containers", |o, _| {
                json!(super::containers(&o["template"], "name"))
            }),
            text("Images", |o, _| {
                json!(super::containers(&o["template"], "image"))
            }),
            text("Pod Labels", |o, _| {
                json!(super::labels(&o["template"]["metadata"]["labels"]))
            }),
        ]),
        "ReplicationController" => Some(vec![
            number("Desired", |o, _| json!(count(o, &["spec", "replicas"]))),
            number("Current", |o, _| json!(count(o, &["status", "replicas"]))),
            number("Ready", |o, _| {
                json!(count(o, &["status", "readyReplicas"]))
            }),
            text("Age", age_cell),
            wide("Containers", |o, _| {
                json!(super::containers(&o["spec"]["template"], "name"))
            }),
            wide("Images", |o, _| {
                json!(super::containers(&o["spec"]["template"], "image"))
            }),
            wide("Selector", |o, _| {
                json!(super::labels(&o["spec"]["selector"]))
            }),
        ]),
        _ => None,
    }
}

fn ready(pod: &Value, _: i64) -> Value {
    let sidecars = list(&pod["spec"]["initContainers"])
        .iter()
        .filter(|c| is_sidecar(c));
    let names: Vec<&Value> = sidecars.map(|container| &container["name"]).collect();
    let total = list(&pod["spec"]["containers"]).len() + names.len();
    let statuses = list(&pod["status"]["containerStatuses"]).iter();
    let early = list(&pod["status"]["initContainerStatuses"]).iter();
    let early = early.filter(|status| names.contains(&&status["name"]));
    let is_ready = |s: &&Value| s["ready"] == true && s["state"]["running"].is_object();
    json!(format!(
        "{}/{total}",
        statuses.chain(early).filter(is_ready).count()
    ))
}

/// Init containers that keep running beside the others.
fn is_sidecar(container: &Value) -> bool {
    container["restartPolicy"] == "Always"
}

/// The phase, or what says more than it: a reason, a waiting container, the end.
fn status(pod: &Value) -> String {
    let mut shown = at(pod, &["status", "phase"]).to_owned();
    let reason = at(pod, &["status", "reason"]);
    if !reason.is_empty() {
        reason.clone_into(&mut shown);
    }
    let conditions = list(&pod["status"]["conditions"]);
    let is_gated = |c: &Value| c["type"] == "PodScheduled" && c["reason"] == "SchedulingGated";
    if conditions.iter().any(is_gated) {
        shown = "SchedulingGated".to_owned();
    }
    match initializing(pod) {
        Some(stage) => shown = stage,
        None => shown = of_containers(pod, shown),
    }
    if pod["metadata"]["deletionTimestamp"].is_string() {
        if reason == "NodeLost" {
            return "Unknown".to_owned();
        }
        if !matches!(at(pod, &["status", "phase"]), "Succeeded" | "Failed") {
            return "Terminating".to_owned();
        }
    }
    shown
}

/// How far init containers are; `None` when they are done.
fn initializing(pod: &Value) -> Option<String> {
    let inits = list(&pod["spec"]["initContainers"]);
    for (index, status) in list(&pod["status"]["initContainerStatuses"])
        .iter()
        .enumerate()
    {
        let state = &status["state"];
        let ended = &state["terminated"];
        let container = inits
            .iter()
            .find(|container| container["name"] == status["name"]);
        let is_done = ended.is_object() && count(ended, &["exitCode"]) == 0;
        if is_done || (container.is_some_and(is_sidecar) && status["started"] == true) {
            continue;
        }
        if ended.is_object() {
            return Some(format!("Init:{}", end(ended)));
        }
        return Some(match at(state, &["waiting", "reason"]) {
            "" | "PodInitializing" => format!("Init:{index}/{}", inits.len()),
            reason => format!("Init:{reason}"),
        });
    }
    None
}

fn of_containers(pod: &Value, phase: String) -> String {
    let mut shown = phase;
    let mut is_running = false;
    for status in list(&pod["status"]["containerStatuses"]).iter().rev() {
        let state = &status["state"];
        let (waiting, ended) = (at(state, &["waiting", "reason"]), &state["terminated"]);
        if !waiting.is_empty() {
            waiting.clone_into(&mut shown);
        } else if ended.is_object() {
            shown = end(ended);
        } else if status["ready"] == true && state["running"].is_object() {
            is_running = true;
        }
    }
    if shown == "Completed" && is_running {
        let is_ready = |c: &Value| c["type"] == "Ready" && c["status"] == "True";
        let conditions = list(&pod["status"]["conditions"]);
        shown = if conditions.iter().any(is_ready) {
            "Running"
        } else {
            "NotReady"
        }
        .to_owned();
    }
    shown
}

/// Why a container ended.
fn end(ended: &Value) -> String {
    match (at(ended, &["reason"]), count(ended, &["signal"])) {
        ("", 0) => format!("ExitCode:{}", count(ended, &["exitCode"])),
        ("", signal) => format!("Signal:{signal}"),
        (reason, _) => reason.to_owned(),
    }
}

/// How often containers were started again, and when last; while init containers run, theirs.
fn restarts(pod: &Value, now_secs: i64) -> Value {
    let part = match initializing(pod) {
        Some(_) => "initContainerStatuses",
        None => "containerStatuses",
    };
    let statuses = list(&pod["status"][part]);
    let total: i64 = statuses
        .iter()
        .map(|status| count(status, &["restartCount"]))
        .sum();
    let ended = |status: &Value| {
        super::age::seconds(at(status, &["lastState", "terminated", "finishedAt"]))
    };
    match statuses.iter().filter_map(ended).max() {
        Some(last) if total > 0 => {
            json!(format!("{total} ({} ago)", super::age(now_secs - last)))
        }
        _ => json!(total.to_string()),
    }
}

fn gates(pod: &Value, _: i64) -> Value {
    let gates = list(&pod["spec"]["readinessGates"]);
    if gates.is_empty() {
        return json!("<none>");
    }
    let holds = |gate: &&Value| {
        let conditions = list(&pod["status"]["conditions"]);
        conditions
            .iter()
            .any(|c| c["type"] == gate["conditionType"] && c["status"] == "True")
    };
    json!(format!(
        "{}/{}",
        gates.iter().filter(holds).count(),
        gates.len()
    ))
}
