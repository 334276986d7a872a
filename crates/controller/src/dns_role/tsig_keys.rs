//! The keys of signed queries (TSIG), as the host holds them: one Secret that its user keeps.

use futures::{StreamExt, pin_mut};
use k8s_openapi::api::core::v1::Secret;
use kube::runtime::WatchStreamExt;
use kube::runtime::watcher::{Config, Event, watcher};
use kube::{Api, Client};
use std::collections::BTreeMap;
use tokio::sync::watch;

/// The Secret's name, in the system namespace. Each entry is a key: its name, and
/// `algorithm:secret`. One name, so that a Role can let replicas read this Secret and no other.
pub const TSIG_SECRET_NAME: &str = "meridian-tsig-keys";

/// Keys by name, as the Secret has them.
pub type TsigKeys = BTreeMap<String, String>;

/// Tells the newest keys until nobody listens: none when there is no such Secret. While the host is
/// away, what was told stays.
pub async fn follow_tsig_keys(
    client: Client,
    system_namespace: &str,
    keys: watch::Sender<Option<TsigKeys>>,
) {
    let secrets = Api::<Secret>::namespaced(client, system_namespace);
    let one = Config::default().fields(&format!("metadata.name={TSIG_SECRET_NAME}"));
    let events = watcher(secrets, one).default_backoff();
    pin_mut!(events);
    let mut listed = TsigKeys::new();
    loop {
        let event = tokio::select! {
            biased;
            () = keys.closed() => return,
            Some(event) = events.next() => event,
        };
        let now = match event {
            Ok(Event::Init) => {
                listed.clear();
                continue;
            }
            Ok(Event::InitApply(secret)) => {
                listed = read(&secret);
                continue;
            }
            Ok(Event::InitDone) => std::mem::take(&mut listed),
            Ok(Event::Apply(secret)) => read(&secret),
            Ok(Event::Delete(_)) => TsigKeys::new(),
            Err(_) => continue,
        };
        keys.send_if_modified(|before| before.replace(now.clone()).as_ref() != Some(&now));
    }
}

fn read(secret: &Secret) -> TsigKeys {
    let entries = secret.data.iter().flatten();
    let text = entries.filter_map(|(name, value)| {
        let value = String::from_utf8(value.0.clone()).ok()?;
        Some((name.clone(), value))
    });
    text.collect()
}
