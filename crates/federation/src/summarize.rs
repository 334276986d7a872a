//! From a plan and what came of it to the status that users read.

use crate::{
    input::PlanInput,
    live::Observed,
    outcome::{ClusterOutcome, Failure, MemberError, Outcome},
    place::place,
    status::{ClusterStatus, Condition, PropagationReason, PropagationStatus, Status},
    step::{Action, Plan, Problem, ProblemKind, Step},
    tally::{counts, summary},
    verdict::{stuck, verdict},
};
use model::ClusterName;
use serde::Serialize;
use std::collections::BTreeSet;

/// Longest message that is kept of a member's answer.
const MESSAGE_MAX: usize = 1024;

/// The status of a federated object after a plan was applied.
pub fn summarize(input: &PlanInput, plan: &Plan, outcome: &Outcome) -> Status {
    let clusters: Vec<ClusterStatus> = plan
        .steps
        .iter()
        .filter_map(|(name, step)| cluster_status(input, name, step, outcome.clusters.get(name)))
        .collect();
    let chosen = match input.object.deleted_for_secs {
        Some(_) => BTreeSet::new(),
        None => place(input).chosen(),
    };
    let mut conditions = vec![propagation(plan, &clusters)];
    conditions.extend(verdict(input, plan, outcome));
    conditions.extend(lasting(plan));
    let total = |of: fn(&ClusterStatus) -> Option<i64>| {
        let counted: Vec<i64> = clusters.iter().filter_map(of).collect();
        (!counted.is_empty()).then(|| counted.iter().sum())
    };
    Status {
        observed_generation: input.object.generation,
        conditions,
        replicas: total(|cluster| cluster.replicas),
        ready_replicas: total(|cluster| cluster.ready_replicas),
        summary: Some(summary(plan, &chosen, &clusters)),
        rollout: plan.rollout.as_ref().map(|rollout| rollout.status.clone()),
        clusters,
    }
}

/// The status of a federated object whose spec does not read: nothing is done, and what is said of
/// the clusters stays.
pub fn refused(generation: i64, message: String, before: Status) -> Status {
    let propagation = Condition {
        kind: "Propagation".to_owned(),
        status: "False".to_owned(),
        reason: name_of(&PropagationReason::ComputePlacementFailed),
        message: message.clone(),
    };
    let mut conditions = vec![propagation];
    conditions.extend(stuck("InvalidSpec", &message));
    Status {
        observed_generation: generation,
        conditions,
        ..before
    }
}

fn cluster_status(
    input: &PlanInput,
    name: &ClusterName,
    step: &Step,
    outcome: Option<&ClusterOutcome>,
) -> Option<ClusterStatus> {
    let (status, message, written) = match (step.action.writes(), outcome) {
        (true, Some(ClusterOutcome::Failed(error))) => {
            (failed(&step.action, error), words(&error.message), false)
        }
        (true, Some(ClusterOutcome::Skipped(why))) => {
            (PropagationStatus::ClientRetrievalFailed, why.clone(), false)
        }
        (true, None) => (
            PropagationStatus::ClientRetrievalFailed,
            "the member was not written yet".to_owned(),
            false,
        ),
        (true, Some(ClusterOutcome::Done)) => (step.status, String::new(), true),
        (false, _) if step.status.is_ok() && step.action == Action::Nothing => {
            (step.status, String::new(), false)
        }
        (false, _) => (step.status, step.reason.clone(), false),
    };
    if matches!(step.action, Action::Release(_)) && written {
        return None;
    }
    let live = match input.observed.get(name) {
        Some(Observed::Present(live)) => Some(live),
        _ => None,
    };
    let counted = counts(input, name, step);
    let observed_hash = match &step.action {
        Action::Create(write) | Action::Apply(write) if written => Some(write.hash.clone()),
        Action::Scale(scale) if written => Some(scale.hash.clone()),
        _ => live.and_then(|live| live.applied_hash.clone()),
    };
    Some(ClusterStatus {
        name: name.clone(),
        status,
        message,
        replicas: counted.map(|counts| counts.wanted),
        ready_replicas: counted.map(|counts| counts.ready),
        remote_status: live.and_then(|live| live.remote_status.clone()),
        observed_hash,
    })
}

