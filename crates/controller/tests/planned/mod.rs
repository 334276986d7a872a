//! Over random worlds: what a preview of some manifests says is what then happens, exactly, and
//! nothing else does.
//!
//! A world lives through many changes, so that each is planned among what the earlier ones left:
//! objects of others, edits in members, members that were away, namespaces that left.
//! `just plans` plays a thousand worlds, which is longer than `cargo test` does;
//! `MERIDIAN_WORLDS=57..58` plays one.

pub(crate) mod chance;

use crate::world::{TYPES, World, with_type};
use chance::{CONFIGS, DEPLOYMENTS, Dice, MEMBERS, ROLES, SECRETS, SERVICES, settings};
use federation::{Action, ClusterShare, ProblemKind, Step};
use meridian_controller::preview::{Preview, PreviewedObject};
use pocketkube::ApiState;
use serde_json::{Value, json};
use std::collections::{BTreeMap, BTreeSet};
use std::ops::Range;

/// Changes that are planned and made in one world.
const CHANGES: u64 = 3;
/// Worlds, unless the environment says how many.
const WORLDS: u64 = 5;
/// In one of so many worlds a crowd of objects leaves a member, and in one the replicas are divided
/// anew while a template waits.
const STAGED: u64 = 10;
/// So many objects; more than the deletion brake lets go.
const CROWD: usize = 24;
/// Deletions that the brake lets pass in a member that holds few objects.
const LET_PASS: usize = 20;
/// Virtual seconds until all that follows from a change has happened; longer than an object of
/// somebody else is believed to be there.
const SETTLED: u64 = 40;
/// Deletions after which the deletion brake is given time to forget them.
const DELETIONS_MAX: usize = 10;
/// Virtual seconds after which it has.
const FORGOTTEN: u64 = 301;
/// What is said of a member that a preference counts no more.
const LEFT: &str = "no candidate any more";
/// What few worlds have made too.
const DRAWN_SOON: [&str; 6] = [
    "create",
    "scale",
    "delete",
    "nothing",
    "KubeFedCluster",
    "deletion of many that the brake stops",
];
/// So many worlds have made all of the others.
const MANY: u64 = 200;
/// What chance has to have made, over many worlds, for the test to mean anything.
const DRAWN: [&str; 21] = [
    "apply",
    "release",
    "hold",
    "FederatedConfigMap",
    "FederatedSecret",
    "FederatedService",
    "FederatedClusterRole",
    "FederatedDeployment",
    "FederatedNamespace",
    "ReplicaSchedulingPreference",
    "KubeFedConfig",
    "deletion of a FederatedConfigMap",
    "deletion of a FederatedDeployment",
    "deletion of a FederatedSecret",
    "deletion of a FederatedService",
    "deletion of a FederatedClusterRole",
    "step of a rollout that waits",
    "namespace that the brake holds",
    "Secret that changes",
    "field of a cluster-scoped object that changes",
    "orphan that is released",
];

/// A member, and a kind and name in it.
type Place = (&'static str, String, String);
/// What members hold.
type Snapshot = BTreeMap<Place, Value>;
/// How often something was planned and then seen.
type Tally = BTreeMap<String, usize>;

/// A change that somebody plans and then makes.
enum Change {
    Apply(Value),
    /// Of a kind and name.
    Delete(&'static str, &'static str),
}

#[test]
fn what_is_planned_is_what_then_happens_and_nothing_else_does() {
    let seeds = seeds();
    let worlds = seeds.end - seeds.start;
    let mut tally = Tally::new();
    for seed in seeds {
        // A runtime of its own: nothing of a world outlives it.
        crate::world::runtime().block_on(async {
            match seed % STAGED {
                1 => Box::pin(a_crowd_leaves(seed, &mut tally)).await,
                2 => Box::pin(a_template_waits(seed, &mut tally)).await,
                _ => Box::pin(live_through(seed, &mut tally)).await,
            }
        });
    }
    eprintln!("planned and then seen in {worlds} worlds: {tally:#?}");
    let soon = if worlds < WORLDS {
        &[][..]
    } else {
        &DRAWN_SOON[..]
    };
    let all = if worlds < MANY { &[][..] } else { &DRAWN[..] };
    for drawn in soon.iter().chain(all).copied() {
        assert!(
            tally.contains_key(drawn),
            "chance made no {drawn}: {tally:#?}"
        );
    }
}

/// The seeds of the worlds: `MERIDIAN_WORLDS` is how many, or FROM..TO.
fn seeds() -> Range<u64> {
    std::env::var("MERIDIAN_WORLDS").map_or(0..WORLDS, |worlds| {
        let number = |text: &str| -> u64 {
            let number = text.parse();
            number.expect("MERIDIAN_WORLDS is a number, or FROM..TO")
        };
        match worlds.split_once("..") {
            Some((from, to)) => number(from)..number(to),
            None => 0..number(&worlds),
        }
    })
}

async fn live_through(seed: u64, tally: &mut Tally) {
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
        let next = draw(&world, &mut dice).await;
        deleted += plan_and_make(
            &world,
            &format!("seed {seed}, change {change}"),
            next,
            tally,
        )
        .await;
    }
}

