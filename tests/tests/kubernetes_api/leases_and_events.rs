//! Leases, as electors use them, and Events of both API groups.

use serde_json::{Value, json};

use crate::answer::Look;
use crate::world::World;

cases! { ApiServer:
    a_lease_keeps_microseconds,
    a_lease_is_taken_by_the_first_who_updates_its_version,
    a_lease_needs_a_positive_duration,
    a_lease_table_shows_its_holder,
    a_core_event_is_stored_as_given,
    an_event_must_be_in_the_namespace_of_its_object,
    a_new_event_appears_in_both_groups,
    a_new_event_needs_its_controller,
    events_are_selected_by_their_object,
    a_series_of_events_is_patched,
}

fn lease(holder: &str) -> Value {
    json!({
        "apiVersion": "coordination.k8s.io/v1", "kind": "Lease", "metadata": {"name": "a"},
        "spec": {
            "holderIdentity": holder, "leaseDurationSeconds": 15, "leaseTransitions": 0,
            "acquireTime": "2026-01-01T00:00:00.000001Z", "renewTime": "2026-01-01T00:00:00.123456Z",
        },
    })
}

const LEASES: &str = "coordination.k8s.io/v1:leases";

async fn a_lease_keeps_microseconds(world: World) {
    let created = world.post(LEASES, &lease("me")).await.is(201);
    created.has(json!({"spec": {
        "holderIdentity": "me", "leaseDurationSeconds": 15,
        "acquireTime": "2026-01-01T00:00:00.000001Z", "renewTime": "2026-01-01T00:00:00.123456Z",
    }}));
    let patch = json!({"spec": {"renewTime": "2026-01-01T00:00:01.000000Z"}});
    let patched = world
        .merge_patch(&format!("{LEASES}/a"), &patch)
        .await
        .is(200);
    assert_eq!(patched["spec"]["renewTime"], "2026-01-01T00:00:01.000000Z");
}

async fn a_lease_is_taken_by_the_first_who_updates_its_version(world: World) {
    let seen = world.post(LEASES, &lease("old")).await.is(201);
    let path = format!("{LEASES}/a");
    let mut mine = seen.clone();
    mine["spec"]["holderIdentity"] = json!("me");
    let mut yours = seen;
    yours["spec"]["holderIdentity"] = json!("you");
    world.put(&path, &mine).await.is(200);
    let answer = world.put(&path, &yours).await;
    answer.refused_saying(
        409,
        "Conflict",
        "Operation cannot be fulfilled on leases.coordination.k8s.io \"a\": the object has been modified",
    );
    assert_eq!(
        world.get(&path).await.is(200)["spec"]["holderIdentity"],
        "me"
    );
}

async fn a_lease_needs_a_positive_duration(world: World) {
    let mut body = lease("me");
    body["spec"]["leaseDurationSeconds"] = json!(0);
    let answer = world.post(LEASES, &body).await;
    answer.refused_saying(
        422,
        "Invalid",
        "spec.leaseDurationSeconds: Invalid value: 0: must be greater than 0",
    );
}

async fn a_lease_table_shows_its_holder(world: World) {
    world.post(LEASES, &lease("me")).await.is(201);
    let accept = "application/json;as=Table;v=v1;g=meta.k8s.io";
    let table = world.get(LEASES).accept(accept).await.is(200);
    assert_eq!(table.at("/columnDefinitions/1/name"), "Holder");
    assert_eq!(table.list("/rows/0/cells")[..2], [json!("a"), json!("me")]);
}

fn core_event(world: &World, name: &str, about: &str) -> Value {
    json!({
        "apiVersion": "v1", "kind": "Event", "metadata": {"name": name},
        "involvedObject": {
            "apiVersion": "v1", "kind": "ConfigMap", "name": about, "namespace": world.namespace,
        },
        "reason": "Tested", "message": "It was tested.", "type": "Normal",
        "source": {"component": "case"}, "count": 1,
        "firstTimestamp": "2026-01-01T00:00:00Z", "lastTimestamp": "2026-01-01T00:00:00Z",
    })
}

