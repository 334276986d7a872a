//! What holds for every sequence of writes.

use super::walk::field_set;
use super::{Element, FieldSet, Operation, Writer, apply, track_update};
use crate::cluster::{Force, Part};
use crate::kinds::{Kind, custom_kinds};
use proptest::collection::{btree_map, vec};
use proptest::prelude::*;
use serde_json::{Map, Value, json};
use std::sync::{Arc, OnceLock};

fn thing() -> &'static Arc<Kind> {
    static KIND: OnceLock<Vec<Arc<Kind>>> = OnceLock::new();
    let make = || {
        let text = include_str!("../../testdata/thing.json");
        custom_kinds(&serde_json::from_str(text).expect("recorded JSON"))
    };
    &KIND.get_or_init(make)[0]
}

fn writer(manager: &'static str, operation: Operation, now: &'static str) -> Writer<'static> {
    Writer {
        manager,
        operation,
        api_version: "t.io/v1",
        subresource: "",
        now,
    }
}

/// A configuration: some labels, a set, a list with keys, a map.
fn wanted() -> impl Strategy<Value = Value> {
    let labels = btree_map("[a-c]", "[0-1]", 0..3);
    let set = proptest::sample::subsequence(vec!["p", "q", "r"], 0..=3).prop_shuffle();
    let names = proptest::sample::subsequence(vec!["u", "v", "w"], 0..=3).prop_shuffle();
    let values = vec(proptest::option::of("[0-1]"), 3);
    let map = btree_map("[x-z]", 0..3_i64, 0..3);
    (
        labels,
        set,
        names,
        values,
        map,
        proptest::option::of(1..5_i64),
    )
        .prop_map(|(labels, set, names, values, map, n)| {
            let element = |(name, value): (&str, Option<String>)| match value {
                Some(value) => json!({ "name": name, "v": value }),
                None => json!({ "name": name }),
            };
            let list: Vec<Value> = names.into_iter().zip(values).map(element).collect();
            let mut spec = json!({ "set": set, "m": list, "map": map });
            if let Some(n) = n {
                spec["n"] = json!(n);
            }
            json!({
                "apiVersion": "t.io/v1",
                "kind": "Thing",
                "metadata": { "name": "a", "labels": labels },
                "spec": spec,
            })
        })
}

fn manager() -> impl Strategy<Value = &'static str> {
    prop_oneof![Just("a"), Just("b"), Just("c")]
}

fn owned(object: &Value) -> FieldSet {
    let entries = object["metadata"]["managedFields"]
        .as_array()
        .into_iter()
        .flatten();
    entries.fold(FieldSet::default(), |set, entry| {
        set.union(&FieldSet::from_fields_v1(&entry["fieldsV1"]).expect("written by ourselves"))
    })
}

fn is_there(object: &Value, path: &[Element]) -> bool {
    let mut value = object;
    for element in path {
        let next = match element {
            Element::Field(name) => value.get(name),
            Element::Value(wanted) => value
                .as_array()
                .and_then(|list| list.iter().find(|v| *v == wanted)),
            Element::Key(keys) => value.as_array().and_then(|list| {
                let fits = |v: &&Value| {
                    // A key that is absent has its default, here a port.
                    keys.iter()
                        .all(|(name, key)| v.get(name).is_none_or(|v| v == key))
                };
                list.iter().find(fits)
            }),
            Element::Index(index) => usize::try_from(*index).ok().and_then(|i| value.get(i)),
        };
        match next {
            Some(next) => value = next,
            None => return false,
        }
    }
    true
}

/// Applies, forced, and defaults as the server does after it.
fn forced(live: Option<&Value>, wanted: &Value, manager: &'static str, now: &'static str) -> Value {
    let kind = thing();
    let writer = writer(manager, Operation::Apply, now);
    let ignored = kind.ignored(Part::Main);
    let mut new = apply(kind.schema(), &writer, &ignored, live, wanted, Force::On)
        .expect("a forced apply of a fitting object");
    kind.default(&mut new);
    new
}

