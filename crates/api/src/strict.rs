//! What a schema lets pass and drops without a word: fields that do not exist.
//!
//! An API server prunes unknown fields unless it is asked to be strict, so a misspelt field is
//! lost. A file is checked before it goes there, against the very schemas that are installed.

use crate::Error;
use k8s_openapi::apiextensions_apiserver::pkg::apis::apiextensions::v1::CustomResourceDefinition;
use serde_json::{Map, Value};
use std::collections::BTreeMap;
use std::sync::OnceLock;

/// Fields of every object.
const OBJECT: &[&str] = &["apiVersion", "kind", "metadata", "spec", "status"];
/// Fields of ObjectMeta.
const METADATA: &[&str] = &[
    "annotations",
    "creationTimestamp",
    "deletionGracePeriodSeconds",
    "deletionTimestamp",
    "finalizers",
    "generateName",
    "generation",
    "labels",
    "managedFields",
    "name",
    "namespace",
    "ownerReferences",
    "resourceVersion",
    "selfLink",
    "uid",
];

/// Checks the fields of an object as it was written: their names for every kind, and for the kinds
/// of [`crate::crds`] their types too. What is missing is not its business.
///
/// # Errors
/// The first [`Error`], with the path of the field.
pub fn check_fields(object: &Value) -> Result<(), Error> {
    let fields = object
        .as_object()
        .ok_or_else(|| Error::invalid("", wrong("object", object)))?;
    known(fields, "", OBJECT.iter().copied())?;
    if let Some(metadata) = fields.get("metadata") {
        check_metadata(metadata)?;
    }
    let text = |name: &str| object[name].as_str().unwrap_or_default().to_owned();
    match schemas().get(&(text("apiVersion"), text("kind"))) {
        Some(schema) => check(&object["spec"], "spec", &schema["properties"]["spec"]),
        None => Ok(()),
    }
}

fn check_metadata(metadata: &Value) -> Result<(), Error> {
    let fields = metadata
        .as_object()
        .ok_or_else(|| Error::invalid("metadata", wrong("object", metadata)))?;
    known(fields, "metadata", METADATA.iter().copied())?;
    for name in ["labels", "annotations"] {
        let values = fields.get(name).and_then(Value::as_object);
        for (key, value) in values.into_iter().flatten() {
            if !value.is_string() {
                let path = format!("metadata.{name}[{key}]");
                return Err(Error::invalid(path, wrong("string", value)));
            }
        }
    }
    Ok(())
}

/// The schemas of our kinds, by apiVersion and kind.
fn schemas() -> &'static BTreeMap<(String, String), Value> {
    static SCHEMAS: OnceLock<BTreeMap<(String, String), Value>> = OnceLock::new();
    SCHEMAS.get_or_init(|| crate::crds().iter().flat_map(schemas_of).collect())
}

fn schemas_of(crd: &CustomResourceDefinition) -> Vec<((String, String), Value)> {
    let spec = &crd.spec;
    let versions = spec.versions.iter().filter_map(|version| {
        let schema = version.schema.as_ref()?.open_api_v3_schema.as_ref()?;
        let api_version = format!("{}/{}", spec.group, version.name);
        let schema = serde_json::to_value(schema).ok()?;
        Some(((api_version, spec.names.kind.clone()), schema))
    });
    versions.collect()
}

/// Names and types, as a structural schema (KEP-1693) says them.
fn check(value: &Value, path: &str, schema: &Value) -> Result<(), Error> {
    // To the API server, null is absent.
    if value.is_null() {
        return Ok(());
    }
    let either = schema["x-kubernetes-int-or-string"] == true;
    if let (Some(wanted), false) = (schema["type"].as_str(), either)
        && !is(value, wanted)
    {
        return Err(Error::invalid(path, wrong(wanted, value)));
    }
    if let Some(allowed) = schema["enum"].as_array()
        && !allowed.contains(value)
    {
        let words: Vec<String> = allowed.iter().map(Value::to_string).collect();
        let message = format!("{value} is none of {}", words.join(", "));
        return Err(Error::invalid(path, message));
    }
    match value {
        Value::Object(fields) => check_object(fields, path, schema),
        Value::Array(items) => {
            let mut all = items.iter().enumerate();
            all.try_for_each(|(i, item)| check(item, &format!("{path}[{i}]"), &schema["items"]))
        }
        _ => Ok(()),
    }
}

