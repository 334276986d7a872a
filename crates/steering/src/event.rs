//! Every cause of a changed answer, and everything the engine wants done.

use crate::{
    challenges::Challenges,
    cluster_check::ClusterCheck,
    peers::Peers,
    report::{Observer, ProbeReportValue},
    resolve::Resolved,
    spec::{EndpointStatus, OverrideSpec, PublishedRecords, ServiceSpec, ZoneSpec},
    status::{ServiceStatus, ZoneStatus},
    tree::Line,
};
use model::{ClusterName, ClusterPlace, ObjectKey, Probe, ProbeResult};
use serde::{Deserialize, Serialize};
use std::{collections::BTreeMap, sync::Arc};

/// What happened.
#[derive(Clone, Debug)]
pub enum Event {
    /// Every watch has delivered its first list: from now on changes are published.
    Synced,
    /// A zone is there, or is another than before.
    ZoneApplied(Box<ZoneSpec>),
    /// A zone is gone.
    ZoneDeleted(ObjectKey),
    /// The challenges that the host keeps, all of them.
    Challenges(Challenges),
    /// A global service is there, or is another than before.
    ServiceApplied(Box<ServiceSpec>),
    /// A global service is gone; when its names were asked is told before.
    ServiceDeleted(ObjectKey),
    /// When a global service's names were asked for last.
    Asked {
        /// The GlobalService.
        service: ObjectKey,
        /// In milliseconds since 1970.
        at_millis: u64,
    },
    /// The endpoints of a global service, all of them; for one that was not applied they are lost.
    Endpoints {
        /// The GlobalService.
        service: ObjectKey,
        /// Its endpoints; those not listed are gone.
        endpoints: Vec<EndpointStatus>,
    },
    /// A member is there, or stands otherwise than before.
    ClusterApplied(Box<ClusterState>),
    /// A member has left.
    ClusterDeleted(ClusterName),
    /// An override is there, or is another than before.
    OverrideApplied(Box<OverrideSpec>),
    /// An override is gone.
    OverrideDeleted(ObjectKey),
    /// An object asks for records, all that it does.
    RecordsApplied(Box<PublishedRecords>),
    /// It is gone.
    RecordsDeleted(ObjectKey),
    /// This observer's prober has a result.
    Probed(ProbeResult),
    /// A resolver has answered.
    Resolved(Box<Resolved>),
    /// This observer's control targets answered or did not: whether its own uplink works.
    ControlTargets {
        /// How many answered.
        answered: u32,
        /// How many there are.
        of: u32,
    },
    /// Who is registered, all of them; by it a majority is counted.
    Observers(Vec<Observer>),
    /// Another observer's report.
    Reported(Box<ProbeReportValue>),
    /// Whether the host's API answers.
    Host(HostContact),
    /// A geographic database was loaded and verified.
    Database(Arc<geo::Database>),
    /// The lines that rules of `geo` nodes may name, all of them.
    Lines(BTreeMap<String, Line>),
    /// Time has passed; sent at the time that [`Effect::WakeAt`] named, or sooner.
    Tick,
}

/// What to do.
#[derive(Clone, Debug)]
pub enum Effect {
    /// Answer from this snapshot from now on.
    Publish(Arc<dns::Snapshot>),
    /// Run these probes, and no others.
    Probe(Vec<Probe>),
    /// Ask a resolver for the addresses of these hostnames, each once.
    Resolve(Vec<String>),
    /// Publish this observer's view.
    Report(ProbeReportValue),
    /// Exchange reports with these, and take them from nobody else.
    Peers(Peers),
    /// A service's status is this now.
    Service(ServiceStatus),
    /// A zone's status is this now.
    Zone(ZoneStatus),
    /// Every replica that is heard, this one among them, serves the challenges of this revision.
    ChallengesServed(u64),
    /// Send [`Event::Tick`] at this time, in milliseconds since 1970; replaces an earlier one.
    WakeAt(u64),
}

/// A member's place, and whether its API can be believed.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct ClusterState {
    /// Its place, region and labels.
    pub place: ClusterPlace,
    /// Whether what its API told is of today.
    pub api: MemberApi,
    /// Whether traffic is to leave it.
    #[serde(default)]
    pub draining: bool,
    /// What shows that its data plane works, besides the endpoints in it.
    #[serde(default)]
    pub check: Option<ClusterCheck>,
}

/// Whether a member's API answers.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum MemberApi {
    /// It does: its readiness counts.
    Ready,
    /// It does not, or nobody knows: its readiness is stale and ignored.
    NotReady,
}

/// Whether the host's API answers this replica.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum HostContact {
    /// It does.
    Reached,
    /// It does not: answers go on, marked stale.
    Lost,
}
