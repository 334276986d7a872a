//! The webhook's listener: HTTPS, with whatever certificate is the newest.
//!
//! # Guarantees
//! A certificate that is renewed is shown from the next handshake on; connections that are open stay.
//! A client that stalls is given up, and no more than [`CONNECTIONS_MAX`] are served at once.
//! # Assumptions
//! What is asked is small: API servers bound their objects, and [`REVIEW_BYTES_MAX`] bounds it here.
//! # Caveats
//! Before there is a certificate every handshake fails; who asks then does as its failure policy says.

use crate::{Error, Listening};
use axum::Router;
use axum::body::Bytes;
use axum::extract::{DefaultBodyLimit, Request};
use axum::http::{StatusCode, header};
use axum::middleware::{Next, from_fn};
use axum::response::{IntoResponse, Response};
use axum::routing::{get, post};
use hyper_util::rt::{TokioExecutor, TokioIo, TokioTimer};
use hyper_util::server::conn::auto::Builder;
use hyper_util::service::TowerToHyperService;
use rustls::ServerConfig;
use rustls::crypto::ring;
use rustls::server::{ClientHello, ResolvesServerCert};
use rustls::sign::CertifiedKey;
use std::sync::Arc;
use std::time::Duration;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpStream;
use tokio::sync::{OwnedSemaphorePermit, Semaphore, watch};
use tokio::time::{sleep, timeout};
use tokio_rustls::TlsAcceptor;

/// Connections at once: API servers keep a few open each.
const CONNECTIONS_MAX: usize = 256;
/// Until a handshake is whole.
const HANDSHAKE_TIMEOUT: Duration = Duration::from_secs(5);
/// Until the head of a request is whole.
const HEAD_TIMEOUT: Duration = Duration::from_secs(10);
/// Until a request is whole and answered.
const REQUEST_TIMEOUT: Duration = Duration::from_secs(10);
/// Requests of one connection at once; each may be as big as a review.
const STREAMS_MAX: u32 = 16;
/// How long a connection lives: who asks nothing gives its place to others, and new ones show the
/// newest certificate.
const CONNECTION_LIFE: Duration = Duration::from_secs(60);
/// An AdmissionReview holds an object twice, of 3 MiB each at most.
const REVIEW_BYTES_MAX: usize = 8 << 20;

/// Answers one review; nothing, when it is none.
pub type Reviewer = fn(&[u8]) -> Option<Vec<u8>>;

/// Serves `/validate` until `stop` resolves.
///
/// # Errors
/// [`Error::Tls`].
pub async fn serve_webhook(
    listening: Listening,
    certificate: watch::Receiver<Option<Arc<CertifiedKey>>>,
    reviewer: Reviewer,
    stop: impl Future<Output = ()> + Send + 'static,
) -> Result<(), Error> {
    let acceptor = TlsAcceptor::from(Arc::new(config(certificate)?));
    let router = router(reviewer);
    let turns = Arc::new(Semaphore::new(CONNECTIONS_MAX));
    tokio::pin!(stop);
    loop {
        let turn = Arc::clone(&turns).acquire_owned();
        let accepted = async { (turn.await, listening.listener.accept().await) };
        let (turn, accepted) = tokio::select! {
            () = &mut stop => return Ok(()),
            accepted = accepted => accepted,
        };
        match (turn, accepted) {
            (Ok(turn), Ok((stream, _))) => {
                tokio::spawn(serve(stream, acceptor.clone(), router.clone(), turn));
            }
            // Too many files, say: later there may be fewer.
            _ => sleep(Duration::from_millis(100)).await,
        }
    }
}

fn router(reviewer: Reviewer) -> Router {
    let review = move |asked: Bytes| async move { answer(reviewer, &asked) };
    Router::new()
        .route("/validate", post(review))
        .route("/livez", get(|| async { "ok" }))
        .layer(DefaultBodyLimit::max(REVIEW_BYTES_MAX))
        .layer(from_fn(in_time))
}

