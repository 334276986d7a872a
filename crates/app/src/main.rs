//! The binary `meridian`: it wires the crates together and decides nothing.

mod checkpoint;
mod cli;
mod commands;
mod control_targets;
mod demo;
mod dns_listen;
mod geography;
mod given;
mod known;
mod kubeconfig;
mod lookups;
mod manifests;
mod observing;
mod output;
mod own_socket;
mod own_state;
mod peers;
mod plugin;
mod replace;
mod run;
mod steering_loop;
mod updates;

use std::io::IsTerminal;
use std::process::ExitCode;
use tracing_subscriber::EnvFilter;

#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

/// From this `--v` on, everything is logged.
const DEBUG_LEVEL: u8 = 4;

fn main() -> ExitCode {
    if plugin::completes() {
        output::print(&plugin::completions(std::env::args().skip(1)));
        return ExitCode::SUCCESS;
    }
    if plugin::complete_line() {
        return ExitCode::SUCCESS;
    }
    let cli = plugin::parse();
    let runs = matches!(cli.command, cli::Command::Run(_));
    // kube logs every connection that fails; what follows from it is told by who asked.
    log(match (cli.verbosity, runs) {
        (Some(level), _) if level >= DEBUG_LEVEL => "debug",
        (_, true) => "info,kube_client::client::builder=off",
        (_, false) => "error,kube_client=off",
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
