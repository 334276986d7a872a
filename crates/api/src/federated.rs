//! Reading a Federated\<Kind> object, whose template is of any type.
//!
//! The schema refuses most of what is wrong here already; what reached the host before the schema
//! did, or a file that `meridian plan -f` reads, is refused with the same clearness.

use crate::Error;
use federation::Intent;
use serde::de::DeserializeOwned;
use serde_json::{Map, Value};

/// `spec` of a federated object, read.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct FederatedSpec {
    /// Template, placement, overrides.
    pub intent: Intent,
    /// Whether replicas are left to whoever sets them in the member.
    pub retain_replicas: bool,
}

const SPEC: &[&str] = &[
    "template",
    "placement",
    "overrides",
    "retainReplicas",
    "rollout",
];
const ROLLOUT: &[&str] = &["order", "maxClusters", "pause", "timeoutSeconds"];
const PLACEMENT: &[&str] = &["clusters", "clusterSelector"];
const SELECTOR: &[&str] = &["matchLabels", "matchExpressions"];
const REQUIREMENT: &[&str] = &["key", "operator", "values"];
const OVERRIDE: &[&str] = &["clusterName", "clusterSelector", "clusterOverrides"];
const PATCH: &[&str] = &["op", "path", "from", "value", "expand"];

/// Reads the `spec` of a federated object.
///
/// # Errors
/// The first [`Error`], with the path of the field.
pub fn read_spec(spec: &Value) -> Result<FederatedSpec, Error> {
    let fields = object(spec, "spec", SPEC)?;
    if let Some(placement) = present(fields, "placement") {
        check_placement(placement, "spec.placement")?;
    }
    if let Some(overrides) = present(fields, "overrides") {
        for (i, item) in list(overrides, "spec.overrides")?.iter().enumerate() {
            check_override(item, &format!("spec.overrides[{i}]"))?;
        }
    }
    if let Some(rollout) = present(fields, "rollout") {
        check_rollout(rollout)?;
    }
    let template = present(fields, "template").cloned();
    let template = template.unwrap_or_else(|| Value::Object(Map::new()));
    object_of_any_shape(&template, "spec.template")?;
    Ok(FederatedSpec {
        intent: Intent {
            template,
            placement: decode(present(fields, "placement"), "spec.placement")?,
            overrides: decode(present(fields, "overrides"), "spec.overrides")?,
            rollout: decode(present(fields, "rollout"), "spec.rollout")?,
        },
        retain_replicas: decode(present(fields, "retainReplicas"), "spec.retainReplicas")?,
    })
}

fn check_placement(placement: &Value, path: &str) -> Result<(), Error> {
    let fields = object(placement, path, PLACEMENT)?;
    if let Some(clusters) = present(fields, "clusters") {
        let path = format!("{path}.clusters");
        for (i, cluster) in list(clusters, &path)?.iter().enumerate() {
            let path = format!("{path}[{i}]");
            let fields = object(cluster, &path, &["name"])?;
            text(fields, "name", &path)?;
        }
    }
    match present(fields, "clusterSelector") {
        Some(selector) => check_selector(selector, &format!("{path}.clusterSelector")),
        None => Ok(()),
    }
}

fn check_rollout(rollout: &Value) -> Result<(), Error> {
    let fields = object(rollout, "spec.rollout", ROLLOUT)?;
    if let Some(order) = present(fields, "order") {
        for (i, step) in list(order, "spec.rollout.order")?.iter().enumerate() {
            check_placement(step, &format!("spec.rollout.order[{i}]"))?;
        }
    }
    if let Some(pause) = present(fields, "pause")
        && ![Some("AfterAvailable"), Some("Manual")].contains(&pause.as_str())
    {
        let message = format!("{pause} is not a pause; AfterAvailable and Manual are");
        return Err(Error::invalid("spec.rollout.pause", message));
    }
    if present(fields, "maxClusters").is_some_and(|max| max.as_u64() == Some(0)) {
        let message = "with 0 the template would go nowhere; meridian.dev/paused holds an object";
        return Err(Error::invalid("spec.rollout.maxClusters", message));
    }
    Ok(())
}

