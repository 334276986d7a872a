//! Autoscalers over a world of values, in virtual time.

use super::*;
use jiff::SignedDuration;

const NOW: &str = "2026-01-01T01:00:00Z";

fn now() -> Timestamp {
    NOW.parse().unwrap()
}

fn autoscaler(behavior: Value) -> Value {
    json!({"apiVersion": "autoscaling/v2", "kind": "HorizontalPodAutoscaler",
        "metadata": {"name": "web", "namespace": "n", "uid": "h"},
        "spec": {"minReplicas": 1, "maxReplicas": 10, "behavior": behavior,
            "scaleTargetRef": {"apiVersion": "apps/v1", "kind": "Deployment", "name": "web"},
            "metrics": [{"type": "Resource", "resource": {"name": "cpu",
                "target": {"type": "Utilization", "averageUtilization": 50}}}]}})
}

fn pod(number: usize) -> Value {
    json!({"metadata": {"name": format!("p{number}")},
        "spec": {"containers": [{"name": "c", "resources": {"requests": {"cpu": "100m"}}}]},
        "status": {"phase": "Running", "startTime": "2026-01-01T00:00:00Z", "conditions": [
            {"type": "Ready", "status": "True", "lastTransitionTime": "2026-01-01T00:00:01Z"}]}})
}

/// One look at `replicas` Pods that use so many thousandths of a cpu each.
fn look(
    autoscaler: &Value,
    replicas: usize,
    each: i128,
    memory: &Memory,
    now: Timestamp,
) -> (Step, Memory) {
    let pods: Vec<Value> = (0..replicas).map(pod).collect();
    let pods: Vec<&Value> = pods.iter().collect();
    let sample = Sample {
        used: BTreeMap::from([("cpu".to_owned(), each)]),
        at: now,
        window: SignedDuration::ZERO,
    };
    let samples = (0..replicas)
        .map(|number| (format!("p{number}"), sample.clone()))
        .collect();
    let scale = json!({"spec": {"replicas": replicas}, "status": {"selector": "app=web"}});
    step(View {
        autoscaler,
        scale: Ok(&scale),
        pods: &pods,
        samples: Ok(&samples),
        memory,
        period_secs: 15,
        now,
    })
}

fn size(step: &Step) -> Option<i64> {
    step.writes.iter().find_map(|write| match write {
        Write::Scale(to) => Some(to.replicas),
        _ => None,
    })
}

fn status(step: &Step) -> Value {
    step.writes
        .iter()
        .find_map(|write| match write {
            Write::UpdateStatus(_, object) => Some(object["status"].clone()),
            _ => None,
        })
        .expect("a status")
}

fn check(replicas: usize, each: i128, expected: Option<i64>) {
    let (step, _) = look(
        &autoscaler(Value::Null),
        replicas,
        each,
        &Memory::default(),
        now(),
    );
    assert_eq!(size(&step), expected, "{replicas} using {each}m each");
}

#[test]
fn the_load_decides_within_tolerance_speed_and_size() {
    check(2, 50, None);
    check(2, 54, None);
    check(2, 60, Some(3));
    // Four replicas are always allowed, and twice as many as there are.
    check(1, 500, Some(4));
    check(4, 500, Some(8));
    check(6, 500, Some(10));
}

#[test]
fn a_look_leaves_conditions_and_metrics() {
    let (step, _) = look(&autoscaler(Value::Null), 2, 100, &Memory::default(), now());
    let status = status(&step);
    assert_eq!(size(&step), Some(4));
    assert_eq!(
        (&status["currentReplicas"], &status["desiredReplicas"]),
        (&json!(2), &json!(4))
    );
    let current = &status["currentMetrics"][0]["resource"]["current"];
    assert_eq!(
        *current,
        json!({"averageValue": "100m", "averageUtilization": 100})
    );
    let reasons: Vec<&str> = list(&status["conditions"])
        .iter()
        .filter_map(|condition| condition["reason"].as_str())
        .collect();
    assert_eq!(
        reasons,
        ["SucceededRescale", "ValidMetricFound", "DesiredWithinRange"]
    );
    assert_eq!(step.wake_at, Some(after_secs(now(), 15)));
}

#[test]
fn a_higher_wish_holds_for_five_minutes() {
    let own = autoscaler(Value::Null);
    let (_, memory) = look(&own, 4, 50, &Memory::default(), now());
    let (held, memory) = look(&own, 4, 10, &memory, after_secs(now(), 299));
    assert_eq!(size(&held), None);
    assert_eq!(
        status(&held)["conditions"][0]["reason"],
        "ScaleDownStabilized"
    );
    let (free, _) = look(&own, 4, 10, &memory, after_secs(now(), 301));
    assert_eq!(size(&free), Some(1));
}

#[test]
fn behavior_sets_windows_and_speed() {
    let own = autoscaler(json!({
        "scaleUp": {"stabilizationWindowSeconds": 0, "selectPolicy": "Max",
            "policies": [{"type": "Pods", "value": 1, "periodSeconds": 60}]},
        "scaleDown": {"stabilizationWindowSeconds": 0, "selectPolicy": "Max",
            "policies": [{"type": "Percent", "value": 50, "periodSeconds": 60}]},
    }));
    let (up, memory) = look(&own, 4, 500, &Memory::default(), now());
    assert_eq!(size(&up), Some(5));
    assert_eq!(status(&up)["conditions"][2]["reason"], "ScaleUpLimit");
    let (waits, memory) = look(&own, 5, 500, &memory, after_secs(now(), 30));
    assert_eq!(size(&waits), None);
    let (down, _) = look(&own, 8, 1, &memory, after_secs(now(), 120));
    assert_eq!(size(&down), Some(4));
    assert_eq!(status(&down)["conditions"][2]["reason"], "ScaleDownLimit");
}

#[test]
fn without_metrics_nothing_is_scaled_and_the_status_says_why() {
    let own = autoscaler(Value::Null);
    let pods = [pod(0)];
    let pods: Vec<&Value> = pods.iter().collect();
    let scale = json!({"spec": {"replicas": 1}, "status": {"selector": "app=web"}});
    let (step, _) = step(View {
        autoscaler: &own,
        scale: Ok(&scale),
        pods: &pods,
        samples: Err("nobody measures"),
        memory: &Memory::default(),
        period_secs: 15,
        now: now(),
    });
    assert_eq!(size(&step), None);
    assert_eq!(
        status(&step)["conditions"][1]["message"],
        "the HPA was unable to compute the replica count: failed to get cpu utilization: unable \
         to get metrics for resource cpu: nobody measures"
    );
}

#[test]
fn a_target_out_of_range_is_brought_back_whatever_its_load() {
    let mut own = autoscaler(Value::Null);
    own["spec"]["minReplicas"] = json!(3);
    let (up, _) = look(&own, 1, 0, &Memory::default(), now());
    assert_eq!(size(&up), Some(3));
    let (down, _) = look(&own, 12, 500, &Memory::default(), now());
    assert_eq!(size(&down), Some(10));
    let (zero, _) = look(&own, 0, 500, &Memory::default(), now());
    assert_eq!(size(&zero), None);
    assert_eq!(status(&zero)["conditions"][1]["reason"], "ScalingDisabled");
}
