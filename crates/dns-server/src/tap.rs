//! dnstap: a sample of queries with their replies, for whoever listens at a unix socket.
//!
//! Each is a protocol buffer (`dnstap.proto`) of type AUTH_RESPONSE with both messages, or AUTH_QUERY when
//! nothing was sent back, in Frame Streams, the receiver of which is asked first and told the end:
//!
//! ```text
//! READY ──►  ◄── ACCEPT  START ──►  frame ──► …  STOP ──►  ◄── FINISH
//! ```
//! # Guarantees
//! Whoever answers never waits for it: what finds no room in the queue is lost, and counted. Without
//! dnstap nothing is done but to look whether it is wanted.
//! # Assumptions
//! The receiver listens before, or comes back: it is tried again, later each time.
//! # Caveats
//! Transfers, and UPDATEs that change something, are not told of; nor is the address that was asked.

use std::io;
use std::net::{IpAddr, SocketAddr};
use std::num::NonZeroU32;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use dns::{Client, Transport};
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::net::UnixStream;
use tokio::sync::{mpsc, watch};
use tokio::time::{sleep, timeout};

/// Exchanges that wait for the receiver.
const QUEUE_MAX: usize = 4_096;
/// Bytes that are handed to the system at once.
const WRITE_BYTES: usize = 64 << 10;
/// How long the receiver may take for a word, or to take what is written.
const PATIENCE: Duration = Duration::from_secs(5);
/// How long it may take what is left and say that it has all, while the server stops.
const FINISH_TIME: Duration = Duration::from_secs(2);
/// Bytes of the exchanges that wait.
const WAITING_BYTES_MAX: usize = 8 << 20;
/// Between two attempts to reach it.
const RETRY_MIN: Duration = Duration::from_secs(1);
const RETRY_MAX: Duration = Duration::from_secs(30);
/// The longest control frame that is read: its kind of content and nothing else.
const CONTROL_BYTES_MAX: u32 = 512;

/// What frames hold.
const CONTENT: &[u8] = b"protobuf:dnstap.Dnstap";
/// Control frames and their one field (Frame Streams).
const ACCEPT: u32 = 1;
const START: u32 = 2;
const STOP: u32 = 3;
const READY: u32 = 4;
const FINISH: u32 = 5;
const CONTENT_TYPE: u32 = 1;

/// Where a sample goes, and how much of it there is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TapOptions {
    /// The receiver's socket.
    pub socket: PathBuf,
    /// One query of so many.
    pub one_in: NonZeroU32,
    /// What the server is called in it.
    pub identity: Option<String>,
}

/// What answering threads and connections hand exchanges to.
pub(crate) struct Tap {
    one_in: NonZeroU32,
    queue: mpsc::Sender<Exchange>,
    waiting_bytes: Arc<AtomicUsize>,
    lost: Arc<AtomicU64>,
}

/// A query and its reply.
struct Exchange {
    peer: SocketAddr,
    transport: Transport,
    at: Duration,
    query: Vec<u8>,
    reply: Vec<u8>,
    _weight: Weight,
}

/// What an exchange weighs among those that wait, for as long as it is one of them.
struct Weight {
    bytes: usize,
    of: Arc<AtomicUsize>,
}

impl Weight {
    /// `None` where there is no room for so much.
    fn added(bytes: usize, of: &Arc<AtomicUsize>) -> Option<Self> {
        let before = of.fetch_add(bytes, Ordering::Relaxed);
        let of = Arc::clone(of);
        let weight = Self { bytes, of };
        (before.saturating_add(bytes) <= WAITING_BYTES_MAX).then_some(weight)
    }
}

impl Drop for Weight {
    fn drop(&mut self) {
        self.of.fetch_sub(self.bytes, Ordering::Relaxed);
    }
}

impl Tap {
    /// A tap, and the task that empties it until it is told to stop.
    pub(crate) fn new(
        options: TapOptions,
        lost: Arc<AtomicU64>,
        stop: watch::Receiver<()>,
    ) -> (Self, impl Future<Output = ()>) {
        let (queue, exchanges) = mpsc::channel(QUEUE_MAX);
        let tap = Self {
            one_in: options.one_in,
            queue,
            waiting_bytes: Arc::default(),
            lost,
        };
        (tap, run(options, exchanges, stop))
    }

