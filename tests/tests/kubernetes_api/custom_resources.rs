//! CustomResourceDefinitions at run time: names, versions, columns, and how they end.

use serde_json::{Value, json};

use crate::answer::Look;
use crate::manifests::{custom, widgets};
use crate::world::World;

cases! { Workloads:
    a_definition_is_accepted_and_established,
    a_definition_fills_in_names,
    a_definition_is_named_plural_dot_group,
    a_definition_needs_a_structural_schema,
    a_definition_has_exactly_one_storage_version,
    a_definition_tells_its_stored_versions,
    an_apply_may_change_the_stored_version,
    what_the_stored_version_does_not_know_is_lost,
    what_a_version_does_not_know_is_not_shown_in_it,
    a_second_version_serves_the_same_objects,
    a_version_that_is_not_served_is_not_found,
    a_kind_of_the_cluster_has_no_namespace,
    short_names_and_categories_are_in_discovery,
    deleting_a_definition_deletes_its_objects,
    a_definition_that_ends_takes_no_new_objects,
    a_schema_that_changes_holds_for_new_writes,
    a_selectable_field_selects,
    printer_columns_appear_in_tables,
    without_printer_columns_there_are_name_and_age,
    a_deprecated_version_warns,
    two_definitions_of_one_kind_conflict_in_names,
    many_custom_objects_live_side_by_side,
}

const DEFINITIONS: &str = "/apis/apiextensions.k8s.io/v1/customresourcedefinitions";

async fn a_definition_is_accepted_and_established(world: World) {
    let definition = widgets(&world.group);
    world.define(&definition).await;
    let path = format!("{DEFINITIONS}/widgets.{}", world.group);
    let defined = world.get(&path).await.is(200);
    defined.condition("NamesAccepted").has(json!({
        "status": "True", "reason": "NoConflicts", "message": "no conflicts found",
    }));
    defined.condition("Established").has(json!({
        "status": "True", "reason": "InitialNamesAccepted",
        "message": "the initial names have been accepted",
    }));
    defined.has(json!({"status": {"acceptedNames": {
        "plural": "widgets", "singular": "widget", "kind": "Widget", "listKind": "WidgetList",
    }}}));
}

async fn a_definition_fills_in_names(world: World) {
    let mut definition = widgets(&world.group);
    definition["spec"]["names"] = json!({"plural": "widgets", "kind": "Widget"});
    let created = world.post(DEFINITIONS, &definition).await.is(201);
    created.has(json!({"spec": {
        "names": {"singular": "widget", "listKind": "WidgetList"},
        "conversion": {"strategy": "None"},
    }}));
}

async fn a_definition_is_named_plural_dot_group(world: World) {
    let mut definition = widgets(&world.group);
    definition["metadata"]["name"] = json!("something.else");
    let answer = world.post(DEFINITIONS, &definition).await;
    answer.refused_saying(422, "Invalid", "metadata.name: Invalid value: \"something.else\": must be spec.names.plural+\".\"+spec.group");
}

async fn a_definition_needs_a_structural_schema(world: World) {
    let mut definition = widgets(&world.group);
    definition["spec"]["versions"][0]["schema"] = json!(null);
    let answer = world.post(DEFINITIONS, &definition).await;
    answer.refused_saying(
        422,
        "Invalid",
        "spec.versions[0].schema.openAPIV3Schema: Required value",
    );
    let definition = custom(&world.group, json!({"spec": {"properties": {}}}));
    let answer = world.post(DEFINITIONS, &definition).await;
    answer.refused_saying(
        422,
        "Invalid",
        "must not be empty for specified object fields",
    );
}

async fn a_definition_has_exactly_one_storage_version(world: World) {
    let mut definition = widgets(&world.group);
    definition["spec"]["versions"][0]["storage"] = json!(false);
    let answer = world.post(DEFINITIONS, &definition).await;
    answer.refused_saying(
        422,
        "Invalid",
        "must have exactly one version marked as storage version",
    );
}

async fn a_definition_tells_its_stored_versions(world: World) {
    world.define(&widgets(&world.group)).await;
    let path = format!("{DEFINITIONS}/widgets.{}", world.group);
    assert_eq!(
        world.get(&path).await.is(200)["status"]["storedVersions"],
        json!(["v1"])
    );
}

