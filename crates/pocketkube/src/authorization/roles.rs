//! The rules that a user has, through bindings and the roles that they name.
//!
//! # Guarantees
//! Bindings and roles are read once and kept until one of them changes: a request costs no decoding.

use super::{Attributes, Decision, GROUP, Objective, Rule, Rules};
use crate::cluster::{Cluster, User, prefix};
use crate::object::{self, Object};
use serde_json::Value;
use std::collections::HashMap;
use std::ops::ControlFlow;
use std::sync::{Arc, Mutex, PoisonError};

const CLUSTER_BINDINGS: &str = "clusterrolebindings.rbac.authorization.k8s.io";
const BINDINGS: &str = "rolebindings.rbac.authorization.k8s.io";
const CLUSTER_ROLES: &str = "clusterroles.rbac.authorization.k8s.io";
const ROLES: &str = "roles.rbac.authorization.k8s.io";
/// What decides; when one of these moves, all is read again.
const TABLES: [&str; 4] = [CLUSTER_BINDINGS, BINDINGS, CLUSTER_ROLES, ROLES];

/// Namespaces that are kept at most, whatever is asked for: with more, all are read again.
const NAMESPACES_MAX: usize = 1024;

/// Bindings with the rules of their roles, as they were read last.
#[derive(Debug, Default)]
pub(crate) struct Bindings {
    known: Mutex<Known>,
}

#[derive(Debug, Default)]
struct Known {
    /// Versions of the tables that this is of.
    versions: [u64; TABLES.len()],
    /// By their namespace; those of the cluster have none.
    of: HashMap<String, Arc<[Bound]>>,
}

/// A binding with the rules of its role, or why there are none.
#[derive(Debug)]
struct Bound {
    binding: Arc<Object>,
    rules: Result<Vec<Rule>, String>,
}

/// Whether some rule of the user's allows something.
pub(super) fn decide(cluster: &Cluster, wanted: &Attributes<'_>) -> Decision {
    match find(cluster, wanted, |grant| grant.source()) {
        Ok(source) => Decision {
            allowed: true,
            reason: format!("RBAC: allowed by {source}"),
        },
        Err(reason) => Decision {
            allowed: false,
            reason,
        },
    }
}

/// Refuses what no rule of the user's allows, with what there is to say of that.
pub(super) fn check(cluster: &Cluster, wanted: &Attributes<'_>) -> Result<(), String> {
    find(cluster, wanted, |_| ())
}

/// Of the first rule that allows something; or what there is to say of why there is none.
fn find<T>(
    cluster: &Cluster,
    wanted: &Attributes<'_>,
    of: impl Fn(&Grant<'_>) -> T,
) -> Result<T, String> {
    let namespace = match &wanted.object {
        Objective::Resource(wanted) => wanted.namespace,
        Objective::Path(_) => "",
    };
    let mut problems = Vec::new();
    let found = visit(cluster, wanted.user, namespace, |grant| match grant {
        Ok(grant) if grant.rule.allows(wanted) => ControlFlow::Break(of(&grant)),
        Ok(_) => ControlFlow::Continue(()),
        Err(problem) => {
            problems.push(problem);
            ControlFlow::Continue(())
        }
    });
    found.ok_or_else(|| match problems.is_empty() {
        true => String::new(),
        false => format!("RBAC: {}", listed(&problems)),
    })
}

/// All rules of a user.
pub(super) fn rules(cluster: &Cluster, user: &User, namespace: &str) -> Rules {
    let mut all = Rules::default();
    visit(cluster, user, namespace, |grant| {
        match grant {
            Ok(grant) => all.rules.push(grant.rule.clone()),
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
    let (kind, table, namespace) = match reference["kind"].as_str().unwrap_or_default() {
        "Role" => ("role", ROLES, namespace),
        "ClusterRole" => ("clusterrole", CLUSTER_ROLES, ""),
        other => return Err(format!("unsupported role reference kind: {other:?}")),
    };
    let role = cluster
        .kept(table, namespace, name)
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
    rule: &'a Rule,
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
    let of_cluster = bindings(cluster, "");
    let of_namespace = (!namespace.is_empty()).then(|| bindings(cluster, namespace));
    for bound in of_cluster
        .iter()
        .chain(of_namespace.iter().flat_map(|it| it.iter()))
    {
        let binding = &bound.binding;
        let own = object::namespace(binding);
        let mut subjects = object::list(&binding["subjects"]).iter();
        let Some(subject) = subjects.find(|subject| is_meant(user, subject, own)) else {
            continue;
        };
        let rules = match &bound.rules {
            Ok(rules) => rules,
            Err(problem) => match see(Err(problem.clone())) {
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

/// The bindings of a namespace, or with an empty one of the cluster.
fn bindings(cluster: &Cluster, namespace: &str) -> Arc<[Bound]> {
    let versions = {
        let store = cluster.store();
        TABLES.map(|table| store.version_of(table))
    };
    let lock = || {
        let known = &cluster.bindings().known;
        known.lock().unwrap_or_else(PoisonError::into_inner)
    };
    {
        let mut known = lock();
        if known.versions != versions {
            *known = Known {
                versions,
                of: HashMap::new(),
            };
        }
        if let Some(bound) = known.of.get(namespace) {
            return Arc::clone(bound);
        }
    }
    let read = read(cluster, namespace);
    let mut known = lock();
    // What changed since may be in it or not: it counts as what was before, and is read again.
    if known.versions == versions {
        if known.of.len() >= NAMESPACES_MAX {
            known.of.clear();
        }
        known.of.insert(namespace.to_owned(), Arc::clone(&read));
    }
    read
}

fn read(cluster: &Cluster, namespace: &str) -> Arc<[Bound]> {
    let (table, prefix) = match namespace {
        "" => (CLUSTER_BINDINGS, String::new()),
        namespace => (BINDINGS, prefix(Some(namespace))),
    };
    let bindings: Vec<Arc<Object>> = {
        let store = cluster.store();
        let bindings = store.range(table, &prefix, None);
        bindings.map(|(_, binding)| binding).collect()
    };
    let bound = bindings.into_iter().map(|binding| Bound {
        rules: referenced(cluster, &binding["roleRef"], object::namespace(&binding)),
        binding,
    });
    bound.collect()
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
