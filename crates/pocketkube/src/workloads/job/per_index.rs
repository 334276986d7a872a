//! Limits of failures per index (KEP-3850): an index fails for good, and the others go on.
//!
//! How often an index failed is written on its Pods. So a failed Pod keeps its finalizer, and is not
//! counted, until the one that replaces it carries the number on.

use super::failures::Meaning;
use super::indexes::Indexes;
use super::pods::{finished_at, pause};
use super::{End, FAILED, Turn, is_tracked};
use crate::object::{annotation, is_deleting, uid};
use crate::workloads::pod;
use crate::workloads::step::after_secs;
use jiff::Timestamp;
use serde_json::{Value, json};
use std::collections::{BTreeMap, BTreeSet};

/// How often the Pods of an index failed before, as far as that counts.
const FAILURES: &str = "batch.kubernetes.io/job-index-failure-count";
/// The same of failures that a policy ignores.
const IGNORED: &str = "batch.kubernetes.io/job-index-ignored-failure-count";

/// Where a Job with such limits stands.
pub(super) struct PerIndex<'a> {
    /// Indexes that failed for good.
    pub(super) failed: Indexes,
    /// The last failed Pod of each index that is to be tried again.
    awaited: BTreeMap<u32, &'a Value>,
}

impl<'a> Turn<'a> {
    /// Looks at the failures of each index; `None` for Jobs without such limits.
    pub(super) fn look_at_indexes(&self) -> Option<PerIndex<'a>> {
        let job = self.view.job;
        let limit = job["spec"]["backoffLimitPerIndex"].as_u64()?;
        let told = job["status"]["failedIndexes"].as_str();
        let mut failed = Indexes::parse(told.unwrap_or_default());
        let fresh = self.pods.iter().copied();
        let fresh = fresh.filter(|pod| is_tracked(pod) && self.has_failed(pod));
        for pod in fresh.clone() {
            let is_final = match self.meaning_of(pod) {
                Meaning::FailsIndex => true,
                Meaning::Ignored => false,
                _ => number(pod, FAILURES) >= limit,
            };
            if let (true, Some(index)) = (is_final, self.index_of(pod)) {
                failed.insert(index);
            }
        }
        let done = self.pods.iter().copied().filter(|pod| {
            pod::is_active(pod) || (is_tracked(pod) && pod::phase(pod) == "Succeeded")
        });
        let done: BTreeSet<u32> = done.filter_map(|pod| self.index_of(pod)).collect();
        let mut awaited: BTreeMap<u32, &Value> = BTreeMap::new();
        let is_known = |pod: &Value| self.uncounted_failed.iter().any(|known| *known == uid(pod));
        let is_over = self.told_end().is_some() || is_deleting(job);
        for pod in fresh.filter(|pod| !is_known(pod) && !is_over) {
            let Some(index) = self.index_of(pod) else {
                continue;
            };
            if failed.contains(index) || self.completed.contains(index) || done.contains(&index) {
                continue;
            }
            let place = |pod: &Value| (all_failures(pod), finished_at(pod));
            let last = awaited.entry(index).or_insert(pod);
            if place(pod) >= place(last) {
                *last = pod;
            }
        }
        Some(PerIndex { failed, awaited })
    }

    /// How a Job ends whose indexes failed.
    pub(super) fn end_by_indexes(&self) -> Option<End> {
        let failed = &self.per_index.as_ref()?.failed;
        let spec = &self.view.job["spec"];
        let count = failed.len() as u64;
        if spec["maxFailedIndexes"]
            .as_u64()
            .is_some_and(|most| count > most)
        {
            let message = "Job has exceeded the specified maximal number of failed indexes";
            return Some(End::of(FAILED, "MaxFailedIndexesExceeded", message));
        }
        let done = count + self.completed.len() as u64;
        let is_done = spec["completions"].as_u64().is_some_and(|all| done >= all);
        (count > 0 && is_done).then(|| End::of(FAILED, "FailedIndexes", "Job has failed indexes"))
    }
}

impl PerIndex<'_> {
    /// Whether a Pod is not counted yet because its index is to be tried again.
    pub(super) fn keeps(&self, pod: &Value) -> bool {
        self.awaited.values().any(|kept| uid(kept) == uid(pod))
    }

    /// Whether any Pod is kept so.
    pub(super) fn is_waiting(&self) -> bool {
        !self.awaited.is_empty()
    }

    /// When an index may be tried again; `None` is at once.
    pub(super) fn again_at(&self, index: u32) -> Option<Timestamp> {
        let last = self.awaited.get(&index)?;
        Some(after_secs(finished_at(last)?, pause(all_failures(last))))
    }

    /// Writes on a new Pod of an index how often the ones before failed.
    pub(super) fn mark(&self, index: u32, meaning: impl Fn(&Value) -> Meaning, pod: &mut Value) {
        let (mut failures, mut ignored) = (0, 0);
        if let Some(last) = self.awaited.get(&index) {
            (failures, ignored) = (number(last, FAILURES), number(last, IGNORED));
            match meaning(last) {
                Meaning::Ignored => ignored += 1,
                _ => failures += 1,
            }
        }
        pod["metadata"]["annotations"][FAILURES] = json!(failures.to_string());
        if ignored > 0 {
            pod["metadata"]["annotations"][IGNORED] = json!(ignored.to_string());
        }
    }
}

fn all_failures(pod: &Value) -> u64 {
    number(pod, FAILURES) + number(pod, IGNORED)
}

fn number(pod: &Value, annotation_key: &str) -> u64 {
    let text = annotation(pod, annotation_key);
    let number = text.and_then(|text| text.parse::<u32>().ok());
    number.map_or(0, u64::from)
}
