//! A store and its journal: reading it back, writing to it, writing it anew.

use super::Store;
use super::journal::{Full, Journal, Record, Settings, Tag};
use crate::error::Error;
use crate::object::{Object, Told};
use bytes::Bytes;
use std::sync::Arc;

impl Store {
    /// The store of a journal, or an empty one with a new journal. Versions go on where they were,
    /// and what changed since the journal's snapshot can be watched from.
    pub(crate) fn open(settings: &Settings, events_kept_max: usize) -> Result<Self, Error> {
        let mut store = Self::new(events_kept_max);
        let read = Journal::open(settings, |record| store.take(record))?;
        store.journal =
            Some(match read {
                Some(journal) => journal,
                None => Journal::create(settings, store.version, std::iter::empty()).map_err(
                    |cause| Error::Write {
                        path: settings.path.clone(),
                        cause,
                    },
                )?,
            });
        Ok(store)
    }

    /// Takes a record of a journal.
    fn take(&mut self, record: &Record<'_>) -> Result<(), String> {
        let is_change = matches!(record.tag, Tag::Put | Tag::Remove);
        if is_change && record.version != self.next_version() {
            let (found, last) = (record.version, self.version);
            return Err(format!("version {found} follows version {last}"));
        }
        let object = || Object::of_line(Bytes::copy_from_slice(record.line));
        match record.tag {
            Tag::Row => drop(self.table(record.table).1.put(record.key, object())),
            Tag::End => {
                self.version = record.version;
                self.compacted = record.version;
            }
            Tag::Put => {
                let table = self.tables.get(record.table);
                let told = match table.is_some_and(|table| table.get(record.key).is_some()) {
                    true => Told::Modified,
                    false => Told::Added,
                };
                self.keep(record.table, record.key, object(), told);
            }
            Tag::Remove => self.drop_row(record.table, record.key, object()),
        }
        Ok(())
    }

    /// Brings the next change to the journal, where there is one.
    pub(super) fn log(
        &mut self,
        tag: Tag,
        table: &str,
        key: &str,
        object: &Arc<Object>,
    ) -> Result<(), Full> {
        let version = self.next_version();
        let Some(journal) = &mut self.journal else {
            return Ok(());
        };
        if journal.has_grown() {
            journal.rewrite(self.version, rows(&self.tables));
        }
        journal.append(&Record {
            tag,
            version,
            table,
            key,
            line: object.line(),
        })
    }
}

/// All rows as records of a snapshot.
fn rows(tables: &super::Tables) -> impl Iterator<Item = Record<'_>> {
    tables.iter().flat_map(|(name, table)| {
        table.lines().map(|(key, line)| Record {
            tag: Tag::Row,
            version: 0,
            table: name,
            key,
            line,
        })
    })
}

#[cfg(test)]
mod tests {
    use super::super::Durability;
    use super::*;
    use serde_json::json;
    use std::collections::BTreeMap;
    use std::path::Path;

    const EVENTS: usize = 100;

    fn settings(folder: &Path, bytes_max: u64) -> Settings {
        Settings {
            path: folder.join("journal"),
            durability: Durability::Process,
            bytes_max,
        }
    }

    fn object(store: &Store, name: &str, note: &str) -> Arc<Object> {
        let version = store.next_version().to_string();
        Object::new(json!({
            "kind": "ConfigMap",
            "apiVersion": "v1",
            "metadata": {"name": name, "resourceVersion": version},
            "data": {"note": note},
        }))
    }

    fn contents(store: &Store) -> BTreeMap<String, String> {
        let rows = store.range("configmaps", "", None);
        rows.map(|(key, object)| (key.to_string(), object.value().to_string()))
            .collect()
    }

    /// Writes, changes and removes, and gives the contents after each version.
    fn play(store: &mut Store) -> BTreeMap<u64, BTreeMap<String, String>> {
        let mut states = BTreeMap::from([(store.version(), contents(store))]);
        for step in 0..12 {
            let name = format!("a{}", step % 5);
            let next = object(store, &name, &"x".repeat(step * 7));
            match step % 4 {
                3 => store.remove("configmaps", &name, next).unwrap(),
                _ => store.put("configmaps", &name, next).unwrap(),
            }
            states.insert(store.version(), contents(store));
        }
        states
    }

