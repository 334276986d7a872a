//! The engine's inputs as a value: what a replica keeps on disk to answer at once when it starts,
//! host or no host.

use crate::{
    branches::NodeState,
    challenges::Challenges,
    engine::{Engine, EngineOptions},
    error::{Error, Result},
    event::{ClusterState, Effect, Event, HostContact},
    geography::StoredTable,
    health::Track,
    host::Host,
    report::{Observer, ProbeReportValue},
    resolve::Resolutions,
    service::{Member, Service},
    spec::{EndpointStatus, OverrideSpec, PublishedRecords, ServiceSpec, ZoneSpec},
    world::Heard,
};
use model::{ClusterName, ObjectKey, Verdict};
use serde::{Deserialize, Serialize};
use std::collections::{BTreeMap, BTreeSet};

/// Raised when an older program could not read what a newer one writes.
const VERSION: u32 = 1;

/// Inputs, last verdicts and compiled tables of an [`Engine`].
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Checkpoint {
    version: u32,
    /// When the host's API was last known to answer, in milliseconds since 1970.
    host_seen_millis: u64,
    zones: Vec<ZoneSpec>,
    #[serde(default)]
    challenges: Challenges,
    services: Vec<StoredService>,
    clusters: Vec<ClusterState>,
    overrides: Vec<OverrideSpec>,
    observers: Vec<Observer>,
    reports: Vec<ProbeReportValue>,
    tables: Vec<StoredTable>,
    #[serde(default)]
    records: Vec<PublishedRecords>,
    #[serde(default)]
    resolutions: Resolutions,
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
struct StoredService {
    spec: ServiceSpec,
    endpoints: Vec<StoredEndpoint>,
    nodes: BTreeMap<String, NodeState>,
    #[serde(default)]
    leaves_millis: Option<u64>,
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
struct StoredEndpoint {
    status: EndpointStatus,
    track: Track,
    probed: Verdict,
    good_millis: Option<u64>,
    #[serde(default)]
    returned_millis: Option<u64>,
    #[serde(default)]
    drained: bool,
}

impl Checkpoint {
    /// When the host's API was last known to answer, in milliseconds since 1970.
    pub fn host_seen_millis(&self) -> u64 {
        self.host_seen_millis
    }
}

/// What watches have named since a restore; the rest is gone when they are complete.
#[derive(Debug, Default)]
pub(crate) struct Seen {
    pub(crate) zones: BTreeSet<ObjectKey>,
    pub(crate) services: BTreeSet<ObjectKey>,
    pub(crate) overrides: BTreeSet<ObjectKey>,
    pub(crate) records: BTreeSet<ObjectKey>,
    pub(crate) clusters: BTreeSet<ClusterName>,
}

impl Seen {
    pub(crate) fn note(&mut self, event: &Event) {
        match event {
            Event::ZoneApplied(zone) => {
                self.zones.insert(zone.key.clone());
            }
            Event::ServiceApplied(service) => {
                self.services.insert(service.key.clone());
            }
            Event::OverrideApplied(it) => {
                self.overrides.insert(it.key.clone());
            }
            Event::RecordsApplied(it) => {
                self.records.insert(it.key.clone());
            }
            Event::ClusterApplied(state) => {
                self.clusters.insert(state.place.name.clone());
            }
            _ => {}
        }
    }
}

impl Engine {
    /// Everything that a restart needs.
    pub fn checkpoint(&self, now: u64) -> Checkpoint {
        let host_seen_millis = match self.host.contact {
            HostContact::Reached => now,
            HostContact::Lost => self.host.since_millis,
        };
        Checkpoint {
            version: VERSION,
            host_seen_millis,
            zones: self.zones.values().cloned().collect(),
            challenges: self.challenges.clone(),
            services: self
                .services
                .values()
                .filter(|it| it.valid)
                .map(stored)
                .collect(),
            clusters: self.clusters.values().cloned().collect(),
            overrides: self.overrides.values().cloned().collect(),
            observers: self.others.values().cloned().collect(),
            reports: self
                .reports
                .values()
                .map(|heard| heard.report.clone())
                .collect(),
            tables: self.geography.stored(),
            records: self.records.values().cloned().collect(),
            resolutions: self.resolutions.clone(),
        }
    }

    /// An engine that goes on where a checkpoint was taken, and its first effects: it publishes at
    /// once, marked stale until [`Event::Host`] says that the host is reached. After
    /// [`Event::Synced`] what no event has named since is gone.
    ///
    /// # Errors
    /// [`Error::CheckpointVersion`] when another program's version wrote it.
    pub fn restore(
        options: EngineOptions,
        checkpoint: Checkpoint,
        now: u64,
    ) -> Result<(Self, Vec<Effect>)> {
        if checkpoint.version != VERSION {
            let found = checkpoint.version;
            return Err(Error::CheckpointVersion {
                found,
                expected: VERSION,
            });
        }
        let mut engine = Self::new(options);
        let since_millis = checkpoint.host_seen_millis.min(now);
        engine.host = Host {
            contact: HostContact::Lost,
            since_millis,
        };
        engine.geography.restore(checkpoint.tables);
        engine.zones = checkpoint
            .zones
            .into_iter()
            .map(|it| (it.key.clone(), it))
            .collect();
        engine.challenges = checkpoint.challenges;
        engine.overrides = checkpoint
            .overrides
            .into_iter()
            .map(|it| (it.key.clone(), it))
            .collect();
        let records = checkpoint.records.into_iter();
        engine.records = records.map(|it| (it.key.clone(), it)).collect();
        engine.resolutions = checkpoint.resolutions.at_start();
        let clusters = checkpoint.clusters.into_iter();
        engine.clusters = clusters.map(|it| (it.place.name.clone(), it)).collect();
        engine.geography.set_networks(&engine.clusters);
        let observers = checkpoint.observers.into_iter();
        engine.others = observers.map(|it| (it.name.clone(), it)).collect();
        for report in checkpoint.reports {
            let heard = Heard::new(report, None, now);
            engine.reports.insert(heard.report.observer.clone(), heard);
        }
        for stored in checkpoint.services {
            let service = restored(stored, now);
            if service.leaves_millis.is_some() {
                engine.leaving.insert(service.spec.key.clone());
            }
            engine.services.insert(service.spec.key.clone(), service);
        }
        engine.seen = Some(Seen::default());
        let keys: Vec<_> = engine.services.keys().cloned().collect();
        engine.marks.everything(keys.into_iter());
        let effects = engine.settle(now);
        Ok((engine, effects))
    }
}

fn stored(service: &Service) -> StoredService {
    let endpoint = |member: &Member| StoredEndpoint {
        status: member.status.clone(),
        track: member.track.clone(),
        probed: member.probed,
        good_millis: member.good_millis,
        returned_millis: member.returned_millis,
        drained: member.drained,
    };
    StoredService {
        spec: service.spec.clone(),
        endpoints: service.endpoints.values().map(endpoint).collect(),
        nodes: service.nodes.clone(),
        leaves_millis: service.leaves_millis,
    }
}

fn restored(stored: StoredService, now: u64) -> Service {
    let mut service = Service::new(stored.spec);
    service.nodes = stored.nodes;
    service.leaves_millis = stored.leaves_millis;
    for endpoint in stored.endpoints {
        let member = Member {
            track: endpoint.track,
            probed: endpoint.probed,
            good_millis: endpoint.good_millis,
            returned_millis: endpoint.returned_millis,
            drained: endpoint.drained,
            ..Member::new(endpoint.status, now)
        };
        let key = (member.status.cluster.clone(), member.status.target.clone());
        service.endpoints.insert(key, member);
    }
    service
}
