//! Caches of the host: what reconcilers read, without any request.
//!
//! # Guarantees
//! A cache holds what one list and the watch after it said. Its first list is complete before
//! anything is decided by what is *not* in it ([`Host::is_ready`], [`TypeCache::is_ready`]).
//! # Assumptions
//! Writers carry resourceVersion or uid, since a cache may be behind.
//! # Caveats
//! When the host was lost and is reached again all watches begin anew, as a connection that hangs
//! would otherwise be believed until the system gives it up.

mod dns_endpoints;
mod held;

use crate::Error;
use crate::dns_role::contact::watch_host;
use crate::facts::KnownFacts;
use crate::scope::everywhere;
use crate::wake::{NamedType, News, Wake};
use api::key_of;
use api::{
    ClusterOverride, ConfigScope, DNSEndpoint, Domain, ExternalDNSEndpoint, FederatedTypeConfig,
    GlobalService, IngressDNSRecord, KubeFedCluster, KubeFedConfig, MemberTombstone, Override,
    ProbeReport, ReplicaSchedulingPreference, ServiceDNSRecord, Zone, names,
};
use futures::{StreamExt, TryStreamExt};
pub(crate) use held::in_order;
use held::{is_listed, listed};
use k8s_openapi::api::core::v1::Secret;
use kube::api::{ApiResource, DynamicObject};
use kube::runtime::WatchStreamExt;
use kube::runtime::reflector::{ObjectRef, Store, store::Writer};
use kube::runtime::watcher::{Config, Event, watcher};
use kube::{Api, Client, Resource};
use model::ObjectKey;
use serde::de::DeserializeOwned;
use std::collections::BTreeSet;
use std::fmt::Debug;
use std::hash::Hash;
use std::sync::Arc;
use std::time::Duration;
use steering::HostContact;
use tokio_util::sync::CancellationToken;

/// Waits after a watch failed: the first, doubled up to the last, so that a host that returns is
/// noticed soon.
const RETRY_FIRST: Duration = Duration::from_millis(200);
const RETRY_LAST: Duration = Duration::from_secs(5);

/// The kinds that are read whatever is federated.
pub(crate) struct Host {
    pub(crate) client: Client,
    pub(crate) system_namespace: String,
    /// What is federated, as it was when this process began.
    pub(crate) scope: ConfigScope,
    pub(crate) clusters: Store<KubeFedCluster>,
    /// Those of other control planes as well, where every namespace is federated.
    configs: Store<KubeFedConfig>,
    pub(crate) type_configs: Store<FederatedTypeConfig>,
    all_preferences: Store<ReplicaSchedulingPreference>,
    pub(crate) tombstones: Store<MemberTombstone>,
    pub(crate) secrets: Store<Secret>,
    all_global_services: Store<GlobalService>,
    pub(crate) zones: Store<Zone>,
    all_overrides: Store<Override>,
    pub(crate) cluster_overrides: Store<ClusterOverride>,
    pub(crate) reports: Store<ProbeReport>,
    domains: Store<Domain>,
    pub(crate) service_records: Store<ServiceDNSRecord>,
    pub(crate) ingress_records: Store<IngressDNSRecord>,
    dns_endpoints: Store<DNSEndpoint>,
    external_dns_endpoints: Store<ExternalDNSEndpoint>,
    restart: watch::Receiver<u64>,
    stop: CancellationToken,
}

/// What caches of the host hold that watch nothing.
#[derive(Default)]
pub(crate) struct HostObjects {
    pub(crate) clusters: Vec<KubeFedCluster>,
    pub(crate) configs: Vec<KubeFedConfig>,
    pub(crate) type_configs: Vec<FederatedTypeConfig>,
    pub(crate) preferences: Vec<ReplicaSchedulingPreference>,
    pub(crate) secrets: Vec<Secret>,
    pub(crate) global_services: Vec<GlobalService>,
    pub(crate) reports: Vec<ProbeReport>,
}

/// Objects of one federated type.
pub(crate) struct TypeCache {
    pub(crate) named: NamedType,
    /// What plans of its objects know of the members.
    pub(crate) facts: KnownFacts,
    objects: Store<DynamicObject>,
    stop: CancellationToken,
}

