//! The life of CustomResourceDefinitions: accepted names, served versions, and their end.
//!
//! On a real server controllers do this a moment after the write; here it is done before the
//! write returns, so a client that waits for `Established` sees it at once.

use super::options::{DeleteOptions, Part};
use super::{Caller, Cluster};
use crate::apply::{self, Operation, Writer};
use crate::kinds::{self, Kind};
use crate::object::{self, Object};
use crate::resource::{Origin, Resource};
use crate::status::Status;
use serde_json::{Value, json};
use std::sync::Arc;

/// Holds a definition until its objects are gone.
pub(super) const CLEANUP: &str = "customresourcecleanup.apiextensions.k8s.io";

/// Table of definitions.
pub(super) const TABLE: &str = "customresourcedefinitions.apiextensions.k8s.io";

/// The group of definitions.
const API_VERSION: &str = "apiextensions.k8s.io/v1";

impl Cluster {
    /// Serves what a definition defines, and says so in its status.
    pub(super) fn definition_written(&self, old: Option<&Object>, new: &Object) {
        if object::is_deleting(new) {
            self.change_registry(|registry| registry.end_definition(object::name(new)));
            self.empty_definition(new);
            return;
        }
        let is_same = old.is_some_and(|old| old["spec"] == new["spec"]);
        if is_same && is_established(new) {
            return;
        }
        let conflict = self.name_conflict(new);
        let status = status_of(new, conflict.as_ref(), &self.clock().stamp());
        let is_accepted = conflict.is_none();
        if is_accepted || is_established(new) {
            self.serve_definition(new);
        }
        self.rewrite_definition(object::name(new), |definition| {
            let before = definition.clone();
            definition["status"] = status.clone();
            self.own_definition_status(before, definition);
        });
    }

    /// The server owns what it says in the status of a definition.
    fn own_definition_status(&self, mut before: Value, definition: &mut Value) {
        let Ok(kind) = self
            .resource(API_VERSION, "CustomResourceDefinition")
            .and_then(|resource| self.kind(&resource))
        else {
            return;
        };
        if before["status"].is_null() {
            // What a new definition has: Go's type with nothing in it, and its stored versions.
            before["status"] = json!({
                "acceptedNames": {"kind": "", "plural": ""},
                "conditions": [],
                "storedVersions": definition["status"]["storedVersions"],
            });
        }
        let now = self.clock().stamp();
        let writer = Writer {
            manager: "kube-apiserver",
            operation: Operation::Update,
            api_version: API_VERSION,
            subresource: "status",
            now: &now,
        };
        let ignored = kind.ignored(Part::Status);
        apply::track_update(kind.schema(), &writer, &ignored, Some(&before), definition);
    }

    /// Serves what a definition of before a restart defines.
    pub(super) fn definition_kept(&self, definition: &Object) {
        if is_established(definition) {
            self.serve_definition(definition);
        }
        if object::is_deleting(definition) {
            self.change_registry(|registry| registry.end_definition(object::name(definition)));
        }
    }

    /// Serves no longer what a definition defined. Its events stay: open watches still have to
    /// tell that the last objects went.
    pub(super) fn definition_gone(&self, definition: &Object) {
        self.change_registry(|registry| registry.remove_definition(object::name(definition)));
    }

    /// Ends a definition that waited for its last object.
    pub(super) fn definition_lost_an_object(&self, resource: &Resource) {
        let Origin::Custom { definition, .. } = &resource.origin else {
            return;
        };
        let kept = self.kept(TABLE, "", definition);
        if let Some(definition) = kept.filter(|kept| object::is_deleting(kept)) {
            self.empty_definition(&definition);
        }
    }

    /// Nothing is created of a kind whose definition is going.
    pub(super) fn admit_definition(&self, resource: &Resource, name: &str) -> Result<(), Status> {
        let Origin::Custom { definition, .. } = &resource.origin else {
            return Ok(());
        };
        match self.kept(TABLE, "", definition) {
            Some(kept) if object::is_deleting(&kept) => {
                let why = "create not allowed while custom resource definition is terminating";
                Err(Status::forbidden(resource, name, why))
            }
            _ => Ok(()),
        }
    }

    fn serve_definition(&self, definition: &Object) {
        let kinds = kinds::custom_kinds(definition);
        self.change_registry(|registry| {
            registry.remove_definition(object::name(definition));
            kinds
                .iter()
                .for_each(|kind| registry.insert(Arc::clone(kind)));
        });
        let is_stored =
            |kind: &Kind| kind.resource.api_version() == kind.resource.stored_api_version();
        if let Some(kind) = kinds.iter().find(|kind| is_stored(kind)) {
            self.default_kept(kind);
        }
    }

    /// The real server fills in defaults whenever it reads an object; here it is done once, when
    /// the defaults change.
    fn default_kept(&self, kind: &Kind) {
        self.store().reshow(&kind.resource.table(), |kept| {
            let mut shown = kept.value().clone();
            kind.default(&mut shown);
            (shown != *kept.value()).then(|| Object::new(shown))
        });
    }

