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
//! | [`cluster`] | [`Cluster`]: every verb as a plain synchronous call; HTTP handlers and the built-in controllers use the same ones |
//! | [`changes`] | what happened since a version, for controllers |
//! | [`object`] | reading and editing objects (`metadata`, conditions, owners) |
//! | [`resource`] | [`Resource`]: one served version of a kind, built in or from a CustomResourceDefinition |
//! | [`status`] | [`Status`]: the error of every API call, worded as the real server words it |
//! | [`clock`], [`chance`] | the only sources of time and of randomness |
//!
//! # How a controller works with it
//!
//! Calls on [`Cluster`] never await and never call back, so a controller is a plain function that
//! lists, decides and writes. A driver waits for [`Changes::wait`], takes [`Changes::next`] and
//! lists anew when told that it fell [`Behind`].

pub mod chance;
pub mod changes;
pub mod clock;
pub mod cluster;
pub mod object;
pub mod registry;
pub mod resource;
pub mod status;
mod store;

pub use changes::{Behind, Change, Changes};
pub use clock::Clock;
pub use cluster::{Caller, Cluster, ClusterOptions};
pub use object::Object;
pub use resource::Resource;
pub use status::Status;
