//! The health of an endpoint: from single probes to one standing.
//!
//! Two steps, both pure. A [`Track`] counts this observer's probes. [`standing`] combines what the
//! observers say, the member's readiness and overrides.

use crate::{
    report::ReportedVerdict,
    spec::{Force, HealthCheck},
    status::Standing,
};
use model::{EndpointId, ProbeFailure, Verdict};
use serde::{Deserialize, Serialize};

/// What one fall costs an endpoint; see [`Track`].
const PENALTY: u32 = 1_000;
/// Above this an endpoint stays down: it fell four times in short order.
const SUPPRESS: u32 = 3_000;
/// Below this it may come up again.
const REUSE: u32 = 1_500;
/// The penalty halves in the time of so many probes: 100 s at the usual 5 s.
const HALF_LIFE_PROBES: u64 = 20;
/// What is told of an endpoint whose probes hang.
const OVERDUE: &str = "probes of it no longer end here";

/// This observer's count of one endpoint's probes.
///
/// The first result decides at once, so that a name that is new is answered by its first round.
/// After that an endpoint that is up goes down at `down` failures, which a run of `up` successes
/// forgets (gdnsd's anti-flap: single successes between failures do not hide them); one that is
/// down comes up at `up` successes in a row.
///
/// One that flaps across these thresholds is damped: each fall costs [`PENALTY`], which halves with
/// time. Above [`SUPPRESS`] it stays down however its probes go, until it is below [`REUSE`].
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
    /// Whether every failure that counts was an answer that did not come in time.
    #[serde(default)]
    pub(crate) late: bool,
    /// What its falls cost it, as of `penalty_millis`.
    #[serde(default)]
    penalty: u32,
    #[serde(default)]
    penalty_millis: u64,
    /// Whether it is held down for its flapping.
    #[serde(default)]
    damped: bool,
    /// When a probe of it ended last, or was waited for first; 0 before that.
    #[serde(skip)]
    heard_millis: u64,
    /// Whether probes of it no longer end, so that nobody knows whether this is still so.
    #[serde(skip)]
    pub(crate) overdue: bool,
}

/// What a track says to others.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Said {
    pub(crate) verdict: Verdict,
    /// It is down, for want of answers in time alone.
    pub(crate) late: bool,
    /// The observer cannot say: its probes no longer end.
    pub(crate) overdue: bool,
}

impl Track {
    /// Counts one result.
    pub(crate) fn observe(
        &mut self,
        failure: Option<&ProbeFailure>,
        check: &HealthCheck,
        now: u64,
    ) {
        let (up, down) = (check.up.max(1), check.down.max(1));
        (self.heard_millis, self.overdue) = (now, false);
        match failure {
            None => {
                self.successes = self.successes.saturating_add(1).min(up);
                if self.successes == up {
                    self.failures = 0;
                }
            }
            Some(failure) => {
                let late = *failure == ProbeFailure::Timeout;
                self.late = late && (self.late || self.failures == 0);
                self.successes = 0;
                self.failures = self.failures.saturating_add(1).min(down);
                self.reason = Some(failure.to_string());
            }
        }
        let penalty = self.penalty(check, now);
        self.damped &= penalty >= REUSE;
        let verdict = match self.verdict {
            Verdict::Unknown if self.successes > 0 => Verdict::Up,
            Verdict::Unknown => Verdict::Down,
            Verdict::Up if self.failures == down => Verdict::Down,
            Verdict::Down if self.successes == up && !self.damped => Verdict::Up,
            same => same,
        };
        if self.damped && self.successes == up {
            self.reason = Some("it flapped: it has to stay well for a while".to_owned());
        }
        if verdict != self.verdict {
            if (self.verdict, verdict) == (Verdict::Up, Verdict::Down) {
                self.penalty = penalty.saturating_add(PENALTY);
                self.penalty_millis = now;
                self.damped = self.penalty > SUPPRESS;
            }
            self.verdict = verdict;
            self.since_millis = now;
            self.failures = if verdict == Verdict::Down { down } else { 0 };
        }
    }

    /// The same, as if a probe of it had ended at this time.
    pub(crate) fn heard_at(&self, now: u64) -> Self {
        Self {
            heard_millis: now,
            ..self.clone()
        }
    }

