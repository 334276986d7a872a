//! Tables of the kinds that hold a cluster together.

use super::{age_cell, at, count, list, or_none, text, wide};
use crate::resource::Column;
use serde_json::{Value, json};

pub(super) fn columns(kind: &str) -> Option<Vec<Column>> {
    let columns = match kind {
        "Namespace" => {
            vec![
                text("Status", |o, _| json!(at(o, &["status", "phase"]))),
                text("Age", age_cell),
            ]
        }
        "Node" => node(),
        "ConfigMap" => vec![
            text("Data", |o, _| {
                json!(fields(&o["data"]) + fields(&o["binaryData"]))
            }),
            text("Age", age_cell),
        ],
        "Secret" => vec![
            text("Type", |o, _| json!(at(o, &["type"]))),
            text("Data", |o, _| json!(fields(&o["data"]))),
            text("Age", age_cell),
        ],
        "ServiceAccount" => vec![text("Age", age_cell)],
        "Event" => event(),
        "PersistentVolumeClaim" => claim(),
        "PersistentVolume" => volume(),
        "ResourceQuota" => vec![
            text("Request", |o, _| {
                json!(quota(o, |name| !name.starts_with("limits.")))
            }),
            text("Limit", |o, _| {
                json!(quota(o, |name| name.starts_with("limits.")))
            }),
            text("Age", age_cell),
        ],
        _ => return None,
    };
    Some(columns)
}

fn fields(value: &Value) -> usize {
    value.as_object().map_or(0, serde_json::Map::len)
}

fn node() -> Vec<Column> {
    vec![
        text("Status", |o, _| json!(node_status(o))),
        text("Roles", |o, _| json!(roles(o))),
        text("Age", age_cell),
        text("Version", |o, _| {
            json!(at(o, &["status", "nodeInfo", "kubeletVersion"]))
        }),
        wide("Internal-IP", |o, _| node_address(o, "InternalIP")),
        wide("External-IP", |o, _| node_address(o, "ExternalIP")),
        wide("OS-Image", |o, _| {
            or_unknown(at(o, &["status", "nodeInfo", "osImage"]))
        }),
        wide("Kernel-Version", |o, _| {
            or_unknown(at(o, &["status", "nodeInfo", "kernelVersion"]))
        }),
        wide("Container-Runtime", |o, _| {
            or_unknown(at(o, &["status", "nodeInfo", "containerRuntimeVersion"]))
        }),
    ]
}

fn node_address(node: &Value, kind: &str) -> Value {
    let addresses = list(&node["status"]["addresses"]);
    let found = addresses.iter().find(|address| address["type"] == kind);
    or_none(found.map_or("", |address| at(address, &["address"])))
}

fn or_unknown(text: &str) -> Value {
    json!(if text.is_empty() { "<unknown>" } else { text })
}

fn node_status(node: &Value) -> String {
    let ready = list(&node["status"]["conditions"])
        .iter()
        .find(|c| c["type"] == "Ready");
    let mut shown = match ready {
        Some(condition) if condition["status"] == "True" => "Ready",
        Some(_) => "NotReady",
        None => "Unknown",
    }
    .to_owned();
    if node["spec"]["unschedulable"] == true {
        shown.push_str(",SchedulingDisabled");
    }
    shown
}

fn roles(node: &Value) -> String {
    let mut roles: Vec<&str> = Vec::new();
    for (key, value) in node["metadata"]["labels"].as_object().into_iter().flatten() {
        if let Some(role) = key.strip_prefix("node-role.kubernetes.io/") {
            roles.push(role);
        } else if key == "kubernetes.io/role" {
            roles.push(value.as_str().unwrap_or_default());
        }
    }
    roles.retain(|role| !role.is_empty());
    roles.sort_unstable();
    if roles.is_empty() {
        "<none>".to_owned()
    } else {
        roles.join(",")
    }
}

/// Both versions of an Event: one has what the other calls differently.
fn event() -> Vec<Column> {
    vec![
        text("Last Seen", last_seen),
        text("Type", |o, _| json!(at(o, &["type"]))),
        text("Reason", |o, _| json!(at(o, &["reason"]))),
        text("Object", |o, _| {
            let about = about(o);
            let kind = at(about, &["kind"]).to_lowercase();
            json!(format!("{kind}/{}", at(about, &["name"])))
        }),
        wide("Subobject", |o, _| json!(at(about(o), &["fieldPath"]))),
        wide("Source", |o, _| json!(source(o))),
        text("Message", |o, _| {
            let message = at(o, &["message"]);
            json!(
                if message.is_empty() {
                    at(o, &["note"])
                } else {
                    message
                }
                .trim()
            )
        }),
        wide("First Seen", first_seen),
        wide("Count", |o, _| {
            let counts = [
                count(o, &["series", "count"]),
                count(o, &["count"]),
                count(o, &["deprecatedCount"]),
            ];
            json!(counts.into_iter().find(|count| *count > 0).unwrap_or(1))
        }),
        Column {
            format: "name".to_owned(),
            ..wide("Name", |o, _| json!(at(o, &["metadata", "name"])))
        },
    ]
}

