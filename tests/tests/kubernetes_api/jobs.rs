//! Jobs and CronJobs: Pods that complete, and when they begin.

use serde_json::{Value, json};

use crate::answer::Look;
use crate::world::World;

cases! { Workloads:
    a_job_completes_when_its_pod_succeeds,
    a_job_reports_what_it_did,
    a_job_pod_is_labelled_and_tracked,
    a_job_runs_as_many_pods_as_it_may_at_once,
    a_job_fails_when_its_pods_fail_too_often,
    a_job_fails_at_once_when_its_policy_says_so,
    a_job_counts_restarts_in_place,
    a_job_fails_at_its_deadline,
    a_suspended_job_starts_when_it_is_resumed,
    suspending_a_job_takes_its_pods_away,
    an_indexed_job_gives_each_pod_an_index,
    an_indexed_job_needs_completions,
    a_success_policy_completes_a_job_early,
    each_index_has_its_own_limit_of_failures,
    an_index_that_failed_is_tried_again_as_often_as_it_may,
    a_job_fails_when_too_many_of_its_indexes_do,
    a_policy_may_fail_an_index_at_once,
    limits_per_index_need_indexes,
    a_finished_job_goes_after_its_time,
    a_job_without_completions_ends_with_the_first_success,
    a_deleted_job_takes_its_pods_along,
    a_job_tells_what_it_does,
    a_cron_job_makes_jobs_on_time,
    a_cron_job_is_told_of_its_last_success,
    a_suspended_cron_job_makes_none,
    a_cron_job_forbids_two_at_once,
    a_cron_job_keeps_as_many_jobs_as_it_is_told,
    a_cron_job_leaves_jobs_made_by_hand_alone,
    a_cron_jobs_schedule_is_checked,
    a_deleted_cron_job_takes_its_jobs_along,
}

const JOB: &str = "batch/v1:jobs/a";
const JOBS: &str = "batch/v1:jobs";
const CRON_JOB: &str = "batch/v1:cronjobs/a";
const CRON_JOBS: &str = "batch/v1:cronjobs";
const PODS: &str = "pods?labelSelector=batch.kubernetes.io/job-name%3Da";

fn job(spec: Value) -> Value {
    let mut job = json!({
        "apiVersion": "batch/v1",
        "kind": "Job",
        "metadata": {"name": "a"},
        "spec": spec,
    });
    job["spec"]["template"]["spec"] = json!({
        "restartPolicy": "Never",
        "terminationGracePeriodSeconds": 1,
        "containers": [{"name": "main", "image": "app:1"}],
    });
    job
}

/// A Job whose Pods do what annotations say.
fn job_of(spec: Value, annotations: Value) -> Value {
    let mut job = job(spec);
    job["spec"]["template"]["metadata"] = json!({"annotations": annotations});
    job
}

fn endless() -> Value {
    json!({"pocketkube.dev/complete-after": "never"})
}

fn failing() -> Value {
    json!({"pocketkube.dev/exit-code": "1", "pocketkube.dev/complete-after": "100ms"})
}

async fn start(world: &World, job: &Value) -> Value {
    world.takes_pods().await;
    world.post(JOBS, job).await.is(201)
}

fn is(kind: &'static str) -> impl Fn(&Value) -> bool {
    move |job| job.condition(kind).text("/status") == "True"
}

async fn a_job_completes_when_its_pod_succeeds(world: World) {
    start(&world, &job(json!({}))).await;
    let job = world.until(JOB, is("Complete")).await;
    for kind in ["SuccessCriteriaMet", "Complete"] {
        job.condition(kind).has(json!({
            "status": "True",
            "reason": "CompletionsReached",
            "message": "Reached expected number of succeeded pods",
        }));
        assert!(job.condition(kind)["lastProbeTime"].is_string());
    }
}

async fn a_job_reports_what_it_did(world: World) {
    start(&world, &job(json!({"completions": 2, "parallelism": 2}))).await;
    let job = world.until(JOB, is("Complete")).await;
    job.has(json!({"status": {
        "active": null, "failed": null, "ready": 0, "succeeded": 2, "terminating": 0,
        "uncountedTerminatedPods": {},
    }}));
    assert!(job["status"]["startTime"].is_string());
    assert!(job["status"]["completionTime"].is_string());
}

