//! The roles that observe: `dns` probes and answers, `observer` probes and answers nobody.
//!
//! ```text
//! feed, prober, lines of other observers ─► owner of the engine ─► report ─► host, lines
//!                                                 └─ role dns ─► sockets
//! ```
//!
//! A witness is an observer in a place that nothing else stands in: with it a majority is left when one of two
//! cities is lost. It knows no geography, since that changes no verdict.

use crate::checkpoint::CheckpointFile;
use crate::control_targets;
use crate::geography;
use crate::given::{Given, GivenFolder};
use crate::own_state::OwnState;
use crate::peers::{Identity, Lines, Start};
use crate::replace::Estate;
use crate::run::{Options, Succession};
use crate::steering_loop::{EVENTS_MAX, Inputs, Outputs, SteeringLoop};
use crate::updates;
use anyhow::{Context, Result, bail};
use console::{Part, Question, Readiness};
use controller::CookieKeys;
use controller::dns_role::{
    ChallengeStore, Feed, FeedOptions, ObserverOptions, TSIG_SECRET_NAME, TsigKeys,
    follow_cookie_keys, follow_tsig_keys, run_feed, run_observer,
};
use dns::Snapshot;
use dns_server::{DnsMetrics, DnsServer, Handle, Named, UPDATES_MAX, UpdateRequest};
use futures::FutureExt;
use futures::future::BoxFuture;
use geo::RegionLocations;
use model::ObserverName;
use prober::{Prober, RESOLVED_MAX, RESULTS_MAX, Resolver};
use prometheus_client::registry::Registry;
use std::sync::Arc;
use steering::{Checkpoint, Contact, Effect, Engine, EngineOptions, Event, Observer};
use tokio::sync::{mpsc, oneshot, watch};
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

/// Starts the role `dns`; its sockets are open when this returns.
///
/// # Errors
/// A port that is taken, a database or a checkpoint's folder that cannot be used.
pub(crate) async fn start_dns(
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
    let engine_options = engine_options(options, steering::Part::Observes, regions);
    let (engine, first) = engine(engine_options, &checkpoint);
    let (snapshot, inherited) = first_snapshot(&first, succession.inherited)?;
    let (updates, asked) = mpsc::channel(UPDATES_MAX);
    let server = Arc::new(listen(options, metrics, updates, snapshot, inherited)?);
    readiness.send_modify(|readiness| readiness.ready(Part::Sockets));
    let (challenges, served) = watch::channel(0);
    let store = ChallengeStore::new(options.host.clone(), &options.system_namespace);
    tasks.spawn(updates::run(asked, store, served, stop.clone()));
    let (ask, checkpoints) = mpsc::channel(1);
    let (give, given) = mpsc::channel(1);
    let folder_of_given = GivenFolder::in_folder(&options.state_dir)?;
    let (folder, sockets) = (&options.state_dir, server.sockets());
    let estate = Estate::new(folder, sockets, succession.console, ask)?;
    tasks.spawn(estate.hand_over(stop.clone(), succession.replaced.clone()));
    // The database comes before everything else, so that the first snapshot knows geography.
    let first_events = geography.into_iter().chain(folder_of_given.events());
    let observing = Observing {
        engine,
        first,
        first_events: first_events.collect(),
        answers: Some(Arc::clone(&server)),
        questions,
        given,
        checkpoints,
        challenges,
        readiness,
        checkpoint,
        replaced: succession.replaced,
    };
    let events = observe(options, metrics, observing, (stop, tasks)).await?;
    let failures = geography::failures(metrics);
    let following = geography::follow(options.geo.clone(), countries, events, failures);
    tasks.spawn(stop.clone().run_until_cancelled_owned(following));
    let taking = folder_of_given.run(give, options.host.clone());
    tasks.spawn(stop.clone().run_until_cancelled_owned(taking));
    tasks.spawn(share_cookies(options, Arc::clone(&server), stop.clone()));
    tasks.spawn(take_keys(options, Arc::clone(&server), stop.clone()));
    Ok(server)
}

/// Starts the role `observer`.
///
/// # Errors
/// The folder of state cannot be used, or the address for other observers.
pub(crate) async fn start_witness(
    options: &Options,
    metrics: &mut Registry,
    readiness: watch::Sender<Readiness>,
    (stop, tasks): (&CancellationToken, &TaskTracker),
) -> Result<()> {
    let checkpoint = CheckpointFile::in_folder(&options.state_dir)?;
    let part = steering::Part::Witnesses;
    let (engine, first) = engine(
        engine_options(options, part, RegionLocations::default()),
        &checkpoint,
    );
    // Nobody asks it anything: the other ends of these are gone.
    let (_, questions) = mpsc::channel(1);
    let (_, given) = mpsc::channel(1);
    let (_, checkpoints) = mpsc::channel(1);
    let (challenges, _) = watch::channel(0);
    let observing = Observing {
        engine,
        first,
        first_events: Vec::new(),
        answers: None,
        questions,
        given,
        checkpoints,
        challenges,
        readiness,
        checkpoint,
        replaced: CancellationToken::new(),
    };
    observe(options, metrics, observing, (stop, tasks)).await?;
    Ok(())
}

