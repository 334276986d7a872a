//! Failures at random moments, and what becomes of them.

use crate::ask::{Answer, Asking};
use crate::fleet::{Fleet, NAMESPACE, Pace, Service};
use futures::future::{join_all, try_join_all};
use meridian_tests::sighted::Result;
use meridian_tests::world::{GSLB, SYSTEM};
use rand::RngExt;
use std::io::{self, Write};
use std::net::{IpAddr, SocketAddr};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::time::{sleep, timeout};

/// Between two questions: what a moment may be late by.
const ASK_AGAIN: Duration = Duration::from_millis(10);
/// Faults come within this time, so that never most sites are lost at once.
const SPREAD: Duration = Duration::from_secs(40);
/// A service is served after that, and a failure is over.
const PATIENCE: Duration = Duration::from_secs(180);
/// How long a client waits for a site.
const CLIENT_TIMEOUT: Duration = Duration::from_millis(250);
/// A cache that gave the new address so often in a row has forgotten the old one.
const NEW_ANSWERS: u32 = 100;

/// The moments of one failure, in milliseconds after the fault.
#[derive(Clone, Debug, Default)]
pub(crate) struct Sample {
    pub(crate) verdict: Option<f64>,
    pub(crate) first_answer: f64,
    pub(crate) last_answer: f64,
    pub(crate) last_client: Option<f64>,
    pub(crate) good_request: Option<f64>,
}

/// So many failures of services of their own.
pub(crate) async fn failures(fleet: &Fleet, pace: Pace, count: usize) -> Result<Vec<Sample>> {
    writeln!(io::stderr(), "{pace:?}: {count} failures")?;
    let mut services = Vec::new();
    for at in 0..count {
        services.push(fleet.serve(pace, at).await?);
    }
    let served = services.iter().map(|service| served(fleet, service));
    try_join_all(served).await?;
    let failing = services.iter().map(|service| fail(fleet, service));
    join_all(failing).await.into_iter().collect()
}

/// Waits until every replica answers with the first site.
async fn served(fleet: &Fleet, service: &Service) -> Result<()> {
    for replica in &fleet.replicas {
        until_named(replica.address, &service.host, service.address(0)).await?;
    }
    Ok(())
}

/// Loses the first site at a random moment.
async fn fail(fleet: &Fleet, service: &Service) -> Result<Sample> {
    let wait = rand::rng().random_range(Duration::ZERO..SPREAD);
    sleep(wait).await;
    let began = Instant::now();
    let began_millis = SystemTime::now().duration_since(UNIX_EPOCH)?.as_secs_f64() * 1e3;
    service.sites[0].go_silent();
    let answers = fleet.replicas.iter().map(async |replica| {
        until_named(replica.address, &service.host, service.address(1)).await?;
        Ok::<_, Box<dyn std::error::Error + Send + Sync>>(millis(began))
    });
    let client = async {
        match &fleet.unbound {
            Some(unbound) => client(unbound.address, service, began).await.map(Some),
            None => Ok(None),
        }
    };
    let (answers, client) = tokio::try_join!(try_join_all(answers), client)?;
    let verdict = verdict(fleet, service).await.map(|at| at - began_millis);
    Ok(Sample {
        verdict,
        first_answer: answers.iter().copied().fold(f64::INFINITY, f64::min),
        last_answer: answers.iter().copied().fold(0.0, f64::max),
        last_client: client.map(|(last, _)| last),
        good_request: client.map(|(_, good)| good),
    })
}

/// Waits until a server answers anything.
pub(crate) async fn until_answers(server: SocketAddr, host: &str) -> Result<()> {
    let mut asking = Asking::of(server).await?;
    let deadline = Instant::now() + PATIENCE;
    while asking.ask(host).await.is_none() {
        if Instant::now() >= deadline {
            return Err(format!("{server} does not answer").into());
        }
        sleep(ASK_AGAIN).await;
    }
    Ok(())
}

/// Waits until a server answers with this address alone.
pub(crate) async fn until_named(server: SocketAddr, host: &str, wanted: IpAddr) -> Result<()> {
    let mut asking = Asking::of(server).await?;
    let wanted = Some(Answer::Addresses(vec![wanted]));
    let deadline = Instant::now() + PATIENCE;
    loop {
        let answer = asking.ask(host).await;
        if answer == wanted {
            return Ok(());
        }
        if Instant::now() >= deadline {
            return Err(format!("{host} at {server}: {answer:?} and not {wanted:?}").into());
        }
        sleep(ASK_AGAIN).await;
    }
}

/// A client behind a cache: its last answer that named the lost site, and its first good request.
async fn client(cache: SocketAddr, service: &Service, began: Instant) -> Result<(f64, f64)> {
    let mut asking = Asking::of(cache).await?;
    let (lost, new) = (service.address(0), service.address(1));
    let (mut last, mut good, mut new_answers) = (0.0, None, 0);
    while new_answers < NEW_ANSWERS {
        match asking.ask(&service.host).await {
            Some(Answer::Addresses(addresses)) if addresses.contains(&lost) => {
                (last, new_answers) = (millis(began), 0);
            }
            Some(Answer::Addresses(addresses)) if addresses == [new] => {
                new_answers += 1;
                if good.is_none() && answers(service.sites[1].address).await {
                    good = Some(millis(began));
                }
            }
            other => return Err(format!("{}: a cache said {other:?}", service.host).into()),
        }
        if began.elapsed() >= PATIENCE {
            return Err(format!("{}: a cache kept the old answer", service.host).into());
        }
        sleep(ASK_AGAIN).await;
    }
    Ok((last, good.ok_or("the new site does not answer")?))
}

/// Whether a request to a site is answered.
async fn answers(site: SocketAddr) -> bool {
    let request = async {
        let mut stream = TcpStream::connect(site).await?;
        stream
            .write_all(b"GET / HTTP/1.1\r\nHost: shop\r\nConnection: close\r\n\r\n")
            .await?;
        let mut answer = String::new();
        stream.read_to_string(&mut answer).await?;
        Ok::<_, io::Error>(answer.starts_with("HTTP/1.1 200"))
    };
    matches!(timeout(CLIENT_TIMEOUT, request).await, Ok(Ok(true)))
}

/// When the last replica took the lost site for down by its own probes, in milliseconds since 1970.
async fn verdict(fleet: &Fleet, service: &Service) -> Option<f64> {
    let reports = fleet.world.host().list(GSLB, "ProbeReport", SYSTEM).await;
    let name = format!("{NAMESPACE}/{}", service.name);
    let lost = service.address(0).to_string();
    let mut last = None;
    for report in &reports {
        let verdicts = report["spec"]["verdicts"].as_array()?;
        let found = verdicts.iter().find(|it| {
            it["service"] == name.as_str()
                && it["target"] == lost.as_str()
                && it["verdict"] == "Down"
        });
        let since = found?["sinceMillis"].as_f64()?;
        last = Some(last.map_or(since, |last: f64| last.max(since)));
    }
    last
}

fn millis(began: Instant) -> f64 {
    began.elapsed().as_secs_f64() * 1e3
}
