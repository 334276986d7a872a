//! One probe, from connecting to the verdict.

use crate::{grpc, tls};
use http::{Request, header};
use http_body_util::{BodyExt, Empty};
use hyper::body::{Body, Bytes, Incoming};
use hyper_util::rt::TokioIo;
use model::{HttpProbe, HttpsProbe, Probe, ProbeFailure, ProbeKind, StatusRange, Target};
use rustls::pki_types::ServerName;
use std::io::ErrorKind;
use std::net::SocketAddr;
use std::pin::pin;
use std::time::Duration;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::{TcpStream, lookup_host};
use tokio_rustls::TlsConnector;

/// How much of a body is searched (Route 53's limit).
const BODY_BYTES_MAX: usize = 5_120;
/// What counts as healthy when nothing is said.
const HEALTHY: StatusRange = StatusRange { from: 200, to: 399 };
/// Who asks.
const USER_AGENT: &str = concat!("meridian-prober/", env!("CARGO_PKG_VERSION"));

/// Runs a probe once, within its timeout.
///
/// # Errors
/// Why it failed.
pub async fn check(probe: &Probe) -> Result<(), ProbeFailure> {
    let limit = Duration::from_millis(probe.schedule.timeout_millis.max(1));
    match tokio::time::timeout(limit, attempt(probe)).await {
        Ok(outcome) => outcome,
        Err(_) => Err(ProbeFailure::Timeout),
    }
}

async fn attempt(probe: &Probe) -> Result<(), ProbeFailure> {
    match &probe.kind {
        ProbeKind::Tcp(tcp) => connect(&probe.target, tcp.port).await.map(drop),
        ProbeKind::Http(http) => {
            let stream = connect(&probe.target, http.port).await?;
            request(stream, http, &probe.target).await
        }
        ProbeKind::Https(https) => {
            let http = &https.http;
            let stream = connect(&probe.target, http.port).await?;
            let name = server_name(https, &probe.target)?;
            let stream = TlsConnector::from(tls::config())
                .connect(name, stream)
                .await
                .map_err(|why| ProbeFailure::Tls(why.to_string()))?;
            if let Some(days) = https.min_days_left {
                let shown = stream.get_ref().1.peer_certificates();
                tls::lasts(shown.unwrap_or_default(), days)?;
            }
            request(stream, http, &probe.target).await
        }
        ProbeKind::Grpc(grpc) => {
            let stream = connect(&probe.target, grpc.port).await?;
            grpc::check(stream, grpc, &authority(&probe.target, grpc.port)).await
        }
    }
}

async fn connect(target: &Target, port: u16) -> Result<TcpStream, ProbeFailure> {
    let addresses: Vec<SocketAddr> = match target {
        Target::Ip(ip) => vec![(*ip, port).into()],
        Target::Hostname(name) => lookup_host((name.as_str(), port))
            .await
            .map_err(|why| ProbeFailure::Name(why.to_string()))?
            .collect(),
    };
    let mut failure = ProbeFailure::Name("it has no addresses".to_owned());
    for address in addresses {
        match TcpStream::connect(address).await {
            Ok(stream) => return Ok(stream),
            Err(why) => failure = from_io(&why),
        }
    }
    Err(failure)
}

async fn request<S>(stream: S, probe: &HttpProbe, target: &Target) -> Result<(), ProbeFailure>
where
    S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
{
    let (mut sender, connection) = hyper::client::conn::http1::handshake(TokioIo::new(stream))
        .await
        .map_err(|why| from_hyper(&why))?;
    let request = Request::get(&probe.path)
        .header(header::HOST, host(probe, target))
        .header(header::USER_AGENT, USER_AGENT)
        .header(header::ACCEPT, "*/*")
        .header(header::CONNECTION, "close")
        .body(Empty::<Bytes>::new())
        .map_err(|why| ProbeFailure::Other(why.to_string()))?;
    // The connection is driven here, so that it ends with the probe and with its timeout.
    let mut connection = pin!(connection);
    let mut exchange = pin!(async {
        let response = sender
            .send_request(request)
            .await
            .map_err(|why| from_hyper(&why))?;
        judge(response, probe).await
    });
    tokio::select! {
        outcome = &mut exchange => outcome,
        // The server closed, perhaps right behind its answer: the answer counts if it is whole.
        ended = &mut connection => match (exchange.await, ended) {
            (Err(_), Err(why)) => Err(from_hyper(&why)),
            (outcome, _) => outcome,
        },
    }
}

async fn judge(response: http::Response<Incoming>, probe: &HttpProbe) -> Result<(), ProbeFailure> {
    let status = response.status().as_u16();
    let healthy = [HEALTHY];
    let expected = if probe.expect_status.is_empty() {
        &healthy[..]
    } else {
        &probe.expect_status[..]
    };
    if !expected
        .iter()
        .any(|range| (range.from..=range.to).contains(&status))
    {
        return Err(ProbeFailure::Status(status));
    }
    match &probe.expect_body {
        None => Ok(()),
        Some(text) => search(response.into_body(), text.as_bytes()).await,
    }
}

