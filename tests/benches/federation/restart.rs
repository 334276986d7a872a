//! A restart that meets many objects of which nothing has changed.

use crate::objects::{WRITER_IN_FLIGHT, all, config_maps, create, federated};
use crate::report::Report;
use kube::api::DynamicObject;
use meridian_tests::sighted::{Result, Sighted};
use meridian_tests::world::{TYPES, World, condition};
use serde_json::json;
use std::future::Future;
use std::time::{Duration, Instant};

/// Nothing that is measured takes that long.
const PATIENCE: Duration = Duration::from_secs(600);
/// Between two looks at the metrics, which give no sign when they change.
const LOOK_AGAIN: Duration = Duration::from_millis(100);
/// Small objects: how many they are is what counts here.
const DATA_BYTES: usize = 100;

/// See the benchmark's head.
pub(crate) async fn measure(world: &mut World, objects: usize, report: &mut Report) -> Result<()> {
    let namespace = "restart";
    world.federate_namespace(namespace).await;
    let members = world.members();
    let members = members.map(|member| config_maps(member.client(), namespace));
    let sighted = Sighted::written(members.collect::<Vec<_>>(), objects).await?;
    let api = federated(world.host().client(), namespace);
    let creations = (0..objects).map(|number| {
        let object = json!({"apiVersion": TYPES, "kind": "FederatedConfigMap",
            "metadata": {"name": format!("config-{number}")},
            "spec": {"template": {"data": {"text": format!("{number:0>DATA_BYTES$}")}},
                "placement": {"clusterSelector": {}}}});
        create(api.clone(), object)
    });
    // Everything is told before the process ends, so that nothing is left to do for the next one.
    let is_told = |object: &DynamicObject| {
        let object = json!(object);
        condition(&object, "Propagation")["status"] == "True"
    };
    let told = Sighted::objects([api.clone()], objects, is_told).await?;
    all(creations, WRITER_IN_FLIGHT).await?;
    sighted.all().await?;
    told.all().await?;
    let first = world.take_controller();
    let mut federated = 0;
    for kind in ["FederatedNamespace", "FederatedConfigMap"] {
        federated += world.host().list(TYPES, kind, "").await.len();
    }
    report.add("restart_objects", federated as f64);
    report.add("resident_mb_before_restart", first.usage().resident_mb);
    first.stop();

    let began = Instant::now();
    let second = world.lead("second").await;
    let leads = began.elapsed();
    let all = federated as f64;
    until(|| async {
        let settled = second
            .metric("meridian_reconciliations_total", &["Settled"])
            .await;
        settled >= all
    })
    .await?;
    report.add("restart_seconds", began.elapsed().as_secs_f64());
    report.add("restart_leads_seconds", leads.as_secs_f64());
    let writes: f64 = second.member_writes().await.values().sum();
    report.add("restart_member_writes", writes);
    report.add("resident_mb", second.usage().resident_mb);
    world.give_controller(second);
    Ok(())
}

async fn until<F: Future<Output = bool>>(mut is_so: impl FnMut() -> F) -> Result<()> {
    let deadline = Instant::now() + PATIENCE;
    while !is_so().await {
        if Instant::now() > deadline {
            return Err("the controller did not come to an end".into());
        }
        tokio::time::sleep(LOOK_AGAIN).await;
    }
    Ok(())
}
