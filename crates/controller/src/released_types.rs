//! Types that are no longer federated: their objects on the host go when they are deleted.
//!
//! # Guarantees
//! Nothing is written to members: what they hold stays. An object keeps the finalizer until it is
//! deleted, so that a type that is enabled again owes what it owed before; a deletion does not wait
//! for a controller that looks no more, but for the next look at the fleet.
//! # Assumptions
//! Only the leader releases. Types that are disabled are few: their metadata is listed, in pages, at
//! each look at the fleet. Federated kinds that no FederatedTypeConfig names, since it was deleted
//! before this process began, are looked for once in [`SEARCH`].
//! # Caveats
//! Of those, only kinds in the group of federated types are found.

use crate::context::Context;
use crate::type_configs::is_enabled;
use crate::wake::NamedType;
use api::names::{TYPES_GROUP, TYPES_VERSION};
use api::{ConfigScope, FederatedTypeConfig};
use federation::FINALIZER;
use futures::{StreamExt, stream};
use kube::api::{DynamicObject, ListParams, PartialObjectMeta, Patch, PatchParams};
use kube::core::ApiResource;
use kube::{Api, ResourceExt};
use serde_json::json;
use std::collections::BTreeMap;
use std::time::Duration;
use tokio::time::{Instant, timeout};

/// Objects that are released at once.
const RELEASES_MAX: usize = 8;
/// Objects in one page of a list.
const PAGE: u32 = 500;
/// Between two searches for kinds that nobody names.
const SEARCH: Duration = Duration::from_secs(60);
/// How long the host may take to answer.
const DEADLINE: Duration = Duration::from_secs(5);

/// Federated kinds, by plural and group.
type Kinds = BTreeMap<String, ApiResource>;

/// Kinds that are no longer federated.
#[derive(Default)]
pub(crate) struct Releasing {
    kinds: Kinds,
    /// What is federated.
    federated: Kinds,
    searched: Option<Instant>,
}

impl Releasing {
    /// Learns which types run and which are disabled, and which of those that ran do no longer.
    pub(crate) fn learn(
        &mut self,
        before: &BTreeMap<String, NamedType>,
        now: &BTreeMap<String, NamedType>,
        disabled: &BTreeMap<String, NamedType>,
    ) {
        self.kinds.extend(kinds(before).chain(kinds(disabled)));
        self.federated = kinds(now).collect();
        self.kinds
            .retain(|name, _| !self.federated.contains_key(name));
    }

    /// Lets go what is being deleted.
    pub(crate) async fn release(&mut self, context: &Context) {
        let mut kinds = self.kinds.clone();
        if self.searched.is_none_or(|at| at.elapsed() >= SEARCH) {
            self.searched = Some(Instant::now());
            match served(context).await {
                Ok(served) => kinds.extend(served),
                Err(error) => tracing::debug!(%error, "federated kinds are not told"),
            }
            kinds.retain(|name, _| !self.federated.contains_key(name));
        }
        for (name, kind) in &kinds {
            match release_kind(context, kind).await {
                Ok(Type::Served) => {}
                Ok(Type::Vanished) => drop(self.kinds.remove(name)),
                Err(error) => {
                    tracing::warn!(%name, %error, "objects of a type that is disabled wait");
                }
            }
        }
    }
}

fn kinds(types: &BTreeMap<String, NamedType>) -> impl Iterator<Item = (String, ApiResource)> {
    types.values().map(|named| {
        let kind = &named.federated.federated;
        (full_name(kind), kind.clone())
    })
}

fn full_name(kind: &ApiResource) -> String {
    format!("{}.{}", kind.plural, kind.group)
}

/// All kinds in the group of federated types.
async fn served(context: &Context) -> Result<Kinds, crate::Error> {
    let version = format!("{TYPES_GROUP}/{TYPES_VERSION}");
    let client = &context.host.client;
    let asked = timeout(DEADLINE, client.list_api_group_resources(&version)).await;
    let served = match asked.map_err(|_| crate::Error::HostTimedOut)? {
        Ok(served) => served.resources,
        Err(kube::Error::Api(status)) if status.code == 404 => Vec::new(),
        Err(error) => return Err(error.into()),
    };
    let kinds = served.into_iter().filter(|it| !it.name.contains('/'));
    let within_one = context.host.scope == ConfigScope::Namespaced;
    let kinds = kinds.filter(|it| it.namespaced || !within_one).map(|it| {
        let kind = ApiResource {
            group: TYPES_GROUP.to_owned(),
            version: TYPES_VERSION.to_owned(),
            api_version: version.clone(),
            kind: it.kind,
            plural: it.name,
        };
        (full_name(&kind), kind)
    });
    Ok(kinds.collect())
}

