//! Five observers, a network that parts, and a city that dies and returns, all drawn from a seed.
//!
//! The host carries reports. Who is cut off from it dials the others, which reach those of the same side of
//! a network that may have parted as well; so whom an observer hears is drawn anew again and again. Some see nothing, and
//! the probes of some hang. What must hold in every course: whoever hears no majority never promotes the standby; nobody promotes it while
//! city A lives; all who reach the host answer alike within two probe intervals after the last change was
//! counted, and a report that no longer comes is forgotten; answers never stop.

use crate::harness::*;
use meridian_steering::*;

const OBSERVERS: usize = 5;
/// Observers whose uplink is lost or whose probes hang at a time, at most: more than half of them would be the truth.
const BLIND_MAX: usize = 2;
/// Milliseconds until it is known of probes that they hang: three intervals and a timeout, the next look, and a round in
/// which it is told.
const NOTICED: u64 = 3 * INTERVAL + 2_000 + 5_000 + INTERVAL;
/// Milliseconds between probes, as the service has it.
const INTERVAL: u64 = 5_000;
/// Rounds until every verdict was counted: three failures, and two intervals to converge.
const SETTLED: usize = 3 + 2;
/// Rounds for which a report is heard that is the last.
const FORGOTTEN: usize = (REPORT_LIFE_MILLIS / INTERVAL) as usize;
const ROUNDS: usize = 120;

/// Chance that replays (xorshift).
struct Chance(u64);

impl Chance {
    fn below(&mut self, bound: usize) -> usize {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        usize::try_from(self.0 % bound as u64).expect("it is below a usize")
    }
}

/// The world as it is, whatever anybody thinks of it.
#[derive(Clone, Debug)]
struct Truth {
    city_a: bool,
    /// Whether each observer reaches the host.
    linked: [bool; OBSERVERS],
    /// Whether each observer reaches anything that it probes.
    sighted: [bool; OBSERVERS],
    /// Since when the probes of each hang.
    hung: [Option<u64>; OBSERVERS],
    /// On which side of the network each is; lines reach those of one's own.
    side: [bool; OBSERVERS],
}

/// What became of the world in a round.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Drift {
    Nothing,
    /// Something that probes find out, or a way that is there again.
    Told,
    /// A way over which somebody was heard.
    Cut,
}

impl Truth {
    /// Changes one thing, or nothing.
    fn drift(&mut self, now: u64, chance: &mut Chance) -> Drift {
        let who = chance.below(OBSERVERS);
        let whole = self.sighted[who] && self.hung[who].is_none();
        match chance.below(8) {
            0 => self.city_a ^= true,
            1 | 2 => {
                self.linked[who] ^= true;
                return Drift::Cut;
            }
            3 | 6 if whole && self.blind() == BLIND_MAX => return Drift::Nothing,
            3 => self.sighted[who] ^= true,
            6 => {
                self.hung[who] = match self.hung[who] {
                    None => Some(now),
                    Some(_) => None,
                };
                return Drift::Cut;
            }
            4 => {
                self.side[who] ^= true;
                return Drift::Cut;
            }
            // The host itself goes, or comes back for all.
            5 => {
                self.linked = [self.linked.iter().all(|linked| !linked); OBSERVERS];
                return Drift::Cut;
            }
            _ => return Drift::Nothing,
        }
        Drift::Told
    }

    /// Whether a report comes from one to another: over the host, or over a line that either has dialled.
    fn carries(&self, from: usize, to: usize) -> bool {
        let host = self.linked[from] && self.linked[to];
        host || self.side[from] == self.side[to]
    }

    fn blind(&self) -> usize {
        let blind = |at: &usize| !self.sighted[*at] || self.hung[*at].is_some();
        (0..OBSERVERS).filter(blind).count()
    }
}

struct Simulation {
    seed: u64,
    truth: Truth,
    replicas: Vec<Replica>,
    /// When each last heard each other.
    heard: [[u64; OBSERVERS]; OBSERVERS],
    /// Until when city A was last dead.
    dead_millis: Option<u64>,
}

