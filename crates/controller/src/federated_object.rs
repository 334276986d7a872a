//! A federated object's road: read → plan → apply → summarize → status, and nothing else.
//!
//! Deletion is an empty placement. Drift, failover and cleanup travel the same road.

use crate::Error;
use crate::context::Context;
use crate::definitions::kind_goes;
use crate::events::{About, Tone};
use crate::fights::Bout;
use crate::flights::{fly, is_on_its_way};
use crate::host::TypeCache;
use crate::members::MET_FOR;
use crate::members::apply::{Target, look};
use crate::read::{Read, Reading, observed, plan_input, status};
use crate::status::{Subject, Written};
use crate::still_wanted::is_still_wanted;
use crate::wake::{FederatedKey, News};
use federation::{
    Action, ClusterOutcome, FINALIZER, Failure, FinalizerStep, Observed, Outcome, Plan,
    ProblemKind, PropagationStatus, Readiness, Retry, RolloutPhase, Status, Step, plan, refused,
    summarize,
};
use kube::api::{Api, DynamicObject, Patch, PatchParams};
use serde_json::{Value, json};
use std::sync::Arc;
use std::time::Duration;
use tokio::time::{Instant, timeout};

/// How often one reconciliation plans again after a stale read or a deletion.
const ROUNDS_MAX: usize = 3;
/// How long the host may take.
const DEADLINE: Duration = Duration::from_secs(5);
/// What is not known yet wakes the object when it is; this is for wakes that were missed.
const LOOK_AGAIN: Duration = Duration::from_secs(5);
/// What is said of a namespace whose federated objects go nowhere.
const NAMESPACE_NOTE: &str = "federated objects in this namespace go nowhere: federate it with a \
                              FederatedNamespace of its name in it";
/// What is said of a namespace that left a cluster with federated objects in it.
const NAMESPACE_LEFT_NOTE: &str = "federated objects stay in clusters that the FederatedNamespace \
                                   has left: meridian confirm lets them go with their Namespace";
/// A lane that has no list after this time is asked for single objects.
const LANE_PATIENCE: Duration = Duration::from_secs(5);

/// When the object is looked at next, unless something wakes it earlier.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Next {
    /// When something changes.
    OnChange,
    /// At this time.
    At(Instant),
    /// After a wait that grows.
    Backoff,
    /// When there is time: all is done but the status that says so.
    Spare,
}

/// Brings members and status to what the federated object says.
pub(crate) async fn reconcile(context: &Arc<Context>, key: &FederatedKey) -> Next {
    let mut read = match plan_input(context, key).await {
        Reading::Gone => return Next::OnChange,
        Reading::NotYet(why) => {
            tracing::debug!(object = %key.object, why, "not yet");
            return Next::At(Instant::now() + LOOK_AGAIN);
        }
        Reading::Malformed(malformed) => return refuse(context, key, *malformed).await,
        Reading::Input(read) => *read,
    };
    ask_slow_lanes(context, key, &mut read).await;
    let (plan, outcome) = match carry_out(context, key, &mut read).await {
        Ok(done) => done,
        Err(error) => return failed(key, &error),
    };
    if plan.finalizer == FinalizerStep::Remove {
        return match let_it_go(context, key, &read, &plan).await {
            Ok(()) => Next::OnChange,
            Err(error) => failed(key, &error),
        };
    }
    let_what_waits_go(context, key, &plan);
    tell(context, &read, &plan, &outcome);
    // Members first: good news can wait while other objects are on their way.
    let good = is_good(&plan, &outcome);
    if good && is_of_before(&read) && context.wake.objects.may_wait(key) {
        return Next::Spare;
    }
    see_what_was_written(context, key, &mut read, &outcome);
    let summary = summarize(&read.input, &plan, &outcome);
    if is_calm(&plan) && is_on_its_way(context, &outcome) {
        return Next::At(Instant::now() + LOOK_AGAIN);
    }
    let Some(cache) = context.type_cache(&key.type_name) else {
        return Next::OnChange;
    };
    let (subject, wanted) = status_of(&cache, key, &read.object, &summary);
    if good && context.wake.objects.may_wait(key) && !context.statuses.is_told(&subject, &wanted) {
        return Next::Spare;
    }
    match context.statuses.write(subject, wanted).await {
        Ok(written) => next(&read, &plan, &outcome, written),
        Err(error) => failed(key, &error),
    }
}

