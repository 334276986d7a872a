//! A member that shall hold the object.
//!
//! | there | mark | what happens |
//! |---|---|---|
//! | nothing | | Create, once its Namespace is there |
//! | an object | label `managed: "false"` | Hold, `ManagedLabelFalse` |
//! | | being deleted | Hold until it is gone |
//! | | origin of another host | Hold, `AlreadyExists`, under adoption too |
//! | | no origin, adoption disabled | Hold, `AlreadyExists` |
//! | | no origin, adoption enabled | Apply, marked as adopted |
//! | | origin of this host | Apply, or Nothing when hash and ownership say so |

use crate::{
    error::RenderError,
    input::{Adoption, DividedReplicas, Readiness, TypeServed},
    live::{Live, ManagedLabel, Observed, OwnedFields},
    ownership::{ownership_difference, took},
    path::FieldPath,
    plan::{Member, Verdict},
    render::{Provenance, Rendered, ReplicasRule, is_same_object},
    status::PropagationStatus,
    step::{Action, Precondition, ProblemKind, Write},
};
use serde_json::Value;
use std::collections::BTreeSet;

/// How many differing fields a reason names.
const NAMED_MAX: usize = 8;

pub(crate) fn step(member: Member<'_>) -> Verdict {
    if let Some(hold) = unavailable(member) {
        return hold;
    }
    match member.observed {
        Observed::Unknown => Verdict::hold(
            PropagationStatus::CachedRetrievalFailed,
            "what the member holds is not known yet".to_owned(),
        ),
        Observed::Absent => create(member),
        Observed::Present(live) => over(member, live),
    }
}

/// What keeps a member from being written at all.
fn unavailable(member: Member<'_>) -> Option<Verdict> {
    let not_ready = |why: &str| {
        member.stuck(
            ProblemKind::ClusterNotReady,
            PropagationStatus::ClusterNotReady,
            format!("the member is not ready: {why}"),
        )
    };
    match &member.facts.readiness {
        Readiness::NotReady(why) => return Some(not_ready(why)),
        Readiness::Unknown => return Some(not_ready("it has not been probed yet")),
        Readiness::Ready => {}
    }
    if member.facts.paused {
        return Some(Verdict::hold(
            PropagationStatus::ClusterNotReady,
            "the member is paused (spec.paused of its KubeFedCluster)".to_owned(),
        ));
    }
    let target = &member.input.target;
    let failed = PropagationStatus::RetrievalFailed;
    match &member.facts.serves_type {
        TypeServed::Yes => None,
        TypeServed::Denied(why) => {
            Some(member.stuck(ProblemKind::AccessDenied, failed, why.clone()))
        }
        TypeServed::No => Some(member.stuck(
            ProblemKind::TypeNotServed,
            failed,
            format!(
                "the member does not serve {} {}: install it there, or place the object elsewhere",
                target.api_version(),
                target.kind
            ),
        )),
    }
}

fn create(member: Member<'_>) -> Verdict {
    if member.input.namespace_awaited.contains(member.name) {
        return Verdict::hold(
            PropagationStatus::CreationFailed,
            "its Namespace is not there yet".to_owned(),
        );
    }
    let rule = match divided(member) {
        Some(DividedReplicas::Set(replicas)) => ReplicasRule::Set(replicas),
        Some(DividedReplicas::Keep | DividedReplicas::Lost) => ReplicasRule::Set(0),
        None => ReplicasRule::AsIs,
    };
    match member.rendered(rule, Provenance::Ours) {
        Err(error) => unrendered(member, &error),
        Ok(rendered) => Verdict::act(
            Action::Create(Box::new(write(rendered, Precondition::default()))),
            PropagationStatus::Ok,
            "it is not there".to_owned(),
        ),
    }
}

/// What a live object is to us.
enum Standing {
    /// Made, or taken over earlier, for this federated object or an earlier one of its name.
    Ours,
    /// To be taken over now.
    Adopt,
    /// Not to be touched, and why.
    Foreign(String),
}

