//! The scheduler: what Pods ask of nodes and of each other.

use serde_json::{Value, json};

use crate::answer::Look;
use crate::manifests::{deployment, pod};
use crate::world::World;

cases! { Workloads:
    pods_that_repel_each_other_take_a_node_each,
    a_pod_goes_where_the_pod_is_that_it_wants,
    a_pod_that_wants_nobodys_company_says_so,
    a_pod_that_wants_its_own_kind_may_be_the_first,
    pods_are_spread_over_nodes,
    a_spread_over_a_label_that_no_node_has_is_refused,
    a_required_node_affinity_is_obeyed,
    a_preferred_node_affinity_is_followed,
    a_host_port_is_taken_once_on_each_node,
    a_gated_pod_waits_for_its_gate,
    a_pod_of_another_scheduler_is_left_alone,
    a_pod_has_the_priority_of_its_class,
    a_pod_of_a_class_that_there_is_not_is_refused,
    a_pod_of_an_account_that_there_is_not_is_refused,
}

const PODS: &str = "pods?labelSelector=app%3Da";

fn needs(part: &str, app: &str) -> Value {
    json!({part: {"requiredDuringSchedulingIgnoredDuringExecution": [{
        "topologyKey": "kubernetes.io/hostname", "labelSelector": {"matchLabels": {"app": app}},
    }]}})
}

fn is_scheduled(pod: &Value) -> bool {
    pod["spec"]["nodeName"].is_string()
}

fn refusal(pod: &Value) -> &str {
    pod.condition("PodScheduled").text("/message")
}

/// As many Pods as `nodes` times `each`, and one more, of which that one says `why`.
async fn one_too_many(world: &World, spec: &Value, each: usize, why: &str) {
    world.takes_pods().await;
    let nodes = world
        .get("/api/v1/nodes?labelSelector=kubernetes.io/os%3Dlinux")
        .await
        .is(200);
    let places = nodes.names().len() * each;
    let mut body = deployment("a", u32::try_from(places + 1).unwrap());
    for (field, value) in spec.as_object().unwrap() {
        body["spec"]["template"]["spec"][field] = value.clone();
    }
    world.post("apps/v1:deployments", &body).await.is(201);
    let settled = |pods: &[Value]| {
        let placed = pods.iter().filter(|pod| is_scheduled(pod)).count();
        placed == places && pods.iter().any(|pod| refusal(pod).contains(why))
    };
    let pods = world.until_list(PODS, settled).await;
    let mut used: Vec<&str> = pods.iter().map(|pod| pod.text("/spec/nodeName")).collect();
    used.retain(|node| !node.is_empty());
    used.sort_unstable();
    used.dedup();
    assert_eq!(used.len() * each, places);
}

async fn schedule(world: &World, body: &Value) -> Value {
    world.takes_pods().await;
    let made = world.post("pods", body).await.is(201);
    let path = format!("pods/{}", made.text("/metadata/name"));
    world.until(&path, is_scheduled).await
}

async fn refused(world: &World, body: &Value, why: &str) {
    world.takes_pods().await;
    world.post("pods", body).await.is(201);
    let pod = world
        .until("pods/a", |pod| {
            pod.condition("PodScheduled").text("/reason") == "Unschedulable"
        })
        .await;
    assert!(refusal(&pod).contains(why), "{}", refusal(&pod));
}

async fn pods_that_repel_each_other_take_a_node_each(world: World) {
    let spec = json!({"affinity": needs("podAntiAffinity", "a")});
    one_too_many(
        &world,
        &spec,
        1,
        "node(s) didn't match pod anti-affinity rules",
    )
    .await;
}

async fn a_pod_goes_where_the_pod_is_that_it_wants(world: World) {
    let first = schedule(&world, &pod("a")).await;
    for name in ["b", "c", "d"] {
        let mut body = pod(name);
        body["spec"]["affinity"] = needs("podAffinity", "a");
        let other = schedule(&world, &body).await;
        assert_eq!(other["spec"]["nodeName"], first["spec"]["nodeName"]);
    }
}

async fn a_pod_that_wants_nobodys_company_says_so(world: World) {
    let mut body = pod("a");
    body["spec"]["affinity"] = needs("podAffinity", "nobody");
    refused(&world, &body, "node(s) didn't match pod affinity rules").await;
}

async fn a_pod_that_wants_its_own_kind_may_be_the_first(world: World) {
    let mut body = pod("a");
    body["spec"]["affinity"] = needs("podAffinity", "a");
    schedule(&world, &body).await;
}

async fn pods_are_spread_over_nodes(world: World) {
    world.takes_pods().await;
    let mut body = deployment("a", 4);
    body["spec"]["template"]["spec"]["topologySpreadConstraints"] = json!([{
        "maxSkew": 1, "topologyKey": "kubernetes.io/hostname",
        "whenUnsatisfiable": "DoNotSchedule", "labelSelector": {"matchLabels": {"app": "a"}},
        "nodeTaintsPolicy": "Honor",
    }]);
    world.post("apps/v1:deployments", &body).await.is(201);
    let placed = |pods: &[Value]| pods.iter().filter(|pod| is_scheduled(pod)).count() == 4;
    let pods = world.until_list(PODS, placed).await;
    let on = |node: &str| {
        let pods = pods.iter().map(|pod| pod.text("/spec/nodeName"));
        pods.filter(|name| *name == node).count()
    };
    assert_eq!((on("node-1"), on("node-2")), (2, 2));
}

