//! The status of the KubeFedConfig: what is in force, what it costs, what is not obeyed, what the
//! host misses, and whether KubeFed came back.

use crate::context::Context;
use crate::settings::{read_settings, waits_for_a_start};
use crate::wake::News;
use api::KubeFedConfigStatus;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::broadcast::error::RecvError;
use tokio::time::{Instant, sleep_until};

/// Until a status that was not written is tried again.
const RETRY: Duration = Duration::from_secs(10);

/// Keeps the status of the settings for as long as the process runs.
pub(crate) async fn tell_settings(context: Arc<Context>) {
    let mut news = context.wake.listen();
    loop {
        if context.leadership.leads() {
            write(&context).await;
        }
        let retry = Instant::now() + RETRY;
        loop {
            tokio::select! {
                biased;
                () = sleep_until(retry) => break,
                told = news.recv() => match told {
                    Ok(News::Fleet) | Err(RecvError::Lagged(_)) => break,
                    Ok(_) => {}
                    Err(RecvError::Closed) => return,
                },
            }
        }
    }
}

async fn write(context: &Context) {
    let Some(config) = context.host.config() else {
        return;
    };
    let status = KubeFedConfigStatus {
        observed_generation: config.metadata.generation.unwrap_or_default(),
        conditions: {
            let read = read_settings(Some(&config));
            let waits = waits_for_a_start(&context.began_with, &read.settings);
            let seen = [context.missing.condition(), context.rival.condition()];
            let read = read.conditions.into_iter();
            read.chain(waits)
                .chain(seen.into_iter().flatten())
                .collect()
        },
    };
    if let Err(error) = context.statuses.write_typed(config.as_ref(), &status).await {
        tracing::debug!(%error, "the status of the settings was not written");
    }
}
