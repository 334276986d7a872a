//! Ratcheting (KEP-4008): an update is not refused for what it does not change.

use serde_json::{Value, json};

use crate::manifests::custom;
use crate::world::World;

cases! { ApiServer:
    an_item_of_a_list_map_is_ratcheted_by_its_key,
    items_of_other_lists_are_not_ratcheted_when_the_list_changes,
    values_of_maps_are_ratcheted_by_their_key,
    what_is_newly_required_is_asked_of_what_changes,
    a_changed_object_has_to_match_any_of_its_schemas,
    a_rule_is_not_asked_of_what_did_not_change,
    a_rule_of_a_changed_parent_is_asked,
    a_rule_over_an_item_is_ratcheted_by_its_key,
    status_and_spec_are_ratcheted_apart,
    an_invalid_object_may_be_applied_unchanged,
    a_rule_may_ask_whether_there_was_an_old_value,
}

/// The Widget `a` with this `spec`, of a definition that became stricter after it: `at`, below the
/// schema of `spec`, has what `then` says. Waits until a Widget with the same `spec` is refused.
async fn stricter(world: &World, properties: Value, spec: Value, at: &str, then: Value) -> String {
    let schema = json!({"spec": {"type": "object", "properties": properties}});
    let path = world.define(&custom(&world.group, schema)).await;
    let body = |name| world.custom("Widget", name, json!({"spec": spec}));
    world.post(&path, &body("a")).await.is(201);
    let pointer = format!("/spec/versions/0/schema/openAPIV3Schema/properties/spec{at}");
    let patch = json!([{"op": "add", "path": pointer, "value": then}]);
    let definition = format!(
        "/apis/apiextensions.k8s.io/v1/customresourcedefinitions/widgets.{}",
        world.group,
    );
    world.json_patch(&definition, &patch).await.is(200);
    world.until_refused(&path, &body("b")).await;
    format!("{path}/a")
}

async fn takes(world: &World, path: &str, spec: Value) {
    let patch = json!({"spec": spec});
    world.merge_patch(path, &patch).await.is(200);
}

async fn refuses(world: &World, path: &str, spec: Value, part: &str) {
    let patch = json!({"spec": spec});
    let answer = world.merge_patch(path, &patch).await;
    answer.refused_saying(422, "Invalid", part);
}

async fn an_item_of_a_list_map_is_ratcheted_by_its_key(world: World) {
    let item = json!({"type": "object", "required": ["name"], "properties": {
        "name": {"type": "string"}, "size": {"type": "integer"}}});
    let list = json!({"list": {"type": "array", "items": item, "x-kubernetes-list-type": "map",
        "x-kubernetes-list-map-keys": ["name"]}});
    let spec = json!({"list": [{"name": "x", "size": 1}]});
    let at = "/properties/list/items/properties/size/minimum";
    let path = stricter(&world, list, spec, at, json!(5)).await;
    let old = json!({"name": "x", "size": 1});
    takes(
        &world,
        &path,
        json!({"list": [{"name": "y", "size": 7}, old]}),
    )
    .await;
    let part = "spec.list[1].size in body should be greater than or equal to 5";
    let wrong = json!({"list": [old, {"name": "z", "size": 2}]});
    refuses(&world, &path, wrong, part).await;
    let part = "spec.list[0].size in body should be greater than or equal to 5";
    let wrong = json!({"list": [{"name": "x", "size": 2}]});
    refuses(&world, &path, wrong, part).await;
}

async fn items_of_other_lists_are_not_ratcheted_when_the_list_changes(world: World) {
    let properties = json!({"list": {"type": "array", "items": {"type": "integer"}},
        "color": {"type": "string"}});
    let at = "/properties/list/items/minimum";
    let path = stricter(&world, properties, json!({"list": [1]}), at, json!(5)).await;
    takes(&world, &path, json!({"color": "red"})).await;
    let part = "spec.list[0] in body should be greater than or equal to 5";
    refuses(&world, &path, json!({"list": [1, 7]}), part).await;
}

async fn values_of_maps_are_ratcheted_by_their_key(world: World) {
    let properties =
        json!({"map": {"type": "object", "additionalProperties": {"type": "integer"}}});
    let at = "/properties/map/additionalProperties/minimum";
    let path = stricter(&world, properties, json!({"map": {"x": 1}}), at, json!(5)).await;
    takes(&world, &path, json!({"map": {"y": 7}})).await;
    let part = "spec.map.z in body should be greater than or equal to 5";
    refuses(&world, &path, json!({"map": {"z": 2}}), part).await;
}

async fn what_is_newly_required_is_asked_of_what_changes(world: World) {
    let inner = json!({"type": "object", "properties": {
        "size": {"type": "integer"}, "name": {"type": "string"}}});
    let properties = json!({"part": inner, "color": {"type": "string"}});
    let at = "/properties/part/required";
    let path = stricter(
        &world,
        properties,
        json!({"part": {"size": 1}}),
        at,
        json!(["name"]),
    )
    .await;
    takes(&world, &path, json!({"color": "red"})).await;
    let part = "spec.part.name: Required value";
    refuses(&world, &path, json!({"part": {"size": 2}}), part).await;
}

