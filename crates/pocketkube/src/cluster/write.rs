//! Creating and updating objects.
//!
//! The order of the steps is the real server's: decode, track managers, admit (namespace), prepare,
//! fill metadata, validate, commit. An update computes outside the store's lock and commits only
//! if the object has not moved meanwhile.

use super::options::{Admission, DryRun, Part, WriteOptions};
use super::{Caller, Cluster, at_once, key, metadata, rules};
use crate::admission::{Attempt, Operation};
use crate::kinds::Kind;
use crate::object::{self, Object};
use crate::resource::Resource;
use crate::status::{Cause, Status};
use crate::view;
use serde_json::{Value, json};
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

/// An object as a client sent it.
#[derive(Debug, Clone)]
pub(crate) struct Sent {
    /// The object.
    pub(crate) value: Value,
    /// Paths of fields that were given twice.
    pub(crate) duplicates: Vec<String>,
    /// Whether `managedFields` still has to follow.
    pub(crate) managers: Managers,
    /// How it came about.
    pub(crate) origin: Origin,
}

/// How an object that is to be written came about, which words its errors.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Origin {
    /// The client sent it.
    Body,
    /// The client sent a patch.
    Patch,
}

/// Whether `managedFields` has followed a change.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Managers {
    /// Not yet: the write takes ownership of what it changes.
    Track,
    /// It has: an apply did it.
    Done,
}

