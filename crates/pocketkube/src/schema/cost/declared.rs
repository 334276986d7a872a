//! What expressions know of a schema: types, and how large values can be
//! (`k8s.io/apiserver/pkg/cel/common/schemas.go`).

use crate::cel::escaped;
use serde_json::Value;
use std::collections::BTreeMap;

/// The largest request that the server takes, by which what has no limit is limited.
const REQUEST_BYTES_MAX: u64 = 3 * 1024 * 1024;

/// A schema as expressions see it.
#[derive(Debug)]
pub(in crate::schema) struct Declared {
    pub(in crate::schema) shape: Shape,
    /// The most elements of a list or map, or bytes of a text.
    pub(in crate::schema) elements_max: u64,
    /// The fewest bytes of a value as JSON.
    pub(in crate::schema) bytes_min: u64,
}

/// The type of a value, with what is below.
#[derive(Debug)]
pub(in crate::schema) enum Shape {
    Dyn,
    Bool,
    Int,
    Double,
    Text,
    Bytes,
    Duration,
    Timestamp,
    List(Box<Declared>),
    Map(Box<Declared>),
    /// Fields by the names that expressions use.
    Object(BTreeMap<String, Declared>),
}

/// Whether a schema is of a whole object, whose kind and name are always there.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::schema) enum Whole {
    Yes,
    No,
}

impl Declared {
    /// What expressions see of a schema; `None` where they see nothing.
    pub(in crate::schema) fn from_open_api(json: &Value, whole: Whole) -> Option<Self> {
        let is = |word: &str| json[word].as_bool() == Some(true);
        if is("x-kubernetes-int-or-string") {
            let length = characters_max(json).unwrap_or(REQUEST_BYTES_MAX - 2);
            return Some(Self::new(Shape::Dyn, length, 1));
        }
        if whole == Whole::Yes {
            return Some(object(json, whole));
        }
        match json["type"].as_str()? {
            "array" => list(json),
            "object" if json["additionalProperties"].is_object() => map(json),
            "object" => Some(object(json, whole)),
            "string" => Some(text(json)),
            "boolean" => Some(Self::new(Shape::Bool, 0, 4)),
            "number" => Some(Self::new(Shape::Double, 0, 1)),
            "integer" => Some(Self::new(Shape::Int, 0, 1)),
            _ => None,
        }
    }

    /// The most often that such a value can be in an object.
    pub(in crate::schema) fn occurrences_max(&self) -> u64 {
        // At least one comma between elements.
        REQUEST_BYTES_MAX / (self.bytes_min + 1)
    }

    fn new(shape: Shape, elements_max: u64, bytes_min: u64) -> Self {
        Self {
            shape,
            elements_max,
            bytes_min,
        }
    }
}

fn below(json: &Value) -> Option<Declared> {
    let is_whole = json["x-kubernetes-embedded-resource"].as_bool() == Some(true);
    let whole = if is_whole { Whole::Yes } else { Whole::No };
    Declared::from_open_api(json, whole)
}

fn list(json: &Value) -> Option<Declared> {
    let element = below(&json["items"])?;
    // Without the brackets, and with a comma each.
    let fit = (REQUEST_BYTES_MAX - 2) / (element.bytes_min + 1);
    let most = json["maxItems"].as_u64().unwrap_or(fit);
    Some(Declared::new(Shape::List(Box::new(element)), most, 2))
}

fn map(json: &Value) -> Option<Declared> {
    let value = below(&json["additionalProperties"])?;
    // Two bytes of key, its quotes, colon and comma.
    let fit = (REQUEST_BYTES_MAX - 2) / (value.bytes_min + 6);
    let most = json["maxProperties"].as_u64().unwrap_or(fit);
    Some(Declared::new(Shape::Map(Box::new(value)), most, 2))
}

fn object(json: &Value, whole: Whole) -> Declared {
    let mut fields = BTreeMap::new();
    let mut bytes_min = 2;
    let required = json["required"].as_array().map_or(&[][..], Vec::as_slice);
    for (name, property) in json["properties"].as_object().into_iter().flatten() {
        let Some(declared) = below(property) else {
            continue;
        };
        let is_required = required.iter().any(|field| field == name.as_str());
        if is_required && property["default"].is_null() {
            // Quotes, colon and comma.
            bytes_min += name.len() as u64 + declared.bytes_min + 4;
        }
        if let Some(escaped) = escaped(name) {
            fields.insert(escaped, declared);
        }
    }
    if whole == Whole::Yes && !tells_its_name(&fields) {
        let text = || Declared::new(Shape::Text, REQUEST_BYTES_MAX - 2, 2);
        let named = ["name", "generateName"].map(|name| (name.to_owned(), text()));
        let metadata = Declared::new(Shape::Object(named.into()), 0, 2);
        fields.insert("kind".to_owned(), text());
        fields.insert("apiVersion".to_owned(), text());
        fields.insert("metadata".to_owned(), metadata);
    }
    Declared::new(Shape::Object(fields), 0, bytes_min)
}

/// Whether a schema says itself what every whole object has.
fn tells_its_name(fields: &BTreeMap<String, Declared>) -> bool {
    let is_text = |fields: &BTreeMap<String, Declared>, name: &str| {
        matches!(
            fields.get(name),
            Some(Declared {
                shape: Shape::Text,
                ..
            })
        )
    };
    let Some(Declared {
        shape: Shape::Object(metadata),
        ..
    }) = fields.get("metadata")
    else {
        return false;
    };
    is_text(fields, "kind")
        && is_text(fields, "apiVersion")
        && is_text(metadata, "name")
        && is_text(metadata, "generateName")
}

fn text(json: &Value) -> Declared {
    let length = || json["maxLength"].as_u64();
    match json["format"].as_str() {
        Some("byte") => Declared::new(Shape::Bytes, length().unwrap_or(REQUEST_BYTES_MAX - 2), 2),
        Some("duration") => Declared::new(Shape::Duration, 32, 3),
        Some("date") => Declared::new(Shape::Timestamp, 12, 12),
        Some("date-time") => Declared::new(Shape::Timestamp, 32, 21),
        _ => {
            let values = json["enum"].as_array().map_or(&[][..], Vec::as_slice);
            let longest = values.iter().filter_map(Value::as_str).map(str::len).max();
            let most = match characters_max(json) {
                Some(most) => most,
                None if values.is_empty() => REQUEST_BYTES_MAX - 2,
                None => longest.unwrap_or(0) as u64,
            };
            Declared::new(Shape::Text, most, 2)
        }
    }
}

/// The longest text in bytes: a character has up to four.
fn characters_max(json: &Value) -> Option<u64> {
    let most = json["maxLength"].as_u64()?;
    Some(most.saturating_mul(4))
}
