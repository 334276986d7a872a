//! Make before break: a ready replica leaves a healthy cluster only when its replacement is ready
//! elsewhere.

use model::ClusterName;
use std::collections::BTreeMap;

/// A cluster that is asked to run something.
pub(crate) struct Mover<'a> {
    pub(crate) name: &'a ClusterName,
    /// What it is told to run now.
    pub(crate) current: i64,
    /// How many of these are ready.
    pub(crate) ready: i64,
    /// What it should run in the end.
    pub(crate) goal: i64,
}

/// What each cluster is asked to run now. `spare` is the number of ready replicas beyond those
/// wanted in all.
///
/// Who grows, grows at once. Who shrinks gives up what is not ready, and of what is ready only as
/// much as is spare; those furthest above their goal first. Together they give up no more than
/// `may_go`, ready or not.
pub(crate) fn make_before_break(
    movers: &[Mover<'_>],
    spare: i64,
    may_go: i64,
) -> BTreeMap<ClusterName, i64> {
    let mut spare = spare.max(0);
    let mut may_go = may_go.max(0);
    let mut in_order: Vec<&Mover<'_>> = movers.iter().collect();
    in_order.sort_by_key(|mover| (std::cmp::Reverse(mover.current - mover.goal), mover.name));
    in_order
        .into_iter()
        .map(|mover| {
            if mover.goal >= mover.current {
                return (mover.name.clone(), mover.goal);
            }
            let without_unready = mover.goal.max(mover.ready.min(mover.current));
            let unready = may_go.min(mover.current - without_unready);
            may_go -= unready;
            let given = spare.min(may_go).min(without_unready - mover.goal);
            spare -= given;
            may_go -= given;
            (mover.name.clone(), mover.current - unready - given)
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Clusters as current, ready, goal.
    fn check(clusters: &[(i64, i64, i64)], spare: i64, expected: &[i64]) {
        let names: Vec<ClusterName> = (0..clusters.len())
            .map(|index| format!("c{index}").into())
            .collect();
        let movers: Vec<Mover<'_>> = clusters
            .iter()
            .zip(&names)
            .map(|((current, ready, goal), name)| Mover {
                name,
                current: *current,
                ready: *ready,
                goal: *goal,
            })
            .collect();
        let asked: Vec<i64> = make_before_break(&movers, spare, i64::MAX)
            .into_values()
            .collect();
        assert_eq!(asked, expected);
    }

    #[test]
    fn who_grows_grows_at_once_and_who_shrinks_waits() {
        check(&[(6, 6, 4), (4, 4, 6)], 0, &[6, 6]);
        check(&[(6, 6, 4), (6, 5, 6)], 1, &[5, 6]);
        check(&[(6, 6, 4), (6, 6, 6)], 2, &[4, 6]);
    }

    #[test]
    fn no_more_goes_than_may_ready_or_not() {
        let name: ClusterName = "c".into();
        let mover = Mover {
            name: &name,
            current: 8,
            ready: 6,
            goal: 4,
        };
        let asked =
            |spare, may_go| make_before_break(std::slice::from_ref(&mover), spare, may_go)["c"];
        assert_eq!(asked(0, 0), 8);
        assert_eq!(asked(0, 1), 7);
        assert_eq!(asked(1, 9), 5);
        assert_eq!(asked(5, 3), 5);
    }

    #[test]
    fn what_is_not_ready_goes_at_once() {
        check(&[(6, 3, 2)], 0, &[3]);
        check(&[(6, 0, 2)], -4, &[2]);
    }

    #[test]
    fn spare_goes_to_the_furthest_first_and_is_spent_once() {
        check(&[(4, 4, 2), (8, 8, 2)], 7, &[3, 2]);
    }
}
