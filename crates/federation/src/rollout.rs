//! A changed template reaches clusters in steps: what has to wait, for what, and how far it is.
//!
//! `spec.rollout.order` divides the clusters into steps; who is in none of them comes last. A step
//! begins when every cluster of the steps before holds the new template and is available with it.
//! Whatever keeps a cluster from that (a refusal, an override that does not fit, Pods that never
//! become ready) stops the rollout there.
//!
//! - **What waits** is a template, never replicas: a cluster that has to keep the old template gets
//!   its share of a division all the same ([`Action::Scale`]), so that failover does not depend on
//!   how far a rollout is. Repairs of what was applied before, deletions and what another object
//!   needs do not wait either.
//! - **Where it is** follows from what the members hold. The host remembers in the status only what
//!   cannot be seen there: since when a step has been under way, and that a revision has once been
//!   everywhere. From then on that revision goes everywhere at once: a cluster that is unwell later
//!   holds nobody up.
//! - **Who is away** is not waited for while another cluster of the same step has made it; a step
//!   of which nobody can be reached waits, for nothing is known of the template then.

use crate::{
    availability::{Availability, availability},
    input::{DividedReplicas, PlanInput, Readiness},
    intent::Pause,
    live::{Live, Observed, OwnedFields},
    names::ANNOTATION_ROLLOUT_APPROVED,
    place::by_placement,
    render::{is_same_template, scaled_hash},
    step::{Action, Plan, Problem, ProblemKind, Scale},
};
use model::ClusterName;
use serde::{Deserialize, Serialize};
use std::collections::BTreeSet;

/// How long a step may take when the rollout does not say; a Deployment's own patience.
const TIMEOUT_SECS: u64 = 600;

/// `status.rollout`, its time apart: the writer keeps that.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct RolloutStatus {
    /// Of template and overrides.
    pub revision: String,
    /// The step under way, from 1.
    pub step: u32,
    /// How many there are.
    pub steps: u32,
    /// How it stands.
    pub phase: RolloutPhase,
    /// In words.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub message: String,
}

/// How a rollout stands.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub enum RolloutPhase {
    /// A step is under way.
    #[default]
    Progressing,
    /// The next step waits for somebody's word.
    Waiting,
    /// A step takes longer than it may.
    Stalled,
    /// The revision has been everywhere.
    Complete,
}

/// What the host's status says of a rollout already.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct RolloutSeen {
    /// What it says.
    pub status: RolloutStatus,
    /// Seconds since that step is in that phase.
    pub for_secs: u64,
}

/// What a rollout makes of a plan.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct RolloutPlan {
    /// What the status says.
    pub status: RolloutStatus,
    /// Clusters whose template waits.
    #[serde(default, skip_serializing_if = "BTreeSet::is_empty")]
    pub held: BTreeSet<ClusterName>,
}

/// Where a cluster is on the way to the new template.
enum Progress {
    /// It holds it and is well.
    Done,
    /// It holds it, and what is missing.
    Under(String),
    /// It has to be written.
    Due,
    /// It cannot be reached.
    Away,
    /// Something stands in the way.
    Stuck(String),
}

