//! A plan's steps, each on its way to its member.
//!
//! # Guarantees
//! Steps of one plan go out together. A member that does not answer in time is not waited for: the
//! others are summarized, and its answer wakes the object. One object has at most one write under
//! way per member.
//! # Assumptions
//! Every write ends: each has its deadline.
//! # Caveats
//! The status says "has not answered yet" for such a member until it does.

use crate::context::Context;
use crate::federated_object::held_back;
use crate::members::Member;
use crate::members::apply::{Target, apply};
use crate::metrics::WriteEnd;
use crate::wake::FederatedKey;
use federation::{Action, ClusterOutcome, Observed, Outcome, Plan, PlanInput, Step};
use model::ClusterName;
use std::collections::HashSet;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;
use tokio::task::JoinHandle;
use tokio::time::{Instant, timeout_at};

/// How long the slowest member is waited for.
const PATIENCE: Duration = Duration::from_secs(1);

/// Writes under way.
#[derive(Default)]
pub(crate) struct Flights {
    under_way: Mutex<HashSet<(FederatedKey, ClusterName)>>,
}

impl Flights {
    fn begin(&self, flight: &(FederatedKey, ClusterName)) -> bool {
        let mut under_way = self
            .under_way
            .lock()
            .unwrap_or_else(PoisonError::into_inner);
        under_way.insert(flight.clone())
    }

    fn end(&self, flight: &(FederatedKey, ClusterName)) {
        let mut under_way = self
            .under_way
            .lock()
            .unwrap_or_else(PoisonError::into_inner);
        under_way.remove(flight);
    }
}

/// A write that was sent.
struct Flight {
    member: Arc<Member>,
    answer: JoinHandle<ClusterOutcome>,
    /// Set when nobody waits any more: the answer then wakes the object.
    late: Arc<AtomicBool>,
}

/// Applies a plan.
pub(crate) async fn fly(
    context: &Arc<Context>,
    key: &FederatedKey,
    input: &PlanInput,
    plan: &Plan,
) -> Outcome {
    let mut outcome = Outcome::default();
    let mut flights = Vec::new();
    for (name, step) in &plan.steps {
        match begin(context, key, input, (name, step)) {
            Ok(Some(flight)) => flights.push((name.clone(), flight)),
            Ok(None) => {}
            Err(told) => drop(outcome.clusters.insert(name.clone(), told)),
        }
    }
    let began = Instant::now();
    for (name, mut flight) in flights {
        // Who has been silent for so long is not waited for once more by every object.
        let until = match flight.member.silence.lasts() >= PATIENCE {
            true => began,
            false => began + PATIENCE,
        };
        let told = match timeout_at(until, &mut flight.answer).await {
            Ok(Ok(told)) => told,
            Ok(Err(_)) => ClusterOutcome::Skipped("the write was broken off".to_owned()),
            Err(_) => {
                flight.late.store(true, Ordering::SeqCst);
                // It may have ended in between, and then woke nobody.
                match flight.answer.is_finished() {
                    true => flight.answer.await.unwrap_or(ClusterOutcome::Done),
                    false => not_yet(),
                }
            }
        };
        outcome.clusters.insert(name, told);
    }
    outcome
}

fn not_yet() -> ClusterOutcome {
    ClusterOutcome::Skipped("the member has not answered yet".to_owned())
}

/// Sends one step on its way; nothing, when it writes nothing, or the outcome that it has already.
fn begin(
    context: &Arc<Context>,
    key: &FederatedKey,
    input: &PlanInput,
    (name, step): (&ClusterName, &Step),
) -> Result<Option<Flight>, ClusterOutcome> {
    let member = context.members.get(name);
    let lane = member
        .as_ref()
        .and_then(|member| member.lane(&key.type_name));
    let (Some(member), Some(lane)) = (member, lane) else {
        return match step.action.writes() {
            true => Err(ClusterOutcome::Skipped(
                "the member is being connected".to_owned(),
            )),
            false => Ok(None),
        };
    };
    if let (Action::Nothing, Some(Observed::Present(live))) =
        (&step.action, input.observed.get(name))
    {
        let version = &live.resource_version;
        lane.cache.settle(&input.target.key, version);
    }
    if !step.action.writes() {
        return Ok(None);
    }
    let repairs = repairs(input, name, &step.action);
    if repairs && let Err(bout) = context.fights.may_repair(key, name) {
        return Err(held_back(&bout, &step.reason));
    }
    let flight = (key.clone(), name.clone());
    if !context.flights.begin(&flight) {
        return Err(not_yet());
    }
    let late = Arc::new(AtomicBool::new(false));
    let asked = Arc::clone(&member);
    let waiting = member.silence.begin();
    let (context, told_late) = (Arc::clone(context), Arc::clone(&late));
    let (action, target) = (step.action.clone(), input.target.key.clone());
    let answer = tokio::spawn(async move {
        let outcome = match context.type_cache(&flight.0.type_name) {
            None => ClusterOutcome::Skipped("the type is no longer federated".to_owned()),
            Some(cache) => {
                let target = Target {
                    member: &member,
                    cache: &lane.cache,
                    federated: &cache.named.federated,
                    key: &target,
                };
                apply(target, &action, &context.leadership).await
            }
        };
        if repairs && outcome == ClusterOutcome::Done {
            context.fights.repaired(&flight.0, &flight.1);
        }
        member.silence.end(&waiting);
        context.metrics.wrote(action.verb(), end_of(&outcome));
        context.flights.end(&flight);
        if told_late.load(Ordering::SeqCst) {
            context.wake.objects.add(flight.0);
        }
        outcome
    });
    Ok(Some(Flight {
        member: asked,
        answer,
        late,
    }))
}

fn end_of(outcome: &ClusterOutcome) -> WriteEnd {
    match outcome {
        ClusterOutcome::Done => WriteEnd::Done,
        ClusterOutcome::Failed(_) => WriteEnd::Failed,
        ClusterOutcome::Skipped(_) => WriteEnd::Skipped,
    }
}

/// Whether an apply only puts back what was applied before.
fn repairs(input: &PlanInput, name: &ClusterName, action: &Action) -> bool {
    match (action, input.observed.get(name)) {
        (Action::Apply(write), Some(Observed::Present(live))) => {
            live.applied_hash.as_deref() == Some(write.hash.as_str())
        }
        _ => false,
    }
}
