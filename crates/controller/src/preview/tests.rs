//! The plan of a preview is the plan that the controller makes once the manifests are applied.

use super::*;
use crate::WallClock;
use crate::fleet;
use crate::wake::FederatedKey;
use kube::api::{Api, Patch, PatchParams};
use kube::core::{ApiResource, GroupVersionKind};
use model::ObjectKey;
use pocketkube::Cluster;
use pocketkube::cluster::ClusterOptions;
use std::time::Duration;
use tokio_util::sync::CancellationToken;

const SYSTEM: &str = "kube-federation-system";
const TYPES: &str = "types.kubefed.io/v1beta1";
const MEMBERS: [&str; 3] = ["a", "b", "c"];

/// A host that federates to three members, all of them Ready, and nobody who leads.
struct World {
    host: Cluster,
    members: BTreeMap<&'static str, Cluster>,
    stop: CancellationToken,
}

impl World {
    async fn new() -> Self {
        let cluster = |name: &str| Cluster::in_process(ClusterOptions::named(name));
        let world = Self {
            host: cluster("host"),
            members: MEMBERS.iter().map(|name| (*name, cluster(name))).collect(),
            stop: CancellationToken::new(),
        };
        for crd in api::crds() {
            let mut crd = json!(crd);
            crd["apiVersion"] = json!("apiextensions.k8s.io/v1");
            crd["kind"] = json!("CustomResourceDefinition");
            world.apply(&world.host, crd).await;
        }
        for name in [SYSTEM, "shop"] {
            let namespace = json!({"apiVersion": "v1", "kind": "Namespace",
                "metadata": {"name": name}});
            world.apply(&world.host, namespace.clone()).await;
            for member in world.members.values() {
                world.apply(member, namespace.clone()).await;
            }
        }
        for config in api::federated_type_configs(SYSTEM) {
            world.apply(&world.host, json!(config)).await;
        }
        for name in MEMBERS {
            world.register(name).await;
        }
        let everywhere = json!({"placement": {"clusterSelector": {}}});
        let namespace = federated("FederatedNamespace", "shop", everywhere);
        world.apply(&world.host, namespace).await;
        world
    }

    async fn register(&self, name: &str) {
        let mut member = json!({"apiVersion": "core.kubefed.io/v1beta1", "kind": "KubeFedCluster",
            "metadata": {"name": name, "namespace": SYSTEM, "labels": {"name": name}},
            "spec": {"apiEndpoint": format!("https://{name}.invalid"),
                "secretRef": {"name": name}}});
        self.apply(&self.host, member.clone()).await;
        let ready = json!({"type": "Ready", "status": "True", "reason": "ClusterReady",
            "lastTransitionTime": "2026-01-01T00:00:00Z"});
        member["status"] = json!({"conditions": [ready]});
        let api = api_of(&self.host, &member);
        let parameters = PatchParams::default();
        let patch = Patch::Merge(&member);
        let patched = api.patch_status(name, &parameters, &patch).await;
        patched.expect("a status");
    }

    /// Applies an object, and waits for nothing.
    async fn apply(&self, cluster: &Cluster, object: Value) {
        let name = object["metadata"]["name"].as_str().expect("a name");
        let parameters = PatchParams::apply("somebody").force();
        let applied = api_of(cluster, &object)
            .patch(name, &parameters, &Patch::Apply(&object))
            .await;
        applied.unwrap_or_else(|error| panic!("{object}: {error}"));
    }

    async fn preview(&self, manifests: &[Value]) -> Preview {
        let preview = preview(
            PreviewOptions {
                client: client(&self.host),
                system_namespace: SYSTEM.to_owned(),
                in_process: self.in_process(),
                clock: WallClock::System,
            },
            manifests,
        )
        .await
        .expect("the host answers");
        assert!(preview.refused.is_empty(), "{:?}", preview.refused);
        preview
    }

