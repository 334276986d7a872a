//! GlobalServices, Zones and KubeFed's names, for the leader: what members offer, and how names are served.
//!
//! ```text
//! members' Services and EndpointSlices ─► offers ┐
//! host's objects ─► feed ─► listening engine ────┴─► GlobalService.status, Zone.status
//! ```
//! The listening engine is the one that DNS replicas run, without probes of its own: it combines
//! what observers report, so that a status says what the replicas do.
//!
//! # Guarantees
//! A cluster whose API is away keeps what it offered last: only a complete list of a live member
//! takes an endpoint out.
//! # Assumptions
//! This process holds the Lease whenever a status is written; `status` asks for it.
//! # Caveats
//! Services are watched per member and namespace that has a GlobalService or a record, not one by one.

mod endpoints;
mod federation_names;
mod offers;
mod overrides;
mod record_sets;
mod resolving;
mod routes;
mod source;
mod story;
mod summary;
mod zones;

use crate::context::Context;
use crate::dns_role::{Feed, FeedOptions, run_feed};
use crate::host::in_order;
use crate::queue::Queue;
use crate::status::Written;
use crate::wake::News;
use api::key_of;
use api::{ClusterEndpoints, GlobalService, GlobalServiceStatus};
use kube::ResourceExt;
use model::{ObjectKey, ObserverName};
use offers::{Extent, Offers};
use record_sets::External;
use resolving::Resolver;
pub use resolving::{LOOKUPS_MAX, Lookups};
use source::{Kinds, Source};
use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;
use steering::{Effect, Engine, EngineOptions, Event, ServiceStatus, ZoneStatus};
use tokio::sync::broadcast::error::RecvError;
use tokio::sync::mpsc;
use tokio::task::JoinSet;
use tokio::time::{Instant, sleep_until};

/// Events that wait for the listening engine.
const EVENTS_MAX: usize = 1_024;
/// Events that it takes together.
const BATCH_MAX: usize = 256;
/// Wait after a status could not be written.
const RETRY: Duration = Duration::from_secs(2);

/// What has to be looked at.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
enum Key {
    Service(ObjectKey),
    Zone(ObjectKey),
    Override(ObjectKey),
    ClusterOverride(ObjectKey),
    ServiceRecord(ObjectKey),
    IngressRecord(ObjectKey),
}

impl Key {
    /// The namespace of a record of KubeFed's.
    fn namespace(&self) -> Option<&str> {
        match self {
            Self::ServiceRecord(key) | Self::IngressRecord(key) => Some(&key.namespace),
            _ => None,
        }
    }
}

/// What the parts share.
pub(crate) struct Names {
    queue: Queue<Key>,
    offers: Offers,
    told: Mutex<Told>,
    resolver: Resolver<Key>,
    external: External,
}

/// What the listening engine said last. It says nothing twice, so what it said stands until it hears
/// that the object is gone: its watches may be ahead of the caches that statuses are written from.
#[derive(Default)]
struct Told {
    services: BTreeMap<ObjectKey, ServiceStatus>,
    zones: BTreeMap<ObjectKey, ZoneStatus>,
}

impl Told {
    /// What is gone is forgotten, before the engine speaks of what came after it.
    fn forget(&mut self, heard: &[Event]) {
        for event in heard {
            if let Event::ServiceDeleted(key) = event {
                self.services.remove(key);
            }
        }
    }
}

/// Keeps GlobalServices' and Zones' statuses while the process runs; only the leader writes.
pub(crate) async fn run(context: Arc<Context>, lookups: Option<Lookups>) {
    let names = Arc::new(Names {
        queue: Queue::new(),
        offers: Offers::default(),
        told: Mutex::default(),
        resolver: Resolver::new(context.clock),
        external: External::default(),
    });
    let mut tasks = JoinSet::new();
    tasks.spawn(listen(Arc::clone(&context), Arc::clone(&names)));
    let resolving = Arc::clone(&names);
    tasks.spawn(async move {
        let wake = |key| resolving.queue.add(key);
        resolving.resolver.run(lookups, wake).await;
    });
    tasks.spawn(write(Arc::clone(&context), Arc::clone(&names)));
    let mut news = context.wake.listen();
    let mut places = Vec::new();
    loop {
        watch_members(&context, &names);
        // Names of KubeFed's depend on where members are and whether they answer, and on nothing else of them.
        let now = places_of(&context);
        if places != now {
            places = now;
            look_at_records(&context, &names);
        }
        loop {
            match news.recv().await {
                Ok(News::GlobalService(key)) => {
                    names.queue.add(Key::Service(key));
                    break;
                }
                Ok(News::Zone(key)) => names.queue.add(Key::Zone(key)),
                // One may outweigh others.
                Ok(News::Override(_) | News::ClusterOverride(_)) => {
                    look_at_overrides(&context, &names);
                }
                Ok(News::ServiceRecord(key)) => {
                    names.queue.add(Key::ServiceRecord(key));
                    break;
                }
                Ok(News::IngressRecord(key)) => {
                    names.queue.add(Key::IngressRecord(key));
                    break;
                }
                Ok(News::DnsEndpoint(key)) => {
                    let owner = federation_names::owner_of(&key);
                    owner.into_iter().for_each(|key| names.queue.add(key));
                }
                Ok(News::Domain) => look_at_records(&context, &names),
                Ok(News::Fleet) => break,
                Ok(_) => {}
                Err(RecvError::Lagged(_)) => {
                    look_at_all(&context, &names);
                    break;
                }
                Err(RecvError::Closed) => return,
            }
        }
    }
}

