//! The plans that some manifests would have: the host is read once, the manifests are laid over
//! what it holds, the members are asked once, and the controller's own rooms do the rest.
//!
//! # Guarantees
//! Nothing is written: this process never stands for election, and every write asks the Lease. The
//! input of a plan is put together by the function that the controller uses, from caches of the
//! same shape, so the plan is the one that the controller would apply.
//! # Assumptions
//! A manifest's `spec` replaces the live one; of labels and annotations, those that the manifest
//! no longer names go where kubectl had applied them.
//! # Caveats
//! It is a look at one moment. What the leader alone remembers is not known here: since when a
//! member's API is down, and how many objects were deleted lately. A phase of a failover is taken
//! from the preference's status.

mod claim;
mod host;
#[cfg(test)]
mod tests;

use crate::Error;
use crate::clock::WallClock;
use crate::cluster_health::Health;
use crate::context::{Context, Parts};
use crate::host::{Host, TypeCache};
use crate::lease::Leadership;
use crate::members::connect::InProcess;
use crate::members::still::{self, Answers, Questions};
use crate::members::{Member, Members};
use crate::read::{Reading, plan_input};
use crate::replica_preference::{PlannedPreference, plan_once};
use crate::type_configs;
use crate::wake::{FederatedKey, Wake, target_key};
use claim::{Claim, Claims};
use federation::{
    ANNOTATION_APPLIED_HASH, Action, FIELD_MANAGER, FieldChange, Observed, Plan, PlanInput,
    Readiness, diff, plan,
};
use futures::{FutureExt, StreamExt, stream};
use kube::api::DynamicObject;
use kube::{Client, ResourceExt};
use model::ClusterName;
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
    /// Where wall time comes from.
    pub clock: WallClock,
}

/// What would become of some manifests.
#[derive(Debug, Default)]
pub struct Preview {
    /// Federated objects in the order of the manifests, then those that a preference concerns.
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
    /// What happens to the federated object itself.
    pub host: HostChange,
    /// What the plan was made from.
    pub input: PlanInput,
    /// What the controller would do.
    pub plan: Plan,
    /// The fields that applies would change, as far as they may be shown.
    pub changes: BTreeMap<ClusterName, Vec<FieldChange>>,
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
    let context = context(options, manifests, &mut preview).boxed().await?;
    let types = type_configs::wanted(&context);
    let mut claims = Claims::of(&context, &types, manifests, &mut preview);
    let held = host::read_objects(&context, &types, &mut claims)
        .boxed()
        .await?;
    claims.tell(&mut preview.notes);
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

/// The host as it would be, and members that are connected and not watched.
async fn context(
    options: PreviewOptions,
    manifests: &[Value],
    preview: &mut Preview,
) -> Result<Arc<Context>, Error> {
    let (client, namespace) = (&options.client, &options.system_namespace);
    let mut seen = host::read(client, namespace).await?;
    host::lay_over(&mut seen, namespace, manifests, preview);
    let wake = Arc::new(Wake::new());
    let context = Arc::new(Context::new(Parts {
        host: Host::still(client, namespace, seen.objects),
        members: Members::new(options.in_process, options.clock),
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
    context
        .members
        .update(&with_secrets, &no_lanes, &wake)
        .await;
    Ok(context)
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
        .filter(|cluster| crate::read::standing(cluster).readiness == Readiness::Ready)
        .filter_map(|cluster| context.members.get(&cluster.name_any().into()))
        .collect();
    let asked = stream::iter(ready).map(|member| {
        let questions = &questions;
        async move { (member.name.clone(), still::ask(&member, questions).await) }
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
        host: claim.change,
        changes: known.changes(),
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
            let hash = &mut write.object["metadata"]["annotations"][ANNOTATION_APPLIED_HASH];
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
            let (Action::Create(write) | Action::Apply(write)) = &step.action else {
                return None;
            };
            let live = self.live(name);
            let whole = live.and_then(|live| serde_json::to_value(live).ok());
            let owned = live.and_then(owned_fields);
            let target = &self.input.target;
            let changes = diff(target, whole.as_ref(), owned, &write.object);
            Some((name.clone(), changes))
        });
        changes.collect()
    }

    fn live(&self, cluster: &ClusterName) -> Option<&DynamicObject> {
        let name = Arc::clone(&self.claim.named.name);
        let objects = &self.answers.get(cluster)?.objects;
        objects.get(&(name, self.input.target.key.clone()))
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
