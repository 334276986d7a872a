//! The objects of one cluster, their versions and what happened lately.
//!
//! | part | bound |
//! |---|---|
//! | tables of objects, ordered as etcd orders keys | none: what clients store |
//! | ring of events, for watches that resume and lists at a version | [`EVENTS_KEPT_MAX`] |
//!
//! One counter gives every write its version. Events fall out of the ring oldest first; the
//! version of the last one that fell is the compacted one, and asking for anything before it is
//! answered with 410.

use crate::object::Object;
use std::collections::{BTreeMap, HashMap, VecDeque};
use std::ops::Bound;
use std::sync::{Arc, OnceLock};
use tokio::sync::watch;

/// Events kept for each cluster: some minutes of a busy test, and at most a few dozen megabytes.
pub(crate) const EVENTS_KEPT_MAX: usize = 16_384;

/// The version of an empty cluster. Above 1, because 0 and 1 mean other things to clients.
const FIRST_VERSION: u64 = 2;

/// All objects of one cluster.
#[derive(Debug)]
pub(crate) struct Store {
    version: u64,
    compacted: u64,
    tables: HashMap<Arc<str>, Table>,
    ring: VecDeque<Arc<Event>>,
    events_kept_max: usize,
    moved: watch::Sender<u64>,
}

/// All objects of one kind.
#[derive(Debug)]
struct Table {
    objects: BTreeMap<Arc<str>, Arc<Object>>,
    ring: VecDeque<Arc<Event>>,
    moved: watch::Sender<u64>,
}

/// One change of one object.
#[derive(Debug)]
pub(crate) struct Event {
    /// Version that this change made.
    pub(crate) version: u64,
    /// Table of the object, `deployments.apps`.
    pub(crate) table: Arc<str>,
    /// Key of the object in its table.
    pub(crate) key: Arc<str>,
    /// The object before; absent when it was added.
    pub(crate) previous: Option<Arc<Object>>,
    /// The object after, or its last state when it was deleted.
    pub(crate) object: Arc<Object>,
    /// Whether the object is gone.
    pub(crate) deleted: bool,
    /// The change as a watch sends it, encoded once for all watchers that take it whole.
    pub(crate) line: OnceLock<bytes::Bytes>,
}

/// The version asked for is older than the ring.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Compacted {
    /// Oldest version that can be asked for.
    pub(crate) oldest: u64,
}

impl Store {
    /// An empty store that keeps `events_kept_max` events.
    pub(crate) fn new(events_kept_max: usize) -> Self {
        Self {
            version: FIRST_VERSION,
            compacted: FIRST_VERSION,
            tables: HashMap::new(),
            ring: VecDeque::new(),
            events_kept_max: events_kept_max.max(1),
            moved: watch::Sender::new(FIRST_VERSION),
        }
    }

    /// Version of the latest write.
    pub(crate) fn version(&self) -> u64 {
        self.version
    }

    /// One object.
    pub(crate) fn get(&self, table: &str, key: &str) -> Option<&Arc<Object>> {
        self.tables.get(table)?.objects.get(key)
    }

