//! The CRD of a Federated\<Kind>, generated from its target.

use crate::{FederatedType, Scope};
use k8s_openapi::apiextensions_apiserver::pkg::apis::apiextensions::v1::CustomResourceDefinition;
use serde_json::{Value, json};

/// Overrides of one object. The API server bounds the cost of the uniqueness rule, which grows with
/// its square.
const OVERRIDES_MAX: usize = 256;
/// Patches of one override.
const PATCHES_MAX: usize = 100;
/// Steps of a rollout.
const STEPS_MAX: usize = 64;
/// Named clusters of a placement, and clusters of a status.
const CLUSTERS_MAX: usize = 5000;

/// What a kind adds to the plain federated type.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Replicas {
    /// The target has `spec.replicas`: `retainReplicas` makes sense.
    Counted,
    /// It has not.
    None,
}

/// The CRD of a federated type, whose template may be anything. `short_name` is what `kubectl get`
/// takes besides the plural.
pub fn federated_crd(
    federated: &FederatedType,
    short_name: Option<&str>,
    replicas: Replicas,
) -> CustomResourceDefinition {
    let any = json!({"type": "object", "x-kubernetes-preserve-unknown-fields": true});
    federated_crd_with(federated, short_name, replicas, any)
}

/// The same with a schema for the template: see [`crate::template_schema`].
pub fn federated_crd_with(
    federated: &FederatedType,
    short_name: Option<&str>,
    replicas: Replicas,
    template: Value,
) -> CustomResourceDefinition {
    let resource = &federated.federated;
    let scope = match federated.federated_namespaced {
        true => Scope::Namespaced,
        false => Scope::Cluster,
    };
    let mut names = json!({
        "kind": resource.kind,
        "listKind": format!("{}List", resource.kind),
        "plural": resource.plural,
        "singular": resource.kind.to_lowercase(),
        "categories": ["federated"],
    });
    if let Some(short_name) = short_name {
        names["shortNames"] = json!([short_name]);
    }
    let crd = json!({
        "apiVersion": "apiextensions.k8s.io/v1",
        "kind": "CustomResourceDefinition",
        "metadata": {"name": format!("{}.{}", resource.plural, resource.group)},
        "spec": {
            "group": resource.group,
            "scope": scope,
            "names": names,
            "versions": [{
                "name": resource.version,
                "served": true,
                "storage": true,
                "subresources": {"status": {}},
                "additionalPrinterColumns": printer_columns(),
                "schema": {"openAPIV3Schema": schema(&federated.target.kind, replicas, template)}
            }]
        }
    });
    serde_json::from_value(crd).expect("the generated CRD has the shape of a CRD")
}

fn printer_columns() -> Value {
    let condition = |field: &str| format!(".status.conditions[?(@.type=='Propagation')].{field}");
    json!([
        {"name": "ready", "type": "string", "jsonPath": ".status.summary.ready"},
        {"name": "clusters", "type": "string", "jsonPath": ".status.summary.clusters"},
        {"name": "propagated", "type": "string", "jsonPath": condition("status"), "priority": 1},
        {"name": "reason", "type": "string", "jsonPath": condition("reason"), "priority": 1},
        {"name": "age", "type": "date", "jsonPath": ".metadata.creationTimestamp"}
    ])
}

fn schema(target_kind: &str, replicas: Replicas, mut template: Value) -> Value {
    let text = format!("The {target_kind} that is propagated, before overrides.");
    template["description"] = text.into();
    let mut spec = json!({
        "type": "object",
        "properties": {
            "template": template,
            "placement": placement(),
            "overrides": overrides(),
            "rollout": rollout()
        }
    });
    if replicas == Replicas::Counted {
        spec["properties"]["retainReplicas"] = json!({
            "type": "boolean",
            "description": "Replicas are left to whoever sets them in the member, such as an HPA."
        });
    }
    json!({
        "type": "object",
        "description": format!("A {target_kind} in many clusters."),
        "required": ["spec"],
        "properties": {
            "apiVersion": {"type": "string"},
            "kind": {"type": "string"},
            "metadata": {"type": "object"},
            "spec": spec,
            "status": status()
        }
    })
}

fn placement() -> Value {
    json!({
        "type": "object",
        "description": "Where to. With clusters given, even none, the selector is not read.",
        "properties": {
            "clusters": {
                "type": "array", "maxItems": CLUSTERS_MAX,
                "items": {
                    "type": "object", "required": ["name"],
                    "properties": {"name": {"type": "string", "minLength": 1, "maxLength": 253}}
                }
            },
            "clusterSelector": selector()
        }
    })
}

fn rollout() -> Value {
    json!({
        "type": "object",
        "description": "In which order clusters get a changed template; absent is all at once.",
        "properties": {
            "order": {
                "type": "array", "maxItems": STEPS_MAX,
                "description": "Steps. A cluster is in the first that names it or matches its \
                                labels; the others come last, together.",
                "items": step()
            },
            "maxClusters": {
                "type": "integer", "format": "int32", "minimum": 1,
                "description": "How many clusters of a step are under way at the same time."
            },
            "pause": {
                "type": "string", "enum": ["AfterAvailable", "Manual"],
                "description": "A step begins when those before are available, and with Manual \
                                when somebody approves it as well."
            },
            "timeoutSeconds": {
                "type": "integer", "format": "int64", "minimum": 1,
                "description": "After how long a step is said to be stalled; 600 when absent."
            }
        }
    })
}

