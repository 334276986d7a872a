//! Admission webhooks: whom a server asks about a write, what it tells them, and what it makes of
//! their answers.

use meridian_tests::webhook::{Say, Webhook, allowed, patched};
use serde_json::{Value, json};

use crate::answer::{Answer, Look};
use crate::hook::{collection, configuration, configure};
use crate::manifests::{config_map, config_map_with, deployment, labelled, widgets};
use crate::world::World;

cases! { Workloads:
    a_webhook_is_told_of_a_creation,
    a_webhook_is_told_of_an_update,
    a_webhook_is_told_of_a_deletion,
    a_webhook_is_told_who_acts,
    a_webhook_is_asked_about_each_object_of_a_collection,
    a_refusal_says_who_refused,
    a_refusal_without_explanation_says_so,
    a_refusal_keeps_code_reason_and_details,
    a_refusal_of_a_deletion_keeps_the_object,
    a_mutating_webhook_changes_what_is_kept,
    what_a_webhook_makes_is_validated,
    what_a_webhook_adds_belongs_to_nobody,
    mutating_webhooks_see_what_those_before_made,
    a_webhook_that_wants_it_is_asked_again_after_a_change,
    a_mutating_webhook_is_asked_before_a_validating_one,
    an_apply_is_a_creation_and_then_an_update,
    what_is_invalid_is_not_shown_to_validating_webhooks,
    a_rule_names_operations,
    a_rule_names_subresources_apart,
    a_webhook_of_a_namespace_is_not_asked_about_others,
    a_webhook_of_some_objects_is_asked_about_what_was_one_of_them,
    a_match_condition_leaves_objects_out,
    a_match_condition_that_fails_refuses,
    a_match_condition_that_fails_is_ignored_where_failures_are,
    a_webhook_that_cannot_be_reached_refuses,
    a_webhook_that_cannot_be_reached_is_ignored_where_failures_are,
    a_webhook_that_does_not_answer_in_time_refuses,
    a_webhook_of_an_unknown_authority_refuses,
    a_webhook_that_answers_with_an_error_refuses,
    an_answer_to_another_question_is_invalid,
    an_answer_of_another_version_is_invalid,
    an_answer_without_response_is_invalid,
    a_validating_webhook_may_not_patch,
    a_patch_needs_its_type,
    a_patch_that_does_not_fit_is_an_error,
    a_trial_is_told_as_one,
    a_trial_is_refused_where_the_webhook_has_effects,
    warnings_of_webhooks_reach_the_client,
    a_webhook_of_a_service_that_is_missing_refuses,
    webhooks_are_not_asked_about_their_configurations,
    a_webhook_is_asked_about_custom_objects,
    a_webhook_for_one_version_is_asked_about_the_others,
    a_webhook_for_one_version_can_be_exact,
}

const MUTATING: &str = "MutatingWebhookConfiguration";
const VALIDATING: &str = "ValidatingWebhookConfiguration";

/// Configures a webhook for config maps of the case's namespace, with `change` made to its entry.
async fn hooked(
    world: &World,
    kind: &str,
    change: impl Fn(&mut Value),
    answer: impl Fn(&Value) -> Say + Send + Sync + 'static,
) -> Webhook {
    let hook = Webhook::start(answer).await;
    let mut entry = hook.entry(&world.namespace, "own.example.com");
    change(&mut entry);
    let own = configuration(world, kind, "a", &[entry]);
    configure(world, &own, &hook, &probe()).await;
    hook
}

/// What is tried out until the webhook is asked: it fits all selectors of the cases.
fn probe() -> Value {
    labelled("probe", json!({"asked": "yes"}))
}

/// Takes the configuration away, so that no other case's writes are matched against it.
async fn unhook(world: &World, kind: &str) {
    let path = format!("{}/a-{}", collection(kind), world.namespace);
    world.delete(&path).await.is(200);
}

fn nothing(_: &mut Value) {}

/// What a webhook was asked, but for the probe and for what controllers write.
fn requests(hook: &Webhook) -> Vec<Value> {
    let reviews = hook.seen().into_iter();
    let requests = reviews.map(|mut review| review["request"].take());
    let own = |request: &Value| {
        let by = request.text("/userInfo/username");
        request.text("/name") != "probe" && !by.starts_with("system:serviceaccount:kube-system:")
    };
    requests.filter(own).collect()
}

