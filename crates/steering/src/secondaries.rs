//! What secondaries hold of steered names: one answer for everybody, since they can neither measure
//! nor place a client.
//!
//! It follows from the host's objects alone, untouched by health, so that the same serial means the
//! same records on every replica:
//!
//! | node | its endpoints |
//! |---|---|
//! | `pool`, `nearest`, `all`, `hash`, `capacity` | all of the pool, but for clusters that are drained |
//! | `weighted` | those of every branch with a weight |
//! | `geo`, `cidr` | those of the default; without any, those of every rule |
//! | `failover` | those of its first branch that has some |

use crate::{
    bindings::{self, Binding},
    choose::Entry,
    event::ClusterState,
    service::Service,
    spec::SecondarySpec,
    tree::Node,
    zones::Prefixed,
};
use dns::{Name, Record, RecordType, Secondary};
use model::{ClusterName, Target};
use std::{collections::BTreeMap, net::IpAddr};

/// A secondary as the DNS engine takes it. One whose key has no name is nobody.
pub(crate) fn secondary(spec: &SecondarySpec) -> Option<Secondary> {
    let key = spec.key.as_deref().map(Name::parse);
    Some(Secondary {
        networks: spec.networks.clone(),
        key: key.transpose().ok()?,
        notify: spec.notify.clone(),
    })
}

/// The records of a steered name, a host or at a prefix of one.
pub(crate) fn records(
    name: &Name,
    prefixed: Option<&Prefixed>,
    service: &Service,
    clusters: &BTreeMap<ClusterName, ClusterState>,
) -> Vec<Record> {
    let drained = |cluster: &ClusterName| clusters.get(cluster).is_some_and(|it| it.draining);
    let entries = |drains: &dyn Fn(&ClusterName) -> bool| -> Vec<usize> {
        let members = service.endpoints.values();
        let entries: Vec<_> = members
            .map(|member| {
                let status = &member.status;
                let place = clusters.get(&status.cluster).map(|state| &state.place);
                Entry {
                    cluster: &status.cluster,
                    region: status.region.as_ref().or_else(|| place?.region.as_ref()),
                    labels: place.map(|place| &place.labels),
                    weight: status.weight,
                    ready: None,
                    wanted: None,
                    factor: 1.0,
                    overloaded: false,
                    usable: status.weight > 0 && !drains(&status.cluster),
                }
            })
            .collect();
        chosen(&service.tree.root, &entries)
    };
    let mut found = entries(&drained);
    if found.is_empty() {
        found = entries(&|_| false);
    }
    let targets: Vec<&Target> = service.endpoints.keys().map(|(_, target)| target).collect();
    let targets: Vec<&Target> = found.into_iter().map(|at| targets[at]).collect();
    let ttl_secs = service.spec.ttl.max_secs;
    let ip = |target: &&Target| match target {
        Target::Ip(ip) => Some(*ip),
        Target::Hostname(_) => None,
    };
    let ips: Vec<IpAddr> = targets.iter().filter_map(ip).collect();
    let record = |binding: Binding<'_>, data| Record {
        owner: name.clone(),
        record_type: binding.record_type,
        ttl_secs,
        data,
    };
    if let Some(prefixed) = prefixed {
        let mut svcb = service.spec.svcb.iter();
        let svcb = svcb.find(|it| it.prefix == prefixed.prefix);
        let binding = svcb.map(Binding::prefixed).filter(|_| !ips.is_empty());
        let at = |it: Binding<'_>| bindings::data_for(&it.record(&ips), &prefixed.host);
        return binding.map(|it| record(it, at(it))).into_iter().collect();
    }
    let mut records = answers(name, ttl_secs, &targets);
    let https = service.spec.https.as_ref().map(Binding::of_host);
    let https = https.filter(|_| !ips.is_empty());
    records.extend(https.map(|it| record(it, it.record(&ips))));
    records
}

/// Addresses; where there are none, the first hostname as an alias.
fn answers(host: &Name, ttl_secs: u32, targets: &[&Target]) -> Vec<Record> {
    let mut addresses = Vec::new();
    let mut alias = None;
    for target in targets {
        match target {
            Target::Ip(ip) => addresses.push(Record::address(host.clone(), ttl_secs, *ip)),
            Target::Hostname(name) => alias = alias.or_else(|| Name::parse(name).ok()),
        }
    }
    if !addresses.is_empty() {
        return addresses;
    }
    let cname = |to| Record::name(host.clone(), ttl_secs, RecordType::CNAME, &to);
    alias.map(cname).into_iter().collect()
}

fn chosen(node: &Node, entries: &[Entry<'_>]) -> Vec<usize> {
    if let Some(pool) = node.pool() {
        let numbered = entries.iter().enumerate();
        return numbered
            .filter(|(_, entry)| entry.usable && pool.holds(entry))
            .map(|(at, _)| at)
            .collect();
    }
    match node {
        Node::Failover { branches, .. } => branches
            .iter()
            .map(|branch| chosen(&branch.node, entries))
            .find(|found| !found.is_empty())
            .unwrap_or_default(),
        Node::Divided(divided) => {
            let default = divided.default.as_ref();
            let default = default
                .map(|node| chosen(node, entries))
                .unwrap_or_default();
            match default.is_empty() {
                true => united(node, entries),
                false => default,
            }
        }
        _ => united(node, entries),
    }
}

/// Those of every node right below.
fn united(node: &Node, entries: &[Entry<'_>]) -> Vec<usize> {
    let below = node.below().into_iter();
    let mut all: Vec<_> = below.flat_map(|node| chosen(node, entries)).collect();
    all.sort_unstable();
    all.dedup();
    all
}
