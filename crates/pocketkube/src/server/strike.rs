//! Faults of single requests.

use super::answer::Answer;
use super::path::ResourcePath;
use super::query::Query;
use crate::cluster::Cluster;
use crate::faults::Effect;
use crate::status::Status;
use axum::body::Body;
use axum::response::Response;
use bytes::Bytes;
use futures::StreamExt;
use http::header::CONTENT_LENGTH;
use http::request::Parts;
use std::io::ErrorKind;
use std::time::Duration;

/// What no client can make sense of.
const GARBAGE: &[u8] = b"\x00\xffit works!\xc3\x28";

/// What strikes a request.
pub(super) fn on(cluster: &Cluster, parts: &Parts, query: &Query) -> Option<Effect> {
    let path = ResourcePath::parse(parts.uri.path());
    let (verb, resource) = match &path {
        Some(path) => {
            let resource = match path.group.as_str() {
                "" => path.plural.clone(),
                group => format!("{}.{group}", path.plural),
            };
            (super::verb(&parts.method, path, query), resource)
        }
        None => ("get", parts.uri.path().to_owned()),
    };
    cluster.faults().strike(verb, &resource)
}

/// The answer of a request that never gets to be done; none when it is done.
pub(super) async fn before(
    cluster: &Cluster,
    effect: Effect,
    parts: &Parts,
    query: &Query,
) -> Option<Response> {
    let status = match effect {
        Effect::Reset => return Some(super::broken()),
        Effect::Slow { delay_millis } => {
            tokio::time::sleep(Duration::from_millis(delay_millis)).await;
            return None;
        }
        Effect::Hung => {
            let mut faults = cluster.faults().subscribe();
            // The rules, or the faults, change; or the cluster is gone.
            let _ = faults.changed().await;
            return Some(super::broken());
        }
        Effect::TooManyRequests { retry_after_secs } => Status::too_many_requests(retry_after_secs),
        Effect::Garbage => {
            super::record(cluster, parts, query, 200);
            return Some(Response::new(Body::from(GARBAGE)));
        }
        Effect::Error => Status::internal("a fault was asked for"),
        Effect::Conflict => conflict(cluster, parts, query)?,
        Effect::Cut | Effect::DropEvents | Effect::DuplicateEvents | Effect::StaleEvents { .. } => {
            return None;
        }
    };
    let answer = Answer::from(status);
    super::record(cluster, parts, query, answer.code);
    Some(answer.into_response(&parts.headers, ""))
}

/// Half of a response, then a broken connection; a stream breaks after its first part.
pub(super) async fn cut(response: Response) -> Response {
    let (mut head, body) = response.into_parts();
    head.headers.remove(CONTENT_LENGTH);
    let mut parts = body.into_data_stream();
    let first = match parts.next().await {
        Some(Ok(first)) => first.slice(..first.len() / 2),
        _ => Bytes::new(),
    };
    let broken = || Err(std::io::Error::from(ErrorKind::ConnectionReset));
    let stream =
        futures::stream::iter([Ok(first)]).chain(futures::stream::once(async move { broken() }));
    Response::from_parts(head, Body::from_stream(stream))
}

/// The 409 of a change to what moved meanwhile; none for requests that change nothing.
fn conflict(cluster: &Cluster, parts: &Parts, query: &Query) -> Option<Status> {
    let path = ResourcePath::parse(parts.uri.path())?;
    if !matches!(
        super::verb(&parts.method, &path, query),
        "update" | "patch" | "delete"
    ) {
        return None;
    }
    let registry = cluster.registry();
    let resource = registry.by_path(&path.group, &path.version, &path.plural)?;
    Some(Status::modified(resource, &path.name))
}
