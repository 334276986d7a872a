//! What the server adds to a new object after it recorded who set which field: things that no
//! field manager owns.

use serde_json::{Map, Value, json};

/// A namespace waits for its content to go.
pub(super) fn namespace(object: &mut Value) {
    ensure(object, "spec", "finalizers", json!(["kubernetes"]));
    ensure(object, "status", "phase", json!("Active"));
}

/// Address families; the addresses themselves are the cluster's to give.
pub(super) fn service(object: &mut Value) {
    if object["spec"]["type"] == "ExternalName" {
        return;
    }
    ensure(object, "spec", "ipFamilies", json!(["IPv4"]));
    ensure(object, "spec", "ipFamilyPolicy", json!("SingleStack"));
    if let Some(address) = object["spec"]["clusterIP"]
        .as_str()
        .filter(|a| !a.is_empty())
    {
        let addresses = json!([address]);
        ensure(object, "spec", "clusterIPs", addresses);
    }
}

/// What admission gives a Pod: an account, a priority and a while on a node that is gone.
pub(super) fn pod(object: &mut Value) {
    ensure(object, "spec", "serviceAccountName", json!("default"));
    let account = object["spec"]["serviceAccountName"].clone();
    ensure(object, "spec", "serviceAccount", account);
    ensure(object, "spec", "priority", json!(0));
    ensure(
        object,
        "spec",
        "preemptionPolicy",
        json!("PreemptLowerPriority"),
    );
    tolerate(object);
    let quality = quality(&object["spec"]);
    ensure(object, "status", "phase", json!("Pending"));
    ensure(object, "status", "qosClass", json!(quality));
    let gates = object["spec"]["schedulingGates"].as_array();
    if gates.is_some_and(|gates| !gates.is_empty()) {
        ensure(object, "status", "conditions", gated());
    }
}

/// What a Pod says that may not be scheduled yet (KEP-3521).
fn gated() -> Value {
    json!([{
        "type": "PodScheduled",
        "status": "False",
        "lastProbeTime": null,
        "lastTransitionTime": null,
        "reason": "SchedulingGated",
        "message": "Scheduling is blocked due to non-empty scheduling gates",
    }])
}

/// A Job selects its Pods by its uid, unless it is told how.
pub(super) fn job(object: &mut Value) {
    let uid = object["metadata"]["uid"]
        .as_str()
        .unwrap_or_default()
        .to_owned();
    let name = object["metadata"]["name"]
        .as_str()
        .unwrap_or_default()
        .to_owned();
    if object["spec"]["manualSelector"] == true || uid.is_empty() {
        return;
    }
    if object["spec"]["selector"].is_null() {
        object["spec"]["selector"] =
            json!({ "matchLabels": { "batch.kubernetes.io/controller-uid": uid } });
    }
    // Labels that were taken from the template follow it.
    let follows = object["metadata"]["labels"] == object["spec"]["template"]["metadata"]["labels"];
    let template = &mut object["spec"]["template"];
    if template["metadata"].is_null() {
        template["metadata"] = json!({});
    }
    if template["metadata"]["labels"].is_null() {
        template["metadata"]["labels"] = json!({});
    }
    let labels = &mut template["metadata"]["labels"];
    for (key, value) in [
        ("batch.kubernetes.io/controller-uid", &uid),
        ("batch.kubernetes.io/job-name", &name),
        ("controller-uid", &uid),
        ("job-name", &name),
    ] {
        if labels[key].is_null() {
            labels[key] = json!(value);
        }
    }
    if follows {
        object["metadata"]["labels"] = object["spec"]["template"]["metadata"]["labels"].clone();
    }
}

fn tolerate(object: &mut Value) {
    const SECONDS: i64 = 300;
    let spec = &mut object["spec"];
    if spec["tolerations"].is_null() {
        spec["tolerations"] = json!([]);
    }
    let Some(list) = spec["tolerations"].as_array_mut() else {
        return;
    };
    for key in [
        "node.kubernetes.io/not-ready",
        "node.kubernetes.io/unreachable",
    ] {
        let covers = |toleration: &Value| {
            let is_for = toleration["key"].is_null() || toleration["key"] == key;
            is_for && (toleration["effect"].is_null() || toleration["effect"] == "NoExecute")
        };
        if !list.iter().any(covers) {
            list.push(json!({
                "key": key,
                "operator": "Exists",
                "effect": "NoExecute",
                "tolerationSeconds": SECONDS,
            }));
        }
    }
}

/// Quality of service: guaranteed when every container limits what it requests.
fn quality(spec: &Value) -> &'static str {
    let containers = spec["containers"].as_array().map_or(&[][..], Vec::as_slice);
    let amounts = |container: &Value, part: &str| -> Map<String, Value> {
        let all = container["resources"][part]
            .as_object()
            .cloned()
            .unwrap_or_default();
        all.into_iter()
            .filter(|(name, _)| matches!(name.as_str(), "cpu" | "memory"))
            .collect()
    };
    let is_bare = |c: &Value| amounts(c, "requests").is_empty() && amounts(c, "limits").is_empty();
    let is_sure = |c: &Value| {
        let limits = amounts(c, "limits");
        limits.len() == 2 && amounts(c, "requests") == limits
    };
    if containers.iter().all(is_bare) {
        "BestEffort"
    } else if containers.iter().all(is_sure) {
        "Guaranteed"
    } else {
        "Burstable"
    }
}

fn ensure(object: &mut Value, part: &str, name: &str, value: Value) {
    if object[part].is_null() {
        object[part] = json!({});
    }
    if object[part][name].is_null() {
        object[part][name] = value;
    }
}