proptest! {
    #[test]
    fn applying_the_same_again_and_again_changes_nothing(
        writes in vec((manager(), wanted()), 1..6),
    ) {
        let mut live: Option<Value> = None;
        for (manager, wanted) in &writes {
            let once = forced(live.as_ref(), wanted, manager, "2026-01-01T00:00:00Z");
            // Like the real server, the first apply that empties a list takes the list away too;
            // the second writes the empty one.
            let twice = forced(Some(&once), wanted, manager, "2026-01-01T00:00:01Z");
            let thrice = forced(Some(&twice), wanted, manager, "2026-01-01T00:00:09Z");
            prop_assert_eq!(&twice, &thrice);
            live = Some(once);
        }
    }

    #[test]
    fn what_is_applied_is_there_and_owned_by_who_applied_it(
        writes in vec((manager(), wanted()), 1..6),
    ) {
        let mut live: Option<Value> = None;
        for (manager, wanted) in &writes {
            let new = forced(live.as_ref(), wanted, manager, "2026-01-01T00:00:00Z");
            let entries = new["metadata"]["managedFields"].as_array().cloned().unwrap_or_default();
            let own = entries.iter().find(|entry| entry["manager"] == *manager);
            let own = own.and_then(|entry| FieldSet::from_fields_v1(&entry["fieldsV1"]));
            let own = own.unwrap_or_default();
            for path in field_set(thing().schema(), wanted).paths() {
                let is_identity = matches!(
                    path.as_slice(),
                    [Element::Field(name)] if name != "spec"
                ) || path.ends_with(&[Element::field("name")]) && path.len() == 2;
                prop_assert!(is_there(&new, &path), "{path:?} is not in {new}");
                prop_assert!(is_identity || own.contains(&path), "{path:?} is not owned");
            }
            live = Some(new);
        }
    }

    #[test]
    fn no_manager_owns_what_is_not_there(
        writes in vec((manager(), wanted(), any::<bool>()), 1..8),
    ) {
        let mut live: Option<Value> = None;
        for (manager, wanted, is_update) in &writes {
            let new = if *is_update {
                let kind = thing();
                let mut new = wanted.clone();
                kind.default(&mut new);
                let writer = writer(manager, Operation::Update, "2026-01-01T00:00:00Z");
                let ignored = kind.ignored(Part::Main);
                track_update(kind.schema(), &writer, &ignored, live.as_ref(), &mut new);
                new
            } else {
                forced(live.as_ref(), wanted, manager, "2026-01-01T00:00:00Z")
            };
            for path in owned(&new).paths() {
                prop_assert!(is_there(&new, &path), "{path:?} is owned but not in {new}");
            }
            live = Some(new);
        }
    }

    #[test]
    fn field_sets_survive_being_written(wanted in wanted()) {
        let set = field_set(thing().schema(), &wanted);
        let written = set.to_fields_v1();
        prop_assert_eq!(FieldSet::from_fields_v1(&written), Some(set));
    }

    #[test]
    fn field_sets_obey_the_laws_of_sets(left in wanted(), right in wanted()) {
        let schema = thing().schema();
        let (left, right) = (field_set(schema, &left), field_set(schema, &right));
        let both = left.intersection(&right);
        prop_assert_eq!(left.difference(&right).union(&both), left.clone());
        prop_assert_eq!(left.union(&right), right.union(&left));
        prop_assert!(both.difference(&left).is_empty());
        prop_assert!(left.clone().without_below(&left).is_empty());
    }

    #[test]
    fn a_merge_patch_of_the_difference_makes_the_other(left in wanted(), right in wanted()) {
        let patch = difference(&left, &right);
        prop_assert_eq!(crate::merge::merge_patch(&left, &patch), right);
    }
}

/// The merge patch that turns one value into another.
fn difference(left: &Value, right: &Value) -> Value {
    let (Value::Object(before), Value::Object(after)) = (left, right) else {
        return right.clone();
    };
    let mut patch = Map::new();
    for name in before.keys().filter(|name| !after.contains_key(*name)) {
        patch.insert(name.clone(), Value::Null);
    }
    for (name, value) in after {
        match before.get(name) {
            Some(same) if same == value => {}
            Some(other) => {
                patch.insert(name.clone(), difference(other, value));
            }
            None => {
                patch.insert(name.clone(), value.clone());
            }
        }
    }
    Value::Object(patch)
}

#[test]
fn times_move_only_with_changes_and_entries_are_in_their_order() {
    let body = |data: Value| {
        json!({
            "apiVersion": "t.io/v1",
            "kind": "Thing",
            "metadata": { "name": "a" },
            "spec": data,
        })
    };
    let first = forced(None, &body(json!({ "n": 2 })), "b", "2026-01-01T00:00:01Z");
    let second = forced(
        Some(&first),
        &body(json!({ "set": ["p"] })),
        "a",
        "2026-01-01T00:00:02Z",
    );
    let third = forced(
        Some(&second),
        &body(json!({ "n": 4 })),
        "b",
        "2026-01-01T00:00:03Z",
    );
    let mut fourth = third.clone();
    fourth["spec"]["dflt"] = json!("other");
    let writer = writer("z", Operation::Update, "2026-01-01T00:00:04Z");
    let ignored = thing().ignored(Part::Main);
    track_update(
        thing().schema(),
        &writer,
        &ignored,
        Some(&third),
        &mut fourth,
    );
    let entries = fourth["metadata"]["managedFields"]
        .as_array()
        .expect("entries");
    let shown: Vec<(&str, &str, &str)> = entries
        .iter()
        .map(|entry| {
            let text = |name: &str| entry[name].as_str().expect("a text");
            (text("operation"), text("manager"), text("time"))
        })
        .collect();
    // An apply that changes the object takes its time, though it owns no more than before.
    let expected = [
        ("Apply", "a", "2026-01-01T00:00:02Z"),
        ("Apply", "b", "2026-01-01T00:00:03Z"),
        ("Update", "z", "2026-01-01T00:00:04Z"),
    ];
    assert_eq!(shown, expected);
}
