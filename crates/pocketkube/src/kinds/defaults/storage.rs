//! Defaults of what drivers of volumes and devices are told.

use super::{each, fill, part, spec};
use serde_json::{Value, json};

pub(in crate::kinds) fn storage_class(object: &mut Value) {
    let Some(fields) = object.as_object_mut() else {
        return;
    };
    fill(fields, "reclaimPolicy", "Delete");
    fill(fields, "volumeBindingMode", "Immediate");
}

/// A CSIDriver.
pub(in crate::kinds) fn storage_driver(object: &mut Value) {
    let Some(spec) = spec(object) else {
        return;
    };
    fill(spec, "attachRequired", true);
    for field in [
        "podInfoOnMount",
        "storageCapacity",
        "requiresRepublish",
        "seLinuxMount",
    ] {
        fill(spec, field, false);
    }
    fill(spec, "fsGroupPolicy", "ReadWriteOnceWithFSType");
    if spec
        .get("volumeLifecycleModes")
        .and_then(Value::as_array)
        .is_none_or(Vec::is_empty)
    {
        spec.insert("volumeLifecycleModes".to_owned(), json!(["Persistent"]));
    }
}

/// A ResourceClaim.
pub(in crate::kinds) fn device_claim(object: &mut Value) {
    let devices = spec(object).and_then(|spec| part(spec, "devices"));
    for request in devices
        .into_iter()
        .flat_map(|devices| each(devices, "requests"))
    {
        if let Some(exactly) = part(request, "exactly") {
            wanted(exactly);
        }
        for one in each(request, "firstAvailable") {
            wanted(one);
        }
    }
}

/// A ResourceClaimTemplate.
pub(in crate::kinds) fn device_claim_template(object: &mut Value) {
    device_claim(&mut object["spec"]);
}

/// How many devices a request is for.
fn wanted(request: &mut super::Fields) {
    fill(request, "allocationMode", "ExactCount");
    if request["allocationMode"] == "ExactCount" {
        fill(request, "count", 1);
    }
}
