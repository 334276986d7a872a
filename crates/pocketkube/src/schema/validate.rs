//! Validation of custom objects against their structural schema, worded as the server words it.
//!
//! Checks come in the server's order: type, composition, string, format, number, list, enum,
//! object; list types last, over the whole object.

use super::checks;
use super::{Additional, Checks, Embedded, Merge, Schema, Shape, child_path, index_path};
use crate::status::Cause;
use serde_json::{Map, Value};

/// What is wrong with an object. Given the object that it replaces, parts that did not change are
/// let be (KEP-4008, ratcheting).
pub fn validate(schema: &Schema, new: &Value, old: Option<&Value>) -> Vec<Cause> {
    let mut causes = Vec::new();
    check(schema, new, old, "", &mut causes);
    list_types(schema, new, old, "", &mut causes);
    causes
}

/// Checks one value and everything below it, without list types.
pub(super) fn check(
    schema: &Schema,
    new: &Value,
    old: Option<&Value>,
    path: &str,
    causes: &mut Vec<Cause>,
) {
    if old.is_some_and(|old| old == new) {
        return;
    }
    if new.is_null() && schema.nullable {
        return;
    }
    if !fits(schema.shape, new) {
        causes.push(checks::wrong_type(schema.shape, new, path));
        if matches!(schema.shape, Shape::Object | Shape::List | Shape::Boolean) {
            return;
        }
    }
    if let Some(limits) = &schema.checks {
        composition(limits, new, path, causes);
        checks::scalar(schema, limits, new, path, causes);
    }
    match new {
        Value::Object(fields) => object(schema, fields, old, path, causes),
        Value::Array(elements) => list(schema, elements, old, path, causes),
        _ => {}
    }
}

fn fits(shape: Shape, value: &Value) -> bool {
    match shape {
        Shape::Any => true,
        Shape::Object => value.is_object(),
        Shape::List => value.is_array(),
        Shape::Integer => checks::is_integer(value),
        Shape::Number => value.is_number(),
        Shape::Boolean => value.is_boolean(),
        Shape::IntOrString => value.is_string() || checks::is_integer(value),
        Shape::String | Shape::Quantity | Shape::Time | Shape::Bytes => value.is_string(),
    }
}

fn composition(limits: &Checks, value: &Value, path: &str, causes: &mut Vec<Cause>) {
    let problems = |schema: &Schema| {
        let mut found = Vec::new();
        check(schema, value, None, path, &mut found);
        found
    };
    let nowhere = |message: String| {
        let message = format!("Invalid value: \"\": {message}");
        Cause::new("FieldValueInvalid", "<nil>", message)
    };
    if !limits.any_of.is_empty() {
        let mut tried: Vec<Vec<Cause>> = limits.any_of.iter().map(|s| problems(s)).collect();
        if tried.iter().all(|found| !found.is_empty()) {
            causes.push(nowhere(format!(
                "{path:?} must validate at least one schema (anyOf)"
            )));
            causes.extend(tried.swap_remove(0));
        }
    }
    if !limits.one_of.is_empty() {
        let mut tried: Vec<Vec<Cause>> = limits.one_of.iter().map(|s| problems(s)).collect();
        let valid = tried.iter().filter(|found| found.is_empty()).count();
        let rule = format!("{path:?} must validate one and only one schema (oneOf).");
        match valid {
            1 => {}
            0 => {
                causes.push(nowhere(format!("{rule} Found none valid")));
                causes.extend(tried.swap_remove(0));
            }
            count => causes.push(nowhere(format!("{rule} Found {count} valid alternatives"))),
        }
    }
    for schema in &limits.all_of {
        let found = problems(schema);
        if !found.is_empty() {
            causes.push(nowhere(format!(
                "{path:?} must validate all the schemas (allOf)"
            )));
            causes.extend(found);
        }
    }
    if let Some(schema) = &limits.not
        && problems(schema).is_empty()
    {
        causes.push(nowhere(format!(
            "{path:?} must not validate the schema (not)"
        )));
    }
}

