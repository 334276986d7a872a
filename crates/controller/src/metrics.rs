//! The controller's metrics: what it wrote, and how reconciliations ended.

use prometheus_client::encoding::{EncodeLabelSet, EncodeLabelValue};
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::registry::Registry;

/// Cheap to clone; all clones count together.
#[derive(Clone, Debug, Default)]
pub struct ControllerMetrics {
    writes: Family<WriteLabels, Counter>,
    reconciliations: Family<EndLabels, Counter>,
    overrides_past_end: Gauge,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct WriteLabels {
    verb: String,
    outcome: WriteEnd,
}

/// What became of a write to a member.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, EncodeLabelValue)]
pub(crate) enum WriteEnd {
    /// The member took it.
    Done,
    /// The member refused it, or did not answer.
    Failed,
    /// It was not sent.
    Skipped,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct EndLabels {
    end: ReconcileEnd,
}

/// How a reconciliation ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, EncodeLabelValue)]
pub(crate) enum ReconcileEnd {
    /// Nothing is left to do.
    Settled,
    /// It goes on at a certain time.
    Pending,
    /// It is tried again.
    Failed,
}

impl ControllerMetrics {
    /// Makes them part of a registry.
    pub fn register(&self, registry: &mut Registry) {
        registry.register(
            "meridian_member_writes",
            "Steps of plans that write to a member, by verb and outcome",
            self.writes.clone(),
        );
        registry.register(
            "meridian_reconciliations",
            "Reconciliations of federated objects, by how they ended",
            self.reconciliations.clone(),
        );
        registry.register(
            "meridian_overrides_past_end",
            "Overrides whose time is over and that keep their force until somebody deletes them",
            self.overrides_past_end.clone(),
        );
    }

    /// A step that writes came to an end. The verb is one of the planner's fixed words.
    pub(crate) fn wrote(&self, verb: &'static str, outcome: WriteEnd) {
        let labels = WriteLabels {
            verb: verb.to_owned(),
            outcome,
        };
        self.writes.get_or_create(&labels).inc();
    }

    /// A reconciliation came to an end.
    /// So many overrides have outlived their time.
    pub(crate) fn outlived(&self, overrides: usize) {
        let overrides = i64::try_from(overrides).unwrap_or(i64::MAX);
        self.overrides_past_end.set(overrides);
    }

    pub(crate) fn reconciled(&self, end: ReconcileEnd) {
        self.reconciliations.get_or_create(&EndLabels { end }).inc();
    }
}
