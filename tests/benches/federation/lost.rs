//! A member that is lost, with its share of many workloads.

use crate::objects::{WRITER_IN_FLIGHT, all, apply, collection, create};
use crate::report::{Figure, Report, percentile};
use crate::site;
use kube::api::DynamicObject;
use kube::{Api, ResourceExt};
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
/// Measurements, each of a fleet of its own; the median counts.
const ROUNDS: usize = 3;
/// Requests in flight that the plain client tries before it is measured with the best of them.
const IN_FLIGHT: [usize; 3] = [16, 32, 64];
/// Who is lost.
const LOST: &str = "osaka";
const NAMESPACE: &str = "lost";
/// How the names of what is not federated begin.
const PLAIN: &str = "plain-";

/// Seconds of one measurement.
struct Lost {
    /// From the loss until the first replica moved.
    first: f64,
    /// From then until the last one had.
    moving: f64,
    bound: f64,
}

/// See the benchmark's head.
pub(crate) async fn measure(report: &mut Report) -> Result<()> {
    let mut rounds = Vec::new();
    for _ in 0..ROUNDS {
        rounds.push(Box::pin(round()).await?);
    }
    let figures: [Figure<Lost>; 5] = [
        ("lost_first_seconds", |it| it.first),
        ("lost_seconds", |it| it.moving),
        ("lost_whole_seconds", |it| it.first + it.moving),
        ("lost_bound_seconds", |it| it.bound),
        ("lost_ratio", |it| it.moving / it.bound),
    ];
    for (name, of) in figures {
        let figures: Vec<f64> = rounds.iter().map(of).collect();
        report.add(name, percentile(&figures, 0.5));
    }
    Ok(())
}

async fn round() -> Result<Lost> {
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
    let bound = bound(&left).await?;
    Ok(Lost {
        first: (seen.first - began).as_secs_f64(),
        moving: (seen.last - seen.first).as_secs_f64(),
        bound,
    })
}

/// Seconds until a plain client has given each of as many Deployments one replica more, in the members
/// that are left, where nothing else is to be done. What becomes of the replicas is theirs.
async fn bound(left: &[Api<DynamicObject>]) -> Result<f64> {
    let mut best = (f64::INFINITY, IN_FLIGHT[0]);
    scale(left, 1, IN_FLIGHT[0]).await?;
    for (replicas, in_flight) in (2..).zip(IN_FLIGHT) {
        let seconds = scale(left, replicas, in_flight).await?;
        if seconds < best.0 {
            best = (seconds, in_flight);
        }
    }
    // Measured as often as the product is: the best of several runs of one cannot be held against
    // the median of the other.
    scale(left, 2 + IN_FLIGHT.len(), best.1).await
}

/// Applies Deployments of so many replicas, as many in each member, and waits until these are ready:
/// seconds until all were seen to be told.
async fn scale(left: &[Api<DynamicObject>], replicas: usize, in_flight: usize) -> Result<f64> {
    let each = OBJECTS / left.len();
    let mine = |object: &DynamicObject| object.name_any().starts_with(PLAIN);
    let told = move |it: &DynamicObject| mine(it) && it.data["spec"]["replicas"] == replicas;
    let runs = move |it: &DynamicObject| mine(it) && it.data["status"]["readyReplicas"] == replicas;
    let ready = Sighted::objects(left.to_vec(), each, runs).await?;
    let sighted = Sighted::objects(left.to_vec(), each, told).await?;
    let began = Instant::now();
    let writes = (0..each).flat_map(|number| {
        let deployment = deployment(&format!("{PLAIN}{number}"), replicas);
        let to = move |member: &Api<DynamicObject>| apply(member.clone(), deployment.clone());
        left.iter().map(to)
    });
    all(writes, in_flight).await?;
    let seen = sighted.all().await?;
    ready.all().await?;
    Ok((seen.last - began).as_secs_f64())
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
