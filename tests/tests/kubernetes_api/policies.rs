//! ValidatingAdmissionPolicies: expressions that refuse writes, and where they do.

use std::time::Duration;

use serde_json::{Value, json};

use crate::answer::{Answer, Look};
use crate::manifests::{config_map, config_map_with};
use crate::world::World;

cases! { Workloads:
    a_policy_is_defaulted,
    a_policy_needs_validations_that_can_be_read,
    a_policy_refuses_what_does_not_hold,
    a_policy_without_binding_refuses_nothing,
    a_refusal_tells_the_expression_where_there_is_no_message,
    a_refusal_can_compute_its_message,
    a_refusal_has_the_reason_of_its_validation,
    a_policy_compares_with_what_was_there,
    a_policy_sees_who_asks_for_what,
    a_policy_uses_variables,
    a_binding_gives_a_policy_its_parameters,
    a_binding_can_warn_and_not_refuse,
    an_expression_that_fails_refuses,
    an_expression_that_fails_is_ignored_where_failures_are,
    a_policy_can_be_about_some_operations,
    an_expression_that_costs_too_much_refuses,
    expressions_that_cost_too_much_together_refuse,
    match_conditions_may_cost_less_than_validations,
    a_policy_follows_optional_fields,
    a_variable_is_evaluated_where_it_is_asked_for,
}

const POLICIES: &str = "/apis/admissionregistration.k8s.io/v1/validatingadmissionpolicies";
const BINDINGS: &str = "/apis/admissionregistration.k8s.io/v1/validatingadmissionpolicybindings";

/// The server follows policies with a delay, and nothing tells when it has.
const ASK_AGAIN: Duration = Duration::from_millis(50);
const ASKS_MAX: u32 = 400;

/// A policy on config maps, named after the case.
fn policy(world: &World, rest: Value) -> Value {
    let mut spec = json!({"matchConstraints": {"resourceRules": [{
        "apiGroups": [""], "apiVersions": ["v1"], "operations": ["*"], "resources": ["configmaps"],
    }]}});
    for (key, value) in rest.as_object().unwrap() {
        spec[key] = value.clone();
    }
    json!({
        "apiVersion": "admissionregistration.k8s.io/v1", "kind": "ValidatingAdmissionPolicy",
        "metadata": {"name": world.namespace}, "spec": spec,
    })
}

/// Its binding to the case's namespace.
fn binding(world: &World, rest: Value) -> Value {
    let mut spec = json!({
        "policyName": world.namespace, "validationActions": ["Deny"],
        "matchResources": {"namespaceSelector": {
            "matchLabels": {"kubernetes.io/metadata.name": world.namespace},
        }},
    });
    for (key, value) in rest.as_object().unwrap() {
        spec[key] = value.clone();
    }
    json!({
        "apiVersion": "admissionregistration.k8s.io/v1",
        "kind": "ValidatingAdmissionPolicyBinding",
        "metadata": {"name": world.namespace}, "spec": spec,
    })
}

/// Makes a policy and its binding.
async fn bound(world: &World, rest: Value) {
    world.post(POLICIES, &policy(world, rest)).await.is(201);
    world
        .post(BINDINGS, &binding(world, json!({})))
        .await
        .is(201);
}

/// The answer to a creation, as soon as it is not 201.
async fn once_refused(world: &World, body: &Value) -> Answer {
    world.until_refused("configmaps", body).await
}

async fn a_policy_is_defaulted(world: World) {
    let rest = json!({"validations": [{"expression": "true"}]});
    let created = world.post(POLICIES, &policy(&world, rest)).await.is(201);
    created.has(
        json!({"metadata": {"generation": 1}, "status": {}, "spec": {
            "failurePolicy": "Fail",
            "matchConstraints": {
                "matchPolicy": "Equivalent", "namespaceSelector": {}, "objectSelector": {},
                "resourceRules": [{
                    "apiGroups": [""], "apiVersions": ["v1"], "operations": ["*"],
                    "resources": ["configmaps"], "scope": "*",
                }],
            },
            "validations": [{"expression": "true"}],
        }}),
    );
}

