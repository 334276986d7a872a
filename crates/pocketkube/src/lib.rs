//! A Kubernetes API in the process, with simulated workloads and faults.
//!
//! A [`Fleet`] is a number of clusters, each an HTTPS server on 127.0.0.1 with its own certificate
//! authority, token and kubeconfig. Each [`Cluster`] is also an `axum::Router`, so a client can
//! drive it without sockets. It is a real server that ordinary clients speak to, kept in memory.
//!
//! # Map
//!
//! | module | what it holds |
//! |---|---|
//! | [`fleet`] | [`Fleet`]: clusters on sockets, kubeconfigs, the control address |
//! | [`cluster`] | [`Cluster`]: every verb as a plain synchronous call; HTTP handlers and the built-in controllers use the same ones |
//! | [`changes`] | what happened since a version, for controllers |
//! | [`object`] | reading and editing objects (`metadata`, conditions, owners) |
//! | [`resource`], [`registry`] | [`Resource`]: one served version of a kind, built in or from a CustomResourceDefinition |
//! | [`status`] | [`Status`]: the error of every API call, worded as the real server words it |
//! | [`kinds`], [`schema`], [`merge`], [`apply`], [`table`] | what differs between kinds, schemas, patches, server-side apply, printing |
//! | [`workloads`] | Deployments, ReplicaSets, Pods, nodes, endpoints, load balancers, namespaces, garbage |
//! | [`authorization`], `admission` | who may do what, and who else has a say |
//! | [`faults`], [`requests`] | what is wrong with a cluster, and what it was asked |
//! | [`clock`], [`chance`] | the only sources of time and of randomness |
//! | `server`, `store`, `data` | HTTP, memory, and what is kept in a folder |
//!
//! # How a controller works with it
//!
//! Calls on [`Cluster`] never await and never call back, so a controller is a plain function that
//! lists, decides and writes. A driver waits for [`Changes::wait`], takes [`Changes::take`] and
//! lists anew when told that it fell [`Behind`].

mod admission;
pub mod apply;
pub mod authorization;
mod cel;
mod certificates;
pub mod chance;
pub mod changes;
pub mod clock;
pub mod cluster;
mod cron;
mod data;
mod error;
pub mod faults;
pub mod fleet;
mod garbage;
mod go;
pub mod kinds;
mod kubeconfig;
pub mod load_balancer;
pub mod merge;
mod namespaces;
pub mod object;
pub mod registry;
pub mod requests;
pub mod resource;
pub mod schema;
pub mod selector;
mod serve;
mod server;
pub mod status;
mod store;
pub mod table;
mod tokens;
mod view;
pub mod workloads;

/// The example of the README is run.
#[cfg(doctest)]
#[doc = include_str!("../README.md")]
struct Readme;

/// The version that clusters say they have.
pub const KUBERNETES_VERSION: &str = "v1.35.0";

pub use authorization::Authorization;
pub use certificates::ClientCertificate;
pub use changes::{Behind, Change, Changes};
pub use clock::Clock;
pub use cluster::{Caller, Cluster, ClusterOptions};
pub use data::DataOptions;
pub use error::Error;
pub use faults::{ApiState, DataPlaneState, Effect, FaultRule, Faults, NodeState};
pub use fleet::{Fleet, FleetOptions};
pub use object::Object;
pub use resource::Resource;
pub use status::Status;
pub use store::Durability;
