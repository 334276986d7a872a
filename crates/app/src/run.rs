//! `meridian run`: wires the roles of one process together and decides nothing.
//!
//! ```text
//! role controller   lease → controller
//! role dns          feed → steering loop → DNS sockets, prober, observer, checkpoint
//! role observer     the same without sockets: a witness (observing.rs has both)
//! role webhook      the host's certificate → admission over HTTPS
//! all               console: metrics, liveness, readiness, explanations
//! ```

use crate::cli::{self, Role};
use crate::dns_listen::DnsListen;
use crate::geography::GeoFiles;
use crate::kubeconfig;
use crate::lookups;
use crate::observing::{start_dns, start_witness};
use crate::peers::PeersListen;
use crate::replace::Predecessor;
use anyhow::{Context, Result, ensure};
use console::{Console, Listening, Part, QUESTIONS_MAX, Readiness, serve_webhook};
use controller::{
    Controller, ControllerOptions, ExecPlugins, WallClock, admission, follow_webhook_certificate,
};
use dns::Transport;
use dns_server::{Handle, Named};
use kube::Client;
use prometheus_client::registry::Registry;
use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::os::fd::OwnedFd;
use std::path::PathBuf;
use std::sync::Arc;
use tokio::sync::{mpsc, watch};
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

/// What a process is told.
pub(crate) struct Options {
    /// The host.
    pub(crate) host: Client,
    /// Namespace of meridian's own objects.
    pub(crate) system_namespace: String,
    /// What it does.
    pub(crate) roles: Vec<Role>,
    /// Its name.
    pub(crate) identity: String,
    /// Its failure domain.
    pub(crate) failure_domain: String,
    /// How DNS is answered.
    pub(crate) dns: DnsListen,
    /// How reports travel without the host.
    pub(crate) peers: PeersListen,
    /// The console's address.
    pub(crate) http_listen: SocketAddr,
    /// The webhook's address.
    pub(crate) webhook_listen: SocketAddr,
    /// Programs that members' kubeconfigs may have run.
    pub(crate) plugins: ExecPlugins,
    /// Databases and lines.
    pub(crate) geo: GeoFiles,
    /// Folder of the checkpoint.
    pub(crate) state_dir: PathBuf,
}

/// A process that runs.
pub(crate) struct Running {
    /// Where DNS is answered over UDP and TCP, with the ports that the system chose.
    pub(crate) dns: Vec<SocketAddr>,
    /// Where the console is.
    pub(crate) http: SocketAddr,
    stop: CancellationToken,
    /// Cancelled when a successor answers.
    replaced: CancellationToken,
    tasks: TaskTracker,
    server: Option<Arc<Handle>>,
}

/// Runs the command until it is asked to stop.
///
/// # Errors
/// A port that is taken, a database that does not read, a host that is not named.
pub(crate) async fn run(args: cli::Run) -> Result<()> {
    open_files_max();
    let config = kubeconfig::host(&args.host).await?;
    let options = Options {
        host: Client::try_from(config)?,
        system_namespace: args.host.system_namespace.clone(),
        roles: args.roles,
        identity: args.identity.unwrap_or_else(host_name),
        failure_domain: args.failure_domain,
        dns: args.dns,
        peers: args.peers,
        http_listen: args.http_listen,
        webhook_listen: args.webhook_listen,
        plugins: args.host.exec_plugins(),
        geo: GeoFiles {
            databases: args.geo_databases,
            lines: args.geo_lines,
        },
        state_dir: args.state_dir,
    };
    let running = start(options).await?;
    tracing::info!(dns = ?running.dns, http = %running.http, "running");
    tokio::select! {
        () = stop_signal() => tracing::info!("stopping"),
        () = running.replaced.cancelled() => tracing::info!("replaced: stopping"),
    }
    running.stop().await;
    Ok(())
}

/// Starts the roles; sockets are open and databases read when this returns.
///
/// # Errors
/// As [`run`].
pub(crate) async fn start(options: Options) -> Result<Running> {
    let stop = CancellationToken::new();
    let tasks = TaskTracker::new();
    let mut metrics = Registry::default();
    let parts = parts(&options.roles)?;
    let mut predecessor = predecessor(&options)?;
    let inherited = predecessor.as_mut();
    let http = match inherited.and_then(|before| before.console(options.http_listen)) {
        Some(listener) => Listening::inherit(listener)?,
        None => Listening::on(options.http_listen).await?,
    };
    let http_address = http.address;
    let succession = Succession {
        inherited: predecessor.as_mut().map(Predecessor::take_sockets),
        console: (http_address, http.socket()?),
        replaced: CancellationToken::new(),
    };
    let replaced = succession.replaced.clone();
    let (readiness, is_ready) = watch::channel(Readiness::waiting_for(&parts));
    let mut questions = None;
    let mut server = None;
    if options.roles.contains(&Role::Webhook) {
        start_webhook(&options, readiness.clone(), &stop, &tasks).await?;
    }
    if options.roles.contains(&Role::Observer) {
        let roles = (&stop, &tasks);
        start_witness(&options, &mut metrics, readiness.clone(), roles).await?;
    }
    if options.roles.contains(&Role::Dns) {
        let (asked, received) = mpsc::channel(QUESTIONS_MAX);
        questions = Some(asked);
        let roles = (&stop, &tasks);
        let starting = start_dns(
            &options,
            &mut metrics,
            received,
            readiness,
            succession,
            roles,
        );
        server = Some(starting.await?);
    }
    if options.roles.contains(&Role::Controller) {
        start_controller(&options, &mut metrics, &stop, &tasks).await?;
    }
    let console = Console {
        metrics: Arc::new(metrics),
        readiness: is_ready,
        questions,
    };
    let stopped = stop.clone().cancelled_owned();
    tasks.spawn(http.serve(console, stopped));
    tasks.close();
    predecessor.map_or(Ok(()), Predecessor::end)?;
    let dns = server
        .as_ref()
        .map(|server| server.local_addrs(Transport::Udp))
        .unwrap_or_default();
    Ok(Running {
        dns,
        http: http_address,
        stop,
        replaced,
        tasks,
        server,
    })
}

