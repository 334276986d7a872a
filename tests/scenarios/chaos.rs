//! Whatever fails meanwhile, in the end every member holds exactly what is asked.
//!
//! A seed draws what users change and what fails: members that hang or are gone, a host that
//! restarts, leaders that are killed or sleep and wake. No round waits for the last one's harm to be
//! mended. What is wanted throughout stays the same object throughout.
//!
//! This is the short form, with the real binary and, where there are some, real control planes; a
//! hundred longer seeds are played in one process by `just chaos`. `MERIDIAN_SEEDS=5..6` plays
//! another seed here too.

use meridian_tests::process::Signal;
use meridian_tests::world::{ApiFault, HOST, Meridian, ObjectRef, Run, SCHEDULING, TYPES, World};
use rand::rngs::StdRng;
use rand::seq::IndexedRandom;
use rand::{RngExt, SeedableRng};
use serde_json::{Value, json};
use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write;

scenarios! {
    alone: whatever_fails_every_member_holds_what_is_asked_in_the_end;
}

const MEMBERS: [&str; 3] = ["berlin", "lisbon", "osaka"];
/// Wanted in every member from the first round to the last.
const STEADY: [&str; 2] = ["steady-one", "steady-two"];
/// Come, go and wander.
const FICKLE: [&str; 4] = ["one", "two", "three", "four"];
const ROUNDS: usize = 12;
const REPLICAS: u64 = 9;

async fn whatever_fails_every_member_holds_what_is_asked_in_the_end(
    world: &mut World,
    namespace: &str,
) {
    let seed = std::env::var("MERIDIAN_SEEDS").map_or(1, |seeds| {
        let first = seeds.split_once("..").map(|(first, _)| first.parse());
        let first = first.expect("MERIDIAN_SEEDS is FROM..TO");
        first.expect("MERIDIAN_SEEDS is FROM..TO")
    });
    let mut story = Story::begin(world, namespace, seed).await;
    let steady = story.steady().await;
    for round in 1..=ROUNDS {
        story.say(&format!("round {round}"));
        story.users_change_something().await;
        story.something_fails().await;
        story.whoever_is_well_goes_on().await;
    }
    story.all_is_mended().await;
    assert_eq!(story.steady().await, steady, "{}", story.told);
    story.everyone_holds_what_is_asked().await;
    story.replicas_are_complete().await;
}

/// What a federated ConfigMap is to be.
#[derive(Clone, Debug, PartialEq)]
struct Wanted {
    colour: String,
    members: BTreeSet<&'static str>,
}

struct Story<'a> {
    world: &'a mut World,
    namespace: String,
    dice: StdRng,
    /// Only those that are asked for.
    wanted: BTreeMap<&'static str, Wanted>,
    unwell: BTreeMap<&'static str, ApiFault>,
    leader: Option<Meridian>,
    asleep: Vec<Meridian>,
    started: usize,
    /// What happened, for whoever has to find out why.
    told: String,
}

impl<'a> Story<'a> {
    async fn begin(world: &'a mut World, namespace: &str, seed: u64) -> Self {
        let leader = world.take_controller();
        let mut story = Self {
            world,
            namespace: namespace.to_owned(),
            dice: StdRng::seed_from_u64(seed),
            wanted: BTreeMap::new(),
            unwell: BTreeMap::new(),
            leader: Some(leader),
            asleep: Vec::new(),
            started: 0,
            told: format!("seed {seed}\n"),
        };
        for name in STEADY {
            story.ask_for(name, MEMBERS.into()).await;
        }
        let web = story.world.federate_deployment(namespace, "web").await;
        let preference = json!({
            "apiVersion": SCHEDULING, "kind": "ReplicaSchedulingPreference",
            "metadata": {"namespace": namespace, "name": web["metadata"]["name"]},
            "spec": {"targetKind": "FederatedDeployment", "totalReplicas": REPLICAS,
                // What was given out while somebody was away is shared out again.
                "rebalance": true}});
        story.world.host().apply(preference).await;
        story
    }

    fn say(&mut self, what: &str) {
        writeln!(self.told, "{what}").expect("a String takes everything");
    }

    /// The identities of the copies that are wanted throughout.
    async fn steady(&self) -> Vec<Value> {
        let mut identities = Vec::new();
        for member in self.world.members() {
            for name in STEADY {
                let at = self.copy(name);
                let copy = member.until(&at, "it is there", |_| true).await;
                identities.push(copy["metadata"]["uid"].clone());
            }
        }
        identities
    }

    async fn users_change_something(&mut self) {
        for _ in 0..self.dice.random_range(1..=3) {
            if self.dice.random_bool(0.3) {
                let name = *STEADY.choose(&mut self.dice).expect("there are some");
                self.ask_for(name, MEMBERS.into()).await;
                continue;
            }
            let name = *FICKLE.choose(&mut self.dice).expect("there are some");
            let federated = ObjectRef::new(TYPES, "FederatedConfigMap", &self.namespace, name);
            if self.dice.random_bool(0.3) && self.wanted.remove(name).is_some() {
                self.say(&format!("{name} is deleted"));
                self.world.host().delete(&federated).await;
                continue;
            }
            let found = self.world.host().find(&federated).await;
            let is_leaving = |found: &Value| !found["metadata"]["deletionTimestamp"].is_null();
            if !found.as_ref().is_some_and(is_leaving) {
                let mut members: BTreeSet<&str> = MEMBERS.into();
                members.retain(|_| self.dice.random_bool(0.7));
                self.ask_for(name, members).await;
            }
        }
    }

