//! Snapshots: zones and names as they were published, and what changes them.

use crate::{
    branches,
    challenges::{self, Challenges},
    named::Named,
    parallel::in_parallel,
    published, secondaries,
    service::Service,
    spec::{PublishedRecords, ZoneSpec},
    status::{HostProblem, HostStatus, ServiceStatus, ZoneStatus},
    zones::{self, Claim, Prefixed},
};
use dns::{Checked, Freshness, Name, Record, Snapshot, SnapshotBuilder, Steered, Transfer, Zone};
use model::{ClusterName, ObjectKey};
use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
};

/// What is published, and who is named in it.
#[derive(Debug)]
pub(crate) struct Publisher {
    snapshot: Arc<Snapshot>,
    /// By origin, the zones to serve.
    pub(crate) wanted: BTreeMap<Name, (ZoneSpec, Arc<Zone>)>,
    /// By origin, these as they were checked.
    checked: BTreeMap<Name, Checked>,
    /// By origin, the zones that are served.
    served: BTreeMap<Name, Arc<Zone>>,
    /// Hosts that cannot be aliases.
    pub(crate) flat: BTreeSet<Name>,
    /// What `dns` said against a zone.
    refused: BTreeMap<Name, String>,
    /// By host, its service and the zone.
    pub(crate) owners: BTreeMap<Name, (ObjectKey, Name)>,
    /// Of these, what is said at prefixes of hosts.
    pub(crate) bindings: BTreeMap<Name, Prefixed>,
    /// Per service, its hosts as written, and what became of each.
    hosts: BTreeMap<ObjectKey, Vec<Claim>>,
    /// By host, what is steered.
    steered: BTreeMap<Name, SteeredName>,
    /// By host, what `dns` said against it: few.
    refused_hosts: BTreeMap<Name, String>,
    pub(crate) zone_statuses: BTreeMap<ObjectKey, ZoneStatus>,
    /// What is wrong with zones.
    pub(crate) problems: BTreeMap<ObjectKey, String>,
    /// By host in a zone with secondaries, what they hold of it.
    pub(crate) held: BTreeMap<Name, Vec<Record>>,
    /// By origin, the zones that secondaries may have, and as what.
    transferred: BTreeMap<Name, (u64, ZoneSpec)>,
    pub(crate) named: BTreeMap<ClusterName, Named>,
    /// The zones that hold challenges.
    challenged: BTreeSet<Name>,
    /// The revision of the challenges that zones are compiled with, and that of the snapshot.
    challenges_wanted: u64,
    pub(crate) challenges_served: u64,
    /// By origin, the keys by which challenges may be changed.
    pub(crate) updaters: BTreeMap<Name, BTreeSet<Name>>,
    /// Whether hosts or zones changed since the last snapshot: then every name is looked at.
    unsettled: bool,
}

/// A name as it was given to `dns`.
#[derive(Clone, Debug)]
struct SteeredName {
    service: ObjectKey,
    /// The service's revision; 0 when it is to be given again.
    revision: u64,
    /// Whether it is at a prefix of a host, and no host itself.
    is_prefixed: bool,
}

impl SteeredName {
    fn is_same(&self, revision: u64, is_prefixed: bool) -> bool {
        self.revision == revision && self.is_prefixed == is_prefixed
    }
}

/// What zones and hosts are settled from.
pub(crate) type Inputs<'a> = (
    &'a BTreeMap<ObjectKey, ZoneSpec>,
    &'a BTreeMap<ObjectKey, Service>,
    &'a BTreeMap<ObjectKey, PublishedRecords>,
    &'a Challenges,
);

impl Default for Publisher {
    fn default() -> Self {
        Self {
            snapshot: Arc::new(Snapshot::empty()),
            wanted: BTreeMap::new(),
            checked: BTreeMap::new(),
            served: BTreeMap::new(),
            flat: BTreeSet::new(),
            refused: BTreeMap::new(),
            owners: BTreeMap::new(),
            bindings: BTreeMap::new(),
            hosts: BTreeMap::new(),
            steered: BTreeMap::new(),
            refused_hosts: BTreeMap::new(),
            zone_statuses: BTreeMap::new(),
            problems: BTreeMap::new(),
            held: BTreeMap::new(),
            transferred: BTreeMap::new(),
            named: BTreeMap::new(),
            challenged: BTreeSet::new(),
            challenges_wanted: 0,
            challenges_served: 0,
            updaters: BTreeMap::new(),
            unsettled: true,
        }
    }
}

