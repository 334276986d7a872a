//! What a member's nodes have, and what of it is free, for its status and for who divides replicas.
//!
//! # Guarantees
//! The leader reads a member twice a minute, in pages, for as long as it is Ready, and apart from its
//! probes: a long list delays none. No more than [`TURNS_MAX`] are read at once. What is kept is bounded.
//! # Assumptions
//! Pods count from when they are bound to a node until they have ended, as for the scheduler.
//! # Caveats
//! What is free is as old as the last read. Of a member with more Pods than [`PODS_MAX`], or that does
//! not let Pods be listed, only what its nodes have is known. Of one with more nodes than [`NODES_MAX`], or
//! that does not let them be listed, nothing is.

use super::networks;
use crate::context::Context;
use crate::members::Member;
use crate::pod_requests::{PodSpec, requests};
use api::{ClusterCapacity, ConfigScope};
use ipnet::IpNet;
use k8s_openapi::api::core::v1::{Node, Pod};
use k8s_openapi::apimachinery::pkg::api::resource::Quantity;
use kube::api::{ApiResource, ListParams, NotUsed, Object};
use kube::runtime::reflector::ObjectRef;
use kube::{Api, Client};
use model::{ClusterName, Resources, quantity_millis};
use serde::de::DeserializeOwned;
use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Debug;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;
use tokio::sync::Semaphore;
use tokio::time::{sleep, timeout};

/// Between two reads of a member.
const PERIOD: Duration = Duration::from_secs(30);
/// Between two looks whether a member is Ready.
const LOOK: Duration = Duration::from_secs(5);
/// How long a read may take, all its pages together.
const DEADLINE: Duration = Duration::from_secs(20);
/// Objects in one page.
const PAGE: u32 = 500;
/// Nodes and Pods that are read at most.
const NODES_MAX: usize = 5_000;
const PODS_MAX: usize = 20_000;
/// Members that are read at once: the pages of each are held meanwhile.
const TURNS_MAX: usize = 4;
/// Numbers the reads.
static LOOKS: AtomicU64 = AtomicU64::new(1);

/// Turns among the reads.
pub(crate) struct Turns(Semaphore);

impl Default for Turns {
    fn default() -> Self {
        Self(Semaphore::new(TURNS_MAX))
    }
}

/// What a member has and what of it is free.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Capacity {
    /// Nodes that take Pods: ready, not cordoned, not tainted against them.
    pub(crate) nodes: usize,
    /// What these have together.
    pub(crate) allocatable: Resources,
    /// What is free on each of them; `None` when Pods could not be read.
    pub(crate) free: Option<Arc<[Resources]>>,
    /// The private networks that nodes tell of.
    pub(crate) networks: Arc<[IpNet]>,
    /// Which read it is from; each has a number of its own.
    pub(crate) look: u64,
}

/// What a status says of its networks.
pub(super) fn networks_told(known: &Known, before: Vec<String>, heartbeat: bool) -> Vec<String> {
    match known {
        Known::NotYet => before,
        Known::Withheld => Vec::new(),
        Known::Read(capacity) => networks::told(&capacity.networks, before, heartbeat),
    }
}

/// What is known of a member's capacity.
#[derive(Clone, Debug, Default)]
pub(crate) enum Known {
    /// It was not read yet, over this connection.
    #[default]
    NotYet,
    /// The member, or the scope of this control plane, does not let its nodes be read.
    Withheld,
    /// This.
    Read(Arc<Capacity>),
}

impl Capacity {
    /// What is free on all nodes together.
    pub(crate) fn free_in_all(&self) -> Option<Resources> {
        let free = self.free.as_ref()?.iter().copied();
        Some(free.fold(Resources::default(), Resources::plus))
    }
}

/// What a status says of it: what it said before, while no figure is off by more than a tenth of what
/// is there, so that each Pod that comes or goes makes no write.
pub(super) fn told(
    known: &Known,
    before: Option<ClusterCapacity>,
    heartbeat: bool,
) -> Option<ClusterCapacity> {
    let capacity = match known {
        Known::NotYet => return before,
        Known::Withheld => return None,
        Known::Read(capacity) => capacity,
    };
    let now = ClusterCapacity {
        nodes: i64::try_from(capacity.nodes).unwrap_or(i64::MAX),
        allocatable: capacity.allocatable.into(),
        free: capacity.free_in_all().map(Into::into),
    };
    let same = |before: &ClusterCapacity| {
        before.nodes == now.nodes
            && before.allocatable == now.allocatable
            && match (&before.free, capacity.free_in_all()) {
                (Some(before), Some(now)) => is_near(before.read(), now, capacity.allocatable),
                (before, now) => before.is_none() && now.is_none(),
            }
    };
    match before {
        Some(before) if !heartbeat && same(&before) => Some(before),
        _ => Some(now),
    }
}

