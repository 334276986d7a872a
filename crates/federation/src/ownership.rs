//! Does our entry in `managedFields` hold exactly the fields of what was rendered?
//!
//! Server-side apply keeps, per manager, the set of fields it owns (KEP-555). Whoever changes or
//! removes one of ours by an update or a forced apply takes its path out of our entry. So the
//! annotation with the rendered hash speaks for the values, and this comparison for everything that
//! happened to them since. It needs no schema: the entry itself says where lists have keys (`k:`),
//! where they are sets (`v:`), and where a value is atomic (a leaf).
//!
//! | in the entry | means |
//! |---|---|
//! | `f:name` | the field of that name |
//! | `k:{…}` | the list's item with these key values; what the item leaves out is the schema's default |
//! | `v:…` | the set's item with this value |
//! | `i:n` | the list's item at this index |
//! | `.` beside others | the thing itself; alone or `{}`: a leaf, and everything below it |
//!
//! Caveat: where a map of maps (only custom resources have them) has lost *all* fields of one of
//! its entries to others, that entry looks like a leaf, and counts as owned. A cache that remembers
//! the entry's [`crate::FieldsDigest`] sees that too, as long as it runs.

use crate::path::{FieldPath, find_item};
use serde_json::{Map, Value};

/// Fields of metadata that are never in `managedFields`.
const UNTRACKED: [&str; 2] = ["name", "namespace"];

/// Where an entry and a rendered object differ.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct OwnershipDifference {
    /// Fields that were rendered and that we do not own: changed or removed by somebody.
    pub lost: Vec<FieldPath>,
    /// Fields that we own and that were not rendered: they left the template.
    pub surplus: Vec<FieldPath>,
}

impl OwnershipDifference {
    /// Whether there is none.
    pub fn is_none(&self) -> bool {
        self.lost.is_empty() && self.surplus.is_empty()
    }
}

/// Whether an entry holds exactly the fields of a rendered object.
pub fn owned_exactly(fields: &Value, rendered: &Value) -> bool {
    ownership_difference(fields, rendered).is_none()
}

/// Where an entry and a rendered object differ.
pub fn ownership_difference(fields: &Value, rendered: &Value) -> OwnershipDifference {
    let mut difference = OwnershipDifference::default();
    let empty = Map::new();
    let entry = fields.as_object().unwrap_or(&empty);
    let Some(object) = rendered.as_object() else {
        difference.lost.push(FieldPath::default());
        return difference;
    };
    let mut tracked = object.clone();
    tracked.retain(|key, _| key != "apiVersion" && key != "kind");
    if let Some(Value::Object(metadata)) = tracked.get_mut("metadata") {
        metadata.retain(|key, _| !UNTRACKED.contains(&key.as_str()));
        if metadata.is_empty() {
            tracked.remove("metadata");
        }
    }
    compare_map(entry, &tracked, &FieldPath::default(), &mut difference);
    difference
}

/// Whether another manager's entry holds some of the rendered fields that ours does not: then it
/// is who changed them.
pub(crate) fn took(ours: &Value, theirs: &Value, rendered: &Value) -> bool {
    let empty = Map::new();
    let ours = ours.as_object().unwrap_or(&empty);
    let Some(theirs) = theirs.as_object() else {
        return false;
    };
    theirs.iter().any(|(key, theirs)| {
        let Some(value) = rendered_at(key, rendered) else {
            return false;
        };
        match ours.get(key) {
            None => holds_some(theirs, value),
            Some(ours) if is_leaf(ours) => false,
            Some(ours) => took(ours, theirs, value),
        }
    })
}

/// Whether an entry holds anything of a rendered value.
fn holds_some(entry: &Value, value: &Value) -> bool {
    is_leaf(entry)
        || entry.as_object().is_some_and(|entry| {
            entry.iter().any(|(key, below)| {
                rendered_at(key, value).is_some_and(|value| holds_some(below, value))
            })
        })
}

fn is_leaf(entry: &Value) -> bool {
    entry
        .as_object()
        .is_none_or(|entry| entry.keys().all(|key| key == "."))
}

/// What was rendered at an element of an entry.
fn rendered_at<'a>(key: &str, value: &'a Value) -> Option<&'a Value> {
    match value {
        Value::Object(fields) => fields.get(key.strip_prefix("f:")?),
        Value::Array(items) => items.get(find_item(key, items, &vec![false; items.len()])?),
        _ => None,
    }
}

