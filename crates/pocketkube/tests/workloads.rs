//! Workloads of one cluster in the process, under tokio's paused clock: nothing here waits for
//! real time, and every run is the same.

use jiff::Timestamp;
use pocketkube::cluster::{DeleteOptions, Propagation, WriteOptions};
use pocketkube::workloads::{NodeOptions, WorkloadOptions, Workloads};
use pocketkube::{
    Caller, Clock, Cluster, ClusterOptions, DataPlaneState, NodeState, Object, Resource,
};
use serde_json::{Value, json};
use std::sync::Arc;
use std::time::Duration;

/// A cluster with running workloads.
struct World {
    cluster: Cluster,
    _workloads: Workloads,
}

impl World {
    async fn start(nodes: &[(&str, &str)]) -> Self {
        let start: Timestamp = "2026-01-01T00:00:00Z".parse().expect("a time");
        let nodes = nodes.iter().map(|(name, cpu)| {
            let mut node = NodeOptions::named(*name).in_zone("region", format!("zone-{name}"));
            (*cpu).clone_into(&mut node.cpu);
            node
        });
        let workloads = WorkloadOptions {
            nodes: nodes.collect(),
            ..WorkloadOptions::default()
        };
        let options = ClusterOptions {
            clock: Clock::following_tokio(start),
            seed: Some(7),
            workloads: Some(workloads),
            ..ClusterOptions::named("test")
        };
        let cluster = Cluster::in_process(options);
        let workloads = cluster.start_workloads().expect("workloads");
        let world = Self {
            cluster,
            _workloads: workloads,
        };
        world.pass(1_000).await;
        world.create("v1", "Namespace", json!({"metadata": {"name": "shop"}}));
        world.pass(100).await;
        world
    }

    /// Lets time pass; all that is due in it happens.
    async fn pass(&self, millis: u64) {
        tokio::time::sleep(Duration::from_millis(millis)).await;
    }

    fn resource(&self, api_version: &str, kind: &str) -> Arc<Resource> {
        self.cluster
            .resource(api_version, kind)
            .expect("a served kind")
    }

    fn create(&self, api_version: &str, kind: &str, mut object: Value) -> Arc<Object> {
        let resource = self.resource(api_version, kind);
        object["apiVersion"] = json!(api_version);
        object["kind"] = json!(kind);
        let namespace = if resource.is_namespaced() { "shop" } else { "" };
        let (caller, options) = (Caller::system("test"), WriteOptions::default());
        let made = self
            .cluster
            .create(&caller, &resource, namespace, object, &options);
        made.unwrap_or_else(|status| panic!("{kind}: {}", status.message))
    }

    fn edit(&self, object: &Object, edit: impl Fn(&mut Value)) {
        let text = |field: &str| object[field].as_str().expect("text");
        let resource = self.resource(text("apiVersion"), text("kind"));
        let name = object["metadata"]["name"].as_str().expect("text");
        let namespace = object["metadata"]["namespace"].as_str().unwrap_or_default();
        let mut new = self
            .cluster
            .get(&resource, namespace, name)
            .expect("it is done")
            .value()
            .clone();
        edit(&mut new);
        let (caller, options) = (Caller::system("test"), WriteOptions::default());
        self.cluster
            .update(&caller, &resource, new, &options)
            .expect("it is done");
    }

    fn delete(&self, object: &Object, propagation: Propagation) {
        let text = |field: &str| object[field].as_str().expect("text");
        let resource = self.resource(text("apiVersion"), text("kind"));
        let name = object["metadata"]["name"].as_str().expect("text");
        let namespace = object["metadata"]["namespace"].as_str().unwrap_or_default();
        let options = DeleteOptions {
            propagation: Some(propagation),
            ..DeleteOptions::default()
        };
        let caller = Caller::system("test");
        self.cluster
            .delete(&caller, &resource, namespace, name, &options)
            .expect("it is done");
    }

    fn get(&self, api_version: &str, kind: &str, name: &str) -> Option<Arc<Object>> {
        let resource = self.resource(api_version, kind);
        let namespace = if resource.is_namespaced() { "shop" } else { "" };
        self.cluster.get(&resource, namespace, name).ok()
    }

    fn list(&self, api_version: &str, kind: &str) -> Vec<Arc<Object>> {
        self.cluster
            .list(&self.resource(api_version, kind), Some("shop"))
    }

