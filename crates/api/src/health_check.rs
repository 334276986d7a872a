//! How endpoints are probed: the schema, and the check as steering takes it.

use crate::{Error, config::duration_millis, schema};
use kube::core::Duration;
use model::{GrpcProbe, HttpProbe, HttpsProbe, PortProbe, ProbeKind, StatusRange};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use steering::HealthCheck;

/// How endpoints are probed: one of `http`, `https`, `tcp`, `grpc`, or none of them.
#[derive(JsonSchema, Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[schemars(extend("x-kubernetes-validations" = [{"rule": "[has(self.http), has(self.https), has(self.tcp), has(self.grpc)].filter(given, given).size() <= 1", "message": "give at most one of http, https, tcp, grpc"}]))]
pub struct HealthCheckSpec {
    /// GET over plain HTTP.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub http: Option<HttpCheck>,
    /// GET over HTTPS.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub https: Option<HttpsCheck>,
    /// A TCP connection.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub tcp: Option<TcpCheck>,
    /// A call of the gRPC health service, over plain HTTP/2.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub grpc: Option<GrpcCheck>,
    /// Between the beginnings of two probes; 5s when absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(schema_with = "schema::duration")]
    pub interval: Option<Duration>,
    /// Until a probe without answer has failed; 2s when absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(schema_with = "schema::duration")]
    pub timeout: Option<Duration>,
    /// Successes in a row that bring an endpoint up; 2 when absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 1, max = 100))]
    pub up: Option<i32>,
    /// Failures in a row that take it down; 3 when absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 1, max = 100))]
    pub down: Option<i32>,
}

/// An HTTP request and what its answer must be.
#[derive(JsonSchema, Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct HttpCheck {
    /// The port.
    #[schemars(range(min = 1, max = 65535))]
    pub port: i32,
    /// The path with its query; `/` when absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 1024), regex(pattern = "^/"))]
    pub path: Option<String>,
    /// The Host header and, over HTTPS, the server's name; the target when absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 253))]
    pub host: Option<String>,
    /// What the answer must be.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub expect: Option<HttpExpectation>,
}

/// The same over TLS. No certificate is refused for who signed it: a probe tells whether an endpoint
/// answers.
#[derive(JsonSchema, Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct HttpsCheck {
    /// The request.
    #[serde(flatten)]
    pub http: HttpCheck,
    /// The handshake.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub tls: Option<TlsCheck>,
}

/// What the handshake must be.
#[derive(JsonSchema, Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct TlsCheck {
    /// The server's name; `host` when absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 253))]
    pub server_name: Option<String>,
    /// Days that the certificate must still be valid; not looked at when absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 0, max = 3650))]
    pub min_days_left: Option<i32>,
}

/// What an HTTP answer must be.
#[derive(JsonSchema, Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct HttpExpectation {
    /// Statuses, `204` or `200-399`; 200-399 when absent.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(
        length(max = 32),
        inner(
            length(max = 7),
            regex(pattern = "^[1-5][0-9][0-9](-[1-5][0-9][0-9])?$")
        )
    )]
    pub status: Vec<String>,
    /// Text that the first 5,120 bytes of the body must hold.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 255))]
    pub body: Option<String>,
}

/// A TCP connection.
#[derive(JsonSchema, Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct TcpCheck {
    /// The port.
    #[schemars(range(min = 1, max = 65535))]
    pub port: i32,
}

/// A call of `grpc.health.v1.Health/Check`.
#[derive(JsonSchema, Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct GrpcCheck {
    /// The port.
    #[schemars(range(min = 1, max = 65535))]
    pub port: i32,
    /// The service that is asked for; the server as a whole when absent.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    #[schemars(length(max = 253))]
    pub service: String,
}

