//! The task that drives the workloads of one cluster.
//!
//! Guarantees: it wakes when something changed or when a time has come, never otherwise; what it
//! knows is current before each look; work between two breaks is bounded, so that other tasks of
//! the runtime come to their turn.
//! Assumptions: one driver for each cluster.
//! Caveats: while the API is down or hung it writes nothing, as real controllers could not; the
//! load balancers still follow the data plane.

use super::addresses::Addresses;
use super::agenda::{Agenda, Task};
use super::look::Look;
use super::world::{self, World, key};
use super::{
    WorkloadOptions, autoscaler, cron_job, daemon_set, deployment, disruption, endpoints, job,
    node, pod, replica_set, revision, scheduler, stateful_set, volumes,
};
use crate::changes::{Change, Changes};
use crate::cluster::Cluster;
use crate::faults::{ApiState, Faults};
use crate::namespaces;
use crate::object::{Object, labels, name, namespace};
use jiff::Timestamp;
use serde_json::Value;
use std::sync::Arc;
use tokio::task::JoinHandle;
use tokio::time::{Duration, Instant};

/// Looks between two breaks.
const LOOKS_PER_TURN_MAX: usize = 128;
/// Longest sleep: timers of tokio end somewhere, and no task is due for ever.
const SLEEP_MAX: Duration = Duration::from_secs(24 * 3_600);

/// The running workloads of a cluster. Dropped, they stop.
#[derive(Debug)]
pub struct Workloads {
    task: JoinHandle<()>,
}

impl Workloads {
    /// Starts them in the current runtime; they obey the cluster's faults.
    pub fn start(cluster: &Cluster, options: WorkloadOptions) -> Self {
        let faults = cluster.faults().subscribe();
        let driver = Driver::new(cluster.clone(), options, faults);
        Self {
            task: tokio::spawn(driver.run()),
        }
    }
}

impl Drop for Workloads {
    fn drop(&mut self) {
        self.task.abort();
    }
}

struct Driver {
    cluster: Cluster,
    changes: Changes,
    faults: watch::Receiver<Faults>,
    agenda: Agenda,
    world: World,
    look: Look,
}

impl Driver {
    fn new(cluster: Cluster, options: WorkloadOptions, faults: watch::Receiver<Faults>) -> Self {
        // The first addresses of real networks belong to gateways.
        let addresses = Addresses::new(options.pod_addresses, 2);
        Self {
            changes: cluster.changes(),
            faults,
            agenda: Agenda::default(),
            world: World::new(addresses),
            look: Look::new(cluster.clone(), options),
            cluster,
        }
    }

    async fn run(mut self) {
        self.list();
        self.look.provide_storage();
        self.look.register_nodes(&mut self.agenda);
        loop {
            self.follow_faults();
            self.turn();
            if self.can_work() && !self.agenda.is_idle() {
                tokio::task::yield_now().await;
            } else {
                self.wait().await;
            }
        }
    }

    /// Sleeps until something changes or a time comes.
    async fn wait(&mut self) {
        let can_work = self.can_work();
        let next = self.agenda.next_time().filter(|_| can_work);
        let until = next.map_or(SLEEP_MAX, |time| until(self.cluster.clock().now(), time));
        let deadline = Instant::now() + until.min(SLEEP_MAX);
        tokio::select! {
            biased;
            // The cluster outlives this task, so the channel cannot be closed.
            _ = self.faults.changed() => {}
            () = self.changes.wait(), if can_work => {}
            () = tokio::time::sleep_until(deadline) => {}
        }
    }

    fn can_work(&self) -> bool {
        !matches!(self.faults.borrow().api, ApiState::Down | ApiState::Hung)
    }

    fn follow_faults(&mut self) {
        let faults = self.faults.borrow_and_update();
        let Self {
            look,
            world,
            agenda,
            ..
        } = self;
        look.follow_faults(&faults, world, agenda);
    }

    /// Looks at what is due, and at what follows from it, up to a bound.
    fn turn(&mut self) {
        if !self.can_work() {
            return;
        }
        self.agenda.strike(self.cluster.clock().now());
        for _ in 0..LOOKS_PER_TURN_MAX {
            self.catch_up();
            let Some(task) = self.agenda.take() else {
                return;
            };
            self.look.at(task, &mut self.world, &mut self.agenda);
        }
    }

