//! The members as a command reaches them: with the credentials that the host keeps.

use super::federated_type::Federated;
use crate::cli;
use anyhow::{Context, Result};
use api::KubeFedCluster;
use controller::ControlPlane;
use federation::LABEL_MANAGED;
use futures::future::join_all;
use k8s_openapi::api::core::v1::Secret;
use kube::api::{DynamicObject, ListParams};
use kube::{Api, Client, ResourceExt};
use model::{ClusterName, ObjectKey};
use std::collections::BTreeMap;
use std::time::Duration;
use tokio::time::timeout;

/// How long a member may take for one answer.
pub(crate) const DEADLINE: Duration = Duration::from_secs(10);
/// Objects in one page of a list.
const PAGE: u32 = 500;

/// A member that can be asked.
pub(crate) struct Reached {
    pub(crate) name: ClusterName,
    pub(crate) requests: Client,
}

/// Every member whose credentials read; of the others it is said why not.
///
/// # Errors
/// The host does not say who they are.
pub(crate) async fn reached(host: &Client, args: &cli::Host) -> Result<Vec<Reached>> {
    let (namespace, plugins) = (&args.system_namespace, args.exec_plugins());
    let clusters = Api::<KubeFedCluster>::namespaced(host.clone(), namespace);
    let secrets = Api::<Secret>::namespaced(host.clone(), namespace);
    let mut reached = Vec::new();
    for cluster in clusters.list(&ListParams::default()).await?.items {
        let secret = secrets.get_opt(&cluster.spec.secret_ref.name).await?;
        match controller::reach(&cluster, secret.as_ref(), &plugins) {
            Ok(connection) => reached.push((cluster.name_any(), connection)),
            Err(why) => eprintln!("{} cannot be asked: {why}", cluster.name_any()),
        }
    }
    // All of their programs run by now.
    let reached = reached.into_iter().map(|(name, connection)| async move {
        connection.credentialed().await;
        Reached {
            name: name.into(),
            requests: connection.requests,
        }
    });
    Ok(join_all(reached).await)
}

/// What a member holds of a type that carries the label of propagated objects.
///
/// # Errors
/// The member's own words, or that it does not answer.
pub(crate) async fn managed(
    member: &Client,
    us: &ControlPlane,
    federated: &Federated,
) -> Result<Vec<DynamicObject>> {
    let types = &federated.types;
    let labels = format!("{LABEL_MANAGED}=true");
    match us.all_with(member, &types.target, types.target_namespaced) {
        Some(api) => pages(&api, &ListParams::default().labels(&labels)).await,
        None => Ok(Vec::new()),
    }
}

/// The federated objects of a type on the host: uid by the target's key.
///
/// # Errors
/// The host does not say.
pub(crate) async fn wanted(
    host: &Client,
    us: &ControlPlane,
    federated: &Federated,
) -> Result<BTreeMap<ObjectKey, String>> {
    let all = objects(host, us, federated).await?;
    let wanted = all.iter().map(|object| {
        let namespace = object.namespace().unwrap_or_default();
        let key = match federated.types.target_namespaced {
            true => ObjectKey::new(&namespace, &object.name_any()),
            false => ObjectKey::new("", &object.name_any()),
        };
        (key, object.uid().unwrap_or_default())
    });
    Ok(wanted.collect())
}

/// The federated objects of a type on the host.
///
/// # Errors
/// The host does not say.
pub(crate) async fn objects(
    host: &Client,
    us: &ControlPlane,
    federated: &Federated,
) -> Result<Vec<DynamicObject>> {
    let types = &federated.types;
    // A FederatedNamespace is in a namespace, and what it makes is not.
    let namespaced = types.federated_namespaced && types.target_namespaced;
    let Some(api) = us.all_with(host, &types.federated, namespaced) else {
        return Ok(Vec::new());
    };
    let listed = pages(&api, &ListParams::default()).await;
    listed.with_context(|| format!("{} of the host", federated.types.federated.plural))
}

/// Where an object of a member is.
pub(crate) fn target_key(object: &DynamicObject) -> ObjectKey {
    let namespace = object.namespace().unwrap_or_default();
    ObjectKey::new(&namespace, &object.name_any())
}

/// All pages of a list; of a type that is not served there are none.
async fn pages(api: &Api<DynamicObject>, list: &ListParams) -> Result<Vec<DynamicObject>> {
    let mut all = Vec::new();
    let mut list = list.clone().limit(PAGE);
    loop {
        let page = match timeout(DEADLINE, api.list(&list)).await {
            Ok(Err(kube::Error::Api(status))) if status.code == 404 => return Ok(all),
            answered => answered.with_context(|| format!("no answer within {DEADLINE:?}"))??,
        };
        all.extend(page.items);
        match page.metadata.continue_.filter(|token| !token.is_empty()) {
            Some(token) => list = list.continue_token(&token),
            None => return Ok(all),
        }
    }
}
