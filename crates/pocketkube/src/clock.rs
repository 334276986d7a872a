//! The only source of time: the system's, or one that follows tokio's clock and can be paused.

use jiff::{SignedDuration, Timestamp};
use tokio::time::Instant;

/// Tells the time. Cheap to clone.
#[derive(Debug, Clone, Copy)]
pub struct Clock {
    origin: Option<(Timestamp, Instant)>,
    skew: SignedDuration,
}

impl Clock {
    /// The system's clock.
    pub fn system() -> Self {
        Self {
            origin: None,
            skew: SignedDuration::ZERO,
        }
    }

    /// A clock that shows `start` now and moves as tokio's clock moves: in a runtime whose clock
    /// is paused, only `tokio::time::advance` and timers move it, so a run replays.
    pub fn following_tokio(start: Timestamp) -> Self {
        Self {
            origin: Some((start, Instant::now())),
            skew: SignedDuration::ZERO,
        }
    }

    /// The same clock, set forward, or back when below 0.
    #[must_use]
    pub fn skewed(self, seconds: i64) -> Self {
        Self {
            skew: SignedDuration::from_secs(seconds),
            ..self
        }
    }

    /// The present.
    pub fn now(&self) -> Timestamp {
        let now = self.right_now();
        now.saturating_add(self.skew).unwrap_or(now)
    }

    fn right_now(&self) -> Timestamp {
        match self.origin {
            None => Timestamp::now(),
            Some((start, begun)) => {
                let passed =
                    SignedDuration::try_from(begun.elapsed()).unwrap_or(SignedDuration::MAX);
                start.saturating_add(passed).unwrap_or(Timestamp::MAX)
            }
        }
    }

    /// The present as objects carry it: `2026-11-21T06:40:00Z`, whole seconds.
    pub fn stamp(&self) -> String {
        seconds(self.now())
    }

    /// The present as Leases and Events carry it: `2026-11-21T06:40:00.123456Z`.
    pub fn stamp_micros(&self) -> String {
        micros(self.now())
    }
}

/// A time as `meta/v1` Time is written.
pub fn seconds(time: Timestamp) -> String {
    time.strftime("%Y-%m-%dT%H:%M:%SZ").to_string()
}

/// A time as `meta/v1` MicroTime is written.
pub fn micros(time: Timestamp) -> String {
    time.strftime("%Y-%m-%dT%H:%M:%S.%6fZ").to_string()
}

impl Default for Clock {
    fn default() -> Self {
        Self::system()
    }
}
