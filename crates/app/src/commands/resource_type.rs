//! A type as its user names it: plural, singular, kind or short name, with or without its group.

use anyhow::{Context, Result, bail};
use api::{Replicas, Scope, TypeResource, names};
use futures::{StreamExt, stream};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::{
    APIResource, APIResourceList, GroupVersionForDiscovery,
};
use kube::api::DynamicObject;
use kube::core::{ApiResource, GroupVersionKind};
use kube::{Api, Client};

/// Groups that are asked for at a time.
const ASKED_MAX: usize = 16;
/// Groups whose types say how the federation works.
const OUR_GROUPS: &[&str] = &[
    names::CORE_GROUP,
    names::TYPES_GROUP,
    names::SCHEDULING_GROUP,
    names::FEDERATION_GROUP,
    names::GSLB_GROUP,
];

/// A type that the host's API server serves.
#[derive(Clone, Debug)]
pub(crate) struct ResourceType {
    /// Group, version, kind, plural and scope.
    pub(crate) resource: TypeResource,
    /// What kubectl takes besides, if there is something.
    pub(crate) short_name: Option<String>,
    /// Whether its objects have `spec.replicas`.
    pub(crate) replicas: Replicas,
    names: Vec<String>,
}

/// Finds the type that `name` means: `deployments`, `deploy`, `Deployment`, `deployments.apps`.
/// Of several versions the server's preferred one counts.
///
/// # Errors
/// There is none, or there are several; then their full names are given.
pub(crate) async fn find(client: &Client, name: &str) -> Result<ResourceType> {
    choose(served(client).await?, name)
}

/// The same in this version, where one is given.
///
/// # Errors
/// As [`find`], or the type is not served in that version.
pub(crate) async fn find_version(
    client: &Client,
    name: &str,
    version: Option<&str>,
) -> Result<ResourceType> {
    let mut found = find(client, name).await?;
    let Some(version) = version else {
        return Ok(found);
    };
    let resource = &found.resource;
    let list = match resource.group.as_str() {
        "" => client.list_core_api_resources(version).await,
        group => {
            let group_version = format!("{group}/{version}");
            client.list_api_group_resources(&group_version).await
        }
    };
    let full = found.full_name();
    let served = list.is_ok_and(|list| {
        let mut resources = list.resources.iter();
        resources.any(|served| served.name == resource.plural_name)
    });
    if !served {
        bail!("--version {version}: the host's API server does not serve {full} in it");
    }
    version.clone_into(&mut found.resource.version);
    Ok(found)
}

/// Every type in its group's preferred version.
///
/// # Errors
/// The API server does not say.
pub(crate) async fn served(client: &Client) -> Result<Vec<ResourceType>> {
    let asked = "the host's API server does not say which types it serves";
    let core = client.list_core_api_resources("v1").await.context(asked)?;
    let groups = client.list_api_groups().await.context(asked)?.groups;
    let mut listing = Vec::new();
    for group in groups {
        let preferred = group.preferred_version.or(group.versions.first().cloned());
        if let Some(preferred) = preferred {
            listing.push(of_group(client.clone(), group.name, preferred));
        }
    }
    let listed: Vec<Vec<ResourceType>> = stream::iter(listing).buffered(ASKED_MAX).collect().await;
    let core = types("", "v1", &core);
    let found = std::iter::once(core).chain(listed);
    Ok(found.flatten().collect())
}

/// A group whose own server is away takes its types with it, and no others.
async fn of_group(
    client: Client,
    name: String,
    preferred: GroupVersionForDiscovery,
) -> Vec<ResourceType> {
    let list = client.list_api_group_resources(&preferred.group_version);
    let list = list.await;
    list.map_or_else(
        |_| Vec::new(),
        |list| types(&name, &preferred.version, &list),
    )
}

fn types(group: &str, version: &str, list: &APIResourceList) -> Vec<ResourceType> {
    let has_scale = |plural: &str| {
        let scale = format!("{plural}/scale");
        list.resources.iter().any(|resource| resource.name == scale)
    };
    let own = list
        .resources
        .iter()
        .filter(|resource| !resource.name.contains('/'));
    own.map(|resource| ResourceType {
        replicas: match has_scale(&resource.name) {
            true => Replicas::Counted,
            false => Replicas::None,
        },
        short_name: short_names(resource).first().cloned(),
        names: [
            vec![
                resource.name.clone(),
                resource.singular_name.clone(),
                resource.kind.to_lowercase(),
            ],
            short_names(resource),
        ]
        .concat(),
        resource: TypeResource {
            group: group.to_owned(),
            version: version.to_owned(),
            kind: resource.kind.clone(),
            plural_name: resource.name.clone(),
            scope: match resource.namespaced {
                true => Scope::Namespaced,
                false => Scope::Cluster,
            },
        },
    })
    .collect()
}

