//! What a plan comes to, for people and for programs: the words, and the sums.

use super::fault;
use super::moves::{self, NameMoves};
use crate::manifests::Manifest;
use controller::preview::{HostChange, Preview, PreviewedObject};
use federation::{
    Action, ClusterExplanation, FieldChange, Plan, ProblemKind, PropagationStatus, Step, explain,
};
use model::{ClusterName, ObjectKey};
use serde::Serialize;
use std::collections::{BTreeMap, BTreeSet};

/// All that is printed.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Report {
    pub(super) objects: Vec<Object>,
    pub(super) notes: Vec<Note>,
    /// Members that do not answer, and why.
    pub(super) silent: BTreeMap<ClusterName, String>,
    pub(super) totals: Totals,
    /// What GlobalServices among the manifests move.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub(super) names: Vec<NameMoves>,
    #[serde(skip)]
    faults: Vec<String>,
}

/// One federated object.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Object {
    /// Absent for an object of the host that follows what the files change.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) source: Option<Source>,
    pub(super) kind: String,
    #[serde(flatten)]
    pub(super) key: ObjectKey,
    /// Whether it was asked for by name.
    #[serde(skip)]
    pub(super) asked: bool,
    /// What happens to it on the host.
    pub(super) host: Change,
    /// Whether it is being deleted there: then that is what is planned.
    pub(super) deleting: bool,
    pub(super) clusters: Vec<Part>,
    /// The division of a scheduling preference.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub(super) replicas: Vec<Share>,
    /// The preference's own problems.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub(super) replica_problems: Vec<String>,
    /// What the controller would do, as it would do it; values of Secrets are digests.
    pub(super) plan: Plan,
}

/// Where a manifest was written.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub(super) struct Source {
    pub(super) file: String,
    pub(super) document: usize,
}

/// One cluster's part.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Part {
    pub(super) name: ClusterName,
    pub(super) change: Change,
    pub(super) reason: String,
    /// Why the cluster was or was not chosen.
    pub(super) placement: String,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub(super) fields: Vec<FieldChange>,
}

/// What happens, in one word.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "camelCase")]
pub(super) enum Change {
    /// It is made.
    Create,
    /// It is there, and fields change.
    Update,
    /// It is deleted.
    Delete,
    /// Our marks are taken off it; it stays.
    Release,
    /// It is being deleted, and made anew.
    Recreate,
    /// It stands already as it shall be.
    Keep,
    /// It is left as it is, and the reason says for what.
    Wait,
    /// Nobody could say what is there.
    Unknown,
    /// It is not placed there.
    Skip,
}

/// What one cluster runs.
#[derive(Debug, Serialize)]
pub(super) struct Share {
    pub(super) cluster: String,
    pub(super) replicas: i64,
    pub(super) reason: String,
}

/// Something to know.
#[derive(Debug, Serialize)]
pub(super) struct Note {
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) source: Option<Source>,
    /// Kind and name of what it is about.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) about: Option<String>,
    pub(super) text: String,
}

/// The sums.
#[derive(Debug, Default, Serialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Totals {
    pub(super) create: usize,
    pub(super) update: usize,
    pub(super) delete: usize,
    pub(super) release: usize,
    pub(super) wait: usize,
    /// Clusters in which something would change.
    pub(super) clusters: usize,
    /// Clusters of which some part is not known.
    pub(super) unknown_clusters: usize,
    /// Federated objects that are new on the host, or change there.
    pub(super) on_host: usize,
}

impl Report {
    pub(super) fn of(preview: &Preview, manifests: &[Manifest]) -> Self {
        let source = |index: Option<usize>| index.map(|index| Source::of(&manifests[index]));
        let objects = preview
            .objects
            .iter()
            .map(|object| Object::of(object, source(object.manifest)));
        let (objects, untouched): (Vec<Object>, Vec<Object>) =
            objects.partition(Object::is_worth_showing);
        // What is said of a GlobalService is what it moves.
        let is_steered = |index: usize| moves::is_steered(&manifests[index]);
        let notes = preview.notes.iter();
        let notes = notes.filter(|note| !note.manifest.is_some_and(is_steered));
        let notes = notes.map(|note| Note {
            source: source(note.manifest),
            about: note.manifest.map(|index| {
                let manifest = &manifests[index];
                format!("{} {}", manifest.kind(), manifest.name())
            }),
            text: note.text.clone(),
        });
        let mut notes: Vec<Note> = notes.collect();
        if preview.registered == 0 {
            notes.push(Note::of(
                "no member is registered: 'meridian join' makes one",
            ));
        }
        if !untouched.is_empty() {
            let count = untouched.len();
            notes.push(Note::of(&format!(
                "objects of the host that follow what the files change, and stay as they are: \
                 {count}"
            )));
        }
        let faults = preview.objects.iter().flat_map(|object| {
            let manifest = object.manifest.map(|index| &manifests[index]);
            manifest.map(|manifest| faults(object, manifest))
        });
        Self {
            totals: Totals::of(&objects),
            names: Vec::new(),
            silent: preview.silent.clone(),
            faults: faults.flatten().collect(),
            objects,
            notes,
        }
    }

    /// Mistakes in the manifests that the plan met: they are errors, whatever else would change.
    pub(super) fn faults(&self) -> Vec<String> {
        self.faults.clone()
    }