/// With `v1` stored and `v1beta1` beside it.
fn two_versions(group: &str) -> Value {
    let mut definition = widgets(group);
    let mut second = definition["spec"]["versions"][0].clone();
    second["name"] = json!("v1beta1");
    second["storage"] = json!(false);
    definition["spec"]["versions"]
        .as_array_mut()
        .unwrap()
        .push(second);
    definition
}

async fn an_apply_may_change_the_stored_version(world: World) {
    let path = format!("{DEFINITIONS}/widgets.{}", world.group);
    let mut definition = two_versions(&world.group);
    world.apply(&path, "tester", &definition).await.is(201);
    definition["spec"]["versions"][0]["storage"] = json!(false);
    definition["spec"]["versions"][1]["storage"] = json!(true);
    let applied = world.apply(&path, "tester", &definition).await.is(200);
    applied.has(json!({"status": {"storedVersions": ["v1", "v1beta1"]}}));
}

/// The second version knows `spec.extra` besides, and the first `spec.old`.
fn two_shapes(group: &str) -> Value {
    let mut definition = two_versions(group);
    for (number, field) in ["old", "extra"].iter().enumerate() {
        let schema = &mut definition["spec"]["versions"][number]["schema"]["openAPIV3Schema"];
        schema["properties"]["spec"]["properties"][field] = json!({"type": "string"});
    }
    definition
}

async fn what_the_stored_version_does_not_know_is_lost(world: World) {
    let first = world.define(&two_shapes(&world.group)).await;
    let second = first.replace("/v1:", "/v1beta1:");
    let mut body = world.custom("Widget", "a", json!({"spec": {"size": 1, "extra": "x"}}));
    body["apiVersion"] = json!(format!("{}/v1beta1", world.group));
    let created = world.post(&second, &body).await.is(201);
    created.has(json!({"spec": {"size": 1, "extra": null}}));
    let kept = world.get(&format!("{second}/a")).await.is(200);
    kept.has(json!({"spec": {"size": 1, "extra": null}}));
}

async fn what_a_version_does_not_know_is_not_shown_in_it(world: World) {
    let first = world.define(&two_shapes(&world.group)).await;
    let second = first.replace("/v1:", "/v1beta1:");
    let body = world.custom("Widget", "a", json!({"spec": {"size": 1, "old": "x"}}));
    world.post(&first, &body).await.is(201);
    let shown = world.get(&format!("{second}/a")).await.is(200);
    shown.has(json!({"spec": {"size": 1, "old": null}}));
    let kept = world.get(&format!("{first}/a")).await.is(200);
    kept.has(json!({"spec": {"size": 1, "old": "x"}}));
}

async fn a_second_version_serves_the_same_objects(world: World) {
    let first = world.define(&two_versions(&world.group)).await;
    let second = first.replace("/v1:", "/v1beta1:");
    let body = world.custom("Widget", "a", json!({"spec": {"size": 1}}));
    let created = world.post(&first, &body).await.is(201);
    let seen = world.get(&format!("{second}/a")).await.is(200);
    seen.has(json!({
        "apiVersion": format!("{}/v1beta1", world.group), "spec": {"size": 1},
        "metadata": {
            "uid": created["metadata"]["uid"],
            "resourceVersion": created["metadata"]["resourceVersion"],
        },
    }));
    let patch = json!({"spec": {"size": 2}});
    world
        .merge_patch(&format!("{second}/a"), &patch)
        .await
        .is(200);
    let seen = world.get(&format!("{first}/a")).await.is(200);
    seen.has(json!({"apiVersion": format!("{}/v1", world.group), "spec": {"size": 2}}));
    let group = world.get(&format!("/apis/{}", world.group)).await.is(200);
    // The most stable version comes first.
    group.has(json!({
        "versions": [{"version": "v1"}, {"version": "v1beta1"}],
        "preferredVersion": {"version": "v1"},
    }));
}

async fn a_version_that_is_not_served_is_not_found(world: World) {
    let mut definition = two_versions(&world.group);
    definition["spec"]["versions"][1]["served"] = json!(false);
    let first = world.define(&definition).await;
    assert_eq!(
        world.get(&first.replace("/v1:", "/v1beta1:")).await.status,
        404
    );
}

