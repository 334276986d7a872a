//! Steered HTTPS and SVCB records: their hints are the addresses that the client is steered to, and follow
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

/// The HTTPS records of the host, as hickory reads them.
fn records(replica: &Replica, client: &str, entropy: u64) -> Vec<String> {
    let of = ("shop.example.org", RecordType::HTTPS);
    records_of(replica, of, client, entropy)
}

/// The records of an answer, as hickory reads them.
fn records_of(
    replica: &Replica,
    (name, record_type): (&str, RecordType),
    client: &str,
    entropy: u64,
) -> Vec<String> {
    let message = answer(replica, name, record_type, client, entropy);
    let records = message.answers.iter();
    records
        .map(|it| format!("{} {}", it.record_type(), it.data))
        .collect()
}

fn answer(
    replica: &Replica,
    name: &str,
    record_type: RecordType,
    client: &str,
    entropy: u64,
) -> Message {
    let mut query = vec![0, 1, 0, 0, 0, 1, 0, 0, 0, 0, 0, 0];
    let name = dns::Name::parse(name).expect("a name");
    query.extend(name.wire());
    query.extend(record_type.0.to_be_bytes());
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
    Message::from_vec(&out[..reply.len]).expect("it parses")
}

/// Without the commas that hickory ends lists with.
fn plain(records: Vec<String>) -> Vec<String> {
    let ends = records.iter().map(|it| it.trim_end_matches([',', ' ']));
    ends.map(|it| it.replace(", ", " ")).collect()
}

