//! Create, get, update and delete, and what the server writes into an object.

use serde_json::json;

use crate::answer::Look;
use crate::manifests::{config_map, config_map_with, deployment, labelled, widgets};
use crate::world::World;

cases! { ApiServer:
    a_created_object_gets_uid_version_and_time,
    what_only_the_server_may_set_is_ignored_on_create,
    creating_an_object_twice_already_exists,
    an_object_that_is_not_there_is_not_found,
    a_generated_name_has_five_random_characters,
    a_name_is_required,
    a_name_must_be_a_dns_subdomain,
    a_label_must_be_well_formed,
    an_object_needs_an_existing_namespace,
    the_namespace_in_the_body_must_be_that_of_the_path,
    the_kind_in_the_body_must_be_that_of_the_path,
    a_body_that_is_no_json_is_a_bad_request,
    a_body_of_an_unknown_media_type_is_unsupported,
    an_answer_in_an_unknown_media_type_is_not_acceptable,
    a_body_may_be_yaml,
    an_object_is_not_created_at_a_version,
    an_update_replaces_all_but_what_the_server_keeps,
    an_update_at_an_old_version_conflicts,
    an_update_without_a_version_overwrites,
    an_update_of_another_incarnation_conflicts,
    an_update_must_name_the_object_of_its_path,
    an_update_creates_nothing,
    an_update_that_changes_nothing_keeps_the_version,
    every_write_raises_the_version,
    generation_moves_with_the_spec_only,
    generation_of_a_deployment_moves_with_its_annotations,
    generation_of_custom_objects_moves_with_the_spec_only,
    an_immutable_config_map_keeps_its_data,
    string_data_of_a_secret_becomes_data,
    a_secrets_type_cannot_change,
    deleting_a_config_map_answers_with_a_status_that_names_it,
    a_request_without_agent_or_manager_name_is_managed_as_unknown_or_by_agent,
}

async fn a_created_object_gets_uid_version_and_time(world: World) {
    let body = config_map_with("a", json!({"k": "v"}));
    let created = world.post("configmaps", &body).await.is(201);
    created.has(json!({
        "apiVersion": "v1",
        "kind": "ConfigMap",
        "metadata": {"name": "a", "namespace": world.namespace, "generation": null},
        "data": {"k": "v"},
    }));
    assert_eq!(created.text("/metadata/uid").len(), 36);
    assert!(
        created
            .text("/metadata/resourceVersion")
            .parse::<u64>()
            .unwrap()
            > 0
    );
    let time = created.text("/metadata/creationTimestamp");
    assert!(time.len() == 20 && time.ends_with('Z'), "{time}");
    assert_eq!(world.get("configmaps/a").await.is(200), created);
}

async fn what_only_the_server_may_set_is_ignored_on_create(world: World) {
    let mut body = config_map("a");
    body["metadata"]["uid"] = json!("11111111-2222-3333-4444-555555555555");
    body["metadata"]["creationTimestamp"] = json!("2001-01-01T00:00:00Z");
    body["metadata"]["deletionTimestamp"] = json!("2001-01-01T00:00:00Z");
    body["metadata"]["generation"] = json!(7);
    let created = world.post("configmaps", &body).await.is(201);
    created.has(json!({"metadata": {"deletionTimestamp": null}}));
    assert_ne!(created["metadata"]["uid"], body["metadata"]["uid"]);
    assert_ne!(
        created["metadata"]["creationTimestamp"],
        "2001-01-01T00:00:00Z"
    );
}

async fn creating_an_object_twice_already_exists(world: World) {
    world.post("configmaps", &config_map("a")).await.is(201);
    let again = world.post("configmaps", &config_map("a")).await;
    again
        .refused(409, "AlreadyExists", "configmaps \"a\" already exists")
        .has(json!({"details": {"name": "a", "kind": "configmaps"}}));
    world
        .post("apps/v1:deployments", &deployment("a", 0))
        .await
        .is(201);
    let again = world.post("apps/v1:deployments", &deployment("a", 0)).await;
    again
        .refused(
            409,
            "AlreadyExists",
            "deployments.apps \"a\" already exists",
        )
        .has(json!({"details": {"name": "a", "group": "apps", "kind": "deployments"}}));
}

async fn an_object_that_is_not_there_is_not_found(world: World) {
    for answer in [
        world.get("configmaps/a").await,
        world.delete("configmaps/a").await,
        world
            .merge_patch("configmaps/a", &json!({"data": {"k": "v"}}))
            .await,
    ] {
        let status = answer.refused(404, "NotFound", "configmaps \"a\" not found");
        status.has(json!({"details": {"name": "a", "kind": "configmaps"}}));
    }
}

