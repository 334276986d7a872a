//! Volumes and claims: which volume a claim gets, volumes made for claims, and what becomes of
//! them (`pv_controller.go` of the real one, and a provisioner).
//!
//! | room | what it decides |
//! |---|---|
//! | here | one look at a claim, and one at a volume |
//! | [`choice`] | which volume fits a claim |
//!
//! One look makes one step of the road, so that each write is of what was seen:
//! protected → class → volume taken (or made) → claim bound → both say so.

mod choice;
#[cfg(test)]
mod tests;

use super::status::differs;
use super::step::{Creation, Deletion, Note, Severity, Step, Write};
use crate::clock::seconds;
use crate::object::{
    annotation, finalizers, is_deleting, list, metadata_mut, name, namespace, uid,
};
use jiff::Timestamp;
use serde_json::{Value, json};

/// Table of PersistentVolumeClaims.
pub(crate) const CLAIMS: &str = "persistentvolumeclaims";
/// Table of PersistentVolumes.
pub(crate) const VOLUMES: &str = "persistentvolumes";
/// Table of StorageClasses.
pub(crate) const CLASSES: &str = "storageclasses.storage.k8s.io";
/// Provisioner of the StorageClasses whose volumes are made here.
pub const PROVISIONER: &str = "pocketkube.dev/volumes";
/// Annotation of claims: the node that their first Pod was chosen.
pub(crate) const SELECTED_NODE: &str = "volume.kubernetes.io/selected-node";
const DEFAULT_CLASS: &str = "storageclass.kubernetes.io/is-default-class";
const BOUND_BY_CONTROLLER: &str = "pv.kubernetes.io/bound-by-controller";
const BIND_COMPLETED: &str = "pv.kubernetes.io/bind-completed";
const PROVISIONED_BY: &str = "pv.kubernetes.io/provisioned-by";
/// Both are still written by the real controller.
const WANTED_PROVISIONERS: [&str; 2] = [
    "volume.beta.kubernetes.io/storage-provisioner",
    "volume.kubernetes.io/storage-provisioner",
];
/// A class whose volumes somebody else makes by hand.
const NO_PROVISIONER: &str = "kubernetes.io/no-provisioner";
const CLAIM_PROTECTION: &str = "kubernetes.io/pvc-protection";
const VOLUME_PROTECTION: &str = "kubernetes.io/pv-protection";
const BINDER: &str = "persistentvolume-controller";

/// What a look at a claim, or at a volume, sees.
#[derive(Debug, Clone, Copy)]
pub(crate) struct View<'a> {
    /// All volumes.
    pub(crate) volumes: &'a [&'a Value],
    /// All StorageClasses.
    pub(crate) classes: &'a [&'a Value],
    /// The present.
    pub(crate) now: Timestamp,
}

/// The class that a cluster starts with: volumes are made when a Pod wants one.
pub(crate) fn default_class() -> Value {
    json!({
        "apiVersion": "storage.k8s.io/v1",
        "kind": "StorageClass",
        "metadata": {"name": "standard", "annotations": {DEFAULT_CLASS: "true"}},
        "provisioner": PROVISIONER,
        "reclaimPolicy": "Delete",
        "volumeBindingMode": "WaitForFirstConsumer",
    })
}

/// Whether a claim waits until a Pod that uses it is scheduled.
pub(crate) fn waits_for_consumer(claim: &Value, classes: &[&Value]) -> bool {
    class_of(claim, classes)
        .is_some_and(|class| class["volumeBindingMode"] == "WaitForFirstConsumer")
}

/// Whether a claim has its volume.
pub(crate) fn is_bound(claim: &Value) -> bool {
    claim["status"]["phase"] == "Bound" && annotation(claim, BIND_COMPLETED).is_some()
}

/// Whether a Pod that has a node, and has not ended, mounts a claim.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Use {
    /// One does.
    Mounted,
    /// None does.
    Free,
}

/// One look at a claim.
pub(crate) fn claim_step(claim: &Value, usage: Use, view: View<'_>) -> Step {
    let mut step = Step::default();
    if let Some(write) = protect(CLAIMS, claim, CLAIM_PROTECTION, usage) {
        step.push(write);
        return step;
    }
    if is_deleting(claim) {
        return step;
    }
    if annotation(claim, BIND_COMPLETED).is_some() {
        report_bound(claim, view, &mut step);
        return step;
    }
    let own = view.volumes.iter().find(|volume| is_for(volume, claim));
    if let Some(volume) = own.copied() {
        step.push(Write::Update(CLAIMS, bound_claim(claim, volume)));
        return step;
    }
    if claim["spec"]["storageClassName"].is_null()
        && let Some(class) = default_of(view.classes)
    {
        let mut object = claim.clone();
        object["spec"]["storageClassName"] = json!(name(class));
        step.push(Write::Update(CLAIMS, object));
        return step;
    }
    let chosen_node = annotation(claim, SELECTED_NODE).is_some();
    if waits_for_consumer(claim, view.classes) && !chosen_node {
        let message = "waiting for first consumer to be created before binding";
        note(
            claim,
            Severity::Normal,
            "WaitForFirstConsumer",
            message,
            &mut step,
        );
        return step;
    }
    match choice::best(claim, view.volumes) {
        Some(volume) => step.push(Write::Update(VOLUMES, taken_volume(volume, claim))),
        None => provision(claim, view, &mut step),
    }
    step
}

