//! Rules of custom resources on objects: what they may cost there, and what they can say.

use serde_json::{Value, json};

use crate::answer::Look;
use crate::manifests::custom;
use crate::world::World;

cases! { ApiServer:
    a_rule_that_costs_too_much_on_an_object_refuses_it,
    rules_that_cost_too_much_together_refuse_an_object,
    a_message_that_costs_too_much_is_told_instead,
    a_rule_costs_only_what_is_evaluated,
    a_rule_follows_optional_fields,
    a_rule_follows_optional_keys_and_indexes,
    an_optional_value_is_mapped,
    a_list_can_hold_optional_elements,
    macros_of_two_variables_see_place_and_value,
    lists_and_maps_are_transformed_with_two_variables,
    a_rule_may_see_that_nothing_was_before,
    a_transition_rule_is_asked_about_what_did_not_change,
    numbers_have_the_type_of_their_schema,
    formats_make_times_and_bytes,
    fields_are_named_so_that_rules_can_name_them,
    a_rule_that_fails_tells_why,
    a_rule_on_another_type_tells_its_overload,
    one_side_of_a_disjunction_is_enough,
    types_are_values,
}

/// A `Widget` with these properties under `spec`, and a path for its objects.
async fn spec(world: &World, properties: Value) -> String {
    let spec = json!({"spec": {"type": "object", "properties": properties}});
    world.define(&custom(&world.group, spec)).await
}

fn ruled(mut schema: Value, rules: &[&str]) -> Value {
    let rules: Vec<Value> = rules.iter().map(|rule| json!({"rule": rule})).collect();
    schema["x-kubernetes-validations"] = rules.into();
    schema
}

/// A `Widget` whose `spec.value` has this schema.
async fn valued(world: &World, schema: Value, rules: &[&str]) -> String {
    spec(world, json!({"value": ruled(schema, rules)})).await
}

/// Tries an object with this value.
async fn takes(world: &World, path: &str, value: Value) {
    let body = world.custom("Widget", "a", json!({"spec": {"value": value}}));
    world.post(path, &body).query("dryRun", "All").await.is(201);
}

/// Tries an object with this value and expects exactly this of `spec.value`.
async fn refuses(world: &World, path: &str, value: Value, message: &str) {
    let body = world.custom("Widget", "a", json!({"spec": {"value": value}}));
    let answer = world.post(path, &body).query("dryRun", "All").await;
    let message = format!(
        "Widget.{} \"a\" is invalid: spec.value: {message}",
        world.group
    );
    answer.refused(422, "Invalid", &message);
}

/// It costs some seven for each pair of elements.
const COSTLY: &str = "self.all(x, self.all(y, x + y >= 0))";

fn numbers(count: usize) -> Value {
    (0..count).collect::<Vec<_>>().into()
}

fn list_of_numbers() -> Value {
    json!({"type": "array", "maxItems": 800, "items": {"type": "integer"}})
}

async fn a_rule_that_costs_too_much_on_an_object_refuses_it(world: World) {
    let path = valued(&world, list_of_numbers(), &[COSTLY, "self.size() > 0"]).await;
    takes(&world, &path, numbers(300)).await;
    let message = format!(
        "Invalid value: \"array\": 'operation cancelled: actual cost limit exceeded': no further \
         validation rules will be run due to call cost exceeds limit for rule: {COSTLY}"
    );
    refuses(&world, &path, numbers(400), &message).await;
}

async fn rules_that_cost_too_much_together_refuse_an_object(world: World) {
    let rules: Vec<String> = (0..18)
        .map(|least| format!("{COSTLY} && {least} >= 0"))
        .collect();
    let rules: Vec<&str> = rules.iter().map(String::as_str).collect();
    let path = valued(&world, list_of_numbers(), &rules).await;
    takes(&world, &path, numbers(200)).await;
    let message = "Invalid value: \"array\": validation failed due to running out of cost budget, \
                   no further validation rules will be run";
    refuses(&world, &path, numbers(300), message).await;
}