/// Looks for `text` in the beginning of a body.
async fn search<B>(body: B, text: &[u8]) -> Result<(), ProbeFailure>
where
    B: Body<Data = Bytes, Error = hyper::Error>,
{
    let mut body = pin!(body);
    let mut seen = Vec::new();
    while seen.len() < BODY_BYTES_MAX {
        let Some(frame) = body.frame().await else {
            break;
        };
        if let Ok(data) = frame.map_err(|why| from_hyper(&why))?.into_data() {
            let room = BODY_BYTES_MAX - seen.len();
            seen.extend_from_slice(&data[..data.len().min(room)]);
        }
    }
    let found = seen.windows(text.len().max(1)).any(|window| window == text);
    if found {
        Ok(())
    } else {
        Err(ProbeFailure::Body)
    }
}

fn host(probe: &HttpProbe, target: &Target) -> String {
    let name = match (&probe.host, target) {
        (Some(host), _) => return host.clone(),
        (None, Target::Ip(std::net::IpAddr::V6(ip))) => format!("[{ip}]"),
        (None, target) => target.to_string(),
    };
    let default = if probe.port == 80 {
        String::new()
    } else {
        format!(":{}", probe.port)
    };
    name + &default
}

/// Host and port as HTTP/2 names them.
fn authority(target: &Target, port: u16) -> String {
    match target {
        Target::Ip(std::net::IpAddr::V6(ip)) => format!("[{ip}]:{port}"),
        target => format!("{target}:{port}"),
    }
}

fn server_name(probe: &HttpsProbe, target: &Target) -> Result<ServerName<'static>, ProbeFailure> {
    let named = probe.server_name.as_ref().or(probe.http.host.as_ref());
    let name = named.cloned().unwrap_or_else(|| target.to_string());
    let name = name.rsplit_once(':').map_or(name.as_str(), |(host, port)| {
        if port.parse::<u16>().is_ok() && !host.contains(':') {
            host
        } else {
            &name
        }
    });
    ServerName::try_from(name.to_owned())
        .map_err(|_| ProbeFailure::Tls(format!("{name:?} is not a server's name")))
}

