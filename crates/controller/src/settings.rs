//! KubeFedConfig as the controller's settings.
//!
//! KubeFed's own fields are obeyed where they say something. What a value costs, and what is
//! accepted but not obeyed, becomes a condition of the KubeFedConfig, so that a configuration taken
//! over from KubeFed never slows anything down in silence.

use crate::{cluster_health::HealthCheckSettings, lease::LeaseTimes};
use api::{Condition, ConfigScope, KubeFedConfig, KubeFedConfigSpec, Switch, duration_millis};
use federation::{
    ANNOTATION_ADOPTED_HOSTS, Adoption, BrakeSettings, FailbackMode, FailbackSettings,
    FailoverMode, FailoverSettings,
};
use std::collections::BTreeSet;
use std::time::Duration;

/// Objects that are reconciled at once, unless the configuration says otherwise. KubeFed's default
/// of 1 says nothing.
const RECONCILES: usize = 128;
/// Seconds after which a member that is away no longer holds a deletion.
const DELETION_GRACE_SECS: u64 = 60;
/// A write to a member starts only if the Lease outlives the write's own deadline. Renewed every
/// third of it, a Lease of this length always does; a much shorter one never would.
const LEASE_MIN: Duration = Duration::from_secs(9);
/// Longest message of a condition.
const MESSAGE_MAX: usize = 2048;

/// Everything that the configuration decides.
#[derive(Clone, Debug, PartialEq)]
pub struct Settings {
    /// What is federated.
    pub scope: ConfigScope,
    /// How members are probed.
    pub health: HealthCheckSettings,
    /// The leader's Lease.
    pub lease: LeaseTimes,
    /// When replicas leave a lost member.
    pub failover: FailoverSettings,
    /// How they return.
    pub failback: FailbackSettings,
    /// When several losses are not believed.
    pub brake: BrakeSettings,
    /// What happens to objects that were there before.
    pub adoption: Adoption,
    /// Seconds after which a member that is away no longer holds a deletion.
    pub deletion_grace_secs: u64,
    /// Objects that are reconciled at once.
    pub reconciles: usize,
    /// Uids of hosts that this one stands in for (`meridian adopt-host`).
    pub adopted_hosts: BTreeSet<String>,
    /// Whether anything is propagated.
    pub propagates: bool,
    /// Whether preferences divide replicas.
    pub divides: bool,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            scope: ConfigScope::Cluster,
            health: HealthCheckSettings::default(),
            lease: LeaseTimes::default(),
            failover: FailoverSettings::default(),
            failback: FailbackSettings::default(),
            brake: BrakeSettings::default(),
            adoption: Adoption::Disabled,
            deletion_grace_secs: DELETION_GRACE_SECS,
            reconciles: RECONCILES,
            adopted_hosts: BTreeSet::new(),
            propagates: true,
            divides: true,
        }
    }
}

/// Settings, and the conditions that say what they cost.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct ReadSettings {
    /// What is in force.
    pub settings: Settings,
    /// Conditions for the status, without times.
    pub conditions: Vec<Condition>,
}

/// Reads a configuration; without one, the defaults are in force.
pub fn read_settings(config: Option<&KubeFedConfig>) -> ReadSettings {
    let mut reader = Reader::default();
    if let Some(config) = config {
        reader.read(&config.spec);
        reader.settings.adopted_hosts = adopted_hosts(config);
    }
    reader.finish()
}

/// What is in force only when meridian is started anew.
pub(crate) fn waits_for_a_start(began_with: &Settings, now: &Settings) -> Option<Condition> {
    let fields = [
        (began_with.scope != now.scope, "spec.scope"),
        // Candidates with different times would not be safe.
        (began_with.lease != now.lease, "spec.leaderElect"),
    ];
    let fields = fields.into_iter().filter(|(waits, _)| *waits);
    let fields: Vec<&str> = fields.map(|(_, field)| field).collect();
    (!fields.is_empty()).then(|| Condition {
        r#type: "RestartNeeded".to_owned(),
        status: "True".to_owned(),
        reason: Some("RestartNeeded".to_owned()),
        message: Some(format!(
            "{}: in force when every meridian of this control plane has been started anew",
            fields.join(", ")
        )),
        ..Condition::default()
    })
}

