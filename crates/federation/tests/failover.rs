//! Failover as a table of times: what the world does, and the replicas that follow.
//!
//! Members are simulated: one that can be reached runs what it is asked to a second later, and a
//! new replica is ready two seconds after that. Time is a number.

use federation::{
    ApiSignal, BrakeSettings, ClusterPreference, DataPlane, DividedReplicas, Drain, FailbackMode,
    FailbackRequest, FailbackSettings, FailoverMode, FailoverSettings, FailoverState,
    MemberSignals, Phase, Preference, PreferenceEventKind, PreferenceInput, PreferencePlan, Role,
    Running, SeenFrom, SpreadBy, SpreadConstraint, SpreadPlace, Suitability, plan_preference,
};
use meridian_federation as federation;
use model::{ClusterName, ObjectKey};
use std::collections::BTreeMap;

/// Seconds until a new replica is ready.
const START_SECS: u64 = 2;

struct World {
    input: PreferenceInput,
    state: FailoverState,
    second: u64,
    /// Per member, when each of its replicas is ready.
    pods: BTreeMap<ClusterName, Vec<u64>>,
    /// The least that was ready and reachable by clients at the end of any second, since asked.
    least_ready: usize,
    events: Vec<(u64, PreferenceEventKind, Option<ClusterName>)>,
    plan: PreferencePlan,
}

impl World {
    /// Members of the demo, running `total` replicas shared out equally.
    fn demo(total: i64) -> Self {
        Self::new(
            &[
                ("beijing-a", "beijing"),
                ("beijing-b", "beijing"),
                ("frankfurt", "frankfurt"),
            ],
            total,
        )
    }

    fn new(members: &[(&str, &str)], total: i64) -> Self {
        let members: BTreeMap<ClusterName, MemberSignals> = members
            .iter()
            .map(|(name, domain)| {
                let signals = MemberSignals {
                    role: Role::Candidate,
                    failure_domain: (*domain).to_owned(),
                    place: SpreadPlace::default(),
                    api: ApiSignal::Up { since_millis: 0 },
                    data_plane: DataPlane::Up { since_millis: 0 },
                    drain: Drain::No,
                    paused: false,
                    running: Running::Known {
                        replicas: 0,
                        ready: 0,
                    },
                    capacity: None,
                    room: None,
                    failback: FailbackRequest::None,
                };
                ((*name).into(), signals)
            })
            .collect();
        let mut world = Self {
            pods: members
                .keys()
                .map(|name| (name.clone(), Vec::new()))
                .collect(),
            input: PreferenceInput {
                key: ObjectKey::new("shop", "web"),
                preference: Preference {
                    total_replicas: total,
                    ..Preference::default()
                },
                failover: FailoverSettings::default(),
                failback: FailbackSettings::default(),
                brake: BrakeSettings::default(),
                suitability: Suitability::Safe,
                released: None,
                members,
            },
            state: FailoverState::default(),
            second: 0,
            least_ready: usize::MAX,
            events: Vec::new(),
            plan: PreferencePlan::default(),
        };
        world.run_until(10);
        world.least_ready = usize::MAX;
        world
    }

    fn member(&mut self, name: &str) -> &mut MemberSignals {
        self.input
            .members
            .get_mut(name)
            .expect("a member of this world")
    }

    fn now_millis(&self) -> u64 {
        self.second * 1000
    }

    /// Lets time pass, second by second, up to and including this one.
    fn run_until(&mut self, second: u64) {
        while self.second < second {
            self.second += 1;
            self.report();
            self.step();
            let ready = self.ready();
            self.least_ready = self.least_ready.min(ready);
        }
    }

    /// Members that can be reached tell what they run.
    fn report(&mut self) {
        for (name, member) in &mut self.input.members {
            if matches!(member.api, ApiSignal::Up { .. }) {
                let pods = &self.pods[name];
                let ready = pods.iter().filter(|at| **at <= self.second).count();
                member.running = Running::Known {
                    replicas: pods.len() as i64,
                    ready: ready as i64,
                };
            }
        }
    }

