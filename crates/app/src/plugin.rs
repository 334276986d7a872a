//! As a plugin of kubectl: `kubectl meridian …` runs a program `kubectl-meridian`, and asks
//! `kubectl_complete-meridian` how words go on. Both are this program under other names.
//!
//! Completions are in the form that kubectl takes from plugins (cobra's): a line each, with a tab
//! before what it means, and a last line of what else the shell may offer.

use crate::cli::Cli;
use clap::{ArgAction, CommandFactory, FromArgMatches};
use std::path::Path;

/// The name under which kubectl finds it.
const PLUGIN: &str = "kubectl-meridian";
/// The name under which kubectl asks for completions.
const COMPLETER: &str = "kubectl_complete-meridian";
/// The shell may offer files (cobra's ShellCompDirectiveDefault).
const OR_FILES: &str = ":0";
/// It may not (ShellCompDirectiveNoFileComp).
const NOTHING_ELSE: &str = ":4";

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

/// How the last of some words may go on.
pub(crate) fn completions(words: impl Iterator<Item = String>) -> String {
    let mut root = Cli::command();
    root.build();
    let words: Vec<String> = words.collect();
    let (last, before) = match words.split_last() {
        Some((last, before)) => (last.as_str(), before),
        None => ("", words.as_slice()),
    };
    let (mut at, mut awaited) = (&root, None);
    for word in before {
        let flag = word.strip_prefix("--");
        awaited = flag.filter(|flag| !flag.contains('=')).and_then(|flag| {
            let mut arguments = at.get_arguments();
            let found = arguments.find(|argument| argument.get_long() == Some(flag));
            found.filter(|argument| argument.get_action().takes_values())
        });
        if let Some(below) = at.find_subcommand(word) {
            at = below;
        }
    }
    if let Some(argument) = awaited {
        let values = argument.get_possible_values();
        let values = values
            .iter()
            .map(|value| (value.get_name().to_owned(), value.get_help()));
        let rest = if values.len() == 0 {
            OR_FILES
        } else {
            NOTHING_ELSE
        };
        return lines(values.filter(|(name, _)| name.starts_with(last)), rest);
    }
    let commands = at
        .get_subcommands()
        .filter(|command| !command.is_hide_set());
    let commands = commands.map(|command| (command.get_name().to_owned(), command.get_about()));
    let flags = at.get_arguments().filter_map(|argument| {
        let shown = last.starts_with('-') && !argument.is_hide_set();
        let flag = argument.get_long().filter(|_| shown)?;
        let asks = !matches!(argument.get_action(), ArgAction::Help | ArgAction::Version);
        asks.then(|| (format!("--{flag}"), argument.get_help()))
    });
    let values = at
        .get_positionals()
        .flat_map(|argument| argument.get_possible_values());
    let values: Vec<_> = values.collect();
    let values = values
        .iter()
        .map(|value| (value.get_name().to_owned(), value.get_help()));
    let all = commands.chain(flags).chain(values);
    let rest = match at.has_subcommands() {
        true => NOTHING_ELSE,
        false => OR_FILES,
    };
    lines(all.filter(|(name, _)| name.starts_with(last)), rest)
}

fn lines<'a>(
    found: impl Iterator<Item = (String, Option<&'a clap::builder::StyledStr>)>,
    rest: &str,
) -> String {
    let mut text = String::new();
    for (name, help) in found {
        text.push_str(&name);
        if let Some(help) = help {
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
        assert_eq!(names(&["plan", "--out"]), ["--output", ":0"]);
        assert_eq!(names(&["plan", "--output", "j"]), ["json", ":4"]);
        assert_eq!(names(&["plan", "--filename", ""]), [":0"]);
        assert_eq!(names(&["get", "orp"]), ["orphans", ":0"]);
        assert!(names(&[""]).contains(&"migrate".to_owned()));
    }
}
