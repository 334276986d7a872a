//! `meridian completion`: what a shell needs to complete commands and flags.

use crate::{cli, output};
use clap::CommandFactory;

/// Prints the script for a shell.
pub(crate) fn print(args: cli::Completion) {
    let mut script = Vec::new();
    let mut command = cli::Cli::command();
    clap_complete::generate(args.shell, &mut command, "meridian", &mut script);
    output::print(&String::from_utf8_lossy(&script));
}
