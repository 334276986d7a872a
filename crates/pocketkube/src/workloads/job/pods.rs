//! How many Pods a Job has, and what they look like.

use super::{INDEX, PODS_PER_LOOK_MAX, TRACKING, Turn, is_tracked, untracked};
use crate::object::{is_deleting, list, name};
use crate::workloads::replica_set::pod_from_template;
use crate::workloads::step::{Creation, Deletion, Note, Severity, Write, after_secs, time};
use crate::workloads::{GENERATE_NAME_CHARS_MAX, pod};
use jiff::Timestamp;
use serde_json::{Value, json};
use std::collections::BTreeSet;

/// Pause after the first failure; it doubles with each further one.
const BACKOFF_SECS: i64 = 10;
/// Longest pause.
const BACKOFF_SECS_MAX: i64 = 600;

/// Whether containers that restart in place did so too often.
pub(super) fn restarted_too_often(job: &Value, active: &[&Value]) -> bool {
    let spec = &job["spec"];
    if spec["template"]["spec"]["restartPolicy"] != "OnFailure" {
        return false;
    }
    let count = |pod: &&Value| {
        let status = &pod["status"];
        let statuses = list(&status["initContainerStatuses"])
            .iter()
            .chain(list(&status["containerStatuses"]));
        statuses
            .filter_map(|status| status["restartCount"].as_i64())
            .sum::<i64>()
    };
    let restarts: i64 = active.iter().map(count).sum();
    match spec["backoffLimit"].as_i64().unwrap_or(6) {
        0 => restarts > 0,
        limit => restarts >= limit,
    }
}

impl<'a> Turn<'a> {
    /// Deletes all active Pods of a Job that ends; they are still counted.
    pub(super) fn stop_all(&mut self) {
        for pod in self.active.clone() {
            self.delete(pod);
        }
    }

    /// Creates missing Pods, or deletes those that are too many.
    pub(super) fn manage(&mut self) {
        let active = self.active.len();
        let wanted = self.wanted();
        let surplus = active.saturating_sub(wanted);
        let mut gone = self.duplicates();
        let others: Vec<&Value> = self
            .first_to_go()
            .into_iter()
            .filter(|pod| gone.iter().all(|other| name(other) != name(pod)))
            .collect();
        let more = surplus.saturating_sub(gone.len());
        gone.extend(others.into_iter().take(more));
        if !gone.is_empty() {
            for pod in gone.into_iter().take(PODS_PER_LOOK_MAX) {
                // What is taken away for such a reason is no failure.
                if is_tracked(pod) {
                    self.writes.push(Write::Update(pod::TABLE, untracked(pod)));
                }
                self.delete(pod);
            }
            return;
        }
        let waits = if self.replaces_only_failed() {
            self.terminating
        } else {
            0
        };
        let missing = wanted.saturating_sub(active + waits).min(PODS_PER_LOOK_MAX);
        if missing == 0 || self.is_suspended() {
            return;
        }
        match self.backoff().filter(|_| self.per_index.is_none()) {
            Some(at) if at > self.view.now => {
                self.wake(at);
            }
            _ => self.create(missing),
        }
    }

    fn wanted(&self) -> usize {
        let spec = &self.view.job["spec"];
        let parallelism = spec["parallelism"].as_i64().unwrap_or(1);
        let active = self.active.len();
        if self.is_suspended() {
            return 0;
        }
        match spec["completions"].as_i64() {
            None if self.succeeded_total() > 0 => active,
            None => usize::try_from(parallelism).unwrap_or(0),
            Some(completions) => {
                let left = completions - self.succeeded_total();
                usize::try_from(left.min(parallelism)).unwrap_or(0)
            }
        }
    }