/// The annotation that `meridian adopt-host` writes: uids, with commas between them.
fn adopted_hosts(config: &KubeFedConfig) -> BTreeSet<String> {
    let annotations = config.metadata.annotations.as_ref();
    let uids = annotations.and_then(|annotations| annotations.get(ANNOTATION_ADOPTED_HOSTS));
    let uids = uids.iter().flat_map(|uids| uids.split(','));
    let uids = uids.map(str::trim).filter(|uid| !uid.is_empty());
    uids.map(str::to_owned).collect()
}

/// The failover of one preference: its own words over the fleet's.
pub fn failover_of(
    config: Option<&api::FailoverConfig>,
    fleet: FailoverSettings,
) -> FailoverSettings {
    let Some(config) = config else {
        return fleet;
    };
    FailoverSettings {
        mode: match config.mode {
            Some(api::FailoverMode::Safe) => FailoverMode::Safe,
            Some(api::FailoverMode::Auto) => FailoverMode::Auto,
            Some(api::FailoverMode::Off) => FailoverMode::Off,
            None => fleet.mode,
        },
        after_seconds: seconds(config.after_seconds, fleet.after_seconds),
        unknown_after_seconds: seconds(config.unknown_after_seconds, fleet.unknown_after_seconds),
        api_only_after_seconds: seconds(
            config.api_only_after_seconds,
            fleet.api_only_after_seconds,
        ),
    }
}

/// The fail-back of one preference: its own words over the fleet's.
pub fn failback_of(
    config: Option<&api::FailbackConfig>,
    fleet: FailbackSettings,
) -> FailbackSettings {
    let Some(config) = config else {
        return fleet;
    };
    FailbackSettings {
        mode: match config.mode {
            Some(api::FailbackMode::Auto) => FailbackMode::Auto,
            Some(api::FailbackMode::Manual) => FailbackMode::Manual,
            None => fleet.mode,
        },
        stable_seconds: seconds(config.stable_seconds, fleet.stable_seconds),
        step_percent: config
            .step_percent
            .and_then(|percent| u32::try_from(percent).ok())
            .map_or(fleet.step_percent, |percent| percent.clamp(1, 100)),
    }
}

/// What the schema keeps from being negative; what passed it all the same says nothing.
fn seconds(given: Option<i64>, otherwise: u64) -> u64 {
    given
        .and_then(|secs| u64::try_from(secs).ok())
        .unwrap_or(otherwise)
}

#[derive(Default)]
struct Reader {
    settings: Settings,
    costs: Vec<String>,
    not_obeyed: Vec<String>,
}

impl Reader {
    fn read(&mut self, spec: &KubeFedConfigSpec) {
        self.settings.scope = spec.scope.unwrap_or_default();
        self.health(spec);
        self.lease(spec);
        self.failover(spec);
        self.objects(spec);
        self.gates(spec);
    }

    /// A duration that is given and can be used.
    fn duration(&mut self, given: Option<&kube::core::Duration>, path: &str) -> Option<Duration> {
        match duration_millis(given, path) {
            Ok(Some(0)) => {
                self.not_obeyed.push(format!("{path}: 0 is no duration"));
                None
            }
            Ok(millis) => millis.map(Duration::from_millis),
            Err(error) => {
                self.not_obeyed.push(error.to_string());
                None
            }
        }
    }

    fn health(&mut self, spec: &KubeFedConfigSpec) {
        let Some(check) = &spec.cluster_health_check else {
            return;
        };
        let defaults = HealthCheckSettings::default();
        let threshold = |given: Option<i64>, otherwise: u32| {
            given
                .and_then(|n| u32::try_from(n).ok())
                .filter(|n| *n > 0)
                .unwrap_or(otherwise)
        };
        let health = HealthCheckSettings {
            period: self
                .duration(check.period.as_ref(), "spec.clusterHealthCheck.period")
                .unwrap_or(defaults.period),
            timeout: self
                .duration(check.timeout.as_ref(), "spec.clusterHealthCheck.timeout")
                .unwrap_or(defaults.timeout),
            failure_threshold: threshold(check.failure_threshold, defaults.failure_threshold),
            success_threshold: threshold(check.success_threshold, defaults.success_threshold),
        };
        let noticed = noticed_within(&health);
        let by_default = noticed_within(&defaults);
        if noticed > by_default {
            self.costs.push(format!(
                "spec.clusterHealthCheck: a member that hangs is noticed within {} s instead of {} s",
                noticed.as_secs(),
                by_default.as_secs()
            ));
        }
        if health.success_threshold < defaults.success_threshold {
            self.costs.push(
                "spec.clusterHealthCheck.successThreshold: one good answer makes a member Ready, so \
                 that a flapping one is believed"
                    .to_owned(),
            );
        }
        self.settings.health = health;
    }

