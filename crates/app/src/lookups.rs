//! Lookups of host names by this machine's resolvers, as the brains take them.

use controller::{LOOKUPS_MAX, Lookups};
use prober::{RESOLVED_MAX, Resolver, Servers};
use steering::Found;
use tokio::sync::mpsc;

/// Lookups for the controller; they end when it does.
pub(crate) fn for_controller(servers: Servers) -> Lookups {
    let (ask, mut asked) = mpsc::channel::<Vec<String>>(LOOKUPS_MAX);
    let (tell, words) = mpsc::channel(RESOLVED_MAX);
    let (results, mut resolved) = mpsc::channel(RESOLVED_MAX);
    tokio::spawn(async move {
        let resolver = Resolver::start(servers, results);
        loop {
            tokio::select! {
                names = asked.recv() => match names {
                    Some(names) => resolver.ask(names),
                    None => return,
                },
                Some(word) = resolved.recv() => {
                    if tell.send(read(word)).await.is_err() {
                        return;
                    }
                }
            }
        }
    });
    Lookups { ask, words }
}

/// A resolver's word, as the brains take it.
pub(crate) fn read(resolved: prober::Resolved) -> steering::Resolved {
    let found = |said: Result<_, String>| {
        said.map(|(addresses, ttl_secs)| Found {
            addresses,
            ttl_secs,
        })
    };
    steering::Resolved {
        hostname: resolved.hostname,
        v4: found(resolved.v4),
        v6: found(resolved.v6),
    }
}
