//! Nodes of the policy tree: rules on places and prefixes, several at once, sticky, by capacity.

use crate::harness::*;
use hickory_proto::rr::RecordType;
use meridian_steering::*;
use model::{PortProbe, ProbeFailure, ProbeKind, ProbeResult};
use std::collections::{BTreeMap, BTreeSet};

fn with(policy: Policy) -> Replica {
    Replica::with(
        ServiceSpec {
            policy,
            ..service()
        },
        three(),
    )
}

fn rule(countries: &[&str], policy: Policy) -> GeoRule {
    GeoRule {
        countries: countries.iter().map(|&code| code.into()).collect(),
        continents: vec![],
        subdivisions: vec![],
        systems: vec![],
        lines: vec![],
        policy,
    }
}

fn prefix_rule(networks: &[&str], policy: Policy) -> CidrRule {
    let networks = networks.iter().map(|net| net.parse().expect("a prefix"));
    CidrRule {
        networks: networks.collect(),
        policy,
    }
}

#[test]
fn the_first_rule_that_a_clients_place_meets_decides_and_the_default_for_the_rest() {
    let policy = Policy::Geo(Geo {
        rules: vec![
            rule(&["BR", "CN"], pool(&["frankfurt"])),
            GeoRule {
                continents: vec!["AS".into(), "EU".into()],
                ..rule(&[], pool(&["beijing-a"]))
            },
        ],
        default: Some(Box::new(pool(&["beijing-b"]))),
    });
    let mut replica = with(policy);
    assert_eq!(
        replica.addresses(BEIJING),
        [F],
        "the first rule, though Asia is met too"
    );
    assert_eq!(replica.addresses(SAO_PAULO), [F]);
    assert_eq!(replica.addresses(BERLIN), [A]);
    assert_eq!(replica.addresses("127.0.0.1"), [B]);
    replica.rounds(3, &[F]);
    assert_eq!(
        replica.addresses(BEIJING),
        [B],
        "its branch is dead: the default"
    );
    assert_eq!(replica.explain(BEIJING, &[]).rung, "healthy");
    replica.rounds(3, &[F, B]);
    assert_eq!(replica.addresses(BERLIN), [A], "others are none the worse");
    assert_eq!(
        replica.addresses(BEIJING).len(),
        1,
        "who had nothing has what was good last"
    );
}

#[test]
fn the_longest_prefix_decides_whatever_its_place() {
    let policy = Policy::Cidr(Cidr {
        rules: vec![
            prefix_rule(&["10.0.0.0/8", "2001:db8::/32"], pool(&["beijing-a"])),
            prefix_rule(&["10.7.0.0/16"], pool(&["beijing-b"])),
        ],
        default: Some(Box::new(pool(&["frankfurt"]))),
    });
    let replica = with(policy);
    assert_eq!(replica.addresses("10.7.1.1"), [B]);
    assert_eq!(replica.addresses("10.8.1.1"), [A]);
    assert_eq!(replica.addresses("2001:db8::7"), [A]);
    assert_eq!(replica.addresses(BERLIN), [F]);
    assert_eq!(replica.explain("10.7.1.1", &[]).scope, 16);
}

#[test]
fn a_line_is_a_carriers_networks_by_name_and_one_that_nobody_knows_is_told() {
    let telecom = GeoRule {
        lines: vec!["telecom".into()],
        ..rule(&[], pool(&["frankfurt"]))
    };
    let mut replica = with(Policy::Geo(Geo {
        rules: vec![telecom],
        default: Some(Box::new(pool(&["beijing-a"]))),
    }));
    assert_eq!(replica.addresses("198.51.100.1"), [A]);
    assert_eq!(
        replica.status().misfits[0].field,
        "policy.geo.rules[0].line"
    );
    let line = Line {
        networks: vec!["198.51.100.0/24".parse().expect("a prefix")],
        ..Line::default()
    };
    replica.tell([Event::Lines(BTreeMap::from([("telecom".to_owned(), line)]))]);
    assert_eq!(replica.addresses("198.51.100.1"), [F]);
    assert!(replica.status().misfits.is_empty());
}

