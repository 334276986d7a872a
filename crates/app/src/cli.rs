//! The command line: every flag, its default and its meaning.

mod dns;
mod objects;
mod overrides;

pub(crate) use dns::*;
pub(crate) use objects::*;
pub(crate) use overrides::*;

use crate::dns_listen::DnsListen;
use crate::known;
use crate::peers::PeersListen;
use clap::{Args, Parser, Subcommand, ValueEnum};
use controller::ExecPlugins;
use std::net::SocketAddr;
use std::path::PathBuf;

/// Kubernetes federation with an embedded, geo-aware, authoritative DNS server.
#[derive(Debug, Parser)]
#[command(
    name = "meridian",
    version,
    arg_required_else_help = true,
    max_term_width = 100
)]
pub(crate) struct Cli {
    /// What to do.
    #[command(subcommand)]
    pub(crate) command: Command,
    /// How much is logged on standard error, as kubefedctl counts it: from 4, all that is known
    #[arg(
        long = "v",
        global = true,
        value_name = "LEVEL",
        hide_short_help = true
    )]
    pub(crate) verbosity: Option<u8>,
}

/// The commands.
#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// Run the controller, the DNS server, or both, against a host cluster
    Run(Box<Run>),
    /// Show the whole product on this machine: a host, three members, a failing site
    Demo(Demo),
    /// Make a cluster a member: its service account, rights, token and KubeFedCluster
    Join(Join),
    /// Make a cluster no longer a member; what was propagated to it stays there
    Unjoin(Unjoin),
    /// Federate a type: its Federated CRD, with the type's schema, and its FederatedTypeConfig
    Enable(Enable),
    /// Federate a type no longer; what members hold stays
    Disable(Disable),
    /// Make a federated object of one that exists on the host
    Federate(Federate),
    /// Show what applying manifests would change in which member, or what an object's plan is now;
    /// nothing is changed
    Plan(Plan),
    /// Start Kubernetes clusters on this machine, for any tool to be tried on
    Fleet(Fleet),
    /// Say why each cluster holds a federated object or does not; or why a client is answered as it is
    Explain(Explain),
    /// List the last divisions of a workload's replicas
    History(History),
    /// Pin an earlier division of a workload's replicas
    Undo(Undo),
    /// List members, types, preferences, orphans or tombstones
    Get(Get),
    /// Say how far a changed template is, approve its next step, pause it
    Rollout(Rollout),
    /// Whether what was propagated stays when a federated object is deleted
    #[command(visible_alias = "orphaning-deletion")]
    Orphan(Orphan),
    /// Let a deletion go on that the deletion brake stopped
    Confirm(Confirm),
    /// Return replicas to a cluster that is healthy again
    Failback(Failback),
    /// Open the failover brake
    Failover(Failover),
    /// Empty a member: its traffic leaves, then the replicas that preferences divide
    Drain(Drain),
    /// Let traffic and replicas return to a member that was drained
    Uncordon(Drain),
    /// Hand a name over to another failover branch, with a preview and a file that proves it
    Switchover(Switchover),
    /// Force a service's endpoints or a failover branch; with --at, at a replica when the host is gone
    Override(Override),
    /// Stand in for a host that is no more
    AdoptHost(AdoptHost),
    /// Look at zones before they are served
    #[command(
        subcommand,
        after_help = "Example: meridian dns check deploy/demo/6-zone.yaml"
    )]
    Dns(Dns),
    /// Move over from KubeFed, and back
    Migrate(Migrate),
    /// Print what a shell needs to complete commands, and names that the host knows
    Completion(Completion),
    /// Print which version this is
    Version(Version),
}

/// Which host cluster, and where meridian keeps its own objects there.
#[derive(Clone, Debug, Args)]
pub(crate) struct Host {
    /// Kubeconfig of the host [default: as kubectl: $KUBECONFIG, ~/.kube/config, or the pod's own]
    #[arg(long, value_name = "FILE")]
    pub(crate) kubeconfig: Option<PathBuf>,
    /// Context of the host in that kubeconfig
    #[arg(
        long,
        visible_alias = "host-cluster-context",
        value_name = "CONTEXT",
        add = known::contexts()
    )]
    pub(crate) context: Option<String>,
    /// Namespace of meridian's own objects on the host
    #[arg(
        long,
        visible_alias = "kubefed-namespace",
        value_name = "NAMESPACE",
        default_value = api::names::SYSTEM_NAMESPACE
    )]
    pub(crate) system_namespace: String,
    /// A program that kubeconfigs in members' Secrets may have run to get a credential: the command as
    /// they name it, and where it is [default: none]
    #[arg(
        long = "exec-plugin",
        env = "MERIDIAN_EXEC_PLUGINS",
        value_name = "NAME=PATH",
        value_delimiter = ',',
        value_parser = exec_plugin,
        hide_short_help = true
    )]
    exec_plugins: Vec<(String, PathBuf)>,
}

