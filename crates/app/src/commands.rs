//! The commands, one file each.

mod completion;
mod enable;
mod explain;
mod federate;
mod fleet;
pub(crate) mod join;
mod plan;
mod resource_type;
mod unjoin;

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
        Command::Run(args) => run::run(args).boxed().await.map(done),
        Command::Demo(args) => demo::run(args).boxed().await,
        Command::Join(args) => join::run(args).boxed().await.map(done),
        Command::Unjoin(args) => unjoin::run(args).boxed().await.map(done),
        Command::Enable(args) => enable::enable(args).boxed().await.map(done),
        Command::Disable(args) => enable::disable(args).boxed().await.map(done),
        Command::Federate(args) => federate::run(args).boxed().await.map(done),
        Command::Completion(args) => {
            completion::print(args);
            Ok(ExitCode::SUCCESS)
        }
        Command::Plan(args) => plan::run(args).boxed().await,
        Command::Fleet(args) => fleet::run(args).boxed().await.map(done),
        Command::Explain(args) => explain::run(args).boxed().await.map(done),
    }
}

fn done((): ()) -> ExitCode {
    ExitCode::SUCCESS
}
