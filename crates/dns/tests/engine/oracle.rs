//! RFC 1034 § 4.3.2 with RFC 4592 § 3.3, word by word over a list of records: slow, and with no
//! code of the engine's. What the engine answers is compared with it.

use std::collections::BTreeSet;

use meridian_dns::{Name, Record, RecordType, Zone};

/// What a question should give.
#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) struct Expected {
    pub(crate) rcode: u16,
    pub(crate) authoritative: bool,
    /// In the order of the chain, sorted within each set.
    pub(crate) answer: Vec<Record>,
    pub(crate) authority: Vec<Record>,
    /// Glue that is needed.
    pub(crate) additional: Vec<Record>,
}

/// Where the engine stops following aliases.
const CHAIN_MAX: usize = 16;
const NXDOMAIN: u16 = 3;
const REFUSED: u16 = 5;
const YXDOMAIN: u16 = 6;

/// The answer to a question, by looking at every record.
pub(crate) fn ask(zones: &[Zone], name: &Name, record_type: RecordType) -> Expected {
    let Some(zone) = zone_for(zones, name, record_type) else {
        return Expected {
            rcode: REFUSED,
            ..Expected::default()
        };
    };
    let mut expected = Expected {
        authoritative: true,
        ..Expected::default()
    };
    let mut name = name.clone();
    for hop in 0..=CHAIN_MAX {
        let ours = |other: &Zone| other.origin == zone.origin;
        if hop > 0 && !zone_for(zones, &name, record_type).is_some_and(ours) {
            break;
        }
        match step(zone, zones, &name, record_type, &mut expected) {
            Some(target) => name = target,
            None => break,
        }
    }
    if expected.answer.is_empty() && is_referral(&expected) {
        expected.authoritative = false;
    }
    expected
}

fn is_referral(expected: &Expected) -> bool {
    expected
        .authority
        .iter()
        .any(|record| record.record_type == RecordType::NS)
}

/// The longest match; for DS at its origin, what is above (RFC 4035 § 3.1.4.1).
fn zone_for<'z>(zones: &'z [Zone], name: &Name, record_type: RecordType) -> Option<&'z Zone> {
    let mut fitting: Vec<_> = zones
        .iter()
        .filter(|zone| name.is_within(&zone.origin))
        .collect();
    fitting.sort_by_key(|zone| zone.origin.label_count());
    match fitting.as_slice() {
        [.., above, zone] if record_type == RecordType::DS && zone.origin == *name => Some(above),
        [.., zone] => Some(zone),
        [] => None,
    }
}

/// One name of the chain; gives the next.
fn step(
    zone: &Zone,
    zones: &[Zone],
    name: &Name,
    record_type: RecordType,
    expected: &mut Expected,
) -> Option<Name> {
    let at = |owner: &Name, wanted: RecordType| -> Vec<Record> {
        let same = |record: &&Record| record.owner == *owner && record.record_type == wanted;
        zone.records.iter().filter(same).cloned().collect()
    };
    // Downwards from the origin: the first delegation or DNAME ends the way.
    let mut path: Vec<Name> = name
        .ancestry()
        .take_while(|above| above.is_within(&zone.origin))
        .collect();
    path.reverse();
    for above in &path {
        let servers = at(above, RecordType::NS);
        let is_cut = *above != zone.origin && !servers.is_empty();
        if is_cut && !(above == name && record_type == RecordType::DS) {
            expected.additional.extend(glue(zone, above, &servers));
            expected.authority.extend(servers);
            return None;
        }
        if is_cut {
            break;
        }
        let dname = at(above, RecordType::DNAME);
        if above != name && !dname.is_empty() {
            let target = Name::from_wire(&dname[0].data).unwrap();
            expected.answer.extend(dname.clone());
            return redirect(
                name,
                above,
                &target,
                dname[0].ttl_secs,
                record_type,
                expected,
            );
        }
    }
    let exists = |name: &Name| {
        zone.records
            .iter()
            .any(|record| record.owner.is_within(name))
            || zones.iter().any(|other| {
                other.origin.is_within(name)
                    && other.origin != zone.origin
                    && other.origin.is_within(&zone.origin)
            })
    };
    if exists(name) {
        return records(zone, name, name, record_type, expected);
    }
    let encloser = name.ancestry().find(|above| exists(above))?;
    let wildcard = encloser.child("*").ok()?;
    if exists(&wildcard) {
        return records(zone, &wildcard, name, record_type, expected);
    }
    expected.rcode = NXDOMAIN;
    expected.authority.push(negative(zone));
    None
}

/// The records at `source`, as `name`'s.
fn records(
    zone: &Zone,
    source: &Name,
    name: &Name,
    record_type: RecordType,
    expected: &mut Expected,
) -> Option<Name> {
    let here = zone.records.iter().filter(|record| record.owner == *source);
    let renamed = |record: &Record| Record {
        owner: name.clone(),
        ..record.clone()
    };
    let mut found: Vec<Record> = here
        .clone()
        .filter(|record| record.record_type == record_type)
        .map(renamed)
        .collect();
    if found.is_empty()
        && let Some(alias) = here
            .clone()
            .find(|record| record.record_type == RecordType::CNAME)
    {
        expected.answer.push(renamed(alias));
        return Name::from_wire(&alias.data).ok();
    }
    if found.is_empty() {
        expected.authority.push(negative(zone));
        return None;
    }
    found.sort_by(|a, b| a.data.cmp(&b.data));
    expected.answer.extend(found);
    None
}

fn redirect(
    name: &Name,
    above: &Name,
    target: &Name,
    ttl_secs: u32,
    record_type: RecordType,
    expected: &mut Expected,
) -> Option<Name> {
    let kept = name.wire().len() - above.wire().len();
    let made = [&name.wire()[..kept], target.wire()].concat();
    let Ok(made) = Name::from_wire(&made) else {
        expected.rcode = YXDOMAIN;
        return None;
    };
    let alias = Record::name(name.clone(), ttl_secs, RecordType::CNAME, &made);
    expected.answer.push(alias);
    Some(made).filter(|_| record_type != RecordType::CNAME)
}

/// Addresses below a delegation that its referral needs.
fn glue(zone: &Zone, cut: &Name, servers: &[Record]) -> Vec<Record> {
    let is_cut = |name: &Name| {
        *name != zone.origin
            && name.is_within(&zone.origin)
            && zone
                .records
                .iter()
                .any(|record| record.owner == *name && record.record_type == RecordType::NS)
    };
    let names: BTreeSet<Name> = servers
        .iter()
        .map(|record| Name::from_wire(&record.data).unwrap())
        .collect();
    let below = names
        .iter()
        .filter(|name| name.ancestry().any(|above| is_cut(&above)));
    let addresses = |name: &Name| -> Vec<Record> {
        let address = |record: &&Record| {
            record.owner == *name && matches!(record.record_type, RecordType::A | RecordType::AAAA)
        };
        zone.records.iter().filter(address).cloned().collect()
    };
    let _ = cut;
    below.flat_map(addresses).collect()
}

/// The SOA of negative answers (RFC 2308 § 5).
fn negative(zone: &Zone) -> Record {
    let soa = zone
        .records
        .iter()
        .find(|record| record.record_type == RecordType::SOA)
        .unwrap();
    let minimum = u32::from_be_bytes(*soa.data.last_chunk().unwrap());
    Record {
        ttl_secs: soa.ttl_secs.min(minimum),
        ..soa.clone()
    }
}
