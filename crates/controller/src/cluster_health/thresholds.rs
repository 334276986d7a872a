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
    /// The API does not know the token or certificate that it was shown.
    Unauthorized,
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
    /// How a member stands of which this were always found.
    pub(crate) fn standing(&self) -> Standing {
        match self {
            Self::Healthy => Standing::Ready,
            Self::NotOk(_) | Self::Unauthorized => Standing::NotReady,
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
}

impl Run {
    /// The run of a member that the status calls ready: one bad answer to a new process must not
    /// change what many to an earlier one would not have changed.
    pub(crate) fn of_ready_member() -> Self {
        Self {
            settled: Some(Standing::Ready),
            against: 0,
        }
    }

    /// Takes a result in; how the member stands now.
    pub(crate) fn take(&mut self, finding: &Finding, settings: &HealthCheckSettings) -> Standing {
        let found = finding.standing();
        let Some(settled) = self.settled else {
            return self.settle(found);
        };
        let was_ready = settled == Standing::Ready;
        if (found == Standing::Ready) == was_ready {
            return self.settle(found);
        }
        self.against += 1;
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

    fn settle(&mut self, standing: Standing) -> Standing {
        *self = Self {
            settled: Some(standing),
            against: 0,
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
        results
            .chars()
            .map(|result| {
                let finding = if result == '+' {
                    Finding::Healthy
                } else {
                    unreachable()
                };
                match run.take(&finding, &settings) {
                    Standing::Ready => 'R',
                    Standing::NotReady => 'N',
                    Standing::Offline => 'O',
                }
            })
            .collect()
    }

    #[test]
    fn thresholds_count_consecutive_results_of_the_new_state() {
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

    #[test]
    fn a_member_that_the_status_calls_ready_is_not_lost_to_one_bad_answer() {
        let settings = HealthCheckSettings::default();
        let mut run = Run::of_ready_member();
        for _ in 0..2 {
            assert_eq!(run.take(&unreachable(), &settings), Standing::Ready);
        }
        assert_eq!(run.take(&unreachable(), &settings), Standing::Offline);
    }

    #[test]
    fn a_member_in_doubt_is_probed_every_second() {
        let settings = HealthCheckSettings::default();
        let mut run = Run::default();
        run.take(&Finding::Healthy, &settings);
        assert_eq!(run.next_probe(&settings), settings.period);
        run.take(&unreachable(), &settings);
        assert_eq!(run.next_probe(&settings), DOUBT_PERIOD);
        run.take(&Finding::Healthy, &settings);
        assert_eq!(run.next_probe(&settings), settings.period);
    }

    #[test]
    fn a_member_that_is_down_changes_its_reason_at_once() {
        let settings = HealthCheckSettings::default();
        let mut run = Run::default();
        assert_eq!(run.take(&unreachable(), &settings), Standing::Offline);
        let not_ok = Finding::NotOk("etcd failed".into());
        assert_eq!(run.take(&not_ok, &settings), Standing::NotReady);
    }
}
