//! Starting, publishing and stopping.

use std::net::{SocketAddr, UdpSocket};
use std::num::NonZeroU32;
use std::os::fd::AsFd;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::{self, JoinHandle};
use std::time::{Duration, SystemTime};

use arc_swap::ArcSwap;
use dns::{Identity, Keys, RateLimiter, Rates, Secrets, Server, Snapshot, Transport};
use tokio::net::TcpListener;
use tokio::sync::{mpsc, watch};
use tokio::task;

use crate::accept::{self, Door, Limits};
use crate::certificate::{Certificate, CertificateFiles};
use crate::error::Error;
use crate::gather::{GATHER, Gather};
use crate::handover::{self, Named};
use crate::metrics::{Counters, DnsMetrics};
use crate::snapshots::Snapshots;
use crate::sockets::{self, Listening};
use crate::tap::{Tap, TapOptions};
use crate::update::UpdateRequest;
use crate::{https, notify, quic, stream, udp};

/// How a server listens.
#[derive(Clone)]
pub struct Options {
    /// Addresses, each for UDP and TCP; port 0 is any port that is free for both. A wildcard
    /// address answers from the address that was asked; IPv6 ones do not take IPv4.
    pub listen: Vec<SocketAddr>,
    /// Answering threads per address.
    pub udp_threads: usize,
    /// Where it listens for encrypted queries, if anywhere.
    pub encrypted: Option<Encrypted>,
    /// Connections per address and transport.
    pub connections_max: usize,
    /// The same per client: an IPv4 address or an IPv6 network of 64 bits.
    pub connections_per_client_max: usize,
    /// How long queries that come fast over UDP may wait for each other, so that they are answered
    /// together; none is answered at once.
    pub gather: Duration,
    /// Keys of server cookies; replicas that share an address share them.
    pub secrets: Secrets,
    /// What the server says of itself.
    pub identity: Identity,
    /// How many replies a network gets over UDP in a second.
    pub rates: Rates,
    /// Who keeps what an UPDATE changes (RFC 2136); without anybody it is not implemented.
    pub updates: Option<mpsc::Sender<UpdateRequest>>,
    /// Who is told of a sample of queries, if anybody.
    pub tap: Option<TapOptions>,
}

impl Options {
    /// One thread per address, 1024 connections, 64 of them per client, the usual rates, nothing
    /// encrypted, and nothing said of itself.
    pub fn new(listen: Vec<SocketAddr>, secrets: Secrets) -> Self {
        Self {
            listen,
            udp_threads: 1,
            gather: GATHER,
            encrypted: None,
            connections_max: 1024,
            connections_per_client_max: 64,
            secrets,
            identity: Identity::default(),
            rates: Rates::default(),
            updates: None,
            tap: None,
        }
    }
}

/// How a server listens for encrypted queries.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Encrypted {
    /// What it proves its name with.
    pub certificate: CertificateFiles,
    /// Addresses for DNS over TLS (port 853).
    pub tls: Vec<SocketAddr>,
    /// Addresses for DNS over HTTPS (port 443), at `/dns-query`.
    pub https: Vec<SocketAddr>,
    /// Addresses for DNS over QUIC (port 853).
    pub quic: Vec<SocketAddr>,
}

/// The server.
pub struct DnsServer;

impl DnsServer {
    /// Listens and answers from `snapshot`. To be called inside a tokio runtime.
    ///
    /// # Errors
    /// When an address is taken or cannot be listened on: it is named, and nothing listens.
    pub fn start(
        options: &Options,
        snapshot: Arc<Snapshot>,
        metrics: &DnsMetrics,
    ) -> Result<Handle, Error> {
        Self::succeed(options, Vec::new(), snapshot, metrics)
    }

    /// The same on the sockets of a predecessor, where it has some at an address, with as many
    /// threads as it had. Both answer until it stops.
    ///
    /// # Errors
    /// As [`DnsServer::start`].
    pub fn succeed(
        options: &Options,
        mut inherited: Vec<Named>,
        snapshot: Arc<Snapshot>,
        metrics: &DnsMetrics,
    ) -> Result<Handle, Error> {
        if options.listen.is_empty() {
            return Err(Error::NoAddress);
        }
        let listening = options
            .listen
            .iter()
            .map(|address| sockets::listen(*address, options.udp_threads, &mut inherited))
            .collect::<Result<Vec<_>, _>>()?;
        metrics.name_zones(snapshot.zone_numbers());
        let (stop, stopped) = watch::channel(());
        let tap = options.tap.clone().map(|tap| {
            let (tap, emptying) = Tap::new(tap, metrics.tap_lost(), stopped.clone());
            (tap, task::spawn(emptying))
        });
        let (tap, emptying) = tap.unzip();
        let shared = Arc::new(Shared {
            snapshots: Snapshots::new(snapshot),
            server: ArcSwap::from_pointee(Server {
                secrets: options.secrets.clone(),
                identity: options.identity.clone(),
                stream_idle_deciseconds: stream::IDLE_DECISECONDS,
                keys: Keys::default(),
            }),
            changed: watch::Sender::new(()),
            updates: options.updates.clone(),
            tap,
            stopping: AtomicBool::new(false),
        });
        let mut handle = Handle {
            addresses: Vec::new(),
            shared,
            threads: Vec::new(),
            listeners: emptying.into_iter().collect(),
            kept: Vec::new(),
            stop,
            metrics: metrics.clone(),
        };
        let mut doors = Doors {
            limits: Limits {
                connections_max: options.connections_max,
                connections_per_client_max: options.connections_per_client_max,
            },
            metrics,
            stopped,
            inherited,
        };
        if let Some(encrypted) = &options.encrypted {
            handle.listen_encrypted(encrypted, &mut doors)?;
        }
        for listening in listening {
            handle.listen_plain(listening, &doors, options.rates, options.gather)?;
        }
        let from = options.listen.iter().map(SocketAddr::ip).collect();
        let notifier = notify::run(Arc::clone(&handle.shared), from, doors.stopped);
        handle.listeners.push(task::spawn(notifier));
        Ok(handle)
    }
}