/// What an observer starts with.
struct Observing {
    engine: Engine,
    /// Effects of a restored engine.
    first: Vec<Effect>,
    first_events: Vec<Event>,
    answers: Option<Arc<Handle>>,
    questions: mpsc::Receiver<Question>,
    given: mpsc::Receiver<Given>,
    checkpoints: mpsc::Receiver<oneshot::Sender<()>>,
    challenges: watch::Sender<u64>,
    readiness: watch::Sender<Readiness>,
    checkpoint: CheckpointFile,
    replaced: CancellationToken,
}

/// Starts the owner of the engine, with all that it hears and tells; gives where events go.
async fn observe(
    options: &Options,
    metrics: &mut Registry,
    observing: Observing,
    (stop, tasks): (&CancellationToken, &TaskTracker),
) -> Result<mpsc::Sender<Event>> {
    let identity = Identity::in_folder(&options.state_dir)?;
    let contact = Contact {
        address: options.peers.advertised()?,
        certificate: identity.fingerprint(),
    };
    let start = match options.dns.replace {
        true => Start::Succeeds,
        false => Start::Fresh,
    };
    let listen = Lines::listen(&options.peers, start).await?;
    let (events, received) = mpsc::channel(EVENTS_MAX);
    for event in observing.first_events {
        let sent = events.try_send(event);
        sent.context("the first events have places")?;
    }
    let (results, probed) = mpsc::channel(RESULTS_MAX);
    let (words, resolved) = mpsc::channel(RESOLVED_MAX);
    let (report, reports) = watch::channel(None);
    let (peers, others) = watch::channel(None);
    let inputs = Inputs {
        events: received,
        probed,
        resolved,
        questions: observing.questions,
        given: observing.given,
        checkpoints: observing.checkpoints,
    };
    let replaced = observing.replaced.clone();
    let outputs = Outputs {
        answers: observing.answers,
        prober: Prober::start(seed(&options.identity), results),
        resolver: Resolver::start(options.dns.resolvers(), words),
        report,
        own_state: OwnState::new(metrics),
        peers,
        challenges: observing.challenges,
        readiness: observing.readiness,
        checkpoint: observing.checkpoint,
        replaced: observing.replaced,
    };
    let lines = Lines::new(identity, others, reports.clone(), events.clone(), metrics);
    tasks.spawn(stop.clone().run_until_cancelled_owned(lines.run(listen)));
    let owner = SteeringLoop::new(observing.engine, inputs, outputs, observing.first);
    let runtime = tokio::runtime::Handle::current();
    // Its own thread: compiling a table must not hold up the runtime.
    tasks.spawn_blocking(move || runtime.block_on(owner.run()));
    let controls = control_targets::follow(options.dns.control_targets.clone(), events.clone());
    tasks.spawn(stop.clone().run_until_cancelled_owned(controls));
    let observer = ObserverName::from(options.identity.as_str());
    let feeding = feed(options, observer.clone(), events.clone(), stop.clone());
    tasks.spawn(feeding);
    let observing = ObserverOptions {
        client: options.host.clone(),
        system_namespace: options.system_namespace.clone(),
        identity: observer,
        domain: options.failure_domain.clone(),
        contact,
        replaced,
    };
    tasks.spawn(run_observer(observing, reports, stop.clone()));
    Ok(events)
}

/// Who observes here, and what the engine is told once.
fn engine_options(
    options: &Options,
    part: steering::Part,
    regions: RegionLocations,
) -> EngineOptions {
    EngineOptions {
        observer: Observer {
            name: ObserverName::from(options.identity.as_str()),
            domain: options.failure_domain.clone(),
            contact: None,
        },
        part,
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
        let following = follow_cookie_keys(client, &namespace, tell).boxed();
        until_stopped(following, using, stop).await;
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
        let following = follow_tsig_keys(client, &namespace, tell).boxed();
        until_stopped(following, using, stop).await;
    }
}

/// Follows something and uses it, until it is told to stop.
async fn until_stopped(
    following: BoxFuture<'_, ()>,
    using: impl Future<Output = ()>,
    stop: CancellationToken,
) {
    tokio::select! {
        () = following => {}
        () = using => {}
        () = stop.cancelled() => {}
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
