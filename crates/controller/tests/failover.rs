//! A federated Deployment with a scheduling preference over members in this process, under
//! tokio's paused clock: what a member's failure and return do to replicas.

use k8s_openapi::api::core::v1::Node;
use k8s_openapi::jiff::Timestamp;
use kube::api::{Api, DynamicObject, ListParams, Patch, PatchParams, PostParams};
use kube::core::{ApiResource, GroupVersionKind};
use kube::{Client, ResourceExt};
use meridian_controller::{Controller, ControllerOptions, ExecPlugins, InProcess, WallClock};
use pocketkube::cluster::ClusterOptions;
use pocketkube::workloads::Workloads;
use pocketkube::{ApiState, Clock, Cluster, DataPlaneState};
use serde_json::{Value, json};
use std::collections::BTreeMap;
use std::time::Duration;
use tokio_util::sync::CancellationToken;

/// When this world begins.
const BEGAN: &str = "2026-01-01T00:00:00Z";
const SYSTEM: &str = "kube-federation-system";
/// Members with their cities.
const MEMBERS: [(&str, &str); 3] = [
    ("beijing-a", "beijing"),
    ("beijing-b", "beijing"),
    ("frankfurt", "frankfurt"),
];

/// One member a city.
const CITIES: [(&str, &str); 3] = [
    ("beijing", "beijing"),
    ("frankfurt", "frankfurt"),
    ("lisbon", "lisbon"),
];

struct World {
    places: [(&'static str, &'static str); 3],
    host: Client,
    members: BTreeMap<&'static str, (Cluster, Workloads)>,
    stop: CancellationToken,
    began: tokio::time::Instant,
}

impl World {
    /// Three ready members that run nine replicas, three each.
    async fn start(settings: Value) -> Self {
        Self::start_at(MEMBERS, None, settings).await
    }

    /// The same elsewhere; a member of that name is the host itself.
    async fn start_at(
        places: [(&'static str, &'static str); 3],
        host: Option<&str>,
        settings: Value,
    ) -> Self {
        let began = BEGAN.parse().expect("a time");
        let clock = Clock::following_tokio(began);
        let cluster = |name: &str, seed| {
            Cluster::in_process(ClusterOptions {
                clock,
                seed: Some(seed),
                ..ClusterOptions::named(name)
            })
        };
        let own = cluster("host", 1);
        let members: BTreeMap<&str, (Cluster, Workloads)> = places
            .iter()
            .zip(2..)
            .map(|((name, _), seed)| {
                let member = cluster(name, seed);
                let workloads = member.start_workloads().expect("members have workloads");
                (*name, (member, workloads))
            })
            .collect();
        let host = host.map_or(&own, |name| &members[name].0);
        let world = Self {
            places,
            host: Client::new(host.router(), "default"),
            members,
            stop: CancellationToken::new(),
            began: tokio::time::Instant::now(),
        };
        world.furnish(settings).await;
        world.begin().await;
        world.pass(15_000).await;
        world
    }

    /// The host's objects.
    async fn furnish(&self, settings: Value) {
        for crd in api::crds() {
            self.create(
                "apiextensions.k8s.io/v1",
                "CustomResourceDefinition",
                json!(crd),
            )
            .await;
        }
        for namespace in [SYSTEM, "shop"] {
            self.create("v1", "Namespace", json!({"metadata": {"name": namespace}}))
                .await;
        }
        for config in api::federated_type_configs(SYSTEM) {
            self.create(
                "core.kubefed.io/v1beta1",
                "FederatedTypeConfig",
                json!(config),
            )
            .await;
        }
        self.create(
            "core.kubefed.io/v1beta1",
            "KubeFedConfig",
            json!({"metadata": {"name": "kubefed", "namespace": SYSTEM}, "spec": settings}),
        )
        .await;
        for (name, city) in self.places {
            let secret = json!({"metadata": {"name": name, "namespace": SYSTEM}});
            self.create("v1", "Secret", secret).await;
            let member = json!({"metadata": {"name": name, "namespace": SYSTEM}, "spec": {
                "apiEndpoint": format!("https://{name}.invalid"), "secretRef": {"name": name},
                "city": city}});
            self.create("core.kubefed.io/v1beta1", "KubeFedCluster", member)
                .await;
        }
        let shop = |name: &str| json!({"name": name, "namespace": "shop"});
        let types = "types.kubefed.io/v1beta1";
        let everywhere = json!({"clusterSelector": {}});
        self.create(
            types,
            "FederatedNamespace",
            json!({"metadata": shop("shop"), "spec": {"placement": everywhere}}),
        )
        .await;
        let labels = json!({"app": "web"});
        let template = json!({"spec": {"selector": {"matchLabels": labels}, "template": {
            "metadata": {"labels": labels},
            "spec": {"containers": [{"name": "web", "image": "web:1"}]}}}});
        self.create(
            types,
            "FederatedDeployment",
            json!({"metadata": shop("web"),
                "spec": {"template": template, "placement": everywhere}}),
        )
        .await;
        self.create(
            "scheduling.kubefed.io/v1alpha1",
            "ReplicaSchedulingPreference",
            json!({"metadata": shop("web"),
                "spec": {"targetKind": "FederatedDeployment", "totalReplicas": 9}}),
        )
        .await;
    }

