//! The servers that the cases speak to, each started once per run.

use std::path::{Path, PathBuf};
use std::sync::{LazyLock, OnceLock};
use std::time::Duration;

use kube::config::{KubeConfigOptions, Kubeconfig};
use meridian_tests::control_plane::{self, ControlPlane, Controllers, Extent};
use pocketkube::workloads::NodeOptions;
use pocketkube::{Authorization, Fleet, FleetOptions};

use crate::run::RUNTIME;

/// A server, and how to speak to it.
pub(crate) struct Server {
    pub(crate) kubeconfig_path: PathBuf,
    /// With an administrator's credentials.
    pub(crate) administrator: kube::Client,
    /// Without credentials.
    pub(crate) anonymous: kube::Client,
}

/// The fleet of one, which every case shares.
pub(crate) fn pocketkube() -> &'static Server {
    static SERVER: LazyLock<Server> = LazyLock::new(|| RUNTIME.block_on(start_pocketkube()));
    &SERVER
}

/// The control plane that every case shares, or why there is none.
pub(crate) fn real(extent: Extent) -> Result<&'static Server, String> {
    static SERVER: LazyLock<Server> = LazyLock::new(|| RUNTIME.block_on(start_real()));
    let Some(assets) = control_plane::assets() else {
        return Err(
            "skipped on a real control plane: KUBEBUILDER_ASSETS is unset (a folder with etcd, \
             kube-apiserver, kube-controller-manager, kube-scheduler)"
                .to_owned(),
        );
    };
    if let Err(missing) = control_plane::complete(&assets, extent) {
        let assets = assets.display();
        return Err(format!(
            "skipped cases that need {extent:?} on a real control plane: {assets} has no {missing}"
        ));
    }
    Ok(&SERVER)
}

/// pocketkube's API with the real kube-controller-manager and kube-scheduler, which every case of
/// workloads shares, or why there is none.
pub(crate) fn under_controllers() -> Result<&'static Server, String> {
    static SERVER: LazyLock<Server> = LazyLock::new(|| RUNTIME.block_on(start_under_controllers()));
    let assets = control_plane::assets();
    let complete = |assets: PathBuf| control_plane::complete(&assets, Extent::Workloads).is_ok();
    if !assets.is_some_and(complete) {
        return Err(
            "skipped on pocketkube under the real controllers: KUBEBUILDER_ASSETS names no folder \
             with kube-controller-manager and kube-scheduler"
                .to_owned(),
        );
    }
    Ok(&SERVER)
}

async fn start_real() -> Server {
    // It lives as long as the process, and its processes end with us.
    static PLANE: OnceLock<ControlPlane> = OnceLock::new();
    let assets = control_plane::assets().unwrap();
    let workloads = control_plane::complete(&assets, Extent::Workloads).is_ok();
    let extent = if workloads {
        Extent::Workloads
    } else {
        Extent::ApiServer
    };
    let plane = ControlPlane::start("conformance", extent, &assets).await;
    let plane = PLANE.get_or_init(|| plane);
    Server::new(plane.kubeconfig(), plane.kubeconfig_path()).await
}

async fn start_under_controllers() -> Server {
    // They live as long as the process, and their processes end with us.
    static CONTROLLERS: OnceLock<(Fleet, Controllers)> = OnceLock::new();
    let assets = control_plane::assets().unwrap();
    let mut options = fleet_of_one("controlled");
    options.clusters[0].workloads = None;
    let fleet = Fleet::start(options).await.unwrap();
    let cluster = fleet.cluster("controlled");
    let controllers = Controllers::on_pocketkube(cluster, &assets).await;
    let kept = CONTROLLERS.get_or_init(|| (fleet, controllers));
    let cluster = kept.0.cluster("controlled");
    let path = cluster.kubeconfig_path().unwrap();
    Server::new(&cluster.kubeconfig(), path).await
}

async fn start_pocketkube() -> Server {
    // It lives as long as the process.
    static FLEET: OnceLock<Fleet> = OnceLock::new();
    let mut options = fleet_of_one("conformance");
    if let Some(workloads) = &mut options.clusters[0].workloads {
        workloads.nodes = ["node-1", "node-2"].map(NodeOptions::named).to_vec();
        workloads.autoscale_every = Duration::from_secs(1);
        // Forty seconds would be long for a test.
        workloads.node_grace = Duration::from_secs(5);
    }
    let fleet = Fleet::start(options).await.unwrap();
    let cluster = FLEET.get_or_init(|| fleet).cluster("conformance");
    let path = cluster.kubeconfig_path().unwrap();
    Server::new(&cluster.kubeconfig(), path).await
}

fn fleet_of_one(name: &str) -> FleetOptions {
    let mut options = FleetOptions::named([name]);
    // Nobody removes what a static leaves, so it is left where Cargo keeps such things.
    let folder = format!(
        "{}/{name}-{}",
        env!("CARGO_TARGET_TMPDIR"),
        std::process::id()
    );
    options.folder = Some(PathBuf::from(folder));
    // As the real one does.
    options.clusters[0].authorization = Authorization::Rbac;
    options
}

impl Server {
    async fn new(kubeconfig: &str, kubeconfig_path: &Path) -> Self {
        let parsed = Kubeconfig::from_yaml(kubeconfig).unwrap();
        let options = KubeConfigOptions::default();
        let mut config = kube::Config::from_custom_kubeconfig(parsed, &options)
            .await
            .unwrap();
        config.default_retry = false;
        let administrator = kube::Client::try_from(config.clone()).unwrap();
        config.auth_info = kube::config::AuthInfo::default();
        let anonymous = kube::Client::try_from(config).unwrap();
        Self {
            kubeconfig_path: kubeconfig_path.to_owned(),
            administrator,
            anonymous,
        }
    }
}
