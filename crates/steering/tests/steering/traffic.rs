//! What clients get while the world changes.

use crate::harness::*;
use hickory_proto::rr::RecordType;
use meridian_steering::*;

#[test]
fn clients_of_three_continents_get_their_nearest_site() {
    let replica = Replica::with(service(), three());
    assert_eq!(replica.addresses(BEIJING), [A, B]);
    assert_eq!(replica.addresses(BERLIN), [F]);
    assert_eq!(replica.addresses(SAO_PAULO), [F]);
    assert_eq!(replica.addresses("127.0.0.1"), [A, B, F]);
}

#[test]
fn the_default_database_knows_them_too_and_a_reload_changes_nothing() {
    let mut replica = Replica::with(service(), three());
    replica.tell([Event::Database(default_database())]);
    assert_eq!(replica.addresses(BEIJING), [A, B]);
    assert_eq!(replica.addresses(BERLIN), [F]);
    assert_eq!(replica.addresses(SAO_PAULO), [F]);
    assert!(replica.explain(BERLIN, &[]).scope > 0);
    let published = replica.published;
    replica.tell([Event::Database(default_database())]);
    assert_eq!(replica.published, published);
}

#[test]
fn a_failing_endpoint_leaves_at_the_third_failure_and_its_neighbour_takes_over() {
    let mut replica = Replica::with(service(), three());
    replica.rounds(2, &[A]);
    assert_eq!(replica.addresses(BEIJING), [A, B]);
    replica.rounds(1, &[A]);
    assert_eq!(replica.addresses(BEIJING), [B]);
    assert_eq!(replica.standing(A), Standing::Down);
    replica.rounds(3, &[A, B]);
    assert_eq!(replica.addresses(BEIJING), [F]);
    replica.rounds(2, &[]);
    assert_eq!(replica.addresses(BEIJING), [A, B]);
}

#[test]
fn a_member_whose_api_hangs_changes_no_answer() {
    let mut replica = Replica::with(service(), three());
    replica.rounds(4, &[]);
    let published = replica.published;
    replica.tell([cluster("frankfurt", "eu-central-1", MemberApi::NotReady)]);
    replica.tell([endpoints(vec![
        endpoint("beijing-a", A, 3),
        endpoint("beijing-b", B, 3),
        endpoint("frankfurt", F, 0),
    ])]);
    replica.rounds(60, &[]);
    assert_eq!(replica.standing(F), Standing::Healthy);
    assert_eq!(replica.addresses(BERLIN), [F]);
    assert_eq!(replica.published, published);
}

#[test]
fn a_member_that_says_no_replica_is_ready_loses_its_traffic_at_once() {
    let mut replica = Replica::with(service(), three());
    let mut of = three();
    of[2].ready_replicas = Some(0);
    replica.tell([endpoints(of)]);
    assert_eq!(replica.standing(F), Standing::Degraded);
    assert_eq!(replica.addresses(BERLIN), [A, B]);
}

#[test]
fn sites_of_one_city_share_by_ready_replicas() {
    let of = vec![endpoint("beijing-a", A, 3), endpoint("beijing-b", B, 1)];
    let replica = Replica::with(service(), of);
    let shares: Vec<_> = replica.explain(BEIJING, &[]).answers;
    let percents: Vec<_> = shares
        .iter()
        .filter(|it| it.record_type == "A")
        .map(|it| it.percent)
        .collect();
    assert_eq!(percents, [75.0, 25.0]);
}

#[test]
fn without_the_host_answers_go_on_marked_stale_and_end_after_two_weeks() {
    let mut replica = Replica::with(service(), three());
    assert!(replica.ask(BERLIN).extended.is_empty());
    replica.tell([Event::Host(HostContact::Lost)]);
    assert_eq!(replica.addresses(BERLIN), [F]);
    assert_eq!(replica.ask(BERLIN).extended, [3]);
    // Health goes on counting.
    replica.rounds(3, &[F]);
    assert_eq!(replica.addresses(BERLIN), [A, B]);
    replica.pass(EngineOptions::MAX_STALE_MILLIS);
    assert_eq!(replica.ask(BERLIN).code, "ServFail");
    replica.tell([Event::Host(HostContact::Reached)]);
    assert_eq!(replica.addresses(BERLIN), [A, B]);
    assert!(replica.ask(BERLIN).extended.is_empty());
}