impl Host {
    /// Starts every cache; they fill in the background until `stop`.
    pub(crate) fn start(
        client: &Client,
        system_namespace: &str,
        scope: ConfigScope,
        wake: &Arc<Wake>,
        stop: &CancellationToken,
    ) -> Self {
        let restart = restarts(client.clone());
        let start = Start {
            client,
            system_namespace,
            scope,
            wake,
            restart: &restart,
            stop,
        };
        Self {
            client: client.clone(),
            system_namespace: system_namespace.to_owned(),
            scope,
            clusters: start.system(|_| News::Fleet),
            configs: start.federated(|_| News::Fleet),
            type_configs: start.system(|_| News::Fleet),
            secrets: start.system(|_| News::Fleet),
            tombstones: start.system(|_| News::Tombstone),
            reports: start.system(|_| News::Report),
            zones: start.system(News::Zone),
            all_preferences: start.preferences(),
            all_global_services: start.federated(News::GlobalService),
            all_overrides: start.federated(News::Override),
            cluster_overrides: start.system(News::ClusterOverride),
            domains: start.system(|_| News::Domain),
            service_records: start.federated(News::ServiceRecord),
            ingress_records: start.federated(News::IngressRecord),
            dns_endpoints: start.federated(News::DnsEndpoint),
            external_dns_endpoints: start.federated(News::DnsEndpoint),
            restart,
            stop: stop.clone(),
        }
    }

    /// Caches that hold what they are given and watch nothing.
    pub(crate) fn still(client: &Client, system_namespace: &str, held: HostObjects) -> Self {
        Self {
            client: client.clone(),
            system_namespace: system_namespace.to_owned(),
            scope: scope_of(&held.configs, system_namespace),
            clusters: still(held.clusters),
            configs: still(held.configs),
            type_configs: still(held.type_configs),
            secrets: still(held.secrets),
            all_preferences: still(held.preferences),
            all_global_services: still(held.global_services),
            reports: still(held.reports),
            tombstones: still(Vec::new()),
            zones: still(Vec::new()),
            all_overrides: still(Vec::new()),
            cluster_overrides: still(Vec::new()),
            domains: still(Vec::new()),
            service_records: still(Vec::new()),
            ingress_records: still(Vec::new()),
            dns_endpoints: still(Vec::new()),
            external_dns_endpoints: still(Vec::new()),
            restart: watch::channel(0).1,
            stop: CancellationToken::new(),
        }
    }

    /// Resolves when every cache but those of federated types has its first list.
    pub(crate) async fn ready(&self) {
        // A writer lives as long as its cache's task; when that ends, so does the controller.
        let _ = tokio::join!(
            self.clusters.wait_until_ready(),
            self.configs.wait_until_ready(),
            self.type_configs.wait_until_ready(),
            self.secrets.wait_until_ready(),
            self.tombstones.wait_until_ready(),
            self.all_preferences.wait_until_ready(),
        );
    }

    /// Starts the cache of a federated type.
    pub(crate) fn start_type(&self, named: NamedType, wake: &Arc<Wake>) -> TypeCache {
        let resource = named.federated.federated.clone();
        let writer = Writer::new(resource.clone());
        let objects = writer.as_reader();
        let stop = self.stop.child_token();
        let api = self.federated(&resource);
        let (told, known) = (named.clone(), objects.clone());
        let (wake, heard) = (Arc::clone(wake), Arc::clone(wake));
        let hands = Hands {
            tell: move |key| wake.federated_object(&told, key),
            is_echo: move |object: &DynamicObject| {
                let reference = ObjectRef::from_obj_with(object, resource.clone());
                known.get(&reference).is_some_and(|known| {
                    let status = &object.data["status"];
                    heard
                        .echoes
                        .is_echo(&known.metadata, &object.metadata, status)
                })
            },
        };
        tokio::spawn(fill(api, writer, hands, self.restart.clone(), stop.clone()));
        TypeCache {
            named,
            facts: KnownFacts::default(),
            objects,
            stop,
        }
    }

    /// Objects of a type, in every namespace that is federated.
    pub(crate) fn federated(&self, resource: &ApiResource) -> Api<DynamicObject> {
        everywhere(&self.client, self.scope, &self.system_namespace, resource)
    }

