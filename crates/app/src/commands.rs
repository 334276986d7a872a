//! The commands, one file each.

mod explain;
pub(crate) mod join;
mod plan;

use crate::cli::Command;
use crate::{demo, run};
use anyhow::Result;
use futures::FutureExt;
use std::process::ExitCode;

/// Runs a command; the exit code is the command's own word.
///
/// # Errors
/// What `main` prints after `error:`.
pub(crate) async fn dispatch(command: Command) -> Result<ExitCode> {
    match command {
        Command::Run(args) => run::run(args).boxed().await.map(|()| ExitCode::SUCCESS),
        Command::Demo(args) => demo::run(args).boxed().await,
        Command::Join(args) => join::run(args).boxed().await.map(|()| ExitCode::SUCCESS),
        Command::Plan(args) => plan::run(args).boxed().await,
        Command::Explain(args) => explain::run(args).boxed().await.map(|()| ExitCode::SUCCESS),
    }
}
