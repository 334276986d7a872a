//! The same with so many names that few of them are in the processor's nearest caches, every query
//! with a cookie, and a change of health in between.

use std::hint::black_box;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::sync::Arc;
use std::sync::mpsc::{Receiver, RecvTimeoutError, Sender, channel};
use std::thread;
use std::time::{Duration, Instant};

use meridian_dns::{
    Answer, Choice, Client, Content, Freshness, Name, RecordType, Secrets, Server, Snapshot,
    SnapshotBuilder, Steered, SteeredRecords, Transport, UDP_BYTES_MAX, ViewTable, answer,
};

use super::{Chance, KINDS, Kind, OPT, Options, snapshot};

/// What the figures hold for.
pub(crate) const CONDITIONS: &str =
    "100,000 names, IPv4 and IPv6, valid cookies, a change of health every 100 ms";
/// How many names of each of three kinds: a hundred thousand in all.
const NAMES: usize = 33_334;
/// How many queries of the mix; of each kind a tenth of that.
const QUERIES: usize = 1_000_000;
/// How many are made, and then asked, at a time: they are in the cache, as what was just received is.
const BATCH: usize = 1000;
/// How often a name's answer changes.
const FLIP: Duration = Duration::from_millis(100);
/// Of how many queries one is of each kind, in the order of [`KINDS`]: 30 % are NXDOMAIN.
const MIX: [u64; 6] = [20, 15, 25, 30, 5, 5];
const NOW_SECS: u32 = 1_800_000_000;

/// Nanoseconds per query, of each batch: by kind, of all mixed, and of a bare walk over as many names.
pub(crate) fn measure(chance: &mut Chance) -> Vec<(&'static str, Vec<f64>)> {
    let first = Arc::new(snapshot(chance, NAMES));
    let (publish, published) = channel();
    let (release, released) = channel();
    let mut served = Served {
        snapshot: Arc::clone(&first),
        published,
        release,
    };
    let mut rounds = Vec::new();
    thread::scope(|scope| {
        scope.spawn(move || flip(first, &publish, &released));
        let kinds: &'static [Kind] = &KINDS;
        for (label, kind) in LABELS.into_iter().zip(kinds) {
            let batches = QUERIES / 10 / BATCH;
            let of = (0..batches).map(|_| served.ask(chance, |_| kind));
            rounds.push((label, of.collect()));
        }
        let mixed = (0..QUERIES / BATCH).map(|_| served.ask(chance, mixed_kind));
        rounds.push(("cold_mix", mixed.collect()));
        // The publisher ends when nobody takes its snapshots.
        drop(served);
    });
    let walk = Walk::new(chance);
    let walks = (0..QUERIES / BATCH).map(|_| walk.walk(chance));
    rounds.push(("cold_walk", walks.collect()));
    rounds
}

const LABELS: [&str; 6] = [
    "cold_static",
    "cold_source",
    "cold_ecs",
    "cold_nxdomain",
    "cold_nodata",
    "cold_referral",
];

fn mixed_kind(chance: &mut Chance) -> &'static Kind {
    let mut left = chance.next() % MIX.iter().sum::<u64>();
    let kinds: &'static [Kind] = &KINDS;
    let mut kinds = kinds.iter().zip(MIX);
    let found = kinds.find(|(_, share)| match left.checked_sub(*share) {
        Some(rest) => {
            left = rest;
            false
        }
        None => true,
    });
    found.expect("what is left is less than the sum").0
}

/// Who answers: what is published, and where old snapshots go, which the publisher drops.
struct Served {
    snapshot: Arc<Snapshot>,
    published: Receiver<Arc<Snapshot>>,
    release: Sender<Arc<Snapshot>>,
}

impl Served {
    /// Asks a batch.
    fn ask(&mut self, chance: &mut Chance, kind: impl Fn(&mut Chance) -> &'static Kind) -> f64 {
        if let Ok(next) = self.published.try_recv() {
            let before = std::mem::replace(&mut self.snapshot, next);
            // Who drops it is gone only when all is over.
            let _ = self.release.send(before);
        }
        let server = Server::from(Secrets {
            current: [7; 16],
            other: None,
        });
        let queries: Vec<_> = (0..BATCH)
            .map(|_| {
                let kind = kind(chance);
                query(kind, &self.snapshot, &server, chance)
            })
            .collect();
        let mut out = [0; UDP_BYTES_MAX];
        let start = Instant::now();
        for (query, client) in &queries {
            black_box(answer(
                &self.snapshot,
                black_box(query),
                client,
                &server,
                &mut out,
            ));
        }
        start.elapsed().as_nanos() as f64 / BATCH as f64
    }
}

