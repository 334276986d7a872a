//! Addresses of hostnames, for names that cannot be aliases: what is asked when, and what is kept.
//!
//! A CNAME stands alone (RFC 1034 § 3.6.2, RFC 2181 § 10.1). At a zone's origin, and beside other
//! records, an endpoint that is a hostname therefore answers with the addresses that a resolver gave
//! for it.
//!
//! | the resolver says | what is kept |
//! |---|---|
//! | addresses | they are, and asked for again when their TTL is over |
//! | that there are none | none |
//! | nothing for half a minute, or that it failed | what was good last, for three days, as stale (RFC 8767 § 5) |

use crate::{engine::Engine, event::Effect, service::Service};
use model::{ObjectKey, ObserverName, Target};
use serde::{Deserialize, Serialize};
use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;

/// Hostnames that are asked for: each is a query or two in its TTL.
pub const HOSTNAMES_MAX: usize = 4_096;
/// Addresses of one family that are kept of a hostname.
const ADDRESSES_MAX: usize = 16;
/// No hostname is asked for more often, whatever its TTL.
const TTL_SECS_MIN: u32 = 5;
/// A change is heard within this time, whatever the TTL.
const TTL_SECS_MAX: u32 = 300;
/// The TTL of what is stale (RFC 8767 § 4).
const TTL_SECS_STALE: u32 = 30;
/// How long stale addresses are given (RFC 8767 § 5: one to three days).
const STALE_MILLIS_MAX: u64 = 3 * 24 * 3_600 * 1_000;
/// After a failure it is asked again, later each time.
const RETRY_MILLIS_MIN: u64 = 5_000;
const RETRY_MILLIS_MAX: u64 = 60_000;
/// When no word comes at all, it is asked again.
const PATIENCE_MILLIS: u64 = 30_000;
/// How long a new service waits for the first words on its hostnames.
const FIRST_MILLIS_MAX: u64 = 5_000;

/// What a resolver said of a hostname.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Resolved {
    /// The hostname.
    pub hostname: String,
    /// Its IPv4 addresses, or why nobody knows.
    pub v4: Result<Found, String>,
    /// Its IPv6 addresses, or why nobody knows.
    pub v6: Result<Found, String>,
}

/// Addresses of one family.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Found {
    /// The addresses; none when there are none.
    pub addresses: Vec<IpAddr>,
    /// For how long that holds.
    pub ttl_secs: u32,
}

/// A hostname that an observer cannot resolve.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Unresolved {
    /// The hostname.
    pub hostname: String,
    /// Who asked.
    pub observer: ObserverName,
    /// What came of it, in words.
    pub why: String,
}

/// All hostnames that are asked for.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Resolutions {
    names: BTreeMap<String, Resolution>,
}

#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
struct Resolution {
    v4: Family,
    v6: Family,
    /// When it is asked for next.
    ask_millis: u64,
    /// It was asked for, and no word came yet.
    #[serde(default)]
    is_open: bool,
    /// Failures since the last success.
    failures: u32,
}

#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
struct Family {
    addresses: Vec<IpAddr>,
    ttl_secs: u32,
    /// Until when they are known to be right; 0 when nobody ever said.
    good_millis: u64,
    /// What came of the last question, when it failed.
    failure: Option<String>,
}

impl Resolutions {
    /// Asks for these from now on, and for no others.
    pub fn want(&mut self, hostnames: &BTreeSet<String>) {
        self.names.retain(|name, _| hostnames.contains(name));
        for name in hostnames.iter().take(HOSTNAMES_MAX) {
            if self.names.len() < HOSTNAMES_MAX && !self.names.contains_key(name) {
                self.names.insert(name.clone(), Resolution::default());
            }
        }
    }

    /// As a checkpoint had them: what was known is, and is asked for at once.
    pub(crate) fn at_start(mut self) -> Self {
        for it in self.names.values_mut() {
            (it.ask_millis, it.is_open) = (0, false);
        }
        self
    }

    /// Counts it as a failure where no word came at all, and gives the names of which that changes something.
    fn give_up(&mut self, now: u64) -> Vec<String> {
        let mut changed = Vec::new();
        let open = self.names.iter_mut().filter(|(_, it)| it.is_open);
        for (name, it) in open.filter(|(_, it)| it.ask_millis <= now) {
            let before = it.told();
            let why = || Err(format!("no word within {} s", PATIENCE_MILLIS / 1_000));
            it.v4.take(why(), now);
            it.v6.take(why(), now);
            if before != it.told() {
                changed.push(name.clone());
            }
        }
        changed
    }

