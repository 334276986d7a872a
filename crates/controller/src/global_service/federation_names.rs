//! KubeFed's names: ServiceDNSRecords and IngressDNSRecords become DNSEndpoints, and statuses that say of what.
//!
//! ```text
//! members' Services, Ingresses ─► offers ─► standing ─► records ─► DNSEndpoint ─► DNS replicas, ExternalDNS
//! ```
//!
//! # Guarantees
//! What is published is not taken away because a member or a resolver was not heard yet.
//! # Assumptions
//! Members' lanes are those of [`super::offers`], in the namespaces that have such a record.
//! # Caveats
//! A member whose API is away has no addresses in names, as with KubeFed: nobody probes them.

use super::Names;
use super::offers::Offered;
use super::record_sets::{self, Owner};
use super::resolving::Look;
use super::source::Source;
use crate::Error;
use crate::context::Context;
use crate::host::in_order;
use crate::status::Written;
use api::{
    ClusterDns, ClusterEndpoints, Condition, DnsRecordSet, IngressDNSRecord,
    IngressDNSRecordStatus, RECORD_SETS_MAX, ServiceDNSRecord, ServiceDNSRecordStatus, key_of,
};
use model::{ObjectKey, Target};
use std::collections::BTreeSet;
use steering::federation_names::{
    ClusterBalancer, ClusterSight, NamedRecords, Sight, ingress_records, service_records, standing,
};

/// Names in a message; there may be hundreds.
const NAMED_MAX: usize = 10;

/// Clusters that count for a name.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Counted {
    /// Those where something ready is behind it.
    Ready,
    /// All that offer it.
    All,
}

/// What is to be published, and what the status says of it.
struct Outcome {
    /// Nothing when what is published stays.
    sets: Option<Vec<DnsRecordSet>>,
    condition: Condition,
}

/// Brings the DNSEndpoints and the status of a ServiceDNSRecord in line with what members offer.
pub(super) async fn write_service(
    context: &Context,
    names: &Names,
    key: &ObjectKey,
) -> Result<Written, Error> {
    if context.host.is_anothers(&key.namespace) {
        return Ok(Written::Current);
    }
    let owner = |uid| Owner::service(key, uid);
    let Some(record) = context.host.service_record(key).await? else {
        let whose = super::Key::ServiceRecord(key.clone());
        names.resolver.forget(&whose);
        record_sets::delete(context, names, &owner("")).await?;
        return Ok(Written::Current);
    };
    let before = record.status.clone().unwrap_or_default();
    let counted = match record.spec.allow_service_without_endpoints {
        true => Counted::All,
        false => Counted::Ready,
    };
    let source = Source::Balancer(&key.name);
    let clusters = clusters(
        context,
        names,
        (&key.namespace, &source, counted),
        &before.dns,
    );
    let whose = super::Key::ServiceRecord(key.clone());
    let look = names.resolver.look(&whose, hostnames(&clusters));
    let domain = context.host.domain(&record.spec.domain_ref);
    let outcome = match &domain {
        Some(domain) => {
            let of = record.names(&domain.domain);
            let found = service_records(&of, &clusters, &look.resolved);
            let sets = record.record_sets(&of, &found);
            judge(&clusters, &look, &found, sets)
        }
        None => keep(
            "DomainNotFound",
            format!("no Domain is called {}", record.spec.domain_ref),
        ),
    };
    let uid = record.metadata.uid.as_deref().unwrap_or_default();
    let published = publish(context, names, &owner(uid), outcome).await?;
    let status = ServiceDNSRecordStatus {
        domain: domain.map(|it| it.domain.clone()).or(before.domain),
        dns: clusters.iter().map(ClusterDns::of).collect(),
        conditions: vec![published],
    };
    context.statuses.write_typed(&*record, &status).await
}