async fn a_policy_needs_validations_that_can_be_read(world: World) {
    let answer = world.post(POLICIES, &policy(&world, json!({}))).await;
    answer.refused_saying(
        422,
        "Invalid",
        "[spec.validations: Required value: validations or auditAnnotations must contain at least \
         one item, spec.auditAnnotations: Required value: validations or auditAnnotations must \
         contain at least one item]",
    );
    let rest = json!({"validations": [{"expression": "object.metadata.name != "}]});
    let answer = world.post(POLICIES, &policy(&world, rest)).await;
    answer.refused_saying(
        422,
        "Invalid",
        "spec.validations[0].expression: Invalid value: \"object.metadata.name != \": compilation \
         failed: ",
    );
    let mut unbound = binding(&world, json!({"validationActions": []}));
    unbound["spec"]["policyName"] = json!("");
    let answer = world.post(BINDINGS, &unbound).await;
    answer.refused_saying(
        422,
        "Invalid",
        "spec.validationActions: Required value: at least one validation action is required",
    );
}

async fn a_policy_refuses_what_does_not_hold(world: World) {
    let rest = json!({"validations": [{
        "expression": "object.metadata.name != 'bad'", "message": "not that name",
    }]});
    bound(&world, rest).await;
    let name = &world.namespace;
    let message = format!(
        "configmaps \"bad\" is forbidden: ValidatingAdmissionPolicy '{name}' with binding \
         '{name}' denied request: not that name"
    );
    let answer = once_refused(&world, &config_map("bad")).await;
    let status = answer.refused(422, "Invalid", &message);
    status.has(json!({"details": {"name": "bad", "kind": "configmaps", "causes": [{
        "message": format!(
            "ValidatingAdmissionPolicy '{name}' with binding '{name}' denied request: not that name"
        ),
    }]}}));
    world.post("configmaps", &config_map("good")).await.is(201);
}

async fn a_policy_without_binding_refuses_nothing(world: World) {
    let rest = json!({"validations": [{"expression": "false"}]});
    world.post(POLICIES, &policy(&world, rest)).await.is(201);
    world.post("configmaps", &config_map("a")).await.is(201);
}

async fn a_refusal_tells_the_expression_where_there_is_no_message(world: World) {
    let rest = json!({"validations": [{"expression": "has(object.data)"}]});
    bound(&world, rest).await;
    once_refused(&world, &config_map("a")).await.refused_saying(
        422,
        "Invalid",
        "denied request: failed expression: has(object.data)",
    );
}

async fn a_refusal_can_compute_its_message(world: World) {
    let rest = json!({"validations": [{
        "expression": "object.metadata.name.startsWith('x')",
        "messageExpression": "'no ' + object.metadata.name + ' here'",
    }]});
    bound(&world, rest).await;
    once_refused(&world, &config_map("a")).await.refused_saying(
        422,
        "Invalid",
        "denied request: no a here",
    );
}

async fn a_refusal_has_the_reason_of_its_validation(world: World) {
    let rest = json!({"validations": [{"expression": "false", "reason": "Forbidden"}]});
    bound(&world, rest).await;
    once_refused(&world, &config_map("a"))
        .await
        .refusal_of(403, "Forbidden");
}

async fn a_policy_compares_with_what_was_there(world: World) {
    let rest = json!({"validations": [{
        "expression": "oldObject == null || object.data.k == oldObject.data.k",
        "message": "k stays",
    }, {"expression": "object == null || object.metadata.name != 'probe'"}]});
    bound(&world, rest).await;
    once_refused(&world, &config_map_with("probe", json!({"k": "v"}))).await;
    let body = config_map_with("a", json!({"k": "v"}));
    world.post("configmaps", &body).await.is(201);
    let answer = world
        .merge_patch("configmaps/a", &json!({"data": {"k": "w"}}))
        .await;
    answer.refused_saying(422, "Invalid", "denied request: k stays");
    let other = json!({"data": {"l": "w"}});
    world.merge_patch("configmaps/a", &other).await.is(200);
}

async fn a_policy_sees_who_asks_for_what(world: World) {
    let rest = json!({"validations": [{
        "expression": "request.userInfo.username != 'ann' || request.namespace == 'elsewhere'",
        "message": "not ann",
    }]});
    bound(&world, rest).await;
    for _ in 0..ASKS_MAX {
        let request = world
            .post("configmaps", &config_map("a"))
            .query("dryRun", "All");
        let answer = request.acting_as("ann").in_group("system:masters").await;
        if answer.status != 201 {
            answer.refused_saying(422, "Invalid", "denied request: not ann");
            world.post("configmaps", &config_map("a")).await.is(201);
            return;
        }
        tokio::time::sleep(ASK_AGAIN).await;
    }
    panic!("the policy does not refuse");
}

