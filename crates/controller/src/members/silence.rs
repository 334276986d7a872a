//! How long a member has been silent while it is waited for, and how long it asked to be left alone.
//!
//! A member that is busy answers all the time, late though each answer may be: it is not silent.

use http::HeaderMap;
use http::header::RETRY_AFTER;
use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;
use tokio::time::Instant;

/// When a member that answers 429 does not say for how long.
const LEFT_ALONE: Duration = Duration::from_secs(1);
/// The longest that is believed: a member that recovers is asked within this time.
const LEFT_ALONE_MAX: Duration = Duration::from_secs(30);

/// Requests under way to one member, by when they began.
#[derive(Debug, Default)]
pub(crate) struct Silence {
    state: Mutex<State>,
}

#[derive(Debug, Default)]
struct State {
    under_way: BTreeMap<u64, Instant>,
    next: u64,
    answered: Option<Instant>,
}

/// One request under way; dropped, nothing is waited for any more, however it ended.
#[derive(Debug)]
pub(crate) struct Waiting {
    silence: Arc<Silence>,
    number: u64,
}

impl Drop for Waiting {
    fn drop(&mut self) {
        self.silence.lock().under_way.remove(&self.number);
    }
}

impl Silence {
    /// Something is asked of the member, or waits for its turn to be.
    pub(crate) fn begin(self: &Arc<Self>) -> Waiting {
        let mut state = self.lock();
        let number = state.next;
        state.next += 1;
        state.under_way.insert(number, Instant::now());
        Waiting {
            silence: Arc::clone(self),
            number,
        }
    }

    /// The member answered something.
    pub(crate) fn answered(&self) {
        self.lock().answered = Some(Instant::now());
    }

    /// How long nothing has come while something was waited for.
    pub(crate) fn lasts(&self) -> Duration {
        let state = self.lock();
        // Numbers rise with time: the first is the oldest.
        let Some(oldest) = state.under_way.values().next() else {
            return Duration::ZERO;
        };
        let since = state
            .answered
            .map_or(*oldest, |answered| answered.max(*oldest));
        since.elapsed()
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Until when a member asked to be left alone (429, RFC 6585), by its `Retry-After` (RFC 9110).
#[derive(Debug, Default)]
pub(crate) struct Pause {
    until: Mutex<Option<Instant>>,
}

impl Pause {
    /// The member answered 429.
    pub(crate) fn asked(&self, headers: &HeaderMap) {
        let seconds = headers
            .get(RETRY_AFTER)
            .and_then(|value| value.to_str().ok());
        let seconds = seconds.and_then(|value| value.trim().parse().ok());
        let wait = seconds.map_or(LEFT_ALONE, Duration::from_secs);
        *self.lock() = Some(Instant::now() + wait.min(LEFT_ALONE_MAX));
    }

    /// How much longer it is to be left alone.
    pub(crate) fn left(&self) -> Option<Duration> {
        let until = (*self.lock())?;
        let left = until.saturating_duration_since(Instant::now());
        (!left.is_zero()).then_some(left)
    }

    fn lock(&self) -> MutexGuard<'_, Option<Instant>> {
        self.until.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use http::HeaderValue;
    use tokio::time::advance;

    const SECOND: Duration = Duration::from_secs(1);

    #[tokio::test(start_paused = true)]
    async fn who_answers_others_is_not_silent() {
        let silence = Arc::new(Silence::default());
        assert_eq!(silence.lasts(), Duration::ZERO);
        let first = silence.begin();
        advance(SECOND).await;
        assert_eq!(silence.lasts(), SECOND);
        let second = silence.begin();
        silence.answered();
        assert_eq!(silence.lasts(), Duration::ZERO);
        advance(SECOND).await;
        drop(first);
        assert_eq!(silence.lasts(), SECOND, "the second is waited for");
        drop(second);
        assert_eq!(silence.lasts(), Duration::ZERO);
    }

    #[tokio::test(start_paused = true)]
    async fn a_member_is_left_alone_for_as_long_as_it_asks_within_reason() {
        for (says, expected) in [
            (None, LEFT_ALONE),
            (Some("7"), Duration::from_secs(7)),
            (Some("Wed, 21 Oct 2026 07:28:00 GMT"), LEFT_ALONE),
            (Some("86400"), LEFT_ALONE_MAX),
        ] {
            let (pause, mut headers) = (Pause::default(), HeaderMap::new());
            if let Some(says) = says {
                headers.insert(RETRY_AFTER, HeaderValue::from_static(says));
            }
            pause.asked(&headers);
            assert_eq!(pause.left(), Some(expected), "{says:?}");
            advance(expected).await;
            assert_eq!(pause.left(), None);
        }
    }
}
