//! From what is wanted and what is there to a plan.
//!
//! [`plan`] is pure and total: whatever stands in the way becomes an entry of [`Plan::report`] and a
//! [`Action::Hold`] with its reason, and the other clusters are served. A cluster's step depends
//! only on host objects and on that member's own state, so that an agent in the member could make
//! it. Deletion is an empty placement.
//!
//! The two halves are in `present.rs` (the object shall be there) and `absent.rs` (it shall not).

use crate::{
    absent::{self, Cause},
    error::RenderError,
    input::{ClusterFacts, FinalizerState, PlanInput},
    live::Observed,
    names::ANNOTATION_PAUSED,
    overrides::check_overrides,
    place::{Choice, place},
    present,
    render::{Provenance, Rendered, Renderings, ReplicasRule},
    rollout,
    status::PropagationStatus,
    step::{Action, FinalizerStep, Plan, Problem, ProblemKind, Step, TombstoneEntry},
};
use model::ClusterName;

/// Makes the plan for one federated object.
pub fn plan(input: &PlanInput) -> Plan {
    let mut plan = match input.object.deleted_for_secs {
        Some(_) => plan_deletion(input),
        None => plan_presence(input),
    };
    if input.is_paused() {
        pause(&mut plan);
    }
    plan
}

/// One member, with everything that its step may depend on.
#[derive(Clone, Copy)]
pub(crate) struct Member<'a> {
    pub(crate) input: &'a PlanInput,
    renderings: &'a Renderings<'a>,
    pub(crate) name: &'a ClusterName,
    pub(crate) facts: &'a ClusterFacts,
    pub(crate) observed: &'a Observed,
}

/// What was decided for one member.
#[derive(Default)]
pub(crate) struct Verdict {
    pub(crate) step: Option<Step>,
    pub(crate) problem: Option<Problem>,
    pub(crate) tombstone: Option<TombstoneEntry>,
    pub(crate) again_in_secs: Option<u64>,
}

impl Verdict {
    pub(crate) fn act(action: Action, status: PropagationStatus, reason: String) -> Self {
        Self {
            step: Some(Step {
                action,
                status,
                reason,
            }),
            ..Self::default()
        }
    }

    pub(crate) fn hold(status: PropagationStatus, reason: String) -> Self {
        Self::act(Action::Hold, status, reason)
    }
}

impl Member<'_> {
    /// What it shall hold.
    pub(crate) fn rendered(
        self,
        replicas: ReplicasRule,
        provenance: Provenance,
    ) -> Result<Rendered, RenderError> {
        self.renderings.get(self.name, replicas, provenance)
    }

    /// A hold that is also a problem in the report.
    pub(crate) fn stuck(
        self,
        kind: ProblemKind,
        status: PropagationStatus,
        message: String,
    ) -> Verdict {
        Verdict {
            problem: Some(Problem {
                cluster: Some(self.name.clone()),
                kind,
                message: message.clone(),
            }),
            ..Verdict::hold(status, message)
        }
    }
}

fn members<'a>(
    input: &'a PlanInput,
    renderings: &'a Renderings<'a>,
) -> impl Iterator<Item = Member<'a>> {
    static UNKNOWN: Observed = Observed::Unknown;
    input.clusters.iter().map(move |(name, facts)| Member {
        input,
        renderings,
        name,
        facts,
        observed: input.observed.get(name).unwrap_or(&UNKNOWN),
    })
}

fn plan_presence(input: &PlanInput) -> Plan {
    let placing = place(input);
    let mut plan = Plan {
        report: placing.problems.clone(),
        ..Plan::default()
    };
    if input.options.retain_replicas && input.division.is_some() {
        plan.report.push(replicas_retained());
    }
    let faults = check_overrides(&input.intent.overrides);
    if !faults.is_empty() {
        plan.report.push(Problem {
            cluster: None,
            kind: ProblemKind::InvalidIntent,
            message: faults.join("; "),
        });
    }
    let renderings = Renderings::of(input);
    for member in members(input, &renderings) {
        let verdict = match placing.clusters[member.name] {
            Choice::Leaving if *member.observed == Observed::Absent => Verdict::default(),
            choice if choice.is_chosen() || choice == Choice::Leaving => match faults.first() {
                Some(fault) => {
                    Verdict::hold(PropagationStatus::ApplyOverridesFailed, fault.clone())
                }
                None => present::step(member),
            },
            Choice::NamespaceElsewhere => absent::step(member, Cause::Namespace, None),
            _ => absent::step(member, Cause::Placement, None),
        };
        plan.take(member.name, verdict);
    }
    rollout::stage(input, &placing.chosen(), &mut plan);
    // What a member holds already is owed when the object goes, whoever took the finalizer off.
    let holds = |step: &Step| step.action.writes() || step.action == Action::Nothing;
    if plan.steps.values().any(holds) && input.object.finalizer == FinalizerState::Absent {
        plan.finalizer = FinalizerStep::Add;
    }
    plan
}

