//! The demo's world: a fleet of pocketkube clusters, spoken to as anyone would, and its faults.

use super::pace::Patch;
use crate::commands::join::{self, Member};
use crate::kubeconfig;
use crate::manifests::{self, Manifest};
use anyhow::{Context, Result, bail, ensure};
use http_body_util::Full;
use hyper::body::Bytes;
use hyper_util::rt::TokioExecutor;
use kube::api::{DeleteParams, DynamicObject, PatchParams};
use kube::{Api, Client};
use pocketkube::workloads::{NodeOptions, WorkloadOptions};
use pocketkube::{ClusterOptions, Fleet, FleetOptions};
use serde_json::{Value, json};
use std::collections::BTreeMap;
use std::net::IpAddr;
use std::path::PathBuf;
use std::time::{Duration, Instant};

/// The host's name in the fleet.
pub(crate) const HOST: &str = "host";
/// Namespace of the application.
pub(crate) const NAMESPACE: &str = "shop";
/// The deployment and its service.
pub(crate) const APPLICATION: &str = "shop";
/// The steered name.
pub(crate) const NAME: &str = "shop.example.org";
/// The federated ConfigMap that the story deletes.
const DELETED_CONFIG: &str = "spring-sale";
/// The port that the load balancers serve.
pub(crate) const PORT: u16 = 8080;
/// A request to the world itself; it is in this process.
const REQUEST_TIMEOUT: Duration = Duration::from_secs(10);

/// The manifests of `deploy/demo`, as they are.
const MANIFESTS: [(&str, &str); 7] = [
    (
        "1-namespace.yaml",
        include_str!("../../../../deploy/demo/1-namespace.yaml"),
    ),
    (
        "2-config.yaml",
        include_str!("../../../../deploy/demo/2-config.yaml"),
    ),
    (
        "3-deployment.yaml",
        include_str!("../../../../deploy/demo/3-deployment.yaml"),
    ),
    (
        "4-service.yaml",
        include_str!("../../../../deploy/demo/4-service.yaml"),
    ),
    (
        "5-preference.yaml",
        include_str!("../../../../deploy/demo/5-preference.yaml"),
    ),
    (
        "6-zone.yaml",
        include_str!("../../../../deploy/demo/6-zone.yaml"),
    ),
    (
        "7-global-service.yaml",
        include_str!("../../../../deploy/demo/7-global-service.yaml"),
    ),
];

/// A member of the demo, and where it stands.
pub(crate) struct Site {
    pub(crate) name: &'static str,
    pub(crate) region: &'static str,
    pub(crate) zone: &'static str,
    pub(crate) city: &'static str,
    pub(crate) location: (f64, f64),
}

/// Where a story plays.
#[derive(Clone, Copy)]
pub(crate) struct Stage {
    /// The members.
    pub(crate) sites: &'static [Site],
    /// What is applied, files with their names.
    pub(crate) manifests: &'static [(&'static str, &'static str)],
}

/// Three sites in two cities, and `deploy/demo`.
pub(crate) const STAGE: Stage = Stage {
    sites: &SITES,
    manifests: &MANIFESTS,
};

const SITES: [Site; 3] = [
    Site {
        name: "beijing-a",
        region: "cn-north",
        zone: "cn-north-a",
        city: "beijing",
        location: (39.90, 116.40),
    },
    Site {
        name: "beijing-b",
        region: "cn-north",
        zone: "cn-north-b",
        city: "beijing",
        location: (39.80, 116.50),
    },
    Site {
        name: "frankfurt",
        region: "eu-central",
        zone: "eu-central-a",
        city: "frankfurt",
        location: (50.11, 8.68),
    },
];

/// What is wrong with a cluster.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Fault {
    /// Nothing.
    None,
    /// The API takes requests and never answers.
    ApiHung,
    /// The API is gone.
    ApiDown,
    /// API and data plane are gone.
    SiteDown,
}

impl Fault {
    fn body(self) -> Value {
        let (api, data_plane) = match self {
            Self::None => ("up", "up"),
            Self::ApiHung => ("hung", "up"),
            Self::ApiDown => ("down", "up"),
            Self::SiteDown => ("down", "down"),
        };
        json!({"api": api, "dataPlane": data_plane})
    }
}

