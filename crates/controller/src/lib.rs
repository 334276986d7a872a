//! The host controller: watches, member connections, reconcilers, leases.

mod cluster_health;
pub mod dns_role;
pub mod lease;
pub mod replica_preference;
pub mod settings;

pub use cluster_health::HealthCheckSettings;
