//! What is written before anything is measured, and the objects that are.

use crate::site::SYSTEM_NAMESPACE;
use crate::{DATA_BYTES, Result};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;
use k8s_openapi::apiextensions_apiserver::pkg::apis::apiextensions::v1::CustomResourceDefinition;
use kube::api::{DynamicObject, Patch, PatchParams};
use kube::core::{ApiResource, GroupVersionKind};
use kube::runtime::wait::{await_condition, conditions};
use kube::{Api, Client, Error, ResourceExt};
use serde_json::{Value, json};
use std::collections::BTreeMap;

/// The field manager of whoever sets the host up.
const SOMEBODY: &str = "somebody";
/// API version of federated kinds.
const TYPES: &str = "types.kubefed.io/v1beta1";
/// Part of an installation where the host knows its kinds.
const POLICY: &str = include_str!("../../../deploy/host/finalizer-policy.yaml");

/// Installs meridian on the host as its users do: all CRDs, the policy that gives finalizers, all
/// shipped types, and the members.
pub(crate) async fn furnish(host: &Client, kubeconfigs: &BTreeMap<&str, String>) -> Result<()> {
    let definitions = Api::<CustomResourceDefinition>::all(host.clone());
    for definition in api::crds() {
        let parameters = PatchParams::apply(SOMEBODY);
        let name = definition.name_any();
        definitions
            .patch(&name, &parameters, &Patch::Apply(&definition))
            .await?;
        let established = conditions::is_crd_established();
        await_condition(definitions.clone(), &name, established).await?;
    }
    for document in serde_saphyr::from_multiple::<Value>(POLICY)? {
        match apply(host, document).await {
            Err(Error::Api(status)) if status.code == 404 => {}
            applied => applied?,
        }
    }
    create_namespace(host, SYSTEM_NAMESPACE).await?;
    let in_system = |api_version: &str, kind: &str, name: &str, rest: Value| {
        let mut object = rest;
        object["apiVersion"] = json!(api_version);
        object["kind"] = json!(kind);
        object["metadata"] = json!({"name": name, "namespace": SYSTEM_NAMESPACE});
        object
    };
    let core = "core.kubefed.io/v1beta1";
    let settings = in_system(
        core,
        "KubeFedConfig",
        api::names::CONFIG_NAME,
        json!({"spec": {}}),
    );
    apply(host, settings).await?;
    for config in api::federated_type_configs(SYSTEM_NAMESPACE) {
        apply(host, json!(config)).await?;
    }
    for (name, kubeconfig) in kubeconfigs {
        let data = json!({"data": {"kubeconfig": BASE64.encode(kubeconfig)}});
        apply(host, in_system("v1", "Secret", name, data)).await?;
        let spec = json!({"spec": {"apiEndpoint": format!("https://{name}.invalid"),
            "secretRef": {"name": name}}});
        apply(host, in_system(core, "KubeFedCluster", name, spec)).await?;
    }
    Ok(())
}

/// Creates a namespace.
pub(crate) async fn create_namespace(cluster: &Client, name: &str) -> Result<()> {
    let namespace = json!({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": name}});
    Ok(apply(cluster, namespace).await?)
}

/// Federates a namespace of the host to every member.
pub(crate) async fn federate_namespace(host: &Client, name: &str) -> Result<()> {
    let federated = json!({"apiVersion": TYPES, "kind": "FederatedNamespace",
        "metadata": {"name": name, "namespace": name},
        "spec": {"placement": {"clusterSelector": {}}}});
    Ok(apply(host, federated).await?)
}

/// The federated ConfigMaps of a namespace.
pub(crate) fn federated_config_maps(host: &Client, namespace: &str) -> Api<DynamicObject> {
    let kind = GroupVersionKind::gvk("types.kubefed.io", "v1beta1", "FederatedConfigMap");
    Api::namespaced_with(host.clone(), namespace, &ApiResource::from_gvk(&kind))
}

/// The n-th federated ConfigMap.
pub(crate) fn federated_config_map(number: usize) -> DynamicObject {
    let object = json!({"apiVersion": TYPES, "kind": "FederatedConfigMap",
    "metadata": {"name": name(number)},
    "spec": {
        "template": {"data": data(number)},
        "placement": {"clusterSelector": {}},
    }});
    serde_json::from_value(object).expect("an object")
}

/// The n-th ConfigMap as a member gets it, marks of the same length included. The label that
/// meridian watches is not true, so that it does not look at what is not its own.
pub(crate) fn config_map(number: usize) -> Value {
    let (uid, hash) = ("-".repeat(36), "-".repeat(64));
    json!({"apiVersion": "v1", "kind": "ConfigMap",
        "metadata": {
            "name": name(number),
            "labels": {"kubefed.io/managed": "none"},
            "annotations": {
                "meridian.dev/origin": format!("{uid}/{uid}"),
                "meridian.dev/applied-hash": hash,
            },
        },
        "data": data(number)})
}

fn name(number: usize) -> String {
    format!("config-{number}")
}

/// As many bytes in each, and no two the same.
fn data(number: usize) -> Value {
    json!({"text": format!("{number:0>DATA_BYTES$}")})
}

async fn apply(cluster: &Client, object: Value) -> std::result::Result<(), Error> {
    let object: DynamicObject = serde_json::from_value(object).map_err(Error::SerdeError)?;
    let types = object.types.clone().unwrap_or_default();
    let kind = GroupVersionKind::try_from(&types).expect("an object of a group and version");
    let resource = ApiResource::from_gvk(&kind);
    let api: Api<DynamicObject> = match object.namespace() {
        Some(namespace) => Api::namespaced_with(cluster.clone(), &namespace, &resource),
        None => Api::all_with(cluster.clone(), &resource),
    };
    let parameters = PatchParams::apply(SOMEBODY).force();
    api.patch(&object.name_any(), &parameters, &Patch::Apply(&object))
        .await?;
    Ok(())
}
