//! Hosts and zones: who may have which name, and what is said when not.

use crate::harness::*;
use hickory_proto::rr::RecordType;
use meridian_steering::*;
use model::ObjectKey;

fn named(name: &str, created_millis: u64, hosts: &[&str]) -> ServiceSpec {
    ServiceSpec {
        key: key(name),
        created_millis,
        hosts: hosts.iter().map(|&host| host.to_owned()).collect(),
        ..service()
    }
}

fn problem(replica: &Replica, name: &str) -> String {
    let host = &replica.services[&key(name)].hosts[0];
    host.problem
        .as_ref()
        .map(HostProblem::to_string)
        .unwrap_or_default()
}

#[test]
fn static_records_are_served_beside_steered_names() {
    let replica = Replica::with(service(), three());
    let got = replica.ask_for("mail.example.org", RecordType::A, BERLIN);
    assert_eq!(got.data.into_iter().collect::<Vec<_>>(), ["192.0.2.25"]);
    let got = replica.ask_for("ns1.example.org", RecordType::A, BERLIN);
    assert_eq!(got.data.into_iter().collect::<Vec<_>>(), ["127.0.0.1"]);
    let got = replica.ask_for("www.example.org", RecordType::A, BERLIN);
    assert_eq!(
        got.data.into_iter().collect::<Vec<_>>(),
        [F, "shop.example.org."]
    );
    assert_eq!(
        replica
            .ask_for("no.example.org", RecordType::A, BERLIN)
            .code,
        "NXDomain"
    );
}

#[test]
fn a_host_outside_every_zone_is_refused_with_the_zones_that_exist() {
    let mut replica = Replica::with(service(), three());
    replica.tell([Event::ServiceApplied(Box::new(named(
        "other",
        1,
        &["shop.example.com"],
    )))]);
    assert_eq!(
        problem(&replica, "other"),
        "no zone holds this host; the zones are example.org"
    );
    assert_eq!(replica.addresses(BERLIN), [F]);
}

#[test]
fn a_namespace_that_the_zone_does_not_allow_is_refused() {
    let mut replica = Replica::with(service(), three());
    let mut foreign = named("other", 1, &["other.example.org"]);
    foreign.key = ObjectKey::new("bank", "other");
    replica.tell([Event::ServiceApplied(Box::new(foreign.clone()))]);
    let host = &replica.services[&foreign.key].hosts[0];
    assert_eq!(
        host.problem.as_ref().map(HostProblem::to_string).unwrap(),
        "zone example.org does not allow it; allowedNamespaces has shop"
    );
    // What is granted are names, not the zone.
    for (names, served) in [
        ("*.bank.example.org", false),
        ("another.example.org", false),
        ("other.example.org", true),
        ("*.example.org", true),
    ] {
        let mut open = zone();
        open.allowed_namespaces.push(NamespaceGrant {
            namespace: "bank".into(),
            names: vec![names.into()],
        });
        replica.tell([Event::ZoneApplied(Box::new(open))]);
        let problem = &replica.services[&foreign.key].hosts[0].problem;
        assert_eq!(problem.is_none(), served, "{names}: {problem:?}");
    }
}

#[test]
fn of_two_services_that_claim_a_host_the_older_has_it() {
    let mut replica = Replica::with(named("shop", 5, &["shop.example.org"]), three());
    let newer = named("newer", 6, &["SHOP.example.org."]);
    replica.tell([Event::ServiceApplied(Box::new(newer))]);
    assert_eq!(
        problem(&replica, "newer"),
        "the older GlobalService shop/shop has this host"
    );
    assert_eq!(replica.addresses(BERLIN), [F]);
    let older = named("older", 4, &["shop.example.org"]);
    replica.tell([
        Event::ServiceApplied(Box::new(older)),
        Event::Endpoints {
            service: key("older"),
            endpoints: vec![endpoint("frankfurt", "192.0.2.50", 1)],
        },
    ]);
    replica.round(&[]);
    assert_eq!(replica.addresses(BERLIN), ["192.0.2.50"]);
    replica.tell([Event::ServiceDeleted(key("older"))]);
    assert_eq!(replica.addresses(BERLIN), [F]);
}

