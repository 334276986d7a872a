//! Conversion between the versions in which one kind is served.

use super::Kind;
use serde_json::{Value, json};

/// Makes an object of one served version one of another: the only difference is in Events and
/// autoscalers; custom kinds convert by `None`, which changes `apiVersion` alone.
pub fn convert(from: &Kind, to: &Kind, object: &mut Value) {
    let (source, target) = (from.resource.api_version(), to.resource.api_version());
    if source == target {
        return;
    }
    match (source.as_str(), target.as_str()) {
        ("v1", "events.k8s.io/v1") => {
            rename(object, &EVENT);
            leave_out(object, &["reportingController", "reportingInstance"]);
        }
        ("events.k8s.io/v1", "v1") => {
            rename(object, &EVENT.map(|(old, new)| (new, old)));
            write_empty(object, &["reportingComponent", "reportingInstance"]);
        }
        ("autoscaling/v1", "autoscaling/v2") => metrics_from_target(object),
        ("autoscaling/v2", "autoscaling/v1") => target_from_metrics(object),
        _ => {}
    }
    object["apiVersion"] = json!(target);
}

/// Fields of a core Event and what `events.k8s.io` calls them.
const EVENT: [(&str, &str); 7] = [
    ("involvedObject", "regarding"),
    ("message", "note"),
    ("source", "deprecatedSource"),
    ("firstTimestamp", "deprecatedFirstTimestamp"),
    ("lastTimestamp", "deprecatedLastTimestamp"),
    ("count", "deprecatedCount"),
    ("reportingComponent", "reportingController"),
];

fn rename(object: &mut Value, names: &[(&str, &str)]) {
    let Some(fields) = object.as_object_mut() else {
        return;
    };
    for (from, to) in names {
        if let Some(value) = fields.shift_remove(*from) {
            fields.insert((*to).to_owned(), value);
        }
    }
}

/// One version leaves empty texts out, the other writes them.
fn leave_out(object: &mut Value, names: &[&str]) {
    if let Some(fields) = object.as_object_mut() {
        fields.retain(|name, value| !(names.contains(&name.as_str()) && *value == ""));
    }
}

fn write_empty(object: &mut Value, names: &[&str]) {
    for name in names {
        if object[*name].is_null() {
            object[*name] = json!("");
        }
    }
}

fn metrics_from_target(object: &mut Value) {
    let Some(spec) = object.get_mut("spec").and_then(Value::as_object_mut) else {
        return;
    };
    if let Some(target) = spec.shift_remove("targetCPUUtilizationPercentage") {
        let target = json!({ "type": "Utilization", "averageUtilization": target });
        let metric = json!({ "type": "Resource", "resource": { "name": "cpu", "target": target } });
        spec.insert("metrics".to_owned(), json!([metric]));
    }
    if let Some(status) = object.get_mut("status").and_then(Value::as_object_mut)
        && let Some(now) = status.shift_remove("currentCPUUtilizationPercentage")
    {
        let current = json!({ "averageUtilization": now, "averageValue": "0" });
        let metric =
            json!({ "type": "Resource", "resource": { "name": "cpu", "current": current } });
        status.insert("currentMetrics".to_owned(), json!([metric]));
    }
}

fn target_from_metrics(object: &mut Value) {
    let cpu = |metrics: Option<Value>, path: &[&str]| -> Option<Value> {
        let metrics = metrics?;
        let metric = metrics
            .as_array()?
            .iter()
            .find(|m| m["resource"]["name"] == "cpu")?;
        let mut value = &metric["resource"];
        for step in path {
            value = value.get(step)?;
        }
        Some(value.clone())
    };
    let spec = object.get_mut("spec").and_then(Value::as_object_mut);
    let wanted = cpu(
        spec.and_then(|spec| {
            spec.shift_remove("behavior");
            spec.shift_remove("metrics")
        }),
        &["target", "averageUtilization"],
    );
    let status = object.get_mut("status").and_then(Value::as_object_mut);
    let current = cpu(
        status.and_then(|status| {
            status.shift_remove("conditions");
            status.shift_remove("currentMetrics")
        }),
        &["current", "averageUtilization"],
    );
    set(object, "spec", "targetCPUUtilizationPercentage", wanted);
    set(object, "status", "currentCPUUtilizationPercentage", current);
}

fn set(object: &mut Value, part: &str, name: &str, value: Option<Value>) {
    if let (Some(Value::Object(fields)), Some(value)) = (object.get_mut(part), value) {
        fields.insert(name.to_owned(), value);
    }
}
