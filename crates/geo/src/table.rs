//! A compiled table: every address to a view.

use crate::{
    database::DatabaseHash,
    partition::{self, Block, Partition},
    space::{embedded_ipv4, not_public_v4, not_public_v6},
};
use ipnet::IpNet;
use serde::{Deserialize, Serialize};
use std::net::IpAddr;

/// The number of no pair of views.
const UNCOUNTED: u32 = u32::MAX;

/// Candidates at the same distance, as indexes into their ranking, in order.
pub type Group = Vec<u16>;

/// What a client sees: per ranking, its groups of candidates, nearest first; per division, its rule.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct View {
    /// One list per ranking, in the order of the rankings.
    pub lists: Vec<Vec<Group>>,
    /// Per division, the rule that is met; as many as there are rules when none is.
    #[serde(default)]
    pub rules: Vec<u16>,
}

/// Every address to a view, both families; equal siblings merged.
///
/// Made by [`PrefixTable::compile`], stored in checkpoints.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct PrefixTable {
    pub(crate) database: Option<DatabaseHash>,
    pub(crate) v4: Partition,
    pub(crate) v6: Partition,
    pub(crate) views: Vec<View>,
}

/// The view of an address, and the network it holds for.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct FoundView {
    /// The merged network; its length is the ECS scope.
    pub network: IpNet,
    /// The view's number.
    pub view: u16,
}

/// An address family.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Family {
    /// IPv4.
    V4,
    /// IPv6.
    V6,
}

/// Public addresses that have one view in a table and another in another.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Compared {
    /// Their family.
    pub family: Family,
    /// Their view in the one table.
    pub before: u16,
    /// Their view in the other.
    pub after: u16,
    /// How many they are, as a part of the family's public space, which is 1.
    pub share: f64,
}

impl PrefixTable {
    /// The database it was compiled from.
    pub fn database(&self) -> Option<DatabaseHash> {
        self.database
    }

    /// The views, by number.
    pub fn views(&self) -> &[View] {
        &self.views
    }

    /// The IPv4 space: disjoint blocks that cover it, in order; values are views.
    pub fn blocks_v4(&self) -> impl Iterator<Item = Block> + '_ {
        self.v4.blocks()
    }

    /// The IPv6 space: disjoint blocks that cover it, in order; values are views.
    pub fn blocks_v6(&self) -> impl Iterator<Item = Block> + '_ {
        self.v6.blocks()
    }

    /// The view of an address. IPv4 inside IPv6 is looked up as its IPv4, in any of the six forms.
    pub fn lookup(&self, address: IpAddr) -> FoundView {
        let address = match address {
            IpAddr::V6(v6) => embedded_ipv4(v6).map_or(address, IpAddr::V4),
            IpAddr::V4(_) => address,
        };
        let (width, space) = match address {
            IpAddr::V4(_) => (32, &self.v4),
            IpAddr::V6(_) => (128, &self.v6),
        };
        let block = space.lookup(partition::number(address));
        FoundView {
            network: IpNet::new(partition::address(width, block.first), block.length)
                .expect("a block is no longer than its address"),
            view: u16::try_from(block.value).expect("a table has at most 65,536 views"),
        }
    }

    /// Every public address in both tables, those of equal views together. Counted in whole addresses: IPv4 without
    /// private, multicast and reserved space, IPv6 of `2000::/3` (RFC 4291 § 2.4).
    pub fn compared(&self, other: &Self) -> Vec<Compared> {
        let view = |value: u32| u16::try_from(value).expect("a table has at most 65,536 views");
        let families = [
            (Family::V4, &self.v4, &other.v4, not_public_v4(UNCOUNTED)),
            (Family::V6, &self.v6, &other.v6, not_public_v6(UNCOUNTED)),
        ];
        let mut all = Vec::new();
        for (family, before, after, apart) in families {
            let counts = before.counted(after, &apart);
            let whole: u128 = counts.values().sum();
            all.extend(counts.iter().map(|((before, after), count)| Compared {
                family,
                before: view(*before),
                after: view(*after),
                share: *count as f64 / whole as f64,
            }));
        }
        all
    }

    /// How many ranges of equal view there are, in both families.
    pub fn ranges(&self) -> usize {
        self.v4.ranges() + self.v6.ranges()
    }

    /// Whether every range names a view that is there, as a stored table must.
    pub fn is_whole(&self) -> bool {
        let mut values = self.v4.values().chain(self.v6.values());
        values.all(|value| (value as usize) < self.views.len()) && self.views.len() <= 1 << 16
    }
}
