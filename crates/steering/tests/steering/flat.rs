//! Hosts that cannot be aliases, at a zone's origin and beside other records: they answer with the
//! addresses of hostnames.

use crate::harness::*;
use hickory_proto::rr::RecordType;
use meridian_steering::*;

type Words = std::result::Result<Found, String>;

const LB: &str = "lb.example.net";

/// A service at the zone's origin and below, of these endpoints.
fn at_origin(endpoints: Vec<EndpointStatus>) -> Replica {
    let spec = ServiceSpec {
        hosts: vec!["example.org".into(), "shop.example.org".into()],
        health_check: HealthCheck {
            probe: None,
            ..HealthCheck::default()
        },
        ..service()
    };
    Replica::with(spec, endpoints)
}

fn found(addresses: &[&str], ttl_secs: u32) -> Words {
    let addresses = addresses.iter().map(|it| it.parse().expect("an address"));
    Ok(Found {
        addresses: addresses.collect(),
        ttl_secs,
    })
}

fn said(hostname: &str, v4: Words, v6: Words) -> Event {
    Event::Resolved(Box::new(Resolved {
        hostname: hostname.into(),
        v4,
        v6,
    }))
}

fn failed(hostname: &str) -> Event {
    let why = || Err("SERVFAIL from 192.0.2.53".to_owned());
    said(hostname, why(), why())
}

#[test]
fn at_the_origin_a_hostname_is_its_addresses_and_below_an_alias() {
    let mut replica = at_origin(vec![endpoint("frankfurt", LB, 1)]);
    assert_eq!(replica.asked, [LB]);
    replica.tell([said(LB, found(&[F], 20), found(&["2001:db8::1"], 20))]);
    let got = replica.ask_for("example.org", RecordType::A, BERLIN);
    assert_eq!((got.code.as_str(), got.ttl), ("NoError", Some(20)));
    assert_eq!(got.data.into_iter().collect::<Vec<_>>(), [F]);
    let got = replica.ask_for("example.org", RecordType::AAAA, BERLIN);
    assert_eq!(got.data.into_iter().collect::<Vec<_>>(), ["2001:db8::1"]);
    assert_eq!(replica.addresses(BERLIN), ["lb.example.net."]);
    assert_eq!(replica.status().unresolved, Some(vec![]));
    assert!(replica.status().hosts.iter().all(|it| it.problem.is_none()));
}

#[test]
fn what_else_stands_at_the_origin_stays() {
    let mut replica = at_origin(vec![endpoint("frankfurt", LB, 1)]);
    let zone = ZoneSpec {
        records: "@ MX 10 mail\n@ TXT \"beside\"\nmail A 192.0.2.25\n".into(),
        ..zone()
    };
    replica.tell([Event::ZoneApplied(Box::new(zone))]);
    replica.tell([said(LB, found(&[F], 20), found(&[], 20))]);
    for (record_type, expected) in [
        (RecordType::SOA, "SOA"),
        (RecordType::NS, "NS"),
        (RecordType::MX, "MX"),
        (RecordType::TXT, "TXT"),
    ] {
        let got = replica.ask_for("example.org", record_type, BERLIN);
        let data: Vec<_> = got.data.into_iter().collect();
        assert!(data.len() == 1 && data[0].starts_with(expected), "{data:?}");
    }
    let got = replica.ask_for("example.org", RecordType::CNAME, BERLIN);
    assert_eq!(got.data.len(), 0, "no alias at the origin");
}

