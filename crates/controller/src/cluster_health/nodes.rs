//! A member's version, region and zones, as the member itself tells them.

use api::names::{LABEL_REGION, LABEL_ZONE};
use federation::digest;
use k8s_openapi::api::core::v1::Node;
use kube::api::ListParams;
use kube::core::discovery::v2::APIVersionDiscovery;
use kube::{Api, Client};
use std::collections::{BTreeMap, BTreeSet};

/// Nodes that are looked at; the zones of a larger member are among them.
const NODES_MAX: u32 = 500;
/// Zones that are kept; the schema of the status has the same bound.
const ZONES_MAX: usize = 64;
/// The labels before Kubernetes 1.17.
const OLD_REGION: &str = "failure-domain.beta.kubernetes.io/region";
const OLD_ZONE: &str = "failure-domain.beta.kubernetes.io/zone";

/// What a member tells of itself; what could not be read is absent.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Whereabouts {
    /// The API server's version: `v1.35.1`.
    pub(crate) version: Option<String>,
    /// A digest of the types that it serves.
    pub(crate) enablements: Option<String>,
    /// The region that most of its nodes name.
    pub(crate) region: Option<String>,
    /// The zones that its nodes name, sorted.
    pub(crate) zones: Vec<String>,
    /// Whether its nodes could be listed.
    listed: bool,
}

impl Whereabouts {
    /// Whether nothing failed.
    pub(crate) fn is_complete(&self) -> bool {
        self.version.is_some() && self.enablements.is_some() && self.listed
    }
}

/// Whether a member's nodes are asked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Nodes {
    Listed,
    /// They are in no namespace, and only one is federated.
    NotAsked,
}

/// Asks a member; each question may fail by itself.
pub(crate) async fn whereabouts(client: &Client, nodes: Nodes) -> Whereabouts {
    let api: Api<Node> = Api::all(client.clone());
    let parameters = ListParams::default().limit(NODES_MAX);
    let listed = async {
        match nodes {
            Nodes::Listed => Some(api.list_metadata(&parameters).await),
            Nodes::NotAsked => None,
        }
    };
    let (version, nodes, enablements) =
        tokio::join!(client.apiserver_version(), listed, enablements(client));
    let listed = nodes.as_ref().is_none_or(Result::is_ok);
    let labels: Vec<BTreeMap<String, String>> = nodes
        .into_iter()
        .flatten()
        .flat_map(|nodes| nodes.items)
        .map(|node| node.metadata.labels.unwrap_or_default())
        .collect();
    let (region, zones) = region_and_zones(&labels);
    Whereabouts {
        version: version.ok().map(|version| version.git_version),
        enablements,
        region,
        zones,
        listed,
    }
}

/// A digest of every type that the member serves, by group, version and plural: it changes when a
/// definition comes or goes, or the member is another version.
async fn enablements(client: &Client) -> Option<String> {
    let (core, groups) = tokio::join!(
        client.list_core_api_versions_aggregated(),
        client.list_api_groups_aggregated()
    );
    let served: BTreeSet<String> = [core.ok()?, groups.ok()?]
        .into_iter()
        .flat_map(|list| list.items)
        .flat_map(|group| {
            let name = group.metadata.and_then(|metadata| metadata.name);
            let name = name.unwrap_or_default();
            let version = move |version: APIVersionDiscovery| {
                let prefix = format!("{name}/{}/", version.version.unwrap_or_default());
                let plurals = version.resources.into_iter().filter_map(|of| of.resource);
                plurals
                    .map(move |plural| format!("{prefix}{plural}"))
                    .collect::<Vec<_>>()
            };
            group
                .versions
                .into_iter()
                .flat_map(version)
                .collect::<Vec<_>>()
        })
        .collect();
    let served: Vec<String> = served.into_iter().collect();
    Some(digest(&served.join("\n")))
}

fn region_and_zones(labels: &[BTreeMap<String, String>]) -> (Option<String>, Vec<String>) {
    let named = |new: &str, old: &str| {
        labels
            .iter()
            .filter_map(|labels| labels.get(new).or_else(|| labels.get(old)))
            .filter(|value| !value.is_empty())
            .cloned()
            .collect::<Vec<String>>()
    };
    let mut regions: BTreeMap<String, usize> = BTreeMap::new();
    for region in named(LABEL_REGION, OLD_REGION) {
        *regions.entry(region).or_default() += 1;
    }
    // The most frequent; of equals the first by name.
    let region = regions
        .into_iter()
        .max_by_key(|(name, nodes)| (*nodes, std::cmp::Reverse(name.clone())))
        .map(|(name, _)| name);
    let zones: BTreeSet<String> = named(LABEL_ZONE, OLD_ZONE).into_iter().collect();
    (region, zones.into_iter().take(ZONES_MAX).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn node(labels: &[(&str, &str)]) -> BTreeMap<String, String> {
        labels
            .iter()
            .map(|(key, value)| ((*key).to_owned(), (*value).to_owned()))
            .collect()
    }

    #[test]
    fn the_region_is_the_most_frequent_and_zones_are_all_of_them() {
        let nodes = [
            node(&[(LABEL_REGION, "eu"), (LABEL_ZONE, "eu-b")]),
            node(&[(LABEL_REGION, "us"), (LABEL_ZONE, "us-a")]),
            node(&[(OLD_REGION, "us"), (OLD_ZONE, "us-a")]),
            node(&[]),
        ];
        let (region, zones) = region_and_zones(&nodes);
        assert_eq!(region.as_deref(), Some("us"));
        assert_eq!(zones, ["eu-b", "us-a"]);
        assert_eq!(region_and_zones(&[]), (None, Vec::new()));
        let draw = [node(&[(LABEL_REGION, "b")]), node(&[(LABEL_REGION, "a")])];
        assert_eq!(region_and_zones(&draw).0.as_deref(), Some("a"));
    }
}
