//! UDP: threads that receive, answer and send in batches.

use std::hash::{BuildHasher, RandomState};
use std::io;
use std::net::UdpSocket;
use std::num::NonZeroU32;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::thread;
use std::time::{Duration, Instant};

use dns::{Client, RateLimiter, Rates, Reply, ReplyClass, Transport, Verdict};

use crate::batch::Batch;
use crate::metrics::Counters;
use crate::server::{Shared, unix_secs};

/// How long a thread rests when the system cannot give it datagrams.
const ERROR_PAUSE: Duration = Duration::from_millis(50);

/// Answers on one socket until it is told to stop.
pub(crate) fn run(
    socket: &UdpSocket,
    shared: &Shared,
    counters: &Arc<Counters>,
    limiter: RateLimiter,
) {
    let mut batch = Batch::new();
    let mut thread = Thread {
        chance: Chance::new(),
        limiter,
        start: Instant::now(),
    };
    while !shared.stopping.load(Ordering::Relaxed) {
        match batch.receive(socket) {
            Ok(count) => {
                answer(&mut batch, count, shared, counters, &mut thread);
                let unsent = batch.send(socket, count);
                if unsent > 0 {
                    counters.count_unsent(unsent);
                }
            }
            Err(error) if is_idle(&error) => {}
            Err(error) => {
                tracing::warn!(%error, "cannot receive datagrams");
                thread::sleep(ERROR_PAUSE);
            }
        }
    }
}

/// A limiter for one of `threads` that answer at one address.
pub(crate) fn limiter(rates: Rates, threads: NonZeroU32) -> RateLimiter {
    let half = || RandomState::new().hash_one(0u8).to_ne_bytes();
    let mut key = [0; 16];
    key[..8].copy_from_slice(&half());
    key[8..].copy_from_slice(&half());
    RateLimiter::new(rates, threads, key)
}

/// What one thread has for itself.
struct Thread {
    chance: Chance,
    limiter: RateLimiter,
    start: Instant,
}

/// One snapshot, one look at the clock, for the whole batch.
fn answer(
    batch: &mut Batch,
    count: usize,
    shared: &Shared,
    counters: &Counters,
    thread: &mut Thread,
) {
    let snapshot = shared.snapshots.load();
    let server = shared.server.load();
    let now_secs = unix_secs();
    let now_micros = u64::try_from(thread.start.elapsed().as_micros()).unwrap_or(u64::MAX);
    for index in 0..count {
        let (query, source, out) = batch.query(index);
        let entropy = thread.chance.next();
        let client = Client {
            source,
            transport: Transport::Udp,
            now_secs,
            entropy,
        };
        let reply = dns::answer(&snapshot, query, &client, &server, out);
        let reply = match thread.limiter.judge(&client, &reply, now_micros) {
            Verdict::Send => reply,
            Verdict::Slip => dns::answer_limited(query, &client, &server, out),
            Verdict::Drop => Reply {
                len: 0,
                class: ReplyClass::Dropped,
                ..reply
            },
        };
        batch.reply(index, reply.len);
        counters.count(reply.class);
    }
}

/// Nothing came, or a signal did.
fn is_idle(error: &io::Error) -> bool {
    matches!(
        error.kind(),
        io::ErrorKind::WouldBlock | io::ErrorKind::TimedOut | io::ErrorKind::Interrupted
    )
}

/// Chance for weighted answers, seeded by the system (SplitMix64).
pub(crate) struct Chance(u64);

impl Chance {
    pub(crate) fn new() -> Self {
        Self(RandomState::new().hash_one(0u8))
    }

    pub(crate) fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut bits = self.0;
        bits = (bits ^ bits >> 30).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        bits = (bits ^ bits >> 27).wrapping_mul(0x94d0_49bb_1331_11eb);
        bits ^ bits >> 31
    }
}