async fn a_changed_object_has_to_match_any_of_its_schemas(world: World) {
    let inner = json!({"type": "object", "properties": {
        "size": {"type": "integer"}, "name": {"type": "string"}}});
    let properties = json!({"part": inner, "color": {"type": "string"}});
    let any = json!([{"required": ["name"]}, {"properties": {"size": {"minimum": 5}}}]);
    let at = "/properties/part/anyOf";
    let path = stricter(&world, properties, json!({"part": {"size": 1}}), at, any).await;
    takes(&world, &path, json!({"color": "red"})).await;
    let part = "must validate at least one schema (anyOf)";
    refuses(&world, &path, json!({"part": {"size": 2}}), part).await;
    takes(&world, &path, json!({"part": {"size": 6}})).await;
}

fn rule(rule: &str) -> Value {
    json!([{"rule": rule, "message": "by the rule"}])
}

const RULES: &str = "/x-kubernetes-validations";

async fn a_rule_is_not_asked_of_what_did_not_change(world: World) {
    let properties = json!({"size": {"type": "integer"}, "color": {"type": "string"}});
    let at = format!("/properties/size{RULES}");
    let spec = json!({"size": 1});
    let path = stricter(&world, properties, spec, &at, rule("self > 5")).await;
    takes(&world, &path, json!({"color": "red"})).await;
    refuses(&world, &path, json!({"size": 2}), "by the rule").await;
    takes(&world, &path, json!({"size": 6})).await;
}

async fn a_rule_of_a_changed_parent_is_asked(world: World) {
    let properties = json!({"size": {"type": "integer"}, "color": {"type": "string"}});
    let spec = json!({"size": 1});
    let path = stricter(&world, properties, spec, RULES, rule("self.size > 5")).await;
    refuses(&world, &path, json!({"color": "red"}), "by the rule").await;
    let labels = json!({"metadata": {"labels": {"a": "b"}}});
    world.merge_patch(&path, &labels).await.is(200);
}

async fn a_rule_over_an_item_is_ratcheted_by_its_key(world: World) {
    let item = json!({"type": "object", "required": ["name"], "properties": {
        "name": {"type": "string"}, "size": {"type": "integer"}}});
    let list = json!({"list": {"type": "array", "items": item, "x-kubernetes-list-type": "map",
        "x-kubernetes-list-map-keys": ["name"], "maxItems": 10}});
    let spec = json!({"list": [{"name": "x", "size": 1}]});
    let at = format!("/properties/list/items{RULES}");
    let path = stricter(&world, list, spec, &at, rule("self.size > 5")).await;
    let old = json!({"name": "x", "size": 1});
    takes(
        &world,
        &path,
        json!({"list": [{"name": "y", "size": 7}, old]}),
    )
    .await;
    let wrong = json!({"list": [old, {"name": "z", "size": 2}]});
    refuses(&world, &path, wrong, "spec.list[1]: Invalid value").await;
}

async fn status_and_spec_are_ratcheted_apart(world: World) {
    let properties = json!({"size": {"type": "integer"}, "color": {"type": "string"}});
    let at = "/properties/size/minimum";
    let path = stricter(&world, properties, json!({"size": 1}), at, json!(5)).await;
    let labels = json!({"metadata": {"annotations": {"a": "b"}}});
    world.merge_patch(&path, &labels).await.is(200);
    let removal = json!({"spec": null});
    world.merge_patch(&path, &removal).await.is(200);
    refuses(
        &world,
        &path,
        json!({"size": 1}),
        "greater than or equal to 5",
    )
    .await;
}

async fn an_invalid_object_may_be_applied_unchanged(world: World) {
    let properties = json!({"size": {"type": "integer"}, "color": {"type": "string"}});
    let at = "/properties/size/minimum";
    let path = stricter(&world, properties, json!({"size": 1}), at, json!(5)).await;
    let body = |spec: Value| world.custom("Widget", "a", json!({"spec": spec}));
    let same = body(json!({"size": 1, "color": "red"}));
    world.force_apply(&path, "me", &same).await.is(200);
    let answer = world
        .force_apply(&path, "me", &body(json!({"size": 2})))
        .await;
    answer.refused_saying(422, "Invalid", "greater than or equal to 5");
}

async fn a_rule_may_ask_whether_there_was_an_old_value(world: World) {
    let mut size = json!({"type": "integer"});
    size["x-kubernetes-validations"] = json!([{
        "rule": "!oldSelf.hasValue() || self >= oldSelf.value()",
        "message": "only grows", "optionalOldSelf": true,
    }, {
        "rule": "oldSelf.hasValue() || self < 10",
        "message": "starts small", "optionalOldSelf": true,
    }]);
    let schema = json!({"spec": {"type": "object", "properties": {"size": size}}});
    let path = world.define(&custom(&world.group, schema)).await;
    let body = |size: i64| world.custom("Widget", "a", json!({"spec": {"size": size}}));
    let answer = world.post(&path, &body(20)).await;
    answer.refused_saying(422, "Invalid", "starts small");
    world.post(&path, &body(5)).await.is(201);
    let path = format!("{path}/a");
    takes(&world, &path, json!({"size": 20})).await;
    refuses(&world, &path, json!({"size": 3}), "only grows").await;
}
