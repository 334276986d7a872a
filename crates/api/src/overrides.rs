//! Override and ClusterOverride: an operator's word over the health of endpoints, with an end.

use crate::{Condition, Error, key_of, schema};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;
use kube::{CustomResource, core::ObjectMeta};
use model::ObjectKey;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use steering::{Force, OnExpiry, OverrideScope, OverrideSpec as SteeringOverride};

/// Forces endpoints of one GlobalService of the same namespace, or one of its failover branches.
#[derive(CustomResource, JsonSchema, Clone, Debug, PartialEq, Serialize, Deserialize)]
#[kube(
    group = "gslb.meridian.dev",
    version = "v1alpha1",
    kind = "Override",
    plural = "overrides",
    singular = "override",
    namespaced,
    status = "OverrideStatus",
    derive = "PartialEq",
    doc = "Forces endpoints of a global service, or a failover branch of it, up, down or draining.",
    printcolumn = r#"{"name": "service", "type": "string", "jsonPath": ".spec.service"}"#,
    printcolumn = r#"{"name": "branch", "type": "string", "jsonPath": ".spec.branch"}"#,
    printcolumn = r#"{"name": "cluster", "type": "string", "jsonPath": ".spec.cluster"}"#,
    printcolumn = r#"{"name": "force", "type": "string", "jsonPath": ".spec.force"}"#,
    printcolumn = r#"{"name": "in force", "type": "string", "jsonPath": ".status.conditions[?(@.type=='InForce')].status"}"#,
    printcolumn = r#"{"name": "expires", "type": "string", "jsonPath": ".spec.expiresAt"}"#,
    printcolumn = r#"{"name": "owner", "type": "string", "jsonPath": ".spec.owner", "priority": 1}"#,
    printcolumn = r#"{"name": "reason", "type": "string", "jsonPath": ".spec.reason", "priority": 1}"#
)]
#[serde(rename_all = "camelCase")]
#[schemars(extend("x-kubernetes-validations" = [{"rule": "!(has(self.cluster) && has(self.branch))", "message": "give cluster or branch, not both"}]))]
pub struct OverrideSpec {
    /// The GlobalService.
    #[schemars(length(min = 1, max = 253))]
    pub service: String,
    /// Only its endpoints in this cluster.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 253))]
    pub cluster: Option<String>,
    /// A failover branch instead: `Up` has it take over, as a Manual takeover needs.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 63))]
    pub branch: Option<String>,
    /// What is forced, by whom, why and for how long.
    #[serde(flatten)]
    pub terms: OverrideTerms,
}

/// Forces every endpoint in a cluster or a region, whatever the service; in the system namespace.
#[derive(CustomResource, JsonSchema, Clone, Debug, PartialEq, Serialize, Deserialize)]
#[kube(
    group = "gslb.meridian.dev",
    version = "v1alpha1",
    kind = "ClusterOverride",
    plural = "clusteroverrides",
    singular = "clusteroverride",
    namespaced,
    status = "OverrideStatus",
    derive = "PartialEq",
    doc = "Forces every endpoint in a cluster or a region up, down or draining.",
    printcolumn = r#"{"name": "cluster", "type": "string", "jsonPath": ".spec.cluster"}"#,
    printcolumn = r#"{"name": "region", "type": "string", "jsonPath": ".spec.region"}"#,
    printcolumn = r#"{"name": "force", "type": "string", "jsonPath": ".spec.force"}"#,
    printcolumn = r#"{"name": "in force", "type": "string", "jsonPath": ".status.conditions[?(@.type=='InForce')].status"}"#,
    printcolumn = r#"{"name": "expires", "type": "string", "jsonPath": ".spec.expiresAt"}"#,
    printcolumn = r#"{"name": "owner", "type": "string", "jsonPath": ".spec.owner", "priority": 1}"#,
    printcolumn = r#"{"name": "reason", "type": "string", "jsonPath": ".spec.reason", "priority": 1}"#
)]
#[serde(rename_all = "camelCase")]
#[schemars(extend("x-kubernetes-validations" = [{"rule": "has(self.cluster) != has(self.region)", "message": "give exactly one of cluster, region"}]))]
pub struct ClusterOverrideSpec {
    /// The member.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 253))]
    pub cluster: Option<String>,
    /// The region.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 63))]
    pub region: Option<String>,
    /// What is forced, by whom, why and for how long.
    #[serde(flatten)]
    pub terms: OverrideTerms,
}

/// What is forced, by whom, why and for how long.
#[derive(JsonSchema, Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct OverrideTerms {
    /// `Up`: counts as up whatever probes say. `Down`: gets no traffic at all. `Draining`: gets
    /// traffic only when nothing else is left.
    pub force: ForceWord,
    /// Why, for those who read it at night.
    #[schemars(length(min = 1, max = 1024))]
    pub reason: String,
    /// Who answers for it.
    #[schemars(length(min = 1, max = 253))]
    pub owner: String,
    /// When it ends.
    #[schemars(schema_with = "schema::required_time")]
    pub expires_at: Time,
    /// What becomes of it then: `Release`, or `Keep` until it is deleted. When absent, `Down` is kept
    /// and the others are released.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub on_expiry: Option<OnExpiryWord>,
}

