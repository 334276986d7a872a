//! Deletions owed to members that were away: written in batches, made good when they return.
//!
//! # Guarantees
//! [`Owing::owe`] returns after the host holds the entries, so that a finalizer may go. An entry is
//! made good only against an object whose origin still names the deleted federated object, under
//! its uid and resourceVersion; and not while a federated object that was made anew under that name
//! wants what is there, by the host's own word.
//! # Assumptions
//! One leader.
//! # Caveats
//! After a crash an entry may be owed twice; the second time it is found settled.

use crate::Error;
use crate::context::Context;
use crate::federated_object::host_api;
use crate::host::in_order;
use crate::lease::Leadership;
use crate::members::Cache;
use crate::members::apply::{Target, apply, look};
use crate::read::{Reading, plan_input};
use crate::wake::{FederatedKey, News, federated_key};
use api::{
    FederatedType, MemberTombstone, MemberTombstoneSpec, TOMBSTONE_ENTRIES_MAX, TombstoneItem,
};
use federation::{ClusterOutcome, Host, Replay, TombstoneEntry, has_heir, replay};
use futures::{FutureExt, StreamExt, stream};
use kube::api::{DeleteParams, ObjectMeta, PostParams, Preconditions};
use kube::core::ApiResource;
use kube::{Api, Client};
use model::ClusterName;
use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::{mpsc, oneshot};
use tokio::time::{Instant, sleep_until, timeout, timeout_at};

/// How long entries are collected into one object.
const COLLECT: Duration = Duration::from_millis(100);
/// Requests to owe that wait; more wait for a place.
const WAITING_MAX: usize = 1_000;
/// Entries of one member that are made good at once.
const REPLAYS_MAX: usize = 16;
/// What could not be settled is looked at again after this time.
const AGAIN: Duration = Duration::from_secs(5);
/// How long the host may take.
const DEADLINE: Duration = Duration::from_secs(5);

type Owed = (Vec<TombstoneEntry>, oneshot::Sender<Result<(), Error>>);

/// Where entries are handed in.
pub(crate) struct Owing {
    requests: mpsc::Sender<Owed>,
}

impl Owing {
    /// Starts the task that writes tombstones.
    pub(crate) fn start(client: Client, namespace: &str, leadership: Leadership) -> Self {
        let (requests, receiver) = mpsc::channel(WAITING_MAX);
        let api = Api::namespaced(client, namespace);
        tokio::spawn(collect(api, leadership, receiver));
        Self { requests }
    }

    /// Returns when the host holds the entries.
    pub(crate) async fn owe(&self, entries: Vec<TombstoneEntry>) -> Result<(), Error> {
        let (told, answer) = oneshot::channel();
        if self.requests.send((entries, told)).await.is_err() {
            return Err(Error::NotLeading);
        }
        answer.await.unwrap_or(Err(Error::NotLeading))
    }
}

async fn collect(
    api: Api<MemberTombstone>,
    leadership: Leadership,
    mut requests: mpsc::Receiver<Owed>,
) {
    while let Some(first) = requests.recv().await {
        let mut batch = vec![first];
        let until = Instant::now() + COLLECT;
        while batch.len() < TOMBSTONE_ENTRIES_MAX
            && let Ok(Some(next)) = timeout_at(until, requests.recv()).await
        {
            batch.push(next);
        }
        write(&api, &leadership, batch).await;
    }
}

/// Writes a batch: per member as many objects as it needs; everybody hears the same.
async fn write(api: &Api<MemberTombstone>, leadership: &Leadership, batch: Vec<Owed>) {
    let (entries, waiting): (Vec<_>, Vec<_>) = batch.into_iter().unzip();
    let mut failed = None;
    for tombstone in tombstones(&entries.concat()) {
        let written = create(api, leadership, tombstone).await;
        failed = failed.or(written.err());
    }
    for told in waiting {
        let answer = match &failed {
            None => Ok(()),
            Some(Error::NotLeading) => Err(Error::NotLeading),
            Some(_) => Err(Error::HostTimedOut),
        };
        // Who no longer listens has stopped.
        drop(told.send(answer));
    }
}

/// A member's entries, in as many objects as they need.
fn tombstones(entries: &[TombstoneEntry]) -> Vec<MemberTombstoneSpec> {
    let mut members: BTreeMap<&ClusterName, Vec<TombstoneItem>> = BTreeMap::new();
    for entry in entries {
        members
            .entry(&entry.cluster)
            .or_default()
            .push(entry.into());
    }
    let of = |(cluster, items): (&ClusterName, Vec<TombstoneItem>)| {
        let objects = items.chunks(TOMBSTONE_ENTRIES_MAX);
        let objects = objects.map(|items| MemberTombstoneSpec {
            cluster: cluster.to_string(),
            entries: items.to_vec(),
        });
        objects.collect::<Vec<_>>()
    };
    members.into_iter().flat_map(of).collect()
}

