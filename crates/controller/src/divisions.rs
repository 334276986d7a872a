//! Replicas per cluster, as the preferences divide them now.
//!
//! One writer, the preference reconciler; the federated objects' plans read.

use federation::DividedReplicas;
use model::{ClusterName, ObjectKey};
use std::collections::{BTreeMap, HashMap};
use std::sync::{PoisonError, RwLock};

/// One preference's division.
pub(crate) type Division = BTreeMap<ClusterName, DividedReplicas>;

/// See the module.
#[derive(Default)]
pub(crate) struct Divisions {
    divisions: RwLock<HashMap<ObjectKey, Division>>,
}

/// Whether a division is another one than before.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Changed {
    Yes,
    No,
}

impl Divisions {
    /// The division of the preference of that name, once it was planned.
    pub(crate) fn get(&self, preference: &ObjectKey) -> Option<Division> {
        let divisions = self
            .divisions
            .read()
            .unwrap_or_else(PoisonError::into_inner);
        divisions.get(preference).cloned()
    }

    /// What is divided now; `None` for a preference that is gone.
    pub(crate) fn set(&self, preference: &ObjectKey, division: Option<Division>) -> Changed {
        let mut divisions = self
            .divisions
            .write()
            .unwrap_or_else(PoisonError::into_inner);
        let before = match division.clone() {
            Some(division) => divisions.insert(preference.clone(), division),
            None => divisions.remove(preference),
        };
        match before == division {
            true => Changed::No,
            false => Changed::Yes,
        }
    }
}
