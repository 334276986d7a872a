//! Faults as people type them.
//!
//! | typed | sent |
//! |---|---|
//! | `clear` | no faults, and no rules |
//! | `compact` | that all events are forgotten |
//! | `rules=FILE` | the rules in a file: faults of single requests and watch events, by verb and seed |
//! | `api=down` | `{"api": "down"}` |
//! | `api=429` | `{"api": "tooManyRequests"}` |
//! | `api=slow=200ms` | `{"api": "slow", "delayMillis": 200}` |
//! | `data-plane=hung` | `{"dataPlane": "hung"}` |
//! | `nodes.node-1=down` | `{"nodes": {"node-1": "down"}}` |
//! | `some-number=3` | `{"someNumber": 3}` |
//! | `some.part=true` | `{"some": {"part": true}}` |
//!
//! The names are the server's, which says which there are.

use anyhow::{Context, Result, bail, ensure};
use serde_json::{Map, Value, json};
use std::path::PathBuf;

/// The field of the faults of single nodes.
const NODES: &str = "nodes";

/// What is to become of a cluster's faults.
#[derive(Debug, PartialEq)]
pub(super) enum Wanted {
    /// There are none.
    Clear,
    /// Watches that resume are told that their version is gone.
    Compact,
    /// Single requests and watch events are struck by the rules of a file.
    Rules(PathBuf),
    /// Those that are named change (a merge patch).
    Change(Value),
}

/// Reads what was typed.
pub(super) fn parse(words: &[String]) -> Result<Wanted> {
    for word in words {
        let wanted = match (word.as_str(), word.split_once('=')) {
            ("clear", _) => Wanted::Clear,
            ("compact", _) => Wanted::Compact,
            (_, Some(("rules", file))) => Wanted::Rules(file.into()),
            _ => continue,
        };
        ensure!(words.len() == 1, "{word:?} has to be said alone");
        return Ok(wanted);
    }
    let mut change = Map::new();
    for word in words {
        let Some((field, value)) = word.split_once('=') else {
            bail!("{word:?} is no fault; say for instance api=down, data-plane=hung, or clear");
        };
        match value.split_once('=') {
            Some((state, delay)) => {
                set(&mut change, field, camel(state).into());
                set(&mut change, "delay-millis", millis(delay)?.into());
            }
            None => set(&mut change, field, scalar(field, value)),
        }
    }
    Ok(Wanted::Change(change.into()))
}

/// Sets a field, whose name may lead through others.
fn set(object: &mut Map<String, Value>, field: &str, value: Value) {
    let Some((first, rest)) = field.split_once('.') else {
        object.insert(camel(field), value);
        return;
    };
    let inner = object.entry(camel(first)).or_insert_with(|| json!({}));
    match inner.as_object_mut() {
        // What follows is a node's name, with its own dots and hyphens.
        Some(inner) if first == NODES => drop(inner.insert(rest.to_owned(), value)),
        Some(inner) => set(inner, rest, value),
        None => {}
    }
}

fn scalar(field: &str, value: &str) -> Value {
    match (field, value) {
        ("api", "429") => "tooManyRequests".into(),
        ("api", _) => camel(value).into(),
        _ => match serde_json::from_str(value) {
            Ok(plain @ (Value::Null | Value::Bool(_) | Value::Number(_))) => plain,
            _ => camel(value).into(),
        },
    }
}

/// `too-many-requests` as the server writes it.
fn camel(name: &str) -> String {
    let mut parts = name.split('-');
    let first = parts.next().unwrap_or_default().to_owned();
    parts.fold(first, |start, part| {
        let mut letters = part.chars();
        let head = letters.next().map(|letter| letter.to_ascii_uppercase());
        start + &head.into_iter().chain(letters).collect::<String>()
    })
}

/// `200ms` or `2s`.
fn millis(text: &str) -> Result<u64> {
    let number = |text: &str| text.parse::<u64>().ok();
    let found = match text.strip_suffix("ms") {
        Some(millis) => number(millis),
        None => text
            .strip_suffix('s')
            .and_then(number)
            .and_then(|seconds| seconds.checked_mul(1_000)),
    };
    found.with_context(|| format!("{text:?} is no delay; say for instance 200ms or 2s"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parsed(words: &str) -> Result<Wanted> {
        let words: Vec<String> = words.split(' ').map(str::to_owned).collect();
        parse(&words)
    }

    #[test]
    fn faults_are_read_as_documented() {
        for (typed, sent) in [
            ("api=down", json!({"api": "down"})),
            ("api=429", json!({"api": "tooManyRequests"})),
            ("api=too-many-requests", json!({"api": "tooManyRequests"})),
            ("api=slow=200ms", json!({"api": "slow", "delayMillis": 200})),
            (
                "api=slow=2s data-plane=down",
                json!({
                    "api": "slow", "delayMillis": 2_000, "dataPlane": "down",
                }),
            ),
            (
                "nodes.ip-10.0.0.1=down nodes.node-2=up",
                json!({"nodes": {"ip-10.0.0.1": "down", "node-2": "up"}}),
            ),
            ("some-number=3", json!({"someNumber": 3})),
            (
                "some.part=true some.other=x",
                json!({"some": {"part": true, "other": "x"}}),
            ),
        ] {
            assert_eq!(parsed(typed).unwrap(), Wanted::Change(sent), "{typed}");
        }
        assert_eq!(parsed("clear").unwrap(), Wanted::Clear);
        assert_eq!(parsed("compact").unwrap(), Wanted::Compact);
        let rules = Wanted::Rules("storm.json".into());
        assert_eq!(parsed("rules=storm.json").unwrap(), rules);
    }

    #[test]
    fn what_is_no_fault_is_refused_with_an_example() {
        for (typed, says) in [
            ("down", "api=down"),
            ("api=slow=soon", "200ms"),
            ("api=slow=99999999999999999999s", "200ms"),
            ("clear api=down", "alone"),
            ("api=down rules=storm.json", "alone"),
        ] {
            let why = parsed(typed).unwrap_err().to_string();
            assert!(why.contains(says), "{typed}: {why}");
        }
    }
}
