//! Commands about one federated object, and about what the host holds.

use super::{Host, Output};
use crate::known;
use clap::{Args, Subcommand, ValueEnum};
use std::net::{IpAddr, SocketAddr};
use std::path::PathBuf;

/// A federated object of the host.
#[derive(Clone, Debug, Args)]
pub(crate) struct Which {
    #[command(flatten)]
    pub(crate) host: Host,
    /// Its type: of the target or of the federated object, as kubectl takes types
    #[arg(value_name = "TYPE", add = known::types())]
    pub(crate) type_name: String,
    /// Its name
    #[arg(add = known::objects())]
    pub(crate) name: String,
    /// Its namespace [default: the context's]
    #[arg(short, long, value_name = "NAMESPACE", add = known::namespaces())]
    pub(crate) namespace: Option<String>,
}

/// `meridian plan`.
#[derive(Clone, Debug, Args)]
#[command(after_help = PLAN_HELP)]
pub(crate) struct Plan {
    #[command(flatten)]
    pub(crate) host: Host,
    /// Type of an object of the host, to plan it as it stands
    #[arg(
        value_name = "TYPE",
        requires = "name",
        conflicts_with = "files",
        add = known::types()
    )]
    pub(crate) type_name: Option<String>,
    /// Its name
    #[arg(add = known::objects())]
    pub(crate) name: Option<String>,
    /// Its namespace [default: the context's]
    #[arg(
        short,
        long,
        value_name = "NAMESPACE",
        requires = "name",
        add = known::namespaces()
    )]
    pub(crate) namespace: Option<String>,
    /// Files or folders of manifests (.yaml, .yml, .json); - reads standard input
    #[arg(
        short = 'f',
        long = "filename",
        value_name = "FILE",
        num_args = 1..,
        required_unless_present = "name"
    )]
    pub(crate) files: Vec<PathBuf>,
    /// Read the folders below as well
    #[arg(short = 'R', long, requires = "files")]
    pub(crate) recursive: bool,
    /// Databases of the DNS replicas, to count which clients a GlobalService moves
    #[arg(long = "geo-database", value_name = "FILE", requires = "files")]
    pub(crate) geo_databases: Vec<PathBuf>,
    /// How to print it
    #[arg(short, long, value_enum, default_value = "table")]
    pub(crate) output: Output,
}

const PLAN_HELP: &str = "\
What is shown is the plan that the controller would apply. The host is read once, every member that \
is ready is asked for the objects, and nothing is written. Values of Secrets are never shown. Of a \
GlobalService, the share of public addresses that would be answered otherwise is counted.

Exit codes:
  0  nothing would change
  2  something would change, or a member's part is not known
  1  an error; in a manifest, it is named with file, document and field

Examples:
  meridian plan deployment web -n shop
  meridian plan -f deploy/demo
  meridian plan -f deploy/demo/3-deployment.yaml deploy/demo/5-preference.yaml -o json
  kustomize build eu | meridian plan -f -";

/// `meridian explain`.
#[derive(Clone, Debug, Args)]
#[command(
    after_help = "Examples:\n  meridian explain deployment web -n shop\n  \
                  meridian explain shop.example.org --from 203.0.113.7\n  \
                  meridian explain shop.example.org --from 203.0.113.7 --when-down frankfurt"
)]
pub(crate) struct Explain {
    #[command(flatten)]
    pub(crate) host: Host,
    /// Type of a federated object; or the DNS name that is asked for
    #[arg(value_name = "TYPE|DNS-NAME", add = known::types())]
    pub(crate) subject: String,
    /// Name of the federated object
    #[arg(conflicts_with_all = ["from", "when_down"], add = known::objects())]
    pub(crate) name: Option<String>,
    /// Its namespace [default: the context's]
    #[arg(
        short,
        long,
        value_name = "NAMESPACE",
        requires = "name",
        add = known::namespaces()
    )]
    pub(crate) namespace: Option<String>,
    /// Address of the client, or of the resolver it uses
    #[arg(long, value_name = "ADDRESS", required_unless_present = "name")]
    pub(crate) from: Option<IpAddr>,
    /// As if this cluster were down
    #[arg(long, value_name = "CLUSTER", add = known::clusters())]
    pub(crate) when_down: Option<String>,
    /// The replica to ask: the address of its --http-listen
    #[arg(long, value_name = "ADDRESS", default_value = "127.0.0.1:9153")]
    pub(crate) at: SocketAddr,
    /// How to print it
    #[arg(short, long, value_enum, default_value = "table")]
    pub(crate) output: Output,
}

