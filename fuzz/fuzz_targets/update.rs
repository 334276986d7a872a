//! Any bytes as an UPDATE (RFC 2136): as they come, with a signature that is right (RFC 8945), and with
//! any bytes in the place of a signature's data.
#![no_main]

mod server;

use std::collections::{BTreeMap, BTreeSet};
use std::sync::LazyLock;

use libfuzzer_sys::fuzz_target;
use meridian_dns::{
    Challenges, Client, Name, Requested, Server, Snapshot, SnapshotBuilder,
    Transport, UpdateCode, Zone, answer, is_update, read_records, update,
};
use ring::hmac;
use server::server;

const ZONE: &str = "@ SOA ns host 1 2 3 4 5\n@ NS ns\nns A 192.0.2.1\nsub NS ns.sub\n";
const NOW: u32 = 1_800_000_000;
const KEY_NAME: &[u8] = b"\x01k\x00";
const ALGORITHM: &[u8] = b"\x0bhmac-sha256\x00";
const NOTAUTH: u8 = 9;
const ZONE_SECTION_END: usize = 21;
const RECORDS_MAX: u8 = 20;
const OWNERS: [&[u8]; 5] = [
    b"\x0f_acme-challenge\x01a\x03org\x00",
    b"\x0f_acme-challenge\x03sub\x03org\x00",
    b"\x01a\xc0\x0c",
    b"\x03net\x00",
    b"\x00",
];

static WORLD: LazyLock<(Snapshot, Server)> = LazyLock::new(|| {
    let origin = Name::parse("org").expect("a name");
    let records = read_records(ZONE, &origin, 300).expect("a zone");
    let mut builder = SnapshotBuilder::new();
    let zone = Zone {
        origin: origin.clone(),
        records,
    };
    builder.zone(&zone).expect("it is right");
    let named = BTreeSet::from([Name::parse("k").expect("a name")]);
    builder.updaters(BTreeMap::from([(origin, named)]));
    (builder.build(1), server())
});

/// Appends a signature whose data is given, and counts it.
fn with_record(message: &[u8], data: &[u8]) -> Vec<u8> {
    let mut signed = [message, KEY_NAME].concat();
    signed.extend([0, 250, 0, 255, 0, 0, 0, 0]);
    signed.extend((data.len() as u16).to_be_bytes());
    signed.extend(data);
    let additional = u16::from_be_bytes([message[10], message[11]]).wrapping_add(1);
    signed[10..12].copy_from_slice(&additional.to_be_bytes());
    signed
}

/// Signs, as RFC 8945 § 4.3 says; by other code than the product's.
fn signed(message: &[u8]) -> Vec<u8> {
    let timers = [&u64::from(NOW).to_be_bytes()[2..], &[1, 44]].concat();
    let covered = [message, KEY_NAME, &[0, 255, 0, 0, 0, 0], ALGORITHM, &timers, &[0; 4]].concat();
    let key = hmac::Key::new(hmac::HMAC_SHA256, &[0; 16]);
    let mac = hmac::sign(&key, &covered);
    let data = [ALGORITHM, &timers, &[0, 32], mac.as_ref(), &message[..2], &[0; 4]].concat();
    with_record(message, &data)
}

/// The code of a reply; `None` when it may change something.
fn code(message: &[u8]) -> Option<u8> {
    let (snapshot, server) = &*WORLD;
    let client = Client {
        source: [192, 0, 2, 7].into(),
        transport: Transport::Tcp,
        now_secs: NOW,
        entropy: 5,
    };
    let mut out = [0; 65_535];
    answer(snapshot, message, &client, server, &mut out);
    match update(snapshot, message, &client, server, &mut out) {
        Requested::Answered(reply) => {
            assert!((12..=out.len()).contains(&reply.len), "always something");
            assert_eq!(out[..2], message[..2], "the identifier");
            assert_eq!(out[2] & 0xf8, 0xa8, "a reply to an UPDATE");
            Some(out[3] & 0xf)
        }
        Requested::Asked(update) => {
            for code in [UpdateCode::NoError, UpdateCode::ServFail] {
                assert!(update.reply(code, NOW).len() > 12);
            }
            if let Ok(then) = update.apply(&Challenges::new()) {
                assert!(then.values().all(|it| !it.values.is_empty()));
            }
            None
        }
    }
}

fuzz_target!(|bytes: &[u8]| {
    // Anything.
    let mut message = bytes.to_vec();
    if message.len() > 2 {
        message[2] = 5 << 3;
    }
    if message.len() >= 12 {
        assert!(is_update(&message));
        code(&message);
    }
    // Whole records of any content after a zone section that is right, and a signature that is right:
    // whatever else is wrong is no matter of authority.
    let message = of_records(bytes);
    assert_ne!(code(&signed(&message)), Some(NOTAUTH), "it is signed by who may");
    // Any data of a signature.
    if bytes.len() < 60_000 {
        code(&with_record(&message[..ZONE_SECTION_END], bytes));
    }
});

/// An UPDATE of the zone whose records the bytes draw: owner, type, class, TTL, length and data.
fn of_records(mut bytes: &[u8]) -> Vec<u8> {
    let mut message = vec![1, 2, 5 << 3, 0, 0, 1, 0, 0, 0, 0, 0, 0];
    message.extend(b"\x03org\x00\x00\x06\x00\x01");
    let mut counts = [0_u8; 2];
    while let Some(([section, owner, kind, class, ttl, length], rest)) = bytes.split_first_chunk()
        && counts[0] + counts[1] < RECORDS_MAX
    {
        // Prerequisites come first.
        let wanted = counts[1] > 0 || section & 1 == 1;
        counts[usize::from(wanted)] += 1;
        message.extend(OWNERS[usize::from(*owner) % OWNERS.len()]);
        message.extend(u16::from(*kind).to_be_bytes());
        message.extend([0, *class]);
        message.extend(u32::from(*ttl).to_be_bytes());
        let (data, rest) = rest.split_at(usize::from(*length).min(rest.len()));
        message.extend((data.len() as u16).to_be_bytes());
        message.extend(data);
        bytes = rest;
    }
    message[7] = counts[0];
    message[9] = counts[1];
    message
}