    /// Plans, and lets members that can be reached do as they are asked.
    fn step(&mut self) {
        self.plan = plan_preference(&self.input, &self.state, self.now_millis());
        self.state = self.plan.state.clone();
        let second = self.second;
        self.events.extend(
            self.plan
                .events
                .iter()
                .map(|event| (second, event.kind, event.cluster.clone())),
        );
        for (name, share) in &self.plan.clusters {
            let reachable = matches!(self.input.members[name].api, ApiSignal::Up { .. });
            if let (DividedReplicas::Set(replicas), true) = (share.divided, reachable) {
                let pods = self.pods.get_mut(name).expect("a member of this world");
                pods.sort_unstable();
                pods.resize(replicas as usize, self.second + START_SECS);
            }
        }
    }

    /// Replicas that are ready and that clients reach.
    fn ready(&self) -> usize {
        self.input
            .members
            .iter()
            .filter(|(_, member)| !matches!(member.data_plane, DataPlane::Down { .. }))
            .map(|(name, _)| {
                self.pods[name]
                    .iter()
                    .filter(|at| **at <= self.second)
                    .count()
            })
            .sum()
    }

    /// The division, in the order of names, as the status shows it.
    fn shown(&self) -> Vec<i64> {
        self.plan
            .clusters
            .values()
            .map(|share| share.replicas)
            .collect()
    }

    #[track_caller]
    fn check(&mut self, second: u64, shown: &[i64]) {
        self.run_until(second);
        let reasons: Vec<&str> = self
            .plan
            .clusters
            .values()
            .map(|share| share.reason.as_str())
            .collect();
        assert_eq!(
            self.shown(),
            shown,
            "at {second} s: {reasons:?} {:?}",
            self.events
        );
    }

    fn api_down(&mut self, name: &str) {
        self.member(name).api = ApiSignal::Down {
            since_millis: self.now_millis(),
        };
    }

    fn api_up(&mut self, name: &str) {
        self.member(name).api = ApiSignal::Up {
            since_millis: self.now_millis(),
        };
    }

    fn data_plane_down(&mut self, name: &str, seen_from: SeenFrom) {
        self.member(name).data_plane = DataPlane::Down {
            since_millis: self.now_millis(),
            seen_from,
        };
    }

    fn data_plane_up(&mut self, name: &str) {
        self.member(name).data_plane = DataPlane::Up {
            since_millis: self.now_millis(),
        };
    }

    fn kill(&mut self, name: &str) {
        self.api_down(name);
        self.data_plane_down(name, SeenFrom::Host);
    }

    fn revive(&mut self, name: &str) {
        self.api_up(name);
        self.data_plane_up(name);
    }

    fn told(&self) -> Vec<PreferenceEventKind> {
        self.events.iter().map(|(_, kind, _)| *kind).collect()
    }
}

#[test]
fn a_hung_api_moves_nothing_while_the_workload_serves() {
    let mut world = World::demo(9);
    world.check(10, &[3, 3, 3]);
    world.api_down("frankfurt");
    for second in (11..400).step_by(10) {
        world.check(second, &[3, 3, 3]);
    }
    assert_eq!(
        world.told(),
        [PreferenceEventKind::FailoverWithheld],
        "told once"
    );
    assert_eq!(world.events[0].0, 310);
    world.api_up("frankfurt");
    world.check(420, &[3, 3, 3]);
    assert_eq!(world.least_ready, 9);
}

