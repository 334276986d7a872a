//! The Job controller: Pods until enough of them succeeded or too many failed
//! (`job_controller.go` of the real one; KEP-2307 tracking by finalizers, KEP-2214 indexes).
//!
//! | room | what it decides |
//! |---|---|
//! | here | which Pods count, and how the Job ends |
//! | [`pods`] | what a Pod of a Job looks like, how many there should be |
//! | [`failures`] | what the failure of a Pod means |
//! | [`per_index`] | limits of failures per index |
//! | [`indexes`] | sets of indexes as they are written, and success policies |
//! | [`status`] | counts and conditions |

mod failures;
mod indexes;
mod per_index;
mod pods;
mod status;
#[cfg(test)]
mod tests;

use super::claim::claim;
use super::pod;
use super::status::{condition, holds};
use super::step::{Deletion, Note, Propagation, Severity, Step, Write, after_secs, time};
use crate::object::{annotation, finalizers, is_deleting, list, metadata_mut, uid};
use failures::Meaning;
use indexes::Indexes;
use jiff::Timestamp;
use per_index::PerIndex;
use serde_json::Value;
use std::collections::BTreeSet;

/// Table of Jobs.
pub(crate) const TABLE: &str = "jobs.batch";
/// Finalizer of Pods that are not counted yet.
const TRACKING: &str = "batch.kubernetes.io/job-tracking";
/// Annotation and label of Pods of an Indexed Job.
const INDEX: &str = "batch.kubernetes.io/job-completion-index";
/// Pods created or deleted at one look at most, as in the real controller.
const PODS_PER_LOOK_MAX: usize = 500;
/// Pods counted at one look at most, as in the real controller.
const UNCOUNTED_MAX: usize = 500;
const COMPLETE: &str = "Complete";
const FAILED: &str = "Failed";
const SUSPENDED: &str = "Suspended";
const FAILURE_TARGET: &str = "FailureTarget";
const SUCCESS_CRITERIA_MET: &str = "SuccessCriteriaMet";

/// What a look at one Job sees.
#[derive(Debug, Clone, Copy)]
pub(crate) struct View<'a> {
    /// The Job.
    pub(crate) job: &'a Value,
    /// Pods of its namespace that it controls or that have no controller.
    pub(crate) pods: &'a [&'a Value],
    /// The present.
    pub(crate) now: Timestamp,
}

/// One look.
pub(crate) fn step(view: View<'_>) -> Step {
    if is_finished(view.job) {
        return expire(view);
    }
    let (pods, adoptions) = claim(view.job, pod::TABLE, view.pods.iter().copied());
    if !adoptions.is_empty() {
        return Step {
            writes: adoptions,
            wake_at: None,
        };
    }
    let mut turn = Turn::new(view, pods);
    turn.count();
    turn.judge();
    turn.act();
    turn.finish()
}

/// Whether a Job ended, well or not.
pub(crate) fn is_finished(job: &Value) -> bool {
    holds(job, COMPLETE) || holds(job, FAILED)
}

/// Lets Pods go whose Job is gone: nobody will count them.
pub(crate) fn release<'a>(pods: impl Iterator<Item = &'a Value>) -> Step {
    let tracked = pods.filter(|pod| is_tracked(pod));
    Step {
        writes: tracked
            .map(|pod| Write::Update(pod::TABLE, untracked(pod)))
            .collect(),
        wake_at: None,
    }
}

/// Deletes a Job that ended `ttlSecondsAfterFinished` ago (KEP-592).
fn expire(view: View<'_>) -> Step {
    let mut step = Step::default();
    let ttl = view.job["spec"]["ttlSecondsAfterFinished"].as_i64();
    let ended = condition(view.job, COMPLETE).filter(|_| holds(view.job, COMPLETE));
    let ended = ended.or_else(|| condition(view.job, FAILED));
    let ended = ended.and_then(|ended| time(&ended["lastTransitionTime"]));
    if let (Some(ttl), Some(ended), false) = (ttl, ended, is_deleting(view.job)) {
        let at = after_secs(ended, ttl);
        if at > view.now {
            step.wake(at);
        } else {
            let mut deletion = Deletion::of(TABLE, view.job);
            deletion.propagation = Propagation::Foreground;
            step.push(Write::Delete(deletion));
        }
    }
    step
}

/// How a Job ends: type, reason and message of the condition.
#[derive(Debug, Clone, PartialEq, Eq)]
struct End {
    kind: &'static str,
    reason: String,
    message: String,
}

