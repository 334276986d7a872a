//! The only file that writes members: one step of a plan, in one member.
//!
//! # Guarantees
//! A write starts only if this process holds the Lease for longer than the write may take. Deletes
//! and releases carry uid and resourceVersion, applies over something carry its uid. What a member
//! answers is in its cache before the outcome is told.
//! # Assumptions
//! The plan is of this member's cache.
//! # Caveats
//! A write that was not answered may have been done; the watch tells.
//!
//! # Creating without overwriting
//! A server-side apply with a `resourceVersion` that no object can have creates what is not there,
//! and is refused with 409 when something is: the generic store compares versions only when it
//! updates. etcd's first revision is 1 and is the empty store's, so no object ever has version 1.

use super::Member;
use super::cache::{Cache, Change};
use super::cause;
use super::sighting::{Sighting, our_entry};
use super::takeover::{handed_over, takeover_patch};
use crate::lease::Leadership;
use api::FederatedType;
use api::key_of;
use federation::{
    Action, ClusterOutcome, Delete, DeletionBrake, FIELD_MANAGER, Failure, LABEL_MANAGED,
    ManagedLabel, MemberError, Observed, Release, Scale, Write,
};
use kube::api::{
    DeleteParams, DynamicObject, Patch, PatchParams, Preconditions, PropagationPolicy,
};
use kube::{Api, Client};
use model::{ClusterName, ObjectKey};
use serde::ser::{Serialize, SerializeMap, Serializer};
use serde_json::Value;
use std::future::Future;
use std::time::Duration;
use tokio::time::{Instant, timeout};

/// How long a member may take to answer, queueing apart.
pub(crate) const DEADLINE: Duration = Duration::from_secs(5);
/// How long a write waits for its turn among the writes to one member.
const TURN_MAX: Duration = Duration::from_secs(30);
/// A version that no object has.
const NO_VERSION: &str = "1";

/// Where a step goes.
#[derive(Clone, Copy)]
pub(crate) struct Target<'a> {
    pub(crate) member: &'a Member,
    /// What is known of the member's objects of that type.
    pub(crate) cache: &'a Cache,
    pub(crate) federated: &'a FederatedType,
    /// Namespace and name in the member.
    pub(crate) key: &'a ObjectKey,
}

/// What a request came to.
pub(crate) type Answer = Result<(), MemberError>;

/// Does one step. After a write the cache is told that our fields are exact, so that a member's
/// webhook that changes what we wrote makes no endless fight.
pub(crate) async fn apply(
    target: Target<'_>,
    action: &Action,
    leadership: &Leadership,
) -> ClusterOutcome {
    let writing = match action {
        Action::Nothing | Action::Hold | Action::Tombstone => return ClusterOutcome::Done,
        writing => writing,
    };
    let turn = timeout(TURN_MAX, target.member.turn()).await;
    let Ok(_turn) = turn else {
        return ClusterOutcome::Skipped("too many writes to the member are waiting".to_owned());
    };
    let Some(client) = target.member.requests() else {
        return ClusterOutcome::Skipped("there is no connection to the member".to_owned());
    };
    if !target.member.breaker.may_ask() {
        return ClusterOutcome::Skipped(
            "the member does not answer; it is asked rarely".to_owned(),
        );
    }
    if target.member.asked_to_wait().is_some() {
        return ClusterOutcome::Skipped(
            "the member asked to be left alone for a while (429)".to_owned(),
        );
    }
    if !leadership.may_write(DEADLINE) {
        return ClusterOutcome::Skipped("this process is not the leader".to_owned());
    }
    if let Action::Delete(delete) = writing
        && let Err(why) = count(target.member, delete, leadership).await
    {
        return ClusterOutcome::Skipped(why);
    }
    let began = Instant::now();
    let answered = match writing {
        Action::Create(write) => within(create(target, client, write)).await,
        Action::Apply(write) => within(apply_over(target, client, write)).await,
        Action::Scale(scale) => within(scale_held(target, client, scale)).await,
        Action::Delete(delete) => within(remove(target, client, delete)).await,
        Action::Release(release) => within(let_go(target, client, release)).await,
        Action::Nothing | Action::Hold | Action::Tombstone => Ok(()),
    };
    if let (Action::Delete(delete), Err(error)) = (writing, &answered)
        && !matches!(error.failure, Failure::TimedOut | Failure::Unreachable)
    {
        target.member.give_deletion_back(delete);
    }
    target.member.heard(&answered);
    if answered.is_ok() && matches!(writing, Action::Create(_) | Action::Apply(_)) {
        target.member.answered_after(began.elapsed());
    }
    match answered {
        Ok(()) => ClusterOutcome::Done,
        Err(error) => ClusterOutcome::Failed(MemberError {
            message: match error.failure {
                Failure::Forbidden => what_to_do(&target.member.name, &error.message),
                _ => error.message,
            },
            ..error
        }),
    }
}

