//! HTTP views of a running process: `/livez`, `/readyz`, `/metrics`, `/explain`; and the webhook's
//! listener, which API servers ask over HTTPS (`webhook.rs`).
//!
//! The console shows values that others give it; it does not know how anything is stored.
//!
//! # Guarantees
//! A request is answered from a snapshot or by the owner of the state, through a bounded queue.
//! # Assumptions
//! The listener of the views is on an address that only operators reach; nothing here changes anything.
//! # Caveats
//! `/readyz` says what this process can do by itself, not whether the host is reachable.

mod question;
mod readiness;
mod webhook;

pub use question::{QUESTIONS_MAX, Question};
pub use readiness::{Part, Readiness};
pub use webhook::{Reviewer, serve_webhook};

use axum::extract::{Query, State};
use axum::http::{StatusCode, header};
use axum::response::{IntoResponse, Response};
use axum::{Router, routing::get};
use prometheus_client::registry::Registry;
use serde::Deserialize;
use std::net::{IpAddr, SocketAddr};
use std::os::fd::{AsFd, OwnedFd};
use std::sync::Arc;
use tokio::net::TcpListener;
use tokio::sync::{mpsc, oneshot, watch};

/// Why the console cannot start.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The address is taken or not ours.
    #[error("cannot listen on {address} for the console: {why}; choose another with --http-listen")]
    Listen {
        /// Which address.
        address: SocketAddr,
        /// What the system says.
        why: std::io::Error,
    },
    /// TLS cannot be spoken.
    #[error("no TLS: {0}")]
    Tls(rustls::Error),
}

impl Error {
    /// A fixed label.
    pub fn kind(&self) -> &'static str {
        match self {
            Self::Listen { .. } => "listen",
            Self::Tls(_) => "tls",
        }
    }
}

/// What the console shows.
#[derive(Clone)]
pub struct Console {
    /// All metrics of the process.
    pub metrics: Arc<Registry>,
    /// What is ready and what is not.
    pub readiness: watch::Receiver<Readiness>,
    /// Where questions go that only the owner of the steering engine can answer; absent in a
    /// process without the DNS role.
    pub questions: Option<mpsc::Sender<Question>>,
}

/// A console that listens.
pub struct Listening {
    listener: TcpListener,
    /// The address, with the port that the system chose where 0 was asked for.
    pub address: SocketAddr,
}

impl Listening {
    /// Claims the address, so that a taken port is an error before anything else starts.
    ///
    /// # Errors
    /// [`Error::Listen`].
    pub async fn on(address: SocketAddr) -> Result<Self, Error> {
        let listen = |why| Error::Listen { address, why };
        let listener = TcpListener::bind(address).await.map_err(listen)?;
        let address = listener.local_addr().map_err(listen)?;
        Ok(Self { listener, address })
    }

    /// Listens on a socket that another process listened on.
    ///
    /// # Errors
    /// It is no listener.
    pub fn inherit(listener: std::net::TcpListener) -> std::io::Result<Self> {
        let address = listener.local_addr()?;
        let listener = TcpListener::from_std(listener)?;
        Ok(Self { listener, address })
    }

    /// The socket once more, for a successor.
    ///
    /// # Errors
    /// The system has no descriptors left.
    pub fn socket(&self) -> std::io::Result<OwnedFd> {
        self.listener.as_fd().try_clone_to_owned()
    }

    /// Serves until `stop` resolves.
    ///
    /// # Errors
    /// The listener broke.
    pub async fn serve(
        self,
        console: Console,
        stop: impl Future<Output = ()> + Send + 'static,
    ) -> std::io::Result<()> {
        axum::serve(self.listener, router(console))
            .with_graceful_shutdown(stop)
            .await
    }
}

/// The routes, for a listener or a test.
pub fn router(console: Console) -> Router {
    Router::new()
        .route("/livez", get(|| async { "ok" }))
        .route("/healthz", get(|| async { "ok" }))
        .route("/readyz", get(readyz))
        .route("/metrics", get(metrics))
        .route("/explain", get(explain))
        .with_state(console)
}

async fn readyz(State(console): State<Console>) -> Response {
    let readiness = console.readiness.borrow().clone();
    let status = if readiness.is_ready() {
        StatusCode::OK
    } else {
        StatusCode::SERVICE_UNAVAILABLE
    };
    (status, readiness.text()).into_response()
}

