//! A real Kubernetes control plane on 127.0.0.1: etcd and kube-apiserver, and where asked for
//! kube-controller-manager, kube-scheduler and a [kubelet](crate::kubelet::Kubelet) without containers.
//!
//! The binaries come from the folder that `KUBEBUILDER_ASSETS` names (the envtest convention).
//!
//! # Guarantees
//! Each part runs under a shell that waits on a pipe held by this process. When the
//! [`ControlPlane`] is dropped, or this process ends in whatever way, the pipe closes, the shell
//! kills its part, and the first part's shell removes the folder.
//!
//! # Caveats
//! Ports are picked free and then given to the parts: another process may take one in between, and
//! the start then fails with that part's log.

mod authority;
mod controllers;

use std::net::TcpListener;
use std::path::{Path, PathBuf};
use std::sync::LazyLock;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::{Duration, Instant};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;
use kube::config::{KubeConfigOptions, Kubeconfig};
use serde_json::json;

use crate::process::{Folder, Process, Signal};
use authority::Authority;
pub use controllers::Controllers;

/// How long one part may take to become ready; a cold kube-apiserver on a busy machine needs 20 s.
const READY_SECS_MAX: u64 = 120;
/// Between two looks at a part that starts.
const POLL: Duration = Duration::from_millis(20);
const SERVICE_RANGE: &str = "10.96.0.0/16";
const SERVICE_ADDRESS: &str = "10.96.0.1";

/// Which parts a control plane consists of.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Extent {
    /// etcd and kube-apiserver: objects are stored and nothing acts on them.
    ApiServer,
    /// With kube-controller-manager, kube-scheduler and nodes that run pods.
    Workloads,
}

/// A running control plane; dropping it ends all of its processes.
pub struct ControlPlane {
    url: String,
    kubeconfig: String,
    kubeconfig_path: PathBuf,
    client: kube::Client,
    authority: Authority,
    apiserver: Restartable,
    _controllers: Option<Controllers>,
    // Dropped last: its shell removes the folder.
    _etcd: Process,
}

/// kube-apiserver, and how it is started anew.
struct Restartable {
    binary: PathBuf,
    arguments: Vec<String>,
    folder: PathBuf,
    process: Process,
}

/// The folder with the binaries, when `KUBEBUILDER_ASSETS` names one.
#[must_use]
pub fn assets() -> Option<PathBuf> {
    let folder = std::env::var_os("KUBEBUILDER_ASSETS")?;
    (!folder.is_empty()).then(|| PathBuf::from(folder))
}

/// Whether `assets` holds all binaries of `extent`; else the name of the first that is missing.
pub fn complete(assets: &Path, extent: Extent) -> Result<(), &'static str> {
    let binaries: &[&'static str] = match extent {
        Extent::ApiServer => &["etcd", "kube-apiserver"],
        Extent::Workloads => &[
            "etcd",
            "kube-apiserver",
            "kube-controller-manager",
            "kube-scheduler",
        ],
    };
    match binaries
        .iter()
        .find(|binary| !assets.join(binary).is_file())
    {
        Some(missing) => Err(missing),
        None => Ok(()),
    }
}

