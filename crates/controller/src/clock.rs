//! Wall time, injected, so that tests under a paused clock see it pass.

use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;
use k8s_openapi::jiff::{SignedDuration, Timestamp};
use std::sync::atomic::{AtomicI64, Ordering};
use tokio::time::Instant;

/// Where wall time comes from.
#[derive(Clone, Copy, Debug)]
pub enum WallClock {
    /// The system's.
    System,
    /// Tokio's clock, counted from a beginning.
    Following {
        /// What time it was.
        began: Timestamp,
        /// When that was.
        at: Instant,
    },
    /// The same, and somebody sets it meanwhile.
    Set {
        /// What time it was.
        began: Timestamp,
        /// When that was.
        at: Instant,
        /// By how many milliseconds it was set forward since, or back.
        by_millis: &'static AtomicI64,
    },
}

impl WallClock {
    /// A clock that moves with tokio's, paused or not.
    pub fn following_tokio(began: Timestamp) -> Self {
        Self::Following {
            began,
            at: Instant::now(),
        }
    }

    /// The time.
    pub fn now(&self) -> Timestamp {
        match self {
            Self::System => Timestamp::now(),
            Self::Following { began, at } => *began + at.elapsed(),
            Self::Set {
                began,
                at,
                by_millis,
            } => {
                let by = SignedDuration::from_millis(by_millis.load(Ordering::SeqCst));
                *began + at.elapsed() + by
            }
        }
    }

    /// The time in whole seconds, as API objects hold it.
    pub fn time(&self) -> Time {
        let now = self.now();
        Time(Timestamp::from_second(now.as_second()).unwrap_or(now))
    }

    /// Milliseconds since 1970.
    pub fn millis(&self) -> u64 {
        u64::try_from(self.now().as_millisecond()).unwrap_or(0)
    }
}
