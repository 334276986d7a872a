//! Spreading a division over regions and zones.
//!
//! Constraints narrow one after another: `[region, zone]` levels regions over the whole, then the
//! zones inside of each region. Within a group [`divide`] decides. Who can take no more holds
//! nobody down, and who may not go below its minimum holds nobody up: the skew is between the
//! fullest group that can give and the emptiest that can take.
//!
//! Levelling clamps the groups' totals between a floor and a ceiling that are `maxSkew` apart. Both
//! are chosen so that what leaves groups above the ceiling is just what groups below the floor
//! lack, so that no other levelling moves fewer replicas.

use crate::{
    divide::{Candidate, divide},
    preference::{Preference, SpreadBy, SpreadConstraint},
};
use model::ClusterName;
use serde::{Deserialize, Serialize};
use std::collections::{BTreeMap, BTreeSet};

/// Where a cluster is, as far as spreading cares.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct SpreadPlace {
    /// Its region; clusters without one are a group together.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub region: Option<String>,
    /// Its zones; clusters with the same zones are a group.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub zones: Vec<String>,
}

/// A division, and where it is less even than was asked for.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct SpreadDivision {
    /// Replicas per cluster.
    pub plan: BTreeMap<ClusterName, i64>,
    /// What could not be met, in words.
    pub unmet: Vec<String>,
}

/// Divides a preference's replicas as [`divide`] does, then spreads them as it asks for.
pub fn divide_spread(
    preference: &Preference,
    candidates: &BTreeMap<ClusterName, Candidate>,
    places: &BTreeMap<ClusterName, SpreadPlace>,
    key: &str,
) -> SpreadDivision {
    let preference = preference.with_default();
    let plan = divide(&preference, candidates, key);
    spread(&preference, candidates, places, key, plan)
}

/// Spreads what is divided already. Whose minimum is its maximum is left alone, and counts.
pub(crate) fn spread(
    preference: &Preference,
    candidates: &BTreeMap<ClusterName, Candidate>,
    places: &BTreeMap<ClusterName, SpreadPlace>,
    key: &str,
    plan: BTreeMap<ClusterName, i64>,
) -> SpreadDivision {
    let unmet = Vec::new();
    let mut spread = SpreadDivision { plan, unmet };
    let spreading = Spreading {
        preference,
        candidates,
        places,
        key,
    };
    let names: BTreeSet<ClusterName> = candidates.keys().cloned().collect();
    spreading.level(&names, &preference.spread, &mut spread);
    spread
}

struct Spreading<'a> {
    preference: &'a Preference,
    candidates: &'a BTreeMap<ClusterName, Candidate>,
    places: &'a BTreeMap<ClusterName, SpreadPlace>,
    key: &'a str,
}

/// Clusters that count as one.
struct Group {
    name: String,
    clusters: BTreeSet<ClusterName>,
    total: i64,
    /// It gives no more than down to that.
    least: i64,
    /// It takes no more than up to that.
    most: i64,
}