impl Host {
    /// The programs that members' kubeconfigs may have run.
    pub(crate) fn exec_plugins(&self) -> ExecPlugins {
        self.exec_plugins.iter().cloned().collect()
    }
}

fn exec_plugin(said: &str) -> Result<(String, PathBuf), String> {
    match said.split_once('=') {
        Some((name, path)) if !name.is_empty() && path.starts_with('/') => {
            Ok((name.to_owned(), path.into()))
        }
        _ => Err("NAME=PATH is wanted, with a path from the root".to_owned()),
    }
}

/// `meridian run`.
#[derive(Clone, Debug, Args)]
#[command(after_help = "Example: meridian run --roles controller,dns --dns-listen 0.0.0.0:53")]
pub(crate) struct Run {
    #[command(flatten)]
    pub(crate) host: Host,
    /// What this process does
    #[arg(long, value_enum, value_delimiter = ',', default_values = ["controller", "dns"])]
    pub(crate) roles: Vec<Role>,
    /// Name of this replica: the holder of its Leases and the name of its ProbeReport
    /// [default: the machine's host name]
    #[arg(long, env = "POD_NAME", value_name = "NAME")]
    pub(crate) identity: Option<String>,
    /// City or region of this replica; observers in one of them fail together
    #[arg(long, value_name = "DOMAIN", default_value = "default")]
    pub(crate) failure_domain: String,
    /// Address of metrics, health and explanations
    #[arg(long, value_name = "ADDRESS", default_value = "127.0.0.1:9153")]
    pub(crate) http_listen: SocketAddr,
    /// Address of the webhook, in a process with the role webhook
    #[arg(long, value_name = "ADDRESS", default_value = "0.0.0.0:9443")]
    pub(crate) webhook_listen: SocketAddr,
    /// Country, city or ASN databases (MMDB); the built-in country database when none is given. A file
    /// that changes is read anew
    #[arg(long = "geo-database", value_name = "FILE")]
    pub(crate) geo_databases: Vec<PathBuf>,
    /// Lines that policies may name: a YAML file, from names to lists of asn and networks
    #[arg(long, value_name = "FILE")]
    pub(crate) geo_lines: Option<PathBuf>,
    /// Folder of the checkpoint from which answers go on after a restart without the host
    #[arg(long, value_name = "FOLDER", default_value = "/var/lib/meridian")]
    pub(crate) state_dir: PathBuf,
    #[command(flatten)]
    pub(crate) dns: DnsListen,
    #[command(flatten)]
    pub(crate) peers: PeersListen,
}

/// A role of a process. Roles exchange objects of the host only.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum Role {
    /// Propagate, divide replicas, keep statuses; one replica leads
    Controller,
    /// Probe endpoints and answer DNS
    Dns,
    /// Probe endpoints and answer nobody: a witness, so that a majority is left when a city is lost
    Observer,
    /// Tell the host's API server which objects cannot be used (deploy/webhook)
    Webhook,
}

/// `meridian demo`.
#[derive(Clone, Debug, Args)]
#[command(
    after_help = "Examples:\n  meridian demo --exit --json > timeline.json\n  \
                        meridian demo --scenario two-cities --exit"
)]
pub(crate) struct Demo {
    /// Which story is told
    #[arg(long, value_enum, default_value = "failover")]
    pub(crate) scenario: Scenario,
    /// End after the timeline, with status 0 only if every step met its bound
    #[arg(long)]
    pub(crate) exit: bool,
    /// Print the timeline with all samples as JSON on stdout, and nothing else there
    #[arg(long)]
    pub(crate) json: bool,
    /// Keep the product's own thresholds; the steps take minutes
    #[arg(long)]
    pub(crate) no_fast: bool,
    /// Port that answers DNS on 127.0.0.1 [default: 15353, or a free one when that is taken]
    #[arg(long, value_name = "PORT")]
    pub(crate) dns_port: Option<u16>,
}

