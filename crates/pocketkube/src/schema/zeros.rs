//! Zero values that the server writes although nobody gave them.

use super::{Additional, Schema, Shape, Zero};
use serde_json::{Map, Value, json};

/// Adds the zero values that the Go types of a built-in kind always write: `status: {}`,
/// `resources: {}`, `eventTime: null`. Idempotent.
pub fn write_zeros(schema: &Schema, value: &mut Value) {
    match value {
        Value::Object(fields) => {
            for (name, child) in &schema.properties {
                if let Some(present) = fields.get_mut(name) {
                    write_zeros(child, present);
                } else if matches!(child.zero, Zero::Write | Zero::WriteNull) {
                    let mut zero = zero_of(child);
                    write_zeros(child, &mut zero);
                    fields.insert(name.clone(), zero);
                }
            }
            if let Additional::Schema(values) = &schema.additional
                && values.go_type.is_some()
            {
                fields
                    .values_mut()
                    .for_each(|child| write_zeros(values, child));
            }
        }
        Value::Array(elements) => {
            if let Some(items) = &schema.items
                && items.go_type.is_some()
            {
                elements
                    .iter_mut()
                    .for_each(|element| write_zeros(items, element));
            }
        }
        _ => {}
    }
}

/// Whether a value is what its Go type starts with.
pub(super) fn is_zero(value: &Value) -> bool {
    match value {
        Value::Null => true,
        Value::Bool(flag) => !flag,
        Value::Number(number) => number.as_f64() == Some(0.0),
        Value::String(text) => text.is_empty(),
        Value::Array(elements) => elements.is_empty(),
        Value::Object(fields) => fields.is_empty(),
    }
}

fn zero_of(schema: &Schema) -> Value {
    if schema.zero == Zero::WriteNull {
        return Value::Null;
    }
    match (schema.shape, &schema.additional) {
        (Shape::Object, Additional::None) => Value::Object(Map::new()),
        (Shape::String, _) => json!(""),
        (Shape::Integer | Shape::Number | Shape::IntOrString, _) => json!(0),
        (Shape::Boolean, _) => json!(false),
        (Shape::Quantity, _) => json!("0"),
        _ => Value::Null,
    }
}
