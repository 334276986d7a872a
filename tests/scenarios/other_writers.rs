//! Others write into the same objects: autoscalers, injectors, people.
//!
//! What meridian applies it owns, field by field; everything else is left alone. An autoscaler may
//! own the replicas where the federated object says so. Who keeps changing a field of the template
//! is told from who adds one: the first is repaired a few times and then named, the second is none
//! of meridian's business.

use meridian_tests::world::{ObjectRef, TYPES, World, in_cluster};
use serde_json::{Value, json};

scenarios! {
    shared:
    an_autoscaler_keeps_the_replicas_that_are_retained,
    what_an_injector_adds_stays_and_is_no_fight,
    who_keeps_changing_a_field_back_is_held_off_and_told,
    an_object_of_somebody_else_is_left_alone_until_it_goes,
    what_is_marked_as_unmanaged_is_not_touched,
    a_service_keeps_what_its_member_gave_it;
    alone:
    what_is_adopted_is_taken_over_and_let_go_again;
}

async fn an_autoscaler_keeps_the_replicas_that_are_retained(world: &World, namespace: &str) {
    let mut spec = deployment("web:1");
    spec["retainReplicas"] = json!(true);
    world
        .federate("FederatedDeployment", namespace, "web", spec)
        .await;
    let at = ObjectRef::new("apps/v1", "Deployment", namespace, "web");
    for member in world.members() {
        member
            .until(&at, "the first replicas", |held| {
                held["spec"]["replicas"] == 2
            })
            .await;
    }
    let berlin = world.member("berlin");
    berlin.scale("horizontal-pod-autoscaler", &at, 5).await;
    let mut spec = deployment("web:2");
    spec["retainReplicas"] = json!(true);
    world
        .federate("FederatedDeployment", namespace, "web", spec)
        .await;
    for member in world.members() {
        let replicas = if member.name() == "berlin" { 5 } else { 2 };
        let held = member
            .until(&at, "the second image", |held| image(held) == "web:2")
            .await;
        assert_eq!(held["spec"]["replicas"], replicas, "{}", member.name());
    }
    berlin.scale("horizontal-pod-autoscaler", &at, 3).await;
    // A change of another field goes through, and takes no replicas along.
    let drift = json!({"metadata": {"labels": {"app": "drifted"}}});
    berlin.patch(&at, drift).await;
    let held = berlin
        .until(&at, "the label is repaired", |held| {
            held["metadata"]["labels"]["app"] == "web"
        })
        .await;
    assert_eq!(held["spec"]["replicas"], 3);
}

async fn what_an_injector_adds_stays_and_is_no_fight(world: &World, namespace: &str) {
    world
        .federate("FederatedDeployment", namespace, "web", deployment("web:1"))
        .await;
    let at = ObjectRef::new("apps/v1", "Deployment", namespace, "web");
    let osaka = world.member("osaka");
    osaka.until(&at, "it is there", |_| true).await;
    let injected = json!({
        "apiVersion": "apps/v1", "kind": "Deployment",
        "metadata": {"namespace": namespace, "name": "web",
            "annotations": {"injector.example.com/status": "injected"}},
        "spec": {"template": {"spec": {
            "containers": [{"name": "sidecar", "image": "sidecar:1"}],
            "volumes": [{"name": "certificates", "emptyDir": {}}],
        }}},
    });
    let with_sidecar = osaka.apply_as("injector", injected).await;
    world
        .federate("FederatedDeployment", namespace, "web", deployment("web:2"))
        .await;
    let held = osaka
        .until(&at, "the second image", |held| image(held) == "web:2")
        .await;
    let names: Vec<&Value> = containers(&held)
        .map(|container| &container["name"])
        .collect();
    assert_eq!(names, ["web", "sidecar"], "{held:#}");
    let annotation = &held["metadata"]["annotations"]["injector.example.com/status"];
    assert_eq!(annotation, "injected");
    // Whatever was to be repaired would be repaired before what comes after it is there.
    let marker = json!({"template": {"data": {"x": "y"}}, "placement": {"clusterSelector": {}}});
    world
        .federate("FederatedConfigMap", namespace, "marker", marker)
        .await;
    let there = ObjectRef::new("v1", "ConfigMap", namespace, "marker");
    osaka.until(&there, "it is there", |_| true).await;
    let generation = |object: &Value| object["metadata"]["generation"].as_u64();
    let now = osaka.get(&at).await;
    assert_eq!(
        generation(&now),
        generation(&with_sidecar).map(|before| before + 1),
        "{with_sidecar:#} became {now:#}"
    );
}