/// The answer to a creation while the webhook says something.
async fn created_while(kind: &str, world: &World, say: fn(&Value) -> Say) -> Answer {
    let _hook = hooked(world, kind, nothing, say).await;
    let answer = world.post("configmaps", &config_map("a")).await;
    unhook(world, kind).await;
    answer
}

async fn a_webhook_is_told_of_a_creation(world: World) {
    let hook = hooked(&world, VALIDATING, nothing, |_| allowed()).await;
    let body = config_map_with("a", json!({"k": "v"}));
    let created = world.post("configmaps", &body).await.is(201);
    let reviews = hook.seen();
    reviews[0].has(json!({"kind": "AdmissionReview", "apiVersion": "admission.k8s.io/v1"}));
    let requests = requests(&hook);
    assert_eq!(requests.len(), 1);
    let request = &requests[0];
    request.has(json!({
        "kind": {"group": "", "version": "v1", "kind": "ConfigMap"},
        "resource": {"group": "", "version": "v1", "resource": "configmaps"},
        "requestKind": {"group": "", "version": "v1", "kind": "ConfigMap"},
        "requestResource": {"group": "", "version": "v1", "resource": "configmaps"},
        "subResource": null,
        "name": "a",
        "namespace": world.namespace,
        "operation": "CREATE",
        "oldObject": null,
        "dryRun": false,
        "object": {"kind": "ConfigMap", "apiVersion": "v1", "data": {"k": "v"}, "metadata": {
            "name": "a", "namespace": world.namespace, "uid": created["metadata"]["uid"],
            "creationTimestamp": created["metadata"]["creationTimestamp"],
            "resourceVersion": null,
        }},
        "options": {"kind": "CreateOptions", "apiVersion": "meta.k8s.io/v1"},
    }));
    unhook(&world, VALIDATING).await;
}

async fn a_webhook_is_told_of_an_update(world: World) {
    world.post("configmaps", &config_map("a")).await.is(201);
    let hook = hooked(&world, VALIDATING, nothing, |_| allowed()).await;
    let patch = json!({"data": {"k": "v"}});
    world.merge_patch("configmaps/a", &patch).await.is(200);
    let request = requests(&hook).remove(0);
    request.has(json!({
        "operation": "UPDATE",
        "name": "a",
        "object": {"kind": "ConfigMap", "data": {"k": "v"}},
        "oldObject": {"kind": "ConfigMap", "apiVersion": "v1", "data": null},
        "options": {"apiVersion": "meta.k8s.io/v1"},
    }));
    unhook(&world, VALIDATING).await;
}

async fn a_webhook_is_told_of_a_deletion(world: World) {
    let body = config_map_with("a", json!({"k": "v"}));
    world.post("configmaps", &body).await.is(201);
    let hook = hooked(&world, VALIDATING, nothing, |_| allowed()).await;
    world.delete("configmaps/a").await.is(200);
    let request = requests(&hook).remove(0);
    request.has(json!({
        "operation": "DELETE",
        "name": "a",
        "namespace": world.namespace,
        "object": null,
        "oldObject": {"kind": "ConfigMap", "data": {"k": "v"}},
        "options": {"kind": "DeleteOptions", "apiVersion": "meta.k8s.io/v1"},
    }));
    unhook(&world, VALIDATING).await;
}

async fn a_webhook_is_told_who_acts(world: World) {
    let hook = hooked(&world, VALIDATING, nothing, |_| allowed()).await;
    let request = world
        .post("configmaps", &config_map("a"))
        .acting_as("ann")
        .in_group("system:masters");
    request.await.is(201);
    let request = requests(&hook).remove(0);
    assert_eq!(
        request["userInfo"],
        json!({"username": "ann", "groups": ["system:masters", "system:authenticated"]})
    );
    unhook(&world, VALIDATING).await;
}

