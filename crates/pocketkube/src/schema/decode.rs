//! Decoding of built-in kinds: what the server's own types accept, and how they normalise it.

use super::zeros::is_zero;
use super::{Additional, Schema, Shape, Zero, canonical_quantity, child_path, formats, index_path};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde_json::{Map, Value, json};

/// Makes a JSON value one of a built-in type: unknown fields are dropped and returned as
/// `unknown field "spec.foo"`; nulls and zero values disappear where Go would not write them;
/// quantities and times are written canonically.
///
/// # Errors
///
/// Go's message for the first field of a wrong type.
pub fn decode(schema: &Schema, value: &mut Value) -> Result<Vec<String>, String> {
    let mut unknown = Vec::new();
    let mut walk = Walk {
        unknown: &mut unknown,
    };
    walk.value(schema, value, &Place::root(schema))?;
    Ok(unknown)
}

struct Walk<'a> {
    unknown: &'a mut Vec<String>,
}

/// Where a value is: with indices for warnings, without for Go's errors.
struct Place<'a> {
    path: String,
    go_path: String,
    owner: &'a str,
}

impl Place<'_> {
    fn root(schema: &Schema) -> Place<'_> {
        Place {
            path: String::new(),
            go_path: String::new(),
            owner: bare_type(schema),
        }
    }
}

impl Walk<'_> {
    fn value(&mut self, schema: &Schema, value: &mut Value, at: &Place<'_>) -> Result<(), String> {
        match schema.shape {
            Shape::Any => Ok(()),
            Shape::Object => match value {
                Value::Object(fields) => self.object(schema, fields, at),
                other => Err(wrong_type(schema, other, at)),
            },
            Shape::List => match value {
                Value::Array(elements) => self.list(schema, elements, at),
                other => Err(wrong_type(schema, other, at)),
            },
            _ => scalar(schema, value, at),
        }
    }

    fn object(
        &mut self,
        schema: &Schema,
        fields: &mut Map<String, Value>,
        at: &Place<'_>,
    ) -> Result<(), String> {
        match &schema.additional {
            Additional::Schema(values) => return self.map(values, fields, at),
            Additional::Any => return Ok(()),
            Additional::None => {}
        }
        if schema.keeps_unknown() {
            return Ok(());
        }
        let owner = bare_type(schema);
        let mut dropped = Vec::new();
        for (name, value) in fields.iter_mut() {
            let path = child_path(&at.path, name);
            let Some(child) = schema.properties.get(name) else {
                self.unknown.push(format!("unknown field {path:?}"));
                dropped.push(name.clone());
                continue;
            };
            if value.is_null() {
                dropped.push(name.clone());
                continue;
            }
            let place = Place {
                go_path: child_path(&at.go_path, name),
                path,
                owner,
            };
            self.value(child, value, &place)?;
            if child.zero == Zero::Omit && is_zero(value) {
                dropped.push(name.clone());
            }
        }
        for name in dropped {
            fields.shift_remove(&name);
        }
        Ok(())
    }

    fn map(
        &mut self,
        values: &Schema,
        fields: &mut Map<String, Value>,
        at: &Place<'_>,
    ) -> Result<(), String> {
        for (key, value) in fields.iter_mut() {
            if value.is_null() {
                *value = zero(values);
                continue;
            }
            let place = Place {
                path: child_path(&at.path, key),
                go_path: at.go_path.clone(),
                owner: at.owner,
            };
            self.value(values, value, &place)?;
        }
        Ok(())
    }

    fn list(
        &mut self,
        schema: &Schema,
        elements: &mut [Value],
        at: &Place<'_>,
    ) -> Result<(), String> {
        let Some(items) = &schema.items else {
            return Ok(());
        };
        for (index, value) in elements.iter_mut().enumerate() {
            if value.is_null() {
                *value = zero(items);
                continue;
            }
            let place = Place {
                path: index_path(&at.path, index),
                go_path: at.go_path.clone(),
                owner: at.owner,
            };
            self.value(items, value, &place)?;
        }
        Ok(())
    }
}

fn scalar(schema: &Schema, value: &mut Value, at: &Place<'_>) -> Result<(), String> {
    let fits = match schema.shape {
        Shape::String => value.is_string(),
        Shape::Boolean => value.is_boolean(),
        Shape::Number => value.is_number(),
        Shape::Integer => fits_integer(schema, value),
        Shape::IntOrString => value.is_string() || fits_integer(schema, value),
        Shape::Quantity => return quantity(value),
        Shape::Time => return time(schema, value, at),
        Shape::Bytes => return bytes(schema, value, at),
        Shape::Any | Shape::Object | Shape::List => true,
    };
    if fits {
        Ok(())
    } else {
        Err(wrong_type(schema, value, at))
    }
}

