//! The `scale` subresource: replicas of an object as an `autoscaling/v1` Scale.

use super::write::{Sent, inside};
use super::{Caller, Cluster, Patch, Target, WriteOptions, at_once, rules};
use crate::object::{self, Object};
use crate::resource::ScalePaths;
use crate::status::{Cause, Status};
use serde_json::{Map, Value, json};

impl Cluster {
    /// The Scale of an object.
    pub(crate) fn scale(&self, target: &Target<'_>) -> Result<Value, Status> {
        let object = self.get(target.resource, target.namespace, target.name)?;
        Ok(scale_of(target, &object))
    }

    /// Sets an object's replicas from a Scale, asking nobody.
    pub(crate) fn replace_scale(
        &self,
        caller: &Caller,
        target: &Target<'_>,
        scale: &Value,
        options: &WriteOptions,
    ) -> Result<Value, Status> {
        let options = inside(options);
        at_once(self.replace_scale_with(caller, target, scale, &options))
    }

    /// Sets an object's replicas from a Scale.
    pub(crate) async fn replace_scale_with(
        &self,
        caller: &Caller,
        target: &Target<'_>,
        scale: &Value,
        options: &WriteOptions,
    ) -> Result<Value, Status> {
        let edit = |old: &Object| scaled(target, old, scale);
        let done = self.edit(caller, target, options, edit).await?;
        Ok(scale_of(target, &done.object))
    }

    /// Patches an object's Scale.
    pub(crate) async fn patch_scale(
        &self,
        caller: &Caller,
        target: &Target<'_>,
        patch: &Patch,
        options: &WriteOptions,
    ) -> Result<Value, Status> {
        let edit = |old: &Object| {
            let scale = rules::patched_plain(&scale_of(target, old), patch)?;
            scaled(target, old, &scale)
        };
        let done = self.edit(caller, target, options, edit).await?;
        Ok(scale_of(target, &done.object))
    }
}

fn scale_of(target: &Target<'_>, object: &Value) -> Value {
    let Some(paths) = &target.resource.scale else {
        return Value::Null;
    };
    let mut metadata = Map::new();
    for field in [
        "name",
        "namespace",
        "uid",
        "resourceVersion",
        "creationTimestamp",
    ] {
        if let Some(value) = object["metadata"].get(field) {
            metadata.insert(field.to_owned(), value.clone());
        }
    }
    let mut status = json!({"replicas": number(object, &paths.status_replicas)});
    let selector = selector_text(object, paths);
    if !selector.is_empty() {
        status["selector"] = selector.into();
    }
    let mut spec = json!({});
    let replicas = number(object, &paths.spec_replicas);
    if replicas != 0 {
        spec["replicas"] = replicas.into();
    }
    json!({
        "kind": "Scale",
        "apiVersion": "autoscaling/v1",
        "metadata": metadata,
        "spec": spec,
        "status": status,
    })
}

/// The object with the replicas of a Scale, under the version that the Scale was read at.
fn scaled(target: &Target<'_>, old: &Object, scale: &Value) -> Result<Sent, Status> {
    let name = object::name(scale);
    if !name.is_empty() && name != target.name {
        let message = format!(
            "the name of the object ({name}) does not match the name on the URL ({})",
            target.name
        );
        return Err(Status::bad_request(message));
    }
    let replicas = scale["spec"]["replicas"].as_i64().unwrap_or(0);
    if replicas < 0 {
        let why = "must be greater than or equal to 0";
        let cause = Cause::invalid("spec.replicas", &replicas.into(), why);
        return Err(Status::invalid(target.resource, target.name, vec![cause]));
    }
    let mut new = old.value().clone();
    if let Some(paths) = &target.resource.scale {
        set(&mut new, &paths.spec_replicas, replicas.into());
    }
    if let Some(version) = scale["metadata"]["resourceVersion"]
        .as_str()
        .filter(|v| !v.is_empty())
    {
        new["metadata"]["resourceVersion"] = version.into();
    }
    if let Some(uid) = scale["metadata"]["uid"]
        .as_str()
        .filter(|uid| !uid.is_empty())
    {
        new["metadata"]["uid"] = uid.into();
    }
    Ok(new.into())
}

/// The selector as text: of built-in kinds from `.spec.selector`, of custom ones as it is.
fn selector_text(object: &Value, paths: &ScalePaths) -> String {
    if let Some(path) = &paths.label_selector {
        return at(object, path)
            .and_then(Value::as_str)
            .unwrap_or_default()
            .to_owned();
    }
    let selector = &object["spec"]["selector"];
    let labels = selector.get("matchLabels").unwrap_or(selector);
    let mut terms: Vec<String> = labels
        .as_object()
        .into_iter()
        .flatten()
        .filter_map(|(key, value)| Some(format!("{key}={}", value.as_str()?)))
        .collect();
    terms.sort();
    for expression in object::list(&selector["matchExpressions"]) {
        terms.push(expression_text(expression));
    }
    terms.join(",")
}

fn expression_text(expression: &Value) -> String {
    let key = expression["key"].as_str().unwrap_or_default();
    let values: Vec<&str> = object::list(&expression["values"])
        .iter()
        .filter_map(Value::as_str)
        .collect();
    match expression["operator"].as_str().unwrap_or_default() {
        "In" => format!("{key} in ({})", values.join(",")),
        "NotIn" => format!("{key} notin ({})", values.join(",")),
        "DoesNotExist" => format!("!{key}"),
        _ => key.to_owned(),
    }
}

fn number(object: &Value, path: &str) -> i64 {
    at(object, path).and_then(Value::as_i64).unwrap_or(0)
}

fn at<'a>(object: &'a Value, path: &str) -> Option<&'a Value> {
    steps(path).try_fold(object, |value, step| value.get(step))
}

fn set(object: &mut Value, path: &str, value: Value) {
    let mut place = object;
    for step in steps(path) {
        if !place.is_object() {
            *place = json!({});
        }
        place = &mut place[step];
    }
    *place = value;
}

fn steps(path: &str) -> impl Iterator<Item = &str> {
    path.split('.').filter(|step| !step.is_empty())
}
