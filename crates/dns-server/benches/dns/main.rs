//! This server beside those that others wrote, in one run: `just bench-dns [ROUNDS] [SERVER]...`.
//!
//! | server | what it does with a query |
//! |---|---|
//! | reflector | sends it back as long as an answer would be: our sockets and batches, and nothing else |
//! | meridian | the nearest site of the client's network, by distance |
//! | at-once | meridian with `--dns-gather 0`: no query waits for others |
//! | gdnsd, Knot with mod-geoip, PowerDNS with GeoIP | the site of the client's continent |
//! | NSD | one static address |
//!
//! Each has one thread for UDP and one core of its own; the other core asks. In every round each is
//! asked at a fixed rate, which gives its CPU time per query, and then as fast as it can answer. The
//! medians over the rounds are told, as ratios to the reflector, which is asked before each. Before
//! that, the answers of meridian and Knot are compared, and where they differ it is said why.
//!
//! A server that is not installed is named and left out. The last line is JSON.

mod agree;
mod answering;
#[expect(dead_code, reason = "who asks does not matter here")]
#[path = "../../src/batch.rs"]
mod batch;
mod load;
mod peers;
mod process;
mod report;
#[path = "../../src/split_mix.rs"]
mod split_mix;
mod world;

use std::error::Error;
use std::net::SocketAddr;
use std::time::Duration;

use load::Load;
use process::Running;
use report::{Measured, Report};
use world::World;

/// As the product's program has it.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

/// Whatever goes wrong ends the run.
pub(crate) type Fallible<T> = Result<T, Box<dyn Error>>;

/// Rounds, unless told otherwise; the medians count. Many short ones: what else the machine does
/// falls on the bound and on who is held against it alike.
const ROUNDS: usize = 90;
/// A measurement that loses more than one query in so many is made again; what
/// still does counts what was answered.
const LOST_PART_MIN: u64 = 1000;
const TRIES_MAX: usize = 3;
/// The core of the servers, and that of who asks.
const SERVER_CORE: &str = "0";
const ASKING_CORE: &str = "1";

fn main() -> Fallible<()> {
    // Cargo adds words of its own that begin with dashes.
    let words: Vec<String> = std::env::args().skip(1).collect();
    match words.iter().map(String::as_str).collect::<Vec<_>>()[..] {
        [answering::REFLECTOR, address, ..] => return answering::reflect(address.parse()?),
        [answering::MERIDIAN, address, ..] => return answering::serve(address.parse()?, None),
        [answering::AT_ONCE, address, ..] => {
            return answering::serve(address.parse()?, Some(Duration::ZERO));
        }
        _ => {}
    }
    let rounds = words.iter().find_map(|word| word.parse().ok());
    let rounds = rounds.unwrap_or(ROUNDS).max(1);
    process::pin_this(ASKING_CORE)?;
    let world = World::read()?;
    let folder = tempfile::tempdir()?;
    let named: Vec<&str> = words
        .iter()
        .map(String::as_str)
        .filter(|word| word.starts_with(|first: char| first.is_ascii_lowercase()))
        .collect();
    let wanted = |label: &str| named.is_empty() || named.contains(&label);
    let mut servers = vec![answering::start(answering::REFLECTOR)?];
    for label in [answering::MERIDIAN, answering::AT_ONCE] {
        if wanted(label) {
            servers.push(answering::start(label)?);
        }
    }
    for server in &servers {
        server.await_answer(&world)?;
    }
    servers.extend(peers::start(&world, folder.path(), wanted)?);
    let address = |label: &str| {
        servers
            .iter()
            .find(|it| it.label == label)
            .map(|it| it.address)
    };
    if let (Some(ours), Some(knot)) = (address(answering::MERIDIAN), address(peers::KNOT)) {
        agree::run(&world, ours, knot)?;
    }
    measure(&world, &servers, rounds)?.tell()
}

/// Every server, in turn, in every round.
fn measure(world: &World, servers: &[Running], rounds: usize) -> Fallible<Report> {
    let load = Load::new(world);
    let mut report = Report::new(servers.iter().map(|server| server.label).collect());
    for round in 1..=rounds {
        for (index, server) in servers.iter().enumerate() {
            say(&format!("round {round} of {rounds}: {}", server.label));
            // Next to each other: the machine may be faster or slower a moment later.
            let bound = one(&load, &servers[0])?;
            report.push(index, one(&load, server)?, bound);
        }
    }
    Ok(report)
}

fn one(load: &Load, server: &Running) -> Fallible<Measured> {
    let mut tries = 0;
    let (steady, steady_nanos) = loop {
        tries += 1;
        let before = server.cpu_nanos()?;
        let steady = load.steady(server.address)?;
        let nanos = server.cpu_nanos()? - before;
        // Something else had the core meanwhile, or the rate is more than it can.
        if steady.lost * LOST_PART_MIN <= steady.answered || tries == TRIES_MAX {
            break (steady, nanos);
        }
        let (lost, label) = (steady.lost, server.label);
        say(&format!(
            "{label} lost {lost} queries at the fixed rate: once more"
        ));
    };
    load.full(server.address, load::WARMING)?;
    let before = server.cpu_nanos()?;
    let full = load.full(server.address, load::SECONDS)?;
    let full_nanos = server.cpu_nanos()? - before;
    Ok(Measured {
        cpu_micros: steady_nanos as f64 / 1000.0 / steady.answered as f64,
        per_sec: full.answered as f64 / full.secs,
        busy: full_nanos as f64 / 1e9 / full.secs,
    })
}

/// Tells on the way.
pub(crate) fn say(what: &str) {
    eprintln!("{what}");
}

/// A port that was free a moment ago.
pub(crate) fn free() -> Fallible<SocketAddr> {
    Ok(std::net::UdpSocket::bind("127.0.0.1:0")?.local_addr()?)
}