/// One look at a volume; `claim` is the one that its reference names, if that is there.
pub(crate) fn volume_step(volume: &Value, claim: Option<&Value>, view: View<'_>) -> Step {
    let mut step = Step::default();
    let usage = if volume["status"]["phase"] == "Bound" {
        Use::Mounted
    } else {
        Use::Free
    };
    if let Some(write) = protect(VOLUMES, volume, VOLUME_PROTECTION, usage) {
        step.push(write);
        return step;
    }
    let reference = &volume["spec"]["claimRef"];
    let known_uid = reference["uid"].as_str().unwrap_or_default();
    let phase = match claim {
        _ if reference.is_null() || known_uid.is_empty() => "Available",
        Some(claim) if uid(claim) == known_uid => {
            let bound = claim["spec"]["volumeName"] == *name(volume);
            if bound {
                "Bound"
            } else {
                volume["status"]["phase"].as_str().unwrap_or("Available")
            }
        }
        _ => "Released",
    };
    let own = annotation(volume, PROVISIONED_BY) == Some(PROVISIONER);
    let policy = &volume["spec"]["persistentVolumeReclaimPolicy"];
    if phase == "Released" && own && policy == "Delete" && !is_deleting(volume) {
        step.push(Write::Delete(Deletion::of(VOLUMES, volume)));
        return step;
    }
    if volume["status"]["phase"] != phase {
        let mut object = volume.clone();
        object["status"]["phase"] = json!(phase);
        object["status"]["lastPhaseTransitionTime"] = json!(seconds(view.now));
        step.push(Write::UpdateStatus(VOLUMES, object));
    }
    step
}

/// Holds an object by a finalizer until it is free (`pvcprotection` and `pvprotection` of the real
/// controller manager).
fn protect(table: &'static str, object: &Value, finalizer: &str, usage: Use) -> Option<Write> {
    let is_held = finalizers(object).any(|held| held == finalizer);
    let lets_go = is_deleting(object) && usage == Use::Free;
    let mut held = list(&object["metadata"]["finalizers"]).to_vec();
    match (is_held, is_deleting(object)) {
        (false, false) => held.push(json!(finalizer)),
        (true, true) if lets_go => held.retain(|held| *held != *finalizer),
        _ => return None,
    }
    let mut object = object.clone();
    metadata_mut(&mut object).insert("finalizers".to_owned(), Value::Array(held));
    Some(Write::Update(table, object))
}

fn report_bound(claim: &Value, view: View<'_>, step: &mut Step) {
    let wanted = claim["spec"]["volumeName"].as_str().unwrap_or_default();
    let volume = view.volumes.iter().find(|volume| name(volume) == wanted);
    let mut status = claim["status"].clone();
    match volume {
        Some(volume) => {
            status["phase"] = json!("Bound");
            status["accessModes"] = volume["spec"]["accessModes"].clone();
            status["capacity"] = volume["spec"]["capacity"].clone();
        }
        None => status["phase"] = json!("Lost"),
    }
    if !differs(&status, &claim["status"]) {
        return;
    }
    if volume.is_none() {
        let message = "Bound claim has lost its PersistentVolume. Data on the volume is lost!";
        note(claim, Severity::Warning, "ClaimLost", message, step);
    }
    let mut object = claim.clone();
    object["status"] = status;
    step.push(Write::UpdateStatus(CLAIMS, object));
}

