//! Nothing is moved while the other controller runs.
//!
//! Whether a lock is held is seen, not computed: times in it are of another machine's clock. A holder
//! that lives renews it within its own duration.

use crate::output::Progress;
use anyhow::{Result, bail};
use controller::kubefed_lock::{KUBEFED, holder};
use k8s_openapi::api::apps::v1::Deployment;
use kube::api::DynamicObject;
use kube::core::{ApiResource, GroupVersionKind};
use kube::runtime::wait::await_condition;
use kube::{Api, Client, ResourceExt};
use std::time::Duration;
use tokio::time::timeout;

/// A lock that is longer than this is watched no longer.
const WATCHED_MAX: Duration = Duration::from_secs(60);

/// Refuses while KubeFed's Deployment has Pods, or its lock is renewed.
///
/// # Errors
/// It runs, or the host does not say.
pub(super) async fn refuse_while_kubefed_runs(host: &Client, namespace: &str) -> Result<()> {
    let deployments = Api::<Deployment>::namespaced(host.clone(), namespace);
    if let Some(deployment) = deployments.get_opt(KUBEFED).await? {
        let wanted = deployment.spec.and_then(|spec| spec.replicas).unwrap_or(1);
        let there = deployment
            .status
            .and_then(|status| status.replicas)
            .unwrap_or(0);
        if wanted > 0 || there > 0 {
            bail!(
                "KubeFed runs: Deployment {namespace}/{KUBEFED} has {} replicas. Stop it first; \
                 what members run stays as it is: 'kubectl -n {namespace} scale deployment \
                 {KUBEFED} --replicas=0'",
                wanted.max(there)
            );
        }
    }
    let locks = [
        ("coordination.k8s.io", "Lease"),
        ("", "ConfigMap"),
        ("", "Endpoints"),
    ];
    for (group, kind) in locks {
        let lock = Lock::new(host, namespace, group, kind, KUBEFED);
        if let Some(holder) = lock.is_renewed().await? {
            bail!(
                "KubeFed runs: {holder} renews its lock, {kind} {namespace}/{KUBEFED}. Stop it \
                 first; what members run stays as it is"
            );
        }
    }
    Ok(())
}

/// Refuses while a controller of meridian's leads.
///
/// # Errors
/// It does, or the host does not say.
pub(super) async fn refuse_while_meridian_runs(host: &Client, namespace: &str) -> Result<()> {
    let name = controller::controller::LEASE_NAME;
    let lock = Lock::new(host, namespace, "coordination.k8s.io", "Lease", name);
    if let Some(holder) = lock.is_renewed().await? {
        bail!(
            "meridian runs: {holder} renews the Lease {namespace}/{name}. Stop it first; what \
             members run stays as it is"
        );
    }
    Ok(())
}

struct Lock {
    api: Api<DynamicObject>,
    name: String,
}

impl Lock {
    fn new(host: &Client, namespace: &str, group: &str, kind: &str, name: &str) -> Self {
        let resource = match kind {
            // It has no plural by any rule.
            "Endpoints" => ApiResource::from_gvk_with_plural(
                &GroupVersionKind::gvk(group, "v1", kind),
                "endpoints",
            ),
            kind => ApiResource::from_gvk(&GroupVersionKind::gvk(group, "v1", kind)),
        };
        Self {
            api: Api::namespaced_with(host.clone(), namespace, &resource),
            name: name.to_owned(),
        }
    }

    /// Who renews the lock, if anybody does.
    async fn is_renewed(&self) -> Result<Option<String>> {
        let Some(lock) = self.api.get_opt(&self.name).await? else {
            return Ok(None);
        };
        let Some((holder, duration)) = held(&lock) else {
            return Ok(None);
        };
        let progress = Progress::new();
        progress.say(&format!(
            "watching the lock of {holder} for {} s, which it would renew",
            duration.as_secs()
        ));
        let seen = lock.resource_version();
        let renewed = move |lock: Option<&DynamicObject>| {
            lock.is_some_and(|lock| lock.resource_version() != seen)
        };
        let waiting = await_condition(self.api.clone(), &self.name, renewed);
        Ok(match timeout(duration, waiting).await {
            Err(_) => None,
            Ok(changed) => changed?.as_ref().and_then(held).map(|(holder, _)| holder),
        })
    }
}

/// Who holds a lock, and how long it is watched.
fn held(lock: &DynamicObject) -> Option<(String, Duration)> {
    holder(lock).map(|(holder, duration)| (holder, duration.min(WATCHED_MAX)))
}
