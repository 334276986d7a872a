//! Taking fields out of an object.

use super::path::Element;
use super::set::FieldSet;
use super::walk::{Form, field, form, identity, items};
use crate::schema::Schema;
use serde_json::{Map, Value};

/// An object without some fields and list elements.
pub(super) fn remove(schema: &Schema, value: &Value, gone: &FieldSet) -> Value {
    below(Some(schema), value, gone).unwrap_or_else(|| Value::Object(Map::new()))
}

/// `None` where nothing is left; what held it is then kept empty.
fn below(schema: Option<&Schema>, value: &Value, gone: &FieldSet) -> Option<Value> {
    match form(schema, value) {
        Form::Leaf if value.is_object() || value.is_array() => None,
        Form::Leaf => Some(value.clone()),
        Form::Map => {
            let mut result = Map::new();
            for (name, child) in value.as_object().into_iter().flatten() {
                let element = Element::Field(name.clone());
                if gone.members.contains(&element) {
                    continue;
                }
                let left = match gone.child(&element) {
                    Some(set) => rest(field(schema, name), child, set),
                    None => child.clone(),
                };
                result.insert(name.clone(), left);
            }
            Some(Value::Object(result))
        }
        Form::List(merge) => {
            let mut result = Vec::new();
            for child in value.as_array().into_iter().flatten() {
                let Some(element) = identity(merge, child) else {
                    result.push(child.clone());
                    continue;
                };
                if gone.members.contains(&element) {
                    continue;
                }
                result.push(match gone.child(&element) {
                    Some(set) => rest(items(schema), child, set),
                    None => child.clone(),
                });
            }
            Some(Value::Array(result))
        }
    }
}

fn rest(schema: Option<&Schema>, value: &Value, gone: &FieldSet) -> Value {
    below(schema, value, gone).unwrap_or_else(|| match value {
        Value::Array(_) => Value::Array(Vec::new()),
        _ => Value::Object(Map::new()),
    })
}
