//! The controller's metrics: what it wrote, how reconciliations ended, how long both took, and how the
//! fleet stands.

use federation::{ClusterFacts, Readiness};
use model::{ClusterName, ObjectKey};
use prometheus_client::encoding::{EncodeLabelSet, EncodeLabelValue};
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::metrics::histogram::{Histogram, exponential_buckets};
use prometheus_client::registry::{Registry, Unit};
use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

/// Cheap to clone; all clones count together.
#[derive(Clone, Debug)]
pub struct ControllerMetrics {
    writes: Family<WriteLabels, Counter>,
    write_seconds: Histogram,
    reconciliations: Family<EndLabels, Counter>,
    overrides_past_end: Gauge,
    reconciliation_seconds: Histogram,
    leading: Gauge,
    members: Family<MemberLabels, Gauge>,
    orphans: Family<ClusterLabels, Gauge>,
    failovers_braked: Gauge,
    /// Preferences whose failover is braked.
    braked: Arc<Mutex<BTreeSet<ObjectKey>>>,
}

impl Default for ControllerMetrics {
    fn default() -> Self {
        // From a millisecond to half a minute.
        let seconds = || Histogram::new(exponential_buckets(0.001, 2.0, 16));
        Self {
            writes: Family::default(),
            write_seconds: seconds(),
            reconciliations: Family::default(),
            reconciliation_seconds: seconds(),
            leading: Gauge::default(),
            members: Family::default(),
            orphans: Family::default(),
            failovers_braked: Gauge::default(),
            overrides_past_end: Gauge::default(),
            braked: Arc::default(),
        }
    }
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct MemberLabels {
    state: MemberState,
}

/// How a member stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, EncodeLabelValue)]
enum MemberState {
    /// Its API answers.
    Ready,
    /// It does not, or its KubeFedCluster cannot be used.
    NotReady,
    /// Nobody has asked yet.
    Unknown,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct ClusterLabels {
    cluster: String,
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
        registry.register_with_unit(
            "meridian_member_write",
            "How long a step that writes to a member takes, waiting for its turn included",
            Unit::Seconds,
            self.write_seconds.clone(),
        );
        registry.register_with_unit(
            "meridian_reconciliation",
            "How long a reconciliation of a federated object takes",
            Unit::Seconds,
            self.reconciliation_seconds.clone(),
        );
        registry.register(
            "meridian_leading",
            "1 while this process leads, else 0",
            self.leading.clone(),
        );
        registry.register(
            "meridian_members",
            "Members, by how they stand",
            self.members.clone(),
        );
        registry.register(
            "meridian_orphans",
            "Objects of this host in a member that have no federated object, as the leader sees them",
            self.orphans.clone(),
        );
        registry.register(
            "meridian_failovers_braked",
            "Scheduling preferences whose failover is braked",
            self.failovers_braked.clone(),
        );
    }

    /// A step that writes came to an end. The verb is one of the planner's fixed words.
    pub(crate) fn wrote(&self, verb: &'static str, outcome: WriteEnd, took: Duration) {
        self.write_seconds.observe(took.as_secs_f64());
        let labels = WriteLabels {
            verb: verb.to_owned(),
            outcome,
        };
        self.writes.get_or_create(&labels).inc();
    }

    /// So many overrides have outlived their time.
    pub(crate) fn outlived(&self, overrides: usize) {
        let overrides = i64::try_from(overrides).unwrap_or(i64::MAX);
        self.overrides_past_end.set(overrides);
    }

    /// A reconciliation came to an end.
    pub(crate) fn reconciled(&self, end: ReconcileEnd, took: Duration) {
        self.reconciliation_seconds.observe(took.as_secs_f64());
        self.reconciliations.get_or_create(&EndLabels { end }).inc();
    }

    /// Whether this process leads, and how every member stands.
    pub(crate) fn fleet(&self, leads: bool, members: &BTreeMap<ClusterName, ClusterFacts>) {
        self.leading.set(i64::from(leads));
        for state in [
            MemberState::Ready,
            MemberState::NotReady,
            MemberState::Unknown,
        ] {
            let of_state = members.values().filter(|facts| {
                state
                    == match facts.readiness {
                        Readiness::Ready => MemberState::Ready,
                        Readiness::NotReady(_) => MemberState::NotReady,
                        Readiness::Unknown => MemberState::Unknown,
                    }
            });
            let count = i64::try_from(of_state.count()).unwrap_or(i64::MAX);
            self.members
                .get_or_create(&MemberLabels { state })
                .set(count);
        }
    }

    /// What members hold of this host that it does not know.
    pub(crate) fn orphans(&self, counts: &BTreeMap<ClusterName, usize>) {
        self.orphans.clear();
        for (name, count) in counts {
            let labels = ClusterLabels {
                cluster: name.to_string(),
            };
            let count = i64::try_from(*count).unwrap_or(i64::MAX);
            self.orphans.get_or_create(&labels).set(count);
        }
    }

    /// Whether the failover of a preference is braked; none is of one that is gone.
    pub(crate) fn failover_braked(&self, preference: &ObjectKey, is_braked: bool) {
        let mut braked = self.braked.lock().unwrap_or_else(PoisonError::into_inner);
        match is_braked {
            true => braked.insert(preference.clone()),
            false => braked.remove(preference),
        };
        let count = i64::try_from(braked.len()).unwrap_or(i64::MAX);
        self.failovers_braked.set(count);
    }
}
