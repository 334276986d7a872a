//! What label and field selectors see of an object.

use super::Kind;
use serde_json::Value;

/// Fields beyond `metadata.name` and `metadata.namespace` that built-in kinds let selectors name.
const KNOWN: [(&str, &[&str]); 8] = [
    (
        "Pod",
        &[
            "spec.nodeName",
            "spec.restartPolicy",
            "spec.schedulerName",
            "spec.serviceAccountName",
            "spec.hostNetwork",
            "status.phase",
            "status.podIP",
            "status.podIPs",
            "status.nominatedNodeName",
        ],
    ),
    (
        "Event",
        &[
            "involvedObject.kind",
            "involvedObject.namespace",
            "involvedObject.name",
            "involvedObject.uid",
            "involvedObject.apiVersion",
            "involvedObject.resourceVersion",
            "involvedObject.fieldPath",
            "reason",
            "reportingComponent",
            "source",
            "type",
        ],
    ),
    ("Node", &["spec.unschedulable"]),
    ("Namespace", &["status.phase"]),
    ("Secret", &["type"]),
    ("Service", &["spec.clusterIP", "spec.type"]),
    ("ReplicaSet", &["status.replicas"]),
    ("Job", &["status.successful"]),
];

/// Whether a field selector may name a field.
pub(super) fn known(kind: &Kind, label: &str) -> bool {
    match label {
        "metadata.name" => true,
        "metadata.namespace" => kind.resource.is_namespaced(),
        label if kind.is_custom() => kind.selectable.iter().any(|field| field == label),
        label => {
            let name = kind.resource.kind.as_str();
            KNOWN
                .iter()
                .any(|(kind, fields)| *kind == name && fields.contains(&label))
        }
    }
}

/// The value of a field as field selectors compare it; `None` when they may not name it.
pub(super) fn value(kind: &Kind, object: &Value, label: &str) -> Option<String> {
    if !known(kind, label) {
        return None;
    }
    let name = kind.resource.kind.as_str();
    let text = match (name, label) {
        ("Event", "source") => match object["source"]["component"].as_str() {
            Some(component) if !component.is_empty() => component.to_owned(),
            _ => shown(&object["reportingComponent"]),
        },
        ("Event", label) if kind.resource.group == "events.k8s.io" => {
            shown(at(object, &label.replace("involvedObject", "regarding")))
        }
        ("Job", "status.successful") => {
            let count = object["status"]["succeeded"].as_i64().unwrap_or(0);
            count.to_string()
        }
        ("ReplicaSet", label) => match at(object, label) {
            Value::Null => "0".to_owned(),
            count => shown(count),
        },
        ("Node" | "Pod", "spec.unschedulable" | "spec.hostNetwork") => {
            let flag = at(object, label).as_bool().unwrap_or(false);
            flag.to_string()
        }
        (_, label) => shown(at(object, label)),
    };
    Some(text)
}

/// Whether labels satisfy a `LabelSelector`; an empty selector is satisfied by all.
pub(crate) fn matches(selector: &Value, labels: &Value) -> bool {
    let wanted = selector["matchLabels"].as_object().into_iter().flatten();
    let mut terms = selector["matchExpressions"]
        .as_array()
        .into_iter()
        .flatten();
    wanted
        .into_iter()
        .all(|(key, value)| labels.get(key) == Some(value))
        && terms.all(|term| term_holds(term, labels))
}

fn term_holds(term: &Value, labels: &Value) -> bool {
    let key = term["key"].as_str().unwrap_or_default();
    let found = labels.get(key);
    let listed = || {
        let values = term["values"].as_array().map_or(&[][..], Vec::as_slice);
        found.is_some_and(|value| values.contains(value))
    };
    match term["operator"].as_str() {
        Some("In") => listed(),
        Some("NotIn") => !listed(),
        Some("Exists") => found.is_some(),
        Some("DoesNotExist") => found.is_none(),
        _ => false,
    }
}

fn at<'a>(object: &'a Value, path: &str) -> &'a Value {
    path.split('.').fold(object, |value, step| &value[step])
}

fn shown(value: &Value) -> String {
    match value {
        Value::Null => String::new(),
        Value::String(text) => text.clone(),
        other => other.to_string(),
    }
}