/// A running server. Dropping it stops the server too, without waiting.
pub struct Handle {
    addresses: Vec<(Transport, SocketAddr)>,
    shared: Arc<Shared>,
    threads: Vec<JoinHandle<()>>,
    listeners: Vec<task::JoinHandle<()>>,
    /// Every socket once more, for a successor.
    kept: Vec<Named>,
    stop: watch::Sender<()>,
    metrics: DnsMetrics,
}

impl Handle {
    /// The addresses that are listened on for this transport, with the ports that were chosen.
    pub fn local_addrs(&self, transport: Transport) -> Vec<SocketAddr> {
        let of = self.addresses.iter().filter(|(kind, _)| *kind == transport);
        of.map(|(_, address)| *address).collect()
    }

    /// Answers from `snapshot` from the next batch on. Drops earlier ones that are no longer used:
    /// not to be called from where a pause would hurt.
    pub fn publish(&self, snapshot: Arc<Snapshot>) {
        self.metrics.name_zones(snapshot.zone_numbers());
        self.shared.snapshots.publish(snapshot);
        self.shared.changed.send_replace(());
    }

    /// The generation that is being served.
    pub fn generation(&self) -> u64 {
        self.shared.snapshots.load().generation()
    }

    /// All sockets, for a successor.
    pub fn sockets(&self) -> &[Named] {
        &self.kept
    }

    /// Changes the keys of server cookies.
    pub fn set_secrets(&self, secrets: Secrets) {
        self.shared.server.rcu(|server| Server {
            secrets: secrets.clone(),
            ..Server::clone(server)
        });
    }

    /// Changes the keys of signed queries, transfers and notices.
    pub fn set_keys(&self, keys: Keys) {
        self.shared.server.rcu(|server| Server {
            keys: keys.clone(),
            ..Server::clone(server)
        });
        self.shared.changed.send_replace(());
    }

    /// Stops: queries that have come are answered, connections finish what they do.
    pub async fn stop(mut self) {
        self.tell_to_stop();
        for listener in std::mem::take(&mut self.listeners) {
            // A listener that panicked has stopped as well.
            let _ = listener.await;
        }
        let threads = std::mem::take(&mut self.threads);
        let joined = task::spawn_blocking(move || {
            for thread in threads {
                if thread.join().is_err() {
                    tracing::error!("an answering thread had panicked");
                }
            }
        });
        let _ = joined.await;
    }

    fn tell_to_stop(&self) {
        self.shared.stopping.store(true, Ordering::Relaxed);
        // Nobody listens when all have stopped already.
        let _ = self.stop.send(());
    }

    /// UDP and TCP on one address.
    fn listen_plain(
        &mut self,
        listening: Listening,
        doors: &Doors<'_>,
        rates: Rates,
        gather: Duration,
    ) -> Result<(), Error> {
        let address = listening.address;
        let threads = u32::try_from(listening.udp.len()).unwrap_or(u32::MAX);
        let threads = NonZeroU32::new(threads).unwrap_or(NonZeroU32::MIN);
        for socket in listening.udp {
            self.keep(Transport::Udp, address, &socket)?;
            let counters = doors.metrics.counters(Transport::Udp);
            let limiter = udp::limiter(rates, threads);
            self.answer_udp(socket, counters, limiter, Gather::new(gather))?;
        }
        self.addresses.push((Transport::Udp, address));
        self.keep(Transport::Tcp, address, &listening.tcp)?;
        let listener = TcpListener::from_std(listening.tcp)
            .map_err(|source| Error::listen("tcp", address, source))?;
        let door = self.door(doors, Transport::Tcp, address);
        let serve = |tcp, replier, stop| stream::connection(tcp, replier, stop);
        self.listeners
            .push(task::spawn(accept::run(listener, door, serve)));
        Ok(())
    }

