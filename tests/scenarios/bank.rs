//! A name that is served from three centres in two cities, for the scenarios about losing some.

use crate::resolver::until_answered;
use meridian_tests::control_plane::free_ports;
use meridian_tests::process::Signal;
use meridian_tests::world::{GSLB, Meridian, ObjectRef, Run, SYSTEM, World};
use serde_json::{Value, json};
use std::collections::BTreeSet;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use tempfile::TempDir;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinHandle;

pub(crate) const NAME: &str = "bank.example.net";
pub(crate) const CLIENT: IpAddr = IpAddr::V4(Ipv4Addr::new(141, 20, 1, 31));
/// The three centres, by their members: city A is Berlin with Lisbon, city B Osaka.
pub(crate) const CENTRES: [(&str, Ipv4Addr); 3] = [
    ("berlin", Ipv4Addr::new(127, 0, 31, 1)),
    ("lisbon", Ipv4Addr::new(127, 0, 31, 2)),
    ("osaka", Ipv4Addr::new(127, 0, 31, 3)),
];

/// The addresses of some centres.
pub(crate) fn addresses(members: &[&str]) -> BTreeSet<IpAddr> {
    let of = CENTRES.iter().filter(|(name, _)| members.contains(name));
    of.map(|(_, address)| IpAddr::V4(*address)).collect()
}

/// A name that is served from three centres, and the process that does so.
pub(crate) struct Bank {
    pub(crate) dns: SocketAddr,
    port: u16,
    required: u16,
    namespace: String,
    meridian: Option<Meridian>,
    centres: Vec<(&'static str, JoinHandle<()>)>,
    requirement: Option<JoinHandle<()>>,
    /// The process whose connections get no answer; 0 is none.
    cut: Arc<AtomicU32>,
}

/// A DNS replica in another place than the controller's.
pub(crate) struct Outpost {
    pub(crate) dns: SocketAddr,
    pub(crate) state: TempDir,
    pub(crate) meridian: Meridian,
}

impl Bank {
    pub(crate) async fn open(
        world: &World,
        namespace: &str,
        takeover: impl Fn(u16) -> Value,
        failback: Value,
    ) -> Self {
        world.take_controller().stop();
        let [dns, port, required] = free_ports();
        let dns = SocketAddr::from(([127, 0, 0, 1], dns));
        let listen = dns.to_string();
        let more = ["--dns-listen", &listen, "--failure-domain", "city-a"];
        let run = Run::with_roles("bank", "controller,dns", &more);
        let meridian = world.run(&run).await;
        world.until_leads("bank").await;
        let mut bank = Self {
            dns,
            port,
            required,
            namespace: namespace.to_owned(),
            meridian: Some(meridian),
            centres: Vec::new(),
            requirement: None,
            cut: Arc::default(),
        };
        for (name, _) in CENTRES {
            bank.open_centre(name).await;
        }
        let zone = json!({
            "apiVersion": GSLB, "kind": "Zone",
            "metadata": {"namespace": SYSTEM, "name": "example-net"},
            "spec": {"domain": "example.net",
                "nameServers": [{"name": "ns1.example.net", "addresses": ["127.0.0.1"]}]},
        });
        world.host().apply(zone).await;
        let half = |centre: &str| json!({"weight": 50, "pool": {"clusters": [centre]}});
        let policy = json!({"failover": [
            {"name": "city-a", "weighted": [half("berlin"), half("lisbon")], "minHealthy": 1},
            {"name": "city-b", "pool": {"clusters": ["osaka"]},
                "takeover": takeover(required), "failback": failback}]});
        bank.apply(world, policy).await;
        bank
    }

    pub(crate) fn manifest(&self, policy: &Value) -> Value {
        let endpoint = |(name, address): &(&str, Ipv4Addr)| json!({"cluster": name, "addresses": [address.to_string()]});
        let endpoints: Vec<_> = CENTRES.iter().map(endpoint).collect();
        json!({
            "apiVersion": GSLB, "kind": "GlobalService",
            "metadata": {"namespace": self.namespace, "name": "bank"},
            "spec": {
                "hosts": [NAME],
                "endpoints": {"static": endpoints},
                "ttl": {"min": "1s", "max": "2s"},
                "ramp": "1s",
                "healthCheck": {"http": {"port": self.port}, "interval": "500ms",
                    "timeout": "450ms", "up": 2, "down": 3},
                "policy": policy,
            },
        })
    }

