//! OpenAPI v2: paths with their operations, for clients that read verbs and kinds there.

use std::collections::BTreeSet;

use serde_json::{Value, json};

use crate::answer::Look;
use crate::manifests::custom;
use crate::world::World;

cases! { ApiServer:
    open_api_v2_tells_what_is_done_at_a_path,
    open_api_v2_tells_kinds_of_subresources,
    open_api_v2_tells_where_clients_may_try_and_validate,
    open_api_v2_tells_groups_and_versions,
    open_api_v2_refers_to_what_it_has,
    open_api_v2_has_an_id_for_each_operation_once,
    open_api_v2_tells_paths_of_custom_kinds,
    open_api_v2_is_offered_in_protobuf,
}

const DEPLOYMENTS: &str = "/apis/apps/v1/namespaces/{namespace}/deployments";

async fn document(world: &World) -> Value {
    world.get("/openapi/v2").await.is(200)
}

/// The schema of an answer.
fn answered<'a>(operation: &'a Value, code: &str) -> &'a str {
    operation["responses"][code].text("/schema/$ref")
}

/// Operations on Deployments: below which path, method, action, id without `AppsV1`, and what 200
/// answers. `ALL` stands for all namespaces, `[]` for one.
const OPERATIONS: &str = "
    ALL          get    list             list|DeploymentForAllNamespaces        DeploymentList
    []           get    list             list|NamespacedDeployment              DeploymentList
    []           post   post             create|NamespacedDeployment            Deployment
    []           delete deletecollection delete|CollectionNamespacedDeployment  Status
    []/{name}    get    get              read|NamespacedDeployment              Deployment
    []/{name}    put    put              replace|NamespacedDeployment           Deployment
    []/{name}    patch  patch            patch|NamespacedDeployment             Deployment
    []/{name}    delete delete           delete|NamespacedDeployment            Status
    []/{name}/status get   get           read|NamespacedDeploymentStatus        Deployment
    []/{name}/status put   put           replace|NamespacedDeploymentStatus     Deployment
    []/{name}/status patch patch         patch|NamespacedDeploymentStatus       Deployment
";

async fn open_api_v2_tells_what_is_done_at_a_path(world: World) {
    let document = document(&world).await;
    let paths = &document["paths"];
    for line in OPERATIONS.trim().lines() {
        let words: Vec<&str> = line.split_whitespace().collect();
        let [path, method, action, id, of] = words[..] else {
            panic!("{line}");
        };
        let path = path
            .replace("ALL", "/apis/apps/v1/deployments")
            .replace("[]", DEPLOYMENTS);
        let operation = &paths[&path][method];
        operation.has(json!({
            "x-kubernetes-action": action, "operationId": id.replace('|', "AppsV1"),
            "schemes": ["https"], "tags": ["apps_v1"],
            "x-kubernetes-group-version-kind":
                {"group": "apps", "kind": "Deployment", "version": "v1"},
        }));
        let of = match of {
            "Status" => "io.k8s.apimachinery.pkg.apis.meta.v1.Status".to_owned(),
            of => format!("io.k8s.api.apps.v1.{of}"),
        };
        let found = answered(operation, "200");
        assert_eq!(found, format!("#/definitions/{of}"), "{line}");
        let refused = &operation["responses"]["401"];
        assert_eq!(refused["description"], "Unauthorized", "{line}");
    }
    let node = &paths["/api/v1/nodes/{name}"]["get"];
    node.has(json!({"operationId": "readCoreV1Node", "description": "read the specified Node"}));
    let reviews = "/apis/authorization.k8s.io/v1/selfsubjectaccessreviews";
    paths[reviews]["post"].has(json!({
        "operationId": "createAuthorizationV1SelfSubjectAccessReview", "tags": ["authorization_v1"],
    }));
    assert_eq!(paths[reviews]["get"], Value::Null);
}

