//! Whether members' APIs are healthy: probes, thresholds, conditions.

mod capacity;
mod conditions;
mod health;
mod networks;
mod nodes;
mod probing;
mod thresholds;

pub(crate) use capacity::{
    Known as KnownCapacity, Turns as CapacityTurns, look as look_at_capacity,
};
pub(crate) use health::Health;
pub(crate) use probing::probe_members;
pub use thresholds::HealthCheckSettings;
