//! Samplers: DNS answers and member objects, ten times a second, and waiting for what they show.

use super::dig::{self, Answer};
use k8s_openapi::api::apps::v1::Deployment;
use k8s_openapi::api::core::v1::ConfigMap;
use kube::{Api, Client};
use serde::Serialize;
use std::collections::BTreeMap;
use std::net::{IpAddr, SocketAddr};
use std::sync::{Arc, Mutex, MutexGuard};
use std::time::{Duration, Instant};
use tokio::sync::watch;
use tokio::task::JoinSet;

/// Ten samples a second of each thing.
const PERIOD: Duration = Duration::from_millis(100);
/// A sampler gives a request up after this long, so that a hung API shows as a gap, not as a stop.
const REQUEST_TIMEOUT: Duration = Duration::from_millis(800);
/// Only changes are kept, so this many last for days; after that the oldest half goes.
const SAMPLES_MAX: usize = 20_000;

/// A client whose view is measured.
#[derive(Clone, Debug, Serialize)]
pub(crate) struct Viewer {
    /// Where it is, for people.
    pub(crate) city: &'static str,
    /// An address there, from the country database.
    pub(crate) address: IpAddr,
    /// Whether the site that will fail is the nearest to it.
    #[serde(skip)]
    pub(crate) near_failing: bool,
}

/// One thing seen at one time. Consecutive equal sights are one sample with a count.
#[derive(Clone, Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Sample {
    /// Milliseconds since the demo began.
    pub(crate) first_millis: u64,
    /// When it was last seen so.
    pub(crate) last_millis: u64,
    /// How often it was seen so.
    pub(crate) count: u64,
    /// What.
    #[serde(flatten)]
    pub(crate) sight: Sight,
}

/// What a sampler saw.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(tag = "kind", rename_all = "camelCase")]
pub(crate) enum Sight {
    /// A DNS answer.
    Answer {
        /// For whom.
        city: String,
        /// What it said; nothing when none came in time.
        answer: Option<Answer>,
    },
    /// The deployment in a member.
    Replicas {
        /// Which member.
        cluster: String,
        /// Nothing when the member did not answer.
        replicas: Option<Replicas>,
    },
    /// Whether the ConfigMap that the demo deletes is in a member.
    Config {
        /// Which member.
        cluster: String,
        /// Nothing when the member did not answer.
        present: Option<bool>,
    },
}

/// Replicas of the deployment in one member.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
pub(crate) struct Replicas {
    /// `spec.replicas`.
    pub(crate) desired: i32,
    /// `status.readyReplicas`.
    pub(crate) ready: i32,
}

/// The newest sight of everything.
#[derive(Clone, Debug, Default)]
pub(crate) struct Now {
    /// The answer per city.
    pub(crate) answers: BTreeMap<String, Option<Answer>>,
    /// The deployment per member.
    pub(crate) replicas: BTreeMap<String, Option<Replicas>>,
    /// The ConfigMap per member.
    pub(crate) configs: BTreeMap<String, Option<bool>>,
}

impl Now {
    /// Addresses that a city is given; empty when there is no answer.
    pub(crate) fn addresses(&self, city: &str) -> &[IpAddr] {
        match self.answers.get(city) {
            Some(Some(answer)) => &answer.addresses,
            _ => &[],
        }
    }

    /// Ready replicas in a member; 0 when it does not answer.
    pub(crate) fn ready(&self, cluster: &str) -> i32 {
        self.replicas
            .get(cluster)
            .copied()
            .flatten()
            .unwrap_or_default()
            .ready
    }

    /// Ready replicas in all members that answer.
    pub(crate) fn ready_in_all(&self) -> i32 {
        self.replicas
            .keys()
            .map(|cluster| self.ready(cluster))
            .sum()
    }
}

/// Everything that was seen.
#[derive(Clone)]
pub(crate) struct Samples {
    began: Instant,
    seen: Arc<Mutex<Vec<Sample>>>,
    now: Arc<watch::Sender<Now>>,
    named: Arc<Mutex<BTreeMap<(String, IpAddr), Instant>>>,
}

