//! Regions that leave one after the other, because each is given what the last one could not serve.
//!
//! A region that stops answering in time, shortly after another one left, is more likely flooded than
//! dead: for [`FLOOD_MILLIS`] it is overloaded. It keeps its own clients, and what overflows goes to
//! the next. If it still does not answer then, it leaves; but no more than [`REGIONS_MAX`] leave so.
//! A refused connection is no flood: there nobody listens.

use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// How long a region that takes over may be late, in milliseconds.
pub(crate) const FLOOD_MILLIS: u64 = 120_000;

/// How many more regions leave by themselves behind the first.
const REGIONS_MAX: usize = 1;

/// The failure domains of a service that have left, each with the time when it did.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub(crate) struct Cascade {
    left: BTreeMap<String, u64>,
}

impl Cascade {
    /// Whether a region that does not answer in time is taken for flooded, and until when.
    pub(crate) fn excuses(&self, domain: &str, now: u64) -> Option<u64> {
        if self.left.contains_key(domain) {
            return None;
        }
        let latest = self.left.values().max()?;
        let until = latest.saturating_add(FLOOD_MILLIS);
        if self.left.len() > REGIONS_MAX {
            return Some(u64::MAX);
        }
        (now < until).then_some(until)
    }

    /// Notes which domains have nothing left that answers, and which have something again.
    pub(crate) fn note(&mut self, alive: &BTreeMap<String, bool>, now: u64) {
        self.left
            .retain(|domain, _| alive.get(domain) == Some(&false));
        for (domain, _) in alive.iter().filter(|(_, alive)| !**alive) {
            self.left.entry(domain.clone()).or_insert(now);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn alive(of: &[(&str, bool)]) -> BTreeMap<String, bool> {
        of.iter()
            .map(|(name, alive)| ((*name).to_owned(), *alive))
            .collect()
    }

    #[test]
    fn the_first_region_leaves_the_second_is_excused_for_a_while_and_the_third_stays() {
        let mut cascade = Cascade::default();
        assert_eq!(cascade.excuses("a", 0), None, "nobody left before it");
        cascade.note(&alive(&[("a", false), ("b", true), ("c", true)]), 1_000);
        assert_eq!(cascade.excuses("b", 2_000), Some(1_000 + FLOOD_MILLIS));
        assert_eq!(cascade.excuses("b", 1_000 + FLOOD_MILLIS), None);
        let later = 2_000 + FLOOD_MILLIS;
        cascade.note(&alive(&[("a", false), ("b", false), ("c", true)]), later);
        assert_eq!(
            cascade.excuses("c", later + 10 * FLOOD_MILLIS),
            Some(u64::MAX)
        );
        cascade.note(&alive(&[("a", true), ("b", false), ("c", true)]), later);
        assert_eq!(cascade.excuses("c", later + 1), Some(later + FLOOD_MILLIS));
    }
}