/// A Namespace whose overrides fail in a member is made there by nobody; one that somebody else made
/// may be there, and what is in it need not wait.
fn let_what_waits_go(context: &Context, key: &FederatedKey, plan: &Plan) {
    let namespaces = context.namespaces();
    if namespaces.is_none_or(|cache| cache.named.name != key.type_name) {
        return;
    }
    let failed = |step: &&Step| step.status == PropagationStatus::ApplyOverridesFailed;
    for (name, _) in plan.steps.iter().filter(|(_, step)| failed(step)) {
        let Some(member) = context.members.get(name) else {
            continue;
        };
        if member.namespaces.are_first(&key.object.name) {
            member.namespaces.refused(&key.object.name);
            context.wake.tell(News::MemberNamespace(key.object.clone()));
        }
    }
}

/// Plans and applies, again where a member had moved on; the last plan and what came of it.
async fn carry_out(
    context: &Arc<Context>,
    key: &FederatedKey,
    read: &mut Read,
) -> Result<(Plan, Outcome), Error> {
    let mut round = 1;
    loop {
        let mut plan = plan(&read.input);
        if let Some(deleted_for) = read.input.object.deleted_for_secs
            && takes_away(&plan)
            && kind_goes(context, &key.type_name, deleted_for).await?
        {
            read.input.object.kind_goes = true;
            plan = federation::plan(&read.input);
        }
        if plan.finalizer == FinalizerStep::Add {
            set_finalizers(context, key, &read.object, Finalizer::Add).await?;
        }
        if read.input.object.deleted_for_secs.is_none() {
            is_still_wanted(context, key, &read.object, &plan).await?;
        }
        let outcome = fly(context, key, &read.input, &plan).await;
        if round == ROUNDS_MAX || !is_stale(&plan, &outcome) {
            return Ok((plan, outcome));
        }
        round += 1;
        let input = &mut read.input;
        input.observed = observed(context, &key.type_name, &input.target.key, &input.clusters);
        if plan.finalizer == FinalizerStep::Add {
            input.object.finalizer = federation::FinalizerState::Present;
        }
    }
}

/// Whether something goes from a member, or is owed to it.
fn takes_away(plan: &Plan) -> bool {
    let mut steps = plan.steps.values();
    steps.any(|step| matches!(step.action, Action::Delete(_) | Action::Tombstone))
}

/// What members answered is in their caches: the status speaks of that, not of what was before.
fn see_what_was_written(context: &Context, key: &FederatedKey, read: &mut Read, outcome: &Outcome) {
    if !outcome.clusters.is_empty() {
        let input = &mut read.input;
        input.observed = observed(context, &key.type_name, &input.target.key, &input.clusters);
    }
}

/// Whether nothing stands in the way but that a member is away, which its KubeFedCluster says.
fn is_calm(plan: &Plan) -> bool {
    let mut problems = plan.report.iter();
    problems.all(|problem| problem.kind == ProblemKind::ClusterNotReady)
}

/// Whether nothing stands in the way.
fn is_good(plan: &Plan, outcome: &Outcome) -> bool {
    let mut told = outcome.clusters.values();
    is_calm(plan) && told.all(|told| *told == ClusterOutcome::Done)
}

/// Whether the status is of what the object said before: then there is something to tell.
fn is_of_before(read: &Read) -> bool {
    status(&read.object)["observedGeneration"] != read.input.object.generation
}

/// Whether the plan was of something that is no longer so.
fn is_stale(plan: &Plan, outcome: &Outcome) -> bool {
    outcome
        .clusters
        .iter()
        .any(|(name, outcome)| match outcome {
            ClusterOutcome::Failed(error) => {
                matches!(error.failure, Failure::Conflict | Failure::AlreadyExists)
            }
            ClusterOutcome::Done => plan
                .steps
                .get(name)
                .is_some_and(|step| matches!(step.action, Action::Delete(_) | Action::Release(_))),
            ClusterOutcome::Skipped(_) => false,
        })
}

/// Asks members directly whose lanes cannot list what they hold.
async fn ask_slow_lanes(context: &Context, key: &FederatedKey, read: &mut Read) {
    if context.started.elapsed() < LANE_PATIENCE {
        return;
    }
    let Some(cache) = context.type_cache(&key.type_name) else {
        return;
    };
    let input = &mut read.input;
    for (name, facts) in input.clusters.iter() {
        let known = !matches!(input.observed.get(name), None | Some(Observed::Unknown));
        let (Some(member), Readiness::Ready, false) =
            (context.members.get(name), &facts.readiness, known)
        else {
            continue;
        };
        let Some(lane) = member.lane(&key.type_name) else {
            continue;
        };
        let target = Target {
            member: &member,
            cache: &lane.cache,
            federated: &cache.named.federated,
            key: &input.target.key,
        };
        let seen = look(target).await;
        input.observed.insert(name.clone(), seen);
    }
}

