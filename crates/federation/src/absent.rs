//! A member that shall not hold the object: it left the placement, or the object is deleted.
//!
//! Absence is never by itself a reason to delete: only an object whose origin names this host and
//! this very federated object goes.

use crate::{
    confirmation::Confirmation,
    input::{DeletionBrake, PlanInput, Readiness, TypeServed},
    live::{Live, ManagedLabel, Observed},
    names::{
        ANNOTATION_ADOPTED, ANNOTATION_APPLIED_HASH, ANNOTATION_DELETE_OPTIONS, ANNOTATION_ORIGIN,
        ANNOTATION_ORPHAN, LABEL_MANAGED,
    },
    place::place,
    plan::{Member, Verdict},
    status::PropagationStatus,
    step::{Action, Delete, Owed, Problem, ProblemKind, Release, TombstoneEntry},
};
use serde_json::{Value, json};

/// When to look again whether the objects of a type have left, in seconds.
const LOOK_AGAIN_SECS: u64 = 2;

/// Why the object shall not be there.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Cause {
    /// The placement does not choose the member.
    Placement,
    /// The placement does, but the namespace's does not.
    Namespace,
    /// The federated object is deleted.
    Deleted,
    /// The same, but how to delete could not be read.
    DeletedWithoutOptions,
}

pub(crate) fn step(member: Member<'_>, cause: Cause, options: Option<&Value>) -> Verdict {
    let away = match (&member.facts.readiness, member.observed) {
        (Readiness::NotReady(why), _) => Some(format!("the member is not ready: {why}")),
        (Readiness::Unknown, _) => Some("the member has not been probed yet".to_owned()),
        (Readiness::Ready, Observed::Unknown) => Some(match &member.facts.serves_type {
            TypeServed::Denied(why) => why.clone(),
            _ => "what the member holds is not known yet".to_owned(),
        }),
        (Readiness::Ready, _) => None,
    };
    if let Some(away) = away {
        return owed(member, cause, options, &away);
    }
    match member.observed {
        Observed::Present(live) if is_this_objects(member.input, live) => {
            remove(member, live, cause, options)
        }
        _ => Verdict::default(),
    }
}

/// The user's DeleteOptions, from the annotation that KubeFed reads.
pub(crate) fn delete_options(input: &PlanInput) -> Result<Option<Value>, Problem> {
    let Some(text) = input.object.annotations.get(ANNOTATION_DELETE_OPTIONS) else {
        return Ok(None);
    };
    match serde_json::from_str::<Value>(text) {
        Ok(options) if options.is_object() => Ok(Some(options)),
        _ => Err(Problem {
            cluster: None,
            kind: ProblemKind::InvalidDeleteOptions,
            message: format!(
                "the annotation {ANNOTATION_DELETE_OPTIONS} is not DeleteOptions as JSON, such \
                 as {{\"propagationPolicy\":\"Foreground\"}}: mend it, or take it away"
            ),
        }),
    }
}

/// The merge patch that takes our marks off an object and leaves everything else.
#[must_use]
pub fn release_patch(uid: &str, resource_version: &str) -> Value {
    json!({"metadata": {
        "uid": uid,
        "resourceVersion": resource_version,
        "labels": {LABEL_MANAGED: null},
        "annotations": {
            ANNOTATION_ORIGIN: null,
            ANNOTATION_APPLIED_HASH: null,
            ANNOTATION_ADOPTED: null,
        },
    }})
}

fn is_this_objects(input: &PlanInput, live: &Live) -> bool {
    live.managed != ManagedLabel::False
        && live
            .origin
            .as_ref()
            .is_some_and(|origin| input.host.owns(origin) && origin.object == input.object.uid)
}

/// A member that cannot be asked: a deletion waits for the grace and is then owed to it.
fn owed(member: Member<'_>, cause: Cause, options: Option<&Value>, away: &str) -> Verdict {
    let input = member.input;
    let status = PropagationStatus::WaitingForRemoval;
    let may_hold = input.recorded.contains(member.name)
        || (input.object.deleted_for_secs.is_some()
            && place(input).clusters[member.name].is_chosen());
    if !may_hold {
        return Verdict::default();
    }
    let Some(deleted_for) = input.object.deleted_for_secs else {
        return Verdict::hold(
            status,
            format!("{away}; it is removed when the member is back"),
        );
    };
    let grace = input.options.deletion_grace_secs;
    if deleted_for < grace || cause == Cause::DeletedWithoutOptions {
        return Verdict {
            again_in_secs: grace.checked_sub(deleted_for).filter(|secs| *secs > 0),
            ..Verdict::hold(status, format!("{away}; waiting for it up to {grace} s"))
        };
    }
    Verdict {
        tombstone: Some(tombstone(member, options)),
        ..Verdict::act(
            Action::Tombstone,
            status,
            format!("{away}; the deletion is made good when the member is back"),
        )
    }
}

