//! What every cluster should have in the end under the present phases: the division over those
//! that serve, beside what is pinned and what leaves.

use crate::{
    divide::{Candidate, divide},
    failover::{ApiSignal, Phase},
    preference::Preference,
    preference_input::{Drain, MemberSignals, Role, Running},
    preference_plan::Planner,
    spread::{SpreadPlace, divide_spread, spread},
};
use model::ClusterName;
use std::collections::BTreeMap;

/// What a cluster should have in the end, under the present phases.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Goal {
    /// So many; it is asked to run them.
    Free(i64),
    /// What it runs or would run: its state is in doubt, or its traffic has not left.
    Pinned(i64),
    /// Nothing to say: it was lost.
    Gone,
}

/// What all clusters should have in the end.
pub(crate) struct Goals {
    pub(crate) goals: BTreeMap<ClusterName, Goal>,
    /// Replicas that have to be ready. Those that are asked for, less what weights and maxima give
    /// to nobody, or it would be waited for what cannot come; what only has no place now is missed.
    pub(crate) wanted: i64,
    /// Whether weights and maxima give none to anybody. What runs stays then: that is a wrong name
    /// sooner than a wish.
    pub(crate) for_nobody: bool,
    /// Where that is less even than was asked for.
    pub(crate) unspread: Vec<String>,
}

