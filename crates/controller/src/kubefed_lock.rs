//! KubeFed's own lock: while it is renewed, KubeFed writes the same members.
//!
//! After the move somebody may start it again, by `helm upgrade` or from Git, and the two would put
//! back each other's fields without end. So the leader looks, and says so.
//!
//! # Guarantees
//! Two single objects are read every 20 seconds and nothing is written to them. Times in a lock are of
//! another machine's clock and are not compared: a lock that changes between two looks is renewed.
//! # Assumptions
//! Who holds a lock renews it within a minute; KubeFed's default is 5 s.
//! # Caveats
//! Who may not read a lock learns nothing of it. Of old clusters' Endpoints only `meridian migrate`
//! knows.

use crate::context::Context;
use crate::events::{About, Tone};
use api::Condition;
use kube::api::DynamicObject;
use kube::core::{ApiResource, GroupVersionKind};
use kube::{Api, Client, ResourceExt};
use serde_json::Value;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;
use tokio::time::{Instant, sleep, timeout};

/// The name of KubeFed's Deployment and of its lock.
pub const KUBEFED: &str = "kubefed-controller-manager";
/// Where client-go keeps a lock that is no Lease; KubeFed's default is one in a ConfigMap.
const LOCK_ANNOTATION: &str = "control-plane.alpha.kubernetes.io/leader";
/// Between two looks.
const LOOK: Duration = Duration::from_secs(20);
/// After this time without a renewal KubeFed rests.
const RESTS: Duration = Duration::from_secs(60);
/// How long the host may take to answer.
const DEADLINE: Duration = Duration::from_secs(5);
/// The condition, and the reason of its Event.
const RUNS: &str = "KubeFedRuns";
/// The kinds of lock that are looked at.
const LOCKS: [(&str, &str); 2] = [("coordination.k8s.io", "Lease"), ("", "ConfigMap")];

/// Who holds a lock, and for how long without renewing it; nobody where it was given back.
pub fn holder(lock: &DynamicObject) -> Option<(String, Duration)> {
    let record = match lock.annotations().get(LOCK_ANNOTATION) {
        Some(text) => serde_json::from_str(text).unwrap_or(Value::Null),
        None => lock.data["spec"].clone(),
    };
    let holder = record["holderIdentity"].as_str().unwrap_or_default();
    let secs = record["leaseDurationSeconds"].as_u64().unwrap_or(15);
    (!holder.is_empty()).then(|| (holder.to_owned(), Duration::from_secs(secs)))
}

/// What the leader has seen of KubeFed.
#[derive(Default)]
pub(crate) struct Rival {
    /// In words, while it runs.
    told: Mutex<Option<String>>,
}

impl Rival {
    /// The condition that says so, while it runs.
    pub(crate) fn condition(&self) -> Option<Condition> {
        let message = self.told().clone()?;
        Some(Condition {
            r#type: RUNS.to_owned(),
            status: "True".to_owned(),
            reason: Some(RUNS.to_owned()),
            message: Some(message),
            ..Condition::default()
        })
    }

    fn told(&self) -> MutexGuard<'_, Option<String>> {
        self.told.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Looks at the locks for as long as the process runs.
pub(crate) async fn run(context: Arc<Context>) {
    let (client, namespace) = (&context.host.client, &context.host.system_namespace);
    let mut locks = LOCKS.map(|(group, kind)| Lock::new(client, namespace, group, kind));
    loop {
        let mut renewed = None;
        // Who does not lead looks at nothing, and begins anew when it does.
        match context.leadership.leads() {
            true => {
                for lock in &mut locks {
                    renewed = renewed.or(lock.look().await);
                }
            }
            false => locks.iter_mut().for_each(Lock::forget),
        }
        let message = renewed.map(|who| words(namespace, &who));
        let before = std::mem::replace(&mut *context.rival.told(), message.clone());
        if let Some(message) = message.filter(|_| before.is_none()) {
            tell(&context, &message);
        }
        sleep(LOOK).await;
    }
}

fn words(namespace: &str, who: &str) -> String {
    format!(
        "KubeFed runs: {who}. Two controllers write the same members, and each puts back what the \
         other does; stop KubeFed: 'kubectl -n {namespace} scale deployment {KUBEFED} --replicas=0'"
    )
}

fn tell(context: &Context, message: &str) {
    tracing::warn!("{message}");
    let Some(config) = context.host.config() else {
        return;
    };
    let about = About::of(&*config);
    context.events.tell(&about, Tone::Warning, RUNS, message);
}

/// One lock, and what was seen of it.
struct Lock {
    api: Api<DynamicObject>,
    /// In words.
    named: String,
    watched: Watched,
}

impl Lock {
    fn new(client: &Client, namespace: &str, group: &str, kind: &str) -> Self {
        let resource = ApiResource::from_gvk(&GroupVersionKind::gvk(group, "v1", kind));
        Self {
            api: Api::namespaced_with(client.clone(), namespace, &resource),
            named: format!("{kind} {namespace}/{KUBEFED}"),
            watched: Watched::default(),
        }
    }

