//! The planner: place, render, divide replicas, diff, summarize.
//!
//! Everything here takes values and gives values: no clock, no client, no files, no logs. The road
//! of a federated object is [`plan`] → (the hands apply it) → [`summarize`]; start reading in
//! `plan.rs`.

mod input;
mod intent;
mod live;
mod names;
mod outcome;
mod plan;
mod selector;
mod status;

pub use input::{
    Adoption, ClusterFacts, DeletionBrake, FederatedObject, FinalizerState, Host,
    NamespacePlacement, Options, PlanInput, Readiness, Scope, TargetType, TypeServed,
};
pub use intent::{ClusterOverride, ClusterReference, Intent, Operation, OverrideItem, Placement};
pub use live::{Live, LiveReplicas, ManagedLabel, Observed, Origin, OwnedFields, legacy_manager};
pub use names::{
    ANNOTATION_ADOPTED, ANNOTATION_APPLIED_HASH, ANNOTATION_CONFIRMED, ANNOTATION_DELETE_OPTIONS,
    ANNOTATION_LAST_APPLIED, ANNOTATION_ORIGIN, ANNOTATION_ORPHAN, ANNOTATION_PAUSED,
    ANNOTATION_PLACEMENT, FIELD_MANAGER, FINALIZER, LABEL_MANAGED,
};
pub use outcome::{ClusterOutcome, Failure, MemberError, Outcome, Retry};
pub use plan::{
    Action, Delete, FinalizerStep, Owed, Plan, Precondition, Problem, ProblemKind, Release, Step,
    TombstoneEntry, Write,
};
pub use selector::{LabelOperator, LabelRequirement, LabelSelector};
pub use status::{ClusterStatus, Condition, PropagationReason, PropagationStatus, Status};
