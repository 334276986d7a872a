//! What the server itself writes into `metadata`, and what it checks there.

use super::Cluster;
use crate::object::{self, Object};
use crate::resource::{Origin, Resource, Subresource};
use crate::status::{Cause, Status};
use serde_json::{Map, Value};

/// Names of generated objects are cut so that the suffix fits.
const GENERATED_PREFIX_MAX: usize = 58;

/// Fields that only the server writes.
const SYSTEM_FIELDS: [&str; 6] = [
    "uid",
    "creationTimestamp",
    "generation",
    "deletionTimestamp",
    "deletionGracePeriodSeconds",
    "selfLink",
];

/// Sets the namespace of the request, which the object may repeat but not contradict.
pub(super) fn set_namespace(
    resource: &Resource,
    namespace: &str,
    object: &mut Value,
) -> Result<(), Status> {
    let metadata = object::metadata_mut(object);
    if !resource.is_namespaced() {
        metadata.remove("namespace");
        return Ok(());
    }
    match metadata
        .get("namespace")
        .and_then(Value::as_str)
        .unwrap_or_default()
    {
        given if given == namespace => {}
        "" => {
            metadata.insert("namespace".to_owned(), namespace.into());
        }
        _ => {
            let message = "the namespace of the provided object does not match the namespace \
                           sent on the request";
            return Err(Status::bad_request(message));
        }
    }
    Ok(())
}

/// Sets the name of the request, which the object may repeat but not contradict.
pub(super) fn set_name(name: &str, object: &mut Value) -> Result<(), Status> {
    let metadata = object::metadata_mut(object);
    match metadata
        .get("name")
        .and_then(Value::as_str)
        .unwrap_or_default()
    {
        given if given == name => Ok(()),
        "" => {
            metadata.insert("name".to_owned(), name.into());
            Ok(())
        }
        given => {
            let message = format!(
                "the name of the object ({given}) does not match the name on the URL ({name})"
            );
            Err(Status::bad_request(message))
        }
    }
}

/// Draws a name where only `generateName` is given; tells whether it did.
pub(super) fn draw_name(cluster: &Cluster, object: &mut Value) -> bool {
    let drawn = object::name(object).is_empty() && !generate_name(object).is_empty();
    if drawn {
        redraw_name(cluster, object);
    }
    drawn
}

/// Draws another name.
pub(super) fn redraw_name(cluster: &Cluster, object: &mut Value) {
    let mut start = generate_name(object);
    start.truncate(GENERATED_PREFIX_MAX);
    let name = format!("{start}{}", cluster.chance().name_suffix());
    object::metadata_mut(object).insert("name".to_owned(), name.into());
}

/// 409 after all draws were taken.
pub(super) fn generated_name_taken(resource: &Resource, object: &Value, taken: &Status) -> Status {
    let start = generate_name(object);
    let name = object::name(object);
    let message = format!(
        "{} {start:?} already exists, the server was not able to generate a unique name for the \
         object",
        resource.qualified()
    );
    let mut status = Status::about(409, "AlreadyExists", message, resource, name);
    if let Some(details) = status.details.as_mut() {
        details.retry_after_secs = 1;
    }
    if taken.is_already_exists() {
        status
    } else {
        taken.clone()
    }
}

/// Fills what a new object gets.
pub(super) fn fill_new(cluster: &Cluster, resource: &Resource, object: &mut Value) {
    let metadata = object::metadata_mut(object);
    for field in SYSTEM_FIELDS {
        metadata.remove(field);
    }
    metadata.insert("uid".to_owned(), cluster.chance().uid().into());
    metadata.insert(
        "creationTimestamp".to_owned(),
        cluster.clock().stamp().into(),
    );
    if counts_generations(resource) {
        metadata.insert("generation".to_owned(), 1.into());
    }
    tidy(metadata);
}

/// Puts back what only the server writes.
pub(super) fn keep_system_fields(old: &Object, new: &mut Value) {
    let metadata = object::metadata_mut(new);
    for field in SYSTEM_FIELDS {
        match old["metadata"].get(field) {
            Some(kept) => metadata.insert(field.to_owned(), kept.clone()),
            None => metadata.remove(field),
        };
    }
    tidy(metadata);
}

/// Optimistic concurrency: the version and uid that the caller read must still be there.
pub(super) fn check_version(resource: &Resource, old: &Object, new: &Value) -> Result<(), Status> {
    let name = object::name(old);
    let uid = object::uid(new);
    if !uid.is_empty() && uid != object::uid(old) {
        let why = format!(
            "Precondition failed: UID in precondition: {uid}, UID in object meta: {}",
            object::uid(old)
        );
        return Err(Status::conflict(resource, name, &why));
    }
    let given = new["metadata"]["resourceVersion"]
        .as_str()
        .unwrap_or_default();
    if given.is_empty() {
        if resource.is_custom() {
            let cause = Cause::new(
                "FieldValueInvalid",
                "metadata.resourceVersion",
                "Invalid value: 0: must be specified for an update",
            );
            return Err(Status::invalid(resource, name, vec![cause]));
        }
        return Ok(());
    }
    if given != old["metadata"]["resourceVersion"] {
        return Err(Status::modified(resource, name));
    }
    Ok(())
}

