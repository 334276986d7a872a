//! DNS over QUIC (RFC 9250): one query and its reply on each stream.

use std::net::UdpSocket;
use std::sync::Arc;
use std::sync::Mutex;
use std::sync::PoisonError;
use std::time::Duration;

use quinn::crypto::rustls::{NoInitialCipherSuite, QuicServerConfig};
use quinn::{Connection, Endpoint, EndpointConfig, Incoming, RecvStream, SendStream};
use quinn::{ServerConfig, TokioRuntime, TransportConfig, VarInt};
use tokio::task::JoinSet;
use tokio::time::{Instant, timeout, timeout_at};

use crate::accept::{Door, Open};
use crate::reply::Replier;
use crate::stream::{HANDSHAKE, IDLE, LIFETIME};

/// Queries that one connection may have under way.
const STREAMS_MAX: u32 = 100;
/// The length prefix and the longest message.
const STREAM_BYTES_MAX: usize = 2 + 65_535;
/// How long clients may take note that the server stops.
const CLOSE_GRACE: Duration = Duration::from_secs(1);

/// Codes of RFC 9250 § 4.3.
const NO_ERROR: VarInt = VarInt::from_u32(0);
const PROTOCOL_ERROR: VarInt = VarInt::from_u32(2);
const EXCESSIVE_LOAD: VarInt = VarInt::from_u32(4);

/// Listens for connections on a socket.
pub(crate) fn listen(
    socket: UdpSocket,
    tls: Arc<rustls::ServerConfig>,
) -> std::io::Result<Endpoint> {
    let other = |error: NoInitialCipherSuite| std::io::Error::other(error);
    let mut config =
        ServerConfig::with_crypto(Arc::new(QuicServerConfig::try_from(tls).map_err(other)?));
    let mut transport = TransportConfig::default();
    transport
        .max_concurrent_bidi_streams(VarInt::from_u32(STREAMS_MAX))
        .max_concurrent_uni_streams(VarInt::from_u32(0))
        .stream_receive_window(VarInt::from_u32(STREAM_BYTES_MAX as u32))
        .receive_window(VarInt::from_u32(4 * STREAM_BYTES_MAX as u32))
        .datagram_receive_buffer_size(None)
        .max_idle_timeout(Some(IDLE.try_into().map_err(std::io::Error::other)?));
    config.transport_config(Arc::new(transport));
    let runtime = Arc::new(TokioRuntime);
    Endpoint::new(EndpointConfig::default(), Some(config), socket, runtime)
}

/// Accepts connections until it is told to stop.
pub(crate) async fn run(endpoint: Endpoint, mut door: Door) {
    let mut open = Open::new(door.limits);
    loop {
        tokio::select! {
            _ = door.stop.changed() => break,
            () = open.ended() => {}
            incoming = endpoint.accept() => match incoming {
                Some(incoming) => admit(incoming, &mut open, &door),
                None => break,
            },
        }
    }
    endpoint.close(NO_ERROR, b"the server stops");
    open.finish().await;
    let _ = timeout(CLOSE_GRACE, endpoint.wait_idle()).await;
}

/// Gives a connection its place. While many are taken, a client first shows that it is where it
/// says (RFC 9000 § 8.1.2).
fn admit(incoming: Incoming, open: &mut Open, door: &Door) {
    let peer = incoming.remote_address();
    if !open.has_place(peer.ip()) {
        door.refuse();
        incoming.refuse();
    } else if open.is_busy() && incoming.may_retry() && !incoming.remote_address_validated() {
        // It fails only for an address that is validated.
        let _ = incoming.retry();
    } else {
        let replier = Replier::new(&door.shared, &door.counters, door.transport, peer);
        open.serve(peer.ip(), async move {
            if let Ok(Ok(connection)) = timeout(HANDSHAKE, incoming.into_future()).await {
                serve(&connection, replier).await;
            }
        });
    }
}

/// Answers the queries of one connection. QUIC itself closes it when it is idle.
async fn serve(connection: &Connection, replier: Replier) {
    let replier = Arc::new(Mutex::new(replier));
    let end = Instant::now() + LIFETIME;
    let mut streams = JoinSet::new();
    loop {
        tokio::select! {
            Some(_) = streams.join_next(), if !streams.is_empty() => {}
            accepted = timeout_at(end, connection.accept_bi()) => match accepted {
                Ok(Ok((send, receive))) => {
                    let (connection, replier) = (connection.clone(), Arc::clone(&replier));
                    streams.spawn(exchange(connection, send, receive, replier));
                }
                Ok(Err(_)) => return,
                Err(_) => break connection.close(EXCESSIVE_LOAD, b"connect anew"),
            },
        }
    }
}

/// One query and its reply.
async fn exchange(
    connection: Connection,
    mut send: SendStream,
    mut receive: RecvStream,
    replier: Arc<Mutex<Replier>>,
) {
    // A client that takes its query back, or is too slow, gets nothing.
    let Ok(Ok(bytes)) = timeout(IDLE, receive.read_to_end(STREAM_BYTES_MAX)).await else {
        return;
    };
    let query = match bytes.split_first_chunk() {
        // § 4.2.1: the id is 0, and there is one message.
        Some((length, query @ [0, 0, ..]))
            if query.len() == usize::from(u16::from_be_bytes(*length)) =>
        {
            query
        }
        _ => return connection.close(PROTOCOL_ERROR, b"one message with id 0 on each stream"),
    };
    // § 4.3.3, § 5.5.2.
    if dns::asks_keepalive(query) {
        return connection.close(PROTOCOL_ERROR, b"QUIC itself keeps connections");
    }
    let reply = replier
        .lock()
        .unwrap_or_else(PoisonError::into_inner)
        .reply(query);
    let Some(reply) = reply else {
        return connection.close(PROTOCOL_ERROR, b"not a query");
    };
    // A reply has at most 65,535 bytes.
    let length = (reply.len() as u16).to_be_bytes();
    let sending = async {
        send.write_all(&length).await?;
        send.write_all(&reply).await
    };
    if let Ok(Ok(())) = timeout(IDLE, sending).await {
        let _ = send.finish();
    }
}
