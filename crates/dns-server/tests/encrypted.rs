//! TLS, HTTPS and QUIC over real sockets on the loopback interface.
#![cfg(test)]

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use bytes::Bytes;
use dns::{
    Name, RecordType, ReplyClass, Secrets, Snapshot, SnapshotBuilder, Transport, Zone, read_records,
};
use http::{Request, StatusCode};
use http_body_util::{BodyExt, Full};
use hyper::client::conn::http2;
use hyper_util::rt::{TokioExecutor, TokioIo};
use meridian_dns_server::{CertificateFiles, DnsMetrics, DnsServer, Encrypted, Handle, Options};
use prometheus_client::registry::Registry;
use rustls::pki_types::{CertificateDer, ServerName};
use rustls::{ClientConfig, RootCertStore};
use tempfile::TempDir;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::time::timeout;
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;

/// Bound of every wait for the network.
const PATIENCE: Duration = Duration::from_secs(10);
const HOST: &str = "ns.example.org";

/// A server that listens for everything, and what its clients trust.
struct World {
    handle: Handle,
    metrics: DnsMetrics,
    authority: CertificateDer<'static>,
    _folder: TempDir,
}

impl World {
    fn start() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let made = rcgen::generate_simple_self_signed([HOST.to_owned()]).unwrap();
        let certificate = CertificateFiles {
            certificate: folder.path().join("tls.crt"),
            key: folder.path().join("tls.key"),
        };
        std::fs::write(&certificate.certificate, made.cert.pem()).unwrap();
        std::fs::write(&certificate.key, made.signing_key.serialize_pem()).unwrap();
        let any: SocketAddr = "127.0.0.1:0".parse().unwrap();
        let secrets = Secrets {
            current: [1; 16],
            other: None,
        };
        let mut options = Options::new(vec![any], secrets);
        options.encrypted = Some(Encrypted {
            certificate,
            tls: vec![any],
            https: vec![any],
            quic: vec![any],
        });
        let metrics = DnsMetrics::new(&mut Registry::default());
        let handle = DnsServer::start(&options, snapshot(), &metrics).unwrap();
        Self {
            handle,
            metrics,
            authority: made.cert.der().clone(),
            _folder: folder,
        }
    }

    fn address(&self, transport: Transport) -> SocketAddr {
        self.handle.local_addrs(transport)[0]
    }

    fn trust(&self, protocol: &[u8]) -> ClientConfig {
        let mut roots = RootCertStore::empty();
        roots.add(self.authority.clone()).unwrap();
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let mut config = ClientConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()
            .unwrap()
            .with_root_certificates(roots)
            .with_no_client_auth();
        config.alpn_protocols = vec![protocol.to_vec()];
        config
    }

    async fn tls(&self, transport: Transport, protocol: &[u8]) -> TlsStream<TcpStream> {
        let stream = TcpStream::connect(self.address(transport)).await.unwrap();
        let name = ServerName::try_from(HOST).unwrap();
        let connector = TlsConnector::from(Arc::new(self.trust(protocol)));
        connector.connect(name, stream).await.unwrap()
    }

    async fn quic(&self) -> quinn::Connection {
        let crypto = quinn::crypto::rustls::QuicClientConfig::try_from(self.trust(b"doq"));
        let mut endpoint = quinn::Endpoint::client("127.0.0.1:0".parse().unwrap()).unwrap();
        endpoint.set_default_client_config(quinn::ClientConfig::new(Arc::new(crypto.unwrap())));
        let connecting = endpoint.connect(self.address(Transport::Quic), HOST);
        connecting.unwrap().await.unwrap()
    }
}

fn snapshot() -> Arc<Snapshot> {
    let origin = Name::parse("example.org").unwrap();
    let text = "@ 3600 SOA ns1 host 1 7200 3600 1209600 300\n@ NS ns1\nns1 A 192.0.2.53\n\
                www 20 A 192.0.2.1";
    let records = read_records(text, &origin, 3600).unwrap();
    let mut builder = SnapshotBuilder::new();
    builder.zone(&Zone { origin, records }).unwrap();
    Arc::new(builder.build(1))
}

