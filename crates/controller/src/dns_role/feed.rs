//! The feed: watches of the host, as events of the steering engine.
//!
//! # Guarantees
//! Events of one object come in the order of the host's history. `Synced` comes once, after every
//! watch has delivered its first list. What vanished while a watch was broken is told as deleted.
//! # Assumptions
//! The receiver takes events; the channel is bounded and a slow receiver slows the watches.
//! # Caveats
//! When the host was lost and is reached again, all watches begin anew: a hung connection would
//! otherwise be believed until the system gives it up.

use super::challenges::challenges;
use super::contact::watch_host;
use super::contact_of::contact_of;
use super::watched::{RETRY_LAST, objects};
use crate::scope::scope;
use api::{
    ClusterOverride, ConfigScope, DNSEndpoint, ExternalDNSEndpoint, GlobalService, KubeFedCluster,
    Override, ProbeReport, Zone, key_of,
};
use futures::{FutureExt, Stream, StreamExt, stream};
use k8s_openapi::api::coordination::v1::Lease;
use kube::runtime::watcher::{self, Config};
use kube::{Api, Client, Resource, ResourceExt};
use model::{ClusterName, ObjectKey, ObserverName};
use serde::de::DeserializeOwned;
use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Debug;
use std::pin::Pin;
use steering::{ClusterCheck, ClusterState, Event, HostContact, MemberApi, Observer};
use tokio::sync::mpsc;
use tokio::time::sleep;

/// On Leases of observers: its failure domain.
pub(crate) const DOMAIN_LABEL: &str = "gslb.meridian.dev/observer-domain";
/// Watches that the feed runs, one per kind.
const WATCHES: usize = 10;

/// Where to read.
#[derive(Clone)]
pub struct FeedOptions {
    /// A client of the host.
    pub client: Client,
    /// Namespace of zones, clusters, reports and observers' Leases.
    pub system_namespace: String,
    /// This replica: its own report is not fed back to it.
    pub identity: ObserverName,
}

/// Where events go, and whether the host is reached.
pub struct Feed {
    /// Events of the engine.
    pub events: mpsc::Sender<Event>,
}

/// Something a watch said.
pub(super) enum Said {
    Event(Event),
    /// A watch has delivered its first list; told once, since one that is broken lists again and again.
    Listed,
    /// The observers changed.
    Observers(Vec<Observer>),
}

/// What a watch says of its first list.
#[derive(Debug, Default)]
struct Once {
    told: bool,
}

impl Once {
    fn take(&mut self) -> Option<Said> {
        (!std::mem::replace(&mut self.told, true)).then_some(Said::Listed)
    }
}

pub(super) type SaidStream = Pin<Box<dyn Stream<Item = Said> + Send>>;

/// Feeds the engine until nobody takes its events.
pub async fn run_feed(options: FeedOptions, feed: Feed) {
    let (contact, mut reached) = watch::channel(None);
    let probing = tokio::spawn(watch_host(options.client.clone(), contact));
    let mut state = FeedState::default();
    let mut lost = false;
    let mut known = None;
    while !feed.events.is_closed() {
        // A host that is away says it when it is back: then watches begin anew.
        let mut watches = match known {
            Some(scope) => watches(&options, scope, &state).boxed(),
            None => stream::pending().boxed(),
        };
        let options = &options;
        let mut asking = async move {
            match known {
                None => scope_of(options).await,
                Some(_) => std::future::pending().await,
            }
        }
        .boxed();
        loop {
            tokio::select! {
                biased;
                () = feed.events.closed() => break,
                changed = reached.changed() => {
                    let Some(now) = *reached.borrow_and_update() else { continue };
                    let gone = changed.is_err()
                        || feed.events.send(Event::Host(now)).await.is_err();
                    let was_lost = std::mem::replace(&mut lost, now == HostContact::Lost);
                    if gone || (was_lost && !lost) {
                        break;
                    }
                }
                found = &mut asking => {
                    known = Some(found);
                    break;
                }
                Some(said) = watches.next() => {
                    for event in state.take(said) {
                        if feed.events.send(event).await.is_err() {
                            probing.abort();
                            return;
                        }
                    }
                }
            }
        }
        if !state.synced {
            state.listed = 0;
        }
    }
    probing.abort();
}

/// Which namespaces are watched, once the host says: until then none is.
async fn scope_of(options: &FeedOptions) -> ConfigScope {
    loop {
        match scope(&options.client, &options.system_namespace).await {
            Ok(scope) => return scope,
            Err(error) => tracing::debug!(%error, "the scope is not known yet"),
        }
        sleep(RETRY_LAST).await;
    }
}

