//! A whole city is lost, with whatever stood in it: the host, a replica, an uplink.
//!
//! Three centres in two cities as in `two_cities.rs`, and replicas in several places. With the host gone, a
//! person speaks to the replicas that are left; with a witness in a third city the branch moves by
//! itself, over the host or, when that is gone, over a line between the two that are left; a replica that sees nothing any more doubts itself, and nothing moves.

use crate::bank::{Bank, CENTRES, CLIENT, NAME, addresses, shared_at};
use crate::resolver::ask;
use meridian_tests::world::{ApiFault, GSLB, HOST, ObjectRef, PATIENCE, SYSTEM, World};
use serde_json::{Value, json};
use std::time::{Duration, Instant};

scenarios! {
    alone:
        a_lost_city_with_the_host_in_it_is_taken_over_by_hand_at_the_replica_that_is_left,
        a_lost_city_with_the_host_in_it_is_stood_in_for_when_a_witness_is_still_heard,
        a_witness_in_a_third_city_lets_the_other_take_over_by_itself_and_give_back_only_when_asked,
        a_replica_that_loses_its_uplink_doubts_itself_and_nothing_changes;
}

/// A replica gives no sign when what is required succeeds.
const ASK_AGAIN: Duration = Duration::from_millis(100);

async fn a_lost_city_with_the_host_in_it_is_taken_over_by_hand_at_the_replica_that_is_left(
    world: &mut World,
    namespace: &str,
) {
    let takeover = |port: u16| {
        json!({"mode": "Manual", "requires": [
            {"name": "replication", "tcp": {"host": "127.0.31.9", "port": port}}]})
    };
    let mut bank = Bank::open(world, namespace, takeover, json!({})).await;
    let left = bank.outpost(world, "city-b", "city-b").await;
    bank.until_reported(world, &["bank", "city-b"]).await;
    let (a, b) = (addresses(&["berlin", "lisbon"]), addresses(&["osaka"]));
    shared_at(left.dns, &a, "city B's replica answers with city A").await;

    bank.lose("berlin");
    bank.lose("lisbon");
    bank.lose_replica();
    world.break_api(HOST, ApiFault::Down);
    let reached = "meridian_host_reached";
    left.meridian
        .until_metric(reached, &[], |it| it == 0.0)
        .await;
    let folder = left.state.path().display().to_string();
    let words = [
        "override",
        "bank",
        "-n",
        namespace,
        "--branch",
        "city-b",
        "--force",
        "up",
        "--reason",
        "city A is lost, with the host",
        "--owner",
        "a test",
        "--at",
        &folder,
    ];
    // What it requires fails: the rule of the host holds without the host.
    let refused = world.failing_command(&words).await;
    let why = "city-b may not take over: replication";
    assert!(refused.contains(why), "{refused}");
    let answer = ask(left.dns, NAME, CLIENT).await.unwrap_or_default();
    assert!(!answer.is_empty(), "answers never stop");
    assert!(
        !answer.contains(&CENTRES[2].1.into()),
        "nobody took it: {answer:?}"
    );

    bank.meet_requirement().await;
    until_taken(world, &words).await;
    shared_at(left.dns, &b, "city B answers").await;

    // The host is back, learns what was done without it, and nothing moves until somebody asks.
    world.mend_api(HOST).await;
    let written = until_written(world, namespace).await;
    assert_eq!(written["spec"]["reason"], "city A is lost, with the host");
    left.meridian
        .until_metric(reached, &[], |it| it == 1.0)
        .await;
    world.give_controller(world.lead("controller").await);
    for name in ["berlin", "lisbon"] {
        bank.open_centre(name).await;
    }
    bank.until_branch(world, "city-b", "Active").await;
    bank.until_healthy(world, "3/3").await;
    shared_at(left.dns, &b, "city B still answers").await;
    world.host().delete(&ObjectRef::of(&written)).await;
    bank.close(world).await;
    left.meridian.stop();
}

async fn a_lost_city_with_the_host_in_it_is_stood_in_for_when_a_witness_is_still_heard(
    world: &mut World,
    namespace: &str,
) {
    let failback = json!({"mode": "Manual"});
    let mut bank = Bank::open(world, namespace, |_| json!({"mode": "Auto"}), failback).await;
    let left = bank.outpost(world, "city-b", "city-b").await;
    let witness = bank.witness(world, "city-c", "city-c").await;
    bank.until_reported(world, &["bank", "city-b", "city-c"])
        .await;
    let (a, b) = (addresses(&["berlin", "lisbon"]), addresses(&["osaka"]));
    shared_at(left.dns, &a, "both centres of city A share").await;

    // Reports travel directly now: two of the three that are registered are left.
    bank.lose("berlin");
    bank.lose("lisbon");
    bank.lose_replica();
    world.break_api(HOST, ApiFault::Down);
    shared_at(left.dns, &b, "city B answers by itself").await;
    let came = left
        .meridian
        .metric("meridian_observer_reports_total", &[])
        .await;
    assert!(came > 0.0, "the witness was heard over a line");

    world.mend_api(HOST).await;
    world.give_controller(world.lead("controller").await);
    for name in ["berlin", "lisbon"] {
        bank.open_centre(name).await;
    }
    bank.until_healthy(world, "3/3").await;
    shared_at(left.dns, &b, "city B still answers").await;
    bank.close(world).await;
    left.meridian.stop();
    witness.stop();
}