/// A story of the demo.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum Scenario {
    /// Three sites: an API hangs, a site fails and returns, the host is killed
    Failover,
    /// Two active centres in a city, a standby in another: taken over by hand, given back in a ramp
    TwoCities,
}

/// `meridian join`.
#[derive(Clone, Debug, Args)]
#[command(
    after_help = "Example: meridian join frankfurt --cluster-kubeconfig eu.yaml --region eu-central"
)]
pub(crate) struct Join {
    /// Name of the member
    pub(crate) name: String,
    #[command(flatten)]
    pub(crate) host: Host,
    /// Kubeconfig of the cluster that joins [default: the host's]
    #[arg(long, value_name = "FILE")]
    pub(crate) cluster_kubeconfig: Option<PathBuf>,
    /// Context of the cluster that joins [default: the member's name, else the current context]
    #[arg(long, value_name = "CONTEXT")]
    pub(crate) cluster_context: Option<String>,
    /// Region [default: from the labels of its nodes]
    #[arg(long)]
    pub(crate) region: Option<String>,
    /// City; members of one city are one failure domain
    #[arg(long)]
    pub(crate) city: Option<String>,
    /// Coordinates in degrees, as LATITUDE,LONGITUDE
    #[arg(long, value_name = "LAT,LON", allow_hyphen_values = true)]
    pub(crate) location: Option<String>,
    /// Labels of the KubeFedCluster, for placement by selector
    #[arg(long, value_name = "KEY=VALUE")]
    pub(crate) label: Vec<String>,
    /// Name of the Secret on the host that keeps the member's token [default: NAME-token]
    #[arg(long, value_name = "NAME")]
    pub(crate) secret_name: Option<String>,
    /// Fail when the cluster is a member already; without, joining twice is joining once
    #[arg(long, value_name = "BOOL", num_args = 0..=1, default_missing_value = "true")]
    pub(crate) error_on_existing: Option<bool>,
    /// Grant what is federated now, and no more [default: as at the last join, else everything]
    #[arg(long, value_name = "BOOL", num_args = 0..=1, default_missing_value = "true")]
    pub(crate) least_privilege: Option<bool>,
    /// Of a member: grant what is federated now, and leave everything else as it is
    #[arg(long)]
    pub(crate) update_rbac: bool,
    /// As kubefedctl had it; accounts are named by the host's uid instead
    #[arg(long, value_name = "NAME", hide = true)]
    pub(crate) host_cluster_name: Option<String>,
    /// Say what would be done, and do nothing
    #[arg(long)]
    pub(crate) dry_run: bool,
    /// Print the KubeFedCluster; as a table it is what 'meridian get clusters' prints
    #[arg(short, long, value_enum, conflicts_with_all = ["dry_run", "update_rbac"])]
    pub(crate) output: Option<Output>,
}

/// `meridian unjoin`.
#[derive(Clone, Debug, Args)]
#[command(
    after_help = "Examples:\n  meridian unjoin eu-1 --cluster-context eu-1-admin\n  \
                        meridian unjoin eu-1 --purge --dry-run"
)]
pub(crate) struct Unjoin {
    #[command(flatten)]
    pub(crate) host: Host,
    /// Name of the member
    #[arg(add = known::clusters())]
    pub(crate) name: String,
    /// Kubeconfig of the member, whose service account for this host is removed [default: the
    /// host's]
    #[arg(long, value_name = "FILE")]
    pub(crate) cluster_kubeconfig: Option<PathBuf>,
    /// Its context [default: the one of the member's name, or the current one if it leads there]
    #[arg(long, value_name = "CONTEXT")]
    pub(crate) cluster_context: Option<String>,
    /// Delete there what was propagated; without, it stays. What was there before and was adopted is
    /// released
    #[arg(long)]
    pub(crate) purge: bool,
    /// Go on when the member cannot be reached
    #[arg(long)]
    pub(crate) force: bool,
    /// As kubefedctl had it; accounts are named by the host's uid instead
    #[arg(long, value_name = "NAME", hide = true)]
    pub(crate) host_cluster_name: Option<String>,
    /// Say what would be done, and do nothing
    #[arg(long)]
    pub(crate) dry_run: bool,
    /// How to print what is purged
    #[arg(short, long, value_enum, default_value = "table", requires = "purge")]
    pub(crate) output: Output,
}