fn fits_integer(schema: &Schema, value: &Value) -> bool {
    let Some(number) = value.as_i64() else {
        return false;
    };
    let is_long = schema
        .checks
        .as_ref()
        .is_some_and(|checks| checks.format == "int64");
    is_long || i32::try_from(number).is_ok()
}

fn quantity(value: &mut Value) -> Result<(), String> {
    const WRONG: &str = "quantities must match the regular expression \
                         '^([+-]?[0-9.]+)([eEinumkKMGTP]*[-+]?[0-9]*)$'";
    let text = match &*value {
        Value::String(text) => text.clone(),
        Value::Number(number) => number.to_string(),
        _ => return Err(WRONG.to_owned()),
    };
    *value = Value::String(canonical_quantity(&text).ok_or_else(|| WRONG.to_owned())?);
    Ok(())
}

fn time(schema: &Schema, value: &mut Value, at: &Place<'_>) -> Result<(), String> {
    let Value::String(text) = &*value else {
        return Err(wrong_type(schema, value, at));
    };
    if formats::is_date_time(text) {
        if let Some(canonical) = formats::canonical_time(text) {
            *value = Value::String(canonical);
        }
        return Ok(());
    }
    let (layout, rest) = ("2006-01-02T15:04:05Z07:00", text.as_str());
    Err(format!(
        "parsing time {text:?} as {layout:?}: cannot parse {rest:?} as \"2006\""
    ))
}

fn bytes(schema: &Schema, value: &Value, at: &Place<'_>) -> Result<(), String> {
    let Value::String(text) = value else {
        return Err(wrong_type(schema, value, at));
    };
    let text: String = text.chars().filter(|c| !matches!(c, '\r' | '\n')).collect();
    match STANDARD.decode(&text) {
        Ok(_) => Ok(()),
        Err(base64::DecodeError::InvalidByte(offset, _)) => {
            Err(format!("illegal base64 data at input byte {offset}"))
        }
        Err(_) => {
            let offset = text.len() / 4 * 4;
            Err(format!("illegal base64 data at input byte {offset}"))
        }
    }
}

/// `json: cannot unmarshal string into Go struct field DeploymentSpec.spec.replicas of type int32`.
fn wrong_type(schema: &Schema, value: &Value, at: &Place<'_>) -> String {
    let found = match value {
        Value::Null => "null".to_owned(),
        Value::Bool(_) => "bool".to_owned(),
        Value::Number(number) if is_numeric(schema.shape) => format!("number {number}"),
        Value::Number(_) => "number".to_owned(),
        Value::String(_) => "string".to_owned(),
        Value::Array(_) => "array".to_owned(),
        Value::Object(_) => "object".to_owned(),
    };
    let wanted = go_type(schema);
    match at.go_path.as_str() {
        "" => format!("json: cannot unmarshal {found} into Go value of type {wanted}"),
        path => format!(
            "json: cannot unmarshal {found} into Go struct field {}.{path} of type {wanted}",
            at.owner
        ),
    }
}

fn is_numeric(shape: Shape) -> bool {
    matches!(shape, Shape::Integer | Shape::Number | Shape::IntOrString)
}

fn go_type(schema: &Schema) -> String {
    match schema.shape {
        Shape::Any | Shape::Object => match (&schema.go_type, &schema.additional) {
            (Some(name), _) => name.to_string(),
            (None, Additional::Schema(values)) if values.shape == Shape::Quantity => {
                "v1.ResourceList".to_owned()
            }
            (None, Additional::Schema(values)) => format!("map[string]{}", go_type(values)),
            (None, _) => "map[string]interface {}".to_owned(),
        },
        Shape::List => {
            format!(
                "[]{}",
                schema
                    .items
                    .as_ref()
                    .map_or("string".to_owned(), |i| go_type(i))
            )
        }
        Shape::String | Shape::Time | Shape::Quantity => "string".to_owned(),
        Shape::Integer => match &schema.checks {
            Some(checks) if !checks.format.is_empty() => checks.format.clone(),
            _ => "int32".to_owned(),
        },
        Shape::IntOrString => "int32".to_owned(),
        Shape::Number => "float64".to_owned(),
        Shape::Boolean => "bool".to_owned(),
        Shape::Bytes => "[]uint8".to_owned(),
    }
}

fn bare_type(schema: &Schema) -> &str {
    let name = schema.go_type.as_deref().unwrap_or_default();
    name.rsplit('.').next().unwrap_or(name)
}

fn zero(schema: &Schema) -> Value {
    match schema.shape {
        Shape::Object => Value::Object(Map::new()),
        Shape::String | Shape::Bytes => json!(""),
        Shape::Integer | Shape::Number | Shape::IntOrString => json!(0),
        Shape::Boolean => json!(false),
        Shape::Quantity => json!("0"),
        Shape::Any | Shape::List | Shape::Time => Value::Null,
    }
}