    pub(crate) async fn apply(&self, world: &World, policy: Value) {
        // What was there goes: a policy is one node, and applying merges.
        let at = self.at();
        if world.host().find(&at).await.is_some() {
            world
                .host()
                .patch(&at, json!({"spec": {"policy": null}}))
                .await;
        }
        world.host().apply(self.manifest(&policy)).await;
    }

    pub(crate) fn at(&self) -> ObjectRef {
        ObjectRef::new(GSLB, "GlobalService", &self.namespace, "bank")
    }

    pub(crate) async fn open_centre(&mut self, name: &'static str) {
        let found = CENTRES.iter().find(|(centre, _)| *centre == name);
        let address = found.expect("a centre").1;
        let at = SocketAddr::from((address, self.port));
        let serving = serve(at, Arc::clone(&self.cut)).await;
        self.centres.push((name, serving));
    }

    pub(crate) fn lose(&mut self, name: &str) {
        let lost = self.centres.iter().position(|(centre, _)| *centre == name);
        let (_, serving) = self.centres.swap_remove(lost.expect("it is open"));
        serving.abort();
    }

    pub(crate) async fn meet_requirement(&mut self) {
        let address = SocketAddr::from(([127, 0, 31, 9], self.required));
        self.requirement = Some(serve(address, Arc::default()).await);
    }

    pub(crate) fn switchover<'a>(&'a self, to: &'a str, more: &[&'a str]) -> Vec<&'a str> {
        let words = ["switchover", "bank", "-n", &self.namespace, "--to", to];
        [&words[..], more].concat()
    }

    pub(crate) async fn hand_over(&self, world: &World, to: &str, evidence: &Path) {
        let file = evidence.display().to_string();
        let more = [
            "--reason",
            "because",
            "--owner",
            "a test",
            "--evidence",
            &file,
        ];
        world.command(&self.switchover(to, &more)).await;
    }

    pub(crate) async fn force(&self, world: &World, name: &str, centre: &str, ends: &str) {
        let forced = json!({
            "apiVersion": GSLB, "kind": "Override",
            "metadata": {"namespace": self.namespace, "name": name},
            "spec": {"service": "bank", "cluster": centre, "force": "Down", "reason": "a drill",
                "owner": "a test", "expiresAt": ends},
        });
        world.host().apply(forced).await;
    }

    pub(crate) async fn until_in_force(&self, world: &World, name: &str, wanted: (&str, &str)) {
        let at = ObjectRef::new(GSLB, "Override", &self.namespace, name);
        world
            .host()
            .until(&at, wanted.1, |it| {
                let found = meridian_tests::world::condition(it, "InForce");
                found["status"] == wanted.0 && found["reason"] == wanted.1
            })
            .await;
    }

    pub(crate) async fn until_branch(&self, world: &World, name: &str, state: &str) -> Value {
        let of = |service: &Value| {
            let branches = service["status"]["branches"].as_array().cloned();
            let found = branches.into_iter().flatten().find(|it| it["name"] == name);
            found.unwrap_or_default()["state"] == state
        };
        world
            .host()
            .until(&self.at(), &format!("{name} is {state}"), of)
            .await
    }

    pub(crate) async fn until_unmet(&self, world: &World, unmet: bool) {
        let of = |service: &Value| {
            let branches = service["status"]["branches"].as_array().cloned();
            let mut all = branches.into_iter().flatten();
            all.any(|it| it["unmet"].is_string()) == unmet
        };
        world
            .host()
            .until(&self.at(), "what it requires is met", of)
            .await;
    }

    pub(crate) async fn until_healthy(&self, world: &World, healthy: &str) {
        world
            .host()
            .until(&self.at(), &format!("{healthy} are healthy"), |service| {
                service["status"]["summary"]["healthy"] == healthy
            })
            .await;
    }

    /// Waits until answers name these and no others, each of them at some time.
    pub(crate) async fn until_shared(&self, wanted: &BTreeSet<IpAddr>, what: &str) {
        shared_at(self.dns, wanted, what).await;
    }

    /// Another replica, in a place of its own.
    pub(crate) async fn outpost(&self, world: &World, name: &str, domain: &str) -> Outpost {
        let [port, observers] = free_ports();
        let dns = SocketAddr::from(([127, 0, 0, 1], port));
        let state = tempfile::tempdir().expect("a folder");
        let listen = dns.to_string();
        let observers = format!("127.0.0.1:{observers}");
        let more = [
            "--dns-listen",
            &listen,
            "--failure-domain",
            domain,
            "--observers-listen",
            &observers,
        ];
        let run = Run::with_roles(name, "dns", &more).kept_in(state.path());
        let meridian = world.run(&run).await;
        Outpost {
            dns,
            state,
            meridian,
        }
    }

    /// An observer that answers nobody, in a place of its own.
    pub(crate) async fn witness(&self, world: &World, name: &str, domain: &str) -> Meridian {
        let run = Run::with_roles(name, "observer", &["--failure-domain", domain]);
        world.run(&run).await
    }

    /// The process with the controller is gone, without a word.
    pub(crate) fn lose_replica(&mut self) {
        let meridian = self.meridian.take().expect("it runs");
        meridian.signal(Signal::Kill);
    }

    /// Waits until so many overrides are told to have outlived their time.
    pub(crate) async fn until_outlived(&self, overrides: f64) {
        let meridian = self.meridian.as_ref().expect("it runs");
        let name = "meridian_overrides_past_end";
        meridian
            .until_metric(name, &[], |count| count == overrides)
            .await;
    }

    /// From now on no centre answers this process; nothing gives them back to it.
    pub(crate) fn cut_off(&self, process: Option<&Meridian>) {
        let number = process.map_or(0, Meridian::number);
        self.cut.store(number, Ordering::Release);
    }

    /// Waits until this many replicas are registered and their reports are there.
    pub(crate) async fn until_reported(&self, world: &World, names: &[&str]) {
        for name in names {
            let report = ObjectRef::new(GSLB, "ProbeReport", SYSTEM, name);
            let what = "it sees three centres";
            let sees = |report: &Value| {
                let verdicts = report["spec"]["verdicts"].as_array();
                let up = verdicts
                    .into_iter()
                    .flatten()
                    .filter(|it| it["verdict"] == "Up");
                up.count() >= CENTRES.len()
            };
            world.host().until(&report, what, sees).await;
        }
    }

    pub(crate) async fn close(self, world: &World) {
        // The older of two services keeps a name, and all scenarios may share one host.
        world.host().delete(&self.at()).await;
        world.host().until_gone(&self.at()).await;
        for (_, serving) in &self.centres {
            serving.abort();
        }
        if let Some(serving) = &self.requirement {
            serving.abort();
        }
        if let Some(meridian) = self.meridian {
            meridian.stop();
        }
    }
}

