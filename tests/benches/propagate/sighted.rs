//! The watches that tell when something is so.

use crate::furnish::federated_config_maps;
use crate::site::Site;
use crate::{OBJECTS, Result};
use k8s_openapi::api::core::v1::Namespace;
use kube::api::DynamicObject;
use kube::core::{ApiResource, GroupVersionKind};
use kube::runtime::wait::await_condition;
use kube::{Api, Client};
pub(crate) use meridian_tests::sighted::Sighted;
use std::time::Duration;
use tokio::time::timeout;

/// Nothing that is waited for here takes that long.
const PATIENCE: Duration = Duration::from_secs(300);

/// Watches of the ConfigMaps of one namespace in every member, which have begun.
pub(crate) async fn everywhere(site: &Site, namespace: &str) -> Result<Sighted> {
    let kind = ApiResource::from_gvk(&GroupVersionKind::gvk("", "v1", "ConfigMap"));
    let members = site.members.values().cloned();
    let apis = members.map(|client| Api::namespaced_with(client, namespace, &kind));
    Sighted::written(apis.collect::<Vec<_>>(), OBJECTS).await
}

/// A watch of statuses on the host, which has begun: done when the condition Propagation of each
/// has that status.
pub(crate) async fn told(host: &Client, namespace: &str, status: &'static str) -> Result<Sighted> {
    let is_so = move |object: &DynamicObject| {
        let conditions = object.data["status"]["conditions"].as_array();
        let mut conditions = conditions.into_iter().flatten();
        conditions.any(|found| found["type"] == "Propagation" && found["status"] == status)
    };
    Sighted::objects([federated_config_maps(host, namespace)], OBJECTS, is_so).await
}

/// Waits until every member has a namespace.
pub(crate) async fn namespace_everywhere(site: &Site, name: &str) -> Result<()> {
    for client in site.members.values() {
        let api = Api::<Namespace>::all(client.clone());
        let waiting = await_condition(api, name, |found: Option<&Namespace>| found.is_some());
        timeout(PATIENCE, waiting)
            .await
            .map_err(|_| "a member never got the namespace")??;
    }
    Ok(())
}
