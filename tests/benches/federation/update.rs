//! A change of a thousand objects.
//!
//! The plain client first finds how many requests in flight are best for it; then its writes and
//! the product's are measured in turns, as often each.

use crate::bound::{self, Distance, Request};
use crate::objects::{
    WRITER_IN_FLIGHT, all, apply, config_map, config_maps, create, edition_patch, federated,
    federated_config_map, patch, unwatched, unwatched_config_map,
};
use crate::report::{Report, percentile};
use futures::FutureExt;
use kube::Api;
use kube::api::{DynamicObject, ListParams};
use meridian_tests::sighted::{Result, Sighted};
use meridian_tests::world::World;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};
use tokio::time::sleep;

/// Federated objects.
const OBJECTS: usize = 1_000;
/// Measurements; the median counts.
const RUNS: usize = 5;

/// How long the statuses of a change may take.
const TOLD_WITHIN: Duration = Duration::from_secs(60);
/// Between two looks at them.
const LOOK_AGAIN: Duration = Duration::from_millis(100);

/// Seconds of one measurement, each beside its bound.
pub(crate) struct Updated {
    pub(crate) seconds: f64,
    /// Until the host has taken the last change.
    pub(crate) host_seconds: f64,
    pub(crate) bound_seconds: f64,
    /// The bound, with the changes on the host among the plain client's writes: whoever follows
    /// these changes has to wait for them, and a host on the same cores spends them too.
    pub(crate) bound_with_host_seconds: f64,
}

/// How many requests in flight are best for a plain client.
#[derive(Clone, Copy)]
struct Best {
    alone: usize,
    with_host: usize,
}

/// See the benchmark's head.
pub(crate) async fn measure(world: &World, report: &mut Report) -> Result<()> {
    let site = Updates::furnish(world, "update").await?;
    let runs = site.runs(Distance::Near, RUNS).await?;
    let median = |of: fn(&Updated) -> f64| median(&runs, of);
    report.add("update_seconds", median(|run| run.seconds));
    report.add("update_host_seconds", median(|run| run.host_seconds));
    report.add("update_bound_seconds", median(|run| run.bound_seconds));
    report.add(
        "update_ratio",
        median(|run| run.seconds / run.bound_seconds),
    );
    report.add(
        "update_bound_with_host_seconds",
        median(|run| run.bound_with_host_seconds),
    );
    report.add(
        "update_with_host_ratio",
        median(|run| run.seconds / run.bound_with_host_seconds),
    );
    Ok(())
}

/// The median of a figure.
pub(crate) fn median(runs: &[Updated], of: fn(&Updated) -> f64) -> f64 {
    let figures: Vec<f64> = runs.iter().map(of).collect();
    percentile(&figures, 0.5)
}

/// Objects that are there and will be changed.
pub(crate) struct Updates {
    host: Api<DynamicObject>,
    members: Vec<Api<DynamicObject>>,
    /// Objects of the host like the federated ones, of a kind that nobody follows.
    unwatched: Api<DynamicObject>,
    names: Vec<String>,
    plain_names: Vec<String>,
    /// How often something was changed: no two changes are the same.
    edition: AtomicUsize,
}

impl Updates {
    /// Federates the objects, and writes as many beside them.
    pub(crate) async fn furnish(world: &World, namespace: &str) -> Result<Self> {
        world.federate_namespace(namespace).await;
        let named = |prefix: &str| (0..OBJECTS).map(|n| format!("{prefix}-{n}")).collect();
        let members: Vec<_> = world
            .members()
            .map(|member| config_maps(member.client(), namespace))
            .collect();
        let site = Self {
            host: federated(world.host().client(), namespace),
            unwatched: unwatched(world.host(), namespace).await,
            members,
            names: named("federated"),
            plain_names: named("plain"),
            edition: AtomicUsize::new(1),
        };
        let plain = site.plain_names.iter().flat_map(|name| {
            let write = move |api: &Api<DynamicObject>| apply(api.clone(), config_map(name, 0));
            site.members.iter().map(write)
        });
        all(plain, WRITER_IN_FLIGHT).await?;
        let unwatched = site.plain_names.iter();
        let unwatched =
            unwatched.map(|name| create(site.unwatched.clone(), unwatched_config_map(name, 0)));
        all(unwatched, WRITER_IN_FLIGHT).await?;
        let sighted = Sighted::written(site.members.clone(), OBJECTS).await?;
        let create = |name: &String| create(site.host.clone(), federated_config_map(name, 0));
        all(site.names.iter().map(create), WRITER_IN_FLIGHT).await?;
        sighted.all().await?;
        site.told().await?;
        Ok(site)
    }

