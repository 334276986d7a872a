//! How long `answer` takes per query, by kind: 1,000 names, hot.
//!
//! `cargo bench -p meridian-dns --bench answer` prints a table, and as its last line JSON.

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

/// How many names of each kind.
const NAMES: usize = 1000;
/// How many queries a round asks: it lasts less than the system's time slice.
const QUERIES: usize = 1000;
/// How many rounds; the median counts.
const ROUNDS: usize = 1001;
/// How many names there are when one of them changes.
const FLIP_NAMES: usize = 100_000;
/// How many prefixes the view table has, and how many views.
const PREFIXES: usize = 200_000;
const VIEWS: u16 = 200;

fn main() -> io::Result<()> {
    let mut chance = Chance(42);
    let snapshot = snapshot(&mut chance);
    let mut out = io::stdout().lock();
    writeln!(
        out,
        "{:<16} {:>8} {:>8} {:>8}",
        "kind", "median", "least", "most"
    )?;
    let mut json = Vec::new();
    for kind in KINDS {
        let queries: Vec<_> = (0..QUERIES).map(|_| kind.query(&mut chance)).collect();
        let mut rounds: Vec<f64> = (0..ROUNDS).map(|_| round(&snapshot, &queries)).collect();
        rounds.sort_by(f64::total_cmp);
        let median = rounds[ROUNDS / 2];
        let (least, most) = (rounds[0], rounds[ROUNDS - 1]);
        writeln!(
            out,
            "{:<16} {median:>5.0} ns {least:>5.0} ns {most:>5.0} ns",
            kind.label
        )?;
        json.push(format!("\"{}\":{median:.0}", kind.label));
    }
    writeln!(
        out,
        "a change of one among {FLIP_NAMES} names: {:.2} ms",
        flip()
    )?;
    writeln!(
        out,
        "{{\"bench\":\"answer\",\"ns\":{{{}}}}}",
        json.join(",")
    )
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

impl Kind {
    fn query(&self, chance: &mut Chance) -> (Vec<u8>, Client) {
        let number = chance.next() as usize % NAMES;
        let name = Name::parse(&format!("{}{number}.example.org", self.prefix)).expect("a name");
        let mut query = vec![0x12, 0x34, 1, 0, 0, 1, 0, 0, 0, 0, 0, 1];
        query.extend(name.wire());
        query.extend(self.record_type.0.to_be_bytes());
        query.extend([0, 1]);
        let prefix = chance.next() as u32 & 0xffff_ff00;
        query.extend([0, 0, 41, 0x04, 0xd0, 0, 0, 0, 0]);
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

fn snapshot(chance: &mut Chance) -> Snapshot {
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
    for number in 0..NAMES {
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
    for number in 0..NAMES {
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
    let mut builder = SnapshotBuilder::from(&snapshot(&mut chance));
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
    let mut rounds: Vec<f64> = (0..ROUNDS)
        .map(|index| {
            let (name, steered) = (name(index), steered(2));
            let start = Instant::now();
            let mut builder = SnapshotBuilder::from(&current);
            builder.steer(&name, &steered).expect("a sound name");
            current = builder.build(2);
            start.elapsed().as_secs_f64() * 1000.0
        })
        .collect();
    rounds.sort_by(f64::total_cmp);
    rounds[ROUNDS / 2]
}

/// Prefixes split at random, none longer than 24 bits.
fn views(chance: &mut Chance) -> ViewTable {
    let mut leaves = vec![Leaf {
        bits: 0u32,
        length: 0,
        view: 0,
    }];
    let mut next = 0;
    while leaves.len() < PREFIXES {
        let length = leaves[next].length + 1;
        if length <= 24 && (length < 12 || !chance.next().is_multiple_of(3)) {
            leaves[next].length = length;
            let bits = leaves[next].bits | 1 << (32 - length);
            leaves.push(Leaf {
                bits,
                length,
                view: (chance.next() % u64::from(VIEWS)) as u16,
            });
        }
        next = (next + 1) % leaves.len();
    }
    let v6 = [Leaf {
        bits: 0,
        length: 0,
        view: 0,
    }];
    ViewTable::compile(&leaves, &v6).expect("complete leaves")
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
