//! How long until the workloads of a member that died run elsewhere and its address is answered no
//! more, at the product's defaults; and that nothing moves, and no answer changes, while only its API
//! hangs.

use crate::lost::{deployments, federate, moved};
use crate::report::Report;
use crate::served::Served;
use crate::site;
use meridian_tests::control_plane::free_ports;
use meridian_tests::sighted::Result;
use meridian_tests::world::{ApiFault, CORE, Kind, ObjectRef, Run, SYSTEM, World, condition};
use serde_json::Value;
use std::net::SocketAddr;
use std::time::{Duration, Instant};
use tokio::time::timeout;
use tokio_util::sync::CancellationToken;

/// Federated Deployments, each with a replica in every member.
const WORKLOADS: usize = 50;
/// How long an API hangs while what runs there serves.
const HUNG: Duration = Duration::from_secs(300);
/// Who hangs, and dies.
const LOST: &str = "osaka";
/// Whose address is answered then.
const STANDBY: &str = "berlin";
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
    world.federate_namespace(NAMESPACE).await;
    let served = Served::open(&world, NAMESPACE, dns, REPLICA, [LOST, STANDBY]).await?;
    let names: Vec<String> = (0..WORKLOADS).map(|n| format!("web-{n}")).collect();
    federate(&world, NAMESPACE, &names).await?;

    let left = deployments(&world, NAMESPACE, LOST);
    let anything = moved(&left, 1).await?;
    let began = Instant::now();
    world.break_api(LOST, ApiFault::Hung);
    let stop = CancellationToken::new();
    let hung = async {
        until_not_ready(&world).await;
        report.add("hung_not_ready_seconds", began.elapsed().as_secs_f64());
        let rest = HUNG.saturating_sub(began.elapsed());
        let quiet = timeout(rest, anything.all()).await.is_err();
        report.add("hung_seconds", began.elapsed().as_secs_f64());
        report.add("hung_moved", if quiet { 0.0 } else { 1.0 });
        stop.cancel();
    };
    let ((), asked) = tokio::join!(hung, served.ask(stop.clone()));
    let asked = asked?;
    report.add("hung_questions", asked.questions as f64);
    report.add("hung_unanswered", asked.unanswered as f64);
    report.add("hung_answers_changed", asked.changed as f64);
    world.mend_api(LOST).await;
    world.until_ready(LOST).await;

    let all = moved(&left, WORKLOADS).await?;
    let began = Instant::now();
    served.lose();
    world.break_api(LOST, ApiFault::Down);
    let (left, seen) = tokio::try_join!(served.until_left(), all.all())?;
    report.add("failover_answer_seconds", (left - began).as_secs_f64());
    report.add("failover_first_seconds", (seen.first - began).as_secs_f64());
    report.add("failover_seconds", (seen.last - began).as_secs_f64());
    meridian.stop();
    Ok(())
}

async fn until_not_ready(world: &World) {
    let member = ObjectRef::new(CORE, "KubeFedCluster", SYSTEM, LOST);
    // A member that does not answer has a condition Offline, and none that is called Ready.
    let unwell = |cluster: &Value| condition(cluster, "Ready")["status"] != "True";
    world.host().until(&member, "it is not Ready", unwell).await;
}
