//! What the cluster serves: versions, groups, resources, health.
//!
//! Both forms are given: the legacy one path by path, and the aggregated one (KEP-3352) in one
//! answer, which kubectl asks for by `Accept`.

use super::Request;
use super::accept::{self, Form};
use super::answer::Answer;
use crate::cluster::Cluster;
use crate::registry::Registry;
use crate::resource::Resource;
use crate::status::Status;
use http::Method;
use http::header::ACCEPT;
use serde_json::{Value, json};
use std::cmp::Reverse;
use std::collections::BTreeMap;

/// Built-in groups in the order of discovery, which decides what a short name means.
const GROUP_ORDER: [&str; 19] = [
    "apiregistration.k8s.io",
    "apps",
    "events.k8s.io",
    "authentication.k8s.io",
    "authorization.k8s.io",
    "autoscaling",
    "batch",
    "certificates.k8s.io",
    "networking.k8s.io",
    "policy",
    "rbac.authorization.k8s.io",
    "storage.k8s.io",
    "admissionregistration.k8s.io",
    "apiextensions.k8s.io",
    "scheduling.k8s.io",
    "coordination.k8s.io",
    "node.k8s.io",
    "discovery.k8s.io",
    "flowcontrol.apiserver.k8s.io",
];

const AGGREGATED: &str = "application/json;g=apidiscovery.k8s.io;v=v2;as=APIGroupDiscoveryList";
const AGGREGATED_BETA: &str =
    "application/json;g=apidiscovery.k8s.io;v=v2beta1;as=APIGroupDiscoveryList";

/// Answers that need no credentials: version and health.
pub(crate) fn open(cluster: &Cluster, request: &Request) -> Option<Answer> {
    let path = request.path.trim_end_matches('/');
    match path {
        "/version" => Some(Answer::value(200, &version())),
        "/healthz" | "/livez" | "/readyz" => {
            let name = path.trim_start_matches('/');
            let text = match request.query.has("verbose") {
                true => format!("[+]ping ok\n{name} check passed\n"),
                false => "ok".to_owned(),
            };
            Some(Answer::text(200, text))
        }
        "/.well-known/openid-configuration" => Some(Answer::value(200, &openid(cluster))),
        _ if path.starts_with("/healthz/")
            || path.starts_with("/livez/")
            || path.starts_with("/readyz/") =>
        {
            Some(Answer::text(200, "ok"))
        }
        _ => None,
    }
}

/// Answers to discovery.
pub(crate) fn answer(cluster: &Cluster, request: &Request) -> Option<Answer> {
    let segments: Vec<&str> = request
        .path
        .split('/')
        .filter(|segment| !segment.is_empty())
        .collect();
    let registry = cluster.registry();
    let form = accept::discovery_form(request.header(ACCEPT));
    let answer = match segments.as_slice() {
        [] => Answer::value(200, &paths(&registry)),
        ["api"] => match aggregated(&registry, form, |group| group.is_empty()) {
            Some(answer) => answer,
            None => Answer::value(200, &core_versions(&request.authority)),
        },
        ["apis"] => match aggregated(&registry, form, |group| !group.is_empty()) {
            Some(answer) => answer,
            None => Answer::value(200, &group_list(&registry)),
        },
        ["api", version] => resource_list(&registry, "", version),
        ["apis", group] => match group_of(&registry, group) {
            Some(mut value) => {
                let head = json!({"kind": "APIGroup", "apiVersion": "v1"});
                let mut fields = head.as_object().cloned().unwrap_or_default();
                fields.append(value.as_object_mut()?);
                Answer::value(200, &Value::Object(fields))
            }
            None => nothing_here(),
        },
        ["apis", group, version] if registry.version(group, version).next().is_none() => {
            match registry.all().any(|resource| resource.group == *group) {
                true => Status::no_such_path().into(),
                false => nothing_here(),
            }
        }
        ["apis", group, version] => resource_list(&registry, group, version),
        _ => return None,
    };
    Some(match request.method {
        Method::GET | Method::HEAD => answer,
        _ => Status::method_not_allowed().into(),
    })
}

