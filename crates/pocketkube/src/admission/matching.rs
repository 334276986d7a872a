//! Which webhooks and policies a write concerns.

use super::Attempt;
use crate::cluster::Cluster;
use crate::object;
use crate::resource::{Resource, Scope};
use crate::selector::LabelSelector;
use serde_json::{Map, Value};
use std::sync::Arc;

/// The resource as which a hook or policy is told of a write; none when the write is none of its
/// affairs. `rules` are `webhooks[].rules` or `matchConstraints.resourceRules`.
pub(super) fn told_as(
    cluster: &Cluster,
    attempt: &Attempt<'_>,
    object: Option<&Value>,
    constraints: &Value,
    rules: &[Value],
) -> Option<Arc<Resource>> {
    let selected =
        namespace_is_selected(cluster, attempt, object, &constraints["namespaceSelector"])
            && object_is_selected(attempt, object, &constraints["objectSelector"]);
    if !selected {
        return None;
    }
    let fits = |resource: &Resource| rules.iter().any(|rule| fits(rule, attempt, resource));
    let own = attempt.resource;
    let registry = cluster.registry();
    if fits(own) {
        return registry
            .by_path(&own.group, &own.version, &own.plural)
            .cloned();
    }
    if constraints["matchPolicy"] != "Equivalent" {
        return None;
    }
    let mut others = registry.all().filter(|other| {
        other.group == own.group && other.plural == own.plural && other.version != own.version
    });
    others.find(|other| fits(other)).cloned()
}

/// Whether a rule is for a write, told as a resource.
pub(super) fn fits(rule: &Value, attempt: &Attempt<'_>, resource: &Resource) -> bool {
    let has = |field: &str, wanted: &str| {
        object::list(&rule[field])
            .iter()
            .any(|own| own == "*" || own == wanted)
    };
    let names = object::list(&rule["resourceNames"]);
    let in_scope = match rule["scope"].as_str() {
        Some("Namespaced") => resource.scope == Scope::Namespaced && !is_namespace(resource),
        Some("Cluster") => resource.scope == Scope::Cluster,
        _ => true,
    };
    in_scope
        && has("operations", attempt.operation.as_str())
        && has("apiGroups", &resource.group)
        && has("apiVersions", &resource.version)
        && (names.is_empty() || names.iter().any(|name| name == attempt.name))
        && object::list(&rule["resources"])
            .iter()
            .filter_map(Value::as_str)
            .any(|own| names_resource(own, &resource.plural, attempt.part))
}

/// `pods`, `pods/status`, `pods/*`, `*/status`, `*/*`; `*` is all without subresources.
fn names_resource(own: &str, plural: &str, part: &str) -> bool {
    let (own_plural, own_part) = own.split_once('/').unwrap_or((own, ""));
    (own_plural == "*" || own_plural == plural) && (own_part == "*" || own_part == part)
}

fn is_namespace(resource: &Resource) -> bool {
    resource.group.is_empty() && resource.plural == "namespaces"
}

/// Whether a selector takes the namespace that a write is in; a Namespace is in itself, and what
/// is in no namespace is always taken.
fn namespace_is_selected(
    cluster: &Cluster,
    attempt: &Attempt<'_>,
    object: Option<&Value>,
    selector: &Value,
) -> bool {
    if is_empty(selector) {
        return true;
    }
    if is_namespace(attempt.resource) {
        let own = object.filter(|object| object.is_object()).or(attempt.old);
        return own.is_none_or(|own| selects(selector, object::labels(own)));
    }
    if !attempt.resource.is_namespaced() {
        return true;
    }
    let namespace = cluster.kept("namespaces", "", attempt.namespace);
    namespace.is_some_and(|namespace| selects(selector, object::labels(&namespace)))
}

/// Whether a selector takes the object as it is or as it was.
fn object_is_selected(attempt: &Attempt<'_>, object: Option<&Value>, selector: &Value) -> bool {
    let mut versions = object
        .into_iter()
        .chain(attempt.old)
        .filter(|version| version.is_object());
    is_empty(selector) || versions.any(|version| selects(selector, object::labels(version)))
}

fn is_empty(selector: &Value) -> bool {
    let has = |field: &str| match &selector[field] {
        Value::Object(fields) => !fields.is_empty(),
        Value::Array(elements) => !elements.is_empty(),
        _ => false,
    };
    !has("matchLabels") && !has("matchExpressions")
}

fn selects(selector: &Value, labels: Option<&Map<String, Value>>) -> bool {
    LabelSelector::from_value(selector).is_ok_and(|selector| selector.matches(labels))
}

#[cfg(test)]
mod tests {
    use super::names_resource;

    #[test]
    fn a_star_means_no_subresources() {
        assert!(names_resource("*", "pods", ""));
        assert!(!names_resource("*", "pods", "status"));
        assert!(names_resource("*/*", "pods", "status"));
        assert!(names_resource("*/*", "pods", ""));
        assert!(names_resource("pods/*", "pods", "log"));
        assert!(names_resource("*/scale", "deployments", "scale"));
        assert!(!names_resource("pods/status", "pods", ""));
    }
}
