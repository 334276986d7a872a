//! The server on one address and port of a load balancer: it names its cluster and says whether
//! anybody would answer behind it.
//!
//! | path | answer |
//! |---|---|
//! | `/healthz` | 200 `ok`, or 503 when no endpoint is ready |
//! | any other | who answers: JSON when asked for (`Accept`, or a path that ends in `.json`), or text |

use crate::faults::DataPlaneState;
use bytes::Bytes;
use http::header::{ACCEPT, CONTENT_TYPE, HeaderValue};
use http::{Method, Request, Response, StatusCode};
use http_body_util::Full;
use hyper::service::service_fn;
use hyper_util::rt::{TokioExecutor, TokioIo, TokioTimer};
use hyper_util::server::conn::auto::Builder;
use serde_json::json;
use std::convert::Infallible;
use std::net::{Ipv4Addr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{Semaphore, watch};
use tokio::task::{JoinHandle, JoinSet};

/// Connections of one listener at a time; more wait in the kernel's queue.
const CONNECTIONS_MAX: usize = 256;
/// A client that sends no request for so long is let go, so that it cannot hold a place.
const HEADER_TIMEOUT: Duration = Duration::from_secs(30);
/// Pause after an error of accept, for instance when all file descriptors are used.
const ACCEPT_PAUSE: Duration = Duration::from_millis(100);

/// What a load balancer says about itself.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Answer {
    /// Name of the cluster.
    pub(super) cluster: String,
    /// Namespace of the Service.
    pub(super) namespace: String,
    /// Name of the Service.
    pub(super) service: String,
    /// Address of the load balancer.
    pub(super) address: Ipv4Addr,
    /// Ready endpoints.
    pub(super) ready: usize,
    /// How traffic fares.
    pub(super) data_plane: DataPlaneState,
}

/// An open port. Dropped, it closes with all its connections.
#[derive(Debug)]
pub(super) struct Listener {
    task: JoinHandle<()>,
}

impl Listener {
    /// Binds and serves.
    pub(super) fn open(at: SocketAddr, answer: watch::Receiver<Answer>) -> std::io::Result<Self> {
        let socket = std::net::TcpListener::bind(at)?;
        socket.set_nonblocking(true)?;
        let socket = TcpListener::from_std(socket)?;
        Ok(Self {
            task: tokio::spawn(accept(socket, answer)),
        })
    }
}

impl Drop for Listener {
    fn drop(&mut self) {
        self.task.abort();
    }
}

async fn accept(socket: TcpListener, answer: watch::Receiver<Answer>) {
    let places = Arc::new(Semaphore::new(CONNECTIONS_MAX));
    let mut connections = JoinSet::new();
    loop {
        while connections.try_join_next().is_some() {}
        let Ok(place) = Arc::clone(&places).acquire_owned().await else {
            return;
        };
        match socket.accept().await {
            Ok((stream, _)) => {
                let answer = answer.clone();
                connections.spawn(async move {
                    serve(stream, answer).await;
                    drop(place);
                });
            }
            Err(error) => {
                tracing::debug!(%error, "load balancer cannot accept");
                tokio::time::sleep(ACCEPT_PAUSE).await;
            }
        }
    }
}

async fn serve(stream: TcpStream, answer: watch::Receiver<Answer>) {
    let mut server = Builder::new(TokioExecutor::new());
    server
        .http1()
        .timer(TokioTimer::new())
        .header_read_timeout(HEADER_TIMEOUT);
    let service = service_fn(|request: Request<hyper::body::Incoming>| {
        let answer = answer.clone();
        async move {
            let answer = answer.borrow().clone();
            if answer.data_plane == DataPlaneState::Hung {
                std::future::pending::<()>().await;
            }
            Ok::<_, Infallible>(answered(&request, &answer))
        }
    });
    // A client that goes away is none of our business.
    let _ = server.serve_connection(TokioIo::new(stream), service).await;
}

fn answered<B>(request: &Request<B>, answer: &Answer) -> Response<Full<Bytes>> {
    let status = match answer.ready {
        0 => StatusCode::SERVICE_UNAVAILABLE,
        _ => StatusCode::OK,
    };
    let path = request.uri().path();
    let accept = request
        .headers()
        .get(ACCEPT)
        .and_then(|value| value.to_str().ok());
    let (kind, body) = if path == "/healthz" {
        let word = if answer.ready > 0 {
            "ok\n"
        } else {
            "no ready endpoints\n"
        };
        ("text/plain; charset=utf-8", word.to_owned())
    } else if path.ends_with(".json") || accept.is_some_and(|kinds| kinds.contains("json")) {
        ("application/json", json_body(answer))
    } else {
        ("text/plain; charset=utf-8", text_body(answer))
    };
    let body = match *request.method() {
        Method::HEAD => Bytes::new(),
        _ => Bytes::from(body),
    };
    let mut response = Response::new(Full::new(body));
    *response.status_mut() = status;
    response
        .headers_mut()
        .insert(CONTENT_TYPE, HeaderValue::from_static(kind));
    response
}

fn json_body(answer: &Answer) -> String {
    let body = json!({
        "cluster": answer.cluster,
        "namespace": answer.namespace,
        "service": answer.service,
        "address": answer.address,
        "readyEndpoints": answer.ready,
    });
    format!("{body}\n")
}

fn text_body(answer: &Answer) -> String {
    let Answer {
        cluster,
        namespace,
        service,
        ready,
        ..
    } = answer;
    format!("cluster: {cluster}\nservice: {namespace}/{service}\nready endpoints: {ready}\n")
}