async fn a_job_pod_is_labelled_and_tracked(world: World) {
    let job = start(&world, &job_of(json!({}), endless())).await;
    let pods = world.until_list(PODS, |pods| pods.len() == 1).await;
    let uid = job.text("/metadata/uid");
    pods[0].has(json!({"metadata": {
        "generateName": "a-",
        "labels": {
            "batch.kubernetes.io/controller-uid": uid, "batch.kubernetes.io/job-name": "a",
            "controller-uid": uid, "job-name": "a",
        },
        "finalizers": ["batch.kubernetes.io/job-tracking"],
        "ownerReferences": [{"apiVersion": "batch/v1", "kind": "Job", "controller": true}],
    }}));
    let active = |job: &Value| job["status"]["active"] == 1 && job["status"]["ready"] == 1;
    world.until(JOB, active).await;
}

async fn a_job_runs_as_many_pods_as_it_may_at_once(world: World) {
    start(
        &world,
        &job_of(json!({"completions": 5, "parallelism": 2}), endless()),
    )
    .await;
    let two = |job: &Value| job["status"]["active"] == 2 && job["status"]["ready"] == 2;
    world.until(JOB, two).await;
    assert_eq!(world.get(PODS).await.is(200).names().len(), 2);
    world
        .merge_patch(JOB, &json!({"spec": {"parallelism": 3}}))
        .await
        .is(200);
    world.until(JOB, |job| job["status"]["active"] == 3).await;
    world
        .merge_patch(JOB, &json!({"spec": {"parallelism": 1}}))
        .await
        .is(200);
    let one = |job: &Value| job["status"]["active"] == 1 && job["status"]["terminating"] == 0;
    let job = world.until(JOB, one).await;
    assert_eq!(job["status"]["failed"], Value::Null);
}

async fn a_job_fails_when_its_pods_fail_too_often(world: World) {
    start(&world, &job_of(json!({"backoffLimit": 0}), failing())).await;
    let job = world.until(JOB, is("Failed")).await;
    for kind in ["FailureTarget", "Failed"] {
        job.condition(kind).has(json!({
            "reason": "BackoffLimitExceeded",
            "message": "Job has reached the specified backoff limit",
        }));
    }
    job.has(json!({"status": {"failed": 1, "succeeded": null, "completionTime": null}}));
    let pods = world.get(PODS).await.is(200);
    assert_eq!(pods.list("/items")[0]["status"]["phase"], "Failed");
    assert_eq!(
        pods.list("/items")[0]["metadata"]["finalizers"],
        Value::Null
    );
}

async fn a_job_fails_at_once_when_its_policy_says_so(world: World) {
    let annotations = json!({
        "pocketkube.dev/exit-code": "42", "pocketkube.dev/complete-after": "100ms",
    });
    let policy = json!({"rules": [
        {"action": "Ignore", "onPodConditions": [{"type": "DisruptionTarget"}]},
        {"action": "FailJob", "onExitCodes": {"operator": "In", "values": [42]}},
    ]});
    start(
        &world,
        &job_of(json!({"podFailurePolicy": policy}), annotations),
    )
    .await;
    let job = world.until(JOB, is("Failed")).await;
    let pod = world.get(PODS).await.is(200);
    job.condition("Failed").has(json!({
        "reason": "PodFailurePolicy",
        "message": format!(
            "Container main for pod {}/{} failed with exit code 42 matching FailJob rule at index 1",
            world.namespace,
            pod.names()[0]
        ),
    }));
    job.has(json!({"status": {"failed": 1}}));
}

async fn a_job_counts_restarts_in_place(world: World) {
    let mut job = job_of(json!({"backoffLimit": 1}), failing());
    job["spec"]["template"]["spec"]["restartPolicy"] = json!("OnFailure");
    start(&world, &job).await;
    let job = world.until(JOB, is("Failed")).await;
    assert_eq!(job.condition("Failed")["reason"], "BackoffLimitExceeded");
    world.until_list(PODS, <[Value]>::is_empty).await;
}

