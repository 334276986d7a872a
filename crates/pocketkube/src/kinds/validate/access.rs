//! Roles.

use super::list;
use crate::schema::{child_path, index_path};
use crate::selector::LabelSelector;
use crate::status::Cause;
use serde_json::Value;

pub(in crate::kinds) fn role(object: &Value, causes: &mut Vec<Cause>) {
    let is_namespaced = object["kind"] == "Role";
    for (index, rule) in list(&object["rules"]).iter().enumerate() {
        check_rule(rule, is_namespaced, &index_path("rules", index), causes);
    }
    let aggregation = &object["aggregationRule"];
    if aggregation.is_null() {
        return;
    }
    const SELECTORS: &str = "aggregationRule.clusterRoleSelectors";
    let selectors = list(&aggregation["clusterRoleSelectors"]);
    if selectors.is_empty() {
        let why = "at least one clusterRoleSelector required if aggregationRule is non-nil";
        causes.push(Cause::required(SELECTORS, why));
    }
    for (index, selector) in selectors.iter().enumerate() {
        if LabelSelector::from_value(selector).is_err() {
            let path = index_path(SELECTORS, index);
            causes.push(Cause::invalid(path, selector, "invalid label selector."));
        }
    }
}

fn check_rule(rule: &Value, is_namespaced: bool, path: &str, causes: &mut Vec<Cause>) {
    let at = |field: &str| child_path(path, field);
    let is_empty = |field: &str| list(&rule[field]).is_empty();
    if is_empty("verbs") {
        let why = "verbs must contain at least one value";
        causes.push(Cause::required(at("verbs"), why));
    }
    let paths = &rule["nonResourceURLs"];
    if !list(paths).is_empty() {
        if is_namespaced {
            let why = "namespaced rules cannot apply to non-resource URLs";
            causes.push(Cause::invalid(at("nonResourceURLs"), paths, why));
        }
        if ["apiGroups", "resources", "resourceNames"]
            .iter()
            .any(|field| !is_empty(field))
        {
            let why = "rules cannot apply to both regular resources and non-resource URLs";
            causes.push(Cause::invalid(at("nonResourceURLs"), paths, why));
        }
        return;
    }
    for (field, what) in [("apiGroups", "api group"), ("resources", "resource")] {
        if is_empty(field) {
            let why = format!("resource rules must supply at least one {what}");
            causes.push(Cause::required(at(field), &why));
        }
    }
}
