//! Five thousand zones with two hundred names each, a million in all: seconds and memory until they are
//! answered, whether each answer is right, and what a change of one zone costs.
//!
//! The last line is JSON.

use dns::{Client, Secrets, Server, Snapshot, Transport};
use meridian_steering::{
    Effect, Engine, EngineOptions, Event, NameServer, Part, SoaTimers, ZoneSpec,
};
use model::ObjectKey;
use std::{
    fmt::Write as _,
    net::{IpAddr, Ipv4Addr},
    sync::Arc,
    time::Instant,
};

const ZONES: u32 = 5_000;
/// Of each zone; its origin, and its name server, are two more.
const NAMES: u32 = 200;
const CHANGES: u32 = 20;
const NOW: u64 = 1_800_000_000_000;

fn main() {
    let before = resident_mib();
    let mut events: Vec<Event> = (0..ZONES).map(|at| zone(at, 1)).collect();
    events.push(Event::Synced);
    let given = resident_mib();
    let options = EngineOptions {
        part: Part::Observes,
        ..EngineOptions::listener("bench".into())
    };
    let mut engine = Engine::new(options);
    let (all_secs, snapshot) = timed(&mut engine, events);
    let names = snapshot.name_count();
    let mib = resident_mib() - before;
    eprintln!(
        "{names} names in {ZONES} zones: answered after {all_secs:.2} s, {mib} MiB, \
         {} of them the zones' text",
        given - before
    );
    let mistakes: u32 = (0..ZONES).map(|at| wrong(&snapshot, at, 1)).sum();
    eprintln!("wrong answers of {}: {mistakes}", ZONES * NAMES);
    let mut changes: Vec<f64> = (0..CHANGES)
        .map(|at| {
            let at = at * (ZONES / CHANGES);
            let (secs, snapshot) = timed(&mut engine, vec![zone(at, 2)]);
            let others = wrong(&snapshot, at + 1, 1);
            assert_eq!(
                (snapshot.name_count(), wrong(&snapshot, at, 2), others),
                (names, 0, 0)
            );
            secs
        })
        .collect();
    changes.sort_by(f64::total_cmp);
    let change_secs = changes[changes.len() / 2];
    let most = changes[changes.len() - 1];
    eprintln!("one zone of them changes: {change_secs:.3} s in the median, {most:.3} s at most");
    let line = format!(
        "{{\"bench\":\"zones\",\"zones\":{ZONES},\"names\":{names},\"secs\":{all_secs:.2},\"mib\":{mib},\
         \"bytes_per_name\":{},\"wrong\":{mistakes},\"change_secs\":{change_secs:.3},\
         \"ratio\":{{\"change\":{:.4}}}}}\n",
        (mib << 20) / names as u64,
        change_secs / all_secs
    );
    std::io::Write::write_all(&mut std::io::stdout(), line.as_bytes()).expect("stdout");
    assert_eq!(mistakes, 0);
}

fn timed(engine: &mut Engine, events: Vec<Event>) -> (f64, Arc<Snapshot>) {
    let begun = Instant::now();
    let effects = engine.handle_all(events, NOW);
    let secs = begun.elapsed().as_secs_f64();
    let published = effects.into_iter().find_map(|effect| match effect {
        Effect::Publish(snapshot) => Some(snapshot),
        _ => None,
    });
    (secs, published.expect("something changed"))
}

/// The address of a name, which tells the zone, the name and the edition.
fn address(zone: u32, name: u32, edition: u32) -> Ipv4Addr {
    Ipv4Addr::from_bits(((9 + edition) << 24) + zone * NAMES + name)
}

fn zone(at: u32, edition: u32) -> Event {
    let mut records = String::new();
    for name in 0..NAMES {
        let _ = writeln!(records, "name{name} A {}", address(at, name, edition));
    }
    Event::ZoneApplied(Box::new(ZoneSpec {
        key: ObjectKey::new("bench", &format!("zone-{at}")),
        domain: format!("zone{at}.example"),
        name_servers: vec![NameServer {
            name: format!("ns.zone{at}.example"),
            addresses: vec![Ipv4Addr::new(192, 0, 2, 53).into()],
        }],
        soa: SoaTimers::default(),
        default_ttl_secs: 300,
        records,
        allowed_namespaces: vec![],
        serial: edition,
        digest: None,
        update_keys: Vec::new(),
        published: Vec::new(),
        secondaries: Vec::new(),
    }))
}

/// How many names of a zone are not answered with their address.
fn wrong(snapshot: &Snapshot, at: u32, edition: u32) -> u32 {
    let client = Client {
        source: IpAddr::from([192, 0, 2, 1]),
        transport: Transport::Udp,
        now_secs: 0,
        entropy: 0,
    };
    let server = Server::from(Secrets {
        current: [0; 16],
        other: None,
    });
    let mut out = [0; dns::UDP_BYTES_MAX];
    let right = (0..NAMES).filter(|&name| {
        let mut query = vec![0, 1, 0, 0, 0, 1, 0, 0, 0, 0, 0, 0];
        let asked = dns::Name::parse(&format!("name{name}.zone{at}.example")).expect("a name");
        query.extend(asked.wire());
        query.extend([0, 1, 0, 1]);
        let reply = dns::answer(snapshot, &query, &client, &server, &mut out);
        // One answer, whose last four bytes are the address.
        out[..reply.len][4..8] == [0, 1, 0, 1]
            && out[..reply.len].ends_with(&address(at, name, edition).octets())
    });
    NAMES - right.count() as u32
}

/// What of this process is in memory.
fn resident_mib() -> u64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"));
    let kib = line.and_then(|line| line.trim().trim_end_matches(" kB").parse::<u64>().ok());
    kib.unwrap_or(0) >> 10
}
