//! Watches: where they start, what they send, and how they end.

use serde_json::json;

use crate::answer::Look;
use crate::manifests::{config_map, labelled, secret, widgets};
use crate::world::World;

cases! { ApiServer:
    a_watch_sends_what_happens_after_its_version,
    a_watch_without_a_version_begins_with_what_there_is,
    a_watch_from_version_zero_begins_with_what_there_is,
    a_deleted_object_is_sent_at_the_version_of_its_deletion,
    an_object_with_finalizers_is_modified_before_it_is_deleted,
    a_write_that_changes_nothing_sends_nothing,
    an_object_that_comes_to_match_a_selector_is_added,
    an_object_that_stops_matching_a_selector_is_deleted,
    a_watch_by_name_sends_only_that_object,
    a_watch_over_all_namespaces_sends_each,
    initial_events_end_with_a_marked_bookmark,
    initial_events_of_an_empty_collection_are_one_bookmark,
    initial_events_need_a_version_match,
    a_watch_ends_after_its_timeout,
    a_watch_from_a_version_long_gone_is_told_so,
    a_watch_from_a_malformed_version_is_refused,
    a_watch_can_send_metadata_alone,
    a_watch_can_send_tables,
    custom_objects_can_be_watched,
    two_watches_see_the_same_order,
    events_carry_the_type_of_the_object,
}

/// The version of a list taken now.
async fn version(world: &World, path: &str) -> String {
    world
        .get(path)
        .await
        .is(200)
        .text("/metadata/resourceVersion")
        .to_owned()
}

async fn a_watch_sends_what_happens_after_its_version(world: World) {
    world.post("secrets", &secret("a")).await.is(201);
    let since = version(&world, "secrets").await;
    let mut watch = world
        .watch(&format!("secrets?resourceVersion={since}"))
        .await;
    let created = world.post("secrets", &secret("b")).await.is(201);
    let patched = world
        .merge_patch("secrets/a", &json!({"metadata": {"labels": {"k": "v"}}}))
        .await
        .is(200);
    world.delete("secrets/b").await.is(200);
    assert_eq!(watch.sees("ADDED", "b").await, created);
    assert_eq!(watch.sees("MODIFIED", "a").await, patched);
    watch.sees("DELETED", "b").await;
}

async fn a_watch_without_a_version_begins_with_what_there_is(world: World) {
    world.post("secrets", &secret("a")).await.is(201);
    world.post("secrets", &secret("b")).await.is(201);
    let mut watch = world.watch("secrets").await;
    let mut first = [watch.next().await, watch.next().await];
    first.sort_by(|a, b| {
        a.object
            .text("/metadata/name")
            .cmp(b.object.text("/metadata/name"))
    });
    assert_eq!(first[0].object.text("/metadata/name"), "a");
    assert!(first.iter().all(|event| event.kind == "ADDED"), "{first:?}");
    world.post("secrets", &secret("c")).await.is(201);
    watch.sees("ADDED", "c").await;
}

async fn a_watch_from_version_zero_begins_with_what_there_is(world: World) {
    world.post("secrets", &secret("a")).await.is(201);
    let mut watch = world.watch("secrets?resourceVersion=0").await;
    watch.sees("ADDED", "a").await;
}

async fn a_deleted_object_is_sent_at_the_version_of_its_deletion(world: World) {
    let created = world.post("secrets", &secret("a")).await.is(201);
    let since = created.text("/metadata/resourceVersion");
    let mut watch = world
        .watch(&format!("secrets?resourceVersion={since}"))
        .await;
    world.delete("secrets/a").await.is(200);
    let deleted = watch.sees("DELETED", "a").await;
    assert_eq!(deleted["metadata"]["uid"], created["metadata"]["uid"]);
    let at = deleted
        .text("/metadata/resourceVersion")
        .parse::<u64>()
        .unwrap();
    assert!(at > since.parse().unwrap());
}

async fn an_object_with_finalizers_is_modified_before_it_is_deleted(world: World) {
    let mut body = secret("a");
    body["metadata"]["finalizers"] = json!(["example.com/hold"]);
    let created = world.post("secrets", &body).await.is(201);
    let since = created.text("/metadata/resourceVersion");
    let mut watch = world
        .watch(&format!("secrets?resourceVersion={since}"))
        .await;
    world.delete("secrets/a").await.is(200);
    let held = watch.sees("MODIFIED", "a").await;
    assert!(!held.text("/metadata/deletionTimestamp").is_empty());
    world
        .merge_patch("secrets/a", &json!({"metadata": {"finalizers": null}}))
        .await
        .is(200);
    // It is shown as it was last stored.
    let gone = watch.sees("DELETED", "a").await;
    gone.has(json!({"metadata": {"finalizers": ["example.com/hold"]}}));
}

