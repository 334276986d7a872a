//! DaemonSets: a Pod on every node that fits, and their updates.

use serde_json::{Value, json};

use crate::answer::Look;
use crate::manifests::deployment;
use crate::world::World;

cases! { Workloads:
    a_daemon_set_has_one_pod_on_each_node,
    a_daemon_set_reports_its_numbers,
    a_daemon_set_keeps_to_the_nodes_it_selects,
    a_node_that_fits_no_more_loses_its_pod,
    a_pod_of_a_daemon_set_tolerates_what_nodes_may_have,
    a_daemon_set_pod_is_labelled_with_its_revision,
    a_daemon_set_update_replaces_its_pods,
    a_surging_update_starts_before_it_stops,
    a_daemon_set_on_delete_waits,
    a_deleted_daemon_pod_is_replaced,
    a_daemon_set_tells_what_it_does,
}

const SET: &str = "apps/v1:daemonsets/a";
const SETS: &str = "apps/v1:daemonsets";
const PODS: &str = "pods?labelSelector=app%3Da";

fn daemon_set() -> Value {
    let mut set = deployment("a", 0);
    set["kind"] = json!("DaemonSet");
    set["spec"].as_object_mut().unwrap().remove("replicas");
    set["spec"]["template"]["spec"]["terminationGracePeriodSeconds"] = json!(1);
    set
}

/// Labels the first node for this case alone.
async fn mark_node(world: &World, value: Value) {
    let patch = json!({"metadata": {"labels": {world.group.clone(): value}}});
    world
        .strategic_patch("/api/v1/nodes/node-1", &patch)
        .await
        .is(200);
}

/// A DaemonSet of the first node alone.
async fn on_one_node(world: &World) -> Value {
    world.takes_pods().await;
    mark_node(world, json!("yes")).await;
    let mut set = daemon_set();
    set["spec"]["template"]["spec"]["nodeSelector"] = json!({world.group.clone(): "yes"});
    set
}

fn available(count: u64) -> impl Fn(&Value) -> bool {
    move |set| {
        let status = &set["status"];
        let is = |field: &str| status[field].as_u64().unwrap_or(0) == count;
        status["observedGeneration"] == set["metadata"]["generation"]
            && is("desiredNumberScheduled")
            && is("numberAvailable")
            && is("updatedNumberScheduled")
    }
}

fn image(image: &str) -> Value {
    json!({"spec": {"template": {"spec": {"containers": [{"name": "main", "image": image}]}}}})
}

async fn a_daemon_set_has_one_pod_on_each_node(world: World) {
    world.takes_pods().await;
    // Other cases have nodes of their own, which are tainted.
    let nodes = world
        .get("/api/v1/nodes?labelSelector=kubernetes.io/os%3Dlinux")
        .await
        .is(200);
    let mut expected = nodes.names();
    expected.sort_unstable();
    world.post(SETS, &daemon_set()).await.is(201);
    let count = u64::try_from(expected.len()).unwrap();
    world.until(SET, available(count)).await;
    let pods = world.get(PODS).await.is(200);
    let mut found: Vec<&str> = pods
        .list("/items")
        .iter()
        .map(|pod| pod.text("/spec/nodeName"))
        .collect();
    found.sort_unstable();
    assert_eq!(found, expected);
}

async fn a_daemon_set_reports_its_numbers(world: World) {
    let set = on_one_node(&world).await;
    world.post(SETS, &set).await.is(201);
    let set = world.until(SET, available(1)).await;
    assert_eq!(
        set["status"],
        json!({
            "observedGeneration": 1, "desiredNumberScheduled": 1, "currentNumberScheduled": 1,
            "numberMisscheduled": 0, "numberReady": 1, "numberAvailable": 1,
            "updatedNumberScheduled": 1,
        })
    );
}

async fn a_daemon_set_keeps_to_the_nodes_it_selects(world: World) {
    world.takes_pods().await;
    let mut set = daemon_set();
    set["spec"]["template"]["spec"]["nodeSelector"] = json!({"no": "node"});
    world.post(SETS, &set).await.is(201);
    let set = world.until(SET, available(0)).await;
    set.has(json!({"status": {"desiredNumberScheduled": 0, "numberReady": 0}}));
    assert_eq!(world.get(PODS).await.is(200).names().len(), 0);
}

async fn a_node_that_fits_no_more_loses_its_pod(world: World) {
    let set = on_one_node(&world).await;
    world.post(SETS, &set).await.is(201);
    world.until(SET, available(1)).await;
    mark_node(&world, Value::Null).await;
    world.until(SET, available(0)).await;
    world.until_list(PODS, <[Value]>::is_empty).await;
}

