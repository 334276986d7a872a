//! Shares behind resolvers of unequal size: what clients get, not what queries get.
//!
//! A resolver asks once per TTL, and all of its clients get that answer. The largest resolvers have most clients, so
//! that one draw may move a tenth of them. Sizes are as Zipf's law has them: the one of rank r has a share in proportion to
//! 1/r. With p an endpoint's share, s the parts of the resolvers and n the draws of each, the clients' share has the
//! standard deviation √(p·(1−p)·Σs²/n):
//!
//! | policy | draws of a resolver | deviation over an hour with a TTL of a minute, p = 0.5 |
//! |---|---|---|
//! | `weighted` | one per TTL | 1.3 points |
//! | `hash`, resolvers that send no client subnet | one for good | 10.2 points |
//! | `hash`, client subnets | one per /24 | as many /24s there are |

use crate::harness::*;
use hickory_proto::rr::RecordType;
use meridian_steering::{Event, Policy, Pool, ServiceSpec, WeightedBranch};
use std::collections::BTreeMap;

const RESOLVERS: usize = 300;
/// An hour of TTLs of a minute.
const DRAWS: usize = 60;
/// What a right share stays within: one in 16,000 does not.
const DEVIATIONS_MAX: f64 = 4.0;
const SHARES: [(u32, &str, &str); 3] = [
    (5, "beijing-a", A),
    (3, "beijing-b", B),
    (2, "frankfurt", F),
];

/// The part of all clients that each resolver has.
fn sizes() -> Vec<f64> {
    let weights = (1..=RESOLVERS).map(|rank| 1.0 / rank as f64);
    let total: f64 = weights.clone().sum();
    weights.map(|weight| weight / total).collect()
}

/// Chance that is the same in every run (SplitMix64).
fn chance(number: usize) -> u64 {
    let mut z = (number as u64 + 1).wrapping_mul(0x9e37_79b9_7f4a_7c15);
    z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    z ^ (z >> 31)
}

fn address(resolver: usize) -> String {
    format!("20.{}.{}.53", resolver / 256, resolver % 256)
}

/// The share of clients that each address gets, over some draws of every resolver.
fn shares(replica: &Replica, draws: usize) -> BTreeMap<String, f64> {
    let mut shares: BTreeMap<String, f64> = BTreeMap::new();
    for (resolver, size) in sizes().into_iter().enumerate() {
        for draw in 0..draws {
            let entropy = chance(resolver * draws + draw);
            let answer = replica.ask_once(RecordType::A, &address(resolver), entropy);
            let [only] = &answer[..] else {
                panic!("one address per answer, else resolvers choose: {answer:?}")
            };
            *shares.entry(only.clone()).or_default() += size / draws as f64;
        }
    }
    shares
}

/// How far from the wanted shares they are at most, in standard deviations.
fn deviations(shares: &BTreeMap<String, f64>, squares: f64) -> f64 {
    let of = |&(weight, _, address): &(u32, &str, &str)| {
        let wanted = f64::from(weight) / 10.0;
        let got = shares.get(address).copied().unwrap_or_default();
        (got - wanted).abs() / (wanted * (1.0 - wanted) * squares).sqrt()
    };
    SHARES.iter().map(of).fold(0.0, f64::max)
}

/// Σs²: one over the number of resolvers of equal size that would scatter as much.
fn concentration() -> f64 {
    sizes().iter().map(|size| size * size).sum()
}

fn weighted() -> Replica {
    let branches = SHARES.map(|(weight, cluster, _)| WeightedBranch {
        weight,
        policy: pool(&[cluster]),
    });
    let policy = Policy::Weighted(branches.to_vec());
    Replica::with(
        ServiceSpec {
            policy,
            ..service()
        },
        three(),
    )
}

fn hashed() -> Replica {
    let policy = Policy::Hash(Pool::default());
    let mut replica = Replica::with(
        ServiceSpec {
            policy,
            ..service()
        },
        three(),
    );
    let of = SHARES.map(|(weight, cluster, address)| {
        let mut of = endpoint(cluster, address, 3);
        of.weight = weight;
        of
    });
    replica.tell([Event::Endpoints {
        service: key("shop"),
        endpoints: of.to_vec(),
    }]);
    replica
}

#[test]
fn weighted_shares_of_clients_hold_over_an_hour_although_few_resolvers_have_most_of_them() {
    // As unequal as 24 resolvers of one size, and 16 % of the clients behind one.
    assert!(sizes()[0] > 0.15 && concentration() > 1.0 / 30.0);
    let shares = shares(&weighted(), DRAWS);
    let far = deviations(&shares, concentration() / DRAWS as f64);
    assert!(far < DEVIATIONS_MAX, "{far:.1} deviations: {shares:?}");
    let worst =
        SHARES.map(|(weight, _, address)| (shares[address] - f64::from(weight) / 10.0).abs());
    assert!(
        worst.iter().all(|it| *it < 0.05),
        "within five points: {shares:?}"
    );
}

#[test]
fn hash_gives_a_resolver_without_client_subnets_one_answer_for_good() {
    let replica = hashed();
    let once = shares(&replica, 1);
    let far = deviations(&once, concentration());
    assert!(far < DEVIATIONS_MAX, "{far:.1} deviations: {once:?}");
    // Asking again changes nothing: an hour is no better than a minute.
    let hour = shares(&replica, 4);
    assert!(
        once.iter()
            .all(|(at, share)| (hour[at] - share).abs() < 1e-9)
    );
}
