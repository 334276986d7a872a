//! The fleet: members, clients, lanes and types brought to what the host says, and who is woken.

use crate::context::Context;
use crate::facts::standing;
use crate::released_types::Releasing;
use crate::scope::uid;
use crate::type_configs;
use crate::wake::{FederatedKey, News};
use federation::{ClusterFacts, Readiness};
use futures::{StreamExt, stream};
use kube::ResourceExt;
use model::{ClusterName, ObjectKey};
use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::broadcast::error::RecvError;
use tokio::time::sleep;

/// Members that are asked who they are at once.
const IDENTIFY_MAX: usize = 32;
/// Between two looks, when nothing wakes the fleet: whoever could not be asked is asked again.
const PERIOD: Duration = Duration::from_secs(10);

/// Keeps the fleet for as long as the process runs.
pub(crate) async fn run(context: Arc<Context>) {
    let mut known: BTreeMap<ClusterName, ClusterFacts> = BTreeMap::new();
    let mut obeyed = context.settings();
    let mut releasing = Releasing::default();
    loop {
        learn_host_uid(&context).await;
        let types = type_configs::update(&context, &mut releasing);
        let clusters = context.host.clusters.state();
        let with_secrets: Vec<_> = clusters
            .iter()
            .map(|cluster| {
                let secret = context.host.secret(&cluster.spec.secret_ref.name);
                (Arc::clone(cluster), secret)
            })
            .collect();
        context.members.update(&with_secrets, &types, &context.wake);
        let now: BTreeMap<ClusterName, ClusterFacts> = clusters
            .iter()
            .map(|cluster| (cluster.name_any().into(), standing(cluster)))
            .collect();
        context.metrics.fleet(context.leadership.leads(), &now);
        if now != known {
            welcome_back(&context, &known, &now).await;
            wake_all(&context);
            known = now;
        }
        let settings = context.settings();
        if settings != obeyed {
            wake_all(&context);
            obeyed = settings;
        }
        if context.leadership.leads() {
            type_configs::write_statuses(&context).await;
            releasing.release(&context).await;
        }
        tokio::select! {
            biased;
            () = context.wake.fleet.notified() => {}
            () = sleep(PERIOD) => {}
        }
    }
}

/// The host's identity.
async fn learn_host_uid(context: &Context) {
    if context.host_uid.get().is_some() {
        return;
    }
    let host = &context.host;
    match uid(&host.client, host.scope, &host.system_namespace).await {
        Ok(Some(uid)) => {
            // Only this task sets it.
            drop(context.host_uid.set(uid));
            wake_all(context);
        }
        Ok(None) => {}
        Err(error) => tracing::warn!(%error, "the host does not say who it is"),
    }
}

/// Members that became ready: their watches begin anew, and who they are is asked.
async fn welcome_back(
    context: &Context,
    before: &BTreeMap<ClusterName, ClusterFacts>,
    now: &BTreeMap<ClusterName, ClusterFacts>,
) {
    let ready = |facts: Option<&ClusterFacts>| {
        facts.is_some_and(|facts| facts.readiness == Readiness::Ready)
    };
    let back: Vec<_> = now
        .iter()
        .filter(|(name, facts)| ready(Some(*facts)) && !ready(before.get(*name)))
        .filter_map(|(name, _)| context.members.get(name))
        .collect();
    for member in &back {
        member.breaker.answered();
        // A member that was never away has fresh watches.
        if before.contains_key(&member.name) {
            member.restart_watches();
        }
    }
    stream::iter(back)
        .for_each_concurrent(
            IDENTIFY_MAX,
            |member| async move { member.identify().await },
        )
        .await;
}

/// Every federated object is looked at.
pub(crate) fn wake_all(context: &Context) {
    for name in context.all_types().keys() {
        wake_type(context, name, None);
    }
}

/// The objects of one type, in one namespace or in all.
fn wake_type(context: &Context, name: &str, namespace: Option<&str>) {
    let Some(cache) = context.type_cache(name) else {
        return;
    };
    for object in cache.keys(namespace) {
        let type_name = Arc::clone(&cache.named.name);
        context.wake.objects.add(FederatedKey { type_name, object });
    }
}

/// Wakes federated objects for what they depend on besides themselves.
pub(crate) async fn spread_news(context: Arc<Context>) {
    let mut news = context.wake.listen();
    loop {
        match news.recv().await {
            Ok(News::LaneSynced(type_name)) => {
                let namespaces = context.namespaces();
                match namespaces.is_some_and(|cache| *cache.named.name == *type_name) {
                    // What is in them may have waited for them.
                    true => wake_all(&context),
                    false => wake_type(&context, &type_name, None),
                }
            }
            Ok(News::LaneDenied(type_name)) => wake_type(&context, &type_name, None),
            Ok(News::FederatedNamespace(key) | News::MemberNamespace(key)) => {
                for name in context.all_types().keys() {
                    wake_type(&context, name, Some(&key.name));
                }
            }
            Ok(News::Preference(key)) => wake_target(&context, &key),
            Ok(_) => {}
            Err(RecvError::Lagged(_)) => wake_all(&context),
            Err(RecvError::Closed) => return,
        }
    }
}

/// The object that a preference divides, and its namespace, which may wait for it.
pub(crate) fn wake_target(context: &Context, preference: &ObjectKey) {
    if let Some(cache) = context.namespaces() {
        let type_name = Arc::clone(&cache.named.name);
        let object = ObjectKey::new(&preference.namespace, &preference.namespace);
        context.wake.objects.add(FederatedKey { type_name, object });
    }
    for cache in context.all_types().values() {
        if cache.get(preference).is_some() {
            let type_name = Arc::clone(&cache.named.name);
            let object = preference.clone();
            context.wake.objects.add(FederatedKey { type_name, object });
        }
    }
}