fn short_names(resource: &APIResource) -> Vec<String> {
    resource.short_names.clone().unwrap_or_default()
}

fn choose(served: Vec<ResourceType>, name: &str) -> Result<ResourceType> {
    let name = name.to_lowercase();
    let (short, group) = match name.split_once('.') {
        Some((short, group)) => (short, Some(group)),
        None => (name.as_str(), None),
    };
    let mut meant: Vec<ResourceType> = served
        .into_iter()
        .filter(|found| found.names.iter().any(|known| known == short))
        .filter(|found| group.is_none_or(|group| group == found.resource.group))
        .collect();
    // As kubectl has it: a type of the core group comes before others of its name.
    if group.is_none()
        && let Some(core) = meant
            .iter()
            .position(|found| found.resource.group.is_empty())
    {
        return Ok(meant.swap_remove(core));
    }
    match meant.as_slice() {
        [_] => Ok(meant.swap_remove(0)),
        [] => bail!(
            "the host's API server has no type {name:?}; 'kubectl api-resources' lists what it has"
        ),
        several => {
            let names: Vec<String> = several.iter().map(ResourceType::full_name).collect();
            bail!("{name:?} may be {}: give one of them", names.join(" or "))
        }
    }
}

impl ResourceType {
    /// Plural and group, as CRDs and FederatedTypeConfigs are named.
    pub(crate) fn full_name(&self) -> String {
        let TypeResource {
            group, plural_name, ..
        } = &self.resource;
        match group.is_empty() {
            true => plural_name.clone(),
            false => format!("{plural_name}.{group}"),
        }
    }

    /// Whether it says how the federation works, and so is for the host alone.
    pub(crate) fn is_ours(&self) -> bool {
        OUR_GROUPS.contains(&self.resource.group.as_str())
    }

    /// Where objects of it are, in this namespace where they are in one.
    pub(crate) fn api(&self, client: &Client, namespace: &str) -> Api<DynamicObject> {
        let TypeResource {
            group,
            version,
            kind,
            plural_name,
            scope,
        } = &self.resource;
        let kind = GroupVersionKind::gvk(group, version, kind);
        let resource = ApiResource::from_gvk_with_plural(&kind, plural_name);
        match scope {
            Scope::Namespaced => Api::namespaced_with(client.clone(), namespace, &resource),
            Scope::Cluster => Api::all_with(client.clone(), &resource),
        }
    }

    /// Where the API server publishes its schema.
    pub(crate) fn open_api_path(&self) -> String {
        let TypeResource { group, version, .. } = &self.resource;
        match group.is_empty() {
            true => format!("/openapi/v3/api/{version}"),
            false => format!("/openapi/v3/apis/{group}/{version}"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn list(resources: serde_json::Value) -> APIResourceList {
        serde_json::from_value(json!({"groupVersion": "x", "resources": resources})).expect("list")
    }

    fn served() -> Vec<ResourceType> {
        let apps = list(json!([
            {"name": "deployments", "singularName": "deployment", "kind": "Deployment",
             "namespaced": true, "shortNames": ["deploy"], "verbs": []},
            {"name": "deployments/scale", "singularName": "", "kind": "Scale",
             "namespaced": true, "verbs": []}
        ]));
        let events = list(
            json!([{"name": "events", "singularName": "event", "kind": "Event",
            "namespaced": true, "shortNames": ["ev"], "verbs": []}]),
        );
        let gateways = list(json!([{"name": "gateways", "singularName": "gateway",
            "kind": "Gateway", "namespaced": true, "shortNames": ["gw"], "verbs": []}]));
        [
            types("", "v1", &events),
            types("apps", "v1", &apps),
            types("events.k8s.io", "v1", &events),
            types("gateway.networking.k8s.io", "v1", &gateways),
            types("networking.istio.io", "v1", &gateways),
        ]
        .concat()
    }

    #[test]
    fn every_name_that_kubectl_takes_is_taken() {
        for name in [
            "deployments",
            "deployment",
            "Deployment",
            "deploy",
            "deployments.apps",
            "deploy.apps",
        ] {
            let found = choose(served(), name).expect(name);
            assert_eq!(found.full_name(), "deployments.apps");
            assert_eq!(found.replicas, Replicas::Counted);
        }
        assert_eq!(choose(served(), "ev").expect("core").full_name(), "events");
    }

    #[test]
    fn a_name_that_means_nothing_or_several_is_refused_with_what_to_give() {
        let error = choose(served(), "gw").expect_err("two").to_string();
        let expected = "\"gw\" may be gateways.gateway.networking.k8s.io or \
                        gateways.networking.istio.io: give one of them";
        assert_eq!(error, expected);
        assert!(choose(served(), "gw.networking.istio.io").is_ok());
        let error = choose(served(), "deploys").expect_err("none").to_string();
        assert!(error.contains("kubectl api-resources"), "{error}");
    }
}