    /// The KubeFedConfig that is in force.
    pub(crate) fn config(&self) -> Option<Arc<KubeFedConfig>> {
        let reference = ObjectRef::new(api::names::CONFIG_NAME).within(&self.system_namespace);
        self.configs.get(&reference)
    }

    /// Whether a namespace has a control plane of its own: what is in it is that one's to federate.
    pub(crate) fn is_anothers(&self, namespace: &str) -> bool {
        if self.scope != ConfigScope::Cluster || namespace == self.system_namespace {
            return false;
        }
        let reference = ObjectRef::new(names::CONFIG_NAME).within(namespace);
        let config = self.configs.get(&reference);
        config.is_some_and(|config| config.spec.scope == Some(ConfigScope::Namespaced))
    }

    /// What of these is in namespaces that no other control plane federates.
    fn own<K>(&self, store: &Store<K>) -> Vec<Arc<K>>
    where
        K: Resource<DynamicType = ()> + Cached,
    {
        let mut objects = in_order(store);
        objects.retain(|object| {
            let namespace = object.meta().namespace.as_deref();
            !namespace.is_some_and(|namespace| self.is_anothers(namespace))
        });
        objects
    }

    /// All preferences.
    pub(crate) fn preferences(&self) -> Vec<Arc<ReplicaSchedulingPreference>> {
        self.own(&self.all_preferences)
    }

    /// All GlobalServices.
    pub(crate) fn global_services(&self) -> Vec<Arc<GlobalService>> {
        self.own(&self.all_global_services)
    }

    /// A GlobalService.
    pub(crate) fn global_service(&self, key: &ObjectKey) -> Option<Arc<GlobalService>> {
        let reference = ObjectRef::new(&key.name).within(&key.namespace);
        let found = self.all_global_services.get(&reference);
        found.filter(|_| !self.is_anothers(&key.namespace))
    }

    /// Every Override.
    pub(crate) fn overrides(&self) -> Vec<Arc<Override>> {
        self.own(&self.all_overrides)
    }

    /// An Override.
    pub(crate) fn override_of(&self, key: &ObjectKey) -> Option<Arc<Override>> {
        let reference = ObjectRef::new(&key.name).within(&key.namespace);
        let found = self.all_overrides.get(&reference);
        found.filter(|_| !self.is_anothers(&key.namespace))
    }

    /// A Domain by its name.
    pub(crate) fn domain(&self, name: &str) -> Option<Arc<Domain>> {
        self.domains
            .get(&ObjectRef::new(name).within(&self.system_namespace))
    }

    /// A ServiceDNSRecord. That there is none is known from a whole list only.
    pub(crate) async fn service_record(
        &self,
        key: &ObjectKey,
    ) -> Result<Option<Arc<ServiceDNSRecord>>, Error> {
        listed(&self.service_records, key).await
    }

    /// An IngressDNSRecord. That there is none is known from a whole list only.
    pub(crate) async fn ingress_record(
        &self,
        key: &ObjectKey,
    ) -> Result<Option<Arc<IngressDNSRecord>>, Error> {
        listed(&self.ingress_records, key).await
    }

    /// A Secret of the system namespace.
    pub(crate) fn secret(&self, name: &str) -> Option<Arc<Secret>> {
        self.secrets
            .get(&ObjectRef::new(name).within(&self.system_namespace))
    }

    /// A preference.
    pub(crate) fn preference(&self, key: &ObjectKey) -> Option<Arc<ReplicaSchedulingPreference>> {
        let reference = ObjectRef::new(&key.name).within(&key.namespace);
        let found = self.all_preferences.get(&reference);
        found.filter(|_| !self.is_anothers(&key.namespace))
    }
}

impl TypeCache {
    /// A cache that holds what it is given and watches nothing.
    pub(crate) fn still(named: NamedType, held: Vec<DynamicObject>) -> Self {
        let writer = Writer::new(named.federated.federated.clone());
        Self {
            named,
            facts: KnownFacts::default(),
            objects: filled(writer, held),
            stop: CancellationToken::new(),
        }
    }

