//! Everything fails, in an order that a seed draws: leaders are killed or lose the host, members
//! lose their API or their nodes, hang, refuse, answer late, break off and forget, watches tell old
//! news, clocks are wrong and jump. Meanwhile users go on changing what they want.
//!
//! While it lasts, no write arrives in a member from a controller that does not hold the Lease,
//! nothing is deleted that is wanted, and no replica is given up that is not asked for elsewhere.
//! When it ends, every member comes to hold exactly what the specs say.
//!
//! `MERIDIAN_SEEDS=5..6` plays one seed again, request by request (`replay.rs`). `just chaos` plays a
//! hundred seeds.

mod eyes;
mod faults;
mod replay;

use crate::planned::chance::Dice;
use crate::world::{SYSTEM, TYPES, World, with_type};
use eyes::{Asked, Eyes, Wire};
use faults::Faulty;
use kube::Client;
use meridian_controller::{Controller, ControllerOptions, ExecPlugins, InProcess, WallClock};
use serde_json::{Value, json};
use std::collections::BTreeMap;
use std::ops::Range;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicI64, Ordering};
use std::time::Duration;
use tokio_util::sync::CancellationToken;

const MEMBERS: [&str; 4] = ["a", "b", "c", "d"];
const CONFIGS: [&str; 5] = ["one", "two", "three", "four", "five"];
/// Seeds of `cargo test`.
const SEEDS: Range<u64> = 0..3;
/// Things that happen before it ends.
const ROUNDS: usize = 30;
/// Seconds by which a clock is set.
const JUMPS: [i64; 8] = [-86_400, -7_200, -600, -5, 5, 600, 7_200, 86_400];
/// Virtual seconds in which everything comes right again: deletions that members owe, replicas that
/// return in steps, waits that have grown.
const HEALED: Duration = Duration::from_secs(1800);

#[test]
fn whatever_fails_nothing_that_is_wanted_is_lost_and_all_comes_right_again() {
    let seeds = seeds(SEEDS);
    let mut jumps = 0;
    let several = seeds.end - seeds.start >= SEEDS.end;
    for seed in seeds {
        let Played {
            writes,
            deletions,
            jumped,
            asked,
        } = play(seed, ROUNDS);
        eprintln!(
            "seed {seed}: {writes} writes to members, {deletions} of them deletions; clocks jumped \
             {jumped} times; {} requests, {:016x}",
            asked.len(),
            replay::digest(&asked)
        );
        assert!(writes > 0, "seed {seed}: nothing was written at all");
        jumps += jumped;
    }
    assert!(jumps > 0 || !several, "no clock jumped");
}

/// The seeds that are asked for.
fn seeds(otherwise: Range<u64>) -> Range<u64> {
    std::env::var("MERIDIAN_SEEDS").map_or(otherwise, |seeds| {
        let (from, to) = seeds.split_once("..").expect("MERIDIAN_SEEDS is FROM..TO");
        let number = |text: &str| text.parse().expect("MERIDIAN_SEEDS is FROM..TO");
        number(from)..number(to)
    })
}

/// What became of a seed.
struct Played {
    writes: usize,
    deletions: usize,
    jumped: usize,
    asked: Vec<Asked>,
}

/// Plays a seed, in a runtime of its own, so that what was played before has no part in it.
fn play(seed: u64, rounds: usize) -> Played {
    crate::world::runtime().block_on(Box::pin(tell(seed, rounds)))
}

async fn tell(seed: u64, rounds: usize) -> Played {
    let mut story = Story::begin(seed).await;
    for round in 0..rounds {
        story.say(format!("round {round}"));
        for _ in 0..story.dice.below(3) {
            story.user_changes_something().await;
        }
        story.something_fails().await;
        let seconds = 1 + story.dice.below(25) as u64;
        story.world.pass(seconds).await;
        story.judge();
    }
    story.end().await
}

/// What a federated ConfigMap is to be.
#[derive(Clone, Default, PartialEq)]
struct Config {
    colour: String,
    /// Members that hold it.
    members: Vec<&'static str>,
    /// A member with another colour.
    other: Option<&'static str>,
}

