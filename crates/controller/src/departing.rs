//! What has to leave a member before a Namespace or a definition of a type may: the replicas that a
//! scheduling preference divides, and the objects of that type.

use crate::context::Context;
use api::key_of;
use federation::Tenant;
use model::ClusterName;
use std::collections::BTreeMap;

/// Those of the namespace of this name; nobody is looked for before somebody asks.
pub(crate) fn tenants<'a>(
    context: &'a Context,
    namespace: &'a str,
) -> impl Iterator<Item = Tenant> + 'a {
    let preferences = std::iter::once_with(|| context.host.preferences()).flatten();
    preferences.filter_map(move |preference| {
        let metadata = &preference.metadata;
        metadata
            .namespace
            .as_deref()
            .filter(|name| *name == namespace)?;
        let key = key_of(metadata);
        let kind = &preference.spec.target_kind;
        context.type_of_kind(kind)?.get(&key)?;
        let target = kind.trim_start_matches("Federated");
        Some(Tenant {
            name: format!("{target} {}", key.name),
            division: context.divisions.get(&key),
        })
    })
}

/// Where members hold federated objects of the type that a CustomResourceDefinition of this name
/// defines, in words.
pub(crate) fn defined<'a>(
    context: &Context,
    definition: &str,
    clusters: impl Iterator<Item = &'a ClusterName>,
) -> BTreeMap<ClusterName, String> {
    let Some(defined) = context.type_defined_by(definition) else {
        return BTreeMap::new();
    };
    let named = &defined.named;
    let kind = &named.federated.target.kind;
    let held = clusters.filter_map(|name| {
        let lane = context.members.get(name)?.lane(&named.name)?;
        let held = lane.cache.held();
        let words = format!("these leave first: {held} of the kind {kind}");
        (held > 0).then(|| (name.clone(), words))
    });
    held.collect()
}
