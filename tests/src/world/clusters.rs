//! The clusters of a world and their faults: pocketkube's, or real control planes.

use crate::control_plane::{self, ControlPlane, Extent};
use futures::future::join_all;
use pocketkube::workloads::{NodeOptions, WorkloadOptions};
use pocketkube::{
    ApiState, Authorization, ClusterOptions, DataPlaneState, Faults, Fleet, FleetOptions,
};
use std::collections::BTreeMap;
use std::path::PathBuf;
use std::time::Duration;

/// Of what kind a world's clusters are.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// A fleet in this process, spoken to over HTTPS.
    Pocketkube,
    /// etcd and kube-apiserver each; the members with controller manager, scheduler and nodes.
    Real,
}

/// What can be wrong with a member's API.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ApiFault {
    /// Connections are taken and nothing is answered.
    Hung,
    /// Connections are refused or reset.
    Down,
}

/// Running clusters, by name.
pub(super) enum Clusters {
    Pocketkube(Fleet),
    Real(BTreeMap<String, Plane>),
}

pub(super) struct Plane {
    plane: ControlPlane,
    fault: Option<ApiFault>,
}

/// With room for a thousand workloads.
fn node() -> NodeOptions {
    NodeOptions {
        pods: 10_000,
        ..NodeOptions::named("node-1")
    }
}

impl Clusters {
    pub(super) async fn start(kind: Kind, host: &str, members: &[&str]) -> Self {
        match kind {
            Kind::Pocketkube => {
                let names = std::iter::once(host).chain(members.iter().copied());
                let clusters = names.map(|name| ClusterOptions {
                    // As on real ones: what a member's account may not do must fail here too.
                    authorization: Authorization::Rbac,
                    workloads: Some(WorkloadOptions {
                        nodes: vec![node()],
                        ..WorkloadOptions::default()
                    }),
                    ..ClusterOptions::named(name)
                });
                let options = FleetOptions {
                    clusters: clusters.collect(),
                    ..FleetOptions::default()
                };
                let fleet = Fleet::start(options).await;
                Self::Pocketkube(fleet.expect("loopback ports and a temporary folder"))
            }
            Kind::Real => {
                let assets = control_plane::assets().expect("KUBEBUILDER_ASSETS is set");
                // Nothing runs on the host: its objects are all that meridian needs.
                let with_host = std::iter::once((host, Extent::ApiServer));
                let all = with_host.chain(members.iter().map(|name| (*name, Extent::Workloads)));
                let started = all.map(async |(name, extent)| {
                    let plane = ControlPlane::start(name, extent, &assets).await;
                    let fault = None;
                    (name.to_owned(), Plane { plane, fault })
                });
                Self::Real(join_all(started).await.into_iter().collect())
            }
        }
    }

    /// The kubeconfig file of an administrator.
    pub(super) fn kubeconfig(&self, name: &str) -> PathBuf {
        match self {
            Self::Pocketkube(fleet) => fleet.folder().join(format!("{name}.kubeconfig")),
            Self::Real(planes) => planes[name].plane.kubeconfig_path().to_owned(),
        }
    }

    /// The certificate of another administrator, and its key, in PEM.
    pub(super) fn client_certificate(&self, name: &str) -> (String, String) {
        let (user, group) = ("another-admin", "system:masters");
        match self {
            Self::Pocketkube(fleet) => {
                let issued = fleet.cluster(name).client_certificate(user, &[group]);
                let issued = issued.expect("our own parameters can be signed");
                (issued.certificate_pem, issued.key_pem)
            }
            Self::Real(planes) => planes[name].plane.client_certificate(user, group),
        }
    }

    pub(super) fn break_api(&mut self, name: &str, fault: ApiFault) {
        match self {
            Self::Pocketkube(fleet) => fleet.cluster(name).faults().set_api(match fault {
                ApiFault::Hung => ApiState::Hung,
                ApiFault::Down => ApiState::Down,
            }),
            Self::Real(planes) => {
                let plane = planes.get_mut(name).expect("a cluster's name");
                assert_eq!(plane.fault, None, "{name} has a fault already");
                plane.fault = Some(fault);
                match fault {
                    ApiFault::Hung => plane.plane.pause_api(),
                    ApiFault::Down => plane.plane.kill_api(),
                }
            }
        }
    }

    pub(super) async fn mend_api(&mut self, name: &str) {
        match self {
            Self::Pocketkube(fleet) => fleet.cluster(name).faults().set_api(ApiState::Up),
            Self::Real(planes) => {
                let plane = planes.get_mut(name).expect("a cluster's name");
                match plane.fault.take() {
                    None => {}
                    Some(ApiFault::Hung) => plane.plane.resume_api(),
                    Some(ApiFault::Down) => plane.plane.restart_api().await,
                }
            }
        }
    }

    pub(super) fn slow_api(&self, name: &str, delay: Duration) {
        match self {
            Self::Pocketkube(fleet) => {
                let faults = fleet.cluster(name).faults();
                faults.set(Faults {
                    api: ApiState::Slow,
                    delay_millis: u64::try_from(delay.as_millis()).unwrap_or(u64::MAX),
                    ..faults.get()
                });
            }
            Self::Real(_) => panic!("real control planes are as fast as they are"),
        }
    }

    pub(super) fn set_data_plane(&self, name: &str, state: DataPlaneState) {
        match self {
            Self::Pocketkube(fleet) => fleet.cluster(name).faults().set_data_plane(state),
            Self::Real(_) => panic!("real control planes have no load balancers here"),
        }
    }
}
