//! Creating and updating objects.
//!
//! The order of the steps is the real server's: decode, track managers, admit (namespace), prepare,
//! fill metadata, validate, commit. An update computes outside the store's lock and commits only
//! if the object has not moved meanwhile.

use super::options::{DryRun, Part, WriteOptions};
use super::{Caller, Cluster, key, metadata, rules};
use crate::object::{self, Object};
use crate::resource::Resource;
use crate::status::{Cause, Status};
use serde_json::Value;
use std::sync::Arc;

/// How often an update whose caller named no version is computed anew before it is a conflict.
pub(super) const RETRIES_MAX: usize = 5;

/// How often a generated name is drawn anew when it is taken, as the real server does.
const NAME_DRAWS_MAX: usize = 8;

/// A write that was done.
#[derive(Debug)]
pub(crate) struct Written {
    /// The object after it.
    pub(crate) object: Arc<Object>,
    /// What the caller should know (`Warning` headers).
    pub(crate) warnings: Vec<String>,
    /// Whether the object is new.
    pub(crate) created: bool,
}

impl Cluster {
    /// Creates an object; `namespace` is empty for kinds that have none.
    ///
    /// # Errors
    ///
    /// 400, 403, 404 (no such namespace), 409 and 422, worded as the real server does.
    pub fn create(
        &self,
        caller: &Caller,
        resource: &Resource,
        namespace: &str,
        object: Value,
        options: &WriteOptions,
    ) -> Result<Arc<Object>, Status> {
        self.create_with(caller, resource, namespace, object, options)
            .map(|done| done.object)
    }

    /// Replaces an object, all but its status where status is a subresource.
    ///
    /// # Errors
    ///
    /// 400, 404, 409 (it moved since it was read) and 422.
    pub fn update(
        &self,
        caller: &Caller,
        resource: &Resource,
        object: Value,
        options: &WriteOptions,
    ) -> Result<Arc<Object>, Status> {
        let (namespace, name) = place(&object);
        let target = Target {
            resource,
            namespace: &namespace,
            name: &name,
            part: Part::Main,
        };
        self.replace_with(caller, &target, object, options)
            .map(|done| done.object)
    }

    /// Replaces an object's status.
    ///
    /// # Errors
    ///
    /// As [`Cluster::update`].
    pub fn update_status(
        &self,
        caller: &Caller,
        resource: &Resource,
        object: Value,
    ) -> Result<Arc<Object>, Status> {
        let (namespace, name) = place(&object);
        let target = Target {
            resource,
            namespace: &namespace,
            name: &name,
            part: Part::Status,
        };
        self.replace_with(caller, &target, object, &WriteOptions::default())
            .map(|done| done.object)
    }

    pub(crate) fn create_with(
        &self,
        caller: &Caller,
        resource: &Resource,
        namespace: &str,
        mut object: Value,
        options: &WriteOptions,
    ) -> Result<Written, Status> {
        metadata::set_namespace(resource, namespace, &mut object)?;
        let warnings = rules::decode(self, resource, &mut object, options)?;
        if !object::metadata_mut(&mut object)
            .get("resourceVersion")
            .is_none_or(is_empty)
        {
            let message = "resourceVersion should not be set on objects to be created";
            return Err(Status::bad_request(message));
        }
        let generated = metadata::draw_name(self, &mut object);
        rules::track(self, caller, resource, Part::Main, None, &mut object)?;
        self.admit_namespace(resource, namespace, object::name(&object))?;
        rules::prepare_create(self, resource, &mut object)?;
        metadata::fill_new(self, resource, &mut object);
        let mut causes = metadata::check_name(resource, &object);
        causes.extend(rules::validate(self, resource, None, &object));
        if !causes.is_empty() {
            return Err(Status::invalid(resource, object::name(&object), causes));
        }
        let mut draws = 1;
        loop {
            match self.commit_new(resource, &mut object, options.dry_run) {
                Err(taken) if generated && draws >= NAME_DRAWS_MAX => {
                    return Err(metadata::generated_name_taken(resource, &object, &taken));
                }
                Err(_) if generated => {
                    draws += 1;
                    metadata::redraw_name(self, &mut object);
                }
                Err(taken) => return Err(taken),
                Ok(object) => {
                    self.after_write(resource, None, &object);
                    return Ok(Written {
                        object,
                        warnings,
                        created: true,
                    });
                }
            }
        }
    }

    pub(crate) fn replace_with(
        &self,
        caller: &Caller,
        target: &Target<'_>,
        mut object: Value,
        options: &WriteOptions,
    ) -> Result<Written, Status> {
        let Target {
            resource,
            namespace,
            name,
            ..
        } = *target;
        metadata::set_namespace(resource, namespace, &mut object)?;
        metadata::set_name(name, &mut object)?;
        let warnings = rules::decode(self, resource, &mut object, options)?;
        if self.current(target).is_none() && rules::creates_on_update(resource) {
            return self.create_with(caller, resource, namespace, object, options);
        }
        let edit = |_: &Object| Ok(object.clone());
        let mut done = self.edit(caller, target, options, edit)?;
        done.warnings = warnings;
        Ok(done)
    }