fn query(id: u16) -> Vec<u8> {
    let mut query = id.to_be_bytes().to_vec();
    query.extend([1, 0, 0, 1, 0, 0, 0, 0, 0, 0]);
    query.extend(Name::parse("www.example.org").unwrap().wire());
    query.extend(RecordType::A.0.to_be_bytes());
    query.extend([0, 1]);
    query
}

/// The same, padded to the block that RFC 8467 recommends.
fn padded_query() -> Vec<u8> {
    let mut query = query(7);
    query[11] = 1;
    query.extend([0, 0, 41, 0x04, 0xd0, 0, 0, 0, 0, 0, 4 + 60, 0, 12, 0, 60]);
    query.extend([0; 60]);
    query
}

fn framed(message: &[u8]) -> Vec<u8> {
    [&(message.len() as u16).to_be_bytes()[..], message].concat()
}

async fn read_framed(stream: &mut TlsStream<TcpStream>) -> Vec<u8> {
    let length = timeout(PATIENCE, stream.read_u16()).await.unwrap().unwrap();
    let mut reply = vec![0; usize::from(length)];
    stream.read_exact(&mut reply).await.unwrap();
    reply
}

#[tokio::test(flavor = "multi_thread")]
async fn queries_over_tls_are_answered_and_padded() {
    let world = World::start();
    let mut stream = world.tls(Transport::Tls, b"dot").await;
    let both = [framed(&query(1)), framed(&padded_query())].concat();
    stream.write_all(&both).await.unwrap();
    let reply = read_framed(&mut stream).await;
    assert!(reply.ends_with(&[192, 0, 2, 1]));
    assert_eq!(reply[..2], [0, 1]);
    assert_eq!(read_framed(&mut stream).await.len(), 468);
    assert_eq!(world.metrics.replies(Transport::Tls, ReplyClass::Static), 2);
    world.handle.stop().await;
}

/// Sends one HTTP request on a connection of its own.
async fn http(world: &World, request: Request<Full<Bytes>>) -> (StatusCode, String, Bytes) {
    let stream = TokioIo::new(world.tls(Transport::Https, b"h2").await);
    let (mut sender, connection) = http2::handshake(TokioExecutor::new(), stream)
        .await
        .unwrap();
    tokio::spawn(connection);
    let sending = timeout(PATIENCE, sender.send_request(request)).await;
    let (head, body) = sending.unwrap().unwrap().into_parts();
    let cache = head.headers.get("cache-control");
    let cache = cache.map_or("", |value| value.to_str().unwrap()).to_owned();
    (head.status, cache, body.collect().await.unwrap().to_bytes())
}

fn post(path: &str, kind: &str, body: Vec<u8>) -> Request<Full<Bytes>> {
    Request::post(format!("https://{HOST}{path}"))
        .header("content-type", kind)
        .body(Full::from(body))
        .unwrap()
}

