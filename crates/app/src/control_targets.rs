//! Control targets: addresses that always answer, by which a replica knows whether its own uplink works.
//!
//! A replica that reaches none of them abstains: what it does not see is its own fault. One that loses most of its
//! endpoints while they answer has something to say.
//!
//! # Guarantees
//! All are asked at once, and the engine is told when the number that answered changes, and first of all.
//! # Assumptions
//! They are outside what replicas answer for: a router, a public resolver, another site's load balancer.
//! # Caveats
//! A connection that is accepted is an answer, and so is one that is refused: somebody is there.

use futures::future::join_all;
use std::io::ErrorKind;
use std::net::SocketAddr;
use std::time::Duration;
use steering::Event;
use tokio::net::TcpStream;
use tokio::sync::mpsc;
use tokio::time::{MissedTickBehavior, interval, timeout};

/// As often as endpoints are probed when nobody says otherwise.
const PERIOD: Duration = Duration::from_secs(5);
/// What is slower has not answered.
const DEADLINE: Duration = Duration::from_secs(2);

/// Asks until nobody takes events any more; not at all when there are no targets.
pub(crate) async fn follow(targets: Vec<SocketAddr>, events: mpsc::Sender<Event>) {
    if targets.is_empty() {
        return;
    }
    let of = u32::try_from(targets.len()).unwrap_or(u32::MAX);
    let mut told = None;
    let mut ticks = interval(PERIOD);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        ticks.tick().await;
        let asked = join_all(targets.iter().map(|target| answers(*target))).await;
        let answered = asked.into_iter().map(u32::from).sum();
        if told == Some(answered) {
            continue;
        }
        if told.is_some() || answered < of {
            tracing::info!(answered, of, "control targets");
        }
        told = Some(answered);
        let event = Event::ControlTargets { answered, of };
        if events.send(event).await.is_err() {
            return;
        }
    }
}

async fn answers(target: SocketAddr) -> bool {
    match timeout(DEADLINE, TcpStream::connect(target)).await {
        Ok(Ok(_)) => true,
        Ok(Err(why)) => why.kind() == ErrorKind::ConnectionRefused,
        Err(_) => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::net::Ipv4Addr;
    use tokio::net::TcpListener;

    #[tokio::test]
    async fn who_accepts_or_refuses_has_answered_and_who_is_not_reached_has_not() {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await;
        let listener = listener.expect("a port");
        let accepts = listener.local_addr().expect("an address");
        let gone = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await;
        let refuses = gone.expect("a port").local_addr().expect("an address");
        // A link-local address without its link leads nowhere (RFC 4007 § 6).
        let nowhere = SocketAddr::from(([0xfe80, 0, 0, 0, 0, 0, 0, 1], 9));
        let (send, mut events) = mpsc::channel(4);
        let following = tokio::spawn(follow(vec![accepts, refuses, nowhere], send));
        let told = events.recv().await.expect("it tells");
        assert!(
            matches!(told, Event::ControlTargets { answered: 2, of: 3 }),
            "{told:?}"
        );
        following.abort();
    }

    #[tokio::test]
    async fn without_targets_nothing_is_told() {
        let (send, mut events) = mpsc::channel(1);
        follow(Vec::new(), send).await;
        assert!(events.recv().await.is_none());
    }
}
