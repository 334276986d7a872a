//! Whether the host's API answers this replica: a small request, again and again.

use futures::FutureExt;
use kube::Client;
use std::time::Duration;
use steering::HostContact;
use tokio::time::{MissedTickBehavior, interval, timeout};

/// Between two requests; small beside the time for which a stale answer does harm.
const PERIOD: Duration = Duration::from_secs(1);
/// A host that takes longer than this is as good as away.
const TIMEOUT: Duration = Duration::from_secs(2);
/// Failures in a row that make the host lost: one may be an accident.
const FAILURES: u32 = 2;

/// Keeps `contact` true to what the host does, until nobody listens. It says nothing before the
/// first answer or the last failure that is needed.
pub(crate) async fn watch_host(client: Client, contact: watch::Sender<Option<HostContact>>) {
    let mut tick = interval(PERIOD);
    tick.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let mut failures = 0;
    while !contact.is_closed() {
        tick.tick().await;
        let answered = timeout(TIMEOUT, client.apiserver_version().boxed()).await;
        failures = if matches!(answered, Ok(Ok(_))) {
            0
        } else {
            failures + 1
        };
        let now = Some(match failures {
            0 => HostContact::Reached,
            count if count >= FAILURES => HostContact::Lost,
            _ => continue,
        });
        contact.send_if_modified(|before| std::mem::replace(before, now) != now);
    }
}
