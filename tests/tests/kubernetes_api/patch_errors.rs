//! Patches that say too much, too little, or what no object can be.

use serde_json::{Value, json};

use crate::answer::Look;
use crate::manifests::{config_map, deployment};
use crate::world::World;

cases! { ApiServer:
    a_patch_makes_no_other_kind,
    a_patch_may_be_of_another_version_that_there_is,
    a_patch_moves_nothing_to_another_namespace,
    a_patch_may_not_be_forced_unless_it_applies,
    a_manager_has_a_name_that_can_be_printed,
    a_json_patch_takes_what_is_missing_for_null,
    a_json_patch_counts_from_the_end_below_zero,
    a_json_patch_copies_no_more_than_a_body_holds,
    a_json_patch_tests_and_replaces_a_whole_object,
    a_json_patch_holds_operations_alone,
    a_merge_patch_is_an_object,
    a_json_patch_has_a_limit_of_operations,
    a_strategic_patch_stands_in_the_order_it_asks_for,
    a_strategic_patch_of_texts_stands_in_the_order_it_asks_for,
    a_strategic_patch_with_an_unknown_directive_is_refused,
    an_empty_list_of_managers_forgets_them,
    an_item_without_its_key_is_applied_under_the_zero_key,
}

/// A ConfigMap `a` with one key, and its path.
async fn colour(world: &World) -> &'static str {
    let mut body = config_map("a");
    body["data"] = json!({"colour": "blue"});
    world.post("configmaps", &body).await.is(201);
    "configmaps/a"
}

/// A Deployment `web` without Pods, and its path.
async fn web(world: &World) -> &'static str {
    world
        .post("apps/v1:deployments", &deployment("web", 0))
        .await
        .is(201);
    "apps/v1:deployments/web"
}

fn containers(containers: Value) -> Value {
    json!({"spec": {"template": {"spec": containers}}})
}

async fn a_patch_makes_no_other_kind(world: World) {
    let path = colour(&world).await;
    for (patch, kind, version) in [
        (json!({"kind": "Colour"}), "Colour", "v1"),
        (json!({"apiVersion": "v2"}), "ConfigMap", "v2"),
        (json!({"apiVersion": "apps/v1"}), "ConfigMap", "apps/v1"),
    ] {
        let why = format!("no kind \"{kind}\" is registered for version \"{version}\"");
        let answer = world.merge_patch(path, &patch).await;
        answer.refused_saying(422, "Invalid", &why);
    }
}

async fn a_patch_may_be_of_another_version_that_there_is(world: World) {
    let path = web(&world).await;
    let beta = |number| json!({"apiVersion": format!("apps/v1beta{number}")});
    for number in [1, 2] {
        let patched = world.merge_patch(path, &beta(number)).await.is(200);
        assert_eq!(patched["apiVersion"], "apps/v1");
    }
    let body = json!({
        "apiVersion": "autoscaling/v1", "kind": "HorizontalPodAutoscaler",
        "metadata": {"name": "a"},
        "spec": {
            "maxReplicas": 3, "targetCPUUtilizationPercentage": 50,
            "scaleTargetRef": {"apiVersion": "apps/v1", "kind": "Deployment", "name": "none"},
        },
    });
    let autoscalers = "autoscaling/v1:horizontalpodautoscalers";
    world.post(autoscalers, &body).await.is(201);
    let metrics = json!([{"type": "Resource", "resource": {
        "name": "cpu", "target": {"type": "Utilization", "averageUtilization": 70},
    }}]);
    let patch = json!({"apiVersion": "autoscaling/v2", "spec": {"metrics": metrics}});
    let path = format!("{autoscalers}/a");
    let patched = world.merge_patch(&path, &patch).await.is(200);
    assert_eq!(patched["apiVersion"], "autoscaling/v1");
    assert_eq!(patched["spec"]["targetCPUUtilizationPercentage"], 70);
}