    /// Takes all changes so far, so that the next look sees the cluster as it is.
    fn catch_up(&mut self) {
        loop {
            match self.changes.take() {
                Ok(batch) if batch.is_empty() => return,
                Ok(batch) => batch.iter().for_each(|change| self.follow(change)),
                Err(_) => {
                    self.world = World::new(Addresses::new(self.world.addresses.block(), 2));
                    self.list();
                }
            }
        }
    }

    /// Takes the whole cluster.
    fn list(&mut self) {
        let registry = self.cluster.registry();
        let mut listed = std::collections::BTreeSet::new();
        for resource in registry.all() {
            let table = resource.table();
            if listed.insert(table.clone()) {
                for object in self.cluster.list(resource, None) {
                    self.put(&table, &object, None);
                }
            }
        }
        self.agenda.now(Task::Garbage);
    }

    fn follow(&mut self, change: &Change) {
        let (table, object) = (change.table(), change.object());
        if change.is_deleted() {
            self.remove(table, object);
        } else {
            self.put(
                table,
                object,
                change.previous().map(|object| object.value()),
            );
        }
        if table == CUSTOM_KINDS {
            self.world.graph.look_at_all();
        }
        if self.world.graph.is_dirty() {
            self.agenda.now(Task::Garbage);
        }
    }

    fn put(&mut self, table: &str, object: &Arc<Object>, before: Option<&Value>) {
        if self.world.put(table, object) {
            self.look.retry_pending();
            self.agenda.now(Task::Schedule);
        }
        self.mark(table, object);
        if let Some(before) = before {
            self.mark_relatives(table, before);
        }
        if table == scheduler::NODES && before.is_none_or(|before| fits_others(before, object)) {
            self.mark_daemon_sets();
        }
        if table == pod::TABLE && scheduler::is_waiting(object) {
            self.look.add_pending(object);
            self.agenda.now(Task::Schedule);
        }
    }

    fn remove(&mut self, table: &str, object: &Arc<Object>) {
        if self.world.remove(table, object) {
            self.look.retry_pending();
            self.agenda.now(Task::Schedule);
        }
        self.look.forget(table, object);
        self.mark(table, object);
        if table == scheduler::NODES {
            self.mark_daemon_sets();
        }
    }

    /// Puts up who has to look because of an object.
    fn mark(&mut self, table: &str, object: &Value) {
        let key = key(object);
        match table {
            deployment::TABLE => self.agenda.now(Task::Deployment(key)),
            replica_set::TABLE => self.agenda.now(Task::ReplicaSet(key)),
            stateful_set::TABLE => self.agenda.now(Task::StatefulSet(key)),
            daemon_set::TABLE => self.agenda.now(Task::DaemonSet(key)),
            job::TABLE => self.agenda.now(Task::Job(key)),
            cron_job::TABLE => self.agenda.now(Task::CronJob(key)),
            volumes::VOLUMES => self.agenda.now(Task::Volume(key)),
            volumes::CLAIMS => self.agenda.now(Task::Claim(key)),
            autoscaler::TABLE => self.mark_autoscaler(object, key),
            pod::TABLE => self.agenda.now(Task::Kubelet(key)),
            scheduler::NODES => self.agenda.now(Task::Node(key)),
            node::LEASES if namespace(object) == node::LEASE_NAMESPACE => {
                self.agenda.now(Task::Node(name(object).to_owned()));
            }
            endpoints::SERVICES => self.agenda.now(Task::Service(key)),
            disruption::TABLE => self.agenda.now(Task::Budget(key)),
            namespaces::TABLE => self.agenda.now(Task::Namespace(key)),
            _ => {}
        }
        self.mark_relatives(table, object);
        // A Namespace that goes waits for its contents.
        let place = namespace(object);
        if !place.is_empty() && self.look.is_emptying(place) {
            self.agenda.now(Task::Namespace(place.to_owned()));
        }
    }

