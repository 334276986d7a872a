//! KubeFed's names of a federated Service, and of Ingresses: which records they stand for.
//!
//! With P = `<name>.<namespace>.<domain's name>.svc`, each cluster gives records on three levels; what several
//! give for one name is one set.
//!
//! | level | name | answered with | without an address |
//! |---|---|---|---|
//! | zone | `P.<zone>.<region>.<domain>` | the cluster's addresses | CNAME to the region's name |
//! | region | `P.<region>.<domain>` | the same | CNAME to the global name |
//! | global | `P.<domain>` | those of all clusters | nothing |
//!
//! `externalName` stands for the Service's name, and `dnsPrefix` is one name more, a CNAME to the global one.
//!
//! | of a cluster is known | its addresses |
//! |---|---|
//! | what it offers | those |
//! | nothing yet | what it offered last |
//! | that it is away | none, so that its own names lead to the others; when no cluster would be left, its last |

use crate::spec::PublishedRecord;
use dns::Name;
use model::{ClusterName, ObjectKey, Target};
use serde::{Deserialize, Serialize};
use std::{
    collections::{BTreeMap, BTreeSet},
    net::IpAddr,
};

/// What records live when nobody says: KubeFed's.
pub const USUAL_TTL_SECS: u32 = 180;

/// A label is no longer (RFC 1035 § 2.3.4).
const LABEL_LENGTH_MAX: usize = 63;

/// A cluster, and what is known of the Service or Ingress there.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ClusterSight {
    /// The cluster.
    pub cluster: ClusterName,
    /// Its region, where it is known.
    pub region: Option<String>,
    /// Its zones.
    pub zones: Vec<String>,
    /// What is known of it.
    pub sight: Sight,
}

/// What is known of a Service or Ingress in a cluster.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Sight {
    /// Its balancer has these.
    Offers(Vec<Target>),
    /// The cluster's API answers, and nothing was heard yet.
    Unknown,
    /// The cluster's API does not answer.
    Away,
}

/// A cluster as the status of a record has it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ClusterBalancer {
    /// The cluster.
    pub cluster: ClusterName,
    /// Its region, where it is known.
    pub region: Option<String>,
    /// Its zones.
    pub zones: Vec<String>,
    /// Addresses and host names of its balancer.
    pub targets: Vec<Target>,
}

/// A ServiceDNSRecord with its Domain.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ServiceNames {
    /// The record, which is called as the Service.
    pub key: ObjectKey,
    /// The name of its Domain object, which is part of the names.
    pub domain_ref: String,
    /// The domain itself.
    pub domain: String,
    /// What stands for the Service's name.
    pub external_name: Option<String>,
    /// One more name, right below the domain.
    pub dns_prefix: Option<String>,
    /// The TTL in seconds.
    pub ttl_secs: u32,
}

/// The addresses of host names, as far as they are known.
pub type Resolved = BTreeMap<String, BTreeSet<IpAddr>>;

/// Records, and what could not be one.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct NamedRecords {
    /// The records, by name and type.
    pub records: Vec<PublishedRecord>,
    /// Names that are none, each with the reason.
    pub refused: Vec<String>,
}

/// What clusters offer now, by name; `before` is what the status says.
pub fn standing(sights: Vec<ClusterSight>, before: &[ClusterBalancer]) -> Vec<ClusterBalancer> {
    let known: BTreeMap<_, _> = before.iter().map(|it| (&it.cluster, it)).collect();
    let last = |cluster: &ClusterName| {
        let last = known.get(cluster);
        last.map_or_else(Vec::new, |it| it.targets.clone())
    };
    let away: BTreeSet<ClusterName> = sights
        .iter()
        .filter(|it| it.sight == Sight::Away)
        .map(|it| it.cluster.clone())
        .collect();
    let mut standing: Vec<_> = sights
        .into_iter()
        .map(|it| {
            let targets = match it.sight {
                Sight::Offers(targets) => targets,
                Sight::Unknown => last(&it.cluster),
                Sight::Away => Vec::new(),
            };
            let place = known.get(&it.cluster).filter(|_| it.region.is_none());
            ClusterBalancer {
                region: it.region.or_else(|| place.and_then(|it| it.region.clone())),
                zones: match place {
                    Some(place) if it.zones.is_empty() => place.zones.clone(),
                    _ => it.zones,
                },
                cluster: it.cluster,
                targets,
            }
        })
        .collect();
    standing.sort_by(|a, b| a.cluster.cmp(&b.cluster));
    if standing.iter().all(|it| it.targets.is_empty()) {
        let lost = standing.iter_mut().filter(|it| away.contains(&it.cluster));
        lost.for_each(|it| it.targets = last(&it.cluster));
    }
    standing
}

