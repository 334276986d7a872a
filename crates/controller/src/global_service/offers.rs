//! Services, EndpointSlices, Ingresses, Gateways, HTTPRoutes and Nodes of members, watched where a GlobalService
//! wants them.
//!
//! # Guarantees
//! A lane that hangs delays no other. What a lane holds is known only from its first complete list
//! to the member's leaving; until then it is unknown, never "nothing".
//! # Assumptions
//! A member's `restart` moves when it is back, so that a hung watch is not believed for long.
//! # Caveats
//! Whole objects are kept, of the namespaces that have a GlobalService only. Nodes, and Gateways of namespaces that
//! routes name, are watched once in a member, in a lane of their own.

use super::endpoints::{self, SERVICE_NAME_LABEL};
use super::routes;
use super::source::{Kinds, Source};
use crate::members::Member;
use api::ClusterEndpoints;
use futures::{Stream, StreamExt, stream};
use k8s_openapi::api::core::v1::{Node, Service};
use k8s_openapi::api::discovery::v1::EndpointSlice;
use k8s_openapi::api::networking::v1::Ingress;
use kube::api::{ApiResource, DynamicObject, GroupVersionKind};
use kube::runtime::WatchStreamExt;
use kube::runtime::watcher::{Config, Error as WatchError, Event, watcher};
use kube::{Api, Client, Resource, ResourceExt};
use model::ClusterName;
use serde::de::DeserializeOwned;
use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Debug;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;
use tokio::time::sleep;
use tokio_util::task::AbortOnDropHandle;

/// Waits after a watch failed: the first, doubled up to the last.
const RETRY_FIRST: Duration = Duration::from_millis(250);
const RETRY_LAST: Duration = Duration::from_secs(15);

/// Where a lane looks in its member.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Extent {
    /// At what is in a namespace.
    Namespace(String),
    /// At Nodes, and at Gateways of every namespace.
    Member,
}

/// Tells that something changed there.
pub(super) type Wake = dyn Fn(&Extent) + Send + Sync;

/// What a member offers for a Service.
pub(super) enum Offered {
    /// Its list is complete: this, or nothing.
    Known(Option<ClusterEndpoints>),
    /// Nobody knows.
    Unknown,
}

/// The lanes, by member and extent.
#[derive(Default)]
pub(super) struct Offers {
    lanes: Mutex<BTreeMap<(ClusterName, Extent), Lane>>,
}

struct Lane {
    kinds: Kinds,
    held: Arc<Mutex<Held>>,
    _running: AbortOnDropHandle<()>,
}

/// What a lane knows.
#[derive(Default)]
struct Held {
    services: Listed<Service>,
    slices: Listed<EndpointSlice>,
    ingresses: Listed<Ingress>,
    gateways: Listed<DynamicObject>,
    routes: Listed<DynamicObject>,
    /// Of the member's lane: Gateways of all namespaces, by `namespace/name`; a member may not let them be read.
    gateways_elsewhere: Listed<DynamicObject>,
    /// Of the member's lane.
    nodes: Listed<Node>,
}

/// Objects of one kind by name; `complete` once a list was whole.
struct Listed<K> {
    objects: BTreeMap<String, K>,
    listing: BTreeMap<String, K>,
    complete: bool,
}

impl<K> Default for Listed<K> {
    fn default() -> Self {
        Self {
            objects: BTreeMap::new(),
            listing: BTreeMap::new(),
            complete: false,
        }
    }
}

impl Offers {
    /// Watches these namespaces in these members, and no others.
    pub(super) fn watch(
        &self,
        members: &BTreeMap<ClusterName, Arc<Member>>,
        namespaces: &BTreeMap<String, Kinds>,
        wake: &Arc<impl Fn(&Extent) + Send + Sync + 'static>,
    ) {
        let wanted = extents(namespaces);
        let mut lanes = self.lock();
        lanes.retain(|(cluster, extent), lane| {
            members.contains_key(cluster) && wanted.get(extent) == Some(&lane.kinds)
        });
        for (cluster, member) in members {
            for (extent, kinds) in &wanted {
                let key = (cluster.clone(), extent.clone());
                lanes.entry(key).or_insert_with(|| {
                    let wake: Arc<Wake> = Arc::clone(wake) as Arc<Wake>;
                    Lane::start(member, extent.clone(), *kinds, wake)
                });
            }
        }
    }

    /// What a member offers for a source.
    pub(super) fn offered(
        &self,
        cluster: &ClusterName,
        namespace: &str,
        source: &Source<'_>,
    ) -> Offered {
        let lanes = self.lock();
        let lane = |extent: Extent| lanes.get(&(cluster.clone(), extent)).map(Lane::held);
        let Some(held) = lane(Extent::Namespace(namespace.to_owned())) else {
            return Offered::Unknown;
        };
        match lane(Extent::Member) {
            Some(shared) => held.offered(cluster, source, &shared),
            None => held.offered(cluster, source, &Held::default()),
        }
    }