impl Publisher {
    pub(crate) fn has_published(&self) -> bool {
        self.snapshot.generation() > 0
    }

    pub(crate) fn snapshot(&self) -> &Arc<Snapshot> {
        &self.snapshot
    }

    /// The service of a host.
    pub(crate) fn owner(&self, host: &Name) -> Option<&ObjectKey> {
        self.owners.get(host).map(|(key, _)| key)
    }

    /// Whether a host cannot be an alias: a zone's origin, or with other records beside it.
    pub(crate) fn is_flat(&self, host: &Name) -> bool {
        self.flat.contains(host)
    }

    /// The services of such hosts.
    pub(crate) fn flat_services(&self) -> BTreeSet<ObjectKey> {
        let owners = self.flat.iter().filter_map(|host| self.owner(host));
        owners.cloned().collect()
    }

    /// What is said at a name that is a prefix of a host.
    pub(crate) fn prefixed(&self, name: &Name) -> Option<&Prefixed> {
        self.bindings.get(name)
    }

    /// Every name that is steered.
    pub(crate) fn steered_hosts(&self) -> impl Iterator<Item = &Name> {
        self.owners.keys()
    }

    /// Compiles zones, with what objects ask for in them, and settles who has which host.
    pub(crate) fn settle_hosts(&mut self, (zones, services, records, challenges): Inputs<'_>) {
        let staying = services.values().filter(|it| it.leaves_millis.is_none());
        let hosts = staying.flat_map(|service| &service.spec.hosts);
        let placed = (!records.is_empty()).then(|| {
            let steered = hosts.filter_map(|host| Name::parse(host).ok()).collect();
            published::placed(zones, records, &steered)
        });
        let zones = placed.as_ref().unwrap_or(zones);
        let origins = zones.values().filter_map(|it| Name::parse(&it.domain).ok());
        let origins: BTreeSet<Name> = origins.collect();
        let challenges_read = challenges.read();
        let challenged = challenges::origins(&challenges_read, &origins);
        self.challenges_wanted = challenges.revision;
        let mut problems: BTreeMap<ObjectKey, String> = BTreeMap::new();
        let mut wanted: BTreeMap<Name, (ZoneSpec, Arc<Zone>)> = BTreeMap::new();
        let mut checked: BTreeMap<Name, Checked> = BTreeMap::new();
        let compile = |spec| self.compiled(spec, (&challenges_read, &challenged), &origins);
        for (spec, compiled) in zones.values().zip(in_parallel(zones.values(), compile)) {
            match compiled {
                Ok((zone, _)) if wanted.contains_key(&zone.origin) => {
                    let other = &wanted[&zone.origin].0.key;
                    problems.insert(spec.key.clone(), format!("Zone {other} has this domain"));
                }
                Ok((zone, compiled)) => {
                    checked.insert(zone.origin.clone(), compiled);
                    wanted.insert(zone.origin.clone(), (spec.clone(), zone));
                }
                Err(problem) => {
                    // What was right before stays.
                    let before = self.wanted.iter().find(|(_, (old, _))| old.key == spec.key);
                    if let Some((origin, kept)) = before {
                        if let Some(known) = self.checked.get(origin) {
                            let place = checked.entry(origin.clone());
                            place.or_insert_with(|| known.clone());
                        }
                        wanted.entry(origin.clone()).or_insert_with(|| kept.clone());
                    }
                    problems.insert(spec.key.clone(), problem);
                }
            }
        }
        let specs: BTreeMap<_, _> = wanted
            .iter()
            .map(|(origin, (spec, _))| (origin.clone(), spec))
            .collect();
        // What stood in the way may be gone.
        self.refused.clear();
        for host in self.refused_hosts.keys() {
            if let Some(failed) = self.steered.get_mut(host) {
                failed.revision = 0;
            }
        }
        let claimants = services.values().map(|service| {
            let leaves = service.leaves_millis.is_some();
            (leaves, &service.spec)
        });
        let claims = zones::claims(claimants, &specs);
        self.unsettled = true;
        self.flat = zones::cannot_alias(&claims, &wanted);
        (self.owners, self.bindings) = (claims.owners, claims.bindings);
        self.hosts = claims.hosts;
        (self.wanted, self.challenged) = (wanted, challenged);
        self.checked = checked;
        self.problems = problems;
    }