async fn a_write_that_changes_nothing_sends_nothing(world: World) {
    let created = world.post("secrets", &secret("a")).await.is(201);
    let since = created.text("/metadata/resourceVersion");
    let mut watch = world
        .watch(&format!("secrets?resourceVersion={since}"))
        .await;
    world.put("secrets/a", &created).await.is(200);
    world.merge_patch("secrets/a", &json!({})).await.is(200);
    world.post("secrets", &secret("b")).await.is(201);
    watch.sees("ADDED", "b").await;
}

async fn an_object_that_comes_to_match_a_selector_is_added(world: World) {
    world.post("configmaps", &config_map("a")).await.is(201);
    let since = version(&world, "configmaps").await;
    let mut watch = world
        .watch(&format!(
            "configmaps?labelSelector=k%3Dv&resourceVersion={since}"
        ))
        .await;
    let labels = json!({"metadata": {"labels": {"k": "v"}}});
    world.merge_patch("configmaps/a", &labels).await.is(200);
    watch.sees("ADDED", "a").await;
    world
        .merge_patch("configmaps/a", &json!({"data": {"x": "y"}}))
        .await
        .is(200);
    watch.sees("MODIFIED", "a").await;
}

async fn an_object_that_stops_matching_a_selector_is_deleted(world: World) {
    let created = world
        .post("configmaps", &labelled("a", json!({"k": "v"})))
        .await
        .is(201);
    let since = created.text("/metadata/resourceVersion");
    let mut watch = world
        .watch(&format!(
            "configmaps?labelSelector=k%3Dv&resourceVersion={since}"
        ))
        .await;
    let labels = json!({"metadata": {"labels": {"k": "w"}}});
    let patched = world.merge_patch("configmaps/a", &labels).await.is(200);
    let gone = watch.sees("DELETED", "a").await;
    // It is shown as it last matched, at the version at which it stopped.
    gone.has(json!({"metadata": {
        "labels": {"k": "v"}, "resourceVersion": patched["metadata"]["resourceVersion"],
    }}));
}

async fn a_watch_by_name_sends_only_that_object(world: World) {
    let since = version(&world, "secrets").await;
    let mut watch = world
        .watch(&format!(
            "secrets?fieldSelector=metadata.name%3Db&resourceVersion={since}"
        ))
        .await;
    world.post("secrets", &secret("a")).await.is(201);
    world.post("secrets", &secret("b")).await.is(201);
    watch.sees("ADDED", "b").await;
}

async fn a_watch_over_all_namespaces_sends_each(world: World) {
    let since = version(&world, "/api/v1/secrets").await;
    let selector = format!("labelSelector=case%3D{}", world.namespace);
    let mut watch = world
        .watch(&format!(
            "/api/v1/secrets?{selector}&resourceVersion={since}"
        ))
        .await;
    for path in ["secrets", "/api/v1/namespaces/default/secrets"] {
        let mut body = secret(&world.namespace);
        body["metadata"]["labels"] = json!({"case": world.namespace});
        world.post(path, &body).await.is(201);
    }
    let first = watch.sees("ADDED", &world.namespace).await;
    let second = watch.sees("ADDED", &world.namespace).await;
    assert_eq!(first.text("/metadata/namespace"), world.namespace);
    assert_eq!(second.text("/metadata/namespace"), "default");
}

const INITIAL: &str =
    "sendInitialEvents=true&allowWatchBookmarks=true&resourceVersionMatch=NotOlderThan";

/// Whether the server can send initial events: a real one cannot over an etcd before 3.4.31.
async fn sends_initial_events(world: &World) -> bool {
    let event = world
        .watch(&format!("secrets?{INITIAL}"))
        .await
        .next()
        .await;
    let lacks = event
        .object
        .text("/message")
        .contains("RequestWatchProgress is disabled");
    if lacks {
        crate::run::say("initial events are not checked: this etcd does not report its progress");
    }
    !lacks
}

async fn initial_events_end_with_a_marked_bookmark(world: World) {
    if !sends_initial_events(&world).await {
        return;
    }
    world.post("secrets", &secret("a")).await.is(201);
    let created = world.post("secrets", &secret("b")).await.is(201);
    let mut watch = world.watch(&format!("secrets?{INITIAL}")).await;
    watch.sees("ADDED", "a").await;
    watch.sees("ADDED", "b").await;
    let bookmark = watch.next().await;
    assert_eq!(bookmark.kind, "BOOKMARK");
    bookmark.object.has(json!({
        "kind": "Secret", "apiVersion": "v1",
        "metadata": {"name": null, "annotations": {"k8s.io/initial-events-end": "true"}},
    }));
    let at = bookmark
        .object
        .text("/metadata/resourceVersion")
        .parse::<u64>()
        .unwrap();
    assert!(at >= created.text("/metadata/resourceVersion").parse().unwrap());
    world.post("secrets", &secret("c")).await.is(201);
    watch.sees("ADDED", "c").await;
}

async fn initial_events_of_an_empty_collection_are_one_bookmark(world: World) {
    if !sends_initial_events(&world).await {
        return;
    }
    let mut watch = world.watch(&format!("secrets?{INITIAL}")).await;
    let bookmark = watch.next().await;
    assert_eq!(bookmark.kind, "BOOKMARK");
    bookmark.object.has(json!({
        "metadata": {"annotations": {"k8s.io/initial-events-end": "true"}},
    }));
}

