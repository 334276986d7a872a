//! Data to stdout. Everything else goes to stderr.

use crate::cli::{ManifestOutput, Output};
use anyhow::Result;
use serde::Serialize;
use serde_json::{Value, json};
use std::fmt::Write as _;
use std::io::{IsTerminal, Write};
use std::time::Duration;

/// Whether what is printed is coloured.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Colour {
    /// It is read on a terminal.
    On,
    /// It is read by a program, or nobody wants it (<https://no-color.org>).
    Off,
}

/// Whether data on stdout is coloured.
pub(crate) fn colour() -> Colour {
    let unwanted = std::env::var_os("NO_COLOR").is_some_and(|value| !value.is_empty());
    let dumb = std::env::var_os("TERM").is_some_and(|terminal| terminal == "dumb");
    match std::io::stdout().is_terminal() && !unwanted && !dumb {
        true => Colour::On,
        false => Colour::Off,
    }
}

/// Prints manifests, as kubectl takes them.
///
/// # Errors
/// None for what is JSON.
pub(crate) fn manifests(form: ManifestOutput, objects: Vec<Value>) -> Result<()> {
    match form {
        ManifestOutput::Json => {
            let list = json!({"apiVersion": "v1", "kind": "List", "items": objects});
            print(&format!("{list:#}\n"));
        }
        ManifestOutput::Yaml => {
            for object in &objects {
                print(&format!("---\n{}", serde_saphyr::to_string(object)?));
            }
        }
    }
    Ok(())
}

/// Prints data; a reader that went away (`| head`) is no error.
pub(crate) fn print(text: &str) {
    let mut out = std::io::stdout().lock();
    let _ = out.write_all(text.as_bytes()).and_then(|()| out.flush());
}

/// Prints a value for programs; a table is each command's own affair, and printed as JSON here.
///
/// # Errors
/// None for what is JSON.
pub(crate) fn structured(form: Output, value: &impl Serialize) -> Result<()> {
    print(&match form {
        Output::Yaml => serde_saphyr::to_string(value)?,
        Output::Table | Output::Json => format!("{:#}\n", serde_json::to_value(value)?),
    });
    Ok(())
}

/// Rows under heads, each column as wide as it must be.
#[derive(Debug)]
pub(crate) struct Table<const COLUMNS: usize> {
    rows: Vec<[String; COLUMNS]>,
}

impl<const COLUMNS: usize> Table<COLUMNS> {
    /// One with nothing but its heads.
    pub(crate) fn new(heads: &[&str; COLUMNS]) -> Self {
        Self {
            rows: vec![heads.map(str::to_owned)],
        }
    }

    /// Adds a row.
    pub(crate) fn row(&mut self, row: [String; COLUMNS]) {
        self.rows.push(row);
    }

    /// All of it.
    pub(crate) fn text(&self) -> String {
        let width = |column: usize| {
            let cells = self.rows.iter().map(|row| row[column].chars().count());
            cells.max().unwrap_or(0)
        };
        let mut text = String::new();
        for row in &self.rows {
            let mut line = String::new();
            for (column, cell) in row.iter().enumerate() {
                let _ = write!(line, "{cell:<0$}   ", width(column));
            }
            let _ = writeln!(text, "{}", line.trim_end());
        }
        text
    }
}

/// How far long work has come, on standard error, and only for who watches it on a terminal.
#[derive(Debug)]
pub(crate) struct Progress {
    shown: bool,
}

impl Progress {
    /// Nothing is shown yet.
    pub(crate) fn new() -> Self {
        Self {
            shown: std::io::stderr().is_terminal(),
        }
    }

    /// Says what is done now, in the place of what was said before.
    pub(crate) fn say(&self, words: &str) {
        if self.shown {
            eprint!("\r\x1b[K{words}");
        }
    }
}

/// Says every second for how long something has been going on, until it has ended.
pub(crate) async fn in_progress<T>(words: &str, work: impl Future<Output = T>) -> T {
    let progress = Progress::new();
    let begun = tokio::time::Instant::now();
    let mut seconds = tokio::time::interval(Duration::from_secs(1));
    let mut work = std::pin::pin!(work);
    loop {
        tokio::select! {
            done = &mut work => return done,
            _ = seconds.tick() => {
                progress.say(&format!("{words}: {} s", begun.elapsed().as_secs()));
            }
        }
    }
}

impl Drop for Progress {
    fn drop(&mut self) {
        self.say("");
    }
}