/// 404 for a path that is none of the API's.
pub(crate) fn nothing_here() -> Answer {
    Answer::text(404, "404 page not found\n")
}

/// The answer to `/version`.
pub(crate) fn version() -> Value {
    json!({
        "major": "1",
        "minor": "35",
        "emulationMajor": "1",
        "emulationMinor": "35",
        "minCompatibilityMajor": "1",
        "minCompatibilityMinor": "34",
        "gitVersion": crate::KUBERNETES_VERSION,
        "gitCommit": "",
        "gitTreeState": "clean",
        "buildDate": "1970-01-01T00:00:00Z",
        "goVersion": "",
        "compiler": "rustc",
        "platform": format!("{}/{}", std::env::consts::OS, platform()),
    })
}

/// Group versions in discovery's order, core first.
pub(crate) fn group_versions(registry: &Registry) -> Vec<(String, Vec<String>)> {
    let mut groups: BTreeMap<&str, Vec<String>> = BTreeMap::new();
    for resource in registry.all() {
        let versions = groups.entry(&resource.group).or_default();
        if !versions.contains(&resource.version) {
            versions.push(resource.version.clone());
        }
    }
    let mut ordered: Vec<(String, Vec<String>)> = groups
        .into_iter()
        .map(|(group, versions)| (group.to_owned(), versions))
        .collect();
    ordered.sort_by_key(|(group, _)| {
        let place = GROUP_ORDER.iter().position(|known| known == group);
        (!group.is_empty(), place.unwrap_or(GROUP_ORDER.len()))
    });
    for (_, versions) in &mut ordered {
        versions.sort_by_key(|version| Reverse(version_rank(version)));
    }
    ordered
}

/// Newer and more stable versions rank higher: v2, v1, v1beta2, v1beta1, v1alpha1, others.
pub(crate) fn version_rank(version: &str) -> (u8, u32, u32, Reverse<String>) {
    let parse = || {
        let rest = version.strip_prefix('v')?;
        let end = rest
            .find(|c: char| !c.is_ascii_digit())
            .unwrap_or(rest.len());
        let major: u32 = rest[..end].parse().ok()?;
        match &rest[end..] {
            "" => Some((3, major, 0)),
            tail => {
                let (stage, number) = match tail.strip_prefix("beta") {
                    Some(number) => (2, number),
                    None => (1, tail.strip_prefix("alpha")?),
                };
                Some((stage, major, number.parse().ok()?))
            }
        }
    };
    let (stage, major, minor) = parse().unwrap_or((0, 0, 0));
    (stage, major, minor, Reverse(version.to_owned()))
}

fn platform() -> &'static str {
    match std::env::consts::ARCH {
        "x86_64" => "amd64",
        "aarch64" => "arm64",
        other => other,
    }
}

fn openid(_cluster: &Cluster) -> Value {
    json!({
        "issuer": crate::tokens::ISSUER,
        "jwks_uri": format!("{}/openid/v1/jwks", crate::tokens::ISSUER),
        "response_types_supported": ["id_token"],
        "subject_types_supported": ["public"],
        "id_token_signing_alg_values_supported": ["HS256"],
    })
}

fn paths(registry: &Registry) -> Value {
    let mut paths = vec!["/api".to_owned(), "/apis".to_owned()];
    for (group, versions) in group_versions(registry) {
        if group.is_empty() {
            paths.extend(versions.iter().map(|version| format!("/api/{version}")));
            continue;
        }
        paths.push(format!("/apis/{group}"));
        paths.extend(
            versions
                .iter()
                .map(|version| format!("/apis/{group}/{version}")),
        );
    }
    let others = [
        "/healthz",
        "/livez",
        "/openapi/v2",
        "/openapi/v3",
        "/readyz",
        "/version",
    ];
    paths.extend(others.map(str::to_owned));
    paths.sort();
    json!({"paths": paths})
}

