//! The replicas in a namespace that a scheduling preference divides.

use crate::context::Context;
use crate::members::key_of;
use federation::Tenant;

/// Those of the namespace of this name.
pub(crate) fn tenants(context: &Context, namespace: &str) -> Vec<Tenant> {
    let preferences = context.host.preferences();
    let tenants = preferences.iter().filter_map(|preference| {
        let key = key_of(&preference.metadata);
        let kind = &preference.spec.target_kind;
        preference
            .metadata
            .namespace
            .as_deref()
            .filter(|name| *name == namespace)?;
        context.type_of_kind(kind)?.get(&key)?;
        let target = kind.trim_start_matches("Federated");
        Some(Tenant {
            name: format!("{target} {}", key.name),
            division: context.divisions.get(&key),
        })
    });
    tenants.collect()
}
