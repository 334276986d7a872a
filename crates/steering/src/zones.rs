//! Zones as the DNS engine takes them, and which host belongs to which.

use crate::{
    challenges, published,
    spec::{NamespaceGrant, ServiceSpec, ZoneSpec},
    status::HostProblem,
};
use dns::{Name, Record, Soa, Zone};
use model::ObjectKey;
use siphasher::sip::SipHasher13;
use std::{
    collections::{BTreeMap, BTreeSet, HashMap, hash_map::Entry},
    hash::{Hash, Hasher},
    sync::Arc,
};

/// What a zone's fields say without its text: SOA, name servers and their addresses; or what is
/// wrong with them.
///
/// # Errors
/// The field, and what is wrong there.
pub fn zone_frame(spec: &ZoneSpec) -> Result<Zone, String> {
    let name =
        |what: &str, text: &str| Name::parse(text).map_err(|error| format!("{what}: {error}"));
    let origin = name("domain", &spec.domain)?;
    let mut servers = Vec::new();
    for (at, server) in spec.name_servers.iter().enumerate() {
        servers.push((
            name(&format!("nameServers[{at}].name"), &server.name)?,
            server,
        ));
    }
    let Some((primary, _)) = servers.first() else {
        return Err("nameServers is empty: name at least one server".to_owned());
    };
    let mailbox = match &spec.soa.mailbox {
        Some(mailbox) => name("soa.mailbox", mailbox)?,
        None => name("soa.mailbox", &format!("hostmaster.{origin}"))?,
    };
    let soa = Soa {
        primary: primary.clone(),
        mailbox,
        serial: spec.serial,
        refresh_secs: spec.soa.refresh_secs,
        retry_secs: spec.soa.retry_secs,
        expire_secs: spec.soa.expire_secs,
        minimum_secs: spec.soa.minimum_secs,
    };
    let names: Vec<Name> = servers.iter().map(|(name, _)| name.clone()).collect();
    let mut zone = Zone::new(origin.clone(), spec.default_ttl_secs, &soa, &names);
    for (name, server) in servers.iter().filter(|(name, _)| name.is_within(&origin)) {
        let addresses = server.addresses.iter();
        zone.records
            .extend(addresses.map(|ip| Record::address(name.clone(), spec.default_ttl_secs, *ip)));
    }
    Ok(zone)
}

/// A zone for the DNS engine, or what is wrong with it.
pub(crate) fn compile(spec: &ZoneSpec) -> Result<Zone, String> {
    let mut zone = zone_frame(spec)?;
    let origin = zone.origin.clone();
    let records = dns::read_records(&spec.records, &origin, spec.default_ttl_secs)
        .map_err(|error| format!("records: {error}"))?;
    // What the fields say stands; the same record in the text says it again.
    zone.records.extend(
        records.into_iter().filter(|record| {
            !(record.owner == origin && record.record_type == dns::RecordType::SOA)
        }),
    );
    let published = published::fitting(&zone.records, spec, &origin);
    zone.records.extend(published);
    zone.records.sort_by(|a, b| {
        (&a.owner, a.record_type, &a.data).cmp(&(&b.owner, b.record_type, &b.data))
    });
    zone.records
        .dedup_by(|a, b| (&a.owner, a.record_type, &a.data) == (&b.owner, b.record_type, &b.data));
    Ok(zone)
}

/// A digest of all that a zone says besides its serial, the steered names in it included, what
/// secondaries hold of them, and the challenges.
pub(crate) fn digest<'a>(
    spec: &ZoneSpec,
    hosts: impl Iterator<Item = (&'a Name, Option<&'a Vec<Record>>)>,
    zone: Option<&Zone>,
) -> u64 {
    let mut hasher = SipHasher13::new();
    let unnumbered = ZoneSpec {
        serial: 0,
        digest: None,
        ..spec.clone()
    };
    // Debug output names every field, and so does the digest.
    format!("{unnumbered:?}").hash(&mut hasher);
    for (host, held) in hosts {
        host.wire().hash(&mut hasher);
        for record in held.into_iter().flatten() {
            (record.ttl_secs, record.record_type, &record.data).hash(&mut hasher);
        }
    }
    for record in zone.into_iter().flat_map(challenges::of) {
        (record.owner.wire(), record.ttl_secs, &record.data).hash(&mut hasher);
    }
    hasher.finish()
}

