//! Looks of the volume binder.

use super::{Look, split};
use crate::workloads::agenda::{Agenda, Task};
use crate::workloads::pod;
use crate::workloads::step::{Creation, Write};
use crate::workloads::volumes::{self, CLAIMS, CLASSES, SELECTED_NODE, VOLUMES};
use crate::workloads::world::World;
use crate::workloads::writes::Component;
use serde_json::{Value, json};

/// What claims let the scheduler do with a Pod.
pub(super) enum Storage {
    /// Bind it.
    Ready,
    /// Choose a node for it, and wait for these claims, by key.
    Waits(Vec<String>),
    /// Refuse it.
    Refused(String),
}

impl Look {
    /// Makes the class that the cluster starts with, unless it is there.
    pub(crate) fn provide_storage(&mut self) {
        let class = volumes::default_class();
        let named = crate::object::name(&class);
        let (api_version, kind) = ("storage.k8s.io/v1", "StorageClass");
        let is_there = self.get(api_version, kind, "", named).is_some();
        if self.storage == crate::workloads::Storage::Standard && !is_there {
            let write = Write::Create(Creation::quiet(CLASSES, class));
            if let Err(status) = self.writer.write(Component::ControllerManager, write) {
                tracing::warn!(%status.message, "a cluster starts without its storage class");
            }
        }
    }

    pub(super) fn claim(&mut self, key: &str, world: &World, agenda: &mut Agenda) {
        let (place, named) = split(key);
        let Some(object) = self.get("v1", "PersistentVolumeClaim", place, named) else {
            return;
        };
        let (volumes, classes) = (all(world, VOLUMES), all(world, CLASSES));
        let view = volumes::View {
            volumes: &volumes,
            classes: &classes,
            now: self.cluster.clock().now(),
        };
        let mounts = |pod: &Value| {
            let runs = !pod::node(pod).is_empty() && !pod::is_terminal(pod);
            runs && volumes::claims_of(pod).any(|claim| claim == named)
        };
        let usage = match world.pods_in(place).any(|pod| mounts(pod)) {
            true => volumes::Use::Mounted,
            false => volumes::Use::Free,
        };
        let step = volumes::claim_step(&object, usage, view);
        let task = Task::Claim(key.to_owned());
        self.carry_out(Component::ControllerManager, step, task, agenda);
    }

    pub(super) fn volume(&mut self, named: &str, world: &World, agenda: &mut Agenda) {
        let Some(object) = self.get("v1", "PersistentVolume", "", named) else {
            return;
        };
        let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
        let reference = &object["spec"]["claimRef"];
        let key = crate::cluster::key(&text(&reference["namespace"]), &text(&reference["name"]));
        let claim = world.one(CLAIMS, &key).map(|claim| claim.value());
        let view = volumes::View {
            volumes: &[],
            classes: &[],
            now: self.cluster.clock().now(),
        };
        let step = volumes::volume_step(&object, claim, view);
        let task = Task::Volume(named.to_owned());
        self.carry_out(Component::ControllerManager, step, task, agenda);
    }

    /// Tells claims which node their Pod was chosen.
    pub(super) fn select_node(&mut self, claims: &[String], node: &str, world: &World) {
        for claim in claims.iter().filter_map(|key| world.one(CLAIMS, key)) {
            if crate::object::annotation(claim, SELECTED_NODE).is_some() {
                continue;
            }
            let mut object = claim.value().clone();
            if !object["metadata"]["annotations"].is_object() {
                object["metadata"]["annotations"] = json!({});
            }
            object["metadata"]["annotations"][SELECTED_NODE] = json!(node);
            // If it moved, its change brings the Pod back here.
            let _ = self
                .writer
                .write(Component::Scheduler, Write::Update(CLAIMS, object));
        }
    }
}

/// What a Pod's claims let the scheduler do.
pub(super) fn of_pod(pod: &Value, world: &World) -> Storage {
    let place = crate::object::namespace(pod);
    let classes = all(world, CLASSES);
    let mut waits = Vec::new();
    for named in volumes::claims_of(pod) {
        let key = crate::cluster::key(place, named);
        let Some(claim) = world.one(CLAIMS, &key) else {
            return Storage::Refused(format!("persistentvolumeclaim {named:?} not found"));
        };
        if crate::object::is_deleting(claim) {
            return Storage::Refused(format!("persistentvolumeclaim {named:?} is being deleted"));
        }
        if volumes::is_bound(claim) {
            continue;
        }
        if !volumes::waits_for_consumer(claim, &classes) {
            let why = "pod has unbound immediate PersistentVolumeClaims";
            return Storage::Refused(why.to_owned());
        }
        waits.push(key);
    }
    if waits.is_empty() {
        Storage::Ready
    } else {
        Storage::Waits(waits)
    }
}

fn all<'w>(world: &'w World, table: &str) -> Vec<&'w Value> {
    world.all(table).map(|object| object.value()).collect()
}
