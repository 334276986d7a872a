//! The binary `meridian`: it wires the crates together and decides nothing.

mod checkpoint;
mod cli;
mod commands;
mod demo;
mod dns_listen;
mod geography;
mod kubeconfig;
mod manifests;
mod output;
mod run;
mod steering_loop;

use clap::Parser;
use std::io::IsTerminal;
use std::process::ExitCode;
use tracing_subscriber::EnvFilter;

fn main() -> ExitCode {
    let cli = cli::Cli::parse();
    let quiet = matches!(cli.command, cli::Command::Demo(_) | cli::Command::Plan(_));
    // kube logs every connection that fails; what follows from it is told by who asked.
    log(if quiet {
        "error,kube_client=off"
    } else {
        "info,kube_client::client::builder=off"
    });
    let runtime = match tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .build()
    {
        Ok(runtime) => runtime,
        Err(why) => {
            eprintln!("error: no runtime: {why}");
            return ExitCode::FAILURE;
        }
    };
    match runtime.block_on(commands::dispatch(cli.command)) {
        Ok(code) => code,
        Err(why) => {
            eprintln!("error: {why:#}");
            ExitCode::FAILURE
        }
    }
}

/// Logs go to stderr; `RUST_LOG` says which.
fn log(default: &str) {
    let filter = EnvFilter::try_from_default_env().unwrap_or_else(|_| EnvFilter::new(default));
    tracing_subscriber::fmt()
        .with_env_filter(filter)
        .with_writer(std::io::stderr)
        .with_ansi(std::io::stderr().is_terminal())
        .init();
}
