//! `meridian demo`: a host and three members in the process, and the whole story on them.

mod dig;
mod pace;
mod samples;
mod story;
mod timeline;
mod two_cities;
mod view;
mod world;

use crate::cli::{self, Role};
use crate::dns_listen::DnsListen;
use crate::geography::GeoFiles;
use crate::peers::PeersListen;
use crate::run::{self, Running};
use anyhow::{Context, Result};
use controller::ExecPlugins;
use pace::Pace;
use samples::{Samples, Viewer};
use std::net::{IpAddr, Ipv4Addr, SocketAddr, UdpSocket};
use std::process::ExitCode;
use std::time::{Duration, Instant};
use story::Story;
use timeline::Timeline;
use tokio::task::JoinSet;
use view::{DataOnly, View};
use world::{APPLICATION, HOST, NAME, NAMESPACE, PORT, STAGE, World};

/// The port that is tried first, so that the README's lines work as they stand.
const DNS_PORT: u16 = 15_353;
/// How long load balancers may take to get their addresses.
const ADDRESS_PATIENCE: Duration = Duration::from_secs(60);

/// Clients in three cities; the prefixes are those cities' universities'.
fn viewers() -> Vec<Viewer> {
    let viewer = |city, address: [u8; 4], near_failing| Viewer {
        city,
        address: IpAddr::V4(Ipv4Addr::from(address)),
        near_failing,
    };
    vec![
        viewer("Beijing", [166, 111, 4, 100], true),
        viewer("Berlin", [141, 20, 1, 31], false),
        viewer("São Paulo", [143, 107, 1, 1], false),
    ]
}

/// Runs the command.
///
/// # Errors
/// The demo could not be set up or driven.
pub(crate) async fn run(args: cli::Demo) -> Result<ExitCode> {
    match args.scenario {
        cli::Scenario::Failover => failover(args).await,
        cli::Scenario::TwoCities => two_cities::run(args).await,
    }
}

async fn failover(args: cli::Demo) -> Result<ExitCode> {
    let began = Instant::now();
    let data_only = if args.json {
        DataOnly::Yes
    } else {
        DataOnly::No
    };
    let viewers = viewers();
    let mut view = View::new(began, data_only, &viewers);
    let pace = if args.no_fast {
        Pace::product()
    } else {
        Pace::fast()
    };
    let namespace = api::names::SYSTEM_NAMESPACE;
    let dns = dns_address(args.dns_port)?;

    view.heading("meridian: a host and three members, in this process");
    let world = World::start(STAGE).await?;
    view.members(&world.members().keys().cloned().collect::<Vec<_>>());
    view.doing("installing the CRDs and joining the members");
    world.install(namespace).await?;
    let state = tempfile::tempdir().context("no folder for the demo's state")?;
    let running = start(&world, dns, state.path()).await?;
    let mut demo = Demo {
        args,
        world,
        running,
        view,
        viewers,
        pace,
        began,
    };
    let outcome = demo.play().await;
    demo.running.stop().await;
    outcome
}

/// Everything that runs.
struct Demo {
    args: cli::Demo,
    world: World,
    running: Running,
    view: View,
    viewers: Vec<Viewer>,
    pace: Pace,
    began: Instant,
}

impl Demo {
    /// Applies the manifests, tells the story, and stays up when that is asked for.
    async fn play(&mut self) -> Result<ExitCode> {
        self.view.doing("applying deploy/demo");
        self.world
            .apply(api::names::SYSTEM_NAMESPACE, &self.pace.patches)
            .await?;
        let samples = Samples::new(self.began);
        let mut samplers = JoinSet::new();
        for (cluster, client) in self.world.members() {
            let client = client.clone();
            let config = self.world.deleted_config;
            let tasks = &mut samplers;
            samples::sample_member(
                tasks,
                &samples,
                cluster,
                client,
                NAMESPACE,
                APPLICATION,
                config,
            );
        }
        self.world.learn_addresses(ADDRESS_PATIENCE).await?;
        let dns = self.running.dns[0];
        samples::sample_answers(&mut samplers, &samples, dns, NAME, &self.viewers);
        let timeline = self.tell(&samples).await?;
        self.view.text(&timeline.text());
        if self.args.json {
            crate::output::print(&(serde_json::to_string(&timeline)? + "\n"));
        }
        if !self.args.exit {
            let text = what_to_try(&self.world, &self.running, &self.viewers);
            self.view.text(&text);
            run::stop_signal().await;
        }
        samplers.shutdown().await;
        Ok(if timeline.met() {
            ExitCode::SUCCESS
        } else {
            ExitCode::FAILURE
        })
    }

