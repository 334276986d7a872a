//! Services and EndpointSlices of members, watched where a GlobalService wants them.
//!
//! # Guarantees
//! A lane that hangs delays no other. What a lane holds is known only from its first complete list
//! to the member's leaving; until then it is unknown, never "nothing".
//! # Assumptions
//! A member's `restart` moves when it is back, so that a hung watch is not believed for long.
//! # Caveats
//! Whole objects are kept, of the namespaces that have a GlobalService only.

use super::endpoints::{self, SERVICE_NAME_LABEL};
use crate::members::Member;
use api::ClusterEndpoints;
use futures::{Stream, StreamExt, stream};
use k8s_openapi::api::core::v1::Service;
use k8s_openapi::api::discovery::v1::EndpointSlice;
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
    held: Arc<Mutex<Held>>,
    _running: AbortOnDropHandle<()>,
}

/// What a lane knows.
#[derive(Default)]
struct Held {
    services: Listed<Service>,
    slices: Listed<EndpointSlice>,
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
        namespaces: &BTreeSet<String>,
        wake: &Arc<impl Fn(&str) + Send + Sync + 'static>,
    ) {
        let mut lanes = self.lock();
        lanes.retain(|(cluster, namespace), _| {
            members.contains_key(cluster) && namespaces.contains(namespace)
        });
        for (cluster, member) in members {
            for namespace in namespaces {
                let key = (cluster.clone(), namespace.clone());
                lanes.entry(key).or_insert_with(|| {
                    let wake: Arc<Wake> = Arc::clone(wake) as Arc<Wake>;
                    Lane::start(member, namespace.clone(), wake)
                });
            }
        }
    }

    /// What a member offers for a Service.
    pub(super) fn offered(&self, cluster: &ClusterName, namespace: &str, name: &str) -> Offered {
        let lanes = self.lock();
        let Some(lane) = lanes.get(&(cluster.clone(), namespace.to_owned())) else {
            return Offered::Unknown;
        };
        let held = lane.held.lock().unwrap_or_else(PoisonError::into_inner);
        if !held.services.complete || !held.slices.complete {
            return Offered::Unknown;
        }
        let Some(service) = held.services.objects.get(name) else {
            return Offered::Known(None);
        };
        let of_service = |slice: &&EndpointSlice| {
            slice
                .labels()
                .get(SERVICE_NAME_LABEL)
                .is_some_and(|label| label == name)
        };
        let slices: Vec<_> = held.slices.objects.values().filter(of_service).collect();
        Offered::Known(endpoints::offered(cluster, service, &slices))
    }

    fn lock(&self) -> MutexGuard<'_, BTreeMap<(ClusterName, String), Lane>> {
        self.lanes.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Lane {
    fn start(member: &Member, namespace: String, wake: Arc<Wake>) -> Self {
        let held = Arc::new(Mutex::new(Held::default()));
        let (clients, restart) = member.watching();
        let running = tokio::spawn(run(clients, restart, namespace, Arc::clone(&held), wake));
        Self {
            held,
            _running: AbortOnDropHandle::new(running),
        }
    }
}

async fn run(
    mut clients: watch::Receiver<Option<Client>>,
    mut restart: watch::Receiver<u64>,
    namespace: String,
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
            () = watch_once(client, &namespace, &held, &wake) => {
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
}

/// Watches until something fails.
async fn watch_once(client: Client, namespace: &str, held: &Mutex<Held>, wake: &Arc<Wake>) {
    let services = objects::<Service>(client.clone(), namespace)
        .map(|event| event.map(|event| Seen::Service(Box::new(event))));
    let slices = objects::<EndpointSlice>(client, namespace)
        .map(|event| event.map(|event| Seen::Slice(Box::new(event))));
    let mut events = Box::pin(stream::select(services, slices));
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
            }
        };
        if changed == Changed::Yes {
            wake(namespace);
        }
    }
}

fn objects<K>(client: Client, namespace: &str) -> impl Stream<Item = Result<Event<K>, WatchError>>
where
    K: Resource<DynamicType = (), Scope = k8s_openapi::NamespaceResourceScope>
        + Clone
        + DeserializeOwned
        + Debug
        + Send
        + 'static,
{
    let api = Api::<K>::namespaced(client, namespace);
    watcher(api, Config::default()).modify(|object| object.managed_fields_mut().clear())
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Changed {
    No,
    Yes,
}

impl<K: Resource> Listed<K> {
    fn take(&mut self, event: Event<K>) -> Changed {
        match event {
            Event::Init => {
                self.listing.clear();
                Changed::No
            }
            Event::InitApply(object) => {
                self.listing.insert(object.name_any(), object);
                Changed::No
            }
            Event::InitDone => {
                self.objects = std::mem::take(&mut self.listing);
                self.complete = true;
                Changed::Yes
            }
            Event::Apply(object) => {
                self.objects.insert(object.name_any(), object);
                Changed::Yes
            }
            Event::Delete(object) => {
                self.objects.remove(&object.name_any());
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
