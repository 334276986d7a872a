//! What a member's nodes have, and what of it is free, for its status and for who divides replicas.
//!
//! # Guarantees
//! A member is read twice a minute, in pages, for as long as it is Ready, and apart from its probes: a
//! long list delays none. What is kept is bounded.
//! # Assumptions
//! Pods count from when they are bound to a node until they have ended, as for the scheduler.
//! # Caveats
//! What is free is as old as the last read. Of a member with more Pods than [`PODS_MAX`], or that does
//! not let Pods be listed, only what its nodes have is known.

use crate::context::Context;
use crate::members::Member;
use api::{ClusterCapacity, ConfigScope};
use k8s_openapi::api::core::v1::{Container, Node, Pod, PodSpec};
use k8s_openapi::apimachinery::pkg::api::resource::Quantity;
use kube::api::ListParams;
use kube::runtime::reflector::ObjectRef;
use kube::{Api, Client, Resource};
use model::{ClusterName, Resources, quantity_millis};
use serde::de::DeserializeOwned;
use std::collections::{BTreeMap, HashMap};
use std::fmt::Debug;
use std::sync::Arc;
use std::time::Duration;
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

/// What a member has and what of it is free.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Capacity {
    /// Nodes that take Pods: ready, not cordoned, not tainted against them.
    pub(crate) nodes: usize,
    /// What these have together.
    pub(crate) allocatable: Resources,
    /// What is free on each of them; `None` when Pods could not be read.
    pub(crate) free: Option<Arc<[Resources]>>,
    /// Which read it is from.
    pub(crate) look: u64,
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
    capacity: Option<&Capacity>,
    before: Option<ClusterCapacity>,
    heartbeat: bool,
) -> Option<ClusterCapacity> {
    let Some(capacity) = capacity else {
        return before;
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

/// Keeps what is known of a member's capacity, for as long as it is registered.
pub(super) async fn follow(context: &Context, name: &ClusterName) {
    if context.host.scope == ConfigScope::Namespaced {
        // Nodes are in no namespace.
        return;
    }
    let key = ObjectRef::new(name.as_str()).within(&context.host.system_namespace);
    while let Some(member) = context.members.get(name) {
        let cluster = context.host.clusters.get(&key);
        let client = member.requests();
        let (Some(client), true) = (client, cluster.is_some_and(|cluster| cluster.is_ready()))
        else {
            sleep(LOOK).await;
            continue;
        };
        look(&member, &client).await;
        drop((member, client));
        sleep(PERIOD).await;
    }
}

/// Reads a member's capacity once.
pub(crate) async fn look(member: &Member, client: &Client) {
    let name = &member.name;
    match timeout(DEADLINE, read(client)).await {
        Ok(Ok(capacity)) => member.has(capacity),
        Ok(Err(error)) => tracing::debug!(cluster = %name, %error, "no capacity was read"),
        Err(_) => tracing::debug!(cluster = %name, "no capacity was read in time"),
    }
}

async fn read(client: &Client) -> kube::Result<Capacity> {
    let nodes = Api::<Node>::all(client.clone());
    let mut free = HashMap::new();
    let mut take = |node: Node| {
        if let Some((name, allocatable)) = schedulable(&node) {
            free.insert(name, allocatable);
        }
    };
    pages(&nodes, "", NODES_MAX, &mut take).await?;
    let mut capacity = Capacity {
        nodes: free.len(),
        allocatable: free
            .values()
            .copied()
            .fold(Resources::default(), Resources::plus),
        free: None,
        look: 0,
    };
    let pods = Api::<Pod>::all(client.clone());
    let living = "status.phase!=Succeeded,status.phase!=Failed";
    let mut take = |pod: Pod| {
        let node = pod.spec.as_ref().and_then(|spec| spec.node_name.as_ref());
        if let Some(left) = node.and_then(|node| free.get_mut(node)) {
            *left = left.minus(requests(&pod));
        }
    };
    match pages(&pods, living, PODS_MAX, &mut take).await {
        Ok(true) => capacity.free = Some(free.into_values().collect()),
        Ok(false) => {}
        // Rights that grant no Pods: what nodes have is known all the same.
        Err(kube::Error::Api(status)) if status.code == 403 => {}
        Err(error) => return Err(error),
    }
    Ok(capacity)
}

/// Reads page by page; whether that was all.
async fn pages<K>(
    api: &Api<K>,
    fields: &str,
    max: usize,
    take: &mut (dyn FnMut(K) + Send),
) -> kube::Result<bool>
where
    K: Resource<DynamicType = ()> + Clone + DeserializeOwned + Debug,
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

/// What the scheduler reserves for a Pod: the sum of its containers and of those that stay beside
/// them, or what one that runs before them wants, whichever is more (KEP-753); what the Pod says for
/// all of them goes before (KEP-2837); its overhead comes on top.
fn requests(pod: &Pod) -> Resources {
    let spec = pod.spec.clone().unwrap_or_default();
    let whole = spec.resources.as_ref().and_then(|of| of.requests.as_ref());
    let containers = of_containers(&spec);
    let named = amounts(whole);
    let or = |named: i64, otherwise: i64| if named > 0 { named } else { otherwise };
    let asked = Resources {
        cpu_millis: or(named.cpu_millis, containers.cpu_millis),
        memory_bytes: or(named.memory_bytes, containers.memory_bytes),
        pods: 0,
    };
    Resources {
        pods: 1,
        ..asked.plus(amounts(spec.overhead.as_ref()))
    }
}

fn of_containers(spec: &PodSpec) -> Resources {
    let wants = |container: &Container| {
        let resources = container.resources.as_ref();
        amounts(resources.and_then(|resources| resources.requests.as_ref()))
    };
    let (mut beside, mut before) = (Resources::default(), Resources::default());
    for container in spec.init_containers.iter().flatten() {
        match container.restart_policy.as_deref() {
            Some("Always") => beside = beside.plus(wants(container)),
            // Those that stay and were started earlier run meanwhile.
            _ => before = before.most(beside.plus(wants(container))),
        }
    }
    let running = spec.containers.iter().map(wants);
    running.fold(beside, Resources::plus).most(before)
}

impl Member {
    /// What it has, as it was read last.
    pub(crate) fn capacity(&self) -> Option<Arc<Capacity>> {
        self.capacity.borrow().clone()
    }

    fn has(&self, mut capacity: Capacity) {
        capacity.look = self.capacity().map_or(1, |before| before.look + 1);
        self.capacity.send_replace(Some(capacity.into()));
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::{Value, json};

    fn pod(spec: Value) -> Resources {
        let pod = serde_json::from_value(json!({"metadata": {}, "spec": spec}));
        requests(&pod.unwrap())
    }

    fn asks(cpu: &str, memory: &str) -> Value {
        json!({"requests": {"cpu": cpu, "memory": memory}})
    }

    #[test]
    fn a_pod_reserves_what_the_scheduler_reserves_for_it() {
        let web = json!({"name": "web", "resources": asks("250m", "64Mi")});
        let sidecar = json!({"name": "mesh", "restartPolicy": "Always",
            "resources": asks("100m", "32Mi")});
        let first = json!({"name": "load", "resources": asks("1", "16Mi")});
        let mebi = 1024 * 1024;
        for (spec, cpu_millis, memory) in [
            (json!({"containers": [web, web]}), 500, 128),
            (json!({"containers": [{"name": "free"}]}), 0, 0),
            (
                json!({"containers": [web], "initContainers": [sidecar]}),
                350,
                96,
            ),
            (
                json!({"containers": [web], "initContainers": [first]}),
                1000,
                64,
            ),
            (
                json!({"containers": [web], "initContainers": [sidecar, first]}),
                1100,
                96,
            ),
            (
                json!({"containers": [web], "initContainers": [first, sidecar]}),
                1000,
                96,
            ),
            (
                json!({"containers": [web], "resources": asks("2", "1Gi")}),
                2000,
                1024,
            ),
            (
                json!({"containers": [web], "overhead": {"cpu": "50m"}}),
                300,
                64,
            ),
        ] {
            let expected = Resources {
                cpu_millis,
                memory_bytes: memory * mebi,
                pods: 1,
            };
            assert_eq!(pod(spec.clone()), expected, "{spec}");
        }
    }

    #[test]
    fn a_status_changes_when_a_tenth_of_what_is_there_does_and_with_a_heartbeat() {
        let with_free = |cpu_millis| Capacity {
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
            look: 1,
        };
        let first = told(Some(&with_free(2000)), None, false);
        let cpu = |told: Option<ClusterCapacity>| told.unwrap().free.unwrap().cpu;
        assert_eq!(cpu(first.clone()), "2");
        for (now, heartbeat, expected) in [
            (2000, false, "2"),
            (1600, false, "2"),
            (1599, false, "1599m"),
            (1900, true, "1900m"),
        ] {
            let told = told(Some(&with_free(now)), first.clone(), heartbeat);
            assert_eq!(cpu(told), expected, "{now}");
        }
        assert_eq!(told(None, first.clone(), true), first);
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
