//! What has to leave a cluster before a Namespace there may go: replicas that others take over.
//!
//! Make before break holds for a namespace that leaves a cluster too. The division of a preference
//! lets replicas go as others become ready; while it names a cluster, they are still there.

use crate::context::Context;
use crate::members::key_of;
use api::ReplicaSchedulingPreference;
use federation::{ClusterFacts, DividedReplicas, Placement, by_placement};
use model::ClusterName;
use std::collections::{BTreeMap, BTreeSet};

/// The clusters that the namespace of this name has left and whose replicas have not, with words.
pub(crate) fn occupied(
    context: &Context,
    namespace: &str,
    placement: &Placement,
    clusters: &BTreeMap<ClusterName, ClusterFacts>,
) -> BTreeMap<ClusterName, String> {
    let placed: BTreeSet<ClusterName> = by_placement(placement, clusters)
        .into_iter()
        .filter(|(_, choice)| choice.is_chosen())
        .map(|(name, _)| name)
        .collect();
    let mut occupied: BTreeMap<ClusterName, String> = BTreeMap::new();
    for preference in context.host.preferences.state() {
        if preference.metadata.namespace.as_deref() != Some(namespace) || placed.is_empty() {
            continue;
        }
        for name in stays_in(context, &preference, &placed, clusters) {
            let words = occupied
                .entry(name)
                .or_insert_with(|| "these leave first:".to_owned());
            let target = preference.spec.target_kind.trim_start_matches("Federated");
            words.push_str(&format!(
                " {target} {}",
                preference.metadata.name.as_deref().unwrap_or_default()
            ));
        }
    }
    occupied
}

/// Where a preference's replicas are although the namespace has left.
fn stays_in(
    context: &Context,
    preference: &ReplicaSchedulingPreference,
    placed: &BTreeSet<ClusterName>,
    clusters: &BTreeMap<ClusterName, ClusterFacts>,
) -> Vec<ClusterName> {
    let key = key_of(&preference.metadata);
    let target = context.type_of_kind(&preference.spec.target_kind);
    if target.is_none_or(|cache| cache.get(&key).is_none()) {
        return Vec::new();
    }
    let left = clusters.keys().filter(|name| !placed.contains(*name));
    let Some(division) = context.divisions.get(&key) else {
        // Not planned yet: nobody knows.
        return left.cloned().collect();
    };
    // Where nobody can take them, nothing is gained by waiting.
    if !division.keys().any(|name| placed.contains(name)) {
        return Vec::new();
    }
    let runs = |name: &&ClusterName| match division.get(*name) {
        Some(DividedReplicas::Set(replicas)) => *replicas > 0,
        Some(DividedReplicas::Keep) => true,
        Some(DividedReplicas::Lost) | None => false,
    };
    left.filter(runs).cloned().collect()
}
