//! The engine: every cause of a changed answer in, everything to be done out.
//!
//! ```text
//! apply(event)  → inputs change, services are marked
//! settle(now)   → judge → decide branches → place → evaluate, for the marked services
//!               → publish, probe, report, statuses, wake
//! ```
//!
//! # Guarantees
//! Equal events at equal times give equal snapshots. A service is evaluated only when something that
//! it depends on changed. An answer that was published stays published until a better one is there.
//!
//! # Assumptions
//! `now` does not go backwards. [`Event::Tick`] comes at the time that [`Effect::WakeAt`] named.
//!
//! # Caveats
//! Nothing is published before [`Event::Synced`], unless the engine was restored.

use crate::{
    challenges::Challenges,
    checkpoint::Seen,
    cluster_check::Checks,
    doubt::Tallies,
    event::{ClusterState, Effect, Event, HostContact},
    geography::Geography,
    host::Host,
    overdue::Looked,
    peers::Peers,
    publish::Publisher,
    quorum::{Abstaining, Control},
    report::{Observer, ProbeReportValue},
    resolve::Resolutions,
    service::{Changed, Service},
    spec::{OverrideSpec, PublishedRecords, ServiceSpec, ZoneSpec},
    status::ServiceStatus,
    world::{Heard, World},
    zone_changes::Which,
};
use geo::RegionLocations;
use model::{ClusterName, ObjectKey, ObserverName, Probe, ProbeResult};
use std::collections::{BTreeMap, BTreeSet};

/// How long a name, and the first snapshot, is held back for a first round of probes, at most.
pub const COLD_START_MILLIS_MAX: u64 = 10_000;

/// What the engine is told once.
#[derive(Clone, Debug)]
pub struct EngineOptions {
    /// This observer, or this listener.
    pub observer: Observer,
    /// Whether it is one of those that are counted.
    pub part: Part,
    /// Where known regions are.
    pub regions: RegionLocations,
    /// Milliseconds without the host after which answers are too old to be given.
    pub max_stale_millis: u64,
}

/// What an engine does besides combining.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Part {
    /// It probes, is counted and answers: a DNS replica.
    Observes,
    /// It probes and is counted, and answers nobody.
    Witnesses,
    /// It only combines what observers report, as whoever writes statuses does.
    Listens,
}

impl Part {
    /// Whether it probes and is counted.
    pub(crate) fn observes(self) -> bool {
        self != Self::Listens
    }

    /// Whether anybody is answered from what it publishes.
    pub(crate) fn answers(self) -> bool {
        self == Self::Observes
    }
}

impl EngineOptions {
    /// 14 days, as a secondary's usual expiry.
    pub const MAX_STALE_MILLIS: u64 = 14 * 24 * 3_600 * 1_000;

    /// For an engine that only combines: it knows no distances and answers nobody.
    pub fn listener(name: ObserverName) -> Self {
        Self {
            observer: Observer {
                name,
                domain: String::new(),
                contact: None,
            },
            part: Part::Listens,
            regions: RegionLocations::default(),
            max_stale_millis: Self::MAX_STALE_MILLIS,
        }
    }
}