/// Many objects follow a label of a member, and the label changes.
async fn a_crowd_leaves(seed: u64, tally: &mut Tally) {
    let world = World::start(&MEMBERS, settings()).await;
    let mut dice = Dice::of(seed);
    let leaves = *dice.one_of(&MEMBERS);
    for name in MEMBERS {
        world.apply("host", chance::member(name, "edge")).await;
    }
    let at_the_edge = json!({"clusterSelector": {"matchLabels": {"tier": "edge"}}});
    let spec = json!({"template": {"data": {"colour": "red"}}, "placement": at_the_edge});
    for number in 0..CROWD {
        let name = format!("crowd-{number}");
        world
            .federate("FederatedConfigMap", &name, spec.clone())
            .await;
    }
    world.apply("host", dice.config_map()).await;
    world.pass(SETTLED).await;
    let change = Change::Apply(chance::member(leaves, "core"));
    plan_and_make(&world, &format!("seed {seed}, a crowd"), change, tally).await;
}

/// A Deployment's new template waits for somebody's word, and its replicas are divided anew.
async fn a_template_waits(seed: u64, tally: &mut Tally) {
    let world = World::start(&MEMBERS, settings()).await;
    let mut dice = Dice::of(seed);
    let (total, more) = (dice.below(9), 1 + dice.below(9));
    let (name, first) = (DEPLOYMENTS[0], *dice.one_of(&MEMBERS));
    let divided = |total: usize| {
        let spec = json!({"targetKind": "FederatedDeployment", "totalReplicas": total});
        chance::preference(&spec)
    };
    let of_image = |image: usize| {
        json!({"template": chance::deployment_template(name, image),
            "placement": {"clusterSelector": {}}})
    };
    world
        .federate("FederatedDeployment", name, of_image(1))
        .await;
    world.apply("host", divided(total)).await;
    world.pass(SETTLED).await;
    let mut spec = of_image(2);
    spec["rollout"] = json!({"order": [{"clusters": [{"name": first}]}], "pause": "Manual"});
    world.federate("FederatedDeployment", name, spec).await;
    world.pass(SETTLED).await;
    let change = Change::Apply(divided(total + more));
    plan_and_make(
        &world,
        &format!("seed {seed}, a template waits"),
        change,
        tally,
    )
    .await;
}

/// What the next change is; something that is there, where it is deleted.
async fn draw(world: &World, dice: &mut Dice) -> Change {
    if dice.percent(15) {
        let (kind, name) = dice.federated_object();
        let at = host_place(kind, name);
        if world.find("host", at.0, at.1, at.2, at.3).await.is_some() {
            return Change::Delete(kind, name);
        }
    }
    Change::Apply(dice.manifest())
}

/// Where a federated object is.
fn host_place<'a>(kind: &'a str, name: &'a str) -> (&'static str, &'a str, &'static str, &'a str) {
    match kind {
        "FederatedClusterRole" => (TYPES, kind, "", name),
        _ => (TYPES, kind, "shop", name),
    }
}

