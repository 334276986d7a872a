//! The deletion brake: how many objects may be deleted in one member within five minutes.
//!
//! A mistake in a placement, a label or a script must not empty a member. More than
//! max(20 objects, 10 % of what is held) within five minutes shuts the brake until somebody
//! confirms. Deleting a Namespace or a PersistentVolumeClaim through a placement or label change is
//! braked in the plan itself.

use crate::input::DeletionBrake;
use crate::step::Delete;
use serde::{Deserialize, Serialize};
use std::collections::{BTreeSet, VecDeque};

/// The window in which deletions are counted.
const WINDOW_MILLIS: u64 = 5 * 60 * 1000;
/// So many deletions are always let through.
const FREE_MIN: usize = 20;
/// This share of what is held is let through.
const FREE_PERCENT: usize = 10;
/// Deletions that are remembered; beyond it the brake has long been shut.
const REMEMBERED_MAX: usize = 100_000;

/// The deletions of one member that a brake counts; an object counts once, however often it is tried.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct DeletionLedger {
    /// When each was sent, oldest first, and the uid of its object.
    deleted: VecDeque<(u64, String)>,
    /// Their uids.
    uids: BTreeSet<String>,
    /// The most objects held within the window, so that deleting does not shrink the allowance.
    held_max: usize,
    /// When `held_max` was seen.
    held_at_millis: u64,
}

impl DeletionLedger {
    /// Notes how many objects the member holds.
    pub fn hold(&mut self, held: usize, now_millis: u64) {
        let old = now_millis.saturating_sub(self.held_at_millis) > WINDOW_MILLIS;
        if held >= self.held_max || old {
            self.held_max = held;
            self.held_at_millis = now_millis;
        }
    }

    /// Counts what somebody else deleted before, as if it were now: when it was is not known.
    pub fn inherit(&mut self, deleted: usize, now_millis: u64) {
        self.forget(now_millis);
        for number in self.deleted.len()..deleted.min(REMEMBERED_MAX) {
            let uid = format!("before {now_millis} {number}");
            self.uids.insert(uid.clone());
            self.deleted.push_back((now_millis, uid));
        }
    }

    /// How many count, of those that are allowed: when none is left, more make no difference.
    pub fn counted(&mut self, now_millis: u64) -> usize {
        self.forget(now_millis);
        self.deleted.len().min(self.allowed())
    }

    fn allowed(&self) -> usize {
        FREE_MIN.max(self.held_max * FREE_PERCENT / 100)
    }

    /// Whether one more deletion may go.
    pub fn brake(&mut self, now_millis: u64) -> DeletionBrake {
        self.forget(now_millis);
        let allowed = self.allowed();
        let deleted = self.deleted.len();
        if deleted < allowed {
            DeletionBrake::Open
        } else {
            DeletionBrake::Shut(format!(
                "{deleted} of {} objects were deleted within five minutes, and {allowed} are \
                 allowed",
                self.held_max
            ))
        }
    }

    /// Takes the place of a deletion that is about to be sent, if there is one. What somebody
    /// confirmed finds one always.
    ///
    /// Many are planned at the same time, each of them while the brake is open: so they are counted
    /// here, one after the other.
    pub fn take(&mut self, delete: &Delete, now_millis: u64) -> DeletionBrake {
        let brake = self.brake(now_millis);
        if self.uids.contains(&delete.uid) {
            return DeletionBrake::Open;
        }
        if brake == DeletionBrake::Open || delete.confirmed {
            if self.deleted.len() < REMEMBERED_MAX {
                self.uids.insert(delete.uid.clone());
                self.deleted.push_back((now_millis, delete.uid.clone()));
            }
            return DeletionBrake::Open;
        }
        brake
    }

    /// Gives back the place of a deletion that did not happen.
    pub fn give_back(&mut self, delete: &Delete) {
        if self.uids.remove(&delete.uid) {
            self.deleted.retain(|(_, uid)| *uid != delete.uid);
        }
    }

    fn forget(&mut self, now_millis: u64) {
        let begin = now_millis.saturating_sub(WINDOW_MILLIS);
        while let Some((at, uid)) = self.deleted.front()
            && *at < begin
        {
            self.uids.remove(uid);
            self.deleted.pop_front();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn delete(number: usize) -> Delete {
        Delete {
            uid: format!("uid-{number}"),
            resource_version: "10".to_owned(),
            options: None,
            confirmed: false,
        }
    }

    /// How many of these deletions a member of this size lets through.
    fn let_through(held: usize) -> usize {
        let mut ledger = DeletionLedger::default();
        ledger.hold(held, 0);
        (1..=held)
            .take_while(|n| {
                let open = ledger.take(&delete(*n), 1000) == DeletionBrake::Open;
                ledger.hold(held - n, 1000);
                open
            })
            .count()
    }

    #[test]
    fn twenty_or_a_tenth_are_let_through() {
        assert_eq!(let_through(10), 10);
        assert_eq!(let_through(100), 20);
        assert_eq!(let_through(1000), 100);
    }

    #[test]
    fn after_five_minutes_the_count_begins_anew() {
        let mut ledger = DeletionLedger::default();
        ledger.hold(100, 0);
        for number in 0..20 {
            ledger.take(&delete(number), 0);
        }
        assert!(matches!(
            ledger.brake(WINDOW_MILLIS),
            DeletionBrake::Shut(_)
        ));
        assert_eq!(ledger.brake(WINDOW_MILLIS + 1), DeletionBrake::Open);
    }

    #[test]
    fn what_another_leader_deleted_counts_from_when_it_is_known() {
        let mut ledger = DeletionLedger::default();
        ledger.hold(100, 0);
        ledger.take(&delete(0), 5);
        ledger.inherit(18, 10);
        assert_eq!(ledger.counted(10), 18, "the one of its own is among them");
        for number in 1..3 {
            assert_eq!(ledger.take(&delete(number), 20), DeletionBrake::Open);
        }
        assert_ne!(ledger.take(&delete(3), 20), DeletionBrake::Open);
        ledger.inherit(7, 30);
        assert_eq!(ledger.counted(30), 20);
        assert_eq!(ledger.counted(11 + WINDOW_MILLIS), 2, "it is forgotten");
    }

    #[test]
    fn an_object_counts_once_and_what_did_not_happen_not_at_all() {
        let mut ledger = DeletionLedger::default();
        ledger.hold(100, 0);
        for number in 0..20 {
            assert_eq!(ledger.take(&delete(number), 0), DeletionBrake::Open);
        }
        assert_eq!(ledger.take(&delete(7), 1), DeletionBrake::Open, "once more");
        assert_ne!(ledger.take(&delete(20), 1), DeletionBrake::Open);
        let confirmed = Delete {
            confirmed: true,
            ..delete(21)
        };
        assert_eq!(ledger.take(&confirmed, 1), DeletionBrake::Open);
        ledger.give_back(&delete(3));
        assert_ne!(ledger.take(&delete(20), 2), DeletionBrake::Open);
        ledger.give_back(&delete(4));
        assert_eq!(ledger.take(&delete(20), 2), DeletionBrake::Open);
    }
}
