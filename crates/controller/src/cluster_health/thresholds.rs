//! When a member is Ready: consecutive results of the *new* state, as KubeFed meant to count.
//!
//! | settled | result | run of the new state | then |
//! |---|---|---|---|
//! | nothing yet | any | – | settles at once: there is nothing to hold on to |
//! | Ready | healthy | reset | stays |
//! | Ready | unhealthy | < `failureThreshold` | in doubt: stays Ready, probed every second |
//! | Ready | unhealthy | = `failureThreshold` | NotReady or Offline |
//! | NotReady, Offline | healthy | < `successThreshold` | in doubt, as above |
//! | NotReady, Offline | healthy | = `successThreshold` | Ready |
//! | NotReady ↔ Offline | the other failure | – | changes at once: it is down either way |

use std::time::Duration;
use tokio::time::Instant;

/// While in doubt, a member is probed this often.
pub(crate) const DOUBT_PERIOD: Duration = Duration::from_secs(1);

/// How members are probed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct HealthCheckSettings {
    /// Between two probes of a member that is settled.
    pub period: Duration,
    /// How long a probe may take.
    pub timeout: Duration,
    /// Unhealthy results in a row that make a member not Ready.
    pub failure_threshold: u32,
    /// Healthy results in a row that make it Ready.
    pub success_threshold: u32,
}

impl Default for HealthCheckSettings {
    /// One that hangs is not Ready within 15 s, one that refuses within 8 s.
    fn default() -> Self {
        Self {
            period: Duration::from_secs(5),
            timeout: Duration::from_secs(2),
            failure_threshold: 3,
            success_threshold: 2,
        }
    }
}

/// What one probe found.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Finding {
    /// `/readyz` or `/healthz` said ok.
    Healthy,
    /// The API answered, and not with ok.
    NotOk(String),
    /// The API did not answer.
    Unreachable(String),
}

/// How a member stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Standing {
    /// Its API is healthy.
    Ready,
    /// Its API answers and says that it is not.
    NotReady,
    /// Its API does not answer.
    Offline,
}

impl Finding {
    fn standing(&self) -> Standing {
        match self {
            Self::Healthy => Standing::Ready,
            Self::NotOk(_) => Standing::NotReady,
            Self::Unreachable(_) => Standing::Offline,
        }
    }
}

/// The run of one member's results.
#[derive(Clone, Debug, Default)]
pub(crate) struct Run {
    settled: Option<Standing>,
    /// Results in a row that speak against `settled`.
    against: u32,
    /// When the first of them came.
    doubted_since: Option<Instant>,
}

impl Run {
    /// Takes a result in; how the member stands now.
    pub(crate) fn take(
        &mut self,
        finding: &Finding,
        settings: &HealthCheckSettings,
        now: Instant,
    ) -> Standing {
        let found = finding.standing();
        let Some(settled) = self.settled else {
            return self.settle(found);
        };
        let was_ready = settled == Standing::Ready;
        if (found == Standing::Ready) == was_ready {
            return self.settle(found);
        }
        self.against += 1;
        self.doubted_since.get_or_insert(now);
        let needed = if was_ready {
            settings.failure_threshold
        } else {
            settings.success_threshold
        };
        if self.against >= needed {
            self.settle(found)
        } else {
            settled
        }
    }

    /// How long until the next probe.
    pub(crate) fn next_probe(&self, settings: &HealthCheckSettings) -> Duration {
        if self.against > 0 {
            settings.period.min(DOUBT_PERIOD)
        } else {
            settings.period
        }
    }

    /// Since when results speak against the settled state.
    pub(crate) fn doubted_since(&self) -> Option<Instant> {
        self.doubted_since
    }

    fn settle(&mut self, standing: Standing) -> Standing {
        *self = Self {
            settled: Some(standing),
            against: 0,
            doubted_since: None,
        };
        standing
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn unreachable() -> Finding {
        Finding::Unreachable("refused".into())
    }

    /// Plays results, `+` healthy and `-` unreachable; the standings as `R` and `O`.
    fn play(results: &str) -> String {
        let settings = HealthCheckSettings::default();
        let mut run = Run::default();
        let now = Instant::now();
        results
            .chars()
            .map(|result| {
                let finding = if result == '+' {
                    Finding::Healthy
                } else {
                    unreachable()
                };
                match run.take(&finding, &settings, now) {
                    Standing::Ready => 'R',
                    Standing::NotReady => 'N',
                    Standing::Offline => 'O',
                }
            })
            .collect()
    }

    #[tokio::test(start_paused = true)]
    async fn thresholds_count_consecutive_results_of_the_new_state() {
        for (results, expected) in [
            ("+", "R"),
            ("-", "O"),
            // Long health does not use a failure up: KubeFed's counter did.
            ("++++++-", "RRRRRRR"),
            ("+--", "RRR"),
            ("+---", "RRRO"),
            // A success between failures begins the count anew.
            ("+--+--", "RRRRRR"),
            ("+--+---", "RRRRRRO"),
            ("-+", "OO"),
            ("-++", "OOR"),
            ("-+-+", "OOOO"),
        ] {
            assert_eq!(play(results), expected, "{results}");
        }
    }

    #[tokio::test(start_paused = true)]
    async fn a_member_in_doubt_is_probed_every_second() {
        let settings = HealthCheckSettings::default();
        let mut run = Run::default();
        let now = Instant::now();
        run.take(&Finding::Healthy, &settings, now);
        assert_eq!(run.next_probe(&settings), settings.period);
        run.take(&unreachable(), &settings, now);
        assert_eq!(run.next_probe(&settings), DOUBT_PERIOD);
        assert_eq!(run.doubted_since(), Some(now));
        run.take(&Finding::Healthy, &settings, now);
        assert_eq!(run.next_probe(&settings), settings.period);
    }

    #[tokio::test(start_paused = true)]
    async fn a_member_that_is_down_changes_its_reason_at_once() {
        let settings = HealthCheckSettings::default();
        let mut run = Run::default();
        let now = Instant::now();
        assert_eq!(run.take(&unreachable(), &settings, now), Standing::Offline);
        let not_ok = Finding::NotOk("etcd failed".into());
        assert_eq!(run.take(&not_ok, &settings, now), Standing::NotReady);
    }
}
