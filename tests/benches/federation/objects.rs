//! The objects that are written, and how.

use futures::{StreamExt, TryStreamExt, stream};
use kube::api::{DynamicObject, Patch, PatchParams, PostParams};
use kube::core::{ApiResource, GroupVersionKind};
use kube::{Api, Client};
use meridian_tests::sighted::Result;
use meridian_tests::world::{Cluster, ObjectRef, TYPES};
use serde_json::{Value, json};
use std::future::Future;

/// Bytes of data in each ConfigMap.
const DATA_BYTES: usize = 1_024;
/// The group of what is like a federated object and is not.
const UNWATCHED: &str = "unwatched.example.org";
/// Requests in flight of whoever writes to the host.
pub(crate) const WRITER_IN_FLIGHT: usize = 64;

/// A collection of one namespace.
pub(crate) fn collection(
    client: &Client,
    api_version: &str,
    kind: &str,
    namespace: &str,
) -> Api<DynamicObject> {
    let (group, version) = api_version.rsplit_once('/').unwrap_or(("", api_version));
    let resource = ApiResource::from_gvk(&GroupVersionKind::gvk(group, version, kind));
    Api::namespaced_with(client.clone(), namespace, &resource)
}

/// The federated ConfigMaps of a namespace of the host.
pub(crate) fn federated(client: &Client, namespace: &str) -> Api<DynamicObject> {
    collection(client, TYPES, "FederatedConfigMap", namespace)
}

/// A collection whose objects cost the host what federated ConfigMaps cost it, and that nobody
/// follows: the same definition under another group.
pub(crate) async fn unwatched(host: &Cluster, namespace: &str) -> Api<DynamicObject> {
    let version = "apiextensions.k8s.io/v1";
    let (group, _) = TYPES.split_once('/').unwrap_or_default();
    let name = |group: &str| format!("federatedconfigmaps.{group}");
    let definition = ObjectRef::new(version, "CustomResourceDefinition", "", &name(group));
    let mut spec = host.get(&definition).await["spec"].clone();
    spec["group"] = json!(UNWATCHED);
    spec["names"]["shortNames"] = json!([]);
    host.apply(
        json!({"apiVersion": version, "kind": "CustomResourceDefinition",
        "metadata": {"name": name(UNWATCHED)}, "spec": spec}),
    )
    .await;
    let mut first = unwatched_config_map("first", 0);
    first["metadata"]["namespace"] = json!(namespace);
    host.apply_once_served(first).await;
    collection(
        host.client(),
        &format!("{UNWATCHED}/v1beta1"),
        "FederatedConfigMap",
        namespace,
    )
}

/// What is like a federated ConfigMap.
pub(crate) fn unwatched_config_map(name: &str, edition: usize) -> Value {
    let mut object = federated_config_map(name, edition);
    object["apiVersion"] = json!(format!("{UNWATCHED}/v1beta1"));
    object
}

/// The ConfigMaps of a namespace.
pub(crate) fn config_maps(client: &Client, namespace: &str) -> Api<DynamicObject> {
    collection(client, "v1", "ConfigMap", namespace)
}

/// A federated ConfigMap that goes everywhere.
pub(crate) fn federated_config_map(name: &str, edition: usize) -> Value {
    json!({"apiVersion": TYPES, "kind": "FederatedConfigMap",
        "metadata": {"name": name},
        "spec": {"template": {"data": data(name, edition)}, "placement": {"clusterSelector": {}}}})
}

/// The change of a federated ConfigMap to an edition.
pub(crate) fn edition_patch(name: &str, edition: usize) -> Value {
    json!({"spec": {"template": {"data": data(name, edition)}}})
}

/// The ConfigMap as a member gets it, marks of the same length included. The label that meridian
/// watches is not true, so that it does not look at what is not its own.
pub(crate) fn config_map(name: &str, edition: usize) -> Value {
    let (uid, hash) = ("-".repeat(36), "-".repeat(64));
    json!({"apiVersion": "v1", "kind": "ConfigMap",
        "metadata": {
            "name": name,
            "labels": {"kubefed.io/managed": "none"},
            "annotations": {
                "meridian.dev/origin": format!("{uid}/{uid}"),
                "meridian.dev/applied-hash": hash,
            },
        },
        "data": data(name, edition)})
}

/// As many bytes in each, and no two the same.
fn data(name: &str, edition: usize) -> Value {
    let text = format!("{name}/{edition}");
    json!({"text": format!("{text:->DATA_BYTES$}")})
}

/// Creates an object.
pub(crate) async fn create(api: Api<DynamicObject>, object: Value) -> Result<()> {
    let object: DynamicObject = serde_json::from_value(object)?;
    api.create(&PostParams::default(), &object).await?;
    Ok(())
}

/// Applies an object as a plain client.
pub(crate) async fn apply(api: Api<DynamicObject>, object: Value) -> Result<()> {
    let name = object["metadata"]["name"].as_str().unwrap_or_default();
    let parameters = PatchParams::apply("bound");
    api.patch(name, &parameters, &Patch::Apply(&object)).await?;
    Ok(())
}

/// Merge-patches an object.
pub(crate) async fn patch(api: Api<DynamicObject>, name: String, patch: Value) -> Result<()> {
    let parameters = PatchParams::default();
    api.patch(&name, &parameters, &Patch::Merge(&patch)).await?;
    Ok(())
}

/// Sends requests, so many at a time.
pub(crate) async fn all<F>(requests: impl Iterator<Item = F>, in_flight: usize) -> Result<()>
where
    F: Future<Output = Result<()>> + Send + 'static,
{
    stream::iter(requests)
        .map(|request| async move { tokio::spawn(request).await? })
        .buffer_unordered(in_flight)
        .try_collect::<Vec<()>>()
        .await?;
    Ok(())
}
