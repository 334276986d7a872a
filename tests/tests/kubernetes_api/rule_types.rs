//! Types of rules, which are looked at when a kind is defined.

use serde_json::{Value, json};

use crate::answer::Look;
use crate::manifests::custom;
use crate::world::World;

cases! { ApiServer:
    a_rule_on_a_field_that_is_not_declared_is_refused,
    a_rule_that_compares_two_types_is_refused,
    a_rule_that_calls_what_is_no_function_is_refused,
    a_rule_that_names_what_is_not_there_is_refused,
    a_rule_gives_true_or_false,
    a_message_expression_gives_a_text,
    every_fault_of_a_rule_is_told_with_its_place,
    a_rule_tells_no_more_than_a_hundred_faults,
    a_rule_is_neither_too_deep_nor_too_long,
    a_rule_sees_no_field_without_a_type,
    a_variable_of_a_loop_has_the_type_of_its_elements,
    a_literal_that_cannot_be_read_is_refused,
    a_rule_is_not_blank,
    a_rule_gives_a_known_reason,
    a_rule_blames_a_field_that_there_is,
}

/// Defines a kind whose spec has a rule, as a trial, and expects the words.
async fn refuses(world: &World, rule: Value, why: &str) -> Value {
    let definition = custom(
        &world.group,
        json!({"spec": {
            "type": "object",
            "properties": {
                "name": {"type": "string"},
                "count": {"type": "integer"},
                "ratio": {"type": "number"},
                "when": {"type": "string", "format": "date-time"},
                "tags": {"type": "array", "maxItems": 9, "items": {"type": "string"}},
                "any": {"x-kubernetes-preserve-unknown-fields": true},
            },
            "x-kubernetes-validations": [rule],
        }}),
    );
    let definitions = "/apis/apiextensions.k8s.io/v1/customresourcedefinitions?dryRun=All";
    let answer = world.post(definitions, &definition).await;
    answer.refused_saying(422, "Invalid", why)
}

/// Faults as the server shows them, at a column of a rule of one line.
fn fault(rule: &str, column: usize, why: &str) -> String {
    let dots = ".".repeat(column - 1);
    format!("ERROR: <input>:1:{column}: {why}\n | {rule}\n | {dots}^")
}

async fn refuses_at(world: &World, rule: &str, column: usize, why: &str) {
    let told = format!("compilation failed: {}", fault(rule, column, why));
    refuses(world, json!({"rule": rule}), &told).await;
}

async fn a_rule_on_a_field_that_is_not_declared_is_refused(world: World) {
    refuses_at(&world, "self.size == 1", 5, "undefined field 'size'").await;
    refuses_at(&world, "has(self.size)", 4, "undefined field 'size'").await;
    let why = "type 'string' does not support field selection";
    refuses_at(&world, "self.name.first == 'a'", 10, why).await;
}

async fn a_rule_that_compares_two_types_is_refused(world: World) {
    let why = "found no matching overload for '_==_' applied to '(string, int)'";
    refuses_at(&world, "self.name == 1", 11, why).await;
    let why = "found no matching overload for '_>_' applied to '(timestamp, int)'";
    refuses_at(&world, "self.when > 1", 11, why).await;
    let why = "found no matching overload for '@in' applied to '(int, list(string))'";
    refuses_at(&world, "self.count in self.tags", 12, why).await;
}

async fn a_rule_that_calls_what_is_no_function_is_refused(world: World) {
    let why = "undeclared reference to 'shout' (in container '')";
    refuses_at(&world, "self.name.shout()", 16, why).await;
    let why = "found no matching overload for 'startsWith' applied to 'string.(int)'";
    refuses_at(&world, "self.name.startsWith(1)", 21, why).await;
}

async fn a_rule_that_names_what_is_not_there_is_refused(world: World) {
    let why = "undeclared reference to 'other' (in container '')";
    refuses_at(&world, "other.name == 'a'", 1, why).await;
}

async fn a_rule_gives_true_or_false(world: World) {
    let why = "cel expression must evaluate to a bool";
    refuses(&world, json!({"rule": "self.count"}), why).await;
}

