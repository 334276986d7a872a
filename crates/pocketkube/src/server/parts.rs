//! Subresources besides `status` and `scale`.

use super::answer::Answer;
use super::decode;
use super::resources::Call;
use crate::cluster::{DeleteOptions, Part, Target, WriteOptions};
use crate::object;
use crate::status::{Cause, Details, Status};
use crate::tokens;
use crate::workloads::eviction;
use http::Method;
use serde_json::{Value, json};

/// Tokens last this long when nobody says otherwise.
const TOKEN_SECS: i64 = 3_600;

/// Tokens last at least this long.
const TOKEN_SECS_MIN: i64 = 600;

/// Tokens last at most this long.
const TOKEN_SECS_MAX: i64 = 1 << 32;

/// Answers a request on a subresource.
pub(crate) async fn answer(call: &Call<'_>, part: &str) -> Result<Answer, Status> {
    let method = &call.request.method;
    match (call.resource.plural.as_str(), part) {
        ("serviceaccounts", "token") if *method == Method::POST => token(call),
        ("namespaces", "finalize") if *method == Method::PUT => finalize(call),
        ("pods", "eviction") if *method == Method::POST => evict(call).await,
        ("pods", "binding") if *method == Method::POST => bind(call),
        ("pods", "log" | "exec" | "attach" | "portforward" | "proxy") => no_container(call),
        ("serviceaccounts", "token")
        | ("namespaces", "finalize")
        | ("pods", "eviction" | "binding") => Err(Status::method_not_allowed()),
        _ => Err(Status::no_such_path()),
    }
}

/// TokenRequest (KEP-1205).
fn token(call: &Call<'_>) -> Result<Answer, Status> {
    let cluster = call.cluster;
    let body = call.json_body()?.unwrap_or_else(|| json!({}));
    let account = cluster.get(call.resource, &call.path.namespace, &call.path.name)?;
    let spec = &body["spec"];
    let lasts = spec["expirationSeconds"].as_i64().unwrap_or(TOKEN_SECS);
    if lasts < TOKEN_SECS_MIN {
        return Err(bad_duration(
            lasts,
            "may not specify a duration less than 10 minutes",
        ));
    }
    if lasts > TOKEN_SECS_MAX {
        return Err(bad_duration(
            lasts,
            "may not specify a duration larger than 2^32 seconds",
        ));
    }
    let now = cluster.clock().now().as_second();
    let audiences = match spec["audiences"].as_array() {
        Some(audiences) if !audiences.is_empty() => audiences.clone(),
        _ => vec![tokens::ISSUER.into()],
    };
    let mut kubernetes = json!({
        "namespace": object::namespace(&account),
        "serviceaccount": {"name": object::name(&account), "uid": object::uid(&account)},
    });
    if let Some(bound) = spec.get("boundObjectRef").filter(|bound| !bound.is_null()) {
        let (kind, object) = bound_object(call, bound)?;
        kubernetes[kind] = object;
    }
    let claims = json!({
        "aud": audiences,
        "exp": now + lasts,
        "iat": now,
        "iss": tokens::ISSUER,
        "jti": cluster.chance().uid(),
        "kubernetes.io": kubernetes,
        "nbf": now,
        "sub": format!(
            "system:serviceaccount:{}:{}",
            object::namespace(&account),
            object::name(&account)
        ),
    });
    let expires = jiff::Timestamp::from_second(now + lasts).unwrap_or(jiff::Timestamp::MAX);
    let mut shown_spec = json!({"audiences": audiences, "expirationSeconds": lasts});
    shown_spec["boundObjectRef"] = spec["boundObjectRef"].clone();
    let answer = json!({
        "kind": "TokenRequest",
        "apiVersion": "authentication.k8s.io/v1",
        "metadata": {
            "name": object::name(&account),
            "namespace": object::namespace(&account),
            "creationTimestamp": cluster.clock().stamp(),
        },
        "spec": shown_spec,
        "status": {
            "token": cluster.tokens().sign(&claims),
            "expirationTimestamp": crate::clock::seconds(expires),
        },
    });
    Ok(Answer::value(201, &answer))
}

