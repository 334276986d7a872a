//! What a control plane federates, every namespace or its own alone, and who it is.
//!
//! | `spec.scope` | federated | the host's identity | in members |
//! |---|---|---|---|
//! | `Cluster` | every namespace, and what is in none | uid of `kube-system` | everything |
//! | `Namespaced` | the system namespace | uid of the system namespace | that namespace |
//!
//! A control plane of one namespace reads and writes nothing outside of it, so that a Role is enough.
//! The scope is read when a process starts.

use crate::Error;
use api::{ConfigScope, KubeFedConfig, names};
use k8s_openapi::api::core::v1::Namespace;
use kube::api::{ApiResource, DynamicObject};
use kube::core::NamespaceResourceScope;
use kube::{Api, Client, Resource};
use std::time::Duration;
use tokio::time::timeout;

/// How long the host may take.
const DEADLINE: Duration = Duration::from_secs(5);

/// The KubeFedConfig that is in force.
pub(crate) async fn config(
    client: &Client,
    system_namespace: &str,
) -> Result<Option<KubeFedConfig>, Error> {
    let configs = Api::<KubeFedConfig>::namespaced(client.clone(), system_namespace);
    let config = timeout(DEADLINE, configs.get_opt(names::CONFIG_NAME)).await;
    Ok(config.map_err(|_| Error::HostTimedOut)??)
}

/// What the control plane of a system namespace federates.
///
/// # Errors
/// The host does not say.
pub(crate) async fn scope(client: &Client, system_namespace: &str) -> Result<ConfigScope, Error> {
    let config = config(client, system_namespace).await?;
    Ok(config
        .and_then(|config| config.spec.scope)
        .unwrap_or_default())
}

/// The namespace whose uid, which nobody can make anew, says who a control plane is.
pub(crate) fn identifying(scope: ConfigScope, system_namespace: &str) -> &str {
    match scope {
        ConfigScope::Cluster => "kube-system",
        ConfigScope::Namespaced => system_namespace,
    }
}

/// Its uid, as the annotations of what is propagated have it.
pub(crate) async fn uid(
    client: &Client,
    scope: ConfigScope,
    system_namespace: &str,
) -> Result<Option<String>, Error> {
    let namespaces = Api::<Namespace>::all(client.clone());
    let own = namespaces.get(identifying(scope, system_namespace));
    let own = timeout(DEADLINE, own).await;
    Ok(own.map_err(|_| Error::HostTimedOut)??.metadata.uid)
}

/// Objects of a type in every namespace that is federated, on the host or in a member.
pub(crate) fn everywhere(
    client: &Client,
    scope: ConfigScope,
    system_namespace: &str,
    resource: &ApiResource,
) -> Api<DynamicObject> {
    match scope {
        ConfigScope::Cluster => Api::all_with(client.clone(), resource),
        ConfigScope::Namespaced => Api::namespaced_with(client.clone(), system_namespace, resource),
    }
}

/// A control plane, as commands find it on its host.
#[derive(Clone, Debug)]
pub struct ControlPlane {
    /// What it federates.
    pub scope: ConfigScope,
    /// Who it is, as the annotations of what it propagates say.
    pub uid: String,
    system_namespace: String,
}

impl ControlPlane {
    /// The one of a system namespace.
    ///
    /// # Errors
    /// The host does not say.
    pub async fn find(client: &Client, system_namespace: &str) -> Result<Self, Error> {
        let scope = scope(client, system_namespace).await?;
        let uid = uid(client, scope, system_namespace).await?;
        Ok(Self {
            scope,
            uid: uid.unwrap_or_default(),
            system_namespace: system_namespace.to_owned(),
        })
    }

    /// Objects of a kind in every namespace that is federated.
    pub fn all<K>(&self, client: &Client) -> Api<K>
    where
        K: Resource<DynamicType = (), Scope = NamespaceResourceScope>,
    {
        match self.scope {
            ConfigScope::Cluster => Api::all(client.clone()),
            ConfigScope::Namespaced => Api::namespaced(client.clone(), &self.system_namespace),
        }
    }

    /// The same of a type, on the host or in a member; nothing, where the type is in no namespace and
    /// only one is federated.
    pub fn all_with(
        &self,
        client: &Client,
        resource: &ApiResource,
        namespaced: bool,
    ) -> Option<Api<DynamicObject>> {
        let everywhere = everywhere(client, self.scope, &self.system_namespace, resource);
        (namespaced || self.scope == ConfigScope::Cluster).then_some(everywhere)
    }
}
