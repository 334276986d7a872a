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
use kube::{Api, Client};
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
pub async fn scope(client: &Client, system_namespace: &str) -> Result<ConfigScope, Error> {
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

/// Who the control plane of a system namespace is, as the annotations of what it propagates say.
///
/// # Errors
/// The host does not say.
pub async fn host_uid(client: &Client, system_namespace: &str) -> Result<String, Error> {
    let scope = scope(client, system_namespace).await?;
    let namespaces = Api::<Namespace>::all(client.clone());
    let own = namespaces.get(identifying(scope, system_namespace));
    let own = timeout(DEADLINE, own).await;
    let own = own.map_err(|_| Error::HostTimedOut)??;
    Ok(own.metadata.uid.unwrap_or_default())
}
