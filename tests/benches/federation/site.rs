//! The worlds that are measured.

use meridian_tests::control_plane::{self, Extent};
use meridian_tests::world::{Kind, Site, World, WorldOptions};
use serde_json::{Value, json};
use std::path::PathBuf;

/// The members of a small world. Each city is a failure domain of its own.
const THREE: [(&str, &str); 3] = [
    ("berlin", "52.52,13.40"),
    ("lisbon", "38.72,-9.14"),
    ("osaka", "34.69,135.50"),
];

/// Why there can be no clusters of that kind.
pub(crate) fn missing(kind: Kind) -> Option<String> {
    if kind == Kind::Pocketkube {
        return None;
    }
    let Some(assets) = control_plane::assets() else {
        return Some(
            "skipped on real control planes: KUBEBUILDER_ASSETS is unset (a folder with etcd, \
             kube-apiserver, kube-controller-manager and kube-scheduler)"
                .to_owned(),
        );
    };
    let missing = control_plane::complete(&assets, Extent::Workloads).err()?;
    let assets = assets.display();
    Some(format!(
        "skipped on real control planes: {assets} has no {missing}"
    ))
}

/// A host, three members and a controller that leads.
pub(crate) async fn three(kind: Kind) -> World {
    let sites = THREE.map(|(name, location)| Site {
        name,
        region: name,
        city: name,
        location,
    });
    started(kind, sites.to_vec(), json!({})).await
}

/// The same of these members with these settings.
pub(crate) async fn started(kind: Kind, sites: Vec<Site>, settings: Value) -> World {
    let mut world = World::furnished(WorldOptions {
        kind,
        binary: PathBuf::from(env!("CARGO_BIN_EXE_meridian")),
        sites,
        settings,
    })
    .await;
    world.restore().await;
    world
}