impl ControlPlane {
    /// Starts all parts of `extent` from the binaries in `assets` and waits until they are ready.
    ///
    /// # Panics
    /// With the part's name and the end of its log, when one does not become ready.
    pub async fn start(name: &str, extent: Extent, assets: &Path) -> Self {
        let folder = tempfile::Builder::new()
            .prefix(&format!("control-plane-{name}-"))
            .tempdir()
            .expect("the temporary folder can be written")
            .keep();
        let files = Files {
            name,
            assets,
            folder: &folder,
        };
        let authority = files.write_certificates();
        let [etcd_port, peer_port, port] = free_ports();
        let url = format!("https://127.0.0.1:{port}");

        let mut etcd = files.start_etcd(etcd_port, peer_port);
        wait(&mut etcd, || etcd_is_healthy(etcd_port)).await;

        let kubeconfig = files.write_kubeconfig(&authority, &url, "admin", Some("system:masters"));
        let client = client(&kubeconfig).await;
        let arguments = files.apiserver_arguments(etcd_port, port, extent);
        let mut apiserver = Restartable {
            binary: assets.join("kube-apiserver"),
            process: files.spawn("kube-apiserver", &arguments),
            arguments,
            folder: folder.clone(),
        };
        wait(&mut apiserver.process, || answers(&client, "/readyz")).await;

        let controllers = match extent {
            Extent::ApiServer => None,
            Extent::Workloads => Some(files.start_controllers(&authority, &url, &client).await),
        };
        let kubeconfig_path = folder.join("admin.kubeconfig");
        Self {
            url,
            kubeconfig,
            kubeconfig_path,
            client,
            authority,
            apiserver,
            _controllers: controllers,
            _etcd: etcd,
        }
    }

    /// Where the API server listens: `https://127.0.0.1:<port>`.
    #[must_use]
    pub fn url(&self) -> &str {
        &self.url
    }

    /// The kubeconfig of a cluster administrator, with its keys inside.
    #[must_use]
    pub fn kubeconfig(&self) -> &str {
        &self.kubeconfig
    }

    /// A certificate for a client, and its key, in PEM.
    #[must_use]
    pub fn client_certificate(&self, user: &str, group: &str) -> (String, String) {
        self.authority.issue(user, Some(group), &[])
    }

    /// The file that holds [`Self::kubeconfig`].
    #[must_use]
    pub fn kubeconfig_path(&self) -> &Path {
        &self.kubeconfig_path
    }

    /// Lets the API server hang: connections are taken and nothing is answered.
    pub fn pause_api(&self) {
        self.apiserver.process.signal(Signal::Pause);
    }

    /// Lets it go on.
    pub fn resume_api(&self) {
        self.apiserver.process.signal(Signal::Resume);
    }

    /// Kills the API server: connections are refused.
    pub fn kill_api(&mut self) {
        self.apiserver.process.signal(Signal::Kill);
        self.apiserver.process.wait();
    }

    /// Starts it again at the same address and waits until it is ready.
    ///
    /// # Panics
    /// As [`Self::start`].
    pub async fn restart_api(&mut self) {
        let Restartable {
            binary,
            arguments,
            folder,
            process,
        } = &mut self.apiserver;
        *process = Process::spawn("kube-apiserver", binary, arguments, folder, Folder::Kept);
        wait(process, || answers(&self.client, "/readyz")).await;
    }
}

/// The names and places that every part needs.
struct Files<'a> {
    name: &'a str,
    assets: &'a Path,
    folder: &'a Path,
}

