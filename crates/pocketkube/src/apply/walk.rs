//! How values look to structured merge: as scalars, maps or lists, granular or atomic.

use super::path::Element;
use super::set::FieldSet;
use crate::schema::{Merge, Schema, Shape};
use serde_json::Value;
use std::sync::Arc;

/// What a node is for merging.
#[derive(Debug, Clone, Copy)]
pub(super) enum Form<'a> {
    /// One value, taken or left as a whole.
    Leaf,
    /// An object, field by field.
    Map,
    /// A list whose elements have an identity.
    List(&'a Merge),
}

/// The form of a value under a schema; without a schema, objects merge and lists do not.
pub(super) fn form<'a>(schema: Option<&'a Schema>, value: &Value) -> Form<'a> {
    let Some(schema) = schema else {
        return if value.is_object() {
            Form::Map
        } else {
            Form::Leaf
        };
    };
    if schema.merge == Merge::Atomic {
        return Form::Leaf;
    }
    match schema.shape {
        Shape::Any | Shape::Object if value.is_object() => Form::Map,
        Shape::Object if value.is_null() => Form::Map,
        Shape::Any | Shape::List => match &schema.merge {
            Merge::Set | Merge::Map(_) if value.is_array() || value.is_null() => {
                Form::List(&schema.merge)
            }
            _ => Form::Leaf,
        },
        _ => Form::Leaf,
    }
}

/// The schema of a field.
pub(super) fn field<'a>(schema: Option<&'a Schema>, name: &str) -> Option<&'a Schema> {
    schema
        .and_then(|schema| schema.field(name))
        .map(Arc::as_ref)
}

/// The schema of elements.
pub(super) fn items(schema: Option<&Schema>) -> Option<&Schema> {
    schema
        .and_then(|schema| schema.items.as_ref())
        .map(Arc::as_ref)
}

/// The identity of a list element; `None` when it has none.
pub(super) fn identity(merge: &Merge, value: &Value) -> Option<Element> {
    match merge {
        Merge::Set => Some(Element::Value(value.clone())),
        Merge::Map(keys) => {
            let fields = value.as_object()?;
            let mut found: Vec<(String, Value)> = Vec::new();
            for key in keys {
                if let Some(value) = fields.get(&key.name).or(key.default.as_ref()) {
                    found.push((key.name.clone(), value.clone()));
                }
            }
            found.sort_by(|left, right| left.0.cmp(&right.0));
            (!found.is_empty()).then_some(Element::Key(found))
        }
        Merge::Natural | Merge::Atomic => None,
    }
}

/// Whether a value is an object or list without content, or null.
pub(super) fn is_hollow(value: Option<&Value>) -> bool {
    match value {
        None | Some(Value::Null) => true,
        Some(Value::Object(fields)) => fields.is_empty(),
        Some(Value::Array(elements)) => elements.is_empty(),
        Some(_) => false,
    }
}

/// All leaf fields and list elements of a value.
pub(super) fn field_set(schema: &Schema, value: &Value) -> FieldSet {
    let mut set = FieldSet::default();
    insert(Some(schema), value, &mut Vec::new(), &mut set);
    set
}

fn insert(schema: Option<&Schema>, value: &Value, at: &mut Vec<Element>, set: &mut FieldSet) {
    match form(schema, value) {
        Form::Leaf => set.insert(at),
        Form::Map => {
            for (name, child) in value.as_object().into_iter().flatten() {
                at.push(Element::Field(name.clone()));
                insert(field(schema, name), child, at, set);
                let is_empty = child.is_null() || child.as_object().is_some_and(|o| o.is_empty());
                let is_declared = schema.is_some_and(|schema| schema.declares(name));
                if is_empty || !is_declared {
                    set.insert(at);
                }
                at.pop();
            }
        }
        Form::List(merge) => {
            for element in value.as_array().into_iter().flatten() {
                let Some(identity) = identity(merge, element) else {
                    continue;
                };
                at.push(identity);
                insert(items(schema), element, at, set);
                set.insert(at);
                at.pop();
            }
        }
    }
}
