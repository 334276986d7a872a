//! What is wrong with objects of built-in kinds: the usual mistakes, in the server's words.

mod access;
mod config;
mod coordination;
pub(super) mod names;
mod network;
mod pod;
mod workload;

pub(super) use access::{policy, policy_binding, role};
pub(super) use config::{
    claim, config_map, disruption_budget, role_binding, secret, volume, webhooks,
};
pub(super) use coordination::{event, lease, new_event};
pub(crate) use names::label_value as label_value_faults;
pub(crate) use network::is_reached_from_outside;
pub(super) use network::{endpoint_slice, ingress, service, service_status};
pub(super) use pod::pod;
pub(super) use workload::{
    autoscaler, cron_job, daemon_set, deployment, job, replica_set, replication_controller,
    stateful_set,
};

use crate::status::Cause;
use serde_json::Value;

/// Checks that a number is not negative.
fn not_negative(value: &Value, field: &str, causes: &mut Vec<Cause>) {
    if value.as_i64().is_some_and(|number| number < 0) {
        causes.push(Cause::invalid(
            field,
            value,
            "must be greater than or equal to 0",
        ));
    }
}

/// Checks that a text is one of some; an empty text is missing.
fn one_of(value: &Value, field: &str, allowed: &[&str], causes: &mut Vec<Cause>) {
    match value.as_str() {
        None | Some("") => causes.push(Cause::required(field, "")),
        Some(text) if !allowed.contains(&text) => {
            causes.push(Cause::unsupported(field, value, allowed));
        }
        Some(_) => {}
    }
}

/// The text of a value, or nothing.
fn text(value: &Value) -> &str {
    value.as_str().unwrap_or_default()
}

/// The elements of a list, or none.
fn list(value: &Value) -> &[Value] {
    value.as_array().map_or(&[], Vec::as_slice)
}
