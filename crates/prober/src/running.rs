//! The probes that run now, and those of them that hang.

use model::{EndpointId, ProbeFailure, ProbeResult};
use std::collections::HashMap;
use std::time::Duration;
use tokio::sync::OwnedSemaphorePermit;
use tokio::task::{AbortHandle, Id, JoinError, JoinSet};
use tokio::time::Instant;

/// How far beyond its timeout a probe may run. Nothing that waits as it should takes so long: what does holds up a
/// thread, or the machine stood still.
pub(crate) const OVERTIME: Duration = Duration::from_secs(10);

/// Probes under way.
#[derive(Default)]
pub(crate) struct Running {
    tasks: JoinSet<ProbeResult>,
    begun: HashMap<Id, Begun>,
}

struct Begun {
    endpoint: EndpointId,
    /// When it should have ended, whatever happens.
    until: Instant,
    abort: AbortHandle,
}

/// A probe that has ended.
pub(crate) struct Ended {
    pub(crate) endpoint: EndpointId,
    /// Nothing when it panicked.
    pub(crate) result: Option<ProbeResult>,
}

impl Running {
    /// Begins a probe that holds its place until it ends.
    pub(crate) fn begin(
        &mut self,
        endpoint: EndpointId,
        timeout: Duration,
        place: OwnedSemaphorePermit,
        check: impl Future<Output = Option<ProbeFailure>> + Send + 'static,
    ) {
        let whose = endpoint.clone();
        let abort = self.tasks.spawn(async move {
            let began = Instant::now();
            let failure = check.await;
            drop(place);
            let took_millis = u64::try_from(began.elapsed().as_millis()).unwrap_or(u64::MAX);
            ProbeResult {
                endpoint: whose,
                failure,
                took_millis,
            }
        });
        let begun = Begun {
            endpoint,
            until: Instant::now() + timeout + OVERTIME,
            abort: abort.clone(),
        };
        self.begun.insert(abort.id(), begun);
    }

    /// The next that ends; nothing when none runs. One that was given up ends unheard.
    pub(crate) async fn next(&mut self) -> Option<Ended> {
        loop {
            let ended = self.tasks.join_next_with_id().await?;
            let id = match &ended {
                Ok((id, _)) => *id,
                Err(why) => why.id(),
            };
            if let Some(Begun { endpoint, .. }) = self.begun.remove(&id) {
                let result = ended.map(|(_, result)| result);
                let told = |why: &JoinError| tracing::error!(%why, "a probe gave no result");
                let result = result.inspect_err(told).ok();
                return Some(Ended { endpoint, result });
            }
        }
    }

    /// Gives up those that hang; whose they are.
    pub(crate) fn give_up(&mut self, now: Instant) -> Vec<EndpointId> {
        let hanging = self.begun.extract_if(|_, begun| begun.until <= now);
        let given_up = hanging.map(|(_, begun)| {
            tracing::error!(endpoint = %begun.endpoint, "a probe hangs, and is begun anew");
            begun.abort.abort();
            begun.endpoint
        });
        given_up.collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use model::{ObjectKey, Target};
    use std::sync::Arc;
    use tokio::sync::Semaphore;

    fn endpoint(cluster: &str) -> EndpointId {
        EndpointId {
            service: ObjectKey::new("shop", "shop"),
            cluster: cluster.into(),
            target: Target::Ip(std::net::Ipv4Addr::LOCALHOST.into()),
        }
    }

    #[tokio::test(start_paused = true)]
    async fn a_probe_that_hangs_is_given_up_and_its_place_is_free_again() {
        let places = Arc::new(Semaphore::new(2));
        let place = || Arc::clone(&places).try_acquire_owned().expect("a place");
        let mut running = Running::default();
        let timeout = Duration::from_secs(2);
        running.begin(endpoint("a"), timeout, place(), std::future::pending());
        running.begin(endpoint("b"), timeout, place(), async { None });
        let ended = running.next().await.expect("one ends");
        assert_eq!(ended.endpoint, endpoint("b"));
        assert_eq!(ended.result.map(|it| it.failure), Some(None));

        let now = Instant::now();
        assert_eq!(running.give_up(now + timeout), []);
        let given_up = running.give_up(now + timeout + OVERTIME);
        assert_eq!(given_up, [endpoint("a")]);
        assert!(running.next().await.is_none(), "it ends unheard");
        assert_eq!(places.available_permits(), 2);
    }

    #[tokio::test]
    async fn one_that_panics_ends_without_a_result() {
        let places = Arc::new(Semaphore::new(1));
        let place = places.acquire_owned().await.expect("a place");
        let mut running = Running::default();
        let timeout = Duration::from_secs(2);
        running.begin(endpoint("a"), timeout, place, async { panic!("it dies") });
        let ended = running.next().await.expect("it ends");
        assert_eq!((ended.endpoint, ended.result), (endpoint("a"), None));
    }
}
