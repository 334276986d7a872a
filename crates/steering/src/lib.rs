//! The steering engine: health, pools and policies to a DNS snapshot.
//!
//! A pure brain: events and `now` in, effects out. It opens no socket, reads no clock and knows no
//! Kubernetes; crate `api` converts objects into the types of [`spec`] and [`policy`].

pub mod error;
pub mod policy;
pub mod report;
pub mod spec;
pub mod status;

pub use error::{Error, Result};
pub use policy::{
    Failback, FailoverBranch, Nearest, Policy, Pool, Takeover, Transition, WeightedBranch,
};
pub use report::{NamedCluster, Observer, ProbeReportValue, ReportedVerdict};
pub use spec::{
    EndpointStatus, Force, HealthCheck, NameServer, NamespaceGrant, OnExpiry, OverrideScope,
    OverrideSpec, ServiceSpec, SoaTimers, SpecProblem, TtlRange, WhenAllDown, ZoneSpec,
};
pub use status::{
    BranchState, BranchStatus, EndpointHealth, HostProblem, HostStatus, ServiceStatus, Standing,
    ZoneStatus,
};