async fn metrics(State(console): State<Console>) -> Response {
    let mut text = String::new();
    match prometheus_client::encoding::text::encode(&mut text, &console.metrics) {
        Ok(()) => {
            let kind = "application/openmetrics-text; version=1.0.0; charset=utf-8";
            ([(header::CONTENT_TYPE, kind)], text).into_response()
        }
        Err(why) => (StatusCode::INTERNAL_SERVER_ERROR, why.to_string()).into_response(),
    }
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
struct ExplainQuery {
    name: String,
    from: IpAddr,
    when_down: Option<String>,
}

async fn explain(State(console): State<Console>, Query(query): Query<ExplainQuery>) -> Response {
    let Some(questions) = console.questions else {
        let text = "this process answers no DNS: ask one that runs the role dns";
        return (StatusCode::NOT_FOUND, text).into_response();
    };
    let (reply, answer) = oneshot::channel();
    let question = Question {
        name: query.name,
        from: query.from,
        when_down: query.when_down.map(|cluster| cluster.as_str().into()),
        reply,
    };
    if questions.try_send(question).is_err() {
        let text = "too many questions are waiting; ask again";
        return (StatusCode::SERVICE_UNAVAILABLE, text).into_response();
    }
    match answer.await {
        Ok(Ok(explanation)) => axum::Json(explanation).into_response(),
        Ok(Err(text)) => (StatusCode::NOT_FOUND, text).into_response(),
        Err(_) => (StatusCode::SERVICE_UNAVAILABLE, "stopping").into_response(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use axum::body::Body;
    use http_body_util::BodyExt;
    use tower::ServiceExt;

    fn console(questions: Option<mpsc::Sender<Question>>) -> (Console, watch::Sender<Readiness>) {
        let (sender, readiness) = watch::channel(Readiness::waiting_for(&[Part::Snapshot]));
        (
            Console {
                metrics: Arc::new(Registry::default()),
                readiness,
                questions,
            },
            sender,
        )
    }

    async fn get(console: Console, path: &str) -> (StatusCode, String) {
        let request = axum::http::Request::get(path)
            .body(Body::empty())
            .expect("a request");
        let response = router(console).oneshot(request).await.expect("infallible");
        let status = response.status();
        let body = response
            .into_body()
            .collect()
            .await
            .expect("a body")
            .to_bytes();
        (status, String::from_utf8_lossy(&body).into_owned())
    }

    #[tokio::test]
    async fn a_process_is_ready_when_all_its_parts_are() {
        let (console, sender) = console(None);
        let (status, text) = get(console.clone(), "/readyz").await;
        assert_eq!(status, StatusCode::SERVICE_UNAVAILABLE);
        assert!(text.contains("[-]snapshot not ready yet"), "{text}");
        sender.send_modify(|readiness| readiness.ready(Part::Snapshot));
        assert_eq!(get(console.clone(), "/readyz").await.0, StatusCode::OK);
        assert_eq!(
            get(console, "/livez").await,
            (StatusCode::OK, "ok".to_owned())
        );
    }

    #[tokio::test]
    async fn a_question_reaches_the_owner_of_the_engine_and_its_answer_the_client() {
        let (questions, mut asked) = mpsc::channel::<Question>(QUESTIONS_MAX);
        tokio::spawn(async move {
            while let Some(question) = asked.recv().await {
                let answer = if question.name == "shop.example.org" {
                    Ok(serde_json::json!({"from": question.from.to_string()}))
                } else {
                    Err(format!("{} is in no zone", question.name))
                };
                let _ = question.reply.send(answer);
            }
        });
        let (console, _sender) = console(Some(questions));
        let found = get(
            console.clone(),
            "/explain?name=shop.example.org&from=192.0.2.1",
        )
        .await;
        assert_eq!(
            found,
            (StatusCode::OK, r#"{"from":"192.0.2.1"}"#.to_owned())
        );
        let unknown = get(console, "/explain?name=x.test&from=192.0.2.1").await;
        assert_eq!(
            unknown,
            (StatusCode::NOT_FOUND, "x.test is in no zone".to_owned())
        );
    }

    #[tokio::test]
    async fn a_process_without_the_dns_role_says_so() {
        let (console, _sender) = console(None);
        let (status, text) = get(console, "/explain?name=a.test&from=192.0.2.1").await;
        assert_eq!(status, StatusCode::NOT_FOUND);
        assert!(text.contains("role dns"), "{text}");
    }

    #[tokio::test]
    async fn a_taken_port_is_named_with_the_flag() {
        let first = Listening::on(([127, 0, 0, 1], 0).into())
            .await
            .expect("a free port");
        let error = Listening::on(first.address)
            .await
            .err()
            .expect("taken")
            .to_string();
        assert!(error.contains(&first.address.to_string()), "{error}");
        assert!(error.contains("--http-listen"), "{error}");
    }
}
