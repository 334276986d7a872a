//! JSON, merge and strategic merge patches.

use serde_json::json;

use crate::answer::Look;
use crate::manifests::{config_map, config_map_with, deployment, service, widgets};
use crate::world::World;

cases! { ApiServer:
    a_merge_patch_sets_and_removes,
    a_merge_patch_replaces_lists,
    a_merge_patch_at_an_old_version_conflicts,
    a_merge_patch_cannot_rename,
    a_patch_of_an_unknown_media_type_is_unsupported,
    a_patch_that_is_no_json_is_a_bad_request,
    a_patch_that_changes_nothing_keeps_the_version,
    a_patch_whose_result_is_invalid_is_refused,
    a_json_patch_adds_replaces_removes_moves_and_copies,
    a_json_patch_escapes_slashes_in_keys,
    a_json_patch_inserts_into_lists,
    a_json_patch_whose_test_fails_changes_nothing,
    a_json_patch_of_a_missing_path_is_refused,
    a_json_patch_must_be_a_list,
    a_strategic_patch_merges_containers_by_name,
    a_strategic_patch_deletes_a_list_item,
    a_strategic_patch_replaces_where_told,
    a_strategic_patch_merges_service_ports_by_port,
    a_strategic_patch_adds_to_finalizers,
    a_strategic_patch_deletes_from_a_primitive_list,
    a_strategic_patch_follows_the_order_it_is_given,
    a_strategic_patch_retains_only_the_keys_it_names,
    a_strategic_patch_merges_environment_by_name,
    custom_objects_take_no_strategic_patch,
    custom_objects_take_merge_and_json_patches,
}

async fn a_merge_patch_sets_and_removes(world: World) {
    world
        .post(
            "configmaps",
            &config_map_with("a", json!({"k": "v", "l": "w"})),
        )
        .await
        .is(201);
    let patch = json!({"data": {"k": null, "m": "x"}, "metadata": {"labels": {"a": "b"}}});
    world
        .merge_patch("configmaps/a", &patch)
        .await
        .is(200)
        .has(json!({
            "data": {"k": null, "l": "w", "m": "x"}, "metadata": {"labels": {"a": "b"}},
        }));
}

async fn a_merge_patch_replaces_lists(world: World) {
    world
        .post("apps/v1:deployments", &deployment("a", 0))
        .await
        .is(201);
    let containers = json!([{"name": "other", "image": "other:1"}]);
    let patch = json!({"spec": {"template": {"spec": {"containers": containers}}}});
    let patched = world
        .merge_patch("apps/v1:deployments/a", &patch)
        .await
        .is(200);
    patched.has(json!({"spec": {"template": {"spec": {"containers": containers}}}}));
}

async fn a_merge_patch_at_an_old_version_conflicts(world: World) {
    let created = world.post("configmaps", &config_map("a")).await.is(201);
    world
        .merge_patch("configmaps/a", &json!({"data": {"k": "v"}}))
        .await
        .is(200);
    let version = &created["metadata"]["resourceVersion"];
    let patch = json!({"metadata": {"resourceVersion": version}, "data": {"k": "w"}});
    let answer = world.merge_patch("configmaps/a", &patch).await;
    answer.refused_saying(409, "Conflict", "the object has been modified");
}

async fn a_merge_patch_cannot_rename(world: World) {
    world.post("configmaps", &config_map("a")).await.is(201);
    let answer = world
        .merge_patch("configmaps/a", &json!({"metadata": {"name": "b"}}))
        .await;
    answer.refused_saying(
        400,
        "BadRequest",
        "the name of the object (b) does not match the name on the URL (a)",
    );
}

async fn a_patch_of_an_unknown_media_type_is_unsupported(world: World) {
    world.post("configmaps", &config_map("a")).await.is(201);
    let answer = world
        .patch("application/json", "configmaps/a", &json!({}))
        .await;
    answer.refused_saying(415, "UnsupportedMediaType", "");
}

async fn a_patch_that_is_no_json_is_a_bad_request(world: World) {
    world.post("configmaps", &config_map("a")).await.is(201);
    let request = world
        .merge_patch("configmaps/a", &json!({}))
        .body("{not json");
    request.await.refused_saying(400, "BadRequest", "");
    let request = world
        .json_patch("configmaps/a", &json!({}))
        .body("{not json");
    request.await.refused_saying(400, "BadRequest", "");
}

