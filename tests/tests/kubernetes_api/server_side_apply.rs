//! Server-side apply: who owns which fields, and what happens when two want the same (KEP-555).

use serde_json::json;

use crate::answer::Look;
use crate::manifests::{config_map, config_map_with, custom, deployment, service, widgets};
use crate::world::World;

cases! { ApiServer:
    applying_creates_what_is_not_there,
    applying_needs_a_manager,
    a_managers_name_is_at_most_128_characters,
    applying_owns_exactly_the_fields_it_names,
    applying_the_same_again_keeps_the_version,
    applying_less_removes_what_was_owned,
    applying_an_empty_intent_gives_up_all_fields,
    a_field_of_two_managers_outlives_one_of_them,
    another_value_for_an_owned_field_conflicts,
    a_conflict_with_an_update_names_the_version,
    two_conflicts_are_told_together,
    applying_by_force_takes_over,
    the_same_value_is_shared,
    an_update_takes_the_field_it_changes_from_its_applier,
    an_update_that_keeps_a_value_keeps_its_owner,
    list_items_are_owned_by_key,
    service_ports_are_keyed_by_port_and_protocol,
    finalizers_are_a_set_of_values,
    an_atomic_list_is_owned_whole,
    removing_the_last_item_of_a_list_map_removes_only_that_item,
    applying_carries_no_managed_fields,
    applying_needs_version_and_kind,
    applying_an_unknown_field_is_refused,
    applying_must_name_the_object_of_its_path,
    applying_at_an_old_version_conflicts,
    applying_with_a_uid_creates_nothing,
    applying_may_be_yaml,
    an_item_twice_in_a_list_map_is_refused,
    status_is_applied_by_itself,
    managed_fields_can_be_reset,
    an_updaters_name_is_its_own_entry_per_version,
    metadata_is_owned_field_by_field,
    applying_keeps_defaults_unowned,
    dry_run_applying_stores_nothing,
    custom_list_maps_are_merged_by_key,
    custom_sets_are_merged_by_value,
    custom_lists_without_a_type_are_atomic,
    custom_atomic_maps_are_owned_whole,
    scaling_takes_over_the_applied_replicas,
}

fn data(value: &str) -> serde_json::Value {
    config_map_with("a", json!({"k": value}))
}

async fn applying_creates_what_is_not_there(world: World) {
    let created = world.apply("configmaps/a", "me", &data("v")).await.is(201);
    created.has(json!({"kind": "ConfigMap", "data": {"k": "v"}}));
    world
        .apply("configmaps/a", "me", &data("w"))
        .await
        .is(200)
        .has(json!({"data": {"k": "w"}}));
}

async fn applying_needs_a_manager(world: World) {
    let request = world.patch("application/apply-patch+yaml", "configmaps/a", &data("v"));
    request.await.refused_saying(
        422,
        "Invalid",
        "PatchOptions.meta.k8s.io \"\" is invalid: fieldManager: Required value: is required for \
         apply patch",
    );
}

async fn a_managers_name_is_at_most_128_characters(world: World) {
    world
        .apply("configmaps/a", &"m".repeat(128), &data("v"))
        .await
        .is(201);
    let answer = world
        .apply("configmaps/b", &"m".repeat(129), &data("v"))
        .await;
    answer.refused_saying(422, "Invalid", "fieldManager: ");
}

async fn applying_owns_exactly_the_fields_it_names(world: World) {
    let mut body = config_map_with("a", json!({"k": "v", "l": "w"}));
    body["metadata"]["labels"] = json!({"a": "b"});
    let applied = world.apply("configmaps/a", "me", &body).await.is(201);
    let fields = json!({"f:data": {"f:k": {}, "f:l": {}}, "f:metadata": {"f:labels": {"f:a": {}}}});
    assert_eq!(applied.managed(), [("me", "Apply", "", &fields)]);
    applied["metadata"]["managedFields"][0].has(json!({
        "apiVersion": "v1", "fieldsType": "FieldsV1",
    }));
}