impl Files<'_> {
    fn write_certificates(&self) -> Authority {
        let authority = Authority::new(&format!("{}-ca", self.name));
        let front_proxy = Authority::new(&format!("{}-front-proxy-ca", self.name));
        let names = [
            "127.0.0.1",
            SERVICE_ADDRESS,
            "localhost",
            "kubernetes",
            "kubernetes.default",
            "kubernetes.default.svc",
            "kubernetes.default.svc.cluster.local",
        ];
        self.write("ca.crt", &authority.certificate());
        self.write("ca.key", &authority.key());
        self.write("front-proxy-ca.crt", &front_proxy.certificate());
        self.write_pair(
            "apiserver",
            &authority.issue("kube-apiserver", None, &names),
        );
        self.write_pair(
            "front-proxy",
            &front_proxy.issue("front-proxy-client", None, &[]),
        );
        let (private, public) = authority::signing_key();
        self.write("service-account.key", &private);
        self.write("service-account.pub", &public);
        authority
    }

    fn write_pair(&self, stem: &str, (certificate, key): &(String, String)) {
        self.write(&format!("{stem}.crt"), certificate);
        self.write(&format!("{stem}.key"), key);
    }

    fn write(&self, file: &str, text: &str) {
        std::fs::write(self.folder.join(file), text).expect("the temporary folder can be written");
    }

    fn path(&self, file: &str) -> String {
        self.folder.join(file).display().to_string()
    }

    fn spawn(&self, binary: &str, arguments: &[String]) -> Process {
        let path = self.assets.join(binary);
        Process::spawn(binary, &path, arguments, self.folder, Folder::Kept)
    }

    /// Writes `<user>.kubeconfig` and returns it; JSON is YAML.
    fn write_kubeconfig(
        &self,
        authority: &Authority,
        url: &str,
        user: &str,
        group: Option<&str>,
    ) -> String {
        let (certificate, key) = authority.issue(user, group, &[]);
        let name = self.name;
        let kubeconfig = json!({
            "apiVersion": "v1",
            "kind": "Config",
            "current-context": name,
            "clusters": [{"name": name, "cluster": {
                "server": url,
                "certificate-authority-data": BASE64.encode(authority.certificate()),
            }}],
            "users": [{"name": user, "user": {
                "client-certificate-data": BASE64.encode(certificate),
                "client-key-data": BASE64.encode(key),
            }}],
            "contexts": [{"name": name, "context": {"cluster": name, "user": user}}],
        })
        .to_string();
        self.write(&format!("{user}.kubeconfig"), &kubeconfig);
        kubeconfig
    }

    fn start_etcd(&self, port: u16, peer_port: u16) -> Process {
        let client = format!("http://127.0.0.1:{port}");
        let peer = format!("http://127.0.0.1:{peer_port}");
        let arguments = [
            format!("--name={}", self.name),
            format!("--data-dir={}", self.path("etcd")),
            format!("--listen-client-urls={client}"),
            format!("--advertise-client-urls={client}"),
            format!("--listen-peer-urls={peer}"),
            format!("--initial-advertise-peer-urls={peer}"),
            format!("--initial-cluster={}={peer}", self.name),
            "--log-level=warn".to_owned(),
            // As envtest does: the data is thrown away, so it need not survive a power cut.
            "--unsafe-no-fsync".to_owned(),
        ];
        let path = self.assets.join("etcd");
        Process::spawn("etcd", &path, &arguments, self.folder, Folder::Removed)
    }

    fn apiserver_arguments(&self, etcd_port: u16, port: u16, extent: Extent) -> Vec<String> {
        // Without a controller manager no namespace would ever get its service account.
        let disabled = match extent {
            Extent::ApiServer => "StorageObjectInUseProtection,ServiceAccount",
            Extent::Workloads => "StorageObjectInUseProtection",
        };
        vec![
            format!("--etcd-servers=http://127.0.0.1:{etcd_port}"),
            "--bind-address=127.0.0.1".to_owned(),
            "--advertise-address=127.0.0.1".to_owned(),
            format!("--secure-port={port}"),
            // A loopback address may not be an endpoint.
            "--endpoint-reconciler-type=none".to_owned(),
            format!("--service-cluster-ip-range={SERVICE_RANGE}"),
            "--authorization-mode=Node,RBAC".to_owned(),
            "--allow-privileged=true".to_owned(),
            format!("--disable-admission-plugins={disabled}"),
            format!("--client-ca-file={}", self.path("ca.crt")),
            format!("--tls-cert-file={}", self.path("apiserver.crt")),
            format!("--tls-private-key-file={}", self.path("apiserver.key")),
            "--service-account-issuer=https://kubernetes.default.svc.cluster.local".to_owned(),
            format!(
                "--service-account-key-file={}",
                self.path("service-account.pub")
            ),
            format!(
                "--service-account-signing-key-file={}",
                self.path("service-account.key")
            ),
            format!("--proxy-client-cert-file={}", self.path("front-proxy.crt")),
            format!("--proxy-client-key-file={}", self.path("front-proxy.key")),
            format!(
                "--requestheader-client-ca-file={}",
                self.path("front-proxy-ca.crt")
            ),
            "--requestheader-allowed-names=front-proxy-client".to_owned(),
            "--requestheader-extra-headers-prefix=X-Remote-Extra-".to_owned(),
            "--requestheader-group-headers=X-Remote-Group".to_owned(),
            "--requestheader-username-headers=X-Remote-User".to_owned(),
        ]
    }

    async fn start_controllers(
        &self,
        authority: &Authority,
        url: &str,
        client: &kube::Client,
    ) -> Controllers {
        let server = controllers::Server {
            name: self.name,
            client,
            kubeconfig: &|user| self.write_kubeconfig(authority, url, user, None),
        };
        let manager = [
            format!("--root-ca-file={}", self.path("ca.crt")),
            format!(
                "--service-account-private-key-file={}",
                self.path("service-account.key")
            ),
            format!("--cluster-signing-cert-file={}", self.path("ca.crt")),
            format!("--cluster-signing-key-file={}", self.path("ca.key")),
        ];
        Controllers::start(&server, self.assets, self.folder, Folder::Kept, &manager).await
    }
}

