//! The health of an endpoint: from single probes to one standing.
//!
//! Two steps, both pure. A [`Track`] counts this observer's probes. [`standing`] combines what the
//! observers say, the member's readiness and overrides.

use crate::{
    spec::{Force, HealthCheck},
    status::Standing,
};
use model::Verdict;
use serde::{Deserialize, Serialize};

/// This observer's count of one endpoint's probes.
///
/// The first result decides at once, so that a name that is new is answered by its first round.
/// After that an endpoint that is up goes down at `down` failures, which a run of `up` successes
/// forgets (gdnsd's anti-flap: single successes between failures do not hide them); one that is
/// down comes up at `up` successes in a row.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Track {
    /// What the counts say.
    pub(crate) verdict: Verdict,
    /// Since when, in milliseconds since 1970.
    pub(crate) since_millis: u64,
    /// Failures that were not forgotten.
    pub(crate) failures: u32,
    /// Successes in a row.
    pub(crate) successes: u32,
    /// The last failure, in words.
    pub(crate) reason: Option<String>,
}

impl Track {
    /// Counts one result.
    pub(crate) fn observe(&mut self, failure: Option<String>, check: &HealthCheck, now: u64) {
        let (up, down) = (check.up.max(1), check.down.max(1));
        match failure {
            None => {
                self.successes = self.successes.saturating_add(1).min(up);
                if self.successes == up {
                    self.failures = 0;
                }
            }
            Some(reason) => {
                self.successes = 0;
                self.failures = self.failures.saturating_add(1).min(down);
                self.reason = Some(reason);
            }
        }
        let verdict = match self.verdict {
            Verdict::Unknown if self.successes > 0 => Verdict::Up,
            Verdict::Unknown => Verdict::Down,
            Verdict::Up if self.failures == down => Verdict::Down,
            Verdict::Down if self.successes == up => Verdict::Up,
            same => same,
        };
        if verdict != self.verdict {
            self.verdict = verdict;
            self.since_millis = now;
            self.failures = if verdict == Verdict::Down { down } else { 0 };
        }
    }

    /// Milliseconds of probing until the verdict could change at the earliest.
    pub(crate) fn certain_millis(&self, check: &HealthCheck) -> u64 {
        let probes = match self.verdict {
            Verdict::Up => check.down.max(1).saturating_sub(self.failures),
            Verdict::Down => check.up.max(1).saturating_sub(self.successes),
            Verdict::Unknown => 1,
        };
        u64::from(probes.max(1)) * check.interval_millis
    }
}

/// What a member's API says of readiness.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Readiness {
    /// At least one replica is ready.
    Some,
    /// None is ready.
    None,
    /// Nothing was said, or what was said is stale because the member's API is not Ready.
    Unheard,
}

/// What probes say.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Probed {
    /// The service has no probe.
    Never,
    /// The observers' verdict.
    Says(Verdict),
}

