//! What a status says, in few bytes: two that say the same are equal, times apart.
//!
//! # Guarantees
//! Times, empty texts, empty lists and nulls are nothing, and the order of fields is nobody's. Nothing
//! is copied: statuses are compared at every reconciliation.
//! # Caveats
//! Two that differ are equal once in 2⁶⁴.

use serde_json::Value;
use std::hash::{DefaultHasher, Hash, Hasher};

/// See the module.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Said(Option<u64>);

const TIMES: [&str; 4] = [
    "lastTransitionTime",
    "lastUpdateTime",
    "lastProbeTime",
    "dividedAt",
];

impl Said {
    /// By a status, or a part of it.
    pub(crate) fn by(status: &Value) -> Self {
        Self(match status {
            Value::Null => None,
            Value::Bool(value) => Some(hash(1, value)),
            Value::Number(value) => Some(hash(2, value)),
            Value::String(text) if text.is_empty() => None,
            Value::String(text) => Some(hash(3, text)),
            Value::Array(items) => by_items(items),
            Value::Object(fields) => {
                let told = fields
                    .iter()
                    .filter(|(name, _)| !TIMES.contains(&name.as_str()))
                    .filter_map(|(name, value)| Some(hash(5, &(name, Self::by(value).0?))));
                // A sum does not know an order.
                told.fold(None, |sum, field| {
                    Some(sum.unwrap_or_default().wrapping_add(field))
                })
            }
        })
    }
}

fn by_items(items: &[Value]) -> Option<u64> {
    let mut hasher = DefaultHasher::new();
    items.len().hash(&mut hasher);
    for item in items {
        Said::by(item).0.hash(&mut hasher);
    }
    (!items.is_empty()).then(|| hash(4, &hasher.finish()))
}

fn hash(kind: u8, value: &(impl Hash + ?Sized)) -> u64 {
    let mut hasher = DefaultHasher::new();
    kind.hash(&mut hasher);
    value.hash(&mut hasher);
    hasher.finish()
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn times_nothings_and_the_order_of_fields_say_nothing() {
        let written = json!({"conditions": [{"type": "Propagation", "status": "True", "reason": "",
            "lastUpdateTime": "2026-01-01T00:00:00Z"}], "clusters": [], "x": {"y": null}});
        let plain = json!({"conditions": [{"status": "True", "type": "Propagation"}]});
        assert_eq!(Said::by(&written), Said::by(&plain));
        assert_eq!(Said::by(&json!({})), Said::by(&Value::Null));
    }

    #[test]
    fn whatever_else_differs_says_something_else() {
        let all = [
            json!({}),
            json!({"a": 1}),
            json!({"a": "1"}),
            json!({"a": true}),
            json!({"a": [1]}),
            json!({"a": [1, 2]}),
            json!({"a": [2, 1]}),
            json!({"a": [{"b": 1}, {"c": 2}]}),
            json!({"a": [{"b": 1, "c": 2}]}),
            json!({"a": [{"b": 1}, {}]}),
            json!({"a": {"b": 1}, "c": 2}),
            json!({"a": {"b": 2}, "c": 1}),
            json!({"a": {"b": 1, "c": 2}}),
            json!({"b": 1}),
            json!({"a": 1, "b": 1}),
        ];
        for (first, one) in all.iter().enumerate() {
            for (second, other) in all.iter().enumerate() {
                let equal = Said::by(one) == Said::by(other);
                assert_eq!(equal, first == second, "{one} {other}");
            }
        }
    }
}
