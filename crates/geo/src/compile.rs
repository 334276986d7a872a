//! From places to views: which clusters are near, for every address, before anybody asks.
//!
//! A *ranking* is what one `nearest` node asks for. Its *list* for a point is groups of candidates in
//! the order of their seeming distance. A policy tree may have several rankings; a *view* is one list
//! of each, and a table maps every address to a view. So a name has one table, whose ECS scopes depend
//! on geography alone, never on health.

use crate::{
    database::{Database, NO_PLACE},
    distance::{distance_km, seeming_km},
    division::Division,
    partition::{Block, Partition, number},
    places::KnownPlace,
    space::{placeless_v4, placeless_v6},
    table::{Group, PrefixTable, View},
};
use ipnet::IpNet;
use model::{ClusterName, Location};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// Candidates whose seeming distances differ by less than this share one group.
const SAME_DISTANCE_KM: f64 = 1.0;

/// How many groups of a list keep their order at most; those behind are one last group. It bounds
/// the number of lists: n candidates have up to O(n⁴) orders over the earth.
const GROUPS_MAX: usize = 8;

/// How many views a table may have; `dns` counts them in 16 bits.
const VIEWS_MAX: usize = 1 << 16;

/// A cluster that may answer.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Candidate {
    /// Which one.
    pub cluster: ClusterName,
    /// Where it is; those without a place come last.
    pub location: Option<Location>,
    /// Its city: candidates of one city and one bias are one group.
    pub city: Option<String>,
    /// Percent by which it seems nearer, see [`seeming_km`].
    pub bias: i8,
}

/// The candidates of one `nearest` node, in the order of their names.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Ranking {
    /// The candidates.
    pub candidates: Vec<Candidate>,
}

/// A prefix whose place is known better than the database knows it; longer ones win.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Overlay {
    /// The prefix.
    pub network: IpNet,
    /// The place; `None` gives the default order.
    pub location: Option<Location>,
}

impl PrefixTable {
    /// Compiles a table. Without a database every address has the default view, the overlaid ones
    /// excepted. Deterministic: equal inputs give equal tables, views and lists in the same order.
    pub fn compile(
        database: Option<&Database>,
        rankings: &[Ranking],
        divisions: &[Division],
        overlays: &[Overlay],
    ) -> Self {
        let mut locations: Vec<_> = match database {
            Some(database) => database.locations().collect(),
            None => vec![None],
        };
        let overlays = placed(overlays, &mut locations);
        let plain = !divisions.iter().any(Division::cuts);
        if let Some(database) = database.filter(|_| plain) {
            return by_place(database, &overlays, &locations, rankings, divisions);
        }
        let (v4, v6) = spaces(database, &overlays);
        let mut cells = Cells::new(v4, v6, locations.len());
        for division in divisions.iter().filter(|division| division.cuts()) {
            cells.cut(division.spaces(database));
        }
        let place = |place| database.and_then(|database| database.place(place));
        let (views, by_cell) = bounded(&cells.of, &locations, rankings, divisions, place);
        let view = |cell: u32| by_cell[cell as usize];
        Self {
            database: database.map(Database::hash),
            v4: cells.v4.mapped(view),
            v6: cells.v6.mapped(view),
            views,
        }
    }
}

/// A table that follows from places alone: the database's spaces are mapped and never copied, since
/// those of a city database are large.
fn by_place(
    database: &Database,
    overlays: &[(IpNet, u32)],
    locations: &[Option<Location>],
    rankings: &[Ranking],
    divisions: &[Division],
) -> PrefixTable {
    let places = u32::try_from(locations.len()).expect("places are counted in 32 bits");
    let of: Vec<_> = (0..places).map(|place| (place, Vec::new())).collect();
    let place = |place| database.place(place);
    let (views, by_cell) = bounded(&of, locations, rankings, divisions, place);
    let view = |cell: u32| by_cell[cell as usize];
    let nowhere = view(NO_PLACE);
    let v4 = database.v4().mapped(view).overlaid(&placeless_v4(nowhere));
    let v6 = database.v6().mapped(view).overlaid(&placeless_v6(nowhere));
    let (v4, v6) = laid_over((v4, v6), overlays, view);
    PrefixTable {
        database: Some(database.hash()),
        v4,
        v6,
        views,
    }
}

