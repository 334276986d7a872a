//! The federated object's status, with KubeFed's names and values.

use crate::rollout::RolloutStatus;
use model::ClusterName;
use serde::{Deserialize, Serialize};
use serde_json::Value;

/// `status` of a federated object, times apart: the writer keeps those.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Status {
    /// The generation it speaks of.
    pub observed_generation: i64,
    /// Propagation and Ready; others only while they say something.
    pub conditions: Vec<Condition>,
    /// Replicas that all clusters together should run, where the kind has them.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub replicas: Option<i64>,
    /// Those of them that are ready.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ready_replicas: Option<i64>,
    /// The same in words, for tables.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub summary: Option<Summary>,
    /// How far a changed template is, where it goes in steps.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub rollout: Option<RolloutStatus>,
    /// Per cluster, by name.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub clusters: Vec<ClusterStatus>,
}

/// A status in words, as `kubectl get` shows it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Summary {
    /// `7/8`: ready replicas of those wanted; of kinds without replicas, clusters that hold it of
    /// those it is placed in.
    pub ready: String,
    /// `beijing-a 3/3, frankfurt 4/5`: the same per cluster.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub clusters: String,
}

/// A condition without its times.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Condition {
    /// Its type: `Propagation`, `Ready`, `Reconciling`, `Stalled`, or one of
    /// [`crate::ProblemKind`]'s that last.
    #[serde(rename = "type")]
    pub kind: String,
    /// `True` or `False`.
    pub status: String,
    /// One word; empty for success, as in KubeFed.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub reason: String,
    /// In words.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub message: String,
}

/// What one cluster holds, or why it does not.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct ClusterStatus {
    /// The cluster.
    pub name: ClusterName,
    /// KubeFed's value; absent when all is well.
    #[serde(default, skip_serializing_if = "PropagationStatus::is_ok")]
    pub status: PropagationStatus,
    /// Why, in words: the member's own message where it gave one.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub message: String,
    /// Replicas that it should run, where the kind has them.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub replicas: Option<i64>,
    /// Those of them that are ready; none where the cluster cannot be asked.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ready_replicas: Option<i64>,
    /// The object's own status there, when it is collected.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub remote_status: Option<Value>,
    /// Hash of what the member holds.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub observed_hash: Option<String>,
}

/// `clusters[].status`, KubeFed's values.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[expect(
    missing_docs,
    reason = "the names are KubeFed's and say what they mean"
)]
pub enum PropagationStatus {
    #[default]
    #[serde(rename = "")]
    Ok,
    WaitingForRemoval,
    ClusterNotReady,
    CachedRetrievalFailed,
    ComputeResourceFailed,
    ApplyOverridesFailed,
    CreationFailed,
    UpdateFailed,
    DeletionFailed,
    LabelRemovalFailed,
    RetrievalFailed,
    AlreadyExists,
    FieldRetentionFailed,
    VersionRetrievalFailed,
    ClientRetrievalFailed,
    ManagedLabelFalse,
    CreationTimedOut,
    UpdateTimedOut,
    DeletionTimedOut,
    LabelRemovalTimedOut,
}

impl PropagationStatus {
    /// Whether all is well.
    pub fn is_ok(&self) -> bool {
        *self == Self::Ok
    }
}

/// Reason of the condition `Propagation`, KubeFed's values.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[expect(
    missing_docs,
    reason = "the names are KubeFed's and say what they mean"
)]
pub enum PropagationReason {
    #[default]
    #[serde(rename = "")]
    Success,
    CheckClusters,
    ClusterRetrievalFailed,
    ComputePlacementFailed,
    NamespaceNotFederated,
}
