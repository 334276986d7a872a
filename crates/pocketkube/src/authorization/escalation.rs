//! Nobody grants what they do not hold, unless a rule lets them `escalate` a role or `bind` it.

use super::roles::{self, listed};
use super::rule::{missing, quoted};
use super::{Attributes, GROUP, MASTERS, Objective, ResourceAttributes, Rule};
use crate::cluster::{Cluster, User};
use crate::object;
use crate::resource::Resource;
use crate::status::Status;
use serde_json::Value;

impl Cluster {
    /// Refuses a role or a binding that would give more than its writer has.
    pub(crate) fn check_escalation(
        &self,
        user: &User,
        resource: &Resource,
        old: Option<&Value>,
        new: &Value,
    ) -> Result<(), Status> {
        let is_master = user.groups.iter().any(|group| group == MASTERS);
        if resource.group != GROUP || !self.enforces_roles() || is_master {
            return Ok(());
        }
        if old.is_some_and(|old| only_lets_go(old, new)) {
            return Ok(());
        }
        match resource.plural.as_str() {
            "roles" | "clusterroles" => self.check_role(user, resource, old, new),
            _ => self.check_binding(user, resource, new),
        }
    }

    fn check_role(
        &self,
        user: &User,
        resource: &Resource,
        old: Option<&Value>,
        new: &Value,
    ) -> Result<(), Status> {
        let (namespace, name) = (object::namespace(new), object::name(new));
        let escalates = Attributes {
            user,
            verb: "escalate",
            object: Objective::Resource(ResourceAttributes {
                group: GROUP,
                resource: &resource.plural,
                namespace,
                // A creation names nothing in its path.
                name: if old.is_some() { name } else { "" },
                ..ResourceAttributes::default()
            }),
        };
        if self.authorize(&escalates).allowed {
            return Ok(());
        }
        let refused = |why: &str| Status::forbidden(resource, name, why);
        self.confirm(user, namespace, &roles::of(new))
            .map_err(|why| refused(&why))?;
        let gathers = |role: &Value| {
            let selectors = &role["aggregationRule"]["clusterRoleSelectors"];
            !object::list(selectors).is_empty()
        };
        if gathers(new) || old.is_some_and(gathers) {
            let why = "must have cluster-admin privileges to use the aggregationRule";
            self.confirm(user, "", &Rule::everything())
                .map_err(|_| refused(why))?;
        }
        Ok(())
    }

    fn check_binding(&self, user: &User, resource: &Resource, new: &Value) -> Result<(), Status> {
        let (namespace, reference) = (object::namespace(new), &new["roleRef"]);
        let name = reference["name"].as_str().unwrap_or_default();
        let plural = match reference["kind"].as_str() {
            Some("ClusterRole") => "clusterroles",
            _ => "roles",
        };
        let binds = Attributes {
            user,
            verb: "bind",
            object: Objective::Resource(ResourceAttributes {
                group: GROUP,
                resource: plural,
                namespace,
                name,
                ..ResourceAttributes::default()
            }),
        };
        if self.authorize(&binds).allowed {
            return Ok(());
        }
        // The server names the missing role as if it were a binding.
        let rules = roles::referenced(self, reference, namespace)
            .map_err(|_| Status::not_found(resource, name))?;
        self.confirm(user, namespace, &rules)
            .map_err(|why| Status::forbidden(resource, object::name(new), &why))
    }

    /// Checks that a user holds all of some rules.
    fn confirm(&self, user: &User, namespace: &str, wanted: &[Rule]) -> Result<(), String> {
        let held = self.rules_of(user, namespace);
        let missing = missing(&held.rules, wanted);
        if missing.is_empty() {
            return Ok(());
        }
        let mut why = format!(
            "user {:?} (groups={}) is attempting to grant RBAC permissions not currently held:\n{}",
            user.name,
            quoted(&user.groups),
            missing.join("\n")
        );
        if !held.problems.is_empty() {
            why.push_str(&format!(
                "; resolution errors: [{}]",
                listed(&held.problems)
            ));
        }
        Err(why)
    }
}

/// Whether a change takes owners and finalizers away and does nothing else.
fn only_lets_go(old: &Value, new: &Value) -> bool {
    let bare = |object: &Value| {
        let mut object = object.clone();
        let metadata = object::metadata_mut(&mut object);
        for field in [
            "ownerReferences",
            "finalizers",
            "managedFields",
            "resourceVersion",
        ] {
            metadata.shift_remove(field);
        }
        object
    };
    bare(old) == bare(new)
}