#[test]
fn beside_other_records_below_the_origin_no_alias_can_be_either() {
    let spec = ServiceSpec {
        health_check: HealthCheck {
            probe: None,
            ..HealthCheck::default()
        },
        ..service()
    };
    let mut replica = Replica::with(spec, vec![endpoint("frankfurt", LB, 1)]);
    assert_eq!(replica.addresses(BERLIN), ["lb.example.net."]);
    assert_eq!(replica.asked, [""; 0], "an alias needs no addresses");
    let zone = ZoneSpec {
        records: "shop MX 10 mail\nmail A 192.0.2.25\n".into(),
        ..zone()
    };
    replica.tell([Event::ZoneApplied(Box::new(zone))]);
    assert_eq!(replica.asked, [LB]);
    replica.tell([said(LB, found(&[F], 20), found(&[], 20))]);
    assert_eq!(replica.addresses(BERLIN), [F]);
    let got = replica.ask_for("shop.example.org", RecordType::MX, BERLIN);
    assert_eq!(got.data.len(), 1);
    replica.tell([Event::ZoneApplied(Box::new(crate::harness::zone()))]);
    assert_eq!(replica.addresses(BERLIN), ["lb.example.net."]);
}

#[test]
fn a_new_name_waits_for_the_first_word_and_what_never_resolved_leaves_its_part_to_others() {
    let endpoints = vec![endpoint("beijing-a", A, 3), endpoint("frankfurt", LB, 3)];
    let mut replica = at_origin(endpoints);
    let ask = |replica: &Replica| replica.ask_for("example.org", RecordType::A, BERLIN);
    assert_eq!(ask(&replica).code, "Refused", "nothing is published yet");
    replica.tell([failed(LB)]);
    assert_eq!(ask(&replica).data.into_iter().collect::<Vec<_>>(), [A]);
    let told = replica.status().unresolved.clone().expect("it applies");
    assert_eq!(told.len(), 1);
    assert_eq!(
        (told[0].hostname.as_str(), told[0].observer.as_str()),
        (LB, "replica-1")
    );
    assert!(told[0].why.contains("SERVFAIL from 192.0.2.53"));
    let report = replica.report.as_ref().expect("a report");
    assert_eq!(report.unresolved.keys().collect::<Vec<_>>(), [LB]);
    replica.asked.clear();
    replica.pass(5_000);
    assert_eq!(replica.asked, [LB], "it is asked again");
    replica.tell([said(LB, found(&[F], 60), found(&[], 60))]);
    assert_eq!(
        ask(&replica).data.into_iter().collect::<Vec<_>>(),
        [F],
        "the nearest"
    );
    assert_eq!(replica.status().unresolved, Some(vec![]));
}

#[test]
fn who_no_longer_waits_for_a_hostname_is_held_back_by_none() {
    let ask = |replica: &Replica| replica.ask_for("example.org", RecordType::A, BERLIN);
    let mut replica = at_origin(vec![endpoint("frankfurt", LB, 3)]);
    assert_eq!(ask(&replica).code, "Refused", "nothing is published yet");
    replica.tell([Event::Endpoints {
        service: key("shop"),
        endpoints: vec![endpoint("frankfurt", F, 3)],
    }]);
    assert_eq!(ask(&replica).data.into_iter().collect::<Vec<_>>(), [F]);

    // The same when its hosts can be aliases after all.
    let mut replica = at_origin(vec![endpoint("frankfurt", LB, 3)]);
    replica.tell([Event::ServiceApplied(Box::new(ServiceSpec {
        health_check: HealthCheck {
            probe: None,
            ..HealthCheck::default()
        },
        ..service()
    }))]);
    assert_eq!(replica.addresses(BERLIN), ["lb.example.net."]);
}

#[test]
fn without_any_word_a_name_is_published_in_time() {
    let mut replica = at_origin(vec![endpoint("frankfurt", LB, 3)]);
    replica.pass(10_000);
    let got = replica.ask_for("example.org", RecordType::A, BERLIN);
    assert_eq!((got.code.as_str(), got.extended), ("NoError", vec![22]));
    assert_eq!(replica.addresses(BERLIN), ["lb.example.net."]);
}

