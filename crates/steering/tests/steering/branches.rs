//! Failover branches: two sites and three centres, by hand and by themselves.

use crate::harness::*;
use meridian_steering::*;

/// City A has two active centres, city B the standby.
fn two_sites(change: impl FnOnce(&mut FailoverBranch)) -> Replica {
    let city_a = Policy::Weighted(vec![
        WeightedBranch {
            weight: 50,
            policy: pool(&["beijing-a"]),
        },
        WeightedBranch {
            weight: 50,
            policy: pool(&["beijing-b"]),
        },
    ]);
    let mut standby = branch("city-b", pool(&["frankfurt"]));
    change(&mut standby);
    let policy = Policy::Failover(vec![branch("city-a", city_a), standby]);
    Replica::with(
        ServiceSpec {
            policy,
            ..service()
        },
        three(),
    )
}

fn states(replica: &Replica) -> Vec<(String, BranchState)> {
    let branches = replica.status().branches.iter();
    branches
        .map(|branch| (branch.name.clone(), branch.state))
        .collect()
}

fn take(branch: &str, force: Force) -> Event {
    let scope = OverrideScope::Branch {
        service: key("shop"),
        branch: branch.into(),
    };
    override_on(scope, force, 100_000_000)
}

#[test]
fn both_centres_share_and_either_alone_takes_all() {
    let mut replica = two_sites(|_| {});
    assert_eq!(replica.addresses(BERLIN), [A, B]);
    replica.rounds(3, &[A]);
    assert_eq!(replica.addresses(BERLIN), [B]);
    assert_eq!(states(&replica)[0], ("city-a".into(), BranchState::Active));
    assert_eq!(states(&replica)[1], ("city-b".into(), BranchState::Standby));
}

#[test]
fn the_standby_answers_only_when_the_city_is_gone_and_gives_back() {
    let mut replica = two_sites(|_| {});
    replica.rounds(3, &[A, B]);
    assert_eq!(replica.addresses(BERLIN), [F]);
    assert_eq!(states(&replica)[0], ("city-a".into(), BranchState::Unable));
    replica.rounds(2, &[]);
    assert_eq!(replica.addresses(BERLIN), [A, B]);
}

#[test]
fn a_delay_holds_the_takeover_and_a_hold_down_the_way_back() {
    let mut replica = two_sites(|standby| {
        standby.takeover.delay_millis = 60_000;
        standby.failback.hold_down_millis = 300_000;
    });
    replica.rounds(3, &[A, B]);
    assert_eq!(
        replica.addresses(BERLIN),
        [A, B],
        "those that were good last, meanwhile"
    );
    assert_eq!(states(&replica)[1], ("city-b".into(), BranchState::Waiting));
    replica.rounds(11, &[A, B]);
    replica.pass(4_999);
    assert_eq!(replica.addresses(BERLIN), [A, B]);
    replica.pass(1);
    assert_eq!(replica.addresses(BERLIN), [F]);
    replica.rounds(2 + 59, &[]);
    replica.pass(4_999);
    assert_eq!(replica.addresses(BERLIN), [F]);
    replica.pass(1);
    assert_eq!(replica.addresses(BERLIN), [A, B]);
}

#[test]
fn a_manual_edge_is_taken_and_given_back_by_a_person() {
    let mut replica = two_sites(|standby| standby.takeover.mode = Transition::Manual);
    replica.rounds(30, &[A, B]);
    assert_eq!(
        replica.addresses(BERLIN),
        [A, B],
        "never the pool behind the untaken edge"
    );
    assert_eq!(states(&replica)[1], ("city-b".into(), BranchState::Waiting));
    replica.tell([take("city-b", Force::Up)]);
    assert_eq!(replica.addresses(BERLIN), [F]);
    // The word is kept when the override goes: giving back is manual too.
    replica.tell([Event::OverrideDeleted(key("by-hand"))]);
    replica.rounds(30, &[]);
    assert_eq!(replica.addresses(BERLIN), [F]);
    replica.rounds(3, &[F]);
    assert_eq!(
        replica.addresses(BERLIN),
        [F],
        "the other city's data may be old"
    );
    replica.tell([take("city-a", Force::Up)]);
    assert_eq!(replica.addresses(BERLIN), [A, B]);
}

#[test]
fn no_rung_of_the_ladder_answers_behind_an_untaken_manual_edge() {
    for when_all_down in [WhenAllDown::LastKnownGood, WhenAllDown::All] {
        let mut standby = branch("city-b", pool(&["frankfurt"]));
        standby.takeover.mode = Transition::Manual;
        let policy = Policy::Failover(vec![branch("city-a", pool(&["beijing-a"])), standby]);
        let spec = ServiceSpec {
            policy,
            when_all_down,
            ..service()
        };
        let mut replica = Replica::with(spec, three());
        replica.rounds(3, &[A]);
        assert_eq!(replica.addresses(BERLIN), [A]);
        replica.rounds(3, &[A, B, F]);
        assert_eq!(replica.addresses(BERLIN), [A]);
    }
}

#[test]
fn fewer_healthy_clusters_than_a_branch_needs_hand_over_and_some_are_better_than_none() {
    let mut city_a = branch("city-a", pool(&["beijing-a", "beijing-b"]));
    city_a.min_healthy = 2;
    let mut city_b = branch("city-b", pool(&["frankfurt"]));
    city_b.min_healthy = 2;
    let policy = Policy::Failover(vec![city_a.clone(), city_b]);
    let mut replica = Replica::with(
        ServiceSpec {
            policy,
            ..service()
        },
        three(),
    );
    replica.rounds(3, &[A]);
    assert_eq!(
        replica.addresses(BERLIN),
        [B],
        "no branch is able: the active one goes on"
    );
    replica.rounds(3, &[A, B]);
    assert_eq!(
        replica.addresses(BERLIN),
        [F],
        "one healthy cluster is better than none"
    );

    let policy = Policy::Failover(vec![city_a, branch("city-b", pool(&["frankfurt"]))]);
    let mut replica = Replica::with(
        ServiceSpec {
            policy,
            ..service()
        },
        three(),
    );
    replica.rounds(3, &[A]);
    assert_eq!(replica.addresses(BERLIN), [F]);
}

#[test]
fn the_counterfactual_tells_what_would_answer() {
    let replica = two_sites(|standby| standby.takeover.delay_millis = 60_000);
    let explained = replica.explain(BERLIN, &["beijing-a", "beijing-b"]);
    assert_eq!(explained.answers[0].answer, F);
    assert_eq!(explained.branches[1].state, BranchState::Active);
    assert_eq!(replica.addresses(BERLIN), [A, B], "and nothing changed");
    let manual = two_sites(|standby| standby.takeover.mode = Transition::Manual);
    let explained = manual.explain(BERLIN, &["beijing-a", "beijing-b"]);
    assert_eq!(explained.branches[1].state, BranchState::Waiting);
}
