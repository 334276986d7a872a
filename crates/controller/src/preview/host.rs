//! The host as it would be with the manifests applied: read once, and the manifests laid over it.

use super::claim::{Claim, Claims};
use super::{Note, Preview, Refused};
use crate::Error;
use crate::context::Context;
use crate::host::HostObjects;
use crate::scope::ControlPlane;
use crate::wake::NamedType;
use api::ReplicaSchedulingPreference;
use api::key_of;
use api::{FederatedTypeConfig, GlobalService, KubeFedCluster, KubeFedConfig, ProbeReport};
use futures::{StreamExt, TryStreamExt, stream};
use k8s_openapi::api::core::v1::Secret;
use kube::api::{DynamicObject, ListParams, ObjectMeta};
use kube::core::object::HasStatus;
use kube::{Api, Client, Resource};
use model::ObjectKey;
use serde::de::DeserializeOwned;
use serde_json::Value;
use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Debug;
use std::sync::Arc;
use std::time::Duration;
use tokio::time::timeout;

/// What stands for a value that the host makes with the object.
pub const KNOWN_AFTER_APPLY: &str = "(known after apply)";
/// How long the host may take for one answer.
const DEADLINE: Duration = Duration::from_secs(5);
/// Single objects that are read at once.
const READS_MAX: usize = 16;
/// Objects of one type that are planned because of what they follow.
const FOLLOWERS_MAX: u32 = 500;
/// What kubectl keeps of the last manifest that it applied.
const LAST_APPLIED: &str = "kubectl.kubernetes.io/last-applied-configuration";

/// What happens to a federated object itself, on the host.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum HostChange {
    /// It is new.
    Create,
    /// Its spec, labels or annotations change.
    Update,
    /// Nothing.
    None,
}

/// The host as it was read.
pub(super) struct Seen {
    pub(super) objects: HostObjects,
    /// Who it is.
    pub(super) host_uid: String,
}

/// Whether a group is KubeFed's or meridian's.
pub(super) fn ours(group: &str) -> bool {
    group.ends_with("kubefed.io") || group.ends_with("meridian.dev")
}

/// Reads all that decides about plans, the federated objects apart.
pub(super) async fn read(client: &Client, namespace: &str) -> Result<Seen, Error> {
    let us = ControlPlane::find(client, namespace).await?;
    let (clusters, configs, type_configs, preferences) = tokio::try_join!(
        all(Api::<KubeFedCluster>::namespaced(client.clone(), namespace)),
        all(us.all::<KubeFedConfig>(client)),
        all(Api::<FederatedTypeConfig>::namespaced(
            client.clone(),
            namespace
        )),
        all(us.all::<ReplicaSchedulingPreference>(client)),
    )?;
    // These say how members' data planes are; who may not read them plans without.
    let reports = all(Api::<ProbeReport>::namespaced(client.clone(), namespace)).await;
    let services = all(us.all::<GlobalService>(client)).await;
    Ok(Seen {
        objects: HostObjects {
            secrets: secrets(client, namespace, &clusters).await?,
            clusters,
            configs,
            type_configs,
            preferences,
            reports: reports.unwrap_or_default(),
            global_services: services.unwrap_or_default(),
        },
        host_uid: us.uid,
    })
}

/// The Secrets that the members name; one that is not there is missed when it is used.
async fn secrets(
    client: &Client,
    namespace: &str,
    clusters: &[KubeFedCluster],
) -> Result<Vec<Secret>, Error> {
    let secrets = Api::<Secret>::namespaced(client.clone(), namespace);
    let names: BTreeSet<String> = clusters
        .iter()
        .map(|cluster| cluster.spec.secret_ref.name.clone())
        .collect();
    let reads = stream::iter(names).map(|name| {
        let secrets = secrets.clone();
        async move { in_time(secrets.get_opt(&name)).await }
    });
    let read: Vec<Option<Secret>> = reads.buffer_unordered(READS_MAX).try_collect().await?;
    Ok(read.into_iter().flatten().collect())
}

