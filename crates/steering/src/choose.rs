//! The policy tree at work: from endpoints and a view to shares.

use crate::{
    policy::{Pool, Transition},
    tree::{Branch, Divided, Node},
};
use geo::View;
use model::{ClusterName, Region};
use std::collections::{BTreeMap, BTreeSet};

/// A part of the whole that is not worth an answer of its own.
const NOTHING: f64 = 0.001;

/// An endpoint as the tree sees it.
#[derive(Clone, Debug)]
pub(crate) struct Entry<'a> {
    pub(crate) cluster: &'a ClusterName,
    pub(crate) region: Option<&'a Region>,
    pub(crate) labels: Option<&'a BTreeMap<String, String>>,
    pub(crate) weight: u32,
    pub(crate) ready: Option<u32>,
    /// Replicas that its workload wants to have.
    pub(crate) wanted: Option<u32>,
    /// How much of its share it gets while it returns; else 1.
    pub(crate) factor: f64,
    /// Whether it keeps to its own clients, having been given more than it could serve.
    pub(crate) overloaded: bool,
    /// Whether the rung of the ladder that is tried lets it answer.
    pub(crate) usable: bool,
}

/// A part of an answer.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Pick {
    /// Its part of the whole, which is 1.
    pub(crate) share: f64,
    pub(crate) clusters: Vec<ClusterName>,
    /// Which entries, by number.
    pub(crate) entries: Vec<usize>,
    pub(crate) form: Form,
}

/// How the entries of a pick answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Form {
    /// One of them, by chance.
    One,
    /// One of them, by the client's prefix.
    Sticky,
    /// So many of them together.
    Together(u32),
}

/// What a choice is made from.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Scene<'a> {
    pub(crate) entries: &'a [Entry<'a>],
    pub(crate) view: &'a View,
    pub(crate) rankings: &'a [geo::Ranking],
    /// What answers at each failover node, by its id.
    pub(crate) active: &'a BTreeMap<String, Active>,
}

/// The active branch of a failover node.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Active {
    pub(crate) branch: String,
    /// While traffic goes back: the branch that it comes from, and the part that is back.
    pub(crate) ramp: Option<(String, f64)>,
}

/// Who wants to know makes the words: answers are worked out far more often than explained.
pub(crate) type Say<'a> = &'a mut dyn FnMut(&dyn Fn() -> String);

impl Node {
    /// The shares of the usable endpoints for one view, which come to 1; nothing when none is usable.
    /// Each decision on the way is told to `say`.
    pub(crate) fn answer(&self, scene: Scene<'_>, say: Say<'_>) -> Vec<Pick> {
        filled(self.choose(scene, say))
    }

    /// The shares; they come to less than 1 where something is partly filled.
    fn choose(&self, scene: Scene<'_>, say: Say<'_>) -> Vec<Pick> {
        match self {
            Self::Pool(pool) => in_pool("pool", pool, Form::One, scene, say),
            Self::Hash(pool) => in_pool("hash", pool, Form::Sticky, scene, say),
            Self::All { pool, max } => all(pool, *max, scene, say),
            Self::Nearest { pool, number } => by_distance(pool, *number, None, scene, say),
            Self::Capacity {
                pool,
                number,
                needs,
            } => by_distance(pool, *number, Some(needs), scene, say),
            Self::Divided(divided) => by_rule(divided, scene, say),
            Self::Weighted(branches) => weighted(branches, scene, say),
            Self::Failover { id, branches } => failover(id, branches, scene, say),
        }
    }
}

/// The same shares, scaled so that they come to 1.
fn filled(picks: Vec<Pick>) -> Vec<Pick> {
    let whole = fill(&picks);
    scaled(picks, 1.0 / whole)
}

fn fill(picks: &[Pick]) -> f64 {
    picks.iter().map(|pick| pick.share).sum()
}

fn scaled(mut picks: Vec<Pick>, scale: f64) -> Vec<Pick> {
    picks.iter_mut().for_each(|pick| pick.share *= scale);
    picks
}

fn in_pool(what: &str, pool: &Pool, form: Form, scene: Scene<'_>, say: Say<'_>) -> Vec<Pick> {
    let members = members(scene.entries, |entry| pool.holds(entry));
    let mut picks = leaf(scene.entries, &members, Sharing::Weights);
    picks.iter_mut().for_each(|pick| pick.form = form);
    say(&|| format!("{what}: {}", tell(&picks)));
    picks
}

fn all(pool: &Pool, max: u32, scene: Scene<'_>, say: Say<'_>) -> Vec<Pick> {
    let entries = members(scene.entries, |entry| pool.holds(entry) && entry.weight > 0);
    let clusters: BTreeSet<_> = entries
        .iter()
        .map(|&at| scene.entries[at].cluster)
        .collect();
    let pick = Pick {
        share: 1.0,
        clusters: clusters.into_iter().cloned().collect(),
        entries,
        form: Form::Together(max),
    };
    let picks: Vec<_> = Some(pick)
        .filter(|pick| !pick.entries.is_empty())
        .into_iter()
        .collect();
    say(&|| format!("all: {}", tell(&picks)));
    picks
}

