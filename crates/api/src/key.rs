//! Where an object is.

use kube::core::ObjectMeta;
use model::ObjectKey;

/// Namespace and name.
pub fn key_of(metadata: &ObjectMeta) -> ObjectKey {
    ObjectKey::new(
        metadata.namespace.as_deref().unwrap_or_default(),
        metadata.name.as_deref().unwrap_or_default(),
    )
}
