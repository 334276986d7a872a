//! Pods and Pod templates.

use super::{list, names, not_negative, text};
use crate::schema::{child_path, index_path, key_path};
use crate::status::Cause;
use serde_json::Value;
use std::collections::BTreeSet;

pub(in crate::kinds) fn pod(object: &Value, causes: &mut Vec<Cause>) {
    spec(&object["spec"], "spec", causes);
}

/// Checks a Pod's spec; `path` is where it is.
pub(super) fn spec(spec: &Value, path: &str, causes: &mut Vec<Cause>) {
    let at = |field: &str| child_path(path, field);
    let volumes = volumes(&spec["volumes"], &at("volumes"), causes);
    let mut seen = BTreeSet::new();
    let containers = list(&spec["containers"]);
    if containers.is_empty() {
        causes.push(Cause::required(at("containers"), ""));
    }
    for part in ["containers", "initContainers"] {
        for (index, container) in list(&spec[part]).iter().enumerate() {
            let below = index_path(&at(part), index);
            self::container(container, &below, &volumes, causes);
            let name = text(&container["name"]);
            if !name.is_empty() && !seen.insert(name) {
                causes.push(Cause::duplicate(
                    child_path(&below, "name"),
                    &container["name"],
                ));
            }
        }
    }
    known(
        &spec["restartPolicy"],
        &at("restartPolicy"),
        &["Always", "OnFailure", "Never"],
        causes,
    );
    let policies = ["ClusterFirstWithHostNet", "ClusterFirst", "Default", "None"];
    known(&spec["dnsPolicy"], &at("dnsPolicy"), &policies, causes);
    names::labels(&spec["nodeSelector"], &at("nodeSelector"), causes);
    spreading(
        &spec["topologySpreadConstraints"],
        &at("topologySpreadConstraints"),
        causes,
    );
    for field in ["serviceAccountName", "nodeName", "runtimeClassName"] {
        let name = text(&spec[field]);
        if !name.is_empty() {
            for why in names::subdomain(name) {
                causes.push(Cause::invalid(at(field), &spec[field], &why));
            }
        }
    }
    let deadline = &spec["activeDeadlineSeconds"];
    if deadline.as_i64().is_some_and(|seconds| seconds < 1) {
        let why = "must be between 1 and 2147483647, inclusive";
        causes.push(Cause::invalid(at("activeDeadlineSeconds"), deadline, why));
    }
}

fn spreading(constraints: &Value, path: &str, causes: &mut Vec<Cause>) {
    let mut seen = BTreeSet::new();
    for (index, constraint) in list(constraints).iter().enumerate() {
        let below = index_path(path, index);
        let at = |field: &str| child_path(&below, field);
        let skew = &constraint["maxSkew"];
        if skew.as_i64().unwrap_or(0) <= 0 {
            let skew = if skew.is_null() {
                &Value::from(0)
            } else {
                skew
            };
            causes.push(Cause::invalid(
                at("maxSkew"),
                skew,
                "must be greater than zero",
            ));
        }
        let key = text(&constraint["topologyKey"]);
        if key.is_empty() {
            causes.push(Cause::required(at("topologyKey"), "can not be empty"));
        }
        let action = text(&constraint["whenUnsatisfiable"]);
        let actions = ["DoNotSchedule", "ScheduleAnyway"];
        if !actions.contains(&action) {
            causes.push(Cause::unsupported(
                at("whenUnsatisfiable"),
                &action.into(),
                &actions,
            ));
        }
        if !seen.insert((key, action)) {
            let pair = format!("{{{key}, {action}}}");
            let field = at("{topologyKey, whenUnsatisfiable}");
            causes.push(Cause::duplicate(field, &pair.into()));
        }
    }
}

fn known(value: &Value, field: &str, allowed: &[&str], causes: &mut Vec<Cause>) {
    if let Some(found) = value.as_str()
        && !allowed.contains(&found)
    {
        causes.push(Cause::unsupported(field, value, allowed));
    }
}

