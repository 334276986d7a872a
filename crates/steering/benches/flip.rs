//! How long it takes from a probe's result to the next snapshot, and what a result costs that changes
//! nothing: of a thousand services with a name each, and of ten thousand with ten names each, all with
//! three endpoints that are probed.
//!
//! The last line is JSON.

#[path = "bench/mod.rs"]
mod bench;

use bench::{SITES, options};
use meridian_steering::{
    Effect, EndpointStatus, Engine, Event, HealthCheck, NameServer, Policy, ServiceSpec, SoaTimers,
    TtlRange, WhenAllDown, ZoneSpec,
};
use model::{
    EndpointId, HttpProbe, ObjectKey, ProbeFailure, ProbeKind, ProbeResult, Region, Target,
};
use std::{
    net::Ipv4Addr,
    sync::Arc,
    time::{Duration, Instant},
};

/// How many services there are, and how many names each has.
const WORLDS: [(u32, u32); 2] = [(1_000, 1), (10_000, 10)];
/// Endpoints that go down, one after the other; as many results change nothing.
const RESULTS: u32 = 500;
const NOW: u64 = 1_800_000_000_000;

fn main() {
    let mut lines = Vec::new();
    for (services, hosts) in WORLDS {
        let mut engine = Engine::new(options());
        engine.handle_all(world(services, hosts), NOW);
        let first =
            (0..services).flat_map(|number| (0..3).map(move |site| result(number, site, false)));
        let effects = engine.handle_all(first, NOW);
        assert!(publishes(&effects));
        // Each goes down once: what goes up and down again and again is held down, and then changes nothing.
        let step = services / RESULTS;
        let (mut now, mut reports) = (NOW, Vec::new());
        let flips = (0..RESULTS).map(|at| {
            let (took, effects) = timed(&mut engine, result(at * step, 0, true), now);
            assert!(publishes(&effects));
            // What is told besides comes now, where it did not come with the snapshot.
            now += 1;
            reports.push(timed(&mut engine, Event::Tick, now).0);
            took
        });
        let (flip, worst) = median_and_most(flips.collect());
        let idle = (0..RESULTS).map(|at| {
            let (took, effects) = timed(&mut engine, result(at * step, 1, false), now);
            assert!(effects.is_empty());
            took
        });
        let (idle, _) = median_and_most(idle.collect());
        let (report, _) = median_and_most(reports);
        let names = services * hosts;
        eprintln!(
            "{names} names of {services} services: a result that flips {flip:?} in the median, \
             {worst:?} at most, and {report:?} for the report; one that changes nothing {idle:?}"
        );
        lines.push(format!(
            "{{\"services\":{services},\"names\":{names},\"flip\":{:.2},\"most\":{:.2},\"report\":{:.2},\"nothing\":{:.3}}}",
            millis(flip),
            millis(worst),
            millis(report),
            millis(idle)
        ));
    }
    let line = format!("{{\"bench\":\"flip\",\"ms\":[{}]}}\n", lines.join(","));
    std::io::Write::write_all(&mut std::io::stdout(), line.as_bytes()).expect("stdout");
}

fn timed(engine: &mut Engine, event: Event, now: u64) -> (Duration, Vec<Effect>) {
    let begun = Instant::now();
    let effects = engine.handle(event, now);
    (begun.elapsed(), effects)
}

fn publishes(effects: &[Effect]) -> bool {
    let mut effects = effects.iter();
    effects.any(|effect| matches!(effect, Effect::Publish(_)))
}

fn median_and_most(mut took: Vec<Duration>) -> (Duration, Duration) {
    took.sort();
    (took[took.len() / 2], took[took.len() - 1])
}

fn millis(took: Duration) -> f64 {
    took.as_secs_f64() * 1_000.0
}

fn key(number: u32) -> ObjectKey {
    ObjectKey::new("bench", &format!("service-{number}"))
}

fn target(number: u32, site: usize) -> Target {
    Target::Ip(Ipv4Addr::from(0x0b00_0000 + number * 4 + site as u32).into())
}

fn service(number: u32, hosts: u32) -> ServiceSpec {
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
        hosts: (0..hosts)
            .map(|at| format!("name{at}.service-{number}.example.org"))
            .collect(),
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

fn world(services: u32, hosts: u32) -> Vec<Event> {
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
    for number in 0..services {
        events.push(Event::ServiceApplied(Box::new(service(number, hosts))));
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
