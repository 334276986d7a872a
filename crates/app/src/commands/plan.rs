//! `meridian plan`: what applying manifests would change in which member, and nothing is changed.
//!
//! files → fields checked → host and members read once → the controller's own plan → printed.

mod files;
mod moves;
mod report;
mod table;

use crate::cli::{self, Output};
use crate::commands::federated_type;
use crate::kubeconfig;
use crate::manifests::Manifest;
use crate::output::{self, colour};
use anyhow::{Result, anyhow};
use controller::preview::{Asked, Preview, PreviewOptions, preview};
use controller::{Error, WallClock};
use kube::{Client, Config};
use report::Report;
use std::collections::BTreeMap;
use std::process::ExitCode;
use std::time::Duration;

/// Until a connection to the host is made or given up.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(5);
/// Something would change, as in `terraform plan -detailed-exitcode`.
const WOULD_CHANGE: u8 = 2;

/// Runs the command.
///
/// # Errors
/// A manifest that does not read, or a host that cannot be read.
pub(crate) async fn run(args: cli::Plan) -> Result<ExitCode> {
    let depth = match args.recursive {
        true => files::Depth::Deep,
        false => files::Depth::Shallow,
    };
    let manifests = files::read(&args.files, depth)?;
    if told(files::check(&manifests)) {
        return Ok(ExitCode::FAILURE);
    }
    let asked = match (&args.type_name, &args.name) {
        (Some(type_name), Some(name)) => vec![named(&args, type_name, name).await?],
        _ => Vec::new(),
    };
    let preview = ask(&args.host, &manifests, asked).await?;
    let refused = preview.refused.iter().map(|refused| {
        let manifest = &manifests[refused.manifest];
        fault(manifest, &refused.error.to_string())
    });
    if told(refused.collect()) {
        return Ok(ExitCode::FAILURE);
    }
    let mut report = Report::of(&preview, &manifests);
    report.names = moves::of(&args, &manifests).await?;
    output::print(&match args.output {
        Output::Table => moves::text(&report.names) + &table::text(&report, colour()),
        Output::Json => format!("{:#}\n", serde_json::to_value(&report)?),
        Output::Yaml => serde_saphyr::to_string(&report)?,
    });
    let faults = report.faults();
    Ok(match (told(faults), report.would_change()) {
        (true, _) => ExitCode::FAILURE,
        (false, true) => ExitCode::from(WOULD_CHANGE),
        (false, false) => ExitCode::SUCCESS,
    })
}

/// The object of the host that is planned.
async fn named(args: &cli::Plan, type_name: &str, name: &str) -> Result<Asked> {
    let which = cli::Which {
        host: args.host.clone(),
        type_name: type_name.to_owned(),
        name: name.to_owned(),
        namespace: args.namespace.clone(),
    };
    let found = federated_type::object(&which).await?;
    Ok(Asked {
        type_name: found.federated.name,
        key: found.key,
    })
}

/// Reads the host and the members, and plans manifests and objects of the host.
///
/// # Errors
/// The host cannot be read.
pub(crate) async fn ask(
    host: &cli::Host,
    manifests: &[Manifest],
    asked: Vec<Asked>,
) -> Result<Preview> {
    let mut config = kubeconfig::host(host).await?;
    // Who waits at a terminal is told at once that the host does not answer.
    config.default_retry = false;
    config.connect_timeout = Some(CONNECT_TIMEOUT);
    let options = PreviewOptions {
        client: Client::try_from(config.clone())?,
        system_namespace: host.system_namespace.clone(),
        in_process: BTreeMap::new(),
        plugins: host.exec_plugins(),
        clock: WallClock::System,
        asked,
    };
    let objects: Vec<_> = manifests
        .iter()
        .map(|manifest| manifest.object.clone())
        .collect();
    let words = format!(
        "asking the host and its members about {}",
        match objects.len() + options.asked.len() {
            1 => "an object".to_owned(),
            several => format!("{several} objects"),
        }
    );
    output::in_progress(&words, preview(options, &objects))
        .await
        .map_err(|error| host_error(&error, &config))
}

/// What keeps the host from being read, and what to do.
fn host_error(error: &Error, config: &Config) -> anyhow::Error {
    let url = config.cluster_url.to_string();
    let advice = "--kubeconfig and --context choose the host";
    match error {
        Error::HostTimedOut => anyhow!("the host {url} does not answer in time; {advice}"),
        Error::Host(why) => match why.as_ref() {
            kube::Error::Api(status) if status.code == 404 => anyhow!(
                "the host {url} does not serve meridian's kinds ({}); {advice}, or install them: \
                 'kubectl apply --server-side -f crds/'",
                status.message.trim()
            ),
            kube::Error::Api(status) => anyhow!("the host {url}: {}", status.message),
            other => {
                let mut cause: &dyn std::error::Error = other;
                while let Some(inner) = cause.source() {
                    cause = inner;
                }
                anyhow!("the host {url} cannot be reached: {cause}; {advice}")
            }
        },
        other => anyhow!("{other}"),
    }
}

/// One line about a manifest.
fn fault(manifest: &Manifest, words: &str) -> String {
    let name = match manifest.namespace() {
        "" => manifest.name().to_owned(),
        namespace => format!("{namespace}/{}", manifest.name()),
    };
    format!("{}: {} {name}: {words}", manifest.place(), manifest.kind())
}

/// Prints errors; whether there were any.
fn told(faults: Vec<String>) -> bool {
    for fault in &faults {
        eprintln!("error: {fault}");
    }
    !faults.is_empty()
}