impl Samples {
    /// Nothing yet.
    pub(crate) fn new(began: Instant) -> Self {
        let now = Arc::new(watch::channel(Now::default()).0);
        Self {
            began,
            seen: Arc::default(),
            now,
            named: Arc::default(),
        }
    }

    /// The newest sight of everything.
    pub(crate) fn now(&self) -> Now {
        self.now.borrow().clone()
    }

    /// Every sample so far, in order of time.
    pub(crate) fn all(&self) -> Vec<Sample> {
        let mut all = self.lock().clone();
        all.sort_by_key(|sample| sample.first_millis);
        all
    }

    /// When an answer for any city named an address last. Weighted answers change with every
    /// query, so that an address has left is known only by its last sight.
    pub(crate) fn last_named(&self, address: IpAddr) -> Option<Instant> {
        let named = self
            .named
            .lock()
            .unwrap_or_else(std::sync::PoisonError::into_inner);
        named
            .iter()
            .filter(|((_, seen), _)| *seen == address)
            .map(|(_, when)| *when)
            .max()
    }

    /// Waits until a condition holds; how long after `since` it did, or nothing after `patience`.
    pub(crate) async fn until(
        &self,
        since: Instant,
        patience: Duration,
        condition: impl Fn(&Now) -> bool,
    ) -> Option<Duration> {
        let mut now = self.now.subscribe();
        let wait = async {
            loop {
                if condition(&now.borrow_and_update()) {
                    return since.elapsed();
                }
                if now.changed().await.is_err() {
                    std::future::pending::<()>().await;
                }
            }
        };
        tokio::time::timeout(patience, wait).await.ok()
    }

    /// Whether a condition held in every sight for a while; what was seen when it did not.
    pub(crate) async fn throughout(
        &self,
        how_long: Duration,
        condition: impl Fn(&Now) -> bool,
    ) -> Result<(), Now> {
        let mut now = self.now.subscribe();
        let wait = async {
            loop {
                let seen = now.borrow_and_update().clone();
                if !condition(&seen) {
                    return seen;
                }
                if now.changed().await.is_err() {
                    std::future::pending::<()>().await;
                }
            }
        };
        match tokio::time::timeout(how_long, wait).await {
            Err(_) => Ok(()),
            Ok(seen) => Err(seen),
        }
    }

    fn record(&self, sight: Sight) {
        if let Sight::Answer {
            city,
            answer: Some(answer),
        } = &sight
        {
            let mut named = self
                .named
                .lock()
                .unwrap_or_else(std::sync::PoisonError::into_inner);
            for address in &answer.addresses {
                named.insert((city.clone(), *address), Instant::now());
            }
        }
        let millis = u64::try_from(self.began.elapsed().as_millis()).unwrap_or(u64::MAX);
        {
            let mut seen = self.lock();
            let last = seen
                .iter_mut()
                .rev()
                .find(|sample| same_thing(&sample.sight, &sight));
            match last {
                Some(last) if last.sight == sight => {
                    last.last_millis = millis;
                    last.count += 1;
                }
                _ => seen.push(Sample {
                    first_millis: millis,
                    last_millis: millis,
                    count: 1,
                    sight: sight.clone(),
                }),
            }
            if seen.len() > SAMPLES_MAX {
                seen.drain(..SAMPLES_MAX / 2);
            }
        }
        self.now.send_if_modified(|now| now.take(sight));
    }

    fn lock(&self) -> MutexGuard<'_, Vec<Sample>> {
        self.seen
            .lock()
            .unwrap_or_else(std::sync::PoisonError::into_inner)
    }
}

impl Now {
    /// Takes a sight in; whether it changed anything.
    fn take(&mut self, sight: Sight) -> bool {
        match sight {
            Sight::Answer { city, answer } => {
                self.answers.insert(city, answer.clone()) != Some(answer)
            }
            Sight::Replicas { cluster, replicas } => {
                self.replicas.insert(cluster, replicas) != Some(replicas)
            }
            Sight::Config { cluster, present } => {
                self.configs.insert(cluster, present) != Some(present)
            }
        }
    }
}