fn all_down(when_all_down: WhenAllDown) -> Replica {
    let mut replica = Replica::with(
        ServiceSpec {
            when_all_down,
            ..service()
        },
        three(),
    );
    // A dies long before the others.
    replica.rounds(3, &[A]);
    replica.rounds(20, &[A]);
    replica.rounds(3, &[A, B, F]);
    replica
}

#[test]
fn when_all_are_down_those_that_were_good_last_answer() {
    let replica = all_down(WhenAllDown::LastKnownGood);
    assert_eq!(replica.addresses(BEIJING), [B]);
    assert_eq!(replica.addresses(BERLIN), [F]);
    assert_eq!(replica.explain(BERLIN, &[]).ttl_secs, 5);
}

#[test]
fn when_all_are_down_the_service_says_what_to_answer_and_it_is_never_nxdomain() {
    assert_eq!(all_down(WhenAllDown::All).addresses(BEIJING), [A, B]);
    let apology = "198.51.100.9".parse().unwrap();
    let replica = all_down(WhenAllDown::Address(vec![apology]));
    assert_eq!(replica.addresses(BEIJING), ["198.51.100.9"]);
    let got = all_down(WhenAllDown::NoData).ask(BEIJING);
    assert_eq!((got.code.as_str(), got.data.len()), ("NoError", 0));
    assert_eq!(got.extended, [22]);
}

#[test]
fn one_that_returns_ends_the_ladder() {
    let mut replica = all_down(WhenAllDown::NoData);
    replica.rounds(2, &[A, B]);
    assert_eq!(replica.addresses(BEIJING), [F]);
}

#[test]
fn the_ttl_is_the_time_until_something_could_change() {
    let mut replica = Replica::with(service(), three());
    assert_eq!(replica.ask(BERLIN).ttl, Some(15));
    replica.rounds(1, &[F]);
    assert_eq!(replica.ask(BERLIN).ttl, Some(10));
    replica.rounds(1, &[F]);
    assert_eq!(replica.ask(BERLIN).ttl, Some(5));
    replica.rounds(2, &[]);
    assert_eq!(replica.ask(BERLIN).ttl, Some(15));
    let slow = HealthCheck {
        interval_millis: 60_000,
        ..service().health_check
    };
    let replica = Replica::with(
        ServiceSpec {
            health_check: slow,
            ..service()
        },
        three(),
    );
    assert_eq!(replica.ask(BERLIN).ttl, Some(60));
}

#[test]
fn a_name_is_answered_when_its_first_round_is_in_or_the_round_is_over() {
    let mut replica = Replica::empty("replica-1");
    replica.tell(world(service(), three()));
    replica.tell([Event::Synced]);
    assert_eq!(replica.published, 0);
    replica.tell([result(id("beijing-a", A), true)]);
    replica.tell([result(id("beijing-b", B), false)]);
    assert_eq!(replica.published, 0);
    replica.tell([result(id("frankfurt", F), false)]);
    assert_eq!(replica.addresses(BEIJING), [B]);

    let mut slow = Replica::empty("replica-1");
    slow.tell(world(service(), three()));
    slow.tell([Event::Synced]);
    slow.pass(6_999);
    assert_eq!(slow.published, 0);
    slow.pass(1);
    assert_eq!(slow.addresses(BEIJING), [A, B]);
}

#[test]
fn a_new_endpoint_gets_traffic_after_its_first_probe() {
    let mut replica = Replica::with(service(), three());
    let mut of = three();
    of.push(endpoint("beijing-a", "192.0.2.9", 3));
    replica.tell([endpoints(of)]);
    assert_eq!(replica.addresses(BEIJING), [A, B]);
    replica.tell([result(id("beijing-a", "192.0.2.9"), false)]);
    assert_eq!(replica.addresses(BEIJING), [A, B, "192.0.2.9"]);
}

