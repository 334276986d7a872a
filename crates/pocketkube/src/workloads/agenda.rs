//! What is to be looked at: now, and at times to come.

use jiff::Timestamp;
use std::collections::{BTreeMap, BTreeSet};

/// One thing to look at. The order is the order of work, so that a run replays: what changes
/// single Pods comes first, so that those who count Pods look once at many changes.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Task {
    /// What the kubelet makes of a Pod, by key.
    Kubelet(String),
    /// What the kubelet says about its node, by name.
    Heartbeat(String),
    /// Pods that wait for a node.
    Schedule,
    /// A ReplicaSet, by key.
    ReplicaSet(String),
    /// A StatefulSet, by key.
    StatefulSet(String),
    /// A DaemonSet, by key.
    DaemonSet(String),
    /// A Deployment, by key.
    Deployment(String),
    /// A Job, by key.
    Job(String),
    /// A CronJob, by key.
    CronJob(String),
    /// A PersistentVolume, by name.
    Volume(String),
    /// A PersistentVolumeClaim, by key.
    Claim(String),
    /// A HorizontalPodAutoscaler, by key.
    Autoscaler(String),
    /// A PodDisruptionBudget, by key.
    Budget(String),
    /// What the node lifecycle controller makes of a node, by name.
    Node(String),
    /// A Service, by key.
    Service(String),
    /// Owners and dependents.
    Garbage,
    /// A Namespace, by name.
    Namespace(String),
    /// Events that are too old.
    Events,
}

impl Task {
    /// A look at a controller of a kind.
    pub(crate) fn of_controller(kind: &str, key: String) -> Option<Self> {
        match kind {
            "ReplicaSet" => Some(Self::ReplicaSet(key)),
            "StatefulSet" => Some(Self::StatefulSet(key)),
            "DaemonSet" => Some(Self::DaemonSet(key)),
            "Deployment" => Some(Self::Deployment(key)),
            "Job" => Some(Self::Job(key)),
            "CronJob" => Some(Self::CronJob(key)),
            _ => None,
        }
    }
}

/// Tasks due and tasks to come.
#[derive(Debug, Default)]
pub(crate) struct Agenda {
    due: BTreeSet<Task>,
    later: BTreeSet<(Timestamp, Task)>,
    times: BTreeMap<Task, Timestamp>,
}

impl Agenda {
    /// Puts a task up for now.
    pub(crate) fn now(&mut self, task: Task) {
        self.due.insert(task);
    }

    /// Puts a task up for a time, instead of any time that it was put up for.
    pub(crate) fn at(&mut self, time: Timestamp, task: Task) {
        self.cancel(&task);
        self.times.insert(task.clone(), time);
        self.later.insert((time, task));
    }

    /// Takes back what was put up for a time to come.
    pub(crate) fn cancel(&mut self, task: &Task) {
        if let Some(time) = self.times.remove(task) {
            self.later.remove(&(time, task.clone()));
        }
    }

    /// Makes tasks due whose time has come.
    pub(crate) fn strike(&mut self, now: Timestamp) {
        while let Some((time, _)) = self.later.first()
            && *time <= now
        {
            let (_, task) = self.later.pop_first().expect("looked at above");
            self.times.remove(&task);
            self.due.insert(task);
        }
    }

    /// The next task that is due.
    pub(crate) fn take(&mut self) -> Option<Task> {
        self.due.pop_first()
    }

    /// Whether nothing is due.
    pub(crate) fn is_idle(&self) -> bool {
        self.due.is_empty()
    }

    /// When the next task becomes due.
    pub(crate) fn next_time(&self) -> Option<Timestamp> {
        self.later.first().map(|(time, _)| *time)
    }
}

#[cfg(test)]
mod tests {
    use super::{Agenda, Task};
    use jiff::Timestamp;

    #[test]
    fn a_task_is_due_once_and_at_its_latest_time() {
        let second = |number| Timestamp::from_second(number).unwrap();
        let mut agenda = Agenda::default();
        agenda.at(second(5), Task::Schedule);
        agenda.at(second(9), Task::Schedule);
        agenda.at(second(3), Task::Garbage);
        assert_eq!(agenda.next_time(), Some(second(3)));
        agenda.strike(second(6));
        assert_eq!(agenda.take(), Some(Task::Garbage));
        assert!(agenda.is_idle());
        agenda.strike(second(9));
        agenda.now(Task::Schedule);
        assert_eq!((agenda.take(), agenda.take()), (Some(Task::Schedule), None));
        assert_eq!(agenda.next_time(), None);
    }
}
