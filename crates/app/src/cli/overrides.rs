//! `meridian override`: flags.

use super::Host;
use super::objects::duration;
use crate::known;
use clap::{Args, ValueEnum};
use std::path::PathBuf;

/// `meridian override`.
#[derive(Clone, Debug, Args)]
#[command(
    after_help = "Examples:\n  meridian override shop -n shop --cluster frankfurt --force down --reason 'disk \
                  controller is replaced'\n  meridian override shop -n shop --branch city-b --force up \
                  --reason 'city A and the host are lost' --at /var/lib/meridian"
)]
pub(crate) struct Override {
    #[command(flatten)]
    pub(crate) host: Host,
    /// Name of the GlobalService
    #[arg(value_name = "SERVICE", add = known::services())]
    pub(crate) service: String,
    /// Its namespace [default: the context's; with --at, default]
    #[arg(short, long, value_name = "NAMESPACE", add = known::namespaces())]
    pub(crate) namespace: Option<String>,
    /// A failover branch
    #[arg(long, value_name = "BRANCH", conflicts_with = "cluster")]
    pub(crate) branch: Option<String>,
    /// Only its endpoints in this cluster
    #[arg(long, value_name = "CLUSTER", add = known::clusters())]
    pub(crate) cluster: Option<String>,
    /// What is forced
    #[arg(long, value_enum)]
    pub(crate) force: Forced,
    /// Why, for those who read it at night
    #[arg(long, value_name = "TEXT")]
    pub(crate) reason: String,
    /// Who answers for it [default: the user of this machine]
    #[arg(long, value_name = "NAME")]
    pub(crate) owner: Option<String>,
    /// How long it lasts
    #[arg(long = "for", value_name = "DURATION", default_value = "24h", value_parser = duration)]
    pub(crate) lasting: std::time::Duration,
    /// Not at the host, but at the replica on this machine with this --state-dir; several may be named.
    /// It is written to the host when that is back
    #[arg(long, value_name = "FOLDER")]
    pub(crate) at: Vec<PathBuf>,
}

/// What is forced.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum Forced {
    /// Counts as up; a branch takes over
    Up,
    /// Gets no traffic
    Down,
    /// Gets traffic only when nothing else is left
    Draining,
}
