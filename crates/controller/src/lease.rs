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
//!
//! # What is left to the next leader
//! An annotation of the Lease says how many deletions count in which member. A deletion is sent only
//! when it says so (`Leadership::leave`), so that a leader that ends takes none of them along.

mod election;
mod legacy;

use crate::clock::WallClock;
use election::{Action, Election, Record};
use k8s_openapi::api::coordination::v1::{Lease, LeaseSpec};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::MicroTime;
use kube::api::{ObjectMeta, PostParams};
use kube::{Api, Client};
use legacy::{Legacy, annotations};
use model::ClusterName;
use std::collections::BTreeMap;
use std::time::Duration;
use tokio::time::{Instant, sleep, timeout};
use tokio_util::sync::CancellationToken;

/// How long a deletion waits until the Lease says that it counts.
const LEFT_MAX: Duration = Duration::from_secs(5);

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
    /// Where the times that people read come from; nothing is decided by them.
    pub clock: WallClock,
}

/// Whether this process leads, for those who write.
#[derive(Clone, Debug)]
pub struct Leadership {
    held: watch::Receiver<Held>,
    /// What the Lease is to say to the next leader.
    legacy: watch::Sender<Legacy>,
    /// The last version of it that the host took.
    left: watch::Receiver<u64>,
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
            legacy: watch::Sender::default(),
            left: watch::channel(0).1,
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

    /// How many deletions count in which member, by the Lease.
    pub(crate) fn left(&self) -> BTreeMap<ClusterName, usize> {
        self.legacy.borrow().deletions.clone()
    }

    /// Has the Lease say that so many deletions count in a member, at least; whether it does.
    pub(crate) async fn leave(&self, member: &ClusterName, deletions: usize) -> bool {
        let mut wanted = 0;
        self.legacy.send_if_modified(|legacy| {
            let grows = legacy.grow(member, deletions);
            wanted = legacy.version;
            grows
        });
        let mut left = self.left.clone();
        let written = timeout(LEFT_MAX, left.wait_for(|version| *version >= wanted)).await;
        matches!(written, Ok(Ok(_)))
    }

    /// Has the next renewal say these numbers, where they are others.
    pub(crate) fn leave_only(&self, deletions: BTreeMap<ClusterName, usize>) {
        self.legacy
            .send_if_modified(|legacy| legacy.replace(deletions));
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
                biased;
                changed = self.held.changed() => if changed.is_err() { return },
                () = tokio::time::sleep_until(until) => {}
            }
        }
    }
}

/// Begins to stand for election, until `stop`; then releases the Lease if it is held.
pub fn stand(options: LeaseOptions, stop: CancellationToken) -> Leadership {
    let (sender, held) = watch::channel(Held::default());
    let (taken, left) = watch::channel(0);
    let legacy = watch::Sender::<Legacy>::default();
    let candidate = Candidate {
        api: Api::namespaced(options.client.clone(), &options.namespace),
        election: Election::new(options.holder.clone(), options.times.duration),
        options,
        held: sender,
        wanted: legacy.subscribe(),
        legacy: legacy.clone(),
        taken,
    };
    tokio::spawn(candidate.run(stop));
    Leadership { held, legacy, left }
}

/// Who stands for election.
struct Candidate {
    api: Api<Lease>,
    election: Election,
    options: LeaseOptions,
    held: watch::Sender<Held>,
    legacy: watch::Sender<Legacy>,
    wanted: watch::Receiver<Legacy>,
    taken: watch::Sender<u64>,
}

impl Candidate {
    async fn run(mut self, stop: CancellationToken) {
        loop {
            let wait = tokio::select! {
                biased;
                () = stop.cancelled() => break,
                wait = self.round() => wait,
            };
            tokio::select! {
                biased;
                () = stop.cancelled() => break,
                () = sleep(wait) => {}
                // What is to be left does not wait for the next renewal.
                _ = self.wanted.changed() => {}
            }
        }
        if let Some(record) = self.election.held_record() {
            self.held.send_replace(Held::default());
            let legacy = self.legacy.borrow().clone();
            let released = object(&self.options, &record.released(), &legacy);
            let parameters = PostParams::default();
            let write = self.api.replace(&self.options.name, &parameters, &released);
            match timeout(self.options.times.request, write).await {
                Ok(Ok(_)) => tracing::info!("lease released"),
                _ => tracing::info!("lease left to expire"),
            }
        }
    }

    /// One look and, where the election says so, one write. How long to wait for the next.
    async fn round(&mut self) -> Duration {
        let times = self.options.times;
        let read = timeout(times.request, self.api.get_opt(&self.options.name)).await;
        let lease = match read {
            Ok(Ok(lease)) => lease,
            // Nothing is known: what is held runs out by itself.
            Ok(Err(_)) | Err(_) => return times.retry.min(times.request),
        };
        let record = lease.as_ref().map(Record::read);
        let action = self.election.look(record, Instant::now());
        match action {
            Action::Wait => {
                if self.held.borrow().until.is_some() {
                    tracing::warn!(holder = self.election.holder(), "leadership lost");
                    self.held.send_replace(Held::default());
                }
                return times.retry;
            }
            // What the leader before left, or nobody did.
            Action::Take | Action::Create => {
                let left = lease.as_ref().map(legacy::read).unwrap_or_default();
                self.legacy.send_if_modified(|legacy| legacy.replace(left));
            }
            Action::Renew => {}
        }
        self.write(action).await;
        times.retry
    }

    async fn write(&mut self, action: Action) {
        let times = self.options.times;
        let wanted = self.election.wanted(action);
        let legacy = self.wanted.borrow_and_update().clone();
        let body = object(&self.options, &wanted, &legacy);
        // The clock is read before the request leaves: the Lease is counted from the earliest moment
        // at which the host can have taken it.
        let before = Instant::now();
        let parameters = PostParams::default();
        let (api, name) = (&self.api, &self.options.name);
        let written = match action {
            Action::Create => timeout(times.request, api.create(&parameters, &body)).await,
            _ => timeout(times.request, api.replace(name, &parameters, &body)).await,
        };
        match written {
            Ok(Ok(lease)) => {
                let record = Record::read(&lease);
                if action != Action::Renew {
                    tracing::info!(term = record.transitions, "leading");
                }
                self.held.send_replace(Held {
                    until: Some(before + times.duration),
                    term: record.transitions,
                });
                self.taken.send_replace(legacy.version);
                self.election.wrote(record, before);
            }
            Ok(Err(why)) => tracing::debug!(%why, "lease not written"),
            Err(_) => tracing::debug!("lease not written in time"),
        }
    }
}

fn object(options: &LeaseOptions, record: &Record, legacy: &Legacy) -> Lease {
    let now = MicroTime(options.clock.now());
    Lease {
        metadata: ObjectMeta {
            name: Some(options.name.clone()),
            namespace: Some(options.namespace.clone()),
            resource_version: record.version.clone(),
            annotations: annotations(legacy),
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