/// Everything goes. Without our finalizer nothing was ever written, and nothing is owed.
fn plan_deletion(input: &PlanInput) -> Plan {
    let mut plan = Plan::default();
    if input.object.finalizer == FinalizerState::Absent {
        return plan;
    }
    let options = match absent::delete_options(input) {
        Ok(options) => options,
        Err(problem) => {
            plan.report.push(problem);
            None
        }
    };
    let cause = if plan.report.is_empty() {
        Cause::Deleted
    } else {
        Cause::DeletedWithoutOptions
    };
    let renderings = Renderings::of(input);
    for member in members(input, &renderings) {
        let verdict = absent::step(member, cause, options.as_ref());
        plan.take(member.name, verdict);
    }
    let only_tombstones = plan
        .steps
        .values()
        .all(|step| step.action == Action::Tombstone);
    if only_tombstones {
        plan.finalizer = FinalizerStep::Remove;
    } else {
        // Written once, together, when nothing else is left to wait for.
        plan.tombstones.clear();
    }
    plan
}

impl Plan {
    fn take(&mut self, cluster: &ClusterName, verdict: Verdict) {
        if let Some(step) = verdict.step {
            self.steps.insert(cluster.clone(), step);
        }
        self.report.extend(verdict.problem);
        self.tombstones.extend(verdict.tombstone);
        self.again_in_secs = match (self.again_in_secs, verdict.again_in_secs) {
            (Some(one), Some(other)) => Some(one.min(other)),
            (one, other) => one.or(other),
        };
    }
}

/// Whatever would write waits; what is in order stays as it is.
fn pause(plan: &mut Plan) {
    for step in plan.steps.values_mut() {
        if step.action.writes() || step.action == Action::Tombstone {
            step.reason = format!("paused; otherwise {}: {}", step.action.verb(), step.reason);
            step.action = Action::Hold;
        }
    }
    plan.finalizer = FinalizerStep::Keep;
    plan.tombstones.clear();
    plan.again_in_secs = None;
    plan.report.push(Problem {
        cluster: None,
        kind: ProblemKind::Paused,
        message: format!("nothing is written while the annotation {ANNOTATION_PAUSED} is \"true\""),
    });
}