async fn a_pod_of_a_daemon_set_tolerates_what_nodes_may_have(world: World) {
    let set = on_one_node(&world).await;
    world.post(SETS, &set).await.is(201);
    let pods = world.until_list(PODS, |pods| pods.len() == 1).await;
    let tolerations = pods[0].list("/spec/tolerations");
    let shown: Vec<(&str, &str)> = tolerations
        .iter()
        .map(|one| (one.text("/key"), one.text("/effect")))
        .collect();
    assert_eq!(
        shown,
        [
            ("node.kubernetes.io/not-ready", "NoExecute"),
            ("node.kubernetes.io/unreachable", "NoExecute"),
            ("node.kubernetes.io/disk-pressure", "NoSchedule"),
            ("node.kubernetes.io/memory-pressure", "NoSchedule"),
            ("node.kubernetes.io/pid-pressure", "NoSchedule"),
            ("node.kubernetes.io/unschedulable", "NoSchedule"),
        ]
    );
    assert!(
        tolerations
            .iter()
            .all(|one| one["tolerationSeconds"].is_null())
    );
    let terms = "/spec/affinity/nodeAffinity/requiredDuringSchedulingIgnoredDuringExecution";
    pods[0].at(terms).has(json!({"nodeSelectorTerms": [
        {"matchFields": [{"key": "metadata.name", "operator": "In", "values": ["node-1"]}]},
    ]}));
}

async fn a_daemon_set_pod_is_labelled_with_its_revision(world: World) {
    let set = on_one_node(&world).await;
    let set = world.post(SETS, &set).await.is(201);
    let pods = world.until_list(PODS, |pods| pods.len() == 1).await;
    let hash = pods[0]["metadata"]["labels"]["controller-revision-hash"].clone();
    pods[0].has(json!({
        "metadata": {"generateName": "a-", "labels": {"pod-template-generation": "1"}},
    }));
    let path = format!("apps/v1:controllerrevisions/a-{}", hash.as_str().unwrap());
    let revision = world.get(&path).await.is(200);
    revision.has(json!({
        "metadata": {
            "labels": {"app": "a", "controller-revision-hash": hash},
            "ownerReferences": [{"kind": "DaemonSet", "uid": set["metadata"]["uid"]}],
        },
        "revision": 1,
    }));
}

async fn a_daemon_set_update_replaces_its_pods(world: World) {
    let set = on_one_node(&world).await;
    world.post(SETS, &set).await.is(201);
    world.until(SET, available(1)).await;
    world.strategic_patch(SET, &image("app:2")).await.is(200);
    let set = world.until(SET, available(1)).await;
    set.has(json!({"metadata": {"annotations": {
        "deprecated.daemonset.template.generation": "2",
    }}}));
    let new =
        |pods: &[Value]| pods.len() == 1 && pods[0].text("/spec/containers/0/image") == "app:2";
    let pods = world.until_list(PODS, new).await;
    pods[0].has(json!({"metadata": {"labels": {"pod-template-generation": "2"}}}));
}

async fn a_surging_update_starts_before_it_stops(world: World) {
    let mut set = on_one_node(&world).await;
    set["spec"]["updateStrategy"] =
        json!({"type": "RollingUpdate", "rollingUpdate": {"maxSurge": 1, "maxUnavailable": 0}});
    world.post(SETS, &set).await.is(201);
    world.until(SET, available(1)).await;
    let list = world.get(PODS).await.is(200);
    let since = list.text("/metadata/resourceVersion");
    let mut watch = world
        .watch(&format!("{PODS}&resourceVersion={since}"))
        .await;
    world.strategic_patch(SET, &image("app:2")).await.is(200);
    let mut kinds = Vec::new();
    while kinds.len() < 2 {
        let event = watch.next_change().await;
        if event.kind != "MODIFIED" {
            kinds.push(event.kind);
        }
    }
    assert_eq!(kinds, ["ADDED", "DELETED"]);
    world.until(SET, available(1)).await;
}

async fn a_daemon_set_on_delete_waits(world: World) {
    let mut set = on_one_node(&world).await;
    set["spec"]["updateStrategy"] = json!({"type": "OnDelete"});
    world.post(SETS, &set).await.is(201);
    world.until(SET, available(1)).await;
    world.strategic_patch(SET, &image("app:2")).await.is(200);
    let outdated = |set: &Value| {
        set["status"]["observedGeneration"] == 2
            && set["status"]["updatedNumberScheduled"].is_null()
    };
    world.until(SET, outdated).await;
    let pod = world.get(PODS).await.is(200).list("/items")[0].clone();
    assert_eq!(pod.text("/spec/containers/0/image"), "app:1");
    world
        .delete(&format!("pods/{}", pod.text("/metadata/name")))
        .await
        .is(200);
    world.until(SET, available(1)).await;
}

async fn a_deleted_daemon_pod_is_replaced(world: World) {
    let set = on_one_node(&world).await;
    world.post(SETS, &set).await.is(201);
    world.until(SET, available(1)).await;
    let old = world.get(PODS).await.is(200).list("/items")[0].clone();
    world
        .delete(&format!("pods/{}", old.text("/metadata/name")))
        .await
        .is(200);
    let replaced =
        |pods: &[Value]| pods.len() == 1 && pods[0]["metadata"]["uid"] != old["metadata"]["uid"];
    world.until_list(PODS, replaced).await;
}

async fn a_daemon_set_tells_what_it_does(world: World) {
    let set = on_one_node(&world).await;
    world.post(SETS, &set).await.is(201);
    let pods = world.until_list(PODS, |pods| pods.len() == 1).await;
    let message = format!("Created pod: {}", pods[0].text("/metadata/name"));
    let told = |events: &[Value]| {
        events.iter().any(|event| {
            event["reason"] == "SuccessfulCreate"
                && event["message"] == message
                && event["source"]["component"] == "daemonset-controller"
        })
    };
    world.until_list("events", told).await;
}
