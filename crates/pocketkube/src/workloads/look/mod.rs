//! One look for each controller: gathers what it sees, lets it decide, and has its writes made.

mod autoscalers;
mod batch;
mod controllers;
mod nodes;
mod services;
mod sets;
mod storage;

use super::agenda::{Agenda, Task};
use super::kubelet::Pace;
use super::replica_set::Failure;
use super::step::{Step, after_secs};
use super::world::{World, key};
use super::writes::{Component, Writer, is_conflict, is_namespace_going};
use super::{NodeOptions, WorkloadOptions, autoscaler, pod, replica_set};
use crate::cluster::Cluster;
use crate::faults::DataPlaneState;
use crate::load_balancer::LoadBalancers;
use crate::namespaces;
use crate::object::{Object, controller_uid, labels, name, namespace, uid};
use crate::status::Status;
use jiff::Timestamp;
use serde_json::Value;
use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::net::Ipv4Addr;
use std::sync::Arc;

/// Pods decided about in one look of the scheduler.
const PODS_PER_LOOK_MAX: usize = 256;
/// Objects that one look of the garbage collector judges.
const GARBAGE_PER_LOOK_MAX: usize = 256;
/// Pause after a write that failed for another reason than that the object moved.
const RETRY_SECS: i64 = 2;
/// How long Pods of a node that is gone are left, as in the real Pod garbage collector.
const NODE_GONE_SECS: i64 = 40;

/// What the controllers remember between looks.
pub(crate) struct Look {
    cluster: Cluster,
    writer: Writer,
    nodes: BTreeMap<String, Kubelet>,
    pace: Pace,
    node_grace_secs: i64,
    storage: super::Storage,
    balancers: LoadBalancers,
    data_plane: DataPlaneState,
    /// Since when the kubelets of the declared nodes say nothing.
    silent: BTreeMap<String, Timestamp>,
    /// What nodes that clients registered said last.
    heard: BTreeMap<String, Heard>,
    /// Pods that wait for a node, by creation and key: those not tried yet, and those refused.
    fresh: BTreeSet<(String, String)>,
    refused: BTreeSet<(String, String)>,
    failures: HashMap<String, Failure>,
    /// By the autoscaler's uid.
    autoscaling: HashMap<String, autoscaler::Memory>,
    autoscale_secs: i64,
    pods: HashMap<String, Seen>,
    emptying: BTreeSet<String>,
    gone_nodes: BTreeMap<String, Timestamp>,
}

/// The kubelet of a declared node.
#[derive(Debug)]
struct Kubelet {
    options: NodeOptions,
    host: Ipv4Addr,
}

/// The last sign of a kubelet that is not simulated here.
#[derive(Debug)]
struct Heard {
    /// The heartbeat in its Ready condition, and its Lease's renewal.
    said: (Value, Option<Value>),
    /// When that was seen.
    at: Timestamp,
}

/// What a kubelet remembers of a Pod.
#[derive(Debug, Clone, Copy)]
struct Seen {
    at: Timestamp,
    leaving: Option<Timestamp>,
    address: Ipv4Addr,
}

impl Look {
    pub(crate) fn new(cluster: Cluster, options: WorkloadOptions) -> Self {
        let hosts = (10..).map(|number| super::addresses::Block::NODES.nth(number));
        let nodes = options.nodes.into_iter().zip(hosts);
        Self {
            writer: Writer::new(cluster.clone(), options.events),
            nodes: nodes
                .map(|(options, host)| (options.name.clone(), Kubelet { options, host }))
                .collect(),
            pace: Pace {
                ready_after: options.ready_after,
                terminate_after: options.terminate_after,
                complete_after: options.complete_after,
            },
            node_grace_secs: i64::try_from(options.node_grace.as_secs()).unwrap_or(i64::MAX),
            storage: options.storage,
            balancers: LoadBalancers::new(cluster.name(), &options.load_balancing),
            data_plane: DataPlaneState::Up,
            silent: BTreeMap::new(),
            heard: BTreeMap::new(),
            fresh: BTreeSet::new(),
            refused: BTreeSet::new(),
            failures: HashMap::new(),
            autoscaling: HashMap::new(),
            autoscale_secs: i64::try_from(options.autoscale_every.as_secs().max(1)).unwrap_or(15),
            pods: HashMap::new(),
            emptying: BTreeSet::new(),
            gone_nodes: BTreeMap::new(),
            cluster,
        }
    }