/// Where a variable of the environment takes its value from.
fn value_from(source: &Value, path: &str, causes: &mut Vec<Cause>) {
    if source.is_null() {
        return;
    }
    let sources = [
        "fieldRef",
        "resourceFieldRef",
        "configMapKeyRef",
        "secretKeyRef",
    ];
    if sources.iter().all(|name| source[*name].is_null()) {
        let why = "must specify one of: `fieldRef`, `resourceFieldRef`, `configMapKeyRef`, \
                   `secretKeyRef` or `fileKeyRef`";
        if source["fileKeyRef"].is_null() {
            causes.push(Cause::invalid(path, &"".into(), why));
        }
    }
    if sources
        .iter()
        .filter(|name| !source[**name].is_null())
        .count()
        > 1
    {
        let why = "may not have more than one field specified at a time";
        causes.push(Cause::invalid(path, &"".into(), why));
    }
    field_ref(&source["fieldRef"], &child_path(path, "fieldRef"), causes);
    for name in ["configMapKeyRef", "secretKeyRef"] {
        let reference = &source[name];
        if reference.is_null() {
            continue;
        }
        let path = child_path(path, name);
        if text(&reference["key"]).is_empty() {
            causes.push(Cause::required(child_path(&path, "key"), ""));
        }
        let named = text(&reference["name"]);
        for why in names::subdomain(named) {
            causes.push(Cause::invalid(
                child_path(&path, "name"),
                &named.into(),
                &why,
            ));
        }
    }
}

/// A field of the Pod that a variable takes its value from.
fn field_ref(reference: &Value, path: &str, causes: &mut Vec<Cause>) {
    if reference.is_null() {
        return;
    }
    let field = child_path(path, "fieldPath");
    let given = text(&reference["fieldPath"]);
    let known = [
        "metadata.name",
        "metadata.namespace",
        "metadata.uid",
        "spec.nodeName",
        "spec.serviceAccountName",
        "status.hostIP",
        "status.hostIPs",
        "status.podIP",
        "status.podIPs",
    ];
    let is_entry = ["metadata.labels[", "metadata.annotations["]
        .iter()
        .any(|start| given.starts_with(start) && given.ends_with(']'));
    if given.is_empty() {
        causes.push(Cause::required(field, ""));
    } else if !known.contains(&given) && !is_entry {
        let why = format!("error converting fieldPath: field label not supported: {given}");
        causes.push(Cause::invalid(field, &given.into(), &why));
    }
}

fn volumes<'a>(volumes: &'a Value, path: &str, causes: &mut Vec<Cause>) -> BTreeSet<&'a str> {
    let mut seen = BTreeSet::new();
    for (index, volume) in list(volumes).iter().enumerate() {
        let below = index_path(path, index);
        let claim = &volume["persistentVolumeClaim"];
        if claim.is_object() && text(&claim["claimName"]).is_empty() {
            let field = child_path(&below, "persistentVolumeClaim.claimName");
            causes.push(Cause::required(field, ""));
        }
        let field = child_path(&below, "name");
        match text(&volume["name"]) {
            "" => causes.push(Cause::required(field, "")),
            name => {
                for why in names::label(name) {
                    causes.push(Cause::invalid(&field, &volume["name"], &why));
                }
                if !seen.insert(name) {
                    causes.push(Cause::duplicate(field, &volume["name"]));
                }
            }
        }
    }
    seen
}

