//! Leases and Events.

use super::text;
use crate::status::Cause;
use serde_json::Value;

pub(in crate::kinds) fn lease(object: &Value, causes: &mut Vec<Cause>) {
    let spec = &object["spec"];
    let duration = &spec["leaseDurationSeconds"];
    if duration.as_i64().is_some_and(|seconds| seconds <= 0) {
        let field = "spec.leaseDurationSeconds";
        causes.push(Cause::invalid(field, duration, "must be greater than 0"));
    }
    let transitions = &spec["leaseTransitions"];
    if transitions.as_i64().is_some_and(|number| number < 0) {
        let why = "must be greater than or equal to 0";
        causes.push(Cause::invalid("spec.leaseTransitions", transitions, why));
    }
}

/// An Event of the core group.
pub(in crate::kinds) fn event(object: &Value, causes: &mut Vec<Cause>) {
    about(object, "involvedObject", causes);
}

/// An Event of `events.k8s.io`, which says more than its elder had to.
pub(in crate::kinds) fn new_event(object: &Value, causes: &mut Vec<Cause>) {
    about(object, "regarding", causes);
    for field in [
        "reportingController",
        "reportingInstance",
        "action",
        "reason",
    ] {
        // Events of the elder kind are served here too, and lack these.
        if object["eventTime"].is_string() && text(&object[field]).is_empty() {
            causes.push(Cause::required(field, ""));
        }
    }
}

/// An Event is where its object is; those about objects of the cluster are in `default`.
fn about(object: &Value, field: &str, causes: &mut Vec<Cause>) {
    let (home, place) = (
        text(&object["metadata"]["namespace"]),
        &object[field]["namespace"],
    );
    let is_right = match text(place) {
        "" => matches!(home, "" | "default" | "kube-system"),
        namespace => namespace == home,
    };
    if !is_right {
        let path = format!("{field}.namespace");
        causes.push(Cause::invalid(
            path,
            place,
            "does not match event.namespace",
        ));
    }
}
