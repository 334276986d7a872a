//! The parts of the benchmark.
//!
//! Processor time tells what something costs even where the machine has other things to do.

use crate::client::{self, Client};
use bytes::Bytes;
use http::Method;
use http_body_util::BodyExt;
use pocketkube::cluster::WriteOptions;
use pocketkube::{Caller, Cluster, ClusterOptions, Fleet, FleetOptions};
use serde_json::{Map, Value, json};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};
use tokio::runtime::Runtime;

/// Figures by name.
pub(crate) type Measured = Map<String, Value>;

/// Clusters in one process.
const CLUSTERS: usize = 1_000;

/// How long clusters are left alone before their memory is looked at.
const IDLE: Duration = Duration::from_secs(5);

/// Objects in one cluster: half of them small, half of them Deployments.
const OBJECTS: usize = 100_000;

/// Creations, and the connections that share them.
const CREATES: usize = 60_000;
const CONNECTIONS: usize = 16;

/// Watchers of one kind, the connections that they share, and the changes that they see.
const WATCHERS: usize = 1_000;
const WATCH_CONNECTIONS: usize = 10;
const CHANGES: usize = 5_000;
const CHANGES_PER_SECOND: u32 = 1_000;

/// How a part ends that lost something, instead of waiting for ever.
const PATIENCE: Duration = Duration::from_secs(300);

/// Cores that the figures are about.
const CORES: usize = 2;

/// How long many clusters take to start, what they cost when nobody asks them anything, and what
/// keeps the processor busy then.
pub(crate) fn clusters() -> Measured {
    let runtime = runtime();
    let before = memory_kilobytes();
    let start = Instant::now();
    let names = (0..CLUSTERS).map(|number| format!("cluster-{number}"));
    let fleet = runtime
        .block_on(Fleet::start(FleetOptions::named(names)))
        .expect("free ports");
    let seconds = start.elapsed().as_secs_f64();
    runtime.block_on(idle());
    let each = (memory_kilobytes() - before) / CLUSTERS as f64;
    let busy = processor_seconds();
    runtime.block_on(idle());
    let busy = (processor_seconds() - busy) / IDLE.as_secs_f64();
    drop(fleet);
    Map::from_iter([
        ("clusters_start_seconds".to_owned(), rounded(seconds)),
        ("cluster_kilobytes".to_owned(), rounded(each)),
        ("clusters_idle_cores".to_owned(), rounded(busy)),
    ])
}

/// What many objects cost in one cluster.
pub(crate) fn objects() -> Measured {
    let cluster = Cluster::in_process(quiet());
    let before = memory_kilobytes();
    let resources = [
        cluster
            .resource("v1", "ConfigMap")
            .expect("a built-in kind"),
        cluster
            .resource("apps/v1", "Deployment")
            .expect("a built-in kind"),
    ];
    let caller = Caller::system("bench");
    for number in 0..OBJECTS {
        let (resource, object) = match number % 2 {
            0 => (&resources[0], config_map(number)),
            _ => (&resources[1], deployment(number)),
        };
        cluster
            .create(
                &caller,
                resource,
                "default",
                object,
                &WriteOptions::default(),
            )
            .expect("a valid object");
    }
    let megabytes = (memory_kilobytes() - before) / 1024.0;
    Map::from_iter([("objects_megabytes".to_owned(), rounded(megabytes))])
}

/// How many objects clients create in a second over HTTPS.
pub(crate) fn creates() -> Measured {
    let runtime = runtime();
    runtime.block_on(async {
        let fleet = one_cluster().await;
        let cluster = fleet.cluster("one");
        let client = Client::new(cluster, b"http/1.1");
        create(&client, "warm", CREATES / 10).await;
        let (start, busy) = (Instant::now(), processor_seconds());
        create(&client, "counted", CREATES).await;
        let per_second = CREATES as f64 / start.elapsed().as_secs_f64();
        let each = (processor_seconds() - busy) * 1e6 / CREATES as f64;
        Map::from_iter([
            ("creates_per_second".to_owned(), whole(per_second)),
            ("create_processor_micros".to_owned(), rounded(each)),
        ])
    })
}

