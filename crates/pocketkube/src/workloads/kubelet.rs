//! A kubelet without containers: Pods of its node start, become ready, may complete, and end when
//! deleted.
//!
//! | annotation of a Pod | value | without it |
//! |---|---|---|
//! | [`READY_AFTER`] | a duration, or `never` | the cluster's `ready_after` |
//! | [`COMPLETE_AFTER`] | a duration, or `never` | never, or the cluster's `complete_after` where `restartPolicy` is not `Always` |
//! | [`EXIT_CODE`] | a number | 0: all goes well |
//! | [`TERMINATE_AFTER`] | a duration | the cluster's `terminate_after` |
//!
//! Containers that are restarted are so at once: there is no back-off.

use super::pod;
use super::step::{Deletion, Note, Severity, Step, Write, time};
use super::template_hash::without_nulls;
use crate::clock::seconds;
use crate::object::{annotation, finalizers, generation, is_deleting, list, uid};
use jiff::{SignedDuration, Timestamp};
use serde_json::{Map, Value, json};
use sha2::{Digest, Sha256};
use std::net::Ipv4Addr;
use std::time::Duration;

/// Annotation of a Pod: how long it takes to become ready, for instance `2s`, or `never`.
pub const READY_AFTER: &str = "pocketkube.dev/ready-after";
/// Annotation of a Pod: how long it takes to end after its deletion, at most its grace period.
pub const TERMINATE_AFTER: &str = "pocketkube.dev/terminate-after";
/// Annotation of a Pod: how long its containers run once it is ready, or `never` for ever.
pub const COMPLETE_AFTER: &str = "pocketkube.dev/complete-after";
/// Annotation of a Pod: the exit code of its containers when they complete; not zero is a failure.
pub const EXIT_CODE: &str = "pocketkube.dev/exit-code";
/// Exit code of a container that was killed.
const KILLED: i64 = 137;
/// Who reports Events.
const COMPONENT: &str = "kubelet";

/// What a kubelet sees of one Pod that is bound to its node.
#[derive(Debug, Clone, Copy)]
pub(crate) struct View<'a> {
    /// The Pod.
    pub(crate) pod: &'a Value,
    /// Address of its node.
    pub(crate) host: Ipv4Addr,
    /// Address that it gets if it has none.
    pub(crate) address: Ipv4Addr,
    /// When the kubelet first saw it.
    pub(crate) seen_at: Timestamp,
    /// When the kubelet first saw that it is to go.
    pub(crate) leaving_at: Timestamp,
    /// How long Pods take, unless they say otherwise.
    pub(crate) pace: Pace,
    /// The present.
    pub(crate) now: Timestamp,
}

/// How long things take.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Pace {
    /// From its binding until a Pod is ready.
    pub(crate) ready_after: Duration,
    /// From its deletion until a Pod is gone.
    pub(crate) terminate_after: Duration,
    /// From its readiness until a Pod that is to complete does so.
    pub(crate) complete_after: Duration,
}

/// One look.
pub(crate) fn step(view: View<'_>) -> Step {
    if is_deleting(view.pod) {
        return terminate(view);
    }
    let mut step = Step::default();
    if pod::is_terminal(view.pod) {
        return step;
    }
    let (stage, next) = stage(view);
    if let Some(at) = next {
        step.wake(at);
    }
    let status = status(view, stage);
    if without_nulls(&status) == without_nulls(&view.pod["status"]) {
        return step;
    }
    let restarted = pod::restarts(view.pod) < stage.restarts();
    let starts = stage.runs() && (pod::phase(view.pod) != "Running" || restarted);
    let mut object = view.pod.clone();
    object["status"] = status;
    step.push(Write::UpdateStatus(pod::TABLE, object));
    if starts {
        note_start(view.pod, &mut step);
    }
    step
}

/// How far a Pod is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Stage {
    Creating,
    /// Its containers run, restarted so often.
    Running(i64),
    /// All of them ended with this exit code.
    Ended(i64),
}

impl Stage {
    fn runs(self) -> bool {
        matches!(self, Self::Running(_))
    }

    fn restarts(self) -> i64 {
        match self {
            Self::Running(restarts) => restarts,
            _ => 0,
        }
    }
}

