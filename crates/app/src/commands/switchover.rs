//! `meridian switchover`: hands a name over to another failover branch, with a preview, rules that
//! refuse what would hurt, and a file that proves what was done.
//!
//! ```text
//! look → refuse? → Override (force Up) → the branch answers → every replica's answers name it
//!      → none names what it named before → the last answer that did has outlived its TTL
//! ```

mod evidence;
mod look;

use crate::{cli, kubeconfig, output};
use anyhow::{Context, Result, bail, ensure};
use api::{ForceWord, GlobalService, OnExpiryWord, Override, OverrideTerms, ProbeReport};
use evidence::Evidence;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;
use k8s_openapi::jiff::{SignedDuration, Timestamp};
use kube::Api;
use kube::api::{DeleteParams, ListParams, Patch, PatchParams};
use look::{Look, Named, still_named, unchanged};
use serde_json::json;
use std::collections::BTreeSet;
use std::process::ExitCode;
use std::time::Duration;
use tokio::time::{Instant, sleep};

/// Between two looks at the host: objects are small, and a person waits.
const LOOK_AGAIN: Duration = Duration::from_millis(500);
/// Field manager of the override.
const MANAGER: &str = "meridian-switchover";

/// Runs the command.
///
/// # Errors
/// A rule refuses it, or the branch does not take over in time.
pub(crate) async fn run(args: cli::Switchover) -> Result<ExitCode> {
    if let Some(file) = &args.verify {
        let count = evidence::verify(file)?;
        eprintln!("{}: {count} entries, the chain is whole", file.display());
        return Ok(ExitCode::SUCCESS);
    }
    let host = kubeconfig::client(kubeconfig::host(&args.host).await?)?;
    let named = args.service.clone().context("SERVICE is wanted")?;
    let to = args
        .to
        .clone()
        .context("--to: the branch that is to answer")?;
    let namespace = match &args.namespace {
        Some(namespace) => namespace.clone(),
        None => host.default_namespace().to_owned(),
    };
    let switch = Switch {
        services: Api::namespaced(host.clone(), &namespace),
        overrides: Api::namespaced(host.clone(), &namespace),
        reports: Api::namespaced(host, &args.host.system_namespace),
        what: format!("GlobalService {namespace}/{named}"),
        name: named,
        to,
    };
    let look = switch.look().await?;
    let problems = look.problems(&switch.to);
    match args.output {
        cli::Output::Table => output::print(&look.preview(&switch.what, &switch.to)),
        form => {
            let told = json!({"service": switch.what, "to": switch.to, "forbidden": problems,
                "now": look.as_value()});
            output::structured(form, &told)?;
        }
    }
    if !problems.is_empty() {
        bail!(
            "{} is not handed over: {}",
            switch.what,
            problems.join("; ")
        );
    }
    if args.dry_run {
        return Ok(ExitCode::SUCCESS);
    }
    let reason = args.reason.clone().unwrap_or_default();
    ensure!(
        !reason.trim().is_empty(),
        "--reason: why, for those who read the evidence"
    );
    let file = args.evidence.clone().unwrap_or_else(|| {
        let at = Timestamp::now().strftime("%Y%m%dT%H%M%SZ");
        format!("switchover-{namespace}-{}-{at}.jsonl", switch.name).into()
    });
    let owner = args.owner.clone().unwrap_or_else(who);
    let mut evidence = Evidence::begin(&file, &owner)?;
    let done = switch
        .hand_over(&args, &reason, &owner, &look, &mut evidence)
        .await;
    if let Err(why) = &done {
        evidence.note("failed", json!({"why": format!("{why:#}")}))?;
    }
    eprintln!("evidence: {}", file.display());
    done.map(|()| ExitCode::SUCCESS)
}

struct Switch {
    services: Api<GlobalService>,
    overrides: Api<Override>,
    reports: Api<ProbeReport>,
    what: String,
    name: String,
    to: String,
}

impl Switch {
    async fn look(&self) -> Result<Look> {
        let found = self.services.get_opt(&self.name).await?;
        let service = found.with_context(|| format!("there is no {}", self.what))?;
        let reports = self.reports.list(&ListParams::default()).await?;
        Ok(Look::new(service, reports.items))
    }