#[test]
fn a_dead_member_is_evacuated_and_its_replicas_return_in_steps() {
    let mut world = World::demo(9);
    world.kill("beijing-a");
    world.check(19, &[3, 3, 3]);
    world.check(20, &[0, 5, 4]);
    world.check(40, &[0, 5, 4]);
    assert_eq!(world.ready(), 9);
    world.revive("beijing-a");
    world.least_ready = usize::MAX;
    world.check(100, &[0, 5, 4]);
    assert_eq!(world.pods["beijing-a"].len(), 3, "it keeps what it runs");
    world.check(159, &[0, 5, 4]);
    world.run_until(200);
    world.check(200, &[3, 3, 3]);
    assert_eq!(world.least_ready, 12 - 3, "never below the total");
    assert_eq!(
        world.told(),
        [
            PreferenceEventKind::Failover,
            PreferenceEventKind::FailbackStarted,
            PreferenceEventKind::FailbackDone,
        ]
    );
    assert_eq!(world.events[1].0, 160);
}

/// Three clusters of one region and one of another, which share equally however many they are.
#[test]
fn a_lost_members_replicas_stay_in_its_region_where_regions_are_to_be_even() {
    let domains = [("eu1", "e1"), ("eu2", "e2"), ("eu3", "e3"), ("us1", "u1")];
    let mut world = World::new(&domains, 12);
    world.check(10, &[3, 3, 3, 3]);
    world.input.preference.spread = vec![SpreadConstraint {
        by: SpreadBy::Region,
        min_groups: 2,
        max_skew: Some(1),
    }];
    for (name, _) in domains {
        world.member(name).place.region = Some(name[..2].to_owned());
    }
    world.least_ready = usize::MAX;
    world.check(20, &[2, 2, 2, 6]);
    assert_eq!(world.least_ready, 12, "replacements were ready first");
    world.kill("eu1");
    world.check(40, &[0, 3, 3, 6]);
    assert!(world.plan.unspread.is_empty());

    // A member whose API hangs keeps what it runs, and counts.
    world.api_down("us1");
    world.check(60, &[0, 3, 3, 6]);
}

#[test]
fn a_member_that_comes_back_empty_grows_by_steps_and_the_others_give_up_behind_it() {
    let mut world = World::demo(24);
    world.kill("frankfurt");
    world.run_until(30);
    world.check(30, &[12, 12, 0]);
    world.pods.insert("frankfurt".into(), Vec::new());
    world.revive("frankfurt");
    world.least_ready = usize::MAX;
    let mut seen = vec![];
    while world.second < 220 {
        world.run_until(world.second + 1);
        let now = world.shown()[2];
        if seen.last() != Some(&now) {
            seen.push(now);
        }
    }
    assert_eq!(seen, [0, 2, 4, 6, 8], "a quarter of eight at a time");
    world.check(220, &[8, 8, 8]);
    assert_eq!(world.least_ready, 24);
}

#[test]
fn a_member_with_an_unknown_data_plane_is_given_a_minute() {
    let mut world = World::demo(9);
    world.member("beijing-a").data_plane = DataPlane::Unknown;
    world.api_down("beijing-a");
    world.check(69, &[3, 3, 3]);
    world.check(70, &[0, 5, 4]);
}

#[test]
fn a_dead_data_plane_alone_moves_nothing() {
    let mut world = World::demo(9);
    world.data_plane_down("beijing-a", SeenFrom::Outside);
    world.check(500, &[3, 3, 3]);
    assert!(world.told().is_empty());
}

#[test]
fn a_loss_that_ends_in_time_moves_nothing() {
    let mut world = World::demo(9);
    world.kill("beijing-a");
    world.run_until(19);
    world.revive("beijing-a");
    world.check(100, &[3, 3, 3]);
    assert!(world.told().is_empty());
}

#[test]
fn a_whole_city_may_be_lost_without_a_brake() {
    let mut world = World::demo(9);
    world.kill("beijing-a");
    world.kill("beijing-b");
    world.check(20, &[0, 0, 9]);
    assert!(world.plan.braked.is_none());
}

