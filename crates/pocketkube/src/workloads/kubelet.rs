//! A kubelet without containers: Pods of its node start, become ready, and end when deleted.

use super::pod;
use super::step::{Deletion, Note, Severity, Step, Write, time};
use super::template_hash::without_nulls;
use crate::clock::seconds;
use crate::object::{annotation, generation, is_deleting, list, uid};
use jiff::{SignedDuration, Timestamp};
use serde_json::{Map, Value, json};
use sha2::{Digest, Sha256};
use std::net::Ipv4Addr;
use std::time::Duration;

/// Annotation of a Pod: how long it takes to become ready, for instance `2s`, or `never`.
pub const READY_AFTER: &str = "pocketkube.dev/ready-after";
/// Annotation of a Pod: how long it takes to end after its deletion, at most its grace period.
pub const TERMINATE_AFTER: &str = "pocketkube.dev/terminate-after";
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
    let ready_at = ready_at(view);
    let ready = ready_at.is_some_and(|at| at <= view.now);
    if let Some(at) = ready_at.filter(|_| !ready) {
        step.wake(at);
    }
    let status = status(
        view,
        if ready {
            Stage::Running
        } else {
            Stage::Creating
        },
    );
    if without_nulls(&status) == without_nulls(&view.pod["status"]) {
        return step;
    }
    let starts = ready && pod::phase(view.pod) != "Running";
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
    Running,
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
        json!(if stage == Stage::Running {
            "Running"
        } else {
            "Pending"
        }),
    );
    set("conditions", conditions(view, stage));
    set("hostIP", json!(view.host));
    set("hostIPs", json!([{"ip": view.host}]));
    if stage == Stage::Running || host_network(pod) {
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
    let unready = format!("containers with unready status: [{}]", names.join(" "));
    let initialized =
        stage == Stage::Running || list(&view.pod["spec"]["initContainers"]).is_empty();
    let running = stage == Stage::Running;
    let mut conditions = vec![
        condition(view, "PodReadyToStartContainers", running, None),
        condition(view, "Initialized", initialized, incomplete(view.pod)),
        condition(
            view,
            "Ready",
            running,
            Some(("ContainersNotReady", unready.clone())),
        ),
        condition(
            view,
            "ContainersReady",
            running,
            Some(("ContainersNotReady", unready)),
        ),
        condition(view, "PodScheduled", true, None),
    ];
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
        condition.insert("message".to_owned(), json!(message));
    }
    Value::Object(condition)
}

fn container(view: View<'_>, container: &Value, stage: Stage) -> Value {
    let started = started_at(view, container);
    let running = stage == Stage::Running;
    let state = match stage {
        Stage::Running => json!({"running": {"startedAt": started}}),
        Stage::Creating => json!({"waiting": {"reason": "ContainerCreating"}}),
    };
    let mut status = json!({
        "name": container["name"],
        "state": state,
        "lastState": {},
        "ready": running,
        "restartCount": 0,
        "image": container["image"],
        "imageID": "",
        "started": running,
    });
    if running {
        status["imageID"] = json!(format!(
            "sha256:{}",
            digest(&[&container["image"].to_string()])
        ));
        status["containerID"] = json!(container_id(view.pod, container));
    }
    status
}

fn init_container(view: View<'_>, spec: &Value, stage: Stage) -> Value {
    if spec["restartPolicy"] == "Always" {
        return container(view, spec, stage);
    }
    let mut status = container(view, spec, stage);
    let at = started_at(view, spec);
    if stage == Stage::Running {
        status["started"] = json!(false);
        status["state"] = json!({"terminated": {
            "exitCode": 0,
            "reason": "Completed",
            "startedAt": at,
            "finishedAt": at,
            "containerID": container_id(view.pod, spec),
        }});
    } else {
        status["state"] = json!({"waiting": {"reason": "PodInitializing"}});
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
