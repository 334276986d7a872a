//! The Deployment controller: one look at a Deployment, its ReplicaSets and their Pods gives the
//! writes that bring its rollout one step further, as kube-controller-manager's would.
//!
//! | room | what it decides |
//! |---|---|
//! | here | which ReplicaSet is the new one, revisions, what is written |
//! | [`rollout`] | who grows and who shrinks |
//! | [`status`] | counts and conditions |

mod rollout;
mod set;
mod status;
#[cfg(test)]
mod tests;

use super::claim::{claim, controller_reference};
use super::replica_set;
use super::step::{Creation, Deletion, Note, Severity, Step, Write};
use super::template_hash;
use crate::object::{annotation, is_deleting, metadata_mut, name, namespace};
use jiff::Timestamp;
use serde_json::{Value, json};
use set::{Fate, Set};

/// Table of Deployments.
pub(crate) const TABLE: &str = "deployments.apps";
/// Which rollout a ReplicaSet, or the present of a Deployment, is.
const REVISION: &str = "deployment.kubernetes.io/revision";
/// Rollouts that a ReplicaSet was before.
const REVISION_HISTORY: &str = "deployment.kubernetes.io/revision-history";
/// Replicas of the Deployment when the ReplicaSet was last scaled.
const DESIRED_REPLICAS: &str = "deployment.kubernetes.io/desired-replicas";
/// The same with the surge.
const MAX_REPLICAS: &str = "deployment.kubernetes.io/max-replicas";
/// Label that tells the ReplicaSets of a Deployment apart.
const TEMPLATE_HASH: &str = "pod-template-hash";
/// Annotations that are not copied from a Deployment to its ReplicaSet.
const NOT_COPIED: [&str; 6] = [
    "kubectl.kubernetes.io/last-applied-configuration",
    REVISION,
    REVISION_HISTORY,
    DESIRED_REPLICAS,
    MAX_REPLICAS,
    "deprecated.deployment.rollback.to",
];
/// Longest revision history of a ReplicaSet, as in the real controller.
const REVISION_HISTORY_CHARS_MAX: usize = 2_000;
/// "No deadline" and "no limit" are written as the largest 32-bit number.
const UNLIMITED: i64 = i32::MAX as i64;

/// What a look at one Deployment sees.
#[derive(Debug, Clone, Copy)]
pub(crate) struct View<'a> {
    /// The Deployment.
    pub(crate) deployment: &'a Value,
    /// ReplicaSets of its namespace that it controls or that have no controller.
    pub(crate) replica_sets: &'a [&'a Value],
    /// Pods that those ReplicaSets control.
    pub(crate) pods: &'a [&'a Value],
    /// The present.
    pub(crate) now: Timestamp,
}

/// One look.
pub(crate) fn step(view: View<'_>) -> Step {
    let (owned, adoptions) = claim(
        view.deployment,
        replica_set::TABLE,
        view.replica_sets.iter().copied(),
    );
    if !adoptions.is_empty() {
        // The changes that follow bring the next look.
        return Step {
            writes: adoptions,
            wake_at: None,
        };
    }
    let mut rollout = Rollout::new(view, &owned);
    rollout.advance();
    rollout.finish()
}

/// A Deployment in the middle of a look: copies that are edited, and then compared.
struct Rollout<'a> {
    seen: &'a Value,
    pods: &'a [&'a Value],
    deployment: Value,
    spec: Spec,
    sets: Vec<Set>,
    /// Index of the ReplicaSet with the present template.
    new: Option<usize>,
    deleted: Vec<Deletion>,
    notes: Vec<Note>,
    now: Timestamp,
}

/// What is asked for.
#[derive(Debug, Clone)]
struct Spec {
    replicas: i64,
    strategy: Strategy,
    paused: bool,
    min_ready_secs: i64,
    progress_deadline_secs: Option<i64>,
    history_limit: Option<usize>,
}

#[derive(Debug, Clone)]
enum Strategy {
    RollingUpdate {
        max_surge: Value,
        max_unavailable: Value,
    },
    Recreate,
}

