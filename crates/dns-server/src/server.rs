//! Starting, publishing and stopping.

use std::net::{SocketAddr, UdpSocket};
use std::num::NonZeroU32;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::{self, JoinHandle};
use std::time::SystemTime;

use arc_swap::ArcSwap;
use dns::{Identity, RateLimiter, Rates, Secrets, Server, Snapshot};
use tokio::sync::watch;
use tokio::task;

use crate::error::Error;
use crate::metrics::{Counters, DnsMetrics, TransportLabel};
use crate::snapshots::Snapshots;
use crate::sockets;
use crate::tcp::{self, Limits};
use crate::udp;

/// How a server listens.
#[derive(Clone)]
pub struct Options {
    /// Addresses, each for UDP and TCP; port 0 is any port that is free for both. A wildcard
    /// address answers from the address that was asked; IPv6 ones do not take IPv4.
    pub listen: Vec<SocketAddr>,
    /// Answering threads per address.
    pub udp_threads: usize,
    /// TCP connections per address.
    pub tcp_connections_max: usize,
    /// TCP connections per address and client: an IPv4 address or an IPv6 network of 64 bits.
    pub tcp_connections_per_client_max: usize,
    /// Keys of server cookies; replicas that share an address share them.
    pub secrets: Secrets,
    /// What the server says of itself.
    pub identity: Identity,
    /// How many replies a network gets over UDP in a second.
    pub rates: Rates,
}

impl Options {
    /// One thread per address, 1024 TCP connections, 64 of them per client, the usual rates, and
    /// nothing said of itself.
    pub fn new(listen: Vec<SocketAddr>, secrets: Secrets) -> Self {
        Self {
            listen,
            udp_threads: 1,
            tcp_connections_max: 1024,
            tcp_connections_per_client_max: 64,
            secrets,
            identity: Identity::default(),
            rates: Rates::default(),
        }
    }
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
        if options.listen.is_empty() {
            return Err(Error::NoAddress);
        }
        let listening = options
            .listen
            .iter()
            .map(|address| sockets::listen(*address, options.udp_threads))
            .collect::<Result<Vec<_>, _>>()?;
        let shared = Arc::new(Shared {
            snapshots: Snapshots::new(snapshot),
            server: ArcSwap::from_pointee(Server {
                secrets: options.secrets.clone(),
                identity: options.identity.clone(),
                stream_idle_deciseconds: tcp::IDLE_DECISECONDS,
            }),
            stopping: AtomicBool::new(false),
        });
        let limits = Limits {
            connections_max: options.tcp_connections_max,
            connections_per_client_max: options.tcp_connections_per_client_max,
        };
        let (stop, stopped) = watch::channel(());
        let addresses = listening
            .iter()
            .map(|listening| listening.address)
            .collect();
        let mut handle = Handle {
            addresses,
            shared,
            threads: Vec::new(),
            listeners: Vec::new(),
            stop,
        };
        for listening in listening {
            let address = listening.address;
            let threads = u32::try_from(listening.udp.len()).unwrap_or(u32::MAX);
            let threads = NonZeroU32::new(threads).unwrap_or(NonZeroU32::MIN);
            for socket in listening.udp {
                let counters = metrics.counters(TransportLabel::Udp);
                let limiter = udp::limiter(options.rates, threads);
                handle.answer_udp(socket, counters, limiter)?;
            }
            let listener = tokio::net::TcpListener::from_std(listening.tcp)
                .map_err(|source| Error::listen("tcp", address, source))?;
            let counters = metrics.counters(TransportLabel::Tcp);
            let shared = Arc::clone(&handle.shared);
            let accepting = tcp::run(listener, shared, counters, limits, stopped.clone());
            handle.listeners.push(task::spawn(accepting));
        }
        Ok(handle)
    }
}

/// A running server. Dropping it stops the server too, without waiting.
pub struct Handle {
    addresses: Vec<SocketAddr>,
    shared: Arc<Shared>,
    threads: Vec<JoinHandle<()>>,
    listeners: Vec<task::JoinHandle<()>>,
    stop: watch::Sender<()>,
}

impl Handle {
    /// The addresses that are listened on, with the ports that were chosen.
    pub fn local_addrs(&self) -> &[SocketAddr] {
        &self.addresses
    }

    /// Answers from `snapshot` from the next batch on. Drops earlier ones that are no longer used:
    /// not to be called from where a pause would hurt.
    pub fn publish(&self, snapshot: Arc<Snapshot>) {
        self.shared.snapshots.publish(snapshot);
    }

    /// The generation that is being served.
    pub fn generation(&self) -> u64 {
        self.shared.snapshots.load().generation()
    }

    /// Changes the keys of server cookies.
    pub fn set_secrets(&self, secrets: Secrets) {
        self.shared.server.rcu(|server| Server {
            secrets: secrets.clone(),
            ..Server::clone(server)
        });
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

    fn answer_udp(
        &mut self,
        socket: UdpSocket,
        counters: Arc<Counters>,
        limiter: RateLimiter,
    ) -> Result<(), Error> {
        let shared = Arc::clone(&self.shared);
        let thread = thread::Builder::new()
            .name(format!("dns-udp-{}", self.threads.len()))
            .spawn(move || udp::run(&socket, &shared, &counters, limiter))
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

/// What all threads and connections use.
pub(crate) struct Shared {
    pub(crate) snapshots: Snapshots,
    pub(crate) server: ArcSwap<Server>,
    pub(crate) stopping: AtomicBool,
}

/// The unix time, cut to 32 bits, as server cookies have it (RFC 9018 § 4.3).
pub(crate) fn unix_secs() -> u32 {
    let now = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH);
    now.map_or(0, |since| since.as_secs() as u32)
}
