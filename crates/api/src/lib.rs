//! The custom resources: structs, schemas, validation, conversion.
//!
//! Each kind has one file, and a `read` that gives the value a brain takes, or an [`Error`] with
//! the path of the field. [`read_spec`] does so for the Federated\<Kind> objects, whose template
//! is of any type; [`template_schema`] makes the schema of that; [`check_fields`] finds what a file misspells. [`crds`] is what is installed; `crds/` holds it as YAML.

mod bookkeeping;
mod cluster;
mod condition;
mod config;
mod dns_endpoint;
mod error;
mod federate;
mod federated;
mod federated_crd;
mod global_service;
mod health_check;
mod key;
mod kubefed_dns;
pub mod names;
mod overrides;
mod policy;
mod policy_schema;
mod probe_report;
mod scheduling;
mod schema;
mod shipped;
mod spelling;
mod strict;
mod template_schema;
mod tombstone;
mod type_config;
mod zone;

pub use cluster::{
    ClusterCapacity, Coordinates, DataPlaneCheck, KubeFedCluster, KubeFedClusterSpec,
    KubeFedClusterStatus, LocalSecretReference, ResourceAmounts, TlsValidation,
};
pub use condition::{Condition, find as find_condition};
pub use config::{
    BrakeConfig, ClusterHealthCheckConfig, ConfigScope, DurationConfig, FailbackConfig,
    FailbackMode, FailoverConfig, FailoverMode, FeatureGate, KubeFedConfig, KubeFedConfigSpec,
    KubeFedConfigStatus, LeaderElectConfig, StatusControllerConfig, SyncControllerConfig,
    duration_millis,
};
pub use dns_endpoint::{
    DNSEndpoint, DNSEndpointSpec, DnsRecordSet, ExternalDNSEndpoint, ExternalDNSEndpointSpec,
};
pub use error::Error;
pub use federate::federate;
pub use federated::{FederatedSpec, read_spec};
pub use federated_crd::{Replicas, federated_crd, federated_crd_with};
pub use global_service::{
    BranchStatusEntry, ClusterEndpoints, EndpointHealthStatus, EndpointSource, GlobalService,
    GlobalServiceSpec, GlobalServiceStatus, NamedSource, ServiceSummary, StaticEndpoint, TtlBounds,
    WhenAllDownMode,
};
pub use health_check::{
    GrpcCheck, HealthCheckSpec, HttpCheck, HttpExpectation, HttpsCheck, TcpCheck, TlsCheck,
};
pub use key::key_of;
pub use kubefed_dns::{
    BalancerIngress, BalancerStatus, ClusterDns, Domain, IngressDNSRecord, IngressDNSRecordSpec,
    IngressDNSRecordStatus, RECORD_SETS_MAX, ServiceDNSRecord, ServiceDNSRecordSpec,
    ServiceDNSRecordStatus, record_sets,
};
pub use overrides::{
    ClusterOverride, ClusterOverrideSpec, ForceWord, OnExpiryWord, Override, OverrideSpec,
    OverrideStatus, OverrideTerms,
};
pub use policy::{
    AddressCheck, AllNode, CapacityNode, CidrNode, CidrRuleNode, FailbackNode, FailoverNode,
    GeoNode, GeoRuleNode, HashNode, NearestNode, PolicyNode, PoolNode, RequirementNode,
    TakeoverNode, UrlCheck, WeightedNode,
};
pub use policy_schema::DEPTH_MAX as POLICY_DEPTH_MAX;
pub use probe_report::{
    NamedClusterEntry, ProbeReport, ProbeReportSpec, VerdictEntry, VerdictWord,
};
pub use scheduling::{
    ClusterPreferences, ClusterReplicas, DIVISIONS_KEPT_MAX, PastDivision,
    ReplicaSchedulingPreference, ReplicaSchedulingPreferenceSpec,
    ReplicaSchedulingPreferenceStatus, SpreadBy, SpreadConstraint,
};
pub use shipped::{crds, federated_type_configs};
pub use spelling::nearest;
pub use strict::check_fields;
pub use template_schema::template_schema;
pub use tombstone::{
    MemberTombstone, MemberTombstoneSpec, OwedWork, TOMBSTONE_ENTRIES_MAX, TombstoneItem,
};
pub use type_config::{
    ControllerStatus, FederatedType, FederatedTypeConfig, FederatedTypeConfigSpec,
    FederatedTypeConfigStatus, Scope, Switch, TypeResource, plural_of,
};
pub use zone::{
    NameGrant, Zone, ZoneNameServer, ZoneSecondary, ZoneSoa, ZoneSpec, ZoneStatus, ZoneTransfer,
};
