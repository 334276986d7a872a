//! What becomes of each value of the KubeFedConfig: obeyed, read as another, or reported.

use anyhow::Result;
use api::{KubeFedConfig, names};
use controller::settings::read_settings;
use kube::api::DynamicObject;
use kube::core::{ApiResource, GroupVersionKind};
use kube::{Api, Client};
use serde::Serialize;
use serde_json::Value;

/// One value.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub(super) struct Row {
    /// Which.
    pub(super) path: String,
    /// What it says.
    pub(super) value: String,
    /// What becomes of it.
    pub(super) fate: String,
}

impl Row {
    /// Whether meridian does what it says, or what it was for.
    pub(super) fn is_followed(&self) -> bool {
        !self.fate.starts_with("NOT ")
    }
}

/// All of them, in the order of their paths, and what they cost together.
///
/// # Errors
/// The host does not say.
pub(super) async fn rows(host: &Client, namespace: &str) -> Result<Vec<Row>> {
    // As it is stored: a value that we do not know is to be reported.
    let kind = GroupVersionKind::gvk(names::CORE_GROUP, "v1beta1", "KubeFedConfig");
    let resource = ApiResource::from_gvk(&kind);
    let configs = Api::<DynamicObject>::namespaced_with(host.clone(), namespace, &resource);
    let Some(config) = configs.get_opt(names::CONFIG_NAME).await? else {
        return Ok(vec![Row {
            path: "KubeFedConfig".to_owned(),
            value: String::new(),
            fate: format!("there is none in {namespace}: meridian's defaults are in force"),
        }]);
    };
    let mut rows = Vec::new();
    leaves("spec", &config.data["spec"], &mut rows);
    if let Ok(typed) = config.try_parse::<KubeFedConfig>() {
        let costs = read_settings(Some(&typed)).conditions;
        let costs = costs.iter().filter(|condition| condition.r#type == "Costs");
        let sentences = costs.filter_map(|condition| condition.message.as_deref());
        rows.extend(
            sentences
                .flat_map(|message| message.split("; "))
                .map(|cost| {
                    let (path, fate) = cost.split_once(": ").unwrap_or(("spec", cost));
                    Row {
                        path: path.to_owned(),
                        value: "costs".to_owned(),
                        fate: fate.to_owned(),
                    }
                }),
        );
    }
    Ok(rows)
}

fn leaves(path: &str, value: &Value, rows: &mut Vec<Row>) {
    match value {
        Value::Object(fields) => {
            for (name, value) in fields {
                leaves(&format!("{path}.{name}"), value, rows);
            }
        }
        Value::Array(gates) if path == "spec.featureGates" => {
            for gate in gates {
                let name = gate["name"].as_str().unwrap_or_default();
                let value = gate["configuration"].as_str().unwrap_or_default();
                rows.push(row(&format!("{path}[{name}]"), value));
            }
        }
        Value::Null => {}
        Value::String(text) => rows.push(row(path, text)),
        other => rows.push(row(path, &other.to_string())),
    }
}

fn row(path: &str, value: &str) -> Row {
    Row {
        path: path.to_owned(),
        value: value.to_owned(),
        fate: fate(path, value),
    }
}

fn fate(path: &str, value: &str) -> String {
    let below = path.strip_prefix("spec.").unwrap_or(path);
    let fate = match below {
        "scope"
        | "clusterHealthCheck.period"
        | "clusterHealthCheck.timeout"
        | "clusterHealthCheck.failureThreshold"
        | "leaderElect.leaseDuration"
        | "leaderElect.retryPeriod"
        | "leaderElect.renewDeadline"
        | "syncController.adoptResources" => "obeyed",
        "clusterHealthCheck.successThreshold" => {
            "obeyed; counted in consecutive answers, as KubeFed meant to"
        }
        "controllerDuration.unavailableDelay" => "obeyed, as failover.unknownAfterSeconds",
        "controllerDuration.availableDelay" => "not needed: events are acted on at once",
        "controllerDuration.cacheSyncTimeout" => "not needed: no cache is waited for",
        "controllerDuration.clusterMonitorPeriod" => "not needed: clusterHealthCheck says it",
        "leaderElect.resourceLock" if value == "leases" => "obeyed",
        "leaderElect.resourceLock" => "read as leases",
        "syncController.maxConcurrentReconciles" if value == "1" => {
            "KubeFed's default, read as meridian's own"
        }
        "syncController.maxConcurrentReconciles" => "obeyed",
        "statusController.maxConcurrentReconciles" => "not needed: statuses are written as one",
        "featureGates[PushReconciler]" | "featureGates[SchedulerPreferences]" => match value {
            "Enabled" => "obeyed, and on without a word",
            _ => "obeyed",
        },
        "featureGates[RawResourceStatusCollection]" => {
            "each FederatedTypeConfig's statusCollection says it"
        }
        "featureGates[CrossClusterServiceDiscovery]" | "featureGates[FederatedIngress]" => {
            match value {
                "Enabled" => "always on",
                _ => "NOT OBEYED: records that are there are served",
            }
        }
        ours if ["failover", "failback", "brake", "deletionGrace"]
            .iter()
            .any(|field| ours.starts_with(field)) =>
        {
            "obeyed"
        }
        _ => "NOT KNOWN to meridian, and ignored",
    };
    fate.to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    /// What KubeFed's chart writes.
    fn chart() -> Value {
        json!({"scope": "Cluster",
            "controllerDuration": {"availableDelay": "20s", "unavailableDelay": "60s",
                "cacheSyncTimeout": "5m"},
            "leaderElect": {"leaseDuration": "15s", "renewDeadline": "10s", "retryPeriod": "5s",
                "resourceLock": "configmaps"},
            "clusterHealthCheck": {"period": "10s", "failureThreshold": 3, "successThreshold": 1,
                "timeout": "3s"},
            "syncController": {"maxConcurrentReconciles": 1, "adoptResources": "Enabled"},
            "statusController": {"maxConcurrentReconciles": 1},
            "featureGates": [{"name": "PushReconciler", "configuration": "Enabled"},
                {"name": "SchedulerPreferences", "configuration": "Disabled"}]})
    }

    #[test]
    fn every_value_of_the_chart_is_obeyed_or_reported_and_none_is_unknown() {
        let mut rows = Vec::new();
        leaves("spec", &chart(), &mut rows);
        assert_eq!(rows.len(), 17);
        assert!(
            rows.iter().all(|row| !row.fate.contains("NOT KNOWN")),
            "{rows:#?}"
        );
        assert!(rows.iter().all(|row| row.is_followed()), "{rows:#?}");
        let lock = rows.iter().find(|row| row.path.ends_with("resourceLock"));
        assert_eq!(lock.expect("told").fate, "read as leases");
    }

    #[test]
    fn a_value_that_nobody_knows_is_reported() {
        let mut rows = Vec::new();
        leaves(
            "spec",
            &json!({"syncController": {"speed": "high"}}),
            &mut rows,
        );
        assert_eq!(rows[0].path, "spec.syncController.speed");
        assert!(rows[0].fate.starts_with("NOT KNOWN"));
        assert!(!rows[0].is_followed());
    }
}
