//! NOTIFY (RFC 1996): secondaries are told of a new serial, until they say that they heard.

use std::collections::BTreeMap;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;

use dns::{Name, News};
use tokio::net::UdpSocket;
use tokio::sync::{Semaphore, watch};
use tokio::task::JoinSet;
use tokio::time::timeout;

use crate::chance::Chance;
use crate::server::{Shared, unix_secs};

/// How long the first try waits for a reply; each further one twice as long.
const PATIENCE: Duration = Duration::from_secs(2);
/// How often one is told (RFC 1996 § 3.6). Then its refresh must do.
const TRIES_MAX: u32 = 5;
/// How many are told at the same time.
const AT_ONCE_MAX: usize = 64;
/// Replies have a header and a question.
const REPLY_BYTES_MAX: usize = 512;

/// Tells of what changes until the server stops. Each address is told of a zone's serial once; the
/// first time is when this server begins to serve it, as its secondaries may be behind.
pub(crate) async fn run(shared: Arc<Shared>, from: Vec<IpAddr>, mut stop: watch::Receiver<()>) {
    let mut changed = shared.changed.subscribe();
    changed.mark_changed();
    let places = Arc::new(Semaphore::new(AT_ONCE_MAX));
    let mut told: BTreeMap<(Name, SocketAddr), u32> = BTreeMap::new();
    let mut telling = JoinSet::new();
    let mut chance = Chance::new();
    loop {
        tokio::select! {
            _ = stop.changed() => break,
            Some(_) = telling.join_next() => {}
            Ok(()) = changed.changed() => {
                for news in fresh(&shared, &mut told) {
                    let (shared, places) = (Arc::clone(&shared), Arc::clone(&places));
                    let from = source(&from, news.to);
                    let id = chance.next() as u16;
                    telling.spawn(async move {
                        let _place = places.acquire().await;
                        tell(&shared, &news, from, id).await;
                    });
                }
            }
        }
    }
}

/// What has not been told yet and can be: its key is known.
fn fresh(shared: &Shared, told: &mut BTreeMap<(Name, SocketAddr), u32>) -> Vec<News> {
    let snapshot = shared.snapshots.load();
    let server = shared.server.load();
    let all: Vec<News> = snapshot.news().collect();
    let known = |news: &News| match &news.key {
        Some(key) => server.keys.get(key).is_some(),
        None => true,
    };
    // Whoever is no longer named is told again when he is.
    told.retain(|(origin, to), _| all.iter().any(|it| it.origin == *origin && it.to == *to));
    let mut fresh = Vec::new();
    for news in all.into_iter().filter(known) {
        let place = (news.origin.clone(), news.to);
        if told.insert(place, news.serial) != Some(news.serial) {
            fresh.push(news);
        }
    }
    fresh
}

/// The address that a notice comes from: secondaries know their primary by it.
fn source(listening: &[IpAddr], to: SocketAddr) -> SocketAddr {
    let any: IpAddr = match to {
        SocketAddr::V4(_) => Ipv4Addr::UNSPECIFIED.into(),
        SocketAddr::V6(_) => Ipv6Addr::UNSPECIFIED.into(),
    };
    let same = listening.iter().find(|it| it.is_ipv4() == to.is_ipv4());
    // A secondary elsewhere is not reached from the loopback.
    let usable = same.filter(|it| !it.is_loopback() || to.ip().is_loopback());
    SocketAddr::new(usable.copied().unwrap_or(any), 0)
}

async fn tell(shared: &Shared, news: &News, from: SocketAddr, id: u16) {
    let socket = async {
        let socket = UdpSocket::bind(from).await?;
        socket.connect(news.to).await?;
        std::io::Result::Ok(socket)
    };
    let socket = match socket.await {
        Ok(socket) => socket,
        Err(error) => {
            tracing::warn!(zone = %news.origin, to = %news.to, %error, "cannot notify");
            return;
        }
    };
    let mut patience = PATIENCE;
    for _ in 0..TRIES_MAX {
        let Some(message) = news.message(&shared.server.load(), id, unix_secs()) else {
            return;
        };
        // Nobody may listen there yet: that is told by the next receive, and waited out.
        let _ = socket.send(&message).await;
        if timeout(patience, heard(&socket, id)).await.is_ok() {
            return;
        }
        patience *= 2;
    }
    tracing::warn!(zone = %news.origin, to = %news.to, serial = news.serial, "nobody heard a notice");
}

/// Waits for the reply; what else comes is none.
async fn heard(socket: &UdpSocket, id: u16) {
    let mut reply = [0; REPLY_BYTES_MAX];
    loop {
        match socket.recv(&mut reply).await {
            Ok(len) if News::is_told(id, &reply[..len]) => return,
            Ok(_) => {}
            // Refused: the rest of the patience passes, as if it had been lost.
            Err(_) => std::future::pending().await,
        }
    }
}