async fn a_patch_moves_nothing_to_another_namespace(world: World) {
    let path = colour(&world).await;
    let patch = json!({"metadata": {"namespace": "default"}});
    let why =
        "the namespace of the provided object does not match the namespace sent on the request";
    world
        .merge_patch(path, &patch)
        .await
        .refused(400, "BadRequest", why);
}

async fn a_patch_may_not_be_forced_unless_it_applies(world: World) {
    let path = colour(&world).await;
    let answer = world
        .merge_patch(path, &json!({}))
        .query("force", "true")
        .await;
    let why = "PatchOptions.meta.k8s.io \"\" is invalid: force: Forbidden: may not be specified for \
               non-apply patch";
    answer.refused(422, "Invalid", why);
}

async fn a_manager_has_a_name_that_can_be_printed(world: World) {
    let path = colour(&world).await;
    for (manager, shown, number) in [
        ("a\u{a0}b", "a\\u00a0b", "00A0"),
        ("a\u{200b}", "a\\u200b", "200B"),
        ("a\u{e0001}", "a\\U000e0001", "E0001"),
    ] {
        let answer = world.merge_patch(path, &json!({}));
        let why = format!(
            "PatchOptions.meta.k8s.io \"\" is invalid: fieldManager: Invalid value: \"{shown}\": \
             invalid character U+{number} (at position 1)"
        );
        let answer = answer.query("fieldManager", manager).await;
        answer.refused(422, "Invalid", &why);
    }
    let printed = world.merge_patch(path, &json!({}));
    printed
        .query("fieldManager", "a\u{301} \u{4e2d}")
        .await
        .is(200);
    let why = "fieldManager: Invalid value: \"a\\nb\": invalid character U+000A (at position 1)";
    let patch = world
        .merge_patch(path, &json!({}))
        .query("fieldManager", "a\nb");
    let told = format!("PatchOptions.meta.k8s.io \"\" is invalid: {why}");
    patch.await.refused(422, "Invalid", &told);
    let post = world
        .post("configmaps", &config_map("b"))
        .query("fieldManager", "a\nb");
    let told = format!("CreateOptions.meta.k8s.io \"\" is invalid: {why}");
    post.await.refused(422, "Invalid", &told);
}

async fn a_json_patch_takes_what_is_missing_for_null(world: World) {
    let path = colour(&world).await;
    for (operation, data) in [
        (
            json!({"op": "add", "path": "/data/shade"}),
            json!({"colour": "blue", "shade": ""}),
        ),
        (
            json!({"op": "copy", "from": "/data/none", "path": "/data/colour"}),
            json!({"colour": "", "shade": ""}),
        ),
        (
            json!({"op": "test", "path": "/data/none", "value": null}),
            json!({"colour": "", "shade": ""}),
        ),
        (
            json!({"op": "replace", "path": "/data/hue", "value": "x"}),
            json!({"colour": "", "shade": "", "hue": "x"}),
        ),
    ] {
        let patched = world.json_patch(path, &json!([operation])).await.is(200);
        assert_eq!(patched["data"], data, "{operation}");
    }
    // Where nothing could hold it, it is missing after all.
    let why = "the server rejected our request due to an error in our request";
    for operation in [
        json!({"op": "copy", "from": "/nothing/none", "path": "/data/colour"}),
        json!({"op": "test", "path": "/data/none", "value": "x"}),
        json!({"op": "add", "path": "/nothing/none", "value": "x"}),
        json!({"op": "move", "from": "/data/none", "path": "/data/colour"}),
    ] {
        let answer = world.json_patch(path, &json!([operation])).await;
        answer.refused(422, "Invalid", why);
    }
}