    /// Active Pods of an index that another one has, or that is out of range.
    fn duplicates(&self) -> Vec<&'a Value> {
        if !self.is_indexed() {
            return Vec::new();
        }
        let mut taken = BTreeSet::new();
        let mut is_surplus = |pod: &Value| {
            self.index_of(pod)
                .is_none_or(|index| self.completed.contains(index) || !taken.insert(index))
        };
        let active = self.active.iter().copied();
        active.filter(|pod| is_surplus(pod)).collect()
    }

    fn first_to_go(&self) -> Vec<&'a Value> {
        let mut pods = self.active.clone();
        pods.sort_by_key(|pod| {
            let created = pod["metadata"]["creationTimestamp"].as_str();
            (
                !pod::node(pod).is_empty(),
                pod::phase(pod) == "Running",
                pod::is_ready(pod),
                std::cmp::Reverse(created.unwrap_or_default()),
            )
        });
        pods
    }

    /// When Pods may be created again after failures: later the more there were since the last
    /// success.
    fn backoff(&self) -> Option<Timestamp> {
        let ended = |phase: &str| -> Vec<Timestamp> {
            let pods = self.pods.iter().filter(|pod| pod::phase(pod) == phase);
            pods.filter_map(|pod| finished_at(pod)).collect()
        };
        let success = ended("Succeeded").into_iter().max();
        let failures = ended("Failed").into_iter();
        let since: Vec<Timestamp> = failures
            .filter(|at| success.is_none_or(|success| *at > success))
            .collect();
        let last = since.iter().max()?;
        Some(after_secs(*last, pause(since.len() as u64 - 1)))
    }

    fn create(&mut self, missing: usize) {
        let indexes = self.ripe(self.free_indexes(missing));
        let count = if self.is_indexed() {
            indexes.len()
        } else {
            missing
        };
        self.active_after += count;
        let announce = Note::new(
            "job-controller",
            self.view.job,
            Severity::Normal,
            "SuccessfulCreate",
            "Created pod: ".to_owned(),
        );
        for number in 0..count {
            let mut object = match indexes.get(number) {
                Some(index) => indexed(self.view.job, *index),
                None => plain(self.view.job),
            };
            if let (Some(per_index), Some(index)) = (&self.per_index, indexes.get(number)) {
                per_index.mark(*index, |pod| self.meaning_of(pod), &mut object);
            }
            self.writes.push(Write::Create(Creation {
                table: pod::TABLE,
                object,
                announce: Some(announce.clone()),
            }));
        }
    }

    /// The lowest indexes that neither completed nor have an active Pod.
    fn free_indexes(&self, count: usize) -> Vec<u32> {
        if !self.is_indexed() {
            return Vec::new();
        }
        let only_failed = self.replaces_only_failed();
        let pods = self.pods.iter().filter(|pod| {
            pod::is_active(pod) || (only_failed && is_deleting(pod) && !pod::is_terminal(pod))
        });
        let taken: BTreeSet<u32> = pods.filter_map(|pod| self.index_of(pod)).collect();
        let completions = self.view.job["spec"]["completions"].as_u64().unwrap_or(0);
        let all = 0..u32::try_from(completions).unwrap_or(u32::MAX);
        let failed = self.per_index.as_ref().map(|per_index| &per_index.failed);
        let is_over = |index: u32| {
            self.completed.contains(index) || failed.is_some_and(|failed| failed.contains(index))
        };
        all.filter(|index| !taken.contains(index) && !is_over(*index))
            .take(count)
            .collect()
    }

    /// The indexes that need not wait after a failure of their own.
    fn ripe(&mut self, indexes: Vec<u32>) -> Vec<u32> {
        let now = self.view.now;
        let per_index = self.per_index.as_ref();
        let again_at = |index: u32| per_index.and_then(|per| per.again_at(index));
        let waits = |index: &u32| again_at(*index).filter(|at| *at > now);
        let next = indexes.iter().filter_map(waits).min();
        let ripe = indexes
            .iter()
            .copied()
            .filter(|index| waits(index).is_none());
        let ripe = ripe.collect();
        if let Some(at) = next {
            self.wake(at);
        }
        ripe
    }

    fn delete(&mut self, pod: &Value) {
        self.active_after -= 1;
        self.ready_after -= usize::from(pod::is_ready(pod));
        self.terminating += 1;
        self.writes
            .push(Write::Delete(Deletion::of(pod::TABLE, pod)));
        let message = format!("Deleted pod: {}", name(pod));
        self.note(Severity::Normal, "SuccessfulDelete", message);
    }
}

fn plain(job: &Value) -> Value {
    let mut pod = pod_from_template(job);
    let mut finalizers = list(&pod["metadata"]["finalizers"]).to_vec();
    finalizers.push(json!(TRACKING));
    pod["metadata"]["finalizers"] = Value::Array(finalizers);
    pod
}

fn indexed(job: &Value, index: u32) -> Value {
    let mut pod = plain(job);
    let text = index.to_string();
    let suffix = format!("-{text}-");
    let room = GENERATE_NAME_CHARS_MAX.saturating_sub(suffix.len());
    let own = name(job);
    pod["metadata"]["generateName"] = json!(format!("{}{suffix}", &own[..own.len().min(room)]));
    pod["metadata"]["annotations"][INDEX] = json!(text);
    pod["metadata"]["labels"][INDEX] = json!(text);
    pod["spec"]["hostname"] = json!(format!("{own}-{text}"));
    let variable = json!({"name": "JOB_COMPLETION_INDEX", "valueFrom": {"fieldRef": {
        "apiVersion": "v1", "fieldPath": format!("metadata.labels['{INDEX}']"),
    }}});
    for part in ["initContainers", "containers"] {
        let containers = pod["spec"].get_mut(part).and_then(Value::as_array_mut);
        for container in containers.into_iter().flatten() {
            let mut variables = list(&container["env"]).to_vec();
            if variables
                .iter()
                .all(|known| known["name"] != variable["name"])
            {
                variables.push(variable.clone());
            }
            container["env"] = Value::Array(variables);
        }
    }
    pod
}

/// How long to wait after a failure that so many came before.
pub(super) fn pause(failures_before: u64) -> i64 {
    let doublings = u32::try_from(failures_before).unwrap_or(u32::MAX).min(6);
    (BACKOFF_SECS << doublings).min(BACKOFF_SECS_MAX)
}

/// When the last container of a Pod ended.
pub(super) fn finished_at(pod: &Value) -> Option<Timestamp> {
    let statuses = list(&pod["status"]["containerStatuses"]).iter();
    let ended = statuses
        .filter_map(|status| time(&status["state"]["terminated"]["finishedAt"]))
        .max();
    ended.or_else(|| time(&pod["metadata"]["deletionTimestamp"]))
}
