//! The plans that some manifests would have: the host is read once, the manifests are laid over
//! what it holds, the members are asked once, and the controller's own rooms do the rest.
//!
//! # Guarantees
//! Nothing is written: this process never stands for election, and every write asks the Lease. The
//! input of a plan is put together by the function that the controller uses, from caches of the
//! same shape, so the plan is the one that the controller would apply.
//! # Assumptions
//! A manifest's `spec` replaces the live one; of labels and annotations, those that the manifest
//! no longer names go where kubectl had applied them. One with a `deletionTimestamp` is planned as
//! deleted.
//! # Caveats
//! It is a look at one moment. What the leader alone remembers is not known here: since when a
//! member's API is down, how many objects were deleted lately, and that a member's webhook changed
//! what was written, which looks like somebody's change. A phase of a failover, and what a member
//! ran that cannot be asked, are taken from the preference's status.

mod claim;
mod host;

use crate::Error;
use crate::clock::WallClock;
use crate::cluster_health::{Health, look_at_capacity};
use crate::context::{Context, Parts};
use crate::facts::standing;
use crate::host::{Host, TypeCache};
use crate::lease::Leadership;
use crate::members::connect::InProcess;
use crate::members::still::{self, Answers, Questions};
use crate::members::{ExecPlugins, Member, Members, MembersOptions};
use crate::read::{Reading, plan_input};
use crate::replica_preference::{PlannedPreference, plan_once};
use crate::settings::Settings;
use crate::type_configs;
use crate::wake::{FederatedKey, Wake, target_key};
use ::api::ConfigScope;
use claim::{Claim, Claims};
use federation::{
    ANNOTATION_APPLIED_HASH, Action, FIELD_MANAGER, FieldChange, Observed, Plan, PlanInput,
    Readiness, diff, plan,
};
use futures::{FutureExt, StreamExt, stream};
use kube::api::DynamicObject;
use kube::{Client, ResourceExt};
use model::{ClusterName, ObjectKey};
use serde_json::{Value, json};
use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, PoisonError};

pub use host::{HostChange, KNOWN_AFTER_APPLY};

/// Members that are asked at once.
const MEMBERS_MAX: usize = 32;
/// More deletions than this in one member within five minutes may shut the deletion brake.
const DELETIONS_FREE: usize = 20;

/// What a preview is given.
pub struct PreviewOptions {
    /// A client of the host, without kube's own retries.
    pub client: Client,
    /// Where KubeFedClusters, their Secrets and the settings live.
    pub system_namespace: String,
    /// Members that are reached inside of this process, whatever their KubeFedCluster says.
    pub in_process: BTreeMap<ClusterName, InProcess>,
    /// Programs that a kubeconfig in a member's Secret may have run to get a credential.
    pub plugins: ExecPlugins,
    /// Where wall time comes from.
    pub clock: WallClock,
    /// Objects of the host that are planned as they stand, besides those that the manifests reach.
    /// With some, not all objects follow a manifest of members, settings or types.
    pub asked: Vec<Asked>,
}

/// A federated object of the host.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Asked {
    /// The name of its FederatedTypeConfig.
    pub type_name: String,
    /// Its own namespace and name.
    pub key: ObjectKey,
}

/// What would become of some manifests.
#[derive(Debug, Default)]
pub struct Preview {
    /// Federated objects in the order of the manifests, then those of the host that follow what
    /// the manifests change: a preference, the placement of their namespace, or what all follow
    /// (members, settings, types).
    pub objects: Vec<PreviewedObject>,
    /// Manifests that cannot be planned.
    pub refused: Vec<Refused>,
    /// What the plans depend on or leave out, and a reader should know.
    pub notes: Vec<Note>,
    /// Members that were asked and did not answer, and why.
    pub silent: BTreeMap<ClusterName, String>,
    /// How many members are registered.
    pub registered: usize,
}

/// A manifest that cannot be planned.
#[derive(Debug)]
pub struct Refused {
    /// Its index among the manifests.
    pub manifest: usize,
    /// What is wrong with it.
    pub error: Error,
}

/// Something to know.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Note {
    /// The manifest it is about, when it is about one.
    pub manifest: Option<usize>,
    /// In words.
    pub text: String,
}

/// A federated object, planned.
#[derive(Clone, Debug)]
pub struct PreviewedObject {
    /// The manifest's index; nothing for an object that is on the host only.
    pub manifest: Option<usize>,
    /// Whether it was asked for by name.
    pub asked: bool,
    /// What happens to the federated object itself.
    pub host: HostChange,
    /// What the plan was made from.
    pub input: PlanInput,
    /// What the controller would do.
    pub plan: Plan,
    /// The fields that applies would change, as far as they may be shown.
    pub changes: BTreeMap<ClusterName, Vec<FieldChange>>,
    /// What members hold of it now, whole.
    pub live: BTreeMap<ClusterName, DynamicObject>,
    /// Clusters whose part is not known, and why.
    pub unknown: BTreeMap<ClusterName, String>,
    /// What a scheduling preference divides, and why.
    pub replicas: Option<PlannedPreference>,
}