/// Counts a deletion that goes out now, here and in the Lease: the next leader counts it too. Why it
/// may not go.
async fn count(member: &Member, delete: &Delete, leadership: &Leadership) -> Result<(), String> {
    if let DeletionBrake::Shut(why) = member.take_deletion(delete) {
        return Err(why);
    }
    let left = leadership.leave(&member.name, member.deletions()).await;
    // That took its time.
    match left && leadership.may_write(DEADLINE) {
        true => Ok(()),
        false => {
            member.give_deletion_back(delete);
            Err("the host did not take down that something is deleted".to_owned())
        }
    }
}

/// A refusal for want of a right, with how to get it; other refusals (a quota, a policy) as they are.
pub(crate) fn what_to_do(member: &ClusterName, refusal: &str) -> String {
    let lacks_right = refusal.contains("User \"") && refusal.contains(" cannot ");
    match lacks_right {
        true => format!(
            "{refusal}; if it shall, run meridian join {member} --update-rbac, which grants what is \
             federated now"
        ),
        false => refusal.to_owned(),
    }
}

/// Reads one object, whatever the cache says, and tells the cache.
pub(crate) async fn look(target: Target<'_>) -> Observed {
    let Some(client) = target.member.requests() else {
        return Observed::Unknown;
    };
    if !target.member.breaker.may_ask() {
        return Observed::Unknown;
    }
    let answered = within(refresh(target, &client)).await;
    target.member.heard(&answered);
    match answered {
        Ok(()) => match target.cache.observe(target.key) {
            // The member answered: what the cache was not told of is not there.
            Observed::Unknown => Observed::Absent,
            known => known,
        },
        Err(_) => Observed::Unknown,
    }
}

async fn within(write: impl Future<Output = Answer>) -> Answer {
    timeout(DEADLINE, write).await.unwrap_or_else(|_| {
        Err(MemberError {
            failure: Failure::TimedOut,
            message: format!("no answer within {} s", DEADLINE.as_secs()),
        })
    })
}

/// Applies an object that must not be there yet.
async fn create(target: Target<'_>, client: Client, write: &Write) -> Answer {
    let object = Preconditioned {
        object: &write.object,
        uid: None,
        version: Some(NO_VERSION),
    };
    let parameters = applying();
    match send_apply(target, &client, &parameters, &object).await {
        Err(error) if error.failure == Failure::Conflict => {
            // Somebody was first: what is there decides what is planned next.
            refresh(target, &client).await?;
            Err(MemberError {
                failure: Failure::AlreadyExists,
                message: "an object of that name is there already".to_owned(),
            })
        }
        answer => answer,
    }
}