/// All signals in one standing, and why.
///
/// | override | probes | readiness | standing |
/// |---|---|---|---|
/// | Down | any | any | Excluded |
/// | Up | any | any | Healthy |
/// | Draining | Down | any | Down |
/// | Draining | else | any | Degraded |
/// | – | Down | any | Down |
/// | – | Up, Unknown | None | Degraded |
/// | – | Up | else | Healthy |
/// | – | Unknown | else | Unknown |
/// | – | never | None | Down |
/// | – | never | Some | Healthy |
/// | – | never | unheard | Unknown |
///
/// Readiness is unheard while the member's API is not Ready: a member whose API hangs changes no
/// answer. Unknown counts as healthy. What answers probes while no replica counts as ready is
/// Degraded, not Down: it is better than nothing.
pub(crate) fn standing(
    force: Option<Force>,
    probed: Probed,
    readiness: Readiness,
) -> (Standing, &'static str) {
    let down = probed == Probed::Says(Verdict::Down);
    match (force, probed, readiness) {
        (Some(Force::Down), ..) => (Standing::Excluded, "forced down by an override"),
        (Some(Force::Up), ..) => (Standing::Healthy, "forced up by an override"),
        _ if down => (Standing::Down, "probes fail"),
        (Some(Force::Draining), ..) => (Standing::Degraded, "draining"),
        (None, Probed::Never, Readiness::None) => (Standing::Down, "no replica is ready"),
        (None, Probed::Never, Readiness::Some) => (Standing::Healthy, "replicas are ready"),
        (None, Probed::Never, Readiness::Unheard) => (Standing::Unknown, "nothing is heard of it"),
        (None, _, Readiness::None) => (Standing::Degraded, "no replica is ready"),
        (None, Probed::Says(Verdict::Up), _) => (Standing::Healthy, "probes succeed"),
        (None, Probed::Says(_), _) => (Standing::Unknown, "not probed yet"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use Verdict::{Down, Unknown, Up};

    /// Feeds `.` (success) and `x` (failure); `expected` has the verdict after each.
    fn check(probes: &str, expected: &str) {
        let check = HealthCheck::default();
        let mut track = Track::default();
        let mut verdicts = String::new();
        for (now, probe) in probes.chars().enumerate() {
            let failure = (probe == 'x').then(|| "connection refused".to_owned());
            track.observe(failure, &check, now as u64);
            verdicts.push(match track.verdict {
                Up => 'U',
                Down => 'D',
                Unknown => '?',
            });
        }
        assert_eq!(verdicts, expected, "{probes}");
    }

    #[test]
    fn the_first_probe_decides_and_then_thresholds_hold() {
        check(".xx.", "UUUU");
        check(".xxx..", "UUUDDU");
        check("x.x..", "DDDDU");
        check("x..", "DDU");
    }

    #[test]
    fn a_run_of_successes_forgets_failures_and_a_single_one_does_not() {
        check(".xx..xx.", "UUUUUUUU");
        check(".xx.x", "UUUUD");
    }

    #[test]
    fn certainty_shrinks_with_each_failure() {
        let check = HealthCheck::default();
        let mut track = Track::default();
        track.observe(None, &check, 0);
        assert_eq!(track.certain_millis(&check), 15_000);
        track.observe(Some("timeout".into()), &check, 1);
        assert_eq!(track.certain_millis(&check), 10_000);
        track.observe(Some("timeout".into()), &check, 2);
        assert_eq!(track.certain_millis(&check), 5_000);
        track.observe(Some("timeout".into()), &check, 3);
        assert_eq!(
            (track.verdict, track.certain_millis(&check)),
            (Down, 10_000)
        );
    }

    #[test]
    fn the_table_of_standings_holds() {
        use Readiness::{None as NoneReady, Some as SomeReady, Unheard};
        let says = Probed::Says;
        let table = [
            (Some(Force::Down), says(Up), SomeReady, Standing::Excluded),
            (Some(Force::Up), says(Down), NoneReady, Standing::Healthy),
            (Some(Force::Draining), says(Down), SomeReady, Standing::Down),
            (
                Some(Force::Draining),
                says(Up),
                SomeReady,
                Standing::Degraded,
            ),
            (None, says(Down), SomeReady, Standing::Down),
            (None, says(Down), Unheard, Standing::Down),
            (None, says(Up), NoneReady, Standing::Degraded),
            (None, says(Unknown), NoneReady, Standing::Degraded),
            (None, says(Up), Unheard, Standing::Healthy),
            (None, says(Up), SomeReady, Standing::Healthy),
            (None, says(Unknown), SomeReady, Standing::Unknown),
            (None, Probed::Never, NoneReady, Standing::Down),
            (None, Probed::Never, SomeReady, Standing::Healthy),
            (None, Probed::Never, Unheard, Standing::Unknown),
        ];
        for (force, probed, readiness, expected) in table {
            let (found, _) = standing(force, probed, readiness);
            assert_eq!(found, expected, "{force:?} {probed:?} {readiness:?}");
        }
    }
}
