//! What the controllers know of the cluster, indexed for their questions; follows its changes.

use super::addresses::Addresses;
use super::{daemon_set, job, pod, replica_set, revision, scheduler, volumes};
use crate::garbage::Graph;
use crate::object::{Object, controller_uid, name, namespace, uid};
use serde_json::Value;
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

/// Indices over the cluster's objects.
#[derive(Debug)]
pub(crate) struct World {
    /// Who owns whom.
    pub(crate) graph: Graph,
    /// Nodes, and what is taken on them.
    pub(crate) board: scheduler::Board,
    /// Addresses of Pods.
    pub(crate) addresses: Addresses,
    /// Zone of each node that has one.
    pub(crate) zones: BTreeMap<String, String>,
    nodes: BTreeMap<String, Arc<Object>>,
    pods: BTreeMap<String, Arc<Object>>,
    /// Objects of the [`FOLLOWED`] tables, by key.
    kept: BTreeMap<&'static str, BTreeMap<String, Arc<Object>>>,
    services: BTreeMap<String, Arc<Object>>,
    budgets: BTreeMap<String, Arc<Object>>,
    /// Slices of each Service, by the Service's key.
    slices: BTreeMap<String, BTreeMap<String, Arc<Object>>>,
    /// Children of controllers, by the controller's uid and the child's key.
    children: BTreeMap<String, BTreeMap<String, Arc<Object>>>,
    /// Pods, ReplicaSets and the like without a controller, by table and namespace.
    loose: BTreeMap<(&'static str, String), BTreeMap<String, Arc<Object>>>,
    /// Keys of Pods on each node.
    on_node: BTreeMap<String, BTreeSet<String>>,
}

/// A table whose objects are kept by key.
struct Followed {
    table: &'static str,
    by: By,
}

/// What else its objects are found by.
#[derive(Clone, Copy, PartialEq, Eq)]
enum By {
    Controller,
    Nothing,
}

const FOLLOWED: [Followed; 7] = [
    Followed {
        table: replica_set::TABLE,
        by: By::Controller,
    },
    Followed {
        table: revision::TABLE,
        by: By::Controller,
    },
    Followed {
        table: job::TABLE,
        by: By::Controller,
    },
    Followed {
        table: daemon_set::TABLE,
        by: By::Nothing,
    },
    Followed {
        table: volumes::CLAIMS,
        by: By::Nothing,
    },
    Followed {
        table: volumes::VOLUMES,
        by: By::Nothing,
    },
    Followed {
        table: volumes::CLASSES,
        by: By::Nothing,
    },
];

impl World {
    /// Knows nothing yet.
    pub(crate) fn new(addresses: Addresses) -> Self {
        Self {
            graph: Graph::default(),
            board: scheduler::Board::default(),
            addresses,
            zones: BTreeMap::new(),
            nodes: BTreeMap::new(),
            pods: BTreeMap::new(),
            kept: BTreeMap::new(),
            services: BTreeMap::new(),
            budgets: BTreeMap::new(),
            slices: BTreeMap::new(),
            children: BTreeMap::new(),
            loose: BTreeMap::new(),
            on_node: BTreeMap::new(),
        }
    }

    /// Takes an object as it is now. Says whether room for Pods became free.
    pub(crate) fn put(&mut self, table: &str, object: &Arc<Object>) -> bool {
        self.graph.put(table, object);
        let key = key(object);
        match table {
            pod::TABLE => {
                let before = self.pods.insert(key.clone(), Arc::clone(object));
                self.index(pod::TABLE, before.as_deref(), Some(object));
                self.place(&key, before.as_deref(), Some(object));
                self.board.put_pod(object)
            }
            scheduler::NODES => {
                let zone = crate::object::label(object, "topology.kubernetes.io/zone");
                match zone {
                    Some(zone) => drop(self.zones.insert(key.clone(), zone.to_owned())),
                    None => drop(self.zones.remove(&key)),
                }
                self.board.put_node(object);
                self.nodes.insert(key, Arc::clone(object));
                true
            }
            super::endpoints::SLICES => {
                if let Some(service) = service_of(object) {
                    let slices = self.slices.entry(service).or_default();
                    slices.insert(key, Arc::clone(object));
                }
                false
            }
            super::endpoints::SERVICES => {
                self.services.insert(key, Arc::clone(object));
                false
            }
            super::disruption::TABLE => {
                self.budgets.insert(key, Arc::clone(object));
                false
            }
            _ => self.keep(table, &key, Some(object)),
        }
    }