    /// Whether the first list is complete.
    pub(crate) async fn is_ready(&self) -> bool {
        is_listed(&self.objects).await
    }

    /// One object.
    pub(crate) fn get(&self, key: &ObjectKey) -> Option<Arc<DynamicObject>> {
        let resource = self.named.federated.federated.clone();
        let reference = ObjectRef::new_with(&key.name, resource);
        self.objects.get(&match key.namespace.is_empty() {
            true => reference,
            false => reference.within(&key.namespace),
        })
    }

    /// The keys of all objects, or of those in one namespace, in order.
    pub(crate) fn keys(&self, namespace: Option<&str>) -> Vec<ObjectKey> {
        let objects = self.objects.state();
        let within = |object: &&Arc<DynamicObject>| {
            namespace.is_none_or(|it| object.metadata.namespace.as_deref() == Some(it))
        };
        let key = |object: &Arc<DynamicObject>| key_of(&object.metadata);
        let mut keys: Vec<_> = objects.iter().filter(within).map(key).collect();
        keys.sort_unstable();
        keys
    }
}

impl Drop for TypeCache {
    fn drop(&mut self) {
        self.stop.cancel();
    }
}

fn scope_of(configs: &[KubeFedConfig], system_namespace: &str) -> ConfigScope {
    let mut configs = configs.iter();
    let config = configs.find(|config| {
        let metadata = &config.metadata;
        metadata.name.as_deref() == Some(names::CONFIG_NAME)
            && metadata.namespace.as_deref() == Some(system_namespace)
    });
    config
        .and_then(|config| config.spec.scope)
        .unwrap_or_default()
}

fn still<K>(held: Vec<K>) -> Store<K>
where
    K: Resource<DynamicType = ()> + Cached,
{
    filled(Writer::default(), held)
}

fn filled<K>(mut writer: Writer<K>, held: Vec<K>) -> Store<K>
where
    K: Resource + Cached,
    K::DynamicType: Clone + Eq + Hash,
{
    writer.apply_watcher_event(&Event::Init);
    for object in held {
        writer.apply_watcher_event(&Event::InitApply(object));
    }
    writer.apply_watcher_event(&Event::InitDone);
    writer.as_reader()
}

/// What every cache is started with.
struct Start<'a> {
    client: &'a Client,
    system_namespace: &'a str,
    scope: ConfigScope,
    wake: &'a Arc<Wake>,
    restart: &'a watch::Receiver<u64>,
    stop: &'a CancellationToken,
}

impl Start<'_> {
    /// Of the system namespace.
    fn system<K>(&self, news: fn(ObjectKey) -> News) -> Store<K>
    where
        K: Resource<DynamicType = (), Scope = kube::core::NamespaceResourceScope> + Cached,
    {
        self.cache(
            Api::namespaced(self.client.clone(), self.system_namespace),
            news,
        )
    }

    /// The preferences: what this process writes into their statuses is no news.
    fn preferences(&self) -> Store<ReplicaSchedulingPreference> {
        let api = self.federated_api();
        let writer = Writer::default();
        let (objects, known) = (writer.as_reader(), writer.as_reader());
        let wake = Arc::clone(self.wake);
        let is_echo = move |object: &ReplicaSchedulingPreference| {
            let known = known.get(&ObjectRef::from_obj(object));
            known.is_some_and(|known| {
                let status = serde_json::to_value(&object.status).unwrap_or_default();
                wake.echoes
                    .is_echo(&known.metadata, &object.metadata, &status)
            })
        };
        self.fill(api, writer, News::Preference, is_echo);
        objects
    }

    /// Of all namespaces that are federated.
    fn federated<K>(&self, news: fn(ObjectKey) -> News) -> Store<K>
    where
        K: Resource<DynamicType = (), Scope = kube::core::NamespaceResourceScope> + Cached,
    {
        self.cache(self.federated_api(), news)
    }

    fn federated_api<K>(&self) -> Api<K>
    where
        K: Resource<DynamicType = (), Scope = kube::core::NamespaceResourceScope>,
    {
        match self.scope {
            ConfigScope::Cluster => Api::all(self.client.clone()),
            ConfigScope::Namespaced => Api::namespaced(self.client.clone(), self.system_namespace),
        }
    }

    fn cache<K>(&self, api: Api<K>, news: fn(ObjectKey) -> News) -> Store<K>
    where
        K: Resource<DynamicType = ()> + Cached,
    {
        let writer = Writer::default();
        let objects = writer.as_reader();
        self.fill(api, writer, news, |_| false);
        objects
    }

    fn fill<K>(
        &self,
        api: Api<K>,
        writer: Writer<K>,
        news: fn(ObjectKey) -> News,
        is_echo: impl Fn(&K) -> bool + Send + Sync + 'static,
    ) where
        K: Resource<DynamicType = ()> + Cached,
    {
        let wake = Arc::clone(self.wake);
        let tell = move |key| wake.tell(news(key));
        let hands = Hands { tell, is_echo };
        let (restart, stop) = (self.restart.clone(), self.stop.clone());
        tokio::spawn(fill(api, writer, hands, restart, stop));
    }
}

