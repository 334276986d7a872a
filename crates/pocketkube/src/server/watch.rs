//! Watches: what happened since a version, then what happens, as lines of JSON.
//!
//! Guarantees: every change of the selection after the start version, once and in order; a
//! bookmark's version is never ahead of what was sent. Assumptions: the client reads. Caveats: one
//! that falls behind the ring of events gets an ERROR event with 410 and the stream ends.

use super::accept::Form;
use super::listing::{self, Look};
use crate::chance::Chance;
use crate::cluster::Cluster;
use crate::cluster::read::{Selection, too_large};
use crate::faults::{ApiState, Effect};
use crate::object::{Object, Told};
use crate::registry::Registry;
use crate::resource::Resource;
use crate::status::Status;
use crate::store::Event;
use crate::view;
use bytes::{Bytes, BytesMut};
use futures::Stream;
use serde_json::{Value, json};
use std::collections::VecDeque;
use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;
use tokio::time::{Instant, Sleep};

/// How often a quiet watch that takes bookmarks gets one, as upstream's cacher does.
const BOOKMARK_PERIOD: Duration = Duration::from_secs(60);

/// Lines sent at once: as much as one TLS record and one HTTP/2 frame hold.
const CHUNK_BYTES_MAX: usize = 16 * 1024;

/// Marks the bookmark that ends the initial events (KEP-3157).
const INITIAL_EVENTS_END: &str = "k8s.io/initial-events-end";

/// Where a watch starts.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Start {
    /// With what is there, as ADDED events; then changes.
    WithState,
    /// With what is there, then a bookmark that says so; then changes.
    WithStateAndMark {
        /// The version that has to be there.
        not_older_than: u64,
    },
    /// With changes from now on.
    Now,
    /// With changes after a version.
    After(u64),
}

impl Start {
    fn has_state(self) -> bool {
        matches!(self, Self::WithState | Self::WithStateAndMark { .. })
    }

    /// What is told instead of a state that is not there yet.
    fn refusal(self, current: u64) -> Option<Status> {
        match self {
            Self::WithStateAndMark { not_older_than } if not_older_than > current => {
                Some(too_large(not_older_than, current))
            }
            _ => None,
        }
    }
}

/// What a watch wants.
#[derive(Debug)]
pub(crate) struct WatchQuery {
    /// Where it starts.
    pub(crate) start: Start,
    /// Which objects.
    pub(crate) selection: Selection,
    /// In which form.
    pub(crate) form: Form,
    /// How tables are made.
    pub(crate) look: Look,
    /// Whether it takes bookmarks.
    pub(crate) bookmarks: Bookmarks,
    /// When it ends.
    pub(crate) lasts: Duration,
}

/// Whether a watch takes bookmarks.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Bookmarks {
    /// It does.
    Wanted,
    /// It does not.
    Unwanted,
}

/// The lines of a watch.
pub(crate) fn lines(
    cluster: Cluster,
    resource: Arc<Resource>,
    query: WatchQuery,
) -> impl Stream<Item = Result<Bytes, std::io::Error>> + Send {
    let watcher = Watcher::new(cluster, resource, query);
    futures::stream::unfold(watcher, |mut watcher| async move {
        let line = watcher.next().await?;
        Some((line, watcher))
    })
}

struct Watcher {
    cluster: Cluster,
    resource: Arc<Resource>,
    table: String,
    api_version: String,
    /// Whether all objects are kept in the very form that this watch sends.
    is_kept_so: bool,
    registry: Arc<Registry>,
    selection: Selection,
    form: Form,
    look: Look,
    bookmarks: Bookmarks,
    ends: Instant,
    /// Set to the next bookmark, or to the end.
    timer: Pin<Box<Sleep>>,
    version: u64,
    moved: watch::Receiver<u64>,
    faults: watch::Receiver<crate::faults::Faults>,
    falls: u64,
    /// Draws the faults of its events.
    chance: Option<Chance>,
    /// Until when its events are held back.
    stale_until: Option<Instant>,
    ready: VecDeque<Bytes>,
    sent_columns: bool,
    over: bool,
}

