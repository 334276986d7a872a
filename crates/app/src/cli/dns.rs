//! Commands about zones.

use super::Output;
use clap::{Args, Subcommand};
use std::path::PathBuf;

/// `meridian dns`.
#[derive(Clone, Debug, Subcommand)]
pub(crate) enum Dns {
    /// Say what is wrong with zone files and Zone objects, and on which line
    Check(DnsCheck),
}

/// `meridian dns check`.
#[derive(Clone, Debug, Args)]
#[command(
    after_help = "Exit status: 0 when every zone can be served, 1 when one cannot; warnings alone \
                  are 0.\n\nExamples:\n  meridian dns check deploy/demo/6-zone.yaml\n  meridian dns \
                  check --origin example.org zones/example.org\n  kubectl get zones -A -o yaml | \
                  meridian dns check -"
)]
pub(crate) struct DnsCheck {
    /// Zone files, or manifests of kind Zone; - reads standard input
    #[arg(required = true, value_name = "FILE")]
    pub(crate) files: Vec<PathBuf>,
    /// The zone of a zone file [default: its $ORIGIN, else the file's name, as in example.org.zone]
    #[arg(long, value_name = "NAME")]
    pub(crate) origin: Option<String>,
    /// How findings are printed
    #[arg(short, long, value_enum, default_value_t = Output::Table)]
    pub(crate) output: Output,
}