impl Spreading<'_> {
    fn level(
        &self,
        names: &BTreeSet<ClusterName>,
        constraints: &[SpreadConstraint],
        spread: &mut SpreadDivision,
    ) {
        let Some((constraint, rest)) = constraints.split_first() else {
            return;
        };
        let mut groups = self.groups(names, constraint.by, &spread.plan);
        let before: Vec<i64> = groups.iter().map(|group| group.total).collect();
        if let Some(skew) = constraint.max_skew {
            level_to(&mut groups, skew.max(1));
        }
        widen_to(&mut groups, constraint.min_groups);
        spread.unmet.extend(unmet(&groups, constraint));
        for (group, before) in groups.iter().zip(before) {
            if group.total != before {
                let plan = self.within(group, &spread.plan);
                spread.plan.extend(plan);
            }
            self.level(&group.clusters, rest, spread);
        }
    }

    fn groups(
        &self,
        names: &BTreeSet<ClusterName>,
        by: SpreadBy,
        plan: &BTreeMap<ClusterName, i64>,
    ) -> Vec<Group> {
        let mut groups: BTreeMap<String, Group> = BTreeMap::new();
        for name in names {
            let of = self.group_of(name, by);
            let group = groups.entry(of.clone()).or_insert_with(|| Group {
                name: of,
                clusters: BTreeSet::new(),
                total: 0,
                least: 0,
                most: 0,
            });
            let planned = plan.get(name).copied().unwrap_or_default();
            let (least, most) = self.bounds(name, planned);
            group.clusters.insert(name.clone());
            group.total += planned;
            group.least += least;
            group.most = group.most.saturating_add(most);
        }
        groups.into_values().collect()
    }

    fn group_of(&self, name: &ClusterName, by: SpreadBy) -> String {
        let place = self.places.get(name);
        match by {
            SpreadBy::Region => place.and_then(|place| place.region.clone()),
            SpreadBy::Zone => place.map(|place| {
                let zones: BTreeSet<&str> = place.zones.iter().map(String::as_str).collect();
                zones.into_iter().collect::<Vec<_>>().join("+")
            }),
        }
        .unwrap_or_default()
    }

    /// How few and how many replicas a cluster may have, for the sake of evenness.
    fn bounds(&self, name: &ClusterName, planned: i64) -> (i64, i64) {
        let Some(bounds) = self.preference.of(name) else {
            return (planned.min(0), planned);
        };
        let least = bounds.min_replicas.min(planned);
        // Without a weight it gets none of what is shared out.
        let most = match bounds.weight {
            0 => planned,
            _ => bounds.max_replicas.unwrap_or(i64::MAX),
        };
        let capacity = self.candidates.get(name).and_then(|known| known.capacity);
        (least, most.min(capacity.unwrap_or(i64::MAX)).max(planned))
    }

    /// Divides a group's new total among its clusters, by the fewest moves from the plan.
    fn within(
        &self,
        group: &Group,
        plan: &BTreeMap<ClusterName, i64>,
    ) -> BTreeMap<ClusterName, i64> {
        let preference = Preference {
            total_replicas: group.total,
            rebalance: false,
            ..self.preference.clone()
        };
        let candidate = |name: &ClusterName| Candidate {
            current: plan.get(name).copied().unwrap_or_default(),
            capacity: self.candidates.get(name).and_then(|known| known.capacity),
        };
        let candidates = group.clusters.iter();
        let candidates = candidates.map(|name| (name.clone(), candidate(name)));
        divide(&preference, &candidates.collect(), self.key)
    }
}

/// Levels the totals until none that can give is more than `skew` above one that can take.
fn level_to(groups: &mut [Group], skew: i64) {
    let fullest = groups.iter().map(|group| group.total).max().unwrap_or(0);
    // The highest ceiling above which there is at least what lacks below its floor.
    let (mut low, mut high) = (0, fullest);
    while low < high {
        let middle = low + (high - low + 1) / 2;
        match surplus(groups, middle) >= lack(groups, middle - skew) {
            true => low = middle,
            false => high = middle - 1,
        }
    }
    let ceiling = low;
    let mut left = surplus(groups, ceiling) - lack(groups, ceiling - skew);
    for group in groups.iter_mut() {
        group.total = group
            .total
            .min(ceiling.max(group.least))
            .max((ceiling - skew).min(group.most));
    }
    // Less than one for each group is left: the emptiest take it.
    while left > 0 {
        let open = groups.iter_mut().filter(|group| group.total < group.most);
        let Some(emptiest) = open.min_by_key(|group| group.total) else {
            return;
        };
        emptiest.total += 1;
        left -= 1;
    }
}

/// What groups hold above a ceiling and can give.
fn surplus(groups: &[Group], ceiling: i64) -> i64 {
    let above = |group: &Group| (group.total - ceiling.max(group.least)).max(0);
    groups.iter().map(above).sum()
}

/// What groups lack below a floor and can take.
fn lack(groups: &[Group], floor: i64) -> i64 {
    let below = |group: &Group| (floor.min(group.most) - group.total).max(0);
    groups.iter().map(below).sum()
}

/// Gives one replica to empty groups, from the fullest, until so many have some.
fn widen_to(groups: &mut [Group], wanted: i64) {
    loop {
        let filled = groups.iter().filter(|group| group.total > 0).count();
        if i64::try_from(filled).unwrap_or(i64::MAX) >= wanted {
            return;
        }
        let empty = groups
            .iter()
            .position(|group| group.total == 0 && group.most > 0);
        let fullest = (0..groups.len())
            .filter(|at| groups[*at].total > groups[*at].least.max(1))
            .max_by_key(|at| (groups[*at].total, usize::MAX - at));
        let (Some(empty), Some(fullest)) = (empty, fullest) else {
            return;
        };
        groups[fullest].total -= 1;
        groups[empty].total += 1;
    }
}

