//! Replicas are divided over members, and move when one is lost.
//!
//! A ReplicaSchedulingPreference names a total, and per member a weight, a least and a most. The
//! division is written into its status; the federated object's spec stays the user's. When a
//! member's API is gone and nobody sees its data plane either, its replicas run elsewhere after a
//! while; when it is back they return, and at no time fewer are ready than were asked for.

use meridian_tests::control_plane::free_ports;
use meridian_tests::world::{
    ApiFault, CORE, Cluster, GSLB, ObjectRef, Run, SCHEDULING, SYSTEM, TYPES, World, condition,
    in_cluster,
};
use serde_json::{Value, json};
use tokio::net::TcpListener;

scenarios! {
    shared: weights_leasts_and_mosts_divide_a_total_that_may_change,
    a_total_is_scaled_by_whatever_scales;
    alone:
    a_lost_members_replicas_run_elsewhere_and_return,
    two_members_lost_at_once_are_given_up_and_taken_back_by_somebodys_word,
    a_member_whose_own_check_answers_keeps_its_replicas_until_that_is_silent_too,
    a_drained_member_gives_its_replicas_away_and_gets_them_back,
    a_namespace_that_leaves_a_cluster_waits_for_replicas_that_are_not_ready_elsewhere;
    pocketkube only: a_total_follows_an_autoscaler_of_the_host;
}

async fn weights_leasts_and_mosts_divide_a_total_that_may_change(world: &World, namespace: &str) {
    world.federate_deployment(namespace, "web").await;
    let clusters = json!({
        "berlin": {"weight": 2, "maxReplicas": 4},
        "lisbon": {"weight": 1, "minReplicas": 2},
        "osaka": {"weight": 1},
    });
    prefer(world, namespace, 6, &clusters).await;
    until_run(world, namespace, [2, 3, 1]).await;
    prefer(world, namespace, 14, &clusters).await;
    until_run(world, namespace, [4, 6, 4]).await;
    prefer(world, namespace, 2, &clusters).await;
    until_run(world, namespace, [0, 2, 0]).await;
}

async fn a_total_is_scaled_by_whatever_scales(world: &World, namespace: &str) {
    world.federate_deployment(namespace, "web").await;
    prefer(world, namespace, 3, &json!({"*": {"weight": 1}})).await;
    until_run(world, namespace, [1, 1, 1]).await;
    world
        .host()
        .scale("somebody", &preference(namespace), 6)
        .await;
    until_run(world, namespace, [2, 2, 2]).await;
    world
        .host()
        .until(&preference(namespace), "it says what runs", |object| {
            let status = &object["status"];
            status["replicas"] == 6 && status["selector"] == "app=web"
        })
        .await;
}

async fn a_total_follows_an_autoscaler_of_the_host(world: &mut World, namespace: &str) {
    world.federate_deployment(namespace, "web").await;
    prefer(world, namespace, 3, &json!({"*": {"weight": 1}})).await;
    until_run(world, namespace, [1, 1, 1]).await;
    // Its metrics are nowhere; its least is obeyed all the same.
    let autoscaler = json!({"apiVersion": "autoscaling/v2", "kind": "HorizontalPodAutoscaler",
        "metadata": {"namespace": namespace, "name": "web"},
        "spec": {"minReplicas": 9, "maxReplicas": 12,
            "scaleTargetRef": {"apiVersion": SCHEDULING,
                "kind": "ReplicaSchedulingPreference", "name": "web"},
            "metrics": [{"type": "External", "external": {"metric": {"name": "requests"},
                "target": {"type": "AverageValue", "averageValue": "100"}}}]}});
    world.host().apply(autoscaler).await;
    until_run(world, namespace, [3, 3, 3]).await;
    let preference = world.host().get(&preference(namespace)).await;
    assert_eq!(preference["spec"]["totalReplicas"], 9, "{preference:#}");
}

