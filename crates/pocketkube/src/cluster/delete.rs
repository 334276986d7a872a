//! Deleting objects: finalizers, grace and what happens to dependents.

use super::options::{Admission, DeleteOptions, DryRun, Part, Propagation};
use super::write::{RETRIES_MAX, Target};
use super::{Caller, Cluster, at_once, definitions, key, metadata, rules};
use crate::admission::{Attempt, Operation};
use crate::object::{self, Object};
use crate::resource::Resource;
use crate::status::Status;
use jiff::{SignedDuration, Timestamp};
use serde_json::Value;
use std::sync::Arc;

/// What a deletion did.
#[derive(Debug, Clone)]
pub enum Deleted {
    /// The object is gone; its last state.
    Gone(Arc<Object>),
    /// It waits for finalizers or its grace period; its present state.
    Waits(Arc<Object>),
}

impl Deleted {
    /// The object's last or present state.
    pub fn object(&self) -> &Arc<Object> {
        match self {
            Self::Gone(object) | Self::Waits(object) => object,
        }
    }
}

impl Cluster {
    /// Deletes an object, at once or by marking it.
    ///
    /// # Errors
    ///
    /// 404, and 409 when a precondition does not hold.
    pub fn delete(
        &self,
        caller: &Caller,
        resource: &Resource,
        namespace: &str,
        name: &str,
        options: &DeleteOptions,
    ) -> Result<Deleted, Status> {
        let options = DeleteOptions {
            admission: Admission::Inside,
            ..options.clone()
        };
        at_once(self.delete_with(caller, resource, (namespace, name), &options))
    }

    pub(crate) async fn delete_with(
        &self,
        caller: &Caller,
        resource: &Resource,
        (namespace, name): (&str, &str),
        options: &DeleteOptions,
    ) -> Result<Deleted, Status> {
        let target = Target {
            resource,
            namespace,
            name,
            part: Part::Main,
        };
        for _ in 0..RETRIES_MAX {
            let Some(old) = self.current(&target) else {
                return Err(Status::not_found(resource, name));
            };
            check_preconditions(resource, &old, options)?;
            rules::check_delete(resource, &old)?;
            let attempt = Attempt {
                user: &caller.user,
                resource,
                part: "",
                operation: Operation::Delete,
                namespace,
                name,
                is_trial: options.dry_run == DryRun::All,
                old: Some(&old),
                admission: options.admission,
            };
            self.let_delete(&attempt).await?;
            let mut marked = old.value().clone();
            mark(self.clock().now(), resource, &mut marked, options);
            if let Some(deleted) = self.commit_deletion(&target, &old, marked, options.dry_run)? {
                if options.dry_run == DryRun::Off {
                    self.after_write(resource, Some(&old), deleted.object());
                }
                return Ok(deleted);
            }
        }
        Err(Status::modified(resource, name))
    }

    /// None when the object moved meanwhile.
    fn commit_deletion(
        &self,
        target: &Target<'_>,
        old: &Arc<Object>,
        mut marked: Value,
        dry_run: DryRun,
    ) -> Result<Option<Deleted>, Status> {
        let key = key(target.namespace, target.name);
        let table = target.resource.table();
        let mut store = self.store();
        if !store
            .get(&table, &key)
            .is_some_and(|current| current.is(old))
        {
            return Ok(None);
        }
        let goes = metadata::may_go(&marked);
        if dry_run == DryRun::All {
            let object = Object::new(marked);
            return Ok(Some(match goes {
                true => Deleted::Gone(object),
                false => Deleted::Waits(object),
            }));
        }
        if goes {
            let last = metadata::last_state(old, store.next_version());
            store.remove(&table, &key, Arc::clone(&last))?;
            return Ok(Some(Deleted::Gone(last)));
        }
        if metadata::same(old, &marked) {
            return Ok(Some(Deleted::Waits(Arc::clone(old))));
        }
        metadata::set_version(&mut marked, store.next_version());
        let marked = Object::new(marked);
        store.put(&table, &key, Arc::clone(&marked))?;
        Ok(Some(Deleted::Waits(marked)))
    }
}