    fn lease(&mut self, spec: &KubeFedConfigSpec) {
        let Some(elect) = &spec.leader_elect else {
            return;
        };
        let defaults = LeaseTimes::default();
        let duration = self
            .duration(
                elect.lease_duration.as_ref(),
                "spec.leaderElect.leaseDuration",
            )
            .unwrap_or(defaults.duration);
        let renew = self
            .duration(
                elect.renew_deadline.as_ref(),
                "spec.leaderElect.renewDeadline",
            )
            .unwrap_or(duration);
        let retry = self
            .duration(elect.retry_period.as_ref(), "spec.leaderElect.retryPeriod")
            .unwrap_or(defaults.retry);
        if duration < LEASE_MIN {
            self.not_obeyed.push(format!(
                "spec.leaderElect.leaseDuration: at least {} s, or no write to a member would end \
                 while the Lease is held for certain",
                LEASE_MIN.as_secs()
            ));
            return;
        }
        // Two attempts at a renewal fit into a Lease, whatever the other times say.
        self.settings.lease = LeaseTimes {
            duration,
            request: defaults.request.min(renew).min(duration / 3),
            retry: retry.min(duration / 3),
        };
        if retry > duration / 3 {
            self.not_obeyed.push(
                "spec.leaderElect.retryPeriod: a third of leaseDuration at most; that is used"
                    .to_owned(),
            );
        }
        let lock = elect.resource_lock.as_deref().unwrap_or("leases");
        if lock != "leases" {
            self.not_obeyed.push(format!(
                "spec.leaderElect.resourceLock: {lock} is read as leases"
            ));
        }
    }

    fn failover(&mut self, spec: &KubeFedConfigSpec) {
        let mut fleet = FailoverSettings::default();
        if let Some(delays) = &spec.controller_duration {
            let path = "spec.controllerDuration.unavailableDelay";
            if let Some(delay) = self.duration(delays.unavailable_delay.as_ref(), path) {
                if delay.as_secs() > fleet.unknown_after_seconds {
                    self.costs.push(format!(
                        "{path}: replicas of a member whose data plane nobody knows move after {} s \
                         instead of {} s",
                        delay.as_secs(),
                        fleet.unknown_after_seconds
                    ));
                }
                fleet.unknown_after_seconds = delay.as_secs();
            }
            for (given, field, why) in [
                (
                    &delays.available_delay,
                    "availableDelay",
                    "events are acted on at once",
                ),
                (
                    &delays.cache_sync_timeout,
                    "cacheSyncTimeout",
                    "no cache is waited for",
                ),
                (
                    &delays.cluster_monitor_period,
                    "clusterMonitorPeriod",
                    "use clusterHealthCheck",
                ),
            ] {
                if given.is_some() {
                    self.not_obeyed
                        .push(format!("spec.controllerDuration.{field}: {why}"));
                }
            }
        }
        self.settings.failover = failover_of(spec.failover.as_ref(), fleet);
        self.settings.failback = failback_of(spec.failback.as_ref(), FailbackSettings::default());
        if let Some(brake) = &spec.brake {
            let defaults = BrakeSettings::default();
            self.settings.brake = BrakeSettings {
                domains: brake
                    .domains
                    .and_then(|domains| usize::try_from(domains).ok())
                    .map_or(defaults.domains, |domains| domains.max(1)),
                window_seconds: seconds(brake.window_seconds, defaults.window_seconds),
            };
        }
    }

    fn objects(&mut self, spec: &KubeFedConfigSpec) {
        let grace = self.duration(spec.deletion_grace.as_ref(), "spec.deletionGrace");
        self.settings.deletion_grace_secs =
            grace.map_or(DELETION_GRACE_SECS, |grace| grace.as_secs());
        let Some(sync) = &spec.sync_controller else {
            return;
        };
        if sync.adopt_resources == Some(Switch::Enabled) {
            self.settings.adoption = Adoption::Enabled;
            self.costs.push(
                "spec.syncController.adoptResources: objects that exist in members are taken over"
                    .to_owned(),
            );
        }
        self.settings.reconciles = sync
            .max_concurrent_reconciles
            .and_then(|reconciles| usize::try_from(reconciles).ok())
            .filter(|reconciles| *reconciles > 1)
            .unwrap_or(RECONCILES);
    }