impl HealthCheckSpec {
    pub(crate) fn read(&self, path: &str) -> Result<HealthCheck, Error> {
        let usual = HealthCheck::default();
        let probe = match (&self.http, &self.https, &self.tcp, &self.grpc) {
            (Some(http), ..) => Some(ProbeKind::Http(http.read(&format!("{path}.http"))?)),
            (_, Some(https), ..) => Some(ProbeKind::Https(https.read(&format!("{path}.https"))?)),
            (_, _, Some(tcp), _) => Some(ProbeKind::Tcp(PortProbe {
                port: port(tcp.port, &format!("{path}.tcp.port"))?,
            })),
            (.., Some(grpc)) => Some(ProbeKind::Grpc(GrpcProbe {
                port: port(grpc.port, &format!("{path}.grpc.port"))?,
                service: grpc.service.clone(),
            })),
            (None, None, None, None) => None,
        };
        let interval = duration_millis(self.interval.as_ref(), &format!("{path}.interval"))?;
        let timeout = duration_millis(self.timeout.as_ref(), &format!("{path}.timeout"))?;
        let count = |given: Option<i32>, usual: u32| {
            given
                .and_then(|count| u32::try_from(count).ok())
                .unwrap_or(usual)
                .max(1)
        };
        let interval_millis = interval.unwrap_or(usual.interval_millis);
        if interval_millis < 100 {
            return Err(Error::invalid(format!("{path}.interval"), "at least 100ms"));
        }
        Ok(HealthCheck {
            probe,
            interval_millis,
            timeout_millis: timeout.unwrap_or(usual.timeout_millis).max(1),
            up: count(self.up, usual.up),
            down: count(self.down, usual.down),
        })
    }
}

impl HttpCheck {
    fn read(&self, path: &str) -> Result<HttpProbe, Error> {
        let expect = self.expect.clone().unwrap_or_default();
        Ok(HttpProbe {
            port: port(self.port, &format!("{path}.port"))?,
            path: self.path.clone().unwrap_or_else(|| "/".into()),
            host: self.host.clone(),
            expect_status: expect.read(path)?,
            expect_body: expect.body,
        })
    }
}

impl HttpsCheck {
    fn read(&self, path: &str) -> Result<HttpsProbe, Error> {
        let tls = self.tls.clone().unwrap_or_default();
        let days = tls.min_days_left.map(u32::try_from).transpose();
        let days = days.map_err(|_| {
            Error::invalid(
                format!("{path}.tls.minDaysLeft"),
                "a number of days, 0 or more",
            )
        })?;
        Ok(HttpsProbe {
            http: self.http.read(path)?,
            server_name: tls.server_name,
            min_days_left: days,
        })
    }
}

impl HttpExpectation {
    pub(crate) fn read(&self, path: &str) -> Result<Vec<StatusRange>, Error> {
        let mut ranges = Vec::with_capacity(self.status.len());
        for (i, text) in self.status.iter().enumerate() {
            let (from, to) = text.split_once('-').unwrap_or((text, text));
            let range = from
                .parse()
                .ok()
                .zip(to.parse().ok())
                .filter(|(from, to)| from <= to);
            let (from, to) = range.ok_or_else(|| {
                let message = format!("{text:?} is not a status such as 204 or 200-399");
                Error::invalid(format!("{path}.expect.status[{i}]"), message)
            })?;
            ranges.push(StatusRange { from, to });
        }
        Ok(ranges)
    }
}

pub(crate) fn port(number: i32, path: &str) -> Result<u16, Error> {
    u16::try_from(number)
        .ok()
        .filter(|port| *port > 0)
        .ok_or_else(|| Error::invalid(path, format!("{number} is not a port; 1 to 65535 are")))
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::{Value, from_value, json};

    fn read(check: Value) -> Result<HealthCheck, Error> {
        from_value::<HealthCheckSpec>(check)
            .unwrap()
            .read("spec.healthCheck")
    }

    #[test]
    fn every_kind_of_check_reads() {
        let https = read(json!({"https": {"port": 443, "host": "shop.example.org",
            "tls": {"serverName": "front.example.org", "minDaysLeft": 14}}}));
        let Ok(Some(ProbeKind::Https(https))) = https.map(|check| check.probe) else {
            panic!("it is HTTPS");
        };
        assert_eq!(https.min_days_left, Some(14));
        assert_eq!(https.server_name.as_deref(), Some("front.example.org"));
        let grpc = read(json!({"grpc": {"port": 9000}})).unwrap();
        assert!(matches!(grpc.probe, Some(ProbeKind::Grpc(probe)) if probe.service.is_empty()));
        let wrong = read(json!({"http": {"port": 80, "expect": {"status": ["399-200"]}}}));
        let message = wrong.unwrap_err().to_string();
        assert!(
            message.starts_with("spec.healthCheck.http.expect.status[0]"),
            "{message}"
        );
    }
}