    /// Those that are to be asked for now.
    pub fn due(&mut self, now: u64) -> Vec<String> {
        let due = self.names.iter_mut().filter(|(_, it)| it.ask_millis <= now);
        let due = due.map(|(name, it)| {
            it.ask_millis = now.saturating_add(PATIENCE_MILLIS);
            it.is_open = true;
            name.clone()
        });
        due.collect()
    }

    /// When the next is due.
    pub fn next_millis(&self) -> Option<u64> {
        self.names.values().map(|it| it.ask_millis).min()
    }

    /// Takes what a resolver said; whether something is other than before.
    pub fn take(&mut self, resolved: Resolved, now: u64) -> bool {
        let Some(known) = self.names.get_mut(&resolved.hostname) else {
            return false;
        };
        known.is_open = false;
        let before = known.told();
        let failed = resolved.v4.is_err() || resolved.v6.is_err();
        known.failures = if failed {
            known.failures.saturating_add(1)
        } else {
            0
        };
        let good = [&resolved.v4, &resolved.v6].map(Result::is_ok);
        known.v4.take(resolved.v4, now);
        known.v6.take(resolved.v6, now);
        let ttls = [known.v4.ttl_secs, known.v6.ttl_secs];
        let good_ttls = ttls
            .iter()
            .zip(good)
            .filter_map(|(ttl, good)| good.then_some(*ttl));
        let good_for_millis = good_ttls
            .min()
            .map_or(u64::MAX, |ttl| u64::from(ttl) * 1_000);
        let ttl_secs = known.v4.ttl_secs.min(known.v6.ttl_secs);
        let wait = if failed {
            let doubled = RETRY_MILLIS_MIN << (known.failures - 1).min(8);
            // What one family answers holds for as long as it said, whatever the other does.
            doubled.min(RETRY_MILLIS_MAX).min(good_for_millis)
        } else {
            u64::from(ttl_secs) * 1_000
        };
        known.ask_millis = now.saturating_add(wait);
        before != known.told()
    }

    /// Whether nobody has said a word yet.
    pub fn is_awaited(&self, hostname: &str) -> bool {
        self.names
            .get(hostname)
            .is_some_and(|it| !it.v4.is_heard() && !it.v6.is_heard())
    }

    /// Its addresses, of both families.
    pub fn addresses(&self, hostname: &str) -> Vec<IpAddr> {
        let known = self.names.get(hostname).into_iter();
        let families = known.flat_map(|it| [&it.v4, &it.v6]);
        families
            .flat_map(|it| it.addresses.iter().copied())
            .collect()
    }

    /// Why it has none.
    pub fn problem(&self, hostname: &str) -> Option<String> {
        let Some(known) = self.names.get(hostname) else {
            return Some(format!(
                "more than {HOSTNAMES_MAX} hostnames would have to be resolved"
            ));
        };
        if !known.v4.addresses.is_empty() || !known.v6.addresses.is_empty() {
            return None;
        }
        let mut failures = [&known.v4, &known.v6].into_iter();
        let failure = failures.find_map(|it| it.failure.clone());
        let none = || "it has no addresses".to_owned();
        let heard = known.v4.is_heard() || known.v6.is_heard();
        failure.or_else(|| heard.then(none))
    }
}

/// What answers and reports are made of, of one family.
type Told = (Vec<IpAddr>, u32, bool, Option<String>);

impl Resolution {
    fn told(&self) -> [Told; 2] {
        [self.v4.told(), self.v6.told()]
    }
}

impl Family {
    fn take(&mut self, said: Result<Found, String>, now: u64) {
        match said {
            Ok(found) => {
                self.addresses = found.addresses;
                // In one order, so that servers that rotate change nothing.
                self.addresses.sort_unstable();
                self.addresses.dedup();
                self.addresses.truncate(ADDRESSES_MAX);
                self.ttl_secs = found.ttl_secs.clamp(TTL_SECS_MIN, TTL_SECS_MAX);
                self.good_millis = now.saturating_add(u64::from(self.ttl_secs) * 1_000);
                self.failure = None;
            }
            Err(why) => {
                if now >= self.good_millis.saturating_add(STALE_MILLIS_MAX) {
                    self.addresses.clear();
                }
                self.failure = Some(why);
            }
        }
    }

    fn is_heard(&self) -> bool {
        self.good_millis > 0 || self.failure.is_some()
    }

    fn is_stale(&self) -> bool {
        self.failure.is_some() && !self.addresses.is_empty()
    }