/// Moves the generation when more than metadata and status changed.
pub(super) fn count_generation(resource: &Resource, old: &Object, new: &mut Value) {
    if !counts_generations(resource) || !desires_differ(resource, old, new) {
        return;
    }
    let next = object::generation(old) + 1;
    object::metadata_mut(new).insert("generation".to_owned(), next.into());
}

/// Whether nothing changed but times of managers.
pub(super) fn same(old: &Object, new: &Value) -> bool {
    let is_skipped = |key: &str| key == "resourceVersion";
    let (Some(old), Some(new)) = (old.as_object(), new.as_object()) else {
        return false;
    };
    let rest = |object: &Map<String, Value>| object.len();
    if rest(old) != rest(new) {
        return false;
    }
    old.iter()
        .all(|(key, value)| match (key.as_str(), new.get(key)) {
            (_, None) => false,
            ("metadata", Some(other)) => same_metadata(value, other, is_skipped),
            (_, Some(other)) => value == other,
        })
}

/// The name that a new object must have.
pub(super) fn check_name(resource: &Resource, object: &Value) -> Vec<Cause> {
    let name = object::name(object);
    if name.is_empty() {
        return vec![Cause::required(
            "metadata.name",
            "name or generateName is required",
        )];
    }
    super::rules::check_name(resource, name)
}

/// What metadata may not change.
pub(super) fn check_update(_resource: &Resource, old: &Object, new: &Value) -> Vec<Cause> {
    let mut causes = Vec::new();
    if object::is_deleting(old) {
        let before: Vec<&str> = object::finalizers(old).collect();
        let added: Vec<&str> = object::finalizers(new)
            .filter(|f| !before.contains(f))
            .collect();
        if !added.is_empty() {
            let why = format!(
                "no new finalizers can be added if the object is being deleted, found new \
                 finalizers {}",
                go_strings(&added)
            );
            causes.push(Cause::forbidden("metadata.finalizers", &why));
        }
    }
    causes
}

/// Whether an object that is being deleted has nothing left to wait for.
pub(super) fn may_go(object: &Value) -> bool {
    object::is_deleting(object)
        && object::finalizers(object).next().is_none()
        && object["metadata"]["deletionGracePeriodSeconds"]
            .as_i64()
            .unwrap_or(0)
            == 0
}

/// Writes the version.
pub(super) fn set_version(object: &mut Value, version: u64) {
    object::metadata_mut(object).insert("resourceVersion".to_owned(), version.to_string().into());
}

/// Whether the server counts generations of a kind.
fn counts_generations(resource: &Resource) -> bool {
    match resource.origin {
        Origin::Custom(_) => true,
        Origin::BuiltIn => super::rules::counts_generations(resource),
    }
}

fn desires_differ(resource: &Resource, old: &Value, new: &Value) -> bool {
    if !resource.is_custom() {
        return old.get("spec") != new.get("spec");
    }
    let without = |key: &str| {
        key == "metadata" || (key == "status" && resource.status == Subresource::Served)
    };
    let (Some(old), Some(new)) = (old.as_object(), new.as_object()) else {
        return true;
    };
    let desires = |object: &Map<String, Value>| object.keys().filter(|key| !without(key)).count();
    desires(old) != desires(new)
        || old
            .iter()
            .any(|(key, value)| !without(key) && new.get(key) != Some(value))
}

fn same_metadata(old: &Value, new: &Value, is_skipped: impl Fn(&str) -> bool) -> bool {
    let (Some(old), Some(new)) = (old.as_object(), new.as_object()) else {
        return old == new;
    };
    let kept = |object: &Map<String, Value>| object.keys().filter(|key| !is_skipped(key)).count();
    kept(old) == kept(new)
        && old
            .iter()
            .filter(|(key, _)| !is_skipped(key))
            .all(|(key, value)| match (key.as_str(), new.get(key)) {
                (_, None) => false,
                ("managedFields", Some(other)) => same_managers(value, other),
                (_, Some(other)) => value == other,
            })
}

fn same_managers(old: &Value, new: &Value) -> bool {
    let (old, new) = (object::list(old), object::list(new));
    let fields = |entry: &Value| {
        entry.as_object().map(|entry| {
            let timeless = entry.iter().filter(|(key, _)| *key != "time");
            timeless
                .map(|(key, value)| (key.clone(), value.clone()))
                .collect::<Map<_, _>>()
        })
    };
    old.len() == new.len()
        && old
            .iter()
            .zip(new)
            .all(|(old, new)| fields(old) == fields(new))
}

/// Empty maps and lists are not stored, as Go's `omitempty` has it.
fn tidy(metadata: &mut Map<String, Value>) {
    let is_void = |value: &Value| match value {
        Value::Null => true,
        Value::Object(map) => map.is_empty(),
        Value::Array(list) => list.is_empty(),
        Value::String(text) => text.is_empty(),
        _ => false,
    };
    metadata.retain(|_, value| !is_void(value));
}

fn generate_name(object: &Value) -> String {
    object["metadata"]["generateName"]
        .as_str()
        .unwrap_or_default()
        .to_owned()
}

/// A list of strings as Go's `%#v` prints it.
fn go_strings(texts: &[&str]) -> String {
    let quoted: Vec<String> = texts.iter().map(|text| format!("{text:?}")).collect();
    format!("[]string{{{}}}", quoted.join(", "))
}
