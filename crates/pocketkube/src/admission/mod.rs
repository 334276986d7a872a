//! Admission: what others say of a write before it is done.
//!
//! | what | where |
//! |---|---|
//! | which webhooks and policies a write concerns | `matching` |
//! | asking webhooks, in the server's order, and taking their patches | `webhooks` |
//! | one question to one webhook over HTTPS | `call` |
//! | ValidatingAdmissionPolicies | `policies` |
//! | expressions of match conditions and policies | `expression` |
//!
//! Webhooks are asked about what comes in over the API. What the control plane writes by itself
//! (Pods of a ReplicaSet, endpoints, …) asks nobody, so that its controllers never wait.

mod call;
mod expression;
mod matching;
mod policies;
mod webhooks;

use crate::cluster::{Admission, Cluster, User};
use crate::resource::Resource;
use crate::status::Status;
use serde_json::{Value, json};

/// Whether an expression of a policy can be read.
pub(crate) fn check_expression(text: &str) -> Result<(), String> {
    let compiled = crate::cel::Program::compile(text);
    compiled
        .map(drop)
        .map_err(|problem| format!("compilation failed: {problem}"))
}

/// A write that others may have a say in.
#[derive(Debug, Clone)]
pub(crate) struct Attempt<'a> {
    pub(crate) user: &'a User,
    pub(crate) resource: &'a Resource,
    /// Subresource, or empty.
    pub(crate) part: &'a str,
    pub(crate) operation: Operation,
    pub(crate) namespace: &'a str,
    /// Name; empty while it is still to be drawn.
    pub(crate) name: &'a str,
    /// Whether nothing is stored.
    pub(crate) is_trial: bool,
    /// What was there before.
    pub(crate) old: Option<&'a Value>,
    pub(crate) admission: Admission,
}

/// What is attempted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Operation {
    Create,
    Update,
    Delete,
}

impl Operation {
    /// As rules and reviews write it.
    pub(crate) fn as_str(self) -> &'static str {
        match self {
            Self::Create => "CREATE",
            Self::Update => "UPDATE",
            Self::Delete => "DELETE",
        }
    }
}

/// What others made of an object.
#[derive(Debug, Default)]
pub(crate) struct Opinion {
    /// What the caller should know.
    pub(crate) warnings: Vec<String>,
    /// Whether the object was changed.
    pub(crate) changed: bool,
}

impl Cluster {
    /// Lets mutating webhooks change an object.
    pub(crate) async fn let_change(
        &self,
        attempt: &Attempt<'_>,
        object: &mut Value,
    ) -> Result<Opinion, Status> {
        match self.asks(attempt) {
            true => webhooks::change(self, attempt, object).await,
            false => Ok(Opinion::default()),
        }
    }

    /// Lets policies and validating webhooks refuse an object; none is a deletion.
    pub(crate) async fn let_refuse(
        &self,
        attempt: &Attempt<'_>,
        object: Option<&Value>,
    ) -> Result<Opinion, Status> {
        if !self.asks(attempt) {
            return Ok(Opinion::default());
        }
        let mut opinion = policies::refuse(self, attempt, object)?;
        let asked = webhooks::refuse(self, attempt, object).await?;
        opinion.warnings.extend(asked.warnings);
        Ok(opinion)
    }

    /// Lets webhooks of both kinds refuse a deletion.
    pub(crate) async fn let_delete(&self, attempt: &Attempt<'_>) -> Result<(), Status> {
        if !self.asks(attempt) {
            return Ok(());
        }
        let mut nothing = Value::Null;
        webhooks::change(self, attempt, &mut nothing).await?;
        self.let_refuse(attempt, None).await.map(drop)
    }

    /// Configurations of webhooks and policies ask nobody, or a wrong one could not be mended.
    fn asks(&self, attempt: &Attempt<'_>) -> bool {
        attempt.admission == Admission::Asked
            && attempt.resource.group != "admissionregistration.k8s.io"
    }
}

impl Attempt<'_> {
    /// The `request` of an AdmissionReview (`admission.k8s.io/v1`), as which resource it is told.
    fn request(&self, uid: &str, told: &Resource, object: Option<&Value>) -> Value {
        let kind = |resource: &Resource| {
            json!({
                "group": resource.group, "version": resource.version, "kind": resource.kind,
            })
        };
        let plural = |resource: &Resource| {
            json!({
                "group": resource.group, "version": resource.version, "resource": resource.plural,
            })
        };
        let mut request = json!({
            "uid": uid,
            "kind": kind(told),
            "resource": plural(told),
        });
        if !self.part.is_empty() {
            request["subResource"] = self.part.into();
        }
        request["requestKind"] = kind(self.resource);
        request["requestResource"] = plural(self.resource);
        if !self.part.is_empty() {
            request["requestSubResource"] = self.part.into();
        }
        // A Namespace is in itself.
        let namespace = match self.resource.qualified().as_str() {
            "namespaces" => self.name,
            _ => self.namespace,
        };
        for (field, text) in [("name", self.name), ("namespace", namespace)] {
            if !text.is_empty() {
                request[field] = text.into();
            }
        }
        request["operation"] = self.operation.as_str().into();
        request["userInfo"] = json!({"username": self.user.name});
        if !self.user.uid.is_empty() {
            request["userInfo"]["uid"] = self.user.uid.as_str().into();
        }
        request["userInfo"]["groups"] = self.user.groups.clone().into();
        if !self.user.extra.is_empty() {
            request["userInfo"]["extra"] = json!(self.user.extra);
        }
        let shown = |object: Option<&Value>| match object {
            Some(object) => in_version(object, told),
            None => Value::Null,
        };
        request["object"] = shown(object);
        request["oldObject"] = shown(self.old);
        request["dryRun"] = self.is_trial.into();
        let options = match self.operation {
            Operation::Create => "CreateOptions",
            Operation::Update => "UpdateOptions",
            Operation::Delete => "DeleteOptions",
        };
        request["options"] = json!({"kind": options, "apiVersion": "meta.k8s.io/v1"});
        if self.is_trial {
            request["options"]["dryRun"] = json!(["All"]);
        }
        request
    }
}

/// An object in another version of its kind (conversion `None`).
fn in_version(object: &Value, resource: &Resource) -> Value {
    let mut object = object.clone();
    object["apiVersion"] = resource.api_version().into();
    object["kind"] = resource.kind.as_str().into();
    object
}