/// Waits until a replica's answers name these and no others, each of them at some time.
pub(crate) async fn shared_at(dns: SocketAddr, wanted: &BTreeSet<IpAddr>, what: &str) {
    let seen = std::cell::RefCell::new(BTreeSet::new());
    until_answered(dns, (NAME, CLIENT), what, |answer| {
        let fits = !answer.is_empty() && answer.iter().all(|it| wanted.contains(it));
        let mut seen = seen.borrow_mut();
        match fits {
            true => seen.extend(answer.iter().copied()),
            false => seen.clear(),
        }
        *seen == *wanted
    })
    .await;
}

/// A program that says to everybody but the process that is cut off that all is well.
async fn serve(at: SocketAddr, cut: Arc<AtomicU32>) -> JoinHandle<()> {
    let listener = TcpListener::bind(at).await.expect("a loopback address");
    tokio::spawn(async move {
        while let Ok((stream, peer)) = listener.accept().await {
            let process = cut.load(Ordering::Acquire);
            tokio::spawn(respond(stream, peer, process));
        }
    })
}

async fn respond(mut stream: TcpStream, peer: SocketAddr, cut: u32) {
    let mut request = [0; 1024];
    let _ = stream.read(&mut request).await;
    if cut != 0 && owns(cut, peer) {
        // As on a line that is dead: until the other side gives up.
        while matches!(stream.read(&mut request).await, Ok(1..)) {}
        return;
    }
    let reply = b"HTTP/1.1 200 OK\r\ncontent-length: 0\r\nconnection: close\r\n\r\n";
    let _ = stream.write_all(reply).await;
}

/// Whether a process has the socket with this address, as Linux lists them (proc(5)).
fn owns(process: u32, socket: SocketAddr) -> bool {
    let listed = std::fs::read_to_string("/proc/net/tcp").unwrap_or_default();
    let port = format!(":{:04X}", socket.port());
    let inodes: BTreeSet<String> = listed
        .lines()
        .map(|line| line.split_whitespace().collect::<Vec<_>>())
        .filter(|fields| fields.len() > 9 && fields[1].ends_with(&port))
        .map(|fields| format!("socket:[{}]", fields[9]))
        .collect();
    let files = std::fs::read_dir(format!("/proc/{process}/fd"));
    let mut files = files.into_iter().flatten().flatten();
    files.any(|file| {
        let link = std::fs::read_link(file.path()).unwrap_or_default();
        inodes.contains(&*link.to_string_lossy())
    })
}