async fn a_generated_name_has_five_random_characters(world: World) {
    let mut body = config_map("");
    body["metadata"] = json!({"generateName": "web-"});
    let first = world.post("configmaps", &body).await.is(201);
    let second = world.post("configmaps", &body).await.is(201);
    let name = first.text("/metadata/name");
    assert!(name.starts_with("web-") && name.len() == 9, "{name}");
    assert_ne!(name, second.text("/metadata/name"));
    first.has(json!({"metadata": {"generateName": "web-"}}));
}

async fn a_name_is_required(world: World) {
    let mut body = config_map("");
    body["metadata"] = json!({});
    let status = world.post("configmaps", &body).await.refused_saying(
        422,
        "Invalid",
        "ConfigMap \"\" is invalid: metadata.name: Required value: name or generateName is required",
    );
    status.has(json!({"details": {"kind": "ConfigMap", "causes": [
        {"reason": "FieldValueRequired", "field": "metadata.name"},
    ]}}));
}

async fn a_name_must_be_a_dns_subdomain(world: World) {
    let answer = world.post("configmaps", &config_map("Not_A_Name")).await;
    let status = answer.refused_saying(
        422,
        "Invalid",
        "ConfigMap \"Not_A_Name\" is invalid: metadata.name: Invalid value: \"Not_A_Name\": a lowercase \
         RFC 1123 subdomain must consist of lower case alphanumeric characters, '-' or '.'",
    );
    status.has(
        json!({"details": {"name": "Not_A_Name", "kind": "ConfigMap", "causes": [
            {"reason": "FieldValueInvalid", "field": "metadata.name"},
        ]}}),
    );
}

async fn a_label_must_be_well_formed(world: World) {
    let answer = world
        .post("configmaps", &labelled("a", json!({"k": "not a value"})))
        .await;
    answer.refused_saying(
        422,
        "Invalid",
        "metadata.labels: Invalid value: \"not a value\"",
    );
    let answer = world
        .post("configmaps", &labelled("a", json!({"-k": "v"})))
        .await;
    answer.refused_saying(422, "Invalid", "metadata.labels: Invalid value: \"-k\"");
}

async fn an_object_needs_an_existing_namespace(world: World) {
    let path = "/api/v1/namespaces/not-there/configmaps";
    let answer = world.post(path, &config_map("a")).await;
    answer.refused(404, "NotFound", "namespaces \"not-there\" not found");
}

async fn the_namespace_in_the_body_must_be_that_of_the_path(world: World) {
    let mut body = config_map("a");
    body["metadata"]["namespace"] = json!("default");
    world.post("configmaps", &body).await.refused(
        400,
        "BadRequest",
        "the namespace of the provided object does not match the namespace sent on the request",
    );
}

async fn the_kind_in_the_body_must_be_that_of_the_path(world: World) {
    world
        .post("secrets", &config_map("a"))
        .await
        .refused_saying(
            400,
            "BadRequest",
            "ConfigMap in version \"v1\" cannot be handled as a Secret",
        );
}

async fn a_body_that_is_no_json_is_a_bad_request(world: World) {
    let answer = world.post("configmaps", &json!({})).body("{not json").await;
    answer.refused_saying(400, "BadRequest", "ConfigMap");
    let answer = world.post("configmaps", &json!({})).body("[]").await;
    answer.refused_saying(400, "BadRequest", "");
}

async fn a_body_of_an_unknown_media_type_is_unsupported(world: World) {
    let request = world
        .post("configmaps", &config_map("a"))
        .header("Content-Type", "text/csv");
    request.await.refused_saying(
        415,
        "UnsupportedMediaType",
        "the body of the request was in an unknown format - accepted media types include: application/json",
    );
}

async fn an_answer_in_an_unknown_media_type_is_not_acceptable(world: World) {
    world
        .get("configmaps")
        .accept("text/csv")
        .await
        .refused_saying(406, "NotAcceptable", "application/json, application/yaml");
}

async fn a_body_may_be_yaml(world: World) {
    let yaml = "apiVersion: v1\nkind: ConfigMap\nmetadata:\n  name: a\ndata:\n  k: v\n";
    let request = world.post("configmaps", &json!({})).body(yaml);
    let created = request
        .header("Content-Type", "application/yaml")
        .await
        .is(201);
    created.has(json!({"metadata": {"name": "a"}, "data": {"k": "v"}}));
}

async fn an_object_is_not_created_at_a_version(world: World) {
    let mut body = config_map("a");
    body["metadata"]["resourceVersion"] = json!("5");
    let answer = world.post("configmaps", &body).await;
    assert!(answer.status >= 400, "{}", answer.text());
    assert!(
        answer
            .text()
            .contains("resourceVersion should not be set on objects to be created")
    );
}

