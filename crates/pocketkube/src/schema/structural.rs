//! Schemas from the OpenAPI v3 JSON of a CustomResourceDefinition.

use super::{
    Additional, Bound, Checks, Embedded, ListKey, Merge, Pattern, Range, Schema, Shape, Unknown,
};
use serde_json::Value;
use std::sync::Arc;

/// The tree of a schema that [`super::admit`] found valid. What it does not understand allows
/// everything.
pub fn from_open_api(json: &Value) -> Schema {
    let is = |word: &str| json[word].as_bool() == Some(true);
    let shape = match json["type"].as_str() {
        _ if is("x-kubernetes-int-or-string") => Shape::IntOrString,
        Some("object") => Shape::Object,
        Some("array") => Shape::List,
        Some("string") => Shape::String,
        Some("integer") => Shape::Integer,
        Some("number") => Shape::Number,
        Some("boolean") => Shape::Boolean,
        _ => Shape::Any,
    };
    let mut schema = Schema {
        shape,
        nullable: is("nullable"),
        default: json.get("default").cloned(),
        additional: additional(&json["additionalProperties"]),
        required: texts(&json["required"]),
        ..Schema::default()
    };
    if is("x-kubernetes-preserve-unknown-fields") {
        schema.unknown = Unknown::Keep;
    }
    if is("x-kubernetes-embedded-resource") {
        schema.embedded = Embedded::Yes;
    }
    for (name, child) in json["properties"].as_object().into_iter().flatten() {
        schema
            .properties
            .insert(name.clone(), Arc::new(from_open_api(child)));
    }
    if json["items"].is_object() {
        schema.items = Some(Arc::new(from_open_api(&json["items"])));
    }
    if schema.embedded == Embedded::Yes {
        for name in ["apiVersion", "kind"] {
            let text = Arc::new(Schema::scalar(Shape::String));
            schema.properties.entry(name.to_owned()).or_insert(text);
        }
        schema
            .properties
            .insert("metadata".to_owned(), crate::kinds::embedded_meta());
    }
    schema.merge = merge(json, &schema);
    schema.checks = checks(json).map(Box::new);
    schema
}

fn additional(json: &Value) -> Additional {
    match json {
        Value::Bool(true) => Additional::Any,
        Value::Object(_) => Additional::Schema(Arc::new(from_open_api(json))),
        _ => Additional::None,
    }
}

fn merge(json: &Value, schema: &Schema) -> Merge {
    if json["x-kubernetes-map-type"] == "atomic" {
        return Merge::Atomic;
    }
    match json["x-kubernetes-list-type"].as_str() {
        Some("atomic") => Merge::Atomic,
        Some("set") => Merge::Set,
        Some("map") => {
            let default = |name: &String| {
                let items = schema.items.as_ref()?;
                items.properties.get(name)?.default.clone()
            };
            let keys = texts(&json["x-kubernetes-list-map-keys"]);
            let key = |name: String| ListKey {
                default: default(&name),
                name,
            };
            Merge::Map(keys.into_iter().map(key).collect())
        }
        _ => Merge::Natural,
    }
}

fn checks(json: &Value) -> Option<Checks> {
    let bound = |word: &str, exclusive: &str| {
        let value = json.get(word).filter(|value| value.is_number())?;
        let exclusive = json[exclusive].as_bool() == Some(true);
        Some(Bound {
            value: value.clone(),
            exclusive,
        })
    };
    let range = |min: &str, max: &str| Range {
        min: json[min].as_u64(),
        max: json[max].as_u64(),
    };
    let subschemas = |word: &str| -> Vec<Arc<Schema>> {
        let list = json[word].as_array().into_iter().flatten();
        list.map(|child| Arc::new(from_open_api(child))).collect()
    };
    let checks = Checks {
        one_of_values: json["enum"].as_array().cloned().unwrap_or_default(),
        pattern: json["pattern"].as_str().and_then(pattern),
        format: json["format"].as_str().unwrap_or_default().to_owned(),
        minimum: bound("minimum", "exclusiveMinimum"),
        maximum: bound("maximum", "exclusiveMaximum"),
        multiple_of: json["multipleOf"].as_f64(),
        length: range("minLength", "maxLength"),
        items: range("minItems", "maxItems"),
        properties: range("minProperties", "maxProperties"),
        unique_items: json["uniqueItems"].as_bool() == Some(true),
        all_of: subschemas("allOf"),
        any_of: subschemas("anyOf"),
        one_of: subschemas("oneOf"),
        not: json["not"]
            .is_object()
            .then(|| Arc::new(from_open_api(&json["not"]))),
    };
    Some(checks)
}

fn pattern(source: &str) -> Option<Pattern> {
    let regex = super::patterns::compile(source).ok()?;
    Some(Pattern {
        source: source.to_owned(),
        regex: Arc::new(regex),
    })
}

fn texts(json: &Value) -> Vec<String> {
    let list = json.as_array().into_iter().flatten();
    list.filter_map(Value::as_str).map(str::to_owned).collect()
}