async fn a_job_fails_at_its_deadline(world: World) {
    start(
        &world,
        &job_of(json!({"activeDeadlineSeconds": 1}), endless()),
    )
    .await;
    let job = world.until(JOB, is("Failed")).await;
    job.condition("Failed").has(json!({
        "reason": "DeadlineExceeded",
        "message": "Job was active longer than specified deadline",
    }));
    world.until_list(PODS, <[Value]>::is_empty).await;
}

async fn a_suspended_job_starts_when_it_is_resumed(world: World) {
    start(&world, &job(json!({"suspend": true}))).await;
    let job = world.until(JOB, is("Suspended")).await;
    job.condition("Suspended")
        .has(json!({"reason": "JobSuspended", "message": "Job suspended"}));
    job.has(json!({"status": {"active": null, "startTime": null, "ready": 0}}));
    world
        .merge_patch(JOB, &json!({"spec": {"suspend": false}}))
        .await
        .is(200);
    let job = world.until(JOB, is("Complete")).await;
    job.condition("Suspended").has(json!({
        "status": "False", "reason": "JobResumed", "message": "Job resumed",
    }));
}

async fn suspending_a_job_takes_its_pods_away(world: World) {
    start(&world, &job_of(json!({}), endless())).await;
    world.until(JOB, |job| job["status"]["ready"] == 1).await;
    world
        .merge_patch(JOB, &json!({"spec": {"suspend": true}}))
        .await
        .is(200);
    world.until_list(PODS, <[Value]>::is_empty).await;
    let suspended = |job: &Value| is("Suspended")(job) && job["status"]["terminating"] == 0;
    let job = world.until(JOB, suspended).await;
    job.has(json!({"status": {"active": null, "failed": null}}));
}

async fn an_indexed_job_gives_each_pod_an_index(world: World) {
    let spec = json!({"completionMode": "Indexed", "completions": 3, "parallelism": 3});
    start(&world, &job(spec)).await;
    let job = world.until(JOB, is("Complete")).await;
    job.has(json!({"status": {"completedIndexes": "0-2", "succeeded": 3}}));
    let pods = world.get(PODS).await.is(200);
    let mut indexes = Vec::new();
    for pod in pods.list("/items") {
        let index = "batch.kubernetes.io/job-completion-index";
        let index = pod["metadata"]["annotations"][index].as_str().unwrap();
        assert_eq!(pod.text("/spec/hostname"), format!("a-{index}"));
        assert!(
            pod.text("/metadata/name")
                .starts_with(&format!("a-{index}-"))
        );
        pod["spec"]["containers"][0]["env"][0].has(json!({
            "name": "JOB_COMPLETION_INDEX",
            "valueFrom": {"fieldRef": {
                "fieldPath": "metadata.labels['batch.kubernetes.io/job-completion-index']",
            }},
        }));
        indexes.push(index.to_owned());
    }
    indexes.sort();
    assert_eq!(indexes, ["0", "1", "2"]);
}

async fn an_indexed_job_needs_completions(world: World) {
    world
        .post(
            JOBS,
            &job(json!({"completionMode": "Indexed", "parallelism": 2})),
        )
        .await
        .refused(
            422,
            "Invalid",
            "Job.batch \"a\" is invalid: spec.completions: Required value: when completion mode is \
             Indexed",
        );
    world
        .post(JOBS, &job(json!({"activeDeadlineSeconds": -1})))
        .await
        .refused_saying(
            422,
            "Invalid",
            "spec.activeDeadlineSeconds: Invalid value: -1: must be greater than or equal to 0",
        );
}

async fn a_success_policy_completes_a_job_early(world: World) {
    let spec = json!({
        "completionMode": "Indexed", "completions": 3, "parallelism": 1,
        "successPolicy": {"rules": [{"succeededIndexes": "0"}]},
    });
    start(&world, &job(spec)).await;
    let job = world.until(JOB, is("Complete")).await;
    job.condition("Complete")
        .has(json!({"reason": "SuccessPolicy", "message": "Matched rules at index 0"}));
    assert_eq!(job["status"]["completedIndexes"], "0");
}

