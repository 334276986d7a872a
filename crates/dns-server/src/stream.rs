//! TCP (RFC 7766) and TLS (RFC 7858): connections that answer what is pipelined.

use std::io;
use std::pin::{Pin, pin};
use std::sync::Arc;
use std::time::Duration;

use rustls::ServerConfig;
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt, BufReader};
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
/// The same once the server stops: longer than a query is on its way.
const LINGER: Duration = Duration::from_millis(300);
/// Room for queries that came together.
const READ_BYTES: usize = 2048;
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
    S: AsyncRead + AsyncWrite + Unpin,
{
    let end = Instant::now() + LIFETIME;
    // Queries that are pipelined (RFC 7766 § 6.2.1.1) come with one system call.
    let mut stream = BufReader::with_capacity(READ_BYTES, stream);
    let mut query = Vec::new();
    let mut idle = IDLE;
    loop {
        let deadline = end.min(Instant::now() + idle);
        let next = {
            let reading = pin!(read(&mut stream, &mut query));
            first_of(reading, deadline, &mut stop, &mut idle).await
        };
        let Some(Ok(())) = next else { return };
        if let Some(messages) = replier.transfer(&query) {
            for message in messages {
                if !write(&mut stream, &message).await {
                    return;
                }
            }
            continue;
        }
        // RFC 7766 says nothing about what is no query; closing ends the misunderstanding.
        let Some(reply) = replier.reply(&query) else {
            return;
        };
        if !write(&mut stream, &reply).await {
            return;
        }
    }
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

/// One message into `query`, with its length in front (RFC 1035 § 4.2.2).
async fn read(stream: &mut (impl AsyncRead + Unpin), query: &mut Vec<u8>) -> io::Result<()> {
    let length = stream.read_u16().await?;
    query.resize(usize::from(length), 0);
    stream.read_exact(query).await?;
    Ok(())
}

/// Whether the message was taken in time. Length and message go out together
/// (RFC 7766 § 8).
async fn write(stream: &mut (impl AsyncWrite + Unpin), message: &[u8]) -> bool {
    let Ok(length) = u16::try_from(message.len()) else {
        return false;
    };
    let framed = [&length.to_be_bytes(), message].concat();
    let writing = async {
        stream.write_all(&framed).await?;
        stream.flush().await
    };
    matches!(timeout(IDLE, writing).await, Ok(Ok(())))
}
