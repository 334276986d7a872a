//! `meridian enable` and `meridian disable`: which types are federated.

use super::resource_type::{self, ResourceType};
use crate::cli;
use crate::manifests::{self, Manifest};
use crate::{kubeconfig, output};
use anyhow::{Context, Result, bail, ensure};
use api::{
    ControllerStatus, FederatedTypeConfig, FederatedTypeConfigSpec, Replicas, Scope, Switch,
    TypeResource, federated_crd_with, names, plural_of, template_schema,
};
use k8s_openapi::apiextensions_apiserver::pkg::apis::apiextensions::v1::CustomResourceDefinition;
use kube::api::{DeleteParams, DynamicObject, ListParams, Patch, PatchParams};
use kube::runtime::wait::await_condition;
use kube::{Api, Client, ResourceExt};
use serde_json::{Value, json};
use std::time::Duration;
use tokio::time::timeout;

/// How long the leader may take to say that it reconciles a type no more.
const REST_PATIENCE: Duration = Duration::from_secs(20);

/// What makes a type federated.
struct Enabled {
    crd: CustomResourceDefinition,
    config: FederatedTypeConfig,
}

/// Runs `meridian enable`.
///
/// # Errors
/// The type is not served, is not for federating, or the host refuses what makes it so.
pub(crate) async fn enable(args: cli::Enable) -> Result<()> {
    let host = Client::try_from(kubeconfig::host(&args.host).await?)?;
    let args = directed(args)?;
    let type_name = args
        .type_name
        .as_deref()
        .context("give a TYPE, or -f FILE")?;
    let version = args.version.as_deref();
    let target = resource_type::find_version(&host, type_name, version).await?;
    let enabled = enabled(&host, &args, &target).await?;
    let dry = args.dry_run.then_some(cli::ManifestOutput::Yaml);
    if let Some(form) = args.output.or(dry) {
        let crd = tidy(serde_json::to_value(&enabled.crd)?);
        let config = tidy(serde_json::to_value(&enabled.config)?);
        return output::manifests(form, vec![crd, config]);
    }
    manifests::install_crd(&host, &enabled.crd).await?;
    let config = Manifest::made(serde_json::to_value(&enabled.config)?);
    manifests::apply(&host, &config).await?;
    if args.federated_group != names::TYPES_GROUP {
        eprintln!(
            "note: {} is no group of deploy/cluster's roles and deploy/webhook's rules: add it to both \
             where you use them",
            args.federated_group
        );
    }
    let kind = &enabled.config.spec.federated_type.kind;
    eprintln!(
        "{} is federated: write objects of kind {kind}, or 'meridian federate {} NAME'",
        target.full_name(),
        target.full_name(),
    );
    Ok(())
}

/// What kubefedctl's EnableTypeDirective says, where one is given.
fn directed(mut args: cli::Enable) -> Result<cli::Enable> {
    let Some(file) = &args.filename else {
        return Ok(args);
    };
    let source = file.display().to_string();
    let text = std::fs::read_to_string(file).with_context(|| source.clone())?;
    let documents = manifests::read(&source, &text)?;
    let [directive] = documents.as_slice() else {
        bail!("{source}: one EnableTypeDirective is wanted");
    };
    ensure!(
        directive.kind() == "EnableTypeDirective",
        "{}: kind is {}: an EnableTypeDirective is wanted",
        directive.place(),
        directive.kind()
    );
    let spec = &directive.object["spec"];
    let text = |field: &str| spec[field].as_str().filter(|text| !text.is_empty());
    args.type_name = Some(directive.name().to_owned());
    args.version = text("targetVersion").map(str::to_owned).or(args.version);
    if let Some(group) = text("federatedGroup") {
        group.clone_into(&mut args.federated_group);
    }
    if let Some(version) = text("federatedVersion") {
        version.clone_into(&mut args.federated_version);
    }
    Ok(args)
}