/// Lays those manifests over what was read that decide about plans. Whether what any object of the
/// host follows has changed: a member, the settings or a type.
pub(super) fn lay_over(
    seen: &mut Seen,
    namespace: &str,
    manifests: &[Value],
    preview: &mut Preview,
) -> bool {
    let objects = &mut seen.objects;
    let mut concerns_all = false;
    for (index, manifest) in manifests.iter().enumerate() {
        let group = manifest["apiVersion"].as_str().unwrap_or_default();
        if !ours(group.split('/').next().unwrap_or_default()) {
            continue;
        }
        let laid = match manifest["kind"].as_str().unwrap_or_default() {
            "ReplicaSchedulingPreference" => lay(&mut objects.preferences, manifest),
            kind @ ("KubeFedCluster" | "KubeFedConfig" | "FederatedTypeConfig") => {
                if manifest["metadata"]["namespace"] != namespace {
                    preview.notes.push(Note {
                        manifest: Some(index),
                        text: format!("not considered: meridian reads it in {namespace} only"),
                    });
                    continue;
                }
                let laid = match kind {
                    "KubeFedCluster" => lay(&mut objects.clusters, manifest),
                    "KubeFedConfig" => lay(&mut objects.configs, manifest),
                    _ => lay(&mut objects.type_configs, manifest),
                };
                concerns_all |= matches!(laid, Ok(HostChange::Create | HostChange::Update));
                laid
            }
            _ => continue,
        };
        if let Err(error) = laid {
            preview.refused.push(Refused {
                manifest: index,
                error: error.into(),
            });
        }
    }
    concerns_all
}

/// Puts a manifest in the place of the object of that name.
fn lay<K>(held: &mut Vec<K>, manifest: &Value) -> Result<HostChange, api::Error>
where
    K: Resource<DynamicType = ()> + HasStatus + DeserializeOwned + PartialEq + Clone,
{
    let mut new: K = serde_json::from_value(manifest.clone())
        .map_err(|error| api::Error::invalid("spec", error.to_string()))?;
    let key = key_of(new.meta());
    match held.iter_mut().find(|held| key_of(held.meta()) == key) {
        Some(live) => {
            *new.meta_mut() = laid_over(live.meta(), new.meta());
            let status = live.status_mut().take();
            new.status_mut().take();
            let change = match *live == new {
                true => HostChange::None,
                false => HostChange::Update,
            };
            *new.status_mut() = status;
            *live = new;
            Ok(change)
        }
        None => {
            held.push(new);
            Ok(HostChange::Create)
        }
    }
}

/// The live metadata with the labels and annotations of a manifest.
fn laid_over(live: &ObjectMeta, file: &ObjectMeta) -> ObjectMeta {
    let last: Value = live
        .annotations
        .as_ref()
        .and_then(|annotations| serde_json::from_str(annotations.get(LAST_APPLIED)?).ok())
        .unwrap_or_default();
    let merged = |field: &str, live: &Option<BTreeMap<String, String>>, file: &Option<_>| {
        let mut merged = live.clone().unwrap_or_default();
        merged.retain(|key, _| last["metadata"][field][key].is_null());
        let file: BTreeMap<String, String> = file.clone().unwrap_or_default();
        merged.extend(file);
        Some(merged).filter(|merged| !merged.is_empty())
    };
    ObjectMeta {
        labels: merged("labels", &live.labels, &file.labels),
        annotations: merged("annotations", &live.annotations, &file.annotations),
        ..live.clone()
    }
}

/// Objects by the name of their type.
pub(super) type Held = BTreeMap<Arc<str>, Vec<DynamicObject>>;

