//! Bodies of requests as JSON values, with the duplicate fields that a plain reader would hide.

use super::protobuf;
use crate::go::json_type_of;
use crate::registry::Registry;
use crate::resource::Resource;
use crate::status::Status;
use serde::de::{DeserializeSeed, Deserializer, Error, MapAccess, SeqAccess, Visitor};
use serde_json::{Map, Number, Value};
use std::cell::RefCell;
use std::fmt;

/// The largest body that is read: what the real server takes (3 MiB).
pub(crate) const BODY_BYTES_MAX: usize = 3 * 1024 * 1024;

/// Media types of objects.
const ACCEPTED: [&str; 3] = ["application/json", "application/yaml", protobuf::MEDIA_TYPE];

/// A decoded body.
#[derive(Debug)]
pub(crate) struct Body {
    /// The value.
    pub(crate) value: Value,
    /// Paths of fields given twice; the last one counts.
    pub(crate) duplicates: Vec<String>,
}

/// Decodes an object of a media type; no media type is JSON.
pub(crate) fn object(media_type: &str, bytes: &[u8], kind: &str) -> Result<Body, Status> {
    let body = match media_type {
        "" | "application/json" | "*/*" => json(bytes).map_err(|cause| {
            let cause = go_cause(bytes, &cause);
            Status::bad_request(format!(
                "the object provided is unrecognized (must be of type {kind}): couldn't get \
                 version/kind; json parse error: {cause} ({})",
                shown(bytes)
            ))
        })?,
        "application/yaml" => yaml(bytes)?,
        protobuf::MEDIA_TYPE => Body {
            value: protobuf::decode(bytes)?,
            duplicates: Vec::new(),
        },
        _ => return Err(Status::unsupported_media_type(&ACCEPTED)),
    };
    if body.value.is_object() {
        return Ok(body);
    }
    let message = format!(
        "the object provided is unrecognized (must be of type {kind}): couldn't get version/kind; \
         json parse error: json: cannot unmarshal {} into Go value of type struct ({})",
        json_type_of(&body.value),
        shown(bytes)
    );
    Err(Status::bad_request(message))
}

/// Decodes JSON.
pub(crate) fn json(bytes: &[u8]) -> Result<Body, serde_json::Error> {
    let duplicates = RefCell::new(Vec::new());
    let mut reader = serde_json::Deserializer::from_slice(bytes);
    let value = Seed {
        path: "",
        duplicates: &duplicates,
    }
    .deserialize(&mut reader)?;
    reader.end()?;
    Ok(Body {
        value,
        duplicates: duplicates.into_inner(),
    })
}

/// Decodes YAML.
pub(crate) fn yaml(bytes: &[u8]) -> Result<Body, Status> {
    let text = std::str::from_utf8(bytes)
        .map_err(|cause| Status::bad_request(format!("error decoding YAML: {cause}")))?;
    let value = serde_saphyr::from_str(text)
        .map_err(|cause| Status::bad_request(format!("error decoding YAML: {cause}")))?;
    Ok(Body {
        value,
        duplicates: Vec::new(),
    })
}

/// Fills in the type that the path means, and refuses another one.
pub(crate) fn check_type(
    registry: &Registry,
    resource: &Resource,
    bytes: &[u8],
    value: &mut Value,
) -> Result<(), Status> {
    let api_version = resource.api_version();
    let given = |value: &Value, field: &str| value[field].as_str().unwrap_or_default().to_owned();
    if resource.is_custom() {
        return check_custom_type(resource, bytes, value);
    }
    if given(value, "apiVersion").is_empty() {
        value["apiVersion"] = api_version.as_str().into();
    }
    if given(value, "kind").is_empty() {
        value["kind"] = resource.kind.as_str().into();
    }
    let (given_version, given_kind) = (given(value, "apiVersion"), given(value, "kind"));
    if given_version == api_version && given_kind == resource.kind {
        return Ok(());
    }
    let cannot = format!(
        "{given_kind} in version {:?} cannot be handled as a {}",
        given_version.rsplit('/').next().unwrap_or_default(),
        resource.kind
    );
    let message = match registry.by_kind(&given_version, &given_kind) {
        Some(_) => format!(
            "{cannot}: converting ({}) to ({}): unknown conversion",
            go_name(&given_version, &given_kind),
            go_name(
                if resource.group.is_empty() {
                    "core"
                } else {
                    &resource.group
                },
                &resource.kind
            ),
        ),
        None => format!(
            "{cannot}: no kind {given_kind:?} is registered for version {given_version:?} in \
             scheme \"pkg/api/legacyscheme/scheme.go:30\""
        ),
    };
    Err(Status::bad_request(message))
}

