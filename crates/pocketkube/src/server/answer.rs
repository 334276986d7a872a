//! Answers: JSON bodies, gzip for large ones, warnings and the headers of the real server.

use crate::status::Status;
use axum::body::Body;
use axum::response::Response;
use bytes::Bytes;
use flate2::Compression;
use flate2::write::GzEncoder;
use http::header::{
    ACCEPT_ENCODING, CACHE_CONTROL, CONTENT_ENCODING, CONTENT_TYPE, RETRY_AFTER, USER_AGENT, VARY,
    WARNING,
};
use http::{HeaderMap, HeaderValue, StatusCode};
use serde_json::Value;
use std::io::Write;

/// Bodies from here on are compressed, as the real server does.
const GZIP_BYTES_MIN: usize = 128 * 1024;

/// An answer before it knows its client.
#[derive(Debug, Clone)]
pub(crate) struct Answer {
    /// HTTP status.
    pub(crate) code: u16,
    /// Media type of the body.
    pub(crate) media_type: &'static str,
    /// Body.
    pub(crate) body: Bytes,
    /// Texts of `Warning` headers.
    pub(crate) warnings: Vec<String>,
    /// Seconds of `Retry-After`; 0 is none.
    pub(crate) retry_after_secs: u32,
}

impl Answer {
    /// JSON that is encoded already.
    pub(crate) fn json(code: u16, body: Bytes) -> Self {
        Self {
            code,
            media_type: "application/json",
            body,
            warnings: Vec::new(),
            retry_after_secs: 0,
        }
    }

    /// A value as JSON.
    pub(crate) fn value(code: u16, value: &Value) -> Self {
        let body = serde_json::to_vec(value).expect("a JSON value encodes");
        Self::json(code, body.into())
    }

    /// Plain text.
    pub(crate) fn text(code: u16, text: impl Into<String>) -> Self {
        let mut answer = Self::json(code, Bytes::from(text.into()));
        answer.media_type = "text/plain; charset=utf-8";
        answer
    }

    /// The same answer with more warnings.
    #[must_use]
    pub(crate) fn with_warnings(mut self, warnings: impl IntoIterator<Item = String>) -> Self {
        self.warnings.extend(warnings);
        self
    }

    /// The answer in YAML.
    #[must_use]
    pub(crate) fn into_yaml(mut self) -> Self {
        if let Ok(value) = serde_json::from_slice::<Value>(&self.body)
            && let Ok(text) = serde_saphyr::to_string(&value)
        {
            self.body = text.into();
            self.media_type = "application/yaml";
        }
        self
    }

    /// The response for a client that sent `headers`.
    pub(crate) fn into_response(mut self, headers: &HeaderMap, pretty: &str) -> Response {
        if self.media_type == "application/json" && wants_pretty(headers, pretty) {
            self.indent();
        }
        let mut response = Response::builder()
            .status(StatusCode::from_u16(self.code).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR))
            .header(CONTENT_TYPE, self.media_type)
            .header(CACHE_CONTROL, "no-cache, private");
        for value in self.warnings.iter().filter_map(|text| warning(text)) {
            response = response.header(WARNING, value);
        }
        if self.retry_after_secs > 0 {
            response = response.header(RETRY_AFTER, self.retry_after_secs);
        }
        let body = if self.body.len() >= GZIP_BYTES_MIN && accepts_gzip(headers) {
            response = response
                .header(CONTENT_ENCODING, "gzip")
                .header(VARY, "Accept-Encoding");
            gzip(&self.body)
        } else {
            self.body
        };
        response
            .body(Body::from(body))
            .expect("headers are made of plain text")
    }

    fn indent(&mut self) {
        if let Ok(value) = serde_json::from_slice::<Value>(&self.body)
            && let Ok(text) = serde_json::to_vec_pretty(&value)
        {
            self.body = text.into();
        }
    }
}

impl From<Status> for Answer {
    fn from(status: Status) -> Self {
        let mut answer = Self::value(status.code, &status.to_value());
        answer.retry_after_secs = status.details.map_or(0, |details| details.retry_after_secs);
        answer
    }
}

/// The value of a `Warning` header (RFC 7234 section 5.5, code 299).
pub(crate) fn warning(text: &str) -> Option<HeaderValue> {
    let quoted = text
        .replace('\\', "\\\\")
        .replace('"', "\\\"")
        .replace('\n', " ");
    HeaderValue::from_bytes(format!("299 - \"{quoted}\"").as_bytes()).ok()
}

/// People who look with curl or a browser get lines.
fn wants_pretty(headers: &HeaderMap, asked: &str) -> bool {
    match asked {
        "" => {}
        "false" | "0" => return false,
        _ => return true,
    }
    let agent = headers
        .get(USER_AGENT)
        .and_then(|agent| agent.to_str().ok())
        .unwrap_or_default();
    ["curl", "Wget", "Mozilla/5.0"]
        .iter()
        .any(|start| agent.starts_with(start))
}

fn accepts_gzip(headers: &HeaderMap) -> bool {
    let accepted = headers
        .get(ACCEPT_ENCODING)
        .and_then(|accepted| accepted.to_str().ok());
    accepted
        .unwrap_or_default()
        .split(',')
        .any(|entry| entry.trim().starts_with("gzip"))
}

fn gzip(body: &[u8]) -> Bytes {
    let mut encoder = GzEncoder::new(Vec::with_capacity(body.len() / 4), Compression::fast());
    encoder
        .write_all(body)
        .expect("writing to memory does not fail");
    encoder
        .finish()
        .expect("writing to memory does not fail")
        .into()
}
