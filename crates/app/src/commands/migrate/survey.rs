//! What becomes of each object in each member: meridian's own plan, tried where it is to be.
//!
//! A trial is two dry runs: an apply of what is rendered; then an update without the fields that
//! KubeFed wrote and that are not rendered. What comes back is what the member would hold after the
//! move, its own defaults and webhooks included; it is compared with what is there.

use crate::cli;
use crate::commands::federated_type::{self, Federated};
use crate::commands::join::control_plane;
use crate::commands::members::{self, DEADLINE, Reached};
use crate::commands::plan::ask;
use crate::manifests::{self, Manifest};
use crate::output::Progress;
use anyhow::Result;
use controller::handed_over;
use controller::preview::{Asked, PreviewedObject};
use federation::{
    ANNOTATION_ADOPTED, ANNOTATION_APPLIED_HASH, ANNOTATION_ORIGIN, Action, FIELD_MANAGER,
    LABEL_MANAGED, Write, ownership_difference,
};
use futures::{StreamExt, stream};
use kube::api::{DynamicObject, Patch, PatchParams, PostParams};
use kube::{Api, Client, ResourceExt};
use model::{ClusterName, ObjectKey};
use serde::Serialize;
use serde_json::{Value, json};
use std::collections::BTreeMap;
use tokio::time::timeout;

/// Objects that are planned at once.
const CHUNK: usize = 200;
/// Trials under way at once.
const TRIALS_MAX: usize = 16;
/// Changes of one object that are named.
const CHANGES_MAX: usize = 8;

/// What becomes of an object in a member.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "camelCase")]
pub(super) enum Fate {
    /// KubeFed's fields become meridian's, and nothing else changes.
    HandedOver,
    /// The same, and meridian's first write would change more than marks.
    Changed,
    /// It is not there, and meridian would make it.
    Created,
    /// It is meridian's already.
    Done,
    /// It is not touched, and the reason says for what.
    LeftAlone,
    /// Nobody could say.
    Unknown,
}

/// An object in a member.
#[derive(Clone, Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Surveyed {
    pub(super) cluster: ClusterName,
    pub(super) kind: String,
    pub(super) name: String,
    pub(super) fate: Fate,
    pub(super) reason: String,
    #[serde(skip)]
    pub(super) federated: Federated,
    #[serde(skip)]
    pub(super) key: ObjectKey,
    /// Old managers whose fields become ours.
    #[serde(skip)]
    pub(super) managers: Vec<String>,
    /// What its origin shall be.
    #[serde(skip)]
    pub(super) origin: String,
}

/// Surveys everything that is federated.
///
/// # Errors
/// The host does not say what that is.
pub(super) async fn survey(host: &Client, args: &cli::Host) -> Result<Vec<Surveyed>> {
    let namespace = &args.system_namespace;
    let progress = Progress::new();
    let members: BTreeMap<ClusterName, Client> = members::reached(host, args)
        .await?
        .into_iter()
        .map(|Reached { name, requests }| (name, requests))
        .collect();
    // What KubeFed made counts as ours, whatever is said of what others made.
    let config = as_if_adopting(host, namespace).await?;
    let us = control_plane(host, namespace).await?;
    let mut surveyed = Vec::new();
    for federated in federated_type::all(host, namespace).await? {
        let objects = members::objects(host, &us, &federated).await?;
        let asked: Vec<Asked> = objects
            .iter()
            .map(|object| Asked {
                type_name: federated.name.clone(),
                key: federated.key(&object.namespace().unwrap_or_default(), &object.name_any()),
            })
            .collect();
        for (index, chunk) in asked.chunks(CHUNK).enumerate() {
            progress.say(&format!(
                "{}: {} of {}",
                federated.name,
                index * CHUNK + chunk.len(),
                asked.len()
            ));
            let preview = ask(args, std::slice::from_ref(&config), chunk.to_vec()).await?;
            let parts = preview.objects.iter().flat_map(|object| {
                let names = object.input.clusters.keys();
                names.map(move |name| (object, name))
            });
            let surveys = parts.map(|(object, name)| {
                let member = members.get(name);
                survey_one(member, &federated, object, name)
            });
            let surveys: Vec<_> = surveys.collect();
            let mut found = stream::iter(surveys).buffered(TRIALS_MAX);
            while let Some(found) = found.next().await {
                surveyed.extend(found);
            }
        }
    }
    Ok(surveyed)
}