/// Reads the federated objects that are planned and those that they depend on, and lays the
/// manifests over them.
pub(super) async fn read_objects(
    context: &Context,
    types: &BTreeMap<String, NamedType>,
    claims: &mut Claims,
) -> Result<Held, Error> {
    let mut wanted: BTreeSet<(Arc<str>, ObjectKey)> = BTreeSet::new();
    let namespaces = types.values().find(|named| named.federated.is_namespace());
    for claim in &claims.planned {
        wanted.insert((Arc::clone(&claim.named.name), claim.key.clone()));
        let namespace = &claim.key.namespace;
        if let (Some(named), false) = (namespaces, namespace.is_empty()) {
            wanted.insert((
                Arc::clone(&named.name),
                ObjectKey::new(namespace, namespace),
            ));
        }
    }
    wanted.extend(steered_services(context, types));
    let reads = stream::iter(wanted).map(|(type_name, key)| async move {
        let named = &types[&*type_name];
        let live = read_object(context, named, &key).await?;
        Ok::<_, Error>((Arc::clone(&named.name), key, live))
    });
    let reads: Vec<_> = reads.buffer_unordered(READS_MAX).try_collect().await?;
    let mut held = Held::new();
    for (type_name, key, live) in reads {
        let claim = claims
            .planned
            .iter_mut()
            .find(|claim| claim.named.name == type_name && claim.key == key);
        let object = match claim {
            Some(claim) => laid_on(claim, live),
            None => live,
        };
        held.entry(type_name).or_default().extend(object);
    }
    Ok(held)
}

/// Adds the objects that follow what the manifests change: all, or those of namespaces that move.
pub(super) async fn add_followers(
    context: &Context,
    types: &BTreeMap<String, NamedType>,
    claims: &mut Claims,
    notes: &mut Vec<Note>,
    concerns_all: bool,
) -> Result<(), Error> {
    if concerns_all {
        for named in types.values() {
            follow(context, named, None, claims, notes).await?;
        }
        return Ok(());
    }
    for namespace in moved_namespaces(context, claims).await? {
        let namespaced = types
            .values()
            .filter(|named| named.federated.target_namespaced);
        for named in namespaced {
            follow(context, named, Some(&namespace), claims, notes).await?;
        }
    }
    Ok(())
}

/// Adds the objects of one type, of one namespace or of all.
async fn follow(
    context: &Context,
    named: &NamedType,
    namespace: Option<&str>,
    claims: &mut Claims,
    notes: &mut Vec<Note>,
) -> Result<(), Error> {
    let resource = &named.federated.federated;
    let api: Api<DynamicObject> = match namespace {
        Some(namespace) => Api::namespaced_with(context.host.client.clone(), namespace, resource),
        None => context.host.federated(resource),
    };
    let listed = match in_time(api.list(&ListParams::default().limit(FOLLOWERS_MAX))).await {
        // The type's CRD is not installed yet.
        Err(Error::Host(why)) if is_not_found(&why) => return Ok(()),
        listed => listed?,
    };
    if listed.metadata.continue_.is_some() {
        let what = match namespace {
            Some(namespace) => format!("in namespace {namespace}, which follow its placement"),
            None => "which follow what the files say of members, settings or types".to_owned(),
        };
        notes.push(Note {
            manifest: None,
            text: format!(
                "of {} {what}, only {FOLLOWERS_MAX} are planned",
                resource.plural
            ),
        });
    }
    let keys = listed.items.iter().map(|object| key_of(&object.metadata));
    claims.follow(named, keys);
    Ok(())
}

/// Namespaces whose FederatedNamespace is new, or has another placement than on the host.
async fn moved_namespaces(context: &Context, claims: &Claims) -> Result<Vec<String>, Error> {
    let mut moved = Vec::new();
    for claim in &claims.planned {
        let Some(file) = claim
            .file
            .as_ref()
            .filter(|_| claim.named.federated.is_namespace())
        else {
            continue;
        };
        let live = read_object(context, &claim.named, &claim.key).await?;
        let placement = |object: &DynamicObject| object.data["spec"]["placement"].clone();
        let is_deleted = file.metadata.deletion_timestamp.is_some();
        if live.is_none_or(|live| is_deleted || placement(&live) != placement(file)) {
            moved.push(claim.key.name.to_string());
        }
    }
    Ok(moved)
}

