//! Services, EndpointSlices, Ingresses, Gateways, HTTPRoutes and Nodes of members, watched where a GlobalService
//! wants them.
//!
//! # Guarantees
//! A lane that hangs delays no other. What a lane holds is known only from its first complete list
//! to the member's leaving; until then it is unknown, never "nothing".
//! # Assumptions
//! A member's `restart` moves when it is back, so that a hung watch is not believed for long.
//! # Caveats
//! Whole objects are kept, of the namespaces that have a GlobalService only.

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
use tokio::sync::watch;
use tokio::time::sleep;
use tokio_util::task::AbortOnDropHandle;

/// Waits after a watch failed: the first, doubled up to the last.
const RETRY_FIRST: Duration = Duration::from_millis(250);
const RETRY_LAST: Duration = Duration::from_secs(15);

/// Tells that something changed in a namespace.
pub(super) type Wake = dyn Fn(&str) + Send + Sync;

/// What a member offers for a Service.
pub(super) enum Offered {
    /// Its list is complete: this, or nothing.
    Known(Option<ClusterEndpoints>),
    /// Nobody knows.
    Unknown,
}

/// The lanes, by member and namespace.
#[derive(Default)]
pub(super) struct Offers {
    lanes: Mutex<BTreeMap<(ClusterName, String), Lane>>,
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
    /// Gateways of all namespaces, by `namespace/name`; a member may not let them be read.
    gateways_elsewhere: Listed<DynamicObject>,
    routes: Listed<DynamicObject>,
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
        wake: &Arc<impl Fn(&str) + Send + Sync + 'static>,
    ) {
        let mut lanes = self.lock();
        lanes.retain(|(cluster, namespace), lane| {
            members.contains_key(cluster) && namespaces.get(namespace) == Some(&lane.kinds)
        });
        for (cluster, member) in members {
            for (namespace, kinds) in namespaces {
                let key = (cluster.clone(), namespace.clone());
                lanes.entry(key).or_insert_with(|| {
                    let wake: Arc<Wake> = Arc::clone(wake) as Arc<Wake>;
                    Lane::start(member, namespace.clone(), *kinds, wake)
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
        let Some(lane) = lanes.get(&(cluster.clone(), namespace.to_owned())) else {
            return Offered::Unknown;
        };
        let held = lane.held.lock().unwrap_or_else(PoisonError::into_inner);
        held.offered(cluster, source)
    }

    fn lock(&self) -> MutexGuard<'_, BTreeMap<(ClusterName, String), Lane>> {
        self.lanes.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Held {
    fn offered(&self, cluster: &ClusterName, source: &Source<'_>) -> Offered {
        let whole = self.services.complete && self.slices.complete;
        let known = |complete: bool| complete && whole;
        match source {
            Source::Service(name) => match self.services.objects.get(*name) {
                _ if !known(true) => Offered::Unknown,
                None => Offered::Known(None),
                Some(service) if is_node_port(service) && !self.nodes.complete => Offered::Unknown,
                Some(service) => {
                    let nodes: Vec<_> = self.nodes.objects.values().collect();
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
                if route.is_some_and(routes::leads_elsewhere) && !self.gateways_elsewhere.complete {
                    return Offered::Unknown;
                }
                Offered::Known(route.and_then(|route| {
                    let slices = self.slices_of(&routes::backends(route));
                    let own = route.namespace().unwrap_or_default();
                    let gateway = |namespace: &str, name: &str| match namespace == own {
                        true => self.gateways.objects.get(name),
                        false => {
                            let elsewhere = &self.gateways_elsewhere.objects;
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
    fn start(member: &Member, namespace: String, kinds: Kinds, wake: Arc<Wake>) -> Self {
        let held = Arc::new(Mutex::new(Held::default()));
        let (clients, restart) = member.watching();
        let what = (namespace, kinds);
        let running = tokio::spawn(run(clients, restart, what, Arc::clone(&held), wake));
        Self {
            kinds,
            held,
            _running: AbortOnDropHandle::new(running),
        }
    }
}

async fn run(
    mut clients: watch::Receiver<Option<Client>>,
    mut restart: watch::Receiver<u64>,
    what: (String, Kinds),
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
            () = watch_once(client, &what, &held, &wake) => {
                tokio::select! {
                    () = sleep(wait) => wait = (wait * 2).min(RETRY_LAST),
                    _ = restart.changed() => wait = RETRY_FIRST,
                }
            }
            changed = restart.changed() => {
                if changed.is_err() {
                    return;
                }
                wait = RETRY_FIRST;
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
fn watches(client: &Client, (namespace, kinds): &(String, Kinds)) -> Vec<SeenStream> {
    let services = objects(Api::<Service>::namespaced(client.clone(), namespace));
    let slices = objects(Api::<EndpointSlice>::namespaced(client.clone(), namespace));
    let mut watches: Vec<SeenStream> = vec![
        Box::pin(services.map(|it| it.map(|it| Seen::Service(Box::new(it))))),
        Box::pin(slices.map(|it| it.map(|it| Seen::Slice(Box::new(it))))),
    ];
    if kinds.ingresses {
        let api = Api::<Ingress>::namespaced(client.clone(), namespace);
        let ingresses = optional(objects(api));
        watches.push(Box::pin(
            ingresses.map(|it| it.map(|it| Seen::Ingress(Box::new(it)))),
        ));
    }
    if kinds.gateways {
        let gateways = of_gateway_api(client, Some(namespace), "Gateway");
        watches.push(Box::pin(
            gateways.map(|it| it.map(|it| Seen::Gateway(Box::new(it)))),
        ));
    }
    if kinds.routes {
        let routes = of_gateway_api(client, Some(namespace), "HTTPRoute");
        watches.push(Box::pin(
            routes.map(|it| it.map(|it| Seen::Route(Box::new(it)))),
        ));
        let elsewhere = of_gateway_api(client, None, "Gateway");
        watches.push(Box::pin(
            elsewhere.map(|it| it.map(|it| Seen::GatewayElsewhere(Box::new(it)))),
        ));
    }
    if kinds.nodes {
        let nodes = optional(objects(Api::<Node>::all(client.clone())));
        watches.push(Box::pin(
            nodes.map(|it| it.map(|it| Seen::Node(Box::new(it)))),
        ));
    }
    watches
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
async fn watch_once(client: Client, what: &(String, Kinds), held: &Mutex<Held>, wake: &Arc<Wake>) {
    let namespace = what.0.as_str();
    let mut events = stream::select_all(watches(&client, what));
    while let Some(event) = events.next().await {
        let seen = match event {
            Ok(seen) => seen,
            Err(why) => {
                tracing::debug!(namespace, %why, "watch of a member's services failed");
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
            wake(namespace);
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
