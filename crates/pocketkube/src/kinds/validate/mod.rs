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

/// Checks a number that may also be given as a percentage.
fn number_or_percentage(value: &Value, field: &str, causes: &mut Vec<Cause>) {
    not_negative(value, field, causes);
    if value.is_string() && percent_digits(value).is_none() {
        let why = "a valid percent string must be a numeric string followed by an ending '%' \
                   (e.g. '1%',  or '93%', regex used for validation is '[0-9]+%')";
        causes.push(Cause::invalid(field, value, why));
    }
}

/// Checks that a percentage, where one is given, is one of a part.
fn not_more_than_all(value: &Value, field: &str, causes: &mut Vec<Cause>) {
    // Digits that no number holds are more as well.
    let is_more = |digits: &str| digits.parse::<u32>().map_or(true, |percent| percent > 100);
    if percent_digits(value).is_some_and(is_more) {
        causes.push(Cause::invalid(
            field,
            value,
            "must not be greater than 100%",
        ));
    }
}

fn percent_digits(value: &Value) -> Option<&str> {
    let digits = value.as_str()?.strip_suffix('%')?;
    let is_number = !digits.is_empty() && digits.bytes().all(|byte| byte.is_ascii_digit());
    is_number.then_some(digits)
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
