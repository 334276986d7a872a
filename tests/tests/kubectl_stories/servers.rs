//! The two servers that stories are told on, set up alike.

use std::path::{Path, PathBuf};
use std::time::Duration;

use meridian_tests::control_plane::{self, ControlPlane, Extent};
use pocketkube::workloads::NodeOptions;
use pocketkube::{Authorization, Fleet, FleetOptions};

/// A server; it ends when dropped.
pub(crate) struct Server {
    pub(crate) kubeconfig: String,
    /// Whether it is the real one.
    pub(crate) kind: Kind,
    _kept: Kept,
}

/// Which of the two it is.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Kind {
    Pocketkube,
    Real,
}

/// What runs as long as it is held.
enum Kept {
    Fleet { _fleet: Box<Fleet> },
    Plane { _plane: Box<ControlPlane> },
}

impl Server {
    pub(crate) async fn pocketkube() -> Self {
        let mut options = FleetOptions::named(["stories"]);
        if let Some(workloads) = &mut options.clusters[0].workloads {
            workloads.nodes = ["node-1", "node-2"].map(NodeOptions::named).to_vec();
            workloads.autoscale_every = Duration::from_secs(1);
            // The real one's simulated kubelet does not wait either.
            workloads.ready_after = Duration::ZERO;
        }
        let folder = format!("stories-{}", std::process::id());
        options.folder = Some(Path::new(env!("CARGO_TARGET_TMPDIR")).join(folder));
        options.clusters[0].authorization = Authorization::Rbac;
        let fleet = Fleet::start(options).await.expect("a fleet starts");
        Self {
            kubeconfig: fleet.cluster("stories").kubeconfig(),
            kind: Kind::Pocketkube,
            _kept: Kept::Fleet {
                _fleet: Box::new(fleet),
            },
        }
    }

    pub(crate) async fn real() -> Self {
        let assets = assets();
        let plane = ControlPlane::start("stories", Extent::Workloads, &assets).await;
        Self {
            kubeconfig: plane.kubeconfig().to_owned(),
            kind: Kind::Real,
            _kept: Kept::Plane {
                _plane: Box::new(plane),
            },
        }
    }
}

fn assets() -> PathBuf {
    let assets = control_plane::assets().expect(
        "KUBEBUILDER_ASSETS names a folder with etcd, kube-apiserver, kube-controller-manager and \
         kube-scheduler",
    );
    if let Err(missing) = control_plane::complete(&assets, Extent::Workloads) {
        panic!("{} has no {missing}", assets.display());
    }
    assets
}
