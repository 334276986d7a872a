//! Over random worlds: what a preview of some manifests says is what then happens, exactly, and
//! nothing else does.
//!
//! A world lives through many changes, so that each is planned among what the earlier ones left:
//! objects of others, edits in members, members that were away, namespaces that left.
//! `just plans` plays a thousand of them, which is longer than `cargo test` does.

pub(crate) mod chance;

use crate::world::{TYPES, World, with_type};
use chance::{CONFIGS, Dice, MEMBERS, settings};
use federation::{Action, Step};
use meridian_controller::preview::{Preview, PreviewedObject};
use pocketkube::ApiState;
use serde_json::{Value, json};
use std::collections::{BTreeMap, BTreeSet};

/// Changes that are planned and made in one world.
const CHANGES: u64 = 20;
/// States that are planned from, unless the environment says how many.
const STATES: u64 = 80;
/// Virtual seconds until all that follows from a change has happened; longer than an object of
/// somebody else is believed to be there.
const SETTLED: u64 = 40;
/// Deletions after which the deletion brake is given time to forget them.
const DELETIONS_MAX: usize = 12;
/// Virtual seconds after which it has.
const FORGOTTEN: u64 = 301;

/// A member, and a kind and name in it.
type Place = (&'static str, String, String);
/// What members hold.
type Snapshot = BTreeMap<Place, Value>;

#[tokio::test(start_paused = true)]
async fn what_is_planned_is_what_then_happens_and_nothing_else_does() {
    let states = std::env::var("MERIDIAN_WORLDS").map_or(STATES, |states| {
        states.parse().expect("MERIDIAN_WORLDS is a number")
    });
    let mut tally = BTreeMap::new();
    for seed in 0..states.div_ceil(CHANGES) {
        live_through(seed, &mut tally).await;
    }
    eprintln!("planned and then seen: {tally:?}");
    for verb in ["create", "apply", "delete", "hold", "nothing"] {
        assert!(tally.contains_key(verb), "chance made no {verb}: {tally:?}");
    }
}

async fn live_through(seed: u64, tally: &mut BTreeMap<&'static str, usize>) {
    let world = World::start(&MEMBERS, settings()).await;
    let mut dice = Dice::of(seed);
    let mut deleted = 0;
    for change in 0..CHANGES {
        something_happens(&world, &mut dice).await;
        world.pass(SETTLED).await;
        if deleted > DELETIONS_MAX {
            world.pass(FORGOTTEN).await;
            deleted = 0;
        }
        let manifest = dice.manifest();
        let said = format!("seed {seed}, change {change}: {manifest}");
        let shown = world.preview(std::slice::from_ref(&manifest)).await;
        if !shown.refused.is_empty() {
            continue;
        }
        let before = snapshot(&world);
        world.apply("host", manifest).await;
        world.pass(SETTLED).await;
        let after = snapshot(&world);
        judge(&said, &shown, &before, &after);
        for step in shown.objects.iter().flat_map(|it| it.plan.steps.values()) {
            *tally.entry(step.action.verb()).or_default() += 1;
            deleted += usize::from(matches!(step.action, Action::Delete(_)));
        }
    }
}

/// What other people do between two plans.
async fn something_happens(world: &World, dice: &mut Dice) {
    let member = *dice.one_of(&MEMBERS);
    let config = *dice.one_of(&CONFIGS);
    let there = world.config_map(member, config).await.is_some();
    let at = ("v1", "ConfigMap", "shop", config);
    match dice.below(100) {
        0..12 if there => {
            let edit = json!({"data": {"colour": "edited", "note": "mine"}});
            world.patch(member, at, edit).await;
        }
        12..20 if there => world.delete(member, at).await,
        20..26 if there => {
            let label = dice
                .one_of(&[json!("false"), json!("true"), Value::Null])
                .clone();
            let patch = json!({"metadata": {"labels": {"kubefed.io/managed": label}}});
            world.patch(member, at, patch).await;
        }
        26..40 if !there => {
            let object = json!({"metadata": {"name": config, "namespace": "shop"},
                "data": {"colour": "somebody's"}});
            let object = with_type("v1", "ConfigMap", object);
            // There may be no namespace.
            world.try_create(member, object).await;
        }
        40..50 => {
            let at = (TYPES, "FederatedConfigMap", "shop", config);
            if world.find("host", at.0, at.1, at.2, at.3).await.is_some() {
                world.delete("host", at).await;
            }
        }
        50..58 => {
            world.members[member].faults().set_api(ApiState::Down);
            world.apply("host", dice.manifest()).await;
            world.pass(SETTLED).await;
            world.members[member].faults().set_api(ApiState::Up);
        }
        _ => {}
    }
}

/// Everything that is in `shop`, and the namespace itself.
fn snapshot(world: &World) -> Snapshot {
    let mut found = Snapshot::new();
    for (member, cluster) in &world.members {
        for (version, kind, namespace) in [
            ("v1", "ConfigMap", Some("shop")),
            ("apps/v1", "Deployment", Some("shop")),
            ("v1", "Namespace", None),
        ] {
            let resource = cluster.resource(version, kind).expect("it is served");
            for object in cluster.list(&resource, namespace) {
                let object = object.value().clone();
                let name = object["metadata"]["name"].as_str().unwrap_or_default();
                if kind == "Namespace" && name != "shop" || name == "kube-root-ca.crt" {
                    continue;
                }
                found.insert((*member, kind.to_owned(), name.to_owned()), object);
            }
        }
    }
    found
}

/// Holds all that members hold against what was planned.
fn judge(said: &str, shown: &Preview, before: &Snapshot, after: &Snapshot) {
    let mut expected: BTreeMap<Place, (&PreviewedObject, &Step)> = BTreeMap::new();
    for object in &shown.objects {
        let target = &object.input.target;
        for (cluster, step) in &object.plan.steps {
            let Some(member) = MEMBERS.iter().find(|name| **name == cluster.as_str()) else {
                continue;
            };
            let place = (*member, target.kind.clone(), target.key.name.to_string());
            expected.insert(place, (object, step));
        }
    }
    let places = before.keys().chain(after.keys()).chain(expected.keys());
    let places: BTreeSet<&Place> = places.collect();
    for place in places {
        let seen = Seen {
            said,
            place,
            before: before.get(place),
            after: after.get(place),
        };
        match expected.get(place) {
            Some((object, step)) => seen.is_as_planned(object, step),
            None => seen.is_untouched("it was not planned at all", false),
        }
    }
}

/// One object in one member, before and after.
struct Seen<'a> {
    said: &'a str,
    place: &'a Place,
    before: Option<&'a Value>,
    after: Option<&'a Value>,
}

