//! How members' APIs stand, as this process saw it, for who decides on moves.
//!
//! Times are of this process's monotonic clock: a new leader, or one that was suspended, has no
//! evidence but its own.

use super::thresholds::{Finding, HealthCheckSettings, Standing};
use federation::ApiSignal;
use model::ClusterName;
use std::collections::BTreeMap;
use std::sync::{PoisonError, RwLock};
use tokio::time::Instant;

/// See the module.
pub(crate) struct Health {
    began: Instant,
    members: RwLock<BTreeMap<ClusterName, Seen>>,
    changes: watch::Sender<u64>,
}

/// One member, as it was seen since this process began.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
struct Seen {
    signal: ApiSignal,
    /// Unhealthy results in a row, while nothing is known.
    failures: u32,
}

impl Health {
    pub(crate) fn new() -> Self {
        Self {
            began: Instant::now(),
            members: RwLock::default(),
            changes: watch::Sender::new(0),
        }
    }

    /// Milliseconds since this process began: the clock of every signal.
    pub(crate) fn now_millis(&self) -> u64 {
        u64::try_from(self.began.elapsed().as_millis()).unwrap_or(u64::MAX)
    }

    /// A member's API.
    pub(crate) fn api(&self, name: &ClusterName) -> ApiSignal {
        let members = self.members.read().unwrap_or_else(PoisonError::into_inner);
        members
            .get(name)
            .map(|seen| seen.signal)
            .unwrap_or_default()
    }

    /// Moves whenever a signal does.
    pub(crate) fn changes(&self) -> watch::Receiver<u64> {
        self.changes.subscribe()
    }

    /// Takes in what a probe found, and how the member stands after it. Until something is known,
    /// only results count: a member is up with the first good one, and down after as many bad ones
    /// in a row as one that was up.
    pub(crate) fn take(
        &self,
        name: &ClusterName,
        finding: &Finding,
        standing: Standing,
        settings: &HealthCheckSettings,
    ) {
        let since_millis = self.now_millis();
        let changed = {
            let mut members = self.members.write().unwrap_or_else(PoisonError::into_inner);
            let seen = members.entry(name.clone()).or_default();
            let before = seen.signal;
            let ready = standing == Standing::Ready;
            seen.signal = match before {
                ApiSignal::Unknown if *finding == Finding::Healthy && ready => {
                    ApiSignal::Up { since_millis }
                }
                ApiSignal::Unknown => {
                    seen.failures += u32::from(*finding != Finding::Healthy);
                    if seen.failures >= settings.failure_threshold {
                        ApiSignal::Down { since_millis }
                    } else {
                        before
                    }
                }
                ApiSignal::Up { .. } if !ready => ApiSignal::Down { since_millis },
                ApiSignal::Down { .. } if ready => ApiSignal::Up { since_millis },
                ApiSignal::Up { .. } | ApiSignal::Down { .. } => before,
            };
            seen.signal != before
        };
        if changed {
            self.changes.send_modify(|generation| *generation += 1);
        }
    }

    /// Takes a member to be up that nobody probes here: it has just answered.
    pub(crate) fn answered(&self, name: &ClusterName) {
        let since_millis = self.now_millis();
        let seen = Seen {
            signal: ApiSignal::Up { since_millis },
            failures: 0,
        };
        let mut members = self.members.write().unwrap_or_else(PoisonError::into_inner);
        members.insert(name.clone(), seen);
    }

    /// Forgets a member that is registered no more.
    pub(crate) fn forget(&self, name: &ClusterName) {
        self.members
            .write()
            .unwrap_or_else(PoisonError::into_inner)
            .remove(name);
        self.changes.send_modify(|generation| *generation += 1);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::Duration;

    const LOST: fn() -> Finding = || Finding::Unreachable("refused".to_owned());

    #[tokio::test(start_paused = true)]
    async fn a_signal_is_dated_when_this_process_saw_it_change() {
        let health = Health::new();
        let (name, settings) = (ClusterName::from("a"), HealthCheckSettings::default());
        let take = |finding: Finding, standing| health.take(&name, &finding, standing, &settings);
        let mut changes = health.changes();
        assert_eq!(health.api(&name), ApiSignal::Unknown);
        tokio::time::advance(Duration::from_secs(1)).await;
        take(Finding::Healthy, Standing::Ready);
        assert!(changes.has_changed().unwrap());
        changes.mark_unchanged();
        tokio::time::advance(Duration::from_secs(1)).await;
        // In doubt, it stands as it stood.
        take(LOST(), Standing::Ready);
        assert!(!changes.has_changed().unwrap());
        assert_eq!(health.api(&name), ApiSignal::Up { since_millis: 1000 });
        take(LOST(), Standing::Offline);
        assert_eq!(health.api(&name), ApiSignal::Down { since_millis: 2000 });
        take(Finding::NotOk(String::new()), Standing::NotReady);
        assert_eq!(health.api(&name), ApiSignal::Down { since_millis: 2000 });
        health.forget(&name);
        assert_eq!(health.api(&name), ApiSignal::Unknown);
    }

    #[tokio::test(start_paused = true)]
    async fn a_new_process_believes_neither_a_single_failure_nor_an_old_status() {
        for standing in [Standing::Ready, Standing::Offline] {
            let health = Health::new();
            let (name, settings) = (ClusterName::from("a"), HealthCheckSettings::default());
            for _ in 0..2 {
                health.take(&name, &LOST(), standing, &settings);
                assert_eq!(health.api(&name), ApiSignal::Unknown);
            }
            health.take(&name, &LOST(), standing, &settings);
            assert_eq!(health.api(&name), ApiSignal::Down { since_millis: 0 });
        }
    }
}
