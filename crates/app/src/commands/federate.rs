//! `meridian federate`: an existing object of the host becomes a federated one.

use super::resource_type;
use crate::cli;
use crate::manifests::{self, Manifest};
use crate::{kubeconfig, output};
use anyhow::{Context, Result, bail};
use api::{FederatedType, FederatedTypeConfig};
use kube::api::{DynamicObject, ListParams};
use kube::{Api, Client, ResourceExt};
use serde_json::Value;

/// Runs the command.
///
/// # Errors
/// The type is not federated, the object is not there, or the host refuses what is made.
pub(crate) async fn run(args: cli::Federate) -> Result<()> {
    let config = kubeconfig::host(&args.host).await?;
    let namespace = match &args.namespace {
        Some(namespace) => namespace.clone(),
        None => config.default_namespace.clone(),
    };
    let host = Client::try_from(config)?;
    let configs = Api::<FederatedTypeConfig>::namespaced(host.clone(), &args.host.system_namespace);
    let types = configs.list(&ListParams::default()).await?.items;
    let target = resource_type::find(&host, &args.type_name).await?;
    let Some(config) = types
        .iter()
        .find(|config| config.name_any() == target.full_name())
    else {
        bail!(
            "{0} is not federated: 'meridian enable {0}' makes it so",
            target.full_name()
        );
    };
    let federated = config.read()?;
    let mut made = vec![one(&host, &federated, &namespace, &args.name).await?];
    if args.contents {
        if !federated.is_namespace() {
            bail!("--contents is for namespaces");
        }
        for config in &types {
            let of = config.read()?;
            if of.target_namespaced {
                made.extend(contents(&host, &of, &args.name).await?);
            }
        }
    }
    if let Some(form) = args.output {
        return output::manifests(form, made);
    }
    for object in made {
        let manifest = Manifest::made(object);
        manifests::create(&host, &manifest).await?;
        eprintln!(
            "{} {}/{} created, placed in every member",
            manifest.kind(),
            manifest.namespace(),
            manifest.name()
        );
    }
    Ok(())
}

/// The federated object of one.
async fn one(
    host: &Client,
    federated: &FederatedType,
    namespace: &str,
    name: &str,
) -> Result<Value> {
    let targets = match federated.target_namespaced {
        true => Api::<DynamicObject>::namespaced_with(host.clone(), namespace, &federated.target),
        false => Api::all_with(host.clone(), &federated.target),
    };
    let kind = &federated.target.kind;
    let object = targets
        .get(name)
        .await
        .with_context(|| format!("{kind} {name} on the host"))?;
    Ok(api::federate(&with_type(object, federated)?, federated))
}

/// The federated objects of all that users made in a namespace. What belongs to another object, or
/// is made anew in every namespace, is not theirs.
async fn contents(host: &Client, federated: &FederatedType, namespace: &str) -> Result<Vec<Value>> {
    let targets = Api::<DynamicObject>::namespaced_with(host.clone(), namespace, &federated.target);
    let found = targets
        .list(&ListParams::default())
        .await
        .with_context(|| format!("{} of {namespace}", federated.target.plural))?;
    found
        .items
        .into_iter()
        .filter(|object| object.owner_references().is_empty() && !is_given(object, federated))
        .map(|object| Ok(api::federate(&with_type(object, federated)?, federated)))
        .collect()
}

/// What the control plane puts into every namespace.
fn is_given(object: &DynamicObject, federated: &FederatedType) -> bool {
    match federated.target.kind.as_str() {
        "ServiceAccount" => object.name_any() == "default",
        "ConfigMap" => object.name_any() == "kube-root-ca.crt",
        "Secret" => object.data["type"] == "kubernetes.io/service-account-token",
        _ => false,
    }
}

/// A list's items come without their type.
fn with_type(object: DynamicObject, federated: &FederatedType) -> Result<Value> {
    let mut value = serde_json::to_value(object)?;
    value["apiVersion"] = federated.target.api_version.clone().into();
    value["kind"] = federated.target.kind.clone().into();
    Ok(value)
}
