//! What holds for every course of events.

use crate::harness::*;
use meridian_steering::*;
use proptest::prelude::*;

const CLIENTS: [&str; 4] = [BEIJING, BERLIN, SAO_PAULO, "127.0.0.1"];
const SITES: [(&str, &str); 3] = [("beijing-a", A), ("beijing-b", B), ("frankfurt", F)];

fn policies() -> impl Strategy<Value = Policy> {
    let pools = prop_oneof![
        Just(Policy::default()),
        Just(pool(&["beijing-a", "beijing-b"])),
        Just(pool(&["frankfurt"])),
        Just(pool(&[])),
    ];
    pools.prop_recursive(2, 6, 3, |inner| {
        prop_oneof![
            prop::collection::vec((1..5_u32, inner.clone()), 1..3).prop_map(|branches| {
                let branches = branches.into_iter();
                Policy::Weighted(
                    branches
                        .map(|(weight, policy)| WeightedBranch { weight, policy })
                        .collect(),
                )
            }),
            prop::collection::vec(inner, 1..3).prop_map(|branches| {
                let branches = branches.into_iter().enumerate();
                Policy::Failover(
                    branches
                        .map(|(at, policy)| branch(&at.to_string(), policy))
                        .collect(),
                )
            }),
        ]
    })
}

/// Failover nodes inside failover nodes repeat names; those trees are refused, and skipped.
fn is_served(policy: &Policy) -> bool {
    ServiceSpec {
        policy: policy.clone(),
        ..service()
    }
    .problems()
    .is_empty()
}

fn answers(replica: &Replica) -> Vec<Vec<String>> {
    CLIENTS
        .iter()
        .map(|client| replica.addresses(client))
        .collect()
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(48))]

    /// Never two failures without two successes after them.
    #[test]
    fn flapping_below_thresholds_never_changes_an_answer(
        policy in policies(),
        flaps in prop::collection::vec((0..3_usize, 1..3_usize), 1..12),
    ) {
        prop_assume!(is_served(&policy));
        let mut replica = Replica::with(ServiceSpec { policy, ..service() }, three());
        let before = answers(&replica);
        for (site, failures) in flaps {
            for _ in 0..failures {
                replica.rounds(1, &[SITES[site].1]);
                prop_assert_eq!(answers(&replica), before.clone());
            }
            replica.rounds(2, &[]);
            prop_assert_eq!(answers(&replica), before.clone());
        }
    }

    #[test]
    fn no_state_of_health_empties_an_answer_unless_the_service_says_so(
        policy in policies(),
        rounds in prop::collection::vec((0..8_usize, 1..4_usize, 0..4_u32), 1..8),
        no_data: bool,
    ) {
        prop_assume!(is_served(&policy));
        let when_all_down = if no_data { WhenAllDown::NoData } else { WhenAllDown::LastKnownGood };
        let spec = ServiceSpec { policy, when_all_down, ..service() };
        let mut replica = Replica::with(spec, three());
        for (failing, count, ready) in rounds {
            let failing: Vec<_> =
                (0..3).filter(|site| failing & (1 << site) != 0).map(|site| SITES[site].1).collect();
            let mut of = three();
            of.iter_mut().for_each(|endpoint| endpoint.ready_replicas = Some(ready));
            replica.tell([endpoints(of)]);
            replica.rounds(count, &failing);
            for client in CLIENTS {
                let got = replica.ask(client);
                prop_assert_eq!(&got.code, "NoError");
                prop_assert!(!got.data.is_empty() || no_data, "{} got nothing", client);
            }
        }
    }

    #[test]
    fn two_replicas_that_hear_of_endpoints_in_different_orders_answer_alike(
        policy in policies(),
        rounds in prop::collection::vec((0..8_usize, 0..6_usize), 1..10),
    ) {
        prop_assume!(is_served(&policy));
        let spec = ServiceSpec { policy, ..service() };
        let mut replicas = [Replica::with(spec.clone(), three()), Replica::with(spec, three())];
        let orders = [[0, 1, 2], [0, 2, 1], [1, 0, 2], [1, 2, 0], [2, 0, 1], [2, 1, 0]];
        for (failing, order) in rounds {
            for (replica, order) in replicas.iter_mut().zip([orders[0], orders[order]]) {
                replica.pass(5_000);
                for site in order {
                    let (cluster, target) = SITES[site];
                    replica.tell([result(id(cluster, target), failing & (1 << site) != 0)]);
                }
            }
            let [one, other] = &replicas;
            for client in CLIENTS {
                let (first, second) = (one.explain(client, &[]), other.explain(client, &[]));
                prop_assert_eq!(&first.rung, &second.rung);
                // With nothing healthy, what was good last answers: that is who fell last, and
                // which branch it was in.
                if first.rung == "healthy" {
                    prop_assert_eq!(one.ask(client), other.ask(client));
                    prop_assert_eq!(first.answers, second.answers);
                }
            }
        }
    }

    #[test]
    fn a_restored_replica_answers_as_the_one_that_was_stopped(
        policy in policies(),
        rounds in prop::collection::vec((0..8_usize, 1..4_usize), 1..6),
    ) {
        prop_assume!(is_served(&policy));
        let mut replica = Replica::with(ServiceSpec { policy, ..service() }, three());
        for (failing, count) in rounds {
            let failing: Vec<_> =
                (0..3).filter(|site| failing & (1 << site) != 0).map(|site| SITES[site].1).collect();
            replica.rounds(count, &failing);
        }
        let checkpoint = replica.engine.checkpoint(replica.now);
        let (engine, effects) =
            Engine::restore(options("replica-1"), checkpoint, replica.now + 1).expect("a version");
        let mut again = Replica::from_engine(engine);
        again.take(effects);
        prop_assert_eq!(answers(&again), answers(&replica));
    }
}