fn check_selector(selector: &Value, path: &str) -> Result<(), Error> {
    let fields = object(selector, path, SELECTOR)?;
    let Some(expressions) = present(fields, "matchExpressions") else {
        return Ok(());
    };
    let path = format!("{path}.matchExpressions");
    for (i, requirement) in list(expressions, &path)?.iter().enumerate() {
        let path = format!("{path}[{i}]");
        let fields = object(requirement, &path, REQUIREMENT)?;
        text(fields, "key", &path)?;
        let operator = text(fields, "operator", &path)?;
        if !["In", "NotIn", "Exists", "DoesNotExist"].contains(&operator) {
            let message =
                format!("{operator:?} is not an operator; In, NotIn, Exists, DoesNotExist are");
            return Err(Error::invalid(format!("{path}.operator"), message));
        }
    }
    Ok(())
}

fn check_override(item: &Value, path: &str) -> Result<(), Error> {
    let fields = object(item, path, OVERRIDE)?;
    match (
        present(fields, "clusterName"),
        present(fields, "clusterSelector"),
    ) {
        (Some(_), None) => drop(text(fields, "clusterName", path)?),
        (None, Some(selector)) => check_selector(selector, &format!("{path}.clusterSelector"))?,
        _ => {
            return Err(Error::invalid(
                path,
                "give either clusterName or clusterSelector",
            ));
        }
    }
    let Some(patches) = present(fields, "clusterOverrides") else {
        return Ok(());
    };
    let path = format!("{path}.clusterOverrides");
    for (i, patch) in list(patches, &path)?.iter().enumerate() {
        let path = format!("{path}[{i}]");
        let fields = object(patch, &path, PATCH)?;
        let pointer = text(fields, "path", &path)?;
        if !pointer.starts_with('/') {
            let message = format!("{pointer:?} does not begin with / (RFC 6901)");
            return Err(Error::invalid(format!("{path}.path"), message));
        }
        let op = present(fields, "op")
            .and_then(Value::as_str)
            .unwrap_or_default();
        if !["", "add", "remove", "replace", "move", "copy", "test"].contains(&op) {
            let message =
                format!("{op:?} is not an operation; add, remove, replace, move, copy, test are");
            return Err(Error::invalid(format!("{path}.op"), message));
        }
    }
    Ok(())
}

/// A field that is there and not null: to the API server, null is absent.
fn present<'a>(fields: &'a Map<String, Value>, name: &str) -> Option<&'a Value> {
    fields.get(name).filter(|value| !value.is_null())
}

fn object<'a>(
    value: &'a Value,
    path: &str,
    known: &[&str],
) -> Result<&'a Map<String, Value>, Error> {
    let fields = object_of_any_shape(value, path)?;
    match fields.keys().find(|name| !known.contains(&name.as_str())) {
        None => Ok(fields),
        Some(name) => Err(Error::Unknown {
            path: format!("{path}.{name}"),
            known: known.join(", "),
        }),
    }
}

fn object_of_any_shape<'a>(value: &'a Value, path: &str) -> Result<&'a Map<String, Value>, Error> {
    let found = || {
        Error::invalid(
            path,
            format!("found {}, an object is needed", name_of(value)),
        )
    };
    value.as_object().ok_or_else(found)
}

fn list<'a>(value: &'a Value, path: &str) -> Result<&'a Vec<Value>, Error> {
    let found = || Error::invalid(path, format!("found {}, a list is needed", name_of(value)));
    value.as_array().ok_or_else(found)
}

