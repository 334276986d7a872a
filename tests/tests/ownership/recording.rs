//! Sequences and what was answered, as files.

use std::collections::BTreeMap;
use std::io::{Read as _, Write as _};
use std::path::{Path, PathBuf};

use flate2::Compression;
use flate2::read::GzDecoder;
use flate2::write::GzEncoder;
use serde::{Deserialize, Serialize};
use serde_json::Value;

/// The kinds that sequences are about; each has a file.
pub(crate) const KINDS: [&str; 4] = ["configmap", "deployment", "service", "thing"];

/// Writes to one object, and what was answered to each.
#[derive(Serialize, Deserialize)]
pub(crate) struct Sequence {
    pub(crate) name: String,
    pub(crate) steps: Vec<Step>,
    pub(crate) answers: Vec<Answer>,
}

/// One write.
#[derive(Clone, Serialize, Deserialize)]
pub(crate) struct Step {
    pub(crate) verb: Verb,
    /// Below the namespace: `configmaps/a?fieldManager=b`, after a group and version, if it has one.
    pub(crate) path: String,
    /// Of an [`Verb::Update`], a merge patch that the client makes on what it has read.
    pub(crate) body: Value,
}

#[derive(Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) enum Verb {
    Create,
    /// Reads, changes and puts back.
    Update,
    Apply,
    Json,
    Merge,
    Strategic,
    Delete,
}

/// What a server said, and what it then had.
#[derive(Clone, Serialize, Deserialize)]
pub(crate) struct Answer {
    pub(crate) code: u16,
    /// The reason and message of an error; else the object of the answer, unless it is as stored.
    pub(crate) said: Value,
    /// The object, or null when there is none.
    pub(crate) stored: Value,
}

impl Step {
    /// For messages.
    pub(crate) fn line(&self) -> String {
        let verb = match self.verb {
            Verb::Create => "create",
            Verb::Update => "update",
            Verb::Apply => "apply",
            Verb::Json => "JSON patch",
            Verb::Merge => "merge patch",
            Verb::Strategic => "strategic patch",
            Verb::Delete => "delete",
        };
        format!("{verb} {} {}", self.path, self.body)
    }
}

/// All sequences whose names have one of `words`.
pub(crate) fn all(words: &[&str]) -> Vec<Sequence> {
    let mut sequences = Vec::new();
    for kind in KINDS {
        let packed = std::fs::read(file(kind)).expect("each kind is recorded");
        let mut text = String::new();
        let read = GzDecoder::new(packed.as_slice()).read_to_string(&mut text);
        read.expect("recordings are gzip of text");
        let parsed = text
            .lines()
            .map(|line| serde_json::from_str::<Sequence>(line).expect("a sequence a line"));
        sequences.extend(parsed);
    }
    let chosen = |name: &str| words.is_empty() || words.iter().any(|word| name.contains(word));
    sequences.retain(|sequence| chosen(&sequence.name));
    sequences
}

/// Sequences that may differ, and why.
pub(crate) fn reasons() -> BTreeMap<String, String> {
    let text = std::fs::read_to_string(folder().join("differences"));
    let text = text.expect("the differences are in the repository");
    let lines = text.lines().filter(|line| !line.starts_with('#'));
    lines
        .filter_map(|line| line.split_once(": "))
        .map(|(name, reason)| (name.to_owned(), reason.to_owned()))
        .collect()
}

/// Writes the sequences of a kind.
pub(crate) fn write(kind: &str, sequences: &[Sequence]) {
    let mut packer = GzEncoder::new(Vec::new(), Compression::best());
    for sequence in sequences {
        let line = serde_json::to_string(sequence).expect("sequences are JSON");
        writeln!(packer, "{line}").expect("memory takes all");
    }
    let packed = packer.finish().expect("memory takes all");
    std::fs::write(file(kind), packed).expect("the repository can be written");
}

fn file(kind: &str) -> PathBuf {
    folder().join(format!("{kind}.jsonl.gz"))
}

fn folder() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("ownership")
}

/// What `found` has otherwise than `expected`, field by field.
pub(crate) fn differences(expected: &Answer, found: &Answer) -> Vec<String> {
    let mut lines = Vec::new();
    if expected.code != found.code {
        lines.push(format!("code {}, expected {}", found.code, expected.code));
    }
    compare("said", &expected.said, &found.said, &mut lines);
    compare("stored", &expected.stored, &found.stored, &mut lines);
    lines
}

fn compare(path: &str, expected: &Value, found: &Value, lines: &mut Vec<String>) {
    match (expected, found) {
        (Value::Object(left), Value::Object(right)) => {
            for (name, value) in left {
                let other = right.get(name).unwrap_or(&Value::Null);
                compare(&format!("{path}.{name}"), value, other, lines);
            }
            for (name, value) in right.iter().filter(|(name, _)| !left.contains_key(*name)) {
                lines.push(format!("{path}.{name}: {value}, expected nothing"));
            }
        }
        (Value::Array(left), Value::Array(right)) if left.len() == right.len() => {
            for (number, (value, other)) in left.iter().zip(right).enumerate() {
                compare(&format!("{path}[{number}]"), value, other, lines);
            }
        }
        _ if expected == found => {}
        _ => lines.push(format!("{path}: {found}, expected {expected}")),
    }
}