/// What a process with these roles waits for before it is ready.
fn parts(roles: &[Role]) -> Result<Vec<Part>> {
    let has = |role: Role| roles.contains(&role);
    ensure!(
        !(has(Role::Dns) && has(Role::Observer)),
        "--roles: dns observes as well; observer is for a process that answers nobody"
    );
    let mut parts = Vec::new();
    if has(Role::Dns) {
        parts.extend([Part::Snapshot, Part::Sockets]);
    }
    if has(Role::Observer) {
        parts.push(Part::Snapshot);
    }
    if has(Role::Webhook) {
        parts.push(Part::Certificate);
    }
    Ok(parts)
}

/// What one process leaves to the next.
pub(crate) struct Succession {
    /// The sockets of the one before, if this one replaces it.
    pub(crate) inherited: Option<Vec<Named>>,
    /// The console's, for the one after.
    pub(crate) console: (SocketAddr, OwnedFd),
    /// Cancelled when that one answers.
    pub(crate) replaced: CancellationToken,
}

/// Whom this process replaces.
fn predecessor(options: &Options) -> Result<Option<Predecessor>> {
    if !options.dns.replace {
        return Ok(None);
    }
    ensure!(
        options.roles == [Role::Dns],
        "--replace is for a process that answers DNS and does nothing else: add --roles dns"
    );
    Predecessor::ask(&options.state_dir).map(Some)
}

impl Running {
    /// Stops every role; the Lease is released, the last checkpoint written.
    pub(crate) async fn stop(self) {
        self.stop.cancel();
        self.tasks.wait().await;
        // The steering loop, which held the other half, has ended.
        if let Some(server) = self.server.and_then(Arc::into_inner) {
            server.stop().await;
        }
    }
}

async fn start_controller(
    options: &Options,
    metrics: &mut Registry,
    stop: &CancellationToken,
    tasks: &TaskTracker,
) -> Result<()> {
    let controller = Controller::new(
        ControllerOptions {
            client: options.host.clone(),
            system_namespace: options.system_namespace.clone(),
            // A process that was restarted is another candidate than the one before.
            identity: format!("{}_{:08x}", options.identity, rand::random::<u32>()),
            in_process: BTreeMap::new(),
            clock: WallClock::System,
            plugins: options.plugins.clone(),
            lease_times: None,
        },
        stop.clone(),
    )
    .await
    .context("the controller cannot start; are meridian's CRDs installed? 'kubectl apply --server-side -f crds/'")?;
    let controller = controller.with_lookups(lookups::for_controller(options.dns.resolvers()));
    controller.metrics().register(metrics);
    tasks.spawn(controller.run());
    Ok(())
}

/// Whoever listens need not lead: the certificate comes from the host.
async fn start_webhook(
    options: &Options,
    readiness: watch::Sender<Readiness>,
    stop: &CancellationToken,
    tasks: &TaskTracker,
) -> Result<()> {
    let listening = Listening::on(options.webhook_listen).await;
    let listening = listening.context("--webhook-listen")?;
    let (newest, certificate) = watch::channel(None);
    let (client, namespace) = (options.host.clone(), options.system_namespace.clone());
    tasks.spawn(stop.clone().run_until_cancelled_owned(async move {
        follow_webhook_certificate(client, &namespace, newest).await;
    }));
    let mut first = certificate.clone();
    tasks.spawn(stop.clone().run_until_cancelled_owned(async move {
        if first.wait_for(Option::is_some).await.is_ok() {
            readiness.send_modify(|readiness| readiness.ready(Part::Certificate));
        }
    }));
    let stopped = stop.clone().cancelled_owned();
    let served = serve_webhook(listening, certificate, admission::review, stopped);
    tasks.spawn(async move {
        if let Err(error) = served.await {
            tracing::error!(%error, "the webhook does not listen");
        }
    });
    Ok(())
}

/// Takes as many open files as this process may have: each probe and each connection is one. Where it may not, it goes on
/// with what it has.
fn open_files_max() {
    use rustix::process::{Resource, getrlimit, setrlimit};
    let mut limit = getrlimit(Resource::Nofile);
    limit.current = limit.maximum;
    if let Err(why) = setrlimit(Resource::Nofile, limit) {
        tracing::warn!(%why, "the limit of open files stays as it is");
    }
}

/// The machine's name as a DNS label.
fn host_name() -> String {
    let name = std::fs::read_to_string("/proc/sys/kernel/hostname").unwrap_or_default();
    let fine = |c: char| c.is_ascii_alphanumeric() || c == '-';
    let name: String = name
        .trim()
        .to_lowercase()
        .chars()
        .filter(|c| fine(*c))
        .take(63)
        .collect();
    if name.is_empty() {
        "meridian".to_owned()
    } else {
        name
    }
}

/// Resolves on SIGTERM, as a pod's end begins, or Ctrl-C.
pub(crate) async fn stop_signal() {
    use tokio::signal::unix::{SignalKind, signal};
    let Ok(mut terminate) = signal(SignalKind::terminate()) else {
        // Without handlers the default action ends the process.
        return std::future::pending().await;
    };
    tokio::select! {
        _ = terminate.recv() => {}
        _ = tokio::signal::ctrl_c() => {}
    }
}
