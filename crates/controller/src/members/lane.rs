//! A lane: the watch of one type in one member, filling that pair's cache.
//!
//! # Guarantees
//! A lane that hangs or fails delays no other. It never gives up; waits between attempts are
//! bounded. Every change of an object wakes the federated object that it belongs to.
//! # Assumptions
//! `restart` moves when the member's clients were made anew, and when a member that was away is
//! back: a watch over a dead connection would otherwise be believed until the system gives it up.
//! # Caveats
//! What a member that is away holds may have changed since; every write carries preconditions.

use super::apply::what_to_do;
use super::cache::{Cache, Change};
use super::sighting::{Sighting, version};
use crate::wake::{NamedType, News, Wake};
use api::key_of;
use federation::LABEL_MANAGED;
use futures::{Stream, StreamExt};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;
use kube::api::{DynamicObject, PartialObjectMeta};
use kube::runtime::watcher::{Config, Error as WatchError, Event, watcher};
use kube::{Api, Client};
use model::{ClusterName, ObjectKey};
use serde_json::Value;
use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;
use tokio::time::sleep;
use tokio_util::sync::CancellationToken;

/// Waits after a watch failed: the first, doubled up to the last.
const RETRY_FIRST: Duration = Duration::from_millis(250);
const RETRY_LAST: Duration = Duration::from_secs(15);

/// How much of an object is watched.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Depth {
    /// Metadata.
    Metadata,
    /// All of it, where replicas or the status matter.
    Whole,
}

/// See the module.
pub(crate) struct Lane {
    pub(crate) cache: Cache,
    /// The type that is watched; nothing where nothing is.
    pub(crate) federated: Option<Arc<NamedType>>,
    stop: CancellationToken,
}

/// What a lane needs to run.
pub(crate) struct LaneOptions {
    /// Whose lane it is.
    pub(crate) member: ClusterName,
    pub(crate) federated: Arc<NamedType>,
    pub(crate) depth: Depth,
    /// The only namespace that is watched; absent, all are.
    pub(crate) within: Option<Arc<str>>,
    /// The member's client for watches; nothing while it cannot be reached at all.
    pub(crate) client: watch::Receiver<Option<Client>>,
    pub(crate) restart: watch::Receiver<u64>,
    /// Moves when a definition of a type changed in the member, as far as those are watched.
    pub(crate) definitions: watch::Sender<u64>,
    pub(crate) wake: Arc<Wake>,
}

impl Lane {
    pub(crate) fn start(options: LaneOptions) -> Arc<Self> {
        let lane = Arc::new(Self {
            cache: Cache::default(),
            federated: Some(Arc::clone(&options.federated)),
            stop: CancellationToken::new(),
        });
        let running = Arc::clone(&lane);
        tokio::spawn(async move {
            let stop = running.stop.clone();
            tokio::select! {
                biased;
                () = stop.cancelled() => {}
                () = running.run(options) => {}
            }
        });
        lane
    }

    /// A lane that watches nothing: whoever reads fills its cache.
    pub(crate) fn still(cache: Cache) -> Arc<Self> {
        Arc::new(Self {
            cache,
            federated: None,
            stop: CancellationToken::new(),
        })
    }

    pub(crate) fn stop(&self) {
        self.stop.cancel();
    }

    async fn run(&self, mut options: LaneOptions) {
        let mut wait = RETRY_FIRST;
        loop {
            options.restart.mark_unchanged();
            let Some(client) = options.client.borrow_and_update().clone() else {
                if options.client.changed().await.is_err() {
                    return;
                }
                continue;
            };
            let watched = self.watch(client, &options);
            let mut restart = options.restart.clone();
            tokio::select! {
                biased;
                changed = restart.changed() => {
                    if changed.is_err() {
                        return;
                    }
                    wait = RETRY_FIRST;
                }
                listed = watched => {
                    wait = if listed { RETRY_FIRST } else { (wait * 2).min(RETRY_LAST) };
                    let mut definitions = options.definitions.subscribe();
                    tokio::select! {
                        biased;
                        _ = restart.changed() => wait = RETRY_FIRST,
                        _ = definitions.changed(), if self.cache.is_not_served() => {
                            wait = RETRY_FIRST;
                        }
                        () = sleep(wait) => {}
                    }
                }
            }
        }
    }