/// What must be remembered over broken watches.
#[derive(Default)]
struct FeedState {
    listed: usize,
    synced: bool,
    zones: BTreeSet<ObjectKey>,
    services: BTreeSet<ObjectKey>,
    clusters: BTreeSet<ClusterName>,
    overrides: BTreeSet<ObjectKey>,
    records: BTreeSet<ObjectKey>,
}

impl FeedState {
    /// Overrides of namespaces, or those of the whole, as their watch names them: the key of the
    /// latter has no namespace, and that of their objects the system's.
    fn override_keys(&self, of_clusters: Option<&str>) -> BTreeSet<ObjectKey> {
        let of = |key: &&ObjectKey| key.namespace.is_empty() == of_clusters.is_some();
        let known = self.overrides.iter().filter(of);
        known
            .map(|key| match of_clusters {
                Some(system) => ObjectKey::new(system, &key.name),
                None => key.clone(),
            })
            .collect()
    }

    /// The keys of DNSEndpoints of one group, as its watch names them.
    fn record_keys(&self, external: bool) -> BTreeSet<ObjectKey> {
        let plain = |key: &ObjectKey| match key.name.split_once('/') {
            Some((name, _)) => (true, ObjectKey::new(&key.namespace, name)),
            None => (false, key.clone()),
        };
        let known = self.records.iter().map(plain);
        let of_group = known.filter(|(other, _)| *other == external);
        of_group.map(|(_, key)| key).collect()
    }

    /// The keys under which a watch of the system namespace sees the clusters that are known.
    fn cluster_keys(&self, system_namespace: &str) -> BTreeSet<ObjectKey> {
        let key = |name: &ClusterName| ObjectKey::new(system_namespace, name.as_str());
        self.clusters.iter().map(key).collect()
    }

    fn take(&mut self, said: Said) -> Vec<Event> {
        match said {
            Said::Event(event) => {
                self.remember(&event);
                vec![event]
            }
            Said::Observers(observers) => vec![Event::Observers(observers)],
            Said::Listed => {
                self.listed += 1;
                if self.listed >= WATCHES && !self.synced {
                    self.synced = true;
                    return vec![Event::Synced];
                }
                Vec::new()
            }
        }
    }

    fn remember(&mut self, event: &Event) {
        match event {
            Event::ZoneApplied(zone) => {
                self.zones.insert(zone.key.clone());
            }
            Event::ZoneDeleted(key) => {
                self.zones.remove(key);
            }
            Event::ServiceApplied(service) => {
                self.services.insert(service.key.clone());
            }
            Event::ServiceDeleted(key) => {
                self.services.remove(key);
            }
            Event::OverrideApplied(it) => {
                self.overrides.insert(it.key.clone());
            }
            Event::OverrideDeleted(key) => {
                self.overrides.remove(key);
            }
            Event::RecordsApplied(it) => {
                self.records.insert(it.key.clone());
            }
            Event::RecordsDeleted(key) => {
                self.records.remove(key);
            }
            Event::ClusterApplied(cluster) => {
                self.clusters.insert(cluster.place.name.clone());
            }
            Event::ClusterDeleted(name) => {
                self.clusters.remove(name);
            }
            _ => {}
        }
    }
}

fn watches(
    options: &FeedOptions,
    scope: ConfigScope,
    state: &FeedState,
) -> stream::SelectAll<SaidStream> {
    let client = options.client.clone();
    let system = options.system_namespace.as_str();
    let zones = Api::<Zone>::namespaced(client.clone(), system);
    let services = scoped::<GlobalService>(&client, scope, system);
    let overrides = scoped::<Override>(&client, scope, system);
    let records = scoped::<DNSEndpoint>(&client, scope, system);
    let of_external = scoped::<ExternalDNSEndpoint>(&client, scope, system);
    let of_clusters = Api::<ClusterOverride>::namespaced(client.clone(), system);
    let clusters = Api::<KubeFedCluster>::namespaced(client.clone(), system);
    let reports = Api::<ProbeReport>::namespaced(client.clone(), system);
    let leases = Api::<Lease>::namespaced(client.clone(), system);
    let own = options.identity.clone();
    stream::select_all([
        kind(
            zones,
            Config::default(),
            state.zones.clone(),
            read_zone,
            Event::ZoneDeleted,
        ),
        kind(
            services,
            Config::default(),
            state.services.clone(),
            read_service,
            Event::ServiceDeleted,
        ),
        kind(
            clusters,
            Config::default(),
            state.cluster_keys(system),
            read_cluster,
            |key| Event::ClusterDeleted(ClusterName::from(&*key.name)),
        ),
        kind(
            overrides,
            Config::default(),
            state.override_keys(None),
            |it: &Override| read_override(it, it.read()),
            Event::OverrideDeleted,
        ),
        kind(
            of_clusters,
            Config::default(),
            state.override_keys(Some(system)),
            |it: &ClusterOverride| read_override(it, it.read()),
            |key| Event::OverrideDeleted(ObjectKey::new("", &key.name)),
        ),
        kind(
            records,
            Config::default(),
            state.record_keys(false),
            |it: &DNSEndpoint| read_records(it, it.read()),
            Event::RecordsDeleted,
        ),
        kind(
            of_external,
            Config::default(),
            state.record_keys(true),
            |it: &ExternalDNSEndpoint| read_records(it, it.read()),
            |key| Event::RecordsDeleted(ExternalDNSEndpoint::key_of(&key)),
        ),
        challenges(client, system),
        reported(reports, own),
        observers(leases),
    ])
}