/// The records of a Service.
pub fn service_records(
    names: &ServiceNames,
    clusters: &[ClusterBalancer],
    resolved: &Resolved,
) -> NamedRecords {
    let key = &names.key;
    let own = names.external_name.as_deref().unwrap_or(&key.name);
    let prefix = format!("{own}.{}.{}.svc", key.namespace, names.domain_ref);
    let domain = names.domain.trim_end_matches('.');
    let global = format!("{prefix}.{domain}");
    let mut levels = Levels::default();
    for cluster in clusters {
        let found = addresses(&cluster.targets, resolved);
        levels.add(&global, &found, None);
        let Some(region) = cluster.region.as_deref().filter(|it| is_label(it)) else {
            continue;
        };
        let regional = format!("{prefix}.{region}.{domain}");
        levels.add(&regional, &found, Some(&global));
        for zone in cluster.zones.iter().filter(|it| is_label(it)) {
            let zonal = format!("{prefix}.{zone}.{region}.{domain}");
            levels.add(&zonal, &found, Some(&regional));
        }
    }
    if let Some(short) = &names.dns_prefix {
        let name = format!("{short}.{domain}");
        levels.add(&name, &BTreeSet::new(), Some(&global));
    }
    levels.records(names.ttl_secs)
}

/// The records of an Ingress: every host has the addresses of all clusters.
pub fn ingress_records(
    hosts: &[String],
    ttl_secs: u32,
    clusters: &[ClusterBalancer],
    resolved: &Resolved,
) -> NamedRecords {
    let mut levels = Levels::default();
    for host in hosts {
        for cluster in clusters {
            let found = addresses(&cluster.targets, resolved);
            levels.add(host.trim_end_matches('.'), &found, None);
        }
    }
    levels.records(ttl_secs)
}

fn addresses(targets: &[Target], resolved: &Resolved) -> BTreeSet<IpAddr> {
    let mut found = BTreeSet::new();
    for target in targets {
        match target {
            Target::Ip(ip) => drop(found.insert(*ip)),
            Target::Hostname(name) => found.extend(resolved.get(name).into_iter().flatten()),
        }
    }
    found
}

/// Whether a region or zone can be part of a name.
fn is_label(text: &str) -> bool {
    let fine = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'-' || byte == b'_';
    (1..=LABEL_LENGTH_MAX).contains(&text.len()) && text.bytes().all(fine)
}

/// Names with what they are answered with.
#[derive(Default)]
struct Levels {
    names: BTreeMap<String, Level>,
}

#[derive(Default)]
struct Level {
    addresses: BTreeSet<IpAddr>,
    /// The name that stands in when there is no address.
    above: Option<String>,
}

impl Levels {
    fn add(&mut self, name: &str, addresses: &BTreeSet<IpAddr>, above: Option<&str>) {
        // As the names of DNS, upper and lower case are one.
        let level = self.names.entry(name.to_ascii_lowercase()).or_default();
        level.addresses.extend(addresses);
        level.above = above.map(str::to_ascii_lowercase);
    }

    fn records(self, ttl_secs: u32) -> NamedRecords {
        let mut found = NamedRecords::default();
        for (name, level) in self.names {
            if let Err(why) = Name::parse(&name) {
                found.refused.push(format!("{name}: {why}"));
                continue;
            }
            let of_family = |v4: bool| {
                let of = level.addresses.iter().filter(move |ip| ip.is_ipv4() == v4);
                of.map(ToString::to_string).collect::<Vec<_>>()
            };
            let sets = match level.above {
                Some(above) if level.addresses.is_empty() => vec![("CNAME", vec![above])],
                _ => vec![("A", of_family(true)), ("AAAA", of_family(false))],
            };
            let sets = sets.into_iter().filter(|(_, targets)| !targets.is_empty());
            found
                .records
                .extend(sets.map(|(record_type, targets)| PublishedRecord {
                    name: name.clone(),
                    record_type: record_type.to_owned(),
                    ttl_secs: Some(ttl_secs),
                    targets,
                }));
        }
        found
    }
}

#[cfg(test)]
#[path = "federation_names_tests.rs"]
mod tests;
