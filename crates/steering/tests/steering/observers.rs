//! Several observers, one who doubts itself, and what a replica reports.

use crate::harness::*;
use meridian_steering::*;
use model::Verdict;

fn observer(name: &str) -> Observer {
    Observer {
        name: name.into(),
        domain: name.into(),
        contact: None,
    }
}

/// What another observer says of the three sites.
fn report(name: &str, at_millis: u64, verdicts: [Verdict; 3]) -> Event {
    let sites = [("beijing-a", A), ("beijing-b", B), ("frankfurt", F)];
    let verdicts = sites
        .iter()
        .zip(verdicts)
        .map(|((cluster, target), verdict)| ReportedVerdict {
            endpoint: id(cluster, target),
            verdict,
            since_millis: at_millis,
            reason: None,
            late: false,
            overdue: false,
        });
    Event::Reported(Box::new(ProbeReportValue {
        challenges: 0,
        unresolved: Default::default(),
        observer: name.into(),
        domain: name.into(),
        at_millis,
        abstains: false,
        verdicts: verdicts.collect(),
        generations: Default::default(),
        named: vec![],
    }))
}

const ALL_UP: [Verdict; 3] = [Verdict::Up, Verdict::Up, Verdict::Up];

fn with_others(others: &[&str]) -> Replica {
    let mut replica = Replica::with(service(), three());
    let registered = others
        .iter()
        .map(|name| observer(name))
        .chain([observer("replica-1")]);
    replica.tell([Event::Observers(registered.collect())]);
    for name in others {
        replica.tell([report(name, replica.now, ALL_UP)]);
    }
    replica
}

#[test]
fn one_of_three_observers_that_says_up_is_enough() {
    let mut replica = with_others(&["replica-2", "replica-3"]);
    replica.rounds(3, &[F]);
    assert_eq!(replica.addresses(BERLIN), [F]);
    let now = replica.now;
    replica.tell([report(
        "replica-2",
        now,
        [Verdict::Up, Verdict::Up, Verdict::Down],
    )]);
    assert_eq!(replica.addresses(BERLIN), [F]);
    replica.tell([report(
        "replica-3",
        now,
        [Verdict::Up, Verdict::Up, Verdict::Down],
    )]);
    assert_eq!(replica.addresses(BERLIN), [A, B]);
    assert_eq!(replica.status().endpoints[2].observers.len(), 3);
}

#[test]
fn an_observer_that_falls_silent_holds_nothing_up() {
    let mut replica = with_others(&["replica-2"]);
    replica.rounds(3, &[F]);
    assert_eq!(replica.addresses(BERLIN), [F]);
    replica.pass(30_000);
    assert_eq!(replica.addresses(BERLIN), [A, B]);
}

#[test]
fn an_observer_whose_uplink_is_gone_changes_nothing() {
    let mut replica = with_others(&["replica-2", "replica-3"]);
    replica.rounds(3, &[A, B, F]);
    assert!(replica.report.as_ref().unwrap().abstains);
    // Even when nobody else is heard.
    replica.pass(60_000);
    assert_eq!(replica.addresses(BERLIN), [F]);
    assert_eq!(replica.addresses(BEIJING), [A, B]);
    replica.rounds(2, &[]);
    assert!(!replica.report.as_ref().unwrap().abstains);
}

#[test]
fn most_targets_lost_at_once_is_believed_when_observers_elsewhere_lost_them_too() {
    let mut replica = with_others(&["replica-2", "replica-3"]);
    replica.rounds(3, &[A, B]);
    assert_eq!(replica.addresses(BEIJING), [A, B]);
    let now = replica.now;
    replica.tell([report(
        "replica-2",
        now,
        [Verdict::Down, Verdict::Down, Verdict::Up],
    )]);
    replica.tell([report(
        "replica-3",
        now,
        [Verdict::Down, Verdict::Down, Verdict::Up],
    )]);
    assert_eq!(replica.addresses(BEIJING), [F]);
}

#[test]
fn a_single_observer_believes_itself_unless_its_control_targets_are_silent() {
    let mut replica = Replica::with(service(), three());
    replica.rounds(3, &[A, B]);
    assert_eq!(replica.addresses(BEIJING), [F]);
    replica.rounds(3, &[]);
    replica.tell([Event::ControlTargets { answered: 0, of: 2 }]);
    replica.rounds(3, &[A, B]);
    assert_eq!(replica.addresses(BEIJING), [A, B]);
    replica.tell([Event::ControlTargets { answered: 1, of: 2 }]);
    assert_eq!(replica.addresses(BEIJING), [F]);
}

