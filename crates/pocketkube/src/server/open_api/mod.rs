//! OpenAPI v3 documents, one for each group and version, and the one of v2.

mod gnostic;
mod parameters;
mod paths;
mod second;

use super::Request;
use super::answer::Answer;
use super::discovery;
use crate::cluster::Cluster;
use crate::kinds;
use crate::registry::{Registry, split_api_version};
use crate::resource::{Resource, Verb};
use serde_json::{Map, Value, json};
use sha2::{Digest, Sha256};

/// Media types of patches that a document announces; clients look for them before they send one.
const PATCH_TYPES: [&str; 4] = [
    "application/json-patch+json",
    "application/merge-patch+json",
    "application/strategic-merge-patch+json",
    "application/apply-patch+yaml",
];

/// Answers below `/openapi/`.
pub(crate) fn answer(cluster: &Cluster, request: &Request) -> Option<Answer> {
    let rest = request
        .path
        .strip_prefix("/openapi/")?
        .trim_end_matches('/');
    let registry = cluster.registry();
    match rest {
        "v3" => Some(Answer::value(200, &index(&registry))),
        "v2" => Some(second::answer(&registry, request)),
        _ => {
            let path = rest.strip_prefix("v3/")?;
            let api_version = path
                .strip_prefix("apis/")
                .or_else(|| path.strip_prefix("api/"))?;
            let (group, version) = split_api_version(api_version);
            match registry.version(group, version).next() {
                Some(_) => Some(Answer::value(200, &document(&registry, group, version))),
                None => Some(discovery::nothing_here()),
            }
        }
    }
}

fn index(registry: &Registry) -> Value {
    let mut paths = Map::new();
    for (group, versions) in discovery::group_versions(registry) {
        for version in versions {
            let path = root(&group, &version);
            let hash = fingerprint(registry, &group, &version);
            let url = format!("/openapi/v3/{path}?hash={hash}");
            paths.insert(path, json!({"serverRelativeURL": url}));
        }
    }
    json!({"paths": paths})
}

fn root(group: &str, version: &str) -> String {
    match group {
        "" => format!("api/{version}"),
        group => format!("apis/{group}/{version}"),
    }
}

/// Changes when a document does: documents of custom kinds follow their definitions.
fn fingerprint(registry: &Registry, group: &str, version: &str) -> String {
    let mut digest = Sha256::new();
    for kind in registry.kinds(group, version) {
        digest.update(kind.resource.plural.as_bytes());
        if let Some(schema) = kind.open_api() {
            digest.update(schema.to_string().as_bytes());
        }
    }
    digest
        .finalize()
        .iter()
        .take(16)
        .map(|byte| format!("{byte:02X}"))
        .collect()
}

fn document(registry: &Registry, group: &str, version: &str) -> Value {
    let mut paths = Map::new();
    for resource in registry.version(group, version) {
        add_paths(&mut paths, registry, resource);
    }
    json!({
        "openapi": "3.0.0",
        "info": {"title": "Kubernetes", "version": crate::KUBERNETES_VERSION},
        "paths": paths,
        "components": {"schemas": kinds::definitions(registry.kinds(group, version))},
    })
}

fn add_paths(paths: &mut Map<String, Value>, registry: &Registry, resource: &Resource) {
    let root = format!("/{}", root(&resource.group, &resource.version));
    let collection = match resource.is_namespaced() {
        true => format!("{root}/namespaces/{{namespace}}/{}", resource.plural),
        false => format!("{root}/{}", resource.plural),
    };
    let Some(kind) = registry.kind(resource) else {
        return;
    };
    let definition = kind.definition_name();
    let of = |verbs: &[(Verb, &str)]| {
        let mut operations = Map::new();
        for (verb, method) in verbs {
            if resource.serves(*verb) {
                let operation = operation(resource, *verb, &definition);
                operations.insert((*method).to_owned(), operation);
            }
        }
        Value::Object(operations)
    };
    let many = [
        (Verb::List, "get"),
        (Verb::Create, "post"),
        (Verb::DeleteCollection, "delete"),
    ];
    let one = [
        (Verb::Get, "get"),
        (Verb::Update, "put"),
        (Verb::Patch, "patch"),
        (Verb::Delete, "delete"),
    ];
    if resource.is_namespaced() {
        paths.insert(
            format!("{root}/{}", resource.plural),
            of(&[(Verb::List, "get")]),
        );
    }
    paths.insert(collection.clone(), of(&many));
    paths.insert(format!("{collection}/{{name}}"), of(&one));
    if resource.serves_status() {
        let parts = [
            (Verb::Get, "get"),
            (Verb::Update, "put"),
            (Verb::Patch, "patch"),
        ];
        paths.insert(format!("{collection}/{{name}}/status"), of(&parts));
    }
}

fn operation(resource: &Resource, verb: Verb, definition: &str) -> Value {
    let action = match verb {
        Verb::Create => "post",
        Verb::Update => "put",
        other => other.as_str(),
    };
    let schema = json!({"$ref": format!("#/components/schemas/{definition}")});
    let mut operation = json!({
        "x-kubernetes-action": action,
        "x-kubernetes-group-version-kind": {
            "group": resource.group,
            "kind": resource.kind,
            "version": resource.version,
        },
        "responses": {
            "200": {
                "description": "OK",
                "content": {"application/json": {"schema": schema}},
            },
        },
    });
    let parameter = |name: &str| json!({"name": name, "in": "query", "schema": {"type": "string", "uniqueItems": true}});
    match verb {
        Verb::Create | Verb::Update | Verb::Patch => {
            let names = ["dryRun", "fieldManager", "fieldValidation"];
            operation["parameters"] = names.map(parameter).to_vec().into();
        }
        Verb::Delete | Verb::DeleteCollection => {
            operation["parameters"] = json!([parameter("dryRun")]);
        }
        _ => {}
    }
    let body = match verb {
        Verb::Create | Verb::Update => json!({"content": {"*/*": {"schema": schema}}}),
        Verb::Patch => {
            let types = PATCH_TYPES
                .iter()
                .filter(|media_type| !resource.is_custom() || !media_type.contains("strategic"));
            let content: Map<String, Value> = types
                .map(|media_type| {
                    (
                        (*media_type).to_owned(),
                        json!({"schema": {"type": "object"}}),
                    )
                })
                .collect();
            json!({"content": content})
        }
        _ => return operation,
    };
    operation["requestBody"] = body;
    operation
}
