//! What happened in a cluster since a version, for controllers in the process.
//!
//! Guarantees: every change is given once, in order, with the object before and after.
//! Assumptions: the reader keeps up with the ring of events.
//! Caveats: one that does not is told [`Behind`] and starts anew from a list.

use crate::cluster::Cluster;
use crate::object::Object;
use crate::store::Event;
use std::sync::Arc;

/// Changes given at once at most.
pub const CHANGES_PER_BATCH_MAX: usize = 1_024;

/// A reader of all changes of a cluster.
#[derive(Debug)]
pub struct Changes {
    cluster: Cluster,
    version: u64,
    moved: watch::Receiver<u64>,
}

/// One change.
#[derive(Debug, Clone)]
pub struct Change {
    event: Arc<Event>,
    object: Arc<Object>,
    previous: Option<Arc<Object>>,
}

/// The reader fell behind what is kept: list everything and go on from now.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("changes were forgotten before they were read; list anew")]
pub struct Behind;

impl Changes {
    pub(crate) fn new(cluster: Cluster, version: u64, moved: watch::Receiver<u64>) -> Self {
        Self {
            cluster,
            version,
            moved,
        }
    }

    /// The next changes, at most [`CHANGES_PER_BATCH_MAX`]; empty when there are none.
    ///
    /// # Errors
    ///
    /// [`Behind`] once, after which the reader stands at the present.
    pub fn take(&mut self) -> Result<Vec<Change>, Behind> {
        match self
            .cluster
            .events_since(self.version, CHANGES_PER_BATCH_MAX)
        {
            Ok(events) => {
                if let Some(last) = events.last() {
                    self.version = last.version;
                }
                Ok(events.into_iter().map(Change::new).collect())
            }
            Err(present) => {
                self.version = present;
                Err(Behind)
            }
        }
    }

    /// Waits until there may be changes to take.
    pub async fn wait(&mut self) {
        let version = self.version;
        // The store outlives this reader, so the channel cannot be closed.
        let _ = self.moved.wait_for(|moved| *moved > version).await;
    }
}

impl Change {
    fn new(event: Arc<Event>) -> Self {
        Self {
            object: event.object(),
            previous: event.previous(),
            event,
        }
    }

    /// The table of the object: plural and group, `pods` or `deployments.apps`.
    pub fn table(&self) -> &str {
        &self.event.table
    }

    /// The object after the change, or its last state when it was deleted.
    pub fn object(&self) -> &Arc<Object> {
        &self.object
    }

    /// The object before the change; absent when it was added.
    pub fn previous(&self) -> Option<&Arc<Object>> {
        self.previous.as_ref()
    }

    /// Whether the object is gone.
    pub fn is_deleted(&self) -> bool {
        self.event.is_deletion()
    }

    /// The version that this change made.
    pub fn version(&self) -> u64 {
        self.event.version
    }
}