async fn enabled(host: &Client, args: &cli::Enable, target: &ResourceType) -> Result<Enabled> {
    ensure!(
        !target.is_ours(),
        "{} is one of meridian's own types, which are for the host alone",
        target.full_name()
    );
    let config = config(args, target);
    let federated = config.read()?;
    let template = match schema(host, target).await {
        Ok(schema) => schema,
        Err(why) => {
            eprintln!("{why:#}: templates are taken as they are");
            json!({"type": "object", "x-kubernetes-preserve-unknown-fields": true})
        }
    };
    let short_name = target.short_name.as_ref().map(|name| format!("f{name}"));
    let crd = federated_crd_with(&federated, short_name.as_deref(), target.replicas, template);
    Ok(Enabled { crd, config })
}

/// The definition of a federated type that is configured already, with the target's schema.
///
/// # Errors
/// The host does not serve the target, or does not say its schema.
pub(super) async fn definition(
    host: &Client,
    config: &FederatedTypeConfig,
) -> Result<CustomResourceDefinition> {
    let target = resource_type::find(host, &config.name_any()).await?;
    let template = schema(host, &target).await?;
    let short_name = target.short_name.as_ref().map(|name| format!("f{name}"));
    let federated = config.read()?;
    Ok(federated_crd_with(
        &federated,
        short_name.as_deref(),
        target.replicas,
        template,
    ))
}

fn config(args: &cli::Enable, target: &ResourceType) -> FederatedTypeConfig {
    let kind = format!("Federated{}", target.resource.kind);
    let is_namespace = target.resource.group.is_empty() && target.resource.kind == "Namespace";
    let collects = target.replicas == Replicas::Counted;
    let spec = FederatedTypeConfigSpec {
        target_type: target.resource.clone(),
        propagation: Switch::Enabled,
        federated_type: TypeResource {
            group: args.federated_group.clone(),
            version: args.federated_version.clone(),
            plural_name: plural_of(&kind),
            kind,
            scope: match is_namespace {
                true => Scope::Namespaced,
                false => target.resource.scope,
            },
        },
        status_type: None,
        status_collection: collects.then_some(Switch::Enabled),
    };
    let mut config = FederatedTypeConfig::new(&target.full_name(), spec);
    config.metadata.namespace = Some(args.host.system_namespace.clone());
    config
}

/// The schema of templates, from what the host knows of the target: of a custom type its
/// definition, since what is published of it follows a moment later.
async fn schema(host: &Client, target: &ResourceType) -> Result<Value> {
    let definitions = Api::<CustomResourceDefinition>::all(host.clone());
    let definition = definitions.get_opt(&target.full_name()).await;
    if let Ok(Some(definition)) = definition
        && let Some(document) = document_of(&definition, &target.resource)?
    {
        return read_schema(&document, target);
    }
    let path = target.open_api_path();
    let request = http::Request::get(&path).body(Vec::new())?;
    let document: Value = host
        .request(request)
        .await
        .with_context(|| format!("no schema of {} at {path}", target.full_name()))?;
    read_schema(&document, target)
}

fn read_schema(document: &Value, target: &ResourceType) -> Result<Value> {
    let TypeResource {
        group,
        version,
        kind,
        ..
    } = &target.resource;
    Ok(template_schema(document, group, version, kind)?)
}

/// What the host will publish of a custom type, if it has a schema.
fn document_of(
    definition: &CustomResourceDefinition,
    resource: &TypeResource,
) -> Result<Option<Value>> {
    let mut versions = definition.spec.versions.iter();
    let version = versions.find(|version| version.name == resource.version);
    let schema = version.and_then(|version| version.schema.as_ref()?.open_api_v3_schema.as_ref());
    let Some(schema) = schema else {
        return Ok(None);
    };
    let mut schema = serde_json::to_value(schema)?;
    schema["x-kubernetes-group-version-kind"] = json!([{
        "group": resource.group, "version": resource.version, "kind": resource.kind,
    }]);
    Ok(Some(json!({"components": {"schemas": {"it": schema}}})))
}

/// A manifest without what only a server writes.
fn tidy(mut object: Value) -> Value {
    if let Some(fields) = object.as_object_mut() {
        fields.remove("status");
    }
    object
}

