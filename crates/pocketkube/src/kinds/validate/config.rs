//! Configuration, storage, access rules and webhooks.

use super::{list, names, not_more_than_all, number_or_percentage, one_of, text};
use crate::schema::{child_path, index_path, key_path};
use crate::status::Cause;
use serde_json::{Value, json};

/// Bytes that a ConfigMap or a Secret may hold.
const DATA_BYTES_MAX: usize = 1024 * 1024;

pub(in crate::kinds) fn config_map(object: &Value, causes: &mut Vec<Cause>) {
    let mut bytes = 0;
    for part in ["data", "binaryData"] {
        for (key, value) in object[part].as_object().into_iter().flatten() {
            let field = key_path(part, key);
            for why in names::config_key(key) {
                causes.push(Cause::invalid(&field, &key.as_str().into(), &why));
            }
            if part == "data" && !object["binaryData"][key].is_null() {
                let why = "duplicate of key present in binaryData";
                causes.push(Cause::invalid(&field, &key.as_str().into(), why));
            }
            bytes += text(value).len();
        }
    }
    if bytes > DATA_BYTES_MAX {
        causes.push(too_long(""));
    }
}

pub(in crate::kinds) fn secret(object: &Value, causes: &mut Vec<Cause>) {
    let mut bytes = 0;
    for (key, value) in object["data"].as_object().into_iter().flatten() {
        for why in names::config_key(key) {
            causes.push(Cause::invalid(
                key_path("data", key),
                &key.as_str().into(),
                &why,
            ));
        }
        bytes += text(value).len() / 4 * 3;
    }
    if bytes > DATA_BYTES_MAX {
        causes.push(too_long("data"));
    }
    let wanted: &[&str] = match text(&object["type"]) {
        "kubernetes.io/dockerconfigjson" => &[".dockerconfigjson"],
        "kubernetes.io/dockercfg" => &[".dockercfg"],
        "kubernetes.io/ssh-auth" => &["ssh-privatekey"],
        "kubernetes.io/tls" => &["tls.crt", "tls.key"],
        "kubernetes.io/service-account-token" => {
            let key = "kubernetes.io/service-account.name";
            if text(&object["metadata"]["annotations"][key]).is_empty() {
                causes.push(Cause::required(key_path("metadata.annotations", key), ""));
            }
            &[]
        }
        _ => &[],
    };
    for key in wanted {
        if object["data"][key].is_null() {
            causes.push(Cause::required(key_path("data", key), ""));
        }
    }
}

pub(in crate::kinds) fn claim(object: &Value, causes: &mut Vec<Cause>) {
    claim_spec(&object["spec"], "spec", causes);
}

pub(super) fn claim_spec(spec: &Value, path: &str, causes: &mut Vec<Cause>) {
    let modes = child_path(path, "accessModes");
    if list(&spec["accessModes"]).is_empty() {
        let why = "at least 1 access mode is required";
        causes.push(Cause::required(&modes, why));
    }
    let allowed = [
        "ReadOnlyMany",
        "ReadWriteMany",
        "ReadWriteOnce",
        "ReadWriteOncePod",
    ];
    for mode in list(&spec["accessModes"]) {
        if !allowed.contains(&text(mode)) {
            causes.push(Cause::unsupported(&modes, mode, &allowed));
        }
    }
    if spec["resources"]["requests"]["storage"].is_null() {
        let field = child_path(path, "resources[storage]");
        causes.push(Cause::required(field, ""));
    }
}

pub(in crate::kinds) fn volume(object: &Value, causes: &mut Vec<Cause>) {
    let spec = &object["spec"];
    if list(&spec["accessModes"]).is_empty() {
        causes.push(Cause::required("spec.accessModes", ""));
    }
    if spec["capacity"]
        .as_object()
        .is_none_or(serde_json::Map::is_empty)
    {
        causes.push(Cause::required("spec.capacity", ""));
        causes.push(Cause::unsupported(
            "spec.capacity",
            &Value::Null,
            &["storage"],
        ));
    }
    const SOURCES: [&str; 9] = [
        "awsElasticBlockStore",
        "azureDisk",
        "csi",
        "fc",
        "gcePersistentDisk",
        "hostPath",
        "iscsi",
        "local",
        "nfs",
    ];
    if !SOURCES.iter().any(|source| spec[source].is_object()) {
        causes.push(Cause::required("spec", "must specify a volume type"));
    }
}

