//! Services whose objects went: names that were asked lately go on being answered for a while.
//!
//! A name that is taken away by mistake is taken away everywhere, and caches keep that it is not there. So it stays
//! for the service's `withdrawGrace`, follows health meanwhile, and goes at once to whoever else claims it.
//! Secondaries do not get it any more.

use crate::{engine::Engine, service::Service};
use dns::Name;
use model::ObjectKey;
use std::collections::BTreeMap;

/// A name that nobody asked for so long is missed by nobody.
const ASKED_LATELY_MILLIS: u64 = 3_600_000;

impl Engine {
    /// When a service's names were asked for last, by whoever answers from the published snapshots. Who owns the engine
    /// tells it back as [`Event::Asked`](crate::Event::Asked): nothing here depends on it otherwise.
    pub fn asked_millis(&self, service: &ObjectKey) -> Option<u64> {
        let hosts = self.services.get(service)?.spec.hosts.iter();
        let hosts = hosts.filter_map(|host| Name::parse(host).ok());
        let asked = hosts.filter_map(|host| self.publisher.snapshot().asked_secs(&host));
        Some(u64::from(asked.max()?) * 1_000)
    }

    /// Notes when a service's names were asked last.
    pub(crate) fn note_asked(&mut self, service: &ObjectKey, at_millis: u64) {
        if let Some(service) = self.services.get_mut(service) {
            service.asked_millis = service.asked_millis.max(Some(at_millis));
        }
    }

    /// A service's object went.
    pub(crate) fn withdraw(&mut self, key: &ObjectKey, now: u64) {
        let Some(service) = self.services.get_mut(key) else {
            return;
        };
        let grace_millis = service.spec.withdraw_grace_millis;
        let asked = service.asked_millis;
        let lately = asked.is_some_and(|at| now < at.saturating_add(ASKED_LATELY_MILLIS));
        let answers = self.options.part.answers() && service.outcome.is_some();
        if !lately || !answers || grace_millis == 0 {
            self.delete_service(key);
            return;
        }
        let end = now.saturating_add(grace_millis);
        service.leaves_millis.get_or_insert(end);
        self.leaving.insert(key.clone());
        self.marks.hosts = true;
    }

    /// It is there again; tells whether it was on its way out.
    pub(crate) fn keep_service(&mut self, key: &ObjectKey) {
        if let Some(service) = self.services.get_mut(key) {
            self.marks.hosts |= service.leaves_millis.take().is_some();
            self.leaving.remove(key);
        }
    }

    /// Lets go of those whose time is over.
    pub(crate) fn end_withdrawals(&mut self, now: u64) {
        let over = self.withdrawals().filter(|(_, end)| *end <= now);
        let over: Vec<_> = over.map(|(key, _)| key.clone()).collect();
        over.iter().for_each(|key| self.delete_service(key));
    }

    /// When the next one goes.
    pub(crate) fn next_withdrawal(&self) -> Option<u64> {
        self.withdrawals().map(|(_, end)| end).min()
    }

    fn withdrawals(&self) -> impl Iterator<Item = (&ObjectKey, u64)> {
        let leaving = self.leaving.iter();
        leaving.filter_map(|key| Some((key, self.services.get(key)?.leaves_millis?)))
    }
}

/// Whether a service's object is there: what only lingers is no part of what a serial stands for.
pub(crate) fn stays(services: &BTreeMap<ObjectKey, Service>, key: &ObjectKey) -> bool {
    let service = services.get(key);
    service.is_some_and(|service| service.leaves_millis.is_none())
}
