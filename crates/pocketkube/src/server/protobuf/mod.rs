//! Bodies in Kubernetes' protobuf encoding, read as the JSON that they stand for.
//!
//! Typed clients in Go send built-in kinds so; all of them read JSON answers. `messages.txt` has
//! one line for each message: its name, then `number:json name:type` for each field.
//!
//! | type | meaning |
//! |---|---|
//! | `s`, `b`, `i`, `y`, `d` | string, boolean, integer, bytes, floating point |
//! | a message's name | that message |
//! | `*type`, `%type` | a list, a map from strings |
//! | name `<` | the fields of the message are the fields of the one that holds it |
//! | a line of `=*type` | a message that stands for a list |
//!
//! The numbers, types and names are Kubernetes' public interface. `testdata/protobuf_numbers.py`
//! made the file from the published Go modules `k8s.io/api`, `k8s.io/apimachinery`,
//! `k8s.io/apiextensions-apiserver` and `k8s.io/kube-aggregator`, all v0.35.0 and Apache-2.0; the
//! head of the script says how to remake it.

mod wire;

use crate::status::Status;
use jiff::Timestamp;
use serde_json::{Map, Number, Value};
use std::collections::HashMap;
use std::sync::OnceLock;
use wire::{Field, Fields, Payload};

/// The media type.
pub(crate) const MEDIA_TYPE: &str = "application/vnd.kubernetes.protobuf";

/// What every body starts with.
const MAGIC: &[u8] = b"k8s\0";

/// Messages within messages at most: schemas of definitions nest, and nothing else does.
const DEPTH_MAX: usize = 64;

const MESSAGES: &str = include_str!("messages.txt");

/// Reads a body.
pub(crate) fn decode(bytes: &[u8]) -> Result<Value, Status> {
    read(bytes).map_err(|why| {
        Status::bad_request(format!("the body of the request cannot be decoded: {why}"))
    })
}

fn read(bytes: &[u8]) -> Result<Value, Broken> {
    let rest = bytes
        .strip_prefix(MAGIC)
        .ok_or(Broken("it does not start as such bodies do"))?;
    let (mut api_version, mut kind, mut raw) = (String::new(), String::new(), &[][..]);
    for field in Fields::new(rest) {
        let field = field?;
        match field.number {
            1 => {
                for part in Fields::new(field.bytes()?) {
                    let part = part?;
                    match part.number {
                        1 => api_version = part.text()?,
                        2 => kind = part.text()?,
                        _ => {}
                    }
                }
            }
            2 => raw = field.bytes()?,
            _ => {}
        }
    }
    let message = message_name(&api_version, &kind);
    let mut object = Map::new();
    object.insert("kind".to_owned(), kind.into());
    object.insert("apiVersion".to_owned(), api_version.into());
    fill(&mut object, &message, raw, 0)?;
    Ok(Value::Object(object))
}

/// Why a body cannot be read.
#[derive(Debug, Clone, Copy)]
struct Broken(&'static str);

impl std::fmt::Display for Broken {
    fn fmt(&self, out: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        out.write_str(self.0)
    }
}

/// One field of a message.
#[derive(Debug)]
struct Known {
    name: &'static str,
    kind: &'static str,
}

type Message = HashMap<u32, Known>;

fn messages() -> &'static HashMap<&'static str, Message> {
    static READ: OnceLock<HashMap<&'static str, Message>> = OnceLock::new();
    READ.get_or_init(|| MESSAGES.lines().filter_map(message).collect())
}

fn message(line: &'static str) -> Option<(&'static str, Message)> {
    let (name, fields) = line.split_once(' ').unwrap_or((line, ""));
    if let Some(kind) = fields.strip_prefix('=') {
        return Some((name, Message::from([(1, Known { name: "=", kind })])));
    }
    let field = |text: &'static str| {
        let mut parts = text.splitn(3, ':');
        let number = parts.next()?.parse().ok()?;
        Some((
            number,
            Known {
                name: parts.next()?,
                kind: parts.next()?,
            },
        ))
    };
    Some((name, fields.split(' ').filter_map(field).collect()))
}

/// The message of a kind: `apps.v1.Deployment`.
fn message_name(api_version: &str, kind: &str) -> String {
    if kind == "DeleteOptions" {
        return "meta.DeleteOptions".to_owned();
    }
    let (group, version) = crate::registry::split_api_version(api_version);
    let first = match group.split('.').next() {
        None | Some("") => "core",
        Some("apiextensions") => "apiextensions",
        Some(first) => first,
    };
    format!("{first}.{version}.{kind}")
}

