//! Prefix tables: one per distinct geographic policy, compiled once and shared by names.

use crate::{
    choose::Entry,
    event::ClusterState,
    policy::Pool,
    tree::{Line, Tree},
};
use dns::{Leaf, ViewTable};
use geo::{Candidate, Database, Division, Overlay, PrefixTable, Ranking, RegionLocations};
use ipnet::IpNet;
use model::{ClusterName, ClusterPlace, Location, Region};
use serde::{Deserialize, Serialize};
use std::{collections::BTreeMap, sync::Arc};

/// A table with what it was compiled from, as a checkpoint keeps it.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(crate) struct StoredTable {
    pub(crate) rankings: Vec<Ranking>,
    #[serde(default)]
    pub(crate) divisions: Vec<Division>,
    #[serde(default)]
    pub(crate) overlays: Vec<Overlay>,
    pub(crate) table: PrefixTable,
}

/// A table ready for use.
#[derive(Debug)]
pub(crate) struct Table {
    pub(crate) stored: StoredTable,
    pub(crate) views: Arc<ViewTable>,
}

/// All tables in use, and what they are made from.
#[derive(Debug)]
pub(crate) struct Geography {
    regions: RegionLocations,
    database: Option<Arc<Database>>,
    lines: BTreeMap<String, Line>,
    /// Where private networks are.
    overlays: Vec<Overlay>,
    tables: Vec<Arc<Table>>,
}

impl Geography {
    pub(crate) fn new(regions: RegionLocations) -> Self {
        Self {
            regions,
            database: None,
            lines: BTreeMap::new(),
            overlays: Vec::new(),
            tables: Vec::new(),
        }
    }

    pub(crate) fn database(&self) -> Option<&Database> {
        self.database.as_deref()
    }

    /// Takes a database. Tables that were compiled from its like stay; others are forgotten.
    pub(crate) fn load(&mut self, database: Arc<Database>) {
        let hash = Some(database.hash());
        self.tables
            .retain(|table| table.stored.table.database() == hash);
        self.database = Some(database);
    }

    /// Takes the lines that rules may name; tables follow when services are placed again.
    pub(crate) fn set_lines(&mut self, lines: BTreeMap<String, Line>) {
        self.lines = lines;
    }

    /// Takes where members' private networks are; tells whether that is news. One that several members at different
    /// places name is nobody's.
    pub(crate) fn set_networks(&mut self, clusters: &BTreeMap<ClusterName, ClusterState>) -> bool {
        let mut found: BTreeMap<IpNet, Option<Location>> = BTreeMap::new();
        for place in clusters.values().map(|state| &state.place) {
            let of_region = || self.regions.location(place.region.as_ref()?);
            let location = place.location.filter(Location::is_valid).or_else(of_region);
            for network in place.networks.iter().filter(|it| geo::is_private(it)) {
                found
                    .entry(network.trunc())
                    .and_modify(|known| *known = known.filter(|it| Some(*it) == location))
                    .or_insert(location);
            }
        }
        let overlays = found.into_iter();
        let overlays: Vec<_> = overlays
            .map(|(network, location)| Overlay { network, location })
            .collect();
        let news = overlays != self.overlays;
        self.overlays = overlays;
        news
    }

    /// The rules of a tree's `geo` and `cidr` nodes.
    pub(crate) fn divisions(&self, tree: &Tree) -> Vec<Division> {
        tree.divisions(&self.lines)
    }

    /// Whether somebody defined this line.
    pub(crate) fn has_line(&self, name: &str) -> bool {
        self.lines.contains_key(name)
    }

    /// Takes tables of a checkpoint, those that are whole.
    pub(crate) fn restore(&mut self, stored: Vec<StoredTable>) {
        for stored in stored.into_iter().filter(|stored| stored.table.is_whole()) {
            let views = Arc::new(view_table(&stored.table));
            self.tables.push(Arc::new(Table { stored, views }));
        }
    }

    /// Every table, for a checkpoint.
    pub(crate) fn stored(&self) -> Vec<StoredTable> {
        self.tables
            .iter()
            .map(|table| table.stored.clone())
            .collect()
    }

