//! Objects as they are kept and sent, and reading their metadata.

use bytes::Bytes;
use serde_json::{Map, Value};
use std::ops::Deref;
use std::sync::{Arc, OnceLock};

/// One version of an object. Never changed once made; shared as `Arc<Object>` by the store,
/// answers and watches, which also share its encoding.
#[derive(Debug)]
pub struct Object {
    value: Value,
    json: OnceLock<Bytes>,
}

impl Object {
    /// Wraps a complete object.
    pub fn new(value: Value) -> Arc<Self> {
        Arc::new(Self {
            value,
            json: OnceLock::new(),
        })
    }

    /// Its JSON, encoded at first use.
    pub fn json(&self) -> Bytes {
        let encode = || Bytes::from(serde_json::to_vec(&self.value).expect("a JSON value encodes"));
        self.json.get_or_init(encode).clone()
    }

    /// The value, for instance to clone and edit it.
    pub fn value(&self) -> &Value {
        &self.value
    }
}

impl Deref for Object {
    type Target = Value;

    fn deref(&self) -> &Value {
        &self.value
    }
}

/// `metadata.name`, or empty.
pub fn name(object: &Value) -> &str {
    metadata_text(object, "name")
}

/// `metadata.namespace`, or empty.
pub fn namespace(object: &Value) -> &str {
    metadata_text(object, "namespace")
}

/// `metadata.uid`, or empty.
pub fn uid(object: &Value) -> &str {
    metadata_text(object, "uid")
}

/// `metadata.resourceVersion` as a number; 0 when absent or not a number.
pub fn resource_version(object: &Value) -> u64 {
    metadata_text(object, "resourceVersion")
        .parse()
        .unwrap_or(0)
}

/// `metadata.generation`; 0 when absent.
pub fn generation(object: &Value) -> i64 {
    object["metadata"]["generation"].as_i64().unwrap_or(0)
}

/// `metadata.deletionTimestamp`.
pub fn deletion_timestamp(object: &Value) -> Option<&str> {
    object["metadata"]["deletionTimestamp"].as_str()
}

/// Whether deletion was asked for.
pub fn is_deleting(object: &Value) -> bool {
    deletion_timestamp(object).is_some()
}

/// `metadata.finalizers`.
pub fn finalizers(object: &Value) -> impl Iterator<Item = &str> {
    list(&object["metadata"]["finalizers"])
        .iter()
        .filter_map(Value::as_str)
}

/// `metadata.labels`, when there are any.
pub fn labels(object: &Value) -> Option<&Map<String, Value>> {
    object["metadata"]["labels"].as_object()
}

/// One label.
pub fn label<'a>(object: &'a Value, key: &str) -> Option<&'a str> {
    object["metadata"]["labels"]
        .get(key)
        .and_then(Value::as_str)
}

/// One annotation.
pub fn annotation<'a>(object: &'a Value, key: &str) -> Option<&'a str> {
    object["metadata"]["annotations"]
        .get(key)
        .and_then(Value::as_str)
}

/// `metadata.ownerReferences`.
pub fn owner_references(object: &Value) -> &[Value] {
    list(&object["metadata"]["ownerReferences"])
}

/// The uid of the owner that controls the object.
pub fn controller_uid(object: &Value) -> Option<&str> {
    owner_references(object)
        .iter()
        .find(|owner| owner["controller"].as_bool() == Some(true))
        .and_then(|owner| owner["uid"].as_str())
}

/// A list, or an empty one where there is none.
pub fn list(value: &Value) -> &[Value] {
    value.as_array().map_or(&[], Vec::as_slice)
}

/// `metadata` for editing; made when absent.
///
/// # Panics
///
/// When the value is not an object: decoding checks that before anything is edited.
pub fn metadata_mut(object: &mut Value) -> &mut Map<String, Value> {
    let metadata = &mut object["metadata"];
    if !metadata.is_object() {
        *metadata = Value::Object(Map::new());
    }
    metadata.as_object_mut().expect("made an object above")
}

fn metadata_text<'a>(object: &'a Value, field: &str) -> &'a str {
    object["metadata"][field].as_str().unwrap_or_default()
}