    /// Forgets an object. Says whether room for Pods became free.
    pub(crate) fn remove(&mut self, table: &str, object: &Arc<Object>) -> bool {
        self.graph.remove(object);
        let key = key(object);
        match table {
            pod::TABLE => {
                let before = self.pods.remove(&key);
                self.index(pod::TABLE, before.as_deref(), None);
                self.place(&key, before.as_deref(), None);
                if let Some(address) = address(object) {
                    self.addresses.release(address);
                }
                self.board.remove_pod(uid(object))
            }
            scheduler::NODES => {
                self.zones.remove(&key);
                self.nodes.remove(&key);
                self.board.remove_node(&key);
                true
            }
            super::endpoints::SLICES => {
                if let Some(service) = service_of(object)
                    && let Some(slices) = self.slices.get_mut(&service)
                {
                    slices.remove(&key);
                    if slices.is_empty() {
                        self.slices.remove(&service);
                    }
                }
                false
            }
            super::endpoints::SERVICES => {
                self.services.remove(&key);
                false
            }
            super::disruption::TABLE => {
                self.budgets.remove(&key);
                false
            }
            _ => self.keep(table, &key, None),
        }
    }

    /// An object of one of the [`FOLLOWED`] tables.
    pub(crate) fn one(&self, table: &str, key: &str) -> Option<&Arc<Object>> {
        self.kept.get(table)?.get(key)
    }

    /// All objects of one of the [`FOLLOWED`] tables, by key.
    pub(crate) fn all(&self, table: &str) -> impl Iterator<Item = &Arc<Object>> {
        self.kept.get(table).into_iter().flat_map(BTreeMap::values)
    }

    /// Those of a namespace.
    pub(crate) fn all_in(
        &self,
        table: &str,
        namespace: &str,
    ) -> impl Iterator<Item = &Arc<Object>> {
        let kept = self.kept.get(table).into_iter();
        kept.flat_map(move |kept| in_namespace(kept, namespace))
    }

    /// A Node.
    pub(crate) fn node(&self, name: &str) -> Option<&Arc<Object>> {
        self.nodes.get(name)
    }

    /// All Nodes, by name.
    pub(crate) fn nodes(&self) -> impl Iterator<Item = &Arc<Object>> {
        self.nodes.values()
    }

    /// A Pod, by its key.
    pub(crate) fn pod(&self, key: &str) -> Option<&Arc<Object>> {
        self.pods.get(key)
    }

    /// Pods of a namespace, by name.
    pub(crate) fn pods_in(&self, namespace: &str) -> impl Iterator<Item = &Arc<Object>> {
        in_namespace(&self.pods, namespace)
    }

    /// Services of a namespace, by name.
    pub(crate) fn services_in(&self, namespace: &str) -> impl Iterator<Item = &Arc<Object>> {
        in_namespace(&self.services, namespace)
    }

    /// PodDisruptionBudgets of a namespace, by name.
    pub(crate) fn budgets_in(&self, namespace: &str) -> impl Iterator<Item = &Arc<Object>> {
        in_namespace(&self.budgets, namespace)
    }

    /// All Services, by key.
    pub(crate) fn services(&self) -> impl Iterator<Item = (&String, &Arc<Object>)> {
        self.services.iter()
    }

    /// Slices of a Service.
    pub(crate) fn slices(&self, service: &str) -> impl Iterator<Item = &Arc<Object>> {
        self.slices
            .get(service)
            .into_iter()
            .flat_map(BTreeMap::values)
    }