impl Seen<'_> {
    fn is_as_planned(&self, object: &PreviewedObject, step: &Step) {
        let divided = object.replicas.is_some();
        let why = format!("{}: {}", step.action.verb(), step.reason);
        match &step.action {
            Action::Nothing | Action::Hold | Action::Tombstone => self.is_untouched(&why, divided),
            Action::Create(write) => {
                self.says(self.before.is_none() && self.after.is_some(), &why);
                self.holds(&write.object, divided, &why);
            }
            Action::Apply(write) => {
                self.says(identity(self.before) == identity(self.after), &why);
                self.says(identity(self.after).is_some(), &why);
                self.holds(&write.object, divided, &why);
                self.differs_only_where_shown(object, divided, &why);
            }
            Action::Scale(scale) => {
                let runs = self.after.map(|after| &after["spec"]["replicas"]);
                self.says(runs == Some(&json!(scale.replicas)), &why);
            }
            Action::Delete(_) => {
                self.says(self.before.is_some() && self.after.is_none(), &why);
            }
            Action::Release(_) => {
                self.says(identity(self.before) == identity(self.after), &why);
                let label = "/metadata/labels/kubefed.io~1managed";
                let after = self.after.and_then(|after| after.pointer(label));
                self.says(after.is_none(), &why);
            }
        }
        if divided && self.after.is_some() && !matches!(step.action, Action::Hold) {
            self.runs_its_share(object, &why);
        }
    }

    fn is_untouched(&self, why: &str, divided: bool) {
        let same = identity(self.before) == identity(self.after)
            && self.before.map(|it| body(it, divided)) == self.after.map(|it| body(it, divided));
        self.says(same, why);
    }

    /// All that was planned is there.
    fn holds(&self, planned: &Value, divided: bool, why: &str) {
        let mut planned = planned.clone();
        if divided {
            // Replicas come and go in steps, and the hash with them; where they end is held apart.
            planned = body(&planned, divided);
        }
        let live = self.after.unwrap_or(&Value::Null);
        self.says(holds(live, &planned), &format!("{why}: {planned:#}"));
    }

    /// A field that was not shown is as it was.
    fn differs_only_where_shown(&self, object: &PreviewedObject, divided: bool, why: &str) {
        let Some(changes) = object.changes.get(self.place.0) else {
            return self.says(false, "no changes are shown");
        };
        let shown: Vec<String> = changes.iter().map(|it| it.path.to_string()).collect();
        let (before, after) = (self.before.map(|it| body(it, divided)), self.after);
        let mut differing = Vec::new();
        let (before, after) = (before.unwrap_or_default(), body_of(after, divided));
        differences(&before, &after, String::new(), &mut differing);
        for path in differing {
            // Lists are compared whole; what is shown are fields of their items.
            let is_shown = (shown.iter()).any(|it| path.starts_with(it) || it.starts_with(&path));
            self.says(is_shown, &format!("{why}: {path} is not among {shown:?}"));
        }
    }

    /// A preference's target has what the preview said it would have.
    fn runs_its_share(&self, object: &PreviewedObject, why: &str) {
        let Some(planned) = &object.replicas else {
            return;
        };
        if object.input.options.retain_replicas {
            return;
        }
        let Some(share) = planned.plan.clusters.get(self.place.0) else {
            return;
        };
        let runs = self.after.and_then(|it| it["spec"]["replicas"].as_i64());
        // Replicas leave when others are ready, and where one waits the others are not.
        let one_waits = object
            .plan
            .steps
            .values()
            .any(|it| it.action == Action::Hold);
        let planned = match one_waits {
            true => share.replicas,
            false => share.goal,
        };
        let why = format!("{why}: planned {planned} of {share:?}");
        self.says(runs == Some(planned), &why);
    }

    fn says(&self, so: bool, why: &str) {
        let text = |it: Option<&Value>| it.map_or("none".to_owned(), |it| format!("{it:#}"));
        assert!(
            so,
            "{}\n{:?}: {why}\nbefore: {}\nafter: {}",
            self.said,
            self.place,
            text(self.before),
            text(self.after)
        );
    }
}