/// The steering engine; see the module's head.
#[derive(Debug)]
pub struct Engine {
    pub(crate) options: EngineOptions,
    pub(crate) zones: BTreeMap<ObjectKey, ZoneSpec>,
    pub(crate) challenges: Challenges,
    pub(crate) services: BTreeMap<ObjectKey, Service>,
    /// Those whose objects went and that are answered for a while.
    pub(crate) leaving: BTreeSet<ObjectKey>,
    pub(crate) clusters: BTreeMap<ClusterName, ClusterState>,
    pub(crate) checks: Checks,
    pub(crate) overrides: BTreeMap<ObjectKey, OverrideSpec>,
    pub(crate) records: BTreeMap<ObjectKey, PublishedRecords>,
    pub(crate) others: BTreeMap<ObserverName, Observer>,
    pub(crate) reports: BTreeMap<ObserverName, Heard>,
    pub(crate) control: Control,
    pub(crate) abstaining: Abstaining,
    pub(crate) tallies: Tallies,
    pub(crate) looked: Looked,
    /// Addresses of hostnames.
    pub(crate) resolutions: Resolutions,
    pub(crate) host: Host,
    pub(crate) geography: Geography,
    pub(crate) publisher: Publisher,
    /// Since when all lists are there; nothing is published before.
    pub(crate) synced_millis: Option<u64>,
    /// After a restore: what the watches have named so far.
    pub(crate) seen: Option<Seen>,
    pub(crate) marks: Marks,
    pub(crate) sent: Sent,
    /// When something changes by itself.
    pub(crate) deadline: Option<u64>,
}

/// What has to be computed anew.
#[derive(Debug, Default)]
pub(crate) struct Marks {
    pub(crate) services: BTreeSet<ObjectKey>,
    /// Those among them whose places or policies changed.
    pub(crate) places: BTreeSet<ObjectKey>,
    pub(crate) hosts: bool,
    pub(crate) probes: bool,
    /// What the report may have to tell.
    pub(crate) news: bool,
}

/// What was told last, so that it is told again only when it differs.
#[derive(Debug, Default)]
pub(crate) struct Sent {
    pub(crate) probes: Option<Vec<Probe>>,
    pub(crate) report: Option<ProbeReportValue>,
    pub(crate) peers: Option<Peers>,
    pub(crate) services: BTreeMap<ObjectKey, ServiceStatus>,
    pub(crate) challenges: u64,
    pub(crate) wake: Option<u64>,
    /// Since when a report is owed: it comes after the snapshot that is its news.
    pub(crate) owes_millis: Option<u64>,
}

impl Engine {
    /// An engine that knows nothing yet.
    pub fn new(options: EngineOptions) -> Self {
        Self {
            geography: Geography::new(options.regions.clone()),
            options,
            zones: BTreeMap::new(),
            challenges: Challenges::default(),
            services: BTreeMap::new(),
            leaving: BTreeSet::new(),
            clusters: BTreeMap::new(),
            checks: Checks::default(),
            overrides: BTreeMap::new(),
            records: BTreeMap::new(),
            others: BTreeMap::new(),
            reports: BTreeMap::new(),
            control: Control::default(),
            abstaining: Abstaining::No,
            tallies: Tallies::default(),
            looked: Looked::default(),
            resolutions: Resolutions::default(),
            host: Host {
                contact: HostContact::Reached,
                since_millis: 0,
            },
            publisher: Publisher::default(),
            synced_millis: None,
            seen: None,
            marks: Marks::default(),
            sent: Sent::default(),
            deadline: None,
        }
    }

    /// Takes one event; `now` is in milliseconds since 1970.
    pub fn handle(&mut self, event: Event, now: u64) -> Vec<Effect> {
        self.handle_all([event], now)
    }

    /// Takes events that belong together, such as a watch's first list: one snapshot at the end.
    pub fn handle_all(&mut self, events: impl IntoIterator<Item = Event>, now: u64) -> Vec<Effect> {
        for event in events {
            self.apply(event, now);
        }
        self.settle(now)
    }

