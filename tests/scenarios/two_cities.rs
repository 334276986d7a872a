//! Two cities, three centres (两地三中心): two active centres in one city, a standby in another.
//!
//! The centres are programs of the scenario that listen on this machine, so that they can be lost on
//! any kind of clusters. Both centres of city A share; either alone takes all; city B answers only
//! when a person says so, and not while what its takeover requires fails; traffic goes back in a ramp,
//! and only when asked.

use crate::bank::{Bank, CENTRES, CLIENT, NAME, addresses};
use crate::resolver::ask;
use meridian_tests::world::{GSLB, ObjectRef, World};
use serde_json::{Value, json};

scenarios! {
    alone:
        city_b_takes_over_by_hand_when_it_may_and_gives_back_in_a_ramp_when_asked,
        city_b_takes_over_by_itself_where_that_is_its_mode_and_gives_back_after_its_hold_down,
        overrides_end_are_refused_and_say_so_and_what_a_policy_lacks_is_a_condition;
}

async fn city_b_takes_over_by_hand_when_it_may_and_gives_back_in_a_ramp_when_asked(
    world: &mut World,
    namespace: &str,
) {
    let takeover = |port: u16| {
        json!({"mode": "Manual", "requires": [
            {"name": "replication", "tcp": {"host": "127.0.31.9", "port": port}}]})
    };
    let failback = json!({"holdDown": "1s", "ramp": "2s"});
    let mut bank = Bank::open(world, namespace, takeover, failback).await;
    let (a, b) = (addresses(&["berlin", "lisbon"]), addresses(&["osaka"]));
    bank.until_shared(&a, "both centres of city A share").await;
    bank.lose("berlin");
    bank.until_shared(&addresses(&["lisbon"]), "one takes all")
        .await;
    bank.lose("lisbon");
    bank.until_branch(world, "city-b", "Waiting").await;
    let answer = ask(bank.dns, NAME, CLIENT).await.unwrap_or_default();
    assert!(
        !answer.iter().any(|address| b.contains(address)),
        "nobody took it: {answer:?}"
    );

    // What it requires fails: nobody takes it, and the preview says why.
    let refused = world
        .failing_command(&bank.switchover("city-b", &["--reason", "lost"]))
        .await;
    assert!(
        refused.contains("may not take over: replication"),
        "{refused}"
    );
    bank.meet_requirement().await;
    bank.until_unmet(world, false).await;
    preview(world, &bank).await;
    let file = tempfile::tempdir().expect("a folder");
    let evidence = file.path().join("evidence.jsonl");
    bank.hand_over(world, "city-b", &evidence).await;
    bank.until_shared(&b, "city B answers").await;

    // A returns, and nothing moves until somebody asks; then in a ramp.
    bank.open_centre("berlin").await;
    bank.open_centre("lisbon").await;
    bank.until_healthy(world, "3/3").await;
    assert_eq!(
        ask(bank.dns, NAME, CLIENT).await,
        Some(vec![CENTRES[2].1.into()])
    );
    let back = file.path().join("back.jsonl");
    bank.hand_over(world, "city-a", &back).await;
    bank.until_shared(&a, "city A answers alone").await;
    let text = std::fs::read_to_string(&back).expect("evidence");
    for step in [
        "asked",
        "override written",
        "branch answers",
        "replicas answer",
        "stale answers outlived",
    ] {
        assert!(
            text.contains(&format!("\"step\":\"{step}\"")),
            "{step}: {text}"
        );
    }
    world
        .command(&["switchover", "--verify", &back.display().to_string()])
        .await;
    let forged = text.replace("because", "without a cause");
    std::fs::write(&back, forged).expect("written");
    let forged = world
        .failing_command(&["switchover", "--verify", &back.display().to_string()])
        .await;
    assert!(forged.contains("line 1: it was changed"), "{forged}");
    bank.close(world).await;
}

/// What a switchover to city B would be, for people and for programs.
async fn preview(world: &World, bank: &Bank) {
    let text = world
        .command(&bank.switchover("city-b", &["--dry-run"]))
        .await;
    assert!(text.contains("city-b is to answer"), "{text}");
    let json = world
        .command(&bank.switchover("city-b", &["--dry-run", "-o", "json"]))
        .await;
    let said: Value = serde_json::from_str(&json).expect("it is JSON");
    assert_eq!(said["forbidden"], json!([]), "{said:#}");
    let branches = said["now"]["branches"].as_array();
    assert_eq!(branches.map(Vec::len), Some(2), "{said:#}");
}

