//! The database that ships with the product, through the whole road: bytes, places, views.

use meridian_geo::{
    Candidate, Countries, CountryCode, Database, DatabaseFile, Error, PrefixTable, Ranking,
    distance_km, seeming_km,
};
use model::Location;
use proptest::prelude::*;
use std::{
    net::{IpAddr, Ipv4Addr, Ipv6Addr},
    sync::LazyLock,
};

const V4: &[u8] = include_bytes!("../../../geo/iptoasn-country-ipv4.mmdb");
const V6: &[u8] = include_bytes!("../../../geo/iptoasn-country-ipv6.mmdb");

static COUNTRIES: LazyLock<Countries> = LazyLock::new(|| {
    Countries::read("countries.csv", include_str!("../../../geo/countries.csv"))
        .expect("the table in the repository is right")
});

static DATABASE: LazyLock<Database> = LazyLock::new(|| {
    let files = [
        DatabaseFile {
            name: "v4.mmdb",
            bytes: V4,
        },
        DatabaseFile {
            name: "v6.mmdb",
            bytes: V6,
        },
    ];
    Database::read(&files, &COUNTRIES).expect("the default database is whole")
});

static SITES: LazyLock<Ranking> = LazyLock::new(|| {
    let site = |cluster: &str, city: &str, latitude, longitude| Candidate {
        cluster: cluster.into(),
        location: Some(Location {
            latitude,
            longitude,
        }),
        city: Some(city.to_owned()),
        bias: 0,
    };
    Ranking {
        candidates: vec![
            site("beijing-a", "Beijing", 39.9, 116.4),
            site("beijing-b", "Beijing", 40.0, 116.3),
            site("frankfurt", "Frankfurt", 50.1, 8.7),
            site("virginia", "Ashburn", 39.0, -77.5),
        ],
    }
});

static TABLE: LazyLock<PrefixTable> =
    LazyLock::new(|| PrefixTable::compile(Some(&DATABASE), std::slice::from_ref(&SITES), &[], &[]));

/// Clients in these cities, of providers there; the demo asks as them.
const BEIJING: &str = "202.106.0.20";
const BERLIN: &str = "141.20.1.31";
const SAO_PAULO: &str = "200.144.248.41";

fn groups(table: &PrefixTable, client: &str) -> Vec<Vec<u16>> {
    let found = table.lookup(client.parse().expect("an address"));
    table.views()[usize::from(found.view)].lists[0].clone()
}

#[test]
fn clients_of_three_continents_get_their_nearest_site_first() {
    for (client, country) in [(BEIJING, "CN"), (BERLIN, "DE"), (SAO_PAULO, "BR")] {
        let place = DATABASE.lookup(client.parse().unwrap()).place;
        assert_eq!(place.country, CountryCode::parse(country), "{client}");
    }
    assert_eq!(groups(&TABLE, BEIJING)[0], [0, 1]);
    assert_eq!(groups(&TABLE, BERLIN)[0], [2]);
    assert_eq!(groups(&TABLE, SAO_PAULO)[0], [3]);
    assert_eq!(groups(&TABLE, "2a02:2e0::1")[0], [2]);
}

#[test]
fn private_clients_and_unknown_ones_get_all_sites_in_one_group() {
    let clients = [
        "10.1.2.3",
        "192.168.0.1",
        "100.64.3.4",
        "127.0.0.1",
        "fd00::1",
        "::1",
        "240.0.0.1",
    ];
    for client in clients {
        assert_eq!(groups(&TABLE, client), [[0, 1, 2, 3]], "{client}");
    }
}

#[test]
fn ipv4_inside_ipv6_is_looked_up_as_its_ipv4() {
    let embedded = format!("::ffff:{BEIJING}");
    assert_eq!(groups(&TABLE, &embedded), groups(&TABLE, BEIJING));
}

#[test]
fn compiling_twice_gives_the_same_table() {
    let again = PrefixTable::compile(Some(&DATABASE), std::slice::from_ref(&SITES), &[], &[]);
    assert_eq!(again, *TABLE);
}

#[test]
fn a_stored_table_reads_back() {
    let text = serde_json::to_string(&*TABLE).unwrap();
    let back: PrefixTable = serde_json::from_str(&text).unwrap();
    assert_eq!(back, *TABLE);
    assert!(back.is_whole());
    assert_eq!(back.database(), Some(DATABASE.hash()));
}

#[test]
fn a_file_cut_short_is_an_error_that_names_it() {
    for keep in [0, 1, 100, V4.len() / 2, V4.len() - 300, V4.len() - 1] {
        let file = DatabaseFile {
            name: "data/short.mmdb",
            bytes: &V4[..keep],
        };
        let error = Database::read(&[file], &COUNTRIES).unwrap_err();
        assert!(
            matches!(error, Error::NotMmdb { .. } | Error::Broken { .. }),
            "{keep}: {error}"
        );
        assert!(
            error.to_string().starts_with("data/short.mmdb: "),
            "{error}"
        );
        assert!(error.to_string().contains("fetch it again"), "{error}");
    }
}

