//! Kinds that are asked and answered but not kept: who am I, may I, whose token is this.
//!
//! Where a cluster does not enforce roles, everybody may do everything, and the answers say so.

use super::answer::Answer;
use super::path::ResourcePath;
use super::{Request, authenticate, decode};
use crate::authorization::{Attributes, Objective, ResourceAttributes, Rule};
use crate::cluster::{Cluster, User};
use crate::object;
use crate::status::{Cause, Details, Status};
use crate::tokens;
use http::Method;
use http::header::CONTENT_TYPE;
use serde_json::{Map, Value, json};
use std::collections::BTreeMap;

/// Answers a review; none when the path is not one.
pub(crate) fn answer(
    cluster: &Cluster,
    user: &User,
    path: &ResourcePath,
    request: &Request,
) -> Option<Result<Answer, Status>> {
    let review = Review::of(path)?;
    if request.method != Method::POST {
        return Some(Err(Status::method_not_allowed()));
    }
    Some(review.answer(cluster, user, path, request))
}

enum Review {
    Access(&'static str),
    Rules,
    Own,
    Token,
}

impl Review {
    fn of(path: &ResourcePath) -> Option<Self> {
        if path.version != "v1" || !path.name.is_empty() {
            return None;
        }
        let is_local = !path.namespace.is_empty();
        Some(match (path.group.as_str(), path.plural.as_str()) {
            ("authorization.k8s.io", "localsubjectaccessreviews") if is_local => {
                Self::Access("LocalSubjectAccessReview")
            }
            _ if is_local => return None,
            ("authorization.k8s.io", "selfsubjectaccessreviews") => {
                Self::Access("SelfSubjectAccessReview")
            }
            ("authorization.k8s.io", "subjectaccessreviews") => Self::Access("SubjectAccessReview"),
            ("authorization.k8s.io", "selfsubjectrulesreviews") => Self::Rules,
            ("authentication.k8s.io", "selfsubjectreviews") => Self::Own,
            ("authentication.k8s.io", "tokenreviews") => Self::Token,
            _ => return None,
        })
    }

    fn kind(&self) -> &'static str {
        match self {
            Self::Access(kind) => kind,
            Self::Rules => "SelfSubjectRulesReview",
            Self::Own => "SelfSubjectReview",
            Self::Token => "TokenReview",
        }
    }

    fn answer(
        &self,
        cluster: &Cluster,
        user: &User,
        path: &ResourcePath,
        request: &Request,
    ) -> Result<Answer, Status> {
        let media_type = decode::media_type(request.header(CONTENT_TYPE));
        let mut body = decode::object(media_type, &request.body, self.kind())?.value;
        let resource = cluster.resource(&format!("{}/v1", path.group), self.kind())?;
        let caller = authenticate::caller(
            user.clone(),
            request.query.text("fieldManager"),
            &request.headers,
        );
        cluster.take_in(&caller, &resource, &path.namespace, &mut body)?;
        self.check(path, &body["spec"])?;
        let mut answer = Map::new();
        answer.insert("kind".to_owned(), self.kind().into());
        answer.insert("apiVersion".to_owned(), format!("{}/v1", path.group).into());
        let (metadata, spec) = match self {
            Self::Own => (json!({"creationTimestamp": cluster.clock().stamp()}), None),
            Self::Rules => (json!({}), Some(json!({}))),
            _ => (body["metadata"].clone(), Some(body["spec"].clone())),
        };
        answer.insert("metadata".to_owned(), metadata);
        if let Some(spec) = spec {
            answer.insert("spec".to_owned(), spec);
        }
        answer.insert("status".to_owned(), self.status(cluster, user, &body));
        Ok(Answer::value(201, &Value::Object(answer)))
    }

    /// What a question must say.
    fn check(&self, path: &ResourcePath, spec: &Value) -> Result<(), Status> {
        let cause = match self {
            Self::Access(kind) => access_fault(kind, &path.namespace, spec),
            Self::Rules if text(&spec["namespace"]).is_empty() => {
                return Err(Status::bad_request("no namespace on request"));
            }
            Self::Token if text(&spec["token"]).is_empty() => {
                let message = "token is required for TokenReview in authentication";
                return Err(Status::bad_request(message));
            }
            _ => None,
        };
        let Some(cause) = cause else { return Ok(()) };
        let message = format!(
            ".authorization.k8s.io \"\" is invalid: {}: {}",
            cause.field, cause.message
        );
        let details = Details {
            group: "authorization.k8s.io".to_owned(),
            causes: vec![cause],
            ..Details::default()
        };
        let details = Some(Box::new(details));
        Err(Status {
            code: 422,
            reason: "Invalid",
            message,
            details,
        })
    }

    fn status(&self, cluster: &Cluster, user: &User, body: &Value) -> Value {
        let spec = &body["spec"];
        match self {
            Self::Access("SelfSubjectAccessReview") => access(cluster, user, spec),
            Self::Access(_) => access(cluster, &asked_about(spec), spec),
            Self::Rules => rules(cluster, user, text(&spec["namespace"])),
            Self::Own => json!({"userInfo": user_info(user)}),
            Self::Token => token(cluster, spec),
        }
    }
}

