//! The DaemonSet controller: a Pod on every node that it fits (`daemon_controller.go` and
//! `update.go` of the real one).
//!
//! | room | what it decides |
//! |---|---|
//! | here | which nodes lack a Pod and which have one too many |
//! | [`pods`] | what a Pod of a set looks like, and which nodes it fits |
//! | [`rollout`] | which Pods give way to a new template |
//! | [`status`] | counts |

mod pods;
mod rollout;
mod status;
#[cfg(test)]
mod tests;

use super::claim::claim;
use super::pod;
use super::replica_set::BURST_REPLICAS_MAX;
use super::revision;
use super::step::{Creation, Deletion, Note, Severity, Step, Write};
use crate::object::{annotation, is_deleting, label, name, namespace};
use jiff::Timestamp;
use serde_json::Value;
use std::collections::{BTreeMap, BTreeSet};

/// Table of DaemonSets.
pub(crate) const TABLE: &str = "daemonsets.apps";
/// Annotation that counts templates; deprecated, and still there.
const GENERATION: &str = "deprecated.daemonset.template.generation";
/// Label of Pods with that number.
const GENERATION_LABEL: &str = "pod-template-generation";

/// What a look at one DaemonSet sees.
#[derive(Debug, Clone, Copy)]
pub(crate) struct View<'a> {
    /// The DaemonSet.
    pub(crate) set: &'a Value,
    /// All Nodes.
    pub(crate) nodes: &'a [&'a Value],
    /// Pods of its namespace that it controls or that have no controller.
    pub(crate) pods: &'a [&'a Value],
    /// The same of ControllerRevisions.
    pub(crate) revisions: &'a [&'a Value],
    /// The present.
    pub(crate) now: Timestamp,
}

/// One look.
pub(crate) fn step(view: View<'_>) -> Step {
    let set = view.set;
    let (mut revisions, mut adoptions) =
        claim(set, revision::TABLE, view.revisions.iter().copied());
    let (owned, more) = claim(set, pod::TABLE, view.pods.iter().copied());
    adoptions.extend(more);
    if !adoptions.is_empty() {
        return Step {
            writes: adoptions,
            wake_at: None,
        };
    }
    revision::sort(&mut revisions);
    let mut turn = Turn::new(view, &owned, &revisions);
    if is_deleting(set) {
        return Step::default();
    }
    turn.manage();
    if turn.is_settled() && set["spec"]["updateStrategy"]["type"] == "RollingUpdate" {
        turn.roll();
    }
    turn.finish(&revisions)
}

/// A DaemonSet in the middle of a look.
struct Turn<'a> {
    view: View<'a>,
    /// Its Pods on each node, or meant for it; oldest first.
    on_node: BTreeMap<String, Vec<&'a Value>>,
    min_ready_secs: i64,
    present: Value,
    hash: String,
    create_on: Vec<String>,
    delete: Vec<&'a Value>,
    notes: Vec<Note>,
    writes: Vec<Write>,
}

impl<'a> Turn<'a> {
    fn new(view: View<'a>, owned: &[&'a Value], revisions: &[&'a Value]) -> Self {
        let mut on_node: BTreeMap<String, Vec<&Value>> = BTreeMap::new();
        let kept = |pod: &&&Value| !(is_deleting(pod) && pod::is_terminal(pod));
        for pod in owned.iter().filter(kept) {
            if let Some(node) = pods::target(pod) {
                on_node.entry(node.to_owned()).or_default().push(pod);
            }
        }
        for pods in on_node.values_mut() {
            pods.sort_by_key(|pod| {
                let created = pod["metadata"]["creationTimestamp"].as_str();
                (
                    pod::node(pod).is_empty(),
                    created.unwrap_or_default(),
                    name(pod),
                )
            });
        }
        let present = revision::present(view.set, revisions, revision::HASH);
        let hash = label(&present.revision, revision::HASH).unwrap_or_default();
        let spec = &view.set["spec"];
        Self {
            on_node,
            min_ready_secs: spec["minReadySeconds"].as_i64().unwrap_or(0),
            hash: hash.to_owned(),
            present: present.revision,
            create_on: Vec::new(),
            delete: Vec::new(),
            notes: Vec::new(),
            writes: present.write.into_iter().collect(),
            view,
        }
    }

    /// One Pod where there should be one, none where there should be none.
    fn manage(&mut self) {
        let nodes = self.view.nodes;
        for node in nodes {
            let wanted = pods::fit(self.view.set, node);
            let pods = self.on_node.get(name(node)).cloned();
            match (wanted, pods) {
                (pods::Fit::Runs, None) => self.create_on.push(name(node).to_owned()),
                (pods::Fit::Runs | pods::Fit::Stays, Some(pods)) => self.prune(node, wanted, &pods),
                (pods::Fit::Never, Some(pods)) => {
                    let living = pods.into_iter().filter(|pod| !is_deleting(pod));
                    self.delete.extend(living);
                }
                (_, None) => {}
            }
        }
        // Pods meant for nodes that are gone were never bound, so nobody else deletes them.
        let known: BTreeSet<&str> = nodes.iter().map(|node| name(node)).collect();
        let lost = self
            .on_node
            .iter()
            .filter(|(node, _)| !known.contains(node.as_str()));
        let lost = lost.flat_map(|(_, pods)| pods.iter().copied());
        let lost: Vec<&Value> = lost
            .filter(|pod| pod::node(pod).is_empty() && !is_deleting(pod))
            .collect();
        self.delete.extend(lost);
    }

