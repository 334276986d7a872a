//! Jobs, told as worlds that looks change.

use super::*;
use crate::object::name;
use crate::workloads::replay::Replay;
use serde_json::json;

const NOW: &str = "2026-01-01T00:10:00Z";

fn job(spec: Value) -> Value {
    let mut job = json!({"apiVersion": "batch/v1", "kind": "Job",
        "metadata": {"name": "sum", "namespace": "n", "uid": "j", "generation": 1},
        "spec": {"parallelism": 1, "completions": 1, "backoffLimit": 1,
            "completionMode": "NonIndexed", "podReplacementPolicy": "TerminatingOrFailed",
            "selector": {"matchLabels": {"job": "sum"}},
            "template": {"metadata": {"labels": {"job": "sum"}},
                "spec": {"restartPolicy": "Never", "containers": [{"name": "c"}]}}},
        "status": {}});
    for (field, value) in spec.as_object().expect("a map") {
        job["spec"][field] = value.clone();
    }
    job
}

fn look_at(world: &mut Replay, now: &str) -> (Vec<String>, Step) {
    let job = world.one("Job", "sum");
    let step = step(View {
        job: &job,
        pods: &world.all("Pod"),
        now: now.parse().unwrap(),
    });
    (world.apply(&step), step)
}

fn look(world: &mut Replay) -> Vec<String> {
    look_at(world, NOW).0
}

/// Ends all Pods that have not ended.
fn end(world: &mut Replay, phase: &str) {
    world.each("Pod", |pod| {
        if !pod::is_terminal(pod) {
            pod["status"] = json!({"phase": phase, "containerStatuses": [
                {"state": {"terminated": {"finishedAt": NOW}}}]});
        }
    });
}

fn settle(world: &mut Replay) {
    for _ in 0..20 {
        look(world);
    }
}

fn status(world: &Replay) -> Value {
    world.one("Job", "sum")["status"].clone()
}

#[test]
fn a_job_is_complete_when_enough_pods_succeeded() {
    let mut world = Replay::of(job(json!({"completions": 3, "parallelism": 2})));
    assert_eq!(look(&mut world).len(), 2);
    assert_eq!(status(&world)["active"], 2);
    end(&mut world, "Succeeded");
    settle(&mut world);
    let now = status(&world);
    assert_eq!((&now["active"], &now["succeeded"]), (&json!(1), &json!(2)));
    end(&mut world, "Succeeded");
    settle(&mut world);
    let done = status(&world);
    assert_eq!(
        (&done["succeeded"], &done["completionTime"]),
        (&json!(3), &json!(NOW))
    );
    let kinds: Vec<&Value> = list(&done["conditions"])
        .iter()
        .map(|c| &c["type"])
        .collect();
    assert_eq!(kinds, ["SuccessCriteriaMet", "Complete"]);
    assert_eq!(done["conditions"][1]["reason"], "CompletionsReached");
    assert!(
        world
            .all("Pod")
            .iter()
            .all(|pod| finalizers(pod).next().is_none())
    );
}

#[test]
fn pods_are_counted_by_uid_before_their_finalizer_goes() {
    let mut world = Replay::of(job(json!({})));
    look(&mut world);
    end(&mut world, "Succeeded");
    let own = world.one("Job", "sum");
    let step = step(View {
        job: &own,
        pods: &world.all("Pod"),
        now: NOW.parse().unwrap(),
    });
    let [Write::UpdateStatus(_, told), Write::Update(_, pod), ..] = &step.writes[..] else {
        panic!("{step:?}")
    };
    assert_eq!(
        told["status"]["uncountedTerminatedPods"],
        json!({"succeeded": [uid(pod)]})
    );
    assert_eq!(told["status"].get("succeeded"), None);
    assert_eq!(finalizers(pod).next(), None);
}

#[test]
fn too_many_failures_end_a_job_after_pauses() {
    let mut world = Replay::of(job(json!({})));
    look(&mut world);
    end(&mut world, "Failed");
    settle(&mut world);
    assert_eq!(status(&world)["failed"], 1);
    assert_eq!(world.all("Pod").len(), 1, "there is a pause of ten seconds");
    let (_, waiting) = look_at(&mut world, NOW);
    assert_eq!(
        waiting.wake_at,
        Some("2026-01-01T00:10:10Z".parse().unwrap())
    );
    look_at(&mut world, "2026-01-01T00:10:10Z");
    assert_eq!(world.all("Pod").len(), 2);
    end(&mut world, "Failed");
    settle(&mut world);
    let now = world.one("Job", "sum");
    assert_eq!(
        condition(&now, "Failed").unwrap()["reason"],
        "BackoffLimitExceeded"
    );
    assert!(holds(&now, "FailureTarget"));
    assert_eq!(now["status"]["failed"], 2);
    assert_eq!(now["status"].get("completionTime"), None);
}