/// Whether an object says that this host propagated it.
pub(super) fn origin_is(object: &DynamicObject, host_uid: &str) -> bool {
    let origin = object.annotations().get(ANNOTATION_ORIGIN);
    origin
        .and_then(|origin| origin.split_once('/'))
        .is_some_and(|(host, _)| host == host_uid)
}

async fn as_if_adopting(host: &Client, namespace: &str) -> Result<Manifest> {
    let configs = Api::<api::KubeFedConfig>::namespaced(host.clone(), namespace);
    let mut manifest = manifests::default_config(namespace);
    if let Some(config) = configs.get_opt(api::names::CONFIG_NAME).await? {
        manifest.object["spec"] = serde_json::to_value(&config.spec)?;
    }
    manifest.object["spec"]["syncController"]["adoptResources"] = json!("Enabled");
    Ok(manifest)
}

/// One object in one member; nothing, where it neither is nor shall be.
async fn survey_one(
    member: Option<&Client>,
    federated: &Federated,
    object: &PreviewedObject,
    name: &ClusterName,
) -> Option<Surveyed> {
    let (input, live) = (&object.input, object.live.get(name));
    let told = |fate, reason: &str| Surveyed {
        cluster: name.clone(),
        kind: input.target.kind.clone(),
        name: input.target.key.to_string(),
        fate,
        reason: reason.to_owned(),
        federated: federated.clone(),
        key: input.target.key.clone(),
        managers: Vec::new(),
        origin: format!("{}/{}", input.host.uid, input.object.uid),
    };
    if let Some(why) = object.unknown.get(name) {
        return Some(told(Fate::Unknown, why));
    }
    let managed = live
        .is_some_and(|live| live.labels().get(LABEL_MANAGED).map(String::as_str) == Some("true"));
    let Some(step) = object.plan.steps.get(name) else {
        // KubeFed's, and in no cluster that the placement chooses.
        let left = "the placement does not choose the cluster; it stays, and is an orphan";
        return managed.then(|| told(Fate::LeftAlone, left));
    };
    let write = match (&step.action, live) {
        (Action::Create(_), _) => return Some(told(Fate::Created, &step.reason)),
        (_, Some(live)) if origin_is(live, &input.host.uid) => {
            return Some(told(Fate::Done, "it has its origin already"));
        }
        (Action::Apply(write), Some(_)) if managed => write,
        (Action::Apply(_), Some(_)) => {
            let others = "it has no label of KubeFed's: meridian takes it over only where \
                          adoptResources says so";
            return Some(told(Fate::LeftAlone, others));
        }
        _ => return Some(told(Fate::LeftAlone, &step.reason)),
    };
    let (Some(client), Some(live)) = (member, live) else {
        return Some(told(Fate::Unknown, "the member cannot be reached"));
    };
    let tried = timeout(DEADLINE, trial(client, federated, input, live, write)).await;
    let surveyed = match tried {
        Ok(Ok(changes)) if changes.is_empty() => {
            let from = match write.takeover.is_empty() {
                true => "nothing but marks".to_owned(),
                false => format!("fields of {}", write.takeover.join(", ")),
            };
            told(Fate::HandedOver, &from)
        }
        Ok(Ok(changes)) => told(Fate::Changed, &changes.join("; ")),
        Ok(Err(why)) => told(Fate::Unknown, &format!("{why:#}")),
        Err(_) => told(Fate::Unknown, "the member does not answer"),
    };
    Some(Surveyed {
        managers: write.takeover.clone(),
        ..surveyed
    })
}

