//! What has to leave a cluster before a Namespace there may go: replicas that others take over.
//!
//! Make before break holds for a namespace that leaves a cluster too. The division of a preference
//! lets replicas go as others become ready; while it gives a cluster some, they are still there.

use crate::input::{ClusterFacts, DividedReplicas};
use crate::intent::Placement;
use crate::place::by_placement;
use model::ClusterName;
use std::collections::{BTreeMap, BTreeSet};

/// Replicas in the namespace that a scheduling preference divides.
#[derive(Clone, Debug, PartialEq)]
pub struct Tenant {
    /// Its kind and name, for words.
    pub name: String,
    /// The division; none while nobody has planned it.
    pub division: Option<BTreeMap<ClusterName, DividedReplicas>>,
}

/// The clusters that a namespace has left and some of its tenants have not, with words.
///
/// A tenant that nobody can take over is not waited for: nothing is gained by it.
pub fn occupied(
    placement: &Placement,
    clusters: &BTreeMap<ClusterName, ClusterFacts>,
    tenants: impl IntoIterator<Item = Tenant>,
) -> BTreeMap<ClusterName, String> {
    let choices = by_placement(placement, clusters);
    let (placed, left): (BTreeSet<_>, BTreeSet<_>) = clusters
        .keys()
        .partition(|name| choices.get(*name).is_some_and(|choice| choice.is_chosen()));
    let mut occupied: BTreeMap<ClusterName, String> = BTreeMap::new();
    if placed.is_empty() || left.is_empty() {
        return occupied;
    }
    for tenant in tenants {
        for name in left.iter().filter(|name| tenant.stays_in(name, &placed)) {
            let words = occupied
                .entry((*name).clone())
                .or_insert_with(|| "these leave first:".to_owned());
            words.push_str(&format!(" {}", tenant.name));
        }
    }
    occupied
}

impl Tenant {
    fn stays_in(&self, cluster: &ClusterName, placed: &BTreeSet<&ClusterName>) -> bool {
        let Some(division) = &self.division else {
            // Nobody knows yet.
            return true;
        };
        let can_be_taken_over = division.keys().any(|name| placed.contains(name));
        can_be_taken_over
            && match division.get(cluster) {
                Some(DividedReplicas::Set(replicas)) => *replicas > 0,
                Some(DividedReplicas::Keep) => true,
                Some(DividedReplicas::Lost) | None => false,
            }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::test_world::World;
    use DividedReplicas::{Keep, Lost, Set};

    /// What keeps a namespace in `b` and `c`, once it is placed in these only.
    fn check(placed: &[&str], division: Option<&[(&str, DividedReplicas)]>, expected: &[&str]) {
        let mut world = World::new(&["a", "b", "c"]);
        world.place_named(placed);
        let division = division.map(|of| of.iter().map(|(name, is)| ((*name).into(), *is)));
        let tenant = Tenant {
            name: "Deployment web".to_owned(),
            division: division.map(Iterator::collect),
        };
        let input = &world.input;
        let found = occupied(&input.intent.placement, &input.clusters, [tenant]);
        let found: Vec<String> = found
            .iter()
            .map(|(name, words)| format!("{name} {words}"))
            .collect();
        assert_eq!(found, expected);
    }

    #[test]
    fn a_namespace_is_kept_where_replicas_are_until_others_have_taken_them() {
        let in_b = "b these leave first: Deployment web";
        let in_c = "c these leave first: Deployment web";
        check(
            &["a"],
            Some(&[("a", Set(2)), ("b", Set(2)), ("c", Keep)]),
            &[in_b, in_c],
        );
        check(
            &["a"],
            Some(&[("a", Set(4)), ("b", Set(0)), ("c", Lost)]),
            &[],
        );
        check(&["a"], Some(&[("a", Set(4))]), &[]);
        // Nobody has planned it yet.
        check(&["a"], None, &[in_b, in_c]);
    }

    #[test]
    fn where_nobody_can_take_them_over_nothing_waits() {
        check(&["a"], Some(&[("b", Set(2))]), &[]);
        check(&[], Some(&[("a", Set(2)), ("b", Set(2))]), &[]);
        check(&["a", "b", "c"], None, &[]);
    }
}
