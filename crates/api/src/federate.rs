//! An existing object as the template of a federated one: without what its cluster gave it.

use serde_json::{Map, Value, json};

use crate::{FederatedType, names};

/// Annotations that controllers write for one cluster alone.
const LOCAL_ANNOTATIONS: &[&str] = &[
    "deployment.kubernetes.io/revision",
    "deprecated.daemonset.template.generation",
    "batch.kubernetes.io/job-tracking",
    "pv.kubernetes.io/bind-completed",
    "pv.kubernetes.io/bound-by-controller",
    "volume.beta.kubernetes.io/storage-provisioner",
    "volume.kubernetes.io/storage-provisioner",
    "volume.kubernetes.io/selected-node",
    names::ANNOTATION_APPLIED_HASH,
    names::ANNOTATION_LAST_APPLIED,
    names::ANNOTATION_ORIGIN,
];

/// Labels that the Job controller writes, with the uid of one cluster's Job.
const JOB_LABELS: &[&str] = &[
    "controller-uid",
    "batch.kubernetes.io/controller-uid",
    "job-name",
    "batch.kubernetes.io/job-name",
];

/// The federated object of an existing one, placed in every member.
pub fn federate(object: &Value, federated: &FederatedType) -> Value {
    let metadata = &object["metadata"];
    let mut identity = json!({"name": metadata["name"]});
    let namespace = match federated.is_namespace() {
        true => &metadata["name"],
        false => &metadata["namespace"],
    };
    if federated.federated_namespaced {
        identity["namespace"] = namespace.clone();
    }
    json!({
        "apiVersion": federated.federated.api_version,
        "kind": federated.federated.kind,
        "metadata": identity,
        "spec": {
            "template": template(object),
            "placement": {"clusterSelector": {}},
        },
    })
}

/// What of an object is its author's: labels, annotations and all below but `status`.
fn template(object: &Value) -> Value {
    let mut template = object.as_object().cloned().unwrap_or_default();
    for key in ["apiVersion", "kind", "status", "metadata"] {
        template.remove(key);
    }
    let kind = object["kind"].as_str().unwrap_or_default();
    if let Some(spec) = template.get_mut("spec").and_then(Value::as_object_mut) {
        strip_spec(kind, spec);
    }
    if template.get("spec").is_some_and(|spec| spec == &json!({})) {
        template.remove("spec");
    }
    if kind == "ServiceAccount" {
        // Tokens of this cluster.
        template.remove("secrets");
    }
    let metadata = described(&object["metadata"], kind);
    if !metadata.is_empty() {
        template.insert("metadata".to_owned(), metadata.into());
    }
    template.into()
}

/// Labels and annotations that are not one cluster's own.
fn described(metadata: &Value, kind: &str) -> Map<String, Value> {
    let mut kept = Map::new();
    for key in ["labels", "annotations"] {
        let Some(mut values) = metadata[key].as_object().cloned() else {
            continue;
        };
        values.retain(|name, _| {
            let is_local = LOCAL_ANNOTATIONS.contains(&name.as_str())
                || name == names::LABEL_MANAGED
                || (kind == "Job" && JOB_LABELS.contains(&name.as_str()))
                || (kind == "Namespace" && name == "kubernetes.io/metadata.name");
            !is_local
        });
        if !values.is_empty() {
            kept.insert(key.to_owned(), values.into());
        }
    }
    kept
}

/// Takes out what the API server and controllers of one cluster chose.
fn strip_spec(kind: &str, spec: &mut Map<String, Value>) {
    let chosen: &[&str] = match kind {
        "Namespace" => &["finalizers"],
        "Service" => &["clusterIP", "clusterIPs", "healthCheckNodePort"],
        "PersistentVolumeClaim" => &["volumeName"],
        _ => &[],
    };
    for key in chosen {
        // A headless Service is its author's choice.
        if spec.get(*key).is_some_and(|value| !is_headless(value)) {
            spec.remove(*key);
        }
    }
    if kind == "Service" {
        let ports = spec.get_mut("ports").and_then(Value::as_array_mut);
        for port in ports.into_iter().flatten().filter_map(Value::as_object_mut) {
            port.remove("nodePort");
        }
    }
    if kind == "Job" {
        strip_job(spec);
    }
    if let Some(metadata) = spec
        .get_mut("template")
        .and_then(|template| template.get_mut("metadata"))
        .and_then(Value::as_object_mut)
    {
        // Objects that were serialized by Go have it, always null.
        metadata.remove("creationTimestamp");
    }
}