#[test]
fn hints_are_the_addresses_of_the_nearest_and_follow_health() {
    let mut replica = Replica::with(https(), three());
    let hint = |ip: &str| format!("HTTPS 1 . alpn=h3,h2 ipv4hint={ip}");
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

const OTHER_PORT: (&str, RecordType) = ("_8443._https.shop.example.org", RecordType::HTTPS);
const RESOLVER: (&str, RecordType) = ("_dns.shop.example.org", RecordType::SVCB);

fn binding(prefix: &str, alpn: &[&str]) -> SvcbSpec {
    SvcbSpec {
        prefix: prefix.into(),
        alpn: alpn.iter().map(|&it| it.into()).collect(),
        port: None,
        doh_path: None,
    }
}

/// HTTPS on another port, and DNS.
fn prefixed() -> ServiceSpec {
    ServiceSpec {
        svcb: vec![
            binding("_8443._https", &["h2"]),
            SvcbSpec {
                port: Some(8530),
                doh_path: Some("/dns-query{?dns}".into()),
                ..binding("_dns", &["dot", "h2"])
            },
        ],
        ..service()
    }
}

#[test]
fn at_a_prefix_the_host_is_the_target_and_hints_follow_place_and_health() {
    let mut replica = Replica::with(prefixed(), three());
    let https = |ip: &str| format!("HTTPS 1 shop.example.org. alpn=h2 ipv4hint={ip}");
    let dns = |ip: &str| {
        format!(
            "SVCB 1 shop.example.org. alpn=dot,h2 port=8530 ipv4hint={ip} \
             unknown7=\"/dns-query{{?dns}}\""
        )
    };
    let ask =
        |replica: &Replica, of, client, entropy| plain(records_of(replica, of, client, entropy));
    assert_eq!(ask(&replica, OTHER_PORT, BERLIN, 0), [https(F)]);
    assert_eq!(ask(&replica, RESOLVER, BERLIN, 0), [dns(F)]);
    for (entropy, ip) in [(0, A), (u64::MAX, B)] {
        assert_eq!(ask(&replica, OTHER_PORT, BEIJING, entropy), [https(ip)]);
        assert_eq!(ask(&replica, RESOLVER, BEIJING, entropy), [dns(ip)]);
    }
    replica.rounds(5, &[F, B]);
    assert_eq!(ask(&replica, RESOLVER, BERLIN, u64::MAX), [dns(A)]);
    assert_eq!(records(&replica, BERLIN, 0), [""; 0], "nothing says https");
}

#[test]
fn at_a_prefix_a_hostname_is_the_target() {
    let endpoints = vec![endpoint("frankfurt", "lb.example.net", 1)];
    let replica = Replica::with(prefixed(), endpoints);
    let found = plain(records_of(&replica, OTHER_PORT, BERLIN, 0));
    assert_eq!(found, ["HTTPS 1 lb.example.net. alpn=h2"]);
}

#[test]
fn a_prefix_that_is_given_up_is_no_name_any_more_and_one_that_comes_is() {
    let mut replica = Replica::with(service(), three());
    let code = |replica: &Replica, (name, record_type)| {
        format!(
            "{:?}",
            answer(replica, name, record_type, BERLIN, 0).response_code
        )
    };
    let apply = |replica: &mut Replica, svcb| {
        let spec = ServiceSpec {
            svcb,
            generation: 2,
            ..service()
        };
        replica.tell([Event::ServiceApplied(Box::new(spec))]);
    };
    assert_eq!(code(&replica, RESOLVER), "NXDomain");
    apply(&mut replica, vec![binding("_dns", &["dot"])]);
    assert_eq!(records_of(&replica, RESOLVER, BERLIN, 0).len(), 1);
    apply(&mut replica, vec![binding("_imap", &["imap"])]);
    assert_eq!(code(&replica, RESOLVER), "NXDomain");
    let imap = ("_imap.shop.example.org", RecordType::SVCB);
    assert_eq!(records_of(&replica, imap, BERLIN, 0).len(), 1);
    apply(&mut replica, Vec::new());
    assert_eq!(code(&replica, imap), "NXDomain");
}

#[test]
fn a_name_at_a_prefix_that_somebody_has_stays_theirs() {
    let older = ServiceSpec {
        key: key("older"),
        hosts: vec!["_dns.shop.example.org".into()],
        ..service()
    };
    let mut replica = Replica::with(
        ServiceSpec {
            created_millis: 1,
            ..prefixed()
        },
        three(),
    );
    replica.tell([Event::ServiceApplied(Box::new(older))]);
    assert_eq!(records_of(&replica, RESOLVER, BERLIN, 0), [""; 0]);
    assert_eq!(records_of(&replica, OTHER_PORT, BERLIN, 0).len(), 1);
    let hosts = replica.status().hosts.iter();
    let refused = hosts.filter_map(|it| Some((it.host.as_str(), it.problem.clone()?)));
    let by = key("older");
    let expected = ("_dns.shop.example.org", HostProblem::Claimed { by });
    assert_eq!(refused.collect::<Vec<_>>(), [expected]);
    replica.tell([Event::ServiceDeleted(key("older"))]);
    assert_eq!(records_of(&replica, RESOLVER, BERLIN, 0).len(), 1);
}

#[test]
fn at_a_prefix_nothing_healthy_has_no_hints_and_a_last_resort_has_its_own() {
    let when = |when_all_down| {
        let spec = ServiceSpec {
            when_all_down,
            ..prefixed()
        };
        let mut replica = Replica::with(spec, three());
        replica.rounds(5, &[A, B, F]);
        records_of(&replica, RESOLVER, BERLIN, 0).join(" ")
    };
    assert_eq!(when(WhenAllDown::NoData), "");
    let resort = WhenAllDown::Address(vec!["192.0.2.99".parse().expect("an address")]);
    assert!(when(resort).contains("1 shop.example.org. alpn=dot,h2"));
}

#[test]
fn an_explanation_tells_what_is_said_at_a_prefix() {
    let replica = Replica::with(prefixed(), three());
    let question = Question {
        host: RESOLVER.0.into(),
        client: BERLIN.parse().expect("an address"),
        when_down: Vec::new(),
    };
    let told = replica.engine.explain(&question, replica.now);
    let told = told.expect("it is served");
    let types: Vec<&str> = told
        .answers
        .iter()
        .map(|it| it.record_type.as_str())
        .collect();
    assert_eq!(types, ["SVCB"]);
}

#[test]
fn bindings_that_nobody_could_use_are_refused() {
    let check = |svcb: SvcbSpec, host: &str, expected: &str| {
        let spec = ServiceSpec {
            hosts: vec![host.into()],
            svcb: vec![svcb],
            ..service()
        };
        let problems = spec.problems();
        let fields: Vec<&str> = problems.iter().map(|it| it.field.as_str()).collect();
        let fields = fields.join(" ");
        assert_eq!(fields, expected, "{:?} at {host}", spec.svcb);
    };
    let doh = |path: &str| SvcbSpec {
        doh_path: Some(path.into()),
        ..binding("_dns", &["h2"])
    };
    let host = "shop.example.org";
    for prefix in ["_8443._https", "_dns", "_853._dns", "_foo"] {
        check(binding(prefix, &["dot"]), host, "");
    }
    for prefix in [
        "_https",
        "_443._https",
        "_x._https",
        "_1._2._https",
        "dns",
        "_",
        "_a..b",
        "",
    ] {
        check(binding(prefix, &["x"]), host, "svcb[0].prefix");
    }
    for path in ["/dns-query{?dns}", "/{dns}", "/q{?a,dns}"] {
        check(doh(path), host, "");
    }
    for path in ["dns-query{?dns}", "/dns-query", "/{?dnsx}"] {
        check(doh(path), host, "svcb[0].dohPath");
    }
    check(binding("_dns", &["h3"]), host, "svcb[0].dohPath");
    check(binding("_dns", &["dot"]), "*.example.org", "svcb");
    let twice = ServiceSpec {
        svcb: vec![binding("_dns", &["dot"]), binding("_dns", &["doq"])],
        ..service()
    };
    assert_eq!(twice.problems()[0].field, "svcb[1].prefix");
}