async fn a_message_that_costs_too_much_is_told_instead(world: World) {
    let mut schema = list_of_numbers();
    let expression = format!("{COSTLY} ? 'all' : 'none'");
    schema["x-kubernetes-validations"] =
        json!([{"rule": "self.size() < 5", "messageExpression": expression}]);
    let path = spec(&world, json!({"value": schema})).await;
    refuses(&world, &path, numbers(6), "Invalid value: all").await;
    let message = format!(
        "Invalid value: \"array\": no further validation rules will be run due to call cost \
         exceeds limit for messageExpression: {expression:?}"
    );
    refuses(&world, &path, numbers(400), &message).await;
}

async fn a_rule_costs_only_what_is_evaluated(world: World) {
    let rule = format!("self.size() > 350 || {COSTLY}");
    let path = valued(&world, list_of_numbers(), &[&rule]).await;
    takes(&world, &path, numbers(400)).await;
    takes(&world, &path, numbers(300)).await;
}

fn object(properties: Value) -> Value {
    json!({"type": "object", "properties": properties})
}

async fn a_rule_follows_optional_fields(world: World) {
    let inner = object(json!({"size": {"type": "integer"}}));
    let rule = "self.?inner.?size.orValue(1) < 5";
    let path = valued(&world, object(json!({"inner": inner})), &[rule]).await;
    takes(&world, &path, json!({})).await;
    takes(&world, &path, json!({"inner": {}})).await;
    takes(&world, &path, json!({"inner": {"size": 4}})).await;
    let message = format!("Invalid value: failed rule: {rule}");
    refuses(&world, &path, json!({"inner": {"size": 5}}), &message).await;
}

async fn a_rule_follows_optional_keys_and_indexes(world: World) {
    let text = json!({"type": "string", "maxLength": 9});
    let labels = json!({"type": "object", "additionalProperties": text, "maxProperties": 9});
    let names = json!({"type": "array", "items": text, "maxItems": 9});
    let rule = "self.labels[?'app'].orValue('a') == 'a' || self.names[?1].orValue('b') == 'b'";
    let properties = object(json!({"labels": labels, "names": names}));
    let path = valued(&world, properties, &[rule]).await;
    takes(&world, &path, json!({"labels": {}, "names": ["b", "c"]})).await;
    takes(
        &world,
        &path,
        json!({"labels": {"app": "x"}, "names": ["c"]}),
    )
    .await;
    takes(
        &world,
        &path,
        json!({"labels": {"app": "a"}, "names": ["b", "c"]}),
    )
    .await;
    let message = format!("Invalid value: failed rule: {rule}");
    let value = json!({"labels": {"app": "x"}, "names": ["b", "c"]});
    refuses(&world, &path, value, &message).await;
}

async fn an_optional_value_is_mapped(world: World) {
    let inner = object(json!({"size": {"type": "integer"}}));
    let properties = object(json!({"name": {"type": "string"}, "inner": inner}));
    let rules = [
        "self.?name.optMap(n, n.size() < 5).orValue(true)",
        "self.?inner.optFlatMap(i, i.?size).optMap(s, s * 2).orValue(0) < 10",
    ];
    let path = valued(&world, properties, &rules).await;
    takes(&world, &path, json!({})).await;
    takes(&world, &path, json!({"name": "abcd", "inner": {"size": 4}})).await;
    let message = format!("Invalid value: failed rule: {}", rules[0]);
    refuses(&world, &path, json!({"name": "abcde"}), &message).await;
    let message = format!("Invalid value: failed rule: {}", rules[1]);
    refuses(&world, &path, json!({"inner": {"size": 5}}), &message).await;
}

async fn a_list_can_hold_optional_elements(world: World) {
    let properties = object(json!({"a": {"type": "string"}, "b": {"type": "string"}}));
    let rule = "[?self.?a, ?self.?b].size() == 1";
    let path = valued(&world, properties, &[rule]).await;
    takes(&world, &path, json!({"a": "x"})).await;
    let message = format!("Invalid value: failed rule: {rule}");
    refuses(&world, &path, json!({"a": "x", "b": "y"}), &message).await;
}