async fn applying_the_same_again_keeps_the_version(world: World) {
    let first = world.apply("configmaps/a", "me", &data("v")).await.is(201);
    let second = world.apply("configmaps/a", "me", &data("v")).await.is(200);
    assert_eq!(first, second);
}

async fn applying_less_removes_what_was_owned(world: World) {
    let body = config_map_with("a", json!({"k": "v", "l": "w"}));
    world.apply("configmaps/a", "me", &body).await.is(201);
    let applied = world.apply("configmaps/a", "me", &data("v")).await.is(200);
    assert_eq!(applied["data"], json!({"k": "v"}));
    let fields = json!({"f:data": {"f:k": {}}});
    assert_eq!(applied.managed(), [("me", "Apply", "", &fields)]);
}

async fn applying_an_empty_intent_gives_up_all_fields(world: World) {
    world.apply("configmaps/a", "me", &data("v")).await.is(201);
    let applied = world
        .apply("configmaps/a", "me", &config_map("a"))
        .await
        .is(200);
    applied.has(json!({"data": null, "metadata": {"managedFields": null}}));
}

async fn a_field_of_two_managers_outlives_one_of_them(world: World) {
    world.apply("configmaps/a", "one", &data("v")).await.is(201);
    world.apply("configmaps/a", "two", &data("v")).await.is(200);
    let applied = world
        .apply("configmaps/a", "one", &config_map("a"))
        .await
        .is(200);
    applied.has(json!({"data": {"k": "v"}}));
    let fields = json!({"f:data": {"f:k": {}}});
    assert_eq!(applied.managed(), [("two", "Apply", "", &fields)]);
}

async fn another_value_for_an_owned_field_conflicts(world: World) {
    world.apply("configmaps/a", "one", &data("v")).await.is(201);
    let status = world
        .apply("configmaps/a", "two", &data("w"))
        .await
        .refused(
            409,
            "Conflict",
            "Apply failed with 1 conflict: conflict with \"one\": .data.k",
        );
    status.has(json!({"details": {"causes": [{
        "reason": "FieldManagerConflict", "message": "conflict with \"one\"", "field": ".data.k",
    }]}}));
    world
        .get("configmaps/a")
        .await
        .is(200)
        .has(json!({"data": {"k": "v"}}));
}

async fn a_conflict_with_an_update_names_the_version(world: World) {
    world
        .post("configmaps", &data("v"))
        .query("fieldManager", "editor")
        .await
        .is(201);
    let status = world
        .apply("configmaps/a", "me", &data("w"))
        .await
        .refusal_of(409, "Conflict");
    let message = status.text("/message");
    let start = "Apply failed with 1 conflict: conflict with \"editor\" using v1";
    assert!(
        message.starts_with(start) && message.ends_with(": .data.k"),
        "{message}"
    );
}

async fn two_conflicts_are_told_together(world: World) {
    let body = config_map_with("a", json!({"k": "v", "l": "v"}));
    world.apply("configmaps/a", "one", &body).await.is(201);
    let body = config_map_with("a", json!({"k": "w", "l": "w"}));
    let status = world.apply("configmaps/a", "two", &body).await.refused(
        409,
        "Conflict",
        "Apply failed with 2 conflicts: conflicts with \"one\":\n- .data.k\n- .data.l",
    );
    status.has(json!({"details": {"causes": [{"field": ".data.k"}, {"field": ".data.l"}]}}));
    // What is owned at a level comes before what is owned below it.
    let mut body = deployment("b", 0);
    body["spec"]["template"]["spec"]["containers"] = json!([
        {"name": "main", "image": "app:1", "env": [{"name": "a", "value": "1"}]}]);
    let path = "apps/v1:deployments/b";
    world.apply(path, "one", &body).await.is(201);
    let container = &mut body["spec"]["template"]["spec"]["containers"][0];
    container["image"] = json!("app:2");
    container["env"][0]["value"] = json!("2");
    let answer = world.apply(path, "two", &body).await;
    let main = ".spec.template.spec.containers[name=\"main\"]";
    let fields = format!("- {main}.image\n- {main}.env[name=\"a\"].value");
    answer.refused_saying(409, "Conflict", &fields);
}

