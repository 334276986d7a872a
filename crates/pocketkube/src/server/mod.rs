//! The HTTP face of a cluster: one handler that authenticates, finds the resource, calls the
//! cluster and answers in the form that the client accepts.

mod accept;
mod answer;
mod authenticate;
pub(crate) mod control;
mod decode;
mod discovery;
mod impersonate;
mod listing;
mod open_api;
mod parts;
mod path;
mod permission;
mod protobuf;
mod query;
mod resources;
mod reviews;
mod strike;
mod watch;

pub(crate) use authenticate::{Access, Peer};

use crate::cluster::Cluster;
use crate::faults::{ApiState, Effect};
use crate::requests::RequestKind;
use crate::status::Status;
use answer::Answer;
use axum::Router;
use axum::body::Body;
use axum::extract::State;
use axum::response::Response;
use bytes::Bytes;
use http::header::{ACCEPT, HOST, WARNING};
use http::request::Parts;
use http::{HeaderMap, Method};
use path::ResourcePath;
use query::Query;
use std::sync::Arc;
use std::time::Duration;

/// Seconds that a refused client is asked to wait.
const RETRY_AFTER_SECS: u32 = 1;

/// Routes of a cluster.
pub(crate) fn router(cluster: Cluster, access: Access) -> Router {
    Router::new()
        .fallback(handle)
        .with_state(Server { cluster, access })
}

#[derive(Debug, Clone)]
struct Server {
    cluster: Cluster,
    access: Access,
}

/// A request whose body was read.
#[derive(Debug)]
pub(crate) struct Request {
    pub(crate) method: Method,
    pub(crate) path: String,
    /// Host and port that the client asked.
    pub(crate) authority: String,
    pub(crate) query: Query,
    pub(crate) headers: HeaderMap,
    pub(crate) body: Bytes,
    /// What the client's connection showed, where it showed something.
    pub(crate) peer: Option<Arc<Peer>>,
}

/// What a handler gives: a whole answer, or a stream.
pub(crate) enum Reply {
    /// A whole answer.
    Whole(Answer),
    /// A response whose body goes on.
    Stream(Response),
}

impl Reply {
    /// The same reply with one more warning.
    fn with(self, warning: &str) -> Self {
        match self {
            Self::Whole(mut answer) => {
                answer.warnings.push(warning.to_owned());
                Self::Whole(answer)
            }
            Self::Stream(mut response) => {
                if let Some(value) = answer::warning(warning) {
                    response.headers_mut().append(WARNING, value);
                }
                Self::Stream(response)
            }
        }
    }
}

async fn handle(State(server): State<Server>, request: axum::extract::Request) -> Response {
    let (parts, body) = request.into_parts();
    let query = Query::parse(parts.uri.query());
    if parts.uri.path().starts_with("/pocketkube/") {
        let pretty = query.text("pretty").to_owned();
        let Ok(request) = read(parts, body, query).await else {
            return broken();
        };
        let answer = control::of_cluster(&server.cluster, &request);
        return answer.into_response(&request.headers, &pretty);
    }
    match obey_faults(&server.cluster).await {
        Obeyed::Go => {}
        Obeyed::Broken => return broken(),
        Obeyed::Refused => {
            let answer = Answer::from(Status::too_many_requests(RETRY_AFTER_SECS));
            record(&server.cluster, &parts, &query, answer.code);
            return answer.into_response(&parts.headers, "");
        }
    }
    let effect = strike::on(&server.cluster, &parts, &query);
    if let Some(effect) = effect
        && let Some(struck) = strike::before(&server.cluster, effect, &parts, &query).await
    {
        return struck;
    }
    let pretty = query.text("pretty").to_owned();
    let request = match read(parts, body, query).await {
        Ok(request) => request,
        Err(status) => return Answer::from(status).into_response(&HeaderMap::new(), ""),
    };
    let reply = match Box::pin(route(&server, &request)).await {
        Ok(reply) => reply,
        Err(status) => Reply::Whole(status.into()),
    };
    let response = match reply {
        Reply::Whole(answer) => answer.into_response(&request.headers, &pretty),
        Reply::Stream(response) => response,
    };
    let code = response.status().as_u16();
    record_request(&server.cluster, &request, code);
    match effect {
        Some(Effect::Cut) => strike::cut(response).await,
        _ => response,
    }
}

/// Finds who answers.
async fn route(server: &Server, request: &Request) -> Result<Reply, Status> {
    let cluster = &server.cluster;
    let open = discovery::open(cluster, request);
    if let (Some(answer), false) = (&open, cluster.enforces_roles()) {
        return Ok(Reply::Whole(answer.clone()));
    }
    let sender = authenticate::user(cluster, server.access, request)?;
    let user = impersonate::acting_as(cluster, sender, &request.headers)?;
    permission::check(cluster, &user, request)?;
    if let Some(answer) = open {
        return Ok(Reply::Whole(answer));
    }
    if let Some(answer) = discovery::answer(cluster, request) {
        return Ok(Reply::Whole(answer));
    }
    if let Some(answer) = open_api::answer(cluster, request) {
        return Ok(Reply::Whole(answer));
    }
    match ResourcePath::parse(&request.path) {
        Some(path) => resources::answer(cluster, user, &path, request).await,
        None => Ok(Reply::Whole(discovery::nothing_here())),
    }
}

