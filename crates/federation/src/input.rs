//! What a plan is made from: host objects and what is known of each member, as plain values.

use crate::{
    confirmation::Confirmation,
    intent::{Intent, Placement},
    live::{Observed, Origin},
    names::ANNOTATION_PAUSED,
    rollout::RolloutSeen,
};
use model::{ClusterName, ObjectKey, Region};
use serde::{Deserialize, Serialize};
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

/// Everything that [`crate::plan`] looks at. It serializes, so that a bug report replays.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct PlanInput {
    /// The federated object on the host.
    pub object: FederatedObject,
    /// The type that is propagated.
    pub target: TargetType,
    /// What the user wants; the planner does not know which kind of object it came from.
    pub intent: Intent,
    /// Choices that are neither template, placement nor override.
    pub options: Options,
    /// The host.
    pub host: Host,
    /// Every registered member.
    pub clusters: Arc<BTreeMap<ClusterName, ClusterFacts>>,
    /// Where the object's namespace is federated to.
    pub namespace: NamespacePlacement,
    /// Where what is in the namespace may go with it.
    #[serde(default)]
    pub namespace_confirmed: Confirmation,
    /// Clusters whose Namespace for the object is still to be made, as far as is known there.
    #[serde(default, skip_serializing_if = "BTreeSet::is_empty")]
    pub namespace_awaited: BTreeSet<ClusterName>,
    /// Of a Namespace or a CustomResourceDefinition: what has to leave a cluster before it may, in
    /// words.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub occupied: BTreeMap<ClusterName, String>,
    /// Replicas per cluster, when a scheduling preference divides them; its keys are the placement.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub division: Option<BTreeMap<ClusterName, DividedReplicas>>,
    /// The target object in each member. A registered member that is absent here is unknown.
    pub observed: BTreeMap<ClusterName, Observed>,
    /// Clusters that `status.clusters` names: what may still hold the object.
    #[serde(default)]
    pub recorded: BTreeSet<ClusterName>,
    /// The deletion brake of each member; a member that is absent here is open without a limit.
    #[serde(default)]
    pub brake: BTreeMap<ClusterName, DeletionBrake>,
    /// What the status says of a rollout.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub rollout: Option<RolloutSeen>,
}

impl PlanInput {
    /// Whether somebody holds the object as it is.
    pub(crate) fn is_paused(&self) -> bool {
        is_paused(&self.object.annotations)
    }
}

/// Whether somebody holds an object with these annotations as it is.
pub fn is_paused(annotations: &BTreeMap<String, String>) -> bool {
    let paused = annotations.get(ANNOTATION_PAUSED);
    paused.is_some_and(|paused| paused == "true")
}

/// What a scheduling preference says of one cluster.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum DividedReplicas {
    /// So many.
    Set(i64),
    /// What it runs now: whether it is well is in doubt. An object that is not there yet is created
    /// with none.
    Keep,
    /// The same, but it was lost and the others run its share: fail-back has not finished.
    Lost,
}

/// Identity and standing of the federated object.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct FederatedObject {
    /// Its kind, for messages: `FederatedConfigMap`.
    pub kind: String,
    /// Its uid, the second half of the origin annotation.
    pub uid: String,
    /// Its generation.
    pub generation: i64,
    /// Its annotations; the planner knows which of them matter.
    #[serde(default)]
    pub annotations: BTreeMap<String, String>,
    /// Its finalizer of ours.
    pub finalizer: FinalizerState,
    /// Seconds since it was deleted; absent while it lives.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub deleted_for_secs: Option<u64>,
    /// Whether it is deleted because its kind is taken away from the host: what it propagated stays.
    #[serde(default)]
    pub kind_goes: bool,
}

/// Whether our finalizer is on the federated object.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub enum FinalizerState {
    /// Not there: nothing was ever written to a member.
    #[default]
    Absent,
    /// There.
    Present,
}

/// The propagated type and the object's name in every member.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct TargetType {
    /// API group; empty for the core group.
    #[serde(default)]
    pub group: String,
    /// API version.
    pub version: String,
    /// Kind.
    pub kind: String,
    /// Resource name in paths: `configmaps`.
    pub plural: String,
    /// Where it lives.
    pub scope: Scope,
    /// Namespace (empty when cluster-scoped) and name in the members.
    pub key: ObjectKey,
    /// How much of it is seen in the members.
    #[serde(default)]
    pub watched: Watched,
}

/// How much of a type's objects is seen in the members.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub enum Watched {
    /// Metadata: neither replicas nor a status are known.
    #[default]
    Metadata,
    /// All of it.
    Whole,
}