async fn a_policy_uses_variables(world: World) {
    let rest = json!({
        "variables": [
            {"name": "data", "expression": "has(object.data) ? object.data : {}"},
            {"name": "count", "expression": "size(variables.data)"},
        ],
        "validations": [{
            "expression": "variables.count < 2",
            "messageExpression": "'too many: ' + string(variables.count)",
        }],
    });
    bound(&world, rest).await;
    let body = config_map_with("a", json!({"k": "v", "l": "w"}));
    once_refused(&world, &body)
        .await
        .refused_saying(422, "Invalid", "denied request: too many: 2");
    world.post("configmaps", &config_map("b")).await.is(201);
}

async fn a_binding_gives_a_policy_its_parameters(world: World) {
    let parameters = config_map_with("parameters", json!({"forbidden": "bad"}));
    world.post("configmaps", &parameters).await.is(201);
    let rest = json!({
        "paramKind": {"apiVersion": "v1", "kind": "ConfigMap"},
        "validations": [{"expression": "object.metadata.name != params.data.forbidden"}],
    });
    world.post(POLICIES, &policy(&world, rest)).await.is(201);
    let reference = json!({"paramRef": {
        "name": "parameters", "namespace": world.namespace, "parameterNotFoundAction": "Deny",
    }});
    world
        .post(BINDINGS, &binding(&world, reference))
        .await
        .is(201);
    once_refused(&world, &config_map("bad"))
        .await
        .refused_saying(
            422,
            "Invalid",
            "failed expression: object.metadata.name != params",
        );
}

async fn a_binding_can_warn_and_not_refuse(world: World) {
    let rest = json!({"validations": [{"expression": "false", "message": "hm"}]});
    world.post(POLICIES, &policy(&world, rest)).await.is(201);
    let warns = json!({"validationActions": ["Warn"]});
    world.post(BINDINGS, &binding(&world, warns)).await.is(201);
    let name = &world.namespace;
    for _ in 0..ASKS_MAX {
        let request = world
            .post("configmaps", &config_map("a"))
            .query("dryRun", "All");
        let answer = request.await;
        let warnings = answer.warnings();
        answer.is(201);
        if !warnings.is_empty() {
            let expected = format!(
                "Validation failed for ValidatingAdmissionPolicy '{name}' with binding '{name}': hm"
            );
            assert_eq!(warnings, [expected]);
            return;
        }
        tokio::time::sleep(ASK_AGAIN).await;
    }
    panic!("the policy does not warn");
}

async fn an_expression_that_fails_refuses(world: World) {
    let rest = json!({"validations": [{"expression": "object.data.missing == 'x'"}]});
    bound(&world, rest).await;
    let body = config_map_with("a", json!({"k": "v"}));
    once_refused(&world, &body).await.refused_saying(
        422,
        "Invalid",
        "denied request: expression 'object.data.missing == 'x'' resulted in error: no such key: \
         missing",
    );
}

async fn an_expression_that_fails_is_ignored_where_failures_are(world: World) {
    let rest = json!({
        "failurePolicy": "Ignore",
        "validations": [
            {"expression": "object.data.missing == 'x'"},
            {"expression": "object.metadata.name != 'bad'"},
        ],
    });
    bound(&world, rest).await;
    let body = config_map_with("bad", json!({"k": "v"}));
    once_refused(&world, &body).await;
    let body = config_map_with("good", json!({"k": "v"}));
    world.post("configmaps", &body).await.is(201);
}

async fn a_policy_can_be_about_some_operations(world: World) {
    let rest = json!({"matchConstraints": {"resourceRules": [{
        "apiGroups": [""], "apiVersions": ["v1"], "operations": ["DELETE"],
        "resources": ["configmaps"],
    }]}, "validations": [{"expression": "oldObject.metadata.name != 'kept'"}]});
    world.post("configmaps", &config_map("kept")).await.is(201);
    bound(&world, rest).await;
    for _ in 0..ASKS_MAX {
        let answer = world.delete("configmaps/kept").query("dryRun", "All").await;
        if answer.status != 200 {
            answer.refused_saying(422, "Invalid", "failed expression: oldObject.metadata.name");
            world.post("configmaps", &config_map("a")).await.is(201);
            world.delete("configmaps/a").await.is(200);
            return;
        }
        tokio::time::sleep(ASK_AGAIN).await;
    }
    panic!("the policy does not refuse");
}

