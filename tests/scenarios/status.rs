//! A federated object says what became of it: `kubectl get` shows how much of it is ready in which
//! cluster, and its conditions are those by which Flux and `kubectl wait` judge, and Argo CD once it is told.

use http::Request;
use meridian_tests::world::{CORE, Cluster, ObjectRef, SYSTEM, TYPES, World, condition};
use serde_json::{Value, json};

scenarios! {
    shared:
    a_table_shows_what_is_ready_per_cluster_and_in_all,
    a_workload_is_ready_when_it_is_available_in_every_cluster;
    alone:
    a_restart_tells_no_event_again,
    a_member_says_what_it_serves_and_what_its_nodes_have_free,
    a_members_own_status_is_collected_only_while_that_is_enabled;
}

async fn a_table_shows_what_is_ready_per_cluster_and_in_all(world: &World, namespace: &str) {
    let two = json!({"clusters": [{"name": "berlin"}, {"name": "osaka"}]});
    let spec = json!({"template": {"data": {"x": "y"}}, "placement": two});
    world
        .federate("FederatedConfigMap", namespace, "web", spec)
        .await;
    let spec = json!({"template": workload(2, 0.01), "placement": {"clusterSelector": {}},
        "overrides": [{"clusterName": "osaka", "clusterOverrides": [
            {"path": "/spec/replicas", "value": 1},
            // No node is that large: its Pod waits for ever.
            {"path": "/spec/template/spec/containers/0/resources/requests/cpu", "value": 1000}]}]});
    world
        .federate("FederatedDeployment", namespace, "web", spec.clone())
        .await;
    world.command(&["enable", "replicasets.apps"]).await;
    let replica_set = json!({"apiVersion": TYPES, "kind": "FederatedReplicaSet",
        "metadata": {"namespace": namespace, "name": "web"}, "spec": spec});
    world.host().apply_once_served(replica_set).await;

    for kind in ["FederatedDeployment", "FederatedReplicaSet"] {
        let at = ObjectRef::new(TYPES, kind, namespace, "web");
        let told = world
            .host()
            .until(&at, "four of five are ready", |object| {
                object["status"]["readyReplicas"] == 4
            })
            .await;
        assert_eq!(told["status"]["replicas"], 5, "{told:#}");
    }
    let counted = ["web", "4/5", "berlin 2/2, lisbon 2/2, osaka 0/1"];
    for (plural, expected) in [
        ("federateddeployments", counted),
        ("federatedreplicasets", counted),
        ("federatedconfigmaps", ["web", "2/2", "berlin, osaka"]),
        (
            "federatednamespaces",
            [namespace, "3/3", "berlin, lisbon, osaka"],
        ),
    ] {
        let (columns, row) = table(world.host(), namespace, plural).await;
        assert_eq!(columns, ["Name", "ready", "clusters", "age"], "{plural}");
        assert_eq!(row[..3], expected, "{plural}");
    }
}

async fn a_workload_is_ready_when_it_is_available_in_every_cluster(world: &World, namespace: &str) {
    let spec = |cpu: f64| {
        json!({"template": workload(1, 0.01), "placement": {"clusterSelector": {}},
            "overrides": [{"clusterName": "osaka", "clusterOverrides": [{
                "path": "/spec/template/spec/containers/0/resources/requests/cpu", "value": cpu}]}]})
    };
    let made = world
        .federate("FederatedDeployment", namespace, "web", spec(1000.0))
        .await;
    let at = ObjectRef::of(&made);
    let told = world
        .host()
        .until(&at, "two of three are ready", |object| {
            object["status"]["readyReplicas"] == 2
        })
        .await;
    let unready = condition(&told, "Ready");
    assert_eq!(unready["status"], "False", "{told:#}");
    let message = unready["message"].as_str().unwrap_or_default();
    assert_eq!(message, "osaka: 0 of 1 replicas are ready", "{told:#}");
    assert_eq!(condition(&told, "Reconciling")["status"], "True");
    assert_eq!(condition(&told, "Stalled"), &Value::Null);
    // It is propagated: KubeFed's own condition says no more than that.
    assert_eq!(condition(&told, "Propagation")["status"], "True");

    let made = world
        .federate("FederatedDeployment", namespace, "web", spec(0.01))
        .await;
    let generation = made["metadata"]["generation"].clone();
    let told = world
        .host()
        .until(&at, "it is ready", |object| {
            object["status"]["observedGeneration"] == generation
                && condition(object, "Ready")["status"] == "True"
        })
        .await;
    assert_eq!(condition(&told, "Reconciling"), &Value::Null, "{told:#}");
    assert_eq!(told["status"]["summary"]["ready"], "3/3", "{told:#}");
}

