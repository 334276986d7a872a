//! A member's credentials end: they are revoked, or their account is made anew.
//!
//! What meridian may do in a member it does by a service account there, whose token is in a Secret on
//! the host. When the member does not know the token any more, its KubeFedCluster says so, and which
//! command makes a new one; the other members go on. The new token is taken without a restart.

use meridian_tests::world::{Cluster, ObjectRef, SYSTEM, World, in_cluster};
use serde_json::json;

scenarios! {
    alone:
        a_revoked_token_is_told_with_what_to_do_and_joining_again_mends_it,
        joining_again_at_once_does_not_take_the_revoked_token;
}

async fn a_revoked_token_is_told_with_what_to_do_and_joining_again_mends_it(
    world: &mut World,
    namespace: &str,
) {
    set(world, namespace, "1").await;
    until_set(world, namespace, &["berlin", "lisbon", "osaka"], "1").await;
    revoke(world.member("lisbon")).await;
    let told = world.until_condition("lisbon", "Ready", "False").await;
    let message = told["message"].as_str().unwrap_or_default();
    for words in ["401 Unauthorized", "meridian join lisbon"] {
        assert!(message.contains(words), "{told:#} does not say {words:?}");
    }
    let federated = set(world, namespace, "2").await;
    world
        .host()
        .until(&federated, "the status says so", |object| {
            in_cluster(object, "lisbon")["status"] == "ClusterNotReady"
        })
        .await;
    until_set(world, namespace, &["berlin", "osaka"], "2").await;

    world.join_again("lisbon").await;
    world.until_ready("lisbon").await;
    until_set(world, namespace, &["lisbon"], "2").await;
}

async fn joining_again_at_once_does_not_take_the_revoked_token(world: &mut World, namespace: &str) {
    revoke(world.member("lisbon")).await;
    world.join_again("lisbon").await;
    set(world, namespace, "1").await;
    until_set(world, namespace, &["lisbon"], "1").await;
}

/// Deletes meridian's service account in a member, and with it every token of it.
async fn revoke(member: &Cluster) {
    let accounts = member.list("v1", "ServiceAccount", SYSTEM).await;
    let names = accounts
        .iter()
        .filter_map(|account| account["metadata"]["name"].as_str());
    let mut ours = names.filter(|name| name.starts_with("meridian-"));
    let name = ours.next().expect("joining made one");
    let account = ObjectRef::new("v1", "ServiceAccount", SYSTEM, name);
    member.delete(&account).await;
}

async fn set(world: &World, namespace: &str, value: &str) -> ObjectRef {
    let spec = json!({"template": {"data": {"x": value}}, "placement": {"clusterSelector": {}}});
    let made = world
        .federate("FederatedConfigMap", namespace, "web", spec)
        .await;
    ObjectRef::of(&made)
}

async fn until_set(world: &World, namespace: &str, members: &[&str], value: &str) {
    let at = ObjectRef::new("v1", "ConfigMap", namespace, "web");
    for name in members {
        world
            .member(name)
            .until(&at, "it is as federated", |held| held["data"]["x"] == value)
            .await;
    }
}