    fn deployment(&self, replicas: i64, cpu: &str) -> Arc<Object> {
        self.create(
            "apps/v1",
            "Deployment",
            json!({
                "metadata": {"name": "web"},
                "spec": {
                    "replicas": replicas,
                    "selector": {"matchLabels": {"app": "web"}},
                    "progressDeadlineSeconds": 600,
                    "revisionHistoryLimit": 10,
                    "strategy": {"type": "RollingUpdate",
                        "rollingUpdate": {"maxSurge": 1, "maxUnavailable": 0}},
                    "template": {
                        "metadata": {"labels": {"app": "web"}},
                        "spec": {"terminationGracePeriodSeconds": 30, "containers": [{
                            "name": "web", "image": "web:1",
                            "ports": [{"name": "http", "containerPort": 80, "protocol": "TCP"}],
                            "resources": {"requests": {"cpu": cpu}},
                        }]},
                    },
                },
            }),
        )
    }

    fn service(&self) -> Arc<Object> {
        self.create(
            "v1",
            "Service",
            json!({
                "metadata": {"name": "web"},
                "spec": {"type": "LoadBalancer", "selector": {"app": "web"},
                    "ports": [{"port": 8080, "targetPort": "http", "protocol": "TCP"}]},
            }),
        )
    }

    fn ready_pods(&self) -> usize {
        self.list("v1", "Pod")
            .iter()
            .filter(|pod| is_true(pod, "Ready"))
            .count()
    }

    fn status(&self, field: &str) -> i64 {
        let deployment = self
            .get("apps/v1", "Deployment", "web")
            .expect("the Deployment");
        deployment["status"][field].as_i64().unwrap_or(0)
    }

    fn ready_endpoints(&self) -> usize {
        let slices = self.list("discovery.k8s.io/v1", "EndpointSlice");
        let endpoints = slices
            .iter()
            .flat_map(|slice| slice["endpoints"].as_array())
            .flatten();
        endpoints
            .filter(|endpoint| endpoint["conditions"]["ready"] == true)
            .count()
    }
}

fn condition<'a>(object: &'a Object, kind: &str) -> &'a Value {
    let conditions = object["status"]["conditions"]
        .as_array()
        .map_or(&[][..], Vec::as_slice);
    conditions
        .iter()
        .find(|one| one["type"] == *kind)
        .unwrap_or(&Value::Null)
}

fn is_true(object: &Object, kind: &str) -> bool {
    condition(object, kind)["status"] == "True"
}

#[tokio::test(start_paused = true)]
async fn a_deployment_becomes_available_and_its_service_sends_to_it() {
    let world = World::start(&[("a", "4"), ("b", "4")]).await;
    world.deployment(4, "100m");
    world.service();
    world.pass(100).await;
    let pods = world.list("v1", "Pod");
    assert_eq!(pods.len(), 4);
    assert_eq!(pods[0]["status"]["phase"], "Pending");
    assert!(is_true(&pods[0], "PodScheduled"));
    world.pass(1_000).await;
    let deployment = world.get("apps/v1", "Deployment", "web").unwrap();
    assert_eq!(world.status("availableReplicas"), 4);
    assert!(is_true(&deployment, "Available"));
    assert_eq!(
        condition(&deployment, "Progressing")["reason"],
        "NewReplicaSetAvailable"
    );
    let on_a = world
        .list("v1", "Pod")
        .iter()
        .filter(|pod| pod["spec"]["nodeName"] == "a")
        .count();
    assert_eq!(on_a, 2);
    assert_eq!(world.ready_endpoints(), 4);
    let service = world.get("v1", "Service", "web").unwrap();
    assert_eq!(
        service["status"]["loadBalancer"]["ingress"][0]["ip"],
        "203.0.113.1"
    );
}

#[tokio::test(start_paused = true)]
async fn a_rollout_keeps_every_replica_available() {
    let world = World::start(&[("a", "8")]).await;
    let deployment = world.deployment(3, "100m");
    world.pass(2_000).await;
    world.edit(&deployment, |object| {
        object["spec"]["template"]["spec"]["containers"][0]["image"] = json!("web:2");
    });
    for _ in 0..100 {
        world.pass(100).await;
        assert!(world.ready_pods() >= 3);
    }
    assert_eq!(
        (world.status("updatedReplicas"), world.status("replicas")),
        (3, 3)
    );
    let sets = world.list("apps/v1", "ReplicaSet");
    let sizes: Vec<i64> = sets
        .iter()
        .map(|set| set["spec"]["replicas"].as_i64().unwrap())
        .collect();
    assert_eq!(sizes.iter().sum::<i64>(), 3);
    let deployment = world.get("apps/v1", "Deployment", "web").unwrap();
    assert_eq!(
        deployment["metadata"]["annotations"]["deployment.kubernetes.io/revision"],
        "2"
    );
}