/// Reads the fields of a message into an object.
fn fill(
    object: &mut Map<String, Value>,
    message: &str,
    bytes: &[u8],
    depth: usize,
) -> Result<(), Broken> {
    if depth > DEPTH_MAX {
        return Err(Broken("it nests too deeply"));
    }
    let known = messages()
        .get(message)
        .ok_or(Broken("its kind is not known"))?;
    for field in Fields::new(bytes) {
        let field = field?;
        // Fields of newer clients are dropped, as the real server does.
        let Some(Known { name, kind }) = known.get(&field.number) else {
            continue;
        };
        if *name == "<" {
            fill(object, kind, field.bytes()?, depth + 1)?;
        } else if let Some(kind) = kind.strip_prefix('*') {
            let list = object
                .entry(*name)
                .or_insert_with(|| Value::Array(Vec::new()));
            if let Value::Array(list) = list {
                list.extend(items(kind, &field, depth)?);
            }
        } else if let Some(kind) = kind.strip_prefix('%') {
            let map = object
                .entry(*name)
                .or_insert_with(|| Value::Object(Map::new()));
            if let Value::Object(map) = map {
                let (key, value) = entry(kind, &field, depth)?;
                map.insert(key, value);
            }
        } else {
            object.insert((*name).to_owned(), value(kind, &field, depth)?);
        }
    }
    Ok(())
}

/// One element of a list, or several integers packed into one field.
fn items(kind: &str, field: &Field<'_>, depth: usize) -> Result<Vec<Value>, Broken> {
    match (kind, &field.payload) {
        ("i", Payload::Bytes(packed)) => {
            wire::packed(packed).map(|numbers| numbers.into_iter().map(Value::from).collect())
        }
        _ => Ok(vec![value(kind, field, depth)?]),
    }
}

fn entry(kind: &str, field: &Field<'_>, depth: usize) -> Result<(String, Value), Broken> {
    let (mut key, mut found) = (String::new(), Value::Null);
    for part in Fields::new(field.bytes()?) {
        let part = part?;
        match part.number {
            1 => key = part.text()?,
            2 => found = value(kind, &part, depth)?,
            _ => {}
        }
    }
    Ok((key, found))
}

fn value(kind: &str, field: &Field<'_>, depth: usize) -> Result<Value, Broken> {
    Ok(match kind {
        "s" => field.text()?.into(),
        "b" => (field.integer()? != 0).into(),
        "i" => field.integer()?.into(),
        "d" => Number::from_f64(field.floating()?).map_or(Value::Null, Value::Number),
        "y" => encoded(field.bytes()?),
        message => nested(message, field.bytes()?, depth + 1)?,
    })
}

/// A message; some stand for something simpler than an object.
fn nested(message: &str, bytes: &[u8], depth: usize) -> Result<Value, Broken> {
    let last = message.rsplit('.').next().unwrap_or(message);
    match last {
        "Quantity" => {
            return Ok(first(bytes, 1)?
                .map_or(Ok("0".to_owned()), |f| f.text())?
                .into());
        }
        "IntOrString" => return int_or_string(bytes),
        "Time" | "MicroTime" => return time(bytes, last),
        "FieldsV1" | "RawExtension" | "JSON" => {
            let raw = first(bytes, 1)?.map_or(Ok(&[][..]), |field| field.bytes())?;
            return Ok(serde_json::from_slice(raw).unwrap_or(Value::Null));
        }
        "JSONSchemaPropsOrArray" | "JSONSchemaPropsOrBool" | "JSONSchemaPropsOrStringArray" => {
            return schema_or(bytes, last, depth);
        }
        _ => {}
    }
    let mut object = Map::new();
    fill(&mut object, message, bytes, depth)?;
    Ok(match object.shift_remove("=") {
        Some(list) => list,
        None if messages().get(message).is_some_and(stands_for_list) => Value::Array(Vec::new()),
        None => Value::Object(object),
    })
}

fn stands_for_list(message: &Message) -> bool {
    message.get(&1).is_some_and(|known| known.name == "=")
}

fn int_or_string(bytes: &[u8]) -> Result<Value, Broken> {
    let (mut is_text, mut number, mut text) = (false, 0, String::new());
    for field in Fields::new(bytes) {
        let field = field?;
        match field.number {
            1 => is_text = field.integer()? == 1,
            2 => number = field.integer()?,
            3 => text = field.text()?,
            _ => {}
        }
    }
    Ok(if is_text { text.into() } else { number.into() })
}

/// The zero time is null, as in JSON.
fn time(bytes: &[u8], kind: &str) -> Result<Value, Broken> {
    if bytes.is_empty() {
        return Ok(Value::Null);
    }
    let (mut seconds, mut nanos) = (0, 0);
    for field in Fields::new(bytes) {
        let field = field?;
        match field.number {
            1 => seconds = field.integer()?,
            2 => nanos = i32::try_from(field.integer()?).unwrap_or(0),
            _ => {}
        }
    }
    let time = Timestamp::new(seconds, nanos).map_err(|_| Broken("a time is out of range"))?;
    Ok(match kind {
        "MicroTime" => crate::clock::micros(time),
        _ => crate::clock::seconds(time),
    }
    .into())
}

