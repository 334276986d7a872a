//! What a change may not touch.

use crate::schema::milli;
use crate::status::Cause;
use serde_json::{Value, json};

const IMMUTABLE: &str = "field is immutable";
const SEALED: &str = "field is immutable when `immutable` is set";

/// `spec.selector` of a workload.
pub(super) fn selector(new: &Value, old: &Value, causes: &mut Vec<Cause>) {
    same(new, old, "spec.selector", IMMUTABLE, causes);
}

pub(super) fn config_map(new: &Value, old: &Value, causes: &mut Vec<Cause>) {
    sealed(new, old, &["data", "binaryData"], causes);
}

pub(super) fn secret(new: &Value, old: &Value, causes: &mut Vec<Cause>) {
    same(new, old, "type", IMMUTABLE, causes);
    sealed(new, old, &["data"], causes);
}

fn sealed(new: &Value, old: &Value, parts: &[&str], causes: &mut Vec<Cause>) {
    if old["immutable"] != true {
        return;
    }
    if new["immutable"] != true {
        causes.push(Cause::forbidden("immutable", SEALED));
    }
    let empty = json!({});
    for part in parts {
        let (now, was) = (
            new.get(part).unwrap_or(&empty),
            old.get(part).unwrap_or(&empty),
        );
        if now != was {
            causes.push(Cause::forbidden(*part, SEALED));
        }
    }
}

/// An address stays once given, unless the Service becomes an `ExternalName`.
pub(super) fn service(new: &Value, old: &Value, causes: &mut Vec<Cause>) {
    let (now, was) = (&new["spec"], &old["spec"]);
    if now["type"] == "ExternalName" || was["type"] == "ExternalName" {
        return;
    }
    let address = |spec: &Value| spec["clusterIP"].as_str().unwrap_or_default().to_owned();
    let (before, after) = (address(was), address(now));
    if !before.is_empty() && !after.is_empty() && before != after {
        let why = "may not change once set";
        causes.push(Cause::invalid("spec.clusterIPs[0]", &json!([after]), why));
    }
}

pub(super) fn job(new: &Value, old: &Value, causes: &mut Vec<Cause>) {
    let is_suspended = old["spec"]["suspend"] == true && old["status"]["startTime"].is_null();
    for field in [
        "spec.selector",
        "spec.completionMode",
        "spec.podFailurePolicy",
        "spec.backoffLimitPerIndex",
    ] {
        same(new, old, field, IMMUTABLE, causes);
    }
    if new["spec"]["completionMode"] != "Indexed" {
        same(new, old, "spec.completions", IMMUTABLE, causes);
    }
    if !is_suspended {
        same(new, old, "spec.template", IMMUTABLE, causes);
    }
}

pub(super) fn stateful_set(new: &Value, old: &Value, causes: &mut Vec<Cause>) {
    const FREE: [&str; 7] = [
        "replicas",
        "ordinals",
        "template",
        "updateStrategy",
        "revisionHistoryLimit",
        "persistentVolumeClaimRetentionPolicy",
        "minReadySeconds",
    ];
    if without(&new["spec"], &FREE) != without(&old["spec"], &FREE) {
        let why = "updates to statefulset spec for fields other than 'replicas', 'ordinals', \
                   'template', 'updateStrategy', 'revisionHistoryLimit', \
                   'persistentVolumeClaimRetentionPolicy' and 'minReadySeconds' are forbidden";
        causes.push(Cause::forbidden("spec", why));
    }
}

pub(super) fn claim(new: &Value, old: &Value, causes: &mut Vec<Cause>) {
    let fixed = |object: &Value| {
        let mut spec = without(&object["spec"], &["volumeAttributesClassName"]);
        if let Some(requests) = spec.pointer_mut("/resources/requests") {
            *requests = Value::Null;
        }
        // What is not said yet may be said once: which volume, and (KEP-3333) which class.
        for field in ["volumeName", "storageClassName"] {
            if old["spec"][field].is_null()
                && let Some(fields) = spec.as_object_mut()
            {
                fields.shift_remove(field);
            }
        }
        spec
    };
    if fixed(new) != fixed(old) {
        let why = "spec is immutable after creation except resources.requests and \
                   volumeAttributesClassName for bound claims";
        causes.push(Cause::forbidden("spec", why));
    }
    // KEP-1790: less than was asked for is taken while it is more than there is.
    let size = |value: &Value| value["storage"].as_str().and_then(milli);
    let asked = |object: &Value| size(&object["spec"]["resources"]["requests"]);
    if asked(new) < asked(old) && asked(new) <= size(&old["status"]["capacity"]) {
        let why = "field can not be less than status.capacity";
        causes.push(Cause::forbidden("spec.resources.requests.storage", why));
    }
}

