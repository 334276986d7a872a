//! The controller as a whole: what it is given, and its tasks.

use crate::Error;
use crate::clock::WallClock;
use crate::cluster_health::{Health, probe_members};
use crate::context::{Context, Parts};
use crate::cookie_keys;
use crate::deletions;
use crate::federated_object::{Next, reconcile};
use crate::fleet;
use crate::global_service::{self, Lookups};
use crate::host::Host;
use crate::kubefed_lock;
use crate::lease::{Leadership, LeaseOptions, LeaseTimes, stand};
use crate::members::connect::InProcess;
use crate::members::{ExecPlugins, Members, MembersOptions};
use crate::metrics::{ControllerMetrics, ReconcileEnd};
use crate::missing;
use crate::replica_preference::run_preferences;
use crate::scope;
use crate::settings::read_settings;
use crate::settings_status::tell_settings;
use crate::tombstones;
use crate::wake::{FederatedKey, Wake};
use crate::webhook_keys;
use ::api::ConfigScope;
use kube::Client;
use model::ClusterName;
use std::collections::{BTreeMap, HashMap};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::task::JoinSet;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

/// The Lease that the leader holds.
pub const LEASE_NAME: &str = "meridian-controller";
/// Waits of an object that failed: the first, doubled up to the last.
const BACKOFF_FIRST: Duration = Duration::from_millis(250);
const BACKOFF_LAST: Duration = Duration::from_secs(60);

/// What a controller is given.
pub struct ControllerOptions {
    /// A client of the host, without kube's own retries.
    pub client: Client,
    /// Where KubeFedClusters, their Secrets and the settings live.
    pub system_namespace: String,
    /// This process: a name that no other has, and another one after every start.
    pub identity: String,
    /// Members that are reached inside of this process, whatever their KubeFedCluster says.
    pub in_process: BTreeMap<ClusterName, InProcess>,
    /// Programs that a kubeconfig in a member's Secret may have run to get a credential.
    pub plugins: ExecPlugins,
    /// Where wall time comes from.
    pub clock: WallClock,
    /// Times of the Lease; `None` takes those of the KubeFedConfig.
    pub lease_times: Option<LeaseTimes>,
}

/// The federation's controller: one leads, others stay warm.
pub struct Controller {
    context: Arc<Context>,
    stop: CancellationToken,
    lookups: Option<Lookups>,
}

impl Controller {
    /// Starts caches and stands for election; nothing is written before [`Controller::run`].
    ///
    /// # Errors
    /// [`Error::Host`] or [`Error::HostTimedOut`] when the KubeFedConfig cannot be asked for.
    pub async fn new(options: ControllerOptions, stop: CancellationToken) -> Result<Self, Error> {
        let namespace = &options.system_namespace;
        let config = scope::config(&options.client, namespace).await?;
        let began_with = read_settings(config.as_ref()).settings;
        // Read once: candidates with different times would not be safe.
        let times = options.lease_times.unwrap_or(began_with.lease);
        let leadership = stand(
            LeaseOptions {
                client: options.client.clone(),
                namespace: options.system_namespace.clone(),
                name: LEASE_NAME.to_owned(),
                holder: options.identity.clone(),
                times,
                clock: options.clock,
            },
            stop.clone(),
        );
        let wake = Arc::new(Wake::new());
        let context = Context::new(Parts {
            host: Host::start(&options.client, namespace, began_with.scope, &wake, &stop),
            members: Members::new(MembersOptions {
                in_process: options.in_process,
                plugins: options.plugins,
                within: (began_with.scope == ConfigScope::Namespaced).then(|| namespace.clone()),
                clock: options.clock,
            }),
            began_with,
            wake,
            leadership,
            clock: options.clock,
            identity: &options.identity,
        });
        Ok(Self {
            context: Arc::new(context),
            stop,
            lookups: None,
        })
    }

    /// With somebody who looks host names up, for records that must have addresses; without, what is published
    /// stays.
    #[must_use]
    pub fn with_lookups(mut self, lookups: Lookups) -> Self {
        self.lookups = Some(lookups);
        self
    }

    /// Whether this process leads, for who else writes statuses.
    pub fn leadership(&self) -> Leadership {
        self.context.leadership.clone()
    }

    /// Its metrics, to be registered.
    pub fn metrics(&self) -> ControllerMetrics {
        self.context.metrics.clone()
    }

