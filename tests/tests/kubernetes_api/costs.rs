//! What rules of custom resources may cost: at their definition, by estimate.

use serde_json::{Value, json};

use crate::manifests::custom;
use crate::world::World;

cases! { ApiServer:
    a_rule_that_may_cost_too_much_is_refused_with_its_definition,
    limits_of_lists_and_texts_make_a_rule_affordable,
    a_rule_is_charged_for_every_place_where_its_value_may_be,
    a_rule_slightly_too_dear_says_by_how_much,
    rules_are_refused_that_cost_too_much_together,
    a_message_expression_is_charged_too,
    a_version_that_costs_too_much_is_named,
    a_change_of_a_definition_may_cost_too_much,
}

const DEFINITIONS: &str = "/apis/apiextensions.k8s.io/v1/customresourcedefinitions";
const ADVICE: &str = "(try simplifying the rule, or adding maxItems, maxProperties, and maxLength \
                      where arrays, maps, and strings are declared)";

fn ruled(mut schema: Value, rule: &str) -> Value {
    schema["x-kubernetes-validations"] = json!([{"rule": rule}]);
    schema
}

fn definition(world: &World, properties: Value) -> Value {
    let spec = json!({"spec": {"type": "object", "properties": properties}});
    custom(&world.group, spec)
}

/// Defines a `Widget` with these properties below `spec` as a trial, and expects this refusal.
async fn refuses(world: &World, properties: Value, message: &str) {
    let body = definition(world, properties);
    let answer = world.post(DEFINITIONS, &body).query("dryRun", "All").await;
    let name = format!("widgets.{}", world.group);
    let whole =
        format!("CustomResourceDefinition.apiextensions.k8s.io {name:?} is invalid: {message}");
    answer.refused(422, "Invalid", &whole);
}

async fn takes(world: &World, properties: Value) {
    let body = definition(world, properties);
    let answer = world.post(DEFINITIONS, &body).query("dryRun", "All").await;
    answer.is(201);
}

const LIST: &str = "spec.validation.openAPIV3Schema.properties[spec].properties[list]";

async fn a_rule_that_may_cost_too_much_is_refused_with_its_definition(world: World) {
    let list = json!({"type": "array", "items": {"type": "string"}});
    let list = ruled(list, "self.all(x, self.exists_one(y, x == y))");
    let rule = format!("{LIST}.x-kubernetes-validations[0].rule: Forbidden");
    let schema = "spec.validation.openAPIV3Schema: Forbidden";
    let message = format!(
        "[{rule}: estimated rule cost exceeds budget by factor of more than 100x {ADVICE}, \
         {rule}: contributed to estimated rule cost total exceeding cost limit for entire \
         OpenAPIv3 schema, {schema}: x-kubernetes-validations estimated rule cost total for entire \
         OpenAPIv3 schema exceeds budget by factor of more than 100x {ADVICE}]"
    );
    refuses(&world, json!({"list": list}), &message).await;
}

async fn limits_of_lists_and_texts_make_a_rule_affordable(world: World) {
    let text = json!({"type": "string", "maxLength": 20});
    let list = json!({"type": "array", "maxItems": 50, "items": text});
    let list = ruled(list, "self.all(x, self.exists_one(y, x == y))");
    takes(&world, json!({"list": list})).await;
    let text = ruled(json!({"type": "string"}), "self.startsWith('a')");
    takes(&world, json!({"text": text})).await;
}

async fn a_rule_is_charged_for_every_place_where_its_value_may_be(world: World) {
    let text = ruled(
        json!({"type": "string", "maxLength": 100}),
        "self.contains('abcdefghijkl')",
    );
    takes(&world, json!({"text": text})).await;
    let list = json!({"type": "array", "maxItems": 1000, "items": text});
    takes(&world, json!({"list": list})).await;
    let list = json!({"type": "array", "items": text});
    let rule = format!("{LIST}.items.x-kubernetes-validations[0].rule: Forbidden");
    let message = format!("{rule}: estimated rule cost exceeds budget by factor of 8.5x {ADVICE}");
    refuses(&world, json!({"list": list}), &message).await;
}