#[test]
fn addresses_go_on_as_stale_when_the_resolver_fails_and_over_a_restart() {
    let mut replica = at_origin(vec![endpoint("frankfurt", LB, 3)]);
    replica.tell([said(LB, found(&[F], 60), found(&[], 60))]);
    let ask = |replica: &Replica| replica.ask_for("example.org", RecordType::A, BERLIN);
    assert_eq!(
        (ask(&replica).ttl, ask(&replica).extended),
        (Some(60), vec![])
    );
    replica.pass(60_000);
    replica.tell([failed(LB)]);
    let got = ask(&replica);
    assert_eq!(got.data.iter().collect::<Vec<_>>(), [F]);
    assert_eq!(
        (got.ttl, got.extended),
        (Some(30), vec![3]),
        "RFC 8767, RFC 8914"
    );
    let checkpoint = replica.engine.checkpoint(replica.now);
    let (engine, effects) = Engine::restore(options("replica-1"), checkpoint, replica.now)
        .expect("it is of this version");
    let mut next = Replica::from_engine(engine);
    next.now = replica.now;
    next.take(effects);
    assert_eq!(ask(&next).data.iter().collect::<Vec<_>>(), [F]);
    assert_eq!(next.asked, [LB], "it is asked for at once");
}

#[test]
fn addresses_are_stale_when_no_word_comes_at_all() {
    let mut replica = at_origin(vec![endpoint("frankfurt", LB, 3)]);
    replica.tell([said(LB, found(&[F], 60), found(&[], 60))]);
    let ask = |replica: &Replica| replica.ask_for("example.org", RecordType::A, BERLIN);
    // It is asked for when the TTL is over, and given up half a minute later.
    replica.pass(89_000);
    assert_eq!(ask(&replica).extended, [0; 0]);
    replica.pass(1_000);
    let got = ask(&replica);
    assert_eq!(got.data.iter().collect::<Vec<_>>(), [F]);
    assert_eq!((got.ttl, got.extended), (Some(30), vec![3]));
    replica.tell([said(LB, found(&[F], 60), found(&[], 60))]);
    assert_eq!(
        (ask(&replica).ttl, ask(&replica).extended),
        (Some(60), vec![])
    );
}

#[test]
fn weights_hold_among_addresses_and_hostnames_and_all_answers_have_all_addresses() {
    let spec = ServiceSpec {
        hosts: vec!["example.org".into()],
        https: Some(HttpsSpec {
            alpn: vec!["h2".into()],
            port: None,
        }),
        health_check: HealthCheck {
            probe: None,
            ..HealthCheck::default()
        },
        policy: Policy::All(All::default()),
        ..service()
    };
    let endpoints = vec![endpoint("beijing-a", A, 3), endpoint("frankfurt", LB, 3)];
    let mut replica = Replica::with(spec, endpoints);
    replica.tell([said(LB, found(&[F, B], 60), found(&[], 60))]);
    let got = replica.ask_for("example.org", RecordType::A, BERLIN);
    assert_eq!(got.data.into_iter().collect::<Vec<_>>(), [A, B, F]);
    let got = replica.ask_for("example.org", RecordType::HTTPS, BERLIN);
    let hints = got.data.into_iter().collect::<Vec<_>>().join(" ");
    assert!([A, B, F].iter().any(|ip| hints.contains(ip)), "{hints}");
    assert!(!hints.contains("CNAME"), "{hints}");
}

#[test]
fn an_explanation_says_what_a_hostname_is() {
    let mut replica = at_origin(vec![endpoint("frankfurt", LB, 3)]);
    replica.tell([said(LB, found(&[F], 20), found(&[], 20))]);
    let question = Question {
        host: "example.org".into(),
        client: BERLIN.parse().expect("an address"),
        when_down: vec![],
    };
    let explained = replica.engine.explain(&question, replica.now);
    let text = explained.expect("it is served").to_string();
    assert!(text.contains("A     100 %  192.0.2.3"), "{text}");
    assert!(text.contains("lb.example.net is 192.0.2.3"), "{text}");
}
