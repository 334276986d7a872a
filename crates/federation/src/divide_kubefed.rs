//! KubeFed's division of replicas, exactly.
//!
//! Clusters in order of weight (greater first) and, among equals, of the FNV-1 hash of cluster name
//! and key (smaller first). Then:
//! 1. each gets its minimum, as far as replicas and its capacity go;
//! 2. without `rebalance`, each keeps what it runs beyond that, within max and capacity;
//! 3. what is left is shared by weight, fractions rounded up in that order, until it is gone or
//!    nobody takes more; who is full leaves the round, and what its capacity refused is overflow;
//! 4. without `rebalance`, overflow is cut down to what found no place.
//!
//! Without step 2, a round either shares out all that is left, or takes out full clusters. These
//! had more than half of the weight, which then halves, or the remainder halves: so there are at
//! most log(replicas) + log(weights) rounds, and the whole is O(c log c) for c clusters.

use crate::preference::{ClusterPreference, Preference};
use model::ClusterName;
use std::cmp::Reverse;
use std::collections::{BTreeMap, BTreeSet};

/// What KubeFed's planner answers.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct KubeFedDivision {
    /// Replicas per cluster.
    pub plan: BTreeMap<ClusterName, i64>,
    /// Replicas beyond a cluster's capacity that would be welcome there.
    pub overflow: BTreeMap<ClusterName, i64>,
}

/// Divides as KubeFed does. `key` is `namespace/name` of the preference.
pub fn divide_kubefed(
    preference: &Preference,
    clusters: &BTreeSet<ClusterName>,
    current: &BTreeMap<ClusterName, i64>,
    capacity: &BTreeMap<ClusterName, i64>,
    key: &str,
) -> KubeFedDivision {
    let mut shares = in_order(preference, clusters, capacity, key);
    let mut remaining = preference.total_replicas;
    take_minima(&mut shares, &mut remaining);
    if !preference.rebalance {
        for share in &mut shares {
            share.keep_current(current.get(share.name).copied(), &mut remaining);
        }
    }
    share_out(&mut shares, &mut remaining);
    let overflow = shares
        .iter()
        .filter_map(|share| share.overflow.map(|overflow| (share, overflow)))
        .map(|(share, overflow)| {
            let kept = if preference.rebalance {
                overflow
            } else {
                overflow.min(remaining)
            };
            (share.name.clone(), kept)
        })
        .filter(|(_, overflow)| preference.rebalance || *overflow > 0)
        .collect();
    let mut plan: BTreeMap<_, _> = clusters.iter().map(|name| (name.clone(), 0)).collect();
    plan.extend(
        shares
            .iter()
            .map(|share| (share.name.clone(), share.planned)),
    );
    KubeFedDivision { plan, overflow }
}

/// FNV-1 (not 1a), 32 bits, of several texts in a row.
pub(crate) fn fnv1_32(texts: &[&str]) -> u32 {
    texts
        .iter()
        .flat_map(|text| text.bytes())
        .fold(0x811c_9dc5, |hash: u32, byte| {
            hash.wrapping_mul(0x0100_0193) ^ u32::from(byte)
        })
}

/// What each of these gets where nothing runs yet, in the order in which they are given.
pub(crate) fn divide_anew(rows: &[Row], total: i64) -> Vec<i64> {
    let mut order: Vec<usize> = (0..rows.len()).collect();
    order.retain(|index| rows[*index].bounds.is_some());
    order.sort_by_key(|index| in_kubefeds_order(rows[*index].bounds, rows[*index].hash));
    let bounded = |index: &usize| {
        let row = &rows[*index];
        Some(Share::new(row.name, row.bounds?, row.capacity))
    };
    let mut shares: Vec<Share<'_>> = order.iter().filter_map(bounded).collect();
    let mut remaining = total;
    take_minima(&mut shares, &mut remaining);
    share_out(&mut shares, &mut remaining);
    let mut planned = vec![0; rows.len()];
    for (index, share) in order.into_iter().zip(shares) {
        planned[index] = share.planned;
    }
    planned
}

/// A cluster that may get replicas.
#[derive(Clone, Copy)]
pub(crate) struct Row<'a> {
    pub(crate) name: &'a ClusterName,
    /// What the preference says of it, if anything.
    pub(crate) bounds: Option<ClusterPreference>,
    pub(crate) capacity: Option<i64>,
    /// KubeFed's, of its name and the preference's.
    pub(crate) hash: u32,
}

