//! The StatefulSet controller: Pods with names that stay, one after the other or all at once, and
//! their claims (`stateful_set_control.go` of the real one).
//!
//! | room | what it decides |
//! |---|---|
//! | here | which Pods there should be, and which one is next |
//! | [`pods`] | what a Pod of a set looks like |
//! | [`claims`] | claims of Pods, and who owns them |
//! | [`status`] | counts and revisions |

mod claims;
mod pods;
mod status;
#[cfg(test)]
mod tests;

use super::claim::claim;
use super::pod;
use super::revision;
use super::step::{Creation, Deletion, Note, Severity, Step, Write};
use super::volumes::CLAIMS;
use crate::object::{is_deleting, label, name};
use jiff::Timestamp;
use serde_json::Value;
use std::collections::{BTreeMap, BTreeSet};

/// Table of StatefulSets.
pub(crate) const TABLE: &str = "statefulsets.apps";
/// Label of revisions: their hash.
const REVISION_HASH: &str = "controller.kubernetes.io/hash";
/// Pause until a claim that is going is looked at again.
const STALE_CLAIM_SECS: i64 = 1;

/// What a look at one StatefulSet sees.
#[derive(Debug, Clone, Copy)]
pub(crate) struct View<'a> {
    /// The StatefulSet.
    pub(crate) set: &'a Value,
    /// Pods of its namespace that it controls or that have no controller.
    pub(crate) pods: &'a [&'a Value],
    /// The same of ControllerRevisions.
    pub(crate) revisions: &'a [&'a Value],
    /// Claims of its namespace, by name.
    pub(crate) claims: &'a BTreeMap<&'a str, &'a Value>,
    /// The present.
    pub(crate) now: Timestamp,
}

/// One look.
pub(crate) fn step(view: View<'_>) -> Step {
    let set = view.set;
    let (mut revisions, mut adoptions) =
        claim(set, revision::TABLE, view.revisions.iter().copied());
    let members = view.pods.iter().copied();
    let members = members.filter(|pod| pods::ordinal_in(set, pod).is_some());
    let (pods, more) = claim(set, pod::TABLE, members);
    adoptions.extend(more);
    if !adoptions.is_empty() {
        return Step {
            writes: adoptions,
            wake_at: None,
        };
    }
    revision::sort(&mut revisions);
    let mut turn = Turn::new(view, &pods, &revisions);
    if !is_deleting(set) {
        turn.act();
    }
    turn.finish(&revisions)
}

/// Whether the work of a look goes on, or has to wait for what was done.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Flow {
    Goes,
    Waits,
}

/// A StatefulSet in the middle of a look.
struct Turn<'a> {
    view: View<'a>,
    /// One place for each wanted ordinal.
    replicas: Vec<Option<&'a Value>>,
    /// Pods of other ordinals, highest first.
    condemned: Vec<&'a Value>,
    start: i64,
    min_ready_secs: i64,
    ordered: bool,
    current: Value,
    update: Value,
    /// Pods deleted for an update in this look: they are not current any more.
    replaced: i64,
    step: Step,
}

impl<'a> Turn<'a> {
    fn new(view: View<'a>, pods: &[&'a Value], revisions: &[&'a Value]) -> Self {
        let set = view.set;
        let spec = &set["spec"];
        let start = spec["ordinals"]["start"].as_i64().unwrap_or(0);
        let wanted = spec["replicas"].as_u64().unwrap_or(1);
        let mut replicas = vec![None; usize::try_from(wanted).unwrap_or(usize::MAX)];
        let mut condemned = Vec::new();
        for pod in pods {
            let ordinal = pods::ordinal_in(set, pod).unwrap_or(-1);
            let place = usize::try_from(ordinal - start).ok();
            match place.and_then(|place| replicas.get_mut(place)) {
                Some(place) => *place = Some(*pod),
                None => condemned.push(*pod),
            }
        }
        condemned.sort_by_key(|pod| std::cmp::Reverse(pods::ordinal_in(set, pod)));
        let update = revision::present(set, revisions, REVISION_HASH);
        let current = revisions
            .iter()
            .find(|revision| set["status"]["currentRevision"] == *name(revision));
        let current = current.map_or_else(|| update.revision.clone(), |found| (*found).clone());
        let mut step = Step::default();
        // One that goes would make anew what the garbage collector takes.
        if !is_deleting(set) {
            step.writes.extend(update.write);
        }
        Self {
            view,
            replicas,
            condemned,
            start,
            min_ready_secs: spec["minReadySeconds"].as_i64().unwrap_or(0),
            ordered: spec["podManagementPolicy"] != "Parallel",
            current,
            update: update.revision,
            replaced: 0,
            step,
        }
    }

