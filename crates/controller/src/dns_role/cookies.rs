//! The keys of DNS cookies, as the host holds them.

use k8s_openapi::api::core::v1::Secret;
use kube::Client;
use tokio::sync::watch;

use crate::cookie_keys::{COOKIE_SECRET_NAME, CookieKeys};
use crate::kept_secret::follow;

/// Tells the newest keys until nobody listens. While the host is away, or its leader has not made
/// any, what was told stays.
pub async fn follow_cookie_keys(
    client: Client,
    system_namespace: &str,
    keys: watch::Sender<Option<CookieKeys>>,
) {
    let take = |secret: &Secret| {
        if let Some(read) = CookieKeys::read(secret) {
            keys.send_if_modified(|before| before.replace(read) != Some(read));
        }
    };
    let name = COOKIE_SECRET_NAME;
    follow(client, system_namespace, name, keys.closed(), take).await;
}
