//! A replica without sockets: an engine, virtual time, and clients that ask its last snapshot.

use dns::{Client, Secrets, Snapshot, Transport};
use hickory_proto::{
    op::{Message, Query},
    rr::{
        Name, RData, RecordType,
        rdata::opt::{ClientSubnet, EdnsCode, EdnsOption},
    },
};
use meridian_steering::*;
use model::{
    ClusterName, ClusterPlace, EndpointId, HttpProbe, ObjectKey, Probe, ProbeFailure, ProbeKind,
    ProbeResult, Target,
};
use std::{
    collections::{BTreeMap, BTreeSet},
    net::IpAddr,
    sync::{Arc, LazyLock},
};

pub(crate) const BEIJING: &str = "202.106.0.20";
pub(crate) const BERLIN: &str = "141.20.1.31";
pub(crate) const SAO_PAULO: &str = "200.144.248.41";

/// Addresses of the three sites.
pub(crate) const A: &str = "192.0.2.1";
pub(crate) const B: &str = "192.0.2.2";
pub(crate) const F: &str = "192.0.2.3";

/// When everything begins, in milliseconds since 1970.
pub(crate) const START: u64 = 1_800_000_000_000;

/// Three countries; the default database is large, and most scenarios need no more.
static SMALL: LazyLock<Arc<geo::Database>> = LazyLock::new(|| {
    let mut writer = maxminddb_writer::Database::default();
    writer.metadata.binary_format_major_version = 2;
    writer.metadata.ip_version = maxminddb_writer::metadata::IpVersion::V4;
    for (network, country) in [
        ("202.104.0.0/14", "CN"),
        ("141.0.0.0/8", "DE"),
        ("200.128.0.0/9", "BR"),
    ] {
        let record = BTreeMap::from([("country_code", country)]);
        let record = writer.insert_value(record).expect("a record serializes");
        let network = network.parse::<maxminddb_writer::paths::IpAddrWithMask>();
        writer.insert_node(network.expect("a network"), record);
    }
    database(&writer.write_to(Vec::new()).expect("a Vec takes all"))
});

/// The database that ships with the product.
pub(crate) fn default_database() -> Arc<geo::Database> {
    database(include_bytes!("../../../../geo/iptoasn-country-ipv4.mmdb"))
}

fn database(bytes: &[u8]) -> Arc<geo::Database> {
    let countries = include_str!("../../../../geo/countries.csv");
    let countries = geo::Countries::read("countries.csv", countries).expect("a right table");
    let files = [geo::DatabaseFile {
        name: "v4.mmdb",
        bytes,
    }];
    Arc::new(geo::Database::read(&files, &countries).expect("a whole database"))
}

/// An engine with its clock, its last snapshot and what it asked for.
pub(crate) struct Replica {
    pub(crate) engine: Engine,
    pub(crate) now: u64,
    pub(crate) snapshot: Arc<Snapshot>,
    pub(crate) published: usize,
    pub(crate) probes: Vec<Probe>,
    pub(crate) services: BTreeMap<ObjectKey, ServiceStatus>,
    pub(crate) zones: BTreeMap<ObjectKey, ZoneStatus>,
    pub(crate) report: Option<ProbeReportValue>,
    pub(crate) peers: Option<Peers>,
    pub(crate) wake: Option<u64>,
    /// The hostnames that it wants to know the addresses of.
    pub(crate) asked: Vec<String>,
    /// The revision of challenges that all serve.
    pub(crate) challenges: u64,
}

/// What a client got.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Got {
    pub(crate) code: String,
    /// Addresses and aliases.
    pub(crate) data: BTreeSet<String>,
    pub(crate) ttl: Option<u32>,
    /// Extended error codes.
    pub(crate) extended: Vec<u16>,
}

impl Replica {
    /// A replica that knows nothing but a small database.
    pub(crate) fn empty(name: &str) -> Self {
        let mut replica = Self::from_engine(Engine::new(options(name)));
        replica.tell([Event::Database(Arc::clone(&SMALL))]);
        replica
    }

    pub(crate) fn from_engine(engine: Engine) -> Self {
        Self {
            engine,
            now: START,
            snapshot: Arc::new(Snapshot::empty()),
            published: 0,
            probes: Vec::new(),
            services: BTreeMap::new(),
            zones: BTreeMap::new(),
            report: None,
            peers: None,
            wake: None,
            asked: Vec::new(),
            challenges: 0,
        }
    }

