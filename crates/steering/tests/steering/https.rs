//! Steered HTTPS records: their hints are the addresses that the client is steered to, and follow
//! health as these do.

use crate::harness::*;
use dns::{Client, RecordType, Secrets, Server, Transport};
use hickory_proto::op::Message;
use meridian_steering::*;

fn https() -> ServiceSpec {
    ServiceSpec {
        https: Some(HttpsSpec {
            alpn: vec!["h3".into(), "h2".into()],
            port: None,
        }),
        ..service()
    }
}

/// The HTTPS records of an answer, as hickory reads them.
fn records(replica: &Replica, client: &str, entropy: u64) -> Vec<String> {
    let mut query = vec![0, 1, 0, 0, 0, 1, 0, 0, 0, 0, 0, 0];
    let name = dns::Name::parse("shop.example.org").expect("a name");
    query.extend(name.wire());
    query.extend(RecordType::HTTPS.0.to_be_bytes());
    query.extend([0, 1]);
    let client = Client {
        source: client.parse().expect("an address"),
        transport: Transport::Udp,
        now_secs: 0,
        entropy,
    };
    let server = Server::from(Secrets {
        current: [0; 16],
        other: None,
    });
    let mut out = [0; 1232];
    let reply = dns::answer(&replica.snapshot, &query, &client, &server, &mut out);
    let message = Message::from_vec(&out[..reply.len]).expect("it parses");
    let records = message.answers.iter();
    records
        .map(|it| format!("{} {}", it.record_type(), it.data))
        .collect()
}

#[test]
fn hints_are_the_addresses_of_the_nearest_and_follow_health() {
    let mut replica = Replica::with(https(), three());
    let hint = |ip: &str| format!("HTTPS 1 . alpn=h3,h2 ipv4hint={ip}");
    let plain = |records: Vec<String>| -> Vec<String> {
        // hickory ends lists with a comma.
        let ends = records.iter().map(|it| it.trim_end_matches([',', ' ']));
        ends.map(|it| it.replace(", ", " ")).collect()
    };
    assert_eq!(plain(records(&replica, BERLIN, 0)), [hint(F)]);
    replica.rounds(5, &[F]);
    let ends = [0, u64::MAX].map(|entropy| plain(records(&replica, BERLIN, entropy)));
    assert_eq!(ends, [vec![hint(A)], vec![hint(B)]]);
    assert_eq!(replica.addresses(BERLIN), [A, B]);
}

#[test]
fn both_families_of_a_cluster_are_in_one_record_and_a_port_is_told() {
    let spec = ServiceSpec {
        https: Some(HttpsSpec {
            alpn: vec!["h2".into()],
            port: Some(8443),
        }),
        ..https()
    };
    let endpoints = vec![
        endpoint("frankfurt", F, 1),
        endpoint("frankfurt", "2001:db8::1", 1),
    ];
    let replica = Replica::with(spec, endpoints);
    let told = records(&replica, BERLIN, 0).join(" ");
    for part in ["8443", F, "2001:db8::1", "h2"] {
        assert!(told.contains(part), "{part} in {told}");
    }
    assert_eq!(records(&replica, BERLIN, 0).len(), 1);
}

#[test]
fn a_hostname_is_an_alias_and_without_https_there_is_none() {
    let endpoints = || vec![endpoint("frankfurt", "lb.example.net", 1)];
    let replica = Replica::with(https(), endpoints());
    assert_eq!(records(&replica, BERLIN, 0), ["CNAME lb.example.net."]);
    let replica = Replica::with(service(), three());
    assert_eq!(records(&replica, BERLIN, 0), [""; 0]);
}

#[test]
fn nothing_healthy_has_no_hints_and_a_last_resort_has_its_own() {
    let no_data = ServiceSpec {
        when_all_down: WhenAllDown::NoData,
        ..https()
    };
    let mut replica = Replica::with(no_data, three());
    replica.rounds(5, &[A, B, F]);
    assert_eq!(records(&replica, BERLIN, 0), [""; 0]);
    let resort = ServiceSpec {
        when_all_down: WhenAllDown::Address(vec!["192.0.2.99".parse().expect("an address")]),
        ..https()
    };
    let mut replica = Replica::with(resort, three());
    replica.rounds(5, &[A, B, F]);
    assert!(records(&replica, BERLIN, 0)[0].contains("192.0.2.99"));
}
