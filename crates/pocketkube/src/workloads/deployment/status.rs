//! Counts and conditions of a Deployment (`progress.go` of the real controller).

use super::{Rollout, Set};
use crate::clock::seconds;
use crate::object::{generation, list, name};
use crate::workloads::step::{after_secs, time};
use jiff::Timestamp;
use serde_json::{Map, Value, json};

const AVAILABLE: &str = "Available";
const PROGRESSING: &str = "Progressing";
const REPLICA_FAILURE: &str = "ReplicaFailure";
const COMPLETE: &str = "NewReplicaSetAvailable";
const TIMED_OUT: &str = "ProgressDeadlineExceeded";
const PAUSED: &str = "DeploymentPaused";

impl Rollout<'_> {
    /// Marks the start and the end of a pause, so that a pause is no lack of progress.
    pub(super) fn mark_pause(&mut self) {
        let reason = self.progressing_reason();
        if self.spec.progress_deadline_secs.is_none() || reason.as_deref() == Some(TIMED_OUT) {
            return;
        }
        match (self.spec.paused, reason.as_deref() == Some(PAUSED)) {
            (true, false) => {
                self.set_progressing("Unknown", PAUSED, "Deployment is paused".to_owned());
            }
            (false, true) => self.set_progressing(
                "Unknown",
                "DeploymentResumed",
                "Deployment is resumed".to_owned(),
            ),
            _ => {}
        }
    }

    /// Marks that the new ReplicaSet was already there.
    pub(super) fn note_found(&mut self, set: &str) {
        if self.spec.progress_deadline_secs.is_some() && self.progressing_reason().is_none() {
            let message = format!("Found new replica set {set:?}");
            self.set_progressing("True", "FoundNewReplicaSet", message);
        }
    }

    /// Marks that the new ReplicaSet was created.
    pub(super) fn note_created(&mut self, set: &str) {
        if self.spec.progress_deadline_secs.is_some() {
            let message = format!("Created new replica set {set:?}");
            self.set_progressing("True", "NewReplicaSetCreated", message);
        }
    }

    /// Counts, without an estimate of progress.
    pub(super) fn sync_status(&mut self) {
        let status = self.counted();
        self.deployment["status"] = status;
    }

    /// Counts, progress and failures.
    pub(super) fn sync_rollout_status(&mut self) {
        let mut status = self.counted();
        let deadline = self.spec.progress_deadline_secs;
        if deadline.is_none() {
            remove_condition(&mut status, PROGRESSING);
        }
        let reason = self.progressing_reason();
        let settled = count(&status, "replicas") == count(&status, "updatedReplicas")
            && reason.as_deref() == Some(COMPLETE);
        if let Some(deadline) = deadline.filter(|_| !settled) {
            self.estimate(&mut status, deadline);
        }
        match self.failure() {
            Some(failure) => set_condition(&mut status, failure),
            None => remove_condition(&mut status, REPLICA_FAILURE),
        }
        self.deployment["status"] = status;
    }

    /// Whether all replicas are updated and available.
    pub(super) fn is_complete(&self, status: &Value) -> bool {
        let wanted = self.spec.replicas;
        ["updatedReplicas", "replicas", "availableReplicas"]
            .iter()
            .all(|field| count(status, field) == wanted)
            && count(status, "observedGeneration") >= generation(self.seen)
    }

    /// When a rollout that does not move has to be called stuck.
    pub(super) fn deadline(&self) -> Option<Timestamp> {
        let secs = self.spec.progress_deadline_secs?;
        let status = &self.deployment["status"];
        let progressing = condition(status, PROGRESSING)?;
        // Neither what has failed nor what was complete and is scaled now becomes stuck.
        let is_over = [TIMED_OUT, COMPLETE].contains(&progressing["reason"].as_str()?);
        if self.spec.paused || self.is_complete(status) || is_over {
            return None;
        }
        // One second more: times in objects are whole seconds.
        time(&progressing["lastUpdateTime"]).map(|since| after_secs(since, secs + 1))
    }

    fn counted(&self) -> Value {
        let updated = self
            .new
            .map_or(0, |index| self.sets[index].count("replicas"));
        let available = self.count("availableReplicas");
        let old = &self.deployment["status"];
        let mut status = Map::new();
        status.insert(
            "observedGeneration".to_owned(),
            json!(generation(self.seen)),
        );
        for (field, number) in [
            ("replicas", self.count("replicas")),
            ("updatedReplicas", updated),
            ("readyReplicas", self.count("readyReplicas")),
            ("availableReplicas", available),
            ("unavailableReplicas", self.replicas() - available),
        ] {
            if number > 0 {
                status.insert(field.to_owned(), json!(number));
            }
        }
        if let Some(terminating) = self.terminating() {
            status.insert("terminatingReplicas".to_owned(), json!(terminating));
        }
        if let Some(conditions) = old.get("conditions") {
            status.insert("conditions".to_owned(), conditions.clone());
        }
        if let Some(collisions) = old.get("collisionCount") {
            status.insert("collisionCount".to_owned(), collisions.clone());
        }
        let mut status = Value::Object(status);
        let enough = available >= self.spec.replicas - self.max_unavailable();
        set_condition(&mut status, self.availability(enough));
        status
    }

    /// KEP-3973: known once every ReplicaSet that was looked at reports it.
    fn terminating(&self) -> Option<i64> {
        let reported = |set: &&Set| {
            set.count("observedGeneration") > 0
                || !set.object["status"]["terminatingReplicas"].is_null()
        };
        let numbers = self.sets.iter().filter(reported);
        numbers
            .map(|set| set.object["status"]["terminatingReplicas"].as_i64())
            .sum()
    }

    fn availability(&self, enough: bool) -> Value {
        match enough {
            true => self.condition(
                AVAILABLE,
                "True",
                "MinimumReplicasAvailable",
                "Deployment has minimum availability.".to_owned(),
            ),
            false => self.condition(
                AVAILABLE,
                "False",
                "MinimumReplicasUnavailable",
                "Deployment does not have minimum availability.".to_owned(),
            ),
        }
    }

    fn estimate(&self, status: &mut Value, deadline_secs: i64) {
        let subject = match self.new {
            Some(index) => format!("ReplicaSet {:?}", name(&self.sets[index].object)),
            None => format!("Deployment {:?}", name(self.seen)),
        };
        if self.is_complete(status) {
            let message = format!("{subject} has successfully progressed.");
            set_condition(
                status,
                self.condition(PROGRESSING, "True", COMPLETE, message),
            );
        } else if self.has_progressed(status) {
            let message = format!("{subject} is progressing.");
            let mut progressing = self.condition(PROGRESSING, "True", "ReplicaSetUpdated", message);
            // Progress renews the update time even when the reason stays.
            let before = condition(&self.deployment["status"], PROGRESSING);
            if let Some(before) = before.filter(|before| before["status"] == "True") {
                progressing["lastTransitionTime"] = before["lastTransitionTime"].clone();
            }
            remove_condition(status, PROGRESSING);
            set_condition(status, progressing);
        } else if self.has_timed_out(status, deadline_secs) {
            let message = format!("{subject} has timed out progressing.");
            set_condition(
                status,
                self.condition(PROGRESSING, "False", TIMED_OUT, message),
            );
        }
    }

    fn has_progressed(&self, status: &Value) -> bool {
        let before = &self.seen["status"];
        let old = |status: &Value| count(status, "replicas") - count(status, "updatedReplicas");
        let grew = |field: &str| count(status, field) > count(before, field);
        grew("updatedReplicas")
            || old(status) < old(before)
            || grew("readyReplicas")
            || grew("availableReplicas")
    }

    fn has_timed_out(&self, status: &Value, deadline_secs: i64) -> bool {
        let Some(progressing) = condition(status, PROGRESSING) else {
            return false;
        };
        match progressing["reason"].as_str() {
            Some(COMPLETE) => false,
            Some(TIMED_OUT) => true,
            _ => time(&progressing["lastUpdateTime"])
                .is_some_and(|since| after_secs(since, deadline_secs) < self.now),
        }
    }

    /// The failure of the new ReplicaSet, or else of any other.
    fn failure(&self) -> Option<Value> {
        let of = |set: &Set| condition(&set.object["status"], REPLICA_FAILURE).cloned();
        let new = self.new.and_then(|index| of(&self.sets[index]));
        let mut failure = new.or_else(|| self.sets.iter().find_map(of))?;
        failure["lastUpdateTime"] = failure["lastTransitionTime"].clone();
        Some(failure)
    }

    fn progressing_reason(&self) -> Option<String> {
        let progressing = condition(&self.deployment["status"], PROGRESSING)?;
        Some(
            progressing["reason"]
                .as_str()
                .unwrap_or_default()
                .to_owned(),
        )
    }

    fn set_progressing(&mut self, status: &str, reason: &str, message: String) {
        let condition = self.condition(PROGRESSING, status, reason, message);
        set_condition(&mut self.deployment["status"], condition);
    }

    fn condition(&self, kind: &str, status: &str, reason: &str, message: String) -> Value {
        let now = seconds(self.now);
        json!({
            "type": kind,
            "status": status,
            "lastUpdateTime": now,
            "lastTransitionTime": now,
            "reason": reason,
            "message": message,
        })
    }
}

