//! Failover nodes over time: which branch is active, and why.

use crate::{
    policy::Transition,
    returning,
    spec::Force,
    status::{BranchState, BranchStatus},
    tree::Branch,
};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// What a failover node remembers.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct NodeState {
    /// The branch that answers.
    pub(crate) active: String,
    /// Since when, in milliseconds since 1970.
    pub(crate) since_millis: u64,
    /// Why, in words.
    pub(crate) reason: String,
    /// Per branch whether it is able, and since when.
    able: BTreeMap<String, (Ability, u64)>,
    /// Traffic that comes back from another branch, step by step.
    #[serde(default)]
    ramp: Option<Ramp>,
}

/// Traffic on its way from one branch to another.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
struct Ramp {
    from: String,
    since_millis: u64,
    ramp_millis: u64,
}

impl NodeState {
    /// The part of the traffic that is back, and when the next step is due; nothing when all is.
    pub(crate) fn ramp_step(&self, now: u64) -> Option<(f64, u64)> {
        let ramp = self.ramp.as_ref()?;
        returning::step(ramp.since_millis, ramp.ramp_millis, now)
    }

    /// Where it comes from.
    pub(crate) fn ramp_from(&self) -> &str {
        self.ramp.as_ref().map_or("", |ramp| &ramp.from)
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
enum Ability {
    Able,
    Unable,
}

/// Whether transitions by health are allowed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Motion {
    /// They are.
    Free,
    /// Too few observers are heard: only people move branches.
    Frozen,
    /// As if all delays had passed: what will come of it, for `explain`.
    Settled,
}

/// Why a branch is active that a person chose.
const TAKEN: &str = "taken by an override";

/// What the decision is made from.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Situation<'a> {
    pub(crate) now: u64,
    pub(crate) motion: Motion,
    /// Clusters with a healthy endpoint, per branch.
    pub(crate) healthy: &'a BTreeMap<String, u32>,
    /// Overrides on branches.
    pub(crate) forced: &'a BTreeMap<String, Force>,
    /// Why branches may not take over: what they require does not succeed.
    pub(crate) unmet: &'a BTreeMap<String, String>,
}

/// A decision, and when it is to be made again though nothing happens.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Decision {
    pub(crate) state: NodeState,
    pub(crate) wake_millis: Option<u64>,
}

/// The active branch after what is known now.
///
/// | active branch | another branch | moves when |
/// |---|---|---|
/// | any | forced up | at once, when what its takeover requires succeeds |
/// | able | earlier, able | failback is Auto and it was able for `holdDown` |
/// | unable | earlier, able | failback is Auto |
/// | unable | later, able | takeover is Auto, what it requires succeeds, and all before it, those of Manual takeover excepted, were unable for `delay` |
pub(crate) fn decide(
    branches: &[Branch],
    before: Option<&NodeState>,
    situation: Situation<'_>,
) -> Decision {
    let able = abilities(branches, before, situation);
    let known = before.and_then(|state| branches.iter().position(|b| b.name == state.active));
    let current = known.unwrap_or_else(|| first_able(branches, &able, situation.unmet));
    let forced = branches
        .iter()
        .position(|b| situation.forced.get(&b.name) == Some(&Force::Up));
    let mut watch = Watch {
        branches,
        able: &able,
        situation,
        wake: None,
    };
    let refused = forced.filter(|&at| at > current && watch.unmet(at).is_some());
    let (next, reason) = match forced {
        Some(next) if refused.is_none() => (next, TAKEN.to_owned()),
        Some(next) => {
            let (name, why) = (&branches[next].name, watch.unmet(next).unwrap_or_default());
            (
                current,
                format!("{name} is asked to take over and cannot: {why}"),
            )
        }
        None if situation.motion == Motion::Frozen => (
            current,
            "too few observers are heard to change branches".to_owned(),
        ),
        None => watch.next(current),
    };
    let wake_millis = watch.wake;
    let stays = before.filter(|_| known == Some(next));
    let ramp = match (known, stays) {
        (_, Some(state)) => state.ramp.clone(),
        // Only a way back is gradual: a takeover is needed now.
        (Some(from), None) if next < from => Some(Ramp {
            from: branches[from].name.clone(),
            since_millis: situation.now,
            ramp_millis: branches[from].failback.ramp_millis,
        }),
        _ => None,
    };
    let barred = |ramp: &Ramp| {
        let force = situation.forced.get(&ramp.from);
        matches!(force, Some(Force::Down | Force::Draining))
    };
    let ramp = ramp.filter(|ramp| {
        !barred(ramp) && situation.now < ramp.since_millis.saturating_add(ramp.ramp_millis)
    });
    Decision {
        state: NodeState {
            active: branches[next].name.clone(),
            since_millis: stays.map_or(situation.now, |state| state.since_millis),
            reason,
            able,
            ramp,
        },
        wake_millis,
    }
}

