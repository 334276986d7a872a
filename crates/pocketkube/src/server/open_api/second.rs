//! OpenAPI v2: the definitions of all kinds, in JSON and in the protobuf encoding that kubectl up
//! to 1.29 asks for (`gnostic`'s `openapi.v2.Document`).

use super::super::Request;
use super::super::answer::Answer;
use super::super::discovery;
use crate::kinds;
use crate::registry::Registry;
use http::header::ACCEPT;
use serde_json::{Map, Value, json};
use std::sync::Arc;

/// Media type of the protobuf encoding.
const PROTOBUF: &str = "application/com.github.proto-openapi.spec.v2.v1.0+protobuf";

/// What clients ask for it with.
const PROTOBUF_ASKED: &str = "application/com.github.proto-openapi.spec.v2@v1.0+protobuf";

/// Answers `/openapi/v2`.
pub(super) fn answer(registry: &Registry, request: &Request) -> Answer {
    let definitions = definitions(registry);
    let accept = request.header(ACCEPT);
    if accept.contains(PROTOBUF_ASKED) || accept.contains(PROTOBUF) {
        let mut answer = Answer::json(200, document(&definitions).into());
        answer.media_type = PROTOBUF;
        return answer;
    }
    Answer::value(
        200,
        &json!({
            "swagger": "2.0",
            "info": {"title": "Kubernetes", "version": crate::KUBERNETES_VERSION},
            "paths": {},
            "definitions": definitions,
        }),
    )
}

/// The definitions of all kinds as the second version writes them.
fn definitions(registry: &Registry) -> Map<String, Value> {
    let mut kinds = Vec::new();
    for (group, versions) in discovery::group_versions(registry) {
        for version in versions {
            kinds.extend(registry.kinds(&group, &version).map(Arc::clone));
        }
    }
    let mut definitions = kinds::definitions(&kinds);
    definitions.values_mut().for_each(downgrade);
    definitions
}

/// Rewrites what the second version has no word for.
fn downgrade(schema: &mut Value) {
    match schema {
        Value::Object(fields) => {
            unwrap_reference(fields);
            let is_either = fields.contains_key("oneOf") || fields.contains_key("anyOf");
            if is_either && !fields.contains_key("properties") {
                fields.shift_remove("oneOf");
                fields.shift_remove("anyOf");
                fields.entry("type").or_insert_with(|| "string".into());
            }
            fields.values_mut().for_each(downgrade);
        }
        Value::Array(items) => items.iter_mut().for_each(downgrade),
        _ => {}
    }
}

/// A reference stands alone, and points to `definitions`.
fn unwrap_reference(fields: &mut Map<String, Value>) {
    let wrapped = fields
        .get("allOf")
        .and_then(Value::as_array)
        .and_then(|all| match &all[..] {
            [only] => only.get("$ref").cloned(),
            _ => None,
        });
    if let Some(target) = wrapped {
        fields.shift_remove("allOf");
        fields.shift_remove("default");
        fields.insert("$ref".to_owned(), target);
    }
    if let Some(Value::String(target)) = fields.get_mut("$ref")
        && let Some(name) = target.strip_prefix("#/components/schemas/")
    {
        *target = format!("#/definitions/{name}");
    }
}

fn document(definitions: &Map<String, Value>) -> Vec<u8> {
    let mut info = Writer::default();
    info.text(1, "Kubernetes");
    info.text(2, crate::KUBERNETES_VERSION);
    let mut document = Writer::default();
    document.text(1, "2.0");
    document.message(2, &info);
    document.message(8, &Writer::default());
    document.message(9, &named_schemas(definitions));
    document.bytes
}

/// `Definitions` and `Properties` are alike: named schemas.
fn named_schemas(schemas: &Map<String, Value>) -> Writer {
    let mut all = Writer::default();
    for (name, value) in schemas {
        let mut named = Writer::default();
        named.text(1, name);
        named.message(2, &schema(value));
        all.message(1, &named);
    }
    all
}

/// The parts of a schema that clients of the second version read.
fn schema(value: &Value) -> Writer {
    let mut writer = Writer::default();
    let text = |field: &str| value[field].as_str().unwrap_or_default();
    writer.text(1, text("$ref"));
    writer.text(2, text("format"));
    writer.text(4, text("description"));
    for name in value["required"].as_array().into_iter().flatten() {
        writer.text(19, name.as_str().unwrap_or_default());
    }
    match &value["additionalProperties"] {
        Value::Object(_) => {
            let mut item = Writer::default();
            item.message(1, &schema(&value["additionalProperties"]));
            writer.message(21, &item);
        }
        Value::Bool(true) => {
            let mut item = Writer::default();
            item.flag(2);
            writer.message(21, &item);
        }
        _ => {}
    }
    if !text("type").is_empty() {
        let mut kind = Writer::default();
        kind.text(1, text("type"));
        writer.message(22, &kind);
    }
    if value["items"].is_object() {
        let mut items = Writer::default();
        items.message(1, &schema(&value["items"]));
        writer.message(23, &items);
    }
    if let Some(properties) = value["properties"].as_object() {
        writer.message(25, &named_schemas(properties));
    }
    let extensions = value
        .as_object()
        .into_iter()
        .flatten()
        .filter(|(key, _)| key.starts_with("x-"));
    for (name, value) in extensions {
        let mut any = Writer::default();
        // JSON is YAML.
        any.text(2, &value.to_string());
        let mut named = Writer::default();
        named.text(1, name);
        named.message(2, &any);
        writer.message(31, &named);
    }
    writer
}

/// Writes the fields of a protobuf message.
#[derive(Debug, Default)]
struct Writer {
    bytes: Vec<u8>,
}

impl Writer {
    /// A string; the empty one is not written.
    fn text(&mut self, number: u32, text: &str) {
        if !text.is_empty() {
            self.payload(number, text.as_bytes());
        }
    }

    fn message(&mut self, number: u32, message: &Self) {
        self.payload(number, &message.bytes);
    }

    /// A boolean that is true.
    fn flag(&mut self, number: u32) {
        self.varint(u64::from(number) << 3);
        self.varint(1);
    }

    fn payload(&mut self, number: u32, bytes: &[u8]) {
        self.varint(u64::from(number) << 3 | 2);
        self.varint(bytes.len() as u64);
        self.bytes.extend_from_slice(bytes);
    }

    fn varint(&mut self, mut number: u64) {
        while number >= 0x80 {
            self.bytes.push((number & 0x7f) as u8 | 0x80);
            number >>= 7;
        }
        self.bytes.push(number as u8);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn references_stand_alone_and_alternatives_become_strings() {
        let mut value = json!({
            "properties": {
                "spec": {"allOf": [{"$ref": "#/components/schemas/a"}], "default": {}},
                "port": {"oneOf": [{"type": "integer"}], "format": "int-or-string"},
            },
        });
        downgrade(&mut value);
        let expected = json!({
            "properties": {
                "spec": {"$ref": "#/definitions/a"},
                "port": {"format": "int-or-string", "type": "string"},
            },
        });
        assert_eq!(value, expected);
    }

    #[test]
    fn a_schema_is_encoded_field_by_field() {
        let encoded = schema(&json!({"type": "string", "x-a": 1})).bytes;
        let kind = [0xb2, 1, 8, 0x0a, 6, b's', b't', b'r', b'i', b'n', b'g'];
        let extension = [
            0xfa, 1, 10, 0x0a, 3, b'x', b'-', b'a', 0x12, 3, 0x12, 1, b'1',
        ];
        assert_eq!(encoded, [&kind[..], &extension[..]].concat());
    }
}
