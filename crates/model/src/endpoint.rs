//! Endpoints of global services.

use crate::{ClusterName, ObjectKey, Region};
use serde::{Deserialize, Serialize};
use std::{fmt, net::IpAddr};

/// What an answer names and a probe connects to.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum Target {
    /// An address.
    Ip(IpAddr),
    /// A hostname, such as a cloud load balancer's.
    Hostname(String),
}

impl fmt::Display for Target {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Ip(ip) => ip.fmt(f),
            Self::Hostname(name) => f.write_str(name),
        }
    }
}

/// Which endpoint: a target of a global service in a cluster.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct EndpointId {
    /// The GlobalService.
    pub service: ObjectKey,
    /// The cluster, or the name given to a static endpoint.
    pub cluster: ClusterName,
    /// The address or hostname.
    pub target: Target,
}

impl fmt::Display for EndpointId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {} {}", self.service, self.cluster, self.target)
    }
}

/// An endpoint and what is known of it besides its health.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Endpoint {
    /// Which one.
    pub id: EndpointId,
    /// Its region, when a static endpoint says it; else the cluster's.
    pub region: Option<Region>,
    /// Ready replicas behind it, where a member told it.
    pub ready_replicas: Option<u32>,
    /// Weight among equals; 1 when nothing is said.
    pub weight: u32,
}