async fn each_index_has_its_own_limit_of_failures(world: World) {
    let spec = json!({"completionMode": "Indexed", "completions": 3, "parallelism": 3,
        "backoffLimitPerIndex": 0});
    let job = start(&world, &job_of(spec, failing())).await;
    assert_eq!(job["spec"]["backoffLimit"], i32::MAX);
    let job = world.until(JOB, is("Failed")).await;
    job.condition("Failed")
        .has(json!({"reason": "FailedIndexes", "message": "Job has failed indexes"}));
    job.has(json!({"status": {"failedIndexes": "0-2", "failed": 3, "active": null}}));
}

async fn an_index_that_failed_is_tried_again_as_often_as_it_may(world: World) {
    let spec = json!({"completionMode": "Indexed", "completions": 1, "backoffLimitPerIndex": 1});
    start(&world, &job_of(spec, failing())).await;
    let count = "/metadata/annotations/batch.kubernetes.io~1job-index-failure-count";
    let pods = world.until_list(PODS, |pods| pods.len() == 1).await;
    assert_eq!(pods[0].text(count), "0");
    let pods = world.until_list(PODS, |pods| pods.len() == 2).await;
    let mut counts: Vec<&str> = pods.iter().map(|pod| pod.text(count)).collect();
    counts.sort_unstable();
    assert_eq!(counts, ["0", "1"]);
    let job = world.until(JOB, is("Failed")).await;
    job.has(json!({"status": {"failedIndexes": "0", "failed": 2}}));
}

async fn a_job_fails_when_too_many_of_its_indexes_do(world: World) {
    let spec = json!({"completionMode": "Indexed", "completions": 4, "parallelism": 1,
        "backoffLimitPerIndex": 0, "maxFailedIndexes": 1});
    start(&world, &job_of(spec, failing())).await;
    let job = world.until(JOB, is("Failed")).await;
    job.condition("Failed").has(json!({
        "reason": "MaxFailedIndexesExceeded",
        "message": "Job has exceeded the specified maximal number of failed indexes",
    }));
    job.has(json!({"status": {"failedIndexes": "0,1", "failed": 2}}));
}

async fn a_policy_may_fail_an_index_at_once(world: World) {
    let policy = json!({"rules": [
        {"action": "FailIndex", "onExitCodes": {"operator": "In", "values": [1]}},
    ]});
    let spec = json!({"completionMode": "Indexed", "completions": 2, "parallelism": 2,
        "backoffLimitPerIndex": 5, "podFailurePolicy": policy});
    start(&world, &job_of(spec, failing())).await;
    let job = world.until(JOB, is("Failed")).await;
    job.has(json!({"status": {"failedIndexes": "0,1", "failed": 2}}));
    assert_eq!(job.condition("Failed").text("/reason"), "FailedIndexes");
}

async fn limits_per_index_need_indexes(world: World) {
    for (spec, message) in [
        (
            json!({"backoffLimitPerIndex": 1}),
            "spec.backoffLimitPerIndex: Invalid value: 1: requires indexed completion mode",
        ),
        (
            json!({"completionMode": "Indexed", "completions": 2, "maxFailedIndexes": 1}),
            "spec.backoffLimitPerIndex: Required value: when maxFailedIndexes is specified",
        ),
        (
            json!({"completionMode": "Indexed", "completions": 2, "backoffLimitPerIndex": 1,
                "maxFailedIndexes": 3}),
            "spec.maxFailedIndexes: Invalid value: 3: must be less than or equal to completions",
        ),
    ] {
        let answer = world.post(JOBS, &job(spec)).await;
        let message = format!("Job.batch \"a\" is invalid: {message}");
        answer.refused(422, "Invalid", &message);
    }
}

async fn a_finished_job_goes_after_its_time(world: World) {
    start(&world, &job(json!({"ttlSecondsAfterFinished": 0}))).await;
    world.until_list(JOBS, <[Value]>::is_empty).await;
    world.until_list(PODS, <[Value]>::is_empty).await;
}

async fn a_job_without_completions_ends_with_the_first_success(world: World) {
    start(&world, &job(json!({"parallelism": 2}))).await;
    let job = world.until(JOB, is("Complete")).await;
    job.has(json!({"spec": {"completions": null}, "status": {"succeeded": 2}}));
}

