//! `meridian federate`: an existing object of the host becomes a federated one.

use super::{enable, federated_type};
use crate::cli;
use crate::manifests::{self, Manifest};
use crate::output::Progress;
use crate::{kubeconfig, output};
use anyhow::{Context, Result, bail};
use api::FederatedType;
use kube::api::{DynamicObject, ListParams};
use kube::{Api, Client, ResourceExt};
use serde_json::Value;
use std::path::Path;

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
    if let Some(file) = &args.filename {
        let form = args.output.unwrap_or(cli::ManifestOutput::Yaml);
        return output::manifests(form, of_file(&host, &args, file).await?);
    }
    let made = of_host(&host, &args, &namespace).await?;
    let dry = args.dry_run.then_some(cli::ManifestOutput::Yaml);
    if let Some(form) = args.output.or(dry) {
        return output::manifests(form, made);
    }
    let (progress, all) = (Progress::new(), made.len());
    for (done, object) in made.into_iter().enumerate() {
        let manifest = Manifest::made(object);
        progress.say(&format!("creating {} of {all}", done + 1));
        manifests::create(&host, &manifest).await?;
        progress.say("");
        eprintln!(
            "{} {}/{} created, placed in every member",
            manifest.kind(),
            manifest.namespace(),
            manifest.name()
        );
    }
    Ok(())
}

/// What objects of the host become.
async fn of_host(host: &Client, args: &cli::Federate, namespace: &str) -> Result<Vec<Value>> {
    let (Some(type_name), Some(name)) = (&args.type_name, &args.name) else {
        bail!("give TYPE and NAME, or -f FILE");
    };
    let system = &args.host.system_namespace;
    if args.enable_type && federated_type::find(host, system, type_name).await.is_err() {
        enable::enable(cli::Enable::of(&args.host, type_name)).await?;
    }
    let federated = federated_type::find(host, system, type_name).await?.types;
    let mut made = vec![one(host, &federated, namespace, name).await?];
    if args.contents {
        if !federated.is_namespace() {
            bail!("--contents is for namespaces");
        }
        let mut skipped = Vec::new();
        for type_name in &args.skip_api_resources {
            skipped.push(federated_type::find(host, system, type_name).await?.name);
        }
        let progress = Progress::new();
        for of in federated_type::all(host, system).await? {
            progress.say(&format!("reading {} of {name}", of.types.target.plural));
            if of.types.target_namespaced && !skipped.contains(&of.name) {
                made.extend(contents(host, &of.types, name).await?);
            }
        }
    }
    Ok(made)
}

/// What objects of a file become; nothing is read of the host but which types are federated.
async fn of_file(host: &Client, args: &cli::Federate, file: &Path) -> Result<Vec<Value>> {
    let (source, text) = match file.as_os_str() == "-" {
        true => (
            "standard input".to_owned(),
            std::io::read_to_string(std::io::stdin()),
        ),
        false => (file.display().to_string(), std::fs::read_to_string(file)),
    };
    let types = federated_type::all(host, &args.host.system_namespace).await?;
    let mut made = Vec::new();
    for manifest in manifests::read(&source, &text.with_context(|| source.clone())?)? {
        let found = types.iter().find(|federated| {
            let target = &federated.types.target;
            target.kind == manifest.kind() && target.api_version == manifest.api_version()
        });
        let Some(found) = found else {
            bail!(
                "{}: {} {} is not federated: 'meridian enable' makes a type so",
                manifest.place(),
                manifest.api_version(),
                manifest.kind()
            );
        };
        made.push(api::federate(&manifest.object, &found.types));
    }
    Ok(made)
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
