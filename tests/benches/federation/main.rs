//! What federation costs besides the writes that it is for: one object on an idle system, an
//! update of all, a restart, many members, a member that is lost, and members far away.
//!
//! `just bench-federation` prints a table, and ends with a line of JSON for each kind of members:
//! pocketkube's always, real control planes when `KUBEBUILDER_ASSETS` names their binaries. The
//! product is the real binary, in a process of its own.
//!
//! | part | what is measured | beside it, in the same run |
//! |---|---|---|
//! | `latency` | from the creation of one federated ConfigMap on the host until watches of three members have shown it | a plain client applies one ConfigMap to the three members |
//! | `update` | from the first change of 1,000 federated ConfigMaps until all 3,000 copies are seen to have changed | a plain client applies the same 3,000 changes; `with host`: and makes the 1,000 changes of the host too, on objects of a like kind that nobody follows |
//! | `restart` | from the start of a process until it has looked at all of 10,000 objects, which three members hold already | its writes to members, which must be none, and its memory |
//! | `many` | from the creation of 100 federated ConfigMaps until 300 members hold them; then processor time in quiet | a plain client applies the same 30,000 objects |
//! | `far` | `update` with 50 and 150 ms between a request and each answer of the members | the same, as far away; and the 99th percentile of what another client's reads of a member take in quiet and meanwhile, at half the rate of a plain client (`paced`) and as fast as can be (`flat_out`), each beside a plain client that writes the same, and beside the changes on the host alone |
//! | `lost` | from the first replica that moves until the members that are left run what 1,000 federated Deployments had in a third that died | a plain client applies as many changes of replicas in the members that are left, which are at rest |
//! | `failover` | at the defaults: from the death of a member, API and what runs there, until DNS answers another's address, and until 50 Deployments have their replicas elsewhere; and before that, from when its API hangs until it is not Ready, and whether anything moves or any answer changes within 300 s | |
//!
//! `many`, `far` and `lost` need pocketkube. `-- PART…` measures these parts only, `-- pocketkube`
//! or `-- real` on one kind only, `-- --objects N` with other numbers than 10,000.

#[path = "../failover/ask.rs"]
mod ask;
mod bound;
mod failover;
mod far;
mod latency;
mod lost;
mod many;
mod objects;
mod reader;
mod reads;
mod report;
mod restart;
mod served;
mod site;
mod update;

use meridian_tests::sighted::Result;
use meridian_tests::world::Kind;
use report::Report;
use std::io::{self, Write};

/// That of the program which serves fleets to people.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

/// What was asked for.
struct Asked {
    kinds: Vec<Kind>,
    parts: Vec<&'static str>,
    objects: usize,
}

/// In the order in which they are measured.
const PARTS: [&str; 7] = [
    "latency", "update", "restart", "many", "far", "lost", "failover",
];
/// Objects that a restart meets.
const RESTART_OBJECTS: usize = 10_000;

#[tokio::main]
async fn main() -> Result<()> {
    let asked = asked(std::env::args().skip(1))?;
    let mut lines = Vec::new();
    for kind in &asked.kinds {
        match site::missing(*kind) {
            Some(why) => writeln!(io::stdout(), "{why}")?,
            None => lines.push(Box::pin(measure(*kind, &asked)).await?),
        }
    }
    let mut out = io::stdout().lock();
    writeln!(out)?;
    for line in lines {
        writeln!(out, "{line}")?;
    }
    Ok(())
}

async fn measure(kind: Kind, asked: &Asked) -> Result<String> {
    let mut report = Report::of(kind);
    let on_three = ["latency", "update", "restart"];
    if on_three.iter().any(|part| asked.parts.contains(part)) {
        let mut world = site::three(kind).await;
        for part in &asked.parts {
            match *part {
                "latency" => latency::measure(&world, &mut report).await?,
                "update" => update::measure(&world, &mut report).await?,
                "restart" => restart::measure(&mut world, asked.objects, &mut report).await?,
                _ => {}
            }
        }
    }
    for part in asked.parts.iter().filter(|_| kind == Kind::Pocketkube) {
        match *part {
            "many" => many::measure(&mut report).await?,
            "far" => far::measure(&mut report).await?,
            "lost" => Box::pin(lost::measure(&mut report)).await?,
            _ => {}
        }
    }
    if asked.parts.contains(&"failover") {
        Box::pin(failover::measure(kind, &mut report)).await?;
    }
    report.print()?;
    Ok(report.json())
}

fn asked(arguments: impl Iterator<Item = String>) -> Result<Asked> {
    let (mut kinds, mut parts, mut objects) = (Vec::new(), Vec::new(), RESTART_OBJECTS);
    let mut arguments = arguments;
    while let Some(argument) = arguments.next() {
        match argument.as_str() {
            // Cargo says it to every benchmark.
            "--bench" => {}
            "pocketkube" => kinds.push(Kind::Pocketkube),
            "real" => kinds.push(Kind::Real),
            "--objects" => {
                let number = arguments.next().and_then(|number| number.parse().ok());
                objects = number.ok_or("--objects wants a number")?;
            }
            part => match PARTS.iter().find(|known| **known == part) {
                Some(part) => parts.push(*part),
                None => return Err(format!("{part:?} is none of {PARTS:?}").into()),
            },
        }
    }
    if kinds.is_empty() {
        kinds = vec![Kind::Pocketkube, Kind::Real];
    }
    if parts.is_empty() {
        parts = PARTS.to_vec();
    }
    Ok(Asked {
        kinds,
        parts,
        objects,
    })
}