/// A Job in the middle of a look.
struct Turn<'a> {
    view: View<'a>,
    pods: Vec<&'a Value>,
    active: Vec<&'a Value>,
    terminating: usize,
    /// Counters of the status, moved.
    succeeded: i64,
    failed: i64,
    /// Uids that are counted once their finalizer is gone.
    uncounted_succeeded: Vec<String>,
    uncounted_failed: Vec<String>,
    completed: Indexes,
    per_index: Option<PerIndex<'a>>,
    /// Pods whose finalizer goes.
    counted: Vec<&'a Value>,
    end: Option<End>,
    conditions: Vec<Value>,
    start: Option<Timestamp>,
    /// Active Pods after this look, and those of them that are ready.
    active_after: usize,
    ready_after: usize,
    writes: Vec<Write>,
    notes: Vec<Note>,
    wake_at: Option<Timestamp>,
}

impl<'a> Turn<'a> {
    fn new(view: View<'a>, pods: Vec<&'a Value>) -> Self {
        let status = &view.job["status"];
        let active: Vec<&Value> = pods
            .iter()
            .copied()
            .filter(|pod| pod::is_active(pod))
            .collect();
        let ends = |pod: &&&Value| is_deleting(pod) && !pod::is_terminal(pod);
        let texts = |value: &Value| {
            let uids = list(value).iter().filter_map(Value::as_str);
            uids.map(str::to_owned).collect::<Vec<_>>()
        };
        let uncounted = &status["uncountedTerminatedPods"];
        let suspended = view.job["spec"]["suspend"] == true;
        Self {
            terminating: pods.iter().filter(ends).count(),
            active_after: active.len(),
            ready_after: active.iter().filter(|pod| pod::is_ready(pod)).count(),
            succeeded: status["succeeded"].as_i64().unwrap_or(0),
            failed: status["failed"].as_i64().unwrap_or(0),
            uncounted_succeeded: texts(&uncounted["succeeded"]),
            uncounted_failed: texts(&uncounted["failed"]),
            completed: Indexes::parse(status["completedIndexes"].as_str().unwrap_or_default()),
            per_index: None,
            counted: Vec::new(),
            end: None,
            conditions: list(&status["conditions"]).to_vec(),
            start: time(&status["startTime"]).or((!suspended).then_some(view.now)),
            writes: Vec::new(),
            notes: Vec::new(),
            wake_at: None,
            active,
            pods,
            view,
        }
    }

    /// Takes ended Pods into the counts: first by uid, then, once their finalizer is gone, by
    /// number.
    fn count(&mut self) {
        let tracked: BTreeSet<&str> = self
            .pods
            .iter()
            .filter(|pod| is_tracked(pod))
            .map(|pod| uid(pod))
            .collect();
        let settle = |uids: &mut Vec<String>| {
            let before = uids.len();
            uids.retain(|uid| tracked.contains(uid.as_str()));
            i64::try_from(before - uids.len()).unwrap_or(0)
        };
        self.succeeded += settle(&mut self.uncounted_succeeded);
        self.failed += settle(&mut self.uncounted_failed);
        self.per_index = self.look_at_indexes();
        let is_kept = |pod: &Value| self.per_index.as_ref().is_some_and(|per| per.keeps(pod));
        let countable = self.pods.iter().copied().filter(|pod| !is_kept(pod));
        for pod in countable.collect::<Vec<_>>() {
            if is_tracked(pod) && self.counted.len() < UNCOUNTED_MAX {
                self.count_one(pod);
            }
        }
        if self.is_indexed() {
            self.succeeded = i64::try_from(self.completed.len()).unwrap_or(i64::MAX);
        }
    }

    fn count_one(&mut self, pod: &'a Value) {
        let own = uid(pod).to_owned();
        let known = self.uncounted_succeeded.contains(&own) || self.uncounted_failed.contains(&own);
        if known {
            self.counted.push(pod);
        } else if pod::phase(pod) == "Succeeded" {
            self.counted.push(pod);
            match (self.is_indexed(), self.index_of(pod)) {
                (true, Some(index)) => self.completed.insert(index),
                (true, None) => {}
                (false, _) => self.uncounted_succeeded.push(own),
            }
        } else if self.has_failed(pod) {
            self.counted.push(pod);
            let is_ours = !self.is_indexed() || self.index_of(pod).is_some();
            if is_ours && self.meaning_of(pod) != Meaning::Ignored {
                self.uncounted_failed.push(own);
            }
        }
    }

    /// Whether a Pod counts as a failure: one that goes does, unless only failed ones are
    /// replaced (KEP-3939).
    fn has_failed(&self, pod: &Value) -> bool {
        pod::phase(pod) == FAILED || (is_deleting(pod) && !self.replaces_only_failed())
    }

    fn meaning_of(&self, pod: &Value) -> Meaning {
        failures::meaning(&self.view.job["spec"]["podFailurePolicy"], pod)
    }

    fn replaces_only_failed(&self) -> bool {
        self.view.job["spec"]["podReplacementPolicy"] == FAILED
    }

    fn is_indexed(&self) -> bool {
        self.view.job["spec"]["completionMode"] == "Indexed"
    }

