//! What a field manager applied, read back from a live object: the fields that its entry in
//! `managedFields` holds, with the values they have now.
//!
//! Applying that again, with one field changed, changes this field and nothing else: it is how
//! replicas move in a cluster that must not get the new template yet. client-go's `Extract…`
//! functions do the same with a schema; here the entry itself says where lists have keys, as in
//! `ownership.rs`.
//!
//! Caveat: a leaf of the entry may be a map that was applied empty; what others have put into it
//! since is then read as ours, and owned together with them.

use crate::path::find_item;
use serde_json::{Map, Value};

/// The object that would be owned with exactly this entry (`fieldsV1`): type and name, and every
/// owned field that is still there.
pub(crate) fn extract(fields: &Value, live: &Value) -> Value {
    let entry = fields.as_object();
    let mut object = match (entry, live.as_object()) {
        (Some(entry), Some(live)) => fields_of(entry, live),
        _ => Map::new(),
    };
    for name in ["apiVersion", "kind"] {
        if let Some(value) = live.get(name) {
            object.insert(name.to_owned(), value.clone());
        }
    }
    let metadata = object
        .entry("metadata")
        .or_insert_with(|| Map::new().into());
    if let Some(metadata) = metadata.as_object_mut() {
        for name in ["name", "namespace"] {
            if let Some(value) = live["metadata"].get(name) {
                metadata.insert(name.to_owned(), value.clone());
            }
        }
    }
    object.into()
}

fn value_of(entry: &Value, live: &Value) -> Value {
    let parts = entry
        .as_object()
        .filter(|entry| entry.keys().any(|key| key != "."));
    match (parts, live) {
        (Some(entry), Value::Object(live)) => fields_of(entry, live).into(),
        (Some(entry), Value::Array(items)) => items_of(entry, items).into(),
        _ => live.clone(),
    }
}

fn fields_of(entry: &Map<String, Value>, live: &Map<String, Value>) -> Map<String, Value> {
    let owned = entry.iter().filter_map(|(key, below)| {
        let name = key.strip_prefix("f:")?;
        let value = live.get(name)?;
        Some((name.to_owned(), value_of(below, value)))
    });
    owned.collect()
}

/// In the order of the live list, which is the order they were applied in. A key that is not owned
/// was not applied: the schema gives it its default again.
fn items_of(entry: &Map<String, Value>, items: &[Value]) -> Vec<Value> {
    let mut met = vec![false; items.len()];
    let mut owned: Vec<(usize, Value)> = Vec::new();
    for (key, below) in entry.iter().filter(|(key, _)| *key != ".") {
        if let Some(index) = find_item(key, items, &met) {
            met[index] = true;
            owned.push((index, value_of(below, &items[index])));
        }
    }
    owned.sort_by_key(|(index, _)| *index);
    owned.into_iter().map(|(_, value)| value).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn what_was_applied_is_read_back_without_what_others_own() {
        let live = json!({
            "apiVersion": "apps/v1", "kind": "Deployment",
            "metadata": {"name": "web", "namespace": "shop", "uid": "u", "resourceVersion": "7",
                "labels": {"app": "web", "theirs": "x"}},
            "spec": {
                "replicas": 3,
                "selector": {"matchLabels": {"app": "web"}},
                "template": {"spec": {"containers": [
                    {"name": "sidecar", "image": "proxy"},
                    {"name": "web", "image": "web:1", "imagePullPolicy": "IfNotPresent",
                        "args": ["-v", "2"],
                        "ports": [{"containerPort": 80, "protocol": "TCP"}]}]}}},
            "status": {"replicas": 3}
        });
        let entry = json!({
            "f:metadata": {"f:labels": {"f:app": {}}},
            "f:spec": {
                "f:replicas": {},
                "f:selector": {},
                "f:template": {"f:spec": {"f:containers": {
                    "k:{\"name\":\"web\"}": {".": {}, "f:name": {}, "f:image": {}, "f:args": {},
                        "f:ports": {"k:{\"containerPort\":80,\"protocol\":\"TCP\"}":
                            {".": {}, "f:containerPort": {}}}}}}}}
        });
        let expected = json!({
            "apiVersion": "apps/v1", "kind": "Deployment",
            "metadata": {"name": "web", "namespace": "shop", "labels": {"app": "web"}},
            "spec": {
                "replicas": 3,
                "selector": {"matchLabels": {"app": "web"}},
                "template": {"spec": {"containers": [
                    {"name": "web", "image": "web:1", "args": ["-v", "2"],
                        "ports": [{"containerPort": 80}]}]}}}
        });
        assert_eq!(extract(&entry, &live), expected);
        assert!(crate::owned_exactly(&entry, &expected));
    }

    #[test]
    fn sets_keep_the_values_that_are_ours_and_their_order() {
        let live = json!({"metadata": {"name": "n", "finalizers": ["theirs", "b", "a"]}});
        let entry = json!({"f:metadata": {"f:finalizers": {"v:\"a\"": {}, "v:\"b\"": {}}}});
        let extracted = extract(&entry, &live);
        assert_eq!(extracted["metadata"]["finalizers"], json!(["b", "a"]));
    }

    #[test]
    fn what_is_gone_or_never_was_ours_is_not_there() {
        let live = json!({"metadata": {"name": "n"}, "data": {"kept": "1", "theirs": "2"}});
        let entry = json!({"f:data": {"f:kept": {}, "f:gone": {}}, "f:spec": {"f:x": {}}});
        let expected = json!({"metadata": {"name": "n"}, "data": {"kept": "1"}});
        assert_eq!(extract(&entry, &live), expected);
        assert_eq!(
            extract(&Value::Null, &live),
            json!({"metadata": {"name": "n"}})
        );
    }
}