fn core_versions(host: &str) -> Value {
    json!({
        "kind": "APIVersions",
        "versions": ["v1"],
        "serverAddressByClientCIDRs": [{"clientCIDR": "0.0.0.0/0", "serverAddress": host}],
    })
}

fn group_list(registry: &Registry) -> Value {
    let groups: Vec<Value> = group_versions(registry)
        .iter()
        .filter(|(group, _)| !group.is_empty())
        .map(|(group, versions)| group_value(group, versions))
        .collect();
    json!({"kind": "APIGroupList", "apiVersion": "v1", "groups": groups})
}

fn group_of(registry: &Registry, group: &str) -> Option<Value> {
    let all = group_versions(registry);
    let (group, versions) = all
        .iter()
        .find(|(name, _)| name == group && !name.is_empty())?;
    Some(group_value(group, versions))
}

fn group_value(group: &str, versions: &[String]) -> Value {
    let of = |version: &String| json!({"groupVersion": format!("{group}/{version}"), "version": version});
    let listed: Vec<Value> = versions.iter().map(of).collect();
    let preferred = versions.first().map(of);
    json!({"name": group, "versions": listed, "preferredVersion": preferred})
}

fn resource_list(registry: &Registry, group: &str, version: &str) -> Answer {
    let mut resources = Vec::new();
    for resource in registry.version(group, version) {
        resources.push(legacy_entry(registry, resource));
        for part in parts(registry, resource) {
            let mut entry = json!({
                "name": format!("{}/{}", resource.plural, part.name),
                "singularName": "",
                "namespaced": resource.is_namespaced(),
            });
            if let Some((group, version, kind)) = &part.kind {
                entry["group"] = (*group).into();
                entry["version"] = (*version).into();
                entry["kind"] = (*kind).into();
            } else {
                entry["kind"] = resource.kind.as_str().into();
            }
            entry["verbs"] = part.verbs.clone().into();
            resources.push(entry);
        }
    }
    if resources.is_empty() {
        return nothing_here();
    }
    let group_version = match group {
        "" => version.to_owned(),
        group => format!("{group}/{version}"),
    };
    Answer::value(
        200,
        &json!({
            "kind": "APIResourceList",
            "apiVersion": "v1",
            "groupVersion": group_version,
            "resources": resources,
        }),
    )
}

fn legacy_entry(registry: &Registry, resource: &Resource) -> Value {
    let mut entry = json!({
        "name": resource.plural,
        "singularName": resource.singular,
        "namespaced": resource.is_namespaced(),
        "kind": resource.kind,
        "verbs": verbs(registry, resource),
    });
    if !resource.short_names.is_empty() {
        entry["shortNames"] = resource.short_names.clone().into();
    }
    if !resource.categories.is_empty() {
        entry["categories"] = resource.categories.clone().into();
    }
    entry
}

fn aggregated(registry: &Registry, form: Form, wanted: impl Fn(&str) -> bool) -> Option<Answer> {
    let (version, media_type) = match form {
        Form::Discovery => ("v2", AGGREGATED),
        Form::DiscoveryBeta => ("v2beta1", AGGREGATED_BETA),
        _ => return None,
    };
    let items: Vec<Value> = group_versions(registry)
        .into_iter()
        .filter(|(group, _)| wanted(group))
        .map(|(group, versions)| {
            let versions: Vec<Value> = versions
                .iter()
                .map(|version| {
                    let resources: Vec<Value> = registry
                        .version(&group, version)
                        .map(|resource| aggregated_entry(registry, resource))
                        .collect();
                    json!({"version": version, "resources": resources, "freshness": "Current"})
                })
                .collect();
            let metadata = match group.as_str() {
                "" => json!({"creationTimestamp": null}),
                group => json!({"name": group, "creationTimestamp": null}),
            };
            json!({"metadata": metadata, "versions": versions})
        })
        .collect();
    let list = json!({
        "kind": "APIGroupDiscoveryList",
        "apiVersion": format!("apidiscovery.k8s.io/{version}"),
        "metadata": {},
        "items": items,
    });
    let mut answer = Answer::value(200, &list);
    answer.media_type = media_type;
    Some(answer)
}

