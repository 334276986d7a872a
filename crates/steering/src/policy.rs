//! The policy tree: which endpoints answer which client.
//!
//! | node | chooses |
//! |---|---|
//! | `pool` | the endpoints of these clusters or regions, or that match a selector |
//! | `nearest` | of a pool, the group of clusters closest to the client that has a usable endpoint |
//! | `weighted` | one of its branches by chance, among those with a usable endpoint |
//! | `failover` | its first branch that is able, with rules for leaving and returning |

use model::{ClusterName, Region};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// How deep nodes may nest; a tree deeper than this is refused.
pub const POLICY_DEPTH_MAX: usize = 8;

/// How many branches a node may have.
pub const POLICY_BRANCHES_MAX: usize = 64;

/// A node of the policy tree.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum Policy {
    /// A leaf.
    Pool(Pool),
    /// By distance.
    Nearest(Nearest),
    /// By shares.
    Weighted(Vec<WeightedBranch>),
    /// By order.
    Failover(Vec<FailoverBranch>),
}

impl Default for Policy {
    /// Nearest over all.
    fn default() -> Self {
        Self::Nearest(Nearest::default())
    }
}

/// Which endpoints: those that match every part that is given; an empty pool is all.
#[derive(Clone, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct Pool {
    /// In one of these clusters.
    pub clusters: Vec<ClusterName>,
    /// In one of these regions.
    pub regions: Vec<Region>,
    /// In a cluster with all of these labels.
    pub selector: BTreeMap<String, String>,
}

/// By great-circle distance between the client's place and the cluster's.
#[derive(Clone, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct Nearest {
    /// Over these endpoints.
    pub pool: Pool,
    /// Percent, -99 to 99, by cluster or region (the cluster's wins): a positive bias makes it seem
    /// nearer, `d·(1 − b/100)`, a negative one farther, `d/(1 + b/100)`.
    pub bias: BTreeMap<String, i8>,
}

/// A branch that has a share.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct WeightedBranch {
    /// Its share, relative to its siblings'; 0 takes it out.
    pub weight: u32,
    /// What answers.
    #[serde(flatten)]
    pub policy: Policy,
}

/// A branch that has a turn.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct FailoverBranch {
    /// Its name, unique in the tree: what statuses and overrides call it.
    pub name: String,
    /// What answers.
    #[serde(flatten)]
    pub policy: Policy,
    /// Clusters with a usable endpoint that it needs to be able.
    #[serde(default = "one")]
    pub min_healthy: u32,
    /// How it takes over from the branches before it.
    #[serde(default)]
    pub takeover: Takeover,
    /// How it gives back to an earlier branch.
    #[serde(default)]
    pub failback: Failback,
}

const fn one() -> u32 {
    1
}

/// Who decides a transition.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub enum Transition {
    /// Health does.
    #[default]
    Auto,
    /// A person does, with an override on the branch.
    Manual,
}

/// How a branch takes over.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct Takeover {
    /// Who decides.
    pub mode: Transition,
    /// Milliseconds that every earlier branch must have been unable before `Auto` acts.
    pub delay_millis: u64,
}

/// How a branch gives back.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct Failback {
    /// Who decides; absent, as the takeover: a branch taken by hand is given back by hand.
    pub mode: Option<Transition>,
    /// Milliseconds that the earlier branch must have been able before `Auto` acts.
    pub hold_down_millis: u64,
}