/// The views, no more than `dns` can count: lists are cut shorter until they are few enough.
fn bounded<'a>(
    of: &[(u32, Vec<u32>)],
    locations: &[Option<Location>],
    rankings: &[Ranking],
    divisions: &[Division],
    place: impl Fn(u32) -> Option<KnownPlace<'a>>,
) -> (Vec<View>, Vec<u32>) {
    let mut groups_max = GROUPS_MAX;
    loop {
        let lists = lists(locations, rankings, groups_max);
        let (mut views, mut by_cell) = views(of, &lists, divisions, &place);
        if views.len() <= VIEWS_MAX || groups_max == 1 {
            views.truncate(VIEWS_MAX);
            let last = VIEWS_MAX as u32 - 1;
            by_cell
                .iter_mut()
                .for_each(|view| *view = (*view).min(last));
            return (views, by_cell);
        }
        groups_max /= 2;
    }
}

/// Both spaces by cell: addresses of one place that meet the same rules.
struct Cells {
    v4: Partition,
    v6: Partition,
    /// Per cell its place, and per division that cuts the rule that is met through prefixes.
    of: Vec<(u32, Vec<u32>)>,
}

impl Cells {
    /// One cell per place.
    fn new(v4: Partition, v6: Partition, places: usize) -> Self {
        let places = u32::try_from(places).expect("places are counted in 32 bits");
        Self {
            v4,
            v6,
            of: (0..places).map(|place| (place, Vec::new())).collect(),
        }
    }

    /// Cuts cells where the rule that is met differs.
    fn cut(&mut self, (v4, v6): (Partition, Partition)) {
        let mut known: BTreeMap<(u32, u32), u32> = BTreeMap::new();
        let mut of: Vec<(u32, Vec<u32>)> = Vec::new();
        let before = &self.of;
        let mut pick = |cell: u32, rule: u32| {
            *known.entry((cell, rule)).or_insert_with(|| {
                let (place, mut rules) = before[cell as usize].clone();
                rules.push(rule);
                of.push((place, rules));
                u32::try_from(of.len() - 1).expect("cells are counted in 32 bits")
            })
        };
        let cut_v4 = self.v4.zipped(&v4, &mut pick);
        let cut_v6 = self.v6.zipped(&v6, &mut pick);
        (self.v4, self.v6, self.of) = (cut_v4, cut_v6, of);
    }
}

/// The distinct views in the order of cells, and each cell's view.
fn views<'a>(
    of: &[(u32, Vec<u32>)],
    lists: &Lists,
    divisions: &[Division],
    place: &impl Fn(u32) -> Option<KnownPlace<'a>>,
) -> (Vec<View>, Vec<u32>) {
    let mut known: BTreeMap<(u32, Vec<u16>), u32> = BTreeMap::new();
    let mut views = Vec::new();
    let mut by_cell = Vec::with_capacity(of.len());
    for (at, through_prefixes) in of {
        let place = place(*at).unwrap_or_default();
        let mut prefixes = through_prefixes.iter();
        let rules = divisions.iter().map(|division| {
            let by_place = division.by_place(place);
            let by_prefix = division.cuts().then(|| prefixes.next()).flatten();
            let rule = by_prefix.map_or(by_place, |rule| by_place.min(*rule));
            u16::try_from(rule).expect("a node has less than 65,536 rules")
        });
        let key = (lists.by_place[*at as usize], rules.collect::<Vec<_>>());
        let next = u32::try_from(views.len()).expect("views are counted in 32 bits");
        by_cell.push(*known.entry(key).or_insert_with_key(|(list, rules)| {
            views.push(View {
                lists: lists.distinct[*list as usize].clone(),
                rules: rules.clone(),
            });
            next
        }));
    }
    (views, by_cell)
}

