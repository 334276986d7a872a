//! The keys of DNS cookies, as the host holds them.

use futures::{StreamExt, pin_mut};
use k8s_openapi::api::core::v1::Secret;
use kube::runtime::WatchStreamExt;
use kube::runtime::watcher::{Config, watcher};
use kube::{Api, Client};
use tokio::sync::watch;

use crate::cookie_keys::{COOKIE_SECRET_NAME, CookieKeys};

/// Tells the newest keys until nobody listens. While the host is away, or its leader has not made
/// any, what was told stays.
pub async fn follow_cookie_keys(
    client: Client,
    system_namespace: &str,
    keys: watch::Sender<Option<CookieKeys>>,
) {
    let secrets = Api::<Secret>::namespaced(client, system_namespace);
    let one = Config::default().fields(&format!("metadata.name={COOKIE_SECRET_NAME}"));
    let found = watcher(secrets, one).default_backoff().applied_objects();
    pin_mut!(found);
    loop {
        let secret = tokio::select! {
            () = keys.closed() => return,
            Some(secret) = found.next() => secret,
        };
        let read = secret.ok().as_ref().and_then(CookieKeys::read);
        if let Some(read) = read {
            keys.send_if_modified(|before| before.replace(read) != Some(read));
        }
    }
}
