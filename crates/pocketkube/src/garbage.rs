//! The garbage collector: dependents follow their owners
//! (`pkg/controller/garbagecollector` of the real one).
//!
//! | deletion of the owner | what happens |
//! |---|---|
//! | background | it goes; dependents without another owner follow |
//! | foreground | dependents go first; it waits for those that block it |
//! | orphan | dependents lose it and stay; then it goes |
//!
//! An owner is there if an object with its uid, name and kind is, in the same namespace or in the
//! cluster's scope. Dependents whose owner never was there are deleted too.

use crate::cluster::{FOREGROUND, ORPHAN};
use crate::object::{
    self, Object, finalizers, is_deleting, metadata_mut, name, namespace, owner_references, uid,
};
use crate::workloads::step::{Deletion, Propagation, Write};
use serde_json::Value;
use std::collections::{BTreeSet, HashMap};
use std::sync::Arc;

/// All objects and who owns them; follows the changes of the cluster.
#[derive(Debug, Default)]
pub(crate) struct Graph {
    nodes: HashMap<String, Node>,
    /// Uids of dependents, by the owner's uid; owners may be absent.
    dependents: HashMap<String, BTreeSet<String>>,
    /// Uids to look at.
    dirty: BTreeSet<String>,
}

#[derive(Debug)]
struct Node {
    table: Arc<str>,
    object: Arc<Object>,
}

/// How an owner is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Owner {
    /// There, and it stays.
    Solid,
    /// There, and it waits for its dependents to go.
    Waiting,
    /// Not there.
    Gone,
    /// Nobody knows: its kind is not served.
    Unknown,
}

impl Graph {
    /// Takes an object as it is now.
    pub(crate) fn put(&mut self, table: &str, object: &Arc<Object>) {
        let uid = uid(object).to_owned();
        if let Some(before) = self.nodes.get(&uid).map(|node| Arc::clone(&node.object)) {
            self.unlink(&uid, &before);
            self.wake_owners(&before);
        }
        for owner in owners(object) {
            self.dependents
                .entry(owner.to_owned())
                .or_default()
                .insert(uid.clone());
        }
        let table = match self.nodes.get(&uid) {
            Some(node) => Arc::clone(&node.table),
            None => Arc::from(table),
        };
        if owners(object).next().is_some() || waits(object) {
            self.dirty.insert(uid.clone());
        }
        self.wake_owners(object);
        self.nodes.insert(
            uid,
            Node {
                table,
                object: Arc::clone(object),
            },
        );
    }

    /// Forgets an object that is gone.
    pub(crate) fn remove(&mut self, object: &Object) {
        let uid = uid(object);
        self.unlink(uid, object);
        self.nodes.remove(uid);
        self.dirty.remove(uid);
        self.wake_owners(object);
        self.dirty
            .extend(self.dependents.get(uid).into_iter().flatten().cloned());
    }

    /// Looks at an object again, for instance because a write about it failed.
    pub(crate) fn look_again(&mut self, uid: &str) {
        if self.nodes.contains_key(uid) {
            self.dirty.insert(uid.to_owned());
        }
    }

    /// Looks again at all objects with owners: another kind is served now.
    pub(crate) fn look_at_all(&mut self) {
        self.dirty
            .extend(self.dependents.values().flatten().cloned());
    }

    /// Whether there is something to look at.
    pub(crate) fn is_dirty(&self) -> bool {
        !self.dirty.is_empty()
    }

    /// Looks at no more than `limit` objects. Each write comes with the uid that it is for.
    pub(crate) fn step(
        &mut self,
        limit: usize,
        serves: impl Fn(&str, &str) -> bool,
    ) -> Vec<(String, Write)> {
        let mut writes = Vec::new();
        for _ in 0..limit {
            let Some(uid) = self.dirty.pop_first() else {
                break;
            };
            let Some(node) = self.nodes.get(&uid) else {
                continue;
            };
            let found = self.look(node, &serves);
            writes.extend(found.into_iter().map(|write| (uid.clone(), write)));
        }
        writes
    }

    fn look(&self, node: &Node, serves: &impl Fn(&str, &str) -> bool) -> Vec<Write> {
        let object = &node.object;
        if is_deleting(object) && has_finalizer(object, ORPHAN) {
            return self.orphan(node);
        }
        if is_deleting(object) && has_finalizer(object, FOREGROUND) {
            return self.await_dependents(node);
        }
        if is_deleting(object) {
            return Vec::new();
        }
        self.follow_owners(node, serves).into_iter().collect()
    }

    /// Frees the dependents, and once none is left, the owner.
    fn orphan(&self, node: &Node) -> Vec<Write> {
        let owner = uid(&node.object);
        let mut writes: Vec<Write> = self
            .dependents_of(owner)
            .map(|dependent| {
                let freed = without_owners(&dependent.object, |other| other == owner);
                Write::Release(dependent.table.to_string(), freed)
            })
            .collect();
        if writes.is_empty() {
            writes.push(released(node, ORPHAN));
        }
        writes
    }

