//! What a plan is made of: for every cluster one step that leaves nothing to decide, and why.

use crate::extract::extract;
use crate::names::ANNOTATION_APPLIED_HASH;
use crate::rollout::RolloutPlan;
use crate::status::{PropagationReason, PropagationStatus};
use model::{ClusterName, ObjectKey};
use serde::{Deserialize, Serialize};
use serde_json::Value;
use std::collections::BTreeMap;
use std::sync::Arc;

/// What would be done, complete: applying it makes no choice.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Plan {
    /// One step per cluster that is concerned; clusters without one are none of this object's.
    pub steps: BTreeMap<ClusterName, Step>,
    /// What happens to our finalizer.
    pub finalizer: FinalizerStep,
    /// Deletions owed to members that cannot be reached: written before the finalizer goes.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub tombstones: Vec<TombstoneEntry>,
    /// Problems, in the order they were met.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub report: Vec<Problem>,
    /// Seconds after which time alone changes this plan.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub again_in_secs: Option<u64>,
    /// How far a rollout is, where there is one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub rollout: Option<RolloutPlan>,
}

impl Plan {
    /// Whether applying it writes nothing anywhere.
    pub fn is_quiet(&self) -> bool {
        self.finalizer == FinalizerStep::Keep
            && self.tombstones.is_empty()
            && self.steps.values().all(|step| !step.action.writes())
    }
}

/// What happens in one cluster.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Step {
    /// What to do.
    pub action: Action,
    /// What the cluster's status says once that is done.
    pub status: PropagationStatus,
    /// Why, in words that never hold a Secret's values.
    pub reason: String,
}

/// What to do in one cluster.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum Action {
    /// The member holds exactly what was rendered.
    Nothing,
    /// Server-side apply of an object that is not there, without force.
    ///
    /// The answer must be 201. With 200, or a conflict, somebody else's object was there: report
    /// [`crate::Failure::AlreadyExists`], and plan again from a fresh read.
    Create(Box<Write>),
    /// Server-side apply with force over what is there.
    Apply(Box<Write>),
    /// Server-side apply of what our entry in `managedFields` holds, with other replicas: the rest
    /// stays as it was applied before.
    Scale(Box<Scale>),
    /// Delete.
    Delete(Delete),
    /// Let go: merge-patch our marks away, leave the object.
    Release(Release),
    /// Wait; the status says for what.
    Hold,
    /// Owed to a member that cannot be reached; see [`Plan::tombstones`].
    Tombstone,
}

impl Action {
    /// Whether it changes the member.
    pub fn writes(&self) -> bool {
        matches!(
            self,
            Self::Create(_) | Self::Apply(_) | Self::Scale(_) | Self::Delete(_) | Self::Release(_)
        )
    }

    /// One word for tables and metrics.
    pub fn verb(&self) -> &'static str {
        match self {
            Self::Nothing => "nothing",
            Self::Create(_) => "create",
            Self::Apply(_) => "apply",
            Self::Scale(_) => "scale",
            Self::Delete(_) => "delete",
            Self::Release(_) => "release",
            Self::Hold => "hold",
            Self::Tombstone => "tombstone",
        }
    }
}

/// A server-side apply with field manager [`crate::FIELD_MANAGER`].
#[derive(Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Write {
    /// The whole object to send, our label and annotations included; clusters that are sent the
    /// same share it.
    pub object: Arc<Value>,
    /// The hash of what was rendered, as the annotation says.
    pub hash: String,
    /// What must still be so; the hands put it into `metadata`.
    pub precondition: Precondition,
    /// Managers whose Update entries become ours before the apply.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub takeover: Vec<String>,
}

/// Shows identity and hash, never the object's values: it may be a Secret.
impl std::fmt::Debug for Write {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Write")
            .field("hash", &self.hash)
            .field("precondition", &self.precondition)
            .field("takeover", &self.takeover)
            .finish_non_exhaustive()
    }
}

/// Other replicas for an object that keeps the template it has.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Scale {
    /// The object's uid.
    pub uid: String,
    /// `spec.replicas`.
    pub replicas: i64,
    /// What the annotation says then.
    pub hash: String,
}

