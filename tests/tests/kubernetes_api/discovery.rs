//! Discovery, health, version and OpenAPI.

use serde_json::{Value, json};

use crate::answer::Look;
use crate::manifests::widgets;
use crate::world::World;

cases! { ApiServer:
    the_core_api_has_version_v1,
    the_groups_are_listed_with_their_preferred_versions,
    a_group_tells_its_versions,
    core_resources_tell_verbs_scope_and_short_names,
    subresources_are_listed_beside_their_resources,
    scale_is_listed_with_the_kind_of_another_group,
    aggregated_discovery_lists_groups_versions_and_resources_at_once,
    aggregated_discovery_of_the_core_api_has_one_nameless_group,
    a_group_that_is_not_there_is_a_plain_404,
    a_resource_that_is_not_there_is_not_found,
    a_method_that_a_path_does_not_take_is_not_allowed,
    the_version_has_major_minor_and_git_version,
    health_answers_ok_in_plain_text,
    open_api_v3_names_a_document_per_group_version,
    open_api_v3_describes_kinds_with_group_version_kind_and_merge_keys,
    open_api_v2_defines_the_kinds,
    a_custom_resource_appears_in_discovery,
    a_custom_resource_appears_in_open_api_v3,
}

const AGGREGATED: &str = "application/json;g=apidiscovery.k8s.io;v=v2;as=APIGroupDiscoveryList";

fn named<'a>(list: &'a [Value], name: &str) -> &'a Value {
    let mut found = list.iter().filter(|item| {
        [
            item.text("/name"),
            item.text("/metadata/name"),
            item.text("/resource"),
        ]
        .contains(&name)
    });
    found
        .next()
        .unwrap_or_else(|| panic!("no {name} in {list:#?}"))
}

async fn the_core_api_has_version_v1(world: World) {
    let versions = world.get("/api").await.is(200);
    versions.has(json!({"kind": "APIVersions", "versions": ["v1"]}));
}

async fn the_groups_are_listed_with_their_preferred_versions(world: World) {
    let groups = world.get("/apis").await.is(200);
    groups.has(json!({"kind": "APIGroupList", "apiVersion": "v1"}));
    for (group, version) in [
        ("apps", "v1"),
        ("batch", "v1"),
        ("autoscaling", "v2"),
        ("policy", "v1"),
        ("networking.k8s.io", "v1"),
        ("rbac.authorization.k8s.io", "v1"),
        ("coordination.k8s.io", "v1"),
        ("discovery.k8s.io", "v1"),
        ("events.k8s.io", "v1"),
        ("apiextensions.k8s.io", "v1"),
        ("authentication.k8s.io", "v1"),
        ("authorization.k8s.io", "v1"),
    ] {
        let group_version = format!("{group}/{version}");
        named(groups.list("/groups"), group).has(json!({
            "preferredVersion": {"groupVersion": group_version, "version": version},
        }));
    }
}

async fn a_group_tells_its_versions(world: World) {
    world.get("/apis/apps").await.is(200).has(json!({
        "kind": "APIGroup",
        "apiVersion": "v1",
        "name": "apps",
        "versions": [{"groupVersion": "apps/v1", "version": "v1"}],
        "preferredVersion": {"groupVersion": "apps/v1", "version": "v1"},
    }));
}

async fn core_resources_tell_verbs_scope_and_short_names(world: World) {
    let list = world.get("/api/v1").await.is(200);
    list.has(json!({"kind": "APIResourceList", "groupVersion": "v1"}));
    let verbs = [
        "create",
        "delete",
        "deletecollection",
        "get",
        "list",
        "patch",
        "update",
        "watch",
    ];
    named(list.list("/resources"), "pods").has(json!({
        "name": "pods", "singularName": "pod", "namespaced": true, "kind": "Pod",
        "verbs": verbs, "shortNames": ["po"], "categories": ["all"],
    }));
    named(list.list("/resources"), "nodes").has(json!({
        "singularName": "node", "namespaced": false, "kind": "Node", "shortNames": ["no"],
    }));
    named(list.list("/resources"), "configmaps").has(json!({
        "kind": "ConfigMap", "shortNames": ["cm"], "verbs": verbs, "categories": null,
    }));
    // A namespace is never deleted by collection.
    named(list.list("/resources"), "namespaces").has(json!({
        "verbs": ["create", "delete", "get", "list", "patch", "update", "watch"],
    }));
}