    fn index_of(&self, pod: &Value) -> Option<u32> {
        let index: u32 = annotation(pod, INDEX)?.parse().ok()?;
        let completions = self.view.job["spec"]["completions"].as_u64()?;
        (u64::from(index) < completions).then_some(index)
    }

    fn succeeded_total(&self) -> i64 {
        let more = i64::try_from(self.uncounted_succeeded.len()).unwrap_or(i64::MAX);
        self.succeeded + more
    }

    fn failed_total(&self) -> i64 {
        self.failed + i64::try_from(self.uncounted_failed.len()).unwrap_or(i64::MAX)
    }

    /// How the Job ends, as an earlier look decided.
    fn told_end(&self) -> Option<End> {
        let told = |kind: &'static str, end: &'static str| {
            let found = condition(self.view.job, kind).filter(|_| holds(self.view.job, kind))?;
            Some(End {
                kind: end,
                reason: found["reason"].as_str().unwrap_or_default().to_owned(),
                message: found["message"].as_str().unwrap_or_default().to_owned(),
            })
        };
        told(SUCCESS_CRITERIA_MET, COMPLETE).or_else(|| told(FAILURE_TARGET, FAILED))
    }

    /// Whether the Job ends, and how: what was decided before, then failure, then success.
    fn judge(&mut self) {
        self.end = self.told_end();
        if self.end.is_some() {
            return;
        }
        let failed = self.pods.iter().filter(|pod| self.has_failed(pod));
        let fatal = failed
            .map(|pod| self.meaning_of(pod))
            .find_map(|meaning| match meaning {
                Meaning::FailsJob(message) => Some(message),
                _ => None,
            });
        if let Some(message) = fatal {
            self.end = Some(End::of(FAILED, "PodFailurePolicy", &message));
            return;
        }
        let spec = &self.view.job["spec"];
        let limit = spec["backoffLimit"].as_i64().unwrap_or(6);
        if self.failed_total() > limit || pods::restarted_too_often(self.view.job, &self.active) {
            let message = "Job has reached the specified backoff limit";
            self.end = Some(End::of(FAILED, "BackoffLimitExceeded", message));
            return;
        }
        let deadline = spec["activeDeadlineSeconds"].as_i64();
        if let (Some(secs), Some(start), false) = (deadline, self.start, self.is_suspended()) {
            let at = after_secs(start, secs);
            if at <= self.view.now {
                let message = "Job was active longer than specified deadline";
                self.end = Some(End::of(FAILED, "DeadlineExceeded", message));
                return;
            }
            self.wake(at);
        }
        self.end = self.end_by_indexes();
        if self.end.is_none()
            && self.is_indexed()
            && let Some(message) = indexes::met(&spec["successPolicy"], &self.completed)
        {
            self.end = Some(End::of(COMPLETE, "SuccessPolicy", &message));
        }
    }

    fn act(&mut self) {
        if self.end.is_some() {
            self.stop_all();
        } else {
            if !is_deleting(self.view.job) {
                self.manage();
            }
            if self.has_completed() {
                let message = "Reached expected number of succeeded pods";
                self.end = Some(End::of(COMPLETE, "CompletionsReached", message));
            } else if !is_deleting(self.view.job) {
                self.mark_suspension();
            }
        }
    }

    fn has_completed(&self) -> bool {
        let succeeded = self.succeeded_total();
        self.active_after == 0
            && match self.view.job["spec"]["completions"].as_i64() {
                Some(wanted) => succeeded >= wanted,
                None => succeeded > 0,
            }
    }

    fn is_suspended(&self) -> bool {
        self.view.job["spec"]["suspend"] == true
    }

    fn wake(&mut self, at: Timestamp) {
        self.wake_at = Some(self.wake_at.map_or(at, |earlier| earlier.min(at)));
    }

    fn note(&mut self, severity: Severity, reason: &'static str, message: String) {
        let component = "job-controller";
        self.notes.push(Note::new(
            component,
            self.view.job,
            severity,
            reason,
            message,
        ));
    }
}

impl End {
    fn of(kind: &'static str, reason: &str, message: &str) -> Self {
        Self {
            kind,
            reason: reason.to_owned(),
            message: message.to_owned(),
        }
    }
}

fn is_tracked(pod: &Value) -> bool {
    finalizers(pod).any(|finalizer| finalizer == TRACKING)
}

/// The Pod without the finalizer.
fn untracked(pod: &Value) -> Value {
    let mut object = pod.clone();
    let left: Vec<Value> = list(&object["metadata"]["finalizers"])
        .iter()
        .filter(|finalizer| **finalizer != *TRACKING)
        .cloned()
        .collect();
    let metadata = metadata_mut(&mut object);
    if left.is_empty() {
        metadata.shift_remove("finalizers");
    } else {
        metadata.insert("finalizers".to_owned(), Value::Array(left));
    }
    object
}