    fn act(&mut self) {
        for index in 0..self.replicas.len() {
            if self.tend(index) == Flow::Waits && self.ordered {
                return;
            }
        }
        for pod in self.condemned.clone() {
            self.hand_claims(pod);
        }
        for pod in self.condemned.clone() {
            if self.dismiss(pod) == Flow::Waits && self.ordered {
                return;
            }
        }
        if self.view.set["spec"]["updateStrategy"]["type"] != "OnDelete" {
            self.replace_outdated();
        }
    }

    /// Creates or mends the Pod at a place.
    fn tend(&mut self, index: usize) -> Flow {
        let ordinal = self.start + i64::try_from(index).unwrap_or(i64::MAX);
        let Some(pod) = self.replicas[index] else {
            return self.create(ordinal);
        };
        if pod::is_terminal(pod) {
            if !is_deleting(pod) {
                self.delete(pod);
            }
            return Flow::Waits;
        }
        if pod::phase(pod) == "Pending" && !is_deleting(pod) {
            self.create_claims(ordinal);
        }
        if self.ordered && (is_deleting(pod) || !self.is_available(pod)) {
            return Flow::Waits;
        }
        self.mend(pod);
        Flow::Goes
    }

    fn create(&mut self, ordinal: i64) -> Flow {
        let claims = claims::of_pod(self.view.set, ordinal);
        let goes = |claim: &Value| {
            let known = self.view.claims.get(name(claim));
            known.is_some_and(|known| is_deleting(known))
        };
        if claims.iter().any(goes) {
            let again = super::step::after_secs(self.view.now, STALE_CLAIM_SECS);
            self.step.wake(again);
            return Flow::Waits;
        }
        self.create_claims(ordinal);
        let revision = if self.stays_current(ordinal) {
            &self.current
        } else {
            &self.update
        };
        let pod = pods::of_revision(self.view.set, revision, ordinal);
        let message = self.told("Create", name(&pod));
        self.step
            .push(Write::Create(Creation::quiet(pod::TABLE, pod)));
        self.note("SuccessfulCreate", message);
        Flow::Waits
    }

    /// Whether a new Pod of this ordinal is one of the current revision: it is before the
    /// partition of a rolling update.
    fn stays_current(&self, ordinal: i64) -> bool {
        let strategy = &self.view.set["spec"]["updateStrategy"];
        if strategy["type"] == "OnDelete" {
            return false;
        }
        let before = match strategy["rollingUpdate"]["partition"].as_i64() {
            Some(partition) => partition,
            None => self.view.set["status"]["currentReplicas"]
                .as_i64()
                .unwrap_or(0),
        };
        ordinal < self.start + before
    }

    fn create_claims(&mut self, ordinal: i64) {
        for claim in claims::of_pod(self.view.set, ordinal) {
            if self.view.claims.contains_key(name(&claim)) {
                continue;
            }
            let message = format!(
                "Create Claim {} Pod {} in StatefulSet {} success",
                name(&claim),
                pods::name_of(self.view.set, ordinal),
                name(self.view.set)
            );
            let creation = Creation::quiet(CLAIMS, claim);
            self.step.push(Write::Create(creation));
            self.note("SuccessfulCreate", message);
        }
    }