async fn a_json_patch_counts_from_the_end_below_zero(world: World) {
    let path = web(&world).await;
    let list = "/spec/template/spec/containers";
    let first = world.get(path).await.is(200);
    let first = first.text(&format!("{list}/0/name")).to_owned();
    let containers = |patched: &Value| -> Vec<String> {
        let shown = |container: &Value| format!("{} {}", container["name"], container["image"]);
        patched.list(list).iter().map(shown).collect()
    };
    let patch = json!([
        {"op": "replace", "path": format!("{list}/0/image"), "value": "i"},
        {"op": "add", "path": format!("{list}/-1"), "value": {"name": "last", "image": "i"}},
        {"op": "replace", "path": format!("{list}/-1/image"), "value": "j"},
        {"op": "test", "path": format!("{list}/-2/image"), "value": "i"},
    ]);
    let patched = world.json_patch(path, &patch).await.is(200);
    let expected = [format!("{first:?} \"i\""), "\"last\" \"j\"".to_owned()];
    assert_eq!(containers(&patched), expected);
    // The place to move to is looked for where the list has one less.
    let patch = json!([
        {"op": "add", "path": format!("{list}/-"), "value": {"name": "third", "image": "k"}},
        {"op": "move", "from": format!("{list}/-3"), "path": format!("{list}/-2")},
    ]);
    let patched = world.json_patch(path, &patch).await.is(200);
    let expected = [
        "\"last\" \"j\"",
        &format!("{first:?} \"i\""),
        "\"third\" \"k\"",
    ];
    assert_eq!(containers(&patched), expected);
    let why = "the server rejected our request due to an error in our request";
    for operation in [
        json!({"op": "add", "path": format!("{list}/-9"), "value": {"name": "x", "image": "i"}}),
        json!({"op": "replace", "path": format!("{list}/-9/image"), "value": "x"}),
    ] {
        let answer = world.json_patch(path, &json!([operation])).await;
        answer.refused(422, "Invalid", why);
    }
    let removal = json!([{"op": "remove", "path": format!("{list}/-1")}]);
    let patched = world.json_patch(path, &removal).await.is(200);
    let expected = ["\"last\" \"j\"", &format!("{first:?} \"i\"")];
    assert_eq!(containers(&patched), expected);
}

async fn a_json_patch_copies_no_more_than_a_body_holds(world: World) {
    let path = colour(&world).await;
    // Each doubles what is there.
    let copy = |number| json!({"op": "copy", "from": "/data", "path": format!("/data/{number}")});
    let doubled: Vec<Value> = (0..35).map(copy).collect();
    let why = "the server rejected our request due to an error in our request";
    let answer = world.json_patch(path, &json!(doubled)).await;
    answer.refused(422, "Invalid", why);
}

async fn a_json_patch_tests_and_replaces_a_whole_object(world: World) {
    let path = colour(&world).await;
    let mut whole = world.get(path).await.is(200);
    let test = json!([{"op": "test", "path": "", "value": whole}]);
    world.json_patch(path, &test).await.is(200);
    whole["data"] = json!({"hue": "red"});
    let replace = json!([{"op": "replace", "path": "", "value": whole}]);
    let patched = world.json_patch(path, &replace).await.is(200);
    assert_eq!(patched["data"], json!({"hue": "red"}));
    let why = "the server rejected our request due to an error in our request";
    for operation in [
        json!({"op": "test", "path": "", "value": {}}),
        json!({"op": "add", "path": "", "value": whole}),
        json!({"op": "copy", "from": "", "path": "/data/whole"}),
        json!({"op": "remove", "path": ""}),
    ] {
        let answer = world.json_patch(path, &json!([operation])).await;
        answer.refused(422, "Invalid", why);
    }
}

async fn a_json_patch_holds_operations_alone(world: World) {
    let path = colour(&world).await;
    for (patch, found, wanted) in [
        (json!([1]), "number", "handlers.jsonPatchOp"),
        (json!(1), "number", "[]handlers.jsonPatchOp"),
        (json!("x"), "string", "[]handlers.jsonPatchOp"),
        (json!(true), "bool", "[]handlers.jsonPatchOp"),
        (json!({}), "object", "[]handlers.jsonPatchOp"),
    ] {
        let why = format!(
            "error decoding patch: json: cannot unmarshal {found} into Go value of type {wanted}"
        );
        let answer = world.json_patch(path, &patch).await;
        answer.refused(400, "BadRequest", &why);
    }
}

