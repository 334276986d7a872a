//! How many writes are under way in one member at once.
//!
//! # Guarantees
//! A member nearby is asked for [`NEAR`] writes at a time, whatever waits. One far away, where an
//! answer takes long however idle it is, is asked for as many as give the same rate, at most [`FAR`].
//! # Assumptions
//! The quickest of all answers so far is the way there and back: queues make answers slower only. So
//! a member that is slow because it is busy is asked for no more.
//! # Caveats
//! A way that becomes longer later is not noticed before the next start.

use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::time::Duration;
use tokio::sync::{Semaphore, SemaphorePermit};

/// Enough to fill a connection, few enough to leave the API server room for others (its priority and
/// fairness gives a workload some 40 seats).
const NEAR: usize = 32;
/// What is on its way holds no seat.
const FAR: usize = 96;
/// An answer that takes no longer comes from nearby.
const NEARBY: Duration = Duration::from_millis(16);
/// Answers between two looks at the width.
const LOOK_EACH: u64 = 32;

/// The turns among the writes to a member.
pub(super) struct Turns {
    turns: Semaphore,
    given: AtomicUsize,
    answers: AtomicU64,
    quickest_micros: AtomicU64,
}

impl Default for Turns {
    fn default() -> Self {
        Self {
            turns: Semaphore::new(NEAR),
            given: AtomicUsize::new(NEAR),
            answers: AtomicU64::new(0),
            quickest_micros: AtomicU64::new(u64::MAX),
        }
    }
}

impl Turns {
    pub(super) async fn next(&self) -> SemaphorePermit<'_> {
        self.turns.acquire().await.expect("turns are never closed")
    }

    /// A write was answered after this time.
    pub(super) fn answered(&self, after: Duration) {
        let micros = u64::try_from(after.as_micros()).unwrap_or(u64::MAX);
        let quickest = self.quickest_micros.fetch_min(micros, Ordering::Relaxed);
        let answers = self.answers.fetch_add(1, Ordering::Relaxed) + 1;
        if answers.is_multiple_of(LOOK_EACH) {
            self.resize(width(Duration::from_micros(quickest.min(micros))));
        }
    }

    /// Whoever has a turn keeps it; fewer are given out until it fits.
    fn resize(&self, wanted: usize) {
        let given = self.given.load(Ordering::Relaxed);
        // Somebody else may be at it: then that one has it right.
        let claim = |to| {
            self.given
                .compare_exchange(given, to, Ordering::Relaxed, Ordering::Relaxed)
        };
        if wanted > given && claim(wanted).is_ok() {
            self.turns.add_permits(wanted - given);
        }
        if wanted < given && claim(wanted).is_ok() {
            let forgotten = self.turns.forget_permits(given - wanted);
            let kept = given - wanted - forgotten;
            self.given.fetch_add(kept, Ordering::Relaxed);
        }
    }
}

/// Turns for a member whose quickest answer takes so long.
fn width(quickest: Duration) -> usize {
    let nearby = NEARBY.as_micros();
    let as_many = (quickest.as_micros() * NEAR as u128).div_ceil(nearby);
    usize::try_from(as_many).unwrap_or(FAR).clamp(NEAR, FAR)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn after(answers: &[(u64, usize)]) -> Turns {
        let turns = Turns::default();
        for (millis, times) in answers {
            (0..*times).for_each(|_| turns.answered(Duration::from_millis(*millis)));
        }
        turns
    }

    #[test]
    fn a_member_far_away_has_as_many_under_way_as_give_the_same_rate() {
        for (millis, turns) in [(1, 32), (16, 32), (30, 60), (40, 80), (50, 96), (150, 96)] {
            assert_eq!(width(Duration::from_millis(millis)), turns, "{millis} ms");
        }
        assert_eq!(after(&[(40, 32)]).turns.available_permits(), 80);
    }

    #[test]
    fn a_member_that_is_busy_gets_no_more() {
        let busy = after(&[(2, 1), (400, 200)]);
        assert_eq!(busy.turns.available_permits(), NEAR);
    }

    #[test]
    fn a_connection_that_was_slow_to_make_is_forgotten_once_answers_are_quick() {
        let turns = after(&[(150, 32)]);
        assert_eq!(turns.turns.available_permits(), FAR);
        (0..32).for_each(|_| turns.answered(Duration::from_millis(3)));
        assert_eq!(turns.turns.available_permits(), NEAR);
    }

    #[tokio::test]
    async fn turns_that_are_taken_are_withdrawn_once_they_come_back() {
        let turns = after(&[(150, 32)]);
        let mut taken = Vec::new();
        for _ in 0..FAR - 10 {
            taken.push(turns.next().await);
        }
        (0..32).for_each(|_| turns.answered(Duration::from_millis(3)));
        assert_eq!(turns.turns.available_permits(), 0);
        drop(taken);
        (0..32).for_each(|_| turns.answered(Duration::from_millis(3)));
        assert_eq!(turns.turns.available_permits(), NEAR);
    }
}
