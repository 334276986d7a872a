//! Horizontal autoscalers: a load that clients set through the metrics API makes replicas.
//!
//! The metrics API is served by a custom resource of its name on both servers, so that a case can
//! say what each Pod uses.

use serde_json::{Value, json};

use crate::answer::Look;
use crate::manifests::deployment;
use crate::world::World;

cases! { Workloads:
    an_autoscaler_without_a_target_says_so,
    an_autoscaler_without_metrics_says_so,
    an_autoscaler_needs_requests_for_a_percentage,
    an_autoscaler_scales_up_to_its_target,
    an_autoscaler_scales_up_by_average_value,
    an_autoscaler_stays_within_its_tolerance,
    an_autoscaler_is_limited_by_its_maximum,
    an_autoscaler_raises_a_target_to_its_minimum,
    an_autoscaler_lowers_a_target_to_its_maximum,
    an_autoscaler_scales_down_when_its_behavior_lets_it,
    an_autoscaler_waits_before_it_scales_down,
    an_autoscaler_leaves_a_target_of_zero_alone,
    an_autoscaler_tells_what_it_does,
}

const TARGET: &str = "apps/v1:deployments/a";
const AUTOSCALER: &str = "autoscaling/v2:horizontalpodautoscalers/a";
const AUTOSCALERS: &str = "autoscaling/v2:horizontalpodautoscalers";
const PODS: &str = "pods?labelSelector=app%3Da";

/// Serves `metrics.k8s.io`, if no other case has it served already.
async fn metrics(world: &World) {
    let text = json!({"type": "string"});
    let definition = json!({
        "apiVersion": "apiextensions.k8s.io/v1",
        "kind": "CustomResourceDefinition",
        "metadata": {
            "name": "pods.metrics.k8s.io",
            "annotations": {"api-approved.kubernetes.io": "unapproved, for tests"},
        },
        "spec": {
            "group": "metrics.k8s.io",
            "names": {"plural": "pods", "kind": "PodMetrics", "listKind": "PodMetricsList"},
            "scope": "Namespaced",
            "versions": [{
                "name": "v1beta1", "served": true, "storage": true,
                "schema": {"openAPIV3Schema": {"type": "object", "properties": {
                    "timestamp": text, "window": text,
                    "containers": {"type": "array", "items": {
                        "type": "object", "x-kubernetes-preserve-unknown-fields": true,
                    }},
                }}},
            }],
        },
    });
    let definitions = "/apis/apiextensions.k8s.io/v1/customresourcedefinitions";
    let answer = world.post(definitions, &definition).await;
    assert!([201, 409].contains(&answer.status), "{}", answer.text());
    world.until_ok("/apis/metrics.k8s.io/v1beta1/pods").await;
}

fn target(replicas: u32) -> Value {
    let mut target = deployment("a", replicas);
    target["spec"]["template"]["spec"]["containers"][0]["resources"] =
        json!({"requests": {"cpu": "100m"}});
    target
}

fn autoscaler(max: u32) -> Value {
    json!({
        "apiVersion": "autoscaling/v2",
        "kind": "HorizontalPodAutoscaler",
        "metadata": {"name": "a"},
        "spec": {
            "minReplicas": 1,
            "maxReplicas": max,
            "scaleTargetRef": {"apiVersion": "apps/v1", "kind": "Deployment", "name": "a"},
            "metrics": [{"type": "Resource", "resource": {
                "name": "cpu", "target": {"type": "Utilization", "averageUtilization": 50},
            }}],
        },
    })
}

async fn run(world: &World, target: &Value) {
    world.takes_pods().await;
    world.post("apps/v1:deployments", target).await.is(201);
    let replicas = target["spec"]["replicas"].as_u64().unwrap();
    let full = |object: &Value| {
        object["status"]["availableReplicas"].as_u64().unwrap_or(0) == replicas
            && object["status"]["observedGeneration"] == 1
    };
    world.until(TARGET, full).await;
}

/// Says that each Pod that runs now uses so much, measured a little later than now, so that it was
/// ready all the time.
async fn load(world: &World, usage: Value) {
    metrics(world).await;
    let pods = world.get(PODS).await.is(200);
    let later = k8s_openapi::jiff::Timestamp::now() + std::time::Duration::from_secs(600);
    for pod in pods.list("/items") {
        let body = json!({
            "apiVersion": "metrics.k8s.io/v1beta1",
            "kind": "PodMetrics",
            "metadata": {"name": pod.text("/metadata/name"), "labels": {"app": "a"}},
            "timestamp": later.strftime("%Y-%m-%dT%H:%M:%SZ").to_string(),
            "window": "1s",
            "containers": [{"name": "main", "usage": usage}],
        });
        world
            .post("metrics.k8s.io/v1beta1:pods", &body)
            .await
            .is(201);
    }
}