    /// Reads, edits, checks and commits, anew while the object moves under an edit that named no
    /// version.
    pub(super) fn edit(
        &self,
        caller: &Caller,
        target: &Target<'_>,
        options: &WriteOptions,
        edit: impl Fn(&Object) -> Result<Value, Status>,
    ) -> Result<Written, Status> {
        let Target { resource, name, .. } = *target;
        for _ in 0..RETRIES_MAX {
            let Some(old) = self.current(target) else {
                return Err(Status::not_found(resource, name));
            };
            let mut new = edit(&old)?;
            metadata::check_version(resource, &old, &new)?;
            if target.part == Part::Main {
                rules::keep_status(resource, &old, &mut new);
            } else {
                rules::keep_all_but_status(&old, &mut new);
            }
            metadata::keep_system_fields(&old, &mut new);
            rules::track(self, caller, resource, target.part, Some(&old), &mut new)?;
            rules::prepare_update(self, resource, target.part, &old, &mut new)?;
            metadata::count_generation(resource, &old, &mut new);
            if metadata::same(&old, &new) {
                return Ok(Written {
                    object: old,
                    warnings: Vec::new(),
                    created: false,
                });
            }
            let mut causes = metadata::check_update(resource, &old, &new);
            causes.extend(rules::validate(self, resource, Some(&old), &new));
            if !causes.is_empty() {
                return Err(Status::invalid(resource, name, causes));
            }
            if let Some(object) = self.commit_change(target, &old, new, options.dry_run) {
                self.after_write(resource, Some(&old), &object);
                return Ok(Written {
                    object,
                    warnings: Vec::new(),
                    created: false,
                });
            }
        }
        Err(Status::modified(resource, name))
    }

    pub(super) fn current(&self, target: &Target<'_>) -> Option<Arc<Object>> {
        let key = key(target.namespace, target.name);
        self.store().get(&target.resource.table(), &key).cloned()
    }

    fn commit_new(
        &self,
        resource: &Resource,
        object: &mut Value,
        dry_run: DryRun,
    ) -> Result<Arc<Object>, Status> {
        let key = key(object::namespace(object), object::name(object));
        let table = resource.table();
        let mut store = self.store();
        if store.get(&table, &key).is_some() {
            return Err(Status::already_exists(resource, object::name(object)));
        }
        if dry_run == DryRun::All {
            return Ok(Object::new(std::mem::take(object)));
        }
        metadata::set_version(object, store.next_version());
        let object = Object::new(std::mem::take(object));
        store.put(&table, &key, Arc::clone(&object));
        Ok(object)
    }

    /// None when the object moved meanwhile.
    fn commit_change(
        &self,
        target: &Target<'_>,
        old: &Arc<Object>,
        mut new: Value,
        dry_run: DryRun,
    ) -> Option<Arc<Object>> {
        let key = key(target.namespace, target.name);
        let table = target.resource.table();
        let mut store = self.store();
        let unmoved = store
            .get(&table, &key)
            .is_some_and(|current| Arc::ptr_eq(current, old));
        if !unmoved {
            return None;
        }
        if dry_run == DryRun::All {
            return Some(Object::new(new));
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

    /// What the server does by itself after a write. Runs without the store's lock.
    pub(super) fn after_write(&self, resource: &Resource, old: Option<&Object>, new: &Object) {
        rules::after_write(self, resource, old, new);
    }

    /// NamespaceLifecycle: nothing is created where no namespace is, or where it is going.
    fn admit_namespace(
        &self,
        resource: &Resource,
        namespace: &str,
        name: &str,
    ) -> Result<(), Status> {
        if !resource.is_namespaced() {
            return Ok(());
        }
        let Some(found) = self.store().get("namespaces", namespace).cloned() else {
            return Err(Status {
                code: 404,
                reason: "NotFound",
                message: format!("namespaces {namespace:?} not found"),
                details: Some(Box::new(crate::status::Details {
                    name: namespace.to_owned(),
                    kind: "namespaces".to_owned(),
                    ..Default::default()
                })),
            });
        };
        if found["status"]["phase"] == "Terminating" || object::is_deleting(&found) {
            let why = format!(
                "unable to create new content in namespace {namespace} because it is being \
                 terminated"
            );
            let cause = Cause::new(
                "NamespaceTerminating",
                "metadata.namespace",
                format!("namespace {namespace} is being terminated"),
            );
            return Err(Status::forbidden(resource, name, &why).with_causes(vec![cause]));
        }
        Ok(())
    }
}

/// What a write is about.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Target<'a> {
    /// Its resource.
    pub(crate) resource: &'a Resource,
    /// Its namespace, or empty.
    pub(crate) namespace: &'a str,
    /// Its name.
    pub(crate) name: &'a str,
    /// Which part of it.
    pub(crate) part: Part,
}

fn place(object: &Value) -> (String, String) {
    (
        object::namespace(object).to_owned(),
        object::name(object).to_owned(),
    )
}

fn is_empty(version: &Value) -> bool {
    version.as_str() == Some("")
}
