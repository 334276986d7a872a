//! The table of names: found, shared between snapshots, and gone when released.

use super::*;
use crate::address::Address;
use crate::snapshot::{Snapshot, SnapshotBuilder};
use crate::view::ViewTable;
use crate::zone::Zone;
use crate::{Answer, Choice, Content, Freshness, RecordType, Soa, Steered, SteeredRecords};

fn name(text: &str) -> Name {
    Name::parse(text).unwrap()
}

fn steered(views: &Arc<ViewTable>, last: u8) -> Steered {
    let content = Content::Addresses(vec![[192, 0, 2, last].into()]);
    let choice = Choice::One(Answer {
        ttl_secs: 20,
        content,
    });
    Steered {
        views: Arc::clone(views),
        records: vec![SteeredRecords::per_view(RecordType::A, [choice])],
        freshness: Freshness::Fresh,
    }
}

fn snapshot(count: usize) -> Snapshot {
    let soa = Soa {
        primary: name("ns.example.org"),
        mailbox: name("host.example.org"),
        serial: 1,
        refresh_secs: 1,
        retry_secs: 1,
        expire_secs: 1,
        minimum_secs: 1,
    };
    let mut builder = SnapshotBuilder::new();
    builder
        .zone(&Zone::new(
            name("example.org"),
            60,
            &soa,
            &[name("ns.example.org")],
        ))
        .unwrap();
    let views = Arc::new(ViewTable::uniform());
    for index in 0..count {
        builder
            .steer(&name(&format!("n{index}.example.org")), &steered(&views, 1))
            .unwrap();
    }
    builder.build(1)
}

#[test]
fn every_name_is_found_and_no_other() {
    let names = snapshot(1000).names;
    assert_eq!(names.len(), 1001);
    for index in 0..1000 {
        let wanted = name(&format!("n{index}.example.org"));
        assert_eq!(names.get(wanted.wire()).unwrap().name, wanted);
    }
    for other in ["n1000.example.org", "x.n1.example.org", "org", "."] {
        assert!(names.get(name(other).wire()).is_none());
    }
    assert_eq!(names.iter().count(), 1001);
}

#[test]
fn a_change_of_one_name_shares_all_other_shards_and_all_other_nodes() {
    let before = snapshot(1000);
    let mut builder = SnapshotBuilder::from(&before);
    let changed = name("n7.example.org");
    builder
        .steer(&changed, &steered(&Arc::new(ViewTable::uniform()), 2))
        .unwrap();
    let after = builder.build(2);
    let pairs = before.names.shards.iter().zip(&after.names.shards);
    assert_eq!(pairs.filter(|(old, new)| !Arc::ptr_eq(old, new)).count(), 1);
    let same = |node: &&Arc<Node>| Arc::ptr_eq(before.names.get(node.name.wire()).unwrap(), node);
    assert_eq!(after.names.iter().filter(same).count(), 1000);
    // The snapshot before is as it was.
    let pick = |snapshot: &Snapshot| {
        let node = Arc::clone(snapshot.names.get(changed.wire()).unwrap());
        let steering = node.steered.clone().unwrap();
        format!("{:?}", steering.sets[0].1.pick(0, Address::v4(0), 0).0)
    };
    assert_ne!(pick(&before), pick(&after));
}

#[test]
fn equal_answers_of_many_names_are_kept_once() {
    let snapshot = snapshot(50);
    let mut encoded = snapshot.names.iter().filter_map(|node| {
        let steering = node.steered.as_ref()?;
        match steering.sets[0].1.pick(0, Address::v4(0), 0).0 {
            crate::choice::Pick::Records(encoded) => Some(Arc::as_ptr(encoded)),
            _ => None,
        }
    });
    let first = encoded.next().unwrap();
    assert!(encoded.all(|other| other == first));
}

#[test]
fn names_between_a_released_name_and_its_zone_go_with_it() {
    let before = snapshot(0);
    let mut builder = SnapshotBuilder::from(&before);
    let deep = name("*.a.b.c.example.org");
    builder
        .steer(&deep, &steered(&Arc::new(ViewTable::uniform()), 1))
        .unwrap();
    let with = builder.build(2);
    assert_eq!(with.name_count(), before.name_count() + 4);
    assert!(
        with.names
            .get(name("a.b.c.example.org").wire())
            .unwrap()
            .has_wildcard
    );
    let mut builder = SnapshotBuilder::from(&with);
    builder.release(&deep);
    assert_eq!(builder.build(3).name_count(), before.name_count());
}
