//! What is probed, how, and what came of it.

use crate::{EndpointId, Target};
use serde::{Deserialize, Serialize};

/// One probe to run on a schedule.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Probe {
    /// Whose verdict the result feeds.
    pub endpoint: EndpointId,
    /// Where to connect: the endpoint's target.
    pub target: Target,
    /// What to do there.
    pub kind: ProbeKind,
    /// How often, and how long to wait.
    pub schedule: ProbeSchedule,
}

/// Times of a probe.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ProbeSchedule {
    /// Milliseconds between the beginnings of two probes.
    pub interval_millis: u64,
    /// Milliseconds until a probe that got no answer has failed.
    pub timeout_millis: u64,
}

/// What a probe does.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum ProbeKind {
    /// GET over plain HTTP.
    Http(HttpProbe),
    /// GET over HTTPS.
    Https(HttpsProbe),
    /// A TCP connection that is accepted.
    Tcp(PortProbe),
    /// A call of the gRPC health service (grpc.health.v1), over plain HTTP/2.
    Grpc(GrpcProbe),
}

/// A port to connect to.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct PortProbe {
    /// The port.
    pub port: u16,
}

/// An HTTP request and what its answer must be.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct HttpProbe {
    /// The port.
    pub port: u16,
    /// The path with its query, beginning with `/`.
    pub path: String,
    /// The Host header and, over HTTPS, the server's name; the target when absent.
    pub host: Option<String>,
    /// Statuses that count as healthy; empty means 200 to 399.
    pub expect_status: Vec<StatusRange>,
    /// Text that the first 5,120 bytes of the body must hold (Route 53's limit).
    pub expect_body: Option<String>,
}

/// An HTTP request over TLS.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct HttpsProbe {
    /// The request and what its answer must be.
    #[serde(flatten)]
    pub http: HttpProbe,
    /// The server's name in the handshake; the host when absent.
    #[serde(default)]
    pub server_name: Option<String>,
    /// Days that the certificate must still be valid; absent, any will do.
    #[serde(default)]
    pub min_days_left: Option<u32>,
}

/// A call of `grpc.health.v1.Health/Check`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct GrpcProbe {
    /// The port.
    pub port: u16,
    /// The service that is asked for; empty is the server as a whole.
    pub service: String,
}

/// An inclusive range of HTTP statuses.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct StatusRange {
    /// The lowest.
    pub from: u16,
    /// The highest.
    pub to: u16,
}

/// What one probe found.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ProbeResult {
    /// Whose.
    pub endpoint: EndpointId,
    /// `None` is success.
    pub failure: Option<ProbeFailure>,
    /// How long it took, in milliseconds.
    pub took_millis: u64,
}

/// Why a probe failed. Timeouts and refusals are told apart: only a timeout can mean "too busy".
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum ProbeFailure {
    /// No answer in time.
    Timeout,
    /// The connection was refused or reset.
    Refused,
    /// The network says there is no way.
    Unreachable(String),
    /// TLS failed.
    Tls(String),
    /// The HTTP status is not one of the expected.
    Status(u16),
    /// The body lacks the expected text.
    Body,
    /// A hostname that does not resolve.
    Name(String),
    /// The certificate is not valid for as long as it must be; days, less than 0 when it is over.
    Expires(i64),
    /// The gRPC health service says something else than SERVING.
    NotServing(String),
    /// Anything else, in words.
    Other(String),
}

impl std::fmt::Display for ProbeFailure {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Timeout => f.write_str("no answer in time"),
            Self::Refused => f.write_str("connection refused"),
            Self::Unreachable(why) => write!(f, "unreachable: {why}"),
            Self::Tls(why) => write!(f, "TLS failed: {why}"),
            Self::Status(status) => write!(f, "HTTP status {status}"),
            Self::Body => f.write_str("the expected text is not in the body"),
            Self::Name(why) => write!(f, "the hostname does not resolve: {why}"),
            Self::Expires(days) if *days < 0 => f.write_str("the certificate has expired"),
            Self::Expires(days) => write!(f, "the certificate expires in {days} days"),
            Self::NotServing(said) => write!(f, "gRPC health: {said}"),
            Self::Other(why) => f.write_str(why),
        }
    }
}

/// Up, down or not known, of an endpoint or a data plane.
#[derive(
    Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize,
)]
pub enum Verdict {
    /// It answers.
    Up,
    /// It does not.
    Down,
    /// Nobody can say.
    #[default]
    Unknown,
}
