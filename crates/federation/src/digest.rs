//! Digests: of rendered objects, and of entries in `managedFields`.
//!
//! A digest covers the value, not the order of keys. Those of Secrets are keyed (HMAC, RFC 2104),
//! so that who may read an annotation or a plan cannot try values out.

use hmac::{Hmac, Mac};
use serde::{Deserialize, Serialize};
use serde_json::Value;
use sha2::{Digest, Sha256};
use std::fmt::Write as _;

/// Bytes of a digest that are kept: enough against accident, half the room.
const KEPT: usize = 16;

/// Digest of one entry's `fieldsV1`, small enough for a cache to hold in the entry's place.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct FieldsDigest([u8; KEPT]);

impl FieldsDigest {
    /// The digest of an entry, as the server sent it.
    pub fn of(api_version: &str, fields: &Value) -> Self {
        let mut hasher = Sha256::new();
        hasher.update(api_version.as_bytes());
        feed(fields, &mut |bytes| hasher.update(bytes));
        let mut kept = [0; KEPT];
        kept.copy_from_slice(&hasher.finalize()[..KEPT]);
        Self(kept)
    }
}

/// The digest of a text that anybody may see, in hexadecimal.
pub fn digest(text: &str) -> String {
    hex(&Sha256::digest(text.as_bytes()))
}

/// The digest of a value that anybody may see.
pub(crate) fn plain(value: &Value) -> String {
    let mut hasher = Sha256::new();
    feed(value, &mut |bytes| hasher.update(bytes));
    hex(&hasher.finalize())
}

/// The digest of a value that nobody may guess.
pub(crate) fn keyed(key: &str, value: &Value) -> String {
    let mut mac = Hmac::<Sha256>::new_from_slice(key.as_bytes())
        .expect("HMAC takes keys of any length (RFC 2104 section 2)");
    feed(value, &mut |bytes| mac.update(bytes));
    hex(&mac.finalize().into_bytes())
}

/// Feeds a value in a form that two different values never share: a letter for the type, a length
/// before what has one, keys in their order.
fn feed(value: &Value, take: &mut impl FnMut(&[u8])) {
    let text = |kind: u8, text: &str, take: &mut dyn FnMut(&[u8])| {
        take(&[kind]);
        take(&(text.len() as u64).to_le_bytes());
        take(text.as_bytes());
    };
    match value {
        Value::Null => take(b"z"),
        Value::Bool(true) => take(b"t"),
        Value::Bool(false) => take(b"f"),
        Value::Number(number) => text(b'n', &number.to_string(), take),
        Value::String(string) => text(b's', string, take),
        Value::Array(items) => {
            take(b"a");
            take(&(items.len() as u64).to_le_bytes());
            for item in items {
                feed(item, take);
            }
        }
        Value::Object(fields) => {
            take(b"o");
            take(&(fields.len() as u64).to_le_bytes());
            let mut sorted: Vec<_> = fields.iter().collect();
            sorted.sort_unstable_by_key(|(key, _)| *key);
            for (key, field) in sorted {
                text(b'k', key, take);
                feed(field, take);
            }
        }
    }
}

fn hex(bytes: &[u8]) -> String {
    bytes[..KEPT]
        .iter()
        .fold(String::with_capacity(2 * KEPT), |mut out, byte| {
            write!(out, "{byte:02x}").expect("a String takes every text");
            out
        })
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn the_order_of_keys_does_not_matter_but_everything_else_does() {
        let one = json!({"a": 1, "b": [true, null, "x"]});
        assert_eq!(plain(&one), plain(&json!({"b": [true, null, "x"], "a": 1})));
        for other in [
            json!({"a": 1, "b": [null, true, "x"]}),
            json!({"a": "1", "b": [true, null, "x"]}),
            json!({"a": 1, "b": [true, null, "x"], "c": {}}),
            json!({"a": 1, "b": [true, null], "x": "x"}),
        ] {
            assert_ne!(plain(&one), plain(&other), "{other}");
        }
    }

    #[test]
    fn a_keyed_digest_depends_on_its_key() {
        let value = json!("hunter2");
        assert_ne!(keyed("a", &value), keyed("b", &value));
        assert_ne!(keyed("a", &value), plain(&value));
        assert_eq!(keyed("a", &value), keyed("a", &value));
    }

    #[test]
    fn an_entry_of_another_version_has_another_digest() {
        let fields = json!({"f:spec": {}});
        assert_ne!(
            FieldsDigest::of("v1", &fields),
            FieldsDigest::of("v2", &fields)
        );
    }
}