    fn lock(&self) -> MutexGuard<'_, BTreeMap<(ClusterName, Extent), Lane>> {
        self.lanes.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The lanes that every member has.
fn extents(namespaces: &BTreeMap<String, Kinds>) -> BTreeMap<Extent, Kinds> {
    let mut shared = Kinds::default();
    let mut extents = BTreeMap::new();
    for (namespace, kinds) in namespaces {
        let (own, of_member) = kinds.parted();
        shared = shared.and(of_member);
        extents.insert(Extent::Namespace(namespace.clone()), own);
    }
    if shared != Kinds::default() {
        extents.insert(Extent::Member, shared);
    }
    extents
}

impl Held {
    /// What is offered for a source, by what a namespace's lane holds and the member's.
    fn offered(&self, cluster: &ClusterName, source: &Source<'_>, shared: &Self) -> Offered {
        let whole = self.services.complete && self.slices.complete;
        let known = |complete: bool| complete && whole;
        match source {
            Source::Service(name) => match self.services.objects.get(*name) {
                _ if !known(true) => Offered::Unknown,
                None => Offered::Known(None),
                Some(service) if is_node_port(service) && !shared.nodes.complete => {
                    Offered::Unknown
                }
                Some(service) => {
                    let nodes: Vec<_> = shared.nodes.objects.values().collect();
                    let slices = self.slices_of(&BTreeSet::from([(*name).to_owned()]));
                    Offered::Known(endpoints::of_service(cluster, service, &slices, &nodes))
                }
            },
            Source::Balancer(name) if whole => {
                let service = self.services.objects.get(*name);
                Offered::Known(service.and_then(|service| {
                    let slices = self.slices_of(&BTreeSet::from([(*name).to_owned()]));
                    endpoints::of_balancer(cluster, service, &slices)
                }))
            }
            Source::Ingress(name) if known(self.ingresses.complete) => {
                let ingress = self.ingresses.objects.get(*name);
                Offered::Known(ingress.and_then(|ingress| {
                    let slices = self.slices_of(&endpoints::backends(ingress));
                    endpoints::of_ingress(cluster, ingress, &slices)
                }))
            }
            Source::Gateway(name) if known(self.gateways.complete) => {
                let gateway = self.gateways.objects.get(*name);
                Offered::Known(gateway.and_then(|it| endpoints::of_gateway(cluster, it)))
            }
            Source::Route(name) if known(self.gateways.complete && self.routes.complete) => {
                let route = self.routes.objects.get(*name);
                if route.is_some_and(routes::leads_elsewhere) && !shared.gateways_elsewhere.complete
                {
                    return Offered::Unknown;
                }
                Offered::Known(route.and_then(|route| {
                    let slices = self.slices_of(&routes::backends(route));
                    let own = route.namespace().unwrap_or_default();
                    let gateway = |namespace: &str, name: &str| match namespace == own {
                        true => self.gateways.objects.get(name),
                        false => {
                            let elsewhere = &shared.gateways_elsewhere.objects;
                            elsewhere.get(&format!("{namespace}/{name}"))
                        }
                    };
                    routes::offered(cluster, route, gateway, &slices)
                }))
            }
            Source::Balancer(_) | Source::Ingress(_) | Source::Gateway(_) | Source::Route(_) => {
                Offered::Unknown
            }
        }
    }

    fn slices_of(&self, services: &BTreeSet<String>) -> Vec<&EndpointSlice> {
        let of_service = |slice: &&EndpointSlice| {
            let label = slice.labels().get(SERVICE_NAME_LABEL);
            label.is_some_and(|label| services.contains(label))
        };
        self.slices.objects.values().filter(of_service).collect()
    }
}

fn is_node_port(service: &Service) -> bool {
    let spec = service.spec.as_ref();
    spec.and_then(|spec| spec.type_.as_deref()) == Some("NodePort")
}

impl Lane {
    fn start(member: &Member, extent: Extent, kinds: Kinds, wake: Arc<Wake>) -> Self {
        let held = Arc::new(Mutex::new(Held::default()));
        let (clients, restart) = member.watching();
        let what = (extent, kinds);
        let running = tokio::spawn(run(clients, restart, what, Arc::clone(&held), wake));
        Self {
            kinds,
            held,
            _running: AbortOnDropHandle::new(running),
        }
    }

