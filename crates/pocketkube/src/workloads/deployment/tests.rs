//! Rollouts, told as worlds: what is there, and what the next look writes.

use super::*;
use crate::workloads::step::after_secs;

const NOW: &str = "2026-01-01T00:10:00Z";

fn now() -> Timestamp {
    NOW.parse().unwrap()
}

/// A Deployment of image `web:2` with a strategy.
fn deployment(replicas: i64, surge: Value, unavailable: Value) -> Value {
    json!({"apiVersion": "apps/v1", "kind": "Deployment",
        "metadata": {"name": "web", "namespace": "n", "uid": "d", "generation": 1,
            "annotations": {"note": "mine", "kubectl.kubernetes.io/last-applied-configuration": "x"}},
        "spec": {"replicas": replicas, "progressDeadlineSeconds": 600, "revisionHistoryLimit": 10,
            "selector": {"matchLabels": {"app": "web"}},
            "strategy": {"type": "RollingUpdate",
                "rollingUpdate": {"maxSurge": surge, "maxUnavailable": unavailable}},
            "template": template("web:2")},
        "status": {}})
}

fn template(image: &str) -> Value {
    json!({"metadata": {"labels": {"app": "web"}}, "spec": {"containers": [{"image": image}]}})
}

/// A ReplicaSet that is owned, of an image and so many replicas of which some are available.
fn set(name: &str, image: &str, replicas: i64, available: i64) -> Value {
    let mut template = template(image);
    template["metadata"]["labels"]["pod-template-hash"] = json!(name);
    json!({"apiVersion": "apps/v1", "kind": "ReplicaSet",
        "metadata": {"name": name, "namespace": "n", "uid": name, "generation": 1,
            "labels": {"app": "web"}, "creationTimestamp": "2026-01-01T00:00:00Z",
            "annotations": {REVISION: "1", DESIRED_REPLICAS: "10", MAX_REPLICAS: "13"},
            "ownerReferences": [{"uid": "d", "controller": true}]},
        "spec": {"replicas": replicas, "template": template},
        "status": {"replicas": replicas, "readyReplicas": available,
            "availableReplicas": available, "observedGeneration": 1, "terminatingReplicas": 0}})
}

fn look(deployment: &Value, sets: &[Value], pods: &[Value]) -> Step {
    look_at(deployment, sets, pods, now())
}

fn look_at(deployment: &Value, sets: &[Value], pods: &[Value], now: Timestamp) -> Step {
    let replica_sets: Vec<&Value> = sets.iter().collect();
    let pods: Vec<&Value> = pods.iter().collect();
    step(View {
        deployment,
        replica_sets: &replica_sets,
        pods: &pods,
        now,
    })
}

/// Names and sizes of the ReplicaSets that a step creates or changes.
fn sizes(step: &Step) -> Vec<(String, i64)> {
    let sets = step.writes.iter().filter_map(|write| match write {
        Write::Create(creation) => Some(&creation.object),
        Write::Update(_, object) => Some(object),
        _ => None,
    });
    let named = |set: &Value| {
        let name = name(set);
        let name = if name.starts_with("web-") {
            "created"
        } else {
            name
        };
        (name.to_owned(), set["spec"]["replicas"].as_i64().unwrap())
    };
    sets.map(named).collect()
}

fn written(step: &Step) -> Value {
    let status = step.writes.iter().find_map(|write| match write {
        Write::UpdateStatus(TABLE, object) => Some(object.clone()),
        _ => None,
    });
    status.expect("a written Deployment")
}

fn messages(step: &Step) -> Vec<&str> {
    let notes = step.writes.iter().filter_map(|write| match write {
        Write::Event(note) => Some(note.message.as_str()),
        _ => None,
    });
    notes.collect()
}

fn condition<'a>(deployment: &'a Value, kind: &str) -> &'a Value {
    let conditions = deployment["status"]["conditions"]
        .as_array()
        .expect("conditions");
    conditions
        .iter()
        .find(|one| one["type"] == *kind)
        .unwrap_or(&Value::Null)
}

