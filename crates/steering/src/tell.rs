//! What the engine tells besides answers: probes to run, its report, statuses, when to wake it.

use crate::{
    engine::{COLD_START_MILLIS_MAX, Engine, Part},
    event::Effect,
    report::HEARTBEAT_MILLIS,
    service::Service,
    status::ServiceStatus,
};
use model::ObjectKey;
use std::collections::BTreeSet;

/// With so many services the report, which tells all of them, takes longer than the snapshot; fewer are told with it.
const TOLD_AT_ONCE_MAX: usize = 1_000;
/// How much later the others are told.
const OWED_MILLIS: u64 = 1;

impl Engine {
    /// Whether the report comes after the snapshot that has just been made: clients do not wait for it, not
    /// after a restart either. It is put off once.
    pub(crate) fn owes_report(&mut self, now: u64, effects: &[Effect]) -> bool {
        let mut told = effects.iter();
        let publishes = told.any(|effect| matches!(effect, Effect::Publish(_)));
        let owed = self.sent.owes_millis.take();
        let owes = publishes
            && self.services.len() > TOLD_AT_ONCE_MAX
            && (self.sent.report.is_some() || self.seen.is_some())
            && owed.is_none_or(|since| now <= since);
        self.sent.owes_millis = owes.then(|| owed.unwrap_or(now));
        owes
    }

    pub(crate) fn tell_probes(&mut self, effects: &mut Vec<Effect>) {
        if self.options.part == Part::Listens {
            return;
        }
        if !self.marks.probes && self.sent.probes.is_some() {
            return;
        }
        let probes = self.services.values().flat_map(Service::probes);
        let probes: Vec<_> = probes.chain(self.checks.probes()).collect();
        if self.sent.probes.as_ref() != Some(&probes) {
            effects.push(Effect::Probe(probes.clone()));
            self.sent.probes = Some(probes);
        }
    }

    pub(crate) fn tell_report(&mut self, now: u64, effects: &mut Vec<Effect>) {
        if self.options.part == Part::Listens {
            return;
        }
        let sent = self.sent.report.as_ref();
        let due = sent.is_none_or(|it| now >= it.at_millis.saturating_add(HEARTBEAT_MILLIS));
        if !due && !self.marks.news {
            return;
        }
        let mut report = self.report(now);
        if let Some(sent) = sent.filter(|_| !due) {
            report.at_millis = sent.at_millis;
            if report == *sent {
                return;
            }
            report.at_millis = now;
        }
        effects.push(Effect::Report(report.clone()));
        self.sent.report = Some(report);
    }

    /// How a service stands, if it is known.
    pub(crate) fn standing(&self, service: &ObjectKey) -> Option<ServiceStatus> {
        let service = self.services.get(service)?;
        Some(self.publisher.status(service))
    }

    pub(crate) fn tell_statuses(
        &mut self,
        changed: &BTreeSet<ObjectKey>,
        effects: &mut Vec<Effect>,
    ) {
        // With none told yet, those wait that were put off after a restart.
        let concerned: Vec<_> = if self.marks.hosts || self.sent.services.is_empty() {
            self.services.values().collect()
        } else {
            changed
                .iter()
                .filter_map(|key| self.services.get(key))
                .collect()
        };
        for service in concerned {
            let (key, status) = (&service.spec.key, self.publisher.status(service));
            if self.sent.services.get(key) != Some(&status) {
                effects.push(Effect::Service(status.clone()));
                self.sent.services.insert(key.clone(), status);
            }
        }
    }

    pub(crate) fn tell_wake(&mut self, now: u64, effects: &mut Vec<Effect>) {
        let heartbeat = self
            .sent
            .report
            .as_ref()
            .map(|it| it.at_millis + HEARTBEAT_MILLIS);
        let cold = self
            .synced_millis
            .map(|at| at.saturating_add(COLD_START_MILLIS_MAX));
        let cold = cold.filter(|_| !self.publisher.has_published());
        let expiry = self.host.expiry(self.options.max_stale_millis);
        let names = self.resolutions.next_millis();
        let leaving = self.next_withdrawal();
        let look = self.next_look().filter(|_| self.options.part.observes());
        let owed = self.sent.owes_millis.map(|_| now + OWED_MILLIS);
        let wake = [self.deadline, heartbeat, cold, expiry, names, leaving, look];
        let wake = wake.into_iter().chain([owed]).flatten();
        let wake = wake.filter(|at| *at > now).min();
        if let Some(at) = wake.filter(|_| wake != self.sent.wake) {
            effects.push(Effect::WakeAt(at));
        }
        self.sent.wake = wake;
    }
}
