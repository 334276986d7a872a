//! Files in other layouts than the default database's, made by a writer.

use maxminddb_writer::{Database as Writer, metadata::IpVersion, paths::IpAddrWithMask};
use meridian_geo::{
    Candidate, Countries, CountryCode, Database, DatabaseFile, Error, Overlay, PrefixTable, Ranking,
};
use model::Location;
use serde::Serialize;
use std::collections::BTreeMap;

fn countries() -> Countries {
    Countries::read("countries.csv", include_str!("../../../geo/countries.csv"))
        .expect("the table in the repository is right")
}

fn file<T: Serialize>(version: IpVersion, networks: &[(&str, T)]) -> Vec<u8> {
    let mut writer = Writer::default();
    writer.metadata.binary_format_major_version = 2;
    writer.metadata.ip_version = version;
    writer.metadata.database_type = "test".to_owned();
    for (network, record) in networks {
        let data = writer.insert_value(record).expect("a record serializes");
        writer.insert_node(network.parse::<IpAddrWithMask>().expect("a network"), data);
    }
    writer.write_to(Vec::new()).expect("a Vec takes all")
}

fn nested(country: &str, point: Option<(f64, f64)>) -> serde_json::Value {
    let mut record = serde_json::json!({ "country": { "iso_code": country } });
    if let Some((latitude, longitude)) = point {
        record["location"] = serde_json::json!({ "latitude": latitude, "longitude": longitude });
    }
    record
}

fn country(database: &Database, client: &str) -> Option<String> {
    let place = database.lookup(client.parse().expect("an address")).place;
    place.country.map(|code| code.to_string())
}

#[test]
fn one_file_with_both_families_in_the_nested_layout_is_read() {
    let bytes = file(
        IpVersion::V6,
        &[
            ("2001:db8::/32", nested("DE", None)),
            ("::5.0.0.0/104", nested("BR", None)),
        ],
    );
    let files = [DatabaseFile {
        name: "both.mmdb",
        bytes: &bytes,
    }];
    let database = Database::read(&files, &countries()).unwrap();
    assert_eq!(country(&database, "2001:db8::1").as_deref(), Some("DE"));
    assert_eq!(country(&database, "5.1.2.3").as_deref(), Some("BR"));
    assert_eq!(country(&database, "6.1.2.3"), None);
    assert_eq!(database.files()[0].networks, 2);
}

#[test]
fn a_point_wins_over_a_country_and_an_earlier_file_over_a_later() {
    let city = file(
        IpVersion::V4,
        &[
            ("5.0.0.0/9", nested("DE", Some((52.5, 13.4)))),
            ("6.0.0.0/8", nested("FR", None)),
        ],
    );
    let flat = |code: &str| BTreeMap::from([("country_code", code.to_owned())]);
    let whole = file(
        IpVersion::V4,
        &[("5.0.0.0/8", flat("PL")), ("6.0.0.0/8", flat("PL"))],
    );
    let city = DatabaseFile {
        name: "city.mmdb",
        bytes: &city,
    };
    let whole = DatabaseFile {
        name: "country.mmdb",
        bytes: &whole,
    };
    for (files, of_six) in [([city, whole], "FR"), ([whole, city], "PL")] {
        let database = Database::read(&files, &countries()).unwrap();
        assert_eq!(country(&database, "5.1.0.0").as_deref(), Some("DE"));
        assert_eq!(country(&database, "5.200.0.0").as_deref(), Some("PL"));
        assert_eq!(country(&database, "6.0.0.0").as_deref(), Some(of_six));
    }
}

#[test]
fn a_database_without_places_is_refused_with_what_it_lacks() {
    let record = BTreeMap::from([("isp", "somebody")]);
    let bytes = file(IpVersion::V4, &[("5.0.0.0/8", record)]);
    let files = [DatabaseFile {
        name: "isp.mmdb",
        bytes: &bytes,
    }];
    let error = Database::read(&files, &countries()).unwrap_err();
    assert!(matches!(error, Error::NoPlaces { .. }));
    assert!(
        error
            .to_string()
            .starts_with("isp.mmdb: an MMDB file of type \"test\""),
        "{error}"
    );
}

#[test]
fn another_centroid_or_another_file_is_another_hash() {
    let bytes = file(IpVersion::V4, &[("5.0.0.0/8", nested("DE", None))]);
    let other = file(IpVersion::V4, &[("5.0.0.0/8", nested("FR", None))]);
    let moved = "code,continent,latitude,longitude\nDE,EU,1,1\n";
    let moved = Countries::read("countries.csv", moved).unwrap();
    let hash = |bytes: &[u8], countries: &Countries| {
        let files = [DatabaseFile {
            name: "a.mmdb",
            bytes,
        }];
        Database::read(&files, countries).unwrap().hash()
    };
    let first = hash(&bytes, &countries());
    assert_eq!(first, hash(&bytes, &countries()));
    assert_ne!(first, hash(&other, &countries()));
    assert_ne!(first, hash(&bytes, &moved));
    assert_eq!(String::from(first).len(), 32);
}

#[test]
fn an_overlay_places_a_prefix_also_in_private_space_and_the_longest_wins() {
    let site = |cluster: &str, latitude, longitude| Candidate {
        cluster: cluster.into(),
        location: Some(Location {
            latitude,
            longitude,
        }),
        city: None,
        bias: 0,
    };
    let ranking = Ranking {
        candidates: vec![site("b", 39.9, 116.4), site("f", 50.1, 8.7)],
    };
    let overlay = |network: &str, point: Option<(f64, f64)>| Overlay {
        network: network.parse().unwrap(),
        location: point.map(|(latitude, longitude)| Location {
            latitude,
            longitude,
        }),
    };
    let overlays = [
        overlay("10.1.2.0/24", Some((50.0, 8.0))),
        overlay("10.0.0.0/8", Some((40.0, 116.0))),
        overlay("fd00::/64", Some((50.0, 8.0))),
        overlay("10.1.2.128/25", None),
    ];
    let table = PrefixTable::compile(None, &[ranking], &[], &overlays);
    let first = |client: &str| {
        let found = table.lookup(client.parse().unwrap());
        table.views()[usize::from(found.view)].lists[0][0].clone()
    };
    assert_eq!(first("10.9.9.9"), [0]);
    assert_eq!(first("10.1.2.3"), [1]);
    assert_eq!(first("10.1.2.200"), [0, 1]);
    assert_eq!(first("fd00::9"), [1]);
    assert_eq!(first("203.0.113.1"), [0, 1]);
    assert_eq!(CountryCode::parse("d"), None);
}