    async fn begin(&self) {
        let began = BEGAN.parse().expect("a time");
        let in_process = self
            .members
            .iter()
            .map(|(name, (member, _))| ((*name).into(), InProcess::new(member.router())))
            .collect();
        let options = ControllerOptions {
            client: self.host.clone(),
            system_namespace: SYSTEM.to_owned(),
            identity: "test".to_owned(),
            in_process,
            clock: WallClock::following_tokio(began),
            plugins: ExecPlugins::default(),
            lease_times: None,
        };
        let controller = Controller::new(options, self.stop.clone())
            .await
            .expect("a host");
        tokio::spawn(controller.run());
    }

    fn api(&self, api_version: &str, kind: &str, namespace: Option<&str>) -> Api<DynamicObject> {
        let (group, version) = api_version.rsplit_once('/').unwrap_or(("", api_version));
        let resource = ApiResource::from_gvk(&GroupVersionKind::gvk(group, version, kind));
        match namespace {
            Some(namespace) => Api::namespaced_with(self.host.clone(), namespace, &resource),
            None => Api::all_with(self.host.clone(), &resource),
        }
    }

    async fn create(&self, api_version: &str, kind: &str, mut object: Value) {
        object["apiVersion"] = json!(api_version);
        object["kind"] = json!(kind);
        let object: DynamicObject = serde_json::from_value(object).expect("an object");
        let namespace = object.namespace();
        let api = self.api(api_version, kind, namespace.as_deref());
        let made = api.create(&PostParams::default(), &object).await;
        made.unwrap_or_else(|error| panic!("{kind} {}: {error}", object.name_any()));
    }

    /// Lets time pass; all that is due in it happens.
    async fn pass(&self, millis: u64) {
        tokio::time::sleep(Duration::from_millis(millis)).await;
    }

    /// `spec.replicas` and `status.readyReplicas` of the Deployment in a member, whatever its
    /// faults.
    fn running(&self, member: &str) -> (i64, i64) {
        let (cluster, _) = &self.members[member];
        let resource = cluster.resource("apps/v1", "Deployment").expect("served");
        let deployments = cluster.list(&resource, Some("shop"));
        let number = |field: &str| deployments.first()?.value().pointer(field)?.as_i64();
        let replicas = number("/spec/replicas").unwrap_or(-1);
        (replicas, number("/status/readyReplicas").unwrap_or(0))
    }

    fn all_running(&self) -> Vec<(i64, i64)> {
        let names = self.places.iter();
        names.map(|(name, _)| self.running(name)).collect()
    }

    fn faults(&self, member: &str, api: ApiState, data_plane: DataPlaneState) {
        let faults = self.members[member].0.faults();
        faults.set_api(api);
        faults.set_data_plane(data_plane);
    }

    /// The preference's status: replicas and phase per cluster.
    async fn status(&self) -> Vec<(String, i64, String)> {
        let api = self.api(
            "scheduling.kubefed.io/v1alpha1",
            "ReplicaSchedulingPreference",
            Some("shop"),
        );
        let preference = api.get("web").await.expect("the preference");
        let clusters = preference.data["status"]["clusters"].as_array().cloned();
        clusters
            .unwrap_or_default()
            .iter()
            .map(|cluster| {
                let text = |field: &str| cluster[field].as_str().unwrap_or_default().to_owned();
                (
                    text("name"),
                    cluster["replicas"].as_i64().unwrap_or(-1),
                    text("phase"),
                )
            })
            .collect()
    }

