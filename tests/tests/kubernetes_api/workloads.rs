//! Workloads: what the controllers make of Deployments and Services.

use serde_json::{Value, json};

use crate::answer::Look;
use crate::manifests::{deployment, pod, service};
use crate::world::World;

cases! { Workloads:
    a_deployment_makes_a_replica_set_and_ready_pods,
    a_replica_set_is_named_after_its_template,
    a_pod_is_named_after_its_replica_set,
    a_deployment_reports_its_replicas,
    a_deployment_becomes_available_and_complete,
    a_deployment_scales_up_and_down,
    a_new_template_rolls_out_by_a_new_replica_set,
    an_old_template_comes_back_as_its_old_replica_set,
    a_paused_deployment_rolls_nothing_out,
    recreating_leaves_no_two_templates_at_once,
    a_deleted_pod_is_replaced,
    a_replica_set_alone_keeps_its_replicas,
    a_pod_is_scheduled_and_becomes_ready,
    a_pod_that_fits_nowhere_says_so,
    a_pod_of_a_selector_that_no_node_has_says_so,
    a_services_endpoints_are_its_ready_pods,
    an_endpoint_slice_is_owned_by_its_service,
    a_service_without_pods_has_an_empty_slice,
    endpoints_follow_the_scale,
    a_deployment_shows_its_observed_generation,
    a_new_template_may_come_with_a_scale_to_zero,
    events_tell_of_the_scaling,
}

const DEPLOYMENT: &str = "apps/v1:deployments/a";

fn ready(replicas: u64) -> impl Fn(&Value) -> bool {
    move |object| {
        let status = &object["status"];
        let is = |field: &str| status[field].as_u64().unwrap_or(0) == replicas;
        status["observedGeneration"] == object["metadata"]["generation"]
            && is("replicas")
            && is("readyReplicas")
            && is("updatedReplicas")
            && is("availableReplicas")
    }
}

/// The Deployment `a` with its pods ready.
async fn rolled_out(world: &World, replicas: u32) -> Value {
    world.takes_pods().await;
    world
        .post("apps/v1:deployments", &deployment("a", replicas))
        .await
        .is(201);
    world.until(DEPLOYMENT, ready(replicas.into())).await
}

async fn sets(world: &World) -> Vec<Value> {
    let list = world
        .get("apps/v1:replicasets?labelSelector=app%3Da")
        .await
        .is(200);
    list.list("/items").to_vec()
}

async fn pods(world: &World) -> Vec<Value> {
    world
        .get("pods?labelSelector=app%3Da")
        .await
        .is(200)
        .list("/items")
        .to_vec()
}

async fn a_deployment_makes_a_replica_set_and_ready_pods(world: World) {
    let deployment = rolled_out(&world, 2).await;
    let sets = sets(&world).await;
    assert_eq!(sets.len(), 1);
    sets[0].has(json!({
        "metadata": {
            "labels": {"app": "a"},
            "annotations": {
                "deployment.kubernetes.io/revision": "1",
                "deployment.kubernetes.io/desired-replicas": "2",
                "deployment.kubernetes.io/max-replicas": "3",
            },
            "ownerReferences": [{
                "apiVersion": "apps/v1", "kind": "Deployment", "name": "a",
                "uid": deployment["metadata"]["uid"], "controller": true,
                "blockOwnerDeletion": true,
            }],
        },
        "spec": {"replicas": 2},
    }));
    let pods = pods(&world).await;
    assert_eq!(pods.len(), 2);
    for pod in &pods {
        pod.has(json!({"metadata": {"ownerReferences": [{
            "kind": "ReplicaSet", "uid": sets[0]["metadata"]["uid"], "controller": true,
        }]}}));
        assert_eq!(pod.condition("Ready")["status"], "True");
    }
}

async fn a_replica_set_is_named_after_its_template(world: World) {
    rolled_out(&world, 1).await;
    let set = sets(&world).await.remove(0);
    let hash = set["metadata"]["labels"]["pod-template-hash"]
        .as_str()
        .unwrap();
    assert_eq!(set.text("/metadata/name"), format!("a-{hash}"));
    set.has(json!({"spec": {
        "selector": {"matchLabels": {"app": "a", "pod-template-hash": hash}},
        "template": {"metadata": {"labels": {"app": "a", "pod-template-hash": hash}}},
    }}));
}

async fn a_pod_is_named_after_its_replica_set(world: World) {
    rolled_out(&world, 1).await;
    let set = sets(&world).await.remove(0);
    let pod = pods(&world).await.remove(0);
    let prefix = format!("{}-", set.text("/metadata/name"));
    assert_eq!(pod.text("/metadata/generateName"), prefix);
    assert_eq!(
        pod.text("/metadata/name")
            .strip_prefix(&prefix)
            .map(str::len),
        Some(5)
    );
}

