//! Who has to look again when something changed: the queues, and what feeds them.

use crate::echoes::Echoes;
use crate::members::Change;
use crate::queue::Queue;
use api::FederatedType;
use model::ObjectKey;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::{Notify, broadcast};
use tokio::time::Instant;

/// A federated object: the name of its FederatedTypeConfig, and its own.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(crate) struct FederatedKey {
    /// `deployments.apps`.
    pub(crate) type_name: Arc<str>,
    /// Namespace and name on the host.
    pub(crate) object: ObjectKey,
}

/// How many news a slow listener may be behind; who is further behind is told so and looks at all.
const NEWS_MAX: usize = 4096;

/// How long the progress of a workload waits while much is to be done: what a thousand of them say
/// of each of their steps would keep them from taking these.
pub(crate) const PROGRESS_WAIT: Duration = Duration::from_millis(200);

/// Something that more than one listener wants to know.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum News {
    /// An object of a type appeared, changed or went, in some member.
    MemberObject(FederatedKey),
    /// An object of a type has a new status in some member, while much is to be done.
    MemberProgress(FederatedKey),
    /// A namespace appeared in a member: what waited for it can go on.
    MemberNamespace(ObjectKey),
    /// A lane has a complete list of a type, by the name of its FederatedTypeConfig.
    LaneSynced(String),
    /// A member does not let us read a type, by the name of its FederatedTypeConfig.
    LaneDenied(String),
    /// A federated object on the host changed.
    Federated(FederatedKey),
    /// A FederatedNamespace changed.
    FederatedNamespace(ObjectKey),
    /// A KubeFedCluster, a Secret, a FederatedTypeConfig or the settings changed.
    Fleet,
    /// A ReplicaSchedulingPreference changed.
    Preference(ObjectKey),
    /// A GlobalService changed.
    GlobalService(ObjectKey),
    /// A Zone changed.
    Zone(ObjectKey),
    /// An Override changed.
    Override(ObjectKey),
    /// A ClusterOverride changed.
    ClusterOverride(ObjectKey),
    /// A ServiceDNSRecord changed.
    ServiceRecord(ObjectKey),
    /// An IngressDNSRecord changed.
    IngressRecord(ObjectKey),
    /// A DNSEndpoint changed.
    DnsEndpoint(ObjectKey),
    /// A Domain changed.
    Domain,
    /// A ProbeReport changed.
    Report,
    /// A MemberTombstone changed.
    Tombstone,
}

/// See the module.
pub(crate) struct Wake {
    /// Federated objects to reconcile.
    pub(crate) objects: Queue<FederatedKey>,
    /// The set of members, clients or lanes may have to change.
    pub(crate) fleet: Notify,
    /// What is no news, since this process wrote it.
    pub(crate) echoes: Echoes,
    news: broadcast::Sender<News>,
}

impl Wake {
    pub(crate) fn new() -> Self {
        Self {
            objects: Queue::new(),
            fleet: Notify::new(),
            echoes: Echoes::default(),
            news: broadcast::channel(NEWS_MAX).0,
        }
    }

    /// Everything that happens from now on.
    pub(crate) fn listen(&self) -> broadcast::Receiver<News> {
        self.news.subscribe()
    }

    /// Tells all listeners.
    pub(crate) fn tell(&self, news: News) {
        if news == News::Fleet {
            self.fleet.notify_one();
        }
        // Nobody listens before the reconcilers run; then everything is looked at anyway.
        drop(self.news.send(news));
    }

    /// A federated object on the host changed.
    pub(crate) fn federated_object(&self, federated: &NamedType, object: ObjectKey) {
        if federated.federated.is_namespace() {
            self.tell(News::FederatedNamespace(object.clone()));
        }
        let key = FederatedKey {
            type_name: Arc::clone(&federated.name),
            object,
        };
        self.objects.add(key.clone());
        self.tell(News::Federated(key));
    }

    /// An object in a member changed.
    pub(crate) fn member_object(&self, federated: &NamedType, key: &ObjectKey, change: Change) {
        if change == Change::None {
            return;
        }
        let is_namespace = federated.federated.is_namespace();
        if is_namespace && change == Change::Appeared {
            self.tell(News::MemberNamespace(key.clone()));
        }
        let key = FederatedKey {
            type_name: Arc::clone(&federated.name),
            object: federated_key(&federated.federated, key),
        };
        if change == Change::Progress && self.objects.is_busy() {
            self.objects
                .add_at(key.clone(), Instant::now() + PROGRESS_WAIT);
            self.tell(News::MemberProgress(key));
            return;
        }
        self.objects.add(key.clone());
        self.tell(News::MemberObject(key));
    }
}

/// A federated type with the name of its FederatedTypeConfig.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct NamedType {
    pub(crate) name: Arc<str>,
    pub(crate) federated: FederatedType,
}

/// The federated object's key for a target's: a FederatedNamespace lives in its own namespace.
pub(crate) fn federated_key(federated: &FederatedType, target: &ObjectKey) -> ObjectKey {
    match federated.is_namespace() {
        true => ObjectKey::new(&target.name, &target.name),
        false => target.clone(),
    }
}

/// The target's key for a federated object's.
pub(crate) fn target_key(federated: &FederatedType, object: &ObjectKey) -> ObjectKey {
    match federated.target_namespaced {
        true => object.clone(),
        false => ObjectKey::new("", &object.name),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn deployments() -> NamedType {
        let configs = api::federated_type_configs("system");
        let config = configs
            .iter()
            .find(|it| it.metadata.name.as_deref() == Some("deployments.apps"));
        NamedType {
            name: "deployments.apps".into(),
            federated: config.expect("it is shipped").read().expect("it reads"),
        }
    }

    #[tokio::test(start_paused = true)]
    async fn progress_waits_while_much_is_to_be_done_and_a_change_does_not() {
        let (wake, named) = (Wake::new(), deployments());
        let object = |name: &str| ObjectKey::new("shop", name);
        let mut news = wake.listen();
        let began = Instant::now();
        wake.member_object(&named, &object("alone"), Change::Progress);
        let told = news.recv().await;
        assert!(
            matches!(told, Ok(News::MemberObject(_))),
            "nothing else is to be done"
        );
        // Now that one waits.
        wake.member_object(&named, &object("web"), Change::Progress);
        assert!(matches!(news.recv().await, Ok(News::MemberProgress(_))));
        wake.member_object(&named, &object("shop"), Change::Changed);
        assert!(matches!(news.recv().await, Ok(News::MemberObject(_))));
        let mut order = Vec::new();
        for _ in 0..3 {
            let key = wake.objects.next().await;
            wake.objects.done(&key);
            order.push((key.object.name.to_string(), began.elapsed()));
        }
        let at_once = |name: &str| (name.to_owned(), Duration::ZERO);
        let later = ("web".to_owned(), PROGRESS_WAIT);
        assert_eq!(order, [at_once("alone"), at_once("shop"), later]);
    }
}
