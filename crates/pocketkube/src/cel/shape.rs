//! JSON as expressions see it, by the schema of a kind
//! (`k8s.io/apiserver/pkg/cel/common/values.go`).

use super::calls::{Function, of_library};
use kube_cel::cel::Value;
use kube_cel::cel::objects::{Key, Map};
use serde_json::Value as Json;
use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;

/// What a schema says of how values are seen.
#[derive(Debug, Default)]
pub(crate) struct Shape {
    format: Format,
    /// Names of fields are written so that expressions can name them; keys of maps are data.
    is_map: bool,
    is_embedded: bool,
    properties: BTreeMap<String, Arc<Shape>>,
    additional: Option<Arc<Shape>>,
    items: Option<Arc<Shape>>,
}

#[derive(Debug, Default, Clone, Copy, PartialEq, Eq)]
enum Format {
    #[default]
    Plain,
    Double,
    Bytes,
    Date,
    DateTime,
    Duration,
}

impl Shape {
    /// The shape of the values of a schema.
    pub(crate) fn of(schema: &Json) -> Arc<Self> {
        let below = |schema: &Json| schema.is_object().then(|| Self::of(schema));
        let properties = schema["properties"].as_object().into_iter().flatten();
        let additional = &schema["additionalProperties"];
        Arc::new(Self {
            format: format(schema),
            is_map: !matches!(additional, Json::Null | Json::Bool(false)),
            is_embedded: schema["x-kubernetes-embedded-resource"] == true,
            properties: properties
                .map(|(name, schema)| (name.clone(), Self::of(schema)))
                .collect(),
            additional: below(additional),
            items: below(&schema["items"]),
        })
    }

    pub(crate) fn property(&self, name: &str) -> Option<&Arc<Self>> {
        self.properties.get(name)
    }

    pub(crate) fn additional(&self) -> Option<&Arc<Self>> {
        self.additional.as_ref()
    }

    pub(crate) fn items(&self) -> Option<&Arc<Self>> {
        self.items.as_ref()
    }

    /// A value of this shape.
    pub(crate) fn value(&self, json: &Json) -> Value {
        match json {
            Json::String(text) => self.text(text),
            Json::Number(number) if self.format == Format::Double => {
                Value::Float(number.as_f64().unwrap_or(f64::NAN))
            }
            Json::Array(elements) => {
                let element = |json| match &self.items {
                    Some(shape) => shape.value(json),
                    None => value_of(json),
                };
                Value::List(Arc::new(elements.iter().map(element).collect()))
            }
            Json::Object(fields) => {
                let mut entries = HashMap::with_capacity(fields.len());
                for (name, json) in fields {
                    let shape = self.properties.get(name).or(self.additional.as_ref());
                    let value = shape.map_or_else(|| value_of(json), |shape| shape.value(json));
                    let key = match self.is_map {
                        true => name.clone(),
                        // What cannot be named is reached by no expression.
                        false => escaped(name).unwrap_or_else(|| name.clone()),
                    };
                    entries.insert(Key::from(key), value);
                }
                if self.is_embedded {
                    for name in ["apiVersion", "kind"] {
                        entries
                            .entry(Key::from(name))
                            .or_insert_with(|| Value::from(""));
                    }
                    let nothing = || value_of(&Json::Object(serde_json::Map::new()));
                    entries.entry(Key::from("metadata")).or_insert_with(nothing);
                }
                Value::Map(Map {
                    map: Arc::new(entries),
                })
            }
            plain => value_of(plain),
        }
    }

    fn text(&self, text: &str) -> Value {
        let read = |function: &str, text: &str| {
            let function = Function {
                name: function,
                is_method: false,
            };
            of_library(&function, &[Value::from(text)]).ok()
        };
        let read = match self.format {
            Format::Plain | Format::Double => None,
            Format::Bytes => decoded(text).map(|bytes| Value::Bytes(Arc::new(bytes))),
            Format::Date => read("timestamp", &format!("{text}T00:00:00Z")),
            Format::DateTime => read("timestamp", text),
            Format::Duration => read("duration", text),
        };
        read.unwrap_or_else(|| Value::from(text))
    }
}

fn format(schema: &Json) -> Format {
    if schema["x-kubernetes-int-or-string"] == true {
        return Format::Plain;
    }
    match (schema["type"].as_str(), schema["format"].as_str()) {
        (Some("number"), _) => Format::Double,
        (Some("string"), Some("byte")) => Format::Bytes,
        (Some("string"), Some("date")) => Format::Date,
        (Some("string"), Some("date-time")) => Format::DateTime,
        (Some("string"), Some("duration")) => Format::Duration,
        _ => Format::Plain,
    }
}

fn decoded(text: &str) -> Option<Vec<u8>> {
    use base64::Engine;
    base64::engine::general_purpose::STANDARD.decode(text).ok()
}

/// JSON of which nothing is known: whole numbers are `int`.
pub(crate) fn value_of(json: &Json) -> Value {
    match json {
        Json::Null => Value::Null,
        Json::Bool(truth) => Value::Bool(*truth),
        Json::Number(number) => match number.as_i64() {
            Some(whole) => Value::Int(whole),
            None => Value::Float(number.as_f64().unwrap_or(f64::NAN)),
        },
        Json::String(text) => Value::String(Arc::new(text.clone())),
        Json::Array(elements) => Value::List(Arc::new(elements.iter().map(value_of).collect())),
        Json::Object(fields) => {
            let entries = fields.iter();
            let entries = entries.map(|(name, json)| (Key::from(name.clone()), value_of(json)));
            Value::Map(Map {
                map: Arc::new(entries.collect()),
            })
        }
    }
}

/// The name of a field as expressions write it (`k8s.io/apiserver/pkg/cel/escaping.go`); `None` for
/// those that cannot be named.
pub(crate) fn escaped(name: &str) -> Option<String> {
    const RESERVED: [&str; 21] = [
        "true",
        "false",
        "null",
        "in",
        "as",
        "break",
        "const",
        "continue",
        "else",
        "for",
        "function",
        "if",
        "import",
        "let",
        "loop",
        "package",
        "namespace",
        "return",
        "var",
        "void",
        "while",
    ];
    if RESERVED.contains(&name) {
        return Some(format!("__{name}__"));
    }
    let starts_well = !name.starts_with(|first: char| first.is_ascii_digit()) && !name.is_empty();
    let is_allowed = |c: char| c.is_ascii_alphanumeric() || matches!(c, '_' | '.' | '-' | '/');
    if !starts_well || !name.chars().all(is_allowed) {
        return None;
    }
    let escaped = name
        .replace("__", "__underscores__")
        .replace('.', "__dot__")
        .replace('-', "__dash__")
        .replace('/', "__slash__");
    Some(escaped)
}
