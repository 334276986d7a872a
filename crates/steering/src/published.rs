//! Records that objects other than zones ask for: DNSEndpoints, ExternalDNS's and KubeFed's.
//!
//! They are served from the zone that holds their name and allows their namespace. What a zone says itself,
//! and what a GlobalService has, goes before; of two objects that say different things of one name, the first
//! by key is heard.

use crate::{
    engine::Engine,
    spec::{PublishedRecord, PublishedRecords, ZoneSpec},
    zones,
};
use dns::{Name, Record, RecordType};
use model::ObjectKey;
use std::collections::{BTreeMap, BTreeSet};

impl Engine {
    /// Takes what an object asks for; it replaces what it asked for before.
    pub(crate) fn apply_records(&mut self, records: PublishedRecords) {
        if self.records.get(&records.key) != Some(&records) {
            self.records.insert(records.key.clone(), records);
            self.marks.hosts = true;
        }
    }

    /// Forgets what an object asked for.
    pub(crate) fn delete_records(&mut self, key: &ObjectKey) {
        self.marks.hosts |= self.records.remove(key).is_some();
    }
}

/// Each zone with the records that belong into it, of hosts that nobody steers.
pub(crate) fn placed(
    zones: &BTreeMap<ObjectKey, ZoneSpec>,
    records: &BTreeMap<ObjectKey, PublishedRecords>,
    steered: &BTreeSet<Name>,
) -> BTreeMap<ObjectKey, ZoneSpec> {
    let mut placed = zones.clone();
    let mut by_origin: BTreeMap<Name, &ZoneSpec> = BTreeMap::new();
    for zone in zones.values() {
        if let Ok(origin) = Name::parse(&zone.domain) {
            by_origin.entry(origin).or_insert(zone);
        }
    }
    for object in records.values() {
        for record in &object.records {
            let Ok(owner) = Name::parse(&record.name) else {
                continue;
            };
            let zone = zones::zone_of(&owner, &object.key.namespace, &by_origin);
            let Some(zone) = zone.ok().and_then(|origin| by_origin.get(origin)) else {
                continue;
            };
            if let Some(zone) = placed
                .get_mut(&zone.key)
                .filter(|_| !steered.contains(&owner))
            {
                zone.published.push(record.clone());
            }
        }
    }
    placed
}

/// The records of a zone that objects ask for and that fit beside its own.
pub(crate) fn fitting(own: &[Record], zone: &ZoneSpec, origin: &Name) -> Vec<Record> {
    let mut taken: BTreeMap<Name, BTreeSet<RecordType>> = BTreeMap::new();
    for record in own {
        taken
            .entry(record.owner.clone())
            .or_default()
            .insert(record.record_type);
    }
    let mut found: Vec<Record> = Vec::new();
    for record in &zone.published {
        let Some(records) = read(record, origin, zone.default_ttl_secs) else {
            continue;
        };
        let Some(first) = records.first() else {
            continue;
        };
        let (owner, kind) = (first.owner.clone(), first.record_type);
        let held = taken.entry(owner).or_default();
        // RFC 1034 § 3.6.2: beside an alias there is nothing else. RFC 2181 § 5.2: a set is one object's.
        let alone = kind == RecordType::CNAME || held.contains(&RecordType::CNAME);
        if held.contains(&kind) || (alone && !held.is_empty()) {
            continue;
        }
        held.insert(kind);
        found.extend(records);
    }
    found
}

/// A set of records; nothing when one of its targets does not read, since half of a set is another answer.
fn read(record: &PublishedRecord, origin: &Name, usual_ttl_secs: u32) -> Option<Vec<Record>> {
    let ttl = record.ttl_secs.unwrap_or(usual_ttl_secs);
    let name = record.name.trim_end_matches('.');
    let kind = record.record_type.as_str();
    let mut records = Vec::new();
    for target in &record.targets {
        let safe = |text: &str| !text.contains(['\n', '\r', ';', '$']);
        if !safe(target) || !safe(name) || !safe(kind) {
            return None;
        }
        let data = match kind {
            // As ExternalDNS has them: names without the root's dot.
            "CNAME" | "NS" | "PTR" => format!("{}.", target.trim_end_matches('.')),
            "TXT" if !target.starts_with('"') => format!("\"{}\"", target.replace('"', "\\\"")),
            _ => target.clone(),
        };
        let line = format!("{name}. {ttl} {kind} {data}\n");
        let read = dns::read_records(&line, origin, ttl).ok()?;
        records.extend(read);
    }
    let fits = |it: &Record| {
        let apart = [RecordType::SOA, RecordType::DNAME];
        it.owner.is_within(origin) && !apart.contains(&it.record_type)
    };
    records.iter().all(fits).then_some(records)
}
