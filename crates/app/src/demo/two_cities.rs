//! `meridian demo --scenario two-cities`: two active centres in a city, a standby in another
//! (两地三中心). City A is lost, a person hands over to B, A returns, and a person hands back.

use super::dig;
use super::timeline::{Check, Step, Timeline};
use super::view::{DataOnly, View};
use super::world::{Fault, HOST, NAME, NAMESPACE, Site, Stage, World};
use crate::cli;
use crate::run::Running;
use anyhow::{Context, Result, ensure};
use std::collections::BTreeSet;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::process::ExitCode;
use std::time::{Duration, Instant};

const A1: &str = "beijing-1";
const A2: &str = "beijing-2";
const B: &str = "shanghai";

/// A client near city A; where it is does not matter to this policy.
const CLIENT: IpAddr = IpAddr::V4(Ipv4Addr::new(166, 111, 4, 100));
/// Between two questions.
const ASK_AGAIN: Duration = Duration::from_millis(20);
/// So many answers in a row that name nothing else are no chance: a half has one in a million.
const ALIKE: usize = 20;
/// From the start to everything served.
const SERVED_WITHIN: Duration = Duration::from_secs(60);
/// From a fault, or a person's word, to the last answer that is otherwise.
const WITHIN: Duration = Duration::from_secs(10);
/// How long nothing must move.
const STILL: Duration = Duration::from_secs(3);

const STAGE: Stage = Stage {
    sites: &[
        site(A1, ("cn-north", "cn-north-1", "beijing"), (39.90, 116.40)),
        site(A2, ("cn-north", "cn-north-2", "beijing"), (39.80, 116.50)),
        site(B, ("cn-east", "cn-east-1", "shanghai"), (31.23, 121.47)),
    ],
    manifests: &[
        (
            "1-namespace.yaml",
            include_str!("../../../../deploy/demo-two-cities/1-namespace.yaml"),
        ),
        (
            "2-deployment.yaml",
            include_str!("../../../../deploy/demo-two-cities/2-deployment.yaml"),
        ),
        (
            "3-service.yaml",
            include_str!("../../../../deploy/demo-two-cities/3-service.yaml"),
        ),
        (
            "4-zone.yaml",
            include_str!("../../../../deploy/demo-two-cities/4-zone.yaml"),
        ),
        (
            "5-global-service.yaml",
            include_str!("../../../../deploy/demo-two-cities/5-global-service.yaml"),
        ),
    ],
};

const fn site(
    name: &'static str,
    (region, zone, city): (&'static str, &'static str, &'static str),
    location: (f64, f64),
) -> Site {
    Site {
        name,
        region,
        zone,
        city,
        location,
    }
}

/// Runs the scenario.
///
/// # Errors
/// The demo could not be set up or driven.
pub(super) async fn run(args: cli::Demo) -> Result<ExitCode> {
    let began = Instant::now();
    let data_only = match args.json {
        true => DataOnly::Yes,
        false => DataOnly::No,
    };
    let mut view = View::new(began, data_only, &[]);
    let dns = super::dns_address(args.dns_port)?;
    view.heading("meridian: two active centres in city A, a standby in city B");
    let mut world = World::start(STAGE).await?;
    let namespace = api::names::SYSTEM_NAMESPACE;
    view.doing("installing the CRDs, joining the members, applying deploy/demo-two-cities");
    world.install(namespace).await?;
    let state = tempfile::tempdir().context("no folder for the demo's state")?;
    let running = super::start(&world, dns, state.path()).await?;
    world.apply(namespace, &[]).await?;
    world.learn_addresses(super::ADDRESS_PATIENCE).await?;
    let mut story = Story {
        world: &world,
        dns: running.dns[0],
        view: &mut view,
        began,
        evidence: state.path(),
        timeline: Timeline::default(),
    };
    let told = tokio::select! {
        told = story.tell() => told,
        () = crate::run::stop_signal() => Err(anyhow::anyhow!("stopped before the story's end")),
    };
    let timeline = std::mem::take(&mut story.timeline);
    view.text(&timeline.text());
    if args.json {
        crate::output::print(&(serde_json::to_string(&timeline)? + "\n"));
    }
    if told.is_ok() && !args.exit {
        view.text(&what_to_try(&world, &running));
        crate::run::stop_signal().await;
    }
    running.stop().await;
    told?;
    Ok(match timeline.met() {
        true => ExitCode::SUCCESS,
        false => ExitCode::FAILURE,
    })
}

fn what_to_try(world: &World, running: &Running) -> String {
    let (host, dns) = (world.kubeconfig(HOST), running.dns[0]);
    let (host, ip, port) = (host.display(), dns.ip(), dns.port());
    format!(
        "\nIt stays up until Ctrl-C. To try:\n  dig @{ip} -p {port} {NAME}\n  kubectl --kubeconfig \
         {host} -n {NAMESPACE} get globalservices\n  meridian switchover shop -n {NAMESPACE} --to \
         city-b --kubeconfig {host} --dry-run\n"
    )
}

struct Story<'a> {
    world: &'a World,
    dns: SocketAddr,
    view: &'a mut View,
    began: Instant,
    evidence: &'a std::path::Path,
    timeline: Timeline,
}

