//! What is installed on a host: every CRD, and the FederatedTypeConfigs of the shipped types.

use crate::{
    FederatedType, FederatedTypeConfig, FederatedTypeConfigSpec, GlobalService, KubeFedCluster,
    KubeFedConfig, MemberTombstone, ProbeReport, ReplicaSchedulingPreference, Replicas, Scope,
    Switch, TypeResource, Zone, federated_crd, names, plural_of,
};
use k8s_openapi::apiextensions_apiserver::pkg::apis::apiextensions::v1::CustomResourceDefinition;
use kube::CustomResourceExt;
use serde_json::Value;

/// A type that is federated from the start.
struct Shipped {
    group: &'static str,
    kind: &'static str,
    scope: Scope,
    short_name: Option<&'static str>,
    replicas: Replicas,
}

const SHIPPED: &[Shipped] = &[
    shipped(
        "",
        "ConfigMap",
        Scope::Namespaced,
        Some("fcm"),
        Replicas::None,
    ),
    shipped(
        "apps",
        "Deployment",
        Scope::Namespaced,
        Some("fdeploy"),
        Replicas::Counted,
    ),
    shipped("", "Namespace", Scope::Cluster, Some("fns"), Replicas::None),
    shipped("", "Secret", Scope::Namespaced, None, Replicas::None),
    shipped(
        "",
        "Service",
        Scope::Namespaced,
        Some("fsvc"),
        Replicas::None,
    ),
];

const fn shipped(
    group: &'static str,
    kind: &'static str,
    scope: Scope,
    short_name: Option<&'static str>,
    replicas: Replicas,
) -> Shipped {
    Shipped {
        group,
        kind,
        scope,
        short_name,
        replicas,
    }
}

/// Every CRD, ready to be applied to a host.
pub fn crds() -> Vec<CustomResourceDefinition> {
    let ours = [
        KubeFedCluster::crd(),
        KubeFedConfig::crd(),
        FederatedTypeConfig::crd(),
        ReplicaSchedulingPreference::crd(),
        MemberTombstone::crd(),
        Zone::crd(),
        GlobalService::crd(),
        ProbeReport::crd(),
    ];
    let federated = SHIPPED.iter().map(|shipped| {
        federated_crd(
            &shipped.federated_type(),
            shipped.short_name,
            shipped.replicas,
        )
    });
    ours.into_iter().map(tidy).chain(federated).collect()
}

/// The FederatedTypeConfigs of the shipped types, for a system namespace.
pub fn federated_type_configs(namespace: &str) -> Vec<FederatedTypeConfig> {
    let configs = SHIPPED.iter().map(|shipped| {
        let mut config = shipped.config();
        config.metadata.namespace = Some(namespace.to_owned());
        config
    });
    configs.collect()
}

impl Shipped {
    fn config(&self) -> FederatedTypeConfig {
        let plural = plural_of(self.kind);
        let name = match self.group.is_empty() {
            true => plural.clone(),
            false => format!("{plural}.{}", self.group),
        };
        let kind = format!("Federated{}", self.kind);
        // FederatedNamespace is namespaced although its target is not, as in KubeFed.
        let scope = match self.kind {
            "Namespace" => Scope::Namespaced,
            _ => self.scope,
        };
        let collects = self.replicas == Replicas::Counted || self.kind == "Service";
        let spec = FederatedTypeConfigSpec {
            target_type: TypeResource {
                group: self.group.to_owned(),
                version: "v1".to_owned(),
                kind: self.kind.to_owned(),
                plural_name: plural,
                scope: self.scope,
            },
            propagation: Switch::Enabled,
            federated_type: TypeResource {
                group: names::TYPES_GROUP.to_owned(),
                version: names::TYPES_VERSION.to_owned(),
                plural_name: plural_of(&kind),
                kind,
                scope,
            },
            status_type: None,
            status_collection: collects.then_some(Switch::Enabled),
        };
        FederatedTypeConfig::new(&name, spec)
    }

    fn federated_type(&self) -> FederatedType {
        self.config().read().expect("the shipped types are right")
    }
}

/// Takes out what schemars writes and an API server does not know: formats of unsigned numbers,
/// and defaults, which would be written into users' objects.
fn tidy(crd: CustomResourceDefinition) -> CustomResourceDefinition {
    let mut value = serde_json::to_value(crd).expect("a CRD is JSON");
    let versions = value["spec"]["versions"].as_array_mut();
    for version in versions.expect("a CRD has versions") {
        tidy_schema(&mut version["schema"]["openAPIV3Schema"]);
    }
    serde_json::from_value(value).expect("it still is a CRD")
}

fn tidy_schema(schema: &mut Value) {
    let Some(fields) = schema.as_object_mut() else {
        return;
    };
    fields.remove("default");
    let format = fields.get("format").and_then(Value::as_str);
    if format.is_some_and(|format| format.starts_with("uint") || format == "int8") {
        fields.remove("format");
    }
    for child in ["items", "additionalProperties"] {
        if let Some(schema) = fields.get_mut(child) {
            tidy_schema(schema);
        }
    }
    let properties = fields.get_mut("properties").and_then(Value::as_object_mut);
    for schema in properties
        .into_iter()
        .flat_map(|properties| properties.values_mut())
    {
        tidy_schema(schema);
    }
}