async fn a_kind_of_the_cluster_has_no_namespace(world: World) {
    let mut definition = widgets(&world.group);
    definition["spec"]["scope"] = json!("Cluster");
    let created = world.post(DEFINITIONS, &definition).await.is(201);
    let path = format!("/apis/{}/v1/widgets", world.group);
    world.until_ok(&path).await;
    let body = world.custom("Widget", "a", json!({}));
    let object = world.post(&path, &body).await.is(201);
    object.has(json!({"metadata": {"name": "a", "namespace": null}}));
    assert_eq!(created["spec"]["scope"], "Cluster");
    let namespaced = format!("{}/v1:widgets", world.group);
    assert_eq!(world.get(&namespaced).await.status, 404);
}

async fn short_names_and_categories_are_in_discovery(world: World) {
    let mut definition = widgets(&world.group);
    definition["spec"]["names"]["shortNames"] = json!(["wd"]);
    definition["spec"]["names"]["categories"] = json!(["all"]);
    world.define(&definition).await;
    let list = world
        .get(&format!("/apis/{}/v1", world.group))
        .await
        .is(200);
    list["resources"][0].has(json!({"shortNames": ["wd"], "categories": ["all"]}));
}

async fn deleting_a_definition_deletes_its_objects(world: World) {
    let widgets = world.define(&widgets(&world.group)).await;
    world
        .post(&widgets, &world.custom("Widget", "a", json!({})))
        .await
        .is(201);
    let mut watch = world.watch(&widgets).await;
    watch.sees("ADDED", "a").await;
    let path = format!("{DEFINITIONS}/widgets.{}", world.group);
    let ending = world.delete(&path).await.is(200);
    let finalizer = json!(["customresourcecleanup.apiextensions.k8s.io"]);
    assert_eq!(ending["metadata"]["finalizers"], finalizer);
    watch.sees("DELETED", "a").await;
    world.until_gone(&path).await;
}

async fn a_definition_that_ends_takes_no_new_objects(world: World) {
    let widgets = world.define(&widgets(&world.group)).await;
    let mut body = world.custom("Widget", "a", json!({}));
    body["metadata"]["finalizers"] = json!(["example.com/hold"]);
    world.post(&widgets, &body).await.is(201);
    let path = format!("{DEFINITIONS}/widgets.{}", world.group);
    world.delete(&path).await.is(200);
    let ends = |object: &Value| object.condition("Terminating").text("/status") == "True";
    world.until(&path, ends).await;
    world
        .until(&format!("{widgets}/a"), |object| {
            object.at("/metadata/deletionTimestamp").is_string()
        })
        .await;
    let answer = world
        .post(&widgets, &world.custom("Widget", "b", json!({})))
        .await;
    answer.refused_saying(
        403,
        "Forbidden",
        "create not allowed while custom resource definition is terminating",
    );
    let patch = json!({"metadata": {"finalizers": null}});
    world
        .merge_patch(&format!("{widgets}/a"), &patch)
        .await
        .is(200);
    world.until_gone(&path).await;
}

async fn a_schema_that_changes_holds_for_new_writes(world: World) {
    let widgets = world.define(&widgets(&world.group)).await;
    world
        .post(
            &widgets,
            &world.custom("Widget", "a", json!({"spec": {"size": 1}})),
        )
        .await
        .is(201);
    let pointer = "/spec/versions/0/schema/openAPIV3Schema/properties/spec/properties/size/minimum";
    let patch = json!([{"op": "add", "path": pointer, "value": 5}]);
    let path = format!("{DEFINITIONS}/widgets.{}", world.group);
    world.json_patch(&path, &patch).await.is(200);
    // The change is served a moment later, and nothing tells when.
    let small = world.custom("Widget", "b", json!({"spec": {"size": 2}}));
    world.until_refused(&widgets, &small).await.refused_saying(
        422,
        "Invalid",
        "spec.size: Invalid value: 2: spec.size in body should be greater than or equal to 5",
    );
    world
        .get(&format!("{widgets}/a"))
        .await
        .is(200)
        .has(json!({"spec": {"size": 1}}));
}

async fn a_selectable_field_selects(world: World) {
    let mut definition = widgets(&world.group);
    definition["spec"]["versions"][0]["selectableFields"] = json!([{"jsonPath": ".spec.color"}]);
    let widgets = world.define(&definition).await;
    for (name, color) in [("a", "red"), ("b", "blue")] {
        let body = world.custom("Widget", name, json!({"spec": {"color": color}}));
        world.post(&widgets, &body).await.is(201);
    }
    let list = world
        .get(&widgets)
        .query("fieldSelector", "spec.color=blue")
        .await
        .is(200);
    assert_eq!(list.names(), ["b"]);
}

