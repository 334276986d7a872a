//! Probes that no longer end: a checker that hangs has no say.
//!
//! | what | is overdue when |
//! |---|---|
//! | an endpoint, a requirement, a member's check | no probe of it has ended for three intervals and a timeout, and for [`OVERDUE_MILLIS_MIN`] |
//! | an observer | more than half of what it probes is |
//!
//! Of what is overdue an observer says that it does not know, and is not counted: it neither holds an endpoint up nor
//! takes it down, and the others decide. Where nobody is left to say, what was known holds. An observer that is overdue
//! counts for no majority: its reports come, and nobody looks behind them.

use crate::{engine::Engine, health::Track, spec::HealthCheck};

/// Intervals in which no probe ended.
const INTERVALS: u64 = 3;
/// A busy machine is no broken one: whatever the interval, so long is waited.
const OVERDUE_MILLIS_MIN: u64 = 10_000;
/// Between two looks.
const LOOK_MILLIS: u64 = 5_000;

/// What was looked at.
#[derive(Debug, Default)]
pub(crate) struct Looked {
    /// When that was last.
    at_millis: u64,
    /// Whether this observer is overdue as a whole.
    pub(crate) blind: bool,
}

/// Counts what is probed.
#[derive(Default)]
struct Count {
    all: usize,
    overdue: usize,
}

impl Count {
    /// Looks at a track; whether it is other than before.
    fn look(&mut self, track: &mut Track, check: &HealthCheck, now: u64) -> bool {
        let before = track.overdue;
        track.look(patience_millis(check), now);
        self.all += 1;
        self.overdue += usize::from(track.overdue);
        track.overdue != before
    }
}

fn patience_millis(check: &HealthCheck) -> u64 {
    let rounds = check.interval_millis.saturating_mul(INTERVALS);
    rounds
        .saturating_add(check.timeout_millis)
        .max(OVERDUE_MILLIS_MIN)
}

impl Engine {
    /// Looks for what is overdue, now and then.
    pub(crate) fn look(&mut self, now: u64) {
        if !self.options.part.observes() || self.next_look().is_none_or(|at| now < at) {
            return;
        }
        self.looked.at_millis = now;
        let mut count = Count::default();
        for (key, service) in &mut self.services {
            let mut changed = false;
            for (check, track) in service.probed_tracks() {
                changed |= count.look(track, check, now);
            }
            if changed {
                self.marks.services.insert(key.clone());
                self.marks.news = true;
            }
        }
        for (check, track) in self.checks.probed_tracks() {
            self.marks.news |= count.look(track, check, now);
        }
        let blind = count.overdue * 2 > count.all;
        if blind != self.looked.blind {
            self.looked.blind = blind;
            self.mark_all();
        }
    }

    /// When it is looked again; not at all while nothing is probed.
    pub(crate) fn next_look(&self) -> Option<u64> {
        let probes = self.sent.probes.as_ref()?;
        let at = self.looked.at_millis.saturating_add(LOOK_MILLIS);
        (!probes.is_empty()).then_some(at)
    }
}
