//! ReplicaSchedulingPreference: how replicas are divided over members.

use crate::{Condition, FailbackConfig, FailoverConfig, schema};
use kube::CustomResource;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// Divides the replicas of the federated object of the same namespace and name.
#[derive(CustomResource, JsonSchema, Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[kube(
    group = "scheduling.kubefed.io",
    version = "v1alpha1",
    kind = "ReplicaSchedulingPreference",
    plural = "replicaschedulingpreferences",
    singular = "replicaschedulingpreference",
    namespaced,
    shortname = "rsp",
    status = "ReplicaSchedulingPreferenceStatus",
    scale(
        spec_replicas_path = ".spec.totalReplicas",
        status_replicas_path = ".status.replicas",
        label_selector_path = ".status.selector"
    ),
    derive = "PartialEq",
    doc = "How the replicas of a federated workload are divided over the members.",
    printcolumn = r#"{"name": "target", "type": "string", "jsonPath": ".spec.targetKind"}"#,
    printcolumn = r#"{"name": "total", "type": "integer", "jsonPath": ".spec.totalReplicas"}"#,
    printcolumn = r#"{"name": "running", "type": "integer", "jsonPath": ".status.replicas"}"#,
    printcolumn = r#"{"name": "age", "type": "date", "jsonPath": ".metadata.creationTimestamp"}"#
)]
#[serde(rename_all = "camelCase")]
#[schemars(extend("x-kubernetes-validations" = [{"rule": "!has(self.clusters) || self.clusters.all(name, !has(self.clusters[name].maxReplicas) || !has(self.clusters[name].minReplicas) || self.clusters[name].minReplicas <= self.clusters[name].maxReplicas)", "message": "clusters: minReplicas of a cluster is at most its maxReplicas"}]))]
pub struct ReplicaSchedulingPreferenceSpec {
    /// The federated kind, such as `FederatedDeployment`; any whose target has `spec.replicas`.
    #[schemars(length(min = 1, max = 63))]
    pub target_kind: String,
    /// How many replicas in all. The subresource `scale` is this number: `kubectl scale`, a
    /// HorizontalPodAutoscaler of the host and KEDA change it.
    #[schemars(range(min = 0))]
    pub total_replicas: i32,
    /// Whether running replicas move to match the preference; else only what must move does.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub rebalance: bool,
    /// Whether only clusters count that the target's `placement.clusterSelector` matches.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub intersect_with_cluster_selector: bool,
    /// Per cluster; `*` is for every cluster that has no entry of its own.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    #[schemars(extend("maxProperties" = 1000))]
    pub clusters: BTreeMap<String, ClusterPreferences>,
    /// How evenly over regions and zones; each narrows the one before. A group that is full, or at
    /// its minima, holds nobody back: what cannot be met is the condition `Spread`.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 2))]
    pub spread: Vec<SpreadConstraint>,
    /// Overrides the settings' word on failover.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub failover: Option<FailoverConfig>,
    /// Overrides the settings' word on fail-back.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub failback: Option<FailbackConfig>,
}

/// What one cluster should hold.
#[derive(JsonSchema, Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct ClusterPreferences {
    /// At least so many; 0 when absent.
    #[serde(default, skip_serializing_if = "is_zero")]
    #[schemars(range(min = 0))]
    pub min_replicas: i64,
    /// At most so many; without bound when absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 0))]
    pub max_replicas: Option<i64>,
    /// Its share of what is above the minima; 0 when absent.
    #[serde(default, skip_serializing_if = "is_zero")]
    #[schemars(range(min = 0))]
    pub weight: i64,
}

/// How evenly replicas are spread over groups of clusters.
#[derive(JsonSchema, Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct SpreadConstraint {
    /// `region`: the clusters of a region; `zone`: the clusters with the same zones.
    pub by: SpreadBy,
    /// At least so many groups get replicas, where there are as many.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 1))]
    pub min_groups: Option<i64>,
    /// No group has so many more than another; without bound when absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 1))]
    pub max_skew: Option<i64>,
}

/// What makes a group of clusters.
#[derive(JsonSchema, Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum SpreadBy {
    /// The clusters of one region.
    Region,
    /// The clusters with the same zones.
    Zone,
}

fn is_zero(number: &i64) -> bool {
    *number == 0
}

/// The division.
#[derive(JsonSchema, Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct ReplicaSchedulingPreferenceStatus {
    /// The generation that was divided.
    #[serde(default)]
    pub observed_generation: i64,
    /// `Scheduled`, `FailoverBraked` and what else stands in the way.
    #[serde(default)]
    #[schemars(schema_with = "schema::conditions")]
    pub conditions: Vec<Condition>,
    /// How many replicas the members run in all, as far as they were seen.
    #[serde(default)]
    pub replicas: i64,
    /// Which Pods they are, for autoscalers; absent where the template selects none.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    #[schemars(length(max = 4096))]
    pub selector: String,
    /// What each cluster gets, and why.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 1000))]
    pub clusters: Vec<ClusterReplicas>,
    /// The last divisions, newest first, for `meridian history` and `meridian undo`.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 5))]
    pub history: Vec<PastDivision>,
}

/// Divisions that a status keeps.
pub const DIVISIONS_KEPT_MAX: usize = 5;

/// A division as it once was.
#[derive(JsonSchema, Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct PastDivision {
    /// Since when (RFC 3339).
    #[schemars(length(max = 40))]
    pub divided_at: String,
    /// The generation of the preference that it was made for.
    pub generation: i64,
    /// Replicas by cluster.
    #[schemars(extend("maxProperties" = 1000))]
    pub clusters: BTreeMap<String, i64>,
}

/// What one cluster gets.
#[derive(JsonSchema, Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct ClusterReplicas {
    /// The cluster.
    pub name: String,
    /// How many.
    pub replicas: i64,
    /// Why.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub reason: String,
    /// Where it stands in failover, for the next leader; absent while it serves.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    #[schemars(length(max = 32))]
    pub phase: String,
}