impl Scale {
    /// The object to send: what our entry (`fieldsV1`) holds of the live one, with these replicas.
    pub fn object(&self, fields: &Value, live: &Value) -> Value {
        let mut object = extract(fields, live);
        object["spec"]["replicas"] = self.replicas.into();
        object["metadata"]["annotations"][ANNOTATION_APPLIED_HASH] = self.hash.clone().into();
        object
    }
}

/// What a write depends on.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Precondition {
    /// The object is still this one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub uid: Option<String>,
    /// Nobody wrote it since.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub resource_version: Option<String>,
}

/// A deletion, always of the very object that was seen.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Delete {
    /// Its uid.
    pub uid: String,
    /// Its resourceVersion.
    pub resource_version: String,
    /// DeleteOptions of the user, preconditions not included.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub options: Option<Value>,
    /// Whether it goes however many others went: somebody confirmed it, or it was owed.
    #[serde(default)]
    pub confirmed: bool,
}

/// Taking our marks off an object that stays.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Release {
    /// Its uid.
    pub uid: String,
    /// Its resourceVersion.
    pub resource_version: String,
    /// The merge patch (RFC 7386), preconditions included.
    pub patch: Value,
}

/// What happens to our finalizer on the federated object.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub enum FinalizerStep {
    /// As it is.
    #[default]
    Keep,
    /// Added, before any member is written.
    Add,
    /// Removed, after the tombstones are written.
    Remove,
}

/// Something that stands in the way; never an error of the plan itself.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Problem {
    /// The cluster it concerns; absent when it concerns the object.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cluster: Option<ClusterName>,
    /// What kind of problem.
    pub kind: ProblemKind,
    /// In words: what, where, what to do.
    pub message: String,
}

/// Kinds of problems; a fixed set, for conditions, events and metrics.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub enum ProblemKind {
    /// The object goes nowhere: its namespace is not federated.
    NamespaceNotFederated,
    /// Placement names a cluster that is not registered.
    UnknownCluster,
    /// Placement or overrides contradict themselves.
    InvalidIntent,
    /// An override does not fit the template.
    OverrideFailed,
    /// The template is not an object.
    InvalidTemplate,
    /// A member is not ready.
    ClusterNotReady,
    /// A member does not serve the type.
    TypeNotServed,
    /// A member lets us not read the type.
    AccessDenied,
    /// Somebody else's object has the name.
    AlreadyExists,
    /// The member's object says hands off.
    ManagedLabelFalse,
    /// Deletions are stopped until somebody confirms.
    DeletionBraked,
    /// The namespace left a cluster; what is in it stays until somebody confirms.
    NamespaceLeft,
    /// The delete options do not parse.
    InvalidDeleteOptions,
    /// `retainReplicas` keeps a scheduling preference from being obeyed.
    ReplicasRetained,
    /// `placement.clusters` is there but a scheduling preference decides.
    PlacementIgnored,
    /// The object is paused.
    Paused,
    /// A step of its rollout takes longer than it may.
    RolloutStalled,
}

impl ProblemKind {
    /// The reason it gives the Propagation condition, when it decides that.
    pub fn reason(self) -> Option<PropagationReason> {
        match self {
            Self::NamespaceNotFederated => Some(PropagationReason::NamespaceNotFederated),
            Self::InvalidIntent => Some(PropagationReason::ComputePlacementFailed),
            Self::UnknownCluster => Some(PropagationReason::CheckClusters),
            _ => None,
        }
    }
}

/// A deletion or release owed to a member; what a MemberTombstone lists.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct TombstoneEntry {
    /// The member.
    pub cluster: ClusterName,
    /// API group of the object.
    #[serde(default)]
    pub group: String,
    /// API version.
    pub version: String,
    /// Kind.
    pub kind: String,
    /// Resource name in paths.
    pub plural: String,
    /// Namespace and name in the member.
    pub key: ObjectKey,
    /// The federated object's uid; only an object whose origin still says so is touched.
    pub origin_object: String,
    /// What is owed.
    pub owed: Owed,
    /// DeleteOptions of the user.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub options: Option<Value>,
}

/// What is owed to a member.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Owed {
    /// Deleting the object (releasing it, where it was adopted).
    Delete,
    /// Taking our marks off it.
    Release,
}
