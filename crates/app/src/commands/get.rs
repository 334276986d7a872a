//! `meridian get`: members, types, preferences, orphans and tombstones, in short.

use super::federated_type;
use super::members::{self, Reached};
use crate::cli::{self, Output, What};
use crate::kubeconfig;
use crate::output::{self, Progress, Table};
use anyhow::Result;
use api::{
    FederatedTypeConfig, KubeFedCluster, KubeFedConfig, MemberTombstone,
    ReplicaSchedulingPreference, find_condition, names,
};
use controller::ControlPlane;
use federation::{ANNOTATION_ADOPTED_HOSTS, ANNOTATION_ORIGIN, Origin};
use kube::api::ListParams;
use kube::{Api, Client, ResourceExt};
use serde_json::{Value, json};
use std::collections::BTreeSet;

/// Runs the command.
///
/// # Errors
/// The host does not say.
pub(crate) async fn run(args: cli::Get) -> Result<()> {
    let host = kubeconfig::client(kubeconfig::host(&args.host).await?)?;
    let namespace = &args.host.system_namespace;
    let Listed { table, items } = match args.what {
        What::Clusters => clusters(&host, namespace).await?,
        What::Types => types(&host, namespace).await?,
        What::Preferences => preferences(&host, namespace).await?,
        What::Orphans => orphans(&host, &args.host).await?,
        What::Tombstones => tombstones(&host, namespace).await?,
    };
    if args.output != Output::Table {
        return output::structured(args.output, &items);
    }
    match items.is_empty() {
        true => eprintln!("there are none"),
        false => output::print(&table),
    }
    Ok(())
}

/// A table for people, and the same for programs.
struct Listed {
    table: String,
    items: Vec<Value>,
}

/// Rows under these heads, and as objects under these names.
fn listed<const COLUMNS: usize>(
    heads: [&str; COLUMNS],
    names: [&str; COLUMNS],
    rows: Vec<[String; COLUMNS]>,
) -> Listed {
    let item = |row: &[String; COLUMNS]| {
        let fields = names
            .iter()
            .zip(row)
            .map(|(name, cell)| ((*name).to_owned(), json!(cell)));
        Value::Object(fields.collect())
    };
    let items = rows.iter().map(item).collect();
    let mut table = Table::new(&heads);
    rows.into_iter().for_each(|row| table.row(row));
    let table = table.text();
    Listed { table, items }
}

async fn clusters(host: &Client, namespace: &str) -> Result<Listed> {
    let api = Api::<KubeFedCluster>::namespaced(host.clone(), namespace);
    Ok(of_clusters(&api.list(&ListParams::default()).await?.items))
}

/// Prints one member after something was done to it, if that is wanted: its line in the table of all, or itself.
///
/// # Errors
/// None for what is JSON.
pub(super) fn print_cluster(form: Option<Output>, mut cluster: KubeFedCluster) -> Result<()> {
    cluster.metadata.managed_fields = None;
    match form {
        None => Ok(()),
        Some(Output::Table) => {
            output::print(&of_clusters(&[cluster]).table);
            Ok(())
        }
        Some(form) => output::structured(form, &cluster),
    }
}

