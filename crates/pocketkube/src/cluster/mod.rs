//! One cluster: every verb of its API as a synchronous call.
//!
//! HTTP handlers and the built-in controllers call the same methods, so both see the same
//! defaulting, validation, versions and errors. No call awaits; the store's lock is held only to
//! read pointers or to commit one write.

mod allocate;
mod apply;
mod bootstrap;
mod caller;
mod definitions;
mod delete;
mod metadata;
mod options;
mod patch;
mod pods;
pub(crate) mod read;
mod rules;
mod scale;
mod system;
mod write;

pub use caller::{Caller, User};
pub use delete::{Deleted, FOREGROUND, ORPHAN};
pub use options::{
    Admission, DeleteOptions, DryRun, FieldValidation, Force, Part, Patch, Preconditions,
    Propagation, WriteOptions,
};
pub(crate) use write::{Sent, Target, Written};

use crate::authorization::{Authorization, Bindings};
use crate::certificates::{Authority, ClientCertificate};
use crate::chance::Chance;
use crate::changes::Changes;
use crate::clock::Clock;
use crate::data::Origin;
use crate::error::Error;
use crate::faults::FaultSwitch;
use crate::kinds::Kind;
use crate::kubeconfig;
use crate::object::Object;
use crate::registry::Registry;
use crate::requests::RequestLog;
use crate::resource::Resource;
use crate::selector::FieldSelector;
use crate::server;
use crate::status::Status;
use crate::store::{EVENTS_KEPT_MAX, Event, Store};
use crate::tokens::Tokens;
use crate::workloads::{WorkloadOptions, Workloads};
use allocate::Allocations;
use futures::FutureExt;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError, RwLock, Weak};

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
    /// Port of its server in a fleet; 0 is any free one.
    pub port: u16,
    /// How its workloads behave; without them nothing but clients and the API itself writes.
    pub workloads: Option<WorkloadOptions>,
    /// Whether roles are enforced.
    pub authorization: Authorization,
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
    tokens: Tokens,
    bindings: Bindings,
    faults: FaultSwitch,
    requests: RequestLog,
    allocations: Mutex<Allocations>,
    url: String,
    authority: Option<Authority>,
    kubeconfig_path: OnceLock<PathBuf>,
    /// Keeps the folder of its data for as long as the cluster lives.
    _lock: Option<std::fs::File>,
}

/// What a cluster is made of besides its options.
struct Start {
    url: String,
    authority: Option<Authority>,
    tokens: Tokens,
    store: Store,
    chance: Chance,
    lock: Option<std::fs::File>,
}

impl ClusterOptions {
    /// A cluster on the system's clock without a seed.
    pub fn named(name: impl Into<String>) -> Self {
        Self {
            name: name.into(),
            clock: Clock::system(),
            seed: None,
            events_kept_max: EVENTS_KEPT_MAX,
            port: 0,
            workloads: Some(WorkloadOptions::default()),
            authorization: Authorization::default(),
        }
    }
}

impl Cluster {
    /// A cluster without a socket, to be driven through its router. Its workloads start when
    /// [`Cluster::start_workloads`] is called.
    pub fn in_process(options: ClusterOptions) -> Self {
        let chance = Chance::new(options.seed);
        let start = Start {
            url: format!("https://{}.invalid", options.name),
            authority: None,
            tokens: Tokens::new(&chance),
            store: Store::new(options.events_kept_max),
            chance,
            lock: None,
        };
        Self::start(options, start)
    }

    /// A cluster whose server is reached at `url` and proves itself by a certificate of its
    /// authority.
    pub(crate) fn at(options: ClusterOptions, url: String, origin: Origin) -> Self {
        let start = Start {
            url,
            authority: Some(origin.authority),
            tokens: origin.tokens,
            store: origin.store,
            chance: origin.chance,
            lock: origin.lock,
        };
        Self::start(options, start)
    }

    fn start(options: ClusterOptions, start: Start) -> Self {
        let inner = Inner {
            options,
            chance: start.chance,
            store: Mutex::new(start.store),
            registry: RwLock::new(Registry::built_in()),
            tokens: start.tokens,
            bindings: Bindings::default(),
            faults: FaultSwitch::new(),
            requests: RequestLog::default(),
            allocations: Mutex::new(Allocations::new()),
            url: start.url,
            authority: start.authority,
            kubeconfig_path: OnceLock::new(),
            _lock: start.lock,
        };
        let cluster = Self {
            inner: Arc::new(inner),
        };
        cluster.resume();
        cluster.bootstrap();
        cluster
    }

    /// Starts the workloads of a cluster that is not part of a fleet; they run until the returned
    /// value is dropped.
    pub fn start_workloads(&self) -> Option<Workloads> {
        let options = self.inner.options.workloads.clone()?;
        Some(Workloads::start(self, options))
    }

    /// Its API as a service within the process: requests without credentials are the
    /// administrator's.
    pub fn router(&self) -> axum::Router {
        server::router(self.clone(), server::Access::Trusted)
    }

    /// `https://127.0.0.1:PORT`, or an address that leads nowhere for a cluster without a socket.
    pub fn url(&self) -> &str {
        &self.inner.url
    }

    /// The certificate authority of its server in PEM; empty without a socket.
    pub fn ca_pem(&self) -> &str {
        self.authority().map_or("", Authority::pem)
    }

    /// The administrator's token.
    pub fn token(&self) -> &str {
        self.inner.tokens.admin()
    }

    /// A kubeconfig for its administrator, in YAML.
    pub fn kubeconfig(&self) -> String {
        let user = kubeconfig::User::Token(self.token());
        kubeconfig::yaml(self.name(), self.url(), self.ca_pem(), &user)
    }

