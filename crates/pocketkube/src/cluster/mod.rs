//! One cluster: every verb of its API as a synchronous call.
//!
//! HTTP handlers and the built-in controllers call the same methods, so both see the same
//! defaulting, validation, versions and errors. No call awaits; the store's lock is held only to
//! read pointers or to commit one write.

mod caller;
mod delete;
mod metadata;
mod options;
mod patch;
mod rules;
mod write;

pub use caller::{Caller, User};
pub use delete::{Deleted, FOREGROUND, ORPHAN};
pub use options::{
    DeleteOptions, DryRun, FieldValidation, Force, Part, Patch, Preconditions, Propagation,
    WriteOptions,
};
pub(crate) use write::{Target, Written};

use crate::chance::Chance;
use crate::changes::Changes;
use crate::clock::Clock;
use crate::object::Object;
use crate::registry::Registry;
use crate::resource::Resource;
use crate::status::Status;
use crate::store::{EVENTS_KEPT_MAX, Event, Store};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, RwLock};

/// How a cluster is made.
#[derive(Debug, Clone)]
pub struct ClusterOptions {
    /// Its name in kubeconfigs, certificates and what its load balancers answer.
    pub name: String,
    /// Where it takes the time from.
    pub clock: Clock,
    /// Uids, names and tokens come from this seed; without one, from the system.
    pub seed: Option<u64>,
    /// Events kept for watches that resume; older ones are answered with 410.
    pub events_kept_max: usize,
}

/// A Kubernetes cluster in the process. Cheap to clone; all clones are the same cluster.
#[derive(Debug, Clone)]
pub struct Cluster {
    inner: Arc<Inner>,
}

#[derive(Debug)]
struct Inner {
    options: ClusterOptions,
    chance: Chance,
    store: Mutex<Store>,
    registry: RwLock<Arc<Registry>>,
}

impl ClusterOptions {
    /// A cluster on the system's clock without a seed.
    pub fn named(name: impl Into<String>) -> Self {
        Self {
            name: name.into(),
            clock: Clock::system(),
            seed: None,
            events_kept_max: EVENTS_KEPT_MAX,
        }
    }
}

impl Cluster {
    /// A cluster without a socket, to be driven through its router.
    pub fn in_process(options: ClusterOptions) -> Self {
        let inner = Inner {
            chance: Chance::new(options.seed),
            store: Mutex::new(Store::new(options.events_kept_max)),
            registry: RwLock::new(Arc::new(Registry::default())),
            options,
        };
        Self {
            inner: Arc::new(inner),
        }
    }

    /// Its name.
    pub fn name(&self) -> &str {
        &self.inner.options.name
    }

    /// Where it takes the time from.
    pub fn clock(&self) -> Clock {
        self.inner.options.clock
    }

    /// Where it takes uids and names from.
    pub fn chance(&self) -> &Chance {
        &self.inner.chance
    }

    /// What it serves now.
    pub fn registry(&self) -> Arc<Registry> {
        let registry = self
            .inner
            .registry
            .read()
            .unwrap_or_else(PoisonError::into_inner);
        Arc::clone(&registry)
    }

    /// The resource of an `apiVersion` and `kind`.
    ///
    /// # Errors
    ///
    /// 404 when it is not served.
    pub fn resource(&self, api_version: &str, kind: &str) -> Result<Arc<Resource>, Status> {
        self.registry()
            .by_kind(api_version, kind)
            .ok_or_else(Status::no_such_path)
    }

    /// One object; `namespace` is empty for kinds that have none.
    ///
    /// # Errors
    ///
    /// 404.
    pub fn get(
        &self,
        resource: &Resource,
        namespace: &str,
        name: &str,
    ) -> Result<Arc<Object>, Status> {
        let found = self
            .store()
            .get(&resource.table(), &key(namespace, name))
            .cloned();
        found.ok_or_else(|| Status::not_found(resource, name))
    }

    /// All objects of a kind, of one namespace or of all, in key order.
    pub fn list(&self, resource: &Resource, namespace: Option<&str>) -> Vec<Arc<Object>> {
        let prefix = prefix(namespace);
        let store = self.store();
        store
            .range(&resource.table(), &prefix, None)
            .map(|(_, o)| Arc::clone(o))
            .collect()
    }

    /// Everything that happens from now on, for a controller that lists after this call.
    pub fn changes(&self) -> Changes {
        let store = self.store();
        let (version, moved) = (store.version(), store.moved());
        drop(store);
        Changes::new(self.clone(), version, moved)
    }

    /// Version of the latest write.
    pub fn version(&self) -> u64 {
        self.store().version()
    }

    pub(crate) fn events_since(&self, version: u64, limit: usize) -> Result<Vec<Arc<Event>>, u64> {
        let store = self.store();
        store.all_since(version, limit).map_err(|_| store.version())
    }

    pub(crate) fn store(&self) -> MutexGuard<'_, Store> {
        self.inner
            .store
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
    }
}

/// The key of an object in its table, as etcd has it.
pub(crate) fn key(namespace: &str, name: &str) -> String {
    match namespace {
        "" => name.to_owned(),
        namespace => format!("{namespace}/{name}"),
    }
}

/// What keys of a namespace, or all keys, start with.
pub(crate) fn prefix(namespace: Option<&str>) -> String {
    match namespace {
        None | Some("") => String::new(),
        Some(namespace) => format!("{namespace}/"),
    }
}