async fn create(
    api: &Api<MemberTombstone>,
    leadership: &Leadership,
    spec: MemberTombstoneSpec,
) -> Result<(), Error> {
    if !leadership.may_write(DEADLINE) {
        return Err(Error::NotLeading);
    }
    let tombstone = MemberTombstone {
        metadata: ObjectMeta {
            generate_name: Some(format!("{}-", spec.cluster)),
            ..ObjectMeta::default()
        },
        spec,
    };
    let parameters = PostParams::default();
    let created = timeout(DEADLINE, api.create(&parameters, &tombstone)).await;
    created.map_err(|_| Error::HostTimedOut)??;
    Ok(())
}

/// Makes good what is owed, whenever a member is back, for as long as the process runs.
pub(crate) async fn run(context: Arc<Context>) {
    let mut news = context.wake.listen();
    let mut leadership = context.leadership.clone();
    loop {
        leadership.until_leading().await;
        let all_settled = settle_all(&context).await;
        let again = match all_settled {
            true => Instant::now() + Duration::from_secs(60),
            false => Instant::now() + AGAIN,
        };
        loop {
            let told = tokio::select! {
                biased;
                () = sleep_until(again) => break,
                told = news.recv() => told,
            };
            match told {
                Ok(News::Tombstone | News::Fleet) => break,
                Ok(_) => {}
                Err(tokio::sync::broadcast::error::RecvError::Lagged(_)) => break,
                Err(tokio::sync::broadcast::error::RecvError::Closed) => return,
            }
        }
    }
}

/// Whether nothing is owed to a member that is there.
async fn settle_all(context: &Arc<Context>) -> bool {
    let ready: HashMap<ClusterName, bool> = context
        .host
        .clusters
        .state()
        .iter()
        .map(|cluster| {
            (
                cluster.metadata.name.clone().unwrap_or_default().into(),
                // What is paused is owed it until it is not.
                cluster.is_ready() && !cluster.spec.paused,
            )
        })
        .collect();
    let mut all_settled = true;
    for tombstone in in_order(&context.host.tombstones) {
        let cluster = ClusterName::from(tombstone.spec.cluster.as_str());
        match ready.get(&cluster) {
            Some(true) => all_settled &= settle(context, &cluster, &tombstone).await,
            Some(false) => {}
            // A member that is no longer registered is owed nothing.
            None => bury(context, &tombstone).await,
        }
    }
    all_settled
}

/// Makes good one tombstone; whether that is done.
async fn settle(
    context: &Arc<Context>,
    cluster: &ClusterName,
    tombstone: &MemberTombstone,
) -> bool {
    let entries = tombstone
        .spec
        .entries
        .iter()
        .map(|item| item.to_entry(cluster.as_str()));
    // Boxed: the compiler cannot see that the closure's future is Send for every lifetime.
    let replays: Vec<_> = entries
        .map(|entry| settle_entry(context, cluster, entry).boxed())
        .collect();
    let settled = stream::iter(replays)
        .buffer_unordered(REPLAYS_MAX)
        // To the last: one that waits keeps no other from being made good.
        .fold(true, async |all, settled| all & settled)
        .await;
    if settled {
        bury(context, tombstone).await;
    }
    settled
}

async fn settle_entry(
    context: &Arc<Context>,
    cluster: &ClusterName,
    entry: TombstoneEntry,
) -> bool {
    let (Some(member), Some(host_uid)) = (context.members.get(cluster), context.host_uid.get())
    else {
        return false;
    };
    let federated = target_of(&entry);
    let cache = Cache::default();
    let target = Target {
        member: &member,
        cache: &cache,
        federated: &federated,
        key: &entry.key,
    };
    let host = Host {
        uid: host_uid.clone(),
        adopted: context.settings().adopted_hosts,
        ..Host::default()
    };
    let seen = look(target).await;
    match replay(&entry, &host, &seen) {
        Replay::Settled => true,
        Replay::Wait => false,
        Replay::Step(_) if !is_without_heir(context, &entry).await => false,
        Replay::Step(step) => {
            let outcome = apply(target, &step.action, &context.leadership).await;
            if outcome != ClusterOutcome::Done {
                return false;
            }
            // What a finalizer in the member keeps is waited for.
            replay(&entry, &host, &look(target).await) == Replay::Settled
        }
    }
}

