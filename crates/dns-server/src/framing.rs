//! Messages over a stream, with their lengths in front (RFC 1035 § 4.2.2), by hickory.
//!
//! hickory's stream sends what is queued only while it is asked for the next message. So whoever
//! sends drives it until all is out, and keeps what comes in meanwhile.

use std::collections::VecDeque;
use std::future::poll_fn;
use std::io::{self, IoSlice};
use std::net::SocketAddr;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::task::{Context, Poll};

use futures::StreamExt;
use hickory_server::net::runtime::iocompat::AsyncIoTokioAsStd;
use hickory_server::net::tcp::TcpStream as MessageStream;
use hickory_server::net::xfer::{BufDnsStreamHandle, DnsStreamHandle};
use hickory_server::proto::op::SerialMessage;
use tokio::io::{AsyncRead, AsyncWrite, BufReader, ReadBuf};

/// Room for queries that came together (RFC 7766 § 6.2.1.1): they come with one system call.
const READ_BYTES: usize = 2048;
/// Bytes of a length.
const LENGTH_BYTES: u64 = 2;

type Io<S> = AsyncIoTokioAsStd<BufReader<Counted<S>>>;

/// A stream of messages, both ways.
pub(crate) struct Framed<S>
where
    S: AsyncRead + AsyncWrite + Unpin + Send + Sync + 'static,
{
    messages: MessageStream<Io<S>>,
    queue: BufDnsStreamHandle,
    peer: SocketAddr,
    /// What came in while something was sent.
    kept: VecDeque<SerialMessage>,
    /// Nothing more comes.
    ended: bool,
    /// Bytes that were queued, and those that the stream took.
    queued: u64,
    written: Arc<AtomicU64>,
}

impl<S> Framed<S>
where
    S: AsyncRead + AsyncWrite + Unpin + Send + Sync + 'static,
{
    pub(crate) fn new(stream: S, peer: SocketAddr) -> Self {
        let written = Arc::new(AtomicU64::new(0));
        let counted = Counted {
            stream,
            written: Arc::clone(&written),
        };
        let io = AsyncIoTokioAsStd(BufReader::with_capacity(READ_BYTES, counted));
        let (messages, queue) = MessageStream::from_stream(io, peer);
        Self {
            messages,
            queue,
            peer,
            kept: VecDeque::new(),
            ended: false,
            queued: 0,
            written,
        }
    }

    /// The next message; `None` once there are no more. Nothing is lost when it is dropped.
    pub(crate) async fn next(&mut self) -> Option<SerialMessage> {
        if let Some(kept) = self.kept.pop_front() {
            return Some(kept);
        }
        if self.ended {
            return None;
        }
        self.messages.next().await?.ok()
    }

    /// Sends a message, length and all together (RFC 7766 § 8); whether the stream took all of it.
    pub(crate) async fn send(&mut self, message: Vec<u8>) -> bool {
        self.queued += LENGTH_BYTES + message.len() as u64;
        let message = SerialMessage::new(message, self.peer);
        if self.queue.send(message).is_err() {
            return false;
        }
        poll_fn(|cx| self.poll_sent(cx)).await
    }

    fn poll_sent(&mut self, cx: &mut Context<'_>) -> Poll<bool> {
        loop {
            let is_out = |this: &Self| this.written.load(Ordering::Relaxed) >= this.queued;
            if is_out(self) {
                return Poll::Ready(true);
            }
            match self.messages.poll_next_unpin(cx) {
                Poll::Ready(Some(Ok(next))) => self.kept.push_back(next),
                // A client that has said all may still take its replies.
                Poll::Ready(None) => {
                    self.ended = true;
                    return Poll::Ready(is_out(self));
                }
                Poll::Ready(Some(Err(_))) => return Poll::Ready(false),
                Poll::Pending if is_out(self) => return Poll::Ready(true),
                Poll::Pending => return Poll::Pending,
            }
        }
    }
}

/// A stream that counts the bytes it took.
struct Counted<S> {
    stream: S,
    written: Arc<AtomicU64>,
}

impl<S> Counted<S> {
    fn count(&self, polled: Poll<io::Result<usize>>) -> Poll<io::Result<usize>> {
        if let Poll::Ready(Ok(bytes)) = polled {
            self.written.fetch_add(bytes as u64, Ordering::Relaxed);
        }
        polled
    }
}

impl<S: AsyncRead + Unpin> AsyncRead for Counted<S> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_read(cx, buffer)
    }
}

impl<S: AsyncWrite + Unpin> AsyncWrite for Counted<S> {
    fn poll_write(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        let polled = Pin::new(&mut self.stream).poll_write(cx, bytes);
        self.count(polled)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        slices: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let polled = Pin::new(&mut self.stream).poll_write_vectored(cx, slices);
        self.count(polled)
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(cx)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use tokio::io::{AsyncReadExt, AsyncWriteExt, duplex};

    const PEER: SocketAddr =
        SocketAddr::new(std::net::IpAddr::V4(std::net::Ipv4Addr::LOCALHOST), 53);

    #[tokio::test]
    async fn what_is_sent_is_out_before_the_next_message_is_asked_for() {
        let (server, mut client) = duplex(4096);
        let mut framed = Framed::new(server, PEER);
        assert!(framed.send(vec![7; 3]).await);
        let mut got = [0; 5];
        client.read_exact(&mut got).await.expect("it is out");
        assert_eq!(got, [0, 3, 7, 7, 7]);
    }

    #[tokio::test]
    async fn a_slow_reader_holds_up_the_sender_and_loses_nothing_that_it_asks_meanwhile() {
        let (server, mut client) = duplex(64);
        let mut framed = Framed::new(server, PEER);
        client.write_all(&[0, 1, 9]).await.expect("taken");
        let mut sending = Box::pin(async {
            let sent = framed.send(vec![7; 1000]).await && framed.send(vec![8; 1000]).await;
            (sent, framed)
        });
        assert!(
            futures::poll!(sending.as_mut()).is_pending(),
            "there is room for 64"
        );
        let reading = async {
            let mut got = vec![0; 2004];
            client.read_exact(&mut got).await.expect("both");
            client.shutdown().await.expect("half closed");
            got
        };
        let ((sent, mut framed), got) = futures::join!(sending, reading);
        assert!(sent);
        assert_eq!(got[..4], [3, 232, 7, 7]);
        assert_eq!(got[1002..1005], [3, 232, 8]);
        let asked = framed.next().await.expect("what was asked meanwhile");
        assert_eq!(asked.bytes(), [9]);
        assert!(framed.next().await.is_none());
    }

    #[tokio::test]
    async fn who_has_said_all_still_gets_the_reply_and_who_is_gone_does_not() {
        let (server, mut client) = duplex(4096);
        let mut framed = Framed::new(server, PEER);
        client.write_all(&[0, 1, 9]).await.expect("taken");
        client.shutdown().await.expect("half closed");
        assert_eq!(framed.next().await.expect("a query").bytes(), [9]);
        assert!(framed.send(vec![7; 10]).await);
        drop(client);
        assert!(!framed.send(vec![7; 10]).await);
    }
}