/// The same for an IngressDNSRecord.
pub(super) async fn write_ingress(
    context: &Context,
    names: &Names,
    key: &ObjectKey,
) -> Result<Written, Error> {
    if context.host.is_anothers(&key.namespace) {
        return Ok(Written::Current);
    }
    let owner = |uid| Owner::ingress(key, uid);
    let Some(record) = context.host.ingress_record(key).await? else {
        let whose = super::Key::IngressRecord(key.clone());
        names.resolver.forget(&whose);
        record_sets::delete(context, names, &owner("")).await?;
        return Ok(Written::Current);
    };
    let before = record.status.clone().unwrap_or_default();
    let what = (&*key.namespace, &Source::Ingress(&key.name), Counted::All);
    let clusters = clusters(context, names, what, &before.dns);
    let whose = super::Key::IngressRecord(key.clone());
    let look = names.resolver.look(&whose, hostnames(&clusters));
    let found = ingress_records(
        &record.spec.hosts,
        record.ttl_secs(),
        &clusters,
        &look.resolved,
    );
    let outcome = judge(&clusters, &look, &found, api::record_sets(&found));
    let uid = record.metadata.uid.as_deref().unwrap_or_default();
    let published = publish(context, names, &owner(uid), outcome).await?;
    let of = |cluster: &ClusterBalancer| ClusterDns {
        zones: Vec::new(),
        region: None,
        ..ClusterDns::of(cluster)
    };
    let status = IngressDNSRecordStatus {
        dns: clusters.iter().map(of).collect(),
        conditions: vec![published],
    };
    context.statuses.write_typed(&*record, &status).await
}

/// Publishes what is to be; the condition `Published`.
async fn publish(
    context: &Context,
    names: &Names,
    owner: &Owner<'_>,
    outcome: Outcome,
) -> Result<Condition, Error> {
    let Some(sets) = &outcome.sets else {
        return Ok(outcome.condition);
    };
    let taken = record_sets::publish(context, names, owner, sets).await?;
    Ok(taken.map_or(outcome.condition, |why| {
        condition("False", "NameTaken", why)
    }))
}

/// Every record of the host, and every DNSEndpoint that one owned: it may have gone meanwhile.
pub(super) fn all(context: &Context) -> Vec<super::Key> {
    let host = &context.host;
    let services = in_order(&host.service_records);
    let services = services
        .iter()
        .map(|it| key_of(&it.metadata))
        .map(super::Key::ServiceRecord);
    let ingresses = in_order(&host.ingress_records);
    let ingresses = ingresses
        .iter()
        .map(|it| key_of(&it.metadata))
        .map(super::Key::IngressRecord);
    let published = host.dns_endpoint_keys();
    let published = published.iter().filter_map(owner_of);
    services.chain(ingresses).chain(published).collect()
}

/// The record that a DNSEndpoint is called after.
pub(super) fn owner_of(endpoint: &ObjectKey) -> Option<super::Key> {
    let of = |name: &str| ObjectKey::new(&endpoint.namespace, name);
    let name = &endpoint.name;
    let service = name.strip_prefix(record_sets::SERVICE_PREFIX);
    let ingress = name.strip_prefix(record_sets::INGRESS_PREFIX);
    let service = service.map(|name| super::Key::ServiceRecord(of(name)));
    service.or_else(|| ingress.map(|name| super::Key::IngressRecord(of(name))))
}

