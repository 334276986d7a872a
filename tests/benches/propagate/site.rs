//! A host and three members, of either kind, and the controller between them.

use crate::furnish::furnish;
use crate::{MEMBERS, Result};
use controller::{Controller, ControllerOptions, ExecPlugins, WallClock};
use kube::config::{KubeConfigOptions, Kubeconfig};
use kube::{Client, Config};
use meridian_tests::control_plane::{self, ControlPlane, Extent};
use pocketkube::{Fleet, FleetOptions};
use std::collections::BTreeMap;
use std::fmt;
use tokio_util::sync::{CancellationToken, DropGuard};

const HOST: &str = "host";
/// Where meridian keeps its own objects.
pub(crate) const SYSTEM_NAMESPACE: &str = "kube-federation-system";

/// What the clusters are.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Members {
    /// Simulated ones, in this process.
    Pocketkube,
    /// etcd and kube-apiserver each, on this machine.
    Real,
}

impl Members {
    /// Both, or the one that is named.
    pub(crate) fn chosen(arguments: &[String]) -> Vec<Self> {
        let both = [Self::Pocketkube, Self::Real];
        let is_named = |members: &Self| arguments.contains(&members.to_string());
        let named: Vec<Self> = both.into_iter().filter(is_named).collect();
        match named.is_empty() {
            true => both.to_vec(),
            false => named,
        }
    }
}

impl fmt::Display for Members {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Pocketkube => "pocketkube",
            Self::Real => "real",
        })
    }
}

/// The clusters and a controller that runs.
pub(crate) struct Site {
    pub(crate) clusters: Clusters,
    pub(crate) host: Client,
    pub(crate) members: BTreeMap<&'static str, Client>,
    _stop: DropGuard,
}

/// What keeps the clusters alive.
pub(crate) enum Clusters {
    Pocketkube(Fleet),
    Real(BTreeMap<&'static str, ControlPlane>),
}

impl Site {
    /// Starts the clusters and the controller, and waits until it serves the members; or says why
    /// there are no such clusters.
    pub(crate) async fn start(members: Members) -> Result<std::result::Result<Self, String>> {
        let clusters = match members {
            Members::Pocketkube => pocketkube().await?,
            Members::Real => match real().await {
                Ok(clusters) => clusters,
                Err(why) => return Ok(Err(why)),
            },
        };
        let host = client(&clusters.kubeconfig(HOST)).await?;
        let mut members = BTreeMap::new();
        let mut kubeconfigs = BTreeMap::new();
        for name in MEMBERS {
            let kubeconfig = clusters.kubeconfig(name);
            members.insert(name, client(&kubeconfig).await?);
            kubeconfigs.insert(name, kubeconfig);
        }
        furnish(&host, &kubeconfigs).await?;
        let stop = start_controller(client(&clusters.kubeconfig(HOST)).await?).await?;
        Ok(Ok(Self {
            clusters,
            host,
            members,
            _stop: stop,
        }))
    }
}

impl Clusters {
    fn kubeconfig(&self, name: &str) -> String {
        match self {
            Self::Pocketkube(fleet) => fleet.cluster(name).kubeconfig(),
            Self::Real(planes) => planes[name].kubeconfig().to_owned(),
        }
    }

    /// The host, where it is pocketkube's.
    pub(crate) fn pocketkube_host(&self) -> Option<&pocketkube::Cluster> {
        match self {
            Self::Pocketkube(fleet) => Some(fleet.cluster(HOST)),
            Self::Real(_) => None,
        }
    }
}

async fn pocketkube() -> Result<Clusters> {
    let names = std::iter::once(HOST).chain(MEMBERS);
    Ok(Clusters::Pocketkube(
        Fleet::start(FleetOptions::named(names)).await?,
    ))
}

async fn real() -> std::result::Result<Clusters, String> {
    let Some(assets) = control_plane::assets() else {
        return Err(
            "skipped on real control planes: KUBEBUILDER_ASSETS is unset (a folder with etcd and \
             kube-apiserver)"
                .to_owned(),
        );
    };
    control_plane::complete(&assets, Extent::ApiServer).map_err(|missing| {
        let assets = assets.display();
        format!("skipped on real control planes: {assets} has no {missing}")
    })?;
    let mut planes = BTreeMap::new();
    for name in std::iter::once(HOST).chain(MEMBERS) {
        let plane = ControlPlane::start(name, Extent::ApiServer, &assets).await;
        planes.insert(name, plane);
    }
    Ok(Clusters::Real(planes))
}

async fn client(kubeconfig: &str) -> Result<Client> {
    let kubeconfig = Kubeconfig::from_yaml(kubeconfig)?;
    let options = KubeConfigOptions::default();
    let mut config = Config::from_custom_kubeconfig(kubeconfig, &options).await?;
    config.default_retry = false;
    Ok(Client::try_from(config)?)
}

async fn start_controller(host: Client) -> Result<DropGuard> {
    let stop = CancellationToken::new();
    let options = ControllerOptions {
        client: host,
        system_namespace: SYSTEM_NAMESPACE.to_owned(),
        identity: "bench".to_owned(),
        in_process: BTreeMap::new(),
        clock: WallClock::System,
        plugins: ExecPlugins::default(),
        lease_times: None,
    };
    let controller = Controller::new(options, stop.clone()).await?;
    tokio::spawn(controller.run());
    Ok(stop.drop_guard())
}