/// Custom resources must say what they are.
fn check_custom_type(resource: &Resource, bytes: &[u8], value: &Value) -> Result<(), Status> {
    let api_version = resource.api_version();
    let (version, kind) = (
        value["apiVersion"].as_str().unwrap_or_default(),
        value["kind"].as_str().unwrap_or_default(),
    );
    if version == api_version && kind == resource.kind {
        return Ok(());
    }
    let missing = |field: &str| {
        let body = String::from_utf8_lossy(bytes);
        format!(
            "the object provided is unrecognized (must be of type {}): Object '{field}' is missing \
             in '{body}' ({})",
            resource.kind,
            shown(bytes)
        )
    };
    let message = match (version, kind) {
        (_, "") => missing("Kind"),
        ("", _) => missing("apiVersion"),
        (version, kind) if version == api_version => format!(
            "{kind}.{} in version {:?} cannot be handled as a {}: the kind of the object does not \
             match the expected one",
            resource.group, resource.version, resource.kind
        ),
        (version, _) => format!(
            "the API version in the data ({version}) does not match the expected API version \
             ({api_version})"
        ),
    };
    Err(Status::bad_request(message))
}

fn go_name(api_version: &str, kind: &str) -> String {
    let version = api_version.rsplit('/').next().unwrap_or_default();
    format!("{version}.{kind}")
}

/// The part of a `Content-Type` or `Accept` entry before its parameters.
pub(crate) fn media_type(header: &str) -> &str {
    header.split(';').next().unwrap_or_default().trim()
}

/// What Go's decoder says of broken JSON.
pub(crate) fn go_cause(bytes: &[u8], cause: &serde_json::Error) -> String {
    if cause.is_eof() {
        return "unexpected end of JSON input".to_owned();
    }
    let line_start: usize = bytes
        .split_inclusive(|byte| *byte == b'\n')
        .take(cause.line() - 1)
        .map(<[u8]>::len)
        .sum();
    let at = line_start + cause.column().saturating_sub(1);
    match bytes.get(at) {
        Some(byte) => {
            format!(
                "invalid character '{}' looking for beginning of value",
                char::from(*byte)
            )
        }
        None => cause.to_string(),
    }
}

/// The start of a body as the real server shows it: JSON as it is, else in hexadecimal.
fn shown(bytes: &[u8]) -> String {
    const BYTES_MAX: usize = 30;
    let start = &bytes[..bytes.len().min(BYTES_MAX)];
    let text = match start.first() {
        None => return "<empty>".to_owned(),
        Some(b'{') => String::from_utf8_lossy(start).into_owned(),
        Some(_) => start.iter().map(|byte| format!("{byte:02x}")).collect(),
    };
    match bytes.len() > BYTES_MAX {
        true => format!("{text} ..."),
        false => text,
    }
}

struct Seed<'a> {
    path: &'a str,
    duplicates: &'a RefCell<Vec<String>>,
}

impl<'de> DeserializeSeed<'de> for Seed<'_> {
    type Value = Value;

    fn deserialize<D: Deserializer<'de>>(self, reader: D) -> Result<Value, D::Error> {
        reader.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for Seed<'_> {
    type Value = Value;

    fn expecting(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.write_str("a JSON value")
    }

    fn visit_bool<E: Error>(self, value: bool) -> Result<Value, E> {
        Ok(Value::Bool(value))
    }

    fn visit_i64<E: Error>(self, value: i64) -> Result<Value, E> {
        Ok(value.into())
    }

    fn visit_u64<E: Error>(self, value: u64) -> Result<Value, E> {
        Ok(value.into())
    }

    fn visit_f64<E: Error>(self, value: f64) -> Result<Value, E> {
        Ok(Number::from_f64(value).map_or(Value::Null, Value::Number))
    }

    fn visit_str<E: Error>(self, value: &str) -> Result<Value, E> {
        Ok(value.into())
    }

    fn visit_string<E: Error>(self, value: String) -> Result<Value, E> {
        Ok(Value::String(value))
    }

    fn visit_unit<E: Error>(self) -> Result<Value, E> {
        Ok(Value::Null)
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut items: A) -> Result<Value, A::Error> {
        let mut list = Vec::new();
        let mut path = format!("{}[0]", self.path);
        while let Some(item) = items.next_element_seed(Seed {
            path: &path,
            duplicates: self.duplicates,
        })? {
            list.push(item);
            path = format!("{}[{}]", self.path, list.len());
        }
        Ok(Value::Array(list))
    }

    fn visit_map<A: MapAccess<'de>>(self, mut fields: A) -> Result<Value, A::Error> {
        let mut map = Map::new();
        while let Some(key) = fields.next_key::<String>()? {
            let path = match self.path {
                "" => key.clone(),
                path => format!("{path}.{key}"),
            };
            let value = fields.next_value_seed(Seed {
                path: &path,
                duplicates: self.duplicates,
            })?;
            if map.insert(key, value).is_some() {
                self.duplicates.borrow_mut().push(path);
            }
        }
        Ok(Value::Object(map))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn fields_given_twice_are_found_with_their_path() {
        let body = json(br#"{"a":{"b":1,"b":2},"c":[{"d":1,"d":1}]}"#).unwrap();
        assert_eq!(body.duplicates, ["a.b", "c[0].d"]);
        assert_eq!(body.value["a"]["b"], 2);
    }

    #[test]
    fn a_body_that_is_no_object_is_refused() {
        assert_eq!(object("", b"[]", "ConfigMap").unwrap_err().code, 400);
        assert_eq!(
            object("text/plain", b"{}", "ConfigMap").unwrap_err().code,
            415
        );
        assert_eq!(
            object("application/yaml", b"a: 1", "ConfigMap")
                .unwrap()
                .value["a"],
            1
        );
    }
}