/// Runs `meridian disable`. Nothing is deleted in members: what was propagated stays there, as it
/// is.
///
/// # Errors
/// The type is not federated; with `--delete-crd`, objects of it are left.
pub(crate) async fn disable(args: cli::Disable) -> Result<()> {
    let host = Client::try_from(kubeconfig::host(&args.host).await?)?;
    let namespace = &args.host.system_namespace;
    let configs = Api::<FederatedTypeConfig>::namespaced(host.clone(), namespace);
    let name = match configs.get_opt(&args.type_name).await? {
        Some(config) => config.name_any(),
        None => resource_type::find(&host, &args.type_name)
            .await?
            .full_name(),
    };
    let Some(config) = configs.get_opt(&name).await? else {
        bail!("{name} is not federated: there is no FederatedTypeConfig {namespace}/{name}");
    };
    refuse_another(&args, &config.spec)?;
    let federated = config.read()?.federated;
    if args.delete_crd {
        refuse_while_objects_are_left(&host, &federated).await?;
    }
    if args.dry_run {
        eprintln!("{name} would no longer be federated; nothing was done");
        return Ok(());
    }
    let off = json!({"spec": {"propagation": Switch::Disabled}});
    configs
        .patch(&name, &PatchParams::default(), &Patch::Merge(off))
        .await
        .with_context(|| format!("FederatedTypeConfig {name}"))?;
    until_it_rests(&configs, &name).await?;
    configs.delete(&name, &DeleteParams::default()).await?;
    if args.delete_crd {
        let crd = format!("{}.{}", federated.plural, federated.group);
        Api::<CustomResourceDefinition>::all(host)
            .delete(&crd, &DeleteParams::default())
            .await
            .with_context(|| format!("CRD {crd}"))?;
    }
    eprintln!("{name} is no longer federated; what members hold stays as it is");
    Ok(())
}

/// Groups and versions that were given are those of what is federated.
fn refuse_another(args: &cli::Disable, spec: &FederatedTypeConfigSpec) -> Result<()> {
    let (target, federated) = (&spec.target_type, &spec.federated_type);
    for (flag, given, is) in [
        ("version", &args.version, &target.version),
        ("federated-group", &args.federated_group, &federated.group),
        (
            "federated-version",
            &args.federated_version,
            &federated.version,
        ),
    ] {
        let fits = given.as_ref().is_none_or(|given| given == is);
        ensure!(
            fits,
            "--{flag}: {} is federated with {is}",
            target.plural_name
        );
    }
    Ok(())
}

/// Until the leader has said that it reconciles the type no more; without one that says so, for
/// [`REST_PATIENCE`].
async fn until_it_rests(configs: &Api<FederatedTypeConfig>, name: &str) -> Result<()> {
    let rests = |config: Option<&FederatedTypeConfig>| {
        config.is_none_or(|config| {
            let generation = config.metadata.generation.unwrap_or(0);
            config.status.as_ref().is_some_and(|status| {
                status.observed_generation >= generation
                    && status.propagation_controller == ControllerStatus::NotRunning
            })
        })
    };
    let waited = await_condition(configs.clone(), name, rests);
    match timeout(REST_PATIENCE, waited).await {
        Ok(Ok(_)) => {}
        Ok(Err(why)) => return Err(why).with_context(|| format!("FederatedTypeConfig {name}")),
        Err(_) => eprintln!(
            "no controller said within {} s that it reconciles {name} no more",
            REST_PATIENCE.as_secs()
        ),
    }
    Ok(())
}

/// A CRD takes its objects along, and theirs would wait for a controller that is gone.
async fn refuse_while_objects_are_left(
    host: &Client,
    federated: &kube::core::ApiResource,
) -> Result<()> {
    let all = Api::<DynamicObject>::all_with(host.clone(), federated);
    let some = all.list(&ListParams::default().limit(1)).await?;
    let Some(first) = some.items.first() else {
        return Ok(());
    };
    bail!(
        "there are objects of kind {} still, such as {}/{}: delete them first, or leave out \
         --delete-crd",
        federated.kind,
        first.namespace().unwrap_or_default(),
        first.name_any()
    );
}