fn replicas(count: u64) -> impl Fn(&Value) -> bool {
    move |object| object["spec"]["replicas"] == count
}

fn is_active(object: &Value) -> bool {
    object.condition("ScalingActive").text("/status") == "True"
}

async fn an_autoscaler_without_a_target_says_so(world: World) {
    world.post(AUTOSCALERS, &autoscaler(5)).await.is(201);
    let told = |object: &Value| !object.condition("AbleToScale").is_null();
    let object = world.until(AUTOSCALER, told).await;
    object.condition("AbleToScale").has(json!({
        "status": "False",
        "reason": "FailedGetScale",
        "message": "the HPA controller was unable to get the target's current scale: \
                    deployments.apps \"a\" not found",
    }));
    object.has(json!({"status": {"currentReplicas": null, "desiredReplicas": 0}}));
}

async fn an_autoscaler_without_metrics_says_so(world: World) {
    metrics(&world).await;
    run(&world, &target(1)).await;
    world.post(AUTOSCALERS, &autoscaler(5)).await.is(201);
    let told = |object: &Value| !object.condition("ScalingActive").is_null();
    let object = world.until(AUTOSCALER, told).await;
    object.condition("ScalingActive").has(json!({
        "status": "False",
        "reason": "FailedGetResourceMetric",
        "message": "the HPA was unable to compute the replica count: failed to get cpu \
                    utilization: unable to get metrics for resource cpu: no metrics returned from \
                    resource metrics API",
    }));
    object.condition("AbleToScale").has(json!({
        "status": "True",
        "reason": "SucceededGetScale",
        "message": "the HPA controller was able to get the target's current scale",
    }));
    object.has(json!({"status": {
        "currentReplicas": 1, "desiredReplicas": 0, "currentMetrics": [{"type": ""}],
    }}));
    for (reason, message) in [
        (
            "FailedGetResourceMetric",
            "failed to get cpu utilization: unable to get metrics for resource cpu: no metrics \
             returned from resource metrics API",
        ),
        (
            "FailedComputeMetricsReplicas",
            "invalid metrics (1 invalid out of 1), first error is: failed to get cpu resource \
             metric value: failed to get cpu utilization: unable to get metrics for resource cpu: \
             no metrics returned from resource metrics API",
        ),
    ] {
        let told = |events: &[Value]| {
            events
                .iter()
                .any(|event| event["reason"] == reason && event["message"] == message)
        };
        world.until_list("events", told).await;
    }
}

async fn an_autoscaler_needs_requests_for_a_percentage(world: World) {
    run(&world, &deployment("a", 1)).await;
    load(&world, json!({"cpu": "50m"})).await;
    world.post(AUTOSCALERS, &autoscaler(5)).await.is(201);
    let told = |object: &Value| {
        object
            .condition("ScalingActive")
            .text("/message")
            .contains("missing request for cpu in container main of Pod a-")
    };
    world.until(AUTOSCALER, told).await;
}

async fn an_autoscaler_scales_up_to_its_target(world: World) {
    run(&world, &target(1)).await;
    load(&world, json!({"cpu": "150m"})).await;
    world.post(AUTOSCALERS, &autoscaler(5)).await.is(201);
    world.until(TARGET, replicas(3)).await;
    let scaled = |object: &Value| object["status"]["desiredReplicas"] == 3;
    let object = world.until(AUTOSCALER, scaled).await;
    assert!(object["status"]["lastScaleTime"].is_string());
    object["status"]["currentMetrics"][0].has(json!({"type": "Resource", "resource": {
        "name": "cpu", "current": {"averageUtilization": 150, "averageValue": "150m"},
    }}));
    object.condition("ScalingActive").has(json!({
        "status": "True",
        "reason": "ValidMetricFound",
        "message": "the HPA was able to successfully calculate a replica count from cpu resource \
                    utilization (percentage of request)",
    }));
}

async fn an_autoscaler_scales_up_by_average_value(world: World) {
    run(&world, &deployment("a", 1)).await;
    load(&world, json!({"cpu": "10m", "memory": "256Mi"})).await;
    let mut body = autoscaler(5);
    body["spec"]["metrics"][0]["resource"] = json!({
        "name": "memory", "target": {"type": "AverageValue", "averageValue": "128Mi"},
    });
    world.post(AUTOSCALERS, &body).await.is(201);
    world.until(TARGET, replicas(2)).await;
    let object = world.until(AUTOSCALER, is_active).await;
    object["status"]["currentMetrics"][0].has(json!({"resource": {
        "name": "memory", "current": {"averageValue": "256Mi", "averageUtilization": null},
    }}));
    assert!(
        object
            .condition("ScalingActive")
            .text("/message")
            .ends_with("from memory resource")
    );
}