#[test]
fn branches_move_only_while_most_observers_are_heard() {
    let mut replica = with_others(&["replica-2", "replica-3", "replica-4"]);
    let policy = Policy::Failover(vec![
        branch("first", pool(&["beijing-a", "beijing-b"])),
        branch("second", pool(&["frankfurt"])),
    ]);
    let when_all_down = WhenAllDown::NoData;
    replica.tell([Event::ServiceApplied(Box::new(ServiceSpec {
        policy,
        when_all_down,
        ..service()
    }))]);
    replica.pass(60_000);
    replica.rounds(3, &[A]);
    replica.pass(120_000);
    assert_eq!(
        replica.addresses(BERLIN),
        [B],
        "withdrawn inside the active branch"
    );
    replica.rounds(3, &[A, B]);
    assert_eq!(replica.addresses(BERLIN), [B], "but never its last");
    let down = [Verdict::Down, Verdict::Down, Verdict::Up];
    for name in ["replica-2", "replica-3"] {
        replica.tell([report(name, replica.now, down)]);
    }
    assert_eq!(
        replica.addresses(BERLIN),
        [F],
        "three of four are a majority"
    );
}

#[test]
fn a_report_goes_out_on_change_and_as_a_heartbeat() {
    let mut replica = Replica::with(service(), three());
    replica.rounds(1, &[]);
    let first = replica.report.take().map(|report| report.at_millis);
    replica.round(&[]);
    assert_eq!(replica.report, None, "nothing new to say");
    replica.pass(10_000);
    let heartbeat = replica.report.take().unwrap();
    assert!(heartbeat.at_millis > first.unwrap_or(START));
    assert_eq!(heartbeat.generations["shop/shop"], 1);
    replica.rounds(3, &[F]);
    let changed = replica.report.take().unwrap();
    let frankfurt = &changed.verdicts[2];
    assert_eq!(
        (frankfurt.verdict, frankfurt.reason.as_deref()),
        (Verdict::Down, Some("connection refused"))
    );
}

#[test]
fn a_report_tells_when_a_cluster_was_last_named_and_for_how_long_it_may_be_cached() {
    let mut replica = Replica::with(service(), three());
    let named = |replica: &Replica, cluster: &str| {
        let report = replica.report.as_ref().unwrap();
        report
            .named
            .iter()
            .find(|it| it.cluster.as_str() == cluster)
            .unwrap()
            .clone()
    };
    assert_eq!(named(&replica, "frankfurt").until_millis, None);
    assert_eq!(named(&replica, "frankfurt").services, [key("shop")]);
    replica.rounds(3, &[F]);
    let gone = named(&replica, "frankfurt");
    assert_eq!(gone.until_millis, Some(replica.now));
    assert_eq!((gone.ttl_secs_max, gone.services.len()), (15, 0));
}

#[test]
fn a_report_that_comes_late_over_another_way_changes_nothing() {
    let mut replica = with_others(&["replica-2", "replica-3"]);
    let down = [Verdict::Up, Verdict::Up, Verdict::Down];
    replica.rounds(3, &[F]);
    let before = replica.now - 1_000;
    for name in ["replica-2", "replica-3"] {
        replica.tell([report(name, replica.now, down)]);
        replica.tell([report(name, before, ALL_UP)]);
    }
    assert_eq!(replica.addresses(BERLIN), [A, B]);
    // One whose clock was set back is heard again when its last word is forgotten.
    replica.pass(REPORT_LIFE_MILLIS);
    replica.tell([report("replica-2", before, ALL_UP)]);
    assert_eq!(replica.addresses(BERLIN), [F]);
}

#[test]
fn whom_to_exchange_reports_with_is_told_and_outlives_a_restart() {
    let mut replica = with_others(&[]);
    let contact = Contact {
        address: Some("192.0.2.53:8530".into()),
        certificate: "ab".repeat(32),
    };
    let mut other = observer("replica-2");
    other.contact = Some(contact);
    replica.tell([Event::Observers(vec![observer("replica-1"), other.clone()])]);
    replica.tell([Event::Host(HostContact::Lost)]);
    let peers = Peers {
        known: vec![other],
        host: HostContact::Lost,
    };
    assert_eq!(replica.peers.as_ref(), Some(&peers));
    let checkpoint = replica.engine.checkpoint(replica.now);
    let (_, effects) =
        Engine::restore(options("replica-1"), checkpoint, replica.now).expect("its own checkpoint");
    let mut told = effects.into_iter().filter_map(|effect| match effect {
        Effect::Peers(peers) => Some(peers),
        _ => None,
    });
    assert_eq!(told.next(), Some(peers), "without the host, from the start");
}

