//! What is installed on a host: every CRD, and the FederatedTypeConfigs of the shipped types.

use crate::{
    ClusterOverride, DNSEndpoint, Domain, FederatedType, FederatedTypeConfig,
    FederatedTypeConfigSpec, GlobalService, IngressDNSRecord, KubeFedCluster, KubeFedConfig,
    MemberTombstone, Override, ProbeReport, ReplicaSchedulingPreference, Replicas, Scope,
    ServiceDNSRecord, Switch, TypeResource, Zone, bookkeeping, federated_crd, names, plural_of,
};
use k8s_openapi::apiextensions_apiserver::pkg::apis::apiextensions::v1::CustomResourceDefinition;
use kube::CustomResourceExt;
use serde_json::Value;

/// A type that is federated from the start.
struct Shipped {
    /// Group and version.
    api_version: &'static str,
    kind: &'static str,
    scope: Scope,
    /// As KubeFed derives it: the target's own, behind an `f`.
    short_name: Option<&'static str>,
    replicas: Replicas,
    status: Option<Switch>,
}

/// Kinds whose members' statuses are told on the host are those that somebody waits for.
const SHIPPED: &[Shipped] = &[
    namespaced("v1", "ConfigMap").short("fcm"),
    namespaced("v1", "PersistentVolumeClaim")
        .short("fpvc")
        .collected(),
    namespaced("v1", "Secret"),
    namespaced("v1", "Service").short("fsvc").collected(),
    namespaced("v1", "ServiceAccount").short("fsa"),
    cluster("v1", "Namespace").short("fns"),
    namespaced("apps/v1", "DaemonSet").short("fds").collected(),
    namespaced("apps/v1", "Deployment")
        .short("fdeploy")
        .counted(),
    namespaced("apps/v1", "ReplicaSet").short("frs").counted(),
    namespaced("apps/v1", "StatefulSet").short("fsts").counted(),
    namespaced("autoscaling/v2", "HorizontalPodAutoscaler").short("fhpa"),
    namespaced("batch/v1", "CronJob").short("fcj"),
    namespaced("batch/v1", "Job").collected(),
    namespaced("networking.k8s.io/v1", "Ingress")
        .short("fing")
        .collected(),
    namespaced("networking.k8s.io/v1", "NetworkPolicy").short("fnetpol"),
    namespaced("policy/v1", "PodDisruptionBudget").short("fpdb"),
    cluster("rbac.authorization.k8s.io/v1", "ClusterRole"),
    cluster("rbac.authorization.k8s.io/v1", "ClusterRoleBinding"),
    namespaced("rbac.authorization.k8s.io/v1", "Role"),
    namespaced("rbac.authorization.k8s.io/v1", "RoleBinding"),
];

const fn namespaced(api_version: &'static str, kind: &'static str) -> Shipped {
    Shipped {
        api_version,
        kind,
        scope: Scope::Namespaced,
        short_name: None,
        replicas: Replicas::None,
        status: None,
    }
}

const fn cluster(api_version: &'static str, kind: &'static str) -> Shipped {
    Shipped {
        scope: Scope::Cluster,
        ..namespaced(api_version, kind)
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
        Override::crd(),
        ClusterOverride::crd(),
        GlobalService::crd(),
        ProbeReport::crd(),
        DNSEndpoint::crd(),
        Domain::crd(),
        ServiceDNSRecord::crd(),
        IngressDNSRecord::crd(),
    ];
    let federated = SHIPPED.iter().map(|shipped| {
        federated_crd(
            &shipped.federated_type(),
            shipped.short_name,
            shipped.replicas,
        )
    });
    let ours = ours.into_iter().map(tidy).chain(federated);
    ours.chain(bookkeeping::crds()).collect()
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
    const fn short(self, short_name: &'static str) -> Self {
        Self {
            short_name: Some(short_name),
            ..self
        }
    }

    const fn collected(self) -> Self {
        Self {
            status: Some(Switch::Enabled),
            ..self
        }
    }

    const fn counted(self) -> Self {
        Self {
            replicas: Replicas::Counted,
            ..self.collected()
        }
    }

    fn config(&self) -> FederatedTypeConfig {
        let (group, version) = match self.api_version.split_once('/') {
            Some((group, version)) => (group, version),
            None => ("", self.api_version),
        };
        let plural = plural_of(self.kind);
        let name = match group.is_empty() {
            true => plural.clone(),
            false => format!("{plural}.{group}"),
        };
        let kind = format!("Federated{}", self.kind);
        // FederatedNamespace is namespaced although its target is not, as in KubeFed.
        let scope = match self.kind {
            "Namespace" => Scope::Namespaced,
            _ => self.scope,
        };
        let spec = FederatedTypeConfigSpec {
            target_type: TypeResource {
                group: group.to_owned(),
                version: version.to_owned(),
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
            status_collection: self.status,
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

#[cfg(test)]
mod tests {
    use super::*;

    /// What the annotations of an object may have in all (`TotalAnnotationSizeLimitB` of Kubernetes): `kubectl apply`
    /// without `--server-side` keeps the whole object in one.
    const ANNOTATIONS_BYTES_MAX: usize = 256 << 10;

    #[test]
    fn every_definition_fits_the_annotation_in_which_kubectl_apply_keeps_it() {
        for crd in crds() {
            let bytes = serde_json::to_vec(&crd).expect("a CRD is JSON").len();
            let name = crd.metadata.name.unwrap_or_default();
            assert!(
                bytes < ANNOTATIONS_BYTES_MAX * 9 / 10,
                "{name}: {bytes} bytes"
            );
        }
    }
}