async fn a_webhook_is_asked_about_each_object_of_a_collection(world: World) {
    for name in ["a", "b"] {
        world
            .post("configmaps", &labelled(name, json!({"own": "yes"})))
            .await
            .is(201);
    }
    let hook = hooked(&world, VALIDATING, nothing, |_| allowed()).await;
    let delete = world.delete("configmaps").query("labelSelector", "own=yes");
    delete.await.is(200);
    let mut names: Vec<String> = requests(&hook)
        .iter()
        .map(|request| request.text("/oldObject/metadata/name").to_owned())
        .collect();
    names.sort();
    assert_eq!(names, ["a", "b"]);
    unhook(&world, VALIDATING).await;
}

async fn a_refusal_says_who_refused(world: World) {
    let answer = created_while(VALIDATING, &world, |_| {
        Say::Response(json!({"allowed": false, "status": {"message": "not today"}}))
    });
    let status = answer.await.is(400);
    status.has(json!({
        "kind": "Status", "status": "Failure", "reason": null, "code": 400,
        "message": "admission webhook \"own.example.com\" denied the request: not today",
    }));
}

async fn a_refusal_without_explanation_says_so(world: World) {
    let answer = created_while(MUTATING, &world, |_| {
        Say::Response(json!({"allowed": false}))
    });
    let status = answer.await.is(400);
    assert_eq!(
        status.text("/message"),
        "admission webhook \"own.example.com\" denied the request without explanation"
    );
}

async fn a_refusal_keeps_code_reason_and_details(world: World) {
    let answer = created_while(VALIDATING, &world, |_| {
        Say::Response(json!({"allowed": false, "status": {
            "code": 422, "reason": "Invalid", "message": "wrong",
            "details": {"name": "a", "causes": [
                {"reason": "FieldValueInvalid", "message": "no", "field": "data.k"},
            ]},
        }}))
    });
    let message = "admission webhook \"own.example.com\" denied the request: wrong";
    let status = answer.await.refused(422, "Invalid", message);
    status.has(json!({"details": {"name": "a", "causes": [
        {"reason": "FieldValueInvalid", "message": "no", "field": "data.k"},
    ]}}));
}

async fn a_refusal_of_a_deletion_keeps_the_object(world: World) {
    world.post("configmaps", &config_map("a")).await.is(201);
    let hook = hooked(&world, VALIDATING, nothing, |request| {
        Say::Response(json!({"allowed": request["operation"] != "DELETE"}))
    });
    let _hook = hook.await;
    let status = world.delete("configmaps/a").await.is(400);
    assert_eq!(
        status.text("/message"),
        "admission webhook \"own.example.com\" denied the request without explanation"
    );
    world.get("configmaps/a").await.is(200);
    unhook(&world, VALIDATING).await;
}

async fn a_mutating_webhook_changes_what_is_kept(world: World) {
    let answer = created_while(MUTATING, &world, |_| {
        patched(&json!([
            {"op": "add", "path": "/data", "value": {"k": "v"}},
            {"op": "add", "path": "/metadata/labels", "value": {"seen": "yes"}},
        ]))
    });
    let expected = json!({"data": {"k": "v"}, "metadata": {"labels": {"seen": "yes"}}});
    answer.await.is(201).has(expected.clone());
    world.get("configmaps/a").await.is(200).has(expected);
}

async fn what_a_webhook_makes_is_validated(world: World) {
    let answer = created_while(MUTATING, &world, |_| {
        patched(&json!([{"op": "add", "path": "/data", "value": {"no good": "v"}}]))
    });
    answer
        .await
        .refused_saying(422, "Invalid", "data[no good]: Invalid value");
}

async fn what_a_webhook_adds_belongs_to_nobody(world: World) {
    let answer = created_while(MUTATING, &world, |_| {
        patched(&json!([{"op": "add", "path": "/data", "value": {"k": "v"}}]))
    });
    let created = answer.await.is(201);
    assert_eq!(created["data"], json!({"k": "v"}));
    let owned = created.managed();
    assert!(
        owned
            .iter()
            .all(|(_, _, _, fields)| fields["f:data"].is_null()),
        "{owned:#?}"
    );
}

