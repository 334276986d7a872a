//! The members: connections, caches and writes, each member apart from every other.
//!
//! A member has its own clients, its own bound on writes under way, its own circuit breaker, and a
//! lane for each federated type. Nothing here is shared between two members.

mod access;
pub(crate) mod apply;
mod breaker;
mod cache;
mod cause;
pub mod connect;
mod credential;
mod kubeconfig;
mod lane;
mod namespaces;
mod program;
mod proxy;
mod sighting;
mod silence;
pub(crate) mod still;
mod takeover;
mod tls;
mod turns;

pub(crate) use access::check_access;
pub(crate) use cache::{Cache, Change, MET_FOR};
pub(crate) use cause::cause;
pub(crate) use lane::{Depth, Lane};
pub use program::ExecPlugins;
pub(crate) use silence::Silence;
pub use takeover::handed_over;

use crate::Error;
use crate::clock::WallClock;
use crate::cluster_health::KnownCapacity;
use crate::wake::{NamedType, Wake};
use access::{Fingerprint, Ways, access};
use api::{FederatedType, KubeFedCluster};
use breaker::Breaker;
use cache::Presence;
use connect::{Connection, InProcess, connect};
use credential::Credentials;
use federation::{Delete, DeletionBrake, DeletionLedger, Failure};
use k8s_openapi::api::core::v1::{Namespace, Secret};
use kube::{Api, Client};
use lane::LaneOptions;
use model::{ClusterName, ObjectKey};
use namespaces::Namespaces;
use silence::Pause;
use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, RwLock};
use std::time::Duration;
use tokio::sync::SemaphorePermit;
use tokio::time::Instant;
use turns::Turns;

/// A member's clients, for who asks it once: after [`Connection::credentialed`].
///
/// # Errors
/// [`Error::Malformed`] with the field of the KubeFedCluster or the key of the Secret.
pub fn reach(
    cluster: &KubeFedCluster,
    secret: Option<&Secret>,
    plugins: &ExecPlugins,
) -> Result<Connection, Error> {
    let ways = Ways {
        in_process: None,
        plugins,
    };
    connect(access(cluster, secret, ways)?, WallClock::System)
}

/// One member.
pub(crate) struct Member {
    pub(crate) name: ClusterName,
    pub(crate) breaker: Breaker,
    /// Namespaces go before what is in them.
    pub(crate) namespaces: Namespaces,
    /// How long it has not answered.
    pub(crate) silence: Arc<Silence>,
    connected: RwLock<Connected>,
    watches: watch::Sender<Option<Client>>,
    restart: watch::Sender<u64>,
    definitions: watch::Sender<u64>,
    turns: Turns,
    lanes: RwLock<BTreeMap<String, Arc<Lane>>>,
    ledger: Mutex<DeletionLedger>,
    /// Since when the ledger counts.
    known_since: Instant,
    /// What its nodes have and what is free, as it was read last.
    pub(crate) capacity: watch::Sender<KnownCapacity>,
    /// The only namespace that is federated, where it is one: what is in none is not asked for then.
    pub(crate) within: Option<Arc<str>>,
    clock: WallClock,
}

#[derive(Default)]
struct Connected {
    fingerprint: Option<Fingerprint>,
    requests: Option<Client>,
    /// For how long it asked not to be asked.
    pause: Arc<Pause>,
    /// What a program prints to be shown there.
    credentials: Option<Credentials>,
    /// Why there is no connection.
    malformed: Option<String>,
    /// Uid of its `kube-system`, or of the only namespace that is federated, once it was asked.
    identity: Option<String>,
}

impl Member {
    fn new(name: ClusterName, within: Option<Arc<str>>, clock: WallClock) -> Self {
        Self {
            name,
            breaker: Breaker::default(),
            namespaces: Namespaces::default(),
            silence: Arc::default(),
            connected: RwLock::default(),
            watches: watch::Sender::new(None),
            restart: watch::Sender::new(0),
            definitions: watch::Sender::new(0),
            turns: Turns::default(),
            lanes: RwLock::default(),
            ledger: Mutex::default(),
            known_since: Instant::now(),
            capacity: watch::Sender::default(),
            within,
            clock,
        }
    }

