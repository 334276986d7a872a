//! How long a replica takes from the bytes of its checkpoint to answers, with a hundred thousand names:
//! static ones in ten zones, or steered ones of ten thousand services with ten hosts and three endpoints
//! each.
//!
//! The last line is JSON.

#[path = "bench/mod.rs"]
mod bench;

use bench::{SITES, options};
use meridian_steering::{
    Checkpoint, Effect, EndpointStatus, Engine, Event, HealthCheck, NameServer, Policy,
    ServiceSpec, SoaTimers, TtlRange, WhenAllDown, ZoneSpec,
};
use model::{ObjectKey, Region, Target};
use std::fmt::Write as _;
use std::net::Ipv4Addr;
use std::sync::Arc;
use std::time::Instant;

const NAMES: u32 = 100_000;
const ZONES: u32 = 10;
const HOSTS: u32 = 10;
const ROUNDS: usize = 5;
const NOW: u64 = 1_800_000_000_000;

fn main() {
    let mut line = Vec::new();
    for (label, events) in [("static", static_names()), ("steered", steered_names())] {
        let mut engine = Engine::new(options());
        engine.handle_all(events, NOW);
        let bytes = serde_json::to_vec(&engine.checkpoint(NOW)).expect("it serializes");
        drop(engine);
        let mut rounds: Vec<f64> = (0..ROUNDS).map(|_| restore(&bytes)).collect();
        rounds.sort_by(f64::total_cmp);
        eprintln!("{label}: a checkpoint of {} MiB", bytes.len() >> 20);
        line.push(format!("\"{label}\":{:.2}", rounds[ROUNDS / 2]));
    }
    let line = format!(
        "{{\"bench\":\"restore\",\"names\":{NAMES},\"secs\":{{{}}}}}\n",
        line.join(",")
    );
    std::io::Write::write_all(&mut std::io::stdout(), line.as_bytes()).expect("stdout");
}

/// Seconds until the first snapshot is there, which must have all names.
fn restore(bytes: &[u8]) -> f64 {
    let options = options();
    let began = Instant::now();
    let checkpoint: Checkpoint = serde_json::from_slice(bytes).expect("it reads");
    let read = began.elapsed().as_secs_f64();
    let (_engine, effects) = Engine::restore(options, checkpoint, NOW).expect("a version");
    let secs = began.elapsed().as_secs_f64();
    eprintln!("  read after {read:.2} s, served after {secs:.2} s");
    let names = effects.iter().find_map(|effect| match effect {
        Effect::Publish(snapshot) => Some(snapshot.name_count()),
        _ => None,
    });
    assert!(names >= Some(NAMES as usize), "{names:?} names are served");
    secs
}

fn zone(number: u32, records: String) -> Event {
    Event::ZoneApplied(Box::new(ZoneSpec {
        key: ObjectKey::new("bench", &format!("zone-{number}")),
        domain: format!("zone{number}.example.org"),
        name_servers: vec![NameServer {
            name: format!("ns.zone{number}.example.org"),
            addresses: vec![Ipv4Addr::new(192, 0, 2, 53).into()],
        }],
        soa: SoaTimers::default(),
        default_ttl_secs: 300,
        records,
        allowed_namespaces: vec![],
        serial: 1,
        digest: None,
        update_keys: Vec::new(),
        published: Vec::new(),
        secondaries: Vec::new(),
    }))
}

fn static_names() -> Vec<Event> {
    let mut events = vec![database()];
    for number in 0..ZONES {
        let mut records = String::new();
        for name in 0..NAMES / ZONES {
            let address = Ipv4Addr::from_bits(0x0a00_0000 + name);
            let _ = writeln!(records, "name{name} A {address}");
        }
        events.push(zone(number, records));
    }
    events.push(Event::Synced);
    events
}

fn steered_names() -> Vec<Event> {
    let mut events = vec![database(), zone(0, String::new())];
    for number in 0..NAMES / HOSTS {
        let key = ObjectKey::new("bench", &format!("service-{number}"));
        let host = |at: u32| format!("name{at}.service{number}.zone0.example.org");
        events.push(Event::ServiceApplied(Box::new(ServiceSpec {
            key: key.clone(),
            created_millis: 0,
            generation: 1,
            hosts: (0..HOSTS).map(host).collect(),
            ttl: TtlRange::default(),
            health_check: HealthCheck::default(),
            policy: Policy::default(),
            when_all_down: WhenAllDown::default(),
            https: None,
            svcb: Vec::new(),
            ramp_millis: 0,
            withdraw_grace_millis: 0,
        })));
        let endpoint = |(site, region): (usize, &&str)| EndpointStatus {
            cluster: (*region).into(),
            target: Target::Ip(Ipv4Addr::from(0x0b00_0000 + number * 4 + site as u32).into()),
            region: Some(Region::from(*region)),
            ready_replicas: None,
            wanted_replicas: None,
            weight: 1,
        };
        events.push(Event::Endpoints {
            service: key,
            endpoints: SITES.iter().enumerate().map(endpoint).collect(),
        });
    }
    events.push(Event::Synced);
    events
}

fn database() -> Event {
    let countries = include_str!("../../../geo/countries.csv");
    let countries = geo::Countries::read("countries.csv", countries).expect("a right table");
    let files = [geo::DatabaseFile {
        name: "v4.mmdb",
        bytes: include_bytes!("../../../geo/iptoasn-country-ipv4.mmdb"),
    }];
    let database = geo::Database::read(&files, &countries).expect("a whole file");
    Event::Database(Arc::new(database))
}