/// The fleet and the ways into it.
pub(crate) struct World {
    stage: Stage,
    fleet: Fleet,
    host: Client,
    members: BTreeMap<String, Client>,
    addresses: BTreeMap<String, IpAddr>,
    /// The federated ConfigMap that the story deletes.
    pub(crate) deleted_config: &'static str,
}

impl World {
    /// Starts a host and three members; nothing is installed yet.
    ///
    /// # Errors
    /// Sockets or files are not to be had.
    pub(crate) async fn start(stage: Stage) -> Result<Self> {
        let mut clusters = vec![ClusterOptions::named(HOST)];
        for site in stage.sites {
            let mut options = ClusterOptions::named(site.name);
            let node = |number: u32| {
                NodeOptions::named(format!("{}-{number}", site.name))
                    .in_zone(site.region, site.zone)
            };
            let nodes = (1..=2).map(node).collect();
            options.workloads = Some(WorkloadOptions {
                nodes,
                ..WorkloadOptions::default()
            });
            clusters.push(options);
        }
        let options = FleetOptions {
            clusters,
            ..FleetOptions::default()
        };
        let fleet = Fleet::start(options)
            .await
            .context("the demo's clusters cannot start")?;
        let host = client(&fleet, HOST).await?;
        let mut members = BTreeMap::new();
        for site in stage.sites {
            members.insert(site.name.to_owned(), client(&fleet, site.name).await?);
        }
        let addresses = BTreeMap::new();
        Ok(Self {
            stage,
            fleet,
            host,
            members,
            addresses,
            deleted_config: DELETED_CONFIG,
        })
    }

    /// A client of the host.
    pub(crate) fn host(&self) -> Client {
        self.host.clone()
    }

    /// The members and a client of each.
    pub(crate) fn members(&self) -> &BTreeMap<String, Client> {
        &self.members
    }

    /// The kubeconfig file of a cluster.
    pub(crate) fn kubeconfig(&self, cluster: &str) -> PathBuf {
        self.fleet.folder().join(format!("{cluster}.kubeconfig"))
    }

    /// Where faults can be put in by hand.
    pub(crate) fn control_url(&self) -> String {
        self.fleet.control_url()
    }

    /// Installs the CRDs and the settings, and joins the members.
    ///
    /// # Errors
    /// The host refuses something.
    pub(crate) async fn install(&self, system_namespace: &str) -> Result<()> {
        manifests::install_crds(&self.host).await?;
        for site in self.stage.sites {
            let file = self.kubeconfig(site.name);
            let config = kubeconfig::member(Some(&file), None, site.name).await?;
            let (latitude, longitude) = site.location;
            let place = json!({
                "region": site.region,
                "city": site.city,
                "location": {"latitude": latitude, "longitude": longitude},
            });
            let Value::Object(place) = place else {
                bail!("a place is an object")
            };
            let member = Member {
                secret: None,
                name: site.name.into(),
                config,
                labels: Vec::new(),
                least_privilege: None,
                place,
            };
            join::join(&self.host, system_namespace, &member).await?;
        }
        manifests::install_types(&self.host, system_namespace).await
    }

    /// Applies the stage's manifests, then the patches.
    ///
    /// # Errors
    /// The host refuses something.
    pub(crate) async fn apply(&self, system_namespace: &str, patches: &[Patch]) -> Result<()> {
        let config = manifests::default_config(system_namespace);
        manifests::apply(&self.host, &config).await?;
        let mut applied = vec![config];
        for (file, text) in self.stage.manifests {
            for manifest in manifests::read(file, text)? {
                manifests::apply(&self.host, &manifest).await?;
                applied.push(manifest);
            }
        }
        for patch in patches {
            let target = applied.iter().find(|manifest| patch.is_for(manifest));
            let target = target.with_context(|| format!("no manifest for {}", patch.line()))?;
            let api = target.api(&self.host).await?;
            let body = kube::api::Patch::Merge(&patch.patch);
            api.patch(patch.name, &PatchParams::default(), &body)
                .await?;
        }
        Ok(())
    }

