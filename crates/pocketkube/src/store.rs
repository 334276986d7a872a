//! The objects of one cluster, their versions and what happened lately.
//!
//! | part | bound |
//! |---|---|
//! | tables of objects, ordered as etcd orders keys | none: what clients store |
//! | ring of events, for watches that resume and lists at a version | [`EVENTS_KEPT_MAX`] |
//! | values ready to be read, in each table and in the ring | [`ROWS_WARM_MAX`], [`EVENTS_WARM_MAX`] |
//!
//! One counter gives every write its version. Events fall out of the ring oldest first; the
//! version of the last one that fell is the compacted one, and asking for anything before it is
//! answered with 410.
//!
//! A value costs many times its encoding, so only what was written lately is kept as a value as
//! well. The rest is decoded for whoever reads it.

mod journal;
mod kept;
mod restore;
mod table;

use crate::object::{Object, Told};
pub use journal::Durability;
pub(crate) use journal::{Full, Settings};
use journal::{Journal, Tag};
use kept::Kept;
use std::collections::{BTreeMap, HashMap, VecDeque};
use std::sync::Arc;
use table::Table;

/// Events kept for each cluster: some minutes of a busy test, and at most a few dozen megabytes.
pub(crate) const EVENTS_KEPT_MAX: usize = 16_384;

/// Latest events whose objects are kept as values too: what controllers and watches that keep up
/// have not read yet.
const EVENTS_WARM_MAX: usize = 512;

/// Objects of each table, those written last, that are kept as values too.
const ROWS_WARM_MAX: usize = 512;

/// The version of an empty cluster. Above 1, because 0 and 1 mean other things to clients.
const FIRST_VERSION: u64 = 2;

/// All objects of one cluster.
#[derive(Debug)]
pub(crate) struct Store {
    version: u64,
    compacted: u64,
    tables: Tables,
    ring: VecDeque<Arc<Event>>,
    events_kept_max: usize,
    moved: watch::Sender<u64>,
    journal: Option<Journal>,
}

/// Tables by their names.
type Tables = HashMap<Arc<str>, Table>;

/// One change of one object.
#[derive(Debug)]
pub(crate) struct Event {
    /// Version that this change made.
    pub(crate) version: u64,
    /// Table of the object, `deployments.apps`.
    pub(crate) table: Arc<str>,
    /// Key of the object in its table.
    pub(crate) key: Arc<str>,
    /// How watches of everything tell of it.
    pub(crate) told: Told,
    previous: Option<Kept>,
    object: Kept,
}

impl Event {
    /// The object before; absent when it was added.
    pub(crate) fn previous(&self) -> Option<Arc<Object>> {
        self.previous.as_ref().map(Kept::object)
    }

    /// The object after, or its last state when it was deleted.
    pub(crate) fn object(&self) -> Arc<Object> {
        self.object.object()
    }

    /// Whether the object is gone.
    pub(crate) fn is_deletion(&self) -> bool {
        self.told == Told::Deleted
    }

    /// The change as a watch of everything tells it, encoded once for all of them.
    pub(crate) fn line(&self) -> bytes::Bytes {
        self.object.line_as(self.told)
    }