/// Whether a user may do what a review asks.
fn access(cluster: &Cluster, user: &User, spec: &Value) -> Value {
    let (resource, path) = (&spec["resourceAttributes"], &spec["nonResourceAttributes"]);
    let (verb, object) = match resource.is_null() {
        true => (text(&path["verb"]), Objective::Path(text(&path["path"]))),
        false => {
            let wanted = ResourceAttributes {
                group: text(&resource["group"]),
                resource: text(&resource["resource"]),
                subresource: text(&resource["subresource"]),
                namespace: text(&resource["namespace"]),
                name: text(&resource["name"]),
            };
            (text(&resource["verb"]), Objective::Resource(wanted))
        }
    };
    let decision = cluster.authorize(&Attributes { user, verb, object });
    let mut status = json!({"allowed": decision.allowed});
    if !decision.reason.is_empty() {
        status["reason"] = decision.reason.into();
    }
    status
}

fn rules(cluster: &Cluster, user: &User, namespace: &str) -> Value {
    let all = cluster.rules_of(user, namespace);
    let told = |wanted: fn(&Rule) -> bool| -> Vec<Value> {
        all.rules
            .iter()
            .filter(|rule| wanted(rule))
            .map(|rule| json!(rule))
            .collect()
    };
    let mut status = json!({
        "resourceRules": told(|rule| !rule.resources.is_empty()),
        "nonResourceRules": told(|rule| !rule.paths.is_empty()),
        "incomplete": false,
    });
    if !all.problems.is_empty() {
        status["evaluationError"] = all.problems.join(", ").into();
    }
    status
}

fn token(cluster: &Cluster, spec: &Value) -> Value {
    let given = text(&spec["token"]);
    let mut targets = texts(&spec["audiences"]);
    if targets.is_empty() {
        targets.push(tokens::ISSUER.to_owned());
    }
    match authenticate::user_of_token_for(cluster, given, &targets) {
        Ok((user, audiences)) => json!({
            "authenticated": true,
            "user": user_info(&user),
            "audiences": audiences,
        }),
        Err(why) => json!({"user": {}, "error": why}),
    }
}

/// The user whom a review asks about.
fn asked_about(spec: &Value) -> User {
    let extra = spec["extra"].as_object().into_iter().flatten();
    let extra: BTreeMap<String, Vec<String>> = extra
        .map(|(key, values)| (key.clone(), texts(values)))
        .collect();
    User {
        name: text(&spec["user"]).to_owned(),
        uid: text(&spec["uid"]).to_owned(),
        groups: texts(&spec["groups"]),
        extra,
    }
}

/// What is wrong with the attributes of an access review.
fn access_fault(kind: &str, namespace: &str, spec: &Value) -> Option<Cause> {
    let (resource, other) = (&spec["resourceAttributes"], &spec["nonResourceAttributes"]);
    // Shown with the names that the server's own types have.
    let shown = || json!({"Path": text(&other["path"]), "Verb": text(&other["verb"])});
    let is_named = !text(&spec["user"]).is_empty() || !object::list(&spec["groups"]).is_empty();
    match (resource.is_null(), other.is_null()) {
        (true, true) => {
            let why =
                "exactly one of nonResourceAttributes or resourceAttributes must be specified";
            Some(Cause::invalid("spec.resourceAttributes", &Value::Null, why))
        }
        (false, false) => {
            let why = "cannot be specified in combination with resourceAttributes";
            Some(Cause::invalid("spec.nonResourceAttributes", &shown(), why))
        }
        _ if kind != "SelfSubjectAccessReview" && !is_named => {
            let why = "at least one of user or group must be specified";
            Some(Cause::invalid("spec.user", &"".into(), why))
        }
        _ if kind != "LocalSubjectAccessReview" => None,
        (true, false) => {
            let why = "disallowed on this kind of request";
            Some(Cause::invalid("spec.nonResourceAttributes", &shown(), why))
        }
        _ => {
            let given = text(&resource["namespace"]);
            let field = "spec.resourceAttributes.namespace";
            let why = "must match metadata.namespace";
            (given != namespace).then(|| Cause::invalid(field, &given.into(), why))
        }
    }
}

fn user_info(user: &User) -> Value {
    let mut info = json!({"username": user.name});
    if !user.uid.is_empty() {
        info["uid"] = user.uid.as_str().into();
    }
    info["groups"] = user.groups.clone().into();
    if !user.extra.is_empty() {
        info["extra"] = json!(user.extra);
    }
    info
}

fn text(value: &Value) -> &str {
    value.as_str().unwrap_or_default()
}

fn texts(values: &Value) -> Vec<String> {
    object::list(values)
        .iter()
        .filter_map(Value::as_str)
        .map(str::to_owned)
        .collect()
}