async fn a_patch_that_changes_nothing_keeps_the_version(world: World) {
    let created = world
        .post("configmaps", &config_map_with("a", json!({"k": "v"})))
        .await
        .is(201);
    let patched = world
        .merge_patch("configmaps/a", &json!({"data": {"k": "v"}}))
        .await
        .is(200);
    assert_eq!(patched, created);
}

async fn a_patch_whose_result_is_invalid_is_refused(world: World) {
    world
        .post("apps/v1:deployments", &deployment("a", 0))
        .await
        .is(201);
    let patch = json!({"spec": {"replicas": -1}});
    let answer = world.merge_patch("apps/v1:deployments/a", &patch).await;
    let status = answer.refused(
        422,
        "Invalid",
        "Deployment.apps \"a\" is invalid: spec.replicas: Invalid value: -1: must be greater than \
         or equal to 0",
    );
    status.has(
        json!({"details": {"name": "a", "group": "apps", "kind": "Deployment", "causes": [
            {"reason": "FieldValueInvalid", "field": "spec.replicas",
                "message": "Invalid value: -1: must be greater than or equal to 0"},
        ]}}),
    );
    let patch = json!({"spec": {"replicas": "three"}});
    let answer = world.merge_patch("apps/v1:deployments/a", &patch).await;
    answer.refused_saying(
        422,
        "Invalid",
        "cannot unmarshal string into Go struct field",
    );
}

async fn a_json_patch_adds_replaces_removes_moves_and_copies(world: World) {
    let data = json!({"a": "1", "b": "2", "c": "3", "d": "4"});
    world
        .post("configmaps", &config_map_with("a", data))
        .await
        .is(201);
    let patch = json!([
        {"op": "add", "path": "/data/e", "value": "5"},
        {"op": "replace", "path": "/data/a", "value": "9"},
        {"op": "remove", "path": "/data/b"},
        {"op": "move", "from": "/data/c", "path": "/data/f"},
        {"op": "copy", "from": "/data/d", "path": "/data/g"},
        {"op": "test", "path": "/data/g", "value": "4"},
    ]);
    let patched = world.json_patch("configmaps/a", &patch).await.is(200);
    assert_eq!(
        patched["data"],
        json!({"a": "9", "d": "4", "e": "5", "f": "3", "g": "4"})
    );
}

async fn a_json_patch_escapes_slashes_in_keys(world: World) {
    world.post("configmaps", &config_map("a")).await.is(201);
    let patch = json!([
        {"op": "add", "path": "/metadata/annotations", "value": {}},
        {"op": "add", "path": "/metadata/annotations/example.com~1key", "value": "v"},
    ]);
    let patched = world.json_patch("configmaps/a", &patch).await.is(200);
    assert_eq!(
        patched["metadata"]["annotations"],
        json!({"example.com/key": "v"})
    );
}

async fn a_json_patch_inserts_into_lists(world: World) {
    let mut body = config_map("a");
    body["metadata"]["finalizers"] = json!(["example.com/a"]);
    world.post("configmaps", &body).await.is(201);
    let patch = json!([
        {"op": "add", "path": "/metadata/finalizers/-", "value": "example.com/c"},
        {"op": "add", "path": "/metadata/finalizers/1", "value": "example.com/b"},
    ]);
    let patched = world.json_patch("configmaps/a", &patch).await.is(200);
    let expected = json!(["example.com/a", "example.com/b", "example.com/c"]);
    assert_eq!(patched["metadata"]["finalizers"], expected);
}

async fn a_json_patch_whose_test_fails_changes_nothing(world: World) {
    world
        .post("configmaps", &config_map_with("a", json!({"k": "v"})))
        .await
        .is(201);
    let patch = json!([
        {"op": "replace", "path": "/data/k", "value": "w"},
        {"op": "test", "path": "/data/k", "value": "v"},
    ]);
    let answer = world.json_patch("configmaps/a", &patch).await;
    answer.refused_saying(
        422,
        "Invalid",
        "the server rejected our request due to an error in our request",
    );
    world
        .get("configmaps/a")
        .await
        .is(200)
        .has(json!({"data": {"k": "v"}}));
}