    /// Collecting raw statuses is each FederatedTypeConfig's own word.
    fn gates(&mut self, spec: &KubeFedConfigSpec) {
        for gate in spec.feature_gates.iter().flatten() {
            let is_on = gate.configuration == Switch::Enabled;
            match (gate.name.as_str(), is_on) {
                ("PushReconciler", _) => self.settings.propagates = is_on,
                ("SchedulerPreferences", _) => self.settings.divides = is_on,
                ("CrossClusterServiceDiscovery" | "FederatedIngress", false) => {
                    self.not_obeyed.push(format!(
                        "spec.featureGates[{}]: records that are there are served",
                        gate.name
                    ));
                }
                _ => {}
            }
        }
        for (is_on, gate, what) in [
            (
                self.settings.propagates,
                "PushReconciler",
                "nothing is propagated",
            ),
            (
                self.settings.divides,
                "SchedulerPreferences",
                "no replicas are divided",
            ),
        ] {
            if !is_on {
                self.costs
                    .push(format!("spec.featureGates[{gate}]: {what}"));
            }
        }
    }

    fn finish(self) -> ReadSettings {
        let accepted = Condition {
            r#type: "Accepted".to_owned(),
            status: "True".to_owned(),
            reason: Some("Accepted".to_owned()),
            ..Condition::default()
        };
        let told = [("Costs", self.costs), ("NotObeyed", self.not_obeyed)];
        let conditions = told
            .into_iter()
            .filter(|(_, sentences)| !sentences.is_empty())
            .map(|(kind, sentences)| Condition {
                r#type: kind.to_owned(),
                status: "True".to_owned(),
                reason: Some(kind.to_owned()),
                message: Some(sentences.join("; ").chars().take(MESSAGE_MAX).collect()),
                ..Condition::default()
            });
        ReadSettings {
            settings: self.settings,
            conditions: std::iter::once(accepted).chain(conditions).collect(),
        }
    }
}