    /// Keys of the Pods on a node.
    pub(crate) fn pods_on(&self, node: &str) -> impl Iterator<Item = &String> {
        self.on_node.get(node).into_iter().flatten()
    }

    /// What a controller controls.
    pub(crate) fn children(&self, controller: &str) -> impl Iterator<Item = &Arc<Object>> {
        self.children
            .get(controller)
            .into_iter()
            .flat_map(BTreeMap::values)
    }

    /// Pods, ReplicaSets and the like of a namespace that nobody controls.
    pub(crate) fn loose(
        &self,
        table: &'static str,
        namespace: &str,
    ) -> impl Iterator<Item = &Arc<Object>> {
        self.loose
            .get(&(table, namespace.to_owned()))
            .into_iter()
            .flat_map(BTreeMap::values)
    }

    /// Follows an object that no board or index of its own is kept for. Frees no room.
    fn keep(&mut self, table: &str, key: &str, after: Option<&Arc<Object>>) -> bool {
        let followed = FOLLOWED.iter().find(|followed| followed.table == table);
        let Some(followed) = followed else {
            return false;
        };
        let kept = self.kept.entry(followed.table).or_default();
        let before = match after {
            Some(object) => kept.insert(key.to_owned(), Arc::clone(object)),
            None => kept.remove(key),
        };
        if followed.by == By::Controller {
            self.index(followed.table, before.as_deref(), after);
        }
        false
    }

    fn index(&mut self, table: &'static str, before: Option<&Object>, after: Option<&Arc<Object>>) {
        if let Some(before) = before {
            self.unindex(table, before);
        }
        let Some(object) = after else { return };
        let family = match controller_uid(object) {
            Some(controller) => self.children.entry(controller.to_owned()).or_default(),
            None => self
                .loose
                .entry((table, namespace(object).to_owned()))
                .or_default(),
        };
        family.insert(key(object), Arc::clone(object));
    }

    fn unindex(&mut self, table: &'static str, object: &Object) {
        let key = key(object);
        if let Some(controller) = controller_uid(object) {
            if let Some(children) = self.children.get_mut(controller) {
                children.remove(&key);
                if children.is_empty() {
                    self.children.remove(controller);
                }
            }
            return;
        }
        let place = (table, namespace(object).to_owned());
        if let Some(loose) = self.loose.get_mut(&place) {
            loose.remove(&key);
            if loose.is_empty() {
                self.loose.remove(&place);
            }
        }
    }

    fn place(&mut self, key: &str, before: Option<&Object>, after: Option<&Arc<Object>>) {
        let old = before.map(|pod| pod::node(pod)).unwrap_or_default();
        let new = after.map(|pod| pod::node(pod)).unwrap_or_default();
        if (after.is_none() || old != new)
            && let Some(pods) = self.on_node.get_mut(old)
        {
            pods.remove(key);
        }
        if !new.is_empty() {
            self.on_node
                .entry(new.to_owned())
                .or_default()
                .insert(key.to_owned());
        }
        if let Some(address) = after.and_then(|pod| address(pod)) {
            self.addresses.claim(address);
        }
    }
}

/// `namespace/name`, or the name of an object of the cluster.
pub(crate) fn key(object: &Value) -> String {
    crate::cluster::key(namespace(object), name(object))
}

/// Key of the Service that a slice is of.
pub(crate) fn service_of(slice: &Value) -> Option<String> {
    let service = crate::object::label(slice, super::endpoints::SERVICE_NAME)?;
    Some(crate::cluster::key(namespace(slice), service))
}

fn address(pod: &Value) -> Option<std::net::Ipv4Addr> {
    if pod["spec"]["hostNetwork"] == true {
        return None;
    }
    pod["status"]["podIP"].as_str()?.parse().ok()
}

fn in_namespace<'a>(
    map: &'a BTreeMap<String, Arc<Object>>,
    namespace: &str,
) -> impl Iterator<Item = &'a Arc<Object>> {
    // `0` is the character behind `/`.
    let (first, last) = (format!("{namespace}/"), format!("{namespace}0"));
    map.range(first..last).map(|(_, object)| object)
}