fn of_clusters(all: &[KubeFedCluster]) -> Listed {
    let row = |cluster: &KubeFedCluster| {
        let status = cluster.status.clone().unwrap_or_default();
        let ready = find_condition(&status.conditions, "Ready");
        let unwell = status.conditions.iter().find(|condition| {
            ["Offline", "ConfigMalformed"].contains(&condition.r#type.as_str())
                && condition.status == "True"
        });
        let why = unwell
            .or(ready)
            .and_then(|condition| condition.message.clone());
        let place = cluster.place().ok();
        let region = place.as_ref().and_then(|place| place.region.clone());
        let capacity = status.capacity.as_ref();
        let nodes = capacity.map(|capacity| capacity.nodes.to_string());
        let free = capacity.and_then(|capacity| capacity.free.clone());
        let free = free.unwrap_or_default();
        [
            cluster.name_any(),
            ready
                .map_or("Unknown", |ready| ready.status.as_str())
                .to_owned(),
            region.map(|region| region.to_string()).unwrap_or_default(),
            status.kubernetes_version.clone().unwrap_or_default(),
            nodes.unwrap_or_default(),
            free.cpu,
            free.memory,
            why.unwrap_or_default(),
        ]
    };
    listed(
        [
            "NAME",
            "READY",
            "REGION",
            "VERSION",
            "NODES",
            "FREE CPU",
            "FREE MEMORY",
            "WHY",
        ],
        [
            "name",
            "ready",
            "region",
            "version",
            "nodes",
            "freeCpu",
            "freeMemory",
            "why",
        ],
        all.iter().map(row).collect(),
    )
}

async fn types(host: &Client, namespace: &str) -> Result<Listed> {
    let api = Api::<FederatedTypeConfig>::namespaced(host.clone(), namespace);
    let all = api.list(&ListParams::default()).await?.items;
    let row = |config: &FederatedTypeConfig| {
        let (target, federated) = (&config.spec.target_type, &config.spec.federated_type);
        let collected = config.spec.status_collection == Some(api::Switch::Enabled);
        [
            config.name_any(),
            format!("{}/{}", target.group, target.version)
                .trim_start_matches('/')
                .to_owned(),
            federated.kind.clone(),
            format!("{:?}", config.spec.propagation),
            if collected { "Enabled" } else { "Disabled" }.to_owned(),
        ]
    };
    Ok(listed(
        [
            "NAME",
            "VERSION",
            "FEDERATED KIND",
            "PROPAGATION",
            "STATUS COLLECTION",
        ],
        [
            "name",
            "version",
            "federatedKind",
            "propagation",
            "statusCollection",
        ],
        all.iter().map(row).collect(),
    ))
}

async fn preferences(host: &Client, namespace: &str) -> Result<Listed> {
    let us = super::join::control_plane(host, namespace).await?;
    let api = us.all::<ReplicaSchedulingPreference>(host);
    let all = api.list(&ListParams::default()).await?.items;
    let row = |preference: &ReplicaSchedulingPreference| {
        let status = preference.status.clone().unwrap_or_default();
        let shares = status
            .clusters
            .iter()
            .map(|share| match share.phase.as_str() {
                "" => format!("{} {}", share.name, share.replicas),
                phase => format!("{} {} ({phase})", share.name, share.replicas),
            });
        let told = status
            .conditions
            .iter()
            .filter(|condition| (condition.r#type == "Scheduled") == (condition.status == "False"));
        [
            format!(
                "{}/{}",
                preference.namespace().unwrap_or_default(),
                preference.name_any()
            ),
            preference.spec.target_kind.clone(),
            preference.spec.total_replicas.to_string(),
            shares.collect::<Vec<_>>().join(", "),
            told.map(|condition| condition.r#type.clone())
                .collect::<Vec<_>>()
                .join(", "),
        ]
    };
    Ok(listed(
        ["NAME", "TARGET", "TOTAL", "DIVISION", "CONDITIONS"],
        ["name", "target", "total", "division", "conditions"],
        all.iter().map(row).collect(),
    ))
}

async fn tombstones(host: &Client, namespace: &str) -> Result<Listed> {
    let api = Api::<MemberTombstone>::namespaced(host.clone(), namespace);
    let all = api.list(&ListParams::default()).await?.items;
    let rows = all.iter().flat_map(|tombstone| {
        tombstone.spec.entries.iter().map(|entry| {
            let entry = entry.to_entry(&tombstone.spec.cluster);
            [
                tombstone.spec.cluster.clone(),
                entry.kind.clone(),
                entry.key.to_string(),
                format!("{:?}", entry.owed),
                tombstone.name_any(),
            ]
        })
    });
    Ok(listed(
        ["CLUSTER", "KIND", "NAME", "OWED", "TOMBSTONE"],
        ["cluster", "kind", "name", "owed", "tombstone"],
        rows.collect(),
    ))
}

/// The uids that origins name for this host: its own, and of those that it stands in for.
pub(super) async fn own_uids(
    host: &Client,
    namespace: &str,
    us: &ControlPlane,
) -> Result<BTreeSet<String>> {
    let own = us.uid.clone();
    let configs = Api::<KubeFedConfig>::namespaced(host.clone(), namespace);
    let config = configs.get_opt(names::CONFIG_NAME).await?;
    let adopted = config.and_then(|config| {
        let annotations = config.annotations();
        annotations.get(ANNOTATION_ADOPTED_HOSTS).cloned()
    });
    let adopted = adopted.unwrap_or_default();
    let adopted = adopted.split(',').map(|uid| uid.trim().to_owned());
    Ok(adopted.filter(|uid| !uid.is_empty()).chain([own]).collect())
}

/// How an object of a member stands to the host.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Standing {
    Owned,
    /// Another control plane propagated it: whether it is an orphan is known there.
    Anothers,
    /// And why.
    Orphan(&'static str),
}

impl Standing {
    /// From the object's origin, and the uid of the federated object of its name.
    fn of(origin: Option<&str>, owner: Option<&str>, own_uids: &BTreeSet<String>) -> Self {
        let origin = origin.map(Origin::parse);
        match (origin, owner) {
            (Some(origin), _) if !own_uids.contains(&origin.host) => Self::Anothers,
            (_, None) => Self::Orphan("there is no federated object of its name"),
            (Some(origin), Some(owner)) if origin.object != owner => {
                Self::Orphan("it was propagated for an earlier object of that name")
            }
            _ => Self::Owned,
        }
    }
}

/// Objects with our label in members whose federated object is not on the host.
async fn orphans(host: &Client, args: &cli::Host) -> Result<Listed> {
    let namespace = &args.system_namespace;
    let progress = Progress::new();
    let us = super::join::control_plane(host, namespace).await?;
    let own_uids = own_uids(host, namespace, &us).await?;
    let types = federated_type::all(host, namespace).await?;
    let (mut rows, mut anothers) = (Vec::new(), 0_usize);
    for Reached { name, requests } in members::reached(host, args).await? {
        for federated in &types {
            progress.say(&format!(
                "reading {} of {name}",
                federated.types.target.plural
            ));
            let wanted = members::wanted(host, &us, federated).await?;
            let held = match members::managed(&requests, &us, federated).await {
                Ok(held) => held,
                Err(why) => {
                    progress.say("");
                    eprintln!("{name}: {}: {why:#}", federated.types.target.plural);
                    continue;
                }
            };
            for object in held {
                let key = members::target_key(&object);
                let origin = object.annotations().get(ANNOTATION_ORIGIN);
                let owner = wanted.get(&key).map(String::as_str);
                let why = match Standing::of(origin.map(String::as_str), owner, &own_uids) {
                    Standing::Owned => continue,
                    Standing::Anothers => {
                        anothers += 1;
                        continue;
                    }
                    Standing::Orphan(why) => why,
                };
                rows.push([
                    name.to_string(),
                    federated.types.target.kind.clone(),
                    key.to_string(),
                    origin.cloned().unwrap_or_default(),
                    why.to_owned(),
                ]);
            }
        }
    }
    progress.say("");
    if anothers > 0 {
        eprintln!("left out: {anothers} that other hosts propagated, by their origin");
    }
    Ok(listed(
        ["CLUSTER", "KIND", "NAME", "ORIGIN", "WHY"],
        ["cluster", "kind", "name", "origin", "why"],
        rows,
    ))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_another_host_propagated_is_no_orphan_of_this_one() {
        let own = ["here", "before"].map(str::to_owned).into();
        let standing = |origin, owner| Standing::of(origin, owner, &own);
        assert_eq!(standing(Some("there/1"), None), Standing::Anothers);
        assert_eq!(standing(Some("there/1"), Some("2")), Standing::Anothers);
        assert_eq!(standing(Some("here/1"), Some("1")), Standing::Owned);
        assert_eq!(standing(None, Some("1")), Standing::Owned);
        for (origin, owner) in [
            (Some("here/1"), None),
            (Some("here/1"), Some("2")),
            (Some("before/1"), None),
            (None, None),
        ] {
            let standing = standing(origin, owner);
            assert!(matches!(standing, Standing::Orphan(_)), "{origin:?}");
        }
    }
}
