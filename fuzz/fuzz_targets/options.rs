//! Any bytes as EDNS options (RFC 6891) of a query that is right otherwise: client subnets, cookies,
//! padding and what nobody knows.
#![no_main]

use std::sync::LazyLock;

use libfuzzer_sys::fuzz_target;
use meridian_dns::{
    Client, Secrets, Server, Snapshot, SnapshotBuilder, Transport, UDP_BYTES_MAX, Zone, answer,
};

static WORLD: LazyLock<(Snapshot, Server)> = LazyLock::new(|| {
    let origin = meridian_dns::Name::parse("org").expect("a name");
    let text = "@ SOA ns host 1 2 3 4 5\n@ NS ns\nwww A 192.0.2.1\n";
    let records = meridian_dns::read_records(text, &origin, 300).expect("a zone");
    let mut builder = SnapshotBuilder::new();
    builder.zone(&Zone { origin, records }).expect("it is right");
    let server = Server::from(Secrets {
        current: [7; 16],
        other: Some([8; 16]),
    });
    (builder.build(1), server)
});

fuzz_target!(|options: &[u8]| {
    let (snapshot, server) = &*WORLD;
    let Ok(length) = u16::try_from(options.len()) else {
        return;
    };
    let mut query = vec![1, 2, 0, 0, 0, 1, 0, 0, 0, 0, 0, 1];
    query.extend(b"\x03www\x03org\x00\x00\x01\x00\x01");
    query.extend([0, 0, 41, 4, 0xd0, 0, 0, 0, 0]);
    query.extend(length.to_be_bytes());
    query.extend(options);
    let client = Client {
        source: [192, 0, 2, 7].into(),
        transport: Transport::Udp,
        now_secs: 1_800_000_000,
        entropy: 5,
    };
    let mut out = [0; UDP_BYTES_MAX];
    let reply = answer(snapshot, &query, &client, server, &mut out);
    // RFC 8906 § 3.2: always something.
    assert!((12..=UDP_BYTES_MAX).contains(&reply.len));
    let code = out[3] & 0xf;
    assert!(code == 0 || code == 1 || code == 7, "NOERROR, FORMERR or BADCOOKIE: {code}");
});