pub(super) fn pod(new: &Value, old: &Value, causes: &mut Vec<Cause>) {
    let fixed = |object: &Value| {
        let free = [
            "activeDeadlineSeconds",
            "tolerations",
            "terminationGracePeriodSeconds",
            "nodeName",
        ];
        let mut spec = without(&object["spec"], &free);
        for part in ["containers", "initContainers"] {
            let list = spec.get_mut(part).and_then(Value::as_array_mut);
            for container in list.into_iter().flatten() {
                container["image"] = Value::Null;
            }
        }
        if let Some(fields) = spec.as_object_mut() {
            fields.shift_remove("schedulingGates");
        }
        spec
    };
    let moved =
        !old["spec"]["nodeName"].is_null() && new["spec"]["nodeName"] != old["spec"]["nodeName"];
    if moved || fixed(new) != fixed(old) {
        let why = "pod updates may not change fields other than `spec.containers[*].image`,\
                   `spec.initContainers[*].image`,`spec.activeDeadlineSeconds`,`spec.tolerations` \
                   (only additions to existing tolerations),`spec.terminationGracePeriodSeconds` \
                   (allow it to be set to 1 if it was previously negative)";
        causes.push(Cause::forbidden("spec", why));
    }
}

pub(super) fn role_binding(new: &Value, old: &Value, causes: &mut Vec<Cause>) {
    same(new, old, "roleRef", "cannot change roleRef", causes);
}

pub(super) fn endpoint_slice(new: &Value, old: &Value, causes: &mut Vec<Cause>) {
    same(new, old, "addressType", IMMUTABLE, causes);
}

pub(super) fn priority_class(new: &Value, old: &Value, causes: &mut Vec<Cause>) {
    if new["value"] != old["value"] {
        causes.push(Cause::forbidden(
            "value",
            "may not be changed in an update.",
        ));
    }
    same(new, old, "preemptionPolicy", IMMUTABLE, causes);
}

pub(super) fn storage_class(new: &Value, old: &Value, causes: &mut Vec<Cause>) {
    for part in ["parameters", "provisioner", "reclaimPolicy"] {
        if new[part] != old[part] {
            let why = format!("updates to {part} are forbidden.");
            causes.push(Cause::forbidden(part, &why));
        }
    }
    same(new, old, "volumeBindingMode", IMMUTABLE, causes);
}

pub(super) fn controller_revision(new: &Value, old: &Value, causes: &mut Vec<Cause>) {
    same(new, old, "data", IMMUTABLE, causes);
}

pub(super) fn attachment(new: &Value, old: &Value, causes: &mut Vec<Cause>) {
    same(new, old, "spec", IMMUTABLE, causes);
}

pub(super) fn device_claim(new: &Value, old: &Value, causes: &mut Vec<Cause>) {
    same(new, old, "spec", IMMUTABLE, causes);
}

pub(super) fn runtime_class(new: &Value, old: &Value, causes: &mut Vec<Cause>) {
    same(new, old, "handler", IMMUTABLE, causes);
}

pub(super) fn storage_capacity(new: &Value, old: &Value, causes: &mut Vec<Cause>) {
    same(new, old, "storageClassName", IMMUTABLE, causes);
    same(new, old, "nodeTopology", IMMUTABLE, causes);
}

/// A VolumeAttributesClass.
pub(super) fn attributes_class(new: &Value, old: &Value, causes: &mut Vec<Cause>) {
    for field in ["driverName", "parameters"] {
        if new[field] != old[field] {
            let why = format!("updates to {field} are forbidden.");
            causes.push(Cause::forbidden(field, &why));
        }
    }
}

fn same(new: &Value, old: &Value, field: &str, why: &str, causes: &mut Vec<Cause>) {
    let at = |object| {
        field
            .split('.')
            .fold(object, |value: &Value, step| &value[step])
    };
    let (now, was) = (at(new), at(old));
    if now != was {
        causes.push(Cause::invalid(field, now, why));
    }
}

fn without(spec: &Value, names: &[&str]) -> Value {
    let mut copy = spec.clone();
    if let Some(fields) = copy.as_object_mut() {
        fields.retain(|name, _| !names.contains(&name.as_str()));
    }
    copy
}
