//! UPDATE (RFC 2136), carried out: the host keeps the challenges, replicas serve them, and who asked
//! is told when all who are heard do.
//!
//! # Guarantees
//! NOERROR means that the host holds it and that every replica that is heard serves it: an authority
//! that looks at any of them finds it.
//! # Caveats
//! SERVFAIL means that it is not so yet. What the host holds by then is served all the same, and asking
//! again tells when it is.

use controller::dns_role::{ChallengeStore, Outcome};
use dns::UpdateCode;
use dns_server::UpdateRequest;
use std::time::Duration;
use tokio::sync::{mpsc, watch};
use tokio::task::JoinSet;
use tokio::time::{Instant, timeout_at};
use tokio_util::sync::CancellationToken;

/// How long an answer may take: less than the two seconds that usual clients wait.
const PATIENCE: Duration = Duration::from_millis(1_800);
/// Changes that are carried out at the same time.
const AT_ONCE_MAX: usize = 16;
/// How often a change is begun anew because another came before it.
const CONFLICTS_MAX: usize = 8;

/// Carries out changes until it is told to stop; `served` is the revision that all serve.
pub(crate) async fn run(
    mut asked: mpsc::Receiver<UpdateRequest>,
    store: ChallengeStore,
    served: watch::Receiver<u64>,
    stop: CancellationToken,
) {
    let mut under_way = JoinSet::new();
    loop {
        tokio::select! {
            () = stop.cancelled() => break,
            Some(_) = under_way.join_next() => {}
            Some(request) = asked.recv(), if under_way.len() < AT_ONCE_MAX => {
                under_way.spawn(carry_out(request, store.clone(), served.clone()));
            }
        }
    }
    // Each has its deadline.
    under_way.join_all().await;
}

async fn carry_out(
    request: UpdateRequest,
    store: ChallengeStore,
    mut served: watch::Receiver<u64>,
) {
    let deadline = Instant::now() + PATIENCE;
    let zone = request.update().zone().to_string();
    let code = match timeout_at(deadline, change(&store, request.update())).await {
        Ok(Ok(Ok(revision))) => {
            let everywhere = served.wait_for(|served| *served >= revision);
            match timeout_at(deadline, everywhere).await {
                Ok(Ok(_)) => UpdateCode::NoError,
                _ => {
                    tracing::warn!(zone, revision, "not every replica serves a change in time");
                    UpdateCode::ServFail
                }
            }
        }
        Ok(Ok(Err(code))) => code,
        Ok(Err(why)) => {
            tracing::warn!(zone, %why, "the host does not keep a change");
            UpdateCode::ServFail
        }
        Err(_) => {
            tracing::warn!(zone, "the host does not keep a change in time");
            UpdateCode::ServFail
        }
    };
    request.answer(code);
}

/// Has the host hold what is asked for. The revision that has it, or why it may not be.
async fn change(
    store: &ChallengeStore,
    update: &dns::Update,
) -> Result<Result<u64, UpdateCode>, controller::Error> {
    for _ in 0..CONFLICTS_MAX {
        let kept = store.read().await?;
        let before = kept.challenges.read();
        let after = match update.apply(&before) {
            Ok(after) => after,
            Err(code) => return Ok(Err(code)),
        };
        if after == before {
            return Ok(Ok(kept.challenges.revision));
        }
        let next = kept.challenges.next(&after);
        if store.write(kept, &next).await? == Outcome::Written {
            return Ok(Ok(next.revision));
        }
    }
    Ok(Err(UpdateCode::ServFail))
}