/// `meridian history`.
#[derive(Clone, Debug, Args)]
#[command(after_help = "Example: meridian history deployment web -n shop")]
pub(crate) struct History {
    #[command(flatten)]
    pub(crate) which: Which,
    /// How to print it
    #[arg(short, long, value_enum, default_value = "table")]
    pub(crate) output: Output,
}

/// `meridian undo`.
#[derive(Clone, Debug, Args)]
#[command(after_help = UNDO_HELP)]
pub(crate) struct Undo {
    #[command(flatten)]
    pub(crate) which: Which,
    /// Which division, as history numbers them
    #[arg(long, value_name = "NUMBER", default_value_t = 1)]
    pub(crate) to: usize,
    /// Take the pin away: the preference's spec counts again
    #[arg(long, conflicts_with = "to")]
    pub(crate) release: bool,
}

const UNDO_HELP: &str = "\
A division of replicas is pinned by an annotation of the scheduling preference; its spec stays as it \
is written. Templates are not changed: what is known of their changes is printed.

Examples:
  meridian undo deployment web -n shop
  meridian undo deployment web -n shop --to 2
  meridian undo deployment web -n shop --release";

/// `meridian orphan`.
#[derive(Clone, Debug, Args)]
#[command(after_help = "Example: meridian orphan status deployment web -n shop")]
pub(crate) struct Orphan {
    #[command(subcommand)]
    pub(crate) command: OrphanCommand,
}

/// What is done about it.
#[derive(Clone, Debug, Subcommand)]
pub(crate) enum OrphanCommand {
    /// Keep what was propagated when the federated object is deleted
    #[command(after_help = "Example: meridian orphan enable deployment web -n shop")]
    Enable(Which),
    /// Delete it with the federated object, as by default
    #[command(after_help = "Example: meridian orphan disable deployment web -n shop")]
    Disable(Which),
    /// Say which of the two it is
    #[command(after_help = "Example: meridian orphan status deployment web -n shop")]
    Status(OrphanStatus),
}

/// `meridian orphan status`.
#[derive(Clone, Debug, Args)]
pub(crate) struct OrphanStatus {
    #[command(flatten)]
    pub(crate) which: Which,
    /// How to print it
    #[arg(short, long, value_enum, default_value = "table")]
    pub(crate) output: Output,
}

/// `meridian rollout`.
#[derive(Clone, Debug, Args)]
#[command(after_help = "Example: meridian rollout status deployment web -n shop")]
pub(crate) struct Rollout {
    #[command(subcommand)]
    pub(crate) command: RolloutCommand,
}

/// What is done about it.
#[derive(Clone, Debug, Subcommand)]
pub(crate) enum RolloutCommand {
    /// Say how far a changed template is, until it has been everywhere
    #[command(after_help = ROLLOUT_STATUS_HELP)]
    Status(RolloutStatus),
    /// Let the step begin that waits for approval (spec.rollout.pause: Manual)
    #[command(after_help = "Example: meridian rollout approve deployment web -n shop")]
    Approve(Which),
    /// Hold the object as it is in every cluster
    #[command(after_help = "Example: meridian rollout pause deployment web -n shop")]
    Pause(Which),
    /// Let it go on
    #[command(after_help = "Example: meridian rollout resume deployment web -n shop")]
    Resume(Which),
}

/// `meridian rollout status`.
#[derive(Clone, Debug, Args)]
pub(crate) struct RolloutStatus {
    #[command(flatten)]
    pub(crate) which: Which,
    /// Wait until it ends
    #[arg(
        short,
        long,
        value_name = "BOOL",
        num_args = 0..=1,
        require_equals = true,
        default_value = "true",
        default_missing_value = "true",
        action = clap::ArgAction::Set
    )]
    pub(crate) watch: bool,
    /// How long to wait; 0s is for ever
    #[arg(long, value_name = "DURATION", default_value = "0s", value_parser = duration)]
    pub(crate) timeout: std::time::Duration,
    /// How to print it; JSON and YAML are printed once, at the end
    #[arg(short, long, value_enum, default_value = "table")]
    pub(crate) output: Output,
}

