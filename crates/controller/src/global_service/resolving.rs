//! Host names of load balancers, resolved for records that must have addresses: what is asked when, and what is
//! kept, decides [`steering::Resolutions`], as for the names that DNS replicas flatten.
//!
//! # Guarantees
//! Looking never waits. A name that stops resolving keeps the addresses that it had. Who looked is woken when
//! something is other than it was.
//! # Assumptions
//! Lookups are those of the process: what its resolvers say is what clients of this network would get.
//! # Caveats
//! A process without lookups leaves every name pending, and what is published as it is.

use crate::clock::WallClock;
use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;
use steering::federation_names::Resolved as Addresses;
use steering::{Resolutions, Resolved};
use tokio::sync::{mpsc, watch};
use tokio::time::sleep;

/// Names that are asked for and wait to be taken.
pub const LOOKUPS_MAX: usize = 256;

/// Whoever looks host names up.
pub struct Lookups {
    /// Names to look up, each once.
    pub ask: mpsc::Sender<Vec<String>>,
    /// What came of it.
    pub words: mpsc::Receiver<Resolved>,
}

/// Host names by who needs them.
pub(super) struct Resolver<K> {
    clock: WallClock,
    known: Mutex<Known<K>>,
    /// Another name is wanted.
    wanted: watch::Sender<()>,
}

struct Known<K> {
    wanted: BTreeMap<K, BTreeSet<String>>,
    resolutions: Resolutions,
}

/// What is known of some names.
#[derive(Default)]
pub(super) struct Look {
    pub(super) resolved: Addresses,
    /// Whether one was never answered.
    pub(super) pending: bool,
    /// Those that have no address, and why.
    pub(super) failed: Vec<String>,
}

impl<K: Ord + Clone> Resolver<K> {
    pub(super) fn new(clock: WallClock) -> Self {
        Self {
            clock,
            known: Mutex::new(Known {
                wanted: BTreeMap::new(),
                resolutions: Resolutions::default(),
            }),
            wanted: watch::Sender::default(),
        }
    }

    /// What is known of the names that somebody needs now, all of them.
    pub(super) fn look(&self, whose: &K, names: BTreeSet<String>) -> Look {
        let mut known = self.lock();
        let before = known.wanted.get(whose);
        if before.map_or(!names.is_empty(), |before| *before != names) {
            known.wanted.insert(whose.clone(), names.clone());
            known.want();
            self.wanted.send_replace(());
        }
        let mut look = Look::default();
        for name in names {
            let addresses = known.resolutions.addresses(&name);
            if known.resolutions.is_awaited(&name) {
                look.pending = true;
            } else if addresses.is_empty() {
                let why = known.resolutions.problem(&name).unwrap_or_default();
                look.failed.push(format!("{name} ({why})"));
            } else {
                look.resolved.insert(name, addresses.into_iter().collect());
            }
        }
        look
    }

    /// Somebody needs no names any more.
    pub(super) fn forget(&self, whose: &K) {
        let mut known = self.lock();
        if known.wanted.remove(whose).is_some() {
            known.want();
        }
    }

    /// Asks when it is time, and wakes who needs what changed, as long as there are lookups.
    pub(super) async fn run(&self, lookups: Option<Lookups>, wake: impl Fn(K)) {
        let Some(Lookups { ask, mut words }) = lookups else {
            return;
        };
        let mut wanted = self.wanted.subscribe();
        loop {
            let (due, next) = {
                let (mut known, now) = (self.lock(), self.clock.millis());
                let due = known.resolutions.due(now);
                let next = known.resolutions.next_millis();
                (
                    due,
                    next.map(|at| Duration::from_millis(at.saturating_sub(now))),
                )
            };
            if !due.is_empty() && ask.send(due).await.is_err() {
                return;
            }
            tokio::select! {
                biased;
                changed = wanted.changed() => if changed.is_err() { return },
                word = words.recv() => {
                    let Some(word) = word else { return };
                    self.take(word).into_iter().for_each(&wake);
                }
                () = until(next) => {}
            }
        }
    }