fn unmet(groups: &[Group], constraint: &SpreadConstraint) -> Vec<String> {
    let by = constraint.by;
    let mut unmet = Vec::new();
    let filled = groups.iter().filter(|group| group.total > 0).count();
    if i64::try_from(filled).unwrap_or(i64::MAX) < constraint.min_groups {
        unmet.push(format!(
            "replicas are in {filled} of the {} {by}s that are wanted; the candidates are in {}",
            constraint.min_groups,
            groups.len()
        ));
    }
    let fullest = groups.iter().max_by_key(|group| group.total);
    let emptiest = groups.iter().min_by_key(|group| group.total);
    if let (Some(skew), Some(fullest), Some(emptiest)) = (constraint.max_skew, fullest, emptiest)
        && fullest.total - emptiest.total > skew
    {
        unmet.push(format!(
            "{by} {:?} has {} and {:?} has {}, more than {skew} apart: minima, maxima, weights or \
             capacities allow no less",
            fullest.name, fullest.total, emptiest.name, emptiest.total
        ));
    }
    unmet
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::preference::ClusterPreference;
    use proptest::prelude::*;

    /// Clusters named after their region and a number: `eu1` is in `eu`, and in zone `eu1`.
    fn check(preference: &Preference, current: &[(&str, i64)], expected: &[(&str, i64)]) {
        let divided = divided(preference, current);
        let plan: Vec<_> = divided
            .plan
            .iter()
            .map(|(name, replicas)| (name.as_str(), *replicas))
            .collect();
        assert_eq!(plan, expected, "{current:?}");
        assert_eq!(divided.unmet, Vec::<String>::new());
    }

    fn divided(preference: &Preference, current: &[(&str, i64)]) -> SpreadDivision {
        let candidates = current.iter().map(|(name, current)| {
            let candidate = Candidate {
                current: *current,
                capacity: None,
            };
            (ClusterName::from(*name), candidate)
        });
        let candidates: BTreeMap<_, _> = candidates.collect();
        let places = candidates.keys().map(|name| (name.clone(), place(name)));
        divide_spread(preference, &candidates, &places.collect(), "shop/web")
    }

    fn place(name: &ClusterName) -> SpreadPlace {
        let region = name.as_str().trim_end_matches(|c: char| c.is_ascii_digit());
        SpreadPlace {
            region: Some(region.to_owned()),
            zones: vec![name.to_string()],
        }
    }

    fn by(by: SpreadBy, min_groups: i64, max_skew: Option<i64>) -> SpreadConstraint {
        SpreadConstraint {
            by,
            min_groups,
            max_skew,
        }
    }

    fn evenly(total_replicas: i64, spread: Vec<SpreadConstraint>) -> Preference {
        Preference {
            total_replicas,
            spread,
            ..Preference::default()
        }
    }

    #[test]
    fn regions_of_unequal_size_are_levelled() {
        let none = [("eu1", 0), ("eu2", 0), ("eu3", 0), ("us1", 0)];
        check(
            &evenly(12, vec![by(SpreadBy::Region, 0, Some(1))]),
            &none,
            &[("eu1", 2), ("eu2", 2), ("eu3", 2), ("us1", 6)],
        );
        check(
            &evenly(12, vec![by(SpreadBy::Region, 0, Some(4))]),
            &none,
            &[("eu1", 3), ("eu2", 3), ("eu3", 2), ("us1", 4)],
        );
    }

    #[test]
    fn what_is_even_enough_stays_where_it_runs() {
        let runs = [("eu1", 5), ("eu2", 1), ("us1", 6)];
        check(
            &evenly(12, vec![by(SpreadBy::Region, 2, Some(1))]),
            &runs,
            &runs,
        );
    }

    #[test]
    fn so_many_groups_get_at_least_one() {
        let mut preference = evenly(4, vec![by(SpreadBy::Region, 3, None)]);
        let weight = |weight| ClusterPreference {
            weight,
            ..ClusterPreference::default()
        };
        preference.clusters = [("eu1", 100), ("us1", 1), ("asia1", 1)]
            .map(|(name, share)| (name.to_owned(), weight(share)))
            .into();
        check(
            &preference,
            &[("asia1", 0), ("eu1", 0), ("us1", 0)],
            &[("asia1", 1), ("eu1", 2), ("us1", 1)],
        );
    }

    #[test]
    fn zones_are_levelled_inside_of_their_region() {
        let constraints = vec![
            by(SpreadBy::Region, 0, Some(1)),
            by(SpreadBy::Zone, 0, Some(1)),
        ];
        check(
            &evenly(8, constraints),
            &[("eu1", 8), ("eu2", 0), ("us1", 0)],
            &[("eu1", 2), ("eu2", 2), ("us1", 4)],
        );
    }

    #[test]
    fn what_cannot_be_met_is_told_and_nothing_is_withheld() {
        let mut preference = evenly(9, vec![by(SpreadBy::Region, 3, Some(1))]);
        let at_most = |max_replicas| ClusterPreference {
            weight: 1,
            max_replicas,
            ..ClusterPreference::default()
        };
        preference.clusters = [
            ("eu1".to_owned(), at_most(None)),
            ("us1".to_owned(), at_most(Some(2))),
        ]
        .into();
        let divided = divided(&preference, &[("eu1", 0), ("us1", 0)]);
        assert_eq!(divided.plan.values().sum::<i64>(), 9);
        assert_eq!(divided.unmet.len(), 2, "{:?}", divided.unmet);
        assert!(divided.unmet[0].contains("2 of the 3 regions"));
        assert!(divided.unmet[1].contains("\"eu\" has 7 and \"us\" has 2"));
    }

    type World = (Preference, BTreeMap<ClusterName, Candidate>);

    fn worlds() -> impl Strategy<Value = World> {
        let cluster = (
            0..4usize,
            0..4i64,
            proptest::option::of(0..30i64),
            0..9i64,
            0..40i64,
        );
        let rows = proptest::collection::vec(cluster, 1..12);
        (0..200i64, any::<bool>(), 1..5i64, 0..4i64, rows).prop_map(
            |(total_replicas, rebalance, skew, groups, rows)| {
                let mut preference = Preference {
                    total_replicas,
                    rebalance,
                    spread: vec![by(SpreadBy::Region, groups, Some(skew))],
                    ..Preference::default()
                };
                let mut candidates = BTreeMap::new();
                for (index, (region, min, room, weight, current)) in rows.into_iter().enumerate() {
                    let name = format!("{}{index}", ["asia", "eu", "us", "za"][region]);
                    let bounds = ClusterPreference {
                        min_replicas: min,
                        max_replicas: room.map(|room| min + room),
                        weight,
                    };
                    preference.clusters.insert(name.clone(), bounds);
                    let capacity = None;
                    candidates.insert(name.into(), Candidate { current, capacity });
                }
                (preference, candidates)
            },
        )
    }

    fn spread_of((preference, candidates): &World) -> SpreadDivision {
        let places = candidates.keys().map(|name| (name.clone(), place(name)));
        divide_spread(preference, candidates, &places.collect(), "k")
    }

    proptest! {
        #[test]
        fn spreading_loses_and_invents_no_replica(world in worlds()) {
            let plain = divide(&world.0, &world.1, "k");
            let divided = spread_of(&world);
            prop_assert_eq!(
                divided.plan.values().sum::<i64>(),
                plain.values().sum::<i64>(),
                "{:?} {:?}", plain, divided
            );
            prop_assert!(divided.plan.values().all(|replicas| *replicas >= 0));
        }

        #[test]
        fn bounds_hold_as_they_do_without_spreading(world in worlds()) {
            let plain = divide(&world.0, &world.1, "k");
            for (name, replicas) in spread_of(&world).plan {
                let bounds = world.0.of(&name).unwrap();
                let most = bounds.max_replicas.unwrap_or(i64::MAX).max(plain[&name]);
                prop_assert!(replicas <= most, "{name}: {replicas}");
                prop_assert!(replicas >= bounds.min_replicas.min(plain[&name]), "{name}: {replicas}");
            }
        }

        #[test]
        fn with_room_for_everybody_the_skew_is_kept((mut preference, candidates) in worlds()) {
            for bounds in preference.clusters.values_mut() {
                *bounds = ClusterPreference { weight: bounds.weight + 1, ..Default::default() };
            }
            let divided = spread_of(&(preference.clone(), candidates.clone()));
            let mut totals: BTreeMap<_, i64> = BTreeMap::new();
            for (name, replicas) in &divided.plan {
                *totals.entry(place(name).region).or_default() += replicas;
            }
            let (most, least) = (totals.values().max().unwrap(), totals.values().min().unwrap());
            prop_assert!(most - least <= preference.spread[0].max_skew.unwrap(), "{totals:?}");
        }

        #[test]
        fn what_was_spread_stays((mut preference, candidates) in worlds()) {
            preference.rebalance = false;
            let divided = spread_of(&(preference.clone(), candidates.clone()));
            let running = divided.plan.iter().map(|(name, current)| {
                (name.clone(), Candidate { current: *current, capacity: None })
            });
            let again = spread_of(&(preference, running.collect()));
            prop_assert_eq!(again.plan, divided.plan);
        }
    }
}