async fn mutating_webhooks_see_what_those_before_made(world: World) {
    let first = Webhook::start(|_| {
        patched(&json!([{"op": "add", "path": "/data", "value": {"first": "was here"}}]))
    });
    let second = Webhook::start(|_| allowed());
    let (first, second) = (first.await, second.await);
    let entries = [
        first.entry(&world.namespace, "first.example.com"),
        second.entry(&world.namespace, "second.example.com"),
    ];
    let own = configuration(&world, MUTATING, "a", &entries);
    configure(&world, &own, &second, &probe()).await;
    world.post("configmaps", &config_map("a")).await.is(201);
    let request = requests(&second).remove(0);
    request.has(json!({"object": {"data": {"first": "was here"}}}));
    unhook(&world, MUTATING).await;
}

async fn a_webhook_that_wants_it_is_asked_again_after_a_change(world: World) {
    let (first, second) = (
        Webhook::start(|_| allowed()).await,
        Webhook::start(|_| {
            patched(&json!([{"op": "add", "path": "/data", "value": {"second": "was here"}}]))
        })
        .await,
    );
    let mut wants = first.entry(&world.namespace, "first.example.com");
    wants["reinvocationPolicy"] = json!("IfNeeded");
    let entries = [wants, second.entry(&world.namespace, "second.example.com")];
    let own = configuration(&world, MUTATING, "a", &entries);
    configure(&world, &own, &second, &probe()).await;
    first.forget();
    world.post("configmaps", &config_map("a")).await.is(201);
    let asked = requests(&first);
    assert_eq!(asked.len(), 2);
    assert!(asked[0]["object"]["data"].is_null());
    asked[1].has(json!({"object": {"data": {"second": "was here"}}}));
    assert_eq!(requests(&second).len(), 1);
    unhook(&world, MUTATING).await;
}

async fn a_mutating_webhook_is_asked_before_a_validating_one(world: World) {
    let changes = hooked(&world, MUTATING, nothing, |_| {
        patched(&json!([{"op": "add", "path": "/data", "value": {"k": "v"}}]))
    });
    let _changes = changes.await;
    let looks = hooked(&world, VALIDATING, nothing, |_| allowed()).await;
    world.post("configmaps", &config_map("a")).await.is(201);
    requests(&looks)[0].has(json!({"object": {"data": {"k": "v"}}}));
    unhook(&world, MUTATING).await;
    unhook(&world, VALIDATING).await;
}

async fn an_apply_is_a_creation_and_then_an_update(world: World) {
    let hook = hooked(&world, VALIDATING, nothing, |_| allowed()).await;
    for value in ["v", "w"] {
        let body = config_map_with("a", json!({"k": value}));
        let answer = world.apply("configmaps/a", "me", &body).await;
        assert!(answer.status < 300, "{}", answer.text());
    }
    let operations: Vec<String> = requests(&hook)
        .iter()
        .map(|request| request.text("/operation").to_owned())
        .collect();
    assert_eq!(operations, ["CREATE", "UPDATE"]);
    unhook(&world, VALIDATING).await;
}

async fn what_is_invalid_is_not_shown_to_validating_webhooks(world: World) {
    let hook = hooked(&world, VALIDATING, nothing, |_| allowed()).await;
    let body = config_map_with("a", json!({"no good": "v"}));
    let answer = world.post("configmaps", &body).await;
    answer.refusal_of(422, "Invalid");
    assert!(requests(&hook).is_empty());
    unhook(&world, VALIDATING).await;
}

async fn a_rule_names_operations(world: World) {
    let only_create = |entry: &mut Value| entry["rules"][0]["operations"] = json!(["CREATE"]);
    let hook = hooked(&world, VALIDATING, only_create, |_| allowed()).await;
    world.post("configmaps", &config_map("a")).await.is(201);
    world
        .merge_patch("configmaps/a", &json!({"data": {"k": "v"}}))
        .await
        .is(200);
    world.delete("configmaps/a").await.is(200);
    assert_eq!(requests(&hook).len(), 1);
    unhook(&world, VALIDATING).await;
}

