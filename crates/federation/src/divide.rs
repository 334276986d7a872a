//! The product's division: KubeFed's shares, reached by the fewest moves.
//!
//! The target is [`divide_kubefed`] as if nothing ran anywhere, so that it depends on the preference
//! alone. With `rebalance` the target is the answer. Without it, every cluster keeps what it runs
//! as far as its bounds allow; what is missing is added where the target is furthest away, and what
//! is too much is taken where it is furthest exceeded. Nothing else moves.

use crate::{
    divide_kubefed::{Row, divide_anew, divide_kubefed, fnv1_32},
    preference::{ClusterPreference, Preference},
};
use model::ClusterName;
use serde::{Deserialize, Serialize};
use std::{
    cmp::Reverse,
    collections::{BTreeMap, BTreeSet},
};

/// What is known of a cluster that may get replicas.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Candidate {
    /// Replicas it is told to run now; 0 where there are none.
    pub current: i64,
    /// Replicas it can run at most, when more were found unschedulable.
    pub capacity: Option<i64>,
}

/// Divides a preference's replicas. `key` is its `namespace/name`.
///
/// With some weight above zero the result sums to the total unless maxima or capacities forbid it;
/// no cluster is under its minimum if all of them are feasible.
pub fn divide(
    preference: &Preference,
    candidates: &BTreeMap<ClusterName, Candidate>,
    key: &str,
) -> BTreeMap<ClusterName, i64> {
    let with_default;
    let preference = match preference.clusters.is_empty() {
        true => {
            with_default = preference.with_default();
            &with_default
        }
        false => preference,
    };
    let rows: Vec<Row<'_>> = candidates
        .iter()
        .map(|(name, candidate)| Row {
            name,
            bounds: preference.of(name),
            capacity: candidate.capacity,
            hash: fnv1_32(&[name.as_str(), key]),
        })
        .collect();
    let target = divide_anew(&rows, preference.total_replicas);
    if preference.rebalance {
        let names = candidates.keys().cloned();
        return names.zip(target).collect();
    }
    let without_weights: Vec<Row<'_>> = rows.iter().map(without_weight).collect();
    let minima = divide_anew(&without_weights, preference.total_replicas);
    let clusters = rows
        .iter()
        .zip(candidates.values())
        .zip(target.iter().zip(minima))
        .map(|((row, candidate), (target, minimum))| Cluster {
            name: row.name,
            hash: row.hash,
            weight: row.bounds.map_or(0, |bounds| bounds.weight),
            kept: kept(row.bounds, *candidate, minimum.min(*target)),
            target: *target,
        })
        .collect();
    let plan = move_least(clusters, preference.total_replicas);
    top_up(preference, plan, candidates, key)
}

/// What clusters without a weight keep may be more than their target, so that the others' targets
/// together are less than what is missing: these then take more, by weight.
fn top_up(
    preference: &Preference,
    plan: BTreeMap<ClusterName, i64>,
    candidates: &BTreeMap<ClusterName, Candidate>,
    key: &str,
) -> BTreeMap<ClusterName, i64> {
    if plan.values().sum::<i64>() >= preference.total_replicas {
        return plan;
    }
    let names: BTreeSet<ClusterName> = candidates.keys().cloned().collect();
    let capacity = candidates
        .iter()
        .filter_map(|(name, candidate)| Some((name.clone(), candidate.capacity?)))
        .collect();
    let at_least = plan.iter().filter_map(|(name, replicas)| {
        let bounds = preference.of(name)?;
        let min_replicas = *replicas;
        Some((
            name.to_string(),
            ClusterPreference {
                min_replicas,
                ..bounds
            },
        ))
    });
    let at_least = Preference {
        clusters: at_least.collect(),
        ..preference.clone()
    };
    divide_kubefed(&at_least, &names, &BTreeMap::new(), &capacity, key).plan
}

struct Cluster<'a> {
    name: &'a ClusterName,
    hash: u32,
    weight: i64,
    /// What it keeps of what it runs, raised to its minimum.
    kept: i64,
    target: i64,
}

