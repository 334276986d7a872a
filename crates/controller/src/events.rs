//! Events on the host's objects: what lasts is told once and counted, what happens is told each time.
//!
//! # Guarantees
//! What is the same has the same name, whoever tells it: a new leader finds what the one before
//! told, and a thing that lasts is one Event with a series, counted once in [`TOLD_FOR`]. Names of what happened are
//! in the order of its times, and so is what `kubectl describe` lists.
//! # Assumptions
//! Notes of the same thing are the same, letter by letter.
//! # Caveats
//! The API server forgets an Event an hour after it was last counted; then it is told anew.

use crate::clock::WallClock;
use crate::lease::Leadership;
use k8s_openapi::api::core::v1::ObjectReference;
use k8s_openapi::api::events::v1::Event;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::MicroTime;
use k8s_openapi::jiff::Timestamp;
use kube::api::{ObjectMeta, Patch, PatchParams, PostParams};
use kube::{Api, Client, Resource};
use serde_json::json;
use siphasher::sip::SipHasher24;
use std::collections::HashMap;
use std::hash::Hasher;
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

impl About {
    /// About an object of a kind of ours.
    pub(crate) fn of<K: Resource<DynamicType = ()>>(object: &K) -> Self {
        let metadata = object.meta();
        let text = |text: &Option<String>| text.clone().unwrap_or_default();
        Self {
            api_version: K::api_version(&()).into_owned(),
            kind: K::kind(&()).into_owned(),
            namespace: text(&metadata.namespace),
            name: text(&metadata.name),
            uid: text(&metadata.uid),
        }
    }
}