async fn a_deployment_reports_its_replicas(world: World) {
    let deployment = rolled_out(&world, 2).await;
    deployment.has(json!({
        "metadata": {"annotations": {"deployment.kubernetes.io/revision": "1"}},
        "status": {
            "observedGeneration": 1, "replicas": 2, "updatedReplicas": 2, "readyReplicas": 2,
            "availableReplicas": 2, "unavailableReplicas": null,
        },
    }));
}

async fn a_deployment_becomes_available_and_complete(world: World) {
    rolled_out(&world, 1).await;
    let complete = |object: &Value| {
        object.condition("Progressing").text("/reason") == "NewReplicaSetAvailable"
    };
    let deployment = world.until(DEPLOYMENT, complete).await;
    deployment.condition("Available").has(json!({
        "status": "True", "reason": "MinimumReplicasAvailable",
        "message": "Deployment has minimum availability.",
    }));
    let set = sets(&world).await.remove(0);
    let message = format!(
        "ReplicaSet \"{}\" has successfully progressed.",
        set.text("/metadata/name")
    );
    deployment
        .condition("Progressing")
        .has(json!({"status": "True", "message": message}));
}

async fn a_deployment_scales_up_and_down(world: World) {
    rolled_out(&world, 1).await;
    let scale = |replicas: u32| json!({"spec": {"replicas": replicas}});
    world.merge_patch(DEPLOYMENT, &scale(3)).await.is(200);
    world.until(DEPLOYMENT, ready(3)).await;
    world.merge_patch(DEPLOYMENT, &scale(1)).await.is(200);
    world.until(DEPLOYMENT, ready(1)).await;
    world
        .until_list("pods?labelSelector=app%3Da", |pods| pods.len() == 1)
        .await;
    assert_eq!(sets(&world).await.len(), 1, "scaling is no new revision");
}

fn image(image: &str) -> Value {
    json!({"spec": {"template": {"spec": {"containers": [{"name": "main", "image": image}]}}}})
}

/// The replica set of this revision.
fn revision<'a>(sets: &'a [Value], number: &str) -> &'a Value {
    let annotation = "deployment.kubernetes.io/revision";
    let mut found = sets
        .iter()
        .filter(|set| set["metadata"]["annotations"][annotation] == number);
    found
        .next()
        .unwrap_or_else(|| panic!("no revision {number}"))
}

async fn a_new_template_rolls_out_by_a_new_replica_set(world: World) {
    rolled_out(&world, 2).await;
    world
        .strategic_patch(DEPLOYMENT, &image("app:2"))
        .await
        .is(200);
    let deployment = world.until(DEPLOYMENT, ready(2)).await;
    deployment.has(json!({
        "metadata": {"annotations": {"deployment.kubernetes.io/revision": "2"}},
    }));
    let emptied =
        |sets: &[Value]| sets.len() == 2 && revision(sets, "1")["status"]["replicas"] == 0;
    let sets = world
        .until_list("apps/v1:replicasets?labelSelector=app%3Da", emptied)
        .await;
    assert_eq!(revision(&sets, "1")["spec"]["replicas"], 0);
    assert_eq!(revision(&sets, "2")["spec"]["replicas"], 2);
    let done = |pods: &[Value]| {
        pods.len() == 2
            && pods
                .iter()
                .all(|pod| pod["spec"]["containers"][0]["image"] == "app:2")
    };
    world.until_list("pods?labelSelector=app%3Da", done).await;
}

async fn an_old_template_comes_back_as_its_old_replica_set(world: World) {
    rolled_out(&world, 1).await;
    let first = sets(&world).await.remove(0);
    world
        .strategic_patch(DEPLOYMENT, &image("app:2"))
        .await
        .is(200);
    world.until(DEPLOYMENT, ready(1)).await;
    world
        .strategic_patch(DEPLOYMENT, &image("app:1"))
        .await
        .is(200);
    world.until(DEPLOYMENT, ready(1)).await;
    let sets = sets(&world).await;
    assert_eq!(sets.len(), 2);
    assert_eq!(
        revision(&sets, "3")["metadata"]["uid"],
        first["metadata"]["uid"]
    );
}

async fn a_paused_deployment_rolls_nothing_out(world: World) {
    rolled_out(&world, 1).await;
    let mut patch = image("app:2");
    patch["spec"]["paused"] = json!(true);
    world.strategic_patch(DEPLOYMENT, &patch).await.is(200);
    let observed = |object: &Value| {
        object["status"]["observedGeneration"] == 2
            && object.condition("Progressing").text("/reason") == "DeploymentPaused"
    };
    world.until(DEPLOYMENT, observed).await;
    assert_eq!(sets(&world).await.len(), 1);
    world
        .merge_patch(DEPLOYMENT, &json!({"spec": {"paused": null}}))
        .await
        .is(200);
    world.until(DEPLOYMENT, ready(1)).await;
    assert_eq!(sets(&world).await.len(), 2);
}

