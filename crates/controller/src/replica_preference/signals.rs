//! From caches to the input of a preference's plan.

use super::{
    Clocks,
    data_plane::{DataPlaneTrack, HeardReport, Observers, SteeredService, has_drained, steered_by},
};
use crate::pod_requests::asks;
use crate::settings::{Settings, failback_of, failover_of};
use api::{ReplicaSchedulingPreference, key_of, names};
use federation::{
    ANNOTATION_DIVISION, ApiSignal, ClusterFacts, ClusterPreference, Drain, FailbackRequest,
    Intent, MemberSignals, NamespacePlacement, Placement, Preference, PreferenceInput, Role,
    RoomTrack, Running, SpreadBy, SpreadConstraint, SpreadPlace, Suitability, by_placement, places,
};
use k8s_openapi::jiff::Timestamp;
use model::{ClusterName, ObjectKey, Resources};
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

/// How long a person's request in an annotation counts, in seconds.
const REQUEST_LIFE_SECS: i64 = 3600;

/// What is known of one preference and of everything it depends on.
#[derive(Clone, Copy, Debug)]
pub struct PreferenceFacts<'a> {
    /// The preference.
    pub preference: &'a ReplicaSchedulingPreference,
    /// The federated object of its target kind and its name; absent, nothing is divided.
    pub target: Option<TargetView<'a>>,
    /// Every registered member.
    pub clusters: &'a BTreeMap<ClusterName, ClusterView>,
    /// Reports of observers.
    pub reports: &'a [HeardReport],
    /// GlobalServices and what their Services select.
    pub services: &'a [SteeredService],
    /// The failure domain of the host, where it is known.
    pub host_domain: Option<&'a str>,
    /// The annotation of the KubeFedConfig that opens the brake.
    pub released: Option<&'a str>,
}

/// The federated object whose replicas are divided.
#[derive(Clone, Copy, Debug)]
pub struct TargetView<'a> {
    /// The target's API group.
    pub group: &'a str,
    /// The target's kind.
    pub kind: &'a str,
    /// Template and placement.
    pub intent: &'a Intent,
    /// Annotations of the federated object.
    pub annotations: &'a BTreeMap<String, String>,
    /// Where its namespace goes.
    pub namespace: &'a NamespacePlacement,
}

/// What is free on each of a member's nodes.
#[derive(Clone, Debug)]
pub struct FreeNodes {
    /// Which read it is from.
    pub look: u64,
    /// Node by node.
    pub free: Arc<[Resources]>,
}

/// What is known of one member.
#[derive(Clone, Debug)]
pub struct ClusterView {
    /// Labels and place.
    pub facts: ClusterFacts,
    /// Its failure domain.
    pub failure_domain: String,
    /// Its API, as this process saw it.
    pub api: ApiSignal,
    /// What it runs of the workload; what a stale cache knew last counts.
    pub running: Running,
    /// What it can run at most, where Pods were found unschedulable.
    pub capacity: Option<i64>,
    /// What is free on its nodes, where that was read.
    pub nodes: Option<FreeNodes>,
    /// Whether it is to be emptied.
    pub draining: bool,
}

impl PreferenceFacts<'_> {
    /// Namespace and name of the preference, and of its target.
    pub fn key(&self) -> ObjectKey {
        key_of(&self.preference.metadata)
    }
}