fn is_near(one: Resources, other: Resources, of: Resources) -> bool {
    let near = |one: i64, other: i64, of: i64| one.abs_diff(other) <= of.unsigned_abs() / 10;
    near(one.cpu_millis, other.cpu_millis, of.cpu_millis)
        && near(one.memory_bytes, other.memory_bytes, of.memory_bytes)
        && near(one.pods, other.pods, of.pods)
}

/// Keeps what is known of a member's capacity, for as long as it is registered and this process
/// leads.
pub(super) async fn follow(context: &Context, name: &ClusterName) {
    if context.host.scope == ConfigScope::Namespaced {
        // Nodes are in no namespace.
        if let Some(member) = context.members.get(name) {
            member.capacity.send_replace(Known::Withheld);
        }
        return;
    }
    let key = ObjectRef::new(name.as_str()).within(&context.host.system_namespace);
    while let Some(member) = context.members.get(name) {
        let cluster = context.host.clusters.get(&key);
        let is_ready = cluster.is_some_and(|cluster| cluster.is_ready());
        let client = member.requests();
        let (Some(client), true, true) = (client, is_ready, context.leadership.leads()) else {
            sleep(LOOK).await;
            continue;
        };
        let turn = context.capacity_turns.0.acquire().await;
        look(&member, &client).await;
        drop((member, client, turn));
        sleep(PERIOD).await;
    }
}

/// Reads a member's capacity once.
pub(crate) async fn look(member: &Member, client: &Client) {
    let name = &member.name;
    match timeout(DEADLINE, read(client)).await {
        Ok(Ok(known)) => drop(member.capacity.send_replace(known)),
        Ok(Err(error)) => tracing::debug!(cluster = %name, %error, "no capacity was read"),
        Err(_) => tracing::debug!(cluster = %name, "no capacity was read in time"),
    }
}

async fn read(client: &Client) -> kube::Result<Known> {
    let nodes = Api::<Node>::all(client.clone());
    let mut free = BTreeMap::new();
    let mut told = BTreeSet::new();
    let mut take = |node: Node| {
        told.extend(networks::of_node(&node));
        if let Some((name, allocatable)) = schedulable(&node) {
            free.insert(name, allocatable);
        }
    };
    match pages(&nodes, "", NODES_MAX, &mut take).await {
        Ok(true) => {}
        // A part of what there is would be taken for all of it.
        Ok(false) => return Ok(Known::Withheld),
        Err(kube::Error::Api(status)) if status.code == 403 => return Ok(Known::Withheld),
        Err(error) => return Err(error),
    }
    let has = free.values().copied();
    let mut capacity = Capacity {
        nodes: free.len(),
        allocatable: has.fold(Resources::default(), Resources::plus),
        free: None,
        networks: networks::together(told.into_iter().collect()).into(),
        look: LOOKS.fetch_add(1, Ordering::Relaxed),
    };
    let pods = ApiResource::erase::<Pod>(&());
    let pods = Api::<Object<PodSpec, NotUsed>>::all_with(client.clone(), &pods);
    let living = "status.phase!=Succeeded,status.phase!=Failed";
    let mut take = |pod: Object<PodSpec, NotUsed>| {
        let node = pod.spec.node_name.as_ref();
        if let Some(left) = node.and_then(|node| free.get_mut(node)) {
            *left = left.minus(requests(&pod.spec));
        }
    };
    match pages(&pods, living, PODS_MAX, &mut take).await {
        Ok(true) => capacity.free = Some(free.into_values().collect()),
        Ok(false) => {}
        // Rights that grant no Pods: what nodes have is known all the same.
        Err(kube::Error::Api(status)) if status.code == 403 => {}
        Err(error) => return Err(error),
    }
    Ok(Known::Read(Arc::new(capacity)))
}

