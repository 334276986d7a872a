//! Defaults and checks of the built-in kinds.

use serde_json::json;

use crate::answer::Look;
use crate::manifests::{config_map, deployment, pod, secret, service};
use crate::world::World;

cases! { Workloads:
    a_deployment_gets_its_defaults,
    a_pod_template_gets_its_defaults,
    a_deployments_selector_must_match_its_template,
    a_deployments_selector_cannot_change,
    a_deployment_needs_a_container_with_an_image,
    a_service_gets_a_cluster_address_and_defaults,
    a_headless_service_has_no_address,
    a_service_keeps_its_cluster_address,
    a_service_needs_ports_with_names_when_there_are_two,
    a_node_port_is_allocated,
    an_asked_for_cluster_address_is_given_once,
    an_external_name_has_no_address,
    a_stateful_set_gets_its_defaults,
    a_daemon_set_gets_its_defaults,
    a_job_gets_its_defaults_and_selector,
    a_cron_job_gets_its_defaults,
    a_pod_gets_its_defaults,
    a_pods_image_may_change_and_little_else,
    a_pod_tag_latest_is_always_pulled,
    a_pods_quality_of_service_follows_its_resources,
    a_variable_of_the_environment_has_one_source,
    a_constraint_of_spreading_is_whole,
    a_budget_is_stored,
    a_budget_counts_in_numbers_or_percent,
    a_percentage_has_no_more_digits_than_count,
    a_rollout_counts_in_numbers_or_percent,
    an_ingress_is_stored,
    a_role_and_its_binding_are_stored,
    an_autoscaler_is_stored_and_seen_in_both_versions,
    an_endpoint_slice_is_stored,
    a_priority_class_is_of_the_cluster,
    quantities_are_kept_in_canonical_form,
    null_and_empty_collections_are_dropped,
}

async fn a_deployment_gets_its_defaults(world: World) {
    let mut body = deployment("a", 0);
    body["spec"]["paused"] = json!(true);
    body["spec"].as_object_mut().unwrap().remove("replicas");
    world
        .post("apps/v1:deployments", &body)
        .await
        .is(201)
        .has(json!({
            "spec": {
                "replicas": 1, "revisionHistoryLimit": 10, "progressDeadlineSeconds": 600,
                "strategy": {
                    "type": "RollingUpdate",
                    "rollingUpdate": {"maxSurge": "25%", "maxUnavailable": "25%"},
                },
                "minReadySeconds": null,
            },
        }));
}

async fn a_pod_template_gets_its_defaults(world: World) {
    let mut body = deployment("a", 0);
    body["spec"]["template"]["spec"]["containers"][0]["ports"] = json!([{"containerPort": 80}]);
    body["spec"]["template"]["spec"]["containers"][0]["readinessProbe"] =
        json!({"httpGet": {"port": 80}});
    let created = world.post("apps/v1:deployments", &body).await.is(201);
    created["spec"]["template"]["spec"].has(json!({
        "restartPolicy": "Always", "dnsPolicy": "ClusterFirst", "schedulerName": "default-scheduler",
        "terminationGracePeriodSeconds": 30, "securityContext": {},
        "containers": [{
            "name": "main", "image": "app:1", "imagePullPolicy": "IfNotPresent", "resources": {},
            "terminationMessagePath": "/dev/termination-log", "terminationMessagePolicy": "File",
            "ports": [{"containerPort": 80, "protocol": "TCP"}],
            "readinessProbe": {
                "httpGet": {"port": 80, "path": "/", "scheme": "HTTP"}, "timeoutSeconds": 1,
                "periodSeconds": 10, "successThreshold": 1, "failureThreshold": 3,
            },
        }],
    }));
}

async fn a_deployments_selector_must_match_its_template(world: World) {
    let mut body = deployment("a", 0);
    body["spec"]["selector"]["matchLabels"] = json!({"app": "other"});
    let answer = world.post("apps/v1:deployments", &body).await;
    answer.refused_saying(
        422,
        "Invalid",
        "spec.template.metadata.labels: Invalid value: {\"app\":\"a\"}: `selector` does not match \
         template `labels`",
    );
}

