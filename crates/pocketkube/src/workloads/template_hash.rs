//! The hash that names the ReplicaSets of a Deployment after their Pod template.

use serde_json::Value;

/// Letters of names, without vowels (`k8s.io/apimachinery/pkg/util/rand`).
const ALPHABET: &[u8; 27] = b"bcdfghjklmnpqrstvwxz2456789";

/// FNV-1a of the template in canonical form, spelled as the real controller spells its hashes.
/// The numbers differ from the real ones, which hash Go's dump of the struct.
pub(crate) fn template_hash(template: &Value, collisions: Option<i64>) -> String {
    let mut hash = Fnv(0x811c_9dc5);
    hash.value(template);
    if let Some(collisions) = collisions {
        hash.bytes(&collisions.to_le_bytes());
    }
    let digits = hash.0.to_string();
    digits
        .bytes()
        .map(|digit| char::from(ALPHABET[usize::from(digit) % ALPHABET.len()]))
        .collect()
}

/// The value without nulls, which mean the same as absent fields.
pub(crate) fn without_nulls(value: &Value) -> Value {
    match value {
        Value::Object(map) => map
            .iter()
            .filter(|(_, value)| !value.is_null())
            .map(|(key, value)| (key.clone(), without_nulls(value)))
            .collect(),
        Value::Array(list) => list.iter().map(without_nulls).collect(),
        other => other.clone(),
    }
}

struct Fnv(u32);

impl Fnv {
    fn bytes(&mut self, bytes: &[u8]) {
        for byte in bytes {
            self.0 = (self.0 ^ u32::from(*byte)).wrapping_mul(0x0100_0193);
        }
    }

    /// Maps in the order of their keys, so that the order of fields does not matter.
    fn value(&mut self, value: &Value) {
        match value {
            Value::Null => {}
            Value::Object(map) => {
                let mut entries: Vec<_> =
                    map.iter().filter(|(_, value)| !value.is_null()).collect();
                entries.sort_by_key(|(key, _)| key.as_str());
                self.bytes(b"{");
                for (key, value) in entries {
                    self.bytes(key.as_bytes());
                    self.bytes(b":");
                    self.value(value);
                }
                self.bytes(b"}");
            }
            Value::Array(list) => {
                self.bytes(b"[");
                for value in list {
                    self.value(value);
                    self.bytes(b",");
                }
                self.bytes(b"]");
            }
            scalar => self.bytes(scalar.to_string().as_bytes()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::template_hash;
    use serde_json::json;

    #[test]
    fn the_order_of_fields_and_nulls_do_not_matter() {
        let left =
            json!({"metadata": {"labels": {"a": "b"}}, "spec": {"containers": [{"name": "x"}]}});
        let right = json!({"spec": {"containers": [{"name": "x"}]},
            "metadata": {"creationTimestamp": null, "labels": {"a": "b"}}});
        assert_eq!(template_hash(&left, None), template_hash(&right, None));
    }

    #[test]
    fn another_template_or_a_collision_gives_another_hash() {
        let one = json!({"spec": {"containers": [{"image": "a:1"}]}});
        let two = json!({"spec": {"containers": [{"image": "a:2"}]}});
        assert_ne!(template_hash(&one, None), template_hash(&two, None));
        assert_ne!(template_hash(&one, None), template_hash(&one, Some(1)));
    }

    #[test]
    fn a_hash_is_a_label_value_without_vowels() {
        let hash = template_hash(&json!({"spec": {}}), None);
        assert!((1..=10).contains(&hash.len()), "{hash}");
        assert!(
            hash.chars()
                .all(|c| "bcdfghjklmnpqrstvwxz2456789".contains(c)),
            "{hash}"
        );
    }
}
