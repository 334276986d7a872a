//! The host goes away and comes back; the members keep what they have.
//!
//! Without the host nobody holds the Lease, so that nobody writes: not even a repair. Workloads run
//! on, since nothing in a member depends on the host. When it is back, what was missed is made good,
//! and nothing is made anew.

use meridian_tests::world::{ApiFault, HOST, ObjectRef, World};
use serde_json::{Value, json};

scenarios! {
    alone: members_keep_what_they_have_while_the_host_is_away;
}

async fn members_keep_what_they_have_while_the_host_is_away(world: &mut World, namespace: &str) {
    let prices = |price: &str| json!({"template": {"data": {"price": price}}, "placement": {"clusterSelector": {}}});
    world
        .federate("FederatedConfigMap", namespace, "prices", prices("1"))
        .await;
    world
        .until_propagated("FederatedConfigMap", namespace, "prices")
        .await;
    let copy = ObjectRef::new("v1", "ConfigMap", namespace, "prices");
    let mut uids = Vec::new();
    for member in world.members() {
        uids.push(uid(&member.get(&copy).await));
    }

    world.break_api(HOST, ApiFault::Down);
    let drift = json!({"data": {"price": "9"}});
    world.member("berlin").patch(&copy, drift).await;
    world.mend_api(HOST).await;
    world
        .member("berlin")
        .until(&copy, "it is repaired", |held| held["data"]["price"] == "1")
        .await;
    world
        .federate("FederatedConfigMap", namespace, "prices", prices("2"))
        .await;
    world
        .until_propagated("FederatedConfigMap", namespace, "prices")
        .await;
    let mut now = Vec::new();
    for member in world.members() {
        let held = member
            .until(&copy, "it follows", |held| held["data"]["price"] == "2")
            .await;
        now.push(uid(&held));
    }
    assert_eq!(now, uids, "nothing was made anew");
}

fn uid(object: &Value) -> Value {
    object["metadata"]["uid"].clone()
}
