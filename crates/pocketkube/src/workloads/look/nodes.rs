//! Looks of kubelets, and of the node lifecycle controller.

use super::{Heard, Look, NODE_GONE_SECS, Seen};
use crate::faults::{DataPlaneState, Faults, NodeState};
use crate::object::{is_deleting, uid};
use crate::workloads::agenda::{Agenda, Task};
use crate::workloads::node::{self, Others};
use crate::workloads::step::{Creation, Deletion, Step, Write, after_secs};
use crate::workloads::world::World;
use crate::workloads::writes::Component;
use crate::workloads::{kubelet, pod, scheduler};
use jiff::Timestamp;
use serde_json::Value;
use std::sync::Arc;

impl Look {
    /// Puts up the registration of all declared nodes.
    pub(crate) fn register_nodes(&mut self, agenda: &mut Agenda) {
        self.nodes
            .keys()
            .for_each(|name| agenda.now(Task::Heartbeat(name.clone())));
    }

    /// Follows the faults of the data plane and of single nodes, and puts up all who have to look
    /// because of them.
    pub(crate) fn follow_faults(&mut self, faults: &Faults, world: &World, agenda: &mut Agenda) {
        if self.set_data_plane(faults.data_plane) {
            world
                .services()
                .for_each(|(key, _)| agenda.now(Task::Service(key.clone())));
        }
        let now = self.cluster.clock().now();
        let is_up = faults.data_plane == DataPlaneState::Up;
        for name in self.nodes.keys() {
            let is_silent = !is_up || faults.nodes.get(name) == Some(&NodeState::Down);
            match (is_silent, self.silent.contains_key(name)) {
                (true, false) => drop(self.silent.insert(name.clone(), now)),
                (false, true) => drop(self.silent.remove(name)),
                _ => continue,
            }
            agenda.now(Task::Node(name.clone()));
            agenda.now(Task::Heartbeat(name.clone()));
            world
                .pods_on(name)
                .for_each(|key| agenda.now(Task::Kubelet(key.clone())));
        }
    }

    pub(super) fn kubelet(&mut self, key: &str, world: &mut World, agenda: &mut Agenda) {
        let Some(pod) = world.pod(key).map(Arc::clone) else {
            return;
        };
        let Some(kubelet) = self.nodes.get(pod::node(&pod)) else {
            return;
        };
        if self.silent.contains_key(pod::node(&pod)) {
            return;
        }
        let (now, host) = (self.cluster.clock().now(), kubelet.host);
        let known = self.pods.get(uid(&pod)).copied();
        let address = match known {
            Some(seen) => seen.address,
            None => match world.addresses.take() {
                Some(address) => address,
                None => return,
            },
        };
        let mut seen = known.unwrap_or(Seen {
            at: now,
            leaving: None,
            address,
        });
        if is_deleting(&pod) {
            seen.leaving.get_or_insert(now);
        }
        self.pods.insert(uid(&pod).to_owned(), seen);
        let step = kubelet::step(kubelet::View {
            pod: &pod,
            host,
            address: seen.address,
            seen_at: seen.at,
            leaving_at: seen.leaving.unwrap_or(now),
            pace: self.pace,
            now,
        });
        self.carry_out(
            Component::Kubelet,
            step,
            Task::Kubelet(key.to_owned()),
            agenda,
        );
    }