    /// Dependents see for themselves that their owner waits; it goes when none blocks it.
    fn await_dependents(&self, node: &Node) -> Vec<Write> {
        let owner = uid(&node.object);
        let blocks = |dependent: &Node| {
            let mut references = owner_references(&dependent.object).iter();
            references.any(|one| one["uid"] == *owner && one["blockOwnerDeletion"] == true)
        };
        if self.dependents_of(owner).any(blocks) {
            return Vec::new();
        }
        vec![released(node, FOREGROUND)]
    }

    fn follow_owners(&self, node: &Node, serves: &impl Fn(&str, &str) -> bool) -> Option<Write> {
        let object = &node.object;
        let references = owner_references(object);
        let states: Vec<Owner> = references
            .iter()
            .map(|owner| self.owner(object, owner, serves))
            .collect();
        let any = |state: Owner| states.contains(&state);
        if any(Owner::Unknown) || !(any(Owner::Waiting) || any(Owner::Gone)) {
            return None;
        }
        if any(Owner::Solid) {
            let leaving = |uid: &str| {
                let mut pairs = references.iter().zip(&states);
                pairs.any(|(one, state)| one["uid"] == *uid && *state != Owner::Solid)
            };
            return Some(Write::Release(
                node.table.to_string(),
                without_owners(object, leaving),
            ));
        }
        let mut deletion = Deletion::of(&node.table, object);
        let has_dependents = self.dependents_of(uid(object)).next().is_some();
        deletion.propagation = if any(Owner::Waiting) && has_dependents {
            Propagation::Foreground
        } else if has_finalizer(object, ORPHAN) {
            Propagation::Orphan
        } else if has_finalizer(object, FOREGROUND) {
            Propagation::Foreground
        } else {
            Propagation::Background
        };
        Some(Write::Delete(deletion))
    }

    fn owner(&self, object: &Value, wanted: &Value, serves: &impl Fn(&str, &str) -> bool) -> Owner {
        let text = |field: &str| wanted[field].as_str().unwrap_or_default();
        let found = self
            .nodes
            .get(text("uid"))
            .map(|node| &node.object)
            .filter(|owner| {
                name(owner) == text("name")
                    && owner["kind"] == wanted["kind"]
                    && group(owner["apiVersion"].as_str().unwrap_or_default())
                        == group(text("apiVersion"))
                    && (namespace(owner).is_empty() || namespace(owner) == namespace(object))
            });
        match found {
            Some(owner) if is_deleting(owner) && has_finalizer(owner, FOREGROUND) => Owner::Waiting,
            Some(_) => Owner::Solid,
            None if !serves(text("apiVersion"), text("kind")) => Owner::Unknown,
            None => Owner::Gone,
        }
    }

    fn dependents_of(&self, owner: &str) -> impl Iterator<Item = &Node> {
        let uids = self.dependents.get(owner).into_iter().flatten();
        uids.filter_map(|uid| self.nodes.get(uid))
    }

    /// Owners that wait look again when a dependent changed; dependents of one that starts to
    /// wait do as well.
    fn wake_owners(&mut self, object: &Object) {
        for owner in owners(object) {
            if self
                .nodes
                .get(owner)
                .is_some_and(|node| waits(&node.object))
            {
                self.dirty.insert(owner.to_owned());
            }
        }
        if waits(object) {
            self.dirty.extend(
                self.dependents
                    .get(uid(object))
                    .into_iter()
                    .flatten()
                    .cloned(),
            );
        }
    }

    fn unlink(&mut self, uid: &str, object: &Object) {
        for owner in owners(object) {
            let Some(others) = self.dependents.get_mut(owner) else {
                continue;
            };
            others.remove(uid);
            if others.is_empty() {
                self.dependents.remove(owner);
            }
        }
    }
}

fn owners(object: &Value) -> impl Iterator<Item = &str> {
    owner_references(object)
        .iter()
        .filter_map(|owner| owner["uid"].as_str())
}

fn waits(object: &Value) -> bool {
    is_deleting(object) && (has_finalizer(object, FOREGROUND) || has_finalizer(object, ORPHAN))
}

fn has_finalizer(object: &Value, wanted: &str) -> bool {
    finalizers(object).any(|finalizer| finalizer == wanted)
}

fn group(api_version: &str) -> &str {
    crate::registry::split_api_version(api_version).0
}

fn released(node: &Node, finalizer: &str) -> Write {
    let mut object = node.object.value().clone();
    let left: Vec<Value> = object::list(&object["metadata"]["finalizers"])
        .iter()
        .filter(|other| **other != *finalizer)
        .cloned()
        .collect();
    set_list(&mut object, "finalizers", left);
    Write::Release(node.table.to_string(), object)
}

fn without_owners(object: &Value, leaves: impl Fn(&str) -> bool) -> Value {
    let mut object = object.clone();
    let left: Vec<Value> = owner_references(&object)
        .iter()
        .filter(|owner| !leaves(owner["uid"].as_str().unwrap_or_default()))
        .cloned()
        .collect();
    set_list(&mut object, "ownerReferences", left);
    object
}