    /// Whether anything would change, or may.
    pub(super) fn would_change(&self) -> bool {
        let totals = &self.totals;
        totals.changes() + totals.unknown_clusters + totals.on_host > 0
    }
}

impl Note {
    fn of(text: &str) -> Self {
        Self {
            source: None,
            about: None,
            text: text.to_owned(),
        }
    }
}

impl Source {
    fn of(manifest: &Manifest) -> Self {
        Self {
            file: manifest.source.clone(),
            document: manifest.document,
        }
    }
}

impl Object {
    fn of(object: &PreviewedObject, source: Option<Source>) -> Self {
        let input = &object.input;
        let clusters = explain(input).clusters.into_iter();
        let status = object.replicas.as_ref().map(|planned| &planned.status);
        let shares = status.iter().flat_map(|status| &status.clusters);
        let problems = status.iter().flat_map(|status| &status.conditions);
        let problems = problems
            .filter(|condition| (condition.r#type == "Scheduled") == (condition.status == "False"));
        let target = &input.target;
        let namespace = match (&*target.key.namespace, target.kind.as_str()) {
            ("", "Namespace") => &*target.key.name,
            (namespace, _) => namespace,
        };
        Self {
            source,
            asked: object.asked,
            kind: input.object.kind.clone(),
            key: ObjectKey::new(namespace, &target.key.name),
            host: match object.host {
                HostChange::Create => Change::Create,
                HostChange::Update => Change::Update,
                HostChange::None => Change::Keep,
            },
            deleting: input.object.deleted_for_secs.is_some(),
            clusters: clusters.map(|cluster| Part::of(object, cluster)).collect(),
            replicas: shares
                .map(|share| Share {
                    cluster: share.name.clone(),
                    replicas: share.replicas,
                    reason: share.reason.clone(),
                })
                .collect(),
            replica_problems: problems
                .filter_map(|condition| condition.message.clone())
                .collect(),
            plan: object.plan.redacted(input),
        }
    }

    /// What is not in the files, and stays as it is, is only counted.
    fn is_worth_showing(&self) -> bool {
        let still = |part: &Part| matches!(part.change, Change::Keep | Change::Skip);
        self.source.is_some()
            || self.asked
            || !self.replicas.is_empty()
            || !self.clusters.iter().all(still)
    }
}

impl Part {
    fn of(object: &PreviewedObject, cluster: ClusterExplanation) -> Self {
        let step = object.plan.steps.get(&cluster.name);
        let unknown = object.unknown.get(&cluster.name);
        let (change, reason) = match (unknown, step) {
            (Some(why), _) => (Change::Unknown, why.clone()),
            (None, None) if cluster.chosen => (Change::Skip, "nothing of it is left".to_owned()),
            (None, None) => (Change::Skip, cluster.placement.clone()),
            (None, Some(step)) => (change(step, cluster.chosen), step.reason.clone()),
        };
        let fields = object.changes.get(&cluster.name);
        Self {
            change,
            reason,
            fields: fields.cloned().unwrap_or_default(),
            placement: cluster.placement,
            name: cluster.name,
        }
    }
}

fn change(step: &Step, chosen: bool) -> Change {
    match &step.action {
        Action::Create(_) => Change::Create,
        Action::Apply(_) | Action::Scale(_) => Change::Update,
        Action::Delete(_) | Action::Tombstone => Change::Delete,
        Action::Release(_) => Change::Release,
        Action::Nothing => Change::Keep,
        Action::Hold if chosen && step.status == PropagationStatus::WaitingForRemoval => {
            Change::Recreate
        }
        Action::Hold => Change::Wait,
    }
}

/// Problems of the plan that only the manifest's author can mend.
fn faults(object: &PreviewedObject, manifest: &Manifest) -> Vec<String> {
    let theirs = [
        ProblemKind::InvalidIntent,
        ProblemKind::InvalidTemplate,
        ProblemKind::OverrideFailed,
        ProblemKind::InvalidDeleteOptions,
    ];
    let problems = object.plan.report.iter();
    let met = problems.filter(|problem| theirs.contains(&problem.kind));
    let faults = met.map(|problem| match &problem.cluster {
        Some(cluster) => fault(manifest, &format!("{} (in {cluster})", problem.message)),
        None => fault(manifest, &problem.message),
    });
    faults.collect()
}

impl Totals {
    fn of(objects: &[Object]) -> Self {
        let mut totals = Self::default();
        let (mut changed, mut unknown) = (BTreeSet::new(), BTreeSet::new());
        for object in objects {
            totals.on_host += usize::from(object.host != Change::Keep);
            for part in &object.clusters {
                let sum = match part.change {
                    Change::Create | Change::Recreate => &mut totals.create,
                    Change::Update => &mut totals.update,
                    Change::Delete => &mut totals.delete,
                    Change::Release => &mut totals.release,
                    Change::Wait => {
                        totals.wait += 1;
                        continue;
                    }
                    Change::Unknown => {
                        unknown.insert(&part.name);
                        continue;
                    }
                    Change::Keep | Change::Skip => continue,
                };
                *sum += 1;
                changed.insert(&part.name);
            }
        }
        totals.clusters = changed.len();
        totals.unknown_clusters = unknown.len();
        totals
    }

    /// What would change in members.
    pub(super) fn changes(&self) -> usize {
        self.create + self.update + self.delete + self.release
    }
}