impl<'a> Rollout<'a> {
    fn new(view: View<'a>, owned: &[&Value]) -> Self {
        let mut sets: Vec<Set> = owned.iter().map(|object| Set::seen(object)).collect();
        sets.sort_by_cached_key(Set::age_order);
        let template = without_hash(&view.deployment["spec"]["template"]);
        let new = sets
            .iter()
            .position(|set| without_hash(&set.object["spec"]["template"]) == template);
        Self {
            seen: view.deployment,
            pods: view.pods,
            deployment: view.deployment.clone(),
            spec: Spec::of(view.deployment),
            sets,
            new,
            deleted: Vec::new(),
            notes: Vec::new(),
            now: view.now,
        }
    }

    fn advance(&mut self) {
        if is_deleting(self.seen) {
            self.sync_new();
            self.sync_status();
            return;
        }
        self.mark_pause();
        self.sync_new();
        if self.spec.paused || self.is_scaling() {
            self.scale();
            if self.spec.paused {
                self.forget_old();
            }
            self.sync_status();
            return;
        }
        match self.spec.strategy {
            Strategy::Recreate => self.recreate(),
            Strategy::RollingUpdate { .. } => self.roll(),
        }
        self.sync_rollout_status();
    }

    /// Brings annotations, revision and `minReadySeconds` of the new ReplicaSet up to date.
    fn sync_new(&mut self) {
        let Some(index) = self.new else { return };
        let revision = self.next_revision();
        let deployment = &self.deployment;
        let set = &mut self.sets[index];
        set.copy_annotations(deployment);
        set.raise_revision(revision);
        set.set_min_ready_secs(self.spec.min_ready_secs);
        let revision = annotation(&set.object, REVISION)
            .unwrap_or_default()
            .to_owned();
        let found = name(&set.object).to_owned();
        self.set_revision(&revision);
        self.note_found(&found);
    }

    /// Creates the ReplicaSet of the present template.
    fn create_new(&mut self) -> usize {
        let template = &self.deployment["spec"]["template"];
        let collisions = self.deployment["status"]["collisionCount"].as_i64();
        let hash = template_hash::template_hash(template, collisions);
        let name = replica_set_name(name(&self.deployment), &hash);
        let mut template = template.clone();
        metadata_of(&mut template, "labels")[TEMPLATE_HASH] = json!(hash);
        let mut selector = self.deployment["spec"]["selector"].clone();
        selector["matchLabels"][TEMPLATE_HASH] = json!(hash);
        let object = json!({
            "apiVersion": "apps/v1",
            "kind": "ReplicaSet",
            "metadata": {
                "name": name,
                "namespace": namespace(&self.deployment),
                "labels": template["metadata"]["labels"],
                "annotations": {},
                "ownerReferences": [controller_reference(&self.deployment)],
            },
            "spec": {"replicas": 0, "selector": selector, "template": template},
        });
        let revision = self.next_revision();
        let mut set = Set::created(object);
        set.copy_annotations(&self.deployment);
        set.raise_revision(revision);
        set.set_min_ready_secs(self.spec.min_ready_secs);
        self.sets.push(set);
        let index = self.sets.len() - 1;
        self.new = Some(index);
        let replicas = self.new_replicas(index);
        let (desired, max) = (self.spec.replicas, self.spec.replicas + self.max_surge());
        let set = &mut self.sets[index];
        set.set_replicas(replicas);
        set.annotate(DESIRED_REPLICAS, &desired.to_string());
        set.annotate(MAX_REPLICAS, &max.to_string());
        if replicas > 0 {
            self.note_scaled(format!("Scaled up replica set {name} from 0 to {replicas}"));
        }
        self.set_revision(&revision.to_string());
        self.note_created(&name);
        index
    }

