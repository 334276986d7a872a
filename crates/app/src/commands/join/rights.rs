//! What a member's account may do: everything, or what the types that are federated need.

use super::{account, apply};
use anyhow::{Context, Result};
use api::{ConfigScope, FederatedType, FederatedTypeConfig};
use controller::ControlPlane;
use k8s_openapi::api::rbac::v1::{ClusterRole, ClusterRoleBinding, Role, RoleBinding};
use kube::api::ListParams;
use kube::{Api, Client, ResourceExt};
use serde_json::{Value, json};
use std::collections::{BTreeMap, BTreeSet};
use std::fmt;

/// On the role, when it grants no more than what is federated needs.
const ANNOTATION_RIGHTS: &str = "meridian.dev/rights";
const LEAST: &str = "least";
/// What is done with federated objects in members.
const WRITES: [&str; 7] = [
    "get", "list", "watch", "create", "patch", "update", "delete",
];
/// What health, capacity and the sources of endpoints are read from.
const READ: [(&str, &[&str]); 4] = [
    ("", &["namespaces", "nodes", "pods", "services"]),
    ("discovery.k8s.io", &["endpointslices"]),
    ("networking.k8s.io", &["ingresses"]),
    ("gateway.networking.k8s.io", &["gateways", "httproutes"]),
];

/// See the module.
#[derive(Clone, Debug)]
pub(super) struct Rights {
    scope: ConfigScope,
    /// Resources by group; nothing: everything.
    federated: Option<BTreeMap<String, BTreeSet<String>>>,
}

impl Rights {
    /// What was asked for, else what the member's role says, else everything.
    pub(super) async fn of(
        host: &Client,
        member: &Client,
        us: &ControlPlane,
        namespace: &str,
        least: Option<bool>,
    ) -> Result<Self> {
        let least = match least {
            Some(least) => least,
            None => is_least(member, us, namespace).await?,
        };
        let federated = match least {
            true => Some(resources(
                &federated_types(host, namespace).await?,
                us.scope,
            )),
            false => None,
        };
        Ok(Self {
            scope: us.scope,
            federated,
        })
    }

    /// Applies them to the account: a role of the cluster, or of the only namespace, and a binding.
    pub(super) async fn grant(
        &self,
        member: &Client,
        namespace: &str,
        account: &str,
    ) -> Result<()> {
        let binding = |kind: &str| {
            json!({
                "roleRef": {"apiGroup": "rbac.authorization.k8s.io", "kind": kind, "name": account},
                "subjects": [{"kind": "ServiceAccount", "name": account, "namespace": namespace}],
            })
        };
        if self.scope == ConfigScope::Namespaced {
            let roles = Api::<Role>::namespaced(member.clone(), namespace);
            apply(&roles, account, self.role()).await?;
            let bindings = Api::<RoleBinding>::namespaced(member.clone(), namespace);
            apply(&bindings, account, binding("Role")).await?;
            return Ok(());
        }
        apply(
            &Api::<ClusterRole>::all(member.clone()),
            account,
            self.role(),
        )
        .await?;
        let bindings = Api::<ClusterRoleBinding>::all(member.clone());
        apply(&bindings, account, binding("ClusterRole")).await?;
        Ok(())
    }

    fn role(&self) -> Value {
        let mut rules = match &self.federated {
            None => vec![json!({"apiGroups": ["*"], "resources": ["*"], "verbs": ["*"]})],
            Some(federated) => least_rules(federated),
        };
        // That an API is well, and what it serves, everybody may ask who has an account; a Role
        // cannot say it.
        if self.scope == ConfigScope::Cluster {
            rules.push(
                json!({"nonResourceURLs": ["/readyz", "/healthz", "/livez", "/version", "/api",
                "/api/*", "/apis", "/apis/*"], "verbs": ["get"]}),
            );
        }
        let annotations = match self.federated {
            None => json!({}),
            Some(_) => json!({ANNOTATION_RIGHTS: LEAST}),
        };
        json!({"metadata": {"annotations": annotations}, "rules": rules})
    }
}

/// As a sentence goes on after "may".
impl fmt::Display for Rights {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Some(federated) = &self.federated else {
            return f.write_str("do everything");
        };
        f.write_str("write")?;
        let names = federated.iter().flat_map(|(group, resources)| {
            resources.iter().map(move |resource| match group.as_str() {
                "" => resource.clone(),
                group => format!("{resource}.{group}"),
            })
        });
        for (number, name) in names.enumerate() {
            let comma = if number == 0 { "" } else { "," };
            write!(f, "{comma} {name}")?;
        }
        Ok(())
    }
}

