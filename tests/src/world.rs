//! A federation as a user has it: a host, members that joined, and the binary that runs.
//!
//! The clusters are of one of two [`Kind`]s, and what is said here holds on both. meridian itself is
//! always the real binary, in processes of its own.
//!
//! # Guarantees
//! Whatever waits, waits on a watch and for a bounded time, and then says what it saw last. All
//! processes end when the world is dropped or this process ends.

mod cluster;
mod clusters;
mod product;

pub use cluster::{Cluster, ObjectRef, PATIENCE, Refusal};
pub use clusters::{ApiFault, Kind};
pub use product::{Meridian, Run};

use clusters::Clusters;
use futures::future::join_all;
use futures::{StreamExt, stream};
use k8s_openapi::api::authentication::v1::TokenRequest;
use k8s_openapi::api::core::v1::ServiceAccount;
use kube::api::{Api, PostParams};
use kube::config::Kubeconfig;
use serde_json::{Value, json};
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

/// Namespace of meridian's own objects.
pub const SYSTEM: &str = "kube-federation-system";
/// `apiVersion` of federated objects.
pub const TYPES: &str = "types.kubefed.io/v1beta1";
/// `apiVersion` of KubeFedCluster, KubeFedConfig and FederatedTypeConfig.
pub const CORE: &str = "core.kubefed.io/v1beta1";
/// `apiVersion` of ReplicaSchedulingPreference.
pub const SCHEDULING: &str = "scheduling.kubefed.io/v1alpha1";
/// `apiVersion` of MemberTombstone.
pub const FEDERATION: &str = "federation.meridian.dev/v1alpha1";
/// `apiVersion` of Zone, GlobalService and ProbeReport.
pub const GSLB: &str = "gslb.meridian.dev/v1alpha1";
/// The host's name.
pub const HOST: &str = "host";

/// A member to be.
#[derive(Clone, Copy, Debug)]
pub struct Site {
    /// Its name, which is its label `site` too.
    pub name: &'static str,
    /// Its region.
    pub region: &'static str,
    /// Its city, which is its failure domain.
    pub city: &'static str,
    /// Latitude and longitude.
    pub location: &'static str,
}

/// What a world is made of.
#[derive(Clone, Debug)]
pub struct WorldOptions {
    /// Of what kind the clusters are.
    pub kind: Kind,
    /// The binary `meridian`.
    pub binary: PathBuf,
    /// The members.
    pub sites: Vec<Site>,
    /// The spec of the KubeFedConfig.
    pub settings: Value,
}

/// A host, members, and a controller unless it was taken.
pub struct World {
    kind: Kind,
    binary: PathBuf,
    sites: Vec<Site>,
    host: Cluster,
    members: BTreeMap<String, Cluster>,
    clusters: Clusters,
    controller: Mutex<Option<Meridian>>,
    /// Logs of every process, for a scenario that fails.
    logs: Mutex<Vec<PathBuf>>,
}

impl World {
    /// Starts the clusters and installs what `crds/` holds; [`Self::restore`] does the rest.
    ///
    /// # Panics
    /// When anything of that does not come about.
    pub async fn furnished(options: WorldOptions) -> Self {
        let names: Vec<&str> = options.sites.iter().map(|site| site.name).collect();
        let clusters = Clusters::start(options.kind, HOST, &names).await;
        let host = Cluster::of(HOST, clusters.kubeconfig(HOST)).await;
        let mut members = BTreeMap::new();
        for name in names {
            let member = Cluster::of(name, clusters.kubeconfig(name)).await;
            members.insert(name.to_owned(), member);
        }
        let world = Self {
            kind: options.kind,
            binary: options.binary,
            sites: options.sites,
            host,
            members,
            clusters,
            controller: Mutex::default(),
            logs: Mutex::default(),
        };
        world.install(&options.settings).await;
        world
    }

    /// Of what kind the clusters are.
    #[must_use]
    pub fn kind(&self) -> Kind {
        self.kind
    }

    /// The host.
    #[must_use]
    pub fn host(&self) -> &Cluster {
        &self.host
    }

    /// A member.
    ///
    /// # Panics
    /// When there is none of that name: the names are the caller's own.
    #[must_use]
    pub fn member(&self, name: &str) -> &Cluster {
        &self.members[name]
    }

    /// All members, by name.
    pub fn members(&self) -> impl Iterator<Item = &Cluster> {
        self.members.values()
    }

