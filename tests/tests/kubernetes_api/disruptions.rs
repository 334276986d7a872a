//! Disruption budgets, and Pods that are evicted.

use serde_json::{Value, json};

use crate::answer::Look;
use crate::manifests::{deployment, pod};
use crate::world::World;

cases! { Workloads:
    a_budget_counts_the_pods_of_a_deployment,
    a_budget_counts_the_pods_of_a_stateful_set,
    a_budget_of_a_percentage_is_rounded_up,
    a_budget_without_pods_allows_nothing,
    an_eviction_beyond_a_budget_is_refused,
    an_eviction_within_a_budget_is_counted,
    an_evicted_pod_says_why_it_goes,
    a_pod_that_is_not_ready_may_go_when_the_budget_says_so,
    a_pod_of_two_budgets_cannot_be_evicted,
}

const BUDGET: &str = "policy/v1:poddisruptionbudgets/a";
const BUDGETS: &str = "policy/v1:poddisruptionbudgets";

fn budget(spec: Value) -> Value {
    let mut budget = json!({
        "apiVersion": "policy/v1",
        "kind": "PodDisruptionBudget",
        "metadata": {"name": "a"},
        "spec": spec,
    });
    budget["spec"]["selector"] = json!({"matchLabels": {"app": "a"}});
    budget
}

async fn deployed(world: &World, replicas: u32) -> Vec<Value> {
    world.takes_pods().await;
    world
        .post("apps/v1:deployments", &deployment("a", replicas))
        .await
        .is(201);
    let ready = |pods: &[Value]| {
        let ready = pods
            .iter()
            .filter(|pod| pod.condition("Ready")["status"] == "True");
        ready.count() == usize::try_from(replicas).unwrap()
    };
    world.until_list("pods?labelSelector=app%3Da", ready).await
}

/// Allowed, healthy, desired and expected.
fn counts(allowed: u64, healthy: u64, desired: u64, expected: u64) -> impl Fn(&Value) -> bool {
    move |budget| {
        let status = &budget["status"];
        let fields = [
            "disruptionsAllowed",
            "currentHealthy",
            "desiredHealthy",
            "expectedPods",
        ];
        let found = fields.map(|field| status[field].as_u64().unwrap_or(0));
        status["observedGeneration"] == 1 && found == [allowed, healthy, desired, expected]
    }
}

fn evict(world: &World, pod: &Value) -> crate::world::Request {
    let name = pod.text("/metadata/name");
    let body = json!({
        "apiVersion": "policy/v1", "kind": "Eviction", "metadata": {"name": name},
    });
    world.post(&format!("pods/{name}/eviction"), &body)
}

async fn a_budget_counts_the_pods_of_a_deployment(world: World) {
    deployed(&world, 3).await;
    world
        .post(BUDGETS, &budget(json!({"maxUnavailable": 1})))
        .await
        .is(201);
    let budget = world.until(BUDGET, counts(1, 3, 2, 3)).await;
    budget.condition("DisruptionAllowed").has(json!({
        "status": "True", "reason": "SufficientPods", "message": "", "observedGeneration": 1,
    }));
}

async fn a_budget_counts_the_pods_of_a_stateful_set(world: World) {
    world.takes_pods().await;
    let mut set = deployment("a", 2);
    set["kind"] = json!("StatefulSet");
    set["spec"]["serviceName"] = json!("a");
    world.post("apps/v1:statefulsets", &set).await.is(201);
    world
        .post(BUDGETS, &budget(json!({"maxUnavailable": "50%"})))
        .await
        .is(201);
    world.until(BUDGET, counts(1, 2, 1, 2)).await;
}

async fn a_budget_of_a_percentage_is_rounded_up(world: World) {
    deployed(&world, 3).await;
    world
        .post(BUDGETS, &budget(json!({"minAvailable": "50%"})))
        .await
        .is(201);
    world.until(BUDGET, counts(1, 3, 2, 3)).await;
}

async fn a_budget_without_pods_allows_nothing(world: World) {
    world
        .post(BUDGETS, &budget(json!({"minAvailable": 1})))
        .await
        .is(201);
    let budget = world.until(BUDGET, counts(0, 0, 1, 0)).await;
    budget
        .condition("DisruptionAllowed")
        .has(json!({"status": "False", "reason": "InsufficientPods"}));
}

