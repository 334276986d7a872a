//! What the user wants: template, placement, overrides, in the very shape of a federated object's
//! `spec`, so that reading one is deserializing it.

use crate::selector::LabelSelector;
use model::ClusterName;
use serde::{Deserialize, Serialize};
use serde_json::Value;

/// `spec` of a federated object, as far as it says what goes where.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Intent {
    /// The object that is propagated, before overrides.
    #[serde(default)]
    pub template: Value,
    /// Where to.
    #[serde(default)]
    pub placement: Placement,
    /// What differs, per cluster.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub overrides: Vec<OverrideItem>,
    /// In which order clusters get a changed template; absent is all at once.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub rollout: Option<Rollout>,
}

/// `spec.rollout`; see `rollout.rs`.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Rollout {
    /// The steps. A cluster is in the first that names it or matches its labels; the others come
    /// last, together.
    #[serde(default)]
    pub order: Vec<Placement>,
    /// How many clusters of a step may be under way at the same time; absent is all.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub max_clusters: Option<u32>,
    /// What a step waits for.
    #[serde(default)]
    pub pause: Pause,
    /// After how long a step is said to be stalled.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub timeout_seconds: Option<u64>,
}

/// What a step of a rollout waits for.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub enum Pause {
    /// That the clusters of the step before are available.
    #[default]
    AfterAvailable,
    /// That, and somebody's approval.
    Manual,
}

/// `spec.placement`.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Placement {
    /// Named clusters. Present, even empty, they win over the selector.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub clusters: Option<Vec<ClusterReference>>,
    /// Clusters by label; `{}` is every cluster, absent is none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cluster_selector: Option<LabelSelector>,
}

/// A cluster by name.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ClusterReference {
    /// The KubeFedCluster's name.
    pub name: ClusterName,
}

/// Overrides for one cluster by name, or for those a selector matches.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct OverrideItem {
    /// The cluster, by name.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cluster_name: Option<ClusterName>,
    /// The clusters, by label.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cluster_selector: Option<LabelSelector>,
    /// What differs there, in order.
    #[serde(default)]
    pub cluster_overrides: Vec<ClusterOverride>,
}

impl OverrideItem {
    /// Whether it says something else in each cluster, by the cluster's name or place.
    pub(crate) fn differs_by_cluster(&self) -> bool {
        self.cluster_overrides.iter().any(|change| change.expand)
    }
}

/// One JSON Patch operation (RFC 6902).
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct ClusterOverride {
    /// The operation; `replace` when absent, as in KubeFed.
    #[serde(default)]
    pub op: Operation,
    /// JSON Pointer (RFC 6901).
    pub path: String,
    /// Where `move` and `copy` take from.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub from: Option<String>,
    /// The value of `add`, `replace` and `test`; absent is null.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub value: Option<Value>,
    /// Whether `${cluster.name}` and its like are replaced in the value's texts.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub expand: bool,
}

/// Operations of a patch.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Operation {
    /// Insert or set.
    Add,
    /// Take away.
    Remove,
    /// Set what is there; what an absent or empty `op` means.
    #[default]
    #[serde(alias = "")]
    Replace,
    /// Take from one path to another.
    Move,
    /// Copy from one path to another.
    Copy,
    /// Fail unless the value is this.
    Test,
}