#[test]
fn a_static_record_in_the_way_is_named_and_its_going_makes_room() {
    let mut replica = Replica::with(named("shop", 0, &["mail.example.org"]), three());
    assert!(
        problem(&replica, "shop").contains("static A records"),
        "{}",
        problem(&replica, "shop")
    );
    let mut cleared = zone();
    cleared.records.clear();
    replica.tell([Event::ZoneApplied(Box::new(cleared))]);
    assert_eq!(problem(&replica, "shop"), "");
    let got = replica.ask_for("mail.example.org", RecordType::A, BERLIN);
    assert_eq!(got.data.into_iter().collect::<Vec<_>>(), [F]);
}

#[test]
fn a_circle_of_aliases_is_refused_and_nothing_else_suffers() {
    let mut of = three();
    of.push(endpoint("elsewhere", "www.example.org", 1));
    let mut replica = Replica::with(service(), of);
    assert!(
        problem(&replica, "shop").contains("circle"),
        "{}",
        problem(&replica, "shop")
    );
    replica.tell([endpoints(three())]);
    assert_eq!(problem(&replica, "shop"), "");
    assert_eq!(replica.addresses(BERLIN), [F]);
}

#[test]
fn a_spec_that_became_wrong_leaves_the_old_answers_and_says_what_is_wrong() {
    let mut replica = Replica::with(service(), three());
    let wrong = ServiceSpec {
        policy: Policy::Weighted(vec![]),
        generation: 2,
        ..service()
    };
    replica.tell([Event::ServiceApplied(Box::new(wrong.clone()))]);
    assert_eq!(
        problem(&replica, "shop"),
        "policy.weighted: has 1 to 64 branches"
    );
    assert_eq!(replica.status().generation, 1);
    assert_eq!(replica.addresses(BERLIN), [F]);
    let right = ServiceSpec {
        policy: pool(&["beijing-a"]),
        generation: 3,
        ..service()
    };
    replica.tell([Event::ServiceApplied(Box::new(right))]);
    assert_eq!(replica.addresses(BERLIN), [A]);
    assert_eq!(replica.status().hosts[0].problem, None);
    let problems = ServiceSpec {
        hosts: vec![],
        ..wrong
    }
    .problems();
    assert_eq!(problems[0].field, "hosts");
}

#[test]
fn a_zone_that_became_wrong_goes_on_as_it_was_and_says_where() {
    let mut replica = Replica::with(service(), three());
    let digest = replica.zones[&zone().key].digest;
    let mut wrong = zone();
    wrong.records.push_str("oops A not-an-address\n");
    replica.tell([Event::ZoneApplied(Box::new(wrong))]);
    let status = &replica.zones[&zone().key];
    let problem = status.problem.as_deref().unwrap();
    assert!(problem.starts_with("records: line 3:"), "{problem}");
    assert!(status.served);
    assert_eq!(replica.addresses(BERLIN), [F]);
    let mut renumbered = zone();
    renumbered.serial = 99;
    replica.tell([Event::ZoneApplied(Box::new(renumbered))]);
    assert_eq!(
        replica.zones[&zone().key].digest,
        digest,
        "the serial is no content"
    );
}

#[test]
fn of_two_zones_with_one_domain_one_is_refused() {
    let mut replica = Replica::with(service(), three());
    let mut double = zone();
    double.key = ObjectKey::new("meridian", "zz");
    replica.tell([Event::ZoneApplied(Box::new(double.clone()))]);
    let status = &replica.zones[&double.key];
    assert_eq!(
        status.problem.as_deref(),
        Some("Zone meridian/example-org has this domain")
    );
    assert_eq!(replica.addresses(BERLIN), [F]);
}