async fn subresources_are_listed_beside_their_resources(world: World) {
    let list = world.get("/api/v1").await.is(200);
    named(list.list("/resources"), "pods/status").has(json!({
        "singularName": "", "namespaced": true, "kind": "Pod", "verbs": ["get", "patch", "update"],
    }));
    named(list.list("/resources"), "serviceaccounts/token").has(json!({
        "group": "authentication.k8s.io", "version": "v1", "kind": "TokenRequest",
        "verbs": ["create"],
    }));
    named(list.list("/resources"), "pods/eviction").has(json!({
        "group": "policy", "version": "v1", "kind": "Eviction", "verbs": ["create"],
    }));
    named(list.list("/resources"), "namespaces/finalize").has(json!({"verbs": ["update"]}));
}

async fn scale_is_listed_with_the_kind_of_another_group(world: World) {
    let list = world.get("/apis/apps/v1").await.is(200);
    named(list.list("/resources"), "deployments/scale").has(json!({
        "group": "autoscaling", "version": "v1", "kind": "Scale", "namespaced": true,
        "verbs": ["get", "patch", "update"],
    }));
}

async fn aggregated_discovery_lists_groups_versions_and_resources_at_once(world: World) {
    let answer = world.get("/apis").accept(AGGREGATED).await;
    assert_eq!(answer.header("Content-Type"), AGGREGATED);
    let list = answer.is(200);
    list.has(json!({"kind": "APIGroupDiscoveryList", "apiVersion": "apidiscovery.k8s.io/v2"}));
    let apps = named(list.list("/items"), "apps");
    let version = &apps["versions"][0];
    version.has(json!({"version": "v1", "freshness": "Current"}));
    let deployments = named(version.list("/resources"), "deployments");
    deployments.has(json!({
        "responseKind": {"group": "", "version": "", "kind": "Deployment"},
        "scope": "Namespaced", "singularResource": "deployment",
        "verbs": ["create", "delete", "deletecollection", "get", "list", "patch", "update", "watch"],
        "shortNames": ["deploy"], "categories": ["all"],
    }));
    let subresources: Vec<&str> = deployments
        .list("/subresources")
        .iter()
        .map(|sub| sub.text("/subresource"))
        .collect();
    assert_eq!(subresources, ["scale", "status"]);
    deployments["subresources"][0].has(json!({
        "responseKind": {"group": "autoscaling", "version": "v1", "kind": "Scale"},
        "verbs": ["get", "patch", "update"],
    }));
}

async fn aggregated_discovery_of_the_core_api_has_one_nameless_group(world: World) {
    let list = world.get("/api").accept(AGGREGATED).await.is(200);
    assert_eq!(list.list("/items").len(), 1);
    list["items"][0].has(json!({"metadata": {"name": null}}));
    let version = &list["items"][0]["versions"][0];
    assert_eq!(version["version"], "v1");
    named(version.list("/resources"), "namespaces").has(json!({"scope": "Cluster"}));
}

async fn a_group_that_is_not_there_is_a_plain_404(world: World) {
    let answer = world.get("/apis/nosuch.example.com").await;
    assert_eq!(
        (answer.status, answer.text().trim()),
        (404, "404 page not found")
    );
}

async fn a_resource_that_is_not_there_is_not_found(world: World) {
    world.get("apps/v1:gadgets").await.refused(
        404,
        "NotFound",
        "the server could not find the requested resource",
    );
}

async fn a_method_that_a_path_does_not_take_is_not_allowed(world: World) {
    let message = "the server does not allow this method on the requested resource";
    world
        .post("configmaps/a", &json!({}))
        .await
        .refused(405, "MethodNotAllowed", message);
    world
        .put("configmaps", &json!({}))
        .await
        .refused(405, "MethodNotAllowed", message);
}

async fn the_version_has_major_minor_and_git_version(world: World) {
    let version = world.get("/version").await.is(200);
    assert_eq!(version.text("/major"), "1");
    assert!(
        version
            .text("/minor")
            .trim_end_matches('+')
            .parse::<u32>()
            .unwrap()
            >= 27
    );
    // A build that nobody stamped says so.
    let git_version = version.text("/gitVersion");
    let is_named = ["v1.", "v0.0.0-master"].map(|start| git_version.starts_with(start));
    assert!(is_named.contains(&true), "{version}");
    assert!(!version.text("/platform").is_empty(), "{version}");
}

async fn health_answers_ok_in_plain_text(world: World) {
    for path in ["/healthz", "/livez", "/readyz"] {
        let answer = world.get(path).await;
        assert_eq!(
            (answer.status, answer.text().as_str()),
            (200, "ok"),
            "{path}"
        );
        assert_eq!(answer.header("Content-Type"), "text/plain; charset=utf-8");
    }
}

