//! What the engine says of zones and services: values for their statuses.

use crate::{resolve::Unresolved, spec::SpecProblem};
use model::{EndpointId, ObjectKey, ObserverName, Verdict};
use serde::{Deserialize, Serialize};

/// The state of a global service as this replica serves it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct ServiceStatus {
    /// The GlobalService.
    pub service: ObjectKey,
    /// The generation that is served.
    pub generation: u64,
    /// Each host: served from which zone, or why not.
    pub hosts: Vec<HostStatus>,
    /// Each endpoint's health.
    pub endpoints: Vec<EndpointHealth>,
    /// Each failover branch of the policy, in the tree's order.
    pub branches: Vec<BranchStatus>,
    /// What the policy names and the world does not have.
    pub misfits: Vec<SpecProblem>,
    /// Overrides that have no force on it: they would leave it nothing.
    pub refused: Vec<ObjectKey>,
    /// Why a branch would not take over by itself when what it stands in for is lost: those who would have
    /// to agree are lost with it.
    pub observers_too_few: Option<String>,
    /// Its endpoints' hostnames that some observer cannot resolve; nothing when none has to be resolved.
    pub unresolved: Option<Vec<Unresolved>>,
}

/// Whether a host is served.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct HostStatus {
    /// The host.
    pub host: String,
    /// The domain of the zone it is served from.
    pub zone: Option<String>,
    /// Why it is not served.
    pub problem: Option<HostProblem>,
}

/// Why a host is refused.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum HostProblem {
    /// It is not a host name.
    InvalidName(String),
    /// No zone holds it; these domains exist.
    NoZone {
        /// The domains of the zones that are there.
        zones: Vec<String>,
    },
    /// The zone does not allow the service's namespace, or not this name.
    NotAllowed {
        /// The zone's domain.
        zone: String,
        /// The namespaces it allows.
        namespaces: Vec<String>,
    },
    /// An older service has it.
    Claimed {
        /// The older service.
        by: ObjectKey,
    },
    /// The zone has no room for it: a record of its own, a delegation, a circle of aliases.
    Refused {
        /// The zone's domain.
        zone: String,
        /// What stands in the way, and what to do.
        reason: String,
    },
    /// The policy or another field is wrong: the whole service is not served.
    InvalidSpec(String),
}

impl std::fmt::Display for HostProblem {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::InvalidName(why) => write!(f, "not a host name: {why}"),
            Self::NoZone { zones } if zones.is_empty() => {
                f.write_str("no zone holds this host; no zone exists, create one")
            }
            Self::NoZone { zones } => write!(
                f,
                "no zone holds this host; the zones are {}",
                zones.join(", ")
            ),
            Self::NotAllowed { zone, namespaces } => write!(
                f,
                "zone {zone} does not allow it; allowedNamespaces has {}",
                namespaces.join(", ")
            ),
            Self::Claimed { by } => write!(f, "the older GlobalService {by} has this host"),
            Self::Refused { zone, reason } => write!(f, "zone {zone}: {reason}"),
            Self::InvalidSpec(why) => f.write_str(why),
        }
    }
}

/// How an endpoint stands, all signals combined.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub enum Standing {
    /// Gets its traffic.
    Healthy,
    /// Nobody knows yet; counts as healthy.
    Unknown,
    /// Gets traffic only when nothing healthy is left: draining, or without ready replicas.
    Degraded,
    /// Gets none, the ladder's last rungs excepted.
    Down,
    /// Gets none at all: an override says so.
    Excluded,
}

/// An endpoint's health and where it comes from.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct EndpointHealth {
    /// Which endpoint.
    pub endpoint: EndpointId,
    /// All signals combined.
    pub standing: Standing,
    /// Since when, in milliseconds since 1970.
    pub since_millis: u64,
    /// Why, in words.
    pub reason: String,
    /// What the observers together say.
    pub probes: Verdict,
    /// Each observer that is heard, and its verdict.
    pub observers: Vec<(ObserverName, Verdict)>,
    /// Ready replicas, where a member told it.
    pub ready_replicas: Option<u32>,
}

/// A failover branch's state.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct BranchStatus {
    /// The branch.
    pub name: String,
    /// Whether it answers.
    pub state: BranchState,
    /// Since when, in milliseconds since 1970.
    pub since_millis: u64,
    /// Why, in words.
    pub reason: String,
    /// What it requires to take over and does not succeed.
    pub unmet: Option<String>,
}

/// Whether a failover branch answers.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum BranchState {
    /// It answers.
    Active,
    /// It could, and does not need to.
    Standby,
    /// It has too few healthy clusters.
    Unable,
    /// It would, and waits for a person or for its time.
    Waiting,
}

/// The state of a zone as this replica serves it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct ZoneStatus {
    /// The Zone.
    pub zone: ObjectKey,
    /// Whether it is served.
    pub served: bool,
    /// What is wrong with it, where and what to do.
    pub problem: Option<String>,
    /// A digest of what the zone says besides the serial. The leader writes a new serial when it
    /// changes.
    pub digest: u64,
}

impl ZoneStatus {
    /// The digest as `Zone.status` has it.
    pub fn told_digest(&self) -> String {
        crate::zones::told(self.digest)
    }
}