    /// Deletes old ReplicaSets beyond `revisionHistoryLimit`, oldest revision first.
    fn forget_old(&mut self) {
        let Some(limit) = self.spec.history_limit else {
            return;
        };
        let mut old: Vec<&Set> = self
            .old()
            .map(|index| &self.sets[index])
            .filter(|set| !is_deleting(&set.object))
            .collect();
        old.sort_by_key(|set| (set.revision(), set.age_order()));
        let surplus = old.len().saturating_sub(limit);
        let idle = old.iter().take(surplus).filter(|set| set.is_idle());
        self.deleted = idle
            .map(|set| Deletion::of(replica_set::TABLE, &set.object))
            .collect();
    }

    /// One above the highest revision of the old ReplicaSets.
    fn next_revision(&self) -> i64 {
        self.old()
            .map(|index| self.sets[index].revision())
            .max()
            .unwrap_or(0)
            + 1
    }

    /// Indices of all ReplicaSets but the new one, oldest first.
    fn old(&self) -> impl Iterator<Item = usize> + use<> {
        let new = self.new;
        (0..self.sets.len()).filter(move |index| Some(*index) != new)
    }

    fn set_revision(&mut self, revision: &str) {
        if annotation(&self.deployment, REVISION) != Some(revision) {
            metadata_of(&mut self.deployment, "annotations")[REVISION] = json!(revision);
        }
    }

    fn note_scaled(&mut self, message: String) {
        self.notes.push(Note::new(
            "deployment-controller",
            self.seen,
            Severity::Normal,
            "ScalingReplicaSet",
            message,
        ));
    }

    /// Turns edited copies into writes.
    fn finish(self) -> Step {
        let mut step = Step {
            writes: Vec::new(),
            wake_at: self.deadline(),
        };
        for set in self.sets {
            match set.fate {
                Fate::Kept => {}
                Fate::Changed => step.push(Write::Update(replica_set::TABLE, set.object)),
                Fate::Created => {
                    step.push(Write::Create(Creation::quiet(
                        replica_set::TABLE,
                        set.object,
                    )));
                }
            }
        }
        step.writes
            .extend(self.deleted.into_iter().map(Write::Delete));
        if self.deployment != *self.seen {
            step.push(Write::UpdateStatus(TABLE, self.deployment));
        }
        step.writes.extend(self.notes.into_iter().map(Write::Event));
        step
    }
}

impl Spec {
    fn of(deployment: &Value) -> Self {
        let spec = &deployment["spec"];
        let limited = |field: &str| spec[field].as_i64().filter(|number| *number != UNLIMITED);
        let strategy = &spec["strategy"];
        Self {
            replicas: spec["replicas"].as_i64().unwrap_or(1),
            strategy: match strategy["type"].as_str() {
                Some("Recreate") => Strategy::Recreate,
                _ => Strategy::RollingUpdate {
                    max_surge: strategy["rollingUpdate"]["maxSurge"].clone(),
                    max_unavailable: strategy["rollingUpdate"]["maxUnavailable"].clone(),
                },
            },
            paused: spec["paused"].as_bool().unwrap_or(false),
            min_ready_secs: spec["minReadySeconds"].as_i64().unwrap_or(0),
            progress_deadline_secs: limited("progressDeadlineSeconds"),
            history_limit: limited("revisionHistoryLimit").and_then(|limit| limit.try_into().ok()),
        }
    }
}

/// Longest name of an object (RFC 1123 subdomain).
const NAME_CHARS_MAX: usize = 253;

fn replica_set_name(deployment: &str, hash: &str) -> String {
    let room = NAME_CHARS_MAX - hash.len() - 1;
    format!("{}-{hash}", &deployment[..deployment.len().min(room)])
}

/// A template without its hash and without nulls: what makes two of them the same.
fn without_hash(template: &Value) -> Value {
    let mut template = template_hash::without_nulls(template);
    if let Some(labels) = template["metadata"]["labels"].as_object_mut() {
        labels.shift_remove(TEMPLATE_HASH);
    }
    template
}

/// A map of an object's metadata, for editing.
fn metadata_of<'o>(object: &'o mut Value, field: &str) -> &'o mut Value {
    let map = metadata_mut(object).entry(field).or_insert(Value::Null);
    if !map.is_object() {
        *map = json!({});
    }
    map
}
