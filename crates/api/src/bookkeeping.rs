//! KubeFed's own bookkeeping: kinds that are accepted and ignored, so that what holds them applies.

use k8s_openapi::apiextensions_apiserver::pkg::apis::apiextensions::v1::CustomResourceDefinition;
use serde_json::json;

/// The group and version of all of them.
const GROUP: &str = "core.kubefed.io";
const VERSION: &str = "v1alpha1";

/// A kind of which nothing is read.
struct Ignored {
    kind: &'static str,
    plural: &'static str,
    scope: &'static str,
    what: &'static str,
}

const IGNORED: [Ignored; 3] = [
    Ignored {
        kind: "PropagatedVersion",
        plural: "propagatedversions",
        scope: "Namespaced",
        what: "Which version of an object KubeFed had propagated; accepted and not read.",
    },
    Ignored {
        kind: "ClusterPropagatedVersion",
        plural: "clusterpropagatedversions",
        scope: "Cluster",
        what: "Which version of an object KubeFed had propagated; accepted and not read.",
    },
    Ignored {
        kind: "FederatedServiceStatus",
        plural: "federatedservicestatuses",
        scope: "Namespaced",
        what: "What KubeFed had collected of a Service; accepted and not read.",
    },
];

/// Their CRDs; any field is kept.
pub(crate) fn crds() -> Vec<CustomResourceDefinition> {
    IGNORED.iter().map(crd).collect()
}

fn crd(ignored: &Ignored) -> CustomResourceDefinition {
    let Ignored {
        kind,
        plural,
        scope,
        what,
    } = ignored;
    let singular = kind.to_lowercase();
    let schema = json!({"description": what, "type": "object",
        "x-kubernetes-preserve-unknown-fields": true});
    let version = json!({"name": VERSION, "served": true, "storage": true,
        "subresources": {"status": {}}, "schema": {"openAPIV3Schema": schema}});
    let crd = json!({
        "metadata": {"name": format!("{plural}.{GROUP}")},
        "spec": {"group": GROUP, "scope": scope, "versions": [version],
            "names": {"kind": kind, "listKind": format!("{kind}List"), "plural": plural,
                "singular": singular}}});
    serde_json::from_value(crd).expect("a CRD")
}