async fn applying_by_force_takes_over(world: World) {
    let body = config_map_with("a", json!({"k": "v", "l": "v"}));
    world.apply("configmaps/a", "one", &body).await.is(201);
    let applied = world
        .force_apply("configmaps/a", "two", &data("w"))
        .await
        .is(200);
    applied.has(json!({"data": {"k": "w", "l": "v"}}));
    let (first, second) = (
        json!({"f:data": {"f:l": {}}}),
        json!({"f:data": {"f:k": {}}}),
    );
    assert_eq!(
        applied.managed(),
        [("one", "Apply", "", &first), ("two", "Apply", "", &second)]
    );
}

async fn the_same_value_is_shared(world: World) {
    world.apply("configmaps/a", "one", &data("v")).await.is(201);
    let applied = world.apply("configmaps/a", "two", &data("v")).await.is(200);
    let fields = json!({"f:data": {"f:k": {}}});
    // Who changed nothing has no time, and comes first.
    assert_eq!(
        applied.managed(),
        [("two", "Apply", "", &fields), ("one", "Apply", "", &fields)]
    );
    applied["metadata"]["managedFields"][0].has(json!({"time": null}));
    let answer = world.apply("configmaps/a", "one", &data("w")).await;
    answer.refused_saying(409, "Conflict", "conflict with \"two\": .data.k");
}

async fn an_update_takes_the_field_it_changes_from_its_applier(world: World) {
    let body = config_map_with("a", json!({"k": "v", "l": "v"}));
    world.apply("configmaps/a", "me", &body).await.is(201);
    let patch = world.merge_patch("configmaps/a", &json!({"data": {"k": "w"}}));
    let patched = patch.query("fieldManager", "editor").await.is(200);
    let (mine, edited) = (
        json!({"f:data": {"f:l": {}}}),
        json!({"f:data": {"f:k": {}}}),
    );
    let managed = patched.managed();
    assert_eq!(
        managed,
        [
            ("me", "Apply", "", &mine),
            ("editor", "Update", "", &edited)
        ]
    );
}

async fn an_update_that_keeps_a_value_keeps_its_owner(world: World) {
    world.apply("configmaps/a", "me", &data("v")).await.is(201);
    let patch = json!({"data": {"k": "v", "l": "w"}});
    let patch = world
        .merge_patch("configmaps/a", &patch)
        .query("fieldManager", "editor");
    let patched = patch.await.is(200);
    let (mine, edited) = (
        json!({"f:data": {"f:k": {}}}),
        json!({"f:data": {"f:l": {}}}),
    );
    let managed = patched.managed();
    assert_eq!(
        managed,
        [
            ("me", "Apply", "", &mine),
            ("editor", "Update", "", &edited)
        ]
    );
}

async fn list_items_are_owned_by_key(world: World) {
    let path = "apps/v1:deployments/a";
    world.apply(path, "one", &deployment("a", 1)).await.is(201);
    let side = json!({
        "apiVersion": "apps/v1", "kind": "Deployment", "metadata": {"name": "a"},
        "spec": {"template": {"spec": {"containers": [{"name": "side", "image": "side:1"}]}}},
    });
    let applied = world.apply(path, "two", &side).await.is(200);
    applied.has(json!({"spec": {"template": {"spec": {"containers": [
        {"name": "main", "image": "app:1"}, {"name": "side", "image": "side:1"},
    ]}}}}));
    let fields = json!({"f:spec": {"f:template": {"f:spec": {"f:containers": {
        "k:{\"name\":\"side\"}": {".": {}, "f:image": {}, "f:name": {}},
    }}}}});
    let managed = applied.managed();
    assert!(
        managed.contains(&("two", "Apply", "", &fields)),
        "{managed:#?}"
    );
    // What the other applied stays when this one goes.
    let nothing = json!({"apiVersion": "apps/v1", "kind": "Deployment", "metadata": {"name": "a"}});
    let applied = world.apply(path, "two", &nothing).await.is(200);
    applied.has(json!({"spec": {"template": {"spec": {"containers": [{"name": "main"}]}}}}));
}