async fn a_json_patch_of_a_missing_path_is_refused(world: World) {
    world.post("configmaps", &config_map("a")).await.is(201);
    for patch in [
        json!([{"op": "replace", "path": "/data/k", "value": "w"}]),
        json!([{"op": "remove", "path": "/data/k"}]),
        json!([{"op": "add", "path": "/data/k", "value": "w"}]),
    ] {
        let answer = world.json_patch("configmaps/a", &patch).await;
        answer.refused_saying(422, "Invalid", "the server rejected our request");
    }
}

async fn a_json_patch_must_be_a_list(world: World) {
    world.post("configmaps", &config_map("a")).await.is(201);
    let answer = world
        .json_patch("configmaps/a", &json!({"op": "remove"}))
        .await;
    answer.refused_saying(400, "BadRequest", "");
}

async fn a_strategic_patch_merges_containers_by_name(world: World) {
    world
        .post("apps/v1:deployments", &deployment("a", 0))
        .await
        .is(201);
    let patch = json!({"spec": {"template": {"spec": {"containers": [
        {"name": "side", "image": "side:1"},
        {"name": "main", "image": "app:2"},
    ]}}}});
    let patched = world
        .strategic_patch("apps/v1:deployments/a", &patch)
        .await
        .is(200);
    patched.has(json!({"spec": {"template": {"spec": {"containers": [
        {"name": "side", "image": "side:1"},
        {"name": "main", "image": "app:2", "imagePullPolicy": "IfNotPresent"},
    ]}}}}));
}

async fn a_strategic_patch_deletes_a_list_item(world: World) {
    let mut body = deployment("a", 0);
    body["spec"]["template"]["spec"]["containers"] =
        json!([{"name": "main", "image": "app:1"}, {"name": "side", "image": "side:1"}]);
    world.post("apps/v1:deployments", &body).await.is(201);
    let patch = json!({"spec": {"template": {"spec": {"containers": [
        {"name": "main", "$patch": "delete"},
    ]}}}});
    let patched = world
        .strategic_patch("apps/v1:deployments/a", &patch)
        .await
        .is(200);
    patched.has(json!({"spec": {"template": {"spec": {"containers": [{"name": "side"}]}}}}));
}

async fn a_strategic_patch_replaces_where_told(world: World) {
    let mut body = config_map_with("a", json!({"k": "v"}));
    body["metadata"]["labels"] = json!({"a": "b"});
    world.post("configmaps", &body).await.is(201);
    let patch = json!({"data": {"$patch": "replace", "l": "w"}});
    let patched = world.strategic_patch("configmaps/a", &patch).await.is(200);
    assert_eq!(patched["data"], json!({"l": "w"}));
    let mut body = deployment("a", 0);
    body["spec"]["template"]["spec"]["containers"][0]["ports"] = json!([{"containerPort": 80}]);
    world.post("apps/v1:deployments", &body).await.is(201);
    let patch = json!({"spec": {"template": {"spec": {"containers": [
        {"$patch": "replace"}, {"name": "only", "image": "only:1"},
    ]}}}});
    let patched = world
        .strategic_patch("apps/v1:deployments/a", &patch)
        .await
        .is(200);
    patched.has(json!({"spec": {"template": {"spec": {"containers": [
        {"name": "only", "ports": null},
    ]}}}}));
}

async fn a_strategic_patch_merges_service_ports_by_port(world: World) {
    world.post("services", &service("a")).await.is(201);
    let patch = json!({"spec": {"ports": [
        {"port": 443, "name": "https"}, {"port": 80, "name": "http"},
    ]}});
    let patched = world.strategic_patch("services/a", &patch).await.is(200);
    patched.has(json!({"spec": {"ports": [
        {"port": 443, "name": "https", "targetPort": 443, "protocol": "TCP"},
        {"port": 80, "name": "http", "targetPort": 8080, "protocol": "TCP"},
    ]}}));
}

async fn a_strategic_patch_adds_to_finalizers(world: World) {
    let mut body = config_map("a");
    body["metadata"]["finalizers"] = json!(["example.com/a"]);
    world.post("configmaps", &body).await.is(201);
    let patch = json!({"metadata": {"finalizers": ["example.com/b"]}});
    let patched = world.strategic_patch("configmaps/a", &patch).await.is(200);
    assert_eq!(
        patched["metadata"]["finalizers"],
        json!(["example.com/b", "example.com/a"])
    );
}