    fn forget(&mut self) {
        self.watched = Watched::default();
    }

    /// Who renews it, if anybody does.
    async fn look(&mut self) -> Option<String> {
        match timeout(DEADLINE, self.api.get_opt(KUBEFED)).await {
            Ok(Ok(lock)) => self.watched.see(lock.as_ref(), Instant::now()),
            // Not told: what was seen holds until it is too old.
            Ok(Err(error)) => {
                tracing::debug!(%error, lock = %self.named, "KubeFed's lock is not told");
            }
            Err(_) => tracing::debug!(lock = %self.named, "KubeFed's lock is not told in time"),
        }
        let holder = self.watched.renewed_by(Instant::now())?;
        Some(format!("{holder} renews its lock, {}", self.named))
    }
}

/// What several looks at a lock have shown.
#[derive(Default)]
struct Watched {
    version: Option<String>,
    holder: Option<String>,
    renewed: Option<Instant>,
}

impl Watched {
    fn see(&mut self, lock: Option<&DynamicObject>, now: Instant) {
        let version = lock.and_then(ResourceExt::resource_version);
        // The first look shows only that it is there.
        if version != self.version {
            self.renewed = self.version.is_some().then_some(now);
        }
        self.version = version;
        // One that is gone, or was given back, is nobody's.
        self.holder = lock.and_then(holder).map(|(holder, _)| holder);
    }

    fn renewed_by(&self, now: Instant) -> Option<&str> {
        let lasts = self.renewed.is_some_and(|at| now - at < RESTS);
        self.holder.as_deref().filter(|_| lasts)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn lock(version: &str, holder: &str) -> DynamicObject {
        let lock = json!({"metadata": {"name": KUBEFED, "resourceVersion": version},
            "spec": {"holderIdentity": holder, "leaseDurationSeconds": 15}});
        serde_json::from_value(lock).expect("a lock")
    }

    #[test]
    fn a_lock_is_renewed_when_it_changes_between_looks_and_until_it_rests() {
        let (began, mut watched) = (Instant::now(), Watched::default());
        let at = |secs: u64| began + Duration::from_secs(secs);
        watched.see(Some(&lock("1", "kubefed-0")), at(0));
        assert_eq!(watched.renewed_by(at(0)), None, "it may be years old");
        watched.see(Some(&lock("2", "kubefed-0")), at(20));
        assert_eq!(watched.renewed_by(at(20)), Some("kubefed-0"));
        // Then the host says nothing of it for two looks.
        assert_eq!(watched.renewed_by(at(60)), Some("kubefed-0"));
        watched.see(Some(&lock("2", "kubefed-0")), at(80));
        assert_eq!(watched.renewed_by(at(80)), None, "it rests");
        watched.see(Some(&lock("3", "kubefed-0")), at(100));
        assert_eq!(watched.renewed_by(at(100)), Some("kubefed-0"));
        watched.see(Some(&lock("4", "")), at(120));
        assert_eq!(watched.renewed_by(at(120)), None, "it was given back");
        watched.see(Some(&lock("5", "kubefed-1")), at(140));
        assert_eq!(watched.renewed_by(at(140)), Some("kubefed-1"));
        watched.see(None, at(160));
        assert_eq!(watched.renewed_by(at(160)), None, "it is gone");
    }
}