/// Plans a change, makes it and compares; how many deletions were planned.
async fn plan_and_make(world: &World, when: &str, change: Change, tally: &mut Tally) -> usize {
    let (manifest, drawn) = match &change {
        Change::Apply(manifest) => {
            let kind = manifest["kind"].as_str().unwrap_or_default().to_owned();
            (manifest.clone(), kind)
        }
        Change::Delete(kind, name) => {
            let (version, kind, namespace, name) = host_place(kind, name);
            let found = world.find("host", version, kind, namespace, name).await;
            let mut deleted = found.expect("it was drawn among what is there");
            deleted["metadata"]["deletionTimestamp"] = json!(world.now());
            (deleted, format!("deletion of a {kind}"))
        }
    };
    let said = format!("{when}: {drawn}: {manifest}");
    let shown = world.preview(std::slice::from_ref(&manifest)).await;
    if !shown.refused.is_empty() {
        return 0;
    }
    let before = snapshot(world);
    match change {
        Change::Apply(manifest) => world.apply("host", manifest).await,
        Change::Delete(kind, name) => world.delete("host", host_place(kind, name)).await,
    }
    world.pass(SETTLED).await;
    let after = snapshot(world);
    judge(&said, &shown, &before, &after);
    *tally.entry(drawn).or_default() += 1;
    count(&shown, tally)
}

/// Counts what was planned; how many deletions there are.
fn count(shown: &Preview, tally: &mut Tally) -> usize {
    let mut seen = |what: &str, times: usize| {
        if times > 0 {
            *tally.entry(what.to_owned()).or_default() += times;
        }
    };
    let mut deleted = 0;
    for object in &shown.objects {
        for step in object.plan.steps.values() {
            seen(step.action.verb(), 1);
            deleted += usize::from(matches!(step.action, Action::Delete(_)));
        }
        let waits = object.plan.rollout.as_ref().map_or(0, |it| it.held.len());
        seen("step of a rollout that waits", waits);
        let braked = object.plan.report.iter();
        let braked = braked.filter(|problem| problem.kind == ProblemKind::DeletionBraked);
        seen("namespace that the brake holds", braked.count());
        let is_secret = object.input.target.kind == "Secret";
        let changes = object
            .changes
            .values()
            .filter(|it| is_secret && !it.is_empty());
        seen("Secret that changes", changes.count());
        let is_role = object.input.target.kind == "ClusterRole";
        let changes = object
            .changes
            .values()
            .filter(|it| is_role && !it.is_empty());
        seen(
            "field of a cluster-scoped object that changes",
            changes.count(),
        );
        let deleted_here = object.input.object.deleted_for_secs.is_some();
        let steps = object.plan.steps.values();
        let released = steps.filter(|it| matches!(it.action, Action::Release(_)) && deleted_here);
        seen("orphan that is released", released.count());
    }
    let braked = MEMBERS.iter().filter(|member| brake_stops(shown, member));
    seen("deletion of many that the brake stops", braked.count());
    deleted
}

/// Whether more is to be deleted in a member than the brake lets pass, and the preview says so.
fn brake_stops(shown: &Preview, member: &str) -> bool {
    let said = format!("would be deleted in {member}: the deletion brake lets {LET_PASS}");
    shown.notes.iter().any(|note| note.text.contains(&said))
}

/// What other people do between two plans.
async fn something_happens(world: &World, dice: &mut Dice) {
    let member = *dice.one_of(&MEMBERS);
    let config = *dice.one_of(&CONFIGS);
    let there = world.config_map(member, config).await.is_some();
    let at = ("v1", "ConfigMap", "shop", config);
    match dice.below(100) {
        0..10 if there => {
            let edit = json!({"data": {"colour": "edited", "note": "mine"}});
            world.patch(member, at, edit).await;
        }
        10..16 => somebody_edits(world, dice, member).await,
        16..22 if there => world.delete(member, at).await,
        22..28 if there => {
            let label = dice
                .one_of(&[json!("false"), json!("true"), Value::Null])
                .clone();
            let patch = json!({"metadata": {"labels": {"kubefed.io/managed": label}}});
            world.patch(member, at, patch).await;
        }
        28..42 if !there => {
            let object = json!({"metadata": {"name": config, "namespace": "shop"},
                "data": {"colour": "somebody's"}});
            let object = with_type("v1", "ConfigMap", object);
            // There may be no namespace.
            world.try_create(member, object).await;
        }
        42..52 => {
            let (kind, name) = dice.federated_object();
            let at = host_place(kind, name);
            if world.find("host", at.0, at.1, at.2, at.3).await.is_some() {
                world.delete("host", at).await;
            }
        }
        52..60 => {
            world.members[member].faults().set_api(ApiState::Down);
            world.apply("host", dice.manifest()).await;
            world.pass(SETTLED).await;
            world.members[member].faults().set_api(ApiState::Up);
        }
        // Worlds are short: much has to be there soon.
        60..90 => {
            for _ in 0..4 {
                world.apply("host", dice.manifest()).await;
            }
        }
        _ => {}
    }
}

