//! How long until the workloads of a member that died run elsewhere, at the product's defaults; and
//! that nothing moves while only its API hangs.

use crate::lost::{deployments, federate, moved};
use crate::report::Report;
use crate::site;
use meridian_tests::control_plane::free_ports;
use meridian_tests::sighted::Result;
use meridian_tests::world::{ApiFault, CORE, GSLB, Kind, ObjectRef, Run, SYSTEM, World, condition};
use serde_json::{Value, json};
use std::net::SocketAddr;
use std::time::{Duration, Instant};
use tokio::net::TcpListener;
use tokio::task::JoinHandle;
use tokio::time::timeout;

/// Federated Deployments, each with a replica in every member.
const WORKLOADS: usize = 50;
/// How long an API hangs while what runs there serves.
const HUNG: Duration = Duration::from_secs(300);
/// Who hangs, and dies.
const LOST: &str = "osaka";
const NAMESPACE: &str = "failover";
/// The only replica of meridian.
const REPLICA: &str = "failover";

/// See the benchmark's head.
pub(crate) async fn measure(kind: Kind, report: &mut Report) -> Result<()> {
    let mut world = site::three(kind).await;
    world.take_controller().stop();
    let [dns] = free_ports();
    let dns = SocketAddr::from(([127, 0, 0, 1], dns));
    let meridian = world.run(&Run::all_roles(REPLICA, dns)).await;
    world.until_leads(REPLICA).await;
    let serving = serve(&world).await?;
    world.federate_namespace(NAMESPACE).await;
    let names: Vec<String> = (0..WORKLOADS).map(|n| format!("web-{n}")).collect();
    federate(&world, NAMESPACE, &names).await?;

    let left = deployments(&world, NAMESPACE, LOST);
    let anything = moved(&left, 1).await?;
    let began = Instant::now();
    world.break_api(LOST, ApiFault::Hung);
    until_not_ready(&world).await;
    report.add("hung_not_ready_seconds", began.elapsed().as_secs_f64());
    let rest = HUNG.saturating_sub(began.elapsed());
    let quiet = timeout(rest, anything.all()).await.is_err();
    report.add("hung_seconds", began.elapsed().as_secs_f64());
    report.add("hung_moved", if quiet { 0.0 } else { 1.0 });
    world.mend_api(LOST).await;
    world.until_ready(LOST).await;

    let all = moved(&left, WORKLOADS).await?;
    let began = Instant::now();
    serving.abort();
    world.break_api(LOST, ApiFault::Down);
    let seen = all.all().await?;
    report.add("failover_first_seconds", (seen.first - began).as_secs_f64());
    report.add("failover_seconds", (seen.last - began).as_secs_f64());
    meridian.stop();
    Ok(())
}

/// What runs in the member answers on a port, and the member's own check is told of it.
async fn serve(world: &World) -> Result<JoinHandle<()>> {
    let listener = TcpListener::bind("127.0.0.1:0").await?;
    let port = listener.local_addr()?.port();
    let serving = tokio::spawn(async move {
        loop {
            drop(listener.accept().await);
        }
    });
    let member = ObjectRef::new(CORE, "KubeFedCluster", SYSTEM, LOST);
    let check = json!({"address": "127.0.0.1", "healthCheck": {"tcp": {"port": port}}});
    let spec = json!({"spec": {"dataPlaneCheck": check}});
    world.host().patch(&member, spec).await;
    let report = ObjectRef::new(GSLB, "ProbeReport", SYSTEM, REPLICA);
    let up = |report: &Value| {
        let said = report["spec"]["verdicts"].as_array();
        let mut said = said.into_iter().flatten();
        said.any(|said| said["cluster"] == LOST && said["verdict"] == "Up")
    };
    world.host().until(&report, "it is up", up).await;
    Ok(serving)
}

async fn until_not_ready(world: &World) {
    let member = ObjectRef::new(CORE, "KubeFedCluster", SYSTEM, LOST);
    // A member that does not answer has a condition Offline, and none that is called Ready.
    let unwell = |cluster: &Value| condition(cluster, "Ready")["status"] != "True";
    world.host().until(&member, "it is not Ready", unwell).await;
}
