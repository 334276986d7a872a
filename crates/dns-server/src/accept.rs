//! Accepting connections (RFC 9210 § 4.2): so many in all, and so many per client.

use std::collections::HashMap;
use std::net::{IpAddr, Ipv6Addr};
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use dns::Transport;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;
use tokio::task::JoinSet;
use tokio::time::{sleep, timeout};

use crate::metrics::Counters;
use crate::reply::Replier;
use crate::server::Shared;

/// How long connections may finish what they do when the server stops.
const STOP_GRACE: Duration = Duration::from_secs(2);
/// Rest after the system could not accept a connection: most often it has no descriptors left.
const ACCEPT_PAUSE: Duration = Duration::from_millis(50);

/// Limits of one listener's connections.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Limits {
    pub(crate) connections_max: usize,
    pub(crate) connections_per_client_max: usize,
}

/// What every listener has.
#[derive(Clone)]
pub(crate) struct Door {
    pub(crate) shared: Arc<Shared>,
    pub(crate) counters: Arc<Counters>,
    pub(crate) transport: Transport,
    pub(crate) limits: Limits,
    pub(crate) stop: watch::Receiver<()>,
}

/// Connections that are open, each with its client.
pub(crate) struct Open {
    limits: Limits,
    tasks: JoinSet<IpAddr>,
    per_client: HashMap<IpAddr, usize>,
}

impl Open {
    pub(crate) fn new(limits: Limits) -> Self {
        Self {
            limits,
            tasks: JoinSet::new(),
            per_client: HashMap::new(),
        }
    }

    /// Whether there is a place for one more of this client.
    pub(crate) fn has_place(&self, peer: IpAddr) -> bool {
        let mine = self.per_client.get(&client(peer)).copied().unwrap_or(0);
        self.tasks.len() < self.limits.connections_max
            && mine < self.limits.connections_per_client_max
    }

    /// Whether half of all places are taken: a reason to ask for more proof of a client.
    pub(crate) fn is_busy(&self) -> bool {
        self.tasks.len() >= self.limits.connections_max / 2
    }

    /// Serves one connection.
    pub(crate) fn serve(
        &mut self,
        peer: IpAddr,
        connection: impl Future<Output = ()> + Send + 'static,
    ) {
        let client = client(peer);
        *self.per_client.entry(client).or_insert(0) += 1;
        self.tasks.spawn(async move {
            connection.await;
            client
        });
    }

    /// Waits for a connection to end; for ever when there is none.
    pub(crate) async fn ended(&mut self) {
        match self.tasks.join_next().await {
            Some(Ok(client)) => self.leave(client),
            // A task that panicked would keep its place: none does, and the limit holds.
            Some(Err(_)) => {}
            None => std::future::pending().await,
        }
    }

    /// Waits until all have ended. What has not by then is cut.
    pub(crate) async fn finish(mut self) {
        let finish = async { while self.tasks.join_next().await.is_some() {} };
        let _ = timeout(STOP_GRACE, finish).await;
    }

    fn leave(&mut self, client: IpAddr) {
        if let Some(count) = self.per_client.get_mut(&client) {
            *count -= 1;
            if *count == 0 {
                self.per_client.remove(&client);
            }
        }
    }
}

/// Accepts connections until it is told to stop; then lets them finish.
pub(crate) async fn run<S, F>(listener: TcpListener, mut door: Door, serve: S)
where
    S: Fn(TcpStream, Replier, watch::Receiver<()>) -> F,
    F: Future<Output = ()> + Send + 'static,
{
    let mut open = Open::new(door.limits);
    loop {
        tokio::select! {
            _ = door.stop.changed() => break,
            () = open.ended() => {}
            accepted = listener.accept() => match accepted {
                Ok((_, peer)) if !open.has_place(peer.ip()) => door.refuse(),
                Ok((stream, peer)) => {
                    // Replies are whole messages: waiting for more to send gains nothing.
                    let _ = stream.set_nodelay(true);
                    let replier =
                        Replier::new(&door.shared, &door.counters, door.transport, peer);
                    open.serve(peer.ip(), serve(stream, replier, door.stop.clone()));
                }
                Err(error) => {
                    tracing::warn!(%error, "cannot accept connections");
                    sleep(ACCEPT_PAUSE).await;
                }
            }
        }
    }
    open.finish().await;
}

impl Door {
    /// Counts a connection for which there was no place.
    pub(crate) fn refuse(&self) {
        let refused = &self.counters.connections_refused;
        refused.fetch_add(1, Ordering::Relaxed);
    }
}

/// Who counts as one client: an IPv4 address, or an IPv6 network of 64 bits.
fn client(address: IpAddr) -> IpAddr {
    match address {
        IpAddr::V4(_) => address,
        IpAddr::V6(v6) => IpAddr::V6(Ipv6Addr::from_bits(v6.to_bits() >> 64 << 64)),
    }
}