fn is_not_found(error: &kube::Error) -> bool {
    matches!(error, kube::Error::Api(status) if status.code == 404)
}

/// FederatedServices that global services serve: their endpoints tell of data planes.
fn steered_services(
    context: &Context,
    types: &BTreeMap<String, NamedType>,
) -> Vec<(Arc<str>, ObjectKey)> {
    let kind = |named: &&NamedType| named.federated.federated.kind == "FederatedService";
    let Some(named) = types.values().find(kind) else {
        return Vec::new();
    };
    let services = context.host.global_services();
    let sources = services.iter().filter_map(|service| {
        let source = service.spec.endpoints.service.as_ref()?;
        let namespace = service.metadata.namespace.as_deref()?;
        let key = ObjectKey::new(namespace, &source.name);
        Some((Arc::clone(&named.name), key))
    });
    sources.collect()
}

async fn read_object(
    context: &Context,
    named: &NamedType,
    key: &ObjectKey,
) -> Result<Option<DynamicObject>, Error> {
    let client = context.host.client.clone();
    let resource = &named.federated.federated;
    let api: Api<DynamicObject> = match named.federated.federated_namespaced {
        true => Api::namespaced_with(client, &key.namespace, resource),
        false => Api::all_with(client, resource),
    };
    in_time(api.get_opt(&key.name)).await
}

/// The object as it would be, and what that changes.
fn laid_on(claim: &mut Claim, live: Option<DynamicObject>) -> Option<DynamicObject> {
    let Some(file) = &claim.file else {
        claim.change = HostChange::None;
        return live;
    };
    let mut laid = file.clone();
    let deleted = file.metadata.deletion_timestamp.clone();
    let Some(live) = live else {
        if deleted.is_some() {
            claim.change = HostChange::None;
            return None;
        }
        claim.change = HostChange::Create;
        laid.metadata.uid = Some(KNOWN_AFTER_APPLY.to_owned());
        laid.metadata.generation = Some(1);
        return Some(laid);
    };
    laid.metadata = laid_over(&live.metadata, &file.metadata);
    laid.metadata.deletion_timestamp = live.metadata.deletion_timestamp.clone().or(deleted);
    laid.data = serde_json::json!({"spec": file.data["spec"], "status": live.data["status"]});
    let same = laid.data["spec"] == live.data["spec"]
        && laid.metadata.labels == live.metadata.labels
        && laid.metadata.annotations == live.metadata.annotations;
    claim.change = match same {
        true => HostChange::None,
        false => HostChange::Update,
    };
    Some(laid)
}

async fn all<K>(api: Api<K>) -> Result<Vec<K>, Error>
where
    K: Clone + DeserializeOwned + Debug,
{
    Ok(in_time(api.list(&ListParams::default())).await?.items)
}

async fn in_time<T>(request: impl Future<Output = Result<T, kube::Error>>) -> Result<T, Error> {
    let answered = timeout(DEADLINE, request).await;
    Ok(answered.map_err(|_| Error::HostTimedOut)??)
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn annotations_go_that_kubectl_had_applied_and_a_manifest_no_longer_has() {
        let last = json!({"metadata": {"annotations": {"meridian.dev/paused": "true", "a": "1"}}});
        let read = |metadata: Value| serde_json::from_value::<ObjectMeta>(metadata).expect("fine");
        let live = read(json!({"name": "web", "uid": "u", "labels": {"theirs": "1"},
            "annotations": {"meridian.dev/paused": "true", "a": "1", "theirs": "2",
                LAST_APPLIED: last.to_string()}}));
        let file = read(json!({"name": "web", "annotations": {"a": "3"}}));
        let mut laid = laid_over(&live, &file);
        let annotations = laid.annotations.as_mut().expect("some");
        annotations.remove(LAST_APPLIED);
        let expected = read(json!({"name": "web", "uid": "u", "labels": {"theirs": "1"},
            "annotations": {"a": "3", "theirs": "2"}}));
        assert_eq!(laid, expected);
    }
}