/// Applies over the object that was seen, with force.
async fn apply_over(target: Target<'_>, client: Client, write: &Write) -> Answer {
    let mut version = write.precondition.resource_version.clone();
    if !write.takeover.is_empty() {
        version = Some(take_over(target, &client, write).await?);
    }
    let object = Preconditioned {
        object: &write.object,
        uid: write.precondition.uid.as_deref(),
        version: version.as_deref(),
    };
    let parameters = applying().force();
    let answer = send_apply(target, &client, &parameters, &object).await;
    stale_is_read_again(target, &client, answer).await
}

/// Applies what we applied before with other replicas, over the very version that was read.
async fn scale_held(target: Target<'_>, client: Client, scale: &Scale) -> Answer {
    let refused = |error: kube::Error| refused(target.federated, &error);
    let live = api(target, &client)
        .get(&target.key.name)
        .await
        .map_err(refused)?;
    let (uid, version) = (&live.metadata.uid, &live.metadata.resource_version);
    if uid.as_deref() != Some(scale.uid.as_str()) {
        tell(target, &live);
        return Err(conflict("another object has its name now"));
    }
    let entries = live.metadata.managed_fields.as_deref().unwrap_or_default();
    let Some(fields) = our_entry(entries).and_then(|entry| entry.fields_v1.clone()) else {
        tell(target, &live);
        return Err(conflict("none of its fields are ours any more"));
    };
    let whole = serde_json::to_value(&live).unwrap_or_default();
    let object = scale.object(&fields.0, &whole);
    let object = Preconditioned {
        object: &object,
        uid: uid.as_deref(),
        version: version.as_deref(),
    };
    let answer = send_apply(target, &client, &applying().force(), &object).await;
    stale_is_read_again(target, &client, answer).await
}

/// Makes old managers' Update entries ours; the version that this gave the object.
async fn take_over(
    target: Target<'_>,
    client: &Client,
    write: &Write,
) -> Result<String, MemberError> {
    let api = api(target, client);
    let name = &target.key.name;
    let refused = |error: kube::Error| refused(target.federated, &error);
    let live = api.get(name).await.map_err(refused)?;
    let wanted = write.precondition.resource_version.as_deref();
    if wanted.is_some_and(|wanted| live.metadata.resource_version.as_deref() != Some(wanted)) {
        refresh(target, client).await?;
        return Err(conflict("the object has changed since it was planned"));
    }
    let entries = live.metadata.managed_fields.as_deref().unwrap_or_default();
    let entries = handed_over(entries, &write.takeover);
    let version = live.metadata.resource_version.clone().unwrap_or_default();
    let patch = Patch::Json::<()>(takeover_patch(&entries, &version));
    let patched = api
        .patch(name, &PatchParams::default(), &patch)
        .await
        .map_err(refused)?;
    Ok(patched.metadata.resource_version.unwrap_or_default())
}

async fn remove(target: Target<'_>, client: Client, delete: &Delete) -> Answer {
    let mut parameters = delete_parameters(delete.options.as_ref())?;
    parameters.preconditions = Some(Preconditions {
        uid: Some(delete.uid.clone()),
        resource_version: Some(delete.resource_version.clone()),
    });
    let deleted = api(target, &client)
        .delete(&target.key.name, &parameters)
        .await;
    let answer = match deleted {
        // The object, still there with a deletionTimestamp, or a Status: it is gone.
        Ok(either) => {
            match either.left() {
                Some(object) => tell(target, &object),
                None => drop(target.cache.remove(target.key, 0)),
            }
            Ok(())
        }
        Err(error) => match refused(target.federated, &error) {
            gone if gone.failure == Failure::NotFound => {
                target.cache.remove(target.key, 0);
                Ok(())
            }
            error => Err(error),
        },
    };
    stale_is_read_again(target, &client, answer).await
}