    fn held(&self) -> MutexGuard<'_, Held> {
        self.held.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

async fn run(
    mut clients: watch::Receiver<Option<Client>>,
    mut restart: watch::Receiver<u64>,
    what: (Extent, Kinds),
    held: Arc<Mutex<Held>>,
    wake: Arc<Wake>,
) {
    let mut wait = RETRY_FIRST;
    loop {
        restart.mark_unchanged();
        let Some(client) = clients.borrow_and_update().clone() else {
            if clients.changed().await.is_err() {
                return;
            }
            continue;
        };
        tokio::select! {
            biased;
            changed = restart.changed() => {
                if changed.is_err() {
                    return;
                }
                wait = RETRY_FIRST;
            }
            () = watch_once(client, &what, &held, &wake) => {
                tokio::select! {
                    biased;
                    _ = restart.changed() => wait = RETRY_FIRST,
                    () = sleep(wait) => wait = (wait * 2).min(RETRY_LAST),
                }
            }
        }
    }
}

enum Seen {
    Service(Box<Event<Service>>),
    Slice(Box<Event<EndpointSlice>>),
    Ingress(Box<Event<Ingress>>),
    Gateway(Box<Event<DynamicObject>>),
    GatewayElsewhere(Box<Event<DynamicObject>>),
    Route(Box<Event<DynamicObject>>),
    Node(Box<Event<Node>>),
}

type SeenStream = std::pin::Pin<Box<dyn Stream<Item = Result<Seen, WatchError>> + Send>>;

/// The watches of a lane.
fn watches(client: &Client, (extent, kinds): &(Extent, Kinds)) -> Vec<SeenStream> {
    match extent {
        Extent::Namespace(namespace) => watches_within(client, namespace, *kinds),
        Extent::Member => watches_of_member(client, *kinds),
    }
}

fn watches_within(client: &Client, namespace: &str, kinds: Kinds) -> Vec<SeenStream> {
    let services = objects(Api::<Service>::namespaced(client.clone(), namespace));
    let slices = objects(Api::<EndpointSlice>::namespaced(client.clone(), namespace));
    let mut watches = vec![seen(services, Seen::Service), seen(slices, Seen::Slice)];
    if kinds.ingresses {
        let api = Api::<Ingress>::namespaced(client.clone(), namespace);
        watches.push(seen(optional(objects(api)), Seen::Ingress));
    }
    if kinds.gateways {
        let gateways = of_gateway_api(client, Some(namespace), "Gateway");
        watches.push(seen(gateways, Seen::Gateway));
    }
    if kinds.routes {
        let routes = of_gateway_api(client, Some(namespace), "HTTPRoute");
        watches.push(seen(routes, Seen::Route));
    }
    watches
}

fn watches_of_member(client: &Client, kinds: Kinds) -> Vec<SeenStream> {
    let mut watches = Vec::new();
    if kinds.routes {
        let elsewhere = of_gateway_api(client, None, "Gateway");
        watches.push(seen(elsewhere, Seen::GatewayElsewhere));
    }
    if kinds.nodes {
        let nodes = objects(Api::<Node>::all(client.clone()));
        watches.push(seen(optional(nodes), Seen::Node));
    }
    watches
}

fn seen<K: Send + 'static>(
    events: impl Stream<Item = Result<Event<K>, WatchError>> + Send + 'static,
    of: fn(Box<Event<K>>) -> Seen,
) -> SeenStream {
    Box::pin(events.map(move |event| event.map(|event| of(Box::new(event)))))
}

/// Objects of Gateway API, which a member may not serve.
fn of_gateway_api(
    client: &Client,
    namespace: Option<&str>,
    kind: &str,
) -> impl Stream<Item = Result<Event<DynamicObject>, WatchError>> + Send + use<> {
    let kind = GroupVersionKind::gvk("gateway.networking.k8s.io", "v1", kind);
    let resource = ApiResource::from_gvk(&kind);
    let client = client.clone();
    let api = match namespace {
        Some(namespace) => Api::<DynamicObject>::namespaced_with(client, namespace, &resource),
        None => Api::<DynamicObject>::all_with(client, &resource),
    };
    optional(objects(api))
}

/// Watches until something fails.
async fn watch_once(client: Client, what: &(Extent, Kinds), held: &Mutex<Held>, wake: &Arc<Wake>) {
    let extent = &what.0;
    let mut events = stream::select_all(watches(&client, what));
    while let Some(event) = events.next().await {
        let seen = match event {
            Ok(seen) => seen,
            Err(why) => {
                tracing::debug!(?extent, %why, "watch of a member's services failed");
                return;
            }
        };
        let changed = {
            let mut held = held.lock().unwrap_or_else(PoisonError::into_inner);
            match seen {
                Seen::Service(event) => held.services.take(*event),
                Seen::Slice(event) => held.slices.take(*event),
                Seen::Ingress(event) => held.ingresses.take(*event),
                Seen::Gateway(event) => held.gateways.take(*event),
                Seen::GatewayElsewhere(event) => held.gateways_elsewhere.take_by(*event, full_name),
                Seen::Route(event) => held.routes.take(*event),
                Seen::Node(event) => held.nodes.take(*event),
            }
        };
        if changed == Changed::Yes {
            wake(extent);
        }
    }
}

/// A kind that the member does not serve, or does not let be read, has no objects there; whether it
/// does is asked again now and then.
fn optional<K: Send + 'static>(
    events: impl Stream<Item = Result<Event<K>, WatchError>> + Send + 'static,
) -> impl Stream<Item = Result<Event<K>, WatchError>> + Send {
    events.default_backoff().flat_map(|event| {
        let absent = match &event {
            Err(WatchError::InitialListFailed(kube::Error::Api(status))) => {
                matches!(status.code, 403 | 404)
            }
            _ => false,
        };
        stream::iter(match absent {
            true => vec![Ok(Event::Init), Ok(Event::InitDone)],
            false => vec![event],
        })
    })
}