/// Plans manifests as the controller would, were they applied together.
///
/// # Errors
/// [`Error::Host`] or [`Error::HostTimedOut`] when the host cannot be read.
pub async fn preview(options: PreviewOptions, manifests: &[Value]) -> Result<Preview, Error> {
    let mut preview = Preview::default();
    let manifests = &claim::with_namespaces(manifests, options.client.default_namespace());
    let asked = options.asked.clone();
    let (context, concerns_all) = context(options, manifests, &mut preview).boxed().await?;
    let types = type_configs::wanted(&context);
    let mut claims = Claims::of(&context, &types, manifests, &mut preview);
    claims.ask(&types, &asked, &mut preview);
    // Who asks for objects by name means these.
    let all_follow = concerns_all && asked.is_empty();
    let notes = &mut preview.notes;
    host::add_followers(&context, &types, &mut claims, notes, all_follow)
        .boxed()
        .await?;
    let held = host::read_objects(&context, &types, &mut claims)
        .boxed()
        .await?;
    {
        let mut caches = context
            .types
            .write()
            .unwrap_or_else(PoisonError::into_inner);
        for (name, named) in &types {
            let objects = held.get(&named.name).cloned().unwrap_or_default();
            let cache = TypeCache::still(named.clone(), objects);
            caches.insert(name.clone(), Arc::new(cache));
        }
    }
    preview.registered = context.members.all().len();
    let answers = ask_members(&context, &claims).await;
    let health = Arc::new(Health::new());
    for (name, answer) in &answers {
        match &answer.silent {
            Some(why) => drop(preview.silent.insert(name.clone(), why.clone())),
            None => health.answered(name),
        }
    }
    for claim in claims.planned {
        take(&context, &health, &answers, claim, &mut preview).await;
    }
    note_the_brake(&mut preview);
    Ok(preview)
}

/// The host as it would be, and members that are connected and not watched; and whether the
/// manifests change what all objects follow.
async fn context(
    options: PreviewOptions,
    manifests: &[Value],
    preview: &mut Preview,
) -> Result<(Arc<Context>, bool), Error> {
    let (client, namespace) = (&options.client, &options.system_namespace);
    let mut seen = host::read(client, namespace).await?;
    let concerns_all = host::lay_over(&mut seen, namespace, manifests, preview);
    let wake = Arc::new(Wake::new());
    let host = Host::still(client, namespace, seen.objects);
    let context = Arc::new(Context::new(Parts {
        members: Members::new(MembersOptions {
            in_process: options.in_process,
            plugins: options.plugins,
            within: (host.scope == ConfigScope::Namespaced).then(|| namespace.clone()),
            clock: options.clock,
        }),
        began_with: Settings::default(),
        host,
        wake: Arc::clone(&wake),
        leadership: Leadership::never(),
        clock: options.clock,
        identity: "preview",
    }));
    // It was not set before.
    drop(context.host_uid.set(seen.host_uid));
    let clusters = context.host.clusters.state();
    let with_secrets: Vec<_> = clusters
        .into_iter()
        .map(|cluster| {
            let secret = context.host.secret(&cluster.spec.secret_ref.name);
            (cluster, secret)
        })
        .collect();
    let no_lanes = BTreeMap::new();
    context.members.update(&with_secrets, &no_lanes, &wake);
    Ok((context, concerns_all))
}

/// Asks every member that the host says is ready; of the others nothing is known either way.
async fn ask_members(context: &Context, claims: &Claims) -> BTreeMap<ClusterName, Answers> {
    let mut questions = Questions::new();
    for claim in &claims.planned {
        let federated = &claim.named.federated;
        let (_, targets) = questions
            .entry(Arc::clone(&claim.named.name))
            .or_insert_with(|| (claim.named.clone(), BTreeSet::new()));
        targets.insert(target_key(federated, &claim.key));
    }
    let clusters = context.host.clusters.state();
    let ready: Vec<Arc<Member>> = clusters
        .iter()
        .filter(|cluster| standing(cluster).readiness == Readiness::Ready)
        .filter_map(|cluster| context.members.get(&cluster.name_any().into()))
        .collect();
    // Only who divides replicas wants to know what nodes have free.
    let divided = |claim: &Claim| context.host.preference(&claim.key).is_some();
    let divides = claims.planned.iter().any(divided);
    let asked = stream::iter(ready).map(|member| {
        let questions = &questions;
        async move {
            member.credentialed().await;
            let look = async {
                if let (Some(client), true) = (member.requests(), divides) {
                    look_at_capacity(&member, &client).await;
                }
            };
            let (answers, ()) = tokio::join!(still::ask(&member, questions), look);
            (member.name.clone(), answers)
        }
    });
    asked.buffer_unordered(MEMBERS_MAX).collect().await
}

