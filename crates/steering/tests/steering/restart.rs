//! Checkpoints: a replica that starts again answers at once, and forgets what is gone.

use crate::harness::*;
use meridian_steering::*;

fn restarted(replica: &Replica, pause: u64) -> Replica {
    let text = serde_json::to_string(&replica.engine.checkpoint(replica.now));
    let checkpoint = serde_json::from_str(&text.expect("a checkpoint serializes"));
    let checkpoint: Checkpoint = checkpoint.expect("and reads back");
    let now = replica.now + pause;
    let (engine, effects) =
        Engine::restore(options("replica-1"), checkpoint, now).expect("a known version");
    let mut again = Replica::from_engine(engine);
    again.now = now;
    again.take(effects);
    again
}

#[test]
fn a_restored_replica_answers_at_once_as_before_and_marked_stale() {
    let mut replica = Replica::with(service(), three());
    replica.rounds(3, &[A]);
    let mut again = restarted(&replica, 3_600_000);
    assert_eq!(again.published, 1);
    for client in [BEIJING, BERLIN, SAO_PAULO, "127.0.0.1"] {
        assert_eq!(
            again.addresses(client),
            replica.addresses(client),
            "{client}"
        );
    }
    assert_eq!(again.ask(BERLIN).extended, [3]);
    assert_eq!(again.probes, replica.probes);
    again.tell([Event::Host(HostContact::Reached)]);
    assert!(again.ask(BERLIN).extended.is_empty());
}

#[test]
fn with_very_many_services_a_restored_replica_answers_before_it_tells_how_they_stand() {
    let mut replica = Replica::with(service(), three());
    replica.tell((0..1_000).map(|at| {
        Event::ServiceApplied(Box::new(ServiceSpec {
            key: key(&format!("other-{at}")),
            hosts: vec![format!("other-{at}.example.org")],
            ..service()
        }))
    }));
    let mut again = restarted(&replica, 1_000);
    assert_eq!(again.addresses(BERLIN), [F]);
    assert!(again.report.is_none() && again.services.is_empty());
    again.pass(1);
    assert_eq!(again.services.len(), 1_001);
    let verdicts = again.report.map(|report| report.verdicts.len());
    assert_eq!(verdicts, Some(3));
}

#[test]
fn a_restored_replica_without_the_host_ends_when_the_host_was_away_for_two_weeks() {
    let replica = Replica::with(service(), three());
    let again = restarted(&replica, EngineOptions::MAX_STALE_MILLIS);
    assert_eq!(again.ask(BERLIN).code, "ServFail");
}

#[test]
fn what_the_lists_no_longer_name_is_gone_after_a_restart() {
    let replica = Replica::with(service(), three());
    let mut again = restarted(&replica, 0);
    again.tell([
        Event::Host(HostContact::Reached),
        Event::ZoneApplied(Box::new(zone())),
    ]);
    assert_eq!(again.addresses(BERLIN), [F]);
    again.tell([Event::Synced]);
    assert_eq!(again.ask(BERLIN).code, "NXDomain");
}

#[test]
fn what_the_lists_name_again_changes_no_answer() {
    let replica = Replica::with(service(), three());
    let mut again = restarted(&replica, 0);
    again.tell([Event::Host(HostContact::Reached)]);
    let published = again.published;
    again.tell(world(service(), three()));
    again.tell([Event::Synced]);
    assert_eq!(again.addresses(BERLIN), [F]);
    assert_eq!(again.published, published);
}

#[test]
fn a_taken_manual_edge_stays_taken_over_a_restart() {
    let mut standby = branch("second", pool(&["frankfurt"]));
    standby.takeover.mode = Transition::Manual;
    let policy = Policy::Failover(vec![branch("first", pool(&["beijing-a"])), standby]);
    let mut replica = Replica::with(
        ServiceSpec {
            policy,
            ..service()
        },
        three(),
    );
    let scope = OverrideScope::Branch {
        service: key("shop"),
        branch: "second".into(),
    };
    replica.tell([override_on(scope, Force::Up, 600_000)]);
    replica.tell([Event::OverrideDeleted(key("by-hand"))]);
    assert_eq!(replica.addresses(BERLIN), [F]);
    assert_eq!(restarted(&replica, 60_000).addresses(BERLIN), [F]);
}

#[test]
fn a_checkpoint_of_another_version_is_refused() {
    let replica = Replica::with(service(), three());
    let text = serde_json::to_string(&replica.engine.checkpoint(replica.now)).unwrap();
    let other = text.replacen("\"version\":1", "\"version\":2", 1);
    let checkpoint: Checkpoint = serde_json::from_str(&other).unwrap();
    let error = Engine::restore(options("replica-1"), checkpoint, START).unwrap_err();
    assert_eq!(error.kind(), "checkpoint_version");
}

#[test]
fn an_explanation_says_it_all_in_words() {
    let mut replica = Replica::with(service(), three());
    replica.rounds(3, &[B]);
    let text = replica.explain(BEIJING, &[]).to_string();
    let expected = "\
shop.example.org from 202.106.0.20 (CN, 202.104.0.0/14), says replica-1
  A     100 %  192.0.2.1
  AAAA  100 %  NODATA: no AAAA there
  TTL 10 s, ECS scope /14 (202.104.0.0/14)
  rung: healthy; answers are fresh
  → nearest: group 1 of 2 (beijing-a, beijing-b) answers: beijing-a 100 %
  beijing-a 192.0.2.1: Healthy, probes succeed
  beijing-b 192.0.2.2: Down, probes fail: connection refused
  frankfurt 192.0.2.3: Healthy, probes succeed
";
    assert_eq!(text, expected);
    let question = Question {
        host: "nope.example.org".into(),
        client: BERLIN.parse().unwrap(),
        when_down: vec![],
    };
    let error = replica.engine.explain(&question, replica.now).unwrap_err();
    assert_eq!(
        error.to_string(),
        "nope.example.org is not served here; the steered names are shop.example.org"
    );
}
