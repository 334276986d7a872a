//! Making good a deletion that a member was owed.

use crate::{
    absent::release_patch,
    input::{Host, PlanInput},
    live::{ManagedLabel, Observed},
    place::place,
    status::PropagationStatus,
    step::{Action, Delete, Owed, Release, Step, TombstoneEntry},
};

/// What to do about one entry, now that its member is back.
#[derive(Clone, Debug, PartialEq)]
pub enum Replay {
    /// Nothing is owed any more: the object is gone, or another one has its name.
    Settled,
    /// This settles it.
    Step(Step),
    /// The member cannot tell yet.
    Wait,
}

/// Decides about one entry from a fresh read of its member.
///
/// Only an object whose origin still has the deleted object's uid is touched, and only under its
/// uid and resourceVersion.
pub fn replay(entry: &TombstoneEntry, host: &Host, observed: &Observed) -> Replay {
    let live = match observed {
        Observed::Unknown => return Replay::Wait,
        Observed::Absent => return Replay::Settled,
        Observed::Present(live) => live,
    };
    let still_ours = live.managed != ManagedLabel::False
        && live
            .origin
            .as_ref()
            .is_some_and(|origin| host.owns(origin) && origin.object == entry.origin_object);
    if !still_ours {
        return Replay::Settled;
    }
    if live.deleting {
        return Replay::Wait;
    }
    let step = if entry.owed == Owed::Release || live.adopted {
        Step {
            action: Action::Release(Release {
                uid: live.uid.clone(),
                resource_version: live.resource_version.clone(),
                patch: release_patch(&live.uid, &live.resource_version),
            }),
            status: PropagationStatus::Ok,
            reason: "released, as was owed since the member was away".to_owned(),
        }
    } else {
        Step {
            action: Action::Delete(Delete {
                uid: live.uid.clone(),
                resource_version: live.resource_version.clone(),
                options: entry.options.clone(),
                confirmed: true,
            }),
            status: PropagationStatus::WaitingForRemoval,
            reason: "deleted, as was owed since the member was away".to_owned(),
        }
    };
    Replay::Step(step)
}

/// Whether a federated object that has the deleted one's name by now wants what is there: it takes
/// that over as it stands, so that nobody misses it in between.
#[must_use]
pub fn has_heir(entry: &TombstoneEntry, now: &PlanInput) -> bool {
    let object = &now.object;
    object.uid != entry.origin_object
        && object.deleted_for_secs.is_none()
        && place(now)
            .clusters
            .get(&entry.cluster)
            .is_some_and(|choice| choice.is_chosen())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{input::Readiness, intent::Placement, live::Origin, test_world::World};

    /// What is owed to `a`, which was away when the object was deleted, and its world.
    fn owed() -> (TombstoneEntry, World) {
        let mut world = World::settled(&["a"]);
        world.facts_mut("a").readiness = Readiness::NotReady("away".to_owned());
        world.input.object.deleted_for_secs = Some(60);
        let entry = world.plan().tombstones.remove(0);
        (entry, world)
    }

    fn verb(entry: &TombstoneEntry, world: &World) -> &'static str {
        match replay(entry, &world.input.host, &world.input.observed["a"]) {
            Replay::Settled => "settled",
            Replay::Wait => "wait",
            Replay::Step(step) => step.action.verb(),
        }
    }

    #[test]
    fn what_is_still_there_is_deleted_once() {
        let (entry, mut world) = owed();
        assert_eq!(verb(&entry, &world), "delete");
        world.live_mut("a").deleting = true;
        assert_eq!(verb(&entry, &world), "wait");
        world.observe("a", Observed::Absent);
        assert_eq!(verb(&entry, &world), "settled");
        world.observe("a", Observed::Unknown);
        assert_eq!(verb(&entry, &world), "wait");
    }

    #[test]
    fn an_object_of_another_origin_is_left() {
        let (entry, mut world) = owed();
        world.live_mut("a").origin = Some(Origin::parse("host-uid/second-uid"));
        assert_eq!(verb(&entry, &world), "settled");
        world.live_mut("a").origin = Some(Origin::parse("other-host/object-uid"));
        assert_eq!(verb(&entry, &world), "settled");
        world.live_mut("a").origin = None;
        assert_eq!(verb(&entry, &world), "settled");
    }

    #[test]
    fn what_was_adopted_is_released() {
        let (entry, mut world) = owed();
        world.live_mut("a").adopted = true;
        assert_eq!(verb(&entry, &world), "release");
    }

    #[test]
    fn an_object_made_anew_inherits_what_it_wants() {
        let (entry, mut world) = owed();
        assert!(!has_heir(&entry, &world.input), "the deleted object itself");
        world.input.object.uid = "second-uid".to_owned();
        assert!(!has_heir(&entry, &world.input), "it is deleted, too");
        world.input.object.deleted_for_secs = None;
        assert!(has_heir(&entry, &world.input));
        world.input.intent.placement = Placement {
            clusters: Some(Vec::new()),
            ..Placement::default()
        };
        assert!(!has_heir(&entry, &world.input), "it goes elsewhere");
    }
}
