//! What another client's reads of a member take while everything changes.
//!
//! All API servers, the product and whoever measures share one machine: while its processors are
//! busy, reads take longer whoever keeps them so. `flat_out` is how it is then: by the product, by a
//! plain client, and by the changes on the host alone, of which no member hears. The other figures
//! are of half that rate, where the machine has processors to spare and what is done to the member
//! is what is seen.

use crate::bound::Request;
use crate::objects::{WRITER_IN_FLIGHT, all};
use crate::reader::Reader;
use crate::report::{Report, percentile};
use crate::update::Updates;
use futures::FutureExt;
use meridian_tests::sighted::Result;
use std::time::Duration;
use tokio::time::{Instant, sleep, sleep_until};

/// How long is read while nothing is written.
const QUIET: Duration = Duration::from_secs(10);
/// What is left to tell of changes before is told by then.
const SETTLE: Duration = Duration::from_secs(3);
/// Changes of everything of each kind, in turns; all reads count together.
const TURNS: usize = 5;
/// Requests in flight of a plain client: enough for the longest way.
const PLAIN_IN_FLIGHT: usize = 256;
/// How much longer than flat out a paced change takes.
const PACED: f64 = 2.0;

/// Seconds of reads.
#[derive(Default)]
struct Reads {
    paced: Vec<f64>,
    paced_plain: Vec<f64>,
    flat_out: Vec<f64>,
    flat_out_plain: Vec<f64>,
    flat_out_host: Vec<f64>,
}

/// `flat_out_seconds`: what a plain client takes for the changes on the host and in members.
pub(crate) async fn measure(
    updates: &Updates,
    flat_out_seconds: f64,
    name: &str,
    report: &mut Report,
) -> Result<()> {
    let over = Duration::from_secs_f64(flat_out_seconds * PACED);
    let (member, object) = updates.one_copy();
    sleep(SETTLE).await;
    let reader = Reader::begin(member, object).await?;
    sleep(QUIET).await;
    let quiet = percentile(&reader.end().await?, 0.99);
    let mut reads = Reads::default();
    for _ in 0..TURNS {
        let changes = paced(updates.federated_changes(), over);
        let taken = meanwhile(updates, all(changes, WRITER_IN_FLIGHT)).await?;
        reads.paced.extend(taken);
        sleep(SETTLE).await;
        let changes = paced(updates.plain_changes().into_iter(), over);
        let taken = meanwhile(updates, all(changes, PLAIN_IN_FLIGHT)).await?;
        reads.paced_plain.extend(taken);
        let changes = all(updates.federated_changes(), WRITER_IN_FLIGHT);
        reads.flat_out.extend(meanwhile(updates, changes).await?);
        sleep(SETTLE).await;
        let changes = all(updates.plain_changes().into_iter(), PLAIN_IN_FLIGHT);
        let taken = meanwhile(updates, changes).await?;
        reads.flat_out_plain.extend(taken);
        let reader = Reader::begin(member, object).await?;
        all(updates.unwatched_changes(), WRITER_IN_FLIGHT).await?;
        reads.flat_out_host.extend(reader.end().await?);
    }
    let figures = [
        ("paced", &reads.paced),
        ("paced_plain", &reads.paced_plain),
        ("flat_out", &reads.flat_out),
        ("flat_out_plain", &reads.flat_out_plain),
        ("flat_out_host", &reads.flat_out_host),
    ];
    report.add(&format!("{name}_quiet_p99_ms"), quiet * 1000.0);
    for (kind, reads) in figures {
        let p99 = percentile(reads, 0.99);
        report.add(&format!("{name}_{kind}_p99_ms"), p99 * 1000.0);
        report.add(&format!("{name}_{kind}_ratio"), p99 / quiet);
    }
    Ok(())
}

/// Seconds that reads take until changes are made and seen in every member.
async fn meanwhile(
    updates: &Updates,
    changes: impl Future<Output = Result<()>>,
) -> Result<Vec<f64>> {
    let sighted = updates.sighted().await?;
    let (member, object) = updates.one_copy();
    let reader = Reader::begin(member, object).await?;
    changes.await?;
    sighted.all().await?;
    reader.end().await
}

/// Each at its time.
fn paced(
    changes: impl ExactSizeIterator<Item = Request>,
    over: Duration,
) -> impl Iterator<Item = Request> {
    let mut began = None;
    let step = over.div_f64(changes.len().max(1) as f64);
    changes.enumerate().map(move |(n, change)| {
        let began = *began.get_or_insert_with(Instant::now);
        let at = began + step.mul_f64(n as f64);
        async move {
            sleep_until(at).await;
            change.await
        }
        .boxed()
    })
}