/// Groups of clusters in the order of their distance, each as far as it reaches.
fn by_distance(
    pool: &Pool,
    number: usize,
    needs: Option<&BTreeMap<String, u32>>,
    scene: Scene<'_>,
    say: Say<'_>,
) -> Vec<Pick> {
    let what = needs.map_or("nearest", |_| "capacity");
    let candidates = &scene.rankings[number].candidates;
    let list = &scene.view.lists[number];
    // Overloaded clusters keep to their own clients, unless there is nobody else.
    for own_only in [true, false] {
        let (mut picks, mut left) = (Vec::new(), 1.0);
        for (at, group) in list.iter().enumerate() {
            let names: BTreeSet<&ClusterName> = group
                .iter()
                .map(|&index| &candidates[usize::from(index)].cluster)
                .collect();
            let inside = |entry: &Entry<'_>| {
                pool.holds(entry)
                    && names.contains(entry.cluster)
                    && !(own_only && at > 0 && entry.overloaded)
            };
            let members = members(scene.entries, inside);
            let found = leaf(scene.entries, &members, Sharing::ReadyReplicas);
            let place = || {
                let names: Vec<_> = names.iter().map(|name| name.as_str()).collect();
                let (names, groups) = (names.join(", "), list.len());
                format!("{what}: group {} of {groups} ({names})", at + 1)
            };
            if found.is_empty() {
                say(&|| format!("{} has no usable endpoint", place()));
                continue;
            }
            let room = needs.map_or(1.0, |needs| room(scene.entries, &members, needs));
            let found = scaled(found, room * left);
            say(&|| format!("{} answers: {}", place(), tell(&found)));
            left -= fill(&found);
            picks.extend(found);
            if left < NOTHING {
                return filled(picks);
            }
        }
        if !picks.is_empty() {
            return picks;
        }
    }
    Vec::new()
}