async fn recreating_leaves_no_two_templates_at_once(world: World) {
    world.takes_pods().await;
    let mut body = deployment("a", 2);
    body["spec"]["strategy"] = json!({"type": "Recreate"});
    world.post("apps/v1:deployments", &body).await.is(201);
    world.until(DEPLOYMENT, ready(2)).await;
    let list = world.get("pods").await.is(200);
    let since = list.text("/metadata/resourceVersion");
    let mut watch = world
        .watch(&format!(
            "pods?labelSelector=app%3Da&resourceVersion={since}"
        ))
        .await;
    world
        .strategic_patch(DEPLOYMENT, &image("app:2"))
        .await
        .is(200);
    let mut gone = 0;
    loop {
        let event = watch.next_change().await;
        match event.kind.as_str() {
            "DELETED" => gone += 1,
            "ADDED" => break,
            _ => {}
        }
    }
    assert_eq!(gone, 2, "a new pod came before the old ones were gone");
}

async fn a_deleted_pod_is_replaced(world: World) {
    rolled_out(&world, 1).await;
    let old = pods(&world).await.remove(0);
    world
        .delete(&format!("pods/{}", old.text("/metadata/name")))
        .await
        .is(200);
    let replaced = |pods: &[Value]| {
        pods.len() == 1
            && pods[0]["metadata"]["uid"] != old["metadata"]["uid"]
            && pods[0].condition("Ready").text("/status") == "True"
    };
    world
        .until_list("pods?labelSelector=app%3Da", replaced)
        .await;
}

async fn a_replica_set_alone_keeps_its_replicas(world: World) {
    world.takes_pods().await;
    let mut body = deployment("a", 2);
    body["kind"] = json!("ReplicaSet");
    world.post("apps/v1:replicasets", &body).await.is(201);
    let full = |object: &Value| object["status"]["availableReplicas"] == 2;
    let set = world.until("apps/v1:replicasets/a", full).await;
    set.has(json!({"status": {
        "replicas": 2, "fullyLabeledReplicas": 2, "readyReplicas": 2, "observedGeneration": 1,
    }}));
}

async fn a_pod_is_scheduled_and_becomes_ready(world: World) {
    world.takes_pods().await;
    world.post("pods", &pod("a")).await.is(201);
    let pod = world
        .until("pods/a", |pod| {
            pod.condition("Ready").text("/status") == "True"
        })
        .await;
    assert!(!pod.text("/spec/nodeName").is_empty());
    assert!(pod["status"]["podIP"].is_string());
    assert_eq!(pod["status"]["phase"], "Running");
    assert_eq!(pod.condition("PodScheduled")["status"], "True");
    pod.has(json!({"status": {"containerStatuses": [{
        "name": "main", "image": "app:1", "ready": true, "started": true, "restartCount": 0,
    }]}}));
    assert!(pod["status"]["containerStatuses"][0]["state"]["running"].is_object());
}

fn unschedulable(pod: &Value) -> bool {
    pod.condition("PodScheduled").text("/reason") == "Unschedulable"
}

async fn a_pod_that_fits_nowhere_says_so(world: World) {
    world.takes_pods().await;
    let mut body = pod("a");
    body["spec"]["containers"][0]["resources"] = json!({"requests": {"cpu": "100000"}});
    world.post("pods", &body).await.is(201);
    let pod = world.until("pods/a", unschedulable).await;
    assert_eq!(pod["status"]["phase"], "Pending");
    let condition = pod.condition("PodScheduled");
    assert_eq!(condition["status"], "False");
    let message = condition.text("/message");
    assert!(
        message.starts_with("0/") && message.contains("Insufficient cpu"),
        "{message}"
    );
}

async fn a_pod_of_a_selector_that_no_node_has_says_so(world: World) {
    world.takes_pods().await;
    let mut body = pod("a");
    body["spec"]["nodeSelector"] = json!({"no": "node"});
    world.post("pods", &body).await.is(201);
    let pod = world.until("pods/a", unschedulable).await;
    let message = pod.condition("PodScheduled").text("/message");
    assert!(
        message.contains("didn't match Pod's node affinity/selector"),
        "{message}"
    );
}

const SLICES: &str =
    "discovery.k8s.io/v1:endpointslices?labelSelector=kubernetes.io/service-name%3Da";