/// Holds back what a rollout does not let through yet.
pub(crate) fn stage(input: &PlanInput, chosen: &BTreeSet<ClusterName>, plan: &mut Plan) {
    let Some(rollout) = &input.intent.rollout else {
        return;
    };
    let revision = input.revision();
    let seen = input
        .rollout
        .as_ref()
        .filter(|seen| seen.status.revision == revision);
    let steps = groups(input, chosen);
    let count = u32::try_from(steps.len()).unwrap_or(u32::MAX);
    let mut status = RolloutStatus {
        revision,
        step: count,
        steps: count,
        phase: RolloutPhase::Complete,
        message: String::new(),
    };
    let mut held = BTreeSet::new();
    if !seen.is_some_and(|seen| seen.status.phase == RolloutPhase::Complete) {
        let at = steps.iter().enumerate().find_map(|(index, group)| {
            let number = u32::try_from(index).unwrap_or(u32::MAX).saturating_add(1);
            if index > 0 && rollout.pause == Pause::Manual && number > approved(input, &status) {
                let due = steps[index..]
                    .iter()
                    .flatten()
                    .any(|name| is_due(input, plan, name));
                return due.then(|| (index, number, waiting(number, count, &status.revision)));
            }
            let missing = missing(input, plan, group);
            (!missing.is_empty()).then(|| (index, number, under_way(number, count, &missing)))
        });
        if let Some((index, number, (phase, message))) = at {
            status = RolloutStatus {
                step: number,
                phase,
                message,
                ..status
            };
            held = hold_back(input, plan, (&steps, index), &status);
            time_out(input, rollout.timeout_seconds, seen, &mut status, plan);
        }
    }
    plan.rollout = Some(RolloutPlan { status, held });
}

fn waiting(number: u32, count: u32, revision: &str) -> (RolloutPhase, String) {
    let message = format!(
        "step {number} of {count} waits for approval: meridian rollout approve, or the annotation \
         {ANNOTATION_ROLLOUT_APPROVED}: {}",
        approval(revision, number)
    );
    (RolloutPhase::Waiting, message)
}

fn under_way(number: u32, count: u32, missing: &[String]) -> (RolloutPhase, String) {
    let message = format!("step {number} of {count}: {}", missing.join("; "));
    (RolloutPhase::Progressing, message)
}

/// The text that approves a step and those before it.
pub fn approval(revision: &str, step: u32) -> String {
    format!("{revision}/{step}")
}

/// The last step that may begin.
fn approved(input: &PlanInput, status: &RolloutStatus) -> u32 {
    let text = input.object.annotations.get(ANNOTATION_ROLLOUT_APPROVED);
    let approved = text.and_then(|text| text.rsplit_once('/'));
    approved
        .filter(|(revision, _)| *revision == status.revision)
        .and_then(|(_, step)| step.parse().ok())
        .unwrap_or(1)
}

/// The chosen clusters by step; nobody is in two, and no step is empty.
fn groups(input: &PlanInput, chosen: &BTreeSet<ClusterName>) -> Vec<Vec<ClusterName>> {
    let order = input
        .intent
        .rollout
        .iter()
        .flat_map(|rollout| &rollout.order);
    let mut left = chosen.clone();
    let mut steps: Vec<Vec<ClusterName>> = Vec::new();
    for placement in order {
        let matched = by_placement(placement, &input.clusters);
        let step: Vec<ClusterName> = left
            .iter()
            .filter(|name| matched.get(*name).is_some_and(|choice| choice.is_chosen()))
            .cloned()
            .collect();
        left.retain(|name| !step.contains(name));
        steps.push(step);
    }
    steps.push(left.into_iter().collect());
    steps.retain(|step| !step.is_empty());
    steps
}

/// What keeps a step from being done, in words.
fn missing(input: &PlanInput, plan: &Plan, group: &[ClusterName]) -> Vec<String> {
    let (mut missing, mut away, mut done) = (Vec::new(), Vec::new(), false);
    for name in group {
        match progress(input, plan, name) {
            Progress::Done => done = true,
            Progress::Due => missing.push(format!("{name}: it does not hold the new template yet")),
            Progress::Under(why) | Progress::Stuck(why) => missing.push(format!("{name}: {why}")),
            Progress::Away => away.push(format!("{name}: it cannot be reached")),
        }
    }
    if !done {
        missing.append(&mut away);
    }
    missing
}