    fn apply(&mut self, event: Event, now: u64) {
        if let Some(seen) = &mut self.seen {
            seen.note(&event);
        }
        match event {
            Event::Synced => self.sync(now),
            Event::ZoneApplied(zone) => self.apply_zone(*zone),
            Event::ZoneDeleted(key) => {
                self.marks.hosts |= self.zones.remove(&key).is_some();
            }
            Event::Challenges(challenges) => self.keep(challenges),
            Event::ServiceApplied(spec) => self.apply_service(*spec),
            Event::ServiceDeleted(key) => self.withdraw(&key, now),
            Event::Asked { service, at_millis } => self.note_asked(&service, at_millis),
            Event::Endpoints { service, endpoints } => {
                if let Some(known) = self.services.get_mut(&service) {
                    known.set_endpoints(endpoints, now);
                    self.marks.place(service);
                }
            }
            Event::ClusterApplied(state) => self.apply_cluster(*state),
            Event::ClusterDeleted(name) => {
                if self.clusters.remove(&name).is_some() {
                    self.place_networks();
                    self.marks.probes |= self.checks.forget(&name);
                    self.mark_users(&name);
                }
            }
            Event::OverrideApplied(it) => {
                self.overrides.insert(it.key.clone(), *it);
                self.mark_all();
            }
            Event::OverrideDeleted(key) => {
                self.overrides.remove(&key);
                self.mark_all();
            }
            Event::RecordsApplied(records) => self.apply_records(*records),
            Event::RecordsDeleted(key) => self.delete_records(&key),
            Event::Probed(result) => self.probed(result, now),
            Event::Resolved(resolved) => self.resolved(*resolved, now),
            Event::ControlTargets { answered, of } => {
                self.control = Control { answered, of };
                self.marks.news = true;
            }
            Event::Observers(observers) => self.register(observers),
            Event::Reported(report) => self.hear(*report, now),
            Event::Host(contact) => {
                if contact != self.host.contact {
                    self.host = Host {
                        contact,
                        since_millis: now,
                    };
                }
            }
            Event::Database(database) => {
                self.geography.load(database);
                self.place_all();
            }
            Event::Lines(lines) => {
                self.geography.set_lines(lines);
                self.place_all();
            }
            // A clock that was set back comes too early: whoever wakes us is told again.
            Event::Tick => self.sent.wake = None,
        }
    }

    /// Every list is there. What a restored engine knew and no list named is gone.
    fn sync(&mut self, now: u64) {
        self.synced_millis.get_or_insert(now);
        let Some(seen) = self.seen.take() else {
            return;
        };
        let gone = |key: &ObjectKey| !seen.services.contains(key);
        let services: Vec<_> = self
            .services
            .keys()
            .filter(|key| gone(key))
            .cloned()
            .collect();
        for key in &services {
            // Whether it was asked nobody knows any more.
            self.note_asked(key, now);
            self.withdraw(key, now);
        }
        self.zones.retain(|key, _| seen.zones.contains(key));
        self.overrides.retain(|key, _| seen.overrides.contains(key));
        self.records.retain(|key, _| seen.records.contains(key));
        self.clusters.retain(|name, _| seen.clusters.contains(name));
        self.place_networks();
        self.checks.keep(|name| seen.clusters.contains(name));
        self.marks.hosts = true;
        self.place_all();
    }

    fn apply_zone(&mut self, zone: ZoneSpec) {
        if self.zones.get(&zone.key) != Some(&zone) {
            self.zones.insert(zone.key.clone(), zone);
            self.marks.hosts = true;
        }
    }

    /// A spec that is wrong does not replace one that was right: the old answers stay, and the
    /// status says why.
    fn apply_service(&mut self, spec: ServiceSpec) {
        let (key, problems) = (spec.key.clone(), spec.problems());
        self.keep_service(&key);
        let problem = problems
            .first()
            .map(|it| format!("{}: {}", it.field, it.message));
        match (self.services.get_mut(&key), problem) {
            (Some(known), None) if known.spec == spec && known.problem.is_none() => return,
            (Some(known), None) => known.replace(spec),
            (Some(known), Some(problem)) => known.problem = Some(problem),
            (None, problem) => {
                let mut service = Service::new(spec);
                service.valid = problem.is_none();
                service.problem = problem;
                self.services.insert(key.clone(), service);
            }
        }
        self.marks.hosts = true;
        self.marks.place(key);
    }

