//! Making the writes of the steps, each under the name of the component it stands for.

use super::recorder::{Again, Recorder};
use super::step::{Binding, Creation, Deletion, Note, Propagation, ScaleTo, Write};
use crate::cluster::{
    Caller, Cluster, DeleteOptions, DryRun, Part, Preconditions, Propagation as Dependents, Target,
    WriteOptions,
};
use crate::namespaces;
use crate::object::{self, list, name, namespace};
use crate::resource::Resource;
use crate::status::Status;
use crate::workloads::Events;
use serde_json::{Value, json};
use std::sync::Arc;

/// Which component of the control plane writes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Component {
    /// kube-controller-manager.
    ControllerManager,
    /// kube-scheduler.
    Scheduler,
    /// A kubelet.
    Kubelet,
    /// cloud-controller-manager, which makes load balancers.
    CloudControllerManager,
}

/// Writes for the controllers of one cluster.
#[derive(Debug)]
pub(crate) struct Writer {
    cluster: Cluster,
    callers: [Caller; 4],
    recorder: Recorder,
    events: Events,
}

impl Component {
    /// Its field manager.
    fn manager(self) -> &'static str {
        match self {
            Self::ControllerManager => "kube-controller-manager",
            Self::Scheduler => "kube-scheduler",
            Self::Kubelet => "kubelet",
            Self::CloudControllerManager => "cloud-controller-manager",
        }
    }
}

impl Writer {
    /// A writer that has recorded nothing.
    pub(crate) fn new(cluster: Cluster, events: Events) -> Self {
        let components = [
            Component::ControllerManager,
            Component::Scheduler,
            Component::Kubelet,
            Component::CloudControllerManager,
        ];
        let callers = components.map(|component| Caller::system(component.manager()));
        Self {
            cluster,
            callers,
            recorder: Recorder::default(),
            events,
        }
    }

    /// Makes one write. What is gone already is no error.
    pub(crate) fn write(&mut self, component: Component, write: Write) -> Result<(), Status> {
        let caller = self.callers[component as usize].clone();
        let done = match write {
            Write::Create(creation) => self.create(&caller, creation),
            Write::Update(_, object) | Write::Release(_, object) => {
                let resource = self.resource_of(&object)?;
                self.cluster
                    .update(&caller, &resource, object, &WriteOptions::default())
                    .map(drop)
            }
            Write::UpdateStatus(_, object) => {
                let resource = self.resource_of(&object)?;
                self.cluster
                    .update_status(&caller, &resource, object)
                    .map(drop)
            }
            Write::Delete(deletion) => self.delete(&caller, &deletion),
            Write::Bind(binding) => self.bind(&binding),
            Write::Scale(to) => self.scale(&caller, &to),
            Write::Finalize(object) => self.finalize(&object),
            Write::Event(note) => self.record(&caller, note),
        };
        match done {
            Err(status) if status.code == 404 => Ok(()),
            other => other,
        }
    }

    /// Deletes Events that are too old or too many; says when to come again.
    pub(crate) fn expire_events(&mut self) -> Option<jiff::Timestamp> {
        let caller = self.callers[Component::ControllerManager as usize].clone();
        if let Ok(resource) = self.cluster.resource("v1", "Event") {
            for (namespace, name) in self.recorder.expired(self.cluster.clock().now()) {
                let options = DeleteOptions::default();
                // It may have gone with its namespace.
                let _ = self
                    .cluster
                    .delete(&caller, &resource, &namespace, &name, &options);
            }
        }
        self.recorder.next_expiry()
    }

    fn create(&mut self, caller: &Caller, creation: Creation) -> Result<(), Status> {
        let resource = self.resource_of(&creation.object)?;
        let place = namespace(&creation.object).to_owned();
        let options = WriteOptions::default();
        let made = self
            .cluster
            .create(caller, &resource, &place, creation.object, &options)?;
        if let Some(mut note) = creation.announce {
            note.message.push_str(name(&made));
            return self.record(caller, note);
        }
        Ok(())
    }

