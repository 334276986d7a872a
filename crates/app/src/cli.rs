//! The command line: every flag, its default and its meaning.

use crate::dns_listen::DnsListen;
use clap::{Args, Parser, Subcommand, ValueEnum};
use std::net::{IpAddr, SocketAddr};
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
}

/// The commands.
#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// Run the controller, the DNS server, or both, against a host cluster
    Run(Run),
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
    /// Show what applying manifests would change in which member, and change nothing
    Plan(Plan),
    /// Start Kubernetes clusters on this machine, for any tool to be tried on
    Fleet(Fleet),
    /// Say why a client is answered as it is
    Explain(Explain),
    /// Print what a shell needs to complete commands
    Completion(Completion),
}

/// Which host cluster, and where meridian keeps its own objects there.
#[derive(Clone, Debug, Args)]
pub(crate) struct Host {
    /// Kubeconfig of the host [default: as kubectl: $KUBECONFIG, ~/.kube/config, or the pod's own]
    #[arg(long, value_name = "FILE")]
    pub(crate) kubeconfig: Option<PathBuf>,
    /// Context of the host in that kubeconfig
    #[arg(long, visible_alias = "host-cluster-context", value_name = "CONTEXT")]
    pub(crate) context: Option<String>,
    /// Namespace of meridian's own objects on the host
    #[arg(
        long,
        visible_alias = "kubefed-namespace",
        value_name = "NAMESPACE",
        default_value = api::names::SYSTEM_NAMESPACE
    )]
    pub(crate) system_namespace: String,
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
    /// Country or city databases (MMDB); the built-in country database when none is given
    #[arg(long = "geo-database", value_name = "FILE")]
    pub(crate) geo_databases: Vec<PathBuf>,
    /// Folder of the checkpoint from which answers go on after a restart without the host
    #[arg(long, value_name = "FOLDER", default_value = "/var/lib/meridian")]
    pub(crate) state_dir: PathBuf,
    #[command(flatten)]
    pub(crate) dns: DnsListen,
}

/// A role of a process. Roles exchange objects of the host only.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum Role {
    /// Propagate, divide replicas, keep statuses; one replica leads
    Controller,
    /// Probe endpoints and answer DNS
    Dns,
}

/// `meridian demo`.
#[derive(Clone, Debug, Args)]
#[command(after_help = "Example: meridian demo --exit --json > timeline.json")]
pub(crate) struct Demo {
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
}

/// `meridian unjoin`.
#[derive(Clone, Debug, Args)]
#[command(after_help = "Example: meridian unjoin eu-1 --cluster-context eu-1-admin")]
pub(crate) struct Unjoin {
    #[command(flatten)]
    pub(crate) host: Host,
    /// Name of the member
    pub(crate) name: String,
    /// Kubeconfig of the member, whose service account for this host is removed [default: the
    /// host's]
    #[arg(long, value_name = "FILE")]
    pub(crate) cluster_kubeconfig: Option<PathBuf>,
    /// Its context [default: the one of the member's name, or the current one if it leads there]
    #[arg(long, value_name = "CONTEXT")]
    pub(crate) cluster_context: Option<String>,
    /// Go on when the member cannot be reached
    #[arg(long)]
    pub(crate) force: bool,
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
    #[arg(value_name = "TYPE")]
    pub(crate) type_name: String,
    /// Group of the federated type
    #[arg(long, value_name = "GROUP", default_value = api::names::TYPES_GROUP)]
    pub(crate) federated_group: String,
    /// Version of the federated type
    #[arg(long, value_name = "VERSION", default_value = api::names::TYPES_VERSION)]
    pub(crate) federated_version: String,
    /// Print the manifests, and change nothing
    #[arg(short, long, value_enum)]
    pub(crate) output: Option<ManifestOutput>,
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
    #[arg(value_name = "TYPE")]
    pub(crate) type_name: String,
    /// Delete the Federated CRD as well; refused while there are objects of it
    #[arg(long)]
    pub(crate) delete_crd: bool,
}

/// `meridian federate`.
#[derive(Clone, Debug, Args)]
#[command(
    after_help = "Examples:\n  meridian federate deployment web -n shop\n  meridian federate \
                        namespace shop --contents -o yaml > shop.yaml"
)]
pub(crate) struct Federate {
    #[command(flatten)]
    pub(crate) host: Host,
    /// The type, as for enable; it is federated already
    #[arg(value_name = "TYPE")]
    pub(crate) type_name: String,
    /// Name of the object
    pub(crate) name: String,
    /// Its namespace [default: the context's]
    #[arg(short, long, value_name = "NAMESPACE")]
    pub(crate) namespace: Option<String>,
    /// With a namespace: what is in it too, of every federated type
    #[arg(short, long)]
    pub(crate) contents: bool,
    /// Print the manifests, and create nothing
    #[arg(short, long, value_enum)]
    pub(crate) output: Option<ManifestOutput>,
}

/// `meridian completion`.
#[derive(Clone, Debug, Args)]
#[command(after_help = "Example: source <(meridian completion bash)")]
pub(crate) struct Completion {
    /// The shell
    #[arg(value_enum)]
    pub(crate) shell: clap_complete::Shell,
}

/// `meridian plan`.
#[derive(Clone, Debug, Args)]
#[command(after_help = PLAN_HELP)]
pub(crate) struct Plan {
    #[command(flatten)]
    pub(crate) host: Host,
    /// Files or folders of manifests (.yaml, .yml, .json); - reads standard input
    #[arg(short = 'f', long = "filename", value_name = "FILE", required = true)]
    pub(crate) files: Vec<PathBuf>,
    /// How to print it
    #[arg(short, long, value_enum, default_value = "table")]
    pub(crate) output: Output,
}

const PLAN_HELP: &str = "\
What is shown is the plan that the controller would apply. The host is read once, every member that \
is ready is asked for the objects, and nothing is written. Values of Secrets are never shown.

Exit codes:
  0  nothing would change
  2  something would change, or a member's part is not known
  1  an error; in a manifest, it is named with file, document and field

Examples:
  meridian plan -f deploy/demo
  meridian plan -f 3-deployment.yaml -f 5-preference.yaml -o json
  kustomize build eu | meridian plan -f -";

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
    Up(FleetUp),
    /// Break one of them, or mend it
    Fault(FleetFault),
    /// End them
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
    /// Faults as FIELD=STATE: api=down, api=hung, api=slow=200ms, api=429, data-plane=down; or clear
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

/// `meridian explain`.
#[derive(Clone, Debug, Args)]
#[command(
    after_help = "Examples:\n  meridian explain shop.example.org --from 203.0.113.7\n  \
                  meridian explain shop.example.org --from 203.0.113.7 --when-down frankfurt"
)]
pub(crate) struct Explain {
    /// The name that is asked for
    pub(crate) name: String,
    /// Address of the client, or of the resolver it uses
    #[arg(long, value_name = "ADDRESS")]
    pub(crate) from: IpAddr,
    /// As if this cluster were down
    #[arg(long, value_name = "CLUSTER")]
    pub(crate) when_down: Option<String>,
    /// The replica to ask: the address of its --http-listen
    #[arg(long, value_name = "ADDRESS", default_value = "127.0.0.1:9153")]
    pub(crate) at: SocketAddr,
    /// How to print it
    #[arg(short, long, value_enum, default_value = "table")]
    pub(crate) output: Output,
}

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
