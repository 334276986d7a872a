//! Every name that meridian reads or writes on objects: groups, labels, annotations, finalizers.

pub use federation::{
    ANNOTATION_ADOPTED, ANNOTATION_APPLIED_HASH, ANNOTATION_CONFIRMED, ANNOTATION_DELETE_OPTIONS,
    ANNOTATION_LAST_APPLIED, ANNOTATION_ORIGIN, ANNOTATION_ORPHAN, ANNOTATION_PAUSED,
    ANNOTATION_PLACEMENT, FIELD_MANAGER, FINALIZER, LABEL_MANAGED,
};

/// The group of KubeFedCluster, KubeFedConfig and FederatedTypeConfig.
pub const CORE_GROUP: &str = "core.kubefed.io";
/// The group of the Federated\<Kind> types.
pub const TYPES_GROUP: &str = "types.kubefed.io";
/// The version of the Federated\<Kind> types.
pub const TYPES_VERSION: &str = "v1beta1";
/// The group of ReplicaSchedulingPreference.
pub const SCHEDULING_GROUP: &str = "scheduling.kubefed.io";
/// The group of MemberTombstone.
pub const FEDERATION_GROUP: &str = "federation.meridian.dev";
/// The group of Zone, GlobalService and ProbeReport.
pub const GSLB_GROUP: &str = "gslb.meridian.dev";

/// Where KubeFedClusters, their Secrets and the settings live unless said otherwise.
pub const SYSTEM_NAMESPACE: &str = "kube-federation-system";
/// The name of the one KubeFedConfig that is read, as in KubeFed.
pub const CONFIG_NAME: &str = "kubefed";

/// The label for the region, on nodes.
pub const LABEL_REGION: &str = "topology.kubernetes.io/region";
/// The label for the zone, on nodes.
pub const LABEL_ZONE: &str = "topology.kubernetes.io/zone";