/// Plans one object, or says why it cannot be planned.
async fn take(
    context: &Arc<Context>,
    health: &Arc<Health>,
    answers: &BTreeMap<ClusterName, Answers>,
    claim: Claim,
    preview: &mut Preview,
) {
    let key = FederatedKey {
        type_name: Arc::clone(&claim.named.name),
        object: claim.key.clone(),
    };
    let kind = &claim.named.federated.federated.kind;
    let preference = context.host.preference(&claim.key);
    let replicas = match preference {
        Some(preference) if preference.spec.target_kind == *kind => {
            plan_once(context, health, &claim.key).await
        }
        _ => None,
    };
    let read = match plan_input(context, &key).await {
        Reading::Input(read) => *read,
        Reading::Malformed(malformed) => return claim.refuse(malformed.1.into(), preview),
        Reading::NotYet(why) => {
            let error = api::Error::invalid("spec", why);
            return claim.refuse(error.into(), preview);
        }
        Reading::Gone => {
            let text = format!("there is no {kind} {}: nothing is divided", claim.key);
            let manifest = None;
            return preview.notes.push(Note { manifest, text });
        }
    };
    let mut plan = plan(&read.input);
    if claim.change == HostChange::Create {
        forget_hashes(&mut plan);
    }
    let known = Known {
        answers,
        claim: &claim,
        input: &read.input,
        plan: &plan,
    };
    preview.objects.push(PreviewedObject {
        manifest: claim.manifest,
        asked: claim.asked,
        host: claim.change,
        changes: known.changes(),
        live: known.all_live(),
        unknown: known.unknown(),
        input: read.input,
        plan,
        replicas,
    });
}

/// The origin of a new object is known when the host has made it, and so is the hash.
fn forget_hashes(plan: &mut Plan) {
    for step in plan.steps.values_mut() {
        if let Action::Create(write) | Action::Apply(write) = &mut step.action {
            write.hash = KNOWN_AFTER_APPLY.to_owned();
            let object = Arc::make_mut(&mut write.object);
            let hash = &mut object["metadata"]["annotations"][ANNOTATION_APPLIED_HASH];
            *hash = json!(KNOWN_AFTER_APPLY);
        }
    }
}

/// What members said of one object.
struct Known<'a> {
    answers: &'a BTreeMap<ClusterName, Answers>,
    claim: &'a Claim,
    input: &'a PlanInput,
    plan: &'a Plan,
}

impl Known<'_> {
    fn changes(&self) -> BTreeMap<ClusterName, Vec<FieldChange>> {
        let steps = self.plan.steps.iter();
        let changes = steps.filter_map(|(name, step)| {
            let live = self.live(name);
            let whole = live.and_then(|live| serde_json::to_value(live).ok());
            let owned = live.and_then(owned_fields);
            let sent = match &step.action {
                Action::Create(write) | Action::Apply(write) => Arc::clone(&write.object),
                Action::Scale(scale) => Arc::new(scale.object(owned?, whole.as_ref()?)),
                _ => return None,
            };
            let changes = diff(&self.input.target, whole.as_ref(), owned, &sent);
            Some((name.clone(), changes))
        });
        changes.collect()
    }

    fn live(&self, cluster: &ClusterName) -> Option<&DynamicObject> {
        let name = Arc::clone(&self.claim.named.name);
        let objects = &self.answers.get(cluster)?.objects;
        objects.get(&(name, self.input.target.key.clone()))
    }

    fn all_live(&self) -> BTreeMap<ClusterName, DynamicObject> {
        let names = self.answers.keys();
        let live = names.filter_map(|name| Some((name.clone(), self.live(name)?.clone())));
        live.collect()
    }

    /// Parts that wait because nobody could say what the member holds.
    fn unknown(&self) -> BTreeMap<ClusterName, String> {
        let waiting = self.plan.steps.iter().filter(|(name, step)| {
            let observed = self.input.observed.get(*name);
            step.action == Action::Hold && matches!(observed, None | Some(Observed::Unknown))
        });
        let unknown = waiting.map(|(name, step)| {
            let answers = self.answers.get(name);
            let why = answers.and_then(|answers| match &answers.silent {
                Some(silent) => Some(format!("it does not answer: {silent}")),
                None => answers.refused.get(&self.claim.named.name).cloned(),
            });
            (name.clone(), why.unwrap_or_else(|| step.reason.clone()))
        });
        unknown.collect()
    }
}

