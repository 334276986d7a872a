//! Both brains on one world: where traffic goes, and where replicas run.
//!
//! A seed draws what happens to three members: APIs and data planes that go and return, drains. Steering
//! hears probes; federation hears what steering's reports say, as the leader does. Whatever happens, a
//! member that is reached, works and is not being drained is emptied by neither: answers name it, and
//! no plan takes its last replica.

use federation::{
    ApiSignal, BrakeSettings, DataPlane, DividedReplicas, Drain, FailbackRequest, FailbackSettings,
    FailoverSettings, FailoverState, MemberSignals, Preference, PreferenceInput, Role, Running,
    SeenFrom, SpreadPlace, Suitability, plan_preference,
};
use model::{
    ClusterName, ClusterPlace, EndpointId, ObjectKey, PortProbe, ProbeFailure, ProbeKind,
    ProbeResult, Target, Verdict,
};
use std::collections::{BTreeMap, BTreeSet};
use steering::{
    ClusterState, Effect, EndpointStatus, Engine, EngineOptions, Event, HealthCheck, MemberApi,
    NameServer, Observer, Part, Policy, ProbeReportValue, ServiceSpec, SoaTimers, Traffic,
    TtlRange, WhenAllDown, ZoneSpec,
};

const NAMES: [&str; 3] = ["a", "b", "c"];
const TOTAL: i64 = 9;
const START: u64 = 1_800_000_000_000;
const INTERVAL: u64 = 5_000;
const STEPS: usize = 150;
/// Probes until a verdict follows the truth: three failures, or two successes.
const COUNTED: usize = 4;

struct Chance(u64);

impl Chance {
    fn below(&mut self, bound: u64) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0 % bound
    }
}

/// A member as it is.
#[derive(Clone, Debug)]
struct Member {
    api: bool,
    api_since: u64,
    works: bool,
    /// Steps since it began to work or not to.
    settled: usize,
    draining: bool,
    replicas: i64,
}

struct World {
    engine: Engine,
    report: Option<ProbeReportValue>,
    now: u64,
    members: BTreeMap<ClusterName, Member>,
    state: FailoverState,
}

fn key() -> ObjectKey {
    ObjectKey::new("shop", "shop")
}

fn target(name: &ClusterName) -> Target {
    Target::Hostname(format!("{name}.example"))
}

fn observer() -> Observer {
    Observer {
        name: "replica".into(),
        domain: "elsewhere".into(),
        contact: None,
    }
}

fn place(name: &ClusterName) -> ClusterPlace {
    ClusterPlace {
        name: name.clone(),
        labels: BTreeMap::new(),
        region: Some(name.as_str().into()),
        city: None,
        zones: vec![],
        location: None,
        networks: vec![],
    }
}

fn service() -> ServiceSpec {
    ServiceSpec {
        key: key(),
        created_millis: 0,
        generation: 1,
        hosts: vec!["shop.example.org".into()],
        ttl: TtlRange::default(),
        health_check: HealthCheck {
            probe: Some(ProbeKind::Tcp(PortProbe { port: 80 })),
            ..HealthCheck::default()
        },
        policy: Policy::default(),
        when_all_down: WhenAllDown::LastKnownGood,
        https: None,
        svcb: Vec::new(),
        ramp_millis: 0,
        withdraw_grace_millis: 0,
    }
}

fn zone() -> ZoneSpec {
    ZoneSpec {
        key: ObjectKey::new("system", "zone"),
        domain: "example.org".into(),
        name_servers: vec![NameServer {
            name: "ns1.example.net".into(),
            addresses: vec![],
        }],
        soa: SoaTimers::default(),
        default_ttl_secs: 60,
        records: String::new(),
        allowed_namespaces: vec![],
        serial: 1,
        digest: None,
        update_keys: Vec::new(),
        secondaries: vec![],
        published: Vec::new(),
    }
}

impl World {
    fn new() -> Self {
        let mut options = EngineOptions::listener("replica".into());
        (options.part, options.observer) = (Part::Observes, observer());
        let member = |name: &str| {
            let member = Member {
                api: true,
                api_since: START,
                works: true,
                settled: 0,
                draining: false,
                replicas: TOTAL / 3,
            };
            (ClusterName::from(name), member)
        };
        let mut world = Self {
            engine: Engine::new(options),
            report: None,
            now: START,
            members: NAMES.into_iter().map(member).collect(),
            state: FailoverState::default(),
        };
        world.tell(vec![
            Event::ZoneApplied(Box::new(zone())),
            Event::ServiceApplied(Box::new(service())),
            Event::Observers(vec![observer()]),
        ]);
        world.tell_members();
        world.tell(vec![Event::Synced]);
        world
    }

    fn tell(&mut self, events: Vec<Event>) {
        for effect in self.engine.handle_all(events, self.now) {
            if let Effect::Report(report) = effect {
                self.report = Some(report);
            }
        }
    }

    /// What the leader writes of members, and what replicas read.
    fn tell_members(&mut self) {
        let mut events = Vec::new();
        let mut endpoints = Vec::new();
        for (name, member) in &self.members {
            events.push(Event::ClusterApplied(Box::new(ClusterState {
                place: place(name),
                api: if member.api {
                    MemberApi::Ready
                } else {
                    MemberApi::NotReady
                },
                draining: member.draining,
                check: None,
            })));
            endpoints.push(EndpointStatus {
                cluster: name.clone(),
                target: target(name),
                region: None,
                ready_replicas: u32::try_from(member.replicas).ok(),
                wanted_replicas: None,
                weight: 1,
            });
        }
        let service = key();
        events.push(Event::Endpoints { service, endpoints });
        self.tell(events);
    }