/// A query for any name of a kind, from any client, with a cookie that it was given.
fn query(
    kind: &Kind,
    snapshot: &Snapshot,
    server: &Server,
    chance: &mut Chance,
) -> (Vec<u8>, Client) {
    let number = chance.next() as usize % NAMES;
    let source = match chance.next() % 2 {
        0 => IpAddr::V4(Ipv4Addr::from_bits(chance.next() as u32)),
        // Global unicast (RFC 4291 § 2.4).
        _ => {
            let high = chance.next() >> 3 | 0x2000_0000_0000_0000;
            IpAddr::V6(Ipv6Addr::from_bits(u128::from(high) << 64))
        }
    };
    let client = Client {
        source,
        transport: Transport::Udp,
        now_secs: NOW_SECS,
        entropy: chance.next(),
    };
    let mine = chance.next().to_be_bytes();
    let cookie = cookie(mine, snapshot, server, &client);
    let mut options = Vec::new();
    if kind.options == Options::Subnet {
        match source {
            IpAddr::V4(v4) => {
                options.extend([0, 8, 0, 7, 0, 1, 24, 0]);
                options.extend(&v4.octets()[..3]);
            }
            IpAddr::V6(v6) => {
                options.extend([0, 8, 0, 11, 0, 2, 56, 0]);
                options.extend(&v6.octets()[..7]);
            }
        }
    }
    options.extend([0, 10, 0, 24]);
    options.extend(cookie);
    (with_options(kind.question(number), &options), client)
}

fn with_options(mut query: Vec<u8>, options: &[u8]) -> Vec<u8> {
    query.extend(OPT);
    let length = u16::try_from(options.len()).expect("few options");
    query.extend(length.to_be_bytes());
    query.extend(options);
    query
}

/// What a client is given that sends its own part only (RFC 7873 § 5.2.3).
fn cookie(mine: [u8; 8], snapshot: &Snapshot, server: &Server, client: &Client) -> Vec<u8> {
    let options = [&[0, 10, 0, 8][..], &mine].concat();
    let query = with_options(KINDS[0].question(0), &options);
    let mut out = [0; UDP_BYTES_MAX];
    let reply = answer(snapshot, &query, client, server, &mut out);
    let option = [&[0, 10, 0, 24][..], &mine].concat();
    let at = out[..reply.len]
        .windows(option.len())
        .rposition(|part| part == option)
        .expect("the reply has a cookie");
    out[at + 4..at + 28].to_vec()
}

/// Publishes another answer of a name again and again, until nobody listens.
fn flip(
    mut snapshot: Arc<Snapshot>,
    publish: &Sender<Arc<Snapshot>>,
    released: &Receiver<Arc<Snapshot>>,
) {
    let views = Arc::new(ViewTable::uniform());
    for number in (0..NAMES).cycle() {
        // What comes back is dropped here; the time is over when nothing more does.
        let until = Instant::now() + FLIP;
        loop {
            let left = until.saturating_duration_since(Instant::now());
            match released.recv_timeout(left) {
                Ok(_) => {}
                Err(RecvTimeoutError::Timeout) => break,
                Err(RecvTimeoutError::Disconnected) => return,
            }
        }
        let content = Content::Addresses(vec![IpAddr::from([192, 0, 2, number as u8])]);
        let choice = Choice::One(Answer {
            ttl_secs: 20,
            content,
        });
        let steered = Steered {
            views: Arc::clone(&views),
            records: vec![SteeredRecords::per_view(RecordType::A, [choice])],
            freshness: Freshness::Fresh,
        };
        let name = Name::parse(&format!("steered{number}.example.org")).expect("a name");
        let mut builder = SnapshotBuilder::from(&snapshot);
        builder.steer(&name, &steered).expect("a sound name");
        snapshot = Arc::new(builder.build(2));
        if publish.send(Arc::clone(&snapshot)).is_err() {
            return;
        }
    }
}

/// The least that any table of this size costs: three reads, each of which says where the next is.
struct Walk {
    /// A place in [`Self::slots`] for each name, as a table has them by hash.
    places: Vec<u32>,
    slots: Vec<[u32; 16]>,
    nodes: Vec<[u64; 32]>,
}

impl Walk {
    fn new(chance: &mut Chance) -> Self {
        let count = 3 * NAMES;
        let mut below = || (chance.next() % count as u64) as u32;
        Self {
            places: (0..count).map(|_| below()).collect(),
            slots: (0..count).map(|_| [below(); 16]).collect(),
            nodes: (0..count as u64).map(|number| [number; 32]).collect(),
        }
    }

    fn walk(&self, chance: &mut Chance) -> f64 {
        let count = self.places.len();
        let asked: Vec<usize> = (0..BATCH).map(|_| chance.next() as usize % count).collect();
        let start = Instant::now();
        // A walk begins where the one before ended, as an answer is done before the next query.
        let mut before = 0;
        for &number in &asked {
            let slot = self.places[(number + before) % count] as usize;
            let node = self.slots[slot][number % 16] as usize;
            before = black_box(self.nodes[node][number % 32] as usize);
        }
        start.elapsed().as_nanos() as f64 / BATCH as f64
    }
}