/// The user's DeleteOptions. Preconditions are ours.
fn delete_parameters(options: Option<&Value>) -> Result<DeleteParams, MemberError> {
    let Some(options) = options else {
        return Ok(DeleteParams::default());
    };
    let policy = match options["propagationPolicy"].as_str() {
        None => None,
        Some("Background") => Some(PropagationPolicy::Background),
        Some("Foreground") => Some(PropagationPolicy::Foreground),
        Some("Orphan") => Some(PropagationPolicy::Orphan),
        Some(other) => {
            return Err(MemberError {
                failure: Failure::Rejected,
                message: format!(
                    "propagationPolicy {other:?} of the annotation kubefed.io/deleteoption is not \
                     Background, Foreground or Orphan"
                ),
            });
        }
    };
    let grace = options["gracePeriodSeconds"].as_u64();
    Ok(DeleteParams {
        propagation_policy: policy,
        grace_period_seconds: grace.and_then(|grace| u32::try_from(grace).ok()),
        ..DeleteParams::default()
    })
}

/// Takes our marks off; the patch carries its own preconditions.
async fn let_go(target: Target<'_>, client: Client, release: &Release) -> Answer {
    let parameters = PatchParams {
        field_manager: Some(FIELD_MANAGER.to_owned()),
        ..PatchParams::default()
    };
    let patch = Patch::Merge(&release.patch);
    let patched = api(target, &client)
        .patch(&target.key.name, &parameters, &patch)
        .await;
    let answer = match patched {
        Ok(object) => {
            tell(target, &object);
            Ok(())
        }
        Err(error) => match refused(target.federated, &error) {
            gone if gone.failure == Failure::NotFound => {
                target.cache.remove(target.key, 0);
                Ok(())
            }
            error => Err(error),
        },
    };
    stale_is_read_again(target, &client, answer).await
}

/// An apply refuses unknown fields by itself. Looking for doubled ones would make the API server read
/// each body twice, and what was rendered has none.
fn applying() -> PatchParams {
    PatchParams::apply(FIELD_MANAGER).validation_ignore()
}

async fn send_apply(
    target: Target<'_>,
    client: &Client,
    parameters: &PatchParams,
    object: &Preconditioned<'_>,
) -> Answer {
    let api = api(target, client);
    match api
        .patch(&target.key.name, parameters, &Patch::Apply(object))
        .await
    {
        Ok(object) => {
            tell_as(target, &object, Cache::take_answer);
            Ok(())
        }
        Err(error) => Err(refused(target.federated, &error)),
    }
}

/// After a conflict the cache is behind: it is told what is there, so that the next plan is not.
async fn stale_is_read_again(target: Target<'_>, client: &Client, answer: Answer) -> Answer {
    if matches!(&answer, Err(error) if error.failure == Failure::Conflict) {
        refresh(target, client).await?;
    }
    answer
}

async fn refresh(target: Target<'_>, client: &Client) -> Answer {
    match api(target, client).get_opt(&target.key.name).await {
        Ok(Some(object)) => tell(target, &object),
        Ok(None) => drop(target.cache.remove(target.key, 0)),
        Err(error) => return Err(refused(target.federated, &error)),
    }
    Ok(())
}

fn tell(target: Target<'_>, object: &DynamicObject) {
    tell_as(target, object, Cache::take);
}

fn tell_as(
    target: Target<'_>,
    object: &DynamicObject,
    take: fn(&Cache, &ObjectKey, Sighting) -> Change,
) {
    let sighting = Sighting::of(&object.metadata, Some(&object.data));
    let labels = object.metadata.labels.as_ref();
    let label = labels
        .and_then(|labels| labels.get(LABEL_MANAGED))
        .map(String::as_str);
    let key = key_of(&object.metadata);
    match ManagedLabel::from_value(label) {
        ManagedLabel::True => drop(take(target.cache, &key, sighting)),
        ManagedLabel::False | ManagedLabel::Absent => target.cache.meet(&key, sighting),
    }
}

/// An object with what must still be so in its metadata.
struct Preconditioned<'a> {
    object: &'a Value,
    uid: Option<&'a str>,
    version: Option<&'a str>,
}