#[test]
fn two_domains_lost_at_once_are_not_believed_until_confirmed_or_released() {
    let members = [("a", "berlin"), ("b", "paris"), ("c", "rome")];
    let lose_two = || {
        let mut world = World::new(&members, 9);
        world.kill("a");
        world.run_until(15);
        world.kill("b");
        world.check(100, &[3, 3, 3]);
        assert!(world.plan.braked.is_some());
        assert_eq!(world.told(), [PreferenceEventKind::FailoverBraked]);
        world
    };
    let mut confirmed = lose_two();
    confirmed.data_plane_down("a", SeenFrom::Outside);
    confirmed.data_plane_down("b", SeenFrom::Outside);
    confirmed.check(110, &[0, 0, 9]);
    let mut released = lose_two();
    released.input.released = Some("both centres burn".to_owned());
    released.check(101, &[0, 0, 9]);
    let mut recovered = lose_two();
    recovered.revive("b");
    recovered.check(101, &[0, 4, 5]);
}

#[test]
fn the_last_cluster_that_serves_is_never_evacuated() {
    let mut world = World::new(&[("a", "berlin"), ("b", "berlin")], 4);
    world.kill("a");
    world.kill("b");
    world.check(500, &[2, 2]);
    assert!(world.told().is_empty());
    world.revive("b");
    world.check(501, &[0, 4]);
}

#[test]
fn a_new_leader_moves_nothing_before_its_own_thresholds() {
    let mut world = World::demo(9);
    world.kill("beijing-a");
    world.check(20, &[0, 5, 4]);
    world.run_until(30);
    // Its clock begins anew; it knows phases from the status, but no health and no replicas.
    let mut leader = World::demo(9);
    leader.state.phases = world.state.phases.clone();
    leader.pods = world.pods.clone();
    leader.second = 0;
    for member in leader.input.members.values_mut() {
        member.api = ApiSignal::Unknown;
        member.data_plane = DataPlane::Unknown;
        member.running = Running::Unknown;
    }
    leader.run_until(5);
    let asked = |leader: &World| -> Vec<DividedReplicas> {
        leader
            .plan
            .clusters
            .values()
            .map(|share| share.divided)
            .collect()
    };
    let (lost, keep) = (DividedReplicas::Lost, DividedReplicas::Keep);
    assert_eq!(asked(&leader), [lost, keep, keep]);
    for name in ["beijing-b", "frankfurt"] {
        leader.revive(name);
    }
    leader.check(12, &[0, 5, 4]);
    leader.kill("beijing-a");
    leader.check(60, &[0, 5, 4]);
}

#[test]
fn a_new_leader_that_knows_no_phases_takes_no_ready_replica_away() {
    let mut world = World::demo(9);
    world.kill("beijing-a");
    world.run_until(40);
    world.state = FailoverState::default();
    world.api_down("beijing-a");
    world.least_ready = usize::MAX;
    world.run_until(80);
    world.check(80, &[0, 5, 4]);
    assert_eq!(world.least_ready, 9);
}

#[test]
fn manual_fail_back_waits_for_a_person() {
    let mut world = World::demo(9);
    world.input.failback.mode = FailbackMode::Manual;
    world.kill("beijing-a");
    world.run_until(30);
    world.revive("beijing-a");
    world.check(1000, &[0, 5, 4]);
    world.member("beijing-a").failback = FailbackRequest::Requested;
    world.check(1040, &[3, 3, 3]);
}

#[test]
fn a_return_that_fails_again_is_evacuated_again() {
    let mut world = World::demo(24);
    world.kill("frankfurt");
    world.run_until(30);
    world.pods.insert("frankfurt".into(), Vec::new());
    world.revive("frankfurt");
    world.run_until(152);
    assert!(matches!(
        world.plan.clusters["frankfurt"].phase,
        Phase::Returning { .. }
    ));
    world.kill("frankfurt");
    world.run_until(170);
    world.check(170, &[12, 12, 0]);
}

#[test]
fn what_may_not_run_twice_stays_unless_told_otherwise() {
    let mut world = World::demo(9);
    world.input.suitability = Suitability::Unsafe;
    world.kill("beijing-a");
    world.check(200, &[3, 3, 3]);
    assert_eq!(world.told(), [PreferenceEventKind::FailoverWithheld]);
    world.input.failover.mode = FailoverMode::Auto;
    world.check(201, &[0, 5, 4]);
    assert_eq!(world.plan.warnings.len(), 1);
}

