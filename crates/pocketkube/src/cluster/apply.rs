//! Server-side apply: what one manager wants, merged into what is there (KEP-555).

use super::options::{Force, WriteOptions};
use super::write::{Managers, Sent, Target, Written};
use super::{Caller, Cluster, rules};
use crate::kinds::Kind;
use crate::object::{self, Object};
use crate::registry::split_api_version;
use crate::status::Status;
use serde_json::Value;

/// How often an apply that lost a race of creations tries again.
const RACES_MAX: usize = 3;

impl Cluster {
    pub(super) async fn apply(
        &self,
        caller: &Caller,
        target: &Target<'_>,
        wanted: &Value,
        force: Force,
        options: &WriteOptions,
    ) -> Result<Written, Status> {
        let kind = self.kind(target.resource)?;
        check_wanted(target, wanted)?;
        for _ in 0..RACES_MAX {
            let edit = |old: &Object| {
                let merged =
                    rules::applied(self, caller, &kind, target.part, Some(old), (wanted, force))?;
                Ok(Sent {
                    managers: Managers::Done,
                    ..Sent::from(merged)
                })
            };
            match self.edit(caller, target, options, edit).await {
                Err(status) if status.is_not_found() && self.current(target).is_none() => {}
                done => return done,
            }
            let applied = self.apply_new(caller, target, &kind, (wanted, force), options);
            match Box::pin(applied).await {
                // Somebody else created it: apply to that.
                Err(status) if status.is_already_exists() => {}
                done => return done,
            }
        }
        Err(Status::modified(target.resource, target.name))
    }

    async fn apply_new(
        &self,
        caller: &Caller,
        target: &Target<'_>,
        kind: &Kind,
        (wanted, force): (&Value, Force),
        options: &WriteOptions,
    ) -> Result<Written, Status> {
        let Target {
            resource,
            namespace,
            name,
            part,
        } = *target;
        let may_create = part == super::Part::Main || rules::creates_on_update(resource);
        if !may_create {
            return Err(Status::not_found(resource, name));
        }
        let uid = object::uid(wanted);
        if !uid.is_empty() {
            let why = format!(
                "uid mismatch: the provided object specified uid {uid}, and no existing object \
                 was found"
            );
            return Err(Status::conflict(resource, name, &why));
        }
        let mut merged = rules::applied(self, caller, kind, part, None, (wanted, force))?;
        object::metadata_mut(&mut merged).insert("name".to_owned(), name.into());
        // The generic store compares versions only when it updates: an apply that creates may
        // carry any, and whoever wants to create and never to overwrite relies on that.
        if let Some(metadata) = merged["metadata"].as_object_mut() {
            metadata.remove("resourceVersion");
        }
        let sent = Sent {
            managers: Managers::Done,
            ..Sent::from(merged)
        };
        self.check_may_create(&caller.user, resource, (namespace, name))?;
        self.create_with(caller, resource, namespace, sent, options)
            .await
    }
}

/// What an apply must say of itself.
fn check_wanted(target: &Target<'_>, wanted: &Value) -> Result<(), Status> {
    let resource = target.resource;
    let (version, kind) = (
        wanted["apiVersion"].as_str().unwrap_or_default(),
        wanted["kind"].as_str().unwrap_or_default(),
    );
    if !wanted.is_object() || kind.is_empty() {
        return Err(Status::bad_request(format!(
            "Object 'Kind' is missing in '{wanted}'"
        )));
    }
    if version.is_empty() {
        return Err(Status::bad_request(format!(
            "Object 'apiVersion' is missing in '{wanted}'"
        )));
    }
    let (group, _) = split_api_version(version);
    if group != resource.group || kind != resource.kind {
        let message = match group {
            "" => format!("invalid object type: /{version}, Kind={kind}"),
            _ => format!("invalid object type: {version}, Kind={kind}"),
        };
        return Err(Status::bad_request(message));
    }
    if version != resource.api_version() {
        let message = format!(
            "Incorrect version specified in apply patch. Specified patch version: {version}, \
             expected: {}",
            resource.api_version()
        );
        return Err(Status::bad_request(message));
    }
    if !object::list(&wanted["metadata"]["managedFields"]).is_empty() {
        return Err(Status::bad_request("metadata.managedFields must be nil"));
    }
    let name = object::name(wanted);
    if !name.is_empty() && name != target.name {
        let message = format!(
            "the name of the object ({name}) does not match the name on the URL ({})",
            target.name
        );
        return Err(Status::bad_request(message));
    }
    Ok(())
}