fn bound_object(call: &Call<'_>, bound: &Value) -> Result<(&'static str, Value), Status> {
    let name = bound["name"].as_str().unwrap_or_default();
    let (kind, table, namespace) = match bound["kind"].as_str().unwrap_or_default() {
        "Pod" => ("pod", "pods", call.path.namespace.as_str()),
        "Secret" => ("secret", "secrets", call.path.namespace.as_str()),
        "Node" => ("node", "nodes", ""),
        other => {
            let version = bound["apiVersion"].as_str().unwrap_or_default();
            let message = format!("cannot bind token to object of type {version}, Kind={other}");
            return Err(Status::bad_request(message));
        }
    };
    let found = call
        .cluster
        .kept(table, namespace, name)
        .ok_or_else(|| Status {
            code: 404,
            reason: "NotFound",
            message: format!("{table} {name:?} not found"),
            details: Some(Box::new(Details {
                name: name.to_owned(),
                kind: table.to_owned(),
                ..Details::default()
            })),
        })?;
    Ok((kind, json!({"name": name, "uid": object::uid(&found)})))
}

fn bad_duration(lasts: i64, why: &str) -> Status {
    let cause = Cause::invalid("spec.expirationSeconds", &lasts.into(), why);
    let message = format!(
        "TokenRequest.authentication.k8s.io \"\" is invalid: {}: {}",
        cause.field, cause.message
    );
    Status {
        code: 422,
        reason: "Invalid",
        message,
        details: Some(Box::new(Details {
            group: "authentication.k8s.io".to_owned(),
            kind: "TokenRequest".to_owned(),
            causes: vec![cause],
            ..Details::default()
        })),
    }
}

/// Removes finalizers from a namespace's spec.
fn finalize(call: &Call<'_>) -> Result<Answer, Status> {
    let body = decode::object(call.media_type(), &call.request.body, "Namespace")?;
    let form = call.request.form()?;
    let done = call.cluster.finalize_namespace(
        &call.target(Part::Main),
        &body.value,
        &WriteOptions::default(),
    )?;
    Ok(call.written(&done, form))
}

/// A deletion that asks the disruption budgets first.
async fn evict(call: &Call<'_>) -> Result<Answer, Status> {
    let body = call.json_body()?.unwrap_or_else(|| json!({}));
    let options: DeleteOptions = match body.get("deleteOptions") {
        Some(options) => call.request.query.delete_options(Some(options))?,
        None => call.request.query.delete_options(None)?,
    };
    let path = call.path;
    if object::name(&body) != path.name {
        let message = "name in URL does not match name in Eviction object";
        return Err(Status::bad_request(message));
    }
    let pod = call
        .cluster
        .get(call.resource, &path.namespace, &path.name)?;
    eviction::permit(call.cluster, &pod, options.dry_run)?;
    let (caller, place) = (call.caller(), (path.namespace.as_str(), path.name.as_str()));
    call.cluster
        .delete_with(&caller, call.resource, place, &options)
        .await?;
    let success = json!({
        "kind": "Status", "apiVersion": "v1", "metadata": {}, "status": "Success", "code": 201,
    });
    Ok(Answer::value(201, &success))
}

/// Puts a Pod on a node.
fn bind(call: &Call<'_>) -> Result<Answer, Status> {
    let body = call.json_body()?.unwrap_or_else(|| json!({}));
    let path = call.path;
    if object::name(&body) != path.name {
        let message = "name in URL does not match name in Binding object";
        return Err(Status::bad_request(message));
    }
    bound(call, &body)
}

/// Binds the Pod that a Binding names.
pub(super) fn bound(call: &Call<'_>, body: &Value) -> Result<Answer, Status> {
    let options = call.request.query.write_options("CreateOptions")?;
    let target = &body["target"];
    let kind = target["kind"].as_str().unwrap_or_default();
    let node = target["name"].as_str().unwrap_or_default();
    // Upstream's storage gives these without making a Status of them.
    let fault = match (kind, node) {
        ("" | "Node", "") => "target.name: Required value".to_owned(),
        ("" | "Node", _) => String::new(),
        (other, _) => format!(
            "target.kind: Unsupported value: {other:?}: supported values: \"Node\", \"<empty>\""
        ),
    };
    if !fault.is_empty() {
        return Err(Status::plain(500, "", fault));
    }
    let resource = call.cluster.resource("v1", "Pod")?;
    let target = Target {
        resource: &resource,
        namespace: &call.path.namespace,
        name: object::name(body),
        part: Part::Main,
    };
    call.cluster.bind_pod(&target, node, options.dry_run)?;
    let success = json!({
        "kind": "Status", "apiVersion": "v1", "metadata": {}, "status": "Success", "code": 201,
    });
    Ok(Answer::value(201, &success))
}

/// Pods are simulated: there is nothing to look into.
fn no_container(call: &Call<'_>) -> Result<Answer, Status> {
    let path = call.path;
    call.cluster
        .get(call.resource, &path.namespace, &path.name)?;
    Err(Status::bad_request(format!(
        "pod {:?} is simulated: it has no container to reach by {:?}",
        path.name, path.part
    )))
}
