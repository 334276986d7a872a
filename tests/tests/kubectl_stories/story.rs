//! Stories and recordings as files.
//!
//! A story is a transcript without answers: lines after `$ ` go to a shell, with what follows them
//! up to `EOF` where they say so; other lines are for the reader. A recording repeats the first line
//! of each command and adds the answers: standard output as it is, standard error after `! `, the
//! exit code in brackets unless it is 0; and at last, after `= `, what the story touched, as it is
//! stored, one field a line.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use crate::mask::mask;

/// A few command lines that belong together.
pub(crate) struct Story {
    pub(crate) name: String,
    pub(crate) commands: Vec<String>,
    /// What a real control plane said.
    pub(crate) recorded: Vec<Block>,
}

/// A command and what was said, or an object and how it was stored.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Block {
    /// With `$ ` or `= `.
    pub(crate) title: String,
    pub(crate) lines: Vec<String>,
}

impl Story {
    /// Writes what a real control plane said.
    pub(crate) fn record(&self, blocks: &[Block]) {
        let mut text = String::new();
        for block in blocks {
            text.push_str(&block.title);
            text.push('\n');
            for line in &block.lines {
                text.push_str(line);
                text.push('\n');
            }
        }
        let path = folder().join(format!("{}.recorded", self.name));
        std::fs::write(path, text).expect("the repository can be written");
    }
}

/// The repository.
pub(crate) fn root() -> PathBuf {
    let tests = Path::new(env!("CARGO_MANIFEST_DIR"));
    tests.parent().expect("tests/ is in the root").to_owned()
}

pub(crate) fn folder() -> PathBuf {
    root().join("tests/kubectl")
}

/// All stories, by name.
pub(crate) fn all() -> Vec<Story> {
    let names = names("story");
    let stories = names.into_iter().map(|name| Story {
        commands: commands(&read(&name, "story")),
        recorded: blocks(&read(&name, "recorded")),
        name,
    });
    stories.collect()
}

/// Says of each recording without a story that it is there.
pub(crate) fn recordings_of_nothing(stories: &[Story]) -> Vec<String> {
    let mut names = names("recorded");
    names.retain(|name| !stories.iter().any(|story| story.name == *name));
    let lines = names
        .iter()
        .map(|name| format!("{name}.recorded has no story"));
    lines.collect()
}

fn names(ending: &str) -> BTreeSet<String> {
    let files = std::fs::read_dir(folder()).expect("tests/kubectl is in the repository");
    let names = files.filter_map(|file| {
        let path = file.expect("the folder can be read").path();
        let named = path.extension()?.to_str()? == ending;
        named.then(|| path.file_stem()?.to_str().map(str::to_owned))?
    });
    names.collect()
}

/// A file's text, or nothing: what is not recorded differs from all that is said.
fn read(name: &str, ending: &str) -> String {
    std::fs::read_to_string(folder().join(format!("{name}.{ending}"))).unwrap_or_default()
}

fn commands(text: &str) -> Vec<String> {
    let mut commands = Vec::new();
    let mut lines = text.lines();
    while let Some(line) = lines.next() {
        let Some(command) = line.strip_prefix("$ ") else {
            continue;
        };
        let mut command = format!("{command}\n");
        if line.contains("<<'EOF'") {
            for line in lines.by_ref() {
                command.push_str(line);
                command.push('\n');
                if line == "EOF" {
                    break;
                }
            }
        }
        commands.push(command);
    }
    commands
}

fn blocks(text: &str) -> Vec<Block> {
    let mut blocks: Vec<Block> = Vec::new();
    for line in text.lines() {
        if line.starts_with("$ ") || line.starts_with("= ") {
            blocks.push(Block {
                title: line.to_owned(),
                lines: Vec::new(),
            });
        } else if let Some(block) = blocks.last_mut() {
            block.lines.push(mask(line));
        }
    }
    blocks
}