fn identity(object: Option<&Value>) -> Option<&Value> {
    object.map(|object| &object["metadata"]["uid"])
}

fn body_of(object: Option<&Value>, divided: bool) -> Value {
    object.map_or(Value::Null, |object| body(object, divided))
}

/// An object without what its cluster writes into it.
fn body(object: &Value, divided: bool) -> Value {
    let mut body = object.clone();
    if let Some(fields) = body.as_object_mut() {
        fields.remove("status");
    }
    if let Some(metadata) = body["metadata"].as_object_mut() {
        for field in ["resourceVersion", "managedFields", "generation"] {
            metadata.remove(field);
        }
    }
    if let Some(annotations) = body["metadata"]["annotations"].as_object_mut() {
        annotations.remove("deployment.kubernetes.io/revision");
        // It follows what is rendered; that it is as planned is held apart.
        annotations.remove("meridian.dev/applied-hash");
    }
    if divided && let Some(spec) = body["spec"].as_object_mut() {
        spec.remove("replicas");
    }
    body
}

/// Whether all that was planned is there; what the host makes with an object is not planned.
fn holds(live: &Value, planned: &Value) -> bool {
    match (live, planned) {
        (Value::Object(live), Value::Object(planned)) => planned
            .iter()
            .all(|(name, value)| holds(live.get(name).unwrap_or(&Value::Null), value)),
        (Value::Array(live), Value::Array(planned)) => {
            live.len() == planned.len()
                && live.iter().zip(planned).all(|(live, it)| holds(live, it))
        }
        // The API server does not keep a map without fields.
        (Value::Null, Value::Object(planned)) => planned.is_empty(),
        (_, Value::String(text)) if text.contains("(known after apply)") => true,
        _ => live == planned,
    }
}

/// Paths at which two values differ.
fn differences(one: &Value, other: &Value, path: String, found: &mut Vec<String>) {
    match (one, other) {
        (Value::Object(one), Value::Object(other)) => {
            let names: BTreeSet<_> = one.keys().chain(other.keys()).collect();
            for name in names {
                let (one, other) = (one.get(name), other.get(name));
                let one = one.unwrap_or(&Value::Null);
                let other = other.unwrap_or(&Value::Null);
                differences(one, other, format!("{path}.{name}"), found);
            }
        }
        _ if one == other => {}
        _ => found.push(path),
    }
}

#[test]
fn the_judge_sees_a_field_that_was_not_planned() {
    let (one, other) = (json!({"a": {"b": 1}}), json!({"a": {"b": 2, "c": 3}}));
    let mut found = Vec::new();
    differences(&one, &other, String::new(), &mut found);
    assert_eq!(found, [".a.b", ".a.c"]);
    assert!(!holds(&one, &other) && holds(&other, &json!({"a": {"c": 3}})));
}