fn container(value: &Value, path: &str, volumes: &BTreeSet<&str>, causes: &mut Vec<Cause>) {
    let at = |field: &str| child_path(path, field);
    match text(&value["name"]) {
        "" => causes.push(Cause::required(at("name"), "")),
        name => {
            for why in names::label(name) {
                causes.push(Cause::invalid(at("name"), &value["name"], &why));
            }
        }
    }
    match text(&value["image"]) {
        "" => causes.push(Cause::required(at("image"), "")),
        image if image.trim() != image => {
            let why = "must not have leading or trailing whitespace";
            causes.push(Cause::invalid(at("image"), &value["image"], why));
        }
        _ => {}
    }
    for name in ["livenessProbe", "readinessProbe", "startupProbe"] {
        if value[name].is_object() {
            probe(&value[name], &at(name), causes);
        }
    }
    let policies = ["Always", "IfNotPresent", "Never"];
    known(
        &value["imagePullPolicy"],
        &at("imagePullPolicy"),
        &policies,
        causes,
    );
    ports(&value["ports"], &at("ports"), causes);
    for (index, variable) in list(&value["env"]).iter().enumerate() {
        let field = child_path(&index_path(&at("env"), index), "name");
        let name = text(&variable["name"]);
        if name.is_empty() {
            causes.push(Cause::required(field, ""));
        } else if !name
            .chars()
            .all(|c| (c.is_ascii_graphic() || c == ' ') && c != '=')
        {
            let why = "a valid environment variable name must consist only of printable ASCII \
                       characters other than '='";
            causes.push(Cause::invalid(field, &variable["name"], why));
        }
        let field = child_path(&index_path(&at("env"), index), "valueFrom");
        if !text(&variable["value"]).is_empty() && variable["valueFrom"].is_object() {
            let why = "may not be specified when `value` is not empty";
            causes.push(Cause::invalid(&field, &"".into(), why));
        }
        value_from(&variable["valueFrom"], &field, causes);
    }
    for (index, mount) in list(&value["volumeMounts"]).iter().enumerate() {
        let below = index_path(&at("volumeMounts"), index);
        let name = text(&mount["name"]);
        if name.is_empty() {
            causes.push(Cause::required(child_path(&below, "name"), ""));
        } else if !volumes.contains(name) {
            let field = child_path(&below, "name");
            causes.push(Cause::new(
                "FieldValueNotFound",
                field,
                format!("Not found: {name:?}"),
            ));
        }
        if text(&mount["mountPath"]).is_empty() {
            causes.push(Cause::required(child_path(&below, "mountPath"), ""));
        }
    }
    resources(&value["resources"], &at("resources"), causes);
}

fn ports(value: &Value, path: &str, causes: &mut Vec<Cause>) {
    let mut seen = BTreeSet::new();
    for (index, port) in list(value).iter().enumerate() {
        let at = |field: &str| child_path(&index_path(path, index), field);
        let name = text(&port["name"]);
        if !name.is_empty() {
            let problems = names::port_name(name);
            let is_valid = problems.is_empty();
            for why in problems {
                causes.push(Cause::invalid(at("name"), &port["name"], &why));
            }
            if is_valid && !seen.insert(name) {
                causes.push(Cause::duplicate(at("name"), &port["name"]));
            }
        }
        match port["containerPort"].as_i64().unwrap_or(0) {
            0 => causes.push(Cause::required(at("containerPort"), "")),
            _ => super::network::number(&port["containerPort"], &at("containerPort"), causes),
        }
        known(
            &port["protocol"],
            &at("protocol"),
            &["SCTP", "TCP", "UDP"],
            causes,
        );
    }
}

fn probe(value: &Value, path: &str, causes: &mut Vec<Cause>) {
    let handlers = ["exec", "httpGet", "tcpSocket", "grpc"];
    if !handlers.iter().any(|handler| value[handler].is_object()) {
        causes.push(Cause::required(path, "must specify a handler type"));
    }
    for handler in ["httpGet", "tcpSocket", "grpc"] {
        let port = &value[handler]["port"];
        if value[handler].is_object() && !port.is_string() {
            let field = child_path(&child_path(path, handler), "port");
            super::network::number(port, &field, causes);
        }
    }
    let numbers = [
        "initialDelaySeconds",
        "timeoutSeconds",
        "periodSeconds",
        "successThreshold",
        "failureThreshold",
    ];
    for name in numbers {
        not_negative(&value[name], &child_path(path, name), causes);
    }
}

fn resources(value: &Value, path: &str, causes: &mut Vec<Cause>) {
    for (name, request) in value["requests"].as_object().into_iter().flatten() {
        let field = key_path(&child_path(path, "requests"), name);
        let wanted = crate::schema::milli(text(request)).unwrap_or(0);
        if wanted < 0 {
            causes.push(Cause::invalid(
                field,
                request,
                "must be greater than or equal to 0",
            ));
        } else if let Some(limit) = value["limits"][name].as_str()
            && crate::schema::milli(limit).is_some_and(|limit| wanted > limit)
        {
            let why = format!("must be less than or equal to {name} limit of {limit}");
            causes.push(Cause::invalid(child_path(path, "requests"), request, &why));
        }
    }
    for (name, limit) in value["limits"].as_object().into_iter().flatten() {
        if crate::schema::milli(text(limit)).is_some_and(|limit| limit < 0) {
            let field = key_path(&child_path(path, "limits"), name);
            causes.push(Cause::invalid(
                field,
                limit,
                "must be greater than or equal to 0",
            ));
        }
    }
}