#[test]
fn a_new_deployment_gets_its_replica_set() {
    let step = look(&deployment(3, json!("25%"), json!("25%")), &[], &[]);
    let Write::Create(creation) = &step.writes[0] else {
        panic!("{step:?}")
    };
    let created = &creation.object;
    let hash = created["metadata"]["labels"][TEMPLATE_HASH]
        .as_str()
        .unwrap();
    assert_eq!(name(created), format!("web-{hash}"));
    assert_eq!(
        created["spec"]["selector"]["matchLabels"][TEMPLATE_HASH],
        hash
    );
    assert_eq!(
        created["spec"]["template"]["metadata"]["labels"][TEMPLATE_HASH],
        hash
    );
    assert_eq!(
        created["metadata"]["annotations"],
        json!({"note": "mine", REVISION: "1", DESIRED_REPLICAS: "3", MAX_REPLICAS: "4"})
    );
    assert_eq!(
        messages(&step),
        [format!("Scaled up replica set web-{hash} from 0 to 3")]
    );
    let deployment = written(&step);
    assert_eq!(annotation(&deployment, REVISION), Some("1"));
    assert_eq!(
        condition(&deployment, "Progressing")["reason"],
        "NewReplicaSetCreated"
    );
    assert_eq!(
        condition(&deployment, "Available")["reason"],
        "MinimumReplicasUnavailable"
    );
}

/// One look at a rollout: sizes and available Pods of the old and the new ReplicaSet, if any, and
/// the sizes that are written.
fn check_rollout(
    (replicas, surge, unavailable): (i64, &str, &str),
    old: (i64, i64),
    new: Option<(i64, i64)>,
    expected: &[(&str, i64)],
) {
    let number = |text: &str| {
        text.parse::<i64>()
            .map_or_else(|_| json!(text), |n| json!(n))
    };
    let mut wanted = deployment(replicas, number(surge), number(unavailable));
    wanted["metadata"]["annotations"] = json!({});
    let mut sets = vec![set("old", "web:1", old.0, old.1)];
    sets.extend(new.map(|(size, available)| set("new", "web:2", size, available)));
    for (set, revision) in sets.iter_mut().zip(["1", "2"]) {
        set["metadata"]["annotations"][DESIRED_REPLICAS] = json!(replicas.to_string());
        set["metadata"]["annotations"][REVISION] = json!(revision);
    }
    let found = sizes(&look(&wanted, &sets, &[]));
    let found: Vec<(&str, i64)> = found
        .iter()
        .map(|(name, size)| (name.as_str(), *size))
        .collect();
    assert_eq!(
        found, expected,
        "surge {surge} unavailable {unavailable} {old:?} {new:?}"
    );
}

#[test]
fn a_rollout_moves_within_surge_and_unavailability() {
    // The new one starts with what the surge leaves.
    check_rollout(
        (10, "3", "2"),
        (10, 10),
        None,
        &[("old", 8), ("created", 3)],
    );
    check_rollout((10, "3", "0"), (10, 10), None, &[("created", 3)]);
    check_rollout(
        (10, "0", "2"),
        (10, 10),
        None,
        &[("old", 8), ("created", 0)],
    );
    // Percentages: surge up, unavailability down.
    check_rollout((3, "25%", "25%"), (3, 3), None, &[("created", 1)]);
    // Growing goes before shrinking.
    check_rollout((10, "3", "2"), (8, 8), Some((3, 0)), &[("new", 5)]);
    // Available old Pods go as far as enough stay available.
    check_rollout((10, "3", "2"), (10, 10), Some((3, 0)), &[("old", 8)]);
    check_rollout((10, "3", "2"), (8, 8), Some((5, 5)), &[("old", 3)]);
    // Unavailable old Pods go first; the new ones' own unavailability is no room.
    check_rollout((10, "3", "2"), (10, 6), Some((3, 0)), &[("old", 8)]);
    check_rollout((10, "3", "2"), (8, 7), Some((5, 0)), &[]);
    // Rolling back from Pods that never become available.
    check_rollout((10, "3", "2"), (5, 0), Some((8, 7)), &[("old", 1)]);
}

#[test]
fn a_whole_rollout_keeps_its_promises_and_ends() {
    let mut wanted = deployment(10, json!(3), json!(2));
    let mut sets = vec![set("old", "web:1", 10, 10)];
    for round in 0..100 {
        let step = look(&wanted, &sets, &[]);
        for write in step.writes {
            match write {
                Write::Create(creation) => sets.push(creation.object),
                Write::Update(_, object) => {
                    let place = sets.iter_mut().find(|set| name(set) == name(&object));
                    *place.expect("a set") = object;
                }
                Write::UpdateStatus(_, object) => wanted = object,
                _ => {}
            }
        }
        let total: i64 = sets
            .iter()
            .map(|set| set["spec"]["replicas"].as_i64().unwrap())
            .sum();
        assert!(total <= 13, "round {round}: {total} Pods");
        for set in &mut sets {
            let replicas = set["spec"]["replicas"].clone();
            set["metadata"]["uid"] = set["metadata"]["name"].clone();
            set["metadata"]["generation"] = json!(1);
            set["metadata"]["ownerReferences"] = json!([{"uid": "d", "controller": true}]);
            set["status"] = json!({"replicas": replicas, "readyReplicas": replicas,
                "availableReplicas": replicas, "observedGeneration": 1, "terminatingReplicas": 0});
        }
        let available = wanted["status"]["availableReplicas"].as_i64().unwrap_or(0);
        assert!(available >= 8, "round {round}: {available} available");
    }
    let status = &wanted["status"];
    assert_eq!(
        (&status["replicas"], &status["updatedReplicas"]),
        (&json!(10), &json!(10))
    );
    assert_eq!(
        condition(&wanted, "Progressing")["reason"],
        "NewReplicaSetAvailable"
    );
    assert_eq!(annotation(&wanted, REVISION), Some("2"));
    assert_eq!(look(&wanted, &sets, &[]), Step::default());
}

