//! Reports that travel directly between observers, when the host does not carry them.
//!
//! ```text
//! owner of the engine ──Peers, own report──► lines ══TLS, both ways══► lines ──others' reports──► its owner
//! ```
//!
//! | part | what |
//! |---|---|
//! | `peers/identity.rs` | this observer's certificate, in the folder of state |
//! | `peers/trust.rs` | who is believed: whose certificate's SHA-256 stands on its Lease |
//! | `peers/line.rs` | what is said on a line |
//!
//! # Guarantees
//! Both ends of a line show a certificate that the host has named, and each tells its own report only. At most
//! [`LINES_MAX`] lines that others dialled are open; each wait has a bound.
//! # Assumptions
//! Who may write an observer's Lease may speak for it.
//! # Caveats
//! An observer that lost its folder of state has another certificate: while the host is away nobody believes it.

mod identity;
mod line;
mod trust;

pub(crate) use identity::Identity;

use anyhow::{Context, Result, ensure};
use clap::Args;
use line::{End, Line};
use model::ObserverName;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::registry::Registry;
use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;
use steering::{Event, HostContact, Peers, ProbeReportValue};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{Semaphore, mpsc, watch};
use tokio::task::JoinSet;
use tokio::time::{sleep, timeout};
use tokio_rustls::{TlsAcceptor, TlsConnector};
use tokio_util::task::AbortOnDropHandle;

/// Lines that others dialled and that are open at a time.
const LINES_MAX: usize = 64;
/// How long connecting and shaking hands may take.
const PATIENCE: Duration = Duration::from_secs(3);
/// Between two attempts to reach an observer, and after an error of the listening socket.
const AGAIN: Duration = Duration::from_secs(1);

/// Flags of who observes.
#[derive(Clone, Debug, Default, Args)]
#[command(next_help_heading = "Observers")]
pub(crate) struct PeersListen {
    /// Address that takes other observers' reports when the host does not carry them, such as 0.0.0.0:8530
    /// [default: none; those that take some are dialled all the same]
    #[arg(long = "observers-listen", value_name = "ADDRESS")]
    listen: Option<SocketAddr>,
    /// Where others reach that, as a host name or an address with a port [default: --observers-listen]
    #[arg(
        long = "observers-address",
        value_name = "HOST:PORT",
        requires = "listen"
    )]
    address: Option<String>,
}

impl PeersListen {
    /// Where others reach it.
    ///
    /// # Errors
    /// It listens everywhere and does not say where.
    pub(crate) fn advertised(&self) -> Result<Option<String>> {
        let Some(listen) = self.listen else {
            return Ok(None);
        };
        match &self.address {
            Some(address) => Ok(Some(address.clone())),
            None => {
                ensure!(
                    !listen.ip().is_unspecified() && listen.port() != 0,
                    "--observers-listen {listen} is no address that others can reach: say with \
                     --observers-address where they do"
                );
                Ok(Some(listen.to_string()))
            }
        }
    }
}

/// Whether another process with the same state may still run.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Start {
    Fresh,
    Succeeds,
}

/// Where others are taken.
#[derive(Debug)]
pub(crate) enum Listen {
    Nowhere,
    On(TcpListener),
    /// When whoever listens there has ended.
    Later(SocketAddr),
}

impl Listen {
    async fn listener(self) -> Option<TcpListener> {
        let address = match self {
            Self::Nowhere => return None,
            Self::On(listener) => return Some(listener),
            Self::Later(address) => address,
        };
        loop {
            sleep(AGAIN).await;
            match TcpListener::bind(address).await {
                Ok(listener) => return Some(listener),
                Err(why) => tracing::debug!(%why, %address, "--observers-listen"),
            }
        }
    }
}

/// How many lines there are, and what came over them.
#[derive(Clone, Default)]
struct Metrics {
    lines: Gauge,
    reports: Counter,
}

/// Lines to other observers, as long as it is kept.
pub(crate) struct Lines {
    identity: Identity,
    peers: watch::Receiver<Option<Peers>>,
    end: End,
    metrics: Metrics,
}

impl Lines {
    /// Lines that tell `reports` and hand in what they are told.
    pub(crate) fn new(
        identity: Identity,
        peers: watch::Receiver<Option<Peers>>,
        reports: watch::Receiver<Option<ProbeReportValue>>,
        events: mpsc::Sender<Event>,
        registry: &mut Registry,
    ) -> Self {
        let metrics = Metrics::default();
        let help =
            "Lines to other observers that are open, the host being away from one of the two";
        registry.register("meridian_observer_lines", help, metrics.lines.clone());
        let help = "Reports of other observers that came directly";
        registry.register("meridian_observer_reports", help, metrics.reports.clone());
        let told = metrics.reports.clone();
        Self {
            identity,
            peers,
            end: End {
                reports,
                events,
                told,
            },
            metrics,
        }
    }

