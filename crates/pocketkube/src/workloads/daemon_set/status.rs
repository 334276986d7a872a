//! Counts of a DaemonSet.

use super::{TABLE, Turn, pods};
use crate::object::{generation, name};
use crate::workloads::pod;
use crate::workloads::status::{counts, differs};
use crate::workloads::step::{Step, Write};
use serde_json::json;

impl Turn<'_> {
    /// Writes the status if it moved, and puts up the next look at who becomes available.
    pub(super) fn report(&self, step: &mut Step) {
        let set = self.view.set;
        let (mut desired, mut scheduled, mut ready, mut available) = (0, 0, 0, 0);
        let (mut updated, mut misscheduled) = (0, 0);
        for node in self.view.nodes {
            let oldest = self.on_node.get(name(node)).and_then(|pods| pods.first());
            let runs = pods::fit(set, node) == pods::Fit::Runs;
            desired += i64::from(runs);
            let Some(oldest) = oldest else { continue };
            if !runs {
                misscheduled += 1;
                continue;
            }
            scheduled += 1;
            ready += i64::from(pod::is_ready(oldest));
            available += i64::from(self.is_available(oldest));
            updated += i64::from(self.is_updated(oldest));
            let at = pod::available_at(oldest, self.min_ready_secs);
            if let Some(at) = at.filter(|at| *at > self.view.now) {
                step.wake(at);
            }
        }
        let mut status = counts(&[
            ("observedGeneration", generation(set)),
            ("updatedNumberScheduled", updated),
            ("numberAvailable", available),
            ("numberUnavailable", desired - available),
        ]);
        // These four are written even when they are zero.
        status["currentNumberScheduled"] = json!(scheduled);
        status["numberMisscheduled"] = json!(misscheduled);
        status["desiredNumberScheduled"] = json!(desired);
        status["numberReady"] = json!(ready);
        for field in ["collisionCount", "conditions"] {
            if !set["status"][field].is_null() {
                status[field] = set["status"][field].clone();
            }
        }
        if differs(&set["status"], &status) {
            let mut object = set.clone();
            object["status"] = status;
            step.push(Write::UpdateStatus(TABLE, object));
        }
    }
}