fn least_rules(federated: &BTreeMap<String, BTreeSet<String>>) -> Vec<Value> {
    let writes = federated.iter().map(
        |(group, resources)| json!({"apiGroups": [group], "resources": resources, "verbs": WRITES}),
    );
    let reads = READ.iter().map(|(group, resources)| {
        json!({"apiGroups": [group], "resources": resources, "verbs": ["get", "list", "watch"]})
    });
    writes.chain(reads).collect()
}

/// The targets of these types by group; a Role grants nothing outside its namespace.
fn resources(types: &[FederatedType], scope: ConfigScope) -> BTreeMap<String, BTreeSet<String>> {
    let mut resources: BTreeMap<String, BTreeSet<String>> = BTreeMap::new();
    for federated in types {
        if federated.target_namespaced || scope == ConfigScope::Cluster {
            let of_group = resources.entry(federated.target.group.clone()).or_default();
            of_group.insert(federated.target.plural.clone());
        }
    }
    resources
}

/// The types that the host federates.
async fn federated_types(host: &Client, namespace: &str) -> Result<Vec<FederatedType>> {
    let configs = Api::<FederatedTypeConfig>::namespaced(host.clone(), namespace);
    let listed = configs.list(&ListParams::default()).await.context(
        "the host's FederatedTypeConfigs; are meridian's CRDs installed? 'kubectl apply \
         --server-side -f crds/'",
    )?;
    let read = |config: &FederatedTypeConfig| {
        let name = config.name_any();
        config
            .read()
            .with_context(|| format!("FederatedTypeConfig {name}"))
    };
    listed.items.iter().map(read).collect()
}

/// Whether the role that is there grants no more than what is federated needs.
async fn is_least(member: &Client, us: &ControlPlane, namespace: &str) -> Result<bool> {
    let account = account(&us.uid);
    let annotations = match us.scope {
        ConfigScope::Namespaced => {
            let roles = Api::<Role>::namespaced(member.clone(), namespace);
            let role = roles.get_opt(&account).await?;
            role.and_then(|role| role.metadata.annotations)
        }
        ConfigScope::Cluster => {
            let role = Api::<ClusterRole>::all(member.clone())
                .get_opt(&account)
                .await?;
            role.and_then(|role| role.metadata.annotations)
        }
    };
    let said = annotations.unwrap_or_default();
    Ok(said.get(ANNOTATION_RIGHTS).map(String::as_str) == Some(LEAST))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn types(names: &[(&str, &str)]) -> Vec<FederatedType> {
        let all = api::federated_type_configs("kube-federation-system");
        let read = all
            .iter()
            .map(|config| config.read().expect("it is shipped"));
        read.filter(|federated| {
            names.contains(&(federated.target.group.as_str(), &federated.target.plural))
        })
        .collect()
    }

    #[test]
    fn least_rights_are_those_of_what_is_federated_and_reads() {
        let types = types(&[
            ("", "namespaces"),
            ("", "configmaps"),
            ("apps", "deployments"),
        ]);
        let rights = Rights {
            scope: ConfigScope::Cluster,
            federated: Some(resources(&types, ConfigScope::Cluster)),
        };
        let role = rights.role();
        assert_eq!(role["metadata"]["annotations"][ANNOTATION_RIGHTS], LEAST);
        let rules = role["rules"].as_array().expect("rules");
        assert_eq!(rules[0]["resources"], json!(["configmaps", "namespaces"]));
        assert_eq!(rules[1]["resources"], json!(["deployments"]));
        assert!(
            !role.to_string().contains('*')
                || rules.last().expect("one")["nonResourceURLs"].is_array()
        );
        assert!(
            !rules[..rules.len() - 1]
                .iter()
                .any(|rule| rule.to_string().contains("\"*\""))
        );
        assert_eq!(
            rights.to_string(),
            "write configmaps, namespaces, deployments.apps"
        );
    }

    #[test]
    fn a_role_of_one_namespace_grants_nothing_of_the_cluster() {
        let types = types(&[("", "namespaces"), ("", "configmaps")]);
        let rights = Rights {
            scope: ConfigScope::Namespaced,
            federated: Some(resources(&types, ConfigScope::Namespaced)),
        };
        let role = rights.role();
        assert_eq!(role["rules"][0]["resources"], json!(["configmaps"]));
        assert!(!role.to_string().contains("nonResourceURLs"));
    }
}
