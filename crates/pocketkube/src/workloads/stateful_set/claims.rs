//! Claims of a StatefulSet's Pods, and who they go with (KEP-1847).

use crate::object::{list, metadata_mut, name, namespace, owner_references, uid};
use crate::workloads::claim::controller_reference;
use serde_json::{Value, json};

/// Whether a Pod is one of the wanted ones.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Standing {
    /// Its ordinal is in the range.
    Wanted,
    /// It is to be scaled away.
    Condemned,
}

/// The claims that the Pod of an ordinal needs.
pub(super) fn of_pod(set: &Value, ordinal: i64) -> Vec<Value> {
    let templates = list(&set["spec"]["volumeClaimTemplates"]).iter();
    templates
        .map(|template| {
            let mut labels = template["metadata"]["labels"].clone();
            let selected = set["spec"]["selector"]["matchLabels"].as_object();
            for (key, value) in selected.into_iter().flatten() {
                labels[key] = value.clone();
            }
            let mut claim = json!({
                "apiVersion": "v1",
                "kind": "PersistentVolumeClaim",
                "metadata": {
                    "name": claim_name(set, template, ordinal),
                    "namespace": namespace(set),
                },
                "spec": template["spec"],
            });
            for (field, value) in [
                ("labels", &labels),
                ("annotations", &template["metadata"]["annotations"]),
            ] {
                if value.is_object() {
                    claim["metadata"][field] = value.clone();
                }
            }
            if policy(set, "whenDeleted") == Fate::Delete {
                claim["metadata"]["ownerReferences"] = json!([controller_reference(set)]);
            }
            claim
        })
        .collect()
}

/// Puts the claims among a Pod's volumes, in the place of others of their names.
pub(super) fn mount(set: &Value, ordinal: i64, spec: &mut Value) {
    let templates = list(&set["spec"]["volumeClaimTemplates"]);
    if templates.is_empty() {
        return;
    }
    let mut volumes: Vec<Value> = templates
        .iter()
        .map(|template| {
            let claim = claim_name(set, template, ordinal);
            json!({"name": name(template), "persistentVolumeClaim": {"claimName": claim}})
        })
        .collect();
    let own = |volume: &&Value| templates.iter().all(|t| volume["name"] != *name(t));
    volumes.extend(list(&spec["volumes"]).iter().filter(own).cloned());
    spec["volumes"] = Value::Array(volumes);
}

/// The claim with the owners that the retention policy asks for, if it has others.
///
/// | whenScaled | whenDeleted | owner while wanted | owner while condemned |
/// |---|---|---|---|
/// | Retain | Retain | none | none |
/// | Retain | Delete | the set | the set |
/// | Delete | Retain | none | the Pod |
/// | Delete | Delete | the set | the Pod |
pub(super) fn owned(set: &Value, pod: &Value, standing: Standing, claim: &Value) -> Option<Value> {
    let (scaled, deleted) = (policy(set, "whenScaled"), policy(set, "whenDeleted"));
    let owner = match (scaled, deleted, standing) {
        (Fate::Delete, _, Standing::Condemned) => Some(pod),
        (_, Fate::Delete, _) => Some(set),
        _ => None,
    };
    let is_own = |reference: &&Value| {
        let kind = reference["kind"].as_str();
        (kind == Some("StatefulSet") && reference["name"] == *name(set))
            || (kind == Some("Pod") && reference["name"] == *name(pod))
    };
    let own: Vec<&Value> = owner_references(claim).iter().filter(is_own).collect();
    let is_right = match (owner, &own[..]) {
        (None, []) => true,
        (Some(owner), [one]) => one["uid"] == *uid(owner) && one["controller"] == true,
        _ => false,
    };
    // What other controllers own, or what an earlier set of this name left, is left alone.
    let is_foreign = owner_references(claim)
        .iter()
        .any(|reference| !is_own(&reference) && reference["controller"] == true);
    let is_stale = own
        .iter()
        .any(|reference| ![uid(set), uid(pod)].contains(&reference["uid"].as_str().unwrap_or("")));
    if is_right || is_foreign || is_stale {
        return None;
    }
    let others = owner_references(claim).iter().filter(|one| !is_own(one));
    let mut references: Vec<Value> = others.cloned().collect();
    references.extend(owner.map(controller_reference));
    let mut object = claim.clone();
    let metadata = metadata_mut(&mut object);
    if references.is_empty() {
        metadata.shift_remove("ownerReferences");
    } else {
        metadata.insert("ownerReferences".to_owned(), Value::Array(references));
    }
    Some(object)
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Fate {
    Retain,
    Delete,
}

fn policy(set: &Value, when: &str) -> Fate {
    let policy = &set["spec"]["persistentVolumeClaimRetentionPolicy"][when];
    if policy == "Delete" {
        Fate::Delete
    } else {
        Fate::Retain
    }
}

fn claim_name(set: &Value, template: &Value, ordinal: i64) -> String {
    format!("{}-{}-{ordinal}", name(template), name(set))
}
