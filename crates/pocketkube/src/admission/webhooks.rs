//! Asking webhooks, in the order of their configurations' names.
//!
//! Mutating ones are asked one after the other, each about what the one before made of the object;
//! those that want it are asked once more when another changed it afterwards. Validating ones are
//! asked all at once.

use super::call::{self, Question};
use super::expression::all_hold;
use super::{Attempt, Opinion, matching};
use crate::cluster::Cluster;
use crate::merge;
use crate::object;
use crate::resource::Resource;
use crate::status::{Cause, Details, Status};
use serde_json::{Value, json};
use std::sync::Arc;

/// The kinds whose objects name webhooks.
const MUTATING: &str = "mutatingwebhookconfigurations.admissionregistration.k8s.io";
const VALIDATING: &str = "validatingwebhookconfigurations.admissionregistration.k8s.io";

/// Why a webhook did not let something pass.
enum Failure {
    /// It could not be asked, or its answer could not be used.
    Calling(String),
    /// It said no, or was not to be asked at all.
    Refused(Box<Status>),
}

/// Lets mutating webhooks change an object; null is a deletion.
pub(super) async fn change(
    cluster: &Cluster,
    attempt: &Attempt<'_>,
    object: &mut Value,
) -> Result<Opinion, Status> {
    let mut opinion = Opinion::default();
    let hooks = hooks(cluster, MUTATING);
    let mut asked_before: Vec<usize> = Vec::new();
    let mut again: Vec<usize> = Vec::new();
    for (index, hook) in hooks.iter().enumerate() {
        let Some(changed) = ask_to_change(cluster, attempt, hook, object, &mut opinion).await?
        else {
            continue;
        };
        if changed {
            again.append(&mut asked_before);
        }
        if hook["reinvocationPolicy"] == "IfNeeded" {
            asked_before.push(index);
        }
    }
    again.sort_unstable();
    for index in again {
        ask_to_change(cluster, attempt, &hooks[index], object, &mut opinion).await?;
    }
    Ok(opinion)
}

/// Asks one webhook; tells whether it changed the object, or none when it was not asked.
async fn ask_to_change(
    cluster: &Cluster,
    attempt: &Attempt<'_>,
    hook: &Value,
    object: &mut Value,
    opinion: &mut Opinion,
) -> Result<Option<bool>, Status> {
    let shown = (!object.is_null()).then_some(&*object);
    let Some(told) = concerns(cluster, attempt, hook, shown)? else {
        return Ok(None);
    };
    let response = match ask(cluster, attempt, hook, &told, shown, opinion).await {
        Ok(response) => response,
        Err(failure) => return forgiven(hook, failure).map(|()| Some(false)),
    };
    let Some(patch) = patch_of(&response).map_err(|why| invalid_response(hook, &why))? else {
        return Ok(Some(false));
    };
    if object.is_null() {
        return Err(Status::internal(format!(
            "admission webhook {:?} attempted to modify the object, which is not supported for \
             this operation",
            name(hook)
        )));
    }
    let mut changed =
        merge::json_patch(object, &patch).map_err(|status| Status::internal(status.to_string()))?;
    changed["apiVersion"] = attempt.resource.api_version().into();
    let kind = cluster.kind(attempt.resource)?;
    kind.decode(&mut changed).map_err(Status::internal)?;
    kind.default(&mut changed);
    let is_changed = changed != *object;
    opinion.changed |= is_changed;
    *object = changed;
    Ok(Some(is_changed))
}

/// Lets validating webhooks refuse an object; none is a deletion.
pub(super) async fn refuse(
    cluster: &Cluster,
    attempt: &Attempt<'_>,
    object: Option<&Value>,
) -> Result<Opinion, Status> {
    let mut asked = Vec::new();
    for hook in hooks(cluster, VALIDATING) {
        if let Some(told) = concerns(cluster, attempt, &hook, object)? {
            asked.push(async move {
                let mut opinion = Opinion::default();
                let answer = ask(cluster, attempt, &hook, &told, object, &mut opinion).await;
                let answer = match answer {
                    Ok(response) => no_patch(&hook, &response),
                    Err(failure) => forgiven(&hook, failure),
                };
                answer.map(|()| opinion)
            });
        }
    }
    let mut opinion = Opinion::default();
    for answer in futures::future::join_all(asked).await {
        opinion.warnings.extend(answer?.warnings);
    }
    Ok(opinion)
}