    /// What the controller plans of what the host holds now, from caches that watch.
    async fn controllers_plan(&self, type_name: &str, name: &str) -> Plan {
        let wake = Arc::new(Wake::new());
        let clock = WallClock::System;
        let stop = self.stop.child_token();
        let context = Arc::new(Context::new(Parts {
            host: Host::start(&client(&self.host), SYSTEM, &wake, &stop),
            members: Members::new(self.in_process(), clock),
            wake,
            leadership: Leadership::never(),
            clock,
            identity: "controller",
        }));
        context.host.ready().await;
        let fleet = tokio::spawn(fleet::run(Arc::clone(&context)));
        let key = FederatedKey {
            type_name: type_name.into(),
            object: ObjectKey::new("shop", name),
        };
        let health = Arc::new(Health::new());
        MEMBERS
            .iter()
            .for_each(|name| health.answered(&(*name).into()));
        loop {
            plan_once(&context, &health, &key.object).await;
            if let Reading::Input(read) = plan_input(&context, &key).await
                && read.input.observed.len() == MEMBERS.len()
                && read
                    .input
                    .observed
                    .values()
                    .all(|seen| *seen != Observed::Unknown)
            {
                fleet.abort();
                return plan(&read.input);
            }
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    }

    fn in_process(&self) -> BTreeMap<ClusterName, InProcess> {
        let members = self.members.iter();
        members
            .map(|(name, member)| ((*name).into(), InProcess::new(member.router())))
            .collect()
    }

    /// What the controller would have written: the plan's own objects, as its manager.
    async fn carry_out(&self, plan: &Plan) {
        for (name, step) in &plan.steps {
            let (Action::Create(write) | Action::Apply(write)) = &step.action else {
                continue;
            };
            let object = &write.object;
            let name_in_member = object["metadata"]["name"].as_str().expect("a name");
            let parameters = PatchParams::apply(FIELD_MANAGER).force();
            let applied = api_of(&self.members[name.as_str()], object)
                .patch(name_in_member, &parameters, &Patch::Apply(object))
                .await;
            applied.expect("applied");
        }
    }
}

impl Drop for World {
    fn drop(&mut self) {
        self.stop.cancel();
    }
}

fn client(cluster: &Cluster) -> Client {
    Client::new(cluster.router(), "default")
}

fn api_of(cluster: &Cluster, object: &Value) -> Api<DynamicObject> {
    let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
    let api_version = text(&object["apiVersion"]);
    let (group, version) = api_version.rsplit_once('/').unwrap_or(("", &api_version));
    let kind = GroupVersionKind::gvk(group, version, &text(&object["kind"]));
    let resource = ApiResource::from_gvk(&kind);
    match text(&object["metadata"]["namespace"]).as_str() {
        "" => Api::all_with(client(cluster), &resource),
        namespace => Api::namespaced_with(client(cluster), namespace, &resource),
    }
}

fn federated(kind: &str, name: &str, spec: Value) -> Value {
    json!({"apiVersion": TYPES, "kind": kind,
        "metadata": {"name": name, "namespace": "shop"}, "spec": spec})
}

fn config_map(data: Value, placement: Value) -> Value {
    let spec = json!({"template": {"data": data}, "placement": placement,
        "overrides": [{"clusterName": "b",
            "clusterOverrides": [{"path": "/data/colour", "value": "green"}]}]});
    federated("FederatedConfigMap", "settings", spec)
}

/// `cluster verb` of every step.
fn verbs(plan: &Plan) -> Vec<String> {
    let steps = plan.steps.iter();
    steps
        .map(|(name, step)| format!("{name} {}", step.action.verb()))
        .collect()
}

#[tokio::test(start_paused = true)]
async fn what_changes_is_planned_as_the_controller_plans_it() {
    let world = World::new().await;
    let everywhere = json!({"clusterSelector": {}});
    let first = config_map(json!({"colour": "blue", "old": "1"}), everywhere);
    world.apply(&world.host, first).await;
    let made = world.controllers_plan("configmaps", "settings").await;
    world.carry_out(&made).await;
    let theirs = json!({"apiVersion": "v1", "kind": "ConfigMap",
        "metadata": {"name": "settings", "namespace": "shop"}, "data": {"colour": "grey"}});
    world.apply(&world.members["a"], theirs).await;

    // `a` was changed by somebody, `b` follows the template, `c` is left.
    let some = json!({"clusters": [{"name": "a"}, {"name": "b"}]});
    let second = config_map(json!({"colour": "blue"}), some);
    let shown = world.preview(std::slice::from_ref(&second)).await;
    let object = &shown.objects[0];
    assert_eq!(object.host, HostChange::Update);
    assert_eq!(verbs(&object.plan), ["a apply", "b apply", "c delete"]);
    let changes = |name: &str| -> Vec<String> {
        let changes = object.changes[name].iter();
        changes.map(|change| change.path.to_string()).collect()
    };
    assert_eq!(changes("a"), [".data.colour", ".data.old"]);
    assert_eq!(changes("b"), [".data.old"]);

    world.apply(&world.host, second.clone()).await;
    let planned = world.controllers_plan("configmaps", "settings").await;
    assert_eq!(object.plan, planned);
    world.carry_out(&planned).await;
    let after = &world.preview(&[second]).await.objects[0];
    assert_eq!(after.host, HostChange::None);
    assert_eq!(verbs(&after.plan), ["a nothing", "b nothing", "c delete"]);
}

#[tokio::test(start_paused = true)]
async fn replicas_are_divided_as_the_controller_divides_them() {
    let world = World::new().await;
    let spec = json!({"template": {"spec": {"replicas": 1,
        "selector": {"matchLabels": {"app": "web"}},
        "template": {"metadata": {"labels": {"app": "web"}},
            "spec": {"containers": [{"name": "web", "image": "web:1"}]}}}}});
    let deployment = federated("FederatedDeployment", "web", spec);
    world.apply(&world.host, deployment.clone()).await;
    let preference = json!({"apiVersion": "scheduling.kubefed.io/v1alpha1",
        "kind": "ReplicaSchedulingPreference",
        "metadata": {"name": "web", "namespace": "shop"},
        "spec": {"targetKind": "FederatedDeployment", "totalReplicas": 7,
            "clusters": {"a": {"weight": 3}, "b": {"weight": 2}, "c": {"weight": 1}}}});

    // The preference alone: its target is on the host already.
    let shown = world.preview(std::slice::from_ref(&preference)).await;
    let object = &shown.objects[0];
    assert_eq!((object.manifest, object.host), (None, HostChange::None));
    let replicas = object.replicas.as_ref().expect("divided");
    let shares: i64 = replicas
        .status
        .clusters
        .iter()
        .map(|share| share.replicas)
        .sum();
    assert_eq!(shares, 7);

    world.apply(&world.host, preference).await;
    let planned = world.controllers_plan("deployments.apps", "web").await;
    assert_eq!(object.plan, planned);
    assert_eq!(verbs(&planned), ["a create", "b create", "c create"]);
}

#[tokio::test(start_paused = true)]
async fn what_is_new_is_planned_with_its_namespace_from_the_same_files() {
    let world = World::new().await;
    let mut namespace = federated(
        "FederatedNamespace",
        "blog",
        json!({"placement":
        {"clusters": [{"name": "a"}, {"name": "b"}]}}),
    );
    let everywhere = json!({"clusterSelector": {}});
    let mut config = config_map(json!({"colour": "blue"}), everywhere);
    for object in [&mut namespace, &mut config] {
        object["metadata"]["namespace"] = json!("blog");
    }
    let shown = world.preview(&[namespace, config]).await;
    let [namespace, config] = shown.objects.as_slice() else {
        panic!("{shown:?}");
    };
    assert_eq!(verbs(&namespace.plan), ["a create", "b create"]);
    assert_eq!(verbs(&config.plan), ["a create", "b create"]);
    assert_eq!(config.host, HostChange::Create);
    let Action::Create(write) = &config.plan.steps["a"].action else {
        panic!("{:?}", config.plan);
    };
    assert_eq!(write.hash, KNOWN_AFTER_APPLY);
}

#[tokio::test(start_paused = true)]
async fn a_member_that_does_not_answer_is_named_and_its_part_is_not_known() {
    let world = World::new().await;
    let hung = pocketkube::ApiState::Hung;
    world.members["b"].faults().set_api(hung);
    let everywhere = json!({"clusterSelector": {}});
    let config = config_map(json!({"colour": "blue"}), everywhere);
    let shown = world.preview(&[config]).await;
    let silent: Vec<&str> = shown.silent.keys().map(ClusterName::as_str).collect();
    assert_eq!(silent, ["b"]);
    let object = &shown.objects[0];
    assert_eq!(verbs(&object.plan), ["a create", "b hold", "c create"]);
    assert_eq!(
        object.unknown["b"],
        "it does not answer: no answer within 5 s"
    );
}

#[tokio::test(start_paused = true)]
async fn somebody_elses_object_is_met_before_any_write() {
    let world = World::new().await;
    let theirs = json!({"apiVersion": "v1", "kind": "ConfigMap",
        "metadata": {"name": "settings", "namespace": "shop"}, "data": {"colour": "grey"}});
    world.apply(&world.members["a"], theirs).await;
    let everywhere = json!({"clusterSelector": {}});
    let config = config_map(json!({"colour": "blue"}), everywhere);
    let shown = world.preview(std::slice::from_ref(&config)).await;
    assert_eq!(
        verbs(&shown.objects[0].plan),
        ["a hold", "b create", "c create"]
    );
    let adopting = json!({"apiVersion": "core.kubefed.io/v1beta1", "kind": "KubeFedConfig",
        "metadata": {"name": "kubefed", "namespace": SYSTEM},
        "spec": {"syncController": {"adoptResources": "Enabled"}}});
    let shown = world.preview(&[adopting, config]).await;
    assert_eq!(
        verbs(&shown.objects[0].plan),
        ["a apply", "b create", "c create"]
    );
}

#[tokio::test(start_paused = true)]
async fn what_cannot_be_planned_is_refused_and_says_what_to_do() {
    let world = World::new().await;
    let manifests = [
        json!({"apiVersion": "apps/v1", "kind": "Deployment", "metadata": {"name": "x"}}),
        json!({"apiVersion": TYPES, "kind": "FederatedConfigmap", "metadata": {"name": "x"}}),
        json!({"apiVersion": "types.kubefed.io/v1", "kind": "FederatedSecret",
            "metadata": {"name": "x"}}),
        federated(
            "FederatedSecret",
            "x",
            json!({"placement": {"cluster": []}}),
        ),
    ];
    let options = PreviewOptions {
        client: client(&world.host),
        system_namespace: SYSTEM.to_owned(),
        in_process: world.in_process(),
        clock: WallClock::System,
    };
    let shown = preview(options, &manifests)
        .await
        .expect("the host answers");
    let said: Vec<String> = shown
        .refused
        .iter()
        .map(|it| it.error.to_string())
        .collect();
    assert_eq!(
        said,
        [
            "Deployment is not federated: put it into the spec.template of a FederatedDeployment \
             (types.kubefed.io/v1beta1), or leave it out",
            "FederatedConfigmap is not federated: did you mean FederatedConfigMap? no \
             FederatedTypeConfig is for FederatedConfigmap; those of the host are for \
             FederatedConfigMap, FederatedDeployment, FederatedNamespace, FederatedSecret, \
             FederatedService",
            "apiVersion: FederatedSecret is served as types.kubefed.io/v1beta1",
            "spec.placement.cluster: unknown field, did you mean clusters? known are clusters, \
             clusterSelector",
        ]
    );
    assert!(shown.objects.is_empty());
}

#[tokio::test(start_paused = true)]
async fn nothing_is_written_anywhere() {
    let world = World::new().await;
    let clusters: Vec<&Cluster> = std::iter::once(&world.host)
        .chain(world.members.values())
        .collect();
    clusters
        .iter()
        .for_each(|cluster| cluster.requests().reset());
    let everywhere = json!({"clusterSelector": {}});
    let config = config_map(json!({"colour": "blue"}), everywhere);
    let shown = world.preview(&[config]).await;
    assert_eq!(shown.objects[0].plan.steps.len(), MEMBERS.len());
    for cluster in clusters {
        let counts = cluster.requests().counts();
        assert!(!counts.is_empty() && counts.iter().all(|count| !count.kind.is_write()));
    }
}