/// `fieldsV1` of our own entry.
fn owned_fields(live: &DynamicObject) -> Option<&Value> {
    let entries = live.metadata.managed_fields.as_deref().unwrap_or_default();
    let ours = entries.iter().find(|entry| {
        entry.manager.as_deref() == Some(FIELD_MANAGER)
            && entry.operation.as_deref() == Some("Apply")
            && entry.subresource.as_deref().unwrap_or_default().is_empty()
    });
    Some(&ours?.fields_v1.as_ref()?.0)
}

/// The brake counts what was deleted lately, which only the leader knows.
fn note_the_brake(preview: &mut Preview) {
    let mut deletions: BTreeMap<&ClusterName, usize> = BTreeMap::new();
    for object in &preview.objects {
        for (name, step) in &object.plan.steps {
            *deletions.entry(name).or_default() +=
                usize::from(matches!(step.action, Action::Delete(_)));
        }
    }
    let many = deletions
        .into_iter()
        .filter(|(_, count)| *count > DELETIONS_FREE);
    let notes = many.map(|(name, count)| Note {
        manifest: None,
        text: format!(
            "{count} objects would be deleted in {name}: the deletion brake lets {DELETIONS_FREE}, \
             or a tenth of what the member holds, pass within five minutes, and holds the rest"
        ),
    });
    let notes: Vec<Note> = notes.collect();
    preview.notes.extend(notes);
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::WallClock;
    use crate::fleet;
    use crate::wake::FederatedKey;
    use kube::api::{Api, Patch, PatchParams};
    use kube::core::{ApiResource, GroupVersionKind};
    use pocketkube::Cluster;
    use pocketkube::cluster::ClusterOptions;
    use std::time::Duration;
    use tokio_util::sync::CancellationToken;

    const SYSTEM: &str = "kube-federation-system";
    const TYPES: &str = "types.kubefed.io/v1beta1";
    const MEMBERS: [&str; 3] = ["a", "b", "c"];

    /// A host that federates to three members, all of them Ready, and nobody who leads.
    struct World {
        host: Cluster,
        members: BTreeMap<&'static str, Cluster>,
        stop: CancellationToken,
    }

    impl World {
        async fn new() -> Self {
            let cluster = |name: &str| Cluster::in_process(ClusterOptions::named(name));
            let world = Self {
                host: cluster("host"),
                members: MEMBERS.iter().map(|name| (*name, cluster(name))).collect(),
                stop: CancellationToken::new(),
            };
            for crd in api::crds() {
                let mut crd = json!(crd);
                crd["apiVersion"] = json!("apiextensions.k8s.io/v1");
                crd["kind"] = json!("CustomResourceDefinition");
                world.apply(&world.host, crd).await;
            }
            for name in [SYSTEM, "shop"] {
                let namespace = json!({"apiVersion": "v1", "kind": "Namespace",
                "metadata": {"name": name}});
                world.apply(&world.host, namespace.clone()).await;
                for member in world.members.values() {
                    world.apply(member, namespace.clone()).await;
                }
            }
            for config in api::federated_type_configs(SYSTEM) {
                world.apply(&world.host, json!(config)).await;
            }
            for name in MEMBERS {
                world.register(name).await;
            }
            let everywhere = json!({"placement": {"clusterSelector": {}}});
            let namespace = federated("FederatedNamespace", "shop", everywhere);
            world.apply(&world.host, namespace).await;
            world
        }

        async fn register(&self, name: &str) {
            let member = json!({"apiVersion": "core.kubefed.io/v1beta1", "kind": "KubeFedCluster",
            "metadata": {"name": name, "namespace": SYSTEM, "labels": {"name": name}},
            "spec": {"apiEndpoint": format!("https://{name}.invalid"),
                "secretRef": {"name": name}}});
            self.apply(&self.host, member.clone()).await;
            let ready = json!({"type": "Ready", "status": "True", "reason": "ClusterReady",
            "lastTransitionTime": "2026-01-01T00:00:00Z"});
            set_status(&self.host, &member, json!({"conditions": [ready]})).await;
        }

        /// Applies an object, and waits for nothing.
        async fn apply(&self, cluster: &Cluster, object: Value) {
            let name = object["metadata"]["name"].as_str().expect("a name");
            let parameters = PatchParams::apply("somebody").force();
            let applied = api_of(cluster, &object)
                .patch(name, &parameters, &Patch::Apply(&object))
                .await;
            applied.unwrap_or_else(|error| panic!("{object}: {error}"));
        }

        async fn preview(&self, manifests: &[Value]) -> Preview {
            let preview = preview(
                PreviewOptions {
                    client: client(&self.host),
                    system_namespace: SYSTEM.to_owned(),
                    in_process: self.in_process(),
                    plugins: ExecPlugins::default(),
                    clock: WallClock::System,
                    asked: Vec::new(),
                },
                manifests,
            )
            .await
            .expect("the host answers");
            assert!(preview.refused.is_empty(), "{:?}", preview.refused);
            preview
        }

        /// What the controller plans of what the host holds now, from caches that watch.
        async fn controllers_plan(&self, type_name: &str, name: &str) -> Plan {
            let wake = Arc::new(Wake::new());
            let clock = WallClock::System;
            let stop = self.stop.child_token();
            let context = Arc::new(Context::new(Parts {
                host: Host::start(
                    &client(&self.host),
                    SYSTEM,
                    ConfigScope::Cluster,
                    &wake,
                    &stop,
                ),
                members: Members::new(MembersOptions {
                    in_process: self.in_process(),
                    plugins: ExecPlugins::default(),
                    within: None,
                    clock,
                }),
                began_with: Settings::default(),
                wake,
                leadership: Leadership::never(),
                clock,
                identity: "controller",
            }));
            context.host.ready().await;
            let fleet = tokio::spawn(fleet::run(Arc::clone(&context)));
            let key = FederatedKey {
                type_name: type_name.into(),
                object: ObjectKey::new("shop", name),
            };
            let health = Arc::new(Health::new());
            MEMBERS
                .iter()
                .for_each(|name| health.answered(&(*name).into()));
            loop {
                plan_once(&context, &health, &key.object).await;
                // Nobody writes here: no Namespace is waited for.
                let members = context.members.all();
                members.values().for_each(|it| it.namespaces.let_all_go());
                if let Reading::Input(read) = plan_input(&context, &key).await
                    && read.input.observed.len() == MEMBERS.len()
                    && read
                        .input
                        .observed
                        .values()
                        .all(|seen| *seen != Observed::Unknown)
                {
                    fleet.abort();
                    return plan(&read.input);
                }
                tokio::time::sleep(Duration::from_millis(10)).await;
            }
        }

        fn in_process(&self) -> BTreeMap<ClusterName, InProcess> {
            let members = self.members.iter();
            members
                .map(|(name, member)| ((*name).into(), InProcess::new(member.router())))
                .collect()
        }

        /// What the controller would have written: the plan's own objects, as its manager.
        async fn carry_out(&self, plan: &Plan) {
            for (name, step) in &plan.steps {
                let (Action::Create(write) | Action::Apply(write)) = &step.action else {
                    continue;
                };
                let object = &write.object;
                let name_in_member = object["metadata"]["name"].as_str().expect("a name");
                let parameters = PatchParams::apply(FIELD_MANAGER).force();
                let applied = api_of(&self.members[name.as_str()], object)
                    .patch(name_in_member, &parameters, &Patch::Apply(object))
                    .await;
                applied.expect("applied");
            }
        }
    }

    impl Drop for World {
        fn drop(&mut self) {
            self.stop.cancel();
        }
    }

    async fn set_status(cluster: &Cluster, object: &Value, status: Value) {
        let name = object["metadata"]["name"].as_str().expect("a name");
        let patch = json!({"status": status});
        let patched = api_of(cluster, object)
            .patch_status(name, &PatchParams::default(), &Patch::Merge(&patch))
            .await;
        patched.expect("a status");
    }

    fn client(cluster: &Cluster) -> Client {
        Client::new(cluster.router(), "default")
    }

    fn api_of(cluster: &Cluster, object: &Value) -> Api<DynamicObject> {
        let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
        let api_version = text(&object["apiVersion"]);
        let (group, version) = api_version.rsplit_once('/').unwrap_or(("", &api_version));
        let kind = GroupVersionKind::gvk(group, version, &text(&object["kind"]));
        let resource = ApiResource::from_gvk(&kind);
        match text(&object["metadata"]["namespace"]).as_str() {
            "" => Api::all_with(client(cluster), &resource),
            namespace => Api::namespaced_with(client(cluster), namespace, &resource),
        }
    }

    fn federated(kind: &str, name: &str, spec: Value) -> Value {
        json!({"apiVersion": TYPES, "kind": kind,
        "metadata": {"name": name, "namespace": "shop"}, "spec": spec})
    }

    fn config_map(data: Value, placement: Value) -> Value {
        let spec = json!({"template": {"data": data}, "placement": placement,
        "overrides": [{"clusterName": "b",
            "clusterOverrides": [{"path": "/data/colour", "value": "green"}]}]});
        federated("FederatedConfigMap", "settings", spec)
    }

    /// `cluster verb` of every step.
    fn verbs(plan: &Plan) -> Vec<String> {
        let steps = plan.steps.iter();
        steps
            .map(|(name, step)| format!("{name} {}", step.action.verb()))
            .collect()
    }

    #[tokio::test(start_paused = true)]
    async fn what_changes_is_planned_as_the_controller_plans_it() {
        let world = World::new().await;
        let everywhere = json!({"clusterSelector": {}});
        let first = config_map(json!({"colour": "blue", "old": "1"}), everywhere);
        world.apply(&world.host, first).await;
        let made = world.controllers_plan("configmaps", "settings").await;
        world.carry_out(&made).await;
        let theirs = json!({"apiVersion": "v1", "kind": "ConfigMap",
        "metadata": {"name": "settings", "namespace": "shop"}, "data": {"colour": "grey"}});
        world.apply(&world.members["a"], theirs).await;

        // `a` was changed by somebody, `b` follows the template, `c` is left.
        let some = json!({"clusters": [{"name": "a"}, {"name": "b"}]});
        let second = config_map(json!({"colour": "blue"}), some);
        let shown = world.preview(std::slice::from_ref(&second)).await;
        let object = &shown.objects[0];
        assert_eq!(object.host, HostChange::Update);
        assert_eq!(verbs(&object.plan), ["a apply", "b apply", "c delete"]);
        let changes = |name: &str| -> Vec<String> {
            let changes = object.changes[name].iter();
            changes.map(|change| change.path.to_string()).collect()
        };
        assert_eq!(changes("a"), [".data.colour", ".data.old"]);
        assert_eq!(changes("b"), [".data.old"]);

        world.apply(&world.host, second.clone()).await;
        let planned = world.controllers_plan("configmaps", "settings").await;
        assert_eq!(object.plan, planned);
        world.carry_out(&planned).await;
        let after = &world.preview(&[second]).await.objects[0];
        assert_eq!(after.host, HostChange::None);
        assert_eq!(verbs(&after.plan), ["a nothing", "b nothing", "c delete"]);
    }

    #[tokio::test(start_paused = true)]
    async fn replicas_are_divided_as_the_controller_divides_them() {
        let world = World::new().await;
        let spec = json!({"template": {"spec": {"replicas": 1,
        "selector": {"matchLabels": {"app": "web"}},
        "template": {"metadata": {"labels": {"app": "web"}},
            "spec": {"containers": [{"name": "web", "image": "web:1"}]}}}}});
        let deployment = federated("FederatedDeployment", "web", spec);
        world.apply(&world.host, deployment.clone()).await;
        let preference = json!({"apiVersion": "scheduling.kubefed.io/v1alpha1",
        "kind": "ReplicaSchedulingPreference",
        "metadata": {"name": "web", "namespace": "shop"},
        "spec": {"targetKind": "FederatedDeployment", "totalReplicas": 7,
            "clusters": {"a": {"weight": 3}, "b": {"weight": 2}, "c": {"weight": 1}}}});

        // The preference alone: its target is on the host already.
        let shown = world.preview(std::slice::from_ref(&preference)).await;
        let object = &shown.objects[0];
        assert_eq!((object.manifest, object.host), (None, HostChange::None));
        let replicas = object.replicas.as_ref().expect("divided");
        let shares: i64 = replicas
            .status
            .clusters
            .iter()
            .map(|share| share.replicas)
            .sum();
        assert_eq!(shares, 7);

        world.apply(&world.host, preference).await;
        let planned = world.controllers_plan("deployments.apps", "web").await;
        assert_eq!(object.plan, planned);
        assert_eq!(verbs(&planned), ["a create", "b create", "c create"]);
    }

    #[tokio::test(start_paused = true)]
    async fn what_is_new_is_planned_with_its_namespace_from_the_same_files() {
        let world = World::new().await;
        let mut namespace = federated(
            "FederatedNamespace",
            "blog",
            json!({"placement":
        {"clusters": [{"name": "a"}, {"name": "b"}]}}),
        );
        let everywhere = json!({"clusterSelector": {}});
        let mut config = config_map(json!({"colour": "blue"}), everywhere);
        for object in [&mut namespace, &mut config] {
            object["metadata"]["namespace"] = json!("blog");
        }
        let shown = world.preview(&[namespace, config]).await;
        let [namespace, config] = shown.objects.as_slice() else {
            panic!("{shown:?}");
        };
        assert_eq!(verbs(&namespace.plan), ["a create", "b create"]);
        assert_eq!(verbs(&config.plan), ["a create", "b create"]);
        assert_eq!(config.host, HostChange::Create);
        let Action::Create(write) = &config.plan.steps["a"].action else {
            panic!("{:?}", config.plan);
        };
        assert_eq!(write.hash, KNOWN_AFTER_APPLY);
    }

    #[tokio::test(start_paused = true)]
    async fn a_member_that_does_not_answer_is_named_and_its_part_is_not_known() {
        let world = World::new().await;
        let hung = pocketkube::ApiState::Hung;
        world.members["b"].faults().set_api(hung);
        let everywhere = json!({"clusterSelector": {}});
        let config = config_map(json!({"colour": "blue"}), everywhere);
        let shown = world.preview(&[config]).await;
        let silent: Vec<&str> = shown.silent.keys().map(ClusterName::as_str).collect();
        assert_eq!(silent, ["b"]);
        let object = &shown.objects[0];
        assert_eq!(verbs(&object.plan), ["a create", "b hold", "c create"]);
        assert_eq!(
            object.unknown["b"],
            "it does not answer: no answer within 5 s"
        );
    }

    #[tokio::test(start_paused = true)]
    async fn somebody_elses_object_is_met_before_any_write() {
        let world = World::new().await;
        let theirs = json!({"apiVersion": "v1", "kind": "ConfigMap",
        "metadata": {"name": "settings", "namespace": "shop"}, "data": {"colour": "grey"}});
        world.apply(&world.members["a"], theirs).await;
        let everywhere = json!({"clusterSelector": {}});
        let config = config_map(json!({"colour": "blue"}), everywhere);
        let shown = world.preview(std::slice::from_ref(&config)).await;
        assert_eq!(
            verbs(&shown.objects[0].plan),
            ["a hold", "b create", "c create"]
        );
        let adopting = json!({"apiVersion": "core.kubefed.io/v1beta1", "kind": "KubeFedConfig",
        "metadata": {"name": "kubefed", "namespace": SYSTEM},
        "spec": {"syncController": {"adoptResources": "Enabled"}}});
        let shown = world.preview(&[adopting, config]).await;
        assert_eq!(
            verbs(&shown.objects[0].plan),
            ["a apply", "b create", "c create"]
        );
    }

    #[tokio::test(start_paused = true)]
    async fn what_cannot_be_planned_is_refused_and_says_what_to_do() {
        let world = World::new().await;
        let manifests = [
            json!({"apiVersion": "apps/v1", "kind": "Deployment", "metadata": {"name": "x"}}),
            json!({"apiVersion": TYPES, "kind": "FederatedConfigmap", "metadata": {"name": "x"}}),
            json!({"apiVersion": "types.kubefed.io/v1", "kind": "FederatedSecret",
            "metadata": {"name": "x"}}),
            federated(
                "FederatedSecret",
                "x",
                json!({"placement": {"cluster": []}}),
            ),
        ];
        let options = PreviewOptions {
            client: client(&world.host),
            system_namespace: SYSTEM.to_owned(),
            in_process: world.in_process(),
            plugins: ExecPlugins::default(),
            clock: WallClock::System,
            asked: Vec::new(),
        };
        let shown = preview(options, &manifests)
            .await
            .expect("the host answers");
        let said: Vec<String> = shown
            .refused
            .iter()
            .map(|it| it.error.to_string())
            .collect();
        assert_eq!(
            said,
            [
                "Deployment is not federated: put it into the spec.template of a FederatedDeployment \
             (types.kubefed.io/v1beta1), or leave it out",
                "FederatedConfigmap is not federated: did you mean FederatedConfigMap? no \
             FederatedTypeConfig is for FederatedConfigmap; meridian enable federates a type, and \
             kubectl get federatedtypeconfigs -A lists those that are",
                "apiVersion: FederatedSecret is served as types.kubefed.io/v1beta1",
                "spec.placement.cluster: unknown field, did you mean clusters? known are clusters, \
             clusterSelector",
            ]
        );
        assert!(shown.objects.is_empty());
    }

    #[tokio::test(start_paused = true)]
    async fn nothing_is_written_anywhere() {
        let world = World::new().await;
        let clusters: Vec<&Cluster> = std::iter::once(&world.host)
            .chain(world.members.values())
            .collect();
        clusters
            .iter()
            .for_each(|cluster| cluster.requests().reset());
        let everywhere = json!({"clusterSelector": {}});
        let config = config_map(json!({"colour": "blue"}), everywhere);
        let shown = world.preview(&[config]).await;
        assert_eq!(shown.objects[0].plan.steps.len(), MEMBERS.len());
        for cluster in clusters {
            let counts = cluster.requests().counts();
            assert!(!counts.is_empty() && counts.iter().all(|count| !count.kind.is_write()));
        }
    }
    #[tokio::test(start_paused = true)]
    async fn objects_of_the_host_follow_a_namespace_that_moves() {
        let world = World::new().await;
        let everywhere = json!({"clusterSelector": {}});
        let config = config_map(json!({"colour": "blue"}), everywhere);
        world.apply(&world.host, config).await;
        let made = world.controllers_plan("configmaps", "settings").await;
        world.carry_out(&made).await;

        let some = json!({"placement": {"clusters": [{"name": "a"}, {"name": "c"}]}});
        let moved = federated("FederatedNamespace", "shop", some);
        let shown = world.preview(std::slice::from_ref(&moved)).await;
        let [namespace, config] = shown.objects.as_slice() else {
            panic!("{shown:?}");
        };
        assert_eq!(namespace.manifest, Some(0));
        assert_eq!((config.manifest, config.host), (None, HostChange::None));
        assert_eq!(verbs(&config.plan), ["a nothing", "b hold", "c nothing"]);
        world.apply(&world.host, moved).await;
        let planned = world.controllers_plan("configmaps", "settings").await;
        assert_eq!(config.plan, planned);
    }
    #[tokio::test(start_paused = true)]
    async fn what_a_member_runs_that_is_away_is_taken_from_the_preferences_status() {
        let world = World::new().await;
        let spec = json!({"template": {"spec": {"template": {}}}});
        world
            .apply(&world.host, federated("FederatedDeployment", "web", spec))
            .await;
        let mut preference = json!({"apiVersion": "scheduling.kubefed.io/v1alpha1",
            "kind": "ReplicaSchedulingPreference",
            "metadata": {"name": "web", "namespace": "shop"},
            "spec": {"targetKind": "FederatedDeployment", "totalReplicas": 9}});
        world.apply(&world.host, preference.clone()).await;
        let ran = json!([{"name": "b", "replicas": 1, "reason": "it was so"}]);
        let told = json!({"observedGeneration": 1, "conditions": [], "clusters": ran});
        set_status(&world.host, &preference, told).await;
        let away = json!({"apiVersion": "core.kubefed.io/v1beta1", "kind": "KubeFedCluster",
            "metadata": {"name": "b", "namespace": SYSTEM}});
        let offline = json!({"type": "Offline", "status": "True", "reason": "ClusterNotReachable",
            "lastTransitionTime": "2026-01-01T00:00:00Z", "message": "no route"});
        set_status(&world.host, &away, json!({"conditions": [offline]})).await;

        preference["spec"]["totalReplicas"] = json!(15);
        let shown = world.preview(&[preference]).await;
        let object = &shown.objects[0];
        let replicas = object.replicas.as_ref().expect("divided");
        let shares = replicas.status.clusters.iter();
        let shares: Vec<_> = shares.map(|it| (it.name.as_str(), it.replicas)).collect();
        assert_eq!(shares, [("a", 7), ("b", 1), ("c", 7)]);
        assert_eq!(object.unknown["b"], "the member is not ready: no route");
    }

    #[tokio::test(start_paused = true)]
    async fn members_and_types_in_the_files_decide_as_those_of_the_host() {
        let world = World::new().await;
        let edge = json!({"apiVersion": "core.kubefed.io/v1beta1", "kind": "KubeFedCluster",
            "metadata": {"name": "c", "namespace": SYSTEM, "labels": {"tier": "edge"}},
            "spec": {"apiEndpoint": "https://c.invalid", "secretRef": {"name": "c"}}});
        let type_config = json!({"apiVersion": "core.kubefed.io/v1beta1",
            "kind": "FederatedTypeConfig",
            "metadata": {"name": "widgets.example.org", "namespace": SYSTEM},
            "spec": {"propagation": "Enabled",
                "targetType": {"group": "example.org", "version": "v1", "kind": "Widget",
                    "pluralName": "widgets", "scope": "Namespaced"},
                "federatedType": {"group": "types.kubefed.io", "version": "v1beta1",
                    "kind": "FederatedWidget", "pluralName": "federatedwidgets",
                    "scope": "Namespaced"}}});
        let at_the_edge = json!({"clusterSelector": {"matchLabels": {"tier": "edge"}}});
        let config = config_map(json!({"colour": "blue"}), at_the_edge.clone());
        let spec = json!({"template": {}, "placement": at_the_edge});
        let widget = federated("FederatedWidget", "wheel", spec);
        let shown = world.preview(&[edge, type_config, config, widget]).await;
        let [config, widget, followers @ ..] = shown.objects.as_slice() else {
            panic!("{shown:?}");
        };
        assert_eq!(verbs(&config.plan), ["c create"]);
        // What is on the host follows members, settings and types.
        let kinds: Vec<&str> = followers
            .iter()
            .map(|object| object.input.object.kind.as_str())
            .collect();
        assert_eq!(kinds, ["FederatedNamespace"]);
        assert_eq!(followers[0].manifest, None);
        // No member serves widgets.
        assert_eq!(verbs(&widget.plan), ["c hold"]);
        let problem = &widget.plan.report[0];
        assert_eq!(problem.kind, federation::ProblemKind::TypeNotServed);
    }
}
