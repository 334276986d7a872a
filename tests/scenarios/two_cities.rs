//! Two cities, three centres (两地三中心): two active centres in one city, a standby in another.
//!
//! The centres are programs of the scenario that listen on this machine, so that they can be lost on
//! any kind of clusters. Both centres of city A share; either alone takes all; city B answers only
//! when a person says so, and not while what its takeover requires fails; traffic goes back in a ramp,
//! and only when asked.

use crate::resolver::{ask, until_answered};
use meridian_tests::control_plane::free_ports;
use meridian_tests::world::{GSLB, Meridian, ObjectRef, Run, SYSTEM, World};
use serde_json::{Value, json};
use std::collections::BTreeSet;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::path::Path;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpListener;
use tokio::task::JoinHandle;

scenarios! {
    alone:
        city_b_takes_over_by_hand_when_it_may_and_gives_back_in_a_ramp_when_asked,
        city_b_takes_over_by_itself_where_that_is_its_mode_and_gives_back_after_its_hold_down,
        overrides_end_are_refused_and_say_so_and_what_a_policy_lacks_is_a_condition;
}

const NAME: &str = "bank.example.net";
const CLIENT: IpAddr = IpAddr::V4(Ipv4Addr::new(141, 20, 1, 31));
/// The three centres, by their members: city A is Berlin with Lisbon, city B Osaka.
const CENTRES: [(&str, Ipv4Addr); 3] = [
    ("berlin", Ipv4Addr::new(127, 0, 31, 1)),
    ("lisbon", Ipv4Addr::new(127, 0, 31, 2)),
    ("osaka", Ipv4Addr::new(127, 0, 31, 3)),
];

async fn city_b_takes_over_by_hand_when_it_may_and_gives_back_in_a_ramp_when_asked(
    world: &mut World,
    namespace: &str,
) {
    let takeover = |port: u16| {
        json!({"mode": "Manual", "requires": [
            {"name": "replication", "tcp": {"host": "127.0.31.9", "port": port}}]})
    };
    let failback = json!({"holdDown": "1s", "ramp": "2s"});
    let mut bank = Bank::open(world, namespace, takeover, failback).await;
    let (a, b) = (addresses(&["berlin", "lisbon"]), addresses(&["osaka"]));
    bank.until_shared(&a, "both centres of city A share").await;
    bank.lose("berlin");
    bank.until_shared(&addresses(&["lisbon"]), "one takes all")
        .await;
    bank.lose("lisbon");
    bank.until_branch(world, "city-b", "Waiting").await;
    let answer = ask(bank.dns, NAME, CLIENT).await.unwrap_or_default();
    assert!(
        !answer.iter().any(|address| b.contains(address)),
        "nobody took it: {answer:?}"
    );

    // What it requires fails: nobody takes it, and the preview says why.
    let refused = world
        .failing_command(&bank.switchover("city-b", &["--reason", "lost"]))
        .await;
    assert!(
        refused.contains("may not take over: replication"),
        "{refused}"
    );
    bank.meet_requirement().await;
    bank.until_unmet(world, false).await;
    let preview = world
        .command(&bank.switchover("city-b", &["--dry-run"]))
        .await;
    assert!(preview.contains("city-b is to answer"), "{preview}");
    let file = tempfile::tempdir().expect("a folder");
    let evidence = file.path().join("evidence.jsonl");
    bank.hand_over(world, "city-b", &evidence).await;
    bank.until_shared(&b, "city B answers").await;

    // A returns, and nothing moves until somebody asks; then in a ramp.
    bank.open_centre("berlin").await;
    bank.open_centre("lisbon").await;
    bank.until_healthy(world, "3/3").await;
    assert_eq!(
        ask(bank.dns, NAME, CLIENT).await,
        Some(vec![CENTRES[2].1.into()])
    );
    let back = file.path().join("back.jsonl");
    bank.hand_over(world, "city-a", &back).await;
    bank.until_shared(&a, "city A answers alone").await;
    let text = std::fs::read_to_string(&back).expect("evidence");
    for step in [
        "asked",
        "override written",
        "branch answers",
        "replicas answer",
        "stale answers outlived",
    ] {
        assert!(
            text.contains(&format!("\"step\":\"{step}\"")),
            "{step}: {text}"
        );
    }
    world
        .command(&["switchover", "--verify", &back.display().to_string()])
        .await;
    let forged = text.replace("because", "without a cause");
    std::fs::write(&back, forged).expect("written");
    let forged = world
        .failing_command(&["switchover", "--verify", &back.display().to_string()])
        .await;
    assert!(forged.contains("line 1: it was changed"), "{forged}");
    bank.close(world).await;
}

