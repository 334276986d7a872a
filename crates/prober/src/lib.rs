//! Health checks on a schedule: HTTP, HTTPS, TCP and gRPC, each on a connection of its own.
//!
//! # Guarantees
//! A probe that stays in the set keeps its phase when the set changes. At most
//! [`PROBES_AT_ONCE_MAX`] run at a time. A result is sent for every probe that was begun and whose
//! endpoint is still in the set. A probe never outlives its timeout. One that panics, or that hangs all the same, is
//! told in the log and comes again at its next turn; so does all of it, should the schedule itself panic or hang.
//! # Assumptions
//! The receiver takes results; the channel is bounded, and a full one delays the next probes.
//! # Caveats
//! Certificates are not verified, but for how long they last where that is asked, as with Route 53's checks: a probe tells whether an endpoint
//! answers, and a name that just expired must not empty a region.

mod check;
mod grpc;
mod resolve;
mod running;
mod schedule;
mod tls;

pub use check::check;
pub use resolve::{LOOKUPS_AT_ONCE_MAX, RESOLVED_MAX, Resolved, Resolver, Servers, resolve};

use model::{Probe, ProbeResult};
use running::Running;
use schedule::Schedule;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::{Semaphore, mpsc, watch};
use tokio::time::{Instant, MissedTickBehavior};

/// Probes that run at a time. A dead region must not hold up the others: of 10,000 endpoints at 5 s, half that let two
/// seconds pass each are 2,000 at once. Whoever runs this has as many open files.
pub const PROBES_AT_ONCE_MAX: usize = 4_096;

/// Results that wait for the engine; it takes them in microseconds.
pub const RESULTS_MAX: usize = 4_096;

/// Between two looks at what runs, each of which is a sign of life.
const LOOK: Duration = Duration::from_secs(1);

/// What gave no sign of life for so long hangs. Results may wait while a table is compiled, which takes ten seconds.
const SILENT_MAX: Duration = Duration::from_secs(30);

/// Before what panicked or hung begins again.
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
        tokio::spawn(supervise(move |pulse| {
            let (mut wanted, results) = (wanted.clone(), results.clone());
            // What is wanted is wanted after a panic, too.
            wanted.mark_changed();
            run(Schedule::new(seed), wanted, results, pulse)
        }));
        Self { probes }
    }

    /// Runs these probes from now on, and no others.
    pub fn set(&self, probes: Vec<Probe>) {
        self.probes.send_replace(probes);
    }
}

/// Runs it to its end, however often it panics or hangs: a checker that died would leave every verdict as it was.
async fn supervise<F: Future<Output = ()> + Send + 'static>(start: impl Fn(Pulse) -> F) {
    loop {
        let (pulse, felt) = watch::channel(Instant::now());
        let mut running = tokio::spawn(start(pulse));
        let why = tokio::select! {
            ended = &mut running => match ended {
                Err(why) if why.is_panic() => why.to_string(),
                _ => return,
            },
            () = silence(felt) => format!("no sign of life for {SILENT_MAX:?}"),
        };
        running.abort();
        tracing::error!(why, "probes begin anew");
        tokio::time::sleep(AGAIN).await;
    }
}

/// When something gave a sign of life last.
type Pulse = watch::Sender<Instant>;

/// Waits until there was none for too long.
async fn silence(felt: watch::Receiver<Instant>) {
    loop {
        let until = *felt.borrow() + SILENT_MAX;
        if until <= Instant::now() {
            return;
        }
        tokio::time::sleep_until(until).await;
    }
}

async fn run(
    mut schedule: Schedule,
    mut wanted: watch::Receiver<Vec<Probe>>,
    results: mpsc::Sender<ProbeResult>,
    pulse: Pulse,
) {
    let places = Arc::new(Semaphore::new(PROBES_AT_ONCE_MAX));
    let mut running = Running::default();
    let mut looks = tokio::time::interval(LOOK);
    looks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        while let Some(probe) = schedule.due(Instant::now()) {
            let Ok(place) = Arc::clone(&places).acquire_owned().await else {
                return;
            };
            let (endpoint, timeout) = (probe.endpoint.clone(), probe.schedule.timeout_millis);
            let timeout = Duration::from_millis(timeout);
            let checking = async move { check(&probe).await.err() };
            running.begin(endpoint, timeout, place, checking);
        }
        let next = schedule.next();
        tokio::select! {
            changed = wanted.changed() => {
                if changed.is_err() {
                    return;
                }
                schedule.set(wanted.borrow_and_update().clone(), Instant::now());
            }
            Some(ended) = running.next() => {
                schedule.done(&ended.endpoint);
                let result = ended.result.filter(|it| schedule.holds(&it.endpoint));
                if let Some(result) = result && results.send(result).await.is_err() {
                    return;
                }
            }
            now = looks.tick() => {
                pulse.send_replace(now);
                for endpoint in running.give_up(now) {
                    schedule.done(&endpoint);
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
        supervise(move |_| {
            let at = count.fetch_add(1, std::sync::atomic::Ordering::Relaxed);
            async move { assert!(at == 2, "the first two die") }
        })
        .await;
        assert_eq!(begun.load(std::sync::atomic::Ordering::Relaxed), 3);
    }

    #[tokio::test(start_paused = true)]
    async fn what_hangs_begins_again_and_what_gives_signs_of_life_does_not() {
        let begun = Arc::new(std::sync::atomic::AtomicUsize::new(0));
        let count = Arc::clone(&begun);
        let start = Instant::now();
        supervise(move |pulse| {
            let at = count.fetch_add(1, std::sync::atomic::Ordering::Relaxed);
            async move {
                for _ in 0..10 {
                    tokio::time::sleep(SILENT_MAX / 2).await;
                    pulse.send_replace(Instant::now());
                }
                if at == 0 {
                    std::future::pending().await
                }
            }
        })
        .await;
        assert_eq!(begun.load(std::sync::atomic::Ordering::Relaxed), 2);
        assert_eq!(start.elapsed(), SILENT_MAX * 11 + AGAIN);
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
