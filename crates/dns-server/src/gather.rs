//! Whether a thread lets queries gather before it looks for them again.
//!
//! A thread that wakes up for each query pays each time for waking up, and for what the near caches have
//! forgotten meanwhile. When queries come fast enough that a short rest brings
//! several at once, it rests, as network cards do (interrupt moderation). When they come one by
//! one, nothing is delayed; when there are many, batches are half full by themselves and there is nothing to
//! wait for.

use std::time::Duration;

use crate::batch::WIDTH;

/// How long a rest is, unless told otherwise: less than any network's delay varies by.
pub const GATHER: Duration = Duration::from_micros(50);

/// Over how long the rate is measured.
const WINDOW_MICROS: u64 = 1_000;
/// A rest that brings fewer queries than this costs more than it saves.
const WORTH: u64 = 2;
/// So many in a batch: the next ones are there already, or nearly, and a rest would only leave the
/// thread idle.
const FULL: usize = WIDTH / 2;

/// The rate at which queries come to one thread, and what follows from it.
#[derive(Debug)]
pub(crate) struct Gather {
    rest: Duration,
    /// Queries in a window from which on a rest is worth it.
    enough: u64,
    since_micros: u64,
    count: u64,
    fast: bool,
}

impl Gather {
    /// Rests last so long; without a length there are none.
    pub(crate) fn new(rest: Duration) -> Self {
        let rest_micros = u64::try_from(rest.as_micros()).unwrap_or(u64::MAX);
        let enough = (WORTH * WINDOW_MICROS).checked_div(rest_micros);
        Self {
            rest,
            enough: enough.map_or(u64::MAX, |enough| enough.max(1)),
            since_micros: 0,
            count: 0,
            fast: false,
        }
    }

    /// How long to rest, if at all, after a batch of `count` queries that came at this time.
    #[inline]
    pub(crate) fn after(&mut self, count: usize, now_micros: u64) -> Option<Duration> {
        self.count += count as u64;
        let passed = now_micros.saturating_sub(self.since_micros);
        if passed >= WINDOW_MICROS {
            self.fast =
                self.count.saturating_mul(WINDOW_MICROS) >= self.enough.saturating_mul(passed);
            self.since_micros = now_micros;
            self.count = 0;
        }
        (self.fast && count < FULL).then_some(self.rest)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Rests among the batches of `count` queries, one every `gap` microseconds, of 10 ms.
    fn rests(gather: &mut Gather, from: u64, gap: u64, count: usize) -> usize {
        let batches = (from..from + 10_000).step_by(gap as usize);
        batches.filter_map(|now| gather.after(count, now)).count()
    }

    #[test]
    fn queries_that_come_fast_may_gather() {
        let mut gather = Gather::new(GATHER);
        let rests = rests(&mut gather, 0, 20, 1);
        assert!(
            (440..=460).contains(&rests),
            "from the first window's end on: {rests}"
        );
    }

    #[test]
    fn what_comes_slowly_is_answered_at_once() {
        let mut gather = Gather::new(GATHER);
        assert_eq!(rests(&mut gather, 0, 26, 1), 0, "less than two in 50 µs");
        assert_eq!(rests(&mut gather, 0, 500, 1), 0);
    }

    #[test]
    fn a_full_batch_is_followed_at_once() {
        let mut gather = Gather::new(GATHER);
        assert_eq!(rests(&mut gather, 0, 40, FULL), 0);
        assert_eq!(rests(&mut gather, 10_000, 40, FULL - 1), 250);
    }

    #[test]
    fn a_pause_ends_it_with_its_first_query() {
        let mut gather = Gather::new(GATHER);
        assert!(rests(&mut gather, 0, 20, 1) > 0);
        assert_eq!(gather.after(1, 5_000_000), None);
        assert_eq!(gather.after(1, 5_000_010), None);
    }

    #[test]
    fn without_a_length_there_is_no_rest() {
        let mut gather = Gather::new(Duration::ZERO);
        assert_eq!(rests(&mut gather, 0, 1, FULL - 1), 0);
    }

    #[test]
    fn a_long_rest_does_not_need_a_query_in_each_window() {
        let mut gather = Gather::new(Duration::from_millis(100));
        assert_eq!(gather.after(1, 500_000), None);
        assert!(gather.after(1, 501_000).is_some());
    }
}