#[test]
fn a_drain_waits_for_traffic_and_makes_before_it_breaks() {
    let mut world = World::demo(9);
    world.member("frankfurt").drain = Drain::Requested;
    world.check(100, &[3, 3, 3]);
    world.member("frankfurt").drain = Drain::Drained;
    world.run_until(101);
    assert_eq!(world.shown()[2], 3, "replacements are not ready yet");
    world.check(120, &[4, 5, 0]);
    assert_eq!(world.least_ready, 9);
    world.member("frankfurt").drain = Drain::No;
    world.check(160, &[3, 3, 3]);
    assert_eq!(world.least_ready, 9);
}

#[test]
fn a_change_of_weights_makes_before_it_breaks() {
    let mut world = World::demo(9);
    world.input.preference.rebalance = true;
    let weight = |weight| ClusterPreference {
        weight,
        ..ClusterPreference::default()
    };
    world.input.preference.clusters = [
        ("beijing-a".to_owned(), weight(2)),
        ("*".to_owned(), weight(1)),
    ]
    .into();
    world.run_until(11);
    assert_eq!(
        world.shown().iter().sum::<i64>(),
        11,
        "two more than asked for, for a while"
    );
    world.check(20, &[5, 3, 1]);
    assert_eq!(world.least_ready, 9);
}

#[test]
fn fewer_in_all_are_taken_at_once_and_more_are_started_at_once() {
    let mut world = World::demo(9);
    world.input.preference.total_replicas = 3;
    world.check(11, &[1, 1, 1]);
    world.input.preference.total_replicas = 12;
    world.check(12, &[4, 4, 4]);
}

#[test]
fn a_cluster_that_is_no_candidate_any_more_gives_its_replicas_up_behind_the_others() {
    let mut world = World::demo(9);
    world.member("frankfurt").role = Role::Bystander;
    world.run_until(11);
    assert_eq!(world.shown(), [4, 5, 3]);
    world.check(20, &[4, 5]);
    assert_eq!(world.least_ready, 9);
}

#[test]
fn a_maximum_is_obeyed_although_nobody_takes_what_is_above_it() {
    let mut world = World::demo(9);
    let bounds = |max_replicas| ClusterPreference {
        min_replicas: 0,
        max_replicas,
        weight: 1,
    };
    world.input.preference.clusters = BTreeMap::from([
        ("beijing-a".to_owned(), bounds(Some(1))),
        ("frankfurt".to_owned(), bounds(Some(4))),
    ]);
    world.run_until(30);
    let run: Vec<usize> = world.pods.values().map(Vec::len).collect();
    assert_eq!(run, [1, 0, 4]);
    assert!(world.least_ready >= 5, "{}", world.least_ready);
}

#[test]
fn a_preference_that_gives_replicas_to_nobody_takes_none_away_and_says_so() {
    let mut world = World::demo(9);
    world.run_until(10);
    let before = world.shown();
    let nobody = ClusterPreference {
        min_replicas: 0,
        max_replicas: Some(0),
        weight: 1,
    };
    world.input.preference.clusters = BTreeMap::from([("frankfurt".to_owned(), nobody)]);
    world.run_until(20);
    world.member("beijing-a").role = Role::Bystander;
    world.run_until(30);
    assert_eq!(world.shown(), before);
    for (name, share) in &world.plan.clusters {
        assert_eq!(share.goal, share.replicas, "{name}: {share:?}");
        assert!(share.reason.contains("to nobody"), "{name}: {share:?}");
    }
}

