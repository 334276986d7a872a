//! Counts and conditions of a Job.

use super::per_index::PerIndex;
use super::{
    COMPLETE, End, FAILURE_TARGET, SUCCESS_CRITERIA_MET, SUSPENDED, TABLE, Turn, untracked,
};
use crate::clock::seconds;
use crate::workloads::pod;
use crate::workloads::status::{begun, counts, differs};
use crate::workloads::step::{Severity, Step, Write};
use serde_json::{Map, Value, json};

impl Turn<'_> {
    /// Marks the start and the end of a suspension.
    pub(super) fn mark_suspension(&mut self) {
        let position = self
            .conditions
            .iter()
            .position(|one| one["type"] == SUSPENDED);
        let is_marked = position.is_some_and(|at| self.conditions[at]["status"] == "True");
        match (self.is_suspended(), is_marked, position) {
            (true, false, _) => {
                self.set_condition(SUSPENDED, "True", ("JobSuspended", "Job suspended"));
                self.start = None;
                self.note(Severity::Normal, "Suspended", "Job suspended".to_owned());
            }
            (false, true, _) => {
                self.set_condition(SUSPENDED, "False", ("JobResumed", "Job resumed"));
                self.start = Some(self.view.now);
                self.note(Severity::Normal, "Resumed", "Job resumed".to_owned());
            }
            _ => {}
        }
    }

    /// Marks how the Job ends, and, once all its Pods are counted and gone, that it ended.
    fn mark_end(&mut self) -> Option<&'static str> {
        let end = self.end.clone()?;
        let interim = if end.kind == COMPLETE {
            SUCCESS_CRITERIA_MET
        } else {
            FAILURE_TARGET
        };
        let why = (end.reason.as_str(), end.message.as_str());
        self.set_condition(interim, "True", why);
        let waits = self.per_index.as_ref().is_some_and(PerIndex::is_waiting);
        let is_counted =
            !waits && self.uncounted_succeeded.is_empty() && self.uncounted_failed.is_empty();
        let lives = self.active_after > 0 || self.terminating > 0 || !self.counted.is_empty();
        if !is_counted || lives {
            return None;
        }
        self.set_condition(end.kind, "True", why);
        self.note_end(&end);
        Some(end.kind)
    }

    fn note_end(&mut self, end: &End) {
        if end.kind == COMPLETE {
            self.note(Severity::Normal, "Completed", "Job completed".to_owned());
            return;
        }
        let reason = match end.reason.as_str() {
            "DeadlineExceeded" => "DeadlineExceeded",
            "PodFailurePolicy" => "PodFailurePolicy",
            "FailedIndexes" => "FailedIndexes",
            "MaxFailedIndexesExceeded" => "MaxFailedIndexesExceeded",
            _ => "BackoffLimitExceeded",
        };
        self.note(Severity::Warning, reason, end.message.clone());
    }

    fn set_condition(&mut self, kind: &str, status: &str, why: (&str, &str)) {
        let mut condition = begun(kind, status, why, self.view.now);
        condition["lastProbeTime"] = json!(seconds(self.view.now));
        let known = self
            .conditions
            .iter_mut()
            .find(|known| known["type"] == *kind);
        match known {
            Some(known) if known["status"] == *status => {}
            Some(known) => *known = condition,
            None => self.conditions.push(condition),
        }
    }

    /// Writes Pods, the status, and then, so that no Pod is lost from the counts, the Pods that
    /// were counted.
    pub(super) fn finish(mut self) -> Step {
        let ended = self.mark_end();
        let job = self.view.job;
        let status = self.status(ended);
        let mut step = Step {
            writes: std::mem::take(&mut self.writes),
            wake_at: self.wake_at,
        };
        if differs(&status, &job["status"]) {
            let mut object = job.clone();
            object["status"] = status;
            step.push(Write::UpdateStatus(TABLE, object));
        }
        for pod in &self.counted {
            step.push(Write::Update(pod::TABLE, untracked(pod)));
        }
        step.writes.extend(self.notes.into_iter().map(Write::Event));
        step
    }

    fn status(&self, ended: Option<&'static str>) -> Value {
        let count = |number: usize| i64::try_from(number).unwrap_or(i64::MAX);
        let mut status = counts(&[
            ("active", count(self.active_after)),
            ("succeeded", self.succeeded),
            ("failed", self.failed),
        ]);
        status["ready"] = json!(self.ready_after);
        status["terminating"] = json!(self.terminating);
        if let Some(start) = self.start {
            status["startTime"] = json!(seconds(start));
        }
        let mut uncounted = Map::new();
        for (field, uids) in [
            ("succeeded", &self.uncounted_succeeded),
            ("failed", &self.uncounted_failed),
        ] {
            if !uids.is_empty() {
                uncounted.insert(field.to_owned(), json!(uids));
            }
        }
        status["uncountedTerminatedPods"] = Value::Object(uncounted);
        if self.is_indexed() && self.completed.len() > 0 {
            status["completedIndexes"] = json!(self.completed.to_string());
        }
        if let Some(per_index) = &self.per_index {
            status["failedIndexes"] = json!(per_index.failed.to_string());
        }
        if !self.conditions.is_empty() {
            status["conditions"] = Value::Array(self.conditions.clone());
        }
        if ended == Some(COMPLETE) {
            status["completionTime"] = json!(seconds(self.view.now));
        }
        status
    }
}