/// How far a Pod is now, and when it goes on.
fn stage(view: View<'_>) -> (Stage, Option<Timestamp>) {
    let Some(ready_at) = ready_at(view) else {
        return (Stage::Creating, None);
    };
    if ready_at > view.now {
        return (Stage::Creating, Some(ready_at));
    }
    let restarts = pod::restarts(view.pod);
    let Some(after) = complete_after(view) else {
        return (Stage::Running(restarts), None);
    };
    // Starts are kept in whole seconds, so the end of the second is the safe side.
    let began = match restarts {
        0 => ready_at,
        _ => later(last_start(view), Duration::from_secs(1)),
    };
    let ends_at = later(began, after);
    if ends_at > view.now {
        return (Stage::Running(restarts), Some(ends_at));
    }
    let code = annotation(view.pod, EXIT_CODE).and_then(|code| code.parse().ok());
    let code = code.unwrap_or(0);
    match view.pod["spec"]["restartPolicy"].as_str() {
        Some("Never") => (Stage::Ended(code), None),
        Some("OnFailure") if code == 0 => (Stage::Ended(code), None),
        _ => {
            let again = later(later(view.now, Duration::from_secs(1)), after);
            (Stage::Running(restarts + 1), Some(again))
        }
    }
}

fn complete_after(view: View<'_>) -> Option<Duration> {
    match annotation(view.pod, COMPLETE_AFTER) {
        Some("never") => None,
        Some(text) => duration(text),
        None if matches!(
            view.pod["spec"]["restartPolicy"].as_str(),
            Some("Never" | "OnFailure")
        ) =>
        {
            Some(view.pace.complete_after)
        }
        None => None,
    }
}

fn last_start(view: View<'_>) -> Timestamp {
    let statuses = list(&view.pod["status"]["containerStatuses"]).iter();
    let starts = statuses.filter_map(|status| time(&status["state"]["running"]["startedAt"]));
    starts.max().unwrap_or(view.now)
}

fn terminate(view: View<'_>) -> Step {
    let mut step = Step::default();
    let grace = view.pod["metadata"]["deletionGracePeriodSeconds"]
        .as_i64()
        .unwrap_or(0);
    let grace = Duration::from_secs(grace.try_into().unwrap_or(0));
    let wanted = annotation(view.pod, TERMINATE_AFTER).and_then(duration);
    let after = wanted.unwrap_or(view.pace.terminate_after).min(grace);
    let gone_at = later(view.leaving_at, after);
    if gone_at > view.now {
        step.wake(gone_at);
        return step;
    }
    // Who holds a Pod by a finalizer still wants to know how it ended.
    if finalizers(view.pod).next().is_some() {
        if !pod::is_terminal(view.pod) {
            let mut object = view.pod.clone();
            object["status"] = status(view, Stage::Ended(KILLED));
            step.push(Write::UpdateStatus(pod::TABLE, object));
            return step;
        }
        if grace.is_zero() {
            return step;
        }
    }
    let mut deletion = Deletion::of(pod::TABLE, view.pod);
    deletion.grace_secs = Some(0);
    step.push(Write::Delete(deletion));
    step
}

fn ready_at(view: View<'_>) -> Option<Timestamp> {
    match annotation(view.pod, READY_AFTER) {
        Some("never") => None,
        text => {
            let after = text.and_then(duration).unwrap_or(view.pace.ready_after);
            Some(later(view.seen_at, after))
        }
    }
}

fn later(time: Timestamp, by: Duration) -> Timestamp {
    let by = SignedDuration::try_from(by).unwrap_or(SignedDuration::MAX);
    time.saturating_add(by).unwrap_or(Timestamp::MAX)
}

/// `500ms`, `2s`, `1m` as Kubernetes writes durations.
fn duration(text: &str) -> Option<Duration> {
    let unit_at = text.find(|c: char| !c.is_ascii_digit() && c != '.')?;
    let (number, unit) = text.split_at(unit_at);
    let seconds = match unit {
        "ms" => 0.001,
        "s" => 1.0,
        "m" => 60.0,
        "h" => 3_600.0,
        _ => return None,
    };
    Duration::try_from_secs_f64(number.parse::<f64>().ok()? * seconds).ok()
}