fn set_list(object: &mut Value, field: &str, list: Vec<Value>) {
    let metadata = metadata_mut(object);
    if list.is_empty() {
        metadata.shift_remove(field);
    } else {
        metadata.insert(field.to_owned(), Value::Array(list));
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn object(uid: &str, owners: &[&str], deleting_with: Option<&str>) -> Arc<Object> {
        let references: Vec<Value> = owners
            .iter()
            .map(|owner| {
                json!({"apiVersion": "v1", "kind": "Thing", "name": owner, "uid": owner,
                    "blockOwnerDeletion": true})
            })
            .collect();
        let mut value = json!({"apiVersion": "v1", "kind": "Thing",
            "metadata": {"name": uid, "namespace": "n", "uid": uid, "ownerReferences": references}});
        if let Some(finalizer) = deleting_with {
            value["metadata"]["deletionTimestamp"] = json!("2026-01-01T00:00:00Z");
            value["metadata"]["finalizers"] = json!([finalizer]);
        }
        Object::new(value)
    }

    fn graph(objects: &[Arc<Object>]) -> Graph {
        let mut graph = Graph::default();
        objects
            .iter()
            .for_each(|object| graph.put("things", object));
        graph
    }

    /// What a look does, in short words.
    fn check(graph: &mut Graph, expected: &[&str]) {
        let writes = graph.step(100, |_, kind| kind == "Thing");
        let words: Vec<String> = writes
            .iter()
            .map(|(_, write)| match write {
                Write::Delete(d) => format!("delete {} {:?}", d.name, d.propagation),
                Write::Release(_, object) => {
                    let owners: Vec<&str> = owners(object).collect();
                    let finalizers: Vec<&str> = finalizers(object).collect();
                    format!(
                        "release {} owners{owners:?} finalizers{finalizers:?}",
                        name(object)
                    )
                }
                other => panic!("{other:?}"),
            })
            .collect();
        assert_eq!(words, expected);
    }

    #[test]
    fn dependents_follow_an_owner_that_is_gone() {
        let (owner, child) = (
            object("owner", &[], None),
            object("child", &["owner"], None),
        );
        let mut graph = graph(&[owner.clone(), child]);
        check(&mut graph, &[]);
        graph.remove(&owner);
        check(&mut graph, &["delete child Background"]);
    }

    #[test]
    fn a_dependent_of_an_owner_that_never_was_goes() {
        let mut graph = graph(&[object("child", &["nobody"], None)]);
        check(&mut graph, &["delete child Background"]);
    }

    #[test]
    fn an_owner_of_another_name_or_namespace_does_not_count() {
        let mut elsewhere = object("owner", &[], None).value().clone();
        elsewhere["metadata"]["namespace"] = json!("other");
        let mut moved = graph(&[Object::new(elsewhere), object("child", &["owner"], None)]);
        check(&mut moved, &["delete child Background"]);
        let mut global = object("owner", &[], None).value().clone();
        global["metadata"]["namespace"] = json!("");
        let mut global = graph(&[Object::new(global), object("child", &["owner"], None)]);
        check(&mut global, &[]);
    }

    #[test]
    fn nothing_is_deleted_for_an_owner_of_a_kind_that_is_not_served() {
        let mut child = object("child", &["nobody"], None).value().clone();
        child["metadata"]["ownerReferences"][0]["kind"] = json!("Strange");
        let mut graph = graph(&[Object::new(child)]);
        check(&mut graph, &[]);
        graph.look_at_all();
        check(&mut graph, &[]);
    }

    #[test]
    fn one_owner_that_stays_is_enough() {
        let (one, other) = (object("one", &[], None), object("other", &[], None));
        let mut graph = graph(&[one.clone(), other, object("child", &["one", "other"], None)]);
        graph.remove(&one);
        check(
            &mut graph,
            &["release child owners[\"other\"] finalizers[]"],
        );
    }

    #[test]
    fn foreground_deletion_goes_down_the_tree_and_ends_at_the_root() {
        let root = object("root", &[], Some(FOREGROUND));
        let middle = object("middle", &["root"], None);
        let leaf = object("leaf", &["middle"], None);
        let mut graph = graph(&[root, middle.clone(), leaf.clone()]);
        check(&mut graph, &["delete middle Foreground"]);
        let middle = object("middle", &["root"], Some(FOREGROUND));
        graph.put("things", &middle);
        check(&mut graph, &["delete leaf Background"]);
        graph.remove(&leaf);
        check(
            &mut graph,
            &["release middle owners[\"root\"] finalizers[]"],
        );
        graph.remove(&middle);
        check(&mut graph, &["release root owners[] finalizers[]"]);
    }

    #[test]
    fn orphans_lose_their_owner_and_stay() {
        let root = object("root", &[], Some(ORPHAN));
        let child = object("child", &["root"], None);
        let mut graph = graph(&[child, root]);
        check(&mut graph, &["release child owners[] finalizers[]"]);
        graph.put("things", &object("child", &[], None));
        check(&mut graph, &["release root owners[] finalizers[]"]);
    }

    #[test]
    fn a_dependent_that_already_goes_is_left_alone() {
        let mut graph = graph(&[object("child", &["nobody"], Some("example.com/mine"))]);
        check(&mut graph, &[]);
    }
}
