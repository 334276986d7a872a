//! Health checks on a schedule: HTTP, HTTPS, TCP and gRPC, each on a connection of its own.
//!
//! # Guarantees
//! A probe that stays in the set keeps its phase when the set changes. At most
//! [`PROBES_AT_ONCE_MAX`] run at a time. A result is sent for every probe that was begun and whose
//! endpoint is still in the set. A probe never outlives its timeout. One that panics is told in the log and comes
//! again at its next turn; so does all of it, should the schedule itself panic.
//! # Assumptions
//! The receiver takes results; the channel is bounded, and a full one delays the next probes.
//! # Caveats
//! Certificates are not verified, but for how long they last where that is asked, as with Route 53's checks: a probe tells whether an endpoint
//! answers, and a name that just expired must not empty a region.

mod check;
mod grpc;
mod resolve;
mod schedule;
mod tls;

pub use check::check;
pub use resolve::{LOOKUPS_AT_ONCE_MAX, RESOLVED_MAX, Resolved, Resolver, Servers, resolve};

use model::{Probe, ProbeResult};
use schedule::Schedule;
use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::{Semaphore, mpsc, watch};
use tokio::task::JoinSet;
use tokio::time::Instant;

/// Probes that run at a time. A dead region must not hold up the others: of 10,000 endpoints at 5 s, half that let two
/// seconds pass each are 2,000 at once. Whoever runs this has as many open files.
pub const PROBES_AT_ONCE_MAX: usize = 4_096;

/// Results that wait for the engine; it takes them in microseconds.
pub const RESULTS_MAX: usize = 4_096;

/// Before what panicked begins again.
const AGAIN: Duration = Duration::from_secs(1);

/// A running prober. It stops when this is dropped.
pub struct Prober {
    probes: watch::Sender<Vec<Probe>>,
}

impl Prober {
    /// Starts without probes. `seed` spreads the first probes over time, so that a thousand
    /// endpoints that appear together are not probed in one burst.
    pub fn start(seed: u64, results: mpsc::Sender<ProbeResult>) -> Self {
        let (probes, wanted) = watch::channel(Vec::new());
        tokio::spawn(supervise(move || {
            let (mut wanted, results) = (wanted.clone(), results.clone());
            // What is wanted is wanted after a panic, too.
            wanted.mark_changed();
            run(Schedule::new(seed), wanted, results)
        }));
        Self { probes }
    }

    /// Runs these probes from now on, and no others.
    pub fn set(&self, probes: Vec<Probe>) {
        self.probes.send_replace(probes);
    }
}

/// Runs it to its end, however often it panics: a checker that died would leave every verdict as it was.
async fn supervise<F: Future<Output = ()> + Send + 'static>(start: impl Fn() -> F) {
    while let Err(why) = tokio::spawn(start()).await {
        if !why.is_panic() {
            return;
        }
        tracing::error!(%why, "probes begin anew");
        tokio::time::sleep(AGAIN).await;
    }
}

async fn run(
    mut schedule: Schedule,
    mut wanted: watch::Receiver<Vec<Probe>>,
    results: mpsc::Sender<ProbeResult>,
) {
    let places = Arc::new(Semaphore::new(PROBES_AT_ONCE_MAX));
    let mut running = JoinSet::new();
    let mut whose = HashMap::new();
    loop {
        while let Some(probe) = schedule.due(Instant::now()) {
            let Ok(place) = Arc::clone(&places).acquire_owned().await else {
                return;
            };
            let endpoint = probe.endpoint.clone();
            let begun = running.spawn(async move {
                let began = Instant::now();
                let failure = check(&probe).await.err();
                drop(place);
                let took_millis = u64::try_from(began.elapsed().as_millis()).unwrap_or(u64::MAX);
                ProbeResult {
                    endpoint: probe.endpoint,
                    failure,
                    took_millis,
                }
            });
            whose.insert(begun.id(), endpoint);
        }
        let next = schedule.next();
        tokio::select! {
            changed = wanted.changed() => {
                if changed.is_err() {
                    return;
                }
                schedule.set(wanted.borrow_and_update().clone(), Instant::now());
            }
            Some(ended) = running.join_next_with_id() => {
                let id = match &ended {
                    Ok((id, _)) => *id,
                    Err(why) => why.id(),
                };
                if let Some(endpoint) = whose.remove(&id) {
                    schedule.done(&endpoint);
                }
                let result = match ended {
                    Ok((_, result)) => result,
                    Err(why) => {
                        tracing::error!(%why, "a probe gave no result");
                        continue;
                    }
                };
                if schedule.holds(&result.endpoint) && results.send(result).await.is_err() {
                    return;
                }
            }
            () = sleep_until(next) => {}
        }
    }
}

async fn sleep_until(next: Option<Instant>) {
    match next {
        Some(next) => tokio::time::sleep_until(next).await,
        None => std::future::pending().await,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use model::{EndpointId, ObjectKey, PortProbe, ProbeKind, ProbeSchedule, Target};
    use tokio::net::TcpListener;

    fn probe(port: u16, interval_millis: u64) -> Probe {
        let target = Target::Ip(std::net::Ipv4Addr::LOCALHOST.into());
        let service = ObjectKey::new("shop", "shop");
        Probe {
            endpoint: EndpointId {
                service,
                cluster: "a".into(),
                target: target.clone(),
            },
            target,
            kind: ProbeKind::Tcp(PortProbe { port }),
            schedule: ProbeSchedule {
                interval_millis,
                timeout_millis: 1_000,
            },
        }
    }

    #[tokio::test]
    async fn an_endpoint_is_probed_again_and_again_until_it_leaves_the_set() {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
        let port = listener.local_addr().expect("bound").port();
        let (sender, mut results) = mpsc::channel(RESULTS_MAX);
        let prober = Prober::start(7, sender);
        prober.set(vec![probe(port, 10)]);
        for _ in 0..3 {
            let result = results.recv().await.expect("a result");
            assert_eq!(result.failure, None);
        }
        prober.set(Vec::new());
        drop(prober);
        while results.recv().await.is_some() {}
    }

    #[tokio::test(start_paused = true)]
    async fn what_panics_begins_again_and_what_ends_does_not() {
        let begun = Arc::new(std::sync::atomic::AtomicUsize::new(0));
        let count = Arc::clone(&begun);
        supervise(move || {
            let at = count.fetch_add(1, std::sync::atomic::Ordering::Relaxed);
            async move { assert!(at == 2, "the first two die") }
        })
        .await;
        assert_eq!(begun.load(std::sync::atomic::Ordering::Relaxed), 3);
    }

    #[tokio::test]
    async fn a_port_that_closes_turns_success_into_refusal() {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
        let port = listener.local_addr().expect("bound").port();
        let (sender, mut results) = mpsc::channel(RESULTS_MAX);
        let prober = Prober::start(7, sender);
        prober.set(vec![probe(port, 10)]);
        assert_eq!(results.recv().await.expect("a result").failure, None);
        drop(listener);
        loop {
            let failure = results.recv().await.expect("a result").failure;
            if failure == Some(model::ProbeFailure::Refused) {
                break;
            }
        }
    }
}
