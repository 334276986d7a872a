//! Events on the host's objects: each told once in a while, however often it happens.

use crate::clock::WallClock;
use crate::lease::Leadership;
use k8s_openapi::api::core::v1::ObjectReference;
use k8s_openapi::api::events::v1::Event;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::MicroTime;
use kube::api::{ObjectMeta, PostParams};
use kube::{Api, Client};
use std::collections::HashMap;
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Mutex, PoisonError};
use std::time::Duration;
use tokio::sync::mpsc;
use tokio::time::{Instant, timeout};

/// The same is told again after this time.
const TOLD_FOR: Duration = Duration::from_secs(600);
/// Events that are remembered as told.
const TOLD_MAX: usize = 10_000;
/// Events that wait to be written; more are dropped, since statuses say the same.
const WAITING_MAX: usize = 1_000;
/// How long the host may take.
const DEADLINE: Duration = Duration::from_secs(5);
/// The API server's bound on notes.
const NOTE_MAX: usize = 1024;
/// What of the object's name is in the Event's; 253 in all with the number.
const NAME_CHARS_MAX: usize = 220;

/// Whether an event is a warning.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) enum Tone {
    /// Something went as it should.
    Normal,
    /// Something needs somebody's attention.
    Warning,
}

/// What an event is about.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(crate) struct About {
    pub(crate) api_version: String,
    pub(crate) kind: String,
    pub(crate) namespace: String,
    pub(crate) name: String,
    pub(crate) uid: String,
}

/// Tells events; never waits for the host.
pub(crate) struct Events {
    told: Mutex<HashMap<(String, String, String), Instant>>,
    waiting: mpsc::Sender<Event>,
    clock: WallClock,
    identity: String,
    made: AtomicU32,
}

impl Events {
    /// Starts the task that writes events while this process leads.
    pub(crate) fn start(
        client: Client,
        leadership: Leadership,
        clock: WallClock,
        identity: &str,
    ) -> Self {
        let (waiting, receiver) = mpsc::channel(WAITING_MAX);
        tokio::spawn(write(client, leadership, receiver));
        Self {
            told: Mutex::default(),
            waiting,
            clock,
            identity: identity.to_owned(),
            made: AtomicU32::new(0),
        }
    }

    /// Tells that something happened to an object, unless that was told lately.
    pub(crate) fn tell(&self, about: &About, tone: Tone, reason: &str, note: &str) {
        let note: String = note.chars().take(NOTE_MAX).collect();
        let who = match about.uid.as_str() {
            "" => format!("{} {}/{}", about.kind, about.namespace, about.name),
            uid => uid.to_owned(),
        };
        let key = (who, reason.to_owned(), note.clone());
        {
            let now = Instant::now();
            let mut told = self.told.lock().unwrap_or_else(PoisonError::into_inner);
            if told.get(&key).is_some_and(|at| now < *at + TOLD_FOR) {
                return;
            }
            if told.len() >= TOLD_MAX {
                told.retain(|_, at| now < *at + TOLD_FOR);
            }
            if told.len() < TOLD_MAX {
                told.insert(key, now);
            }
        }
        let event = self.event(about, tone, reason, note);
        // A full channel drops it: the status says the same.
        drop(self.waiting.try_send(event));
    }

    fn event(&self, about: &About, tone: Tone, reason: &str, note: String) -> Event {
        // Events of cluster-scoped objects live in the namespace default.
        let namespace = match about.namespace.is_empty() {
            true => "default".to_owned(),
            false => about.namespace.clone(),
        };
        Event {
            metadata: ObjectMeta {
                name: Some(self.unique(&about.name)),
                namespace: Some(namespace),
                ..ObjectMeta::default()
            },
            event_time: Some(MicroTime(self.clock.now())),
            action: Some("Reconcile".to_owned()),
            reason: Some(reason.to_owned()),
            note: Some(note),
            type_: Some(format!("{tone:?}")),
            reporting_controller: Some("meridian".to_owned()),
            reporting_instance: Some(self.identity.chars().take(128).collect()),
            regarding: Some(ObjectReference {
                api_version: Some(about.api_version.clone()),
                kind: Some(about.kind.clone()),
                namespace: Some(about.namespace.clone()).filter(|text| !text.is_empty()),
                name: Some(about.name.clone()),
                uid: Some(about.uid.clone()),
                ..ObjectReference::default()
            }),
            ..Event::default()
        }
    }
}

impl Events {
    /// A name as client-go's recorder makes it: the object's, and a number. `generateName` would
    /// have to end with a letter, a digit or a dash.
    fn unique(&self, name: &str) -> String {
        let made = self.made.fetch_add(1, Ordering::Relaxed);
        let number = self.clock.now().as_nanosecond() + i128::from(made);
        // An object's name may be as long as an Event's.
        let name: String = name.chars().take(NAME_CHARS_MAX).collect();
        format!("{name}.{number:x}")
    }
}

async fn write(client: Client, leadership: Leadership, mut waiting: mpsc::Receiver<Event>) {
    while let Some(event) = waiting.recv().await {
        if !leadership.may_write(DEADLINE) {
            continue;
        }
        let namespace = event.metadata.namespace.clone().unwrap_or_default();
        let api: Api<Event> = Api::namespaced(client.clone(), &namespace);
        match timeout(DEADLINE, api.create(&PostParams::default(), &event)).await {
            Ok(Ok(_)) => {}
            Ok(Err(error)) => tracing::debug!(%error, "an event was not written"),
            Err(_) => tracing::debug!("an event was not written in time"),
        }
    }
}