async fn a_lost_members_replicas_run_elsewhere_and_return(world: &mut World, namespace: &str) {
    world.federate_deployment(namespace, "web").await;
    prefer(world, namespace, 6, &json!({"*": {"weight": 1}})).await;
    until_run(world, namespace, [2, 2, 2]).await;

    world.break_api("osaka", ApiFault::Down);
    for name in ["berlin", "lisbon"] {
        until_runs(world, namespace, name, 3).await;
    }
    let preference = world
        .host()
        .until(&preference(namespace), "Osaka counts none", |object| {
            share(object, "osaka")["phase"] == "Evacuated"
        })
        .await;
    assert_eq!(share(&preference, "osaka")["replicas"], 0, "{preference:#}");

    world.mend_api("osaka").await;
    until_run(world, namespace, [2, 2, 2]).await;
    world
        .host()
        .until(&self::preference(namespace), "all serve again", |object| {
            ["berlin", "lisbon", "osaka"]
                .iter()
                .all(|name| share(object, name)["phase"].is_null())
        })
        .await;
}

async fn two_members_lost_at_once_are_given_up_and_taken_back_by_somebodys_word(
    world: &mut World,
    namespace: &str,
) {
    shut_the_brake(world).await;
    world.federate_deployment(namespace, "web").await;
    prefer(world, namespace, 6, &json!({"*": {"weight": 1}})).await;
    let manual = json!({"spec": {"failback": {"mode": "Manual"}}});
    let at = preference(namespace);
    world.host().patch(&at, manual).await;
    until_run(world, namespace, [2, 2, 2]).await;

    // Both at once: the host suspects itself, and says so.
    for name in ["berlin", "lisbon"] {
        world.break_api(name, ApiFault::Down);
    }
    let braked = |object: &Value| condition(object, "FailoverBraked")["status"] == "True";
    let told = world.host().until(&at, "it is braked", braked).await;
    assert_eq!(share(&told, "osaka")["replicas"], 2, "{told:#}");
    world
        .command(&["failover", "release", "--reason", "both sites lost power"])
        .await;
    until_runs(world, namespace, "osaka", 6).await;
    let told = world
        .host()
        .until(&at, "both count none", |object| {
            ["berlin", "lisbon"]
                .iter()
                .all(|name| share(object, name)["phase"] == "Evacuated")
        })
        .await;
    assert!(condition(&told, "FailoverBraked").is_null(), "{told:#}");

    // Both are back for longer than is wanted of them, and wait.
    for name in ["berlin", "lisbon"] {
        world.mend_api(name).await;
        world.until_ready(name).await;
    }
    let empty = |object: &Value| {
        let share = share(object, "lisbon");
        share["phase"] == "Evacuated" && share["reason"].to_string().contains("meridian failback")
    };
    world
        .host()
        .until(&at, "it says what it waits for", empty)
        .await;
    until_runs(world, namespace, "osaka", 6).await;
    let failback = ["failback", "deployment", "web", "-n", namespace];
    world
        .command(&[&failback[..], &["--cluster", "lisbon"]].concat())
        .await;
    for name in ["lisbon", "osaka"] {
        until_runs(world, namespace, name, 3).await;
    }
    let told = world.host().get(&at).await;
    assert_eq!(share(&told, "berlin")["phase"], "Evacuated", "{told:#}");
    world.command(&failback).await;
    until_run(world, namespace, [2, 2, 2]).await;
    shut_the_brake(world).await;
}

/// What somebody released for an hour, here or in another scenario.
async fn shut_the_brake(world: &World) {
    let settings = ObjectRef::new(CORE, "KubeFedConfig", SYSTEM, "kubefed");
    let shut = json!({"metadata": {"annotations": {"meridian.dev/failover-released": null}}});
    world.host().patch(&settings, shut).await;
}

