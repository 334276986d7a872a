//! Pruning of custom objects (KEP-1111): fields that the schema does not know are dropped.

use super::{Additional, Schema, child_path, index_path};
use serde_json::Value;

/// Drops every field that the schema does not specify.
pub fn prune(schema: &Schema, value: &mut Value) {
    walk(schema, value, "", &mut None);
}

/// Every field that [`prune`] would drop, as `unknown field "spec.foo"`, in order.
pub fn unknown_fields(schema: &Schema, value: &Value) -> Vec<String> {
    let mut found = Some(Vec::new());
    walk(schema, &mut value.clone(), "", &mut found);
    let mut paths = found.unwrap_or_default();
    paths.sort();
    paths
        .into_iter()
        .map(|path| format!("unknown field {path:?}"))
        .collect()
}

/// Drops nulls of declared fields that are not nullable and have no default.
pub fn drop_null_defaults(schema: &Schema, value: &mut Value) {
    match value {
        Value::Object(fields) => {
            fields.retain(|name, child| match schema.properties.get(name) {
                Some(property) => {
                    !child.is_null() || property.nullable || property.default.is_some()
                }
                None => true,
            });
            for (name, child) in fields.iter_mut() {
                if let Some(property) = schema.field(name) {
                    drop_null_defaults(property, child);
                }
            }
        }
        Value::Array(elements) => {
            let Some(items) = &schema.items else { return };
            elements
                .iter_mut()
                .for_each(|element| drop_null_defaults(items, element));
        }
        _ => {}
    }
}

fn walk(schema: &Schema, value: &mut Value, path: &str, found: &mut Option<Vec<String>>) {
    match value {
        Value::Object(fields) => {
            let keeps = schema.keeps_unknown();
            fields.retain(|name, child| {
                let child_at = child_path(path, name);
                if let Some(property) = schema.properties.get(name) {
                    walk(property, child, &child_at, found);
                    return true;
                }
                if let Additional::Schema(values) = &schema.additional {
                    walk(values, child, &child_at, found);
                    return true;
                }
                if !keeps && let Some(found) = found {
                    found.push(child_at);
                }
                keeps
            });
        }
        Value::Array(elements) => {
            let Some(items) = &schema.items else { return };
            for (index, element) in elements.iter_mut().enumerate() {
                walk(items, element, &index_path(path, index), found);
            }
        }
        _ => {}
    }
}