fn check_preconditions(
    resource: &Resource,
    old: &Object,
    options: &DeleteOptions,
) -> Result<(), Status> {
    let (wanted, name) = (&options.preconditions, object::name(old));
    let differ = |what: &str, wanted: &str, found: &str| {
        let message = format!(
            "Operation cannot be fulfilled on {} {name:?}: the {what} in the precondition \
             ({wanted}) does not match the {what} in record ({found}). The object might have been \
             {}",
            resource.kind,
            if what == "UID" {
                "deleted and then recreated"
            } else {
                "modified"
            },
        );
        let mut status = Status::about(409, "Conflict", message, resource, name);
        status.details.get_or_insert_default().kind = resource.kind.clone();
        status
    };
    if let Some(uid) = &wanted.uid
        && uid != object::uid(old)
    {
        return Err(differ("UID", uid, object::uid(old)));
    }
    let version = old["metadata"]["resourceVersion"]
        .as_str()
        .unwrap_or_default();
    if let Some(wanted) = &wanted.resource_version
        && wanted != version
    {
        return Err(differ("ResourceVersion", wanted, version));
    }
    Ok(())
}

/// Writes the deletion time, grace and the finalizers that the propagation needs.
fn mark(now: Timestamp, resource: &Resource, object: &mut Value, options: &DeleteOptions) {
    let finalizers = finalizers_after(resource, object, options.propagation);
    let grace = grace_period(resource, object, options.grace_period_secs);
    let was_marked = object::is_deleting(object);
    let waits = object::deletion_timestamp(object).map(|_| {
        object["metadata"]["deletionGracePeriodSeconds"]
            .as_i64()
            .unwrap_or(0)
    });
    let is_namespace = resource.qualified() == "namespaces";
    if is_namespace {
        object["status"]["phase"] = "Terminating".into();
    }
    let metadata = object::metadata_mut(object);
    match finalizers.is_empty() {
        true => metadata.shift_remove("finalizers"),
        false => metadata.insert("finalizers".to_owned(), finalizers.into()),
    };
    // A later deletion may shorten the grace period but never lengthen it.
    let shortens = waits.is_some_and(|waits| grace < waits);
    if !was_marked || shortens {
        let at = now
            .saturating_add(SignedDuration::from_secs(grace))
            .unwrap_or(now);
        metadata.insert(
            "deletionTimestamp".to_owned(),
            crate::clock::seconds(at).into(),
        );
        // Namespaces end by their own controller, not by grace.
        if !is_namespace {
            metadata.insert("deletionGracePeriodSeconds".to_owned(), grace.into());
        }
        if let Some(generation) = metadata.get("generation").and_then(Value::as_i64)
            && !was_marked
        {
            metadata.insert("generation".to_owned(), (generation + 1).into());
        }
    }
}

/// The finalizers that hold the object until its dependents are dealt with.
fn finalizers_after(
    resource: &Resource,
    object: &Value,
    propagation: Option<Propagation>,
) -> Vec<String> {
    let mut finalizers: Vec<String> = object::finalizers(object).map(str::to_owned).collect();
    let propagation = match propagation {
        Some(propagation) => propagation,
        None if finalizers.iter().any(|f| f == FOREGROUND) => Propagation::Foreground,
        None if finalizers.iter().any(|f| f == ORPHAN) => Propagation::Orphan,
        None => rules::default_propagation(resource),
    };
    finalizers.retain(|finalizer| finalizer != FOREGROUND && finalizer != ORPHAN);
    let is_definition = resource.qualified() == definitions::TABLE;
    if is_definition && !finalizers.iter().any(|held| held == definitions::CLEANUP) {
        finalizers.push(definitions::CLEANUP.to_owned());
    }
    match propagation {
        Propagation::Foreground => finalizers.push(FOREGROUND.to_owned()),
        Propagation::Orphan => finalizers.push(ORPHAN.to_owned()),
        Propagation::Background => {}
    }
    finalizers
}

/// Finalizer that the garbage collector removes when all dependents are gone.
pub const FOREGROUND: &str = "foregroundDeletion";

/// Finalizer that the garbage collector removes when all dependents lost their owner.
pub const ORPHAN: &str = "orphan";

/// Only Pods end gracefully: those on a node wait for it, the others go at once.
fn grace_period(resource: &Resource, object: &Value, asked: Option<i64>) -> i64 {
    let is_pod = resource.group.is_empty() && resource.plural == "pods";
    if !is_pod {
        return 0;
    }
    let on_node = object["spec"]["nodeName"]
        .as_str()
        .is_some_and(|node| !node.is_empty());
    let phase = object["status"]["phase"].as_str().unwrap_or_default();
    if !on_node || phase == "Succeeded" || phase == "Failed" {
        return 0;
    }
    let period = object["spec"]["terminationGracePeriodSeconds"]
        .as_i64()
        .unwrap_or(30);
    asked.unwrap_or(period).max(0)
}