    /// Gives a Pod back its labels, and its claims their owners.
    fn mend(&mut self, pod: &Value) {
        if let Some(mended) = pods::mended(pod) {
            self.step.push(Write::Update(pod::TABLE, mended));
        }
        self.hand_claims(pod);
    }

    fn hand_claims(&mut self, pod: &Value) {
        let ordinal = pods::ordinal_in(self.view.set, pod).unwrap_or(-1);
        let standing = match self
            .replicas
            .iter()
            .flatten()
            .any(|other| name(other) == name(pod))
        {
            true => claims::Standing::Wanted,
            false => claims::Standing::Condemned,
        };
        for claim in claims::of_pod(self.view.set, ordinal) {
            let known = self.view.claims.get(name(&claim)).copied();
            let owned = known.and_then(|known| claims::owned(self.view.set, pod, standing, known));
            if let Some(owned) = owned {
                self.step.push(Write::Update(CLAIMS, owned));
            }
        }
    }

    /// Deletes a Pod that is one too many, when those before it are well.
    fn dismiss(&mut self, pod: &Value) -> Flow {
        if is_deleting(pod) {
            return Flow::Waits;
        }
        if self.ordered && !self.is_available(pod) && !self.is_first_unavailable(pod) {
            return Flow::Waits;
        }
        self.delete(pod);
        Flow::Waits
    }

    fn is_first_unavailable(&self, pod: &Value) -> bool {
        let wanted = self.replicas.iter().copied();
        let condemned = self.condemned.iter().rev().map(|pod| Some(*pod));
        let first = wanted
            .chain(condemned)
            .find(|place| place.is_none_or(|pod| !self.is_available(pod)));
        first
            .flatten()
            .is_some_and(|first| name(first) == name(pod))
    }

    /// Deletes the Pod of the highest ordinal that is not of the update revision.
    fn replace_outdated(&mut self) {
        let rolling = &self.view.set["spec"]["updateStrategy"]["rollingUpdate"];
        let first = rolling["partition"].as_u64().unwrap_or(0);
        let first = usize::try_from(first).unwrap_or(usize::MAX);
        for index in (first..self.replicas.len()).rev() {
            let Some(pod) = self.replicas[index] else {
                return;
            };
            let outdated = label(pod, revision::HASH) != Some(name(&self.update));
            if outdated && !is_deleting(pod) {
                self.delete(pod);
                self.replaced += 1;
                return;
            }
            if is_deleting(pod) || !self.is_available(pod) {
                return;
            }
        }
    }

    fn delete(&mut self, pod: &Value) {
        self.step.push(Write::Delete(Deletion::of(pod::TABLE, pod)));
        let message = self.told("Delete", name(pod));
        self.note("SuccessfulDelete", message);
    }

    fn is_available(&self, pod: &Value) -> bool {
        let at = pod::available_at(pod, self.min_ready_secs);
        pod::phase(pod) == "Running" && at.is_some_and(|at| at <= self.view.now)
    }

    fn told(&self, verb: &str, pod: &str) -> String {
        let set = name(self.view.set);
        format!("{verb} Pod {pod} in StatefulSet {set} successful")
    }

    fn note(&mut self, reason: &'static str, message: String) {
        let component = "statefulset-controller";
        let note = Note::new(component, self.view.set, Severity::Normal, reason, message);
        self.step.push(Write::Event(note));
    }

    fn finish(mut self, revisions: &[&Value]) -> Step {
        if let Some(object) = self.reported() {
            self.step.push(Write::UpdateStatus(TABLE, object));
        }
        let mut live = BTreeSet::from([name(&self.current), name(&self.update)]);
        let pods = self.replicas.iter().flatten().chain(&self.condemned);
        live.extend(pods.filter_map(|pod| label(pod, revision::HASH)));
        let forgotten = revision::forget(self.view.set, revisions, &live);
        self.step.writes.extend(forgotten);
        self.step
    }
}
