//! The planner: place, render, divide replicas, diff, summarize.
//!
//! Everything here takes values and gives values: no clock, no client, no files, no logs. The road
//! of a federated object is [`plan`] → (the hands apply it) → [`summarize`]; start reading in
//! `plan.rs`.

mod absent;
mod availability;
mod brake;
mod capacity;
mod confirmation;
mod departing;
mod diff;
mod digest;
mod divide;
mod divide_kubefed;
mod error;
mod expand;
mod explain;
mod extract;
mod failover;
mod input;
mod intent;
mod live;
mod moves;
mod names;
mod outcome;
mod overrides;
mod ownership;
mod path;
mod place;
mod plan;
mod preference;
mod preference_goals;
mod preference_input;
mod preference_plan;
mod preference_words;
mod present;
mod redact;
mod render;
mod rollout;
mod room;
mod selector;
mod spread;
mod status;
mod step;
mod summarize;
mod tally;
#[cfg(test)]
mod test_world;
mod tombstone;
mod verdict;

pub use absent::release_patch;
pub use brake::DeletionLedger;
pub use capacity::CapacityTrack;
pub use confirmation::Confirmation;
pub use departing::{Tenant, occupied};
pub use diff::{FieldChange, FieldValue, diff};
pub use digest::{FieldsDigest, digest};
pub use divide::{Candidate, divide};
pub use divide_kubefed::{KubeFedDivision, divide_kubefed};
pub use error::RenderError;
pub use explain::{ClusterExplanation, Explanation, explain};
pub use failover::{
    ApiSignal, BrakeSettings, DataPlane, FailbackMode, FailbackSettings, FailoverMode,
    FailoverSettings, Phase, SeenFrom, Suitability,
};
pub use input::{
    Adoption, ClusterFacts, DeletionBrake, DividedReplicas, FederatedObject, FinalizerState, Host,
    NamespacePlacement, Options, PlanInput, Readiness, Scope, TargetType, TypeServed, Watched,
    is_paused,
};
pub use intent::{
    ClusterOverride, ClusterReference, Intent, Operation, OverrideItem, Pause, Placement, Rollout,
};
pub use live::{
    Live, LiveReplicas, ManagedLabel, Observed, Origin, OtherEntry, OwnedFields, keeps_old,
    legacy_manager,
};
pub use names::{
    ANNOTATION_ADOPTED, ANNOTATION_ADOPTED_HOSTS, ANNOTATION_APPLIED_HASH, ANNOTATION_CONFIRMED,
    ANNOTATION_DELETE_OPTIONS, ANNOTATION_DIVISION, ANNOTATION_FAILBACK,
    ANNOTATION_FAILOVER_RELEASED, ANNOTATION_LAST_APPLIED, ANNOTATION_ORIGIN, ANNOTATION_ORPHAN,
    ANNOTATION_PAUSED, ANNOTATION_PLACEMENT, ANNOTATION_ROLLOUT_APPROVED, FIELD_MANAGER, FINALIZER,
    LABEL_MANAGED,
};
pub use outcome::{ClusterOutcome, Failure, MemberError, Outcome, Retry};
pub use overrides::check_overrides;
pub use ownership::{OwnershipDifference, owned_exactly, ownership_difference};
pub use path::FieldPath;
pub use place::{Choice, Placing, by_placement, place};
pub use plan::plan;
pub use preference::{ClusterPreference, EVERY_CLUSTER, Preference, SpreadBy, SpreadConstraint};
pub use preference_input::{
    ClusterShare, Drain, FailbackRequest, FailoverState, MemberSignals, PreferenceEvent,
    PreferenceEventKind, PreferenceInput, PreferencePlan, Role, Running,
};
pub use preference_plan::plan_preference;
pub use render::{Provenance, Rendered, ReplicasRule, render};
pub use rollout::{RolloutPhase, RolloutPlan, RolloutSeen, RolloutStatus, approval};
pub use room::{RoomTrack, places};
pub use selector::{LabelOperator, LabelRequirement, LabelSelector};
pub use spread::{SpreadDivision, SpreadPlace, divide_spread};
pub use status::{ClusterStatus, Condition, PropagationReason, PropagationStatus, Status, Summary};
pub use step::{
    Action, Delete, FinalizerStep, Owed, Plan, Precondition, Problem, ProblemKind, Release, Scale,
    Step, TombstoneEntry, Write,
};
pub use summarize::{refused, summarize};
pub use tombstone::{Replay, has_heir, replay};
