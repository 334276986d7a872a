//! The ReplicaSet controller: as many Pods as wanted, and a status that counts them
//! (`replica_set.go` of the real one).

use super::claim::{claim, controller_reference};
use super::pod;
use super::selector::contains;
use super::step::{Creation, Deletion, Note, Severity, Step, Write};
use crate::clock::seconds;
use crate::object::{annotation, generation, is_deleting, labels, list, name, namespace, uid};
use jiff::Timestamp;
use serde_json::{Map, Value, json};
use std::cmp::Ordering;
use std::collections::BTreeMap;

/// Table of ReplicaSets.
pub(crate) const TABLE: &str = "replicasets.apps";
/// Pods created or deleted at one look at most, as in the real controller.
pub(crate) const BURST_REPLICAS_MAX: usize = 500;
/// Who reports Events.
const COMPONENT: &str = "replicaset-controller";
/// Pods with a lower cost go first.
const DELETION_COST: &str = "controller.kubernetes.io/pod-deletion-cost";
const REPLICA_FAILURE: &str = "ReplicaFailure";

/// What a look at one ReplicaSet sees.
#[derive(Debug, Clone, Copy)]
pub(crate) struct View<'a> {
    /// The ReplicaSet.
    pub(crate) replica_set: &'a Value,
    /// Pods of its namespace that it controls or that have no controller.
    pub(crate) pods: &'a [&'a Value],
    /// Pods of all ReplicaSets that share its controller: those that share a node with many of
    /// them go first.
    pub(crate) related: &'a [&'a Value],
    /// Why Pods could not be created at the last look, and when to try again.
    pub(crate) failure: Option<&'a Failure>,
    /// The present.
    pub(crate) now: Timestamp,
}

/// A write that was refused.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Failure {
    /// The server's words.
    pub(crate) message: String,
    /// When to try again.
    pub(crate) retry_at: Timestamp,
}

/// One look.
pub(crate) fn step(view: View<'_>) -> Step {
    let replica_set = view.replica_set;
    let living = view.pods.iter().copied().filter(|pod| pod::is_active(pod));
    let (active, adoptions) = claim(replica_set, pod::TABLE, living);
    if !adoptions.is_empty() {
        return Step {
            writes: adoptions,
            wake_at: None,
        };
    }
    let terminating = view.pods.iter().filter(|pod| {
        is_deleting(pod)
            && !pod::is_terminal(pod)
            && crate::object::controller_uid(pod) == Some(uid(replica_set))
    });
    let terminating = terminating.count();
    let mut step = Step::default();
    let waits = view.failure.filter(|failure| view.now < failure.retry_at);
    if let Some(failure) = waits {
        step.wake(failure.retry_at);
    } else if !is_deleting(replica_set) {
        resize(view, &active, &mut step);
    }
    let status = status(view, &active, terminating);
    if status != replica_set["status"] {
        let mut object = replica_set.clone();
        object["status"] = status;
        step.push(Write::UpdateStatus(TABLE, object));
    }
    if let Some(at) = next_availability(view, &active) {
        step.wake(at);
    }
    step
}

fn wanted(replica_set: &Value) -> usize {
    replica_set["spec"]["replicas"]
        .as_u64()
        .unwrap_or(1)
        .try_into()
        .unwrap_or(usize::MAX)
}

fn resize(view: View<'_>, active: &[&Value], step: &mut Step) {
    let wanted = wanted(view.replica_set);
    if active.len() < wanted {
        let missing = (wanted - active.len()).min(BURST_REPLICAS_MAX);
        let announce = Note::new(
            COMPONENT,
            view.replica_set,
            Severity::Normal,
            "SuccessfulCreate",
            "Created pod: ".to_owned(),
        );
        for _ in 0..missing {
            step.push(Write::Create(Creation {
                table: pod::TABLE,
                object: pod_from_template(view.replica_set),
                announce: Some(announce.clone()),
            }));
        }
    } else if active.len() > wanted {
        let surplus = (active.len() - wanted).min(BURST_REPLICAS_MAX);
        for pod in first_to_go(view, active).into_iter().take(surplus) {
            step.push(Write::Delete(Deletion::of(pod::TABLE, pod)));
            step.push(Write::Event(Note::new(
                COMPONENT,
                view.replica_set,
                Severity::Normal,
                "SuccessfulDelete",
                format!("Deleted pod: {}", name(pod)),
            )));
        }
    }
}

