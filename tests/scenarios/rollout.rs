//! A changed template reaches the clusters in steps, and stops where it does not become available.
//!
//! Replicas do not wait for it: a cluster that has to keep the old template gets its share of a
//! division all the same.

use meridian_tests::world::{ObjectRef, SCHEDULING, TYPES, World, condition};
use serde_json::{Value, json};

scenarios! {
    shared:
    a_bad_template_stops_at_the_first_step_while_replicas_move,
    a_manual_step_begins_when_somebody_approves_it,
    who_waits_for_a_change_is_told_how_it_ended,
    what_is_paused_stays_as_it_is_until_it_is_resumed;
}

async fn a_bad_template_stops_at_the_first_step_while_replicas_move(
    world: &World,
    namespace: &str,
) {
    deploy(world, namespace, "1", None).await;
    prefer(world, namespace, 6).await;
    for name in MEMBERS {
        until_runs(world, namespace, name, ("1", 2)).await;
    }
    until_phase(world, namespace, "Complete").await;

    deploy(world, namespace, "2", Some("nowhere")).await;
    let berlin = world.member("berlin");
    berlin
        .until(&web(namespace), "it has the new template", |it| {
            version(it) == "2"
        })
        .await;
    let told = until_phase(world, namespace, "Progressing").await;
    let message = told["status"]["rollout"]["message"].to_string();
    assert!(message.contains("step 1 of 3: berlin: "), "{message}");
    assert_eq!(condition(&told, "Ready")["status"], "False", "{told:#}");

    prefer(world, namespace, 9).await;
    for name in ["lisbon", "osaka"] {
        until_runs(world, namespace, name, ("1", 3)).await;
    }
    let held = until_phase(world, namespace, "Progressing").await;
    assert_eq!(held["status"]["rollout"]["step"], 1, "{held:#}");

    deploy(world, namespace, "3", None).await;
    for name in MEMBERS {
        until_runs(world, namespace, name, ("3", 3)).await;
    }
    let done = until_phase(world, namespace, "Complete").await;
    assert_eq!(done["status"]["rollout"]["step"], 3, "{done:#}");
}

async fn a_manual_step_begins_when_somebody_approves_it(world: &World, namespace: &str) {
    let spec = |colour: &str| {
        json!({
            "template": {"data": {"colour": colour}},
            "placement": {"clusterSelector": {}},
            "rollout": {"order": [{"clusters": [{"name": "osaka"}]}], "pause": "Manual"},
        })
    };
    let colour = |object: &Value| {
        object["data"]["colour"]
            .as_str()
            .unwrap_or_default()
            .to_owned()
    };
    let paint = ObjectRef::new("v1", "ConfigMap", namespace, "paint");
    let waiting = ["configmaps", "paint", "--namespace", namespace];
    for shade in ["blue", "red"] {
        world
            .federate("FederatedConfigMap", namespace, "paint", spec(shade))
            .await;
        let osaka = world.member("osaka");
        osaka
            .until(&paint, "it has the new colour", |it| colour(it) == shade)
            .await;
        let federated = ObjectRef::new(TYPES, "FederatedConfigMap", namespace, "paint");
        let told = world
            .host()
            .until(&federated, "the second step waits", |object| {
                object["status"]["rollout"]["phase"] == "Waiting"
            })
            .await;
        let message = told["status"]["rollout"]["message"].to_string();
        assert!(message.contains("meridian rollout approve"), "{message}");
        assert!(condition(&told, "Stalled").is_null(), "{told:#}");
        let berlin = world.member("berlin").find(&paint).await;
        assert_ne!(berlin.as_ref().map(colour), Some(shade.to_owned()));
        a_plan_says_what_waits(world, namespace).await;

        world
            .command(&[&["rollout", "approve"], &waiting[..]].concat())
            .await;
        for name in ["berlin", "lisbon"] {
            let member = world.member(name);
            member
                .until(&paint, "it has the new colour", |it| colour(it) == shade)
                .await;
        }
        world
            .host()
            .until(&federated, "it has been everywhere", |object| {
                object["status"]["rollout"]["phase"] == "Complete"
            })
            .await;
    }
}