/// Reads page by page; whether that was all.
async fn pages<K>(
    api: &Api<K>,
    fields: &str,
    max: usize,
    take: &mut (dyn FnMut(K) + Send),
) -> kube::Result<bool>
where
    K: Clone + DeserializeOwned + Debug,
{
    let mut parameters = ListParams::default().limit(PAGE).fields(fields);
    let mut read = 0;
    loop {
        let page = api.list(&parameters).await?;
        read += page.items.len();
        page.items.into_iter().for_each(&mut *take);
        parameters.continue_token = page.metadata.continue_.filter(|token| !token.is_empty());
        if parameters.continue_token.is_none() {
            return Ok(true);
        }
        if read >= max {
            return Ok(false);
        }
    }
}

/// What a node has, when it takes Pods.
fn schedulable(node: &Node) -> Option<(String, Resources)> {
    let spec = node.spec.as_ref();
    let cordoned = spec.and_then(|spec| spec.unschedulable).unwrap_or(false);
    let taints = spec.and_then(|spec| spec.taints.as_ref());
    let mut taints = taints.into_iter().flatten();
    let repels = taints.any(|taint| ["NoSchedule", "NoExecute"].contains(&taint.effect.as_str()));
    let status = node.status.as_ref()?;
    let mut conditions = status.conditions.iter().flatten();
    let ready =
        conditions.any(|condition| condition.type_ == "Ready" && condition.status == "True");
    if cordoned || repels || !ready {
        return None;
    }
    let name = node.metadata.name.clone()?;
    Some((name, amounts(status.allocatable.as_ref())))
}

fn amounts(quantities: Option<&BTreeMap<String, Quantity>>) -> Resources {
    let millis = |name: &str| {
        let quantity = quantities.and_then(|quantities| quantities.get(name));
        quantity.and_then(|quantity| quantity_millis(&quantity.0))
    };
    Resources {
        cpu_millis: millis("cpu").unwrap_or(0),
        memory_bytes: millis("memory").unwrap_or(0) / 1000,
        pods: millis("pods").unwrap_or(0) / 1000,
    }
}

impl Member {
    /// What it has, as it was read last.
    pub(crate) fn capacity(&self) -> Option<Arc<Capacity>> {
        match &*self.capacity.borrow() {
            Known::Read(capacity) => Some(Arc::clone(capacity)),
            Known::NotYet | Known::Withheld => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::{Value, json};

    #[test]
    fn a_status_changes_when_a_tenth_of_what_is_there_does_and_with_a_heartbeat() {
        let with_free = |cpu_millis| {
            Known::Read(Arc::new(Capacity {
                nodes: 1,
                allocatable: Resources {
                    cpu_millis: 4000,
                    memory_bytes: 8 << 30,
                    pods: 110,
                },
                free: Some(Arc::new([Resources {
                    cpu_millis,
                    memory_bytes: 4 << 30,
                    pods: 100,
                }])),
                networks: Arc::new([]),
                look: 1,
            }))
        };
        let first = told(&with_free(2000), None, false);
        let cpu = |told: Option<ClusterCapacity>| told.unwrap().free.unwrap().cpu;
        assert_eq!(cpu(first.clone()), "2");
        for (now, heartbeat, expected) in [
            (2000, false, "2"),
            (1600, false, "2"),
            (1599, false, "1599m"),
            (1900, true, "1900m"),
        ] {
            let told = told(&with_free(now), first.clone(), heartbeat);
            assert_eq!(cpu(told), expected, "{now}");
        }
        assert_eq!(told(&Known::NotYet, first.clone(), true), first);
        assert_eq!(told(&Known::Withheld, first, false), None);
    }

    #[test]
    fn a_node_that_takes_no_pods_has_nothing() {
        let node = |spec: Value, ready: &str| {
            let node = json!({"metadata": {"name": "n"}, "spec": spec, "status": {
                "allocatable": {"cpu": "4", "memory": "8Gi", "pods": "110"},
                "conditions": [{"type": "Ready", "status": ready}]}});
            schedulable(&serde_json::from_value(node).unwrap()).map(|(_, has)| has)
        };
        let has = node(json!({}), "True").unwrap();
        assert_eq!(
            (has.cpu_millis, has.memory_bytes, has.pods),
            (4000, 8 << 30, 110)
        );
        let taint = |effect: &str| json!({"taints": [{"key": "k", "effect": effect}]});
        assert!(node(taint("PreferNoSchedule"), "True").is_some());
        assert!(node(taint("NoSchedule"), "True").is_none());
        assert!(node(json!({"unschedulable": true}), "True").is_none());
        assert!(node(json!({}), "Unknown").is_none());
    }
}