    /// Who needs to know of a word.
    fn take(&self, word: Resolved) -> Vec<K> {
        let (mut known, hostname) = (self.lock(), word.hostname.clone());
        if !known.resolutions.take(word, self.clock.millis()) {
            return Vec::new();
        }
        let users = known.wanted.iter();
        let users = users.filter(|(_, names)| names.contains(&hostname));
        users.map(|(whose, _)| whose.clone()).collect()
    }

    fn lock(&self) -> MutexGuard<'_, Known<K>> {
        self.known.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl<K> Known<K> {
    fn want(&mut self) {
        let all = self.wanted.values().flatten().cloned().collect();
        self.resolutions.want(&all);
    }
}

async fn until(wait: Option<Duration>) {
    match wait {
        Some(wait) => sleep(wait).await,
        None => std::future::pending().await,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::Arc;
    use steering::Found;

    fn said(hostname: &str, address: Option<&str>) -> Resolved {
        let v4 = match address {
            Some(address) => Ok(Found {
                addresses: vec![address.parse().expect("an address")],
                ttl_secs: 30,
            }),
            None => Err("SERVFAIL from 192.0.2.53".to_owned()),
        };
        Resolved {
            hostname: hostname.to_owned(),
            v6: v4.clone().map(|found| Found {
                addresses: Vec::new(),
                ..found
            }),
            v4,
        }
    }

    #[tokio::test(start_paused = true)]
    async fn who_needs_a_name_is_woken_when_it_has_other_addresses_or_none() {
        let resolver = Arc::new(Resolver::<&str>::new(WallClock::System));
        let (ask, mut asked) = mpsc::channel(LOOKUPS_MAX);
        let (tell, words) = mpsc::channel(LOOKUPS_MAX);
        let (wake, mut woken) = mpsc::unbounded_channel();
        let running = Arc::clone(&resolver);
        tokio::spawn(async move {
            let lookups = Lookups { ask, words };
            let wake = |whose| wake.send(whose).expect("the test listens");
            running.run(Some(lookups), wake).await;
        });
        let names = |names: &[&str]| names.iter().map(|it| (*it).to_owned()).collect();
        let both = || names(&["good.example", "bad.example"]);
        assert!(resolver.look(&"one", both()).pending);
        assert!(resolver.look(&"two", names(&["good.example"])).pending);
        let mut first = asked.recv().await.expect("it is asked");
        while first.len() < 2 {
            first.extend(asked.recv().await.expect("both are asked for"));
        }
        tell.send(said("good.example", Some("192.0.2.1")))
            .await
            .expect("it runs");
        assert_eq!(
            [woken.recv().await, woken.recv().await],
            [Some("one"), Some("two")]
        );
        assert!(resolver.look(&"one", both()).pending, "one is not answered");
        assert!(!resolver.look(&"two", names(&["good.example"])).pending);
        tell.send(said("bad.example", None)).await.expect("it runs");
        assert_eq!(woken.recv().await, Some("one"));
        let look = resolver.look(&"one", both());
        assert_eq!(look.failed, ["bad.example (SERVFAIL from 192.0.2.53)"]);
        assert_eq!(look.resolved["good.example"].len(), 1);
        // A name that stops resolving keeps its addresses.
        tell.send(said("good.example", None))
            .await
            .expect("it runs");
        woken.recv().await;
        assert_eq!(
            resolver
                .look(&"two", names(&["good.example"]))
                .resolved
                .len(),
            1
        );
        resolver.forget(&"one");
        resolver.forget(&"two");
        assert!(resolver.look(&"one", both()).pending, "nobody kept it");
    }

    #[tokio::test]
    async fn without_lookups_every_name_is_pending() {
        let resolver = Resolver::<u8>::new(WallClock::System);
        resolver.run(None, |_| {}).await;
        let look = resolver.look(&1, BTreeSet::from(["lb.example".to_owned()]));
        assert!(look.pending && look.failed.is_empty());
    }
}
