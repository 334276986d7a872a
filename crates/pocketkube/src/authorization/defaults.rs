//! The roles and bindings that every cluster with role based access control starts with.
//!
//! `defaults.json` was recorded from a control plane of Kubernetes 1.36 when it had just started;
//! the rules of roles that gather others are left out, because they are gathered here too.

use super::GROUP;
use crate::cluster::Cluster;
use serde_json::Value;

/// Kinds in the order in which they are created, with their plurals.
const KINDS: [(&str, &str); 4] = [
    ("ClusterRole", "clusterroles"),
    ("ClusterRoleBinding", "clusterrolebindings"),
    ("Role", "roles"),
    ("RoleBinding", "rolebindings"),
];

impl Cluster {
    /// Makes the roles that a cluster starts with.
    pub(crate) fn start_with_roles(&self) {
        let recorded: Value =
            serde_json::from_str(include_str!("defaults.json")).expect("recorded as JSON");
        for (kind, plural) in KINDS {
            for object in crate::object::list(&recorded[plural]) {
                self.start_with(&format!("{GROUP}/v1"), kind, object.clone());
            }
        }
    }
}