/// Writes what is owed, then takes the finalizer off.
async fn let_it_go(
    context: &Context,
    key: &FederatedKey,
    read: &Read,
    plan: &Plan,
) -> Result<(), Error> {
    if !plan.tombstones.is_empty() {
        context.owing.owe(plan.tombstones.clone()).await?;
    }
    set_finalizers(context, key, &read.object, Finalizer::Remove).await
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Finalizer {
    Add,
    Remove,
}

/// Under the cached version: whoever changed the finalizers meanwhile is not overwritten.
async fn set_finalizers(
    context: &Context,
    key: &FederatedKey,
    object: &DynamicObject,
    change: Finalizer,
) -> Result<(), Error> {
    if !context.leadership.may_write(DEADLINE) {
        return Err(Error::NotLeading);
    }
    let metadata = &object.metadata;
    let mut finalizers = metadata.finalizers.clone().unwrap_or_default();
    finalizers.retain(|finalizer| finalizer != FINALIZER);
    if change == Finalizer::Add {
        finalizers.push(FINALIZER.to_owned());
    }
    let patch = json!({"metadata": {
        "uid": metadata.uid,
        "resourceVersion": metadata.resource_version,
        "finalizers": finalizers,
    }});
    let Some(api) = host_api(context, key) else {
        return Ok(());
    };
    let parameters = PatchParams {
        field_manager: Some(federation::FIELD_MANAGER.to_owned()),
        ..PatchParams::default()
    };
    let patch = Patch::Merge(&patch);
    let patched = timeout(DEADLINE, api.patch(&key.object.name, &parameters, &patch)).await;
    match patched.map_err(|_| Error::HostTimedOut)? {
        Ok(_) => Ok(()),
        Err(kube::Error::Api(status)) if change == Finalizer::Remove && status.code == 404 => {
            Ok(())
        }
        Err(error) => Err(error.into()),
    }
}

/// Where the federated objects beside this one are; `None` when their type is no longer federated.
pub(crate) fn host_api(context: &Context, key: &FederatedKey) -> Option<Api<DynamicObject>> {
    let cache = context.type_cache(&key.type_name)?;
    let federated = &cache.named.federated;
    let client = context.host.client.clone();
    Some(match federated.federated_namespaced {
        true => Api::namespaced_with(client, &key.object.namespace, &federated.federated),
        false => Api::all_with(client, &federated.federated),
    })
}

async fn write_status(
    context: &Context,
    key: &FederatedKey,
    object: &DynamicObject,
    summary: &Status,
) -> Result<Written, Error> {
    let Some(cache) = context.type_cache(&key.type_name) else {
        return Ok(Written::Current);
    };
    let (subject, wanted) = status_of(&cache, key, object, summary);
    context.statuses.write(subject, wanted).await
}

/// Whose status is to be what.
fn status_of<'a>(
    cache: &'a TypeCache,
    key: &'a FederatedKey,
    object: &'a DynamicObject,
    summary: &Status,
) -> (Subject<'a>, Value) {
    let mut wanted = serde_json::to_value(summary).unwrap_or_default();
    if !cache.named.federated.collects_status {
        let clusters = wanted["clusters"].as_array_mut();
        for cluster in clusters
            .into_iter()
            .flatten()
            .filter_map(Value::as_object_mut)
        {
            cluster.remove("remoteStatus");
        }
    }
    let metadata = &object.metadata;
    let subject = Subject {
        resource: &cache.named.federated.federated,
        namespace: Some(&*key.object.namespace).filter(|namespace| !namespace.is_empty()),
        name: &key.object.name,
        uid: metadata.uid.as_deref().unwrap_or_default(),
        version: metadata.resource_version.as_deref().unwrap_or_default(),
        current: status(object),
    };
    (subject, wanted)
}

