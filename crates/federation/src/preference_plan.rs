//! From a scheduling preference, what members run and what is known of their health, to the
//! replicas of each cluster now.
//!
//! phases (`failover.rs`) → goals ([`crate::divide`] over the clusters that serve) → moves (make
//! before break). A cluster in doubt is pinned to what it ran last, and one that was lost keeps
//! what it runs, so that neither a hang nor a return changes anything by itself.

use crate::{
    failover::{
        ApiSignal, Brake, BrakeView, DataPlane, FailbackMode, LossKind, Phase, Suitability, brake,
        healthy_since, loss,
    },
    input::DividedReplicas,
    moves::{Mover, make_before_break},
    preference::Preference,
    preference_goals::{Goal, Goals},
    preference_input::{
        ClusterShare, Drain, FailbackRequest, FailoverState, MemberSignals, PreferenceEvent,
        PreferenceEventKind, PreferenceInput, PreferencePlan, Role,
    },
};
use model::ClusterName;
use std::collections::{BTreeMap, BTreeSet};

/// Why replicas stay that no weight gives to their cluster.
const FOR_NOBODY: &str = "weights and maxima give replicas to nobody: what runs stays";

/// Plans one preference. `now_millis` is of the clock that the signals' times are of.
pub fn plan_preference(
    input: &PreferenceInput,
    state: &FailoverState,
    now_millis: u64,
) -> PreferencePlan {
    let mut planner = Planner::new(input, state, now_millis);
    planner.tell_brake(state.braked);
    planner.change_phases();
    let goals = loop {
        let goals = planner.goals();
        if !planner.advance(&goals.goals) {
            break goals;
        }
    };
    planner.finish(&goals)
}

pub(crate) struct Planner<'a> {
    pub(crate) input: &'a PreferenceInput,
    pub(crate) preference: Preference,
    pub(crate) text: String,
    pub(crate) now: u64,
    brake: Option<Brake>,
    phases: BTreeMap<ClusterName, Phase>,
    told: BTreeSet<ClusterName>,
    events: Vec<PreferenceEvent>,
    wake: Option<u64>,
}

impl<'a> Planner<'a> {
    fn new(input: &'a PreferenceInput, state: &FailoverState, now: u64) -> Self {
        let views = input.members.iter().map(|(name, member)| BrakeView {
            name,
            failure_domain: &member.failure_domain,
            api: member.api,
            data_plane: member.data_plane,
        });
        let brake = match &input.released {
            Some(_) => None,
            None => brake(views, &input.brake),
        };
        let known = |name: &ClusterName| {
            input
                .members
                .get(name)
                .is_some_and(|member| member.role == Role::Candidate)
        };
        Self {
            preference: input.preference.with_default(),
            text: input.key.to_string(),
            now,
            brake,
            phases: state
                .phases
                .clone()
                .into_iter()
                .filter(|(name, phase)| known(name) && *phase != Phase::Serving)
                .collect(),
            told: state
                .told
                .iter()
                .filter(|name| known(name))
                .cloned()
                .collect(),
            events: Vec::new(),
            wake: None,
            input,
        }
    }