#[test]
fn recreate_waits_for_the_old_pods() {
    let mut wanted = deployment(3, json!(null), json!(null));
    wanted["spec"]["strategy"] = json!({"type": "Recreate"});
    let mut old = set("old", "web:1", 3, 3);
    old["metadata"]["annotations"][DESIRED_REPLICAS] = json!("3");
    assert_eq!(sizes(&look(&wanted, &[old], &[])), [("old".to_owned(), 0)]);
    let empty = set("old", "web:1", 0, 0);
    let pod = json!({"metadata": {"name": "p", "ownerReferences": [{"uid": "old", "controller": true}]},
        "status": {"phase": "Running"}});
    assert_eq!(
        sizes(&look(&wanted, std::slice::from_ref(&empty), &[pod])),
        []
    );
    assert_eq!(
        sizes(&look(&wanted, &[empty], &[])),
        [("created".to_owned(), 3)]
    );
}

#[test]
fn scaling_during_a_rollout_is_proportional() {
    // 10 replicas with 3 of surge, scaled to 20: 13 becomes 23.
    let wanted = deployment(20, json!(3), json!(2));
    let sets = [set("old", "web:1", 8, 8), set("new", "web:2", 5, 5)];
    let step = look(&wanted, &sets, &[]);
    assert_eq!(
        sizes(&step),
        [("new".to_owned(), 9), ("old".to_owned(), 14)]
    );
    let wanted = deployment(0, json!(3), json!(2));
    let step = look(&wanted, &sets, &[]);
    assert_eq!(sizes(&step), [("new".to_owned(), 0), ("old".to_owned(), 0)]);
}

#[test]
fn a_paused_deployment_scales_but_does_not_roll() {
    let mut wanted = deployment(5, json!(1), json!(0));
    wanted["spec"]["paused"] = json!(true);
    let step = look(&wanted, &[set("old", "web:1", 10, 10)], &[]);
    assert_eq!(sizes(&step), [("old".to_owned(), 5)]);
    let paused = written(&step);
    assert_eq!(
        condition(&paused, "Progressing")["reason"],
        "DeploymentPaused"
    );
    let mut resumed = paused;
    resumed["spec"]["paused"] = json!(false);
    let mut old = set("old", "web:1", 5, 5);
    old["metadata"]["annotations"][DESIRED_REPLICAS] = json!("5");
    let step = look(&resumed, &[old], &[]);
    assert_eq!(sizes(&step), [("created".to_owned(), 1)]);
}

#[test]
fn a_rollout_that_does_not_move_exceeds_its_deadline() {
    let mut wanted = deployment(10, json!(3), json!(2));
    let mut new = set("new", "web:2", 5, 0);
    new["metadata"]["annotations"][REVISION] = json!("2");
    let sets = [set("old", "web:1", 8, 8), new];
    wanted["metadata"]["annotations"] = json!({});
    let first = look(&wanted, &sets, &[]);
    wanted = written(&first);
    assert_eq!(
        condition(&wanted, "Progressing")["reason"],
        "ReplicaSetUpdated"
    );
    let due = after_secs(now(), 601);
    assert_eq!(first.wake_at, Some(due));
    assert_eq!(
        look_at(&wanted, &sets, &[], after_secs(now(), 599)).writes,
        []
    );
    let late = look_at(&wanted, &sets, &[], due);
    wanted = written(&late);
    let progressing = condition(&wanted, "Progressing");
    assert_eq!(
        (&progressing["status"], &progressing["reason"]),
        (&json!("False"), &json!("ProgressDeadlineExceeded"))
    );
    assert_eq!(
        progressing["message"],
        "ReplicaSet \"new\" has timed out progressing."
    );
    assert_eq!(
        look_at(&wanted, &sets, &[], after_secs(due, 60)),
        Step::default()
    );
}

