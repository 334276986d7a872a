//! Evidence: a file with one line of JSON per step, each chained to the one before by a hash, so that
//! no line can be changed, taken out or put in unnoticed. The hash is of the line's own bytes without
//! its hash, the last field: numbers that are read and written again may look different.

use anyhow::{Context, Result, ensure};
use k8s_openapi::jiff::Timestamp;
use serde_json::{Value, json};
use sha2::{Digest, Sha256};
use std::fs::{File, OpenOptions};
use std::io::Write;
use std::path::Path;

/// Before and after the hash of a line.
const HASH: &str = ",\"hash\":\"";
const END: &str = "\"}";

/// A file that is being written.
pub(super) struct Evidence {
    file: File,
    who: String,
    sequence: u64,
    previous: String,
}

impl Evidence {
    /// Begins a file that is not there yet.
    pub(super) fn begin(path: &Path, who: &str) -> Result<Self> {
        let file = OpenOptions::new().write(true).create_new(true).open(path);
        let file = file.with_context(|| format!("--evidence {}", path.display()))?;
        Ok(Self {
            file,
            who: who.to_owned(),
            sequence: 0,
            previous: String::new(),
        })
    }

    /// Writes down a step, and has it on the disk before the next one.
    pub(super) fn note(&mut self, step: &str, detail: Value) -> Result<()> {
        let entry = json!({
            "sequence": self.sequence, "at": Timestamp::now().to_string(), "who": self.who,
            "step": step, "detail": detail, "previous": self.previous,
        });
        let entry = entry.to_string();
        let hash = digest(&entry);
        let open = entry.strip_suffix('}').unwrap_or(&entry);
        writeln!(self.file, "{open}{HASH}{hash}{END}").context("evidence")?;
        self.file.sync_data().context("evidence")?;
        self.sequence += 1;
        self.previous = hash;
        Ok(())
    }
}

/// Checks a file's chain; how many entries it has.
///
/// # Errors
/// The first line that does not follow from the one before.
pub(super) fn verify(path: &Path) -> Result<usize> {
    let text = std::fs::read_to_string(path).with_context(|| path.display().to_string())?;
    let (mut previous, mut count) = (String::new(), 0);
    for line in text.lines() {
        let place = || format!("{} line {}", path.display(), count + 1);
        let entry: Value = serde_json::from_str(line).with_context(place)?;
        let said = line.strip_suffix(END);
        let said = said.and_then(|line| line.rsplit_once(HASH));
        let (open, said) = said.with_context(|| format!("{}: no hash at its end", place()))?;
        let hash = digest(&format!("{open}}}"));
        let follows = entry["previous"] == json!(previous) && entry["sequence"] == json!(count);
        ensure!(follows, "{}: it does not follow the line before", place());
        ensure!(said == hash, "{}: it was changed", place());
        (previous, count) = (hash, count + 1);
    }
    ensure!(count > 0, "{}: no entry", path.display());
    Ok(count)
}

fn digest(entry: &str) -> String {
    let whole = Sha256::digest(entry.as_bytes());
    whole.iter().map(|byte| format!("{byte:02x}")).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_of_every_kind_are_found_as_they_were_written() {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("evidence.jsonl");
        let mut evidence = Evidence::begin(&path, "somebody").expect("a new file");
        let shares: Vec<f64> = (1..5_000).map(|part| f64::from(part) / 7_919.0).collect();
        let detail = json!({"shares": shares, "hash": "\",\"hash\":\"", "none": Value::Null});
        evidence.note("asked", detail).expect("written");
        evidence.note("done", json!({})).expect("written");
        assert_eq!(verify(&path).expect("whole"), 2);
    }

    #[test]
    fn a_line_that_is_changed_or_taken_out_breaks_the_chain() {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("evidence.jsonl");
        let mut evidence = Evidence::begin(&path, "somebody").expect("a new file");
        for step in ["asked", "written", "done"] {
            evidence
                .note(step, json!({"b": 1, "a": [2]}))
                .expect("written");
        }
        assert_eq!(verify(&path).expect("whole"), 3);
        assert!(
            Evidence::begin(&path, "somebody").is_err(),
            "none is written over"
        );
        let text = std::fs::read_to_string(&path).expect("read");
        let forged = text.replace("\"a\":[2]", "\"a\":[3]");
        std::fs::write(&path, forged).expect("written");
        let error = verify(&path).expect_err("forged").to_string();
        assert!(error.ends_with("line 1: it was changed"), "{error}");
        let without: Vec<_> = text
            .lines()
            .enumerate()
            .filter(|(at, _)| *at != 1)
            .collect();
        let without: Vec<_> = without.into_iter().map(|(_, line)| line).collect();
        std::fs::write(&path, without.join("\n")).expect("written");
        let error = verify(&path).expect_err("one is gone").to_string();
        assert!(error.contains("line 2: it does not follow"), "{error}");
    }
}