    async fn hand_over(
        &self,
        args: &cli::Switchover,
        reason: &str,
        owner: &str,
        before: &Look,
        evidence: &mut Evidence,
    ) -> Result<()> {
        evidence.note(
            "asked",
            json!({"service": self.what, "to": self.to, "reason": reason,
                "before": before.as_value()}),
        )?;
        let began = Instant::now();
        let until = began + args.timeout;
        self.force(args, reason, owner).await?;
        evidence.note(
            "override written",
            json!({"override": self.override_name()}),
        )?;
        let taken = self.until_active(until).await;
        let Ok(active) = taken else {
            // What did not take over now must not do so later, unasked.
            let name = self.override_name();
            let gone = self.overrides.delete(&name, &DeleteParams::default()).await;
            gone.with_context(|| format!("Override {name} stays"))?;
            return taken.map(drop);
        };
        evidence.note("branch answers", json!({"branches": active.branches()}))?;
        eprintln!("{}: {} answers", self.what, self.to);
        let before = before.named();
        let same = |now: &[Named]| unchanged(&before, now);
        let (replicas, silent) = self.until_none(same, until).await?;
        evidence.note(
            "replicas answer",
            json!({"replicas": replicas, "as before": silent}),
        )?;
        if !silent.is_empty() {
            let silent = listed(&silent);
            eprintln!(
                "{}: {silent} did not say in time that answers are others now",
                self.what
            );
        }
        let same = |now: &[Named]| still_named(&before, now);
        let (replicas, still) = self.until_none(same, until).await?;
        if !still.is_empty() {
            evidence.note("still named", json!({"clusters": still}))?;
            let still = listed(&still);
            eprintln!(
                "{}: {still} is named beside it: traffic goes over in a ramp, or it is in both \
                 branches",
                self.what
            );
            return Ok(());
        }
        let last = replicas.iter().filter_map(Named::outlived_millis).max();
        let last = last.unwrap_or_default();
        let now = Timestamp::now().as_millisecond();
        let left = Duration::from_millis(u64::try_from(last - now).unwrap_or(0));
        sleep(left).await;
        let took = began.elapsed().as_secs_f64();
        evidence.note("stale answers outlived", json!({"tookSecs": took}))?;
        eprintln!(
            "{}: no answer that a replica gave before is valid any more, after {took:.1} s; open \
             connections are not DNS's to move",
            self.what
        );
        Ok(())
    }

    fn override_name(&self) -> String {
        format!("switchover-{}", self.name)
    }

    /// One override per service: the next switchover takes its place.
    async fn force(&self, args: &cli::Switchover, reason: &str, owner: &str) -> Result<()> {
        let ends = SignedDuration::try_from(args.lasting).context("--for")?;
        let spec = api::OverrideSpec {
            service: self.name.clone(),
            cluster: None,
            branch: Some(self.to.clone()),
            terms: OverrideTerms {
                force: ForceWord::Up,
                reason: reason.to_owned(),
                owner: owner.to_owned(),
                expires_at: Time(Timestamp::now() + ends),
                on_expiry: Some(OnExpiryWord::Release),
            },
        };
        let name = self.override_name();
        let object = Override::new(&name, spec);
        let parameters = PatchParams::apply(MANAGER).force();
        let patch = Patch::Apply(&object);
        let written = self.overrides.patch(&name, &parameters, &patch).await;
        written.with_context(|| format!("Override {name}"))?;
        Ok(())
    }

    async fn until_active(&self, until: Instant) -> Result<Look> {
        loop {
            let look = self.look().await?;
            if look.is_active(&self.to) {
                return Ok(look);
            }
            if Instant::now() >= until {
                bail!("{} did not take over: {}", self.to, look.why_not());
            }
            sleep(LOOK_AGAIN).await;
        }
    }

    /// Waits until none of what replicas answer is so; what replicas answer then, and what is so when
    /// the time is over.
    async fn until_none(
        &self,
        is_so: impl Fn(&[Named]) -> BTreeSet<String>,
        until: Instant,
    ) -> Result<(Vec<Named>, BTreeSet<String>)> {
        loop {
            let now = self.look().await?.named();
            let left = is_so(&now);
            if left.is_empty() || Instant::now() >= until {
                return Ok((now, left));
            }
            sleep(LOOK_AGAIN).await;
        }
    }
}

fn listed(names: &BTreeSet<String>) -> String {
    let names: Vec<&str> = names.iter().map(String::as_str).collect();
    names.join(", ")
}

/// The person, as far as this machine knows.
pub(super) fn who() -> String {
    let name = std::env::var("USER").unwrap_or_else(|_| "unknown".to_owned());
    match std::env::var("HOSTNAME") {
        Ok(host) => format!("{name}@{host}"),
        Err(_) => name,
    }
}