pub(crate) fn input(
    facts: &PreferenceFacts<'_>,
    settings: &Settings,
    data_planes: &mut DataPlaneTrack,
    rooms: &BTreeMap<ClusterName, RoomTrack>,
    clocks: Clocks,
) -> PreferenceInput {
    let spec = &facts.preference.spec;
    let candidates = candidates(facts);
    let key = facts.key();
    let labels = pod_labels(facts.target.as_ref());
    let steered = steered_by(facts.services, &key.namespace, &labels);
    data_planes.keep(|name| facts.clusters.contains_key(name));
    let now = clocks.monotonic_millis;
    let observers = Observers::heard(facts.reports, now);
    let traffic = observers.read();
    let returning = request(failback_annotation(facts), clocks.wall_secs);
    let members = facts
        .clusters
        .iter()
        .map(|(name, view)| {
            let seen = observers.seen(&traffic, &steered, name, facts.host_domain);
            let signals = MemberSignals {
                role: if candidates.contains(name) {
                    Role::Candidate
                } else {
                    Role::Bystander
                },
                failure_domain: view.failure_domain.clone(),
                place: SpreadPlace {
                    region: view.facts.region.as_ref().map(ToString::to_string),
                    zones: view.facts.zones.clone(),
                },
                api: view.api,
                data_plane: data_planes.see(name, seen, now),
                drain: match view.draining {
                    false => Drain::No,
                    true if has_drained(facts.reports, name, now) => Drain::Drained,
                    true => Drain::Requested,
                },
                paused: view.facts.paused,
                running: view.running,
                capacity: view.capacity,
                room: rooms.get(name).map(|room| room.replicas()),
                failback: if names_cluster(returning, name) {
                    FailbackRequest::Requested
                } else {
                    FailbackRequest::None
                },
            };
            (name.clone(), signals)
        })
        .collect();
    PreferenceInput {
        key,
        preference: preference(facts.preference),
        failover: failover_of(spec.failover.as_ref(), settings.failover),
        failback: failback_of(spec.failback.as_ref(), settings.failback),
        brake: settings.brake,
        suitability: suitability(facts),
        released: request(facts.released, clocks.wall_secs).map(str::to_owned),
        members,
    }
}

/// What each member could run of the workload by what its nodes have free.
pub(crate) fn rooms(
    facts: &PreferenceFacts<'_>,
    before: &BTreeMap<ClusterName, RoomTrack>,
) -> BTreeMap<ClusterName, RoomTrack> {
    let asks = facts
        .target
        .as_ref()
        .and_then(|target| asks(&target.intent.template));
    let Some(asks) = asks else {
        return BTreeMap::new();
    };
    let room = |(name, view): (&ClusterName, &ClusterView)| {
        let (nodes, Running::Known { ready, .. }) = (view.nodes.as_ref()?, view.running) else {
            return None;
        };
        let known = before.get(name).copied();
        let more = || places(&nodes.free, asks);
        Some((
            name.clone(),
            RoomTrack::seen(known, nodes.look, ready, more),
        ))
    };
    facts.clusters.iter().filter_map(room).collect()
}

/// Clusters that the preference may use: all, unless it or the target's own word cuts them down,
/// and never beyond where the namespace goes.
fn candidates(facts: &PreferenceFacts<'_>) -> BTreeSet<ClusterName> {
    let Some(target) = &facts.target else {
        return BTreeSet::new();
    };
    let clusters: BTreeMap<ClusterName, ClusterFacts> = facts
        .clusters
        .iter()
        .map(|(name, view)| (name.clone(), view.facts.clone()))
        .collect();
    let chosen = |placement: &Placement| -> BTreeSet<ClusterName> {
        by_placement(placement, &clusters)
            .into_iter()
            .filter(|(_, choice)| choice.is_chosen())
            .map(|(name, _)| name)
            .collect()
    };
    let user = target
        .annotations
        .get(names::ANNOTATION_PLACEMENT)
        .map(String::as_str);
    let own = if user == Some("user") {
        chosen(&target.intent.placement)
    } else if facts.preference.spec.intersect_with_cluster_selector {
        // `placement.clusters` is KubeFed's own old output; only the selector is the user's.
        chosen(&Placement {
            clusters: None,
            cluster_selector: target.intent.placement.cluster_selector.clone(),
        })
    } else {
        clusters.keys().cloned().collect()
    };
    match target.namespace {
        NamespacePlacement::NotNeeded => own,
        NamespacePlacement::NotFederated => BTreeSet::new(),
        NamespacePlacement::Placed(placement) => {
            own.intersection(&chosen(placement)).cloned().collect()
        }
    }
}

fn preference(object: &ReplicaSchedulingPreference) -> Preference {
    let spec = &object.spec;
    if let Some(Ok(division)) = pinned(object) {
        return of_division(&division);
    }
    Preference {
        total_replicas: i64::from(spec.total_replicas),
        rebalance: spec.rebalance,
        clusters: spec
            .clusters
            .iter()
            .map(|(name, cluster)| {
                let bounds = ClusterPreference {
                    min_replicas: cluster.min_replicas,
                    max_replicas: cluster.max_replicas,
                    weight: cluster.weight,
                };
                (name.clone(), bounds)
            })
            .collect(),
        spread: spec
            .spread
            .iter()
            .map(|constraint| SpreadConstraint {
                by: match constraint.by {
                    api::SpreadBy::Region => SpreadBy::Region,
                    api::SpreadBy::Zone => SpreadBy::Zone,
                },
                min_groups: constraint.min_groups.unwrap_or_default(),
                max_skew: constraint.max_skew,
            })
            .collect(),
    }
}

