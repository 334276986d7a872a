//! How long it takes to read the default database, and to compile a table of four sites from it.

use criterion::Criterion;
use meridian_geo::{Candidate, Countries, Database, DatabaseFile, PrefixTable, Ranking};
use model::Location;

const V4: &[u8] = include_bytes!("../../../geo/iptoasn-country-ipv4.mmdb");
const V6: &[u8] = include_bytes!("../../../geo/iptoasn-country-ipv6.mmdb");
const COUNTRIES: &str = include_str!("../../../geo/countries.csv");

fn main() {
    let countries = Countries::read("countries.csv", COUNTRIES).expect("the table is right");
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
    let read = || Database::read(&files, &countries).expect("the default database is whole");
    let points = [
        ("a", 39.9, 116.4),
        ("b", 40.0, 116.3),
        ("c", 50.1, 8.7),
        ("d", 39.0, -77.5),
    ];
    let candidates = points.map(|(cluster, latitude, longitude)| Candidate {
        cluster: cluster.into(),
        location: Some(Location {
            latitude,
            longitude,
        }),
        city: None,
        bias: 0,
    });
    let rankings = [Ranking {
        candidates: candidates.to_vec(),
    }];
    let database = read();
    let mut criterion = Criterion::default().sample_size(10).configure_from_args();
    criterion.bench_function("read the default database", |bencher| bencher.iter(read));
    criterion.bench_function("compile a table of four sites", |bencher| {
        bencher.iter(|| PrefixTable::compile(Some(&database), &rankings, &[], &[]));
    });
    criterion.final_summary();
    let table = PrefixTable::compile(Some(&database), &rankings, &[], &[]);
    let blocks = (table.blocks_v4().count(), table.blocks_v6().count());
    eprintln!(
        "views {}, IPv4 prefixes {}, IPv6 prefixes {}",
        table.views().len(),
        blocks.0,
        blocks.1
    );
}
