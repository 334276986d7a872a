//! A member that leaves keeps what it holds, and can come back.

use meridian_tests::world::{CORE, ObjectRef, SYSTEM, TYPES, World, condition};
use serde_json::{Value, json};

scenarios! {
    alone:
    a_member_that_leaves_keeps_its_workloads_and_revokes_its_host,
    a_member_that_is_purged_holds_nothing_of_its_host_any_more;
}

async fn a_member_that_leaves_keeps_its_workloads_and_revokes_its_host(
    world: &mut World,
    namespace: &str,
) {
    let spec = json!({"template": {"data": {"currency": "EUR"}},
        "placement": {"clusterSelector": {}}});
    world
        .federate("FederatedConfigMap", namespace, "settings", spec)
        .await;
    let at = ObjectRef::new(TYPES, "FederatedConfigMap", namespace, "settings");
    let propagated = |object: &Value| condition(object, "Propagation")["status"] == "True";
    world
        .host()
        .until(&at, "it is propagated", propagated)
        .await;
    let leaving = world.members().next().expect("a member");
    let name = leaving.name().to_owned();
    let accounts = leaving.list("v1", "ServiceAccount", SYSTEM).await;
    let account = accounts
        .iter()
        .filter_map(|account| account["metadata"]["name"].as_str())
        .find(|account| account.starts_with("meridian-"))
        .expect("this host's account");
    let account = ObjectRef::new("v1", "ServiceAccount", SYSTEM, account);

    // The host's own kubeconfig does not lead to the member: nothing is guessed.
    let refused = world.failing_command(&["unjoin", &name]).await;
    assert!(refused.contains("give --cluster-context"), "{refused}");
    let unknown = world.failing_command(&["unjoin", "atlantis"]).await;
    assert!(unknown.contains(&name), "members are named: {unknown}");
    let kubeconfig = leaving.kubeconfig().display().to_string();
    world
        .command(&["unjoin", &name, "--cluster-kubeconfig", &kubeconfig])
        .await;

    let cluster = ObjectRef::new(CORE, "KubeFedCluster", SYSTEM, &name);
    world.host().until_gone(&cluster).await;
    let secret = ObjectRef::new("v1", "Secret", SYSTEM, &format!("{name}-token"));
    world.host().until_gone(&secret).await;
    leaving.until_gone(&account).await;
    // The others go on without it.
    world
        .host()
        .patch(
            &at,
            json!({"spec": {"template": {"data": {"currency": "CHF"}}}}),
        )
        .await;
    let there = ObjectRef::new("v1", "ConfigMap", namespace, "settings");
    for member in world.members().filter(|member| member.name() != name) {
        let changed = |held: &Value| held["data"]["currency"] == "CHF";
        member.until(&there, "it is changed", changed).await;
    }
    let held = leaving.get(&there).await;
    assert_eq!(held["data"]["currency"], "EUR", "it stays as it was");

    world.join_again(&name).await;
    world.until_ready(&name).await;
    let changed = |held: &Value| held["data"]["currency"] == "CHF";
    leaving.until(&there, "it is made good", changed).await;
}

async fn a_member_that_is_purged_holds_nothing_of_its_host_any_more(
    world: &mut World,
    namespace: &str,
) {
    world
        .change_settings(json!({"syncController": {"adoptResources": "Enabled"}}))
        .await;
    let leaving = world.members().next().expect("a member").name().to_owned();
    let extra = format!("{namespace}-extra");
    fill(world, &leaving, namespace, &extra).await;
    let planned = world
        .command(&["unjoin", &leaving, "--purge", "--dry-run"])
        .await;
    for line in [
        format!("ConfigMap {namespace}/adopted is released, and stays"),
        format!("ConfigMap {namespace}/settings is deleted"),
        format!("ServiceAccount {extra}/robot is deleted"),
        format!("Namespace {extra} is deleted, and all that is in it"),
        format!("Namespace {namespace} is released, and stays"),
    ] {
        assert!(planned.contains(&line), "{line}: {planned}");
    }
    let told = world
        .command(&["unjoin", &leaving, "--purge", "--dry-run", "-o", "json"])
        .await;
    let told: Value = serde_json::from_str(&told).expect("JSON");
    let told = told.as_array().expect("a list");
    for (name, end) in [("adopted", "Released"), ("settings", "Deleted")] {
        let one = json!({"kind": "ConfigMap", "namespace": namespace, "name": name, "end": end});
        assert!(told.contains(&one), "{one}: {told:?}");
    }
    assert_eq!(told.len(), planned.lines().count());
    let settings = ObjectRef::new("v1", "ConfigMap", namespace, "settings");
    world.member(&leaving).get(&settings).await;

    let kubeconfig = world.member(&leaving).kubeconfig().display().to_string();
    world
        .command(&[
            "unjoin",
            &leaving,
            "--purge",
            "--cluster-kubeconfig",
            &kubeconfig,
        ])
        .await;
    let cluster = ObjectRef::new(CORE, "KubeFedCluster", SYSTEM, &leaving);
    world.host().until_gone(&cluster).await;
    let member = world.member(&leaving);
    assert_eq!(member.find(&settings).await, None);
    let gone = ObjectRef::new("v1", "Namespace", "", &extra);
    assert_eq!(member.find(&gone).await, None);
    let adopted = ObjectRef::new("v1", "ConfigMap", namespace, "adopted");
    let adopted = member.get(&adopted).await;
    assert!(adopted["metadata"]["labels"].is_null(), "{adopted}");
    let somebodys = ObjectRef::new("v1", "ConfigMap", "default", "somebodys");
    member.get(&somebodys).await;
    // The others hold everything still.
    for other in world.members().filter(|other| other.name() != leaving) {
        other.get(&settings).await;
        other.get(&gone).await;
    }
    world.join_again(&leaving).await;
    world.until_ready(&leaving).await;
    world
        .member(&leaving)
        .until(&settings, "it is made again", |held| {
            held["data"]["currency"] == "EUR"
        })
        .await;
}

/// What is propagated, what was adopted, and what is somebody else's.
async fn fill(world: &World, leaving: &str, namespace: &str, extra: &str) {
    let adopted = json!({"apiVersion": "v1", "kind": "ConfigMap", "data": {"currency": "EUR"},
        "metadata": {"namespace": namespace, "name": "adopted"}});
    let others = json!({"apiVersion": "v1", "kind": "ConfigMap", "data": {},
        "metadata": {"namespace": "default", "name": "somebodys"}});
    world.member(leaving).apply_as("kubectl", adopted).await;
    world.member(leaving).apply_as("kubectl", others).await;
    for name in ["adopted", "settings"] {
        let spec = json!({"template": {"data": {"currency": "EUR"}},
            "placement": {"clusterSelector": {}}});
        world
            .federate("FederatedConfigMap", namespace, name, spec)
            .await;
        world
            .until_propagated("FederatedConfigMap", namespace, name)
            .await;
    }
    world.federate_namespace(extra).await;
    let spec = json!({"template": {}, "placement": {"clusterSelector": {}}});
    world
        .federate("FederatedServiceAccount", extra, "robot", spec)
        .await;
    world
        .until_propagated("FederatedServiceAccount", extra, "robot")
        .await;
}