async fn city_b_takes_over_by_itself_where_that_is_its_mode_and_gives_back_after_its_hold_down(
    world: &mut World,
    namespace: &str,
) {
    let failback = json!({"holdDown": "1s"});
    let mut bank = Bank::open(world, namespace, |_| json!({"mode": "Auto"}), failback).await;
    let (a, b) = (addresses(&["berlin", "lisbon"]), addresses(&["osaka"]));
    bank.until_shared(&a, "both centres of city A share").await;
    bank.lose("berlin");
    bank.lose("lisbon");
    bank.until_shared(&b, "city B answers").await;
    let shown = bank.until_branch(world, "city-b", "Active").await;
    assert_eq!(shown["status"]["summary"]["active"], "city-b", "{shown:#}");
    bank.open_centre("berlin").await;
    bank.open_centre("lisbon").await;
    bank.until_shared(&a, "city A answers again").await;
    // Each turn is told, in its order, though within minutes the same comes again.
    bank.lose("berlin");
    let ends_with = |told: &[Value], words: [&str; 3]| {
        let notes = told.iter().filter_map(|event| event["note"].as_str());
        let berlin: Vec<_> = notes.filter(|note| note.starts_with("berlin ")).collect();
        let last = berlin.iter().rev().zip(words.iter().rev());
        berlin.len() >= words.len() && last.clone().all(|(note, word)| note.contains(word))
    };
    let turns = ["probes fail", "probes succeed", "probes fail"];
    let told = world
        .host()
        .until_story(namespace, "bank", "Berlin went, came and went", |told| {
            ends_with(told, turns)
        })
        .await;
    let mut notes = told.iter().filter_map(|event| event["note"].as_str());
    let active = notes.any(|note| note.starts_with("city-b: city-a is unable"));
    assert!(active, "{told:#?}");
    bank.close(world).await;
}

async fn overrides_end_are_refused_and_say_so_and_what_a_policy_lacks_is_a_condition(
    world: &mut World,
    namespace: &str,
) {
    let failback = json!({});
    let bank = Bank::open(world, namespace, |_| json!({"mode": "Manual"}), failback).await;
    bank.until_shared(&addresses(&["berlin", "lisbon"]), "both centres share")
        .await;
    bank.force(world, "first", "berlin", "2100-01-01T00:00:00Z")
        .await;
    bank.until_shared(&addresses(&["lisbon"]), "one is forced down")
        .await;
    bank.until_in_force(world, "first", ("True", "InForce"))
        .await;
    for (name, centre) in [("second", "lisbon"), ("third", "osaka")] {
        bank.force(world, name, centre, "2100-01-01T00:00:00Z")
            .await;
    }
    bank.until_in_force(world, "third", ("False", "WouldLeaveNothing"))
        .await;
    let at = |name: &str| ObjectRef::new(GSLB, "Override", namespace, name);
    world.host().delete(&at("second")).await;
    world.host().delete(&at("third")).await;
    bank.force(world, "first", "berlin", "2001-01-01T00:00:00Z")
        .await;
    bank.until_in_force(world, "first", ("True", "KeptPastItsEnd"))
        .await;
    let told = world.host().until_told(namespace, "first", 1).await;
    assert_eq!(told[0]["reason"], "KeptPastItsEnd", "{told:#?}");
    bank.until_outlived(1.0).await;
    world.host().delete(&at("first")).await;
    bank.until_shared(&addresses(&["berlin", "lisbon"]), "both share again")
        .await;
    bank.until_outlived(0.0).await;

    // Names that are not there do not stop a service, and a tree that is wrong is not let in.
    let policy = json!({"weighted": [
        {"weight": 1, "pool": {"clusters": ["berlin", "atlantis"]}},
        {"weight": 0, "pool": {"clusters": ["lisbon"]}}]});
    bank.apply(world, policy).await;
    let told = world
        .host()
        .until(&bank.at(), "it names what is not there", |service| {
            meridian_tests::world::condition(service, "PolicyFits")["status"] == "False"
        })
        .await;
    let message = &meridian_tests::world::condition(&told, "PolicyFits")["message"];
    let path = "spec.policy.weighted[0].pool.clusters[1]: no cluster is called atlantis";
    assert!(message.to_string().contains(path), "{message}");
    bank.until_shared(&addresses(&["berlin"]), "what is there answers")
        .await;
    for wrong in [
        json!({"pool": {}, "nearest": {}}),
        json!({"weighted": [{"weight": 1, "pool": {}, "hash": {}}]}),
        json!({"geo": {"rules": [{"pool": {}}]}}),
        json!({"geo": {"rules": [{"country": ["DEU"], "pool": {}}]}}),
        json!({"cidr": {"rules": [{"networks": ["everywhere"], "pool": {}}]}}),
        json!({"failover": [{"name": "a", "pool": {}, "takeover": {"requires": [{"name": "x"}]}}]}),
    ] {
        let refused = world.host().try_apply(bank.manifest(&wrong)).await;
        assert!(refused.is_err(), "{wrong}");
    }
    bank.close(world).await;
}