    /// Deletes the objects of a definition that is being deleted, and lets it go when none is
    /// left.
    fn empty_definition(&self, definition: &Object) {
        let name = object::name(definition).to_owned();
        let registry = self.registry();
        let resource = registry
            .all()
            .find(|resource| {
                matches!(&resource.origin, Origin::Custom { definition, .. } if *definition == name)
            })
            .cloned();
        if let Some(resource) = &resource {
            let caller = Caller::system("kube-apiserver");
            let unmarked = self
                .list(resource, None)
                .into_iter()
                .filter(|object| !object::is_deleting(object));
            for found in unmarked {
                let (namespace, name) = (object::namespace(&found), object::name(&found));
                let options = DeleteOptions::default();
                // It may have gone by itself.
                let _ = self.delete(&caller, resource, namespace, name, &options);
            }
        }
        let left = resource.map_or(0, |resource| self.store().count(&resource.table()));
        let now = self.clock().stamp();
        self.rewrite_definition(&name, |definition| {
            if left > 0 {
                set_condition(definition, terminating(&now));
                return;
            }
            let mut finalizers = object::list(&definition["metadata"]["finalizers"]).to_vec();
            finalizers.retain(|finalizer| finalizer != CLEANUP);
            match finalizers.is_empty() {
                true => drop(object::metadata_mut(definition).shift_remove("finalizers")),
                false => definition["metadata"]["finalizers"] = finalizers.into(),
            }
        });
    }

    /// Why a definition's names are not accepted: the reason and the message of the condition.
    fn name_conflict(&self, definition: &Object) -> Option<(&'static str, String)> {
        let (names, own) = (&definition["spec"]["names"], object::name(definition));
        let group = definition["spec"]["group"].as_str().unwrap_or_default();
        let registry = self.registry();
        let others: Vec<&Arc<Resource>> = registry
            .all()
            .filter(|resource| resource.group == group)
            .filter(|resource| {
                !matches!(&resource.origin, Origin::Custom { definition, .. } if definition == own)
            })
            .collect();
        let has_kind = |kind: &str| {
            others
                .iter()
                .any(|other| other.kind == kind || other.list_kind == kind)
        };
        let has_name = |name: &str| {
            others.iter().any(|other| {
                other.plural == name
                    || other.singular == name
                    || other.short_names.iter().any(|short| short == name)
            })
        };
        let text = |field: &str| names[field].as_str().unwrap_or_default();
        let taken = |name: &str| format!("{name:?} is already in use");
        let mut conflict = None;
        // Later checks replace the words of earlier ones, as upstream's controller has it.
        for (field, reason) in [
            ("plural", "PluralConflict"),
            ("singular", "SingularConflict"),
        ] {
            if has_name(text(field)) {
                conflict = Some((reason, taken(text(field))));
            }
        }
        let short = object::list(&names["shortNames"])
            .iter()
            .filter_map(Value::as_str);
        if let Some(name) = short.into_iter().find(|name| has_name(name)) {
            conflict = Some(("ShortNamesConflict", taken(name)));
        }
        for (field, reason) in [("kind", "KindConflict"), ("listKind", "ListKindConflict")] {
            if has_kind(text(field)) {
                conflict = Some((reason, taken(text(field))));
            }
        }
        conflict
    }

    fn rewrite_definition(&self, name: &str, edit: impl Fn(&mut Value)) {
        if let Ok(resource) = self.resource(API_VERSION, "CustomResourceDefinition") {
            // It may have gone meanwhile.
            let _ = self.rewrite(&resource, "", name, edit);
        }
    }
}

fn is_established(definition: &Value) -> bool {
    object::list(&definition["status"]["conditions"])
        .iter()
        .any(|condition| condition["type"] == "Established" && condition["status"] == "True")
}

fn status_of(definition: &Value, conflict: Option<&(&'static str, String)>, now: &str) -> Value {
    let mut status = json!({
        "conditions": object::list(&definition["status"]["conditions"]),
        "acceptedNames": definition["spec"]["names"],
        "storedVersions": stored_versions(definition),
    });
    let mut holder = json!({"status": status});
    let condition = |kind: &str, holds: &str, reason: &str, message: &str| {
        json!({
            "type": kind,
            "status": holds,
            "lastTransitionTime": now,
            "reason": reason,
            "message": message,
        })
    };
    match conflict {
        None => {
            let accepted = "no conflicts found";
            set_condition(
                &mut holder,
                condition("NamesAccepted", "True", "NoConflicts", accepted),
            );
            let established = "the initial names have been accepted";
            set_condition(
                &mut holder,
                condition("Established", "True", "InitialNamesAccepted", established),
            );
        }
        Some((reason, why)) => {
            set_condition(
                &mut holder,
                condition("NamesAccepted", "False", reason, why),
            );
            if !is_established(definition) {
                let not_yet = "not all names are accepted";
                set_condition(
                    &mut holder,
                    condition("Established", "False", "NotAccepted", not_yet),
                );
                holder["status"]["acceptedNames"] = json!({"plural": "", "kind": ""});
            }
        }
    }
    status = holder["status"].take();
    status
}

/// Versions in which objects were ever kept.
fn stored_versions(definition: &Value) -> Vec<Value> {
    let mut versions = object::list(&definition["status"]["storedVersions"]).to_vec();
    let stored = object::list(&definition["spec"]["versions"])
        .iter()
        .find(|version| version["storage"] == true)
        .map(|version| version["name"].clone());
    if let Some(stored) = stored.filter(|stored| !versions.contains(stored)) {
        versions.push(stored);
    }
    versions
}

fn terminating(now: &str) -> Value {
    json!({
        "type": "Terminating",
        "status": "True",
        "lastTransitionTime": now,
        "reason": "InstanceDeletionInProgress",
        "message": "CustomResource deletion is in progress",
    })
}

/// Sets a condition; its time moves only when its status does.
fn set_condition(object: &mut Value, mut condition: Value) {
    let mut conditions = object::list(&object["status"]["conditions"]).to_vec();
    match conditions
        .iter_mut()
        .find(|old| old["type"] == condition["type"])
    {
        Some(old) => {
            if old["status"] == condition["status"] {
                condition["lastTransitionTime"] = old["lastTransitionTime"].take();
            }
            *old = condition;
        }
        None => conditions.push(condition),
    }
    object["status"]["conditions"] = conditions.into();
}
