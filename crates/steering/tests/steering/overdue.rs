//! A checker that hangs: its observer has no say, and others decide.

use crate::harness::*;
use meridian_steering::*;
use model::Verdict::{self, Down, Unknown, Up};

/// Three intervals and a timeout, at the defaults, and the next look after that.
const NOTICED: u64 = 3 * 5_000 + 2_000 + 5_000;

fn observer(name: &str) -> Observer {
    Observer {
        name: name.into(),
        domain: name.into(),
        contact: None,
    }
}

/// What another observer says of Frankfurt, all else being up; of what is overdue it says nothing.
fn report(name: &str, at_millis: u64, frankfurt: Verdict, overdue: bool) -> Event {
    let verdict = |cluster, target, verdict| ReportedVerdict {
        endpoint: id(cluster, target),
        verdict: if overdue { Unknown } else { verdict },
        since_millis: at_millis,
        reason: None,
        late: false,
        overdue,
    };
    Event::Reported(Box::new(ProbeReportValue {
        observer: name.into(),
        domain: name.into(),
        at_millis,
        abstains: false,
        verdicts: vec![
            verdict("beijing-a", A, Up),
            verdict("beijing-b", B, Up),
            verdict("frankfurt", F, frankfurt),
        ],
        generations: Default::default(),
        named: vec![],
        challenges: 0,
        unresolved: Default::default(),
    }))
}

fn with_two_others(spec: ServiceSpec) -> Replica {
    let mut replica = Replica::with(spec, three());
    let all = ["replica-1", "replica-2", "replica-3"].map(observer);
    replica.tell([Event::Observers(all.into())]);
    replica
}

/// Time in which no probe of this replica ends, while the others go on.
fn hang(replica: &mut Replica, frankfurt: Verdict) {
    for _ in 0..NOTICED.div_ceil(5_000) {
        replica.pass(5_000);
        for name in ["replica-2", "replica-3"] {
            replica.tell([report(name, replica.now, frankfurt, false)]);
        }
    }
}

#[test]
fn whose_probes_hang_cannot_hold_an_endpoint_up() {
    let mut replica = with_two_others(service());
    replica.rounds(1, &[]);
    assert_eq!(replica.addresses(BERLIN), [F]);
    for name in ["replica-2", "replica-3"] {
        replica.tell([report(name, replica.now, Down, false)]);
    }
    assert_eq!(replica.addresses(BERLIN), [F], "it sees Frankfurt itself");
    hang(&mut replica, Down);
    assert_eq!(replica.addresses(BERLIN), [A, B]);
    let said = replica.report.clone().expect("it reports");
    let words: Vec<_> = said
        .verdicts
        .iter()
        .map(|it| (it.verdict, it.overdue))
        .collect();
    assert_eq!(words, [(Unknown, true); 3]);
    assert!(said.verdicts[2].reason.is_some(), "and says why");

    // They end again, and what they find counts at once.
    replica.round(&[]);
    assert_eq!(replica.addresses(BERLIN), [F]);
    let said = replica.report.clone().expect("it reports");
    assert!(
        said.verdicts
            .iter()
            .all(|it| it.verdict == Up && !it.overdue)
    );
}

#[test]
fn whose_probes_hang_cannot_take_an_endpoint_down_alone() {
    let mut replica = with_two_others(service());
    replica.rounds(3, &[F]);
    hang(&mut replica, Up);
    assert_eq!(replica.addresses(BERLIN), [F]);
    // Nobody else can say either: what was known holds.
    for name in ["replica-2", "replica-3"] {
        replica.tell([report(name, replica.now, Up, true)]);
    }
    assert_eq!(replica.addresses(BERLIN), [F]);
    assert_eq!(replica.status().endpoints[2].observers, []);
}

#[test]
fn a_single_observer_whose_probes_hang_leaves_all_as_it_was_and_says_so() {
    let mut replica = Replica::with(service(), three());
    replica.rounds(3, &[F]);
    replica.pass(3_600_000);
    assert_eq!(replica.addresses(BERLIN), [A, B]);
    let frankfurt = &replica.status().endpoints[2];
    assert_eq!(frankfurt.standing, Standing::Down);
    assert!(
        frankfurt.reason.contains("its probes hang"),
        "{}",
        frankfurt.reason
    );
}

#[test]
fn observers_whose_probes_hang_make_no_majority() {
    let standby = ServiceSpec {
        policy: Policy::Failover(vec![
            branch("first", pool(&["frankfurt"])),
            branch("second", pool(&["beijing-a", "beijing-b"])),
        ]),
        ..service()
    };
    let mut replica = with_two_others(standby);
    for name in ["replica-2", "replica-3"] {
        replica.tell([report(name, replica.now, Up, true)]);
    }
    replica.rounds(3, &[F]);
    assert_eq!(replica.addresses(BERLIN), [F], "one of three sees anything");
    replica.tell([report("replica-2", replica.now, Down, false)]);
    assert_eq!(replica.addresses(BERLIN), [A, B], "two of three do");
}

#[test]
fn a_leader_counts_no_word_on_what_is_overdue() {
    let all: Vec<_> = ["replica-1", "replica-2"].map(observer).into();
    let value = |event: Event| match event {
        Event::Reported(report) => *report,
        other => panic!("{other:?}"),
    };
    let said = |overdue: bool| {
        [
            value(report("replica-1", START, Down, false)),
            value(report("replica-2", START, Up, overdue)),
        ]
    };
    let seen = |reports: &[ProbeReportValue]| {
        let traffic = Traffic::read(&all, reports, START);
        traffic.cluster(&"frankfurt".into()).verdict
    };
    assert_eq!(seen(&said(false)), Up);
    assert_eq!(seen(&said(true)), Down);
}