fn aggregated_entry(registry: &Registry, resource: &Resource) -> Value {
    let kind = |group: &str, version: &str, kind: &str| json!({"group": group, "version": version, "kind": kind});
    // The real server names the group and version of custom kinds only.
    let own = || match resource.is_custom() {
        true => kind(&resource.group, &resource.version, &resource.kind),
        false => kind("", "", &resource.kind),
    };
    let mut entry = json!({
        "resource": resource.plural,
        "responseKind": own(),
        "scope": if resource.is_namespaced() { "Namespaced" } else { "Cluster" },
        "singularResource": resource.singular,
        "verbs": verbs(registry, resource),
    });
    if !resource.short_names.is_empty() {
        entry["shortNames"] = resource.short_names.clone().into();
    }
    if !resource.categories.is_empty() {
        entry["categories"] = resource.categories.clone().into();
    }
    let parts: Vec<Value> = parts(registry, resource)
        .into_iter()
        .map(|part| {
            let response = match part.kind {
                Some((group, version, name)) => kind(group, version, name),
                None => own(),
            };
            json!({"subresource": part.name, "responseKind": response, "verbs": part.verbs})
        })
        .collect();
    if !parts.is_empty() {
        entry["subresources"] = parts.into();
    }
    entry
}

/// A subresource in discovery.
pub(super) struct PartEntry {
    pub(super) name: &'static str,
    /// Group, version and kind, where they are not the resource's own.
    pub(super) kind: Option<(&'static str, &'static str, &'static str)>,
    pub(super) verbs: Vec<&'static str>,
}

pub(super) fn parts(registry: &Registry, resource: &Resource) -> Vec<PartEntry> {
    let mut parts = Vec::new();
    for name in registry.extra_parts(resource) {
        let kind = match *name {
            "token" => Some(("authentication.k8s.io", "v1", "TokenRequest")),
            "eviction" => Some(("policy", "v1", "Eviction")),
            "binding" => Some(("", "v1", "Binding")),
            _ => None,
        };
        let verbs = match *name {
            "token" | "eviction" | "binding" => vec!["create"],
            "finalize" => vec!["update"],
            "log" => vec!["get"],
            _ => vec!["get", "patch", "update"],
        };
        parts.push(PartEntry { name, kind, verbs });
    }
    let edited = || vec!["get", "patch", "update"];
    if resource.scale.is_some() {
        let kind = Some(("autoscaling", "v1", "Scale"));
        parts.push(PartEntry {
            name: "scale",
            kind,
            verbs: edited(),
        });
    }
    if resource.serves_status() {
        parts.push(PartEntry {
            name: "status",
            kind: None,
            verbs: edited(),
        });
    }
    parts.sort_by_key(|part| part.name);
    parts
}

/// What can be done; of what a definition that is being deleted defines, only that which ends it.
fn verbs(registry: &Registry, resource: &Resource) -> Vec<&'static str> {
    let ends = |verb: &&str| !matches!(*verb, "create" | "patch" | "update");
    let verbs = resource.verbs.iter().map(|verb| verb.as_str());
    match registry.is_ending(resource) {
        true => verbs.filter(ends).collect(),
        false => verbs.collect(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn versions_rank_as_kubernetes_ranks_them() {
        let mut versions = [
            "foo1",
            "v1alpha1",
            "v10",
            "v2",
            "v1",
            "v11beta2",
            "v3beta1",
            "v12alpha1",
        ];
        versions.sort_by_key(|version| Reverse(version_rank(version)));
        let expected = [
            "v10",
            "v2",
            "v1",
            "v11beta2",
            "v3beta1",
            "v12alpha1",
            "v1alpha1",
            "foo1",
        ];
        assert_eq!(versions, expected);
    }
}