async fn an_update_replaces_all_but_what_the_server_keeps(world: World) {
    let mut body = config_map_with("a", json!({"k": "v", "l": "w"}));
    body["metadata"]["labels"] = json!({"a": "b"});
    let created = world.post("configmaps", &body).await.is(201);
    let body = config_map_with("a", json!({"k": "x"}));
    let updated = world.put("configmaps/a", &body).await.is(200);
    updated.has(json!({
        "metadata": {
            "uid": created["metadata"]["uid"],
            "creationTimestamp": created["metadata"]["creationTimestamp"],
            "labels": null,
        },
        "data": {"k": "x", "l": null},
    }));
}

async fn an_update_at_an_old_version_conflicts(world: World) {
    let created = world.post("configmaps", &config_map("a")).await.is(201);
    world
        .merge_patch("configmaps/a", &json!({"data": {"k": "v"}}))
        .await
        .is(200);
    let status = world.put("configmaps/a", &created).await.refused(
        409,
        "Conflict",
        "Operation cannot be fulfilled on configmaps \"a\": the object has been modified; please \
         apply your changes to the latest version and try again",
    );
    status.has(json!({"details": {"name": "a", "kind": "configmaps"}}));
}

async fn an_update_without_a_version_overwrites(world: World) {
    world
        .post("configmaps", &config_map_with("a", json!({"k": "v"})))
        .await
        .is(201);
    let body = config_map_with("a", json!({"k": "w"}));
    world
        .put("configmaps/a", &body)
        .await
        .is(200)
        .has(json!({"data": {"k": "w"}}));
}

async fn an_update_of_another_incarnation_conflicts(world: World) {
    world.post("configmaps", &config_map("a")).await.is(201);
    let mut body = config_map("a");
    body["metadata"]["uid"] = json!("11111111-2222-3333-4444-555555555555");
    world.put("configmaps/a", &body).await.refused_saying(
        409,
        "Conflict",
        "Precondition failed: UID in precondition: 11111111-2222-3333-4444-555555555555, UID in \
         object meta: ",
    );
}

async fn an_update_must_name_the_object_of_its_path(world: World) {
    world.post("configmaps", &config_map("a")).await.is(201);
    world.put("configmaps/a", &config_map("b")).await.refused(
        400,
        "BadRequest",
        "the name of the object (b) does not match the name on the URL (a)",
    );
}

async fn an_update_creates_nothing(world: World) {
    let answer = world.put("configmaps/a", &config_map("a")).await;
    answer.refused(404, "NotFound", "configmaps \"a\" not found");
}

async fn an_update_that_changes_nothing_keeps_the_version(world: World) {
    let created = world
        .post("configmaps", &config_map_with("a", json!({"k": "v"})))
        .await
        .is(201);
    let updated = world.put("configmaps/a", &created).await.is(200);
    assert_eq!(
        updated["metadata"]["resourceVersion"],
        created["metadata"]["resourceVersion"]
    );
}

async fn every_write_raises_the_version(world: World) {
    let mut last = 0;
    for name in ["a", "b", "c"] {
        let created = world.post("configmaps", &config_map(name)).await.is(201);
        let version = created
            .text("/metadata/resourceVersion")
            .parse::<u64>()
            .unwrap();
        assert!(version > last);
        last = version;
    }
    let patched = world
        .merge_patch("configmaps/a", &json!({"data": {"k": "v"}}))
        .await
        .is(200);
    assert!(
        patched
            .text("/metadata/resourceVersion")
            .parse::<u64>()
            .unwrap()
            > last
    );
}

async fn generation_moves_with_the_spec_only(world: World) {
    let created = world
        .post("apps/v1:deployments", &deployment("a", 0))
        .await
        .is(201);
    assert_eq!(created["metadata"]["generation"], 1);
    let path = "apps/v1:deployments/a";
    let labels = json!({"metadata": {"labels": {"k": "v"}}});
    let labelled = world.merge_patch(path, &labels).await.is(200);
    assert_eq!(labelled["metadata"]["generation"], 1);
    let paused = json!({"spec": {"paused": true}});
    assert_eq!(
        world.merge_patch(path, &paused).await.is(200)["metadata"]["generation"],
        2
    );
    assert_eq!(
        world.merge_patch(path, &paused).await.is(200)["metadata"]["generation"],
        2
    );
    let set = json!({"metadata": {"generation": 9}});
    assert_eq!(
        world.merge_patch(path, &set).await.is(200)["metadata"]["generation"],
        2
    );
}