#[test]
fn what_a_cluster_without_a_weight_does_not_get_is_not_waited_for() {
    let mut world = World::demo(9);
    let bounds = |weight, max_replicas| ClusterPreference {
        min_replicas: 1,
        max_replicas: Some(max_replicas),
        weight,
    };
    let (small, large) = ("beijing-a".to_owned(), "beijing-b".to_owned());
    let third = "frankfurt".to_owned();
    let clusters = &mut world.input.preference.clusters;
    *clusters = [
        (small.clone(), bounds(0, 1)),
        (large, bounds(1, 4)),
        (third.clone(), bounds(1, 4)),
    ]
    .into();
    world.check(30, &[1, 4, 4]);
    let clusters = &mut world.input.preference.clusters;
    clusters.insert(small, bounds(0, 3));
    clusters.remove(&third);
    world.check(60, &[1, 4, 0]);
}

#[test]
fn who_is_no_longer_named_keeps_what_has_no_place_elsewhere() {
    let mut world = World::demo(9);
    let bounds = ClusterPreference {
        min_replicas: 0,
        max_replicas: None,
        weight: 1,
    };
    world.input.preference.clusters = ["beijing-a", "beijing-b"]
        .map(|name| (name.to_owned(), bounds))
        .into();
    world.member("beijing-a").capacity = Some(4);
    world.member("beijing-b").capacity = Some(3);
    world.run_until(30);
    assert_eq!((world.least_ready, world.ready()), (9, 9));
    assert_eq!(world.pods["frankfurt"].len(), 2);
    world.member("beijing-b").capacity = None;
    world.check(60, &[4, 5, 0]);
}

#[test]
fn a_lost_clusters_replicas_go_where_nodes_have_room_and_what_fits_nowhere_goes_by_weight() {
    // Six in each; the lost one's six would be halved.
    let mut world = World::demo(18);
    world.member("beijing-b").room = Some(7);
    world.member("frankfurt").room = Some(30);
    let lost = world.second + 1;
    let since_millis = lost * 1000;
    let member = world.member("beijing-a");
    member.api = ApiSignal::Down { since_millis };
    member.data_plane = DataPlane::Down {
        since_millis,
        seen_from: SeenFrom::Host,
    };
    world.check(lost + 60, &[0, 7, 11]);
    let words = &world.plan.clusters["beijing-b"].reason;
    assert!(words.contains("its nodes have room for no more"), "{words}");
    // Room that goes again takes nothing away.
    world.member("frankfurt").room = Some(2);
    world.check(lost + 70, &[0, 7, 11]);
    // One more fits nowhere: it is asked for all the same, so that nodes can be added for it.
    world.input.preference.total_replicas = 20;
    world.run_until(lost + 80);
    assert_eq!(world.shown().iter().sum::<i64>(), 20);
}

#[test]
fn the_share_of_a_member_that_nobody_has_seen_is_no_reason_to_take_from_others() {
    let mut world = World::demo(9);
    let lost = world.member("beijing-a");
    lost.api = ApiSignal::Unknown;
    lost.data_plane = DataPlane::Unknown;
    lost.running = Running::Unknown;
    let runs = |replicas, ready| Running::Known { replicas, ready };
    let asked = |world: &World| {
        let plan = plan_preference(&world.input, &world.state, world.now_millis());
        ["beijing-b", "frankfurt"].map(|name| plan.clusters[name].replicas)
    };
    // It may run three, or none: who starts what is missing goes on.
    world.member("frankfurt").running = runs(5, 3);
    assert_eq!(asked(&world), [3, 5]);
    // With ten elsewhere, one of those that are not ready is too many whatever it runs.
    world.member("beijing-b").running = runs(5, 5);
    assert_eq!(asked(&world), [5, 4]);
    // Once it is seen to run its three, those that are not ready go.
    world.member("beijing-a").running = runs(3, 3);
    assert_eq!(asked(&world)[1], 3);
}

#[test]
fn a_preference_for_clusters_that_are_not_there_takes_nothing_away() {
    let mut world = World::demo(9);
    let bounds = ClusterPreference {
        min_replicas: 0,
        max_replicas: None,
        weight: 1,
    };
    world.input.preference.clusters = BTreeMap::from([("atlantis".to_owned(), bounds)]);
    world.run_until(30);
    assert_eq!((world.least_ready, world.ready()), (9, 9));
}

