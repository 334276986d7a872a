//! Members that are far away.

use crate::bound::Distance;
use crate::report::{Report, percentile};
use crate::site;
use crate::update::Updates;
use meridian_tests::sighted::Result;
use meridian_tests::world::Kind;
use std::time::Duration;

/// Between a request and its answer, besides what the answer takes.
const DELAYS_MS: [u64; 2] = [50, 150];
/// How long another client reads while nothing is written.
const QUIET: Duration = Duration::from_secs(10);
/// No run has this edition or a later one.
const EDITIONS_OF_RUNS: usize = 100;

/// See the benchmark's head.
pub(crate) async fn measure(report: &mut Report) -> Result<()> {
    let world = site::three(Kind::Pocketkube).await;
    let updates = Updates::furnish(&world, "far").await?;
    for (number, delay) in DELAYS_MS.into_iter().enumerate() {
        let members: Vec<String> = world.members().map(|m| m.name().to_owned()).collect();
        for member in &members {
            world.slow_api(member, Duration::from_millis(delay));
        }
        // A member is as far away as it was when the controller met it.
        world.take_controller().stop();
        let controller = world.lead(&format!("far-{delay}")).await;
        world.give_controller(controller);
        let run = updates.run(number + 1, Distance::Far).await?;
        report.add(&format!("far_{delay}_ms_seconds"), run.seconds);
        report.add(&format!("far_{delay}_ms_bound_seconds"), run.bound_seconds);
        report.add(
            &format!("far_{delay}_ms_ratio"),
            run.seconds / run.bound_seconds,
        );

        let reader = updates.reader();
        tokio::time::sleep(QUIET).await;
        let quiet = percentile(&reader.end().await?, 0.99);
        let reader = updates.reader();
        updates.change(EDITIONS_OF_RUNS + number).await?;
        let busy = percentile(&reader.end().await?, 0.99);
        let reader = updates.reader();
        updates.change_plain(EDITIONS_OF_RUNS + number).await?;
        let plain = percentile(&reader.end().await?, 0.99);
        for (name, seconds) in [("quiet", quiet), ("meanwhile", busy), ("plain", plain)] {
            report.add(
                &format!("far_{delay}_ms_reads_{name}_p99_ms"),
                seconds * 1000.0,
            );
        }
        report.add(&format!("far_{delay}_ms_reads_ratio"), busy / quiet);
    }
    Ok(())
}
