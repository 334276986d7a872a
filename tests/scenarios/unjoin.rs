//! A member that leaves keeps what it holds, and can come back.

use meridian_tests::world::{CORE, ObjectRef, SYSTEM, TYPES, World, condition};
use serde_json::{Value, json};

scenarios! {
    alone: a_member_that_leaves_keeps_its_workloads_and_revokes_its_host;
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
