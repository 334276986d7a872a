//! What the Lease says of deletions is forgotten there as the deletion brake forgets it.
//!
//! That one more counts is said before it is sent (`members/apply`). Here the numbers only become
//! smaller again.

use crate::context::Context;
use std::sync::Arc;
use std::time::Duration;
use tokio::time::sleep;

/// Between two looks; a new leader counts too many for so much longer.
const LOOK: Duration = Duration::from_secs(30);

/// Looks at it for as long as the process runs.
pub(crate) async fn run(context: Arc<Context>) {
    let mut leadership = context.leadership.clone();
    loop {
        leadership.until_leading().await;
        sleep(LOOK).await;
        if !leadership.leads() {
            continue;
        }
        let members = context.members.all().into_iter();
        let counted = members.map(|(name, member)| (name, member.deletions()));
        leadership.leave_only(counted.collect());
    }
}