#[test]
fn maxima_hold_in_a_failover_too() {
    let mut world = World::demo(9);
    let bounds = ClusterPreference {
        weight: 1,
        max_replicas: Some(4),
        min_replicas: 0,
    };
    world.input.preference.clusters = [("*".to_owned(), bounds)].into();
    world.kill("beijing-a");
    world.check(30, &[0, 4, 4]);
}

#[test]
fn what_was_planned_is_explained_and_tells_when_to_look_again() {
    let mut world = World::demo(9);
    world.kill("beijing-a");
    world.run_until(12);
    assert_eq!(world.plan.wake_at_millis, Some(20_000));
    let reason = &world.plan.clusters["beijing-a"].reason;
    assert_eq!(
        reason,
        "kept: API and data plane are down; its replicas move if that lasts 10 s"
    );
    world.run_until(21);
    let reason = &world.plan.clusters["beijing-a"].reason;
    assert_eq!(
        reason,
        "API and data plane are down: its replicas are elsewhere"
    );
    assert_eq!(world.plan.wake_at_millis, None);
}

#[test]
fn a_plan_survives_being_written_down() {
    let mut world = World::demo(9);
    world.kill("beijing-a");
    world.run_until(20);
    let text = serde_json::to_string(&(&world.input, &world.plan)).unwrap();
    let (input, plan): (PreferenceInput, PreferencePlan) = serde_json::from_str(&text).unwrap();
    assert_eq!((input, plan), (world.input, world.plan));
}

mod any_world {
    //! What holds in every world, however it came to be.

    use super::*;
    use proptest::prelude::*;

    const NOW_MILLIS: u64 = 1_000_000;

    fn api() -> impl Strategy<Value = ApiSignal> {
        prop_oneof![
            Just(ApiSignal::Unknown),
            (0..NOW_MILLIS).prop_map(|since_millis| ApiSignal::Up { since_millis }),
            (0..NOW_MILLIS).prop_map(|since_millis| ApiSignal::Down { since_millis }),
        ]
    }

    fn data_plane() -> impl Strategy<Value = DataPlane> {
        let seen = prop_oneof![Just(SeenFrom::Host), Just(SeenFrom::Outside)];
        prop_oneof![
            Just(DataPlane::Unknown),
            (0..NOW_MILLIS).prop_map(|since_millis| DataPlane::Up { since_millis }),
            (0..NOW_MILLIS, seen).prop_map(|(since_millis, seen_from)| DataPlane::Down {
                since_millis,
                seen_from
            }),
        ]
    }

    fn running() -> impl Strategy<Value = Running> {
        prop_oneof![
            Just(Running::Unknown),
            (0..20i64, 0..20i64).prop_map(|(replicas, ready)| Running::Known { replicas, ready }),
        ]
    }

    fn signals() -> impl Strategy<Value = MemberSignals> {
        let role = prop_oneof![4 => Just(Role::Candidate), 1 => Just(Role::Bystander)];
        let drain = prop_oneof![4 => Just(Drain::No), 1 => Just(Drain::Requested), 1 => Just(Drain::Drained)];
        (
            role,
            0..3u8,
            api(),
            data_plane(),
            drain,
            running(),
            proptest::option::of(0..20i64),
            proptest::option::of(0..20i64),
        )
            .prop_map(
                |(role, domain, api, data_plane, drain, running, capacity, room)| MemberSignals {
                    role,
                    failure_domain: format!("d{domain}"),
                    place: SpreadPlace::default(),
                    api,
                    data_plane,
                    drain,
                    paused: false,
                    running,
                    capacity,
                    room,
                    failback: FailbackRequest::None,
                },
            )
    }

    fn phase() -> impl Strategy<Value = Phase> {
        prop_oneof![
            3 => Just(Phase::Serving),
            1 => Just(Phase::Evacuated),
            1 => (1..5u32).prop_map(|step| Phase::Returning { step }),
            1 => Just(Phase::Drained),
        ]
    }