    /// The client for reads and writes.
    pub(crate) fn requests(&self) -> Option<Client> {
        self.read().requests.clone()
    }

    /// Until a program that prints the member's credential has run once.
    pub(crate) async fn credentialed(&self) {
        let credentials = self.read().credentials.clone();
        if let Some(credentials) = credentials {
            credentials.first().await;
        }
    }

    /// Why the member cannot be connected to, when its KubeFedCluster or Secret is at fault.
    pub(crate) fn malformed(&self) -> Option<String> {
        self.read().malformed.clone()
    }

    /// For how much longer the member asked to be left alone.
    pub(crate) fn asked_to_wait(&self) -> Option<Duration> {
        self.read().pause.left()
    }

    /// Resolves once it is known how, or that it cannot, be connected to.
    pub(crate) async fn until_connected(&self) {
        let mut changes = self.watches.subscribe();
        while self.read().fingerprint.is_none() {
            // The sender lives as long as the member.
            if changes.changed().await.is_err() {
                return;
            }
        }
    }

    /// Uid of its `kube-system`, or of the only namespace that is federated, once it was asked.
    pub(crate) fn identity(&self) -> Option<String> {
        self.read().identity.clone()
    }

    /// Whether it is known to be the cluster of this uid.
    pub(crate) fn is(&self, uid: &str) -> bool {
        self.read().identity.as_deref() == Some(uid)
    }