    /// Learns which address stands for which member, once all have one.
    ///
    /// # Errors
    /// A member got no address in time.
    pub(crate) async fn learn_addresses(&mut self, patience: Duration) -> Result<()> {
        use k8s_openapi::api::core::v1::Service;
        use kube::runtime::wait::await_condition;
        for (name, client) in &self.members {
            let services = Api::<Service>::namespaced(client.clone(), NAMESPACE);
            let has_address =
                |service: Option<&Service>| service.is_some_and(|s| address(s).is_some());
            let waiting = await_condition(services, APPLICATION, has_address);
            let found = tokio::time::timeout(patience, waiting)
                .await
                .with_context(|| {
                    format!("Service {NAMESPACE}/{APPLICATION} in {name} got no address")
                })?;
            if let Some(address) = found?.as_ref().and_then(address) {
                self.addresses.insert(name.clone(), address);
            }
        }
        Ok(())
    }

    /// The member that an address stands for.
    pub(crate) fn name_of(&self, address: IpAddr) -> String {
        let found = self.addresses.iter().find(|(_, known)| **known == address);
        found.map_or_else(|| "unknown".to_owned(), |(name, _)| name.clone())
    }

    /// The load balancer's address of a member.
    pub(crate) fn address_of(&self, member: &str) -> IpAddr {
        self.addresses
            .get(member)
            .copied()
            .unwrap_or(IpAddr::V4(std::net::Ipv4Addr::UNSPECIFIED))
    }

    /// The load balancers' addresses of all members.
    pub(crate) fn addresses(&self) -> Vec<IpAddr> {
        self.addresses.values().copied().collect()
    }

    /// Puts a fault into a member, through the fleet's HTTP.
    ///
    /// # Errors
    /// The control address does not take it.
    pub(crate) async fn fault(&self, cluster: &str, fault: Fault) -> Result<()> {
        let url = format!(
            "{}/pocketkube/clusters/{cluster}/faults",
            self.fleet.control_url()
        );
        let request =
            hyper::Request::put(url).body(Full::new(Bytes::from(fault.body().to_string())))?;
        let client = hyper_util::client::legacy::Client::builder(TokioExecutor::new()).build_http();
        let response = tokio::time::timeout(REQUEST_TIMEOUT, client.request(request)).await??;
        ensure!(
            response.status().is_success(),
            "the fault was refused: {}",
            response.status()
        );
        Ok(())
    }

    /// Puts a fault into the host.
    ///
    /// # Errors
    /// The control address does not take it.
    pub(crate) async fn fault_host(&self, fault: Fault) -> Result<()> {
        self.fault(HOST, fault).await
    }

    /// Deletes the federated ConfigMap on the host.
    ///
    /// # Errors
    /// The host refuses.
    pub(crate) async fn delete_config(&self) -> Result<()> {
        self.configs()
            .await?
            .delete(DELETED_CONFIG, &DeleteParams::default())
            .await?;
        Ok(())
    }

    /// When the deletion ended on the host; nothing when it did not in time.
    pub(crate) async fn config_deletion_ends(&self, patience: Duration) -> Option<Instant> {
        use kube::runtime::wait::{await_condition, conditions};
        let configs = self.configs().await.ok()?;
        let uid = match configs.get_opt(DELETED_CONFIG).await.ok()? {
            Some(object) => object.metadata.uid?,
            None => return Some(Instant::now()),
        };
        let gone = await_condition(configs, DELETED_CONFIG, conditions::is_deleted(&uid));
        tokio::time::timeout(patience, gone).await.ok()?.ok()?;
        Some(Instant::now())
    }

    async fn configs(&self) -> Result<Api<DynamicObject>> {
        let manifest = Manifest::named(
            "types.kubefed.io/v1beta1",
            "FederatedConfigMap",
            NAMESPACE,
            DELETED_CONFIG,
        );
        manifest.api(&self.host).await
    }
}

async fn client(fleet: &Fleet, cluster: &str) -> Result<Client> {
    let file = fleet.folder().join(format!("{cluster}.kubeconfig"));
    let mut config = kubeconfig::member(Some(&file), None, cluster).await?;
    // A hung API must show as a gap in the samples: whoever asks has a deadline, and asks again.
    config.default_retry = false;
    Ok(Client::try_from(config)?)
}

fn address(service: &k8s_openapi::api::core::v1::Service) -> Option<IpAddr> {
    let balancer = service.status.as_ref()?.load_balancer.as_ref()?;
    balancer
        .ingress
        .as_ref()?
        .first()?
        .ip
        .as_ref()?
        .parse()
        .ok()
}