#[test]
fn a_witness_probes_and_is_counted_and_holds_nobody_up() {
    let witnesses = EngineOptions {
        part: Part::Witnesses,
        ..options("witness")
    };
    let mut witness = Replica::from_engine(Engine::new(witnesses));
    witness.tell(world(service(), three()));
    witness.tell([Event::Synced, Event::Observers(vec![observer("replica-1")])]);
    witness.rounds(3, &[F]);
    let told = witness.report.clone().expect("it reports");
    let verdicts: Vec<_> = told.verdicts.iter().map(|it| it.verdict).collect();
    assert_eq!(verdicts, [Verdict::Up, Verdict::Up, Verdict::Down]);
    assert_eq!((told.generations.len(), told.named.len()), (0, 0));

    let mut replica = with_others(&["replica-2", "witness"]);
    replica.tell([report("replica-2", replica.now, ALL_UP)]);
    replica.tell([Event::Reported(Box::new(told))]);
    let observers = &replica.status().endpoints[2].observers;
    assert!(observers.contains(&("witness".into(), Verdict::Down)));
}

#[test]
fn a_listener_combines_what_observers_report_and_neither_probes_nor_reports() {
    let listens = EngineOptions {
        part: Part::Listens,
        ..options("leader")
    };
    let mut leader = Replica::from_engine(Engine::new(listens));
    leader.tell(world(service(), three()));
    leader.tell([Event::Synced, Event::Observers(vec![observer("replica-1")])]);
    leader.pass(60_000);
    assert_eq!(leader.standing(F), Standing::Unknown);
    leader.tell([report(
        "replica-1",
        leader.now,
        [Verdict::Up, Verdict::Up, Verdict::Down],
    )]);
    assert_eq!(
        (leader.standing(A), leader.standing(F)),
        (Standing::Healthy, Standing::Down)
    );
    assert_eq!(
        leader.status().endpoints[0].observers,
        [("replica-1".into(), Verdict::Up)]
    );
    assert!(leader.probes.is_empty() && leader.report.is_none());
}

#[test]
fn a_branch_that_is_to_take_over_by_itself_says_when_too_few_would_be_left_to_agree() {
    let policy = Policy::Failover(vec![
        branch("first", pool(&["beijing-a"])),
        branch("second", pool(&["frankfurt"])),
    ]);
    let mut replica = Replica::with(
        ServiceSpec {
            policy,
            ..service()
        },
        three(),
    );
    let register = |replica: &mut Replica, domains: &[&str]| {
        let observer = |(at, domain): (usize, &&str)| Observer {
            name: format!("other-{at}").as_str().into(),
            domain: (*domain).to_owned(),
            contact: None,
        };
        let others = domains.iter().enumerate().map(observer).collect();
        replica.tell([Event::Observers(others)]);
        replica.status().observers_too_few.clone()
    };
    assert_eq!(register(&mut replica, &[]), None, "it is elsewhere itself");
    let (here, there) = ("cn-beijing", "eu-central-1");
    let told = register(&mut replica, &[here, here]).expect("one of three is left");
    assert!(
        told.starts_with("policy.failover[1].takeover: second"),
        "{told}"
    );
    assert!(told.contains("1 of 3 observers are left"), "{told}");
    assert_eq!(register(&mut replica, &[here, there]), None);
}

#[test]
fn of_very_many_services_the_snapshot_comes_first_and_the_report_right_after_it() {
    let mut replica = Replica::with(service(), three());
    let others = (0..1_000).map(|at| {
        let spec = ServiceSpec {
            key: key(&format!("other-{at}")),
            hosts: vec![format!("other-{at}.example.org")],
            ..service()
        };
        Event::ServiceApplied(Box::new(spec))
    });
    replica.tell(others);
    replica.pass(1);
    let down = |replica: &Replica| {
        let report = replica.report.as_ref().expect("a report");
        let down = report
            .verdicts
            .iter()
            .filter(|it| it.verdict == Verdict::Down);
        down.count()
    };
    for _ in 0..3 {
        replica.pass(5_000);
        replica.tell([result(id("frankfurt", F), true)]);
    }
    assert_eq!(
        (replica.addresses(BERLIN), down(&replica)),
        (vec![A.to_owned(), B.to_owned()], 0)
    );
    replica.pass(1);
    assert_eq!(down(&replica), 1);
}
