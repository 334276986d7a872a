//! Whether a member's controllers have made of an object what it says, by its status there.
//!
//! The rules are those of the kstatus library (`sigs.k8s.io/cli-utils/pkg/kstatus`), by which
//! Flux judges, and much as Argo CD does:
//!
//! | kind | available |
//! |---|---|
//! | Deployment | all replicas updated, ready and available, none of the old left |
//! | ReplicaSet | all replicas ready |
//! | StatefulSet | all replicas ready, and updated unless `updateStrategy` keeps them back |
//! | DaemonSet | ready, and of the new template, on every node that should run it |
//! | Job | not failed |
//! | PersistentVolumeClaim | bound |
//! | any other | neither `Reconciling` nor `Stalled`, and `Ready` unless it has no such condition |

use crate::{
    input::{TargetType, Watched},
    live::Live,
};
use serde_json::Value;

/// See the module.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Availability {
    /// It is what it says, or nobody can tell: only metadata is watched.
    Available,
    /// Not yet, and what is missing.
    Progressing(String),
    /// It will not be by itself, and why.
    Failed(String),
}

use Availability::{Available, Failed, Progressing};

/// What a live object's own status says of it.
pub(crate) fn availability(target: &TargetType, live: &Live) -> Availability {
    if target.watched == Watched::Metadata {
        return Available;
    }
    let status = live.remote_status.as_ref().unwrap_or(&Value::Null);
    let observed = status["observedGeneration"].as_i64();
    if observed.is_some_and(|observed| observed < live.generation) {
        return Progressing("its controller has not seen the change yet".to_owned());
    }
    let replicas = live.replicas.as_ref().map_or(1, |replicas| replicas.value);
    match (target.group.as_str(), target.kind.as_str()) {
        ("apps", _) if observed.is_none() && is_counted_by_status(&target.kind) => {
            Progressing("its controller has not seen it yet".to_owned())
        }
        ("apps", "Deployment") => deployment(status, replicas),
        ("apps", "ReplicaSet") => ready(number(status, "readyReplicas"), replicas),
        ("apps", "StatefulSet") => stateful_set(status, replicas, live.keeps_old),
        ("apps", "DaemonSet") => daemon_set(status),
        ("batch", "Job") => match condition(status, "Failed") {
            Some(failed) => Failed(words("the Job failed", failed)),
            None => Available,
        },
        ("", "PersistentVolumeClaim") => match status["phase"].as_str() {
            Some("Bound") => Available,
            _ => Progressing("the claim is not bound".to_owned()),
        },
        _ => by_conditions(status),
    }
}

/// Kinds whose controllers always say which generation they have seen.
fn is_counted_by_status(kind: &str) -> bool {
    ["Deployment", "ReplicaSet", "StatefulSet", "DaemonSet"].contains(&kind)
}

fn deployment(status: &Value, replicas: i64) -> Availability {
    let progressing = status["conditions"].as_array().into_iter().flatten();
    let mut progressing = progressing.filter(|condition| condition["type"] == "Progressing");
    let given_up = progressing.find(|found| found["reason"] == "ProgressDeadlineExceeded");
    if let Some(given_up) = given_up {
        return Failed(words("the Deployment makes no progress", given_up));
    }
    let all = number(status, "replicas");
    let updated = number(status, "updatedReplicas");
    if updated < replicas {
        return Progressing(format!("{updated} of {replicas} replicas are updated"));
    }
    if all > updated {
        let old = all - updated;
        return Progressing(format!("{old} replicas of the old template are left"));
    }
    let counted = number(status, "readyReplicas").min(number(status, "availableReplicas"));
    ready(counted, replicas)
}

fn stateful_set(status: &Value, replicas: i64, keeps_old: i64) -> Availability {
    let rolling = status["currentRevision"] != status["updateRevision"];
    let (updated, due) = (
        number(status, "updatedReplicas"),
        replicas.saturating_sub(keeps_old),
    );
    if rolling && updated < due {
        return Progressing(format!("{updated} of {due} replicas are updated"));
    }
    ready(number(status, "readyReplicas"), replicas)
}

fn daemon_set(status: &Value) -> Availability {
    let wanted = number(status, "desiredNumberScheduled");
    let updated = number(status, "updatedNumberScheduled");
    if updated < wanted {
        return Progressing(format!("{updated} of {wanted} nodes run the new template"));
    }
    let ready = number(status, "numberReady").min(number(status, "numberAvailable"));
    match ready < wanted {
        true => Progressing(format!("it is ready on {ready} of {wanted} nodes")),
        false => Available,
    }
}

fn ready(ready: i64, replicas: i64) -> Availability {
    match ready < replicas {
        true => Progressing(format!("{ready} of {replicas} replicas are ready")),
        false => Available,
    }
}

/// The rule for kinds that nobody knows.
fn by_conditions(status: &Value) -> Availability {
    if let Some(reconciling) = condition(status, "Reconciling") {
        return Progressing(words("it is Reconciling there", reconciling));
    }
    if let Some(stalled) = condition(status, "Stalled") {
        return Failed(words("it is Stalled there", stalled));
    }
    let conditions = status["conditions"].as_array().into_iter().flatten();
    let mut unready = conditions
        .filter(|condition| condition["type"] == "Ready" && condition["status"] != "True");
    match unready.next() {
        Some(unready) => Progressing(words("it is not Ready there", unready)),
        None => Available,
    }
}

