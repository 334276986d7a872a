//! Handing fields over, in a member: KubeFed's entries of `managedFields` become meridian's, under
//! the resourceVersion that was read; and back.
//!
//! KubeFed updated, and owned what it wrote as a manager of updates. meridian applies, and a field
//! leaves an object with the template only if who applies owns it.

use super::survey::{Surveyed, target_api};
use crate::commands::federated_type::Federated;
use crate::commands::members::{DEADLINE, target_key};
use anyhow::{Context, Result, bail, ensure};
use controller::handed_over;
use federation::{
    ANNOTATION_ADOPTED, ANNOTATION_APPLIED_HASH, ANNOTATION_ORIGIN, FIELD_MANAGER, LABEL_MANAGED,
};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::ManagedFieldsEntry;
use kube::api::{DynamicObject, Patch, PatchParams};
use kube::{Api, Client, ResourceExt};
use serde_json::{Value, json};
use tokio::time::timeout;

/// Field manager of the marks that are set here.
const MANAGER: &str = "meridian-migrate";
/// What KubeFed's controller calls itself when it updates: the name of its program.
const KUBEFED: &str = "controller-manager";
/// Somebody else may write meanwhile; then it is read again.
const ATTEMPTS: usize = 5;

/// Makes one object meridian's.
///
/// # Errors
/// The member refuses it, or it is not KubeFed's any more.
pub(super) async fn hand_over(client: &Client, object: &Surveyed) -> Result<()> {
    let api = target_api(client, &object.federated, &object.key);
    let change = |live: &DynamicObject| {
        let managed = live.labels().get(LABEL_MANAGED);
        ensure!(
            managed.map(String::as_str) == Some("true"),
            "it has lost the label {LABEL_MANAGED} and is left alone"
        );
        let entries = live.metadata.managed_fields.as_deref().unwrap_or_default();
        let entries = handed_over(entries, &object.managers);
        let mark = match live.metadata.annotations.is_some() {
            true => json!({"op": "add", "path": pointer(ANNOTATION_ORIGIN),
                "value": object.origin}),
            false => json!({"op": "add", "path": "/metadata/annotations",
                "value": {ANNOTATION_ORIGIN: object.origin}}),
        };
        Ok((entries, vec![mark]))
    };
    let what = || format!("{} {}", object.kind, object.name);
    under_version(&api, &object.key.name, change)
        .await
        .with_context(what)
}

/// Makes one object KubeFed's again.
///
/// # Errors
/// The member refuses it.
pub(super) async fn hand_back(
    client: &Client,
    federated: &Federated,
    object: &DynamicObject,
) -> Result<()> {
    let key = target_key(object);
    let api = target_api(client, federated, &key);
    let change = |live: &DynamicObject| {
        let entries = live.metadata.managed_fields.clone().unwrap_or_default();
        let marks = [
            ANNOTATION_ORIGIN,
            ANNOTATION_APPLIED_HASH,
            ANNOTATION_ADOPTED,
        ];
        let there = marks
            .iter()
            .filter(|mark| live.annotations().contains_key(**mark));
        let gone = there.map(|mark| json!({"op": "remove", "path": pointer(mark)}));
        Ok((entries.into_iter().map(back).collect(), gone.collect()))
    };
    let kind = &federated.types.target.kind;
    under_version(&api, &key.name, change)
        .await
        .with_context(|| format!("{kind} {key}"))
}

fn back(mut entry: ManagedFieldsEntry) -> ManagedFieldsEntry {
    let is_ours = entry.manager.as_deref() == Some(FIELD_MANAGER)
        && entry.operation.as_deref() == Some("Apply")
        && entry.subresource.as_deref().unwrap_or_default().is_empty();
    if is_ours {
        entry.manager = Some(KUBEFED.to_owned());
        entry.operation = Some("Update".to_owned());
    }
    entry
}

type Change = (Vec<ManagedFieldsEntry>, Vec<Value>);

/// Patches an object as it is read; once more, when somebody was faster.
async fn under_version(
    api: &Api<DynamicObject>,
    name: &str,
    change: impl Fn(&DynamicObject) -> Result<Change>,
) -> Result<()> {
    for _ in 0..ATTEMPTS {
        let late = || format!("no answer within {} s", DEADLINE.as_secs());
        let live = timeout(DEADLINE, api.get(name))
            .await
            .with_context(late)??;
        let (entries, marks) = change(&live)?;
        let mut operations = vec![
            json!({"op": "replace", "path": "/metadata/managedFields", "value": entries}),
            json!({"op": "replace", "path": "/metadata/resourceVersion",
                "value": live.resource_version()}),
        ];
        operations.extend(marks);
        let patch: json_patch::Patch = serde_json::from_value(json!(operations))?;
        let parameters = PatchParams {
            field_manager: Some(MANAGER.to_owned()),
            ..PatchParams::default()
        };
        let patch = Patch::Json::<()>(patch);
        let answer = timeout(DEADLINE, api.patch(name, &parameters, &patch)).await;
        match answer.with_context(late)? {
            Ok(_) => return Ok(()),
            Err(kube::Error::Api(status)) if status.code == 409 => {}
            Err(why) => return Err(why.into()),
        }
    }
    bail!("somebody else writes it again and again")
}

/// An annotation as RFC 6901 names it.
fn pointer(annotation: &str) -> String {
    format!(
        "/metadata/annotations/{}",
        annotation.replace('~', "~0").replace('/', "~1")
    )
}
