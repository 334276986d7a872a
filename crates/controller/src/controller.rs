//! The controller as a whole: what it is given, and its tasks.

use crate::Error;
use crate::clock::WallClock;
use crate::cluster_health::{Health, probe_members};
use crate::context::{Context, Parts};
use crate::cookie_keys;
use crate::federated_object::{Next, reconcile};
use crate::fleet;
use crate::global_service;
use crate::host::Host;
use crate::lease::{Leadership, LeaseOptions, LeaseTimes, stand};
use crate::members::connect::InProcess;
use crate::members::{ExecPlugins, Members};
use crate::metrics::{ControllerMetrics, ReconcileEnd};
use crate::replica_preference::run_preferences;
use crate::settings::read_settings;
use crate::settings_status::tell_settings;
use crate::tombstones;
use crate::wake::{FederatedKey, Wake};
use kube::{Api, Client};
use model::ClusterName;
use std::collections::{BTreeMap, HashMap};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;
use tokio::sync::Semaphore;
use tokio::task::JoinSet;
use tokio::time::{Instant, timeout};
use tokio_util::sync::CancellationToken;

/// The Lease that the leader holds.
pub const LEASE_NAME: &str = "meridian-controller";
/// Waits of an object that failed: the first, doubled up to the last.
const BACKOFF_FIRST: Duration = Duration::from_millis(250);
const BACKOFF_LAST: Duration = Duration::from_secs(60);
/// How long the host may take.
const DEADLINE: Duration = Duration::from_secs(5);

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
}

impl Controller {
    /// Starts caches and stands for election; nothing is written before [`Controller::run`].
    ///
    /// # Errors
    /// [`Error::Host`] or [`Error::HostTimedOut`] when the KubeFedConfig cannot be asked for.
    pub async fn new(options: ControllerOptions, stop: CancellationToken) -> Result<Self, Error> {
        let times = match options.lease_times {
            Some(times) => times,
            None => lease_times(&options).await?,
        };
        let leadership = stand(
            LeaseOptions {
                client: options.client.clone(),
                namespace: options.system_namespace.clone(),
                name: LEASE_NAME.to_owned(),
                holder: options.identity.clone(),
                times,
            },
            stop.clone(),
        );
        let wake = Arc::new(Wake::new());
        let namespace = &options.system_namespace;
        let context = Context::new(Parts {
            host: Host::start(&options.client, namespace, &wake, &stop),
            members: Members::new(options.in_process, options.plugins, options.clock),
            wake,
            leadership,
            clock: options.clock,
            identity: &options.identity,
        });
        Ok(Self {
            context: Arc::new(context),
            stop,
        })
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
            () = self.stop.cancelled() => return,
            () = context.host.ready() => {}
        }
        let mut tasks = JoinSet::new();
        tasks.spawn(fleet::run(Arc::clone(&context)));
        tasks.spawn(fleet::spread_news(Arc::clone(&context)));
        tasks.spawn(tombstones::run(Arc::clone(&context)));
        tasks.spawn(global_service::run(Arc::clone(&context)));
        tasks.spawn(cookie_keys::run(Arc::clone(&context)));
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
        self.stop.cancelled().await;
        tasks.shutdown().await;
    }
}

/// The Lease's times are read once: candidates with different times would not be safe.
async fn lease_times(options: &ControllerOptions) -> Result<LeaseTimes, Error> {
    let api: Api<::api::KubeFedConfig> =
        Api::namespaced(options.client.clone(), &options.system_namespace);
    let config = timeout(DEADLINE, api.get_opt(::api::names::CONFIG_NAME)).await;
    let config = config.map_err(|_| Error::HostTimedOut)??;
    Ok(read_settings(config.as_ref()).settings.lease)
}

/// Reconciles federated objects while this process leads.
async fn dispatch(context: Arc<Context>) {
    let turns = Arc::new(Semaphore::new(context.settings().reconciles));
    let failures = Arc::new(Failures::default());
    let mut leadership = context.leadership.clone();
    loop {
        leadership.until_leading().await;
        // A new leader believes nothing that another one saw.
        fleet::wake_all(&context);
        context.wake.fleet.notify_one();
        loop {
            let turn = Arc::clone(&turns).acquire_owned().await;
            let turn = turn.expect("turns are never closed");
            let key = tokio::select! {
                () = leadership.until_lost() => break,
                key = context.wake.objects.next() => key,
            };
            let (context, failures) = (Arc::clone(&context), Arc::clone(&failures));
            tokio::spawn(async move {
                let next = reconcile(&context, &key).await;
                context.wake.objects.done(&key);
                context.metrics.reconciled(match next {
                    Next::OnChange => ReconcileEnd::Settled,
                    Next::At(_) | Next::Spare => ReconcileEnd::Pending,
                    Next::Backoff => ReconcileEnd::Failed,
                });
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