fn progress(input: &PlanInput, plan: &Plan, name: &ClusterName) -> Progress {
    let facts = input.clusters.get(name);
    let Some(step) = plan.steps.get(name) else {
        return Progress::Away;
    };
    let reachable = facts.is_some_and(|it| it.readiness == Readiness::Ready && !it.paused);
    match &step.action {
        _ if !reachable => Progress::Away,
        Action::Create(_) => Progress::Due,
        Action::Apply(_) if is_due(input, plan, name) => Progress::Due,
        Action::Nothing | Action::Apply(_) | Action::Scale(_) => match live(input, name) {
            None => Progress::Due,
            Some(live) => match availability(&input.target, live) {
                Availability::Available => Progress::Done,
                Availability::Progressing(why) | Availability::Failed(why) => Progress::Under(why),
            },
        },
        Action::Hold | Action::Delete(_) | Action::Release(_) | Action::Tombstone => {
            Progress::Stuck(step.reason.clone())
        }
    }
}

/// Whether the cluster's step would bring another template than it holds.
fn is_due(input: &PlanInput, plan: &Plan, name: &ClusterName) -> bool {
    match plan.steps.get(name).map(|step| &step.action) {
        Some(Action::Create(_)) => true,
        Some(Action::Apply(write)) => {
            let held = live(input, name).and_then(|live| live.applied_hash.as_deref());
            !held.is_some_and(|held| is_same_template(held, &write.hash))
        }
        _ => false,
    }
}

fn live<'a>(input: &'a PlanInput, name: &ClusterName) -> Option<&'a Live> {
    match input.observed.get(name) {
        Some(Observed::Present(live)) => Some(live),
        _ => None,
    }
}

/// Turns what is not let through yet into holds; who they are.
fn hold_back(
    input: &PlanInput,
    plan: &mut Plan,
    (steps, at): (&[Vec<ClusterName>], usize),
    status: &RolloutStatus,
) -> BTreeSet<ClusterName> {
    let may_begin = match status.phase {
        RolloutPhase::Waiting => 0,
        _ => at_once(input, plan, &steps[at]),
    };
    let due = |name: &&ClusterName| is_due(input, plan, name);
    let now = steps[at].iter().filter(due).skip(may_begin);
    let later = steps[at + 1..].iter().flatten().filter(due);
    let held: BTreeSet<ClusterName> = now.chain(later).cloned().collect();
    for name in &held {
        if let Some(step) = plan.steps.get_mut(name) {
            let reason = format!("the new template waits; {}", status.message);
            step.action = scale(input, name).map_or(Action::Hold, Action::Scale);
            step.reason = match &step.action {
                Action::Scale(scale) => format!("{} replicas; {reason}", scale.replicas),
                _ => reason,
            };
        }
    }
    held
}

/// How many clusters of a step may get the template now, beside those that are at it.
fn at_once(input: &PlanInput, plan: &Plan, group: &[ClusterName]) -> usize {
    let limit = input
        .intent
        .rollout
        .as_ref()
        .and_then(|rollout| rollout.max_clusters);
    let under = group.iter().filter(|name| {
        matches!(
            progress(input, plan, name),
            Progress::Under(_) | Progress::Stuck(_)
        )
    });
    let limit = limit.map_or(usize::MAX, |limit| limit.max(1) as usize);
    limit.saturating_sub(under.count())
}

/// The replicas that a cluster is to run with the template that it has, if they are others than it
/// runs.
fn scale(input: &PlanInput, name: &ClusterName) -> Option<Box<Scale>> {
    let Some(DividedReplicas::Set(replicas)) = input.division.as_ref()?.get(name).copied() else {
        return None;
    };
    let live = live(input, name)?;
    let runs = live.replicas.as_ref()?;
    let ours = live.owned != OwnedFields::None
        && live
            .origin
            .as_ref()
            .is_some_and(|origin| input.host.owns(origin));
    if runs.value == replicas || !ours || input.options.retain_replicas {
        return None;
    }
    Some(Box::new(Scale {
        uid: live.uid.clone(),
        replicas,
        hash: scaled_hash(live.applied_hash.as_deref()?, replicas),
    }))
}

