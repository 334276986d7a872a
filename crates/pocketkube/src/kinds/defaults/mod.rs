//! What the server fills in when a client leaves it out.
//!
//! Each function is idempotent and leaves what is there alone. Values that depend on a cluster's
//! state (a Service's address, a claim's class) are not here.

mod batch;
mod cluster;
mod network;
mod pod;
mod policy;
mod storage;
mod workload;

pub(super) use batch::{cron_job, job};
pub(super) use cluster::{
    claim, namespace, node, priority_class, role_binding, secret, volume, webhooks,
};
pub(super) use network::{endpoint_slice, endpoints, network_policy, service};
pub(super) use pod::{pod, pod_template};
pub(super) use policy::{policy, policy_binding};
pub(super) use storage::{device_claim, device_claim_template, storage_class, storage_driver};
pub(super) use workload::{
    autoscaler, autoscaler_v1, daemon_set, deployment, replica_set, replication_controller,
    stateful_set,
};

use serde_json::{Map, Value};

/// Fields of an object; nothing else has fields.
type Fields = Map<String, Value>;

/// Gives a missing field its value.
fn fill(fields: &mut Fields, name: &str, value: impl Into<Value>) {
    if fields.get(name).is_none_or(Value::is_null) {
        fields.insert(name.to_owned(), value.into());
    }
}

/// The fields of a part that is there.
fn part<'a>(fields: &'a mut Fields, name: &str) -> Option<&'a mut Fields> {
    fields.get_mut(name)?.as_object_mut()
}

/// The fields of a part that is always there.
fn made<'a>(fields: &'a mut Fields, name: &str) -> Option<&'a mut Fields> {
    fill(fields, name, Map::new());
    part(fields, name)
}

/// The fields of each element of a list.
fn each<'a>(fields: &'a mut Fields, name: &str) -> impl Iterator<Item = &'a mut Fields> {
    let list = fields.get_mut(name).and_then(Value::as_array_mut);
    list.into_iter().flatten().filter_map(Value::as_object_mut)
}

/// The spec of an object.
fn spec(object: &mut Value) -> Option<&mut Fields> {
    // Go's types have one always.
    let spec = object.as_object_mut()?.entry("spec").or_insert(Value::Null);
    if spec.is_null() {
        *spec = Value::Object(Fields::new());
    }
    spec.as_object_mut()
}
