//! The policy tree at work: from endpoints and a view to shares.

use crate::policy::{Failback, Policy, Pool, Takeover, Transition};
use geo::View;
use model::{ClusterName, Region};
use std::collections::{BTreeMap, BTreeSet};

/// A policy whose `nearest` nodes are numbered and whose `failover` nodes are named.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Tree {
    pub(crate) root: Node,
    /// Pool and bias of each `nearest` node, by number.
    pub(crate) nearest: Vec<(Pool, BTreeMap<String, i8>)>,
}

/// A node of it.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Node {
    Pool(Pool),
    Nearest { pool: Pool, number: usize },
    Weighted(Vec<(u32, Self)>),
    Failover { id: String, branches: Vec<Branch> },
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

/// An endpoint as the tree sees it.
#[derive(Clone, Debug)]
pub(crate) struct Entry<'a> {
    pub(crate) cluster: &'a ClusterName,
    pub(crate) region: Option<&'a Region>,
    pub(crate) labels: Option<&'a BTreeMap<String, String>>,
    pub(crate) weight: u32,
    pub(crate) ready: Option<u32>,
    /// Whether the rung of the ladder that is tried lets it answer.
    pub(crate) usable: bool,
}

/// A cluster's part of an answer.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Pick {
    /// Its part of the whole, which is 1.
    pub(crate) share: f64,
    pub(crate) cluster: ClusterName,
    /// Which entries, by number.
    pub(crate) entries: Vec<usize>,
}

/// What a choice is made from.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Scene<'a> {
    pub(crate) entries: &'a [Entry<'a>],
    pub(crate) view: &'a View,
    pub(crate) rankings: &'a [geo::Ranking],
    /// The active branch of each failover node, by its id.
    pub(crate) active: &'a BTreeMap<String, String>,
}

impl Tree {
    /// Numbers and names the nodes of a policy.
    pub(crate) fn new(policy: &Policy) -> Self {
        let mut nearest = Vec::new();
        let root = node(policy, "policy", &mut nearest);
        Self { root, nearest }
    }

    /// Every failover node, outer ones first.
    pub(crate) fn failovers(&self) -> Vec<(&str, &[Branch])> {
        let mut found = Vec::new();
        let mut open = vec![&self.root];
        while let Some(node) = open.pop() {
            match node {
                Node::Pool(_) | Node::Nearest { .. } => {}
                Node::Weighted(branches) => open.extend(branches.iter().rev().map(|(_, n)| n)),
                Node::Failover { id, branches } => {
                    found.push((id.as_str(), branches.as_slice()));
                    open.extend(branches.iter().rev().map(|branch| &branch.node));
                }
            }
        }
        found
    }
}

