//! What a person decides: orphaning, confirmed deletions, fail-back, the failover brake, and a host
//! that stands in for another. Each is an annotation that the controller reads.

use super::federated_type::{self, Found};
use crate::{cli, kubeconfig, output};
use anyhow::{Context, Result, bail, ensure};
use api::{KubeFedCluster, KubeFedConfig, ReplicaSchedulingPreference, names};
use federation::{
    ANNOTATION_ADOPTED_HOSTS, ANNOTATION_CONFIRMED, ANNOTATION_FAILBACK,
    ANNOTATION_FAILOVER_RELEASED, ANNOTATION_ORPHAN,
};
use k8s_openapi::jiff::Timestamp;
use kube::api::{Patch, PatchParams, PostParams};
use kube::{Api, Client, ResourceExt};
use serde_json::{Value, json};
use std::collections::BTreeSet;

/// Runs `meridian orphan`.
///
/// # Errors
/// There is no such object.
pub(crate) async fn orphan(args: cli::Orphan) -> Result<()> {
    let (which, value) = match &args.command {
        cli::OrphanCommand::Status(args) => return orphan_status(args).await,
        cli::OrphanCommand::Enable(which) => (which, json!("true")),
        cli::OrphanCommand::Disable(which) => (which, Value::Null),
    };
    let found = federated_type::object(which).await?;
    let kept = !value.is_null();
    annotate(&found, ANNOTATION_ORPHAN, value).await?;
    eprintln!(
        "{}: when it is deleted, what was propagated {}",
        found.what(),
        if kept { "stays" } else { "goes as well" }
    );
    Ok(())
}

async fn orphan_status(args: &cli::OrphanStatus) -> Result<()> {
    let found = federated_type::object(&args.which).await?;
    let kept = found.object.annotations().get(ANNOTATION_ORPHAN);
    let word = match kept.map(String::as_str) == Some("true") {
        true => "Enabled",
        false => "Disabled",
    };
    if args.output == cli::Output::Table {
        output::print(&format!("{word}\n"));
        return Ok(());
    }
    let told = json!({
        "kind": found.federated.types.federated.kind,
        "namespace": found.key.namespace, "name": found.key.name, "orphaning": word,
    });
    output::structured(args.output, &told)
}

/// Runs `meridian confirm`.
///
/// # Errors
/// Nothing waits for it.
pub(crate) async fn confirm(args: cli::Confirm) -> Result<()> {
    let found = federated_type::object(&args.which).await?;
    let conditions = found.object.data["status"]["conditions"].as_array();
    let braked = conditions
        .into_iter()
        .flatten()
        .find(|condition| condition["type"] == "DeletionBraked" && condition["status"] == "True");
    let Some(braked) = braked else {
        bail!(
            "{}: no deletion of it is stopped, so there is nothing to confirm",
            found.what()
        );
    };
    let clusters = match args.cluster.is_empty() {
        true => "*".to_owned(),
        false => args.cluster.join(","),
    };
    let generation = found.object.metadata.generation.unwrap_or_default();
    let confirmed = json!(format!("{generation}:{clusters}"));
    annotate(&found, ANNOTATION_CONFIRMED, confirmed).await?;
    let everywhere = match clusters.as_str() {
        "*" => "everywhere",
        some => some,
    };
    eprintln!(
        "{}: confirmed for {everywhere} as of generation {generation}; what was stopped: {}",
        found.what(),
        braked["message"].as_str().unwrap_or_default()
    );
    Ok(())
}

/// Runs `meridian failback`.
///
/// # Errors
/// No preference divides the object's replicas, or the host does not know a cluster.
pub(crate) async fn failback(args: cli::Failback) -> Result<()> {
    let found = federated_type::object(&args.which).await?;
    let (namespace, name) = (&found.key.namespace, &found.key.name);
    let api = Api::<ReplicaSchedulingPreference>::namespaced(found.host.clone(), namespace);
    let Some(preference) = api.get_opt(name).await? else {
        bail!(
            "there is no ReplicaSchedulingPreference {namespace}/{name}: no replicas of {} move",
            found.what()
        );
    };
    let known: BTreeSet<String> = preference
        .status
        .iter()
        .flat_map(|status| &status.clusters)
        .map(|cluster| cluster.name.clone())
        .collect();
    for cluster in &args.cluster {
        ensure!(
            known.contains(cluster),
            "--cluster {cluster}: the preference divides over {}",
            Vec::from_iter(known).join(", ")
        );
    }
    let clusters = match args.cluster.is_empty() {
        true => "*".to_owned(),
        false => args.cluster.join(","),
    };
    let request = format!("{} {clusters}", now());
    let patch = json!({"metadata": {"annotations": {ANNOTATION_FAILBACK: request}}});
    api.patch(name, &PatchParams::default(), &Patch::Merge(patch))
        .await
        .with_context(|| format!("ReplicaSchedulingPreference {namespace}/{name}"))?;
    eprintln!(
        "{}: replicas return to {}, in steps, made before broken; the request counts for an hour",
        found.what(),
        if clusters == "*" {
            "every healthy cluster"
        } else {
            &clusters
        }
    );
    Ok(())
}

