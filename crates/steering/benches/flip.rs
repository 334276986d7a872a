//! How long it takes from a probe's result to the next snapshot, with a thousand services of three
//! endpoints each, and what a result costs that changes nothing.

#[path = "bench/mod.rs"]
mod bench;

use bench::{SITES, options};
use criterion::Criterion;
use meridian_steering::{
    Effect, EndpointStatus, Engine, Event, HealthCheck, NameServer, Policy, ServiceSpec, SoaTimers,
    TtlRange, WhenAllDown, ZoneSpec,
};
use model::{
    EndpointId, HttpProbe, ObjectKey, ProbeFailure, ProbeKind, ProbeResult, Region, Target,
};
use std::{net::Ipv4Addr, sync::Arc};

const SERVICES: u32 = 1_000;
const NOW: u64 = 1_800_000_000_000;

fn key(number: u32) -> ObjectKey {
    ObjectKey::new("bench", &format!("service-{number}"))
}

fn target(number: u32, site: usize) -> Target {
    Target::Ip(Ipv4Addr::from(0x0b00_0000 + number * 4 + site as u32).into())
}

fn service(number: u32) -> ServiceSpec {
    let probe = ProbeKind::Http(HttpProbe {
        port: 80,
        path: "/".into(),
        host: None,
        expect_status: vec![],
        expect_body: None,
    });
    ServiceSpec {
        key: key(number),
        created_millis: 0,
        generation: 1,
        hosts: vec![format!("service-{number}.example.org")],
        ttl: TtlRange::default(),
        health_check: HealthCheck {
            probe: Some(probe),
            up: 1,
            down: 1,
            ..HealthCheck::default()
        },
        policy: Policy::default(),
        when_all_down: WhenAllDown::default(),
        https: None,
        svcb: Vec::new(),
        ramp_millis: 0,
        withdraw_grace_millis: 0,
    }
}

fn endpoints(number: u32) -> Vec<EndpointStatus> {
    let endpoint = |(site, region): (usize, &&str)| EndpointStatus {
        cluster: (*region).into(),
        target: target(number, site),
        region: Some(Region::from(*region)),
        ready_replicas: None,
        wanted_replicas: None,
        weight: 1,
    };
    SITES.iter().enumerate().map(endpoint).collect()
}

fn world() -> Vec<Event> {
    let zone = ZoneSpec {
        key: ObjectKey::new("bench", "zone"),
        domain: "example.org".into(),
        name_servers: vec![NameServer {
            name: "ns.example.org".into(),
            addresses: vec![],
        }],
        soa: SoaTimers::default(),
        default_ttl_secs: 300,
        records: "ns A 192.0.2.1\n".into(),
        allowed_namespaces: vec![],
        serial: 1,
        digest: None,
        update_keys: Vec::new(),
        secondaries: Vec::new(),
        published: Vec::new(),
    };
    let mut events = vec![database(), Event::ZoneApplied(Box::new(zone))];
    for number in 0..SERVICES {
        events.push(Event::ServiceApplied(Box::new(service(number))));
        events.push(Event::Endpoints {
            service: key(number),
            endpoints: endpoints(number),
        });
    }
    events.push(Event::Synced);
    events
}

fn database() -> Event {
    let countries = include_str!("../../../geo/countries.csv");
    let countries = geo::Countries::read("countries.csv", countries).expect("a right table");
    let v4 = include_bytes!("../../../geo/iptoasn-country-ipv4.mmdb");
    let v6 = include_bytes!("../../../geo/iptoasn-country-ipv6.mmdb");
    let files = [
        geo::DatabaseFile {
            name: "v4.mmdb",
            bytes: v4,
        },
        geo::DatabaseFile {
            name: "v6.mmdb",
            bytes: v6,
        },
    ];
    Event::Database(Arc::new(
        geo::Database::read(&files, &countries).expect("whole files"),
    ))
}

fn result(number: u32, site: usize, fails: bool) -> Event {
    let endpoint = EndpointId {
        service: key(number),
        cluster: SITES[site].into(),
        target: target(number, site),
    };
    let failure = fails.then_some(ProbeFailure::Refused);
    Event::Probed(ProbeResult {
        endpoint,
        failure,
        took_millis: 1,
    })
}

fn main() {
    let mut criterion = Criterion::default().sample_size(10).configure_from_args();
    let mut engine = Engine::new(options());
    let begun = std::time::Instant::now();
    engine.handle_all(world(), NOW);
    eprintln!(
        "a thousand services and the default database taken in {:?}",
        begun.elapsed()
    );
    let first =
        (0..SERVICES).flat_map(|number| (0..3).map(move |site| result(number, site, false)));
    let effects = engine.handle_all(first, NOW);
    assert!(
        effects
            .iter()
            .any(|effect| matches!(effect, Effect::Publish(_)))
    );
    // Each goes down once: what goes up and down again and again is held down, and then changes nothing.
    let mut flips: Vec<_> = (0..SERVICES)
        .map(|number| {
            let begun = std::time::Instant::now();
            let effects = engine.handle(result(number, 0, true), NOW);
            let took = begun.elapsed();
            assert!(
                effects
                    .iter()
                    .any(|effect| matches!(effect, Effect::Publish(_)))
            );
            took
        })
        .collect();
    flips.sort();
    let (median, most) = (flips[flips.len() / 2], flips[flips.len() - 1]);
    eprintln!("a result that flips: {median:?} in the median, {most:?} at most");
    criterion.bench_function("a result that changes nothing", |bencher| {
        bencher.iter(|| assert!(engine.handle(result(8, 1, false), NOW).is_empty()));
    });
    criterion.final_summary();
}