/// What a kind must be to be cached.
trait Cached: Clone + Debug + DeserializeOwned + Send + Sync + 'static {}

impl<K: Clone + Debug + DeserializeOwned + Send + Sync + 'static> Cached for K {}

/// What is done about an object that changed.
struct Hands<Tell, IsEcho> {
    tell: Tell,
    /// Asked before the cache knows of it: whether it is no news.
    is_echo: IsEcho,
}

/// Keeps a cache until `stop`, telling of every object that changed.
async fn fill<K>(
    api: Api<K>,
    mut writer: Writer<K>,
    hands: Hands<impl Fn(ObjectKey), impl Fn(&K) -> bool>,
    mut restart: watch::Receiver<u64>,
    stop: CancellationToken,
) where
    K: Resource + Cached,
    K::DynamicType: Clone + Eq + Hash,
{
    let mut wait = RETRY_FIRST;
    loop {
        restart.mark_unchanged();
        let events = watcher(api.clone(), Config::default()).modify(|object| {
            object.meta_mut().managed_fields = None;
        });
        let mut events = events.boxed();
        loop {
            let event = tokio::select! {
                biased;
                () = stop.cancelled() => return,
                _ = restart.changed() => break,
                event = events.try_next() => event,
            };
            match event {
                Ok(Some(event)) => {
                    // Each attempt begins with it, also one that fails.
                    if !matches!(event, Event::Init) {
                        wait = RETRY_FIRST;
                    }
                    take(&mut writer, &event, &hands);
                }
                Ok(None) => break,
                Err(error) => {
                    tracing::debug!(kind = std::any::type_name::<K>(), %error, "watch of the host");
                    tokio::select! {
                        biased;
                        () = stop.cancelled() => return,
                        _ = restart.changed() => {}
                        () = tokio::time::sleep(wait) => wait = (wait * 2).min(RETRY_LAST),
                    }
                    break;
                }
            }
        }
    }
}

fn take<K>(
    writer: &mut Writer<K>,
    event: &Event<K>,
    hands: &Hands<impl Fn(ObjectKey), impl Fn(&K) -> bool>,
) where
    K: Resource + Cached,
    K::DynamicType: Clone + Eq + Hash,
{
    let before = match event {
        Event::InitDone => writer.as_reader().state(),
        _ => Vec::new(),
    };
    let is_echo = match event {
        Event::Apply(object) => (hands.is_echo)(object),
        _ => false,
    };
    writer.apply_watcher_event(event);
    let tell = &hands.tell;
    match event {
        Event::Apply(_) if is_echo => {}
        Event::Apply(object) | Event::Delete(object) => tell(key_of(object.meta())),
        Event::InitDone => {
            // What vanished while nothing was watched is told as well.
            let after = writer.as_reader().state();
            let all = before.iter().chain(&after).map(|it| key_of(it.meta()));
            all.collect::<BTreeSet<ObjectKey>>()
                .into_iter()
                .for_each(tell);
        }
        Event::Init | Event::InitApply(_) => {}
    }
}