    /// The table of these rankings and rules, compiled if it is not there. Without a database, a table that a
    /// checkpoint brought is as good as any.
    pub(crate) fn table(&mut self, rankings: Vec<Ranking>, divisions: Vec<Division>) -> Arc<Table> {
        // Without distances it does not matter where a network is.
        let overlays = match rankings.is_empty() {
            true => Vec::new(),
            false => self.overlays.clone(),
        };
        let same = |table: &&Arc<Table>| {
            let stored = &table.stored;
            stored.rankings == rankings
                && stored.divisions == divisions
                && stored.overlays == overlays
        };
        if let Some(known) = self.tables.iter().find(same) {
            return Arc::clone(known);
        }
        let database = self.database.as_deref();
        let prefixes = PrefixTable::compile(database, &rankings, &divisions, &overlays);
        let views = if rankings.is_empty() && divisions.is_empty() {
            Arc::new(ViewTable::uniform())
        } else {
            Arc::new(view_table(&prefixes))
        };
        let stored = StoredTable {
            rankings,
            divisions,
            overlays,
            table: prefixes,
        };
        let table = Arc::new(Table { stored, views });
        self.tables.push(Arc::clone(&table));
        table
    }

    /// Forgets tables that nobody uses.
    pub(crate) fn prune(&mut self) {
        self.tables.retain(|table| Arc::strong_count(table) > 1);
    }

    /// What a tree's `nearest` nodes rank: the clusters of these endpoints that are in their pools.
    pub(crate) fn rankings(
        &self,
        tree: &Tree,
        sites: &BTreeMap<ClusterName, Site<'_>>,
    ) -> Vec<Ranking> {
        let of = |(pool, bias): &(Pool, BTreeMap<String, i8>)| {
            let inside = sites
                .iter()
                .filter(|(cluster, site)| site.is_in(pool, cluster));
            Ranking {
                candidates: inside
                    .map(|(cluster, site)| self.candidate(cluster, site, bias))
                    .collect(),
            }
        };
        tree.nearest.iter().map(of).collect()
    }

    fn candidate(
        &self,
        cluster: &ClusterName,
        site: &Site<'_>,
        bias: &BTreeMap<String, i8>,
    ) -> Candidate {
        let region = site.region.as_ref();
        let of_region = || region.and_then(|region| self.regions.location(region));
        let city_of_region = || region.and_then(|region| self.regions.city(region));
        let own = site
            .place
            .and_then(|place| place.location)
            .filter(|point| point.is_valid());
        let city = site.place.and_then(|place| place.city.as_deref());
        let biased = |name: &str| bias.get(name).copied();
        Candidate {
            cluster: cluster.clone(),
            location: own.or_else(of_region),
            // A city is the same however it is capitalized.
            city: city.or_else(city_of_region).map(str::to_lowercase),
            bias: biased(cluster.as_str())
                .or_else(|| biased(region?.as_str()))
                .unwrap_or(0),
        }
    }
}

/// Where the endpoints of one cluster are.
#[derive(Clone, Debug)]
pub(crate) struct Site<'a> {
    pub(crate) region: Option<Region>,
    pub(crate) place: Option<&'a ClusterPlace>,
    pub(crate) labels: Option<&'a BTreeMap<String, String>>,
}

impl Site<'_> {
    fn is_in(&self, pool: &Pool, cluster: &ClusterName) -> bool {
        pool.holds(&Entry {
            cluster,
            region: self.region.as_ref(),
            labels: self.labels,
            weight: 1,
            ready: None,
            wanted: None,
            factor: 1.0,
            overloaded: false,
            usable: true,
        })
    }
}

/// A table as the DNS engine looks it up.
#[must_use]
pub fn view_table(table: &PrefixTable) -> ViewTable {
    let view = |value: u32| u16::try_from(value).expect("a table has at most 65,536 views");
    let v4 = table.blocks_v4().map(|block| Leaf {
        bits: u32::try_from(block.first).expect("an IPv4 block begins within 32 bits"),
        length: block.length,
        view: view(block.value),
    });
    let v6 = table.blocks_v6().map(|block| Leaf {
        bits: block.first,
        length: block.length,
        view: view(block.value),
    });
    ViewTable::from_ordered(v4, v6).expect("a table's blocks cover each family once")
}
