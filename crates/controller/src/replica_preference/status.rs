//! The status of a scheduling preference.

use super::signals::{PreferenceFacts, pinned};
use api::{
    ClusterReplicas, Condition, DIVISIONS_KEPT_MAX, PastDivision, ReplicaSchedulingPreference,
    ReplicaSchedulingPreferenceStatus,
};
use federation::{ANNOTATION_DIVISION, LabelSelector, Phase, PreferencePlan, Running};
use k8s_openapi::jiff::Timestamp;
use std::collections::BTreeMap;

/// What a condition says of a pinned division.
const PINNED: &str =
    "meridian undo pinned this division, whatever spec says: meridian undo --release ends that";

/// The longest selector that a status holds, in bytes.
const SELECTOR_MAX: usize = 4096;

/// What the status shall say; the writer adds the times.
pub(crate) fn status(
    facts: &PreferenceFacts<'_>,
    plan: &PreferencePlan,
) -> ReplicaSchedulingPreferenceStatus {
    let clusters: Vec<ClusterReplicas> = plan
        .clusters
        .iter()
        .map(|(name, share)| ClusterReplicas {
            name: name.to_string(),
            replicas: share.replicas,
            reason: share.reason.clone(),
            phase: match share.phase {
                Phase::Serving => String::new(),
                phase => phase.to_string(),
            },
        })
        .collect();
    let mut conditions = vec![scheduled(facts, plan)];
    if let Some(reason) = &plan.braked {
        conditions.push(condition(
            "FailoverBraked",
            "True",
            "FailoverBraked",
            reason,
        ));
    }
    if !plan.warnings.is_empty() {
        let message = plan.warnings.join("; ");
        conditions.push(condition("FailoverUnsafe", "True", "MayRunTwice", &message));
    }
    if !plan.unspread.is_empty() {
        let message = plan.unspread.join("; ");
        conditions.push(condition("Spread", "False", "LessEven", &message));
    }
    conditions.extend(pinned(facts.preference).map(|pinned| match pinned {
        Ok(_) => condition("Pinned", "True", "Undone", PINNED),
        Err(why) => {
            let message = format!("the annotation {ANNOTATION_DIVISION} is not obeyed: {why}");
            condition("Pinned", "False", "Malformed", &message)
        }
    }));
    ReplicaSchedulingPreferenceStatus {
        observed_generation: facts.preference.metadata.generation.unwrap_or_default(),
        conditions,
        replicas: running(facts),
        selector: selector(facts),
        history: Vec::new(),
        clusters,
    }
}

/// What members run of it; one that is away runs what it was last seen to run.
fn running(facts: &PreferenceFacts<'_>) -> i64 {
    let running = facts.clusters.values().map(|view| view.running);
    running
        .map(|running| match running {
            Running::Known { replicas, .. } => replicas,
            Running::Unknown => 0,
        })
        .sum()
}

/// Which Pods the target selects. Longer ones than a status may hold are of no use to anybody.
fn selector(facts: &PreferenceFacts<'_>) -> String {
    let template = facts.target.as_ref().map(|target| &target.intent.template);
    let selector = template.and_then(LabelSelector::of_pods);
    let selector = selector.map(|selector| selector.to_string());
    selector
        .filter(|selector| selector.len() <= SELECTOR_MAX)
        .unwrap_or_default()
}

/// Notes a division that is new. One that holds more than was asked for is on its way to another,
/// made before broken, and is not kept.
pub(crate) fn remember(
    history: &mut Vec<PastDivision>,
    preference: &ReplicaSchedulingPreference,
    clusters: &[ClusterReplicas],
    wall_secs: i64,
) {
    let now: BTreeMap<String, i64> = clusters
        .iter()
        .map(|cluster| (cluster.name.clone(), cluster.replicas))
        .collect();
    let asked = match pinned(preference) {
        Some(Ok(division)) => division.values().sum(),
        _ => i64::from(preference.spec.total_replicas),
    };
    let sum: i64 = now.values().sum();
    let is_news = history.first().is_none_or(|last| last.clusters != now);
    if is_news && sum <= asked && !now.is_empty() {
        let since = Timestamp::from_second(wall_secs).unwrap_or_default();
        let division = PastDivision {
            divided_at: since.to_string(),
            generation: preference.metadata.generation.unwrap_or_default(),
            clusters: now,
        };
        history.insert(0, division);
        history.truncate(DIVISIONS_KEPT_MAX);
    }
}

fn scheduled(facts: &PreferenceFacts<'_>, plan: &PreferencePlan) -> Condition {
    let spec = &facts.preference.spec;
    if facts.target.is_none() {
        let message = format!("there is no {} of this name", spec.target_kind);
        return condition("Scheduled", "False", "TargetNotFound", &message);
    }
    if plan.clusters.is_empty() {
        let message = "no member may hold the target: look at its namespace's FederatedNamespace, \
                       its placement, and the registered members";
        return condition("Scheduled", "False", "NoCandidates", message);
    }
    let divided: i64 = plan.clusters.values().map(|share| share.replicas).sum();
    let wanted = i64::from(spec.total_replicas);
    if divided < wanted {
        let message = format!(
            "{divided} of {wanted} replicas are divided: weights, maxima or capacities allow no more"
        );
        return condition("Scheduled", "False", "NotAllDivided", &message);
    }
    condition("Scheduled", "True", "Scheduled", "")
}

fn condition(kind: &str, status: &str, reason: &str, message: &str) -> Condition {
    Condition {
        r#type: kind.to_owned(),
        status: status.to_owned(),
        reason: Some(reason.to_owned()),
        message: (!message.is_empty()).then(|| message.to_owned()),
        ..Condition::default()
    }
}
