//! ClusterRoles that gather the rules of others (`aggregationRule`).

use super::GROUP;
use crate::cluster::{Caller, Cluster, Force, Part, Patch, WriteOptions};
use crate::object::{self, Object};
use crate::selector::LabelSelector;
use serde_json::{Value, json};
use std::sync::Arc;

/// The field manager of gathered rules, as upstream's controller has it.
const MANAGER: &str = "clusterrole-aggregation-controller";

impl Cluster {
    /// Writes the rules of all ClusterRoles that gather, after one of them changed.
    pub(crate) fn aggregate_roles(&self) {
        let Ok(resource) = self.resource("rbac.authorization.k8s.io/v1", "ClusterRole") else {
            return;
        };
        let caller = Caller::system(MANAGER);
        for role in self.list(&resource, None) {
            // What was written a moment ago is gathered, too: each write comes back here.
            let Some(rules) = gathered(&role, &self.list(&resource, None)) else {
                continue;
            };
            let name = object::name(&role);
            let wanted = json!({
                "apiVersion": format!("{GROUP}/v1"),
                "kind": "ClusterRole",
                "metadata": {"name": name},
                "rules": rules,
            });
            let patch = Patch::Apply {
                wanted,
                force: Force::On,
            };
            let options = WriteOptions::default();
            let place = ("", name);
            if let Err(status) = self.patch(&caller, &resource, place, Part::Main, &patch, &options)
            {
                tracing::warn!(%status, name, "a role's rules could not be gathered");
            }
        }
    }
}

/// The rules that a role should have, where it gathers and has others.
fn gathered(role: &Object, all: &[Arc<Object>]) -> Option<Value> {
    let role = all
        .iter()
        .find(|other| object::uid(other) == object::uid(role))?;
    let selectors = object::list(&role["aggregationRule"]["clusterRoleSelectors"]);
    if selectors.is_empty() || object::is_deleting(role) {
        return None;
    }
    let mut rules: Vec<Value> = Vec::new();
    for selector in selectors {
        let Ok(selector) = LabelSelector::from_value(selector) else {
            continue;
        };
        let chosen = all.iter().filter(|other| {
            object::name(other) != object::name(role) && selector.matches(object::labels(other))
        });
        for rule in chosen.flat_map(|other| object::list(&other["rules"])) {
            if !rules.contains(rule) {
                rules.push(rule.clone());
            }
        }
    }
    (object::list(&role["rules"]) != rules.as_slice()).then(|| rules.into())
}
