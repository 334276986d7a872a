//! A Secret of the system namespace that the leader keeps, and whose holders follow it.

use crate::Error;
use crate::context::Context;
use futures::{StreamExt, pin_mut};
use k8s_openapi::api::core::v1::Secret;
use kube::api::PostParams;
use kube::runtime::WatchStreamExt;
use kube::runtime::watcher::{Config, watcher};
use kube::{Api, Client};
use std::future::Future;
use std::time::Duration;
use tokio::time::{sleep, timeout};

/// How long the host may take.
const DEADLINE: Duration = Duration::from_secs(5);

/// Looks after it, now and again, while this process leads.
pub(crate) async fn look_while_leading(
    context: &Context,
    every: Duration,
    what: &str,
    look: impl AsyncFn(&Context) -> Result<(), Error>,
) {
    let mut leadership = context.leadership.clone();
    loop {
        leadership.until_leading().await;
        if let Err(error) = look(context).await {
            tracing::warn!(%error, "{what} is not looked after");
        }
        tokio::select! {
            biased;
            () = leadership.until_lost() => {}
            () = sleep(every) => {}
        }
    }
}

/// What the host holds under a name.
pub(crate) async fn find(context: &Context, name: &str) -> Result<Option<Secret>, Error> {
    let found = timeout(DEADLINE, secrets(context).get_opt(name)).await;
    Ok(found.map_err(|_| Error::HostTimedOut)??)
}

/// Writes it, in place of what was found under the version that was read: another leader's step is
/// not undone.
pub(crate) async fn write(
    context: &Context,
    found: Option<&Secret>,
    mut secret: Secret,
) -> Result<(), Error> {
    if !context.leadership.may_write(DEADLINE) {
        return Err(Error::NotLeading);
    }
    let parameters = PostParams::default();
    let secrets = secrets(context);
    let written = match found {
        Some(found) => {
            secret.metadata = found.metadata.clone();
            let name = secret.metadata.name.clone().unwrap_or_default();
            timeout(DEADLINE, secrets.replace(&name, &parameters, &secret)).await
        }
        None => timeout(DEADLINE, secrets.create(&parameters, &secret)).await,
    };
    written.map_err(|_| Error::HostTimedOut)??;
    Ok(())
}

/// Tells each version of it until `closed`. While the host is away, or its leader has made none,
/// nothing is told.
pub(crate) async fn follow(
    client: Client,
    system_namespace: &str,
    name: &str,
    closed: impl Future<Output = ()>,
    mut take: impl FnMut(&Secret),
) {
    let secrets = Api::<Secret>::namespaced(client, system_namespace);
    let one = Config::default().fields(&format!("metadata.name={name}"));
    let found = watcher(secrets, one).default_backoff().applied_objects();
    pin_mut!(found, closed);
    loop {
        tokio::select! {
            biased;
            () = &mut closed => return,
            Some(secret) = found.next() => secret.iter().for_each(&mut take),
        }
    }
}

fn secrets(context: &Context) -> Api<Secret> {
    Api::namespaced(context.host.client.clone(), &context.host.system_namespace)
}
