//! `meridian run`: wires the roles of one process together and decides nothing.
//!
//! ```text
//! role controller   lease → controller
//! role dns          feed → steering loop → DNS sockets, prober, observer, checkpoint
//! role webhook      the host's certificate → admission over HTTPS
//! all               console: metrics, liveness, readiness, explanations
//! ```

use crate::checkpoint::CheckpointFile;
use crate::cli::{self, Role};
use crate::control_targets;
use crate::dns_listen::DnsListen;
use crate::geography::{self, GeoFiles};
use crate::given::GivenFolder;
use crate::kubeconfig;
use crate::replace::{Estate, Predecessor};
use crate::steering_loop::{EVENTS_MAX, Inputs, Outputs, SteeringLoop};
use crate::updates;
use anyhow::{Context, Result, bail, ensure};
use console::{Console, Listening, Part, QUESTIONS_MAX, Question, Readiness, serve_webhook};
use controller::dns_role::{
    ChallengeStore, Feed, FeedOptions, ObserverOptions, TSIG_SECRET_NAME, TsigKeys,
    follow_cookie_keys, follow_tsig_keys, run_feed, run_observer,
};
use controller::{
    Controller, ControllerOptions, CookieKeys, ExecPlugins, WallClock, admission,
    follow_webhook_certificate,
};
use dns::{Snapshot, Transport};
use dns_server::{DnsMetrics, DnsServer, Handle, Named, UPDATES_MAX, UpdateRequest};
use futures::FutureExt;
use geo::RegionLocations;
use kube::Client;
use model::ObserverName;
use prober::{Prober, RESOLVED_MAX, RESULTS_MAX, Resolver};
use prometheus_client::registry::Registry;
use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::os::fd::OwnedFd;
use std::path::PathBuf;
use std::sync::Arc;
use steering::{Checkpoint, Effect, Engine, EngineOptions, Event, Observer};
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
    let mut predecessor = predecessor(&options)?;
    let inherited = predecessor.as_mut();
    let http = match inherited.and_then(|before| before.console(options.http_listen)) {
        Some(listener) => Listening::inherit(listener)?,
        None => Listening::on(options.http_listen).await?,
    };
    let http_address = http.address;
    let serves_dns = options.roles.contains(&Role::Dns);
    let succession = Succession {
        inherited: predecessor.as_mut().map(Predecessor::take_sockets),
        console: (http_address, http.socket()?),
        replaced: CancellationToken::new(),
    };
    let replaced = succession.replaced.clone();
    let mut parts = Vec::new();
    if serves_dns {
        parts.extend([Part::Snapshot, Part::Sockets]);
    }
    if options.roles.contains(&Role::Webhook) {
        parts.push(Part::Certificate);
    }
    let (readiness, is_ready) = watch::channel(Readiness::waiting_for(&parts));
    let mut questions = None;
    let mut server = None;
    if options.roles.contains(&Role::Webhook) {
        start_webhook(&options, readiness.clone(), &stop, &tasks).await?;
    }
    if serves_dns {
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

/// What one process leaves to the next.
struct Succession {
    /// The sockets of the one before, if this one replaces it.
    inherited: Option<Vec<Named>>,
    /// The console's, for the one after.
    console: (SocketAddr, OwnedFd),
    /// Cancelled when that one answers.
    replaced: CancellationToken,
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

async fn start_dns(
    options: &Options,
    metrics: &mut Registry,
    questions: mpsc::Receiver<Question>,
    readiness: watch::Sender<Readiness>,
    succession: Succession,
    (stop, tasks): (&CancellationToken, &TaskTracker),
) -> Result<Arc<Handle>> {
    let (countries, regions) = geography::places()?;
    let geography = options.geo.read(&countries)?;
    let checkpoint = CheckpointFile::in_folder(&options.state_dir)?;
    let observer = ObserverName::from(options.identity.as_str());
    let (engine, first) = engine(engine_options(options, regions), &checkpoint);
    let (snapshot, inherited) = first_snapshot(&first, succession.inherited)?;
    let (updates, asked) = mpsc::channel(UPDATES_MAX);
    let server = Arc::new(listen(options, metrics, updates, snapshot, inherited)?);
    readiness.send_modify(|readiness| readiness.ready(Part::Sockets));
    let (events, received) = mpsc::channel(EVENTS_MAX);
    let (results, probed) = mpsc::channel(RESULTS_MAX);
    let (words, resolved) = mpsc::channel(RESOLVED_MAX);
    let (report, reports) = watch::channel(None);
    let (challenges, served) = watch::channel(0);
    let store = ChallengeStore::new(options.host.clone(), &options.system_namespace);
    tasks.spawn(updates::run(asked, store, served, stop.clone()));
    let (ask, checkpoints) = mpsc::channel(1);
    let (give, given) = mpsc::channel(1);
    let folder_of_given = GivenFolder::in_folder(&options.state_dir)?;
    let (folder, sockets) = (&options.state_dir, server.sockets());
    let estate = Estate::new(folder, sockets, succession.console, ask)?;
    tasks.spawn(estate.hand_over(stop.clone(), succession.replaced.clone()));
    let inputs = Inputs {
        events: received,
        probed,
        resolved,
        questions,
        given,
        checkpoints,
    };
    let prober = Prober::start(seed(&options.identity), results);
    let answers = Arc::clone(&server);
    let outputs = Outputs {
        answers,
        prober,
        resolver: Resolver::start(options.dns.resolvers(), words),
        report,
        challenges,
        readiness,
        checkpoint,
        replaced: succession.replaced.clone(),
    };
    // The database comes before everything else, so that the first snapshot knows geography.
    for event in geography.into_iter().chain(folder_of_given.events()) {
        let sent = events.try_send(event);
        sent.context("the first events have places")?;
    }
    let failures = geography::failures(metrics);
    let following = geography::follow(options.geo.clone(), countries, events.clone(), failures);
    tasks.spawn(stop.clone().run_until_cancelled_owned(following));
    let taking = folder_of_given.run(give, options.host.clone());
    tasks.spawn(stop.clone().run_until_cancelled_owned(taking));
    let controls = control_targets::follow(options.dns.control_targets.clone(), events.clone());
    tasks.spawn(stop.clone().run_until_cancelled_owned(controls));
    let owner = SteeringLoop::new(engine, inputs, outputs, first);
    let runtime = tokio::runtime::Handle::current();
    // Its own thread: compiling a table must not hold up the runtime.
    tasks.spawn_blocking(move || runtime.block_on(owner.run()));
    tasks.spawn(feed(options, observer.clone(), events, stop.clone()));
    let observing = ObserverOptions {
        client: options.host.clone(),
        system_namespace: options.system_namespace.clone(),
        identity: observer,
        domain: options.failure_domain.clone(),
        replaced: succession.replaced,
    };
    tasks.spawn(run_observer(observing, reports, stop.clone()));
    tasks.spawn(share_cookies(options, Arc::clone(&server), stop.clone()));
    tasks.spawn(take_keys(options, Arc::clone(&server), stop.clone()));
    Ok(server)
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

/// Who observes here, and what the engine is told once.
fn engine_options(options: &Options, regions: RegionLocations) -> EngineOptions {
    EngineOptions {
        observer: Observer {
            name: ObserverName::from(options.identity.as_str()),
            domain: options.failure_domain.clone(),
        },
        part: steering::Part::Observes,
        regions,
        max_stale_millis: EngineOptions::MAX_STALE_MILLIS,
    }
}

/// Events from the host, until it is told to stop.
fn feed(
    options: &Options,
    identity: ObserverName,
    events: mpsc::Sender<Event>,
    stop: CancellationToken,
) -> impl Future<Output = ()> + use<> {
    let feed = FeedOptions {
        client: options.host.clone(),
        system_namespace: options.system_namespace.clone(),
        identity,
    };
    async move {
        tokio::select! {
            () = run_feed(feed, Feed { events }).boxed() => {}
            () = stop.cancelled() => {}
        }
    }
}

/// Cookies with the host's keys, as soon as it has some.
fn share_cookies(
    options: &Options,
    server: Arc<Handle>,
    stop: CancellationToken,
) -> impl Future<Output = ()> + use<> {
    let (client, namespace) = (options.host.clone(), options.system_namespace.clone());
    let (tell, mut told) = watch::channel(None::<CookieKeys>);
    let using = async move {
        while told.changed().await.is_ok() {
            let keys = *told.borrow_and_update();
            if let Some(CookieKeys { current, other }) = keys {
                server.set_secrets(dns::Secrets { current, other });
            }
        }
    };
    async move {
        tokio::select! {
            () = follow_cookie_keys(client, &namespace, tell).boxed() => {}
            () = using => {}
            () = stop.cancelled() => {}
        }
    }
}

/// Signed queries, transfers and notices with the host's keys, those of them that read.
fn take_keys(
    options: &Options,
    server: Arc<Handle>,
    stop: CancellationToken,
) -> impl Future<Output = ()> + use<> {
    let (client, namespace) = (options.host.clone(), options.system_namespace.clone());
    let (tell, mut told) = watch::channel(None::<TsigKeys>);
    let using = async move {
        while told.changed().await.is_ok() {
            let texts = told.borrow_and_update().clone().unwrap_or_default();
            let keys = texts.iter().filter_map(|(name, text)| {
                let key = dns::Key::parse(name, text);
                key.inspect_err(|why| tracing::warn!("Secret {TSIG_SECRET_NAME}: {why}"))
                    .ok()
            });
            server.set_keys(dns::Keys::new(keys.collect()));
        }
    };
    async move {
        tokio::select! {
            () = follow_tsig_keys(client, &namespace, tell).boxed() => {}
            () = using => {}
            () = stop.cancelled() => {}
        }
    }
}

/// What is answered from the first query on: what the last process of this folder knew. One that finds nothing
/// there refuses until it has heard from the host.
fn first_snapshot(
    first: &[Effect],
    inherited: Option<Vec<Named>>,
) -> Result<(Arc<Snapshot>, Vec<Named>)> {
    let restored = first.iter().find_map(|effect| match effect {
        Effect::Publish(snapshot) => Some(Arc::clone(snapshot)),
        _ => None,
    });
    match (inherited, restored) {
        (Some(inherited), Some(snapshot)) => Ok((snapshot, inherited)),
        (Some(_), None) => bail!(
            "--replace: the one before has not answered anything yet, and goes on; wait until it \
             is ready"
        ),
        (None, Some(snapshot)) => Ok((snapshot, Vec::new())),
        (None, None) => Ok((Arc::new(Snapshot::empty()), Vec::new())),
    }
}

/// Opens the DNS sockets; with an empty snapshot every zone is refused.
fn listen(
    options: &Options,
    metrics: &mut Registry,
    updates: mpsc::Sender<UpdateRequest>,
    snapshot: Arc<Snapshot>,
    inherited: Vec<Named>,
) -> Result<Handle> {
    // Cookies of this process, until the host's keys are known.
    let secrets = dns::Secrets {
        current: rand::random(),
        other: None,
    };
    let mut listen = options.dns.options(secrets)?;
    listen.updates = Some(updates);
    let metrics = DnsMetrics::new(metrics);
    DnsServer::succeed(&listen, inherited, snapshot, &metrics).map_err(|why| {
        let what = match why.kind() {
            "taken" | "not_allowed" | "listen" => {
                "DNS is not answered; --dns-listen and its like choose other addresses"
            }
            _ => "DNS is not answered",
        };
        anyhow::Error::from(why).context(what)
    })
}

/// The engine as it was when the last process wrote its checkpoint, or a new one.
fn engine(options: EngineOptions, file: &CheckpointFile) -> (Engine, Vec<Effect>) {
    let now = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH);
    let now = u64::try_from(now.unwrap_or_default().as_millis()).unwrap_or(u64::MAX);
    match file.read::<Checkpoint>() {
        Ok(None) => (Engine::new(options), Vec::new()),
        Ok(Some(checkpoint)) => match Engine::restore(options.clone(), checkpoint, now) {
            Ok(restored) => restored,
            Err(why) => {
                tracing::warn!(%why, "starting without the checkpoint");
                (Engine::new(options), Vec::new())
            }
        },
        Err(why) => {
            tracing::warn!("{why:#}: starting without the checkpoint");
            (Engine::new(options), Vec::new())
        }
    }
}

/// Replicas probe at other moments than each other, and the same one as before at the same.
fn seed(identity: &str) -> u64 {
    identity.bytes().fold(0xcbf2_9ce4_8422_2325, |hash, byte| {
        (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3)
    })
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