    async fn ask_for(&mut self, name: &'static str, members: BTreeSet<&'static str>) {
        let colour = format!("colour {}", self.dice.random_range(0..1000));
        self.say(&format!("{name} is to be {colour} in {members:?}"));
        let clusters: Vec<_> = members.iter().map(|name| json!({"name": name})).collect();
        let spec = json!({"template": {"data": {"colour": colour}},
            "placement": {"clusters": clusters}});
        let kind = "FederatedConfigMap";
        self.world.federate(kind, &self.namespace, name, spec).await;
        self.wanted.insert(name, Wanted { colour, members });
    }

    async fn something_fails(&mut self) {
        let member = *MEMBERS.choose(&mut self.dice).expect("there are some");
        match self.dice.random_range(0..10) {
            0..6 if self.unwell.remove(member).is_some() => {
                self.say(&format!("{member} is well again"));
                self.world.mend_api(member).await;
            }
            // One is well at all times, so that every round has an end to wait for.
            0..6 if self.unwell.len() + 1 < MEMBERS.len() => {
                let all = [ApiFault::Hung, ApiFault::Down];
                let fault = *all.choose(&mut self.dice).expect("there are some");
                self.say(&format!("the API of {member} is {fault:?}"));
                self.world.break_api(member, fault);
                self.unwell.insert(member, fault);
            }
            6 => {
                self.say("the host restarts");
                self.world.break_api(HOST, ApiFault::Down);
                self.world.mend_api(HOST).await;
            }
            7 => {
                self.say("the leader sleeps");
                self.another_leads(Signal::Pause).await;
            }
            8 => {
                self.say("the leader is killed");
                self.another_leads(Signal::Kill).await;
            }
            _ => {
                self.say("whoever sleeps wakes");
                self.wake();
            }
        }
    }

    async fn another_leads(&mut self, signal: Signal) {
        self.started += 1;
        let name = format!("chaos-{}", self.started);
        let next = self.world.run(&Run::controller(&name)).await;
        let last = self.leader.replace(next).expect("somebody leads");
        last.signal(signal);
        if signal == Signal::Pause {
            self.asleep.push(last);
        }
    }

    fn wake(&mut self) {
        for sleeper in self.asleep.drain(..) {
            sleeper.signal(Signal::Resume);
        }
    }

    /// Members that are well get what is asked while others are not.
    async fn whoever_is_well_goes_on(&self) {
        for name in MEMBERS {
            if !self.unwell.contains_key(name) {
                self.until_held(name, STEADY[0]).await;
            }
        }
    }

    async fn until_held(&self, member: &str, name: &str) {
        let wanted = &self.wanted[name];
        self.world
            .member(member)
            .until(&self.copy(name), &wanted.colour, |held| {
                held["data"]["colour"] == wanted.colour
            })
            .await;
    }

    async fn all_is_mended(&mut self) {
        self.wake();
        for name in std::mem::take(&mut self.unwell).into_keys() {
            self.world.mend_api(name).await;
        }
        for name in MEMBERS {
            self.world.until_ready(name).await;
        }
    }

    async fn everyone_holds_what_is_asked(&self) {
        for member in MEMBERS {
            let is_here = |wanted: &Wanted| wanted.members.contains(member);
            for name in STEADY.into_iter().chain(FICKLE) {
                match self.wanted.get(name).is_some_and(is_here) {
                    true => self.until_held(member, name).await,
                    false => self.world.member(member).until_gone(&self.copy(name)).await,
                }
            }
            let mut held = self
                .world
                .member(member)
                .list("v1", "ConfigMap", &self.namespace)
                .await;
            held.retain(|held| !held["metadata"]["labels"]["kubefed.io/managed"].is_null());
            let held = held.iter().map(|held| held["metadata"]["name"].as_str());
            let wanted = self.wanted.iter().filter(|(_, wanted)| is_here(wanted));
            let wanted = wanted.map(|(name, _)| Some(*name));
            let held: BTreeSet<_> = held.collect();
            assert_eq!(held, wanted.collect(), "{member}, after {}", self.told);
        }
    }

    async fn replicas_are_complete(&self) {
        let web = ObjectRef::new("apps/v1", "Deployment", &self.namespace, "web");
        for member in self.world.members() {
            let share = REPLICAS / MEMBERS.len() as u64;
            member
                .until(&web, "it has its share", |web| {
                    web["spec"]["replicas"] == share
                })
                .await;
        }
    }

    fn copy(&self, name: &str) -> ObjectRef {
        ObjectRef::new("v1", "ConfigMap", &self.namespace, name)
    }
}
