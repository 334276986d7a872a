//! Status, scale and the other subresources.

use serde_json::{Value, json};

use crate::answer::Look;
use crate::manifests::{config_map, deployment, pod, widgets};
use crate::world::World;

cases! { Workloads:
    a_status_is_not_written_with_the_object,
    a_status_write_keeps_the_spec,
    a_status_patch_raises_no_generation,
    a_status_write_may_not_change_labels_of_a_deployment,
    a_status_write_at_an_old_version_conflicts,
    scale_shows_replicas_and_selector,
    scale_sets_replicas,
    scale_at_an_old_version_conflicts,
    scale_can_be_patched,
    scale_refuses_negative_replicas,
    stateful_sets_have_a_scale,
    a_custom_kind_has_the_scale_it_declares,
    a_custom_kind_without_status_writes_it_with_the_object,
    a_custom_status_is_dropped_on_create,
    a_custom_status_write_drops_the_rest,
    a_subresource_that_is_not_there_is_not_found,
    a_pod_is_bound_to_a_node_once,
    a_trial_binding_binds_nothing,
    one_of_two_bindings_at_once_holds,
    a_pod_that_waits_or_goes_is_not_bound,
    a_binding_names_a_node_and_its_pod,
    a_pod_is_bound_by_a_binding_of_its_namespace,
    a_pod_can_be_evicted,
}

async fn a_status_is_not_written_with_the_object(world: World) {
    let mut body = deployment("a", 0);
    body["spec"]["paused"] = json!(true);
    body["status"] = json!({"replicas": 7, "readyReplicas": 7});
    let created = world.post("apps/v1:deployments", &body).await.is(201);
    created.has(json!({"status": {"replicas": null, "readyReplicas": null}}));
    let patch = json!({"status": {"readyReplicas": 7}});
    let patched = world
        .merge_patch("apps/v1:deployments/a", &patch)
        .await
        .is(200);
    patched.has(json!({"status": {"readyReplicas": null}}));
}

async fn a_status_write_keeps_the_spec(world: World) {
    world.takes_pods().await;
    world.post("pods", &pod_of_no_scheduler("a")).await.is(201);
    let mut body = world.get("pods/a").await.is(200);
    body["status"]["message"] = json!("by the case");
    body["spec"]["activeDeadlineSeconds"] = json!(5);
    let updated = world.put("pods/a/status", &body).await.is(200);
    updated.has(json!({
        "spec": {"activeDeadlineSeconds": null}, "status": {"message": "by the case"},
    }));
}

/// A pod that nobody schedules.
fn pod_of_no_scheduler(name: &str) -> serde_json::Value {
    let mut body = pod(name);
    body["spec"]["schedulerName"] = json!("nobody");
    body
}

async fn a_status_patch_raises_no_generation(world: World) {
    let mut body = deployment("a", 0);
    body["spec"]["paused"] = json!(true);
    world.post("apps/v1:deployments", &body).await.is(201);
    let patch = json!({"status": {"conditions": [{"type": "Case", "status": "True"}]}});
    let patched = world
        .strategic_patch("apps/v1:deployments/a/status", &patch)
        .await
        .is(200);
    assert_eq!(patched["metadata"]["generation"], 1);
    assert_eq!(patched.condition("Case")["status"], "True");
    let managed = patched.managed();
    assert!(
        managed
            .iter()
            .any(|(_, operation, sub, _)| (*operation, *sub) == ("Update", "status"))
    );
}

async fn a_status_write_may_not_change_labels_of_a_deployment(world: World) {
    let mut body = deployment("a", 0);
    body["spec"]["paused"] = json!(true);
    world.post("apps/v1:deployments", &body).await.is(201);
    let patch = json!({"metadata": {"labels": {"new": "label"}}});
    let patched = world
        .merge_patch("apps/v1:deployments/a/status", &patch)
        .await
        .is(200);
    assert_eq!(patched["metadata"]["labels"], json!({"app": "a"}));
}

async fn a_status_write_at_an_old_version_conflicts(world: World) {
    world.takes_pods().await;
    let created = world.post("pods", &pod_of_no_scheduler("a")).await.is(201);
    world
        .merge_patch("pods/a", &json!({"metadata": {"labels": {"k": "v"}}}))
        .await
        .is(200);
    let answer = world.put("pods/a/status", &created).await;
    answer.refused_saying(
        409,
        "Conflict",
        "Operation cannot be fulfilled on pods \"a\"",
    );
}

