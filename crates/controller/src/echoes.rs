//! Which changes on the host are only what this process wrote into a status itself.
//!
//! # Guarantees
//! A change is an echo when nothing but the status differs from what was known, and that says what
//! this process last wanted it to say. Whoever else writes it, or anything beside it, is heard.
//! # Caveats
//! What was wanted is noted before it is sent, so that the watch may be faster than the answer.

use crate::said::Said;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;
use serde_json::Value;
use std::collections::HashMap;
use std::sync::{Mutex, MutexGuard, PoisonError};

/// Objects that are remembered; with more of them all are forgotten, and heard once more.
const REMEMBERED_MAX: usize = 200_000;

/// See the module.
#[derive(Default)]
pub(crate) struct Echoes {
    /// What the status of an object was to say, by the object's uid.
    wanted: Mutex<HashMap<String, Said>>,
}

impl Echoes {
    /// A status is about to be written.
    pub(crate) fn expect(&self, uid: &str, says: Said) {
        let mut wanted = self.lock();
        if wanted.len() >= REMEMBERED_MAX {
            wanted.clear();
        }
        match wanted.get_mut(uid) {
            Some(before) => *before = says,
            None => drop(wanted.insert(uid.to_owned(), says)),
        }
    }

    /// Whether a change from `known` is an echo.
    pub(crate) fn is_echo(&self, known: &ObjectMeta, now: &ObjectMeta, status: &Value) -> bool {
        let same = known.uid == now.uid
            && known.generation == now.generation
            && known.labels == now.labels
            && known.annotations == now.annotations
            && known.finalizers == now.finalizers
            && known.deletion_timestamp == now.deletion_timestamp;
        let Some(uid) = now.uid.as_deref().filter(|_| same) else {
            return false;
        };
        // Steps of a rollout follow from each other through the status.
        status["rollout"].is_null() && self.lock().get(uid) == Some(&Said::by(status))
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<String, Said>> {
        self.wanted.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn object(uid: &str, generation: i64) -> ObjectMeta {
        ObjectMeta {
            uid: Some(uid.to_owned()),
            generation: Some(generation),
            ..ObjectMeta::default()
        }
    }

    #[test]
    fn only_a_status_that_says_what_was_wanted_is_an_echo() {
        let echoes = Echoes::default();
        let (ours, theirs) = (json!({"replicas": 1}), json!({"replicas": 2}));
        let same = object("u", 1);
        assert!(!echoes.is_echo(&same, &same, &ours), "nothing was wanted");
        echoes.expect("u", Said::by(&ours));
        assert!(echoes.is_echo(&same, &same, &ours));
        assert!(!echoes.is_echo(&same, &same, &theirs));
        assert!(!echoes.is_echo(&same, &object("u", 2), &ours));
        assert!(!echoes.is_echo(&object("v", 1), &same, &ours), "made anew");
        let labelled = ObjectMeta {
            labels: Some([("a".to_owned(), "b".to_owned())].into()),
            ..object("u", 1)
        };
        assert!(!echoes.is_echo(&same, &labelled, &ours));
    }

    #[test]
    fn a_rollout_is_always_heard() {
        let echoes = Echoes::default();
        let (same, status) = (object("u", 1), json!({"rollout": {"step": 1}}));
        echoes.expect("u", Said::by(&status));
        assert!(!echoes.is_echo(&same, &same, &status));
    }
}