pub(in crate::kinds) fn disruption_budget(object: &Value, causes: &mut Vec<Cause>) {
    let spec = &object["spec"];
    if !spec["minAvailable"].is_null() && !spec["maxUnavailable"].is_null() {
        let why = "minAvailable and maxUnavailable cannot be both set";
        let shown = json!({
            "MinAvailable": spec["minAvailable"],
            "Selector": spec["selector"],
            "MaxUnavailable": spec["maxUnavailable"],
            "UnhealthyPodEvictionPolicy": spec["unhealthyPodEvictionPolicy"],
        });
        causes.push(Cause::invalid("spec", &shown, why));
    }
    for field in ["minAvailable", "maxUnavailable"] {
        let path = format!("spec.{field}");
        number_or_percentage(&spec[field], &path, causes);
        not_more_than_all(&spec[field], &path, causes);
    }
}

pub(in crate::kinds) fn role_binding(object: &Value, causes: &mut Vec<Cause>) {
    let role = &object["roleRef"];
    let kinds: &[&str] = match text(&object["kind"]) {
        "ClusterRoleBinding" => &["ClusterRole"],
        _ => &["Role", "ClusterRole"],
    };
    if !kinds.contains(&text(&role["kind"])) {
        let found = text(&role["kind"]).into();
        causes.push(Cause::unsupported("roleRef.kind", &found, kinds));
    }
    match text(&role["name"]) {
        "" => causes.push(Cause::required("roleRef.name", "")),
        name => {
            for why in names::path_segment(name) {
                causes.push(Cause::invalid("roleRef.name", &role["name"], &why));
            }
        }
    }
    for (index, subject) in list(&object["subjects"]).iter().enumerate() {
        let at = |field: &str| child_path(&index_path("subjects", index), field);
        if text(&subject["name"]).is_empty() {
            causes.push(Cause::required(at("name"), ""));
        }
        match text(&subject["kind"]) {
            // In a RoleBinding, an account without a namespace is one of the binding's own.
            "ServiceAccount" => {
                let is_cluster_wide = object["kind"] == "ClusterRoleBinding";
                if is_cluster_wide && text(&subject["namespace"]).is_empty() {
                    causes.push(Cause::required(at("namespace"), ""));
                }
            }
            "User" | "Group" => {}
            other => {
                let allowed = ["ServiceAccount", "User", "Group"];
                causes.push(Cause::unsupported(at("kind"), &other.into(), &allowed));
            }
        }
    }
}

pub(in crate::kinds) fn webhooks(object: &Value, causes: &mut Vec<Cause>) {
    for (index, hook) in list(&object["webhooks"]).iter().enumerate() {
        let at = |field: &str| child_path(&index_path("webhooks", index), field);
        let name = text(&hook["name"]);
        if name.split('.').count() < 3 || !names::subdomain(name).is_empty() {
            let why = "should be a domain with at least three segments separated by dots";
            causes.push(Cause::invalid(at("name"), &name.into(), why));
        }
        let allowed = ["None", "NoneOnDryRun"];
        if text(&hook["sideEffects"]).is_empty() {
            let why = "must specify one of None, NoneOnDryRun";
            causes.push(Cause::required(at("sideEffects"), why));
        } else {
            one_of(&hook["sideEffects"], &at("sideEffects"), &allowed, causes);
        }
        if list(&hook["admissionReviewVersions"]).is_empty() {
            let why = "must specify one of v1, v1beta1";
            causes.push(Cause::required(at("admissionReviewVersions"), why));
        }
        let config = &hook["clientConfig"];
        if config["url"].is_null() == config["service"].is_null() {
            let why = "exactly one of url or service is required";
            causes.push(Cause::required(at("clientConfig"), why));
        }
        let seconds = hook["timeoutSeconds"].as_i64().unwrap_or(10);
        if !(1..=30).contains(&seconds) {
            let why = "the timeout value must be between 1 and 30 seconds";
            causes.push(Cause::invalid(at("timeoutSeconds"), &seconds.into(), why));
        }
    }
}

fn too_long(field: &str) -> Cause {
    let message = format!("Too long: may not be more than {DATA_BYTES_MAX} bytes");
    Cause::new("FieldValueTooLong", field, message)
}
