//! Writes that no manager owns: what subresources like `binding` and `finalize` do.

use super::write::{RETRIES_MAX, Target};
use super::{Cluster, key, metadata};
use crate::object::Object;
use crate::resource::Resource;
use crate::status::Status;
use serde_json::Value;
use std::sync::Arc;

impl Cluster {
    /// Edits an object as the server itself does, past strategies and managers. An edit that
    /// changes nothing writes nothing.
    ///
    /// # Errors
    ///
    /// 404, and 409 when others keep writing to it.
    pub(crate) fn rewrite(
        &self,
        resource: &Resource,
        namespace: &str,
        name: &str,
        edit: impl Fn(&mut Value),
    ) -> Result<(), Status> {
        let target = Target {
            resource,
            namespace,
            name,
            part: super::Part::Main,
        };
        for _ in 0..RETRIES_MAX {
            let Some(old) = self.current(&target) else {
                return Err(Status::not_found(resource, name));
            };
            let mut new = old.value().clone();
            edit(&mut new);
            if new == *old.value() {
                return Ok(());
            }
            if let Some(new) = self.commit_rewrite(&target, &old, new) {
                self.after_write(resource, Some(&old), &new);
                return Ok(());
            }
        }
        Err(Status::modified(resource, name))
    }

    /// None when the object moved meanwhile.
    fn commit_rewrite(
        &self,
        target: &Target<'_>,
        old: &Arc<Object>,
        mut new: Value,
    ) -> Option<Arc<Object>> {
        let key = key(target.namespace, target.name);
        let table = target.resource.table();
        let mut store = self.store();
        if !store
            .get(&table, &key)
            .is_some_and(|current| Arc::ptr_eq(current, old))
        {
            return None;
        }
        metadata::set_version(&mut new, store.next_version());
        let new = Object::new(new);
        if metadata::may_go(&new) {
            store.remove(&table, &key, Arc::clone(&new));
        } else {
            store.put(&table, &key, Arc::clone(&new));
        }
        Some(new)
    }
}