/// KubeFed's value for a step that failed.
fn failed(action: &Action, error: &MemberError) -> PropagationStatus {
    use PropagationStatus as Value;
    let timed_out = error.failure == Failure::TimedOut;
    match (action, timed_out) {
        (Action::Create(_) | Action::Apply(_), _) if error.failure == Failure::AlreadyExists => {
            Value::AlreadyExists
        }
        (Action::Create(_), false) => Value::CreationFailed,
        (Action::Create(_), true) => Value::CreationTimedOut,
        (Action::Apply(_) | Action::Scale(_), false) => Value::UpdateFailed,
        (Action::Apply(_) | Action::Scale(_), true) => Value::UpdateTimedOut,
        (Action::Delete(_), false) => Value::DeletionFailed,
        (Action::Delete(_), true) => Value::DeletionTimedOut,
        (Action::Release(_), false) => Value::LabelRemovalFailed,
        (Action::Release(_), true) => Value::LabelRemovalTimedOut,
        (Action::Nothing | Action::Hold | Action::Tombstone, _) => Value::Ok,
    }
}

pub(crate) fn words(message: &str) -> String {
    message.chars().take(MESSAGE_MAX).collect()
}

/// The condition `Propagation`: a reason of the object's own first, then any cluster's.
fn propagation(plan: &Plan, clusters: &[ClusterStatus]) -> Condition {
    let own = plan
        .report
        .iter()
        .filter(|problem| problem.cluster.is_none())
        .find_map(|problem| Some((problem.kind.reason()?, problem.message.clone())));
    let (reason, message) = own.unwrap_or_else(|| {
        let unknown = plan
            .report
            .iter()
            .find(|p| p.kind == ProblemKind::UnknownCluster);
        let unwell: Vec<&str> = clusters
            .iter()
            .filter(|cluster| !cluster.status.is_ok())
            .map(|cluster| cluster.name.as_str())
            .collect();
        match (unknown, unwell.is_empty()) {
            (Some(problem), _) => (PropagationReason::CheckClusters, problem.message.clone()),
            (None, false) => (PropagationReason::CheckClusters, unwell.join(", ")),
            (None, true) => (PropagationReason::Success, String::new()),
        }
    });
    let success = reason == PropagationReason::Success;
    Condition {
        kind: "Propagation".to_owned(),
        status: if success { "True" } else { "False" }.to_owned(),
        reason: name_of(&reason),
        message,
    }
}

/// Conditions that are there only while they say something.
fn lasting(plan: &Plan) -> Vec<Condition> {
    const LASTING: [ProblemKind; 5] = [
        ProblemKind::DeletionBraked,
        ProblemKind::RolloutStalled,
        ProblemKind::ReplicasRetained,
        ProblemKind::PlacementIgnored,
        ProblemKind::Paused,
    ];
    LASTING
        .into_iter()
        .filter_map(|kind| {
            let problems: Vec<&Problem> = plan
                .report
                .iter()
                .filter(|problem| condition_of(problem.kind) == kind)
                .collect();
            let message = problems
                .iter()
                .map(|problem| match &problem.cluster {
                    Some(cluster) => format!("{cluster}: {}", problem.message),
                    None => problem.message.clone(),
                })
                .collect::<Vec<_>>()
                .join("; ");
            (!problems.is_empty()).then(|| Condition {
                kind: name_of(&kind),
                status: "True".to_owned(),
                reason: name_of(&kind),
                message: words(&message),
            })
        })
        .collect()
}

/// The kind that names the condition of a problem.
fn condition_of(kind: ProblemKind) -> ProblemKind {
    match kind {
        ProblemKind::NamespaceLeft => ProblemKind::DeletionBraked,
        other => other,
    }
}

