//! The `scale` subresource: replicas of an object as an `autoscaling/v1` Scale.

use super::write::{Managers, Sent, inside};
use super::{Caller, Cluster, Patch, Target, WriteOptions, at_once, metadata, rules};
use crate::apply::{self, Element, Operation, ReplicasPaths, SCALE_VERSION, Writer};
use crate::object::{self, Object};
use crate::resource::ScalePaths;
use crate::schema::{self, Schema};
use crate::status::{Cause, Status};
use serde_json::{Map, Value, json};
use std::sync::LazyLock;

/// The fields of a Scale that somebody may own.
static SCHEMA: LazyLock<Schema> = LazyLock::new(|| {
    schema::from_open_api(&json!({"type": "object", "properties": {
        "apiVersion": {"type": "string"},
        "kind": {"type": "string"},
        "metadata": {"type": "object", "x-kubernetes-preserve-unknown-fields": true},
        "spec": {"type": "object", "properties": {"replicas": {"type": "integer"}}},
        "status": {"type": "object", "properties": {
            "replicas": {"type": "integer"}, "selector": {"type": "string"},
        }},
    }}))
});

impl Cluster {
    /// The Scale of an object.
    pub(crate) fn scale(&self, target: &Target<'_>) -> Result<Value, Status> {
        let object = self.get(target.resource, target.namespace, target.name)?;
        let paths = target.resource.scale.as_ref();
        if let Some(path) = paths.map(|paths| &paths.spec_replicas)
            && target.resource.is_custom()
            && at(&object, path).is_none()
        {
            let why = format!("the spec replicas field {path:?} does not exist");
            return Err(Status::internal(why));
        }
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
        let name = object::name(scale);
        if name != target.name {
            return Err(metadata::other_name(name, target.name));
        }
        let edit = |old: &Object| {
            let live = self.managed_scale(target, old);
            self.scaled(caller, target, (old, &live), scale.clone())
        };
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
            let live = self.managed_scale(target, old);
            if let Patch::Apply { wanted, force } = patch {
                let writer = self.scale_writer(caller, Operation::Apply);
                let none = apply::FieldSet::default();
                let force = *force;
                check_custom_apply(target, &live)?;
                let scale = apply::apply(&SCHEMA, &writer.of(), &none, Some(&live), wanted, force)?;
                check_custom_applied(target, &live, &scale)?;
                return self.with_replicas(target, old, &scale);
            }
            let scale = rules::patched_plain(&scale_of(target, old), patch)?;
            self.scaled(caller, target, (old, &live), scale)
        };
        let done = self.edit(caller, target, options, edit).await?;
        Ok(scale_of(target, &done.object))
    }

    /// The Scale of an object with its managers.
    fn managed_scale(&self, target: &Target<'_>, object: &Value) -> Value {
        let mut scale = scale_of(target, object);
        apply::managers_of_scale(object, &self.replicas_paths(target), &mut scale);
        scale
    }

    /// Where the versions of a kind have their replicas.
    fn replicas_paths(&self, target: &Target<'_>) -> ReplicasPaths {
        let resource = target.resource;
        let registry = self.registry();
        let versions = registry
            .all()
            .filter(|other| other.group == resource.group && other.plural == resource.plural);
        let path = |paths: &ScalePaths| steps(&paths.spec_replicas).map(Element::field).collect();
        versions
            .map(|version| (version.api_version(), version.scale.as_ref().map(path)))
            .collect()
    }

    fn scale_writer(&self, caller: &Caller, operation: Operation) -> ScaleWriter {
        ScaleWriter {
            manager: caller.manager.clone(),
            operation,
            now: self.clock().stamp(),
        }
    }

    /// The object with the replicas of a Scale that a client wrote in another way than by apply.
    fn scaled(
        &self,
        caller: &Caller,
        target: &Target<'_>,
        (old, live): (&Object, &Value),
        mut scale: Value,
    ) -> Result<Sent, Status> {
        let name = object::name(&scale);
        if name != target.name {
            return Err(metadata::other_name(name, target.name));
        }
        if let Some(spec) = scale["spec"].as_object_mut()
            && spec.get("replicas") == Some(&json!(0))
        {
            // A Scale does not write none down, so nobody owns it.
            spec.remove("replicas");
        }
        let writer = self.scale_writer(caller, Operation::Update);
        let none = apply::FieldSet::default();
        apply::track_update(&SCHEMA, &writer.of(), &none, Some(live), &mut scale);
        self.with_replicas(target, old, &scale)
    }

    /// The object with the replicas and managers of a Scale, under the version that the Scale was
    /// read at.
    fn with_replicas(
        &self,
        target: &Target<'_>,
        old: &Object,
        scale: &Value,
    ) -> Result<Sent, Status> {
        let mut new = replicated(target, old, scale)?;
        let version = target.resource.api_version();
        apply::managers_of_parent(scale, &self.replicas_paths(target), &version, &mut new);
        Ok(Sent {
            managers: Managers::Done,
            ..Sent::from(new)
        })
    }
}

/// Who writes a Scale, and when.
struct ScaleWriter {
    manager: String,
    operation: Operation,
    now: String,
}

impl ScaleWriter {
    fn of(&self) -> Writer<'_> {
        Writer {
            manager: &self.manager,
            operation: self.operation,
            api_version: SCALE_VERSION,
            subresource: "scale",
            now: &self.now,
        }
    }
}

/// The real server does not apply to the Scale of a custom resource whose replicas nobody owns.
fn check_custom_apply(target: &Target<'_>, live: &Value) -> Result<(), Status> {
    let is_managed = !live["metadata"]["managedFields"].is_null();
    if is_managed || !target.resource.is_custom() {
        return Ok(());
    }
    let message = "failed to create manager for existing fields: failed to convert live object \
                   (/; autoscaling/v1, Kind=Scale) to proper version: request to convert CR to an \
                   invalid group/version: autoscaling/v1";
    Err(Status::plain(500, "", message))
}

/// Nor to one that changes by it.
fn check_custom_applied(target: &Target<'_>, live: &Value, scale: &Value) -> Result<(), Status> {
    if !target.resource.is_custom() || live["spec"] == scale["spec"] {
        return Ok(());
    }
    let message = format!(
        "failed to convert new object (/{}; autoscaling/v1, Kind=Scale) to proper version: request \
         to convert CR to an invalid group/version: autoscaling/v1",
        target.name
    );
    Err(Status::plain(500, "", message))
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
fn replicated(target: &Target<'_>, old: &Object, scale: &Value) -> Result<Value, Status> {
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
    Ok(new)
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