fn status(view: View<'_>, stage: Stage) -> Value {
    let pod = view.pod;
    let mut status = pod["status"].as_object().cloned().unwrap_or_default();
    let mut set = |field: &str, value: Value| drop(status.insert(field.to_owned(), value));
    if generation(pod) > 0 {
        set("observedGeneration", json!(generation(pod)));
    }
    set(
        "phase",
        json!(match stage {
            Stage::Creating => "Pending",
            Stage::Running(_) => "Running",
            Stage::Ended(0) => "Succeeded",
            Stage::Ended(_) => "Failed",
        }),
    );
    set("conditions", conditions(view, stage));
    set("hostIP", json!(view.host));
    set("hostIPs", json!([{"ip": view.host}]));
    if stage != Stage::Creating || host_network(pod) {
        let address = address(view);
        set("podIP", json!(address));
        set("podIPs", json!([{"ip": address}]));
    }
    if pod["status"]["startTime"].is_null() {
        set("startTime", json!(seconds(view.seen_at)));
    }
    let initial = list(&pod["spec"]["initContainers"]);
    if !initial.is_empty() {
        let list = initial
            .iter()
            .map(|container| init_container(view, container, stage));
        set("initContainerStatuses", list.collect());
    }
    let containers = list(&pod["spec"]["containers"]).iter();
    set(
        "containerStatuses",
        containers.map(|one| container(view, one, stage)).collect(),
    );
    Value::Object(status)
}

fn host_network(pod: &Value) -> bool {
    pod["spec"]["hostNetwork"] == true
}

fn address(view: View<'_>) -> Value {
    match (&view.pod["status"]["podIP"], host_network(view.pod)) {
        (_, true) => json!(view.host),
        (Value::Null, false) => json!(view.address),
        (known, false) => known.clone(),
    }
}

/// Conditions in the order of a real kubelet.
fn conditions(view: View<'_>, stage: Stage) -> Value {
    let names: Vec<&str> = list(&view.pod["spec"]["containers"])
        .iter()
        .filter_map(|c| c["name"].as_str())
        .collect();
    let unready = match stage {
        Stage::Ended(0) => ("PodCompleted", String::new()),
        Stage::Ended(_) => ("PodFailed", String::new()),
        _ => {
            let message = format!("containers with unready status: [{}]", names.join(" "));
            ("ContainersNotReady", message)
        }
    };
    let initialized =
        stage != Stage::Creating || list(&view.pod["spec"]["initContainers"]).is_empty();
    let running = stage.runs();
    let mut conditions = vec![
        condition(view, "PodReadyToStartContainers", running, None),
        condition(view, "Initialized", initialized, incomplete(view.pod)),
        condition(view, "Ready", running, Some(unready.clone())),
        condition(view, "ContainersReady", running, Some(unready)),
        condition(view, "PodScheduled", true, None),
    ];
    if stage == Stage::Ended(0) {
        conditions[1]["reason"] = json!("PodCompleted");
    }
    let own = [
        "PodReadyToStartContainers",
        "Initialized",
        "Ready",
        "ContainersReady",
        "PodScheduled",
    ];
    let others = list(&view.pod["status"]["conditions"]).iter();
    let foreign = others.filter(|other| !own.iter().any(|kind| other["type"] == **kind));
    conditions.extend(foreign.cloned());
    Value::Array(conditions)
}

fn incomplete(pod: &Value) -> Option<(&'static str, String)> {
    let names = list(&pod["spec"]["initContainers"])
        .iter()
        .filter_map(|c| c["name"].as_str());
    let names: Vec<&str> = names.collect();
    let message = format!("containers with incomplete status: [{}]", names.join(" "));
    Some(("ContainersNotInitialized", message))
}

fn condition(view: View<'_>, kind: &str, holds: bool, why: Option<(&str, String)>) -> Value {
    let status = if holds { "True" } else { "False" };
    let before = pod::condition(view.pod, kind).filter(|before| before["status"] == *status);
    let since = before.map(|before| before["lastTransitionTime"].clone());
    let mut condition = Map::new();
    condition.insert("type".to_owned(), json!(kind));
    if generation(view.pod) > 0 {
        condition.insert("observedGeneration".to_owned(), json!(generation(view.pod)));
    }
    condition.insert("status".to_owned(), json!(status));
    condition.insert("lastProbeTime".to_owned(), Value::Null);
    let since = since.unwrap_or_else(|| json!(seconds(view.now)));
    condition.insert("lastTransitionTime".to_owned(), since);
    if let Some((reason, message)) = why.filter(|_| !holds) {
        condition.insert("reason".to_owned(), json!(reason));
        if !message.is_empty() {
            condition.insert("message".to_owned(), json!(message));
        }
    }
    Value::Object(condition)
}