/// How late many watchers of one kind hear of many changes.
pub(crate) fn watches() -> Measured {
    let runtime = runtime();
    runtime.block_on(async {
        let fleet = one_cluster().await;
        let cluster = fleet.cluster("one");
        let client = Client::new(cluster, b"h2");
        let sent: Arc<Vec<AtomicU64>> = Arc::new((0..CHANGES).map(|_| 0.into()).collect());
        let begun = Instant::now();
        let mut watchers = tokio::task::JoinSet::new();
        let path = format!(
            "/api/v1/namespaces/default/configmaps?watch=true&resourceVersion={}",
            cluster.version()
        );
        for _ in 0..WATCH_CONNECTIONS {
            let sender = client.many_at_once().await;
            for _ in 0..WATCHERS / WATCH_CONNECTIONS {
                let request = client.request(Method::GET, &path, Bytes::new());
                let response = sender.clone().send_request(request).await;
                let response = response.expect("a watch");
                watchers.spawn(lags(response.into_body(), Arc::clone(&sent), begun));
            }
        }
        let busy = processor_seconds();
        let changing = tokio::spawn(change(client, Arc::clone(&sent), begun));
        let all = tokio::time::timeout(PATIENCE, watchers.join_all());
        let mut lags: Vec<u64> = all
            .await
            .expect("watchers that keep up")
            .into_iter()
            .flatten()
            .collect();
        let seconds = changing.await.expect("changes are made");
        let each = (processor_seconds() - busy) * 1e6 / lags.len() as f64;
        lags.sort_unstable();
        let at = |part: f64| lags[((lags.len() - 1) as f64 * part) as usize] as f64 / 1e6;
        Map::from_iter([
            (
                "changes_per_second".to_owned(),
                whole(CHANGES as f64 / seconds),
            ),
            ("watch_event_processor_micros".to_owned(), rounded(each)),
            ("watch_lag_median_seconds".to_owned(), rounded(at(0.5))),
            ("watch_lag_p99_seconds".to_owned(), rounded(at(0.99))),
            ("watch_lag_most_seconds".to_owned(), rounded(at(1.0))),
        ])
    })
}

/// Creates objects over several connections.
async fn create(client: &Client, prefix: &'static str, count: usize) {
    let mut connections = tokio::task::JoinSet::new();
    for connection in 0..CONNECTIONS {
        let client = client.clone();
        connections.spawn(async move {
            let mut sender = client.one_at_a_time().await;
            for number in 0..count / CONNECTIONS {
                let mut object = config_map(number);
                object["metadata"]["name"] = format!("{prefix}-{connection}-{number}").into();
                let path = "/api/v1/namespaces/default/configmaps";
                let request = client.request(Method::POST, path, object.to_string().into());
                let response = sender.send_request(request).await.expect("an answer");
                client::read(response, 201).await;
            }
        });
    }
    connections.join_all().await;
}

/// Makes changes at a steady pace over one connection, and gives how long that took.
async fn change(client: Client, sent: Arc<Vec<AtomicU64>>, begun: Instant) -> f64 {
    let sender = client.many_at_once().await;
    let start = tokio::time::Instant::now();
    let mut answers = tokio::task::JoinSet::new();
    for (number, sent) in sent.iter().enumerate() {
        let place = u32::try_from(number).expect("a small number");
        tokio::time::sleep_until(start + Duration::from_secs(1) * place / CHANGES_PER_SECOND).await;
        let path = "/api/v1/namespaces/default/configmaps";
        let body = config_map(number).to_string().into();
        let request = client.request(Method::POST, path, body);
        sent.store(micros(begun), Ordering::Relaxed);
        let mut sender = sender.clone();
        answers.spawn(async move {
            let response = sender.send_request(request).await.expect("an answer");
            client::read(response, 201).await;
        });
    }
    answers.join_all().await;
    start.elapsed().as_secs_f64()
}

