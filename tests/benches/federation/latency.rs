//! One object on an idle system.

use crate::objects::{apply, config_map, config_maps, create, federated, federated_config_map};
use crate::report::{Report, percentile};
use futures::future::try_join_all;
use kube::Api;
use kube::api::DynamicObject;
use meridian_tests::sighted::{Result, told};
use meridian_tests::world::World;
use std::time::{Duration, Instant};
use tokio::sync::mpsc::UnboundedReceiver;
use tokio::time::timeout;

/// Objects, one after another.
const SAMPLES: usize = 300;
/// Nothing that is measured takes that long.
const PATIENCE: Duration = Duration::from_secs(60);
/// What the first samples meet is the start of everything.
const WARM_UP: usize = 20;

type Told = UnboundedReceiver<(String, Instant)>;

/// See the benchmark's head.
pub(crate) async fn measure(world: &World, report: &mut Report) -> Result<()> {
    let namespace = "latency";
    world.federate_namespace(namespace).await;
    let members: Vec<Api<DynamicObject>> = world
        .members()
        .map(|member| config_maps(member.client(), namespace))
        .collect();
    let mut watches = try_join_all(members.iter().cloned().map(told)).await?;
    let host = federated(world.host().client(), namespace);
    let (mut whole, mut after_host, mut bound) = (Vec::new(), Vec::new(), Vec::new());
    for number in 0..SAMPLES + WARM_UP {
        let plain = format!("plain-{number}");
        let began = Instant::now();
        let writes = members.iter().map(|api| {
            let object = config_map(&plain, 0);
            tokio::spawn(apply(api.clone(), object))
        });
        for written in try_join_all(writes).await? {
            written?;
        }
        let direct = seen_by_all(&mut watches, &plain).await? - began;

        let name = format!("one-{number}");
        let began = Instant::now();
        create(host.clone(), federated_config_map(&name, 0)).await?;
        let taken = Instant::now();
        let seen = seen_by_all(&mut watches, &name).await?;
        if number >= WARM_UP {
            bound.push(direct.as_secs_f64() * 1000.0);
            whole.push((seen - began).as_secs_f64() * 1000.0);
            after_host.push((seen - taken).as_secs_f64() * 1000.0);
        }
    }
    for (share, name) in [(0.5, "p50"), (0.99, "p99")] {
        let [direct, whole, after_host] =
            [&bound, &whole, &after_host].map(|samples| percentile(samples, share));
        report.add(&format!("latency_{name}_ms"), whole);
        report.add(&format!("latency_after_host_{name}_ms"), after_host);
        report.add(&format!("latency_bound_{name}_ms"), direct);
        report.add(&format!("latency_beyond_{name}_ms"), after_host - direct);
    }
    Ok(())
}

/// When the last member showed it.
async fn seen_by_all(watches: &mut [Told], wanted: &str) -> Result<Instant> {
    let mut last = Instant::now();
    for (number, watch) in watches.iter_mut().enumerate() {
        let seen = timeout(PATIENCE, async {
            loop {
                match watch.recv().await {
                    Some((name, at)) if name == wanted => return Some(at),
                    Some(_) => {}
                    None => return None,
                }
            }
        });
        let seen = seen.await.map_err(|_| format!("{wanted} never came"))?;
        let seen = seen.ok_or("a watch ended")?;
        last = if number == 0 { seen } else { last.max(seen) };
    }
    Ok(last)
}