async fn a_message_expression_gives_a_text(world: World) {
    let why = "messageExpression must evaluate to a string";
    refuses(
        &world,
        json!({"rule": "true", "messageExpression": "self.count"}),
        why,
    )
    .await;
}

async fn every_fault_of_a_rule_is_told_with_its_place(world: World) {
    let rule = "self.name.shout() && self.size == 1";
    let shout = fault(
        rule,
        16,
        "undeclared reference to 'shout' (in container '')",
    );
    let size = fault(rule, 26, "undefined field 'size'");
    refuses(&world, json!({"rule": rule}), &format!("{shout}\n{size}")).await;
}

async fn a_rule_tells_no_more_than_a_hundred_faults(world: World) {
    let rule = vec!["x"; 150].join("||");
    let last = fault(&rule, 298, "undeclared reference to 'x' (in container '')");
    let told = format!("{last}\n50 more errors were truncated");
    refuses(&world, json!({"rule": rule}), &told).await;
    // A line that is too long is not shown.
    let rule = format!("x || '{}' == ''", "a".repeat(17_000));
    let why =
        "compilation failed: ERROR: <input>:1:1: undeclared reference to 'x' (in container '')";
    let refused = refuses(&world, json!({"rule": rule}), why).await;
    assert!(!refused.text("/message").contains("\n | "), "{refused}");
}

async fn a_rule_is_neither_too_deep_nor_too_long(world: World) {
    let start = "compilation failed: ERROR: <input>:-1:0:";
    let why = format!("{start} max recursion depth exceeded");
    for link in [" + 1", ".a", "[0]"] {
        let rule = format!("1{} == 1", link.repeat(300));
        refuses(&world, json!({"rule": rule}), &why).await;
    }
    let rule = format!("1{} == 'a'", " + 1".repeat(200));
    let why = "found no matching overload for '_==_' applied to '(int, string)'";
    refuses(&world, json!({"rule": rule}), why).await;
    let rule = format!("'{}' == ''", "a".repeat(100_000));
    let why = "expression code point size exceeds limit: size: 100008, limit 100000";
    refuses(&world, json!({"rule": rule}), &format!("{start} {why}")).await;
}

async fn a_rule_sees_no_field_without_a_type(world: World) {
    refuses_at(&world, "self.any == 1", 5, "undefined field 'any'").await;
}

async fn a_variable_of_a_loop_has_the_type_of_its_elements(world: World) {
    let why = "found no matching overload for '_>_' applied to '(string, int)'";
    refuses_at(&world, "self.tags.all(t, t > 1)", 20, why).await;
}

async fn a_literal_that_cannot_be_read_is_refused(world: World) {
    refuses_at(
        &world,
        "self.name.matches('[')",
        19,
        "invalid matches argument",
    )
    .await;
}

async fn a_rule_is_not_blank(world: World) {
    refuses(
        &world,
        json!({"rule": " "}),
        "rule: Required value: rule is not specified",
    )
    .await;
    let rule = json!({"rule": "true", "message": " "});
    refuses(
        &world,
        rule,
        "message: Invalid value: \" \": must be non-empty if specified",
    )
    .await;
    let rule = json!({"rule": "true &&\ntrue"});
    let why = "message: Required value: message must be specified if rule contains line breaks";
    refuses(&world, rule, why).await;
}

async fn a_rule_gives_a_known_reason(world: World) {
    let rule = json!({"rule": "true", "reason": "Whim"});
    let why = "reason: Unsupported value: \"Whim\": supported values: \"FieldValueDuplicate\", \
               \"FieldValueForbidden\", \"FieldValueInvalid\", \"FieldValueRequired\"";
    refuses(&world, rule, why).await;
}

async fn a_rule_blames_a_field_that_there_is(world: World) {
    let rule = json!({"rule": "true", "fieldPath": ".size"});
    refuses(
        &world,
        rule,
        "fieldPath: Invalid value: \".size\": must be a valid path",
    )
    .await;
}