/// Somebody edits in a member what is no ConfigMap.
async fn somebody_edits(world: &World, dice: &mut Dice, member: &str) {
    let rbac = "rbac.authorization.k8s.io/v1";
    let all = [
        (
            ("v1", "Secret", "shop", *dice.one_of(&SECRETS)),
            json!({"data": {"colour": "bWluZQ=="}}),
        ),
        (
            ("v1", "Service", "shop", *dice.one_of(&SERVICES)),
            json!({"spec": {"selector": {"app": "mine"}}}),
        ),
        (
            (rbac, "ClusterRole", "", *dice.one_of(&ROLES)),
            json!({"rules": []}),
        ),
        (
            ("apps/v1", "Deployment", "shop", *dice.one_of(&DEPLOYMENTS)),
            json!({"metadata": {"labels": {"note": "mine"}}}),
        ),
    ];
    let (at, edit) = dice.one_of(&all).clone();
    if world.find(member, at.0, at.1, at.2, at.3).await.is_some() {
        world.patch(member, at, edit).await;
    }
}

/// Everything that is in `shop`, the namespace itself, and our ClusterRoles.
fn snapshot(world: &World) -> Snapshot {
    let mut found = Snapshot::new();
    for (member, cluster) in &world.members {
        for (version, kind, namespace) in [
            ("v1", "ConfigMap", Some("shop")),
            ("v1", "Secret", Some("shop")),
            ("v1", "Service", Some("shop")),
            ("apps/v1", "Deployment", Some("shop")),
            ("v1", "Namespace", None),
            ("rbac.authorization.k8s.io/v1", "ClusterRole", None),
        ] {
            let resource = cluster.resource(version, kind).expect("it is served");
            for object in cluster.list(&resource, namespace) {
                let object = object.value().clone();
                let name = object["metadata"]["name"].as_str().unwrap_or_default();
                let is_ours = match kind {
                    "Namespace" => name == "shop",
                    "ClusterRole" => ROLES.contains(&name),
                    _ => name != "kube-root-ca.crt",
                };
                if is_ours {
                    found.insert((*member, kind.to_owned(), name.to_owned()), object);
                }
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
    let stopped: BTreeSet<&str> = MEMBERS
        .into_iter()
        .filter(|member| brake_stops(shown, member))
        .collect();
    let mut passed: BTreeMap<&str, usize> = BTreeMap::new();
    for place in places {
        let seen = Seen {
            said,
            place,
            before: before.get(place),
            after: after.get(place),
        };
        match expected.get(place) {
            // Which of them the brake lets pass is not said.
            Some((_, step)) if stopped.contains(place.0) && is_deletion(step) => match seen.after {
                None => *passed.entry(place.0).or_default() += 1,
                Some(_) => seen.is_untouched("the brake holds it", false),
            },
            Some((object, step)) => seen.is_as_planned(object, step),
            None => seen.is_untouched("it was not planned at all", false),
        }
    }
    for member in stopped {
        let gone = passed.get(member).copied().unwrap_or(0);
        assert_eq!(
            gone, LET_PASS,
            "{said}\n{member}: deletions that the brake let pass"
        );
    }
}

fn is_deletion(step: &Step) -> bool {
    matches!(step.action, Action::Delete(_))
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
        if self.before.is_some() && self.leaves_with_its_replicas(object) {
            return self.says(self.after.is_none(), &why);
        }
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

    /// Whether the preview says that the preference counts this member no more, and that its last
    /// replica goes: then the object does.
    fn leaves_with_its_replicas(&self, object: &PreviewedObject) -> bool {
        let shares = object.replicas.as_ref().map(|it| &it.plan.clusters);
        let share = shares.and_then(|shares| shares.get(self.place.0));
        let gone = |share: &ClusterShare| share.goal == 0 && share.reason.starts_with(LEFT);
        share.is_some_and(gone) && !one_waits(object)
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
        let planned = match one_waits(object) {
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

/// Replicas leave when others are ready, and where one waits the others are not.
fn one_waits(object: &PreviewedObject) -> bool {
    let mut steps = object.plan.steps.values();
    steps.any(|step| step.action == Action::Hold)
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
