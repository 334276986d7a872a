//! The OpenAPI v3 definitions of one group and version.

use super::Kind;
use super::openapi::all_definitions;
use crate::resource::Verb;
use serde_json::{Map, Value, json};
use std::collections::BTreeSet;
use std::sync::Arc;

/// The definitions of some kinds, of their lists, and of everything that they refer to, by name.
pub fn definitions<'a>(kinds: impl IntoIterator<Item = &'a Arc<Kind>>) -> Map<String, Value> {
    const META: &str = "io.k8s.apimachinery.pkg.apis.meta.v1.";
    let mut wanted: BTreeSet<String> = [
        "APIGroup",
        "APIGroupList",
        "APIResourceList",
        "APIVersions",
        "DeleteOptions",
        "ListMeta",
        "ObjectMeta",
        "Patch",
        "Status",
        "WatchEvent",
    ]
    .map(|name| format!("{META}{name}"))
    .into();
    let mut found = Map::new();
    found.insert(format!("{META}Patch"), patch());
    for kind in kinds {
        let name = kind.definition_name();
        match kind.open_api() {
            Some(open_api) => {
                found.insert(name.clone(), custom(kind, open_api));
            }
            None => {
                wanted.insert(name.clone());
            }
        }
        if kind.resource.serves(Verb::List) {
            found.insert(format!("{name}List"), list(kind, &name));
        }
    }
    for name in ["Scale", "ScaleSpec", "ScaleStatus"] {
        wanted.insert(format!("io.k8s.api.autoscaling.v1.{name}"));
    }
    // Of subresources.
    for name in [
        "authentication.v1.TokenRequest",
        "core.v1.Binding",
        "policy.v1.Eviction",
    ] {
        wanted.insert(format!("io.k8s.api.{name}"));
    }
    let all = all_definitions();
    while let Some(name) = wanted.pop_first() {
        if found.contains_key(&name) {
            continue;
        }
        let Some(definition) = all.get(&name) else {
            continue;
        };
        references(definition, &mut wanted);
        found.insert(name, definition.clone());
    }
    found
}

/// What the server says of these fields of all custom kinds.
const API_VERSION: &str = "APIVersion defines the versioned schema of this representation of an \
     object. Servers should convert recognized schemas to the latest internal value, and may \
     reject unrecognized values. More info: \
     https://git.k8s.io/community/contributors/devel/sig-architecture/api-conventions.md#resources";
const KIND: &str = "Kind is a string value representing the REST resource this object represents. \
     Servers may infer this from the endpoint the client submits requests to. Cannot be updated. \
     In CamelCase. More info: \
     https://git.k8s.io/community/contributors/devel/sig-architecture/api-conventions.md#types-kinds";

fn custom(kind: &Kind, open_api: &Value) -> Value {
    let resource = &kind.resource;
    let mut definition = match open_api {
        Value::Object(_) => open_api.clone(),
        _ => json!({ "type": "object", "x-kubernetes-preserve-unknown-fields": true }),
    };
    if definition["properties"].is_null() {
        definition["properties"] = json!({});
    }
    for (name, description) in [("apiVersion", API_VERSION), ("kind", KIND)] {
        definition["properties"][name] = json!({ "description": description, "type": "string" });
    }
    let meta = "#/components/schemas/io.k8s.apimachinery.pkg.apis.meta.v1.ObjectMeta";
    definition["properties"]["metadata"] = json!({
        "description": "Standard object's metadata. More info: https://git.k8s.io/community/contributors/devel/sig-architecture/api-conventions.md#metadata",
        "allOf": [{ "$ref": meta }],
    });
    definition["x-kubernetes-group-version-kind"] = json!([{
        "group": resource.group,
        "version": resource.version,
        "kind": resource.kind,
    }]);
    definition
}

fn list(kind: &Kind, name: &str) -> Value {
    let resource = &kind.resource;
    let meta = "#/components/schemas/io.k8s.apimachinery.pkg.apis.meta.v1.ListMeta";
    json!({
        "description": format!("{} is a list of {}", resource.list_kind, resource.kind),
        "type": "object",
        "required": ["items"],
        "properties": {
            "apiVersion": { "description": API_VERSION, "type": "string" },
            "kind": { "description": KIND, "type": "string" },
            "metadata": { "allOf": [{ "$ref": meta }] },
            "items": {
                "type": "array",
                "items": { "allOf": [{ "$ref": format!("#/components/schemas/{name}") }] },
            },
        },
        "x-kubernetes-group-version-kind": [{
            "group": resource.group,
            "version": resource.version,
            "kind": resource.list_kind,
        }],
    })
}

fn patch() -> Value {
    let description = "Patch is provided to give a concrete name and type to the Kubernetes PATCH \
                       request body.";
    json!({ "description": description, "type": "object" })
}

fn references(value: &Value, wanted: &mut BTreeSet<String>) {
    match value {
        Value::Object(fields) => {
            for (name, child) in fields {
                match child.as_str() {
                    Some(path) if name == "$ref" => {
                        wanted.extend(path.rsplit('/').next().map(str::to_owned));
                    }
                    _ => references(child, wanted),
                }
            }
        }
        Value::Array(elements) => elements.iter().for_each(|child| references(child, wanted)),
        _ => {}
    }
}