/// The name that serde gives a variant.
pub(crate) fn name_of(value: &impl Serialize) -> String {
    match serde_json::to_value(value) {
        Ok(serde_json::Value::String(name)) => name,
        _ => String::new(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{input::NamespacePlacement, test_world::World};
    use serde_json::{Value, json};

    /// The status, when every step that writes ends like this.
    fn status(world: &World, outcome: &ClusterOutcome) -> Value {
        let plan = world.plan();
        let outcome = Outcome {
            clusters: plan
                .steps
                .iter()
                .filter(|(_, step)| step.action.writes())
                .map(|(name, _)| (name.clone(), outcome.clone()))
                .collect(),
        };
        serde_json::to_value(summarize(&world.input, &plan, &outcome)).unwrap()
    }

    fn error(failure: Failure) -> ClusterOutcome {
        ClusterOutcome::Failed(MemberError {
            failure,
            message: "the member's words".to_owned(),
        })
    }

    #[test]
    fn success_is_kubefeds_empty_reason_and_no_cluster_status() {
        let world = World::new(&["a"]);
        let Value::Object(status) = status(&world, &ClusterOutcome::Done) else {
            panic!()
        };
        assert_eq!(status["observedGeneration"], 1);
        assert_eq!(
            status["conditions"][0],
            json!({"type": "Propagation", "status": "True"})
        );
        let hash = status["clusters"][0]["observedHash"].clone();
        assert_eq!(
            status["clusters"],
            json!([{"name": "a", "observedHash": hash}])
        );
        assert!(hash.is_string());
    }

    #[test]
    fn a_failure_has_kubefeds_value_and_the_members_message() {
        let created = World::new(&["a"]);
        let mut updated = World::settled(&["a"]);
        updated.input.intent.template = json!({"data": {}});
        let mut deleted = World::settled(&["a"]);
        deleted.place_named(&[]);
        for (world, failure, expected) in [
            (&created, Failure::Rejected, "CreationFailed"),
            (&created, Failure::TimedOut, "CreationTimedOut"),
            (&created, Failure::AlreadyExists, "AlreadyExists"),
            (&updated, Failure::Forbidden, "UpdateFailed"),
            (&updated, Failure::TimedOut, "UpdateTimedOut"),
            (&deleted, Failure::Unreachable, "DeletionFailed"),
            (&deleted, Failure::TimedOut, "DeletionTimedOut"),
        ] {
            let status = status(world, &error(failure));
            assert_eq!(status["clusters"][0]["status"], expected);
            assert_eq!(status["clusters"][0]["message"], "the member's words");
            assert_eq!(status["conditions"][0]["reason"], "CheckClusters");
            assert_eq!(status["conditions"][0]["status"], "False");
        }
    }

    #[test]
    fn what_is_released_leaves_the_status() {
        let mut world = World::settled(&["a"]);
        world.live_mut("a").adopted = true;
        world.place_named(&[]);
        assert_eq!(status(&world, &ClusterOutcome::Done).get("clusters"), None);
        let failed = status(&world, &error(Failure::Rejected));
        assert_eq!(failed["clusters"][0]["status"], "LabelRemovalFailed");
    }

    #[test]
    fn a_namespace_that_is_not_federated_is_the_reason() {
        let mut world = World::new(&["a"]);
        world.input.namespace = NamespacePlacement::NotFederated;
        let status = status(&world, &ClusterOutcome::Done);
        assert_eq!(status["conditions"][0]["reason"], "NamespaceNotFederated");
    }

    #[test]
    fn a_name_that_is_not_registered_is_the_reason() {
        let mut world = World::new(&["a"]);
        world.place_named(&["a", "b"]);
        let status = status(&world, &ClusterOutcome::Done);
        assert_eq!(status["conditions"][0]["reason"], "CheckClusters");
        let message = status["conditions"][0]["message"].as_str().unwrap();
        assert!(message.contains("names b"), "{message}");
    }

    #[test]
    fn a_brake_is_a_condition_of_its_own() {
        let mut world = World::settled(&["a"]);
        world.input.target.kind = "Namespace".to_owned();
        world.settle();
        world.place_named(&[]);
        let status = status(&world, &ClusterOutcome::Done);
        let conditions = status["conditions"].as_array().unwrap();
        let braked = conditions.iter().any(|of| of["type"] == "DeletionBraked");
        assert!(braked, "{status:#}");
        assert_eq!(status["clusters"][0]["status"], "WaitingForRemoval");
    }
}
