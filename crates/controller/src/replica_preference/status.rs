//! The status of a scheduling preference.

use super::signals::PreferenceFacts;
use api::{ClusterReplicas, Condition, ReplicaSchedulingPreferenceStatus};
use federation::{Phase, PreferencePlan};

/// What the status shall say; the writer adds the times.
pub(crate) fn status(
    facts: &PreferenceFacts<'_>,
    plan: &PreferencePlan,
) -> ReplicaSchedulingPreferenceStatus {
    let clusters = plan
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
    ReplicaSchedulingPreferenceStatus {
        observed_generation: facts.preference.metadata.generation.unwrap_or_default(),
        conditions,
        clusters,
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
