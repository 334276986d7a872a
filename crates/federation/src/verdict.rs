//! The conditions `Ready`, `Reconciling` and `Stalled`, by which the kstatus library (so Flux,
//! and `kubectl wait` by `Ready`) judges an object. Argo CD is told by `deploy/argocd`.
//!
//! | what is so | Ready | besides | kstatus says |
//! |---|---|---|---|
//! | every placed cluster holds it, and it is available there | True | | Current |
//! | something is on its way, or heals by itself | False | Reconciling | InProgress |
//! | something needs somebody | False | Stalled | Failed |
//! | it is paused, and something waits | False | | InProgress |
//!
//! `Reconciling` and `Stalled` are there only while they are True (abnormal-true), and never both:
//! kstatus would not see the second. Who waits for a cluster that is away does not hide that
//! another cluster needs somebody.

use crate::{
    availability::{Availability, availability},
    input::{PlanInput, Watched},
    live::Observed,
    outcome::{ClusterOutcome, Failure, MemberError, Outcome},
    rollout::RolloutPhase,
    status::{Condition, PropagationStatus},
    step::{Action, Plan, ProblemKind, Step},
    summarize::{name_of, words},
};
use model::ClusterName;

/// What stands between an object and its being ready, in one cluster or at all.
enum Standing {
    Settled,
    /// It heals by itself.
    Progressing(String, String),
    /// It needs somebody.
    Stuck(String, String),
    /// Somebody wants it to wait.
    Paused(String),
}

use Standing::{Paused, Progressing, Settled, Stuck};

/// The conditions of an object after its plan was applied.
pub(crate) fn verdict(input: &PlanInput, plan: &Plan, outcome: &Outcome) -> Vec<Condition> {
    let own = plan
        .report
        .iter()
        .filter_map(|problem| of_object(problem.kind, &problem.message));
    let clusters = plan.steps.iter().map(|(name, step)| {
        let told = outcome.clusters.get(name);
        match in_cluster(input, plan, (name, step), told) {
            Progressing(reason, why) => Progressing(reason, format!("{name}: {why}")),
            Stuck(reason, why) => Stuck(reason, format!("{name}: {why}")),
            Paused(why) => Paused(format!("{name}: {why}")),
            Settled => Settled,
        }
    });
    let (mut moving, mut needing, mut paused) = (Vec::new(), Vec::new(), Vec::new());
    for standing in own.chain(clusters) {
        match standing {
            Settled => {}
            Progressing(reason, why) => moving.push((reason, why)),
            Stuck(reason, why) => needing.push((reason, why)),
            Paused(why) => paused.push(("Paused".to_owned(), why)),
        }
    }
    match (&needing[..], &moving[..], &paused[..]) {
        ([], [], []) => vec![ready(input)],
        ([], [], [..]) => vec![unready(&paused)],
        ([], [..], _) => with("Reconciling", &moving),
        ([..], _, _) => with("Stalled", &needing),
    }
}

/// The conditions of something that needs somebody.
pub(crate) fn stuck(reason: &str, message: &str) -> Vec<Condition> {
    with("Stalled", &[(reason.to_owned(), message.to_owned())])
}

fn ready(input: &PlanInput) -> Condition {
    let (reason, message) = match input.target.watched {
        Watched::Metadata => ("Propagated", "every placed cluster holds it"),
        Watched::Whole => (
            "Available",
            "every placed cluster holds it, and it is available there",
        ),
    };
    Condition {
        kind: "Ready".to_owned(),
        status: "True".to_owned(),
        reason: reason.to_owned(),
        message: message.to_owned(),
    }
}

/// Not ready for these reasons; the first gives its word.
fn unready(why: &[(String, String)]) -> Condition {
    let reason = why.first().map(|(reason, _)| reason.clone());
    let messages: Vec<&str> = why.iter().map(|(_, message)| message.as_str()).collect();
    Condition {
        kind: "Ready".to_owned(),
        status: "False".to_owned(),
        reason: reason.unwrap_or_default(),
        message: words(&messages.join("; ")),
    }
}

fn with(abnormal: &str, why: &[(String, String)]) -> Vec<Condition> {
    let unready = unready(why);
    let abnormal = Condition {
        kind: abnormal.to_owned(),
        status: "True".to_owned(),
        ..unready.clone()
    };
    vec![unready, abnormal]
}

/// What a problem of the object itself means; those of one cluster are in its step.
fn of_object(kind: ProblemKind, message: &str) -> Option<Standing> {
    let (reason, message) = (name_of(&kind), message.to_owned());
    match kind {
        // Whoever applies both may apply this one first.
        ProblemKind::NamespaceNotFederated => Some(Progressing(reason, message)),
        ProblemKind::UnknownCluster
        | ProblemKind::InvalidIntent
        | ProblemKind::InvalidDeleteOptions
        | ProblemKind::RolloutStalled => Some(Stuck(reason, message)),
        ProblemKind::OverrideFailed
        | ProblemKind::InvalidTemplate
        | ProblemKind::ClusterNotReady
        | ProblemKind::TypeNotServed
        | ProblemKind::AccessDenied
        | ProblemKind::AlreadyExists
        | ProblemKind::ManagedLabelFalse
        | ProblemKind::DeletionBraked
        | ProblemKind::NamespaceLeft
        | ProblemKind::ReplicasRetained
        | ProblemKind::PlacementIgnored
        | ProblemKind::Paused => None,
    }
}