    /// Watches until something fails; whether a list was completed before.
    async fn watch(&self, client: Client, options: &LaneOptions) -> bool {
        let mut events = events(client, options);
        let mut listed = false;
        while let Some(event) = events.next().await {
            match event {
                Ok(event) => listed |= self.take(event, options),
                Err(error) => {
                    if is_not_found(&error) {
                        self.cache.not_served();
                    }
                    if let Some(why) = denial(&error)
                        && self.cache.deny(what_to_do(&options.member, why))
                    {
                        let name = options.federated.name.to_string();
                        options.wake.tell(News::LaneDenied(name));
                    }
                    let kind = &options.federated.federated.target.kind;
                    tracing::debug!(%kind, %error, "watch of a member failed");
                    return listed;
                }
            }
        }
        listed
    }

    fn take(&self, event: Event<Seen>, options: &LaneOptions) -> bool {
        let defines = options.federated.federated.is_definition();
        let wake = |key: &ObjectKey, change: Change| {
            options.wake.member_object(&options.federated, key, change);
            if defines && change != Change::None {
                options.definitions.send_modify(|version| *version += 1);
            }
        };
        match event {
            Event::Init => self.cache.begin_list(),
            Event::InitApply(seen) | Event::Apply(seen) => {
                if !self.cache.knows(&seen.key, &seen.metadata) {
                    let change = self.cache.take(&seen.key, seen.sighting());
                    wake(&seen.key, change);
                }
            }
            Event::Delete(seen) => {
                let change = self.cache.remove(&seen.key, version(&seen.metadata));
                wake(&seen.key, change);
            }
            Event::InitDone => {
                for key in self.cache.end_list() {
                    wake(&key, Change::Changed);
                }
                options
                    .wake
                    .tell(News::LaneSynced(options.federated.name.to_string()));
                return true;
            }
        }
        false
    }
}

/// An object of an event.
struct Seen {
    key: ObjectKey,
    metadata: ObjectMeta,
    rest: Option<Value>,
}

impl Seen {
    fn of(metadata: ObjectMeta, rest: Option<Value>) -> Self {
        Self {
            key: key_of(&metadata),
            metadata,
            rest,
        }
    }

    fn sighting(&self) -> Sighting {
        Sighting::of(&self.metadata, self.rest.as_ref())
    }
}

type Events = Pin<Box<dyn Stream<Item = Result<Event<Seen>, WatchError>> + Send>>;

fn events(client: Client, options: &LaneOptions) -> Events {
    let resource = &options.federated.federated.target;
    let within = options.within.as_deref();
    let config = Config::default().labels(&format!("{LABEL_MANAGED}=true"));
    match options.depth {
        Depth::Metadata => {
            let read = |object: PartialObjectMeta<DynamicObject>| Seen::of(object.metadata, None);
            let api: Api<PartialObjectMeta<DynamicObject>> = match within {
                None => Api::all_with(client, resource),
                Some(namespace) => Api::namespaced_with(client, namespace, resource),
            };
            Box::pin(watcher(api, config).map(move |event| Ok(map(event?, read))))
        }
        Depth::Whole => {
            let read = |object: DynamicObject| Seen::of(object.metadata, Some(object.data));
            let api: Api<DynamicObject> = match within {
                None => Api::all_with(client, resource),
                Some(namespace) => Api::namespaced_with(client, namespace, resource),
            };
            Box::pin(watcher(api, config).map(move |event| Ok(map(event?, read))))
        }
    }
}

fn map<K>(event: Event<K>, read: impl Fn(K) -> Seen) -> Event<Seen> {
    match event {
        Event::Apply(object) => Event::Apply(read(object)),
        Event::Delete(object) => Event::Delete(read(object)),
        Event::Init => Event::Init,
        Event::InitApply(object) => Event::InitApply(read(object)),
        Event::InitDone => Event::InitDone,
    }
}

/// Why the API server lets us not read the type.
fn denial(error: &WatchError) -> Option<&str> {
    let (WatchError::InitialListFailed(error) | WatchError::WatchStartFailed(error)) = error else {
        return None;
    };
    match error {
        kube::Error::Api(status) if status.code == 403 => Some(&status.message),
        _ => None,
    }
}

/// Whether the API server does not know the type.
fn is_not_found(error: &WatchError) -> bool {
    let (WatchError::InitialListFailed(error) | WatchError::WatchStartFailed(error)) = error else {
        return false;
    };
    matches!(error, kube::Error::Api(status) if status.code == 404)
}
