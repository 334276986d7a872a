//! Looks of the Job and CronJob controllers.

use super::sets::family;
use super::{Look, split};
use crate::object::{owner_references, uid};
use crate::workloads::agenda::{Agenda, Task};
use crate::workloads::world::World;
use crate::workloads::writes::Component;
use crate::workloads::{cron_job, job, pod};
use serde_json::Value;

impl Look {
    pub(super) fn job(&mut self, key: &str, world: &World, agenda: &mut Agenda) {
        let (place, named) = split(key);
        let task = Task::Job(key.to_owned());
        let Some(object) = self.get("batch/v1", "Job", place, named) else {
            let is_of_job = |pod: &&Value| {
                let mut owners = owner_references(pod).iter();
                owners.any(|owner| owner["kind"] == "Job" && owner["name"] == *named)
            };
            let pods = world.pods_in(place).map(|pod| pod.value());
            let step = job::release(pods.filter(is_of_job));
            self.carry_out(Component::ControllerManager, step, task, agenda);
            return;
        };
        let step = job::step(job::View {
            job: &object,
            pods: &family(world, &object, "Pod", pod::TABLE),
            now: self.cluster.clock().now(),
        });
        self.carry_out(Component::ControllerManager, step, task, agenda);
    }

    pub(super) fn cron_job(&mut self, key: &str, world: &World, agenda: &mut Agenda) {
        let (place, named) = split(key);
        let Some(object) = self.get("batch/v1", "CronJob", place, named) else {
            return;
        };
        let jobs: Vec<&Value> = world
            .children(uid(&object))
            .filter(|child| child["kind"] == "Job")
            .map(|job| job.value())
            .collect();
        let step = cron_job::step(cron_job::View {
            cron_job: &object,
            jobs: &jobs,
            now: self.cluster.clock().now(),
        });
        let task = Task::CronJob(key.to_owned());
        self.carry_out(Component::ControllerManager, step, task, agenda);
    }
}
