//! The policy tree, made ready for work: nodes numbered and named.

use crate::{
    choose::Entry,
    policy::{Cidr, Failback, Geo, GeoRule, Nearest, Policy, Pool, Takeover, Transition},
};
use geo::{CountryCode, Division, Precedence, RuleMatch};
use ipnet::IpNet;
use model::ClusterName;
use serde::{Deserialize, Serialize};
use std::collections::{BTreeMap, BTreeSet};

/// A policy whose `nearest`, `geo` and `cidr` nodes are numbered and whose `failover` nodes are named.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Tree {
    pub(crate) root: Node,
    /// Pool and bias of each node by distance, by number.
    pub(crate) nearest: Vec<(Pool, BTreeMap<String, i8>)>,
    /// Rules of each `geo` and `cidr` node, by number; lines are not looked up yet.
    pub(crate) divisions: Vec<(Division, Vec<Vec<String>>)>,
}

/// Autonomous systems and prefixes that rules call by one name: a carrier's networks.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct Line {
    /// Autonomous systems.
    pub systems: BTreeSet<u32>,
    /// Prefixes.
    pub networks: Vec<IpNet>,
}

/// A node of it.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Node {
    Pool(Pool),
    Nearest {
        pool: Pool,
        number: usize,
    },
    Capacity {
        pool: Pool,
        number: usize,
        needs: BTreeMap<String, u32>,
    },
    All {
        pool: Pool,
        max: u32,
    },
    Hash(Pool),
    Divided(Divided),
    Weighted(Vec<(u32, Self)>),
    Failover {
        id: String,
        branches: Vec<Branch>,
    },
}

/// A node whose branch a rule chooses.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Divided {
    /// `geo` or `cidr`.
    pub(crate) what: &'static str,
    pub(crate) number: usize,
    /// One per rule.
    pub(crate) branches: Vec<Node>,
    pub(crate) default: Option<Box<Node>>,
}

/// A branch of a failover node.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Branch {
    pub(crate) name: String,
    pub(crate) node: Node,
    pub(crate) min_healthy: u32,
    pub(crate) takeover: Takeover,
    pub(crate) failback: Failback,
}

impl Tree {
    /// Numbers and names the nodes of a policy.
    pub(crate) fn new(policy: &Policy) -> Self {
        let mut tree = Self {
            root: Node::Pool(Pool::default()),
            nearest: Vec::new(),
            divisions: Vec::new(),
        };
        tree.root = tree.node(policy, "policy");
        tree
    }

    /// Every failover node, outer ones first.
    pub(crate) fn failovers(&self) -> Vec<(&str, &[Branch])> {
        let mut found = Vec::new();
        let mut open = vec![&self.root];
        while let Some(node) = open.pop() {
            if let Node::Failover { id, branches } = node {
                found.push((id.as_str(), branches.as_slice()));
            }
            open.extend(node.below().into_iter().rev());
        }
        found
    }

    /// Whether shares follow ready replicas anywhere in it.
    pub(crate) fn has_capacity(&self) -> bool {
        let mut open = vec![&self.root];
        while let Some(node) = open.pop() {
            if matches!(node, Node::Capacity { .. }) {
                return true;
            }
            open.extend(node.below());
        }
        false
    }

    /// The rules of its `geo` and `cidr` nodes, with the networks of the lines that they name.
    pub(crate) fn divisions(&self, lines: &BTreeMap<String, Line>) -> Vec<Division> {
        let of = |(division, named): &(Division, Vec<Vec<String>>)| {
            let mut division = division.clone();
            for (rule, names) in division.rules.iter_mut().zip(named) {
                for line in names.iter().filter_map(|name| lines.get(name)) {
                    rule.systems.extend(&line.systems);
                    rule.networks.extend(&line.networks);
                }
            }
            division
        };
        self.divisions.iter().map(of).collect()
    }

    fn node(&mut self, policy: &Policy, path: &str) -> Node {
        match policy {
            Policy::Pool(pool) => Node::Pool(pool.clone()),
            Policy::Hash(pool) => Node::Hash(pool.clone()),
            Policy::All(all) => Node::All {
                pool: all.pool.clone(),
                max: all.max,
            },
            Policy::Nearest(by) => Node::Nearest {
                pool: by.pool.clone(),
                number: self.ranked(by),
            },
            Policy::Capacity(by) => Node::Capacity {
                pool: by.nearest.pool.clone(),
                number: self.ranked(&by.nearest),
                needs: by.needs.clone(),
            },
            Policy::Geo(geo) => self.geo(geo, &format!("{path}.geo")),
            Policy::Cidr(cidr) => self.cidr(cidr, &format!("{path}.cidr")),
            Policy::Weighted(branches) => {
                let below = branches.iter().enumerate().map(|(at, branch)| {
                    let node = self.node(&branch.policy, &format!("{path}.weighted[{at}]"));
                    (branch.weight, node)
                });
                Node::Weighted(below.collect())
            }
            Policy::Failover(branches) => {
                let below = branches.iter().enumerate().map(|(at, branch)| Branch {
                    name: branch.name.clone(),
                    node: self.node(&branch.policy, &format!("{path}.failover[{at}]")),
                    min_healthy: branch.min_healthy,
                    takeover: branch.takeover.clone(),
                    failback: branch.failback.clone(),
                });
                Node::Failover {
                    branches: below.collect(),
                    id: path.to_owned(),
                }
            }
        }
    }

