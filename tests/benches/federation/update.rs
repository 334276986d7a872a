//! A change of a thousand objects.

use crate::bound::{self, Distance};
use crate::objects::{
    WRITER_IN_FLIGHT, all, apply, config_map, config_maps, create, edition_patch, federated,
    federated_config_map, patch,
};
use crate::reader::Reader;
use crate::report::{Report, percentile};
use kube::Api;
use kube::api::DynamicObject;
use meridian_tests::sighted::{Result, Sighted};
use meridian_tests::world::World;
use std::time::Instant;

/// Federated objects.
const OBJECTS: usize = 1_000;
/// Measurements; the median counts.
const RUNS: usize = 3;

/// Seconds of one measurement, each beside its bound.
pub(crate) struct Updated {
    pub(crate) seconds: f64,
    /// Until the host has taken the last change.
    pub(crate) host_seconds: f64,
    pub(crate) bound_seconds: f64,
    /// The bound, with the changes on the host among the plain client's writes.
    pub(crate) bound_with_host_seconds: f64,
}

/// See the benchmark's head.
pub(crate) async fn measure(world: &World, report: &mut Report) -> Result<()> {
    let site = Updates::furnish(world, "update").await?;
    let mut runs = Vec::new();
    for run in 1..=RUNS {
        runs.push(site.run(run, Distance::Near).await?);
    }
    let median = |of: fn(&Updated) -> f64| {
        let figures: Vec<f64> = runs.iter().map(of).collect();
        percentile(&figures, 0.5)
    };
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

/// Objects that are there and will be changed.
pub(crate) struct Updates {
    host: Api<DynamicObject>,
    members: Vec<Api<DynamicObject>>,
    /// The members, and as many plain objects on the host.
    all: Vec<Api<DynamicObject>>,
    names: Vec<String>,
    plain_names: Vec<String>,
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
        let on_host = config_maps(world.host().client(), namespace);
        let site = Self {
            host: federated(world.host().client(), namespace),
            all: members.iter().cloned().chain([on_host]).collect(),
            members,
            names: named("federated"),
            plain_names: named("plain"),
        };
        let plain = site.plain_names.iter().flat_map(|name| {
            let write = move |api: &Api<DynamicObject>| apply(api.clone(), config_map(name, 0));
            site.all.iter().map(write)
        });
        all(plain, WRITER_IN_FLIGHT).await?;
        let sighted = Sighted::written(site.members.clone(), OBJECTS).await?;
        let create = |name: &String| create(site.host.clone(), federated_config_map(name, 0));
        all(site.names.iter().map(create), WRITER_IN_FLIGHT).await?;
        sighted.all().await?;
        Ok(site)
    }

    /// Changes everything once, and what is beside it.
    pub(crate) async fn run(&self, run: usize, distance: Distance) -> Result<Updated> {
        let edition = |round: usize| run * 10 + round;
        let object = |name: &str, round: usize| config_map(name, edition(round));
        let bound_seconds = bound::best(&self.members, &self.plain_names, distance, object).await?;
        let object = |name: &str, round: usize| config_map(name, edition(round) + 5);
        let bound_with_host_seconds =
            bound::best(&self.all, &self.plain_names, distance, object).await?;
        let (seconds, host_seconds) = self.change(run).await?;
        Ok(Updated {
            seconds,
            host_seconds,
            bound_seconds,
            bound_with_host_seconds,
        })
    }

    /// Changes everything that is federated, and nothing beside it: seconds until all copies were
    /// seen to have changed, and those until the host had taken the last change.
    pub(crate) async fn change(&self, edition: usize) -> Result<(f64, f64)> {
        let sighted = Sighted::written(self.members.clone(), OBJECTS).await?;
        let began = Instant::now();
        let change = |name: &String| {
            let change = edition_patch(name, edition);
            patch(self.host.clone(), name.clone(), change)
        };
        all(self.names.iter().map(change), WRITER_IN_FLIGHT).await?;
        let host_seconds = began.elapsed().as_secs_f64();
        let seen = sighted.all().await?;
        Ok(((seen.last - began).as_secs_f64(), host_seconds))
    }

    /// Has a plain client change what is beside it, in members far away.
    pub(crate) async fn change_plain(&self, edition: usize) -> Result<()> {
        let object = |name: &str, round: usize| config_map(name, edition * 10 + round);
        bound::best(&self.members, &self.plain_names, Distance::Far, object).await?;
        Ok(())
    }

    /// Reads one of the copies again and again.
    pub(crate) fn reader(&self) -> Reader {
        Reader::begin(&self.members[0], &self.plain_names[0])
    }
}
