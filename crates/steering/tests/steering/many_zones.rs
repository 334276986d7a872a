//! Many zones at once: every name is answered, and a change of one zone is of that zone alone.

use crate::harness::*;
use hickory_proto::rr::RecordType;
use meridian_steering::*;
use model::ObjectKey;
use std::fmt::Write as _;

const ZONES: usize = 400;
const NAMES: usize = 50;

fn many(at: usize, edition: u8) -> Event {
    let mut records = String::new();
    for name in 0..NAMES {
        let _ = writeln!(records, "name{name} A {}", address(at, name, edition));
    }
    Event::ZoneApplied(Box::new(ZoneSpec {
        key: ObjectKey::new("meridian", &format!("zone-{at}")),
        domain: format!("zone{at}.example"),
        name_servers: vec![NameServer {
            name: format!("ns.zone{at}.example"),
            addresses: Vec::new(),
        }],
        records,
        ..zone()
    }))
}

fn address(zone: usize, name: usize, edition: u8) -> String {
    format!("10.{edition}.{}.{}", zone % 256, name + 50 * (zone / 256))
}

/// The names of a zone that are not answered as this edition of it says.
fn wrong(replica: &Replica, zone: usize, edition: u8) -> usize {
    let names = 0..NAMES;
    let right = names.filter(|&name| {
        let host = format!("name{name}.zone{zone}.example");
        let got = replica.ask_for(&host, RecordType::A, BERLIN);
        got.data.into_iter().eq([address(zone, name, edition)])
    });
    NAMES - right.count()
}

#[test]
fn of_four_hundred_zones_each_name_is_answered_and_one_that_changes_changes_no_other() {
    let mut replica = Replica::empty("replica-1");
    replica.tell((0..ZONES).map(|at| many(at, 1)));
    let service = ServiceSpec {
        hosts: vec!["zone7.example".into(), "shop.zone7.example".into()],
        ..service()
    };
    replica.tell([Event::ServiceApplied(Box::new(service)), endpoints(three())]);
    replica.tell([Event::Synced]);
    replica.round(&[]);
    // Each has its origin besides, and one has a host; a name server without addresses is no name.
    assert_eq!(replica.snapshot.name_count(), ZONES * (NAMES + 1) + 1);
    for zone in (0..ZONES).step_by(40) {
        assert_eq!(wrong(&replica, zone, 1), 0, "zone {zone}");
    }
    let before = replica.published;
    replica.tell([many(7, 2)]);
    assert_eq!(replica.published, before + 1);
    let editions = [6, 7, 8].map(|zone| wrong(&replica, zone, if zone == 7 { 2 } else { 1 }));
    assert_eq!(editions, [0; 3]);
    let steered = |host| {
        replica
            .ask_for(host, RecordType::A, BERLIN)
            .data
            .into_iter()
    };
    assert!(steered("shop.zone7.example").eq([A, B, F].map(str::to_owned)));
    assert!(steered("zone7.example").eq([A, B, F].map(str::to_owned)));
    let gone = ObjectKey::new("meridian", "zone-7");
    replica.tell([Event::ZoneDeleted(gone)]);
    let code = |host: &str| replica.ask_for(host, RecordType::A, BERLIN).code;
    assert_eq!(
        [code("zone7.example"), code("name1.zone8.example")],
        ["Refused", "NoError"]
    );
    assert_eq!(replica.snapshot.name_count(), (ZONES - 1) * (NAMES + 1));
}
