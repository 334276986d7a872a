//! All objects of one kind.

use super::kept::Kept;
use super::{Event, ROWS_WARM_MAX};
use crate::object::Object;
use std::collections::{BTreeMap, VecDeque};
use std::ops::Bound;
use std::sync::Arc;

/// How many entries the queue of warm rows may have for each row that is warm: a row written again
/// has one for each write.
const ENTRIES_PER_ROW_MAX: usize = 4;

/// All objects of one kind.
#[derive(Debug)]
pub(super) struct Table {
    rows: BTreeMap<Arc<str>, Kept>,
    /// Keys of the rows that are warm, in the order of their writes; some of them more than once.
    warm: VecDeque<Arc<str>>,
    /// How many rows are warm.
    warm_count: usize,
    pub(super) ring: VecDeque<Arc<Event>>,
    pub(super) moved: watch::Sender<u64>,
}

impl Table {
    pub(super) fn new(version: u64) -> Self {
        Self {
            rows: BTreeMap::new(),
            warm: VecDeque::new(),
            warm_count: 0,
            ring: VecDeque::new(),
            moved: watch::Sender::new(version),
        }
    }

    pub(super) fn len(&self) -> usize {
        self.rows.len()
    }

    pub(super) fn get(&self, key: &str) -> Option<&Kept> {
        self.rows.get(key)
    }

    /// Rows whose key starts with `prefix` and comes after `after`, in key order.
    pub(super) fn range<'a>(
        &'a self,
        prefix: &'a str,
        after: Option<&'a str>,
    ) -> impl Iterator<Item = (&'a Arc<str>, Arc<Object>)> {
        let from = match after {
            Some(after) => Bound::Excluded(after),
            None => Bound::Included(prefix),
        };
        self.rows
            .range::<str, _>((from, Bound::Unbounded))
            .take_while(move |(key, _)| key.starts_with(prefix))
            .map(|(key, kept)| (key, kept.object()))
    }

    /// All rows as the lines by which watches tell of them.
    pub(super) fn lines(&self) -> impl Iterator<Item = (&str, &[u8])> {
        self.rows.iter().map(|(key, kept)| {
            let line: &[u8] = match kept {
                Kept::Warm(object) => object.line(),
                Kept::Cold(line) => line,
            };
            (key.as_ref(), line)
        })
    }

    /// Writes a row, and gives its key and what was there.
    pub(super) fn put(&mut self, key: &str, object: Arc<Object>) -> (Arc<str>, Option<Kept>) {
        let known = self.rows.get_key_value(key);
        let key = known.map_or_else(|| key.into(), |(key, _)| Arc::clone(key));
        let previous = self.rows.insert(Arc::clone(&key), Kept::Warm(object));
        if !matches!(previous, Some(Kept::Warm(_))) {
            self.warm_count += 1;
        }
        self.warm.push_back(Arc::clone(&key));
        self.cool();
        (key, previous)
    }

    /// Takes a row out.
    pub(super) fn remove(&mut self, key: &str) -> Option<Kept> {
        let previous = self.rows.remove(key);
        if matches!(previous, Some(Kept::Warm(_))) {
            self.warm_count -= 1;
        }
        previous
    }

    /// Shows rows in another way.
    pub(super) fn reshow(&mut self, show: impl Fn(&Arc<Object>) -> Option<Arc<Object>>) {
        for kept in self.rows.values_mut() {
            let Some(shown) = show(&kept.object()) else {
                continue;
            };
            let shown = Kept::Warm(shown);
            *kept = match kept {
                Kept::Warm(_) => shown,
                Kept::Cold(_) => shown.cooled(),
            };
        }
    }

    /// Cools rows until no more are warm than may be.
    fn cool(&mut self) {
        while self.warm_count > ROWS_WARM_MAX
            && let Some(oldest) = self.warm.pop_front()
        {
            if let Some(kept) = self.rows.get_mut(&oldest)
                && matches!(kept, Kept::Warm(_))
            {
                *kept = kept.cooled();
                self.warm_count -= 1;
            }
        }
        if self.warm.len() > ROWS_WARM_MAX * ENTRIES_PER_ROW_MAX {
            self.drop_repeated();
        }
    }

    /// Leaves the latest entry of each warm row.
    fn drop_repeated(&mut self) {
        let mut seen = std::collections::HashSet::new();
        let mut latest: VecDeque<Arc<str>> = VecDeque::new();
        for key in self.warm.iter().rev() {
            let is_warm = matches!(self.rows.get(key), Some(Kept::Warm(_)));
            if is_warm && seen.insert(Arc::clone(key)) {
                latest.push_front(Arc::clone(key));
            }
        }
        self.warm = latest;
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn warm(table: &Table) -> usize {
        let kept = table.rows.values();
        kept.filter(|kept| matches!(kept, Kept::Warm(_))).count()
    }

    fn put(table: &mut Table, number: usize) {
        let object = Object::new(json!({"metadata": {"name": number.to_string()}}));
        table.put(&number.to_string(), object);
    }

    #[test]
    fn only_the_rows_written_last_are_warm() {
        let mut table = Table::new(1);
        for number in 0..2 * ROWS_WARM_MAX {
            put(&mut table, number);
        }
        assert_eq!(table.len(), 2 * ROWS_WARM_MAX);
        assert_eq!(warm(&table), ROWS_WARM_MAX);
        assert!(matches!(table.get("0"), Some(Kept::Cold(_))));
        table.remove(&(2 * ROWS_WARM_MAX - 1).to_string());
        assert_eq!(warm(&table), table.warm_count);
    }

    #[test]
    fn rows_written_again_and_again_push_out_nobody_for_ever() {
        let mut table = Table::new(1);
        for number in 0..ROWS_WARM_MAX * ENTRIES_PER_ROW_MAX * 2 {
            put(&mut table, number % 3);
        }
        assert_eq!((warm(&table), table.warm_count), (3, 3));
        assert!(table.warm.len() <= ROWS_WARM_MAX * ENTRIES_PER_ROW_MAX);
        assert_eq!(
            table
                .get("1")
                .map(|kept| kept.object()["metadata"]["name"].clone()),
            Some(json!("1"))
        );
    }
}
