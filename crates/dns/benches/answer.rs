//! How long `answer` takes per query, by kind: 1,000 names, hot; and 100,000, cold.
//!
//! `cargo bench -p meridian-dns --bench answer` prints a table, and as its last line JSON. A core
//! that it shares with others is slower at times: the kinds are measured in turns, and beside each
//! turn the yardstick is, SipHash-2-4 of 256 bytes, to which the ratios are.

#[path = "answer/cold.rs"]
mod cold;

use std::hash::Hasher;
use std::hint::black_box;
use std::io::{self, Write};
use std::net::{IpAddr, Ipv4Addr};
use std::sync::Arc;
use std::time::Instant;

use meridian_dns::{
    Answer, Choice, Client, Content, Freshness, Leaf, Name, Record, RecordType, Secrets, Server,
    Snapshot, SnapshotBuilder, Soa, Steered, SteeredRecords, Transport, UDP_BYTES_MAX, ViewTable,
    Zone, answer,
};
use siphasher::sip::SipHasher24;

/// How many names of each kind.
const NAMES: usize = 1000;
/// How many queries a round asks: it lasts less than the system's time slice.
const QUERIES: usize = 1000;
/// How many rounds are in a turn, after a first one that does not count, and how many turns; the
/// medians count.
const ROUNDS: usize = 51;
const TURNS: usize = 101;
/// What the yardstick hashes.
const YARDSTICK_BYTES: usize = 256;
/// How many names there are when one of them changes.
const FLIP_NAMES: usize = 100_000;
/// How many of them change, one after another.
const FLIPS: usize = 1001;
/// How many prefixes the view table has, and how many views.
const PREFIXES: usize = 200_000;
const VIEWS: u16 = 200;

fn main() -> io::Result<()> {
    let mut chance = Chance(42);
    let snapshot = snapshot(&mut chance, NAMES);
    let mut out = io::stdout().lock();
    writeln!(
        out,
        "{:<16} {:>8} {:>8} {:>8}",
        "kind", "median", "least", "most"
    )?;
    let queries = KINDS.map(|kind| {
        let queries = (0..QUERIES).map(|_| kind.query(&mut chance));
        queries.collect::<Vec<_>>()
    });
    let mut turns = KINDS.map(|_| Vec::new());
    let mut ratios = KINDS.map(|_| Vec::new());
    for _ in 0..TURNS {
        for (at, queries) in queries.iter().enumerate() {
            let yardstick = median(&mut (0..ROUNDS).map(|_| yardstick()).collect::<Vec<_>>());
            round(&snapshot, queries);
            let rounds = (0..ROUNDS).map(|_| round(&snapshot, queries));
            let turn = median(&mut rounds.collect::<Vec<_>>());
            turns[at].push(turn);
            ratios[at].push(turn / yardstick);
        }
    }
    let (mut json, mut ratio) = (Vec::new(), Vec::new());
    for ((kind, turns), mut ratios) in KINDS.iter().zip(turns).zip(ratios) {
        let label = kind.label;
        json.push(tell(&mut out, label, turns)?);
        ratio.push(format!("\"{label}\":{:.2}", median(&mut ratios)));
    }
    drop(snapshot);
    writeln!(out, "cold: {}", cold::CONDITIONS)?;
    let cold = cold::measure(&mut chance).into_iter();
    let cold = cold.map(|(label, rounds)| tell(&mut out, label, rounds));
    let cold = cold.collect::<io::Result<Vec<_>>>()?;
    writeln!(
        out,
        "a change of one among {FLIP_NAMES} names: {:.2} ms",
        flip()
    )?;
    writeln!(
        out,
        "{{\"bench\":\"answer\",\"ns\":{{{}}},\"ratio\":{{{}}},\"cold_ns\":{{{}}}}}",
        json.join(","),
        ratio.join(","),
        cold.join(",")
    )
}

/// Prints a line of the table; what comes back is its part of the JSON.
fn tell(out: &mut impl Write, label: &str, mut rounds: Vec<f64>) -> io::Result<String> {
    let median = median(&mut rounds);
    let (least, most) = (rounds[0], rounds[rounds.len() - 1]);
    writeln!(
        out,
        "{label:<16} {median:>5.0} ns {least:>5.0} ns {most:>5.0} ns"
    )?;
    Ok(format!("\"{label}\":{median:.0}"))
}