async fn scale_shows_replicas_and_selector(world: World) {
    let created = world
        .post("apps/v1:deployments", &deployment("a", 0))
        .await
        .is(201);
    world
        .get("apps/v1:deployments/a/scale")
        .await
        .is(200)
        .has(json!({
            "kind": "Scale", "apiVersion": "autoscaling/v1",
            "metadata": {
                "name": "a", "namespace": world.namespace, "uid": created["metadata"]["uid"],
                "creationTimestamp": created["metadata"]["creationTimestamp"], "labels": null,
            },
            "spec": {"replicas": null}, "status": {"replicas": 0, "selector": "app=a"},
        }));
}

async fn scale_sets_replicas(world: World) {
    world.takes_pods().await;
    world
        .post("apps/v1:deployments", &deployment("a", 0))
        .await
        .is(201);
    let scale = json!({
        "apiVersion": "autoscaling/v1", "kind": "Scale",
        "metadata": {"name": "a", "namespace": world.namespace}, "spec": {"replicas": 2},
    });
    let scaled = world
        .put("apps/v1:deployments/a/scale", &scale)
        .await
        .is(200);
    scaled.has(json!({"kind": "Scale", "spec": {"replicas": 2}}));
    world.get("apps/v1:deployments/a").await.is(200).has(json!({
        "spec": {"replicas": 2}, "metadata": {"generation": 2},
    }));
}

async fn scale_at_an_old_version_conflicts(world: World) {
    world
        .post("apps/v1:deployments", &deployment("a", 0))
        .await
        .is(201);
    let mut scale = world.get("apps/v1:deployments/a/scale").await.is(200);
    let patch = json!({"metadata": {"labels": {"k": "v"}}});
    world
        .merge_patch("apps/v1:deployments/a", &patch)
        .await
        .is(200);
    scale["spec"]["replicas"] = json!(3);
    let answer = world.put("apps/v1:deployments/a/scale", &scale).await;
    answer.refused_saying(409, "Conflict", "the object has been modified");
}

async fn scale_can_be_patched(world: World) {
    world.takes_pods().await;
    world
        .post("apps/v1:deployments", &deployment("a", 0))
        .await
        .is(201);
    let patch = json!({"spec": {"replicas": 1}});
    let scaled = world
        .merge_patch("apps/v1:deployments/a/scale", &patch)
        .await
        .is(200);
    scaled.has(json!({"kind": "Scale", "spec": {"replicas": 1}}));
}

async fn scale_refuses_negative_replicas(world: World) {
    world
        .post("apps/v1:deployments", &deployment("a", 0))
        .await
        .is(201);
    let patch = json!({"spec": {"replicas": -1}});
    let answer = world
        .merge_patch("apps/v1:deployments/a/scale", &patch)
        .await;
    answer.refused_saying(422, "Invalid", "spec.replicas: Invalid value: -1");
}

async fn stateful_sets_have_a_scale(world: World) {
    let mut body = deployment("a", 0);
    body["kind"] = json!("StatefulSet");
    body["spec"]["serviceName"] = json!("a");
    world.post("apps/v1:statefulsets", &body).await.is(201);
    world
        .get("apps/v1:statefulsets/a/scale")
        .await
        .is(200)
        .has(json!({
            "kind": "Scale", "status": {"selector": "app=a"},
        }));
}

async fn a_custom_kind_has_the_scale_it_declares(world: World) {
    let mut definition = widgets(&world.group);
    definition["spec"]["versions"][0]["subresources"]["scale"] = json!({
        "specReplicasPath": ".spec.replicas",
        "statusReplicasPath": ".status.replicas",
        "labelSelectorPath": ".status.selector",
    });
    let path = format!("{}/a", world.define(&definition).await);
    let (collection, _) = path.rsplit_once('/').unwrap();
    let body = world.custom("Widget", "a", json!({"spec": {"replicas": 3}}));
    world.post(collection, &body).await.is(201);
    let status = json!({"status": {"replicas": 2, "selector": "app=a"}});
    world
        .merge_patch(&format!("{path}/status"), &status)
        .await
        .is(200);
    let mut scale = world.get(&format!("{path}/scale")).await.is(200);
    scale.has(json!({
        "kind": "Scale", "apiVersion": "autoscaling/v1", "metadata": {"name": "a"},
        "spec": {"replicas": 3}, "status": {"replicas": 2, "selector": "app=a"},
    }));
    scale["spec"]["replicas"] = json!(5);
    world.put(&format!("{path}/scale"), &scale).await.is(200);
    world.get(&path).await.is(200).has(json!({
        "spec": {"replicas": 5}, "metadata": {"generation": 2},
    }));
    world
        .merge_patch(&format!("{path}/scale"), &json!({"spec": {"replicas": 1}}))
        .await
        .is(200);
    assert_eq!(world.get(&path).await.is(200)["spec"]["replicas"], 1);
}

