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
use api::{Condition, KubeFedConfig};
use kube::api::DynamicObject;
use kube::core::{ApiResource, GroupVersionKind};
use kube::{Api, Client, Resource, ResourceExt};
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
    let about = About {
        api_version: KubeFedConfig::api_version(&()).into_owned(),
        kind: KubeFedConfig::kind(&()).into_owned(),
        namespace: config.namespace().unwrap_or_default(),
        name: config.name_any(),
        uid: config.uid().unwrap_or_default(),
    };
    context.events.tell(&about, Tone::Warning, RUNS, message);
}

/// One lock, and what was seen of it.
struct Lock {
    api: Api<DynamicObject>,
    /// In words.
    named: String,
    version: Option<String>,
    renewed: Option<Instant>,
}

impl Lock {
    fn new(client: &Client, namespace: &str, group: &str, kind: &str) -> Self {
        let resource = ApiResource::from_gvk(&GroupVersionKind::gvk(group, "v1", kind));
        Self {
            api: Api::namespaced_with(client.clone(), namespace, &resource),
            named: format!("{kind} {namespace}/{KUBEFED}"),
            version: None,
            renewed: None,
        }
    }

    fn forget(&mut self) {
        (self.version, self.renewed) = (None, None);
    }

    /// Who renews it, if anybody does.
    async fn look(&mut self) -> Option<String> {
        let lock = match timeout(DEADLINE, self.api.get_opt(KUBEFED)).await {
            Ok(Ok(lock)) => lock,
            // Not known: what was seen holds until it is too old.
            Ok(Err(error)) => {
                tracing::debug!(%error, lock = %self.named, "KubeFed's lock is not told");
                None
            }
            Err(_) => None,
        };
        if let Some(version) = lock.as_ref().and_then(ResourceExt::resource_version)
            && self.version.as_ref() != Some(&version)
        {
            // The first look shows only that it is there.
            self.renewed = self.version.is_some().then(Instant::now);
            self.version = Some(version);
        }
        let lasts = self.renewed.is_some_and(|at| at.elapsed() < RESTS);
        // One that was given back is nobody's.
        let (holder, _) = holder(lock.as_ref()?)?;
        lasts.then(|| format!("{holder} renews its lock, {}", self.named))
    }
}
