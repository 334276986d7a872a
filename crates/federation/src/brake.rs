//! The deletion brake: how many objects may be deleted in one member within five minutes.
//!
//! A mistake in a placement, a label or a script must not empty a member. More than
//! max(20 objects, 10 % of what is held) within five minutes shuts the brake until somebody
//! confirms. Deleting a Namespace or a PersistentVolumeClaim through a placement or label change is
//! braked in the plan itself.

use crate::input::DeletionBrake;
use serde::{Deserialize, Serialize};
use std::collections::VecDeque;

/// The window in which deletions are counted.
const WINDOW_MILLIS: u64 = 5 * 60 * 1000;
/// So many deletions are always let through.
const FREE_MIN: usize = 20;
/// This share of what is held is let through.
const FREE_PERCENT: usize = 10;
/// Deletions that are remembered; beyond it the brake has long been shut.
const REMEMBERED_MAX: usize = 100_000;

/// The deletions of one member that a brake counts.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct DeletionLedger {
    /// When each was done, oldest first.
    deleted_at_millis: VecDeque<u64>,
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

    /// Notes a deletion that was sent.
    pub fn note(&mut self, now_millis: u64) {
        self.forget(now_millis);
        if self.deleted_at_millis.len() < REMEMBERED_MAX {
            self.deleted_at_millis.push_back(now_millis);
        }
    }

    /// Whether one more deletion may go.
    pub fn brake(&mut self, now_millis: u64) -> DeletionBrake {
        self.forget(now_millis);
        let allowed = FREE_MIN.max(self.held_max * FREE_PERCENT / 100);
        let deleted = self.deleted_at_millis.len();
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

    fn forget(&mut self, now_millis: u64) {
        let begin = now_millis.saturating_sub(WINDOW_MILLIS);
        while self.deleted_at_millis.front().is_some_and(|at| *at < begin) {
            self.deleted_at_millis.pop_front();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// How many deletions in a row a member of this size lets through.
    fn let_through(held: usize) -> usize {
        let mut ledger = DeletionLedger::default();
        ledger.hold(held, 0);
        (1..=held)
            .take_while(|n| {
                let open = ledger.brake(1000) == DeletionBrake::Open;
                ledger.note(1000);
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
        for _ in 0..20 {
            ledger.note(0);
        }
        assert!(matches!(
            ledger.brake(WINDOW_MILLIS),
            DeletionBrake::Shut(_)
        ));
        assert_eq!(ledger.brake(WINDOW_MILLIS + 1), DeletionBrake::Open);
    }
}