async fn service_ports_are_keyed_by_port_and_protocol(world: World) {
    let applied = world.apply("services/a", "me", &service("a")).await.is(201);
    let fields = json!({"f:spec": {
        "f:ports": {"k:{\"port\":80,\"protocol\":\"TCP\"}": {".": {}, "f:port": {}, "f:targetPort": {}}},
        "f:selector": {},
    }});
    assert_eq!(applied.managed(), [("me", "Apply", "", &fields)]);
    let other = json!({
        "apiVersion": "v1", "kind": "Service", "metadata": {"name": "a"},
        "spec": {"ports": [{"port": 80, "protocol": "UDP", "name": "udp"}]},
    });
    // A second port makes names required: the first has none.
    let answer = world.apply("services/a", "other", &other).await;
    answer.refused_saying(422, "Invalid", "spec.ports[0].name: Required value");
}

async fn finalizers_are_a_set_of_values(world: World) {
    let mut body = config_map("a");
    body["metadata"]["finalizers"] = json!(["example.com/a"]);
    world.apply("configmaps/a", "one", &body).await.is(201);
    body["metadata"]["finalizers"] = json!(["example.com/b"]);
    let applied = world.apply("configmaps/a", "two", &body).await.is(200);
    assert_eq!(
        applied["metadata"]["finalizers"],
        json!(["example.com/a", "example.com/b"])
    );
    let first = json!({"f:metadata": {"f:finalizers": {"v:\"example.com/a\"": {}}}});
    let second = json!({"f:metadata": {"f:finalizers": {"v:\"example.com/b\"": {}}}});
    assert_eq!(
        applied.managed(),
        [("one", "Apply", "", &first), ("two", "Apply", "", &second)]
    );
    body["metadata"]["finalizers"] = json!([]);
    let applied = world.apply("configmaps/a", "two", &body).await.is(200);
    assert_eq!(applied["metadata"]["finalizers"], json!(["example.com/a"]));
}

async fn an_atomic_list_is_owned_whole(world: World) {
    let mut body = deployment("a", 0);
    body["spec"]["template"]["spec"]["containers"][0]["args"] = json!(["a", "b"]);
    let applied = world
        .apply("apps/v1:deployments/a", "one", &body)
        .await
        .is(201);
    let pointer = "/f:spec/f:template/f:spec/f:containers/k:{\"name\":\"main\"}/f:args";
    assert_eq!(applied.managed()[0].3.at(pointer), &json!({}));
    body["spec"]["template"]["spec"]["containers"][0]["args"] = json!(["a", "b", "c"]);
    let answer = world.apply("apps/v1:deployments/a", "two", &body).await;
    answer.refused_saying(
        409,
        "Conflict",
        "conflict with \"one\": .spec.template.spec.containers[name=\"main\"].args",
    );
}

async fn removing_the_last_item_of_a_list_map_removes_only_that_item(world: World) {
    let mut body = deployment("a", 0);
    body["spec"]["template"]["spec"]["containers"][0]["env"] = json!([{"name": "A", "value": "1"}]);
    world
        .apply("apps/v1:deployments/a", "me", &body)
        .await
        .is(201);
    let container = &mut body["spec"]["template"]["spec"]["containers"][0];
    container["env"] = json!([{"name": "B", "value": "2"}]);
    let applied = world
        .apply("apps/v1:deployments/a", "me", &body)
        .await
        .is(200);
    applied.has(json!({"spec": {"template": {"spec": {"containers": [
        {"env": [{"name": "B", "value": "2"}]},
    ]}}}}));
    let container = body
        .pointer_mut("/spec/template/spec/containers/0")
        .unwrap();
    container.as_object_mut().unwrap().remove("env");
    let applied = world
        .apply("apps/v1:deployments/a", "me", &body)
        .await
        .is(200);
    applied.has(json!({"spec": {"template": {"spec": {"containers": [{"env": null}]}}}}));
}

async fn applying_carries_no_managed_fields(world: World) {
    let created = world.post("configmaps", &data("v")).await.is(201);
    let mut body = data("v");
    body["metadata"]["managedFields"] = created["metadata"]["managedFields"].clone();
    let answer = world.apply("configmaps/a", "me", &body).await;
    answer.refused_saying(400, "BadRequest", "metadata.managedFields must be nil");
}

