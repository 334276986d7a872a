//! Kinds that are asked and answered but not kept: who am I, may I, whose token is this.
//!
//! Everybody may do everything as long as permissions are not enforced, and the answers say so.

use super::answer::Answer;
use super::path::ResourcePath;
use super::{Request, decode, user_of_token};
use crate::cluster::{Cluster, User};
use crate::status::{Cause, Details, Status};
use http::Method;
use http::header::CONTENT_TYPE;
use serde_json::{Map, Value, json};

/// Answers a review; none when the path is not one.
pub(crate) fn answer(
    cluster: &Cluster,
    user: &User,
    path: &ResourcePath,
    request: &Request,
) -> Option<Result<Answer, Status>> {
    if path.version != "v1" || !path.name.is_empty() {
        return None;
    }
    let review = match (path.group.as_str(), path.plural.as_str()) {
        ("authorization.k8s.io", "selfsubjectaccessreviews") => {
            Review::Access("SelfSubjectAccessReview")
        }
        ("authorization.k8s.io", "subjectaccessreviews") => Review::Access("SubjectAccessReview"),
        ("authorization.k8s.io", "localsubjectaccessreviews") => {
            Review::Access("LocalSubjectAccessReview")
        }
        ("authorization.k8s.io", "selfsubjectrulesreviews") => Review::Rules,
        ("authentication.k8s.io", "selfsubjectreviews") => Review::Own,
        ("authentication.k8s.io", "tokenreviews") => Review::Token,
        _ => return None,
    };
    if request.method != Method::POST {
        return Some(Err(Status::method_not_allowed()));
    }
    let media_type = decode::media_type(request.header(CONTENT_TYPE));
    let body = match decode::object(media_type, &request.body, review.kind()) {
        Ok(body) => body.value,
        Err(status) => return Some(Err(status)),
    };
    if let Err(status) = review.check(&body["spec"]) {
        return Some(Err(status));
    }
    let status = review.status(cluster, user, &body);
    let mut answer = Map::new();
    answer.insert("kind".to_owned(), review.kind().into());
    answer.insert("apiVersion".to_owned(), format!("{}/v1", path.group).into());
    let metadata = match review {
        Review::Own => json!({"creationTimestamp": cluster.clock().stamp()}),
        _ => json!({}),
    };
    answer.insert("metadata".to_owned(), metadata);
    if let Some(spec) = body.get("spec") {
        answer.insert("spec".to_owned(), spec.clone());
    }
    answer.insert("status".to_owned(), status);
    Some(Ok(Answer::value(201, &Value::Object(answer))))
}

enum Review {
    Access(&'static str),
    Rules,
    Own,
    Token,
}

impl Review {
    fn kind(&self) -> &'static str {
        match self {
            Self::Access(kind) => kind,
            Self::Rules => "SelfSubjectRulesReview",
            Self::Own => "SelfSubjectReview",
            Self::Token => "TokenReview",
        }
    }

    /// What a question must say.
    fn check(&self, spec: &Value) -> Result<(), Status> {
        let cause = match self {
            Self::Access(kind) => access_fault(kind, spec),
            Self::Rules if spec["namespace"].as_str().unwrap_or_default().is_empty() => {
                return Err(Status::bad_request("no namespace on request"));
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
        match self {
            Self::Access(_) => json!({"allowed": true}),
            Self::Rules => json!({
                "resourceRules": [{"verbs": ["*"], "apiGroups": ["*"], "resources": ["*"]}],
                "nonResourceRules": [{"verbs": ["*"], "nonResourceURLs": ["*"]}],
                "incomplete": false,
            }),
            Self::Own => json!({"userInfo": user_info(user)}),
            Self::Token => {
                let token = body["spec"]["token"].as_str().unwrap_or_default();
                match user_of_token(cluster, token) {
                    Some(user) => json!({
                        "authenticated": true,
                        "user": user_info(&user),
                        "audiences": [crate::tokens::ISSUER],
                    }),
                    None => json!({
                        "user": {},
                        "error": "invalid bearer token",
                    }),
                }
            }
        }
    }
}

/// What is wrong with the attributes of an access review.
fn access_fault(kind: &str, spec: &Value) -> Option<Cause> {
    let (resource, other) = (&spec["resourceAttributes"], &spec["nonResourceAttributes"]);
    let is_named = !spec["user"].as_str().unwrap_or_default().is_empty()
        || spec["groups"]
            .as_array()
            .is_some_and(|groups| !groups.is_empty());
    match (resource.is_null(), other.is_null()) {
        (true, true) => {
            let why =
                "exactly one of nonResourceAttributes or resourceAttributes must be specified";
            Some(Cause::invalid("spec.resourceAttributes", &Value::Null, why))
        }
        (false, false) => {
            let why = "cannot be specified in combination with resourceAttributes";
            Some(Cause::invalid("spec.nonResourceAttributes", other, why))
        }
        _ if kind != "SelfSubjectAccessReview" && !is_named => {
            let why = "at least one of user or group must be specified";
            Some(Cause::invalid("spec.user", &"".into(), why))
        }
        _ => None,
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
