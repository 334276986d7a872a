//! `meridian completion`: what a shell needs to complete commands, flags and names.
//!
//! The script asks this program anew at each turn ([`crate::plugin::complete_line`]), since only
//! the host knows the names.

use crate::{cli, output, plugin};
use anyhow::{Context, Result};
use clap_complete::env::Shells;

/// Prints the script for a shell.
///
/// # Errors
/// None for a shell that the command line takes.
pub(crate) fn print(args: cli::Completion) -> Result<()> {
    let shells = Shells::builtins();
    let shell = shells.completer(&args.shell.to_string());
    let shell = shell.context("no such shell")?;
    let mut script = Vec::new();
    let (name, program) = ("meridian", plugin::program()?);
    shell.write_registration(plugin::COMPLETE, name, name, &program, &mut script)?;
    output::print(&String::from_utf8_lossy(&script));
    Ok(())
}
