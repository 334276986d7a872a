//! Tables of storage, of devices, and of what runs containers.

use super::{age_cell, at, flag, list, number, text};
use crate::resource::Column;
use serde_json::{Value, json};

pub(super) fn columns(kind: &str) -> Option<Vec<Column>> {
    let mut columns = match kind {
        "StorageClass" => vec![
            text("Provisioner", |o, _| json!(at(o, &["provisioner"]))),
            text("ReclaimPolicy", |o, _| json!(at(o, &["reclaimPolicy"]))),
            text("VolumeBindingMode", |o, _| {
                json!(at(o, &["volumeBindingMode"]))
            }),
            text("AllowVolumeExpansion", |o, _| {
                json!(o["allowVolumeExpansion"] == true)
            }),
        ],
        "CSIDriver" => driver(),
        "CSINode" => vec![number("Drivers", |o, _| {
            json!(list(&o["spec"]["drivers"]).len())
        })],
        "VolumeAttachment" => vec![
            Column {
                format: "name".to_owned(),
                ..text("Attacher", |o, _| json!(at(o, &["spec", "attacher"])))
            },
            text("PV", |o, _| {
                json!(at(o, &["spec", "source", "persistentVolumeName"]))
            }),
            text("Node", |o, _| json!(at(o, &["spec", "nodeName"]))),
            flag("Attached", |o, _| json!(o["status"]["attached"] == true)),
        ],
        "VolumeAttributesClass" => {
            vec![text("DriverName", |o, _| json!(at(o, &["driverName"])))]
        }
        "RuntimeClass" => vec![text("Handler", |o, _| json!(at(o, &["handler"])))],
        "DeviceClass" | "ResourceClaimTemplate" => Vec::new(),
        "ResourceClaim" => vec![text("State", |o, _| json!(claim_state(o)))],
        "ResourceSlice" => vec![
            text("Node", |o, _| json!(slice_node(o))),
            text("Driver", |o, _| json!(at(o, &["spec", "driver"]))),
            text("Pool", |o, _| json!(at(o, &["spec", "pool", "name"]))),
        ],
        _ => return None,
    };
    columns.push(text("Age", age_cell));
    Some(columns)
}

fn driver() -> Vec<Column> {
    vec![
        flag("AttachRequired", |o, _| {
            json!(o["spec"]["attachRequired"] == true)
        }),
        flag("PodInfoOnMount", |o, _| {
            json!(o["spec"]["podInfoOnMount"] == true)
        }),
        flag("StorageCapacity", |o, _| {
            json!(o["spec"]["storageCapacity"] == true)
        }),
        text("TokenRequests", |o, _| {
            let audiences = list(&o["spec"]["tokenRequests"]).iter();
            let audiences: Vec<&str> = audiences.map(|asked| at(asked, &["audience"])).collect();
            match audiences.is_empty() {
                true => json!("<unset>"),
                false => json!(audiences.join(",")),
            }
        }),
        flag("RequiresRepublish", |o, _| {
            json!(o["spec"]["requiresRepublish"] == true)
        }),
        text("Modes", |o, _| {
            let modes = list(&o["spec"]["volumeLifecycleModes"]).iter();
            let modes: Vec<&str> = modes.filter_map(Value::as_str).collect();
            json!(modes.join(","))
        }),
    ]
}

/// As the real server sums it up.
fn claim_state(claim: &Value) -> String {
    let mut states = Vec::new();
    if !claim["metadata"]["deletionTimestamp"].is_null() {
        states.push("deleted");
    }
    if claim["status"]["allocation"].is_null() {
        if states.is_empty() {
            states.push("pending");
        }
    } else {
        states.push("allocated");
        if !list(&claim["status"]["reservedFor"]).is_empty() {
            states.push("reserved");
        }
    }
    states.join(",")
}

fn slice_node(slice: &Value) -> &str {
    let spec = &slice["spec"];
    match spec["nodeName"].as_str() {
        Some(name) => name,
        None if spec["allNodes"] == true => "<all>",
        None if !spec["nodeSelector"].is_null() => "<some>",
        None => "",
    }
}
