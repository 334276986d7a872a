//! `meridian unjoin`: a cluster is no longer a member. Its workloads stay, unless `--purge` is said.

mod purge;

use crate::{cli, kubeconfig};
use anyhow::{Context, Result, bail, ensure};
use api::{ConfigScope, KubeFedCluster};
use k8s_openapi::api::core::v1::{Secret, ServiceAccount};
use k8s_openapi::api::rbac::v1::{ClusterRole, ClusterRoleBinding, Role, RoleBinding};
use kube::api::{DeleteParams, Preconditions};
use kube::{Api, Client, Config, Resource, ResourceExt};
use serde::de::DeserializeOwned;
use std::fmt::Debug;
use std::time::Duration;

/// How long a member may take to be told.
const MEMBER_PATIENCE: Duration = Duration::from_secs(10);

/// Runs the command: first the member's rights, with a kubeconfig of the member's own
/// administrator where one is given, then the KubeFedCluster and its Secret.
///
/// # Errors
/// There is no such member; it cannot be reached and `--force` was not given.
pub(crate) async fn run(args: cli::Unjoin) -> Result<()> {
    let host = Client::try_from(kubeconfig::host(&args.host).await?)?;
    let namespace = &args.host.system_namespace;
    let clusters = Api::<KubeFedCluster>::namespaced(host.clone(), namespace);
    let Some(cluster) = clusters.get_opt(&args.name).await? else {
        let all = clusters.list(&Default::default()).await?;
        let names: Vec<String> = all.iter().map(ResourceExt::name_any).collect();
        bail!(
            "{:?} is no member; members are: {}",
            args.name,
            names.join(", ")
        );
    };
    let purge = match args.purge {
        true => Some(purge::Purge::plan(&host, &args.host, &cluster).await?),
        false => None,
    };
    if let Some(purge) = &purge {
        purge.print(args.output)?;
    }
    if args.dry_run {
        eprintln!(
            "{} would be no member any more; nothing was done",
            args.name
        );
        return Ok(());
    }
    let file = args
        .cluster_kubeconfig
        .as_deref()
        .or(args.host.kubeconfig.as_deref());
    let context = args.cluster_context.as_deref();
    let member = kubeconfig::member(file, context, &args.name).await;
    let member = member.and_then(|config| match context {
        Some(_) => Ok(config),
        None => is_it(config, &cluster),
    });
    let member = match member {
        Err(why) if !args.force => return Err(untold(why, &args.name)),
        member => member,
    };
    if let Some(purge) = &purge {
        purge.carry_out(&clusters).await?;
    }
    let revoked = match member {
        Ok(config) => revoke(&host, namespace, config).await,
        Err(why) => Err(why),
    };
    match revoked {
        Ok(()) => {}
        Err(why) if args.force => eprintln!(
            "{why:#}: the service account in {} is left; its token is deleted on the host",
            args.name
        ),
        Err(why) => return Err(untold(why, &args.name)),
    }
    forget(&host, namespace, &cluster).await?;
    let rest = match args.purge {
        true => "what was propagated to it is gone",
        false => "what was propagated to it stays there",
    };
    eprintln!("{} is no member any more; {rest}", args.name);
    Ok(())
}

fn untold(why: anyhow::Error, name: &str) -> anyhow::Error {
    why.context(format!(
        "{name} cannot be told, and is a member still. --force leaves its account as it is"
    ))
}

/// The KubeFedCluster and its Secret go.
async fn forget(host: &Client, namespace: &str, cluster: &KubeFedCluster) -> Result<()> {
    let clusters = Api::<KubeFedCluster>::namespaced(host.clone(), namespace);
    // The controller forgets the member when it goes; objects that are owed to it go with it.
    delete(&clusters, &cluster.name_any(), cluster).await?;
    let secrets = Api::<Secret>::namespaced(host.clone(), namespace);
    let name = &cluster.spec.secret_ref.name;
    if let Some(secret) = secrets.get_opt(name).await? {
        delete(&secrets, name, &secret).await?;
    }
    Ok(())
}

/// A context that nobody named is the member's only if it leads there: another member knows this
/// host's account as well.
fn is_it(config: Config, cluster: &KubeFedCluster) -> Result<Config> {
    let (found, wanted) = (config.cluster_url.to_string(), &cluster.spec.api_endpoint);
    ensure!(
        found.trim_end_matches('/') == wanted.trim_end_matches('/'),
        "the kubeconfig leads to {found}, and the member is at {wanted}: give --cluster-context"
    );
    Ok(config)
}

/// In the member: the service account of this host and its rights.
async fn revoke(host: &Client, namespace: &str, config: Config) -> Result<()> {
    let member = Client::try_from(config)?;
    let us = super::join::control_plane(host, namespace).await?;
    let account = super::join::account(&us.uid);
    let revoking = async {
        // As they were granted: who has rights in one namespace only could not ask for more.
        match us.scope {
            ConfigScope::Cluster => {
                remove(&Api::<ClusterRoleBinding>::all(member.clone()), &account).await?;
                remove(&Api::<ClusterRole>::all(member.clone()), &account).await?;
            }
            ConfigScope::Namespaced => {
                let bindings = Api::<RoleBinding>::namespaced(member.clone(), namespace);
                remove(&bindings, &account).await?;
                let roles = Api::<Role>::namespaced(member.clone(), namespace);
                remove(&roles, &account).await?;
            }
        }
        let secrets = Api::<Secret>::namespaced(member.clone(), namespace);
        remove(&secrets, &format!("{account}-token")).await?;
        let accounts = Api::<ServiceAccount>::namespaced(member, namespace);
        remove(&accounts, &account).await
    };
    match tokio::time::timeout(MEMBER_PATIENCE, revoking).await {
        Ok(done) => done,
        Err(_) => bail!("no answer within {} s", MEMBER_PATIENCE.as_secs()),
    }
}

/// Deletes what may be gone already.
async fn remove<K>(api: &Api<K>, name: &str) -> Result<()>
where
    K: Resource<DynamicType = ()> + Clone + DeserializeOwned + Debug,
{
    match api.delete(name, &DeleteParams::default()).await {
        Ok(_) => Ok(()),
        Err(kube::Error::Api(status)) if status.code == 404 => Ok(()),
        Err(why) => Err(why).with_context(|| format!("{} {name}", K::kind(&()))),
    }
}

/// Deletes an object, and not another that has taken its name.
async fn delete<K>(api: &Api<K>, name: &str, found: &K) -> Result<()>
where
    K: Resource<DynamicType = ()> + Clone + DeserializeOwned + Debug,
{
    let parameters = DeleteParams {
        preconditions: Some(Preconditions {
            uid: found.uid(),
            resource_version: None,
        }),
        ..DeleteParams::default()
    };
    let deleted = api.delete(name, &parameters).await;
    deleted.with_context(|| format!("{} {name}", K::kind(&())))?;
    Ok(())
}