async fn a_deployments_selector_cannot_change(world: World) {
    world
        .post("apps/v1:deployments", &deployment("a", 0))
        .await
        .is(201);
    let patch = json!({"spec": {
        "selector": {"matchLabels": {"k": "v"}},
        "template": {"metadata": {"labels": {"k": "v"}}},
    }});
    let answer = world.merge_patch("apps/v1:deployments/a", &patch).await;
    answer.refused_saying(422, "Invalid", "field is immutable");
}

async fn a_deployment_needs_a_container_with_an_image(world: World) {
    let mut body = deployment("a", 0);
    body["spec"]["template"]["spec"]["containers"] = json!([]);
    let answer = world.post("apps/v1:deployments", &body).await;
    answer.refused_saying(
        422,
        "Invalid",
        "spec.template.spec.containers: Required value",
    );
    body["spec"]["template"]["spec"]["containers"] = json!([{"name": "main"}]);
    let answer = world.post("apps/v1:deployments", &body).await;
    answer.refused_saying(
        422,
        "Invalid",
        "spec.template.spec.containers[0].image: Required value",
    );
}

async fn a_service_gets_a_cluster_address_and_defaults(world: World) {
    let mut body = service("a");
    body["spec"]["ports"] = json!([{"port": 80}]);
    let created = world.post("services", &body).await.is(201);
    let address = created["spec"]["clusterIP"].clone();
    assert!(address.as_str().unwrap().starts_with("10."), "{address}");
    created.has(json!({
        "spec": {
            "type": "ClusterIP", "sessionAffinity": "None", "internalTrafficPolicy": "Cluster",
            "ipFamilies": ["IPv4"], "ipFamilyPolicy": "SingleStack", "clusterIPs": [address],
            "ports": [{"port": 80, "targetPort": 80, "protocol": "TCP"}],
        },
        "status": {"loadBalancer": {}},
    }));
}

async fn a_headless_service_has_no_address(world: World) {
    let mut body = service("a");
    body["spec"]["clusterIP"] = json!("None");
    let created = world.post("services", &body).await.is(201);
    created.has(json!({"spec": {"clusterIP": "None", "clusterIPs": ["None"]}}));
}

async fn a_service_keeps_its_cluster_address(world: World) {
    let created = world.post("services", &service("a")).await.is(201);
    let updated = world.put("services/a", &service("a")).await.is(200);
    assert_eq!(updated["spec"]["clusterIP"], created["spec"]["clusterIP"]);
    let patch = json!({"spec": {"clusterIP": "10.96.0.200", "clusterIPs": ["10.96.0.200"]}});
    let answer = world.merge_patch("services/a", &patch).await;
    answer.refused_saying(422, "Invalid", "may not change once set");
}

async fn a_service_needs_ports_with_names_when_there_are_two(world: World) {
    let mut body = service("a");
    body["spec"]["ports"] = json!([{"port": 80}, {"port": 443}]);
    let answer = world.post("services", &body).await;
    answer.refused_saying(422, "Invalid", "spec.ports[0].name: Required value");
    body["spec"]["ports"] = json!([]);
    let answer = world.post("services", &body).await;
    answer.refused_saying(422, "Invalid", "spec.ports: Required value");
    body["spec"]["ports"] = json!([{"port": 80, "name": "a"}, {"port": 80, "name": "b"}]);
    let answer = world.post("services", &body).await;
    let shown =
        r#"{"Name":"","Protocol":"TCP","AppProtocol":null,"Port":80,"TargetPort":0,"NodePort":0}"#;
    let why = format!("spec.ports[1]: Duplicate value: {shown}");
    answer.refused_saying(422, "Invalid", &why);
}

async fn a_node_port_is_allocated(world: World) {
    let mut body = service("a");
    body["spec"]["type"] = json!("NodePort");
    let created = world.post("services", &body).await.is(201);
    let port = created["spec"]["ports"][0]["nodePort"].as_u64().unwrap();
    assert!((30_000..=32_767).contains(&port), "{port}");
    created.has(json!({"spec": {"externalTrafficPolicy": "Cluster"}}));
}

async fn an_asked_for_cluster_address_is_given_once(world: World) {
    let created = world.post("services", &service("a")).await.is(201);
    let mut body = service("b");
    body["spec"]["clusterIP"] = created["spec"]["clusterIP"].clone();
    let answer = world.post("services", &body).await;
    answer.refused_saying(422, "Invalid", "provided IP is already allocated");
}