fn tombstone(member: Member<'_>, options: Option<&Value>) -> TombstoneEntry {
    let target = member.input.target.clone();
    TombstoneEntry {
        cluster: member.name.clone(),
        group: target.group,
        version: target.version,
        kind: target.kind,
        plural: target.plural,
        key: target.key,
        origin_object: member.input.object.uid.clone(),
        owed: if is_orphaned(member.input) {
            Owed::Release
        } else {
            Owed::Delete
        },
        options: options.cloned(),
    }
}

/// Whether the deletion of the federated object leaves members as they are.
fn is_orphaned(input: &PlanInput) -> bool {
    let object = &input.object;
    let says_so = object.annotations.get(ANNOTATION_ORPHAN);
    object.deleted_for_secs.is_some()
        && (object.kind_goes || says_so.is_some_and(|orphan| orphan == "true"))
}

fn remove(member: Member<'_>, live: &Live, cause: Cause, options: Option<&Value>) -> Verdict {
    let input = member.input;
    let waiting = PropagationStatus::WaitingForRemoval;
    if live.deleting {
        return Verdict::hold(waiting, "the member is deleting it".to_owned());
    }
    if member.facts.paused {
        return Verdict::hold(
            waiting,
            "the member is paused (spec.paused of its KubeFedCluster)".to_owned(),
        );
    }
    if cause == Cause::Namespace && !is_confirmed(member, cause) {
        // The Namespace itself is kept until then, for the sake of what is in it.
        return member.stuck(
            ProblemKind::NamespaceLeft,
            waiting,
            format!(
                "the FederatedNamespace {0} is no longer placed there; if what is in it shall go, \
                 run meridian confirm federatednamespaces {0} -n {0}",
                input.target.key.namespace
            ),
        );
    }
    let hosts_own = member.facts.is_host && input.target.is_precious();
    if live.adopted || hosts_own || is_orphaned(input) {
        return release(live, "it stays, without our marks");
    }
    if cause == Cause::DeletedWithoutOptions {
        return Verdict::hold(
            PropagationStatus::DeletionFailed,
            format!("the annotation {ANNOTATION_DELETE_OPTIONS} cannot be read"),
        );
    }
    if let Some(why) = braked(member, cause) {
        return member.stuck(
            ProblemKind::DeletionBraked,
            waiting,
            format!("{why}; if it shall go, run meridian confirm"),
        );
    }
    if let Some(waits) = waits_for_others(member, cause) {
        return waits;
    }
    let reason = match cause {
        Cause::Placement => "it left the placement",
        Cause::Namespace => "its namespace left the cluster",
        Cause::Deleted | Cause::DeletedWithoutOptions => "the federated object is deleted",
    };
    Verdict::act(
        Action::Delete(Delete {
            uid: live.uid.clone(),
            resource_version: live.resource_version.clone(),
            options: options.cloned(),
            confirmed: is_confirmed(member, cause),
        }),
        waiting,
        reason.to_owned(),
    )
}

/// What has to leave before it may: replicas of a Namespace that others take over, and the objects
/// of a type before its definition.
fn waits_for_others(member: Member<'_>, cause: Cause) -> Option<Verdict> {
    let who = member.input.occupied.get(member.name)?.clone();
    let waiting = PropagationStatus::WaitingForRemoval;
    if !member.input.target.is_definition() {
        return (cause == Cause::Placement).then(|| Verdict::hold(waiting, who));
    }
    (!is_confirmed(member, cause)).then(|| Verdict {
        again_in_secs: Some(LOOK_AGAIN_SECS),
        ..Verdict::hold(
            waiting,
            format!("{who}; if they shall go with it, run meridian confirm"),
        )
    })
}

fn release(live: &Live, reason: &str) -> Verdict {
    Verdict::act(
        Action::Release(Release {
            uid: live.uid.clone(),
            resource_version: live.resource_version.clone(),
            patch: release_patch(&live.uid, &live.resource_version),
        }),
        PropagationStatus::Ok,
        reason.to_owned(),
    )
}

/// Why a deletion is stopped, unless somebody confirmed it.
fn braked(member: Member<'_>, cause: Cause) -> Option<String> {
    if is_confirmed(member, cause) {
        return None;
    }
    let target = &member.input.target;
    if cause == Cause::Placement && target.is_precious() {
        return Some(format!(
            "a {} is not deleted because a placement or a label changed",
            target.kind
        ));
    }
    match member.input.brake.get(member.name) {
        Some(DeletionBrake::Shut(why)) => Some(why.clone()),
        _ => None,
    }
}

/// Whether somebody confirmed it, of the object itself or of the namespace that it is in.
fn is_confirmed(member: Member<'_>, cause: Cause) -> bool {
    let object = &member.input.object;
    Confirmation::of(&object.annotations, object.generation).covers(member.name)
        || (cause == Cause::Namespace && member.input.namespace_confirmed.covers(member.name))
}