async fn applying_needs_version_and_kind(world: World) {
    let body = json!({"metadata": {"name": "a"}, "data": {"k": "v"}});
    let answer = world.apply("configmaps/a", "me", &body).await;
    answer.refused_saying(400, "BadRequest", "");
    let body = json!({"apiVersion": "v1", "kind": "Secret", "metadata": {"name": "a"}});
    let answer = world.apply("configmaps/a", "me", &body).await;
    assert!(
        answer.status >= 400 && answer.status < 500,
        "{}",
        answer.text()
    );
}

async fn applying_an_unknown_field_is_refused(world: World) {
    let mut body = data("v");
    body["sauce"] = json!("tomato");
    let answer = world.apply("configmaps/a", "me", &body).await;
    assert!(
        answer
            .text()
            .contains(".sauce: field not declared in schema"),
        "{}",
        answer.text()
    );
    assert_eq!(answer.status, 500);
    world.get("configmaps/a").await.is(404);
}

async fn applying_must_name_the_object_of_its_path(world: World) {
    let answer = world.apply("configmaps/b", "me", &data("v")).await;
    answer.refused_saying(
        400,
        "BadRequest",
        "the name of the object (a) does not match the name on the URL (b)",
    );
}

async fn applying_at_an_old_version_conflicts(world: World) {
    let created = world.apply("configmaps/a", "me", &data("v")).await.is(201);
    world
        .merge_patch("configmaps/a", &json!({"data": {"l": "w"}}))
        .await
        .is(200);
    let mut body = data("x");
    body["metadata"]["resourceVersion"] = created["metadata"]["resourceVersion"].clone();
    let answer = world.apply("configmaps/a", "me", &body).await;
    answer.refused_saying(409, "Conflict", "the object has been modified");
}

async fn applying_with_a_uid_creates_nothing(world: World) {
    let mut body = data("v");
    body["metadata"]["uid"] = json!("11111111-2222-3333-4444-555555555555");
    world
        .apply("configmaps/a", "me", &body)
        .await
        .refused_saying(409, "Conflict", "uid mismatch");
    world.get("configmaps/a").await.is(404);
}

async fn applying_may_be_yaml(world: World) {
    let yaml = "apiVersion: v1\nkind: ConfigMap\nmetadata:\n  name: a\ndata:\n  k: v\n";
    let applied = world
        .apply("configmaps/a", "me", &json!({}))
        .body(yaml)
        .await
        .is(201);
    applied.has(json!({"data": {"k": "v"}}));
}

async fn an_item_twice_in_a_list_map_is_refused(world: World) {
    let mut body = deployment("a", 0);
    let twice = json!([{"name": "main", "image": "a:1"}, {"name": "main", "image": "b:1"}]);
    body["spec"]["template"]["spec"]["containers"] = twice;
    let answer = world.apply("apps/v1:deployments/a", "me", &body).await;
    assert!(
        answer
            .text()
            .contains("duplicate entries for key [name=\\\"main\\\"]"),
        "{}",
        answer.text()
    );
    world.get("apps/v1:deployments/a").await.is(404);
}

async fn status_is_applied_by_itself(world: World) {
    let widgets = world.define(&widgets(&world.group)).await;
    let path = format!("{widgets}/a");
    let spec = world.custom("Widget", "a", json!({"spec": {"size": 1}}));
    world.apply(&path, "me", &spec).await.is(201);
    let status = world.custom("Widget", "a", json!({"status": {"phase": "Ready"}}));
    let applied = world
        .apply(&format!("{path}/status"), "me", &status)
        .await
        .is(200);
    applied.has(json!({"spec": {"size": 1}, "status": {"phase": "Ready"}}));
    let (first, second) = (
        json!({"f:spec": {"f:size": {}}}),
        json!({"f:status": {"f:phase": {}}}),
    );
    let managed = applied.managed();
    assert_eq!(
        managed,
        [
            ("me", "Apply", "", &first),
            ("me", "Apply", "status", &second)
        ]
    );
}