async fn a_spread_over_a_label_that_no_node_has_is_refused(world: World) {
    let mut body = pod("a");
    body["spec"]["topologySpreadConstraints"] = json!([{
        "maxSkew": 1, "topologyKey": "no/node", "whenUnsatisfiable": "DoNotSchedule",
        "labelSelector": {"matchLabels": {"app": "a"}},
    }]);
    let why = "node(s) didn't match pod topology spread constraints (missing required label)";
    refused(&world, &body, why).await;
}

fn on_host(node: &str) -> Value {
    json!({"matchExpressions": [
        {"key": "kubernetes.io/hostname", "operator": "In", "values": [node]},
    ]})
}

async fn a_required_node_affinity_is_obeyed(world: World) {
    for node in ["node-1", "node-2"] {
        let mut body = pod(node);
        let required = json!({"nodeSelectorTerms": [on_host(node)]});
        body["spec"]["affinity"]["nodeAffinity"] =
            json!({"requiredDuringSchedulingIgnoredDuringExecution": required});
        let pod = schedule(&world, &body).await;
        assert_eq!(pod["spec"]["nodeName"], node);
    }
}

async fn a_preferred_node_affinity_is_followed(world: World) {
    for node in ["node-1", "node-2"] {
        let mut body = pod(node);
        body["spec"]["affinity"]["nodeAffinity"] = json!({
            "preferredDuringSchedulingIgnoredDuringExecution":
                [{"weight": 100, "preference": on_host(node)}],
        });
        let pod = schedule(&world, &body).await;
        assert_eq!(pod["spec"]["nodeName"], node);
    }
}

async fn a_host_port_is_taken_once_on_each_node(world: World) {
    let containers = json!([{"name": "main", "image": "app:1",
        "ports": [{"containerPort": 8080, "hostPort": 18_080}]}]);
    let why = "node(s) didn't have free ports for the requested pod ports";
    one_too_many(&world, &json!({"containers": containers}), 1, why).await;
}

async fn a_gated_pod_waits_for_its_gate(world: World) {
    world.takes_pods().await;
    let mut body = pod("a");
    body["spec"]["schedulingGates"] = json!([{"name": "example.com/gate"}]);
    let made = world.post("pods", &body).await.is(201);
    made.condition("PodScheduled").has(json!({
        "status": "False",
        "reason": "SchedulingGated",
        "message": "Scheduling is blocked due to non-empty scheduling gates",
    }));
    world
        .json_patch(
            "pods/a",
            &json!([{"op": "remove", "path": "/spec/schedulingGates"}]),
        )
        .await
        .is(200);
    world.until("pods/a", is_scheduled).await;
}

async fn a_pod_of_another_scheduler_is_left_alone(world: World) {
    world.takes_pods().await;
    let mut body = pod("a");
    body["spec"]["schedulerName"] = json!("other");
    world.post("pods", &body).await.is(201);
    let last = schedule(&world, &pod("b")).await;
    assert!(is_scheduled(&last));
    let pod = world.get("pods/a").await.is(200);
    assert_eq!(pod["status"]["conditions"], Value::Null);
}

/// A Pod `a` with one more field of its spec.
async fn pod_with(world: &World, field: &str, value: &str) -> Value {
    world.takes_pods().await;
    let mut body = pod("a");
    body["spec"][field] = json!(value);
    body
}

async fn a_pod_has_the_priority_of_its_class(world: World) {
    let class = json!({
        "apiVersion": "scheduling.k8s.io/v1", "kind": "PriorityClass",
        "metadata": {"name": world.namespace}, "value": 7, "preemptionPolicy": "Never",
    });
    let classes = "/apis/scheduling.k8s.io/v1/priorityclasses";
    world.post(classes, &class).await.is(201);
    world
        .until(&format!("{classes}/{}", world.namespace), |_| true)
        .await;
    let body = pod_with(&world, "priorityClassName", &world.namespace).await;
    let created = world.post("pods", &body).await.is(201);
    created.has(json!({"spec": {"priority": 7, "preemptionPolicy": "Never"}}));
}

async fn a_pod_of_a_class_that_there_is_not_is_refused(world: World) {
    let body = pod_with(&world, "priorityClassName", "none").await;
    let why = "pods \"a\" is forbidden: no PriorityClass with name none was found";
    world
        .post("pods", &body)
        .await
        .refused(403, "Forbidden", why);
}

async fn a_pod_of_an_account_that_there_is_not_is_refused(world: World) {
    let body = pod_with(&world, "serviceAccountName", "none").await;
    let why = format!(
        "pods \"a\" is forbidden: error looking up service account {}/none: serviceaccount \"none\" \
         not found",
        world.namespace
    );
    world
        .post("pods", &body)
        .await
        .refused(403, "Forbidden", &why);
}