async fn initial_events_need_a_version_match(world: World) {
    let answer = world.get("secrets?watch=true&sendInitialEvents=true").await;
    answer.refused_saying(
        422,
        "Invalid",
        "resourceVersionMatch: Forbidden: sendInitialEvents requires setting resourceVersionMatch \
         to NotOlderThan",
    );
    let answer = world.get("secrets?sendInitialEvents=true").await;
    answer.refused_saying(422, "Invalid", "sendInitialEvents: Forbidden");
}

async fn a_watch_ends_after_its_timeout(world: World) {
    world.post("secrets", &secret("a")).await.is(201);
    let mut watch = world.watch("secrets?timeoutSeconds=1").await;
    let events = watch.rest().await;
    assert!(
        events
            .iter()
            .any(|event| event.object.text("/metadata/name") == "a"),
        "{events:?}"
    );
    assert!(watch.ended(), "the server ended it");
}

async fn a_watch_from_a_version_long_gone_is_told_so(world: World) {
    // The server remembers nothing from before the kind was defined.
    let widgets = world.define(&widgets(&world.group)).await;
    world
        .post(&widgets, &world.custom("Widget", "a", json!({})))
        .await
        .is(201);
    let mut watch = world.watch(&format!("{widgets}?resourceVersion=1")).await;
    let event = watch.next().await;
    assert_eq!(event.kind, "ERROR");
    event.object.has(json!({
        "kind": "Status", "apiVersion": "v1", "metadata": {},
        "status": "Failure", "reason": "Expired", "code": 410,
    }));
    assert!(
        event
            .object
            .text("/message")
            .starts_with("too old resource version: 1 (")
    );
    assert_eq!(watch.rest().await.len(), 0);
}

async fn a_watch_from_a_malformed_version_is_refused(world: World) {
    let answer = world.get("configmaps?watch=true&resourceVersion=abc").await;
    assert!(answer.status >= 400, "{}", answer.status);
    assert!(
        answer
            .text()
            .contains("resourceVersion: Invalid value: \\\"abc\\\"")
    );
}

async fn a_watch_can_send_metadata_alone(world: World) {
    let mut body = secret("a");
    body["data"] = json!({"k": "eA=="});
    world.post("secrets", &body).await.is(201);
    let accept = "application/json;as=PartialObjectMetadata;g=meta.k8s.io;v=v1";
    let request = world.get("secrets?watch=true").accept(accept);
    let mut watch = crate::watch::Watch::open(request).await;
    let object = watch.sees("ADDED", "a").await;
    object.has(json!({
        "kind": "PartialObjectMetadata", "apiVersion": "meta.k8s.io/v1", "data": null,
    }));
}

async fn a_watch_can_send_tables(world: World) {
    world.post("secrets", &secret("a")).await.is(201);
    let accept = "application/json;as=Table;g=meta.k8s.io;v=v1";
    let request = world.get("secrets?watch=true").accept(accept);
    let mut watch = crate::watch::Watch::open(request).await;
    let first = watch.next().await;
    assert_eq!(first.kind, "ADDED");
    first
        .object
        .has(json!({"kind": "Table", "apiVersion": "meta.k8s.io/v1"}));
    assert_eq!(first.object.at("/columnDefinitions/0/name"), "Name");
    assert_eq!(first.object.at("/rows/0/cells/0"), "a");
    world.post("secrets", &secret("b")).await.is(201);
    let second = watch.next().await;
    // Only the first of a watch names the columns.
    second.object.has(json!({"columnDefinitions": null}));
    assert_eq!(second.object.at("/rows/0/cells/0"), "b");
}

async fn custom_objects_can_be_watched(world: World) {
    let widgets = world.define(&widgets(&world.group)).await;
    let mut watch = world.watch(&widgets).await;
    let body = world.custom("Widget", "a", json!({"spec": {"size": 1}}));
    let created = world.post(&widgets, &body).await.is(201);
    assert_eq!(watch.sees("ADDED", "a").await, created);
    world.delete(&format!("{widgets}/a")).await.is(200);
    watch.sees("DELETED", "a").await;
}

async fn two_watches_see_the_same_order(world: World) {
    let since = version(&world, "secrets").await;
    let path = format!("secrets?resourceVersion={since}");
    let mut early = world.watch(&path).await;
    for name in ["c", "a", "b"] {
        world.post("secrets", &secret(name)).await.is(201);
    }
    let mut late = world.watch(&path).await;
    for name in ["c", "a", "b"] {
        assert_eq!(
            early.sees("ADDED", name).await,
            late.sees("ADDED", name).await
        );
    }
}

async fn events_carry_the_type_of_the_object(world: World) {
    world.post("secrets", &secret("a")).await.is(201);
    let mut watch = world.watch("secrets").await;
    watch
        .sees("ADDED", "a")
        .await
        .has(json!({"kind": "Secret", "apiVersion": "v1"}));
}