/// How long it takes at most until a member that hangs is not Ready: a period, then as many probes
/// as the threshold wants, each waiting its timeout, one second apart while in doubt.
fn noticed_within(health: &HealthCheckSettings) -> Duration {
    let doubt = health.period.min(Duration::from_secs(1));
    let probes = health.failure_threshold;
    health.period + health.timeout * probes + doubt * probes.saturating_sub(1)
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::{Value, json};

    fn read(spec: Value) -> ReadSettings {
        let config: KubeFedConfig = serde_json::from_value(json!({
            "apiVersion": "core.kubefed.io/v1beta1", "kind": "KubeFedConfig",
            "metadata": {"name": "kubefed", "namespace": "kube-federation-system"}, "spec": spec}))
        .unwrap();
        read_settings(Some(&config))
    }

    fn message(read: &ReadSettings, kind: &str) -> String {
        api::find_condition(&read.conditions, kind)
            .and_then(|condition| condition.message.clone())
            .unwrap_or_default()
    }

    #[test]
    fn what_is_read_at_the_start_says_so_when_it_changes() {
        let before = Settings::default();
        assert_eq!(waits_for_a_start(&before, &before), None);
        let changed = read(json!({"scope": "Namespaced",
            "leaderElect": {"leaseDuration": "30s"},
            "syncController": {"maxConcurrentReconciles": 7}}));
        let told = waits_for_a_start(&before, &changed.settings).unwrap();
        let message = told.message.unwrap();
        assert!(
            message.starts_with("spec.scope, spec.leaderElect: "),
            "{message}"
        );
    }

    #[test]
    fn without_a_word_the_defaults_are_in_force() {
        assert_eq!(read_settings(None).settings, Settings::default());
        let read = read(json!({}));
        assert_eq!(read.settings, Settings::default());
        assert_eq!(read.conditions.len(), 1);
    }

    #[test]
    fn what_kubefeds_chart_writes_is_obeyed_and_its_cost_is_told() {
        let read = read(json!({
            "scope": "Cluster",
            "controllerDuration": {"availableDelay": "20s", "unavailableDelay": "60s"},
            "leaderElect": {"leaseDuration": "15s", "renewDeadline": "10s", "retryPeriod": "5s",
                "resourceLock": "configmaps"},
            "clusterHealthCheck": {"period": "10s", "failureThreshold": 3, "successThreshold": 1,
                "timeout": "3s"},
            "syncController": {"maxConcurrentReconciles": 1, "adoptResources": "Enabled"},
            "featureGates": [{"name": "PushReconciler", "configuration": "Enabled"},
                {"name": "SchedulerPreferences", "configuration": "Disabled"},
                {"name": "RawResourceStatusCollection", "configuration": "Disabled"}]}));
        let settings = &read.settings;
        assert_eq!(settings.health.period, Duration::from_secs(10));
        assert_eq!(settings.health.success_threshold, 1);
        assert_eq!(settings.lease.duration, Duration::from_secs(15));
        assert_eq!(settings.lease.retry, Duration::from_secs(5));
        assert_eq!(settings.adoption, Adoption::Enabled);
        assert_eq!(settings.reconciles, RECONCILES);
        assert_eq!(settings.failover, FailoverSettings::default());
        let costs = message(&read, "Costs");
        assert!(costs.contains("within 21 s instead of 13 s"), "{costs}");
        assert!(costs.contains("adoptResources"), "{costs}");
        assert!(costs.contains("successThreshold"), "{costs}");
        let undivided = "featureGates[SchedulerPreferences]: no replicas are divided";
        assert!(costs.contains(undivided), "{costs}");
        assert!(settings.propagates && !settings.divides);
        let not_obeyed = message(&read, "NotObeyed");
        for part in ["configmaps is read as leases", "availableDelay"] {
            assert!(not_obeyed.contains(part), "{not_obeyed} lacks {part}");
        }
        assert!(!not_obeyed.contains("RawResource"), "{not_obeyed}");
    }

    #[test]
    fn our_own_words_go_before_kubefeds() {
        let read = read(json!({
            "controllerDuration": {"unavailableDelay": "90s"},
            "failover": {"mode": "Auto", "afterSeconds": 2},
            "failback": {"mode": "Manual", "stableSeconds": 5, "stepPercent": 50},
            "brake": {"domains": 2}, "deletionGrace": "5s"}));
        let settings = read.settings.clone();
        assert_eq!(settings.failover.mode, FailoverMode::Auto);
        assert_eq!(settings.failover.after_seconds, 2);
        assert_eq!(settings.failover.unknown_after_seconds, 90);
        assert_eq!(settings.failback.mode, FailbackMode::Manual);
        assert_eq!(settings.failback.step_percent, 50);
        assert_eq!(settings.brake.domains, 2);
        assert_eq!(settings.deletion_grace_secs, 5);
        assert!(message(&read, "Costs").contains("after 90 s instead of 60 s"));
    }

    #[test]
    fn what_cannot_work_keeps_the_default_and_says_so() {
        let read = read(json!({
            "leaderElect": {"leaseDuration": "1s"}, "clusterHealthCheck": {"period": "0s"}}));
        assert_eq!(read.settings, Settings::default());
        let not_obeyed = message(&read, "NotObeyed");
        assert!(
            not_obeyed.contains("leaseDuration: at least 9 s"),
            "{not_obeyed}"
        );
        assert!(
            not_obeyed.contains("period: 0 is no duration"),
            "{not_obeyed}"
        );
    }

    #[test]
    fn a_lease_always_has_room_for_two_renewals() {
        let read = read(json!({"leaderElect": {"leaseDuration": "9s", "retryPeriod": "5s"}}));
        let lease = read.settings.lease;
        assert!(
            lease.request + lease.retry + lease.request <= lease.duration,
            "{lease:?}"
        );
        assert!(message(&read, "NotObeyed").contains("retryPeriod"));
    }

    #[test]
    fn the_shortest_lease_outlives_a_write_between_two_renewals() {
        let read = read(json!({"leaderElect": {"leaseDuration": "9s"}}));
        let lease = read.settings.lease;
        assert_eq!(lease.duration, LEASE_MIN);
        assert!(lease.duration - lease.retry > crate::members::apply::DEADLINE);
    }
}