/// Never the object's values: it may be a Secret.
impl std::fmt::Debug for Preconditioned<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Preconditioned")
            .field("uid", &self.uid)
            .field("version", &self.version)
            .finish_non_exhaustive()
    }
}

impl Serialize for Preconditioned<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let fields = self.object.as_object().into_iter().flatten();
        let mut map = serializer.serialize_map(None)?;
        for (name, value) in fields.filter(|(name, _)| *name != "metadata") {
            map.serialize_entry(name, value)?;
        }
        map.serialize_entry("metadata", &PreconditionedMetadata(self))?;
        map.end()
    }
}

struct PreconditionedMetadata<'a>(&'a Preconditioned<'a>);

impl Serialize for PreconditionedMetadata<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let Preconditioned {
            object,
            uid,
            version,
        } = self.0;
        let ours = [("uid", *uid), ("resourceVersion", *version)];
        let is_ours = |name: &str| {
            ours.iter()
                .any(|(our, value)| *our == name && value.is_some())
        };
        let fields = object["metadata"].as_object().into_iter().flatten();
        let mut map = serializer.serialize_map(None)?;
        for (name, value) in fields.filter(|(name, _)| !is_ours(name)) {
            map.serialize_entry(name, value)?;
        }
        for (name, value) in ours {
            if let Some(value) = value {
                map.serialize_entry(name, value)?;
            }
        }
        map.end()
    }
}

fn api(target: Target<'_>, client: &Client) -> Api<DynamicObject> {
    let resource = &target.federated.target;
    match target.federated.target_namespaced {
        true => Api::namespaced_with(client.clone(), &target.key.namespace, resource),
        false => Api::all_with(client.clone(), resource),
    }
}

fn conflict(message: &str) -> MemberError {
    MemberError {
        failure: Failure::Conflict,
        message: message.to_owned(),
    }
}

/// What a member said, in our kinds.
fn refused(federated: &FederatedType, error: &kube::Error) -> MemberError {
    let kube::Error::Api(status) = error else {
        return MemberError {
            failure: Failure::Unreachable,
            message: cause(error),
        };
    };
    let failure = match status.code {
        400 | 413 | 422 => Failure::Rejected,
        401 | 403 => Failure::Forbidden,
        404 => Failure::NotFound,
        409 => Failure::Conflict,
        504 => Failure::TimedOut,
        _ => Failure::Throttled,
    };
    // A refusal may quote what it refuses; of a Secret only the fields are told.
    let is_secret = federated.target.group.is_empty() && federated.target.kind == "Secret";
    let message = match is_secret {
        false => status.message.clone(),
        true => {
            let causes = status.details.iter().flat_map(|details| &details.causes);
            let fields: Vec<&str> = causes.map(|cause| cause.field.as_str()).collect();
            format!("{} {}", status.reason, fields.join(", "))
        }
    };
    MemberError { failure, message }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn what_must_still_be_so_is_sent_in_the_metadata_and_nothing_else_changes() {
        let object = json!({"kind": "Note", "metadata": {"name": "a", "uid": "of before"},
            "data": {"metadata": {"uid": "not one"}}});
        let sent = |object: &Value, uid, version| {
            let sent = Preconditioned {
                object,
                uid,
                version,
            };
            serde_json::to_value(sent).unwrap()
        };
        let mut wanted = object.clone();
        assert_eq!(sent(&object, None, None), wanted);
        wanted["metadata"]["uid"] = json!("u");
        assert_eq!(sent(&object, Some("u"), None), wanted);
        wanted["metadata"]["resourceVersion"] = json!("7");
        assert_eq!(sent(&object, Some("u"), Some("7")), wanted);
        let bare = json!({"kind": "Note"});
        assert_eq!(
            sent(&bare, None, Some("1")),
            json!({"kind": "Note", "metadata": {"resourceVersion": "1"}})
        );
    }
}
