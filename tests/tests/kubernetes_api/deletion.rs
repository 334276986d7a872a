//! Deletion: finalizers, preconditions, grace, and what happens to dependents.

use serde_json::{Value, json};

use crate::answer::Look;
use crate::manifests::{config_map, pod, secret, widgets};
use crate::world::World;

cases! { Workloads:
    an_object_without_finalizers_goes_at_once,
    an_object_with_finalizers_waits_for_them,
    deleting_again_moves_nothing,
    no_finalizer_is_added_while_deleting,
    a_finalizer_must_be_qualified,
    a_deletion_time_is_not_set_by_writing,
    a_deletion_raises_the_generation,
    a_deletion_of_another_incarnation_conflicts,
    a_deletion_of_another_version_conflicts,
    a_deletion_takes_its_options_from_the_query_too,
    an_unknown_propagation_policy_is_invalid,
    both_ways_of_orphaning_are_invalid,
    foreground_deletion_holds_the_owner_until_its_dependents_are_gone,
    background_deletion_removes_dependents_afterwards,
    orphaning_leaves_dependents_without_their_owner,
    a_dependent_of_an_owner_that_never_was_is_removed,
    a_dependent_with_another_owner_stays,
    an_owner_of_another_namespace_does_not_count,
    custom_objects_own_and_are_owned,
    an_owner_reference_needs_a_uid,
    one_object_has_one_controller,
    a_scheduled_pod_is_deleted_gracefully,
    a_pod_that_was_never_scheduled_goes_at_once,
    a_deletion_without_grace_is_immediate,
    a_dry_run_deletion_deletes_nothing,
    deleting_a_deployment_removes_its_replica_sets_and_pods,
}

fn held(name: &str) -> Value {
    let mut body = secret(name);
    body["metadata"]["finalizers"] = json!(["example.com/hold"]);
    body
}

fn owned(name: &str, owner: &Value) -> Value {
    let mut body = secret(name);
    body["metadata"]["ownerReferences"] = json!([reference(owner)]);
    body
}

fn reference(owner: &Value) -> Value {
    json!({
        "apiVersion": owner["apiVersion"], "kind": owner["kind"],
        "name": owner["metadata"]["name"], "uid": owner["metadata"]["uid"],
        "blockOwnerDeletion": true,
    })
}

async fn let_go(world: &World, path: &str) {
    world
        .merge_patch(path, &json!({"metadata": {"finalizers": null}}))
        .await
        .is(200);
}

async fn an_object_without_finalizers_goes_at_once(world: World) {
    world.post("secrets", &secret("a")).await.is(201);
    world
        .delete("secrets/a")
        .await
        .is(200)
        .has(json!({"kind": "Status", "status": "Success"}));
    world.get("secrets/a").await.is(404);
    world.post("secrets", &secret("a")).await.is(201);
}

async fn an_object_with_finalizers_waits_for_them(world: World) {
    world.post("secrets", &held("a")).await.is(201);
    let deleting = world.delete("secrets/a").await.is(200);
    deleting.has(json!({
        "kind": "Secret",
        "metadata": {"deletionGracePeriodSeconds": 0, "finalizers": ["example.com/hold"]},
    }));
    assert!(!deleting.text("/metadata/deletionTimestamp").is_empty());
    world
        .merge_patch("secrets/a", &json!({"metadata": {"labels": {"k": "v"}}}))
        .await
        .is(200);
    let answer = world
        .merge_patch("secrets/a", &json!({"metadata": {"finalizers": []}}))
        .await;
    answer
        .is(200)
        .has(json!({"metadata": {"name": "a", "finalizers": null}}));
    world.get("secrets/a").await.is(404);
}

async fn deleting_again_moves_nothing(world: World) {
    world.post("secrets", &held("a")).await.is(201);
    let first = world.delete("secrets/a").await.is(200);
    let second = world.delete("secrets/a").await.is(200);
    assert_eq!(first, second);
}

async fn no_finalizer_is_added_while_deleting(world: World) {
    world.post("secrets", &held("a")).await.is(201);
    world.delete("secrets/a").await.is(200);
    let patch = json!({"metadata": {"finalizers": ["example.com/hold", "example.com/new"]}});
    world.merge_patch("secrets/a", &patch).await.refused(
        422,
        "Invalid",
        "Secret \"a\" is invalid: metadata.finalizers: Forbidden: no new finalizers can be added if \
         the object is being deleted, found new finalizers []string{\"example.com/new\"}",
    );
}