async fn a_witness_in_a_third_city_lets_the_other_take_over_by_itself_and_give_back_only_when_asked(
    world: &mut World,
    namespace: &str,
) {
    let failback = json!({"mode": "Manual"});
    let mut bank = Bank::open(world, namespace, |_| json!({"mode": "Auto"}), failback).await;
    let other = bank.outpost(world, "city-b", "city-b").await;
    let witness = bank.outpost(world, "city-c", "city-c").await;
    bank.until_reported(world, &["bank", "city-b", "city-c"])
        .await;
    let (a, b) = (addresses(&["berlin", "lisbon"]), addresses(&["osaka"]));
    for dns in [other.dns, witness.dns] {
        shared_at(dns, &a, "both centres of city A share").await;
    }

    // City A goes with its replica and the controller; the host, in the third city, stays.
    bank.lose("berlin");
    bank.lose("lisbon");
    bank.lose_replica();
    for dns in [other.dns, witness.dns] {
        shared_at(dns, &b, "city B answers").await;
    }

    world.give_controller(world.lead("controller").await);
    for name in ["berlin", "lisbon"] {
        bank.open_centre(name).await;
    }
    bank.until_healthy(world, "3/3").await;
    bank.until_branch(world, "city-b", "Active").await;
    for dns in [other.dns, witness.dns] {
        shared_at(dns, &b, "city B still answers").await;
    }
    bank.close(world).await;
    other.meridian.stop();
    witness.meridian.stop();
}

async fn a_replica_that_loses_its_uplink_doubts_itself_and_nothing_changes(
    world: &mut World,
    namespace: &str,
) {
    let bank = Bank::open(world, namespace, |_| json!({"mode": "Auto"}), json!({})).await;
    let blind = bank.outpost(world, "blind", "city-b").await;
    let witness = bank.outpost(world, "city-c", "city-c").await;
    bank.until_reported(world, &["bank", "blind", "city-c"])
        .await;
    let a = addresses(&["berlin", "lisbon"]);
    let everywhere = [bank.dns, blind.dns, witness.dns];
    for dns in everywhere {
        shared_at(dns, &a, "both centres of city A share").await;
    }

    bank.cut_off(Some(&blind.meridian));
    let report = ObjectRef::new(GSLB, "ProbeReport", SYSTEM, "blind");
    let verdicts = |report: &Value, wanted: &str| {
        let all = report["spec"]["verdicts"].as_array().cloned();
        let mut all = all.into_iter().flatten();
        all.all(|it| it["verdict"] == wanted)
    };
    let doubts = |report: &Value| report["spec"]["abstains"] == true && verdicts(report, "Down");
    world
        .host()
        .until(&report, "it sees nothing, and doubts itself", doubts)
        .await;
    for dns in everywhere {
        shared_at(dns, &a, "both centres of city A still share").await;
    }
    let service = world.host().get(&bank.at()).await;
    assert_eq!(
        service["status"]["summary"]["active"], "city-a",
        "{service:#}"
    );
    assert_eq!(
        service["status"]["summary"]["healthy"], "3/3",
        "{service:#}"
    );

    bank.cut_off(None);
    let sees = |report: &Value| report["spec"]["abstains"] != true && verdicts(report, "Up");
    world.host().until(&report, "it sees again", sees).await;
    bank.close(world).await;
    blind.meridian.stop();
    witness.meridian.stop();
}

/// Gives the override until the replica has seen that what is required succeeds.
async fn until_taken(world: &World, words: &[&str]) {
    let deadline = Instant::now() + PATIENCE;
    loop {
        let (code, _, said) = world.ended_command(words).await;
        if code == Some(0) {
            assert!(said.contains("city-b is Active"), "{said}");
            return;
        }
        assert!(Instant::now() < deadline, "{said}");
        tokio::time::sleep(ASK_AGAIN).await;
    }
}

/// The override that the replica wrote down.
async fn until_written(world: &World, namespace: &str) -> Value {
    let deadline = Instant::now() + PATIENCE;
    loop {
        let found = world.host().list(GSLB, "Override", namespace).await;
        if let Some(found) = found.into_iter().next() {
            return found;
        }
        assert!(Instant::now() < deadline, "the host learnt nothing");
        tokio::time::sleep(ASK_AGAIN).await;
    }
}