async fn an_external_name_has_no_address(world: World) {
    let body = json!({
        "apiVersion": "v1", "kind": "Service", "metadata": {"name": "a"},
        "spec": {"type": "ExternalName", "externalName": "example.com"},
    });
    let created = world.post("services", &body).await.is(201);
    created.has(json!({"spec": {"externalName": "example.com", "clusterIP": null}}));
    assert!(created["spec"].get("ports").is_none(), "{created:#}");
}

async fn a_stateful_set_gets_its_defaults(world: World) {
    let mut body = deployment("a", 0);
    body["kind"] = json!("StatefulSet");
    body["spec"]["serviceName"] = json!("a");
    world.post("apps/v1:statefulsets", &body).await.is(201).has(json!({"spec": {
        "podManagementPolicy": "OrderedReady", "revisionHistoryLimit": 10,
        "updateStrategy": {"type": "RollingUpdate", "rollingUpdate": {"partition": 0}},
        "persistentVolumeClaimRetentionPolicy": {"whenDeleted": "Retain", "whenScaled": "Retain"},
    }}));
}

async fn a_daemon_set_gets_its_defaults(world: World) {
    let mut body = deployment("a", 0);
    body["kind"] = json!("DaemonSet");
    body["spec"].as_object_mut().unwrap().remove("replicas");
    body["spec"]["template"]["spec"]["nodeSelector"] = json!({"no": "node"});
    world
        .post("apps/v1:daemonsets", &body)
        .await
        .is(201)
        .has(json!({"spec": {
            "revisionHistoryLimit": 10,
            "updateStrategy": {
                "type": "RollingUpdate", "rollingUpdate": {"maxSurge": 0, "maxUnavailable": 1},
            },
        }}));
}

fn job() -> serde_json::Value {
    json!({
        "apiVersion": "batch/v1", "kind": "Job", "metadata": {"name": "a"},
        "spec": {"suspend": true, "template": {"spec": {
            "restartPolicy": "Never", "containers": [{"name": "main", "image": "app:1"}],
        }}},
    })
}

async fn a_job_gets_its_defaults_and_selector(world: World) {
    let created = world.post("batch/v1:jobs", &job()).await.is(201);
    let uid = &created["metadata"]["uid"];
    created.has(json!({"spec": {
        "completions": 1, "parallelism": 1, "backoffLimit": 6, "completionMode": "NonIndexed",
        "suspend": true,
        "selector": {"matchLabels": {"batch.kubernetes.io/controller-uid": uid}},
        "template": {"metadata": {"labels": {
            "batch.kubernetes.io/controller-uid": uid, "batch.kubernetes.io/job-name": "a",
            "controller-uid": uid, "job-name": "a",
        }}},
    }}));
    let mut body = job();
    body["spec"]["template"]["spec"]["restartPolicy"] = json!("Always");
    let answer = world.post("batch/v1:jobs", &body).await;
    answer.refused_saying(422, "Invalid", "spec.template.spec.restartPolicy: ");
}

async fn a_cron_job_gets_its_defaults(world: World) {
    let mut body = json!({
        "apiVersion": "batch/v1", "kind": "CronJob", "metadata": {"name": "a"},
        "spec": {"schedule": "0 0 1 1 *", "jobTemplate": {"spec": job()["spec"]}},
    });
    world
        .post("batch/v1:cronjobs", &body)
        .await
        .is(201)
        .has(json!({"spec": {
            "concurrencyPolicy": "Allow", "failedJobsHistoryLimit": 1,
            "successfulJobsHistoryLimit": 3, "suspend": false,
        }}));
    body["spec"]["schedule"] = json!("sometimes");
    let answer = world.post("batch/v1:cronjobs", &body).await;
    answer.refused_saying(
        422,
        "Invalid",
        "spec.schedule: Invalid value: \"sometimes\"",
    );
}

fn waiting(name: &str) -> serde_json::Value {
    let mut body = pod(name);
    body["spec"]["schedulerName"] = json!("nobody");
    body
}