/// What is forced on a node's branches: of several that are forced up, the newest word counts, so that an
/// older one need not be found and taken back first.
pub(crate) fn latest(
    branches: &[Branch],
    forces: &BTreeMap<String, (Force, u64)>,
) -> BTreeMap<String, Force> {
    let of_node = || {
        let named = branches
            .iter()
            .filter_map(|it| forces.get_key_value(&it.name));
        named.map(|(name, (force, created))| (name, *force, *created))
    };
    let ups = of_node().filter(|(_, force, _)| *force == Force::Up);
    let newest = ups
        .max_by_key(|(_, _, created)| *created)
        .map(|(name, ..)| name);
    of_node()
        .filter(|(name, force, _)| *force != Force::Up || Some(*name) == newest)
        .map(|(name, force, _)| (name.clone(), force))
        .collect()
}

/// At the very beginning: the first branch that is able and needs nobody, else the first.
fn first_able(
    branches: &[Branch],
    able: &BTreeMap<String, (Ability, u64)>,
    unmet: &BTreeMap<String, String>,
) -> usize {
    let fit = |(at, branch): &(usize, &Branch)| {
        let free = branch.takeover.mode == Transition::Auto && !unmet.contains_key(&branch.name);
        able[&branch.name].0 == Ability::Able && (*at == 0 || free)
    };
    branches
        .iter()
        .enumerate()
        .find(fit)
        .map_or(0, |(at, _)| at)
}

fn abilities(
    branches: &[Branch],
    before: Option<&NodeState>,
    situation: Situation<'_>,
) -> BTreeMap<String, (Ability, u64)> {
    let of = |branch: &Branch| {
        let healthy = situation.healthy.get(&branch.name).copied().unwrap_or(0);
        let barred = matches!(
            situation.forced.get(&branch.name),
            Some(Force::Down | Force::Draining)
        );
        let ability = if healthy >= branch.min_healthy.max(1) && !barred {
            Ability::Able
        } else {
            Ability::Unable
        };
        let known = before.and_then(|state| state.able.get(&branch.name));
        let since = known
            .filter(|(old, _)| *old == ability)
            .map_or(situation.now, |(_, at)| *at);
        (branch.name.clone(), (ability, since))
    };
    branches.iter().map(of).collect()
}

/// Whether the active branch may pass to another.
enum Edge {
    Open,
    Waits(String),
}

struct Watch<'a> {
    branches: &'a [Branch],
    able: &'a BTreeMap<String, (Ability, u64)>,
    situation: Situation<'a>,
    wake: Option<u64>,
}