/// Makes a volume for a claim, or says who has to.
fn provision(claim: &Value, view: View<'_>, step: &mut Step) {
    let wanted = claim["spec"]["storageClassName"]
        .as_str()
        .unwrap_or_default();
    if wanted.is_empty() {
        let message = "no persistent volumes available for this claim and no storage class is set";
        return note(claim, Severity::Normal, "FailedBinding", message, step);
    }
    let Some(class) = class_of(claim, view.classes) else {
        let message = format!("storageclass.storage.k8s.io {wanted:?} not found");
        return note(
            claim,
            Severity::Warning,
            "ProvisioningFailed",
            &message,
            step,
        );
    };
    let provisioner = class["provisioner"].as_str().unwrap_or_default();
    if provisioner == NO_PROVISIONER {
        return;
    }
    if WANTED_PROVISIONERS
        .iter()
        .any(|key| annotation(claim, key) != Some(provisioner))
    {
        let mut object = claim.clone();
        for key in WANTED_PROVISIONERS {
            annotate(&mut object, key, provisioner);
        }
        step.push(Write::Update(CLAIMS, object));
        return;
    }
    let message = format!(
        "Waiting for a volume to be created either by the external provisioner '{provisioner}' or \
         manually by the system administrator. If volume creation is delayed, please verify that \
         the provisioner is running and correctly registered."
    );
    note(
        claim,
        Severity::Normal,
        "ExternalProvisioning",
        &message,
        step,
    );
    if provisioner == PROVISIONER {
        let volume = made_volume(claim, class);
        let message = format!("Successfully provisioned volume {}", name(&volume));
        step.push(Write::Create(Creation::quiet(VOLUMES, volume)));
        let told = Note::new(
            PROVISIONER,
            claim,
            Severity::Normal,
            "ProvisioningSucceeded",
            message,
        );
        step.push(Write::Event(told));
    }
}

fn made_volume(claim: &Value, class: &Value) -> Value {
    let own_name = format!("pvc-{}", uid(claim));
    json!({
        "apiVersion": "v1",
        "kind": "PersistentVolume",
        "metadata": {"name": own_name, "annotations": {PROVISIONED_BY: PROVISIONER}},
        "spec": {
            "accessModes": claim["spec"]["accessModes"],
            "capacity": {"storage": claim["spec"]["resources"]["requests"]["storage"]},
            "claimRef": reference(claim),
            "csi": {"driver": PROVISIONER, "volumeHandle": own_name},
            "persistentVolumeReclaimPolicy": class["reclaimPolicy"],
            "storageClassName": name(class),
            "volumeMode": claim["spec"]["volumeMode"],
        },
    })
}

fn taken_volume(volume: &Value, claim: &Value) -> Value {
    let mut object = volume.clone();
    object["spec"]["claimRef"] = reference(claim);
    annotate(&mut object, BOUND_BY_CONTROLLER, "yes");
    object
}

fn bound_claim(claim: &Value, volume: &Value) -> Value {
    let mut object = claim.clone();
    if claim["spec"]["volumeName"]
        .as_str()
        .is_none_or(str::is_empty)
    {
        object["spec"]["volumeName"] = json!(name(volume));
        annotate(&mut object, BOUND_BY_CONTROLLER, "yes");
    }
    annotate(&mut object, BIND_COMPLETED, "yes");
    object
}

fn reference(claim: &Value) -> Value {
    json!({
        "apiVersion": "v1",
        "kind": "PersistentVolumeClaim",
        "name": name(claim),
        "namespace": namespace(claim),
        "resourceVersion": claim["metadata"]["resourceVersion"],
        "uid": uid(claim),
    })
}

fn is_for(volume: &Value, claim: &Value) -> bool {
    volume["spec"]["claimRef"]["uid"] == *uid(claim)
}

fn class_of<'a>(claim: &Value, classes: &[&'a Value]) -> Option<&'a Value> {
    let wanted = claim["spec"]["storageClassName"].as_str()?;
    classes.iter().copied().find(|class| name(class) == wanted)
}

/// The newest of the classes that say that they are the default.
fn default_of<'a>(classes: &[&'a Value]) -> Option<&'a Value> {
    let marked = classes
        .iter()
        .filter(|class| annotation(class, DEFAULT_CLASS) == Some("true"));
    let newest = marked.max_by_key(|class| {
        let created = class["metadata"]["creationTimestamp"].as_str();
        (created.unwrap_or_default(), std::cmp::Reverse(name(class)))
    });
    newest.copied()
}

fn annotate(object: &mut Value, key: &str, value: &str) {
    let annotations = metadata_mut(object)
        .entry("annotations")
        .or_insert_with(|| json!({}));
    if annotations.is_null() {
        *annotations = json!({});
    }
    annotations[key] = json!(value);
}

fn note(claim: &Value, severity: Severity, reason: &'static str, message: &str, step: &mut Step) {
    let note = Note::new(BINDER, claim, severity, reason, message.to_owned());
    step.push(Write::Event(note));
}

/// Claims that a Pod's volumes name.
pub(crate) fn claims_of(pod: &Value) -> impl Iterator<Item = &str> {
    let volumes = list(&pod["spec"]["volumes"]).iter();
    volumes.filter_map(|volume| volume["persistentVolumeClaim"]["claimName"].as_str())
}