#[test]
fn a_hostname_answers_as_an_alias_and_a_family_that_is_missing_is_nodata() {
    let of = vec![
        endpoint("beijing-a", A, 3),
        endpoint("frankfurt", "lb.cloud.example", 3),
    ];
    let replica = Replica::with(service(), of);
    assert_eq!(replica.addresses(BERLIN), ["lb.cloud.example."]);
    assert_eq!(replica.addresses(BEIJING), [A]);
    let got = replica.ask_for("shop.example.org", RecordType::AAAA, BEIJING);
    assert_eq!((got.code.as_str(), got.data.len()), ("NoError", 0));
}

#[test]
fn without_a_probe_the_members_readiness_decides() {
    let health_check = HealthCheck::default();
    let mut replica = Replica::with(
        ServiceSpec {
            health_check,
            ..service()
        },
        three(),
    );
    assert!(replica.probes.is_empty());
    assert_eq!(replica.addresses(BERLIN), [F]);
    assert_eq!(replica.ask(BERLIN).ttl, Some(60));
    let mut of = three();
    of[2].ready_replicas = Some(0);
    replica.tell([endpoints(of)]);
    assert_eq!(replica.standing(F), Standing::Down);
    assert_eq!(replica.addresses(BERLIN), [A, B]);
}

#[test]
fn weighted_branches_share_and_a_dead_one_gives_its_share_away() {
    let policy = Policy::Weighted(vec![
        WeightedBranch {
            weight: 3,
            policy: pool(&["beijing-a"]),
        },
        WeightedBranch {
            weight: 1,
            policy: pool(&["frankfurt"]),
        },
        WeightedBranch {
            weight: 0,
            policy: pool(&["beijing-b"]),
        },
    ]);
    let mut replica = Replica::with(
        ServiceSpec {
            policy,
            ..service()
        },
        three(),
    );
    assert_eq!(replica.addresses(BERLIN), [A, F]);
    let explained = replica.explain(BERLIN, &[]);
    assert_eq!(explained.answers[0].percent, 75.0);
    assert_eq!(explained.scope, 0);
    replica.rounds(3, &[A]);
    assert_eq!(replica.addresses(BERLIN), [F]);
}

#[test]
fn a_bias_and_a_selector_bend_who_is_nearest() {
    let nearest = |bias: &[(&str, i8)], tier: Option<&str>| {
        let selector = tier.map(|tier| ("tier".to_owned(), tier.to_owned()));
        Policy::Nearest(Nearest {
            pool: Pool {
                selector: selector.into_iter().collect(),
                ..Pool::default()
            },
            bias: bias
                .iter()
                .map(|(name, percent)| ((*name).to_owned(), *percent))
                .collect(),
        })
    };
    let ask = |policy| {
        Replica::with(
            ServiceSpec {
                policy,
                ..service()
            },
            three(),
        )
    };
    assert_eq!(
        ask(nearest(&[("beijing-a", 99)], None)).addresses(BERLIN),
        [A]
    );
    assert_eq!(
        ask(nearest(&[("cn-beijing", 99)], None)).addresses(BERLIN),
        [A]
    );
    assert_eq!(ask(nearest(&[], Some("cn-north-1"))).addresses(BERLIN), [B]);
}

#[test]
fn an_override_forces_until_it_expires() {
    let mut replica = Replica::with(service(), three());
    let frankfurt = OverrideScope::Cluster("frankfurt".into());
    replica.tell([override_on(frankfurt.clone(), Force::Down, 60_000)]);
    assert_eq!(replica.addresses(BERLIN), [A, B]);
    replica.pass(59_999);
    assert_eq!(replica.addresses(BERLIN), [A, B]);
    replica.pass(1);
    assert_eq!(replica.addresses(BERLIN), [A, B, F], "it returns in a ramp");
    replica.pass(RAMP_MILLIS);
    assert_eq!(replica.addresses(BERLIN), [F]);
    let region = OverrideScope::Region("eu-central-1".into());
    replica.tell([override_on(region, Force::Draining, 240_000)]);
    assert_eq!(replica.addresses(BERLIN), [A, B]);
    assert_eq!(replica.ask(BERLIN).ttl, Some(5));
    // Draining is better than dead.
    replica.rounds(3, &[A, B]);
    assert_eq!(replica.addresses(BERLIN), [F]);
    replica.tell([override_on(frankfurt, Force::Down, 600_000)]);
    assert_eq!(replica.addresses(BERLIN), [A, B]);
}

