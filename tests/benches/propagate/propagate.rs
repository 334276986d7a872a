//! What is measured: federated objects, from the host into the members.

use crate::furnish::{
    create_namespace, federate_namespace, federated_config_map, federated_config_maps,
};
use crate::host_writes::host_writes;
use crate::sighted::{everywhere, namespace_everywhere, told};
use crate::site::Site;
use crate::{OBJECTS, Result};
use futures::{StreamExt, TryStreamExt, stream};
use kube::api::PostParams;
use std::time::Instant;

/// Requests in flight of the user who creates the federated objects: as many as the controller
/// works on at once.
const WRITER_IN_FLIGHT: usize = 64;

/// One run.
pub(crate) struct Propagated {
    /// Until the user's own writes to the host are done.
    pub(crate) created_seconds: f64,
    /// Until the members hold everything.
    pub(crate) seconds: f64,
    /// Until every status on the host says so.
    pub(crate) told_seconds: f64,
    /// Writes to the host besides the user's own.
    pub(crate) host_writes_per_object: f64,
}

/// Objects are created while the controller runs, in a namespace that the members have.
pub(crate) async fn as_created(site: &Site, run: usize) -> Result<Propagated> {
    let namespace = format!("created-{run}");
    create_namespace(&site.host, &namespace).await?;
    federate_namespace(&site.host, &namespace).await?;
    namespace_everywhere(site, &namespace).await?;
    let sighted = everywhere(site, &namespace).await?;
    let statuses = told(&site.host, &namespace, "True").await?;
    let writes_before = host_writes(site).await?;
    let began = Instant::now();
    create_all(site, &namespace).await?;
    let created = Instant::now();
    let all = sighted.all().await?.last;
    let told = statuses.all().await?.last;
    let writes = host_writes(site).await? - writes_before - OBJECTS as f64;
    Ok(Propagated {
        created_seconds: (created - began).as_secs_f64(),
        seconds: (all - began).as_secs_f64(),
        told_seconds: (told - began).as_secs_f64(),
        host_writes_per_object: writes / OBJECTS as f64,
    })
}

/// Objects are on the host already; then their namespace is federated. Seconds from there.
pub(crate) async fn when_placed(site: &Site, run: usize) -> Result<f64> {
    let namespace = format!("placed-{run}");
    create_namespace(&site.host, &namespace).await?;
    for client in site.members.values() {
        create_namespace(client, &namespace).await?;
    }
    let sighted = everywhere(site, &namespace).await?;
    let waiting = told(&site.host, &namespace, "False").await?;
    create_all(site, &namespace).await?;
    waiting.all().await?;
    let statuses = told(&site.host, &namespace, "True").await?;
    let began = Instant::now();
    federate_namespace(&site.host, &namespace).await?;
    let all = sighted.all().await?.last;
    statuses.all().await?;
    Ok((all - began).as_secs_f64())
}

async fn create_all(site: &Site, namespace: &str) -> Result<()> {
    let api = federated_config_maps(&site.host, namespace);
    stream::iter(0..OBJECTS)
        .map(|number| {
            let api = api.clone();
            async move {
                let object = federated_config_map(number);
                let created = async move { api.create(&PostParams::default(), &object).await };
                tokio::spawn(created).await??;
                Result::Ok(())
            }
        })
        .buffer_unordered(WRITER_IN_FLIGHT)
        .try_collect::<Vec<()>>()
        .await?;
    Ok(())
}
