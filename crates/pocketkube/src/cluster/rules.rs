//! Where the pipeline asks what a kind does differently, and words the answers as errors.

use super::options::{FieldValidation, Force, Part, Patch, Propagation, WriteOptions};
use super::write::{Origin, Sent};
use super::{Caller, Cluster};
use crate::apply::{self, Operation, Writer};
use crate::kinds::{Kind, convert};
use crate::merge;
use crate::object::Object;
use crate::registry::{Registry, split_api_version};
use crate::resource::Resource;
use crate::status::{Cause, Details, Status};
use serde_json::Value;
use std::sync::Arc;

/// Prunes and defaults an object, and tells about fields that are unknown or given twice.
pub(super) fn decode(
    registry: &Registry,
    kind: &Kind,
    sent: Sent,
    options: &WriteOptions,
) -> Result<(Value, Vec<String>), Status> {
    let (mut object, is_patched) = (sent.value, sent.origin == Origin::Patch);
    let resource = &kind.resource;
    let given = match is_patched {
        true => given_kind(registry, resource, &object)?,
        false => None,
    };
    let read_as = given.as_deref().unwrap_or(kind);
    object["apiVersion"] = read_as.resource.api_version().into();
    object["kind"] = resource.kind.as_str().into();
    let shown = is_patched.then(|| object.to_string());
    let mut problems = read_as
        .decode(&mut object)
        .map_err(|message| match &shown {
            Some(shown) => bad_patch(shown, &message),
            None => Status::bad_request(message),
        })?;
    problems.extend(
        sent.duplicates
            .iter()
            .map(|path| format!("duplicate field {path:?}")),
    );
    if let Some(given) = &given {
        given.default(&mut object);
        convert(given, kind, &mut object);
    }
    kind.default(&mut object);
    match options.field_validation {
        FieldValidation::Ignore => Ok((object, Vec::new())),
        FieldValidation::Warn => Ok((object, problems)),
        FieldValidation::Strict if problems.is_empty() => Ok((object, problems)),
        FieldValidation::Strict => {
            if let Some(shown) = &shown {
                let listed = problems.join(", ");
                return Err(bad_patch(
                    shown,
                    &format!(": strict decoding error: {listed}"),
                ));
            }
            let message = format!(
                "{} in version {:?} cannot be handled as a {}: strict decoding error: {}",
                resource.kind,
                resource.version,
                resource.kind,
                problems.join(", ")
            );
            Err(Status::bad_request(message))
        }
    }
}

/// The kind as which a patched object is read, where it says that it is one of another version.
///
/// # Errors
///
/// 422 where it says that it is of a kind or version that there is not.
fn given_kind(
    registry: &Registry,
    resource: &Resource,
    object: &Value,
) -> Result<Option<Arc<Kind>>, Status> {
    let text = |field: &str| object[field].as_str().unwrap_or_default();
    let (kind, version) = (text("kind"), text("apiVersion"));
    let is_own = |given: &str, own: &str| given.is_empty() || given == own;
    if resource.is_custom() {
        return Ok(None);
    }
    if is_own(kind, &resource.kind) {
        if is_own(version, &resource.api_version()) {
            return Ok(None);
        }
        let (group, _) = split_api_version(version);
        let served = registry.by_kind(version, &resource.kind);
        if let Some(served) = served.filter(|_| group == resource.group) {
            return Ok(registry.kind(&served).cloned());
        }
        // The server also knows versions that it serves no more: betas, all of them here.
        if group == resource.group && version.contains("beta") {
            return Ok(None);
        }
    }
    let problem = format!(
        "no kind {kind:?} is registered for version {version:?} in scheme \
         \"pkg/api/legacyscheme/scheme.go:30\""
    );
    Err(bad_patch(&object.to_string(), &format!(": {problem}")))
}

/// Whether an update of an object that is not there creates it (upstream's
/// `AllowCreateOnUpdate`).
pub(super) fn creates_on_update(resource: &Resource) -> bool {
    let kinds = ["endpoints", "events", "leases", "limitranges", "services"];
    !resource.is_custom() && kinds.contains(&resource.plural.as_str())
}

