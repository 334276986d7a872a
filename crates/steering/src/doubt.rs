//! Whether this observer believes itself: its targets are counted service by service, and only those of
//! a service that changed anew.

use crate::{
    engine::Engine,
    health::Track,
    quorum::{self, Targets},
    service::Service,
};
use model::{ObjectKey, Verdict};
use std::collections::BTreeMap;

/// What answers and what does not, of all services that are probed.
#[derive(Debug, Default)]
pub(crate) struct Tallies {
    services: BTreeMap<ObjectKey, Tally>,
    up: usize,
    down: usize,
    /// Since when so many do not answer.
    down_since: BTreeMap<u64, usize>,
}

/// Of one service.
#[derive(Debug, Default)]
struct Tally {
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
    /// Counts a service anew.
    fn count(&mut self, key: &ObjectKey, service: &Service) {
        self.forget(key);
        let tally = Tally::of(service);
        self.up += tally.up;
        self.down += tally.down_since.len();
        for since in &tally.down_since {
            *self.down_since.entry(*since).or_default() += 1;
        }
        self.services.insert(key.clone(), tally);
    }

    /// A service that is gone counts no more.
    pub(crate) fn forget(&mut self, key: &ObjectKey) {
        let Some(tally) = self.services.remove(key) else {
            return;
        };
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
            match self.services.get(key) {
                Some(service) => self.tallies.count(key, service),
                None => self.tallies.forget(key),
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
        let mut all = Tallies::default();
        for (key, service) in &self.services {
            all.count(key, service);
        }
        all.targets(self.checks.tracks(), now)
    }
}
