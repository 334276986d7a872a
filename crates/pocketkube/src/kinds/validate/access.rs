//! Roles, and the policies of admission.

use super::{list, text};
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

pub(in crate::kinds) fn policy(object: &Value, causes: &mut Vec<Cause>) {
    let spec = &object["spec"];
    if spec["matchConstraints"].is_null() {
        causes.push(Cause::required("spec.matchConstraints", ""));
    } else if list(&spec["matchConstraints"]["resourceRules"]).is_empty() {
        let field = "spec.matchConstraints.resourceRules";
        causes.push(Cause::required(field, ""));
    }
    let has_annotations = !list(&spec["auditAnnotations"]).is_empty();
    if list(&spec["validations"]).is_empty() && !has_annotations {
        let why = "validations or auditAnnotations must contain at least one item";
        causes.push(Cause::required("spec.validations", why));
        causes.push(Cause::required("spec.auditAnnotations", why));
    }
    for (index, validation) in list(&spec["validations"]).iter().enumerate() {
        let field = child_path(&index_path("spec.validations", index), "expression");
        let expression = &validation["expression"];
        if text(expression).trim().is_empty() {
            causes.push(Cause::required(field, "expression is not specified"));
        } else if let Err(why) = crate::admission::check_expression(text(expression)) {
            causes.push(Cause::invalid(field, expression, &why));
        }
    }
}

pub(in crate::kinds) fn policy_binding(object: &Value, causes: &mut Vec<Cause>) {
    let spec = &object["spec"];
    if text(&spec["policyName"]).is_empty() {
        causes.push(Cause::required("spec.policyName", ""));
    }
    let actions = list(&spec["validationActions"]);
    if actions.is_empty() {
        let why = "at least one validation action is required";
        causes.push(Cause::required("spec.validationActions", why));
    }
    for (index, action) in actions.iter().enumerate() {
        let allowed = ["Audit", "Deny", "Warn"];
        if !allowed.contains(&text(action)) {
            let field = index_path("spec.validationActions", index);
            causes.push(Cause::unsupported(field, action, &allowed));
        }
    }
}