/// A config map on which `COSTLY` costs some 850,000: one evaluation may cost a million.
fn large(name: &str, keys: usize) -> Value {
    let data: serde_json::Map<String, Value> = (0..keys)
        .map(|key| (format!("k{key}"), json!("")))
        .collect();
    config_map_with(name, data.into())
}

const COSTLY: &str = "object.data.all(a, object.data.all(b, a.size() + b.size() > 0))";

async fn an_expression_that_costs_too_much_refuses(world: World) {
    bound(&world, json!({"validations": [{"expression": COSTLY}]})).await;
    let refusal = format!(
        "denied request: expression '{COSTLY}' resulted in error: operation cancelled: actual cost \
         limit exceeded"
    );
    let answer = once_refused(&world, &large("a", 400)).await;
    answer.refused_saying(422, "Invalid", &refusal);
    world.post("configmaps", &large("b", 200)).await.is(201);
}

async fn expressions_that_cost_too_much_together_refuse(world: World) {
    let validations = vec![json!({"expression": COSTLY}); 13];
    bound(&world, json!({"validations": validations})).await;
    let answer = once_refused(&world, &large("a", 310)).await;
    answer.refused_saying(
        422,
        "Invalid",
        "denied request: validation failed due to running out of cost budget, no further \
         validation rules will be run",
    );
    world.post("configmaps", &large("b", 200)).await.is(201);
}

async fn match_conditions_may_cost_less_than_validations(world: World) {
    let condition = |index: usize| json!({"name": format!("c{index}"), "expression": COSTLY});
    let conditions: Vec<Value> = (0..4).map(condition).collect();
    let rest = json!({
        "matchConditions": conditions, "validations": [{"expression": "object.metadata.name != 'a'"}],
    });
    bound(&world, rest).await;
    let answer = once_refused(&world, &large("b", 310)).await;
    answer.refused_saying(
        422,
        "Invalid",
        "denied request: validation failed due to running out of cost budget, no further \
         validation rules will be run",
    );
    let answer = world.post("configmaps", &large("a", 20)).await;
    answer.refused_saying(
        422,
        "Invalid",
        "failed expression: object.metadata.name != 'a'",
    );
    world.post("configmaps", &large("c", 20)).await.is(201);
}

async fn a_policy_follows_optional_fields(world: World) {
    let rest = json!({"validations": [
        {"expression": "object.?data.?level.orValue('low') != 'high'", "message": "too high"},
        {"expression": "object.?data[?'size'].optMap(s, s.size() < 2).orValue(true)",
         "message": "too large"},
    ]});
    bound(&world, rest).await;
    let high = config_map_with("a", json!({"level": "high"}));
    once_refused(&world, &high)
        .await
        .refused_saying(422, "Invalid", "denied request: too high");
    let large = config_map_with("a", json!({"size": "12"}));
    let answer = world.post("configmaps", &large).await;
    answer.refused_saying(422, "Invalid", "denied request: too large");
    world.post("configmaps", &config_map("b")).await.is(201);
    let small = config_map_with("c", json!({"size": "4", "level": "low"}));
    world.post("configmaps", &small).await.is(201);
}

async fn a_variable_is_evaluated_where_it_is_asked_for(world: World) {
    let rest = json!({
        "variables": [
            {"name": "size", "expression": "int(object.data.size)"},
            {"name": "twice", "expression": "variables.size * 2"},
        ],
        "validations": [{
            "expression": "!has(object.data) || !has(object.data.size) || variables.twice < 10",
            "messageExpression": "'twice is ' + string(variables.twice)",
        }],
    });
    bound(&world, rest).await;
    let body = config_map_with("a", json!({"size": "7"}));
    once_refused(&world, &body)
        .await
        .refused_saying(422, "Invalid", "denied request: twice is 14");
    world.post("configmaps", &config_map("b")).await.is(201);
    let body = config_map_with("c", json!({"size": "seven"}));
    let answer = world.post("configmaps", &body).await;
    answer.refused_saying(
        422,
        "Invalid",
        "resulted in error: composited variable \"twice\" fails to evaluate: composited variable \
         \"size\" fails to evaluate: ",
    );
}