/// Both spaces by place, with placeless space and overlays laid over the database's.
fn spaces(database: Option<&Database>, overlays: &[(IpNet, u32)]) -> (Partition, Partition) {
    let (v4, v6) = match database {
        Some(database) => (database.v4().clone(), database.v6().clone()),
        None => (
            Partition::uniform(32, NO_PLACE),
            Partition::uniform(128, NO_PLACE),
        ),
    };
    let v4 = v4.overlaid(&placeless_v4(NO_PLACE));
    let v6 = v6.overlaid(&placeless_v6(NO_PLACE));
    laid_over((v4, v6), overlays, |place| place)
}

/// Overlays with their places, which come after the database's; shorter prefixes first, so that longer ones lie over
/// them.
fn placed(overlays: &[Overlay], locations: &mut Vec<Option<Location>>) -> Vec<(IpNet, u32)> {
    let mut overlays: Vec<_> = overlays.iter().collect();
    overlays.sort_by_key(|overlay| (overlay.network.prefix_len(), overlay.network));
    let placed = overlays.into_iter().map(|overlay| {
        locations.push(overlay.location);
        let place = u32::try_from(locations.len() - 1).expect("places are counted in 32 bits");
        (overlay.network, place)
    });
    placed.collect()
}

fn laid_over(
    (mut v4, mut v6): (Partition, Partition),
    overlays: &[(IpNet, u32)],
    value: impl Fn(u32) -> u32,
) -> (Partition, Partition) {
    for (network, place) in overlays {
        let block = Block {
            first: number(network.network()),
            length: network.prefix_len(),
            value: value(*place),
        };
        match network {
            IpNet::V4(_) => v4 = v4.overlaid(&[block]),
            IpNet::V6(_) => v6 = v6.overlaid(&[block]),
        }
    }
    (v4, v6)
}

/// The lists of each place, equal ones once.
struct Lists {
    distinct: Vec<Vec<Vec<Group>>>,
    by_place: Vec<u32>,
}

/// The lists of all places, in the order of places.
fn lists(locations: &[Option<Location>], rankings: &[Ranking], groups_max: usize) -> Lists {
    let mut known: BTreeMap<Vec<Vec<Group>>, u32> = BTreeMap::new();
    let mut distinct = Vec::new();
    let mut by_place = Vec::with_capacity(locations.len());
    for location in locations {
        let lists: Vec<_> = rankings
            .iter()
            .map(|ranking| list(*location, ranking, groups_max))
            .collect();
        let next = u32::try_from(distinct.len()).expect("there are no more lists than places");
        by_place.push(*known.entry(lists).or_insert_with_key(|lists| {
            distinct.push(lists.clone());
            next
        }));
    }
    Lists { distinct, by_place }
}

/// The candidates in groups, nearest first; from nowhere, all of them in one.
fn list(from: Option<Location>, ranking: &Ranking, groups_max: usize) -> Vec<Group> {
    let index = |at: usize| u16::try_from(at).expect("a ranking has at most 65,536 candidates");
    let candidates = &ranking.candidates;
    let Some(from) = from else {
        let all: Group = (0..candidates.len()).map(index).collect();
        return Some(all)
            .filter(|all| !all.is_empty())
            .into_iter()
            .collect();
    };
    let mut cities: BTreeMap<(&str, i8), f64> = BTreeMap::new();
    let own = |candidate: &Candidate| {
        let distance = distance_km(from, candidate.location?);
        Some(seeming_km(distance, candidate.bias))
    };
    for candidate in candidates {
        if let (Some(city), Some(distance)) = (&candidate.city, own(candidate)) {
            let nearest = cities.entry((city, candidate.bias)).or_insert(distance);
            *nearest = nearest.min(distance);
        }
    }
    let seeming = |candidate: &Candidate| {
        let city = candidate.city.as_deref();
        let shared = city.and_then(|city| cities.get(&(city, candidate.bias)).copied());
        shared.or_else(|| own(candidate)).unwrap_or(f64::INFINITY)
    };
    let mut order: Vec<_> = candidates
        .iter()
        .enumerate()
        .map(|(at, it)| (seeming(it), index(at)))
        .collect();
    order.sort_by(|a, b| a.0.total_cmp(&b.0).then(a.1.cmp(&b.1)));
    let mut groups: Vec<Group> = Vec::new();
    let mut begins = f64::NEG_INFINITY;
    for (distance, at) in order {
        let apart = distance != begins && distance - begins >= SAME_DISTANCE_KM;
        if apart && groups.len() < groups_max {
            groups.push(Vec::new());
            begins = distance;
        }
        groups
            .last_mut()
            .expect("the first candidate opens a group")
            .push(at);
    }
    groups.iter_mut().for_each(|group| group.sort_unstable());
    groups
}