    /// A zone and its answers; what was compiled before is shared where the same would come out.
    fn compiled(
        &self,
        spec: &ZoneSpec,
        (challenges, challenged): (&dns::Challenges, &BTreeSet<Name>),
        origins: &BTreeSet<Name>,
    ) -> Result<(Arc<Zone>, Checked), String> {
        let known = |origin: &Name| {
            let (spec, zone) = self.wanted.get(origin)?;
            Some((spec, zone, self.checked.get(origin)?))
        };
        let untouched = |it: &Name| !challenged.contains(it) && !self.challenged.contains(it);
        let origin = Name::parse(&spec.domain).ok().filter(untouched);
        if let Some((before, zone, checked)) = origin.as_ref().and_then(known)
            && before == spec
        {
            return Ok((Arc::clone(zone), checked.clone()));
        }
        let mut zone = zones::compile(spec)?;
        challenges::add(&mut zone, challenges, origins);
        match known(&zone.origin).filter(|(_, before, _)| ***before == zone) {
            Some((_, before, checked)) => Ok((Arc::clone(before), checked.clone())),
            None => {
                let checked = zone.check().map_err(|error| error.to_string())?;
                Ok((Arc::new(zone), checked))
            }
        }
    }

    /// The next snapshot, if it differs from the one before.
    pub(crate) fn publish(
        &mut self,
        services: &BTreeMap<ObjectKey, Service>,
        changed: &BTreeSet<ObjectKey>,
        freshness: Freshness,
        now: u64,
    ) -> Option<Arc<Snapshot>> {
        let mut builder = SnapshotBuilder::from(&self.snapshot);
        builder.freshness(freshness);
        let zones = self.unsettled && self.publish_zones(&mut builder);
        let released = self.unsettled && self.release_names(&mut builder, services, now);
        let steered = self.steer_names(&mut builder, services, changed);
        let transferred = self.publish_transfers(&mut builder);
        let updaters = self.unsettled && self.publish_updaters(&mut builder);
        self.unsettled = false;
        if self.refused.is_empty() {
            self.challenges_served = self.challenges_wanted;
        }
        let first = !self.has_published();
        if !(first
            || zones
            || released
            || steered
            || transferred
            || updaters
            || freshness != self.snapshot.freshness())
        {
            return None;
        }
        self.snapshot = Arc::new(builder.build(self.snapshot.generation() + 1));
        Some(Arc::clone(&self.snapshot))
    }

    fn publish_zones(&mut self, builder: &mut SnapshotBuilder) -> bool {
        let gone = self
            .served
            .keys()
            .filter(|origin| !self.wanted.contains_key(*origin));
        let gone: Vec<Name> = gone.cloned().collect();
        let new = self.wanted.iter().filter(|(origin, (_, zone))| {
            self.served.get(*origin) != Some(zone) && !self.refused.contains_key(*origin)
        });
        let new: Vec<Arc<Zone>> = new.map(|(_, (_, zone))| Arc::clone(zone)).collect();
        for origin in &gone {
            builder.remove_zone(origin);
            self.served.remove(origin);
            self.renew_names(origin);
        }
        let mut any = !gone.is_empty();
        for zone in new {
            let added = match self.checked.get(&zone.origin) {
                Some(checked) => builder.checked_zone(checked),
                None => builder.zone(&zone),
            };
            match added {
                Ok(()) => {
                    any = true;
                    // It may leave no room for a name, or make some.
                    self.renew_names(&zone.origin);
                    self.served.insert(zone.origin.clone(), zone);
                }
                Err(error) => {
                    self.refused.insert(zone.origin.clone(), error.to_string());
                }
            }
        }
        any
    }