async fn macros_of_two_variables_see_place_and_value(world: World) {
    let rules = [
        "self.all(i, x, i == 0 || self[i - 1] < x)",
        "!self.exists(i, x, i == x)",
        "self.existsOne(i, x, x > 10)",
    ];
    let path = valued(&world, list_of_numbers(), &rules).await;
    takes(&world, &path, json!([1, 2, 11])).await;
    let message = format!("Invalid value: failed rule: {}", rules[0]);
    refuses(&world, &path, json!([2, 2, 11]), &message).await;
    let message = format!("Invalid value: failed rule: {}", rules[2]);
    refuses(&world, &path, json!([1, 2, 3]), &message).await;
}

async fn lists_and_maps_are_transformed_with_two_variables(world: World) {
    let map = json!({
        "type": "object", "maxProperties": 9,
        "additionalProperties": {"type": "string", "maxLength": 9},
    });
    let rules = [
        "self.transformList(k, v, k + v).all(t, t.size() < 6)",
        "self.transformMap(k, v, k != 'x', v.size()).all(k, self[k] == 'ab')",
        "self.transformMapEntry(k, v, {k + 'k': v}).all(k, k.endsWith('k'))",
    ];
    let path = valued(&world, map, &rules).await;
    takes(&world, &path, json!({"a": "ab", "x": "abcd"})).await;
    let message = format!("Invalid value: failed rule: {}", rules[1]);
    refuses(&world, &path, json!({"a": "abc"}), &message).await;
}

async fn a_rule_may_see_that_nothing_was_before(world: World) {
    let mut schema = json!({"type": "integer"});
    schema["x-kubernetes-validations"] = json!([{
        "rule": "oldSelf.optMap(o, o <= self).orValue(self == 1)", "optionalOldSelf": true,
        "message": "begins with one and grows",
    }]);
    let path = spec(&world, json!({"value": schema})).await;
    refuses(
        &world,
        &path,
        json!(2),
        "Invalid value: 2: begins with one and grows",
    )
    .await;
    let body = world.custom("Widget", "a", json!({"spec": {"value": 1}}));
    world.post(&path, &body).await.is(201);
    let (one, patch) = (
        format!("{path}/a"),
        |value: u32| json!({"spec": {"value": value}}),
    );
    world.merge_patch(&one, &patch(3)).await.is(200);
    let answer = world.merge_patch(&one, &patch(2)).await;
    answer.refused_saying(422, "Invalid", "begins with one and grows");
}

async fn a_transition_rule_is_asked_about_what_did_not_change(world: World) {
    let properties = object(json!({"size": {"type": "integer"}}));
    let rule = "self != oldSelf";
    let path = valued(&world, properties, &[rule]).await;
    let body = world.custom("Widget", "a", json!({"spec": {"value": {"size": 1}}}));
    world.post(&path, &body).await.is(201);
    let path = format!("{path}/a");
    let labelled = json!({"metadata": {"labels": {"a": "b"}}});
    let answer = world.merge_patch(&path, &labelled).await;
    answer.refused_saying(422, "Invalid", "failed rule: self != oldSelf");
    let changed = json!({"spec": {"value": {"size": 2}}});
    world.merge_patch(&path, &changed).await.is(200);
}

async fn numbers_have_the_type_of_their_schema(world: World) {
    let properties = object(json!({
        "whole": {"type": "integer"}, "any": {"type": "number"},
        "either": {"x-kubernetes-int-or-string": true},
    }));
    let rules = [
        "type(self.whole) == int && type(self.any) == double",
        "type(self.either) == int || type(self.either) == string",
        "self.any / 2.0 == 1.5",
    ];
    let path = valued(&world, properties, &rules).await;
    takes(&world, &path, json!({"whole": 3, "any": 3, "either": 3})).await;
    takes(&world, &path, json!({"whole": 3, "any": 3, "either": "3"})).await;
    let message = format!("Invalid value: failed rule: {}", rules[2]);
    let value = json!({"whole": 3, "any": 4, "either": "3"});
    refuses(&world, &path, value, &message).await;
}