#[test]
fn a_deadline_ends_a_job_and_its_pods() {
    let mut world = Replay::of(job(json!({"activeDeadlineSeconds": 30})));
    let (_, first) = look_at(&mut world, NOW);
    assert_eq!(first.wake_at, Some("2026-01-01T00:10:30Z".parse().unwrap()));
    let (done, _) = look_at(&mut world, "2026-01-01T00:10:30Z");
    assert_eq!(done.len(), 1, "{done:?}");
    settle(&mut world);
    let now = world.one("Job", "sum");
    assert_eq!(
        condition(&now, "Failed").unwrap()["reason"],
        "DeadlineExceeded"
    );
    assert_eq!(
        (&now["status"]["failed"], world.all("Pod").len()),
        (&json!(1), 0)
    );
}

#[test]
fn a_suspended_job_has_no_pods_and_resumes_anew() {
    let mut world = Replay::of(job(json!({"suspend": true})));
    settle(&mut world);
    let now = world.one("Job", "sum");
    assert!(holds(&now, "Suspended"));
    assert_eq!(
        (now["status"].get("startTime"), world.all("Pod").len()),
        (None, 0)
    );
    world.each("Job", |job| job["spec"]["suspend"] = json!(false));
    settle(&mut world);
    let now = world.one("Job", "sum");
    assert_eq!(
        condition(&now, "Suspended").unwrap()["reason"],
        "JobResumed"
    );
    assert_eq!(
        (&now["status"]["startTime"], world.all("Pod").len()),
        (&json!(NOW), 1)
    );
    world.each("Job", |job| job["spec"]["suspend"] = json!(true));
    settle(&mut world);
    assert_eq!(world.all("Pod").len(), 0);
    assert_eq!(
        status(&world).get("failed"),
        None,
        "a suspension is no failure"
    );
}

#[test]
fn indexes_complete_once_each_and_fail_alone() {
    let mut world = Replay::of(job(
        json!({"completionMode": "Indexed", "completions": 3, "parallelism": 3}),
    ));
    look(&mut world);
    assert_eq!(world.names("Pod"), ["sum-0-1", "sum-1-2", "sum-2-3"]);
    let pod = world.one("Pod", "sum-1-2");
    assert_eq!(pod["metadata"]["annotations"][INDEX], "1");
    assert_eq!(pod["spec"]["hostname"], "sum-1");
    assert_eq!(
        pod["spec"]["containers"][0]["env"][0]["name"],
        "JOB_COMPLETION_INDEX"
    );
    let phase = |pod: &Value| {
        if name(pod) == "sum-1-2" {
            "Failed"
        } else {
            "Succeeded"
        }
    };
    world.each("Pod", |pod| pod["status"] = json!({"phase": phase(pod)}));
    settle(&mut world);
    let now = status(&world);
    assert_eq!(
        (&now["completedIndexes"], &now["succeeded"]),
        (&json!("0,2"), &json!(2))
    );
    assert_eq!(
        world.names("Pod").last().map(String::as_str),
        Some("sum-2-3")
    );
    end(&mut world, "Succeeded");
    settle(&mut world);
    assert_eq!(status(&world)["completedIndexes"], "0-2");
    assert!(is_finished(&world.one("Job", "sum")));
}

#[test]
fn a_success_policy_ends_a_job_early() {
    let mut world = Replay::of(job(json!({"completionMode": "Indexed", "completions": 2,
        "parallelism": 2, "successPolicy": {"rules": [{"succeededIndexes": "0"}]}})));
    look(&mut world);
    world.each("Pod", |pod| {
        let phase = if pod["metadata"]["labels"][INDEX] == "0" {
            "Succeeded"
        } else {
            "Running"
        };
        pod["status"] = json!({"phase": phase});
    });
    settle(&mut world);
    let now = world.one("Job", "sum");
    assert_eq!(
        condition(&now, "Complete").unwrap()["reason"],
        "SuccessPolicy"
    );
    assert_eq!(world.all("Pod").len(), 1);
}

#[test]
fn a_finished_job_goes_when_its_time_is_up() {
    let mut own = job(json!({"ttlSecondsAfterFinished": 60}));
    own["status"]["conditions"] =
        json!([{"type": "Complete", "status": "True", "lastTransitionTime": NOW}]);
    let mut world = Replay::of(own);
    let (_, waits) = look_at(&mut world, NOW);
    assert_eq!(waits.wake_at, Some("2026-01-01T00:11:00Z".parse().unwrap()));
    assert_eq!(
        look_at(&mut world, "2026-01-01T00:11:00Z").0,
        ["delete sum"]
    );
}

#[test]
fn restarts_in_place_count_against_the_limit() {
    let mut own = job(json!({"backoffLimit": 2}));
    own["spec"]["template"]["spec"]["restartPolicy"] = json!("OnFailure");
    let mut world = Replay::of(own);
    look(&mut world);
    let restarts = |count: i64| {
        move |pod: &mut Value| {
            pod["status"] =
                json!({"phase": "Running", "containerStatuses": [{"restartCount": count}]});
        }
    };
    world.each("Pod", restarts(1));
    settle(&mut world);
    assert!(!is_finished(&world.one("Job", "sum")));
    world.each("Pod", restarts(2));
    settle(&mut world);
    assert!(holds(&world.one("Job", "sum"), "Failed"));
}