#[test]
fn a_cluster_that_is_not_there_and_an_empty_pool_are_told_with_their_paths() {
    let policy = Policy::Failover(vec![
        branch("first", pool(&["beijing-a", "beijing-c"])),
        branch(
            "second",
            Policy::Pool(Pool {
                regions: vec!["mars".into()],
                ..Pool::default()
            }),
        ),
    ]);
    let mut replica = with(policy);
    let told: Vec<_> = replica
        .status()
        .misfits
        .iter()
        .map(|it| it.field.as_str())
        .collect();
    assert_eq!(
        told,
        [
            "policy.failover[0].pool.clusters[1]",
            "policy.failover[1].pool"
        ]
    );
    assert_eq!(replica.addresses(BERLIN), [A], "and what is there answers");
    replica.tell([cluster("beijing-c", "cn-north-1", MemberApi::Ready)]);
    assert_eq!(replica.status().misfits.len(), 1);
}

#[test]
fn a_policy_that_holds_no_endpoint_leaves_the_last_good_answers_unless_they_are_gone() {
    let nowhere = || {
        Policy::Pool(Pool {
            regions: vec!["mars".into()],
            ..Pool::default()
        })
    };
    let wrong = |when_all_down: WhenAllDown| {
        Event::ServiceApplied(Box::new(ServiceSpec {
            policy: nowhere(),
            when_all_down,
            ..service()
        }))
    };
    let mut replica = with(pool(&["frankfurt"]));
    replica.tell([wrong(WhenAllDown::LastKnownGood)]);
    assert_eq!(replica.status().misfits[0].field, "policy.pool");
    assert_eq!(replica.addresses(BERLIN), [F]);
    replica.tell([wrong(WhenAllDown::NoData)]);
    assert_eq!(replica.addresses(BERLIN), [""; 0], "the service says so");

    let mut replica = with(pool(&["frankfurt"]));
    replica.tell([wrong(WhenAllDown::LastKnownGood)]);
    replica.tell([Event::Endpoints {
        service: key("shop"),
        endpoints: vec![endpoint("beijing-a", A, 1)],
    }]);
    assert_eq!(
        replica.addresses(BERLIN),
        [""; 0],
        "it is not there any more"
    );
}

#[test]
fn all_answers_with_several_addresses_no_more_than_its_bound_and_each_first_in_turn() {
    let all = |max| {
        Policy::All(All {
            max,
            ..All::default()
        })
    };
    let mut replica = with(all(8));
    let first_of = |replica: &Replica| -> (BTreeSet<usize>, BTreeSet<String>) {
        let draws = (0..64_u64).map(|draw| replica.ask_once(RecordType::A, BERLIN, draw << 58));
        let answers: Vec<Vec<String>> = draws.collect();
        let sizes = answers.iter().map(Vec::len).collect();
        (sizes, answers.into_iter().map(|of| of[0].clone()).collect())
    };
    assert_eq!(
        first_of(&replica),
        ([3].into(), [A, B, F].map(str::to_owned).into())
    );
    replica.rounds(3, &[F]);
    assert_eq!(first_of(&replica).0, [2].into());
    let replica = with(all(2));
    assert_eq!(
        first_of(&replica),
        ([2].into(), [A, B, F].map(str::to_owned).into())
    );
}

/// How often each address is the answer over these clients and draws.
fn counts(replica: &Replica, clients: &[String], draws: u64) -> BTreeMap<String, f64> {
    let mut counts = BTreeMap::new();
    for client in clients {
        for draw in 0..draws {
            let entropy = draw.wrapping_mul(0x9e37_79b9_7f4a_7c15) ^ draw << 7;
            let got = replica.ask_once(RecordType::A, client, entropy);
            *counts.entry(got[0].clone()).or_insert(0.0) += 1.0;
        }
    }
    counts
}

/// Whether counts fit shares: chi-square with two degrees of freedom stays below 13.8 but once in a
/// thousand.
fn fits(counts: &BTreeMap<String, f64>, shares: &[(&str, f64)]) {
    let total: f64 = counts.values().sum();
    let square = |(address, share): &(&str, f64)| {
        let (expected, found) = (share * total, counts.get(*address).copied().unwrap_or(0.0));
        (found - expected).powi(2) / expected
    };
    let chi: f64 = shares.iter().map(square).sum();
    assert!(
        chi < 13.8,
        "chi-square {chi:.1} of {counts:?} for {shares:?}"
    );
}

fn weights(of: [u32; 3]) -> Vec<EndpointStatus> {
    let weighted = three().into_iter().zip(of);
    weighted
        .map(|(endpoint, weight)| EndpointStatus { weight, ..endpoint })
        .collect()
}