/// What every cluster offers, by name.
fn clusters(
    context: &Context,
    names: &Names,
    (namespace, source, counted): (&str, &Source<'_>, Counted),
    before: &[ClusterDns],
) -> Vec<ClusterBalancer> {
    let sights = in_order(&context.host.clusters).into_iter().map(|cluster| {
        let place = cluster.place().ok();
        let name = cluster.metadata.name.clone().unwrap_or_default();
        let cluster_name = name.as_str().into();
        let sight = match names.offers.offered(&cluster_name, namespace, source) {
            _ if !cluster.is_ready() => Sight::Away,
            Offered::Unknown => Sight::Unknown,
            Offered::Known(offered) => Sight::Offers(targets(offered, counted)),
        };
        let region = place.as_ref().and_then(|it| it.region.as_ref());
        ClusterSight {
            cluster: cluster_name,
            region: region.map(ToString::to_string),
            zones: place.map_or_else(Vec::new, |it| it.zones),
            sight,
        }
    });
    let before: Vec<_> = before.iter().map(ClusterDns::read).collect();
    standing(sights.collect(), &before)
}

fn targets(offered: Option<ClusterEndpoints>, counted: Counted) -> Vec<Target> {
    let fits = |it: &ClusterEndpoints| {
        counted == Counted::All || it.ready_replicas.is_some_and(|ready| ready > 0)
    };
    let Some(offered) = offered.filter(fits) else {
        return Vec::new();
    };
    let ips = offered.addresses.iter().filter_map(|ip| ip.parse().ok());
    let hostnames = offered.hostnames.into_iter().map(Target::Hostname);
    ips.map(Target::Ip).chain(hostnames).collect()
}

fn hostnames(clusters: &[ClusterBalancer]) -> BTreeSet<String> {
    let targets = clusters.iter().flat_map(|it| &it.targets);
    targets
        .filter_map(|target| match target {
            Target::Hostname(name) => Some(name.clone()),
            Target::Ip(_) => None,
        })
        .collect()
}

fn judge(
    clusters: &[ClusterBalancer],
    look: &Look,
    found: &NamedRecords,
    sets: Vec<DnsRecordSet>,
) -> Outcome {
    if look.pending {
        let message = "host names of balancers are being resolved".to_owned();
        return Outcome {
            sets: None,
            condition: condition("Unknown", "Resolving", message),
        };
    }
    let unresolved = first_of(&look.failed, ", ");
    let named = found.records.iter().any(|it| it.record_type != "CNAME");
    let offered = clusters.iter().any(|it| !it.targets.is_empty());
    if offered && !named && !look.failed.is_empty() {
        return keep("HostnamesDoNotResolve", unresolved);
    }
    let too_many = found.records.len() > RECORD_SETS_MAX;
    let condition = if !found.refused.is_empty() {
        condition("False", "NameRefused", first_of(&found.refused, "; "))
    } else if too_many {
        let message = format!("{RECORD_SETS_MAX} of {} record sets", found.records.len());
        condition("False", "TooManyRecords", message)
    } else if !look.failed.is_empty() {
        condition("False", "HostnamesDoNotResolve", unresolved)
    } else if !named {
        let message = "no member has an address for it, with something ready behind it";
        condition("False", "NothingOffered", message.to_owned())
    } else {
        condition("True", "Published", format!("{} record sets", sets.len()))
    };
    Outcome {
        sets: Some(sets),
        condition,
    }
}

/// The first ten, and how many more there are: a message is bounded.
fn first_of(all: &[String], between: &str) -> String {
    let named = all.len().min(NAMED_MAX);
    let mut words = all[..named].join(between);
    if named < all.len() {
        words.push_str(&format!("{between}and {} more", all.len() - named));
    }
    words
}

fn keep(reason: &str, message: String) -> Outcome {
    Outcome {
        sets: None,
        condition: condition("False", reason, message),
    }
}

fn condition(status: &str, reason: &str, message: String) -> Condition {
    Condition {
        r#type: "Published".to_owned(),
        status: status.to_owned(),
        reason: Some(reason.to_owned()),
        message: Some(message),
        ..Condition::default()
    }
}

/// The namespaces in which members are watched for records.
pub(super) fn namespaces(context: &Context) -> Vec<(String, Source<'static>)> {
    let namespace = |metadata: &kube::core::ObjectMeta| metadata.namespace.clone();
    let own = |namespace: &String| !context.host.is_anothers(namespace);
    let services = in_order(&context.host.service_records);
    let services = services
        .iter()
        .filter_map(|it: &std::sync::Arc<ServiceDNSRecord>| namespace(&it.metadata))
        .map(|it| (it, Source::Balancer("")));
    let ingresses = in_order(&context.host.ingress_records);
    let ingresses = ingresses
        .iter()
        .filter_map(|it: &std::sync::Arc<IngressDNSRecord>| namespace(&it.metadata))
        .map(|it| (it, Source::Ingress("")));
    services
        .chain(ingresses)
        .filter(|(it, _)| own(it))
        .collect()
}
