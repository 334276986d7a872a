//! Asking: at a fixed rate, and as fast as answers come.

use std::io::ErrorKind;
use std::net::{SocketAddr, UdpSocket};
use std::time::{Duration, Instant};

use socket2::{Domain, Socket, Type};

use crate::Fallible;
use crate::batch::{self, Batch};
use crate::world::{Chance, World};

/// Different queries, so that no cache of answers is all that is measured.
const QUERIES: usize = 20_000;
/// How long each part lasts.
pub(crate) const SECONDS: Duration = Duration::from_millis(150);
/// How long it is asked before that counts: near caches hold what the server before it needed.
pub(crate) const WARMING: Duration = Duration::from_millis(50);
/// Queries a second of the fixed rate.
const RATE: f64 = 50_000.0;
/// Queries under way when as many as possible are asked: more than a batch, less than any buffer.
const WINDOW: usize = 128;
/// Nothing comes for so long: what is under way is lost.
const LOST_AFTER: Duration = Duration::from_millis(50);
const BUFFER_BYTES: usize = 4 << 20;

/// What to ask.
pub(crate) struct Load {
    queries: Vec<Vec<u8>>,
}

/// What came of it.
#[derive(Debug, Default)]
pub(crate) struct Told {
    pub(crate) answered: u64,
    pub(crate) lost: u64,
    pub(crate) secs: f64,
}

impl Load {
    /// Names and client networks that a seed draws.
    pub(crate) fn new(world: &World) -> Self {
        let mut chance = Chance(5);
        let query = |index: usize| {
            let network = chance.network();
            world.query(index as u16, chance.next() as usize, network)
        };
        Self {
            queries: (0..QUERIES).map(query).collect(),
        }
    }

    /// One query at a time, as if of many clients: the gaps between them are exponential.
    pub(crate) fn steady(&self, server: SocketAddr) -> Fallible<Told> {
        let socket = socket()?;
        socket.connect(server)?;
        socket.set_nonblocking(true)?;
        let mut chance = Chance(11);
        let mut reply = [0; 2048];
        let mut told = Told::default();
        let (mut sent, mut due) = (0_usize, 0.0);
        let start = Instant::now();
        loop {
            let now = start.elapsed();
            if now >= SECONDS + LOST_AFTER {
                break;
            }
            if due <= now.as_secs_f64() && now < SECONDS {
                socket.send(&self.queries[sent % QUERIES])?;
                sent += 1;
                let draw = (chance.next() >> 11) as f64 / (1_u64 << 53) as f64;
                due -= (1.0 - draw).ln() / RATE;
            }
            match socket.recv(&mut reply) {
                Ok(len) => told.count(&reply[..len])?,
                Err(error) if error.kind() == ErrorKind::WouldBlock => {}
                Err(error) => return Err(error.into()),
            }
        }
        told.secs = SECONDS.as_secs_f64();
        told.lost = sent as u64 - told.answered;
        Ok(told)
    }

    /// A window of queries: each reply makes room for the next one.
    pub(crate) fn full(&self, server: SocketAddr, length: Duration) -> Fallible<Told> {
        let socket = socket()?;
        socket.set_read_timeout(Some(LOST_AFTER))?;
        let mut queries = self.queries.iter().cycle();
        let mut told = Told::default();
        let mut under_way = 0;
        let mut batch = Batch::new();
        let start = Instant::now();
        while start.elapsed() < length {
            while under_way < WINDOW {
                socket.send_to(queries.next().ok_or("no query")?, server)?;
                under_way += 1;
            }
            let count = match batch.receive(&socket) {
                Ok(count) => count,
                Err(error) if error.kind() == ErrorKind::WouldBlock => {
                    told.lost += under_way as u64;
                    under_way = 0;
                    continue;
                }
                Err(error) => return Err(error.into()),
            };
            for index in 0..count {
                let (reply, _, out) = batch.query(index);
                told.count(reply)?;
                // The next query goes where the reply came from.
                let next = queries.next().ok_or("no query")?;
                out[..next.len()].copy_from_slice(next);
                batch.reply(index, next.len());
            }
            under_way -= batch.send(&socket, count).min(under_way);
        }
        told.secs = start.elapsed().as_secs_f64();
        Ok(told)
    }
}

impl Told {
    fn count(&mut self, reply: &[u8]) -> Fallible<()> {
        let whole = reply.len() > 12 && reply[2] & 0x80 != 0 && reply[3] & 0xf == 0;
        if !whole {
            return Err("a query failed".into());
        }
        self.answered += 1;
        Ok(())
    }
}

fn socket() -> Fallible<UdpSocket> {
    let any: SocketAddr = "127.0.0.1:0".parse()?;
    let socket = Socket::new(Domain::for_address(any), Type::DGRAM, None)?;
    socket.set_recv_buffer_size(BUFFER_BYTES)?;
    socket.set_send_buffer_size(BUFFER_BYTES)?;
    socket.bind(&any.into())?;
    let socket = UdpSocket::from(socket);
    batch::configure(&socket, any)?;
    Ok(socket)
}