fn about(event: &Value) -> &Value {
    if event["regarding"].is_object() {
        &event["regarding"]
    } else {
        &event["involvedObject"]
    }
}

fn source(event: &Value) -> String {
    let old = if event["source"]["component"].is_string() {
        "source"
    } else {
        "deprecatedSource"
    };
    let component = match at(event, &[old, "component"]) {
        "" => match at(event, &["reportingComponent"]) {
            "" => at(event, &["reportingController"]),
            component => component,
        },
        component => component,
    };
    let host = match at(event, &[old, "host"]) {
        "" => at(event, &["reportingInstance"]),
        host => host,
    };
    if host.is_empty() {
        component.to_owned()
    } else {
        format!("{component}, {host}")
    }
}

fn seen(event: &Value, names: &[&[&str]], now_secs: i64) -> Value {
    let time = names
        .iter()
        .map(|path| at(event, path))
        .find(|time| !time.is_empty());
    time.map_or(json!("<unknown>"), |time| {
        super::since(&json!(time), now_secs)
    })
}

fn last_seen(event: &Value, now_secs: i64) -> Value {
    let names: [&[&str]; 5] = [
        &["series", "lastObservedTime"],
        &["lastTimestamp"],
        &["deprecatedLastTimestamp"],
        &["eventTime"],
        &["firstTimestamp"],
    ];
    seen(event, &names, now_secs)
}

fn first_seen(event: &Value, now_secs: i64) -> Value {
    let names: [&[&str]; 3] = [
        &["firstTimestamp"],
        &["deprecatedFirstTimestamp"],
        &["eventTime"],
    ];
    seen(event, &names, now_secs)
}

fn claim() -> Vec<Column> {
    vec![
        text("Status", |o, _| {
            let is_going = o["metadata"]["deletionTimestamp"].is_string();
            json!(if is_going {
                "Terminating"
            } else {
                at(o, &["status", "phase"])
            })
        }),
        text("Volume", |o, _| json!(at(o, &["spec", "volumeName"]))),
        text("Capacity", |o, _| {
            json!(at(o, &["status", "capacity", "storage"]))
        }),
        text("Access Modes", |o, _| {
            json!(modes(&o["status"]["accessModes"]))
        }),
        text("StorageClass", |o, _| {
            json!(at(o, &["spec", "storageClassName"]))
        }),
        text("VolumeAttributesClass", |o, _| attributes_class(o)),
        text("Age", age_cell),
        wide("VolumeMode", |o, _| json!(at(o, &["spec", "volumeMode"]))),
    ]
}

fn volume() -> Vec<Column> {
    vec![
        text("Capacity", |o, _| {
            json!(at(o, &["spec", "capacity", "storage"]))
        }),
        text("Access Modes", |o, _| {
            json!(modes(&o["spec"]["accessModes"]))
        }),
        text("Reclaim Policy", |o, _| {
            json!(at(o, &["spec", "persistentVolumeReclaimPolicy"]))
        }),
        text("Status", |o, _| {
            let is_going = o["metadata"]["deletionTimestamp"].is_string();
            json!(if is_going {
                "Terminating"
            } else {
                at(o, &["status", "phase"])
            })
        }),
        text("Claim", |o, _| {
            let claim = &o["spec"]["claimRef"];
            json!(match claim.is_object() {
                true => format!("{}/{}", at(claim, &["namespace"]), at(claim, &["name"])),
                false => String::new(),
            })
        }),
        text("StorageClass", |o, _| {
            json!(at(o, &["spec", "storageClassName"]))
        }),
        text("VolumeAttributesClass", |o, _| attributes_class(o)),
        text("Reason", |o, _| json!(at(o, &["status", "reason"]))),
        text("Age", age_cell),
        wide("VolumeMode", |o, _| json!(at(o, &["spec", "volumeMode"]))),
    ]
}

fn attributes_class(object: &Value) -> Value {
    let name = at(object, &["spec", "volumeAttributesClassName"]);
    json!(if name.is_empty() { "<unset>" } else { name })
}

fn modes(value: &Value) -> String {
    let short = |mode: &Value| match mode.as_str() {
        Some("ReadWriteOnce") => "RWO",
        Some("ReadOnlyMany") => "ROX",
        Some("ReadWriteMany") => "RWX",
        _ => "RWOP",
    };
    list(value).iter().map(short).collect::<Vec<_>>().join(",")
}

fn quota(object: &Value, shown: impl Fn(&str) -> bool) -> String {
    let hard = object["status"]["hard"].as_object().into_iter().flatten();
    let mut parts: Vec<String> = hard
        .filter(|(name, _)| shown(name))
        .map(|(name, limit)| {
            let used = at(object, &["status", "used", name]);
            format!("{name}: {used}/{}", limit.as_str().unwrap_or_default())
        })
        .collect();
    parts.sort();
    parts.join(", ")
}
