//! For tests: a handful of objects that the writes of steps change, without a cluster.

use super::step::{Step, Write};
use crate::object::{finalizers, is_deleting, name};
use serde_json::{Value, json};

/// Objects of one namespace.
#[derive(Debug, Default)]
pub(super) struct Replay {
    objects: Vec<Value>,
    made: usize,
}

impl Replay {
    /// With one object.
    pub(super) fn of(object: Value) -> Self {
        let mut replay = Self::default();
        replay.put(object);
        replay
    }

    /// Adds an object, or replaces it.
    pub(super) fn put(&mut self, object: Value) {
        self.objects.retain(|other| !same(other, &object));
        self.objects.push(object);
    }

    /// The object of a kind and name.
    pub(super) fn one(&self, kind: &str, named: &str) -> Value {
        let mut found = self
            .all(kind)
            .into_iter()
            .filter(|object| name(object) == named);
        found
            .next()
            .unwrap_or_else(|| panic!("no {kind} {named}"))
            .clone()
    }

    /// All objects of a kind, in the order in which they came.
    pub(super) fn all(&self, kind: &str) -> Vec<&Value> {
        let of_kind = |object: &&Value| object["kind"] == *kind;
        self.objects.iter().filter(of_kind).collect()
    }

    /// Their names, sorted.
    pub(super) fn names(&self, kind: &str) -> Vec<String> {
        let mut names: Vec<String> = self.all(kind).iter().map(|o| name(o).to_owned()).collect();
        names.sort();
        names
    }

    /// Changes all objects of a kind.
    pub(super) fn each(&mut self, kind: &str, edit: impl Fn(&mut Value)) {
        let of_kind = self
            .objects
            .iter_mut()
            .filter(|object| object["kind"] == *kind);
        of_kind.for_each(edit);
    }

    /// Makes the writes of a step; what nobody holds is gone at once. Says what it did.
    pub(super) fn apply(&mut self, step: &Step) -> Vec<String> {
        let mut done = Vec::new();
        for write in &step.writes {
            match write {
                Write::Create(creation) => {
                    let mut object = creation.object.clone();
                    self.made += 1;
                    if object["metadata"]["name"].is_null() {
                        let prefix = object["metadata"]["generateName"].as_str().unwrap_or("");
                        object["metadata"]["name"] = json!(format!("{prefix}{}", self.made));
                    }
                    object["metadata"]["uid"] = json!(format!("u{}", self.made));
                    done.push(format!("create {}", name(&object)));
                    self.put(object);
                }
                Write::Update(_, object) => {
                    if is_deleting(object) && finalizers(object).next().is_none() {
                        self.objects.retain(|other| !same(other, object));
                    } else {
                        self.put(object.clone());
                    }
                }
                Write::UpdateStatus(_, object) => self.put(object.clone()),
                Write::Delete(deletion) => {
                    done.push(format!("delete {}", deletion.name));
                    self.delete(&deletion.uid);
                }
                _ => {}
            }
        }
        done
    }

    fn delete(&mut self, uid: &str) {
        let is_it = |object: &Value| object["metadata"]["uid"] == *uid;
        self.objects
            .retain(|object| !is_it(object) || finalizers(object).next().is_some());
        for object in self.objects.iter_mut().filter(|object| is_it(object)) {
            object["metadata"]["deletionTimestamp"] = json!("2026-01-01T00:00:00Z");
        }
    }
}

fn same(one: &Value, other: &Value) -> bool {
    one["kind"] == other["kind"] && name(one) == name(other)
}