/// A Pod as the template asks for it.
pub(crate) fn pod_from_template(owner: &Value) -> Value {
    let template = &owner["spec"]["template"];
    let mut metadata = Map::new();
    // As long as the server's limit for generated names leaves room.
    let mut prefix = format!("{}-", name(owner));
    prefix.truncate(crate::workloads::GENERATE_NAME_CHARS_MAX);
    metadata.insert("generateName".to_owned(), json!(prefix));
    metadata.insert("namespace".to_owned(), json!(namespace(owner)));
    for field in ["labels", "annotations", "finalizers"] {
        if let Some(value) = template["metadata"]
            .get(field)
            .filter(|value| !value.is_null())
        {
            metadata.insert(field.to_owned(), value.clone());
        }
    }
    metadata.insert(
        "ownerReferences".to_owned(),
        json!([controller_reference(owner)]),
    );
    json!({"apiVersion": "v1", "kind": "Pod", "metadata": metadata, "spec": template["spec"]})
}

/// Pods in the order in which they would be missed least.
fn first_to_go<'a>(view: View<'_>, active: &[&'a Value]) -> Vec<&'a Value> {
    let mut neighbours: BTreeMap<&str, usize> = BTreeMap::new();
    for pod in view
        .related
        .iter()
        .filter(|pod| pod::is_active(pod) && pod::is_ready(pod))
    {
        *neighbours.entry(pod::node(pod)).or_default() += 1;
    }
    let rank = |pod: &Value| neighbours.get(pod::node(pod)).copied().unwrap_or(0);
    let mut pods = active.to_vec();
    pods.sort_by(|left, right| {
        cheaper(left, right)
            .then_with(|| rank(right).cmp(&rank(left)))
            .then_with(|| younger(left, right, view.now))
    });
    pods
}

/// Unbound before bound, Pending before Running, not ready before ready, lower cost first.
fn cheaper(left: &Value, right: &Value) -> Ordering {
    let phase = |pod: &Value| match pod::phase(pod) {
        "Pending" => 0,
        "Unknown" => 1,
        _ => 2,
    };
    let cost = |pod: &Value| {
        annotation(pod, DELETION_COST)
            .and_then(|c| c.parse::<i32>().ok())
            .unwrap_or(0)
    };
    let key = |pod: &Value| {
        (
            !pod::node(pod).is_empty(),
            phase(pod),
            pod::is_ready(pod),
            cost(pod),
        )
    };
    key(left).cmp(&key(right))
}

/// Ready for less time first, more restarts first, younger first; times are compared by their
/// logarithm, and what is alike is ordered by uid, which is chance (KEP-2185).
fn younger(left: &Value, right: &Value, now: Timestamp) -> Ordering {
    let magnitude = |time: Option<Timestamp>| {
        let passed = time.map_or(i128::MAX, |time| now.duration_since(time).as_nanos());
        if passed > 0 {
            i64::from(passed.ilog2())
        } else {
            -1
        }
    };
    let by_uid = || uid(left).cmp(uid(right));
    if pod::is_ready(left) && pod::is_ready(right) {
        let (one, other) = (pod::ready_since(left), pod::ready_since(right));
        if one != other {
            return magnitude(one).cmp(&magnitude(other)).then_with(by_uid);
        }
    }
    let created = |pod: &Value| super::step::time(&pod["metadata"]["creationTimestamp"]);
    pod::restarts(right)
        .cmp(&pod::restarts(left))
        .then_with(|| {
            magnitude(created(left))
                .cmp(&magnitude(created(right)))
                .then_with(by_uid)
        })
}

fn status(view: View<'_>, active: &[&Value], terminating: usize) -> Value {
    let replica_set = view.replica_set;
    let template_labels = &replica_set["spec"]["template"]["metadata"]["labels"];
    let min_ready = min_ready_secs(replica_set);
    let labelled = active
        .iter()
        .filter(|pod| contains(template_labels, labels(pod)))
        .count();
    let ready = active.iter().filter(|pod| pod::is_ready(pod)).count();
    let is_available =
        |pod: &Value| pod::available_at(pod, min_ready).is_some_and(|at| at <= view.now);
    let available = active.iter().filter(|pod| is_available(pod)).count();
    let mut status = Map::new();
    status.insert("replicas".to_owned(), json!(active.len()));
    for (field, count) in [
        ("fullyLabeledReplicas", labelled),
        ("readyReplicas", ready),
        ("availableReplicas", available),
    ] {
        if count > 0 {
            status.insert(field.to_owned(), json!(count));
        }
    }
    status.insert("terminatingReplicas".to_owned(), json!(terminating));
    status.insert(
        "observedGeneration".to_owned(),
        json!(generation(replica_set)),
    );
    let conditions = conditions(view, active.len());
    if !conditions.is_empty() {
        status.insert("conditions".to_owned(), Value::Array(conditions));
    }
    Value::Object(status)
}

fn conditions(view: View<'_>, active: usize) -> Vec<Value> {
    let before = list(&view.replica_set["status"]["conditions"]);
    let others = before
        .iter()
        .filter(|condition| condition["type"] != REPLICA_FAILURE);
    let mut conditions: Vec<Value> = others.cloned().collect();
    let Some(failure) = view.failure else {
        return conditions;
    };
    let known = before
        .iter()
        .find(|condition| condition["type"] == REPLICA_FAILURE);
    let reason = if active < wanted(view.replica_set) {
        "FailedCreate"
    } else {
        "FailedDelete"
    };
    conditions.push(known.cloned().unwrap_or_else(|| {
        json!({
            "type": REPLICA_FAILURE,
            "status": "True",
            "lastTransitionTime": seconds(view.now),
            "reason": reason,
            "message": failure.message,
        })
    }));
    conditions
}

fn min_ready_secs(replica_set: &Value) -> i64 {
    replica_set["spec"]["minReadySeconds"].as_i64().unwrap_or(0)
}

fn next_availability(view: View<'_>, active: &[&Value]) -> Option<Timestamp> {
    let min_ready = min_ready_secs(view.replica_set);
    let times = active
        .iter()
        .filter_map(|pod| pod::available_at(pod, min_ready));
    times.filter(|at| *at > view.now).min()
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOW: &str = "2026-01-01T00:10:00Z";

    fn replica_set(replicas: usize) -> Value {
        json!({"apiVersion": "apps/v1", "kind": "ReplicaSet",
            "metadata": {"name": "web-1", "namespace": "n", "uid": "rs", "generation": 1},
            "spec": {"replicas": replicas, "selector": {"matchLabels": {"app": "web"}},
                "template": {"metadata": {"labels": {"app": "web"}, "annotations": {"a": "b"}},
                    "spec": {"containers": [{"name": "c"}]}}}})
    }

    fn pod(name: &str, node: &str, phase: &str, ready_since: Option<&str>) -> Value {
        let mut pod = json!({"metadata": {"name": name, "namespace": "n", "uid": name,
                "labels": {"app": "web"}, "creationTimestamp": "2026-01-01T00:00:00Z",
                "ownerReferences": [{"uid": "rs", "controller": true}]},
            "spec": {"nodeName": node}, "status": {"phase": phase}});
        if let Some(since) = ready_since {
            pod["status"]["conditions"] =
                json!([{"type": "Ready", "status": "True", "lastTransitionTime": since}]);
        }
        pod
    }

    fn look(replica_set: &Value, pods: &[Value]) -> Step {
        let pods: Vec<&Value> = pods.iter().collect();
        let now = NOW.parse().unwrap();
        step(View {
            replica_set,
            pods: &pods,
            related: &pods,
            failure: None,
            now,
        })
    }

    fn deleted(step: &Step) -> Vec<&str> {
        let names = step.writes.iter().filter_map(|write| match write {
            Write::Delete(deletion) => Some(deletion.name.as_str()),
            _ => None,
        });
        names.collect()
    }

    fn written_status(step: &Step) -> Value {
        let status = step.writes.iter().find_map(|write| match write {
            Write::UpdateStatus(TABLE, object) => Some(object["status"].clone()),
            _ => None,
        });
        status.expect("a status")
    }

    #[test]
    fn missing_pods_are_made_from_the_template() {
        let step = look(&replica_set(2), &[]);
        let [
            Write::Create(one),
            Write::Create(_),
            Write::UpdateStatus(..),
        ] = &step.writes[..]
        else {
            panic!("{step:?}");
        };
        assert_eq!(
            one.object,
            json!({"apiVersion": "v1", "kind": "Pod",
                "metadata": {"generateName": "web-1-", "namespace": "n", "labels": {"app": "web"},
                    "annotations": {"a": "b"},
                    "ownerReferences": [{"apiVersion": "apps/v1", "kind": "ReplicaSet",
                        "name": "web-1", "uid": "rs", "controller": true,
                        "blockOwnerDeletion": true}]},
                "spec": {"containers": [{"name": "c"}]}})
        );
        assert_eq!(one.announce.as_ref().unwrap().message, "Created pod: ");
    }

    #[test]
    fn a_large_scale_up_comes_in_bursts() {
        let step = look(&replica_set(2_000), &[]);
        let created = step
            .writes
            .iter()
            .filter(|write| matches!(write, Write::Create(_)));
        assert_eq!(created.count(), BURST_REPLICAS_MAX);
    }

    #[test]
    fn the_least_missed_pods_go_first() {
        let long = Some("2026-01-01T00:00:00Z");
        let pods = [
            pod("old", "a", "Running", long),
            pod("young", "b", "Running", Some("2026-01-01T00:09:59Z")),
            pod("unready", "b", "Running", None),
            pod("pending", "b", "Pending", None),
            pod("unbound", "", "Pending", None),
        ];
        for (left, gone) in [
            (4, vec!["unbound"]),
            (3, vec!["unbound", "pending"]),
            (2, vec!["unbound", "pending", "unready"]),
            (1, vec!["unbound", "pending", "unready", "young"]),
        ] {
            assert_eq!(deleted(&look(&replica_set(left), &pods)), gone);
        }
    }

    #[test]
    fn a_crowded_node_is_relieved_first_unless_costs_say_otherwise() {
        let long = Some("2026-01-01T00:00:00Z");
        let mut pods = [
            pod("1", "a", "Running", long),
            pod("2", "b", "Running", long),
            pod("3", "b", "Running", long),
        ];
        assert_eq!(deleted(&look(&replica_set(2), &pods)), ["2"]);
        pods[0]["metadata"]["annotations"] = json!({DELETION_COST: "-1"});
        assert_eq!(deleted(&look(&replica_set(2), &pods)), ["1"]);
    }

    #[test]
    fn the_status_counts_pods_and_availability_waits_for_min_ready_seconds() {
        let mut set = replica_set(3);
        set["spec"]["minReadySeconds"] = json!(10);
        let mut going = pod("going", "a", "Running", None);
        going["metadata"]["deletionTimestamp"] = json!(NOW);
        let pods = [
            pod("long", "a", "Running", Some("2026-01-01T00:09:50Z")),
            pod("short", "a", "Running", Some("2026-01-01T00:09:55Z")),
            pod("starting", "a", "Pending", None),
            pod("done", "a", "Succeeded", None),
            going,
        ];
        let step = look(&set, &pods);
        assert_eq!(
            written_status(&step),
            json!({"replicas": 3, "fullyLabeledReplicas": 3, "readyReplicas": 2,
                "availableReplicas": 1, "terminatingReplicas": 1, "observedGeneration": 1})
        );
        assert_eq!(step.wake_at, Some("2026-01-01T00:10:05Z".parse().unwrap()));
        set["status"] = written_status(&step);
        assert_eq!(look(&set, &pods).writes, []);
    }

    #[test]
    fn a_refused_creation_is_told_and_tried_again_later() {
        let retry_at: Timestamp = "2026-01-01T00:10:05Z".parse().unwrap();
        let failure = Failure {
            message: "quota exceeded".to_owned(),
            retry_at,
        };
        let set = replica_set(1);
        let view = |now| View {
            replica_set: &set,
            pods: &[],
            related: &[],
            failure: Some(&failure),
            now,
        };
        let waiting = step(view(NOW.parse().unwrap()));
        assert_eq!(waiting.wake_at, Some(retry_at));
        assert_eq!(
            written_status(&waiting)["conditions"],
            json!([{"type": "ReplicaFailure", "status": "True", "lastTransitionTime": NOW,
                "reason": "FailedCreate", "message": "quota exceeded"}])
        );
        let again = step(view(retry_at));
        assert!(matches!(again.writes[0], Write::Create(_)));
    }
}
