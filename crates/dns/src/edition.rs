//! A zone as its secondaries get it: all records under one serial, and what changed since earlier
//! serials (RFC 1995 § 5).

use std::cmp::Ordering;
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;

use ipnet::IpNet;

use crate::error::Error;
use crate::name::Name;
use crate::record::{Record, RecordType};

/// The most steps back that are kept: who is further behind gets the whole zone.
const CHANGES_MAX: usize = 64;
/// So many changed records are kept, however small the zone is.
const CHANGED_RECORDS_MIN: usize = 64;
/// The longest data of one record: it has a message to itself, with its names and a signature.
const DATA_BYTES_MAX: usize = 64_000;

/// A zone for its secondaries.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Transfer {
    /// Who may have it; nobody else may.
    pub secondaries: Vec<Secondary>,
    /// All of its records, the SOA among them, and what steered names answer by default.
    pub records: Vec<Record>,
}

/// Who may have a zone: it fulfils all that is given, and something is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Secondary {
    /// It asks from one of these.
    pub networks: Vec<IpNet>,
    /// It signs with this key (RFC 8945).
    pub key: Option<Name>,
    /// Where it is told of a new serial (RFC 1996).
    pub notify: Vec<SocketAddr>,
}

impl Secondary {
    /// Whether a query from `source`, signed with `key`, is this one's.
    fn is(&self, source: IpAddr, key: Option<&Name>) -> bool {
        let source = source.to_canonical();
        let placed = self
            .networks
            .iter()
            .any(|network| network.contains(&source));
        let anywhere = self.networks.is_empty() && self.key.is_some();
        (placed || anywhere) && (self.key.is_none() || self.key.as_ref() == key)
    }
}

/// A zone under one serial.
#[derive(Debug)]
pub(crate) struct Edition {
    pub(crate) secondaries: Vec<Secondary>,
    pub(crate) serial: u32,
    /// The SOA, alone: it stands first and last.
    pub(crate) start: Record,
    /// All other records, in order.
    pub(crate) records: Arc<[Record]>,
    /// From one serial to the next, the oldest first.
    pub(crate) changes: Vec<Arc<Change>>,
}

/// From one serial to the next.
#[derive(Debug)]
pub(crate) struct Change {
    /// The SOA before.
    pub(crate) from: Record,
    pub(crate) from_serial: u32,
    pub(crate) removed: Vec<Record>,
    /// The SOA after.
    pub(crate) to: Record,
    pub(crate) added: Vec<Record>,
}

impl Edition {
    /// The zone at `origin`, after `before`.
    pub(crate) fn new(
        origin: &Name,
        transfer: &Transfer,
        before: Option<&Self>,
    ) -> Result<Self, Error> {
        let (mut starts, mut records): (Vec<_>, Vec<_>) = transfer
            .records
            .iter()
            .cloned()
            .partition(|record| record.record_type == RecordType::SOA);
        let (Some(start), true) = (starts.pop(), starts.is_empty()) else {
            return Err(Error::Zone {
                origin: origin.clone(),
                problem: "a transfer has one SOA record".to_owned(),
            });
        };
        let serial = serial_of(&start).ok_or_else(|| Error::Zone {
            origin: origin.clone(),
            problem: "the data of its SOA record is malformed".to_owned(),
        })?;
        if let Some(long) = records.iter().find(|it| it.data.len() > DATA_BYTES_MAX) {
            return Err(Error::Zone {
                origin: origin.clone(),
                problem: format!("{} {} is too long", long.owner, long.record_type),
            });
        }
        normalize(&mut records);
        let mut changes = Vec::new();
        if let Some(before) = before {
            if before.serial == serial && before.start == start && *before.records == *records {
                changes.clone_from(&before.changes);
            } else if is_newer(serial, before.serial) {
                changes.clone_from(&before.changes);
                changes.push(Arc::new(Change::between(before, &start, &records)));
            }
        }
        forget(&mut changes, records.len());
        Ok(Self {
            secondaries: transfer.secondaries.clone(),
            serial,
            start,
            records: records.into(),
            changes,
        })
    }

    pub(crate) fn allows(&self, source: IpAddr, key: Option<&Name>) -> bool {
        self.secondaries.iter().any(|known| known.is(source, key))
    }

    /// The changes since `serial`, if they are all known.
    pub(crate) fn since(&self, serial: u32) -> Option<&[Arc<Change>]> {
        let first = self
            .changes
            .iter()
            .position(|it| it.from_serial == serial)?;
        Some(&self.changes[first..])
    }
}

impl Change {
    fn between(before: &Edition, start: &Record, records: &[Record]) -> Self {
        let (mut removed, mut added) = (Vec::new(), Vec::new());
        let (mut old, mut new) = (before.records.iter().peekable(), records.iter().peekable());
        loop {
            let order = match (old.peek(), new.peek()) {
                (None, None) => break,
                (Some(_), None) => Ordering::Less,
                (None, Some(_)) => Ordering::Greater,
                (Some(old), Some(new)) => order(old, new),
            };
            // Who is first in order and not in the other went, or came.
            if order.is_lt() {
                removed.extend(old.next().cloned());
            } else if order.is_gt() {
                added.extend(new.next().cloned());
            } else {
                old.next();
                new.next();
            }
        }
        Self {
            from: before.start.clone(),
            from_serial: before.serial,
            removed,
            to: start.clone(),
            added,
        }
    }

    fn len(&self) -> usize {
        self.removed.len() + self.added.len() + 2
    }
}

/// Whether a serial is after another (RFC 1982 § 3.2).
pub(crate) fn is_newer(serial: u32, than: u32) -> bool {
    serial != than && serial.wrapping_sub(than) < 1 << 31
}

