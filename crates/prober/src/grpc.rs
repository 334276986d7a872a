//! `grpc.health.v1.Health/Check` over plain HTTP/2, written out: the two messages have one field each.
//!
//! gRPC Health Checking Protocol; a message on the wire is a flag, a length of four bytes and protobuf.

use crate::check::from_hyper;
use http::{HeaderMap, Request, header};
use http_body_util::{BodyExt, Full, Limited};
use hyper::body::Bytes;
use hyper_util::rt::{TokioExecutor, TokioIo};
use model::{GrpcProbe, ProbeFailure};
use tokio::net::TcpStream;

/// Who asks.
const USER_AGENT: &str = concat!("grpc-meridian-prober/", env!("CARGO_PKG_VERSION"));
/// An answer has five bytes and two more.
const ANSWER_BYTES_MAX: usize = 4_096;
/// `HealthCheckResponse.ServingStatus`.
const SERVING: u64 = 1;

pub(crate) async fn check(
    stream: TcpStream,
    probe: &GrpcProbe,
    authority: &str,
) -> Result<(), ProbeFailure> {
    let builder = hyper::client::conn::http2::Builder::new(TokioExecutor::new());
    let (mut sender, connection) = builder
        .handshake(TokioIo::new(stream))
        .await
        .map_err(|why| from_hyper(&why))?;
    // It ends with this function: the handle is aborted when it is dropped.
    let driven = tokio::spawn(connection);
    let _guard = AbortOnDrop(driven.abort_handle());
    let request = Request::post(format!("http://{authority}/grpc.health.v1.Health/Check"))
        .header(header::CONTENT_TYPE, "application/grpc")
        .header(header::TE, "trailers")
        .header(header::USER_AGENT, USER_AGENT)
        .body(Full::new(Bytes::from(question(&probe.service))))
        .map_err(|why| ProbeFailure::Other(why.to_string()))?;
    let answer = sender
        .send_request(request)
        .await
        .map_err(|why| from_hyper(&why))?;
    if answer.status() != http::StatusCode::OK {
        return Err(ProbeFailure::Status(answer.status().as_u16()));
    }
    // An error may come without a body: then the status is among the headers.
    refused(answer.headers())?;
    let body = Limited::new(answer.into_body(), ANSWER_BYTES_MAX)
        .collect()
        .await;
    let body = body.map_err(|why| ProbeFailure::Other(why.to_string()))?;
    if let Some(trailers) = body.trailers() {
        refused(trailers)?;
    }
    match status(&body.to_bytes()) {
        Some(SERVING) => Ok(()),
        Some(0) | None => Err(ProbeFailure::NotServing("UNKNOWN".into())),
        Some(2) => Err(ProbeFailure::NotServing("NOT_SERVING".into())),
        Some(3) => Err(ProbeFailure::NotServing("SERVICE_UNKNOWN".into())),
        Some(other) => Err(ProbeFailure::NotServing(format!("status {other}"))),
    }
}

struct AbortOnDrop(tokio::task::AbortHandle);

impl Drop for AbortOnDrop {
    fn drop(&mut self) {
        self.0.abort();
    }
}

/// What `grpc-status` says, when it is no success.
fn refused(headers: &HeaderMap) -> Result<(), ProbeFailure> {
    let text = |name: &str| {
        let value = headers.get(name)?.to_str().ok()?;
        Some(value.to_owned())
    };
    match text("grpc-status") {
        None => Ok(()),
        Some(code) if code == "0" => Ok(()),
        Some(code) => {
            let why = text("grpc-message").unwrap_or_default();
            let code = match code.as_str() {
                "5" => "NOT_FOUND".to_owned(),
                "12" => "UNIMPLEMENTED".to_owned(),
                "14" => "UNAVAILABLE".to_owned(),
                other => format!("code {other}"),
            };
            let text = format!("{code} {why}");
            Err(ProbeFailure::NotServing(text.trim_end().to_owned()))
        }
    }
}

