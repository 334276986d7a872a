//! What is told of zones: which are served, what is wrong with them, and what their serials stand for.

use crate::{
    event::ClusterState, leaving::stays, publish::Publisher, secondaries, service::Service,
    spec::ZoneSpec, status::ZoneStatus, zones,
};
use dns::{Name, Record, RecordType};
use model::{ClusterName, ObjectKey};
use std::collections::BTreeMap;

impl Publisher {
    /// Whether somebody holds zones besides this server's like: then endpoints are part of what a
    /// serial stands for.
    pub(crate) fn has_secondaries(&self) -> bool {
        let mut zones = self.wanted.values();
        zones.any(|(spec, _)| !spec.secondaries.is_empty())
    }

    /// Takes what secondaries hold of steered names, and gives the statuses that changed, of
    /// these zones or of all.
    pub(crate) fn zone_changes(
        &mut self,
        zones: &BTreeMap<ObjectKey, ZoneSpec>,
        services: &BTreeMap<ObjectKey, Service>,
        clusters: &BTreeMap<ClusterName, ClusterState>,
        which: Which,
    ) -> Vec<ZoneStatus> {
        self.held = self.held_by_secondaries(services, clusters);
        let mut statuses = self.zone_statuses.clone();
        statuses.retain(|key, _| zones.contains_key(key));
        let served: BTreeMap<&ObjectKey, &Name> = (self.wanted.iter())
            .map(|(origin, (spec, _))| (&spec.key, origin))
            .collect();
        let mut inside: BTreeMap<&Name, Vec<&Name>> = BTreeMap::new();
        for (host, (key, zone)) in &self.owners {
            if stays(services, key) {
                inside.entry(zone).or_default().push(host);
            }
        }
        let concerned = zones
            .values()
            .filter(|spec| which == Which::All || !spec.secondaries.is_empty());
        for spec in concerned {
            let origin = served.get(&spec.key).copied();
            let inside = origin.and_then(|origin| inside.get(origin));
            let inside = inside.into_iter().flatten().copied();
            // With what objects ask for in it: secondaries get that too.
            let whole = origin.and_then(|origin| self.wanted.get(origin));
            let spec = match whole {
                Some((whole, _)) if !self.problems.contains_key(&spec.key) => whole,
                _ => spec,
            };
            let status = ZoneStatus {
                zone: spec.key.clone(),
                served: origin.is_some(),
                problem: self.problems.get(&spec.key).cloned(),
                digest: zones::digest(
                    spec,
                    inside.map(|host| (host, self.held.get(host))),
                    whole.map(|(_, zone)| zone.as_ref()),
                ),
            };
            statuses.insert(spec.key.clone(), status);
        }
        let changed = statuses
            .iter()
            .filter(|(key, it)| self.zone_statuses.get(*key) != Some(*it));
        let changed = changed.map(|(_, status)| status.clone()).collect();
        self.zone_statuses = statuses;
        changed
    }

    fn held_by_secondaries(
        &self,
        services: &BTreeMap<ObjectKey, Service>,
        clusters: &BTreeMap<ClusterName, ClusterState>,
    ) -> BTreeMap<Name, Vec<Record>> {
        let has_some = |origin: &Name| {
            let zone = self.wanted.get(origin);
            zone.is_some_and(|(spec, _)| !spec.secondaries.is_empty())
        };
        let owners = self.owners.iter().filter(|(_, (_, zone))| has_some(zone));
        let held = owners.filter_map(|(host, (key, _))| {
            let service = services
                .get(key)
                .filter(|service| service.valid && stays(services, key))?;
            let prefixed = self.bindings.get(host);
            let mut records = secondaries::records(host, prefixed, service, clusters);
            // What an alias leads to is not the same everywhere: they hold nothing for it.
            let is_flat = self.flat.contains(host);
            records.retain(|it| !is_flat || it.record_type != RecordType::CNAME);
            Some((host.clone(), records))
        });
        held.collect()
    }
}

/// Of which zones a status is looked at.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Which {
    All,
    /// Those with secondaries, whose serial stands for endpoints too.
    Transferred,
}