/// Sorts them.
fn median(rounds: &mut [f64]) -> f64 {
    rounds.sort_by(f64::total_cmp);
    rounds[rounds.len() / 2]
}

/// Nanoseconds of something that never changes.
fn yardstick() -> f64 {
    let bytes = [7; YARDSTICK_BYTES];
    let start = Instant::now();
    for _ in 0..QUERIES {
        let mut hasher = SipHasher24::new();
        hasher.write(black_box(&bytes));
        black_box(hasher.finish());
    }
    start.elapsed().as_nanos() as f64 / QUERIES as f64
}

/// One kind of query.
struct Kind {
    label: &'static str,
    /// The first label, before the name's number.
    prefix: &'static str,
    record_type: RecordType,
    options: Options,
}

/// What the query's OPT record holds.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Options {
    Plain,
    Subnet,
}

const KINDS: [Kind; 6] = [
    kind("static", "static", RecordType::A, Options::Plain),
    kind("steered_source", "steered", RecordType::A, Options::Plain),
    kind("steered_ecs", "steered", RecordType::A, Options::Subnet),
    kind("nxdomain", "missing", RecordType::A, Options::Plain),
    kind("nodata", "static", RecordType::TXT, Options::Plain),
    kind("referral", "host.cut", RecordType::A, Options::Plain),
];

const fn kind(
    label: &'static str,
    prefix: &'static str,
    record_type: RecordType,
    options: Options,
) -> Kind {
    Kind {
        label,
        prefix,
        record_type,
        options,
    }
}

/// Type, size of replies, and no flags (RFC 6891 § 6.1.2).
const OPT: [u8; 9] = [0, 0, 41, 0x04, 0xd0, 0, 0, 0, 0];

impl Kind {
    /// The query for the name of this number, up to its OPT record.
    fn question(&self, number: usize) -> Vec<u8> {
        let name = Name::parse(&format!("{}{number}.example.org", self.prefix)).expect("a name");
        let mut query = vec![0x12, 0x34, 1, 0, 0, 1, 0, 0, 0, 0, 0, 1];
        query.extend(name.wire());
        query.extend(self.record_type.0.to_be_bytes());
        query.extend([0, 1]);
        query
    }

    fn query(&self, chance: &mut Chance) -> (Vec<u8>, Client) {
        let mut query = self.question(chance.next() as usize % NAMES);
        let prefix = chance.next() as u32 & 0xffff_ff00;
        query.extend(OPT);
        match self.options {
            Options::Plain => query.extend([0, 0]),
            Options::Subnet => {
                query.extend([0, 11, 0, 8, 0, 7, 0, 1, 24, 0]);
                query.extend(&prefix.to_be_bytes()[..3]);
            }
        }
        let client = Client {
            source: IpAddr::V4(Ipv4Addr::from_bits(chance.next() as u32)),
            transport: Transport::Udp,
            now_secs: 1_800_000_000,
            entropy: chance.next(),
        };
        (query, client)
    }
}

/// Nanoseconds per query.
fn round(snapshot: &Snapshot, queries: &[(Vec<u8>, Client)]) -> f64 {
    let server = Server::from(Secrets {
        current: [7; 16],
        other: None,
    });
    let mut out = [0; UDP_BYTES_MAX];
    let start = Instant::now();
    for (query, client) in queries {
        black_box(answer(
            snapshot,
            black_box(query),
            client,
            &server,
            &mut out,
        ));
    }
    start.elapsed().as_nanos() as f64 / queries.len() as f64
}

