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
use axum::extract::DefaultBodyLimit;
use axum::http::{StatusCode, header};
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
/// How long a connection lives: new ones show the newest certificate.
const CONNECTION_LIFE: Duration = Duration::from_secs(3600);
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
    let mut builder = Builder::new(TokioExecutor::new());
    builder
        .http1()
        .timer(TokioTimer::new())
        .header_read_timeout(HEAD_TIMEOUT);
    let service = TowerToHyperService::new(router);
    let connection = builder.serve_connection(TokioIo::new(stream), service);
    // However it ends, it has ended; who asked hears of it.
    let _ = timeout(CONNECTION_LIFE, connection).await;
    drop(turn);
}