async fn open_api_v3_names_a_document_per_group_version(world: World) {
    let index = world.get("/openapi/v3").await.is(200);
    for path in ["api/v1", "apis/apps/v1", "apis/apiextensions.k8s.io/v1"] {
        let url = index["paths"][path].text("/serverRelativeURL");
        assert!(
            url.starts_with(&format!("/openapi/v3/{path}?hash=")),
            "{path}: {url}"
        );
        let document = world.get(url).await.is(200);
        assert!(document.text("/openapi").starts_with("3.0"), "{path}");
    }
}

async fn open_api_v3_describes_kinds_with_group_version_kind_and_merge_keys(world: World) {
    let document = world.get("/openapi/v3/apis/apps/v1").await.is(200);
    let schemas = &document["components"]["schemas"];
    schemas["io.k8s.api.apps.v1.Deployment"].has(json!({
        "type": "object",
        "x-kubernetes-group-version-kind": [
            {"group": "apps", "version": "v1", "kind": "Deployment"},
        ],
    }));
    schemas["io.k8s.api.core.v1.PodSpec"]["properties"]["containers"].has(json!({
        "type": "array",
        "x-kubernetes-list-map-keys": ["name"],
        "x-kubernetes-list-type": "map",
        "x-kubernetes-patch-merge-key": "name",
        "x-kubernetes-patch-strategy": "merge",
    }));
    for (name, alternatives) in [
        ("api.resource.Quantity", ["string", "number"]),
        ("util.intstr.IntOrString", ["integer", "string"]),
    ] {
        let alternatives = alternatives.map(|kind| json!({"type": kind}));
        schemas[format!("io.k8s.apimachinery.pkg.{name}")].has(json!({"oneOf": alternatives}));
    }
    let path = "/apis/apps/v1/namespaces/{namespace}/deployments";
    document["paths"][path]["post"].has(json!({
        "x-kubernetes-action": "post",
        "x-kubernetes-group-version-kind":
            {"group": "apps", "version": "v1", "kind": "Deployment"},
    }));
}

async fn open_api_v2_defines_the_kinds(world: World) {
    let document = world.get("/openapi/v2").await.is(200);
    assert_eq!(document["swagger"], "2.0");
    document["definitions"]["io.k8s.api.core.v1.ConfigMap"].has(json!({
        "type": "object",
        "x-kubernetes-group-version-kind": [{"group": "", "version": "v1", "kind": "ConfigMap"}],
    }));
}

async fn a_custom_resource_appears_in_discovery(world: World) {
    let group = world.group.clone();
    world.define(&widgets(&group)).await;
    world
        .get(&format!("/apis/{group}"))
        .await
        .is(200)
        .has(json!({
            "kind": "APIGroup",
            "name": group,
            "preferredVersion": {"groupVersion": format!("{group}/v1"), "version": "v1"},
        }));
    let list = world.get(&format!("/apis/{group}/v1")).await.is(200);
    named(list.list("/resources"), "widgets").has(json!({
        "singularName": "widget", "namespaced": true, "kind": "Widget",
        "verbs": ["delete", "deletecollection", "get", "list", "patch", "create", "update", "watch"],
    }));
    named(list.list("/resources"), "widgets/status")
        .has(json!({"kind": "Widget", "verbs": ["get", "patch", "update"]}));
    let groups = world.get("/apis").accept(AGGREGATED).await.is(200);
    let item = named(groups.list("/items"), &group);
    named(item.list("/versions/0/resources"), "widgets").has(json!({
        "responseKind": {"group": group, "version": "v1", "kind": "Widget"}, "scope": "Namespaced",
    }));
}

async fn a_custom_resource_appears_in_open_api_v3(world: World) {
    let group = world.group.clone();
    world.define(&widgets(&group)).await;
    let document = world.until_described("widgets").await;
    let schemas = document["components"]["schemas"].as_object().unwrap();
    let kind = json!([{"group": group, "version": "v1", "kind": "Widget"}]);
    let mut widgets = schemas
        .values()
        .filter(|schema| schema["x-kubernetes-group-version-kind"] == kind);
    let schema = widgets.next().expect("the kind is described");
    assert_eq!(
        schema["properties"]["spec"]["properties"]["size"]["type"],
        "integer"
    );
    assert!(schema["properties"]["metadata"].is_object());
}