fn name(at: usize) -> String {
    format!("replica-{at}")
}

fn policy() -> Policy {
    Policy::Failover(vec![
        branch("city-a", pool(&["beijing-a", "beijing-b"])),
        branch("city-b", pool(&["frankfurt"])),
    ])
}

impl Simulation {
    fn new(seed: u64) -> Self {
        let observers: Vec<_> = (0..OBSERVERS)
            .map(|at| Observer {
                name: name(at).as_str().into(),
                domain: name(at),
                contact: None,
            })
            .collect();
        let replica = |at: usize| {
            let mut replica = Replica::empty(&name(at));
            let spec = ServiceSpec {
                policy: policy(),
                ..service()
            };
            replica.tell(world(spec, three()));
            replica.tell([Event::Observers(observers.clone()), Event::Synced]);
            replica.round(&[]);
            replica
        };
        Self {
            seed,
            truth: Truth {
                city_a: true,
                linked: [true; OBSERVERS],
                sighted: [true; OBSERVERS],
                hung: [None; OBSERVERS],
                side: [true; OBSERVERS],
            },
            replicas: (0..OBSERVERS).map(replica).collect(),
            heard: [[START; OBSERVERS]; OBSERVERS],
            dead_millis: None,
        }
    }

    /// One probe interval: probes, then reports over the host.
    fn round(&mut self) {
        let before: Vec<String> = self.replicas.iter().map(active).collect();
        for at in 0..OBSERVERS {
            let failing: &[&str] = match (self.truth.sighted[at], self.truth.city_a) {
                (false, _) => &[A, B, F],
                (true, false) => &[A, B],
                (true, true) => &[],
            };
            match self.truth.hung[at] {
                Some(_) => self.replicas[at].pass(INTERVAL),
                None => self.replicas[at].rounds(1, failing),
            }
        }
        let now = self.replicas[0].now;
        if !self.truth.city_a {
            self.dead_millis = Some(now);
        }
        for at in 0..OBSERVERS {
            let contact = match self.truth.linked[at] {
                true => HostContact::Reached,
                false => HostContact::Lost,
            };
            self.replicas[at].tell([Event::Host(contact)]);
            let dials = self.replicas[at].peers.as_ref().expect("it was told whom");
            assert_eq!((dials.host, dials.known.len()), (contact, OBSERVERS - 1));
        }
        for from in 0..OBSERVERS {
            let Some(report) = self.replicas[from].report.clone() else {
                continue;
            };
            let hearing = (0..OBSERVERS).filter(|to| *to != from && self.truth.carries(from, *to));
            for to in hearing.collect::<Vec<_>>() {
                self.replicas[to].tell([Event::Reported(Box::new(report.clone()))]);
                self.heard[to][from] = now;
            }
        }
        for (at, before) in before.iter().enumerate() {
            self.check(at, before, now);
        }
    }

    fn check(&self, at: usize, before: &str, now: u64) {
        let (replica, seed, truth) = (&self.replicas[at], self.seed, &self.truth);
        let told = || format!("seed {seed}, {} at {now}: {truth:?}", name(at));
        let answer = replica.ask(BERLIN);
        assert_eq!(answer.code, "NoError", "{}", told());
        assert!(!answer.data.is_empty(), "{}", told());
        let promoted = before == "city-a" && active(replica) == "city-b";
        if promoted {
            let fresh =
                |from: &usize| *from == at || now < self.heard[at][*from] + REPORT_LIFE_MILLIS;
            let sees = |at: &usize| truth.hung[*at].is_none_or(|since| now < since + NOTICED);
            let heard = (0..OBSERVERS).filter(fresh).filter(sees).count();
            assert!(heard * 2 > OBSERVERS, "promoted by a minority: {}", told());
            let lately = self
                .dead_millis
                .is_some_and(|dead| now - dead <= 3 * INTERVAL);
            assert!(lately, "promoted while city A lives: {}", told());
        }
    }

