//! Looks of the StatefulSet and DaemonSet controllers.

use super::{Look, split};
use crate::object::{Object, name, uid};
use crate::workloads::agenda::{Agenda, Task};
use crate::workloads::step::{Step, Write};
use crate::workloads::volumes::CLAIMS;
use crate::workloads::world::World;
use crate::workloads::writes::Component;
use crate::workloads::{daemon_set, pod, revision, stateful_set};
use serde_json::{Value, json};
use std::collections::BTreeMap;

impl Look {
    pub(super) fn stateful_set(&mut self, key: &str, world: &World, agenda: &mut Agenda) {
        let (place, named) = split(key);
        let Some(object) = self.get("apps/v1", "StatefulSet", place, named) else {
            return;
        };
        let claims = world.all_in(CLAIMS, place);
        let claims: BTreeMap<&str, &Value> =
            claims.map(|claim| (name(claim), claim.value())).collect();
        let step = stateful_set::step(stateful_set::View {
            set: &object,
            pods: &family(world, &object, "Pod", pod::TABLE),
            revisions: &family(world, &object, "ControllerRevision", revision::TABLE),
            claims: &claims,
            now: self.cluster.clock().now(),
        });
        let task = Task::StatefulSet(key.to_owned());
        self.carry_out_revisions(&object, step, task, agenda);
    }

    pub(super) fn daemon_set(&mut self, key: &str, world: &World, agenda: &mut Agenda) {
        let (place, named) = split(key);
        let Some(object) = self.get("apps/v1", "DaemonSet", place, named) else {
            return;
        };
        let nodes: Vec<&Value> = world.nodes().map(|node| node.value()).collect();
        let step = daemon_set::step(daemon_set::View {
            set: &object,
            nodes: &nodes,
            pods: &family(world, &object, "Pod", pod::TABLE),
            revisions: &family(world, &object, "ControllerRevision", revision::TABLE),
            now: self.cluster.clock().now(),
        });
        let task = Task::DaemonSet(key.to_owned());
        self.carry_out_revisions(&object, step, task, agenda);
    }

    /// Makes the writes of a step; the name of a new revision that is taken is counted, so that
    /// the next one gets another hash.
    fn carry_out_revisions(&mut self, set: &Object, step: Step, task: Task, agenda: &mut Agenda) {
        let creates = |write: &Write| matches!(write, Write::Create(creation) if creation.table == revision::TABLE);
        let new_revision = step.writes.iter().any(creates);
        let failed = self.carry_out(Component::ControllerManager, step, task, agenda);
        if new_revision && failed.is_some_and(|status| status.reason == "AlreadyExists") {
            let mut object = set.value().clone();
            let count = object["status"]["collisionCount"].as_i64().unwrap_or(0);
            object["status"]["collisionCount"] = json!(count + 1);
            let write = Write::UpdateStatus(daemon_set::TABLE, object);
            // If it moved, the next look finds the collision again.
            let _ = self.writer.write(Component::ControllerManager, write);
        }
    }
}

/// Objects of a kind that a controller controls, and those of its namespace that nobody does.
pub(super) fn family<'w>(
    world: &'w World,
    controller: &Object,
    kind: &str,
    table: &'static str,
) -> Vec<&'w Value> {
    let own = world.children(uid(controller));
    let own = own.filter(|child| child["kind"] == *kind);
    let loose = world.loose(table, crate::object::namespace(controller));
    own.chain(loose).map(|object| object.value()).collect()
}
