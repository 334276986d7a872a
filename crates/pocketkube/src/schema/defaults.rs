//! Defaults of structural schemas.

use super::{Additional, Schema};
use serde_json::Value;

/// Fills in defaults: for fields that are missing, and for nulls where null is not a value.
pub fn fill_defaults(schema: &Schema, value: &mut Value) {
    match value {
        Value::Object(fields) => {
            for (name, child) in &schema.properties {
                let Some(default) = &child.default else {
                    continue;
                };
                let is_missing = match fields.get(name) {
                    None => true,
                    Some(present) => present.is_null() && !child.nullable,
                };
                if is_missing {
                    fields.insert(name.clone(), default.clone());
                }
            }
            for (name, child) in fields.iter_mut() {
                if let Some(property) = schema.properties.get(name) {
                    fill_defaults(property, child);
                } else if let Additional::Schema(values) = &schema.additional {
                    default_null(values, child);
                    fill_defaults(values, child);
                }
            }
        }
        Value::Array(elements) => {
            let Some(items) = &schema.items else { return };
            for element in elements {
                default_null(items, element);
                fill_defaults(items, element);
            }
        }
        _ => {}
    }
}

fn default_null(schema: &Schema, value: &mut Value) {
    if let Some(default) = &schema.default
        && value.is_null()
        && !schema.nullable
    {
        *value = default.clone();
    }
}
