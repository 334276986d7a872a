//! What a server answered, and looking into it.

use http::HeaderMap;
use kube::client::Body;
use serde_json::{Value, json};

/// A whole answer.
pub(crate) struct Answer {
    pub(crate) status: u16,
    pub(crate) headers: HeaderMap,
    pub(crate) bytes: Vec<u8>,
    /// Null when the body is not JSON.
    pub(crate) body: Value,
    line: String,
}

impl Answer {
    pub(crate) async fn read(line: String, response: http::Response<Body>) -> Self {
        let (head, body) = response.into_parts();
        let bytes = body.collect_bytes().await.unwrap().to_vec();
        let body = serde_json::from_slice(&bytes).unwrap_or(Value::Null);
        Self {
            status: head.status.as_u16(),
            headers: head.headers,
            bytes,
            body,
            line,
        }
    }

    /// The body, when the status code is `code`.
    #[track_caller]
    pub(crate) fn is(self, code: u16) -> Value {
        assert_eq!(self.status, code, "{}: {}", self.line, self.text());
        self.body
    }

    /// The `Status`, when the request was refused with exactly this.
    #[track_caller]
    pub(crate) fn refused(self, code: u16, reason: &str, message: &str) -> Value {
        let line = self.line.clone();
        let status = self.refusal_of(code, reason);
        assert_eq!(status.text("/message"), message, "{line}");
        status
    }

    /// The same, when the message contains `part`.
    #[track_caller]
    pub(crate) fn refused_saying(self, code: u16, reason: &str, part: &str) -> Value {
        let line = self.line.clone();
        let status = self.refusal_of(code, reason);
        let message = status.text("/message");
        assert!(
            message.contains(part),
            "{line}: {message:?} does not say {part:?}"
        );
        status
    }

    /// The same, whatever it says.
    #[track_caller]
    pub(crate) fn refusal_of(self, code: u16, reason: &str) -> Value {
        let line = self.line.clone();
        let status = self.is(code);
        status.has(json!({"kind": "Status", "apiVersion": "v1", "metadata": {}, "code": code}));
        assert_eq!(status.text("/status"), "Failure", "{line}");
        assert_eq!(status.text("/reason"), reason, "{line}: {status:#}");
        status
    }

    pub(crate) fn text(&self) -> String {
        String::from_utf8_lossy(&self.bytes).into_owned()
    }

    pub(crate) fn header(&self, name: &str) -> &str {
        self.headers
            .get(name)
            .map_or("", |value| value.to_str().unwrap())
    }

    /// The warnings that came along, without code and agent.
    pub(crate) fn warnings(&self) -> Vec<String> {
        let all = self.headers.get_all("Warning").iter();
        all.map(|value| {
            let value = value.to_str().unwrap();
            let text = value.strip_prefix("299 - ").unwrap_or(value);
            let text = text
                .strip_prefix('"')
                .and_then(|text| text.strip_suffix('"'));
            text.unwrap_or_default()
                .replace("\\\"", "\"")
                .replace("\\\\", "\\")
        })
        .collect()
    }
}

/// Looking into a JSON value by pointer (RFC 6901).
pub(crate) trait Look {
    /// The value there, or null.
    fn at(&self, pointer: &str) -> &Value;

    /// The text there, or nothing.
    fn text(&self, pointer: &str) -> &str;

    /// The list there, or an empty one.
    fn list(&self, pointer: &str) -> &[Value];

    /// Asserts that all of `expected` is there: an object may hold more, a list may not. Null
    /// expects absence.
    fn has(&self, expected: Value);

    /// Each item's name, in order.
    fn names(&self) -> Vec<&str>;

    /// Who owns which fields: manager, operation, subresource (or nothing) and the fields.
    fn managed(&self) -> Vec<(&str, &str, &str, &Value)>;

    /// The condition of this type, or null.
    fn condition(&self, kind: &str) -> &Value;
}

impl Look for Value {
    fn at(&self, pointer: &str) -> &Value {
        self.pointer(pointer).unwrap_or(&Value::Null)
    }

    fn text(&self, pointer: &str) -> &str {
        self.at(pointer).as_str().unwrap_or_default()
    }

    fn list(&self, pointer: &str) -> &[Value] {
        self.at(pointer).as_array().map_or(&[], Vec::as_slice)
    }

    #[track_caller]
    fn has(&self, expected: Value) {
        if let Err(difference) = compare(self, &expected, "") {
            panic!("{difference}\nin {self:#}");
        }
    }

    fn names(&self) -> Vec<&str> {
        self.list("/items")
            .iter()
            .map(|item| item.text("/metadata/name"))
            .collect()
    }

    fn managed(&self) -> Vec<(&str, &str, &str, &Value)> {
        let entries = self.list("/metadata/managedFields").iter();
        entries
            .map(|entry| {
                let fields = entry.at("/fieldsV1");
                let subresource = entry.text("/subresource");
                (
                    entry.text("/manager"),
                    entry.text("/operation"),
                    subresource,
                    fields,
                )
            })
            .collect()
    }

    fn condition(&self, kind: &str) -> &Value {
        let mut conditions = self.list("/status/conditions").iter();
        conditions
            .find(|condition| condition.text("/type") == kind)
            .unwrap_or(&Value::Null)
    }
}

fn compare(value: &Value, expected: &Value, place: &str) -> Result<(), String> {
    match (value, expected) {
        (Value::Object(value), Value::Object(expected)) => {
            for (key, expected) in expected {
                let place = format!("{place}/{key}");
                compare(value.get(key).unwrap_or(&Value::Null), expected, &place)?;
            }
            Ok(())
        }
        (Value::Array(value), Value::Array(expected)) if value.len() == expected.len() => {
            let pairs = value.iter().zip(expected).enumerate();
            for (index, (value, expected)) in pairs {
                compare(value, expected, &format!("{place}/{index}"))?;
            }
            Ok(())
        }
        _ if value == expected => Ok(()),
        _ => Err(format!("at {place:?}: expected {expected}, found {value}")),
    }
}
