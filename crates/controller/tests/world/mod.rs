//! A host and members inside of this process, under tokio's paused clock, and a controller.

use k8s_openapi::jiff::Timestamp;
use kube::api::{Api, DeleteParams, DynamicObject, ListParams, Patch, PatchParams, PostParams};
use kube::core::{ApiResource, GroupVersionKind};
use kube::{Client, ResourceExt};
use meridian_controller::preview::{Preview, PreviewOptions, preview};
use meridian_controller::{Controller, ControllerOptions, ExecPlugins, InProcess, WallClock};
use model::ClusterName;
use pocketkube::cluster::ClusterOptions;
use pocketkube::workloads::Workloads;
use pocketkube::{Clock, Cluster};
use prometheus_client::encoding::text::encode;
use prometheus_client::registry::Registry;
use serde_json::{Value, json};
use std::collections::BTreeMap;
use std::time::Duration;
use tokio::runtime::{Builder, Runtime};
use tokio_util::sync::CancellationToken;

pub(crate) const SYSTEM: &str = "kube-federation-system";
pub(crate) const TYPES: &str = "types.kubefed.io/v1beta1";
/// When every world begins.
const BEGAN: &str = "2026-01-01T00:00:00Z";
/// Virtual seconds after which something that was waited for is not coming.
const PATIENCE: Duration = Duration::from_secs(120);
/// Between two looks, in virtual time.
const LOOK: Duration = Duration::from_millis(20);

/// Where one world lives, for tests that live through many: all that runs in it ends with it.
pub(crate) fn runtime() -> Runtime {
    let mut builder = Builder::new_current_thread();
    let builder = builder.enable_all().start_paused(true);
    builder.build().expect("a runtime")
}

pub(crate) struct World {
    pub(crate) host: Cluster,
    pub(crate) members: BTreeMap<&'static str, Cluster>,
    workloads: Vec<Workloads>,
    clock: Clock,
    stop: CancellationToken,
    identity: u32,
    metrics: Registry,
    /// Members that are reached through something of a test's own.
    ways: BTreeMap<&'static str, InProcess>,
}