pub(crate) fn from_hyper(why: &hyper::Error) -> ProbeFailure {
    let mut source: Option<&(dyn std::error::Error + 'static)> = Some(why);
    while let Some(error) = source {
        if let Some(io) = error.downcast_ref::<std::io::Error>() {
            return from_io(io);
        }
        source = error.source();
    }
    ProbeFailure::Other(why.to_string())
}

fn from_io(why: &std::io::Error) -> ProbeFailure {
    match why.kind() {
        ErrorKind::ConnectionRefused | ErrorKind::ConnectionReset | ErrorKind::BrokenPipe => {
            ProbeFailure::Refused
        }
        ErrorKind::TimedOut => ProbeFailure::Timeout,
        ErrorKind::HostUnreachable | ErrorKind::NetworkUnreachable | ErrorKind::NetworkDown => {
            ProbeFailure::Unreachable(why.to_string())
        }
        _ => ProbeFailure::Other(why.to_string()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use model::{EndpointId, ObjectKey, ProbeSchedule};
    use std::sync::Arc;
    use tokio::io::{AsyncReadExt, AsyncWriteExt};
    use tokio::net::TcpListener;

    fn http(port: u16) -> HttpProbe {
        HttpProbe {
            port,
            path: "/healthz".into(),
            host: None,
            expect_status: vec![],
            expect_body: None,
        }
    }

    fn probe(kind: ProbeKind, timeout_millis: u64) -> Probe {
        let target = Target::Ip(std::net::Ipv4Addr::LOCALHOST.into());
        let service = ObjectKey::new("shop", "shop");
        Probe {
            endpoint: EndpointId {
                service,
                cluster: "a".into(),
                target: target.clone(),
            },
            target,
            kind,
            schedule: ProbeSchedule {
                interval_millis: 1_000,
                timeout_millis,
            },
        }
    }

    /// A server that reads a request and says this, forever.
    async fn serve(reply: &'static str) -> u16 {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
        let port = listener.local_addr().expect("bound").port();
        tokio::spawn(async move {
            while let Ok((mut stream, _)) = listener.accept().await {
                let mut request = [0; 1024];
                let _ = stream.read(&mut request).await;
                let _ = stream.write_all(reply.as_bytes()).await;
            }
        });
        port
    }

    #[tokio::test]
    async fn a_status_from_200_to_399_is_healthy_unless_another_is_asked_for() {
        let port = serve("HTTP/1.1 204 No Content\r\n\r\n").await;
        assert_eq!(
            check(&probe(ProbeKind::Http(http(port)), 5_000)).await,
            Ok(())
        );
        let only_200 = HttpProbe {
            expect_status: vec![StatusRange { from: 200, to: 200 }],
            ..http(port)
        };
        let outcome = check(&probe(ProbeKind::Http(only_200), 5_000)).await;
        assert_eq!(outcome, Err(ProbeFailure::Status(204)));
        let port = serve("HTTP/1.1 503 Service Unavailable\r\ncontent-length: 0\r\n\r\n").await;
        let outcome = check(&probe(ProbeKind::Http(http(port)), 5_000)).await;
        assert_eq!(outcome, Err(ProbeFailure::Status(503)));
    }

    #[tokio::test]
    async fn the_expected_text_is_looked_for_in_the_body() {
        let port = serve("HTTP/1.1 200 OK\r\ncontent-length: 11\r\n\r\nall is well").await;
        for (text, expected) in [("is well", Ok(())), ("is ill", Err(ProbeFailure::Body))] {
            let wanted = HttpProbe {
                expect_body: Some(text.into()),
                ..http(port)
            };
            assert_eq!(
                check(&probe(ProbeKind::Http(wanted), 5_000)).await,
                expected
            );
        }
    }

    #[tokio::test]
    async fn a_server_that_accepts_and_never_answers_is_a_timeout() {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
        let port = listener.local_addr().expect("bound").port();
        let outcome = check(&probe(ProbeKind::Http(http(port)), 50)).await;
        assert_eq!(outcome, Err(ProbeFailure::Timeout));
    }

    #[tokio::test]
    async fn a_closed_port_is_a_refusal_and_no_timeout() {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
        let port = listener.local_addr().expect("bound").port();
        drop(listener);
        let outcome = check(&probe(ProbeKind::Http(http(port)), 5_000)).await;
        assert_eq!(outcome, Err(ProbeFailure::Refused));
    }

    /// A server that shows this certificate and says that all is well.
    async fn serve_tls(params: rcgen::CertificateParams) -> u16 {
        let signing = rcgen::KeyPair::generate().expect("a key");
        let certificate = params.self_signed(&signing).expect("signed");
        let key = rustls::pki_types::PrivateKeyDer::try_from(signing.serialize_der());
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let config = rustls::ServerConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()
            .expect("versions")
            .with_no_client_auth()
            .with_single_cert(vec![certificate.der().clone()], key.expect("a key"))
            .expect("a server");
        let acceptor = tokio_rustls::TlsAcceptor::from(Arc::new(config));
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
        let port = listener.local_addr().expect("bound").port();
        tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                let Ok(mut stream) = acceptor.accept(stream).await else {
                    continue;
                };
                let mut request = [0; 1024];
                let _ = stream.read(&mut request).await;
                let _ = stream
                    .write_all(b"HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n")
                    .await;
            }
        });
        port
    }

    fn certificate(until_year: i32) -> rcgen::CertificateParams {
        let names = vec!["shop.example".to_owned()];
        let mut params = rcgen::CertificateParams::new(names).expect("a name");
        params.not_after = rcgen::date_time_ymd(until_year, 1, 1);
        params
    }

    fn https(port: u16, min_days_left: Option<u32>) -> ProbeKind {
        ProbeKind::Https(HttpsProbe {
            http: http(port),
            server_name: Some("shop.example".into()),
            min_days_left,
        })
    }

    #[tokio::test]
    async fn https_takes_any_certificate_and_plain_http_is_a_tls_failure() {
        let port = serve_tls(certificate(2001)).await;
        assert_eq!(check(&probe(https(port, None), 5_000)).await, Ok(()));
        let plain = serve("HTTP/1.1 400 Bad Request\r\n\r\n").await;
        let outcome = check(&probe(https(plain, None), 5_000)).await;
        assert!(matches!(outcome, Err(ProbeFailure::Tls(_))), "{outcome:?}");
    }

    #[tokio::test]
    async fn a_certificate_must_last_for_as_long_as_is_asked() {
        let expired = serve_tls(certificate(2001)).await;
        let outcome = check(&probe(https(expired, Some(0)), 5_000)).await;
        assert!(
            matches!(outcome, Err(ProbeFailure::Expires(days)) if days < 0),
            "{outcome:?}"
        );
        let long = serve_tls(certificate(4000)).await;
        assert_eq!(check(&probe(https(long, Some(3_000)), 5_000)).await, Ok(()));
        let outcome = check(&probe(https(long, Some(4_000_000)), 5_000)).await;
        assert!(matches!(outcome, Err(ProbeFailure::Expires(days)) if days > 3_000));
    }

    #[tokio::test]
    async fn a_hostname_that_does_not_resolve_says_so() {
        let mut probe = probe(ProbeKind::Http(http(80)), 5_000);
        probe.target = Target::Hostname("no such host".into());
        assert!(matches!(check(&probe).await, Err(ProbeFailure::Name(_))));
    }

    #[test]
    fn the_host_header_is_the_given_host_else_the_target_with_its_port() {
        let ip = Target::Ip(std::net::Ipv6Addr::LOCALHOST.into());
        assert_eq!(host(&http(8080), &ip), "[::1]:8080");
        let named = HttpProbe {
            host: Some("shop.example.org".into()),
            ..http(8080)
        };
        assert_eq!(host(&named, &ip), "shop.example.org");
        assert_eq!(
            host(&http(80), &Target::Hostname("lb.example".into())),
            "lb.example"
        );
    }
}
