//! Objects as they are kept and sent, and reading their metadata.
//!
//! An object has two shapes: a value, and its encoding. Either is made from the other at first
//! use. The encoding is kept as the line by which watches tell of the object, so answers, lists,
//! watches and the store share one piece of memory:
//!
//! ```text
//! {"type":"MODIFIED","object":{"kind":"Pod",…}}\n
//!                             └───── json ─────┘
//! ```

use bytes::Bytes;
use serde::Deserialize;
use serde_json::{Map, Value};
use std::ops::Deref;
use std::sync::{Arc, OnceLock};

/// What stands behind the object in the line of a watch.
const LINE_END: &[u8] = b"}\n";

/// One version of an object. Never changed once made; shared as `Arc<Object>` by the store,
/// answers and watches, which also share its encoding.
#[derive(Debug)]
pub struct Object {
    value: OnceLock<Value>,
    line: OnceLock<Bytes>,
    told: OnceLock<Told>,
}

/// As much of an object as selectors of labels look at.
#[derive(Deserialize)]
struct Head {
    #[serde(default)]
    metadata: HeadMetadata,
}

#[derive(Default, Deserialize)]
struct HeadMetadata {
    labels: Option<Map<String, Value>>,
}

/// As what a watch tells of an object.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Told {
    /// It is new.
    Added,
    /// It changed.
    Modified,
    /// It is gone.
    Deleted,
}

impl Object {
    /// Wraps a complete object.
    pub fn new(value: Value) -> Arc<Self> {
        Arc::new(Self {
            value: value.into(),
            line: OnceLock::new(),
            told: OnceLock::new(),
        })
    }

    /// An object of which there is the line of a watch.
    pub(crate) fn of_line(line: Bytes) -> Arc<Self> {
        Arc::new(Self {
            value: OnceLock::new(),
            line: line.into(),
            told: OnceLock::new(),
        })
    }

    /// Its JSON, encoded at first use.
    pub fn json(&self) -> Bytes {
        let line = self.line();
        let start = Told::of_line(line).start().len();
        line.slice(start..line.len() - LINE_END.len())
    }

    /// The value, for instance to clone and edit it.
    pub fn value(&self) -> &Value {
        self.value.get_or_init(|| {
            let json = self.json();
            serde_json::from_slice(&json).expect("what was encoded decodes")
        })
    }

    /// The line by which a watch tells of it in one way, encoded once where it is the way in which
    /// the store says that it came about.
    pub(crate) fn line_as(&self, told: Told) -> Bytes {
        match Told::of_line(self.line()) == told {
            true => self.line().clone(),
            false => told.line(&self.json()),
        }
    }

    /// Its encoding with the frame of a watch.
    pub(crate) fn line(&self) -> &Bytes {
        self.line.get_or_init(|| {
            let told = self.told.get().copied().unwrap_or(Told::Added);
            let mut line = Vec::with_capacity(1_024);
            line.extend_from_slice(told.start());
            let value = self.value.get().expect("an object has one of its shapes");
            serde_json::to_writer(&mut line, value).expect("a JSON value encodes");
            line.extend_from_slice(LINE_END);
            // Kept for long: without the room that growing left.
            line.into_boxed_slice().into()
        })
    }

    /// Whether its value is at hand.
    pub(crate) fn is_decoded(&self) -> bool {
        self.value.get().is_some()
    }

    /// Looks at its labels; where there is its encoding alone, nothing else of it is decoded.
    pub(crate) fn with_labels<T>(&self, look: impl FnOnce(Option<&Map<String, Value>>) -> T) -> T {
        if let Some(value) = self.value.get() {
            return look(labels(value));
        }
        let head: Head = serde_json::from_slice(&self.json()).expect("what was encoded decodes");
        look(head.metadata.labels.as_ref())
    }

    /// Says how watches will tell of it, before it is first encoded.
    pub(crate) fn tell_as(&self, told: Told) {
        // Encoded before, it is framed anew for watches.
        let _ = self.told.set(told);
    }

    /// Whether it says of itself to be of a type; looked up in the encoding where that is all that
    /// there is.
    pub(crate) fn is_of(&self, kind: &str, api_version: &str) -> bool {
        if let Some(value) = self.value.get() {
            return value["apiVersion"] == api_version && value["kind"] == kind;
        }
        let json = self.json();
        let rest = json
            .strip_prefix(b"{\"kind\":\"")
            .and_then(|rest| rest.strip_prefix(kind.as_bytes()))
            .and_then(|rest| rest.strip_prefix(b"\",\"apiVersion\":\""))
            .and_then(|rest| rest.strip_prefix(api_version.as_bytes()));
        rest.is_some_and(|rest| rest.starts_with(b"\""))
    }

    /// Whether both are the same version of the same object: one was made from the other.
    pub(crate) fn is(self: &Arc<Self>, other: &Arc<Self>) -> bool {
        Arc::ptr_eq(self, other)
            || self
                .line
                .get()
                .zip(other.line.get())
                .is_some_and(|(line, other)| line.as_ptr() == other.as_ptr())
    }
}

impl Told {
    /// As watches name it.
    pub(crate) fn as_str(self) -> &'static str {
        match self {
            Self::Added => "ADDED",
            Self::Modified => "MODIFIED",
            Self::Deleted => "DELETED",
        }
    }

    /// The line of a watch around an encoded object.
    pub(crate) fn line(self, json: &[u8]) -> Bytes {
        [self.start(), json, LINE_END].concat().into()
    }

    fn start(self) -> &'static [u8] {
        match self {
            Self::Added => b"{\"type\":\"ADDED\",\"object\":",
            Self::Modified => b"{\"type\":\"MODIFIED\",\"object\":",
            Self::Deleted => b"{\"type\":\"DELETED\",\"object\":",
        }
    }

    /// By the first letter of its name.
    fn of_line(line: &[u8]) -> Self {
        match line[b"{\"type\":\"".len()] {
            b'A' => Self::Added,
            b'M' => Self::Modified,
            _ => Self::Deleted,
        }
    }
}

impl Deref for Object {
    type Target = Value;

    fn deref(&self) -> &Value {
        self.value()
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

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn pod() -> Arc<Object> {
        Object::new(json!({"kind": "Pod", "apiVersion": "v1", "metadata": {"name": "a"}}))
    }

    #[test]
    fn one_piece_of_memory_serves_answers_and_watches() {
        let object = pod();
        object.tell_as(Told::Modified);
        let line = object.line_as(Told::Modified);
        assert!(line.starts_with(b"{\"type\":\"MODIFIED\",\"object\":{\"kind\":\"Pod\""));
        assert!(line.ends_with(b"}}}\n"));
        assert!(line.as_ptr_range().contains(&object.json().as_ptr()));
        let added = object.line_as(Told::Added);
        assert_eq!(added, Told::Added.line(&object.json()));
    }

    #[test]
    fn an_object_and_what_was_made_of_its_line_are_one() {
        let object = pod();
        let twin = Object::of_line(object.line().clone());
        assert!(twin.is_of("Pod", "v1"));
        assert!(!twin.is_of("Pod", "v"));
        assert!(!twin.is_of("Po", "v1"));
        assert!(twin.is(&object));
        assert!(twin.with_labels(|labels| labels.is_none()));
        assert_eq!(twin.value(), object.value());
        assert!(!pod().is(&object));
    }
}
