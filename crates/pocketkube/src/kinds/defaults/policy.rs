//! Admission policies and their bindings.

use super::{Fields, each, fill, made, part, spec};
use serde_json::{Map, Value};

pub(in crate::kinds) fn policy(object: &mut Value) {
    // Whoever watches policies finds a status, be it empty.
    if let Some(fields) = object.as_object_mut() {
        let _ = made(fields, "status");
    }
    let Some(spec) = spec(object) else { return };
    fill(spec, "failurePolicy", "Fail");
    if let Some(constraints) = part(spec, "matchConstraints") {
        matching(constraints);
    }
}

pub(in crate::kinds) fn policy_binding(object: &mut Value) {
    if let Some(place) = spec(object).and_then(|spec| part(spec, "matchResources")) {
        matching(place);
    }
}

fn matching(fields: &mut Fields) {
    fill(fields, "matchPolicy", "Equivalent");
    fill(fields, "namespaceSelector", Map::new());
    fill(fields, "objectSelector", Map::new());
    for rules in ["resourceRules", "excludeResourceRules"] {
        for rule in each(fields, rules) {
            fill(rule, "scope", "*");
        }
    }
}