#[tokio::test(start_paused = true)]
async fn pods_that_do_not_fit_wait_until_there_is_room() {
    let world = World::start(&[("a", "2")]).await;
    let deployment = world.deployment(3, "1");
    world.pass(2_000).await;
    assert_eq!(world.status("availableReplicas"), 2);
    let pods = world.list("v1", "Pod");
    let waiting = pods
        .iter()
        .find(|pod| !is_true(pod, "PodScheduled"))
        .expect("one that waits");
    assert_eq!(
        condition(waiting, "PodScheduled")["message"],
        "0/1 nodes are available: 1 Insufficient cpu. no new claims to deallocate, preemption: \
         0/1 nodes are available: 1 No preemption victims found for incoming pod."
    );
    world.edit(&deployment, |object| object["spec"]["replicas"] = json!(1));
    world.pass(2_000).await;
    assert_eq!((world.list("v1", "Pod").len(), world.ready_pods()), (1, 1));
}

#[tokio::test(start_paused = true)]
async fn a_deleted_deployment_takes_its_pods_along() {
    let world = World::start(&[("a", "4")]).await;
    for propagation in [Propagation::Background, Propagation::Foreground] {
        let deployment = world.deployment(2, "100m");
        world.pass(2_000).await;
        world.delete(&deployment, propagation);
        world.pass(50).await;
        let stays = world.get("apps/v1", "Deployment", "web").is_some();
        assert_eq!(stays, propagation == Propagation::Foreground);
        world.pass(2_000).await;
        assert!(world.get("apps/v1", "Deployment", "web").is_none());
        assert_eq!(world.list("apps/v1", "ReplicaSet").len(), 0);
        assert_eq!(world.list("v1", "Pod").len(), 0);
    }
}

#[tokio::test(start_paused = true)]
async fn orphans_are_adopted_by_the_next_deployment() {
    let world = World::start(&[("a", "4")]).await;
    let deployment = world.deployment(2, "100m");
    world.pass(2_000).await;
    world.delete(&deployment, Propagation::Orphan);
    world.pass(1_000).await;
    assert!(world.get("apps/v1", "Deployment", "web").is_none());
    let pods: Vec<Value> = world
        .list("v1", "Pod")
        .iter()
        .map(|pod| pod["metadata"]["uid"].clone())
        .collect();
    assert_eq!(pods.len(), 2);
    let set = &world.list("apps/v1", "ReplicaSet")[0];
    assert!(set["metadata"].get("ownerReferences").is_none());

    let again = world.deployment(2, "100m");
    world.pass(1_000).await;
    let set = &world.list("apps/v1", "ReplicaSet")[0];
    assert_eq!(
        set["metadata"]["ownerReferences"][0]["uid"],
        again["metadata"]["uid"]
    );
    let same: Vec<Value> = world
        .list("v1", "Pod")
        .iter()
        .map(|pod| pod["metadata"]["uid"].clone())
        .collect();
    assert_eq!(same, pods);
}

#[tokio::test(start_paused = true)]
async fn a_namespace_empties_and_goes() {
    let world = World::start(&[("a", "4")]).await;
    assert!(world.get("v1", "ServiceAccount", "default").is_some());
    assert!(world.get("v1", "ConfigMap", "kube-root-ca.crt").is_some());
    world.deployment(2, "100m");
    world.service();
    let held = world.create(
        "v1",
        "ConfigMap",
        json!({"metadata": {"name": "held", "finalizers": ["example.com/hold"]}}),
    );
    world.pass(2_000).await;
    let namespace = world.get("v1", "Namespace", "shop").unwrap();
    world.delete(&namespace, Propagation::Background);
    world.pass(5_000).await;
    let namespace = world.get("v1", "Namespace", "shop").expect("it waits");
    assert_eq!(
        condition(&namespace, "NamespaceContentRemaining")["message"],
        "Some resources are remaining: configmaps. has 1 resource instances"
    );
    assert_eq!(world.list("v1", "Pod").len(), 0);
    world.edit(&held, |object| object["metadata"]["finalizers"] = json!([]));
    world.pass(1_000).await;
    assert!(world.get("v1", "Namespace", "shop").is_none());
    assert_eq!(world.list("v1", "Event").len(), 0);
}