    /// Opens the listening socket of the flags. Who `succeeds` a process gets it when that has ended.
    ///
    /// # Errors
    /// The address is taken.
    pub(crate) async fn listen(flags: &PeersListen, start: Start) -> Result<Listen> {
        let Some(address) = flags.listen else {
            return Ok(Listen::Nowhere);
        };
        match (TcpListener::bind(address).await, start) {
            (Ok(listener), _) => Ok(Listen::On(listener)),
            (Err(_), Start::Succeeds) => Ok(Listen::Later(address)),
            (Err(why), Start::Fresh) => {
                Err(why).with_context(|| format!("--observers-listen {address}"))
            }
        }
    }

    /// Dials whom the engine wants dialled, and takes who dials, until nobody tells whom any more.
    pub(crate) async fn run(self, listen: Listen) {
        let this = Arc::new(self);
        let accepting = Arc::clone(&this).accept(listen);
        let accepting = AbortOnDropHandle::new(tokio::spawn(accepting));
        let mut dialled: BTreeMap<Peer, AbortOnDropHandle<()>> = BTreeMap::new();
        let mut peers = this.peers.clone();
        while peers.changed().await.is_ok() {
            let wanted = wanted(peers.borrow_and_update().as_ref());
            dialled.retain(|peer, _| wanted.contains(peer));
            for peer in wanted {
                dialled.entry(peer).or_insert_with_key(|peer| {
                    let (this, peer) = (Arc::clone(&this), peer.clone());
                    AbortOnDropHandle::new(tokio::spawn(async move { this.keep(&peer).await }))
                });
            }
        }
        drop(accepting);
    }

    /// Keeps a line to an observer.
    async fn keep(&self, peer: &Peer) {
        let connector =
            TlsConnector::from(Arc::new(trust::client(&self.identity, &peer.certificate)));
        loop {
            let dialled = async {
                let stream = TcpStream::connect(&peer.address).await?;
                stream.set_nodelay(true)?;
                connector.connect(trust::name(), stream).await
            };
            let outcome = match timeout(PATIENCE, dialled).await {
                Ok(Ok(stream)) => self.talk(&peer.name, stream).await,
                Ok(Err(why)) => why.to_string(),
                Err(_) => "it does not answer in time".to_owned(),
            };
            tracing::debug!(observer = %peer.name, address = peer.address, why = outcome, "no line");
            sleep(AGAIN).await;
        }
    }

    async fn accept(self: Arc<Self>, listen: Listen) {
        let Some(listener) = listen.listener().await else {
            return;
        };
        let mut lines = JoinSet::new();
        let places = Arc::new(Semaphore::new(LINES_MAX));
        let config = trust::server(&self.identity, self.peers.clone());
        let acceptor = TlsAcceptor::from(Arc::new(config));
        loop {
            let Ok(place) = Arc::clone(&places).acquire_owned().await else {
                return;
            };
            let stream = match listener.accept().await {
                Ok((stream, _)) => stream,
                Err(why) => {
                    tracing::warn!(%why, "--observers-listen");
                    sleep(AGAIN).await;
                    continue;
                }
            };
            let (this, acceptor) = (Arc::clone(&self), acceptor.clone());
            while lines.try_join_next().is_some() {}
            lines.spawn(async move {
                let _place = place;
                let shaken = timeout(PATIENCE, acceptor.accept(stream)).await;
                let Ok(Ok(stream)) = shaken else { return };
                let shown = stream.get_ref().1.peer_certificates();
                let Some(name) = shown.and_then(|shown| trust::whose(&this.peers, shown)) else {
                    return;
                };
                let why = this.talk(&name, stream).await;
                tracing::debug!(observer = %name, why, "a line ended");
            });
        }
    }

    /// Says and hears reports until the line ends; why it did.
    async fn talk<S>(&self, name: &ObserverName, stream: S) -> String
    where
        S: tokio::io::AsyncRead + tokio::io::AsyncWrite + Unpin,
    {
        let _open = Open::new(&self.metrics.lines);
        Line::new(stream, name.clone()).talk(self.end.clone()).await
    }
}

/// An observer that is dialled.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
struct Peer {
    name: ObserverName,
    address: String,
    certificate: String,
}

/// Whom to dial: nobody while the host carries reports.
fn wanted(peers: Option<&Peers>) -> Vec<Peer> {
    let lost = peers.filter(|peers| peers.host == HostContact::Lost);
    let known = lost.into_iter().flat_map(|peers| &peers.known);
    let dialled = known.filter_map(|observer| {
        let contact = observer.contact.as_ref()?;
        Some(Peer {
            name: observer.name.clone(),
            address: contact.address.clone()?,
            certificate: contact.certificate.clone(),
        })
    });
    dialled.take(LINES_MAX).collect()
}

/// Counts a line while it is open.
struct Open<'a>(&'a Gauge);

impl<'a> Open<'a> {
    fn new(gauge: &'a Gauge) -> Self {
        gauge.inc();
        Self(gauge)
    }
}

impl Drop for Open<'_> {
    fn drop(&mut self) {
        self.0.dec();
    }
}

#[cfg(test)]
#[path = "peers/tests.rs"]
mod tests;
