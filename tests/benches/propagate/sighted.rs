//! Watches that tell when something is so: no clock is polled.

use crate::furnish::federated_config_maps;
use crate::site::Site;
use crate::{OBJECTS, Result};
use futures::future::try_join_all;
use futures::{Stream, StreamExt};
use k8s_openapi::api::core::v1::{ConfigMap, Namespace};
use kube::api::{DynamicObject, PartialObjectMeta};
use kube::runtime::wait::await_condition;
use kube::runtime::watcher::{Config, Event, watcher};
use kube::{Api, Client, ResourceExt};
use std::collections::HashSet;
use std::pin::Pin;
use std::time::{Duration, Instant};
use tokio::task::JoinHandle;
use tokio::time::timeout;

/// Nothing that is measured takes that long.
const PATIENCE: Duration = Duration::from_secs(300);

/// Watches of one namespace in every member, which have begun.
pub(crate) struct Sighted {
    complete: Vec<JoinHandle<Result<Instant>>>,
}

impl Sighted {
    /// Begins to watch.
    pub(crate) async fn begin(site: &Site, namespace: &str) -> Result<Self> {
        let mut complete = Vec::new();
        for client in site.members.values() {
            let api = Api::<PartialObjectMeta<ConfigMap>>::namespaced(client.clone(), namespace);
            let events = watcher(api, Config::default());
            let events = events.map(|event| Ok(names(event?, |object| Some(object.name_any()))));
            let mut events: Names = Box::pin(events);
            until_listed(&mut events).await?;
            complete.push(tokio::spawn(until_all(events)));
        }
        Ok(Self { complete })
    }

    /// When the last object of the last member was seen.
    pub(crate) async fn all(self) -> Result<Instant> {
        let all = timeout(PATIENCE, try_join_all(self.complete)).await;
        let times = all.map_err(|_| "the members never held every object")??;
        let mut last = Instant::now();
        for (number, time) in times.into_iter().enumerate() {
            let time = time?;
            last = if number == 0 { time } else { last.max(time) };
        }
        Ok(last)
    }
}

/// A watch of statuses on the host, which has begun: done when the condition Propagation of each
/// has that status.
pub(crate) async fn told(host: &Client, namespace: &str, status: &'static str) -> Result<Told> {
    let api = federated_config_maps(host, namespace);
    let is_so = move |object: DynamicObject| {
        let conditions = object.data["status"]["conditions"].as_array();
        let mut conditions = conditions.into_iter().flatten();
        conditions
            .any(|found| found["type"] == "Propagation" && found["status"] == status)
            .then(|| object.name_any())
    };
    let events = watcher(api, Config::default()).map(move |event| Ok(names(event?, is_so)));
    let mut events: Names = Box::pin(events);
    until_listed(&mut events).await?;
    Ok(tokio::spawn(until_all(events)))
}

/// When the last status was seen to be so.
type Told = JoinHandle<Result<Instant>>;

/// Waits for what a watch is to find.
pub(crate) async fn found(watch: Told) -> Result<Instant> {
    let found = timeout(PATIENCE, watch).await;
    found.map_err(|_| "the statuses never said that all is propagated")??
}

/// Waits until every member has a namespace.
pub(crate) async fn namespace_everywhere(site: &Site, name: &str) -> Result<()> {
    for client in site.members.values() {
        let api = Api::<Namespace>::all(client.clone());
        let waiting = await_condition(api, name, |found: Option<&Namespace>| found.is_some());
        timeout(PATIENCE, waiting)
            .await
            .map_err(|_| "a member never got the namespace")??;
    }
    Ok(())
}

type Names = Pin<Box<dyn Stream<Item = Result<Event<Option<String>>>> + Send>>;

fn names<K>(event: Event<K>, name: impl Fn(K) -> Option<String>) -> Event<Option<String>> {
    match event {
        Event::Apply(object) => Event::Apply(name(object)),
        Event::Delete(object) => Event::Delete(name(object)),
        Event::Init => Event::Init,
        Event::InitApply(object) => Event::InitApply(name(object)),
        Event::InitDone => Event::InitDone,
    }
}

async fn until_listed(events: &mut Names) -> Result<()> {
    while let Some(event) = events.next().await {
        if let Event::InitDone = event? {
            return Ok(());
        }
    }
    Err("a watch ended".into())
}

async fn until_all(mut events: Names) -> Result<Instant> {
    let mut seen = HashSet::new();
    while seen.len() < OBJECTS {
        match events.next().await.ok_or("a watch ended")?? {
            Event::Apply(Some(name)) | Event::InitApply(Some(name)) => drop(seen.insert(name)),
            _ => {}
        }
    }
    Ok(Instant::now())
}