    /// A turn among the writes to this member.
    pub(crate) async fn turn(&self) -> SemaphorePermit<'_> {
        self.turns.next().await
    }

    /// A single request was answered after this time.
    fn answered_after(&self, time: Duration) {
        self.turns.answered(time);
    }

    /// What a request came to, for the breaker: any answer is one.
    fn heard(&self, answer: &apply::Answer) {
        match answer {
            Err(error) if matches!(error.failure, Failure::TimedOut | Failure::Unreachable) => {
                self.breaker.silent();
            }
            _ => {
                self.breaker.answered();
                self.silence.answered();
            }
        }
    }

    /// The lane of a federated type, by the name of its FederatedTypeConfig.
    pub(crate) fn lane(&self, type_name: &str) -> Option<Arc<Lane>> {
        let lanes = self.lanes.read().unwrap_or_else(PoisonError::into_inner);
        lanes.get(type_name).cloned()
    }

    /// Whether what is in a Namespace waits for it: it is not there, or that is not known yet.
    pub(crate) fn awaits_namespace(&self, type_name: &str, key: &ObjectKey) -> bool {
        let Some(lane) = self.lane(type_name) else {
            return self.namespaces.are_first(&key.name);
        };
        match lane.cache.presence(key) {
            Presence::Present => false,
            Presence::Leaving => true,
            Presence::Absent => self.namespaces.are_first(&key.name),
            Presence::Unknown => {
                self.namespaces.are_first(&key.name) && !lane.cache.is_not_served()
            }
        }
    }

    /// Gives a type a lane that watches nothing.
    fn hold_still(&self, type_name: &str, cache: Cache) {
        self.namespaces.let_all_go();
        let mut lanes = self.lanes.write().unwrap_or_else(PoisonError::into_inner);
        lanes.insert(type_name.to_owned(), Lane::still(cache));
    }

    /// What a watch of its own needs: the client for watches, and when to begin anew.
    pub(crate) fn watching(&self) -> (watch::Receiver<Option<Client>>, watch::Receiver<u64>) {
        (self.watches.subscribe(), self.restart.subscribe())
    }

    /// The member is back: its watches begin anew.
    pub(crate) fn restart_watches(&self) {
        self.restart.send_modify(|generation| *generation += 1);
    }

    /// Whether deletions may go on there.
    pub(crate) fn brake(&self) -> DeletionBrake {
        let held = {
            let lanes = self.lanes.read().unwrap_or_else(PoisonError::into_inner);
            lanes.values().map(|lane| lane.cache.held()).sum()
        };
        let now = self.millis();
        let mut ledger = self.ledger();
        ledger.hold(held, now);
        ledger.brake(now)
    }

    /// Whether this deletion may be sent; it counts from now on.
    pub(crate) fn take_deletion(&self, delete: &Delete) -> DeletionBrake {
        let now = self.millis();
        self.ledger().take(delete, now)
    }

    /// It did not happen.
    pub(crate) fn give_deletion_back(&self, delete: &Delete) {
        self.ledger().give_back(delete);
    }

    /// How many deletions count there now.
    pub(crate) fn deletions(&self) -> usize {
        let now = self.millis();
        self.ledger().counted(now)
    }

    /// What the leader before deleted there counts too.
    fn inherit(&self, deletions: usize) {
        let now = self.millis();
        self.ledger().inherit(deletions, now);
    }

    /// Of a clock that nobody sets.
    fn millis(&self) -> u64 {
        u64::try_from(self.known_since.elapsed().as_millis()).unwrap_or(u64::MAX)
    }

    fn ledger(&self) -> MutexGuard<'_, DeletionLedger> {
        self.ledger.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn read(&self) -> std::sync::RwLockReadGuard<'_, Connected> {
        self.connected
            .read()
            .unwrap_or_else(PoisonError::into_inner)
    }

    fn write(&self) -> std::sync::RwLockWriteGuard<'_, Connected> {
        self.connected
            .write()
            .unwrap_or_else(PoisonError::into_inner)
    }

    /// Makes the clients anew when what decides them has changed.
    fn reconnect(
        self: &Arc<Self>,
        cluster: &KubeFedCluster,
        secret: Option<&Secret>,
        ways: Ways<'_>,
    ) {
        let fingerprint = Fingerprint::of(cluster, secret);
        if self.read().fingerprint.as_ref() == Some(&fingerprint) {
            return;
        }
        let connection = access(cluster, secret, ways);
        let connection = connection.and_then(|access| connect(access, self.clock));
        self.adopt(fingerprint, connection);
        self.restart_watches();
    }

    fn adopt(self: &Arc<Self>, fingerprint: Fingerprint, connection: Result<Connection, Error>) {
        let mut connected = self.write();
        connected.fingerprint = Some(fingerprint);
        self.namespaces.forget();
        self.capacity.send_replace(KnownCapacity::NotYet);
        match connection {
            Ok(connection) => {
                connected.malformed = None;
                connected.requests = Some(connection.requests);
                connected.pause = connection.pause;
                connected.credentials = connection.credentials;
                self.watches.send_replace(Some(connection.watches));
            }
            Err(error) => {
                tracing::warn!(cluster = %self.name, %error, "no connection to a member");
                connected.malformed = Some(error.to_string());
                connected.requests = None;
                connected.credentials = None;
                self.watches.send_replace(None);
            }
        }
    }

    /// Asks once who the member is, so that a host that joined itself is known.
    pub(crate) async fn identify(&self) {
        if self.identity().is_some() {
            return;
        }
        let Some(client) = self.requests() else {
            return;
        };
        let namespaces: Api<Namespace> = Api::all(client);
        let name = self.within.as_deref().unwrap_or("kube-system");
        match tokio::time::timeout(apply::DEADLINE, namespaces.get_opt(name)).await {
            Ok(Ok(Some(namespace))) => self.write().identity = namespace.metadata.uid,
            // Not the host, whose namespace is there.
            Ok(Ok(None)) => self.write().identity = Some(String::new()),
            Ok(Err(_)) | Err(_) => {}
        }
    }

    /// Starts lanes for types that have none and stops those of types that are gone, or are federated
    /// in another version or with another word on their status.
    fn set_lanes(&self, types: &BTreeMap<String, Arc<NamedType>>, wake: &Arc<Wake>) {
        let mut lanes = self.lanes.write().unwrap_or_else(PoisonError::into_inner);
        lanes.retain(|name, lane| {
            let stays = types.get(name) == lane.federated.as_ref();
            if !stays {
                lane.stop();
            }
            stays
        });
        for (name, federated) in types {
            lanes.entry(name.clone()).or_insert_with(|| {
                Lane::start(LaneOptions {
                    member: self.name.clone(),
                    federated: Arc::clone(federated),
                    depth: depth(&federated.federated),
                    within: self.within.clone(),
                    client: self.watches.subscribe(),
                    restart: self.restart.subscribe(),
                    definitions: self.definitions.clone(),
                    wake: Arc::clone(wake),
                })
            });
        }
    }
}