    /// Tells of an exchange, if it is one of the sample. The low bits of the chance that comes with
    /// a client; answers are chosen by its high ones.
    #[inline]
    pub(crate) fn tell(
        &self,
        client: &Client,
        peer: impl FnOnce() -> SocketAddr,
        query: &[u8],
        reply: &[u8],
    ) {
        if (client.entropy as u32).is_multiple_of(self.one_in.get()) {
            self.put(client.transport, peer(), query, reply);
        }
    }

    #[cold]
    fn put(&self, transport: Transport, peer: SocketAddr, query: &[u8], reply: &[u8]) {
        let at = SystemTime::now().duration_since(UNIX_EPOCH);
        let weight = Weight::added(query.len() + reply.len(), &self.waiting_bytes);
        let (Some(weight), Ok(place)) = (weight, self.queue.try_reserve()) else {
            self.lost.fetch_add(1, Ordering::Relaxed);
            return;
        };
        place.send(Exchange {
            peer,
            transport,
            at: at.unwrap_or_default(),
            query: query.to_vec(),
            reply: reply.to_vec(),
            _weight: weight,
        });
    }
}

/// Reaches the receiver again and again, until told to stop.
async fn run(
    options: TapOptions,
    mut exchanges: mpsc::Receiver<Exchange>,
    mut stop: watch::Receiver<()>,
) {
    let mut pause = RETRY_MIN;
    loop {
        let opened = tokio::select! {
            _ = stop.changed() => return,
            opened = timeout(PATIENCE, open(&options)) => opened,
        };
        let why = match opened {
            Ok(Ok(mut stream)) => {
                tracing::info!(socket = %options.socket.display(), "dnstap is taken");
                pause = RETRY_MIN;
                match give(&mut stream, &options, &mut exchanges, &mut stop).await {
                    Ok(()) => return,
                    Err(why) => why,
                }
            }
            Ok(Err(why)) => why,
            Err(_) => io::ErrorKind::TimedOut.into(),
        };
        tracing::warn!(socket = %options.socket.display(), %why, "dnstap is not taken");
        tokio::select! {
            _ = stop.changed() => return,
            () = sleep(pause) => pause = (pause * 2).min(RETRY_MAX),
        }
    }
}

/// Connects and agrees on what is sent.
async fn open(options: &TapOptions) -> io::Result<UnixStream> {
    let mut stream = UnixStream::connect(&options.socket).await?;
    stream.write_all(&control(READY)).await?;
    expect(&mut stream, ACCEPT).await?;
    stream.write_all(&control(START)).await?;
    Ok(stream)
}

/// Writes what comes until told to stop; then what is left, and the end.
async fn give<S>(
    stream: &mut S,
    options: &TapOptions,
    exchanges: &mut mpsc::Receiver<Exchange>,
    stop: &mut watch::Receiver<()>,
) -> io::Result<()>
where
    S: AsyncRead + AsyncWrite + Unpin,
{
    let mut frames = Vec::new();
    loop {
        let next = tokio::select! {
            biased;
            _ = stop.changed() => None,
            next = exchanges.recv() => next,
        };
        let Some(next) = next else {
            break;
        };
        frame(&next, options, &mut frames);
        take(exchanges, options, &mut frames);
        write(stream, &frames).await?;
        frames.clear();
    }
    // The server waits for this: it ends, whatever the receiver does.
    if let Ok(Err(why)) | Err(why) = timeout(FINISH_TIME, finish(stream, options, exchanges))
        .await
        .map_err(io::Error::from)
    {
        tracing::warn!(%why, "dnstap was not taken to its end");
    }
    Ok(())
}

/// What waits, as far as it is written at once.
fn take(exchanges: &mut mpsc::Receiver<Exchange>, options: &TapOptions, frames: &mut Vec<u8>) {
    while frames.len() < WRITE_BYTES
        && let Ok(next) = exchanges.try_recv()
    {
        frame(&next, options, frames);
    }
}

/// Writes what is left, and the end, and waits until the receiver has it.
async fn finish<S>(
    stream: &mut S,
    options: &TapOptions,
    exchanges: &mut mpsc::Receiver<Exchange>,
) -> io::Result<()>
where
    S: AsyncRead + AsyncWrite + Unpin,
{
    let mut frames = Vec::new();
    take(exchanges, options, &mut frames);
    while !frames.is_empty() {
        stream.write_all(&frames).await?;
        frames.clear();
        take(exchanges, options, &mut frames);
    }
    stream.write_all(&control(STOP)).await?;
    expect(stream, FINISH).await
}