fn in_cluster(
    input: &PlanInput,
    plan: &Plan,
    (name, step): (&ClusterName, &Step),
    outcome: Option<&ClusterOutcome>,
) -> Standing {
    match (&step.action, outcome) {
        (Action::Hold, _) if is_rolling(plan, name) => rolling(plan, &step.reason),
        (Action::Hold, _) => held(plan, name, step),
        (Action::Tombstone, _) => leaving(&step.reason),
        (Action::Nothing, _) => available(input, name),
        (action, Some(ClusterOutcome::Failed(error))) => failed(action, error),
        (_, Some(ClusterOutcome::Skipped(why))) => Progressing("Waiting".to_owned(), why.clone()),
        (_, None) => {
            let why = "the member was not written yet";
            Progressing("Waiting".to_owned(), why.to_owned())
        }
        (Action::Delete(_), Some(ClusterOutcome::Done)) => leaving(&step.reason),
        (Action::Release(_), Some(ClusterOutcome::Done)) => Settled,
        (Action::Create(_) | Action::Apply(_), Some(ClusterOutcome::Done)) => {
            available(input, name)
        }
        (Action::Scale(_), Some(ClusterOutcome::Done)) => rolling(plan, &step.reason),
    }
}

fn is_rolling(plan: &Plan, name: &ClusterName) -> bool {
    let rollout = plan.rollout.as_ref();
    rollout.is_some_and(|rollout| rollout.held.contains(name))
}

/// The new template has not come here yet: by itself, or once somebody approves.
fn rolling(plan: &Plan, why: &str) -> Standing {
    let phase = plan.rollout.as_ref().map(|rollout| rollout.status.phase);
    match phase {
        Some(RolloutPhase::Waiting) => Paused(why.to_owned()),
        _ => Progressing("RollingOut".to_owned(), why.to_owned()),
    }
}

fn leaving(why: &str) -> Standing {
    let reason = name_of(&PropagationStatus::WaitingForRemoval);
    Progressing(reason, why.to_owned())
}

fn available(input: &PlanInput, name: &ClusterName) -> Standing {
    let verdict = match input.observed.get(name) {
        Some(Observed::Present(live)) => availability(&input.target, live),
        // Written, and not seen yet.
        _ if input.target.watched == Watched::Whole => {
            Availability::Progressing("it is not seen there yet".to_owned())
        }
        _ => Availability::Available,
    };
    match verdict {
        Availability::Available => Settled,
        Availability::Progressing(why) => Progressing("Progressing".to_owned(), why),
        Availability::Failed(why) => Stuck("Failed".to_owned(), why),
    }
}

fn failed(action: &Action, error: &MemberError) -> Standing {
    let (reason, message) = (format!("{:?}", error.failure), error.message.clone());
    match error.failure {
        // A namespace that is being made, or was just deleted.
        Failure::NotFound
        | Failure::Conflict
        | Failure::Throttled
        | Failure::TimedOut
        | Failure::Unreachable => Progressing(reason, message),
        Failure::AlreadyExists if matches!(action, Action::Delete(_) | Action::Release(_)) => {
            Progressing(reason, message)
        }
        Failure::AlreadyExists | Failure::Rejected | Failure::Forbidden => Stuck(reason, message),
    }
}

fn held(plan: &Plan, name: &ClusterName, step: &Step) -> Standing {
    let mut problems = plan.report.iter();
    let problem = problems.find(|problem| problem.cluster.as_ref() == Some(name));
    let reason = match problem {
        Some(problem) => name_of(&problem.kind),
        None => name_of(&step.status),
    };
    let why = step.reason.clone();
    match (problem.map(|problem| problem.kind), step.status) {
        // Only a pause holds what would be in order.
        (_, PropagationStatus::Ok) => Paused(why),
        (None, PropagationStatus::WaitingForRemoval) if is_paused(plan) => Paused(why),
        (Some(ProblemKind::ClusterNotReady), _) => Progressing(reason, why),
        (Some(_), _)
        | (
            None,
            PropagationStatus::ApplyOverridesFailed
            | PropagationStatus::ComputeResourceFailed
            | PropagationStatus::DeletionFailed,
        ) => Stuck(reason, why),
        (None, _) => Progressing(reason, why),
    }
}

fn is_paused(plan: &Plan) -> bool {
    let mut problems = plan.report.iter();
    problems.any(|problem| problem.kind == ProblemKind::Paused)
}

#[cfg(test)]
#[path = "verdict_tests.rs"]
mod tests;