    pub(crate) fn candidates(
        &self,
    ) -> impl Iterator<Item = (&'a ClusterName, &'a MemberSignals)> + use<'a> {
        self.input
            .members
            .iter()
            .filter(|(_, member)| member.role == Role::Candidate)
    }

    pub(crate) fn phase(&self, name: &ClusterName) -> Phase {
        self.phases.get(name).copied().unwrap_or(Phase::Serving)
    }

    fn set_phase(&mut self, name: &ClusterName, phase: Phase) {
        if phase == Phase::Serving {
            self.phases.remove(name);
        } else {
            self.phases.insert(name.clone(), phase);
        }
    }

    fn tell(&mut self, kind: PreferenceEventKind, cluster: Option<&ClusterName>, message: String) {
        self.events.push(PreferenceEvent {
            kind,
            cluster: cluster.cloned(),
            message,
        });
    }

    fn wake_at(&mut self, millis: u64) {
        self.wake = Some(self.wake.map_or(millis, |wake| wake.min(millis)));
    }

    fn tell_brake(&mut self, before: bool) {
        match (&self.brake, before) {
            (Some(brake), false) => {
                let reason = brake.reason.clone();
                self.tell(PreferenceEventKind::FailoverBraked, None, reason);
            }
            (None, true) => {
                let why = self
                    .input
                    .released
                    .as_deref()
                    .unwrap_or("the suspicion is over");
                self.tell(
                    PreferenceEventKind::FailoverReleased,
                    None,
                    format!("failover is no longer braked: {why}"),
                );
            }
            _ => {}
        }
    }

    pub(crate) fn is_held(&self, name: &ClusterName) -> bool {
        self.brake
            .as_ref()
            .is_some_and(|brake| brake.held.contains(name))
    }

    /// Returns and drains come first: who leaves asks who serves.
    fn change_phases(&mut self) {
        for (name, member) in self.candidates() {
            match (self.phase(name), member.drain) {
                (Phase::Drained, Drain::Drained) => {}
                (_, Drain::Drained) => self.set_phase(name, Phase::Drained),
                (Phase::Drained, _) => self.set_phase(name, Phase::Returning { step: 1 }),
                (Phase::Evacuated, _) => self.maybe_return(name, member),
                (Phase::Serving | Phase::Returning { .. }, _) => {}
            }
        }
        for (name, member) in self.candidates() {
            if self.serves(name) {
                self.maybe_leave(name, member);
            }
        }
    }

    fn serves(&self, name: &ClusterName) -> bool {
        matches!(self.phase(name), Phase::Serving | Phase::Returning { .. })
    }

    /// Whether some other candidate could take replicas.
    fn somebody_else_serves(&self, lost: &ClusterName) -> bool {
        self.candidates().any(|(name, member)| {
            name != lost && matches!(member.api, ApiSignal::Up { .. }) && self.serves(name)
        })
    }

    fn maybe_leave(&mut self, name: &ClusterName, member: &MemberSignals) {
        let Some(loss) = loss(member.api, member.data_plane, &self.input.failover) else {
            self.told.remove(name);
            return;
        };
        if loss.due_millis > self.now {
            self.wake_at(loss.due_millis);
            return;
        }
        if self.is_held(name) || !self.somebody_else_serves(name) {
            return;
        }
        let lasted = (self.now - loss.since_millis) / 1000;
        match loss
            .kind
            .moves(self.input.failover.mode, self.input.suitability)
        {
            Ok(()) => {
                self.set_phase(name, Phase::Evacuated);
                let message = format!(
                    "{name}: {} for {lasted} s; its replicas go to the others",
                    loss.kind.words()
                );
                self.tell(PreferenceEventKind::Failover, Some(name), message);
            }
            Err(why) if self.told.insert(name.clone()) => {
                let message = format!(
                    "{name}: {} for {lasted} s; nothing moves: {why}",
                    loss.kind.words()
                );
                self.tell(PreferenceEventKind::FailoverWithheld, Some(name), message);
            }
            Err(_) => {}
        }
    }

    fn maybe_return(&mut self, name: &ClusterName, member: &MemberSignals) {
        let Some(since) = healthy_since(member.api, member.data_plane) else {
            return;
        };
        let requested = member.failback == FailbackRequest::Requested;
        let stable = since.saturating_add(self.input.failback.stable_seconds.saturating_mul(1000));
        if !requested {
            if self.input.failback.mode == FailbackMode::Manual {
                return;
            }
            if stable > self.now {
                self.wake_at(stable);
                return;
            }
        }
        self.set_phase(name, Phase::Returning { step: 1 });
        let healthy = (self.now.saturating_sub(since)) / 1000;
        self.tell(
            PreferenceEventKind::FailbackStarted,
            Some(name),
            format!("{name}: healthy for {healthy} s; its replicas return step by step"),
        );
    }

    /// Goes on with a return whose step is done: its replicas are ready and the others have given
    /// theirs up. Says whether something changed.
    fn advance(&mut self, goals: &BTreeMap<ClusterName, Goal>) -> bool {
        if self.brake.is_some() {
            return false;
        }
        let given_up = goals.iter().all(|(name, goal)| match goal {
            Goal::Free(replicas) => {
                let running = self.input.members[name]
                    .running
                    .replicas()
                    .unwrap_or_default();
                self.is_returning(name) || running <= *replicas
            }
            Goal::Pinned(_) | Goal::Gone => true,
        });
        if !given_up {
            return false;
        }
        let done: Vec<(ClusterName, u32)> = goals
            .iter()
            .filter_map(|(name, goal)| match (self.phase(name), goal) {
                (Phase::Returning { step }, Goal::Free(replicas)) => {
                    let member = &self.input.members[name];
                    let healthy = healthy_since(member.api, member.data_plane).is_some();
                    (healthy && member.running.ready() >= *replicas).then(|| (name.clone(), step))
                }
                _ => None,
            })
            .collect();
        for (name, step) in &done {
            if step.saturating_mul(self.input.failback.step_percent.max(1)) < 100 {
                self.set_phase(name, Phase::Returning { step: step + 1 });
            } else {
                self.set_phase(name, Phase::Serving);
                let message = format!("{name}: its replicas have returned");
                self.tell(PreferenceEventKind::FailbackDone, Some(name), message);
            }
        }
        !done.is_empty()
    }

    pub(crate) fn is_returning(&self, name: &ClusterName) -> bool {
        matches!(self.phase(name), Phase::Returning { .. })
    }

    fn finish(self, goals: &Goals) -> PreferencePlan {
        let Goals {
            goals,
            wanted,
            for_nobody,
            unspread,
        } = goals;
        let movers: Vec<Mover<'_>> = goals
            .iter()
            .filter_map(|(name, goal)| {
                let Goal::Free(replicas) = goal else {
                    return None;
                };
                let running = self.input.members[name].running;
                Some(Mover {
                    name,
                    current: running.replicas().unwrap_or_default(),
                    ready: running.ready(),
                    // What a returning cluster runs already it keeps until it serves again.
                    goal: match self.is_returning(name) {
                        true => (*replicas).max(running.replicas().unwrap_or_default()),
                        false => *replicas,
                    },
                })
            })
            .collect();
        let spare = self.ready_to_count(goals) - wanted;
        let now = make_before_break(&movers, spare, self.may_go(goals, *wanted));
        let clusters = goals
            .iter()
            .map(|(name, goal)| {
                let mut share = self.share(name, *goal, now.get(name).copied());
                if *for_nobody && matches!(goal, Goal::Free(1..)) {
                    FOR_NOBODY.clone_into(&mut share.reason);
                }
                (name.clone(), share)
            })
            .collect();
        PreferencePlan {
            clusters,
            warnings: self.warnings(),
            unspread: unspread.clone(),
            braked: self.brake.as_ref().map(|brake| brake.reason.clone()),
            state: FailoverState {
                phases: self.phases,
                braked: self.brake.is_some(),
                told: self.told,
            },
            events: self.events,
            wake_at_millis: self.wake,
        }
    }

    /// How many replicas may be given up in all. While nobody has seen what a member runs that is
    /// believed to run its share, that belief is no reason to take replicas from another.
    fn may_go(&self, goals: &BTreeMap<ClusterName, Goal>, wanted: i64) -> i64 {
        let running = |name: &ClusterName| self.input.members[name].running.replicas();
        let mut pinned = goals
            .iter()
            .filter(|(_, goal)| matches!(goal, Goal::Pinned(_)));
        if pinned.all(|(name, _)| running(name).is_some()) {
            return i64::MAX;
        }
        let counted = goals.iter().filter(|(_, goal)| **goal != Goal::Gone);
        let known: i64 = counted.filter_map(|(name, _)| running(name)).sum();
        known - wanted
    }

    /// Ready replicas that carry the service: those of lost clusters do not count, nor those whose
    /// data plane is down.
    fn ready_to_count(&self, goals: &BTreeMap<ClusterName, Goal>) -> i64 {
        goals
            .iter()
            .filter(|(_, goal)| **goal != Goal::Gone)
            .map(|(name, _)| &self.input.members[name])
            .filter(|member| !matches!(member.data_plane, DataPlane::Down { .. }))
            .map(|member| member.running.ready())
            .sum()
    }

    fn share(&self, name: &ClusterName, goal: Goal, now: Option<i64>) -> ClusterShare {
        let phase = self.phase(name);
        let (replicas, divided, reason) = match (goal, now) {
            (Goal::Free(goal), Some(now)) => (
                now,
                DividedReplicas::Set(now),
                self.free_words(name, phase, goal, now),
            ),
            (Goal::Free(goal), None) => (goal, DividedReplicas::Set(goal), String::new()),
            (Goal::Pinned(pinned), _) => (pinned, DividedReplicas::Keep, self.pinned_words(name)),
            (Goal::Gone, _) => (0, DividedReplicas::Lost, self.gone_words(name)),
        };
        let goal = match goal {
            Goal::Free(goal) | Goal::Pinned(goal) => goal,
            Goal::Gone => 0,
        };
        ClusterShare {
            replicas,
            goal,
            divided,
            phase,
            reason,
        }
    }

    fn warnings(&self) -> Vec<String> {
        let kind = LossKind::Both;
        let moves = kind
            .moves(self.input.failover.mode, self.input.suitability)
            .is_ok();
        if moves && self.input.suitability == Suitability::Unsafe {
            vec![
                "failover.mode is Auto for a workload that may not run twice: a member that cannot \
                 be reached may still run its replicas"
                    .to_owned(),
            ]
        } else {
            Vec::new()
        }
    }
}