/// What happens to dependents when the caller does not say.
pub(super) fn default_propagation(_resource: &Resource) -> Propagation {
    Propagation::Background
}

/// What may not be deleted.
pub(super) fn check_delete(resource: &Resource, old: &Object) -> Result<(), Status> {
    let name = crate::object::name(old);
    let is_kept = resource.qualified() == "namespaces"
        && matches!(name, "default" | "kube-system" | "kube-public");
    if is_kept {
        return Err(Status::forbidden(
            resource,
            name,
            "this namespace may not be deleted",
        ));
    }
    Ok(())
}

/// Records in `managedFields` who set what.
pub(super) fn track(
    cluster: &Cluster,
    caller: &Caller,
    kind: &Kind,
    part: Part,
    old: Option<&Object>,
    new: &mut Value,
) -> Result<(), Status> {
    let api_version = kind.resource.api_version();
    let now = cluster.clock().stamp();
    let writer = writer(caller, &api_version, &now, part, Operation::Update);
    let ignored = kind.ignored(part);
    apply::track_update(
        kind.schema(),
        &writer,
        &ignored,
        old.map(|old| old.value()),
        new,
    );
    Ok(())
}

/// The object after a patch other than apply.
pub(super) fn patched(kind: &Kind, old: &Object, patch: &Patch) -> Result<Sent, Status> {
    let value = match patch {
        Patch::Json(operations) => json_patched(old, operations)?,
        Patch::Merge(change) => merge::merge_patch(old.value(), change),
        Patch::Strategic(change) => merge::strategic_patch(kind.schema(), old.value(), change)?,
        Patch::Apply { .. } => return Err(Status::method_not_allowed()),
    };
    Ok(Sent {
        origin: Origin::Patch,
        ..Sent::from(value)
    })
}

/// A value without schema after a patch: a Scale.
pub(super) fn patched_plain(old: &Value, patch: &Patch) -> Result<Value, Status> {
    match patch {
        Patch::Json(operations) => json_patched(old, operations),
        Patch::Merge(change) | Patch::Strategic(change) => Ok(merge::merge_patch(old, change)),
        Patch::Apply { wanted, .. } => Ok(merge::merge_patch(old, wanted)),
    }
}

fn writer<'a>(
    caller: &'a Caller,
    api_version: &'a str,
    now: &'a str,
    part: Part,
    operation: Operation,
) -> Writer<'a> {
    Writer {
        manager: &caller.manager,
        operation,
        api_version,
        subresource: part.as_str(),
        now,
    }
}

fn json_patched(old: &Value, operations: &Value) -> Result<Value, Status> {
    merge::json_patch(old, operations).map_err(|_| rejected_patch())
}

/// What the server says of JSON patches that do not fit.
fn rejected_patch() -> Status {
    let message = "the server rejected our request due to an error in our request";
    let mut status = Status::plain(422, "Invalid", message);
    status.details = Some(Box::default());
    status
}

/// 422 for a patch that makes something else than an object of the kind.
fn bad_patch(object: &str, problem: &str) -> Status {
    let problem = problem
        .split_once(": ")
        .map_or(problem, |(_, problem)| problem);
    let cause = Cause::invalid("patch", &object.into(), problem);
    let message = format!(" \"\" is invalid: patch: {}", cause.message);
    let details = Details {
        causes: vec![cause],
        ..Details::default()
    };
    Status {
        code: 422,
        reason: "Invalid",
        message,
        details: Some(Box::new(details)),
    }
}

/// What is there with what a manager wants merged in, and `managedFields` following.
pub(super) fn applied(
    cluster: &Cluster,
    caller: &Caller,
    kind: &Kind,
    part: Part,
    live: Option<&Value>,
    (wanted, force): (&Value, Force),
) -> Result<Value, Status> {
    let api_version = kind.resource.api_version();
    let now = cluster.clock().stamp();
    let writer = writer(caller, &api_version, &now, part, Operation::Apply);
    let ignored = kind.ignored(part);
    apply::apply(kind.schema(), &writer, &ignored, live, wanted, force)
}