    async fn tell(&mut self, samples: &Samples) -> Result<Timeline> {
        let patches = self.pace.patches.iter().map(pace::Patch::line).collect();
        let mut story = Story {
            world: &self.world,
            samples,
            view: &mut self.view,
            viewers: &self.viewers,
            pace: &self.pace,
            began: self.began,
            timeline: Timeline {
                patches,
                ..Timeline::default()
            },
        };
        let told = tokio::select! {
            told = story.tell() => told,
            () = run::stop_signal() => Err(anyhow::anyhow!("stopped before the story's end")),
        };
        let mut timeline = std::mem::take(&mut story.timeline);
        timeline.samples = samples.all();
        told.with_context(|| timeline.text())?;
        Ok(timeline)
    }
}

async fn start(world: &World, dns: SocketAddr, state: &std::path::Path) -> Result<Running> {
    let loopback = |port| SocketAddr::from((Ipv4Addr::LOCALHOST, port));
    run::start(run::Options {
        host: world.host(),
        system_namespace: api::names::SYSTEM_NAMESPACE.to_owned(),
        roles: vec![Role::Controller, Role::Dns],
        identity: "demo".to_owned(),
        failure_domain: "demo".to_owned(),
        dns: DnsListen::plain(vec![dns]),
        peers: PeersListen::default(),
        http_listen: loopback(0),
        webhook_listen: loopback(0),
        plugins: ExecPlugins::default(),
        geo: GeoFiles::default(),
        state_dir: state.to_owned(),
    })
    .await
}

/// The address that was asked for, else the usual one, else a free one.
fn dns_address(port: Option<u16>) -> Result<SocketAddr> {
    let address = |port| SocketAddr::from((Ipv4Addr::LOCALHOST, port));
    match port {
        Some(port) => {
            UdpSocket::bind(address(port)).with_context(|| {
                format!(
                    "cannot answer DNS on {}; choose another with --dns-port",
                    address(port)
                )
            })?;
            Ok(address(port))
        }
        None if UdpSocket::bind(address(DNS_PORT)).is_ok() => Ok(address(DNS_PORT)),
        None => Ok(address(0)),
    }
}

/// Lines to type, with the ports and files of this run.
fn what_to_try(world: &World, running: &Running, viewers: &[Viewer]) -> String {
    let dns = running.dns[0];
    let mut text = String::from("\nIt stays up until Ctrl-C. To try:\n");
    for viewer in viewers {
        text.push_str(&format!(
            "  dig @{} -p {} {NAME} +subnet={}/24   # {}\n",
            dns.ip(),
            dns.port(),
            viewer.address,
            viewer.city
        ));
    }
    let host = world.kubeconfig(HOST);
    text.push_str(&format!(
        "  kubectl --kubeconfig {} get kfc -A\n",
        host.display()
    ));
    text.push_str(&format!(
        "  kubectl --kubeconfig {} -n {NAMESPACE} get federateddeployments,rsp,globalservices\n",
        host.display()
    ));
    for member in world.members().keys() {
        let file = world.kubeconfig(member);
        text.push_str(&format!(
            "  kubectl --kubeconfig {} -n {NAMESPACE} get deploy,pods,svc -o wide\n",
            file.display()
        ));
        text.push_str(&format!(
            "  curl http://{}:{PORT}/\n",
            world.address_of(member)
        ));
    }
    text.push_str(&format!(
        "  meridian explain {NAME} --from {} --at {}\n",
        viewers[0].address, running.http
    ));
    let control = world.control_url();
    text.push_str(&format!(
        "  curl -X PUT {control}/pocketkube/clusters/frankfurt/faults -d '{{\"api\":\"down\",\"dataPlane\":\"down\"}}'\n"
    ));
    text
}