async fn a_rule_names_subresources_apart(world: World) {
    let status = |entry: &mut Value| {
        let rule = json!({
            "operations": ["UPDATE"], "apiGroups": ["apps"], "apiVersions": ["v1"],
            "resources": ["deployments/status"],
        });
        entry["rules"].as_array_mut().unwrap().push(rule);
    };
    let hook = hooked(&world, VALIDATING, status, |_| allowed()).await;
    let body = deployment("a", 0);
    world.post("apps/v1:deployments", &body).await.is(201);
    let path = "apps/v1:deployments/a";
    let label = json!({"metadata": {"labels": {"k": "v"}}});
    world.merge_patch(path, &label).await.is(200);
    let condition = json!({"status": {"conditions": [{
        "type": "Own", "status": "True", "reason": "Here", "message": "",
    }]}});
    let status = format!("{path}/status");
    world.merge_patch(&status, &condition).await.is(200);
    let own = requests(&hook);
    // A change that meets another one is asked about once more.
    assert!(!own.is_empty());
    for request in own {
        request.has(json!({"subResource": "status", "requestSubResource": "status"}));
    }
    unhook(&world, VALIDATING).await;
}

async fn a_webhook_of_a_namespace_is_not_asked_about_others(world: World) {
    let hook = hooked(&world, VALIDATING, nothing, |_| allowed()).await;
    let path = "/api/v1/namespaces/default/configmaps";
    let other = config_map(&world.namespace);
    world.post(path, &other).await.is(201);
    world
        .delete(&format!("{path}/{}", world.namespace))
        .await
        .is(200);
    assert!(requests(&hook).is_empty());
    unhook(&world, VALIDATING).await;
}

async fn a_webhook_of_some_objects_is_asked_about_what_was_one_of_them(world: World) {
    let some = |entry: &mut Value| {
        entry["objectSelector"] = json!({"matchLabels": {"asked": "yes"}});
    };
    let hook = hooked(&world, VALIDATING, some, |_| allowed()).await;
    world.post("configmaps", &config_map("a")).await.is(201);
    assert!(requests(&hook).is_empty());
    let asked = labelled("b", json!({"asked": "yes"}));
    world.post("configmaps", &asked).await.is(201);
    let away = json!({"metadata": {"labels": null}});
    world.merge_patch("configmaps/b", &away).await.is(200);
    assert_eq!(requests(&hook).len(), 2);
    world
        .merge_patch("configmaps/b", &json!({"data": {"k": "v"}}))
        .await
        .is(200);
    assert_eq!(requests(&hook).len(), 2);
    unhook(&world, VALIDATING).await;
}

async fn a_match_condition_leaves_objects_out(world: World) {
    let some = |entry: &mut Value| {
        entry["matchConditions"] = json!([
            {"name": "created", "expression": "request.operation == 'CREATE'"},
            {"name": "named", "expression": "object.metadata.name != 'left-out'"},
        ]);
    };
    let hook = hooked(&world, VALIDATING, some, |_| allowed()).await;
    world
        .post("configmaps", &config_map("left-out"))
        .await
        .is(201);
    assert!(requests(&hook).is_empty());
    world.post("configmaps", &config_map("a")).await.is(201);
    assert_eq!(requests(&hook).len(), 1);
    world.delete("configmaps/a").await.is(200);
    assert_eq!(requests(&hook).len(), 1);
    unhook(&world, VALIDATING).await;
}

fn wrong_condition(entry: &mut Value) {
    entry["matchConditions"] = json!([
        {"name": "wrong", "expression": "object.metadata.labels['missing'] == 'x'"},
    ]);
}

async fn a_match_condition_that_fails_refuses(world: World) {
    let hook = hooked(&world, VALIDATING, wrong_condition, |_| allowed()).await;
    let body = labelled("a", json!({"k": "v"}));
    let answer = world.post("configmaps", &body).await;
    answer.refused_saying(403, "Forbidden", "configmaps \"a\" is forbidden: ");
    let answer = world.post("configmaps", &body).await;
    answer.refused_saying(403, "Forbidden", "resulted in error: no such key: missing");
    assert!(requests(&hook).is_empty());
    unhook(&world, VALIDATING).await;
}

async fn a_match_condition_that_fails_is_ignored_where_failures_are(world: World) {
    let ignored = |entry: &mut Value| {
        wrong_condition(entry);
        entry["failurePolicy"] = json!("Ignore");
    };
    let hook = Webhook::start(|_| allowed()).await;
    let mut entry = hook.entry(&world.namespace, "own.example.com");
    ignored(&mut entry);
    // Another one tells when the server follows the configuration.
    let known = Webhook::start(|_| allowed()).await;
    let entries = [entry, known.entry(&world.namespace, "known.example.com")];
    let own = configuration(&world, VALIDATING, "a", &entries);
    configure(&world, &own, &known, &probe()).await;
    let body = labelled("a", json!({"k": "v"}));
    world.post("configmaps", &body).await.is(201);
    assert!(requests(&hook).is_empty());
    unhook(&world, VALIDATING).await;
}