/// One controller.
struct Leader {
    name: String,
    stop: CancellationToken,
    /// The way to the host, and those to the members.
    host_cut: Arc<AtomicBool>,
    members_cut: Arc<AtomicBool>,
    /// By how much its clock was set since it began.
    clock_millis: &'static AtomicI64,
}

struct Story {
    seed: u64,
    world: World,
    dice: Dice,
    eyes: Arc<Eyes>,
    leaders: Vec<Leader>,
    faulty: Faulty,
    started: usize,
    configs: BTreeMap<&'static str, Config>,
    image: usize,
    total: i64,
    /// How often a clock jumped.
    jumped: usize,
    /// What happened, for whoever has to find out why.
    told: Vec<String>,
}

impl Story {
    async fn begin(seed: u64) -> Self {
        let world = World::furnished(&MEMBERS, json!({})).await;
        let eyes = Eyes::new(&world.host, &world.members);
        let mut story = Self {
            seed,
            dice: Dice::of(seed),
            eyes,
            leaders: Vec::new(),
            faulty: Faulty::default(),
            started: 0,
            configs: BTreeMap::new(),
            image: 0,
            total: 8,
            jumped: 0,
            told: Vec::new(),
            world,
        };
        story.start_controller(0).await;
        story.start_controller(0).await;
        story.deploy().await;
        story.prefer().await;
        story.eyes.want("deployments", "web", MEMBERS);
        story
    }

    fn say(&mut self, what: String) {
        self.told.push(what);
    }

    /// Another controller, whose clock may be wrong.
    async fn start_controller(&mut self, skew_secs: i64) {
        self.started += 1;
        let name = format!("controller-{}", self.started);
        let (host_cut, members_cut) = (Arc::default(), Arc::default());
        let wire = |inner, member, cut: &Arc<AtomicBool>| Wire {
            inner,
            eyes: Arc::clone(&self.eyes),
            by: name.clone(),
            member,
            cut: Arc::clone(cut),
        };
        let in_process = self.world.members.iter().map(|(member, cluster)| {
            let wire = wire(cluster.router(), Some(*member), &members_cut);
            ((*member).into(), InProcess::new(wire))
        });
        let now = self.world.now() + Duration::from_secs(skew_secs.unsigned_abs());
        let now = match skew_secs < 0 {
            true => self.world.now() - Duration::from_secs(skew_secs.unsigned_abs()),
            false => now,
        };
        // As long-lived as the controller, which outlives whoever kills it.
        let clock_millis: &'static AtomicI64 = Box::leak(Box::default());
        let options = ControllerOptions {
            client: Client::new(wire(self.world.host.router(), None, &host_cut), "default"),
            system_namespace: SYSTEM.to_owned(),
            identity: name.clone(),
            in_process: in_process.collect(),
            clock: WallClock::Set {
                began: now,
                at: tokio::time::Instant::now(),
                by_millis: clock_millis,
            },
            plugins: ExecPlugins::default(),
            lease_times: None,
        };
        let stop = CancellationToken::new();
        self.told
            .push(format!("{name} starts, its clock {skew_secs} s ahead"));
        // It may find the host away, as a Pod would that is started again then.
        if let Ok(controller) = Controller::new(options, stop.clone()).await {
            tokio::spawn(controller.run());
            self.leaders.push(Leader {
                name,
                stop,
                host_cut,
                members_cut,
                clock_millis,
            });
        }
    }

    async fn user_changes_something(&mut self) {
        match self.dice.below(10) {
            0 => {
                self.image += 1;
                self.deploy().await;
            }
            1 => {
                self.total = 2 + self.dice.below(14) as i64;
                self.prefer().await;
            }
            2 => {
                let name = *self.dice.one_of(&CONFIGS);
                if self.configs.remove(name).is_some() {
                    self.say(format!("FederatedConfigMap {name} is deleted"));
                    self.eyes.want("configmaps", name, []);
                    let at = (TYPES, "FederatedConfigMap", "shop", name);
                    self.on_host(async |world| world.delete("host", at).await)
                        .await;
                }
            }
            _ => self.configure().await,
        }
    }

