//! A number of clusters, each an HTTPS server with its own kubeconfig, and one control address.

use crate::chance::Chance;
use crate::cluster::{Cluster, ClusterOptions};
use crate::data::{DataOptions, Home, Origin};
use crate::error::Error;
use crate::load_balancer::Loopback;
use crate::workloads::Workloads;
use crate::{serve, server};
use std::collections::BTreeMap;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::path::{Path, PathBuf};
use std::time::Duration;
use tokio::net::TcpListener;
use tokio_util::sync::{CancellationToken, DropGuard};

/// Milliseconds that a fleet takes to close at most.
const CLOSE_STEPS_MAX: usize = 5_000;

/// What a fleet is made of.
#[derive(Debug, Clone, Default)]
pub struct FleetOptions {
    /// Its clusters.
    pub clusters: Vec<ClusterOptions>,
    /// Where kubeconfigs are written, one `NAME.kubeconfig` each; without it, a folder of its own
    /// in the system's temporary folder, removed at the end.
    pub folder: Option<PathBuf>,
    /// Port of the control address; 0 is any free one.
    pub control_port: u16,
    /// Where clusters keep what survives a restart; without it, nowhere.
    pub data: Option<DataOptions>,
}

/// Running clusters. Dropping it stops them.
#[derive(Debug)]
pub struct Fleet {
    clusters: BTreeMap<String, Cluster>,
    names: Vec<String>,
    control: SocketAddr,
    folder: PathBuf,
    removes_folder: bool,
    stop: CancellationToken,
    _workloads: Vec<Workloads>,
    _stop_when_dropped: DropGuard,
}

impl FleetOptions {
    /// Clusters of these names, with nothing particular.
    pub fn named<Name: Into<String>>(names: impl IntoIterator<Item = Name>) -> Self {
        let clusters = names.into_iter().map(ClusterOptions::named).collect();
        Self {
            clusters,
            ..Self::default()
        }
    }
}

impl Fleet {
    /// Starts clusters; they serve when this returns.
    ///
    /// # Errors
    ///
    /// When a port is taken, a file cannot be written, or two clusters have one name.
    pub async fn start(options: FleetOptions) -> Result<Self, Error> {
        let stop = CancellationToken::new();
        let (folder, removes_folder) = folder(options.folder)?;
        let names: Vec<String> = options
            .clusters
            .iter()
            .map(|cluster| cluster.name.clone())
            .collect();
        let (mut clusters, mut workloads) = (BTreeMap::new(), Vec::new());
        let loopback = Loopback::default();
        for (number, mut cluster_options) in options.clusters.into_iter().enumerate() {
            let name = cluster_options.name.clone();
            if clusters.contains_key(&name) {
                return Err(Error::DuplicateName(name));
            }
            if let Some(workloads) = &mut cluster_options.workloads {
                let place = std::mem::take(&mut workloads.load_balancing);
                workloads.load_balancing = place.in_fleet(&loopback, number);
            }
            let data = options.data.as_ref();
            let cluster = start_cluster(cluster_options, data, &folder, &stop).await?;
            workloads.extend(cluster.start_workloads());
            clusters.insert(name, cluster);
        }
        let listener = listen(options.control_port).await?;
        let control = address(&listener);
        let listed = names.iter().map(|name| clusters[name].clone()).collect();
        let routes = server::control::router(listed, stop.clone());
        tokio::spawn(serve::plain(routes, listener, stop.clone()));
        let guard = stop.clone().drop_guard();
        Ok(Self {
            clusters,
            names,
            control,
            folder,
            removes_folder,
            stop,
            _workloads: workloads,
            _stop_when_dropped: guard,
        })
    }

    /// A cluster by its name.
    ///
    /// # Panics
    ///
    /// When there is none of that name: the names are the caller's own.
    pub fn cluster(&self, name: &str) -> &Cluster {
        self.clusters
            .get(name)
            .expect("a name that the fleet was started with")
    }

    /// All clusters, in the order in which they were asked for.
    pub fn clusters(&self) -> impl Iterator<Item = &Cluster> {
        self.names.iter().map(|name| &self.clusters[name])
    }