/// In each cluster of the step that somebody has to approve.
async fn a_plan_says_what_waits(world: &World, namespace: &str) {
    let plan = ["plan", "configmap", "paint", "-n", namespace, "-o", "json"];
    let (code, plan, _) = world.ended_command(&plan).await;
    let plan: Value = serde_json::from_str(&plan).expect("JSON");
    let clusters = &plan["objects"][0]["clusters"];
    for (name, change) in [("osaka", "keep"), ("berlin", "wait"), ("lisbon", "wait")] {
        let all = clusters.as_array().into_iter().flatten();
        let mut found = all.filter(|cluster| cluster["name"] == name);
        let cluster = found.next().unwrap_or(&Value::Null);
        assert_eq!(cluster["change"], change, "{name}: {plan:#}");
        let reason = cluster["reason"].as_str().unwrap_or_default();
        let told = reason.contains("step 2 of 2 waits for approval");
        assert_eq!(told, change == "wait", "{name}: {plan:#}");
    }
    assert_eq!(code, Some(0), "{plan:#}");
}

async fn who_waits_for_a_change_is_told_how_it_ended(world: &World, namespace: &str) {
    let spec = |key: &str| {
        json!({
            "template": {"data": {key: "blue"}},
            "placement": {"clusterSelector": {}},
            "rollout": {"order": [{"clusters": [{"name": "osaka"}]}]},
        })
    };
    let status = ["rollout", "status", "cm", "paint", "-n", namespace];
    let federate = async |key: &str| {
        let spec = spec(key);
        world
            .federate("FederatedConfigMap", namespace, "paint", spec)
            .await;
    };
    federate("colour").await;
    let told = world.command(&status).await;
    let last = told.lines().last().unwrap_or_default();
    assert!(last.ends_with("has been everywhere"), "{told}");

    federate("not a key").await;
    let (code, told, _) = world.ended_command(&status).await;
    assert_eq!(code, Some(1), "{told}");
    let last = told.lines().last().unwrap_or_default();
    assert!(last.starts_with("stalled; osaka: "), "{told}");
    let once = [status.as_slice(), &["--watch=false", "-o", "json"]].concat();
    let (code, told, _) = world.ended_command(&once).await;
    let told: Value = serde_json::from_str(&told).expect("JSON");
    assert_eq!(
        (code, &told["phase"]),
        (Some(1), &json!("Stalled")),
        "{told:#}"
    );

    // What has to wait for somebody is not waited for in vain.
    federate("colour").await;
    world.command(&status).await;
    let which = ["cm", "paint", "-n", namespace];
    world
        .command(&[&["rollout", "pause"], &which[..]].concat())
        .await;
    federate("shade").await;
    let late = [status.as_slice(), &["--timeout", "1s"]].concat();
    let said = world.failing_command(&late).await;
    assert!(said.contains("not within 1s: paused; "), "{said}");
}

