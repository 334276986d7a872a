//! A federated type as its user names it, and a federated object of the host.

use super::resource_type;
use crate::{cli, kubeconfig};
use anyhow::{Context, Result, bail};
use api::{FederatedType, FederatedTypeConfig};
use kube::api::{DynamicObject, ListParams};
use kube::{Api, Client, ResourceExt};
use model::ObjectKey;

/// A type that the host federates.
#[derive(Clone, Debug)]
pub(crate) struct Federated {
    /// The name of its FederatedTypeConfig.
    pub(crate) name: String,
    /// Both types.
    pub(crate) types: FederatedType,
}

/// A federated object of the host.
pub(crate) struct Found {
    pub(crate) host: Client,
    pub(crate) federated: Federated,
    pub(crate) key: ObjectKey,
    pub(crate) object: DynamicObject,
}

/// Every type that the host federates.
///
/// # Errors
/// The host does not say.
pub(crate) async fn all(host: &Client, system_namespace: &str) -> Result<Vec<Federated>> {
    let configs = Api::<FederatedTypeConfig>::namespaced(host.clone(), system_namespace);
    let listed = configs.list(&ListParams::default()).await;
    let listed = listed.with_context(|| {
        format!("the FederatedTypeConfigs in {system_namespace}; --system-namespace says where")
    })?;
    let read = listed.items.iter().map(|config| {
        Ok(Federated {
            name: config.name_any(),
            types: config.read()?,
        })
    });
    read.collect()
}

/// The federated type that `name` means: its target or itself, as kubectl takes types.
///
/// # Errors
/// There is none; what can be done is said.
pub(crate) async fn find(host: &Client, system_namespace: &str, name: &str) -> Result<Federated> {
    let all = all(host, system_namespace).await?;
    if let Some(found) = all.iter().find(|federated| federated.is_called(name)) {
        return Ok(found.clone());
    }
    // Short names and singulars are the API server's to know.
    let resource = resource_type::find(host, name).await?;
    let full = resource.full_name();
    let meant = all.into_iter().find(|federated| {
        let own = &federated.types.federated;
        federated.name == full || format!("{}.{}", own.plural, own.group) == full
    });
    meant.with_context(|| format!("{full} is not federated: 'meridian enable {full}' makes it so"))
}

/// The federated object that a command is about.
///
/// # Errors
/// Its type is not federated, or there is none of that name.
pub(crate) async fn object(which: &cli::Which) -> Result<Found> {
    let config = kubeconfig::host(&which.host).await?;
    let namespace = which.namespace.as_deref();
    let namespace = namespace.unwrap_or(&config.default_namespace).to_owned();
    let host = kubeconfig::client(config)?;
    let federated = find(&host, &which.host.system_namespace, &which.type_name).await?;
    let key = federated.key(&namespace, &which.name);
    let api = federated.api(&host, &key);
    let Some(object) = api.get_opt(&key.name).await? else {
        let kind = &federated.types.federated.kind;
        bail!("there is no {kind} {key} on the host; -n names another namespace");
    };
    Ok(Found {
        host,
        federated,
        key,
        object,
    })
}

impl Federated {
    fn is_called(&self, name: &str) -> bool {
        let lower = name.to_lowercase();
        let sides = [&self.types.target, &self.types.federated];
        let names = sides.iter().flat_map(|resource| {
            let (kind, plural) = (resource.kind.to_lowercase(), resource.plural.clone());
            let full = format!("{plural}.{}", resource.group);
            [kind, plural, full]
        });
        lower == self.name || names.into_iter().any(|known| known == lower)
    }

    /// Where an object of that name is on the host: a FederatedNamespace is in its own namespace.
    pub(crate) fn key(&self, namespace: &str, name: &str) -> ObjectKey {
        match (self.types.is_namespace(), self.types.federated_namespaced) {
            (true, _) => ObjectKey::new(name, name),
            (false, true) => ObjectKey::new(namespace, name),
            (false, false) => ObjectKey::new("", name),
        }
    }

    /// Where federated objects of this type are read and written.
    pub(crate) fn api(&self, host: &Client, key: &ObjectKey) -> Api<DynamicObject> {
        let resource = &self.types.federated;
        match self.types.federated_namespaced {
            true => Api::namespaced_with(host.clone(), &key.namespace, resource),
            false => Api::all_with(host.clone(), resource),
        }
    }
}

impl Found {
    /// Where it is read and written.
    pub(crate) fn api(&self) -> Api<DynamicObject> {
        self.federated.api(&self.host, &self.key)
    }

    /// Kind and name, for people.
    pub(crate) fn what(&self) -> String {
        format!("{} {}", self.federated.types.federated.kind, self.key)
    }
}
