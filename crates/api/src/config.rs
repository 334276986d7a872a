//! KubeFedConfig: the settings of a control plane, KubeFed's and ours.

use crate::{Error, Switch, schema};
use kube::{CustomResource, core::Duration};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// Settings of the control plane; the object named `kubefed` in the system namespace is read.
#[derive(CustomResource, JsonSchema, Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[kube(
    group = "core.kubefed.io",
    version = "v1beta1",
    kind = "KubeFedConfig",
    plural = "kubefedconfigs",
    singular = "kubefedconfig",
    namespaced,
    status = "KubeFedConfigStatus",
    derive = "PartialEq",
    doc = "Settings of the federation's control plane."
)]
#[serde(rename_all = "camelCase")]
pub struct KubeFedConfigSpec {
    /// `Cluster`, or `Namespaced` when only the system namespace is federated.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub scope: Option<ConfigScope>,
    /// KubeFed's delays.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub controller_duration: Option<DurationConfig>,
    /// Times of the leader's Lease.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub leader_elect: Option<LeaderElectConfig>,
    /// KubeFed's feature gates: `PushReconciler` (nothing is propagated without) and
    /// `SchedulerPreferences` (no replicas are divided without) are obeyed; the rest is always on.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 64))]
    pub feature_gates: Option<Vec<FeatureGate>>,
    /// How members' APIs are probed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cluster_health_check: Option<ClusterHealthCheckConfig>,
    /// How objects are propagated.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub sync_controller: Option<SyncControllerConfig>,
    /// KubeFed's status controller; accepted, and not needed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub status_controller: Option<StatusControllerConfig>,
    /// When replicas leave a member that is lost.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub failover: Option<FailoverConfig>,
    /// How replicas return to a member that is back.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub failback: Option<FailbackConfig>,
    /// When the loss of several members at once is not believed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub brake: Option<BrakeConfig>,
    /// After how long a member that is away no longer holds a deletion up; 60 s when absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(schema_with = "schema::duration")]
    pub deletion_grace: Option<Duration>,
}

/// What the control plane federates.
#[derive(JsonSchema, Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub enum ConfigScope {
    /// Every namespace.
    #[default]
    Cluster,
    /// The system namespace only.
    Namespaced,
}

/// KubeFed's delays.
#[derive(JsonSchema, Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct DurationConfig {
    /// Accepted; meridian reacts to events and waits for nothing.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(schema_with = "schema::duration")]
    pub available_delay: Option<Duration>,
    /// Read as `failover.unknownAfterSeconds` when that is absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(schema_with = "schema::duration")]
    pub unavailable_delay: Option<Duration>,
    /// Accepted; caches that have not synced are unknown, not awaited.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(schema_with = "schema::duration")]
    pub cache_sync_timeout: Option<Duration>,
    /// Accepted; from KubeFed's early charts.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(schema_with = "schema::duration")]
    pub cluster_monitor_period: Option<Duration>,
}

/// Times of the leader's Lease.
#[derive(JsonSchema, Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct LeaderElectConfig {
    /// After how much silence another replica takes over.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(schema_with = "schema::duration")]
    pub lease_duration: Option<Duration>,
    /// After how long without a renewal the leader stops writing.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(schema_with = "schema::duration")]
    pub renew_deadline: Option<Duration>,
    /// How often it renews, and others look.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(schema_with = "schema::duration")]
    pub retry_period: Option<Duration>,
    /// Accepted; the lock is always a Lease.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 63))]
    pub resource_lock: Option<String>,
}

/// One of KubeFed's feature gates.
#[derive(JsonSchema, Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct FeatureGate {
    /// Its name.
    #[schemars(length(max = 63))]
    pub name: String,
    /// On or off.
    pub configuration: Switch,
}

/// How members' APIs are probed.
#[derive(JsonSchema, Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct ClusterHealthCheckConfig {
    /// How often; 5 s when absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(schema_with = "schema::duration")]
    pub period: Option<Duration>,
    /// Failures in a row after which a member is not Ready; 3 when absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 1, max = 1000))]
    pub failure_threshold: Option<i64>,
    /// Successes in a row after which it is Ready; 2 when absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 1, max = 1000))]
    pub success_threshold: Option<i64>,
    /// How long one probe may take; 2 s when absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(schema_with = "schema::duration")]
    pub timeout: Option<Duration>,
}

/// How objects are propagated.
#[derive(JsonSchema, Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct SyncControllerConfig {
    /// How many objects are reconciled at once; KubeFed's default of 1 is read as ours.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 1, max = 1000))]
    pub max_concurrent_reconciles: Option<i64>,
    /// Whether objects that exist in members already are taken over; `Disabled` when absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub adopt_resources: Option<Switch>,
}

/// KubeFed's status controller.
#[derive(JsonSchema, Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct StatusControllerConfig {
    /// Accepted, and not needed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 1, max = 1000))]
    pub max_concurrent_reconciles: Option<i64>,
}

/// When replicas leave a member that is lost.
#[derive(JsonSchema, Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct FailoverConfig {
    /// Who may move; `Safe` when absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub mode: Option<FailoverMode>,
    /// After API and data plane are both down; 10 when absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 0, max = 86400))]
    pub after_seconds: Option<i64>,
    /// After the API is down and nobody knows of the data plane; 60 when absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 0, max = 86400))]
    pub unknown_after_seconds: Option<i64>,
    /// After the API is down while the data plane is up; 300 when absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 0, max = 86400))]
    pub api_only_after_seconds: Option<i64>,
}

/// Which workloads move by themselves.
#[derive(JsonSchema, Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub enum FailoverMode {
    /// Those that may run twice: Deployments and ReplicaSets that roll, with more than one replica.
    #[default]
    Safe,
    /// All of them, also while only the API is down.
    Auto,
    /// None.
    Off,
}

/// How replicas return to a member that is back.
#[derive(JsonSchema, Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct FailbackConfig {
    /// Whether they return by themselves; `Auto` when absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub mode: Option<FailbackMode>,
    /// How long it must have been healthy; 120 when absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 0, max = 86400))]
    pub stable_seconds: Option<i64>,
    /// How much returns in one step; 25 when absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 1, max = 100))]
    pub step_percent: Option<i64>,
}

/// Who decides the return.
#[derive(JsonSchema, Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub enum FailbackMode {
    /// Health does.
    #[default]
    Auto,
    /// A person does.
    Manual,
}

/// When the loss of several failure domains at once is not believed.
#[derive(JsonSchema, Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct BrakeConfig {
    /// Domains that may be lost within the window; 1 when absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 1, max = 1000))]
    pub domains: Option<i64>,
    /// The window; 60 when absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 1, max = 86400))]
    pub window_seconds: Option<i64>,
}

/// What is made of the settings.
#[derive(JsonSchema, Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct KubeFedConfigStatus {
    /// The generation that is in force.
    #[serde(default)]
    pub observed_generation: i64,
    /// What costs something, and what is not obeyed.
    #[serde(default)]
    #[schemars(schema_with = "schema::conditions")]
    pub conditions: Vec<crate::Condition>,
}

/// A duration as milliseconds.
///
/// # Errors
/// [`Error`] for a negative one.
pub fn duration_millis(duration: Option<&Duration>, path: &str) -> Result<Option<u64>, Error> {
    let Some(duration) = duration else {
        return Ok(None);
    };
    if duration.is_negative() {
        return Err(Error::invalid(path, "a duration is not negative"));
    }
    let millis = std::time::Duration::from(*duration).as_millis();
    u64::try_from(millis)
        .map(Some)
        .map_err(|_| Error::invalid(path, "a duration ends within 500 million years"))
}