/// Tells events; never waits for the host.
pub(crate) struct Events {
    /// When each was told last, by its name.
    told: Mutex<HashMap<String, Instant>>,
    waiting: mpsc::Sender<Event>,
    clock: WallClock,
    identity: String,
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
        tokio::spawn(write(client, leadership, clock, receiver));
        Self {
            told: Mutex::default(),
            waiting,
            clock,
            identity: identity.to_owned(),
        }
    }

    /// Tells that something happened to an object, unless that was told lately.
    pub(crate) fn tell(&self, about: &About, tone: Tone, reason: &str, note: &str) {
        let note: String = note.chars().take(NOTE_MAX).collect();
        let name = name(about, reason, &note);
        {
            let now = Instant::now();
            let mut told = self.told.lock().unwrap_or_else(PoisonError::into_inner);
            if told.get(&name).is_some_and(|at| now < *at + TOLD_FOR) {
                return;
            }
            if told.len() >= TOLD_MAX {
                told.retain(|_, at| now < *at + TOLD_FOR);
            }
            if told.len() < TOLD_MAX {
                told.insert(name.clone(), now);
            }
        }
        let event = self.event(name, about, tone, (reason, note));
        // A full channel drops it: the status says the same.
        drop(self.waiting.try_send(event));
    }

    /// Tells that something became of an object, as it does again and again.
    pub(crate) fn tell_turn(&self, about: &About, tone: Tone, reason: &str, note: &str) {
        let note: String = note.chars().take(NOTE_MAX).collect();
        let name = name_of_turn(about, self.clock.now(), (reason, &note));
        let event = self.event(name, about, tone, (reason, note));
        // A full channel drops it: the status says what it became.
        drop(self.waiting.try_send(event));
    }

    fn event(
        &self,
        name: String,
        about: &About,
        tone: Tone,
        (reason, note): (&str, String),
    ) -> Event {
        // Events of cluster-scoped objects live in the namespace default.
        let namespace = match about.namespace.is_empty() {
            true => "default".to_owned(),
            false => about.namespace.clone(),
        };
        Event {
            metadata: ObjectMeta {
                name: Some(name),
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

/// The name of all Events that say the same: the object's, and a digest of what is said. An object
/// that has no uid here is known by its name.
fn name(about: &About, reason: &str, note: &str) -> String {
    let mut hasher = SipHasher24::new();
    for text in [&*about.uid, &*about.kind, &*about.namespace, reason, note] {
        hasher.write_u64(text.len() as u64);
        hasher.write(text.as_bytes());
    }
    // An object's name may be as long as an Event's.
    let object: String = about.name.chars().take(NAME_CHARS_MAX).collect();
    format!("{object}.{:016x}", hasher.finish())
}

/// The same for one time only: the object's, the time in milliseconds, and a digest of what is said. Names sort as
/// times do, until the year 2527.
fn name_of_turn(about: &About, at: Timestamp, (reason, note): (&str, &str)) -> String {
    let all = name(about, reason, note);
    let (object, digest) = all.rsplit_once('.').unwrap_or((&all, ""));
    format!("{object}.{:011x}.{digest}", at.as_millisecond())
}

async fn write(
    client: Client,
    leadership: Leadership,
    clock: WallClock,
    mut waiting: mpsc::Receiver<Event>,
) {
    while let Some(event) = waiting.recv().await {
        if !leadership.may_write(DEADLINE) {
            continue;
        }
        match timeout(DEADLINE, tell_or_count(&client, clock, &event)).await {
            Ok(Ok(())) => {}
            Ok(Err(error)) => tracing::debug!(%error, "an event was not written"),
            Err(_) => tracing::debug!("an event was not written in time"),
        }
    }
}

/// Creates an Event, or counts the one that is there, unless that was done lately.
async fn tell_or_count(client: &Client, clock: WallClock, event: &Event) -> kube::Result<()> {
    let namespace = event.metadata.namespace.as_deref().unwrap_or_default();
    let name = event.metadata.name.as_deref().unwrap_or_default();
    let api: Api<Event> = Api::namespaced(client.clone(), namespace);
    match api.create(&PostParams::default(), event).await {
        Err(kube::Error::Api(status)) if status.code == 409 => {}
        created => return created.map(drop),
    }
    let Some(known) = api.get_opt(name).await? else {
        return Ok(());
    };
    let series = known.series.as_ref();
    let last = series
        .map(|series| &series.last_observed_time)
        .or(known.event_time.as_ref());
    let now = clock.now();
    let since = last.map(|last| now.duration_since(last.0).as_secs());
    if since.is_some_and(|since| since < TOLD_FOR.as_secs().cast_signed()) {
        return Ok(());
    }
    let count = series.map_or(1, |series| series.count) + 1;
    let patch = json!({"series": {"count": count, "lastObservedTime": MicroTime(now)}});
    let patch = Patch::Merge(&patch);
    api.patch(name, &PatchParams::default(), &patch)
        .await
        .map(drop)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_says_the_same_of_the_same_has_one_name() {
        let about = |uid: &str, name: &str| About {
            api_version: "types.kubefed.io/v1beta1".to_owned(),
            kind: "FederatedConfigMap".to_owned(),
            namespace: "shop".to_owned(),
            name: name.to_owned(),
            uid: uid.to_owned(),
        };
        let first = name(&about("u", "prices"), "Rejected", "a: no");
        assert_eq!(first, name(&about("u", "prices"), "Rejected", "a: no"));
        assert!(first.starts_with("prices."), "{first}");
        for other in [
            name(&about("v", "prices"), "Rejected", "a: no"),
            name(&about("u", "prices"), "Forbidden", "a: no"),
            name(&about("u", "prices"), "Rejected", "b: no"),
        ] {
            assert_ne!(first, other);
        }
        let far = about("u", &"x".repeat(253));
        let long = name(&far, "Rejected", "a: no");
        assert!(long.len() <= 253, "{}", long.len());

        let at = |millis: i64| Timestamp::from_millisecond(millis).expect("a time");
        let turn = |millis: i64, note: &str| {
            let about = about("u", "prices");
            name_of_turn(&about, at(millis), ("EndpointDown", note))
        };
        let turns = [
            turn(1_700_000_000_000, "z"),
            turn(1_700_000_000_001, "a"),
            turn(1_800_000_000_000, "z"),
            turn(17_000_000_000_000, "z"),
        ];
        assert!(turns.is_sorted(), "{turns:?}");
        assert!(turns.iter().all(|name| name.starts_with("prices.")));
        let long = name_of_turn(&far, at(17_000_000_000_000), ("EndpointDown", ""));
        assert!(long.len() <= 253, "{}", long.len());
    }
}
