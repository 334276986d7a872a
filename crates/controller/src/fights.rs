//! Fights: the same fields applied again and again because somebody changes them back.
//!
//! Only what a member accepted counts. A repair that met a newer version changed nothing, and a
//! busy object is no fight.

use crate::wake::FederatedKey;
use model::ClusterName;
use std::collections::{HashMap, VecDeque};
use std::sync::{Mutex, PoisonError};
use std::time::Duration;
use tokio::time::Instant;

/// So many repairs within [`WINDOW`] are no fight.
const REPAIRS_MAX: usize = 5;
/// What is counted, and how long is held back: then one more repair goes through.
const WINDOW: Duration = Duration::from_secs(60);
/// Objects that are remembered; the oldest are forgotten first.
const REMEMBERED_MAX: usize = 10_000;

/// Too many repairs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Bout {
    pub(crate) applied: usize,
}

/// Repairs of each object in each member.
#[derive(Default)]
pub(crate) struct Fights {
    repairs: Mutex<HashMap<(FederatedKey, ClusterName), VecDeque<Instant>>>,
}

impl Fights {
    /// Whether one more repair may be sent: not while there were too many.
    pub(crate) fn may_repair(&self, key: &FederatedKey, cluster: &ClusterName) -> Result<(), Bout> {
        let now = Instant::now();
        let repairs = self.repairs.lock().unwrap_or_else(PoisonError::into_inner);
        let applied = repairs
            .get(&(key.clone(), cluster.clone()))
            .map_or(0, |times| {
                times.iter().filter(|at| now < **at + WINDOW).count()
            });
        match applied {
            REPAIRS_MAX.. => Err(Bout { applied }),
            _ => Ok(()),
        }
    }

    /// The member has taken a repair.
    pub(crate) fn repaired(&self, key: &FederatedKey, cluster: &ClusterName) {
        let now = Instant::now();
        let mut repairs = self.repairs.lock().unwrap_or_else(PoisonError::into_inner);
        if repairs.len() >= REMEMBERED_MAX {
            repairs.retain(|_, times| times.back().is_some_and(|at| now < *at + WINDOW));
        }
        let times = repairs.entry((key.clone(), cluster.clone())).or_default();
        while times.front().is_some_and(|at| *at + WINDOW <= now) {
            times.pop_front();
        }
        times.push_back(now);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use model::ObjectKey;

    #[tokio::test(start_paused = true)]
    async fn repairs_that_were_not_taken_are_no_fight() {
        let fights = Fights::default();
        let key = FederatedKey {
            type_name: "configmaps".into(),
            object: ObjectKey::new("ns", "n"),
        };
        for _ in 0..10 * REPAIRS_MAX {
            fights.may_repair(&key, &"a".into()).unwrap();
        }
    }

    #[tokio::test(start_paused = true)]
    async fn a_fight_is_held_back_and_goes_on_a_minute_later() {
        let fights = Fights::default();
        let key = FederatedKey {
            type_name: "configmaps".into(),
            object: ObjectKey::new("ns", "n"),
        };
        let cluster = ClusterName::from("a");
        for _ in 0..REPAIRS_MAX {
            fights.may_repair(&key, &cluster).unwrap();
            fights.repaired(&key, &cluster);
        }
        assert_eq!(
            fights.may_repair(&key, &cluster),
            Err(Bout {
                applied: REPAIRS_MAX
            })
        );
        fights.may_repair(&key, &"b".into()).unwrap();
        tokio::time::advance(WINDOW).await;
        fights.may_repair(&key, &cluster).unwrap();
    }
}