fn text<'a>(fields: &'a Map<String, Value>, name: &str, path: &str) -> Result<&'a str, Error> {
    let path = format!("{path}.{name}");
    match present(fields, name) {
        None => Err(Error::missing(path)),
        Some(Value::String(text)) if text.is_empty() => Err(Error::missing(path)),
        Some(Value::String(text)) => Ok(text),
        Some(other) => {
            let message = format!("found {}, text is needed", name_of(other));
            Err(Error::invalid(path, message))
        }
    }
}

fn decode<T: DeserializeOwned + Default>(value: Option<&Value>, path: &str) -> Result<T, Error> {
    match value {
        None => Ok(T::default()),
        Some(value) => {
            T::deserialize(value).map_err(|error| Error::invalid(path, error.to_string()))
        }
    }
}

fn name_of(value: &Value) -> &'static str {
    match value {
        Value::Null => "nothing",
        Value::Bool(_) => "true or false",
        Value::Number(_) => "a number",
        Value::String(_) => "text",
        Value::Array(_) => "a list",
        Value::Object(_) => "an object",
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn check(spec: Value, expected: &str) {
        assert_eq!(read_spec(&spec).unwrap_err().to_string(), expected);
    }

    #[test]
    fn kubefeds_sample_reads() {
        let spec = read_spec(&json!({
            "template": {"spec": {"replicas": 3}},
            "placement": {"clusters": [{"name": "cluster2"}, {"name": "cluster1"}]},
            "overrides": [{"clusterName": "cluster2", "clusterOverrides": [
                {"path": "/spec/replicas", "value": 5},
                {"path": "/metadata/annotations", "op": "add", "value": {"foo": "bar"}},
                {"path": "/metadata/annotations/foo", "op": "remove"}]}],
            "retainReplicas": true
        }))
        .unwrap();
        assert!(spec.retain_replicas);
        assert_eq!(spec.intent.placement.clusters.unwrap().len(), 2);
        assert_eq!(spec.intent.overrides[0].cluster_overrides.len(), 3);
    }

    #[test]
    fn absent_and_empty_clusters_are_told_apart() {
        let empty = read_spec(&json!({"placement": {"clusters": []}})).unwrap();
        assert_eq!(empty.intent.placement.clusters, Some(vec![]));
        let absent = read_spec(&json!({"placement": {"clusterSelector": {}}})).unwrap();
        assert_eq!(absent.intent.placement.clusters, None);
        assert!(absent.intent.placement.cluster_selector.is_some());
    }

    #[test]
    fn what_is_wrong_is_named_with_its_path_and_what_is_allowed() {
        check(
            json!({"placement": {"cluster": []}}),
            "spec.placement.cluster: unknown field, did you mean clusters? known are clusters, \
             clusterSelector",
        );
        check(
            json!({"placement": {"clusters": [{"nam": "a"}]}}),
            "spec.placement.clusters[0].nam: unknown field, did you mean name? known are name",
        );
        check(
            json!({"placement": {"clusters": [{}]}}),
            "spec.placement.clusters[0].name: required, and absent",
        );
        check(
            json!({"overrides": [{"clusterName": "a", "clusterOverrides": [{"path": "spec"}]}]}),
            "spec.overrides[0].clusterOverrides[0].path: \"spec\" does not begin with / (RFC 6901)",
        );
        check(
            json!({"overrides": [{"clusterOverrides": []}]}),
            "spec.overrides[0]: give either clusterName or clusterSelector",
        );
        check(
            json!({"template": 1}),
            "spec.template: found a number, an object is needed",
        );
        check(
            json!({"templat": {}}),
            "spec.templat: unknown field, did you mean template? known are template, placement, \
             overrides, retainReplicas, rollout",
        );
        let order = json!({"rollout": {"order": [{"clusters": [{"name": "a"}]}, {"cluster": 1}]}});
        check(
            order,
            "spec.rollout.order[1].cluster: unknown field, did you mean clusters? known are \
             clusters, clusterSelector",
        );
        check(
            json!({"rollout": {"pause": "manual"}}),
            "spec.rollout.pause: \"manual\" is not a pause; AfterAvailable and Manual are",
        );
    }
}
