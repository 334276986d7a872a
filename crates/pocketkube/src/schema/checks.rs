//! The limits that a schema sets on single values.

use super::{Checks, Range, Schema, Shape, formats};
use crate::status::Cause;
use serde_json::{Map, Value, json};

/// `spec.n in body must be of type integer: "string"`.
pub(super) fn wrong_type(shape: Shape, value: &Value, path: &str) -> Cause {
    let wanted = match shape {
        Shape::Any | Shape::Object => "object",
        Shape::List => "array",
        Shape::Integer => "integer",
        Shape::Number => "number",
        Shape::Boolean => "boolean",
        Shape::IntOrString => "integer,string",
        Shape::String | Shape::Quantity | Shape::Time | Shape::Bytes => "string",
    };
    let found = shown_type(value);
    let at = if path.is_empty() { "" } else { path };
    let message =
        format!("Invalid value: {found:?}: {at} in body must be of type {wanted}: {found:?}");
    let field = if path.is_empty() { "<nil>" } else { path };
    Cause::new("FieldValueTypeInvalid", field, message)
}

/// Checks of strings, formats, numbers and enums.
pub(super) fn scalar(
    schema: &Schema,
    limits: &Checks,
    value: &Value,
    path: &str,
    causes: &mut Vec<Cause>,
) {
    match value {
        Value::String(text) => {
            string(limits, text, path, causes);
            if !formats::matches_format(&limits.format, text) {
                let (format, at) = (&limits.format, path);
                let why = format!(
                    "Invalid value: {text:?}: {at} in body must be of type {format}: {text:?}"
                );
                causes.push(Cause::new("FieldValueTypeInvalid", path, why));
            }
        }
        Value::Number(_) => number(schema, limits, value, path, causes),
        _ => {}
    }
    if !limits.one_of_values.is_empty() && !limits.one_of_values.iter().any(|v| equal(v, value)) {
        let shown = |value: &Value| match value {
            Value::String(text) => format!("{text:?}"),
            other => format!("{:?}", other.to_string()),
        };
        let allowed: Vec<String> = limits.one_of_values.iter().map(shown).collect();
        let message = format!(
            "Unsupported value: {value}: supported values: {}",
            allowed.join(", ")
        );
        causes.push(Cause::new("FieldValueNotSupported", path, message));
    }
}

/// Fewest and most fields.
pub(super) fn properties(
    limits: &Checks,
    fields: &Map<String, Value>,
    path: &str,
    causes: &mut Vec<Cause>,
) {
    size(limits.properties, fields.len(), "properties", path, causes);
}

/// Fewest and most elements.
pub(super) fn items(limits: &Checks, elements: &[Value], path: &str, causes: &mut Vec<Cause>) {
    size(limits.items, elements.len(), "items", path, causes);
    let repeats = |(i, value): (usize, &Value)| elements[..i].iter().any(|v| equal(v, value));
    if limits.unique_items && elements.iter().enumerate().any(repeats) {
        let message = format!("{path} in body shouldn't contain duplicates");
        causes.push(Cause::new("FieldValueInvalid", path, message));
    }
}

/// Whether a number is whole.
pub(super) fn is_integer(value: &Value) -> bool {
    value.is_i64() || value.is_u64() || value.as_f64().is_some_and(|n| n.fract() == 0.0)
}

/// The name of a value's type in messages.
pub(super) fn shown_type(value: &Value) -> &'static str {
    match value {
        Value::Null => "null",
        Value::Bool(_) => "boolean",
        Value::Number(_) if is_integer(value) => "integer",
        Value::Number(_) => "number",
        Value::String(_) => "string",
        Value::Array(_) => "array",
        Value::Object(_) => "object",
    }
}

fn size(range: Range, size: usize, noun: &str, path: &str, causes: &mut Vec<Cause>) {
    let count = size as u64;
    if let Some(min) = range.min.filter(|min| count < *min) {
        let why = format!("{path} in body should have at least {min} {noun}");
        causes.push(Cause::invalid(path, &json!(size), &why));
    }
    if let Some(max) = range.max.filter(|max| count > *max) {
        let message = format!("Too many: {size}: must have at most {max} items");
        causes.push(Cause::new("FieldValueTooMany", path, message));
    }
}

/// Only the first problem of a string is told.
fn string(limits: &Checks, text: &str, path: &str, causes: &mut Vec<Cause>) {
    let value = json!(text);
    let count = text.chars().count() as u64;
    if let Some(max) = limits.length.max.filter(|max| count > *max) {
        let message = format!("Too long: may not be more than {max} bytes");
        causes.push(Cause::new("FieldValueTooLong", path, message));
    } else if let Some(min) = limits.length.min.filter(|min| count < *min) {
        let why = format!("{path} in body should be at least {min} chars long");
        causes.push(Cause::invalid(path, &value, &why));
    } else if let Some(pattern) = &limits.pattern
        && !pattern.regex.is_match(text)
    {
        let why = format!("{path} in body should match '{}'", pattern.source);
        causes.push(Cause::invalid(path, &value, &why));
    }
}

fn number(schema: &Schema, limits: &Checks, value: &Value, path: &str, causes: &mut Vec<Cause>) {
    let Some(n) = value.as_f64() else { return };
    if schema.shape == Shape::Integer {
        let is_small = value.as_i64().is_some_and(|n| i32::try_from(n).is_ok());
        let format = match limits.format.as_str() {
            "int32" if !is_small => Some("format int32"),
            _ if !is_integer(value) => Some("(default format)"),
            _ => None,
        };
        if let Some(format) = format {
            let with = if format.starts_with('(') { "" } else { "with " };
            let message = format!(
                "Invalid value: \"\": Checked value must be of type integer {with}{format} in {path}"
            );
            causes.push(Cause::new("FieldValueInvalid", "<nil>", message));
        }
    }
    if let Some(divisor) = limits.multiple_of
        && divisor != 0.0
        && (n / divisor).fract() != 0.0
    {
        let why = format!("{path} in body should be a multiple of {}", plain(divisor));
        causes.push(Cause::invalid(path, value, &why));
    }
    if let Some(bound) = &limits.maximum {
        let limit = bound.value.as_f64().unwrap_or(f64::INFINITY);
        let (broken, words) = match bound.exclusive {
            true => (n >= limit, "less than"),
            false => (n > limit, "less than or equal to"),
        };
        if broken {
            let why = format!("{path} in body should be {words} {}", plain(limit));
            causes.push(Cause::invalid(path, value, &why));
        }
    }
    if let Some(bound) = &limits.minimum {
        let limit = bound.value.as_f64().unwrap_or(f64::NEG_INFINITY);
        let (broken, words) = match bound.exclusive {
            true => (n <= limit, "greater than"),
            false => (n < limit, "greater than or equal to"),
        };
        if broken {
            let why = format!("{path} in body should be {words} {}", plain(limit));
            causes.push(Cause::invalid(path, value, &why));
        }
    }
}

fn plain(number: f64) -> String {
    number.to_string()
}

/// Equal as JSON Schema has it: `1` is `1.0`.
fn equal(left: &Value, right: &Value) -> bool {
    match (left, right) {
        (Value::Number(a), Value::Number(b)) => a.as_f64() == b.as_f64(),
        _ => left == right,
    }
}
