//! Files that were made to harm: each is refused, or read, in a time and a space that follow from its
//! length.

use meridian_geo::{Countries, Database, DatabaseFile, Error};
use std::net::IpAddr;

/// A file of these nodes (two records of 24 bits each), of IPv6, and a data section.
fn file(nodes: &[[u32; 2]], data: &[u8]) -> Vec<u8> {
    let mut bytes = Vec::new();
    for record in nodes.as_flattened() {
        bytes.extend(&record.to_be_bytes()[1..]);
    }
    bytes.extend([0; 16]);
    bytes.extend(data);
    bytes.extend(b"\xab\xcd\xefMaxMind.com\xe9");
    let count = u32::try_from(nodes.len()).expect("few nodes");
    let [_, _, high, low] = count.to_be_bytes();
    for (key, value) in [
        ("binary_format_major_version", &b"\xa1\x02"[..]),
        ("binary_format_minor_version", b"\xa1\x00"),
        ("build_epoch", b"\x01\x02\x01"),
        ("database_type", b"\x44test"),
        ("description", b"\xe0"),
        ("ip_version", b"\xa1\x06"),
        ("languages", b"\x00\x04"),
        ("node_count", &[0xc2, high, low]),
        ("record_size", b"\xa1\x18"),
    ] {
        bytes.extend(text(key));
        bytes.extend(value);
    }
    bytes
}

/// A text of an MMDB file.
fn text(text: &str) -> Vec<u8> {
    let length = text.len();
    let mut bytes = match length {
        0..29 => vec![0x40 | u8::try_from(length).expect("short")],
        29..285 => vec![0x5d, u8::try_from(length - 29).expect("short")],
        _ => {
            let [high, low] = u16::try_from(length - 285).expect("short").to_be_bytes();
            vec![0x5e, high, low]
        }
    };
    bytes.extend(text.as_bytes());
    bytes
}

fn read(bytes: &[u8]) -> Result<Database, Error> {
    let countries = Countries::read("countries.csv", include_str!("../../../geo/countries.csv"))
        .expect("the table in the repository is right");
    let name = "hostile.mmdb";
    Database::read(&[DatabaseFile { name, bytes }], &countries)
}

fn check_refused(nodes: &[[u32; 2]], reason: &str) {
    let error = read(&file(nodes, b"\xe1\x47country\x42DE")).expect_err("it is none");
    assert!(matches!(error, Error::Broken { .. }), "{error}");
    assert!(error.to_string().contains(reason), "{error}");
}

#[test]
fn a_file_made_by_hand_is_read_when_it_is_right() {
    // The first bit is 1: Germany. All else is nowhere.
    let database = read(&file(&[[1, 1 + 16]], b"\xe1\x47country\x42DE")).unwrap();
    let country = |address: &str| {
        let address: IpAddr = address.parse().unwrap();
        database.lookup(address).place.country
    };
    assert!(country("8000::").is_some());
    assert!(country("2001:db8::").is_none());
}

#[test]
fn nodes_that_hang_in_two_places_are_no_tree() {
    // 2^100 ways to nowhere: whoever walks them never ends.
    let nodes: Vec<_> = (1..=100).map(|next| [next, next]).collect();
    check_refused(&nodes, "node 1 hangs in two places");
}

#[test]
fn a_cycle_is_no_tree() {
    check_refused(&[[1, 2], [0, 2]], "node 0 hangs in two places");
}

#[test]
fn the_start_of_ipv4_may_hang_in_several_places_but_not_below_itself() {
    let start = 96;
    let mut nodes: Vec<_> = (1..=start).map(|next| [next, start + 1]).collect();
    // 8000::/1 is another name of IPv4, as 2002::/16 is in real files.
    nodes[0][1] = start;
    let count = start + 1;
    nodes.push([count, count + 16]);
    let database = read(&file(&nodes, b"\xe1\x47country\x42DE")).unwrap();
    let country = |address: &str| {
        let address: IpAddr = address.parse().unwrap();
        database.lookup(address).place.country
    };
    assert!(country("128.0.0.1").is_some());
    assert!(country("127.0.0.1").is_none());
    nodes[start as usize] = [start, count + 16];
    check_refused(&nodes, "cycle");
}

#[test]
fn a_name_longer_than_any_place_has_is_none() {
    // Any number of records may name tails of one long text: kept, they would be its length squared.
    for (length, kept) in [(256, true), (257, false)] {
        let mut data = b"\xe2\x47country\x42DE\x44city".to_vec();
        data.extend(text(&"x".repeat(length)));
        let found = read(&file(&[[1 + 16, 1]], &data)).unwrap();
        let place = found.lookup("::1".parse().unwrap()).place;
        assert!(place.country.is_some());
        assert_eq!(place.city.is_some(), kept, "{length}");
    }
}