async fn a_deleted_job_takes_its_pods_along(world: World) {
    start(&world, &job_of(json!({}), endless())).await;
    world.until(JOB, |job| job["status"]["ready"] == 1).await;
    let options = json!({"propagationPolicy": "Background"});
    world.delete_with(JOB, &options).await.is(200);
    world.until_list(PODS, <[Value]>::is_empty).await;
}

async fn a_job_tells_what_it_does(world: World) {
    start(&world, &job(json!({}))).await;
    world.until(JOB, is("Complete")).await;
    let pod = world.get(PODS).await.is(200);
    let created = format!("Created pod: {}", pod.names()[0]);
    for (reason, message) in [
        ("SuccessfulCreate", created.as_str()),
        ("Completed", "Job completed"),
    ] {
        let told = |events: &[Value]| {
            events.iter().any(|event| {
                event["reason"] == reason
                    && event["message"] == message
                    && event["source"]["component"] == "job-controller"
            })
        };
        world.until_list("events", told).await;
    }
}

/// A CronJob that is due two seconds after it was made, and then once a minute: Jobs are named
/// after minutes.
fn cron_job(spec: Value, annotations: Value) -> Value {
    let mut cron_job = json!({
        "apiVersion": "batch/v1",
        "kind": "CronJob",
        "metadata": {"name": "a"},
        "spec": spec,
    });
    if cron_job["spec"]["schedule"].is_null() {
        cron_job["spec"]["schedule"] = json!("@every 2s");
    }
    let job = job_of(json!({}), annotations);
    cron_job["spec"]["jobTemplate"] =
        json!({"metadata": {"labels": {"made": "by-a"}}, "spec": job["spec"]});
    cron_job
}

async fn schedule(world: &World, cron_job: &Value) -> Value {
    world.takes_pods().await;
    world.post(CRON_JOBS, cron_job).await.is(201)
}

async fn a_cron_job_makes_jobs_on_time(world: World) {
    let cron_job = schedule(&world, &cron_job(json!({}), endless())).await;
    let jobs = world.until_list(JOBS, |jobs| !jobs.is_empty()).await;
    let stamp = "batch.kubernetes.io/cronjob-scheduled-timestamp";
    let at = jobs[0]["metadata"]["annotations"][stamp].as_str().unwrap();
    let seconds = at
        .parse::<k8s_openapi::jiff::Timestamp>()
        .unwrap()
        .as_second();
    jobs[0].has(json!({"metadata": {
        "name": format!("a-{}", seconds / 60),
        "labels": {"made": "by-a"},
        "ownerReferences": [{
            "apiVersion": "batch/v1", "kind": "CronJob", "name": "a",
            "uid": cron_job["metadata"]["uid"], "controller": true, "blockOwnerDeletion": true,
        }],
    }}));
    let listed = |cron_job: &Value| !cron_job.list("/status/active").is_empty();
    let cron_job = world.until(CRON_JOB, listed).await;
    cron_job["status"]["active"][0].has(json!({
        "apiVersion": "batch/v1", "kind": "Job", "namespace": world.namespace,
        "name": jobs[0]["metadata"]["name"], "uid": jobs[0]["metadata"]["uid"],
    }));
    assert!(cron_job["status"]["lastScheduleTime"].is_string());
}

async fn a_cron_job_is_told_of_its_last_success(world: World) {
    schedule(&world, &cron_job(json!({}), json!({}))).await;
    let done = |cron_job: &Value| {
        cron_job["status"]["lastSuccessfulTime"].is_string()
            && cron_job.list("/status/active").is_empty()
    };
    world.until(CRON_JOB, done).await;
    let told = |events: &[Value]| {
        events.iter().any(|event| {
            event["reason"] == "SawCompletedJob"
                && event.text("/message").ends_with("condition: Complete")
        })
    };
    world.until_list("events", told).await;
}

async fn a_suspended_cron_job_makes_none(world: World) {
    schedule(&world, &cron_job(json!({"suspend": true}), json!({}))).await;
    // Another one, made later and due at the same pace, has made its own.
    let mut other = cron_job(json!({}), json!({}));
    other["metadata"]["name"] = json!("b");
    world.post(CRON_JOBS, &other).await.is(201);
    let jobs = world.until_list(JOBS, |jobs| !jobs.is_empty()).await;
    assert!(
        jobs.iter()
            .all(|job| job.text("/metadata/name").starts_with("b-"))
    );
    let cron_job = world.get(CRON_JOB).await.is(200);
    assert_eq!(cron_job["status"], json!({}));
}