fn addresses(slices: &[Value]) -> Vec<&str> {
    let mut found: Vec<&str> = slices
        .iter()
        .flat_map(|slice| slice.list("/endpoints"))
        .filter(|endpoint| endpoint["conditions"]["ready"] == true)
        .map(|endpoint| endpoint.text("/addresses/0"))
        .collect();
    found.sort_unstable();
    found
}

async fn a_services_endpoints_are_its_ready_pods(world: World) {
    rolled_out(&world, 2).await;
    world.post("services", &service("a")).await.is(201);
    let slices = world
        .until_list(SLICES, |slices| addresses(slices).len() == 2)
        .await;
    let pods = pods(&world).await;
    let mut expected: Vec<&str> = pods.iter().map(|pod| pod.text("/status/podIP")).collect();
    expected.sort_unstable();
    assert_eq!(addresses(&slices), expected);
    slices[0].has(json!({
        "addressType": "IPv4", "ports": [{"name": "", "port": 8080, "protocol": "TCP"}],
    }));
    let endpoint = &slices[0]["endpoints"][0];
    endpoint.has(json!({
        "conditions": {"ready": true, "serving": true, "terminating": false},
        "targetRef": {"kind": "Pod", "namespace": world.namespace},
    }));
    assert!(!endpoint.text("/nodeName").is_empty());
}

async fn an_endpoint_slice_is_owned_by_its_service(world: World) {
    let created = world.post("services", &service("a")).await.is(201);
    let slices = world.until_list(SLICES, |slices| slices.len() == 1).await;
    slices[0].has(json!({"metadata": {
        "generateName": "a-",
        "labels": {
            "kubernetes.io/service-name": "a",
            "endpointslice.kubernetes.io/managed-by": "endpointslice-controller.k8s.io",
        },
        "ownerReferences": [{
            "apiVersion": "v1", "kind": "Service", "name": "a",
            "uid": created["metadata"]["uid"], "controller": true,
        }],
    }}));
    world.delete("services/a").await.is(200);
    world.until_list(SLICES, <[Value]>::is_empty).await;
}

async fn a_service_without_pods_has_an_empty_slice(world: World) {
    world.post("services", &service("a")).await.is(201);
    let slices = world.until_list(SLICES, |slices| slices.len() == 1).await;
    assert_eq!(slices[0].list("/endpoints").len(), 0);
}

async fn endpoints_follow_the_scale(world: World) {
    rolled_out(&world, 1).await;
    world.post("services", &service("a")).await.is(201);
    world
        .until_list(SLICES, |slices| addresses(slices).len() == 1)
        .await;
    world
        .merge_patch(DEPLOYMENT, &json!({"spec": {"replicas": 3}}))
        .await
        .is(200);
    world
        .until_list(SLICES, |slices| addresses(slices).len() == 3)
        .await;
    world
        .merge_patch(DEPLOYMENT, &json!({"spec": {"replicas": 0}}))
        .await
        .is(200);
    world
        .until_list(SLICES, |slices| addresses(slices).is_empty())
        .await;
}

async fn a_deployment_shows_its_observed_generation(world: World) {
    rolled_out(&world, 1).await;
    world
        .merge_patch(
            DEPLOYMENT,
            &json!({"spec": {"minReadySeconds": 0, "replicas": 0}}),
        )
        .await
        .is(200);
    let seen = |object: &Value| object["status"]["observedGeneration"] == 2;
    world.until(DEPLOYMENT, seen).await;
}

async fn a_new_template_may_come_with_a_scale_to_zero(world: World) {
    rolled_out(&world, 1).await;
    let mut patch = image("app:2");
    patch["spec"]["replicas"] = json!(0);
    world.strategic_patch(DEPLOYMENT, &patch).await.is(200);
    let deployment = world.until(DEPLOYMENT, ready(0)).await;
    deployment.has(json!({"status": {"readyReplicas": null, "availableReplicas": null}}));
    world
        .until_list("pods?labelSelector=app%3Da", <[Value]>::is_empty)
        .await;
}

async fn events_tell_of_the_scaling(world: World) {
    rolled_out(&world, 2).await;
    let set = sets(&world).await.remove(0);
    let message = format!(
        "Scaled up replica set {} from 0 to 2",
        set.text("/metadata/name")
    );
    let told = |events: &[Value]| {
        events.iter().any(|event| {
            event["reason"] == "ScalingReplicaSet"
                && event["message"] == message
                && event["involvedObject"]["kind"] == "Deployment"
        })
    };
    world.until_list("events", told).await;
    let created = |events: &[Value]| {
        events
            .iter()
            .filter(|event| event["reason"] == "SuccessfulCreate")
            .count()
            == 2
    };
    world.until_list("events", created).await;
}