impl TargetType {
    /// `group/version`, or the version alone in the core group.
    pub fn api_version(&self) -> String {
        if self.group.is_empty() {
            self.version.clone()
        } else {
            format!("{}/{}", self.group, self.version)
        }
    }

    /// Whether it is a core Secret, whose values never appear in words.
    pub fn is_secret(&self) -> bool {
        self.group.is_empty() && self.kind == "Secret"
    }

    /// Whether losing it loses data that nothing brings back.
    pub fn is_precious(&self) -> bool {
        self.group.is_empty() && (self.kind == "Namespace" || self.kind == "PersistentVolumeClaim")
            || self.is_definition()
    }

    /// Whether it defines a type, whose objects go with it.
    pub fn is_definition(&self) -> bool {
        self.group == "apiextensions.k8s.io" && self.kind == "CustomResourceDefinition"
    }
}

/// Whether a kind lives in namespaces.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Scope {
    /// One per cluster.
    Cluster,
    /// One per namespace.
    Namespaced,
}

/// Choices on the federated object and of the whole fleet.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Options {
    /// `spec.retainReplicas`.
    #[serde(default)]
    pub retain_replicas: bool,
    /// What happens to an object that was there before.
    pub adoption: Adoption,
    /// Seconds after which an unreachable member no longer holds a deletion.
    pub deletion_grace_secs: u64,
}

impl Default for Options {
    fn default() -> Self {
        Self {
            retain_replicas: false,
            adoption: Adoption::Disabled,
            deletion_grace_secs: 60,
        }
    }
}

/// KubeFedConfig's `syncController.adoptResources`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub enum Adoption {
    /// Objects that were there before are left alone and reported.
    #[default]
    Disabled,
    /// They are taken over, and marked.
    Enabled,
}

/// The host's identity.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Host {
    /// Uid of `kube-system` (of the system namespace when scope is Namespaced).
    pub uid: String,
    /// Uids of hosts that this one stands in for (`meridian adopt-host`).
    #[serde(default)]
    pub adopted: BTreeSet<String>,
    /// Key of the digests that stand for Secret values; kept by the host, the same for its life.
    /// Empty, the uid serves, which keeps nobody from guessing weak values.
    #[serde(default)]
    pub digest_key: String,
}

impl Host {
    /// Whether an origin names this host, or one it stands in for.
    pub fn owns(&self, origin: &Origin) -> bool {
        origin.host == self.uid || self.adopted.contains(&origin.host)
    }

    /// The key of keyed digests.
    pub(crate) fn key(&self) -> &str {
        if self.digest_key.is_empty() {
            &self.uid
        } else {
            &self.digest_key
        }
    }
}

/// What the planner knows of a member.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct ClusterFacts {
    /// Labels of its KubeFedCluster.
    #[serde(default)]
    pub labels: BTreeMap<String, String>,
    /// Its region.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub region: Option<Region>,
    /// Its zones.
    #[serde(default)]
    pub zones: Vec<String>,
    /// Its city.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub city: Option<String>,
    /// Whether its API serves.
    pub readiness: Readiness,
    /// Whether nothing may be written to it (`spec.paused`).
    #[serde(default)]
    pub paused: bool,
    /// Whether it is the host itself: its namespaces are never created or deleted there.
    #[serde(default)]
    pub is_host: bool,
    /// Whether its API serves the target type.
    #[serde(default)]
    pub serves_type: TypeServed,
}

/// Whether a member's API serves, as its KubeFedCluster says.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub enum Readiness {
    /// Condition Ready is True.
    Ready,
    /// It is not, and why.
    NotReady(String),
    /// Not probed yet.
    #[default]
    Unknown,
}

/// Whether a member serves a type.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub enum TypeServed {
    /// It does, or nobody asked.
    #[default]
    Yes,
    /// Its discovery does not name the type.
    No,
    /// Not to us, and why.
    Denied(String),
}

/// Where the object's namespace is federated to.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub enum NamespacePlacement {
    /// The type is cluster-scoped, or the control plane is Namespaced.
    NotNeeded,
    /// No FederatedNamespace: the object goes nowhere.
    NotFederated,
    /// The FederatedNamespace's own placement.
    Placed(Placement),
}

/// What the deletion brake of one member lets through; see [`crate::DeletionLedger`].
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum DeletionBrake {
    /// Deletions may go on.
    Open,
    /// Too many within five minutes, in words.
    Shut(String),
}
