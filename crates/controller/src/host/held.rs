//! What a cache of the host holds.

use super::Cached;
use crate::Error;
use api::key_of;
use kube::Resource;
use kube::runtime::reflector::{ObjectRef, Store};
use model::ObjectKey;
use std::hash::Hash;
use std::sync::Arc;
use std::time::Duration;

/// What a cache holds, by namespace and name: by itself it is in an order of chance.
pub(crate) fn in_order<K>(store: &Store<K>) -> Vec<Arc<K>>
where
    K: Resource<DynamicType = ()> + Clone + 'static,
{
    let mut objects = store.state();
    objects.sort_by_cached_key(|object| key_of(object.meta()));
    objects
}

/// Whether the first list is complete.
pub(super) async fn is_listed<K>(store: &Store<K>) -> bool
where
    K: Resource + Cached,
    K::DynamicType: Clone + Eq + Hash,
{
    let ready = store.wait_until_ready();
    let waited = tokio::time::timeout(Duration::ZERO, ready).await;
    waited.is_ok_and(|ready| ready.is_ok())
}

/// An object. That there is none is known from a whole list only.
pub(super) async fn listed<K>(store: &Store<K>, key: &ObjectKey) -> Result<Option<Arc<K>>, Error>
where
    K: Resource<DynamicType = ()> + Cached,
{
    let found = store.get(&ObjectRef::new(&key.name).within(&key.namespace));
    if found.is_none() && !is_listed(store).await {
        return Err(Error::Behind);
    }
    Ok(found)
}
