//! FederatedTypeConfig: which type is federated.

use crate::Error;
use kube::{CustomResource, core::ApiResource};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// A type that is federated: the target in members, and the federated type on the host.
#[derive(CustomResource, JsonSchema, Clone, Debug, PartialEq, Serialize, Deserialize)]
#[kube(
    group = "core.kubefed.io",
    version = "v1beta1",
    kind = "FederatedTypeConfig",
    plural = "federatedtypeconfigs",
    singular = "federatedtypeconfig",
    namespaced,
    shortname = "ftc",
    status = "FederatedTypeConfigStatus",
    derive = "PartialEq",
    doc = "A type that is federated.",
    printcolumn = r#"{"name": "target", "type": "string", "jsonPath": ".spec.targetType.kind"}"#,
    printcolumn = r#"{"name": "propagation", "type": "string", "jsonPath": ".spec.propagation"}"#,
    printcolumn = r#"{"name": "controller", "type": "string", "jsonPath": ".status.propagationController"}"#,
    printcolumn = r#"{"name": "age", "type": "date", "jsonPath": ".metadata.creationTimestamp"}"#
)]
#[serde(rename_all = "camelCase")]
pub struct FederatedTypeConfigSpec {
    /// The type in members. Plural name and group default to `metadata.name`, `<plural>.<group>`.
    pub target_type: TypeResource,
    /// Whether objects are propagated.
    pub propagation: Switch,
    /// The type on the host that holds template, placement and overrides.
    pub federated_type: TypeResource,
    /// KubeFed's status type; accepted, and not needed: statuses live in the federated object.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub status_type: Option<TypeResource>,
    /// Whether members' `status` is collected into the federated object's status.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub status_collection: Option<Switch>,
}

/// Group, version, kind and plural of a type.
#[derive(JsonSchema, Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct TypeResource {
    /// The group; empty for the core group.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    #[schemars(length(max = 253))]
    pub group: String,
    /// The version.
    #[schemars(length(min = 1, max = 63))]
    pub version: String,
    /// The kind, in CamelCase.
    #[schemars(length(min = 1, max = 63))]
    pub kind: String,
    /// The plural; absent, derived from the kind.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    #[schemars(length(max = 63))]
    pub plural_name: String,
    /// Whether objects live in namespaces.
    pub scope: Scope,
}

/// The scope of a type.
#[derive(JsonSchema, Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Scope {
    /// Objects have no namespace.
    Cluster,
    /// Objects live in namespaces.
    Namespaced,
}

/// On or off, in KubeFed's words.
#[derive(JsonSchema, Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Switch {
    /// On.
    Enabled,
    /// Off.
    Disabled,
}

/// What the controller does for the type.
#[derive(JsonSchema, Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct FederatedTypeConfigStatus {
    /// The generation that was acted on.
    #[serde(default)]
    pub observed_generation: i64,
    /// Whether objects of the type are being propagated.
    pub propagation_controller: ControllerStatus,
    /// Whether statuses are being collected.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub status_controller: Option<ControllerStatus>,
}

/// Whether a controller runs.
#[derive(JsonSchema, Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum ControllerStatus {
    /// It does.
    Running,
    /// It does not.
    NotRunning,
}

/// A federated type, read: both resources with every default filled in.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct FederatedType {
    /// The type in members.
    pub target: ApiResource,
    /// The type on the host.
    pub federated: ApiResource,
    /// Whether targets live in namespaces.
    pub target_namespaced: bool,
    /// Whether federated objects live in namespaces; FederatedNamespace does, its target does not.
    pub federated_namespaced: bool,
    /// Whether members' `status` is collected.
    pub collects_status: bool,
}

impl FederatedType {
    /// Whether the target is the Namespace of the core group.
    pub fn is_namespace(&self) -> bool {
        self.target.group.is_empty() && self.target.kind == "Namespace"
    }

    /// Whether the targets define types.
    pub fn is_definition(&self) -> bool {
        self.target.group == "apiextensions.k8s.io"
            && self.target.kind == "CustomResourceDefinition"
    }
}

impl FederatedTypeConfig {
    /// The type with KubeFed's defaults: plural and group of the target from the object's name.
    ///
    /// # Errors
    /// [`Error`] for a federated type outside `types.kubefed.io` names no group or equals its target.
    pub fn read(&self) -> Result<FederatedType, Error> {
        let name = self.metadata.name.as_deref().unwrap_or_default();
        let (plural, group) = name.split_once('.').unwrap_or((name, ""));
        let mut target = self.spec.target_type.clone();
        if target.plural_name.is_empty() {
            target.plural_name = plural.to_owned();
        }
        if target.group.is_empty() {
            target.group = group.to_owned();
        }
        let mut federated = self.spec.federated_type.clone();
        if federated.plural_name.is_empty() {
            federated.plural_name = plural_of(&federated.kind);
        }
        if federated.group.is_empty() {
            return Err(Error::missing("spec.federatedType.group"));
        }
        if federated.group == target.group && federated.kind == target.kind {
            return Err(Error::invalid(
                "spec.federatedType.kind",
                format!("{} cannot be its own federated type", target.kind),
            ));
        }
        let target_namespaced = target.scope == Scope::Namespaced;
        let read = FederatedType {
            federated_namespaced: target_namespaced
                || (target.group.is_empty() && target.kind == "Namespace"),
            target_namespaced,
            collects_status: self.spec.status_collection == Some(Switch::Enabled),
            target: target.resource(),
            federated: federated.resource(),
        };
        Ok(read)
    }
}

impl TypeResource {
    /// The same, as kube's clients take it.
    pub fn resource(&self) -> ApiResource {
        let api_version = match self.group.is_empty() {
            true => self.version.clone(),
            false => format!("{}/{}", self.group, self.version),
        };
        ApiResource {
            group: self.group.clone(),
            version: self.version.clone(),
            api_version,
            kind: self.kind.clone(),
            plural: self.plural_name.clone(),
        }
    }
}

/// The plural of a kind by KubeFed's rule.
pub fn plural_of(kind: &str) -> String {
    let kind = kind.to_lowercase();
    match kind.strip_suffix('y') {
        Some(stem) => format!("{stem}ies"),
        None if ["s", "x", "ch", "sh", "z", "o"]
            .iter()
            .any(|end| kind.ends_with(end)) =>
        {
            format!("{kind}es")
        }
        None => format!("{kind}s"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn plurals_follow_kubefeds_rule() {
        for (kind, plural) in [
            ("FederatedIngress", "federatedingresses"),
            ("FederatedNetworkPolicy", "federatednetworkpolicies"),
            ("FederatedConfigMap", "federatedconfigmaps"),
        ] {
            assert_eq!(plural_of(kind), plural);
        }
    }

    #[test]
    fn plural_and_group_of_the_target_come_from_the_name() {
        let config: FederatedTypeConfig = serde_json::from_value(serde_json::json!({
            "apiVersion": "core.kubefed.io/v1beta1", "kind": "FederatedTypeConfig",
            "metadata": {"name": "deployments.apps"},
            "spec": {
                "targetType": {"version": "v1", "kind": "Deployment", "scope": "Namespaced"},
                "propagation": "Enabled",
                "federatedType": {"group": "types.kubefed.io", "version": "v1beta1",
                    "kind": "FederatedDeployment", "scope": "Namespaced"}
            }
        }))
        .unwrap();
        let read = config.read().unwrap();
        assert_eq!(read.target.plural, "deployments");
        assert_eq!(read.target.api_version, "apps/v1");
        assert_eq!(read.federated.plural, "federateddeployments");
    }
}