    fn cooled(&self) -> Self {
        Self {
            version: self.version,
            table: Arc::clone(&self.table),
            key: Arc::clone(&self.key),
            told: self.told,
            previous: self.previous.as_ref().map(Kept::cooled),
            object: self.object.cooled(),
        }
    }
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
            journal: None,
        }
    }

    /// Version of the latest write.
    pub(crate) fn version(&self) -> u64 {
        self.version
    }

    /// Version of the latest write of a table.
    pub(crate) fn version_of(&self, table: &str) -> u64 {
        let table = self.tables.get(table);
        table.map_or(0, |table| *table.moved.borrow())
    }

    /// One object.
    pub(crate) fn get(&self, table: &str, key: &str) -> Option<Arc<Object>> {
        self.tables.get(table)?.get(key).map(Kept::object)
    }

    /// Objects whose key starts with `prefix` and comes after `after`, in key order.
    pub(crate) fn range<'a>(
        &'a self,
        table: &str,
        prefix: &'a str,
        after: Option<&'a str>,
    ) -> impl Iterator<Item = (&'a Arc<str>, Arc<Object>)> {
        let table = self.tables.get(table).into_iter();
        table.flat_map(move |table| table.range(prefix, after))
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
            .map(|(key, object)| (Arc::clone(key), object))
            .collect();
        let since = self.since(table, version)?;
        for event in since
            .into_iter()
            .rev()
            .filter(|event| event.key.starts_with(prefix))
        {
            match event.previous() {
                Some(previous) => objects.insert(Arc::clone(&event.key), previous),
                None => objects.remove(&event.key),
            };
        }
        Ok(objects)
    }

    /// How many objects a table holds.
    pub(crate) fn count(&self, table: &str) -> usize {
        self.tables.get(table).map_or(0, Table::len)
    }

    /// The version that the next write gets.
    pub(crate) fn next_version(&self) -> u64 {
        self.version + 1
    }

    /// Writes an object that carries [`Store::next_version`].
    ///
    /// # Errors
    ///
    /// When the journal has no room; nothing was written then.
    pub(crate) fn put(&mut self, table: &str, key: &str, object: Arc<Object>) -> Result<(), Full> {
        let is_there = |table: &Table| table.get(key).is_some();
        let told = match self.tables.get(table).is_some_and(is_there) {
            true => Told::Modified,
            false => Told::Added,
        };
        object.tell_as(told);
        self.log(Tag::Put, table, key, &object)?;
        self.keep(table, key, object, told);
        Ok(())
    }

    /// Shows all objects of a table in another way from now on. Nothing is written: versions stay
    /// and no event tells of it.
    pub(crate) fn reshow(
        &mut self,
        table: &str,
        show: impl Fn(&Arc<Object>) -> Option<Arc<Object>>,
    ) {
        self.table(table).1.reshow(show);
    }

    /// Removes an object; `last` is its final state, carrying [`Store::next_version`].
    ///
    /// # Errors
    ///
    /// When the journal has no room; nothing was removed then.
    pub(crate) fn remove(&mut self, table: &str, key: &str, last: Arc<Object>) -> Result<(), Full> {
        last.tell_as(Told::Deleted);
        self.log(Tag::Remove, table, key, &last)?;
        self.drop_row(table, key, last);
        Ok(())
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
            .or_insert_with(|| Table::new(version));
        (key, rows)
    }

    fn keep(&mut self, table: &str, key: &str, object: Arc<Object>, told: Told) {
        let (name, rows) = self.table(table);
        let (key, previous) = rows.put(key, Arc::clone(&object));
        self.record(Change {
            table: name,
            key,
            told,
            previous,
            object,
        });
    }

    fn drop_row(&mut self, table: &str, key: &str, last: Arc<Object>) {
        let (name, rows) = self.table(table);
        let previous = rows.remove(key);
        self.record(Change {
            table: name,
            key: key.into(),
            told: Told::Deleted,
            previous,
            object: last,
        });
    }

    fn record(&mut self, change: Change) {
        self.version += 1;
        let event = Arc::new(Event {
            version: self.version,
            table: change.table,
            key: change.key,
            told: change.told,
            previous: change.previous,
            object: Kept::Warm(change.object),
        });
        self.forget_oldest();
        self.ring.push_back(Arc::clone(&event));
        if let Some(table) = self.tables.get_mut(&event.table) {
            table.ring.push_back(Arc::clone(&event));
            table.moved.send_replace(event.version);
        }
        self.moved.send_replace(event.version);
        self.cool_one();
    }

    /// Cools the event that has just become one too many.
    fn cool_one(&mut self) {
        let Some(place) = self.ring.len().checked_sub(EVENTS_WARM_MAX + 1) else {
            return;
        };
        let cooled = Arc::new(self.ring[place].cooled());
        if let Some(table) = self.tables.get_mut(&cooled.table)
            && let Ok(place) = table
                .ring
                .binary_search_by_key(&cooled.version, |event| event.version)
        {
            table.ring[place] = Arc::clone(&cooled);
        }
        self.ring[place] = cooled;
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
    told: Told,
    previous: Option<Kept>,
    object: Arc<Object>,
}

fn after(ring: &VecDeque<Arc<Event>>, version: u64, limit: usize) -> Vec<Arc<Event>> {
    let start = ring.partition_point(|event| event.version <= version);
    ring.range(start..).take(limit).cloned().collect()
}
