//! Any bytes as a database of places that an operator gives: it is read, or refused with a reason; and
//! what was read covers both address spaces, as does a table compiled from it.
#![no_main]

use std::{net::IpAddr, sync::LazyLock};

use libfuzzer_sys::fuzz_target;
use meridian_geo::{
    Block, Candidate, Countries, Database, DatabaseFile, PrefixTable, Ranking,
};
use meridian_model::Location;

/// What stands before the metadata.
const MARKER: &[u8] = b"\xab\xcd\xefMaxMind.com";

static COUNTRIES: LazyLock<Countries> = LazyLock::new(|| {
    let table = include_str!("../../geo/countries.csv");
    Countries::read("countries.csv", table).expect("the table in the repository is right")
});

fuzz_target!(|bytes: &[u8]| {
    check(bytes);
    if !bytes.windows(MARKER.len()).any(|part| part == MARKER) {
        // Without metadata nothing else of a file would be looked at.
        if let Some((shape, tree)) = bytes.split_first_chunk() {
            check(&with_metadata(*shape, tree));
        }
    }
});

fn check(bytes: &[u8]) {
    let name = "drawn.mmdb";
    let Ok(database) = Database::read(&[DatabaseFile { name, bytes }], &COUNTRIES) else {
        return;
    };
    let table = PrefixTable::compile(Some(&database), &[ranking()], &[], &[]);
    assert!(table.is_whole());
    assert_eq!(covered(table.blocks_v4(), 32), 1 << 32);
    // All of IPv6 is one more than can be counted.
    assert_eq!(covered(table.blocks_v6(), 128), 0);
    let tail = bytes.last_chunk::<16>().copied().unwrap_or_default();
    let [a, b, c, d, ..] = tail;
    for address in [
        IpAddr::from([a, b, c, d]),
        IpAddr::from(tail),
        IpAddr::from([0; 4]),
        IpAddr::from([255; 16]),
    ] {
        assert!(database.lookup(address).network.contains(&address));
        let found = table.lookup(address);
        assert!(usize::from(found.view) < table.views().len());
    }
}

/// How many addresses these blocks hold, each of which must begin where the last ended.
fn covered(blocks: impl Iterator<Item = Block>, width: u8) -> u128 {
    blocks.fold(0, |next: u128, block| {
        assert_eq!(block.first, next);
        let size = 1u128.checked_shl(u32::from(width - block.length)).unwrap_or(0);
        next.wrapping_add(size)
    })
}

fn ranking() -> Ranking {
    let candidate = |cluster: &str, latitude, longitude| Candidate {
        cluster: cluster.into(),
        location: Some(Location { latitude, longitude }),
        city: None,
        bias: 0,
    };
    Ranking {
        candidates: vec![candidate("b", 39.9, 116.4), candidate("f", 50.1, 8.7)],
    }
}

/// The bytes as tree and data, and right metadata behind them.
fn with_metadata([nodes, shape]: [u8; 2], tree: &[u8]) -> Vec<u8> {
    let version = if shape & 1 == 0 { 4 } else { 6 };
    let record_size = 24 + shape % 3 * 4;
    let mut bytes = tree.to_vec();
    bytes.extend(MARKER);
    bytes.push(0xe9);
    for (key, value) in [
        ("binary_format_major_version", &[0xa1, 2][..]),
        ("binary_format_minor_version", &[0xa0]),
        ("build_epoch", &[0x01, 0x02, 1]),
        ("database_type", b"\x44test"),
        ("description", &[0xe0]),
        ("ip_version", &[0xa1, version]),
        ("languages", &[0x00, 0x04]),
        ("node_count", &[0xc1, nodes]),
        ("record_size", &[0xa1, record_size]),
    ] {
        let length = u8::try_from(key.len()).expect("a short key");
        bytes.push(0x40 | length);
        bytes.extend(key.as_bytes());
        bytes.extend(value);
    }
    bytes
}