/// All webhooks of a kind, in order.
fn hooks(cluster: &Cluster, table: &str) -> Vec<Value> {
    let store = cluster.store();
    store
        .range(table, "", None)
        .flat_map(|(_, configuration)| object::list(&configuration["webhooks"]).to_vec())
        .collect()
}

/// The resource as which a webhook is told of a write; none when it is not to be asked.
fn concerns(
    cluster: &Cluster,
    attempt: &Attempt<'_>,
    hook: &Value,
    object: Option<&Value>,
) -> Result<Option<Arc<Resource>>, Status> {
    let rules = object::list(&hook["rules"]);
    let Some(told) = matching::told_as(cluster, attempt, object, hook, rules) else {
        return Ok(None);
    };
    let conditions = object::list(&hook["matchConditions"]);
    if conditions.is_empty() {
        return Ok(Some(told));
    }
    let request = attempt.request("", &told, object);
    let names = [
        ("object", &request["object"]),
        ("oldObject", &request["oldObject"]),
        ("request", &request),
    ];
    match all_hold(&names, conditions) {
        Ok(true) => Ok(Some(told)),
        Ok(false) => Ok(None),
        Err(_) if hook["failurePolicy"] == "Ignore" => Ok(None),
        Err(why) => Err(Status::forbidden(attempt.resource, attempt.name, &why)),
    }
}

/// The response of a webhook that allows.
async fn ask(
    cluster: &Cluster,
    attempt: &Attempt<'_>,
    hook: &Value,
    told: &Resource,
    object: Option<&Value>,
    opinion: &mut Opinion,
) -> Result<Value, Failure> {
    let effects = hook["sideEffects"].as_str().unwrap_or_default();
    if attempt.is_trial && !matches!(effects, "None" | "NoneOnDryRun") {
        let message = format!(
            "admission webhook {:?} does not support dry run",
            name(hook)
        );
        return Err(Failure::Refused(Box::new(Status::bad_request(message))));
    }
    let versions = object::list(&hook["admissionReviewVersions"]);
    let known = |version: &&Value| *version == "v1" || *version == "v1beta1";
    let Some(version) = versions.iter().find(known).and_then(Value::as_str) else {
        let why = "could not create admission objects: webhook does not accept known \
                   AdmissionReview versions (v1, v1beta1)";
        return Err(Failure::Calling(why.to_owned()));
    };
    let uid = cluster.chance().uid();
    let api_version = format!("admission.k8s.io/{version}");
    let question = Question {
        client: &hook["clientConfig"],
        seconds: hook["timeoutSeconds"].as_u64().unwrap_or(10),
        review: json!({
            "kind": "AdmissionReview",
            "apiVersion": api_version,
            "request": attempt.request(&uid, told, object),
        }),
    };
    let answer = call::ask(cluster, &question)
        .await
        .map_err(|why| Failure::Calling(format!("failed to call webhook: {why}")))?;
    let found = answer["apiVersion"].as_str().unwrap_or_default();
    if let Some(found @ ("v1" | "v1beta1")) = found.strip_prefix("admission.k8s.io/")
        && found != version
    {
        return Err(Failure::Calling(format!(
            "failed to call webhook: converting ({found}.AdmissionReview) to \
             ({version}.AdmissionReview): unknown conversion"
        )));
    }
    let response = check_response(&answer, &api_version, &uid)
        .map_err(|why| Failure::Calling(format!("received invalid webhook response: {why}")))?;
    let warnings = object::list(&response["warnings"]).iter();
    let warnings = warnings.filter_map(Value::as_str).map(str::to_owned);
    opinion.warnings.extend(warnings);
    match response["allowed"].as_bool() {
        Some(true) => Ok(response.clone()),
        _ => Err(Failure::Refused(Box::new(denied(
            hook,
            &response["status"],
        )))),
    }
}

/// The response in a review, when it is one to this question.
fn check_response<'a>(
    answer: &'a Value,
    api_version: &str,
    uid: &str,
) -> Result<&'a Value, String> {
    let response = &answer["response"];
    if !response.is_object() {
        return Err("webhook response was absent".to_owned());
    }
    if api_version.ends_with("/v1") {
        let found = response["uid"].as_str().unwrap_or_default();
        if found != uid {
            return Err(format!("expected response.uid={uid:?}, got {found:?}"));
        }
        let text = |field: &str| answer[field].as_str().unwrap_or_default();
        let (found, kind) = (text("apiVersion"), text("kind"));
        if found != api_version || kind != "AdmissionReview" {
            return Err(format!(
                "expected webhook response of {api_version}, Kind=AdmissionReview, got {}, \
                 Kind={kind}",
                if found.is_empty() { "/" } else { found }
            ));
        }
    }
    Ok(response)
}

