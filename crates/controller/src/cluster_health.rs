//! Whether members' APIs are healthy: probes, thresholds, conditions.

mod conditions;
mod thresholds;

pub use thresholds::HealthCheckSettings;
