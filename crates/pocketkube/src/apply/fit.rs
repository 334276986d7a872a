//! Whether what a manager wants fits the schema at all.

use super::walk::identity;
use crate::go;
use crate::schema::{Additional, Embedded, Merge, Schema, Shape};
use serde_json::Value;

/// Checks what is wanted: fields that no one declared, values of another form.
///
/// # Errors
///
/// The server's words, one line for each fault when there are several.
pub(super) fn check(schema: &Schema, wanted: &Value) -> Result<(), String> {
    let mut faults = Vec::new();
    walk(schema, wanted, "", &mut faults);
    match faults.as_slice() {
        [] => Ok(()),
        [only] => Err(only.clone()),
        many => {
            let mut many = many.to_vec();
            many.sort();
            Err(format!("errors:\n  {}", many.join("\n  ")))
        }
    }
}

fn walk(schema: &Schema, value: &Value, at: &str, faults: &mut Vec<String>) {
    if value.is_null() {
        return;
    }
    match schema.shape {
        Shape::Any => {}
        Shape::Object => object(schema, value, at, faults),
        Shape::List => list(schema, value, at, faults),
        shape => {
            let expected = match (shape, value) {
                (_, Value::Object(_) | Value::Array(_)) => scalar(shape),
                (Shape::Boolean, Value::Bool(_)) => return,
                (Shape::Integer | Shape::Number, Value::Number(_)) => return,
                (Shape::Boolean | Shape::Integer | Shape::Number, _) => scalar(shape),
                (Shape::String | Shape::Time | Shape::Bytes, Value::String(_)) => return,
                (Shape::String | Shape::Time | Shape::Bytes, _) => scalar(shape),
                _ => return,
            };
            faults.push(format!(
                "{at}: expected {expected}, got {}",
                go::type_of(value)
            ));
        }
    }
}

fn object(schema: &Schema, value: &Value, at: &str, faults: &mut Vec<String>) {
    let Value::Object(fields) = value else {
        faults.push(format!("{at}: expected map, got {}", shown(value)));
        return;
    };
    if schema.merge == Merge::Atomic && schema.keeps_unknown() {
        return;
    }
    for (name, child) in fields {
        let path = format!("{at}.{name}");
        let is_own = schema.embedded == Embedded::Yes
            && matches!(name.as_str(), "apiVersion" | "kind" | "metadata");
        match (schema.field(name), &schema.additional) {
            (Some(field), _) => walk(field, child, &path, faults),
            (None, Additional::Any) => {}
            (None, _) if is_own || schema.keeps_unknown() => {}
            (None, _) => faults.push(format!("{path}: field not declared in schema")),
        }
    }
}

fn list(schema: &Schema, value: &Value, at: &str, faults: &mut Vec<String>) {
    let Value::Array(elements) = value else {
        faults.push(format!("{at}: expected list, got {}", shown(value)));
        return;
    };
    let Some(items) = &schema.items else { return };
    for (index, element) in elements.iter().enumerate() {
        let path = match identity(&schema.merge, element) {
            Some(identity) => format!("{at}{identity}"),
            None => format!("{at}[{index}]"),
        };
        walk(items, element, &path, faults);
    }
}

fn scalar(shape: Shape) -> &'static str {
    match shape {
        Shape::Boolean => "boolean",
        Shape::Integer | Shape::Number => "numeric (int or float)",
        _ => "string",
    }
}

/// A value as Go prints what holds it.
fn shown(value: &Value) -> String {
    match value {
        Value::String(text) => format!("&{{{text}}}"),
        other => format!("&{{{other}}}"),
    }
}
