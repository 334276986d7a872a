//! Counts and revisions of a StatefulSet.

use super::Turn;
use crate::object::{generation, is_deleting, label, name};
use crate::workloads::status::{counts, differs};
use crate::workloads::{pod, revision};
use serde_json::{Value, json};

impl Turn<'_> {
    /// The set with its status, if that moved; puts up the next look at who becomes available.
    pub(super) fn reported(&mut self) -> Option<Value> {
        let set = self.view.set;
        let pods: Vec<&Value> = self
            .replicas
            .iter()
            .flatten()
            .chain(&self.condemned)
            .copied()
            .collect();
        let ready = |pod: &&&Value| pod::phase(pod) == "Running" && pod::is_ready(pod);
        let of = |revision: &Value| {
            let of = |pod: &&&Value| {
                !is_deleting(pod) && label(pod, revision::HASH) == Some(name(revision))
            };
            pods.iter().filter(of).count()
        };
        let replicas = pods.len();
        let ready: Vec<&Value> = pods.iter().filter(ready).copied().collect();
        let available = ready.iter().filter(|pod| self.is_available(pod)).count();
        let updated = of(&self.update);
        let mut current = of(&self.current);
        current -= usize::try_from(self.replaced).unwrap_or(0).min(current);
        let mut current_revision = name(&self.current).to_owned();
        let wanted = self.replicas.len();
        let rolls = set["spec"]["updateStrategy"]["type"] != "OnDelete";
        if rolls && updated == wanted && ready.len() == wanted && replicas == wanted {
            current = updated;
            current_revision = name(&self.update).to_owned();
        }
        for pod in &ready {
            let at = pod::available_at(pod, self.min_ready_secs);
            if let Some(at) = at.filter(|at| *at > self.view.now) {
                self.step.wake(at);
            }
        }
        let mut status = counts(&[
            ("observedGeneration", generation(set)),
            ("readyReplicas", number(ready.len())),
            ("currentReplicas", number(current)),
            ("updatedReplicas", number(updated)),
        ]);
        status["replicas"] = json!(replicas);
        status["availableReplicas"] = json!(available);
        status["collisionCount"] = json!(set["status"]["collisionCount"].as_i64().unwrap_or(0));
        status["currentRevision"] = json!(current_revision);
        status["updateRevision"] = json!(name(&self.update));
        if !set["status"]["conditions"].is_null() {
            status["conditions"] = set["status"]["conditions"].clone();
        }
        if !differs(&set["status"], &status) {
            return None;
        }
        let mut object = set.clone();
        object["status"] = status;
        Some(object)
    }
}

fn number(count: usize) -> i64 {
    i64::try_from(count).unwrap_or(i64::MAX)
}