async fn a_strategic_patch_deletes_from_a_primitive_list(world: World) {
    let mut body = config_map("a");
    body["metadata"]["finalizers"] = json!(["example.com/a", "example.com/b"]);
    world.post("configmaps", &body).await.is(201);
    let patch = json!({"metadata": {"$deleteFromPrimitiveList/finalizers": ["example.com/a"]}});
    let patched = world.strategic_patch("configmaps/a", &patch).await.is(200);
    assert_eq!(patched["metadata"]["finalizers"], json!(["example.com/b"]));
}

async fn a_strategic_patch_follows_the_order_it_is_given(world: World) {
    let mut body = deployment("a", 0);
    body["spec"]["template"]["spec"]["containers"] =
        json!([{"name": "a", "image": "a:1"}, {"name": "b", "image": "b:1"}]);
    world.post("apps/v1:deployments", &body).await.is(201);
    let patch = json!({"spec": {"template": {"spec": {
        "$setElementOrder/containers": [{"name": "c"}, {"name": "b"}, {"name": "a"}],
        "containers": [{"name": "c", "image": "c:1"}],
    }}}});
    let patched = world
        .strategic_patch("apps/v1:deployments/a", &patch)
        .await
        .is(200);
    patched.has(json!({"spec": {"template": {"spec": {"containers": [
        {"name": "c"}, {"name": "b"}, {"name": "a"},
    ]}}}}));
}

async fn a_strategic_patch_retains_only_the_keys_it_names(world: World) {
    world
        .post("apps/v1:deployments", &deployment("a", 0))
        .await
        .is(201);
    let patch = json!({"spec": {"strategy": {"$retainKeys": ["type"], "type": "Recreate"}}});
    let patched = world
        .strategic_patch("apps/v1:deployments/a", &patch)
        .await
        .is(200);
    assert_eq!(patched["spec"]["strategy"], json!({"type": "Recreate"}));
}

async fn a_strategic_patch_merges_environment_by_name(world: World) {
    let mut body = deployment("a", 0);
    body["spec"]["template"]["spec"]["containers"][0]["env"] =
        json!([{"name": "A", "value": "1"}, {"name": "B", "value": "2"}]);
    world.post("apps/v1:deployments", &body).await.is(201);
    let patch = json!({"spec": {"template": {"spec": {"containers": [
        {"name": "main", "env": [{"name": "B", "value": "3"}, {"name": "A", "$patch": "delete"}]},
    ]}}}});
    let patched = world
        .strategic_patch("apps/v1:deployments/a", &patch)
        .await
        .is(200);
    patched.has(json!({"spec": {"template": {"spec": {"containers": [
        {"name": "main", "image": "app:1", "env": [{"name": "B", "value": "3"}]},
    ]}}}}));
}

async fn custom_objects_take_no_strategic_patch(world: World) {
    let widgets = world.define(&widgets(&world.group)).await;
    world
        .post(&widgets, &world.custom("Widget", "a", json!({})))
        .await
        .is(201);
    let answer = world
        .strategic_patch(&format!("{widgets}/a"), &json!({"spec": {"size": 1}}))
        .await;
    answer.refused_saying(
        415,
        "UnsupportedMediaType",
        "the body of the request was in an unknown format - accepted media types include: \
         application/json-patch+json, application/merge-patch+json, application/apply-patch+yaml",
    );
}

async fn custom_objects_take_merge_and_json_patches(world: World) {
    let widgets = world.define(&widgets(&world.group)).await;
    let body = world.custom(
        "Widget",
        "a",
        json!({"spec": {"size": 1, "tags": ["x", "y"]}}),
    );
    world.post(&widgets, &body).await.is(201);
    let path = format!("{widgets}/a");
    let patch = json!({"spec": {"tags": ["z"], "color": "red"}});
    let patched = world.merge_patch(&path, &patch).await.is(200);
    assert_eq!(
        patched["spec"],
        json!({"size": 1, "tags": ["z"], "color": "red"})
    );
    let patch = json!([{"op": "replace", "path": "/spec/size", "value": 2}]);
    assert_eq!(
        world.json_patch(&path, &patch).await.is(200)["spec"]["size"],
        2
    );
}