    /// TLS, HTTPS and QUIC.
    fn listen_encrypted(
        &mut self,
        encrypted: &Encrypted,
        doors: &mut Doors<'_>,
    ) -> Result<(), Error> {
        let certificate = Certificate::load(encrypted.certificate.clone())?;
        for address in &encrypted.tls {
            let config = certificate.config(b"dot")?;
            let (listener, door) = self.listener(doors, Transport::Tls, *address)?;
            let serve =
                move |tcp, replier, stop| stream::tls(tcp, Arc::clone(&config), replier, stop);
            self.listeners
                .push(task::spawn(accept::run(listener, door, serve)));
        }
        for address in &encrypted.https {
            let config = certificate.config(b"h2")?;
            let (listener, door) = self.listener(doors, Transport::Https, *address)?;
            let serve = move |tcp, replier, stop| {
                https::connection(tcp, Arc::clone(&config), replier, stop)
            };
            self.listeners
                .push(task::spawn(accept::run(listener, door, serve)));
        }
        for address in &encrypted.quic {
            let refuse = |source| Error::listen("quic", *address, source);
            let label = Transport::Quic.label();
            let inherited = handover::pick(&mut doors.inherited, label, *address).pop();
            let socket = match inherited {
                Some(socket) => socket.into(),
                None => sockets::quic(*address).map_err(refuse)?,
            };
            let chosen = socket.local_addr().map_err(refuse)?;
            self.keep(Transport::Quic, chosen, &socket)?;
            let endpoint = quic::listen(socket, certificate.config(b"doq")?).map_err(refuse)?;
            let door = self.door(doors, Transport::Quic, chosen);
            self.listeners.push(task::spawn(quic::run(endpoint, door)));
        }
        let watching = certificate.watch(doors.stopped.clone());
        self.listeners.push(task::spawn(watching));
        Ok(())
    }

    /// A listener for a transport over TCP.
    fn listener(
        &mut self,
        doors: &mut Doors<'_>,
        transport: Transport,
        address: SocketAddr,
    ) -> Result<(TcpListener, Door), Error> {
        let refuse = |source| Error::listen(transport.label(), address, source);
        let inherited = handover::pick(&mut doors.inherited, transport.label(), address).pop();
        let listener = match inherited {
            Some(socket) => socket.into(),
            None => sockets::tcp_listener(address).map_err(refuse)?,
        };
        let chosen = listener.local_addr().map_err(refuse)?;
        self.keep(transport, chosen, &listener)?;
        let listener = TcpListener::from_std(listener).map_err(refuse)?;
        Ok((listener, self.door(doors, transport, chosen)))
    }

    /// Keeps a socket for a successor.
    fn keep(
        &mut self,
        transport: Transport,
        address: SocketAddr,
        socket: &impl AsFd,
    ) -> Result<(), Error> {
        let label = transport.label();
        let again = socket.as_fd().try_clone_to_owned();
        let again = again.map_err(|source| Error::listen(label, address, source))?;
        self.kept.push(Named::new(label, address, again));
        Ok(())
    }

    fn door(&mut self, doors: &Doors<'_>, transport: Transport, address: SocketAddr) -> Door {
        self.addresses.push((transport, address));
        Door {
            shared: Arc::clone(&self.shared),
            counters: doors.metrics.counters(transport),
            transport,
            limits: doors.limits,
            stop: doors.stopped.clone(),
        }
    }

    fn answer_udp(
        &mut self,
        socket: UdpSocket,
        counters: Arc<Counters>,
        limiter: RateLimiter,
        gather: Gather,
    ) -> Result<(), Error> {
        let shared = Arc::clone(&self.shared);
        let socket = Arc::new(socket);
        let thread = thread::Builder::new()
            .name(format!("dns-udp-{}", self.threads.len()))
            .spawn(move || udp::run(&socket, &shared, &counters, limiter, gather))
            .map_err(Error::Thread)?;
        self.threads.push(thread);
        Ok(())
    }
}

impl Drop for Handle {
    fn drop(&mut self) {
        self.tell_to_stop();
    }
}

/// What listeners are made with.
struct Doors<'m> {
    limits: Limits,
    metrics: &'m DnsMetrics,
    stopped: watch::Receiver<()>,
    /// Sockets of a predecessor that nobody has taken yet.
    inherited: Vec<Named>,
}

/// What all threads and connections use.
pub(crate) struct Shared {
    pub(crate) snapshots: Snapshots,
    pub(crate) server: ArcSwap<Server>,
    pub(crate) stopping: AtomicBool,
    /// Who keeps what an UPDATE changes.
    pub(crate) updates: Option<mpsc::Sender<UpdateRequest>>,
    /// Who is told of queries.
    pub(crate) tap: Option<Tap>,
    /// Says that there is another snapshot, or other keys.
    pub(crate) changed: watch::Sender<()>,
}

/// The unix time, cut to 32 bits, as server cookies have it (RFC 9018 § 4.3).
pub(crate) fn unix_secs() -> u32 {
    let now = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH);
    now.map_or(0, |since| since.as_secs() as u32)
}