    #[test]
    fn a_journal_cut_at_any_byte_gives_the_store_after_some_write() {
        let folder = tempfile::tempdir().unwrap();
        let settings = settings(folder.path(), u64::MAX);
        let mut store = Store::open(&settings, EVENTS).unwrap();
        let head = std::fs::metadata(&settings.path).unwrap().len();
        let states = play(&mut store);
        let last = store.version();
        drop(store);
        let whole = std::fs::read(&settings.path).unwrap();
        let mut before = 0;
        for end in usize::try_from(head).unwrap()..=whole.len() {
            std::fs::write(&settings.path, &whole[..end]).unwrap();
            let mut cut = Store::open(&settings, EVENTS).unwrap();
            let version = cut.version();
            assert_eq!(contents(&cut), states[&version], "cut at {end}");
            assert!(version >= before, "a longer journal knows no less");
            before = version;
            // What is written next stands where the torn record stood.
            let next = object(&cut, "next", "");
            cut.put("configmaps", "next", next).unwrap();
            let expected = contents(&cut);
            drop(cut);
            let again = Store::open(&settings, EVENTS).unwrap();
            assert_eq!((again.version(), contents(&again)), (version + 1, expected));
        }
        assert_eq!(before, last);
    }

    #[test]
    fn a_journal_cut_in_its_head_is_refused_and_not_overwritten() {
        let folder = tempfile::tempdir().unwrap();
        let settings = settings(folder.path(), u64::MAX);
        drop(Store::open(&settings, EVENTS).unwrap());
        let whole = std::fs::read(&settings.path).unwrap();
        for end in 0..whole.len() {
            std::fs::write(&settings.path, &whole[..end]).unwrap();
            let refused = Store::open(&settings, EVENTS).unwrap_err();
            assert_eq!(refused.kind(), "data", "cut at {end}");
            assert_eq!(std::fs::read(&settings.path).unwrap(), whole[..end]);
        }
    }

    #[test]
    fn changes_of_before_a_restart_can_be_watched_from() {
        let folder = tempfile::tempdir().unwrap();
        let settings = settings(folder.path(), u64::MAX);
        let mut store = Store::open(&settings, EVENTS).unwrap();
        let from = store.version();
        play(&mut store);
        let told = |store: &Store| -> Vec<(u64, Told)> {
            let events = store.since("configmaps", from).unwrap();
            events
                .iter()
                .map(|event| (event.version, event.told))
                .collect()
        };
        let before = told(&store);
        drop(store);
        let again = Store::open(&settings, EVENTS).unwrap();
        assert_eq!(told(&again), before);
    }

    #[test]
    fn a_journal_written_anew_holds_the_same_and_forgets_what_changed() {
        let folder = tempfile::tempdir().unwrap();
        let settings = settings(folder.path(), u64::MAX);
        let mut store = Store::open(&settings, EVENTS).unwrap();
        play(&mut store);
        let (version, expected) = (store.version(), contents(&store));
        let tables = &store.tables;
        let journal = store.journal.as_mut().unwrap();
        journal.rewrite(version, rows(tables));
        drop(store);
        let again = Store::open(&settings, EVENTS).unwrap();
        assert_eq!((again.version(), contents(&again)), (version, expected));
        assert!(again.since("configmaps", version - 1).is_err());
    }

    #[test]
    fn a_full_journal_takes_deletions_and_goes_on_when_there_is_room() {
        const ROOM: u64 = 4_000;
        let folder = tempfile::tempdir().unwrap();
        let small = settings(folder.path(), ROOM);
        let mut store = Store::open(&small, EVENTS).unwrap();
        let mut count = 0;
        let refused = loop {
            let name = count.to_string();
            let next = object(&store, &name, "");
            match store.put("configmaps", &name, next) {
                Ok(()) => count += 1,
                Err(full) => break full,
            }
        };
        assert_eq!(refused, Full);
        assert_eq!(store.count("configmaps"), count);
        let version = store.version();
        for name in 0..count {
            let last = object(&store, &name.to_string(), "");
            store.remove("configmaps", &name.to_string(), last).unwrap();
        }
        assert!(store.version() > version);
        let next = object(&store, "again", "");
        store.put("configmaps", "again", next).unwrap();
        let expected = contents(&store);
        drop(store);
        assert_eq!(contents(&Store::open(&small, EVENTS).unwrap()), expected);
    }
}
