//! Why a cluster gets what it gets, in words for the preference's status.

use crate::{
    failover::{ApiSignal, FailbackMode, Phase, healthy_since, loss},
    preference_input::{Drain, Role},
    preference_plan::Planner,
};
use model::ClusterName;

impl Planner<'_> {
    pub(crate) fn free_words(
        &self,
        name: &ClusterName,
        phase: Phase,
        goal: i64,
        now: i64,
    ) -> String {
        let member = &self.input.members[name];
        let base = match (member.role, phase) {
            (Role::Bystander, _) => "no candidate any more".to_owned(),
            (_, Phase::Drained) => "drained".to_owned(),
            (_, Phase::Returning { step }) => {
                let percent = (step * self.input.failback.step_percent.max(1)).min(100);
                format!("fail-back, step {step}: {percent} % of its share")
            }
            _ => self.weight_words(name, goal),
        };
        if now > goal && !self.is_returning(name) {
            format!("{base}; {goal} in the end, but replacements are not ready elsewhere yet")
        } else {
            base
        }
    }

    fn weight_words(&self, name: &ClusterName, goal: i64) -> String {
        let Some(bounds) = self.preference.of(name) else {
            return "the preference does not name it".to_owned();
        };
        let total = self.preference.total_replicas;
        let mut words = format!("weight {}, of {total} in all", bounds.weight);
        if goal > 0 && goal == bounds.min_replicas {
            words.push_str("; at its minimum");
        }
        if Some(goal) == bounds.max_replicas {
            words.push_str("; at its maximum");
        }
        if Some(goal) == self.input.members[name].capacity {
            words.push_str("; no more can be scheduled there");
        } else if Some(goal) == self.input.members[name].room {
            words.push_str("; its nodes have room for no more");
        }
        words
    }

    pub(crate) fn pinned_words(&self, name: &ClusterName) -> String {
        let member = &self.input.members[name];
        if member.paused {
            return "kept: the member is paused".to_owned();
        }
        if member.drain == Drain::Requested {
            return "draining: kept until traffic has left".to_owned();
        }
        let Some(loss) = loss(member.api, member.data_plane, &self.input.failover) else {
            return match member.api {
                ApiSignal::Up { .. } => "kept until it is known what runs there".to_owned(),
                _ => "kept until its API has been probed".to_owned(),
            };
        };
        let down = loss.kind.words();
        if self.is_held(name) {
            return format!("kept: {down}, but failover is braked");
        }
        let settings = &self.input.failover;
        if let Err(why) = loss.kind.moves(settings.mode, self.input.suitability) {
            return format!("kept: {down}, but {why}");
        }
        if loss.due_millis <= self.now {
            return format!("kept: {down}, and no other cluster could take its replicas");
        }
        let after = (loss.due_millis - loss.since_millis) / 1000;
        format!("kept: {down}; its replicas move if that lasts {after} s")
    }

    pub(crate) fn gone_words(&self, name: &ClusterName) -> String {
        let member = &self.input.members[name];
        if self.phase(name) != Phase::Evacuated {
            return "to be emptied when its API is up".to_owned();
        }
        if let Some(loss) = loss(member.api, member.data_plane, &self.input.failover) {
            return format!("{}: its replicas are elsewhere", loss.kind.words());
        }
        let back = match healthy_since(member.api, member.data_plane) {
            Some(_) => "it is back",
            None => "it is not healthy yet",
        };
        match self.input.failback.mode {
            FailbackMode::Manual => {
                format!("{back}; its replicas return with meridian failback")
            }
            FailbackMode::Auto => format!(
                "{back}; its replicas return when it has been healthy for {} s",
                self.input.failback.stable_seconds
            ),
        }
    }
}
