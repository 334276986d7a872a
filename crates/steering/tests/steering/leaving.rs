//! Names whose GlobalService is deleted: what was asked lately stays for a while.

use crate::harness::*;
use meridian_steering::{Engine, Event, ServiceSpec};

const MINUTE: u64 = 60_000;

fn graced(millis: u64) -> ServiceSpec {
    ServiceSpec {
        withdraw_grace_millis: millis,
        ..service()
    }
}

fn asked(at_millis: u64) -> Event {
    Event::Asked {
        service: key("shop"),
        at_millis,
    }
}

#[test]
fn a_name_that_was_asked_within_the_hour_is_answered_until_its_grace_is_over() {
    let mut replica = Replica::with(graced(10 * MINUTE), three());
    let now = replica.now;
    replica.tell([asked(now), Event::ServiceDeleted(key("shop"))]);
    assert_eq!(replica.addresses(BERLIN), [F]);
    // Health is followed meanwhile.
    replica.rounds(3, &[F]);
    assert_ne!(replica.addresses(BERLIN), [F]);
    assert!(!replica.addresses(BERLIN).is_empty());
    replica.pass(now + 10 * MINUTE - replica.now - 1);
    assert!(!replica.addresses(BERLIN).is_empty());
    replica.pass(1);
    assert!(replica.addresses(BERLIN).is_empty());
}

#[test]
fn who_answers_notes_when_a_name_was_asked_and_a_change_of_health_does_not_forget_it() {
    let mut replica = Replica::with(graced(0), three());
    assert_eq!(replica.engine.asked_millis(&key("shop")), None);
    replica.addresses(BERLIN);
    let asked = replica.engine.asked_millis(&key("shop"));
    assert!(asked.is_some());
    let published = replica.published;
    replica.rounds(3, &[F]);
    assert!(replica.published > published);
    assert_eq!(replica.engine.asked_millis(&key("shop")), asked);
}

#[test]
fn a_name_that_nobody_asked_for_an_hour_or_without_grace_goes_at_once() {
    for (grace, ago) in [
        (10 * MINUTE, Some(60 * MINUTE)),
        (10 * MINUTE, None),
        (0, Some(0)),
    ] {
        let mut replica = Replica::with(graced(grace), three());
        let at = ago.map(|ago| asked(replica.now.saturating_sub(ago)));
        replica.tell(at.into_iter().chain([Event::ServiceDeleted(key("shop"))]));
        assert!(replica.addresses(BERLIN).is_empty(), "{grace} {ago:?}");
    }
}

#[test]
fn a_name_on_its_way_out_goes_to_whoever_claims_it_and_stays_when_its_object_is_back() {
    let mut replica = Replica::with(graced(10 * MINUTE), three());
    let now = replica.now;
    replica.tell([asked(now), Event::ServiceDeleted(key("shop"))]);
    replica.tell([Event::ServiceApplied(Box::new(graced(10 * MINUTE)))]);
    replica.pass(11 * MINUTE);
    assert_eq!(replica.addresses(BERLIN), [F]);

    let now = replica.now;
    replica.tell([asked(now), Event::ServiceDeleted(key("shop"))]);
    let mut other = service();
    (other.key, other.created_millis) = (key("other"), now);
    replica.tell([
        Event::ServiceApplied(Box::new(other)),
        Event::Endpoints {
            service: key("other"),
            endpoints: vec![endpoint("frankfurt", "192.0.2.50", 1)],
        },
    ]);
    replica.round(&[]);
    assert_eq!(replica.addresses(BERLIN), ["192.0.2.50"]);
}

#[test]
fn a_restart_does_not_take_away_what_went_meanwhile_before_its_grace_is_over() {
    let mut replica = Replica::with(graced(10 * MINUTE), three());
    let checkpoint = replica.engine.checkpoint(replica.now);
    let (engine, first) =
        Engine::restore(options("a"), checkpoint, replica.now).expect("it is of this version");
    let now = replica.now;
    replica = Replica::from_engine(engine);
    replica.now = now;
    replica.take(first);
    let gone = |event: &Event| !matches!(event, Event::ServiceApplied(_) | Event::Endpoints { .. });
    let rest = world(service(), three()).into_iter().filter(gone);
    replica.tell(rest.chain([Event::Synced]));
    assert_eq!(replica.addresses(BERLIN), [F]);
    replica.pass(10 * MINUTE);
    assert!(replica.addresses(BERLIN).is_empty());
}
