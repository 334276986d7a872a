//! A plan's steps, each on its way to its member.
//!
//! # Guarantees
//! Steps of one plan go out together. A member that does not answer in time is not waited for: the
//! others are summarized, and its answer wakes the object. One object has at most one write under
//! way per member.
//! # Assumptions
//! Every write ends: each has its deadline, and one that panics has ended too.
//! # Caveats
//! The status says "has not answered yet" for such a member until it does, unless that answers others
//! meanwhile: then there is no news until all is done, however many members there are.

use crate::context::Context;
use crate::federated_object::held_back;
use crate::members::Member;
use crate::members::apply::{Target, apply};
use crate::metrics::WriteEnd;
use crate::wake::{FederatedKey, News, Wake};
use federation::{Action, ClusterOutcome, Failure, Observed, Outcome, Plan, PlanInput, Step};
use model::ClusterName;
use std::collections::HashSet;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;
use tokio::task::JoinHandle;
use tokio::time::{Instant, timeout_at};

/// How long the slowest member is waited for.
const PATIENCE: Duration = Duration::from_secs(1);
/// Late answers of many members wake their object together.
const LATE_TOGETHER: Duration = Duration::from_millis(100);

/// Writes under way.
#[derive(Default)]
pub(crate) struct Flights {
    under_way: Mutex<HashSet<(FederatedKey, ClusterName)>>,
}

impl Flights {
    /// Nothing, when that object has a write under way in that member.
    fn begin(
        self: &Arc<Self>,
        key: FederatedKey,
        member: ClusterName,
        wake: &Arc<Wake>,
    ) -> Option<UnderWay> {
        let flight = (key, member);
        if !self.lock().insert(flight.clone()) {
            return None;
        }
        Some(UnderWay {
            flights: Arc::clone(self),
            flight,
            late: Arc::default(),
            wake: Arc::clone(wake),
        })
    }

    fn lock(&self) -> MutexGuard<'_, HashSet<(FederatedKey, ClusterName)>> {
        self.under_way
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
    }
}

/// A write under way; dropped, it has ended, however it did.
struct UnderWay {
    flights: Arc<Flights>,
    flight: (FederatedKey, ClusterName),
    /// Set when nobody waits any more: its end then wakes the object.
    late: Arc<AtomicBool>,
    wake: Arc<Wake>,
}

impl Drop for UnderWay {
    fn drop(&mut self) {
        self.flights.lock().remove(&self.flight);
        if self.late.load(Ordering::SeqCst) {
            let at = Instant::now() + LATE_TOGETHER;
            self.wake.objects.add_at(self.flight.0.clone(), at);
        }
    }
}

/// A write that was sent.
struct Flight {
    member: Arc<Member>,
    answer: JoinHandle<ClusterOutcome>,
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

/// Whether all that is not done is under way in members that are busy and not silent: there is
/// nothing to tell then, and every answer wakes the object.
pub(crate) fn is_on_its_way(context: &Context, outcome: &Outcome) -> bool {
    let is_busy = |name: &ClusterName| {
        let member = context.members.get(name);
        member.is_some_and(|member| member.silence.lasts() < PATIENCE)
    };
    let mut open = outcome
        .clusters
        .iter()
        .filter(|(_, told)| **told != ClusterOutcome::Done)
        .peekable();
    open.peek().is_some() && open.all(|(name, told)| *told == not_yet() && is_busy(name))
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
    let under_way = context
        .flights
        .begin(key.clone(), name.clone(), &context.wake)
        .ok_or_else(not_yet)?;
    let late = Arc::clone(&under_way.late);
    let asked = Arc::clone(&member);
    let waiting = member.silence.begin();
    let context = Arc::clone(context);
    let (action, target) = (step.action.clone(), input.target.key.clone());
    let answer = tokio::spawn(async move {
        let (under_way, _waiting) = (under_way, waiting);
        let flight = &under_way.flight;
        let began = Instant::now();
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
        let (verb, end) = (action.verb(), end_of(&outcome));
        context.metrics.wrote(verb, end, began.elapsed());
        if let Action::Create(_) = action {
            namespace_is_made(&context, flight, &member, &outcome);
        }
        outcome
    });
    Ok(Some(Flight {
        member: asked,
        answer,
        late,
    }))
}

/// What waited for a Namespace goes on: it is there, or it was refused and its own words say why.
fn namespace_is_made(
    context: &Context,
    (key, _): &(FederatedKey, ClusterName),
    member: &Member,
    outcome: &ClusterOutcome,
) {
    let namespaces = context.namespaces();
    if namespaces.is_none_or(|cache| cache.named.name != key.type_name) {
        return;
    }
    let answered = match outcome {
        ClusterOutcome::Done => true,
        ClusterOutcome::Skipped(_) => false,
        ClusterOutcome::Failed(error) => {
            let silent = matches!(error.failure, Failure::TimedOut | Failure::Unreachable);
            if !silent {
                member.namespaces.refused(&key.object.name);
            }
            !silent
        }
    };
    if answered {
        context.wake.tell(News::MemberNamespace(key.object.clone()));
    }
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::members::Silence;
    use model::ObjectKey;

    #[tokio::test]
    async fn a_write_that_panics_has_ended_and_wakes_who_waits_no_more() {
        let (flights, wake) = (Arc::new(Flights::default()), Arc::new(Wake::new()));
        let silence = Arc::new(Silence::default());
        let key = FederatedKey {
            type_name: "configmaps".into(),
            object: ObjectKey::new("shop", "note"),
        };
        let begin = || flights.begin(key.clone(), "a".into(), &wake);
        let under_way = begin().expect("nothing is under way");
        assert!(begin().is_none(), "one at a time");
        let waiting = silence.begin();
        under_way.late.store(true, Ordering::SeqCst);
        let write = tokio::spawn(async move {
            let _held = (under_way, waiting);
            panic!("as if a defect were met");
        });
        assert!(write.await.is_err_and(|end| end.is_panic()));
        assert_eq!(wake.objects.next().await, key);
        assert!(begin().is_some(), "it has ended");
        assert_eq!(silence.lasts(), Duration::ZERO);
    }
}
