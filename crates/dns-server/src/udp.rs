//! UDP: threads that receive, answer and send in batches.

use std::hash::{BuildHasher, RandomState};
use std::io;
use std::net::UdpSocket;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::thread;
use std::time::Duration;

use dns::{Client, Transport};

use crate::batch::Batch;
use crate::metrics::Counters;
use crate::server::{Shared, unix_secs};

/// How long a thread rests when the system cannot give it datagrams.
const ERROR_PAUSE: Duration = Duration::from_millis(50);

/// Answers on one socket until it is told to stop.
pub(crate) fn run(socket: &UdpSocket, shared: &Shared, counters: &Arc<Counters>) {
    let mut batch = Batch::new();
    let mut chance = Chance::new();
    while !shared.stopping.load(Ordering::Relaxed) {
        match batch.receive(socket) {
            Ok(count) => {
                answer(&mut batch, count, shared, counters, &mut chance);
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

/// One snapshot, one look at the clock, for the whole batch.
fn answer(
    batch: &mut Batch,
    count: usize,
    shared: &Shared,
    counters: &Counters,
    chance: &mut Chance,
) {
    let snapshot = shared.snapshots.load();
    let secrets = shared.secrets.load();
    let now_secs = unix_secs();
    for index in 0..count {
        let (query, source, out) = batch.query(index);
        let entropy = chance.next();
        let client = Client {
            source,
            transport: Transport::Udp,
            now_secs,
            entropy,
        };
        let reply = dns::answer(&snapshot, query, &client, &secrets, out);
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