/// The division that `meridian undo` pinned, if there is one; the error is what is wrong with it.
pub(crate) fn pinned(
    object: &ReplicaSchedulingPreference,
) -> Option<Result<BTreeMap<String, i64>, String>> {
    let annotations = object.metadata.annotations.as_ref()?;
    let text = annotations.get(ANNOTATION_DIVISION)?;
    let read = serde_json::from_str::<BTreeMap<String, i64>>(text);
    Some(match read {
        Ok(division) if division.values().all(|n| *n >= 0) => Ok(division),
        Ok(_) => Err("a count is negative".to_owned()),
        Err(error) => Err(error.to_string()),
    })
}

/// The preference that asks for a division. Its counts are minima and weights, not maxima, so that
/// a lost cluster's share still finds a place.
fn of_division(division: &BTreeMap<String, i64>) -> Preference {
    let clusters = division.iter().map(|(name, replicas)| {
        let bounds = ClusterPreference {
            min_replicas: *replicas,
            max_replicas: None,
            weight: *replicas,
        };
        (name.clone(), bounds)
    });
    Preference {
        total_replicas: division.values().sum(),
        rebalance: true,
        clusters: clusters.collect(),
        // It was even when it was made, or was meant to be uneven.
        spread: Vec::new(),
    }
}

/// Deployments and ReplicaSets with more than one replica and a rolling strategy may run twice for
/// a while; of anything else nobody knows.
fn suitability(facts: &PreferenceFacts<'_>) -> Suitability {
    let Some(target) = &facts.target else {
        return Suitability::Unsafe;
    };
    let rolls = match target.kind {
        "Deployment" => {
            let strategy = target.intent.template.pointer("/spec/strategy/type");
            strategy.and_then(|strategy| strategy.as_str()) != Some("Recreate")
        }
        "ReplicaSet" => true,
        _ => false,
    };
    if target.group == "apps" && rolls && facts.preference.spec.total_replicas > 1 {
        Suitability::Safe
    } else {
        Suitability::Unsafe
    }
}

fn pod_labels(target: Option<&TargetView<'_>>) -> BTreeMap<String, String> {
    target
        .and_then(|target| {
            target
                .intent
                .template
                .pointer("/spec/template/metadata/labels")
        })
        .and_then(|labels| labels.as_object())
        .into_iter()
        .flatten()
        .filter_map(|(key, value)| Some((key.clone(), value.as_str()?.to_owned())))
        .collect()
}

fn failback_annotation<'a>(facts: &PreferenceFacts<'a>) -> Option<&'a str> {
    let annotations = facts.preference.metadata.annotations.as_ref()?;
    annotations
        .get(federation::ANNOTATION_FAILBACK)
        .map(String::as_str)
}

/// What a person's request says, while it counts: `<time> <words>`.
fn request(annotation: Option<&str>, wall_secs: i64) -> Option<&str> {
    let (time, words) = annotation?.split_once(' ')?;
    let asked: Timestamp = time.parse().ok()?;
    let age = wall_secs - asked.as_second();
    (age.abs() <= REQUEST_LIFE_SECS).then_some(words.trim())
}

fn names_cluster(request: Option<&str>, cluster: &ClusterName) -> bool {
    request.is_some_and(|names| {
        names
            .split(',')
            .any(|name| name.trim() == "*" || name.trim() == cluster.as_str())
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_request_counts_for_an_hour() {
        let asked: Timestamp = "2026-11-21T08:00:00Z".parse().unwrap();
        let annotation = Some("2026-11-21T08:00:00Z a, b");
        let after = |secs| request(annotation, asked.as_second() + secs);
        assert_eq!(after(0), Some("a, b"));
        assert_eq!(after(3600), Some("a, b"));
        assert_eq!(after(3601), None);
        assert_eq!(request(Some("whenever a"), 0), None);
        assert!(names_cluster(after(0), &"b".into()));
        assert!(!names_cluster(after(0), &"c".into()));
        assert!(names_cluster(Some("*"), &"c".into()));
    }
}