    /// A certificate of an administrator of a member, and its key, in PEM.
    #[must_use]
    pub fn client_certificate(&self, member: &str) -> (String, String) {
        self.clusters.client_certificate(member)
    }

    /// Puts a fault into the API of a member, or of [`HOST`].
    ///
    /// # Panics
    /// When the fault is there already.
    pub fn break_api(&mut self, cluster: &str, fault: ApiFault) {
        self.clusters.break_api(cluster, fault);
    }

    /// Makes every answer of a member's API that much slower; only pocketkube can.
    ///
    /// # Panics
    /// On real control planes.
    pub fn slow_api(&self, member: &str, delay: Duration) {
        self.clusters.slow_api(member, delay);
    }

    /// Takes it away; the API answers when this returns.
    ///
    /// # Panics
    /// When it does not come back.
    pub async fn mend_api(&mut self, cluster: &str) {
        self.clusters.mend_api(cluster).await;
    }

    /// Stops the load balancers of a member; only pocketkube has some.
    ///
    /// # Panics
    /// On real control planes.
    pub fn break_data_plane(&self, member: &str) {
        let down = pocketkube::DataPlaneState::Down;
        self.clusters.set_data_plane(member, down);
    }

    /// Starts them again.
    ///
    /// # Panics
    /// On real control planes.
    pub fn mend_data_plane(&self, member: &str) {
        let up = pocketkube::DataPlaneState::Up;
        self.clusters.set_data_plane(member, up);
    }

    /// Starts `meridian run` against the host.
    ///
    /// # Panics
    /// When its console does not answer.
    pub async fn run(&self, run: &Run) -> Meridian {
        let meridian = Meridian::start(&self.binary, self.host.kubeconfig(), run);
        self.logs().push(meridian.log().to_owned());
        meridian.listens().await;
        meridian
    }

    /// Starts a controller of this name and waits until it leads.
    ///
    /// # Panics
    /// When it does not.
    pub async fn lead(&self, name: &str) -> Meridian {
        let meridian = self.run(&Run::controller(name)).await;
        self.until_leads(name).await;
        meridian
    }

    /// Waits until the process of this name holds the Lease.
    ///
    /// # Panics
    /// When it does not.
    pub async fn until_leads(&self, name: &str) {
        let lease = ObjectRef::new("coordination.k8s.io/v1", "Lease", SYSTEM, LEASE);
        let what = format!("{name} leads");
        let prefix = format!("{name}_");
        self.host
            .until(&lease, &what, |lease| {
                lease["spec"]["holderIdentity"]
                    .as_str()
                    .is_some_and(|holder| holder.starts_with(&prefix))
            })
            .await;
    }

    /// The world's own controller, from now on in the scenario's hands.
    ///
    /// # Panics
    /// When it was taken already.
    pub fn take_controller(&self) -> Meridian {
        self.own().take().expect("it was not taken")
    }

    /// Gives the world a controller of its own again.
    pub fn give_controller(&self, controller: Meridian) {
        *self.own() = Some(controller);
    }

    /// Merges into the spec of the KubeFedConfig.
    ///
    /// # Panics
    /// When the host refuses it.
    pub async fn change_settings(&self, spec: Value) {
        let config = ObjectRef::new(CORE, "KubeFedConfig", SYSTEM, "kubefed");
        self.host.patch(&config, json!({"spec": spec})).await;
    }

    /// Makes the world as it was: every API answers, every member has joined, one controller runs,
    /// every member is Ready and none is drained.
    ///
    /// # Panics
    /// When it does not become so.
    pub async fn restore(&mut self) {
        let names: Vec<String> = self.members.keys().cloned().collect();
        self.clusters.mend_api(HOST).await;
        for name in &names {
            self.clusters.mend_api(name).await;
        }
        let joining = self.sites.iter().map(|site| self.join(site));
        stream::iter(joining)
            .buffer_unordered(JOINING_MAX)
            .collect::<()>()
            .await;
        if self.own().is_none() {
            let controller = self.lead("controller").await;
            *self.own() = Some(controller);
        }
        for name in &names {
            self.until_ready(name).await;
            self.command(&["uncordon", name]).await;
        }
    }

    /// Waits until a member is Ready.
    ///
    /// # Panics
    /// When it does not become so.
    pub async fn until_ready(&self, member: &str) {
        self.until_condition(member, "Ready", "True").await;
    }