/// The part of its own clients that a group has ready replicas for.
fn room(entries: &[Entry<'_>], members: &[usize], needs: &BTreeMap<String, u32>) -> f64 {
    let (mut have, mut need) = (0.0, 0.0);
    for of in by_cluster(entries, members).values() {
        let ready = of.iter().filter_map(|&at| entries[at].ready).max();
        let entry = &entries[of[0]];
        let said = needs
            .get(entry.cluster.as_str())
            .or_else(|| needs.get(entry.region?.as_str()));
        let wanted = of.iter().filter_map(|&at| entries[at].wanted).max();
        // Who says nothing of replicas has room.
        let (Some(ready), Some(needed)) = (ready, said.copied().or(wanted)) else {
            return 1.0;
        };
        have += f64::from(ready);
        need += f64::from(needed.max(1));
    }
    (have / need).min(1.0)
}

/// The branch of the rule that the view meets; where it has nothing usable, the default.
fn by_rule(divided: &Divided, scene: Scene<'_>, say: Say<'_>) -> Vec<Pick> {
    let rule = scene.view.rules.get(divided.number).copied();
    let rule = rule.map_or(usize::MAX, usize::from);
    let what = divided.what;
    if let Some(node) = divided.branches.get(rule) {
        say(&|| format!("{what}: rules[{rule}] is met"));
        let picks = node.choose(scene, say);
        if !picks.is_empty() {
            return picks;
        }
        say(&|| format!("{what}: rules[{rule}] has no usable endpoint"));
    } else {
        say(&|| format!("{what}: no rule is met"));
    }
    let default = divided.default.as_ref();
    default.map_or_else(Vec::new, |node| {
        say(&|| format!("{what}: the default answers"));
        node.choose(scene, say)
    })
}

fn weighted(branches: &[(u32, Node)], scene: Scene<'_>, say: Say<'_>) -> Vec<Pick> {
    let mut able = Vec::new();
    let numbered = branches.iter().enumerate();
    for (at, (weight, node)) in numbered.filter(|(_, (weight, _))| *weight > 0) {
        say(&|| format!("weighted: branch {} with weight {weight}", at + 1));
        let picks = node.choose(scene, say);
        if !picks.is_empty() {
            able.push((f64::from(*weight), picks));
        }
    }
    let whole: f64 = able.iter().map(|(weight, _)| weight).sum();
    // What a branch leaves free goes to the others; only what all leave free is told upwards.
    let most = able
        .iter()
        .map(|(_, picks)| fill(picks))
        .fold(0.0, f64::max);
    let shares = able.into_iter();
    let picks: Vec<_> = shares
        .flat_map(|(weight, picks)| scaled(picks, weight / whole))
        .collect();
    scaled(filled(picks), most)
}

/// The active branch; only when it has no endpoints at all, the first other whose edge needs nobody.
/// (Which branch is active is decided in `branches.rs`, with its delays.)
fn failover(id: &str, branches: &[Branch], scene: Scene<'_>, say: Say<'_>) -> Vec<Pick> {
    let active = scene.active.get(id);
    let name = active.map_or("", |active| active.branch.as_str());
    let first = branches.iter().filter(|branch| branch.name == name);
    let hollow = first
        .clone()
        .all(|branch| !branch.node.has_members(scene.entries));
    let others = branches.iter().enumerate().filter(|(at, branch)| {
        let free = *at == 0 || branch.takeover.mode == Transition::Auto;
        branch.name != name && free && hollow && !holds_manually(branches, name)
    });
    for branch in first.chain(others.map(|(_, branch)| branch)) {
        let picks = branch.node.choose(scene, say);
        if picks.is_empty() {
            say(&|| format!("failover: branch {} has no usable endpoint", branch.name));
        } else {
            say(&|| format!("failover: branch {} answers", branch.name));
            let ramp = active.and_then(|active| active.ramp.as_ref());
            return match ramp.filter(|_| branch.name == name) {
                Some((from, part)) => mixed(picks, *part, (from, branches), scene, say),
                None => picks,
            };
        }
    }
    Vec::new()
}

/// A branch that gets its traffic back, and the one that it comes from.
fn mixed(
    picks: Vec<Pick>,
    part: f64,
    (from, branches): (&str, &[Branch]),
    scene: Scene<'_>,
    say: Say<'_>,
) -> Vec<Pick> {
    let before = branches.iter().find(|branch| branch.name == from);
    let rest = before.map_or_else(Vec::new, |branch| branch.node.choose(scene, say));
    if rest.is_empty() {
        return picks;
    }
    let percent = part * 100.0;
    say(&|| format!("failover: {percent:.0} % is back, the rest still goes to {from}"));
    let mut both = scaled(filled(picks), part);
    both.extend(scaled(filled(rest), 1.0 - part));
    both
}

/// Whether the active branch gives back only by hand: then nothing else may answer for it.
fn holds_manually(branches: &[Branch], active: &str) -> bool {
    let found = branches.iter().position(|branch| branch.name == active);
    found.is_some_and(|at| at > 0 && branches[at].failback_mode() == Transition::Manual)
}

fn members(entries: &[Entry<'_>], inside: impl Fn(&Entry<'_>) -> bool) -> Vec<usize> {
    let numbered = entries.iter().enumerate();
    numbered
        .filter(|(_, entry)| entry.usable && inside(entry))
        .map(|(at, _)| at)
        .collect()
}

fn by_cluster<'a>(
    entries: &[Entry<'a>],
    members: &[usize],
) -> BTreeMap<&'a ClusterName, Vec<usize>> {
    let mut clusters: BTreeMap<&ClusterName, Vec<usize>> = BTreeMap::new();
    for &at in members {
        clusters.entry(entries[at].cluster).or_default().push(at);
    }
    clusters
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Sharing {
    /// By ready replicas where every cluster tells a number, else by weights.
    ReadyReplicas,
    /// By the greatest weight of a cluster's endpoints.
    Weights,
}

/// The shares of clusters among each other. They come to 1, unless all of them are returning.
fn leaf(entries: &[Entry<'_>], members: &[usize], sharing: Sharing) -> Vec<Pick> {
    let clusters = by_cluster(entries, members);
    let greatest = |of: &[usize], number: &dyn Fn(&Entry<'_>) -> u32| {
        of.iter().map(|&at| number(&entries[at])).max().unwrap_or(0)
    };
    let ready = |of: &[usize]| greatest(of, &|entry| entry.ready.unwrap_or(0));
    let weight = |of: &[usize]| greatest(of, &|entry| entry.weight);
    let factor = |of: &[usize]| {
        let factors = of.iter().map(|&at| entries[at].factor);
        factors.fold(0.0, f64::max)
    };
    let by_ready = sharing == Sharing::ReadyReplicas && clusters.values().all(|of| ready(of) > 0);
    let by_weight = clusters.values().any(|of| weight(of) > 0);
    let number = |of: &[usize]| match (by_ready, by_weight) {
        (true, _) => f64::from(ready(of)) * factor(of),
        (false, true) => f64::from(weight(of)) * factor(of),
        (false, false) => factor(of),
    };
    let whole: f64 = clusters.values().map(|of| number(of)).sum();
    let most = clusters.values().map(|of| factor(of)).fold(0.0, f64::max);
    let picks = clusters.iter().map(|(cluster, of)| Pick {
        share: number(of) / whole * most,
        clusters: vec![(*cluster).clone()],
        entries: of.clone(),
        form: Form::One,
    });
    picks.filter(|pick| pick.share > 0.0).collect()
}

/// Shares in words.
pub(crate) fn tell(picks: &[Pick]) -> String {
    let told: Vec<_> = picks
        .iter()
        .map(|pick| {
            let names: Vec<_> = pick.clusters.iter().map(ClusterName::as_str).collect();
            format!("{} {:.0} %", names.join(" and "), pick.share * 100.0)
        })
        .collect();
    if told.is_empty() {
        "no usable endpoint".to_owned()
    } else {
        told.join(", ")
    }
}
