//! The protobuf encoding of OpenAPI v2: `openapi.v2.Document` of
//! `github.com/google/gnostic-models/openapiv2`, as far as documents here have something to say.

use serde_json::Value;

/// Encodes a document.
pub(super) fn encode(document: &Value) -> Vec<u8> {
    let mut info = Writer::default();
    info.text(1, text(&document["info"], "title"));
    info.text(2, text(&document["info"], "version"));
    let mut writer = Writer::default();
    writer.text(1, text(document, "swagger"));
    writer.message(2, &info);
    let mut paths = Writer::default();
    for (name, item) in fields(&document["paths"]) {
        paths.message(2, &named(name, &path_item(item)));
    }
    writer.message(8, &paths);
    writer.message(9, &named_schemas(&document["definitions"]));
    let mut parameters = Writer::default();
    for (name, value) in fields(&document["parameters"]) {
        parameters.message(1, &named(name, &parameter(value)));
    }
    writer.message(10, &parameters);
    for requirement in list(&document["security"]) {
        let mut message = Writer::default();
        for (name, _) in fields(requirement) {
            message.message(1, &named(name, &Writer::default()));
        }
        writer.message(12, &message);
    }
    let mut security = Writer::default();
    for (name, value) in fields(&document["securityDefinitions"]) {
        let mut key = Writer::default();
        for (number, field) in [(1, "type"), (2, "name"), (3, "in"), (4, "description")] {
            key.text(number, text(value, field));
        }
        let mut item = Writer::default();
        item.message(2, &key);
        security.message(1, &named(name, &item));
    }
    writer.message(13, &security);
    writer.bytes
}

fn path_item(item: &Value) -> Writer {
    const METHODS: [(u32, &str); 5] = [
        (2, "get"),
        (3, "put"),
        (4, "post"),
        (5, "delete"),
        (8, "patch"),
    ];
    let mut writer = Writer::default();
    for (number, method) in METHODS {
        if item[method].is_object() {
            writer.message(number, &operation(&item[method]));
        }
    }
    for value in list(&item["parameters"]) {
        writer.message(9, &parameters_item(value));
    }
    writer
}

fn operation(value: &Value) -> Writer {
    let mut writer = Writer::default();
    let texts = |writer: &mut Writer, number: u32, field: &str| {
        for value in list(&value[field]) {
            writer.text(number, value.as_str().unwrap_or_default());
        }
    };
    texts(&mut writer, 1, "tags");
    writer.text(3, text(value, "description"));
    writer.text(5, text(value, "operationId"));
    texts(&mut writer, 6, "produces");
    texts(&mut writer, 7, "consumes");
    for value in list(&value["parameters"]) {
        writer.message(8, &parameters_item(value));
    }
    let mut responses = Writer::default();
    for (code, value) in fields(&value["responses"]) {
        let mut response = Writer::default();
        response.text(1, text(value, "description"));
        if value["schema"].is_object() {
            let mut item = Writer::default();
            item.message(1, &schema(&value["schema"]));
            response.message(2, &item);
        }
        let mut either = Writer::default();
        either.message(1, &response);
        responses.message(1, &named(code, &either));
    }
    writer.message(9, &responses);
    texts(&mut writer, 10, "schemes");
    writer.extensions(13, value);
    writer
}

fn parameters_item(value: &Value) -> Writer {
    let mut writer = Writer::default();
    match text(value, "$ref") {
        "" => writer.message(1, &parameter(value)),
        target => {
            let mut reference = Writer::default();
            reference.text(1, target);
            writer.message(2, &reference);
        }
    }
    writer
}

fn parameter(value: &Value) -> Writer {
    let mut writer = Writer::default();
    let mut part = Writer::default();
    let is_required = value["required"] == true;
    if text(value, "in") == "body" {
        part.text(1, text(value, "description"));
        part.text(2, text(value, "name"));
        part.text(3, "body");
        if is_required {
            part.flag(4);
        }
        part.message(5, &schema(&value["schema"]));
        writer.message(1, &part);
        return writer;
    }
    // Parameters of paths lack the field for empty values.
    let (kind, type_field, unique) = match text(value, "in") {
        "path" => (4, 5, 19),
        _ => (3, 6, 20),
    };
    if is_required {
        part.flag(1);
    }
    part.text(2, text(value, "in"));
    part.text(3, text(value, "description"));
    part.text(4, text(value, "name"));
    part.text(type_field, text(value, "type"));
    if value["uniqueItems"] == true {
        part.flag(unique);
    }
    let mut either = Writer::default();
    either.message(kind, &part);
    writer.message(2, &either);
    writer
}

/// An entry of what is a map in JSON.
fn named(name: &str, value: &Writer) -> Writer {
    let mut writer = Writer::default();
    writer.text(1, name);
    writer.message(2, value);
    writer
}

fn text<'a>(value: &'a Value, field: &str) -> &'a str {
    value[field].as_str().unwrap_or_default()
}

fn list(value: &Value) -> &[Value] {
    value.as_array().map_or(&[], Vec::as_slice)
}

fn fields(value: &Value) -> impl Iterator<Item = (&String, &Value)> {
    value.as_object().into_iter().flatten()
}

/// `Definitions` and `Properties` are alike: named schemas.
fn named_schemas(schemas: &Value) -> Writer {
    let mut all = Writer::default();
    for (name, value) in fields(schemas) {
        all.message(1, &named(name, &schema(value)));
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
    if value["properties"].is_object() {
        writer.message(25, &named_schemas(&value["properties"]));
    }
    writer.extensions(31, value);
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

    /// The extensions of a value, `x-…`.
    fn extensions(&mut self, number: u32, value: &Value) {
        for (name, value) in fields(value).filter(|(key, _)| key.starts_with("x-")) {
            let mut any = Self::default();
            // JSON is YAML.
            any.text(2, &value.to_string());
            self.message(number, &named(name, &any));
        }
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
    use serde_json::json;

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