/// A number that grows each time the host is reached again.
fn restarts(client: Client) -> watch::Receiver<u64> {
    let (contact, mut reached) = watch::channel(None);
    let (sender, restarts) = watch::channel(0);
    tokio::spawn(watch_host(client, contact));
    tokio::spawn(async move {
        let mut lost = false;
        while reached.changed().await.is_ok() && !sender.is_closed() {
            let now = *reached.borrow_and_update();
            if lost && now == Some(HostContact::Reached) {
                sender.send_modify(|generation| *generation += 1);
            }
            lost = now == Some(HostContact::Lost);
        }
    });
    restarts
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn config(namespace: &str, name: &str, scope: &str) -> KubeFedConfig {
        serde_json::from_value(
            json!({"apiVersion": "core.kubefed.io/v1beta1", "kind": "KubeFedConfig",
            "metadata": {"namespace": namespace, "name": name}, "spec": {"scope": scope}}),
        )
        .expect("a KubeFedConfig")
    }

    fn preference(namespace: &str) -> ReplicaSchedulingPreference {
        serde_json::from_value(json!({"apiVersion": "scheduling.kubefed.io/v1alpha1",
            "kind": "ReplicaSchedulingPreference", "metadata": {"namespace": namespace, "name": "web"},
            "spec": {"targetKind": "FederatedDeployment", "totalReplicas": 1}}))
        .expect("a preference")
    }

    fn host_of(system: &str) -> Host {
        // Nothing is asked of it.
        let client = Client::try_from(kube::Config::new(
            "http://127.0.0.1:9".parse().expect("a URI"),
        ));
        let configs = vec![
            config("fleet", "kubefed", "Cluster"),
            config("team-a", "kubefed", "Namespaced"),
            config("team-b", "kubefed", "Cluster"),
            config("team-c", "draft", "Namespaced"),
        ];
        let preferences = ["shop", "team-a", "team-b"].map(preference).to_vec();
        let held = HostObjects {
            configs,
            preferences,
            ..HostObjects::default()
        };
        Host::still(&client.expect("a client"), system, held)
    }

    #[tokio::test]
    async fn what_is_in_a_namespace_with_a_control_plane_of_its_own_is_that_ones() {
        let host = host_of("fleet");
        let anothers =
            ["fleet", "shop", "team-a", "team-b", "team-c"].map(|name| host.is_anothers(name));
        assert_eq!(anothers, [false, false, true, false, false]);
        let mut own: Vec<String> = host
            .preferences()
            .iter()
            .filter_map(|preference| preference.metadata.namespace.clone())
            .collect();
        own.sort();
        assert_eq!(own, ["shop", "team-b"]);
        assert!(host.preference(&ObjectKey::new("team-a", "web")).is_none());
    }

    #[tokio::test]
    async fn a_control_plane_of_one_namespace_has_what_is_in_it() {
        let host = host_of("team-a");
        assert_eq!(host.scope, ConfigScope::Namespaced);
        assert!(!host.is_anothers("team-a"));
        assert!(host.preference(&ObjectKey::new("team-a", "web")).is_some());
    }

    #[test]
    fn an_echo_is_kept_and_told_to_nobody() {
        let mut writer = Writer::<ReplicaSchedulingPreference>::default();
        let known = writer.as_reader();
        let told = std::cell::Cell::new(0);
        let hands = Hands {
            tell: |_: ObjectKey| told.set(told.get() + 1),
            is_echo: |object: &ReplicaSchedulingPreference| {
                let version = object.metadata.resource_version.as_deref();
                known.get(&ObjectRef::from_obj(object)).is_some() && version == Some("2")
            },
        };
        let of_version = |version: &str| {
            let mut object = preference("team-a");
            object.metadata.resource_version = Some(version.to_owned());
            object
        };
        take(&mut writer, &Event::Apply(of_version("1")), &hands);
        assert_eq!(told.get(), 1);
        take(&mut writer, &Event::Apply(of_version("2")), &hands);
        assert_eq!(told.get(), 1, "it is an echo");
        let kept = known.state()[0].metadata.resource_version.clone();
        assert_eq!(kept.as_deref(), Some("2"), "the cache has it all the same");
        take(&mut writer, &Event::Apply(of_version("3")), &hands);
        take(&mut writer, &Event::Delete(of_version("2")), &hands);
        assert_eq!(told.get(), 3, "whatever else happens is told");
    }
}
