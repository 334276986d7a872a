//! TCP (RFC 7766) and TLS (RFC 7858): connections that answer what is pipelined.

use std::sync::Arc;
use std::time::Duration;

use futures::StreamExt;
use hickory_server::net::runtime::iocompat::AsyncIoTokioAsStd;
use hickory_server::net::tcp::TcpStream as MessageStream;
use hickory_server::net::xfer::DnsStreamHandle;
use hickory_server::proto::op::SerialMessage;
use rustls::ServerConfig;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpStream;
use tokio::sync::watch;
use tokio::time::{Instant, timeout, timeout_at};
use tokio_rustls::TlsAcceptor;

use crate::reply::Replier;

/// How long a connection may wait for a query, send one slowly, or take a reply slowly
/// (RFC 7766 § 6.2.3: seconds).
pub(crate) const IDLE: Duration = Duration::from_secs(10);
/// The same, as clients are told it (RFC 7828).
pub(crate) const IDLE_DECISECONDS: u16 = IDLE.as_secs() as u16 * 10;
/// How long a connection may last in all (RFC 9210 § 4.3): then the client connects anew.
pub(crate) const LIFETIME: Duration = Duration::from_secs(600);
/// How long agreeing on keys may take.
pub(crate) const HANDSHAKE: Duration = Duration::from_secs(5);

/// Agrees on keys, then serves the connection.
pub(crate) async fn tls(
    stream: TcpStream,
    config: Arc<ServerConfig>,
    replier: Replier,
    stop: watch::Receiver<()>,
) {
    let accepting = TlsAcceptor::from(config).accept(stream);
    // Who cannot agree with us was told so by TLS.
    if let Ok(Ok(stream)) = timeout(HANDSHAKE, accepting).await {
        connection(stream, replier, stop).await;
    }
}

/// Answers queries of one connection in turn. The next is read when the reply before has been
/// taken, so a connection never holds more than one message; answers take no time that would
/// make it worth sending them out of order.
pub(crate) async fn connection<S>(stream: S, mut replier: Replier, mut stop: watch::Receiver<()>)
where
    S: AsyncRead + AsyncWrite + Unpin + Send + Sync + 'static,
{
    let peer = replier.peer();
    let end = Instant::now() + LIFETIME;
    let (mut messages, mut replies) = MessageStream::from_stream(AsyncIoTokioAsStd(stream), peer);
    loop {
        let deadline = end.min(Instant::now() + IDLE);
        let next = tokio::select! {
            biased;
            next = timeout_at(deadline, messages.next()) => next,
            _ = stop.changed() => return,
        };
        let Ok(Some(Ok(query))) = next else { return };
        // RFC 7766 says nothing about what is no query; closing ends the misunderstanding.
        let Some(reply) = replier.reply(query.bytes()) else {
            return;
        };
        if replies.send(SerialMessage::new(reply, peer)).is_err() {
            return;
        }
    }
}
