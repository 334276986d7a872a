//! As a plugin of kubectl: `kubectl meridian …` runs a program `kubectl-meridian`, and asks
//! `kubectl_complete-meridian` how words go on. Both are this program under other names.
//!
//! Completions are in the form that kubectl takes from plugins (cobra's): a line each, with a tab
//! before what it means, and a last line of what else the shell may offer.

use crate::cli::Cli;
use clap::{CommandFactory, FromArgMatches};
use clap_complete::engine::{self, CompletionCandidate};
use clap_complete::env::CompleteEnv;
use std::ffi::OsString;
use std::path::Path;

/// The name under which kubectl finds it.
const PLUGIN: &str = "kubectl-meridian";
/// The name under which kubectl asks for completions.
const COMPLETER: &str = "kubectl_complete-meridian";
/// The shell may offer files (cobra's ShellCompDirectiveDefault).
const OR_FILES: &str = ":0";
/// It may not (ShellCompDirectiveNoFileComp).
const NOTHING_ELSE: &str = ":4";
/// Nor does a word end here (and ShellCompDirectiveNoSpace): a folder is not yet a file.
const GOES_ON: &str = ":6";
/// The variable by which a shell's script asks.
pub(crate) const COMPLETE: &str = "MERIDIAN_COMPLETE";

/// Whether kubectl asks for completions.
pub(crate) fn completes() -> bool {
    called() == COMPLETER
}

/// Reads the command line; as a plugin, help and errors speak of `kubectl meridian`.
pub(crate) fn parse() -> Cli {
    let command = match called().as_str() {
        PLUGIN => Cli::command().bin_name("kubectl meridian"),
        _ => Cli::command(),
    };
    let matches = command.get_matches();
    Cli::from_arg_matches(&matches).unwrap_or_else(|error| error.exit())
}

fn called() -> String {
    let program = std::env::args_os().next().unwrap_or_default();
    let name = Path::new(&program).file_stem().unwrap_or_default();
    name.to_string_lossy().into_owned()
}

/// Answers a shell whose script `meridian completion` printed, if one asks; whether one did.
pub(crate) fn complete_line() -> bool {
    let asked = CompleteEnv::with_factory(Cli::command).var(COMPLETE);
    let folder = std::env::current_dir().ok();
    // A shell shows no error between the words of its user.
    asked
        .try_complete(std::env::args_os(), folder.as_deref())
        .unwrap_or(true)
}

/// This program, as a script may call it.
///
/// # Errors
/// The folder that it was called from is no more.
pub(crate) fn program() -> std::io::Result<String> {
    let program = std::env::args_os().next().unwrap_or_default();
    let path = Path::new(&program);
    let path = match path.components().count() {
        // The shell finds it again.
        0 | 1 => path.to_owned(),
        _ => std::path::absolute(path)?,
    };
    Ok(path.to_string_lossy().into_owned())
}

/// How the last of some words may go on.
pub(crate) fn completions(words: impl Iterator<Item = String>) -> String {
    let words: Vec<OsString> = words.map(Into::into).collect();
    let last = words.last().cloned().unwrap_or_default();
    let index = words.len();
    let line = std::iter::once("meridian".into()).chain(words).collect();
    let folder = std::env::current_dir().ok();
    let found = engine::complete(&mut Cli::command(), line, index, folder.as_deref());
    // As kubectl has it: flags are offered to who has begun one.
    let flags = last.to_string_lossy().starts_with('-');
    let mut found = found.unwrap_or_default();
    found.retain(|one| flags || !one.get_value().to_string_lossy().starts_with('-'));
    lines(&found)
}

fn lines(found: &[CompletionCandidate]) -> String {
    let mut text = String::new();
    let mut rest = if found.is_empty() {
        OR_FILES
    } else {
        NOTHING_ELSE
    };
    for candidate in found {
        let value = candidate.get_value().to_string_lossy();
        text.push_str(&value);
        if value.ends_with('/') {
            rest = GOES_ON;
        }
        if let Some(help) = candidate.get_help() {
            let help = help.to_string();
            text.push('\t');
            text.push_str(help.lines().next().unwrap_or_default());
        }
        text.push('\n');
    }
    text + rest + "\n"
}

#[cfg(test)]
mod tests {
    use super::*;

    fn names(words: &[&str]) -> Vec<String> {
        let text = completions(words.iter().map(|word| (*word).to_owned()));
        let names = text
            .lines()
            .map(|line| line.split('\t').next().unwrap_or_default());
        names.map(str::to_owned).collect()
    }

    #[test]
    fn words_go_on_as_commands_flags_and_values() {
        assert_eq!(names(&["unj"]), ["unjoin", ":4"]);
        assert_eq!(names(&["orphan", "en"]), ["enable", ":4"]);
        assert_eq!(names(&["plan", "--out"]), ["--output", ":4"]);
        assert_eq!(names(&["plan", "--output", "j"]), ["json", ":4"]);
        assert_eq!(names(&["plan", "--output=j"]), ["--output=json", ":4"]);
        assert_eq!(
            names(&["plan", "--filename", "Cargo"]),
            ["Cargo.toml", ":4"]
        );
        assert_eq!(names(&["plan", "--filename", "sr"]), ["src/", ":6"]);
        assert_eq!(names(&["get", "orp"]), ["orphans", ":4"]);
        assert_eq!(names(&["failover", "release", "--reason", ""]), [":0"]);
        assert!(names(&[""]).contains(&"migrate".to_owned()));
        assert!(!names(&[""]).contains(&"--v".to_owned()));
    }
}