    /// Waits until the KubeFedCluster of a member has a condition, and returns that.
    ///
    /// # Panics
    /// When it does not get it.
    pub async fn until_condition(&self, member: &str, kind: &str, status: &str) -> Value {
        let cluster = ObjectRef::new(CORE, "KubeFedCluster", SYSTEM, member);
        let what = format!("{kind} is {status}");
        let found = self
            .host
            .until(&cluster, &what, |cluster| {
                condition(cluster, kind)["status"] == status
            })
            .await;
        condition(&found, kind).clone()
    }

    /// Namespace `name` on the host and in every member.
    ///
    /// # Panics
    /// When it does not get there.
    pub async fn federate_namespace(&self, name: &str) {
        let namespace =
            json!({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": name}});
        self.host.apply(namespace).await;
        let everywhere = json!({"placement": {"clusterSelector": {}}});
        self.federate("FederatedNamespace", name, name, everywhere)
            .await;
        let there = ObjectRef::new("v1", "Namespace", "", name);
        for member in self.members() {
            member.until(&there, "it is there", |_| true).await;
        }
    }

    /// Applies a federated object as a user does.
    ///
    /// # Panics
    /// When the host refuses it.
    pub async fn federate(&self, kind: &str, namespace: &str, name: &str, spec: Value) -> Value {
        self.host
            .apply(json!({
                "apiVersion": TYPES, "kind": kind,
                "metadata": {"namespace": namespace, "name": name}, "spec": spec,
            }))
            .await
    }

    /// Federates a Deployment to every member, with one container and no word on its replicas.
    ///
    /// # Panics
    /// When the host refuses it.
    pub async fn federate_deployment(&self, namespace: &str, name: &str) -> Value {
        let labels = json!({"app": name});
        let pod = json!({"metadata": {"labels": labels},
            "spec": {"containers": [{"name": name, "image": "web:1"}]}});
        let spec = json!({"template": {"spec": {
                "selector": {"matchLabels": labels}, "template": pod}},
            "placement": {"clusterSelector": {}}});
        self.federate("FederatedDeployment", namespace, name, spec)
            .await
    }

    /// Waits until every member of its placement holds a federated object as it is now.
    ///
    /// # Panics
    /// When the status does not come to say so.
    pub async fn until_propagated(&self, kind: &str, namespace: &str, name: &str) {
        let federated = ObjectRef::new(TYPES, kind, namespace, name);
        self.host
            .until(&federated, "it is propagated", |object| {
                object["status"]["observedGeneration"] == object["metadata"]["generation"]
                    && condition(object, "Propagation")["status"] == "True"
            })
            .await;
    }

    /// Runs a command of the binary against the host; what it printed to stdout.
    ///
    /// # Panics
    /// When it fails, with what it printed.
    pub async fn command(&self, arguments: &[&str]) -> String {
        product::command(&self.binary, self.host.kubeconfig(), arguments).await
    }

    /// The same, of one that is to fail; what it says on stderr.
    ///
    /// # Panics
    /// When it does not fail.
    pub async fn failing_command(&self, arguments: &[&str]) -> String {
        product::failing_command(&self.binary, self.host.kubeconfig(), arguments).await
    }

    /// The same, however it ends: its exit code, stdout and stderr.
    ///
    /// # Panics
    /// When it does not end.
    pub async fn ended_command(&self, arguments: &[&str]) -> (Option<i32>, String, String) {
        product::ended_command(&self.binary, self.host.kubeconfig(), arguments).await
    }

    /// The same, as somebody with another kubeconfig of the host.
    ///
    /// # Panics
    /// When it does not end.
    pub async fn command_as(
        &self,
        kubeconfig: &Path,
        arguments: &[&str],
    ) -> (Option<i32>, String, String) {
        product::ended_command(&self.binary, kubeconfig, arguments).await
    }

    /// The binary.
    #[must_use]
    pub fn binary(&self) -> &Path {
        &self.binary
    }

    /// The ends of the logs of all processes that ran, for a scenario that failed.
    #[must_use]
    pub fn log_tails(&self) -> String {
        let logs = self.logs();
        let tails = logs.iter().map(|log| product::tail(log));
        tails.collect::<Vec<_>>().join("\n")
    }

    /// Joins a member once more, as who renews its credentials does.
    ///
    /// # Panics
    /// When that fails.
    pub async fn join_again(&self, member: &str) {
        let site = self.sites.iter().find(|site| site.name == member);
        self.join(site.expect("a member's name")).await;
    }

    /// Writes a kubeconfig of the host with a token of a service account.
    ///
    /// # Panics
    /// When there is no such account, or the file cannot be written.
    pub async fn write_kubeconfig_of(&self, namespace: &str, account: &str, path: &Path) {
        let accounts = Api::<ServiceAccount>::namespaced(self.host.client().clone(), namespace);
        let (parameters, request) = (PostParams::default(), TokenRequest::default());
        let token = accounts
            .create_token_request(account, &parameters, &request)
            .await
            .expect("the account is there")
            .status
            .expect("a token")
            .token;
        let mut kubeconfig = Kubeconfig::read_from(self.host.kubeconfig()).expect("a kubeconfig");
        for user in &mut kubeconfig.auth_infos {
            user.auth_info = serde_json::from_value(json!({"token": token})).expect("a user");
        }
        let text = serde_json::to_string(&kubeconfig).expect("JSON is YAML");
        std::fs::write(path, text).expect("the folder can be written");
    }

    async fn install(&self, settings: &Value) {
        let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../crds");
        let definitions = manifests(&folder);
        join_all(definitions.iter().map(|crd| self.host.apply(crd.clone()))).await;
        for crd in &definitions {
            let name = crd["metadata"]["name"].as_str().unwrap_or_default();
            let at = ObjectRef::of(crd);
            let what = format!("{name} is served");
            self.host
                .until(&at, &what, |crd| {
                    condition(crd, "Established")["status"] == "True"
                })
                .await;
        }
        self.host
            .apply(json!({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": SYSTEM}}))
            .await;
        let mut rest = manifests(&folder.join("types"));
        rest.push(json!({
            "apiVersion": CORE, "kind": "KubeFedConfig",
            "metadata": {"namespace": SYSTEM, "name": "kubefed"}, "spec": settings,
        }));
        for object in rest {
            self.host.apply_once_served(object).await;
        }
    }

    async fn join(&self, site: &Site) {
        let member = self.member(site.name).kubeconfig().display().to_string();
        let label = format!("site={}", site.name);
        self.command(&[
            "join",
            site.name,
            "--cluster-kubeconfig",
            &member,
            "--region",
            site.region,
            "--city",
            site.city,
            "--location",
            site.location,
            "--label",
            &label,
            "--least-privilege=false",
        ])
        .await;
    }

    fn own(&self) -> MutexGuard<'_, Option<Meridian>> {
        self.controller
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
    }

    fn logs(&self) -> MutexGuard<'_, Vec<PathBuf>> {
        self.logs.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// How many members join at once: each does so by a process of its own.
const JOINING_MAX: usize = 8;
/// The Lease of the leader.
const LEASE: &str = "meridian-controller";

/// A condition of an object's status; null when it has none of that type.
#[must_use]
pub fn condition<'a>(object: &'a Value, kind: &str) -> &'a Value {
    let mut conditions = object["status"]["conditions"]
        .as_array()
        .into_iter()
        .flatten();
    conditions
        .find(|condition| condition["type"] == kind)
        .unwrap_or(&Value::Null)
}

/// What a federated object's status says of one cluster; null when it says nothing.
#[must_use]
pub fn in_cluster<'a>(federated: &'a Value, cluster: &str) -> &'a Value {
    let mut clusters = federated["status"]["clusters"]
        .as_array()
        .into_iter()
        .flatten();
    clusters
        .find(|entry| entry["name"] == cluster)
        .unwrap_or(&Value::Null)
}

/// The manifests in a folder, one a file, by name.
///
/// # Panics
/// When the folder is not there, or a file does not read.
pub fn manifests(folder: &Path) -> Vec<Value> {
    let entries = std::fs::read_dir(folder).expect("the folder is in the repository");
    let mut files: Vec<PathBuf> = entries
        .map(|entry| entry.expect("a readable folder").path())
        .filter(|path| path.extension().is_some_and(|ending| ending == "yaml"))
        .collect();
    files.sort();
    let read = |path: &PathBuf| {
        let text = std::fs::read_to_string(path).expect("a readable file");
        serde_saphyr::from_str(&text).unwrap_or_else(|why| panic!("{}: {why}", path.display()))
    };
    files.iter().map(read).collect()
}