    /// Three sites in two cities, one zone, one service that is healthy everywhere.
    pub(crate) fn with(service: ServiceSpec, endpoints: Vec<EndpointStatus>) -> Self {
        let mut replica = Self::empty("replica-1");
        replica.tell(world(service, endpoints));
        replica.tell([Event::Synced]);
        replica.round(&[]);
        replica
    }

    pub(crate) fn tell(&mut self, events: impl IntoIterator<Item = Event>) {
        let effects = self.engine.handle_all(events, self.now);
        self.take(effects);
    }

    pub(crate) fn take(&mut self, effects: Vec<Effect>) {
        for effect in effects {
            match effect {
                Effect::Publish(snapshot) => {
                    self.snapshot = snapshot;
                    self.published += 1;
                }
                Effect::Probe(probes) => self.probes = probes,
                Effect::Resolve(hostnames) => self.asked.extend(hostnames),
                Effect::Report(report) => self.report = Some(report),
                Effect::Peers(peers) => self.peers = Some(peers),
                Effect::Service(status) => {
                    self.services.insert(status.service.clone(), status);
                }
                Effect::Zone(status) => {
                    self.zones.insert(status.zone.clone(), status);
                }
                Effect::ChallengesServed(revision) => self.challenges = revision,
                Effect::WakeAt(at) => self.wake = Some(at),
            }
        }
    }

    /// Lets time pass, with a tick whenever the engine asked for one.
    pub(crate) fn pass(&mut self, millis: u64) {
        let until = self.now + millis;
        while let Some(at) = self.wake.filter(|at| *at <= until) {
            self.now = self.now.max(at);
            self.wake = None;
            self.tell([Event::Tick]);
        }
        self.now = until;
    }

    /// One probe of every endpoint; those with these addresses fail.
    pub(crate) fn round(&mut self, failing: &[&str]) {
        for probe in self.probes.clone() {
            let fails = failing.contains(&probe.target.to_string().as_str());
            self.tell([result(probe.endpoint, fails)]);
        }
    }

    /// Rounds of probes, five seconds apart.
    pub(crate) fn rounds(&mut self, count: usize, failing: &[&str]) {
        for _ in 0..count {
            self.pass(5_000);
            self.round(failing);
        }
    }

    /// What a client gets for A, over many draws.
    pub(crate) fn ask(&self, client: &str) -> Got {
        self.ask_for("shop.example.org", RecordType::A, client)
    }

    /// Just the addresses or aliases, over many draws.
    pub(crate) fn addresses(&self, client: &str) -> Vec<String> {
        self.ask(client).data.into_iter().collect()
    }

    pub(crate) fn ask_for(&self, host: &str, record_type: RecordType, client: &str) -> Got {
        let draws = (0..16_u64).map(|draw| draw << 60);
        let mut answers =
            draws.map(|entropy| ask(&self.snapshot, host, record_type, client, entropy));
        let mut got = answers.next().expect("there are draws");
        answers.for_each(|other| got.data.extend(other.data));
        got
    }

    /// The addresses of one answer, in its order.
    pub(crate) fn ask_once(
        &self,
        record_type: RecordType,
        client: &str,
        entropy: u64,
    ) -> Vec<String> {
        let reply = reply(
            &self.snapshot,
            "shop.example.org",
            record_type,
            client,
            entropy,
            None,
        );
        reply
            .answers
            .iter()
            .map(|record| data(&record.data))
            .collect()
    }

    /// The scope of an answer to a resolver that sends the client's whole address.
    pub(crate) fn scope_of(&self, client: &str) -> u8 {
        let subnet = ClientSubnet::new(client.parse().expect("an address"), 32, 0);
        let host = "shop.example.org";
        let reply = reply(&self.snapshot, host, RecordType::A, BERLIN, 0, Some(subnet));
        let edns = reply.edns.expect("a reply with EDNS");
        match edns.option(EdnsCode::Subnet) {
            Some(EdnsOption::Subnet(subnet)) => subnet.scope_prefix(),
            other => panic!("{other:?}"),
        }
    }

    pub(crate) fn status(&self) -> &ServiceStatus {
        &self.services[&key("shop")]
    }

