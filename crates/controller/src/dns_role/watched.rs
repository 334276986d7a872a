//! Watches of one kind on the host: what fails is tried again, what is not served is empty.

use futures::{Stream, StreamExt, TryStreamExt, stream};
use kube::runtime::WatchStreamExt;
use kube::runtime::utils::Backoff;
use kube::runtime::watcher::{self, Config, watcher};
use kube::{Api, Resource, ResourceExt};
use serde::de::DeserializeOwned;
use std::fmt::Debug;
use std::time::Duration;

/// Waits of a watch that fails: quick at first, since a host that restarts is back in seconds.
const RETRY_FIRST: Duration = Duration::from_millis(200);
/// No longer than this, so that a host that returns is noticed.
pub(super) const RETRY_LAST: Duration = Duration::from_secs(5);
/// Until a kind that the host does not know, or lets nobody read, is asked for again.
const ABSENT_AGAIN: Duration = Duration::from_secs(5);

/// What a watch of these says, and says again when it begins anew.
pub(super) fn objects<K>(
    api: Api<K>,
    config: Config,
) -> impl Stream<Item = watcher::Event<K>> + Send
where
    K: Resource<DynamicType = ()> + Clone + DeserializeOwned + Debug + Send + Sync + 'static,
{
    watcher(api, config)
        .modify(|object| object.managed_fields_mut().clear())
        .backoff(Retry::default())
        .inspect_err(|why| tracing::debug!(kind = %K::kind(&()), %why, "watch of the host"))
        .flat_map(|event| {
            let absent = is_absent(&event);
            let wait = stream::once(async move {
                if absent {
                    tokio::time::sleep(ABSENT_AGAIN).await;
                }
            });
            let wait = wait.filter_map(|()| futures::future::ready(None));
            stream::iter(heard(event)).chain(wait)
        })
}

/// Whether the host does not know the kind: each attempt begins with good news, so that the waits
/// between them do not grow by themselves.
fn is_absent<K>(event: &Result<watcher::Event<K>, watcher::Error>) -> bool {
    matches!(
        event,
        Err(watcher::Error::InitialListFailed(kube::Error::Api(status)))
            if matches!(status.code, 403 | 404)
    )
}

/// What a watch said. A kind that the host does not know yet has no objects: a host whose CRDs are
/// older than this program is followed all the same.
fn heard<K: Resource<DynamicType = ()>>(
    event: Result<watcher::Event<K>, watcher::Error>,
) -> Vec<watcher::Event<K>> {
    match event {
        Ok(event) => vec![event],
        Err(watcher::Error::InitialListFailed(kube::Error::Api(status)))
            if matches!(status.code, 403 | 404) && is_optional::<K>() =>
        {
            vec![watcher::Event::Init, watcher::Event::InitDone]
        }
        Err(watcher::Error::InitialListFailed(kube::Error::Api(status))) if status.code == 404 => {
            vec![watcher::Event::Init, watcher::Event::InitDone]
        }
        Err(_) => Vec::new(),
    }
}

/// Whether a kind may be somebody else's, who need not let it be read.
fn is_optional<K: Resource<DynamicType = ()>>() -> bool {
    K::kind(&()) == "DNSEndpoint"
}

/// Doubling waits with a low ceiling.
#[derive(Clone, Debug)]
struct Retry {
    next: Duration,
}

impl Default for Retry {
    fn default() -> Self {
        Self { next: RETRY_FIRST }
    }
}

impl Iterator for Retry {
    type Item = Duration;

    fn next(&mut self) -> Option<Duration> {
        let wait = self.next;
        self.next = (self.next * 2).min(RETRY_LAST);
        Some(wait)
    }
}

impl Backoff for Retry {
    fn reset(&mut self) {
        *self = Self::default();
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use api::ExternalDNSEndpoint;
    use http::{Request, Response};
    use kube::Client;
    use kube::client::Body;
    use std::convert::Infallible;
    use std::sync::Arc;
    use std::sync::atomic::{AtomicUsize, Ordering};
    use tokio::time::timeout;
    use tower::service_fn;

    #[tokio::test(start_paused = true)]
    async fn a_kind_that_is_not_there_is_empty_and_seldom_asked_for() {
        let asked = Arc::new(AtomicUsize::new(0));
        let counted = Arc::clone(&asked);
        let host = service_fn(move |_: Request<Body>| {
            counted.fetch_add(1, Ordering::Relaxed);
            let absent = Response::builder().status(404).body(Body::empty());
            futures::future::ready(Ok::<_, Infallible>(absent.expect("it is a response")))
        });
        let api = Api::<ExternalDNSEndpoint>::all(Client::new(host, "default"));
        let mut said = Box::pin(objects(api, Config::default()));
        let mut lists = 0;
        let follow = async {
            while let Some(event) = said.next().await {
                lists += usize::from(matches!(event, watcher::Event::InitDone));
            }
        };
        assert!(timeout(Duration::from_secs(60), follow).await.is_err());
        let asked = asked.load(Ordering::Relaxed);
        assert!((11..=13).contains(&asked), "{asked} times in a minute");
        assert_eq!(lists, asked, "each is an empty list");
    }
}
