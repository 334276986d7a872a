//! `meridian fleet`: clusters on this machine, their faults, and their end.
//!
//! `up` runs in the foreground and leaves a small file in the folder of the kubeconfigs; by that
//! file `fault` and `down` find it.

mod fault;
mod state;

use crate::cli;
use crate::output::print;
use crate::run::stop_signal;
use anyhow::{Context, Result, bail, ensure};
use hyper::Method;
use model::ClusterName;
use pocketkube::workloads::{NodeOptions, WorkloadOptions};
use pocketkube::{ClusterOptions, DataOptions, Fleet, FleetOptions};
use serde_json::{Value, json};
use state::State;
use std::fmt::Write as _;
use std::path::Path;
use std::time::Duration;

/// How long a fleet may take to end; it takes milliseconds.
const END_PATIENCE: Duration = Duration::from_secs(20);
/// How often `down` looks whether it has ended.
const END_STEP: Duration = Duration::from_millis(20);

/// Runs the command.
///
/// # Errors
/// A folder or a port is taken, no fleet runs, or it has no such cluster or fault.
pub(crate) async fn run(args: cli::Fleet) -> Result<()> {
    match args.command {
        cli::FleetCommand::Up(args) => up(args).await,
        cli::FleetCommand::Fault(args) => fault(args).await,
        cli::FleetCommand::Down(args) => down(&args.dir).await,
    }
}

async fn up(args: cli::FleetUp) -> Result<()> {
    let names = names(&args)?;
    if let Some(running) = State::read(&args.dir)?
        && running.clusters().await.is_ok()
    {
        bail!(
            "a fleet runs in {} already; end it with 'meridian fleet down --dir {0}', or name \
             another folder with --dir",
            args.dir.display()
        );
    }
    let nodes = (1..=args.nodes).map(|number| NodeOptions::named(format!("node-{number}")));
    let workloads = WorkloadOptions {
        nodes: nodes.collect(),
        ..WorkloadOptions::default()
    };
    let options = FleetOptions {
        clusters: names
            .iter()
            .map(|name| ClusterOptions {
                workloads: Some(workloads.clone()),
                ..ClusterOptions::named(name.as_str())
            })
            .collect(),
        folder: Some(args.dir.clone()),
        data: args.data_dir.map(DataOptions::in_folder),
        ..FleetOptions::default()
    };
    let fleet = Fleet::start(options).await?;
    let state = State::new(fleet.control_url());
    state.write(&args.dir)?;
    print(&lines(&fleet));
    eprintln!(
        "{} run until Ctrl-C; break one with 'meridian fleet fault {} api=down --dir {}'",
        counted(names.len()),
        names[0],
        args.dir.display()
    );
    tokio::select! {
        () = stop_signal() => {}
        () = fleet.stopped() => {}
    }
    // They lead nowhere now.
    for path in fleet.clusters().filter_map(|c| c.kubeconfig_path()) {
        let _ = std::fs::remove_file(path);
    }
    fleet.close().await;
    State::remove(&args.dir);
    Ok(())
}

async fn fault(args: cli::FleetFault) -> Result<()> {
    let wanted = fault::parse(&args.faults)?;
    let state = State::running(&args.dir).await?;
    let known = state.clusters().await?;
    ensure!(
        known.contains(&args.cluster),
        "there is no cluster {:?}; there are {}",
        args.cluster,
        known.join(", ")
    );
    let path = |what: &str| format!("/pocketkube/clusters/{}/{what}", args.cluster);
    let nothing = json!({});
    let now = match wanted {
        fault::Wanted::Clear => {
            state.ask(Method::DELETE, &path("rules"), &nothing).await?;
            state.ask(Method::PUT, &path("faults"), &nothing).await?
        }
        fault::Wanted::Compact => state.ask(Method::POST, &path("compact"), &nothing).await?,
        fault::Wanted::Rules(file) => {
            let rules = read_rules(&file)?;
            state.ask(Method::PUT, &path("rules"), &rules).await?
        }
        fault::Wanted::Change(change) => state.ask(Method::PATCH, &path("faults"), &change).await?,
    };
    print(&format!("{now:#}\n"));
    Ok(())
}

fn read_rules(file: &Path) -> Result<Value> {
    let shown = file.display();
    let text = std::fs::read(file).with_context(|| format!("cannot read {shown}"))?;
    serde_json::from_slice(&text).with_context(|| format!("{shown} is no JSON"))
}

async fn down(folder: &Path) -> Result<()> {
    let state = State::running(folder).await?;
    state
        .ask(Method::POST, "/pocketkube/stop", &json!({}))
        .await?;
    let ended = async {
        while State::read(folder)?.is_some() {
            tokio::time::sleep(END_STEP).await;
        }
        anyhow::Ok(())
    };
    tokio::time::timeout(END_PATIENCE, ended)
        .await
        .with_context(|| format!("the fleet of {} does not end", folder.display()))?
}

/// The names that were asked for.
fn names(args: &cli::FleetUp) -> Result<Vec<String>> {
    let names = match args.clusters.is_empty() {
        true => (1..=args.count)
            .map(|number| format!("cluster-{number}"))
            .collect(),
        false => args.clusters.clone(),
    };
    for name in &names {
        // They are names of files as well.
        ClusterName::parse(name)?;
    }
    Ok(names)
}

/// What to type, one line for each cluster.
fn lines(fleet: &Fleet) -> String {
    let mut lines = String::new();
    for path in fleet.clusters().filter_map(|c| c.kubeconfig_path()) {
        writeln!(lines, "kubectl --kubeconfig {} get nodes", path.display())
            .expect("writing to a text does not fail");
    }
    lines
}

fn counted(clusters: usize) -> String {
    match clusters {
        1 => "1 cluster".to_owned(),
        many => format!("{many} clusters"),
    }
}
