//! A member that is away holds nobody up, and is made good when it returns.
//!
//! Its API refuses connections while an object is deleted and another one is made. The deletion ends
//! on the host: what is still owed is written into a tombstone. When the member is back, it loses the
//! one and gets the other, and the tombstone goes.

use meridian_tests::world::{ApiFault, FEDERATION, ObjectRef, SYSTEM, World, in_cluster};
use serde_json::{Value, json};

scenarios! {
    alone: a_deletion_ends_while_a_member_is_away_and_is_made_good_there;
}

async fn a_deletion_ends_while_a_member_is_away_and_is_made_good_there(
    world: &mut World,
    namespace: &str,
) {
    let everywhere =
        |data: Value| json!({"template": {"data": data}, "placement": {"clusterSelector": {}}});
    let spec = everywhere(json!({"discount": "20"}));
    let sale = world
        .federate("FederatedConfigMap", namespace, "sale", spec)
        .await;
    let sale = ObjectRef::of(&sale);
    let copy = ObjectRef::new("v1", "ConfigMap", namespace, "sale");
    for member in world.members() {
        member.until(&copy, "it is there", |_| true).await;
    }

    world.break_api("osaka", ApiFault::Down);
    let offline = world.until_condition("osaka", "Offline", "True").await;
    assert_eq!(offline["reason"], "ClusterNotReachable", "{offline:#}");
    world.host().delete(&sale).await;
    world.host().until_gone(&sale).await;
    for name in ["berlin", "lisbon"] {
        world.member(name).until_gone(&copy).await;
    }
    let owed = world
        .host()
        .list(FEDERATION, "MemberTombstone", SYSTEM)
        .await;
    let [tombstone] = &owed[..] else {
        panic!("one member is owed something: {owed:#?}");
    };
    assert_eq!(tombstone["spec"]["cluster"], "osaka");
    assert_eq!(tombstone["spec"]["entries"][0]["name"], "sale");
    let spec = everywhere(json!({"headline": "summer"}));
    let news = world
        .federate("FederatedConfigMap", namespace, "news", spec)
        .await;
    let news = ObjectRef::of(&news);
    world
        .host()
        .until(&news, "the status says who lacks it", |object| {
            in_cluster(object, "osaka")["status"] == "ClusterNotReady"
                && in_cluster(object, "berlin").is_object()
                && in_cluster(object, "berlin")["status"].is_null()
        })
        .await;

    world.mend_api("osaka").await;
    let osaka = world.member("osaka");
    osaka.until_gone(&copy).await;
    world.host().until_gone(&ObjectRef::of(tombstone)).await;
    let there = ObjectRef::new("v1", "ConfigMap", namespace, "news");
    osaka
        .until(&there, "it gets what it missed", |held| {
            held["data"]["headline"] == "summer"
        })
        .await;
    world
        .host()
        .until(&news, "the status is whole again", |object| {
            in_cluster(object, "osaka").is_object()
                && in_cluster(object, "osaka")["status"].is_null()
        })
        .await;
}