async fn a_rule_slightly_too_dear_says_by_how_much(world: World) {
    let list = json!({"type": "array", "items": {"type": "number"}, "maxItems": 4_000_000});
    let list = ruled(list, "self.all(x, true)");
    let rule = format!("{LIST}.x-kubernetes-validations[0].rule: Forbidden");
    let message =
        format!("{rule}: estimated rule cost exceeds budget by factor of 1.200000x {ADVICE}");
    refuses(&world, json!({"list": list}), &message).await;
}

async fn rules_are_refused_that_cost_too_much_together(world: World) {
    let list = json!({"type": "array", "items": {"type": "number"}, "maxItems": 3_000_000});
    let mut list = ruled(list, "self.all(x, true)");
    let rule = list["x-kubernetes-validations"][0].clone();
    list["x-kubernetes-validations"] = vec![rule; 12].into();
    let body = definition(&world, json!({"list": list}));
    let answer = world.post(DEFINITIONS, &body).query("dryRun", "All").await;
    let status = answer.refused_saying(
        422,
        "Invalid",
        "x-kubernetes-validations estimated rule cost total for entire OpenAPIv3 schema exceeds \
         budget by factor of 1.080000x",
    );
    // The four dearest are named, and the schema.
    let causes = status["details"]["causes"].as_array().unwrap();
    assert_eq!(causes.len(), 5, "{status}");
    for cause in &causes[..4] {
        let message = cause["message"].as_str().unwrap();
        assert!(
            message.contains("contributed to estimated rule cost total"),
            "{message}"
        );
    }
}

async fn a_message_expression_is_charged_too(world: World) {
    let list = json!({"type": "array", "items": {"type": "string"}});
    let mut list = ruled(list, "self.size() < 10");
    list["x-kubernetes-validations"][0]["messageExpression"] =
        json!("self.exists(x, self.exists(y, x != y)) ? 'a' : 'b'");
    let body = definition(&world, json!({"list": list}));
    let answer = world.post(DEFINITIONS, &body).query("dryRun", "All").await;
    let message = "messageExpression: Forbidden: estimated messageExpression cost exceeds budget \
                   by factor of more than 100x";
    answer.refused_saying(422, "Invalid", message);
}

async fn a_version_that_costs_too_much_is_named(world: World) {
    let list = json!({"type": "array", "items": {"type": "string"}});
    let list = ruled(list, "self.all(x, self.exists_one(y, x == y))");
    let mut body = definition(&world, json!({"size": {"type": "integer"}}));
    let mut second = body["spec"]["versions"][0].clone();
    second["name"] = json!("v2");
    second["storage"] = json!(false);
    second["schema"]["openAPIV3Schema"]["properties"]["spec"]["properties"]["list"] = list;
    body["spec"]["versions"]
        .as_array_mut()
        .unwrap()
        .push(second);
    let answer = world.post(DEFINITIONS, &body).query("dryRun", "All").await;
    let field = "spec.versions[1].schema.openAPIV3Schema.properties[spec].properties[list]\
                 .x-kubernetes-validations[0].rule: Forbidden: estimated rule cost exceeds budget";
    answer.refused_saying(422, "Invalid", field);
}

async fn a_change_of_a_definition_may_cost_too_much(world: World) {
    let list = json!({"type": "array", "items": {"type": "string"}});
    let body = definition(&world, json!({"list": list}));
    world.define(&body).await;
    let path = format!("{DEFINITIONS}/widgets.{}", world.group);
    let pointer = "/spec/versions/0/schema/openAPIV3Schema/properties/spec/properties/list\
                   /x-kubernetes-validations";
    let rule = json!([{"rule": "self.all(x, self.exists_one(y, x == y))"}]);
    let patch = json!([{"op": "add", "path": pointer, "value": rule}]);
    let answer = world.json_patch(&path, &patch).await;
    answer.refused_saying(
        422,
        "Invalid",
        "estimated rule cost exceeds budget by factor",
    );
    let rule = json!([{"rule": "self.size() < 5"}]);
    let patch = json!([{"op": "add", "path": pointer, "value": rule}]);
    world.json_patch(&path, &patch).await.is(200);
}