    fn told(&self) -> Told {
        let failure = self.failure.clone();
        (
            self.addresses.clone(),
            self.ttl_secs,
            self.is_heard(),
            failure,
        )
    }
}

/// How an endpoint that is a hostname answers.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Hostnames<'a> {
    /// As an alias.
    Aliases,
    /// With its addresses.
    Flat(&'a Resolutions),
}

impl Hostnames<'_> {
    pub(crate) fn are_aliases(self) -> bool {
        matches!(self, Self::Aliases)
    }

    /// Whether an endpoint can answer at all.
    pub(crate) fn answers(self, target: &Target) -> bool {
        self.addresses(target).is_none_or(|ips| !ips.is_empty())
    }

    /// Its addresses; nothing for an alias.
    pub(crate) fn addresses(self, target: &Target) -> Option<Vec<IpAddr>> {
        match (target, self) {
            (Target::Ip(ip), _) => Some(vec![*ip]),
            (Target::Hostname(_), Self::Aliases) => None,
            (Target::Hostname(name), Self::Flat(resolutions)) => Some(resolutions.addresses(name)),
        }
    }

    /// The longest TTL that these targets allow, and whether what some of them answer is stale.
    pub(crate) fn bounds<'t>(self, targets: impl Iterator<Item = &'t Target>) -> (u32, bool) {
        let Self::Flat(resolutions) = self else {
            return (u32::MAX, false);
        };
        let names = targets.filter_map(|target| match target {
            Target::Hostname(name) => resolutions.names.get(name),
            Target::Ip(_) => None,
        });
        let families = names.flat_map(|it| [&it.v4, &it.v6]);
        let answering = families.filter(|it| !it.addresses.is_empty());
        answering.fold((u32::MAX, false), |(ttl_secs, stale), family| {
            let own = match family.is_stale() {
                true => TTL_SECS_STALE,
                false => family.ttl_secs,
            };
            (ttl_secs.min(own), stale || family.is_stale())
        })
    }
}

impl Service {
    /// Its endpoints that are hostnames.
    pub(crate) fn hostnames(&self) -> impl Iterator<Item = &str> {
        self.endpoints
            .keys()
            .filter_map(|(_, target)| match target {
                Target::Hostname(name) => Some(name.as_str()),
                Target::Ip(_) => None,
            })
    }

    /// Whether some host of it needs addresses where an endpoint is a hostname.
    pub(crate) fn flattens(&self) -> bool {
        self.flat && self.hostnames().next().is_some()
    }
}

impl Engine {
    /// Takes what a resolver said.
    pub(crate) fn resolved(&mut self, resolved: Resolved, now: u64) {
        let hostname = resolved.hostname.clone();
        if self.resolutions.take(resolved, now) {
            self.mark_resolving(&BTreeSet::from([hostname]));
        }
    }

    /// Has services looked at again that answer with the addresses of one of these.
    fn mark_resolving(&mut self, hostnames: &BTreeSet<String>) {
        let uses = |service: &Service| service.hostnames().any(|name| hostnames.contains(name));
        let users = self.services.iter().filter(|(_, it)| it.flat && uses(it));
        let keys: Vec<ObjectKey> = users.map(|(key, _)| key.clone()).collect();
        self.marks.services.extend(keys);
        self.marks.news = true;
    }

    /// Settles which hostnames have to be known, and asks for those that are due.
    pub(crate) fn resolve(&mut self, now: u64, effects: &mut Vec<Effect>) {
        if self.marks.hosts {
            let flat = self.publisher.flat_services();
            for (key, service) in &mut self.services {
                let is = flat.contains(key);
                if service.flat != is {
                    service.flat = is;
                    service.names_awaited_millis = None;
                    self.marks.services.insert(key.clone());
                }
            }
        }
        if !self.options.part.answers() {
            return;
        }
        if self.marks.hosts || !self.marks.places.is_empty() {
            let flat = self.services.values().filter(|it| it.flat);
            let names = flat.flat_map(|it| it.hostnames().map(str::to_owned));
            self.resolutions.want(&names.collect());
        }
        let given_up = self.resolutions.give_up(now);
        if !given_up.is_empty() {
            self.mark_resolving(&given_up.into_iter().collect());
        }
        let due = self.resolutions.due(now);
        if !due.is_empty() {
            effects.push(Effect::Resolve(due));
        }
        for key in &self.publisher.flat_services() {
            let Some(service) = self.services.get_mut(key) else {
                continue;
            };
            let awaited = service
                .hostnames()
                .any(|it| self.resolutions.is_awaited(it));
            let born = service.endpoints.values().map(|it| it.born_millis);
            let until = born.max().filter(|_| awaited);
            let until = until.map(|at| at.saturating_add(FIRST_MILLIS_MAX));
            // Who no longer waits for names is held back by none.
            service.names_awaited_millis = until.filter(|at| now < *at);
        }
    }