async fn a_custom_kind_without_status_writes_it_with_the_object(world: World) {
    let mut definition = widgets(&world.group);
    definition["spec"]["versions"][0]["subresources"] = json!(null);
    let widgets = world.define(&definition).await;
    let body = world.custom("Widget", "a", json!({"status": {"phase": "Ready"}}));
    world.post(&widgets, &body).await.is(201).has(json!({
        "status": {"phase": "Ready"}, "metadata": {"generation": 1},
    }));
    let answer = world
        .merge_patch(&format!("{widgets}/a/status"), &json!({}))
        .await;
    assert_eq!(answer.status, 404);
    // Without the subresource every field is of the spec.
    let patch = json!({"status": {"phase": "Gone"}});
    let patched = world
        .merge_patch(&format!("{widgets}/a"), &patch)
        .await
        .is(200);
    assert_eq!(patched["metadata"]["generation"], 2);
}

async fn a_custom_status_is_dropped_on_create(world: World) {
    let widgets = world.define(&widgets(&world.group)).await;
    let body = world.custom(
        "Widget",
        "a",
        json!({"spec": {"size": 1}, "status": {"phase": "Ready"}}),
    );
    world
        .post(&widgets, &body)
        .await
        .is(201)
        .has(json!({"status": null}));
    let patch = json!({"status": {"phase": "Ready"}, "spec": {"size": 2}});
    let patched = world
        .merge_patch(&format!("{widgets}/a"), &patch)
        .await
        .is(200);
    patched.has(json!({"status": null, "spec": {"size": 2}}));
}

async fn a_custom_status_write_drops_the_rest(world: World) {
    let widgets = world.define(&widgets(&world.group)).await;
    let body = world.custom("Widget", "a", json!({"spec": {"size": 1}}));
    let mut object = world.post(&widgets, &body).await.is(201);
    object["spec"]["size"] = json!(2);
    object["metadata"]["labels"] = json!({"k": "v"});
    object["status"] = json!({"phase": "Ready"});
    let updated = world
        .put(&format!("{widgets}/a/status"), &object)
        .await
        .is(200);
    updated.has(json!({
        "spec": {"size": 1}, "status": {"phase": "Ready"}, "metadata": {"labels": null},
    }));
}

async fn a_subresource_that_is_not_there_is_not_found(world: World) {
    world.post("configmaps", &config_map("a")).await.is(201);
    let message = "the server could not find the requested resource";
    world
        .get("configmaps/a/status")
        .await
        .refused(404, "NotFound", message);
}

async fn a_pod_is_bound_to_a_node_once(world: World) {
    world.takes_pods().await;
    world.post("pods", &pod_of_no_scheduler("a")).await.is(201);
    let nodes = world.get("/api/v1/nodes").await.is(200);
    let node = nodes.text("/items/0/metadata/name");
    let binding = json!({
        "apiVersion": "v1", "kind": "Binding", "metadata": {"name": "a"},
        "target": {"apiVersion": "v1", "kind": "Node", "name": node},
    });
    world
        .post("pods/a/binding", &binding)
        .await
        .is(201)
        .has(json!({"status": "Success"}));
    let bound = world.get("pods/a").await.is(200);
    assert_eq!(bound["spec"]["nodeName"], node);
    assert_eq!(bound.condition("PodScheduled")["status"], "True");
    let answer = world.post("pods/a/binding", &binding).await;
    answer.refused_saying(409, "Conflict", "pod a is already assigned to node");
}

fn binding(pod: &str, target: Value) -> Value {
    json!({"apiVersion": "v1", "kind": "Binding", "metadata": {"name": pod}, "target": target})
}

async fn a_trial_binding_binds_nothing(world: World) {
    world.takes_pods().await;
    world.post("pods", &pod_of_no_scheduler("a")).await.is(201);
    let to_node = binding("a", json!({"kind": "Node", "name": "x"}));
    for path in ["pods/a/binding", "bindings"] {
        let trial = |word| world.post(path, &to_node).query("dryRun", word);
        trial("All").await.is(201).has(json!({"status": "Success"}));
        let pod = world.get("pods/a").await.is(200);
        assert_eq!(pod["spec"]["nodeName"], Value::Null, "{path}");
        let answer = trial("Some").await;
        answer.refused_saying(422, "Invalid", "dryRun: Unsupported value: [\"Some\"]");
    }
}