async fn who_keeps_changing_a_field_back_is_held_off_and_told(world: &World, namespace: &str) {
    let spec = json!({"template": {"data": {"currency": "EUR"}},
        "placement": {"clusterSelector": {}}});
    let federated = world
        .federate("FederatedConfigMap", namespace, "prices", spec)
        .await;
    let federated = ObjectRef::of(&federated);
    let at = ObjectRef::new("v1", "ConfigMap", namespace, "prices");
    let lisbon = world.member("lisbon");
    lisbon.until(&at, "it is there", |_| true).await;
    let mut repaired = 0;
    loop {
        let theirs = json!({"data": {"currency": format!("USD {repaired}")}});
        let changed = lisbon.patch_as("rival", &at, theirs).await;
        let version = changed["metadata"]["resourceVersion"].clone();
        let told = async {
            world
                .host()
                .until(&federated, "it is told", |object| {
                    let said = in_cluster(object, "lisbon")["message"].as_str();
                    said.is_some_and(|said| said.contains("it is changed back"))
                })
                .await
        };
        let mended = async {
            lisbon
                .until(&at, "it is repaired", |held| {
                    held["metadata"]["resourceVersion"] != version
                        && held["data"]["currency"] == "EUR"
                })
                .await
        };
        tokio::select! {
            told = told => {
                let message = in_cluster(&told, "lisbon")["message"].to_string();
                let named = r#"\"rival\" changed .data"#;
                assert!(message.contains(named), "who, and the field: {message}");
                break;
            }
            _ = mended => repaired += 1,
        }
        assert!(repaired < 50, "it goes on without an end");
    }
    assert!(repaired > 1, "one change is no fight");
    // The others do not suffer.
    let status = world.host().get(&federated).await;
    assert!(in_cluster(&status, "berlin").is_object(), "{status:#}");
    assert!(
        in_cluster(&status, "berlin")["status"].is_null(),
        "{status:#}"
    );
    // Whose a field is does not matter to who deletes it.
    world.host().delete(&federated).await;
    world.host().until_gone(&federated).await;
    lisbon.until_gone(&at).await;
}

async fn an_object_of_somebody_else_is_left_alone_until_it_goes(world: &World, namespace: &str) {
    let theirs = json!({"apiVersion": "v1", "kind": "ConfigMap",
        "metadata": {"namespace": namespace, "name": "prices"}, "data": {"x": "theirs"}});
    let berlin = world.member("berlin");
    let made = berlin.create(theirs).await;
    let spec = json!({"template": {"data": {"x": "ours"}}, "placement": {"clusterSelector": {}}});
    world
        .federate("FederatedConfigMap", namespace, "prices", spec)
        .await;
    let federated = ObjectRef::new(TYPES, "FederatedConfigMap", namespace, "prices");
    let told = world
        .host()
        .until(&federated, "the status says so", |object| {
            in_cluster(object, "berlin")["status"] == "AlreadyExists"
        })
        .await;
    let message = in_cluster(&told, "berlin")["message"].as_str();
    assert!(
        message.is_some_and(|said| said.contains("adoptResources")),
        "what to do: {message:?}"
    );
    let at = ObjectRef::new("v1", "ConfigMap", namespace, "prices");
    for name in ["lisbon", "osaka"] {
        world.member(name).until(&at, "it is there", |_| true).await;
    }
    assert_eq!(berlin.get(&at).await, made, "untouched");
    berlin.delete(&at).await;
    berlin
        .until(&at, "ours takes its place", |held| {
            held["data"]["x"] == "ours"
        })
        .await;
}

async fn what_is_marked_as_unmanaged_is_not_touched(world: &World, namespace: &str) {
    let spec =
        |x: &str| json!({"template": {"data": {"x": x}}, "placement": {"clusterSelector": {}}});
    world
        .federate("FederatedConfigMap", namespace, "prices", spec("1"))
        .await;
    world
        .until_propagated("FederatedConfigMap", namespace, "prices")
        .await;
    let at = ObjectRef::new("v1", "ConfigMap", namespace, "prices");
    let berlin = world.member("berlin");
    let unmanaged = json!({"metadata": {"labels": {"kubefed.io/managed": "false"}}});
    let mine = berlin.patch(&at, unmanaged).await;
    let made = world
        .federate("FederatedConfigMap", namespace, "prices", spec("2"))
        .await;
    let federated = ObjectRef::of(&made);
    let told = |object: &Value| {
        in_cluster(object, "berlin")["status"] == "ManagedLabelFalse"
            && object["status"]["summary"]["ready"] == "2/3"
    };
    world.host().until(&federated, "it says so", told).await;
    assert_eq!(berlin.get(&at).await, mine, "untouched");
    // Nor is it deleted, and nobody waits for it.
    world.host().delete(&federated).await;
    world.host().until_gone(&federated).await;
    for name in ["lisbon", "osaka"] {
        world.member(name).until_gone(&at).await;
    }
    assert_eq!(berlin.get(&at).await["data"]["x"], "1");
}

