//! FederatedTypeConfigs: which types are watched, on the host and in members, from now on.
//!
//! A type that is disabled, or whose FederatedTypeConfig or CRD vanished, is watched no more and
//! reconciled no more: what it propagated stays. Absence is never a reason to delete.

use crate::context::Context;
use crate::host::{TypeCache, in_order};
use crate::released_types::Releasing;
use crate::wake::NamedType;
use api::{ConfigScope, ControllerStatus, FederatedTypeConfig, FederatedTypeConfigStatus, Switch};
use kube::ResourceExt;
use std::collections::BTreeMap;
use std::sync::{Arc, PoisonError};

/// Starts and stops caches as the FederatedTypeConfigs say; the types that run.
pub(crate) fn update(
    context: &Context,
    releasing: &mut Releasing,
) -> BTreeMap<String, Arc<NamedType>> {
    let wanted = wanted(context);
    let mut types = context
        .types
        .write()
        .unwrap_or_else(PoisonError::into_inner);
    let before = types
        .iter()
        .map(|(name, cache)| (name.clone(), cache.named.clone()))
        .collect();
    releasing.learn(&before, &wanted, &disabled(context));
    types.retain(|name, cache| wanted.get(name) == Some(&cache.named));
    for (name, named) in &wanted {
        types.entry(name.clone()).or_insert_with(|| {
            tracing::info!(%name, "federating a type");
            Arc::new(context.host.start_type(named.clone(), &context.wake))
        });
    }
    running(&types)
}

fn running(types: &BTreeMap<String, Arc<TypeCache>>) -> BTreeMap<String, Arc<NamedType>> {
    types
        .iter()
        .map(|(name, cache)| (name.clone(), Arc::new(cache.named.clone())))
        .collect()
}

/// The types that are to be propagated, by the names of their FederatedTypeConfigs.
pub(crate) fn wanted(context: &Context) -> BTreeMap<String, NamedType> {
    let propagates = context.settings().propagates;
    named(context, |config| propagates && is_enabled(config))
}

/// The types that are there and not to be propagated.
pub(crate) fn disabled(context: &Context) -> BTreeMap<String, NamedType> {
    let propagates = context.settings().propagates;
    named(context, |config| !(propagates && is_enabled(config)))
}

fn named(
    context: &Context,
    is_meant: impl Fn(&FederatedTypeConfig) -> bool,
) -> BTreeMap<String, NamedType> {
    let within_one = context.host.scope == ConfigScope::Namespaced;
    let configs = context.host.type_configs.state();
    let meant = configs.iter().filter(|config| is_meant(config));
    let named = meant.filter_map(|config| {
        let name = config.name_any();
        match config.read() {
            // What is in no namespace is not that one's.
            Ok(federated) if within_one && !federated.target_namespaced => None,
            Ok(federated) => {
                let named = NamedType {
                    name: name.as_str().into(),
                    federated,
                };
                Some((name, named))
            }
            Err(error) => {
                tracing::warn!(%name, %error, "a FederatedTypeConfig does not read");
                None
            }
        }
    });
    named.collect()
}

pub(crate) fn is_enabled(config: &FederatedTypeConfig) -> bool {
    config.spec.propagation == Switch::Enabled && config.metadata.deletion_timestamp.is_none()
}

/// Makes each FederatedTypeConfig's status say whether its type runs.
pub(crate) async fn write_statuses(context: &Context) {
    for config in in_order(&context.host.type_configs) {
        let cache = context.type_cache(&config.name_any());
        let word = |runs: bool| match runs {
            true => ControllerStatus::Running,
            false => ControllerStatus::NotRunning,
        };
        let collects = cache
            .as_ref()
            .is_some_and(|cache| cache.named.federated.collects_status);
        let status = FederatedTypeConfigStatus {
            observed_generation: config.metadata.generation.unwrap_or(0),
            propagation_controller: word(cache.is_some()),
            status_controller: config.spec.status_collection.map(|_| word(collects)),
        };
        if let Err(error) = context.statuses.write_typed(config.as_ref(), &status).await {
            tracing::debug!(name = config.name_any(), %error, "status of a FederatedTypeConfig");
        }
    }
}