impl Watch<'_> {
    fn next(&mut self, current: usize) -> (usize, String) {
        if self.is(current, Ability::Able) {
            self.back(current)
        } else {
            self.over(current)
        }
    }

    /// From an able branch back to an earlier one.
    fn back(&mut self, current: usize) -> (usize, String) {
        let stay = (current, "it is the first that is able".to_owned());
        let Some(earlier) = (0..current).find(|&at| self.is(at, Ability::Able)) else {
            return stay;
        };
        let branch = &self.branches[current];
        if branch.failback_mode() == Transition::Manual {
            return (
                current,
                "an earlier branch is able; giving back waits for a person".into(),
            );
        }
        if self.waited(earlier, branch.failback.hold_down_millis) {
            (
                earlier,
                format!("it is able again, and {} gave back", branch.name),
            )
        } else {
            (
                current,
                "an earlier branch is able; its hold-down is not over".to_owned(),
            )
        }
    }

    /// From a branch that is unable to any other that is able; else, from one without any healthy
    /// cluster to one that has some, though fewer than it needs.
    fn over(&mut self, current: usize) -> (usize, String) {
        let hollow = self.healthy(current) == 0;
        let mut waits = None;
        for partial in [false, true] {
            for at in (0..self.branches.len()).filter(|&at| at != current) {
                let fit = self.is(at, Ability::Able)
                    || (partial && hollow && self.healthy(at) > 0 && !self.barred(at));
                if !fit {
                    continue;
                }
                match self.edge(current, at) {
                    Edge::Open => {
                        return (at, format!("{} is unable", self.branches[current].name));
                    }
                    Edge::Waits(why) => waits = waits.or(Some(why)),
                }
            }
        }
        (
            current,
            waits.unwrap_or_else(|| "no branch is able".to_owned()),
        )
    }

    fn edge(&mut self, current: usize, at: usize) -> Edge {
        let (from, to) = (&self.branches[current], &self.branches[at]);
        let mode = if at < current {
            from.failback_mode()
        } else {
            to.takeover.mode
        };
        let unmet = self.unmet(at).filter(|_| at > current);
        if mode == Transition::Manual {
            Edge::Waits(format!("{} could answer, and waits for a person", to.name))
        } else if let Some(why) = unmet {
            Edge::Waits(format!("{} could answer, and may not: {why}", to.name))
        } else if at < current || self.earlier_waited(at) {
            Edge::Open
        } else {
            Edge::Waits(format!(
                "{} could answer, and its delay is not over",
                to.name
            ))
        }
    }

    fn healthy(&self, at: usize) -> u32 {
        self.situation
            .healthy
            .get(&self.branches[at].name)
            .copied()
            .unwrap_or(0)
    }

    /// Why a branch may not take over.
    fn unmet(&self, at: usize) -> Option<&str> {
        let why = self.situation.unmet.get(&self.branches[at].name);
        why.map(String::as_str)
    }

    fn barred(&self, at: usize) -> bool {
        let force = self.situation.forced.get(&self.branches[at].name);
        matches!(force, Some(Force::Down | Force::Draining))
    }

    fn earlier_waited(&mut self, at: usize) -> bool {
        let delay = self.branches[at].takeover.delay_millis;
        let bars = |&before: &usize| {
            before == 0 || self.branches[before].takeover.mode == Transition::Auto
        };
        let earlier: Vec<usize> = (0..at).filter(bars).collect();
        earlier
            .into_iter()
            .all(|before| self.is(before, Ability::Unable) && self.waited(before, delay))
    }

    fn is(&self, at: usize, ability: Ability) -> bool {
        self.able[&self.branches[at].name].0 == ability
    }

    /// Whether a branch has been as it is for so long; if not, remembers when it will have been.
    fn waited(&mut self, at: usize, millis: u64) -> bool {
        let until = self.able[&self.branches[at].name].1.saturating_add(millis);
        if self.situation.now >= until || self.situation.motion == Motion::Settled {
            return true;
        }
        self.wake = Some(self.wake.map_or(until, |wake| wake.min(until)));
        false
    }
}

/// The node's branches for its service's status.
pub(crate) fn statuses(
    branches: &[Branch],
    state: &NodeState,
    unmet: &BTreeMap<String, String>,
) -> Vec<BranchStatus> {
    let at = branches
        .iter()
        .position(|b| b.name == state.active)
        .unwrap_or(0);
    let current_able = state
        .able
        .get(&state.active)
        .is_some_and(|(a, _)| *a == Ability::Able);
    let status = |(index, branch): (usize, &Branch)| {
        let (ability, since) = state
            .able
            .get(&branch.name)
            .copied()
            .unwrap_or((Ability::Unable, state.since_millis));
        let (state_of, since_millis, reason) = if index == at {
            (
                BranchState::Active,
                state.since_millis,
                state.reason.clone(),
            )
        } else if ability == Ability::Unable {
            let reason = match branch.min_healthy {
                0 | 1 => "it has no healthy cluster".to_owned(),
                needs => format!("fewer than {needs} clusters are healthy"),
            };
            (BranchState::Unable, since, reason)
        } else if current_able && index > at {
            (
                BranchState::Standby,
                since,
                format!("{} answers", state.active),
            )
        } else {
            let reason = match state.reason.as_str() {
                TAKEN => format!("{} was {TAKEN}", state.active),
                other => other.to_owned(),
            };
            (BranchState::Waiting, since, reason)
        };
        BranchStatus {
            name: branch.name.clone(),
            state: state_of,
            since_millis,
            reason,
            unmet: unmet.get(&branch.name).cloned(),
        }
    };
    branches.iter().enumerate().map(status).collect()
}
