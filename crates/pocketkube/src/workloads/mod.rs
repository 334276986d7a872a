//! Simulated workloads: time moves, containers do not run.
//!
//! | module | which real part it stands for |
//! |---|---|
//! | `deployment`, `replica_set`, `stateful_set`, `daemon_set` | controllers of `apps/v1` |
//! | `job`, `cron_job`, `autoscaler` | controllers of `batch/v1` and `autoscaling/v2` |
//! | `volumes` | the volume binder, and a provisioner |
//! | `claim`, `revision`, `template_hash`, `status` | what those have in common |
//! | `scheduler` | kube-scheduler |
//! | `kubelet`, `node` | kubelets, and the node lifecycle controller |
//! | `endpoints` | EndpointSlices and Endpoints |
//! | `disruption` | the disruption controller, and what evictions ask |
//! | `addresses` | cluster addresses and node ports, taken by the server itself |
//! | `driver`, `look`, `agenda`, `world`, `writes`, `recorder` | what wakes all of them, feeds them and writes for them |
//!
//! Beside them stand `crate::garbage`, `crate::namespaces` and `crate::load_balancer`.
//! Every controller is a step: what it sees and the present in, writes out.

pub mod addresses;
mod agenda;
mod autoscaler;
mod claim;
mod cron_job;
mod daemon_set;
mod deployment;
pub(crate) mod disruption;
mod driver;
mod endpoints;
pub(crate) mod eviction;
mod job;
mod kubelet;
mod look;
mod node;
mod pod;
mod quantity;
mod recorder;
#[cfg(test)]
mod replay;
mod replica_set;
mod revision;
mod scheduler;
mod selector;
mod share;
mod stateful_set;
mod status;
pub(crate) mod step;
mod template_hash;
mod volumes;
mod world;
mod writes;

pub use driver::Workloads;
pub use kubelet::{COMPLETE_AFTER, EXIT_CODE, READY_AFTER, TERMINATE_AFTER};
pub use node::NodeOptions;
pub use volumes::PROVISIONER;

use crate::load_balancer::LoadBalancing;
use addresses::Block;
use std::time::Duration;

/// Characters of a `generateName` that the server uses at most: it adds five to make 63.
pub(crate) const GENERATE_NAME_CHARS_MAX: usize = 58;

/// How a cluster's workloads behave.
#[derive(Debug, Clone)]
pub struct WorkloadOptions {
    /// Its nodes.
    pub nodes: Vec<NodeOptions>,
    /// From its binding until a Pod is ready; the annotation [`READY_AFTER`] overrides it.
    pub ready_after: Duration,
    /// From its deletion until a Pod is gone, at most its grace period; the annotation
    /// [`TERMINATE_AFTER`] overrides it.
    pub terminate_after: Duration,
    /// From its readiness until a Pod whose `restartPolicy` is not `Always` completes; the
    /// annotation [`COMPLETE_AFTER`] overrides it, and [`EXIT_CODE`] says how it ends.
    pub complete_after: Duration,
    /// Between two looks of a horizontal autoscaler; whole seconds.
    pub autoscale_every: Duration,
    /// The StorageClass that the cluster starts with.
    pub storage: Storage,
    /// Silence of a kubelet until its node counts as lost.
    pub node_grace: Duration,
    /// Where load balancers are.
    pub load_balancing: LoadBalancing,
    /// Addresses of Pods.
    pub pod_addresses: Block,
    /// Whether controllers record Events.
    pub events: Events,
}

/// Whether controllers record Events.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Events {
    /// They do, as real ones.
    #[default]
    Recorded,
    /// They do not: fewer writes in a large simulation.
    Dropped,
}

/// Which StorageClass a cluster starts with.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Storage {
    /// `standard`, the default class: volumes of [`PROVISIONER`], made when a Pod wants one.
    #[default]
    Standard,
    /// None, as a cluster without a provisioner.
    None,
}

impl Default for WorkloadOptions {
    /// One node and quick Pods.
    fn default() -> Self {
        Self {
            nodes: vec![NodeOptions::named("node-1")],
            ready_after: Duration::from_millis(500),
            terminate_after: Duration::from_millis(200),
            complete_after: Duration::from_secs(1),
            autoscale_every: Duration::from_secs(15),
            storage: Storage::Standard,
            node_grace: Duration::from_secs(40),
            load_balancing: LoadBalancing::Automatic,
            pod_addresses: Block::PODS,
            events: Events::Recorded,
        }
    }
}