fn without_weight<'a>(row: &Row<'a>) -> Row<'a> {
    let bounds = row.bounds.map(|bounds| ClusterPreference {
        weight: 0,
        ..bounds
    });
    Row { bounds, ..*row }
}

/// Who is not named keeps nothing.
fn kept(bounds: Option<ClusterPreference>, candidate: Candidate, minimum: i64) -> i64 {
    let max = match bounds {
        Some(bounds) => bounds.max_replicas,
        None => Some(0),
    };
    [max, candidate.capacity]
        .into_iter()
        .flatten()
        .fold(candidate.current, i64::min)
        .max(minimum)
}

fn move_least(clusters: Vec<Cluster<'_>>, total: i64) -> BTreeMap<ClusterName, i64> {
    let kept: i64 = clusters.iter().map(|cluster| cluster.kept).sum();
    let target: i64 = clusters.iter().map(|cluster| cluster.target).sum();
    let missing = target - kept;
    let surplus = kept - total;
    let moves = if missing > 0 {
        apportion(missing, &clusters, |cluster| cluster.target - cluster.kept)
    } else if surplus > 0 {
        apportion(surplus, &clusters, |cluster| cluster.kept - cluster.target)
    } else {
        vec![0; clusters.len()]
    };
    let sign = if missing > 0 { 1 } else { -1 };
    clusters
        .iter()
        .zip(moves)
        .map(|(cluster, moved)| (cluster.name.clone(), cluster.kept + sign * moved))
        .collect()
}

