//! The host controller: watches, member connections, reconcilers, leases.
//!
//! # Map
//!
//! | module | what it does |
//! |---|---|
//! | [`controller`] | what a controller is given, and its tasks |
//! | `host`, `read` | caches of the host; a plan's input from caches only |
//! | `federated_object` | the road: read → plan → apply → summarize → status |
//! | `flights`, [`members`] | steps on their way; the members, each apart: clients, lanes, caches |
//! | `members/apply` | the only file that writes members |
//! | `status` | the only file that writes statuses on the host |
//! | `fleet`, `type_configs` | members, lanes and types brought to what the host says |
//! | `global_service` | what members offer to global names, and how those are served |
//! | `cluster_health`, [`replica_preference`] | members probed; replicas divided and moved |
//! | [`settings`], `settings_status` | the KubeFedConfig, and what it costs |
//! | `scope` | whether all namespaces are watched, or one |
//! | [`admission`], `webhook_keys`, `webhook_role` | what the webhook refuses, and its certificate |
//! | `cookie_keys`, `kept_secret` | Secrets that the leader keeps and other roles follow |
//! | `tombstones`, `deletions` | deletions owed to members that were away; those that the brake counts |
//! | `missing`, [`kubefed_lock`] | what members hold and the host does not; whether KubeFed came back |
//! | [`preview`] | the plans that some manifests would have, and nothing written |
//! | [`lease`] | who leads, and for how long a write may be started |
//! | `queue`, `wake` | who looks again when something changed |

pub mod admission;
mod clock;
mod cluster_health;
mod context;
pub mod controller;
mod cookie_keys;
mod definitions;
mod deletions;
mod departing;
mod divisions;
pub mod dns_role;
mod echoes;
mod error;
mod events;
mod facts;
mod federated_object;
mod fights;
mod fleet;
mod flights;
mod global_service;
mod host;
mod kept_secret;
pub mod kubefed_lock;
pub mod lease;
pub mod members;
mod metrics;
mod missing;
mod pod_requests;
pub mod preview;
mod queue;
mod read;
mod released_types;
pub mod replica_preference;
mod said;
mod scope;
pub mod settings;
mod settings_status;
mod status;
mod still_wanted;
mod tombstones;
mod type_configs;
mod wake;
mod webhook_keys;
mod webhook_role;

pub use clock::WallClock;
pub use cluster_health::HealthCheckSettings;
pub use controller::{Controller, ControllerOptions};
pub use cookie_keys::{COOKIE_SECRET_NAME, CookieKeys};
pub use error::Error;
pub use global_service::{LOOKUPS_MAX, Lookups};
pub use members::connect::{Access, Connection, InProcess, connect};
pub use members::{ExecPlugins, handed_over, reach};
pub use metrics::ControllerMetrics;
pub use scope::ControlPlane;
pub use webhook_role::follow_webhook_certificate;