/// Whether it is known that nobody wants what is there in the deleted object's stead.
async fn is_without_heir(context: &Context, entry: &TombstoneEntry) -> bool {
    let types = context.all_types();
    let named = types.iter().find(|(_, cache)| {
        let target = &cache.named.federated.target;
        (&target.group, &target.kind) == (&entry.group, &entry.kind)
    });
    let Some((type_name, cache)) = named else {
        return true;
    };
    let key = FederatedKey {
        type_name: type_name.as_str().into(),
        object: federated_key(&cache.named.federated, &entry.key),
    };
    // Who has a control plane of its own takes over nothing of this one's.
    let is_namespace = cache.named.federated.is_namespace();
    if !is_namespace && context.host.is_anothers(&key.object.namespace) {
        return true;
    }
    let Some(api) = host_api(context, &key) else {
        return true;
    };
    // A cache may be far behind.
    let now = match timeout(DEADLINE, api.get_opt(&key.object.name)).await {
        Ok(Ok(Some(now))) => now.metadata,
        Ok(Ok(None)) => return true,
        Ok(Err(_)) | Err(_) => return false,
    };
    if now.uid.as_ref() == Some(&entry.origin_object) {
        return true;
    }
    let Reading::Input(read) = plan_input(context, &key).await else {
        return false;
    };
    let known = &read.object.metadata;
    let is_current = (&known.uid, known.generation) == (&now.uid, now.generation);
    is_current && !has_heir(entry, &read.input)
}

/// The target of an entry, whether or not its type is still federated.
fn target_of(entry: &TombstoneEntry) -> FederatedType {
    let api_version = match entry.group.is_empty() {
        true => entry.version.clone(),
        false => format!("{}/{}", entry.group, entry.version),
    };
    let target = ApiResource {
        group: entry.group.clone(),
        version: entry.version.clone(),
        api_version,
        kind: entry.kind.clone(),
        plural: entry.plural.clone(),
    };
    let namespaced = !entry.key.namespace.is_empty();
    FederatedType {
        federated: target.clone(),
        target,
        target_namespaced: namespaced,
        federated_namespaced: namespaced,
        collects_status: false,
    }
}

async fn bury(context: &Context, tombstone: &MemberTombstone) {
    if !context.leadership.may_write(DEADLINE) {
        return;
    }
    let host = &context.host;
    let api: Api<MemberTombstone> = Api::namespaced(host.client.clone(), &host.system_namespace);
    let parameters = DeleteParams {
        preconditions: Some(Preconditions {
            uid: tombstone.metadata.uid.clone(),
            resource_version: None,
        }),
        ..DeleteParams::default()
    };
    let name = tombstone.metadata.name.clone().unwrap_or_default();
    if let Ok(Err(error)) = timeout(DEADLINE, api.delete(&name, &parameters)).await {
        tracing::debug!(%name, %error, "a tombstone was not removed");
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use federation::Owed as Work;
    use model::ObjectKey;

    #[test]
    fn each_member_has_its_own_objects_and_none_of_more_entries_than_it_may_hold() {
        let entry = |cluster: &str, number: usize| TombstoneEntry {
            cluster: cluster.into(),
            group: String::new(),
            version: "v1".to_owned(),
            kind: "ConfigMap".to_owned(),
            plural: "configmaps".to_owned(),
            key: ObjectKey::new("shop", &format!("sale-{number}")),
            origin_object: format!("uid-{number}"),
            owed: Work::Delete,
            options: None,
        };
        let many = 2 * TOMBSTONE_ENTRIES_MAX + 1;
        let entries: Vec<_> = (0..many)
            .flat_map(|number| [entry("b", number), entry("a", number)])
            .chain([entry("c", 0)])
            .collect();
        let made = tombstones(&entries);
        let sizes: Vec<_> = made
            .iter()
            .map(|made| (made.cluster.as_str(), made.entries.len()))
            .collect();
        let max = TOMBSTONE_ENTRIES_MAX;
        let of = |name| [(name, max), (name, max), (name, 1)];
        assert_eq!(sizes, [&of("a")[..], &of("b"), &[("c", 1)]].concat());
        let names = made.iter().filter(|made| made.cluster == "b");
        let names = names.flat_map(|made| made.entries.iter().map(|entry| &entry.name));
        let all: Vec<_> = (0..many).map(|number| format!("sale-{number}")).collect();
        assert!(names.eq(&all), "each once, in their order");
        assert!(tombstones(&[]).is_empty());
    }
}