impl Planner<'_> {
    /// The goals of every member that is concerned.
    pub(crate) fn goals(&self) -> Goals {
        let serving: BTreeMap<&ClusterName, (&MemberSignals, Phase)> = self
            .candidates()
            .map(|(name, member)| (name, (member, self.phase(name))))
            .filter(|(_, (_, phase))| matches!(phase, Phase::Serving | Phase::Returning { .. }))
            .collect();
        let full = self.full_shares(&serving);
        let mut goals: BTreeMap<ClusterName, Goal> = serving
            .iter()
            .filter_map(|(name, (member, _))| {
                Some(((*name).clone(), Goal::Pinned(pin(member, full[*name])?)))
            })
            .collect();
        let pinned: i64 = goals.values().map(|goal| goal.replicas()).sum();
        let mut preference = Preference {
            total_replicas: (self.preference.total_replicas - pinned).max(0),
            ..self.preference.clone()
        };
        let mut free = BTreeMap::new();
        for (name, (member, phase)) in &serving {
            if goals.contains_key(*name) {
                continue;
            }
            let mut candidate = Candidate {
                current: member.running.replicas().unwrap_or_default(),
                capacity: member.capacity,
            };
            if let Phase::Returning { step } = phase {
                let quota = self.quota(full[*name], *step);
                let mut bounds = preference.of(name).unwrap_or_default();
                bounds.min_replicas = quota;
                bounds.max_replicas = Some(quota);
                preference.clusters.insert(name.to_string(), bounds);
                candidate.current = quota;
            }
            free.insert((*name).clone(), candidate);
        }
        let divided = divide(&preference, &free, &self.text);
        let (free, divided) = self.where_there_is_room(&preference, free, divided);
        let total = self.preference.total_replicas;
        let possible = pinned + self.with_room(&preference, &free, &divided);
        let for_nobody = possible == 0 && total > 0 && !serving.is_empty();
        let wanted = match possible {
            0 => total,
            possible => possible.min(total),
        };
        let (divided, unspread) = self.spread(&preference, free, divided, &goals);
        goals.extend(divided.into_iter().map(|(name, replicas)| {
            // What is pinned may leave soon, or be lost already: who serves beside it is not emptied
            // for its sake.
            let (member, _) = serving[&name];
            let runs = member.running.replicas().unwrap_or_default();
            let kept = match replicas {
                0 if for_nobody => runs,
                0 if pinned > 0 => runs.min(full[&name]),
                replicas => replicas,
            };
            (name, Goal::Free(kept))
        }));
        goals.extend(self.leaving(&serving, for_nobody));
        Goals {
            goals,
            wanted,
            for_nobody,
            unspread,
        }
    }

    /// Replicas go first where nodes have room for them; what fits nowhere goes where it would have
    /// gone, as nobody knows whether nodes will be added there. What runs somewhere stays, and so
    /// do minima.
    fn where_there_is_room(
        &self,
        preference: &Preference,
        free: BTreeMap<ClusterName, Candidate>,
        divided: BTreeMap<ClusterName, i64>,
    ) -> (BTreeMap<ClusterName, Candidate>, BTreeMap<ClusterName, i64>) {
        let room = |name: &ClusterName, candidate: &Candidate| {
            let least = preference.of(name).map_or(0, |bounds| bounds.min_replicas);
            let room = self.input.members[name].room?;
            Some(room.max(candidate.current).max(least))
        };
        let exceeds = |(name, candidate): (&ClusterName, &Candidate)| {
            room(name, candidate).is_some_and(|room| divided[name] > room)
        };
        if !free.iter().any(exceeds) {
            return (free, divided);
        }
        let bounded = |(name, candidate): (&ClusterName, &Candidate)| {
            let known = [candidate.capacity, room(name, candidate)];
            let capacity = known.into_iter().flatten().min();
            let current = candidate.current;
            (name.clone(), Candidate { current, capacity })
        };
        let bounded: BTreeMap<_, _> = free.iter().map(bounded).collect();
        let fitting = divide(preference, &bounded, &self.text);
        if fitting.values().sum::<i64>() == divided.values().sum::<i64>() {
            return (bounded, fitting);
        }
        let rest = Preference {
            rebalance: false,
            ..preference.clone()
        };
        let placed = free.iter().map(|(name, candidate)| {
            let current = fitting[name];
            let capacity = candidate.capacity;
            (name.clone(), Candidate { current, capacity })
        });
        let all = divide(&rest, &placed.collect(), &self.text);
        (free, all)
    }

    /// How many replicas would be divided if every cluster had a place for its share.
    fn with_room(
        &self,
        preference: &Preference,
        candidates: &BTreeMap<ClusterName, Candidate>,
        divided: &BTreeMap<ClusterName, i64>,
    ) -> i64 {
        if candidates.values().all(|it| it.capacity.is_none()) {
            return divided.values().sum();
        }
        let roomy = candidates.iter().map(|(name, candidate)| {
            let capacity = None;
            (
                name.clone(),
                Candidate {
                    capacity,
                    ..*candidate
                },
            )
        });
        divide(preference, &roomy.collect(), &self.text)
            .values()
            .sum()
    }

    /// Spreads what is divided, beside what is pinned.
    fn spread(
        &self,
        preference: &Preference,
        free: BTreeMap<ClusterName, Candidate>,
        mut divided: BTreeMap<ClusterName, i64>,
        pinned: &BTreeMap<ClusterName, Goal>,
    ) -> (BTreeMap<ClusterName, i64>, Vec<String>) {
        if preference.spread.is_empty() {
            return (divided, Vec::new());
        }
        let (mut preference, mut candidates) = (preference.clone(), free);
        for (name, goal) in pinned {
            let replicas = goal.replicas();
            let mut bounds = preference.of(name).unwrap_or_default();
            bounds.min_replicas = replicas;
            bounds.max_replicas = Some(replicas);
            preference.clusters.insert(name.to_string(), bounds);
            let candidate = Candidate {
                current: replicas,
                capacity: None,
            };
            candidates.insert(name.clone(), candidate);
            divided.insert(name.clone(), replicas);
        }
        let mut spread = spread(
            &preference,
            &candidates,
            &self.places(),
            &self.text,
            divided,
        );
        spread.plan.retain(|name, _| !pinned.contains_key(name));
        (spread.plan, spread.unmet)
    }

    fn places(&self) -> BTreeMap<ClusterName, SpreadPlace> {
        self.candidates()
            .map(|(name, member)| (name.clone(), member.place.clone()))
            .collect()
    }

    /// Clusters that shall have none in the end: drained, lost, or no candidates any more.
    fn leaving(
        &self,
        serving: &BTreeMap<&ClusterName, (&MemberSignals, Phase)>,
        for_nobody: bool,
    ) -> Vec<(ClusterName, Goal)> {
        self.input
            .members
            .iter()
            .filter(|(name, _)| !serving.contains_key(name))
            .filter_map(|(name, member)| {
                let runs = member.running.replicas().unwrap_or_default();
                if member.role == Role::Bystander && runs == 0 {
                    return None;
                }
                let reachable = matches!(member.api, ApiSignal::Up { .. });
                let goal = match self.phase(name) {
                    Phase::Evacuated => Goal::Gone,
                    _ if reachable && for_nobody && member.role == Role::Bystander => {
                        Goal::Free(runs)
                    }
                    _ if reachable => Goal::Free(0),
                    _ => Goal::Gone,
                };
                Some((name.clone(), goal))
            })
            .collect()
    }

    /// Everybody's share, were all that serve in full health.
    fn full_shares(
        &self,
        serving: &BTreeMap<&ClusterName, (&MemberSignals, Phase)>,
    ) -> BTreeMap<ClusterName, i64> {
        let preference = Preference {
            rebalance: true,
            ..self.preference.clone()
        };
        let candidates = serving
            .iter()
            .map(|(name, (member, _))| {
                let candidate = Candidate {
                    current: 0,
                    capacity: member.capacity,
                };
                ((*name).clone(), candidate)
            })
            .collect();
        divide_spread(&preference, &candidates, &self.places(), &self.text).plan
    }

    /// What a returning cluster gets at a step: `step_percent` of its share more each time.
    pub(crate) fn quota(&self, full: i64, step: u32) -> i64 {
        let percent = i64::from(step) * i64::from(self.input.failback.step_percent.max(1));
        (full * percent.min(100) + 99) / 100
    }
}

impl Goal {
    pub(crate) fn replicas(self) -> i64 {
        match self {
            Self::Free(replicas) | Self::Pinned(replicas) => replicas,
            Self::Gone => 0,
        }
    }
}

/// What a serving cluster is pinned to, if it is.
fn pin(member: &MemberSignals, full: i64) -> Option<i64> {
    let in_doubt = !matches!(member.api, ApiSignal::Up { .. })
        || member.running == Running::Unknown
        || member.drain == Drain::Requested
        || member.paused;
    in_doubt.then(|| member.running.replicas().unwrap_or(full))
}
