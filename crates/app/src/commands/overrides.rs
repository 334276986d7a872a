//! `meridian override`: a person's word over the health of endpoints and the turn of branches, at the host or, when that is
//! gone, at the replicas themselves.

use super::switchover::who;
use crate::{cli, given, kubeconfig};
use anyhow::{Context, Result, bail};
use api::{ForceWord, Override, OverrideSpec, OverrideTerms};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;
use k8s_openapi::jiff::{SignedDuration, Timestamp};
use kube::Api;
use kube::api::{Patch, PatchParams};

/// Field manager of overrides that are made here.
const MANAGER: &str = "meridian-override";

/// Runs the command.
///
/// # Errors
/// Nobody takes it, or a replica refuses it.
pub(crate) async fn run(args: cli::Override) -> Result<()> {
    let mut object = Override::new(&name(&args), spec(&args)?);
    object.metadata.namespace.clone_from(&args.namespace);
    if args.at.is_empty() {
        return at_host(&args, object).await;
    }
    object
        .metadata
        .namespace
        .get_or_insert_with(|| "default".to_owned());
    object.metadata.creation_timestamp = Some(Time(Timestamp::now()));
    let mut refused = Vec::new();
    for folder in &args.at {
        match given::give(folder, &object).await {
            Ok(answer) => eprintln!("{}: {answer}", folder.display()),
            Err(why) => refused.push(format!("{}: {why:#}", folder.display())),
        }
    }
    if !refused.is_empty() {
        bail!("{}", refused.join("; "));
    }
    Ok(())
}

async fn at_host(args: &cli::Override, mut object: Override) -> Result<()> {
    let host = kubeconfig::client(kubeconfig::host(&args.host).await?)?;
    let namespace = args.namespace.clone();
    let namespace = namespace.unwrap_or_else(|| host.default_namespace().to_owned());
    object.metadata.namespace = Some(namespace.clone());
    let name = name(args);
    let api = Api::<Override>::namespaced(host, &namespace);
    let parameters = PatchParams::apply(MANAGER).force();
    let written = api.patch(&name, &parameters, &Patch::Apply(&object)).await;
    written.with_context(|| format!("Override {namespace}/{name}"))?;
    eprintln!(
        "Override {namespace}/{name} is written; 'kubectl -n {namespace} get overrides' says whether it is in force"
    );
    Ok(())
}

/// At the host, one for each thing that can be forced: what is said next takes its place. Given to a
/// replica, one for each time: nobody knows what the host still has.
fn name(args: &cli::Override) -> String {
    let part = args.branch.as_ref().or(args.cluster.as_ref());
    let part = part.map_or(String::new(), |part| format!("-{part}"));
    match args.at.is_empty() {
        true => format!("override-{}{part}", args.service),
        false => {
            let now = Timestamp::now().strftime("%Y%m%d%H%M%S");
            format!("given-{}{part}-{now}", args.service)
        }
    }
}

fn spec(args: &cli::Override) -> Result<OverrideSpec> {
    let ends = SignedDuration::try_from(args.lasting).context("--for")?;
    Ok(OverrideSpec {
        service: args.service.clone(),
        cluster: args.cluster.clone(),
        branch: args.branch.clone(),
        terms: OverrideTerms {
            force: match args.force {
                cli::Forced::Up => ForceWord::Up,
                cli::Forced::Down => ForceWord::Down,
                cli::Forced::Draining => ForceWord::Draining,
            },
            reason: args.reason.clone(),
            owner: args.owner.clone().unwrap_or_else(who),
            expires_at: Time(Timestamp::now() + ends),
            on_expiry: None,
        },
    })
}