async fn what_is_paused_stays_as_it_is_until_it_is_resumed(world: &World, namespace: &str) {
    let which = ["configmap", "paint", "-n", namespace];
    let rollout = |what| [&["rollout", what], &which[..]].concat();
    let federate = async |colour: &str, clusters: Value| {
        let spec =
            json!({"template": {"data": {"colour": colour}}, "placement": {"clusters": clusters}});
        world
            .federate("FederatedConfigMap", namespace, "paint", spec)
            .await
    };
    let two = json!([{"name": "berlin"}, {"name": "osaka"}]);
    federate("blue", two).await;
    world
        .until_propagated("FederatedConfigMap", namespace, "paint")
        .await;
    world.command(&rollout("pause")).await;
    // A change, a cluster more and one less, and somebody's own change: all of it waits.
    let other = json!([{"name": "berlin"}, {"name": "lisbon"}]);
    let made = federate("red", other).await;
    let paint = ObjectRef::new("v1", "ConfigMap", namespace, "paint");
    let berlin = world.member("berlin");
    berlin
        .patch(&paint, json!({"data": {"colour": "green"}}))
        .await;
    let generation = made["metadata"]["generation"].clone();
    let federated = ObjectRef::of(&made);
    let held = |object: &Value| {
        object["status"]["observedGeneration"] == generation
            && condition(object, "Ready")["reason"] == "Paused"
    };
    world.host().until(&federated, "it is held", held).await;
    let plan = world.ended_command(&[&["plan"], &which[..]].concat()).await;
    assert!(plan.1.contains("paused"), "{plan:?}");
    // Whatever was done all the same would be done before what comes after it is there.
    let marker = json!({"template": {"data": {"x": "y"}}, "placement": {"clusterSelector": {}}});
    world
        .federate("FederatedConfigMap", namespace, "marker", marker)
        .await;
    world
        .until_propagated("FederatedConfigMap", namespace, "marker")
        .await;
    assert_eq!(berlin.get(&paint).await["data"]["colour"], "green");
    assert_eq!(world.member("lisbon").find(&paint).await, None);
    assert_eq!(
        world.member("osaka").get(&paint).await["data"]["colour"],
        "blue"
    );

    world.command(&rollout("resume")).await;
    for name in ["berlin", "lisbon"] {
        let red = |held: &Value| held["data"]["colour"] == "red";
        world.member(name).until(&paint, "it is red", red).await;
    }
    world.member("osaka").until_gone(&paint).await;
}

const MEMBERS: [&str; 3] = ["berlin", "lisbon", "osaka"];

/// Berlin first, then Lisbon, then the rest; a zone that no node is in makes Pods that find no place.
async fn deploy(world: &World, namespace: &str, version: &str, zone: Option<&str>) {
    let labels = json!({"app": "web"});
    let mut pod = json!({"containers": [{"name": "web", "image": format!("web:{version}")}]});
    if let Some(zone) = zone {
        pod["nodeSelector"] = json!({"topology.kubernetes.io/zone": zone});
    }
    let spec = json!({
        "template": {"spec": {
            "selector": {"matchLabels": labels},
            "template": {"metadata": {"labels": labels}, "spec": pod},
        }},
        "placement": {"clusterSelector": {}},
        "rollout": {"order": [
            {"clusters": [{"name": "berlin"}]},
            {"clusters": [{"name": "lisbon"}]},
        ]},
    });
    world
        .federate("FederatedDeployment", namespace, "web", spec)
        .await;
}

async fn prefer(world: &World, namespace: &str, total: u32) {
    let preference = json!({
        "apiVersion": SCHEDULING, "kind": "ReplicaSchedulingPreference",
        "metadata": {"namespace": namespace, "name": "web"},
        "spec": {"targetKind": "FederatedDeployment", "totalReplicas": total,
            "rebalance": true, "clusters": {"*": {"weight": 1}}},
    });
    world.host().apply(preference).await;
}

fn web(namespace: &str) -> ObjectRef {
    ObjectRef::new("apps/v1", "Deployment", namespace, "web")
}

/// The version of the image that a Deployment asks for.
fn version(deployment: &Value) -> String {
    let image = &deployment["spec"]["template"]["spec"]["containers"][0]["image"];
    let image = image.as_str().unwrap_or_default();
    image.trim_start_matches("web:").to_owned()
}

async fn until_runs(world: &World, namespace: &str, name: &str, (image, replicas): (&str, u32)) {
    let what = format!("{replicas} replicas of version {image} run");
    let runs = |held: &Value| {
        let ready = held["status"]["readyReplicas"].as_u64().unwrap_or_default();
        version(held) == image
            && held["spec"]["replicas"] == replicas
            && ready == u64::from(replicas)
    };
    world.member(name).until(&web(namespace), &what, runs).await;
}

async fn until_phase(world: &World, namespace: &str, phase: &str) -> Value {
    let federated = ObjectRef::new(TYPES, "FederatedDeployment", namespace, "web");
    let what = format!("the rollout is {phase}");
    let is_so = |object: &Value| {
        object["status"]["observedGeneration"] == object["metadata"]["generation"]
            && object["status"]["rollout"]["phase"] == phase
    };
    world.host().until(&federated, &what, is_so).await
}