/// A Job's selector is made for each Job anew unless its author took that over.
fn strip_job(spec: &mut Map<String, Value>) {
    if spec.get("manualSelector") == Some(&Value::Bool(true)) {
        return;
    }
    spec.remove("selector");
    let labels = spec
        .get_mut("template")
        .and_then(|template| template["metadata"]["labels"].as_object_mut());
    if let Some(labels) = labels {
        labels.retain(|name, _| !JOB_LABELS.contains(&name.as_str()));
    }
}

fn is_headless(value: &Value) -> bool {
    value == "None" || value == &json!(["None"])
}

#[cfg(test)]
mod tests {
    use super::*;

    fn federated(kind: &str, scope: &str) -> FederatedType {
        let config: crate::FederatedTypeConfig = serde_json::from_value(json!({
            "apiVersion": "core.kubefed.io/v1beta1", "kind": "FederatedTypeConfig",
            "metadata": {"name": crate::plural_of(kind)},
            "spec": {
                "targetType": {"version": "v1", "kind": kind, "scope": scope},
                "propagation": "Enabled",
                "federatedType": {"group": "types.kubefed.io", "version": "v1beta1",
                    "kind": format!("Federated{kind}"), "scope": "Namespaced"}
            }
        }))
        .expect("a config");
        config.read().expect("a type")
    }

    #[test]
    fn a_service_loses_what_its_cluster_chose_and_keeps_what_its_author_wrote() {
        let service = json!({
            "apiVersion": "v1", "kind": "Service",
            "metadata": {
                "name": "web", "namespace": "shop", "uid": "1", "resourceVersion": "7",
                "labels": {"app": "web"},
                "annotations": {names::ANNOTATION_LAST_APPLIED: "{}"},
                "managedFields": []
            },
            "spec": {
                "clusterIP": "10.0.0.7", "clusterIPs": ["10.0.0.7"], "type": "NodePort",
                "ports": [{"port": 80, "nodePort": 30080}]
            },
            "status": {"loadBalancer": {}}
        });
        assert_eq!(
            federate(&service, &federated("Service", "Namespaced")),
            json!({
                "apiVersion": "types.kubefed.io/v1beta1", "kind": "FederatedService",
                "metadata": {"name": "web", "namespace": "shop"},
                "spec": {
                    "template": {
                        "spec": {"type": "NodePort", "ports": [{"port": 80}]},
                        "metadata": {"labels": {"app": "web"}}
                    },
                    "placement": {"clusterSelector": {}}
                }
            })
        );
    }

    #[test]
    fn a_headless_service_stays_one() {
        let service = json!({"kind": "Service", "metadata": {"name": "x", "namespace": "y"},
            "spec": {"clusterIP": "None", "clusterIPs": ["None"]}});
        let made = federate(&service, &federated("Service", "Namespaced"));
        assert_eq!(made["spec"]["template"]["spec"]["clusterIP"], "None");
    }

    #[test]
    fn a_namespace_becomes_a_federated_namespace_inside_itself() {
        let namespace = json!({"apiVersion": "v1", "kind": "Namespace",
            "metadata": {"name": "shop", "labels": {"kubernetes.io/metadata.name": "shop"}},
            "spec": {"finalizers": ["kubernetes"]}, "status": {"phase": "Active"}});
        let made = federate(&namespace, &federated("Namespace", "Cluster"));
        assert_eq!(
            made["metadata"],
            json!({"name": "shop", "namespace": "shop"})
        );
        assert_eq!(made["spec"]["template"], json!({}));
    }

    #[test]
    fn a_job_loses_its_own_selector_but_not_its_authors() {
        let labels = json!({"app": "x", "controller-uid": "1", "job-name": "x"});
        let mut job = json!({"kind": "Job", "metadata": {"name": "x", "namespace": "y"},
            "spec": {"selector": {"matchLabels": {"controller-uid": "1"}},
                "template": {"metadata": {"labels": labels, "creationTimestamp": null}}}});
        let of = federated("Job", "Namespaced");
        let spec = |job: &Value| federate(job, &of)["spec"]["template"]["spec"].clone();
        assert_eq!(
            spec(&job),
            json!({"template": {"metadata": {"labels": {"app": "x"}}}})
        );
        job["spec"]["manualSelector"] = true.into();
        assert!(spec(&job)["selector"].is_object());
    }
}