    /// All who reach the host, as a majority, answer alike and as the truth is.
    fn check_settled(&self) {
        let linked: Vec<_> = (0..OBSERVERS).filter(|at| self.truth.linked[*at]).collect();
        if linked.len() * 2 <= OBSERVERS {
            return;
        }
        let sees = |at: &&usize| self.truth.sighted[**at] && self.truth.hung[**at].is_none();
        let sighted = linked.iter().filter(sees).count();
        let all: Vec<_> = linked
            .iter()
            .map(|at| active(&self.replicas[*at]))
            .collect();
        let told = || format!("seed {}: {:?} {all:?}", self.seed, self.truth);
        assert!(all.windows(2).all(|pair| pair[0] == pair[1]), "{}", told());
        if sighted == linked.len() {
            let expected = if self.truth.city_a {
                "city-a"
            } else {
                "city-b"
            };
            assert_eq!(all[0], expected, "{}", told());
        }
    }
}

fn active(replica: &Replica) -> String {
    let branches = replica.status().branches.iter();
    let mut active = branches.filter(|it| it.state == BranchState::Active);
    active.next().expect("one is active").name.clone()
}

#[test]
fn no_partition_has_a_minority_promote_a_standby_and_those_that_reach_the_host_converge() {
    let (mut promotions, mut settled) = (0, 0);
    for seed in 1..=12 {
        let mut chance = Chance(0x9e37_79b9_7f4a_7c15_u64.wrapping_mul(seed));
        let mut simulation = Simulation::new(seed);
        let (mut quiet, mut uncut) = (0, 0);
        for _ in 0..ROUNDS {
            let drift = match chance.below(8) {
                0 => {
                    let now = simulation.replicas[0].now;
                    simulation.truth.drift(now, &mut chance)
                }
                _ => Drift::Nothing,
            };
            quiet = if drift == Drift::Nothing {
                quiet + 1
            } else {
                0
            };
            uncut = if drift == Drift::Cut { 0 } else { uncut + 1 };
            simulation.round();
            promotions += usize::from(active(&simulation.replicas[0]) == "city-b");
            if quiet >= SETTLED && uncut >= SETTLED + FORGOTTEN {
                simulation.check_settled();
                settled += 1;
            }
        }
    }
    assert!(promotions > 40, "the standby had its turns: {promotions}");
    assert!(settled > 100, "the world came to rest: {settled}");
}

#[test]
fn those_that_reach_the_host_agree_two_intervals_after_a_city_was_counted_dead() {
    let mut simulation = Simulation::new(0);
    simulation.truth.linked[4] = false;
    simulation.truth.side[4] = false;
    (0..7).for_each(|_| simulation.round());
    simulation.truth.city_a = false;
    (0..SETTLED).for_each(|_| simulation.round());
    simulation.check_settled();
    assert_eq!(active(&simulation.replicas[0]), "city-b");
    assert_eq!(active(&simulation.replicas[4]), "city-a", "it is alone");
    simulation.truth.linked[4] = true;
    (0..2).for_each(|_| simulation.round());
    assert_eq!(active(&simulation.replicas[4]), "city-b");
}

#[test]
fn with_the_host_gone_the_majority_that_lines_still_connect_moves_and_the_others_do_not() {
    let mut simulation = Simulation::new(0);
    simulation.truth.linked = [false; OBSERVERS];
    simulation.truth.side = [true, true, true, false, false];
    (0..=FORGOTTEN).for_each(|_| simulation.round());
    simulation.truth.city_a = false;
    (0..SETTLED).for_each(|_| simulation.round());
    let all: Vec<_> = simulation.replicas.iter().map(active).collect();
    assert_eq!(all, ["city-b", "city-b", "city-b", "city-a", "city-a"]);
    let answer = simulation.replicas[4].ask(BERLIN);
    assert!(!answer.data.is_empty(), "answers never stop: {answer:?}");
    simulation.truth.side = [true; OBSERVERS];
    (0..2).for_each(|_| simulation.round());
    assert_eq!(active(&simulation.replicas[4]), "city-b");
}