async fn open_api_v2_tells_kinds_of_subresources(world: World) {
    let document = document(&world).await;
    let check = |path: &str, method: &str, id: &str, [group, version, kind]: [&str; 3]| {
        document["paths"][path][method].has(json!({
            "operationId": id,
            "x-kubernetes-group-version-kind": {"group": group, "version": version, "kind": kind},
        }));
    };
    let scale = format!("{DEPLOYMENTS}/{{name}}/scale");
    let kind = ["autoscaling", "v1", "Scale"];
    check(
        &scale,
        "patch",
        "patchAppsV1NamespacedDeploymentScale",
        kind,
    );
    let pods = "/api/v1/namespaces/{namespace}/pods/{name}";
    let kind = ["policy", "v1", "Eviction"];
    check(
        &format!("{pods}/eviction"),
        "post",
        "createCoreV1NamespacedPodEviction",
        kind,
    );
    let kind = ["", "v1", "Binding"];
    check(
        &format!("{pods}/binding"),
        "post",
        "createCoreV1NamespacedPodBinding",
        kind,
    );
    let kind = ["authentication.k8s.io", "v1", "TokenRequest"];
    let token = "/api/v1/namespaces/{namespace}/serviceaccounts/{name}/token";
    check(
        token,
        "post",
        "createCoreV1NamespacedServiceAccountToken",
        kind,
    );
    let finalize = "/api/v1/namespaces/{name}/finalize";
    check(
        finalize,
        "put",
        "replaceCoreV1NamespaceFinalize",
        ["", "v1", "Namespace"],
    );
}

/// The parameters that an operation has with their names, without following references.
fn named(operation: &Value) -> BTreeSet<&str> {
    let parameters = operation.list("/parameters").iter();
    parameters
        .filter_map(|parameter| parameter["name"].as_str())
        .collect()
}

async fn open_api_v2_tells_where_clients_may_try_and_validate(world: World) {
    let document = document(&world).await;
    let item = &document["paths"][format!("{DEPLOYMENTS}/{{name}}")];
    assert_eq!(named(&item["patch"]), ["dryRun", "fieldValidation"].into());
    assert_eq!(
        named(&item["put"]),
        ["body", "dryRun", "fieldValidation"].into()
    );
    assert_eq!(named(&item["delete"]), ["dryRun"].into());
    assert_eq!(
        item["patch"]["consumes"],
        json!([
            "application/json-patch+json",
            "application/merge-patch+json",
            "application/strategic-merge-patch+json",
            "application/apply-patch+yaml",
        ])
    );
    let shared = item["patch"].list("/parameters").iter();
    let shared: BTreeSet<&str> = shared
        .filter_map(|parameter| parameter["$ref"].as_str()?.strip_prefix("#/parameters/"))
        .map(|key| document["parameters"][key].text("/name"))
        .collect();
    assert_eq!(shared, ["body", "fieldManager", "force"].into());
}

async fn open_api_v2_tells_groups_and_versions(world: World) {
    let document = document(&world).await;
    for (path, id, of) in [
        ("/api/", "getCoreAPIVersions", "APIVersions"),
        ("/apis/", "getAPIVersions", "APIGroupList"),
        ("/api/v1/", "getCoreV1APIResources", "APIResourceList"),
        ("/apis/apps/", "getAppsAPIGroup", "APIGroup"),
        ("/apis/apps/v1/", "getAppsV1APIResources", "APIResourceList"),
        (
            "/apis/rbac.authorization.k8s.io/v1/",
            "getRbacAuthorizationV1APIResources",
            "APIResourceList",
        ),
    ] {
        let operation = &document["paths"][path]["get"];
        assert_eq!(operation["operationId"], id, "{path}");
        let of = format!("#/definitions/io.k8s.apimachinery.pkg.apis.meta.v1.{of}");
        assert_eq!(answered(operation, "200"), of, "{path}");
    }
}

fn references<'a>(value: &'a Value, found: &mut BTreeSet<&'a str>) {
    match value {
        Value::Object(fields) => {
            found.extend(fields.get("$ref").and_then(Value::as_str));
            fields.values().for_each(|value| references(value, found));
        }
        Value::Array(elements) => elements.iter().for_each(|value| references(value, found)),
        _ => {}
    }
}

async fn open_api_v2_refers_to_what_it_has(world: World) {
    let document = document(&world).await;
    let mut found = BTreeSet::new();
    references(&document, &mut found);
    assert!(found.len() > 100, "{}", found.len());
    for reference in found {
        let pointer = reference.trim_start_matches('#');
        assert!(document.pointer(pointer).is_some(), "{reference}");
    }
}

fn operations(document: &Value) -> Vec<&Value> {
    let paths = document["paths"].as_object().into_iter().flatten();
    let items = paths.flat_map(|(_, item)| item.as_object().into_iter().flatten());
    items
        .filter(|(key, _)| *key != "parameters")
        .map(|(_, value)| value)
        .collect()
}

async fn open_api_v2_has_an_id_for_each_operation_once(world: World) {
    let document = document(&world).await;
    let mut known = BTreeSet::new();
    let operations = operations(&document);
    assert!(operations.len() > 200, "{}", operations.len());
    for operation in operations {
        let id = operation.text("/operationId");
        assert!(known.insert(id), "{id} twice");
    }
}