/// The patch of a response.
fn patch_of(response: &Value) -> Result<Option<Value>, String> {
    let text = |field: &str| response[field].as_str().unwrap_or_default();
    match (text("patch"), text("patchType")) {
        ("", "") => Ok(None),
        (_, "") => Err("webhook returned response.patch but not response.patchType".to_owned()),
        ("", _) => Err("webhook returned response.patchType but not response.patch".to_owned()),
        (patch, "JSONPatch") => {
            use base64::Engine;
            let bytes = base64::engine::general_purpose::STANDARD.decode(patch);
            let patch: Option<Value> = bytes
                .ok()
                .and_then(|bytes| serde_json::from_slice(&bytes).ok());
            match patch {
                Some(Value::Array(operations)) if operations.is_empty() => Ok(None),
                Some(patch @ Value::Array(_)) => Ok(Some(patch)),
                _ => Err("the patch is no list of operations".to_owned()),
            }
        }
        (_, other) => Err(format!(
            "webhook returned invalid response.patchType of {other:?}"
        )),
    }
}

/// Validating webhooks change nothing.
fn no_patch(hook: &Value, response: &Value) -> Result<(), Status> {
    for field in ["patch", "patchType"] {
        if !response[field].as_str().unwrap_or_default().is_empty() {
            let why = format!("validating webhook may not return response.{field}");
            return forgiven(
                hook,
                Failure::Calling(format!("received invalid webhook response: {why}")),
            );
        }
    }
    Ok(())
}

fn invalid_response(hook: &Value, why: &str) -> Status {
    calling_failed(hook, &format!("received invalid webhook response: {why}"))
}

/// A webhook that cannot be asked lets pass what it is told to ignore.
fn forgiven(hook: &Value, failure: Failure) -> Result<(), Status> {
    match failure {
        Failure::Refused(status) => Err(*status),
        Failure::Calling(why) if hook["failurePolicy"] == "Ignore" => {
            tracing::debug!(hook = name(hook), why, "a webhook was left out");
            Ok(())
        }
        Failure::Calling(why) => Err(calling_failed(hook, &why)),
    }
}

fn calling_failed(hook: &Value, why: &str) -> Status {
    Status::internal(format!("failed calling webhook {:?}: {why}", name(hook)))
}

/// What a webhook's no is to the client: its own Status, told who says so.
fn denied(hook: &Value, status: &Value) -> Status {
    let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
    let by = format!("admission webhook {:?} denied the request", name(hook));
    let (message, reason) = (text(&status["message"]), text(&status["reason"]));
    let message = match (message.as_str(), reason.as_str()) {
        ("", "") => format!("{by} without explanation"),
        ("", reason) => format!("{by}: {reason}"),
        (message, _) => format!("{by}: {message}"),
    };
    let code = status["code"].as_u64().unwrap_or(0);
    let code = u16::try_from(code).unwrap_or(0).max(400);
    let details = &status["details"];
    let details = details.is_object().then(|| {
        let causes = object::list(&details["causes"]).iter().map(|cause| {
            Cause::new(
                text(&cause["reason"]),
                text(&cause["field"]),
                text(&cause["message"]),
            )
        });
        Box::new(Details {
            name: text(&details["name"]),
            group: text(&details["group"]),
            kind: text(&details["kind"]),
            uid: text(&details["uid"]),
            causes: causes.collect(),
            ..Details::default()
        })
    });
    Status {
        code,
        reason: reason_of(&reason),
        message,
        details,
    }
}

/// The reasons that the API knows; clients branch on no others.
fn reason_of(text: &str) -> &'static str {
    const KNOWN: [&str; 15] = [
        "Unauthorized",
        "Forbidden",
        "NotFound",
        "AlreadyExists",
        "Conflict",
        "Gone",
        "Invalid",
        "ServerTimeout",
        "Timeout",
        "TooManyRequests",
        "BadRequest",
        "MethodNotAllowed",
        "NotAcceptable",
        "InternalError",
        "ServiceUnavailable",
    ];
    KNOWN.into_iter().find(|known| *known == text).unwrap_or("")
}

fn name(hook: &Value) -> &str {
    hook["name"].as_str().unwrap_or_default()
}