/// The serial in an SOA's data: five numbers end it.
fn serial_of(start: &Record) -> Option<u32> {
    let numbers = start.data.len().checked_sub(20)?;
    let serial = start.data[numbers..].first_chunk()?;
    Some(u32::from_be_bytes(*serial))
}

/// Changes that are much more than the zone are worth nothing (RFC 1995 § 5).
fn forget(changes: &mut Vec<Arc<Change>>, records: usize) {
    let mut sum = 0;
    let kept = changes.iter().rev().take(CHANGES_MAX).take_while(|change| {
        sum += change.len();
        sum <= records + CHANGED_RECORDS_MIN
    });
    let kept = kept.count();
    changes.drain(..changes.len() - kept);
}

/// In order, each once, with one TTL for all records of a name and type (RFC 2181 § 5.2).
fn normalize(records: &mut Vec<Record>) {
    records.sort_by(order);
    records.dedup_by(|a, b| {
        let same = (&a.owner, a.record_type, &a.data) == (&b.owner, b.record_type, &b.data);
        if same {
            b.ttl_secs = b.ttl_secs.min(a.ttl_secs);
        }
        same
    });
    for set in records.chunk_by_mut(|a, b| a.owner == b.owner && a.record_type == b.record_type) {
        let ttl_secs = set.iter().map(|record| record.ttl_secs).min().unwrap_or(0);
        set.iter_mut().for_each(|record| record.ttl_secs = ttl_secs);
    }
}

fn order(a: &Record, b: &Record) -> Ordering {
    let of = |record: &'_ Record| (record.record_type, record.ttl_secs);
    a.owner
        .cmp(&b.owner)
        .then_with(|| a.record_type.cmp(&b.record_type))
        .then_with(|| a.data.cmp(&b.data))
        .then_with(|| of(a).cmp(&of(b)))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::zone_text::read_records;

    fn edition(serial: u32, text: &str, before: Option<&Edition>) -> Edition {
        let origin = Name::parse("example.org").unwrap();
        let text = format!("@ SOA ns host {serial} 2 3 4 5\n@ NS ns\n{text}");
        let transfer = Transfer {
            secondaries: Vec::new(),
            records: read_records(&text, &origin, 300).unwrap(),
        };
        Edition::new(&origin, &transfer, before).unwrap()
    }

    fn told(records: &[Record]) -> Vec<String> {
        let tell = |it: &Record| format!("{} {} {}", it.owner, it.ttl_secs, it.record_type);
        records.iter().map(tell).collect()
    }

    #[test]
    fn a_change_is_what_went_and_what_came() {
        let first = edition(
            1,
            "a A 192.0.2.1\nb A 192.0.2.2\nc A 192.0.2.3\nd A 192.0.2.4",
            None,
        );
        let text = "a A 192.0.2.1\nb 60 A 192.0.2.2\nd A 192.0.2.4\nd A 192.0.2.5";
        let second = edition(2, text, Some(&first));
        let [change] = second.since(1).unwrap() else {
            panic!("one")
        };
        assert_eq!(
            told(&change.removed),
            ["b.example.org. 300 A", "c.example.org. 300 A"]
        );
        assert_eq!(
            told(&change.added),
            ["b.example.org. 60 A", "d.example.org. 300 A"]
        );
        assert!(second.since(2).is_none());
        assert!(second.since(7).is_none());
    }

    #[test]
    fn changes_go_back_as_far_as_they_are_less_than_the_zone() {
        let text: String = (0..200).map(|i| format!("n{i} A 192.0.2.1\n")).collect();
        let mut newest = edition(1, &text, None);
        for serial in 2..102 {
            let changed = format!("{text}x A 192.0.2.{serial}\n");
            newest = edition(serial, &changed, Some(&newest));
        }
        assert_eq!(newest.since(101 - 64).map(<[_]>::len), Some(64));
        assert!(newest.since(101 - 65).is_none());
        let emptied = edition(102, "", Some(&newest));
        assert!(emptied.since(101).is_none());
    }

    #[test]
    fn a_serial_that_went_back_has_no_changes() {
        let first = edition(5, "a A 192.0.2.1", None);
        assert!(edition(4, "b A 192.0.2.1", Some(&first)).changes.is_empty());
    }

    #[test]
    fn serials_are_compared_as_rfc_1982_says() {
        assert!(is_newer(2, 1));
        assert!(is_newer(5, u32::MAX));
        assert!(!is_newer(1, 1));
        assert!(!is_newer(1, 2));
        assert!(!is_newer(u32::MAX, 5));
    }

    #[test]
    fn a_secondary_is_known_by_all_that_is_said_of_it() {
        let key = Name::parse("key").unwrap();
        let other = Name::parse("other").unwrap();
        let secondary = |networks: &[&str], key: Option<&Name>| Secondary {
            networks: networks.iter().map(|it| it.parse().unwrap()).collect(),
            key: key.cloned(),
            notify: Vec::new(),
        };
        let inside = "192.0.2.1".parse().unwrap();
        let outside = "198.51.100.1".parse().unwrap();
        let both = secondary(&["192.0.2.0/24"], Some(&key));
        assert!(both.is(inside, Some(&key)));
        assert!(!both.is(inside, None));
        assert!(!both.is(inside, Some(&other)));
        assert!(!both.is(outside, Some(&key)));
        let anywhere = secondary(&[], Some(&key));
        assert!(anywhere.is(outside, Some(&key)));
        let unsigned = secondary(&["192.0.2.0/24"], None);
        assert!(unsigned.is(inside, None));
        assert!(unsigned.is("::ffff:192.0.2.1".parse().unwrap(), None));
        assert!(!unsigned.is(outside, None));
        assert!(!secondary(&[], None).is(inside, None), "nothing is said");
    }
}