async fn generation_of_a_deployment_moves_with_its_annotations(world: World) {
    let path = "apps/v1:deployments/a";
    let body = crate::manifests::deployment("a", 0);
    world.post("apps/v1:deployments", &body).await.is(201);
    let note = json!({"metadata": {"annotations": {"note": "x"}}});
    for _ in 0..2 {
        let noted = world.merge_patch(path, &note).await.is(200);
        assert_eq!(noted["metadata"]["generation"], 2);
    }
}

async fn generation_of_custom_objects_moves_with_the_spec_only(world: World) {
    let widgets = world.define(&widgets(&world.group)).await;
    let body = world.custom("Widget", "a", json!({"spec": {"size": 1}}));
    assert_eq!(
        world.post(&widgets, &body).await.is(201)["metadata"]["generation"],
        1
    );
    let path = format!("{widgets}/a");
    let labels = json!({"metadata": {"labels": {"k": "v"}}});
    assert_eq!(
        world.merge_patch(&path, &labels).await.is(200)["metadata"]["generation"],
        1
    );
    let size = json!({"spec": {"size": 2}});
    assert_eq!(
        world.merge_patch(&path, &size).await.is(200)["metadata"]["generation"],
        2
    );
    let status = json!({"status": {"phase": "Ready"}});
    let patched = world
        .merge_patch(&format!("{path}/status"), &status)
        .await
        .is(200);
    assert_eq!(patched["metadata"]["generation"], 2);
}

async fn an_immutable_config_map_keeps_its_data(world: World) {
    let mut body = config_map_with("a", json!({"k": "v"}));
    body["immutable"] = json!(true);
    world.post("configmaps", &body).await.is(201);
    let change = json!({"data": {"k": "w"}});
    world.merge_patch("configmaps/a", &change).await.refused(
        422,
        "Invalid",
        "ConfigMap \"a\" is invalid: data: Forbidden: field is immutable when `immutable` is set",
    );
    world
        .merge_patch("configmaps/a", &json!({"metadata": {"labels": {"k": "v"}}}))
        .await
        .is(200);
}

async fn string_data_of_a_secret_becomes_data(world: World) {
    let body = json!({
        "apiVersion": "v1", "kind": "Secret", "metadata": {"name": "a"},
        "data": {"k": "b2xk"}, "stringData": {"k": "new", "l": "text"},
    });
    world.post("secrets", &body).await.is(201).has(json!({
        "type": "Opaque", "data": {"k": "bmV3", "l": "dGV4dA=="}, "stringData": null,
    }));
    let body = json!({
        "apiVersion": "v1", "kind": "Secret", "metadata": {"name": "b"}, "data": {"k": "%%%"},
    });
    world
        .post("secrets", &body)
        .await
        .refused_saying(400, "BadRequest", "illegal base64 data");
}

async fn a_secrets_type_cannot_change(world: World) {
    let body = json!({"apiVersion": "v1", "kind": "Secret", "metadata": {"name": "a"}});
    world.post("secrets", &body).await.is(201);
    let answer = world
        .merge_patch("secrets/a", &json!({"type": "example.com/other"}))
        .await;
    answer.refused_saying(
        422,
        "Invalid",
        "type: Invalid value: \"example.com/other\": field is immutable",
    );
}

async fn deleting_a_config_map_answers_with_a_status_that_names_it(world: World) {
    let created = world.post("configmaps", &config_map("a")).await.is(201);
    world.delete("configmaps/a").await.is(200).has(json!({
        "kind": "Status", "apiVersion": "v1", "metadata": {}, "status": "Success",
        "details": {"name": "a", "kind": "configmaps", "uid": created["metadata"]["uid"]},
    }));
    world.get("configmaps/a").await.is(404);
}

async fn a_request_without_agent_or_manager_name_is_managed_as_unknown_or_by_agent(world: World) {
    let by_agent = world.post("configmaps", &config_map_with("a", json!({"k": "v"})));
    let created = by_agent
        .header("User-Agent", "operator/v1.2 (linux)")
        .await
        .is(201);
    let fields = json!({"f:data": {".": {}, "f:k": {}}});
    assert_eq!(created.managed(), [("operator", "Update", "", &fields)]);
    created["metadata"]["managedFields"][0].has(json!({
        "apiVersion": "v1",
        "fieldsType": "FieldsV1",
        "time": created["metadata"]["creationTimestamp"],
    }));
    let named = world.post("configmaps", &config_map_with("b", json!({"k": "v"})));
    let created = named.query("fieldManager", "me").await.is(201);
    assert_eq!(created.managed(), [("me", "Update", "", &fields)]);
}