impl From<Value> for Sent {
    fn from(value: Value) -> Self {
        Self {
            value,
            duplicates: Vec::new(),
            managers: Managers::Track,
            origin: Origin::Body,
        }
    }
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
        let options = inside(options);
        at_once(self.create_with(caller, resource, namespace, object.into(), &options))
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
        let options = inside(options);
        at_once(self.replace_with(caller, &target, object.into(), &options)).map(|done| done.object)
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
        let options = WriteOptions::default();
        at_once(self.replace_with(caller, &target, object.into(), &options)).map(|done| done.object)
    }

    pub(crate) async fn create_with(
        &self,
        caller: &Caller,
        resource: &Resource,
        namespace: &str,
        mut sent: Sent,
        options: &WriteOptions,
    ) -> Result<Written, Status> {
        let kind = self.kind(resource)?;
        metadata::set_namespace(resource, namespace, &mut sent.value)?;
        // An apply that creates is an update to the real store, which looks at the version only of
        // what is there.
        let given = &sent.value["metadata"]["resourceVersion"];
        let has_version = given.as_str().is_some_and(|version| !version.is_empty());
        if has_version && sent.managers == Managers::Track {
            let message = "resourceVersion should not be set on objects to be created";
            return Err(Status::plain(500, "", message));
        }
        let managers = sent.managers;
        let (mut object, mut warnings) = rules::decode(&self.registry(), &kind, sent, options)?;
        let given_name = object::name(&object).to_owned();
        let generated = metadata::draw_name(self, &mut object);
        metadata::fill_new(self, &mut object);
        if managers == Managers::Track {
            rules::track(self, caller, &kind, Part::Main, None, &mut object)?;
        }
        self.admit_namespace(resource, namespace, object::name(&object))?;
        self.admit_definition(resource, object::name(&object))?;
        self.admit_pod(resource, namespace, &mut object, options.admission)?;
        let attempt = Attempt {
            user: &caller.user,
            resource,
            part: "",
            operation: Operation::Create,
            namespace,
            name: &given_name,
            is_trial: options.dry_run == DryRun::All,
            old: None,
            admission: options.admission,
        };
        let opinion = self.let_change(&attempt, &mut object).await?;
        warnings.extend(opinion.warnings);
        self.allocate(resource, None, &mut object)?;
        kind.prepare_create(&mut object);
        metadata::stamp_phase(self, resource, None, &mut object);
        self.check_escalation(&caller.user, resource, None, &object)?;
        let mut causes = metadata::check_name(&object);
        if causes.is_empty() {
            causes = kind.validate_create(&object);
        }
        if !causes.is_empty() {
            return Err(Status::invalid(resource, object::name(&object), causes));
        }
        let opinion = self.let_refuse(&attempt, Some(&object)).await?;
        warnings.extend(opinion.warnings);
        let draws_max = if generated { NAME_DRAWS_MAX } else { 1 };
        let object = self.commit_named(resource, object, draws_max, options.dry_run)?;
        if options.dry_run == DryRun::Off {
            self.after_write(resource, None, &object);
        }
        Ok(Written {
            object,
            warnings,
            created: true,
        })
    }

    pub(crate) async fn replace_with(
        &self,
        caller: &Caller,
        target: &Target<'_>,
        mut sent: Sent,
        options: &WriteOptions,
    ) -> Result<Written, Status> {
        let Target {
            resource,
            namespace,
            name,
            part,
        } = *target;
        metadata::set_namespace(resource, namespace, &mut sent.value)?;
        metadata::check_given_name(name, &sent.value)?;
        if part == Part::Main
            && self.current(target).is_none()
            && rules::creates_on_update(resource)
        {
            self.check_may_create(&caller.user, resource, (namespace, name))?;
            let created = self.create_with(caller, resource, namespace, sent, options);
            return Box::pin(created).await;
        }
        self.edit(caller, target, options, |_| Ok(sent.clone()))
            .await
    }

    /// Reads, edits, checks and commits, anew while the object moves under an edit that named no
    /// version. The edit sees the object in the version that the client speaks.
    pub(super) async fn edit(
        &self,
        caller: &Caller,
        target: &Target<'_>,
        options: &WriteOptions,
        edit: impl Fn(&Object) -> Result<Sent, Status> + Send + Sync,
    ) -> Result<Written, Status> {
        let kind = self.kind(target.resource)?;
        for _ in 0..RETRIES_MAX {
            let Some(kept) = self.current(target) else {
                return Err(Status::not_found(target.resource, target.name));
            };
            let old = view::of(target.resource, &kept);
            let sent = edit(&old)?;
            let change = self
                .change(caller, target, &kind, &old, sent, options)
                .await?;
            let Changed {
                new: Some(new),
                warnings,
            } = change
            else {
                return Ok(Written {
                    object: kept,
                    warnings: change.warnings,
                    created: false,
                });
            };
            if let Some(object) = self.commit_change(target, &kept, new, options.dry_run)? {
                if options.dry_run == DryRun::Off {
                    self.after_write(target.resource, Some(&kept), &object);
                }
                return Ok(Written {
                    object,
                    warnings,
                    created: false,
                });
            }
        }
        Err(Status::modified(target.resource, target.name))
    }

    /// The object that an edit makes of an old one.
    async fn change(
        &self,
        caller: &Caller,
        target: &Target<'_>,
        kind: &Kind,
        old: &Object,
        sent: Sent,
        options: &WriteOptions,
    ) -> Result<Changed, Status> {
        let Target {
            resource,
            name,
            part,
            ..
        } = *target;
        if sent.origin == Origin::Patch {
            metadata::check_patched(resource, name, old, &sent.value)?;
        }
        metadata::check_version(resource, old, &sent.value)?;
        let managers = sent.managers;
        // An empty list says something, although it is not kept.
        let resets = sent.value["metadata"]["managedFields"] == json!([]);
        let (mut new, mut warnings) = rules::decode(&self.registry(), kind, sent, options)?;
        if resets {
            new["metadata"]["managedFields"] = json!([{}]);
        }
        metadata::keep_system_fields(old, &mut new);
        kind.prepare_update(part, &mut new, old);
        if managers == Managers::Track {
            rules::track(self, caller, kind, part, Some(old), &mut new)?;
        }
        let attempt = Attempt {
            user: &caller.user,
            resource,
            part: part.as_str(),
            operation: Operation::Update,
            namespace: target.namespace,
            name,
            is_trial: options.dry_run == DryRun::All,
            old: Some(old),
            admission: options.admission,
        };
        let opinion = self.let_change(&attempt, &mut new).await?;
        warnings.extend(opinion.warnings);
        if opinion.changed {
            metadata::keep_system_fields(old, &mut new);
            kind.prepare_update(part, &mut new, old);
        }
        kind.finish_update(part, &mut new, old);
        metadata::stamp_phase(self, resource, Some(old), &mut new);
        self.allocate(resource, Some(old), &mut new)?;
        self.check_escalation(&caller.user, resource, Some(old), &new)?;
        let is_same = metadata::same(old, &new);
        if !is_same {
            let mut causes = metadata::check_deletion_time(old, &new);
            causes.extend(kind.validate_update(part, &new, old));
            if !causes.is_empty() {
                return Err(Status::invalid(resource, name, causes));
            }
        }
        let opinion = self.let_refuse(&attempt, Some(&new)).await?;
        warnings.extend(opinion.warnings);
        if is_same {
            return Ok(Changed {
                new: None,
                warnings,
            });
        }
        Ok(Changed {
            new: Some(new),
            warnings,
        })
    }

    pub(super) fn current(&self, target: &Target<'_>) -> Option<Arc<Object>> {
        let key = key(target.namespace, target.name);
        self.store().get(&target.resource.table(), &key)
    }

    /// Keeps a new object; a name that was drawn is drawn again while it is taken.
    fn commit_named(
        &self,
        resource: &Resource,
        mut object: Value,
        draws_max: usize,
        dry_run: DryRun,
    ) -> Result<Arc<Object>, Status> {
        let mut draws = 1;
        loop {
            match self.commit_new(resource, &mut object, dry_run) {
                Ok(object) => return Ok(object),
                Err(status) if status.code != 409 || !metadata::wants_generated(&object) => {
                    return Err(status);
                }
                Err(_) if draws >= draws_max => {
                    return Err(metadata::generated_name_taken(resource, &object));
                }
                Err(_) => {
                    draws += 1;
                    metadata::redraw_name(self, &mut object);
                }
            }
        }
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
        if let Some(found) = store.get(&table, &key) {
            let mut status = Status::already_exists(resource, object::name(object));
            if object::is_deleting(&found) {
                status.message.insert_str(0, "object is being deleted: ");
            }
            return Err(status);
        }
        if dry_run == DryRun::All {
            let object = view::to_kept(resource, std::mem::take(object));
            return Ok(Object::new(metadata::ordered(object)));
        }
        metadata::set_version(object, store.next_version());
        let object = Object::new(metadata::ordered(view::to_kept(
            resource,
            std::mem::take(object),
        )));
        store.put(&table, &key, Arc::clone(&object))?;
        Ok(object)
    }

    /// None when the object moved meanwhile.
    pub(super) fn commit_change(
        &self,
        target: &Target<'_>,
        old: &Arc<Object>,
        new: Value,
        dry_run: DryRun,
    ) -> Result<Option<Arc<Object>>, Status> {
        let mut new = metadata::ordered(view::to_kept(target.resource, new));
        let key = key(target.namespace, target.name);
        let table = target.resource.table();
        let mut store = self.store();
        let unmoved = store
            .get(&table, &key)
            .is_some_and(|current| current.is(old));
        if !unmoved {
            return Ok(None);
        }
        if dry_run == DryRun::All {
            metadata::set_version(&mut new, object::resource_version(old));
            return Ok(Some(Object::new(new)));
        }
        metadata::set_version(&mut new, store.next_version());
        let new = Object::new(new);
        if metadata::may_go(&new) {
            // Watches see what was kept last: the change that let it go never was.
            let last = metadata::last_state(old, object::resource_version(&new));
            store.remove(&table, &key, last)?;
        } else {
            store.put(&table, &key, Arc::clone(&new))?;
        }
        Ok(Some(new))
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
        let Some(found) = self.store().get("namespaces", namespace) else {
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

/// The options of a write that asks nobody.
pub(super) fn inside(options: &WriteOptions) -> WriteOptions {
    WriteOptions {
        admission: Admission::Inside,
        ..options.clone()
    }
}

fn place(object: &Value) -> (String, String) {
    (
        object::namespace(object).to_owned(),
        object::name(object).to_owned(),
    )
}

/// What an edit makes of an object.
struct Changed {
    /// The object after it; none when nothing changed.
    new: Option<Value>,
    warnings: Vec<String>,
}
