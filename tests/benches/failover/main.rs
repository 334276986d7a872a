//! How long a failure lasts, from the fault to the last client: 50 failures of one site each.
//!
//! `just bench-failover` starts a fleet of pocketkube clusters, the real binary as a controller and as
//! three DNS replicas, processes of their own, and a caching unbound in front of these. Each service has a
//! site that answers and one that stands by. A site is lost by going silent: it takes connections and
//! says nothing more, which is slower to notice than a refusal. Faults come at random moments, so that
//! no probe knows of them, and side by side, since services do not wait for each other.
//!
//! | moment | what |
//! |---|---|
//! | T0 | the site goes silent |
//! | T1 | the last replica's own verdict, by its ProbeReport |
//! | T2 | the last replica's answer has changed |
//! | T3 | the last answer of unbound that names the lost site |
//! | T4 | the first good request of a client behind unbound to the other site |
//!
//! All are in milliseconds after T0. Of 50 samples the 99th percentile is the greatest. Then the
//! replicas are restarted one after the other under 100,000 queries: what is answered must be right.
//! `-- defaults`, `-- fastest`, `-- restart` measure a part; `-- --failures N` with fewer.

mod ask;
mod fleet;
mod measure;
mod report;
mod restart;
mod unbound;

use fleet::{Fleet, Pace};
use meridian_tests::sighted::Result;
use report::Report;
use std::io::{self, Write};

/// In the order in which they are measured.
const PARTS: [&str; 3] = ["defaults", "fastest", "restart"];
/// Failures of each kind.
const FAILURES: usize = 50;

#[tokio::main]
async fn main() -> Result<()> {
    let (parts, failures) = asked(std::env::args().skip(1))?;
    let mut report = Report::default();
    let mut fleet = Fleet::start().await?;
    for (name, pace) in [("defaults", Pace::Defaults), ("fastest", Pace::Fastest)] {
        if parts.contains(&name) {
            let samples = measure::failures(&fleet, pace, failures).await?;
            report.add(name, &samples);
        }
    }
    if parts.contains(&"restart") {
        report.restart = Some(Box::pin(restart::measure(&mut fleet)).await?);
    }
    report.print()?;
    let line = report.json();
    writeln!(io::stdout(), "{line}")?;
    match report.kept() {
        true => Ok(()),
        false => Err("a bound was not kept".into()),
    }
}

fn asked(arguments: impl Iterator<Item = String>) -> Result<(Vec<&'static str>, usize)> {
    let (mut parts, mut failures) = (Vec::new(), FAILURES);
    let mut arguments = arguments;
    while let Some(argument) = arguments.next() {
        match argument.as_str() {
            // Cargo says it to every benchmark.
            "--bench" => {}
            "--failures" => {
                let number = arguments.next().and_then(|number| number.parse().ok());
                failures = number.ok_or("--failures wants a number")?;
            }
            part => match PARTS.iter().find(|known| **known == part) {
                Some(part) => parts.push(*part),
                None => return Err(format!("{part:?} is none of {PARTS:?}").into()),
            },
        }
    }
    if parts.is_empty() {
        parts = PARTS.to_vec();
    }
    Ok((parts, failures))
}
