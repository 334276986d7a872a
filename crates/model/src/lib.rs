//! Nouns that more than one crate of meridian needs, and nothing else.
//!
//! A type comes here only when two crates that may not import each other must name it.
//! Everything is a plain value: no clock, no client, no files.

mod endpoint;
mod name;
mod place;
mod probe;
mod resources;

pub use endpoint::{Endpoint, EndpointId, Target};
pub use name::{ClusterName, InvalidName, ObjectKey, ObserverName, Region};
pub use place::{ClusterPlace, Location};
pub use probe::{
    GrpcProbe, HttpProbe, HttpsProbe, PortProbe, Probe, ProbeFailure, ProbeKind, ProbeResult,
    ProbeSchedule, StatusRange, Verdict,
};
pub use resources::{Resources, quantity_millis};
