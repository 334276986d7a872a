//! Pods of divided workloads that find no place in their member.
//!
//! # Guarantees
//! Members are asked only while they run less than they were told to, at most once in [`LOOK`] for
//! each workload, and only by the leader. A member that does not answer delays no other: each look
//! has a deadline, and [`LOOKERS`] look at once.
//! # Assumptions
//! The template's selector selects the workload's Pods, as workloads are.
//! # Caveats
//! A new leader learns anew; until then a full member is offered its share again.

use super::reconcile::Target;
use crate::context::Context;
use crate::queue::Queue;
use federation::{CapacityTrack, LabelSelector, Running};
use k8s_openapi::api::core::v1::Pod;
use kube::Api;
use kube::api::ListParams;
use model::{ClusterName, ObjectKey};
use std::collections::{BTreeSet, HashMap};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;
use tokio::time::{Instant, timeout};

/// How many looks go on at once.
pub(super) const LOOKERS: usize = 8;
/// Between two looks at one workload in one member.
const LOOK: Duration = Duration::from_secs(15);
/// How long a member may take to answer.
const DEADLINE: Duration = Duration::from_secs(5);
/// Pods of one workload that are looked at.
const PODS_MAX: u32 = 500;

type Place = (ObjectKey, ClusterName);

/// What is known, and who is looked at next.
pub(super) struct Unschedulable {
    tracks: Mutex<HashMap<Place, CapacityTrack>>,
    queue: Queue<Place>,
}

impl Unschedulable {
    pub(super) fn new() -> Self {
        Self {
            tracks: Mutex::default(),
            queue: Queue::new(),
        }
    }

    /// What a member can run of a workload at most, where that is known.
    pub(super) fn capacity(
        &self,
        key: &ObjectKey,
        member: &ClusterName,
        now_millis: u64,
    ) -> Option<i64> {
        let tracks = self.tracks();
        tracks
            .get(&(key.clone(), member.clone()))?
            .capacity(now_millis)
    }

    /// A member was seen to run this of a workload.
    pub(super) fn note(&self, key: &ObjectKey, member: &ClusterName, running: Running) {
        if is_short(running) {
            let place = (key.clone(), member.clone());
            self.queue.add_at(place, Instant::now() + LOOK);
        }
    }

    /// Forgets a preference that is gone.
    pub(super) fn forget(&self, key: &ObjectKey) {
        self.tracks().retain(|(known, _), _| known != key);
    }

    /// The next workload to look at.
    pub(super) async fn next(&self) -> Place {
        self.queue.next().await
    }

    /// The look is over; at the latest when what is known ends, there is another.
    pub(super) fn done(&self, place: &Place, now_millis: u64, again: Again) {
        let ends = self
            .tracks()
            .get(place)
            .and_then(CapacityTrack::ends_at_millis);
        let ends = ends.filter(|ends| *ends > now_millis);
        let ends = ends.map(|ends| Duration::from_millis(ends - now_millis));
        self.queue.done(place);
        let wait = match again {
            Again::Soon => Some(LOOK),
            Again::WhenItEnds => ends,
        };
        if let Some(wait) = wait {
            self.queue.add_at(place.clone(), Instant::now() + wait);
        }
    }

    /// Looks at the Pods of a workload that runs less than it was told to.
    pub(super) async fn look(
        &self,
        context: &Context,
        target: &Target,
        place: &Place,
        now_millis: u64,
    ) -> Again {
        let (_, name) = place;
        let Some(member) = context.members.get(name) else {
            return Again::WhenItEnds;
        };
        let running = member
            .lane(&target.cache.named.name)
            .map_or(Running::Unknown, |lane| lane.cache.running(&target.key));
        let Running::Known { replicas, .. } = running else {
            return Again::WhenItEnds;
        };
        if !is_short(running) {
            self.see(place, &BTreeSet::new(), replicas, now_millis);
            return Again::WhenItEnds;
        }
        let selector = LabelSelector::of_pods(&target.intent.template);
        let (Some(client), Some(selector), true) =
            (member.requests(), selector, member.breaker.may_ask())
        else {
            return Again::Soon;
        };
        let pods: Api<Pod> = Api::namespaced(client, &target.key.namespace);
        let pending = ListParams::default()
            .labels(&selector.to_string())
            .fields("status.phase=Pending")
            .limit(PODS_MAX);
        match timeout(DEADLINE, pods.list(&pending)).await {
            Ok(Ok(pods)) => {
                let waiting = pods.items.iter().filter(|pod| is_unschedulable(pod));
                let waiting = waiting.filter_map(|pod| pod.metadata.uid.clone());
                self.see(place, &waiting.collect(), replicas, now_millis);
            }
            Ok(Err(error)) => tracing::debug!(member = %name, %error, "Pods not listed"),
            Err(_) => tracing::debug!(member = %name, "Pods not listed in time"),
        }
        Again::Soon
    }

    fn see(&self, place: &Place, waiting: &BTreeSet<String>, replicas: i64, now_millis: u64) {
        let mut tracks = self.tracks();
        let track = tracks.entry(place.clone()).or_default();
        track.see(waiting, replicas, now_millis);
        if *track == CapacityTrack::default() {
            tracks.remove(place);
        }
    }

    fn tracks(&self) -> MutexGuard<'_, HashMap<Place, CapacityTrack>> {
        self.tracks.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// When a workload is looked at again.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Again {
    /// It still lacks something.
    Soon,
    /// Nothing is to be seen before what is known ends.
    WhenItEnds,
}

fn is_short(running: Running) -> bool {
    matches!(running, Running::Known { replicas, ready } if ready < replicas)
}

fn is_unschedulable(pod: &Pod) -> bool {
    let conditions = pod.status.iter().flat_map(|status| &status.conditions);
    conditions.flatten().any(|condition| {
        condition.type_ == "PodScheduled"
            && condition.status == "False"
            && condition.reason.as_deref() == Some("Unschedulable")
    })
}