/// Whether the host still knows a type.
enum Type {
    Served,
    Vanished,
}

/// Takes the finalizer off every object of a type that is being deleted.
async fn release_kind(context: &Context, kind: &ApiResource) -> Result<Type, crate::Error> {
    let all = context.host.federated(kind);
    let mut page = ListParams::default().limit(PAGE);
    loop {
        let listed = timeout(DEADLINE, all.list_metadata(&page)).await;
        let listed = match listed.map_err(|_| crate::Error::HostTimedOut)? {
            Ok(listed) => listed,
            // The CRD is gone, and its objects with it.
            Err(kube::Error::Api(status)) if status.code == 404 => return Ok(Type::Vanished),
            Err(error) => return Err(error.into()),
        };
        let held = listed.items.into_iter().filter(|object| {
            let mut finalizers = object.finalizers().iter();
            object.metadata.deletion_timestamp.is_some()
                && finalizers.any(|finalizer| finalizer == FINALIZER)
        });
        let held: Vec<_> = held.collect();
        // What was deleted since somebody enabled the type again goes from the members too.
        if !held.is_empty() && is_federated_again(context, kind).await? {
            return Ok(Type::Served);
        }
        let releases = held
            .into_iter()
            .map(|object| release_one(context, kind, object));
        let mut releases = stream::iter(releases).buffer_unordered(RELEASES_MAX);
        while let Some(answer) = releases.next().await {
            answer?;
        }
        match listed.metadata.continue_ {
            Some(next) if !next.is_empty() => page = page.continue_token(&next),
            _ => return Ok(Type::Served),
        }
    }
}

/// Asks the host itself: the watch may not have told yet.
async fn is_federated_again(context: &Context, kind: &ApiResource) -> Result<bool, crate::Error> {
    let namespace = &context.host.system_namespace;
    let configs = Api::<FederatedTypeConfig>::namespaced(context.host.client.clone(), namespace);
    let asked = timeout(DEADLINE, configs.list(&ListParams::default())).await;
    let configs = asked.map_err(|_| crate::Error::HostTimedOut)??;
    let mut enabled = configs.items.iter().filter(|config| is_enabled(config));
    Ok(enabled.any(|config| {
        let federated = config.read();
        federated.is_ok_and(|it| full_name(&it.federated) == full_name(kind))
    }))
}

/// Under the version that was listed: whoever changed the finalizers meanwhile is not overwritten.
async fn release_one(
    context: &Context,
    kind: &ApiResource,
    object: PartialObjectMeta<DynamicObject>,
) -> Result<(), crate::Error> {
    if !context.leadership.may_write(DEADLINE) {
        return Err(crate::Error::NotLeading);
    }
    let finalizers: Vec<&String> = object
        .finalizers()
        .iter()
        .filter(|finalizer| *finalizer != FINALIZER)
        .collect();
    let patch = json!({"metadata": {
        "uid": object.metadata.uid,
        "resourceVersion": object.metadata.resource_version,
        "finalizers": finalizers,
    }});
    let client = context.host.client.clone();
    let api: Api<DynamicObject> = match object.namespace() {
        Some(namespace) => Api::namespaced_with(client, &namespace, kind),
        None => Api::all_with(client, kind),
    };
    let parameters = PatchParams {
        field_manager: Some(federation::FIELD_MANAGER.to_owned()),
        ..PatchParams::default()
    };
    let (name, patch) = (object.name_any(), Patch::Merge(&patch));
    let patched = timeout(DEADLINE, api.patch_metadata(&name, &parameters, &patch)).await;
    match patched.map_err(|_| crate::Error::HostTimedOut)? {
        Ok(_) => Ok(()),
        Err(kube::Error::Api(status)) if status.code == 404 => Ok(()),
        Err(error) => Err(error.into()),
    }
}
