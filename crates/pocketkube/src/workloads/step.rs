//! What a step of a controller gives: writes to make, and when to look again.

use jiff::{SignedDuration, Timestamp};
use serde_json::Value;

/// What one look at the world leads to. Writes are made in order.
#[derive(Debug, Clone, Default, PartialEq)]
pub(crate) struct Step {
    /// Writes to make.
    pub(crate) writes: Vec<Write>,
    /// When to look again although nothing changes.
    pub(crate) wake_at: Option<Timestamp>,
}

/// One write.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Write {
    /// Creates an object.
    Create(Creation),
    /// Replaces an object; it carries the version that it was made from.
    Update(&'static str, Value),
    /// Replaces an object of any kind: owners or finalizers are gone from it.
    Release(String, Value),
    /// Takes `kubernetes` from the finalizers in the spec of a Namespace.
    Finalize(Value),
    /// Replaces an object's status.
    UpdateStatus(&'static str, Value),
    /// Deletes an object.
    Delete(Deletion),
    /// Binds a Pod to a node.
    Bind(Binding),
    /// Sets the replicas of an object through its Scale.
    Scale(ScaleTo),
    /// Records an Event.
    Event(Note),
}

/// A creation.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Creation {
    /// Table of the object.
    pub(crate) table: &'static str,
    /// The object.
    pub(crate) object: Value,
    /// An Event that follows; the name that the server gave is put behind its message.
    pub(crate) announce: Option<Note>,
}

/// A deletion of one object, only if it still is the one that was looked at.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Deletion {
    /// Table of the object.
    pub(crate) table: String,
    /// Namespace, empty for objects of the cluster.
    pub(crate) namespace: String,
    /// Name.
    pub(crate) name: String,
    /// Uid that must still be there.
    pub(crate) uid: String,
    /// Grace period; absent leaves it to the server.
    pub(crate) grace_secs: Option<i64>,
    /// What happens to dependents.
    pub(crate) propagation: Propagation,
}

/// What happens to the dependents of a deleted object.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Propagation {
    /// They go after it.
    Background,
    /// They go before it.
    Foreground,
    /// They stay.
    Orphan,
}

/// A decision of the scheduler.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Binding {
    /// Namespace of the Pod.
    pub(crate) namespace: String,
    /// Name of the Pod.
    pub(crate) name: String,
    /// Uid of the Pod.
    pub(crate) uid: String,
    /// Node that gets it.
    pub(crate) node: String,
}

/// A decision of an autoscaler.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct ScaleTo {
    pub(crate) api_version: String,
    pub(crate) kind: String,
    pub(crate) namespace: String,
    pub(crate) name: String,
    pub(crate) replicas: i64,
}

/// An Event about an object.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Note {
    /// Kind, namespace, name … of the object.
    pub(crate) regarding: Regarding,
    /// `Normal` or `Warning`.
    pub(crate) severity: Severity,
    /// CamelCase reason.
    pub(crate) reason: &'static str,
    /// One sentence.
    pub(crate) message: String,
    /// Component that reports it, for instance `deployment-controller`.
    pub(crate) component: &'static str,
}

/// What an Event is about.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Regarding {
    pub(crate) api_version: String,
    pub(crate) kind: String,
    pub(crate) namespace: String,
    pub(crate) name: String,
    pub(crate) uid: String,
    pub(crate) resource_version: String,
    /// Part of the object, for instance `spec.containers{web}`; often empty.
    pub(crate) field_path: String,
}

/// How bad an Event is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Severity {
    /// All is well.
    Normal,
    /// Somebody should look.
    Warning,
}

impl Step {
    /// Looks again at `at`, or earlier if that was asked before.
    pub(crate) fn wake(&mut self, at: Timestamp) {
        self.wake_at = Some(self.wake_at.map_or(at, |earlier| earlier.min(at)));
    }

    /// Adds a write.
    pub(crate) fn push(&mut self, write: Write) {
        self.writes.push(write);
    }
}

impl Creation {
    /// A creation that nobody talks about.
    pub(crate) fn quiet(table: &'static str, object: Value) -> Self {
        Self {
            table,
            object,
            announce: None,
        }
    }
}

impl Deletion {
    /// The deletion of an object as it was seen, in the background.
    pub(crate) fn of(table: &str, object: &Value) -> Self {
        Self {
            table: table.to_owned(),
            namespace: crate::object::namespace(object).to_owned(),
            name: crate::object::name(object).to_owned(),
            uid: crate::object::uid(object).to_owned(),
            grace_secs: None,
            propagation: Propagation::Background,
        }
    }
}

impl Note {
    /// A note about an object.
    pub(crate) fn new(
        component: &'static str,
        object: &Value,
        severity: Severity,
        reason: &'static str,
        message: String,
    ) -> Self {
        Self {
            regarding: Regarding::of(object),
            severity,
            reason,
            message,
            component,
        }
    }

    /// The same about a part of the object.
    pub(crate) fn at(mut self, field_path: String) -> Self {
        self.regarding.field_path = field_path;
        self
    }
}

impl Regarding {
    fn of(object: &Value) -> Self {
        let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
        let metadata = &object["metadata"];
        Self {
            api_version: text(&object["apiVersion"]),
            kind: text(&object["kind"]),
            namespace: text(&metadata["namespace"]),
            name: text(&metadata["name"]),
            uid: text(&metadata["uid"]),
            resource_version: text(&metadata["resourceVersion"]),
            field_path: String::new(),
        }
    }
}

impl Severity {
    /// As an Event's `type`.
    pub(crate) fn as_str(self) -> &'static str {
        match self {
            Self::Normal => "Normal",
            Self::Warning => "Warning",
        }
    }
}

/// A time that an object carries.
pub(crate) fn time(value: &Value) -> Option<Timestamp> {
    value.as_str()?.parse().ok()
}

/// `time` and so many seconds; saturates.
pub(crate) fn after_secs(time: Timestamp, secs: i64) -> Timestamp {
    time.saturating_add(SignedDuration::from_secs(secs))
        .unwrap_or(Timestamp::MAX)
}