fn prefixes(count: u32) -> Vec<String> {
    let prefix = |at: u32| std::net::Ipv4Addr::from(0x1400_0000 + (at << 8) + 9).to_string();
    (0..count).map(prefix).collect()
}

#[test]
fn weighted_shares_hold_per_query_with_one_answer_each() {
    let shares = [(5, "beijing-a"), (3, "beijing-b"), (2, "frankfurt")];
    let branches = shares.map(|(weight, cluster)| WeightedBranch {
        weight,
        policy: pool(&[cluster]),
    });
    let replica = with(Policy::Weighted(branches.to_vec()));
    fits(
        &counts(&replica, &[BERLIN.to_owned()], 6_000),
        &[(A, 0.5), (B, 0.3), (F, 0.2)],
    );
}

#[test]
fn hash_gives_a_prefix_always_the_same_answer_and_shares_hold_over_prefixes() {
    let mut replica = with(Policy::Hash(Pool::default()));
    replica.tell([endpoints(weights([5, 3, 2]))]);
    let clients = prefixes(4_000);
    fits(
        &counts(&replica, &clients, 1),
        &[(A, 0.5), (B, 0.3), (F, 0.2)],
    );
    let whole: BTreeSet<_> = (0..=255)
        .map(|host| replica.addresses(&format!("20.0.7.{host}")))
        .collect();
    assert_eq!(whole.len(), 1, "a /24 is one");
    // The scope that is promised is fixed, whatever is healthy.
    assert_eq!(replica.scope_of("20.0.7.1"), 24);
    replica.rounds(3, &[F]);
    assert_eq!(replica.scope_of("20.0.7.1"), 24);
}

#[test]
fn an_endpoint_that_goes_moves_its_own_share_and_no_other() {
    let mut replica = with(Policy::Hash(Pool::default()));
    let clients = prefixes(2_000);
    let answers = |replica: &Replica| -> Vec<Vec<String>> {
        clients
            .iter()
            .map(|client| replica.addresses(client))
            .collect()
    };
    let before = answers(&replica);
    replica.rounds(3, &[F]);
    let without = answers(&replica);
    let mut moved = [0, 0];
    for (before, now) in before.iter().zip(&without) {
        if before[0] == F {
            moved[usize::from(now[0] == A)] += 1;
        } else {
            assert_eq!(before, now);
        }
    }
    assert!(
        moved.iter().all(|count| *count > 200),
        "both take some: {moved:?}"
    );
    replica.rounds(3, &[]);
    assert_eq!(
        answers(&replica),
        before,
        "and it gets back what was its own"
    );
}

fn capacity(ready: [u32; 3], needs: u32) -> Replica {
    let names = ["beijing-a", "beijing-b", "frankfurt"];
    let policy = Policy::Capacity(Capacity {
        needs: names.map(|name| (name.to_owned(), needs)).into(),
        ..Capacity::default()
    });
    let mut replica = with(policy);
    let ready = three().into_iter().zip(ready);
    let of = ready.map(|(endpoint, ready)| EndpointStatus {
        ready_replicas: Some(ready),
        ..endpoint
    });
    replica.tell([endpoints(of.collect())]);
    replica
}

fn percent(replica: &Replica, client: &str, address: &str) -> f64 {
    let answers = replica.explain(client, &[]).answers.into_iter();
    let of = answers.filter(|it| it.record_type == "A" && it.answer == address);
    of.map(|it| it.percent).sum::<f64>().round()
}

#[test]
fn a_region_serves_its_clients_as_far_as_its_replicas_reach_and_the_rest_goes_on() {
    let replica = capacity([10, 10, 10], 10);
    assert_eq!(percent(&replica, BERLIN, F), 100.0);
    let mut replica = capacity([10, 10, 4], 10);
    assert_eq!(percent(&replica, BERLIN, F), 40.0);
    assert_eq!(
        percent(&replica, BERLIN, A) + percent(&replica, BERLIN, B),
        60.0
    );
    assert_eq!(
        percent(&replica, BEIJING, F),
        0.0,
        "those that have room keep their own"
    );
    replica.rounds(3, &[A, B]);
    assert_eq!(
        percent(&replica, BEIJING, F),
        100.0,
        "full is better than nothing"
    );
}

