//! What a real control plane answered, replayed: `testdata/creates.json` holds bodies that were
//! sent and the objects, or the errors, that came back (Kubernetes 1.36, dry run, strict fields).

use super::{Kind, custom_kinds, find};
use crate::apply::{Operation, Writer, track_update};
use crate::cluster::Part;
use crate::status::Status;
use serde_json::{Map, Value, json};
use std::sync::Arc;

/// Fields that depend on a cluster's state and are given elsewhere.
const GIVEN_ELSEWHERE: [&str; 5] = [
    "/spec/clusterIP",
    "/spec/clusterIPs",
    "/spec/ports/0/nodePort",
    "/metadata/uid",
    "/status/lastPhaseTransitionTime",
];

/// What is different on purpose: a part of what was sent, and why.
const DIFFERENT: [(&str, &str); 3] = [
    (
        "nodes ",
        "a Node is made ready by whoever declares it, so no taint says that it is not yet",
    ),
    (
        "\"limits\":[]",
        "an empty list without meaning stays a list",
    ),
    (
        "\"pattern\":\"[\"",
        "the words about a broken pattern are those of the library that reads it",
    ),
];

pub(crate) fn kind_of(path: &str, custom: &[Arc<Kind>]) -> Arc<Kind> {
    let parts: Vec<&str> = path.trim_matches('/').split('/').collect();
    let plural = parts.last().copied().unwrap_or_default();
    let (group, version) = match parts.as_slice() {
        ["api", version, ..] => ("", *version),
        ["apis", group, version, ..] => (*group, *version),
        _ => ("", ""),
    };
    let own = custom.iter().find(|kind| kind.resource.plural == plural);
    own.or_else(|| find(group, version, plural))
        .expect("every recorded kind is served")
        .clone()
}

fn create(kind: &Kind, sent: &Value, path: &str) -> Result<Value, Status> {
    let mut object = sent.clone();
    object["apiVersion"] = kind.resource.api_version().into();
    object["kind"] = kind.resource.kind.as_str().into();
    let unknown = kind.decode(&mut object).map_err(Status::bad_request)?;
    if !unknown.is_empty() {
        let name = &kind.resource.kind;
        return Err(Status::bad_request(format!(
            "{name} in version {:?} cannot be handled as a {name}: strict decoding error: {}",
            kind.resource.version,
            unknown.join(", ")
        )));
    }
    if path.contains("/namespaces/") {
        object["metadata"]["namespace"] = json!("default");
    }
    kind.default(&mut object);
    let api_version = kind.resource.api_version();
    let writer = Writer {
        manager: "rp",
        operation: Operation::Update,
        api_version: &api_version,
        subresource: "",
        now: "",
    };
    track_update(
        kind.schema(),
        &writer,
        &kind.ignored(Part::Main),
        None,
        &mut object,
    );
    object["metadata"]["uid"] = json!("00000000-0000-4000-8000-000000000000");
    kind.prepare_create(&mut object);
    let causes = kind.validate_create(&object);
    if causes.is_empty() {
        return Ok(object);
    }
    let name = object["metadata"]["name"].as_str().unwrap_or_default();
    Err(Status::invalid(&kind.resource, name, causes))
}

pub(crate) fn masked(mut object: Value) -> Value {
    for path in GIVEN_ELSEWHERE {
        let (parent, name) = path.rsplit_once('/').expect("paths have a parent");
        if let Some(Value::Object(fields)) = object.pointer_mut(parent) {
            fields.shift_remove(name);
        }
    }
    sorted(&object)
}

pub(crate) fn sorted(value: &Value) -> Value {
    match value {
        Value::Object(fields) => {
            let mut names: Vec<&String> = fields.keys().collect();
            names.sort();
            let inner: Map<String, Value> = names
                .into_iter()
                .map(|name| (name.clone(), sorted(&fields[name])))
                .collect();
            Value::Object(inner)
        }
        Value::Array(elements) => Value::Array(elements.iter().map(sorted).collect()),
        other => other.clone(),
    }
}

