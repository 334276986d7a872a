//! When which probe is due.

use model::{EndpointId, Probe};
use rand::rngs::StdRng;
use rand::{RngExt, SeedableRng};
use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;
use tokio::time::Instant;

/// The first probe of an endpoint comes within this share of its interval: soon, but not in a burst. Those after it
/// are spread over the whole interval.
const FIRST_WITHIN: u32 = 4;

/// The probes that are wanted, and when each is due.
pub(crate) struct Schedule {
    chance: StdRng,
    probes: BTreeMap<EndpointId, Scheduled>,
    due: BTreeSet<(Instant, EndpointId)>,
}

struct Scheduled {
    probe: Probe,
    next: Instant,
    /// Between the first probe and the second, when the first is still to come.
    second_after: Option<Duration>,
    running: Running,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Running {
    No,
    Yes,
}

impl Schedule {
    pub(crate) fn new(seed: u64) -> Self {
        Self {
            chance: StdRng::seed_from_u64(seed),
            probes: BTreeMap::new(),
            due: BTreeSet::new(),
        }
    }

    /// Wants these probes and no others; what stays as it was keeps its phase.
    pub(crate) fn set(&mut self, probes: Vec<Probe>, now: Instant) {
        let mut before = std::mem::take(&mut self.probes);
        self.due.clear();
        for probe in probes {
            let scheduled = match before.remove(&probe.endpoint) {
                Some(old) if old.probe.schedule == probe.schedule => Scheduled { probe, ..old },
                old => {
                    let interval = interval(&probe);
                    // Of one draw: the phase within the interval, and the first probe sooner.
                    let phase = self.chance.random_range(Duration::ZERO..=interval);
                    let first = phase / FIRST_WITHIN;
                    let mut second_after = phase - first;
                    if second_after < interval / 2 {
                        second_after += interval;
                    }
                    let running = old.map_or(Running::No, |old| old.running);
                    Scheduled {
                        probe,
                        next: now + first,
                        second_after: Some(second_after),
                        running,
                    }
                }
            };
            self.due
                .insert((scheduled.next, scheduled.probe.endpoint.clone()));
            self.probes
                .insert(scheduled.probe.endpoint.clone(), scheduled);
        }
    }

    /// A probe that is due now; it is due again one interval later. One that still runs is passed
    /// over: its next turn comes.
    pub(crate) fn due(&mut self, now: Instant) -> Option<Probe> {
        while self.due.first().is_some_and(|(next, _)| *next <= now) {
            let (_, endpoint) = self.due.pop_first()?;
            let scheduled = self.probes.get_mut(&endpoint)?;
            let interval = interval(&scheduled.probe);
            scheduled.next += scheduled.second_after.take().unwrap_or(interval);
            if scheduled.next <= now {
                // The machine slept: no burst to catch up.
                scheduled.next = now + interval;
            }
            self.due.insert((scheduled.next, endpoint));
            if scheduled.running == Running::No {
                scheduled.running = Running::Yes;
                return Some(scheduled.probe.clone());
            }
        }
        None
    }

    /// A probe of this endpoint has ended.
    pub(crate) fn done(&mut self, endpoint: &EndpointId) {
        if let Some(scheduled) = self.probes.get_mut(endpoint) {
            scheduled.running = Running::No;
        }
    }

    /// Whether this endpoint is still wanted.
    pub(crate) fn holds(&self, endpoint: &EndpointId) -> bool {
        self.probes.contains_key(endpoint)
    }

    /// When the next probe is due.
    pub(crate) fn next(&self) -> Option<Instant> {
        self.due.first().map(|(next, _)| *next)
    }
}

/// An interval of zero would never let the loop rest.
fn interval(probe: &Probe) -> Duration {
    Duration::from_millis(probe.schedule.interval_millis.max(1))
}

#[cfg(test)]
mod tests {
    use super::*;
    use model::{ObjectKey, PortProbe, ProbeKind, ProbeSchedule, Target};

    fn probe(cluster: &str, interval_millis: u64) -> Probe {
        let target = Target::Ip(std::net::Ipv4Addr::LOCALHOST.into());
        let service = ObjectKey::new("shop", "shop");
        Probe {
            endpoint: EndpointId {
                service,
                cluster: cluster.into(),
                target: target.clone(),
            },
            target,
            kind: ProbeKind::Tcp(PortProbe { port: 1 }),
            schedule: ProbeSchedule {
                interval_millis,
                timeout_millis: 1_000,
            },
        }
    }

    #[tokio::test(start_paused = true)]
    async fn a_probe_that_stays_keeps_its_phase() {
        let now = Instant::now();
        let mut schedule = Schedule::new(1);
        schedule.set(vec![probe("a", 1_000)], now);
        let first = schedule.next();
        schedule.set(
            vec![probe("a", 1_000), probe("b", 50_000)],
            now + Duration::from_millis(10),
        );
        assert_eq!(
            schedule.probes[&probe("a", 1).endpoint].next,
            first.expect("due")
        );
    }

    #[tokio::test(start_paused = true)]
    async fn the_first_probe_comes_within_a_quarter_of_the_interval() {
        let now = Instant::now();
        for seed in 0..100 {
            let mut schedule = Schedule::new(seed);
            schedule.set(vec![probe("a", 1_000)], now);
            assert!(schedule.next().expect("due") <= now + Duration::from_millis(250));
        }
    }

    #[tokio::test(start_paused = true)]
    async fn after_the_first_round_probes_are_spread_over_the_interval() {
        let now = Instant::now();
        let mut schedule = Schedule::new(7);
        let names: Vec<_> = (0..1_000).map(|number| format!("c{number}")).collect();
        schedule.set(names.iter().map(|name| probe(name, 1_000)).collect(), now);
        let mut tenths = [0_usize; 10];
        for millis in 0..5_000_u64 {
            while let Some(probe) = schedule.due(now + Duration::from_millis(millis)) {
                schedule.done(&probe.endpoint);
                // The third interval: nobody's first or second any more.
                if (3_000..4_000).contains(&millis) {
                    tenths[(millis / 100 % 10) as usize] += 1;
                }
            }
        }
        assert_eq!(
            tenths.iter().sum::<usize>(),
            1_000,
            "each once per interval"
        );
        assert!(
            tenths.iter().all(|count| (60..140).contains(count)),
            "{tenths:?}"
        );
    }

    #[tokio::test(start_paused = true)]
    async fn a_probe_that_still_runs_is_not_begun_again() {
        let now = Instant::now();
        let mut schedule = Schedule::new(1);
        schedule.set(vec![probe("a", 1_000)], now);
        let later = now + Duration::from_millis(500);
        let first = schedule.due(later).expect("due");
        assert_eq!(
            schedule.due(later + Duration::from_secs(3)),
            None,
            "it still runs"
        );
        schedule.done(&first.endpoint);
        assert!(schedule.due(later + Duration::from_secs(5)).is_some());
    }

    #[tokio::test(start_paused = true)]
    async fn after_a_sleep_there_is_one_probe_and_no_burst() {
        let now = Instant::now();
        let mut schedule = Schedule::new(1);
        schedule.set(vec![probe("a", 1_000)], now);
        let awake = now + Duration::from_secs(3_600);
        let probed = schedule.due(awake).expect("due");
        schedule.done(&probed.endpoint);
        assert_eq!(schedule.due(awake), None);
        assert_eq!(schedule.next(), Some(awake + Duration::from_secs(1)));
    }
}
