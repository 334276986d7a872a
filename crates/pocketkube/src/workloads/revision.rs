//! ControllerRevisions: the templates that a StatefulSet or a DaemonSet had
//! (`controller_history.go` of the real controllers).

use super::claim::controller_reference;
use super::step::{Creation, Deletion, Write};
use super::template_hash::{template_hash, without_nulls};
use crate::object::{is_deleting, name, namespace};
use serde_json::{Value, json};
use std::collections::BTreeSet;

/// Table of ControllerRevisions.
pub(crate) const TABLE: &str = "controllerrevisions.apps";
/// Label of Pods: which revision they are of.
pub(crate) const HASH: &str = "controller-revision-hash";
/// Longest part of a revision's name that its owner's name may be, as in the real controllers.
const PREFIX_CHARS_MAX: usize = 223;

/// The revision of an owner's present template, and what has to be written for it.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Present {
    /// The revision, written or not.
    pub(crate) revision: Value,
    /// Creates it, or gives it a higher number.
    pub(crate) write: Option<Write>,
}

/// Sorts revisions by number, then by age.
pub(crate) fn sort(revisions: &mut [&Value]) {
    revisions.sort_by_key(|revision| {
        let created = revision["metadata"]["creationTimestamp"].as_str();
        (
            number(revision),
            created.unwrap_or_default(),
            name(revision),
        )
    });
}

/// The revision of the present template among sorted ones: the last, or an older one that comes
/// back with a new number, or a new one whose hash goes into the label `hash_label`.
pub(crate) fn present(owner: &Value, revisions: &[&Value], hash_label: &str) -> Present {
    let data = data(owner);
    let next = revisions.last().map_or(0, |last| number(last)) + 1;
    let is_same = |revision: &&&Value| without_nulls(&revision["data"]) == data;
    let found = revisions.iter().rev().find(is_same);
    if let Some(found) = found {
        let mut revision = (*found).clone();
        if number(found) + 1 == next {
            return Present {
                revision,
                write: None,
            };
        }
        revision["revision"] = json!(next);
        let write = Some(Write::Update(TABLE, revision.clone()));
        return Present { revision, write };
    }
    let revision = created(owner, data, next, hash_label);
    let write = Write::Create(Creation::quiet(TABLE, revision.clone()));
    Present {
        revision,
        write: Some(write),
    }
}

/// Deletes revisions beyond `revisionHistoryLimit` that are not `live`, oldest first.
pub(crate) fn forget(owner: &Value, revisions: &[&Value], live: &BTreeSet<&str>) -> Vec<Write> {
    let limit = owner["spec"]["revisionHistoryLimit"].as_u64();
    let Some(limit) = limit.and_then(|limit| usize::try_from(limit).ok()) else {
        return Vec::new();
    };
    let history: Vec<&&Value> = revisions
        .iter()
        .filter(|revision| !live.contains(name(revision)) && !is_deleting(revision))
        .collect();
    let surplus = history.len().saturating_sub(limit);
    let oldest = history.into_iter().take(surplus);
    oldest
        .map(|revision| Write::Delete(Deletion::of(TABLE, revision)))
        .collect()
}

/// The Pod template that a revision keeps.
pub(crate) fn template(revision: &Value) -> Value {
    let mut template = revision["data"]["spec"]["template"].clone();
    if let Some(fields) = template.as_object_mut() {
        fields.shift_remove("$patch");
    }
    template
}

/// Its number.
pub(crate) fn number(revision: &Value) -> i64 {
    revision["revision"].as_i64().unwrap_or(0)
}

/// A strategic merge patch that brings the template back.
fn data(owner: &Value) -> Value {
    let mut template = without_nulls(&owner["spec"]["template"]);
    template["$patch"] = json!("replace");
    json!({"spec": {"template": template}})
}

fn created(owner: &Value, data: Value, number: i64, hash_label: &str) -> Value {
    let collisions = owner["status"]["collisionCount"].as_i64();
    let hash = template_hash(&data, collisions.filter(|count| *count > 0));
    let prefix = name(owner);
    let prefix = &prefix[..prefix.len().min(PREFIX_CHARS_MAX)];
    let mut labels = owner["spec"]["template"]["metadata"]["labels"].clone();
    labels[hash_label] = json!(hash);
    let mut metadata = json!({
        "name": format!("{prefix}-{hash}"),
        "namespace": namespace(owner),
        "labels": labels,
        "ownerReferences": [controller_reference(owner)],
    });
    let annotations = &owner["metadata"]["annotations"];
    if annotations.is_object() {
        metadata["annotations"] = annotations.clone();
    }
    json!({
        "apiVersion": "apps/v1",
        "kind": "ControllerRevision",
        "metadata": metadata,
        "data": data,
        "revision": number,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn owner(image: &str) -> Value {
        json!({"apiVersion": "apps/v1", "kind": "StatefulSet",
            "metadata": {"name": "web", "namespace": "n", "uid": "u"},
            "spec": {"revisionHistoryLimit": 1, "template": {
                "metadata": {"labels": {"app": "web"}}, "spec": {"image": image}}}})
    }

    #[test]
    fn a_template_that_comes_back_comes_back_as_its_old_revision() {
        let first = present(&owner("a"), &[], "hash");
        assert!(matches!(first.write, Some(Write::Create(_))));
        assert_eq!(first.revision["revision"], 1);
        let second = present(&owner("b"), &[&first.revision], "hash");
        assert_eq!(second.revision["revision"], 2);
        let both = [&first.revision, &second.revision];
        assert_eq!(present(&owner("b"), &both, "hash").write, None);
        let back = present(&owner("a"), &both, "hash");
        assert_eq!(name(&back.revision), name(&first.revision));
        assert_eq!(back.revision["revision"], 3);
        assert!(matches!(back.write, Some(Write::Update(..))));
        assert_eq!(template(&back.revision), owner("a")["spec"]["template"]);
    }

    #[test]
    fn history_beyond_its_limit_goes_oldest_first_unless_it_lives() {
        let images = ["a", "b", "c", "d"];
        let revisions: Vec<Value> = images
            .iter()
            .map(|image| present(&owner(image), &[], "hash").revision)
            .collect();
        let revisions: Vec<&Value> = revisions.iter().collect();
        let live = BTreeSet::from([name(revisions[0]), name(revisions[3])]);
        let gone = forget(&owner("d"), &revisions, &live);
        let [Write::Delete(deletion)] = &gone[..] else {
            panic!("{gone:?}")
        };
        assert_eq!(deletion.name, name(revisions[1]));
    }
}