#[tokio::test(start_paused = true)]
async fn a_lost_data_plane_is_noticed_and_recovers() {
    let world = World::start(&[("a", "4"), ("b", "4")]).await;
    world.deployment(2, "100m");
    world.service();
    world.pass(2_000).await;
    assert_eq!(world.ready_endpoints(), 2);
    world.cluster.faults().set_data_plane(DataPlaneState::Down);
    world.pass(39_000).await;
    assert_eq!(world.ready_pods(), 2);
    world.pass(2_000).await;
    assert_eq!((world.ready_pods(), world.ready_endpoints()), (0, 0));
    let node = world.get("v1", "Node", "a").unwrap();
    assert_eq!(condition(&node, "Ready")["reason"], "NodeStatusUnknown");
    assert_eq!(
        node["spec"]["taints"][0]["key"],
        "node.kubernetes.io/unreachable"
    );
    world.cluster.faults().set_data_plane(DataPlaneState::Up);
    world.pass(1_000).await;
    assert_eq!((world.ready_pods(), world.ready_endpoints()), (2, 2));
    let node = world.get("v1", "Node", "a").unwrap();
    assert!(is_true(&node, "Ready") && node["spec"].get("taints").is_none());
}

#[tokio::test(start_paused = true)]
async fn a_node_that_stops_is_lost_and_its_pods_are_replaced_elsewhere() {
    let world = World::start(&[("a", "4"), ("b", "4")]).await;
    world.deployment(2, "100m");
    world.service();
    world.pass(2_000).await;
    assert_eq!(world.ready_endpoints(), 2);
    let on = |name: &str| {
        let pods = world.list("v1", "Pod").into_iter();
        pods.filter(|pod| pod["spec"]["nodeName"] == *name).count()
    };
    assert_eq!((on("a"), on("b")), (1, 1));
    world.cluster.faults().set_node("a", NodeState::Down);
    world.pass(39_000).await;
    assert_eq!(world.ready_pods(), 2);
    world.pass(2_000).await;
    assert_eq!((world.ready_pods(), world.ready_endpoints()), (1, 1));
    let node = world.get("v1", "Node", "a").unwrap();
    assert_eq!(condition(&node, "Ready")["reason"], "NodeStatusUnknown");
    assert!(is_true(&world.get("v1", "Node", "b").unwrap(), "Ready"));
    // Pods tolerate it for five minutes. Then they go, as far as a silent kubelet lets them.
    world.pass(305_000).await;
    assert_eq!((world.ready_pods(), on("a"), on("b")), (2, 1, 2));
    world.cluster.faults().set_node("a", NodeState::Up);
    world.pass(2_000).await;
    assert_eq!((world.ready_pods(), on("a"), on("b")), (2, 0, 2));
    assert!(is_true(&world.get("v1", "Node", "a").unwrap(), "Ready"));
}

#[tokio::test(start_paused = true)]
async fn an_idle_cluster_writes_three_times_an_hour_and_node() {
    let world = World::start(&[("a", "4")]).await;
    world.deployment(2, "100m");
    world.pass(7_200_000).await;
    let before = world.cluster.version();
    world.pass(3_600_000).await;
    // A Lease and the node's heartbeat each.
    assert_eq!(world.cluster.version() - before, 6);
}

#[tokio::test(start_paused = true)]
async fn the_same_seed_gives_the_same_cluster() {
    let mut runs = Vec::new();
    for _ in 0..2 {
        let world = World::start(&[("a", "4"), ("b", "4")]).await;
        let deployment = world.deployment(3, "100m");
        world.pass(1_500).await;
        world.edit(&deployment, |object| object["spec"]["replicas"] = json!(5));
        world.pass(1_500).await;
        let objects: Vec<Value> = ["Pod", "Event", "ConfigMap"]
            .iter()
            .flat_map(|kind| world.list("v1", kind))
            .map(|object| object.value().clone())
            .collect();
        runs.push((world.cluster.version(), objects));
    }
    assert_eq!(runs[0], runs[1]);
}

#[tokio::test(start_paused = true)]
async fn a_disruption_budget_follows_the_pods_of_its_workload() {
    let world = World::start(&[("a", "4")]).await;
    world.create(
        "policy/v1",
        "PodDisruptionBudget",
        json!({
            "metadata": {"name": "web"},
            "spec": {"maxUnavailable": 1, "selector": {"matchLabels": {"app": "web"}}},
        }),
    );
    world.deployment(3, "100m");
    let allowed = || {
        let budget = world
            .get("policy/v1", "PodDisruptionBudget", "web")
            .unwrap();
        (
            budget["status"]["expectedPods"].clone(),
            budget["status"]["disruptionsAllowed"].clone(),
        )
    };
    world.pass(100).await;
    assert_eq!(allowed(), (json!(3), json!(0)));
    world.pass(1_000).await;
    assert_eq!(allowed(), (json!(3), json!(1)));
}

