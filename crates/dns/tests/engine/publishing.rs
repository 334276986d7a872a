//! Building a snapshot from the one before gives what building it anew gives, and shares.

use std::sync::Arc;

use meridian_dns::{
    Leaf, Name, Record, RecordType, Snapshot, SnapshotBuilder, Steered, SteeredRecords, ViewTable,
    Zone,
};
use proptest::prelude::*;

use crate::properties::{client, empty_zone, name, query, reply, steer};
use crate::reply::decode;

#[derive(Debug, Clone)]
enum Change {
    Steer(usize, u8),
    Release(usize),
    Zone(usize, Option<u8>),
}

const NAMES: [&str; 10] = [
    "a.z",
    "*.a.z",
    "b.c.d.z",
    "z",
    "x.sub.z",
    "c.d.z",
    "deep.x.sub.z",
    "y",
    "x.y",
    "e.static.d.y",
];
/// The last one stands alone.
const ORIGINS: [&str; 3] = ["z", "sub.z", "y"];

fn changes() -> impl Strategy<Value = Vec<Change>> {
    let change = prop_oneof![
        4 => (0..NAMES.len(), any::<u8>()).prop_map(|(at, byte)| Change::Steer(at, byte)),
        2 => (0..NAMES.len()).prop_map(Change::Release),
        1 => (0..ORIGINS.len(), prop::option::of(0u8..3))
            .prop_map(|(at, form)| Change::Zone(at, form)),
    ];
    prop::collection::vec(change, 0..25)
}

/// A zone in one of several forms: bare, with data at a name, with a delegation.
fn zone(origin: &str, form: u8) -> Zone {
    let mut zone = empty_zone(origin);
    let origin = zone.origin.clone();
    match form {
        1 => {
            let owner = origin.child("static.d").unwrap();
            zone.records
                .push(Record::address(owner, 300, [192, 0, 2, 1].into()));
        }
        2 => {
            let owner = origin.child("x").unwrap();
            zone.records.push(Record::name(
                owner,
                300,
                RecordType::NS,
                &name("ns.elsewhere."),
            ));
        }
        _ => {}
    }
    zone
}

fn probes() -> Vec<Name> {
    let others = [
        "nope.z",
        "q.a.z",
        "d.z",
        "static.d.z",
        "sub.z",
        "q.x.sub.z",
        "nope.y",
        "static.d.y",
        "d.y",
        "q.x.y",
        "x",
    ];
    NAMES.iter().chain(&others).map(|text| name(text)).collect()
}

fn answers(snapshot: &Snapshot) -> Vec<Vec<u8>> {
    let types = [RecordType::A, RecordType::TXT, RecordType::DS];
    let names = probes();
    let asked = names
        .iter()
        .flat_map(|name| types.map(|record_type| query(name, record_type)));
    asked
        .map(|query| reply(snapshot, &query, &client()))
        .collect()
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(100))]

    #[test]
    fn a_snapshot_built_from_the_one_before_equals_one_built_anew(changes in changes()) {
        let views = Arc::new(ViewTable::uniform());
        let mut zones: [Option<u8>; ORIGINS.len()] = [Some(0), None, None];
        let mut steered: [Option<u8>; NAMES.len()] = [None; NAMES.len()];
        let mut builder = SnapshotBuilder::new();
        builder.zone(&zone(ORIGINS[0], 0)).unwrap();
        let mut snapshot = builder.build(0);
        for change in changes {
            let mut builder = SnapshotBuilder::from(&snapshot);
            match change {
                Change::Steer(at, byte) => {
                    if builder.steer(&name(NAMES[at]), &steer(&views, byte)).is_ok() {
                        steered[at] = Some(byte);
                    }
                }
                Change::Release(at) => {
                    builder.release(&name(NAMES[at]));
                    steered[at] = None;
                }
                Change::Zone(at, Some(form)) => {
                    builder.zone(&zone(ORIGINS[at], form)).unwrap();
                    zones[at] = Some(form);
                }
                Change::Zone(at, None) => {
                    builder.remove_zone(&name(ORIGINS[at]));
                    zones[at] = None;
                }
            }
            snapshot = builder.build(snapshot.generation() + 1);
            let mut anew = SnapshotBuilder::new();
            for (origin, form) in ORIGINS.iter().zip(zones) {
                if let Some(form) = form {
                    anew.zone(&zone(origin, form)).unwrap();
                }
            }
            for (at, byte) in steered.iter_mut().enumerate() {
                if let Some(value) = *byte
                    && anew.steer(&name(NAMES[at]), &steer(&views, value)).is_err()
                {
                    // A zone that came later left no room: gone, as in the snapshot.
                    *byte = None;
                }
            }
            let anew = anew.build(9);
            prop_assert_eq!(snapshot.name_count(), anew.name_count());
            prop_assert_eq!(answers(&snapshot), answers(&anew));
        }
    }
}

/// Every address has view 1.
fn all<Bits>(bits: Bits) -> Leaf<Bits> {
    Leaf {
        bits,
        length: 0,
        view: 1,
    }
}

#[test]
fn each_name_has_the_view_of_its_own_table_whichever_came_last() {
    let first = Arc::new(ViewTable::uniform());
    let second = Arc::new(ViewTable::compile(&[all(0_u32)], &[all(0_u128)]).unwrap());
    let names = [("a.z", &first, 10), ("e.z", &second, 11)].map(|(text, views, byte)| {
        let choices = [10, 11].map(|byte| steer(views, byte).records[0].choices[0].clone());
        let records = vec![SteeredRecords::per_view(RecordType::A, choices)];
        let steered = Steered {
            records,
            ..steer(views, 0)
        };
        (name(text), steered, byte)
    });
    for last in [0, 1] {
        let mut builder = SnapshotBuilder::new();
        builder.zone(&zone(ORIGINS[0], 0)).unwrap();
        for at in [1 - last, last] {
            builder.steer(&names[at].0, &names[at].1).unwrap();
        }
        let snapshot = builder.build(1);
        for (name, _, byte) in &names {
            let mut ask = query(name, RecordType::A);
            // OPT with a client subnet, 198.51.100.0/24.
            ask[11] = 1;
            ask.extend([0, 0, 41, 4, 208, 0, 0, 0, 0, 0, 11]);
            ask.extend([0, 8, 0, 7, 0, 1, 24, 0, 198, 51, 100]);
            let decoded = decode(&reply(&snapshot, &ask, &client()));
            assert_eq!(
                decoded.answer[0].data,
                [192, 0, 2, *byte].into(),
                "{name}, {last} last"
            );
        }
    }
}