async fn a_pod_gets_its_defaults(world: World) {
    world.takes_pods().await;
    world.post("pods", &waiting("a")).await.is(201).has(json!({
        "metadata": {"generation": 1},
        "spec": {
            "restartPolicy": "Always", "dnsPolicy": "ClusterFirst", "enableServiceLinks": true,
            "preemptionPolicy": "PreemptLowerPriority", "priority": 0, "serviceAccountName": "default",
            "terminationGracePeriodSeconds": 30, "nodeName": null,
            "tolerations": [
                {"key": "node.kubernetes.io/not-ready", "effect": "NoExecute", "tolerationSeconds": 300},
                {"key": "node.kubernetes.io/unreachable", "effect": "NoExecute", "tolerationSeconds": 300},
            ],
        },
        "status": {"phase": "Pending", "qosClass": "BestEffort"},
    }));
}

async fn a_pods_image_may_change_and_little_else(world: World) {
    world.takes_pods().await;
    world.post("pods", &waiting("a")).await.is(201);
    let patch = json!({"spec": {"containers": [{"name": "main", "image": "app:2"}]}});
    let patched = world.strategic_patch("pods/a", &patch).await.is(200);
    patched.has(json!({"spec": {"containers": [{"image": "app:2"}]}}));
    let patch = json!({"spec": {"restartPolicy": "Never"}});
    let answer = world.merge_patch("pods/a", &patch).await;
    answer.refused_saying(
        422,
        "Invalid",
        "spec: Forbidden: pod updates may not change fields other than",
    );
}

async fn a_pod_tag_latest_is_always_pulled(world: World) {
    world.takes_pods().await;
    for (image, policy) in [
        ("app", "Always"),
        ("app:latest", "Always"),
        ("example.com:5000/app:v1", "IfNotPresent"),
    ] {
        let mut body = waiting("a");
        body["spec"]["containers"][0]["image"] = json!(image);
        let created = world
            .post("pods", &body)
            .query("dryRun", "All")
            .await
            .is(201);
        assert_eq!(
            created["spec"]["containers"][0]["imagePullPolicy"], policy,
            "{image}"
        );
    }
}

async fn a_pods_quality_of_service_follows_its_resources(world: World) {
    world.takes_pods().await;
    let full = json!({"cpu": "1", "memory": "1Gi"});
    for (resources, class) in [
        (json!({}), "BestEffort"),
        (json!({"requests": {"cpu": "1"}}), "Burstable"),
        (json!({"requests": full, "limits": full}), "Guaranteed"),
        (json!({"limits": full}), "Guaranteed"),
    ] {
        let mut body = waiting("a");
        body["spec"]["containers"][0]["resources"] = resources;
        let created = world
            .post("pods", &body)
            .query("dryRun", "All")
            .await
            .is(201);
        assert_eq!(created["status"]["qosClass"], class);
    }
}

async fn a_budget_is_stored(world: World) {
    let body = json!({
        "apiVersion": "policy/v1", "kind": "PodDisruptionBudget", "metadata": {"name": "a"},
        "spec": {"maxUnavailable": "50%", "selector": {"matchLabels": {"app": "a"}}},
    });
    let created = world
        .post("policy/v1:poddisruptionbudgets", &body)
        .await
        .is(201);
    created.has(json!({"spec": {"maxUnavailable": "50%"}, "metadata": {"generation": 1}}));
}

async fn an_ingress_is_stored(world: World) {
    let body = json!({
        "apiVersion": "networking.k8s.io/v1", "kind": "Ingress", "metadata": {"name": "a"},
        "spec": {"rules": [{"host": "example.com", "http": {"paths": [{
            "path": "/", "pathType": "Prefix",
            "backend": {"service": {"name": "a", "port": {"number": 80}}},
        }]}}]},
    });
    let created = world
        .post("networking.k8s.io/v1:ingresses", &body)
        .await
        .is(201);
    created.has(json!({
        "spec": {"rules": [{"host": "example.com"}]}, "status": {"loadBalancer": {}},
        "metadata": {"generation": 1},
    }));
}

async fn a_role_and_its_binding_are_stored(world: World) {
    let role = json!({
        "apiVersion": "rbac.authorization.k8s.io/v1", "kind": "Role", "metadata": {"name": "a"},
        "rules": [{"apiGroups": [""], "resources": ["pods"], "verbs": ["get"]}],
    });
    world
        .post("rbac.authorization.k8s.io/v1:roles", &role)
        .await
        .is(201);
    let binding = json!({
        "apiVersion": "rbac.authorization.k8s.io/v1", "kind": "RoleBinding",
        "metadata": {"name": "a"},
        "roleRef": {"apiGroup": "rbac.authorization.k8s.io", "kind": "Role", "name": "a"},
        "subjects": [{"kind": "ServiceAccount", "name": "default", "namespace": world.namespace}],
    });
    world
        .post("rbac.authorization.k8s.io/v1:rolebindings", &binding)
        .await
        .is(201);
    let patch = json!({"roleRef": {"name": "b"}});
    let answer = world
        .merge_patch("rbac.authorization.k8s.io/v1:rolebindings/a", &patch)
        .await;
    answer.refused_saying(422, "Invalid", "cannot change roleRef");
}