    fn ranked(&mut self, by: &Nearest) -> usize {
        self.nearest.push((by.pool.clone(), by.bias.clone()));
        self.nearest.len() - 1
    }

    fn geo(&mut self, geo: &Geo, path: &str) -> Node {
        let division = Division {
            rules: geo.rules.iter().map(GeoRule::matches).collect(),
            precedence: Precedence::First,
        };
        let lines = geo.rules.iter().map(|rule| rule.lines.clone()).collect();
        let policies = geo.rules.iter().map(|rule| &rule.policy);
        self.divided(
            "geo",
            path,
            (division, lines),
            policies,
            geo.default.as_deref(),
        )
    }

    fn cidr(&mut self, cidr: &Cidr, path: &str) -> Node {
        let rules = cidr.rules.iter().map(|rule| RuleMatch {
            networks: rule.networks.clone(),
            ..RuleMatch::default()
        });
        let division = Division {
            rules: rules.collect(),
            precedence: Precedence::Longest,
        };
        let policies = cidr.rules.iter().map(|rule| &rule.policy);
        self.divided(
            "cidr",
            path,
            (division, Vec::new()),
            policies,
            cidr.default.as_deref(),
        )
    }

    fn divided<'a>(
        &mut self,
        what: &'static str,
        path: &str,
        division: (Division, Vec<Vec<String>>),
        policies: impl Iterator<Item = &'a Policy>,
        default: Option<&Policy>,
    ) -> Node {
        self.divisions.push(division);
        let number = self.divisions.len() - 1;
        let branches = policies.enumerate();
        let branches =
            branches.map(|(at, policy)| self.node(policy, &format!("{path}.rules[{at}]")));
        let branches = branches.collect();
        let default = default.map(|policy| Box::new(self.node(policy, &format!("{path}.default"))));
        Node::Divided(Divided {
            what,
            number,
            branches,
            default,
        })
    }
}

impl GeoRule {
    /// What meets it; codes that do not read meet nothing, and are refused before.
    fn matches(&self) -> RuleMatch {
        let countries = self.countries.iter();
        let continents = self.continents.iter();
        RuleMatch {
            countries: countries.filter_map(|it| CountryCode::parse(it)).collect(),
            continents: continents
                .filter_map(|it| geo::Continent::parse(it))
                .collect(),
            subdivisions: self.subdivisions.iter().cloned().collect(),
            systems: self.systems.iter().copied().collect(),
            networks: Vec::new(),
        }
    }
}

impl Pool {
    /// Whether an endpoint is in the pool.
    pub(crate) fn holds(&self, entry: &Entry<'_>) -> bool {
        let labelled = |(key, value): (&String, &String)| {
            entry.labels.and_then(|labels| labels.get(key)) == Some(value)
        };
        (self.clusters.is_empty() || self.clusters.contains(entry.cluster))
            && (self.regions.is_empty()
                || entry
                    .region
                    .is_some_and(|region| self.regions.contains(region)))
            && self.selector.iter().all(labelled)
    }
}

impl Node {
    /// The nodes right below, in order; those that get nothing are left out.
    pub(crate) fn below(&self) -> Vec<&Self> {
        match self {
            Self::Pool(_)
            | Self::Hash(_)
            | Self::Nearest { .. }
            | Self::Capacity { .. }
            | Self::All { .. } => Vec::new(),
            Self::Divided(divided) => {
                let default = divided.default.as_deref();
                divided.branches.iter().chain(default).collect()
            }
            Self::Weighted(branches) => {
                let able = branches.iter().filter(|(weight, _)| *weight > 0);
                able.map(|(_, node)| node).collect()
            }
            Self::Failover { branches, .. } => branches.iter().map(|it| &it.node).collect(),
        }
    }

    pub(crate) fn pool(&self) -> Option<&Pool> {
        match self {
            Self::Pool(pool)
            | Self::Hash(pool)
            | Self::Nearest { pool, .. }
            | Self::Capacity { pool, .. }
            | Self::All { pool, .. } => Some(pool),
            Self::Divided(_) | Self::Weighted(_) | Self::Failover { .. } => None,
        }
    }

    /// The clusters below this node that have a usable endpoint.
    pub(crate) fn usable_clusters<'a>(&self, entries: &[Entry<'a>]) -> BTreeSet<&'a ClusterName> {
        if let Some(pool) = self.pool() {
            let usable = entries.iter();
            let usable = usable.filter(|entry| entry.usable && pool.holds(entry));
            return usable.map(|entry| entry.cluster).collect();
        }
        let below = self.below().into_iter();
        below
            .flat_map(|node| node.usable_clusters(entries))
            .collect()
    }

    /// Whether any endpoint, usable or not, is below this node.
    pub(crate) fn has_members(&self, entries: &[Entry<'_>]) -> bool {
        match self.pool() {
            Some(pool) => entries.iter().any(|entry| pool.holds(entry)),
            None => self.below().iter().any(|node| node.has_members(entries)),
        }
    }
}

impl Branch {
    /// Who decides the way back: as the takeover when nothing is said.
    pub(crate) fn failback_mode(&self) -> Transition {
        self.failback.mode.unwrap_or(self.takeover.mode)
    }
}