/// What would be otherwise in the member after meridian's first write.
async fn trial(
    client: &Client,
    federated: &Federated,
    input: &federation::PlanInput,
    live: &DynamicObject,
    write: &Write,
) -> Result<Vec<String>> {
    let api = target_api(client, federated, &input.target.key);
    let name = &input.target.key.name;
    let applying = PatchParams::apply(FIELD_MANAGER).force().dry_run();
    let mut tried = api
        .patch(name, &applying, &Patch::Apply(&write.object))
        .await?;
    let entries = live.metadata.managed_fields.as_deref().unwrap_or_default();
    let entries = handed_over(entries, &write.takeover);
    let ours = entries.iter().find(|entry| {
        entry.manager.as_deref() == Some(FIELD_MANAGER)
            && entry.operation.as_deref() == Some("Apply")
    });
    let owned = ours.and_then(|entry| entry.fields_v1.as_ref());
    let surplus = owned.map(|owned| ownership_difference(&owned.0, &write.object).surplus);
    let surplus = surplus.unwrap_or_default();
    if !surplus.is_empty() {
        let mut without = serde_json::to_value(&tried)?;
        surplus
            .iter()
            .for_each(|path| path.remove_from(&mut without));
        let updating = PostParams {
            dry_run: true,
            ..PostParams::default()
        };
        let without: DynamicObject = serde_json::from_value(without)?;
        tried = api.replace(name, &updating, &without).await?;
    }
    let mut changes = Vec::new();
    compare("", &plain(live)?, &plain(&tried)?, &mut changes);
    let is_secret = input.target.kind == "Secret" && input.target.group.is_empty();
    let words = changes.into_iter().map(|(path, old, new)| match is_secret {
        true => path,
        false => format!("{path} {old} → {new}"),
    });
    Ok(words.take(CHANGES_MAX).collect())
}

/// Where an object is in a member.
pub(super) fn target_api(
    client: &Client,
    federated: &Federated,
    key: &ObjectKey,
) -> Api<DynamicObject> {
    let target = &federated.types.target;
    match federated.types.target_namespaced {
        true => Api::namespaced_with(client.clone(), &key.namespace, target),
        false => Api::all_with(client.clone(), target),
    }
}

/// What is compared: labels and annotations but for our marks, and everything else that is stored.
fn plain(object: &DynamicObject) -> Result<Value> {
    let mut value = serde_json::to_value(object)?;
    let mut annotations = object.annotations().clone();
    for mark in [
        ANNOTATION_ORIGIN,
        ANNOTATION_APPLIED_HASH,
        ANNOTATION_ADOPTED,
    ] {
        annotations.remove(mark);
    }
    value["metadata"] = json!({"labels": object.labels(), "annotations": annotations});
    if let Some(fields) = value.as_object_mut() {
        fields.remove("status");
    }
    Ok(value)
}

/// Leaves that differ: path, what is there, what would be.
fn compare(path: &str, old: &Value, new: &Value, out: &mut Vec<(String, Value, Value)>) {
    match (old, new) {
        (Value::Object(before), Value::Object(after)) => {
            let names: std::collections::BTreeSet<&String> =
                before.keys().chain(after.keys()).collect();
            for name in names {
                let [old, new] = [before, after].map(|fields| fields.get(name));
                let path = format!("{path}.{name}");
                compare(
                    &path,
                    old.unwrap_or(&Value::Null),
                    new.unwrap_or(&Value::Null),
                    out,
                );
            }
        }
        (Value::Array(before), Value::Array(after)) if before.len() == after.len() => {
            for (index, (old, new)) in before.iter().zip(after).enumerate() {
                compare(&format!("{path}[{index}]"), old, new, out);
            }
        }
        _ if old == new => {}
        _ => out.push((path.to_owned(), old.clone(), new.clone())),
    }
}
