//! Which volume fits a claim: the smallest that has all it asks for
//! (`k8s.io/component-helpers/storage/volume`).

use crate::object::{is_deleting, labels, list, name, namespace, uid};
use crate::workloads::quantity::thousandths;
use crate::workloads::selector;
use serde_json::Value;

/// The volume that a claim gets: one kept for it, or the smallest free one.
pub(super) fn best<'a>(claim: &Value, volumes: &[&'a Value]) -> Option<&'a Value> {
    let wanted = claim["spec"]["volumeName"].as_str().unwrap_or_default();
    let fitting = volumes.iter().copied().filter(|volume| {
        let is_named = wanted.is_empty() || name(volume) == wanted;
        is_named && !is_deleting(volume) && fits(claim, volume)
    });
    fitting.min_by_key(|volume| {
        let is_kept = volume["spec"]["claimRef"].is_object();
        (!is_kept, capacity(volume), name(volume).to_owned())
    })
}

fn fits(claim: &Value, volume: &Value) -> bool {
    let (asked, spec) = (&claim["spec"], &volume["spec"]);
    let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
    let same = |field: &str| text(&asked[field]) == text(&spec[field]);
    let reference = &spec["claimRef"];
    let is_free = reference.is_null()
        || (reference["name"] == *name(claim)
            && reference["namespace"] == *namespace(claim)
            && [uid(claim), ""].contains(&reference["uid"].as_str().unwrap_or_default()));
    let modes = list(&spec["accessModes"]);
    let has_modes = list(&asked["accessModes"])
        .iter()
        .all(|mode| modes.contains(mode));
    let selected =
        asked["selector"].is_null() || selector::selects(&asked["selector"], labels(volume));
    is_free
        && same("storageClassName")
        && same("volumeMode")
        && has_modes
        && selected
        && capacity(volume) >= amount(&asked["resources"]["requests"]["storage"])
}

fn capacity(volume: &Value) -> i128 {
    amount(&volume["spec"]["capacity"]["storage"])
}

fn amount(quantity: &Value) -> i128 {
    quantity.as_str().and_then(thousandths).unwrap_or(0)
}