fn objects<K>(api: Api<K>) -> impl Stream<Item = Result<Event<K>, WatchError>> + Send + 'static
where
    K: Resource + Clone + DeserializeOwned + Debug + Send + 'static,
    K::DynamicType: Send,
{
    watcher(api, Config::default()).modify(|object| object.managed_fields_mut().clear())
}

/// `namespace/name`.
fn full_name<K: ResourceExt>(object: &K) -> String {
    let namespace = object.namespace().unwrap_or_default();
    format!("{namespace}/{}", object.name_any())
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Changed {
    No,
    Yes,
}

impl<K: ResourceExt> Listed<K> {
    fn take(&mut self, event: Event<K>) -> Changed {
        self.take_by(event, ResourceExt::name_any)
    }

    fn take_by(&mut self, event: Event<K>, name: fn(&K) -> String) -> Changed {
        match event {
            Event::Init => {
                self.listing.clear();
                Changed::No
            }
            Event::InitApply(object) => {
                self.listing.insert(name(&object), object);
                Changed::No
            }
            Event::InitDone => {
                self.objects = std::mem::take(&mut self.listing);
                self.complete = true;
                Changed::Yes
            }
            Event::Apply(object) => {
                self.objects.insert(name(&object), object);
                Changed::Yes
            }
            Event::Delete(object) => {
                self.objects.remove(&name(&object));
                Changed::Yes
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use kube::api::ObjectMeta;

    fn service(name: &str) -> Service {
        Service {
            metadata: ObjectMeta {
                name: Some(name.into()),
                ..ObjectMeta::default()
            },
            ..Service::default()
        }
    }

    #[test]
    fn nodes_and_gateways_of_other_namespaces_are_watched_once_in_a_member() {
        let kinds = |sources: &[Source<'_>]| {
            let mut kinds = Kinds::default();
            sources.iter().for_each(|source| kinds.add(*source));
            kinds
        };
        let (node_port, route) = (Source::Service("shop"), Source::Route("shop"));
        let namespaces = BTreeMap::from([
            ("a".to_owned(), kinds(&[node_port, route])),
            ("b".to_owned(), kinds(&[route])),
            ("c".to_owned(), kinds(&[Source::Ingress("shop")])),
        ]);
        let extents = extents(&namespaces);
        let shared = &extents[&Extent::Member];
        assert!(shared.nodes && shared.routes && !shared.gateways && !shared.ingresses);
        let own = |name: &str| extents[&Extent::Namespace(name.to_owned())];
        assert!(own("a").routes && own("b").gateways && own("c").ingresses);
        assert!(["a", "b", "c"].iter().all(|name| !own(name).nodes));
        let plain = BTreeMap::from([("c".to_owned(), kinds(&[Source::Balancer("shop")]))]);
        assert!(!super::extents(&plain).contains_key(&Extent::Member));
    }

    #[test]
    fn a_broken_list_changes_nothing_and_a_whole_one_replaces_all() {
        let mut listed = Listed::default();
        listed.take(Event::Init);
        listed.take(Event::InitApply(service("a")));
        assert!(!listed.complete);
        listed.take(Event::InitDone);
        assert!(listed.complete && listed.objects.contains_key("a"));
        // The watch broke and lists anew: until the list is whole, the old one stands.
        listed.take(Event::Init);
        listed.take(Event::InitApply(service("b")));
        assert!(listed.objects.contains_key("a"));
        listed.take(Event::InitDone);
        assert!(listed.objects.contains_key("b") && !listed.objects.contains_key("a"));
    }
}
