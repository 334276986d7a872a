//! The steering engine: health, pools and policies to a DNS snapshot.
//!
//! A pure brain: events and `now` in, effects out. It opens no socket, reads no clock and knows no
//! Kubernetes; crate `api` converts objects into the types of [`spec`] and [`policy`].
//!
//! ```text
//! Event ── Engine::handle(event, now) ──► Effect::{Publish, Probe, Resolve, Report, Service, Zone, WakeAt}
//! ```
//!
//! Start reading in `engine.rs`.

mod answers;
mod bindings;
mod branches;
mod cascade;
pub mod challenges;
mod checkpoint;
mod choose;
mod cluster_check;
mod doubt;
pub mod engine;
pub mod error;
pub mod event;
pub mod explain;
pub mod federation_names;
mod geography;
mod given;
mod health;
mod host;
mod leaving;
mod misfits;
mod moved;
mod named;
mod outcome;
mod outweigh;
mod overdue;
mod parallel;
pub mod peers;
pub mod policy;
mod publish;
mod published;
mod quorum;
pub mod report;
mod requires;
pub mod resolve;
mod returning;
mod secondaries;
mod service;
pub mod spec;
pub mod status;
mod takeover;
mod tell;
pub mod traffic;
mod tree;
pub mod validate;
mod world;
mod zone_changes;
mod zones;

pub use challenges::{ChallengeSpec, Challenges};
pub use checkpoint::Checkpoint;
pub use cluster_check::ClusterCheck;
pub use engine::{Engine, EngineOptions, Part};
pub use error::{Error, Result};
pub use event::{ClusterState, Effect, Event, HostContact, MemberApi};
pub use explain::{Explanation, PossibleAnswer, Question};
pub use geography::view_table;
pub use given::Given;
pub use moved::{FamilyMoved, Flow, Moved};
pub use peers::{Contact, Peers};
pub use policy::{
    All, Capacity, Cidr, CidrRule, Failback, FailoverBranch, Geo, GeoRule, Nearest, Policy, Pool,
    Requirement, Takeover, Transition, WeightedBranch,
};
pub use report::{NamedCluster, Observer, ProbeReportValue, REPORT_LIFE_MILLIS, ReportedVerdict};
pub use resolve::{Found, Resolutions, Resolved, Unresolved};
pub use spec::{
    EndpointStatus, Force, HealthCheck, HttpsSpec, NameServer, NamespaceGrant, OnExpiry,
    OverrideScope, OverrideSpec, PublishedRecord, PublishedRecords, RAMP_MILLIS, SecondarySpec,
    ServiceSpec, SoaTimers, SpecProblem, SvcbSpec, TtlRange, WITHDRAW_GRACE_MILLIS, WhenAllDown,
    ZoneSpec,
};
pub use status::{
    BranchState, BranchStatus, EndpointHealth, HostProblem, HostStatus, ServiceStatus, Standing,
    ZoneStatus,
};
pub use traffic::{DataPlane, Traffic};
pub use tree::Line;
pub use zones::zone_frame;
