//! What the server itself writes into `metadata`, and what it checks there.

use super::Cluster;
use crate::object::{self, Object};
use crate::resource::Resource;
use crate::status::{Cause, Status};
use serde_json::{Map, Value};
use std::sync::Arc;

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
        metadata.shift_remove("namespace");
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

/// An object that replaces another says its name.
pub(super) fn check_given_name(name: &str, object: &Value) -> Result<(), Status> {
    match object::name(object) {
        given if given == name => Ok(()),
        given => Err(other_name(given, name)),
    }
}

/// 400 for an object that does not have the name of its path.
pub(super) fn other_name(given: &str, name: &str) -> Status {
    Status::bad_request(match given {
        "" => format!(
            "the name of the object ({name} based on URL) was undeterminable: name must be provided"
        ),
        _ => {
            format!("the name of the object ({given}) does not match the name on the URL ({name})")
        }
    })
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
pub(super) fn generated_name_taken(resource: &Resource, object: &Value) -> Status {
    let name = object::name(object);
    let message = format!(
        "{} {name:?} already exists, the server was not able to generate a unique name for the \
         object",
        resource.qualified()
    );
    let mut status = Status::about(409, "AlreadyExists", message, resource, name);
    if let Some(details) = status.details.as_mut() {
        details.retry_after_secs = 1;
    }
    status
}

/// Says since when a PersistentVolume is in its phase, unless the writer does.
pub(super) fn stamp_phase(
    cluster: &Cluster,
    resource: &Resource,
    old: Option<&Value>,
    new: &mut Value,
) {
    const SINCE: &str = "lastPhaseTransitionTime";
    if resource.qualified() != "persistentvolumes" {
        return;
    }
    let part = |object: Option<&Value>, field: &str| {
        object.map_or(Value::Null, |object| object["status"][field].clone())
    };
    let moved = part(old, "phase") != part(Some(new), "phase");
    let is_said = part(old, SINCE) != part(Some(new), SINCE) && !new["status"][SINCE].is_null();
    if moved && !is_said {
        new["status"][SINCE] = cluster.clock().stamp().into();
    }
}

/// Fills what a new object gets.
pub(super) fn fill_new(cluster: &Cluster, object: &mut Value) {
    let metadata = object::metadata_mut(object);
    for field in SYSTEM_FIELDS {
        metadata.shift_remove(field);
    }
    metadata.shift_remove("resourceVersion");
    metadata.insert("uid".to_owned(), cluster.chance().uid().into());
    metadata.insert(
        "creationTimestamp".to_owned(),
        cluster.clock().stamp().into(),
    );
    tidy(metadata);
}

/// Puts back what only the server writes.
pub(super) fn keep_system_fields(old: &Object, new: &mut Value) {
    let metadata = object::metadata_mut(new);
    for field in SYSTEM_FIELDS {
        match old["metadata"].get(field) {
            Some(kept) => metadata.insert(field.to_owned(), kept.clone()),
            // Who sets a deletion time is told that it is not theirs to set.
            None if field == "deletionTimestamp" => None,
            None => metadata.shift_remove(field),
        };
    }
    tidy(metadata);
}

/// A patch may change neither the name nor the uid of its object.
pub(super) fn check_patched(
    resource: &Resource,
    name: &str,
    old: &Object,
    new: &Value,
) -> Result<(), Status> {
    let given = object::name(new);
    if given != name {
        return Err(other_name(given, name));
    }
    let namespace = object::namespace(new);
    if !namespace.is_empty() && namespace != object::namespace(old) {
        let message = "the namespace of the provided object does not match the namespace sent on \
                       the request";
        return Err(Status::bad_request(message));
    }
    let deletion = &new["metadata"]["deletionTimestamp"];
    if !deletion.is_null() && *deletion != old["metadata"]["deletionTimestamp"] {
        let cause = Cause::invalid("metadata.deletionTimestamp", deletion, "field is immutable");
        return Err(Status::invalid(resource, name, vec![cause.clone(), cause]));
    }
    let uid = object::uid(new);
    if !uid.is_empty() && uid != object::uid(old) {
        let cause = Cause::invalid("metadata.uid", &uid.into(), "field is immutable");
        // Upstream checks it twice and says so twice.
        return Err(Status::invalid(resource, name, vec![cause.clone(), cause]));
    }
    Ok(())
}

/// Optimistic concurrency: the version and uid that the caller read must still be there.
pub(super) fn check_version(resource: &Resource, old: &Object, new: &Value) -> Result<(), Status> {
    let name = object::name(old);
    let uid = object::uid(new);
    if !uid.is_empty() && uid != object::uid(old) {
        let why = format!(
            "StorageError: invalid object, Code: 4, Key: /registry/{}/{}, ResourceVersion: 0, \
             AdditionalErrorMsg: Precondition failed: UID in precondition: {uid}, UID in object \
             meta: {}",
            resource.table(),
            super::key(object::namespace(old), name),
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
            let mut status = Status::invalid(resource, name, vec![cause]);
            // Upstream takes the resource for the kind here.
            status.message = status.message.replacen(&resource.kind, &resource.plural, 1);
            return Err(status);
        }
        return Ok(());
    }
    if given.parse::<u64>().is_err() {
        let message = format!("strconv.ParseUint: parsing {given:?}: invalid syntax");
        return Err(Status::plain(500, "", message));
    }
    if given != old["metadata"]["resourceVersion"] {
        return Err(Status::modified(resource, name));
    }
    Ok(())
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

/// A new object must have a name.
pub(super) fn check_name(object: &Value) -> Vec<Cause> {
    match object::name(object) {
        "" => vec![Cause::required(
            "metadata.name",
            "name or generateName is required",
        )],
        _ => Vec::new(),
    }
}

/// Only a deletion sets the deletion time.
pub(super) fn check_deletion_time(old: &Object, new: &Value) -> Vec<Cause> {
    let given = &new["metadata"]["deletionTimestamp"];
    if given.is_null() || *given == old["metadata"]["deletionTimestamp"] {
        return Vec::new();
    }
    vec![Cause::invalid(
        "metadata.deletionTimestamp",
        given,
        "field is immutable",
    )]
}

/// What watches are told of an object that went: as it was last kept, at the version of its end.
pub(super) fn last_state(old: &Object, version: u64) -> Arc<Object> {
    let mut last = old.value().clone();
    set_version(&mut last, version);
    Object::new(last)
}

/// Whether an object that is being deleted has nothing left to wait for.
pub(super) fn may_go(object: &Value) -> bool {
    object::is_deleting(object)
        && object::finalizers(object).next().is_none()
        && object["metadata"]["deletionGracePeriodSeconds"]
            .as_i64()
            .unwrap_or(0)
            == 0
        && !holds_content(object)
}

/// Whether an object is a Namespace that its controller has not emptied.
fn holds_content(object: &Value) -> bool {
    object["kind"] == "Namespace"
        && object["apiVersion"] == "v1"
        && !object::list(&object["spec"]["finalizers"]).is_empty()
}

/// Writes the version.
pub(super) fn set_version(object: &mut Value, version: u64) {
    object::metadata_mut(object).insert("resourceVersion".to_owned(), version.to_string().into());
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

/// The object with its type and metadata in front, as the real server writes objects; shared
/// encodings rely on it.
pub(super) fn ordered(object: Value) -> Value {
    const FRONT: [&str; 3] = ["kind", "apiVersion", "metadata"];
    let Value::Object(mut fields) = object else {
        return object;
    };
    let mut ordered = Map::with_capacity(fields.len());
    for key in FRONT {
        if let Some(value) = fields.shift_remove(key) {
            ordered.insert(key.to_owned(), value);
        }
    }
    if let Some(Value::Object(metadata)) = ordered.get_mut("metadata") {
        let mut listed: Vec<(String, Value)> = std::mem::take(metadata).into_iter().collect();
        listed.sort_by_key(|(field, _)| place_of(field));
        metadata.extend(listed);
    }
    ordered.extend(fields);
    Value::Object(ordered)
}

/// Where a field of metadata stands in the server's own type.
fn place_of(field: &str) -> usize {
    const ORDER: [&str; 15] = [
        "name",
        "generateName",
        "namespace",
        "selfLink",
        "uid",
        "resourceVersion",
        "generation",
        "creationTimestamp",
        "deletionTimestamp",
        "deletionGracePeriodSeconds",
        "labels",
        "annotations",
        "ownerReferences",
        "finalizers",
        "managedFields",
    ];
    ORDER
        .iter()
        .position(|known| *known == field)
        .unwrap_or(ORDER.len())
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

/// Whether an object asks for a name of its own.
pub(super) fn wants_generated(object: &Value) -> bool {
    !generate_name(object).is_empty()
}

fn generate_name(object: &Value) -> String {
    object["metadata"]["generateName"]
        .as_str()
        .unwrap_or_default()
        .to_owned()
}