fn standing(member: Member<'_>, live: &Live) -> Standing {
    let input = member.input;
    let hosts_own = member.facts.is_host && input.target.is_precious();
    match &live.origin {
        Some(origin) if input.host.owns(origin) => Standing::Ours,
        Some(origin) => Standing::Foreign(format!(
            "an object of that name belongs to the host {}: delete it there, or run \
             meridian adopt-host --from {}",
            origin.host, origin.host
        )),
        None if hosts_own || input.options.adoption == Adoption::Enabled => Standing::Adopt,
        None => Standing::Foreign(
            "an object of that name is there already: delete it, or enable adoptResources in \
             KubeFedConfig"
                .to_owned(),
        ),
    }
}

fn over(member: Member<'_>, live: &Live) -> Verdict {
    if live.managed == ManagedLabel::False {
        return member.stuck(
            ProblemKind::ManagedLabelFalse,
            PropagationStatus::ManagedLabelFalse,
            "the member's object has the label kubefed.io/managed=false and is left alone"
                .to_owned(),
        );
    }
    if live.deleting {
        return Verdict::hold(
            PropagationStatus::WaitingForRemoval,
            "the member is deleting it; it is made anew when it is gone".to_owned(),
        );
    }
    let standing = standing(member, live);
    let provenance = match &standing {
        Standing::Foreign(why) => {
            return member.stuck(
                ProblemKind::AlreadyExists,
                PropagationStatus::AlreadyExists,
                why.clone(),
            );
        }
        // What KubeFed left with its label, KubeFed had made.
        Standing::Adopt if live.managed == ManagedLabel::True => Provenance::Ours,
        Standing::Adopt => Provenance::Adopted,
        Standing::Ours if live.adopted => Provenance::Adopted,
        Standing::Ours => Provenance::Ours,
    };
    let (rule, pinned) = match replicas_over(member, live) {
        Ok(rule) => rule,
        Err(hold) => return *hold,
    };
    let rendered = match member.rendered(rule, provenance) {
        Err(error) => return unrendered(member, &error),
        Ok(rendered) => rendered,
    };
    let Some(reason) = why_apply(live, &rendered, &standing) else {
        return Verdict::act(
            Action::Nothing,
            PropagationStatus::Ok,
            "the member holds what was rendered".to_owned(),
        );
    };
    let adopting = matches!(standing, Standing::Adopt);
    let takeover = match live.owned {
        OwnedFields::None => live.legacy_managers.clone(),
        _ => Vec::new(),
    };
    let pinned = pinned || adopting || !takeover.is_empty();
    let mut write = write(
        rendered,
        Precondition {
            uid: Some(live.uid.clone()),
            resource_version: pinned.then(|| live.resource_version.clone()),
        },
    );
    write.takeover = takeover;
    Verdict::act(
        Action::Apply(Box::new(write)),
        PropagationStatus::Ok,
        reason,
    )
}

/// What to do with the replicas of an object that is there, and whether that depends on the very
/// version that was read.
///
/// Where they are retained, another manager's are left out, so that they are never reset; otherwise
/// the live value is sent under its resourceVersion, so that a stale read conflicts. What the API
/// server set because nobody said anything is left to it while we say nothing either.
fn replicas_over(member: Member<'_>, live: &Live) -> Result<(ReplicasRule, bool), Box<Verdict>> {
    let divided = divided(member);
    let keeps = matches!(divided, Some(DividedReplicas::Keep | DividedReplicas::Lost));
    if !member.input.options.retain_replicas && !keeps {
        return Ok(match divided {
            Some(DividedReplicas::Set(replicas)) => (ReplicasRule::Set(replicas), false),
            _ => (ReplicasRule::AsIs, false),
        });
    }
    match &live.replicas {
        Some(replicas) if replicas.other_owner.is_some() => Ok((ReplicasRule::LeaveOut, false)),
        Some(replicas) if replicas.unowned && !keeps && !asks_for_replicas(member) => {
            Ok((ReplicasRule::AsIs, false))
        }
        Some(replicas) => Ok((ReplicasRule::Set(replicas.value), true)),
        None => Err(Box::new(Verdict::hold(
            PropagationStatus::FieldRetentionFailed,
            "the replicas that the member runs are not known yet".to_owned(),
        ))),
    }
}