async fn formats_make_times_and_bytes(world: World) {
    let text = |format: &str| json!({"type": "string", "format": format});
    let properties = object(json!({
        "day": text("date"), "when": text("date-time"), "took": text("duration"),
        "blob": text("byte"),
    }));
    let rules = [
        "self.day.getFullYear() == 2024",
        "self.when > timestamp('2020-01-01T00:00:00Z')",
        "self.took < duration('2h')",
        "self.blob == b'hello' && self.blob.size() == 5",
    ];
    let path = valued(&world, properties, &rules).await;
    let mut value = json!({
        "day": "2024-05-06", "when": "2024-05-06T07:08:09Z", "took": "90m", "blob": "aGVsbG8=",
    });
    takes(&world, &path, value.clone()).await;
    value["took"] = json!("3h");
    let message = format!("Invalid value: failed rule: {}", rules[2]);
    refuses(&world, &path, value, &message).await;
}

async fn fields_are_named_so_that_rules_can_name_them(world: World) {
    let number = json!({"type": "integer"});
    let properties = object(json!({
        "a_b": number, "c-d": number, "e.f": number, "g__h": number, "namespace": number,
    }));
    let rule = "self.a_b + self.c__dash__d + self.e__dot__f + self.g__underscores__h \
                + self.__namespace__ < 6";
    let path = valued(&world, properties, &[rule]).await;
    let value = |most: u32| json!({"a_b": 1, "c-d": 1, "e.f": 1, "g__h": 1, "namespace": most});
    takes(&world, &path, value(1)).await;
    let message = format!("Invalid value: failed rule: {rule}");
    refuses(&world, &path, value(2), &message).await;
}

async fn a_rule_that_fails_tells_why(world: World) {
    let rule = "self[3] / self[0] > 0";
    let path = valued(&world, list_of_numbers(), &[rule]).await;
    let message = |why: &str| format!("Invalid value: \"array\": {why} evaluating rule: {rule}");
    refuses(
        &world,
        &path,
        json!([1]),
        &message("index out of bounds: 3"),
    )
    .await;
    refuses(
        &world,
        &path,
        json!([0, 1, 2, 3]),
        &message("division by zero"),
    )
    .await;
    takes(&world, &path, json!([1, 1, 1, 1])).await;
}

async fn a_rule_on_another_type_tells_its_overload(world: World) {
    let schema = json!({"x-kubernetes-int-or-string": true});
    let path = valued(&world, schema, &["self > 5"]).await;
    takes(&world, &path, json!(6)).await;
    let body = world.custom("Widget", "a", json!({"spec": {"value": "6"}}));
    let answer = world.post(&path, &body).await;
    answer.refused_saying(
        422,
        "Invalid",
        "'no such overload': call arguments did not match a supported operator, function or macro \
         signature for rule: self > 5",
    );
}

async fn one_side_of_a_disjunction_is_enough(world: World) {
    let rule = "self[5] == 1 || self.size() == 2";
    let path = valued(&world, list_of_numbers(), &[rule]).await;
    takes(&world, &path, json!([1, 2])).await;
    let message =
        format!("Invalid value: \"array\": index out of bounds: 5 evaluating rule: {rule}");
    refuses(&world, &path, json!([1]), &message).await;
}

async fn types_are_values(world: World) {
    let schema = json!({"x-kubernetes-int-or-string": true});
    let rule = "type(self) == string ? self.matches('^[0-9]+%$') : self < 100";
    let path = valued(&world, schema, &[rule]).await;
    takes(&world, &path, json!("50%")).await;
    takes(&world, &path, json!(50)).await;
    for value in [json!("half"), json!(100)] {
        let body = world.custom("Widget", "a", json!({"spec": {"value": value}}));
        let status = world.post(&path, &body).await.refusal_of(422, "Invalid");
        assert!(
            status.text("/message").contains("failed rule"),
            "{status:#}"
        );
    }
}
