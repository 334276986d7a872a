//! Any bytes as a query, over any transport: no panic, and no reply that is longer than it may be.
#![no_main]

mod server;

use std::sync::LazyLock;

use libfuzzer_sys::fuzz_target;
use meridian_dns::{
    Client, Secondary, Server, Snapshot, SnapshotBuilder, Transfer, Transport,
    UDP_BYTES_MAX, Zone, answer, answer_limited, transfer,
};
use server::server;

const ZONE: &str = "@ SOA ns host 1 2 3 4 5\n@ NS ns\nns A 192.0.2.1\n*.w TXT x\na CNAME b.w\n\
                    sub NS ns.sub\nns.sub AAAA ::1\nd DNAME example.net.\nx.y.z MX 1 ns\n";

static WORLD: LazyLock<(Snapshot, Server)> = LazyLock::new(|| {
    let origin = meridian_dns::Name::parse("example.org").expect("a name");
    let records = meridian_dns::read_records(ZONE, &origin, 300).expect("a zone");
    let mut builder = SnapshotBuilder::new();
    let zone = Zone {
        origin: origin.clone(),
        records: records.clone(),
    };
    builder.zone(&zone).expect("it is right");
    let secondary = Secondary {
        networks: vec!["0.0.0.0/0".parse().expect("a network")],
        key: None,
        notify: Vec::new(),
    };
    let given = Transfer {
        secondaries: vec![secondary],
        records,
    };
    builder.transfer(&origin, &given).expect("it is there");
    (builder.build(1), server())
});

fuzz_target!(|bytes: &[u8]| {
    let (snapshot, server) = &*WORLD;
    let mut out = [0; 65_535];
    for transport in Transport::ALL {
        let client = Client {
            source: [192, 0, 2, 7].into(),
            transport,
            now_secs: 1_800_000_000,
            entropy: 5,
        };
        let room = match transport {
            Transport::Udp => UDP_BYTES_MAX,
            _ => out.len(),
        };
        let reply = answer(snapshot, bytes, &client, server, &mut out[..room]);
        assert!(reply.len <= room);
        if reply.len > 0 {
            assert_eq!(out[..2], bytes[..2], "the identifier");
            assert!(out[2] & 0x80 != 0, "a reply says that it is one");
        }
        let reply = answer_limited(bytes, &client, server, &mut out[..room]);
        assert!(reply.len <= room);
        for message in transfer(snapshot, bytes, &client, server).into_iter().flatten() {
            assert!(message.len() <= out.len());
        }
    }
});