async fn an_autoscaler_is_stored_and_seen_in_both_versions(world: World) {
    let body = json!({
        "apiVersion": "autoscaling/v2", "kind": "HorizontalPodAutoscaler",
        "metadata": {"name": "a"},
        "spec": {
            "scaleTargetRef": {"apiVersion": "apps/v1", "kind": "Deployment", "name": "a"},
            "maxReplicas": 5,
            "metrics": [{"type": "Resource", "resource": {
                "name": "cpu", "target": {"type": "Utilization", "averageUtilization": 70},
            }}],
        },
    });
    let created = world
        .post("autoscaling/v2:horizontalpodautoscalers", &body)
        .await
        .is(201);
    created.has(json!({"spec": {"minReplicas": 1, "maxReplicas": 5}}));
    let old = world
        .get("autoscaling/v1:horizontalpodautoscalers/a")
        .await
        .is(200);
    old.has(json!({
        "apiVersion": "autoscaling/v1",
        "spec": {"maxReplicas": 5, "targetCPUUtilizationPercentage": 70, "metrics": null},
    }));
}

async fn an_endpoint_slice_is_stored(world: World) {
    let body = json!({
        "apiVersion": "discovery.k8s.io/v1", "kind": "EndpointSlice",
        "metadata": {"name": "a", "labels": {"kubernetes.io/service-name": "a"}},
        "addressType": "IPv4", "endpoints": [{"addresses": ["192.0.2.1"]}],
        "ports": [{"port": 80, "name": "http"}],
    });
    let created = world
        .post("discovery.k8s.io/v1:endpointslices", &body)
        .await
        .is(201);
    created.has(json!({
        "endpoints": [{"addresses": ["192.0.2.1"], "conditions": {}}],
        "ports": [{"port": 80, "name": "http", "protocol": "TCP"}],
    }));
}

async fn a_priority_class_is_of_the_cluster(world: World) {
    let body = json!({
        "apiVersion": "scheduling.k8s.io/v1", "kind": "PriorityClass",
        "metadata": {"name": world.namespace}, "value": 7,
    });
    let created = world
        .post("/apis/scheduling.k8s.io/v1/priorityclasses", &body)
        .await
        .is(201);
    created.has(json!({"value": 7, "preemptionPolicy": "PreemptLowerPriority"}));
}

async fn quantities_are_kept_in_canonical_form(world: World) {
    world.takes_pods().await;
    let mut body = waiting("a");
    body["spec"]["containers"][0]["resources"] =
        json!({"requests": {"cpu": "0.5", "memory": "1024Mi", "ephemeral-storage": "1000M"}});
    let created = world.post("pods", &body).await.is(201);
    assert_eq!(
        created["spec"]["containers"][0]["resources"]["requests"],
        json!({"cpu": "500m", "memory": "1Gi", "ephemeral-storage": "1G"}),
    );
}

async fn null_and_empty_collections_are_dropped(world: World) {
    let mut body = config_map("a");
    body["data"] = json!(null);
    body["metadata"]["labels"] = json!({});
    body["metadata"]["finalizers"] = json!([]);
    let created = world.post("configmaps", &body).await.is(201);
    let keys: Vec<&String> = created.as_object().unwrap().keys().collect();
    assert_eq!(keys, ["kind", "apiVersion", "metadata"]);
    created.has(json!({"metadata": {"labels": null, "finalizers": null}}));
    let created = world.post("secrets", &secret("a")).await.is(201);
    created.has(json!({"data": null}));
}

