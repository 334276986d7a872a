//! Defaults of workloads and their autoscalers.

use super::pod::template;
use super::{Fields, each, fill, made, spec};
use serde_json::{Value, json};

/// A quarter of the replicas, what rolling updates may take away or add.
const QUARTER: &str = "25%";

pub(in crate::kinds) fn deployment(object: &mut Value) {
    let Some(spec) = spec(object) else { return };
    fill(spec, "replicas", 1);
    if let Some(strategy) = made(spec, "strategy") {
        fill(strategy, "type", "RollingUpdate");
        if strategy.get("type") == Some(&json!("RollingUpdate"))
            && let Some(rolling) = made(strategy, "rollingUpdate")
        {
            fill(rolling, "maxUnavailable", QUARTER);
            fill(rolling, "maxSurge", QUARTER);
        }
    }
    fill(spec, "revisionHistoryLimit", 10);
    fill(spec, "progressDeadlineSeconds", 600);
    template(spec);
}

pub(in crate::kinds) fn replica_set(object: &mut Value) {
    let Some(spec) = spec(object) else { return };
    fill(spec, "replicas", 1);
    template(spec);
}

pub(in crate::kinds) fn replication_controller(object: &mut Value) {
    let labels = object["spec"]["template"]["metadata"]["labels"].clone();
    let Some(fields) = spec(object) else { return };
    fill(fields, "replicas", 1);
    template(fields);
    if labels.as_object().is_some_and(|labels| !labels.is_empty()) {
        fill(fields, "selector", labels.clone());
        let has_labels = object["metadata"]["labels"]
            .as_object()
            .is_some_and(|l| !l.is_empty());
        if !has_labels {
            object["metadata"]["labels"] = labels;
        }
    }
}

pub(in crate::kinds) fn stateful_set(object: &mut Value) {
    let Some(spec) = spec(object) else { return };
    fill(spec, "podManagementPolicy", "OrderedReady");
    if let Some(strategy) = made(spec, "updateStrategy") {
        fill(strategy, "type", "RollingUpdate");
        if strategy.get("type") == Some(&json!("RollingUpdate"))
            && let Some(rolling) = made(strategy, "rollingUpdate")
        {
            fill(rolling, "partition", 0);
        }
    }
    if let Some(retention) = made(spec, "persistentVolumeClaimRetentionPolicy") {
        fill(retention, "whenDeleted", "Retain");
        fill(retention, "whenScaled", "Retain");
    }
    fill(spec, "replicas", 1);
    fill(spec, "revisionHistoryLimit", 10);
    template(spec);
    for claim in each(spec, "volumeClaimTemplates") {
        fill(claim, "apiVersion", "v1");
        fill(claim, "kind", "PersistentVolumeClaim");
        if let Some(spec) = made(claim, "spec") {
            fill(spec, "volumeMode", "Filesystem");
        }
        if let Some(status) = made(claim, "status") {
            fill(status, "phase", "Pending");
        }
    }
}

pub(in crate::kinds) fn daemon_set(object: &mut Value) {
    let meta = object.get_mut("metadata").and_then(Value::as_object_mut);
    if let Some(annotations) = meta.and_then(|meta| made(meta, "annotations")) {
        fill(annotations, "deprecated.daemonset.template.generation", "1");
    }
    let Some(spec) = spec(object) else { return };
    template(spec);
    if let Some(strategy) = made(spec, "updateStrategy") {
        fill(strategy, "type", "RollingUpdate");
        if strategy.get("type") == Some(&json!("RollingUpdate"))
            && let Some(rolling) = made(strategy, "rollingUpdate")
        {
            fill(rolling, "maxUnavailable", 1);
            fill(rolling, "maxSurge", 0);
        }
    }
    fill(spec, "revisionHistoryLimit", 10);
}

pub(in crate::kinds) fn autoscaler(object: &mut Value) {
    let Some(spec) = spec(object) else { return };
    fill(spec, "minReplicas", 1);
    let is_unmeasured = spec
        .get("metrics")
        .and_then(Value::as_array)
        .is_none_or(Vec::is_empty);
    if is_unmeasured {
        let target = json!({ "type": "Utilization", "averageUtilization": 80 });
        let metric = json!({ "type": "Resource", "resource": { "name": "cpu", "target": target } });
        spec.insert("metrics".to_owned(), json!([metric]));
    }
    if let Some(behavior) = super::part(spec, "behavior") {
        scaling_rules(behavior);
    }
}

pub(in crate::kinds) fn autoscaler_v1(object: &mut Value) {
    let Some(spec) = spec(object) else { return };
    fill(spec, "minReplicas", 1);
    fill(spec, "targetCPUUtilizationPercentage", 80);
}

fn scaling_rules(behavior: &mut Fields) {
    let policy =
        |kind: &str, value: i64| json!({ "type": kind, "value": value, "periodSeconds": 15 });
    if let Some(up) = made(behavior, "scaleUp") {
        fill(up, "stabilizationWindowSeconds", 0);
        fill(up, "selectPolicy", "Max");
        fill(
            up,
            "policies",
            json!([policy("Pods", 4), policy("Percent", 100)]),
        );
    }
    if let Some(down) = made(behavior, "scaleDown") {
        fill(down, "selectPolicy", "Max");
        fill(down, "policies", json!([policy("Percent", 100)]));
    }
}