/// Watches in every member the namespaces that have a GlobalService from a Service.
fn watch_members(context: &Arc<Context>, names: &Arc<Names>) {
    let services = context.host.global_services();
    let mut namespaces: BTreeMap<String, Kinds> = BTreeMap::new();
    for service in &services {
        if let (Some(source), Some(namespace)) = (Source::of(service), service.namespace()) {
            namespaces.entry(namespace).or_default().add(source);
        }
    }
    for (namespace, source) in federation_names::namespaces(context) {
        namespaces.entry(namespace).or_default().add(source);
    }
    let wake = {
        let (context, names) = (Arc::downgrade(context), Arc::downgrade(names));
        move |extent: &Extent| {
            let (Some(context), Some(names)) = (context.upgrade(), names.upgrade()) else {
                return;
            };
            for service in context.host.global_services() {
                let concerned = match extent {
                    Extent::Namespace(name) => service.metadata.namespace.as_ref() == Some(name),
                    Extent::Member => Source::of(&service).is_some_and(Source::is_of_member),
                };
                if concerned {
                    names.queue.add(Key::Service(key_of(&service.metadata)));
                }
            }
            // Records are of balancers and Ingresses, which are in namespaces.
            let Extent::Namespace(namespace) = extent else {
                return;
            };
            let records = federation_names::all(&context).into_iter();
            let records = records.filter(|key| key.namespace() == Some(namespace));
            records.for_each(|key| names.queue.add(key));
        }
    };
    names
        .offers
        .watch(&context.members.all(), &namespaces, &Arc::new(wake));
}

fn look_at_all(context: &Context, names: &Names) {
    for service in context.host.global_services() {
        names.queue.add(Key::Service(key_of(&service.metadata)));
    }
    for zone in in_order(&context.host.zones) {
        names.queue.add(Key::Zone(key_of(&zone.metadata)));
    }
    look_at_overrides(context, names);
    look_at_records(context, names);
}

fn look_at_records(context: &Context, names: &Names) {
    let all = federation_names::all(context);
    all.into_iter().for_each(|key| names.queue.add(key));
}

/// Where each member is, and whether it answers.
fn places_of(context: &Context) -> Vec<(String, bool, Option<String>, Vec<String>)> {
    let clusters = context.host.clusters.state().into_iter();
    let mut places: Vec<_> = clusters
        .map(|cluster| {
            let place = cluster.place().ok();
            let region = place.as_ref().and_then(|it| it.region.as_ref());
            (
                cluster.name_any(),
                cluster.is_ready(),
                region.map(ToString::to_string),
                place.map_or_else(Vec::new, |it| it.zones),
            )
        })
        .collect();
    places.sort();
    places
}

fn look_at_overrides(context: &Context, names: &Names) {
    overrides::count_outlived(context);
    for it in context.host.overrides() {
        names.queue.add(Key::Override(key_of(&it.metadata)));
    }
    for it in in_order(&context.host.cluster_overrides) {
        names.queue.add(Key::ClusterOverride(key_of(&it.metadata)));
    }
}

/// The listening engine.
async fn listen(context: Arc<Context>, names: Arc<Names>) {
    let name = ObserverName::from("leader");
    let options = EngineOptions::listener(name.clone());
    let mut engine = Engine::new(options);
    let (events, mut received) = mpsc::channel::<Event>(EVENTS_MAX);
    let feed = FeedOptions {
        client: context.host.client.clone(),
        system_namespace: context.host.system_namespace.clone(),
        identity: name,
    };
    let _feeding =
        tokio_util::task::AbortOnDropHandle::new(tokio::spawn(run_feed(feed, Feed { events })));
    let mut wake: Option<Instant> = None;
    loop {
        let mut batch = Vec::new();
        tokio::select! {
            biased;
            // First, so that it is not kept waiting by events that never end.
            () = until(wake) => {
                wake = None;
                batch.push(Event::Tick);
            }
            count = received.recv_many(&mut batch, BATCH_MAX) => if count == 0 { return },
        }
        let now = context.clock.millis();
        names.told().forget(&batch);
        for effect in engine.handle_all(batch, now) {
            match effect {
                Effect::Service(status) => {
                    let key = status.service.clone();
                    let before = names.told().services.insert(key.clone(), status.clone());
                    story::tell(&context, before.as_ref(), &status);
                    look_at_overrides(&context, &names);
                    names.queue.add(Key::Service(key));
                }
                Effect::Zone(status) => {
                    let key = status.zone.clone();
                    names.told().zones.insert(key.clone(), status);
                    names.queue.add(Key::Zone(key));
                }
                Effect::WakeAt(at) => {
                    wake = Some(Instant::now() + Duration::from_millis(at.saturating_sub(now)));
                }
                // A listener answers nobody, probes nothing and reports nothing.
                Effect::Publish(_)
                | Effect::Probe(_)
                | Effect::Report(_)
                | Effect::Peers(_)
                | Effect::Resolve(_)
                | Effect::ChallengesServed(_) => {}
            }
        }
    }
}

