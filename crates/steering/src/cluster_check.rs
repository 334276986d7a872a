//! Checks of members as a whole (`spec.dataPlaneCheck`), for workloads that no global service steers.
//!
//! A check changes no answer: it is the leader's second signal. It is probed, counted and reported as
//! an endpoint is, of a service that cannot be.

use crate::{event::ClusterState, health::Track, report::ReportedVerdict, spec::HealthCheck};
use model::{ClusterName, EndpointId, ObjectKey, Probe, ProbeResult, ProbeSchedule, Target};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// The namespace of services that are checks: none on the host has a capital.
const NAMESPACE: &str = "dataPlaneCheck";

/// What shows that a member's data plane works.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct ClusterCheck {
    /// Where to connect.
    pub target: Target,
    /// What to do there, and how often.
    pub health: HealthCheck,
}

/// Every member's check, and what came of it.
#[derive(Debug, Default)]
pub(crate) struct Checks {
    clusters: BTreeMap<ClusterName, Checked>,
}

#[derive(Debug)]
struct Checked {
    check: ClusterCheck,
    track: Track,
}

impl Checks {
    /// Takes a member's check; whether it is another than before.
    pub(crate) fn set(&mut self, state: &ClusterState) -> bool {
        let name = &state.place.name;
        let before = self.clusters.get(name).map(|checked| &checked.check);
        if before == state.check.as_ref() {
            return false;
        }
        match state.check.clone() {
            None => drop(self.clusters.remove(name)),
            Some(check) => {
                let track = Track::default();
                self.clusters.insert(name.clone(), Checked { check, track });
            }
        }
        true
    }

    /// Forgets a member's check; whether it had one.
    pub(crate) fn forget(&mut self, name: &ClusterName) -> bool {
        self.clusters.remove(name).is_some()
    }

    /// Forgets those of members that are not there.
    pub(crate) fn keep(&mut self, there: impl Fn(&ClusterName) -> bool) {
        self.clusters.retain(|name, _| there(name));
    }

    /// Counts a result, when it is a check's; whether there is something to tell.
    pub(crate) fn observe(&mut self, result: &ProbeResult, now: u64) -> Option<bool> {
        if &*result.endpoint.service.namespace != NAMESPACE {
            return None;
        }
        let checked = self.clusters.get_mut(&result.endpoint.cluster);
        // A result of what was probed before counts for nothing.
        let checked = checked.filter(|checked| checked.check.target == result.endpoint.target);
        Some(checked.is_some_and(|checked| {
            let before = checked.track.clone();
            let failure = result.failure.as_ref();
            checked.track.observe(failure, &checked.check.health, now);
            checked.track.told() != before.told()
        }))
    }

    /// What is probed.
    pub(crate) fn probes(&self) -> impl Iterator<Item = Probe> {
        self.clusters.iter().filter_map(|(name, checked)| {
            let health = &checked.check.health;
            Some(Probe {
                endpoint: endpoint(name, &checked.check),
                target: checked.check.target.clone(),
                kind: health.probe.clone()?,
                schedule: ProbeSchedule {
                    interval_millis: health.interval_millis,
                    timeout_millis: health.timeout_millis,
                },
            })
        })
    }

    /// What is thought of each.
    pub(crate) fn verdicts(&self) -> impl Iterator<Item = ReportedVerdict> {
        let all = self.clusters.iter();
        all.map(|(name, checked)| checked.track.reported(endpoint(name, &checked.check)))
    }

    /// What is counted of each, and how it is checked.
    pub(crate) fn probed_tracks(&mut self) -> impl Iterator<Item = (&HealthCheck, &mut Track)> {
        let all = self.clusters.values_mut();
        all.map(|checked| (&checked.check.health, &mut checked.track))
    }

    /// What was counted of each: an observer that loses most of its targets doubts itself.
    pub(crate) fn tracks(&self) -> impl Iterator<Item = &Track> {
        self.clusters.values().map(|checked| &checked.track)
    }
}

fn endpoint(cluster: &ClusterName, check: &ClusterCheck) -> EndpointId {
    EndpointId {
        service: ObjectKey::new(NAMESPACE, cluster.as_str()),
        cluster: cluster.clone(),
        target: check.target.clone(),
    }
}