    fn delete(&self, caller: &Caller, deletion: &Deletion) -> Result<(), Status> {
        let Some(resource) = self.resource_of_table(&deletion.table) else {
            return Ok(());
        };
        let options = DeleteOptions {
            grace_period_secs: deletion.grace_secs,
            propagation: Some(match deletion.propagation {
                Propagation::Background => Dependents::Background,
                Propagation::Foreground => Dependents::Foreground,
                Propagation::Orphan => Dependents::Orphan,
            }),
            preconditions: Preconditions {
                uid: Some(deletion.uid.clone()),
                resource_version: None,
            },
            ..DeleteOptions::default()
        };
        let (namespace, name) = (&deletion.namespace, &deletion.name);
        self.cluster
            .delete(caller, &resource, namespace, name, &options)
            .map(drop)
    }

    fn bind(&self, binding: &Binding) -> Result<(), Status> {
        let resource = self.cluster.resource("v1", "Pod")?;
        let Binding {
            namespace,
            name,
            uid,
            node,
        } = binding;
        let pod = self.cluster.get(&resource, namespace, name)?;
        if object::uid(&pod) != uid {
            return Err(Status::not_found(&resource, name));
        }
        let target = Target {
            resource: &resource,
            namespace,
            name,
            part: Part::Main,
        };
        self.cluster.bind_pod(&target, node, DryRun::Off)
    }

    fn scale(&self, caller: &Caller, to: &ScaleTo) -> Result<(), Status> {
        let resource = self.cluster.resource(&to.api_version, &to.kind)?;
        let target = Target {
            resource: &resource,
            namespace: &to.namespace,
            name: &to.name,
            part: Part::Scale,
        };
        let scale = json!({"metadata": {"name": to.name}, "spec": {"replicas": to.replicas}});
        self.cluster
            .replace_scale(caller, &target, &scale, &WriteOptions::default())
            .map(drop)
    }

    /// What the `finalize` subresource does.
    fn finalize(&self, namespace: &Value) -> Result<(), Status> {
        let resource = self.cluster.resource("v1", "Namespace")?;
        self.cluster
            .rewrite(&resource, "", name(namespace), |object| {
                let left: Vec<Value> = list(&object["spec"]["finalizers"])
                    .iter()
                    .filter(|finalizer| **finalizer != *namespaces::KUBERNETES)
                    .cloned()
                    .collect();
                match (left.is_empty(), object["spec"].as_object_mut()) {
                    (true, Some(spec)) => drop(spec.shift_remove("finalizers")),
                    _ => object["spec"]["finalizers"] = Value::Array(left),
                }
            })
    }

    fn record(&mut self, caller: &Caller, note: Note) -> Result<(), Status> {
        if self.events == Events::Dropped {
            return Ok(());
        }
        let resource = self.cluster.resource("v1", "Event")?;
        let recorded = self.recorder.record(note.clone(), self.cluster.clock());
        let options = WriteOptions::default();
        let place = namespace(&recorded.event).to_owned();
        let done = match recorded.again {
            Again::First => {
                self.cluster
                    .create(caller, &resource, &place, recorded.event, &options)
            }
            Again::Counted => self
                .cluster
                .update(caller, &resource, recorded.event, &options),
        };
        if done.is_err() {
            // Events are a courtesy: a namespace that goes takes no more of them.
            self.recorder.forget(&note);
        }
        Ok(())
    }

    fn resource_of(&self, object: &Value) -> Result<Arc<Resource>, Status> {
        let text = |field: &str| object[field].as_str().unwrap_or_default();
        self.cluster.resource(text("apiVersion"), text("kind"))
    }

    fn resource_of_table(&self, table: &str) -> Option<Arc<Resource>> {
        let registry = self.cluster.registry();
        registry
            .all()
            .find(|resource| resource.table() == table)
            .cloned()
    }
}

/// Whether a write failed because its namespace is going, which ends by itself.
pub(crate) fn is_namespace_going(status: &Status) -> bool {
    let causes = status.details.iter().flat_map(|details| &details.causes);
    causes
        .into_iter()
        .any(|cause| cause.reason == "NamespaceTerminating")
}

/// Whether a write failed because its object moved: the next look will see it as it is.
pub(crate) fn is_conflict(status: &Status) -> bool {
    status.code == 409 && status.reason == "Conflict"
}
