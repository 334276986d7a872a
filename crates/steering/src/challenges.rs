//! Challenges of ACME (RFC 8555 § 8.4): TXT records that come and go by UPDATE, beside what zones say.

use crate::{engine::Engine, event::Effect, publish::Publisher, spec::ZoneSpec};
use dns::{Challenge, Name, Record, RecordType, SnapshotBuilder, Zone};
use serde::{Deserialize, Serialize};
use std::collections::{BTreeMap, BTreeSet};

/// All challenges, as the host keeps them.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct Challenges {
    /// Counts changes: replicas tell by it what they serve.
    pub revision: u64,
    /// By name, without a final dot.
    pub names: BTreeMap<String, ChallengeSpec>,
}

/// The TXT records of one name.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct ChallengeSpec {
    /// Their TTL in seconds.
    pub ttl_secs: u32,
    /// Each the one string of a record.
    pub values: BTreeSet<String>,
}

impl Challenges {
    /// As the DNS engine has them; what is no name is left out.
    pub fn read(&self) -> dns::Challenges {
        let named = self.names.iter().filter_map(|(name, it)| {
            let challenge = Challenge {
                ttl_secs: it.ttl_secs,
                values: it.values.clone(),
            };
            Some((Name::parse(name).ok()?, challenge))
        });
        named.collect()
    }

    /// These with the next revision.
    pub fn next(&self, challenges: &dns::Challenges) -> Self {
        let named = challenges.iter().map(|(name, it)| {
            let spec = ChallengeSpec {
                ttl_secs: it.ttl_secs,
                values: it.values.clone(),
            };
            (name.to_string().trim_end_matches('.').to_owned(), spec)
        });
        Self {
            revision: self.revision + 1,
            names: named.collect(),
        }
    }
}

impl Engine {
    /// Zones are compiled anew when these are others than before.
    pub(crate) fn keep(&mut self, challenges: Challenges) {
        self.marks.hosts |= self.challenges != challenges;
        self.challenges = challenges;
    }

    /// The least revision of all who are heard, when it is another than before: what an ACME client
    /// may rely on.
    pub(crate) fn challenges_served(&mut self, now: u64) -> Option<Effect> {
        let own = self.publisher.challenges_served();
        let others = self.world(now).challenges_heard();
        let served = others.map_or(own, |others| others.min(own));
        let before = std::mem::replace(&mut self.sent.challenges, served);
        (served != before).then_some(Effect::ChallengesServed(served))
    }
}

impl Publisher {
    /// The revision of the challenges that are served.
    pub(crate) fn challenges_served(&self) -> u64 {
        self.challenges_served
    }

    /// Says whose keys may change challenges.
    pub(crate) fn publish_updaters(&mut self, builder: &mut SnapshotBuilder) -> bool {
        let keys = |spec: &ZoneSpec| -> BTreeSet<Name> {
            let keys = spec.update_keys.iter();
            keys.filter_map(|key| Name::parse(key).ok()).collect()
        };
        let wanted = self.wanted.iter();
        let updaters: BTreeMap<_, _> = wanted
            .filter(|(_, (spec, _))| !spec.update_keys.is_empty())
            .map(|(origin, (spec, _))| (origin.clone(), keys(spec)))
            .collect();
        let changed = updaters != self.updaters;
        if changed {
            builder.updaters(updaters.clone());
            self.updaters = updaters;
        }
        changed
    }
}

/// The zones, of all origins, that challenges belong to.
pub(crate) fn origins(challenges: &dns::Challenges, origins: &BTreeSet<Name>) -> BTreeSet<Name> {
    let longest = |name: &Name| name.ancestry().find(|above| origins.contains(above));
    challenges.keys().filter_map(longest).collect()
}

/// Adds to a zone the challenges whose longest zone, of all origins, it is. Where the zone says that a
/// name is an alias there is none (RFC 2136 § 3.4.2.2).
pub(crate) fn add(zone: &mut Zone, challenges: &dns::Challenges, origins: &BTreeSet<Name>) {
    let of_zone = |name: &Name| {
        let longest = name.ancestry().find(|above| origins.contains(above));
        longest.as_ref() == Some(&zone.origin)
    };
    let is_alias = |name: &Name| {
        let mut records = zone.records.iter();
        records.any(|it| it.owner == *name && it.record_type == RecordType::CNAME)
    };
    let mine = challenges
        .iter()
        .filter(|(name, _)| of_zone(name) && !is_alias(name));
    let records: Vec<Record> = mine
        .flat_map(|(name, it)| it.values.iter().map(|value| record(name, it, value)))
        .collect();
    zone.records.extend(records);
}

/// The records of a zone that are challenges, or stand where these do.
pub(crate) fn of(zone: &Zone) -> impl Iterator<Item = &Record> {
    zone.records.iter().filter(|it| {
        let label = it.owner.labels().next();
        it.record_type == RecordType::TXT && label == Some(b"_acme-challenge")
    })
}

fn record(name: &Name, challenge: &Challenge, value: &str) -> Record {
    // A string has at most 255 bytes (RFC 1035 § 3.3); none longer is kept.
    let bytes = &value.as_bytes()[..value.len().min(255)];
    let mut data = vec![bytes.len() as u8];
    data.extend(bytes);
    Record::new(name.clone(), challenge.ttl_secs, RecordType::TXT, data)
}
