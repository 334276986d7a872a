//! What kstatus, and Argo CD with the script in `deploy/argocd`, make of a federated object, case by
//! case.

use super::*;
use crate::input::{DeletionBrake, NamespacePlacement, Readiness, TypeServed};
use crate::names::ANNOTATION_PAUSED;
use crate::summarize::{refused, summarize};
use crate::test_world::World;
use mlua::LuaSerdeExt;
use serde_json::{Value, json};
use std::sync::LazyLock;

/// What the kstatus library publishes as its rule for objects of unknown kinds
/// (`pkg/kstatus/status/generic.go`, and `status.go` for `Ready`).
fn kstatus(generation: i64, status: &Value) -> &'static str {
    let is = |kind: &str, value: &str| {
        let mut conditions = status["conditions"].as_array().into_iter().flatten();
        conditions.any(|condition| condition["type"] == kind && condition["status"] == value)
    };
    match () {
        () if status["observedGeneration"] != generation => "InProgress",
        () if is("Reconciling", "True") => "InProgress",
        () if is("Stalled", "True") => "Failed",
        () if is("Ready", "False") || is("Ready", "Unknown") => "InProgress",
        () => "Current",
    }
}

/// What Argo CD says, which has no kstatus: it runs a script, in Lua 5.1.
fn argo_cd(generation: i64, status: &Value) -> String {
    static SCRIPT: LazyLock<String> = LazyLock::new(|| {
        let text = include_str!("../../../deploy/argocd/argocd-cm.yaml");
        let map: Value = serde_saphyr::from_str(text).unwrap();
        let customizations = map["data"]["resource.customizations"].as_str().unwrap();
        let scripts: Value = serde_saphyr::from_str(customizations).unwrap();
        let script = scripts["types.kubefed.io/*"]["health.lua"].as_str();
        script.unwrap().to_owned()
    });
    let lua = mlua::Lua::new();
    let object = json!({"metadata": {"generation": generation}, "status": status});
    lua.globals()
        .set("obj", lua.to_value(&object).unwrap())
        .unwrap();
    let health: mlua::Table = lua.load(SCRIPT.as_str()).eval().unwrap();
    health.get("status").unwrap()
}

fn told(world: &World, outcome: &ClusterOutcome) -> Value {
    let plan = world.plan();
    let writes = plan.steps.iter().filter(|(_, step)| step.action.writes());
    let outcome = Outcome {
        clusters: writes
            .map(|(name, _)| (name.clone(), outcome.clone()))
            .collect(),
    };
    serde_json::to_value(summarize(&world.input, &plan, &outcome)).unwrap()
}

fn condition<'a>(status: &'a Value, kind: &str) -> &'a Value {
    let mut conditions = status["conditions"].as_array().into_iter().flatten();
    let found = conditions.find(|condition| condition["type"] == kind);
    found.unwrap_or(&Value::Null)
}

/// The verdict, the reason of `Ready`, and that no condition says what is normal.
fn check_outcome(world: &World, outcome: &ClusterOutcome, verdict: &str, reason: &str) {
    let status = told(world, outcome);
    let generation = world.input.object.generation;
    assert_eq!(kstatus(generation, &status), verdict, "{status:#}");
    let ready = condition(&status, "Ready");
    assert_eq!(ready["reason"], reason, "{status:#}");
    let is_ready = if verdict == "Current" {
        "True"
    } else {
        "False"
    };
    assert_eq!(ready["status"], is_ready, "{status:#}");
    for kind in ["Reconciling", "Stalled"] {
        assert_ne!(condition(&status, kind)["status"], "False", "{status:#}");
    }
    let health = match (verdict, reason) {
        ("Current", _) => "Healthy",
        ("Failed", _) => "Degraded",
        (_, "Paused") => "Suspended",
        _ => "Progressing",
    };
    assert_eq!(argo_cd(generation, &status), health, "{status:#}");
    assert_eq!(argo_cd(generation + 1, &status), "Progressing");
    // Whatever was seen of it, an older generation says nothing of a newer.
    assert_eq!(kstatus(generation + 1, &status), "InProgress");
}

fn check(world: &World, verdict: &str, reason: &str) {
    check_outcome(world, &ClusterOutcome::Done, verdict, reason);
}

fn error(failure: Failure) -> ClusterOutcome {
    ClusterOutcome::Failed(MemberError {
        failure,
        message: "the member's words".to_owned(),
    })
}

#[test]
fn what_every_placed_cluster_holds_is_current_at_its_first_status() {
    check(&World::new(&["a", "b"]), "Current", "Propagated");
    check(&World::settled(&["a", "b"]), "Current", "Propagated");
}

#[test]
fn what_is_placed_nowhere_is_current() {
    let mut world = World::new(&["a"]);
    world.place_named(&[]);
    check(&world, "Current", "Propagated");
}