    /// Hands out zones to secondaries: what is known here, once it is what the serial stands for.
    fn publish_transfers(&mut self, builder: &mut SnapshotBuilder) -> bool {
        let mut any = false;
        for (origin, (spec, zone)) in &self.wanted {
            let before = self.transferred.get(origin);
            if spec.secondaries.is_empty() || !self.served.contains_key(origin) {
                if before.is_some() {
                    builder.end_transfer(origin);
                    self.transferred.remove(origin);
                    any = true;
                }
                continue;
            }
            let digest = self.zone_statuses.get(&spec.key).map(|it| it.digest);
            let Some(digest) = digest.filter(|it| spec.digest == Some(zones::told(*it))) else {
                continue;
            };
            if before.is_some_and(|(known, of)| *known == digest && of == spec) {
                continue;
            }
            let served = |host: &Name| !self.refused_hosts.contains_key(host);
            let owner = |host: &Name| self.owners.get(host).map(|(_, zone)| zone);
            let held = self.held.iter();
            let held = held.filter(|(host, _)| owner(host) == Some(origin) && served(host));
            let held = held.flat_map(|(_, records)| records.iter().cloned());
            let transfer = Transfer {
                secondaries: spec
                    .secondaries
                    .iter()
                    .filter_map(secondaries::secondary)
                    .collect(),
                records: zone.records.iter().cloned().chain(held).collect(),
            };
            any |= builder.transfer(origin, &transfer).is_ok();
            self.transferred
                .insert(origin.clone(), (digest, spec.clone()));
        }
        self.transferred
            .retain(|origin, _| self.wanted.contains_key(origin));
        any
    }

    /// Has names below a zone's origin given to `dns` again.
    fn renew_names(&mut self, origin: &Name) {
        for (host, steered) in &mut self.steered {
            if host.is_within(origin) {
                steered.revision = 0;
            }
        }
    }

    /// Lets go of names that nobody, or somebody else, has now.
    fn release_names(
        &mut self,
        builder: &mut SnapshotBuilder,
        services: &BTreeMap<ObjectKey, Service>,
        now: u64,
    ) -> bool {
        let owner = |host: &Name| self.owners.get(host).map(|(key, _)| key);
        let stale = self
            .steered
            .iter()
            .filter(|(host, it)| owner(host) != Some(&it.service));
        let stale: Vec<Name> = stale.map(|(host, _)| host.clone()).collect();
        for host in &stale {
            builder.release(host);
            self.steered.remove(host);
            self.refused_hosts.remove(host);
        }
        for named in self.named.values_mut() {
            let before = named.services.len();
            named.services.retain(|key| services.contains_key(key));
            named.close(before, now);
        }
        !stale.is_empty()
    }

    /// Steers the names whose answers changed, or that `dns` has to hear again.
    fn steer_names(
        &mut self,
        builder: &mut SnapshotBuilder,
        services: &BTreeMap<ObjectKey, Service>,
        changed: &BTreeSet<ObjectKey>,
    ) -> bool {
        let mut any = false;
        let mut fresh: Vec<(Name, SteeredName)> = Vec::new();
        let keys: Vec<&ObjectKey> = match self.unsettled {
            true => self.hosts.keys().collect(),
            false => changed.iter().collect(),
        };
        let concerned = keys
            .into_iter()
            .filter_map(|key| self.hosts.get_key_value(key));
        for (key, claims) in concerned {
            let service = services.get(key).filter(|service| service.valid);
            let Some((service, outcome)) = service.and_then(|it| Some((it, it.outcome.as_ref()?)))
            else {
                continue;
            };
            let revision = service.revision;
            // One for all hosts that can be aliases, and one for those that cannot.
            let mut forms: [Option<Steered>; 2] = [None, None];
            for claim in claims {
                let Ok((host, _)) = &claim.settled else {
                    continue;
                };
                let is_prefixed = claim.prefixed.is_some();
                let steered = SteeredName {
                    service: key.clone(),
                    revision,
                    is_prefixed,
                };
                match self.steered.get_mut(host) {
                    Some(known) if known.is_same(revision, is_prefixed) => continue,
                    Some(known) => *known = steered,
                    None => fresh.push((host.clone(), steered)),
                }
                let is_flat = self.flat.contains(host);
                let form = &mut forms[usize::from(is_flat)];
                let binding = claim.prefixed.as_ref();
                let binding = binding.and_then(|it| outcome.binding(it));
                let steered = match &binding {
                    Some(binding) => binding,
                    // Its answers are still those of a spec without it.
                    None if is_prefixed => continue,
                    None => form.get_or_insert_with(|| outcome.steered(is_flat)),
                };
                match builder.steer(host, steered) {
                    Ok(()) => {
                        any = true;
                        self.refused_hosts.remove(host);
                    }
                    Err(error) => {
                        self.refused_hosts.insert(host.clone(), error.to_string());
                    }
                }
            }
        }
        insert_all(&mut self.steered, fresh);
        any
    }