    fn prune(&mut self, node: &Value, wanted: pods::Fit, pods: &[&'a Value]) {
        let mut running = Vec::new();
        for pod in pods.iter().copied().filter(|pod| !is_deleting(pod)) {
            if pod::is_terminal(pod) {
                self.note_ended(node, pod);
                self.delete.push(pod);
            } else {
                running.push(pod);
            }
        }
        if !rollout::surges(self.view.set) {
            self.delete.extend(running.into_iter().skip(1));
            return;
        }
        if running.is_empty() {
            let ends = pods.iter().all(|pod| is_deleting(pod));
            if wanted == pods::Fit::Runs && ends {
                self.create_on.push(name(node).to_owned());
            }
            return;
        }
        let (new, old): (Vec<&Value>, Vec<&Value>) =
            running.into_iter().partition(|pod| self.is_updated(pod));
        let surplus = new.iter().skip(1).chain(old.iter().skip(1)).copied();
        self.delete.extend(surplus);
        if let (Some(new), Some(old)) = (new.first(), old.first())
            && (!pod::is_ready(old) || self.is_available(new))
        {
            self.delete.push(old);
        }
    }

    fn note_ended(&mut self, node: &Value, pod: &Value) {
        let place = format!("{}/{}", namespace(pod), name(pod));
        let on = name(node);
        let (severity, reason, message) = if pod::phase(pod) == "Failed" {
            let message =
                format!("Found failed daemon pod {place} on node {on}, will try to kill it");
            (Severity::Warning, "FailedDaemonPod", message)
        } else {
            let message =
                format!("Found succeeded daemon pod {place} on node {on}, will try to delete it");
            (Severity::Normal, "SucceededDaemonPod", message)
        };
        self.note(severity, reason, message);
    }

    /// Whether nothing has to happen before old Pods give way.
    fn is_settled(&self) -> bool {
        self.create_on.is_empty() && self.delete.is_empty()
    }

    /// Whether a Pod has the present template.
    fn is_updated(&self, pod: &Value) -> bool {
        let generation = annotation(self.view.set, GENERATION);
        label(pod, revision::HASH) == Some(self.hash.as_str())
            || (generation.is_some() && label(pod, GENERATION_LABEL) == generation)
    }

    fn is_available(&self, pod: &Value) -> bool {
        let at = pod::available_at(pod, self.min_ready_secs);
        at.is_some_and(|at| at <= self.view.now)
    }

    fn note(&mut self, severity: Severity, reason: &'static str, message: String) {
        let component = "daemonset-controller";
        let note = Note::new(component, self.view.set, severity, reason, message);
        self.notes.push(note);
    }

    fn finish(mut self, revisions: &[&Value]) -> Step {
        let mut step = Step::default();
        let deletes: Vec<&Value> = self.delete.drain(..).take(BURST_REPLICAS_MAX).collect();
        let creates: Vec<String> = self.create_on.drain(..).take(BURST_REPLICAS_MAX).collect();
        step.writes.append(&mut self.writes);
        for node in creates {
            let announce = Note::new(
                "daemonset-controller",
                self.view.set,
                Severity::Normal,
                "SuccessfulCreate",
                "Created pod: ".to_owned(),
            );
            step.push(Write::Create(Creation {
                table: pod::TABLE,
                object: pods::for_node(self.view.set, &self.hash, &node),
                announce: Some(announce),
            }));
        }
        for pod in deletes {
            step.push(Write::Delete(Deletion::of(pod::TABLE, pod)));
            let message = format!("Deleted pod: {}", name(pod));
            self.note(Severity::Normal, "SuccessfulDelete", message);
        }
        self.report(&mut step);
        let mut live = BTreeSet::from([name(&self.present)]);
        let hashes: BTreeSet<&str> = self
            .on_node
            .values()
            .flatten()
            .filter_map(|pod| label(pod, revision::HASH))
            .collect();
        let has_pods = |revision: &&&Value| {
            label(revision, revision::HASH).is_some_and(|hash| hashes.contains(hash))
        };
        live.extend(
            revisions
                .iter()
                .filter(has_pods)
                .map(|revision| name(revision)),
        );
        step.writes
            .extend(revision::forget(self.view.set, revisions, &live));
        step.writes.extend(self.notes.into_iter().map(Write::Event));
        step
    }
}
