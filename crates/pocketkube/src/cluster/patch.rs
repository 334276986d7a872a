//! Patching objects.

use super::options::{Part, Patch, WriteOptions};
use super::write::{Target, Written, inside};
use super::{Caller, Cluster, at_once, rules};
use crate::object::Object;
use crate::resource::Resource;
use crate::status::Status;
use std::sync::Arc;

impl Cluster {
    /// Patches an object or its status; `place` is its namespace and name. An apply creates what
    /// is not there.
    ///
    /// # Errors
    ///
    /// 400, 404, 409 and 422, worded as the real server does.
    pub fn patch(
        &self,
        caller: &Caller,
        resource: &Resource,
        place: (&str, &str),
        part: Part,
        patch: &Patch,
        options: &WriteOptions,
    ) -> Result<Arc<Object>, Status> {
        let (namespace, name) = place;
        let target = Target {
            resource,
            namespace,
            name,
            part,
        };
        let options = inside(options);
        at_once(self.patch_with(caller, &target, patch, &options)).map(|done| done.object)
    }

    pub(crate) async fn patch_with(
        &self,
        caller: &Caller,
        target: &Target<'_>,
        patch: &Patch,
        options: &WriteOptions,
    ) -> Result<Written, Status> {
        if let Patch::Apply { wanted, force } = patch {
            return self.apply(caller, target, wanted, *force, options).await;
        }
        let kind = self.kind(target.resource)?;
        self.edit(caller, target, options, |old| {
            rules::patched(&kind, old, patch)
        })
        .await
    }
}