const ROLLOUT_STATUS_HELP: &str = "\
As kubectl's: each change of its standing is a line, and the command ends when the change is \
everywhere and available there. An object without spec.rollout is everywhere when it is Ready.

Exit codes:
  0  the change is everywhere; with --watch=false, or it is on its way
  1  it is stalled: somebody is needed; or it took longer than --timeout

Examples:
  meridian rollout status deployment web -n shop
  meridian rollout status deployment web -n shop --timeout 10m
  meridian rollout status deployment web -n shop --watch=false -o json";

/// `meridian confirm`.
#[derive(Clone, Debug, Args)]
#[command(after_help = "Example: meridian confirm configmap prices -n shop --cluster berlin")]
pub(crate) struct Confirm {
    #[command(flatten)]
    pub(crate) which: Which,
    /// Clusters in which the deletion may go on [default: all of them]
    #[arg(
        long,
        value_name = "CLUSTER",
        value_delimiter = ',',
        add = known::clusters()
    )]
    pub(crate) cluster: Vec<String>,
}

/// `meridian failback`.
#[derive(Clone, Debug, Args)]
#[command(after_help = "Example: meridian failback deployment web -n shop --cluster berlin")]
pub(crate) struct Failback {
    #[command(flatten)]
    pub(crate) which: Which,
    /// Clusters whose replicas return [default: every one that is healthy again]
    #[arg(
        long,
        value_name = "CLUSTER",
        value_delimiter = ',',
        add = known::clusters()
    )]
    pub(crate) cluster: Vec<String>,
}

/// `meridian drain` and `meridian uncordon`.
#[derive(Clone, Debug, Args)]
#[command(after_help = "Example: meridian drain berlin")]
pub(crate) struct Drain {
    #[command(flatten)]
    pub(crate) host: Host,
    /// The member
    #[arg(value_name = "CLUSTER", add = known::clusters())]
    pub(crate) name: String,
    /// Print the KubeFedCluster; as a table it is what 'meridian get clusters' prints
    #[arg(short, long, value_enum)]
    pub(crate) output: Option<Output>,
}

/// `meridian switchover`.
#[derive(Clone, Debug, Args)]
#[command(
    after_help = "Examples:\n  meridian switchover shop -n shop --to city-b --dry-run\n  \
                        meridian switchover shop -n shop --to city-b --reason 'city A lost power'\n  \
                        meridian switchover --verify switchover-shop-shop-20300101T000000Z.jsonl"
)]
pub(crate) struct Switchover {
    #[command(flatten)]
    pub(crate) host: Host,
    /// Name of the GlobalService
    #[arg(
        value_name = "SERVICE",
        required_unless_present = "verify",
        add = known::services()
    )]
    pub(crate) service: Option<String>,
    /// Its namespace [default: the context's]
    #[arg(short, long, value_name = "NAMESPACE", add = known::namespaces())]
    pub(crate) namespace: Option<String>,
    /// The failover branch that is to answer
    #[arg(long, value_name = "BRANCH", required_unless_present = "verify")]
    pub(crate) to: Option<String>,
    /// Why; wanted unless --dry-run
    #[arg(long, value_name = "TEXT")]
    pub(crate) reason: Option<String>,
    /// Who answers for it [default: the user of this machine]
    #[arg(long, value_name = "NAME")]
    pub(crate) owner: Option<String>,
    /// How long the override lasts; a branch with manual fail-back stays after it
    #[arg(long = "for", value_name = "DURATION", default_value = "24h", value_parser = duration)]
    pub(crate) lasting: std::time::Duration,
    /// How long the branch may take
    #[arg(long, value_name = "DURATION", default_value = "2m", value_parser = duration)]
    pub(crate) timeout: std::time::Duration,
    /// Where each step is written down, hash-chained [default: a new file in this folder]
    #[arg(long, value_name = "FILE")]
    pub(crate) evidence: Option<PathBuf>,
    /// Show how it stands and what forbids it, and do nothing
    #[arg(long)]
    pub(crate) dry_run: bool,
    /// How that is shown
    #[arg(short, long, value_enum, default_value_t = Output::Table)]
    pub(crate) output: Output,
    /// Check a file of evidence instead
    #[arg(long, value_name = "FILE", conflicts_with_all = ["service", "to", "dry_run", "output"])]
    pub(crate) verify: Option<PathBuf>,
}