enum Obeyed {
    Go,
    Refused,
    Broken,
}

async fn obey_faults(cluster: &Cluster) -> Obeyed {
    let mut faults = cluster.faults().subscribe();
    loop {
        let now = faults.borrow_and_update().clone();
        match now.api {
            ApiState::Up => return Obeyed::Go,
            ApiState::Down | ApiState::Refused => return Obeyed::Broken,
            ApiState::TooManyRequests => return Obeyed::Refused,
            ApiState::Slow => {
                tokio::time::sleep(Duration::from_millis(now.delay_millis)).await;
                return Obeyed::Go;
            }
            ApiState::Hung => {
                if faults.changed().await.is_err() {
                    return Obeyed::Broken;
                }
            }
        }
    }
}

/// A response whose body breaks off: what a client within the process sees of a dead server.
fn broken() -> Response {
    let cut = futures::stream::once(async {
        Err::<Bytes, std::io::Error>(std::io::ErrorKind::ConnectionReset.into())
    });
    let mut response = Response::new(Body::from_stream(cut));
    *response.status_mut() = http::StatusCode::SERVICE_UNAVAILABLE;
    response
}

async fn read(parts: Parts, body: Body, query: Query) -> Result<Request, Status> {
    let body = axum::body::to_bytes(body, decode::BODY_BYTES_MAX)
        .await
        .map_err(|_| {
            let message = format!(
                "Request entity too large: limit is {}",
                decode::BODY_BYTES_MAX
            );
            Status::plain(413, "RequestEntityTooLarge", message)
        })?;
    let peer = parts.extensions.get::<Option<Arc<Peer>>>();
    let host = parts.headers.get(HOST).and_then(|host| host.to_str().ok());
    let authority = parts.uri.authority().map(ToString::to_string);
    Ok(Request {
        peer: peer.cloned().flatten(),
        authority: authority
            .or_else(|| host.map(str::to_owned))
            .unwrap_or_default(),
        method: parts.method,
        path: parts.uri.path().to_owned(),
        query,
        headers: parts.headers,
        body,
    })
}

impl Request {
    /// A header, or empty.
    pub(crate) fn header(&self, name: http::header::HeaderName) -> &str {
        self.headers
            .get(name)
            .and_then(|value| value.to_str().ok())
            .unwrap_or_default()
    }

    /// The form that the client accepts.
    pub(crate) fn form(&self) -> Result<accept::Form, Status> {
        accept::form(self.header(ACCEPT))
    }
}

fn record_request(cluster: &Cluster, request: &Request, code: u16) {
    record_parts(
        cluster,
        &request.method,
        &request.path,
        &request.query,
        &request.headers,
        code,
    );
}

fn record(cluster: &Cluster, parts: &Parts, query: &Query, code: u16) {
    record_parts(
        cluster,
        &parts.method,
        parts.uri.path(),
        query,
        &parts.headers,
        code,
    );
}

fn record_parts(
    cluster: &Cluster,
    method: &Method,
    path: &str,
    query: &Query,
    headers: &HeaderMap,
    code: u16,
) {
    let agent = authenticate::user_agent(headers)
        .split(' ')
        .next()
        .unwrap_or_default();
    let mut kind = RequestKind {
        user_agent: agent.to_owned(),
        field_manager: query.text("fieldManager").to_owned(),
        code,
        ..RequestKind::default()
    };
    match ResourcePath::parse(path) {
        Some(path) => {
            kind.verb = verb(method, &path, query).to_owned();
            kind.group = path.group;
            kind.resource = path.plural;
            kind.subresource = path.part;
        }
        None => {
            kind.verb = method.as_str().to_ascii_lowercase();
            kind.resource = path.to_owned();
        }
    }
    cluster.requests().record(kind);
}

/// The verb of a request on a resource.
fn verb(method: &Method, path: &ResourcePath, query: &Query) -> &'static str {
    match (method, path.name.is_empty()) {
        (&Method::GET | &Method::HEAD, _) if query.is_on("watch") => "watch",
        (&Method::GET | &Method::HEAD, true) => "list",
        (&Method::GET | &Method::HEAD, false) => "get",
        (&Method::POST, _) => "create",
        (&Method::PUT, _) => "update",
        (&Method::PATCH, _) => "patch",
        (&Method::DELETE, true) => "deletecollection",
        (&Method::DELETE, false) => "delete",
        _ => "other",
    }
}
