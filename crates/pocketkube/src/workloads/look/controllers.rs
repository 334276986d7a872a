//! Looks of the controllers of `apps/v1` and of the scheduler.

use super::storage::{self, Storage};
use super::{Look, PODS_PER_LOOK_MAX, RETRY_SECS, split};
use crate::object::{Object, controller_uid, owner_references, uid};
use crate::workloads::agenda::{Agenda, Task};
use crate::workloads::replica_set::Failure;
use crate::workloads::step::{Write, after_secs};
use crate::workloads::world::World;
use crate::workloads::writes::{Component, is_conflict, is_namespace_going};
use crate::workloads::{deployment, disruption, pod, replica_set, scheduler};
use serde_json::{Value, json};
use std::collections::BTreeMap;
use std::sync::Arc;

impl Look {
    pub(super) fn deployment(&mut self, key: &str, world: &World, agenda: &mut Agenda) {
        let (place, name) = split(key);
        let Some(object) = self.get("apps/v1", "Deployment", place, name) else {
            return;
        };
        let own = world
            .children(uid(&object))
            .filter(|child| child["kind"] == "ReplicaSet");
        let sets: Vec<&Arc<Object>> = own.chain(world.loose(replica_set::TABLE, place)).collect();
        let pods: Vec<&Value> = sets
            .iter()
            .filter(|set| controller_uid(set) == Some(uid(&object)))
            .flat_map(|set| world.children(uid(set)))
            .map(|pod| pod.value())
            .collect();
        let sets: Vec<&Value> = sets.iter().map(|set| set.value()).collect();
        let step = deployment::step(deployment::View {
            deployment: &object,
            replica_sets: &sets,
            pods: &pods,
            now: self.cluster.clock().now(),
        });
        let task = Task::Deployment(key.to_owned());
        let taken = self.carry_out(Component::ControllerManager, step, task, agenda);
        if taken.is_some_and(|status| status.reason == "AlreadyExists") {
            self.count_collision(&object);
        }
    }

    /// The name of a new ReplicaSet is taken: the next one gets another hash.
    fn count_collision(&mut self, deployment: &Value) {
        let mut object = deployment.clone();
        let count = object["status"]["collisionCount"].as_i64().unwrap_or(0);
        object["status"]["collisionCount"] = json!(count + 1);
        let write = Write::UpdateStatus(deployment::TABLE, object);
        // If it moved, the next look finds the collision again.
        let _ = self.writer.write(Component::ControllerManager, write);
    }

    pub(super) fn replica_set(&mut self, key: &str, world: &World, agenda: &mut Agenda) {
        let (place, name) = split(key);
        let Some(object) = self.get("apps/v1", "ReplicaSet", place, name) else {
            return;
        };
        let own = world
            .children(uid(&object))
            .filter(|child| child["kind"] == "Pod");
        let pods: Vec<&Value> = own
            .chain(world.loose(pod::TABLE, place))
            .map(|pod| pod.value())
            .collect();
        let siblings = controller_uid(&object)
            .into_iter()
            .flat_map(|owner| world.children(owner));
        let mut related: Vec<&Value> = siblings
            .flat_map(|set| world.children(uid(set)))
            .map(|pod| pod.value())
            .collect();
        if related.is_empty() {
            related.clone_from(&pods);
        }
        let now = self.cluster.clock().now();
        let step = replica_set::step(replica_set::View {
            replica_set: &object,
            pods: &pods,
            related: &related,
            failure: self.failures.get(uid(&object)),
            now,
        });
        let creates = step
            .writes
            .iter()
            .any(|write| matches!(write, Write::Create(_)));
        let task = Task::ReplicaSet(key.to_owned());
        let failed = self.carry_out(Component::ControllerManager, step, task.clone(), agenda);
        match failed.filter(|status| !is_conflict(status) && !is_namespace_going(status)) {
            Some(status) if creates => {
                let failure = Failure {
                    message: status.message,
                    retry_at: after_secs(now, RETRY_SECS),
                };
                self.failures.insert(uid(&object).to_owned(), failure);
                agenda.now(task);
            }
            None if creates => drop(self.failures.remove(uid(&object))),
            _ => {}
        }
    }

    pub(super) fn budget(&mut self, key: &str, world: &World, agenda: &mut Agenda) {
        let (place, name) = split(key);
        let Some(object) = self.get("policy/v1", "PodDisruptionBudget", place, name) else {
            return;
        };
        let pods: Vec<&Value> = world.pods_in(place).map(|pod| pod.value()).collect();
        let mut scales = BTreeMap::new();
        for controller in pods.iter().filter_map(|pod| controller_reference(pod)) {
            let uid = controller["uid"].as_str().unwrap_or_default();
            if !scales.contains_key(uid)
                && let Some(top) = self.top_scale(place, controller)
            {
                scales.insert(uid.to_owned(), top);
            }
        }
        let step = disruption::step(disruption::View {
            budget: &object,
            pods: &pods,
            scales: &scales,
            now: self.cluster.clock().now(),
        });
        self.carry_out(
            Component::ControllerManager,
            step,
            Task::Budget(key.to_owned()),
            agenda,
        );
    }

    /// Uid and `spec.replicas` of the workload at the top of a controller.
    fn top_scale(&self, place: &str, controller: &Value) -> Option<(String, i64)> {
        let text = |field: &str| controller[field].as_str().unwrap_or_default();
        let found = self.get(text("apiVersion"), text("kind"), place, text("name"))?;
        let above = controller_reference(&found).map(|above| self.top_scale(place, above));
        above.unwrap_or_else(|| {
            let replicas = found["spec"]["replicas"].as_i64()?;
            Some((uid(&found).to_owned(), replicas))
        })
    }

    pub(super) fn schedule(&mut self, world: &mut World, agenda: &mut Agenda) {
        let now = self.cluster.clock().now();
        for _ in 0..PODS_PER_LOOK_MAX {
            let Some(place) = self.fresh.pop_first() else {
                return;
            };
            let Some(pod) = world.pod(&place.1).map(Arc::clone) else {
                continue;
            };
            if !scheduler::is_waiting(&pod) {
                continue;
            }
            let step = match storage::of_pod(&pod, world) {
                Storage::Ready => world.board.step(&pod, now),
                Storage::Refused(why) => world.board.refuse(&pod, &why, now),
                Storage::Waits(claims) => match world.board.choose(&pod) {
                    Ok(node) => {
                        self.refused.insert(place);
                        self.select_node(&claims, &node, world);
                        continue;
                    }
                    Err(_) => world.board.step(&pod, now),
                },
            };
            let bound = step
                .writes
                .iter()
                .any(|write| matches!(write, Write::Bind(_)));
            if !bound {
                self.refused.insert(place);
            }
            if self
                .carry_out(Component::Scheduler, step, Task::Schedule, agenda)
                .is_some()
            {
                // The room that was kept for it is free again.
                world.board.remove_pod(uid(&pod));
            }
        }
        agenda.now(Task::Schedule);
    }
}

/// The reference to an object's controller.
fn controller_reference(object: &Value) -> Option<&Value> {
    owner_references(object)
        .iter()
        .find(|owner| owner["controller"] == true)
}