#[test]
fn a_file_with_its_middle_missing_is_an_error_that_names_it() {
    for missing in [V4.len() / 4, V4.len() / 2] {
        let bytes = [&V4[..missing], &V4[V4.len() - 4_000..]].concat();
        let file = DatabaseFile {
            name: "holed.mmdb",
            bytes: &bytes,
        };
        let error = Database::read(&[file], &COUNTRIES).unwrap_err();
        assert!(error.to_string().starts_with("holed.mmdb: "), "{error}");
    }
}

#[test]
fn the_blocks_cover_each_space_once_and_no_two_siblings_are_equal() {
    let blocks: Vec<_> = TABLE.blocks_v4().collect();
    let mut next = 0_u64;
    for block in &blocks {
        assert_eq!(u64::try_from(block.first).unwrap(), next);
        next += 1 << (32 - block.length);
    }
    assert_eq!(next, 1 << 32);
    for pair in blocks.windows(2) {
        let [left, right] = pair else { unreachable!() };
        let siblings =
            left.length == right.length && left.first ^ right.first == 1 << (32 - left.length);
        assert!(!siblings || left.value != right.value, "{left:?} {right:?}");
    }
    let sum: f64 = TABLE
        .blocks_v6()
        .map(|block| 0.5_f64.powi(block.length.into()))
        .sum();
    assert!((sum - 1.0).abs() < 1e-12, "{sum}");
}

/// The order of sites from a client, straight from the raw database's bytes.
fn naive(client: IpAddr) -> Vec<Vec<u16>> {
    let bytes = if client.is_ipv4() { V4 } else { V6 };
    let reader = maxminddb::Reader::from_source(bytes).expect("the default database is whole");
    let found = reader.lookup(client).expect("the tree is whole");
    let code: Option<String> = found
        .decode_path(&[maxminddb::PathElement::Key("country_code")])
        .expect("a country's code is text");
    let point = code.and_then(|code| COUNTRIES.location(CountryCode::parse(&code)?));
    let Some(point) = point.filter(|_| !is_placeless(client)) else {
        return vec![vec![0, 1, 2, 3]];
    };
    let km = |at: u16| {
        let site = &SITES.candidates[usize::from(at)];
        seeming_km(
            distance_km(point, site.location.expect("every site has a place")),
            site.bias,
        )
    };
    let mut order = [
        (km(0).min(km(1)), vec![0, 1]),
        (km(2), vec![2]),
        (km(3), vec![3]),
    ];
    order.sort_by(|a, b| a.0.total_cmp(&b.0));
    order.map(|(_, group)| group).to_vec()
}

fn is_placeless(client: IpAddr) -> bool {
    match client {
        IpAddr::V4(v4) => {
            let [a, b, ..] = v4.octets();
            v4.is_private()
                || v4.is_loopback()
                || v4.is_link_local()
                || a == 0
                || (a == 100 && b & 0xc0 == 64)
        }
        IpAddr::V6(v6) => v6.is_unique_local() || v6.is_unicast_link_local(),
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(2_000))]

    #[test]
    fn lookup_through_merged_blocks_equals_lookup_through_the_raw_database(bits: u32) {
        let client = IpAddr::V4(Ipv4Addr::from(bits));
        prop_assert_eq!(groups(&TABLE, &client.to_string()), naive(client));
    }

    #[test]
    fn the_same_holds_for_ipv6(bits: u128, block in 0..8_u16) {
        // Mostly inside 2000::/3's allocated parts, where the database says something.
        let high = [0x2001, 0x2400, 0x2600, 0x2800, 0x2a00, 0x2c00, 0x2a02, 0x2804][usize::from(block)];
        let client = Ipv6Addr::from((bits >> 16) | (u128::from(high as u16) << 112));
        prop_assume!(meridian_geo::embedded_ipv4(client).is_none());
        prop_assert_eq!(groups(&TABLE, &client.to_string()), naive(client.into()));
    }

    #[test]
    fn every_address_of_a_scope_has_the_answer_of_the_scope(bits: u32, other: u32) {
        let found = TABLE.lookup(Ipv4Addr::from(bits).into());
        let host = u32::MAX.checked_shr(found.network.prefix_len().into()).unwrap_or(0);
        let neighbour = TABLE.lookup(Ipv4Addr::from((bits & !host) | (other & host)).into());
        prop_assert_eq!(neighbour, found);
    }
}