    /// A kubelet registers its node once, and then says that it is well.
    pub(super) fn heartbeat(&mut self, name: &str, world: &World, agenda: &mut Agenda) {
        let Some(kubelet) = self.nodes.get(name) else {
            return;
        };
        if self.silent.contains_key(name) {
            return;
        }
        let (now, task) = (self.cluster.clock().now(), Task::Heartbeat(name.to_owned()));
        let mut step = Step::default();
        let Some(node) = world.node(name) else {
            if !self.gone_nodes.contains_key(name) {
                let object = node::registered(&kubelet.options);
                step.push(Write::Create(Creation::quiet(scheduler::NODES, object)));
                agenda.now(task.clone());
                self.carry_out(Component::Kubelet, step, task, agenda);
            }
            return;
        };
        let mut reported = node.value().clone();
        reported["status"] = node::reported(&kubelet.options, node, kubelet.host, now);
        step.push(Write::UpdateStatus(scheduler::NODES, reported));
        let before = self.get(
            "coordination.k8s.io/v1",
            "Lease",
            node::LEASE_NAMESPACE,
            name,
        );
        let before = before.as_ref().map(|lease| lease.value());
        let lease = node::lease(node, before, &self.cluster.clock().stamp_micros());
        step.push(match before {
            Some(_) => Write::Update(node::LEASES, lease),
            None => Write::Create(Creation::quiet(node::LEASES, lease)),
        });
        step.wake(after_secs(now, node::HEARTBEAT_SECS));
        self.carry_out(Component::Kubelet, step, task, agenda);
    }

    /// When the kubelet of a node that a client registered was last heard of; absent for a node
    /// that never told how it is. What counts is that it says something new, not what its clock says.
    fn heard_at(&mut self, node: &Value, now: Timestamp) -> Option<Timestamp> {
        let ready = node::condition(node, "Ready")?;
        let name = crate::object::name(node);
        let lease = self.get(
            "coordination.k8s.io/v1",
            "Lease",
            node::LEASE_NAMESPACE,
            name,
        );
        let renewed = lease.map(|lease| lease["spec"]["renewTime"].clone());
        let said = (ready["lastHeartbeatTime"].clone(), renewed);
        let heard = self.heard.entry(name.to_owned()).or_insert_with(|| Heard {
            said: said.clone(),
            at: now,
        });
        if heard.said != said {
            *heard = Heard { said, at: now };
        }
        Some(heard.at)
    }

    pub(super) fn node(&mut self, name: &str, world: &World, agenda: &mut Agenda) {
        let pods = || {
            world
                .pods_on(name)
                .filter_map(|key| world.pod(key))
                .map(|pod| pod.value())
        };
        let now = self.cluster.clock().now();
        let task = Task::Node(name.to_owned());
        let Some(node) = world.node(name) else {
            self.heard.remove(name);
            let gone_at = *self.gone_nodes.entry(name.to_owned()).or_insert(now);
            let step = abandon(pods(), after_secs(gone_at, NODE_GONE_SECS), now);
            self.carry_out(Component::ControllerManager, step, task, agenda);
            return;
        };
        self.gone_nodes.remove(name);
        let declared = self.nodes.contains_key(name);
        if declared && node["status"]["conditions"].is_null() {
            agenda.now(Task::Heartbeat(name.to_owned()));
        }
        let pods: Vec<&Value> = pods().collect();
        let silent_since = match declared {
            true => self.silent.get(name).copied(),
            false => self.heard_at(node, now),
        };
        let some_ready = world.nodes().any(|node| node::is_ready(node));
        let step = node::step(node::View {
            node,
            pods: &pods,
            silent_since,
            others: if some_ready {
                Others::SomeReady
            } else {
                Others::NoneReady
            },
            grace_secs: self.node_grace_secs,
            now,
        });
        self.carry_out(Component::ControllerManager, step, task, agenda);
    }
}

/// Pods of a node that is gone are deleted without grace: nobody could end them.
fn abandon<'a>(pods: impl Iterator<Item = &'a Value>, at: Timestamp, now: Timestamp) -> Step {
    let mut step = Step::default();
    for pod in pods {
        if at > now {
            step.wake(at);
            break;
        }
        if !pod::is_terminal(pod) {
            let why = ("DeletionByPodGC", "PodGC: node no longer exists");
            let mut marked = pod::disrupted(pod, why, now);
            marked["status"]["phase"] = Value::from("Failed");
            step.push(Write::UpdateStatus(pod::TABLE, marked));
        }
        let mut deletion = Deletion::of(pod::TABLE, pod);
        deletion.grace_secs = Some(0);
        step.push(Write::Delete(deletion));
    }
    step
}