async fn a_member_whose_own_check_answers_keeps_its_replicas_until_that_is_silent_too(
    world: &mut World,
    namespace: &str,
) {
    world.take_controller().stop();
    let [dns] = free_ports();
    let run = Run::all_roles("checking", ([127, 0, 0, 1], dns).into());
    let meridian = world.run(&run).await;
    world.until_leads("checking").await;
    world.federate_deployment(namespace, "web").await;
    prefer(world, namespace, 6, &json!({"*": {"weight": 1}})).await;
    until_run(world, namespace, [2, 2, 2]).await;

    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
    let port = listener.local_addr().expect("it is bound").port();
    let osaka = ObjectRef::new(CORE, "KubeFedCluster", SYSTEM, "osaka");
    let check = json!({"address": "127.0.0.1",
        "healthCheck": {"tcp": {"port": port}, "interval": "400ms", "timeout": "350ms"}});
    let spec = |check: Value| json!({"spec": {"dataPlaneCheck": check}});
    world.host().patch(&osaka, spec(check)).await;
    let report = ObjectRef::new(GSLB, "ProbeReport", SYSTEM, "checking");
    let says = |verdict: &'static str| {
        move |report: &Value| {
            let said = report["spec"]["verdicts"].as_array();
            let mut said = said.into_iter().flatten();
            said.any(|said| said["cluster"] == "osaka" && said["verdict"] == verdict)
        }
    };
    world.host().until(&report, "it is up", says("Up")).await;

    world.break_api("osaka", ApiFault::Down);
    let kept = "the API is down while the data plane is up";
    world
        .host()
        .until(&preference(namespace), "Osaka keeps its own", |object| {
            share(object, "osaka")["reason"].to_string().contains(kept)
        })
        .await;
    // What is decided on that is told before a change of the total is.
    prefer(world, namespace, 9, &json!({"*": {"weight": 1}})).await;
    let divided = world
        .host()
        .until(&preference(namespace), "nine are divided", |object| {
            object["status"]["observedGeneration"] == object["metadata"]["generation"]
        })
        .await;
    assert_ne!(
        share(&divided, "osaka")["phase"],
        "Evacuated",
        "{divided:#}"
    );
    assert!(share(&divided, "osaka")["replicas"].as_u64() >= Some(2));

    drop(listener);
    for (name, least) in [("berlin", 4), ("lisbon", 4)] {
        let deployment = ObjectRef::new("apps/v1", "Deployment", namespace, "web");
        world
            .member(name)
            .until(&deployment, "it has taken over", |held| {
                held["status"]["readyReplicas"].as_u64() >= Some(least)
            })
            .await;
    }
    world.mend_api("osaka").await;
    world.host().patch(&osaka, spec(Value::Null)).await;
    until_run(world, namespace, [3, 3, 3]).await;
    meridian.stop();
}

async fn a_drained_member_gives_its_replicas_away_and_gets_them_back(
    world: &mut World,
    namespace: &str,
) {
    world.federate_deployment(namespace, "web").await;
    prefer(world, namespace, 6, &json!({"*": {"weight": 1}})).await;
    until_run(world, namespace, [2, 2, 2]).await;
    // Nobody answers DNS here: there is no traffic to wait for.
    let told = world.command(&["drain", "osaka", "-o", "json"]).await;
    let told: Value = serde_json::from_str(&told).expect("JSON");
    assert_eq!(told["metadata"]["name"], "osaka", "{told:#}");
    assert_eq!(told["spec"]["drain"], true, "{told:#}");
    until_run(world, namespace, [3, 3, 0]).await;
    world
        .host()
        .until(&preference(namespace), "the status says so", |object| {
            let osaka = share(object, "osaka");
            osaka["phase"] == "Drained" && osaka["reason"] == "drained"
        })
        .await;
    let told = world.command(&["uncordon", "osaka", "-o", "table"]).await;
    let lines: Vec<_> = told.lines().collect();
    assert!(lines[0].starts_with("NAME"), "{told}");
    assert!(lines[1].starts_with("osaka") && lines.len() == 2, "{told}");
    until_run(world, namespace, [2, 2, 2]).await;
}

