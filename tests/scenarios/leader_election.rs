//! One process leads; another takes over; the first, should it wake again, writes nothing.
//!
//! A leader that is killed leaves its Lease to run out, and the standby, whose caches are warm, goes
//! on. Worse is a leader that only stops, as a machine that swaps or a paused virtual machine does:
//! when it wakes it still believes that it leads, and the news that it slept through are in its
//! sockets. It looks at its own clock before each write, and so writes nothing.

use meridian_tests::process::Signal;
use meridian_tests::world::{ObjectRef, Run, World};
use serde_json::json;

scenarios! {
    alone:
    a_standby_goes_on_when_the_leader_is_killed,
    a_leader_that_was_paused_writes_nothing_when_it_wakes;
}

async fn a_standby_goes_on_when_the_leader_is_killed(world: &mut World, namespace: &str) {
    set(world, namespace, "prices", "1").await;
    until_set(world, namespace, "prices", "1").await;
    let standby = world.run(&Run::controller("standby")).await;
    let leader = world.take_controller();
    leader.signal(Signal::Kill);
    set(world, namespace, "prices", "2").await;
    world.until_leads("standby").await;
    until_set(world, namespace, "prices", "2").await;
    drop((leader, standby));
}

async fn a_leader_that_was_paused_writes_nothing_when_it_wakes(world: &mut World, namespace: &str) {
    set(world, namespace, "prices", "1").await;
    until_set(world, namespace, "prices", "1").await;
    let leader = world.take_controller();
    let standby = world.run(&Run::controller("standby")).await;
    let written = leader.member_writes().await;

    leader.signal(Signal::Pause);
    set(world, namespace, "prices", "2").await;
    for number in 1..=20 {
        set(world, namespace, &format!("slept-through-{number}"), "1").await;
    }
    world.until_leads("standby").await;
    until_set(world, namespace, "prices", "2").await;
    // What it would write first, it would write here: the standby's work is undone by hand.
    let copy = ObjectRef::new("v1", "ConfigMap", namespace, "prices");
    standby.signal(Signal::Pause);
    let undone = world
        .member("berlin")
        .patch(&copy, json!({"data": {"price": "9"}}))
        .await;

    leader.signal(Signal::Resume);
    leader.until_log("leadership lost").await;
    let held = world.member("berlin").get(&copy).await;
    let version = |object: &serde_json::Value| object["metadata"]["resourceVersion"].clone();
    assert_eq!(version(&held), version(&undone), "{held:#}");
    assert_eq!(leader.member_writes().await, written);
    drop(leader);
    standby.signal(Signal::Resume);
    until_set(world, namespace, "prices", "2").await;
}

async fn set(world: &World, namespace: &str, name: &str, price: &str) {
    let spec = json!({"template": {"data": {"price": price}},
        "placement": {"clusterSelector": {}}});
    world
        .federate("FederatedConfigMap", namespace, name, spec)
        .await;
}

async fn until_set(world: &World, namespace: &str, name: &str, price: &str) {
    let copy = ObjectRef::new("v1", "ConfigMap", namespace, name);
    for member in world.members() {
        member
            .until(&copy, "it has the price", |held| {
                held["data"]["price"] == price
            })
            .await;
    }
}
