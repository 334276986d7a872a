//! A member's credentials end: they are revoked, or their account is made anew.
//!
//! What meridian may do in a member it does by a service account there, whose token is in a Secret on
//! the host. When the member does not know the token any more, its KubeFedCluster says so, and which
//! command makes a new one; the other members go on. The new token is taken without a restart.

use meridian_tests::world::{CORE, Cluster, ObjectRef, SYSTEM, TYPES, World, in_cluster};
use serde_json::{Value, json};

scenarios! {
    alone:
        a_revoked_token_is_told_with_what_to_do_and_joining_again_mends_it,
        joining_again_at_once_does_not_take_the_revoked_token,
        a_secret_that_changes_is_used_at_once_and_a_wrong_one_costs_nothing,
        a_member_whose_certificate_is_not_believed_says_so,
        a_right_that_an_account_lacks_is_told_with_how_to_grant_it;
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

async fn a_secret_that_changes_is_used_at_once_and_a_wrong_one_costs_nothing(
    world: &mut World,
    namespace: &str,
) {
    set(world, namespace, "1").await;
    until_set(world, namespace, &["berlin", "lisbon", "osaka"], "1").await;
    // A client certificate instead of the token, which then ends.
    let (certificate, key) = world.client_certificate("lisbon");
    change_secret(
        world,
        "lisbon",
        json!({"tls.crt": certificate, "tls.key": key}),
    )
    .await;
    revoke(world.member("lisbon")).await;
    set(world, namespace, "2").await;
    until_set(world, namespace, &["berlin", "lisbon", "osaka"], "2").await;

    // Half of what is needed, and the key of something else.
    let (_, another) = world.client_certificate("lisbon");
    change_secret(
        world,
        "lisbon",
        json!({"tls.crt": certificate, "tls.key": another}),
    )
    .await;
    let told = world
        .until_condition("lisbon", "ConfigMalformed", "True")
        .await;
    let message = told["message"].as_str().unwrap_or_default();
    assert!(message.contains("tls.crt and tls.key"), "{told:#}");
    change_secret(world, "lisbon", json!({"token": "nobody"})).await;
    let told = world.until_condition("lisbon", "Ready", "False").await;
    let message = told["message"].as_str().unwrap_or_default();
    assert!(message.contains("401 Unauthorized"), "{told:#}");
    set(world, namespace, "3").await;
    until_set(world, namespace, &["berlin", "osaka"], "3").await;

    // The right one heals it, and what it missed is made good.
    let kubeconfig = std::fs::read_to_string(world.member("lisbon").kubeconfig());
    let kubeconfig = kubeconfig.expect("the administrator's own");
    change_secret(world, "lisbon", json!({"kubeconfig": kubeconfig})).await;
    world.until_ready("lisbon").await;
    until_set(world, namespace, &["lisbon"], "3").await;
    // And joining again puts the token in the place of all that.
    world.join_again("lisbon").await;
    revoke(world.member("lisbon")).await;
    world.until_condition("lisbon", "Ready", "False").await;
    world.join_again("lisbon").await;
    world.until_ready("lisbon").await;
}

async fn a_member_whose_certificate_is_not_believed_says_so(world: &mut World, _: &str) {
    // The authority of another member, as who mixes files up has it.
    let [lisbon, osaka] = ["lisbon", "osaka"].map(member);
    let right = world.host().get(&lisbon).await["spec"]["caBundle"].clone();
    let wrong = world.host().get(&osaka).await["spec"]["caBundle"].clone();
    world
        .host()
        .patch(&lisbon, json!({"spec": {"caBundle": wrong}}))
        .await;
    let told = world.until_condition("lisbon", "Offline", "True").await;
    let message = told["message"].as_str().unwrap_or_default();
    assert!(message.contains("invalid peer certificate"), "{told:#}");
    world
        .host()
        .patch(&lisbon, json!({"spec": {"caBundle": "bm8="}}))
        .await;
    let told = world
        .until_condition("lisbon", "ConfigMalformed", "True")
        .await;
    let message = told["message"].as_str().unwrap_or_default();
    assert!(
        message.starts_with("spec.caBundle: there is no certificate"),
        "{told:#}"
    );
    world
        .host()
        .patch(&lisbon, json!({"spec": {"caBundle": right}}))
        .await;
    world.until_ready("lisbon").await;
}

async fn a_right_that_an_account_lacks_is_told_with_how_to_grant_it(
    world: &mut World,
    namespace: &str,
) {
    let kubeconfig = world.member("lisbon").kubeconfig().display().to_string();
    let join = async |world: &World, how: &[&str]| {
        let file = ["--cluster-kubeconfig", &kubeconfig];
        let arguments = ["join", "lisbon", file[0], file[1]];
        world.command(&[&arguments, how].concat()).await
    };
    let told = join(world, &["--least-privilege", "-o", "yaml"]).await;
    assert!(told.starts_with("apiVersion: "), "{told}");
    assert!(told.contains("\nkind: KubeFedCluster\n"), "{told}");
    world.until_ready("lisbon").await;
    set(world, namespace, "1").await;
    until_set(world, namespace, &["berlin", "lisbon", "osaka"], "1").await;

    // A type that came later.
    world.command(&["enable", "limitranges"]).await;
    let limits = json!({"apiVersion": TYPES, "kind": "FederatedLimitRange",
        "metadata": {"namespace": namespace, "name": "limits"},
        "spec": {"placement": {"clusterSelector": {}}, "template": {"spec": {"limits": [
            {"type": "Container", "default": {"cpu": "100m"}}]}}}});
    let at = ObjectRef::of(&world.host().apply_once_served(limits).await);
    let denied = |object: &Value| {
        let said = in_cluster(object, "lisbon");
        let said = said["message"].as_str().unwrap_or_default();
        said.contains("cannot list resource") && said.contains("meridian join lisbon --update-rbac")
    };
    world
        .host()
        .until(&at, "Lisbon lacks a right", denied)
        .await;
    let there = ObjectRef::new("v1", "LimitRange", namespace, "limits");
    world
        .member("osaka")
        .until(&there, "it is there", |_| true)
        .await;

    join(world, &["--update-rbac"]).await;
    world
        .member("lisbon")
        .until(&there, "it is there", |_| true)
        .await;
    world.host().delete(&at).await;
    world.host().until_gone(&at).await;
    world
        .command(&["disable", "limitranges", "--delete-crd"])
        .await;
    world.join_again("lisbon").await;
}

fn member(name: &str) -> ObjectRef {
    ObjectRef::new(CORE, "KubeFedCluster", SYSTEM, name)
}

/// Puts these keys, and no others, into the Secret of a member.
async fn change_secret(world: &World, name: &str, keys: Value) {
    let cluster = world.host().get(&member(name)).await;
    let secret = cluster["spec"]["secretRef"]["name"].as_str();
    let at = ObjectRef::new("v1", "Secret", SYSTEM, secret.expect("it joined"));
    let mut data = world.host().get(&at).await["data"].take();
    for (_, value) in data.as_object_mut().into_iter().flatten() {
        *value = Value::Null;
    }
    let patch = json!({"data": data, "stringData": keys});
    world.host().patch(&at, patch).await;
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