impl Drop for Member {
    fn drop(&mut self) {
        let lanes = self.lanes.get_mut().unwrap_or_else(PoisonError::into_inner);
        lanes.values().for_each(|lane| lane.stop());
    }
}

/// Kinds with replicas are watched whole, since divisions depend on what runs.
pub(crate) fn depth(federated: &FederatedType) -> Depth {
    let target = &federated.target;
    let counted = ["Deployment", "ReplicaSet", "StatefulSet"].contains(&target.kind.as_str());
    match federated.collects_status || (target.group == "apps" && counted) {
        true => Depth::Whole,
        false => Depth::Metadata,
    }
}

/// All members, by name.
pub(crate) struct Members {
    members: RwLock<BTreeMap<ClusterName, Arc<Member>>>,
    /// Deletions of the leader before, in members that this process does not know yet.
    inherited: Mutex<BTreeMap<ClusterName, usize>>,
    in_process: BTreeMap<ClusterName, InProcess>,
    plugins: ExecPlugins,
    within: Option<Arc<str>>,
    clock: WallClock,
}

/// What members are made of.
pub(crate) struct MembersOptions {
    /// Those that are reached inside of this process.
    pub(crate) in_process: BTreeMap<ClusterName, InProcess>,
    /// Programs that kubeconfigs may have run.
    pub(crate) plugins: ExecPlugins,
    /// The only namespace that is federated, where it is one.
    pub(crate) within: Option<String>,
    /// Where wall time comes from.
    pub(crate) clock: WallClock,
}

impl Members {
    pub(crate) fn new(options: MembersOptions) -> Self {
        Self {
            members: RwLock::default(),
            inherited: Mutex::default(),
            in_process: options.in_process,
            plugins: options.plugins,
            within: options.within.map(Into::into),
            clock: options.clock,
        }
    }

    /// One member.
    pub(crate) fn get(&self, name: &ClusterName) -> Option<Arc<Member>> {
        self.lock().get(name).cloned()
    }

    /// Every member.
    pub(crate) fn all(&self) -> BTreeMap<ClusterName, Arc<Member>> {
        self.lock().clone()
    }

    /// Brings members, their clients and lanes to what the host says.
    pub(crate) fn update(
        &self,
        clusters: &[(Arc<KubeFedCluster>, Option<Arc<Secret>>)],
        types: &BTreeMap<String, Arc<NamedType>>,
        wake: &Arc<Wake>,
    ) {
        let named: BTreeMap<ClusterName, _> = clusters
            .iter()
            .map(|pair| {
                (
                    pair.0.metadata.name.clone().unwrap_or_default().into(),
                    pair,
                )
            })
            .collect();
        {
            let mut members = self.members.write().unwrap_or_else(PoisonError::into_inner);
            members.retain(|name, _| named.contains_key(name));
            for name in named.keys() {
                members.entry(name.clone()).or_insert_with(|| {
                    let within = self.within.clone();
                    let member = Member::new(name.clone(), within, self.clock);
                    member.inherit(self.heirs().remove(name).unwrap_or(0));
                    Arc::new(member)
                });
            }
        }
        for (name, (cluster, secret)) in named {
            let Some(member) = self.get(&name) else {
                continue;
            };
            let ways = Ways {
                in_process: self.in_process.get(&name),
                plugins: &self.plugins,
            };
            member.reconnect(cluster, secret.as_deref(), ways);
            member.set_lanes(types, wake);
        }
    }

    /// Counts what the leader before deleted.
    pub(crate) fn inherit(&self, deletions: &BTreeMap<ClusterName, usize>) {
        let members = self.lock();
        let mut later = self.heirs();
        later.clear();
        for (name, count) in deletions {
            match members.get(name) {
                Some(member) => member.inherit(*count),
                None => drop(later.insert(name.clone(), *count)),
            }
        }
    }

    fn heirs(&self) -> MutexGuard<'_, BTreeMap<ClusterName, usize>> {
        self.inherited
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
    }

    fn lock(&self) -> std::sync::RwLockReadGuard<'_, BTreeMap<ClusterName, Arc<Member>>> {
        self.members.read().unwrap_or_else(PoisonError::into_inner)
    }
}