async fn a_cron_job_forbids_two_at_once(world: World) {
    schedule(
        &world,
        &cron_job(json!({"concurrencyPolicy": "Forbid"}), endless()),
    )
    .await;
    let told = |events: &[Value]| {
        events
            .iter()
            .any(|event| event["reason"] == "JobAlreadyActive")
    };
    // Jobs are named after minutes, so it takes the next minute to be told.
    let mut asked = 0;
    loop {
        let events = world.get("events").await.is(200);
        if told(events.list("/items")) {
            break;
        }
        asked += 1;
        assert!(asked < 800, "nothing was told");
        tokio::time::sleep(std::time::Duration::from_millis(100)).await;
    }
    assert_eq!(world.get(JOBS).await.is(200).names().len(), 1);
}

async fn a_cron_job_keeps_as_many_jobs_as_it_is_told(world: World) {
    let spec = json!({"successfulJobsHistoryLimit": 0, "failedJobsHistoryLimit": 0});
    schedule(&world, &cron_job(spec, json!({}))).await;
    let told = |events: &[Value]| {
        events.iter().any(|event| {
            event["reason"] == "SuccessfulDelete"
                && event.text("/message").starts_with("Deleted job a-")
        })
    };
    world.until_list("events", told).await;
}

async fn a_cron_job_leaves_jobs_made_by_hand_alone(world: World) {
    let made = schedule(&world, &cron_job(json!({"suspend": true}), endless())).await;
    let mut by_hand = job_of(json!({}), endless());
    by_hand["metadata"]["annotations"] = json!({"cronjob.kubernetes.io/instantiate": "manual"});
    by_hand["metadata"]["ownerReferences"] = json!([{
        "apiVersion": "batch/v1", "kind": "CronJob", "name": "a",
        "uid": made["metadata"]["uid"], "controller": true,
    }]);
    world.post(JOBS, &by_hand).await.is(201);
    let told = |events: &[Value]| {
        events.iter().any(|event| {
            event["reason"] == "UnexpectedJob"
                && event["message"] == "Saw a job that the controller did not create or forgot: a"
        })
    };
    world.until_list("events", told).await;
    let cron_job = world.get(CRON_JOB).await.is(200);
    assert_eq!(cron_job.list("/status/active").len(), 0);
}

async fn a_cron_jobs_schedule_is_checked(world: World) {
    for (text, why) in [
        ("* * * *", "expected exactly 5 fields, found 4: [* * * *]"),
        ("61 * * * *", "end of range (61) above maximum (59): 61"),
        ("* * 0 * *", "beginning of range (0) below minimum (1): 0"),
        (
            "5-1 * * * *",
            "beginning of range (5) beyond end of range (1): 5-1",
        ),
        ("@sometimes", "unrecognized descriptor: @sometimes"),
    ] {
        let body = cron_job(json!({"schedule": text}), json!({}));
        let status = world
            .post(CRON_JOBS, &body)
            .await
            .refusal_of(422, "Invalid");
        let expected = format!(
            "CronJob.batch \"a\" is invalid: spec.schedule: Invalid value: {text:?}: {why}"
        );
        assert_eq!(status.text("/message"), expected);
    }
    let body = cron_job(json!({"timeZone": "Mars/Base"}), json!({}));
    world.post(CRON_JOBS, &body).await.refused_saying(
        422,
        "Invalid",
        "spec.timeZone: Invalid value: \"Mars/Base\": unknown time zone Mars/Base",
    );
}

async fn a_deleted_cron_job_takes_its_jobs_along(world: World) {
    schedule(&world, &cron_job(json!({}), endless())).await;
    world.until_list(JOBS, |jobs| !jobs.is_empty()).await;
    world.delete(CRON_JOB).await.is(200);
    world.until_list(JOBS, <[Value]>::is_empty).await;
    world.until_list("pods", <[Value]>::is_empty).await;
}