async fn client(kubeconfig: &str) -> kube::Client {
    let kubeconfig = Kubeconfig::from_yaml(kubeconfig).expect("we wrote it");
    let options = KubeConfigOptions::default();
    let mut config = kube::Config::from_custom_kubeconfig(kubeconfig, &options)
        .await
        .expect("we wrote it");
    // Waiting is our own affair here.
    config.default_retry = false;
    kube::Client::try_from(config).expect("our certificates are well formed")
}

/// Polls until `ready` says so; a part has no other way to tell.
async fn wait<F>(part: &mut Process, ready: impl Fn() -> F)
where
    F: Future<Output = bool>,
{
    let deadline = Instant::now() + Duration::from_secs(READY_SECS_MAX);
    while !ready().await {
        let late = Instant::now() >= deadline;
        assert!(
            part.runs() && !late,
            "{} did not become ready:\n{}",
            part.name(),
            part.log_tail()
        );
        tokio::time::sleep(POLL).await;
    }
}

async fn answers(client: &kube::Client, path: &str) -> bool {
    let request = http::Request::get(path)
        .body(Vec::new())
        .expect("the path is well formed");
    client.request_text(request).await.is_ok()
}

async fn etcd_is_healthy(port: u16) -> bool {
    use tokio::io::{AsyncReadExt, AsyncWriteExt};
    let Ok(mut stream) = tokio::net::TcpStream::connect(("127.0.0.1", port)).await else {
        return false;
    };
    let mut answer = String::new();
    let request = b"GET /health HTTP/1.0\r\n\r\n";
    stream.write_all(request).await.is_ok()
        && stream.read_to_string(&mut answer).await.is_ok()
        && answer.contains("true")
}

/// Ports that nobody listened on a moment ago; all different.
///
/// # Panics
/// When no loopback port is to be had.
#[must_use]
pub fn free_ports<const N: usize>() -> [u16; N] {
    /// Below those that a system gives connections that go out (from 32768 on Linux), so that none
    /// of them takes a port between now and its use.
    const PORTS: std::ops::Range<u32> = 20_000..32_000;
    /// Processes begin at different ones.
    static NEXT: LazyLock<AtomicU32> =
        LazyLock::new(|| AtomicU32::new(std::process::id().wrapping_mul(97)));
    std::array::from_fn(|_| {
        let mut tries = PORTS.map(|_| {
            let turn = NEXT.fetch_add(1, Ordering::Relaxed) % (PORTS.end - PORTS.start);
            u16::try_from(PORTS.start + turn).expect("they are ports")
        });
        let free = |port: &u16| TcpListener::bind(("127.0.0.1", *port)).is_ok();
        tries.find(free).expect("a loopback port can be bound")
    })
}
