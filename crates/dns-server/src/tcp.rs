//! TCP (RFC 7766): an accept loop with limits, and connections that answer what is pipelined.

use std::collections::HashMap;
use std::net::{IpAddr, Ipv6Addr, SocketAddr};
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use dns::{Client, ReplyClass, Transport};
use futures::StreamExt;
use hickory_server::net::runtime::iocompat::AsyncIoTokioAsStd;
use hickory_server::net::tcp::TcpStream as MessageStream;
use hickory_server::net::xfer::DnsStreamHandle;
use hickory_server::proto::op::SerialMessage;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;
use tokio::task::JoinSet;
use tokio::time::{Instant, sleep, timeout, timeout_at};

use crate::metrics::Counters;
use crate::server::{Shared, unix_secs};
use crate::udp::Chance;

/// How long a connection may wait for a query, send one slowly, or take a reply slowly
/// (RFC 7766 § 6.2.3: seconds).
const IDLE: Duration = Duration::from_secs(10);
/// The same, as clients are told it (RFC 7828).
pub(crate) const IDLE_DECISECONDS: u16 = IDLE.as_secs() as u16 * 10;
/// How long a connection may last in all (RFC 9210 § 4.3): then the client connects anew.
const LIFETIME: Duration = Duration::from_secs(600);
/// How long connections may finish what they do when the server stops.
const STOP_GRACE: Duration = Duration::from_secs(2);
/// Rest after the system could not accept a connection: most often it has no descriptors left.
const ACCEPT_PAUSE: Duration = Duration::from_millis(50);
/// The first size of a connection's reply buffer; it grows to the largest once that is needed.
const REPLY_BYTES_FIRST: usize = 4096;

/// Limits of connections.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Limits {
    pub(crate) connections_max: usize,
    pub(crate) connections_per_client_max: usize,
}

/// Accepts connections until it is told to stop; then lets them finish.
pub(crate) async fn run(
    listener: TcpListener,
    shared: Arc<Shared>,
    counters: Arc<Counters>,
    limits: Limits,
    mut stop: watch::Receiver<()>,
) {
    let mut open = JoinSet::new();
    let mut per_client: HashMap<IpAddr, usize> = HashMap::new();
    loop {
        tokio::select! {
            _ = stop.changed() => break,
            Some(ended) = open.join_next(), if !open.is_empty() => {
                // A task that panicked would keep its place: none does, and the limit holds.
                if let Ok(client) = ended {
                    leave(&mut per_client, client);
                }
            }
            accepted = listener.accept() => match accepted {
                Ok((stream, peer)) => {
                    let client = client_prefix(peer.ip());
                    let mine = per_client.get(&client).copied().unwrap_or(0);
                    if open.len() >= limits.connections_max
                        || mine >= limits.connections_per_client_max
                    {
                        counters.connections_refused.fetch_add(1, Ordering::Relaxed);
                        continue;
                    }
                    *per_client.entry(client).or_insert(0) += 1;
                    let (shared, counters) = (Arc::clone(&shared), Arc::clone(&counters));
                    let stop = stop.clone();
                    open.spawn(async move {
                        counters.connections.fetch_add(1, Ordering::Relaxed);
                        connection(stream, peer, &shared, &counters, stop).await;
                        counters.connections.fetch_sub(1, Ordering::Relaxed);
                        client
                    });
                }
                Err(error) => {
                    tracing::warn!(%error, "cannot accept connections");
                    sleep(ACCEPT_PAUSE).await;
                }
            }
        }
    }
    let finish = async { while open.join_next().await.is_some() {} };
    // What has not ended by then is cut when the set is dropped.
    let _ = timeout(STOP_GRACE, finish).await;
}

/// Who counts as one client: an IPv4 address, or an IPv6 network of 64 bits.
fn client_prefix(address: IpAddr) -> IpAddr {
    match address {
        IpAddr::V4(_) => address,
        IpAddr::V6(v6) => IpAddr::V6(Ipv6Addr::from_bits(v6.to_bits() >> 64 << 64)),
    }
}

fn leave(per_client: &mut HashMap<IpAddr, usize>, client: IpAddr) {
    if let Some(count) = per_client.get_mut(&client) {
        *count -= 1;
        if *count == 0 {
            per_client.remove(&client);
        }
    }
}

/// Answers queries of one connection in turn. The next is read when the reply before has been
/// taken, so a connection never holds more than one message; answers take no time that would
/// make it worth sending them out of order.
async fn connection(
    stream: TcpStream,
    peer: SocketAddr,
    shared: &Shared,
    counters: &Counters,
    mut stop: watch::Receiver<()>,
) {
    // Replies are whole messages: waiting for more to send gains nothing.
    let _ = stream.set_nodelay(true);
    let end = Instant::now() + LIFETIME;
    let (mut messages, mut replies) = MessageStream::from_stream(AsyncIoTokioAsStd(stream), peer);
    let mut out = vec![0; REPLY_BYTES_FIRST];
    let mut chance = Chance::new();
    loop {
        let deadline = end.min(Instant::now() + IDLE);
        let next = tokio::select! {
            biased;
            next = timeout_at(deadline, messages.next()) => next,
            _ = stop.changed() => return,
        };
        let Ok(Some(Ok(query))) = next else { return };
        let entropy = chance.next();
        let client = Client {
            source: peer.ip(),
            transport: Transport::Stream,
            now_secs: unix_secs(),
            entropy,
        };
        let Some(reply) = answer(shared, counters, query.bytes(), &client, &mut out) else {
            // RFC 7766 says nothing about what is no query; closing ends the misunderstanding.
            return;
        };
        if replies.send(SerialMessage::new(reply, peer)).is_err() {
            return;
        }
    }
}

/// The reply's bytes, if there is one.
fn answer(
    shared: &Shared,
    counters: &Counters,
    query: &[u8],
    client: &Client,
    out: &mut Vec<u8>,
) -> Option<Vec<u8>> {
    let snapshot = shared.snapshots.load();
    let server = shared.server.load();
    let mut reply = dns::answer(&snapshot, query, client, &server, out);
    if reply.class == ReplyClass::Truncated && out.len() < dns::REPLY_BYTES_MAX {
        out.resize(dns::REPLY_BYTES_MAX, 0);
        reply = dns::answer(&snapshot, query, client, &server, out);
    }
    counters.count(reply.class);
    (reply.len > 0).then(|| out[..reply.len].to_vec())
}
