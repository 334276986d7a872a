//! What members hold of this host that has no federated object on it: it is told, and nothing is
//! deleted.
//!
//! A host that was emptied, or came back from an old backup, looks so: absence is never by itself a
//! reason to delete, but somebody has to know.
//!
//! # Guarantees
//! Only what complete lists say counts, of the host and of the member, and only what was so at two looks
//! in a row: a deletion that is under way is none of it.
//! # Caveats
//! What other hosts propagated is not this one's to judge: a host with a new uid owns nothing of what
//! the old one made (`meridian adopt-host`).

use crate::context::Context;
use crate::events::{About, Tone};
use crate::wake::federated_key;
use api::Condition;
use federation::Origin;
use kube::ResourceExt;
use model::{ClusterName, ObjectKey};
use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;
use tokio::time::sleep;

/// Between two looks.
const LOOK: Duration = Duration::from_secs(60);
/// The condition, and the reason of its Event.
const ORPHANS: &str = "OrphansInMembers";

/// How many objects without a federated object each member holds.
#[derive(Default)]
pub(crate) struct Missing {
    told: Mutex<BTreeMap<ClusterName, usize>>,
}

impl Missing {
    /// The condition that says so, while there are any.
    pub(crate) fn condition(&self) -> Option<Condition> {
        let told = self.told();
        if told.is_empty() {
            return None;
        }
        let counts: Vec<String> = told
            .iter()
            .map(|(name, count)| format!("{count} in {name}"))
            .collect();
        Some(Condition {
            r#type: ORPHANS.to_owned(),
            status: "True".to_owned(),
            reason: Some(ORPHANS.to_owned()),
            message: Some(format!("{}: {NOTE}", counts.join(", "))),
            ..Condition::default()
        })
    }

    fn told(&self) -> MutexGuard<'_, BTreeMap<ClusterName, usize>> {
        self.told.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// What it means, and what to do.
const NOTE: &str = "this host propagated objects whose federated objects it does not have; nothing of \
                    them is deleted. 'meridian get orphans' lists them";

/// Looks at it for as long as the process runs.
pub(crate) async fn run(context: Arc<Context>) {
    let mut before = BTreeMap::new();
    loop {
        sleep(LOOK).await;
        // Who no longer leads knows nothing of it any more.
        let now = match context.leadership.leads() {
            true => look(&context).await,
            false => BTreeMap::new(),
        };
        let lasting: BTreeMap<ClusterName, usize> = now
            .iter()
            .filter_map(|(name, count)| {
                let before: usize = before.get(name).copied().unwrap_or(0);
                Some((name.clone(), before.min(*count))).filter(|(_, count)| *count > 0)
            })
            .collect();
        before = now;
        context.metrics.orphans(&lasting);
        if !lasting.is_empty() {
            tell(&context, &lasting);
        }
        *context.missing.told() = lasting;
    }
}

async fn look(context: &Context) -> BTreeMap<ClusterName, usize> {
    let mut missing = BTreeMap::new();
    let Some(host_uid) = context.host_uid.get() else {
        return missing;
    };
    let adopted = context.settings().adopted_hosts;
    for (type_name, cache) in context.all_types() {
        if !cache.is_ready().await {
            continue;
        }
        let federated = &cache.named.federated;
        let is_missing = |key: &ObjectKey, origin: &Origin| {
            let is_ours = origin.host == *host_uid || adopted.contains(&origin.host);
            let owner = cache.get(&federated_key(federated, key));
            is_ours && owner.and_then(|owner| owner.uid()) != Some(origin.object.clone())
        };
        for (name, member) in context.members.all() {
            let lane = member.lane(&type_name);
            let count = lane.map_or(0, |lane| lane.cache.count(is_missing));
            if count > 0 {
                *missing.entry(name).or_default() += count;
            }
        }
    }
    missing
}

fn tell(context: &Context, missing: &BTreeMap<ClusterName, usize>) {
    tracing::warn!(?missing, "{NOTE}");
    let Some(config) = context.host.config() else {
        return;
    };
    let about = About::of(&*config);
    context.events.tell(&about, Tone::Warning, ORPHANS, NOTE);
}