fn get(path_and_query: &str) -> Request<Full<Bytes>> {
    let uri = format!("https://{HOST}{path_and_query}");
    Request::get(uri).body(Full::default()).unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn queries_over_https_are_answered_by_get_and_post_for_as_long_as_the_ttl() {
    let world = World::start();
    let parameter = URL_SAFE_NO_PAD.encode(query(0));
    let posted = http(
        &world,
        post("/dns-query", "application/dns-message", query(0)),
    )
    .await;
    let got = http(&world, get(&format!("/dns-query?dns={parameter}"))).await;
    assert_eq!(posted, got);
    let (status, cache, body) = got;
    assert_eq!(status, StatusCode::OK);
    assert_eq!(cache, "max-age=20");
    assert!(body.ends_with(&[192, 0, 2, 1]));
    world.handle.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_request_that_is_no_query_is_told_why() {
    let world = World::start();
    let message = "application/dns-message";
    let reply = [&[0, 0, 0x80][..], &[0; 9]].concat();
    let cases = [
        (get("/"), StatusCode::NOT_FOUND),
        (get("/dns-query"), StatusCode::BAD_REQUEST),
        (get("/dns-query?dns=%%"), StatusCode::BAD_REQUEST),
        (post("/dns-query", message, reply), StatusCode::BAD_REQUEST),
        (
            post("/dns-query", "text/plain", query(0)),
            StatusCode::UNSUPPORTED_MEDIA_TYPE,
        ),
        (
            post("/dns-query", message, vec![0; 70_000]),
            StatusCode::PAYLOAD_TOO_LARGE,
        ),
    ];
    for (request, expected) in cases {
        let asked = format!("{} {}", request.method(), request.uri());
        let (status, _, why) = http(&world, request).await;
        assert_eq!(status, expected, "{asked}");
        assert!(!why.is_empty(), "{asked} is not told why");
    }
    let put = Request::put(format!("https://{HOST}/dns-query"));
    let (status, ..) = http(&world, put.body(Full::default()).unwrap()).await;
    assert_eq!(status, StatusCode::METHOD_NOT_ALLOWED);
    world.handle.stop().await;
}

/// One query on a stream of its own.
async fn exchange(connection: &quinn::Connection, message: &[u8]) -> Option<Vec<u8>> {
    let (mut send, mut receive) = connection.open_bi().await.ok()?;
    send.write_all(&framed(message)).await.ok()?;
    send.finish().ok()?;
    timeout(PATIENCE, receive.read_to_end(65_537))
        .await
        .ok()?
        .ok()
}

#[tokio::test(flavor = "multi_thread")]
async fn queries_over_quic_are_answered_on_their_streams() {
    let world = World::start();
    let connection = world.quic().await;
    let replies = (0..50).map(|_| async { exchange(&connection, &query(0)).await.unwrap() });
    for reply in futures::future::join_all(replies).await {
        assert_eq!(
            usize::from(u16::from_be_bytes([reply[0], reply[1]])),
            reply.len() - 2
        );
        assert!(reply.ends_with(&[192, 0, 2, 1]));
    }
    world.handle.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_quic_client_that_breaks_the_protocol_is_told_so() {
    let world = World::start();
    // edns-tcp-keepalive (RFC 9250 § 5.5.2).
    let mut keepalive = query(0);
    keepalive[11] = 1;
    keepalive.extend([0, 0, 41, 4, 208, 0, 0, 0, 0, 0, 4, 0, 11, 0, 0]);
    for (what, sent) in [
        ("an id other than 0", framed(&query(1))),
        ("two messages", [framed(&query(0)), vec![0]].concat()),
        ("no message", framed(&[])),
        ("keepalive", framed(&keepalive)),
    ] {
        let connection = world.quic().await;
        let (mut send, _receive) = connection.open_bi().await.unwrap();
        send.write_all(&sent).await.unwrap();
        send.finish().unwrap();
        let closed = timeout(PATIENCE, connection.closed()).await.unwrap();
        let quinn::ConnectionError::ApplicationClosed(close) = closed else {
            panic!("{closed}");
        };
        assert_eq!(close.error_code, quinn::VarInt::from_u32(2), "{what}");
    }
    assert!(exchange(&world.quic().await, &query(0)).await.is_some());
    world.handle.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_client_that_speaks_no_tls_disturbs_nobody() {
    let world = World::start();
    for transport in [Transport::Tls, Transport::Https] {
        let mut stranger = TcpStream::connect(world.address(transport)).await.unwrap();
        stranger.write_all(&framed(&query(1))).await.unwrap();
        let mut rest = Vec::new();
        // TLS says why in an alert, and closes; a reset does as well.
        let _ = timeout(PATIENCE, stranger.read_to_end(&mut rest))
            .await
            .unwrap();
    }
    let mut stream = world.tls(Transport::Tls, b"dot").await;
    stream.write_all(&framed(&query(2))).await.unwrap();
    assert!(read_framed(&mut stream).await.ends_with(&[192, 0, 2, 1]));
    world.handle.stop().await;
}