const TABLE: &str = "application/json;as=Table;v=v1;g=meta.k8s.io";

async fn printer_columns_appear_in_tables(world: World) {
    let mut definition = widgets(&world.group);
    definition["spec"]["versions"][0]["additionalPrinterColumns"] = json!([
        {"name": "Size", "type": "integer", "jsonPath": ".spec.size"},
        {"name": "Phase", "type": "string", "jsonPath": ".status.phase", "description": "Its phase."},
        {"name": "Color", "type": "string", "jsonPath": ".spec.color", "priority": 1},
        {"name": "Made", "type": "date", "jsonPath": ".metadata.creationTimestamp"},
    ]);
    let widgets = world.define(&definition).await;
    let body = world.custom("Widget", "a", json!({"spec": {"size": 3, "color": "red"}}));
    world.post(&widgets, &body).await.is(201);
    let table = world.get(&widgets).accept(TABLE).await.is(200);
    table.has(json!({
        "kind": "Table", "apiVersion": "meta.k8s.io/v1",
        "columnDefinitions": [
            {"name": "Name", "type": "string", "format": "name", "priority": 0},
            {"name": "Size", "type": "integer", "priority": 0},
            {"name": "Phase", "type": "string", "description": "Its phase."},
            {"name": "Color", "priority": 1},
            {"name": "Made", "type": "date"},
        ],
    }));
    let cells = table.list("/rows/0/cells");
    assert_eq!(
        cells[..4],
        [json!("a"), json!(3), Value::Null, json!("red")]
    );
    assert!(
        cells[4].as_str().unwrap().ends_with('s'),
        "an age: {cells:?}"
    );
}

async fn without_printer_columns_there_are_name_and_age(world: World) {
    let widgets = world.define(&widgets(&world.group)).await;
    world
        .post(&widgets, &world.custom("Widget", "a", json!({})))
        .await
        .is(201);
    let table = world.get(&widgets).accept(TABLE).await.is(200);
    table.has(json!({"columnDefinitions": [{"name": "Name"}, {"name": "Age", "type": "date"}]}));
    table["rows"][0]["object"].has(json!({
        "kind": "PartialObjectMetadata", "apiVersion": "meta.k8s.io/v1", "metadata": {"name": "a"},
    }));
}

async fn a_deprecated_version_warns(world: World) {
    let mut definition = widgets(&world.group);
    definition["spec"]["versions"][0]["deprecated"] = json!(true);
    definition["spec"]["versions"][0]["deprecationWarning"] = json!("use something else");
    let widgets = world.define(&definition).await;
    let answer = world.get(&widgets).await;
    assert_eq!(answer.warnings(), ["use something else"]);
}

async fn two_definitions_of_one_kind_conflict_in_names(world: World) {
    world.define(&widgets(&world.group)).await;
    let mut definition = widgets(&world.group);
    definition["metadata"]["name"] = json!(format!("others.{}", world.group));
    definition["spec"]["names"] = json!({"plural": "others", "kind": "Widget"});
    world.post(DEFINITIONS, &definition).await.is(201);
    let path = format!("{DEFINITIONS}/others.{}", world.group);
    let refused = |object: &Value| object.condition("NamesAccepted").text("/status") == "False";
    let object = world.until(&path, refused).await;
    object.condition("NamesAccepted").has(json!({
        "reason": "ListKindConflict", "message": "\"WidgetList\" is already in use",
    }));
    object
        .condition("Established")
        .has(json!({"status": "False", "reason": "NotAccepted"}));
}

async fn many_custom_objects_live_side_by_side(world: World) {
    let widgets = world.define(&widgets(&world.group)).await;
    for number in 0..20 {
        let body = world.custom(
            "Widget",
            &format!("w{number:02}"),
            json!({"spec": {"size": number}}),
        );
        world.post(&widgets, &body).await.is(201);
    }
    let page = world.get(&widgets).query("limit", "15").await.is(200);
    assert_eq!(page.list("/items").len(), 15);
    let token = page.text("/metadata/continue");
    let rest = world.get(&widgets).query("continue", token).await.is(200);
    assert_eq!(rest.names(), ["w15", "w16", "w17", "w18", "w19"]);
    let deleted = world.delete(&widgets).await.is(200);
    assert_eq!(deleted["kind"], "WidgetList");
    world.until_list(&widgets, <[Value]>::is_empty).await;
}