impl Story<'_> {
    async fn tell(&mut self) -> Result<()> {
        let both = self.until_named(&[A1, A2], SERVED_WITHIN).await;
        ensure!(
            both.is_some(),
            "not served within {} s",
            SERVED_WITHIN.as_secs()
        );
        let check = Check::within("answers name both centres of city A", both, SERVED_WITHIN);
        self.end("Both centres of city A share the traffic", vec![check]);

        self.view.doing(&format!("{A1} fails"));
        self.world.fault(A1, Fault::SiteDown).await?;
        let took = self.until_named(&[A2], WITHIN).await;
        let check = Check::within("the other takes all of it", took, WITHIN);
        self.end("One centre of city A fails", vec![check]);

        self.view.doing(&format!("{A2} fails as well"));
        self.world.fault(A2, Fault::SiteDown).await?;
        let still = self.never_named(B, STILL).await;
        let check = Check::holds("city B, which waits for a person, is not named", still);
        self.end("City A is lost", vec![check]);

        self.view.doing("meridian switchover shop --to city-b");
        let (took, done) = self
            .switch_over("city-b", "city A is lost", &[B], WITHIN)
            .await?;
        let checks = vec![
            Check::within("answers name city B", took, WITHIN),
            Check::holds("the evidence is whole", done),
        ];
        self.end("A person hands over to city B", checks);

        self.view.doing("city A returns");
        self.world.fault(A1, Fault::None).await?;
        self.world.fault(A2, Fault::None).await?;
        let still = self.never_named(A1, STILL).await && self.never_named(A2, STILL).await;
        let check = Check::holds("nothing moves until somebody asks", still);
        self.end("City A returns", vec![check]);

        self.view.doing("meridian switchover shop --to city-a");
        let (took, done) = self
            .switch_over("city-a", "city A is well again", &[A1, A2], 2 * WITHIN)
            .await?;
        let checks = vec![
            Check::within(
                "traffic is back in city A, in a ramp of 5 s",
                took,
                2 * WITHIN,
            ),
            Check::holds("the evidence is whole", done),
        ];
        self.end("A person hands back to city A", checks);
        Ok(())
    }

    async fn named(&self) -> Option<String> {
        let answer = dig::ask(self.dns, NAME, CLIENT, rand::random())
            .await
            .ok()?;
        let address = answer.addresses.first()?;
        Some(self.world.name_of(*address))
    }

    /// Waits until answers name all of these and nothing else; how long it took until they began to.
    async fn until_named(&self, wanted: &[&str], bound: Duration) -> Option<Duration> {
        let since = Instant::now();
        let (mut alike, mut seen, mut began) = (0, BTreeSet::new(), None);
        while since.elapsed() < 2 * bound {
            match self.named().await {
                Some(name) if wanted.contains(&name.as_str()) => {
                    began.get_or_insert_with(|| since.elapsed());
                    alike += 1;
                    seen.insert(name);
                }
                _ => (alike, seen, began) = (0, BTreeSet::new(), None),
            }
            if alike >= ALIKE && seen.len() == wanted.len() {
                return began;
            }
            tokio::time::sleep(ASK_AGAIN).await;
        }
        None
    }

    async fn never_named(&self, member: &str, during: Duration) -> bool {
        let since = Instant::now();
        while since.elapsed() < during {
            if self.named().await.is_some_and(|name| name == member) {
                return false;
            }
            tokio::time::sleep(ASK_AGAIN).await;
        }
        true
    }

    /// As its user would: the command, by itself. How long it took from its start until answers named
    /// these, as clients see it, and whether its evidence holds.
    async fn switch_over(
        &mut self,
        to: &str,
        reason: &str,
        wanted: &[&str],
        bound: Duration,
    ) -> Result<(Option<Duration>, bool)> {
        let file = self.evidence.join(format!("switchover-to-{to}.jsonl"));
        let host = self.world.kubeconfig(HOST);
        let (file, host) = (file.display().to_string(), host.display().to_string());
        let words = [
            "switchover",
            "shop",
            "-n",
            NAMESPACE,
            "--to",
            to,
            "--reason",
            reason,
        ];
        let words = [&words[..], &["--evidence", &file, "--kubeconfig", &host]].concat();
        let command = meridian(words.iter().map(|word| (*word).to_owned()).collect());
        let (said, took) = tokio::join!(command, self.until_named(wanted, bound));
        said?.lines().for_each(|line| self.view.line(line));
        let verify = vec!["switchover".to_owned(), "--verify".to_owned(), file];
        Ok((took, meridian(verify).await.is_ok()))
    }

    fn end(&mut self, title: &str, checks: Vec<Check>) {
        let number = u32::try_from(self.timeline.steps.len() + 1).unwrap_or(u32::MAX);
        self.view.heading(&format!("{number}. {title}"));
        for check in &checks {
            self.view.line(&check.line());
        }
        self.timeline.steps.push(Step {
            number,
            title: title.to_owned(),
            at_secs: self.began.elapsed().as_secs_f64(),
            lines: Vec::new(),
            checks,
        });
    }
}

/// Runs this program with these words; what it printed.
async fn meridian(words: Vec<String>) -> Result<String> {
    let program = std::env::current_exe().context("where this program is")?;
    let running = move || std::process::Command::new(program).args(words).output();
    let output = tokio::task::spawn_blocking(running).await??;
    let errors = String::from_utf8_lossy(&output.stderr);
    ensure!(output.status.success(), "switchover: {errors}");
    Ok(String::from_utf8_lossy(&output.stdout).into_owned() + &errors)
}
