//! Data to stdout. Everything else goes to stderr.

use crate::cli::ManifestOutput;
use anyhow::Result;
use serde_json::{Value, json};
use std::io::{IsTerminal, Write};

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