/// Heavier ones first, then by hash.
fn in_kubefeds_order(bounds: Option<ClusterPreference>, hash: u32) -> (Reverse<i64>, u32) {
    (Reverse(bounds.map_or(0, |bounds| bounds.weight)), hash)
}

fn take_minima(shares: &mut [Share<'_>], remaining: &mut i64) {
    for share in shares {
        share.take_minimum(remaining);
    }
}

/// One cluster's part.
struct Share<'a> {
    name: &'a ClusterName,
    preference: ClusterPreference,
    capacity: Option<i64>,
    planned: i64,
    preallocated: i64,
    overflow: Option<i64>,
}

fn in_order<'a>(
    preference: &Preference,
    clusters: &'a BTreeSet<ClusterName>,
    capacity: &BTreeMap<ClusterName, i64>,
    key: &str,
) -> Vec<Share<'a>> {
    let mut shares: Vec<_> = clusters
        .iter()
        .filter_map(|name| {
            let share = Share::new(name, preference.of(name)?, capacity.get(name).copied());
            Some((fnv1_32(&[name.as_str(), key]), share))
        })
        .collect();
    shares.sort_by_key(|(hash, share)| in_kubefeds_order(Some(share.preference), *hash));
    shares.into_iter().map(|(_, share)| share).collect()
}

impl<'a> Share<'a> {
    fn new(name: &'a ClusterName, preference: ClusterPreference, capacity: Option<i64>) -> Self {
        Self {
            name,
            preference,
            capacity,
            planned: 0,
            preallocated: 0,
            overflow: None,
        }
    }

    fn take_minimum(&mut self, remaining: &mut i64) {
        let minimum = self.preference.min_replicas.min(*remaining);
        self.planned = self
            .capacity
            .map_or(minimum, |capacity| minimum.min(capacity));
        *remaining -= self.planned;
    }

    fn keep_current(&mut self, current: Option<i64>, remaining: &mut i64) {
        let Some(current) = current.filter(|current| *current > self.planned) else {
            return;
        };
        let kept = [self.preference.max_replicas, self.capacity]
            .into_iter()
            .flatten()
            .fold(current, i64::min);
        let extra = (kept - self.planned).min(*remaining).max(0);
        *remaining -= extra;
        self.preallocated = extra;
        self.planned += extra;
    }

    /// Takes its part of one round; says whether it may take more, and whether anything changed.
    fn take_part(&mut self, part: i64, remaining: &mut i64) -> (bool, bool) {
        let used = part.min(self.preallocated);
        self.preallocated -= used;
        let mut total = self.planned + part - used;
        let mut open = true;
        if let Some(max) = self.preference.max_replicas.filter(|max| total > *max) {
            total = max;
            open = false;
        }
        if let Some(capacity) = self.capacity.filter(|capacity| total > *capacity) {
            self.overflow = Some(total - capacity);
            total = capacity;
            open = false;
        }
        let taken = total - self.planned;
        *remaining -= taken;
        self.planned = total;
        (open, used > 0 || taken > 0)
    }
}