    /// Looks at one thing.
    pub(crate) fn at(&mut self, task: Task, world: &mut World, agenda: &mut Agenda) {
        agenda.cancel(&task);
        match &task {
            Task::Garbage => self.garbage(world, agenda),
            Task::Namespace(name) => self.namespace(name, agenda),
            Task::Budget(key) => self.budget(key, world, agenda),
            Task::Deployment(key) => self.deployment(key, world, agenda),
            Task::ReplicaSet(key) => self.replica_set(key, world, agenda),
            Task::StatefulSet(key) => self.stateful_set(key, world, agenda),
            Task::DaemonSet(key) => self.daemon_set(key, world, agenda),
            Task::Job(key) => self.job(key, world, agenda),
            Task::CronJob(key) => self.cron_job(key, world, agenda),
            Task::Volume(name) => self.volume(name, world, agenda),
            Task::Claim(key) => self.claim(key, world, agenda),
            Task::Autoscaler(key) => self.autoscaler(key, world, agenda),
            Task::Schedule => self.schedule(world, agenda),
            Task::Kubelet(key) => self.kubelet(key, world, agenda),
            Task::Heartbeat(name) => self.heartbeat(name, world, agenda),
            Task::Node(name) => self.node(name, world, agenda),
            Task::Service(key) => self.service(key, world, agenda),
            Task::Events => {}
        }
        if let Some(at) = self.writer.expire_events() {
            agenda.at(at, Task::Events);
        }
    }

    /// Follows the data plane. Says whether that changed anything.
    pub(crate) fn set_data_plane(&mut self, data_plane: DataPlaneState) -> bool {
        if self.data_plane == data_plane {
            return false;
        }
        self.data_plane = data_plane;
        self.balancers.set_data_plane(data_plane);
        true
    }

    /// Remembers a Pod that waits for a node.
    pub(crate) fn add_pending(&mut self, pod: &Value) {
        let place = queue_place(pod);
        if !self.refused.contains(&place) {
            self.fresh.insert(place);
        }
    }

    /// Tries Pods again that found no node.
    pub(crate) fn retry_pending(&mut self) {
        self.fresh.append(&mut self.refused);
    }

    /// Whether a Namespace waits for its contents to go.
    pub(crate) fn is_emptying(&self, namespace: &str) -> bool {
        self.emptying.contains(namespace)
    }

    /// Forgets what is remembered of an object that is gone.
    pub(crate) fn forget(&mut self, table: &str, object: &Value) {
        match table {
            pod::TABLE => {
                self.pods.remove(uid(object));
                let place = queue_place(object);
                self.fresh.remove(&place);
                self.refused.remove(&place);
            }
            replica_set::TABLE => drop(self.failures.remove(uid(object))),
            autoscaler::TABLE => drop(self.autoscaling.remove(uid(object))),
            namespaces::TABLE => drop(self.emptying.remove(name(object))),
            _ => {}
        }
    }

    /// Puts up controllers that may adopt an object without one.
    pub(crate) fn mark_loose(&self, object: &Value, agenda: &mut Agenda) {
        if controller_uid(object).is_some() {
            return;
        }
        let kinds: &[(&str, &str)] = match object["kind"].as_str() {
            Some("Pod") => &[
                ("apps/v1", "ReplicaSet"),
                ("apps/v1", "StatefulSet"),
                ("apps/v1", "DaemonSet"),
                ("batch/v1", "Job"),
            ],
            Some("ReplicaSet") => &[("apps/v1", "Deployment")],
            Some("ControllerRevision") => &[("apps/v1", "StatefulSet"), ("apps/v1", "DaemonSet")],
            _ => &[],
        };
        for (api_version, kind) in kinds {
            let Ok(resource) = self.cluster.resource(api_version, kind) else {
                continue;
            };
            for owner in self.cluster.list(&resource, Some(namespace(object))) {
                if super::selector::selects(&owner["spec"]["selector"], labels(object))
                    && let Some(task) = Task::of_controller(kind, key(&owner))
                {
                    agenda.now(task);
                }
            }
        }
    }

    /// Makes the writes of a step and puts the task up for when it wants to look again. Gives the
    /// first error; what follows it is left to the next look.
    fn carry_out(
        &mut self,
        component: Component,
        step: Step,
        task: Task,
        agenda: &mut Agenda,
    ) -> Option<Status> {
        if let Some(at) = step.wake_at {
            agenda.at(at, task.clone());
        }
        for write in step.writes {
            let Err(status) = self.writer.write(component, write) else {
                continue;
            };
            if is_conflict(&status) {
                // Its change is on the way, but it may be about another object than the task's.
                agenda.now(task);
            } else if !is_namespace_going(&status) {
                tracing::debug!(cluster = self.cluster.name(), ?task, %status.message, "write failed");
                agenda.at(after_secs(self.cluster.clock().now(), RETRY_SECS), task);
            }
            return Some(status);
        }
        None
    }

    /// An object in the version that is asked for, whichever it is kept in.
    fn get(&self, api_version: &str, kind: &str, place: &str, name: &str) -> Option<Arc<Object>> {
        let resource = self.cluster.resource(api_version, kind).ok()?;
        let kept = self.cluster.get(&resource, place, name).ok()?;
        Some(crate::view::of(&resource, &kept))
    }
}

fn queue_place(pod: &Value) -> (String, String) {
    let created = pod["metadata"]["creationTimestamp"]
        .as_str()
        .unwrap_or_default();
    (created.to_owned(), key(pod))
}

fn split(key: &str) -> (&str, &str) {
    key.split_once('/').unwrap_or(("", key))
}
