//! A client that costs little beside the server: one connection, no pool.

use bytes::Bytes;
use http::{Method, Request, Response};
use http_body_util::Full;
use hyper::body::Incoming;
use hyper::client::conn::{http1, http2};
use hyper_util::rt::{TokioExecutor, TokioIo};
use pocketkube::Cluster;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, ServerName};
use rustls::{ClientConfig, RootCertStore};
use std::sync::Arc;
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;

/// A body that is there as a whole.
pub(crate) type Body = Full<Bytes>;

/// Who talks to a cluster, and how.
#[derive(Clone)]
pub(crate) struct Client {
    tls: Arc<ClientConfig>,
    address: String,
    authorization: String,
}

impl Client {
    /// A client of a cluster that speaks one version of HTTP.
    pub(crate) fn new(cluster: &Cluster, protocol: &[u8]) -> Self {
        let mut roots = RootCertStore::empty();
        let authority = CertificateDer::from_pem_slice(cluster.ca_pem().as_bytes());
        roots
            .add(authority.expect("a fleet's cluster has an authority"))
            .expect("an authority's certificate");
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let mut tls = ClientConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()
            .expect("ring knows the versions")
            .with_root_certificates(roots)
            .with_no_client_auth();
        tls.alpn_protocols = vec![protocol.to_vec()];
        Self {
            tls: Arc::new(tls),
            address: cluster.url().trim_start_matches("https://").to_owned(),
            authorization: format!("Bearer {}", cluster.token()),
        }
    }

    /// A connection that carries one request at a time.
    pub(crate) async fn one_at_a_time(&self) -> http1::SendRequest<Body> {
        let (sender, connection) = http1::handshake(TokioIo::new(self.connect().await))
            .await
            .expect("a handshake");
        tokio::spawn(connection);
        sender
    }

    /// A connection that carries many requests.
    pub(crate) async fn many_at_once(&self) -> http2::SendRequest<Body> {
        let io = TokioIo::new(self.connect().await);
        let (sender, connection) = http2::Builder::new(TokioExecutor::new())
            .initial_stream_window_size(1 << 20)
            .initial_connection_window_size(1 << 26)
            .handshake(io)
            .await
            .expect("a handshake");
        tokio::spawn(connection);
        sender
    }

    /// A request of this client.
    pub(crate) fn request(&self, method: Method, path: &str, body: Bytes) -> Request<Body> {
        Request::builder()
            .method(method)
            .uri(format!("https://{}{path}", self.address))
            .header("host", &self.address)
            .header("authorization", &self.authorization)
            .header("content-type", "application/json")
            .header("user-agent", "bench/1")
            .body(Full::new(body))
            .expect("headers are made of plain text")
    }

    async fn connect(&self) -> TlsStream<TcpStream> {
        let stream = TcpStream::connect(&self.address).await.expect("a listener");
        stream.set_nodelay(true).expect("an open socket");
        let name = ServerName::try_from("127.0.0.1").expect("an address");
        TlsConnector::from(Arc::clone(&self.tls))
            .connect(name, stream)
            .await
            .expect("the server shows its certificate")
    }
}

/// Reads an answer to its end; its status must be the one that is expected.
pub(crate) async fn read(response: Response<Incoming>, expected: u16) {
    use http_body_util::BodyExt;
    let status = response.status().as_u16();
    let body = response
        .into_body()
        .collect()
        .await
        .expect("a whole body")
        .to_bytes();
    assert_eq!(status, expected, "{}", String::from_utf8_lossy(&body));
}