#[tokio::test(start_paused = true)]
async fn a_cron_job_runs_through_a_day_and_keeps_its_last_jobs() {
    let world = World::start(&[("a", "4")]).await;
    let template = json!({"spec": {"restartPolicy": "Never",
        "containers": [{"name": "c", "image": "sum:1"}]}});
    world.create(
        "batch/v1",
        "CronJob",
        json!({"metadata": {"name": "nightly"}, "spec": {"schedule": "0 * * * *",
            "successfulJobsHistoryLimit": 3, "jobTemplate": {"spec": {"template": template}}}}),
    );
    world.pass((24 * 3_600 + 60) * 1_000).await;
    let cron_job = world.get("batch/v1", "CronJob", "nightly").expect("it");
    let status = &cron_job["status"];
    assert_eq!(status["lastScheduleTime"], "2026-01-02T00:00:00Z");
    assert_eq!(status["active"], Value::Null);
    let jobs = world.list("batch/v1", "Job");
    assert_eq!(jobs.len(), 3);
    assert!(jobs.iter().all(|job| is_true(job, "Complete")));
    assert_eq!(world.list("v1", "Pod").len(), 3);
}

#[tokio::test(start_paused = true)]
async fn an_autoscaler_follows_a_load_that_its_replicas_share() {
    let world = World::start(&[("a", "16")]).await;
    let deployment = world.deployment(1, "100m");
    world.create(
        "autoscaling/v2",
        "HorizontalPodAutoscaler",
        json!({"metadata": {"name": "web"}, "spec": {"minReplicas": 1, "maxReplicas": 10,
            "scaleTargetRef": {"apiVersion": "apps/v1", "kind": "Deployment", "name": "web"},
            "metrics": [{"type": "Resource", "resource": {"name": "cpu",
                "target": {"type": "Utilization", "averageUtilization": 50}}}]}}),
    );
    world.pass(5_000).await;
    let load = |load: &'static str| {
        world.edit(&deployment, move |object| {
            object["metadata"]["annotations"]["pocketkube.dev/cpu-load"] = json!(load);
        });
    };
    load("300m");
    // At most four, then at most twice as many: two looks of fifteen seconds.
    world.pass(16_000).await;
    assert_eq!(world.status("replicas"), 4);
    world.pass(16_000).await;
    assert_eq!(world.status("replicas"), 6);
    world.pass(600_000).await;
    assert_eq!(world.status("replicas"), 6, "what is enough stays");
    load("50m");
    world.pass(240_000).await;
    assert_eq!(
        world.status("replicas"),
        6,
        "a higher wish holds for five minutes"
    );
    world.pass(90_000).await;
    assert_eq!(world.status("replicas"), 1);
}

#[tokio::test(start_paused = true)]
async fn a_stateful_set_gets_volumes_of_the_default_class() {
    let world = World::start(&[("a", "4")]).await;
    let set = world.create(
        "apps/v1",
        "StatefulSet",
        json!({"metadata": {"name": "db"}, "spec": {"replicas": 2, "serviceName": "db",
            "selector": {"matchLabels": {"app": "db"}},
            "persistentVolumeClaimRetentionPolicy": {"whenDeleted": "Delete"},
            "template": {"metadata": {"labels": {"app": "db"}},
                "spec": {"containers": [{"name": "c", "image": "db:1"}]}},
            "volumeClaimTemplates": [{"metadata": {"name": "data"}, "spec": {
                "accessModes": ["ReadWriteOnce"],
                "resources": {"requests": {"storage": "1Gi"}}}}]}}),
    );
    world.pass(10_000).await;
    assert_eq!(world.ready_pods(), 2);
    let claims = world.list("v1", "PersistentVolumeClaim");
    assert_eq!(claims.len(), 2);
    for claim in &claims {
        assert_eq!(claim["status"]["phase"], "Bound");
        assert_eq!(claim["spec"]["storageClassName"], "standard");
        let volume = claim["spec"]["volumeName"].as_str().expect("a volume");
        let volume = world.get("v1", "PersistentVolume", volume).expect("it");
        assert_eq!(volume["status"]["phase"], "Bound");
    }
    world.delete(&set, Propagation::Background);
    world.pass(60_000).await;
    assert_eq!(world.list("v1", "Pod").len(), 0);
    assert_eq!(world.list("v1", "PersistentVolumeClaim").len(), 0);
    let volumes = world.resource("v1", "PersistentVolume");
    assert_eq!(world.cluster.list(&volumes, None).len(), 0);
}