#[test]
fn a_rollback_reuses_the_replica_set_and_keeps_its_history() {
    let mut wanted = deployment(2, json!(1), json!(0));
    wanted["metadata"]["annotations"] = json!({REVISION: "2"});
    let mut newer = set("newer", "web:3", 2, 2);
    newer["metadata"]["annotations"] =
        json!({REVISION: "2", DESIRED_REPLICAS: "2", MAX_REPLICAS: "3"});
    let mut back = set("back", "web:2", 0, 0);
    back["metadata"]["annotations"] =
        json!({REVISION: "1", DESIRED_REPLICAS: "2", MAX_REPLICAS: "3"});
    let step = look(&wanted, &[newer, back], &[]);
    let changed = step.writes.iter().find_map(|write| match write {
        Write::Update(_, object) if name(object) == "back" => Some(object),
        _ => None,
    });
    let changed = changed.expect("the set that is rolled back to");
    assert_eq!(annotation(changed, REVISION), Some("3"));
    assert_eq!(annotation(changed, REVISION_HISTORY), Some("1"));
    assert_eq!(annotation(&written(&step), REVISION), Some("3"));
}

#[test]
fn old_replica_sets_beyond_the_limit_are_forgotten() {
    let mut wanted = deployment(1, json!(1), json!(0));
    wanted["spec"]["revisionHistoryLimit"] = json!(1);
    wanted["status"] = json!({"observedGeneration": 1, "replicas": 1, "updatedReplicas": 1, "availableReplicas": 1});
    let revision = |mut set: Value, revision: &str| {
        set["metadata"]["annotations"] = json!({REVISION: revision, DESIRED_REPLICAS: "1"});
        set
    };
    let sets = [
        revision(set("second", "web:0", 0, 0), "2"),
        revision(set("first", "web:1", 0, 0), "1"),
        revision(set("new", "web:2", 1, 1), "3"),
    ];
    let step = look(&wanted, &sets, &[]);
    let deleted: Vec<&str> = step
        .writes
        .iter()
        .filter_map(|write| match write {
            Write::Delete(deletion) => Some(deletion.name.as_str()),
            _ => None,
        })
        .collect();
    assert_eq!(deleted, ["first"]);
}

#[test]
fn failures_of_replica_sets_are_passed_on() {
    let wanted = deployment(1, json!(1), json!(0));
    let mut new = set("new", "web:2", 1, 0);
    new["metadata"]["annotations"][DESIRED_REPLICAS] = json!("1");
    new["status"]["conditions"] = json!([{"type": "ReplicaFailure", "status": "True",
        "lastTransitionTime": NOW, "reason": "FailedCreate", "message": "quota"}]);
    let deployment = written(&look(&wanted, &[new], &[]));
    let failure = condition(&deployment, "ReplicaFailure");
    assert_eq!(
        (&failure["reason"], &failure["message"]),
        (&json!("FailedCreate"), &json!("quota"))
    );
}

#[test]
fn a_deployment_that_goes_is_only_counted() {
    let mut wanted = deployment(5, json!(1), json!(0));
    wanted["metadata"]["deletionTimestamp"] = json!(NOW);
    let step = look(&wanted, &[set("old", "web:1", 3, 3)], &[]);
    assert_eq!(sizes(&step), []);
    assert_eq!(written(&step)["status"]["replicas"], 3);
}

#[test]
fn a_rollout_that_was_complete_is_scaled_without_a_deadline() {
    let mut deployment = deployment(5, json!("25%"), json!("25%"));
    let long_ago = "2025-12-01T00:00:00Z";
    deployment["status"] = json!({"observedGeneration": 1, "replicas": 5, "updatedReplicas": 5,
        "readyReplicas": 2, "availableReplicas": 2, "conditions": [{"type": "Progressing",
            "status": "True", "reason": "NewReplicaSetAvailable",
            "lastUpdateTime": long_ago, "lastTransitionTime": long_ago}]});
    let mut set = set("new", "web:2", 5, 2);
    set["metadata"]["annotations"][DESIRED_REPLICAS] = json!("5");
    // A deadline of long ago would bring the next look at once, and again, until Pods are ready.
    assert_eq!(look(&deployment, &[set], &[]).wake_at, None);
}

#[test]
fn without_a_deadline_there_is_no_progress_condition() {
    let mut wanted = deployment(1, json!(1), json!(0));
    wanted["spec"]["progressDeadlineSeconds"] = json!(i32::MAX);
    let deployment = written(&look(&wanted, &[set("new", "web:2", 1, 0)], &[]));
    assert_eq!(condition(&deployment, "Progressing"), &Value::Null);
}