    fn probe(&mut self) {
        self.now += INTERVAL;
        let result = |(name, member): (&ClusterName, &Member)| {
            Event::Probed(ProbeResult {
                endpoint: EndpointId {
                    service: key(),
                    cluster: name.clone(),
                    target: target(name),
                },
                failure: (!member.works || member.replicas == 0).then_some(ProbeFailure::Refused),
                took_millis: 1,
            })
        };
        let results = self.members.iter().map(result).collect();
        self.tell(results);
        self.tell(vec![Event::Tick]);
    }

    /// What the leader knows of each member: its API by its own look, the rest by reports.
    fn signals(&self) -> BTreeMap<ClusterName, MemberSignals> {
        let reports: Vec<_> = self.report.iter().cloned().collect();
        let registered = [observer()];
        let traffic = Traffic::read(&registered, &reports, self.now);
        let signals = self.members.iter().map(|(name, member)| {
            let plane = traffic.cluster(name);
            let since_millis = plane.since_millis;
            let data_plane = match plane.verdict {
                Verdict::Up => DataPlane::Up { since_millis },
                Verdict::Down => DataPlane::Down {
                    since_millis,
                    seen_from: SeenFrom::Outside,
                },
                Verdict::Unknown => DataPlane::Unknown,
            };
            let since_millis = member.api_since;
            let api = match member.api {
                true => ApiSignal::Up { since_millis },
                false => ApiSignal::Down { since_millis },
            };
            let left = traffic
                .drained_millis(name)
                .is_some_and(|at| at <= self.now);
            let drain = match member.draining {
                false => Drain::No,
                true if left => Drain::Drained,
                true => Drain::Requested,
            };
            let signals = MemberSignals {
                role: Role::Candidate,
                failure_domain: name.to_string(),
                place: SpreadPlace::default(),
                api,
                data_plane,
                drain,
                paused: false,
                running: match member.api {
                    true => Running::Known {
                        replicas: member.replicas,
                        ready: member.replicas,
                    },
                    false => Running::Unknown,
                },
                capacity: None,
                room: None,
                failback: FailbackRequest::None,
            };
            (name.clone(), signals)
        });
        signals.collect()
    }

    /// The leader's plan, carried out where members are reached.
    fn plan(&mut self) {
        let input = PreferenceInput {
            key: key(),
            preference: Preference {
                total_replicas: TOTAL,
                rebalance: true,
                ..Preference::default()
            },
            failover: FailoverSettings::default(),
            failback: FailbackSettings::default(),
            brake: BrakeSettings::default(),
            suitability: Suitability::Safe,
            released: None,
            members: self.signals(),
        };
        let plan = plan_preference(&input, &self.state, self.now);
        self.state = plan.state.clone();
        for (name, share) in &plan.clusters {
            let member = self.members.get_mut(name).expect("a member");
            // Else it keeps what it runs.
            let DividedReplicas::Set(replicas) = share.divided else {
                continue;
            };
            if member.api && member.works && !member.draining && member.replicas > 0 {
                assert!(
                    share.replicas > 0,
                    "{name} is emptied: {share:?} {input:#?}"
                );
            }
            if member.api {
                // Who runs something again is found well by the next probes.
                if (member.replicas == 0) != (replicas == 0) {
                    member.settled = 0;
                }
                member.replicas = replicas;
            }
        }
    }

    fn named(&self) -> BTreeSet<ClusterName> {
        let named = self.report.iter().flat_map(|report| &report.named);
        let now = named.filter(|it| it.until_millis.is_none());
        now.map(|it| it.cluster.clone()).collect()
    }
}

#[test]
fn no_plan_of_either_brain_empties_a_member_that_is_reached_works_and_is_not_drained() {
    let (mut emptied, mut lost) = (0, 0);
    for seed in 1..=60_u64 {
        let mut chance = Chance(seed.wrapping_mul(0x9e37_79b9_7f4a_7c15));
        let mut world = World::new();
        for step in 0..STEPS {
            let name = ClusterName::from(NAMES[chance.below(3) as usize]);
            let now = world.now;
            let member = world.members.get_mut(&name).expect("a member");
            match chance.below(30) {
                0 => (member.api, member.api_since) = (!member.api, now),
                1 => (member.works, member.settled) = (!member.works, 0),
                2 => member.draining = !member.draining,
                _ => {}
            }
            world.members.values_mut().for_each(|it| it.settled += 1);
            world.tell_members();
            world.probe();
            world.plan();
            let named = world.named();
            for (name, member) in &world.members {
                emptied += usize::from(member.draining && member.replicas == 0);
                lost += usize::from(!member.works && !named.contains(name));
                let well = member.works && !member.draining && member.replicas > 0;
                if well && member.settled > COUNTED && step > COUNTED {
                    let settled = world.members.values().all(|it| it.settled > COUNTED);
                    let told = || format!("seed {seed} step {step}: {name} {:#?}", world.members);
                    assert!(named.contains(name) || !settled, "{} {named:?}", told());
                }
            }
        }
    }
    assert!(
        emptied > 50 && lost > 50,
        "things happened: {emptied} {lost}"
    );
}
