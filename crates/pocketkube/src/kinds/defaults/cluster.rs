//! Defaults of cluster-wide kinds, of Secrets and of claims.

use super::{each, fill, made, part, spec};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde_json::{Map, Value, json};

/// A Secret: `stringData` is written into `data`.
pub(in crate::kinds) fn secret(object: &mut Value) {
    let Some(fields) = object.as_object_mut() else {
        return;
    };
    if let Some(Value::Object(texts)) = fields.shift_remove("stringData")
        && let Some(data) = made(fields, "data")
    {
        for (key, text) in texts {
            let encoded = STANDARD.encode(text.as_str().unwrap_or_default());
            data.insert(key, json!(encoded));
        }
    }
    fill(fields, "type", "Opaque");
}

/// A Namespace: it carries its name as a label, and stays until its content is gone.
pub(in crate::kinds) fn namespace(object: &mut Value) {
    let name = object["metadata"]["name"].clone();
    let Some(fields) = object.as_object_mut() else {
        return;
    };
    if name.is_string()
        && let Some(meta) = part(fields, "metadata")
        && let Some(labels) = made(meta, "labels")
    {
        labels.insert("kubernetes.io/metadata.name".to_owned(), name);
    }
}

pub(in crate::kinds) fn node(object: &mut Value) {
    let Some(fields) = object.as_object_mut() else {
        return;
    };
    if let Some(status) = part(fields, "status")
        && let Some(capacity) = status.get("capacity").cloned()
    {
        fill(status, "allocatable", capacity);
    }
}

pub(in crate::kinds) fn claim(object: &mut Value) {
    if let Some(spec) = spec(object) {
        fill(spec, "volumeMode", "Filesystem");
    }
    let Some(fields) = object.as_object_mut() else {
        return;
    };
    if let Some(status) = made(fields, "status") {
        fill(status, "phase", "Pending");
    }
}

pub(in crate::kinds) fn volume(object: &mut Value) {
    if let Some(spec) = spec(object) {
        fill(spec, "persistentVolumeReclaimPolicy", "Retain");
        fill(spec, "volumeMode", "Filesystem");
        if let Some(path) = part(spec, "hostPath") {
            fill(path, "type", "");
        }
    }
    let Some(fields) = object.as_object_mut() else {
        return;
    };
    if let Some(status) = made(fields, "status") {
        fill(status, "phase", "Pending");
    }
}

pub(in crate::kinds) fn priority_class(object: &mut Value) {
    let Some(fields) = object.as_object_mut() else {
        return;
    };
    fill(fields, "preemptionPolicy", "PreemptLowerPriority");
}

pub(in crate::kinds) fn role_binding(object: &mut Value) {
    const RBAC: &str = "rbac.authorization.k8s.io";
    let Some(fields) = object.as_object_mut() else {
        return;
    };
    if let Some(role) = part(fields, "roleRef") {
        if role.get("apiGroup") == Some(&json!("")) {
            role.shift_remove("apiGroup");
        }
        fill(role, "apiGroup", RBAC);
    }
    for subject in each(fields, "subjects") {
        if matches!(
            subject.get("kind").and_then(Value::as_str),
            Some("User" | "Group")
        ) {
            fill(subject, "apiGroup", RBAC);
        }
    }
}

/// Webhooks: fail closed, match equivalent requests, wait ten seconds.
pub(in crate::kinds) fn webhooks(object: &mut Value) {
    let is_mutating = object["kind"] == "MutatingWebhookConfiguration";
    let Some(fields) = object.as_object_mut() else {
        return;
    };
    for hook in each(fields, "webhooks") {
        fill(hook, "failurePolicy", "Fail");
        fill(hook, "matchPolicy", "Equivalent");
        fill(hook, "namespaceSelector", Map::new());
        fill(hook, "objectSelector", Map::new());
        fill(hook, "timeoutSeconds", 10);
        if is_mutating {
            fill(hook, "reinvocationPolicy", "Never");
        }
        for rule in each(hook, "rules") {
            fill(rule, "scope", "*");
        }
        let service = part(hook, "clientConfig").and_then(|config| part(config, "service"));
        if let Some(service) = service {
            fill(service, "port", 443);
        }
    }
}
