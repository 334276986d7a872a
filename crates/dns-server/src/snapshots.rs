//! The current snapshot, and those before it until nobody uses them any more.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex, PoisonError};

use arc_swap::ArcSwap;
use dns::Snapshot;

/// How many old snapshots are kept at most. One is in use for the length of a batch, so that even
/// a storm of changes leaves few.
const RETIRED_MAX: usize = 64;

/// Where snapshots are published.
///
/// Guarantees: readers never wait, and do not drop a snapshot, because it stays in the list of
/// retired ones until the next `publish` finds that it is the last owner.
/// Caveats: the last retired snapshot stays in memory until then; with more than [`RETIRED_MAX`]
/// in use at once, a reader may drop one.
pub(crate) struct Snapshots {
    current: ArcSwap<Snapshot>,
    /// Only publishers take this lock.
    retired: Mutex<VecDeque<Arc<Snapshot>>>,
}

impl Snapshots {
    pub(crate) fn new(snapshot: Arc<Snapshot>) -> Self {
        Self {
            current: ArcSwap::new(snapshot),
            retired: Mutex::default(),
        }
    }

    /// The snapshot to answer from, for one batch.
    pub(crate) fn load(&self) -> arc_swap::Guard<Arc<Snapshot>> {
        self.current.load()
    }

    /// Makes `snapshot` the current one, and drops those that nobody uses any more.
    pub(crate) fn publish(&self, snapshot: Arc<Snapshot>) {
        let mut retired = self.retired.lock().unwrap_or_else(PoisonError::into_inner);
        retired.push_back(self.current.swap(snapshot));
        retired.retain(|old| Arc::strong_count(old) > 1);
        while retired.len() > RETIRED_MAX {
            retired.pop_front();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn snapshot(generation: u64) -> Arc<Snapshot> {
        Arc::new(dns::SnapshotBuilder::new().build(generation))
    }

    #[test]
    fn a_snapshot_in_use_outlives_its_successor_and_is_dropped_by_a_publisher() {
        let snapshots = Snapshots::new(snapshot(1));
        let used = snapshots.load();
        let watch = Arc::downgrade(&used);
        snapshots.publish(snapshot(2));
        assert_eq!(used.generation(), 1);
        assert_eq!(snapshots.load().generation(), 2);
        drop(used);
        assert!(watch.upgrade().is_some(), "the reader did not drop it");
        snapshots.publish(snapshot(3));
        assert!(watch.upgrade().is_none(), "the publisher did");
    }

    #[test]
    fn old_snapshots_are_bounded() {
        let snapshots = Snapshots::new(snapshot(0));
        let used: Vec<_> = (1..2 * RETIRED_MAX as u64)
            .map(|generation| {
                let held = Arc::clone(&snapshots.load());
                snapshots.publish(snapshot(generation));
                held
            })
            .collect();
        assert_eq!(snapshots.retired.lock().unwrap().len(), RETIRED_MAX);
        drop(used);
        snapshots.publish(snapshot(999));
        assert_eq!(snapshots.retired.lock().unwrap().len(), 0);
    }
}