    /// Puts up the owners of an object, and the Services that send to it.
    fn mark_relatives(&mut self, table: &str, object: &Value) {
        match table {
            pod::TABLE => {
                self.mark_controllers(object);
                self.mark_services(object);
                self.mark_budgets(object);
                for claim in volumes::claims_of(object) {
                    let key = crate::cluster::key(namespace(object), claim);
                    self.agenda.now(Task::Claim(key));
                }
                self.look.mark_loose(object, &mut self.agenda);
            }
            replica_set::TABLE | revision::TABLE | job::TABLE => {
                self.mark_controllers(object);
                self.look.mark_loose(object, &mut self.agenda);
            }
            volumes::CLAIMS | volumes::VOLUMES | volumes::CLASSES => {
                self.mark_storage(table, object)
            }
            endpoints::SLICES => {
                if let Some(service) = world::service_of(object) {
                    self.agenda.now(Task::Service(service));
                }
            }
            endpoints::ENDPOINTS => self.agenda.now(Task::Service(key(object))),
            namespaces::SERVICE_ACCOUNTS if name(object) == namespaces::DEFAULT_ACCOUNT => {
                self.agenda
                    .now(Task::Namespace(namespace(object).to_owned()));
            }
            namespaces::CONFIG_MAPS if name(object) == namespaces::ROOT_CA => {
                self.agenda
                    .now(Task::Namespace(namespace(object).to_owned()));
            }
            _ => {}
        }
    }

    fn mark_controllers(&mut self, object: &Value) {
        let owners = crate::object::owner_references(object).iter();
        for owner in owners.filter(|owner| owner["controller"] == true) {
            let name = owner["name"].as_str().unwrap_or_default();
            let key = crate::cluster::key(namespace(object), name);
            let kind = owner["kind"].as_str().unwrap_or_default();
            if let Some(task) = Task::of_controller(kind, key) {
                self.agenda.now(task);
            }
        }
    }

    /// An autoscaler looks at its target at fixed times, so that its pace is that of the real
    /// one: only a new or another spec brings an earlier look.
    fn mark_autoscaler(&mut self, object: &Value, key: String) {
        let task = Task::Autoscaler(key);
        if self.look.is_new_autoscaler(object) {
            self.agenda.now(task);
        }
    }

    /// Puts up volumes and claims that may fit each other now, and Pods that wait for them.
    fn mark_storage(&mut self, table: &str, object: &Value) {
        if table == volumes::CLAIMS {
            if let Some(volume) = object["spec"]["volumeName"].as_str() {
                self.agenda.now(Task::Volume(volume.to_owned()));
            }
            for volume in self.world.all(volumes::VOLUMES) {
                if volume["spec"]["claimRef"]["uid"] == *crate::object::uid(object) {
                    self.agenda.now(Task::Volume(name(volume).to_owned()));
                }
            }
            self.look.retry_pending();
            self.agenda.now(Task::Schedule);
            return;
        }
        for claim in self.world.all(volumes::CLAIMS) {
            let is_own = claim["spec"]["volumeName"] == *name(object);
            if is_own || !volumes::is_bound(claim) {
                self.agenda.now(Task::Claim(key(claim)));
            }
        }
    }

    fn mark_daemon_sets(&mut self) {
        for set in self.world.all(daemon_set::TABLE) {
            self.agenda.now(Task::DaemonSet(key(set)));
        }
    }

    fn mark_budgets(&mut self, pod: &Value) {
        for budget in self.world.budgets_in(namespace(pod)) {
            if super::selector::selects(&budget["spec"]["selector"], labels(pod)) {
                self.agenda.now(Task::Budget(key(budget)));
            }
        }
    }

    fn mark_services(&mut self, pod: &Value) {
        for service in self.world.services_in(namespace(pod)) {
            let wanted = &service["spec"]["selector"];
            if endpoints::has_selector(service) && super::selector::contains(wanted, labels(pod)) {
                self.agenda.now(Task::Service(key(service)));
            }
        }
    }
}

/// Whether a node changed so that other Pods may fit it.
fn fits_others(before: &Value, after: &Value) -> bool {
    labels(before) != labels(after) || before["spec"] != after["spec"]
}

/// Table of CustomResourceDefinitions.
const CUSTOM_KINDS: &str = "customresourcedefinitions.apiextensions.k8s.io";

/// From now until a time, rounded up to what tokio's timers know.
fn until(now: Timestamp, time: Timestamp) -> Duration {
    let left = Duration::try_from(time.duration_since(now)).unwrap_or(Duration::ZERO);
    let millis = left.as_nanos().div_ceil(1_000_000);
    Duration::from_millis(u64::try_from(millis).unwrap_or(u64::MAX))
}
