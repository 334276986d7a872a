//! What a write would change in a member, field by field.

use crate::{
    input::TargetType, names::ANNOTATION_APPLIED_HASH, ownership::ownership_difference,
    path::FieldPath,
};
use serde::Serialize;
use serde_json::{Map, Value, json};
use std::collections::BTreeSet;

/// One field that would change.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct FieldChange {
    /// Which.
    pub path: FieldPath,
    /// What is there.
    pub old: FieldValue,
    /// What would be there.
    pub new: FieldValue,
}

/// A field's value, as far as it may be shown.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub enum FieldValue {
    /// There is none.
    Absent,
    /// This one.
    Value(Value),
    /// One that is not shown: a Secret's.
    Hidden,
}

/// The changes that applying `rendered` makes to `live` (absent: it is not there).
///
/// Only fields that are rendered are compared: what the member or its controllers add is theirs.
/// `owned` is `fieldsV1` of our entry; what it holds and the rendered object does not, goes.
/// Values of Secrets are hidden.
pub fn diff(
    target: &TargetType,
    live: Option<&Value>,
    owned: Option<&Value>,
    rendered: &Value,
) -> Vec<FieldChange> {
    let empty = json!({});
    let live = live.unwrap_or(&empty);
    let mut changes = Vec::new();
    compare(&FieldPath::default(), live, rendered, &mut changes);
    if let Some(owned) = owned {
        for path in ownership_difference(owned, rendered).surplus {
            if let Some(old) = path.resolve(live) {
                changes.push(FieldChange {
                    old: FieldValue::Value(old.clone()),
                    new: FieldValue::Absent,
                    path,
                });
            }
        }
    }
    changes.retain(|change| change.path.last() != Some(&format!("f:{ANNOTATION_APPLIED_HASH}")));
    if target.is_secret() {
        for change in &mut changes {
            if change.path.is_in("data") || change.path.is_in("stringData") {
                change.old.hide();
                change.new.hide();
            }
        }
    }
    changes
}

impl FieldValue {
    fn hide(&mut self) {
        if let Self::Value(_) = self {
            *self = Self::Hidden;
        }
    }
}

fn compare(path: &FieldPath, live: &Value, rendered: &Value, out: &mut Vec<FieldChange>) {
    match (live, rendered) {
        (Value::Object(live), Value::Object(rendered)) => {
            for (key, value) in rendered {
                let path = path.below(&format!("f:{key}"));
                match live.get(key) {
                    Some(there) => compare(&path, there, value, out),
                    None => added(&path, value, out),
                }
            }
        }
        (Value::Array(there), Value::Array(items)) if keyed(there) && keyed(items) => {
            for item in items {
                let path = path.below(&format!("k:{}", json!({"name": item["name"]})));
                match there.iter().find(|other| other["name"] == item["name"]) {
                    Some(other) => compare(&path, other, item, out),
                    None => added(&path, item, out),
                }
            }
        }
        (Value::Array(there), Value::Array(items)) if there.len() == items.len() => {
            for (index, (there, item)) in there.iter().zip(items).enumerate() {
                compare(&path.below(&format!("i:{index}")), there, item, out);
            }
        }
        // Nothing asked for, nothing there: a null is no value.
        (_, Value::Null) => {}
        _ if live == rendered => {}
        _ => out.push(FieldChange {
            path: path.clone(),
            old: FieldValue::Value(live.clone()),
            new: FieldValue::Value(rendered.clone()),
        }),
    }
}

/// Every leaf of what is new.
fn added(path: &FieldPath, value: &Value, out: &mut Vec<FieldChange>) {
    match value {
        Value::Object(fields) if !fields.is_empty() => {
            compare(path, &Value::Object(Map::new()), value, out);
        }
        Value::Null => {}
        _ => out.push(FieldChange {
            path: path.clone(),
            old: FieldValue::Absent,
            new: FieldValue::Value(value.clone()),
        }),
    }
}

/// Whether a list's items are told apart by their names.
fn keyed(items: &[Value]) -> bool {
    let names: BTreeSet<&str> = items
        .iter()
        .filter_map(|item| item["name"].as_str())
        .collect();
    names.len() == items.len()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::test_world::World;

    /// Changes as `path old → new`.
    fn check(
        kind: &str,
        live: Option<Value>,
        owned: Option<Value>,
        rendered: Value,
        expected: &[&str],
    ) {
        let mut target = World::new(&[]).input.target;
        target.kind = kind.to_owned();
        let words = |value: &FieldValue| match value {
            FieldValue::Absent => "-".to_owned(),
            FieldValue::Hidden => "***".to_owned(),
            FieldValue::Value(value) => value.to_string(),
        };
        let changes: Vec<String> = diff(&target, live.as_ref(), owned.as_ref(), &rendered)
            .iter()
            .map(|change| {
                format!(
                    "{} {} → {}",
                    change.path,
                    words(&change.old),
                    words(&change.new)
                )
            })
            .collect();
        assert_eq!(changes, expected);
    }

    #[test]
    fn only_what_is_rendered_is_compared() {
        check(
            "Service",
            Some(
                json!({"spec": {"clusterIP": "10.0.0.1", "type": "ClusterIP",
                "ports": [{"name": "web", "port": 80, "nodePort": 30000}]}}),
            ),
            None,
            json!({"spec": {"type": "LoadBalancer", "ports": [
                {"name": "web", "port": 81}, {"name": "tls", "port": 443}]}}),
            &[
                ".spec.type \"ClusterIP\" → \"LoadBalancer\"",
                ".spec.ports[name=web].port 80 → 81",
                ".spec.ports[name=tls].name - → \"tls\"",
                ".spec.ports[name=tls].port - → 443",
            ],
        );
    }

    #[test]
    fn what_is_new_shows_its_leaves_and_not_the_hash() {
        check(
            "ConfigMap",
            None,
            None,
            json!({"metadata": {"annotations": {"meridian.dev/applied-hash": "x", "a": "b"}},
                "data": {"k": "v"}}),
            &[".metadata.annotations.a - → \"b\"", ".data.k - → \"v\""],
        );
    }

    #[test]
    fn what_we_own_and_no_longer_render_goes() {
        check(
            "ConfigMap",
            Some(json!({"data": {"a.properties": "1", "b": "2", "theirs": "3"}})),
            Some(json!({"f:data": {"f:a.properties": {}, "f:b": {}}})),
            json!({"data": {"b": "2"}}),
            &[".data[a.properties] \"1\" → -"],
        );
    }

    #[test]
    fn values_of_secrets_are_hidden_and_their_keys_are_not() {
        check(
            "Secret",
            Some(json!({"data": {"password": "b2xk"}, "type": "Opaque"})),
            None,
            json!({"data": {"password": "bmV3", "user": "dQ=="}, "type": "kubernetes.io/tls"}),
            &[
                ".data.password *** → ***",
                ".data.user - → ***",
                ".type \"Opaque\" → \"kubernetes.io/tls\"",
            ],
        );
    }

    #[test]
    fn lists_without_names_are_compared_as_a_whole_when_their_length_differs() {
        check(
            "Deployment",
            Some(
                json!({"spec": {"args": ["a", "b"], "tolerations": [{"key": "x", "effect": "y"}]}}),
            ),
            None,
            json!({"spec": {"args": ["a"], "tolerations": [{"key": "z"}]}}),
            &[
                ".spec.args [\"a\",\"b\"] → [\"a\"]",
                ".spec.tolerations[0].key \"x\" → \"z\"",
            ],
        );
    }
}