    /// Looks whether its probes still end.
    pub(crate) fn look(&mut self, patience_millis: u64, now: u64) {
        if self.heard_millis == 0 {
            self.heard_millis = now;
        }
        self.overdue = now.saturating_sub(self.heard_millis) > patience_millis;
    }

    /// What others are told of it.
    pub(crate) fn told(&self) -> (Said, Option<&str>) {
        (self.vote(), self.reason.as_deref())
    }

    /// What is left of the penalty: halved per half-life, straight lines between.
    fn penalty(&self, check: &HealthCheck, now: u64) -> u32 {
        let half_life = check
            .interval_millis
            .saturating_mul(HALF_LIFE_PROBES)
            .max(1);
        let passed = now.saturating_sub(self.penalty_millis);
        let halves = u32::try_from(passed / half_life).unwrap_or(u32::MAX);
        let whole = u64::from(self.penalty.checked_shr(halves).unwrap_or(0));
        let part = whole * (passed % half_life) / half_life / 2;
        u32::try_from(whole - part).unwrap_or(0)
    }

    /// What it says to others.
    pub(crate) fn vote(&self) -> Said {
        Said {
            verdict: self.verdict,
            late: self.late && self.verdict == Verdict::Down,
            overdue: self.overdue,
        }
    }

    /// The same, for a report.
    pub(crate) fn reported(&self, endpoint: EndpointId) -> ReportedVerdict {
        let (verdict, reason) = match self.verdict {
            _ if self.overdue => (Verdict::Unknown, Some(OVERDUE.to_owned())),
            Verdict::Down => (Verdict::Down, self.reason.clone()),
            other => (other, None),
        };
        ReportedVerdict {
            endpoint,
            verdict,
            since_millis: self.since_millis,
            reason,
            late: self.vote().late,
            overdue: self.overdue,
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
            let failure = (probe == 'x').then_some(ProbeFailure::Refused);
            track.observe(failure.as_ref(), &check, now as u64);
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
    fn one_that_flaps_is_held_down_until_it_was_well_for_a_while() {
        let check = HealthCheck::default();
        let mut track = Track::default();
        let mut now = 0;
        let mut probe = |track: &mut Track, fails: bool| {
            now += check.interval_millis;
            track.observe(fails.then_some(&ProbeFailure::Refused), &check, now);
            track.verdict
        };
        probe(&mut track, false);
        for fall in 1..=5 {
            let _fails = [(); 3].map(|()| probe(&mut track, true));
            let _succeeds = [(); 2].map(|()| probe(&mut track, false));
            let damped = track.verdict == Down;
            assert_eq!(damped, fall >= 4, "fall {fall}");
            if damped {
                break;
            }
        }
        let held = (0..1_000)
            .take_while(|_| probe(&mut track, false) == Down)
            .count();
        assert!((20..60).contains(&held), "held for {held} probes");
        let _fails = [(); 3].map(|()| probe(&mut track, true));
        let _succeeds = [(); 2].map(|()| probe(&mut track, false));
        assert_eq!(track.verdict, Up, "once is no flapping");
    }

    #[test]
    fn a_failure_is_late_only_if_all_of_it_were_timeouts() {
        let check = HealthCheck::default();
        let mut track = Track::default();
        track.observe(None, &check, 0);
        (1..=3).for_each(|now| track.observe(Some(&ProbeFailure::Timeout), &check, now));
        assert!(track.vote().late);
        let mut track = Track::default();
        track.observe(None, &check, 0);
        track.observe(Some(&ProbeFailure::Refused), &check, 1);
        (2..=3).for_each(|now| track.observe(Some(&ProbeFailure::Timeout), &check, now));
        assert_eq!(
            track.vote(),
            Said {
                verdict: Down,
                late: false,
                overdue: false
            }
        );
    }

    #[test]
    fn certainty_shrinks_with_each_failure() {
        let check = HealthCheck::default();
        let mut track = Track::default();
        track.observe(None, &check, 0);
        assert_eq!(track.certain_millis(&check), 15_000);
        track.observe(Some(&ProbeFailure::Timeout), &check, 1);
        assert_eq!(track.certain_millis(&check), 10_000);
        track.observe(Some(&ProbeFailure::Timeout), &check, 2);
        assert_eq!(track.certain_millis(&check), 5_000);
        track.observe(Some(&ProbeFailure::Timeout), &check, 3);
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
