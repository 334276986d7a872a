//! What a member can run of a workload, learned from Pods that found no place.
//!
//! A Pod counts once it was seen without a place for [`PATIENCE_MILLIS`]: schedulers try again, and
//! autoscalers of nodes need a while. What was learned holds for [`HOLD_MILLIS`]; then the member
//! is offered its full share again, since nobody tells when room is made.

use serde::{Deserialize, Serialize};
use std::collections::{BTreeMap, BTreeSet};

/// How long a Pod may look for a place.
const PATIENCE_MILLIS: u64 = 60_000;
/// How long a member is believed to be full.
const HOLD_MILLIS: u64 = 600_000;

/// What is known of one workload in one member.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct CapacityTrack {
    /// Pods without a place, by uid, and when they were first seen so.
    #[serde(default)]
    waiting: BTreeMap<String, u64>,
    /// Replicas that it can run, and until when that is believed.
    #[serde(default)]
    full: Option<(i64, u64)>,
}

impl CapacityTrack {
    /// The workload wants `replicas` there, and these of its Pods have no place.
    pub fn see(&mut self, unschedulable: &BTreeSet<String>, replicas: i64, now_millis: u64) {
        self.waiting.retain(|uid, _| unschedulable.contains(uid));
        for uid in unschedulable {
            self.waiting.entry(uid.clone()).or_insert(now_millis);
        }
        let waited = |since: &&u64| now_millis.saturating_sub(**since) >= PATIENCE_MILLIS;
        let lost = self.waiting.values().filter(waited).count();
        if lost > 0 {
            let lost = i64::try_from(lost).unwrap_or(i64::MAX);
            self.full = Some(((replicas - lost).max(0), now_millis + HOLD_MILLIS));
        }
    }

    /// Replicas that it can run at most, where that is known.
    pub fn capacity(&self, now_millis: u64) -> Option<i64> {
        let (capacity, until) = self.full?;
        (now_millis < until).then_some(capacity)
    }

    /// When what is known ends by itself.
    pub fn ends_at_millis(&self) -> Option<u64> {
        self.full.map(|(_, until)| until)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn pods(uids: &[&str]) -> BTreeSet<String> {
        uids.iter().map(|uid| (*uid).to_owned()).collect()
    }

    #[test]
    fn a_pod_counts_once_it_has_waited_and_the_member_is_believed_full_for_a_while() {
        let mut track = CapacityTrack::default();
        track.see(&pods(&["a", "b"]), 5, 1_000);
        assert_eq!(track.capacity(1_000), None);
        track.see(&pods(&["b", "c"]), 5, 60_999);
        assert_eq!(track.capacity(60_999), None, "a found a place");
        track.see(&pods(&["b", "c"]), 5, 61_000);
        assert_eq!(track.capacity(61_000), Some(4), "c has just come");
        track.see(&pods(&[]), 4, 70_000);
        assert_eq!(track.capacity(70_000), Some(4), "it got what it can run");
        assert_eq!(track.ends_at_millis(), Some(661_000));
        assert_eq!(track.capacity(661_000), None, "it is offered more again");
    }

    #[test]
    fn a_pod_that_was_replaced_begins_anew() {
        let mut track = CapacityTrack::default();
        track.see(&pods(&["a"]), 3, 0);
        track.see(&pods(&["b"]), 3, 59_000);
        track.see(&pods(&["b"]), 3, 60_000);
        assert_eq!(track.capacity(60_000), None);
        track.see(&pods(&["b"]), 3, 119_000);
        assert_eq!(track.capacity(119_000), Some(2));
    }
}