/// Shares an amount out in proportion to how far each cluster is from its target, by largest
/// remainder; equal remainders go by weight and hash, as KubeFed orders clusters.
///
/// The distances sum to at least the amount, so that nobody passes its target.
fn apportion(
    amount: i64,
    clusters: &[Cluster<'_>],
    distance: impl Fn(&Cluster<'_>) -> i64,
) -> Vec<i64> {
    let distances: Vec<i128> = clusters
        .iter()
        .map(|cluster| i128::from(distance(cluster).max(0)))
        .collect();
    let sum: i128 = distances.iter().sum();
    if sum == 0 {
        return vec![0; clusters.len()];
    }
    let amount = i128::from(amount).min(sum);
    let mut moves: Vec<i128> = distances
        .iter()
        .map(|distance| amount * distance / sum)
        .collect();
    let left = usize::try_from(amount - moves.iter().sum::<i128>())
        .expect("rounding down leaves less than one per cluster");
    let mut order: Vec<usize> = (0..clusters.len()).collect();
    order.sort_by_key(|index| {
        let remainder = amount * distances[*index] % sum;
        let cluster = &clusters[*index];
        (
            Reverse(remainder),
            Reverse(cluster.weight),
            cluster.hash,
            *index,
        )
    });
    for index in order.into_iter().take(left) {
        moves[index] += 1;
    }
    moves
        .into_iter()
        .map(|moved| i64::try_from(moved).expect("a part of an i64 is an i64"))
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn names(current: &[(&str, i64)]) -> BTreeMap<ClusterName, Candidate> {
        current
            .iter()
            .map(|(name, current)| {
                let candidate = Candidate {
                    current: *current,
                    capacity: None,
                };
                (ClusterName::from(*name), candidate)
            })
            .collect()
    }

    fn equal(total: i64) -> Preference {
        Preference {
            total_replicas: total,
            ..Preference::default()
        }
    }

    fn check(preference: &Preference, current: &[(&str, i64)], expected: &[(&str, i64)]) {
        let division = divide(preference, &names(current), "shop/web");
        let division: Vec<_> = division
            .iter()
            .map(|(name, replicas)| (name.as_str(), *replicas))
            .collect();
        assert_eq!(division, expected, "{current:?}");
    }

    #[test]
    fn too_many_are_taken_where_they_are_too_many() {
        // KubeFed answers 0 and 50 (kubernetes #31816).
        check(&equal(50), &[("A", 10), ("B", 70)], &[("A", 10), ("B", 40)]);
    }

    #[test]
    fn without_rebalance_only_what_must_moves() {
        check(&equal(50), &[("A", 40), ("B", 10)], &[("A", 40), ("B", 10)]);
        check(&equal(52), &[("A", 40), ("B", 10)], &[("A", 40), ("B", 12)]);
        check(&equal(48), &[("A", 40), ("B", 10)], &[("A", 38), ("B", 10)]);
        let mut rebalance = equal(50);
        rebalance.rebalance = true;
        check(&rebalance, &[("A", 40), ("B", 10)], &[("A", 25), ("B", 25)]);
    }

    #[test]
    fn a_cluster_that_may_not_have_any_gives_all_away() {
        let mut preference = equal(10);
        preference.clusters = [("A", 1), ("B", 1)]
            .map(|(name, weight)| {
                (
                    name.to_owned(),
                    ClusterPreference {
                        weight,
                        ..Default::default()
                    },
                )
            })
            .into();
        check(
            &preference,
            &[("A", 2), ("B", 2), ("C", 6)],
            &[("A", 5), ("B", 5), ("C", 0)],
        );
    }

    #[test]
    fn minima_and_maxima_are_what_must() {
        let mut preference = equal(10);
        let bounds = |min_replicas, max_replicas| ClusterPreference {
            min_replicas,
            max_replicas,
            weight: 1,
        };
        preference.clusters = [
            ("A".to_owned(), bounds(3, None)),
            ("B".to_owned(), bounds(0, Some(6))),
        ]
        .into();
        check(&preference, &[("A", 0), ("B", 10)], &[("A", 4), ("B", 6)]);
    }

    #[test]
    fn what_is_missing_beside_replicas_without_a_weight_goes_to_whoever_has_one() {
        let mut preference = equal(33);
        let bounds = |weight, max_replicas| ClusterPreference {
            weight,
            max_replicas,
            ..ClusterPreference::default()
        };
        preference.clusters = [
            ("A".to_owned(), bounds(0, None)),
            ("B".to_owned(), bounds(1, Some(28))),
        ]
        .into();
        check(&preference, &[("A", 30), ("B", 2)], &[("A", 30), ("B", 3)]);
    }

    #[test]
    fn replicas_without_a_weight_stay_while_they_are_wanted() {
        let mut preference = equal(10);
        preference.clusters = [("*".to_owned(), ClusterPreference::default())].into();
        check(&preference, &[("A", 4), ("B", 0)], &[("A", 4), ("B", 0)]);
    }

    fn preferences() -> impl Strategy<Value = (Preference, BTreeMap<ClusterName, Candidate>)> {
        let cluster = (
            0..20i64,
            proptest::option::of(0..60i64),
            0..50i64,
            0..60i64,
            proptest::option::of(0..60i64),
        );
        (
            0..300i64,
            any::<bool>(),
            proptest::collection::vec(cluster, 1..9),
        )
            .prop_map(|(total_replicas, rebalance, rows)| {
                let mut preference = Preference {
                    total_replicas,
                    rebalance,
                    ..Preference::default()
                };
                let mut candidates = BTreeMap::new();
                for (index, (min, room, weight, current, capacity)) in rows.into_iter().enumerate()
                {
                    let name = format!("c{index}");
                    preference.clusters.insert(
                        name.clone(),
                        ClusterPreference {
                            min_replicas: min,
                            max_replicas: room.map(|room| min + room),
                            weight,
                        },
                    );
                    candidates.insert(name.into(), Candidate { current, capacity });
                }
                (preference, candidates)
            })
    }

    /// The most a cluster may have.
    fn room(preference: &Preference, name: &ClusterName, candidate: Candidate) -> i64 {
        let max = preference.of(name).and_then(|cluster| cluster.max_replicas);
        max.unwrap_or(i64::MAX)
            .min(candidate.capacity.unwrap_or(i64::MAX))
    }

    proptest! {
        #[test]
        fn it_sums_to_the_total_unless_bounds_forbid((mut preference, candidates) in preferences()) {
            for cluster in preference.clusters.values_mut() {
                cluster.weight += 1;
            }
            let room = candidates.iter().fold(0i64, |sum, (name, candidate)| {
                sum.saturating_add(room(&preference, name, *candidate))
            });
            let division = divide(&preference, &candidates, "k");
            prop_assert_eq!(division.values().sum::<i64>(), preference.total_replicas.min(room));
        }

        #[test]
        fn bounds_hold_and_nothing_is_negative((preference, candidates) in preferences()) {
            for (name, replicas) in divide(&preference, &candidates, "k") {
                prop_assert!(replicas >= 0);
                prop_assert!(replicas <= room(&preference, &name, candidates[&name]));
            }
        }

        #[test]
        fn no_cluster_is_under_its_minimum_if_all_are_feasible(
            (preference, candidates) in preferences(),
        ) {
            let minimum = |name: &ClusterName| {
                let capacity = candidates[name].capacity.unwrap_or(i64::MAX);
                preference.of(name).unwrap().min_replicas.min(capacity)
            };
            let minima: i64 = candidates.keys().map(minimum).sum();
            prop_assume!(minima <= preference.total_replicas);
            for (name, replicas) in divide(&preference, &candidates, "k") {
                prop_assert!(replicas >= minimum(&name), "{name}: {replicas}");
            }
        }

        #[test]
        fn it_agrees_with_kubefed_where_nothing_runs((preference, mut candidates) in preferences()) {
            for candidate in candidates.values_mut() {
                *candidate = Candidate::default();
            }
            let names = candidates.keys().cloned().collect();
            let none = BTreeMap::new();
            let kubefed = divide_kubefed(&preference, &names, &none, &none, "k");
            prop_assert_eq!(divide(&preference, &candidates, "k"), kubefed.plan);
        }

        #[test]
        fn what_was_divided_stays((preference, mut candidates) in preferences()) {
            let division = divide(&preference, &candidates, "k");
            for (name, replicas) in &division {
                candidates.get_mut(name).unwrap().current = *replicas;
            }
            prop_assert_eq!(divide(&preference, &candidates, "k"), division);
        }

        /// Without `rebalance`, replicas beyond bounds and total apart, nothing both grows and
        /// shrinks: what one cluster loses no other one wins.
        #[test]
        fn without_rebalance_the_moves_are_the_fewest((mut preference, mut candidates) in preferences()) {
            preference.rebalance = false;
            for (name, candidate) in &mut candidates {
                let minimum = preference.of(name).unwrap().min_replicas;
                candidate.capacity = None;
                let room = room(&preference, name, *candidate);
                candidate.current = candidate.current.max(minimum).min(room);
            }
            let minima: i64 = preference.clusters.values().map(|cluster| cluster.min_replicas).sum();
            prop_assume!(minima <= preference.total_replicas);
            let division = divide(&preference, &candidates, "k");
            let grown = candidates.iter().any(|(name, c)| division[name] > c.current);
            let shrunk = candidates.iter().any(|(name, c)| division[name] < c.current);
            prop_assert!(!(grown && shrunk), "{candidates:?} {division:?}");
        }

        /// More weight never means fewer replicas, where no maximum sends shares around again.
        #[test]
        fn it_is_monotone_in_weight((mut preference, mut candidates) in preferences(), more in 1..40i64) {
            preference.rebalance = true;
            for candidate in candidates.values_mut() {
                candidate.capacity = None;
            }
            for cluster in preference.clusters.values_mut() {
                cluster.max_replicas = None;
            }
            let before = divide(&preference, &candidates, "k");
            preference.clusters.get_mut("c0").unwrap().weight += more;
            let after = divide(&preference, &candidates, "k");
            prop_assert!(after["c0"] >= before["c0"], "{before:?} {after:?}");
        }
    }

    #[test]
    fn a_thousand_clusters_take_few_rounds() {
        let mut preference = equal(100_000);
        preference.clusters = (0..1000)
            .map(|index| {
                let cluster = ClusterPreference {
                    min_replicas: 1,
                    max_replicas: Some(1 + index % 150),
                    weight: 1 + index * index,
                };
                (format!("c{index}"), cluster)
            })
            .collect();
        let candidates = preference
            .clusters
            .keys()
            .map(|name| (name.as_str().into(), Candidate::default()))
            .collect();
        let room: i64 = preference
            .clusters
            .values()
            .filter_map(|c| c.max_replicas)
            .sum();
        let division = divide(&preference, &candidates, "k");
        assert_eq!(division.values().sum::<i64>(), room.min(100_000));
    }
}