    /// Runs until stopped. Tasks that are not the leader's run on standbys too, so that a standby
    /// that takes over has every cache filled.
    pub async fn run(self) {
        let context = self.context;
        tokio::select! {
            biased;
            () = self.stop.cancelled() => return,
            () = context.host.ready() => {}
        }
        let mut tasks = JoinSet::new();
        tasks.spawn(fleet::run(Arc::clone(&context)));
        tasks.spawn(fleet::spread_news(Arc::clone(&context)));
        tasks.spawn(tombstones::run(Arc::clone(&context)));
        tasks.spawn(global_service::run(Arc::clone(&context), self.lookups));
        tasks.spawn(cookie_keys::run(Arc::clone(&context)));
        tasks.spawn(webhook_keys::run(Arc::clone(&context)));
        tasks.spawn(dispatch(Arc::clone(&context)));
        let health = Arc::new(Health::new());
        tasks.spawn(probe_members(
            Arc::clone(&context),
            Arc::clone(&health),
            self.stop.clone(),
        ));
        tasks.spawn(run_preferences(
            Arc::clone(&context),
            health,
            self.stop.clone(),
        ));
        tasks.spawn(tell_settings(Arc::clone(&context)));
        tasks.spawn(missing::run(Arc::clone(&context)));
        tasks.spawn(kubefed_lock::run(Arc::clone(&context)));
        tasks.spawn(deletions::run(Arc::clone(&context)));
        self.stop.cancelled().await;
        tasks.shutdown().await;
    }
}

/// Reconciles federated objects while this process leads.
async fn dispatch(context: Arc<Context>) {
    let mut turns = Turns::of(context.settings().reconciles);
    let failures = Arc::new(Failures::default());
    let mut leadership = context.leadership.clone();
    loop {
        leadership.until_leading().await;
        // What the leader before deleted counts; of what it saw nothing is believed.
        context.members.inherit(&leadership.left());
        fleet::wake_all(&context);
        context.wake.fleet.notify_one();
        loop {
            turns.resize(context.settings().reconciles);
            let turn = turns.next().await;
            let key = tokio::select! {
                biased;
                () = leadership.until_lost() => break,
                key = context.wake.objects.next() => key,
            };
            let (context, failures) = (Arc::clone(&context), Arc::clone(&failures));
            tokio::spawn(async move {
                let began = Instant::now();
                let next = reconcile(&context, &key).await;
                context.wake.objects.done(&key);
                let end = match next {
                    Next::OnChange => ReconcileEnd::Settled,
                    Next::At(_) | Next::Spare => ReconcileEnd::Pending,
                    Next::Backoff => ReconcileEnd::Failed,
                };
                context.metrics.reconciled(end, began.elapsed());
                match next {
                    Next::OnChange => failures.forget(&key),
                    Next::At(at) => {
                        failures.forget(&key);
                        context.wake.objects.add_at(key, at);
                    }
                    Next::Spare => {
                        failures.forget(&key);
                        context.wake.objects.add_spare(key);
                    }
                    Next::Backoff => {
                        let at = Instant::now() + failures.backoff(&key);
                        context.wake.objects.add_at(key, at);
                    }
                }
                drop(turn);
            });
        }
    }
}

/// How many objects are reconciled at once.
struct Turns {
    turns: Arc<Semaphore>,
    size: usize,
}

impl Turns {
    fn of(size: usize) -> Self {
        Self {
            turns: Arc::new(Semaphore::new(size)),
            size,
        }
    }

    /// Whoever has a turn keeps it; fewer are given out until it fits.
    fn resize(&mut self, size: usize) {
        if size > self.size {
            self.turns.add_permits(size - self.size);
            self.size = size;
        } else {
            self.size -= self.turns.forget_permits(self.size - size);
        }
    }

    async fn next(&self) -> OwnedSemaphorePermit {
        let turn = Arc::clone(&self.turns).acquire_owned().await;
        turn.expect("turns are never closed")
    }
}

/// How often each object failed in a row; only those that fail are in it.
#[derive(Default)]
struct Failures {
    counts: Mutex<HashMap<FederatedKey, u32>>,
}

impl Failures {
    fn forget(&self, key: &FederatedKey) {
        self.counts
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .remove(key);
    }

    fn backoff(&self, key: &FederatedKey) -> Duration {
        let mut counts = self.counts.lock().unwrap_or_else(PoisonError::into_inner);
        let count = counts.entry(key.clone()).or_insert(0);
        let wait = BACKOFF_FIRST * 2_u32.saturating_pow((*count).min(16));
        *count += 1;
        wait.min(BACKOFF_LAST)
    }
}