async fn write<S: AsyncWrite + Unpin>(stream: &mut S, bytes: &[u8]) -> io::Result<()> {
    timeout(PATIENCE, stream.write_all(bytes)).await?
}

/// A control frame: an escape, its length, its kind, and the kind of content.
fn control(kind: u32) -> Vec<u8> {
    let mut body = kind.to_be_bytes().to_vec();
    if kind != STOP {
        body.extend(CONTENT_TYPE.to_be_bytes());
        body.extend((CONTENT.len() as u32).to_be_bytes());
        body.extend(CONTENT);
    }
    [&[0; 4][..], &(body.len() as u32).to_be_bytes(), &body].concat()
}

/// Reads a control frame, which is to be of this kind.
async fn expect<S: AsyncRead + Unpin>(stream: &mut S, kind: u32) -> io::Result<()> {
    let escape = stream.read_u32().await?;
    let length = stream.read_u32().await?;
    let is_control = escape == 0 && (4..=CONTROL_BYTES_MAX).contains(&length);
    if !is_control {
        return Err(io::Error::other(
            "the receiver does not speak Frame Streams",
        ));
    }
    let mut body = vec![0; length as usize];
    stream.read_exact(&mut body).await?;
    let takes = kind != ACCEPT || body.windows(CONTENT.len()).any(|it| it == CONTENT);
    match body.starts_with(&kind.to_be_bytes()) && takes {
        true => Ok(()),
        false => Err(io::Error::other("the receiver does not take dnstap")),
    }
}

/// Appends a frame of data: its length and a `Dnstap`.
fn frame(exchange: &Exchange, options: &TapOptions, frames: &mut Vec<u8>) {
    let mut whole = Buffer::default();
    if let Some(identity) = &options.identity {
        whole.bytes(1, identity.as_bytes());
    }
    whole.bytes(
        2,
        concat!("meridian ", env!("CARGO_PKG_VERSION")).as_bytes(),
    );
    whole.bytes(14, &message(exchange).0);
    // The one type that there is: MESSAGE.
    whole.number(15, 1);
    frames.extend((whole.0.len() as u32).to_be_bytes());
    frames.extend(whole.0);
}

fn message(exchange: &Exchange) -> Buffer {
    let sent = !exchange.reply.is_empty();
    let (secs, nanos) = (exchange.at.as_secs(), exchange.at.subsec_nanos());
    let mut message = Buffer::default();
    // AUTH_QUERY, AUTH_RESPONSE.
    message.number(1, if sent { 2 } else { 1 });
    let (family, address) = match exchange.peer.ip() {
        IpAddr::V4(v4) => (1, v4.octets().to_vec()),
        IpAddr::V6(v6) => (2, v6.octets().to_vec()),
    };
    message.number(2, family);
    message.number(3, protocol(exchange.transport));
    message.bytes(4, &address);
    message.number(6, u64::from(exchange.peer.port()));
    message.number(8, secs);
    message.fixed(9, nanos);
    message.bytes(10, &exchange.query);
    if sent {
        message.number(12, secs);
        message.fixed(13, nanos);
        message.bytes(14, &exchange.reply);
    }
    message
}

/// `SocketProtocol`.
fn protocol(transport: Transport) -> u64 {
    match transport {
        Transport::Udp => 1,
        Transport::Tcp => 2,
        Transport::Tls => 3,
        Transport::Https => 4,
        Transport::Quic => 7,
    }
}

/// A protocol buffer that is being written.
#[derive(Default)]
struct Buffer(Vec<u8>);

impl Buffer {
    fn varint(&mut self, mut number: u64) {
        while number >= 0x80 {
            self.0.push(number as u8 | 0x80);
            number >>= 7;
        }
        self.0.push(number as u8);
    }

    fn number(&mut self, field: u64, number: u64) {
        self.varint(field << 3);
        self.varint(number);
    }

    fn fixed(&mut self, field: u64, number: u32) {
        self.varint(field << 3 | 5);
        self.0.extend(number.to_le_bytes());
    }

    fn bytes(&mut self, field: u64, bytes: &[u8]) {
        self.varint(field << 3 | 2);
        self.varint(bytes.len() as u64);
        self.0.extend(bytes);
    }
}