async fn a_service_keeps_what_its_member_gave_it(world: &World, namespace: &str) {
    let spec = |target: u16, more: Value| {
        let mut ports = vec![json!({"name": "http", "port": 80, "targetPort": target})];
        ports.extend(more.as_array().cloned().unwrap_or_default());
        json!({"placement": {"clusterSelector": {}}, "template": {"spec": {
            "type": "NodePort", "selector": {"app": "web"}, "ports": ports}}})
    };
    world
        .federate("FederatedService", namespace, "web", spec(8080, json!([])))
        .await;
    world
        .until_propagated("FederatedService", namespace, "web")
        .await;
    let at = ObjectRef::new("v1", "Service", namespace, "web");
    let given = |held: &Value| {
        let spec = &held["spec"];
        let (address, port) = (&spec["clusterIP"], &spec["ports"][0]["nodePort"]);
        assert!(address.is_string() && port.is_u64(), "{held:#}");
        json!([address, spec["clusterIPs"], port])
    };
    let mut before = Vec::new();
    for member in world.members() {
        before.push(given(&member.get(&at).await));
    }
    let more = json!([{"name": "admin", "port": 81, "targetPort": 8081}]);
    world
        .federate("FederatedService", namespace, "web", spec(9090, more))
        .await;
    for (member, before) in world.members().zip(&before) {
        let changed = |held: &Value| held["spec"]["ports"][1]["targetPort"] == 8081;
        let held = member.until(&at, "it has both ports", changed).await;
        assert_eq!(held["spec"]["ports"][0]["targetPort"], 9090);
        assert_eq!(given(&held), *before, "{}", member.name());
    }
    // Nor does a repair take it.
    let berlin = world.member("berlin");
    let drift = json!({"spec": {"selector": {"app": "other"}}});
    berlin.patch(&at, drift).await;
    let repaired = |held: &Value| held["spec"]["selector"]["app"] == "web";
    let held = berlin.until(&at, "it is repaired", repaired).await;
    assert_eq!(given(&held), before[0]);
}

async fn what_is_adopted_is_taken_over_and_let_go_again(world: &mut World, namespace: &str) {
    let adopt = |word: Value| json!({"syncController": {"adoptResources": word}});
    world.change_settings(adopt(json!("Enabled"))).await;
    let theirs = json!({"apiVersion": "v1", "kind": "ConfigMap",
        "metadata": {"namespace": namespace, "name": "prices", "labels": {"team": "shop"}},
        "data": {"x": "theirs", "y": "theirs"}});
    let (berlin, lisbon) = (world.member("berlin"), world.member("lisbon"));
    let uid = berlin.create(theirs).await["metadata"]["uid"].clone();
    let spec = |clusters: Value| json!({"template": {"data": {"x": "ours"}}, "placement": {"clusters": clusters}});
    let both = json!([{"name": "berlin"}, {"name": "lisbon"}]);
    world
        .federate("FederatedConfigMap", namespace, "prices", spec(both))
        .await;
    world
        .until_propagated("FederatedConfigMap", namespace, "prices")
        .await;
    let at = ObjectRef::new("v1", "ConfigMap", namespace, "prices");
    let held = berlin.get(&at).await;
    assert_eq!(held["metadata"]["uid"], uid, "it is the same object");
    assert_eq!(held["data"], json!({"x": "ours", "y": "theirs"}));
    assert_eq!(held["metadata"]["labels"]["kubefed.io/managed"], "true");
    lisbon.get(&at).await;

    // It leaves the placement: what meridian made goes, what it found is let go.
    let nowhere = spec(json!([]));
    world
        .federate("FederatedConfigMap", namespace, "prices", nowhere)
        .await;
    lisbon.until_gone(&at).await;
    let free = |held: &Value| held["metadata"]["labels"]["kubefed.io/managed"].is_null();
    let held = berlin.until(&at, "it is let go", free).await;
    let metadata = &held["metadata"];
    assert_eq!(
        (&metadata["uid"], &metadata["labels"]["team"]),
        (&uid, &json!("shop"))
    );
    assert_eq!(held["data"], json!({"x": "ours", "y": "theirs"}));
    for mark in [
        "meridian.dev/origin",
        "meridian.dev/applied-hash",
        "meridian.dev/adopted",
    ] {
        assert!(metadata["annotations"][mark].is_null(), "{mark}: {held:#}");
    }
    world.change_settings(adopt(Value::Null)).await;
}

fn containers(deployment: &Value) -> impl Iterator<Item = &Value> {
    let containers = deployment["spec"]["template"]["spec"]["containers"].as_array();
    containers.into_iter().flatten()
}

/// The image of the container `web`.
fn image(deployment: &Value) -> &str {
    let mut containers = containers(deployment);
    let web = containers.find(|container| container["name"] == "web");
    web.and_then(|web| web["image"].as_str())
        .unwrap_or_default()
}

fn deployment(image: &str) -> Value {
    let labels = json!({"app": "web"});
    json!({
        "template": {
            "metadata": {"labels": labels},
            "spec": {
                "replicas": 2,
                "selector": {"matchLabels": labels},
                "template": {
                    "metadata": {"labels": labels},
                    "spec": {"containers": [{"name": "web", "image": image}]},
                },
            },
        },
        "placement": {"clusterSelector": {}},
    })
}
