//! Whether this observer believes itself: its targets are counted service by service, and only those of
//! a service that changed anew.

use crate::{
    engine::Engine,
    health::Track,
    quorum::{self, Targets},
    service::Service,
};
use model::Verdict;
use std::collections::BTreeMap;

/// What answers and what does not, of all services that are probed.
#[derive(Debug, Default)]
pub(crate) struct Tallies {
    up: usize,
    down: usize,
    /// Since when so many do not answer.
    down_since: BTreeMap<u64, usize>,
}

/// Of one service, as it was counted last.
#[derive(Debug, Default)]
pub(crate) struct Tally {
    up: usize,
    /// Since when each does not answer.
    down_since: Vec<u64>,
}

impl Tally {
    fn of(service: &Service) -> Self {
        let mut tally = Self::default();
        if service.spec.health_check.probe.is_some() {
            let members = service.endpoints.values();
            members.for_each(|member| tally.count(&member.track));
        }
        tally
    }

    fn count(&mut self, track: &Track) {
        match track.verdict {
            _ if track.overdue => {}
            Verdict::Up => self.up += 1,
            Verdict::Down => self.down_since.push(track.since_millis),
            Verdict::Unknown => {}
        }
    }
}

impl Tallies {
    /// Counts a service anew, in the place of what it was.
    fn count(&mut self, service: &mut Service) {
        let tally = Tally::of(service);
        self.up += tally.up;
        self.down += tally.down_since.len();
        for since in &tally.down_since {
            *self.down_since.entry(*since).or_default() += 1;
        }
        let before = std::mem::replace(&mut service.tally, tally);
        self.forget(&before);
    }

    /// What is gone counts no more.
    pub(crate) fn forget(&mut self, tally: &Tally) {
        self.up -= tally.up;
        self.down -= tally.down_since.len();
        for since in &tally.down_since {
            if let Some(count) = self.down_since.get_mut(since) {
                *count -= 1;
                if *count == 0 {
                    self.down_since.remove(since);
                }
            }
        }
    }

    /// All of them, and what is checked besides services.
    fn targets<'a>(&self, checks: impl Iterator<Item = &'a Track>, now: u64) -> Targets {
        let mut others = Tally::default();
        checks.for_each(|track| others.count(track));
        let lately = |since: &u64| now.saturating_sub(*since) < quorum::AT_ONCE_MILLIS;
        let newest = self.down_since.iter().rev();
        let newest = newest.take_while(|(since, _)| lately(since));
        let counted: usize = newest.map(|(_, count)| count).sum();
        Targets {
            up: self.up + others.up,
            down: self.down + others.down_since.len(),
            lately: counted + others.down_since.iter().filter(|it| lately(it)).count(),
        }
    }
}

impl Engine {
    /// Whether this observer abstains from now on.
    pub(crate) fn doubt(&mut self, now: u64) {
        for key in &self.marks.services {
            if let Some(service) = self.services.get_mut(key) {
                self.tallies.count(service);
            }
        }
        let targets = self.tallies.targets(self.checks.tracks(), now);
        debug_assert_eq!(targets, self.counted(now), "a change was not marked");
        let registered = usize::from(self.options.part.observes()) + self.others.len();
        let abstaining = quorum::abstains(self.abstaining, registered, self.control, targets);
        if abstaining != self.abstaining {
            self.abstaining = abstaining;
            self.marks.news = true;
            self.mark_all();
        }
    }

    /// The same, all counted anew.
    fn counted(&self, now: u64) -> Targets {
        let mut all = Tally::default();
        for service in self.services.values() {
            let tally = Tally::of(service);
            all.up += tally.up;
            all.down_since.extend(tally.down_since);
        }
        self.checks.tracks().for_each(|track| all.count(track));
        let lately = |since: &&u64| now.saturating_sub(**since) < quorum::AT_ONCE_MILLIS;
        Targets {
            up: all.up,
            down: all.down_since.len(),
            lately: all.down_since.iter().filter(lately).count(),
        }
    }
}