async fn city_b_takes_over_by_itself_where_that_is_its_mode_and_gives_back_after_its_hold_down(
    world: &mut World,
    namespace: &str,
) {
    let failback = json!({"holdDown": "1s"});
    let mut bank = Bank::open(world, namespace, |_| json!({"mode": "Auto"}), failback).await;
    let (a, b) = (addresses(&["berlin", "lisbon"]), addresses(&["osaka"]));
    bank.until_shared(&a, "both centres of city A share").await;
    bank.lose("berlin");
    bank.lose("lisbon");
    bank.until_shared(&b, "city B answers").await;
    let shown = bank.until_branch(world, "city-b", "Active").await;
    assert_eq!(shown["status"]["summary"]["active"], "city-b", "{shown:#}");
    bank.open_centre("berlin").await;
    bank.open_centre("lisbon").await;
    bank.until_shared(&a, "city A answers again").await;
    let told = world
        .host()
        .list("events.k8s.io/v1", "Event", namespace)
        .await;
    let notes: Vec<_> = told.iter().map(|event| event["note"].to_string()).collect();
    let story = |words: &str| notes.iter().any(|note| note.contains(words));
    assert!(story("city-b: city-a is unable"), "{notes:#?}");
    assert!(story("berlin 127.0.31.1: probes fail"), "{notes:#?}");
    bank.close(world).await;
}

async fn overrides_end_are_refused_and_say_so_and_what_a_policy_lacks_is_a_condition(
    world: &mut World,
    namespace: &str,
) {
    let failback = json!({});
    let bank = Bank::open(world, namespace, |_| json!({"mode": "Manual"}), failback).await;
    bank.until_shared(&addresses(&["berlin", "lisbon"]), "both centres share")
        .await;
    bank.force(world, "first", "berlin", "2100-01-01T00:00:00Z")
        .await;
    bank.until_shared(&addresses(&["lisbon"]), "one is forced down")
        .await;
    bank.until_in_force(world, "first", ("True", "InForce"))
        .await;
    for (name, centre) in [("second", "lisbon"), ("third", "osaka")] {
        bank.force(world, name, centre, "2100-01-01T00:00:00Z")
            .await;
    }
    bank.until_in_force(world, "third", ("False", "WouldLeaveNothing"))
        .await;
    let at = |name: &str| ObjectRef::new(GSLB, "Override", namespace, name);
    world.host().delete(&at("second")).await;
    world.host().delete(&at("third")).await;
    bank.force(world, "first", "berlin", "2001-01-01T00:00:00Z")
        .await;
    bank.until_in_force(world, "first", ("True", "KeptPastItsEnd"))
        .await;
    world.host().delete(&at("first")).await;
    bank.until_shared(&addresses(&["berlin", "lisbon"]), "both share again")
        .await;

    // Names that are not there do not stop a service, and a tree that is wrong is not let in.
    let policy = json!({"weighted": [
        {"weight": 1, "pool": {"clusters": ["berlin", "atlantis"]}},
        {"weight": 0, "pool": {"clusters": ["lisbon"]}}]});
    bank.apply(world, policy).await;
    let told = world
        .host()
        .until(&bank.at(), "it names what is not there", |service| {
            meridian_tests::world::condition(service, "PolicyFits")["status"] == "False"
        })
        .await;
    let message = &meridian_tests::world::condition(&told, "PolicyFits")["message"];
    let path = "spec.policy.weighted[0].pool.clusters[1]: no cluster is called atlantis";
    assert!(message.to_string().contains(path), "{message}");
    bank.until_shared(&addresses(&["berlin"]), "what is there answers")
        .await;
    for wrong in [
        json!({"pool": {}, "nearest": {}}),
        json!({"weighted": [{"weight": 1, "pool": {}, "hash": {}}]}),
        json!({"geo": {"rules": [{"pool": {}}]}}),
        json!({"geo": {"rules": [{"country": ["DEU"], "pool": {}}]}}),
        json!({"cidr": {"rules": [{"networks": ["everywhere"], "pool": {}}]}}),
        json!({"failover": [{"name": "a", "pool": {}, "takeover": {"requires": [{"name": "x"}]}}]}),
    ] {
        let refused = world.host().try_apply(bank.manifest(&wrong)).await;
        assert!(refused.is_err(), "{wrong}");
    }
    bank.close(world).await;
}

fn addresses(members: &[&str]) -> BTreeSet<IpAddr> {
    let of = CENTRES.iter().filter(|(name, _)| members.contains(name));
    of.map(|(_, address)| IpAddr::V4(*address)).collect()
}

