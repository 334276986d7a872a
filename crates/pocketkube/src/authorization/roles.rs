//! The rules that a user has, through bindings and the roles that they name.

use super::{Attributes, Decision, GROUP, Objective, Rule, Rules};
use crate::cluster::{Cluster, User, prefix};
use crate::object::{self, Object};
use serde_json::Value;
use std::ops::ControlFlow;
use std::sync::Arc;

/// Whether some rule of the user's allows something.
pub(super) fn decide(cluster: &Cluster, wanted: &Attributes<'_>) -> Decision {
    let namespace = match &wanted.object {
        Objective::Resource(wanted) => wanted.namespace,
        Objective::Path(_) => "",
    };
    let mut problems = Vec::new();
    let found = visit(cluster, wanted.user, namespace, |grant| match grant {
        Ok(grant) if grant.rule.allows(wanted) => ControlFlow::Break(grant.source()),
        Ok(_) => ControlFlow::Continue(()),
        Err(problem) => {
            problems.push(problem);
            ControlFlow::Continue(())
        }
    });
    match found {
        Some(source) => Decision {
            allowed: true,
            reason: format!("RBAC: allowed by {source}"),
        },
        None if problems.is_empty() => Decision::default(),
        None => Decision {
            allowed: false,
            reason: format!("RBAC: {}", listed(&problems)),
        },
    }
}

/// All rules of a user.
pub(super) fn rules(cluster: &Cluster, user: &User, namespace: &str) -> Rules {
    let mut all = Rules::default();
    visit(cluster, user, namespace, |grant| {
        match grant {
            Ok(grant) => all.rules.push(grant.rule),
            Err(problem) => all.problems.push(problem),
        }
        ControlFlow::<()>::Continue(())
    });
    all
}

/// The rules of the role that a binding names.
pub(super) fn referenced(
    cluster: &Cluster,
    reference: &Value,
    namespace: &str,
) -> Result<Vec<Rule>, String> {
    let name = reference["name"].as_str().unwrap_or_default();
    let (kind, plural, namespace) = match reference["kind"].as_str().unwrap_or_default() {
        "Role" => ("role", "roles", namespace),
        "ClusterRole" => ("clusterrole", "clusterroles", ""),
        other => return Err(format!("unsupported role reference kind: {other:?}")),
    };
    let role = cluster
        .kept(&format!("{plural}.{GROUP}"), namespace, name)
        .ok_or_else(|| format!("{kind}.{GROUP} {name:?} not found"))?;
    Ok(of(&role))
}

/// The rules of a role.
pub(super) fn of(role: &Value) -> Vec<Rule> {
    object::list(&role["rules"])
        .iter()
        .filter_map(|rule| serde_json::from_value(rule.clone()).ok())
        .collect()
}

/// Several problems as one text.
pub(super) fn listed(problems: &[String]) -> String {
    match problems {
        [only] => only.clone(),
        several => format!("[{}]", several.join(", ")),
    }
}

/// A rule that a user has.
struct Grant<'a> {
    rule: Rule,
    binding: &'a Object,
    subject: &'a Value,
}

impl Grant<'_> {
    /// `RoleBinding "a/ns" of Role "b" to User "c"`.
    fn source(&self) -> String {
        let (binding, subject) = (self.binding, self.subject);
        let namespace = object::namespace(binding);
        let name = match namespace {
            "" => object::name(binding).to_owned(),
            namespace => format!("{}/{namespace}", object::name(binding)),
        };
        let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
        let kind = text(&subject["kind"]);
        let subject = match kind.as_str() {
            "ServiceAccount" => {
                let own = text(&subject["namespace"]);
                let own = if own.is_empty() { namespace } else { &own };
                format!("{}/{own}", text(&subject["name"]))
            }
            _ => text(&subject["name"]),
        };
        format!(
            "{} {name:?} of {} {:?} to {kind} {subject:?}",
            text(&binding["kind"]),
            text(&binding["roleRef"]["kind"]),
            text(&binding["roleRef"]["name"]),
        )
    }
}

/// Shows each rule that a user has, and each role that cannot be found, until told to stop.
fn visit<T>(
    cluster: &Cluster,
    user: &User,
    namespace: &str,
    mut see: impl FnMut(Result<Grant<'_>, String>) -> ControlFlow<T>,
) -> Option<T> {
    let mut bindings = bindings(cluster, "clusterrolebindings", "");
    if !namespace.is_empty() {
        bindings.extend(self::bindings(cluster, "rolebindings", namespace));
    }
    for binding in &bindings {
        let own = object::namespace(binding);
        let mut subjects = object::list(&binding["subjects"]).iter();
        let Some(subject) = subjects.find(|subject| is_meant(user, subject, own)) else {
            continue;
        };
        let rules = match referenced(cluster, &binding["roleRef"], own) {
            Ok(rules) => rules,
            Err(problem) => match see(Err(problem)) {
                ControlFlow::Continue(()) => continue,
                ControlFlow::Break(found) => return Some(found),
            },
        };
        for rule in rules {
            let grant = Grant {
                rule,
                binding,
                subject,
            };
            if let ControlFlow::Break(found) = see(Ok(grant)) {
                return Some(found);
            }
        }
    }
    None
}

fn bindings(cluster: &Cluster, plural: &str, namespace: &str) -> Vec<Arc<Object>> {
    let prefix = match namespace {
        "" => String::new(),
        namespace => prefix(Some(namespace)),
    };
    let store = cluster.store();
    store
        .range(&format!("{plural}.{GROUP}"), &prefix, None)
        .map(|(_, binding)| binding)
        .collect()
}

/// Whether a subject of a binding means a user.
fn is_meant(user: &User, subject: &Value, namespace: &str) -> bool {
    let name = subject["name"].as_str().unwrap_or_default();
    match subject["kind"].as_str().unwrap_or_default() {
        "User" => user.name == name,
        "Group" => user.groups.iter().any(|group| group == name),
        "ServiceAccount" => {
            let own = subject["namespace"].as_str().unwrap_or_default();
            let namespace = if own.is_empty() { namespace } else { own };
            let account = user.name.strip_prefix("system:serviceaccount:");
            account.and_then(|account| account.split_once(':')) == Some((namespace, name))
        }
        _ => false,
    }
}