fn container(view: View<'_>, container: &Value, stage: Stage) -> Value {
    let known = pod::restarts(view.pod);
    let restarts = match stage {
        Stage::Running(restarts) => restarts,
        _ => known,
    };
    let restarted = restarts > known;
    let started = if restarted {
        json!(seconds(view.now))
    } else {
        started_at(view, container)
    };
    let ended = |code: i64| {
        json!({"terminated": {
            "exitCode": code,
            "reason": if code == 0 { "Completed" } else { "Error" },
            "startedAt": started_at(view, container),
            "finishedAt": seconds(view.now),
            "containerID": container_id(view.pod, container),
        }})
    };
    let state = match stage {
        Stage::Running(_) => json!({"running": {"startedAt": started}}),
        Stage::Creating => json!({"waiting": {"reason": "ContainerCreating"}}),
        Stage::Ended(code) => ended(code),
    };
    let before = previous(view, container);
    let last_state = match before {
        _ if restarted => {
            let code = annotation(view.pod, EXIT_CODE).and_then(|code| code.parse().ok());
            ended(code.unwrap_or(0))
        }
        Some(before) => before["lastState"].clone(),
        None => json!({}),
    };
    let mut status = json!({
        "name": container["name"],
        "state": state,
        "lastState": last_state,
        "ready": stage.runs(),
        "restartCount": restarts,
        "image": container["image"],
        "imageID": "",
        "started": stage.runs(),
    });
    if stage != Stage::Creating {
        status["imageID"] = json!(format!(
            "sha256:{}",
            digest(&[&container["image"].to_string()])
        ));
        status["containerID"] = json!(container_id(view.pod, container));
    }
    status
}

fn previous<'a>(view: View<'a>, container: &Value) -> Option<&'a Value> {
    list(&view.pod["status"]["containerStatuses"])
        .iter()
        .find(|status| status["name"] == container["name"])
}

fn init_container(view: View<'_>, spec: &Value, stage: Stage) -> Value {
    if spec["restartPolicy"] == "Always" {
        return container(view, spec, stage);
    }
    let mut status = container(view, spec, Stage::Running(0));
    status["lastState"] = json!({});
    let at = started_at(view, spec);
    status["started"] = json!(false);
    if stage == Stage::Creating {
        status["ready"] = json!(false);
        status["imageID"] = json!("");
        status["state"] = json!({"waiting": {"reason": "PodInitializing"}});
        if let Some(fields) = status.as_object_mut() {
            fields.shift_remove("containerID");
        }
    } else {
        status["state"] = json!({"terminated": {
            "exitCode": 0,
            "reason": "Completed",
            "startedAt": at,
            "finishedAt": at,
            "containerID": container_id(view.pod, spec),
        }});
    }
    status
}

/// When a container started: what its status says, or now.
fn started_at(view: View<'_>, container: &Value) -> Value {
    let status = &view.pod["status"];
    let statuses = list(&status["containerStatuses"])
        .iter()
        .chain(list(&status["initContainerStatuses"]));
    let own = statuses
        .into_iter()
        .find(|status| status["name"] == container["name"]);
    let known = own.and_then(|status| {
        let state = &status["state"];
        let at = state["running"]
            .get("startedAt")
            .or_else(|| state["terminated"].get("startedAt"));
        time(at?).map(seconds)
    });
    json!(known.unwrap_or_else(|| seconds(view.now)))
}

fn container_id(pod: &Value, container: &Value) -> String {
    format!(
        "containerd://{}",
        digest(&[uid(pod), &container["name"].to_string()])
    )
}

fn digest(parts: &[&str]) -> String {
    let mut hash = Sha256::new();
    parts.iter().for_each(|part| hash.update(part.as_bytes()));
    hash.finalize()
        .iter()
        .map(|byte| format!("{byte:02x}"))
        .collect()
}