    async fn configure(&mut self) {
        let name = *self.dice.one_of(&CONFIGS);
        let being_deleted = self
            .world
            .find("host", TYPES, "FederatedConfigMap", "shop", name)
            .await
            .is_some_and(|found| !found["metadata"]["deletionTimestamp"].is_null());
        if being_deleted {
            return;
        }
        let colour = format!("colour {}", self.dice.below(1000));
        let mut members = MEMBERS.to_vec();
        members.retain(|_| self.dice.percent(70));
        let other = self.dice.percent(40).then(|| *self.dice.one_of(&MEMBERS));
        let config = Config {
            colour,
            members,
            other,
        };
        let mut spec = json!({"template": {"data": {"colour": config.colour}}});
        spec["placement"]["clusters"] = config
            .members
            .iter()
            .map(|name| json!({"name": name}))
            .collect();
        if let Some(other) = config.other {
            spec["overrides"] = json!([{"clusterName": other, "clusterOverrides": [
                {"path": "/data/colour", "value": "another"}]}]);
        }
        self.say(format!("FederatedConfigMap {name}: {spec}"));
        self.eyes
            .want("configmaps", name, config.members.iter().copied());
        self.configs.insert(name, config);
        self.on_host(async |world| {
            world
                .federate("FederatedConfigMap", name, spec.clone())
                .await
        })
        .await;
    }

    async fn deploy(&mut self) {
        let labels = json!({"app": "web"});
        let image = format!("web:{}", self.image);
        let spec = json!({
            "template": {"spec": {
                "selector": {"matchLabels": labels},
                "template": {"metadata": {"labels": labels},
                    "spec": {"containers": [{"name": "web", "image": image}]}}}},
            "placement": {"clusterSelector": {}}});
        self.say(format!("FederatedDeployment web: {image}"));
        self.on_host(async |world| {
            world
                .federate("FederatedDeployment", "web", spec.clone())
                .await
        })
        .await;
    }

    async fn prefer(&mut self) {
        let total = self.total;
        self.say(format!("ReplicaSchedulingPreference web: {total}"));
        self.eyes.want_replicas(total);
        let object = json!({"metadata": {"name": "web", "namespace": "shop"},
            "spec": {"targetKind": "FederatedDeployment", "totalReplicas": total}});
        let version = "scheduling.kubefed.io/v1alpha1";
        let object = with_type(version, "ReplicaSchedulingPreference", object);
        self.on_host(async |world| world.apply("host", object.clone()).await)
            .await;
    }

    /// A user's own request, which gets through whatever the host's faults are.
    async fn on_host(&self, request: impl AsyncFn(&World)) {
        let faults = self.world.host.faults();
        let (before, (rules, seed)) = (faults.get(), faults.rules());
        faults.set(Default::default());
        faults.set_rules(Vec::new(), seed);
        request(&self.world).await;
        faults.set(before);
        faults.set_rules(rules, seed.wrapping_add(1));
    }

    async fn something_fails(&mut self) {
        match self.dice.below(20) {
            0 | 1 => {
                // Nobody says farewell.
                let index = self.dice.below(self.leaders.len().max(1));
                if index < self.leaders.len() {
                    let dead = self.leaders.remove(index);
                    self.say(format!("{} is killed", dead.name));
                    dead.kill();
                }
                let skew = *self.dice.one_of(&[0, 0, 600, -600, 86_400]);
                self.start_controller(skew).await;
            }
            2 => {
                let index = self.dice.below(self.leaders.len().max(1));
                if index < self.leaders.len() {
                    let ended = self.leaders.remove(index);
                    self.say(format!("{} ends", ended.name));
                    ended.stop.cancel();
                }
                self.start_controller(0).await;
            }
            5 => {
                let index = self.dice.below(self.leaders.len().max(1));
                let by_secs = *self.dice.one_of(&JUMPS);
                if let Some(leader) = self.leaders.get(index) {
                    leader
                        .clock_millis
                        .fetch_add(by_secs * 1000, Ordering::SeqCst);
                    let what = format!("the clock of {} jumps by {by_secs} s", leader.name);
                    self.say(what);
                    self.jumped += 1;
                }
            }
            3 | 4 => {
                if let Some(leader) = self.leaders.first() {
                    let cut = !leader.host_cut.load(Ordering::SeqCst);
                    leader.host_cut.store(cut, Ordering::SeqCst);
                    let what = format!("{} is cut off from the host: {cut}", leader.name);
                    self.say(what);
                }
            }
            _ => {
                let what = self.faulty.happen(&self.world, &mut self.dice);
                self.say(what);
            }
        }
    }

