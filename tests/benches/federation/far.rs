//! Members that are far away.

use crate::bound::Distance;
use crate::reads;
use crate::report::{Figure, Report};
use crate::site;
use crate::update::{Updated, Updates, median};
use meridian_tests::sighted::Result;
use meridian_tests::world::Kind;
use std::time::Duration;

/// Between a request and its answer, besides what the answer takes.
const DELAYS_MS: [u64; 2] = [50, 150];
/// Measurements; the median counts.
const RUNS: usize = 3;

/// See the benchmark's head.
pub(crate) async fn measure(report: &mut Report) -> Result<()> {
    let world = site::three(Kind::Pocketkube).await;
    let updates = Updates::furnish(&world, "far").await?;
    for delay in DELAYS_MS {
        let members: Vec<String> = world.members().map(|m| m.name().to_owned()).collect();
        for member in &members {
            world.slow_api(member, Duration::from_millis(delay));
        }
        // A member is as far away as it was when the controller met it.
        world.take_controller().stop();
        let controller = world.lead(&format!("far-{delay}")).await;
        world.give_controller(controller);
        let runs = updates.runs(Distance::Far, RUNS).await?;
        let figures: [Figure<Updated>; 3] = [
            ("seconds", |run| run.seconds),
            ("bound_seconds", |run| run.bound_seconds),
            ("ratio", |run| run.seconds / run.bound_seconds),
        ];
        for (name, of) in figures {
            report.add(&format!("far_{delay}_ms_{name}"), median(&runs, of));
        }

        let both = median(&runs, |run| run.bound_with_host_seconds);
        reads::measure(&updates, both, &format!("far_{delay}_ms_reads"), report).await?;
    }
    Ok(())
}