/// `meridian enable`.
#[derive(Clone, Debug, Args)]
#[command(
    after_help = "Examples:\n  meridian enable statefulsets.apps\n  meridian enable \
                        certificates.cert-manager.io\n  meridian enable ingress -o yaml | kubectl apply \
                        --server-side -f -"
)]
pub(crate) struct Enable {
    #[command(flatten)]
    pub(crate) host: Host,
    /// The type: plural, singular, kind or short name, with its group where that is needed
    #[arg(
        value_name = "TYPE",
        required_unless_present = "filename",
        add = known::served_types()
    )]
    pub(crate) type_name: Option<String>,
    /// kubefedctl's EnableTypeDirective, which says the same
    #[arg(short, long, value_name = "FILE", conflicts_with = "type_name")]
    pub(crate) filename: Option<PathBuf>,
    /// Version of the type [default: the one that the host prefers]
    #[arg(long, value_name = "VERSION")]
    pub(crate) version: Option<String>,
    /// Group of the federated type
    #[arg(long, value_name = "GROUP", default_value = api::names::TYPES_GROUP)]
    pub(crate) federated_group: String,
    /// Version of the federated type
    #[arg(long, value_name = "VERSION", default_value = api::names::TYPES_VERSION)]
    pub(crate) federated_version: String,
    /// Print the manifests, and change nothing
    #[arg(short, long, value_enum)]
    pub(crate) output: Option<ManifestOutput>,
    /// The same, as YAML
    #[arg(long)]
    pub(crate) dry_run: bool,
}

impl Enable {
    /// A type by its name, and all else as it is by default.
    pub(crate) fn of(host: &Host, type_name: &str) -> Self {
        Self {
            host: host.clone(),
            type_name: Some(type_name.to_owned()),
            filename: None,
            version: None,
            federated_group: api::names::TYPES_GROUP.to_owned(),
            federated_version: api::names::TYPES_VERSION.to_owned(),
            output: None,
            dry_run: false,
        }
    }
}

/// How manifests are printed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum ManifestOutput {
    /// YAML, one document each
    Yaml,
    /// JSON, one List
    Json,
}

/// `meridian disable`.
#[derive(Clone, Debug, Args)]
#[command(after_help = "Example: meridian disable statefulsets.apps")]
pub(crate) struct Disable {
    #[command(flatten)]
    pub(crate) host: Host,
    /// The type, as for enable
    #[arg(value_name = "TYPE", add = known::types())]
    pub(crate) type_name: String,
    /// Delete the Federated CRD as well; refused while there are objects of it
    #[arg(long)]
    pub(crate) delete_crd: bool,
    /// Only in this version of the type [default: whichever is federated]
    #[arg(long, value_name = "VERSION", hide_short_help = true)]
    pub(crate) version: Option<String>,
    /// Only if this is the group of the federated type [default: whichever it is]
    #[arg(long, value_name = "GROUP", hide_short_help = true)]
    pub(crate) federated_group: Option<String>,
    /// Only if this is the version of the federated type [default: whichever it is]
    #[arg(long, value_name = "VERSION", hide_short_help = true)]
    pub(crate) federated_version: Option<String>,
    /// Say what would be done, and do nothing
    #[arg(long)]
    pub(crate) dry_run: bool,
}

