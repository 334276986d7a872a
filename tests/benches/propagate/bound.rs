//! The bound: the same objects written into the members by a plain client.

use crate::furnish::{config_map, create_namespace};
use crate::sighted::everywhere;
use crate::site::Site;
use crate::{OBJECTS, Result};
use futures::{StreamExt, TryStreamExt, stream};
use k8s_openapi::api::core::v1::ConfigMap;
use kube::Api;
use kube::api::{Patch, PatchParams, PostParams};
use serde_json::Value;
use std::time::Instant;

/// Requests in flight, to all members together.
pub(crate) const IN_FLIGHT: [usize; 4] = [8, 16, 32, 64];

/// One run of the bound.
pub(crate) struct Bound {
    /// Seconds of server-side applies for each of [`IN_FLIGHT`].
    pub(crate) apply: Vec<f64>,
    /// Seconds of creations for each of [`IN_FLIGHT`].
    pub(crate) create: Vec<f64>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Verb {
    Apply,
    Create,
}

/// Writes everything once with each number of requests in flight.
pub(crate) async fn best(site: &Site, run: usize) -> Result<Bound> {
    let (mut apply, mut create) = (Vec::new(), Vec::new());
    for in_flight in IN_FLIGHT {
        let namespace = format!("apply-{run}-{in_flight}");
        apply.push(write_all(site, &namespace, Verb::Apply, in_flight).await?);
        let namespace = format!("create-{run}-{in_flight}");
        create.push(write_all(site, &namespace, Verb::Create, in_flight).await?);
    }
    Ok(Bound { apply, create })
}

async fn write_all(site: &Site, namespace: &str, verb: Verb, in_flight: usize) -> Result<f64> {
    let mut members = Vec::new();
    for client in site.members.values() {
        create_namespace(client, namespace).await?;
        members.push(Api::<ConfigMap>::namespaced(client.clone(), namespace));
    }
    let sighted = everywhere(site, namespace).await?;
    let began = Instant::now();
    stream::iter(0..OBJECTS)
        .flat_map(|number| stream::iter(members.clone()).map(move |api| (number, api)))
        .map(|(number, api)| async move { tokio::spawn(write(api, number, verb)).await? })
        .buffer_unordered(in_flight)
        .try_collect::<Vec<()>>()
        .await?;
    let all = sighted.all().await?.last;
    Ok((all - began).as_secs_f64())
}

async fn write(api: Api<ConfigMap>, number: usize, verb: Verb) -> Result<()> {
    let object: Value = config_map(number);
    match verb {
        Verb::Apply => {
            let name = object["metadata"]["name"].as_str().unwrap_or_default();
            let parameters = PatchParams::apply("bound");
            api.patch(name, &parameters, &Patch::Apply(&object)).await?;
        }
        Verb::Create => {
            let object = serde_json::from_value(object)?;
            api.create(&PostParams::default(), &object).await?;
        }
    }
    Ok(())
}