/// Writes statuses while this process leads.
async fn write(context: Arc<Context>, names: Arc<Names>) {
    let mut leadership = context.leadership.clone();
    loop {
        leadership.until_leading().await;
        look_at_all(&context, &names);
        loop {
            let next = tokio::select! {
                biased;
                () = leadership.until_lost() => break,
                next = names.queue.next() => next,
            };
            let written = match &next {
                Key::Service(key) => write_service(&context, &names, key).await,
                Key::Zone(key) => {
                    let told = names.told().zones.get(key).cloned();
                    zones::write(&context, key, told).await
                }
                Key::Override(key) => overrides::write(&context, &names, key).await,
                Key::ClusterOverride(key) => {
                    overrides::write_of_cluster(&context, &names, key).await
                }
                Key::ServiceRecord(key) => {
                    federation_names::write_service(&context, &names, key).await
                }
                Key::IngressRecord(key) => {
                    federation_names::write_ingress(&context, &names, key).await
                }
            };
            names.queue.done(&next);
            match written {
                Ok(Written::Current) => {}
                Ok(Written::Later(at)) => names.queue.add_at(next, at),
                Err(why) => {
                    tracing::debug!(%why, ?next, "status not written");
                    names.queue.add_at(next, Instant::now() + RETRY);
                }
            }
        }
    }
}

async fn write_service(
    context: &Context,
    names: &Names,
    key: &ObjectKey,
) -> Result<Written, crate::Error> {
    let Some(service) = context.host.global_service(key) else {
        return Ok(Written::Current);
    };
    let before = service.status.clone().unwrap_or_default();
    let endpoints = endpoints_of(context, names, &service, &before);
    let told = names.told().services.get(key).cloned();
    let status = summary::summarize(&service, endpoints, told.as_ref(), &before);
    context.statuses.write_typed(&*service, &status).await
}

/// What every member offers now; what one that is away offered last.
fn endpoints_of(
    context: &Context,
    names: &Names,
    service: &GlobalService,
    before: &GlobalServiceStatus,
) -> Vec<ClusterEndpoints> {
    let Some(source) = Source::of(service) else {
        return Vec::new();
    };
    let namespace = service.metadata.namespace.as_deref().unwrap_or_default();
    let mut endpoints = Vec::new();
    for cluster in context.members.all().keys() {
        match names.offers.offered(cluster, namespace, &source) {
            offers::Offered::Known(offered) => endpoints.extend(offered),
            offers::Offered::Unknown => {
                let last = before
                    .endpoints
                    .iter()
                    .find(|last| last.cluster == cluster.as_str());
                endpoints.extend(last.cloned());
            }
        }
    }
    endpoints
}

async fn until(wake: Option<Instant>) {
    match wake {
        Some(wake) => sleep_until(wake).await,
        None => std::future::pending().await,
    }
}

impl Names {
    fn told(&self) -> MutexGuard<'_, Told> {
        self.told.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::dns_role::read_service;
    use serde_json::json;

    fn hear(engine: &mut Engine, told: &mut Told, events: Vec<Event>) {
        told.forget(&events);
        for effect in engine.handle_all(events, 1_000) {
            if let Effect::Service(status) = effect {
                told.services.insert(status.service.clone(), status);
            }
        }
    }

    #[test]
    fn what_the_engine_said_of_a_service_stands_until_the_service_is_gone() {
        let service: GlobalService = serde_json::from_value(json!({
            "apiVersion": "gslb.meridian.dev/v1alpha1", "kind": "GlobalService",
            "metadata": {"namespace": "shop", "name": "web"},
            "spec": {"hosts": ["web.example.org"], "policy": {"nearest": {}}, "endpoints": {
                "static": [{"cluster": "a", "addresses": ["192.0.2.1"]}]}}}))
        .expect("it is a GlobalService");
        let key = ObjectKey::new("shop", "web");
        let mut engine = Engine::new(EngineOptions::listener(ObserverName::from("leader")));
        let mut told = Told::default();
        hear(&mut engine, &mut told, vec![Event::Synced]);
        hear(&mut engine, &mut told, read_service(&service));
        assert!(told.services.contains_key(&key));
        hear(&mut engine, &mut told, read_service(&service));
        assert!(
            told.services.contains_key(&key),
            "it has nothing new to say"
        );
        let again =
            std::iter::once(Event::ServiceDeleted(key.clone())).chain(read_service(&service));
        hear(&mut engine, &mut told, again.collect());
        assert!(told.services.contains_key(&key), "it is another one now");
        hear(
            &mut engine,
            &mut told,
            vec![Event::ServiceDeleted(key.clone())],
        );
        assert!(!told.services.contains_key(&key));
    }
}
