//! What a preference's plan is made from, and what it is: plain values.

use crate::{
    failover::{
        ApiSignal, BrakeSettings, DataPlane, FailbackSettings, FailoverSettings, Phase, Suitability,
    },
    input::DividedReplicas,
    preference::Preference,
    spread::SpreadPlace,
};
use model::{ClusterName, ObjectKey};
use serde::{Deserialize, Serialize};
use std::collections::{BTreeMap, BTreeSet};

/// Everything that [`crate::plan_preference`] looks at, time and its own state apart.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct PreferenceInput {
    /// The preference; its text is part of KubeFed's hash.
    pub key: ObjectKey,
    /// What it asks for.
    pub preference: Preference,
    /// When replicas leave.
    #[serde(default)]
    pub failover: FailoverSettings,
    /// How they return.
    #[serde(default)]
    pub failback: FailbackSettings,
    /// When several losses are not believed.
    #[serde(default)]
    pub brake: BrakeSettings,
    /// Whether the workload may run twice for a while.
    #[serde(default)]
    pub suitability: Suitability,
    /// The reason given with `meridian failover release`; it opens the brake.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub released: Option<String>,
    /// Every registered member.
    pub members: BTreeMap<ClusterName, MemberSignals>,
}

/// What is known of one member, for one preference.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct MemberSignals {
    /// Whether the preference may use it.
    pub role: Role,
    /// Its failure domain.
    pub failure_domain: String,
    /// Its region and zones, for the preference's `spread`.
    #[serde(default)]
    pub place: SpreadPlace,
    /// Its API.
    #[serde(default)]
    pub api: ApiSignal,
    /// The workload's data plane there.
    #[serde(default)]
    pub data_plane: DataPlane,
    /// Whether it is being emptied on purpose.
    #[serde(default)]
    pub drain: Drain,
    /// Whether nothing may be written to it.
    #[serde(default)]
    pub paused: bool,
    /// What it was last seen to run.
    #[serde(default)]
    pub running: Running,
    /// What it can run at most, when more were found unschedulable.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub capacity: Option<i64>,
    /// What its nodes have room for, those that run counted: an estimate, which says who takes
    /// replicas first and forbids nothing.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub room: Option<i64>,
    /// Whether somebody asked for fail-back.
    #[serde(default)]
    pub failback: FailbackRequest,
}

/// Whether a preference may use a member.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Role {
    /// It may.
    Candidate,
    /// It may not; what it runs leaves, and its loss counts for the brake.
    Bystander,
}

/// Whether a member is being emptied on purpose.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub enum Drain {
    /// It is not.
    #[default]
    No,
    /// It is, but traffic has not left yet.
    Requested,
    /// Traffic has left; replicas may.
    Drained,
}

/// What a member was last seen to run of the workload.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum Running {
    /// Never seen.
    #[default]
    Unknown,
    /// This; an object that is not there runs none.
    #[serde(rename_all = "camelCase")]
    Known {
        /// `spec.replicas`.
        replicas: i64,
        /// `status.readyReplicas`.
        ready: i64,
    },
}

impl Running {
    pub(crate) fn replicas(self) -> Option<i64> {
        match self {
            Self::Unknown => None,
            Self::Known { replicas, .. } => Some(replicas),
        }
    }

    /// Ready replicas, those of a rollout's surge not counted twice.
    pub(crate) fn ready(self) -> i64 {
        match self {
            Self::Unknown => 0,
            Self::Known { replicas, ready } => ready.min(replicas),
        }
    }
}

/// Whether somebody asked for fail-back.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub enum FailbackRequest {
    /// Nobody did.
    #[default]
    None,
    /// Somebody did (`meridian failback`).
    Requested,
}

/// What a preference's failover remembers from one plan to the next, and across leaders.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct FailoverState {
    /// Clusters that do more than serve.
    #[serde(default)]
    pub phases: BTreeMap<ClusterName, Phase>,
    /// Whether the brake was shut, so that its event is told once.
    #[serde(default)]
    pub braked: bool,
    /// Clusters whose long loss of the API alone was told.
    #[serde(default)]
    pub told: BTreeSet<ClusterName>,
}

/// The replicas of each cluster now, and why.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct PreferencePlan {
    /// Per cluster.
    pub clusters: BTreeMap<ClusterName, ClusterShare>,
    /// To be given to the next plan.
    pub state: FailoverState,
    /// Why nothing moves, while the brake is shut.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub braked: Option<String>,
    /// Where the division is less even than was asked for.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub unspread: Vec<String>,
    /// What the user should know of the settings.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub warnings: Vec<String>,
    /// What changed, to be told once.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub events: Vec<PreferenceEvent>,
    /// When time alone changes this plan.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub wake_at_millis: Option<u64>,
}

impl PreferencePlan {
    /// The division as [`crate::PlanInput`] takes it.
    pub fn division(&self) -> BTreeMap<ClusterName, DividedReplicas> {
        self.clusters
            .iter()
            .map(|(name, share)| (name.clone(), share.divided))
            .collect()
    }
}

/// One cluster's part.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct ClusterShare {
    /// What the status shows.
    pub replicas: i64,
    /// What it is to run in the end, as far as is known now: replicas leave when others are ready.
    pub goal: i64,
    /// What is propagated.
    pub divided: DividedReplicas,
    /// Where it stands in failover.
    pub phase: Phase,
    /// Why, in words.
    pub reason: String,
}

/// Something that changed.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct PreferenceEvent {
    /// What kind.
    pub kind: PreferenceEventKind,
    /// The cluster it concerns, if one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cluster: Option<ClusterName>,
    /// In words.
    pub message: String,
}

/// Kinds of events; the reason of the Kubernetes Event.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum PreferenceEventKind {
    /// Replicas leave a lost cluster.
    Failover,
    /// A loss that would move replicas under other settings lasts.
    FailoverWithheld,
    /// The brake was shut.
    FailoverBraked,
    /// The brake was opened.
    FailoverReleased,
    /// The first step of a return.
    FailbackStarted,
    /// The return is done.
    FailbackDone,
}
