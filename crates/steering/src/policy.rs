//! The policy tree: which endpoints answer which client.
//!
//! | node | chooses |
//! |---|---|
//! | `pool` | the endpoints of these clusters or regions, or that match a selector |
//! | `nearest` | of a pool, the group of clusters closest to the client that has a usable endpoint |
//! | `weighted` | one of its branches by chance, among those with a usable endpoint |
//! | `failover` | its first branch that is able, with rules for leaving and returning |
//! | `geo` | the branch of the first rule that the client's place meets |
//! | `cidr` | the branch of the longest prefix that holds the client |
//! | `all` | all of a pool in one answer |
//! | `hash` | one of a pool by the client's prefix, always the same |
//! | `capacity` | of a pool, the closest group as far as its ready replicas reach, then the next |
//!
//! A choice may be *partly filled*: its shares come to less than the whole while a cluster returns in
//! a ramp, or has fewer replicas than its clients need. What is missing goes to the sibling that is
//! next: the next group by distance, the other branches of `weighted`.

use ipnet::IpNet;
use model::{ClusterName, ProbeKind, Region, Target};
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
    /// By the client's country, continent, subdivision or network's owner.
    Geo(Geo),
    /// By the client's prefix.
    Cidr(Cidr),
    /// Several in one answer.
    All(All),
    /// Sticky.
    Hash(Pool),
    /// By distance, as far as ready replicas reach.
    Capacity(Capacity),
}

impl Policy {
    /// The nodes right below, in order.
    pub fn below(&self) -> Vec<&Self> {
        match self {
            Self::Pool(_) | Self::Nearest(_) | Self::All(_) | Self::Hash(_) | Self::Capacity(_) => {
                Vec::new()
            }
            Self::Weighted(branches) => branches.iter().map(|branch| &branch.policy).collect(),
            Self::Failover(branches) => branches.iter().map(|branch| &branch.policy).collect(),
            Self::Geo(geo) => {
                let rules = geo.rules.iter().map(|rule| &rule.policy);
                rules.chain(geo.default.as_deref()).collect()
            }
            Self::Cidr(cidr) => {
                let rules = cidr.rules.iter().map(|rule| &rule.policy);
                rules.chain(cidr.default.as_deref()).collect()
            }
        }
    }
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

/// By rules on the client's place; the first that is met counts.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Geo {
    /// In their order.
    pub rules: Vec<GeoRule>,
    /// What answers where no rule is met, or where the branch of the rule has nothing usable.
    #[serde(default)]
    pub default: Option<Box<Policy>>,
}

/// A rule on the client's place: any of what is listed meets it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct GeoRule {
    /// Codes of countries (ISO 3166-1 alpha-2).
    #[serde(default)]
    pub countries: Vec<String>,
    /// Codes of continents: AF AN AS EU NA OC SA.
    #[serde(default)]
    pub continents: Vec<String>,
    /// Codes of subdivisions (ISO 3166-2), such as `US-CA`.
    #[serde(default)]
    pub subdivisions: Vec<String>,
    /// Autonomous systems.
    #[serde(default)]
    pub systems: Vec<u32>,
    /// Lines: named lists of autonomous systems and prefixes, such as a carrier's.
    #[serde(default)]
    pub lines: Vec<String>,
    /// What answers.
    #[serde(flatten)]
    pub policy: Policy,
}

/// By the client's prefix; the longest counts.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Cidr {
    /// In any order.
    pub rules: Vec<CidrRule>,
    /// What answers where no rule is met, or where the branch of the rule has nothing usable.
    #[serde(default)]
    pub default: Option<Box<Policy>>,
}

/// Prefixes, and what answers clients in them.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct CidrRule {
    /// The prefixes.
    pub networks: Vec<IpNet>,
    /// What answers.
    #[serde(flatten)]
    pub policy: Policy,
}

/// Several endpoints in one answer, in a turning order.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct All {
    /// Over these endpoints.
    pub pool: Pool,
    /// How many addresses an answer has at most.
    pub max: u32,
}

impl Default for All {
    /// Eight, as many as fit into any datagram and as Route 53's multivalue answers.
    fn default() -> Self {
        Self {
            pool: Pool::default(),
            max: 8,
        }
    }
}

/// By distance, and no more than ready replicas can serve.
///
/// A group of clusters serves its own clients in the measure of its ready replicas to those that it
/// needs for them; the others go to the next group. What no group has room for is shared by ready
/// replicas: an answer never says less because all are full.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct Capacity {
    /// Over these endpoints, with this bias.
    #[serde(flatten)]
    pub nearest: Nearest,
    /// Ready replicas that a cluster needs to serve its own clients, by cluster or region (the
    /// cluster's wins). Absent: as many as its workload wants to have.
    pub needs: BTreeMap<String, u32>,
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
    /// What must succeed before the branch takes over, by hand or not.
    pub requires: Vec<Requirement>,
}

/// Something that must answer before a branch takes over: replication caught up, a database promoted.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Requirement {
    /// What it is called in statuses.
    pub name: String,
    /// Where it is asked.
    pub target: Target,
    /// How.
    pub probe: ProbeKind,
}

/// How a branch gives back.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct Failback {
    /// Who decides; absent, as the takeover: a branch taken by hand is given back by hand.
    pub mode: Option<Transition>,
    /// Milliseconds that the earlier branch must have been able before `Auto` acts.
    pub hold_down_millis: u64,
    /// Milliseconds over which traffic goes back, a tenth at a time; 0 is at once.
    pub ramp_millis: u64,
}