    /// The hostnames that this observer cannot resolve, and why.
    pub(crate) fn unresolved(&self) -> BTreeMap<String, String> {
        let names = self.resolutions.names.keys();
        let problem = |name: &String| Some((name.clone(), self.resolutions.problem(name)?));
        names.filter_map(problem).collect()
    }
}

impl crate::world::World<'_> {
    /// What a service's hostnames are answered as where no alias can be.
    pub(crate) fn resolved_in_words(&self, service: &Service) -> String {
        let word = |name: &str| match self.resolutions.problem(name) {
            Some(why) => format!("{name} does not resolve ({why})"),
            None => {
                let ips = self.resolutions.addresses(name);
                let ips: Vec<_> = ips.iter().map(ToString::to_string).collect();
                format!("{name} is {}", ips.join(", "))
            }
        };
        let words: Vec<_> = service.hostnames().map(word).collect();
        format!("no alias can be here: {}", words.join("; "))
    }

    /// Who cannot resolve which of a service's hostnames; nothing when none has to be.
    pub(crate) fn unresolved(&self, service: &Service) -> Option<Vec<Unresolved>> {
        if !service.flattens() {
            return None;
        }
        let mut found = Vec::new();
        for hostname in service.hostnames() {
            let mut add = |observer: &ObserverName, why: String| {
                found.push(Unresolved {
                    hostname: hostname.to_owned(),
                    observer: observer.clone(),
                    why,
                });
            };
            if self.part.answers()
                && let Some(why) = self.resolutions.problem(hostname)
            {
                add(&self.own.name, why);
            }
            for (observer, report) in self.heard_reports() {
                if let Some(why) = report.unresolved.get(hostname) {
                    add(observer, why.clone());
                }
            }
        }
        Some(found)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const NAME: &str = "lb.example.net";

    fn said(v4: Result<(&[&str], u32), &str>) -> Resolved {
        let found = |(addresses, ttl_secs): (&[&str], u32)| Found {
            addresses: addresses
                .iter()
                .map(|it| it.parse().expect("one"))
                .collect(),
            ttl_secs,
        };
        Resolved {
            hostname: NAME.to_owned(),
            v4: v4.map(found).map_err(str::to_owned),
            v6: match v4 {
                Ok((_, ttl_secs)) => Ok(found((&[], ttl_secs))),
                Err(why) => Err(why.to_owned()),
            },
        }
    }

    fn asked() -> Resolutions {
        let mut resolutions = Resolutions::default();
        resolutions.want(&BTreeSet::from([NAME.to_owned()]));
        assert_eq!(resolutions.due(0), [NAME]);
        resolutions
    }

    fn told(resolutions: &Resolutions) -> (Vec<String>, u32, bool) {
        let target = Target::Hostname(NAME.to_owned());
        let hostnames = Hostnames::Flat(resolutions);
        let addresses = hostnames.addresses(&target).expect("no alias");
        let (ttl_secs, stale) = hostnames.bounds([&target].into_iter());
        (
            addresses.iter().map(ToString::to_string).collect(),
            ttl_secs,
            stale,
        )
    }

    #[test]
    fn it_is_asked_again_when_its_ttl_is_over_within_bounds() {
        for (ttl_secs, expected) in [(0, 5), (60, 60), (86_400, 300)] {
            let mut resolutions = asked();
            assert!(resolutions.take(said(Ok((&["192.0.2.2", "192.0.2.1"], ttl_secs))), 0));
            let addresses = vec!["192.0.2.1".to_owned(), "192.0.2.2".to_owned()];
            assert_eq!(told(&resolutions), (addresses, expected, false));
            assert_eq!(resolutions.next_millis(), Some(u64::from(expected) * 1_000));
            assert!(resolutions.due(u64::from(expected) * 1_000 - 1).is_empty());
            assert_eq!(resolutions.due(u64::from(expected) * 1_000), [NAME]);
        }
    }

    #[test]
    fn an_order_that_rotates_is_no_change() {
        let mut resolutions = asked();
        assert!(resolutions.take(said(Ok((&["192.0.2.1", "192.0.2.2"], 60))), 0));
        assert!(!resolutions.take(said(Ok((&["192.0.2.2", "192.0.2.1"], 60))), 60_000));
        assert!(resolutions.take(said(Ok((&["192.0.2.2"], 60))), 120_000));
    }

    #[test]
    fn what_was_good_last_is_given_as_stale_while_the_resolver_fails_and_for_three_days() {
        let mut resolutions = asked();
        resolutions.take(said(Ok((&["192.0.2.1"], 60))), 0);
        assert!(resolutions.take(said(Err("SERVFAIL")), 60_000));
        assert_eq!(told(&resolutions), (vec!["192.0.2.1".to_owned()], 30, true));
        assert_eq!(resolutions.problem(NAME), None);
        let late = 60_000 + STALE_MILLIS_MAX;
        assert!(!resolutions.take(said(Err("SERVFAIL")), late - 1));
        assert!(resolutions.take(said(Err("SERVFAIL")), late));
        assert_eq!(told(&resolutions).0, [""; 0]);
        assert_eq!(resolutions.problem(NAME).as_deref(), Some("SERVFAIL"));
        resolutions.take(said(Ok((&["192.0.2.7"], 60))), late + 1);
        assert_eq!(
            told(&resolutions),
            (vec!["192.0.2.7".to_owned()], 60, false)
        );
    }

    #[test]
    fn that_there_are_no_addresses_is_an_answer_and_nothing_stale_is_given() {
        let mut resolutions = asked();
        resolutions.take(said(Ok((&["192.0.2.1"], 60))), 0);
        resolutions.take(said(Ok((&[], 60))), 60_000);
        assert_eq!(told(&resolutions), (vec![], u32::MAX, false));
        let problem = resolutions.problem(NAME);
        assert_eq!(problem.as_deref(), Some("it has no addresses"));
    }

    #[test]
    fn failures_wait_longer_each_time_and_silence_is_asked_again() {
        let mut resolutions = asked();
        assert_eq!(resolutions.next_millis(), Some(PATIENCE_MILLIS));
        let mut now = 0;
        for wait in [5, 10, 20, 40, 60, 60] {
            resolutions.take(said(Err("no answer")), now);
            assert_eq!(resolutions.next_millis(), Some(now + wait * 1_000));
            now += wait * 1_000;
        }
    }

    #[test]
    fn what_no_word_came_on_is_given_as_stale_until_one_comes() {
        let mut resolutions = asked();
        resolutions.take(said(Ok((&["192.0.2.1"], 60))), 0);
        assert_eq!(
            resolutions.give_up(60_000),
            [""; 0],
            "it was not asked for yet"
        );
        assert_eq!(resolutions.due(60_000), [NAME]);
        assert_eq!(resolutions.give_up(60_000 + PATIENCE_MILLIS - 1), [""; 0]);
        assert_eq!(
            told(&resolutions),
            (vec!["192.0.2.1".to_owned()], 60, false)
        );
        let late = 60_000 + PATIENCE_MILLIS;
        assert_eq!(resolutions.give_up(late), [NAME]);
        assert_eq!(told(&resolutions), (vec!["192.0.2.1".to_owned()], 30, true));
        assert_eq!(resolutions.due(late), [NAME], "it is asked for again");
        assert_eq!(
            resolutions.give_up(late + PATIENCE_MILLIS),
            [""; 0],
            "nothing new"
        );
        assert!(resolutions.take(said(Ok((&["192.0.2.1"], 60))), late + PATIENCE_MILLIS));
        assert_eq!(
            told(&resolutions),
            (vec!["192.0.2.1".to_owned()], 60, false)
        );
    }

    #[test]
    fn names_and_addresses_have_bounds_and_what_nobody_wants_is_forgotten() {
        let many = (0..HOSTNAMES_MAX + 1).map(|at| format!("{at:05}.example.net"));
        let mut resolutions = Resolutions::default();
        resolutions.want(&many.collect());
        assert_eq!(resolutions.due(0).len(), HOSTNAMES_MAX);
        let last = format!("{HOSTNAMES_MAX:05}.example.net");
        assert!(resolutions.problem(&last).expect("one").contains("4096"));
        let mut resolutions = asked();
        let addresses: Vec<String> = (0..40).map(|at| format!("192.0.2.{at}")).collect();
        let addresses: Vec<&str> = addresses.iter().map(String::as_str).collect();
        resolutions.take(said(Ok((&addresses, 60))), 0);
        assert_eq!(told(&resolutions).0.len(), ADDRESSES_MAX);
        resolutions.want(&BTreeSet::new());
        assert!(!resolutions.take(said(Ok((&["192.0.2.1"], 60))), 0));
        assert_eq!(resolutions.next_millis(), None);
    }
}