/// As Kubernetes writes them: `90s`, `2m`, `24h`.
pub(super) fn duration(text: &str) -> Result<std::time::Duration, String> {
    let read: kube::core::Duration = text.parse().map_err(|why| format!("{why}"))?;
    Ok(read.into())
}

/// `meridian failover`.
#[derive(Clone, Debug, Args)]
#[command(after_help = "Example: meridian failover release --reason 'both sites lost power'")]
pub(crate) struct Failover {
    #[command(subcommand)]
    pub(crate) command: FailoverCommand,
}

/// What is done about it.
#[derive(Clone, Debug, Subcommand)]
pub(crate) enum FailoverCommand {
    /// Believe the loss of several failure domains for an hour, and move their replicas
    #[command(after_help = "Example: meridian failover release --reason 'both sites lost power'")]
    Release(Release),
}

/// `meridian failover release`.
#[derive(Clone, Debug, Args)]
pub(crate) struct Release {
    #[command(flatten)]
    pub(crate) host: Host,
    /// Why they are believed to be lost; it is told in an Event
    #[arg(long, value_name = "TEXT")]
    pub(crate) reason: String,
}

/// `meridian adopt-host`.
#[derive(Clone, Debug, Args)]
#[command(after_help = ADOPT_HELP)]
pub(crate) struct AdoptHost {
    #[command(flatten)]
    pub(crate) host: Host,
    /// Uid of the host that is no more, as statuses name it
    #[arg(long, value_name = "UID")]
    pub(crate) from: String,
}

const ADOPT_HELP: &str = "\
A host that was built anew has another uid (of its namespace kube-system; where the scope is \
Namespaced, of the system namespace), and leaves what the old one had propagated alone. With this, \
it takes that over where it has federated objects of the same names.

Example: meridian adopt-host --from 0d6ac0a6-0d9f-4a8e-8f0e-2a5d8a2f6b11";

/// `meridian get`.
#[derive(Clone, Debug, Args)]
#[command(
    after_help = "Examples:\n  meridian get clusters\n  meridian get orphans -o json\n  \
                  meridian get preferences"
)]
pub(crate) struct Get {
    #[command(flatten)]
    pub(crate) host: Host,
    /// What
    #[arg(value_enum)]
    pub(crate) what: What,
    /// How to print it
    #[arg(short, long, value_enum, default_value = "table")]
    pub(crate) output: Output,
}

/// What the host has, in short.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum What {
    /// The members
    Clusters,
    /// The federated types
    Types,
    /// The scheduling preferences, and how they divide
    Preferences,
    /// Objects in members that say they are propagated, and whose federated object is not there
    Orphans,
    /// Deletions owed to members that were away
    Tombstones,
}

/// `meridian migrate`.
#[derive(Clone, Debug, Args)]
#[command(after_help = MIGRATE_HELP)]
pub(crate) struct Migrate {
    #[command(flatten)]
    pub(crate) host: Host,
    /// What is moved over from
    #[arg(long, value_enum)]
    pub(crate) from: MigrateFrom,
    /// Do it; without, only the plan is printed
    #[arg(long)]
    pub(crate) apply: bool,
    /// With --apply: also where meridian would change what members run
    #[arg(long, requires = "apply")]
    pub(crate) accept_changes: bool,
    /// The way back: make everything KubeFed's again
    #[arg(long, conflicts_with_all = ["apply", "accept_changes"])]
    pub(crate) undo: bool,
    /// How to print the plan
    #[arg(short, long, value_enum, default_value = "table")]
    pub(crate) output: Output,
}

/// Where one comes from.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum MigrateFrom {
    /// KubeFed v2
    Kubefed,
}

const MIGRATE_HELP: &str = "\
KubeFed must not run: scale its Deployment to 0 first; what members run stays as it is. The plan asks \
each member, as a trial, what becomes of each object. --apply then hands the fields that KubeFed wrote \
over to meridian, in members, so that a field which later leaves a template leaves them too; brings \
the definitions on the host up to date; and puts KubeFed's admission webhooks aside. No spec is \
changed and no Pod restarted. --undo is the way back.

Exit codes of the plan:
  0  nothing stands in the way
  2  members would be changed, or some cannot be asked
  1  KubeFed runs, or another error

Examples:
  meridian migrate --from kubefed
  meridian migrate --from kubefed --apply
  meridian migrate --from kubefed --undo";