fn compare(
    entry: &Map<String, Value>,
    value: &Value,
    path: &FieldPath,
    out: &mut OwnershipDifference,
) {
    let is_leaf = entry.keys().all(|key| key == ".");
    match value {
        _ if is_leaf => {}
        Value::Object(fields) => compare_map(entry, fields, path, out),
        Value::Array(items) => compare_list(entry, items, path, out),
        _ => out.surplus.push(path.clone()),
    }
}

fn compare_map(
    entry: &Map<String, Value>,
    fields: &Map<String, Value>,
    path: &FieldPath,
    out: &mut OwnershipDifference,
) {
    for (key, below) in entry {
        let Some(name) = key.strip_prefix("f:") else {
            if key != "." {
                out.surplus.push(path.below(key));
            }
            continue;
        };
        let path = path.below(key);
        match (fields.get(name), below.as_object()) {
            (Some(value), Some(below)) => compare(below, value, &path, out),
            _ => out.surplus.push(path),
        }
    }
    for (name, value) in fields {
        if !entry.contains_key(&format!("f:{name}")) && !owns_nothing(value) {
            out.lost.push(path.below(&format!("f:{name}")));
        }
    }
}

fn compare_list(
    entry: &Map<String, Value>,
    items: &[Value],
    path: &FieldPath,
    out: &mut OwnershipDifference,
) {
    let mut met = vec![false; items.len()];
    for (key, below) in entry.iter().filter(|(key, _)| *key != ".") {
        let path = path.below(key);
        match (find_item(key, items, &met), below.as_object()) {
            (Some(index), Some(below)) => {
                met[index] = true;
                compare(below, &items[index], &path, out);
            }
            _ => out.surplus.push(path),
        }
    }
    for (index, _) in met.iter().enumerate().filter(|(_, met)| !**met) {
        out.lost.push(path.below(&format!("i:{index}")));
    }
}