/// A digest as `Zone.status` has it.
pub(crate) fn told(digest: u64) -> String {
    format!("{digest:016x}")
}

/// The zone that holds a host and allows it: the longest match.
pub(crate) fn zone_of<'a>(
    host: &Name,
    namespace: &str,
    zones: &'a BTreeMap<Name, &ZoneSpec>,
) -> Result<&'a Name, HostProblem> {
    let found = host
        .ancestry()
        .find_map(|above| zones.get_key_value(&above));
    let Some((origin, zone)) = found else {
        return Err(HostProblem::NoZone {
            zones: zones.values().map(|zone| zone.domain.clone()).collect(),
        });
    };
    if allows(zone, namespace, host) {
        Ok(origin)
    } else {
        Err(HostProblem::NotAllowed {
            zone: zone.domain.clone(),
            namespaces: zone.allowed_namespaces.iter().map(tell).collect(),
        })
    }
}

/// The hosts that cannot be aliases (RFC 1034 § 3.6.2): origins, and those with static records.
pub(crate) fn cannot_alias(
    claims: &Claims,
    zones: &BTreeMap<Name, (ZoneSpec, Arc<Zone>)>,
) -> BTreeSet<Name> {
    let records = zones.values().flat_map(|(_, zone)| &zone.records);
    let beside = records.filter(|it| it.record_type != dns::RecordType::CNAME);
    let beside: BTreeSet<&Name> = beside.map(|it| &it.owner).collect();
    let flat = claims.owners.iter();
    flat.filter(|(host, (_, origin))| *host == origin || beside.contains(host))
        .filter(|(host, _)| !claims.bindings.contains_key(*host))
        .map(|(host, _)| host.clone())
        .collect()
}

fn allows(zone: &ZoneSpec, namespace: &str, host: &Name) -> bool {
    let granted = |grant: &NamespaceGrant| {
        (grant.namespace == "*" || grant.namespace == namespace)
            && (grant.names.is_empty() || grant.names.iter().any(|pattern| matches(pattern, host)))
    };
    zone.allowed_namespaces.is_empty() || zone.allowed_namespaces.iter().any(granted)
}

/// `*.x` is everything below `x`, anything else is itself.
fn matches(pattern: &str, host: &Name) -> bool {
    let (below, text) = match pattern.strip_prefix("*.") {
        Some(rest) => (true, rest),
        None => (false, pattern),
    };
    Name::parse(text).is_ok_and(|name| {
        if below {
            host.is_within(&name) && *host != name
        } else {
            *host == name
        }
    })
}

fn tell(grant: &NamespaceGrant) -> String {
    if grant.names.is_empty() {
        grant.namespace.clone()
    } else {
        format!("{} ({})", grant.namespace, grant.names.join(", "))
    }
}

/// Who has which host, and why the others have not: of two that claim one, the older.
pub(crate) struct Claims {
    /// The service of each name that is served, with the zone's origin.
    pub(crate) owners: BTreeMap<Name, (ObjectKey, Name)>,
    /// Of these, what is said at prefixes of hosts.
    pub(crate) bindings: BTreeMap<Name, Prefixed>,
    /// Per service, each host as it was written, and its zone or what is wrong.
    pub(crate) hosts: BTreeMap<ObjectKey, Vec<Claim>>,
}

/// A service's claim to a host, or to a name at a prefix of it.
#[derive(Clone, Debug)]
pub(crate) struct Claim {
    /// The host as it was written.
    pub(crate) host: String,
    /// Its name and the zone's origin, or why it is refused.
    pub(crate) settled: Result<(Name, Name), HostProblem>,
    /// Of what it is the prefix.
    pub(crate) prefixed: Option<Prefixed>,
}

/// A name at a prefix of a host.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Prefixed {
    pub(crate) prefix: String,
    pub(crate) host: Name,
}

