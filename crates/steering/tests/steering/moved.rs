//! Which share of the address space a change moves.

use crate::harness::*;
use meridian_steering::*;
use std::collections::BTreeMap;

/// Another replica with another policy; the world is the same.
fn with_policy(policy: Policy) -> Replica {
    let mut replica = Replica::empty("replica-1");
    replica.tell([Event::Database(default_database())]);
    let spec = ServiceSpec {
        policy,
        ..service()
    };
    replica.tell(world(spec, three()));
    replica.tell([Event::Synced]);
    replica.round(&[]);
    replica
}

fn weighted(shares: &[(u32, &str)]) -> Policy {
    let branch = |&(weight, cluster): &(u32, &str)| WeightedBranch {
        weight,
        policy: pool(&[cluster]),
    };
    Policy::Weighted(shares.iter().map(branch).collect())
}

fn moved(before: &Replica, after: &Replica) -> Moved {
    let found = before.engine.moved(&after.engine, &key("shop"), after.now);
    found.expect("both know the service")
}

fn close(a: f64, b: f64) -> bool {
    (a - b).abs() < 1e-9
}

#[test]
fn weights_move_the_part_by_which_they_differ_and_other_numbers_of_the_same_shares_nothing() {
    let [a, b, _] = clusters();
    let half = with_policy(weighted(&[(1, &a), (1, &b)]));
    let same = with_policy(weighted(&[(50, &a), (50, &b)]));
    assert_eq!(moved(&half, &same), Moved::default());
    let less = with_policy(weighted(&[(3, &a), (1, &b)]));
    let told = moved(&half, &less);
    for family in [&told.v4, &told.v6] {
        assert!(close(family.moved, 0.25), "{told:?}");
        let flow = &family.flows[0];
        assert_eq!((&flow.from, &flow.to), (&b, &a));
    }
}

#[test]
fn what_nearest_moves_is_counted_address_by_address() {
    let all: Vec<String> = clusters().into();
    let names: Vec<&str> = all.iter().map(String::as_str).collect();
    let nearest = with_policy(Policy::default());
    let one = with_policy(pool(&names[2..]));
    let (there, back) = (moved(&nearest, &one), moved(&one, &nearest));
    assert!(there.v4.moved > 0.01 && there.v4.moved < 0.99, "{there:?}");
    assert!(close(there.v4.moved, back.v4.moved), "as many come back");
    // Against a sample of clients, asked one by one.
    let clients = (0..4_096_u32).map(|at| at.wrapping_mul(0x9e37_79b9) | 1);
    let public = clients.filter(|bits| {
        let address = std::net::Ipv4Addr::from(*bits);
        let first = address.octets()[0];
        let shared = first == 100 && address.octets()[1] & 0xc0 == 64;
        let aside = address.is_private() || address.is_link_local() || shared;
        let local = [0, 127].contains(&first);
        !aside && !local && first < 224
    });
    let (mut differ, mut count) = (0.0, 0.0);
    for bits in public {
        let client = std::net::Ipv4Addr::from(bits).to_string();
        count += 1.0;
        let other = shares(&one, &client);
        let lost = shares(&nearest, &client).into_iter();
        let lost = lost.map(|(answer, part)| (part - other.get(&answer).unwrap_or(&0.0)).max(0.0));
        differ += lost.sum::<f64>();
    }
    let sampled: f64 = differ / count;
    assert!(
        (sampled - there.v4.moved).abs() < 0.03,
        "{sampled} {there:?}"
    );
}

#[test]
fn a_counterfactual_says_what_the_loss_of_a_cluster_moves() {
    let [a, b, _] = clusters();
    let half = with_policy(weighted(&[(1, &a), (1, &b)]));
    let told = half.explain("192.0.2.1", &[a.as_str()]);
    let moved = told.moved.as_ref().expect("it is counted");
    assert!(close(moved.v4.moved, 0.5), "{moved:?}");
    assert!(
        told.to_string().contains(&format!("50.00 %  {a} -> {b}")),
        "{told}"
    );
    assert_eq!(half.explain("192.0.2.1", &[]).moved, None);
}

/// The part of each answer that a client may get.
fn shares(replica: &Replica, client: &str) -> BTreeMap<String, f64> {
    let answers = replica.explain(client, &[]).answers.into_iter();
    let of_v4 = answers.filter(|it| it.record_type == "A");
    of_v4.map(|it| (it.answer, it.percent / 100.0)).collect()
}

fn clusters() -> [String; 3] {
    let endpoints = three();
    [0, 1, 2].map(|at| endpoints[at].cluster.to_string())
}