fn count(status: &Value, field: &str) -> i64 {
    status[field].as_i64().unwrap_or(0)
}

fn condition<'a>(status: &'a Value, kind: &str) -> Option<&'a Value> {
    list(&status["conditions"])
        .iter()
        .find(|condition| condition["type"] == *kind)
}

/// Puts a condition last, unless one with the same status and reason is there.
fn set_condition(status: &mut Value, mut new: Value) {
    let kind = new["type"].as_str().unwrap_or_default().to_owned();
    if let Some(old) = condition(status, &kind) {
        let same_status = old["status"] == new["status"];
        if same_status && old["reason"] == new["reason"] {
            return;
        }
        if same_status {
            new["lastTransitionTime"] = old["lastTransitionTime"].clone();
        }
    }
    remove_condition(status, &kind);
    match status["conditions"].as_array_mut() {
        Some(conditions) => conditions.push(new),
        None => status["conditions"] = json!([new]),
    }
}

fn remove_condition(status: &mut Value, kind: &str) {
    let Some(conditions) = status["conditions"].as_array_mut() else {
        return;
    };
    conditions.retain(|condition| condition["type"] != *kind);
    if conditions.is_empty()
        && let Some(status) = status.as_object_mut()
    {
        status.shift_remove("conditions");
    }
}
