//! Defaults of Pods and Pod templates.

use super::{Fields, each, fill, made, part, spec};
use serde_json::{Map, Value, json};

/// A Pod, which also gets what its node and priority would give it.
pub(in crate::kinds) fn pod(object: &mut Value) {
    let Some(spec) = spec(object) else { return };
    pod_spec(spec);
    fill(spec, "enableServiceLinks", true);
    if spec.get("hostNetwork") == Some(&json!(true)) {
        for list in ["initContainers", "containers"] {
            each(spec, list).for_each(|container| each(container, "ports").for_each(host_port));
        }
    }
    for list in ["initContainers", "containers"] {
        each(spec, list).for_each(requests_from_limits);
    }
}

/// A PodTemplate object.
pub(in crate::kinds) fn pod_template(object: &mut Value) {
    if let Some(fields) = object.as_object_mut()
        && let Some(template) = part(fields, "template")
    {
        template_fields(template);
    }
}

/// `spec.template` of a workload.
pub(super) fn template(spec: &mut Fields) {
    if let Some(template) = part(spec, "template") {
        template_fields(template);
    }
}

fn template_fields(template: &mut Fields) {
    made(template, "metadata");
    if let Some(spec) = made(template, "spec") {
        pod_spec(spec);
    }
}

fn pod_spec(spec: &mut Fields) {
    fill(spec, "restartPolicy", "Always");
    fill(spec, "terminationGracePeriodSeconds", 30);
    fill(spec, "dnsPolicy", "ClusterFirst");
    fill(spec, "securityContext", Map::new());
    fill(spec, "schedulerName", "default-scheduler");
    if let Some(account) = spec.get("serviceAccountName").cloned() {
        fill(spec, "serviceAccount", account);
    } else if let Some(account) = spec.get("serviceAccount").cloned() {
        fill(spec, "serviceAccountName", account);
    }
    for list in ["initContainers", "containers", "ephemeralContainers"] {
        each(spec, list).for_each(container_fields);
    }
    each(spec, "volumes").for_each(volume);
}

fn host_port(port: &mut Fields) {
    if let Some(number) = port.get("containerPort").cloned() {
        fill(port, "hostPort", number);
    }
}

fn container_fields(container: &mut Fields) {
    fill(container, "terminationMessagePath", "/dev/termination-log");
    fill(container, "terminationMessagePolicy", "File");
    let policy = pull_policy(
        container
            .get("image")
            .and_then(Value::as_str)
            .unwrap_or_default(),
    );
    fill(container, "imagePullPolicy", policy);
    fill(container, "resources", Map::new());
    for port in each(container, "ports") {
        fill(port, "protocol", "TCP");
    }
    for name in ["livenessProbe", "readinessProbe", "startupProbe"] {
        if let Some(probe) = part(container, name) {
            probe_fields(probe);
        }
    }
    if let Some(lifecycle) = part(container, "lifecycle") {
        for name in ["postStart", "preStop"] {
            if let Some(handler) = part(lifecycle, name) {
                http_get(handler);
            }
        }
    }
    for variable in each(container, "env") {
        let source = part(variable, "valueFrom").and_then(|from| part(from, "fieldRef"));
        if let Some(field) = source {
            fill(field, "apiVersion", "v1");
        }
    }
    if let Some(context) = part(container, "securityContext")
        && context.contains_key("procMount")
    {
        fill(context, "procMount", "Default");
    }
}

/// `latest`, or no tag at all, is always pulled.
fn pull_policy(image: &str) -> &'static str {
    let last = image.rsplit('/').next().unwrap_or(image);
    if last.contains('@') {
        return "IfNotPresent";
    }
    match last.rsplit_once(':') {
        Some((_, tag)) if tag != "latest" => "IfNotPresent",
        _ => "Always",
    }
}

fn probe_fields(probe: &mut Fields) {
    http_get(probe);
    fill(probe, "timeoutSeconds", 1);
    fill(probe, "periodSeconds", 10);
    fill(probe, "successThreshold", 1);
    fill(probe, "failureThreshold", 3);
    if let Some(grpc) = part(probe, "grpc") {
        fill(grpc, "service", "");
    }
}

fn http_get(handler: &mut Fields) {
    if let Some(get) = part(handler, "httpGet") {
        fill(get, "path", "/");
        fill(get, "scheme", "HTTP");
    }
}

fn volume(volume: &mut Fields) {
    const READ_WRITE_OWNER: i64 = 0o644;
    for name in ["secret", "configMap", "downwardAPI", "projected"] {
        if let Some(source) = part(volume, name) {
            fill(source, "defaultMode", READ_WRITE_OWNER);
            for item in each(source, "items") {
                if let Some(field) = part(item, "fieldRef") {
                    fill(field, "apiVersion", "v1");
                }
            }
            for projection in each(source, "sources") {
                if let Some(token) = part(projection, "serviceAccountToken") {
                    fill(token, "expirationSeconds", 3600);
                }
                if let Some(api) = part(projection, "downwardAPI") {
                    for item in each(api, "items") {
                        if let Some(field) = part(item, "fieldRef") {
                            fill(field, "apiVersion", "v1");
                        }
                    }
                }
            }
        }
    }
    if let Some(path) = part(volume, "hostPath") {
        fill(path, "type", "");
    }
    if let Some(claim) = part(volume, "ephemeral")
        .and_then(|ephemeral| part(ephemeral, "volumeClaimTemplate"))
        .and_then(|template| part(template, "spec"))
    {
        fill(claim, "volumeMode", "Filesystem");
    }
    let sources = volume.keys().filter(|key| *key != "name").count();
    if sources == 0 {
        fill(volume, "emptyDir", Map::new());
    }
}

/// A container that limits a resource requests as much, unless it says otherwise.
fn requests_from_limits(container: &mut Fields) {
    let Some(resources) = part(container, "resources") else {
        return;
    };
    let Some(limits) = resources.get("limits").and_then(Value::as_object).cloned() else {
        return;
    };
    if limits.is_empty() {
        return;
    }
    if let Some(requests) = made(resources, "requests") {
        for (name, amount) in limits {
            fill(requests, &name, amount);
        }
    }
}