/// `meridian federate`.
#[derive(Clone, Debug, Args)]
#[command(
    after_help = "Examples:\n  meridian federate service web -n shop\n  meridian federate \
                        namespace shop --contents -o yaml > shop.yaml\n  \
                        helm template web | meridian federate -f - | kubectl apply -f -"
)]
pub(crate) struct Federate {
    #[command(flatten)]
    pub(crate) host: Host,
    /// The type, as for enable; it is federated already, unless --enable-type
    #[arg(value_name = "TYPE", requires = "name", add = known::types())]
    pub(crate) type_name: Option<String>,
    /// Name of the object
    #[arg(required_unless_present = "filename", add = known::targets())]
    pub(crate) name: Option<String>,
    /// Manifests of plain objects, whose federated ones are printed; - reads standard input
    #[arg(short, long, value_name = "FILE", conflicts_with_all = ["type_name", "contents"])]
    pub(crate) filename: Option<PathBuf>,
    /// Federate the type first, where it is not
    #[arg(short = 't', long, requires = "name")]
    pub(crate) enable_type: bool,
    /// With --contents: types that are left out
    #[arg(
        short,
        long,
        value_name = "TYPE",
        value_delimiter = ',',
        requires = "contents"
    )]
    pub(crate) skip_api_resources: Vec<String>,
    /// Its namespace [default: the context's]
    #[arg(short, long, value_name = "NAMESPACE", add = known::namespaces())]
    pub(crate) namespace: Option<String>,
    /// With a namespace: what is in it too, of every federated type
    #[arg(short, long)]
    pub(crate) contents: bool,
    /// Print the manifests, and create nothing
    #[arg(short, long, value_enum)]
    pub(crate) output: Option<ManifestOutput>,
    /// The same, as YAML
    #[arg(long)]
    pub(crate) dry_run: bool,
}

/// `meridian completion`.
#[derive(Clone, Debug, Args)]
#[command(after_help = "Example: source <(meridian completion bash)")]
pub(crate) struct Completion {
    /// The shell
    #[arg(value_enum)]
    pub(crate) shell: clap_complete::Shell,
}

/// `meridian version`.
#[derive(Clone, Debug, Args)]
#[command(after_help = "Example: meridian version -o json")]
pub(crate) struct Version {
    /// How to print it
    #[arg(short, long, value_enum, default_value = "table")]
    pub(crate) output: Output,
}

/// `meridian fleet`.
#[derive(Clone, Debug, Args)]
#[command(after_help = FLEET_HELP)]
pub(crate) struct Fleet {
    #[command(subcommand)]
    pub(crate) command: FleetCommand,
}

/// What is done with a fleet.
#[derive(Clone, Debug, Subcommand)]
pub(crate) enum FleetCommand {
    /// Start clusters and write their kubeconfigs; they run until Ctrl-C
    #[command(after_help = "Example: meridian fleet up --clusters frankfurt,beijing --nodes 3")]
    Up(FleetUp),
    /// Break one of them, or mend it
    #[command(after_help = "Example: meridian fleet fault frankfurt api=down")]
    Fault(FleetFault),
    /// End them
    #[command(after_help = "Example: meridian fleet down")]
    Down(FleetDown),
}

/// `meridian fleet up`.
#[derive(Clone, Debug, Args)]
pub(crate) struct FleetUp {
    /// Names of the clusters
    #[arg(
        long,
        value_name = "NAME",
        value_delimiter = ',',
        conflicts_with = "count"
    )]
    pub(crate) clusters: Vec<String>,
    /// How many clusters, named cluster-1 and so on
    #[arg(
        long,
        value_name = "COUNT",
        default_value_t = 3,
        value_parser = clap::value_parser!(u16).range(1..=1000)
    )]
    pub(crate) count: u16,
    /// Nodes of each cluster
    #[arg(
        long,
        value_name = "COUNT",
        default_value_t = 1,
        value_parser = clap::value_parser!(u16).range(0..=1000)
    )]
    pub(crate) nodes: u16,
    /// Folder of what survives a restart [default: nothing does]
    #[arg(long, value_name = "FOLDER")]
    pub(crate) data_dir: Option<PathBuf>,
    /// Folder of the kubeconfigs
    #[arg(long, value_name = "FOLDER", default_value = FLEET_FOLDER)]
    pub(crate) dir: PathBuf,
}

/// `meridian fleet fault`.
#[derive(Clone, Debug, Args)]
pub(crate) struct FleetFault {
    /// Name of the cluster
    pub(crate) cluster: String,
    /// Faults as FIELD=STATE: api=down, api=hung, api=slow=200ms, api=429, data-plane=down, nodes.node-1=down, clock-skew-secs=60; or rules=FILE, compact, clear
    #[arg(required = true, value_name = "FAULT")]
    pub(crate) faults: Vec<String>,
    /// Folder of the kubeconfigs
    #[arg(long, value_name = "FOLDER", default_value = FLEET_FOLDER)]
    pub(crate) dir: PathBuf,
}

