//! What a caller may ask of a write.

use serde_json::Value;

/// How a write is done.
#[derive(Debug, Clone, Default)]
pub struct WriteOptions {
    /// Whether anything is stored.
    pub dry_run: DryRun,
    /// What happens to fields nobody knows.
    pub field_validation: FieldValidation,
    /// Whether webhooks and policies have a say.
    pub admission: Admission,
}

/// Whether admission webhooks and policies have a say in a write.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Admission {
    /// They do not: the control plane itself writes.
    #[default]
    Inside,
    /// They do: a client writes over the API.
    Asked,
}

/// Whether a write is stored.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum DryRun {
    /// It is.
    #[default]
    Off,
    /// All is checked and answered, nothing stored (`dryRun=All`).
    All,
}

/// What happens to unknown and duplicate fields.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum FieldValidation {
    /// They are dropped.
    Ignore,
    /// They are dropped, with a warning.
    #[default]
    Warn,
    /// The write fails with 400.
    Strict,
}

/// Which part of an object a request is about.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Part {
    /// All but status, where status is a subresource.
    Main,
    /// The `status` subresource.
    Status,
    /// The `scale` subresource.
    Scale,
}

impl Part {
    /// As paths and rules name it; empty for the object itself.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Main => "",
            Self::Status => "status",
            Self::Scale => "scale",
        }
    }
}

/// A change to an object.
#[derive(Debug, Clone)]
pub enum Patch {
    /// RFC 6902.
    Json(Value),
    /// RFC 7386.
    Merge(Value),
    /// Merge that knows list keys and directives.
    Strategic(Value),
    /// Server-side apply.
    Apply {
        /// The fields that the caller wants, with `apiVersion` and `kind`.
        wanted: Value,
        /// Whether fields of other managers are taken over.
        force: Force,
    },
}

/// Whether an apply takes fields over from other managers.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Force {
    /// It conflicts.
    #[default]
    Off,
    /// It takes them.
    On,
}

/// How an object is deleted.
#[derive(Debug, Clone, Default)]
pub struct DeleteOptions {
    /// Whether anything is stored.
    pub dry_run: DryRun,
    /// Seconds until the object goes, for kinds that end gracefully (Pods); 0 is at once.
    pub grace_period_secs: Option<i64>,
    /// What happens to dependents; without it, the kind's default (background).
    pub propagation: Option<Propagation>,
    /// Deletes only that very object.
    pub preconditions: Preconditions,
    /// Whether webhooks and policies have a say.
    pub admission: Admission,
}

/// What happens to the dependents of a deleted object.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Propagation {
    /// They lose the owner and stay.
    Orphan,
    /// They are deleted afterwards.
    Background,
    /// They are deleted first.
    Foreground,
}

/// What must hold for a deletion to be done.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Preconditions {
    /// The object's uid.
    pub uid: Option<String>,
    /// The object's version.
    pub resource_version: Option<String>,
}
