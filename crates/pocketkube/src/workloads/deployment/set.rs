//! A ReplicaSet of a Deployment, edited during a look.

use super::{NOT_COPIED, REVISION, REVISION_HISTORY, REVISION_HISTORY_CHARS_MAX, metadata_of};
use crate::object::{annotation, generation, is_deleting, name};
use serde_json::{Value, json};

/// A ReplicaSet and what becomes of it.
#[derive(Debug)]
pub(super) struct Set {
    pub(super) object: Value,
    pub(super) fate: Fate,
}

/// What becomes of a copy.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Fate {
    /// It is as it was.
    Kept,
    /// It was edited.
    Changed,
    /// It did not exist.
    Created,
}

impl Set {
    /// A copy of one that exists.
    pub(super) fn seen(object: &Value) -> Self {
        Self {
            object: object.clone(),
            fate: Fate::Kept,
        }
    }

    /// A new one.
    pub(super) fn created(object: Value) -> Self {
        Self {
            object,
            fate: Fate::Created,
        }
    }

    /// Oldest first, then by name; one without a time is about to be created.
    pub(super) fn age_order(&self) -> (bool, String, String) {
        let created = self.object["metadata"]["creationTimestamp"]
            .as_str()
            .unwrap_or_default();
        (
            created.is_empty(),
            created.to_owned(),
            name(&self.object).to_owned(),
        )
    }

    /// `spec.replicas`.
    pub(super) fn replicas(&self) -> i64 {
        self.object["spec"]["replicas"].as_i64().unwrap_or(1)
    }

    /// A count of its status.
    pub(super) fn count(&self, field: &str) -> i64 {
        self.object["status"][field].as_i64().unwrap_or(0)
    }

    /// Its revision; 0 when it has none.
    pub(super) fn revision(&self) -> i64 {
        self.number(REVISION).unwrap_or(0)
    }

    /// An annotation that is a number.
    pub(super) fn number(&self, key: &str) -> Option<i64> {
        annotation(&self.object, key)?.parse().ok()
    }

    /// Has no Pods and wants none, and its controller has seen that.
    pub(super) fn is_idle(&self) -> bool {
        self.count("replicas") == 0
            && self.replicas() == 0
            && generation(&self.object) <= self.count("observedGeneration")
            && !is_deleting(&self.object)
    }

    pub(super) fn set_replicas(&mut self, replicas: i64) {
        if self.replicas() != replicas {
            self.object["spec"]["replicas"] = json!(replicas);
            self.touch();
        }
    }

    pub(super) fn set_min_ready_secs(&mut self, secs: i64) {
        if self.object["spec"]["minReadySeconds"].as_i64().unwrap_or(0) == secs {
            return;
        }
        match self.object["spec"].as_object_mut() {
            Some(spec) if secs == 0 => drop(spec.shift_remove("minReadySeconds")),
            _ => self.object["spec"]["minReadySeconds"] = json!(secs),
        }
        self.touch();
    }

    /// Sets an annotation.
    pub(super) fn annotate(&mut self, key: &str, value: &str) {
        if annotation(&self.object, key) != Some(value) {
            metadata_of(&mut self.object, "annotations")[key] = json!(value);
            self.touch();
        }
    }

    /// Copies the Deployment's annotations, except those that speak of the Deployment alone.
    pub(super) fn copy_annotations(&mut self, deployment: &Value) {
        let annotations = deployment["metadata"]["annotations"].as_object();
        for (key, value) in annotations.into_iter().flatten() {
            if !NOT_COPIED.contains(&key.as_str()) {
                self.annotate(key, value.as_str().unwrap_or_default());
            }
        }
    }

    /// Makes it the newest revision. One that it had goes to its history: this is a rollback.
    pub(super) fn raise_revision(&mut self, revision: i64) {
        let old = annotation(&self.object, REVISION).map(str::to_owned);
        let number = old.as_deref().map_or(Ok(0), str::parse::<i64>);
        let Ok(number) = number else { return };
        if number >= revision {
            return;
        }
        self.annotate(REVISION, &revision.to_string());
        if let Some(old) = old {
            self.remember(&old);
        }
    }

    fn remember(&mut self, revision: &str) {
        let history = annotation(&self.object, REVISION_HISTORY)
            .unwrap_or_default()
            .to_owned();
        let mut kept = history.as_str();
        while !kept.is_empty() && kept.len() + 1 + revision.len() > REVISION_HISTORY_CHARS_MAX {
            kept = kept.split_once(',').map_or("", |(_, rest)| rest);
        }
        let history = match kept {
            "" => revision.to_owned(),
            kept => format!("{kept},{revision}"),
        };
        self.annotate(REVISION_HISTORY, &history);
    }

    fn touch(&mut self) {
        if self.fate == Fate::Kept {
            self.fate = Fate::Changed;
        }
    }
}
