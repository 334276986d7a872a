//! What two servers may say differently. Times and versions become the number of the write that
//! made them, so that a write which changes nothing must change neither.

use std::collections::BTreeMap;

use serde_json::{Value, json};

/// What was seen while a sequence was played.
#[derive(Default)]
pub(crate) struct Seen {
    /// The second of each write, as the API writes it.
    pub(crate) seconds: Vec<String>,
    /// Of each version, the write after which it was there.
    versions: BTreeMap<String, usize>,
    /// Uids, addresses and ports that the server gave.
    given: BTreeMap<String, &'static str>,
}

impl Seen {
    /// Notes what `object` has been given by the server.
    pub(crate) fn note(&mut self, object: &Value) {
        let number = self.seconds.len();
        let metadata = &object["metadata"];
        if let Some(version) = metadata["resourceVersion"].as_str() {
            self.versions.entry(version.to_owned()).or_insert(number);
        }
        if let Some(uid) = metadata["uid"].as_str() {
            self.given.insert(uid.to_owned(), "UID");
        }
        let addresses = object["spec"]["clusterIPs"].as_array();
        for address in addresses.into_iter().flatten().filter_map(Value::as_str) {
            if address.contains('.') {
                self.given.insert(address.to_owned(), "ADDRESS");
            }
        }
        for port in object["spec"]["ports"].as_array().into_iter().flatten() {
            if let Some(port) = port["nodePort"].as_u64() {
                self.given.insert(port.to_string(), "PORT");
            }
        }
    }

    /// The first version of the object, for a write that comes too late.
    pub(crate) fn first_version(&self) -> Option<&str> {
        let first = self.versions.iter().min_by_key(|(_, number)| **number);
        first.map(|(version, _)| version.as_str())
    }

    /// `value` with what was given masked.
    pub(crate) fn mask(&self, value: &Value) -> Value {
        match value {
            Value::Object(fields) => {
                let masked = fields.iter().map(|(name, value)| {
                    let value = match name.as_str() {
                        "resourceVersion" => self.version(value),
                        "nodePort" => json!("PORT"),
                        _ => self.mask(value),
                    };
                    (name.clone(), value)
                });
                Value::Object(masked.collect())
            }
            Value::Array(elements) => elements.iter().map(|one| self.mask(one)).collect(),
            Value::String(text) => json!(self.text(text)),
            other => other.clone(),
        }
    }

    fn version(&self, value: &Value) -> Value {
        let version = value.as_str().unwrap_or_default();
        match self.versions.get(version) {
            Some(number) => json!(format!("version {number}")),
            None => json!("version"),
        }
    }

    fn text(&self, text: &str) -> String {
        let mut text = text.to_owned();
        for (number, second) in self.seconds.iter().enumerate() {
            text = text.replace(second, &format!("second {}", number + 1));
        }
        for version in self.versions.keys() {
            let quoted = |version: &str| format!("\"resourceVersion\":\"{version}\"");
            text = text.replace(&quoted(version), &quoted("version"));
        }
        for (given, mask) in &self.given {
            text = text.replace(given, mask);
        }
        text
    }
}