impl Watcher {
    fn new(cluster: Cluster, resource: Arc<Resource>, query: WatchQuery) -> Self {
        let table = resource.table();
        // One in which the kind is not served any more is found to be another one.
        let registry = cluster.registry();
        let mut store = cluster.store();
        let moved = store.moved_in(&table);
        let current = store.version();
        let early = query.start.refusal(current);
        let with_state = query.start.has_state() && early.is_none();
        let mut initial: Vec<Arc<Object>> = Vec::new();
        if with_state {
            let prefix = crate::cluster::prefix(query.selection.namespace.as_deref());
            initial.extend(store.range(&table, &prefix, None).map(|(_, object)| object));
        }
        drop(store);
        initial.retain(|object| query.selection.has(&resource, object));
        let version = match query.start {
            Start::After(version) => version,
            _ => current,
        };
        let faults = cluster.faults().subscribe();
        let falls = cluster.faults().falls();
        let ends = Instant::now() + query.lasts;
        let first = match query.bookmarks {
            Bookmarks::Wanted => ends.min(Instant::now() + BOOKMARK_PERIOD),
            Bookmarks::Unwanted => ends,
        };
        let mut watcher = Self {
            is_kept_so: query.form == Form::Whole
                && !resource.is_custom()
                && resource.api_version() == resource.stored_api_version(),
            api_version: resource.api_version(),
            registry,
            cluster,
            resource,
            table,
            selection: query.selection,
            form: query.form,
            look: query.look,
            bookmarks: query.bookmarks,
            ends,
            timer: Box::pin(tokio::time::sleep_until(first)),
            version,
            moved,
            faults,
            falls,
            chance: None,
            stale_until: None,
            ready: VecDeque::new(),
            sent_columns: false,
            over: false,
        };
        for object in initial {
            let line = watcher.line(Told::Added, &object);
            watcher.ready.push_back(line);
        }
        if let Some(status) = early {
            watcher
                .ready
                .push_back(encoded("ERROR", &status.to_value()));
            watcher.over = true;
            return watcher;
        }
        let is_marked = matches!(query.start, Start::WithStateAndMark { .. });
        if is_marked && watcher.bookmarks == Bookmarks::Wanted {
            let annotations = json!({INITIAL_EVENTS_END: "true"});
            let mark = watcher.bookmark(version, Some(annotations));
            watcher.ready.push_back(mark);
        }
        watcher
    }

    /// The next line; none when the watch is over.
    async fn next(&mut self) -> Option<Result<Bytes, std::io::Error>> {
        loop {
            if let Some(cut) = self.obey_faults().await {
                return cut;
            }
            if let Some(lines) = self.take_ready() {
                return Some(Ok(lines));
            }
            if self.over {
                return None;
            }
            // The last events of a kind that is served no more still reach its watches.
            let is_served = self.is_served();
            self.read();
            self.over |= !is_served;
            if self.ready.is_empty() && !self.over && self.wait().await.is_err() {
                return None;
            }
        }
    }

    /// Whether the kind is still served; looked up when the kinds of the cluster changed.
    fn is_served(&mut self) -> bool {
        let registry = self.cluster.registry();
        if Arc::ptr_eq(&registry, &self.registry) {
            return true;
        }
        let is_served = registry.serves(&self.resource);
        self.registry = registry;
        is_served
    }

    /// What is ready to be sent, several lines at once when they are short: a reader that fell
    /// behind catches up the faster.
    fn take_ready(&mut self) -> Option<Bytes> {
        let first = self.ready.pop_front()?;
        let next = self.ready.front().map_or(usize::MAX, Bytes::len);
        if first.len().saturating_add(next) > CHUNK_BYTES_MAX {
            return Some(first);
        }
        let mut chunk = BytesMut::with_capacity(CHUNK_BYTES_MAX);
        chunk.extend_from_slice(&first);
        while let Some(line) = self.ready.front()
            && chunk.len() + line.len() <= CHUNK_BYTES_MAX
        {
            chunk.extend_from_slice(line);
            self.ready.pop_front();
        }
        Some(chunk.freeze())
    }

    /// An API that went down cuts its watches; one that hangs stalls them.
    async fn obey_faults(&mut self) -> Option<Option<Result<Bytes, std::io::Error>>> {
        if let Some(until) = self.stale_until.take() {
            tokio::time::sleep_until(until).await;
        }
        loop {
            let state = self.faults.borrow_and_update().api;
            if self.over && self.ready.is_empty() {
                return Some(None);
            }
            if self.cluster.faults().falls() != self.falls || state.is_down() {
                self.over = true;
                self.ready.clear();
                return Some(Some(Err(std::io::ErrorKind::ConnectionReset.into())));
            }
            if state != ApiState::Hung {
                return None;
            }
            if self.faults.changed().await.is_err() {
                return Some(None);
            }
        }
    }

    /// Makes a line ready, as the faults of watch events have it.
    fn tell(&mut self, line: Bytes) {
        let faults = self.cluster.faults();
        match faults.strike_event(&mut self.chance, &self.table) {
            Some(Effect::DropEvents) => return,
            Some(Effect::DuplicateEvents) => self.ready.push_back(line.clone()),
            Some(Effect::StaleEvents { delay_millis }) => {
                let until = Instant::now() + Duration::from_millis(delay_millis);
                self.stale_until = self.stale_until.max(Some(until));
            }
            _ => {}
        }
        self.ready.push_back(line);
    }

    /// Takes what happened since the last time.
    fn read(&mut self) {
        let (events, current) = {
            let store = self.cluster.store();
            (store.since(&self.table, self.version), store.version())
        };
        match events {
            Ok(events) => {
                for event in events {
                    if let Some(line) = self.line_of(&event) {
                        self.tell(line);
                    }
                }
                self.version = self.version.max(current);
            }
            Err(compacted) => {
                let message = format!(
                    "too old resource version: {} ({})",
                    self.version, compacted.oldest
                );
                let status = Status::expired(message).to_value();
                self.ready.push_back(encoded("ERROR", &status));
                self.over = true;
            }
        }
    }