async fn managed_fields_can_be_reset(world: World) {
    world.apply("configmaps/a", "me", &data("v")).await.is(201);
    let patch = json!({"metadata": {"managedFields": [{}]}});
    let patched = world.merge_patch("configmaps/a", &patch).await.is(200);
    patched.has(json!({"metadata": {"managedFields": null}, "data": {"k": "v"}}));
}

async fn an_updaters_name_is_its_own_entry_per_version(world: World) {
    world
        .post("configmaps", &data("v"))
        .query("fieldManager", "one")
        .await
        .is(201);
    let patch = world.merge_patch("configmaps/a", &json!({"data": {"l": "w"}}));
    let patched = patch.query("fieldManager", "two").await.is(200);
    let (first, second) = (
        json!({"f:data": {".": {}, "f:k": {}}}),
        json!({"f:data": {"f:l": {}}}),
    );
    assert_eq!(
        patched.managed(),
        [
            ("one", "Update", "", &first),
            ("two", "Update", "", &second)
        ]
    );
    let patch = world.merge_patch("configmaps/a", &json!({"data": {"l": null}}));
    let patched = patch.query("fieldManager", "one").await.is(200);
    assert_eq!(patched.managed(), [("one", "Update", "", &first)]);
}

async fn metadata_is_owned_field_by_field(world: World) {
    let mut body = config_map("a");
    body["metadata"]["labels"] = json!({"a": "b"});
    body["metadata"]["annotations"] = json!({"c": "d"});
    body["metadata"]["ownerReferences"] = json!([{
        "apiVersion": "v1", "kind": "Namespace", "name": world.namespace, "uid": "1-2-3",
    }]);
    let created = world
        .post("configmaps", &body)
        .query("dryRun", "All")
        .await
        .is(201);
    created.managed()[0].3["f:metadata"].has(json!({
        "f:annotations": {".": {}, "f:c": {}},
        "f:labels": {".": {}, "f:a": {}},
        "f:ownerReferences": {".": {}, "k:{\"uid\":\"1-2-3\"}": {}},
        "f:name": null, "f:namespace": null, "f:uid": null,
    }));
}

async fn applying_keeps_defaults_unowned(world: World) {
    let applied = world.apply("services/a", "me", &service("a")).await.is(201);
    assert_eq!(applied["spec"]["type"], "ClusterIP");
    assert_eq!(applied.managed()[0].3.at("/f:spec/f:type"), &json!(null));
    let created = world.post("services", &service("b")).await.is(201);
    assert_eq!(created.managed()[0].3.at("/f:spec/f:type"), &json!({}));
}

async fn dry_run_applying_stores_nothing(world: World) {
    let request = world
        .apply("configmaps/a", "me", &data("v"))
        .query("dryRun", "All");
    request.await.is(201).has(json!({"data": {"k": "v"}}));
    world.get("configmaps/a").await.is(404);
}

fn typed_widgets(group: &str) -> serde_json::Value {
    custom(
        group,
        json!({"spec": {"type": "object", "properties": {
            "ports": {
                "type": "array", "x-kubernetes-list-type": "map", "x-kubernetes-list-map-keys": ["port"],
                "items": {"type": "object", "required": ["port"], "properties": {
                    "port": {"type": "integer"}, "name": {"type": "string"},
                }},
            },
            "tags": {
                "type": "array", "x-kubernetes-list-type": "set", "items": {"type": "string"},
            },
            "plain": {"type": "array", "items": {"type": "string"}},
            "whole": {
                "type": "object", "x-kubernetes-map-type": "atomic",
                "additionalProperties": {"type": "string"},
            },
        }}}),
    )
}