#[test]
fn a_cluster_that_is_drained_is_named_only_when_nothing_else_is_left() {
    let mut replica = Replica::with(service(), three());
    let frankfurt =
        |draining| cluster_that("frankfurt", "eu-central-1", MemberApi::Ready, draining);
    assert_eq!(replica.addresses(BERLIN), [F]);
    replica.tell([frankfurt(true)]);
    assert_eq!(replica.addresses(BERLIN), [A, B]);
    replica.rounds(3, &[A, B]);
    assert_eq!(replica.addresses(BERLIN), [F]);
    replica.tell([frankfurt(false)]);
    assert_eq!(replica.addresses(BERLIN), [F]);
}

#[test]
fn a_static_endpoint_is_placed_by_its_region() {
    let mut outside = endpoint("on-premises", "192.0.2.77", 1);
    outside.region = Some("sa-east-1".into());
    outside.ready_replicas = None;
    let mut of = three();
    of.push(outside);
    let replica = Replica::with(service(), of);
    assert_eq!(replica.addresses(SAO_PAULO), ["192.0.2.77"]);
    assert_eq!(replica.addresses(BERLIN), [F]);
}

#[test]
fn a_service_that_goes_takes_its_name_along_and_frees_its_probes() {
    let mut replica = Replica::with(service(), three());
    replica.tell([Event::ServiceDeleted(key("shop"))]);
    assert_eq!(replica.ask(BERLIN).code, "NXDomain");
    assert!(replica.probes.is_empty());
    replica.tell([Event::ZoneDeleted(zone().key)]);
    assert_eq!(replica.ask(BERLIN).code, "Refused");
}

/// Frankfurt, with a check of its own or without.
fn checked(check: Option<&str>) -> Event {
    let Event::ClusterApplied(mut state) = cluster("frankfurt", "eu-central-1", MemberApi::Ready)
    else {
        unreachable!("it is applied");
    };
    state.check = check.map(|address| ClusterCheck {
        target: model::Target::Ip(address.parse().expect("an address")),
        health: HealthCheck {
            probe: service().health_check.probe,
            ..HealthCheck::default()
        },
    });
    Event::ClusterApplied(state)
}

#[test]
fn a_members_own_check_is_reported_and_changes_no_answer() {
    const CHECK: &str = "192.0.2.9";
    let mut replica = Replica::with(service(), vec![endpoint("beijing-a", A, 3)]);
    replica.rounds(1, &[]);
    let (published, probes) = (replica.published, replica.probes.len());
    replica.tell([checked(Some(CHECK))]);
    assert_eq!(replica.probes.len(), probes + 1);
    let verdict = |replica: &Replica| {
        let reports = replica.report.iter().cloned().collect::<Vec<_>>();
        let observer = options("replica-1").observer;
        let traffic = Traffic::read(std::slice::from_ref(&observer), &reports, replica.now);
        traffic.cluster(&"frankfurt".into()).verdict
    };
    replica.rounds(1, &[]);
    assert_eq!(verdict(&replica), model::Verdict::Up);
    replica.rounds(3, &[CHECK]);
    assert_eq!(verdict(&replica), model::Verdict::Down);
    assert_eq!(replica.addresses(BERLIN), [A]);
    assert_eq!(replica.published, published);
    replica.rounds(2, &[]);
    assert_eq!(verdict(&replica), model::Verdict::Up);
    replica.tell([checked(None)]);
    replica.rounds(3, &[]);
    assert_eq!(replica.probes.len(), probes);
    assert_eq!(verdict(&replica), model::Verdict::Unknown);
}