async fn a_variable_of_the_environment_has_one_source(world: World) {
    let mut body = deployment("web", 0);
    let name = json!({"fieldRef": {"fieldPath": "metadata.name"}});
    let mut two = name.clone();
    two["configMapKeyRef"] = json!({"name": "a", "key": "k"});
    body["spec"]["template"]["spec"]["containers"][0]["env"] = json!([
        {"name": "A", "value": "1", "valueFrom": name},
        {"name": "B", "valueFrom": {"fieldRef": {"fieldPath": "metadata.colour"}}},
        {"name": "C", "valueFrom": two},
        {"name": "D", "valueFrom": {"fieldRef": {"fieldPath": "metadata.labels['a']"}}},
    ]);
    let answer = world.post("apps/v1:deployments", &body).await;
    let env = "spec.template.spec.containers[0].env";
    let why = format!(
        "Deployment.apps \"web\" is invalid: [{env}[0].valueFrom: Invalid value: \"\": may not be \
         specified when `value` is not empty, {env}[1].valueFrom.fieldRef.fieldPath: Invalid value: \
         \"metadata.colour\": error converting fieldPath: field label not supported: \
         metadata.colour, {env}[2].valueFrom: Invalid value: \"\": may not have more than one field \
         specified at a time]"
    );
    answer.refused(422, "Invalid", &why);
}

async fn a_constraint_of_spreading_is_whole(world: World) {
    let mut body = deployment("web", 0);
    body["spec"]["template"]["spec"]["topologySpreadConstraints"] =
        json!([{"maxSkew": 0, "topologyKey": "", "whenUnsatisfiable": "Wait"}]);
    let answer = world.post("apps/v1:deployments", &body).await;
    let at = "spec.template.spec.topologySpreadConstraints[0]";
    let why = format!(
        "Deployment.apps \"web\" is invalid: [{at}.maxSkew: Invalid value: 0: must be greater than \
         zero, {at}.topologyKey: Required value: can not be empty, {at}.whenUnsatisfiable: \
         Unsupported value: \"Wait\": supported values: \"DoNotSchedule\", \"ScheduleAnyway\"]"
    );
    answer.refused(422, "Invalid", &why);
}

/// More than any number holds.
const HUGE: &str = "99999999999999999999%";

async fn a_percentage_has_no_more_digits_than_count(world: World) {
    for percent in [HUGE, "9223372036854775807%", "101%"] {
        let body = json!({
            "apiVersion": "policy/v1", "kind": "PodDisruptionBudget", "metadata": {"name": "a"},
            "spec": {"minAvailable": percent, "selector": {"matchLabels": {"app": "a"}}},
        });
        let answer = world.post("policy/v1:poddisruptionbudgets", &body).await;
        let why = format!(
            "spec.minAvailable: Invalid value: \"{percent}\": must not be greater than 100%"
        );
        answer.refused_saying(422, "Invalid", &why);
    }
}

async fn a_rollout_counts_in_numbers_or_percent(world: World) {
    let form = "a valid percent string must be a numeric string followed by an ending '%'";
    let most = "must not be greater than 100%";
    for (field, value, why) in [
        ("maxUnavailable", json!("half"), form),
        ("maxSurge", json!("half"), form),
        ("maxUnavailable", json!(HUGE), most),
        ("maxUnavailable", json!("101%"), most),
        ("maxSurge", json!(-1), "must be greater than or equal to 0"),
    ] {
        let mut body = deployment("a", 1);
        body["spec"]["strategy"] = json!({"rollingUpdate": {field: value}});
        let answer = world.post("apps/v1:deployments", &body).await;
        let why = format!("spec.strategy.rollingUpdate.{field}: Invalid value: {value}: {why}");
        answer.refused_saying(422, "Invalid", &why);
    }
    // A surge may be as large as it likes.
    for (name, surge) in [("a", "200%"), ("b", "9223372036854775807%")] {
        let mut body = deployment(name, 1);
        body["spec"]["strategy"] = json!({"rollingUpdate": {"maxSurge": surge}});
        world.post("apps/v1:deployments", &body).await.is(201);
    }
}

async fn a_budget_counts_in_numbers_or_percent(world: World) {
    let body = json!({
        "apiVersion": "policy/v1", "kind": "PodDisruptionBudget", "metadata": {"name": "a"},
        "spec": {"minAvailable": "half"},
    });
    let answer = world.post("policy/v1:poddisruptionbudgets", &body).await;
    let why = "spec.minAvailable: Invalid value: \"half\": a valid percent string must be a numeric \
               string followed by an ending '%'";
    answer.refused_saying(422, "Invalid", why);
}