async fn open_api_v2_tells_paths_of_custom_kinds(world: World) {
    let group = &world.group;
    let properties =
        json!({"spec": {"type": "object", "properties": {"size": {"type": "integer"}}}});
    world.define(&custom(group, properties)).await;
    let path = format!("/apis/{group}/v1/namespaces/{{namespace}}/widgets/{{name}}");
    let document = world
        .until_answer("/openapi/v2", |document| {
            document["paths"][&path].is_object()
        })
        .await;
    let item = &document["paths"][&path];
    item["patch"].has(json!({
        "x-kubernetes-action": "patch", "description": "partially update the specified Widget",
        "consumes": [
            "application/json-patch+json", "application/merge-patch+json",
            "application/apply-patch+yaml",
        ],
        "x-kubernetes-group-version-kind": {"group": group, "version": "v1", "kind": "Widget"},
    }));
    assert_eq!(named(&item["patch"]), ["dryRun", "fieldValidation"].into());
    let words: Vec<&str> = group.split('.').rev().collect();
    let definition = format!("{}.v1.Widget", words.join("."));
    let reference = format!("#/definitions/{definition}");
    assert_eq!(answered(&item["get"], "200"), reference);
    assert_eq!(
        document["definitions"][&definition]["properties"]["spec"]["properties"]["size"]["type"],
        "integer"
    );
    let list = &document["paths"][format!("/apis/{group}/v1/widgets")]["get"];
    list.has(json!({"x-kubernetes-action": "list", "description": "list objects of kind Widget"}));
}

/// The fields of a protobuf message that have a length: number and bytes.
fn fields(mut bytes: &[u8]) -> Vec<(u64, &[u8])> {
    fn varint(bytes: &mut &[u8]) -> u64 {
        let (mut number, mut shift) = (0, 0);
        loop {
            let (byte, rest) = bytes.split_first().unwrap();
            *bytes = rest;
            number |= u64::from(byte & 0x7f) << shift;
            shift += 7;
            if byte & 0x80 == 0 {
                return number;
            }
        }
    }
    let mut found = Vec::new();
    while !bytes.is_empty() {
        let tag = varint(&mut bytes);
        match tag & 7 {
            0 => drop(varint(&mut bytes)),
            1 => bytes = &bytes[8..],
            2 => {
                let length = usize::try_from(varint(&mut bytes)).unwrap();
                let (field, rest) = bytes.split_at(length);
                found.push((tag >> 3, field));
                bytes = rest;
            }
            other => panic!("wire type {other}"),
        }
    }
    found
}

fn all(bytes: &[u8], number: u64) -> Vec<&[u8]> {
    let fields = fields(bytes).into_iter();
    fields
        .filter(|(found, _)| *found == number)
        .map(|(_, field)| field)
        .collect()
}

async fn open_api_v2_is_offered_in_protobuf(world: World) {
    const MEDIA_TYPE: &str = "application/com.github.proto-openapi.spec.v2.v1.0+protobuf";
    let asked = "application/com.github.proto-openapi.spec.v2@v1.0+protobuf";
    let answer = world.get("/openapi/v2").accept(asked).await;
    assert_eq!(answer.status, 200);
    assert_eq!(answer.header("content-type"), MEDIA_TYPE);
    // Document.paths, Paths.path: NamedPathItem.
    let paths = all(&answer.bytes, 8)[0];
    let item = all(paths, 2).into_iter().find(|named| {
        let name = all(named, 1)[0];
        name == format!("{DEPLOYMENTS}/{{name}}").as_bytes()
    });
    let item = all(item.unwrap(), 2)[0];
    // PathItem.patch: Operation.
    let patch = all(item, 8)[0];
    assert_eq!(all(patch, 5)[0], b"patchAppsV1NamespacedDeployment");
    let extensions: BTreeSet<&[u8]> = all(patch, 13)
        .into_iter()
        .map(|named| all(named, 1)[0])
        .collect();
    let expected: [&[u8]; 2] = [b"x-kubernetes-action", b"x-kubernetes-group-version-kind"];
    assert_eq!(extensions, expected.into());
    // ParametersItem.parameter.non_body_parameter.query_parameter_sub_schema.name, where older
    // clients look for what they may ask for.
    let mut names = BTreeSet::new();
    for parameter in all(patch, 8) {
        for query in all(parameter, 1)
            .into_iter()
            .flat_map(|parameter| all(parameter, 2))
            .flat_map(|other| all(other, 3))
        {
            names.insert(all(query, 4)[0]);
        }
    }
    let expected: [&[u8]; 2] = [b"dryRun", b"fieldValidation"];
    assert_eq!(names, expected.into());
}