async fn a_finalizer_must_be_qualified(world: World) {
    let mut body = secret("a");
    body["metadata"]["finalizers"] = json!(["hold"]);
    let answer = world.post("secrets", &body).await;
    if answer.status == 201 {
        // Older servers only warn.
        assert!(
            answer
                .warnings()
                .iter()
                .any(|text| text.contains("metadata.finalizers"))
        );
        return;
    }
    answer.refused_saying(422, "Invalid", "metadata.finalizers");
}

async fn a_deletion_time_is_not_set_by_writing(world: World) {
    world.post("secrets", &secret("a")).await.is(201);
    let patch = json!({"metadata": {"deletionTimestamp": "2001-01-01T00:00:00Z"}});
    let answer = world.merge_patch("secrets/a", &patch).await;
    answer.refused_saying(
        422,
        "Invalid",
        "metadata.deletionTimestamp: Invalid value: \"2001-01-01T00:00:00Z\": field is immutable",
    );
}

async fn a_deletion_raises_the_generation(world: World) {
    let widgets = world.define(&widgets(&world.group)).await;
    let mut body = world.custom("Widget", "a", json!({}));
    body["metadata"]["finalizers"] = json!(["example.com/hold"]);
    world.post(&widgets, &body).await.is(201);
    let path = format!("{widgets}/a");
    assert_eq!(
        world.delete(&path).await.is(200)["metadata"]["generation"],
        2
    );
    let_go(&world, &path).await;
    world.get(&path).await.is(404);
}

async fn a_deletion_of_another_incarnation_conflicts(world: World) {
    let created = world.post("secrets", &secret("a")).await.is(201);
    let options = json!({"preconditions": {"uid": "1-2-3"}});
    let message = format!(
        "Operation cannot be fulfilled on Secret \"a\": the UID in the precondition (1-2-3) does not \
         match the UID in record ({}). The object might have been deleted and then recreated",
        created.text("/metadata/uid"),
    );
    world
        .delete_with("secrets/a", &options)
        .await
        .refused(409, "Conflict", &message);
    let options = json!({"preconditions": {"uid": created["metadata"]["uid"]}});
    world.delete_with("secrets/a", &options).await.is(200);
}

async fn a_deletion_of_another_version_conflicts(world: World) {
    let created = world.post("secrets", &secret("a")).await.is(201);
    let patch = json!({"metadata": {"labels": {"k": "v"}}});
    world.merge_patch("secrets/a", &patch).await.is(200);
    let version = &created["metadata"]["resourceVersion"];
    let options = json!({"preconditions": {"resourceVersion": version}});
    let answer = world.delete_with("secrets/a", &options).await;
    answer.refused_saying(409, "Conflict", "the ResourceVersion in the precondition");
    world.get("secrets/a").await.is(200);
}

async fn a_deletion_takes_its_options_from_the_query_too(world: World) {
    world.post("secrets", &held("a")).await.is(201);
    let deleting = world
        .delete("secrets/a")
        .query("propagationPolicy", "Orphan")
        .await
        .is(200);
    let finalizers = deleting.list("/metadata/finalizers");
    assert!(finalizers.contains(&json!("orphan")), "{finalizers:?}");
}

async fn an_unknown_propagation_policy_is_invalid(world: World) {
    world.post("secrets", &secret("a")).await.is(201);
    let options = json!({"propagationPolicy": "Sideways"});
    let answer = world.delete_with("secrets/a", &options).await;
    answer.refused_saying(
        422,
        "Invalid",
        "propagationPolicy: Unsupported value: \"Sideways\"",
    );
}

async fn both_ways_of_orphaning_are_invalid(world: World) {
    world.post("secrets", &secret("a")).await.is(201);
    let options = json!({"propagationPolicy": "Orphan", "orphanDependents": true});
    let answer = world.delete_with("secrets/a", &options).await;
    answer.refused_saying(
        422,
        "Invalid",
        "orphanDependents and deletionPropagation cannot be both set",
    );
}