/// A schema, or what may stand in its place.
fn schema_or(bytes: &[u8], kind: &str, depth: usize) -> Result<Value, Broken> {
    const SCHEMA: &str = "apiextensions.v1.JSONSchemaProps";
    let (mut schema, mut list, mut allows) = (None, Vec::new(), false);
    for field in Fields::new(bytes) {
        let field = field?;
        match (kind, field.number) {
            ("JSONSchemaPropsOrBool", 1) => allows = field.integer()? != 0,
            ("JSONSchemaPropsOrBool", 2) | (_, 1) => {
                schema = Some(nested(SCHEMA, field.bytes()?, depth)?);
            }
            ("JSONSchemaPropsOrArray", 2) => list.push(nested(SCHEMA, field.bytes()?, depth)?),
            (_, 2) => list.push(field.text()?.into()),
            _ => {}
        }
    }
    Ok(match schema {
        Some(schema) => schema,
        None if kind == "JSONSchemaPropsOrBool" => allows.into(),
        None => list.into(),
    })
}

fn first(bytes: &[u8], number: u32) -> Result<Option<Field<'_>>, Broken> {
    for field in Fields::new(bytes) {
        let field = field?;
        if field.number == number {
            return Ok(Some(field));
        }
    }
    Ok(None)
}

fn encoded(bytes: &[u8]) -> Value {
    use base64::Engine;
    base64::engine::general_purpose::STANDARD
        .encode(bytes)
        .into()
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn text(number: u8, text: &str) -> Vec<u8> {
        part(number, text.as_bytes())
    }

    fn part(number: u8, bytes: &[u8]) -> Vec<u8> {
        // Numbers up to 31 take at most two bytes.
        let tag = u16::from(number) << 3 | 2;
        let mut encoded = match tag {
            0..0x80 => vec![tag as u8],
            _ => vec![(tag & 0x7f) as u8 | 0x80, (tag >> 7) as u8],
        };
        encoded.push(u8::try_from(bytes.len()).unwrap());
        encoded.extend_from_slice(bytes);
        encoded
    }

    fn body(api_version: &str, kind: &str, raw: &[u8]) -> Vec<u8> {
        let types = [text(1, api_version), text(2, kind)].concat();
        [MAGIC.to_vec(), part(1, &types), part(2, raw)].concat()
    }

    #[test]
    fn a_config_map_is_read_as_its_json() {
        let entry = [text(1, "key"), text(2, "value")].concat();
        let metadata = [text(1, "a"), part(8, &[])].concat();
        let raw = [part(1, &metadata), part(2, &entry)].concat();
        let expected = json!({
            "kind": "ConfigMap",
            "apiVersion": "v1",
            "metadata": {"name": "a", "creationTimestamp": null},
            "data": {"key": "value"},
        });
        assert_eq!(decode(&body("v1", "ConfigMap", &raw)).unwrap(), expected);
    }

    #[test]
    fn inlined_and_simple_messages_lose_their_wrapping() {
        let source = part(19, &[part(1, &text(1, "conf")), vec![0x18, 1]].concat());
        let volume = [text(1, "v"), part(2, &source)].concat();
        let mut object = Map::new();
        fill(&mut object, "core.v1.Volume", &volume, 0).unwrap();
        let expected = json!({"name": "v", "configMap": {"name": "conf"}});
        assert_eq!(object["name"], expected["name"]);
        assert_eq!(object["configMap"]["name"], expected["configMap"]["name"]);
        assert_eq!(
            nested("meta.IntOrString", &[0x10, 80], 0).unwrap(),
            json!(80)
        );
        let percent = [vec![0x08, 1], text(3, "25%")].concat();
        assert_eq!(
            nested("meta.IntOrString", &percent, 0).unwrap(),
            json!("25%")
        );
    }

    #[test]
    fn broken_bodies_are_refused() {
        assert_eq!(decode(b"{}").unwrap_err().code, 400);
        assert_eq!(decode(&body("v1", "Nothing", &[])).unwrap_err().code, 400);
        assert_eq!(
            decode(&body("v1", "ConfigMap", &[0x0a, 200]))
                .unwrap_err()
                .code,
            400
        );
    }

    #[test]
    fn every_message_that_a_field_names_is_there() {
        const SIMPLE: [&str; 10] = [
            "Quantity",
            "IntOrString",
            "Time",
            "MicroTime",
            "FieldsV1",
            "RawExtension",
            "JSON",
            "JSONSchemaPropsOrArray",
            "JSONSchemaPropsOrBool",
            "JSONSchemaPropsOrStringArray",
        ];
        for (name, message) in messages() {
            for known in message.values() {
                let kind = known.kind.trim_start_matches(['*', '%']);
                let last = kind.rsplit('.').next().unwrap_or(kind);
                let is_known =
                    kind.len() == 1 || SIMPLE.contains(&last) || messages().contains_key(kind);
                assert!(is_known, "{name} has a field of the unknown message {kind}");
            }
        }
    }
}
