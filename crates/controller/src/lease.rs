//! Who leads: one holder of a Lease writes members and statuses, the others stay warm.
//!
//! # Guarantees
//! [`Leadership::may_write`] says yes only while this process holds the Lease for longer than the
//! write may take, counted by its own monotonic clock from *before* the last renewal was sent. No
//! other candidate takes over before that time, so two never write at once.
//! # Assumptions
//! Every candidate uses the same durations, and clocks run at nearly the same speed.
//! # Caveats
//! A candidate waits one lease duration of silence that it observed itself, never comparing
//! timestamps: after a crash the next leader needs up to that long. A clean stop releases at once.

mod election;

use election::{Action, Election, Record};
use k8s_openapi::api::coordination::v1::{Lease, LeaseSpec};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::MicroTime;
use kube::api::{ObjectMeta, PostParams};
use kube::{Api, Client};
use std::time::Duration;
use tokio::sync::watch;
use tokio::time::{Instant, sleep, timeout};
use tokio_util::sync::CancellationToken;

/// What candidates agree on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct LeaseTimes {
    /// How long a Lease lives without renewal.
    pub duration: Duration,
    /// How long one request to the host may take.
    pub request: Duration,
    /// Between two renewals, and between two looks at another's Lease.
    pub retry: Duration,
}

impl Default for LeaseTimes {
    /// KubeFed's and client-go's 15 s; looked at every 2 s, as client-go does.
    fn default() -> Self {
        let secs = Duration::from_secs;
        Self {
            duration: secs(15),
            request: secs(5),
            retry: secs(2),
        }
    }
}

/// Where the Lease is, and who wants it.
#[derive(Clone)]
pub struct LeaseOptions {
    /// A client of the host.
    pub client: Client,
    /// The Lease's namespace.
    pub namespace: String,
    /// The Lease's name.
    pub name: String,
    /// This process; another after every start, so that a restarted one is another candidate.
    pub holder: String,
    /// What candidates agree on.
    pub times: LeaseTimes,
}

/// Whether this process leads, for those who write.
#[derive(Clone, Debug)]
pub struct Leadership {
    held: watch::Receiver<Held>,
}

/// The Lease as this process knows it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
struct Held {
    /// Until when; nothing while another holds it.
    until: Option<Instant>,
    /// `leaseTransitions` of the current holding.
    term: i32,
}

impl Leadership {
    /// Of a process that never stands: it never leads, so nothing is ever written.
    pub fn never() -> Self {
        Self {
            held: watch::channel(Held::default()).1,
        }
    }

    /// Whether a write that takes at most `longest` may start now.
    pub fn may_write(&self, longest: Duration) -> bool {
        let held = *self.held.borrow();
        held.until
            .is_some_and(|until| Instant::now() + longest < until)
    }

    /// Whether this process leads now.
    pub fn leads(&self) -> bool {
        self.may_write(Duration::ZERO)
    }

    /// The number of the current term; it grows with every new leader.
    pub fn term(&self) -> i32 {
        self.held.borrow().term
    }

    /// Resolves when this process becomes or is the leader; never, when candidates stopped.
    pub async fn until_leading(&mut self) {
        loop {
            if self
                .held
                .borrow_and_update()
                .until
                .is_some_and(|until| Instant::now() < until)
            {
                return;
            }
            if self.held.changed().await.is_err() {
                std::future::pending::<()>().await;
            }
        }
    }

    /// Resolves when the term of leadership that is under way has ended.
    pub async fn until_lost(&mut self) {
        loop {
            let Some(until) = self.held.borrow_and_update().until else {
                return;
            };
            if until <= Instant::now() {
                return;
            }
            tokio::select! {
                changed = self.held.changed() => if changed.is_err() { return },
                () = tokio::time::sleep_until(until) => {}
            }
        }
    }
}

/// Begins to stand for election, until `stop`; then releases the Lease if it is held.
pub fn stand(options: LeaseOptions, stop: CancellationToken) -> Leadership {
    let (sender, held) = watch::channel(Held::default());
    tokio::spawn(run(options, sender, stop));
    Leadership { held }
}

async fn run(options: LeaseOptions, held: watch::Sender<Held>, stop: CancellationToken) {
    let api = Api::<Lease>::namespaced(options.client.clone(), &options.namespace);
    let mut election = Election::new(options.holder.clone(), options.times.duration);
    loop {
        let wait = tokio::select! {
            () = stop.cancelled() => break,
            wait = round(&api, &options, &mut election, &held) => wait,
        };
        tokio::select! {
            () = stop.cancelled() => break,
            () = sleep(wait) => {}
        }
    }
    if let Some(record) = election.held_record() {
        held.send_replace(Held::default());
        let released = object(&options, &record.released());
        let parameters = PostParams::default();
        let write = api.replace(&options.name, &parameters, &released);
        match timeout(options.times.request, write).await {
            Ok(Ok(_)) => tracing::info!("lease released"),
            _ => tracing::info!("lease left to expire"),
        }
    }
}

/// One look and, where the election says so, one write. How long to wait for the next.
async fn round(
    api: &Api<Lease>,
    options: &LeaseOptions,
    election: &mut Election,
    held: &watch::Sender<Held>,
) -> Duration {
    let times = options.times;
    let read = timeout(times.request, api.get_opt(&options.name)).await;
    let record = match read {
        Ok(Ok(lease)) => lease.map(|lease| Record::read(&lease)),
        // Nothing is known: what is held runs out by itself.
        Ok(Err(_)) | Err(_) => return times.retry.min(times.request),
    };
    let action = election.look(record, Instant::now());
    if action == Action::Wait {
        if held.borrow().until.is_some() {
            tracing::warn!(holder = election.holder(), "leadership lost");
            held.send_replace(Held::default());
        }
        return times.retry;
    }
    let wanted = election.wanted(action);
    let body = object(options, &wanted);
    // The clock is read before the request leaves: the Lease is counted from the earliest moment at
    // which the host can have taken it.
    let before = Instant::now();
    let parameters = PostParams::default();
    let written = match action {
        Action::Create => timeout(times.request, api.create(&parameters, &body)).await,
        _ => {
            timeout(
                times.request,
                api.replace(&options.name, &parameters, &body),
            )
            .await
        }
    };
    match written {
        Ok(Ok(lease)) => {
            let record = Record::read(&lease);
            if action != Action::Renew {
                tracing::info!(term = record.transitions, "leading");
            }
            held.send_replace(Held {
                until: Some(before + times.duration),
                term: record.transitions,
            });
            election.wrote(record, before);
        }
        Ok(Err(why)) => tracing::debug!(%why, "lease not written"),
        Err(_) => tracing::debug!("lease not written in time"),
    }
    times.retry
}

fn object(options: &LeaseOptions, record: &Record) -> Lease {
    let now = MicroTime(k8s_openapi::jiff::Timestamp::now());
    Lease {
        metadata: ObjectMeta {
            name: Some(options.name.clone()),
            namespace: Some(options.namespace.clone()),
            resource_version: record.version.clone(),
            ..ObjectMeta::default()
        },
        spec: Some(LeaseSpec {
            holder_identity: Some(record.holder.clone()),
            lease_duration_seconds: i32::try_from(options.times.duration.as_secs()).ok(),
            lease_transitions: Some(record.transitions),
            acquire_time: Some(record.acquired.clone().unwrap_or_else(|| now.clone())),
            renew_time: Some(now),
            ..LeaseSpec::default()
        }),
    }
}