    /// Why a member gets what it gets.
    async fn reason(&self, member: &str) -> String {
        let preference = self.preferences().get("web").await.expect("the preference");
        let clusters = preference.data["status"]["clusters"].as_array().cloned();
        let mut clusters = clusters.unwrap_or_default().into_iter();
        let told = clusters.find(|cluster| cluster["name"] == member);
        let reason = told.and_then(|told| told["reason"].as_str().map(str::to_owned));
        reason.unwrap_or_default()
    }

    async fn want_replicas(&self, total: i64) {
        let patch = json!({"spec": {"totalReplicas": total}});
        self.preferences()
            .patch("web", &PatchParams::default(), &Patch::Merge(&patch))
            .await
            .expect("patched");
    }

    fn preferences(&self) -> Api<DynamicObject> {
        let kind = "ReplicaSchedulingPreference";
        self.api("scheduling.kubefed.io/v1alpha1", kind, Some("shop"))
    }

    /// Lets a member's nodes take no new Pods.
    async fn cordon(&self, member: &str) {
        let client = Client::new(self.members[member].0.router(), "default");
        let nodes: Api<Node> = Api::all(client);
        let listed = nodes.list(&ListParams::default()).await.expect("nodes");
        let patch = json!({"spec": {"unschedulable": true}});
        for node in listed.items {
            let patched = nodes
                .patch(
                    &node.name_any(),
                    &PatchParams::default(),
                    &Patch::Merge(&patch),
                )
                .await;
            patched.expect("patched");
        }
    }

    /// A DNS replica somewhere else says that a member's own check is up or down.
    async fn report(&self, member: &str, verdict: &str) {
        self.report_all(&[member], verdict).await;
    }

    /// The same of several members.
    async fn report_all(&self, members: &[&str], verdict: &str) {
        let verdicts = members.iter().map(|member| {
            json!({"service": format!("dataPlaneCheck/{member}"), "cluster": member,
                "target": "192.0.2.9", "verdict": verdict, "sinceMillis": 0})
        });
        let verdicts: Vec<Value> = verdicts.collect();
        let report = json!({"apiVersion": "gslb.meridian.dev/v1alpha1", "kind": "ProbeReport",
            "metadata": {"name": "elsewhere", "namespace": SYSTEM},
            "spec": {"domain": "elsewhere", "atMillis": self.now().as_millisecond(),
                "verdicts": verdicts}});
        let api = self.api("gslb.meridian.dev/v1alpha1", "ProbeReport", Some(SYSTEM));
        let parameters = PatchParams::apply("elsewhere").force();
        let report = Patch::Apply(&report);
        let applied = api.patch("elsewhere", &parameters, &report).await;
        applied.expect("applied");
    }

    /// Lets time pass, while the replica says the same every ten seconds.
    async fn pass_reporting(&self, seconds: u64, member: &str, verdict: &str) {
        self.pass_reporting_all(seconds, &[member], verdict).await;
    }

    async fn pass_reporting_all(&self, seconds: u64, members: &[&str], verdict: &str) {
        let ends = tokio::time::Instant::now() + Duration::from_secs(seconds);
        while tokio::time::Instant::now() < ends {
            self.report_all(members, verdict).await;
            self.pass(10_000).await;
        }
    }

    /// This world's time.
    fn now(&self) -> Timestamp {
        let began: Timestamp = BEGAN.parse().expect("a time");
        began + self.began.elapsed()
    }

    async fn annotate(&self, api: Api<DynamicObject>, name: &str, annotation: &str, value: &str) {
        let patch = json!({"metadata": {"annotations": {annotation: value}}});
        let patch = Patch::Merge(&patch);
        let patched = api.patch(name, &PatchParams::default(), &patch).await;
        patched.expect("patched");
    }

    /// A condition of the preference: its status, and what it says.
    async fn condition(&self, kind: &str) -> Option<(String, String)> {
        let preference = self.preferences().get("web").await.expect("the preference");
        let conditions = preference.data["status"]["conditions"].as_array().cloned();
        let mut conditions = conditions.unwrap_or_default().into_iter();
        let found = conditions.find(|condition| condition["type"] == kind)?;
        let text = |field: &str| found[field].as_str().unwrap_or_default().to_owned();
        Some((text("status"), text("message")))
    }

