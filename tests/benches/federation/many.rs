//! Many members.

use crate::objects::{WRITER_IN_FLIGHT, all, config_map, config_maps, create, federated};
use crate::objects::{apply, federated_config_map};
use crate::report::Report;
use crate::site;
use meridian_tests::sighted::{Result, Sighted};
use meridian_tests::world::{Kind, Site};
use serde_json::json;
use std::time::{Duration, Instant};

/// Members.
const MEMBERS: usize = 300;
/// Federated objects, each of which goes everywhere.
const OBJECTS: usize = 100;
/// How long the processor time of a quiet system is measured.
const QUIET: Duration = Duration::from_secs(20);
/// Until what follows the last write has come to an end.
const SETTLING: Duration = Duration::from_secs(10);

/// See the benchmark's head.
pub(crate) async fn measure(report: &mut Report) -> Result<()> {
    let world = site::started(Kind::Pocketkube, sites(), json!({})).await;
    let namespace = "many";
    world.federate_namespace(namespace).await;
    let members: Vec<_> = world
        .members()
        .map(|member| config_maps(member.client(), namespace))
        .collect();

    let sighted = Sighted::written(members.clone(), OBJECTS).await?;
    let began = Instant::now();
    let plain = (0..OBJECTS).flat_map(|number| {
        let object = config_map(&format!("plain-{number}"), 0);
        let write = move |api: &kube::Api<_>| apply(api.clone(), object.clone());
        members.iter().map(write)
    });
    all(plain, WRITER_IN_FLIGHT).await?;
    let bound = (sighted.all().await?.last - began).as_secs_f64();

    let sighted = Sighted::written(members.clone(), OBJECTS).await?;
    let host = federated(world.host().client(), namespace);
    let began = Instant::now();
    let creations = (0..OBJECTS).map(|number| {
        let object = federated_config_map(&format!("federated-{number}"), 0);
        create(host.clone(), object)
    });
    all(creations, WRITER_IN_FLIGHT).await?;
    let seconds = (sighted.all().await?.last - began).as_secs_f64();
    report.add("many_members", MEMBERS as f64);
    report.add("many_seconds", seconds);
    report.add("many_bound_seconds", bound);
    report.add("many_ratio", seconds / bound);

    let controller = world.take_controller();
    tokio::time::sleep(SETTLING).await;
    let before = controller.usage();
    tokio::time::sleep(QUIET).await;
    let after = controller.usage();
    let share = (after.cpu_secs - before.cpu_secs) / QUIET.as_secs_f64();
    report.add("many_quiet_cpu_percent", share * 100.0);
    report.add("many_resident_mb", after.resident_mb);
    Ok(())
}

/// A fleet in thirty regions. Names live as long as the benchmark.
fn sites() -> Vec<Site> {
    let site = |number: usize| Site {
        name: leaked(format!("member-{number:03}")),
        region: leaked(format!("region-{:02}", number % 30)),
        city: leaked(format!("city-{number:03}")),
        location: "50.11,8.68",
    };
    (0..MEMBERS).map(site).collect()
}

fn leaked(text: String) -> &'static str {
    Box::leak(text.into_boxed_str())
}
