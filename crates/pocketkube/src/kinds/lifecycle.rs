//! What a request may reach: the parts of an object that a create or an update takes from the
//! client, and when `metadata.generation` moves.

use super::Kind;
use super::hooks::Generation;
use crate::apply::{Element, FieldSet};
use crate::cluster::Part;
use crate::resource::Subresource;
use crate::schema;
use serde_json::{Value, json};

pub(super) fn prepare_create(kind: &Kind, object: &mut Value) {
    let drops_status = kind.resource.status == Subresource::Served;
    let Some(fields) = object.as_object_mut() else {
        return;
    };
    if drops_status {
        // A Node registers itself with its status.
        if kind.resource.kind != "Node" || kind.is_custom() {
            fields.shift_remove("status");
        }
    }
    let has_generation = kind.hooks.generation != Generation::None;
    if let Some(meta) = fields.get_mut("metadata").and_then(Value::as_object_mut) {
        if !kind.resource.is_namespaced() {
            meta.shift_remove("namespace");
        }
        if has_generation {
            meta.insert("generation".to_owned(), json!(1));
        } else {
            meta.shift_remove("generation");
        }
    }
    if !kind.is_custom() {
        (kind.hooks.default)(object);
        (kind.hooks.prepare)(object);
        schema::write_zeros(kind.schema(), object);
    }
}

pub(super) fn prepare_update(kind: &Kind, part: Part, new: &mut Value, old: &Value) {
    let is_split = kind.resource.status == Subresource::Served;
    match part {
        Part::Status => {
            let status = new.get("status").cloned();
            let managed = new["metadata"].get("managedFields").cloned();
            let mut meta = old["metadata"].clone();
            // What guards the write stays the client's.
            for name in ["resourceVersion", "uid"] {
                if let Some(value) = new["metadata"].get(name) {
                    meta[name] = value.clone();
                }
            }
            put(&mut meta, "managedFields", managed);
            if !kind.is_custom() {
                // Upstream's strategy for Deployments alone keeps the labels.
                if kind.resource.kind != "Deployment" {
                    put(&mut meta, "labels", new["metadata"].get("labels").cloned());
                }
                put(
                    &mut meta,
                    "annotations",
                    new["metadata"].get("annotations").cloned(),
                );
                put(
                    &mut meta,
                    "finalizers",
                    new["metadata"].get("finalizers").cloned(),
                );
            }
            *new = old.clone();
            new["metadata"] = meta;
            put(new, "status", status);
            return;
        }
        Part::Main if is_split => put(new, "status", old.get("status").cloned()),
        Part::Main | Part::Scale => {}
    }
    if !kind.is_custom() {
        (kind.hooks.prepare)(new);
        schema::write_zeros(kind.schema(), new);
    }
    if counts_templates(kind) {
        put_template_count(new, template_count(old));
    }
    move_generation(kind, part, new, old);
}

/// What the server changes once it is settled who owns what.
pub(super) fn finish_update(kind: &Kind, part: Part, new: &mut Value, old: &Value) {
    let moved = new["spec"]["template"] != old["spec"]["template"];
    if part == Part::Main && counts_templates(kind) && moved {
        put_template_count(new, template_count(old) + 1);
    }
}

const TEMPLATE_COUNT: &str = "/metadata/annotations/deprecated.daemonset.template.generation";

/// A DaemonSet counts its templates in an annotation that clients do not set.
fn counts_templates(kind: &Kind) -> bool {
    kind.resource.kind == "DaemonSet" && !kind.is_custom()
}

fn template_count(object: &Value) -> i64 {
    let count = object.pointer(TEMPLATE_COUNT).and_then(Value::as_str);
    count.and_then(|text| text.parse().ok()).unwrap_or(1)
}

fn put_template_count(object: &mut Value, count: i64) {
    if let Some(shown) = object.pointer_mut(TEMPLATE_COUNT) {
        *shown = json!(count.to_string());
    }
}

/// Fields that writing to a part cannot own.
pub(super) fn ignored(kind: &Kind, part: Part) -> FieldSet {
    let field = |name: &str| Element::Field(name.to_owned());
    let mut set = FieldSet::default();
    let is_split = kind.resource.status == Subresource::Served;
    match part {
        Part::Main | Part::Scale if is_split => set.insert(&[field("status")]),
        Part::Main | Part::Scale => {}
        Part::Status if kind.is_custom() => {
            set.insert(&[field("spec")]);
            set.insert(&[field("metadata")]);
        }
        Part::Status => {
            set.insert(&[field("spec")]);
            if kind.resource.kind == "Deployment" {
                set.insert(&[field("metadata"), field("labels")]);
            }
        }
    }
    if kind.resource.kind == "Secret" && kind.resource.group.is_empty() {
        set.insert(&[field("stringData")]);
    }
    set
}

fn move_generation(kind: &Kind, part: Part, new: &mut Value, old: &Value) {
    let before = old["metadata"].get("generation").cloned();
    let moved = match kind.hooks.generation {
        Generation::None => {
            put(&mut new["metadata"], "generation", before);
            return;
        }
        Generation::Spec => {
            // A Deployment's annotations reach its ReplicaSets, so they count as its spec does.
            let is_deployment = kind.resource.kind == "Deployment" && !kind.is_custom();
            let annotations = |object: &Value| object["metadata"].get("annotations").cloned();
            new.get("spec") != old.get("spec")
                || (is_deployment && part == Part::Main && annotations(new) != annotations(old))
        }
        Generation::Everything => body_moved(kind, new, old),
    };
    let count = before.and_then(|count| count.as_i64()).unwrap_or(0);
    new["metadata"]["generation"] = json!(if moved { count + 1 } else { count.max(1) });
}

/// Whether anything but metadata, names and, where it is a part of its own, status changed.
fn body_moved(kind: &Kind, new: &Value, old: &Value) -> bool {
    let is_split = kind.resource.status == Subresource::Served;
    let counts = |name: &str| match name {
        "metadata" | "apiVersion" | "kind" => false,
        "status" => !is_split,
        _ => true,
    };
    let (Some(new), Some(old)) = (new.as_object(), old.as_object()) else {
        return false;
    };
    let names = new.keys().chain(old.keys());
    names
        .filter(|name| counts(name))
        .any(|name| new.get(name) != old.get(name))
}

fn put(object: &mut Value, name: &str, value: Option<Value>) {
    let Some(fields) = object.as_object_mut() else {
        return;
    };
    match value {
        Some(value) => {
            fields.insert(name.to_owned(), value);
        }
        None => {
            fields.shift_remove(name);
        }
    }
}
