//! UDP: threads that receive, answer and send in batches.

use std::io;
use std::net::UdpSocket;
use std::num::{NonZeroU32, NonZeroU64};
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::thread;
use std::time::{Duration, Instant};

use dns::{Client, RateLimiter, Rates, Reply, ReplyClass, Transport, Verdict};

use crate::batch::Batch;
use crate::chance::Chance;
use crate::gather::Gather;
use crate::metrics::Counters;
use crate::server::{Shared, unix_secs};
use crate::update;

/// How long a thread rests when the system cannot give it datagrams.
const ERROR_PAUSE: Duration = Duration::from_millis(50);

/// How late a rest may end.
const TIMER_SLACK_NANOS: NonZeroU64 = NonZeroU64::new(1_000).unwrap();

/// Answers on one socket until it is told to stop.
pub(crate) fn run(
    socket: &Arc<UdpSocket>,
    shared: &Shared,
    counters: &Arc<Counters>,
    limiter: RateLimiter,
    gather: Gather,
) {
    let mut batch = Batch::new();
    // Without it a rest may take twice as long; that is all.
    let _ = rustix::thread::set_current_timer_slack(Some(TIMER_SLACK_NANOS));
    let mut thread = Thread {
        chance: Chance::new(),
        limiter,
        gather,
        start: Instant::now(),
        wall: Wall::default(),
    };
    while !shared.stopping.load(Ordering::Relaxed) {
        match batch.receive(socket) {
            Ok(count) => {
                let rest = answer(&mut batch, count, socket, shared, counters, &mut thread);
                let unsent = batch.send(socket, count);
                if unsent > 0 {
                    counters.count_unsent(unsent);
                }
                if let Some(rest) = rest {
                    thread::sleep(rest);
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
    RateLimiter::new(rates, threads, Chance::new().key())
}

/// What one thread has for itself.
struct Thread {
    chance: Chance,
    limiter: RateLimiter,
    gather: Gather,
    start: Instant,
    wall: Wall,
}

/// The unix time, read once a second: two looks at clocks cost a lone query as much as finding its name.
#[derive(Default)]
struct Wall {
    read: Option<u64>,
    secs: u32,
}

impl Wall {
    /// The time, which may be a second late.
    #[inline]
    fn secs(&mut self, now_micros: u64, clock: impl FnOnce() -> u32) -> u32 {
        let second = now_micros / 1_000_000;
        if self.read != Some(second) {
            self.read = Some(second);
            self.secs = clock();
        }
        self.secs
    }
}

/// One snapshot, one look at the clock, for the whole batch. Says how long others may gather then.
fn answer(
    batch: &mut Batch,
    count: usize,
    socket: &Arc<UdpSocket>,
    shared: &Shared,
    counters: &Counters,
    thread: &mut Thread,
) -> Option<Duration> {
    let snapshot = shared.snapshots.load();
    let server = shared.server.load();
    let now_micros = u64::try_from(thread.start.elapsed().as_micros()).unwrap_or(u64::MAX);
    let now_secs = thread.wall.secs(now_micros, unix_secs);
    for index in 0..count {
        let (query, from, out) = batch.query(index);
        let entropy = thread.chance.next();
        let client = Client {
            source: from.source(),
            transport: Transport::Udp,
            now_secs,
            entropy,
        };
        let reply = if dns::is_update(query) {
            update::datagram(shared, query, &client, socket, *from, out)
        } else {
            dns::answer(&snapshot, query, &client, &server, out)
        };
        let reply = match thread.limiter.judge(&client, &reply, now_micros) {
            Verdict::Send => reply,
            Verdict::Slip => dns::answer_limited(query, &client, &server, out),
            Verdict::Drop => Reply {
                len: 0,
                class: ReplyClass::Dropped,
                ..reply
            },
        };
        if let Some(tap) = &shared.tap
            && reply.class != ReplyClass::Update
        {
            tap.tell(&client, || from.peer(), query, &out[..reply.len]);
        }
        batch.reply(index, reply.len);
        counters.count_alone(&reply);
    }
    thread.gather.after(count, now_micros)
}

/// Nothing came, or a signal did.
fn is_idle(error: &io::Error) -> bool {
    matches!(
        error.kind(),
        io::ErrorKind::WouldBlock | io::ErrorKind::TimedOut | io::ErrorKind::Interrupted
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_wall_clock_is_read_once_a_second_and_may_jump() {
        let mut wall = Wall::default();
        assert_eq!(wall.secs(10, || 500), 500);
        assert_eq!(wall.secs(999_999, || unreachable!("it was just read")), 500);
        assert_eq!(wall.secs(1_000_000, || 400), 400);
        assert_eq!(wall.secs(5_000_000, || 404), 404);
    }
}
