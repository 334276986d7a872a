//! A rolling restart of the replicas under queries. A resolver that gets no answer asks another.

use crate::ask::{Answer, Asking};
use crate::fleet::{Fleet, Pace, REPLICAS, Service};
use meridian_tests::sighted::Result;
use std::io::{self, Write};
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;
use tokio::task::JoinSet;

/// Queries that are answered.
const QUERIES: usize = 100_000;
/// Queries that are under way at once.
const ASKING: usize = 16;
/// Services that are asked for.
const SERVICES: usize = 10;
/// Each replica is restarted so often.
const ROUNDS: usize = 2;

/// What was seen.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Restarted {
    pub(crate) queries: usize,
    pub(crate) restarts: usize,
    /// Answers that were not the one address that is right.
    pub(crate) wrong: usize,
    /// Questions that had to be asked again, elsewhere.
    pub(crate) again: usize,
    /// Questions that no replica answered.
    pub(crate) unanswered: usize,
}

#[derive(Default)]
struct Counts {
    queries: AtomicUsize,
    wrong: AtomicUsize,
    again: AtomicUsize,
    unanswered: AtomicUsize,
    /// Questions are asked until the last replica is back.
    over: AtomicUsize,
}

/// Half of the services have lost their first site before, so that what a replica remembers of
/// an earlier time would be wrong.
pub(crate) async fn measure(fleet: &mut Fleet) -> Result<Restarted> {
    writeln!(io::stderr(), "a rolling restart under {QUERIES} queries")?;
    let mut services = Vec::new();
    for at in 200..200 + SERVICES {
        services.push(fleet.serve(Pace::Fastest, at).await?);
    }
    let wanted = |at: usize| at % 2;
    for (at, service) in services.iter().enumerate() {
        for replica in &fleet.replicas {
            crate::measure::until_named(replica.address, &service.host, service.address(0)).await?;
        }
        if wanted(at) == 1 {
            service.sites[0].go_silent();
        }
    }
    for (at, service) in services.iter().enumerate() {
        let right = service.address(wanted(at));
        for replica in &fleet.replicas {
            crate::measure::until_named(replica.address, &service.host, right).await?;
        }
    }
    let right = |(at, service): (usize, &Service)| {
        let answer = Answer::Addresses(vec![service.address(wanted(at))]);
        (service.host.clone(), answer)
    };
    let questions: Arc<[_]> = services.iter().enumerate().map(right).collect();
    let servers: Vec<_> = fleet.replicas.iter().map(|it| it.address).collect();
    let counts = Arc::new(Counts::default());
    let mut asking = JoinSet::new();
    for first in 0..ASKING {
        let asker = ask_all(
            servers.clone(),
            first,
            Arc::clone(&questions),
            Arc::clone(&counts),
        );
        asking.spawn(asker);
    }
    for _ in 0..ROUNDS {
        for at in 0..REPLICAS {
            let replica = &mut fleet.replicas[at];
            replica.restart(&fleet.world).await;
            crate::measure::until_answers(replica.address, &questions[0].0).await?;
        }
    }
    counts.over.store(1, Ordering::Release);
    while let Some(asked) = asking.join_next().await {
        asked??;
    }
    let read = |count: &AtomicUsize| count.load(Ordering::Relaxed);
    Ok(Restarted {
        queries: read(&counts.queries),
        restarts: ROUNDS * REPLICAS,
        wrong: read(&counts.wrong),
        again: read(&counts.again),
        unanswered: read(&counts.unanswered),
    })
}

/// Asks until there were enough questions and all restarts are over.
async fn ask_all(
    servers: Vec<SocketAddr>,
    first: usize,
    questions: Arc<[(String, Answer)]>,
    counts: Arc<Counts>,
) -> Result<()> {
    let mut sockets = Vec::new();
    for server in servers {
        sockets.push(Asking::of(server).await?);
    }
    for turn in first.. {
        let asked = counts.queries.load(Ordering::Relaxed);
        if asked >= QUERIES && counts.over.load(Ordering::Acquire) == 1 {
            break;
        }
        let (host, right) = &questions[turn % questions.len()];
        let mut answer = None;
        for more in 0..sockets.len() {
            let at = (turn + more) % sockets.len();
            answer = sockets[at].ask(host).await;
            if answer.is_some() {
                break;
            }
            counts.again.fetch_add(1, Ordering::Relaxed);
        }
        counts.queries.fetch_add(1, Ordering::Relaxed);
        match answer {
            None => drop(counts.unanswered.fetch_add(1, Ordering::Relaxed)),
            Some(answer) if answer != *right => {
                writeln!(io::stderr(), "wrong: {host}: {answer:?}")?;
                counts.wrong.fetch_add(1, Ordering::Relaxed);
            }
            Some(_) => {}
        }
        tokio::time::sleep(Duration::from_micros(500)).await;
    }
    Ok(())
}