    /// `http://127.0.0.1:PORT`, where faults and request counts of all clusters are.
    pub fn control_url(&self) -> String {
        format!("http://{}", self.control)
    }

    /// Where the kubeconfigs are.
    pub fn folder(&self) -> &Path {
        &self.folder
    }

    /// Stops all clusters: listeners close, watches end, controllers stop.
    pub fn stop(&self) {
        self.stop.cancel();
    }

    /// Stops all clusters, and waits until nothing holds what they keep: then another fleet may
    /// take it up.
    pub async fn close(self) {
        const STEP: Duration = Duration::from_millis(1);
        let clusters: Vec<_> = self.clusters.values().map(Cluster::downgrade).collect();
        drop(self);
        // Tasks end at their next step; whoever keeps a cluster for longer keeps its data as well.
        for _ in 0..CLOSE_STEPS_MAX {
            if clusters.iter().all(|cluster| cluster.strong_count() == 0) {
                return;
            }
            tokio::time::sleep(STEP).await;
        }
    }

    /// Waits until it is stopped: by [`Fleet::stop`], or through the control address.
    pub async fn stopped(&self) {
        self.stop.cancelled().await;
    }
}

impl Drop for Fleet {
    fn drop(&mut self) {
        if self.removes_folder {
            // What is left in the temporary folder is no error.
            let _ = std::fs::remove_dir_all(&self.folder);
        }
    }
}

async fn start_cluster(
    options: ClusterOptions,
    data: Option<&DataOptions>,
    folder: &Path,
    stop: &CancellationToken,
) -> Result<Cluster, Error> {
    let home = data
        .map(|data| Home::open(data, &options.name))
        .transpose()?;
    let before = home.as_ref().map_or(0, Home::port);
    let listener = match (options.port, before) {
        // Clients that know the port from before go on; if somebody took it, another one will do.
        (0, 1..) => match listen(before).await {
            Ok(listener) => listener,
            Err(_) => listen(0).await?,
        },
        (port, _) => listen(port).await?,
    };
    let place = address(&listener);
    let (seed, events_kept) = (options.seed, options.events_kept_max);
    let origin = match home {
        Some(home) => home.origin(&options.name, (seed, events_kept), place.port())?,
        None => Origin::new(&options.name, seed, events_kept)?,
    };
    let tls = origin.authority.server()?;
    let cluster = Cluster::at(options, format!("https://{place}"), origin);
    let path = folder.join(format!("{}.kubeconfig", cluster.name()));
    write_private(&path, &cluster.kubeconfig())?;
    cluster.set_kubeconfig_path(path);
    tokio::spawn(serve::https(cluster.clone(), listener, tls, stop.clone()));
    Ok(cluster)
}

async fn listen(port: u16) -> Result<TcpListener, Error> {
    let address = SocketAddr::new(IpAddr::V4(Ipv4Addr::LOCALHOST), port);
    TcpListener::bind(address)
        .await
        .map_err(|cause| Error::Listen { address, cause })
}

fn address(listener: &TcpListener) -> SocketAddr {
    listener
        .local_addr()
        .expect("a bound socket has an address")
}

/// The folder for kubeconfigs, and whether it is the fleet's own to remove.
fn folder(given: Option<PathBuf>) -> Result<(PathBuf, bool), Error> {
    let removes = given.is_none();
    let path = given.unwrap_or_else(|| {
        let own = format!(
            "pocketkube-{}-{}",
            std::process::id(),
            Chance::new(None).secret(6)
        );
        std::env::temp_dir().join(own)
    });
    std::fs::create_dir_all(&path).map_err(|cause| Error::Write {
        path: path.clone(),
        cause,
    })?;
    Ok((path, removes))
}

/// Writes a file that only its owner may read: it holds a token.
pub(crate) fn write_private(path: &Path, text: &str) -> Result<(), Error> {
    use std::io::Write;
    let mut options = std::fs::OpenOptions::new();
    options.write(true).create(true).truncate(true);
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
    options
        .open(path)
        .and_then(|mut file| file.write_all(text.as_bytes()))
        .map_err(|cause| Error::Write {
            path: path.to_owned(),
            cause,
        })
}
