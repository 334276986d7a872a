//! What differs between kinds: the places where the pipeline asks schemas and strategies.

use super::options::{Part, Patch, Propagation, WriteOptions};
use super::{Caller, Cluster};
use crate::object::Object;
use crate::resource::{Resource, Subresource};
use crate::status::{Cause, Status};
use serde_json::Value;

/// Prunes, defaults and tells about unknown fields.
pub(super) fn decode(
    _cluster: &Cluster,
    resource: &Resource,
    object: &mut Value,
    _options: &WriteOptions,
) -> Result<Vec<String>, Status> {
    object["apiVersion"] = resource.api_version().into();
    object["kind"] = resource.kind.as_str().into();
    Ok(Vec::new())
}

/// Records in `managedFields` who set what.
pub(super) fn track(
    _cluster: &Cluster,
    _caller: &Caller,
    _resource: &Resource,
    _part: Part,
    _old: Option<&Object>,
    _new: &mut Value,
) -> Result<(), Status> {
    Ok(())
}

/// What the kind's strategy does to a new object.
pub(super) fn prepare_create(
    _cluster: &Cluster,
    resource: &Resource,
    object: &mut Value,
) -> Result<(), Status> {
    if resource.status == Subresource::Served
        && let Some(fields) = object.as_object_mut()
    {
        fields.remove("status");
    }
    Ok(())
}

/// What the kind's strategy does to a changed object.
pub(super) fn prepare_update(
    _cluster: &Cluster,
    _resource: &Resource,
    _part: Part,
    _old: &Object,
    _new: &mut Value,
) -> Result<(), Status> {
    Ok(())
}

/// Puts back the status, which the main resource leaves alone.
pub(super) fn keep_status(resource: &Resource, old: &Object, new: &mut Value) {
    if resource.status == Subresource::Absent {
        return;
    }
    let Some(fields) = new.as_object_mut() else {
        return;
    };
    match old.get("status") {
        Some(status) => fields.insert("status".to_owned(), status.clone()),
        None => fields.shift_remove("status"),
    };
}

/// Puts back all but the status, which is all that its subresource writes.
pub(super) fn keep_all_but_status(old: &Object, new: &mut Value) {
    let mut kept = old.value().clone();
    if let Some(fields) = kept.as_object_mut() {
        match new.get("status") {
            Some(status) => fields.insert("status".to_owned(), status.clone()),
            None => fields.shift_remove("status"),
        };
    }
    if let Some(managers) = new["metadata"].get("managedFields") {
        kept["metadata"]["managedFields"] = managers.clone();
    }
    *new = kept;
}

/// What is wrong with an object.
pub(super) fn validate(
    _cluster: &Cluster,
    _resource: &Resource,
    _old: Option<&Object>,
    _new: &Value,
) -> Vec<Cause> {
    Vec::new()
}

/// What is wrong with a name.
pub(super) fn check_name(_resource: &Resource, _name: &str) -> Vec<Cause> {
    Vec::new()
}

/// Whether the server counts generations of a built-in kind.
pub(super) fn counts_generations(_resource: &Resource) -> bool {
    false
}

/// Whether an update of an object that is not there creates it.
pub(super) fn creates_on_update(resource: &Resource) -> bool {
    matches!(
        resource.plural.as_str(),
        "leases" | "events" | "endpoints" | "limitranges"
    ) && !resource.is_custom()
}

/// What happens to dependents when the caller does not say.
pub(super) fn default_propagation(_resource: &Resource) -> Propagation {
    Propagation::Background
}

/// What may not be deleted.
pub(super) fn check_delete(
    _cluster: &Cluster,
    _resource: &Resource,
    _old: &Object,
) -> Result<(), Status> {
    Ok(())
}

/// The object after a patch.
pub(super) fn patched(_resource: &Resource, old: &Object, patch: &Patch) -> Result<Value, Status> {
    let mut new = old.value().clone();
    match patch {
        Patch::Merge(change) => json_patch::merge(&mut new, change),
        _ => {
            return Err(Status::unsupported_media_type(&[
                "application/merge-patch+json",
            ]));
        }
    }
    Ok(new)
}

/// What the server does by itself after a write.
pub(super) fn after_write(
    _cluster: &Cluster,
    _resource: &Resource,
    _old: Option<&Object>,
    _new: &Object,
) {
}