    pub(crate) fn standing(&self, address: &str) -> Standing {
        let health = self.status().endpoints.iter();
        let mut found = health.filter(|it| it.endpoint.target.to_string() == address);
        found.next().expect("the endpoint has a status").standing
    }

    pub(crate) fn explain(&self, client: &str, when_down: &[&str]) -> Explanation {
        let question = Question {
            host: "shop.example.org".into(),
            client: client.parse().expect("an address"),
            when_down: when_down.iter().map(|&name| name.into()).collect(),
        };
        self.engine
            .explain(&question, self.now)
            .expect("the host is served")
    }
}

fn data(data: &RData) -> String {
    match data {
        RData::A(ip) => ip.to_string(),
        RData::AAAA(ip) => ip.to_string(),
        RData::CNAME(name) => name.to_string(),
        other => format!("{other:?}"),
    }
}

fn reply(
    snapshot: &Snapshot,
    host: &str,
    record_type: RecordType,
    client: &str,
    entropy: u64,
    subnet: Option<ClientSubnet>,
) -> Message {
    let mut query = Message::query();
    query.add_query(Query::query(
        Name::from_ascii(host).expect("a name"),
        record_type,
    ));
    let mut edns = hickory_proto::op::Edns::new();
    if let Some(subnet) = subnet {
        edns.options_mut().insert(EdnsOption::Subnet(subnet));
    }
    query.edns = Some(edns);
    let query = query.to_vec().expect("a query encodes");
    let client = Client {
        source: client.parse::<IpAddr>().expect("an address"),
        transport: Transport::Udp,
        now_secs: u32::try_from(START / 1_000).expect("before 2106"),
        entropy,
    };
    let secrets = Secrets {
        current: [7; 16],
        other: None,
    };
    let mut out = [0; dns::REPLY_BYTES_MAX];
    let reply = dns::answer(snapshot, &query, &client, &secrets.into(), &mut out);
    Message::from_vec(&out[..reply.len]).expect("a reply decodes")
}

fn ask(
    snapshot: &Snapshot,
    host: &str,
    record_type: RecordType,
    client: &str,
    entropy: u64,
) -> Got {
    let reply = reply(snapshot, host, record_type, client, entropy, None);
    let data = reply.answers.iter().map(|record| data(&record.data));
    let options = reply
        .edns
        .as_ref()
        .map(|edns| edns.options().as_ref().to_vec());
    let extended = options.into_iter().flatten().filter_map(|(code, option)| {
        let bytes: Vec<u8> = Vec::try_from(&option).ok()?;
        (u16::from(code) == 15).then(|| u16::from_be_bytes([bytes[0], bytes[1]]))
    });
    Got {
        code: format!("{:?}", reply.response_code),
        ttl: reply.answers.first().map(|record| record.ttl),
        data: data.collect(),
        extended: extended.collect(),
    }
}

pub(crate) fn options(name: &str) -> EngineOptions {
    let regions = include_str!("../../../../geo/regions.csv");
    EngineOptions {
        part: Part::Observes,
        observer: Observer {
            name: name.into(),
            domain: name.into(),
            contact: None,
        },
        regions: geo::RegionLocations::read("regions.csv", regions).expect("a right table"),
        max_stale_millis: EngineOptions::MAX_STALE_MILLIS,
    }
}

pub(crate) fn key(name: &str) -> ObjectKey {
    ObjectKey::new("shop", name)
}

pub(crate) fn zone() -> ZoneSpec {
    ZoneSpec {
        key: ObjectKey::new("meridian", "example-org"),
        domain: "example.org".into(),
        name_servers: vec![NameServer {
            name: "ns1.example.org".into(),
            addresses: vec!["127.0.0.1".parse().expect("an address")],
        }],
        soa: SoaTimers::default(),
        default_ttl_secs: 300,
        records: "www CNAME shop\nmail A 192.0.2.25\n".into(),
        allowed_namespaces: vec![NamespaceGrant {
            namespace: "shop".into(),
            names: vec![],
        }],
        serial: 1,
        digest: None,
        update_keys: Vec::new(),
        secondaries: Vec::new(),
        published: Vec::new(),
    }
}