/// `HealthCheckRequest { string service = 1; }` behind its prefix.
fn question(service: &str) -> Vec<u8> {
    let mut message = Vec::new();
    if !service.is_empty() {
        message.push(0x0a);
        let mut length = service.len();
        while length >= 0x80 {
            message.push((length & 0x7f) as u8 | 0x80);
            length >>= 7;
        }
        message.push(length as u8);
        message.extend_from_slice(service.as_bytes());
    }
    let length = u32::try_from(message.len()).unwrap_or(u32::MAX);
    let mut framed = vec![0];
    framed.extend_from_slice(&length.to_be_bytes());
    framed.append(&mut message);
    framed
}

/// The first field of a `HealthCheckResponse`; an empty message says UNKNOWN.
fn status(framed: &[u8]) -> Option<u64> {
    let message = framed.get(5..)?;
    let Some((&tag, rest)) = message.split_first() else {
        return Some(0);
    };
    let mut number = 0_u64;
    for (at, byte) in rest.iter().enumerate().take(9) {
        number |= u64::from(byte & 0x7f) << (7 * at);
        if byte & 0x80 == 0 {
            return (tag == 0x08).then_some(number);
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;
    use http::Response;
    use http_body_util::StreamBody;
    use hyper::body::{Frame, Incoming};
    use hyper::service::service_fn;
    use std::convert::Infallible;
    use tokio::net::TcpListener;

    /// A server that knows one service, and says this of it.
    async fn serve(said: u8) -> u16 {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
        let port = listener.local_addr().expect("bound").port();
        let answer = move |request: Request<Incoming>| async move {
            assert_eq!(request.uri().path(), "/grpc.health.v1.Health/Check");
            assert_eq!(request.headers()[header::CONTENT_TYPE], "application/grpc");
            let asked = request
                .into_body()
                .collect()
                .await
                .expect("a body")
                .to_bytes();
            let known = asked[..] == question("shop") || asked[..] == question("");
            let mut trailers = HeaderMap::new();
            let status = if known { "0" } else { "5" };
            trailers.insert("grpc-status", status.parse().expect("a value"));
            let message = Bytes::from(vec![0, 0, 0, 0, 2, 0x08, said]);
            let frames = known.then(|| Ok(Frame::data(message))).into_iter();
            let frames: Vec<Result<_, Infallible>> =
                frames.chain([Ok(Frame::trailers(trailers))]).collect();
            let body = StreamBody::new(futures::stream::iter(frames));
            Ok::<_, Infallible>(Response::new(body))
        };
        tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                let server = hyper::server::conn::http2::Builder::new(TokioExecutor::new());
                tokio::spawn(server.serve_connection(TokioIo::new(stream), service_fn(answer)));
            }
        });
        port
    }

    async fn ask(port: u16, service: &str) -> Result<(), ProbeFailure> {
        let stream = TcpStream::connect(("127.0.0.1", port))
            .await
            .expect("it listens");
        let probe = GrpcProbe {
            port,
            service: service.into(),
        };
        check(stream, &probe, "127.0.0.1").await
    }

    #[tokio::test]
    async fn serving_is_healthy_and_everything_else_says_what_it_is() {
        let port = serve(1).await;
        assert_eq!(ask(port, "").await, Ok(()));
        assert_eq!(ask(port, "shop").await, Ok(()));
        let unknown = ask(port, "other").await;
        assert_eq!(unknown, Err(ProbeFailure::NotServing("NOT_FOUND".into())));
        let port = serve(2).await;
        let ill = ask(port, "shop").await;
        assert_eq!(ill, Err(ProbeFailure::NotServing("NOT_SERVING".into())));
    }

    #[test]
    fn messages_are_framed_and_long_names_have_long_lengths() {
        assert_eq!(question(""), [0, 0, 0, 0, 0]);
        assert_eq!(question("ab"), [0, 0, 0, 0, 4, 0x0a, 2, b'a', b'b']);
        let long = question(&"x".repeat(200));
        assert_eq!(&long[..8], [0, 0, 0, 0, 203, 0x0a, 0xc8, 0x01]);
        assert_eq!(status(&[0, 0, 0, 0, 0]), Some(0));
        assert_eq!(status(&[0, 0, 0, 0, 2, 8, 1]), Some(1));
        assert_eq!(status(&[0, 0]), None);
    }
}
