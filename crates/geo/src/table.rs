//! A compiled table: every address to a view.

use crate::{
    database::DatabaseHash,
    partition::{self, Block, Partition},
    space::embedded_ipv4,
};
use ipnet::IpNet;
use serde::{Deserialize, Serialize};
use std::net::IpAddr;

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