/// An address at which nobody listens.
fn nowhere(entry: &mut Value) {
    entry["clientConfig"]["url"] = json!("https://127.0.0.1:9/hook");
}

async fn a_webhook_that_cannot_be_reached_refuses(world: World) {
    let _hook = hooked(&world, VALIDATING, nowhere, |_| allowed()).await;
    let answer = world.post("configmaps", &config_map("a")).await;
    let status = answer.refused(
        500,
        "InternalError",
        "Internal error occurred: failed calling webhook \"own.example.com\": failed to call \
         webhook: Post \"https://127.0.0.1:9/hook?timeout=5s\": dial tcp 127.0.0.1:9: connect: \
         connection refused",
    );
    assert!(
        status
            .text("/details/causes/0/message")
            .starts_with("failed calling webhook")
    );
    unhook(&world, VALIDATING).await;
}

async fn a_webhook_that_cannot_be_reached_is_ignored_where_failures_are(world: World) {
    let hook = Webhook::start(|_| allowed()).await;
    let mut gone = hook.entry(&world.namespace, "gone.example.com");
    nowhere(&mut gone);
    gone["failurePolicy"] = json!("Ignore");
    let entries = [gone, hook.entry(&world.namespace, "own.example.com")];
    let own = configuration(&world, MUTATING, "a", &entries);
    configure(&world, &own, &hook, &probe()).await;
    world.post("configmaps", &config_map("a")).await.is(201);
    assert_eq!(requests(&hook).len(), 1);
    unhook(&world, MUTATING).await;
}

async fn a_webhook_that_does_not_answer_in_time_refuses(world: World) {
    let short = |entry: &mut Value| entry["timeoutSeconds"] = json!(1);
    let _hook = hooked(&world, VALIDATING, short, |_| Say::Nothing).await;
    let answer = world.post("configmaps", &config_map("a")).await;
    let status = answer.refused_saying(
        500,
        "InternalError",
        "Internal error occurred: failed calling webhook \"own.example.com\": failed to call \
         webhook: Post ",
    );
    let message = status.text("/message");
    assert!(
        message.ends_with("?timeout=1s\": context deadline exceeded"),
        "{message}"
    );
    unhook(&world, VALIDATING).await;
}

async fn a_webhook_of_an_unknown_authority_refuses(world: World) {
    let other = Webhook::start(|_| allowed()).await;
    let bundle = other.bundle.clone();
    let wrong = move |entry: &mut Value| entry["clientConfig"]["caBundle"] = json!(bundle);
    let _hook = hooked(&world, VALIDATING, wrong, |_| allowed()).await;
    let answer = world.post("configmaps", &config_map("a")).await;
    answer.refused_saying(
        500,
        "InternalError",
        "tls: failed to verify certificate: x509: certificate signed by unknown authority",
    );
    unhook(&world, VALIDATING).await;
}

async fn a_webhook_that_answers_with_an_error_refuses(world: World) {
    let answer = created_while(VALIDATING, &world, |_| Say::Text(500, "out of order\n"));
    answer.await.refused(
        500,
        "InternalError",
        "Internal error occurred: failed calling webhook \"own.example.com\": failed to call \
         webhook: an error on the server (\"out of order\") has prevented the request from \
         succeeding",
    );
}

async fn an_answer_to_another_question_is_invalid(world: World) {
    let answer = created_while(VALIDATING, &world, |_| {
        Say::Review(json!({
            "apiVersion": "admission.k8s.io/v1", "kind": "AdmissionReview",
            "response": {"uid": "other", "allowed": true},
        }))
    });
    let status = answer.await.refused_saying(
        500,
        "InternalError",
        "Internal error occurred: failed calling webhook \"own.example.com\": received invalid \
         webhook response: expected response.uid=",
    );
    assert!(status.text("/message").ends_with(", got \"other\""));
}

