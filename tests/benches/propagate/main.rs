//! How long 1,000 federated ConfigMaps take to three members, beside the bound of the same run.
//!
//! `just bench-propagate` prints a table, and ends with a line of JSON for each kind of members:
//! pocketkube's always, real control planes when `KUBEBUILDER_ASSETS` names their binaries.
//!
//! | number | what it is |
//! |---|---|
//! | `seconds` | from the first creation on the host to the moment at which watches of the members have shown all 3,000 objects, as whoever runs `kubectl apply` waits for it: their own writes to the host are in it |
//! | `created_seconds` | of these, until the host has taken the last creation: no propagation can be faster |
//! | `placed_seconds` | the same 3,000, when all objects are on the host and their namespace is federated then |
//! | `bound_seconds` | a plain client writes the same 3,000 objects into the members, with nothing between, and the same watches tell when; the best of several numbers of requests in flight |
//! | `create_bound_seconds` | the same with plain creations |
//! | `ratio`, `placed_ratio` | `seconds` and `placed_seconds` by `bound_seconds` |
//! | `host_writes_per_object` | all mutating requests to the host from the first creation until every status says so; the user's own, Events and Leases apart |
//!
//! The bound applies (server-side), since that is what owning fields takes: a creation leaves no
//! entry that could tell later who owns what, and costs an API server less.
//!
//! `-- --runs N` measures N times, and the medians count; `-- pocketkube` or `-- real` measures on
//! one kind only.

mod bound;
mod furnish;
mod host_writes;
mod propagate;
mod report;
mod sighted;
mod site;

use report::Figures;
use site::{Members, Site};
use std::error::Error;
use std::io::{self, Write};

/// Federated objects.
const OBJECTS: usize = 1_000;
/// Bytes of data in each.
const DATA_BYTES: usize = 1_024;
/// Members, each of which gets every object.
const MEMBERS: [&str; 3] = ["member-1", "member-2", "member-3"];
/// Measurements of each number, unless `--runs` says otherwise; the median counts.
const RUNS: usize = 3;

type Result<T> = std::result::Result<T, Box<dyn Error + Send + Sync>>;

#[tokio::main]
async fn main() -> Result<()> {
    let arguments: Vec<String> = std::env::args().collect();
    let runs = runs(&arguments)?;
    let mut lines = Vec::new();
    for members in Members::chosen(&arguments) {
        match Site::start(members).await? {
            Ok(site) => lines.push(measure(&site, members, runs).await?),
            Err(why) => writeln!(io::stdout(), "{why}")?,
        }
    }
    let mut out = io::stdout().lock();
    writeln!(out)?;
    for line in lines {
        writeln!(out, "{line}")?;
    }
    Ok(())
}

/// `--runs N`.
fn runs(arguments: &[String]) -> Result<usize> {
    let at = arguments.iter().position(|argument| argument == "--runs");
    let Some(at) = at else { return Ok(RUNS) };
    let number = arguments.get(at + 1).and_then(|text| text.parse().ok());
    match number {
        Some(number) if number > 0 => Ok(number),
        _ => Err("--runs wants a number above 0".into()),
    }
}

/// Measures everything `runs` times, bound and propagation by turns: what else the machine does
/// meets both.
async fn measure(site: &Site, members: Members, runs: usize) -> Result<String> {
    let mut figures = Figures::default();
    for run in 1..=runs {
        figures.bound(bound::best(site, run).await?);
        figures.propagated(propagate::as_created(site, run).await?);
        figures.placed(propagate::when_placed(site, run).await?);
        writeln!(io::stderr(), "{members}: run {run} of {runs}")?;
    }
    figures.print(members)?;
    Ok(figures.json(members))
}