/// What an override forces.
#[derive(JsonSchema, Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum ForceWord {
    /// Counts as up.
    Up,
    /// Gets no traffic.
    Down,
    /// Gets traffic only when nothing else is left.
    Draining,
}

/// What becomes of an override when its time is over.
#[derive(JsonSchema, Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum OnExpiryWord {
    /// It is as if it were not there.
    Release,
    /// It keeps its force until it is deleted.
    Keep,
}

/// Whether it has its force.
#[derive(JsonSchema, Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct OverrideStatus {
    /// The generation that it speaks of.
    #[serde(default)]
    pub observed_generation: i64,
    /// `InForce`, and why not.
    #[serde(default)]
    #[schemars(schema_with = "schema::conditions")]
    pub conditions: Vec<Condition>,
}

impl Override {
    /// The override as steering takes it.
    ///
    /// # Errors
    /// [`Error`] with the path of the field that does not read.
    pub fn read(&self) -> Result<SteeringOverride, Error> {
        let key = key_of(&self.metadata);
        let service = ObjectKey::new(&key.namespace, &self.spec.service);
        let scope = match (&self.spec.cluster, &self.spec.branch) {
            (Some(_), Some(_)) => {
                return Err(Error::invalid("spec", "give cluster or branch, not both"));
            }
            (cluster, None) => OverrideScope::Service {
                service,
                cluster: cluster.as_deref().map(Into::into),
            },
            (None, Some(branch)) => OverrideScope::Branch {
                service,
                branch: branch.clone(),
            },
        };
        self.spec.terms.read(key, scope, &self.metadata)
    }
}

impl ClusterOverride {
    /// The override as steering takes it. Its key has no namespace, so that it is told from an
    /// Override of the same name.
    ///
    /// # Errors
    /// [`Error`] with the path of the field that does not read.
    pub fn read(&self) -> Result<SteeringOverride, Error> {
        let scope = match (&self.spec.cluster, &self.spec.region) {
            (Some(cluster), None) => OverrideScope::Cluster(cluster.as_str().into()),
            (None, Some(region)) => OverrideScope::Region(region.as_str().into()),
            _ => {
                return Err(Error::invalid(
                    "spec",
                    "give exactly one of cluster, region",
                ));
            }
        };
        let name = self.metadata.name.as_deref().unwrap_or_default();
        let key = ObjectKey::new("", name);
        self.spec.terms.read(key, scope, &self.metadata)
    }
}

impl OverrideTerms {
    fn read(
        &self,
        key: ObjectKey,
        scope: OverrideScope,
        metadata: &ObjectMeta,
    ) -> Result<SteeringOverride, Error> {
        let created = metadata.creation_timestamp.as_ref();
        let created = created.map_or(0, |time| time.0.as_millisecond());
        let expires = self.expires_at.0.as_millisecond();
        let force = match self.force {
            ForceWord::Up => Force::Up,
            ForceWord::Down => Force::Down,
            ForceWord::Draining => Force::Draining,
        };
        let on_expiry = match (self.on_expiry, force) {
            (Some(OnExpiryWord::Keep), _) | (None, Force::Down) => OnExpiry::Keep,
            (Some(OnExpiryWord::Release), _) | (None, _) => OnExpiry::Release,
        };
        Ok(SteeringOverride {
            key,
            scope,
            force,
            reason: self.reason.clone(),
            owner: self.owner.clone(),
            expires_at_millis: u64::try_from(expires)
                .map_err(|_| Error::invalid("spec.expiresAt", "a time after 1970"))?,
            on_expiry,
            created_millis: u64::try_from(created).unwrap_or(0),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::{Value, from_value, json};

    fn read(spec: Value) -> Result<SteeringOverride, Error> {
        let object = json!({"apiVersion": "gslb.meridian.dev/v1alpha1", "kind": "Override",
            "metadata": {"namespace": "shop", "name": "o"}, "spec": spec});
        from_value::<Override>(object).unwrap().read()
    }

    #[test]
    fn down_is_kept_when_it_ends_and_the_others_are_released_unless_it_says_otherwise() {
        for (force, on_expiry, expected) in [
            ("Down", None, OnExpiry::Keep),
            ("Up", None, OnExpiry::Release),
            ("Draining", None, OnExpiry::Release),
            ("Down", Some("Release"), OnExpiry::Release),
            ("Up", Some("Keep"), OnExpiry::Keep),
        ] {
            let spec = json!({"service": "shop", "force": force, "reason": "r", "owner": "o",
                "expiresAt": "2030-01-01T00:00:00Z", "onExpiry": on_expiry});
            assert_eq!(
                read(spec).unwrap().on_expiry,
                expected,
                "{force} {on_expiry:?}"
            );
        }
    }

    #[test]
    fn a_branch_and_a_cluster_are_two_things() {
        let spec = json!({"service": "shop", "force": "Up", "reason": "r", "owner": "o",
            "expiresAt": "2030-01-01T00:00:00Z", "branch": "b", "cluster": "c"});
        assert!(read(spec).is_err());
    }
}