    pub(crate) fn delete_service(&mut self, key: &ObjectKey) {
        if let Some(gone) = self.services.remove(key) {
            self.tallies.forget(&gone.tally);
            self.marks.hosts = true;
            self.marks.probes = true;
            self.marks.services.remove(key);
            self.marks.places.remove(key);
            self.sent.services.remove(key);
            self.leaving.remove(key);
        }
    }

    fn apply_cluster(&mut self, state: ClusterState) {
        let name = state.place.name.clone();
        self.marks.probes |= self.checks.set(&state);
        let before = self.clusters.insert(name.clone(), state);
        let place = |state: &ClusterState| state.place.clone();
        if before.as_ref().map(place) != self.clusters.get(&name).map(place) {
            self.place_networks();
        }
        match before {
            // A policy may have named it before it was there.
            None => self.place_all(),
            Some(before) if self.clusters[&name] != before => self.mark_users(&name),
            Some(_) => {}
        }
    }

    /// Counts a probe's result; a result for an endpoint that is gone counts for nothing.
    fn probed(&mut self, result: ProbeResult, now: u64) {
        if let Some(news) = self.checks.observe(&result, now) {
            self.marks.news |= news;
            return;
        }
        let Some(service) = self.services.get_mut(&result.endpoint.service) else {
            return;
        };
        if let Some(news) = service.requirements.observe(&result, now) {
            self.marks.news |= news;
            if news {
                self.marks.services.insert(result.endpoint.service);
            }
            return;
        }
        let key = (result.endpoint.cluster, result.endpoint.target);
        if let Some(member) = service.endpoints.get_mut(&key) {
            let before = member.track.heard_at(now);
            let failure = result.failure.as_ref();
            member
                .track
                .observe(failure, &service.spec.health_check, now);
            self.marks.news |= member.track.told() != before.told();
            if member.track != before {
                self.marks.services.insert(result.endpoint.service);
            }
        }
    }

    fn register(&mut self, observers: Vec<Observer>) {
        let own = &self.options.observer.name;
        let others = observers.into_iter().filter(|it| it.name != *own);
        self.others = others.map(|it| (it.name.clone(), it)).collect();
        self.mark_all();
    }

    /// Clients in a member's networks are where it is.
    fn place_networks(&mut self) {
        if self.geography.set_networks(&self.clusters) {
            self.place_all();
        }
    }

    fn place_all(&mut self) {
        let keys: Vec<_> = self.services.keys().cloned().collect();
        keys.into_iter().for_each(|key| self.marks.place(key));
    }

    pub(crate) fn mark_all(&mut self) {
        self.marks.services.extend(self.services.keys().cloned());
    }

    fn mark_users(&mut self, cluster: &ClusterName) {
        let uses = |service: &Service| {
            let mut members = service.endpoints.values();
            members.any(|member| member.status.cluster == *cluster)
        };
        let users = self.services.iter().filter(|(_, service)| uses(service));
        let keys: Vec<_> = users.map(|(key, _)| key.clone()).collect();
        keys.into_iter().for_each(|key| self.marks.place(key));
    }

    /// Brings everything in line with the inputs.
    pub(crate) fn settle(&mut self, now: u64) -> Vec<Effect> {
        self.end_withdrawals(now);
        self.look(now);
        if self.deadline.is_some_and(|at| at <= now) {
            self.mark_all();
        }
        if self.marks.any() {
            self.doubt(now);
        }
        let mut effects = Vec::new();
        if self.marks.hosts {
            let inputs = (&self.zones, &self.services, &self.records, &self.challenges);
            self.publisher.settle_hosts(inputs);
        }
        self.resolve(now, &mut effects);
        let (changed, wake) = self.evaluate(now);
        self.publish(&changed, now, &mut effects);
        self.tell_probes(&mut effects);
        let owes = self.owes_report(now, &effects);
        if !owes {
            self.tell_report(now, &mut effects);
        }
        self.tell_peers(&mut effects);
        // After a restart the statuses of all wait too.
        if !owes || self.seen.is_none() {
            self.tell_statuses(&changed, &mut effects);
        }
        effects.extend(self.challenges_served(now));
        self.marks = Marks {
            news: self.sent.owes_millis.is_some(),
            ..Marks::default()
        };
        self.deadline = wake;
        self.tell_wake(now, &mut effects);
        effects
    }