/// Runs `meridian failover`.
///
/// # Errors
/// The host refuses it.
pub(crate) async fn failover(args: cli::Failover) -> Result<()> {
    let cli::FailoverCommand::Release(release) = args.command;
    let reason = release.reason.trim();
    ensure!(
        !reason.is_empty(),
        "--reason: say why; it is told in an Event"
    );
    let host = kubeconfig::client(kubeconfig::host(&release.host).await?)?;
    let value = format!("{} {reason}", now());
    let namespace = &release.host.system_namespace;
    annotate_settings(&host, namespace, ANNOTATION_FAILOVER_RELEASED, &value).await?;
    eprintln!("the failover brake is open for an hour: {reason}");
    Ok(())
}

/// Runs `meridian drain`.
///
/// # Errors
/// There is no such member.
pub(crate) async fn drain(args: cli::Drain) -> Result<()> {
    let cluster = set_drain(&args, true).await?;
    eprintln!(
        "{}: new answers no longer name it; when the last one that did has outlived its TTL, its \
         replicas leave as others become ready. DNS moves no connection that is open",
        args.name
    );
    super::get::print_cluster(args.output, cluster)
}

/// Runs `meridian uncordon`.
///
/// # Errors
/// There is no such member.
pub(crate) async fn uncordon(args: cli::Drain) -> Result<()> {
    let cluster = set_drain(&args, false).await?;
    eprintln!("{}: traffic and, in steps, replicas return", args.name);
    super::get::print_cluster(args.output, cluster)
}

async fn set_drain(args: &cli::Drain, drain: bool) -> Result<KubeFedCluster> {
    let host = kubeconfig::client(kubeconfig::host(&args.host).await?)?;
    let namespace = &args.host.system_namespace;
    let clusters = Api::<KubeFedCluster>::namespaced(host, namespace);
    ensure!(
        clusters.get_opt(&args.name).await?.is_some(),
        "there is no KubeFedCluster {namespace}/{}; 'meridian get clusters' lists them",
        args.name
    );
    let patch = json!({"spec": {"drain": drain}});
    clusters
        .patch(&args.name, &PatchParams::default(), &Patch::Merge(patch))
        .await
        .with_context(|| format!("KubeFedCluster {namespace}/{}", args.name))
}

/// Runs `meridian adopt-host`.
///
/// # Errors
/// The uid is this host's own, or none.
pub(crate) async fn adopt_host(args: cli::AdoptHost) -> Result<()> {
    let uid = args.from.trim();
    let fits = |c: char| c.is_ascii_alphanumeric() || c == '-';
    ensure!(
        !uid.is_empty() && uid.chars().all(fits),
        "--from {uid:?} is no uid: statuses name it, and 'kubectl get namespace kube-system -o \
         jsonpath={{.metadata.uid}}' prints a host's (where the scope is Namespaced, that of the \
         system namespace)"
    );
    let host = kubeconfig::client(kubeconfig::host(&args.host).await?)?;
    let namespace = &args.host.system_namespace;
    let own = super::join::control_plane(&host, namespace).await?.uid;
    ensure!(own != uid, "{uid} is this host's own uid");
    let configs = Api::<KubeFedConfig>::namespaced(host.clone(), namespace);
    let config = configs.get_opt(names::CONFIG_NAME).await?;
    let before = config.and_then(|config| {
        let annotations = config.annotations();
        annotations.get(ANNOTATION_ADOPTED_HOSTS).cloned()
    });
    let before = before.unwrap_or_default();
    let mut uids: BTreeSet<&str> = before.split(',').map(str::trim).collect();
    uids.remove("");
    uids.insert(uid);
    let value = Vec::from_iter(uids).join(",");
    annotate_settings(&host, namespace, ANNOTATION_ADOPTED_HOSTS, &value).await?;
    eprintln!("this host stands in for {uid}: what that one propagated is taken over");
    Ok(())
}

pub(super) async fn annotate(found: &Found, annotation: &str, value: Value) -> Result<()> {
    let patch = json!({"metadata": {"annotations": {annotation: value}}});
    let patched = found
        .api()
        .patch(
            &found.key.name,
            &PatchParams::default(),
            &Patch::Merge(patch),
        )
        .await;
    patched.with_context(|| found.what())?;
    Ok(())
}

/// Annotates the settings; where nothing was ever set, they come to be.
async fn annotate_settings(
    host: &Client,
    namespace: &str,
    annotation: &str,
    value: &str,
) -> Result<()> {
    let configs = Api::<KubeFedConfig>::namespaced(host.clone(), namespace);
    let patch = json!({"metadata": {"annotations": {annotation: value}}});
    let patched = configs
        .patch(
            names::CONFIG_NAME,
            &PatchParams::default(),
            &Patch::Merge(patch),
        )
        .await;
    let what = || format!("KubeFedConfig {namespace}/{}", names::CONFIG_NAME);
    match patched {
        Err(kube::Error::Api(status)) if status.code == 404 => {
            let mut config =
                KubeFedConfig::new(names::CONFIG_NAME, api::KubeFedConfigSpec::default());
            config
                .annotations_mut()
                .insert(annotation.to_owned(), value.to_owned());
            let created = configs.create(&PostParams::default(), &config).await;
            created.with_context(what)?;
        }
        patched => drop(patched.with_context(what)?),
    }
    Ok(())
}

/// The time, as requests in annotations are dated.
fn now() -> String {
    let now = Timestamp::now();
    Timestamp::from_second(now.as_second())
        .unwrap_or(now)
        .to_string()
}
