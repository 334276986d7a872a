//! Answering allocates nothing, whatever is asked.

use std::alloc::{GlobalAlloc, Layout, System};
use std::cell::Cell;
use std::net::IpAddr;
use std::sync::Arc;

use meridian_dns::{
    Answer, Choice, Client, Content, Freshness, Name, Record, RecordType, Secrets, Server, Share,
    Snapshot, SnapshotBuilder, Soa, Steered, SteeredRecords, Transport, ViewTable, Zone, answer,
};

thread_local!(static ALLOCATIONS: Cell<usize> = const { Cell::new(0) });

/// The system's allocator, counting.
struct Counting;

#[expect(
    unsafe_code,
    reason = "an allocator that counts can only be written so"
)]
// SAFETY: every call goes unchanged to the system's allocator.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        ALLOCATIONS.set(ALLOCATIONS.get() + 1);
        // SAFETY: the caller's promises are the system allocator's.
        unsafe { System.alloc(layout) }
    }

    unsafe fn dealloc(&self, pointer: *mut u8, layout: Layout) {
        // SAFETY: the caller's promises are the system allocator's.
        unsafe { System.dealloc(pointer, layout) }
    }
}

#[global_allocator]
static COUNTING: Counting = Counting;

fn name(text: &str) -> Name {
    Name::parse(text).unwrap()
}

fn snapshot() -> Snapshot {
    let soa = Soa {
        primary: name("ns1.example.org"),
        mailbox: name("host.example.org"),
        serial: 1,
        refresh_secs: 2,
        retry_secs: 3,
        expire_secs: 4,
        minimum_secs: 5,
    };
    let mut zone = Zone::new(name("example.org"), 300, &soa, &[name("ns1.example.org")]);
    let address = |last: u8| IpAddr::from([192, 0, 2, last]);
    let long = name(&format!("{}.example.org", "long".repeat(15)));
    zone.records.extend([
        Record::address(name("www.example.org"), 300, address(1)),
        Record::name(
            name("alias.example.org"),
            300,
            RecordType::CNAME,
            &name("www.example.org"),
        ),
        Record::name(
            name("chain.example.org"),
            300,
            RecordType::CNAME,
            &name("shop.example.org"),
        ),
        Record::name(
            name("sub.example.org"),
            300,
            RecordType::NS,
            &name("ns.sub.example.org"),
        ),
        Record::address(name("ns.sub.example.org"), 300, address(2)),
        Record::name(
            name("old.example.org"),
            300,
            RecordType::DNAME,
            &name("new.example.org"),
        ),
        Record::new(name("*.wild.example.org"), 300, RecordType::TXT, *b"\x02hi"),
        Record::address(long, 300, address(3)),
    ]);
    for index in 0..9 {
        let text = [&[250][..], &[index; 250]].concat();
        zone.records.push(Record::new(
            name("big.example.org"),
            300,
            RecordType::TXT,
            text,
        ));
    }
    let mut builder = SnapshotBuilder::new();
    builder.zone(&zone).unwrap();
    steer(&mut builder);
    builder.build(1)
}

/// One steered name for each form of choice.
fn steer(builder: &mut SnapshotBuilder) {
    let address = |last: u8| IpAddr::from([192, 0, 2, last]);
    let one = |last| Answer {
        ttl_secs: 20,
        content: Content::Addresses(vec![address(last)]),
    };
    let shares: Vec<_> = (1..9)
        .map(|last| Share {
            weight: 1,
            answer: one(last),
        })
        .collect();
    let alias = Content::Alias(name("www.example.org"));
    for (owner, choice) in [
        ("shop.example.org", Choice::One(one(9))),
        ("chance.example.org", Choice::Weighted(shares.clone())),
        (
            "sticky.example.org",
            Choice::ByPrefix {
                bits_v4: 24,
                bits_v6: 56,
                shares,
            },
        ),
        (
            "lb.example.org",
            Choice::One(Answer {
                ttl_secs: 20,
                content: alias,
            }),
        ),
        (
            "down.example.org",
            Choice::One(Answer {
                ttl_secs: 9,
                content: Content::NothingHealthy,
            }),
        ),
    ] {
        let steered = Steered {
            views: Arc::new(ViewTable::uniform()),
            records: vec![SteeredRecords::per_view(RecordType::A, [choice])],
            freshness: Freshness::Stale,
        };
        builder.steer(&name(owner), &steered).unwrap();
    }
}

fn queries() -> Vec<Vec<u8>> {
    let long = format!("{}.example.org", "long".repeat(15));
    let names = [
        "www.example.org",
        "alias.example.org",
        "chain.example.org",
        "x.sub.example.org",
        "sub.example.org",
        "a.old.example.org",
        "x.wild.example.org",
        "big.example.org",
        "shop.example.org",
        "chance.example.org",
        "sticky.example.org",
        "lb.example.org",
        "down.example.org",
        "nope.example.org",
        "a.b.c.d.e.f.g.example.org",
        "example.net",
        &long,
    ];
    let cookie = [&[0, 10, 0, 24][..], &[7; 24]].concat();
    let options: [&[u8]; 4] = [
        &[],
        &[0, 8, 0, 7, 0, 1, 24, 0, 198, 51, 100],
        &[0, 8, 0, 10, 0, 2, 48, 0, 0x20, 1, 0xd, 0xb8, 0, 1],
        &cookie,
    ];
    let mut queries = vec![vec![1, 2, 3], vec![0; 12]];
    for owner in names {
        for record_type in [1u16, 16, 28, 5, 43, 252, 255] {
            let mut plain = vec![0x12, 0x34, 1, 0, 0, 1, 0, 0, 0, 0, 0, 0];
            plain.extend(name(owner).wire());
            plain.extend(record_type.to_be_bytes());
            plain.extend([0, 1]);
            for options in options {
                let mut query = plain.clone();
                query[11] = 1;
                query.extend([0, 0, 41, 4, 208, 0, 0, 0, 0, 0, options.len() as u8]);
                query.extend(options);
                queries.push(query);
            }
            queries.push(plain);
        }
    }
    queries
}

#[test]
fn no_query_makes_the_engine_allocate() {
    let snapshot = snapshot();
    let queries = queries();
    let server = Server::from(Secrets {
        current: [1; 16],
        other: Some([2; 16]),
    });
    let mut out = vec![0; meridian_dns::REPLY_BYTES_MAX];
    let mut answered = 0;
    let before = ALLOCATIONS.get();
    for transport in Transport::ALL {
        for (index, query) in queries.iter().enumerate() {
            let entropy = (index as u64).wrapping_mul(0x9e37_79b9_7f4a_7c15);
            let source = IpAddr::from([192, 0, 2, 1]);
            let client = Client {
                source,
                transport,
                now_secs: 1000,
                entropy,
            };
            answered += usize::from(answer(&snapshot, query, &client, &server, &mut out).len > 0);
        }
    }
    let after = ALLOCATIONS.get();
    assert_eq!(
        after - before,
        0,
        "allocations over {} queries",
        queries.len() * Transport::ALL.len()
    );
    assert_eq!(answered, (queries.len() - 1) * Transport::ALL.len());
    drop(vec![0u8; 1]);
    assert!(ALLOCATIONS.get() > after, "the allocator counts");
}