async fn a_member_says_what_it_serves_and_what_its_nodes_have_free(
    world: &mut World,
    namespace: &str,
) {
    let osaka = ObjectRef::new(CORE, "KubeFedCluster", SYSTEM, "osaka");
    let thousandths = |amounts: &Value| {
        let cpu = amounts["cpu"].as_str().unwrap_or_default();
        match cpu.strip_suffix('m') {
            Some(millis) => millis.parse::<u64>().unwrap_or(0),
            None => cpu.parse::<u64>().unwrap_or(0) * 1000,
        }
    };
    let told = world
        .host()
        .until(&osaka, "it says what it has", |member| {
            let status = &member["status"];
            status["apiEnablements"].is_string() && status["capacity"]["free"].is_object()
        })
        .await;
    let before = told["status"]["capacity"].clone();
    let (all, free) = (
        thousandths(&before["allocatable"]),
        thousandths(&before["free"]),
    );
    assert!(before["nodes"].as_u64() >= Some(1), "{before:#}");
    assert!(0 < free && free <= all, "{before:#}");

    // Two fifths of what is free, in four Pods that find a place.
    let spec = json!({"template": workload(4, f64::from(u32::try_from(free / 10).unwrap_or(1)) / 1000.0),
        "placement": {"clusters": [{"name": "osaka"}]}});
    world
        .federate("FederatedDeployment", namespace, "large", spec)
        .await;
    world
        .host()
        .until(&osaka, "less is free", |member| {
            let now = &member["status"]["capacity"];
            thousandths(&now["free"]) + all / 10 < free
                && now["allocatable"] == before["allocatable"]
        })
        .await;
    let nodes = world.member("osaka").list("v1", "Node", "").await;
    let cordon = async |unschedulable: bool| {
        for node in &nodes {
            let name = node["metadata"]["name"].as_str().unwrap_or_default();
            let at = ObjectRef::new("v1", "Node", "", name);
            let patch = json!({"spec": {"unschedulable": unschedulable}});
            world.member("osaka").patch(&at, patch).await;
        }
    };
    cordon(true).await;
    world
        .host()
        .until(&osaka, "no node takes Pods", |member| {
            member["status"]["capacity"]["nodes"] == 0
        })
        .await;
    cordon(false).await;
}

async fn a_restart_tells_no_event_again(world: &mut World, namespace: &str) {
    let wrong = json!({"template": {"data": {"not a key": "y"}},
        "placement": {"clusterSelector": {}}});
    world
        .federate("FederatedConfigMap", namespace, "wrong", wrong.clone())
        .await;
    let told = world.host().until_told(namespace, "wrong", 3).await;
    world.take_controller().stop();
    let second = world.lead("second").await;
    // Events are written in the order in which they are told, and what is there is seen at once.
    let wrong_again = condition_of(world, namespace, "wrong").await;
    assert_eq!(wrong_again["status"], "True", "{wrong_again:#}");
    world
        .federate("FederatedConfigMap", namespace, "later", wrong)
        .await;
    world.host().until_told(namespace, "later", 3).await;
    second
        .until_metric("meridian_member_writes_total", &["Failed"], |failed| {
            failed >= 6.0
        })
        .await;
    let now = world.host().until_told(namespace, "wrong", 3).await;
    assert_eq!(now, told, "neither a new one nor a count");
    world.give_controller(second);
}

async fn a_members_own_status_is_collected_only_while_that_is_enabled(
    world: &mut World,
    namespace: &str,
) {
    let spec = json!({"template": workload(1, 0.01), "placement": {"clusterSelector": {}}});
    let made = world
        .federate("FederatedDeployment", namespace, "web", spec)
        .await;
    let at = ObjectRef::of(&made);
    let collected = |object: &Value| {
        object["status"]["clusters"]
            .as_array()
            .is_some_and(|clusters| {
                clusters.len() == 3
                    && clusters
                        .iter()
                        .all(|of| of["remoteStatus"]["readyReplicas"] == 1)
            })
    };
    let config = ObjectRef::new(CORE, "FederatedTypeConfig", SYSTEM, "deployments.apps");
    let set = async |switch: &str| {
        let patch = json!({"spec": {"statusCollection": switch}});
        world.host().patch(&config, patch).await;
    };
    world.host().until(&at, "it is collected", collected).await;
    set("Disabled").await;
    let told = world
        .host()
        .until(&at, "it is collected no more", |object| {
            let clusters = object["status"]["clusters"].to_string();
            !clusters.contains("remoteStatus")
        })
        .await;
    // Replicas are seen all the same: divisions need them.
    assert_eq!(told["status"]["summary"]["ready"], "3/3", "{told:#}");
    set("Enabled").await;
    world
        .host()
        .until(&at, "it is collected again", collected)
        .await;
}

async fn condition_of(world: &World, namespace: &str, name: &str) -> Value {
    let at = ObjectRef::new(TYPES, "FederatedConfigMap", namespace, name);
    condition(&world.host().get(&at).await, "Stalled").clone()
}

/// What kubectl asks for, and of it what it prints without `-o wide`: the columns, and the first
/// row.
async fn table(cluster: &Cluster, namespace: &str, plural: &str) -> (Vec<String>, Vec<String>) {
    let request = Request::get(format!("/apis/{TYPES}/namespaces/{namespace}/{plural}"))
        .header("accept", "application/json;as=Table;v=v1;g=meta.k8s.io")
        .body(Vec::new())
        .expect("a request");
    let table: Value = cluster.client().request(request).await.expect("a table");
    let columns = table["columnDefinitions"].as_array().expect("columns");
    let cells = table["rows"][0]["cells"].as_array().expect("a row");
    let shown = columns
        .iter()
        .zip(cells)
        .filter(|(column, _)| column["priority"] == 0);
    shown
        .map(|(column, cell)| (text(&column["name"]), text(cell)))
        .unzip()
}

fn text(value: &Value) -> String {
    value.as_str().unwrap_or_default().to_owned()
}

/// The template of a Deployment or a ReplicaSet.
fn workload(replicas: u32, cpu: f64) -> Value {
    let labels = json!({"app": "web"});
    json!({"spec": {
        "replicas": replicas,
        "selector": {"matchLabels": labels},
        "template": {"metadata": {"labels": labels}, "spec": {"containers": [{
            "name": "web", "image": "web:1", "resources": {"requests": {"cpu": cpu}},
        }]}},
    }})
}