/// Settles the claims of all services; those that leave come last.
pub(crate) fn claims<'a>(
    services: impl Iterator<Item = (bool, &'a ServiceSpec)>,
    zones: &BTreeMap<Name, &ZoneSpec>,
) -> Claims {
    let mut owners = Owners::default();
    let mut bindings = BTreeMap::new();
    let mut all = Vec::new();
    let mut services: Vec<_> = services.collect();
    services.sort_by_key(|(leaves, service)| (*leaves, service.created_millis, &service.key));
    for (_, service) in services {
        let claim = |host: &String| Claim {
            host: host.clone(),
            settled: settle(host, service, zones, &mut owners),
            prefixed: None,
        };
        let mut hosts: Vec<_> = service.hosts.iter().map(claim).collect();
        if !service.svcb.is_empty() {
            let prefixed = prefixed(service, &hosts, zones, &mut owners, &mut bindings);
            hosts.extend(prefixed);
        }
        all.push((service.key.clone(), hosts));
    }
    Claims {
        // Built at once from names that are mostly in order.
        owners: owners.all.into_iter().collect(),
        bindings,
        hosts: all.into_iter().collect(),
    }
}

/// Who has which name, while claims are settled: a restart settles a hundred thousand, so that names
/// are found by their hash and put in order once.
#[derive(Default)]
struct Owners {
    all: Vec<(Name, (ObjectKey, Name))>,
    /// By name, where it is in `all`.
    places: HashMap<Name, usize>,
}

impl Owners {
    /// Gives a name of a zone to a service, unless it is given already: then says to whom.
    fn give(&mut self, name: &Name, service: &ObjectKey, zone: &Name) -> Result<(), &ObjectKey> {
        match self.places.entry(name.clone()) {
            Entry::Occupied(place) => {
                let (_, (owner, _)) = &self.all[*place.get()];
                Err(owner)
            }
            Entry::Vacant(place) => {
                place.insert(self.all.len());
                self.all
                    .push((name.clone(), (service.clone(), zone.clone())));
                Ok(())
            }
        }
    }
}

/// The claims to names at prefixes of the hosts that a service has.
fn prefixed(
    service: &ServiceSpec,
    hosts: &[Claim],
    zones: &BTreeMap<Name, &ZoneSpec>,
    owners: &mut Owners,
    bindings: &mut BTreeMap<Name, Prefixed>,
) -> Vec<Claim> {
    let mut claims = Vec::new();
    for claim in hosts {
        let Ok((host, zone)) = &claim.settled else {
            continue;
        };
        for svcb in &service.svcb {
            let written = format!("{}.{}", svcb.prefix, claim.host);
            let prefixed = Prefixed {
                prefix: svcb.prefix.clone(),
                host: host.clone(),
            };
            let settled = settle_prefixed(&written, (zone, &prefixed), service, zones, owners);
            if let Ok((name, _)) = &settled {
                bindings.insert(name.clone(), prefixed.clone());
            }
            claims.push(Claim {
                settled,
                host: written,
                prefixed: Some(prefixed),
            });
        }
    }
    claims
}

/// Gives a name at a prefix to the service that has the host. Who may have a host may have what
/// is said about it.
fn settle_prefixed(
    written: &str,
    (zone, prefixed): (&Name, &Prefixed),
    service: &ServiceSpec,
    zones: &BTreeMap<Name, &ZoneSpec>,
    owners: &mut Owners,
) -> Result<(Name, Name), HostProblem> {
    let invalid = |why: String| HostProblem::InvalidName(why);
    let name = Name::parse(written).map_err(|error| invalid(error.to_string()))?;
    let longest = name.ancestry().find(|above| zones.contains_key(above));
    if longest.as_ref() != Some(zone) {
        return Err(invalid(format!(
            "it lies in another zone than {}",
            prefixed.host
        )));
    }
    match owners.give(&name, &service.key, zone) {
        Ok(()) => Ok((name, zone.clone())),
        Err(owner) => Err(HostProblem::Claimed { by: owner.clone() }),
    }
}

/// Gives a host to a service, unless another has it.
fn settle(
    host: &str,
    service: &ServiceSpec,
    zones: &BTreeMap<Name, &ZoneSpec>,
    owners: &mut Owners,
) -> Result<(Name, Name), HostProblem> {
    let name = Name::parse(host).map_err(|error| HostProblem::InvalidName(error.to_string()))?;
    let zone = zone_of(&name, &service.key.namespace, zones)?;
    match owners.give(&name, &service.key, zone) {
        Err(owner) if *owner != service.key => Err(HostProblem::Claimed { by: owner.clone() }),
        _ => Ok((name, zone.clone())),
    }
}
