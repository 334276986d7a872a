//! Looks of the garbage collector, and of the controllers of Namespaces and Services.

use super::{GARBAGE_PER_LOOK_MAX, Look, RETRY_SECS, split};
use crate::load_balancer::{self, Outcome};
use crate::namespaces;
use crate::object::is_deleting;
use crate::workloads::agenda::{Agenda, Task};
use crate::workloads::endpoints;
use crate::workloads::step::{Deletion, Step, Write, after_secs};
use crate::workloads::world::World;
use crate::workloads::writes::Component;
use serde_json::Value;
use std::collections::BTreeMap;

impl Look {
    pub(super) fn garbage(&mut self, world: &mut World, agenda: &mut Agenda) {
        let registry = self.cluster.registry();
        let serves = |api_version: &str, kind: &str| registry.by_kind(api_version, kind).is_some();
        let writes = world.graph.step(GARBAGE_PER_LOOK_MAX, serves);
        let mut refused = Vec::new();
        for (uid, write) in writes {
            let written = self.writer.write(Component::ControllerManager, write);
            if written.is_err() {
                refused.push(uid);
            }
        }
        if !refused.is_empty() {
            refused.iter().for_each(|uid| world.graph.look_again(uid));
            let at = after_secs(self.cluster.clock().now(), RETRY_SECS);
            agenda.at(at, Task::Garbage);
            return;
        }
        if world.graph.is_dirty() {
            agenda.now(Task::Garbage);
        }
    }

    pub(super) fn namespace(&mut self, place: &str, agenda: &mut Agenda) {
        let Some(object) = self.get("v1", "Namespace", "", place) else {
            return;
        };
        let task = Task::Namespace(place.to_owned());
        if !is_deleting(&object) {
            let account = self.get("v1", "ServiceAccount", place, namespaces::DEFAULT_ACCOUNT);
            let root_ca = self.get("v1", "ConfigMap", place, namespaces::ROOT_CA);
            let furniture = namespaces::Furniture {
                account: account.as_ref().map(|object| object.value()),
                root_ca: root_ca.as_ref().map(|object| object.value()),
                ca_pem: self.cluster.ca_pem(),
            };
            let step = namespaces::furnish(&object, furniture);
            self.carry_out(Component::ControllerManager, step, task, agenda);
            return;
        }
        self.emptying.insert(place.to_owned());
        let registry = self.cluster.registry();
        let mut contents = BTreeMap::new();
        for resource in registry.all().filter(|resource| resource.is_namespaced()) {
            let table = resource.table();
            let list = || (resource, self.cluster.list(resource, Some(place)));
            contents.entry(table).or_insert_with(list);
        }
        let contents: Vec<namespaces::Contents<'_>> = contents
            .iter()
            .filter(|(_, (_, objects))| !objects.is_empty())
            .map(|(table, (resource, objects))| namespaces::Contents {
                table: table.clone(),
                plural: &resource.plural,
                group: &resource.group,
                objects: objects.iter().map(|object| object.value()).collect(),
            })
            .collect();
        let step = namespaces::empty(&object, &contents, self.cluster.clock().now());
        self.carry_out(Component::ControllerManager, step, task, agenda);
    }

    pub(super) fn service(&mut self, key: &str, world: &World, agenda: &mut Agenda) {
        let (place, name) = split(key);
        let task = Task::Service(key.to_owned());
        let endpoints_object = self.get("v1", "Endpoints", place, name);
        let Some(service) = self.get("v1", "Service", place, name) else {
            self.balancers.remove(key);
            let mut step = Step::default();
            if let Some(endpoints) = &endpoints_object {
                step.push(Write::Delete(Deletion::of(endpoints::ENDPOINTS, endpoints)));
            }
            self.carry_out(Component::ControllerManager, step, task, agenda);
            return;
        };
        let pods: Vec<&Value> = world.pods_in(place).map(|pod| pod.value()).collect();
        let slices: Vec<&Value> = world.slices(key).map(|slice| slice.value()).collect();
        let step = endpoints::step(endpoints::View {
            service: &service,
            pods: &pods,
            slices: &slices,
            endpoints: endpoints_object.as_ref().map(|object| object.value()),
            zones: &world.zones,
            now: self.cluster.clock().now(),
        });
        self.carry_out(Component::ControllerManager, step, task.clone(), agenda);
        let ready = endpoints::ready_count(&service, pods.into_iter());
        let outcome = self.balancers.ensure(key, &service, ready);
        if let Outcome::Failed(_) = &outcome {
            let at = after_secs(self.cluster.clock().now(), RETRY_SECS);
            agenda.at(at, task.clone());
        }
        let step = load_balancer::step(&service, &outcome);
        self.carry_out(Component::CloudControllerManager, step, task, agenda);
    }
}