    /// How often an Event of this reason was told of the preference, one entry a telling.
    async fn told(&self, reason: &str) -> Vec<String> {
        let events = self.api("events.k8s.io/v1", "Event", Some("shop"));
        let events = events.list(&ListParams::default()).await.expect("events");
        let of = events.items.iter().filter(|event| {
            event.data["reason"] == reason && event.data["regarding"]["name"] == "web"
        });
        of.map(|event| event.data["note"].as_str().unwrap_or_default().to_owned())
            .collect()
    }

    /// Labels every node of a member.
    async fn label_nodes(&self, member: &str, label: &str, value: &str) {
        let client = Client::new(self.members[member].0.router(), "default");
        let nodes: Api<Node> = Api::all(client);
        let listed = nodes.list(&ListParams::default()).await.expect("nodes");
        let patch = json!({"metadata": {"labels": {label: value}}});
        for node in listed.items {
            let (name, parameters) = (node.name_any(), PatchParams::default());
            let patched = nodes.patch(&name, &parameters, &Patch::Merge(&patch)).await;
            patched.expect("patched");
        }
    }

    async fn ready_condition(&self, member: &str) -> Vec<(String, String)> {
        let api = self.api("core.kubefed.io/v1beta1", "KubeFedCluster", Some(SYSTEM));
        let cluster = api.get(member).await.expect("the member");
        let conditions = cluster.data["status"]["conditions"].as_array().cloned();
        conditions
            .unwrap_or_default()
            .iter()
            .map(|condition| {
                let text = |field: &str| condition[field].as_str().unwrap_or_default().to_owned();
                (text("type"), text("status"))
            })
            .collect()
    }
}

impl Drop for World {
    fn drop(&mut self) {
        self.stop.cancel();
    }
}

/// Nobody probes endpoints in this world, so that data planes are unknown.
fn fast() -> Value {
    json!({"failover": {"unknownAfterSeconds": 5}, "failback": {"stableSeconds": 5}})
}

#[tokio::test(start_paused = true)]
async fn replicas_are_divided_over_ready_members() {
    let world = World::start(json!({})).await;
    assert_eq!(world.all_running(), [(3, 3), (3, 3), (3, 3)]);
    let status = world.status().await;
    assert_eq!(
        status.iter().map(|(_, replicas, _)| *replicas).sum::<i64>(),
        9
    );
    let ready = ("Ready".to_owned(), "True".to_owned());
    assert_eq!(world.ready_condition("frankfurt").await, [ready]);
}

#[tokio::test(start_paused = true)]
async fn a_hang_is_noticed_and_moves_nothing_before_its_time() {
    let world = World::start(json!({})).await;
    world.faults("frankfurt", ApiState::Hung, DataPlaneState::Up);
    world.pass(15_000).await;
    let offline = ("Offline".to_owned(), "True".to_owned());
    assert_eq!(world.ready_condition("frankfurt").await, [offline]);
    world.pass(30_000).await;
    world.faults("frankfurt", ApiState::Up, DataPlaneState::Up);
    world.pass(20_000).await;
    assert_eq!(world.all_running(), [(3, 3), (3, 3), (3, 3)]);
    let ready = ("Ready".to_owned(), "True".to_owned());
    assert_eq!(world.ready_condition("frankfurt").await, [ready]);
}

#[tokio::test(start_paused = true)]
async fn a_dead_members_replicas_move_and_return() {
    let world = World::start(fast()).await;
    world.faults("beijing-a", ApiState::Down, DataPlaneState::Down);
    world.pass(8_000 + 5_000 + 3_000).await;
    let (others, lost) = (world.all_running(), world.status().await[0].clone());
    assert_eq!(others[1].1 + others[2].1, 9, "{others:?}");
    assert_eq!((lost.1, lost.2.as_str()), (0, "Evacuated"));

    world.faults("beijing-a", ApiState::Up, DataPlaneState::Up);
    let mut least = i64::MAX;
    for _ in 0..400 {
        world.pass(100).await;
        let ready: i64 = world.all_running().iter().map(|(_, ready)| ready).sum();
        least = least.min(ready);
    }
    assert_eq!(world.all_running(), [(3, 3), (3, 3), (3, 3)]);
    assert!(least >= 9, "at one time only {least} were ready");
    assert!(
        world
            .status()
            .await
            .iter()
            .all(|(_, _, phase)| phase.is_empty())
    );
}

