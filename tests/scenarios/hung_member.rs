//! A member whose API hangs delays no other.
//!
//! Hanging is worse than refusing: connections are taken, and nothing is ever answered. Whoever
//! waits for such a member waits for a deadline of five seconds each time. Here fifty objects are
//! made while one member hangs, before anybody can know that it does; the others get theirs as fast
//! as ever.

use meridian_tests::world::{ApiFault, ObjectRef, TYPES, World, in_cluster};
use serde_json::json;
use std::time::{Duration, Instant};

scenarios! {
    alone: a_member_that_hangs_delays_no_other;
}

const OBJECTS: usize = 50;
/// Whoever waited for one request to the member that hangs would be later than this.
const LATER: Duration = Duration::from_secs(4);

async fn a_member_that_hangs_delays_no_other(world: &mut World, namespace: &str) {
    let usual = others_have(world, namespace, "before").await;
    world.break_api("lisbon", ApiFault::Hung);
    let hung = others_have(world, namespace, "during").await;
    assert!(hung < usual + LATER, "{hung:?} instead of {usual:?}");
    let last = federated(namespace, "during", OBJECTS);
    world
        .host()
        .until(&last, "the status tells the two apart", |object| {
            in_cluster(object, "lisbon")["status"] == "ClusterNotReady"
                && in_cluster(object, "osaka").is_object()
                && in_cluster(object, "osaka")["status"].is_null()
        })
        .await;
    let offline = world.until_condition("lisbon", "Offline", "True").await;
    let message = offline["message"].as_str().unwrap_or_default();
    assert!(message.contains("no answer within"), "{offline:#}");

    world.mend_api("lisbon").await;
    let lisbon = world.member("lisbon");
    for number in 1..=OBJECTS {
        let copy = copy(namespace, "during", number);
        lisbon
            .until(&copy, "it gets what it missed", |_| true)
            .await;
    }
}

/// Makes objects, and waits until the two members that work have them; how long that took.
async fn others_have(world: &World, namespace: &str, group: &str) -> Duration {
    let began = Instant::now();
    for number in 1..=OBJECTS {
        let spec = json!({"template": {"data": {"number": number.to_string()}},
            "placement": {"clusterSelector": {}}});
        let name = format!("{group}-{number}");
        world
            .federate("FederatedConfigMap", namespace, &name, spec)
            .await;
    }
    for name in ["berlin", "osaka"] {
        for number in 1..=OBJECTS {
            let copy = copy(namespace, group, number);
            let member = world.member(name);
            member.until(&copy, "it is there", |_| true).await;
        }
    }
    began.elapsed()
}

fn copy(namespace: &str, group: &str, number: usize) -> ObjectRef {
    ObjectRef::new("v1", "ConfigMap", namespace, &format!("{group}-{number}"))
}

fn federated(namespace: &str, group: &str, number: usize) -> ObjectRef {
    let name = format!("{group}-{number}");
    ObjectRef::new(TYPES, "FederatedConfigMap", namespace, &name)
}
