//! How many replicas more a member's nodes have room for, by what of them is free.
//!
//! An estimate: it knows no affinities, no ports, and no nodes that an autoscaler would add. So it
//! says who takes replicas first and forbids nothing: what fits nowhere is divided as if it were not
//! known, and Pods that find no place tell the rest ([`crate::CapacityTrack`]).

use model::Resources;

/// What a member could run of a workload, as of one look at its nodes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RoomTrack {
    look: u64,
    ready: i64,
    more: i64,
}

impl RoomTrack {
    /// What it knew before, or anew when there was another look at the nodes since. `ready` are the
    /// workload's replicas that hold their places already. Those that are on their way to one may
    /// have it or not: they are not counted, lest two looks offer one place twice.
    #[must_use]
    pub fn seen(before: Option<Self>, look: u64, ready: i64, more: impl FnOnce() -> i64) -> Self {
        match before {
            Some(before) if before.look == look => before,
            _ => Self {
                look,
                ready,
                more: more(),
            },
        }
    }

    /// Replicas that it could run in all.
    pub fn replicas(self) -> i64 {
        self.ready.saturating_add(self.more)
    }
}

/// How many Pods that ask for so much find a place on nodes that have so much free.
pub fn places(free: &[Resources], asks: Resources) -> i64 {
    let of = |free: i64, asks: i64| if asks > 0 { free / asks } else { i64::MAX };
    let on = |free: &Resources| {
        [
            of(free.cpu_millis, asks.cpu_millis),
            of(free.memory_bytes, asks.memory_bytes),
            of(free.pods, asks.pods),
        ]
        .into_iter()
        .fold(i64::MAX, i64::min)
    };
    free.iter().map(on).fold(0, i64::saturating_add)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn free(cpu_millis: i64, memory_bytes: i64, pods: i64) -> Resources {
        Resources {
            cpu_millis,
            memory_bytes,
            pods,
        }
    }

    #[test]
    fn a_pod_needs_all_it_asks_for_on_one_node() {
        let asks = free(500, 1 << 20, 1);
        assert_eq!(
            places(&[free(499, 1 << 30, 9), free(499, 1 << 30, 9)], asks),
            0
        );
        assert_eq!(places(&[free(1_600, 1 << 30, 9), free(500, 0, 9)], asks), 3);
        assert_eq!(
            places(&[free(9_000, 1 << 30, 2)], asks),
            2,
            "Pods count too"
        );
        assert_eq!(places(&[], asks), 0);
        assert_eq!(places(&[free(9_000, 0, 4)], free(1_000, 0, 1)), 4);
    }

    #[test]
    fn one_look_offers_a_place_once() {
        let first = RoomTrack::seen(None, 1, 2, || 3);
        assert_eq!(first.replicas(), 5);
        // Three were added and became ready; the same look still knows of no more.
        let same = RoomTrack::seen(Some(first), 1, 5, || unreachable!());
        assert_eq!(same.replicas(), 5);
        let next = RoomTrack::seen(Some(same), 2, 5, || 0);
        assert_eq!(next.replicas(), 5);
    }
}