/// Replicas that a member cannot run go to the others.
#[tokio::test(start_paused = true)]
async fn what_finds_no_place_in_a_member_goes_to_the_others() {
    let world = World::start(json!({})).await;
    world.cordon("frankfurt").await;
    world.want_replicas(15).await;
    world.pass(30_000).await;
    assert_eq!(world.all_running(), [(5, 5), (5, 5), (5, 3)]);
    world.pass(60_000).await;
    let full = world.all_running();
    assert_eq!(full[2], (3, 3), "{full:?}");
    assert_eq!(full[0].1 + full[1].1, 12, "{full:?}");
    let reason = world.reason("frankfurt").await;
    assert!(
        reason.contains("no more can be scheduled there"),
        "{reason}"
    );

    world.want_replicas(18).await;
    world.pass(10_000).await;
    assert_eq!(world.running("frankfurt"), (3, 3), "it is believed full");
}

#[tokio::test(start_paused = true)]
async fn a_member_whose_own_check_answers_loses_no_replica_with_its_api_and_one_that_is_silent_does()
 {
    let world = World::start(json!({"failover": {"unknownAfterSeconds": 20}})).await;
    world.report("frankfurt", "Up").await;
    world.faults("frankfurt", ApiState::Hung, DataPlaneState::Up);
    world.pass_reporting(600, "frankfurt", "Up").await;
    assert_eq!(world.all_running(), [(3, 3), (3, 3), (3, 3)]);
    let reason = world.reason("frankfurt").await;
    assert!(
        reason.contains("the API is down while the data plane is up"),
        "{reason}"
    );
    // Both are: ten seconds are enough.
    world.pass_reporting(20, "frankfurt", "Down").await;
    let running = world.all_running();
    assert_eq!(running[0].1 + running[1].1, 9, "{running:?}");
    assert_eq!(world.status().await[2].1, 0);
}

/// Beijing and Frankfurt are lost within a minute; Lisbon is where the host is, and left.
async fn lose_two_cities() -> World {
    let settings = json!({"failover": {"unknownAfterSeconds": 20}});
    let world = World::start_at(CITIES, Some("lisbon"), settings).await;
    assert_eq!(world.all_running(), [(3, 3), (3, 3), (3, 3)]);
    world.faults("beijing", ApiState::Down, DataPlaneState::Down);
    world.pass(4_000).await;
    world.faults("frankfurt", ApiState::Down, DataPlaneState::Down);
    world.pass(120_000).await;
    assert_eq!(world.running("lisbon"), (3, 3), "the host suspects itself");
    let (braked, why) = world.condition("FailoverBraked").await.expect("it says so");
    assert_eq!(braked, "True");
    assert!(
        why.contains("beijing") && why.contains("frankfurt"),
        "{why}"
    );
    let told = world.told("FailoverBraked").await;
    assert_eq!(told.len(), 1, "{told:?}");
    let phases: Vec<String> = world.status().await.into_iter().map(|it| it.2).collect();
    assert!(!phases.contains(&"Evacuated".to_owned()), "{phases:?}");
    world
}

async fn all_is_in_lisbon(world: &World) {
    assert_eq!(world.running("lisbon"), (9, 9));
    let status = world.status().await;
    for lost in &status[..2] {
        assert_eq!((lost.1, lost.2.as_str()), (0, "Evacuated"), "{status:?}");
    }
    assert_eq!(world.condition("FailoverBraked").await, None);
    let told = world.told("FailoverReleased").await;
    assert_eq!(told.len(), 1, "{told:?}");
}

#[tokio::test(start_paused = true)]
async fn two_cities_lost_within_a_minute_move_nothing_until_an_observer_elsewhere_sees_it() {
    let world = lose_two_cities().await;
    // What is seen from there is believed, and no more: of Frankfurt nobody says anything.
    world.pass_reporting(60, "beijing", "Down").await;
    assert_eq!(world.running("lisbon"), (6, 6));
    let held = world.status().await[1].clone();
    assert_eq!((held.1, held.2.as_str()), (3, ""), "{held:?}");
    world
        .pass_reporting_all(60, &["beijing", "frankfurt"], "Down")
        .await;
    all_is_in_lisbon(&world).await;
}