/// Whether a value leaves no trace in an entry: an empty list, a null (which an entry may or may
/// not hold), or a map of nothing else.
fn owns_nothing(value: &Value) -> bool {
    match value {
        Value::Null => true,
        Value::Array(items) => items.is_empty(),
        Value::Object(fields) => !fields.is_empty() && fields.values().all(owns_nothing),
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use serde_json::json;

    fn check(entry: Value, rendered: Value, lost: &[&str], surplus: &[&str]) {
        let difference = ownership_difference(&entry, &rendered);
        let words = |paths: &[FieldPath]| paths.iter().map(ToString::to_string).collect::<Vec<_>>();
        assert_eq!(words(&difference.lost), lost, "lost");
        assert_eq!(words(&difference.surplus), surplus, "surplus");
    }

    /// The entry a real API server (1.32) keeps for [`deployment`].
    fn deployment_entry() -> Value {
        json!({
            "f:metadata": {"f:annotations": {"f:meridian.dev/origin": {}},
                "f:labels": {"f:app": {}, "f:kubefed.io/managed": {}}},
            "f:spec": {"f:replicas": {}, "f:selector": {}, "f:template": {
                "f:metadata": {"f:labels": {"f:app": {}}},
                "f:spec": {
                    "f:containers": {"k:{\"name\":\"web\"}": {".": {}, "f:image": {}, "f:name": {},
                        "f:ports": {"k:{\"containerPort\":53,\"protocol\":\"TCP\"}":
                                {".": {}, "f:containerPort": {}},
                            "k:{\"containerPort\":53,\"protocol\":\"UDP\"}":
                                {".": {}, "f:containerPort": {}, "f:protocol": {}}},
                        "f:resources": {"f:limits": {"f:cpu": {}}}}},
                    "f:imagePullSecrets": {"k:{\"name\":\"pull\"}": {}},
                    "f:tolerations": {},
                    "f:volumes": {"k:{\"name\":\"tmp\"}": {".": {}, "f:emptyDir": {}, "f:name": {}}}}}}
        })
    }

    fn deployment() -> Value {
        json!({"apiVersion": "apps/v1", "kind": "Deployment",
            "metadata": {"name": "web", "namespace": "shop",
                "annotations": {"meridian.dev/origin": "h/o"},
                "labels": {"app": "web", "kubefed.io/managed": "true"}},
            "spec": {"replicas": 3, "selector": {"matchLabels": {"app": "web"}},
                "template": {"metadata": {"creationTimestamp": null, "labels": {"app": "web"}},
                    "spec": {
                        "containers": [{"name": "web", "image": "web:1", "env": [],
                            "ports": [{"containerPort": 53}, {"containerPort": 53, "protocol": "UDP"}],
                            "resources": {"limits": {"cpu": "1"}, "requests": null}}],
                        "imagePullSecrets": [{"name": "pull"}],
                        "tolerations": [{"key": "a", "operator": "Exists"}],
                        "volumes": [{"name": "tmp", "emptyDir": {}}]}}}})
    }

    #[test]
    fn a_deployment_is_owned_as_the_server_says() {
        check(deployment_entry(), deployment(), &[], &[]);
    }

    #[test]
    fn a_field_that_somebody_took_is_lost() {
        let mut entry = deployment_entry();
        entry["f:spec"]
            .as_object_mut()
            .unwrap()
            .remove("f:replicas");
        check(entry, deployment(), &[".spec.replicas"], &[]);
        let mut entry = deployment_entry();
        entry["f:metadata"]
            .as_object_mut()
            .unwrap()
            .remove("f:labels");
        check(entry, deployment(), &[".metadata.labels"], &[]);
    }

    #[test]
    fn an_item_that_somebody_took_is_lost() {
        let mut entry = deployment_entry();
        let ports = &mut entry["f:spec"]["f:template"]["f:spec"]["f:containers"]["k:{\"name\":\"web\"}"]
            ["f:ports"];
        ports
            .as_object_mut()
            .unwrap()
            .remove("k:{\"containerPort\":53,\"protocol\":\"TCP\"}");
        check(
            entry,
            deployment(),
            &[".spec.template.spec.containers[name=web].ports[0]"],
            &[],
        );
    }

    #[test]
    fn a_field_that_left_the_template_is_surplus() {
        let mut rendered = deployment();
        rendered["spec"].as_object_mut().unwrap().remove("replicas");
        rendered["spec"]["template"]["spec"]["volumes"] = json!([]);
        check(
            deployment_entry(),
            rendered,
            &[],
            &[".spec.replicas", ".spec.template.spec.volumes[name=tmp]"],
        );
    }

    #[test]
    fn sets_are_compared_by_value() {
        let entry = json!({"f:metadata": {"f:finalizers": {".": {}, "v:\"a/b\"": {}}}});
        check(
            entry.clone(),
            json!({"metadata": {"finalizers": ["a/b"]}}),
            &[],
            &[],
        );
        check(
            entry,
            json!({"metadata": {"finalizers": ["c/d"]}}),
            &[".metadata.finalizers[0]"],
            &[".metadata.finalizers[\"a/b\"]"],
        );
    }

    #[test]
    fn an_entry_that_is_no_field_set_owns_nothing() {
        check(Value::Null, json!({"data": {"a": "b"}}), &[".data"], &[]);
    }

    /// An object as a server without a schema owns it: maps are granular, lists of maps with a
    /// `name` are keyed, everything else is atomic.
    fn entry_of(value: &Value) -> Value {
        match value {
            Value::Object(fields) => Value::Object(
                fields
                    .iter()
                    .map(|(key, below)| (format!("f:{key}"), entry_of(below)))
                    .collect(),
            ),
            Value::Array(items) if items.iter().all(|item| item.get("name").is_some()) => {
                Value::Object(
                    items
                        .iter()
                        .map(|item| {
                            let mut below = entry_of(item);
                            below
                                .as_object_mut()
                                .unwrap()
                                .insert(".".to_owned(), json!({}));
                            (format!("k:{}", json!({"name": item["name"]})), below)
                        })
                        .collect(),
                )
            }
            _ => json!({}),
        }
    }

    fn values() -> impl Strategy<Value = Value> {
        let leaf = prop_oneof![
            any::<i32>().prop_map(Value::from),
            "[a-c]{0,3}".prop_map(Value::from)
        ];
        leaf.prop_recursive(4, 24, 4, |inner| {
            prop_oneof![
                proptest::collection::btree_map("[a-e]", inner.clone(), 1..4)
                    .prop_map(|map| Value::Object(map.into_iter().collect())),
                proptest::collection::btree_map("[a-e]", inner.clone(), 1..4).prop_map(|map| {
                    map.into_iter()
                        .map(|(name, value)| json!({"name": name, "x": value}))
                        .collect()
                }),
                proptest::collection::vec(any::<i8>(), 1..3).prop_map(Value::from),
            ]
        })
    }

    /// Paths to every leaf of an entry.
    fn leaves(entry: &Value, at: Vec<String>, out: &mut Vec<Vec<String>>) {
        for (key, below) in entry
            .as_object()
            .unwrap()
            .iter()
            .filter(|(key, _)| *key != ".")
        {
            let mut path = at.clone();
            path.push(key.clone());
            if below.as_object().unwrap().is_empty() {
                out.push(path);
            } else {
                leaves(below, path, out);
            }
        }
    }

    /// Takes a path out, and what it leaves empty, as the server does.
    fn take_out(entry: &mut Map<String, Value>, path: &[String]) {
        let Some(below) = entry.get_mut(&path[0]) else {
            return;
        };
        if path.len() > 1 {
            let below = below.as_object_mut().unwrap();
            take_out(below, &path[1..]);
            if !below.is_empty() {
                return;
            }
        }
        entry.remove(&path[0]);
    }

    proptest! {
        #[test]
        fn what_was_rendered_is_owned_and_any_leaf_taken_is_seen(
            spec in values(), chosen in any::<prop::sample::Index>(),
        ) {
            let rendered = json!({"kind": "X", "metadata": {"name": "n"}, "spec": {"s": spec}});
            let mut entry = json!({"f:spec": entry_of(&rendered["spec"])});
            prop_assert!(owned_exactly(&entry, &rendered));
            let mut paths = Vec::new();
            leaves(&entry, Vec::new(), &mut paths);
            let path = chosen.get(&paths);
            take_out(entry.as_object_mut().unwrap(), path);
            prop_assert!(!owned_exactly(&entry, &rendered), "{path:?} taken unseen");
        }

        #[test]
        fn a_leaf_more_is_seen(spec in values(), chosen in any::<prop::sample::Index>()) {
            let rendered = json!({"spec": {"s": spec}});
            let mut entry = json!({"f:spec": entry_of(&rendered["spec"])});
            let mut paths = Vec::new();
            leaves(&entry, Vec::new(), &mut paths);
            let path = chosen.get(&paths);
            let parent = path[..path.len() - 1]
                .iter()
                .fold(&mut entry, |at, key| at.get_mut(key).unwrap());
            parent["f:surplus"] = json!({});
            prop_assert!(!owned_exactly(&entry, &rendered));
        }
    }

    #[test]
    fn who_holds_a_lost_field_took_it() {
        let rendered = json!({"data": {"currency": "EUR", "colour": "red"},
            "spec": {"containers": [{"name": "web", "image": "web:1"}, {"name": "log"}]}});
        let web = r#"k:{"name":"web"}"#;
        let log = r#"k:{"name":"log"}"#;
        let check = |ours: Value, theirs: Value, expected: bool| {
            assert_eq!(took(&ours, &theirs, &rendered), expected, "{theirs}");
        };
        let colour = json!({"f:data": {"f:colour": {}}});
        check(colour.clone(), json!({"f:data": {"f:currency": {}}}), true);
        // What is held together was taken by nobody, and what is not ours is their own affair.
        check(colour.clone(), colour.clone(), false);
        check(colour, json!({"f:data": {"f:note": {}}}), false);
        check(json!({}), json!({"f:data": {"f:note": {}}}), false);
        check(json!({}), json!({"f:data": {"f:currency": {}}}), true);
        let ours = json!({"f:spec": {"f:containers": {web: {".": {}, "f:name": {}}}}});
        let image = json!({"f:spec": {"f:containers": {web: {"f:image": {}}}}});
        check(ours.clone(), image, true);
        let other = json!({"f:spec": {"f:containers": {log: {".": {}, "f:name": {}}}}});
        check(ours.clone(), other, true);
        let sidecar = json!({"f:spec": {"f:containers": {r#"k:{"name":"mesh"}"#: {"f:name": {}}}}});
        check(ours, sidecar, false);
    }
}