async fn a_core_event_is_stored_as_given(world: World) {
    let created = world
        .post("events", &core_event(&world, "a", "b"))
        .await
        .is(201);
    created.has(json!({
        "involvedObject": {"kind": "ConfigMap", "name": "b"}, "reason": "Tested", "count": 1,
        "message": "It was tested.", "type": "Normal", "source": {"component": "case"},
        "eventTime": null, "reportingComponent": "", "reportingInstance": "",
    }));
}

async fn an_event_must_be_in_the_namespace_of_its_object(world: World) {
    let mut body = core_event(&world, "a", "b");
    body["involvedObject"]["namespace"] = json!("default");
    let answer = world.post("events", &body).await;
    answer.refused_saying(
        422,
        "Invalid",
        "involvedObject.namespace: Invalid value: \"default\"",
    );
}

fn new_event(world: &World, name: &str) -> Value {
    json!({
        "apiVersion": "events.k8s.io/v1", "kind": "Event", "metadata": {"name": name},
        "eventTime": "2026-01-01T00:00:00.000000Z",
        "reportingController": "example.com/case", "reportingInstance": "case-1",
        "action": "Test", "reason": "Tested", "type": "Normal", "note": "It was tested.",
        "regarding": {
            "apiVersion": "v1", "kind": "ConfigMap", "name": "b", "namespace": world.namespace,
        },
    })
}

async fn a_new_event_appears_in_both_groups(world: World) {
    let created = world
        .post("events.k8s.io/v1:events", &new_event(&world, "a"))
        .await
        .is(201);
    created.has(json!({
        "apiVersion": "events.k8s.io/v1", "note": "It was tested.", "regarding": {"name": "b"},
        "reportingController": "example.com/case", "action": "Test",
    }));
    world.get("events/a").await.is(200).has(json!({
        "apiVersion": "v1", "message": "It was tested.", "involvedObject": {"name": "b"},
        "reportingComponent": "example.com/case", "reportingInstance": "case-1",
        "metadata": {"resourceVersion": created["metadata"]["resourceVersion"]},
    }));
    world
        .post("events", &core_event(&world, "c", "b"))
        .await
        .is(201);
    world
        .get("events.k8s.io/v1:events/c")
        .await
        .is(200)
        .has(json!({
            "apiVersion": "events.k8s.io/v1", "note": "It was tested.", "deprecatedCount": 1,
            "deprecatedSource": {"component": "case"},
        }));
}

async fn a_new_event_needs_its_controller(world: World) {
    let mut body = new_event(&world, "a");
    body["reportingController"] = json!(null);
    let answer = world.post("events.k8s.io/v1:events", &body).await;
    answer.refused_saying(422, "Invalid", "reportingController: Required value");
}

async fn events_are_selected_by_their_object(world: World) {
    world
        .post("events", &core_event(&world, "a", "one"))
        .await
        .is(201);
    world
        .post("events", &core_event(&world, "b", "two"))
        .await
        .is(201);
    let selector = "involvedObject.kind=ConfigMap,involvedObject.name=two";
    let list = world
        .get("events")
        .query("fieldSelector", selector)
        .await
        .is(200);
    assert_eq!(list.names(), ["b"]);
}

async fn a_series_of_events_is_patched(world: World) {
    world
        .post("events.k8s.io/v1:events", &new_event(&world, "a"))
        .await
        .is(201);
    let patch = json!({"series": {"count": 2, "lastObservedTime": "2026-01-01T00:00:05.000000Z"}});
    let patched = world
        .merge_patch("events.k8s.io/v1:events/a", &patch)
        .await
        .is(200);
    patched.has(json!({"series": {"count": 2, "lastObservedTime": "2026-01-01T00:00:05.000000Z"}}));
}