/// A step that takes too long is told, once it does and as long as it does.
fn time_out(
    input: &PlanInput,
    timeout: Option<u64>,
    seen: Option<&RolloutSeen>,
    status: &mut RolloutStatus,
    plan: &mut Plan,
) {
    if status.phase != RolloutPhase::Progressing || input.is_paused() {
        return;
    }
    let timeout = timeout.unwrap_or(TIMEOUT_SECS);
    let under_way = |seen: &&RolloutSeen| seen.status.step == status.step;
    let left = match seen.filter(under_way) {
        Some(seen) if seen.status.phase == RolloutPhase::Stalled => 0,
        Some(seen) if seen.status.phase == RolloutPhase::Progressing => {
            timeout.saturating_sub(seen.for_secs)
        }
        _ => timeout,
    };
    if left > 0 {
        plan.again_in_secs = Some(plan.again_in_secs.map_or(left, |secs| secs.min(left)));
        return;
    }
    status.phase = RolloutPhase::Stalled;
    plan.report.push(Problem {
        cluster: None,
        kind: ProblemKind::RolloutStalled,
        message: format!(
            "no further after {timeout} s, {}; mend the template, or take spec.rollout away to let \
             it go everywhere",
            status.message
        ),
    });
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{input::Watched, test_world::World};
    use serde_json::{Value, json};

    /// A Deployment `shop/settings` that every cluster runs well, and a rollout of it.
    fn world(rollout: Value) -> World {
        let mut world = World::new(&["a", "b", "c", "d"]);
        world.deployment(2);
        world.input.target.watched = Watched::Whole;
        settle(&mut world);
        world.input.intent.rollout = serde_json::from_value(rollout).unwrap();
        world
    }

    /// What is planned is done, and everything that it concerns becomes available.
    fn settle(world: &mut World) {
        let plan = world.plan();
        world.settle();
        for (cluster, step) in plan.steps {
            if matches!(
                step.action,
                Action::Create(_) | Action::Apply(_) | Action::Scale(_)
            ) {
                well(world, cluster.as_str());
            }
        }
    }

    fn by_name(steps: &[&[&str]]) -> Value {
        let step = |names: &&[&str]| -> Value {
            let clusters: Vec<Value> = names.iter().map(|name| json!({"name": name})).collect();
            json!({"clusters": clusters})
        };
        steps.iter().map(step).collect()
    }

    fn well(world: &mut World, cluster: &str) {
        let live = world.live_mut(cluster);
        let replicas = live.replicas.as_ref().map_or(0, |it| it.value);
        live.remote_status = Some(json!({"observedGeneration": 0, "replicas": replicas,
            "updatedReplicas": replicas, "readyReplicas": replicas,
            "availableReplicas": replicas}));
    }

    fn unwell(world: &mut World, cluster: &str) {
        well(world, cluster);
        world.live_mut(cluster).remote_status.as_mut().unwrap()["readyReplicas"] = json!(0);
    }

    fn change_template(world: &mut World) {
        world.input.intent.template["spec"]["paused"] = json!(true);
    }

    /// What is said on the host after this plan.
    fn tell(world: &mut World, for_secs: u64) {
        let status = world.plan().rollout.unwrap().status;
        world.input.rollout = Some(RolloutSeen { status, for_secs });
    }

    fn verbs(world: &World) -> String {
        let plan = world.plan();
        let steps = plan.steps.iter();
        let verbs: Vec<String> = steps
            .map(|(name, step)| format!("{name} {}", step.action.verb()))
            .collect();
        verbs.join(", ")
    }

    fn phase(world: &World) -> (RolloutPhase, u32, u32) {
        let status = world.plan().rollout.unwrap().status;
        (status.phase, status.step, status.steps)
    }

    fn message(world: &World) -> String {
        world.plan().rollout.unwrap().status.message
    }

    #[test]
    fn a_changed_template_reaches_the_next_step_when_the_one_before_is_available() {
        let mut world = world(json!({"order": by_name(&[&["b"], &["a", "c"]])}));
        assert_eq!(phase(&world), (RolloutPhase::Complete, 3, 3));
        tell(&mut world, 0);
        change_template(&mut world);
        assert_eq!(verbs(&world), "a hold, b apply, c hold, d hold");
        settle(&mut world);
        unwell(&mut world, "b");
        assert_eq!(verbs(&world), "a hold, b nothing, c hold, d hold");
        let said = "step 1 of 3: b: 0 of 2 replicas are ready";
        assert_eq!(message(&world), said);
        let reason = &world.plan().steps["a"].reason;
        assert_eq!(*reason, format!("the new template waits; {said}"));
        well(&mut world, "b");
        assert_eq!(verbs(&world), "a apply, b nothing, c apply, d hold");
        settle(&mut world);
        assert_eq!(verbs(&world), "a nothing, b nothing, c nothing, d apply");
        settle(&mut world);
        assert_eq!(phase(&world), (RolloutPhase::Complete, 3, 3));
    }

    #[test]
    fn a_template_that_does_not_become_available_stops_at_the_first_step_and_says_so() {
        let mut world = world(json!({"order": by_name(&[&["b"]]), "timeoutSeconds": 30}));
        tell(&mut world, 0);
        change_template(&mut world);
        assert_eq!(world.plan().again_in_secs, Some(30));
        tell(&mut world, 0);
        settle(&mut world);
        unwell(&mut world, "b");
        tell(&mut world, 10);
        assert_eq!(world.plan().again_in_secs, Some(20));
        tell(&mut world, 30);
        let plan = world.plan();
        assert_eq!(phase(&world), (RolloutPhase::Stalled, 1, 2));
        assert_eq!(plan.report[0].kind, ProblemKind::RolloutStalled);
        assert_eq!(plan.again_in_secs, None);
        assert_eq!(verbs(&world), "a hold, b nothing, c hold, d hold");
        // It stays so although the host counts anew, until the step is done.
        tell(&mut world, 0);
        assert_eq!(phase(&world), (RolloutPhase::Stalled, 1, 2));
        well(&mut world, "b");
        assert_eq!(phase(&world), (RolloutPhase::Progressing, 2, 2));
    }

    #[test]
    fn a_manual_step_waits_for_the_approval_of_this_very_revision() {
        let mut world = world(json!({"order": by_name(&[&["b"], &["a"]]), "pause": "Manual"}));
        tell(&mut world, 0);
        change_template(&mut world);
        assert_eq!(verbs(&world), "a hold, b apply, c hold, d hold");
        settle(&mut world);
        assert_eq!(phase(&world), (RolloutPhase::Waiting, 2, 3));
        assert_eq!(world.plan().again_in_secs, None);
        world.annotate(ANNOTATION_ROLLOUT_APPROVED, &approval("another", 3));
        assert_eq!(phase(&world), (RolloutPhase::Waiting, 2, 3));
        let revision = world.input.revision();
        world.annotate(ANNOTATION_ROLLOUT_APPROVED, &approval(&revision, 2));
        assert_eq!(verbs(&world), "a apply, b nothing, c hold, d hold");
        settle(&mut world);
        assert_eq!(phase(&world), (RolloutPhase::Waiting, 3, 3));
        world.annotate(ANNOTATION_ROLLOUT_APPROVED, &approval(&revision, 3));
        assert_eq!(verbs(&world), "a nothing, b nothing, c apply, d apply");
    }

    #[test]
    fn no_more_clusters_of_a_step_are_under_way_than_allowed() {
        let mut world = world(json!({"maxClusters": 2}));
        tell(&mut world, 0);
        change_template(&mut world);
        assert_eq!(verbs(&world), "a apply, b apply, c hold, d hold");
        settle(&mut world);
        unwell(&mut world, "a");
        assert_eq!(verbs(&world), "a nothing, b nothing, c apply, d hold");
    }

    #[test]
    fn replicas_do_not_wait_for_a_template() {
        let mut world = world(json!({"order": by_name(&[&["b"]])}));
        let divide = |world: &mut World, replicas: i64| {
            let division =
                ["a", "b", "c", "d"].map(|it| (it.into(), DividedReplicas::Set(replicas)));
            world.input.division = Some(division.into_iter().collect());
        };
        divide(&mut world, 2);
        settle(&mut world);
        settle(&mut world);
        settle(&mut world);
        assert_eq!(verbs(&world), "a nothing, b nothing, c nothing, d nothing");
        tell(&mut world, 0);
        change_template(&mut world);
        divide(&mut world, 5);
        assert_eq!(verbs(&world), "a scale, b apply, c scale, d scale");
        settle(&mut world);
        unwell(&mut world, "b");
        assert_eq!(verbs(&world), "a hold, b nothing, c hold, d hold");
        // The old template again is nothing new to a, c and d.
        world.input.intent.template["spec"] = json!({"replicas": 2});
        assert_eq!(verbs(&world), "a apply, b apply, c apply, d apply");
        assert_eq!(world.live("a").unwrap().replicas.as_ref().unwrap().value, 5);
    }

    #[test]
    fn repairs_and_departures_do_not_wait() {
        let mut world = world(json!({"order": by_name(&[&["b"]])}));
        tell(&mut world, 0);
        change_template(&mut world);
        settle(&mut world);
        unwell(&mut world, "b");
        world.live_mut("b").owned = OwnedFields::None;
        world.place_named(&["a", "b", "d"]);
        assert_eq!(verbs(&world), "a hold, b apply, c delete, d hold");
    }

    #[test]
    fn who_is_away_is_waited_for_only_when_nobody_else_of_the_step_has_made_it() {
        let mut world = world(json!({"order": by_name(&[&["a", "b"], &["c"]])}));
        tell(&mut world, 0);
        let away = |world: &mut World, cluster: &str| {
            world.facts_mut(cluster).readiness = Readiness::NotReady("gone".to_owned());
        };
        away(&mut world, "a");
        change_template(&mut world);
        assert_eq!(verbs(&world), "a hold, b apply, c hold, d hold");
        settle(&mut world);
        assert_eq!(verbs(&world), "a hold, b nothing, c apply, d hold");
        away(&mut world, "b");
        assert_eq!(verbs(&world), "a hold, b hold, c hold, d hold");
    }

    #[test]
    fn what_has_once_been_everywhere_holds_nobody_up_later() {
        let mut world = world(json!({"order": by_name(&[&["b"]])}));
        tell(&mut world, 0);
        unwell(&mut world, "b");
        world.observe("c", Observed::Absent);
        assert_eq!(verbs(&world), "a nothing, b nothing, c create, d nothing");
        assert_eq!(phase(&world).0, RolloutPhase::Complete);
    }

    #[test]
    fn a_new_object_goes_in_steps_too() {
        let mut world = World::new(&["a", "b"]);
        world.input.intent.rollout =
            serde_json::from_value(json!({"order": by_name(&[&["b"]])})).unwrap();
        assert_eq!(verbs(&world), "a hold, b create");
        settle(&mut world);
        assert_eq!(verbs(&world), "a create, b nothing");
    }

    #[test]
    fn an_override_that_does_not_fit_stops_the_rollout_where_it_is() {
        let mut world = world(json!({"order": by_name(&[&["b"]])}));
        tell(&mut world, 0);
        world.input.intent.overrides = serde_json::from_value(json!([{"clusterName": "b",
            "clusterOverrides": [{"op": "replace", "path": "/spec/nothing/here", "value": 1}]}]))
        .unwrap();
        change_template(&mut world);
        assert_eq!(verbs(&world), "a hold, b hold, c hold, d hold");
        assert!(
            message(&world).contains("/spec/nothing"),
            "{}",
            message(&world)
        );
    }
}
