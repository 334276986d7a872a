//! A scheduling preference: how many replicas, and how they are shared out.

use model::ClusterName;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::fmt;

/// The entry of [`Preference::clusters`] for clusters without one of their own.
pub const EVERY_CLUSTER: &str = "*";

/// `spec` of a ReplicaSchedulingPreference, as far as it divides.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Preference {
    /// Replicas in all clusters together.
    pub total_replicas: i64,
    /// Whether running replicas are moved for the sake of the weights; without it, only those that
    /// must.
    #[serde(default)]
    pub rebalance: bool,
    /// Per cluster by name, or `*`. Empty means `*` with weight 1.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub clusters: BTreeMap<String, ClusterPreference>,
    /// How evenly, over groups of clusters; each narrows the one before.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub spread: Vec<SpreadConstraint>,
}

/// How evenly replicas are spread over groups of clusters.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct SpreadConstraint {
    /// What makes a group.
    pub by: SpreadBy,
    /// At least so many groups get replicas, where there are as many.
    #[serde(default)]
    pub min_groups: i64,
    /// No group has so many more than another; absent is without a bound.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub max_skew: Option<i64>,
}

/// What makes a group.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum SpreadBy {
    /// The clusters of one region.
    Region,
    /// The clusters with the same zones.
    Zone,
}

impl fmt::Display for SpreadBy {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Region => "region",
            Self::Zone => "zone",
        })
    }
}

/// What one cluster may and should have.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct ClusterPreference {
    /// At least so many, where they are enough.
    #[serde(default)]
    pub min_replicas: i64,
    /// At most so many; absent is without a bound.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub max_replicas: Option<i64>,
    /// The share of what is left after the minima; 0 takes none of it.
    #[serde(default)]
    pub weight: i64,
}

impl Preference {
    /// What is said of a cluster: by name, else by `*`, else nothing.
    pub fn of(&self, cluster: &ClusterName) -> Option<ClusterPreference> {
        self.clusters
            .get(cluster.as_str())
            .or_else(|| self.clusters.get(EVERY_CLUSTER))
            .copied()
    }

    /// Itself, with KubeFed's default where no cluster is named.
    pub fn with_default(&self) -> Self {
        let mut preference = self.clone();
        if preference.clusters.is_empty() {
            let equal = ClusterPreference {
                weight: 1,
                ..ClusterPreference::default()
            };
            preference.clusters.insert(EVERY_CLUSTER.to_owned(), equal);
        }
        preference
    }
}
