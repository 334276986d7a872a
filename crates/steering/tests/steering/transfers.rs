//! Zones with secondaries: what they get, and when.

use crate::harness::*;
use dns::{Client, Secrets, Server, Transport};
use hickory_proto::{op::Message, rr::RecordType};
use meridian_steering::*;

fn secondary() -> SecondarySpec {
    SecondarySpec {
        networks: vec!["192.0.2.53/32".parse().expect("a network")],
        key: None,
        notify: Vec::new(),
    }
}

/// The zone as its leader writes it, with what the serial stands for.
fn numbered(replica: &Replica, serial: u32) -> Event {
    let zone = zone();
    let digest = replica.zones[&zone.key].told_digest();
    Event::ZoneApplied(Box::new(ZoneSpec {
        serial,
        digest: Some(digest),
        secondaries: vec![secondary()],
        ..zone
    }))
}

/// The zone as secondaries get it: name, type and data, but for the SOA its serial.
fn transferred(replica: &Replica) -> Vec<String> {
    let mut query = vec![0, 1, 0, 0, 0, 1, 0, 0, 0, 0, 0, 0];
    query.extend(b"\x07example\x03org\x00\x00\xfc\x00\x01");
    let client = Client {
        source: "192.0.2.53".parse().expect("an address"),
        transport: Transport::Tcp,
        now_secs: 0,
        entropy: 0,
    };
    let server = Server::from(Secrets {
        current: [0; 16],
        other: None,
    });
    let messages = dns::transfer(&replica.snapshot, &query, &client, &server);
    let records = messages.into_iter().flatten().flat_map(|message| {
        let message = Message::from_vec(&message).expect("it parses");
        message.answers.clone()
    });
    records
        .map(|record| match record.record_type() {
            RecordType::SOA => format!(
                "SOA {}",
                record.data.to_string().split(' ').nth(2).unwrap_or("")
            ),
            other => format!("{} {other} {}", record.name, record.data),
        })
        .collect()
}

fn with_secondaries(of: Vec<EndpointStatus>) -> Replica {
    let mut replica = Replica::with(service(), of);
    replica.tell([Event::ZoneApplied(Box::new(ZoneSpec {
        secondaries: vec![secondary()],
        ..zone()
    }))]);
    replica
}

#[test]
fn secondaries_hold_every_endpoint_once_the_serial_stands_for_them() {
    let mut replica = with_secondaries(three());
    assert_eq!(
        transferred(&replica),
        [""; 0],
        "no serial stands for it yet"
    );
    replica.tell([numbered(&replica, 7)]);
    let expected = [
        "SOA 7",
        "example.org. NS ns1.example.org.",
        "mail.example.org. A 192.0.2.25",
        "ns1.example.org. A 127.0.0.1",
        "shop.example.org. A 192.0.2.1",
        "shop.example.org. A 192.0.2.2",
        "shop.example.org. A 192.0.2.3",
        "www.example.org. CNAME shop.example.org.",
        "SOA 7",
    ];
    assert_eq!(transferred(&replica), expected);
}

#[test]
fn health_changes_nothing_that_secondaries_hold_and_endpoints_ask_for_another_serial() {
    let mut replica = with_secondaries(three());
    replica.tell([numbered(&replica, 7)]);
    let before = transferred(&replica);
    let digest = replica.zones[&zone().key].digest;
    replica.rounds(5, &[A]);
    assert_eq!(replica.standing(A), Standing::Down);
    assert_eq!(replica.zones[&zone().key].digest, digest);
    replica.tell([endpoints(vec![
        endpoint("beijing-a", A, 1),
        endpoint("beijing-b", "192.0.2.9", 1),
    ])]);
    assert_ne!(replica.zones[&zone().key].digest, digest);
    assert_eq!(transferred(&replica), before, "as the serial says");
    replica.tell([numbered(&replica, 8)]);
    let held: Vec<_> = transferred(&replica)
        .into_iter()
        .filter(|it| it.starts_with("shop"))
        .collect();
    assert_eq!(
        held,
        [
            "shop.example.org. A 192.0.2.1",
            "shop.example.org. A 192.0.2.9"
        ]
    );
}

#[test]
fn a_failover_gives_secondaries_its_first_branch_and_drained_clusters_leave() {
    let mut replica = with_secondaries(three());
    let policy = Policy::Failover(vec![
        branch("first", pool(&["beijing-a", "beijing-b"])),
        branch("second", pool(&["frankfurt"])),
    ]);
    replica.tell([Event::ServiceApplied(Box::new(ServiceSpec {
        policy,
        ..service()
    }))]);
    replica.tell([numbered(&replica, 7)]);
    let held = |replica: &Replica| -> Vec<String> {
        let all = transferred(replica).into_iter();
        all.filter(|it| it.starts_with("shop")).collect()
    };
    assert_eq!(
        held(&replica),
        [
            "shop.example.org. A 192.0.2.1",
            "shop.example.org. A 192.0.2.2"
        ]
    );
    replica.tell([cluster_that(
        "beijing-a",
        "cn-beijing",
        MemberApi::Ready,
        true,
    )]);
    replica.tell([numbered(&replica, 8)]);
    assert_eq!(held(&replica), ["shop.example.org. A 192.0.2.2"]);
}

#[test]
fn without_secondaries_nobody_gets_the_zone_and_endpoints_have_no_part_in_the_serial() {
    let mut replica = with_secondaries(three());
    replica.tell([numbered(&replica, 7)]);
    assert!(!transferred(&replica).is_empty());
    replica.tell([Event::ZoneApplied(Box::new(zone()))]);
    assert_eq!(transferred(&replica), [""; 0]);
    let digest = replica.zones[&zone().key].digest;
    replica.tell([endpoints(vec![endpoint("beijing-a", A, 1)])]);
    assert_eq!(replica.zones[&zone().key].digest, digest);
}

#[test]
fn secondaries_hold_bindings_with_hints_of_every_endpoint() {
    let spec = ServiceSpec {
        https: Some(HttpsSpec {
            alpn: vec!["h2".into()],
            port: None,
        }),
        svcb: vec![SvcbSpec {
            prefix: "_dns".into(),
            alpn: vec!["dot".into()],
            port: None,
            doh_path: None,
        }],
        ..service()
    };
    let mut replica = with_secondaries(three());
    replica.tell([Event::ServiceApplied(Box::new(spec))]);
    replica.tell([numbered(&replica, 7)]);
    let records = transferred(&replica);
    let bindings = records.iter().filter(|it| it.contains("alpn"));
    let bindings: Vec<String> = bindings.map(|it| it.replace(", ", " ")).collect();
    let hints = "ipv4hint=192.0.2.1,192.0.2.2,192.0.2.3";
    let expected = [
        format!("shop.example.org. HTTPS 1 . alpn=h2 {hints}"),
        format!("_dns.shop.example.org. SVCB 1 shop.example.org. alpn=dot {hints}"),
    ];
    let bindings: Vec<&str> = bindings
        .iter()
        .map(|it| it.trim_end_matches([',', ' ']))
        .collect();
    assert_eq!(bindings, expected);
}