fn node(policy: &Policy, path: &str, nearest: &mut Vec<(Pool, BTreeMap<String, i8>)>) -> Node {
    match policy {
        Policy::Pool(pool) => Node::Pool(pool.clone()),
        Policy::Nearest(by) => {
            nearest.push((by.pool.clone(), by.bias.clone()));
            Node::Nearest {
                pool: by.pool.clone(),
                number: nearest.len() - 1,
            }
        }
        Policy::Weighted(branches) => {
            let below = branches.iter().enumerate().map(|(at, branch)| {
                (
                    branch.weight,
                    node(&branch.policy, &format!("{path}.weighted[{at}]"), nearest),
                )
            });
            Node::Weighted(below.collect())
        }
        Policy::Failover(branches) => {
            let below = branches.iter().enumerate().map(|(at, branch)| Branch {
                name: branch.name.clone(),
                node: node(&branch.policy, &format!("{path}.failover[{at}]"), nearest),
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
    /// The clusters below this node that have a usable endpoint.
    pub(crate) fn usable_clusters<'a>(&self, entries: &[Entry<'a>]) -> BTreeSet<&'a ClusterName> {
        let of = |pool: &Pool| {
            let usable = entries
                .iter()
                .filter(|entry| entry.usable && pool.holds(entry));
            usable.map(|entry| entry.cluster).collect()
        };
        match self {
            Self::Pool(pool) | Self::Nearest { pool, .. } => of(pool),
            Self::Weighted(branches) => {
                let able = branches.iter().filter(|(weight, _)| *weight > 0);
                able.flat_map(|(_, node)| node.usable_clusters(entries))
                    .collect()
            }
            Self::Failover { branches, .. } => branches
                .iter()
                .flat_map(|branch| branch.node.usable_clusters(entries))
                .collect(),
        }
    }

    /// Whether any endpoint, usable or not, is below this node.
    fn has_members(&self, entries: &[Entry<'_>]) -> bool {
        match self {
            Self::Pool(pool) | Self::Nearest { pool, .. } => {
                entries.iter().any(|entry| pool.holds(entry))
            }
            Self::Weighted(branches) => branches.iter().any(|(_, node)| node.has_members(entries)),
            Self::Failover { branches, .. } => branches
                .iter()
                .any(|branch| branch.node.has_members(entries)),
        }
    }

    /// The shares of the usable endpoints for one view; nothing when none is usable. Each decision
    /// on the way is told to `say`.
    pub(crate) fn choose(&self, scene: Scene<'_>, say: &mut dyn FnMut(String)) -> Vec<Pick> {
        match self {
            Self::Pool(pool) => {
                let members = members(scene.entries, |entry| pool.holds(entry));
                let picks = leaf(scene.entries, &members, Sharing::Weights);
                say(format!("pool: {}", tell(&picks)));
                picks
            }
            Self::Nearest { pool, number } => nearest(pool, *number, scene, say),
            Self::Weighted(branches) => weighted(branches, scene, say),
            Self::Failover { id, branches } => failover(id, branches, scene, say),
        }
    }
}

fn nearest(pool: &Pool, number: usize, scene: Scene<'_>, say: &mut dyn FnMut(String)) -> Vec<Pick> {
    let candidates = &scene.rankings[number].candidates;
    let list = &scene.view.lists[number];
    for (at, group) in list.iter().enumerate() {
        let names: BTreeSet<&ClusterName> = group
            .iter()
            .map(|&index| &candidates[usize::from(index)].cluster)
            .collect();
        let inside = |entry: &Entry<'_>| pool.holds(entry) && names.contains(entry.cluster);
        let members = members(scene.entries, inside);
        let picks = leaf(scene.entries, &members, Sharing::ReadyReplicas);
        let names: Vec<_> = names.iter().map(|name| name.as_str()).collect();
        let place = format!(
            "nearest: group {} of {} ({})",
            at + 1,
            list.len(),
            names.join(", ")
        );
        if picks.is_empty() {
            say(format!("{place} has no usable endpoint"));
        } else {
            say(format!("{place} answers: {}", tell(&picks)));
            return picks;
        }
    }
    Vec::new()
}

fn weighted(branches: &[(u32, Node)], scene: Scene<'_>, say: &mut dyn FnMut(String)) -> Vec<Pick> {
    let mut able = Vec::new();
    for (at, (weight, node)) in branches
        .iter()
        .enumerate()
        .filter(|(_, (weight, _))| *weight > 0)
    {
        say(format!("weighted: branch {} with weight {weight}", at + 1));
        let picks = node.choose(scene, say);
        if !picks.is_empty() {
            able.push((f64::from(*weight), picks));
        }
    }
    let whole: f64 = able.iter().map(|(weight, _)| weight).sum();
    let scaled = able.into_iter().flat_map(|(weight, picks)| {
        let scale = move |pick: Pick| Pick {
            share: pick.share * weight / whole,
            ..pick
        };
        picks.into_iter().map(scale)
    });
    scaled.collect()
}

/// The active branch; only when it has no endpoints at all, the first other whose edge needs nobody.
/// (Which branch is active is decided in `branches.rs`, with its delays.)
fn failover(
    id: &str,
    branches: &[Branch],
    scene: Scene<'_>,
    say: &mut dyn FnMut(String),
) -> Vec<Pick> {
    let active = scene.active.get(id).map_or("", String::as_str);
    let first = branches.iter().filter(|branch| branch.name == active);
    let hollow = first
        .clone()
        .all(|branch| !branch.node.has_members(scene.entries));
    let others = branches.iter().enumerate().filter(|(at, branch)| {
        let free = *at == 0 || branch.takeover.mode == Transition::Auto;
        branch.name != active && free && hollow && !holds_manually(branches, active)
    });
    for branch in first.chain(others.map(|(_, branch)| branch)) {
        let picks = branch.node.choose(scene, say);
        if picks.is_empty() {
            say(format!(
                "failover: branch {} has no usable endpoint",
                branch.name
            ));
        } else {
            say(format!("failover: branch {} answers", branch.name));
            return picks;
        }
    }
    Vec::new()
}

/// Whether the active branch gives back only by hand: then nothing else may answer for it.
fn holds_manually(branches: &[Branch], active: &str) -> bool {
    let found = branches.iter().position(|branch| branch.name == active);
    found.is_some_and(|at| at > 0 && branches[at].failback_mode() == Transition::Manual)
}

impl Branch {
    /// Who decides the way back: as the takeover when nothing is said.
    pub(crate) fn failback_mode(&self) -> Transition {
        self.failback.mode.unwrap_or(self.takeover.mode)
    }
}

fn members(entries: &[Entry<'_>], inside: impl Fn(&Entry<'_>) -> bool) -> Vec<usize> {
    let numbered = entries.iter().enumerate();
    numbered
        .filter(|(_, entry)| entry.usable && inside(entry))
        .map(|(at, _)| at)
        .collect()
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Sharing {
    /// By ready replicas where every cluster tells a number, else by weights.
    ReadyReplicas,
    /// By the greatest weight of a cluster's endpoints.
    Weights,
}

fn leaf(entries: &[Entry<'_>], members: &[usize], sharing: Sharing) -> Vec<Pick> {
    let mut clusters: BTreeMap<&ClusterName, Vec<usize>> = BTreeMap::new();
    for &at in members {
        clusters.entry(entries[at].cluster).or_default().push(at);
    }
    let greatest = |of: &[usize], number: &dyn Fn(&Entry<'_>) -> u32| {
        of.iter().map(|&at| number(&entries[at])).max().unwrap_or(0)
    };
    let ready = |of: &[usize]| greatest(of, &|entry| entry.ready.unwrap_or(0));
    let weight = |of: &[usize]| greatest(of, &|entry| entry.weight);
    let by_ready = sharing == Sharing::ReadyReplicas && clusters.values().all(|of| ready(of) > 0);
    let by_weight = clusters.values().any(|of| weight(of) > 0);
    let number = |of: &[usize]| match (by_ready, by_weight) {
        (true, _) => f64::from(ready(of)),
        (false, true) => f64::from(weight(of)),
        (false, false) => 1.0,
    };
    let whole: f64 = clusters.values().map(|of| number(of)).sum();
    let picks = clusters.iter().map(|(cluster, of)| Pick {
        share: number(of) / whole,
        cluster: (*cluster).clone(),
        entries: of.clone(),
    });
    picks.filter(|pick| pick.share > 0.0).collect()
}

/// Shares in words.
pub(crate) fn tell(picks: &[Pick]) -> String {
    let told: Vec<_> = picks
        .iter()
        .map(|pick| format!("{} {:.0} %", pick.cluster, pick.share * 100.0))
        .collect();
    if told.is_empty() {
        "no usable endpoint".to_owned()
    } else {
        told.join(", ")
    }
}
