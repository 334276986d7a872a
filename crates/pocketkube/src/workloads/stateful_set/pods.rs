//! Pods of a StatefulSet: their names, labels and volumes.

use super::claims;
use crate::object::{label, name, namespace};
use crate::workloads::claim::controller_reference;
use crate::workloads::revision;
use serde_json::{Map, Value, json};

/// Label of Pods: their own name.
const POD_NAME: &str = "statefulset.kubernetes.io/pod-name";
/// Label of Pods: their ordinal.
const POD_INDEX: &str = "apps.kubernetes.io/pod-index";

/// The ordinal of a Pod whose name is one of the set's.
pub(super) fn ordinal_in(set: &Value, pod: &Value) -> Option<i64> {
    let (parent, ordinal) = name(pod).rsplit_once('-')?;
    let digits = !ordinal.is_empty() && ordinal.bytes().all(|byte| byte.is_ascii_digit());
    (parent == name(set) && digits).then(|| ordinal.parse().ok())?
}

/// Name of the Pod of an ordinal.
pub(super) fn name_of(set: &Value, ordinal: i64) -> String {
    format!("{}-{ordinal}", name(set))
}

/// The Pod of an ordinal as a revision's template asks for it.
pub(super) fn of_revision(set: &Value, of: &Value, ordinal: i64) -> Value {
    let template = revision::template(of);
    let own_name = name_of(set, ordinal);
    let mut labels = template["metadata"]["labels"].clone();
    labels[POD_NAME] = json!(own_name);
    labels[POD_INDEX] = json!(ordinal.to_string());
    labels[revision::HASH] = json!(name(of));
    let mut metadata = Map::new();
    metadata.insert("name".to_owned(), json!(own_name));
    metadata.insert("generateName".to_owned(), json!(format!("{}-", name(set))));
    metadata.insert("namespace".to_owned(), json!(namespace(set)));
    metadata.insert("labels".to_owned(), labels);
    for field in ["annotations", "finalizers"] {
        if let Some(value) = template["metadata"].get(field).filter(|v| !v.is_null()) {
            metadata.insert(field.to_owned(), value.clone());
        }
    }
    let owner = controller_reference(set);
    metadata.insert("ownerReferences".to_owned(), json!([owner]));
    let mut spec = template["spec"].clone();
    spec["hostname"] = json!(own_name);
    if set["spec"]["serviceName"]
        .as_str()
        .is_some_and(|service| !service.is_empty())
    {
        spec["subdomain"] = set["spec"]["serviceName"].clone();
    }
    claims::mount(set, ordinal, &mut spec);
    json!({"apiVersion": "v1", "kind": "Pod", "metadata": metadata, "spec": spec})
}

/// A Pod with the labels of its identity, if it lost one.
pub(super) fn mended(pod: &Value) -> Option<Value> {
    if label(pod, POD_NAME) == Some(name(pod)) {
        return None;
    }
    let mut mended = pod.clone();
    let ordinal = name(pod)
        .rsplit_once('-')
        .map_or("", |(_, ordinal)| ordinal);
    mended["metadata"]["labels"][POD_NAME] = json!(name(pod));
    mended["metadata"]["labels"][POD_INDEX] = json!(ordinal);
    Some(mended)
}