#[test]
fn shares_follow_ready_replicas_by_tenths_and_do_not_flutter() {
    let mut replica = capacity([100, 100, 100], 100);
    let published = replica.published;
    let ready = |of: u32| {
        let mut all = three();
        all.iter_mut().for_each(|it| it.ready_replicas = Some(100));
        all[2].ready_replicas = Some(of);
        endpoints(all)
    };
    replica.tell([ready(95)]);
    replica.tell([ready(98)]);
    assert_eq!(replica.published, published, "less than a tenth");
    replica.tell([ready(70)]);
    assert_eq!(percent(&replica, BERLIN, F), 70.0);
}

#[test]
fn a_cluster_that_was_drained_returns_in_a_ramp_and_its_answers_are_short() {
    let mut replica = with(Policy::default());
    let drain = |draining| cluster_that("frankfurt", "eu-central-1", MemberApi::Ready, draining);
    replica.tell([drain(true)]);
    assert_eq!(percent(&replica, BERLIN, F), 0.0);
    replica.tell([drain(false)]);
    assert_eq!(percent(&replica, BERLIN, F), 10.0);
    assert_eq!(replica.ask(BERLIN).ttl, Some(5));
    replica.pass(RAMP_MILLIS / 2);
    assert_eq!(percent(&replica, BERLIN, F), 60.0);
    replica.pass(RAMP_MILLIS / 2);
    assert_eq!(percent(&replica, BERLIN, F), 100.0);
    assert_eq!(replica.addresses(BERLIN), [F]);
}

fn two_cities(change: impl FnOnce(&mut FailoverBranch)) -> Replica {
    let mut standby = branch("city-b", pool(&["frankfurt"]));
    change(&mut standby);
    with(Policy::Failover(vec![
        branch("city-a", pool(&["beijing-a", "beijing-b"])),
        standby,
    ]))
}

#[test]
fn traffic_goes_back_to_a_branch_in_a_ramp() {
    let mut replica = two_cities(|standby| standby.failback.ramp_millis = 100_000);
    replica.rounds(3, &[A, B]);
    assert_eq!(percent(&replica, BERLIN, F), 100.0, "a takeover is at once");
    replica.rounds(2, &[]);
    assert_eq!(percent(&replica, BERLIN, F), 90.0);
    replica.rounds(10, &[]);
    assert_eq!(percent(&replica, BERLIN, F), 40.0);
    replica.rounds(10, &[]);
    assert_eq!(percent(&replica, BERLIN, F), 0.0);
}

#[test]
fn a_branch_takes_over_only_when_what_it_requires_succeeds_by_hand_or_not() {
    for mode in [Transition::Auto, Transition::Manual] {
        let mut replica = two_cities(|standby| {
            standby.takeover.mode = mode;
            standby.takeover.requires = vec![Requirement {
                name: "replication".into(),
                target: model::Target::Ip("192.0.2.99".parse().expect("an address")),
                probe: ProbeKind::Tcp(PortProbe { port: 5432 }),
            }];
        });
        replica.round(&["192.0.2.99"]);
        replica.rounds(3, &[A, B, "192.0.2.99"]);
        let take = OverrideScope::Branch {
            service: key("shop"),
            branch: "city-b".into(),
        };
        replica.tell([override_on(take, Force::Up, 3_600_000)]);
        assert_ne!(replica.addresses(BERLIN), [F], "{mode:?}");
        let why = &replica.status().branches[0].reason;
        assert!(why.contains("replication: connection refused"), "{why}");
        replica.rounds(1, &[A, B]);
        assert_eq!(replica.addresses(BERLIN), [F], "{mode:?}");
    }
}

/// What a replica answers to who tells it an override itself.
fn give(replica: &mut Replica, event: Event) -> std::result::Result<String, String> {
    let Event::OverrideApplied(wanted) = event else {
        panic!("an override");
    };
    let given = replica.engine.give(*wanted, replica.now);
    replica.take(given.effects);
    given.answer
}

