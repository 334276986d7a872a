//! `meridian migrate --from kubefed`: moving over from KubeFed, and the way back.
//!
//! | step | what it does |
//! |---|---|
//! | `quiet` | refuses while KubeFed runs: two controllers would undo each other's work |
//! | `survey` | asks every member, as a trial, what becomes of each object |
//! | `settings` | says of each value of the KubeFedConfig whether it is obeyed |
//! | `host` | brings definitions up to date, puts KubeFed's admission webhooks aside |
//! | `fields` | hands the fields that KubeFed wrote over to meridian, and back |
//!
//! Members are written here, and not by the controller, since it need not run yet. Each write is
//! under the resourceVersion that was read, and changes no field but metadata.

mod fields;
mod host;
mod quiet;
mod report;
mod settings;
mod survey;

use super::{federated_type, members};
use crate::cli::{self, Output};
use crate::kubeconfig;
use crate::output::{self, Progress};
use anyhow::{Result, bail};
use futures::{StreamExt, stream};
use kube::Client;
use report::Report;
use std::process::ExitCode;
use survey::Fate;

/// Objects of one member that are written at once.
const WRITES_MAX: usize = 16;
/// As `meridian plan` ends when something would change.
const IN_THE_WAY: u8 = 2;

/// Runs the command.
///
/// # Errors
/// KubeFed runs, or somebody who must be asked or written does not answer.
pub(crate) async fn run(args: cli::Migrate) -> Result<ExitCode> {
    let cli::MigrateFrom::Kubefed = args.from;
    let host = kubeconfig::client(kubeconfig::host(&args.host).await?)?;
    match args.undo {
        true => undo(&host, &args).await,
        false => over(&host, &args).await,
    }
}

async fn over(host: &Client, args: &cli::Migrate) -> Result<ExitCode> {
    let namespace = &args.host.system_namespace;
    quiet::refuse_while_kubefed_runs(host, namespace).await?;
    let report = Report {
        settings: settings::rows(host, namespace).await?,
        host: host::rows(host, namespace).await?,
        objects: survey::survey(host, &args.host).await?,
    };
    if !args.apply || args.output != Output::Table {
        match args.output {
            Output::Table => output::print(&report.text()),
            form => output::structured(form, &report)?,
        }
    }
    if !args.apply {
        return Ok(match report.is_clear() {
            true => ExitCode::SUCCESS,
            false => ExitCode::from(IN_THE_WAY),
        });
    }
    if !report.is_clear() && !args.accept_changes {
        output::print(&report.text());
        bail!(
            "nothing was done: look at what would change or cannot be asked, and give \
             --accept-changes if that is meant"
        );
    }
    host::take_over(host, namespace).await?;
    let failed = hand_over(host, &args.host, &report).await?;
    eprintln!(
        "{}: start meridian now ('meridian run', or its Deployment); 'meridian migrate --from \
         kubefed --undo' is the way back",
        report.moved()
    );
    Ok(match failed {
        0 => ExitCode::SUCCESS,
        _ => bail!("{failed} objects were not handed over: run it again, it goes on where it was"),
    })
}

/// Hands over what the survey found to be KubeFed's; how many could not be.
async fn hand_over(host: &Client, args: &cli::Host, report: &Report) -> Result<usize> {
    let progress = Progress::new();
    let mut failed = 0;
    for member in members::reached(host, args).await? {
        let objects = report.objects.iter().filter(|object| {
            object.cluster == member.name && matches!(object.fate, Fate::HandedOver | Fate::Changed)
        });
        let writes: Vec<_> = objects
            .map(|object| fields::hand_over(&member.requests, object))
            .collect();
        let all = writes.len();
        let mut written = stream::iter(writes)
            .buffer_unordered(WRITES_MAX)
            .enumerate();
        while let Some((done, answer)) = written.next().await {
            progress.say(&format!("{}: {} of {all} objects", member.name, done + 1));
            if let Err(why) = answer {
                failed += 1;
                progress.say("");
                eprintln!("{}: {why:#}", member.name);
            }
        }
    }
    Ok(failed)
}

async fn undo(host: &Client, args: &cli::Migrate) -> Result<ExitCode> {
    let namespace = &args.host.system_namespace;
    quiet::refuse_while_meridian_runs(host, namespace).await?;
    let us = super::join::control_plane(host, namespace).await?;
    let progress = Progress::new();
    let types = federated_type::all(host, namespace).await?;
    let (mut given, mut failed) = (0, 0);
    for member in members::reached(host, &args.host).await? {
        for federated in &types {
            let held = match members::managed(&member.requests, &us, federated).await {
                Ok(held) => held,
                Err(why) => {
                    failed += 1;
                    eprintln!(
                        "{}: {}: {why:#}",
                        member.name, federated.types.target.plural
                    );
                    continue;
                }
            };
            let ours = held
                .iter()
                .filter(|object| survey::origin_is(object, &us.uid));
            let writes = ours.map(|object| fields::hand_back(&member.requests, federated, object));
            let writes: Vec<_> = writes.collect();
            let mut written = stream::iter(writes).buffer_unordered(WRITES_MAX);
            while let Some(answer) = written.next().await {
                match answer {
                    Ok(()) => given += 1,
                    Err(why) => {
                        failed += 1;
                        eprintln!("{}: {why:#}", member.name);
                    }
                }
                progress.say(&format!("{}: {given} objects", member.name));
            }
        }
    }
    drop(progress);
    if failed > 0 {
        bail!("{failed} answers are missing: run it again, it goes on where it was");
    }
    host::give_back(host, namespace).await?;
    eprintln!(
        "{given} objects in members are KubeFed's again: start it now; its controller finds each as \
         its specs say. The definitions stay: KubeFed reads them as they are"
    );
    Ok(ExitCode::SUCCESS)
}