fn note_start(pod: &Value, step: &mut Step) {
    for container in list(&pod["spec"]["containers"]) {
        let (image, container) = (
            container["image"].as_str().unwrap_or_default(),
            container["name"].as_str().unwrap_or_default(),
        );
        let mut note = |reason, message| {
            let note = Note::new(COMPONENT, pod, Severity::Normal, reason, message);
            step.push(Write::Event(
                note.at(format!("spec.containers{{{container}}}")),
            ));
        };
        note(
            "Pulled",
            format!("Container image {image:?} already present on machine"),
        );
        note("Created", format!("Created container: {container}"));
        note("Started", format!("Started container {container}"));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SEEN: &str = "2026-01-01T00:00:00Z";

    fn pod() -> Value {
        json!({"metadata": {"name": "web", "namespace": "n", "uid": "u", "generation": 1},
            "spec": {"nodeName": "a", "containers": [{"name": "web", "image": "nginx"}]},
            "status": {"phase": "Pending", "qosClass": "BestEffort", "conditions": [
                {"type": "PodScheduled", "status": "True", "lastProbeTime": null,
                 "lastTransitionTime": SEEN, "observedGeneration": 1}]}})
    }

    fn look(pod: &Value, after_millis: i64) -> Step {
        let seen_at: Timestamp = SEEN.parse().unwrap();
        step(View {
            pod,
            host: Ipv4Addr::new(192, 168, 0, 1),
            address: Ipv4Addr::new(10, 128, 0, 9),
            seen_at,
            leaving_at: seen_at,
            pace: Pace {
                ready_after: Duration::from_millis(500),
                terminate_after: Duration::from_millis(200),
                complete_after: Duration::from_secs(1),
            },
            now: seen_at + SignedDuration::from_millis(after_millis),
        })
    }

    fn written(step: &Step) -> Value {
        match &step.writes[0] {
            Write::UpdateStatus(_, pod) => pod.clone(),
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn a_pod_is_created_and_then_runs() {
        let first = look(&pod(), 0);
        let creating = written(&first);
        let status = &creating["status"];
        assert_eq!(status["phase"], "Pending");
        assert_eq!(
            status["containerStatuses"][0]["state"]["waiting"]["reason"],
            "ContainerCreating"
        );
        assert_eq!(
            status["conditions"][2]["message"],
            "containers with unready status: [web]"
        );
        assert_eq!(status.get("podIP"), None);
        assert_eq!(
            first.wake_at,
            Some("2026-01-01T00:00:00.5Z".parse().unwrap())
        );
        assert_eq!(look(&creating, 100).writes, []);

        let running = written(&look(&creating, 500));
        let status = &running["status"];
        assert_eq!(status["phase"], "Running");
        assert_eq!(status["podIP"], "10.128.0.9");
        assert_eq!(status["hostIPs"], json!([{"ip": "192.168.0.1"}]));
        assert_eq!(status["qosClass"], "BestEffort");
        let kinds: Vec<&str> = list(&status["conditions"])
            .iter()
            .inspect(|condition| assert_eq!(condition["status"], "True"))
            .filter_map(|condition| condition["type"].as_str())
            .collect();
        assert_eq!(
            kinds,
            [
                "PodReadyToStartContainers",
                "Initialized",
                "Ready",
                "ContainersReady",
                "PodScheduled"
            ]
        );
        assert_eq!(look(&running, 60_000), Step::default());
    }

    #[test]
    fn a_pod_may_say_how_long_it_takes_or_never_be_ready() {
        let mut slow = pod();
        slow["metadata"]["annotations"] = json!({READY_AFTER: "2s"});
        assert_eq!(
            look(&slow, 0).wake_at,
            Some("2026-01-01T00:00:02Z".parse().unwrap())
        );
        slow["metadata"]["annotations"] = json!({READY_AFTER: "never"});
        assert_eq!(look(&slow, 0).wake_at, None);
        assert_eq!(written(&look(&slow, 100_000))["status"]["phase"], "Pending");
    }

    #[test]
    fn a_deleted_pod_ends_within_its_grace() {
        let mut going = pod();
        going["metadata"]["deletionTimestamp"] = json!("2026-01-01T00:00:30Z");
        going["metadata"]["deletionGracePeriodSeconds"] = json!(30);
        assert_eq!(
            look(&going, 0).wake_at,
            Some("2026-01-01T00:00:00.2Z".parse().unwrap())
        );
        let gone = look(&going, 200);
        let [Write::Delete(deletion)] = &gone.writes[..] else {
            panic!("{gone:?}")
        };
        assert_eq!((deletion.grace_secs, deletion.uid.as_str()), (Some(0), "u"));
        going["metadata"]["deletionGracePeriodSeconds"] = json!(0);
        assert!(matches!(look(&going, 0).writes[..], [Write::Delete(_)]));
    }

    #[test]
    fn init_containers_complete_before_the_pod_runs() {
        let mut with_init = pod();
        with_init["spec"]["initContainers"] = json!([{"name": "prepare", "image": "busybox"}]);
        let creating = written(&look(&with_init, 0));
        assert_eq!(
            creating["status"]["conditions"][1]["reason"],
            "ContainersNotInitialized"
        );
        let running = written(&look(&creating, 500));
        let prepare = &running["status"]["initContainerStatuses"][0];
        assert_eq!(prepare["state"]["terminated"]["reason"], "Completed");
        assert_eq!(prepare["ready"], true);
        assert_eq!(look(&running, 60_000), Step::default());
    }

    #[test]
    fn a_running_pod_marked_unready_by_the_node_controller_recovers() {
        let creating = written(&look(&pod(), 0));
        let mut marked = written(&look(&creating, 500));
        marked["status"]["conditions"][2]["status"] = json!("False");
        let recovered = written(&look(&marked, 90_000));
        assert_eq!(recovered["status"]["conditions"][2]["status"], "True");
        assert_eq!(
            recovered["status"]["conditions"][2]["lastTransitionTime"],
            "2026-01-01T00:01:30Z"
        );
    }

    #[test]
    fn a_pod_that_is_not_always_restarted_completes() {
        let mut once = pod();
        once["spec"]["restartPolicy"] = json!("Never");
        let running = written(&look(&once, 500));
        assert_eq!(
            look(&running, 600).wake_at,
            Some("2026-01-01T00:00:01.5Z".parse().unwrap())
        );
        let ended = written(&look(&running, 1_500));
        let status = &ended["status"];
        assert_eq!(status["phase"], "Succeeded");
        assert_eq!(status["conditions"][2]["reason"], "PodCompleted");
        let state = &status["containerStatuses"][0]["state"]["terminated"];
        assert_eq!(
            (&state["exitCode"], &state["reason"]),
            (&json!(0), &json!("Completed"))
        );
        assert_eq!(look(&ended, 9_000), Step::default());
        once["metadata"]["annotations"] = json!({EXIT_CODE: "3", COMPLETE_AFTER: "4s"});
        let running = written(&look(&once, 500));
        let failed = written(&look(&running, 4_500));
        assert_eq!(failed["status"]["phase"], "Failed");
        once["metadata"]["annotations"] = json!({COMPLETE_AFTER: "never"});
        let running = written(&look(&once, 500));
        assert_eq!(look(&running, 100_000), Step::default());
    }

    #[test]
    fn a_container_that_failed_is_restarted_where_the_policy_says_so() {
        let mut again = pod();
        again["spec"]["restartPolicy"] = json!("OnFailure");
        again["metadata"]["annotations"] = json!({EXIT_CODE: "1"});
        let running = written(&look(&again, 500));
        let restarted = look(&running, 1_500);
        assert_eq!(
            restarted.wake_at,
            Some("2026-01-01T00:00:03.5Z".parse().unwrap())
        );
        let restarted = written(&restarted);
        let container = &restarted["status"]["containerStatuses"][0];
        assert_eq!(
            (&restarted["status"]["phase"], &container["restartCount"]),
            (&json!("Running"), &json!(1))
        );
        assert_eq!(container["lastState"]["terminated"]["exitCode"], 1);
        assert_eq!(look(&restarted, 2_000).writes, []);
        let twice = written(&look(&restarted, 3_500));
        assert_eq!(twice["status"]["containerStatuses"][0]["restartCount"], 2);
    }

    #[test]
    fn a_deleted_pod_that_somebody_holds_says_how_it_ended() {
        let mut held = written(&look(&pod(), 500));
        held["metadata"]["finalizers"] = json!(["example.com/hold"]);
        held["metadata"]["deletionTimestamp"] = json!("2026-01-01T00:00:30Z");
        held["metadata"]["deletionGracePeriodSeconds"] = json!(30);
        held = written(&look(&held, 700));
        assert_eq!(held["status"]["phase"], "Failed");
        assert!(matches!(look(&held, 800).writes[..], [Write::Delete(_)]));
        held["metadata"]["deletionGracePeriodSeconds"] = json!(0);
        assert_eq!(look(&held, 900).writes, []);
    }

    #[test]
    fn durations_are_read_as_kubernetes_writes_them() {
        for (text, expected) in [
            ("500ms", Some(Duration::from_millis(500))),
            ("1.5s", Some(Duration::from_millis(1_500))),
            ("2m", Some(Duration::from_secs(120))),
            ("5", None),
            ("soon", None),
        ] {
            assert_eq!(duration(text), expected, "{text}");
        }
    }
}
