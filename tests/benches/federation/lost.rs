//! A member that is lost, with its share of many workloads.

use crate::bound::{self, Distance};
use crate::objects::{WRITER_IN_FLIGHT, all, apply, collection, create};
use crate::report::Report;
use crate::site;
use kube::Api;
use kube::api::DynamicObject;
use meridian_tests::sighted::{Result, Sighted};
use meridian_tests::world::{ApiFault, Kind, SCHEDULING, TYPES, World};
use serde_json::{Value, json};
use std::time::Instant;

/// Federated Deployments, each with a replica in every member.
const OBJECTS: usize = 1_000;
/// Replicas of each.
const REPLICAS: usize = 3;
/// After how many seconds without a sign of the member its replicas move.
const AFTER_SECS: usize = 10;
/// Who is lost.
const LOST: &str = "osaka";
const NAMESPACE: &str = "lost";

/// See the benchmark's head.
pub(crate) async fn measure(report: &mut Report) -> Result<()> {
    let mut world = site::three(Kind::Pocketkube).await;
    world
        .change_settings(json!({"failover": {"unknownAfterSeconds": AFTER_SECS}}))
        .await;
    world.federate_namespace(NAMESPACE).await;
    let names: Vec<String> = (0..OBJECTS).map(|number| format!("web-{number}")).collect();
    federate(&world, NAMESPACE, &names).await?;
    let left = deployments(&world, NAMESPACE, LOST);

    // Each Deployment's third replica goes to one of the two that are left: as many writes.
    let sighted = moved(&left, OBJECTS).await?;
    let began = Instant::now();
    world.break_data_plane(LOST);
    world.break_api(LOST, ApiFault::Down);
    let seen = sighted.all().await?;
    let first = (seen.first - began).as_secs_f64();
    let seconds = (seen.last - seen.first).as_secs_f64();
    report.add("lost_first_seconds", first);
    report.add("lost_seconds", seconds);
    report.add("lost_whole_seconds", (seen.last - began).as_secs_f64());

    let plain: Vec<String> = (0..OBJECTS)
        .map(|number| format!("plain-{number}"))
        .collect();
    let half = &left[..1];
    let writes = plain
        .iter()
        .map(|name| apply(half[0].clone(), deployment(name, 1)));
    all(writes, WRITER_IN_FLIGHT).await?;
    let scaled = |name: &str, round: usize| deployment(name, 2 + round);
    let bound = bound::best(half, &plain, Distance::Near, scaled).await?;
    report.add("lost_bound_seconds", bound);
    report.add("lost_ratio", seconds / bound);
    Ok(())
}

/// The Deployments of every member but one.
pub(crate) fn deployments(world: &World, namespace: &str, but: &str) -> Vec<Api<DynamicObject>> {
    world
        .members()
        .filter(|member| member.name() != but)
        .map(|member| collection(member.client(), "apps/v1", "Deployment", namespace))
        .collect()
}

/// Federates Deployments of three replicas, and waits until each member runs one of each.
pub(crate) async fn federate(world: &World, namespace: &str, names: &[String]) -> Result<()> {
    let host = world.host().client();
    let everywhere = deployments(world, namespace, "");
    let ready = |object: &DynamicObject| object.data["status"]["readyReplicas"] == 1;
    let sighted = Sighted::objects(everywhere, names.len(), ready).await?;
    let preferences = collection(host, SCHEDULING, "ReplicaSchedulingPreference", namespace);
    let deployments = collection(host, TYPES, "FederatedDeployment", namespace);
    let preferred = names.iter().map(|name| {
        let preference = json!({"apiVersion": SCHEDULING, "kind": "ReplicaSchedulingPreference",
            "metadata": {"name": name},
            "spec": {"targetKind": "FederatedDeployment", "totalReplicas": REPLICAS}});
        create(preferences.clone(), preference)
    });
    all(preferred, WRITER_IN_FLIGHT).await?;
    let federated = names.iter().map(|name| {
        let federated = json!({"apiVersion": TYPES, "kind": "FederatedDeployment",
            "metadata": {"name": name},
            "spec": {"template": template(name, REPLICAS), "placement": {"clusterSelector": {}}}});
        create(deployments.clone(), federated)
    });
    all(federated, WRITER_IN_FLIGHT).await?;
    sighted.all().await?;
    Ok(())
}

/// Every Deployment of the collections that is to run more than it did, as one collection: the
/// names are those of the federated objects, whichever member took the replica.
pub(crate) async fn moved(left: &[Api<DynamicObject>], objects: usize) -> Result<Sighted> {
    let more = |object: &DynamicObject| {
        object.data["spec"]["replicas"]
            .as_u64()
            .is_some_and(|replicas| replicas > 1)
    };
    Sighted::merged(left.to_vec(), objects, more).await
}

fn deployment(name: &str, replicas: usize) -> Value {
    let mut object = template(name, replicas);
    object["apiVersion"] = json!("apps/v1");
    object["kind"] = json!("Deployment");
    object["metadata"] = json!({"name": name});
    object
}

fn template(name: &str, replicas: usize) -> Value {
    let labels = json!({"app": name});
    json!({"spec": {
        "replicas": replicas,
        "selector": {"matchLabels": labels},
        "template": {"metadata": {"labels": labels}, "spec": {"containers": [{
            "name": "web", "image": "web:1",
        }]}},
    }})
}