/// Whether two sights are of the same thing at different times.
fn same_thing(a: &Sight, b: &Sight) -> bool {
    match (a, b) {
        (Sight::Answer { city: a, .. }, Sight::Answer { city: b, .. })
        | (Sight::Replicas { cluster: a, .. }, Sight::Replicas { cluster: b, .. })
        | (Sight::Config { cluster: a, .. }, Sight::Config { cluster: b, .. }) => a == b,
        _ => false,
    }
}

/// Starts the samplers of DNS answers, one per viewer.
pub(crate) fn sample_answers(
    tasks: &mut JoinSet<()>,
    samples: &Samples,
    server: SocketAddr,
    name: &'static str,
    viewers: &[Viewer],
) {
    for viewer in viewers.iter().cloned() {
        let samples = samples.clone();
        tasks.spawn(async move {
            let mut tick = tokio::time::interval(PERIOD);
            tick.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
            for id in (1..=u16::MAX).cycle() {
                tick.tick().await;
                let answer = dig::ask(server, name, viewer.address, id).await.ok();
                samples.record(Sight::Answer {
                    city: viewer.city.to_owned(),
                    answer,
                });
            }
        });
    }
}

/// Starts the samplers of one member: the deployment, and the ConfigMap that will be deleted.
pub(crate) fn sample_member(
    tasks: &mut JoinSet<()>,
    samples: &Samples,
    cluster: &str,
    client: Client,
    namespace: &'static str,
    deployment: &'static str,
    config: &'static str,
) {
    let (samples, cluster) = (samples.clone(), cluster.to_owned());
    tasks.spawn(async move {
        let deployments: Api<Deployment> = Api::namespaced(client.clone(), namespace);
        let configs: Api<ConfigMap> = Api::namespaced(client, namespace);
        let mut tick = tokio::time::interval(PERIOD);
        tick.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
        loop {
            tick.tick().await;
            let replicas = within(deployments.get_opt(deployment)).await.map(|live| {
                live.map(|live| Replicas {
                    desired: live.spec.and_then(|spec| spec.replicas).unwrap_or_default(),
                    ready: live
                        .status
                        .and_then(|status| status.ready_replicas)
                        .unwrap_or_default(),
                })
                .unwrap_or_default()
            });
            samples.record(Sight::Replicas {
                cluster: cluster.clone(),
                replicas,
            });
            let present = within(configs.get_metadata_opt(config))
                .await
                .map(|live| live.is_some());
            samples.record(Sight::Config {
                cluster: cluster.clone(),
                present,
            });
        }
    });
}

/// The answer to a request, or nothing when the API does not give one in time.
async fn within<T>(request: impl Future<Output = kube::Result<T>>) -> Option<T> {
    tokio::time::timeout(REQUEST_TIMEOUT, request)
        .await
        .ok()?
        .ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn replicas(ready: i32) -> Sight {
        Sight::Replicas {
            cluster: "a".into(),
            replicas: Some(Replicas { desired: 3, ready }),
        }
    }

    #[tokio::test(start_paused = true)]
    async fn equal_sights_are_one_sample_with_a_count() {
        let samples = Samples::new(Instant::now());
        for ready in [1, 1, 1, 2, 2] {
            samples.record(replicas(ready));
        }
        let counts: Vec<u64> = samples.all().iter().map(|sample| sample.count).collect();
        assert_eq!(counts, [3, 2]);
        assert_eq!(samples.now().ready("a"), 2);
    }

    #[tokio::test(start_paused = true)]
    async fn waiting_ends_with_the_condition_or_with_patience() {
        let samples = Samples::new(Instant::now());
        samples.record(replicas(1));
        let began = Instant::now();
        let patience = Duration::from_secs(5);
        assert!(
            samples
                .until(began, patience, |now| now.ready("a") == 1)
                .await
                .is_some()
        );
        assert!(
            samples
                .until(began, patience, |now| now.ready("a") == 9)
                .await
                .is_none()
        );
        assert!(
            samples
                .throughout(patience, |now| now.ready("a") == 1)
                .await
                .is_ok()
        );
        assert!(
            samples
                .throughout(patience, |now| now.ready("a") == 9)
                .await
                .is_err()
        );
    }
}