/// So many names of each kind: static, delegated, steered.
fn snapshot(chance: &mut Chance, names: usize) -> Snapshot {
    let name = |text: &str| Name::parse(text).expect("a name");
    let origin = name("example.org");
    let soa = Soa {
        primary: name("ns1.example.org"),
        mailbox: name("hostmaster.example.org"),
        serial: 1,
        refresh_secs: 3600,
        retry_secs: 600,
        expire_secs: 604_800,
        minimum_secs: 60,
    };
    let mut zone = Zone::new(origin, 300, &soa, &[name("ns1.example.org")]);
    let address = |number: usize| IpAddr::V4(Ipv4Addr::from_bits(0xc000_0200 + number as u32));
    for number in 0..names {
        let owner = name(&format!("static{number}.example.org"));
        zone.records
            .push(Record::address(owner, 300, address(number)));
        let cut = name(&format!("cut{number}.example.org"));
        let server = name(&format!("ns.cut{number}.example.org"));
        zone.records
            .push(Record::name(cut, 300, RecordType::NS, &server));
        zone.records
            .push(Record::address(server, 300, address(number)));
    }
    let mut builder = SnapshotBuilder::new();
    builder.zone(&zone).expect("a sound zone");
    let views = Arc::new(views(chance));
    for number in 0..names {
        let choice = |view: usize| {
            let content = Content::Addresses(vec![address(view % 5), address(number)]);
            Choice::One(Answer {
                ttl_secs: 20,
                content,
            })
        };
        let records = SteeredRecords::per_view(RecordType::A, (0..usize::from(VIEWS)).map(choice));
        let steered = Steered {
            views: Arc::clone(&views),
            records: vec![records],
            freshness: Freshness::Fresh,
        };
        let name = name(&format!("steered{number}.example.org"));
        builder.steer(&name, &steered).expect("a sound name");
    }
    builder.build(1)
}

/// The median of how long it takes to publish a change of one steered name, in milliseconds.
fn flip() -> f64 {
    let mut chance = Chance(7);
    let mut builder = SnapshotBuilder::from(&snapshot(&mut chance, NAMES));
    let views = Arc::new(ViewTable::uniform());
    let name = |number: usize| Name::parse(&format!("flip{number}.example.org")).expect("a name");
    let steered = |last: u8| {
        let content = Content::Addresses(vec![IpAddr::from([192, 0, 2, last])]);
        let choice = Choice::One(Answer {
            ttl_secs: 20,
            content,
        });
        let records = vec![SteeredRecords::per_view(RecordType::A, [choice])];
        Steered {
            views: Arc::clone(&views),
            records,
            freshness: Freshness::Fresh,
        }
    };
    for number in 0..FLIP_NAMES {
        builder
            .steer(&name(number), &steered(1))
            .expect("a sound name");
    }
    let mut current = builder.build(1);
    let mut rounds: Vec<f64> = (0..FLIPS)
        .map(|index| {
            let (name, steered) = (name(index), steered(2));
            let start = Instant::now();
            let mut builder = SnapshotBuilder::from(&current);
            builder.steer(&name, &steered).expect("a sound name");
            current = builder.build(2);
            start.elapsed().as_secs_f64() * 1000.0
        })
        .collect();
    median(&mut rounds)
}

/// Prefixes split at random: none longer than 24 bits of IPv4, or 48 of IPv6.
fn views(chance: &mut Chance) -> ViewTable {
    let v4 = leaves(chance, 24).into_iter();
    let v4: Vec<_> = v4
        .map(|(bits, length, view)| Leaf {
            bits: (bits >> 96) as u32,
            length,
            view,
        })
        .collect();
    let v6 = leaves(chance, 48).into_iter();
    let v6: Vec<_> = v6
        .map(|(bits, length, view)| Leaf { bits, length, view })
        .collect();
    ViewTable::compile(&v4, &v6).expect("complete leaves")
}

/// Bits, left-aligned, length and view of each prefix.
fn leaves(chance: &mut Chance, length_max: u8) -> Vec<(u128, u8, u16)> {
    let mut leaves = vec![(0u128, 0, 0)];
    let mut next = 0;
    while leaves.len() < PREFIXES {
        let (bits, length, _) = leaves[next];
        let length = length + 1;
        if length <= length_max && (length < 12 || !chance.next().is_multiple_of(3)) {
            leaves[next].1 = length;
            let view = (chance.next() % u64::from(VIEWS)) as u16;
            leaves.push((bits | 1 << (128 - length), length, view));
        }
        next = (next + 1) % leaves.len();
    }
    leaves
}

/// SplitMix64: the same sequence in every run.
struct Chance(u64);

impl Chance {
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut bits = self.0;
        bits = (bits ^ bits >> 30).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        bits = (bits ^ bits >> 27).wrapping_mul(0x94d0_49bb_1331_11eb);
        bits ^ bits >> 31
    }
}
