//! Custom kinds, from their CustomResourceDefinition.

use super::Kind;
use super::hooks;
use super::openapi;
use crate::go;
use crate::resource::{
    Cell, Column, Origin, Resource, ScalePaths, Scope, Shapes, Subresource, Verb,
};
use crate::schema::{Rules, Schema, Shape, Unknown, from_open_api};
use crate::status::Cause;
use serde_json::{Value, json};
use std::sync::{Arc, OnceLock};

/// What can be done with custom objects, in the order in which the real server tells it.
const VERBS: [Verb; 8] = [
    Verb::Delete,
    Verb::DeleteCollection,
    Verb::Get,
    Verb::List,
    Verb::Patch,
    Verb::Create,
    Verb::Update,
    Verb::Watch,
];

/// The kinds of all served versions of a valid CustomResourceDefinition.
pub fn custom_kinds(definition: &Value) -> Vec<Arc<Kind>> {
    let versions = definition["spec"]["versions"].as_array();
    let versions: Vec<(&Value, Arc<Schema>)> = versions
        .into_iter()
        .flatten()
        .map(|version| {
            (
                version,
                Arc::new(root(&version["schema"]["openAPIV3Schema"])),
            )
        })
        .collect();
    let stored = versions
        .iter()
        .find(|(version, _)| version["storage"] == true);
    let served = versions
        .iter()
        .filter(|(version, _)| version["served"] == true);
    served
        .map(|(version, own)| {
            let shapes = Shapes {
                own: Arc::clone(own),
                stored: Arc::clone(stored.map_or(own, |(_, stored)| stored)),
            };
            Arc::new(custom_kind(definition, version, shapes))
        })
        .collect()
}

fn custom_kind(definition: &Value, version: &Value, shapes: Shapes) -> Kind {
    let open_api = &version["schema"]["openAPIV3Schema"];
    let schema = Arc::clone(&shapes.own);
    let rules = Rules::compile(open_api, &schema);
    let made = OnceLock::new();
    made.set(schema).expect("a fresh cell is empty");
    let selectable = version["selectableFields"].as_array().into_iter().flatten();
    let path = |field: &Value| {
        field["jsonPath"]
            .as_str()
            .map(|p| p.trim_start_matches('.').to_owned())
    };
    Kind {
        resource: Arc::new(resource(definition, version, shapes)),
        extra_subresources: Vec::new(),
        hooks: &hooks::CUSTOM,
        schema: made,
        rules,
        selectable: selectable.filter_map(path).collect(),
        open_api: Some(open_api.clone()),
    }
}

/// The schema of the whole object: `metadata` is the server's, whatever the definition says.
fn root(open_api: &Value) -> Schema {
    let mut schema = from_open_api(open_api);
    schema.shape = Shape::Object;
    if open_api.is_null() {
        schema.unknown = Unknown::Keep;
    }
    let mut meta = (*embedded_meta()).clone();
    if let Some(told) = schema.properties.get("metadata") {
        meta.properties.extend(
            told.properties
                .iter()
                .filter_map(|(name, property)| {
                    let mut limited = (*meta.properties.get(name)?.as_ref()).clone();
                    limited.checks.clone_from(&property.checks);
                    Some((name.clone(), Arc::new(limited)))
                })
                .collect::<Vec<_>>(),
        );
    }
    let text = || Arc::new(Schema::scalar(Shape::String));
    schema.properties.insert("apiVersion".to_owned(), text());
    schema.properties.insert("kind".to_owned(), text());
    schema
        .properties
        .insert("metadata".to_owned(), Arc::new(meta));
    schema
}

/// The schema of `metadata` in custom and embedded objects.
pub(crate) fn embedded_meta() -> Arc<Schema> {
    openapi::object_meta()
}