    /// Judges and evaluates the marked services; which were, and when to look again.
    fn evaluate(&mut self, now: u64) -> (BTreeSet<ObjectKey>, Option<u64>) {
        let world = World {
            now,
            clusters: &self.clusters,
            overrides: &self.overrides,
            own: &self.options.observer,
            part: self.options.part,
            abstaining: self.abstaining,
            blind: self.looked.blind,
            others: &self.others,
            reports: &self.reports,
            resolutions: &self.resolutions,
        };
        let motion = world.motion();
        let held = self.deadline.filter(|at| *at > now);
        let mut wake = [held, world.deadline()].into_iter().flatten().min();
        for key in &self.marks.services {
            let Some(service) = self.services.get_mut(key) else {
                continue;
            };
            service.judge(&world);
            let branches = service.decide(&world, motion);
            let pending = service.pending_millis(now);
            wake = [wake, branches, service.deadline(now)]
                .into_iter()
                .flatten()
                .min();
            if self.marks.places.contains(key) || service.table.is_none() {
                service.place(&world, &mut self.geography);
            }
            if pending.is_none() && service.evaluate(&world, motion) == Changed::Yes {
                self.publisher.note(service, now);
            }
        }
        self.marks.probes |= !self.marks.places.is_empty();
        if self.marks.probes {
            self.geography.prune();
        }
        (std::mem::take(&mut self.marks.services), wake)
    }

    fn publish(&mut self, changed: &BTreeSet<ObjectKey>, now: u64, effects: &mut Vec<Effect>) {
        let which = if self.marks.hosts {
            Some(Which::All)
        } else if !self.marks.places.is_empty() && self.publisher.has_secondaries() {
            Some(Which::Transferred)
        } else {
            None
        };
        if let Some(which) = which {
            let (services, clusters) = (&self.services, &self.clusters);
            let changes = &mut self.publisher;
            let statuses = changes.zone_changes(&self.zones, services, clusters, which);
            effects.extend(statuses.into_iter().map(Effect::Zone));
        }
        let freshness = self.host.freshness(self.options.max_stale_millis, now);
        let idle = changed.is_empty()
            && !self.marks.hosts
            && self.publisher.has_published()
            && self.publisher.snapshot().freshness() == freshness;
        if idle || self.holds(now) {
            return;
        }
        let published = self
            .publisher
            .publish(&self.services, changed, freshness, now);
        self.marks.news |= published.is_some() || self.marks.hosts;
        effects.extend(published.map(Effect::Publish));
    }

    /// Whether the first snapshot still waits: for the lists, then for first rounds of probes.
    fn holds(&self, now: u64) -> bool {
        let Some(synced) = self.synced_millis else {
            return !self.publisher.has_published() && self.seen.is_none();
        };
        let patience = synced.saturating_add(COLD_START_MILLIS_MAX);
        let waits = || {
            self.services
                .values()
                .any(|it| it.pending_millis(now).is_some())
        };
        !self.publisher.has_published() && now < patience && waits()
    }
}

impl Marks {
    fn any(&self) -> bool {
        self.news || self.hosts || self.probes || !self.services.is_empty()
    }

    pub(crate) fn place(&mut self, service: ObjectKey) {
        self.services.insert(service.clone());
        self.places.insert(service);
        self.probes = true;
    }

    pub(crate) fn everything(&mut self, services: impl Iterator<Item = ObjectKey>) {
        services.for_each(|key| self.place(key));
        self.hosts = true;
    }
}