pub(crate) fn service() -> ServiceSpec {
    ServiceSpec {
        key: key("shop"),
        created_millis: 0,
        generation: 1,
        hosts: vec!["shop.example.org".into()],
        ttl: TtlRange::default(),
        health_check: HealthCheck {
            probe: Some(ProbeKind::Http(HttpProbe {
                port: 8080,
                path: "/healthz".into(),
                host: None,
                expect_status: vec![],
                expect_body: None,
            })),
            ..HealthCheck::default()
        },
        policy: Policy::default(),
        when_all_down: WhenAllDown::LastKnownGood,
        https: None,
        svcb: Vec::new(),
        ramp_millis: RAMP_MILLIS,
        withdraw_grace_millis: 0,
    }
}

pub(crate) fn endpoint(cluster: &str, target: &str, ready: u32) -> EndpointStatus {
    let target = target
        .parse()
        .map_or_else(|_| Target::Hostname(target.into()), Target::Ip);
    EndpointStatus {
        cluster: cluster.into(),
        target,
        region: None,
        ready_replicas: Some(ready),
        wanted_replicas: None,
        weight: 1,
    }
}

/// One endpoint in each of the three sites.
pub(crate) fn three() -> Vec<EndpointStatus> {
    vec![
        endpoint("beijing-a", A, 3),
        endpoint("beijing-b", B, 3),
        endpoint("frankfurt", F, 3),
    ]
}

pub(crate) fn cluster(name: &str, region: &str, api: MemberApi) -> Event {
    cluster_that(name, region, api, false)
}

/// A member that is being drained, or is no longer.
pub(crate) fn cluster_that(name: &str, region: &str, api: MemberApi, draining: bool) -> Event {
    Event::ClusterApplied(Box::new(ClusterState {
        place: ClusterPlace {
            name: name.into(),
            labels: BTreeMap::from([("tier".to_owned(), region.to_owned())]),
            region: Some(region.into()),
            city: None,
            zones: vec![],
            location: None,
            networks: vec![],
        },
        api,
        draining,
        check: None,
    }))
}

pub(crate) fn endpoints(of: Vec<EndpointStatus>) -> Event {
    Event::Endpoints {
        service: key("shop"),
        endpoints: of,
    }
}

pub(crate) fn world(service: ServiceSpec, of: Vec<EndpointStatus>) -> Vec<Event> {
    vec![
        Event::ZoneApplied(Box::new(zone())),
        cluster("beijing-a", "cn-beijing", MemberApi::Ready),
        cluster("beijing-b", "cn-north-1", MemberApi::Ready),
        cluster("frankfurt", "eu-central-1", MemberApi::Ready),
        Event::ServiceApplied(Box::new(service)),
        endpoints(of),
    ]
}

pub(crate) fn id(cluster: &str, target: &str) -> EndpointId {
    let endpoint = endpoint(cluster, target, 0);
    EndpointId {
        service: key("shop"),
        cluster: endpoint.cluster,
        target: endpoint.target,
    }
}

pub(crate) fn result(endpoint: EndpointId, fails: bool) -> Event {
    let failure = fails.then_some(ProbeFailure::Refused);
    Event::Probed(ProbeResult {
        endpoint,
        failure,
        took_millis: 3,
    })
}

pub(crate) fn pool(clusters: &[&str]) -> Policy {
    let clusters: Vec<ClusterName> = clusters.iter().map(|&name| name.into()).collect();
    Policy::Pool(Pool {
        clusters,
        ..Pool::default()
    })
}

pub(crate) fn branch(name: &str, policy: Policy) -> FailoverBranch {
    FailoverBranch {
        name: name.into(),
        policy,
        min_healthy: 1,
        takeover: Takeover::default(),
        failback: Failback::default(),
    }
}

pub(crate) fn override_on(scope: OverrideScope, force: Force, millis: u64) -> Event {
    override_called("by-hand", scope, force, millis)
}

pub(crate) fn override_called(
    name: &str,
    scope: OverrideScope,
    force: Force,
    millis: u64,
) -> Event {
    Event::OverrideApplied(Box::new(OverrideSpec {
        key: key(name),
        created_millis: 0,
        scope,
        force,
        reason: "a drill".into(),
        owner: "somebody".into(),
        expires_at_millis: START + millis,
        on_expiry: OnExpiry::Release,
    }))
}
