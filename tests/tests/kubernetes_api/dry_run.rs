//! Trial writes, and how strictly unknown fields are taken.

use serde_json::{Value, json};

use crate::answer::Look;
use crate::manifests::{config_map, config_map_with, deployment, widgets};
use crate::world::World;

cases! { ApiServer:
    a_trial_create_stores_nothing,
    a_trial_create_is_still_validated,
    a_trial_create_of_what_exists_already_exists,
    a_trial_update_stores_nothing,
    a_trial_patch_stores_nothing,
    a_trial_needs_the_word_all,
    a_trial_sends_no_event,
    unknown_fields_are_told_as_warnings,
    unknown_fields_are_dropped_in_silence_when_ignored,
    unknown_fields_are_refused_when_strict,
    duplicate_fields_are_refused_when_strict,
    duplicate_fields_are_warned_of,
    an_unknown_strictness_is_invalid,
    strictness_holds_for_updates_and_patches,
    strictness_holds_for_custom_objects,
    custom_unknown_fields_are_told_as_warnings,
}

async fn a_trial_create_stores_nothing(world: World) {
    let request = world.post("configmaps", &config_map_with("a", json!({"k": "v"})));
    let created = request.query("dryRun", "All").await.is(201);
    created.has(json!({"data": {"k": "v"}, "metadata": {"resourceVersion": null}}));
    assert_eq!(created.text("/metadata/uid").len(), 36);
    assert!(!created.text("/metadata/creationTimestamp").is_empty());
    world.get("configmaps/a").await.is(404);
}

async fn a_trial_create_is_still_validated(world: World) {
    let request = world
        .post("configmaps", &config_map("Not_A_Name"))
        .query("dryRun", "All");
    request
        .await
        .refused_saying(422, "Invalid", "metadata.name: Invalid value");
}

async fn a_trial_create_of_what_exists_already_exists(world: World) {
    world.post("configmaps", &config_map("a")).await.is(201);
    let request = world
        .post("configmaps", &config_map("a"))
        .query("dryRun", "All");
    request
        .await
        .refused(409, "AlreadyExists", "configmaps \"a\" already exists");
}

async fn a_trial_update_stores_nothing(world: World) {
    let created = world
        .post("configmaps", &config_map_with("a", json!({"k": "v"})))
        .await
        .is(201);
    let body = config_map_with("a", json!({"k": "w"}));
    let tried = world
        .put("configmaps/a", &body)
        .query("dryRun", "All")
        .await
        .is(200);
    tried.has(json!({"data": {"k": "w"}}));
    assert_eq!(world.get("configmaps/a").await.is(200), created);
}

async fn a_trial_patch_stores_nothing(world: World) {
    let created = world
        .post("configmaps", &config_map_with("a", json!({"k": "v"})))
        .await
        .is(201);
    let request = world.merge_patch("configmaps/a", &json!({"data": {"k": "w"}}));
    request
        .query("dryRun", "All")
        .await
        .is(200)
        .has(json!({"data": {"k": "w"}}));
    assert_eq!(world.get("configmaps/a").await.is(200), created);
}

async fn a_trial_needs_the_word_all(world: World) {
    let request = world
        .post("configmaps", &config_map("a"))
        .query("dryRun", "Some");
    request.await.refused_saying(
        422,
        "Invalid",
        "CreateOptions.meta.k8s.io \"\" is invalid: dryRun: Unsupported value: [\"Some\"]: supported \
         values: \"All\"",
    );
}

async fn a_trial_sends_no_event(world: World) {
    let since = world.get("secrets").await.is(200);
    let since = since.text("/metadata/resourceVersion");
    let mut watch = world
        .watch(&format!("secrets?resourceVersion={since}"))
        .await;
    let secret = |name: &str| crate::manifests::secret(name);
    world
        .post("secrets", &secret("a"))
        .query("dryRun", "All")
        .await
        .is(201);
    world.post("secrets", &secret("b")).await.is(201);
    watch.sees("ADDED", "b").await;
}

/// A Deployment with a field that no Deployment has.
fn unknown() -> Value {
    let mut body = deployment("a", 0);
    body["spec"]["sauce"] = json!("tomato");
    body
}