#[tokio::test(start_paused = true)]
async fn two_cities_lost_within_a_minute_move_once_somebody_releases_the_brake() {
    let world = lose_two_cities().await;
    let settings = world.api("core.kubefed.io/v1beta1", "KubeFedConfig", Some(SYSTEM));
    let released = format!("{} both sites lost power", world.now());
    let annotation = "meridian.dev/failover-released";
    world
        .annotate(settings, "kubefed", annotation, &released)
        .await;
    world.pass(30_000).await;
    all_is_in_lisbon(&world).await;
    let why = &world.told("FailoverReleased").await[0];
    assert!(why.contains("both sites lost power"), "{why}");
}

#[tokio::test(start_paused = true)]
async fn two_cities_lost_one_after_the_other_are_believed() {
    let world = World::start_at(CITIES, Some("lisbon"), fast()).await;
    world.faults("beijing", ApiState::Down, DataPlaneState::Down);
    world.pass(120_000).await;
    world.faults("frankfurt", ApiState::Down, DataPlaneState::Down);
    world.pass(30_000).await;
    assert_eq!(world.running("lisbon"), (9, 9));
    assert_eq!(world.told("FailoverBraked").await, Vec::<String>::new());
}

#[tokio::test(start_paused = true)]
async fn manual_fail_back_waits_for_somebodys_word() {
    let mut settings = fast();
    settings["failback"]["mode"] = json!("Manual");
    let world = World::start(settings).await;
    world.faults("beijing-a", ApiState::Down, DataPlaneState::Down);
    world.pass(30_000).await;
    world.faults("beijing-a", ApiState::Up, DataPlaneState::Up);
    world.pass(600_000).await;
    let status = world.status().await;
    assert_eq!((status[0].1, status[0].2.as_str()), (0, "Evacuated"));
    let others = world.all_running();
    assert_eq!(others[1].1 + others[2].1, 9, "{others:?}");
    // Of another cluster it says nothing of this one.
    let annotation = "meridian.dev/failback";
    for (cluster, all) in [("frankfurt", false), ("beijing-a", true)] {
        let asked = format!("{} {cluster}", world.now());
        let preferences = world.preferences();
        world.annotate(preferences, "web", annotation, &asked).await;
        world.pass(120_000).await;
        let even = world.all_running() == [(3, 3), (3, 3), (3, 3)];
        assert_eq!(even, all, "{cluster}: {:?}", world.all_running());
    }
}

#[tokio::test(start_paused = true)]
async fn replicas_are_spread_over_the_regions_that_nodes_tell_of() {
    let world = World::start(json!({})).await;
    let region = "topology.kubernetes.io/region";
    for (member, is_in) in [
        ("beijing-a", "cn"),
        ("beijing-b", "cn"),
        ("frankfurt", "eu"),
    ] {
        world.label_nodes(member, region, is_in).await;
    }
    let spread =
        |max_skew: u32| json!({"spec": {"spread": [{"by": "region", "maxSkew": max_skew}]}});
    let patch = async |patch: Value| {
        let (parameters, patch) = (PatchParams::default(), Patch::Merge(patch));
        let patched = world.preferences().patch("web", &parameters, &patch).await;
        patched.expect("patched");
    };
    patch(spread(1)).await;
    // Nodes are looked at every ten minutes.
    world.pass(660_000).await;
    let running = world.all_running();
    let ready: Vec<i64> = running.iter().map(|(_, ready)| *ready).collect();
    let (cn, eu) = (ready[0] + ready[1], ready[2]);
    assert_eq!((cn + eu, cn.abs_diff(eu)), (9, 1), "{running:?}");
    assert_eq!(world.condition("Spread").await, None);

    // What cannot be even says so.
    patch(json!({"spec": {"clusters": {"*": {"weight": 1}, "frankfurt": {"weight": 1, "maxReplicas": 2}}}}))
        .await;
    world.pass(120_000).await;
    assert_eq!(world.running("frankfurt"), (2, 2));
    let (status, why) = world.condition("Spread").await.expect("it says so");
    assert_eq!(status, "False", "{why}");
}