    /// Changes everything, and what is beside it, so many times.
    pub(crate) async fn runs(&self, distance: Distance, runs: usize) -> Result<Vec<Updated>> {
        let best = self.best(distance).await?;
        let mut all = Vec::new();
        for _ in 0..runs {
            let bound_seconds = self.change_plain(best.alone).await?;
            let bound_with_host_seconds = self.change_plain_and_host(best.with_host).await?;
            let (seconds, host_seconds) = self.change().await?;
            self.told().await?;
            all.push(Updated {
                seconds,
                host_seconds,
                bound_seconds,
                bound_with_host_seconds,
            });
        }
        Ok(all)
    }

    /// Tries numbers of requests in flight.
    async fn best(&self, distance: Distance) -> Result<Best> {
        let (mut alone, mut with_host) = (Vec::new(), Vec::new());
        for in_flight in distance.in_flight() {
            alone.push((self.change_plain(*in_flight).await?, *in_flight));
            let seconds = self.change_plain_and_host(*in_flight).await?;
            with_host.push((seconds, *in_flight));
        }
        let best = |tried: Vec<(f64, usize)>| {
            let best = tried.into_iter().min_by(|a, b| a.0.total_cmp(&b.0));
            best.map(|(_, in_flight)| in_flight)
                .ok_or("nothing was tried")
        };
        Ok(Best {
            alone: best(alone)?,
            with_host: best(with_host)?,
        })
    }

    /// Changes everything that is federated, and nothing beside it: seconds until all copies were
    /// seen to have changed, and those until the host had taken the last change.
    pub(crate) async fn change(&self) -> Result<(f64, f64)> {
        let sighted = self.sighted().await?;
        let began = Instant::now();
        all(self.federated_changes(), WRITER_IN_FLIGHT).await?;
        let host_seconds = began.elapsed().as_secs_f64();
        let seen = sighted.all().await?;
        Ok(((seen.last - began).as_secs_f64(), host_seconds))
    }

    /// Until every status speaks of the last change: what is measured next is measured alone.
    async fn told(&self) -> Result<()> {
        let is_told = |object: &DynamicObject| {
            object.data["status"]["observedGeneration"].as_i64() == object.metadata.generation
        };
        let deadline = Instant::now() + TOLD_WITHIN;
        while !self
            .host
            .list(&ListParams::default())
            .await?
            .iter()
            .all(is_told)
        {
            if Instant::now() >= deadline {
                return Err(format!("not every status is told after {TOLD_WITHIN:?}").into());
            }
            sleep(LOOK_AGAIN).await;
        }
        Ok(())
    }

    /// Has a plain client change what is beside it in the members.
    async fn change_plain(&self, in_flight: usize) -> Result<f64> {
        let edition = self.next_edition();
        let object = |name: &str| config_map(name, edition);
        let requests = bound::requests(&self.members, &self.plain_names, object, |_| None);
        bound::seconds(&self.members, OBJECTS, in_flight, requests).await
    }

    /// The same, and as many objects on the host.
    async fn change_plain_and_host(&self, in_flight: usize) -> Result<f64> {
        bound::seconds(&self.members, OBJECTS, in_flight, self.plain_changes()).await
    }

    /// Watches that wait until every member has shown a thousand changes.
    pub(crate) async fn sighted(&self) -> Result<Sighted> {
        Sighted::written(self.members.clone(), OBJECTS).await
    }

    /// A change of everything that is federated, on the host.
    pub(crate) fn federated_changes(&self) -> impl ExactSizeIterator<Item = Request> {
        let edition = self.next_edition();
        self.names.iter().map(move |name| {
            let change = edition_patch(name, edition);
            patch(self.host.clone(), name.to_owned(), change).boxed()
        })
    }

    /// What a plain client does for the same: each change on the host, and in the members.
    pub(crate) fn plain_changes(&self) -> Vec<Request> {
        let edition = self.next_edition();
        let object = |name: &str| config_map(name, edition);
        let change = |name: &str| Some(self.unwatched_change(name, edition));
        bound::requests(&self.members, &self.plain_names, object, change)
    }

    /// As many changes on the host, which nobody follows.
    pub(crate) fn unwatched_changes(&self) -> impl ExactSizeIterator<Item = Request> {
        let edition = self.next_edition();
        let names = self.plain_names.iter();
        names.map(move |name| self.unwatched_change(name, edition))
    }

    fn unwatched_change(&self, name: &str, edition: usize) -> Request {
        let change = edition_patch(name, edition);
        patch(self.unwatched.clone(), name.to_owned(), change).boxed()
    }

    fn next_edition(&self) -> usize {
        self.edition.fetch_add(1, Ordering::Relaxed)
    }

    /// A member, and an object in it that nobody federates.
    pub(crate) fn one_copy(&self) -> (&Api<DynamicObject>, &str) {
        (&self.members[0], &self.plain_names[0])
    }
}
