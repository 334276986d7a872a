//! The error of every API call: a `meta/v1` Status, worded as the real server words it.
//!
//! Clients branch on `reason` and `code`, people read `message`, and both are compared with a
//! real control plane by the conformance cases.

use crate::resource::Resource;
use crate::store::Full;
use serde_json::{Map, Value, json};
use std::fmt;

/// Why a call failed, ready to be sent.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Status {
    /// HTTP status code.
    pub code: u16,
    /// CamelCase reason that clients branch on; empty when the server gives none.
    pub reason: &'static str,
    /// One sentence for people.
    pub message: String,
    /// What the error is about; boxed because most results are successes.
    pub details: Option<Box<Details>>,
}

/// What a Status is about.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Details {
    /// Name of the object.
    pub name: String,
    /// API group.
    pub group: String,
    /// Plural resource, or the Kind for `Invalid`.
    pub kind: String,
    /// Uid of the object, where the server gives it.
    pub uid: String,
    /// One entry for each thing that is wrong.
    pub causes: Vec<Cause>,
    /// Seconds after which a retry makes sense; 0 is none.
    pub retry_after_secs: u32,
    /// Where an expired list may go on, inconsistently; empty is none.
    pub continue_token: String,
}

/// One thing that is wrong.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Cause {
    /// `FieldValueRequired`, `FieldValueInvalid`, `FieldManagerConflict`, …
    pub reason: String,
    /// One sentence.
    pub message: String,
    /// Path of the field, for instance `spec.ports[0].port`.
    pub field: String,
}

impl Cause {
    /// `field: Required value[: why]`.
    pub fn required(field: impl Into<String>, why: &str) -> Self {
        let message = match why {
            "" => "Required value".to_owned(),
            why => format!("Required value: {why}"),
        };
        Self::new("FieldValueRequired", field, message)
    }

    /// `field: Invalid value: <value as JSON>[: why]`. Strings are quoted as Go's `%q` does.
    pub fn invalid(field: impl Into<String>, value: &Value, why: &str) -> Self {
        let message = match why {
            "" => format!("Invalid value: {}", shown(value)),
            why => format!("Invalid value: {}: {why}", shown(value)),
        };
        Self::new("FieldValueInvalid", field, message)
    }

    /// `field: Unsupported value: "x": supported values: "a", "b"`.
    pub fn unsupported(field: impl Into<String>, value: &Value, allowed: &[&str]) -> Self {
        let allowed: Vec<String> = allowed.iter().map(|a| format!("{a:?}")).collect();
        let message = format!(
            "Unsupported value: {}: supported values: {}",
            shown(value),
            allowed.join(", ")
        );
        Self::new("FieldValueNotSupported", field, message)
    }

    /// `field: Forbidden: why`.
    pub fn forbidden(field: impl Into<String>, why: &str) -> Self {
        Self::new("FieldValueForbidden", field, format!("Forbidden: {why}"))
    }

    /// `field: Duplicate value: <value>`.
    pub fn duplicate(field: impl Into<String>, value: &Value) -> Self {
        Self::new(
            "FieldValueDuplicate",
            field,
            format!("Duplicate value: {}", shown(value)),
        )
    }

    /// A cause of any reason.
    pub fn new(
        reason: impl Into<String>,
        field: impl Into<String>,
        message: impl Into<String>,
    ) -> Self {
        Self {
            reason: reason.into(),
            message: message.into(),
            field: field.into(),
        }
    }
}

impl From<Full> for Status {
    /// What the real server says when etcd's space is used up.
    fn from(_: Full) -> Self {
        Self::plain(500, "", "etcdserver: mvcc: database space exceeded")
    }
}

impl Status {
    /// 404 `configmaps "x" not found`.
    pub fn not_found(resource: &Resource, name: &str) -> Self {
        let message = format!("{} {name:?} not found", resource.qualified());
        Self::about(404, "NotFound", message, resource, name)
    }

    /// 404 for a path that nothing serves.
    pub fn no_such_path() -> Self {
        let mut status = Self::plain(
            404,
            "NotFound",
            "the server could not find the requested resource",
        );
        status.details = Some(Box::default());
        status
    }

    /// 409 `configmaps "x" already exists`.
    pub fn already_exists(resource: &Resource, name: &str) -> Self {
        let message = format!("{} {name:?} already exists", resource.qualified());
        Self::about(409, "AlreadyExists", message, resource, name)
    }

    /// 409 `Operation cannot be fulfilled on configmaps "x": why`.
    pub fn conflict(resource: &Resource, name: &str, why: &str) -> Self {
        let message = format!(
            "Operation cannot be fulfilled on {} {name:?}: {why}",
            resource.qualified()
        );
        Self::about(409, "Conflict", message, resource, name)
    }

    /// 409 because the object moved since the caller read it.
    pub fn modified(resource: &Resource, name: &str) -> Self {
        let why = "the object has been modified; please apply your changes to the latest version \
                   and try again";
        Self::conflict(resource, name, why)
    }

    /// 422 `Deployment.apps "x" is invalid: <causes>`.
    pub fn invalid(resource: &Resource, name: &str, causes: Vec<Cause>) -> Self {
        let kind = match resource.group.as_str() {
            "" => resource.kind.clone(),
            group => format!("{}.{group}", resource.kind),
        };
        let mut lines: Vec<String> = Vec::with_capacity(causes.len());
        for cause in &causes {
            let line = format!("{}: {}", cause.field, cause.message);
            if !lines.contains(&line) {
                lines.push(line);
            }
        }
        let listed = match lines.len() {
            0 => "<nil>".to_owned(),
            1 => lines.remove(0),
            _ => format!("[{}]", lines.join(", ")),
        };
        let details = Details {
            name: name.to_owned(),
            group: resource.group.clone(),
            kind: resource.kind.clone(),
            causes,
            ..Details::default()
        };
        Self {
            code: 422,
            reason: "Invalid",
            message: format!("{kind} {name:?} is invalid: {listed}"),
            details: Some(Box::new(details)),
        }
    }

