//! What somebody confirmed with `meridian confirm`, although it takes something away.

use crate::names::ANNOTATION_CONFIRMED;
use model::ClusterName;
use serde::{Deserialize, Serialize};
use std::collections::{BTreeMap, BTreeSet};

/// The clusters of one federated object for which deletions are confirmed.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum Confirmation {
    /// None.
    #[default]
    None,
    /// These.
    Clusters(BTreeSet<ClusterName>),
    /// All.
    Everywhere,
}

impl Confirmation {
    /// Reads the annotation `<generation>:<cluster>,<cluster>…`, or `<generation>:*`. What was
    /// confirmed of another generation counts for nothing.
    pub fn of(annotations: &BTreeMap<String, String>, generation: i64) -> Self {
        let told = annotations
            .get(ANNOTATION_CONFIRMED)
            .and_then(|text| text.split_once(':'))
            .filter(|(of, _)| of.parse() == Ok(generation));
        let Some((_, clusters)) = told else {
            return Self::None;
        };
        match clusters.split(',').any(|name| name == "*") {
            true => Self::Everywhere,
            false => Self::Clusters(clusters.split(',').map(ClusterName::from).collect()),
        }
    }

    /// Whether it speaks of this cluster.
    pub fn covers(&self, cluster: &ClusterName) -> bool {
        match self {
            Self::None => false,
            Self::Clusters(clusters) => clusters.contains(cluster),
            Self::Everywhere => true,
        }
    }
}
