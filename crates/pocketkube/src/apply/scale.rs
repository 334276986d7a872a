//! Who owns a Scale: the managers of its parent that own the replicas, under the name that the
//! field has in a Scale, and back (`k8s.io/apimachinery/pkg/util/managedfields`, `ScaleHandler`).
//!
//! A Scale knows its managers by the version of Scale, its parent by its own, so an updater of the
//! parent is another one to the Scale: whatever is written to the Scale, replicas that an updater
//! owns are from then on an entry of their own, without a time.

use super::managed::{self, Entry, Operation};
use super::path::Element;
use super::set::FieldSet;
use serde_json::Value;
use std::collections::BTreeMap;

/// The type of every Scale.
pub const SCALE_VERSION: &str = "autoscaling/v1";

/// Where each version of the parent has its replicas; none where it has no Scale.
pub type ReplicasPaths = BTreeMap<String, Option<Vec<Element>>>;

/// Gives a Scale the managers that own the replicas of its parent.
pub fn managers_of_scale(parent: &Value, paths: &ReplicasPaths, scale: &mut Value) {
    let mut entries = managed::entries(parent).unwrap_or_default();
    entries.retain_mut(|entry| {
        let path = paths.get(&entry.api_version).and_then(Option::as_ref);
        let owns = path.is_some_and(|path| entry.fields.contains(path));
        entry.fields = replicas();
        SCALE_VERSION.clone_into(&mut entry.api_version);
        owns
    });
    managed::write(scale, entries);
}

/// Gives the parent the managers of its Scale, which was written at `version`.
pub fn managers_of_parent(scale: &Value, paths: &ReplicasPaths, version: &str, parent: &mut Value) {
    let mut of_scale = managed::entries(scale).unwrap_or_default();
    let mut entries: Vec<Entry> = Vec::new();
    for mut entry in managed::entries(parent).unwrap_or_default() {
        let Some(path) = paths.get(&entry.api_version) else {
            continue;
        };
        let path = path.as_ref().filter(|path| entry.fields.contains(path));
        if let Some(path) = path {
            let same = of_scale.iter().position(|other| {
                entry.operation == Operation::Apply && other.is_same_manager(&entry)
            });
            match same {
                Some(place) => {
                    of_scale.remove(place);
                }
                None => {
                    let mut taken = FieldSet::default();
                    taken.insert(path);
                    entry.fields = entry.fields.difference(&taken);
                }
            }
        }
        entries.push(entry);
    }
    let replicas = replicas();
    of_scale.retain(|entry| !entry.fields.intersection(&replicas).is_empty());
    if let Some(Some(path)) = paths.get(version) {
        for mut entry in of_scale {
            entry.fields = FieldSet::default();
            entry.fields.insert(path);
            version.clone_into(&mut entry.api_version);
            entry.time.clear();
            entries.push(entry);
        }
    }
    managed::write(parent, entries);
}

fn replicas() -> FieldSet {
    let mut set = FieldSet::default();
    set.insert(&[Element::field("spec"), Element::field("replicas")]);
    set
}
