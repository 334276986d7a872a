//! Who grows and who shrinks: rolling update, recreate, and proportional scaling
//! (`rolling.go`, `recreate.go` and `sync.go` of the real controller).

use super::{DESIRED_REPLICAS, MAX_REPLICAS, Rollout, Strategy};
use crate::object::{controller_uid, name, uid};
use crate::workloads::share::{Round, share};
use serde_json::Value;

impl Rollout<'_> {
    /// Rolling update: grow the new ReplicaSet within the surge, or shrink old ones as far as
    /// availability allows, or clean up.
    pub(super) fn roll(&mut self) {
        let new = match self.new {
            Some(index) => index,
            None => self.create_new(),
        };
        if self.grow_new(new) || self.shrink_old(new) {
            return;
        }
        if self.is_complete(&self.seen["status"]) {
            self.forget_old();
        }
    }

    /// Recreate: all old Pods go, then the new ones come.
    pub(super) fn recreate(&mut self) {
        let old: Vec<usize> = self
            .old()
            .filter(|index| self.sets[*index].replicas() > 0)
            .collect();
        for index in &old {
            self.resize(*index, 0);
        }
        if !old.is_empty() || self.old_pods_remain() {
            return;
        }
        let new = match self.new {
            Some(index) => index,
            None => self.create_new(),
        };
        self.resize(new, self.spec.replicas);
        if self.is_complete(&self.seen["status"]) {
            self.forget_old();
        }
    }

    /// Follows a change of `spec.replicas`: the only active ReplicaSet takes it; several share it
    /// in proportion to their sizes.
    pub(super) fn scale(&mut self) {
        let mut active: Vec<usize> = self.active().collect();
        if active.len() <= 1 {
            let newest = self.new.or_else(|| self.old().last());
            if let Some(index) = active.first().copied().or(newest) {
                self.resize(index, self.spec.replicas);
            }
            return;
        }
        if self.new.is_some_and(|new| self.is_saturated(new)) {
            active.retain(|index| Some(*index) != self.new);
            for index in active {
                self.resize(index, 0);
            }
            return;
        }
        if matches!(self.spec.strategy, Strategy::RollingUpdate { .. }) {
            self.scale_in_proportion(active);
        }
    }

    /// Whether an active ReplicaSet was last scaled for another number of replicas.
    pub(super) fn is_scaling(&self) -> bool {
        let wanted = self.spec.replicas;
        self.active()
            .filter_map(|index| self.sets[index].number(DESIRED_REPLICAS))
            .any(|desired| desired != wanted)
    }

    /// How large the new ReplicaSet may be now.
    pub(super) fn new_replicas(&self, new: usize) -> i64 {
        let wanted = self.spec.replicas;
        let Strategy::RollingUpdate { max_surge, .. } = &self.spec.strategy else {
            return wanted;
        };
        let room = wanted + share(max_surge, wanted, Round::Up) - self.replicas();
        let replicas = self.sets[new].replicas();
        if room <= 0 {
            replicas
        } else {
            replicas + room.min(wanted - replicas)
        }
    }

    /// Pods above `spec.replicas` that a rolling update may have.
    pub(super) fn max_surge(&self) -> i64 {
        self.fenceposts().0
    }

    /// Pods below `spec.replicas` that a rolling update may have unavailable.
    pub(super) fn max_unavailable(&self) -> i64 {
        match self.spec.replicas {
            0 => 0,
            replicas => self.fenceposts().1.min(replicas),
        }
    }

    /// Sum of `spec.replicas` of all ReplicaSets.
    pub(super) fn replicas(&self) -> i64 {
        self.sets.iter().map(super::Set::replicas).sum()
    }

    /// Sum of a count of the statuses of all ReplicaSets.
    pub(super) fn count(&self, field: &str) -> i64 {
        self.sets.iter().map(|set| set.count(field)).sum()
    }

    fn active(&self) -> impl Iterator<Item = usize> + '_ {
        (0..self.sets.len()).filter(|index| self.sets[*index].replicas() > 0)
    }

    fn fenceposts(&self) -> (i64, i64) {
        let Strategy::RollingUpdate {
            max_surge,
            max_unavailable,
        } = &self.spec.strategy
        else {
            return (0, 0);
        };
        let surge = share(max_surge, self.spec.replicas, Round::Up);
        let unavailable = share(max_unavailable, self.spec.replicas, Round::Down);
        // Both zero would never move; the surge may be denied by a quota, so one may be missing.
        if surge == 0 && unavailable == 0 {
            (0, 1)
        } else {
            (surge, unavailable)
        }
    }

    fn grow_new(&mut self, new: usize) -> bool {
        let (have, wanted) = (self.sets[new].replicas(), self.spec.replicas);
        match have.cmp(&wanted) {
            std::cmp::Ordering::Equal => false,
            std::cmp::Ordering::Greater => self.resize(new, wanted),
            std::cmp::Ordering::Less => self.resize(new, self.new_replicas(new)),
        }
    }

    fn shrink_old(&mut self, new: usize) -> bool {
        let old: Vec<usize> = self
            .old()
            .filter(|index| self.sets[*index].replicas() > 0)
            .collect();
        if old.is_empty() {
            return false;
        }
        let available_min = self.spec.replicas - self.max_unavailable();
        let set = &self.sets[new];
        let new_unavailable = set.replicas() - set.count("availableReplicas");
        let surplus = self.replicas() - available_min - new_unavailable;
        if surplus <= 0 {
            return false;
        }
        let unhealthy = self.drop_unhealthy(&old, surplus);
        let healthy = self.drop_available(&old, self.count("availableReplicas") - available_min);
        unhealthy + healthy > 0
    }

    /// Pods that are not available go first: nobody misses them, and they may block the rollout.
    fn drop_unhealthy(&mut self, old: &[usize], mut surplus: i64) -> i64 {
        let mut dropped = 0;
        for index in old {
            let (replicas, available) = (
                self.sets[*index].replicas(),
                self.sets[*index].count("availableReplicas"),
            );
            let count = surplus.min(replicas - available);
            if count > 0 {
                self.resize(*index, replicas - count);
                surplus -= count;
                dropped += count;
            }
        }
        dropped
    }

    fn drop_available(&mut self, old: &[usize], mut surplus: i64) -> i64 {
        let mut dropped = 0;
        for index in old {
            let replicas = self.sets[*index].replicas();
            let count = replicas.min(surplus);
            if count > 0 {
                self.resize(*index, replicas - count);
                surplus -= count;
                dropped += count;
            }
        }
        dropped
    }

    fn old_pods_remain(&self) -> bool {
        let new_uid = self
            .new
            .map(|index| uid(&self.sets[index].object).to_owned());
        let old_count: i64 = self
            .old()
            .map(|index| self.sets[index].count("replicas"))
            .sum();
        let lives = |pod: &Value| {
            !matches!(
                pod["status"]["phase"].as_str(),
                Some("Failed" | "Succeeded")
            ) && controller_uid(pod) != new_uid.as_deref()
        };
        old_count > 0 || self.pods.iter().any(|pod| lives(pod))
    }

    fn is_saturated(&self, index: usize) -> bool {
        let (set, wanted) = (&self.sets[index], self.spec.replicas);
        set.replicas() == wanted
            && set.number(DESIRED_REPLICAS) == Some(wanted)
            && set.count("availableReplicas") == wanted
    }

    fn scale_in_proportion(&mut self, mut active: Vec<usize>) {
        let total: i64 = active
            .iter()
            .map(|index| self.sets[*index].replicas())
            .sum();
        let allowed = match self.spec.replicas {
            0 => 0,
            replicas => replicas + self.max_surge(),
        };
        let to_add = allowed - total;
        // Larger first; of the same size, growing starts with the newer, shrinking with the older.
        // ReplicaSets are in order of age.
        active.sort_by_key(|index| {
            let age = i64::try_from(*index).unwrap_or(i64::MAX);
            (
                -self.sets[*index].replicas(),
                if to_add > 0 { -age } else { age },
            )
        });
        let mut added = 0;
        let mut sizes = Vec::with_capacity(active.len());
        for index in &active {
            let share = self.proportion(*index, to_add, added);
            added += share;
            sizes.push(self.sets[*index].replicas() + share);
        }
        // What rounding left goes to the largest.
        sizes[0] = (sizes[0] + to_add - added).max(0);
        for (index, size) in active.into_iter().zip(sizes) {
            self.resize(index, size);
            self.annotate_scale(index);
        }
    }

    fn proportion(&self, index: usize, to_add: i64, added: i64) -> i64 {
        if to_add == added {
            return 0;
        }
        let left = to_add - added;
        let fraction = self.fraction(index);
        if to_add > 0 {
            fraction.min(left)
        } else {
            fraction.max(left)
        }
    }

    /// How much a ReplicaSet would grow (or shrink) with the Deployment's largest size.
    fn fraction(&self, index: usize) -> i64 {
        let set = &self.sets[index];
        if self.spec.replicas == 0 {
            return -set.replicas();
        }
        let before = set.number(MAX_REPLICAS).filter(|max| *max > 0);
        let before = before
            .or(self.deployment["status"]["replicas"].as_i64())
            .unwrap_or(0);
        if before == 0 {
            return 0;
        }
        let after = self.spec.replicas + self.max_surge();
        // Rounded half up, as the real controller does.
        (2 * set.replicas() * after + before) / (2 * before) - set.replicas()
    }

    fn resize(&mut self, index: usize, replicas: i64) -> bool {
        let before = self.sets[index].replicas();
        if before == replicas {
            return false;
        }
        self.sets[index].set_replicas(replicas);
        self.annotate_scale(index);
        let direction = if before < replicas { "up" } else { "down" };
        let name = name(&self.sets[index].object).to_owned();
        self.note_scaled(format!(
            "Scaled {direction} replica set {name} from {before} to {replicas}"
        ));
        true
    }

    fn annotate_scale(&mut self, index: usize) {
        let (desired, max) = (self.spec.replicas, self.spec.replicas + self.max_surge());
        self.sets[index].annotate(DESIRED_REPLICAS, &desired.to_string());
        self.sets[index].annotate(MAX_REPLICAS, &max.to_string());
    }
}