async fn a_merge_patch_is_an_object(world: World) {
    let path = colour(&world).await;
    for (patch, found) in [
        (json!([1]), "array"),
        (json!(1), "number"),
        (json!("x"), "string"),
        (json!(true), "bool"),
    ] {
        let why = format!(
            "json: cannot unmarshal {found} into Go value of type map[string]interface {{}}"
        );
        let answer = world.merge_patch(path, &patch).await;
        answer.refused(400, "BadRequest", &format!("error decoding patch: {why}"));
        let answer = world.strategic_patch(path, &patch).await;
        answer.refused(400, "BadRequest", &why);
    }
}

async fn a_json_patch_has_a_limit_of_operations(world: World) {
    let path = colour(&world).await;
    let operation = json!({"op": "add", "path": "/data/x", "value": "1"});
    let patch = Value::from(vec![operation; 10_001]);
    let why = "Request entity too large: The allowed maximum operations in a JSON patch is 10000, \
               got 10001";
    world
        .json_patch(path, &patch)
        .await
        .refused(413, "RequestEntityTooLarge", why);
}

async fn a_strategic_patch_stands_in_the_order_it_asks_for(world: World) {
    let path = web(&world).await;
    let patch = containers(json!({
        "$setElementOrder/containers": [{"name": "b"}, {"name": "c"}],
        "containers": [{"name": "c", "image": "i"}, {"name": "b", "image": "i"}],
    }));
    let why = "The order in patch list:\n[map[image:i name:c] map[image:i name:b]]\n doesn't match \
               $setElementOrder list:\n[map[name:b] map[name:c]]\n";
    world
        .strategic_patch(path, &patch)
        .await
        .refused(500, "", why);
}

async fn a_strategic_patch_of_texts_stands_in_the_order_it_asks_for(world: World) {
    let path = colour(&world).await;
    let finalizers = |given: [&str; 2]| {
        json!({"metadata": {
            "$setElementOrder/finalizers": ["example.com/a", "example.com/b"],
            "finalizers": given,
        }})
    };
    let why = "The order in patch list:\n[example.com/b example.com/a]\n doesn't match \
               $setElementOrder list:\n[example.com/a example.com/b]\n";
    let patch = finalizers(["example.com/b", "example.com/a"]);
    let answer = world.strategic_patch(path, &patch).await;
    answer.refused(500, "", why);
    let patch = finalizers(["example.com/a", "example.com/b"]);
    world.strategic_patch(path, &patch).await.is(200);
    let free = json!({"metadata": {"finalizers": null}});
    world.merge_patch(path, &free).await.is(200);
}

async fn a_strategic_patch_with_an_unknown_directive_is_refused(world: World) {
    let path = web(&world).await;
    let name = world.get(path).await.is(200);
    let name = name
        .text("/spec/template/spec/containers/0/name")
        .to_owned();
    for (patch, shown) in [
        (
            json!({"spec": {"$patch": "mend"}}),
            "map[$patch:mend]".to_owned(),
        ),
        (
            containers(json!({"containers": [{"name": name, "$patch": "mend"}]})),
            format!("map[$patch:mend name:{name}]"),
        ),
    ] {
        let why = format!("unknown patch type: mend in map: {shown}");
        world
            .strategic_patch(path, &patch)
            .await
            .refused(500, "", &why);
    }
}

async fn an_empty_list_of_managers_forgets_them(world: World) {
    let path = colour(&world).await;
    let patch = json!({"metadata": {"managedFields": []}});
    let patched = world.merge_patch(path, &patch).await.is(200);
    assert_eq!(patched["metadata"]["managedFields"], Value::Null);
}

async fn an_item_without_its_key_is_applied_under_the_zero_key(world: World) {
    let mut body = deployment("web", 0);
    body["spec"]["template"]["spec"]["containers"] = json!([{"image": "i"}]);
    let answer = world.apply("apps/v1:deployments/web", "me", &body).await;
    let why = "Deployment.apps \"web\" is invalid: spec.template.spec.containers[0].name: Required \
               value";
    answer.refused(422, "Invalid", why);
}
