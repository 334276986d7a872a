//! One question to one webhook, over HTTPS, worded when it fails as the real server words it.

use crate::cluster::Cluster;
use crate::object;
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use bytes::Bytes;
use http::header::{ACCEPT, CONTENT_TYPE, HOST, USER_AGENT};
use http::{Method, Request, StatusCode};
use http_body_util::{BodyExt, Full, Limited};
use hyper_util::rt::TokioIo;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, ServerName};
use rustls::{ClientConfig, RootCertStore};
use serde_json::Value;
use std::sync::Arc;
use std::time::Duration;
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;

/// A webhook's answer is at most as long as a request may be.
const ANSWER_BYTES_MAX: usize = 3 * 1024 * 1024;

/// What is asked of whom.
#[derive(Debug)]
pub(super) struct Question<'a> {
    /// `clientConfig` of the webhook.
    pub(super) client: &'a Value,
    /// Seconds after which it is given up.
    pub(super) seconds: u64,
    /// The AdmissionReview.
    pub(super) review: Value,
}

/// Where a webhook is.
#[derive(Debug, PartialEq, Eq)]
struct Place {
    /// As messages name it.
    shown: String,
    /// As its certificate names it.
    name: String,
    /// Where to connect to.
    host: String,
    port: u16,
    path: String,
}

/// The AdmissionReview that a webhook answers with.
pub(super) async fn ask(cluster: &Cluster, question: &Question<'_>) -> Result<Value, String> {
    let timeout = format!("timeout={}s", question.seconds);
    let client = question.client;
    let place = match client["url"].as_str() {
        Some(url) => of_url(url, &timeout)?,
        None => of_service(cluster, &client["service"], &timeout)?,
    };
    let body = Bytes::from(question.review.to_string());
    let limit = Duration::from_secs(question.seconds);
    let posting = post(&place, &client["caBundle"], body);
    match tokio::time::timeout(limit, Box::pin(posting)).await {
        Ok(Ok(answer)) => Ok(answer),
        Ok(Err(Trouble::Way(why))) => Err(format!("Post {:?}: {why}", place.shown)),
        Ok(Err(Trouble::Answer(why))) => Err(why),
        Err(_) => Err(format!("Post {:?}: context deadline exceeded", place.shown)),
    }
}

enum Trouble {
    /// No answer came.
    Way(String),
    /// An answer came that is none.
    Answer(String),
}

fn of_url(url: &str, timeout: &str) -> Result<Place, String> {
    let rest = url
        .strip_prefix("https://")
        .ok_or_else(|| format!("'https' is the only allowed URL scheme; got {url:?}"))?;
    let (authority, path) = match rest.find('/') {
        Some(at) => rest.split_at(at),
        None => (rest, "/"),
    };
    let (host, port) = match authority.rsplit_once(':') {
        Some((host, port)) if !port.ends_with(']') => (host, port.parse().unwrap_or(443)),
        _ => (authority, 443),
    };
    let host = host.trim_matches(['[', ']']).to_owned();
    let path = format!("{path}?{timeout}");
    Ok(Place {
        shown: format!("https://{authority}{path}"),
        name: host.clone(),
        host,
        port,
        path,
    })
}

/// A Service's place: an endpoint of it that is ready, or the name it stands for.
fn of_service(cluster: &Cluster, service: &Value, timeout: &str) -> Result<Place, String> {
    let text = |field: &str| service[field].as_str().unwrap_or_default();
    let (namespace, name) = (text("namespace"), text("name"));
    let port = service["port"].as_u64().unwrap_or(443);
    let dns = format!("{name}.{namespace}.svc");
    let path = match text("path") {
        "" => format!("/?{timeout}"),
        path => format!("/{}?{timeout}", path.trim_start_matches('/')),
    };
    let shown = format!("https://{dns}:{port}{path}");
    let failed = |why: String| format!("Post {shown:?}: {why}");
    let found = cluster
        .kept("services", namespace, name)
        .ok_or_else(|| failed(format!("service {name:?} not found")))?;
    let spec = &found["spec"];
    let (host, port) = match spec["externalName"].as_str() {
        Some(external) if spec["type"] == "ExternalName" => (external.to_owned(), port),
        _ => {
            let own = object::list(&spec["ports"]).iter();
            let own = own
                .into_iter()
                .find(|own| own["port"].as_u64() == Some(port));
            let own = own.ok_or_else(|| {
                failed(format!("no service port {port} found for service {name:?}"))
            })?;
            endpoint(cluster, namespace, name, own)
                .ok_or_else(|| failed(format!("no endpoints available for service {name:?}")))?
        }
    };
    Ok(Place {
        name: dns,
        host,
        port: u16::try_from(port).unwrap_or(443),
        path,
        shown,
    })
}

/// Address and port of an endpoint of a Service that is ready.
fn endpoint(cluster: &Cluster, namespace: &str, name: &str, port: &Value) -> Option<(String, u64)> {
    let prefix = crate::cluster::prefix(Some(namespace));
    let store = cluster.store();
    let mut slices = store
        .range("endpointslices.discovery.k8s.io", &prefix, None)
        .map(|(_, slice)| slice)
        .filter(|slice| object::label(slice, "kubernetes.io/service-name") == Some(name));
    slices.find_map(|slice| {
        let ports = object::list(&slice["ports"]).iter();
        let empty = |value: &Value| value.as_str().unwrap_or_default().to_owned();
        let own = ports
            .into_iter()
            .find(|own| empty(&own["name"]) == empty(&port["name"]))?;
        let ready = object::list(&slice["endpoints"])
            .iter()
            .find(|endpoint| endpoint["conditions"]["ready"] != false)?;
        let address = ready["addresses"][0].as_str()?;
        Some((address.to_owned(), own["port"].as_u64()?))
    })
}

