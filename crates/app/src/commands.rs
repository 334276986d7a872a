//! The commands, one file each.

mod completion;
mod dns;
mod enable;
mod explain;
mod federate;
pub(crate) mod federated_type;
mod fleet;
mod get;
mod history;
pub(crate) mod join;
mod members;
mod migrate;
mod operate;
mod overrides;
mod plan;
pub(crate) mod resource_type;
mod rollout;
mod switchover;
mod unjoin;
mod version;

use crate::cli::{Command, Dns};
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
        Command::Run(args) => run::run(*args).boxed().await.map(done),
        Command::Demo(args) => demo::run(args).boxed().await,
        Command::Join(args) => join::run(args).boxed().await.map(done),
        Command::Unjoin(args) => unjoin::run(args).boxed().await.map(done),
        Command::Enable(args) => enable::enable(args).boxed().await.map(done),
        Command::Disable(args) => enable::disable(args).boxed().await.map(done),
        Command::Federate(args) => federate::run(args).boxed().await.map(done),
        Command::Dns(Dns::Check(args)) => dns::check(&args),
        Command::Completion(args) => completion::print(args).map(done),
        Command::Version(args) => version::print(&args).map(done),
        Command::Plan(args) => plan::run(args).boxed().await,
        Command::Fleet(args) => fleet::run(args).boxed().await.map(done),
        Command::Explain(args) => explain::run(args).boxed().await.map(done),
        Command::History(args) => history::run(args).boxed().await.map(done),
        Command::Undo(args) => history::undo(args).boxed().await.map(done),
        Command::Get(args) => get::run(args).boxed().await.map(done),
        Command::Rollout(args) => rollout::rollout(args).boxed().await,
        Command::Orphan(args) => operate::orphan(args).boxed().await.map(done),
        Command::Confirm(args) => operate::confirm(args).boxed().await.map(done),
        Command::Failback(args) => operate::failback(args).boxed().await.map(done),
        Command::Failover(args) => operate::failover(args).boxed().await.map(done),
        Command::Drain(args) => operate::drain(args).boxed().await.map(done),
        Command::Uncordon(args) => operate::uncordon(args).boxed().await.map(done),
        Command::Switchover(args) => switchover::run(args).boxed().await,
        Command::Override(args) => overrides::run(args).boxed().await.map(done),
        Command::AdoptHost(args) => operate::adopt_host(args).boxed().await.map(done),
        Command::Migrate(args) => migrate::run(args).boxed().await,
    }
}

fn done((): ()) -> ExitCode {
    ExitCode::SUCCESS
}