async fn foreground_deletion_holds_the_owner_until_its_dependents_are_gone(world: World) {
    let owner = world.post("configmaps", &config_map("owner")).await.is(201);
    let mut dependent = owned("a", &owner);
    dependent["metadata"]["finalizers"] = json!(["example.com/hold"]);
    world.post("secrets", &dependent).await.is(201);
    let options = json!({"propagationPolicy": "Foreground"});
    let deleting = world
        .delete_with("configmaps/owner", &options)
        .await
        .is(200);
    assert_eq!(
        deleting["metadata"]["finalizers"],
        json!(["foregroundDeletion"])
    );
    world
        .until("secrets/a", |object| {
            object.at("/metadata/deletionTimestamp").is_string()
        })
        .await;
    world.get("configmaps/owner").await.is(200);
    let_go(&world, "secrets/a").await;
    world.until_gone("configmaps/owner").await;
}

async fn background_deletion_removes_dependents_afterwards(world: World) {
    let owner = world.post("configmaps", &config_map("owner")).await.is(201);
    world.post("secrets", &owned("a", &owner)).await.is(201);
    world.post("secrets", &secret("b")).await.is(201);
    let options = json!({"propagationPolicy": "Background"});
    world
        .delete_with("configmaps/owner", &options)
        .await
        .is(200);
    world.get("configmaps/owner").await.is(404);
    world.until_gone("secrets/a").await;
    world.get("secrets/b").await.is(200);
}

async fn orphaning_leaves_dependents_without_their_owner(world: World) {
    let owner = world.post("configmaps", &config_map("owner")).await.is(201);
    world.post("secrets", &owned("a", &owner)).await.is(201);
    the_collector_knows_its_secrets(&world).await;
    let options = json!({"propagationPolicy": "Orphan"});
    world
        .delete_with("configmaps/owner", &options)
        .await
        .is(200);
    world.until_gone("configmaps/owner").await;
    world
        .get("secrets/a")
        .await
        .is(200)
        .has(json!({"metadata": {"ownerReferences": null}}));
}

/// A real collector lets go only the dependents that its watch has told it of. What it collects was
/// told later than what was there before.
async fn the_collector_knows_its_secrets(world: &World) {
    let other = world.post("configmaps", &config_map("other")).await.is(201);
    world.post("secrets", &owned("later", &other)).await.is(201);
    let options = json!({"propagationPolicy": "Background"});
    let deleted = world.delete_with("configmaps/other", &options).await;
    deleted.is(200);
    world.until_gone("secrets/later").await;
}

async fn a_dependent_of_an_owner_that_never_was_is_removed(world: World) {
    let owner = json!({
        "apiVersion": "v1", "kind": "ConfigMap",
        "metadata": {"name": "never", "uid": "11111111-2222-3333-4444-555555555555"},
    });
    world.post("secrets", &owned("a", &owner)).await.is(201);
    world.until_gone("secrets/a").await;
}

async fn a_dependent_with_another_owner_stays(world: World) {
    let one = world.post("configmaps", &config_map("one")).await.is(201);
    let two = world.post("configmaps", &config_map("two")).await.is(201);
    let mut dependent = secret("a");
    dependent["metadata"]["ownerReferences"] = json!([reference(&one), reference(&two)]);
    world.post("secrets", &dependent).await.is(201);
    world.delete("configmaps/one").await.is(200);
    let left = |object: &Value| object.list("/metadata/ownerReferences").len() == 1;
    let object = world.until("secrets/a", left).await;
    object.has(json!({"metadata": {"ownerReferences": [{"name": "two"}]}}));
    world.delete("configmaps/two").await.is(200);
    world.until_gone("secrets/a").await;
}

async fn an_owner_of_another_namespace_does_not_count(world: World) {
    let body = config_map(&world.namespace);
    let owner = world
        .post("/api/v1/namespaces/default/configmaps", &body)
        .await
        .is(201);
    world.post("secrets", &owned("a", &owner)).await.is(201);
    world.until_gone("secrets/a").await;
}

