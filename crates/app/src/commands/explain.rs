//! `meridian explain`: why a cluster holds an object or does not, or why a client is answered so.

mod answer;
mod object;

use crate::cli;
use anyhow::Result;

/// Runs the command.
///
/// # Errors
/// What is asked about is not there, or who knows cannot be reached.
pub(crate) async fn run(args: cli::Explain) -> Result<()> {
    match &args.name {
        Some(name) => {
            let which = cli::Which {
                host: args.host.clone(),
                type_name: args.subject.clone(),
                name: name.clone(),
                namespace: args.namespace.clone(),
            };
            object::run(&which, args.output).await
        }
        None => answer::run(args).await,
    }
}