async fn one_of_two_bindings_at_once_holds(world: World) {
    world.takes_pods().await;
    world.post("pods", &pod_of_no_scheduler("a")).await.is(201);
    let bind = |node: &str| {
        let body = binding("a", json!({"kind": "Node", "name": node}));
        world.post("pods/a/binding", &body)
    };
    let (first, second) = tokio::join!(bind("x"), bind("y"));
    let (held, refused) = match first.status {
        201 => (first, second),
        _ => (second, first),
    };
    held.is(201);
    refused.refused_saying(409, "Conflict", "pod a is already assigned to node");
}

async fn a_pod_that_waits_or_goes_is_not_bound(world: World) {
    world.takes_pods().await;
    let mut gated = pod_of_no_scheduler("gated");
    gated["spec"]["schedulingGates"] = json!([{"name": "example.com/gate"}]);
    world.post("pods", &gated).await.is(201);
    let mut going = pod_of_no_scheduler("going");
    going["metadata"]["finalizers"] = json!(["example.com/kept"]);
    world.post("pods", &going).await.is(201);
    world.delete("pods/going").await.is(200);
    for (name, why) in [
        ("gated", "pod gated has non-empty .spec.schedulingGates"),
        (
            "going",
            "pod going is being deleted, cannot be assigned to a host",
        ),
    ] {
        let body = binding(name, json!({"kind": "Node", "name": "x"}));
        let answer = world.post(&format!("pods/{name}/binding"), &body).await;
        let message = format!("Operation cannot be fulfilled on pods/binding \"{name}\": {why}");
        answer.refused(409, "Conflict", &message);
    }
    let free = json!({"metadata": {"finalizers": null}});
    world.merge_patch("pods/going", &free).await.is(200);
}

async fn a_binding_names_a_node_and_its_pod(world: World) {
    world.takes_pods().await;
    world.post("pods", &pod_of_no_scheduler("a")).await.is(201);
    let path = "pods/a/binding";
    let answer = world
        .post(path, &binding("a", json!({"kind": "Pod", "name": "x"})))
        .await;
    let why = "target.kind: Unsupported value: \"Pod\": supported values: \"Node\", \"<empty>\"";
    answer.refused(500, "", why);
    let answer = world
        .post(path, &binding("a", json!({"kind": "Node"})))
        .await;
    answer.refused(500, "", "target.name: Required value");
    let answer = world
        .post(path, &binding("b", json!({"kind": "Node", "name": "x"})))
        .await;
    let why = "name in URL does not match name in Binding object";
    answer.refused(400, "BadRequest", why);
}

async fn a_pod_is_bound_by_a_binding_of_its_namespace(world: World) {
    world.takes_pods().await;
    world.post("pods", &pod_of_no_scheduler("a")).await.is(201);
    let nodes = world.get("/api/v1/nodes").await.is(200);
    let target = json!({"kind": "Node", "name": nodes.text("/items/0/metadata/name")});
    let answer = world
        .post("bindings", &binding("none", target.clone()))
        .await;
    answer.refused(404, "NotFound", "pods \"none\" not found");
    let done = world
        .post("bindings", &binding("a", target.clone()))
        .await
        .is(201);
    done.has(json!({"kind": "Status", "status": "Success"}));
    assert_eq!(
        world.get("pods/a").await.is(200)["spec"]["nodeName"],
        target["name"]
    );
    let answer = world.post("bindings", &binding("a", target)).await;
    answer.refused_saying(
        409,
        "Conflict",
        "Operation cannot be fulfilled on pods/binding \"a\"",
    );
}

async fn a_pod_can_be_evicted(world: World) {
    world.takes_pods().await;
    world.post("pods", &pod("a")).await.is(201);
    world
        .until("pods/a", |pod| {
            pod.condition("Ready").text("/status") == "True"
        })
        .await;
    let eviction = json!({
        "apiVersion": "policy/v1", "kind": "Eviction",
        "metadata": {"name": "a", "namespace": world.namespace},
    });
    world
        .post("pods/a/eviction", &eviction)
        .await
        .is(201)
        .has(json!({"status": "Success"}));
    world.until_gone("pods/a").await;
    let answer = world.post("pods/a/eviction", &eviction).await;
    answer.refused_saying(404, "NotFound", "pods \"a\" not found");
}