fn check_object(fields: &Map<String, Value>, path: &str, schema: &Value) -> Result<(), Error> {
    let of_any_key = &schema["additionalProperties"];
    let of_any_shape = schema["x-kubernetes-preserve-unknown-fields"] == true;
    if let Some(properties) = schema["properties"].as_object()
        && of_any_key.is_null()
        && !of_any_shape
    {
        known(fields, path, properties.keys().map(String::as_str))?;
    }
    for (name, value) in fields {
        let schema = match &schema["properties"][name] {
            Value::Null => of_any_key,
            schema => schema,
        };
        check(value, &below(path, name), schema)?;
    }
    Ok(())
}

fn known<'a>(
    fields: &Map<String, Value>,
    path: &str,
    known: impl Iterator<Item = &'a str>,
) -> Result<(), Error> {
    let known: Vec<&str> = known.collect();
    match fields.keys().find(|name| !known.contains(&name.as_str())) {
        None => Ok(()),
        Some(name) => Err(Error::Unknown {
            path: below(path, name),
            known: known.join(", "),
        }),
    }
}

fn below(path: &str, name: &str) -> String {
    match path {
        "" => name.to_owned(),
        path => format!("{path}.{name}"),
    }
}

fn is(value: &Value, wanted: &str) -> bool {
    match wanted {
        "object" => value.is_object(),
        "array" => value.is_array(),
        "string" => value.is_string(),
        "boolean" => value.is_boolean(),
        "integer" => value.is_i64() || value.is_u64(),
        "number" => value.is_number(),
        _ => true,
    }
}

fn wrong(wanted: &str, found: &Value) -> String {
    let wanted = match wanted {
        "object" => "an object",
        "array" => "a list",
        "string" => "text",
        "boolean" => "true or false",
        "integer" => "a whole number",
        _ => "a number",
    };
    let found = match found {
        Value::Object(_) => "an object".to_owned(),
        Value::Array(_) => "a list".to_owned(),
        other => other.to_string(),
    };
    format!("found {found}, {wanted} is needed")
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    /// `field` is set in an object of this kind that is otherwise fine.
    fn check(kind: (&str, &str), part: Value, expected: &str) {
        let mut object = json!({"apiVersion": kind.0, "kind": kind.1,
            "metadata": {"name": "n", "namespace": "ns"}});
        for (name, value) in part.as_object().expect("an object") {
            object[name] = value.clone();
        }
        let said = check_fields(&object).map_err(|error| error.to_string());
        assert_eq!(said.err().unwrap_or_default(), expected);
    }

    const CONFIG_MAP: (&str, &str) = ("types.kubefed.io/v1beta1", "FederatedConfigMap");
    const PREFERENCE: (&str, &str) = (
        "scheduling.kubefed.io/v1alpha1",
        "ReplicaSchedulingPreference",
    );

    #[test]
    fn a_template_may_hold_anything_and_the_rest_only_what_exists() {
        let spec = json!({"spec": {"template": {"data": {"a": {"b": 1}}},
            "placement": {"clusterSelector": {"matchLabels": {"x": "y"}}}}});
        check(CONFIG_MAP, spec, "");
        check(
            CONFIG_MAP,
            json!({"spec": {"placment": {}}}),
            "spec.placment: unknown field, did you mean placement? known are overrides, \
             placement, rollout, template",
        );
        check(
            CONFIG_MAP,
            json!({"specs": {}}),
            "specs: unknown field, did you mean spec? known are apiVersion, kind, metadata, spec, \
             status",
        );
    }

    #[test]
    fn metadata_is_checked_too() {
        check(
            CONFIG_MAP,
            json!({"metadata": {"name": "n", "lables": {}}}),
            &format!(
                "metadata.lables: unknown field, did you mean labels? known are {}",
                METADATA.join(", ")
            ),
        );
        check(
            CONFIG_MAP,
            json!({"metadata": {"name": "n", "annotations": {"a": true}}}),
            "metadata.annotations[a]: found true, text is needed",
        );
    }

    #[test]
    fn types_of_other_kinds_of_ours_are_checked() {
        let ours = json!({"spec": {"targetKind": "FederatedDeployment", "totalReplicas": 3,
            "clusters": {"*": {"weight": 1}}}});
        check(PREFERENCE, ours, "");
        check(
            PREFERENCE,
            json!({"spec": {"totalReplicas": "nine"}}),
            "spec.totalReplicas: found \"nine\", a whole number is needed",
        );
        check(
            PREFERENCE,
            json!({"spec": {"clusters": {"a": {"weigth": 1}}}}),
            "spec.clusters.a.weigth: unknown field, did you mean weight? known are maxReplicas, \
             minReplicas, weight",
        );
    }

    #[test]
    fn another_kind_is_checked_as_far_as_every_object_is_alike() {
        check(("v1", "ConfigMap"), json!({"spec": {"any": 1}}), "");
    }
}