async fn an_autoscaler_stays_within_its_tolerance(world: World) {
    run(&world, &target(2)).await;
    load(&world, json!({"cpu": "54m"})).await;
    world.post(AUTOSCALERS, &autoscaler(5)).await.is(201);
    let object = world.until(AUTOSCALER, is_active).await;
    object.has(json!({"status": {
        "currentReplicas": 2, "desiredReplicas": 2, "lastScaleTime": null,
    }}));
    object.condition("AbleToScale").has(json!({
        "reason": "ReadyForNewScale", "message": "recommended size matches current size",
    }));
    object.condition("ScalingLimited").has(json!({
        "status": "False",
        "reason": "DesiredWithinRange",
        "message": "the desired count is within the acceptable range",
    }));
}

async fn an_autoscaler_is_limited_by_its_maximum(world: World) {
    run(&world, &target(1)).await;
    load(&world, json!({"cpu": "900m"})).await;
    world.post(AUTOSCALERS, &autoscaler(2)).await.is(201);
    world.until(TARGET, replicas(2)).await;
    let limited = |object: &Value| object.condition("ScalingLimited").text("/status") == "True";
    let object = world.until(AUTOSCALER, limited).await;
    object.condition("ScalingLimited").has(json!({
        "reason": "TooManyReplicas",
        "message": "the desired replica count is more than the maximum replica count",
    }));
}

async fn an_autoscaler_raises_a_target_to_its_minimum(world: World) {
    run(&world, &target(1)).await;
    let mut body = autoscaler(5);
    body["spec"]["minReplicas"] = json!(3);
    world.post(AUTOSCALERS, &body).await.is(201);
    world.until(TARGET, replicas(3)).await;
    let told = |events: &[Value]| {
        let message = "New size: 3; reason: Current number of replicas below Spec.MinReplicas";
        events.iter().any(|event| event["message"] == message)
    };
    world.until_list("events", told).await;
}

async fn an_autoscaler_lowers_a_target_to_its_maximum(world: World) {
    run(&world, &target(3)).await;
    world.post(AUTOSCALERS, &autoscaler(2)).await.is(201);
    world.until(TARGET, replicas(2)).await;
    let told = |events: &[Value]| {
        let message = "New size: 2; reason: Current number of replicas above Spec.MaxReplicas";
        events.iter().any(|event| event["message"] == message)
    };
    world.until_list("events", told).await;
}

async fn an_autoscaler_scales_down_when_its_behavior_lets_it(world: World) {
    run(&world, &target(4)).await;
    load(&world, json!({"cpu": "5m"})).await;
    let mut body = autoscaler(5);
    body["spec"]["behavior"] = json!({"scaleDown": {
        "stabilizationWindowSeconds": 0,
        "policies": [{"type": "Pods", "value": 1, "periodSeconds": 300}],
    }});
    world.post(AUTOSCALERS, &body).await.is(201);
    world.until(TARGET, replicas(3)).await;
    let limited =
        |object: &Value| object.condition("ScalingLimited").text("/reason") == "ScaleDownLimit";
    let object = world.until(AUTOSCALER, limited).await;
    object.condition("ScalingLimited").has(json!({
        "status": "True",
        "message": "the desired replica count is decreasing faster than the maximum scale rate",
    }));
}

async fn an_autoscaler_waits_before_it_scales_down(world: World) {
    run(&world, &target(2)).await;
    load(&world, json!({"cpu": "5m"})).await;
    world.post(AUTOSCALERS, &autoscaler(5)).await.is(201);
    let stable =
        |object: &Value| object.condition("AbleToScale").text("/reason") == "ScaleDownStabilized";
    let object = world.until(AUTOSCALER, stable).await;
    object.condition("AbleToScale").has(json!({
        "status": "True",
        "message": "recent recommendations were higher than current one, applying the highest \
                    recent recommendation",
    }));
    assert_eq!(world.get(TARGET).await.is(200)["spec"]["replicas"], 2);
}

async fn an_autoscaler_leaves_a_target_of_zero_alone(world: World) {
    run(&world, &target(0)).await;
    world.post(AUTOSCALERS, &autoscaler(5)).await.is(201);
    let disabled =
        |object: &Value| object.condition("ScalingActive").text("/reason") == "ScalingDisabled";
    let object = world.until(AUTOSCALER, disabled).await;
    object.condition("ScalingActive").has(json!({
        "status": "False",
        "message": "scaling is disabled since the replica count of the target is zero",
    }));
}

async fn an_autoscaler_tells_what_it_does(world: World) {
    run(&world, &target(1)).await;
    load(&world, json!({"cpu": "100m"})).await;
    world.post(AUTOSCALERS, &autoscaler(5)).await.is(201);
    let told = |events: &[Value]| {
        events.iter().any(|event| {
            event["reason"] == "SuccessfulRescale"
                && event["source"]["component"] == "horizontal-pod-autoscaler"
                && event["message"]
                    == "New size: 2; reason: cpu resource utilization (percentage of request) \
                        above target"
        })
    };
    world.until_list("events", told).await;
}
