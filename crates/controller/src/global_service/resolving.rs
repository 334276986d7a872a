//! Host names of load balancers, resolved for records that must have addresses.
//!
//! # Guarantees
//! Looking never waits. A name that stops resolving keeps the addresses that it had.
//! # Assumptions
//! The system's resolver: what it says is what clients of this network would get.
//! # Caveats
//! Addresses are looked up again every [`RENEWAL`], whatever their TTL.

use crate::status::Written;
use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;
use steering::federation_names::Resolved;
use tokio::sync::Semaphore;
use tokio::time::{Instant, timeout};

/// Half of what clouds give their balancers' names as a TTL.
const RENEWAL: Duration = Duration::from_secs(30);
/// Between two looks while a first answer is awaited.
const AWAITED: Duration = Duration::from_millis(200);
/// A resolver that takes longer has failed.
const DEADLINE: Duration = Duration::from_secs(5);
/// Names that are asked for at once.
const ASKED_MAX: usize = 16;
/// Names that are remembered; beyond, those that nobody looked at for longest are forgotten.
const NAMES_MAX: usize = 10_000;

/// See the module.
pub(super) struct Resolver {
    known: Arc<Mutex<BTreeMap<String, Known>>>,
    turns: Arc<Semaphore>,
}

struct Known {
    /// The last answer that had some.
    addresses: BTreeSet<IpAddr>,
    answered: Answered,
    asked_at: Instant,
    asking: bool,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Answered {
    NotYet,
    Well,
    Badly,
}

/// What is known of some names.
#[derive(Default)]
pub(super) struct Look {
    pub(super) resolved: Resolved,
    /// Whether one was never answered.
    pub(super) pending: bool,
    /// Those that have no address.
    pub(super) failed: Vec<String>,
    /// When to look again.
    next: Option<Instant>,
}

impl Default for Resolver {
    fn default() -> Self {
        Self {
            known: Arc::default(),
            turns: Arc::new(Semaphore::new(ASKED_MAX)),
        }
    }
}

impl Resolver {
    /// What is known of these; those that are old are asked for meanwhile.
    pub(super) fn look(&self, names: &BTreeSet<String>) -> Look {
        let mut look = Look::default();
        let now = Instant::now();
        let mut known = lock(&self.known);
        for name in names {
            let it = known.entry(name.clone()).or_insert(Known {
                addresses: BTreeSet::new(),
                answered: Answered::NotYet,
                asked_at: now,
                asking: false,
            });
            let due = it.answered == Answered::NotYet || now >= it.asked_at + RENEWAL;
            if due && !it.asking {
                (it.asking, it.asked_at) = (true, now);
                self.ask(name.clone());
            }
            match it.answered {
                Answered::NotYet => look.pending = true,
                _ if it.addresses.is_empty() => look.failed.push(name.clone()),
                _ => drop(look.resolved.insert(name.clone(), it.addresses.clone())),
            }
            let next = match it.asking {
                true => now + AWAITED,
                false => it.asked_at + RENEWAL,
            };
            look.next = Some(look.next.map_or(next, |before| before.min(next)));
        }
        while known.len() > NAMES_MAX {
            let oldest = known.iter().min_by_key(|(_, it)| it.asked_at);
            let Some(oldest) = oldest.map(|(name, _)| name.clone()) else {
                break;
            };
            known.remove(&oldest);
        }
        look
    }

    fn ask(&self, name: String) {
        let (known, turns) = (Arc::clone(&self.known), Arc::clone(&self.turns));
        tokio::spawn(async move {
            let _turn = turns.acquire().await;
            let asked = timeout(DEADLINE, tokio::net::lookup_host((name.as_str(), 0)));
            let found: BTreeSet<IpAddr> = match asked.await {
                Ok(Ok(found)) => found.map(|address| address.ip()).collect(),
                Ok(Err(_)) | Err(_) => BTreeSet::new(),
            };
            if let Some(it) = lock(&known).get_mut(&name) {
                it.asking = false;
                if found.is_empty() {
                    it.answered = Answered::Badly;
                } else {
                    (it.addresses, it.answered) = (found, Answered::Well);
                }
            }
        });
    }
}

impl Look {
    /// Looks again when addresses may have changed, or sooner.
    pub(super) fn again(&self, written: Written) -> Written {
        match (written, self.next) {
            (Written::Later(at), Some(next)) => Written::Later(at.min(next)),
            (Written::Current, Some(next)) => Written::Later(next),
            (written, None) => written,
        }
    }
}

fn lock(known: &Mutex<BTreeMap<String, Known>>) -> MutexGuard<'_, BTreeMap<String, Known>> {
    known.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_name_is_pending_until_it_was_asked_for_and_then_has_addresses_or_none() {
        let resolver = Resolver::default();
        let names = BTreeSet::from(["localhost".to_owned(), "no.such.invalid".to_owned()]);
        let first = resolver.look(&names);
        assert!(first.pending && first.resolved.is_empty());
        assert!(matches!(first.again(Written::Current), Written::Later(_)));
        let deadline = Instant::now() + 2 * DEADLINE;
        let last = loop {
            let look = resolver.look(&names);
            if !look.pending || Instant::now() > deadline {
                break look;
            }
            tokio::task::yield_now().await;
        };
        assert!(!last.pending);
        assert!(last.resolved["localhost"].iter().all(IpAddr::is_loopback));
        assert_eq!(last.failed, ["no.such.invalid"]);
    }
}