fn share_out(shares: &mut [Share<'_>], remaining: &mut i64) {
    let mut open: Vec<usize> = (0..shares.len()).collect();
    let mut changed = true;
    while changed && *remaining > 0 {
        changed = false;
        let weights: i128 = open
            .iter()
            .map(|index| i128::from(shares[*index].preference.weight))
            .sum();
        if weights <= 0 {
            return;
        }
        let round = i128::from(*remaining);
        open.retain(|index| {
            let share = &mut shares[*index];
            let weight = i128::from(share.preference.weight);
            let part = (round * weight + weights - 1) / weights;
            let part = i64::try_from(part).unwrap_or(i64::MAX).min(*remaining);
            let (open, took) = share.take_part(part, remaining);
            changed |= took;
            open
        });
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::{Value, json};

    /// One row of KubeFed's own table (`planner_test.go`, Apache-2.0), in JSON: preference per
    /// cluster, total, clusters, what runs, capacity, and what must come out.
    struct Row {
        rebalance: bool,
        clusters: Value,
        total: i64,
        of: &'static str,
        current: Value,
        capacity: Value,
        plan: Value,
        overflow: Value,
    }

    impl Row {
        fn new(clusters: Value, total: i64, of: &'static str, plan: Value) -> Self {
            Self {
                rebalance: false,
                clusters,
                total,
                of,
                current: json!({}),
                capacity: json!({}),
                plan,
                overflow: json!({}),
            }
        }

        fn current(mut self, current: Value) -> Self {
            self.current = current;
            self
        }

        fn capacity(mut self, capacity: Value, overflow: Value) -> Self {
            self.capacity = capacity;
            self.overflow = overflow;
            self
        }

        fn rebalance(mut self) -> Self {
            self.rebalance = true;
            self
        }

        fn check(self) {
            let preference = Preference {
                total_replicas: self.total,
                rebalance: self.rebalance,
                clusters: serde_json::from_value(self.clusters.clone()).unwrap(),
                ..Preference::default()
            };
            let map = |value: &Value| -> BTreeMap<ClusterName, i64> {
                serde_json::from_value(value.clone()).unwrap()
            };
            let clusters = self
                .of
                .chars()
                .map(|name| ClusterName::from(name.to_string()))
                .collect();
            let division = divide_kubefed(
                &preference,
                &clusters,
                &map(&self.current),
                &map(&self.capacity),
                "",
            );
            let what = format!("{} of {} in {}", self.total, self.clusters, self.of);
            assert_eq!(division.plan, map(&self.plan), "{what}");
            assert_eq!(division.overflow, map(&self.overflow), "{what}: overflow");
        }
    }

    fn equal() -> Value {
        json!({"*": {"weight": 1}})
    }

    #[test]
    fn kubefeds_vectors_for_equal_weights_hold() {
        for (total, of, plan) in [
            (50, "ABC", json!({"A": 16, "B": 17, "C": 17})),
            (50, "AB", json!({"A": 25, "B": 25})),
            (1, "AB", json!({"A": 0, "B": 1})),
            (1, "ABCD", json!({"A": 0, "B": 0, "C": 0, "D": 1})),
            (1, "A", json!({"A": 1})),
            (1, "", json!({})),
        ] {
            Row::new(equal(), total, of, plan).check();
        }
    }

    #[test]
    fn kubefeds_vectors_for_what_runs_already_hold() {
        Row::new(equal(), 50, "ABC", json!({"A": 10, "B": 10, "C": 30}))
            .current(json!({"C": 30}))
            .check();
        for (total, current, plan) in [
            (50, json!({"A": 30}), json!({"A": 30, "B": 20})),
            (15, json!({"A": 0, "B": 8}), json!({"A": 7, "B": 8})),
            (15, json!({"A": 1, "B": 8}), json!({"A": 7, "B": 8})),
            (15, json!({"A": 4, "B": 8}), json!({"A": 7, "B": 8})),
            (15, json!({"A": 5, "B": 8}), json!({"A": 7, "B": 8})),
            (15, json!({"A": 6, "B": 8}), json!({"A": 7, "B": 8})),
            (15, json!({"A": 7, "B": 8}), json!({"A": 7, "B": 8})),
            (
                500_000,
                json!({"A": 300_000}),
                json!({"A": 300_000, "B": 200_000}),
            ),
            (50, json!({"A": 10}), json!({"A": 25, "B": 25})),
            // Known to be bad (kubernetes #31816), and exactly what KubeFed does.
            (50, json!({"A": 10, "B": 70}), json!({"A": 0, "B": 50})),
            (1, json!({"A": 30}), json!({"A": 1, "B": 0})),
            (50, json!({"A": 10, "B": 20}), json!({"A": 25, "B": 25})),
        ] {
            Row::new(equal(), total, "AB", plan)
                .current(current)
                .check();
        }
    }

    #[test]
    fn kubefeds_vectors_for_capacity_and_overflow_hold() {
        Row::new(equal(), 50, "ABC", json!({"A": 20, "B": 20, "C": 10}))
            .capacity(json!({"C": 10}), json!({"C": 7}))
            .rebalance()
            .check();
        let weights = json!({"A": {"weight": 10000}, "B": {"weight": 1}});
        Row::new(weights, 50, "BC", json!({"B": 10, "C": 0}))
            .capacity(json!({"B": 10}), json!({"B": 40}))
            .rebalance()
            .check();
        let weights = json!({"A": {"weight": 1}, "B": {"weight": 2}});
        Row::new(weights, 60, "ABC", json!({"A": 50, "B": 10, "C": 0}))
            .capacity(json!({"B": 10}), json!({"B": 30}))
            .rebalance()
            .check();
        let bounded = json!({"A": {"weight": 10000, "maxReplicas": 10}, "B": {"weight": 1},
            "C": {"weight": 1, "maxReplicas": 21}, "D": {"weight": 1, "maxReplicas": 10}});
        Row::new(
            bounded,
            71,
            "ABCD",
            json!({"A": 10, "B": 41, "C": 10, "D": 10}),
        )
        .capacity(json!({"C": 10}), json!({"C": 11}))
        .rebalance()
        .check();
        let weights = json!({"A": {"weight": 1}, "B": {"weight": 1}});
        Row::new(weights, 60, "ABC", json!({"A": 10, "B": 10, "C": 0}))
            .capacity(json!({"A": 10, "B": 10}), json!({"A": 20, "B": 20}))
            .check();
        let weights = json!({"A": {"weight": 1}, "B": {"weight": 5}});
        Row::new(weights, 60, "ABC", json!({"A": 50, "B": 10, "C": 0}))
            .capacity(json!({"B": 10}), json!({}))
            .check();
        let minima = json!({"*": {"minReplicas": 20, "weight": 0}});
        Row::new(minima, 50, "ABC", json!({"A": 20, "B": 10, "C": 20}))
            .capacity(json!({"B": 10}), json!({}))
            .check();
        let minima = json!({"*": {"minReplicas": 20, "weight": 1}});
        Row::new(minima, 60, "AB", json!({"A": 50, "B": 10}))
            .capacity(json!({"B": 10}), json!({"B": 15}))
            .rebalance()
            .check();
    }

    #[test]
    fn kubefeds_vectors_for_minima_and_maxima_hold() {
        for (clusters, plan) in [
            (
                json!({"*": {"minReplicas": 2, "weight": 0}}),
                json!({"A": 2, "B": 2, "C": 2}),
            ),
            (
                json!({"*": {"minReplicas": 20, "weight": 0}}),
                json!({"A": 10, "B": 20, "C": 20}),
            ),
            (
                json!({"*": {"minReplicas": 20, "weight": 0},
                    "A": {"minReplicas": 100, "weight": 1}}),
                json!({"A": 50, "B": 0, "C": 0}),
            ),
            (
                json!({"*": {"minReplicas": 10, "weight": 1, "maxReplicas": 12}}),
                json!({"A": 12, "B": 12, "C": 12}),
            ),
            (
                json!({"*": {"weight": 1, "maxReplicas": 2}}),
                json!({"A": 2, "B": 2, "C": 2}),
            ),
            (
                json!({"*": {"weight": 0, "maxReplicas": 2}}),
                json!({"A": 0, "B": 0, "C": 0}),
            ),
        ] {
            Row::new(clusters, 50, "ABC", plan).check();
        }
    }

    #[test]
    fn kubefeds_vectors_for_weights_hold() {
        let great = json!({"weight": 10000});
        let bounded = json!({"weight": 10000, "maxReplicas": 10});
        let one = json!({"weight": 1});
        let ten = json!({"weight": 1, "maxReplicas": 10});
        let twenty_one = json!({"weight": 1, "maxReplicas": 21});
        for (clusters, total, of, plan) in [
            (
                json!({"A": one, "B": {"weight": 2}}),
                60,
                "ABC",
                json!({"A": 20, "B": 40, "C": 0}),
            ),
            (
                json!({"A": great, "B": one}),
                50,
                "ABC",
                json!({"A": 50, "B": 0, "C": 0}),
            ),
            (
                json!({"A": great, "B": one}),
                50,
                "BC",
                json!({"B": 50, "C": 0}),
            ),
            (
                json!({"A": bounded, "B": one, "C": one}),
                50,
                "ABC",
                json!({"A": 10, "B": 20, "C": 20}),
            ),
            (
                json!({"A": bounded, "B": one, "C": ten}),
                50,
                "ABC",
                json!({"A": 10, "B": 30, "C": 10}),
            ),
            (
                json!({"A": bounded, "B": one, "C": twenty_one, "D": ten}),
                71,
                "ABCD",
                json!({"A": 10, "B": 30, "C": 21, "D": 10}),
            ),
            (
                json!({"A": bounded, "B": one, "C": twenty_one, "D": ten, "E": one}),
                91,
                "ABCDE",
                json!({"A": 10, "B": 25, "C": 21, "D": 10, "E": 25}),
            ),
        ] {
            Row::new(clusters, total, of, plan).check();
        }
    }

    #[test]
    fn the_hash_is_fnv_1() {
        // Vectors of the FNV reference code, "test vectors for FNV-1 32".
        assert_eq!(fnv1_32(&[""]), 0x811c_9dc5);
        assert_eq!(fnv1_32(&["a"]), 0x050c_5d7e);
        assert_eq!(fnv1_32(&["foo", "bar"]), 0x31f0_b262);
    }

    #[test]
    fn huge_weights_do_not_overflow() {
        let weights = json!({"A": {"weight": i64::MAX}, "B": {"weight": i64::MAX}});
        Row::new(weights, 10, "AB", json!({"A": 5, "B": 5})).check();
    }
}