    fn worlds() -> impl Strategy<Value = (PreferenceInput, FailoverState)> {
        let members = proptest::collection::vec((signals(), phase(), 0..4i64, 0..5i64), 1..6);
        (members, 0..40i64, any::<bool>()).prop_map(|(rows, total_replicas, rebalance)| {
            let mut input = PreferenceInput {
                key: ObjectKey::new("shop", "web"),
                preference: Preference {
                    total_replicas,
                    rebalance,
                    ..Preference::default()
                },
                failover: FailoverSettings::default(),
                failback: FailbackSettings::default(),
                brake: BrakeSettings::default(),
                suitability: Suitability::Safe,
                released: None,
                members: BTreeMap::new(),
            };
            let mut state = FailoverState::default();
            for (index, (signals, phase, weight, min_replicas)) in rows.into_iter().enumerate() {
                let name = format!("c{index}");
                let bounds = ClusterPreference {
                    weight,
                    min_replicas,
                    max_replicas: None,
                };
                input.preference.clusters.insert(name.clone(), bounds);
                state.phases.insert(name.as_str().into(), phase);
                input.members.insert(name.into(), signals);
            }
            (input, state)
        })
    }

    fn ready(member: &MemberSignals) -> i64 {
        match member.running {
            Running::Known { replicas, ready } => ready.min(replicas),
            Running::Unknown => 0,
        }
    }

    proptest! {
        /// What the plan takes away is spare: ready, serving, and beyond what is wanted.
        #[test]
        fn no_ready_replica_is_taken_that_is_needed((input, state) in worlds()) {
            let plan = plan_preference(&input, &state, NOW_MILLIS);
            let serving: i64 = plan.clusters.iter()
                .filter(|(_, share)| share.phase != Phase::Evacuated)
                .map(|(name, _)| &input.members[name])
                .filter(|member| !matches!(member.data_plane, DataPlane::Down { .. }))
                .map(ready)
                .sum();
            let taken: i64 = plan.clusters.iter()
                .map(|(name, share)| match share.divided {
                    DividedReplicas::Set(replicas) => (ready(&input.members[name]) - replicas).max(0),
                    DividedReplicas::Keep | DividedReplicas::Lost => 0,
                })
                .sum();
            // What is given to nobody is not waited for; more than that is, where one is full.
            let total = input.preference.total_replicas;
            let one_is_full = input.members.values().any(|member| member.capacity.is_some());
            let wanted = match plan.clusters.values().map(|share| share.goal).sum() {
                0 if !one_is_full => total,
                given => total.min(given),
            };
            let spare = (serving - wanted).max(0);
            prop_assert!(taken <= spare, "{taken} taken, {spare} spare: {plan:#?}");
        }

        /// Nothing is asked of a member whose API is not up, and a plan follows from its input.
        #[test]
        fn a_member_in_doubt_keeps_what_it_runs((input, state) in worlds()) {
            let plan = plan_preference(&input, &state, NOW_MILLIS);
            prop_assert_eq!(&plan, &plan_preference(&input, &state, NOW_MILLIS));
            for (name, share) in &plan.clusters {
                let member = &input.members[name];
                let up = matches!(member.api, ApiSignal::Up { .. });
                let asked = matches!(share.divided, DividedReplicas::Set(_));
                prop_assert!(up || !asked, "{name}");
                prop_assert!(!share.reason.is_empty(), "{name} has no reason");
            }
        }

        /// At most one step of every return is taken for one sight of the world, and the same
        /// world then changes nothing more.
        #[test]
        fn planning_again_changes_no_phase((input, state) in worlds()) {
            let first = plan_preference(&input, &state, NOW_MILLIS);
            let second = plan_preference(&input, &first.state, NOW_MILLIS);
            prop_assert_eq!(&second.state, &first.state);
            prop_assert_eq!(second.division(), first.division());
            prop_assert!(second.events.is_empty(), "{:?}", second.events);
        }
    }
}