    /// Waits for a change, the time of a bookmark, or a fault; an error is the end.
    async fn wait(&mut self) -> Result<(), ()> {
        tokio::select! {
            biased;
            changed = self.faults.changed() => changed.map_err(|_| ()),
            () = &mut self.timer => {
                let now = Instant::now();
                if now >= self.ends {
                    return Err(());
                }
                self.timer.as_mut().reset((now + BOOKMARK_PERIOD).min(self.ends));
                self.read();
                if !self.over {
                    let mark = self.bookmark(self.version, None);
                    self.ready.push_back(mark);
                }
                Ok(())
            }
            // Last: a table that never rests keeps no bookmark and no end waiting.
            moved = self.moved.changed() => moved.map_err(|_| ()),
        }
    }

    /// The line of an event, where it touches the selection. An object that enters the selection
    /// is ADDED, one that leaves it DELETED.
    fn line_of(&mut self, event: &Event) -> Option<Bytes> {
        if !self.selection.has_key(&event.key) {
            return None;
        }
        let object = event.object();
        if self.selection.is_unfiltered() {
            return Some(self.natural_line(event, &object));
        }
        let previous = event.previous();
        let is_in = !event.is_deletion() && self.selection.has(&self.resource, &object);
        let was_in = previous
            .as_ref()
            .is_some_and(|old| self.selection.has(&self.resource, old));
        let told = match (was_in, is_in) {
            (false, false) => return None,
            (false, true) => Told::Added,
            (true, true) => Told::Modified,
            (true, false) => Told::Deleted,
        };
        if told == Told::Deleted && !event.is_deletion() {
            // The last state that was in the selection, at the version at which it left.
            let mut last = previous?.value().clone();
            last["metadata"]["resourceVersion"] = event.version.to_string().into();
            return Some(self.line(told, &Object::new(last)));
        }
        match told == event.told {
            true => Some(self.natural_line(event, &object)),
            false => Some(self.line(told, &object)),
        }
    }

    /// The line of an event as all watches of everything have it.
    fn natural_line(&mut self, event: &Event, object: &Arc<Object>) -> Bytes {
        let is_shown_as_kept = self.is_kept_so
            || self.form == Form::Whole && object.is_of(&self.resource.kind, &self.api_version);
        if is_shown_as_kept {
            return event.line();
        }
        self.line(event.told, object)
    }

    fn line(&mut self, told: Told, kept: &Arc<Object>) -> Bytes {
        let shown = view::of(&self.resource, kept);
        match self.form {
            Form::Table => {
                let metadata = json!({"resourceVersion": shown["metadata"]["resourceVersion"]});
                let look = Look {
                    now: self.cluster.clock().now(),
                    ..self.look
                };
                let mut table = look.table(&self.resource, &[shown], metadata);
                // Columns are told once.
                if self.sent_columns {
                    table["columnDefinitions"] = Value::Null;
                }
                self.sent_columns = true;
                encoded(told.as_str(), &table)
            }
            Form::Metadata => encoded(told.as_str(), &listing::metadata_of(&shown)),
            _ => shown.line_as(told),
        }
    }

    fn bookmark(&mut self, version: u64, annotations: Option<Value>) -> Bytes {
        let mut metadata = json!({
            "resourceVersion": version.to_string(),
            "creationTimestamp": null,
        });
        if let Some(annotations) = annotations {
            metadata["annotations"] = annotations;
        }
        let object = json!({
            "kind": self.resource.kind,
            "apiVersion": self.resource.api_version(),
            "metadata": metadata,
        });
        match self.form {
            Form::Table => {
                let partial = listing::metadata_of(&object);
                let row = json!({"cells": [], "object": partial});
                let table = json!({
                    "kind": "Table",
                    "apiVersion": "meta.k8s.io/v1",
                    "metadata": {"resourceVersion": version.to_string()},
                    "columnDefinitions": null,
                    "rows": [row],
                });
                encoded("BOOKMARK", &table)
            }
            Form::Metadata => encoded("BOOKMARK", &listing::metadata_of(&object)),
            _ => encoded("BOOKMARK", &object),
        }
    }
}

fn encoded(kind: &str, object: &Value) -> Bytes {
    framed(
        kind,
        &serde_json::to_vec(object).expect("a JSON value encodes"),
    )
}

fn framed(kind: &str, object: &[u8]) -> Bytes {
    let mut line = Vec::with_capacity(object.len() + 40);
    line.extend_from_slice(b"{\"type\":\"");
    line.extend_from_slice(kind.as_bytes());
    line.extend_from_slice(b"\",\"object\":");
    line.extend_from_slice(object);
    line.extend_from_slice(b"}\n");
    line.into()
}