async fn post(place: &Place, bundle: &Value, body: Bytes) -> Result<Value, Trouble> {
    let way = |why: String| Trouble::Way(why);
    let (host, port) = (place.host.as_str(), place.port);
    let stream = TcpStream::connect((host, port))
        .await
        .map_err(|cause| way(dialing(host, port, &cause)))?;
    let connector = TlsConnector::from(Arc::new(trusting(bundle).map_err(way)?));
    let name = ServerName::try_from(place.name.clone()).map_err(|cause| way(cause.to_string()))?;
    let stream = connector
        .connect(name, stream)
        .await
        .map_err(|cause| way(shaking_hands(&cause)))?;
    let shaken = hyper::client::conn::http1::handshake(TokioIo::new(stream)).await;
    let (mut sender, connection) = shaken.map_err(|cause| way(cause.to_string()))?;
    // It ends with the sender, or with what this function waits for.
    let driving = tokio::spawn(connection);
    let request = Request::builder()
        .method(Method::POST)
        .uri(&place.path)
        .header(HOST, format!("{}:{port}", place.name))
        .header(ACCEPT, "application/json, */*")
        .header(CONTENT_TYPE, "application/json")
        .header(USER_AGENT, "kube-apiserver-admission")
        .body(Full::new(body))
        .map_err(|cause| way(cause.to_string()))?;
    let answer = sender.send_request(request).await;
    let (head, body) = answer.map_err(|_| way("EOF".to_owned()))?.into_parts();
    let body = Limited::new(body, ANSWER_BYTES_MAX).collect().await;
    driving.abort();
    let body = body
        .map_err(|_| way("unexpected EOF".to_owned()))?
        .to_bytes();
    if head.status != StatusCode::OK {
        return Err(Trouble::Answer(unusable(head.status, &body)));
    }
    serde_json::from_slice(&body).map_err(|cause| Trouble::Answer(undecodable(&body, &cause)))
}

fn trusting(bundle: &Value) -> Result<ClientConfig, String> {
    let mut roots = RootCertStore::empty();
    let pem = STANDARD
        .decode(bundle.as_str().unwrap_or_default())
        .unwrap_or_default();
    for certificate in CertificateDer::pem_slice_iter(&pem).flatten() {
        roots.add(certificate).map_err(|cause| cause.to_string())?;
    }
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let config = ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .map_err(|cause| cause.to_string())?;
    Ok(config.with_root_certificates(roots).with_no_client_auth())
}

fn dialing(host: &str, port: u16, cause: &std::io::Error) -> String {
    let why = match cause.kind() {
        std::io::ErrorKind::ConnectionRefused => "connect: connection refused".to_owned(),
        std::io::ErrorKind::ConnectionReset => "connect: connection reset by peer".to_owned(),
        _ => return format!("dial tcp: lookup {host}: {cause}"),
    };
    format!("dial tcp {host}:{port}: {why}")
}

fn shaking_hands(cause: &std::io::Error) -> String {
    let inner = cause
        .get_ref()
        .and_then(|inner| inner.downcast_ref::<rustls::Error>());
    let fault = match inner {
        Some(rustls::Error::InvalidCertificate(fault)) => fault,
        _ if cause.kind() == std::io::ErrorKind::UnexpectedEof => return "EOF".to_owned(),
        _ => return format!("remote error: tls: {cause}"),
    };
    let why = match fault {
        rustls::CertificateError::UnknownIssuer | rustls::CertificateError::BadSignature => {
            "certificate signed by unknown authority"
        }
        rustls::CertificateError::Expired | rustls::CertificateError::ExpiredContext { .. } => {
            "certificate has expired or is not yet valid"
        }
        _ => return format!("tls: failed to verify certificate: x509: {fault}"),
    };
    format!("tls: failed to verify certificate: x509: {why}")
}

/// What a client of the real server says of an answer with a code that is no success.
fn unusable(code: StatusCode, body: &[u8]) -> String {
    let text = String::from_utf8_lossy(body);
    match code.as_u16() {
        401 => "the server has asked for the client to provide credentials".to_owned(),
        403 => text.into_owned(),
        404 => "the server could not find the requested resource".to_owned(),
        405 => "the server does not allow this method on the requested resource".to_owned(),
        500..=599 if code != StatusCode::SERVICE_UNAVAILABLE => format!(
            "an error on the server ({:?}) has prevented the request from succeeding",
            text.trim_end()
        ),
        503 => "the server is currently unable to handle the request".to_owned(),
        429 => "the server has received too many requests and has asked us to try again later"
            .to_owned(),
        _ => "the server rejected our request for an unknown reason".to_owned(),
    }
}

fn undecodable(body: &[u8], cause: &serde_json::Error) -> String {
    let text = String::from_utf8_lossy(body);
    tracing::debug!(%cause, "a webhook answered with what is no JSON");
    format!(
        "couldn't get version/kind; json parse error: invalid character {:?} looking for \
         beginning of value",
        text.chars().next().unwrap_or('\0')
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_url_is_taken_apart() {
        let place = of_url("https://127.0.0.1:8443/check", "timeout=5s").unwrap();
        assert_eq!(place.shown, "https://127.0.0.1:8443/check?timeout=5s");
        assert_eq!((place.host.as_str(), place.port), ("127.0.0.1", 8443));
        let place = of_url("https://[::1]/", "timeout=5s").unwrap();
        assert_eq!((place.host.as_str(), place.port), ("::1", 443));
        assert!(of_url("http://a/", "timeout=5s").is_err());
    }
}