impl World {
    /// Members, CRDs, types and the federated namespace `shop`; no controller yet.
    pub(crate) async fn furnished(members: &[&'static str], settings: Value) -> Self {
        let clock = Clock::following_tokio(BEGAN.parse().expect("a time"));
        let cluster = |name: &str, seed| {
            Cluster::in_process(ClusterOptions {
                clock,
                seed: Some(seed),
                ..ClusterOptions::named(name)
            })
        };
        let members: BTreeMap<_, _> = members
            .iter()
            .zip(2..)
            .map(|(name, seed)| (*name, cluster(name, seed)))
            .collect();
        let host = cluster("host", 1);
        let all = std::iter::once(&host).chain(members.values());
        let workloads = all.filter_map(Cluster::start_workloads).collect();
        let world = Self {
            host,
            members,
            workloads,
            clock,
            stop: CancellationToken::new(),
            identity: 0,
            metrics: Registry::default(),
            ways: BTreeMap::new(),
        };
        world.furnish(settings).await;
        world
    }

    /// The same with a controller that runs, once every member is Ready.
    pub(crate) async fn start(members: &[&'static str], settings: Value) -> Self {
        let mut world = Self::furnished(members, settings).await;
        world.start_controller().await;
        world
            .until("every member has the namespace", async |world| {
                let mut all = true;
                for name in world.members.keys() {
                    all &= world
                        .find(name, "v1", "Namespace", "", "shop")
                        .await
                        .is_some();
                }
                all
            })
            .await;
        world
    }

    async fn furnish(&self, settings: Value) {
        for crd in api::crds() {
            let crd = with_type(
                "apiextensions.k8s.io/v1",
                "CustomResourceDefinition",
                json!(crd),
            );
            self.apply("host", crd).await;
        }
        for namespace in [SYSTEM, "shop"] {
            let namespace = json!({"metadata": {"name": namespace}});
            self.apply("host", with_type("v1", "Namespace", namespace))
                .await;
        }
        for config in api::federated_type_configs(SYSTEM) {
            self.apply("host", json!(config)).await;
        }
        let config =
            json!({"metadata": {"name": "kubefed", "namespace": SYSTEM}, "spec": settings});
        self.apply(
            "host",
            with_type("core.kubefed.io/v1beta1", "KubeFedConfig", config),
        )
        .await;
        for name in self.members.keys() {
            let member = json!({"metadata": {"name": name, "namespace": SYSTEM,
                    "labels": {"name": name}},
                "spec": {"apiEndpoint": format!("https://{name}.invalid"),
                    "secretRef": {"name": name}}});
            self.apply(
                "host",
                with_type("core.kubefed.io/v1beta1", "KubeFedCluster", member),
            )
            .await;
        }
        let everywhere = json!({"placement": {"clusterSelector": {}}});
        self.federate("FederatedNamespace", "shop", everywhere)
            .await;
    }

    /// Whoever is started from now on reaches a member so.
    pub(crate) fn reach_through(&mut self, member: &'static str, way: InProcess) {
        self.ways.insert(member, way);
    }

    /// Starts a controller; another one each time.
    pub(crate) async fn start_controller(&mut self) -> CancellationToken {
        self.identity += 1;
        let stop = self.stop.child_token();
        let options = ControllerOptions {
            client: Client::new(self.host.router(), "default"),
            system_namespace: SYSTEM.to_owned(),
            identity: format!("controller-{}", self.identity),
            in_process: self.in_process(),
            clock: WallClock::following_tokio(self.clock.now()),
            plugins: ExecPlugins::default(),
            lease_times: None,
        };
        let controller = Controller::new(options, stop.clone())
            .await
            .expect("the host answers");
        self.metrics = Registry::default();
        controller.metrics().register(&mut self.metrics);
        tokio::spawn(controller.run());
        stop
    }

    /// How often the last controller that was started has looked at a federated object.
    pub(crate) fn reconciliations(&self) -> u64 {
        let mut text = String::new();
        encode(&mut text, &self.metrics).expect("a text takes all");
        let lines = text.lines();
        let counts = lines.filter(|line| line.starts_with("meridian_reconciliations_total{"));
        let count = |line: &str| {
            line.rsplit(' ')
                .next()
                .and_then(|count| count.parse::<u64>().ok())
        };
        counts.filter_map(count).sum()
    }

    /// What `meridian plan` would say of some manifests.
    pub(crate) async fn preview(&self, manifests: &[Value]) -> Preview {
        let options = PreviewOptions {
            client: Client::new(self.host.router(), "default"),
            system_namespace: SYSTEM.to_owned(),
            in_process: self.in_process(),
            clock: WallClock::following_tokio(self.clock.now()),
            plugins: ExecPlugins::default(),
            asked: Vec::new(),
        };
        preview(options, manifests).await.expect("the host answers")
    }

    fn in_process(&self) -> BTreeMap<ClusterName, InProcess> {
        let reached = self.members.iter().map(|(name, member)| {
            let way = self.ways.get(name).cloned();
            let reached = way.unwrap_or_else(|| InProcess::new(member.router()));
            ((*name).into(), reached)
        });
        reached.collect()
    }

    /// Creates or updates a federated object in `shop`.
    pub(crate) async fn federate(&self, kind: &str, name: &str, spec: Value) {
        let object = json!({"metadata": {"name": name, "namespace": "shop"}, "spec": spec});
        self.apply("host", with_type(TYPES, kind, object)).await;
    }

    /// A ConfigMap to every member.
    pub(crate) async fn federate_config_map(&self, name: &str, data: Value) {
        let spec = json!({"template": {"data": data}, "placement": {"clusterSelector": {}}});
        self.federate("FederatedConfigMap", name, spec).await;
    }

    /// Server-side applies an object as somebody who is not meridian.
    pub(crate) async fn apply(&self, cluster: &str, object: Value) {
        let object: DynamicObject = serde_json::from_value(object).expect("an object");
        let types = object.types.clone().expect("a typed object");
        let namespace = object.namespace().unwrap_or_default();
        let api = self.api(cluster, &types.api_version, &types.kind, &namespace);
        let parameters = PatchParams::apply("somebody").force();
        let applied = api
            .patch(&object.name_any(), &parameters, &Patch::Apply(&object))
            .await;
        applied.unwrap_or_else(|error| panic!("{} {}: {error}", types.kind, object.name_any()));
    }

    /// Creates an object as somebody who is not meridian.
    pub(crate) async fn create(&self, cluster: &str, object: Value) {
        let object: DynamicObject = serde_json::from_value(object).expect("an object");
        let types = object.types.clone().expect("a typed object");
        let namespace = object.namespace().unwrap_or_default();
        let api = self.api(cluster, &types.api_version, &types.kind, &namespace);
        api.create(&PostParams::default(), &object)
            .await
            .expect("created");
    }

    /// The same, where it can be.
    pub(crate) async fn try_create(&self, cluster: &str, object: Value) -> bool {
        let object: DynamicObject = serde_json::from_value(object).expect("an object");
        let types = object.types.clone().expect("a typed object");
        let namespace = object.namespace().unwrap_or_default();
        let api = self.api(cluster, &types.api_version, &types.kind, &namespace);
        api.create(&PostParams::default(), &object).await.is_ok()
    }

    /// Merge-patches an object as somebody who is not meridian.
    pub(crate) async fn patch(&self, cluster: &str, what: (&str, &str, &str, &str), patch: Value) {
        let (api_version, kind, namespace, name) = what;
        let api = self.api(cluster, api_version, kind, namespace);
        let parameters = PatchParams {
            field_manager: Some("somebody".to_owned()),
            ..PatchParams::default()
        };
        let patched = api.patch(name, &parameters, &Patch::Merge(&patch)).await;
        patched.unwrap_or_else(|error| panic!("{kind} {name}: {error}"));
    }

    /// Deletes an object.
    pub(crate) async fn delete(&self, cluster: &str, what: (&str, &str, &str, &str)) {
        let (api_version, kind, namespace, name) = what;
        let api = self.api(cluster, api_version, kind, namespace);
        let deleted = api.delete(name, &DeleteParams::default()).await;
        deleted.unwrap_or_else(|error| panic!("{kind} {name}: {error}"));
    }

    /// An object, where there is one; also while the cluster's API has a fault.
    pub(crate) async fn find(
        &self,
        cluster: &str,
        api_version: &str,
        kind: &str,
        namespace: &str,
        name: &str,
    ) -> Option<Value> {
        let cluster = self.cluster(cluster);
        let resource = cluster.resource(api_version, kind).ok()?;
        let object = cluster.get(&resource, namespace, name).ok()?;
        Some(object.value().clone())
    }

    /// A ConfigMap of `shop` in a member.
    pub(crate) async fn config_map(&self, member: &str, name: &str) -> Option<Value> {
        self.find(member, "v1", "ConfigMap", "shop", name).await
    }

    /// A ConfigMap's data in a member.
    pub(crate) async fn data(&self, member: &str, name: &str) -> Value {
        self.config_map(member, name)
            .await
            .map_or(Value::Null, |found| found["data"].clone())
    }

    /// The status of a federated ConfigMap of `shop`.
    pub(crate) async fn status(&self, name: &str) -> Value {
        let found = self
            .find("host", TYPES, "FederatedConfigMap", "shop", name)
            .await;
        found.map_or(Value::Null, |found| found["status"].clone())
    }

    /// What the status of a federated ConfigMap says of one cluster.
    pub(crate) async fn cluster_status(&self, name: &str, cluster: &str) -> Option<String> {
        let status = self.status(name).await;
        let mut clusters = status["clusters"].as_array()?.iter();
        let found = clusters.find(|entry| entry["name"] == cluster)?;
        Some(found["status"].as_str().unwrap_or_default().to_owned())
    }

    /// Whether the condition Propagation of a federated ConfigMap is True.
    pub(crate) async fn is_propagated(&self, name: &str) -> bool {
        let status = self.status(name).await;
        let mut conditions = status["conditions"].as_array().into_iter().flatten();
        conditions.any(|found| found["type"] == "Propagation" && found["status"] == "True")
    }

    /// Events on the host with this reason about an object of `shop`, by name.
    pub(crate) async fn events(&self, name: &str, reason: &str) -> Vec<Value> {
        let api = self.api("host", "events.k8s.io/v1", "Event", "shop");
        let listed = api.list(&ListParams::default()).await;
        let listed = listed.unwrap_or_else(|error| panic!("Events: {error}"));
        let about = listed
            .into_iter()
            .filter(|event| event.data["regarding"]["name"] == name)
            .filter(|event| event.data["reason"] == reason);
        let told = about.map(|event| serde_json::to_value(event).unwrap_or_default());
        told.collect()
    }

    /// Mutating requests of meridian that a cluster was sent; Leases, Events and the heartbeat of
    /// members' health apart.
    pub(crate) fn writes(&self, cluster: &str) -> Vec<String> {
        let apart = ["leases", "events", "kubefedclusters"];
        let counts = self.cluster(cluster).requests().counts();
        let writes = counts.into_iter().filter(|count| {
            count.kind.is_write()
                && count.kind.field_manager != "somebody"
                && !apart.contains(&count.kind.resource.as_str())
        });
        writes
            .map(|count| {
                let kind = count.kind;
                let code = kind.code;
                format!(
                    "{} {} {}/{} {code}",
                    count.count, kind.verb, kind.resource, kind.subresource
                )
            })
            .collect()
    }

    /// Forgets what clusters were asked.
    pub(crate) fn forget_requests(&self) {
        let all = std::iter::once(&self.host).chain(self.members.values());
        all.for_each(|cluster| cluster.requests().reset());
    }

    /// The time that a right clock shows.
    pub(crate) fn now(&self) -> Timestamp {
        self.clock.now()
    }

    /// Lets virtual time pass.
    pub(crate) async fn pass(&self, seconds: u64) {
        tokio::time::sleep(Duration::from_secs(seconds)).await;
    }

    /// Waits, in virtual time, until something is so; how long that took.
    pub(crate) async fn until(&self, what: &str, so: impl AsyncFn(&Self) -> bool) -> Duration {
        let began = tokio::time::Instant::now();
        while !so(self).await {
            assert!(
                began.elapsed() < PATIENCE,
                "not within {PATIENCE:?}: {what}"
            );
            tokio::time::sleep(LOOK).await;
        }
        began.elapsed()
    }

    fn cluster(&self, name: &str) -> &Cluster {
        match name {
            "host" => &self.host,
            name => &self.members[name],
        }
    }

    pub(crate) fn api(
        &self,
        cluster: &str,
        version: &str,
        kind: &str,
        namespace: &str,
    ) -> Api<DynamicObject> {
        let client = Client::new(self.cluster(cluster).router(), "default");
        let (group, version) = version.rsplit_once('/').unwrap_or(("", version));
        let resource = ApiResource::from_gvk(&GroupVersionKind::gvk(group, version, kind));
        match namespace {
            "" => Api::all_with(client, &resource),
            namespace => Api::namespaced_with(client, namespace, &resource),
        }
    }
}

impl Drop for World {
    fn drop(&mut self) {
        self.stop.cancel();
        self.workloads.clear();
    }
}

/// An object with its type.
pub(crate) fn with_type(api_version: &str, kind: &str, mut object: Value) -> Value {
    object["apiVersion"] = json!(api_version);
    object["kind"] = json!(kind);
    object
}
