//! kube-controller-manager, kube-scheduler and nodes without containers, on an API server of
//! whatever make: what makes of objects a cluster.

use std::path::Path;

use pocketkube::cluster::Cluster;

use super::{answers, client, free_ports, wait};
use crate::kubelet::Kubelet;
use crate::process::{Folder, Process};

const MANAGER: &str = "system:kube-controller-manager";
const SCHEDULER: &str = "system:kube-scheduler";
/// Nodes that run pods.
const NODES: u16 = 2;

/// Who acts on what is written; dropping it ends them.
pub struct Controllers {
    // The kubelet is the first to go: it speaks to a server that still runs.
    _kubelet: Kubelet,
    _manager: Process,
    /// Dropped last, so that its keeper may remove the folder.
    _scheduler: Process,
}

/// The API server that they act on.
pub(super) struct Server<'a> {
    pub(super) name: &'a str,
    /// An administrator's.
    pub(super) client: &'a kube::Client,
    /// The kubeconfig of a user, by name.
    pub(super) kubeconfig: &'a dyn Fn(&str) -> String,
}

impl Controllers {
    /// Starts them from the binaries in `assets` on a cluster of pocketkube that has no workloads
    /// of its own, and waits until they act.
    ///
    /// # Panics
    /// With the log's end, when one does not start.
    pub async fn on_pocketkube(cluster: &Cluster, assets: &Path) -> Self {
        let folder = tempfile::Builder::new()
            .prefix(&format!("controllers-{}-", cluster.name()))
            .tempdir()
            .expect("the temporary folder can be written")
            .keep();
        let kubeconfig = |user: &str| {
            let certificate = cluster.client_certificate(user, &[]);
            cluster.kubeconfig_with(&certificate.expect("the cluster has a socket"))
        };
        let root = folder.join("ca.crt");
        write(&root, cluster.ca_pem());
        let server = Server {
            name: cluster.name(),
            client: &client(&cluster.kubeconfig()).await,
            kubeconfig: &kubeconfig,
        };
        let manager = [format!("--root-ca-file={}", root.display())];
        Self::start(&server, assets, &folder, Folder::Removed, &manager).await
    }

    /// The same on any server; `manager` is what the controller manager is told besides.
    pub(super) async fn start(
        server: &Server<'_>,
        assets: &Path,
        folder: &Path,
        after: Folder,
        manager: &[String],
    ) -> Self {
        let scheduler = server.component(SCHEDULER, folder);
        let binary = assets.join("kube-scheduler");
        let scheduler = Process::spawn("kube-scheduler", &binary, &scheduler, folder, after);
        let mut arguments = server.component(MANAGER, folder);
        arguments.extend_from_slice(manager);
        arguments.extend([
            "--use-service-account-credentials=true".to_owned(),
            "--allocate-node-cidrs=false".to_owned(),
            format!("--cluster-name={}", server.name),
            // Fifteen seconds would be long for a test.
            "--horizontal-pod-autoscaler-sync-period=1s".to_owned(),
        ]);
        let name = "kube-controller-manager";
        let binary = assets.join(name);
        let mut manager = Process::spawn(name, &binary, &arguments, folder, Folder::Kept);
        // Its service account controller has come round to the default namespace.
        let account = "/api/v1/namespaces/default/serviceaccounts/default";
        wait(&mut manager, || answers(server.client, account)).await;
        Self {
            _kubelet: Kubelet::start(server.client.clone(), NODES).await,
            _manager: manager,
            _scheduler: scheduler,
        }
    }
}

impl Server<'_> {
    /// What the controller manager and the scheduler are both told.
    fn component(&self, user: &str, folder: &Path) -> Vec<String> {
        let path = folder.join(format!("{user}.kubeconfig"));
        write(&path, &(self.kubeconfig)(user));
        let kubeconfig = path.display();
        let [port] = free_ports();
        vec![
            format!("--kubeconfig={kubeconfig}"),
            format!("--authentication-kubeconfig={kubeconfig}"),
            format!("--authorization-kubeconfig={kubeconfig}"),
            "--bind-address=127.0.0.1".to_owned(),
            format!("--secure-port={port}"),
            format!("--cert-dir={}", folder.join(user).display()),
            "--leader-elect=false".to_owned(),
        ]
    }
}

fn write(path: &Path, text: &str) {
    std::fs::write(path, text).expect("the temporary folder can be written");
}