#[cfg(test)]
mod tests {
    use super::*;

    fn candidate(cluster: &str, city: Option<&str>, at: Option<(f64, f64)>, bias: i8) -> Candidate {
        Candidate {
            cluster: cluster.into(),
            location: at.map(|(latitude, longitude)| Location {
                latitude,
                longitude,
            }),
            city: city.map(str::to_owned),
            bias,
        }
    }

    const BEIJING: (f64, f64) = (39.9, 116.4);
    const BEIJING_SOUTH: (f64, f64) = (39.7, 116.3);
    const FRANKFURT: (f64, f64) = (50.1, 8.7);
    const BERLIN: Location = Location {
        latitude: 52.5,
        longitude: 13.4,
    };

    fn check(from: Option<Location>, candidates: Vec<Candidate>, expected: &[&[u16]]) {
        let groups = list(from, &Ranking { candidates }, GROUPS_MAX);
        assert_eq!(groups, expected);
    }

    #[test]
    fn two_sites_of_one_city_are_one_group() {
        let sites = |city| {
            vec![
                candidate("a", city, Some(BEIJING), 0),
                candidate("b", city, Some(BEIJING_SOUTH), 0),
                candidate("f", Some("frankfurt"), Some(FRANKFURT), 0),
            ]
        };
        check(Some(BERLIN), sites(Some("beijing")), &[&[2], &[0, 1]]);
        check(Some(BERLIN), sites(None), &[&[2], &[0], &[1]]);
    }

    #[test]
    fn from_nowhere_all_are_one_group_and_without_candidates_there_is_none() {
        let sites = vec![
            candidate("a", None, Some(BEIJING), 0),
            candidate("b", None, Some(FRANKFURT), 0),
        ];
        check(None, sites, &[&[0, 1]]);
        check(None, vec![], &[]);
        check(Some(BERLIN), vec![], &[]);
    }

    #[test]
    fn candidates_without_a_place_come_last_and_together() {
        let sites = vec![
            candidate("a", None, None, 0),
            candidate("b", None, Some(FRANKFURT), 0),
            candidate("c", None, None, 0),
        ];
        check(Some(BERLIN), sites, &[&[1], &[0, 2]]);
        check(Some(BERLIN), vec![candidate("a", None, None, 0)], &[&[0]]);
    }

    #[test]
    fn a_bias_draws_clients_nearer() {
        let sites = |bias| {
            vec![
                candidate("a", None, Some(BEIJING), bias),
                candidate("b", None, Some(FRANKFURT), 0),
            ]
        };
        check(Some(BERLIN), sites(90), &[&[1], &[0]]);
        check(Some(BERLIN), sites(99), &[&[0], &[1]]);
    }

    #[test]
    fn beyond_the_bound_the_rest_is_one_group() {
        let far = |at: u16| candidate("c", None, Some((0.0, f64::from(at) * 10.0)), 0);
        let candidates = (0..12).map(far).collect();
        let groups = list(
            Some(Location {
                latitude: 0.0,
                longitude: 0.0,
            }),
            &Ranking { candidates },
            8,
        );
        assert_eq!(groups.len(), 8);
        assert_eq!(groups[7], [7, 8, 9, 10, 11]);
    }
}