    /// Objects whose key starts with `prefix` and comes after `after`, in key order.
    pub(crate) fn range<'a>(
        &'a self,
        table: &str,
        prefix: &'a str,
        after: Option<&'a str>,
    ) -> impl Iterator<Item = (&'a Arc<str>, &'a Arc<Object>)> {
        let from = match after {
            Some(after) => Bound::Excluded(after),
            None => Bound::Included(prefix),
        };
        self.tables
            .get(table)
            .into_iter()
            .flat_map(move |table| table.objects.range::<str, _>((from, Bound::Unbounded)))
            .take_while(move |(key, _)| key.starts_with(prefix))
    }

    /// Objects whose key starts with `prefix`, as they were at `version`.
    pub(crate) fn range_at(
        &self,
        table: &str,
        prefix: &str,
        version: u64,
    ) -> Result<BTreeMap<Arc<str>, Arc<Object>>, Compacted> {
        let mut objects: BTreeMap<_, _> = self
            .range(table, prefix, None)
            .map(|(key, object)| (Arc::clone(key), Arc::clone(object)))
            .collect();
        let since = self.since(table, version)?;
        for event in since
            .into_iter()
            .rev()
            .filter(|event| event.key.starts_with(prefix))
        {
            match &event.previous {
                Some(previous) => objects.insert(Arc::clone(&event.key), Arc::clone(previous)),
                None => objects.remove(&event.key),
            };
        }
        Ok(objects)
    }

    /// How many objects a table holds.
    pub(crate) fn count(&self, table: &str) -> usize {
        self.tables
            .get(table)
            .map_or(0, |table| table.objects.len())
    }

    /// The version that the next write gets.
    pub(crate) fn next_version(&self) -> u64 {
        self.version + 1
    }

    /// Writes an object that carries [`Store::next_version`].
    pub(crate) fn put(&mut self, table: &str, key: &str, object: Arc<Object>) -> Arc<Event> {
        let (name, rows) = self.table(table);
        let previous = rows.objects.get(key).cloned();
        let key: Arc<str> = key.into();
        rows.objects.insert(Arc::clone(&key), Arc::clone(&object));
        self.record(Change {
            table: name,
            key,
            previous,
            object,
            deleted: false,
        })
    }

    /// Shows all objects of a table in another way from now on. Nothing is written: versions stay
    /// and no event tells of it.
    pub(crate) fn reshow(
        &mut self,
        table: &str,
        show: impl Fn(&Arc<Object>) -> Option<Arc<Object>>,
    ) {
        let (_, rows) = self.table(table);
        for object in rows.objects.values_mut() {
            if let Some(shown) = show(object) {
                *object = shown;
            }
        }
    }

    /// Removes an object; `last` is its final state, carrying [`Store::next_version`].
    pub(crate) fn remove(&mut self, table: &str, key: &str, last: Arc<Object>) -> Arc<Event> {
        let (name, rows) = self.table(table);
        let previous = rows.objects.remove(key);
        self.record(Change {
            table: name,
            key: key.into(),
            previous,
            object: last,
            deleted: true,
        })
    }

    /// Events of one table after `version`, oldest first.
    pub(crate) fn since(&self, table: &str, version: u64) -> Result<Vec<Arc<Event>>, Compacted> {
        self.check_kept(version)?;
        let Some(table) = self.tables.get(table) else {
            return Ok(Vec::new());
        };
        Ok(after(&table.ring, version, usize::MAX))
    }

    /// At most `limit` events of all tables after `version`, oldest first.
    pub(crate) fn all_since(
        &self,
        version: u64,
        limit: usize,
    ) -> Result<Vec<Arc<Event>>, Compacted> {
        self.check_kept(version)?;
        Ok(after(&self.ring, version, limit))
    }

    /// Tells when a table moves; made when absent, so that a watch may come before the objects.
    pub(crate) fn moved_in(&mut self, table: &str) -> watch::Receiver<u64> {
        self.table(table).1.moved.subscribe()
    }

    /// Tells when anything moves.
    pub(crate) fn moved(&self) -> watch::Receiver<u64> {
        self.moved.subscribe()
    }

    /// Forgets all events, as etcd's compaction does.
    pub(crate) fn compact(&mut self) {
        self.ring.clear();
        for table in self.tables.values_mut() {
            table.ring.clear();
        }
        self.compacted = self.version;
    }

    fn check_kept(&self, version: u64) -> Result<(), Compacted> {
        match version < self.compacted {
            true => Err(Compacted {
                oldest: self.compacted,
            }),
            false => Ok(()),
        }
    }

    fn table(&mut self, name: &str) -> (Arc<str>, &mut Table) {
        let key = match self.tables.get_key_value(name) {
            Some((key, _)) => Arc::clone(key),
            None => Arc::from(name),
        };
        let version = self.version;
        let rows = self
            .tables
            .entry(Arc::clone(&key))
            .or_insert_with(|| Table {
                objects: BTreeMap::new(),
                ring: VecDeque::new(),
                moved: watch::Sender::new(version),
            });
        (key, rows)
    }

    fn record(&mut self, change: Change) -> Arc<Event> {
        self.version += 1;
        let event = Arc::new(Event {
            version: self.version,
            table: change.table,
            key: change.key,
            previous: change.previous,
            object: change.object,
            deleted: change.deleted,
            line: OnceLock::new(),
        });
        self.forget_oldest();
        self.ring.push_back(Arc::clone(&event));
        if let Some(table) = self.tables.get_mut(&event.table) {
            table.ring.push_back(Arc::clone(&event));
            table.moved.send_replace(event.version);
        }
        self.moved.send_replace(event.version);
        event
    }

    fn forget_oldest(&mut self) {
        while self.ring.len() >= self.events_kept_max {
            let Some(oldest) = self.ring.pop_front() else {
                return;
            };
            self.compacted = oldest.version;
            if let Some(table) = self.tables.get_mut(&oldest.table)
                && table
                    .ring
                    .front()
                    .is_some_and(|event| event.version == oldest.version)
            {
                table.ring.pop_front();
            }
        }
    }
}

struct Change {
    table: Arc<str>,
    key: Arc<str>,
    previous: Option<Arc<Object>>,
    object: Arc<Object>,
    deleted: bool,
}

fn after(ring: &VecDeque<Arc<Event>>, version: u64, limit: usize) -> Vec<Arc<Event>> {
    let start = ring.partition_point(|event| event.version <= version);
    ring.range(start..).take(limit).cloned().collect()
}