/// `meridian fleet down`.
#[derive(Clone, Debug, Args)]
pub(crate) struct FleetDown {
    /// Folder of the kubeconfigs
    #[arg(long, value_name = "FOLDER", default_value = FLEET_FOLDER)]
    pub(crate) dir: PathBuf,
}

/// Where kubeconfigs of a fleet are.
const FLEET_FOLDER: &str = "fleet";

const FLEET_HELP: &str = "\
Examples:
  meridian fleet up --clusters frankfurt,beijing --nodes 3
  kubectl --kubeconfig fleet/frankfurt.kubeconfig get nodes
  meridian fleet fault frankfurt api=slow=200ms data-plane=down
  meridian fleet fault frankfurt clear
  meridian fleet down";

/// How a command prints.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum Output {
    /// For people
    Table,
    /// For programs
    Json,
    /// For files
    Yaml,
}

#[cfg(test)]
mod deployment_tests;

#[cfg(test)]
mod tests {
    use super::*;
    use clap::CommandFactory;

    /// Examples of a command's help.
    fn examples(command: &clap::Command) -> Vec<String> {
        let help = command.get_after_help().map(ToString::to_string);
        let help = help.unwrap_or_default();
        let lines = help.lines().map(|line| {
            let line = line.trim_start();
            line.strip_prefix("Example: ").unwrap_or(line).to_owned()
        });
        lines.filter(|line| line.contains("meridian ")).collect()
    }

    fn check(command: &clap::Command, path: &str) {
        let path = format!("{path} {}", command.get_name());
        let examples = examples(command);
        assert!(!examples.is_empty(), "{path}: its help has no example");
        for example in examples {
            // What a pipe or a shell does with it is not ours.
            let at = example.find("meridian ").expect("it is ours");
            let own = example[at..]
                .split(['|', '>', ')'])
                .next()
                .unwrap_or_default();
            let quoted = own.split('\'').enumerate();
            let words = quoted.flat_map(|(index, part)| match index % 2 {
                0 => part.split_whitespace().collect(),
                _ => vec![part],
            });
            let parsed = Cli::try_parse_from(words);
            assert!(
                parsed.is_ok(),
                "{path}: {example}: {}",
                parsed.expect_err("it is not")
            );
        }
        let below = command
            .get_subcommands()
            .filter(|below| below.get_name() != "help");
        below.for_each(|below| check(below, &path));
    }

    #[test]
    fn every_command_has_examples_and_each_of_them_parses() {
        Cli::command().debug_assert();
        let root = Cli::command();
        root.get_subcommands()
            .for_each(|command| check(command, ""));
    }

    #[test]
    fn a_form_is_refused_where_nothing_is_printed_in_it() {
        let parsed = |line: &str| Cli::try_parse_from(format!("meridian {line}").split(' '));
        for line in [
            "join eu -o yaml --dry-run",
            "join eu -o yaml --update-rbac",
            "unjoin eu -o json",
        ] {
            let refused = parsed(line).expect_err(line).to_string();
            assert!(refused.contains("--output"), "{line}: {refused}");
        }
        for line in ["join eu -o yaml", "unjoin eu", "unjoin eu --purge -o json"] {
            assert!(parsed(line).is_ok(), "{line}");
        }
    }

    #[test]
    fn what_kubefedctl_took_is_taken() {
        for line in [
            "join eu --cluster-context eu --host-cluster-context host --v=2",
            "join eu --kubefed-namespace fed --host-cluster-name host --secret-name s",
            "unjoin eu --cluster-context eu --host-cluster-context host --v 2 --dry-run",
            "enable deployments.apps --federated-group types.example.com --version v1",
            "enable -f directive.yaml --output=yaml",
            "disable deployments.apps --delete-crd --dry-run",
            "disable deployments.apps --federated-group types.example.com --version v1",
            "version",
            "federate ns shop --contents --enable-type --skip-api-resources configmaps,apps",
            "federate deployment web -n shop -o yaml",
            "federate -f web.yaml",
            "orphaning-deletion enable federateddeployment web -n shop",
        ] {
            let words = format!("meridian {line}");
            let parsed = Cli::try_parse_from(words.split_whitespace());
            assert!(parsed.is_ok(), "{line}: {}", parsed.expect_err("it is not"));
        }
    }
}