/// A name that is served from three centres, and the process that does so.
struct Bank {
    dns: SocketAddr,
    port: u16,
    required: u16,
    namespace: String,
    meridian: Meridian,
    centres: Vec<(&'static str, JoinHandle<()>)>,
    requirement: Option<JoinHandle<()>>,
}

impl Bank {
    async fn open(
        world: &World,
        namespace: &str,
        takeover: impl Fn(u16) -> Value,
        failback: Value,
    ) -> Self {
        world.take_controller().stop();
        let [dns, port, required] = free_ports();
        let dns = SocketAddr::from(([127, 0, 0, 1], dns));
        let meridian = world.run(&Run::all_roles("bank", dns)).await;
        world.until_leads("bank").await;
        let mut bank = Self {
            dns,
            port,
            required,
            namespace: namespace.to_owned(),
            meridian,
            centres: Vec::new(),
            requirement: None,
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

    fn manifest(&self, policy: &Value) -> Value {
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
                "healthCheck": {"http": {"port": self.port}, "interval": "300ms",
                    "timeout": "250ms", "up": 2, "down": 3},
                "policy": policy,
            },
        })
    }

    async fn apply(&self, world: &World, policy: Value) {
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

    fn at(&self) -> ObjectRef {
        ObjectRef::new(GSLB, "GlobalService", &self.namespace, "bank")
    }

    async fn open_centre(&mut self, name: &'static str) {
        let found = CENTRES.iter().find(|(centre, _)| *centre == name);
        let address = found.expect("a centre").1;
        let serving = serve(SocketAddr::from((address, self.port))).await;
        self.centres.push((name, serving));
    }

    fn lose(&mut self, name: &str) {
        let lost = self.centres.iter().position(|(centre, _)| *centre == name);
        let (_, serving) = self.centres.swap_remove(lost.expect("it is open"));
        serving.abort();
    }

    async fn meet_requirement(&mut self) {
        let address = SocketAddr::from(([127, 0, 31, 9], self.required));
        self.requirement = Some(serve(address).await);
    }

    fn switchover<'a>(&'a self, to: &'a str, more: &[&'a str]) -> Vec<&'a str> {
        let words = ["switchover", "bank", "-n", &self.namespace, "--to", to];
        [&words[..], more].concat()
    }

    async fn hand_over(&self, world: &World, to: &str, evidence: &Path) {
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

    async fn force(&self, world: &World, name: &str, centre: &str, ends: &str) {
        let forced = json!({
            "apiVersion": GSLB, "kind": "Override",
            "metadata": {"namespace": self.namespace, "name": name},
            "spec": {"service": "bank", "cluster": centre, "force": "Down", "reason": "a drill",
                "owner": "a test", "expiresAt": ends},
        });
        world.host().apply(forced).await;
    }

    async fn until_in_force(&self, world: &World, name: &str, wanted: (&str, &str)) {
        let at = ObjectRef::new(GSLB, "Override", &self.namespace, name);
        world
            .host()
            .until(&at, wanted.1, |it| {
                let found = meridian_tests::world::condition(it, "InForce");
                found["status"] == wanted.0 && found["reason"] == wanted.1
            })
            .await;
    }

    async fn until_branch(&self, world: &World, name: &str, state: &str) -> Value {
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

    async fn until_unmet(&self, world: &World, unmet: bool) {
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

    async fn until_healthy(&self, world: &World, healthy: &str) {
        world
            .host()
            .until(&self.at(), &format!("{healthy} are healthy"), |service| {
                service["status"]["summary"]["healthy"] == healthy
            })
            .await;
    }

    /// Waits until answers name these and no others, each of them at some time.
    async fn until_shared(&self, wanted: &BTreeSet<IpAddr>, what: &str) {
        let seen = std::cell::RefCell::new(BTreeSet::new());
        until_answered(self.dns, (NAME, CLIENT), what, |answer| {
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

    async fn close(self, world: &World) {
        // The older of two services keeps a name, and all scenarios may share one host.
        world.host().delete(&self.at()).await;
        world.host().until_gone(&self.at()).await;
        for (_, serving) in &self.centres {
            serving.abort();
        }
        if let Some(serving) = &self.requirement {
            serving.abort();
        }
        self.meridian.stop();
    }
}

/// A program that says to everybody that all is well.
async fn serve(at: SocketAddr) -> JoinHandle<()> {
    let listener = TcpListener::bind(at).await.expect("a loopback address");
    tokio::spawn(async move {
        while let Ok((mut stream, _)) = listener.accept().await {
            let mut request = [0; 1024];
            let _ = stream.read(&mut request).await;
            let reply = b"HTTP/1.1 200 OK\r\ncontent-length: 0\r\nconnection: close\r\n\r\n";
            let _ = stream.write_all(reply).await;
        }
    })
}