/// Causes without their order: Go visits maps in any order.
pub(crate) fn told(status: &Status) -> Vec<String> {
    let causes = status
        .details
        .as_ref()
        .map_or(&[][..], |details| &details.causes);
    let mut lines: Vec<String> = causes
        .iter()
        .map(|cause| format!("{} {}", cause.field, cause.message))
        .collect();
    lines.sort();
    lines
}

pub(crate) fn told_by_server(record: &Value) -> Vec<String> {
    let causes = record["causes"].as_array().into_iter().flatten();
    let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
    let line = |cause: &Value| format!("{} {}", text(&cause["field"]), text(&cause["message"]));
    let mut lines: Vec<String> = causes.map(line).collect();
    lines.sort();
    lines
}

/// Where two values differ: ours, then the real one.
pub(crate) fn differences(at: &str, ours: &Value, real: &Value, found: &mut Vec<String>) {
    match (ours, real) {
        (Value::Object(left), Value::Object(right)) => {
            let more = right.keys().filter(|name| !left.contains_key(*name));
            for name in left.keys().chain(more) {
                let (left, right) = (left.get(name), right.get(name));
                match (left, right) {
                    (Some(left), Some(right)) => {
                        differences(&format!("{at}/{name}"), left, right, found);
                    }
                    (left, _) => {
                        let side = if left.is_some() {
                            "only ours"
                        } else {
                            "only real"
                        };
                        let value = left.or(right).map(ToString::to_string).unwrap_or_default();
                        found.push(format!("{at}/{name} {side}: {value}"));
                    }
                }
            }
        }
        (Value::Array(left), Value::Array(right)) if left.len() == right.len() => {
            for (index, (left, right)) in left.iter().zip(right).enumerate() {
                differences(&format!("{at}/{index}"), left, right, found);
            }
        }
        _ if ours != real => found.push(format!("{at} ours {ours} real {real}")),
        _ => {}
    }
}

#[test]
fn creating_gives_what_a_real_server_gave() {
    let definition: Value =
        serde_json::from_str(include_str!("../../testdata/thing.json")).expect("recorded JSON");
    let custom = custom_kinds(&definition);
    let records: Vec<Value> =
        serde_json::from_str(include_str!("../../testdata/creates.json")).expect("recorded JSON");
    let mut wrong = Vec::new();
    for record in &records {
        let path = record["path"].as_str().expect("a path");
        let kind = kind_of(path, &custom);
        let got = create(&kind, &record["sent"], path);
        let problem = match (&got, record.get("answer")) {
            (Ok(object), Some(answer)) => {
                let (got, wanted) = (masked(object.clone()), masked(answer.clone()));
                let mut found = Vec::new();
                differences("", &got, &wanted, &mut found);
                (!found.is_empty()).then(|| found.join("\n  "))
            }
            (Err(status), None) => {
                let wanted = record["message"].as_str().unwrap_or_default();
                (status.message != wanted && told(status) != told_by_server(record))
                    .then(|| format!("said   {}\n  real  {wanted}", status.message))
            }
            (Ok(_), None) => Some(format!("made it\n  real  {}", record["message"])),
            (Err(status), Some(_)) => Some(format!("said   {}\n  real  made it", status.message)),
        };
        let told = format!("{path} {}", record["sent"]);
        let is_known = DIFFERENT.iter().any(|(part, _)| told.contains(part));
        match problem {
            Some(problem) if !is_known => wrong.push(format!("{told}\n  {problem}")),
            None if is_known => wrong.push(format!("{told}\n  is no longer different")),
            _ => {}
        }
    }
    assert!(
        wrong.is_empty(),
        "{} of {}:\n{}",
        wrong.len(),
        records.len(),
        wrong.join("\n")
    );
}