/// Objects of every namespace that is federated.
fn scoped<K>(client: &Client, scope: ConfigScope, system: &str) -> Api<K>
where
    K: Resource<DynamicType = (), Scope = k8s_openapi::NamespaceResourceScope>,
{
    match scope {
        ConfigScope::Cluster => Api::all(client.clone()),
        ConfigScope::Namespaced => Api::namespaced(client.clone(), system),
    }
}

fn read_override<K: Resource<DynamicType = ()>>(
    object: &K,
    read: Result<steering::OverrideSpec, api::Error>,
) -> Vec<Event> {
    match read {
        Ok(spec) => vec![Event::OverrideApplied(Box::new(spec))],
        Err(why) => {
            unreadable(object, &why);
            Vec::new()
        }
    }
}

fn read_records<K: Resource<DynamicType = ()>>(
    object: &K,
    read: Result<steering::PublishedRecords, api::Error>,
) -> Vec<Event> {
    match read {
        Ok(records) => vec![Event::RecordsApplied(Box::new(records))],
        Err(why) => {
            unreadable(object, &why);
            Vec::new()
        }
    }
}

/// One kind's watch: each object read into events, each vanished one told as deleted.
fn kind<K>(
    api: Api<K>,
    config: Config,
    mut known: BTreeSet<ObjectKey>,
    read: fn(&K) -> Vec<Event>,
    deleted: fn(ObjectKey) -> Event,
) -> SaidStream
where
    K: Resource<DynamicType = ()> + Clone + DeserializeOwned + Debug + Send + Sync + 'static,
{
    let mut listing = BTreeSet::new();
    let mut first = Once::default();
    let said = objects(api, config).flat_map(move |event| {
        let mut said = Vec::new();
        match event {
            watcher::Event::Init => listing.clear(),
            watcher::Event::InitApply(object) => {
                listing.insert(key_of(object.meta()));
                known.insert(key_of(object.meta()));
                said.extend(read(&object).into_iter().map(Said::Event));
            }
            watcher::Event::InitDone => {
                let gone: Vec<_> = known.difference(&listing).cloned().collect();
                known = listing.clone();
                said.extend(gone.into_iter().map(|key| Said::Event(deleted(key))));
                said.extend(first.take());
            }
            watcher::Event::Apply(object) => {
                known.insert(key_of(object.meta()));
                said.extend(read(&object).into_iter().map(Said::Event));
            }
            watcher::Event::Delete(object) => {
                known.remove(&key_of(object.meta()));
                said.push(Said::Event(deleted(key_of(object.meta()))));
            }
        }
        stream::iter(said)
    });
    Box::pin(said)
}

/// Other observers' reports. One that goes is not told: silence is unknown, not absence.
fn reported(api: Api<ProbeReport>, own: ObserverName) -> SaidStream {
    let mut first = Once::default();
    let said = objects(api, Config::default()).filter_map(move |event| {
        let said = match event {
            watcher::Event::InitDone => first.take(),
            watcher::Event::InitApply(report) | watcher::Event::Apply(report) => {
                let other = report.name_any() != own.as_str();
                let value = other.then(|| report.read().map_err(|why| unreadable(&report, &why)));
                value
                    .and_then(Result::ok)
                    .map(|value| Said::Event(Event::Reported(Box::new(value))))
            }
            watcher::Event::Init | watcher::Event::Delete(_) => None,
        };
        futures::future::ready(said)
    });
    Box::pin(said)
}