    /// 403 `configmaps "x" is forbidden: why`.
    pub fn forbidden(resource: &Resource, name: &str, why: &str) -> Self {
        let message = match name {
            "" => format!("{} is forbidden: {why}", resource.qualified()),
            name => format!("{} {name:?} is forbidden: {why}", resource.qualified()),
        };
        Self::about(403, "Forbidden", message, resource, name)
    }

    /// 400.
    pub fn bad_request(message: impl Into<String>) -> Self {
        Self::plain(400, "BadRequest", message)
    }

    /// 401.
    pub fn unauthorized() -> Self {
        Self::plain(401, "Unauthorized", "Unauthorized")
    }

    /// 405.
    pub fn method_not_allowed() -> Self {
        let message = "the server does not allow this method on the requested resource";
        let mut status = Self::plain(405, "MethodNotAllowed", message);
        status.details = Some(Box::default());
        status
    }

    /// 415.
    pub fn unsupported_media_type(accepted: &[&str]) -> Self {
        let message = format!(
            "the body of the request was in an unknown format - accepted media types include: {}",
            accepted.join(", ")
        );
        Self::plain(415, "UnsupportedMediaType", message)
    }

    /// 410: the version asked for is older than what is kept.
    pub fn expired(message: impl Into<String>) -> Self {
        Self::plain(410, "Expired", message)
    }

    /// 429 with a hint when to come back.
    pub fn too_many_requests(retry_after_secs: u32) -> Self {
        let message = "the server has received too many requests and has asked us to try again \
                       later";
        let mut status = Self::plain(429, "TooManyRequests", message);
        status.details = Some(Box::new(Details {
            retry_after_secs,
            ..Details::default()
        }));
        status
    }

    /// 500.
    pub fn internal(message: impl Into<String>) -> Self {
        let message = message.into();
        let mut status = Self::plain(
            500,
            "InternalError",
            format!("Internal error occurred: {message}"),
        );
        status.details = Some(Box::new(Details {
            causes: vec![Cause::new("", "", message)],
            ..Details::default()
        }));
        status
    }

    /// A status without details.
    pub fn plain(code: u16, reason: &'static str, message: impl Into<String>) -> Self {
        Self {
            code,
            reason,
            message: message.into(),
            details: None,
        }
    }

    /// A status about one object, or about a resource when `name` is empty.
    pub fn about(
        code: u16,
        reason: &'static str,
        message: impl Into<String>,
        resource: &Resource,
        name: &str,
    ) -> Self {
        let details = Details {
            name: name.to_owned(),
            group: resource.group.clone(),
            kind: resource.plural.clone(),
            ..Details::default()
        };
        Self {
            code,
            reason,
            message: message.into(),
            details: Some(Box::new(details)),
        }
    }

    /// The same status with causes.
    #[must_use]
    pub fn with_causes(mut self, causes: Vec<Cause>) -> Self {
        self.details.get_or_insert_default().causes = causes;
        self
    }

    /// Whether this is a 404.
    pub fn is_not_found(&self) -> bool {
        self.code == 404
    }

    /// Whether this is a write conflict that a fresh read may resolve.
    pub fn is_conflict(&self) -> bool {
        self.reason == "Conflict"
    }

    /// Whether the object was there already.
    pub fn is_already_exists(&self) -> bool {
        self.reason == "AlreadyExists"
    }

    /// The object that goes over the wire.
    pub fn to_value(&self) -> Value {
        let mut status = json!({
            "kind": "Status",
            "apiVersion": "v1",
            "metadata": {},
            "status": "Failure",
            "message": self.message,
        });
        let fields = status.as_object_mut().expect("a literal object");
        if !self.reason.is_empty() {
            fields.insert("reason".to_owned(), self.reason.into());
        }
        if let Some(details) = &self.details {
            if !details.continue_token.is_empty() {
                let metadata = json!({"continue": details.continue_token});
                fields.insert("metadata".to_owned(), metadata);
            }
            fields.insert("details".to_owned(), details.to_value());
        }
        fields.insert("code".to_owned(), self.code.into());
        status
    }
}

impl Details {
    fn to_value(&self) -> Value {
        let mut fields = Map::new();
        let texts = [
            ("name", &self.name),
            ("group", &self.group),
            ("kind", &self.kind),
            ("uid", &self.uid),
        ];
        for (key, text) in texts {
            if !text.is_empty() {
                fields.insert(key.to_owned(), text.as_str().into());
            }
        }
        if !self.causes.is_empty() {
            let causes = self.causes.iter().map(Cause::to_value).collect();
            fields.insert("causes".to_owned(), Value::Array(causes));
        }
        if self.retry_after_secs > 0 {
            fields.insert("retryAfterSeconds".to_owned(), self.retry_after_secs.into());
        }
        Value::Object(fields)
    }
}

impl Cause {
    fn to_value(&self) -> Value {
        let mut fields = Map::new();
        let texts = [
            ("reason", &self.reason),
            ("message", &self.message),
            ("field", &self.field),
        ];
        for (key, text) in texts {
            if !text.is_empty() {
                fields.insert(key.to_owned(), text.as_str().into());
            }
        }
        Value::Object(fields)
    }
}

impl fmt::Display for Status {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(out, "{} ({} {})", self.message, self.code, self.reason)
    }
}

impl std::error::Error for Status {}

fn shown(value: &Value) -> String {
    match value {
        Value::Null => "null".to_owned(),
        other => other.to_string(),
    }
}