async fn unknown_fields_are_told_as_warnings(world: World) {
    let answer = world.post("apps/v1:deployments", &unknown()).await;
    assert_eq!(answer.warnings(), ["unknown field \"spec.sauce\""]);
    answer.is(201).has(json!({"spec": {"sauce": null}}));
}

async fn unknown_fields_are_dropped_in_silence_when_ignored(world: World) {
    let request = world
        .post("apps/v1:deployments", &unknown())
        .query("fieldValidation", "Ignore");
    let answer = request.await;
    assert_eq!(answer.warnings(), [""; 0]);
    answer.is(201).has(json!({"spec": {"sauce": null}}));
}

async fn unknown_fields_are_refused_when_strict(world: World) {
    let request = world
        .post("apps/v1:deployments", &unknown())
        .query("fieldValidation", "Strict");
    request.await.refused(
        400,
        "BadRequest",
        "Deployment in version \"v1\" cannot be handled as a Deployment: strict decoding error: \
         unknown field \"spec.sauce\"",
    );
}

const TWICE: &str = r#"{"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "a"},
    "data": {"k": "v", "k": "w"}}"#;

async fn duplicate_fields_are_refused_when_strict(world: World) {
    let request = world.post("configmaps", &json!({})).body(TWICE);
    let answer = request.query("fieldValidation", "Strict").await;
    answer.refused_saying(
        400,
        "BadRequest",
        "strict decoding error: duplicate field \"data.k\"",
    );
}

async fn duplicate_fields_are_warned_of(world: World) {
    let answer = world.post("configmaps", &json!({})).body(TWICE).await;
    assert_eq!(answer.warnings(), ["duplicate field \"data.k\""]);
    answer.is(201).has(json!({"data": {"k": "w"}}));
}

async fn an_unknown_strictness_is_invalid(world: World) {
    let request = world
        .post("configmaps", &config_map("a"))
        .query("fieldValidation", "Maybe");
    request.await.refused_saying(
        422,
        "Invalid",
        "fieldValidation: Unsupported value: \"Maybe\"",
    );
}

async fn strictness_holds_for_updates_and_patches(world: World) {
    world
        .post("apps/v1:deployments", &deployment("a", 0))
        .await
        .is(201);
    let path = "apps/v1:deployments/a";
    let request = world
        .put(path, &unknown())
        .query("fieldValidation", "Strict");
    request
        .await
        .refused_saying(400, "BadRequest", "unknown field \"spec.sauce\"");
    let patch = json!({"spec": {"sauce": "tomato"}});
    let request = world
        .merge_patch(path, &patch)
        .query("fieldValidation", "Strict");
    request.await.refused_saying(
        422,
        "Invalid",
        "strict decoding error: unknown field \"spec.sauce\"",
    );
    let request = world
        .strategic_patch(path, &patch)
        .query("fieldValidation", "Strict");
    let answer = request.await;
    assert!(
        answer.text().contains("unknown field \\\"spec.sauce\\\""),
        "{}",
        answer.text()
    );
    let answer = world.merge_patch(path, &patch).await;
    assert_eq!(answer.warnings(), ["unknown field \"spec.sauce\""]);
    answer.is(200);
}

async fn strictness_holds_for_custom_objects(world: World) {
    let widgets = world.define(&widgets(&world.group)).await;
    let body = world.custom(
        "Widget",
        "a",
        json!({"spec": {"size": 1, "sauce": "tomato"}}),
    );
    let request = world
        .post(&widgets, &body)
        .query("fieldValidation", "Strict");
    request.await.refused_saying(
        400,
        "BadRequest",
        "strict decoding error: unknown field \"spec.sauce\"",
    );
    world
        .post(&widgets, &world.custom("Widget", "a", json!({})))
        .await
        .is(201);
    let request = world.merge_patch(&format!("{widgets}/a"), &json!({"spec": {"sauce": 1}}));
    let answer = request.query("fieldValidation", "Strict").await;
    answer.refused_saying(422, "Invalid", "unknown field \"spec.sauce\"");
}

async fn custom_unknown_fields_are_told_as_warnings(world: World) {
    let widgets = world.define(&widgets(&world.group)).await;
    let body = world.custom("Widget", "a", json!({"spec": {"sauce": "tomato"}}));
    let answer = world.post(&widgets, &body).await;
    assert_eq!(answer.warnings(), ["unknown field \"spec.sauce\""]);
}