/// Observers are registered by their Leases; the whole list is told whenever it changes.
fn observers(api: Api<Lease>) -> SaidStream {
    let mut known: BTreeMap<String, Observer> = BTreeMap::new();
    let mut told: Option<Vec<Observer>> = None;
    let mut listed = false;
    let mut first = Once::default();
    let said = objects(api, Config::default().labels(DOMAIN_LABEL)).flat_map(move |event| {
        let mut said = Vec::new();
        match event {
            watcher::Event::Init => known.clear(),
            watcher::Event::InitApply(lease) | watcher::Event::Apply(lease) => {
                let domain = lease
                    .labels()
                    .get(DOMAIN_LABEL)
                    .cloned()
                    .unwrap_or_default();
                let name = lease.name_any();
                let observer = Observer {
                    name: name.as_str().into(),
                    domain,
                    contact: contact_of(&lease),
                };
                known.insert(name, observer);
            }
            watcher::Event::Delete(lease) => {
                known.remove(&lease.name_any());
            }
            watcher::Event::InitDone => {
                listed = true;
                said.extend(first.take());
            }
        }
        let now: Vec<Observer> = known.values().cloned().collect();
        if listed && told.as_ref() != Some(&now) {
            told = Some(now.clone());
            said.insert(0, Said::Observers(now));
        }
        stream::iter(said)
    });
    Box::pin(said)
}

fn read_zone(zone: &Zone) -> Vec<Event> {
    match zone.read() {
        Ok(spec) => vec![Event::ZoneApplied(Box::new(spec))],
        Err(why) => {
            unreadable(zone, &why);
            Vec::new()
        }
    }
}

/// A GlobalService with its endpoints, as events of the engine; none when it does not read.
pub fn read_service(service: &GlobalService) -> Vec<Event> {
    match (service.read(), service.read_endpoints()) {
        (Ok(spec), Ok(endpoints)) => {
            let key = spec.key.clone();
            vec![
                Event::ServiceApplied(Box::new(spec)),
                Event::Endpoints {
                    service: key,
                    endpoints,
                },
            ]
        }
        (Err(why), _) | (_, Err(why)) => {
            unreadable(service, &why);
            Vec::new()
        }
    }
}

/// A member, as events of the engine; none when it does not read.
pub fn read_cluster(cluster: &KubeFedCluster) -> Vec<Event> {
    match cluster.place() {
        Ok(place) => {
            let api = if cluster.is_ready() {
                MemberApi::Ready
            } else {
                MemberApi::NotReady
            };
            vec![Event::ClusterApplied(Box::new(ClusterState {
                place,
                api,
                draining: cluster.spec.drain,
                check: check(cluster),
            }))]
        }
        Err(why) => {
            unreadable(cluster, &why);
            Vec::new()
        }
    }
}

/// A check that does not read is none: the member's place is known all the same.
fn check(cluster: &KubeFedCluster) -> Option<ClusterCheck> {
    let read = cluster.check();
    read.unwrap_or_else(|why| {
        unreadable(cluster, &why);
        None
    })
}

/// An object that admission let through but that does not read: the last good one stays in force.
fn unreadable<K: Resource<DynamicType = ()>>(object: &K, why: &api::Error) {
    tracing::warn!(kind = %K::kind(&()), object = %key_of(object.meta()), %why, "object does not read");
}

#[cfg(test)]
mod tests {
    use super::*;
    use model::ClusterPlace;

    #[test]
    fn a_watch_that_begins_anew_knows_the_clusters_by_the_keys_it_lists() {
        let mut cluster = KubeFedCluster::new("a", api::KubeFedClusterSpec::default());
        cluster.metadata.namespace = Some("system".into());
        let place: ClusterPlace = cluster.place().expect("a place");
        let mut state = FeedState::default();
        let state_of = ClusterState {
            place,
            api: MemberApi::Ready,
            draining: false,
            check: None,
        };
        state.take(Said::Event(Event::ClusterApplied(Box::new(state_of))));
        let listed = BTreeSet::from([key_of(&cluster.metadata)]);
        assert_eq!(
            state.cluster_keys("system"),
            listed,
            "else it would be told as deleted"
        );
    }

    #[test]
    fn a_watch_whose_kind_is_not_there_is_listed_once_however_often_it_asks() {
        let mut first = Once::default();
        let told = (0..5).filter_map(|_| first.take()).count();
        assert_eq!(
            told, 1,
            "else lists that are still on their way would be taken for whole"
        );
    }

    #[test]
    fn synced_is_told_once_after_the_first_list_of_every_watch() {
        let mut state = FeedState::default();
        let told: Vec<usize> = (0..2 * WATCHES)
            .map(|_| state.take(Said::Listed).len())
            .collect();
        assert_eq!(told.iter().sum::<usize>(), 1);
        assert_eq!(told[WATCHES - 1], 1);
    }
}