/// A condition that is True.
fn condition<'a>(status: &'a Value, kind: &str) -> Option<&'a Value> {
    let mut conditions = status["conditions"].as_array()?.iter();
    conditions.find(|condition| condition["type"] == kind && condition["status"] == "True")
}

fn words(what: &str, condition: &Value) -> String {
    match condition["message"].as_str().unwrap_or_default() {
        "" => what.to_owned(),
        message => format!("{what}: {message}"),
    }
}

fn number(status: &Value, field: &str) -> i64 {
    status[field].as_i64().unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::live::LiveReplicas;
    use crate::test_world::World;
    use serde_json::json;

    fn check(group: &str, kind: &str, status: Value, expected: &str) {
        let mut target = World::new(&[]).input.target;
        target.group = group.to_owned();
        target.kind = kind.to_owned();
        target.watched = Watched::Whole;
        let live = Live {
            generation: 2,
            replicas: Some(LiveReplicas {
                value: 3,
                other_owner: None,
                unowned: false,
            }),
            remote_status: Some(status),
            ..Live::default()
        };
        let said = match availability(&target, &live) {
            Available => "available".to_owned(),
            Progressing(why) => format!("progressing: {why}"),
            Failed(why) => format!("failed: {why}"),
        };
        assert_eq!(said, expected);
    }

    #[test]
    fn a_deployment_is_available_when_all_of_its_replicas_are_new_and_ready() {
        let status = |change: Value| {
            let mut status = json!({"observedGeneration": 2, "replicas": 3, "updatedReplicas": 3,
                "readyReplicas": 3, "availableReplicas": 3});
            for (name, value) in change.as_object().unwrap() {
                status[name] = value.clone();
            }
            status
        };
        let check = |change, expected| check("apps", "Deployment", status(change), expected);
        check(json!({}), "available");
        check(
            json!({"observedGeneration": 1}),
            "progressing: its controller has not seen the change yet",
        );
        check(
            json!({"observedGeneration": null}),
            "progressing: its controller has not seen it yet",
        );
        check(
            json!({"updatedReplicas": 1}),
            "progressing: 1 of 3 replicas are updated",
        );
        check(
            json!({"replicas": 4}),
            "progressing: 1 replicas of the old template are left",
        );
        check(
            json!({"readyReplicas": null}),
            "progressing: 0 of 3 replicas are ready",
        );
        check(
            json!({"conditions": [{"type": "Progressing", "status": "False",
                "reason": "ProgressDeadlineExceeded", "message": "timed out"}]}),
            "failed: the Deployment makes no progress: timed out",
        );
    }

    #[test]
    fn other_kinds_are_judged_by_their_own_figures() {
        let some = json!({"observedGeneration": 2, "readyReplicas": 2});
        let nodes = json!({"observedGeneration": 2, "desiredNumberScheduled": 2,
            "updatedNumberScheduled": 2, "numberReady": 1, "numberAvailable": 1});
        let failed = json!({"conditions": [{"type": "Failed", "status": "True"}]});
        check(
            "apps",
            "StatefulSet",
            some,
            "progressing: 2 of 3 replicas are ready",
        );
        check(
            "apps",
            "DaemonSet",
            nodes,
            "progressing: it is ready on 1 of 2 nodes",
        );
        check("batch", "Job", failed, "failed: the Job failed");
        let pending = json!({"phase": "Pending"});
        let unbound = "progressing: the claim is not bound";
        check("", "PersistentVolumeClaim", pending, unbound);
        check("", "Service", json!({"loadBalancer": {}}), "available");
    }

    #[test]
    fn a_stateful_set_is_available_when_those_are_new_that_are_to_be() {
        let said = |keeps_old: i64, updated: i64| {
            let status = json!({"observedGeneration": 2, "readyReplicas": 3,
                "currentRevision": "old", "updateRevision": "new", "updatedReplicas": updated});
            stateful_set(&status, 3, keeps_old)
        };
        let two = Progressing("2 of 3 replicas are updated".to_owned());
        assert_eq!(said(0, 2), two);
        assert_eq!(said(0, 3), Available);
        assert_eq!(said(1, 2), Available);
        assert_eq!(
            said(
                crate::keeps_old(&json!({"updateStrategy": {"type": "OnDelete"}})),
                0
            ),
            Available
        );
        let partition = json!({"updateStrategy": {"rollingUpdate": {"partition": 2}}});
        assert_eq!(crate::keeps_old(&partition), 2);
    }

    #[test]
    fn a_custom_kind_is_judged_by_its_conditions() {
        let check = |kind: &str, is: &str, expected| {
            let conditions = json!([{"type": kind, "status": is, "message": "so"}]);
            let status = json!({"conditions": conditions});
            check("example.com", "Database", status, expected);
        };
        check("Ready", "True", "available");
        check("Ready", "Unknown", "progressing: it is not Ready there: so");
        check(
            "Reconciling",
            "True",
            "progressing: it is Reconciling there: so",
        );
        check("Stalled", "True", "failed: it is Stalled there: so");
        check("Stalled", "False", "available");
    }

    #[test]
    fn what_is_watched_by_its_metadata_only_is_taken_for_available() {
        let mut world = World::settled(&["a"]);
        world.deployment(3);
        let live = world.live("a").unwrap();
        assert_eq!(availability(&world.input.target, live), Available);
    }
}