#[tokio::test(start_paused = true)]
async fn a_daemon_set_follows_nodes_that_come_and_stays_on_silent_ones() {
    let world = World::start(&[("a", "4"), ("b", "4")]).await;
    world.create(
        "apps/v1",
        "DaemonSet",
        json!({"metadata": {"name": "agent"}, "spec": {
            "selector": {"matchLabels": {"app": "agent"}},
            "template": {"metadata": {"labels": {"app": "agent"}},
                "spec": {"containers": [{"name": "c", "image": "agent:1"}]}}}}),
    );
    world.pass(5_000).await;
    assert_eq!(world.ready_pods(), 2);
    world.create("v1", "Node", json!({"metadata": {"name": "guest"}}));
    world.pass(5_000).await;
    let set = world.get("apps/v1", "DaemonSet", "agent").expect("it");
    assert_eq!(set["status"]["desiredNumberScheduled"], 3);
    world.cluster.faults().set_data_plane(DataPlaneState::Down);
    world.pass(600_000).await;
    // Its Pods tolerate nodes that are not reachable for as long as it takes.
    let pods = world.list("v1", "Pod");
    assert!(
        pods.iter()
            .all(|pod| pod["metadata"]["deletionTimestamp"].is_null())
    );
    assert_eq!(world.ready_pods(), 0);
}

#[tokio::test(start_paused = true)]
async fn an_autoscaler_of_the_first_version_is_followed_like_the_second() {
    let world = World::start(&[("a", "4")]).await;
    world.deployment(0, "100m");
    world.create(
        "autoscaling/v1",
        "HorizontalPodAutoscaler",
        json!({"metadata": {"name": "web"}, "spec": {"minReplicas": 1, "maxReplicas": 3,
            "targetCPUUtilizationPercentage": 50,
            "scaleTargetRef": {"apiVersion": "apps/v1", "kind": "Deployment", "name": "web"}}}),
    );
    world.pass(1_000).await;
    let found = world.get("autoscaling/v2", "HorizontalPodAutoscaler", "web");
    let found = found.expect("the autoscaler");
    assert_eq!(
        condition(&found, "ScalingActive")["reason"],
        "ScalingDisabled"
    );
}

#[tokio::test(start_paused = true)]
async fn pods_with_names_and_pods_of_jobs_come_back_when_their_node_is_gone() {
    let world = World::start(&[("a", "4"), ("b", "4")]).await;
    let template = |policy: &str| {
        json!({"metadata": {"labels": {"app": policy}}, "spec": {"restartPolicy": policy,
            "nodeName": "a", "containers": [{"name": "c", "image": "db:1"}]}})
    };
    let mut job = template("Never");
    job["metadata"]["annotations"] = json!({"pocketkube.dev/complete-after": "never"});
    world.create(
        "batch/v1",
        "Job",
        json!({"metadata": {"name": "sum"}, "spec": {"template": job}}),
    );
    world.create(
        "apps/v1",
        "StatefulSet",
        json!({"metadata": {"name": "db"}, "spec": {"replicas": 1, "serviceName": "db",
            "selector": {"matchLabels": {"app": "Always"}}, "template": template("Always")}}),
    );
    world.pass(5_000).await;
    assert_eq!(world.ready_pods(), 2);
    let first = world.get("v1", "Pod", "db-0").expect("the pod");
    let node = world.get("v1", "Node", "a").expect("the node");
    world.delete(&node, Propagation::Background);
    world.pass(39_000).await;
    let kept = world.get("v1", "Pod", "db-0").expect("the pod");
    assert_eq!(kept["metadata"]["uid"], first["metadata"]["uid"]);
    world.pass(30_000).await;
    let second = world.get("v1", "Pod", "db-0").expect("another pod");
    assert_ne!(second["metadata"]["uid"], first["metadata"]["uid"]);
    let job = world.get("batch/v1", "Job", "sum").expect("the job");
    let failed = job["status"]["failed"].as_i64().unwrap_or(0);
    assert!(failed >= 1, "{:?}", job["status"]);
}
