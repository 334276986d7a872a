//! The host is asked itself before anything is taken away from a member.
//!
//! A cache may be far behind, and what it has not heard of is perhaps wanted again.
//!
//! # Guarantees
//! The federated object is asked for each time. What many objects depend on, which are the labels of
//! members and the placement of a namespace, is asked for at most once in [`FRESH`] where it agrees with the cache, and believed for as long.
//! # Caveats
//! What changes after the answer comes too late, as it would for whoever deletes by hand.

use crate::Error;
use crate::context::Context;
use crate::federated_object::host_api;
use crate::wake::FederatedKey;
use api::KubeFedCluster;
use federation::{Action, Plan};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;
use kube::api::{Api, DynamicObject, ListParams};
use kube::{Client, ResourceExt};
use model::ObjectKey;
use std::collections::{BTreeMap, HashMap};
use std::time::Duration;
use tokio::sync::Mutex;
use tokio::time::{Instant, timeout};

/// How long an answer is believed.
const FRESH: Duration = Duration::from_secs(1);
/// How long the host may take.
const DEADLINE: Duration = Duration::from_secs(5);

/// The labels of every registered member.
type Labels = BTreeMap<String, BTreeMap<String, String>>;

/// What the host said of what many objects depend on, and when it was asked.
#[derive(Default)]
pub(crate) struct Answers {
    labels: Mutex<Option<(Instant, Labels)>>,
    namespaces: Mutex<HashMap<ObjectKey, (Instant, Option<ObjectMeta>)>>,
}

/// Whether a plan takes something away, and all that it was made of is still so; [`Error::Behind`]
/// where it is not.
pub(crate) async fn is_still_wanted(
    context: &Context,
    key: &FederatedKey,
    known: &DynamicObject,
    plan: &Plan,
) -> Result<(), Error> {
    let takes_away = |action: &Action| matches!(action, Action::Delete(_) | Action::Release(_));
    let steps = plan.steps.iter();
    let losing: Vec<&str> = steps
        .filter(|(_, step)| takes_away(&step.action))
        .map(|(name, _)| name.as_str())
        .collect();
    if losing.is_empty() {
        return Ok(());
    }
    let same = object_is_same(context, key, known).await?
        && namespace_is_same(context, key).await?
        && labels_are_same(context, &losing).await?;
    match same {
        true => Ok(()),
        false => Err(Error::Behind),
    }
}

async fn object_is_same(
    context: &Context,
    key: &FederatedKey,
    known: &DynamicObject,
) -> Result<bool, Error> {
    let Some(api) = host_api(context, key) else {
        return Ok(true);
    };
    let now = ask(api.get_opt(&key.object.name)).await?;
    Ok(is_same(
        now.map(|now| now.metadata).as_ref(),
        Some(&known.metadata),
    ))
}

/// The FederatedNamespace that says where an object may go.
async fn namespace_is_same(context: &Context, key: &FederatedKey) -> Result<bool, Error> {
    let (Some(cache), Some(own)) = (context.namespaces(), context.type_cache(&key.type_name))
    else {
        return Ok(true);
    };
    if !own.named.federated.target_namespaced {
        return Ok(true);
    }
    let at = ObjectKey::new(&key.object.namespace, &key.object.namespace);
    let federated = FederatedKey {
        type_name: cache.named.name.clone(),
        object: at.clone(),
    };
    let Some(api) = host_api(context, &federated) else {
        return Ok(true);
    };
    let known = cache.get(&at);
    let known = known.as_ref().map(|known| &known.metadata);
    let mut answers = context.answers.namespaces.lock().await;
    answers.retain(|_, (asked, _)| asked.elapsed() < FRESH);
    if answers
        .get(&at)
        .is_some_and(|(_, now)| is_same(now.as_ref(), known))
    {
        return Ok(true);
    }
    let asked = Instant::now();
    let now = ask(api.get_opt(&at.name)).await?.map(|now| now.metadata);
    let same = is_same(now.as_ref(), known);
    answers.insert(at, (asked, now));
    Ok(same)
}

/// Whether members still have the labels, by which placements choose.
async fn labels_are_same(context: &Context, losing: &[&str]) -> Result<bool, Error> {
    let host = &context.host;
    let known = host.clusters.state();
    let known = known.iter().map(|it| (it.name_any(), it.labels()));
    let known: Vec<_> = known
        .filter(|(name, _)| losing.contains(&name.as_str()))
        .collect();
    let are_same =
        |now: &Labels| (known.iter()).all(|(name, labels)| now.get(name) == Some(labels));
    let mut answer = context.answers.labels.lock().await;
    let fresh = answer.as_ref().filter(|(asked, _)| asked.elapsed() < FRESH);
    if fresh.is_some_and(|(_, now)| are_same(now)) {
        return Ok(true);
    }
    let asked = Instant::now();
    let now = labels(host.client.clone(), &host.system_namespace).await?;
    let same = are_same(&now);
    *answer = Some((asked, now));
    Ok(same)
}

async fn labels(client: Client, namespace: &str) -> Result<Labels, Error> {
    let api = Api::<KubeFedCluster>::namespaced(client, namespace);
    let members = ask(api.list_metadata(&ListParams::default())).await?;
    let labels = members.items.iter();
    Ok(labels
        .map(|it| (it.name_any(), it.labels().clone()))
        .collect())
}

async fn ask<T>(request: impl Future<Output = kube::Result<T>>) -> Result<T, Error> {
    let answer = timeout(DEADLINE, request).await;
    Ok(answer.map_err(|_| Error::HostTimedOut)??)
}

fn is_same(now: Option<&ObjectMeta>, known: Option<&ObjectMeta>) -> bool {
    match (now, known) {
        (None, None) => true,
        (Some(now), Some(known)) => {
            now.uid == known.uid
                && now.generation == known.generation
                && now.annotations == known.annotations
                && now.deletion_timestamp == known.deletion_timestamp
        }
        _ => false,
    }
}
