//! A circuit breaker: a member that does not answer is asked rarely until it does.
//!
//! | state | asked |
//! |---|---|
//! | closed | always |
//! | open | not before its time |
//! | half open | once; the answer closes it, silence opens it for twice as long |

use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;
use tokio::time::Instant;

/// Failures in a row that open it: one lost connection fails as many as were in flight on it, so a
/// few say little.
const FAILURES_MAX: u32 = 8;
/// How long it stays open first.
const OPEN_FIRST: Duration = Duration::from_secs(1);
/// How long it stays open at most: a member that returns is asked within this time.
const OPEN_LAST: Duration = Duration::from_secs(15);

/// See the module.
#[derive(Debug, Default)]
pub(crate) struct Breaker {
    state: Mutex<State>,
}

#[derive(Debug, Default)]
struct State {
    failures: u32,
    open_for: Duration,
    until: Option<Instant>,
}

impl Breaker {
    /// Whether a request may go; when half open, only the first who asks hears yes.
    pub(crate) fn may_ask(&self) -> bool {
        let mut state = self.lock();
        let now = Instant::now();
        match state.until {
            None => true,
            Some(until) if now < until => false,
            Some(_) => {
                state.until = Some(now + state.open_for);
                true
            }
        }
    }

    /// The member answered, whatever it said.
    pub(crate) fn answered(&self) {
        *self.lock() = State::default();
    }

    /// The member did not answer.
    pub(crate) fn silent(&self) {
        let mut state = self.lock();
        state.failures = state.failures.saturating_add(1);
        if state.failures >= FAILURES_MAX {
            state.open_for = (state.open_for * 2).clamp(OPEN_FIRST, OPEN_LAST);
            state.until = Some(Instant::now() + state.open_for);
        }
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn it_opens_after_failures_in_a_row_and_lets_one_through_when_its_time_is_over() {
        let breaker = Breaker::default();
        for _ in 1..FAILURES_MAX {
            breaker.silent();
        }
        assert!(breaker.may_ask());
        breaker.silent();
        assert!(!breaker.may_ask());
        tokio::time::advance(OPEN_FIRST).await;
        assert!(breaker.may_ask());
        assert!(!breaker.may_ask(), "one trial at a time");
        breaker.silent();
        tokio::time::advance(OPEN_FIRST).await;
        assert!(!breaker.may_ask(), "open for twice as long");
        tokio::time::advance(OPEN_FIRST).await;
        assert!(breaker.may_ask());
        breaker.answered();
        assert!(breaker.may_ask() && breaker.may_ask());
    }
}
