//! What observers tell each other: the value of a `ProbeReport`.

use crate::{engine::Engine, peers::Contact, quorum::Abstaining, world::Heard};
use model::{ClusterName, EndpointId, ObjectKey, ObserverName, Verdict};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// Milliseconds between two reports of an observer that has nothing new to say.
pub const HEARTBEAT_MILLIS: u64 = 10_000;

/// Milliseconds after which an observer's last report is no longer heard: three heartbeats.
pub const REPORT_LIFE_MILLIS: u64 = 3 * HEARTBEAT_MILLIS;

/// Someone who probes, registered by a Lease: a DNS replica or a witness.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Observer {
    /// The name of its Lease and ProbeReport.
    pub name: ObserverName,
    /// Its failure domain: a city, else a region.
    pub domain: String,
    /// How it exchanges reports directly; not at all when it does not say.
    #[serde(default)]
    pub contact: Option<Contact>,
}

/// One observer's view; sent on change and as a heartbeat, never once per probe.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct ProbeReportValue {
    /// Whose view.
    pub observer: ObserverName,
    /// Its failure domain.
    pub domain: String,
    /// When it was made, in milliseconds since 1970.
    pub at_millis: u64,
    /// It lost most of its targets at once and suspects itself: its `Down` counts only with others.
    pub abstains: bool,
    /// What it thinks of each endpoint that it probes, in the order of the identifiers; then of each
    /// member's own check.
    pub verdicts: Vec<ReportedVerdict>,
    /// The generation of each GlobalService that it serves, by `namespace/name`.
    pub generations: BTreeMap<String, u64>,
    /// Per cluster, when its answers last named it.
    pub named: Vec<NamedCluster>,
    /// The revision of the challenges that it serves.
    #[serde(default)]
    pub challenges: u64,
    /// The hostnames that it has to know the addresses of and does not, and why.
    #[serde(default)]
    pub unresolved: BTreeMap<String, String>,
}

/// An observer's verdict on an endpoint.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct ReportedVerdict {
    /// Which endpoint.
    pub endpoint: EndpointId,
    /// What its own probes say.
    pub verdict: Verdict,
    /// Since when, in milliseconds since 1970.
    pub since_millis: u64,
    /// The last failure, in words.
    pub reason: Option<String>,
    /// Whether it is down for want of answers in time alone: it may be too busy.
    #[serde(default)]
    pub late: bool,
    /// Whether its probes no longer end: the verdict is unknown, and it is not counted.
    #[serde(default)]
    pub overdue: bool,
}

/// How long a cluster may still be in caches because of one replica.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct NamedCluster {
    /// The cluster.
    pub cluster: ClusterName,
    /// The services whose answers name it now.
    pub services: Vec<ObjectKey>,
    /// When the last snapshot that named it was replaced; `None` while one still does.
    pub until_millis: Option<u64>,
    /// The greatest TTL, in seconds, that those answers had.
    pub ttl_secs_max: u32,
}

impl Engine {
    /// Takes another observer's report.
    pub(crate) fn hear(&mut self, report: ProbeReportValue, now: u64) {
        if report.observer == self.options.observer.name {
            return;
        }
        let name = report.observer.clone();
        let known = self.reports.get(&name);
        // Over two ways an older one may come later.
        if known.is_some_and(|known| known.is_newer(&report, now)) {
            return;
        }
        let heard = Heard::new(report, known, now);
        self.reports.insert(name, heard);
        self.mark_all();
    }

    /// This observer's view as it is now.
    pub(crate) fn report(&self, now: u64) -> ProbeReportValue {
        let probed = self
            .services
            .values()
            .filter(|it| it.spec.health_check.probe.is_some());
        let verdicts = probed.flat_map(|service| {
            let members = service.endpoints.values();
            members.map(|member| member.track.reported(service.endpoint_id(member)))
        });
        let required = self
            .services
            .values()
            .flat_map(|service| service.requirements.verdicts(&service.spec.key));
        let verdicts = verdicts.chain(required);
        let answers = self.options.part.answers();
        let (generations, named, challenges) = match answers {
            true => (
                self.publisher.generations(&self.services),
                self.publisher.named(),
                self.publisher.challenges_served(),
            ),
            // A witness serves nothing, and holds nobody up who waits until all serve something.
            false => (BTreeMap::new(), Vec::new(), self.challenges.revision),
        };
        ProbeReportValue {
            observer: self.options.observer.name.clone(),
            domain: self.options.observer.domain.clone(),
            at_millis: now,
            abstains: self.abstaining == Abstaining::Yes,
            verdicts: verdicts.chain(self.checks.verdicts()).collect(),
            generations,
            named,
            challenges,
            unresolved: self.unresolved(),
        }
    }
}