async fn an_answer_of_another_version_is_invalid(world: World) {
    let answer = created_while(VALIDATING, &world, |request| {
        Say::Review(json!({
            "apiVersion": "admission.k8s.io/v1beta1", "kind": "AdmissionReview",
            "response": {"uid": request["uid"], "allowed": true},
        }))
    });
    answer.await.refused_saying(
        500,
        "InternalError",
        "failed to call webhook: converting (v1beta1.AdmissionReview) to (v1.AdmissionReview): \
         unknown conversion",
    );
}

async fn an_answer_without_response_is_invalid(world: World) {
    let answer = created_while(MUTATING, &world, |_| {
        Say::Review(json!({"apiVersion": "admission.k8s.io/v1", "kind": "AdmissionReview"}))
    });
    answer.await.refused_saying(
        500,
        "InternalError",
        "received invalid webhook response: webhook response was absent",
    );
}

async fn a_validating_webhook_may_not_patch(world: World) {
    let answer = created_while(VALIDATING, &world, |_| {
        patched(&json!([{"op": "add", "path": "/data", "value": {"k": "v"}}]))
    });
    answer.await.refused_saying(
        500,
        "InternalError",
        "received invalid webhook response: validating webhook may not return response.patch",
    );
}

async fn a_patch_needs_its_type(world: World) {
    let answer = created_while(MUTATING, &world, |_| {
        Say::Response(json!({"allowed": true, "patch": "W10="}))
    });
    answer.await.refused_saying(
        500,
        "InternalError",
        "received invalid webhook response: webhook returned response.patch but not \
         response.patchType",
    );
}

async fn a_patch_that_does_not_fit_is_an_error(world: World) {
    let answer = created_while(MUTATING, &world, |_| {
        patched(&json!([{"op": "remove", "path": "/data/missing"}]))
    });
    answer
        .await
        .refused_saying(500, "InternalError", "Internal error occurred: ");
}

async fn a_trial_is_told_as_one(world: World) {
    let hook = hooked(&world, VALIDATING, nothing, |_| allowed()).await;
    let trial = world
        .post("configmaps", &config_map("a"))
        .query("dryRun", "All");
    trial.await.is(201);
    requests(&hook)[0].has(json!({"dryRun": true, "options": {"dryRun": ["All"]}}));
    unhook(&world, VALIDATING).await;
}

async fn a_trial_is_refused_where_the_webhook_has_effects(world: World) {
    // Only such a configuration cannot be tried out by a trial: a mutating one tells.
    let hook = Webhook::start(|_| allowed()).await;
    let mut entry = hook.entry(&world.namespace, "own.example.com");
    entry["admissionReviewVersions"] = json!(["v1", "v1beta1"]);
    entry["sideEffects"] = json!("NoneOnDryRun");
    let own = configuration(&world, VALIDATING, "a", &[entry]);
    configure(&world, &own, &hook, &probe()).await;
    let trial = world
        .post("configmaps", &config_map("a"))
        .query("dryRun", "All");
    trial.await.is(201);
    let path = format!("{}/a-{}", collection(VALIDATING), world.namespace);
    let some = json!([{"op": "replace", "path": "/webhooks/0/sideEffects", "value": "Some"}]);
    world.json_patch(&path, &some).await.refused_saying(
        422,
        "Invalid",
        "webhooks[0].sideEffects: Unsupported value: \"Some\"",
    );
    unhook(&world, VALIDATING).await;
}

async fn warnings_of_webhooks_reach_the_client(world: World) {
    let answer = created_while(VALIDATING, &world, |_| {
        Say::Response(json!({"allowed": true, "warnings": ["be careful", "really"]}))
    })
    .await;
    assert_eq!(answer.warnings(), ["be careful", "really"]);
    answer.is(201);
}

async fn a_webhook_of_a_service_that_is_missing_refuses(world: World) {
    let namespace = world.namespace.clone();
    let service = move |entry: &mut Value| {
        let bundle = entry["clientConfig"]["caBundle"].clone();
        let service = json!({"namespace": namespace, "name": "missing", "path": "/x"});
        entry["clientConfig"] = json!({"service": service, "caBundle": bundle});
    };
    let _hook = hooked(&world, VALIDATING, service, |_| allowed()).await;
    let answer = world.post("configmaps", &config_map("a")).await;
    let message = format!(
        "Internal error occurred: failed calling webhook \"own.example.com\": failed to call \
         webhook: Post \"https://missing.{}.svc:443/x?timeout=5s\": service \"missing\" not found",
        world.namespace
    );
    answer.refused(500, "InternalError", &message);
    unhook(&world, VALIDATING).await;
}