fn resource(definition: &Value, version: &Value, shapes: Shapes) -> Resource {
    let spec = &definition["spec"];
    let names = &spec["names"];
    let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
    let texts = |value: &Value| -> Vec<String> {
        value.as_array().into_iter().flatten().map(text).collect()
    };
    let or = |name: String, fallback: String| if name.is_empty() { fallback } else { name };
    let kind = text(&names["kind"]);
    let subresources = &version["subresources"];
    let is_served = subresources["status"].is_object();
    let is_namespaced = spec["scope"] == "Namespaced";
    let scale = &subresources["scale"];
    Resource {
        group: text(&spec["group"]),
        version: text(&version["name"]),
        list_kind: or(text(&names["listKind"]), format!("{kind}List")),
        plural: text(&names["plural"]),
        singular: or(text(&names["singular"]), kind.to_lowercase()),
        kind,
        scope: if is_namespaced {
            Scope::Namespaced
        } else {
            Scope::Cluster
        },
        short_names: texts(&names["shortNames"]),
        categories: texts(&names["categories"]),
        verbs: VERBS.to_vec(),
        status: if is_served {
            Subresource::Served
        } else {
            Subresource::Absent
        },
        scale: scale.is_object().then(|| ScalePaths {
            spec_replicas: text(&scale["specReplicasPath"]),
            status_replicas: text(&scale["statusReplicasPath"]),
            label_selector: scale["labelSelectorPath"].as_str().map(str::to_owned),
        }),
        columns: columns(&version["additionalPrinterColumns"]),
        origin: Origin::Custom {
            definition: text(&definition["metadata"]["name"]),
            stored_version: stored_version(spec),
            shapes,
            deprecation: deprecation(spec, version),
        },
    }
}

/// The version in which objects are kept.
fn stored_version(spec: &Value) -> String {
    let versions = spec["versions"].as_array().into_iter().flatten();
    let stored = versions
        .into_iter()
        .find(|version| version["storage"] == true);
    stored
        .and_then(|version| version["name"].as_str())
        .unwrap_or_default()
        .to_owned()
}

/// What clients of a deprecated version are warned with.
fn deprecation(spec: &Value, version: &Value) -> Option<String> {
    if version["deprecated"] != true {
        return None;
    }
    let told = version["deprecationWarning"].as_str().map(str::to_owned);
    let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
    Some(told.unwrap_or_else(|| {
        let (group, version) = (text(&spec["group"]), text(&version["name"]));
        format!(
            "{group}/{version} {} is deprecated",
            text(&spec["names"]["kind"])
        )
    }))
}

fn columns(given: &Value) -> Vec<Column> {
    let age = json!([{ "name": "Age", "type": "date", "jsonPath": ".metadata.creationTimestamp" }]);
    let given = match given.as_array() {
        Some(list) if !list.is_empty() => given,
        _ => &age,
    };
    let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
    let column = |value: &Value| {
        let description = match value["description"].as_str() {
            Some(told) => told.to_owned(),
            None if value["jsonPath"] == ".metadata.creationTimestamp" => {
                crate::table::CREATION_TIMESTAMP.to_owned()
            }
            None => {
                format!(
                    "Custom resource definition column (in JSONPath format): {}",
                    text(&value["jsonPath"])
                )
            }
        };
        Column {
            name: text(&value["name"]),
            kind: text(&value["type"]),
            format: text(&value["format"]),
            description,
            priority: value["priority"].as_i64().unwrap_or(0),
            cell: Cell::Path(text(&value["jsonPath"])),
        }
    };
    given.as_array().into_iter().flatten().map(column).collect()
}

/// Decodes the metadata of a custom object as that of every other; unknown fields are returned as
/// `unknown field "metadata.foo"`.
pub(super) fn decode_metadata(object: &mut Value) -> Result<Vec<String>, String> {
    let Some(meta) = object.get_mut("metadata").filter(|meta| meta.is_object()) else {
        return Ok(Vec::new());
    };
    let unknown = crate::schema::decode(&embedded_meta(), meta)?;
    let named = |problem: String| problem.replacen("field \"", "field \"metadata.", 1);
    Ok(unknown.into_iter().map(named).collect())
}

/// What is wrong with the numbers that the scale subresource reads.
pub(super) fn scale_faults(resource: &Resource, object: &Value) -> Vec<Cause> {
    let Some(scale) = &resource.scale else {
        return Vec::new();
    };
    let mut faults = Vec::new();
    for path in [&scale.spec_replicas, &scale.status_replicas] {
        let mut value = object;
        let steps: Vec<&str> = path.trim_start_matches('.').split('.').collect();
        for (index, step) in steps.iter().enumerate() {
            if !value.is_object() {
                faults.push(scale_fault(path, value, "map[string]interface{}"));
                break;
            }
            let Some(next) = value.get(step) else { break };
            value = next;
            let is_last = index + 1 == steps.len();
            if is_last && value.as_i64().is_none() {
                faults.push(scale_fault(path, value, "int64"));
            }
        }
    }
    faults
}

fn scale_fault(path: &str, found: &Value, expected: &str) -> Cause {
    let kind = go::type_of(found);
    let shown = match found {
        Value::String(text) => text.clone(),
        other => other.to_string(),
    };
    let why = format!("{path} accessor error: {shown} is of the type {kind}, expected {expected}");
    Cause::invalid(path, &json!(0), &why)
}