async fn an_eviction_beyond_a_budget_is_refused(world: World) {
    let pods = deployed(&world, 1).await;
    world
        .post(BUDGETS, &budget(json!({"minAvailable": 1})))
        .await
        .is(201);
    world.until(BUDGET, counts(0, 1, 1, 1)).await;
    let status = evict(&world, &pods[0]).await.refused(
        429,
        "TooManyRequests",
        "Cannot evict pod as it would violate the pod's disruption budget.",
    );
    status["details"]["causes"][0].has(json!({
        "reason": "DisruptionBudget",
        "message": "The disruption budget a needs 1 healthy pods and has 1 currently",
    }));
    let pod = world
        .get(&format!("pods/{}", pods[0].text("/metadata/name")))
        .await
        .is(200);
    assert_eq!(pod["metadata"]["deletionTimestamp"], Value::Null);
}

async fn an_eviction_within_a_budget_is_counted(world: World) {
    let pods = deployed(&world, 2).await;
    world
        .post(BUDGETS, &budget(json!({"minAvailable": 1})))
        .await
        .is(201);
    world.until(BUDGET, counts(1, 2, 1, 2)).await;
    evict(&world, &pods[0]).await.is(201);
    evict(&world, &pods[1])
        .await
        .refusal_of(429, "TooManyRequests");
}

async fn an_evicted_pod_says_why_it_goes(world: World) {
    world.takes_pods().await;
    let mut body = pod("a");
    body["metadata"]["finalizers"] = json!(["example.com/hold"]);
    world.post("pods", &body).await.is(201);
    let running = world
        .until("pods/a", |pod| pod["status"]["phase"] == "Running")
        .await;
    evict(&world, &running).await.is(201);
    let pod = world.get("pods/a").await.is(200);
    assert!(pod["metadata"]["deletionTimestamp"].is_string());
    pod.condition("DisruptionTarget").has(json!({
        "status": "True",
        "reason": "EvictionByEvictionAPI",
        "message": "Eviction API: evicting",
    }));
    let free = json!({"metadata": {"finalizers": null}});
    world.merge_patch("pods/a", &free).await.is(200);
    world.until_gone("pods/a").await;
}

async fn a_pod_that_is_not_ready_may_go_when_the_budget_says_so(world: World) {
    world.takes_pods().await;
    // A node of this case alone, whose kubelet nobody plays: the Pod stays as it is told.
    let node = world.namespace.clone();
    let body = json!({"apiVersion": "v1", "kind": "Node", "metadata": {"name": node}});
    world.post("/api/v1/nodes", &body).await.is(201);
    let mut body = pod("a");
    body["spec"]["nodeName"] = json!(node);
    body["spec"]["terminationGracePeriodSeconds"] = json!(0);
    let made = world.post("pods", &body).await.is(201);
    let unready = json!({"status": {"phase": "Running", "conditions": [
        {"type": "Ready", "status": "False", "lastTransitionTime": "2026-01-01T00:00:00Z"}]}});
    world
        .strategic_patch("pods/a/status", &unready)
        .await
        .is(200);
    world
        .post(BUDGETS, &budget(json!({"minAvailable": 1})))
        .await
        .is(201);
    world.until(BUDGET, counts(0, 0, 1, 1)).await;
    evict(&world, &made)
        .await
        .refusal_of(429, "TooManyRequests");
    let policy = json!({"spec": {"unhealthyPodEvictionPolicy": "AlwaysAllow"}});
    world.merge_patch(BUDGET, &policy).await.is(200);
    evict(&world, &made).await.is(201);
    world.until_gone("pods/a").await;
    world.delete(&format!("/api/v1/nodes/{node}")).await.is(200);
}

async fn a_pod_of_two_budgets_cannot_be_evicted(world: World) {
    let pods = deployed(&world, 1).await;
    for name in ["a", "b"] {
        let mut body = budget(json!({"maxUnavailable": 1}));
        body["metadata"]["name"] = json!(name);
        world.post(BUDGETS, &body).await.is(201);
    }
    evict(&world, &pods[0]).await.refused_saying(
        500,
        "",
        "This pod has more than one PodDisruptionBudget, which the eviction subresource does not \
         support.",
    );
}