/// Whether template and overrides say how many replicas there shall be.
fn asks_for_replicas(member: Member<'_>) -> bool {
    let rendered = member.rendered(ReplicasRule::AsIs, Provenance::Ours);
    rendered.is_ok_and(|it| !it.object["spec"]["replicas"].is_null())
}

fn divided(member: Member<'_>) -> Option<DividedReplicas> {
    member.input.division.as_ref()?.get(member.name).copied()
}

/// Why the member has to be written; `None` when it holds exactly what was rendered.
fn why_apply(live: &Live, rendered: &Rendered, standing: &Standing) -> Option<String> {
    if matches!(standing, Standing::Adopt) {
        return Some("it was there before and is taken over".to_owned());
    }
    let same = |hash: &str| is_same_object(hash, &rendered.hash);
    if !live.applied_hash.as_deref().is_some_and(same) {
        return Some("what is rendered has changed".to_owned());
    }
    match &live.owned {
        OwnedFields::Exact { rendered_hash } if same(rendered_hash) => None,
        OwnedFields::Exact { .. } => Some("what is rendered has changed".to_owned()),
        OwnedFields::None => Some("the member no longer knows its fields as ours".to_owned()),
        OwnedFields::Entry { api_version, .. }
            if rendered.object["apiVersion"] != api_version.as_str() =>
        {
            Some(format!("its fields are ours in version {api_version} only"))
        }
        OwnedFields::Entry { fields, .. } => {
            let difference = ownership_difference(fields, &rendered.object);
            match (difference.lost.is_empty(), difference.surplus.is_empty()) {
                (true, true) => None,
                (false, _) => Some(format!(
                    "{} changed {}",
                    who(live, fields, &rendered.object),
                    words(&difference.lost)
                )),
                (true, false) => Some(format!(
                    "no longer in the template: {}",
                    words(&difference.surplus)
                )),
            }
        }
    }
}

/// Who holds what we lost, by the names of their field managers. Who only takes a field away holds
/// nothing.
fn who(live: &Live, ours: &Value, rendered: &Value) -> String {
    let others = live.others.iter();
    let took = others.filter(|other| took(ours, &other.fields, rendered));
    let names: BTreeSet<String> = took.map(|other| format!("{:?}", other.manager)).collect();
    match names.len() {
        0 => "somebody".to_owned(),
        1 => names.into_iter().collect(),
        _ => names.into_iter().collect::<Vec<_>>().join(" and "),
    }
}

/// The first few paths, and how many more there are.
fn words(paths: &[FieldPath]) -> String {
    let mut named: Vec<String> = paths
        .iter()
        .take(NAMED_MAX)
        .map(ToString::to_string)
        .collect();
    if let Some(more) = paths.len().checked_sub(NAMED_MAX).filter(|more| *more > 0) {
        named.push(format!("and {more} more"));
    }
    named.join(", ")
}

fn write(rendered: Rendered, precondition: Precondition) -> Write {
    Write {
        object: rendered.object,
        hash: rendered.hash,
        precondition,
        takeover: Vec::new(),
    }
}

fn unrendered(member: Member<'_>, error: &RenderError) -> Verdict {
    let (kind, status) = match error {
        RenderError::Template { .. } => (
            ProblemKind::InvalidTemplate,
            PropagationStatus::ComputeResourceFailed,
        ),
        RenderError::Override { .. } => (
            ProblemKind::OverrideFailed,
            PropagationStatus::ApplyOverridesFailed,
        ),
    };
    member.stuck(kind, status, error.to_string())
}