/// How late, in microseconds, a watcher hears of each change. Changes are told in the order of
/// their versions; those in flight at one time may have overtaken each other by a moment.
async fn lags(
    mut body: hyper::body::Incoming,
    sent: Arc<Vec<AtomicU64>>,
    begun: Instant,
) -> Vec<u64> {
    let mut lags = Vec::with_capacity(CHANGES);
    while lags.len() < CHANGES {
        let frame = body.frame().await.expect("an open watch").expect("no cut");
        let Ok(data) = frame.into_data() else {
            continue;
        };
        let now = micros(begun);
        let events = data.iter().filter(|byte| **byte == b'\n').count();
        for _ in 0..events {
            let sent = sent[lags.len()].load(Ordering::Relaxed);
            lags.push(now.saturating_sub(sent));
        }
    }
    lags
}

fn config_map(number: usize) -> Value {
    json!({
        "apiVersion": "v1",
        "kind": "ConfigMap",
        "metadata": {
            "name": format!("settings-{number}"),
            "labels": {"app": "shop", "tier": format!("tier-{}", number % 10)},
        },
        "data": {
            "colour": "blue",
            "greeting": "hello to whoever reads this",
            "number": number.to_string(),
        },
    })
}

fn deployment(number: usize) -> Value {
    json!({
        "apiVersion": "apps/v1",
        "kind": "Deployment",
        "metadata": {
            "name": format!("shop-{number}"),
            "labels": {"app": "shop", "tier": format!("tier-{}", number % 10)},
        },
        "spec": {
            "replicas": 3,
            "selector": {"matchLabels": {"app": "shop"}},
            "template": {
                "metadata": {"labels": {"app": "shop"}},
                "spec": {
                    "containers": [{
                        "name": "web",
                        "image": format!("registry.example/shop:{number}"),
                        "ports": [{"name": "http", "containerPort": 8080}],
                        "env": [{"name": "COLOUR", "value": "blue"}],
                        "resources": {
                            "requests": {"cpu": "100m", "memory": "64Mi"},
                            "limits": {"memory": "128Mi"},
                        },
                    }],
                },
            },
        },
    })
}

async fn one_cluster() -> Fleet {
    let options = FleetOptions {
        clusters: vec![quiet()],
        ..FleetOptions::default()
    };
    Fleet::start(options).await.expect("free ports")
}

/// A cluster in which only clients write.
fn quiet() -> ClusterOptions {
    ClusterOptions {
        workloads: None,
        ..ClusterOptions::named("one")
    }
}

fn runtime() -> Runtime {
    tokio::runtime::Builder::new_multi_thread()
        .worker_threads(CORES)
        .enable_all()
        .build()
        .expect("threads")
}

/// Memory of this process that is in the machine's; 0 where the system does not tell.
fn memory_kilobytes() -> f64 {
    let text = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let line = text.lines().find_map(|line| line.strip_prefix("VmRSS:"));
    let number = line.and_then(|line| line.split_whitespace().next());
    number
        .and_then(|number| number.parse().ok())
        .unwrap_or_default()
}

/// Processor time of this process so far; 0 where the system does not tell.
fn processor_seconds() -> f64 {
    const TICKS_PER_SECOND: f64 = 100.0;
    let text = std::fs::read_to_string("/proc/self/stat").unwrap_or_default();
    let after_name = text.rsplit(')').next().unwrap_or_default();
    // User and system time stand at places 14 and 15, the name at 2.
    let ticks = after_name.split_whitespace().skip(11).take(2);
    ticks
        .filter_map(|field| field.parse::<f64>().ok())
        .sum::<f64>()
        / TICKS_PER_SECOND
}

fn micros(begun: Instant) -> u64 {
    u64::try_from(begun.elapsed().as_micros()).unwrap_or(u64::MAX)
}

fn rounded(figure: f64) -> Value {
    json!((figure * 1000.0).round() / 1000.0)
}

fn whole(figure: f64) -> Value {
    json!(figure.round() as u64)
}

async fn idle() {
    tokio::time::sleep(IDLE).await;
}