#[test]
fn what_a_replica_is_told_itself_is_in_force_or_refused_with_why() {
    let mut replica = two_cities(|standby| {
        standby.takeover.mode = Transition::Manual;
        standby.takeover.requires = vec![Requirement {
            name: "replication".into(),
            target: model::Target::Ip("192.0.2.99".parse().expect("an address")),
            probe: ProbeKind::Tcp(PortProbe { port: 5432 }),
        }];
    });
    replica.round(&["192.0.2.99"]);
    replica.rounds(3, &[A, B, "192.0.2.99"]);
    let branch = |service: &str, name: &str| OverrideScope::Branch {
        service: key(service),
        branch: name.into(),
    };
    let refused = [
        (
            OverrideScope::Cluster("frankfurt".into()),
            "about one GlobalService",
        ),
        (branch("other", "city-b"), "no GlobalService"),
        (branch("shop", "city-c"), "has no branch city-c"),
        (branch("shop", "city-b"), "may not take over: replication"),
    ];
    for (scope, why) in refused {
        let answer = give(&mut replica, override_on(scope, Force::Up, 3_600_000));
        let answer = answer.expect_err(why);
        assert!(answer.contains(why), "{answer}");
    }
    assert_ne!(replica.addresses(BERLIN), [F], "nothing of it is in force");

    replica.rounds(1, &[A, B]);
    let take = override_on(branch("shop", "city-b"), Force::Up, 3_600_000);
    let told = give(&mut replica, take).expect("it may");
    assert!(told.contains("city-b is Active"), "{told}");
    assert_eq!(replica.addresses(BERLIN), [F]);

    replica.tell([Event::ServiceDeleted(key("shop"))]);
    let late = override_on(branch("shop", "city-b"), Force::Up, 3_600_000);
    assert!(
        give(&mut replica, late).is_err(),
        "what is gone is not known"
    );
}

#[test]
fn what_would_leave_nothing_is_not_taken_from_a_person_either() {
    let mut replica = with(Policy::default());
    let down = |name: &str| {
        let scope = OverrideScope::Service {
            service: key("shop"),
            cluster: Some(name.into()),
        };
        override_called(name, scope, Force::Down, 60_000)
    };
    for name in ["beijing-a", "beijing-b"] {
        give(&mut replica, down(name)).expect("others are left");
    }
    let why = give(&mut replica, down("frankfurt")).expect_err("nothing would be left");
    assert_eq!(why, "it would leave shop/shop nothing");
    assert!(replica.status().refused.is_empty(), "it is not kept");
    assert_eq!(replica.addresses(BERLIN), [F]);
}

/// A round in which these do not answer in time.
fn late(replica: &mut Replica, rounds: usize, failing: &[&str]) {
    for _ in 0..rounds {
        replica.pass(5_000);
        for probe in replica.probes.clone() {
            let fails = failing.contains(&probe.target.to_string().as_str());
            replica.tell([Event::Probed(ProbeResult {
                endpoint: probe.endpoint,
                failure: fails.then_some(ProbeFailure::Timeout),
                took_millis: 3,
            })]);
        }
    }
}

#[test]
fn a_region_that_is_flooded_after_another_left_keeps_its_own_clients() {
    let mut replica = with(Policy::default());
    late(&mut replica, 3, &[F]);
    assert_eq!(
        replica.addresses(BERLIN),
        [A, B],
        "the first that is late leaves"
    );
    late(&mut replica, 3, &[F, A]);
    assert_eq!(replica.standing(A), Standing::Degraded);
    assert_eq!(replica.addresses(BEIJING), [A, B], "its own clients stay");
    assert_eq!(replica.ask(BEIJING).ttl, Some(5));
    late(&mut replica, 24, &[F, A]);
    assert_eq!(replica.standing(A), Standing::Down, "two minutes are over");
    assert_eq!(replica.addresses(BEIJING), [B]);
    late(&mut replica, 60, &[F, A, B]);
    assert_eq!(
        replica.standing(B),
        Standing::Degraded,
        "no third leaves by itself"
    );
    replica.rounds(3, &[F, A, B]);
    assert_eq!(
        replica.standing(B),
        Standing::Down,
        "but by a refusal: nobody listens"
    );
}

#[test]
fn a_refusal_is_no_flood() {
    let mut replica = with(Policy::default());
    late(&mut replica, 3, &[F]);
    replica.rounds(3, &[F, A]);
    assert_eq!(replica.standing(A), Standing::Down);
}

#[test]
fn an_override_that_would_leave_nothing_is_refused() {
    let mut replica = with(Policy::default());
    for name in ["beijing-a", "beijing-b", "frankfurt"] {
        let scope = OverrideScope::Cluster(name.into());
        replica.tell([override_called(name, scope, Force::Down, 60_000)]);
    }
    assert_eq!(
        replica.addresses(BERLIN),
        [F],
        "the last of them has no force"
    );
    assert_eq!(replica.status().refused, [key("frankfurt")]);
    replica.tell([Event::OverrideDeleted(key("beijing-a"))]);
    assert_eq!(replica.addresses(BERLIN), [A]);
    assert!(replica.status().refused.is_empty());
}