/// A spec that does not read: nothing is done, and the status says why.
async fn refuse(context: &Context, key: &FederatedKey, (read, error): (Read, api::Error)) -> Next {
    let message = error.to_string();
    context
        .events
        .tell(&about(&read), Tone::Warning, "InvalidSpec", &message);
    let before = serde_json::from_value(status(&read.object).clone()).unwrap_or_default();
    let summary = refused(read.input.object.generation, message, before);
    match write_status(context, key, &read.object, &summary).await {
        Ok(Written::Current) => Next::OnChange,
        Ok(Written::Later(at)) => Next::At(at),
        Err(error) => failed(key, &error),
    }
}

fn failed(key: &FederatedKey, error: &Error) -> Next {
    tracing::debug!(object = %key.object, kind = error.kind(), %error, "not reconciled");
    Next::Backoff
}

/// Events of what stands in the way.
fn tell(context: &Context, read: &Read, plan: &Plan, outcome: &Outcome) {
    if is_good(plan, outcome) && plan.report.is_empty() {
        return;
    }
    let about = about(read);
    let namespace = About {
        api_version: "v1".to_owned(),
        kind: "Namespace".to_owned(),
        namespace: String::new(),
        name: about.namespace.clone(),
        uid: String::new(),
    };
    for problem in &plan.report {
        let note = match &problem.cluster {
            Some(cluster) => format!("{cluster}: {}", problem.message),
            None => problem.message.clone(),
        };
        // What concerns a whole namespace is told once, not by each object in it.
        let (about, note) = match problem.kind {
            ProblemKind::NamespaceNotFederated => (&namespace, NAMESPACE_NOTE),
            ProblemKind::NamespaceLeft => (&namespace, NAMESPACE_LEFT_NOTE),
            _ => (&about, note.as_str()),
        };
        let reason = format!("{:?}", problem.kind);
        context.events.tell(about, Tone::Warning, &reason, note);
    }
    for (cluster, outcome) in &outcome.clusters {
        if let ClusterOutcome::Failed(error) = outcome
            && error.failure != Failure::Conflict
        {
            let note = format!("{cluster}: {}", error.message);
            context.events.tell(
                &about,
                Tone::Warning,
                &format!("{:?}", error.failure),
                &note,
            );
        }
    }
}

pub(crate) fn about(read: &Read) -> About {
    let metadata = &read.object.metadata;
    About {
        api_version: read.object.types.clone().unwrap_or_default().api_version,
        kind: read.input.object.kind.clone(),
        namespace: metadata.namespace.clone().unwrap_or_default(),
        name: metadata.name.clone().unwrap_or_default(),
        uid: metadata.uid.clone().unwrap_or_default(),
    }
}

/// When to look again without being woken: the earliest of all that is pending.
fn next(read: &Read, plan: &Plan, outcome: &Outcome, written: Written) -> Next {
    let now = Instant::now();
    let mut times: Vec<Instant> = Vec::new();
    for outcome in outcome.clusters.values() {
        match outcome {
            ClusterOutcome::Done => {}
            ClusterOutcome::Skipped(_) => return Next::Backoff,
            ClusterOutcome::Failed(error) => match error.failure.retry() {
                Retry::Fresh | Retry::Backoff => return Next::Backoff,
                Retry::OnChange => times.push(now + MET_FOR),
            },
        }
    }
    times.extend(
        plan.again_in_secs
            .map(|secs| now + Duration::from_secs(secs)),
    );
    if let Written::Later(at) = written {
        times.push(at);
    }
    // What was just written may let the next step of a rollout begin: no watch tells what we know.
    let rolling = plan.rollout.as_ref();
    let rolling = rolling.is_some_and(|it| it.status.phase != RolloutPhase::Complete);
    if rolling
        && outcome
            .clusters
            .values()
            .any(|told| *told == ClusterOutcome::Done)
    {
        times.push(now);
    }
    for (name, step) in &plan.steps {
        let ready = read.input.clusters.get(name).map(|facts| &facts.readiness);
        match step.status {
            // No watch tells when somebody else's object goes.
            PropagationStatus::AlreadyExists => times.push(now + MET_FOR),
            PropagationStatus::CachedRetrievalFailed if ready == Some(&Readiness::Ready) => {
                times.push(now + LOOK_AGAIN);
            }
            _ => {}
        }
    }
    times.into_iter().min().map_or(Next::OnChange, Next::At)
}

/// What somebody keeps changing back is held for a while.
pub(crate) fn held_back(bout: &Bout, reason: &str) -> ClusterOutcome {
    ClusterOutcome::Skipped(format!(
        "the same was applied {} times within a minute, and it is changed back: {reason}",
        bout.applied
    ))
}