fn object(
    schema: &Schema,
    fields: &Map<String, Value>,
    old: Option<&Value>,
    path: &str,
    causes: &mut Vec<Cause>,
) {
    if let Some(limits) = &schema.checks {
        checks::properties(limits, fields, path, causes);
    }
    for name in &schema.required {
        if !fields.contains_key(name) {
            causes.push(Cause::required(child_path(path, name), ""));
        }
    }
    if schema.embedded == Embedded::Yes {
        for name in ["apiVersion", "kind"] {
            if fields
                .get(name)
                .and_then(Value::as_str)
                .is_none_or(str::is_empty)
            {
                causes.push(Cause::required(child_path(path, name), ""));
            }
        }
    }
    for (name, value) in fields {
        let before = old.and_then(|old| old.get(name));
        if let Some(property) = schema.properties.get(name) {
            check(property, value, before, &child_path(path, name), causes);
        } else if let Additional::Schema(values) = &schema.additional {
            check(values, value, before, &child_path(path, name), causes);
        }
    }
}

fn list(
    schema: &Schema,
    elements: &[Value],
    old: Option<&Value>,
    path: &str,
    causes: &mut Vec<Cause>,
) {
    if let Some(limits) = &schema.checks {
        checks::items(limits, elements, path, causes);
    }
    let Some(items) = &schema.items else { return };
    for (index, value) in elements.iter().enumerate() {
        let before = old.and_then(|old| counterpart(schema, value, old));
        check(items, value, before, &index_path(path, index), causes);
    }
}

/// The element of the old list that an element of a list map replaces. Elements of other lists
/// have none.
pub(super) fn counterpart<'a>(schema: &Schema, value: &Value, old: &'a Value) -> Option<&'a Value> {
    let Merge::Map(keys) = &schema.merge else {
        return None;
    };
    let is_same = |other: &&Value| {
        keys.iter().all(|key| {
            let (left, right) = (value.get(&key.name), other.get(&key.name));
            left.or(key.default.as_ref()) == right.or(key.default.as_ref())
        })
    };
    old.as_array()?.iter().find(is_same)
}

/// Sets and list maps hold nothing twice.
fn list_types(
    schema: &Schema,
    value: &Value,
    old: Option<&Value>,
    path: &str,
    causes: &mut Vec<Cause>,
) {
    if old.is_some_and(|old| old == value) {
        return;
    }
    match value {
        Value::Object(fields) => {
            for (name, child) in fields {
                if let Some(property) = schema.field(name) {
                    let before = old.and_then(|old| old.get(name));
                    list_types(property, child, before, &child_path(path, name), causes);
                }
            }
        }
        Value::Array(elements) => {
            duplicates(&schema.merge, elements, path, causes);
            let Some(items) = &schema.items else { return };
            for (index, child) in elements.iter().enumerate() {
                let before = old.and_then(|old| counterpart(schema, child, old));
                list_types(items, child, before, &index_path(path, index), causes);
            }
        }
        _ => {}
    }
}

fn duplicates(merge: &Merge, elements: &[Value], path: &str, causes: &mut Vec<Cause>) {
    let mut seen: Vec<Value> = Vec::new();
    for (index, element) in elements.iter().enumerate() {
        let identity = match merge {
            Merge::Set => element.clone(),
            Merge::Map(keys) => {
                let mut identity = Map::new();
                for key in keys {
                    if let Some(value) = element.get(&key.name) {
                        identity.insert(key.name.clone(), value.clone());
                    }
                }
                Value::Object(identity)
            }
            Merge::Natural | Merge::Atomic => return,
        };
        if seen.contains(&identity) {
            causes.push(Cause::duplicate(index_path(path, index), &identity));
        }
        seen.push(identity);
    }
}