async fn custom_list_maps_are_merged_by_key(world: World) {
    let path = format!("{}/a", world.define(&typed_widgets(&world.group)).await);
    let one = json!({"spec": {"ports": [{"port": 1, "name": "a"}]}});
    world
        .apply(&path, "one", &world.custom("Widget", "a", one))
        .await
        .is(201);
    let two = json!({"spec": {"ports": [{"port": 2, "name": "b"}]}});
    let applied = world
        .apply(&path, "two", &world.custom("Widget", "a", two))
        .await
        .is(200);
    let ports = json!([{"port": 1, "name": "a"}, {"port": 2, "name": "b"}]);
    assert_eq!(applied["spec"]["ports"], ports);
    let fields =
        json!({"f:spec": {"f:ports": {"k:{\"port\":2}": {".": {}, "f:name": {}, "f:port": {}}}}});
    assert_eq!(applied.managed()[1], ("two", "Apply", "", &fields));
    let three = json!({"spec": {"ports": [{"port": 1, "name": "c"}]}});
    let answer = world
        .apply(&path, "three", &world.custom("Widget", "a", three))
        .await;
    answer.refused_saying(
        409,
        "Conflict",
        "conflict with \"one\": .spec.ports[port=1].name",
    );
}

async fn custom_sets_are_merged_by_value(world: World) {
    let path = format!("{}/a", world.define(&typed_widgets(&world.group)).await);
    let one = json!({"spec": {"tags": ["a", "b"]}});
    world
        .apply(&path, "one", &world.custom("Widget", "a", one))
        .await
        .is(201);
    let two = json!({"spec": {"tags": ["b", "c"]}});
    let applied = world
        .apply(&path, "two", &world.custom("Widget", "a", two))
        .await
        .is(200);
    assert_eq!(applied["spec"]["tags"], json!(["a", "b", "c"]));
    let fields = json!({"f:spec": {"f:tags": {"v:\"b\"": {}, "v:\"c\"": {}}}});
    assert_eq!(applied.managed()[1], ("two", "Apply", "", &fields));
    let nothing = world.custom("Widget", "a", json!({}));
    let applied = world.apply(&path, "one", &nothing).await.is(200);
    assert_eq!(applied["spec"]["tags"], json!(["b", "c"]));
}

async fn custom_lists_without_a_type_are_atomic(world: World) {
    let path = format!("{}/a", world.define(&typed_widgets(&world.group)).await);
    let one = world.custom("Widget", "a", json!({"spec": {"plain": ["a"]}}));
    world.apply(&path, "one", &one).await.is(201);
    let two = world.custom("Widget", "a", json!({"spec": {"plain": ["b"]}}));
    let answer = world.apply(&path, "two", &two).await;
    answer.refused_saying(409, "Conflict", "conflict with \"one\": .spec.plain");
    let applied = world.force_apply(&path, "two", &two).await.is(200);
    assert_eq!(applied["spec"]["plain"], json!(["b"]));
    let fields = json!({"f:spec": {"f:plain": {}}});
    assert!(applied.managed().contains(&("two", "Apply", "", &fields)));
}

async fn custom_atomic_maps_are_owned_whole(world: World) {
    let path = format!("{}/a", world.define(&typed_widgets(&world.group)).await);
    let one = world.custom("Widget", "a", json!({"spec": {"whole": {"k": "v"}}}));
    let applied = world.apply(&path, "one", &one).await.is(201);
    let fields = json!({"f:spec": {"f:whole": {}}});
    assert_eq!(applied.managed(), [("one", "Apply", "", &fields)]);
    let two = world.custom("Widget", "a", json!({"spec": {"whole": {"l": "w"}}}));
    let answer = world.apply(&path, "two", &two).await;
    answer.refused_saying(409, "Conflict", "conflict with \"one\": .spec.whole");
}

async fn scaling_takes_over_the_applied_replicas(world: World) {
    let path = "apps/v1:deployments/a";
    world.apply(path, "me", &deployment("a", 0)).await.is(201);
    let scale = world.merge_patch(&format!("{path}/scale"), &json!({"spec": {"replicas": 2}}));
    scale.query("fieldManager", "scaler").await.is(200);
    let scaled = world.get(path).await.is(200);
    let fields = json!({"f:spec": {"f:replicas": {}}});
    let managed = scaled.managed();
    assert!(
        managed.contains(&("scaler", "Update", "scale", &fields)),
        "{managed:#?}"
    );
    let answer = world.apply(path, "me", &deployment("a", 1)).await;
    answer.refused_saying(
        409,
        "Conflict",
        "conflict with \"scaler\" with subresource \"scale\"",
    );
}