    /// The generation that is served of each service.
    pub(crate) fn generations(
        &self,
        services: &BTreeMap<ObjectKey, Service>,
    ) -> BTreeMap<String, u64> {
        let served = |(key, claims): &(&ObjectKey, &Vec<Claim>)| {
            let mut hosts = claims
                .iter()
                .filter_map(|claim| claim.settled.as_ref().ok());
            hosts.any(|(host, _)| {
                let steered = self.steered.get(host);
                steered.is_some_and(|it| it.service == **key)
                    && !self.refused_hosts.contains_key(host)
            })
        };
        let generation =
            |(key, _): (&ObjectKey, _)| Some((key.to_string(), services.get(key)?.spec.generation));
        let served = self.hosts.iter().filter(served);
        served.filter_map(generation).collect()
    }

    /// A service's status.
    pub(crate) fn status(&self, service: &Service) -> ServiceStatus {
        let hosts = self.hosts.get(&service.spec.key);
        let host = |claim: &Claim| {
            let (zone, problem) = match &claim.settled {
                Err(problem) => (None, Some(problem.clone())),
                Ok((name, zone)) => (Some(self.domain(zone)), self.refusal(name, zone)),
            };
            let problem = match &service.problem {
                Some(problem) => Some(HostProblem::InvalidSpec(problem.clone())),
                None => problem,
            };
            HostStatus {
                host: claim.host.clone(),
                zone,
                problem,
            }
        };
        let nodes = service
            .tree
            .failovers()
            .into_iter()
            .filter_map(|(id, branches)| {
                let unmet = service.requirements.unmet();
                Some(branches::statuses(branches, service.nodes.get(id)?, unmet))
            });
        ServiceStatus {
            service: service.spec.key.clone(),
            generation: service.spec.generation,
            hosts: hosts.into_iter().flatten().map(host).collect(),
            endpoints: service.endpoint_healths(),
            branches: nodes.flatten().collect(),
            misfits: service.misfits.clone(),
            refused: service.refused.clone(),
            observers_too_few: service.too_few.clone(),
            unresolved: service.unresolved.clone(),
        }
    }

    /// A zone's domain as it was written.
    fn domain(&self, origin: &Name) -> String {
        self.wanted
            .get(origin)
            .map_or_else(|| origin.to_string(), |(spec, _)| spec.domain.clone())
    }

    fn refusal(&self, host: &Name, zone: &Name) -> Option<HostProblem> {
        let reason = self.refused_hosts.get(host);
        let reason = reason.or_else(|| self.refused.get(zone))?;
        Some(HostProblem::Refused {
            zone: self.domain(zone),
            reason: reason.clone(),
        })
    }
}

/// Puts many new names into a map, which is built anew where they are a great part of it: one by one, a
/// hundred thousand are compared millions of times.
fn insert_all<T>(map: &mut BTreeMap<Name, T>, new: Vec<(Name, T)>) {
    /// With fewer than one in so many, the map is not touched as a whole.
    const PART: usize = 8;
    if new.len() > map.len() / PART {
        map.append(&mut new.into_iter().collect());
    } else {
        map.extend(new);
    }
}
