//! Types that are no longer federated: their objects on the host go when they are deleted.
//!
//! # Guarantees
//! Nothing is written to members: what they hold stays. An object keeps the finalizer until it is
//! deleted, so that a type that is enabled again owes what it owed before; a deletion does not wait
//! for a controller that looks no more, but for the next look at the fleet.
//! # Assumptions
//! Only the leader releases. Types that are disabled are few: their metadata is listed, in pages, at
//! each look at the fleet.
//! # Caveats
//! A type whose FederatedTypeConfig was deleted is known to the process that knew it before. After
//! a restart its objects wait until the type is enabled, and disabled, once more.

use crate::context::Context;
use crate::type_configs::is_enabled;
use crate::wake::NamedType;
use api::FederatedTypeConfig;
use federation::FINALIZER;
use futures::{StreamExt, stream};
use kube::api::{DynamicObject, ListParams, PartialObjectMeta, Patch, PatchParams};
use kube::{Api, ResourceExt};
use serde_json::json;
use std::collections::BTreeMap;
use std::time::Duration;
use tokio::time::timeout;

/// Objects that are released at once.
const RELEASES_MAX: usize = 8;
/// Objects in one page of a list.
const PAGE: u32 = 500;
/// How long the host may take to answer.
const DEADLINE: Duration = Duration::from_secs(5);

/// Types that were federated, by the names of their FederatedTypeConfigs.
#[derive(Default)]
pub(crate) struct Releasing {
    types: BTreeMap<String, NamedType>,
}

impl Releasing {
    /// Learns which types run and which are disabled, and which of those that ran do no longer.
    pub(crate) fn learn(
        &mut self,
        before: &BTreeMap<String, NamedType>,
        now: &BTreeMap<String, NamedType>,
        disabled: BTreeMap<String, NamedType>,
    ) {
        let gone = before.clone().into_iter();
        self.types.extend(gone.chain(disabled));
        self.types.retain(|name, _| !now.contains_key(name));
    }

    /// Lets go what is being deleted.
    pub(crate) async fn release(&mut self, context: &Context) {
        let mut vanished = Vec::new();
        for (name, named) in &self.types {
            match release_type(context, named).await {
                Ok(Type::Served) => {}
                Ok(Type::Vanished) => vanished.push(name.clone()),
                Err(error) => {
                    tracing::warn!(%name, %error, "objects of a type that is disabled wait");
                }
            }
        }
        self.types.retain(|name, _| !vanished.contains(name));
    }
}

/// Whether the host still knows a type.
enum Type {
    Served,
    Vanished,
}

/// Takes the finalizer off every object of a type that is being deleted.
async fn release_type(context: &Context, named: &NamedType) -> Result<Type, crate::Error> {
    let all = context.host.federated(&named.federated.federated);
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
        if !held.is_empty() && is_federated_again(context, named).await? {
            return Ok(Type::Served);
        }
        let releases = held
            .into_iter()
            .map(|object| release_one(context, named, object));
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
async fn is_federated_again(context: &Context, named: &NamedType) -> Result<bool, crate::Error> {
    let namespace = &context.host.system_namespace;
    let configs = Api::<FederatedTypeConfig>::namespaced(context.host.client.clone(), namespace);
    let asked = timeout(DEADLINE, configs.get_opt(&named.name)).await;
    let config = asked.map_err(|_| crate::Error::HostTimedOut)??;
    Ok(config.is_some_and(|config| is_enabled(&config)))
}

/// Under the version that was listed: whoever changed the finalizers meanwhile is not overwritten.
async fn release_one(
    context: &Context,
    named: &NamedType,
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
    let resource = &named.federated.federated;
    let api: Api<DynamicObject> = match object.namespace() {
        Some(namespace) => Api::namespaced_with(client, &namespace, resource),
        None => Api::all_with(client, resource),
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