fn replicas_retained() -> Problem {
    Problem {
        cluster: None,
        kind: ProblemKind::ReplicasRetained,
        message: "spec.retainReplicas keeps each cluster's own count, so the \
                  ReplicaSchedulingPreference only decides the first one: take one of them away"
            .to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Confirmation;
    use crate::input::{Adoption, DeletionBrake, DividedReplicas, Readiness, TypeServed};
    use crate::{
        input::NamespacePlacement,
        live::{LiveReplicas, ManagedLabel, OwnedFields},
        names::*,
        test_world::World,
    };
    use serde_json::json;

    /// `cluster verb status` for every step.
    fn lines(world: &World) -> Vec<String> {
        world
            .plan()
            .steps
            .iter()
            .map(|(name, step)| format!("{name} {} {:?}", step.action.verb(), step.status))
            .collect()
    }

    fn check(world: &World, expected: &[&str]) {
        assert_eq!(lines(world), expected, "{:#?}", world.plan().report);
    }

    fn kinds(world: &World) -> Vec<ProblemKind> {
        world
            .plan()
            .report
            .iter()
            .map(|problem| problem.kind)
            .collect()
    }

    #[test]
    fn what_is_not_there_is_created_and_what_is_in_order_is_left() {
        let mut world = World::new(&["a", "b"]);
        check(&world, &["a create Ok", "b create Ok"]);
        world.settle();
        check(&world, &["a nothing Ok", "b nothing Ok"]);
        assert!(world.plan().is_quiet());
    }

    #[test]
    fn what_is_not_there_waits_for_its_namespace_and_what_is_there_does_not() {
        let mut world = World::new(&["a", "b"]);
        world.input.namespace_awaited = ["a".into()].into();
        check(&world, &["a hold CreationFailed", "b create Ok"]);
        world.input.namespace_awaited.clear();
        world.settle();
        world.input.namespace_awaited = ["a".into()].into();
        check(&world, &["a nothing Ok", "b nothing Ok"]);
    }

    #[test]
    fn the_finalizer_is_added_before_the_first_write_and_only_then() {
        let mut world = World::new(&["a"]);
        world.input.object.finalizer = FinalizerState::Absent;
        assert_eq!(world.plan().finalizer, FinalizerStep::Add);
        world.place_named(&[]);
        assert_eq!(world.plan().finalizer, FinalizerStep::Keep);
    }

    #[test]
    fn a_finalizer_that_was_taken_off_comes_back_while_a_member_holds_the_object() {
        let mut world = World::settled(&["a"]);
        world.input.object.finalizer = FinalizerState::Absent;
        check(&world, &["a nothing Ok"]);
        assert_eq!(world.plan().finalizer, FinalizerStep::Add);
    }

    #[test]
    fn a_changed_template_is_applied_to_the_very_object_that_was_seen() {
        let mut world = World::settled(&["a"]);
        world.input.intent.template = json!({"data": {"colour": "red"}});
        check(&world, &["a apply Ok"]);
        let plan = world.plan();
        let Action::Apply(write) = &plan.steps["a"].action else {
            panic!("{plan:?}");
        };
        assert_eq!(write.precondition.uid.as_deref(), Some("live-uid"));
        assert_eq!(write.precondition.resource_version, None);
    }

    #[test]
    fn a_field_that_somebody_took_is_applied_again_and_named() {
        let mut world = World::settled(&["a"]);
        world.live_mut("a").owned = OwnedFields::Entry {
            api_version: "v1".to_owned(),
            fields: json!({"f:data": {}}),
        };
        check(&world, &["a apply Ok"]);
        let reason = &world.plan().steps["a"].reason;
        assert!(reason.contains(".metadata"), "{reason}");
    }

    #[test]
    fn who_took_a_field_is_named() {
        let mut world = World::settled(&["a"]);
        let live = world.live_mut("a");
        live.owned = OwnedFields::Entry {
            api_version: "v1".to_owned(),
            fields: json!({}),
        };
        let entry = |manager: &str, fields: serde_json::Value| crate::live::OtherEntry {
            manager: manager.to_owned(),
            fields,
        };
        live.others = vec![
            entry("painter", json!({"f:data": {"f:colour": {}}})),
            entry("bystander", json!({"f:data": {"f:note": {}}})),
        ];
        let reason = &world.plan().steps["a"].reason;
        assert!(reason.starts_with("\"painter\" changed .data"), "{reason}");
        assert!(!reason.contains("bystander"), "{reason}");
    }

    #[test]
    fn an_entry_of_another_version_is_applied_again() {
        let mut world = World::settled(&["a"]);
        let object = match &World::new(&["a"]).plan().steps["a"].action {
            Action::Create(write) => write.object.clone(),
            other => panic!("{other:?}"),
        };
        let annotations: serde_json::Map<String, serde_json::Value> =
            object["metadata"]["annotations"]
                .as_object()
                .unwrap()
                .keys()
                .map(|key| (format!("f:{key}"), json!({})))
                .collect();
        let fields = json!({"f:data": {"f:colour": {}}, "f:metadata": {
            "f:annotations": annotations, "f:labels": {"f:kubefed.io/managed": {}}}});
        let entry = |api_version: &str| OwnedFields::Entry {
            api_version: api_version.to_owned(),
            fields: fields.clone(),
        };
        world.live_mut("a").owned = entry("v1");
        check(&world, &["a nothing Ok"]);
        world.live_mut("a").owned = entry("v1beta1");
        check(&world, &["a apply Ok"]);
    }

    #[test]
    fn a_member_that_is_away_or_paused_waits_and_the_others_do_not() {
        let mut world = World::new(&["a", "b", "c", "d", "e"]);
        world.facts_mut("a").readiness = Readiness::NotReady("no route".to_owned());
        world.observe("b", Observed::Unknown);
        world.facts_mut("c").paused = true;
        world.facts_mut("d").serves_type = TypeServed::No;
        check(
            &world,
            &[
                "a hold ClusterNotReady",
                "b hold CachedRetrievalFailed",
                "c hold ClusterNotReady",
                "d hold RetrievalFailed",
                "e create Ok",
            ],
        );
        assert_eq!(
            kinds(&world),
            [ProblemKind::ClusterNotReady, ProblemKind::TypeNotServed]
        );
    }

    #[test]
    fn somebody_elses_object_is_left_alone_unless_adoption_is_enabled() {
        let mut world = World::new(&["a"]);
        world.foreign("a");
        check(&world, &["a hold AlreadyExists"]);
        world.input.options.adoption = Adoption::Enabled;
        world.live_mut("a").legacy_managers = vec!["kubectl-client-side-apply".to_owned()];
        check(&world, &["a apply Ok"]);
        let plan = world.plan();
        let Action::Apply(write) = &plan.steps["a"].action else {
            panic!("{plan:?}");
        };
        assert_eq!(write.takeover, ["kubectl-client-side-apply"]);
        assert_eq!(write.precondition.resource_version.as_deref(), Some("5"));
        assert_eq!(
            write.object["metadata"]["annotations"][ANNOTATION_ADOPTED],
            "true"
        );
    }

    #[test]
    fn what_was_adopted_is_released_and_not_deleted() {
        let mut world = World::new(&["a"]);
        world.foreign("a");
        world.input.options.adoption = Adoption::Enabled;
        world.settle();
        check(&world, &["a nothing Ok"]);
        world.place_named(&[]);
        check(&world, &["a release Ok"]);
        world.settle();
        check(&world, &[]);
    }

    #[test]
    fn an_object_of_another_host_is_never_taken_unless_that_host_was_adopted() {
        let mut world = World::settled(&["a"]);
        world.input.options.adoption = Adoption::Enabled;
        world.input.host.uid = "new-host".to_owned();
        check(&world, &["a hold AlreadyExists"]);
        world.place_named(&[]);
        check(&world, &[]);
        world.input.host.adopted.insert("host-uid".to_owned());
        check(&world, &["a delete WaitingForRemoval"]);
    }

    #[test]
    fn an_object_of_an_earlier_incarnation_is_taken_over_but_not_deleted() {
        let mut world = World::settled(&["a"]);
        world.input.object.uid = "second-uid".to_owned();
        check(&world, &["a apply Ok"]);
        world.place_named(&[]);
        check(&world, &[]);
    }

    #[test]
    fn a_managed_label_of_false_keeps_hands_off() {
        let mut world = World::settled(&["a"]);
        world.live_mut("a").managed = ManagedLabel::False;
        check(&world, &["a hold ManagedLabelFalse"]);
        world.place_named(&[]);
        check(&world, &[]);
    }

    #[test]
    fn leaving_a_placement_deletes_exactly_what_was_seen() {
        let mut world = World::settled(&["a", "b"]);
        world.place_named(&["b"]);
        check(&world, &["a delete WaitingForRemoval", "b nothing Ok"]);
        let plan = world.plan();
        let Action::Delete(delete) = &plan.steps["a"].action else {
            panic!("{plan:?}");
        };
        assert_eq!(
            (delete.uid.as_str(), delete.resource_version.as_str()),
            ("live-uid", "10")
        );
        world.live_mut("a").deleting = true;
        check(&world, &["a hold WaitingForRemoval", "b nothing Ok"]);
    }

    #[test]
    fn leaving_a_member_that_is_away_is_remembered_in_the_status() {
        let mut world = World::settled(&["a"]);
        world.facts_mut("a").readiness = Readiness::NotReady("no route".to_owned());
        world.place_named(&[]);
        check(&world, &["a hold WaitingForRemoval"]);
        world.input.recorded.clear();
        check(&world, &[]);
    }

    #[test]
    fn deletion_ends_when_every_member_is_empty() {
        let mut world = World::settled(&["a", "b"]);
        world.input.object.deleted_for_secs = Some(0);
        check(
            &world,
            &["a delete WaitingForRemoval", "b delete WaitingForRemoval"],
        );
        assert_eq!(world.plan().finalizer, FinalizerStep::Keep);
        world.settle();
        check(&world, &[]);
        assert_eq!(world.plan().finalizer, FinalizerStep::Remove);
        world.input.object.finalizer = FinalizerState::Absent;
        assert_eq!(world.plan(), Plan::default());
    }

    #[test]
    fn an_unreachable_member_holds_a_deletion_for_the_grace_and_then_is_owed_it() {
        let mut world = World::settled(&["a", "b"]);
        world.facts_mut("a").readiness = Readiness::NotReady("no route".to_owned());
        world.input.object.deleted_for_secs = Some(20);
        check(
            &world,
            &["a hold WaitingForRemoval", "b delete WaitingForRemoval"],
        );
        assert_eq!(world.plan().again_in_secs, Some(40));
        world.input.object.deleted_for_secs = Some(60);
        check(
            &world,
            &[
                "a tombstone WaitingForRemoval",
                "b delete WaitingForRemoval",
            ],
        );
        assert!(
            world.plan().tombstones.is_empty(),
            "b is still being deleted"
        );
        world.settle();
        let plan = world.plan();
        assert_eq!(plan.finalizer, FinalizerStep::Remove);
        assert_eq!(plan.tombstones.len(), 1);
        assert_eq!(plan.tombstones[0].origin_object, "object-uid");
        assert_eq!(plan.tombstones[0].owed, crate::Owed::Delete);
    }

    #[test]
    fn a_member_that_never_held_it_does_not_hold_its_deletion() {
        let mut world = World::new(&["a", "b"]);
        world.place_named(&["b"]);
        world.settle();
        world.facts_mut("a").readiness = Readiness::NotReady("no route".to_owned());
        world.input.object.deleted_for_secs = Some(0);
        world.settle();
        assert_eq!(world.plan().finalizer, FinalizerStep::Remove);
        assert!(world.plan().tombstones.is_empty());
    }

    #[test]
    fn orphaning_releases_instead_of_deleting() {
        let mut world = World::settled(&["a"]);
        world.annotate(ANNOTATION_ORPHAN, "true");
        world.input.object.deleted_for_secs = Some(0);
        check(&world, &["a release Ok"]);
        let plan = world.plan();
        let Action::Release(release) = &plan.steps["a"].action else {
            panic!("{plan:?}");
        };
        assert_eq!(
            release.patch["metadata"]["labels"][LABEL_MANAGED],
            json!(null)
        );
        assert_eq!(release.patch["metadata"]["resourceVersion"], "10");
        world.settle();
        assert_eq!(world.plan().finalizer, FinalizerStep::Remove);
    }

    #[test]
    fn objects_that_go_with_their_kind_leave_members_as_they_are() {
        let mut world = World::settled(&["a", "b"]);
        world.input.object.kind_goes = true;
        check(&world, &["a nothing Ok", "b nothing Ok"]);
        world.facts_mut("b").readiness = Readiness::NotReady("no route".to_owned());
        world.input.object.deleted_for_secs = Some(60);
        check(&world, &["a release Ok", "b tombstone WaitingForRemoval"]);
        world.settle();
        assert_eq!(world.plan().tombstones[0].owed, crate::Owed::Release);
    }

    #[test]
    fn delete_options_are_passed_on_and_broken_ones_hold_the_deletion() {
        let mut world = World::settled(&["a"]);
        world.input.object.deleted_for_secs = Some(0);
        world.annotate(
            ANNOTATION_DELETE_OPTIONS,
            r#"{"propagationPolicy":"Orphan"}"#,
        );
        let plan = world.plan();
        let Action::Delete(delete) = &plan.steps["a"].action else {
            panic!("{plan:?}");
        };
        assert_eq!(delete.options, Some(json!({"propagationPolicy": "Orphan"})));
        world.annotate(ANNOTATION_DELETE_OPTIONS, "{");
        check(&world, &["a hold DeletionFailed"]);
        assert_eq!(kinds(&world), [ProblemKind::InvalidDeleteOptions]);
    }

    #[test]
    fn a_namespace_is_not_deleted_by_a_placement_change_until_confirmed() {
        let mut world = World::settled(&["a"]);
        world.input.target.kind = "Namespace".to_owned();
        world.settle();
        world.place_named(&[]);
        check(&world, &["a hold WaitingForRemoval"]);
        assert_eq!(kinds(&world), [ProblemKind::DeletionBraked]);
        for (confirmed, expected) in [
            ("1:b", "a hold WaitingForRemoval"),
            ("0:a", "a hold WaitingForRemoval"),
            ("1:b,a", "a delete WaitingForRemoval"),
            ("1:*", "a delete WaitingForRemoval"),
        ] {
            world.annotate(ANNOTATION_CONFIRMED, confirmed);
            check(&world, &[expected]);
        }
        world.input.object.annotations.clear();
        world.input.object.deleted_for_secs = Some(0);
        check(&world, &["a delete WaitingForRemoval"]);
    }

    #[test]
    fn the_hosts_own_namespace_is_taken_without_adoption_and_never_deleted() {
        let mut world = World::new(&["a"]);
        world.input.target.kind = "Namespace".to_owned();
        world.facts_mut("a").is_host = true;
        world.foreign("a");
        check(&world, &["a apply Ok"]);
        world.settle();
        world.place_named(&[]);
        check(&world, &["a release Ok"]);
    }

    #[test]
    fn a_shut_brake_holds_deletions_only() {
        let mut world = World::settled(&["a", "b"]);
        let shut = DeletionBrake::Shut("21 of 100 within five minutes".to_owned());
        world.input.brake.insert("a".into(), shut.clone());
        world.input.brake.insert("b".into(), shut);
        world.place_named(&["b"]);
        world.input.intent.template = json!({"data": {}});
        check(&world, &["a hold WaitingForRemoval", "b apply Ok"]);
        assert_eq!(kinds(&world), [ProblemKind::DeletionBraked]);
    }

    #[test]
    fn a_paused_object_is_held_as_it_is() {
        let mut world = World::settled(&["a", "b"]);
        world.input.intent.template = json!({"data": {}});
        world.place_named(&["a"]);
        world.annotate(ANNOTATION_PAUSED, "true");
        check(&world, &["a hold Ok", "b hold WaitingForRemoval"]);
        assert!(world.plan().is_quiet());
        world.input.object.deleted_for_secs = Some(1000);
        assert!(world.plan().is_quiet());
    }

    #[test]
    fn broken_overrides_hold_every_cluster_and_a_failing_one_only_its_own() {
        let mut world = World::new(&["a", "b"]);
        world.input.intent.overrides = serde_json::from_value(json!([
            {"clusterName": "a", "clusterOverrides": [{"path": "/data/none", "value": "x"}]}]))
        .unwrap();
        check(&world, &["a hold ApplyOverridesFailed", "b create Ok"]);
        world.input.intent.overrides = serde_json::from_value(json!([
            {"clusterName": "a", "clusterOverrides": [{"path": "/kind", "value": "x"}]}]))
        .unwrap();
        check(
            &world,
            &["a hold ApplyOverridesFailed", "b hold ApplyOverridesFailed"],
        );
        assert_eq!(kinds(&world), [ProblemKind::InvalidIntent]);
    }

    #[test]
    fn a_template_that_is_no_object_holds_its_clusters() {
        let mut world = World::new(&["a"]);
        world.input.intent.template = json!("text");
        check(&world, &["a hold ComputeResourceFailed"]);
    }

    #[test]
    fn an_object_that_is_being_deleted_there_is_waited_for() {
        let mut world = World::settled(&["a"]);
        world.live_mut("a").deleting = true;
        check(&world, &["a hold WaitingForRemoval"]);
    }

    #[test]
    fn a_namespace_that_is_not_federated_takes_the_object_out() {
        let mut world = World::settled(&["a"]);
        world.input.namespace = NamespacePlacement::NotFederated;
        check(&world, &["a delete WaitingForRemoval"]);
        assert_eq!(kinds(&world), [ProblemKind::NamespaceNotFederated]);
    }

    fn sent_replicas(world: &World) -> (Option<i64>, Option<String>) {
        match &world.plan().steps["a"].action {
            Action::Create(write) | Action::Apply(write) => (
                write.object["spec"]["replicas"].as_i64(),
                write.precondition.resource_version.clone(),
            ),
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn a_division_decides_the_replicas() {
        let mut world = World::new(&["a"]);
        world.deployment(1);
        world.input.division = Some([("a".into(), DividedReplicas::Set(4))].into());
        assert_eq!(sent_replicas(&world), (Some(4), None));
        world.settle();
        check(&world, &["a nothing Ok"]);
        world.input.division = Some([("a".into(), DividedReplicas::Set(6))].into());
        assert_eq!(sent_replicas(&world), (Some(6), None));
    }

    /// The namespace is placed in these clusters only.
    fn place_namespace(world: &mut World, clusters: &[&str]) {
        let own = world.input.intent.placement.clone();
        world.place_named(clusters);
        let placement = std::mem::replace(&mut world.input.intent.placement, own);
        world.input.namespace = NamespacePlacement::Placed(placement);
    }

    #[test]
    fn what_is_in_a_namespace_that_leaves_stays_until_somebody_confirms() {
        let mut world = World::settled(&["a", "b", "c"]);
        place_namespace(&mut world, &["a"]);
        let left = ProblemKind::NamespaceLeft;
        let stays = "hold WaitingForRemoval";
        check(
            &world,
            &["a nothing Ok", &format!("b {stays}"), &format!("c {stays}")],
        );
        assert_eq!(kinds(&world), [left, left]);
        // Of the namespace, or of the object alone.
        world.input.namespace_confirmed = Confirmation::Clusters(["b".into()].into());
        let goes = "delete WaitingForRemoval";
        check(
            &world,
            &["a nothing Ok", &format!("b {goes}"), &format!("c {stays}")],
        );
        world.annotate(ANNOTATION_CONFIRMED, "1:c");
        let shut = DeletionBrake::Shut("too many".to_owned());
        world.input.brake.insert("b".into(), shut);
        check(
            &world,
            &["a nothing Ok", &format!("b {goes}"), &format!("c {goes}")],
        );
        // What comes back is as it was.
        place_namespace(&mut world, &["a", "b", "c"]);
        check(&world, &["a nothing Ok", "b nothing Ok", "c nothing Ok"]);
    }

    #[test]
    fn divided_replicas_leave_a_namespaces_old_cluster_by_the_division() {
        let mut world = World::new(&["a", "b"]);
        world.deployment(1);
        let set = DividedReplicas::Set;
        let divided = |a: i64, b: i64| Some([("a".into(), set(a)), ("b".into(), set(b))].into());
        world.input.division = divided(2, 2);
        world.settle();
        place_namespace(&mut world, &["a"]);
        world.input.namespace_confirmed = Confirmation::Everywhere;
        check(&world, &["a nothing Ok", "b nothing Ok"]);
        world.input.division = divided(4, 1);
        check(&world, &["a apply Ok", "b apply Ok"]);
        world.settle();
        world.input.division = Some([("a".into(), set(4))].into());
        check(&world, &["a nothing Ok", "b delete WaitingForRemoval"]);
        // Where nobody takes them over, nothing is gained by waiting.
        world.input.division = divided(4, 1);
        place_namespace(&mut world, &[]);
        let goes = "delete WaitingForRemoval";
        check(&world, &[&format!("a {goes}"), &format!("b {goes}")]);
    }

    #[test]
    fn a_namespace_waits_for_what_leaves_it() {
        let mut world = World::settled(&["a"]);
        world.input.target.kind = "Namespace".to_owned();
        world.settle();
        world.place_named(&[]);
        world.annotate(ANNOTATION_CONFIRMED, "1:*");
        let waits = "these leave first: Deployment web".to_owned();
        world.input.occupied.insert("a".into(), waits.clone());
        check(&world, &["a hold WaitingForRemoval"]);
        assert_eq!(world.plan().steps["a"].reason, waits);
        world.input.occupied.clear();
        check(&world, &["a delete WaitingForRemoval"]);
    }

    #[test]
    fn a_definition_stays_until_the_objects_of_its_type_have_left() {
        let mut world = World::settled(&["a"]);
        world.input.target.group = "apiextensions.k8s.io".to_owned();
        world.input.target.kind = "CustomResourceDefinition".to_owned();
        world.settle();
        world.input.object.deleted_for_secs = Some(0);
        let waits = "these leave first: 2 Widgets".to_owned();
        world.input.occupied.insert("a".into(), waits.clone());
        check(&world, &["a hold WaitingForRemoval"]);
        let plan = world.plan();
        assert!(plan.steps["a"].reason.starts_with(&waits));
        assert_eq!(plan.again_in_secs, Some(2));
        world.annotate(ANNOTATION_CONFIRMED, "1:*");
        check(&world, &["a delete WaitingForRemoval"]);

        // One that leaves a placement takes the objects of its type with it: somebody confirms.
        let mut world = World::settled(&["a"]);
        world.input.target.group = "apiextensions.k8s.io".to_owned();
        world.input.target.kind = "CustomResourceDefinition".to_owned();
        world.settle();
        world.place_named(&[]);
        check(&world, &["a hold WaitingForRemoval"]);
        assert_eq!(kinds(&world), [ProblemKind::DeletionBraked]);
    }

    #[test]
    fn a_division_that_keeps_sends_what_runs_and_creates_with_none() {
        let mut world = World::new(&["a"]);
        world.deployment(1);
        world.input.division = Some([("a".into(), DividedReplicas::Keep)].into());
        assert_eq!(sent_replicas(&world), (Some(0), None));
        world.settle();
        world.live_mut("a").replicas = Some(LiveReplicas {
            value: 7,
            other_owner: None,
            unowned: false,
        });
        assert_eq!(sent_replicas(&world), (Some(7), Some("10".to_owned())));
    }

    #[test]
    fn retained_replicas_are_planned_once_then_the_live_ones_under_its_version() {
        let mut world = World::new(&["a"]);
        world.deployment(3);
        world.input.options.retain_replicas = true;
        assert_eq!(sent_replicas(&world), (Some(3), None));
        world.settle();
        check(&world, &["a nothing Ok"]);
        world.input.intent.template = json!({"spec": {"replicas": 9}});
        check(&world, &["a nothing Ok"]);
        world.live_mut("a").replicas = Some(LiveReplicas {
            value: 5,
            other_owner: None,
            unowned: false,
        });
        assert_eq!(sent_replicas(&world), (Some(5), Some("10".to_owned())));
        world.live_mut("a").replicas = Some(LiveReplicas {
            value: 5,
            other_owner: Some("horizontal-pod-autoscaler".to_owned()),
            unowned: false,
        });
        assert_eq!(sent_replicas(&world), (None, None));
        world.live_mut("a").replicas = None;
        check(&world, &["a hold FieldRetentionFailed"]);
    }

    #[test]
    fn retained_replicas_that_nobody_asked_for_stay_nobodys() {
        let mut world = World::new(&["a"]);
        world.deployment(3);
        world.input.intent.template = json!({"spec": {"image": "web:1"}});
        world.input.options.retain_replicas = true;
        assert_eq!(sent_replicas(&world), (None, None));
        world.settle();
        let set_by = |world: &mut World, unowned| {
            world.live_mut("a").replicas = Some(LiveReplicas {
                value: 1,
                other_owner: None,
                unowned,
            });
        };
        // The API server set them.
        set_by(&mut world, true);
        check(&world, &["a nothing Ok"]);
        world.input.intent.template = json!({"spec": {"image": "web:2"}});
        assert_eq!(sent_replicas(&world), (None, None));
        // Ours, from a template that had some: left out, they would be set anew.
        set_by(&mut world, false);
        assert_eq!(sent_replicas(&world), (Some(1), Some("10".to_owned())));
        // The template asks for some again: those that run are kept.
        set_by(&mut world, true);
        world.input.intent.template = json!({"spec": {"replicas": 9}});
        assert_eq!(sent_replicas(&world), (Some(1), Some("10".to_owned())));
    }

    #[test]
    fn retaining_under_a_preference_is_said() {
        let mut world = World::new(&["a"]);
        world.deployment(3);
        world.input.options.retain_replicas = true;
        world.input.division = Some([("a".into(), DividedReplicas::Set(4))].into());
        assert_eq!(sent_replicas(&world), (Some(4), None));
        assert_eq!(kinds(&world), [ProblemKind::ReplicasRetained]);
    }

    #[test]
    fn a_plan_and_its_input_survive_being_written_down() {
        let mut world = World::settled(&["a", "b"]);
        world.place_named(&["a", "c"]);
        world.input.division = Some([("a".into(), DividedReplicas::Set(4))].into());
        let text = serde_json::to_string(&world.input).unwrap();
        assert_eq!(
            serde_json::from_str::<PlanInput>(&text).unwrap(),
            world.input
        );
        let plan = world.plan();
        let text = serde_json::to_string(&plan).unwrap();
        assert_eq!(serde_json::from_str::<Plan>(&text).unwrap(), plan);
    }

    #[test]
    fn a_secrets_values_are_in_no_words() {
        let mut world = World::new(&["a", "b"]);
        world.input.target.kind = "Secret".to_owned();
        world.input.intent.template = json!({"stringData": {"password": "hunter2"}});
        world.input.intent.overrides = serde_json::from_value(json!([
            {"clusterName": "b", "clusterOverrides": [
                {"op": "test", "path": "/stringData/password", "value": "hunter2!"}]}]))
        .unwrap();
        let plan = world.plan();
        let words = format!("{plan:?}");
        assert!(
            !words.contains("hunter2") && !words.contains("aHVudGVyMg"),
            "{words}"
        );
    }
}