async fn a_namespace_that_leaves_a_cluster_waits_for_replicas_that_are_not_ready_elsewhere(
    world: &mut World,
    namespace: &str,
) {
    world.federate_deployment(namespace, "web").await;
    prefer(world, namespace, 6, &json!({"*": {"weight": 1}})).await;
    until_run(world, namespace, [2, 2, 2]).await;
    let note = json!({"template": {"data": {"x": "y"}}, "placement": {"clusterSelector": {}}});
    world
        .federate("FederatedConfigMap", namespace, "note", note)
        .await;
    world
        .until_propagated("FederatedConfigMap", namespace, "note")
        .await;

    // Who takes the replicas cannot run them yet.
    for name in ["berlin", "lisbon"] {
        cordon(world.member(name), true).await;
    }
    let two = json!({"placement": {"clusters": [{"name": "berlin"}, {"name": "lisbon"}]}});
    world
        .federate("FederatedNamespace", namespace, namespace, two)
        .await;
    let federated = |kind: &str, name: &str| {
        ObjectRef::new(TYPES, &format!("Federated{kind}"), namespace, name)
    };
    for (kind, name) in [("Namespace", namespace), ("ConfigMap", "note")] {
        let braked = |object: &Value| {
            let braked = condition(object, "DeletionBraked");
            braked["message"].to_string().contains("osaka")
        };
        world
            .host()
            .until(&federated(kind, name), "its deletion is stopped", braked)
            .await;
    }
    world
        .command(&[
            "confirm",
            "federatednamespaces",
            namespace,
            "--namespace",
            namespace,
        ])
        .await;
    world
        .host()
        .until(&federated("Namespace", namespace), "it waits", |object| {
            let said = in_cluster(object, "osaka")["message"].to_string();
            said.contains("these leave first: Deployment web")
        })
        .await;
    let osaka = world.member("osaka");
    let note = ObjectRef::new("v1", "ConfigMap", namespace, "note");
    osaka.until_gone(&note).await;
    until_runs(world, namespace, "osaka", 2).await;

    for name in ["berlin", "lisbon"] {
        cordon(world.member(name), false).await;
    }
    for name in ["berlin", "lisbon"] {
        until_runs(world, namespace, name, 3).await;
    }
    let there = ObjectRef::new("v1", "Namespace", "", namespace);
    osaka.until_gone(&there).await;
}

/// Whether a member's nodes take no Pods.
async fn cordon(member: &Cluster, unschedulable: bool) {
    for node in member.list("v1", "Node", "").await {
        let patch = json!({"spec": {"unschedulable": unschedulable}});
        let name = node["metadata"]["name"].as_str().unwrap_or_default();
        let at = ObjectRef::new("v1", "Node", "", name);
        member.patch(&at, patch).await;
    }
}

async fn prefer(world: &World, namespace: &str, total: u32, clusters: &Value) {
    let preference = json!({
        "apiVersion": SCHEDULING, "kind": "ReplicaSchedulingPreference",
        "metadata": {"namespace": namespace, "name": "web"},
        "spec": {"targetKind": "FederatedDeployment", "totalReplicas": total,
            "rebalance": true, "clusters": clusters},
    });
    world.host().apply(preference).await;
}

/// Waits until Berlin, Lisbon and Osaka run these replicas, ready.
async fn until_run(world: &World, namespace: &str, replicas: [u32; 3]) {
    for (name, replicas) in ["berlin", "lisbon", "osaka"].into_iter().zip(replicas) {
        until_runs(world, namespace, name, replicas).await;
    }
}

async fn until_runs(world: &World, namespace: &str, name: &str, replicas: u32) {
    let deployment = ObjectRef::new("apps/v1", "Deployment", namespace, "web");
    let what = format!("{replicas} replicas run");
    world
        .member(name)
        .until(&deployment, &what, |held| {
            let ready = held["status"]["readyReplicas"].as_u64().unwrap_or_default();
            held["spec"]["replicas"] == replicas && ready == u64::from(replicas)
        })
        .await;
}

fn preference(namespace: &str) -> ObjectRef {
    ObjectRef::new(SCHEDULING, "ReplicaSchedulingPreference", namespace, "web")
}

/// What a preference's status says of one cluster.
fn share<'a>(preference: &'a Value, cluster: &str) -> &'a Value {
    let clusters = preference["status"]["clusters"].as_array();
    let mut clusters = clusters.into_iter().flatten();
    clusters
        .find(|share| share["name"] == cluster)
        .unwrap_or(&Value::Null)
}
