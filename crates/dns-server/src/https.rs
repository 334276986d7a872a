//! DNS over HTTPS (RFC 8484), HTTP/2 only, at one path.

use std::convert::Infallible;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use bytes::Bytes;
use http::header::{ALLOW, CACHE_CONTROL, CONTENT_TYPE};
use http::{HeaderValue, Method, Request, Response, StatusCode};
use http_body_util::{BodyExt, Full, Limited};
use hyper::body::Incoming;
use hyper::server::conn::http2;
use hyper::service::service_fn;
use hyper_util::rt::{TokioExecutor, TokioIo, TokioTimer};
use rustls::ServerConfig;
use tokio::net::TcpStream;
use tokio::sync::{Notify, watch};
use tokio::time::{Instant, timeout, timeout_at};
use tokio_rustls::TlsAcceptor;

use crate::reply::Replier;
use crate::stream::{HANDSHAKE, IDLE, LIFETIME};

/// Where queries go: the path that resolvers try (RFC 9461 § 5 lets a server name another).
const PATH: &str = "/dns-query";
const MESSAGE: HeaderValue = HeaderValue::from_static("application/dns-message");
/// Requests that one connection may have under way.
const REQUESTS_MAX: u32 = 100;
const HEADERS_BYTES_MAX: u32 = 8192;
/// How long a connection that was told to go away may finish.
const GRACE: Duration = Duration::from_secs(2);

/// Agrees on keys, then serves requests until the connection is idle, old or ended.
pub(crate) async fn connection(
    stream: TcpStream,
    config: Arc<ServerConfig>,
    replier: Replier,
    mut stop: watch::Receiver<()>,
) {
    let accepting = TlsAcceptor::from(config).accept(stream);
    let Ok(Ok(stream)) = timeout(HANDSHAKE, accepting).await else {
        return;
    };
    let used = Arc::new(Notify::new());
    let replier = Arc::new(Mutex::new(replier));
    let service = service_fn(|request| {
        used.notify_one();
        respond(request, Arc::clone(&replier))
    });
    let mut builder = http2::Builder::new(TokioExecutor::new());
    builder
        .timer(TokioTimer::new())
        .max_concurrent_streams(REQUESTS_MAX)
        .max_header_list_size(HEADERS_BYTES_MAX);
    let serving = builder.serve_connection(TokioIo::new(stream), service);
    let mut serving = std::pin::pin!(serving);
    let end = Instant::now() + LIFETIME;
    loop {
        let deadline = end.min(Instant::now() + IDLE);
        tokio::select! {
            _ = &mut serving => return,
            _ = stop.changed() => break,
            more = timeout_at(deadline, used.notified()) => if more.is_err() { break },
        }
    }
    serving.as_mut().graceful_shutdown();
    let _ = timeout(GRACE, serving).await;
}

/// The answer to a request, or why there is none.
async fn respond(
    request: Request<Incoming>,
    replier: Arc<Mutex<Replier>>,
) -> Result<Response<Full<Bytes>>, Infallible> {
    let query = match query(request).await {
        Ok(query) => query,
        Err(refusal) => return Ok(refusal),
    };
    let reply = replier
        .lock()
        .unwrap_or_else(PoisonError::into_inner)
        .reply(&query);
    Ok(match reply {
        Some(reply) => {
            // RFC 8484 § 5.1: what is kept by HTTP is not kept longer than by DNS.
            let age = format!("max-age={}", dns::reply_ttl_secs(&reply).unwrap_or(0));
            let mut response = Response::new(Full::from(reply));
            response.headers_mut().insert(CONTENT_TYPE, MESSAGE);
            if let Ok(age) = HeaderValue::try_from(age) {
                response.headers_mut().insert(CACHE_CONTROL, age);
            }
            response
        }
        None => refuse(StatusCode::BAD_REQUEST, "the message is not a DNS query"),
    })
}

/// The query of a request (RFC 8484 § 4.1).
async fn query(request: Request<Incoming>) -> Result<Bytes, Response<Full<Bytes>>> {
    if request.uri().path() != PATH {
        return Err(refuse(StatusCode::NOT_FOUND, "queries go to /dns-query"));
    }
    match *request.method() {
        Method::GET => {
            let text = request.uri().query().unwrap_or_default();
            let text = text.split('&').find_map(|part| part.strip_prefix("dns="));
            let bytes = text.and_then(|text| URL_SAFE_NO_PAD.decode(text).ok());
            bytes.map(Bytes::from).ok_or_else(|| {
                let problem = "the parameter dns is missing or not base64url without padding";
                refuse(StatusCode::BAD_REQUEST, problem)
            })
        }
        Method::POST => {
            if request.headers().get(CONTENT_TYPE) != Some(&MESSAGE) {
                let problem = "the content type is not application/dns-message";
                return Err(refuse(StatusCode::UNSUPPORTED_MEDIA_TYPE, problem));
            }
            let body = Limited::new(request.into_body(), dns::REPLY_BYTES_MAX).collect();
            match timeout(IDLE, body).await {
                Ok(Ok(body)) => Ok(body.to_bytes()),
                Ok(Err(_)) => Err(refuse(
                    StatusCode::PAYLOAD_TOO_LARGE,
                    "a DNS message has at most 65535 bytes",
                )),
                Err(_) => Err(refuse(StatusCode::REQUEST_TIMEOUT, "the body is too slow")),
            }
        }
        _ => {
            let mut refusal = refuse(StatusCode::METHOD_NOT_ALLOWED, "use GET or POST");
            let allow = HeaderValue::from_static("GET, POST");
            refusal.headers_mut().insert(ALLOW, allow);
            Err(refusal)
        }
    }
}

fn refuse(status: StatusCode, problem: &'static str) -> Response<Full<Bytes>> {
    let mut response = Response::new(Full::from(problem));
    *response.status_mut() = status;
    response
}