#[test]
fn a_write_that_was_not_answered_is_in_progress_and_one_that_was_refused_has_failed() {
    let world = World::new(&["a", "b"]);
    for (failure, verdict) in [
        (Failure::TimedOut, "InProgress"),
        (Failure::Unreachable, "InProgress"),
        (Failure::Throttled, "InProgress"),
        (Failure::Conflict, "InProgress"),
        (Failure::NotFound, "InProgress"),
        (Failure::Rejected, "Failed"),
        (Failure::Forbidden, "Failed"),
        (Failure::AlreadyExists, "Failed"),
    ] {
        let reason = format!("{failure:?}");
        check_outcome(&world, &error(failure), verdict, &reason);
        let status = told(&world, &error(failure));
        let message = condition(&status, "Ready")["message"].as_str().unwrap();
        let words = "a: the member's words; b: the member's words";
        assert_eq!(message, words);
    }
    let skipped = ClusterOutcome::Skipped("the member has not answered yet".to_owned());
    check_outcome(&world, &skipped, "InProgress", "Waiting");
}

#[test]
fn a_cluster_that_is_away_is_in_progress_and_does_not_hide_one_that_needs_somebody() {
    let mut world = World::settled(&["a", "b"]);
    world.facts_mut("a").readiness = Readiness::NotReady("no route".to_owned());
    check(&world, "InProgress", "ClusterNotReady");
    world.facts_mut("b").serves_type = TypeServed::No;
    check(&world, "Failed", "TypeNotServed");
    world.facts_mut("b").serves_type = TypeServed::Denied("b: no".to_owned());
    check(&world, "Failed", "AccessDenied");
}

#[test]
fn what_only_somebody_can_mend_has_failed() {
    let mut foreign = World::new(&["a"]);
    foreign.foreign("a");
    check(&foreign, "Failed", "AlreadyExists");
    let mut unknown = World::settled(&["a"]);
    unknown.place_named(&["a", "atlantis"]);
    check(&unknown, "Failed", "UnknownCluster");
    let mut template = World::new(&["a"]);
    template.input.intent.template = json!("text");
    check(&template, "Failed", "InvalidTemplate");
    let mut braked = World::settled(&["a"]);
    braked.place_named(&[]);
    let shut = DeletionBrake::Shut("too many".to_owned());
    braked.input.brake.insert("a".into(), shut);
    check(&braked, "Failed", "DeletionBraked");
    let before = summarize(&braked.input, &braked.plan(), &Outcome::default());
    let refused = refused(1, "spec.placement: what".to_owned(), before);
    let refused = serde_json::to_value(refused).unwrap();
    assert_eq!(kstatus(1, &refused), "Failed", "{refused:#}");
    assert_eq!(
        refused["clusters"][0]["name"], "a",
        "what is there is known"
    );
}

#[test]
fn a_namespace_that_may_be_federated_in_a_moment_is_in_progress() {
    let mut world = World::new(&["a"]);
    world.input.namespace = NamespacePlacement::NotFederated;
    check(&world, "InProgress", "NamespaceNotFederated");
}

#[test]
fn what_leaves_is_in_progress_until_it_is_gone() {
    let mut world = World::settled(&["a", "b"]);
    world.place_named(&["b"]);
    check(&world, "InProgress", "WaitingForRemoval");
    world.settle();
    check(&world, "Current", "Propagated");
    world.input.object.deleted_for_secs = Some(0);
    check(&world, "InProgress", "WaitingForRemoval");
}

#[test]
fn a_pause_is_in_progress_while_something_waits_and_else_changes_nothing() {
    let mut world = World::settled(&["a"]);
    world.annotate(ANNOTATION_PAUSED, "true");
    check(&world, "Current", "Propagated");
    world.input.intent.template = json!({"data": {"colour": "red"}});
    check(&world, "InProgress", "Paused");
    let status = told(&world, &ClusterOutcome::Done);
    assert_eq!(condition(&status, "Reconciling"), &Value::Null);
    assert_eq!(condition(&status, "Stalled"), &Value::Null);
    // What would leave waits as well.
    let mut world = World::settled(&["a", "b"]);
    world.annotate(ANNOTATION_PAUSED, "true");
    world.place_named(&["b"]);
    check(&world, "InProgress", "Paused");
    let status = told(&world, &ClusterOutcome::Done);
    assert_eq!(condition(&status, "Reconciling"), &Value::Null);
}

#[test]
fn a_workload_is_current_when_it_is_available_in_every_cluster() {
    let mut world = World::new(&["a", "b"]);
    world.deployment(2);
    world.input.target.watched = Watched::Whole;
    check(&world, "InProgress", "Progressing");
    world.settle();
    let full = json!({"observedGeneration": 1, "replicas": 2, "updatedReplicas": 2,
        "readyReplicas": 2, "availableReplicas": 2});
    for name in ["a", "b"] {
        world.live_mut(name).generation = 1;
        world.live_mut(name).remote_status = Some(full.clone());
    }
    check(&world, "Current", "Available");
    // A changed template is not available because the one before was.
    world.live_mut("b").generation = 2;
    check(&world, "InProgress", "Progressing");
    let mut given_up = full;
    given_up["observedGeneration"] = json!(2);
    given_up["conditions"] = json!([{"type": "Progressing", "status": "False",
        "reason": "ProgressDeadlineExceeded"}]);
    world.live_mut("b").remote_status = Some(given_up);
    check(&world, "Failed", "Failed");
}