async fn custom_objects_own_and_are_owned(world: World) {
    let widgets = world.define(&widgets(&world.group)).await;
    let owner = world
        .post(&widgets, &world.custom("Widget", "owner", json!({})))
        .await
        .is(201);
    let mut body = world.custom("Widget", "a", json!({}));
    body["metadata"]["ownerReferences"] = json!([reference(&owner)]);
    world.post(&widgets, &body).await.is(201);
    world.post("secrets", &owned("a", &owner)).await.is(201);
    world.delete(&format!("{widgets}/owner")).await.is(200);
    world.until_gone("secrets/a").await;
    world.until_gone(&format!("{widgets}/a")).await;
}

async fn an_owner_reference_needs_a_uid(world: World) {
    let mut body = secret("a");
    body["metadata"]["ownerReferences"] =
        json!([{"apiVersion": "v1", "kind": "ConfigMap", "name": "b"}]);
    let answer = world.post("secrets", &body).await;
    answer.refused_saying(
        422,
        "Invalid",
        "uid: Invalid value: \"\": must not be empty",
    );
}

async fn one_object_has_one_controller(world: World) {
    let owner = world.post("configmaps", &config_map("owner")).await.is(201);
    let mut first = reference(&owner);
    first["controller"] = json!(true);
    let mut second = first.clone();
    second["uid"] = json!("1-2-3");
    second["name"] = json!("other");
    let mut body = secret("a");
    body["metadata"]["ownerReferences"] = json!([first, second]);
    let answer = world.post("secrets", &body).await;
    answer.refused_saying(
        422,
        "Invalid",
        "Only one reference can have Controller set to true",
    );
}

async fn a_scheduled_pod_is_deleted_gracefully(world: World) {
    world.takes_pods().await;
    let created = world.post("pods", &pod("a")).await.is(201);
    world
        .until("pods/a", |pod| {
            pod.condition("Ready").text("/status") == "True"
        })
        .await;
    let since = created.text("/metadata/resourceVersion");
    let mut watch = world
        .watch(&format!(
            "pods?fieldSelector=metadata.name%3Da&resourceVersion={since}"
        ))
        .await;
    let deleting = world.delete("pods/a").await.is(200);
    deleting.has(json!({"kind": "Pod", "metadata": {"deletionGracePeriodSeconds": 30}}));
    loop {
        let event = watch.next_change().await;
        if event.object.at("/metadata/deletionTimestamp").is_string() {
            assert_eq!(
                event.kind, "MODIFIED",
                "the deletion is seen before the end"
            );
            break;
        }
    }
    world.until_gone("pods/a").await;
}

async fn a_pod_that_was_never_scheduled_goes_at_once(world: World) {
    world.takes_pods().await;
    let mut body = pod("a");
    body["spec"]["schedulerName"] = json!("nobody");
    world.post("pods", &body).await.is(201);
    world.delete("pods/a").await.is(200);
    world.get("pods/a").await.is(404);
}

async fn a_deletion_without_grace_is_immediate(world: World) {
    world.takes_pods().await;
    world.post("pods", &pod("a")).await.is(201);
    world
        .until("pods/a", |pod| {
            pod.condition("Ready").text("/status") == "True"
        })
        .await;
    world
        .delete_with("pods/a", &json!({"gracePeriodSeconds": 0}))
        .await
        .is(200);
    world.get("pods/a").await.is(404);
}

async fn a_dry_run_deletion_deletes_nothing(world: World) {
    world.post("secrets", &secret("a")).await.is(201);
    world
        .delete("secrets/a")
        .query("dryRun", "All")
        .await
        .is(200);
    let object = world.get("secrets/a").await.is(200);
    object.has(json!({"metadata": {"deletionTimestamp": null}}));
}

async fn deleting_a_deployment_removes_its_replica_sets_and_pods(world: World) {
    world.takes_pods().await;
    world
        .post("apps/v1:deployments", &crate::manifests::deployment("a", 2))
        .await
        .is(201);
    world
        .until_list("pods?labelSelector=app%3Da", |pods| pods.len() == 2)
        .await;
    world.delete("apps/v1:deployments/a").await.is(200);
    world
        .until_list("pods?labelSelector=app%3Da", <[Value]>::is_empty)
        .await;
    world
        .until_list(
            "apps/v1:replicasets?labelSelector=app%3Da",
            <[Value]>::is_empty,
        )
        .await;
}
