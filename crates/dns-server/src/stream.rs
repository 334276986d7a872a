//! TCP (RFC 7766) and TLS (RFC 7858): connections that answer what is pipelined.

use std::pin::{Pin, pin};
use std::sync::Arc;
use std::time::Duration;

use rustls::ServerConfig;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpStream;
use tokio::sync::watch;
use tokio::time::{Instant, timeout, timeout_at};
use tokio_rustls::TlsAcceptor;

use crate::framing::Framed;
use crate::reply::Replier;

/// How long a connection may wait for a query, send one slowly, or take a reply slowly
/// (RFC 7766 § 6.2.3: seconds).
pub(crate) const IDLE: Duration = Duration::from_secs(10);
/// The same, as clients are told it (RFC 7828).
pub(crate) const IDLE_DECISECONDS: u16 = IDLE.as_secs() as u16 * 10;
/// How long a connection may last in all (RFC 9210 § 4.3): then the client connects anew.
pub(crate) const LIFETIME: Duration = Duration::from_secs(600);
/// The same once the server stops: longer than a query is on its way.
const LINGER: Duration = Duration::from_millis(300);
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
    let end = Instant::now() + LIFETIME;
    let mut framed = Framed::new(stream, replier.peer());
    let mut idle = IDLE;
    loop {
        let deadline = end.min(Instant::now() + idle);
        let next = {
            let reading = pin!(framed.next());
            first_of(reading, deadline, &mut stop, &mut idle).await
        };
        let Some(Some(query)) = next else { return };
        if let Some(messages) = replier.transfer(query.bytes()) {
            for message in messages {
                if !send(&mut framed, message).await {
                    return;
                }
            }
            continue;
        }
        if let Some(reply) = replier.update(query.bytes()).await {
            if !send(&mut framed, reply).await {
                return;
            }
            continue;
        }
        // RFC 7766 says nothing about what is no query; closing ends the misunderstanding.
        let Some(reply) = replier.reply(query.bytes()) else {
            return;
        };
        if !send(&mut framed, reply).await {
            return;
        }
    }
}

/// Whether the message was taken in time.
async fn send<S>(framed: &mut Framed<S>, message: Vec<u8>) -> bool
where
    S: AsyncRead + AsyncWrite + Unpin + Send + Sync + 'static,
{
    timeout(IDLE, framed.send(message)).await.unwrap_or(false)
}

/// What is read until the deadline. When the server stops, a query that is on its way is still
/// waited for, and so is the next after it.
async fn first_of<T>(
    mut reading: Pin<&mut impl Future<Output = T>>,
    deadline: Instant,
    stop: &mut watch::Receiver<()>,
    idle: &mut Duration,
) -> Option<T> {
    let stopped = tokio::select! {
        biased;
        next = timeout_at(deadline, reading.as_mut()) => return next.ok(),
        stopped = stop.changed() => stopped,
    };
    *idle = LINGER;
    // A server that is gone, not only told to stop, waits for nobody.
    stopped.ok()?;
    timeout(LINGER, reading).await.ok()
}