/// Gives up a request that does not come to its end.
async fn in_time(request: Request, next: Next) -> Response {
    match timeout(REQUEST_TIMEOUT, next.run(request)).await {
        Ok(response) => response,
        Err(_) => StatusCode::REQUEST_TIMEOUT.into_response(),
    }
}

fn answer(reviewer: Reviewer, asked: &[u8]) -> Response {
    match reviewer(asked) {
        Some(answer) => ([(header::CONTENT_TYPE, "application/json")], answer).into_response(),
        None => (StatusCode::BAD_REQUEST, "an AdmissionReview is wanted").into_response(),
    }
}

fn config(certificate: watch::Receiver<Option<Arc<CertifiedKey>>>) -> Result<ServerConfig, Error> {
    let builder = ServerConfig::builder_with_provider(Arc::new(ring::default_provider()));
    let mut config = builder
        .with_safe_default_protocol_versions()
        .map_err(Error::Tls)?
        .with_no_client_auth()
        .with_cert_resolver(Arc::new(Newest(certificate)));
    config.alpn_protocols = vec![b"h2".to_vec(), b"http/1.1".to_vec()];
    Ok(config)
}

/// Shows every client the newest one.
#[derive(Debug)]
struct Newest(watch::Receiver<Option<Arc<CertifiedKey>>>);

impl ResolvesServerCert for Newest {
    fn resolve(&self, _: ClientHello<'_>) -> Option<Arc<CertifiedKey>> {
        self.0.borrow().clone()
    }
}

async fn serve(
    stream: TcpStream,
    acceptor: TlsAcceptor,
    router: Router,
    turn: OwnedSemaphorePermit,
) {
    let Ok(Ok(stream)) = timeout(HANDSHAKE_TIMEOUT, acceptor.accept(stream)).await else {
        return;
    };
    answer_all(stream, router).await;
    drop(turn);
}

/// Until the client leaves, or its time is over.
async fn answer_all(stream: impl AsyncRead + AsyncWrite + Unpin + Send + 'static, router: Router) {
    let mut builder = Builder::new(TokioExecutor::new());
    builder
        .http1()
        .timer(TokioTimer::new())
        .header_read_timeout(HEAD_TIMEOUT);
    builder.http2().max_concurrent_streams(STREAMS_MAX);
    let service = TowerToHyperService::new(router);
    let connection = builder.serve_connection(TokioIo::new(stream), service);
    tokio::pin!(connection);
    // However it ends, it has ended; who asked hears of it.
    tokio::select! {
        _ = &mut connection => return,
        () = sleep(CONNECTION_LIFE) => connection.as_mut().graceful_shutdown(),
    }
    let _ = timeout(REQUEST_TIMEOUT, connection).await;
}

#[cfg(test)]
mod tests {
    use super::*;
    use tokio::io::{AsyncReadExt, AsyncWriteExt};

    /// What a client that says so much and no more is answered until its connection ends.
    async fn answered(said: &str) -> String {
        let (mut client, server) = tokio::io::duplex(1 << 16);
        let router = router(|_| Some(b"{}".to_vec()));
        tokio::spawn(answer_all(server, router));
        client
            .write_all(said.as_bytes())
            .await
            .expect("an open pipe");
        let mut answer = Vec::new();
        client.read_to_end(&mut answer).await.expect("an open pipe");
        String::from_utf8(answer).expect("text")
    }

    #[tokio::test(start_paused = true)]
    async fn a_client_that_stalls_is_given_up() {
        let head = "POST /validate HTTP/1.1\r\nhost: webhook\r\n";
        let began = tokio::time::Instant::now();
        let whole = format!("{head}content-length: 2\r\n\r\n{{}}");
        assert!(
            answered(&whole).await.starts_with("HTTP/1.1 200"),
            "it is idle afterwards"
        );
        let half = format!("{head}content-length: 9\r\n\r\nhalf");
        assert!(answered(&half).await.starts_with("HTTP/1.1 408"));
        assert_eq!(answered(head).await, "", "no whole head");
        assert!(
            began.elapsed() < 3 * CONNECTION_LIFE,
            "{:?}",
            began.elapsed()
        );
    }
}