fn step() -> Value {
    let mut step = placement();
    step["description"] = "Clusters by name or by label.".into();
    step
}

fn selector() -> Value {
    json!({
        "type": "object",
        "description": "Clusters by label; {} is every cluster.",
        "properties": {
            "matchLabels": {
                "type": "object", "maxProperties": 64,
                "additionalProperties": {"type": "string", "maxLength": 63}
            },
            "matchExpressions": {
                "type": "array", "maxItems": 64,
                "items": {
                    "type": "object", "required": ["key", "operator"],
                    "properties": {
                        "key": {"type": "string", "minLength": 1, "maxLength": 317},
                        "operator": {
                            "type": "string", "enum": ["In", "NotIn", "Exists", "DoesNotExist"]
                        },
                        "values": {
                            "type": "array", "maxItems": 1000,
                            "items": {"type": "string", "maxLength": 63}
                        }
                    }
                }
            }
        }
    })
}

/// Atomic, since items by selector have no key; what a map would check is checked by CEL.
fn overrides() -> Value {
    json!({
        "type": "array",
        "description": "What differs, per cluster.",
        "maxItems": OVERRIDES_MAX,
        "x-kubernetes-list-type": "atomic",
        "x-kubernetes-validations": [{
            "rule": "self.all(a, !has(a.clusterName) || \
                     self.exists_one(b, has(b.clusterName) && b.clusterName == a.clusterName))",
            "message": "a clusterName appears in two overrides; put all clusterOverrides of one \
                        cluster into one"
        }],
        "items": {
            "type": "object",
            "x-kubernetes-validations": [{
                "rule": "has(self.clusterName) != has(self.clusterSelector)",
                "message": "give either clusterName or clusterSelector"
            }],
            "properties": {
                "clusterName": {"type": "string", "minLength": 1, "maxLength": 253},
                "clusterSelector": selector(),
                "clusterOverrides": {
                    "type": "array",
                    "maxItems": PATCHES_MAX,
                    "x-kubernetes-list-type": "atomic",
                    "items": patch()
                }
            }
        }
    })
}

/// One operation (RFC 6902).
fn patch() -> Value {
    json!({
        "type": "object",
        "required": ["path"],
        "x-kubernetes-validations": [{
            "rule": "!has(self.op) || !(self.op in ['move', 'copy']) || has(self.from)",
            "message": "move and copy need from",
        }],
        "properties": {
            "op": {
                "type": "string",
                "description": "replace when absent.",
                "enum": ["", "add", "remove", "replace", "move", "copy", "test"]
            },
            "path": {
                "type": "string", "minLength": 1, "maxLength": 1024,
                "description": "A JSON Pointer (RFC 6901).",
                "x-kubernetes-validations": [{
                    "rule": "self.startsWith('/') && self != '/kind' && self != '/apiVersion' && \
                             self != '/metadata' && \
                             !self.startsWith('/metadata/name') && \
                             !self.startsWith('/metadata/generateName')",
                    "message": "path begins with / and names neither kind, apiVersion nor \
                                metadata's name, namespace or generateName"
                }]
            },
            "from": {"type": "string", "maxLength": 1024},
            "value": {"x-kubernetes-preserve-unknown-fields": true},
            "expand": {
                "type": "boolean",
                "description": "Replace ${cluster.name} and its like in the value's texts."
            }
        }
    })
}

fn status() -> Value {
    json!({
        "type": "object",
        "properties": {
            "observedGeneration": {"type": "integer", "format": "int64"},
            "conditions": {
                "type": "array", "maxItems": 32,
                "items": {
                    "type": "object", "required": ["type", "status"],
                    "properties": {
                        "type": {"type": "string"},
                        "status": {"type": "string"},
                        "reason": {"type": "string"},
                        "message": {"type": "string"},
                        "lastUpdateTime": {"type": "string", "format": "date-time"},
                        "lastTransitionTime": {"type": "string", "format": "date-time"}
                    }
                }
            },
            "replicas": {"type": "integer", "format": "int64"},
            "readyReplicas": {"type": "integer", "format": "int64"},
            "summary": {
                "type": "object",
                "description": "The same in words, for tables.",
                "properties": {
                    "ready": {"type": "string"},
                    "clusters": {"type": "string"}
                }
            },
            "rollout": {
                "type": "object",
                "description": "How far a changed template is.",
                "properties": {
                    "revision": {"type": "string"},
                    "step": {"type": "integer", "format": "int32"},
                    "steps": {"type": "integer", "format": "int32"},
                    "phase": {"type": "string"},
                    "message": {"type": "string"},
                    "lastTransitionTime": {"type": "string", "format": "date-time"}
                }
            },
            "clusters": {
                "type": "array", "maxItems": CLUSTERS_MAX,
                "items": {
                    "type": "object", "required": ["name"],
                    "properties": {
                        "name": {"type": "string"},
                        "replicas": {"type": "integer", "format": "int64"},
                        "readyReplicas": {"type": "integer", "format": "int64"},
                        "status": {"type": "string"},
                        "message": {"type": "string"},
                        "observedHash": {"type": "string"},
                        "remoteStatus": {
                            "type": "object", "x-kubernetes-preserve-unknown-fields": true
                        }
                    }
                }
            }
        }
    })
}
