//! Records that DNSEndpoints ask for: where they are served, and what goes before them.

use crate::harness::*;
use hickory_proto::rr::RecordType;
use meridian_steering::*;
use model::ObjectKey;

const CLIENT: &str = "192.0.2.200";

fn records(key: ObjectKey, sets: &[(&str, &str, &[&str])]) -> Event {
    let records = sets
        .iter()
        .map(|(name, record_type, targets)| PublishedRecord {
            name: (*name).to_owned(),
            record_type: (*record_type).to_owned(),
            ttl_secs: Some(180),
            targets: targets.iter().map(|it| (*it).to_owned()).collect(),
        })
        .collect();
    Event::RecordsApplied(Box::new(PublishedRecords { key, records }))
}

fn addresses(replica: &Replica, host: &str) -> Vec<String> {
    let got = replica.ask_for(host, RecordType::A, CLIENT);
    got.data.into_iter().collect()
}

#[test]
fn records_are_served_from_the_zone_that_allows_their_namespace_until_they_go() {
    let mut replica = Replica::with(service(), three());
    let sets: &[(&str, &str, &[&str])] = &[
        (
            "web.shop.test.svc.example.org",
            "A",
            &["192.0.2.1", "192.0.2.2"],
        ),
        ("web.shop.test.svc.example.org", "AAAA", &["2001:db8::1"]),
        ("out.example.com", "A", &["192.0.2.3"]),
    ];
    replica.tell([records(key("web"), sets)]);
    let web = "web.shop.test.svc.example.org";
    assert_eq!(addresses(&replica, web), ["192.0.2.1", "192.0.2.2"]);
    let of_v6 = replica.ask_for(web, RecordType::AAAA, CLIENT);
    assert_eq!(Vec::from_iter(of_v6.data), ["2001:db8::1"]);
    assert_eq!(of_v6.ttl, Some(180));
    let elsewhere = ObjectKey::new("elsewhere", "web");
    replica.tell([records(
        elsewhere,
        &[("other.example.org", "A", &["192.0.2.4"])],
    )]);
    assert!(
        addresses(&replica, "other.example.org").is_empty(),
        "its namespace may not"
    );
    replica.tell([Event::RecordsDeleted(key("web"))]);
    assert!(addresses(&replica, web).is_empty());
}

#[test]
fn what_a_zone_or_a_service_says_goes_before_and_wrong_records_hurt_nobody() {
    let mut replica = Replica::with(service(), three());
    let before = addresses(&replica, "shop.example.org");
    replica.tell([records(
        key("a"),
        &[
            ("mail.example.org", "A", &["192.0.2.99"]),
            ("www.example.org", "A", &["192.0.2.99"]),
            ("shop.example.org", "A", &["192.0.2.99"]),
            ("bad.example.org", "A", &["nonsense"]),
            ("worse.example.org", "A\nevil", &["192.0.2.99"]),
            ("example.org", "SOA", &["a. b. 1 2 3 4 5"]),
            ("good.example.org", "A", &["192.0.2.5"]),
        ],
    )]);
    assert_eq!(addresses(&replica, "mail.example.org"), ["192.0.2.25"]);
    assert_eq!(addresses(&replica, "shop.example.org"), before);
    assert_eq!(addresses(&replica, "good.example.org"), ["192.0.2.5"]);
    for wrong in ["bad.example.org", "worse.example.org", "evil.example.org"] {
        assert!(addresses(&replica, wrong).is_empty(), "{wrong}");
    }
    // Of two objects that say different things of one name, the first is heard.
    replica.tell([records(
        key("b"),
        &[("good.example.org", "A", &["192.0.2.6"])],
    )]);
    assert_eq!(addresses(&replica, "good.example.org"), ["192.0.2.5"]);
}

#[test]
fn a_restart_without_the_host_serves_them_and_what_no_list_names_afterwards_is_gone() {
    let mut replica = Replica::with(service(), three());
    replica.tell([records(
        key("a"),
        &[("good.example.org", "A", &["192.0.2.5"])],
    )]);
    let checkpoint = replica.engine.checkpoint(replica.now);
    let restored = Engine::restore(options("again"), checkpoint, replica.now);
    let (engine, effects) = restored.expect("it is of this version");
    let mut again = Replica::from_engine(engine);
    again.now = replica.now;
    again.take(effects);
    assert_eq!(addresses(&again, "good.example.org"), ["192.0.2.5"]);
    let mut all = world(service(), three());
    all.push(Event::Synced);
    again.tell(all);
    assert!(addresses(&again, "good.example.org").is_empty());
}

#[test]
fn a_record_moves_the_serial_that_secondaries_wait_for() {
    let mut replica = Replica::with(service(), three());
    let digest = |replica: &Replica| replica.zones[&zone().key].digest;
    let before = digest(&replica);
    replica.tell([records(
        key("a"),
        &[("good.example.org", "A", &["192.0.2.5"])],
    )]);
    assert_ne!(digest(&replica), before);
}