    fn judge(&self) {
        let (wrong, ..) = self.eyes.seen();
        assert!(wrong.is_empty(), "{}\n{}", self.account(), wrong.join("\n"));
    }

    fn account(&self) -> String {
        format!("seed {}:\n  {}", self.seed, self.told.join("\n  "))
    }

    /// Everything works again.
    async fn end(mut self) -> Played {
        self.faulty.mend(&self.world);
        for leader in std::mem::take(&mut self.leaders) {
            match leader.host_cut.load(Ordering::SeqCst) {
                true => leader.kill(),
                false => self.leaders.push(leader),
            }
        }
        self.start_controller(0).await;
        let until = tokio::time::Instant::now() + HEALED;
        loop {
            let missing = self.missing().await;
            if missing.is_empty() {
                break;
            }
            let account = self.account();
            assert!(
                tokio::time::Instant::now() < until,
                "{account}\nnot within {HEALED:?}:\n{}",
                missing.join("\n")
            );
            self.world.pass(5).await;
        }
        self.judge();
        let (_, writes, deletions) = self.eyes.seen();
        for leader in std::mem::take(&mut self.leaders) {
            leader.stop.cancel();
        }
        Played {
            writes,
            deletions,
            jumped: self.jumped,
            asked: self.eyes.asked(),
        }
    }

    /// What is not yet as the specs say.
    async fn missing(&self) -> Vec<String> {
        let mut missing = Vec::new();
        for name in CONFIGS {
            let config = self.configs.get(name);
            for member in MEMBERS {
                let wanted = config.filter(|config| config.members.contains(&member));
                let wanted = wanted.map(|config| match config.other == Some(member) {
                    true => "another".to_owned(),
                    false => config.colour.clone(),
                });
                let held = self.world.config_map(member, name).await;
                let held = held.map(|it| it["data"]["colour"].as_str().unwrap_or("").to_owned());
                if held != wanted {
                    missing.push(format!(
                        "{name} in {member}: {held:?} instead of {wanted:?}"
                    ));
                }
            }
            if config.is_some() && !self.world.is_propagated(name).await {
                missing.push(format!("{name}: {:#}", self.world.status(name).await));
            }
        }
        let asked = self.eyes.replicas();
        if asked.values().sum::<i64>() != self.total {
            missing.push(format!("replicas: {asked:?} instead of {}", self.total));
        }
        for member in MEMBERS {
            let held = self
                .world
                .find(member, "apps/v1", "Deployment", "shop", "web")
                .await;
            let held = held.unwrap_or_default();
            let image = &held["spec"]["template"]["spec"]["containers"][0]["image"];
            if *image != json!(format!("web:{}", self.image)) {
                missing.push(format!("web in {member}: {image}"));
            }
            if held["status"]["readyReplicas"].as_i64().unwrap_or(0) != asked[member] {
                missing.push(format!("web in {member}: {}", held["status"]));
            }
        }
        missing.extend(self.owed());
        missing
    }

    fn owed(&self) -> Vec<String> {
        let resource = self
            .world
            .host
            .resource("federation.meridian.dev/v1alpha1", "MemberTombstone")
            .expect("it is served");
        let owed = self.world.host.list(&resource, Some(SYSTEM));
        let owed = owed.iter().map(|owed| {
            let value: &Value = owed.value();
            format!("still owed: {}", value["spec"])
        });
        owed.collect()
    }
}

impl Leader {
    /// Whatever it still does reaches nobody.
    fn kill(self) {
        self.host_cut.store(true, Ordering::SeqCst);
        self.members_cut.store(true, Ordering::SeqCst);
        self.stop.cancel();
    }
}