    /// A client certificate of this cluster's authority: the user is its common name, the groups
    /// are its organizations.
    ///
    /// # Errors
    ///
    /// When the cluster has no socket, and so no authority.
    pub fn client_certificate(
        &self,
        user: &str,
        groups: &[&str],
    ) -> Result<ClientCertificate, Error> {
        let authority = self.authority().ok_or(Error::NoAuthority)?;
        authority.client(user, groups)
    }

    /// A kubeconfig for whoever holds a client certificate, in YAML.
    pub fn kubeconfig_with(&self, certificate: &ClientCertificate) -> String {
        let user = kubeconfig::User::Certificate(certificate);
        kubeconfig::yaml(self.name(), self.url(), self.ca_pem(), &user)
    }

    /// Where its fleet wrote its kubeconfig.
    pub fn kubeconfig_path(&self) -> Option<&Path> {
        self.inner.kubeconfig_path.get().map(PathBuf::as_path)
    }

    /// Forgets all events, as etcd's compaction does: watches that resume get 410.
    pub fn compact(&self) {
        self.store().compact();
    }

    /// Its name.
    pub fn name(&self) -> &str {
        &self.inner.options.name
    }

    /// Where it takes the time from.
    pub fn clock(&self) -> Clock {
        let skew = self.faults().clock_skew_secs();
        self.inner.options.clock.skewed(skew)
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
        let found = self.store().get(&resource.table(), &key(namespace, name));
        found.ok_or_else(|| Status::not_found(resource, name))
    }

    /// All objects of a kind, of one namespace or of all, in key order.
    pub fn list(&self, resource: &Resource, namespace: Option<&str>) -> Vec<Arc<Object>> {
        let prefix = prefix(namespace);
        let store = self.store();
        store
            .range(&resource.table(), &prefix, None)
            .map(|(_, object)| object)
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

    /// What is wrong with it, and making it so.
    pub fn faults(&self) -> &FaultSwitch {
        &self.inner.faults
    }

    /// The requests that it served.
    pub fn requests(&self) -> &RequestLog {
        &self.inner.requests
    }

    /// Whether roles are enforced.
    pub fn authorization(&self) -> Authorization {
        self.inner.options.authorization
    }

    pub(crate) fn authority(&self) -> Option<&Authority> {
        self.inner.authority.as_ref()
    }

    pub(crate) fn tokens(&self) -> &Tokens {
        &self.inner.tokens
    }

    pub(crate) fn bindings(&self) -> &Bindings {
        &self.inner.bindings
    }

    /// An object of a table, as kept.
    pub(crate) fn kept(&self, table: &str, namespace: &str, name: &str) -> Option<Arc<Object>> {
        self.store().get(table, &key(namespace, name))
    }

    pub(crate) fn events_since(&self, version: u64, limit: usize) -> Result<Vec<Arc<Event>>, u64> {
        let store = self.store();
        store.all_since(version, limit).map_err(|_| store.version())
    }

    /// Something that tells whether anybody still holds it.
    pub(crate) fn downgrade(&self) -> Weak<impl Sized + use<>> {
        Arc::downgrade(&self.inner)
    }

    pub(crate) fn set_kubeconfig_path(&self, path: PathBuf) {
        // Set once, by the fleet that wrote the file.
        let _ = self.inner.kubeconfig_path.set(path);
    }

    /// What is particular to a kind.
    pub(crate) fn kind(&self, resource: &Resource) -> Result<Arc<Kind>, Status> {
        self.registry()
            .kind(resource)
            .cloned()
            .ok_or_else(Status::no_such_path)
    }

    /// Checks that a kind knows the fields of a selector.
    pub(crate) fn check_fields(
        &self,
        resource: &Resource,
        selector: &FieldSelector,
    ) -> Result<(), Status> {
        let kind = self.kind(resource)?;
        let unknown = selector
            .terms()
            .iter()
            .find(|term| !kind.has_selector(&term.field));
        match unknown {
            None => Ok(()),
            Some(term) => {
                let message = match resource.is_custom() || has_own_fields(resource) {
                    true => format!("field label not supported: {}", term.field),
                    false => format!(
                        "{:?} is not a known field selector: only \"metadata.name\", \
                         \"metadata.namespace\"",
                        term.field
                    ),
                };
                Err(Status::bad_request(message))
            }
        }
    }

    fn change_registry(&self, change: impl FnOnce(&mut Registry)) {
        let mut registry = self
            .inner
            .registry
            .write()
            .unwrap_or_else(PoisonError::into_inner);
        change(Arc::make_mut(&mut registry));
    }

    fn allocations(&self) -> MutexGuard<'_, Allocations> {
        self.inner
            .allocations
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
    }

    /// Host and port of its server, for its own endpoints.
    fn server_address(&self) -> (String, u16) {
        let authority = self.url().trim_start_matches("https://");
        let parsed = authority
            .rsplit_once(':')
            .and_then(|(host, port)| Some((host.to_owned(), port.parse().ok()?)));
        parsed.unwrap_or_else(|| ("127.0.0.1".to_owned(), 6443))
    }

    pub(crate) fn store(&self) -> MutexGuard<'_, Store> {
        self.inner
            .store
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
    }
}

/// The outcome of a write that asks nobody, and so never waits.
pub(crate) fn at_once<T>(write: impl Future<Output = T>) -> T {
    write
        .now_or_never()
        .expect("only webhooks are waited for, and this write asks none")
}

/// Whether upstream registers field selectors of a built-in kind's own, which words its errors.
fn has_own_fields(resource: &Resource) -> bool {
    let kinds = [
        "events",
        "jobs.batch",
        "namespaces",
        "nodes",
        "pods",
        "replicasets.apps",
        "replicationcontrollers",
        "secrets",
        "services",
    ];
    kinds.contains(&resource.qualified().as_str())
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