async fn webhooks_are_not_asked_about_their_configurations(world: World) {
    let hook = Webhook::start(|_| Say::Response(json!({"allowed": false}))).await;
    let mut entry = hook.entry(&world.namespace, "own.example.com");
    let more = json!({
        "operations": ["*"], "apiGroups": ["admissionregistration.k8s.io"],
        "apiVersions": ["*"], "resources": ["*"],
    });
    entry["rules"].as_array_mut().unwrap().push(more);
    let own = configuration(&world, VALIDATING, "a", &[entry]);
    configure(&world, &own, &hook, &probe()).await;
    let path = format!("{}/a-{}", collection(VALIDATING), world.namespace);
    let patch = json!({"metadata": {"labels": {"k": "v"}}});
    world.merge_patch(&path, &patch).await.is(200);
    world.delete(&path).await.is(200);
    assert!(requests(&hook).is_empty());
}

/// A webhook for widgets at `version`, asked about config maps as well.
async fn widget_hook(world: &World, version: &str, policy: &str) -> Webhook {
    let rule = json!({
        "operations": ["*"], "apiGroups": [world.group], "apiVersions": [version],
        "resources": ["widgets"],
    });
    let more = |entry: &mut Value| {
        entry["rules"].as_array_mut().unwrap().push(rule.clone());
        entry["matchPolicy"] = json!(policy);
    };
    hooked(world, VALIDATING, more, |_| allowed()).await
}

async fn a_webhook_is_asked_about_custom_objects(world: World) {
    let path = world.define(&widgets(&world.group)).await;
    let hook = widget_hook(&world, "v1", "Equivalent").await;
    let body = world.custom("Widget", "a", json!({"spec": {}}));
    world.post(&path, &body).await.is(201);
    let own = requests(&hook).remove(0);
    own.has(json!({
        "kind": {"group": world.group, "version": "v1", "kind": "Widget"},
        "object": {"kind": "Widget", "metadata": {"name": "a"}},
    }));
    unhook(&world, VALIDATING).await;
}

/// Widgets at `v1`, which is stored, and at `v2`.
async fn two_versions(world: &World) -> String {
    let mut definition = widgets(&world.group);
    let mut second = definition["spec"]["versions"][0].clone();
    second["name"] = json!("v2");
    second["storage"] = json!(false);
    let versions = definition["spec"]["versions"].as_array_mut().unwrap();
    versions.push(second);
    let path = world.define(&definition).await;
    let second = path.replace("/v1:", "/v2:");
    let (group, plural) = (&world.group, second.rsplit(':').next().unwrap());
    world.until_ok(&format!("/apis/{group}/v2/{plural}")).await;
    second
}

async fn a_webhook_for_one_version_is_asked_about_the_others(world: World) {
    let path = two_versions(&world).await;
    let hook = widget_hook(&world, "v1", "Equivalent").await;
    let mut body = world.custom("Widget", "a", json!({"spec": {}}));
    body["apiVersion"] = json!(format!("{}/v2", world.group));
    world.post(&path, &body).await.is(201);
    let own = requests(&hook).remove(0);
    own.has(json!({
        "kind": {"version": "v1"},
        "resource": {"version": "v1"},
        "requestKind": {"version": "v2"},
        "requestResource": {"version": "v2"},
        "object": {"apiVersion": format!("{}/v1", world.group)},
    }));
    unhook(&world, VALIDATING).await;
}

async fn a_webhook_for_one_version_can_be_exact(world: World) {
    let path = two_versions(&world).await;
    let hook = widget_hook(&world, "v1", "Exact").await;
    let mut body = world.custom("Widget", "a", json!({"spec": {}}));
    body["apiVersion"] = json!(format!("{}/v2", world.group));
    world.post(&path, &body).await.is(201);
    assert!(requests(&hook).is_empty());
    unhook(&world, VALIDATING).await;
}
